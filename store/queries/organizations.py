"""Organizations and the tree over them, with what is rolled up."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, case, func, literal_column, or_, select

from store.freshness import SUBJECTS, state_of
from store.models import (
    ApiKey,
    ConfigurationRecord,
    Detection,
    DetectionCount,
    DirectPermission,
    GroupMember,
    GroupOrganization,
    Node,
    Organization,
    OrganizationError,
    Sensor,
    SyncState,
)
from store.queries.scopes import UNPLACED, oids_of
from store.text import Untrusted

_organization = Organization.__table__.c  # type: ignore[attr-defined]
_node = Node.__table__.c  # type: ignore[attr-defined]
_state = SyncState.__table__.c  # type: ignore[attr-defined]
_sensor = Sensor.__table__.c  # type: ignore[attr-defined]
_counter = DetectionCount.__table__.c  # type: ignore[attr-defined]
_detection = Detection.__table__.c  # type: ignore[attr-defined]
_error = OrganizationError.__table__.c  # type: ignore[attr-defined]

DAY = 86_400_000

OPEN = _detection.status < literal_column("2")
"""Spelled as the partial indexes spell it: a bound value may hide that they apply."""

HEALTH: tuple[str, ...] = ("well", "partly", "unknown", "failed")
"""Worst last: `o`, `~`, `.`, `x`. Unknown (never synced) is not healthy."""


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    """One organization in a list."""

    oid: str
    name: Untrusted
    path: Untrusted
    """Node names from the root down to the organization's own node, joined by `/`; its name when unplaced."""
    region: Untrusted
    sensors: int
    sensors_online: int | None
    open_alerts: int
    by_severity: tuple[int, int, int, int, int]
    """Open alerts, info to critical."""
    sensor_quota: int | None
    quota_used: float | None
    errors: int
    synced_at: int | None
    """When its detections were last read completely (ms)."""
    state: str
    """fresh, stale, failed or never."""
    reason: Untrusted
    """Why it failed; "" otherwise."""
    gone: bool
    """A complete listing no longer named it."""


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One node with what is below it, itself included, rolled up."""

    id: str
    parent_id: str | None
    name: Untrusted
    oid: str | None
    depth: int
    path: Untrusted
    has_children: bool
    labels: dict[str, str]
    """Inherited ones included."""
    marks: tuple[str, ...]
    """Inherited ones included."""
    organizations: int
    fresh: int
    failed: int
    sensors: int
    sensors_online: int
    open_alerts: int
    by_severity: tuple[int, int, int, int, int]
    errors: int
    quota: int
    """Sum of the sensor quotas that are known."""
    quota_used: float
    health: str
    """Of HEALTH: the worst below."""
    reason: Untrusted
    """Why it is not well, in a few words; the worst one."""
    synced_at: int | None
    """The oldest of the organizations below; None if one was never synced."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """n of m: what a total over a scope is made of, and what it lacks."""

    organizations: int
    fresh: int
    oldest: int | None
    """The oldest successful reading among the fresh ones (ms)."""
    missing: tuple[tuple[str, str, str, str], ...] = field(default=())
    """(oid, name, state, reason) of those that are not fresh."""


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
    users: int
    keys: int
    groups: int
    records: tuple[tuple[str, int], ...]
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
    connection: Connection, wanted: Select[tuple[str]] | Sequence[str] | None, now: int
) -> dict[str, OrganizationRow]:
    """oid -> row, of the wanted organizations or of all."""

    def limited(statement: Select[Any], column: Any) -> Select[Any]:
        return statement if wanted is None else statement.where(column.in_(wanted))

    sensors = _by_key(
        connection, limited(select(_sensor.oid, func.count()).group_by(_sensor.oid), _sensor.oid)
    )
    errors = _by_key(connection, limited(select(_error.oid, func.count()).group_by(_error.oid), _error.oid))
    counts: dict[str, list[int]] = {}
    for oid, severity, count in connection.execute(
        limited(
            select(_counter.oid, _counter.severity, func.sum(_counter.count))
            .where(_counter.status < 2)
            .group_by(_counter.oid, _counter.severity),
            _counter.oid,
        )
    ):
        counts.setdefault(oid, [0] * 5)[severity] = int(count)
    states: dict[str, dict[str, Any]] = {}
    for row in connection.execute(
        limited(
            select(_state.oid, _state.subject, _state.checked_at, _state.failure, _state.reason).where(
                _state.subject.in_(("detections", "organization"))
            ),
            _state.oid,
        )
    ):
        states.setdefault(row.oid, {})[row.subject] = row
    answer = {}
    for row in connection.execute(
        limited(
            select(
                _organization.oid, _organization.name, _organization.region, _organization.sensors_online,
                _organization.sensor_quota, _organization.quota_used, _organization.gone_at, _node.path,
            ).join_from(Organization, Node, _organization.oid == _node.oid, isouter=True),
            _organization.oid,
        )
    ):  # fmt: skip
        state, reason, checked_at = _freshness(states.get(row.oid, {}), now)
        by_severity = counts.get(row.oid, [0] * 5)
        answer[row.oid] = OrganizationRow(
            oid=row.oid,
            name=Untrusted(row.name),
            path=Untrusted(row.path or row.name),
            region=Untrusted(row.region),
            sensors=sensors.get(row.oid, 0),
            sensors_online=row.sensors_online,
            open_alerts=sum(by_severity),
            by_severity=_five(by_severity),
            sensor_quota=row.sensor_quota,
            quota_used=row.quota_used,
            errors=errors.get(row.oid, 0),
            synced_at=checked_at,
            state=state,
            reason=Untrusted(reason),
            gone=row.gone_at is not None,
        )
    return answer


def _by_key(connection: Connection, statement: Select[Any]) -> dict[Any, int]:
    """Of a statement that answers (key, count)."""
    return {key: int(count) for key, count in connection.execute(statement)}


def _freshness(states: dict[str, Any], now: int) -> tuple[str, str, int | None]:
    """State, reason and time of an organization, of what is known of its decisive subjects."""
    detections, record = states.get("detections"), states.get("organization")
    checked_at = detections.checked_at if detections else None
    for each in (detections, record):
        if each is not None and each.failure:
            return "failed", each.reason or each.failure, checked_at
    return state_of(checked_at, "", now), "", checked_at


def _five(counts: Sequence[int]) -> tuple[int, int, int, int, int]:
    return (counts[0], counts[1], counts[2], counts[3], counts[4])


@dataclass(slots=True)
class _Sum:
    """What is rolled up over the organizations below a node."""

    organizations: int = 0
    fresh: int = 0
    failed: int = 0
    sensors: int = 0
    online: int = 0
    by_severity: list[int] = field(default_factory=lambda: [0] * 5)
    errors: int = 0
    quota: int = 0
    quota_used: float = 0.0
    health: int = 0
    reason: str = ""
    synced_at: int | None = None
    never: bool = False

    def add(self, row: OrganizationRow) -> None:
        """Count one organization."""
        self.organizations += 1
        self.fresh += row.state == "fresh"
        self.failed += row.state == "failed"
        self.sensors += row.sensors
        self.online += row.sensors_online or 0
        self.by_severity = [mine + its for mine, its in zip(self.by_severity, row.by_severity, strict=True)]
        self.errors += row.errors
        self.quota += row.sensor_quota or 0
        self.quota_used += row.quota_used or 0.0
        health, reason = health_of(row)
        if HEALTH.index(health) > self.health:
            self.health, self.reason = HEALTH.index(health), reason
        if row.synced_at is None:
            self.never, self.synced_at = True, None
        elif not self.never:
            self.synced_at = row.synced_at if self.synced_at is None else min(self.synced_at, row.synced_at)


def health_of(row: OrganizationRow) -> tuple[str, str]:
    """An organization's health, of HEALTH, and why it is not well in a few words."""
    if row.state == "failed":
        return "failed", row.reason
    if row.gone:
        return "failed", "no longer listed"
    if row.state == "never":
        return "unknown", "never synced"
    if row.state == "stale":
        return "unknown", "not read lately"
    if row.sensor_quota and row.quota_used is not None and row.quota_used > row.sensor_quota:
        return "partly", f"over quota: {row.quota_used:g} of {row.sensor_quota}"
    if row.errors:
        return "partly", f"{row.errors} standing errors" if row.errors > 1 else "a standing error"
    if row.by_severity[4]:
        return "partly", f"{row.by_severity[4]} critical open"
    return "well", ""


def tree(connection: Connection, *, now: int) -> list[TreeRow]:
    """The whole tree, depth first in the order of the file. The first row is the root. Organizations
    without a node stand below a last node with the id `unplaced`. Without any tree: the root, then that."""
    rows = _rows(connection, None, now)
    nodes = connection.execute(select(*_node).order_by(_node.first)).all()
    sums = {node.id: _Sum() for node in nodes}
    parents = {node.id: node.parent_id for node in nodes}
    placed = set()
    for node in nodes:
        if node.oid is None:
            continue
        placed.add(node.oid)
        row = rows.get(node.oid)
        if row is None:
            continue
        at: str | None = node.id
        while at is not None:
            sums[at].add(row)
            at = parents[at]
    lost = sorted(
        (row for oid, row in rows.items() if oid not in placed), key=lambda row: row.name.casefold()
    )
    everything, without = _Sum(), _Sum()
    for row in lost:
        without.add(row)
    labels: dict[str | None, dict[str, str]] = {None: {}}
    marks: dict[str | None, tuple[str, ...]] = {None: ()}
    answer = []
    for node in nodes:
        labels[node.id] = labels[node.parent_id] | node.labels
        inherited = marks[node.parent_id]
        marks[node.id] = inherited + tuple(mark for mark in node.marks if mark not in inherited)
        total = sums[node.id]
        if node.parent_id is None:
            for row in lost:
                total.add(row)
        answer.append(
            _tree_row(
                node.id, node.parent_id, node.name, node.oid, node.depth, node.path, total,
                labels[node.id], marks[node.id],
                has_children=node.last > node.first or (node.parent_id is None and bool(lost)),
            )
        )  # fmt: skip
    root = nodes[0].id if nodes else ""
    if not nodes:
        for row in rows.values():
            everything.add(row)
        answer.append(
            _tree_row("", None, "All organizations", None, 0, "", everything, {}, (), has_children=bool(rows))
        )
    if lost:
        answer.append(
            _tree_row(UNPLACED, root, "Unplaced", None, 1, "Unplaced", without, {}, (), has_children=True)
        )
        for row in lost:
            one = _Sum()
            one.add(row)
            answer.append(
                _tree_row(
                    row.oid,
                    UNPLACED,
                    row.name,
                    row.oid,
                    2,
                    row.name,
                    one,
                    {},
                    (),
                    has_children=False,
                )
            )
    return answer


def _tree_row(
    node_id: str,
    parent_id: str | None,
    name: str,
    oid: str | None,
    depth: int,
    path: str,
    total: _Sum,
    labels: dict[str, str],
    marks: tuple[str, ...],
    *,
    has_children: bool,
) -> TreeRow:
    known = total.organizations > 0
    return TreeRow(
        id=node_id,
        parent_id=parent_id,
        name=Untrusted(name),
        oid=oid,
        depth=depth,
        path=Untrusted(path),
        has_children=has_children,
        labels=labels,
        marks=marks,
        organizations=total.organizations,
        fresh=total.fresh,
        failed=total.failed,
        sensors=total.sensors,
        sensors_online=total.online,
        open_alerts=sum(total.by_severity),
        by_severity=_five(total.by_severity),
        errors=total.errors,
        quota=total.quota,
        quota_used=total.quota_used,
        health=HEALTH[total.health] if known else "unknown",
        reason=Untrusted(total.reason if known else "no organization known here"),
        synced_at=total.synced_at,
    )


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
    labels, marks, parameters = _inherited(connection, oid)
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
        users=_users(connection, oid),
        keys=_count(connection, ApiKey, oid),
        groups=_count(connection, GroupOrganization, oid),
        records=_records(connection, oid),
        subjects=_subjects(connection, oid),
    )


def marks_of(connection: Connection, oid: str) -> tuple[str, ...]:
    """The marks of an organization's node, inherited ones included: `protected`, `frozen`, ..."""
    return _inherited(connection, oid)[1]


def parameters_of(connection: Connection, oid: str) -> dict[str, object]:
    """An organization's parameters, its own and those of the nodes above."""
    return _inherited(connection, oid)[2]


def _inherited(connection: Connection, oid: str) -> tuple[dict[str, str], tuple[str, ...], dict[str, object]]:
    """Labels, marks and parameters of an organization's node, with those from above."""
    here = select(_node.first, _node.last).where(_node.oid == oid).subquery()
    above = connection.execute(
        select(_node.labels, _node.marks, _node.parameters)
        .where(_node.first <= here.c.first, _node.last >= here.c.last)
        .order_by(_node.first)
    )
    labels: dict[str, str] = {}
    marks: dict[str, None] = {}
    parameters: dict[str, object] = {}
    for row in above:
        labels |= row.labels
        marks |= dict.fromkeys(row.marks)
        parameters |= row.parameters
    return labels, tuple(marks), parameters


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
    found = _by_key(
        connection,
        select(day, func.count())
        .where(_detection.oid == oid, _detection.time >= start, _detection.time < now)
        .group_by(day),
    )
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
