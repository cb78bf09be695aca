"""How many sensors an organization had, day by day: what the readings of its quota tell.

A reading is kept for a day on which something of it changed, and holds until the next one (`QuotaReading`).
What is counted is what LimaCharlie counts against the quota (`GET quota_usage/{oid}`), which is neither how
many are enrolled nor how many are online: the official client says of it that it "can read higher than the
online sensor count".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Table, and_, case, func, select

from store import models
from store.months import day_moved, day_of, days_between

_QUOTA: Table = models.QuotaReading.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]

SUBJECT: Final = "organization"
"""What quotas are read with."""

How = Literal["read", "held", "unknown"]
"""`read`: it was certainly looked at on that day, that is read, or known by the audit log and the listing of
organizations to be as it was; `held`: it is taken to be as the reading before it, for on
which days it was looked at without finding a change is not kept; `unknown`: before the first reading, after
the last look, or not told."""


@dataclass(frozen=True, slots=True)
class SensorDay:
    """What is known of one day of UTC, as it was at its end."""

    day: str
    """YYYY-MM-DD."""
    sensors: int | None
    """Of all kinds together; None where that is not known."""
    weighted: float | None
    """As LimaCharlie weighs them against the quota."""
    quota: int | None
    how: How


@dataclass(frozen=True, slots=True)
class SensorDays:
    """The days of a time, the oldest first."""

    days: tuple[SensorDay, ...]
    since: str
    """The day of the first reading that there is, in that time or not; "" where there is none."""
    looked_at: int | None
    """When it was looked at last (ms): days after it are unknown."""

    @property
    def known(self) -> tuple[SensorDay, ...]:
        """Those for which the number of sensors is known."""
        return tuple(each for each in self.days if each.sensors is not None)

    @property
    def first(self) -> SensorDay | None:
        """The first of those."""
        return next((each for each in self.days if each.sensors is not None), None)

    @property
    def last(self) -> SensorDay | None:
        """The last of those."""
        return next((each for each in reversed(self.days) if each.sensors is not None), None)

    @property
    def change(self) -> int | None:
        """By how many more there are on the last one than on the first one; None of one day alone."""
        told = [each.sensors for each in self.days if each.sensors is not None]
        return told[-1] - told[0] if len(told) > 1 else None

    @property
    def read(self) -> int:
        """On how many of those it was certainly looked at."""
        return sum(each.how == "read" for each in self.known)


def counted(breakdown: Mapping[str, Any], used: float | None) -> int | None:
    """How many sensors a reading counts, of all kinds.

    Args:
        breakdown: kind -> {count, weight, quota}, as the store has it.
        used: weighted sensors; where there is no kind, there is no sensor only if this is 0.

    Returns:
        None where the number of a kind, or every kind, was not told.
    """
    if not breakdown:
        return 0 if used == 0 else None
    total = 0
    for part in breakdown.values():
        count = part.get("count") if isinstance(part, Mapping) else None
        if isinstance(count, bool) or not isinstance(count, int | float) or not math.isfinite(count):
            return None
        if count < 0 or count != int(count):
            return None
        total += int(count)
    return total


def sensor_days(connection: Connection, oid: str, first: str, last: str) -> SensorDays:
    """The days of one organization from one to another, both included."""
    # What holds on the first day was read before it, or on it.
    holding = select(func.max(_QUOTA.c.day)).where(_QUOTA.c.oid == oid, _QUOTA.c.day <= first)
    rows = connection.execute(
        select(_QUOTA)
        .where(
            _QUOTA.c.oid == oid,
            _QUOTA.c.day >= func.coalesce(holding.scalar_subquery(), first),
            _QUOTA.c.day <= last,
        )
        .order_by(_QUOTA.c.day)
    )
    readings = [_reading(row) for row in rows]
    since = connection.execute(select(func.min(_QUOTA.c.day)).where(_QUOTA.c.oid == oid)).scalar_one()
    looked = connection.execute(
        select(_STATE.c.checked_at).where(_STATE.c.oid == oid, _STATE.c.subject == SUBJECT)
    ).scalar_one_or_none()
    return SensorDays(_by_day(readings, first, last, _day(looked)), since or "", looked)


def ends(
    connection: Connection, first: str, last: str, *, wanted: Any = None
) -> dict[str, tuple[SensorDay, SensorDay]]:
    """oid -> the first and the last day from one to another for which its sensors are known.

    One of which no day is known is left out. Two readings of each organization are read, however many it has.

    Args:
        wanted: the oids, as a list or a query; None is all.
    """
    bounds = (
        select(
            _QUOTA.c.oid,
            func.coalesce(
                func.max(case((_QUOTA.c.day <= first, _QUOTA.c.day))), func.min(_QUOTA.c.day)
            ).label("begin"),
            func.max(_QUOTA.c.day).label("end"),
        )
        .where(_QUOTA.c.day <= last)
        .group_by(_QUOTA.c.oid)
    )
    if wanted is not None:
        bounds = bounds.where(_QUOTA.c.oid.in_(wanted))
    of_each = bounds.subquery()
    rows = connection.execute(
        select(_QUOTA, _STATE.c.checked_at)
        .select_from(
            _QUOTA.join(of_each, of_each.c.oid == _QUOTA.c.oid).outerjoin(
                _STATE, and_(_STATE.c.oid == _QUOTA.c.oid, _STATE.c.subject == SUBJECT)
            )
        )
        .where(_QUOTA.c.day.in_((of_each.c.begin, of_each.c.end)))
        .order_by(_QUOTA.c.oid, _QUOTA.c.day)
    )
    readings: dict[str, list[SensorDay]] = {}
    looked: dict[str, str] = {}
    for row in rows:
        readings.setdefault(row.oid, []).append(_reading(row))
        looked[row.oid] = _day(row.checked_at)
    found = {}
    for oid, some in readings.items():
        if any(each.sensors is None for each in some):
            # Which day is the first or the last one that is known, the readings between tell.
            whole = sensor_days(connection, oid, first, last)
            if whole.first is not None and whole.last is not None:
                found[oid] = whole.first, whole.last
            continue
        begin = max(some[0].day, first)
        end = min(max(looked[oid], some[-1].day), last)
        if begin <= end:
            one, other = (_by_day(some, day, day, looked[oid])[0] for day in (begin, end))
            found[oid] = one, other
    return found


def _day(at: int | None) -> str:
    return "" if at is None else day_of(at)


def _reading(row: Any) -> SensorDay:
    sensors = counted(row.breakdown, row.used)
    told = not (sensors is None and row.used is None and row.quota is None)
    return SensorDay(row.day, sensors, row.used, row.quota, "read" if told else "unknown")


def _by_day(readings: Sequence[SensorDay], first: str, last: str, looked: str) -> tuple[SensorDay, ...]:
    """Each reading until the next one, and the last one until it was looked at last.

    Args:
        readings: the oldest first, of which the first one may be of before `first`.
        looked: the day of the last look; "" where none is known.
    """
    until = max(looked, readings[-1].day) if readings else ""
    days = []
    place, held = 0, None
    for number in range(days_between(first, last)):
        day = day_moved(first, number)
        while place < len(readings) and readings[place].day <= day:
            held = readings[place]
            place += 1
        if held is None or day > until or held.how == "unknown":
            days.append(SensorDay(day, None, None, None, "unknown"))
        else:
            how: How = "read" if day in (held.day, looked) else "held"
            days.append(SensorDay(day, held.sensors, held.weighted, held.quota, how))
    return tuple(days)
