"""What offboarding takes from an organization, in its order, as it is shown before it is begun."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from store import accessplans
from store.text import Untrusted

PARTS: Final[dict[str, str]] = {
    "groups": "groups that hold nothing else (it is taken out of all of them)",
    "keys": "API keys",
    "users": "users' own access",
    "outputs": "outputs",
    "installation-keys": "installation keys",
    "ingestion-keys": "ingestion keys",
    "extensions": "subscriptions to extensions, with what they keep",
    "sensors": "sensors",
    "organization": "the organization itself",
}
"""What is taken, in this order; each may be kept. Of `groups` that only saves them from being deleted: the
organization is taken out of them all the same."""

DATA: Final = ("extensions", "sensors", "organization")
"""What data are lost with: it stays as long as the organization carries the mark `hold`."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the checklist."""

    part: str
    """Of PARTS, or `work`, `mark`, `export`, `report`, `look`, `own access`."""
    there: str
    """What of it there is; it may hold strangers' text."""
    steps: int = 0
    """How many are made for it; 0 where it stays as it is."""
    note: str = ""
    """What stays, and why: our own words."""


@dataclass(frozen=True, slots=True)
class Checklist:
    """What would be done to one organization, and what stays."""

    oid: str
    name: Untrusted
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    """What the operator has to know before; safe sentences."""
    deletes: bool
    """Whether the organization itself is deleted, last."""
    kept: frozenset[str] = frozenset()
    """Of PARTS, as asked for."""

    @property
    def steps(self) -> int:
        """All of them."""
        return sum(line.steps for line in self.lines)

    @property
    def phrase(self) -> str:
        """What has to be typed: the organization's name."""
        return accessplans.phrase(((self.oid, self.name),))

    @property
    def or_id(self) -> str:
        """What may be typed instead, behind the phrase."""
        return accessplans.or_id(((self.oid, self.name),))

    def confirmed(self, typed: str) -> bool:
        """Whether that was typed."""
        return accessplans.confirmed(((self.oid, self.name),), typed)


Choose = Callable[[frozenset[str]], Checklist]
"""The checklist when these parts are kept."""
