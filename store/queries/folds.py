"""The queue folded: one row for what is the same, in one organization or in many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    String,
    Table,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement

from store import models
from store.alerts import SEVERITIES, AlertFilter
from store.folds import CLOSE, HOUR, HOURS
from store.queries import alerts
from store.queries.alerts import AlertRow, Key
from store.queries.scopes import ORGANIZATION, oids_of
from store.text import Untrusted

FoldKey = tuple[int, int, int]
"""(rank, time of the newest, storm): the order of the folded queue, each descending."""

BEHIND_ALL: FoldKey = (-2, -1, 0)
"""Behind every row: the last rows are those before it."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_FOLD: Table = models.Fold.__table__  # type: ignore[attr-defined]
_STORM: Table = models.Storm.__table__  # type: ignore[attr-defined]
_ACTION: Table = models.TriageAction.__table__  # type: ignore[attr-defined]
_CHANGE: Table = models.TriageChange.__table__  # type: ignore[attr-defined]

_SHOWN: ColumnElement[bool] = literal_column("storm.open > 0")
_SHOWN_HERE: ColumnElement[bool] = literal_column("fold.open > 0")
"""Spelled as the partial indexes spell them."""
_CHUNK = 500

STORM_ORGANIZATIONS = 5
"""A fold open at so many organizations,"""
STORM_MEMBERS = 20
"""and with so many new members in this hour and the one before, is a storm that goes on now."""
STORMS = 5
"""So many storms are named at once; with more, their severity alone orders them."""


@dataclass(frozen=True, slots=True)
class FoldRow:
    """One line of the folded queue: an alert, a fold, or a storm."""

    storm: int
    """Key of the storm; every fold has one."""
    fold: int
    """Id of the fold, when all of it is in one organization; else 0."""
    oid: str
    """"" when it is in several organizations."""
    organization: Untrusted
    """"" when it is in several."""
    cat: Untrusted
    rule: Untrusted
    salient: tuple[tuple[str, Untrusted], ...]
    """(field, value): what its members share."""
    open: int
    """Members that the queue shows and the filter wants."""
    still_open: int
    """How many of these are not closed: all, unless the filter wants closed ones too."""
    total: int
    """Members that there ever were; of what is filtered, those that match."""
    organizations: int
    """How many have a member that is shown."""
    rank: int
    severity: int
    """The worst of what is shown."""
    first_seen: int
    last_seen: int
    last_open: int
    """When its newest shown member was made (ms)."""
    per_hour: float
    """New members an hour, over the last hours (see `store.folds.HOURS`)."""
    lately: int
    """New members in this hour and the one before, wherever they are."""
    due_at: int | None
    """The earliest of its shown members."""
    assignees: tuple[Untrusted, ...]
    """Who has members of it, by name."""
    held: int
    """How many of its shown members somebody has."""
    verdict: int
    """The last classification that a member got anywhere; 0 when none did."""
    verdict_at: int | None
    verdict_by: Untrusted
    alert: AlertRow | None
    """The alert itself, when there is one alone."""

    @property
    def key(self) -> FoldKey:
        """Where it stands in the folded queue."""
        return (self.rank, self.last_open, self.storm)

    @property
    def kind(self) -> str:
        """`alert`, `fold` or `storm`."""
        return "storm" if self.organizations > 1 else "fold" if self.open > 1 else "alert"

    @property
    def raging(self) -> bool:
        """Whether it is a storm that goes on now, and not merely the same at several organizations."""
        return bool(
            self.still_open and self.organizations >= STORM_ORGANIZATIONS and self.lately >= STORM_MEMBERS
        )

    @property
    def who(self) -> str:
        """The name of the one who has members of it, or how many people have; "" when nobody has."""
        return "" if not self.assignees else who(self.assignees)


def who(names: Sequence[str]) -> str:
    """One name, or `n people`."""
    return names[0] if len(names) == 1 else f"{len(names)} people"


@dataclass(frozen=True, slots=True)
class FoldCount:
    """How many rows the folded queue has, and how many alerts are in them."""

    rows: int
    alerts: int


# Pages


def page(
    connection: Connection,
    wanted: AlertFilter,
    *,
    now: int,
    after: FoldKey | None = None,
    before: FoldKey | None = None,
    starting: FoldKey | None = None,
    limit: int = 50,
) -> list[FoldRow]:
    """At most `limit` rows of the folded queue, worst and newest first.

    Everything over all organizations is read from the counted storms by their index. What a scope or a filter
    narrows is added up when it is asked for: by folds where scope, organization and rule alone narrow it,
    else by alerts, which takes as long as there are alerts that match.

    Args:
        now: milliseconds, UTC, for the rate.
        after: those behind this key; the first ones when no key is given.
        before: the last `limit` ones ahead of this key (still answered in the order of the queue).
        starting: like `after`, this key included.
    """
    backwards = before is not None and after is None and starting is None
    bounds = (("<", after), ("<=", starting), (">", before))
    source = _source(connection, wanted, now)
    if source is None:
        return []
    keys = tuple_(source.rank, source.last_open, source.storm)
    conditions = [
        keys.op(sign)(tuple_(*map(literal, key))) for sign, key in bounds if key is not None
    ]  # fmt: skip
    order = [key.asc() if backwards else key.desc() for key in (source.rank, source.last_open, source.storm)]
    rows = list(connection.execute(source.query.where(*conditions).order_by(*order).limit(limit)))
    return _rows(connection, wanted, source, rows[::-1] if backwards else rows, now)


def count(connection: Connection, wanted: AlertFilter) -> FoldCount:
    """How many rows there are, and how many alerts in them."""
    source = _source(connection, wanted, 0)
    if source is None:
        return FoldCount(0, 0)
    inner = source.query.with_only_columns(source.open.label("open")).subquery()
    found = connection.execute(
        select(func.count(), func.coalesce(func.sum(inner.c.open), 0)).select_from(inner)
    )
    rows, held = found.one()
    return FoldCount(int(rows), int(held))


def fold_row(connection: Connection, wanted: AlertFilter, storm: int, *, now: int) -> FoldRow | None:
    """One row by its storm, as it is now; None when nothing of it is shown any more."""
    source = _source(connection, wanted, now)
    if source is None:
        return None
    rows = list(connection.execute(source.query.where(source.storm == storm)))
    return next(iter(_rows(connection, wanted, source, rows, now)), None)


def raging(connection: Connection, wanted: AlertFilter, *, now: int) -> list[FoldRow]:
    """The storms that go on now, the gravest and largest first, at most STORMS.

    Only what has a member of the last two hours is looked at, by the index that the queue is walked by.

    Args:
        wanted: a scope at most; whatever else narrows the queue, there are none.
    """
    if wanted != AlertFilter(scope=wanted.scope):
        return []
    found = connection.execute(
        select(_STORM.c.key, _STORM.c.rank, _STORM.c.hours).where(
            _SHOWN,
            _STORM.c.rank.in_(range(len(SEVERITIES) + 1)),
            _STORM.c.last_open >= (now // HOUR - 1) * HOUR,
            _STORM.c.organizations >= STORM_ORGANIZATIONS,
        )
    )
    large = sorted(
        (
            (rank, lately, key)
            for key, rank, hours in found
            if (lately := recent_of(hours, now, 2)) >= STORM_MEMBERS
        ),
        reverse=True,
    )
    rows: list[FoldRow] = []
    for _rank, _lately, key in large[: 4 * STORMS]:
        row = fold_row(connection, replace(wanted, storm=key), key, now=now)
        if row is not None and row.raging:
            rows.append(row)
        if len(rows) == STORMS:
            break
    return rows


def storm_of(connection: Connection, fold_id: int) -> int:
    """Key of the storm of a fold; 0 when there is no such fold."""
    found = connection.execute(select(_FOLD.c.storm).where(_FOLD.c.id == fold_id)).scalar_one_or_none()
    return int(found or 0)


def has_storm(connection: Connection, key: int) -> bool:
    """Whether there is such a storm; one that is over counts, as does one of a single organization."""
    return connection.execute(select(_STORM.c.key).where(_STORM.c.key == key)).first() is not None


def members(
    connection: Connection,
    row: FoldRow,
    wanted: AlertFilter,
    *,
    after: Key | None = None,
    before: Key | None = None,
    starting: Key | None = None,
    limit: int = 50,
) -> list[AlertRow]:
    """At most `limit` of the alerts that a row holds, by keyset, in the order of the queue."""
    return alerts.page(
        connection, within(wanted, row), after=after, before=before, starting=starting, limit=limit
    )


def within(wanted: AlertFilter, row: FoldRow) -> AlertFilter:
    """The filter that wants what a row holds, and nothing else: to open it, or to act on all of it."""
    if row.fold:
        return replace(wanted, fold=row.fold, storm=0)
    return replace(wanted, fold=0, storm=row.storm)


@dataclass(frozen=True, slots=True)
class _Source:
    """A query for the columns that a page needs, and the expressions that it is ordered by."""

    query: Select[Any]
    rank: Any
    last_open: Any
    storm: Any
    open: Any
    folds: Sequence[ColumnElement[bool]] | None = None
    """Which folds are added up, where folds are."""
    alerts: Sequence[Sequence[ColumnElement[bool]]] | None = None
    """Which alerts are added up, where alerts are."""


def _source(connection: Connection, wanted: AlertFilter, now: int) -> _Source | None:
    """How what is wanted is read; None when nothing can match."""
    plain = replace(wanted, scope="", oid="", organization="", rule="", storm=0, fold=0, order="rank")
    if plain != AlertFilter() or wanted.rule:
        return _by_alerts(connection, wanted, now)
    oids = oids_of(connection, wanted.scope)
    if oids is None and not wanted.oid and not wanted.organization and not wanted.fold:
        query = select(
            _STORM.c.key.label("storm"), _STORM.c.rank, _STORM.c.last_open, _STORM.c.open, _STORM.c.total,
            _STORM.c.organizations, _STORM.c.fold_id.label("fold"), _STORM.c.first_seen, _STORM.c.last_seen,
            _STORM.c.due_at, literal(None).label("recent"), _STORM.c.open.label("still"),
        ).where(_SHOWN)  # fmt: skip
        if wanted.storm:
            query = query.where(_STORM.c.key == wanted.storm)
        return _Source(query, _STORM.c.rank, _STORM.c.last_open, _STORM.c.key, _STORM.c.open)
    conditions: list[ColumnElement[bool]] = [_SHOWN_HERE]
    if wanted.oid:
        conditions.append(_FOLD.c.oid == wanted.oid)
    if oids is not None:
        conditions.append(_FOLD.c.oid.in_(oids))
    if wanted.organization:
        conditions.append(_FOLD.c.oid.in_(alerts.organizations_named(connection, wanted.organization)))
    if wanted.storm:
        conditions.append(_FOLD.c.storm == wanted.storm)
    if wanted.fold:
        conditions.append(_FOLD.c.id == wanted.fold)
    return _grouped(
        select(
            _FOLD.c.storm.label("storm"), func.max(_FOLD.c.rank).label("rank"),
            func.max(_FOLD.c.last_open).label("last_open"), func.sum(_FOLD.c.open).label("open"),
            func.sum(_FOLD.c.total).label("total"), func.count().label("organizations"),
            func.min(_FOLD.c.id).label("fold"), func.min(_FOLD.c.first_seen).label("first_seen"),
            func.max(_FOLD.c.last_seen).label("last_seen"), func.min(_FOLD.c.due_at).label("due_at"),
            literal(None).label("recent"), func.sum(_FOLD.c.open).label("still"),
        ).where(*conditions).group_by(_FOLD.c.storm),
        folds=conditions,
    )  # fmt: skip


def _by_alerts(connection: Connection, wanted: AlertFilter, now: int) -> _Source | None:
    halves = alerts.matching(connection, replace(wanted, order="rank"))
    if not halves:
        return None
    since = now - HOURS * HOUR
    # The sign keeps SQLite from reading every alert by the index that has them by fold, so as not to sort.
    grouping: Any = _D.c.fold_id
    if connection.dialect.name == "sqlite":
        grouping = literal_column("+detection.fold_id")
    # Never below the severity, and in the index of the queue, which that is not.
    hints: list[Any] = [_D.c.rank >= wanted.severity] if wanted.severity > 0 else []
    if wanted.who:
        hints.append(literal_column("detection.assignee <> ''"))  # as the partial index spells it
    parts = [
        select(
            grouping.label("fold_id"), func.count().label("open"), func.max(_D.c.rank).label("rank"),
            func.max(_D.c.time).label("last"), func.min(_D.c.time).label("first"),
            func.min(_D.c.due_at).label("due_at"),
            func.sum(case((_D.c.time >= since, 1), else_=0)).label("recent"),
            (func.count() if alerts.are_open(conditions) else literal(0)).label("still"),
        ).where(*conditions, *hints).group_by(grouping)
        for conditions in halves
    ]  # fmt: skip
    found = (parts[0] if len(parts) == 1 else union_all(*parts)).subquery("found")
    here = found.c
    return _grouped(
        select(
            _FOLD.c.storm.label("storm"), func.max(here.rank).label("rank"),
            func.max(here.last).label("last_open"), func.sum(here.open).label("open"),
            func.sum(here.open).label("total"), func.count(func.distinct(_FOLD.c.oid)).label("organizations"),
            func.min(_FOLD.c.id).label("fold"), func.min(here.first).label("first_seen"),
            func.max(here.last).label("last_seen"), func.min(here.due_at).label("due_at"),
            func.sum(here.recent).label("recent"), func.sum(here.still).label("still"),
        ).select_from(found.join(_FOLD, _FOLD.c.id == here.fold_id)).group_by(_FOLD.c.storm),
        alerts=halves,
    )  # fmt: skip


def _grouped(query: Select[Any], **read: Any) -> _Source:
    inner = query.subquery("grouped")
    return _Source(select(inner), inner.c.rank, inner.c.last_open, inner.c.storm, inner.c.open, **read)


def _rows(
    connection: Connection, wanted: AlertFilter, source: _Source, found: Sequence[Any], now: int
) -> list[FoldRow]:
    """What the rows of a page say beyond what they are ordered by."""
    storms = {
        row.key: row
        for part in _chunks([row.storm for row in found])
        for row in connection.execute(select(_STORM).where(_STORM.c.key.in_(part)))
    }
    single = [row.fold for row in found if row.organizations == 1]
    folds = {
        row.id: row
        for part in _chunks(single)
        for row in connection.execute(
            select(_FOLD, ORGANIZATION.c.name)
            .select_from(_FOLD.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _FOLD.c.oid))
            .where(_FOLD.c.id.in_(part))
        )
    }
    alone = {
        row.fold_id: row
        for part in _chunks([row.fold for row in found if row.open == 1])
        for row in alerts.in_folds(connection, wanted, part)
    }
    names = _assignees(connection, source, storms)
    woken = _severities(connection, wanted, [row.storm for row in found if row.rank >= len(SEVERITIES)])
    made = []
    for row in found:
        storm = storms[row.storm]
        fold = folds.get(row.fold) if row.organizations == 1 else None
        alert = alone.get(row.fold) if row.open == 1 else None
        counted = storm if fold is None else fold
        if row.recent is not None:
            recent, first = int(row.recent), row.first_seen
        else:
            recent, first = recent_of(counted.hours, now), counted.first_seen
        made.append(
            FoldRow(
                storm=row.storm,
                fold=0 if fold is None else fold.id,
                oid="" if fold is None else fold.oid,
                organization=Untrusted("" if fold is None else fold.name or fold.oid),
                cat=Untrusted(counted.cat),
                rule=Untrusted(storm.rule),
                salient=tuple((name, Untrusted(value)) for name, value in storm.salient),
                open=int(row.open),
                still_open=int(row.still),
                total=int(row.total),
                organizations=int(row.organizations),
                rank=row.rank,
                severity=woken.get(row.storm, row.rank),
                first_seen=row.first_seen,
                last_seen=row.last_seen,
                last_open=row.last_open,
                per_hour=rate(recent, first, now),
                lately=recent_of(counted.hours, now, 2),
                due_at=row.due_at,
                assignees=tuple(map(Untrusted, sorted(names.get(row.storm, ())))),
                held=sum(names.get(row.storm, {}).values()),
                verdict=counted.last_verdict,
                verdict_at=counted.last_verdict_at,
                verdict_by=Untrusted(counted.last_verdict_by),
                alert=alert,
            )
        )
    return made


def _assignees(
    connection: Connection, source: _Source, storms: Mapping[int, Any]
) -> dict[int, dict[str, int]]:
    """Who has how many shown members of each of these storms."""
    if source.folds is None and source.alerts is None:
        return {key: storm.assignees for key, storm in storms.items()}
    found: dict[int, dict[str, int]] = {}

    def take(storm: int, name: str, count: int) -> None:
        names = found.setdefault(storm, {})
        names[name] = names.get(name, 0) + count

    for part in _chunks(list(storms)):
        if source.folds is not None:
            held = select(_FOLD.c.storm, _FOLD.c.assignees).where(
                *source.folds, _FOLD.c.storm.in_(part), cast(_FOLD.c.assignees, String) != "{}"
            )
            for storm, names in connection.execute(held):
                for name, count in names.items():
                    take(storm, name, count)
        for conditions in source.alerts or ():
            owned = (
                select(_FOLD.c.storm, _D.c.assignee, func.count())
                .select_from(_D.join(_FOLD, _FOLD.c.id == _D.c.fold_id))
                .where(*conditions, _D.c.assignee != "", _FOLD.c.storm.in_(part))
                .group_by(_FOLD.c.storm, _D.c.assignee)
            )
            for storm, name, count in connection.execute(owned):
                take(storm, name, count)
    return found


def _severities(connection: Connection, wanted: AlertFilter, storms: Sequence[int]) -> dict[int, int]:
    """The worst severity in each of these storms, whose rank says only that somebody comes back."""
    found: dict[int, int] = {}
    for storm in storms:
        for conditions in alerts.matching(connection, replace(wanted, order="rank", storm=storm)):
            worst = connection.execute(select(func.max(_D.c.severity)).where(*conditions)).scalar_one()
            if worst is not None:
                found[storm] = max(found.get(storm, 0), worst)
    return found


def recent_of(hours: Mapping[str, int], now: int, last: int = HOURS) -> int:
    """How many of the members counted by hour came within the last hours, the present one included."""
    return sum(count for hour, count in hours.items() if int(hour) > now // HOUR - last)


def rate(recent: int, first_seen: int, now: int) -> float:
    """Members an hour: over the last HOURS hours, or since the first one where that is later."""
    window = (HOURS - 1) * HOUR + now % HOUR
    return recent * HOUR / max(HOUR, min(window, now - first_seen))


def _chunks(values: Sequence[Any]) -> Any:
    for at in range(0, len(values), _CHUNK):
        yield values[at : at + _CHUNK]


# What was decided before


@dataclass(frozen=True, slots=True)
class Verdict:
    """What alerts of one organization that share what makes a storm were found to be."""

    fold: int
    oid: str
    organization: Untrusted
    here: bool
    """Of the fold that was asked about; else of another organization."""
    classification: int
    """The last one."""
    at: int
    by: Untrusted
    comment: Untrusted
    """Of that decision; "" when it had none."""
    true_positives: int
    false_positives: int


def verdicts(connection: Connection, fold_id: int, *, limit: int = 50) -> list[Verdict]:
    """What members of a fold and of the same storm elsewhere were found to be: this fold, then the newest."""
    storm = select(_FOLD.c.storm).where(_FOLD.c.id == fold_id).scalar_subquery()
    last = (
        select(func.max(_CHANGE.c.action_id))
        .join(_ACTION, _ACTION.c.id == _CHANGE.c.action_id)
        .where(
            _CHANGE.c.detection_id == _FOLD.c.last_verdict_alert,
            _CHANGE.c.outcome == 1,
            _ACTION.c.verb == CLOSE,
        )
        .scalar_subquery()
    )
    here = case((_FOLD.c.id == fold_id, 1), else_=0)
    found = (
        select(_FOLD, ORGANIZATION.c.name.label("named"), here.label("here"), last.label("action"))
        .select_from(_FOLD.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _FOLD.c.oid))
        .where(_FOLD.c.storm == storm, _FOLD.c.last_verdict > 0)
        .order_by(here.desc(), _FOLD.c.last_verdict_at.desc(), _FOLD.c.id)
        .limit(limit)
    ).subquery()
    rows = connection.execute(
        select(found, _ACTION.c.comment)
        .select_from(found.outerjoin(_ACTION, _ACTION.c.id == found.c.action))
        .order_by(found.c.here.desc(), found.c.last_verdict_at.desc(), found.c.id)
    )
    return [
        Verdict(
            fold=row.id,
            oid=row.oid,
            organization=Untrusted(row.named or row.oid),
            here=bool(row.here),
            classification=row.last_verdict,
            at=row.last_verdict_at,
            by=Untrusted(row.last_verdict_by),
            comment=Untrusted(row.comment or ""),
            true_positives=row.true_positives,
            false_positives=row.false_positives,
        )
        for row in rows
    ]


# Scorecards


LOUD: int = 20
"""Decided alerts from which on a rule's share of false positives says something."""
WRONG: float = 0.9
"""The share of false positives from which on a rule should be tuned."""
SILENT_AFTER = 90 * 86_400_000
"""Milliseconds without a true positive after which a rule that is always wrong should be retired."""


@dataclass(frozen=True, slots=True)
class Score:
    """How a rule does at one organization, or at all of a scope."""

    rule: Untrusted
    """`source_rule`, else `cat`."""
    cat: Untrusted
    oid: str
    """"" over all organizations of the scope."""
    organization: Untrusted
    organizations: int
    alerts: int
    open: int
    true_positives: int
    false_positives: int
    last_true_at: int | None
    """When the last true positive was decided (ms); None when there never was one."""
    spent: int
    """Milliseconds from acknowledged to resolved, over all its alerts."""
    first_seen: int
    last_seen: int
    suggestion: str
    """`tune`, `retire` or ""."""
    why: str
    """The numbers that led to the suggestion, in words; "" without one."""

    @property
    def decided(self) -> int:
        """Alerts that were classified."""
        return self.true_positives + self.false_positives


def scorecard(
    connection: Connection,
    scope: str,
    since: int | None = None,
    *,
    now: int,
    by_organization: bool = True,
    rule: str = "",
    limit: int = 500,
) -> list[Score]:
    """How rules do, those on which most time was lost first.

    The numbers are those of the folds, over all time: they are not cut by a date.

    Args:
        scope: id of a tree node; "" is the root.
        since: milliseconds, UTC: only folds of which a member came, or was decided, since then.
        now: milliseconds, UTC, to tell how long there was no true positive.
        by_organization: one row for a rule at each organization; else one for a rule over the scope.
        rule: only this one, as `Score.rule` has it.
    """
    conditions: list[ColumnElement[bool]] = []
    oids = oids_of(connection, scope)
    if oids is not None:
        conditions.append(_FOLD.c.oid.in_(oids))
    if since is not None:
        conditions.append(or_(_FOLD.c.last_seen >= since, _FOLD.c.last_verdict_at >= since))
    if rule:
        # Of those without a rule the category stands for it.
        conditions.append(or_(_FOLD.c.rule == rule, and_(_FOLD.c.rule == "", _FOLD.c.cat == rule)))
    named = case((_FOLD.c.rule != "", _FOLD.c.rule), else_=_FOLD.c.cat)
    oid = _FOLD.c.oid if by_organization else literal("")
    false = func.sum(_FOLD.c.false_positives)
    total = func.sum(_FOLD.c.total)
    summed = (
        select(
            named.label("rule"), oid.label("oid"), func.min(_FOLD.c.cat).label("cat"),
            func.count(func.distinct(_FOLD.c.oid)).label("organizations"), total.label("alerts"),
            func.sum(_FOLD.c.open).label("open"), func.sum(_FOLD.c.true_positives).label("true_positives"),
            false.label("false_positives"), func.max(_FOLD.c.last_true_at).label("last_true_at"),
            func.sum(_FOLD.c.spent).label("spent"), func.min(_FOLD.c.first_seen).label("first_seen"),
            func.max(_FOLD.c.last_seen).label("last_seen"),
        )
        .where(*conditions)
        .group_by(named, oid)
        .order_by(false.desc(), total.desc(), named, oid)
        .limit(limit)
    ).subquery()  # fmt: skip
    rows = connection.execute(
        select(summed, ORGANIZATION.c.name.label("called"))
        .select_from(summed.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == summed.c.oid))
        .order_by(summed.c.false_positives.desc(), summed.c.alerts.desc(), summed.c.rule, summed.c.oid)
    )
    made = []
    for row in rows:
        true, wrong = int(row.true_positives), int(row.false_positives)
        suggestion, why = advice(true, wrong, row.last_true_at, row.first_seen, now)
        made.append(
            Score(
                rule=Untrusted(row.rule),
                cat=Untrusted(row.cat),
                oid=row.oid,
                organization=Untrusted(row.called or row.oid),
                organizations=row.organizations,
                alerts=int(row.alerts),
                open=int(row.open),
                true_positives=true,
                false_positives=wrong,
                last_true_at=row.last_true_at,
                spent=int(row.spent),
                first_seen=row.first_seen,
                last_seen=row.last_seen,
                suggestion=suggestion,
                why=why,
            )
        )
    return made


def advice(
    true_positives: int, false_positives: int, last_true_at: int | None, first_seen: int, now: int
) -> tuple[str, str]:
    """Whether a rule should be tuned or retired, and the numbers that say so; empty texts when neither."""
    decided = true_positives + false_positives
    if decided < LOUD or false_positives < WRONG * decided:
        return "", ""
    numbers = f"{false_positives} of {decided} decided were false"
    days = (now - (first_seen if last_true_at is None else last_true_at)) // 86_400_000
    if last_true_at is None:
        silence = f"none was true in {days} days"
    else:
        silence = f"the last true one was {days} days ago"
    quiet = days * 86_400_000 >= SILENT_AFTER
    return ("retire" if quiet else "tune"), f"{numbers}, {silence}"
