"""Pages of the alert queue, by keyset."""

import operator
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, make_dataclass, replace
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Table,
    and_,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.sql.elements import ColumnElement

from store import models, textindex
from store.alerts import OPEN, SEVERITIES, STATUSES, AlertFilter
from store.bodies import storable, unpack
from store.models.columns import spelled
from store.queries.matching import GATHERED, PICKED, about, labels, word_query
from store.queries.matching import contains as contains
from store.queries.matching import organizations_named as organizations_named
from store.queries.scopes import NODE, ORGANIZATION, oids_of
from store.text import Untrusted

Key = tuple[int, ...]
"""(rank, time, id), each descending: the order of the queue. Or (due_at, id), ascending: next to breach."""


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One line of the queue."""

    id: int
    detect_id: Untrusted
    oid: str
    organization: Untrusted
    severity: int
    time: int
    cat: Untrusted
    rule: Untrusted
    hostname: Untrusted
    status: int
    assignee: Untrusted
    damaged: bool
    rank: int
    """Its severity, or `store.alerts.WOKEN` once it came back from a snooze."""
    due_at: int | None
    """When the clock that runs for it breaches its target (ms)."""
    classification: int
    version: int
    fold_id: int
    sid: Untrusted
    snoozed_until: int | None
    tags: Untrusted
    """Words with a space between."""
    order: str = "rank"
    """Of `store.alerts.ORDERS`: by which it was read."""

    @property
    def key(self) -> Key:
        """Where it stands in the order by which it was read."""
        if self.order == "due":
            return (self.due_at or 0, self.id)
        return (self.rank, self.time, self.id)


@dataclass(frozen=True, slots=True)
class AlertDetail:
    """One alert, whole."""

    row: AlertRow
    event_type: Untrusted
    priority: int | None
    path: Untrusted
    """Of the organization in the tree."""
    body: bytes
    """The detection as received, JSON text (or whatever came, when `row.damaged`)."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many; `exact` is False when counting stopped at the cap."""

    value: int
    exact: bool


_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_BODY: Table = models.DetectionBody.__table__  # type: ignore[attr-defined]
_SNOOZE: Table = models.Snooze.__table__  # type: ignore[attr-defined]
_COUNT: Table = models.DetectionCount.__table__  # type: ignore[attr-defined]
_FOLD: Table = models.Fold.__table__  # type: ignore[attr-defined]

COLUMNS = (
    _D.c.id, _D.c.detect_id, _D.c.oid, ORGANIZATION.c.name, _D.c.severity, _D.c.time, _D.c.cat, _D.c.rule,
    _D.c.hostname, _D.c.status, _D.c.assignee, _D.c.damaged, _D.c.rank, _D.c.due_at, _D.c.classification,
    _D.c.version, _D.c.fold_id, _D.c.sid, _D.c.snoozed_until, _D.c.tags,
)  # fmt: skip
_KEYS = (_D.c.rank, _D.c.time, _D.c.id)
_DUE_KEYS = (_D.c.due_at, _D.c.id)
_OPEN = text("detection.status < 2")
_DONE = text("detection.status >= 2")
"""Spelled as the partial indexes spell them: a bound value would hide that they apply."""

_PROBES = 40
"""With at most so many organizations or folds, each is paged by its own index and the pages are merged; with
more, the queue is walked and those wanted are picked out of it."""

_SORTED = 5_000
"""By time to breach, so many alerts of a few organizations are read and sorted; with more, the queue is
walked and those wanted are picked out of it."""

_Bound = tuple[Any, Key]
"""A comparison (`operator.lt` and its like), and the key that the keys of the rows are compared with."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to read: each of `probes` by its own index, `conditions` checked on what is found."""

    column: Any
    probes: tuple[Any, ...]
    conditions: tuple[ColumnElement[bool], ...]
    parts: tuple[Any, ...]
    """`_OPEN`, `_DONE` or both: the halves of the queue that are wanted."""
    by_due: bool = False
    """By time to breach, not by rank."""
    gathered: bool = False
    """No index has the rows in this order, and they are so few that reading and sorting them all is quick."""


def page(
    connection: Connection,
    wanted: AlertFilter,
    *,
    after: Key | None = None,
    before: Key | None = None,
    starting: Key | None = None,
    limit: int = 50,
) -> list[AlertRow]:
    """At most `limit` alerts in the order of the queue: worst and newest first, or as `wanted.order` says.

    Args:
        after: those behind this key; the queue's first ones when no key is given.
        before: the last `limit` ones ahead of this key (still answered in queue order).
        starting: like `after`, this key included.
    """
    if wanted.order == "due":
        # Ascending: what is "behind" is greater.
        ahead, behind, from_here = operator.lt, operator.gt, operator.ge
    else:
        ahead, behind, from_here = operator.gt, operator.lt, operator.le
    bounds: list[_Bound] = [
        (compare, key)
        for key, compare in ((after, behind), (starting, from_here), (before, ahead))
        if key is not None
    ]
    backwards = before is not None and after is None and starting is None
    return _read(connection, wanted, bounds, limit, backwards=backwards)


def last_page(connection: Connection, wanted: AlertFilter, *, limit: int = 50) -> list[AlertRow]:
    """The last `limit` alerts, in the order of the queue."""
    return _read(connection, wanted, [], limit, backwards=True)


def statements(connection: Connection, wanted: AlertFilter, *, limit: int = 50) -> list[Select[Any]]:
    """The queries by which the first page is read; for looking at how the database runs them."""
    plan = _plan(connection, wanted)
    return [] if plan is None else list(_selects(plan, [], limit, backwards=False))


def count(connection: Connection, wanted: AlertFilter, *, cap: int = 100_000) -> Count:
    """How many match. From the exact counters when only scope, organization, severity and status filter."""
    if wanted.snoozed == "yes":
        return Count(snoozed(connection, wanted), exact=True)
    if _counted(wanted):
        hidden = 0 if wanted.snoozed == "any" else snoozed(connection, wanted)
        conditions = _counters(connection, oids_of(connection, wanted.scope), wanted)
        total = connection.execute(select(func.sum(_COUNT.c.count)).where(*conditions)).scalar_one()
        return Count(int(total or 0) - hidden, exact=True)
    plan = _plan(connection, wanted)
    if plan is None:
        return Count(0, exact=True)
    found = 0
    for part in plan.parts:
        conditions = [part, *plan.conditions]
        if plan.probes:
            conditions.append(plan.column.in_(plan.probes))
        inner = (
            select(literal_column("1")).select_from(_D).where(*conditions).limit(cap + 1 - found).subquery()
        )
        found += int(connection.execute(select(func.count()).select_from(inner)).scalar_one())
        if found > cap:
            return Count(cap, exact=False)
    return Count(found, exact=True)


def _counted(wanted: AlertFilter) -> bool:
    """Whether the counters alone tell how many there are."""
    return wanted == AlertFilter(
        scope=wanted.scope, oid=wanted.oid, severity=wanted.severity, statuses=wanted.statuses,
        organization=wanted.organization, snoozed=wanted.snoozed, order=wanted.order,
    )  # fmt: skip


def snoozed(connection: Connection, wanted: AlertFilter) -> int:
    """How many of what is wanted the queue hides because they are snoozed."""
    asleep = select(_SNOOZE.c.detection_id).where(_SNOOZE.c.woken_at.is_(None))
    if connection.execute(asleep.limit(1)).first() is None:
        return 0
    plan = _plan(connection, replace(wanted, snoozed="yes"))
    if plan is None:
        return 0
    conditions = [_D.c.id.in_(asleep), *plan.conditions]
    if plan.probes:
        conditions.append(plan.column.in_(plan.probes))
    return int(connection.execute(select(func.count()).select_from(_D).where(*conditions)).scalar_one())


def matching(connection: Connection, wanted: AlertFilter) -> list[list[ColumnElement[bool]]]:
    """What has to hold on the table for what is wanted; any of these lists, none of which overlap."""
    plan = _plan(connection, wanted)
    if plan is None:
        return []
    probed = [plan.column.in_(plan.probes)] if plan.probes else []
    return [[part, *plan.conditions, *probed] for part in plan.parts]


def are_open(conditions: Sequence[object]) -> bool:
    """Whether one of the lists that `matching` answers is of what is not closed."""
    return conditions[0] is _OPEN


def in_folds(connection: Connection, wanted: AlertFilter, folds: Collection[int]) -> list[AlertRow]:
    """What is wanted of these folds, in no order."""
    return [
        row_of(row)
        for conditions in matching(connection, wanted)
        for row in connection.execute(
            select(*COLUMNS)
            .select_from(_D.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _D.c.oid))
            .where(*conditions, _D.c.fold_id.in_(folds))
        )
    ]


def detail(connection: Connection, alert_id: int) -> AlertDetail | None:
    """One alert by its number in the store."""
    return next(iter(_details(connection, _D.c.id == alert_id)), None)


def by_detect_id(connection: Connection, detect_id: str) -> list[AlertDetail]:
    """Every alert with this LimaCharlie id (one, unless two organizations share it)."""
    oids = select(_COUNT.c.oid)  # the unique index begins with the organization
    return _details(connection, and_(_D.c.oid.in_(oids), _D.c.detect_id == detect_id))


def rows_where(
    connection: Connection, *conditions: ColumnElement[bool], limit: int, gathered: bool = False
) -> list[AlertRow]:
    """Open alerts that hold to these conditions on the table, in the order of the queue.

    Args:
        gathered: the conditions name few alerts, to be read and sorted rather than looked for in the queue.
    """
    keys: list[Any] = list(_KEYS)
    if gathered:
        keys[0] = literal_column("+detection.rank", _D.c.rank.type)
    found = connection.execute(
        select(*COLUMNS)
        .select_from(_D.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _D.c.oid))
        .where(_OPEN, *conditions)
        .order_by(*(key.desc() for key in keys))
        .limit(limit)
    )
    return list(map(row_of, found))


def rows_of(connection: Connection, ids: Iterable[int]) -> list[AlertRow]:
    """These alerts, in no order; without those that are not there."""
    listed = sorted(set(ids))
    found: list[AlertRow] = []
    for at in range(0, len(listed), 500):
        query = (
            select(*COLUMNS)
            .select_from(_D.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _D.c.oid))
            .where(_D.c.id.in_(listed[at : at + 500]))
        )
        found.extend(row_of(row) for row in connection.execute(query))
    return found


def _details(connection: Connection, condition: ColumnElement[bool]) -> list[AlertDetail]:
    found = connection.execute(
        select(
            *COLUMNS,
            _D.c.event_type,
            _D.c.priority,
            NODE.c.path,
            _BODY.c.body,
        )
        .select_from(
            _D.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _D.c.oid)
            .outerjoin(NODE, NODE.c.oid == _D.c.oid)
            .outerjoin(_BODY, _BODY.c.detection_id == _D.c.id)
        )
        .where(condition)
        .order_by(_D.c.id)
    )
    details = []
    for each in found:
        row = row_of(each[: len(COLUMNS)])
        event_type, priority, path, body = each[len(COLUMNS) :]
        details.append(
            AlertDetail(
                row=row,
                event_type=Untrusted(event_type),
                priority=priority,
                path=Untrusted(path or row.organization),
                body=unpack(body) if body is not None else b"",
            )
        )
    return details


_Fields: Any = make_dataclass("_Fields", [each.name for each in fields(AlertRow)], slots=True)
"""An `AlertRow` that is not frozen yet: a frozen one sets each field by a call, and for a page that takes as
long as to read it."""


def row_of(row: Any, order: str = "rank") -> AlertRow:
    """An alert out of the values of COLUMNS, as a statement or the driver itself gives them."""
    (
        number, detect_id, oid, name, severity, moment, cat, rule, hostname, status, assignee, damaged, rank,
        due_at, classification, version, fold_id, sid, snoozed_until, tags,
    ) = row  # fmt: skip
    if type(detect_id) is bytes:
        detect_id = spelled(detect_id)
    if type(sid) is bytes:
        sid = spelled(sid)
    made: AlertRow = _Fields(
        number, detect_id, oid, oid if name is None else name, severity, moment, cat, rule, hostname, status,
        assignee, bool(damaged), rank, due_at, classification, version, fold_id, sid, snoozed_until, tags,
        order,
    )  # fmt: skip
    made.__class__ = AlertRow
    return made


def _read(
    connection: Connection,
    wanted: AlertFilter,
    bounds: list[_Bound],
    limit: int,
    *,
    backwards: bool,
) -> list[AlertRow]:
    quick = _quick(connection, wanted, bounds, limit, backwards=backwards) if limit > 0 else None
    if quick is not None:
        rows = list(map(row_of, driven(connection, *quick)))
        return rows[::-1] if backwards else rows
    plan = _plan(connection, wanted)
    if plan is None or limit < 1:
        return []
    found: list[Any] = []
    reads = 0
    for statement in _selects(plan, bounds, limit, backwards=backwards):
        found.extend(connection.execute(statement).all())
        reads += 1
    if reads > 1:
        if wanted.order == "due":
            found.sort(key=lambda row: (row[13], row[0]), reverse=backwards)
        else:
            found.sort(key=lambda row: (row[12], row[5], row[0]), reverse=not backwards)
        del found[limit:]
    rows = [row_of(row, wanted.order) for row in found]
    return rows[::-1] if backwards else rows


SELECTED = (
    "SELECT " + ", ".join(f"{column.table.name}.{column.name}" for column in COLUMNS)
    + " FROM detection LEFT JOIN organization ON organization.oid = detection.oid WHERE "
)  # fmt: skip
"""What COLUMNS are, for `driven`: conditions follow."""
_SIGNS = {operator.lt: "<", operator.le: "<=", operator.gt: ">"}
_PLAIN = AlertFilter()


def _quick(
    connection: Connection, wanted: AlertFilter, bounds: list[_Bound], limit: int, *, backwards: bool
) -> tuple[str, tuple[Any, ...]] | None:
    """The SQL of a page, and its values, where so little filters that it is one page of one index.

    These are the pages that a key press reads, and to have SQLAlchemy put the statement together takes
    several times as long as to read it. None where it is not so; then `_plan` knows what to do.
    """
    bare = replace(
        wanted,
        scope="",
        oid="",
        fold=0,
        severity=0,
        statuses=OPEN,
        snoozed="no",
        cat="",
        rule="",
        hostname="",
    )
    statuses = set(wanted.statuses)
    if bare != _PLAIN or statuses not in ({0, 1}, {2, 3}) or wanted.severity >= len(SEVERITIES):
        return None
    if wanted.snoozed == "yes" and statuses == {2, 3}:
        return None
    mark, sign = ("?", "+") if connection.dialect.name == "sqlite" else ("%s", "")
    conditions = ["detection.status < 2" if statuses == {0, 1} else "detection.status >= 2"]
    values: list[Any] = []
    if wanted.snoozed != "any" and statuses == {0, 1}:
        conditions.append(
            "detection.snoozed_until IS NULL"
            if wanted.snoozed == "no"
            else "detection.snoozed_until IS NOT NULL"
        )
    if wanted.severity > 0:
        conditions.append(f"detection.severity >= {mark}")
        values.append(wanted.severity)
    if wanted.fold:
        conditions.append(f"detection.fold_id = {mark}")
        values.append(wanted.fold)
    if wanted.oid:
        conditions.append(f"{sign if wanted.fold else ''}detection.oid = {mark}")
        values.append(wanted.oid)
    everywhere = not (wanted.fold or wanted.oid)
    if wanted.scope:
        nodes = driven(
            connection, f"SELECT first, last, parent_id FROM node WHERE id = {mark}", (wanted.scope,)
        )
        if not nodes:
            return None
        node = nodes[0]
        if node[2] is not None:
            everywhere = False
            below = f"SELECT oid FROM node WHERE oid IS NOT NULL AND first >= {mark} AND first <= {mark}"
            if not (wanted.oid or wanted.fold) and not _many_hold(connection, wanted, (node[0], node[1])):
                return None
            conditions.append(f"{sign}detection.oid IN ({below})")
            values += node[:2]
    gathered = False
    if wanted.cat or wanted.rule or wanted.hostname:
        labelled = _labelled(connection, wanted) if everywhere else None
        if labelled is None:
            return None
        more, theirs, gathered = labelled
        conditions += more
        values += theirs
    for compare, key in bounds:
        conditions.append(
            f"(detection.rank, detection.time, detection.id) {_SIGNS[compare]} ({mark}, {mark}, {mark})"
        )
        values += key
    way = "ASC" if backwards else "DESC"
    first = sign if gathered else ""
    order = f" ORDER BY {first}detection.rank {way}, detection.time {way}, detection.id {way} LIMIT {mark}"
    where = " AND ".join(conditions) + order
    if not gathered:
        return SELECTED + where, (*values, limit)
    # Of those that no page shows neither the name of the organization nor anything else is read.
    shown = f"detection.id IN (SELECT detection.id FROM detection WHERE {where})"
    return SELECTED + shown + order, (*values, limit, limit)


def _labelled(connection: Connection, wanted: AlertFilter) -> tuple[list[str], list[Any], bool] | None:
    """The conditions of `_quick` that the labels (categories, rules, host names) hold, their values, and
    whether so few alerts do that they are gathered.

    None where no label, or very many, or no alert has what is wanted.
    """
    dialect = connection.dialect.name
    mark, sign = ("?", "+") if dialect == "sqlite" else ("%s", "")
    conditions: list[str] = []
    values: list[Any] = []
    queries: list[str] = []
    for name, needle in (("cat", wanted.cat), ("rule", wanted.rule), ("hostname", wanted.hostname)):
        if not needle:
            continue
        held = labels(connection, name, needle)
        if not held:
            return None
        queries.append(textindex.label_query(dialect, name, held))
        conditions.append(f"{sign}detection.{name} IN ({', '.join([mark] * len(held))})")
        values += held
    query = textindex.all_of(dialect, queries)
    count = about(connection, query)
    if not count:
        return None
    gathered = count <= GATHERED
    if count <= PICKED:
        sql, given = textindex.ids_sql(dialect, query)
        conditions.append(f"{'' if gathered else sign}detection.id IN ({sql})")
        values += given
    return conditions, values, gathered


def _many_hold(connection: Connection, wanted: AlertFilter, within: tuple[int, int]) -> bool:
    """Whether so many organizations of a node have anything wanted that walking the queue soon meets them."""
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    statuses = ", ".join(str(int(status)) for status in sorted(wanted.statuses))
    # In the order of the tree, and no further than the answer is known.
    found = driven(
        connection,
        "SELECT DISTINCT node.oid FROM node CROSS JOIN detection_count AS held"
        f" WHERE node.oid IS NOT NULL AND node.first >= {mark} AND node.first <= {mark}"
        f" AND held.oid = node.oid AND held.severity >= {mark} AND held.status IN ({statuses})"
        f" AND held.count > 0 LIMIT {_PROBES + 1}",
        (*within, wanted.severity),
    )
    return len(found) > _PROBES


def driven(connection: Connection, sql: str, values: tuple[Any, ...]) -> list[Any]:
    """The rows of a statement that the driver of the database runs as it stands."""
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        found: list[Any] = driver.execute(sql, values).fetchall()
        return found
    return list(connection.exec_driver_sql(sql, values).all())


def _selects(plan: _Plan, bounds: list[_Bound], limit: int, *, backwards: bool) -> Any:
    keys: list[Any] = list(_DUE_KEYS if plan.by_due else _KEYS)
    if plan.gathered:
        # The sign keeps SQLite from walking the whole queue by its index rather than sorting a few rows.
        keys[0] = literal_column(f"+detection.{keys[0].name}", keys[0].type)
    order = [key.asc() if backwards != plan.by_due else key.desc() for key in keys]
    within = [compare(tuple_(*keys), tuple_(*map(literal, key))) for compare, key in bounds]
    for part in plan.parts:
        for probe in plan.probes or (None,):
            conditions = [part, *plan.conditions, *within]
            if probe is not None:
                conditions.append(plan.column == probe)
            if plan.gathered:
                # Of those that no page shows neither the name of the organization nor anything else is read.
                shown = select(_D.c.id).where(*conditions).order_by(*order).limit(limit)
                conditions = [_D.c.id.in_(shown)]
            yield (
                select(*COLUMNS)
                .select_from(_D.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _D.c.oid))
                .where(*conditions)
                .order_by(*order)
                .limit(limit)
            )


def _plan(connection: Connection, wanted: AlertFilter) -> _Plan | None:
    """How to read what is wanted; None when nothing can match."""
    by_due = wanted.order == "due"
    statuses = _statuses(wanted)
    parts = tuple(
        part for part, half in ((_OPEN, {0, 1}), (_DONE, {2, 3})) if statuses & half
    )  # fmt: skip
    if not parts or wanted.severity >= len(SEVERITIES):
        return None
    conditions: list[ColumnElement[bool]] = []
    if not _halves(statuses):
        conditions.append(_D.c.status.in_(sorted(statuses)))
    if wanted.severity > 0:
        conditions.append(_D.c.severity >= wanted.severity)
    if wanted.since is not None:
        conditions.append(_D.c.time >= wanted.since)
    if wanted.until is not None:
        conditions.append(_D.c.time < wanted.until)
    conditions.extend(_triage(wanted, statuses))

    column: Any = None
    probes: tuple[Any, ...] = ()
    if wanted.fold:
        column, probes = _D.c.fold_id, (wanted.fold,)
    elif wanted.storm:
        folds = _folds_of(connection, wanted)
        if not folds:
            return None
        if len(folds) <= _PROBES:
            column, probes = _D.c.fold_id, tuple(folds)
        else:
            few = sum(folds.values()) <= _SORTED
            members = select(_FOLD.c.id).where(_FOLD.c.storm == wanted.storm)
            conditions.append(
                _D.c.fold_id.in_(members) if few else _walked(connection, _D.c.fold_id, members)
            )
    dialect = connection.dialect.name
    narrowing: list[str] = []
    for name, needle in (("cat", wanted.cat), ("rule", wanted.rule), ("hostname", wanted.hostname)):
        if not needle:
            continue
        values = labels(connection, name, needle)
        if values is None:
            conditions.append(contains(connection, _D.c[name], needle))
        elif not values:
            return None
        else:
            narrowing.append(textindex.label_query(dialect, name, values))
            conditions.append(_walked(connection, _D.c[name], values))
    spoken: list[str] = []
    if wanted.pivot:
        spoken.append(textindex.any_value_query(dialect, wanted.pivot))
    for word in wanted.words:
        query, left = word_query(connection, word)
        if left:
            conditions.append(_by_columns(connection, word, query, left))
        else:
            spoken.append(query)
    if not all(spoken):
        return None
    narrowing += spoken

    oids = oids_of(connection, wanted.scope)
    alone = False  # read one organization by its own index
    if wanted.oid:
        if by_due:
            few = sum(_holders(connection, None, wanted).values()) <= _SORTED
            column, probes = (_D.c.oid, (wanted.oid,)) if few and column is None else (column, probes)
            conditions.append(_walked(connection, _D.c.oid, [wanted.oid]))
        else:
            alone = column is None
        if oids is not None:
            conditions.append(_walked(connection, _D.c.oid, oids))
        if wanted.organization:
            conditions.append(
                _walked(connection, _D.c.oid, organizations_named(connection, wanted.organization))
            )
    elif oids is not None or wanted.organization:
        held = _holders(connection, oids, wanted)
        if not held:
            return None
        few = len(held) <= _PROBES and (not by_due or sum(held.values()) <= _SORTED)
        if column is None and few:
            column, probes = _D.c.oid, tuple(held)
        elif oids is not None and not wanted.organization:
            conditions.append(_walked(connection, _D.c.oid, oids))
        else:
            conditions.append(
                _walked(connection, _D.c.oid, select(_COUNT.c.oid).where(_COUNT.c.oid.in_(held)))
            )
    gathered = by_due and column is not None
    if narrowing and not (wanted.fold or wanted.storm):
        held_oids = [wanted.oid] if wanted.oid else probes if column is _D.c.oid else ()
        if held_oids:
            narrowing.append(textindex.label_query(dialect, "oid", held_oids))
        query = textindex.all_of(dialect, narrowing)
        many = about(connection, query)
        if not many:
            return None
        if many <= GATHERED:
            if column is not None:
                conditions.append(_walked(connection, column, probes))
            column, probes, alone, gathered, spoken = None, (), False, True, []
            conditions.append(_D.c.id.in_(textindex.ids(dialect, query)))
        elif many <= PICKED:
            spoken = narrowing
    if wanted.oid and not by_due:
        mine = _walked(connection, _D.c.oid, [wanted.oid])
        conditions.append(_D.c.oid == wanted.oid if alone else mine)
    if spoken:
        query = textindex.all_of(dialect, spoken)
        conditions.append(_walked(connection, _D.c.id, textindex.ids(dialect, query)))
    return _Plan(column, probes, tuple(conditions), parts, by_due, gathered)


def _by_columns(connection: Connection, word: str, query: str, left: tuple[str, ...]) -> ColumnElement[bool]:
    """What a bare word finds where so many values contain it that the rows have to be looked at."""
    ways: list[ColumnElement[bool]] = [
        _D.c.oid.in_(organizations_named(connection, word))
        if name == "oid"
        else contains(connection, _D.c[name], word)
        for name in left
    ]
    if query:
        ways.append(_D.c.id.in_(textindex.ids(connection.dialect.name, query)))
    return or_(*ways)


def _folds_of(connection: Connection, wanted: AlertFilter) -> dict[int, int]:
    """The folds of a storm that can hold anything wanted, and how many members each has."""
    shown = wanted.snoozed == "no" and set(wanted.statuses) <= set(OPEN)
    members = _FOLD.c.open if shown else _FOLD.c.total
    query = select(_FOLD.c.id, members).where(_FOLD.c.storm == wanted.storm, members > 0)
    return {fold_id: count for fold_id, count in connection.execute(query)}


def _triage(wanted: AlertFilter, statuses: set[int]) -> list[ColumnElement[bool]]:
    """What the triage state has to be."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.snoozed != "any" and statuses & set(OPEN):
        # Only what is open is ever snoozed.
        hidden = _D.c.snoozed_until.is_not(None)
        conditions.append(hidden if wanted.snoozed == "yes" else _D.c.snoozed_until.is_(None))
    if wanted.who is not None:
        conditions.append(_D.c.assignee == storable(wanted.who))
    if wanted.tag:
        conditions.append(has_tag(_D.c.tags, wanted.tag))
    if wanted.due is not None:
        conditions.append(_D.c.due_at <= wanted.due)
    if wanted.order == "due":
        conditions.append(_D.c.due_at.is_not(None))
    return conditions


def has_tag(tags: Any, tag: str) -> ColumnElement[bool]:
    """Whether a column of words holds this one."""
    condition: ColumnElement[bool] = (literal(" ") + tags + literal(" ")).contains(
        f" {storable(tag)} ", autoescape=True
    )
    return condition


def _statuses(wanted: AlertFilter) -> set[int]:
    """Of the alerts that can match: a clock runs for open ones only, and only they are snoozed."""
    timed = wanted.order == "due" or wanted.due is not None or wanted.snoozed == "yes"
    return set(wanted.statuses).intersection(OPEN) if timed else set(wanted.statuses)


def _halves(statuses: set[int]) -> bool:
    """Whether the wanted statuses are whole halves of the queue, which the partial indexes tell already."""
    return all(not statuses & half or half <= statuses for half in ({0, 1}, {2, 3})) and statuses <= set(
        range(len(STATUSES))
    )


def _walked(connection: Connection, column: Any, values: Any) -> ColumnElement[bool]:
    """The condition for walking the queue and picking: SQLite would else gather all rows and sort them."""
    if connection.dialect.name == "sqlite":
        return literal_column(f"+detection.{column.name}", column.type).in_(values)
    condition: ColumnElement[bool] = column.in_(values)
    return condition


def _holders(connection: Connection, oids: Select[Any] | None, wanted: AlertFilter) -> dict[str, int]:
    """The organizations of a scope that have anything of these statuses and severities, and how much."""
    query = select(_COUNT.c.oid, func.sum(_COUNT.c.count)).where(*_counters(connection, oids, wanted))
    return {oid: int(count) for oid, count in connection.execute(query.group_by(_COUNT.c.oid))}


def _counters(
    connection: Connection, oids: Select[Any] | None, wanted: AlertFilter
) -> list[ColumnElement[bool]]:
    """Which counters are of a scope, and of these statuses and severities."""
    conditions = [
        _COUNT.c.severity >= wanted.severity, _COUNT.c.status.in_(_statuses(wanted)), _COUNT.c.count > 0
    ]  # fmt: skip
    if oids is not None:
        conditions.append(_COUNT.c.oid.in_(oids))
    if wanted.organization:
        conditions.append(_COUNT.c.oid.in_(organizations_named(connection, wanted.organization)))
    if wanted.oid:
        conditions.append(_COUNT.c.oid == wanted.oid)
    return conditions
