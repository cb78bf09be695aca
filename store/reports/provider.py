"""What there is to say of all customers of a scope and a period: sums of n of m, and who is missing."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Table, case, func, literal_column, select

from store import models, sla
from store.alerts import SEVERITIES
from store.queries.scopes import NODE, ORGANIZATION, oids_of
from store.reports import sources
from store.reports.customer import SeverityLine, benign_of, day_of, place_of
from store.reports.figures import Figure, Note, Source, State
from store.reports.periods import Period
from store.sla import Times
from store.text import Untrusted

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_CASE: Table = models.CaseRecord.__table__  # type: ignore[attr-defined]
_SENSOR: Table = models.Sensor.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Clock:
    """How many alerts met a target, of how many that were done or are late."""

    met: int = 0
    of: int = 0
    late: int = 0
    """Still waiting, and past the target."""

    @property
    def share(self) -> float | None:
        """0 to 1; None where there was none."""
        return self.met / self.of if self.of else None

    def plus(self, other: "Clock") -> "Clock":
        """Both together."""
        return Clock(self.met + other.met, self.of + other.of, self.late + other.late)


@dataclass(frozen=True, slots=True)
class CustomerLine:
    """One customer among the others."""

    oid: str
    name: Untrusted
    source: Source
    """Of its alerts."""
    line: SeverityLine
    """All its alerts; the severity is -1."""
    grave: int
    acknowledge: Clock
    resolve: Clock
    cases: Figure
    """Opened in the period; whole and 0 where it is known to have no case system."""
    sensors: int | None
    """None where they were never read."""
    online: int | None

    def counts(self) -> dict[str, int | None]:
        """For JSON: what is counted of its alerts; None where they are not known."""
        said = {
            "alerts": self.line.total, "high_and_critical": self.grave,
            "true_positives": self.line.true_positive, "false_positives": self.line.false_positive,
            "open": self.line.open, "acknowledged_in_time": self.acknowledge.met,
            "acknowledged_or_late": self.acknowledge.of, "resolved_in_time": self.resolve.met,
            "resolved_or_late": self.resolve.of,
        }  # fmt: skip
        return {name: None if self.source.state == "unknown" else value for name, value in said.items()}


@dataclass(frozen=True, slots=True)
class Level:
    """One severity over all customers."""

    severity: int
    total: int
    acknowledge: Clock
    resolve: Clock


@dataclass(frozen=True, slots=True)
class ProviderFigures:
    """Everything that a report over customers may say."""

    name: Untrusted
    """Of the scope; "" is all customers."""
    period: Period
    now: int
    source: Source
    """Of sums of alerts: n of m organizations."""
    decided: Source
    customers: tuple[CustomerLine, ...]
    """By name."""
    severities: tuple[SeverityLine, ...]
    """Critical first."""
    days: tuple[tuple[int, ...], ...]
    levels: tuple[Level, ...]
    """Critical first; those without alerts are left out."""
    total: Figure
    grave: Figure
    cases: Figure
    """Opened in the period, merged ones left out."""
    sensors: Figure
    online: Figure

    @property
    def missing(self) -> tuple[CustomerLine, ...]:
        """Those whose alerts are not wholly known."""
        return tuple(each for each in self.customers if each.source.state != "whole")

    @property
    def acknowledge(self) -> Clock:
        """Over everything."""
        return _together(level.acknowledge for level in self.levels)

    @property
    def resolve(self) -> Clock:
        """Over everything."""
        return _together(level.resolve for level in self.levels)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        figures = {
            "alerts": self.total, "alerts_high_and_critical": self.grave, "cases_opened": self.cases,
            "sensors": self.sensors, "sensors_online": self.online,
        }  # fmt: skip
        return {
            "period": self.period.label,
            "time_zone": self.period.zone,
            "organizations": len(self.customers),
            "complete": len(self.customers) - len(self.missing),
            "missing": [
                {"oid": each.oid, "organization": str(each.name), "completeness": each.source.state}
                for each in self.missing
            ],
            "figures": {name: each.as_dict(self.now) for name, each in figures.items()},
            "customers": [
                {
                    "oid": each.oid,
                    "organization": str(each.name),
                    "completeness": each.source.state,
                    "at_least": each.source.state != "whole",
                    **each.counts(),
                    "cases_opened": each.cases.value,
                    "cases_at_least": each.cases.at_least,
                    "sensors": each.sensors,
                    "sensors_online": each.online,
                }
                for each in self.customers
            ],
        }


def _together(clocks: Iterable[Clock]) -> Clock:
    found = Clock()
    for each in clocks:
        found = found.plus(each)
    return found


@dataclass(slots=True)
class _Sums:
    """Of one organization."""

    line: list[int] = field(default_factory=lambda: [0] * 6)
    grave: int = 0
    late: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(severity, status) -> open and past its target."""


def provider(
    connection: Connection, period: Period, *, scope: str = "", name: str = "", now: int
) -> ProviderFigures:
    """The figures of all customers below a node; organizations that are gone are left out.

    Args:
        name: of the scope, as the report is to call it.
        now: milliseconds, UTC.
    """
    below = oids_of(connection, scope)
    facts_of = select(
        ORGANIZATION.c.oid, ORGANIZATION.c.name, ORGANIZATION.c.sensors_online
    ).where(ORGANIZATION.c.gone_at.is_(None))  # fmt: skip
    if below is not None:
        facts_of = facts_of.where(ORGANIZATION.c.oid.in_(below))
    facts = {row.oid: row for row in connection.execute(facts_of)}
    known = sources.known(connection, facts.keys())
    pruned = sources.pruned(connection)
    sums, severities, days = _alerts(connection, below, facts, period, now)
    took = {
        clock: {
            (each.oid, each.severity): each
            for each in ask(connection, scope=scope, since=period.since, until=period.until)
        }
        for clock, ask in (("acknowledge", sla.acknowledged), ("resolve", sla.resolved))
    }
    opened = _cases(connection, below, period)
    cases = sources.cases(connection, known, dict.fromkeys(facts, period), now=now, pruned=pruned)
    none = Source("cases", period, now, "whole")
    # Of one that had a case system once, what is kept may not be all.
    former = Source("cases", period, None, "unknown", (Note("no_cases"),))
    cases |= {oid: former for oid in opened if oid in cases and cases[oid] is None}
    sensors = _sensors(connection, below)
    customers = []
    for oid, row in facts.items():
        mine = sums.get(oid) or _Sums()
        read = known[oid].get("sensors")
        customers.append(
            CustomerLine(
                oid=oid,
                name=Untrusted(row.name or oid),
                source=sources.events(
                    known[oid].get("detections"), period, now=now, pruned=pruned.get(oid, 0)
                ),
                line=SeverityLine(-1, *mine.line),
                grave=mine.grave,
                acknowledge=_clock(oid, took["acknowledge"], mine, 0),
                resolve=_clock(oid, took["resolve"], mine, 1),
                cases=Figure.count(opened.get(oid, 0), cases[oid] or none),
                sensors=sensors.get(oid, 0) if read is not None and read.checked_at is not None else None,
                online=row.sensors_online,
            )
        )
    customers.sort(key=lambda each: (each.name.casefold(), each.oid))
    source = _summed([each.source for each in customers], period, "detections")
    total = sum(each.line.total for each in customers)
    return ProviderFigures(
        name=Untrusted(name),
        period=period,
        now=now,
        source=source,
        decided=Source("triage", period, now, source.state, source.notes, source.organizations),
        customers=tuple(customers),
        severities=severities,
        days=days,
        levels=_levels(severities, took, sums, facts),
        total=Figure.count(total, source),
        grave=Figure.count(sum(each.grave for each in customers), source),
        cases=_sum_of(
            [told for oid in facts if (told := cases[oid]) is not None], period, "cases",
            sum(count for oid, count in opened.items() if oid in facts),
        ),
        sensors=_sum_of(
            [sources.moment(known[oid].get("sensors"), "sensors") for oid in facts], None, "sensors",
            sum(each.sensors or 0 for each in customers),
        ),
        online=_sum_of(
            [_told(sources.moment(known[oid].get("organization"), "organization"), row.sensors_online)
             for oid, row in facts.items()], None,
            "organization", sum(each.online or 0 for each in customers),
        ),
    )  # fmt: skip


def _told(source: Source, value: int | None) -> Source:
    """What a number rests on that was not among what was read."""
    return source if value is not None else replace(source, state="unknown")


def _summed(parts: list[Source], period: Period | None, name: str) -> Source:
    """What a sum rests on: whole when every part of it is, not known where there is none to ask."""
    if not parts:
        return Source(name, period, None, "unknown", (Note("nobody"),), (0, 0))
    whole = [each for each in parts if each.state == "whole"]
    state: State = "whole" if len(whole) == len(parts) else "part"
    if all(each.state == "unknown" for each in parts):
        state = "unknown"
    read = [each.read_at for each in parts if each.read_at is not None]
    # All that is not over is so for every customer; the earliest says it for all.
    going = [note.values["at"] for each in whole for note in each.notes if note.key == "not_over"]
    notes = (Note("not_over", {"at": min(going)}),) if going else ()
    return Source(name, period, min(read, default=None), state, notes, (len(whole), len(parts)))


def _sum_of(parts: list[Source], period: Period | None, name: str, total: int) -> Figure:
    return Figure.count(total, _summed(parts, period, name))


def _clock(oid: str, took: dict[tuple[str, int], Times], sums: _Sums, status: int) -> Clock:
    found = Clock()
    for severity in range(len(SEVERITIES)):
        found = found.plus(_one_clock(took.get((oid, severity)), sums.late.get((severity, status), 0)))
    return found


def _one_clock(times: Times | None, late: int) -> Clock:
    if times is None:
        return Clock(0, late, late)
    return Clock(times.within, times.count + late, late)


def _levels(
    severities: tuple[SeverityLine, ...],
    took: dict[str, dict[tuple[str, int], Times]],
    sums: dict[str, _Sums],
    facts: dict[str, Any],
) -> tuple[Level, ...]:
    clocks: dict[tuple[str, int], Clock] = {}
    for status, clock in enumerate(("acknowledge", "resolve")):
        for (oid, severity), times in took[clock].items():
            if oid in facts:
                key = (clock, severity)
                clocks[key] = clocks.get(key, Clock()).plus(_one_clock(times, 0))
        for each in sums.values():
            for severity in range(len(SEVERITIES)):
                late = each.late.get((severity, status), 0)
                if late:
                    key = (clock, severity)
                    clocks[key] = clocks.get(key, Clock()).plus(Clock(0, late, late))
    return tuple(
        Level(
            line.severity,
            line.total,
            clocks.get(("acknowledge", line.severity), Clock()),
            clocks.get(("resolve", line.severity), Clock()),
        )
        for line in severities
        if line.total
    )


def _alerts(
    c: Connection, below: Any, facts: dict[str, Any], period: Period, now: int
) -> tuple[dict[str, _Sums], tuple[SeverityLine, ...], tuple[tuple[int, ...], ...]]:
    late = case(
        (_D.c.due_at <= literal_column(str(int(now))), literal_column("1")), else_=literal_column("0")
    )
    window = [_D.c.time >= period.since, _D.c.time < period.until]
    if below is not None:
        window.append(_D.c.oid.in_(below))
    group = (_D.c.oid, _D.c.severity, _D.c.status, _D.c.classification, benign_of(), late)
    sums: dict[str, _Sums] = {}
    lines = [[0] * 6 for _ in SEVERITIES]
    states = select(*group, func.count()).where(*window).group_by(*group)
    for oid, severity, status, classification, benign, overdue, count in c.execute(states):
        if oid not in facts:
            continue
        mine = sums.setdefault(oid, _Sums())
        place = place_of(status, classification, benign)
        for line in (mine.line, lines[severity]):
            line[0] += count
            line[place] += count
        mine.grave += count if severity >= 3 else 0
        if status < 2 and overdue:
            mine.late[severity, status] += count
    day = day_of(_D.c.time, period.starts)
    by_day = [[0] * len(SEVERITIES) for _ in range(period.days)]
    gone = select(ORGANIZATION.c.oid).where(ORGANIZATION.c.gone_at.is_not(None))
    counted = (
        select(day, _D.c.severity, func.count())
        .where(*window, _D.c.oid.not_in(gone))
        .group_by(literal_column("1"), _D.c.severity)
    )
    for number, severity, count in c.execute(counted):
        by_day[min(max(int(number), 0), period.days - 1)][severity] += count
    return (
        sums,
        tuple(SeverityLine(severity, *lines[severity]) for severity in range(len(SEVERITIES) - 1, -1, -1)),
        tuple(map(tuple, by_day)),
    )


def _cases(c: Connection, below: Any, period: Period) -> dict[str, int]:
    query = (
        select(_CASE.c.oid, func.count())
        .where(
            _CASE.c.created_at >= period.since, _CASE.c.created_at < period.until, _CASE.c.merged_into == ""
        )
        .group_by(_CASE.c.oid)
    )
    if below is not None:
        query = query.where(_CASE.c.oid.in_(below))
    return {oid: count for oid, count in c.execute(query)}


def _sensors(c: Connection, below: Any) -> dict[str, int]:
    query = select(_SENSOR.c.oid, func.count()).group_by(_SENSOR.c.oid)
    if below is not None:
        query = query.where(_SENSOR.c.oid.in_(below))
    return {oid: count for oid, count in c.execute(query)}


def parameters_at(connection: Connection, scope: str) -> dict[str, object]:
    """The parameters of a node, inherited ones included; "" is the root."""
    here = select(NODE.c.first, NODE.c.last).where(
        NODE.c.id == scope if scope else NODE.c.parent_id.is_(None)
    )
    place = connection.execute(here).first()
    found: dict[str, object] = {}
    if place is not None:
        above = select(NODE.c.parameters).where(NODE.c.first <= place.first, NODE.c.last >= place.last)
        for row in connection.execute(above.order_by(NODE.c.first)):
            found |= row.parameters
    return found
