"""The figures of the first screen."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Table, func, or_, select, text

from store.alerts import WOKEN, AlertFilter
from store.bodies import storable
from store.handover import waiting_for
from store.models import (
    ApiKey,
    ConfigurationRecord,
    Detection,
    DirectPermission,
    GroupMember,
    GroupOrganization,
    Snooze,
)
from store.queries.alerts import snoozed as snoozed_of
from store.queries.organizations import (
    HEALTH,
    OPEN,
    Completeness,
    TreeRow,
    completeness,
    organizations,
    tree,
)
from store.queries.scopes import oids_of
from store.text import Untrusted

_SNOOZE: Table = Snooze.__table__  # type: ignore[attr-defined]
HOUR = 3_600_000
STALE_KEY = 90 * 24 * HOUR
"""Milliseconds without use after which a key is called stale."""
ATTENTION = 10


COUNTED = 10_000
"""Where counting what is late stops."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What somebody who begins a shift looks at first."""

    unclaimed: int
    """Open, hidden from nobody, and nobody's."""
    mine: int
    late: int
    """Open ones whose clock has breached its target; COUNTED is that many or more."""
    snoozed: int
    handed: int
    """Items that others handed over and nobody has accepted or bounced."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything about a scope that fits on one screen."""

    completeness: Completeness
    by_severity: tuple[int, int, int, int, int]
    """Open alerts, info to critical."""
    oldest_open: int | None
    """Time of the oldest open alert of the worst severity present (ms)."""
    per_hour: tuple[int, ...]
    """Detections in each of the last 24 hours, oldest first."""
    sensors: int
    sensors_online: int
    over_quota: tuple[tuple[str, Untrusted], ...]
    """(oid, name)"""
    errors: int
    keys_stale: int
    """API keys unused for 90 days or never."""
    users: int
    records: int
    attention: tuple[TreeRow, ...]
    """At most ten organizations that need someone, worst first."""
    shift: Shift


def overview(connection: Connection, *, scope: str = "", now: int, operator: str = "") -> Overview:
    """The figures of a scope ("" is all organizations).

    Args:
        operator: whose `mine` and `handed` are counted.
    """
    rows = [row for row in organizations(connection, scope=scope, now=now) if not row.gone]
    oids = oids_of(connection, scope)
    by_severity = [sum(row.by_severity[severity] for row in rows) for severity in range(5)]
    here = {row.oid for row in rows}
    one_by_one = [row for row in tree(connection, now=now) if row.oid in here and not _is_well(row)]
    one_by_one.sort(
        key=lambda row: (-HEALTH.index(row.health), tuple(-n for n in reversed(row.by_severity)), row.path)
    )
    return Overview(
        completeness=completeness(connection, scope=scope, now=now),
        by_severity=(by_severity[0], by_severity[1], by_severity[2], by_severity[3], by_severity[4]),
        oldest_open=_oldest_open(connection, oids, by_severity),
        per_hour=_per_hour(connection, oids, now),
        sensors=sum(row.sensors for row in rows),
        sensors_online=sum(row.sensors_online or 0 for row in rows),
        over_quota=tuple(
            (row.oid, row.name)
            for row in rows
            if row.sensor_quota and row.quota_used is not None and row.quota_used > row.sensor_quota
        ),
        errors=sum(row.errors for row in rows),
        keys_stale=_keys_stale(connection, oids, now),
        users=_users(connection, oids),
        records=_records(connection, oids),
        attention=tuple(one_by_one[:ATTENTION]),
        shift=_shift(connection, oids, scope, sum(by_severity), operator, now),
    )


def _shift(
    connection: Connection,
    oids: Select[tuple[str]] | None,
    scope: str,
    opened: int,
    operator: str,
    now: int,
) -> Shift:
    """Each by an index of its own: who holds what, what is late, what is snoozed."""
    detection = Detection.__table__.c  # type: ignore[attr-defined]
    held = text("detection.assignee <> ''")

    def many(*conditions: Any) -> int:
        within = [] if oids is None else [detection.oid.in_(oids)]
        some = select(detection.id).where(OPEN, *conditions, *within).limit(COUNTED).subquery()
        return int(connection.execute(select(func.count()).select_from(some)).scalar_one())

    # By the snoozes: there is no index over what they hide.
    asleep = select(_SNOOZE.c.detection_id).where(_SNOOZE.c.woken_at.is_(None))
    snoozed = snoozed_of(connection, AlertFilter(scope=scope))
    taken = many(held)
    both = many(held, detection.id.in_(asleep)) if snoozed else 0
    return Shift(
        # What is snoozed and held would be taken away twice.
        unclaimed=max(0, opened - taken - snoozed + both),
        mine=many(held, detection.assignee == storable(operator)) if operator else 0,
        late=many(detection.due_at < now),
        snoozed=snoozed,
        handed=waiting_for(connection, operator, scope=scope) if operator else 0,
    )


def _is_well(row: TreeRow) -> bool:
    return row.health == "well" and not any(row.by_severity[3:])


def _oldest_open(
    connection: Connection, oids: Select[tuple[str]] | None, by_severity: list[int]
) -> int | None:
    worst = max((severity for severity, count in enumerate(by_severity) if count), default=None)
    if worst is None:
        return None
    detection = Detection.__table__.c  # type: ignore[attr-defined]
    wanted = select(func.min(detection.time)).where(
        OPEN, detection.rank.in_((worst, WOKEN)), detection.severity == worst
    )
    if oids is not None:
        wanted = wanted.where(detection.oid.in_(oids))
    oldest: int | None = connection.execute(wanted).scalar_one()
    return oldest


def _per_hour(connection: Connection, oids: Select[tuple[str]] | None, now: int) -> tuple[int, ...]:
    detection = Detection.__table__.c  # type: ignore[attr-defined]
    start = now - 24 * HOUR
    hour = (detection.time - start) // HOUR
    wanted = select(hour, func.count()).where(detection.time >= start, detection.time < now).group_by(hour)
    if oids is not None:
        wanted = wanted.where(detection.oid.in_(oids))
    found = {int(each): count for each, count in connection.execute(wanted)}
    return tuple(found.get(each, 0) for each in range(24))


def _keys_stale(connection: Connection, oids: Select[tuple[str]] | None, now: int) -> int:
    key = ApiKey.__table__.c  # type: ignore[attr-defined]
    wanted = select(func.count()).where(or_(key.last_used.is_(None), key.last_used < now - STALE_KEY))
    if oids is not None:
        wanted = wanted.where(key.oid.in_(oids))
    return connection.execute(wanted).scalar_one()


def _users(connection: Connection, oids: Select[tuple[str]] | None) -> int:
    """People with any access in the scope."""
    direct = DirectPermission.__table__.c  # type: ignore[attr-defined]
    member = GroupMember.__table__.c  # type: ignore[attr-defined]
    holds = GroupOrganization.__table__.c  # type: ignore[attr-defined]
    granted, held = select(direct.email), select(holds.gid)
    if oids is not None:
        granted, held = granted.where(direct.oid.in_(oids)), held.where(holds.oid.in_(oids))
    through = select(member.email).where(member.owner.is_(False), member.gid.in_(held))
    return connection.execute(
        select(func.count()).select_from(granted.union(through).subquery())
    ).scalar_one()


def _records(connection: Connection, oids: Select[tuple[str]] | None) -> int:
    record = ConfigurationRecord.__table__.c  # type: ignore[attr-defined]
    wanted = select(func.count()).where(record.valid_to.is_(None))
    if oids is not None:
        wanted = wanted.where(record.oid.in_(oids))
    return connection.execute(wanted).scalar_one()
