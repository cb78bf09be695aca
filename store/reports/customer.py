"""What there is to say of one customer and one period, in figures."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Select,
    Table,
    and_,
    case,
    func,
    literal,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement

from store import models, sla
from store.alerts import BENIGN, SEVERITIES
from store.pricebook import measure_of
from store.queries.organizations import path_of
from store.queries.scopes import ORGANIZATION, parameters_of
from store.reports import sources
from store.reports.figures import Figure, Note, Source
from store.reports.periods import DAY, Period
from store.reports.sensorcounts import SensorCounts, sensor_counts
from store.sensors import platform_name
from store.sla import Times
from store.text import Untrusted

TOP: Final = 6
"""Rules, hosts and cases that are named; the rest is counted."""
METRICS: Final = 6
"""Of usage, that are named."""
FIRST: Final = {
    metric: place
    for place, metric in enumerate(
        (
            "peak_sensors",
            "sensor_events",
            "output_bytes_tx",
            "event_retained",
            "sensor_retained",
            "replay_num_evals",
        )
    )
}
SILENT: Final = 7 * DAY
"""Milliseconds without a sign of life after which a sensor is called silent."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_CASE: Table = models.CaseRecord.__table__  # type: ignore[attr-defined]
_SENSOR: Table = models.Sensor.__table__  # type: ignore[attr-defined]
_USAGE: Table = models.Usage.__table__  # type: ignore[attr-defined]

_RANKS: Final = tuple(range(len(SEVERITIES) + 1))
"""Every severity, and `store.alerts.WOKEN`."""
_TRUE, _FALSE = 1, 2


@dataclass(frozen=True, slots=True)
class SeverityLine:
    """The alerts of one severity, by what was decided of them."""

    severity: int
    total: int
    true_positive: int
    """Without the benign ones."""
    benign: int
    false_positive: int
    undecided: int
    """Resolved or closed without a class."""
    open: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """A rule or a host, and how many alerts it had."""

    name: Untrusted
    total: int
    true_positive: int
    false_positive: int


@dataclass(frozen=True, slots=True)
class Alerts:
    """The alerts of a period."""

    source: Source
    decided: Source
    """What the classes and states rest on."""
    total: Figure
    grave: Figure
    """High and critical ones."""
    before: Figure
    """How many the period before had."""
    severities: tuple[SeverityLine, ...]
    """Critical first; all five."""
    days: tuple[tuple[int, ...], ...]
    """Of each day the alerts, info to critical."""
    rules: tuple[Ranked, ...]
    """By category, at most TOP."""
    rule_count: int
    hosts: tuple[Ranked, ...]
    host_count: int


@dataclass(frozen=True, slots=True)
class ResponseLine:
    """How fast alerts of one severity were acknowledged and resolved."""

    severity: int
    total: int
    acknowledge: int
    """The target (ms)."""
    resolve: int
    acknowledged: Times | None
    """None when none was."""
    resolved: Times | None
    late_acknowledge: int
    """Still waiting, and past the target."""
    late_resolve: int


@dataclass(frozen=True, slots=True)
class Response:
    """The clocks of a period's alerts."""

    source: Source
    lines: tuple[ResponseLine, ...]
    """Critical first; those without alerts are left out."""
    within: Figure
    """Percent of the acknowledged and the late ones that met the target to acknowledge."""
    problems: tuple[str, ...]
    """Targets that were not understood."""


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One case."""

    number: int
    severity: int
    status: int
    classification: int
    created_at: int
    ended_at: int | None
    summary: Untrusted


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases of a period; those merged into another one are left out."""

    source: Source
    opened: Figure
    """Created in it."""
    ended: Figure
    """Resolved or closed in it, whenever they were created."""
    open_now: Figure
    """Open as they were read last."""
    by_class: tuple[int, int, int]
    """Of the opened ones: pending, true positive, false positive."""
    acknowledge: Figure
    """Median milliseconds until acknowledged, of the opened ones that were."""
    resolve: Figure
    notable: tuple[CaseLine, ...]
    """Of the opened ones the gravest, true positives first, at most TOP."""


@dataclass(frozen=True, slots=True)
class Sensors:
    """What is protected, as it was read last."""

    source: Source
    facts: Source
    """Of what is online, and the quota."""
    total: Figure
    online: Figure
    silent: Figure
    """Not heard of for a week."""
    enrolled: Figure
    """In the period, of those that are there."""
    platforms: tuple[tuple[str, int, int], ...]
    """(platform, sensors, silent), most first; the last ones of more than TOP together as ""."""
    quota: Figure
    quota_used: Figure


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used in the period, day by day of UTC."""

    source: Source
    metrics: tuple[tuple[str, float], ...]
    """(metric, its sum; of a level its peak), those that LimaCharlie charges for first, at most METRICS."""
    metric_count: int
    days: int
    """Of the period, those for which there are figures."""


@dataclass(frozen=True, slots=True)
class CustomerFigures:
    """Everything that a customer's report may say."""

    oid: str
    name: Untrusted
    path: Untrusted
    period: Period
    now: int
    """When it was put together (ms)."""
    alerts: Alerts
    response: Response
    cases: Cases | None
    """None where the organization is known to have no case system."""
    sensors: Sensors
    counts: SensorCounts
    """Of its sensors day by day. What lacks there is said with it, and makes no gap of the whole: each count
    names its day."""
    usage: Usage
    parameters: Mapping[str, object]
    """Of its node and those above."""

    @property
    def all_sources(self) -> tuple[Source, ...]:
        """Each once, in the order of the report."""
        every = [self.alerts.source, self.alerts.decided, self.response.source]
        every += [] if self.cases is None else [self.cases.source]
        every += [self.sensors.source, self.sensors.facts, self.usage.source]
        return tuple({each.name: each for each in every}.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the headline figures, each with what it rests on."""
        said = {
            "alerts": self.alerts.total, "alerts_high_and_critical": self.alerts.grave,
            "alerts_period_before": self.alerts.before,
            "acknowledged_within_target_percent": self.response.within, "sensors": self.sensors.total,
            "sensors_online": self.sensors.online,
        }  # fmt: skip
        said |= self.counts.figures()
        if self.cases is not None:
            said |= {"cases_opened": self.cases.opened, "cases_ended": self.cases.ended}
        return {
            "oid": self.oid,
            "organization": str(self.name),
            "period": self.period.label,
            "time_zone": self.period.zone,
            "figures": {name: each.as_dict(self.now) for name, each in said.items()},
        }


def customer(connection: Connection, oid: str, period: Period, *, now: int) -> CustomerFigures | None:
    """The figures of one customer; None when there is no such organization.

    Args:
        now: milliseconds, UTC.
    """
    row = connection.execute(
        select(
            ORGANIZATION.c.name, ORGANIZATION.c.sensor_quota, ORGANIZATION.c.quota_used,
            ORGANIZATION.c.sensors_online,
        ).where(ORGANIZATION.c.oid == oid)
    ).one_or_none()  # fmt: skip
    if row is None:
        return None
    parameters = parameters_of(connection, oid)
    states, gone = sources.known(connection, [oid]), sources.pruned(connection, oid)
    known, pruned = states[oid], gone.get(oid, 0)
    detections = sources.events(known.get("detections"), period, now=now, pruned=pruned)
    decided = Source("triage", period, now, detections.state, detections.notes)
    earlier = sources.events(known.get("detections"), period.before, now=now, pruned=pruned)
    cases = sources.cases(connection, states, {oid: period}, now=now, pruned=gone)[oid]
    alerts, late = _alerts(connection, oid, period, detections, decided, earlier, now)
    return CustomerFigures(
        oid=oid,
        name=Untrusted(row.name or oid),
        path=Untrusted(path_of(connection, oid)),
        period=period,
        now=now,
        alerts=alerts,
        response=_response(connection, oid, period, alerts, late),
        cases=_cases(connection, oid, period, cases),
        sensors=_sensors(
            connection,
            oid,
            period,
            sources.moment(known.get("sensors"), "sensors"),
            sources.moment(known.get("organization"), "organization"),
            row,
        ),
        counts=sensor_counts(connection, oid, period, known.get("organization"), now=now),
        usage=_usage(connection, oid, period, known.get("usage"), now),
        parameters=parameters,
    )


# Alerts


def in_window(oid: str, period: Period, *columns: Any) -> Any:
    """The alerts of an organization in a period: each rank is one range of one of two partial indexes."""
    parts: Iterable[Select[Any]] = (
        select(*columns).where(
            _D.c.oid == oid,
            _D.c.rank.in_(_RANKS),
            _D.c.time >= period.since,
            _D.c.time < period.until,
            literal_column(condition),
        )
        for condition in ("detection.status < 2", "detection.status >= 2")
    )
    return union_all(*parts).cte("held").prefix_with("MATERIALIZED")


def day_of(column: ColumnElement[int], starts: Sequence[int]) -> ColumnElement[int]:
    """Which day of a period a time falls on, from 0.

    Args:
        starts: when each day begins (ms), in order; where clocks change one is shorter or longer.
    """
    pieces: list[tuple[int, int]] = []
    for number, start in enumerate(starts):
        base = start - number * DAY
        if not pieces or pieces[-1][1] != base:
            pieces.append((start, base))
    day: ColumnElement[int] = (column - pieces[0][1]) // DAY
    if len(pieces) == 1:
        return day
    return case(
        *((column >= start, (column - base) // DAY) for start, base in reversed(pieces[1:])), else_=day
    )


def _alerts(
    c: Connection, oid: str, period: Period, source: Source, decided: Source, earlier: Source, now: int
) -> tuple[Alerts, dict[tuple[int, int], int]]:
    """The alerts, and how many open ones are late by (severity, status)."""
    # One walk over the alerts, and what is asked of them side by side: the first column says by which.
    benign = benign_of().label("benign")
    late = case((_D.c.due_at <= now, 1), else_=0).label("late")
    held = in_window(
        oid, period, _D.c.severity, _D.c.status, _D.c.classification, _D.c.cat, _D.c.hostname, benign, late,
        day_of(_D.c.time, period.starts).label("day"),
    )  # fmt: skip
    h = held.c
    zero: ColumnElement[int] = literal_column("0")
    none: ColumnElement[str] = literal_column("''")
    true = func.sum(case((and_(h.classification == _TRUE, h.benign == 0), 1), else_=0))
    false = func.sum(case((h.classification == _FALSE, 1), else_=0))
    states = select(
        literal_column("0"), none, h.severity, h.status, h.classification, h.benign, h.late, func.count()
    ).group_by(h.severity, h.status, h.classification, h.benign, h.late)
    days = select(literal_column("1"), none, h.day, h.severity, zero, zero, zero, func.count()).group_by(
        h.day, h.severity
    )
    rules = select(literal_column("2"), h.cat, zero, zero, zero, true, false, func.count()).group_by(h.cat)
    hosts = (
        select(literal_column("3"), h.hostname, zero, zero, zero, true, false, func.count())
        .where(h.hostname != "")
        .group_by(h.hostname)
    )
    found = c.execute(union_all(states, days, rules, hosts)).all()

    lines = [[0] * 6 for _ in SEVERITIES]
    by_day = [[0] * len(SEVERITIES) for _ in range(period.days)]
    overdue: Counter[tuple[int, int]] = Counter()
    ranked: dict[int, list[Ranked]] = {2: [], 3: []}
    for what, name, first, second, third, fourth, fifth, count in found:
        if what == 0:
            line = lines[first]
            line[0] += count
            line[place_of(second, third, fourth)] += count
            if second < 2 and fifth:
                overdue[first, second] += count
        elif what == 1:
            by_day[min(max(first, 0), period.days - 1)][second] += count
        else:
            ranked[what].append(Ranked(Untrusted(name), count, int(fourth), int(fifth)))
    total = sum(line[0] for line in lines)
    before = None if earlier.state == "unknown" else _how_many(c, oid, period.before)
    return (
        Alerts(
            source=source,
            decided=decided,
            total=Figure.count(total, source),
            grave=Figure.count(lines[3][0] + lines[4][0], source),
            before=Figure.count(before, earlier),
            severities=tuple(
                SeverityLine(severity, *lines[severity]) for severity in range(len(SEVERITIES) - 1, -1, -1)
            ),
            days=tuple(map(tuple, by_day)),
            rules=_top(ranked[2]),
            rule_count=len(ranked[2]),
            hosts=_top(ranked[3]),
            host_count=len(ranked[3]),
        ),
        overdue,
    )


def benign_of() -> ColumnElement[int]:
    """1 of an alert that is tagged as benign."""
    spaced = literal(" ") + _D.c.tags + literal(" ")
    tagged = and_(_D.c.tags != "", spaced.contains(f" {BENIGN} ", autoescape=True))
    return case((tagged, literal_column("1")), else_=literal_column("0"))


def place_of(status: int, classification: int, benign: int) -> int:
    """Where an alert is counted in `SeverityLine`, from `total` on."""
    if status < 2:
        return 5
    if classification == _TRUE:
        return 2 if benign else 1
    return 3 if classification == _FALSE else 4


def _top(found: list[Ranked]) -> tuple[Ranked, ...]:
    return tuple(sorted(found, key=lambda each: (-each.total, each.name))[:TOP])


def _how_many(c: Connection, oid: str, period: Period) -> int:
    """The alerts of a period, out of the indexes alone."""
    return sum(
        c.execute(
            select(func.count()).where(
                _D.c.oid == oid,
                _D.c.rank.in_(_RANKS),
                _D.c.time >= period.since,
                _D.c.time < period.until,
                literal_column(condition),
            )
        ).scalar_one()
        for condition in ("detection.status < 2", "detection.status >= 2")
    )


# Response


def _response(
    c: Connection, oid: str, period: Period, alerts: Alerts, late: Mapping[tuple[int, int], int]
) -> Response:
    targets = sla.targets(c, oid)
    acknowledged = {
        each.severity: each for each in sla.acknowledged(c, oid=oid, since=period.since, until=period.until)
    }
    resolved = {
        each.severity: each for each in sla.resolved(c, oid=oid, since=period.since, until=period.until)
    }
    lines = tuple(
        ResponseLine(
            severity=each.severity,
            total=each.total,
            acknowledge=targets.acknowledge[each.severity],
            resolve=targets.resolve[each.severity],
            acknowledged=acknowledged.get(each.severity),
            resolved=resolved.get(each.severity),
            late_acknowledge=late.get((each.severity, 0), 0),
            late_resolve=late.get((each.severity, 1), 0),
        )
        for each in alerts.severities
        if each.total
    )
    source = alerts.decided
    return Response(
        source=source,
        lines=lines,
        within=Figure(within(lines), source),
        problems=targets.problems,
    )


def within(lines: Iterable[ResponseLine]) -> float | None:
    """Percent that met the target to acknowledge, of the acknowledged and the late; None of none."""
    met = of = 0
    for line in lines:
        met += line.acknowledged.within if line.acknowledged else 0
        of += (line.acknowledged.count if line.acknowledged else 0) + line.late_acknowledge
    return None if not of else 100 * met / of


# Cases


def _cases(c: Connection, oid: str, period: Period, source: Source | None) -> Cases | None:
    """None where there is no case system; a case that is only here counts as any other."""
    if source is None:
        if not c.execute(select(_CASE.c.oid).where(_CASE.c.oid == oid).limit(1)).first():
            return None
        source = Source("cases", period, None, "unknown", (Note("no_cases"),))
    ended = func.coalesce(_CASE.c.resolved_at, _CASE.c.closed_at)
    mine = and_(_CASE.c.oid == oid, _CASE.c.merged_into == "")
    rows = c.execute(
        select(
            _CASE.c.case_number, _CASE.c.severity, _CASE.c.status, _CASE.c.classification, _CASE.c.created_at,
            _CASE.c.acknowledged_at, ended.label("ended_at"), _CASE.c.summary,
        ).where(mine, _CASE.c.created_at >= period.since, _CASE.c.created_at < period.until)
    ).all()  # fmt: skip
    over, open_now = c.execute(
        select(
            func.sum(case((and_(ended >= period.since, ended < period.until), 1), else_=0)),
            func.sum(case((_CASE.c.status < 2, 1), else_=0)),
        ).where(mine)
    ).one()
    classes = Counter(row.classification for row in rows)
    gravest = sorted(
        rows, key=lambda row: (-row.severity, row.classification != _TRUE, -row.created_at, row.case_number)
    )
    return Cases(
        source=source,
        opened=Figure.count(len(rows), source),
        ended=Figure.count(int(over or 0), source),
        open_now=Figure.count(int(open_now or 0), Source(source.name, None, source.read_at, source.state)),
        by_class=(classes[0], classes[_TRUE], classes[_FALSE]),
        acknowledge=Figure(median(_took(row.created_at, row.acknowledged_at) for row in rows), source),
        resolve=Figure(median(_took(row.created_at, row.ended_at) for row in rows), source),
        notable=tuple(
            CaseLine(
                row.case_number, row.severity, row.status, row.classification, row.created_at,
                row.ended_at if row.status >= 2 else None, Untrusted(row.summary),
            )
            for row in gravest[:TOP]
        ),
    )  # fmt: skip


def _took(start: int, end: int | None) -> int | None:
    return None if end is None else max(0, end - start)


def median(values: Iterable[int | None]) -> int | None:
    """The smallest value that half of them do not exceed, as `store.sla` has it; None of none."""
    known = sorted(value for value in values if value is not None)
    return known[(len(known) - 1) // 2] if known else None


# Sensors and usage


def _sensors(c: Connection, oid: str, period: Period, source: Source, facts: Source, row: Any) -> Sensors:
    silent = case((func.coalesce(_SENSOR.c.alive, 0) < (source.read_at or 0) - SILENT, 1), else_=0)
    enrolled = case((and_(_SENSOR.c.enrolled >= period.since, _SENSOR.c.enrolled < period.until), 1), else_=0)
    platforms = [
        (platform_name(platform), int(count), int(quiet), int(new))
        for platform, count, quiet, new in c.execute(
            select(_SENSOR.c.platform, func.count(), func.sum(silent), func.sum(enrolled))
            .where(_SENSOR.c.oid == oid)
            .group_by(_SENSOR.c.platform)
        )
    ]
    platforms.sort(key=lambda each: (-each[1], each[0]))
    return Sensors(
        source=source,
        facts=facts,
        total=Figure.count(sum(each[1] for each in platforms), source),
        online=Figure.count(row.sensors_online, facts),
        silent=Figure.count(sum(each[2] for each in platforms), source),
        enrolled=Figure.count(sum(each[3] for each in platforms), source),
        platforms=_together([(name, count, quiet) for name, count, quiet, _ in platforms]),
        quota=Figure.count(row.sensor_quota, facts),
        quota_used=Figure.count(row.quota_used, facts),
    )


def _together(platforms: list[tuple[str, int, int]]) -> tuple[tuple[str, int, int], ...]:
    if len(platforms) <= TOP:
        return tuple(platforms)
    rest = platforms[TOP - 1 :]
    others = ("", sum(each[1] for each in rest), sum(each[2] for each in rest))
    return (*platforms[: TOP - 1], others)


def _usage(c: Connection, oid: str, period: Period, state: sources.Known | None, now: int) -> Usage:
    found: dict[str, list[float]] = {}
    days = set()
    for day, metric, value in c.execute(
        select(_USAGE.c.day, _USAGE.c.metric, _USAGE.c.value).where(
            _USAGE.c.oid == oid,
            _USAGE.c.day >= period.first.isoformat(),
            _USAGE.c.day <= period.last.isoformat(),
        )
    ):
        days.add(day)
        found.setdefault(Untrusted(metric), []).append(value)
    source = sources.moment(state, "usage")
    notes = list(source.notes)
    word = source.state
    # LimaCharlie adds a day up about a day later; days are UTC's, whatever clock the period goes by.
    today = datetime.fromtimestamp(now / 1000, UTC).date()
    over = max(0, min(period.days, (today - period.first).days))
    if word == "whole" and len(days) < (over if over == period.days else over - 1):
        notes.append(Note("days", {"known": len(days), "of": period.days}))
        word = "part" if days else "unknown"
    elif word == "whole" and over < period.days:
        notes.append(Note("not_over", {"at": source.read_at or now}))
    return Usage(
        source=Source("usage", period, source.read_at, word, tuple(notes)),
        metrics=tuple(
            (metric, sum(found[metric]) if measure_of(metric) == "sum" else max(found[metric]))
            for metric in sorted(found, key=lambda each: (FIRST.get(each, len(FIRST)), each))[:METRICS]
        ),
        metric_count=len(found),
        days=len(days),
    )
