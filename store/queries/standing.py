"""How single organizations stand: everything that is rolled up over them, part by part.

A part is what changes together (`store.changes`). Each reader answers for the organizations that it is asked
for, or for all; what is asked for one by one costs the same however many others there are.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    text,
)

from store import models
from store.alerts import WOKEN
from store.freshness import STALE_AFTER, state_of
from store.text import Untrusted

_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]
_NODE: Table = models.Node.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]
_SENSOR: Table = models.Sensor.__table__  # type: ignore[attr-defined]
_COUNT: Table = models.DetectionCount.__table__  # type: ignore[attr-defined]
_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_SNOOZE: Table = models.Snooze.__table__  # type: ignore[attr-defined]
_ERROR: Table = models.OrganizationError.__table__  # type: ignore[attr-defined]
_KEY: Table = models.ApiKey.__table__  # type: ignore[attr-defined]
_CASE: Table = models.CaseRecord.__table__  # type: ignore[attr-defined]

HOUR = 3_600_000
DAY = 24 * HOUR

STALE_KEY = 90 * DAY
"""Milliseconds without use after which a key is called stale."""

SILENT = 7 * DAY
"""Milliseconds after which a sensor that was not heard of is called silent."""

SOON = HOUR
"""Milliseconds before its target from which on an alert is said to be due soon."""

COUNTED = 10_000
"""Where counting the late alerts of one organization stops."""

OPEN = _D.c.status < literal_column("2")
"""Spelled as the partial indexes spell it: a bound value may hide that they apply."""

HELD = _D.c.assignee != literal_column("''")

UNREAD: tuple[str, ...] = ("detections", "sensors", "cases", "errors")
"""Subjects whose figures are not known before they were read once."""

ALWAYS: tuple[str, ...] = ("detections", "sensors")
"""Of those: what every organization has."""

NONE_OPEN = (0, 0, 0, 0, 0)
_NO_TEXT = Untrusted("")


@dataclass(slots=True)
class Standing:
    """One organization. What has a time is of the moment for which it was read, and holds until `until`."""

    oid: str
    name: Untrusted = _NO_TEXT
    path: Untrusted = _NO_TEXT
    """Node names from the root down to its own node, joined by `/`; its name when it has none."""
    region: Untrusted = _NO_TEXT
    sensor_quota: int | None = None
    quota_used: float | None = None
    sensors_online: int | None = None
    gone: bool = False
    synced_at: int | None = None
    """When its detections were last read completely (ms)."""
    state: str = "never"
    """fresh, stale, failed or never."""
    reason: Untrusted = _NO_TEXT
    errors: int = 0
    unread: frozenset[str] = frozenset()
    """Of UNREAD: what was never read of it, so that none in the store is not none."""
    stale_from: int | None = None

    by_severity: tuple[int, int, int, int, int] = NONE_OPEN
    oldest: int | None = None
    """Time of the oldest open alert of the worst severity that is open."""
    late: int = 0
    """Open alerts whose clock has breached its target; COUNTED is that many or more."""
    soon: int = 0
    """Those that will within SOON."""
    first_due: int | None = None
    """The earliest target of an open alert, breached or not."""
    next_due: int | None = None
    """The next one to be breached."""
    holders: dict[str, int] = field(default_factory=dict)
    """Who has how many of its open alerts."""
    asleep: int = 0
    """Open and snoozed."""
    asleep_held: int = 0
    alerts_until: int | None = None

    sensors: int = 0
    silent: int = 0
    """Not heard of for SILENT."""
    sensors_until: int | None = None

    keys: int = 0
    keys_stale: int = 0
    keys_until: int | None = None

    cases: int = 0
    """Open ones."""

    @property
    def until(self) -> int | None:
        """From when on something of it is otherwise, by time alone (ms); None when that never is."""
        times = [
            at
            for at in (self.stale_from, self.alerts_until, self.sensors_until, self.keys_until)
            if at is not None
        ]
        return min(times) if times else None

    @property
    def worst(self) -> int:
        """The worst severity that is open; -1 when nothing is."""
        return max((each for each in range(5) if self.by_severity[each]), default=-1)

    @property
    def unknown(self) -> frozenset[str]:
        """Of UNREAD: of what nothing is known. What came in by another way is known all the same."""
        held = {
            "detections": any(self.by_severity), "sensors": self.sensors, "cases": self.cases,
            "errors": self.errors,
        }  # fmt: skip
        return frozenset(subject for subject in self.unread if not held[subject])

    @property
    def over_quota(self) -> bool:
        """Whether more sensors are weighed than are paid for."""
        return bool(self.sensor_quota and self.quota_used is not None and self.quota_used > self.sensor_quota)

    @property
    def unclaimed(self) -> int:
        """Open, hidden from nobody, and nobody's."""
        # What is snoozed and held would be taken away twice.
        return max(0, sum(self.by_severity) - sum(self.holders.values()) - self.asleep + self.asleep_held)

    def health(self) -> tuple[str, str]:
        """Of `store.queries.totals.HEALTH`, and why it is not well in a few words."""
        if self.state == "failed":
            return "failed", self.reason
        if self.gone:
            return "failed", "no longer listed"
        if self.state == "never":
            return "unknown", "never synced"
        if self.state == "stale":
            return "unknown", "not read lately"
        if self.late:
            return "partly", f"{self.late:,}{'+' if self.late >= COUNTED else ''} past SLA"
        if self.over_quota:
            return "partly", f"over quota: {self.quota_used:g} of {self.sensor_quota}"
        if self.errors:
            return "partly", f"{self.errors} standing errors" if self.errors > 1 else "a standing error"
        if self.by_severity[4]:
            return "partly", f"{self.by_severity[4]} critical open"
        return "well", ""


Standings = dict[str, Standing]
Asked = Collection[str] | None
"""oids, or all."""


def standings(connection: Connection, oids: Asked, now: int) -> Standings:
    """oid -> how it stands; organizations that are not listed are left out."""
    found: Standings = {}
    read_state(connection, found, oids, now)
    for read in (read_alerts, read_held, read_sensors, read_keys, read_cases):
        read(connection, found, oids, now)
    return found


def _limited(statement: Select[Any], column: Any, oids: Asked) -> Iterator[Any]:
    """The statement, for so many oids at a time as can be bound."""
    if oids is None:
        yield statement
        return
    listed = sorted(oids)
    for at in range(0, len(listed), 500):
        yield statement.where(column.in_(listed[at : at + 500]))


def _rows(connection: Connection, statement: Select[Any], column: Any, oids: Asked) -> Iterator[Any]:
    for part in _limited(statement, column, oids):
        yield from connection.execute(part)


def _asked(found: Standings, oids: Asked) -> Iterable[Standing]:
    return found.values() if oids is None else (found[oid] for oid in oids if oid in found)


def read_state(connection: Connection, found: Standings, oids: Asked, now: int) -> None:
    """What the listing says of it, how fresh it is, its standing errors. New ones are put into `found`."""
    states: dict[str, dict[str, Any]] = {}
    wanted = select(_STATE.c.oid, _STATE.c.subject, _STATE.c.checked_at, _STATE.c.failure, _STATE.c.reason)
    wanted = wanted.where(
        or_(
            _STATE.c.subject.in_(("organization", *ALWAYS)),
            and_(_STATE.c.checked_at.is_(None), _STATE.c.failure != ""),
        )
    )
    for row in _rows(connection, wanted, _STATE.c.oid, oids):
        states.setdefault(row.oid, {})[row.subject] = row
    counted = select(_ERROR.c.oid, func.count()).group_by(_ERROR.c.oid)
    errors = {oid: count for oid, count in _rows(connection, counted, _ERROR.c.oid, oids)}
    listed = select(
        _ORGANIZATION.c.oid, _ORGANIZATION.c.name, _ORGANIZATION.c.region, _ORGANIZATION.c.sensors_online,
        _ORGANIZATION.c.sensor_quota, _ORGANIZATION.c.quota_used, _ORGANIZATION.c.gone_at, _NODE.c.path,
    ).select_from(_ORGANIZATION.outerjoin(_NODE, _NODE.c.oid == _ORGANIZATION.c.oid))  # fmt: skip
    for row in _rows(connection, listed, _ORGANIZATION.c.oid, oids):
        one = found.get(row.oid)
        if one is None:
            one = found[row.oid] = Standing(row.oid)
        one.name, one.region = Untrusted(row.name), Untrusted(row.region)
        one.path = Untrusted(row.path or row.name)
        one.sensors_online, one.sensor_quota = row.sensors_online, row.sensor_quota
        one.quota_used, one.gone = row.quota_used, row.gone_at is not None
        state, reason, one.synced_at = _freshness(states.get(row.oid, {}), now)
        one.state, one.reason = state, Untrusted(reason)
        one.stale_from = one.synced_at + STALE_AFTER + 1 if state == "fresh" and one.synced_at else None
        one.errors = errors.get(row.oid, 0)
        one.unread = _unread(states.get(row.oid, {}))


def _unread(states: dict[str, Any]) -> frozenset[str]:
    """Of UNREAD: what failed and was never read before; everything where nothing decisive was ever read.

    Every organization has ALWAYS: until those were read, as in the first minutes of a first sync, nothing is
    known of them. Another subject that nothing is said of, such as the cases where the extension is missing,
    goes with the decisive ones.
    """
    decisive = (states.get(subject) for subject in ("detections", "organization"))
    if all(each is None or each.checked_at is None for each in decisive):
        return frozenset(UNREAD)
    never = {subject for subject in ALWAYS if subject not in states or states[subject].checked_at is None}
    return frozenset(never | {subject for subject in UNREAD if subject in states and subject not in ALWAYS})


def _freshness(states: dict[str, Any], now: int) -> tuple[str, str, int | None]:
    """State, reason and time of an organization, of what is known of its decisive subjects."""
    detections, record = states.get("detections"), states.get("organization")
    checked_at = detections.checked_at if detections else None
    for each in (detections, record):
        if each is not None and each.failure:
            return "failed", each.reason or each.failure, checked_at
    return state_of(checked_at, "", now), "", checked_at


# Each by an index that begins with the organization, so that it costs the same among any number of alerts.
_MINE = "FROM detection WHERE status < 2 AND oid = :oid"
_ONE = text(
    f"SELECT (SELECT count(*) FROM (SELECT 1 {_MINE} AND due_at < :now LIMIT :most) AS late),"
    f" (SELECT count(*) FROM (SELECT 1 {_MINE} AND due_at >= :now AND due_at < :soon LIMIT :most) AS soon),"
    f" (SELECT min(due_at) {_MINE}),"
    f" (SELECT min(due_at) {_MINE} AND due_at >= :now),"
    f" (SELECT min(due_at) {_MINE} AND due_at >= :soon),"
    f" (SELECT min(time) {_MINE} AND rank = :worst),"
    f" (SELECT min(time) {_MINE} AND rank = :woken AND severity = :worst)"
).bindparams(bindparam("most", COUNTED), bindparam("woken", WOKEN))


def read_alerts(connection: Connection, found: Standings, oids: Asked, now: int) -> None:
    """What is open, and how late it is."""
    counts: dict[str, list[int]] = {}
    counted = (
        select(_COUNT.c.oid, _COUNT.c.severity, func.sum(_COUNT.c.count))
        .where(_COUNT.c.status < 2)
        .group_by(_COUNT.c.oid, _COUNT.c.severity)
    )
    for oid, severity, count in _rows(connection, counted, _COUNT.c.oid, oids):
        counts.setdefault(oid, [0] * 5)[severity] = int(count)
    for one in _asked(found, oids):
        many = counts.get(one.oid)
        one.by_severity = (many[0], many[1], many[2], many[3], many[4]) if many else NONE_OPEN
        one.late = one.soon = 0
        one.oldest = one.first_due = one.next_due = one.alerts_until = None
    if _most(connection, oids):
        _clocks_of_all(connection, {one.oid: one for one in _asked(found, oids)}, now)
        return
    for one in _asked(found, oids):
        if any(one.by_severity):
            _clocks_of_one(connection, one, now)


def _most(connection: Connection, oids: Asked) -> bool:
    """Whether more than half of the organizations are asked for, so that reading all takes less."""
    if oids is None:
        return True
    listed = connection.execute(select(func.count()).select_from(_ORGANIZATION)).scalar_one()
    return len(oids) * 2 > int(listed)


def read_held(connection: Connection, found: Standings, oids: Asked, now: int) -> None:
    """Who has how many of the open ones, and how many are snoozed."""
    for one in _asked(found, oids):
        one.asleep = one.asleep_held = 0
        one.holders = {}
    held = select(_D.c.oid, _D.c.assignee, func.count()).where(OPEN, HELD).group_by(_D.c.oid, _D.c.assignee)
    for oid, who, count in _rows(connection, held, _D.c.oid, oids):
        if (owner := found.get(oid)) is not None:
            owner.holders[who] = int(count)
    asleep = (
        select(_SNOOZE.c.oid, func.count(), func.sum(case((HELD, 1), else_=0)))
        .select_from(_SNOOZE.join(_D, _D.c.id == _SNOOZE.c.detection_id))
        .where(_SNOOZE.c.woken_at.is_(None), OPEN, _D.c.snoozed_until.is_not(None))
        .group_by(_SNOOZE.c.oid)
    )
    for oid, count, held in _rows(connection, asleep, _SNOOZE.c.oid, oids):
        if (slept := found.get(oid)) is not None:
            slept.asleep, slept.asleep_held = int(count), int(held)


def _clocks_of_one(connection: Connection, one: Standing, now: int) -> None:
    bound = {"oid": one.oid, "now": now, "soon": now + SOON, "worst": one.worst}
    row = connection.execute(_ONE, bound).one()
    one.late, one.soon, one.first_due, one.next_due, later, plain, woken = row
    one.oldest = min((each for each in (plain, woken) if each is not None), default=None)
    one.alerts_until = _next(one.next_due, later)


def _next(next_due: int | None, later: int | None) -> int | None:
    """When the next clock breaches, or the next one comes to be due soon."""
    times = [] if next_due is None else [next_due + 1]
    if later is not None:
        times.append(later - SOON + 1)
    return min(times, default=None)


def _clocks_of_all(connection: Connection, found: Standings, now: int) -> None:
    due, soon = _D.c.due_at, now + SOON
    clocks = (
        select(
            _D.c.oid,
            func.sum(case((due < now, 1), else_=0)),
            func.sum(case(((due >= now) & (due < soon), 1), else_=0)),
            func.min(due),
            func.min(case((due >= now, due))),
            func.min(case((due >= soon, due))),
        )
        .where(OPEN, due.is_not(None))
        .group_by(_D.c.oid)
    )
    for oid, late, near, first, following, later in connection.execute(clocks):
        if (one := found.get(oid)) is not None:
            one.late, one.soon = min(int(late), COUNTED), min(int(near), COUNTED)
            one.first_due, one.next_due = first, following
            one.alerts_until = _next(following, later)
    ranked = select(_D.c.oid, _D.c.rank, func.min(_D.c.time)).where(OPEN).group_by(_D.c.oid, _D.c.rank)
    for oid, rank, oldest in connection.execute(ranked):
        if (one := found.get(oid)) is not None and rank == one.worst:
            one.oldest = oldest
    woken = (
        select(_D.c.oid, _D.c.severity, func.min(_D.c.time))
        .where(OPEN, _D.c.rank == WOKEN)
        .group_by(_D.c.oid, _D.c.severity)
    )
    for oid, severity, oldest in connection.execute(woken):
        if (one := found.get(oid)) is not None and severity == one.worst:
            one.oldest = oldest if one.oldest is None else min(one.oldest, oldest)


def read_sensors(connection: Connection, found: Standings, oids: Asked, now: int) -> None:
    """How many sensors there are, and which have been silent for long."""
    since, alive = now - SILENT, _SENSOR.c.alive
    counted = select(
        _SENSOR.c.oid,
        func.count(),
        func.sum(case((alive.is_(None) | (alive < since), 1), else_=0)),
        func.min(case((alive >= since, alive))),
    ).group_by(_SENSOR.c.oid)
    for one in _asked(found, oids):
        one.sensors, one.silent, one.sensors_until = 0, 0, None
    for oid, count, silent, oldest in _rows(connection, counted, _SENSOR.c.oid, oids):
        if (one_ := found.get(oid)) is not None:
            one_.sensors, one_.silent = int(count), int(silent)
            one_.sensors_until = None if oldest is None else oldest + SILENT + 1


def read_keys(connection: Connection, found: Standings, oids: Asked, now: int) -> None:
    """How many API keys there are, and which nobody used for long."""
    since, used = now - STALE_KEY, _KEY.c.last_used
    counted = select(
        _KEY.c.oid,
        func.count(),
        func.sum(case((used.is_(None) | (used < since), 1), else_=0)),
        func.min(case((used >= since, used))),
    ).group_by(_KEY.c.oid)
    for one in _asked(found, oids):
        one.keys, one.keys_stale, one.keys_until = 0, 0, None
    for oid, count, stale, oldest in _rows(connection, counted, _KEY.c.oid, oids):
        if (one_ := found.get(oid)) is not None:
            one_.keys, one_.keys_stale = int(count), int(stale)
            one_.keys_until = None if oldest is None else oldest + STALE_KEY + 1


def read_cases(connection: Connection, found: Standings, oids: Asked, now: int) -> None:
    """How many cases are open."""
    opened = (
        select(_CASE.c.oid, func.count()).where(_CASE.c.status < literal_column("2")).group_by(_CASE.c.oid)
    )
    for one in _asked(found, oids):
        one.cases = 0
    for oid, count in _rows(connection, opened, _CASE.c.oid, oids):
        if (one_ := found.get(oid)) is not None:
            one_.cases = int(count)
