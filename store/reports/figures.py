"""A number of a report, and what it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from store.reports.periods import Period
from store.times import rfc3339

State = Literal["whole", "part", "unknown"]
"""`part`: something is missing, so a count is at least what it says; `unknown`: nothing was read."""


@dataclass(frozen=True, slots=True)
class Note:
    """Why something is not whole, to be put into words in the language of the report."""

    key: str
    """Of `console.reports.words.NOTES`."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Moments are milliseconds, UTC."""


@dataclass(frozen=True, slots=True)
class Source:
    """What figures rest on: where from, about what time, how old, and whether it is whole."""

    name: str
    """detections, cases, sensors, organization, quota or usage, as LimaCharlie answered; or triage, which is
    what was decided here."""
    window: Period | None
    """None for what is so at the moment of reading."""
    read_at: int | None
    """When it was read last (ms)."""
    state: State
    notes: tuple[Note, ...] = ()
    organizations: tuple[int, int] | None = None
    """Of a sum over several: how many are in it, and of how many."""

    def age(self, now: int) -> int | None:
        """How old it is (ms)."""
        return None if self.read_at is None else max(0, now - self.read_at)

    def as_dict(self, now: int) -> dict[str, Any]:
        """For JSON; times are RFC 3339, the age is in seconds."""
        age = self.age(now)
        return {
            "source": self.name,
            "from": None if self.window is None else rfc3339(self.window.since),
            "until": None if self.window is None else rfc3339(self.window.until),
            "read_at": rfc3339(self.read_at),
            "age_seconds": None if age is None else age // 1000,
            "completeness": self.state,
            "notes": [
                {"note": each.key}
                | {name: rfc3339(value) if name == "at" else value for name, value in each.values.items()}
                for each in self.notes
            ],
            **(
                {}
                if self.organizations is None
                else {"organizations": self.organizations[0], "of": self.organizations[1]}
            ),
        }


@dataclass(frozen=True, slots=True)
class Figure:
    """One number."""

    value: float | int | None
    """None when it is not known: never 0 instead."""
    source: Source
    at_least: bool = False
    """It is a count, and what it counts is not whole: never printed as a total."""

    @staticmethod
    def count(value: int | None, source: Source) -> "Figure":
        """A count, which is `at least` where its source is a part, and not known where nothing was read."""
        if source.state == "unknown" or value is None:
            return Figure(None, source)
        return Figure(value, source, at_least=source.state == "part")

    def as_dict(self, now: int) -> dict[str, Any]:
        """For JSON."""
        return {"value": self.value, "at_least": self.at_least, **self.source.as_dict(now)}
