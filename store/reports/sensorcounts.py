"""How many sensors counted against a customer's quota, day by day of a period, and how that changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from store.months import day_of
from store.queries.sensordays import SensorDay, SensorDays, sensor_days
from store.reports import sources
from store.reports.figures import Figure, Note, Source, State
from store.reports.periods import DAY, Period


@dataclass(frozen=True, slots=True)
class SensorCounts:
    """What the readings of a quota tell of a period, by days of UTC."""

    source: Source
    found: SensorDays
    """Until today, or until the period is over."""
    first: Figure
    """Sensors on the first day of the period that is known; it is not a part, whatever else is missing."""
    last: Figure
    change: Figure
    """By how many more there are on the last one; not known of one day alone."""

    @property
    def days(self) -> tuple[SensorDay, ...]:
        """Each day, the oldest first."""
        return self.found.days

    def as_dict(self, now: int) -> dict[str, Any]:
        """For JSON; a day that is not known has None, and `how` says why a figure is taken to be so."""
        return {
            **self.source.as_dict(now),
            "known_since": self.found.since or None,
            "days_known": len(self.found.known),
            "days_read": self.found.read,
            "days": [
                {
                    "day": each.day, "sensors": each.sensors, "weighted": each.weighted, "quota": each.quota,
                    "known": each.how,
                }
                for each in self.days
            ],
        }  # fmt: skip

    def figures(self) -> Mapping[str, Figure]:
        """The headline figures by the names that they have in JSON."""
        return {
            "sensors_counted_first": self.first, "sensors_counted_last": self.last,
            "sensors_counted_change": self.change,
        }  # fmt: skip


def sensor_counts(
    connection: Connection, oid: str, period: Period, state: sources.Known | None, *, now: int
) -> SensorCounts:
    """The counts of one customer.

    Args:
        state: how far the organization itself was read.
        now: milliseconds, UTC.
    """
    last = min(period.last.isoformat(), day_of(now))
    found = sensor_days(connection, oid, period.first.isoformat(), last)
    source = _source(found, period, state, now)
    one, other = found.first, found.last
    return SensorCounts(
        source=source,
        found=found,
        first=Figure(None if one is None else one.sensors, source),
        last=Figure(None if other is None else other.sensors, source),
        change=Figure(found.change, source),
    )


def _source(found: SensorDays, period: Period, state: sources.Known | None, now: int) -> Source:
    """Whole when every day is known that is over, or that has begun lately."""
    moment = sources.moment(state, "quota")
    notes: list[Note] = []
    wanted = [each for each in found.days if each.day <= day_of(now - sources.LATELY)]
    word: State = "whole"
    if found.first is None or found.last is None:
        word = "unknown"
        if not found.since:
            notes.append(Note("never_read"))
        elif found.since > period.last.isoformat():
            notes.append(Note("known_since", {"at": _midnight(found.since)}))
        elif found.looked_at is not None and found.looked_at < _midnight(period.first.isoformat()):
            notes.append(Note("known_until", {"at": found.looked_at}))
    else:
        if found.first.day > period.first.isoformat():
            notes.append(Note("known_since", {"at": _midnight(found.first.day)}))
        if wanted and found.last.day < wanted[-1].day:
            notes.append(Note("known_until", {"at": _until(found, found.last.day)}))
        if len(found.known) < (within := _between(found, found.first.day, found.last.day)):
            notes.append(Note("days", {"known": len(found.known), "of": within}))
        word = "part" if notes else "whole"
        if period.until > now:
            notes.append(Note("not_over", {"at": found.looked_at or now}))
        if found.read < len(found.known):
            notes.append(Note("held", {"read": found.read, "of": len(found.known)}))
    if state is not None and state.failure:
        notes += [note for note in moment.notes if note.key == "failed" and note not in notes]
    return Source("quota", period, moment.read_at, word, tuple(notes))


def _between(found: SensorDays, first: str, last: str) -> int:
    return sum(first <= each.day <= last for each in found.days)


def _until(found: SensorDays, day: str) -> int:
    """When it was known last (ms): the last look, or the end of the day where it was known later again."""
    end = _midnight(day) + DAY
    return end if found.looked_at is None else min(found.looked_at, end)


def _midnight(day: str) -> int:
    """When a day of UTC begins (ms)."""
    return round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
