"""The figures of the first screen."""

from dataclasses import dataclass

from sqlalchemy import Connection, Select, func, or_, select

from store.alerts import WOKEN
from store.models import (
    ApiKey,
    ConfigurationRecord,
    Detection,
    DirectPermission,
    GroupMember,
    GroupOrganization,
)
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

HOUR = 3_600_000
STALE_KEY = 90 * 24 * HOUR
"""Milliseconds without use after which a key is called stale."""
ATTENTION = 10


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


def overview(connection: Connection, *, scope: str = "", now: int) -> Overview:
    """The figures of a scope ("" is all organizations)."""
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
