"""What was used, how full quotas are, and what customers are charged for a month by the price book."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Select, String, Table, case, cast, func, select

from store import models
from store.billing import (
    NO_DAYS,
    NOTHING,
    Charged,
    Comparison,
    Facts,
    Figures,
    Invoice,
    Statement,
    VendorLine,
    charged,
    compared,
    days_until_full,
    growth_a_day,
)
from store.months import (
    bounds_ms,
    day_moved,
    day_of,
    days_between,
    days_in,
    first_day,
    last_day,
    month_of,
    parse_day,
)
from store.pricebook import ANALYST, ORGANIZATION, PriceBook, PriceBookError, measure_of, read_pricebook
from store.queries.scopes import NODE, oids_of
from store.queries.scopes import ORGANIZATION as ORGANIZATIONS
from store.quotas import percent_used
from store.text import Untrusted

_USAGE: Table = models.Usage.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]
_BOOK: Table = models.PriceBook.__table__  # type: ignore[attr-defined]
_INVOICE: Table = models.VendorInvoice.__table__  # type: ignore[attr-defined]
_QUOTA: Table = models.QuotaReading.__table__  # type: ignore[attr-defined]
_AUDIT: Table = models.AuditEntry.__table__  # type: ignore[attr-defined]
_USE: Table = models.AuditUse.__table__  # type: ignore[attr-defined]
_EVENT: Table = models.CaseEvent.__table__  # type: ignore[attr-defined]
_EDIT: Table = models.CaseEdit.__table__  # type: ignore[attr-defined]
_READING: Table = models.CaseReading.__table__  # type: ignore[attr-defined]

BEGINS: Final = "billing_from"
ENDS: Final = "billing_until"
"""Parameters of the tree: the first and the last day of an organization as a customer, `2026-10-15`."""
TURNED_AWAY: Final = "sensor_over_quota"
"""The audit log's kind of entry of a sensor that was sent away because the quota was used up."""
TREND_DAYS: Final = 42
TREND_METRICS: Final = ("peak_sensors", "sensor_retained")
"""By which of them a trend is taken, the first one that is told, where the quota itself has no past yet."""
DONE: Final = 2
"""Of `store.cases.EDIT_STATES`."""
DAY: Final = 86_400_000

READS: Final = frozenset(
    {
        "organization", "node", "usage", "sync_state", "price_book", "vendor_invoice", "quota_reading",
        "case_event", "case_edit",
    }
)  # fmt: skip
"""The tables that this module's answers rest on, but for the audit log, which grows all the time."""


# Price books


@dataclass(frozen=True, slots=True)
class BookRow:
    """A price book as it was imported."""

    id: int
    name: str
    digest: str
    by: str
    imported_at: int
    first: str = ""
    """The month from which it holds; "" for ever before."""
    last: str = ""
    wrong: str = ""
    """Why it is not read any more; "" when it is."""


def books(connection: Connection) -> list[BookRow]:
    """Every price book, the newest first."""
    found = []
    for row in connection.execute(select(_BOOK).order_by(_BOOK.c.id.desc())):
        first = last = wrong = ""
        try:
            book = _parsed(row.body)
            first, last = book.first, book.last
        except PriceBookError as error:
            wrong = str(error)
        found.append(BookRow(row.id, row.name, row.hash, row.by, row.imported_at, first, last, wrong))
    return found


def book_for(connection: Connection, month: str) -> PriceBook | None:
    """The price book in force in a month: the newest one that holds then; None when there is none.

    Raises:
        PriceBookError: one is stored that this version cannot read.
    """
    for row in connection.execute(select(_BOOK.c.body).order_by(_BOOK.c.id.desc())):
        book = _parsed(row.body)
        if book.holds(month):
            return book
    return None


def skus_of(connection: Connection, month: str) -> dict[str, tuple[str, ...]]:
    """Metric -> the vendor's SKUs that the contract of the price book in force charges it by."""
    try:
        book = book_for(connection, month)
    except PriceBookError:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for item in book.contract if book is not None else ():
        found[item.metric] = (*found.get(item.metric, ()), item.name)
    return found


def body_of(connection: Connection, book: int) -> bytes | None:
    """The file of a price book, byte for byte."""
    found: bytes | None = connection.execute(
        select(_BOOK.c.body).where(_BOOK.c.id == book)
    ).scalar_one_or_none()
    return found


def _parsed(body: bytes) -> PriceBook:
    return _read_once(hashlib.sha256(body).hexdigest(), body)


@lru_cache(maxsize=16)
def _read_once(_digest: str, body: bytes) -> PriceBook:
    # What it speaks of was checked when it was imported, and may be gone since.
    return read_pricebook(body, metrics=None)


def known_metrics(connection: Connection) -> frozenset[str]:
    """The metrics that usage was told of, of any organization."""
    # A walk over the distinct ones: there are a dozen, in millions of rows.
    return frozenset(connection.execute(select(_USAGE.c.metric).distinct()).scalars())


def known_oids(connection: Connection) -> frozenset[str]:
    """Every organization that is or was there."""
    return frozenset(connection.execute(select(ORGANIZATIONS.c.oid)).scalars())


def known_nodes(connection: Connection) -> frozenset[str]:
    """The ids of the tree's nodes."""
    return frozenset(connection.execute(select(NODE.c.id)).scalars())


# Usage


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What an organization used in some days, and how full its quota is."""

    oid: str
    name: Untrusted
    path: Untrusted
    told: int
    """Days of those below of which anything was told."""
    expected: int
    """Days of which something should have been: that are over, and on which it was a customer."""
    metrics: Mapping[str, Fraction]
    """Metric -> what its days come to: their sum, or the largest where it is a count of things."""
    read_at: int | None
    reason: Untrusted
    """Why it was not read; "" when it was."""
    quota: int | None
    used: float | None
    """Weighted sensors."""
    breakdown: tuple[tuple[str, int, float], ...]
    """(kind, sensors, weight)"""
    growth: float | None
    """Weighted sensors a day; None where too little is known."""
    days_left: int | None
    """Until the quota is used up; 0 when it is; None when nothing says that it will be."""
    turned_away: int | None
    """Times that a sensor was sent away in the last 30 days, as far as the audit log was read; None where it
    never was."""
    daily: Mapping[str, tuple[tuple[str, Fraction], ...]] = field(default_factory=dict)
    """Metric -> (day, value), the oldest first."""

    @property
    def percent(self) -> int | None:
        """Of the quota."""
        return percent_used(self.used, self.quota)


@dataclass(frozen=True, slots=True)
class Used:
    """What the organizations of a scope used in some days."""

    first: str
    last: str
    days: int
    rows: tuple[UsageRow, ...]

    @property
    def told(self) -> int:
        """Organizations of which every day was told that should have been."""
        return sum(row.told >= row.expected for row in self.rows)

    @property
    def lacking(self) -> tuple[UsageRow, ...]:
        """The others."""
        return tuple(row for row in self.rows if row.told < row.expected)

    @property
    def totals(self) -> dict[str, Fraction]:
        """Metric -> the sum over organizations, in the order of names."""
        found: dict[str, Fraction] = {}
        for row in self.rows:
            for metric, value in row.metrics.items():
                found[metric] = found.get(metric, Fraction(0)) + value
        return dict(sorted(found.items()))


def used(connection: Connection, *, scope: str = "", first: str, last: str, now: int, oid: str = "") -> Used:
    """What was used from one day to another, both counted, and how full quotas are now.

    What is full, or soonest will be, comes first.

    Args:
        oid: of this organization alone.
    """
    wanted = _wanted(connection, scope, oid)
    people = [row for row in _organizations(connection, wanted) if row.gone_at is None]
    figures = _figures(connection, wanted, first, last)
    states = _states(connection, wanted)
    logs = {
        oid for oid, state in _states(connection, wanted, "audit").items() if state.checked_at is not None
    }
    quotas = _quotas(connection, wanted)
    away = turned_away(connection, wanted, since=now - 30 * DAY)
    today = day_of(now)
    trends = _trends(connection, wanted, today)
    placed = _placements(connection)
    rows = []
    for row in people:
        begin, end, _, _ = _span(row, placed.get(row.oid, _NOWHERE).parameters)
        begin, over = max(begin, first), min(end, last, day_moved(today, -1))
        days = figures.get(row.oid, {})
        state = states.get(row.oid)
        readings = quotas.get(row.oid, [])
        growth = _growth(readings, trends.get(row.oid, []), row.quota_used, today)
        newest = readings[-1].breakdown if readings else {}
        rows.append(
            UsageRow(
                oid=row.oid,
                name=Untrusted(row.name),
                path=Untrusted(row.path or row.name),
                told=len({day for each in days.values() for day, _ in each if begin <= day <= over}),
                expected=days_between(begin, over),
                metrics={
                    metric: sum((value for _, value in each), Fraction(0))
                    if measure_of(metric) == "sum"
                    else Fraction(max(value for _, value in each))
                    for metric, each in sorted(days.items())
                },
                read_at=state.checked_at if state is not None else None,
                reason=Untrusted(_why(state)),
                quota=row.sensor_quota,
                used=row.quota_used,
                breakdown=_breakdown(newest),
                growth=growth,
                days_left=days_until_full(row.sensor_quota, row.quota_used, growth),
                turned_away=away.get(row.oid, 0) if row.oid in logs else None,
                daily={metric: tuple(each) for metric, each in sorted(days.items())},
            )
        )
    rows.sort(key=_fullest)
    return Used(first, last, days_between(first, min(last, day_moved(today, -1))), tuple(rows))


def _fullest(row: UsageRow) -> tuple[float, float, str, str]:
    left = float("inf") if row.days_left is None else row.days_left
    return left, -(row.percent or 0), row.path.casefold(), row.oid


def turned_away(
    connection: Connection, wanted: Select[tuple[str]] | Sequence[str] | None, *, since: int
) -> dict[str, int]:
    """oid -> how often a sensor was sent away since then, as far as the audit log was read."""
    # Which logs have such an entry at all is kept in sum.
    some = select(_USE.c.oid).where(_USE.c.mark == TURNED_AWAY, _USE.c.last >= since)
    counted = (
        select(_AUDIT.c.oid, func.count())
        .where(_AUDIT.c.oid.in_(some), _AUDIT.c.kind == TURNED_AWAY, _AUDIT.c.time >= since)
        .group_by(_AUDIT.c.oid)
    )
    if wanted is not None:
        counted = counted.where(_AUDIT.c.oid.in_(wanted))
    return {oid: int(count) for oid, count in connection.execute(counted)}


def _wanted(connection: Connection, scope: str, oid: str) -> Select[tuple[str]] | Sequence[str] | None:
    return [oid] if oid else oids_of(connection, scope)


def _organizations(connection: Connection, wanted: Any) -> list[Any]:
    query = select(
        ORGANIZATIONS.c.oid, ORGANIZATIONS.c.name, ORGANIZATIONS.c.sensor_quota, ORGANIZATIONS.c.quota_used,
        ORGANIZATIONS.c.details, ORGANIZATIONS.c.gone_at, NODE.c.path,
    ).select_from(ORGANIZATIONS.outerjoin(NODE, NODE.c.oid == ORGANIZATIONS.c.oid))  # fmt: skip
    if wanted is not None:
        query = query.where(ORGANIZATIONS.c.oid.in_(wanted))
    return list(connection.execute(query))


def _figures(
    connection: Connection, wanted: Any, first: str, last: str, metrics: Iterable[str] | None = None
) -> dict[str, dict[str, list[tuple[str, Fraction]]]]:
    """oid -> metric -> (day, value), the oldest first."""
    # By the organizations: the key of the table begins with them.
    among: Any = select(ORGANIZATIONS.c.oid) if wanted is None else wanted
    query = (
        select(_USAGE.c.oid, _USAGE.c.metric, _USAGE.c.day, _USAGE.c.value)
        .where(_USAGE.c.oid.in_(among), _USAGE.c.day >= first, _USAGE.c.day <= last)
        .order_by(_USAGE.c.oid, _USAGE.c.day)
    )
    if metrics is not None:
        query = query.where(_USAGE.c.metric.in_(sorted(metrics)))
    found: dict[str, dict[str, list[tuple[str, Fraction]]]] = {}
    for oid, metric, day, value in connection.execute(query):
        found.setdefault(oid, {}).setdefault(metric, []).append((day, _exact(value)))
    return found


def _exact(value: float) -> Fraction:
    """What a figure is, exactly. Most are whole, and a whole number is a fraction that is quicker made."""
    whole: Any = int(value)
    # What was told is a text of decimals: 0.1 is a tenth, and not the binary number next to it.
    return whole if whole == value else Fraction(repr(value))


def _states(connection: Connection, wanted: Any, subject: str = "usage") -> dict[str, Any]:
    query = select(_STATE.c.oid, _STATE.c.checked_at, _STATE.c.failure, _STATE.c.reason).where(
        _STATE.c.subject == subject
    )
    if wanted is not None:
        query = query.where(_STATE.c.oid.in_(wanted))
    return {row.oid: row for row in connection.execute(query)}


def _why(state: Any) -> str:
    if state is None or (state.checked_at is None and not state.failure):
        return "Usage was never read."
    if state.failure:
        return f"Usage could not be read: {state.reason or state.failure}"
    return ""


def _quotas(connection: Connection, wanted: Any) -> dict[str, list[Any]]:
    """oid -> its readings, the oldest first."""
    query = select(_QUOTA).order_by(_QUOTA.c.oid, _QUOTA.c.day)
    if wanted is not None:
        query = query.where(_QUOTA.c.oid.in_(wanted))
    found: dict[str, list[Any]] = {}
    for row in connection.execute(query):
        found.setdefault(row.oid, []).append(row)
    return found


def _breakdown(held: Mapping[str, Any]) -> tuple[tuple[str, int, float], ...]:
    found = []
    for kind, part in held.items():
        count, weight = (part.get("count"), part.get("weight")) if isinstance(part, dict) else (None, None)
        if isinstance(count, int) and isinstance(weight, int | float):
            found.append((str(kind), count, float(weight)))
    return tuple(sorted(found, key=lambda each: (-each[1] * each[2], each[0])))


def _trends(connection: Connection, wanted: Any, today: str) -> dict[str, list[tuple[int, float]]]:
    """oid -> (number of the day, sensors) of the last weeks, by the first metric that is told."""
    first = day_moved(today, -TREND_DAYS)
    figures = _figures(connection, wanted, first, day_moved(today, -1), TREND_METRICS)
    found = {}
    for oid, metrics in figures.items():
        days = next((metrics[name] for name in TREND_METRICS if name in metrics), [])
        found[oid] = [(days_between(first, day), float(value)) for day, value in days]
    return found


def _growth(
    readings: Sequence[Any], trend: Sequence[tuple[int, float]], now_used: float | None, today: str
) -> float | None:
    """Weighted sensors a day: by the readings of the quota when they reach far enough back, else by what is
    online, in proportion."""
    known = [row for row in readings if row.used is not None]
    first = day_moved(today, -TREND_DAYS)
    if known and days_between(known[0].day, today) > 21:
        # Each holds until the next one.
        days, place, held = [], 0, known[0].used
        for number in range(1, TREND_DAYS + 2):
            day = day_moved(first, number - 1)
            if day < known[0].day:
                continue
            while place < len(known) and known[place].day <= day:
                held = known[place].used
                place += 1
            days.append((number, float(held)))
        return growth_a_day(days)
    growth = growth_a_day(trend)
    if growth is None or not now_used:
        return None
    highest = max(value for day, value in trend if day > max(each for each, _ in trend) - 7)
    return growth * now_used / highest if highest > 0 else None


# The statement


def statement(
    connection: Connection,
    book: PriceBook,
    month: str,
    *,
    scope: str = "",
    now: int,
    oid: str = "",
) -> Statement:
    """What the organizations of a scope are charged for a month.

    Args:
        month: `2026-10`; one that is not over is charged by what it has so far.
        oid: this organization alone.
    """
    placed = _placements(connection)
    customers: list[Charged] = []
    oldest: int | None = None
    for each, labels, nodes, read_at in _facts(connection, book, month, scope, oid, placed, now):
        plan = book.plan_of(each.oid, labels, nodes)
        customers.append(charged(each, plan, contract=book.contract))
        if read_at is not None:
            oldest = read_at if oldest is None else min(oldest, read_at)
    customers.sort(key=lambda one: (one.path.casefold(), one.oid))
    return Statement(
        month=month,
        book=book.name,
        digest=book.digest,
        customers=tuple(customers),
        made_at=now,
        closed=last_day(month) < day_of(now),
        currency=book.currency,
        analyst_hour=book.analyst_hour,
        oldest=oldest,
    )


def comparisons(
    connection: Connection, book: PriceBook, month: str, *, scope: str = "", now: int, oid: str = ""
) -> list[Comparison]:
    """The vendor's invoices of a month against what was used, at the prices of the contract; by name."""
    placed = _placements(connection)
    found = [
        (each.path, compared(each, book.contract))
        for each, _, _, _ in _facts(connection, book, month, scope, oid, placed, now)
    ]
    return [one for _, one in sorted(found, key=lambda pair: (pair[0].casefold(), pair[1].oid))]


@dataclass(frozen=True, slots=True)
class _Placed:
    labels: Mapping[str, str]
    nodes: frozenset[str]
    parameters: Mapping[str, Any]


_NOWHERE = _Placed({}, frozenset(), {})


def _placements(connection: Connection) -> dict[str, _Placed]:
    """oid -> labels, nodes and parameters, inherited ones included: the tree read once."""
    above: dict[str | None, _Placed] = {None: _NOWHERE}
    found = {}
    query = select(NODE.c.id, NODE.c.parent_id, NODE.c.oid, NODE.c.labels, NODE.c.parameters)
    for row in connection.execute(query.order_by(NODE.c.first)):
        parent = above[row.parent_id]
        mine = above[row.id] = _Placed(
            {**parent.labels, **row.labels} if row.labels else parent.labels,
            parent.nodes | {row.id},
            {**parent.parameters, **row.parameters} if row.parameters else parent.parameters,
        )
        if row.oid is not None:
            found[row.oid] = mine
    return found


def _facts(
    connection: Connection,
    book: PriceBook,
    month: str,
    scope: str,
    oid: str,
    placed: Mapping[str, _Placed],
    now: int,
) -> Iterable[tuple[Facts, Mapping[str, str], frozenset[str], int | None]]:
    """What is known of each organization that was a customer in the month, its labels and nodes.

    One of which the days contradict each other is in every month, with no day and its note: it may have been.
    """
    wanted = _wanted(connection, scope, oid)
    first, last, today = first_day(month), last_day(month), day_of(now)
    over = day_moved(today, -1)
    metrics = book.metrics - {ORGANIZATION, ANALYST}
    spans = {}
    for row in _organizations(connection, wanted):
        at = placed.get(row.oid, _NOWHERE)
        begin, end, notes, contradicts = _span(row, at.parameters)
        begin, end = max(begin, first), min(end, last)
        if contradicts or days_between(begin, end):
            spans[row.oid] = (row, at, begin, end, notes)
    usage, told = _month(
        connection,
        wanted,
        {oid: (begin, end) for oid, (_, _, begin, end, _) in spans.items()},
        month,
        metrics,
        over,
        whole="last" not in book.measures,
    )
    states = _states(connection, wanted)
    invoices = invoices_of(connection, month, wanted)
    logged = seconds_logged(connection, month, wanted)
    for each, (row, at, begin, end, notes) in spans.items():
        state = states.get(each)
        present, expected = days_between(begin, end), days_between(begin, min(end, over))
        note = ""
        if not present:
            note = notes[-1]
        elif expected and not told.get(each):
            note = _why(state) or f"No day of {month} is told any more, or yet."
        facts = Facts(
            oid=each,
            name=Untrusted(row.name),
            path=Untrusted(row.path or row.name),
            days=days_in(month),
            first=begin if present else "",
            last=end if present else "",
            present=present,
            usage=usage.get(each, {}),
            told=told.get(each, 0),
            expected=expected,
            usage_note=note,
            seconds=logged.get(each, 0),
            invoice=invoices.get(each),
            notes=notes,
        )
        yield facts, at.labels, at.nodes, state.checked_at if state is not None else None


EXACT: Final = 2**53
"""Below it a sum of whole numbers is exact, in whatever order a database adds them as floats."""


def _month(
    connection: Connection,
    wanted: Any,
    spans: Mapping[str, tuple[str, str]],
    month: str,
    metrics: Collection[str],
    over: str,
    *,
    whole: bool,
) -> tuple[dict[str, dict[str, Figures]], dict[str, int]]:
    """What the metrics come to in a month, and of how many days anything was told, by oid.

    The database adds up where that is exact: a whole month of whole numbers. The rest is added up here.

    Args:
        spans: the first and the last day of each organization.
        over: the last day that is over: of those days alone it is counted whether anything was told.
        whole: whether sum and largest are all that is asked for.
    """
    first, last = first_day(month), last_day(month)
    single = {oid for oid, span in spans.items() if span != (first, last)} if whole else set(spans)
    among: Any = select(ORGANIZATIONS.c.oid) if wanted is None else wanted
    here = (_USAGE.c.oid.in_(among), _USAGE.c.day >= first, _USAGE.c.day <= last)
    found: dict[str, dict[str, Figures]] = {}
    if whole and metrics:
        broken = func.sum(case((_USAGE.c.value == func.round(_USAGE.c.value), 0), else_=1))
        query = (
            select(
                _USAGE.c.oid, _USAGE.c.metric, func.sum(_USAGE.c.value), func.max(_USAGE.c.value),
                func.min(_USAGE.c.value), func.count(), broken,
            )
            .where(*here, _USAGE.c.metric.in_(sorted(metrics)))
            .group_by(_USAGE.c.oid, _USAGE.c.metric)
        )  # fmt: skip
        for oid, metric, total, highest, lowest, number, parts in connection.execute(query):
            if oid in single or oid not in spans:
                continue
            if parts or lowest < 0 or total >= EXACT:
                single.add(oid)
                continue
            found.setdefault(oid, {})[metric] = Figures(
                Fraction(int(total)), Fraction(int(highest)), NO_DAYS.last, number
            )
    days = (
        select(_USAGE.c.oid, func.count(_USAGE.c.day.distinct()))
        .where(*here, _USAGE.c.day <= over)
        .group_by(_USAGE.c.oid)
    )
    told = {oid: int(number) for oid, number in connection.execute(days) if oid in spans}
    listed = sorted(single)
    for at in range(0, len(listed), 500):
        some = listed[at : at + 500]
        for oid, figures in _figures(connection, some, first, last).items():
            begin, end = spans[oid]
            within = {
                metric: [(day, value) for day, value in each if begin <= day <= end]
                for metric, each in figures.items()
            }
            told[oid] = len({day for each in within.values() for day, _ in each if day <= over})
            found[oid] = {
                metric: Figures.of([value for _, value in each])
                for metric, each in within.items()
                if metric in metrics
            }
    return found, told


def _span(row: Any, parameters: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...], bool]:
    """The first and the last day as a customer, what is wrong with what says so, and whether these two days
    contradict each other: then the last note says how.

    What the tree says counts, else when the organization was made and when the listing ceased to name it.
    """
    notes: list[str] = []

    def said(name: str) -> str:
        value = parameters.get(name)
        if value is None:
            return ""
        try:
            return parse_day(str(value))
        except ValueError as error:
            notes.append(f"The tree's {name} is passed over: {error}")
            return ""

    begin, end = said(BEGINS), said(ENDS)
    if not begin:
        created = row.details.get("created")
        if isinstance(created, int) and not isinstance(created, bool) and 0 < created < 10**10:
            begin = day_of(created * 1000)
    contradicts = bool(begin and end) and end < begin
    if not end and row.gone_at is not None:
        end = day_of(row.gone_at)
    # One that is gone before the day from which it is charged never was a customer, and nobody's mistake.
    if contradicts:
        notes.append(f"It ends on {end}, before it begins on {begin}.")
    return begin or "0001-01-01", end or "9999-12-31", tuple(notes), contradicts


def invoices_of(connection: Connection, month: str, wanted: Any = None) -> dict[str, Invoice]:
    """oid -> the vendor's invoice of a month, where one was asked for."""
    query = select(_INVOICE).where(_INVOICE.c.month == month)
    if wanted is not None:
        query = query.where(_INVOICE.c.oid.in_(wanted))
    return {
        row.oid: Invoice(
            state=row.state,
            reason=Untrusted(row.reason),
            number=Untrusted(row.number),
            currency=row.currency,
            cents=row.cents,
            lines=tuple(
                VendorLine(
                    Untrusted(line.get("description") or ""),
                    Untrusted(line.get("sku") or "") or NOTHING,
                    Fraction(line["quantity"]) if line.get("quantity") is not None else None,
                    line["cents"],
                    line["currency"],
                )
                for line in row.lines
            ),
            read_at=row.read_at,
        )
        for row in connection.execute(query)
    }


def seconds_logged(connection: Connection, month: str, wanted: Any = None) -> dict[str, int]:
    """oid -> seconds that analysts logged on its cases in a month.

    What the history of a case tells, as far as it was read, and what was logged from here since. LimaCharlie
    does not publish the name of that event; what it holds is `billable_seconds`.
    """
    start, end = bounds_ms(month)
    told: dict[tuple[str, int], int] = {}
    having: set[tuple[str, int]] = set()
    query = select(_EVENT.c.oid, _EVENT.c.case_number, _EVENT.c.time, _EVENT.c.details).where(
        cast(_EVENT.c.details, String).contains("billable_seconds")
    )
    if wanted is not None:
        query = query.where(_EVENT.c.oid.in_(wanted))
    for row in connection.execute(query):
        seconds = _seconds(row.details)
        if not seconds:
            continue
        having.add((row.oid, row.case_number))
        if start <= row.time < end:
            key = row.oid, row.case_number
            told[key] = told.get(key, 0) + seconds
    edits = (
        select(_EDIT.c.oid, _EDIT.c.case_number, _EDIT.c.wanted, _EDIT.c.finished_at, _READING.c.read_at)
        .select_from(
            _EDIT.outerjoin(
                _READING, (_READING.c.oid == _EDIT.c.oid) & (_READING.c.case_number == _EDIT.c.case_number)
            )
        )
        # What is done on a case that is only here is an event of it already.
        .where(_EDIT.c.state == DONE, _EDIT.c.what == "time", _EDIT.c.case_number > 0)
        .where(_EDIT.c.finished_at >= start, _EDIT.c.finished_at < end)
    )
    if wanted is not None:
        edits = edits.where(_EDIT.c.oid.in_(wanted))
    for edit in connection.execute(edits):
        key = edit.oid, edit.case_number
        if key in having and edit.finished_at <= (edit.read_at or 0):
            continue  # the history that was read afterwards tells it
        told[key] = told.get(key, 0) + _seconds(edit.wanted)
    found: dict[str, int] = {}
    for (oid, _), seconds in told.items():
        found[oid] = found.get(oid, 0) + seconds
    return found


def _seconds(details: Mapping[str, Any]) -> int:
    value = details.get("billable_seconds")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def last_month(now: int) -> str:
    """The last month that is over."""
    return month_of(bounds_ms(month_of(now))[0] - 1)
