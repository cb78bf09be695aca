"""Organizations and the tree over them, with what is rolled up."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, case, func, or_, select

from store.freshness import SUBJECTS
from store.models import (
    ApiKey,
    ConfigurationRecord,
    Detection,
    DirectPermission,
    GroupMember,
    GroupOrganization,
    Node,
    Organization,
    OrganizationError,
    Sensor,
    SyncState,
)
from store.queries.scopes import UNPLACED, UNPLACED_NAME, inherited, oids_of
from store.queries.standing import DAY, OPEN, Standing, standings
from store.queries.totals import Completeness, TreeRow
from store.text import Untrusted

_organization = Organization.__table__.c  # type: ignore[attr-defined]
_node = Node.__table__.c  # type: ignore[attr-defined]
_state = SyncState.__table__.c  # type: ignore[attr-defined]
_sensor = Sensor.__table__.c  # type: ignore[attr-defined]
_detection = Detection.__table__.c  # type: ignore[attr-defined]
_error = OrganizationError.__table__.c  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    """One organization in a list."""

    oid: str
    name: Untrusted
    path: Untrusted
    """Node names from the root down to the organization's own node, joined by `/`; its name when unplaced."""
    region: Untrusted
    sensors: int | None
    """None, here and below, when it was never read and so is not known."""
    sensors_online: int | None
    open_alerts: int | None
    by_severity: tuple[int, int, int, int, int]
    """Open alerts, info to critical; zeros too where they are not known."""
    sensor_quota: int | None
    quota_used: float | None
    errors: int | None
    synced_at: int | None
    """When its detections were last read completely (ms)."""
    state: str
    """fresh, stale, failed or never."""
    reason: Untrusted
    """Why it failed; "" otherwise."""
    gone: bool
    """A complete listing no longer named it."""
    late: int | None = 0
    """Open alerts past their target, up to `standing.COUNTED`."""
    cases: int | None = 0
    """Open ones."""
    silent: int | None = 0
    """Sensors that were not heard of for long."""


@dataclass(frozen=True, slots=True)
class OrganizationDetail:
    """What the detail of one organization shows."""

    row: OrganizationRow
    labels: dict[str, str]
    marks: tuple[str, ...]
    parameters: dict[str, object]
    platforms: tuple[tuple[int, int, int], ...]
    """(platform code, sensors, alive within a day)"""
    errors: tuple[tuple[str, str, int | None], ...]
    """(component, error, ms)"""
    top_rules: tuple[tuple[str, int], ...]
    """(category, open alerts), most first, at most five."""
    days: tuple[int, ...]
    """Detections per day, oldest first, the last 14 days."""
    users: int | None
    """None, here and below, when it was never read and so is not known."""
    keys: int | None
    groups: int | None
    records: tuple[tuple[str, int], ...] | None
    """(section, records) of the current configuration."""
    subjects: tuple[tuple[str, int | None, str, str], ...]
    """(subject, checked_at, failure, reason)"""


def path_of(connection: Connection, oid: str) -> str:
    """The path of an organization's node; "" when it has none."""
    return connection.execute(select(_node.path).where(_node.oid == oid)).scalar_one_or_none() or ""


def organizations(connection: Connection, *, scope: str = "", now: int) -> list[OrganizationRow]:
    """Every organization below the node `scope` ("" is all), by path, gone ones last."""
    found = _rows(connection, oids_of(connection, scope), now)
    return sorted(found.values(), key=lambda row: (row.gone, row.path.casefold(), row.oid))


def _rows(
    connection: Connection, wanted: Select[tuple[str]] | list[str] | None, now: int
) -> dict[str, OrganizationRow]:
    """oid -> row, of the wanted organizations or of all."""
    if isinstance(wanted, Select):
        wanted = [str(row[0]) for row in connection.execute(wanted)]
    return {oid: row_of(one) for oid, one in standings(connection, wanted, now).items()}


def row_of(one: Standing) -> OrganizationRow:
    """As a list has it."""
    unknown = one.unknown
    return OrganizationRow(
        oid=one.oid,
        name=one.name,
        path=one.path,
        region=one.region,
        sensors=None if "sensors" in unknown else one.sensors,
        sensors_online=one.sensors_online,
        open_alerts=None if "detections" in unknown else sum(one.by_severity),
        by_severity=one.by_severity,
        sensor_quota=one.sensor_quota,
        quota_used=one.quota_used,
        errors=None if "errors" in unknown else one.errors,
        synced_at=one.synced_at,
        state=one.state,
        reason=one.reason,
        gone=one.gone,
        late=None if "detections" in unknown else one.late,
        cases=None if "cases" in unknown else one.cases,
        silent=None if "sensors" in unknown else one.silent,
    )


def tree(connection: Connection, *, now: int) -> list[TreeRow]:
    """The whole tree, read from scratch: see `Rollup.rows`."""
    from store.queries.rollup import Rollup

    return Rollup().rows(connection, now=now)


def completeness(connection: Connection, *, scope: str = "", now: int) -> Completeness:
    """What the figures of a scope rest on. Organizations that are gone are not asked for."""
    rows = [row for row in organizations(connection, scope=scope, now=now) if not row.gone]
    fresh = [row for row in rows if row.state == "fresh"]
    return Completeness(
        organizations=len(rows),
        fresh=len(fresh),
        oldest=min((row.synced_at for row in fresh if row.synced_at is not None), default=None),
        missing=tuple((row.oid, row.name, row.state, row.reason) for row in rows if row.state != "fresh"),
    )


def organization(connection: Connection, oid: str, *, now: int) -> OrganizationDetail | None:
    """One organization by its oid."""
    row = _rows(connection, [oid], now).get(oid)
    if row is None:
        return None
    labels, marks, parameters = inherited(connection, oid)
    subjects = _subjects(connection, oid)
    read = {subject for subject, checked_at, _, _ in subjects if checked_at is not None}

    def known(number: int, subject: str) -> int | None:
        return number if number or subject in read else None

    return OrganizationDetail(
        row=row,
        labels=labels,
        marks=marks,
        parameters=parameters,
        platforms=_platforms(connection, oid, now),
        errors=tuple(
            (Untrusted(each.component), Untrusted(each.error), each.time)
            for each in connection.execute(
                select(*_error).where(_error.oid == oid).order_by(_error.component)
            )
        ),
        top_rules=tuple(
            (Untrusted(cat), count)
            for cat, count in connection.execute(
                select(_detection.cat, func.count())
                # Every rank is: with it SQLite takes the index of what is open, not that of all ids.
                .where(_detection.oid == oid, OPEN, _detection.rank >= 0)
                .group_by(_detection.cat)
                .order_by(func.count().desc(), _detection.cat)
                .limit(5)
            )
        ),
        days=_days(connection, oid, now),
        users=known(_users(connection, oid), "access"),
        keys=known(_count(connection, ApiKey, oid), "keys"),
        groups=known(_count(connection, GroupOrganization, oid), "access"),
        records=_records(connection, oid) or (() if "configuration" in read else None),
        subjects=subjects,
    )


def _platforms(connection: Connection, oid: str, now: int) -> tuple[tuple[int, int, int], ...]:
    alive = func.sum(case((_sensor.alive >= now - DAY, 1), else_=0))
    found = connection.execute(
        select(_sensor.platform, func.count(), alive)
        .where(_sensor.oid == oid)
        .group_by(_sensor.platform)
        .order_by(func.count().desc(), _sensor.platform)
    )
    return tuple((platform, count, int(seen or 0)) for platform, count, seen in found)


def _days(connection: Connection, oid: str, now: int, days: int = 14) -> tuple[int, ...]:
    """Detections per day, oldest first; a day is 24 hours that end now."""
    start = now - days * DAY
    day = (_detection.time - start) // DAY
    counted = (
        select(day, func.count())
        .where(_detection.oid == oid, _detection.time >= start, _detection.time < now)
        .group_by(day)
    )
    found = {int(each): count for each, count in connection.execute(counted)}
    return tuple(int(found.get(each, 0)) for each in range(days))


def _users(connection: Connection, oid: str) -> int:
    """People with any access: granted directly, or members of a group that holds the organization."""
    direct = select(DirectPermission.__table__.c.email).where(  # type: ignore[attr-defined]
        DirectPermission.__table__.c.oid == oid  # type: ignore[attr-defined]
    )
    member = GroupMember.__table__.c  # type: ignore[attr-defined]
    holds = GroupOrganization.__table__.c  # type: ignore[attr-defined]
    through = select(member.email).where(
        member.owner.is_(False), member.gid.in_(select(holds.gid).where(holds.oid == oid))
    )
    return connection.execute(select(func.count()).select_from(direct.union(through).subquery())).scalar_one()


def _count(connection: Connection, model: type[ApiKey] | type[GroupOrganization], oid: str) -> int:
    column = model.__table__.c.oid  # type: ignore[union-attr]
    return connection.execute(select(func.count()).where(column == oid)).scalar_one()


def _records(connection: Connection, oid: str) -> tuple[tuple[str, int], ...]:
    record = ConfigurationRecord.__table__.c  # type: ignore[attr-defined]
    found = connection.execute(
        select(record.section, func.count())
        .where(record.oid == oid, record.valid_to.is_(None))
        .group_by(record.section)
        .order_by(record.section)
    )
    return tuple((section, count) for section, count in found)


def _subjects(connection: Connection, oid: str) -> tuple[tuple[str, int | None, str, str], ...]:
    found = {
        row.subject: (row.subject, row.checked_at, row.failure, Untrusted(row.reason))
        for row in connection.execute(select(*_state).where(_state.oid == oid))
    }
    return tuple(found[subject] for subject in SUBJECTS if subject in found)


def find_organization(connection: Connection, text: str) -> list[tuple[str, str]]:
    """(oid, name) of those with this oid, exactly this name (NFC), or an oid that begins with it."""
    if not text:
        return []
    wanted = unicodedata.normalize("NFC", text)
    found = connection.execute(
        select(_organization.oid, _organization.name)
        .where(or_(_organization.oid == text, _organization.name.in_((text, wanted)), _prefix(text)))
        .order_by(_organization.name, _organization.oid)
    )
    return _best(
        found, lambda row: row[0] == text, lambda row: unicodedata.normalize("NFC", row[1]) == wanted
    )


def _prefix(text: str) -> Any:
    return _organization.oid.startswith(text.lower(), autoescape=True) if len(text) >= 4 else False


def _best(found: Iterable[tuple[str, str]], *tests: Any) -> list[tuple[str, str]]:
    """Those that pass the first test that any passes; all when none does."""
    rows = [(first, second) for first, second in found]
    for test in tests:
        if best := [row for row in rows if test(row)]:
            return best
    return rows


def find_scope(connection: Connection, text: str) -> list[tuple[str, str]]:
    """As `find_node`; and the pseudo-node over the organizations without a node, by its id or its name."""
    found = find_node(connection, text)
    return found or ([(UNPLACED, UNPLACED_NAME)] if text.casefold() == UNPLACED else [])


def find_node(connection: Connection, text: str) -> list[tuple[str, str]]:
    """(id, path) of nodes with this id, path, name or oid; exact matches only, id first."""
    if not text:
        return []
    found = connection.execute(
        select(_node.id, _node.path, _node.name, _node.oid)
        .where(or_(_node.id == text, _node.path == text, _node.name == text, _node.oid == text))
        .order_by(_node.first)
    ).all()
    for matches in (
        [row for row in found if row.id == text],
        [row for row in found if row.path == text],
        list(found),
    ):
        if matches:
            return [(row.id, row.path) for row in matches]
    return []
