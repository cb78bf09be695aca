"""Until when an alert has to be acknowledged and resolved, and how long that took.

Both clocks run from the time of the detection, as those of Cases do: until somebody acknowledges it (it
becomes in_progress), and until it is resolved or closed. A snooze stops neither. Where an organization has
service hours (`store.customers`) they run within them alone, but for severities that it wants looked at
around the clock; what an alert took is then counted in service time too.

The targets of an organization are, per severity, the first of these that says anything:

- the tree's parameters `sla_critical`, `sla_high`, `sla_medium`, `sla_low` and `sla_info`, inherited like
  every parameter: `15m/4h`, time to acknowledge and time to resolve;
- what the organization's own Cases are configured to (`sla_config` of `GET config/{oid}`);
- what Cases begin with.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import (
    JSON,
    Connection,
    Select,
    String,
    Table,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from store import models
from store.alerts import SEVERITIES
from store.queries.scopes import NODE, oids_of
from store.servicehours import ServiceHours

MINUTE: Final = 60_000

DEFAULTS: Final = ((480, 10_080), (100, 2_800), (60, 1_440), (15, 720), (15, 240))
"""Minutes to acknowledge and to resolve, info to critical: what Cases begin with (documentation, "Cases")."""

PARAMETERS: Final = tuple(f"sla_{word}" for word in SEVERITIES)

FORM: Final = "a time to acknowledge and a time to resolve, such as 15m/4h"

_PAIR = re.compile(r"(\d{1,6})([mhd])/(\d{1,6})([mhd])")
_MINUTES = {"m": 1, "h": 60, "d": 1_440}
_TOGETHER = 500

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_CHANGE: Table = models.TriageChange.__table__  # type: ignore[attr-defined]
_ACTION: Table = models.TriageAction.__table__  # type: ignore[attr-defined]
_CUSTOMER: Table = models.CustomerDocument.__table__  # type: ignore[attr-defined]
_CASES: Table = models.CaseConfiguration.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Targets:
    """How long an organization's alerts may wait; milliseconds, by severity from info to critical."""

    acknowledge: tuple[int, ...]
    resolve: tuple[int, ...]
    sources: tuple[str, ...]
    """Of each severity: `tree`, `cases` or `default`."""
    problems: tuple[str, ...] = ()
    """What was not understood, and therefore passed over; sentences for the operator."""
    service: ServiceHours | None = None
    """When the clocks run; None for around the clock."""

    def due_at(self, severity: int, status: int, time: int) -> int | None:
        """When the clock breaches that runs for an alert in this state (ms); None when none runs.

        Args:
            severity: index into `store.alerts.SEVERITIES`.
            status: index into `store.alerts.STATUSES`.
            time: of the detection, milliseconds, UTC.
        """
        if status > 1:
            return None
        span = (self.resolve if status else self.acknowledge)[severity]
        return time + span if self.service is None else self.after(severity, time, span)

    def after(self, severity: int, time: int, span: int) -> int:
        """The moment (ms) at which an alert's clock has run for so long since a moment."""
        if self.service is None or severity in self.service.always:
            return time + span
        return self.service.after(time, span)

    def took(self, severity: int, time: int, until: int) -> int:
        """How long an alert's clock ran between two moments (ms)."""
        if self.service is None or severity in self.service.always:
            return until - time
        return self.service.between(time, until)


DEFAULT: Final = Targets(
    tuple(minutes * MINUTE for minutes, _ in DEFAULTS),
    tuple(minutes * MINUTE for _, minutes in DEFAULTS),
    ("default",) * len(DEFAULTS),
)


@dataclass(frozen=True, slots=True)
class Times:
    """How long the alerts of one organization and severity took; milliseconds, of service time where it has
    service hours."""

    oid: str
    severity: int
    count: int
    median: int
    p90: int
    within: int
    """How many of them met the target that is in force now."""


def parse_pair(value: object) -> tuple[int, int]:
    """Milliseconds to acknowledge and to resolve of `15m/4h`.

    Raises:
        ValueError: it is none; the text says what is wrong.
    """
    match = _PAIR.fullmatch(value.replace(" ", "").lower()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"it takes {FORM}")
    first, second = (int(match[at]) * _MINUTES[match[at + 1]] * MINUTE for at in (1, 3))
    if not 0 < first <= second:
        raise ValueError("the time to resolve counts from the detection, and is the longer one")
    return first, second


def targets(c: Connection, oid: str) -> Targets:
    """The targets in force for an organization. Asked again in the same transaction it is remembered."""
    return targets_of(c, [oid])[oid]


_remembered: WeakKeyDictionary[Any, dict[str, Targets]] = WeakKeyDictionary()


def targets_of(c: Connection, oids: Collection[str]) -> dict[str, Targets]:
    """The targets in force for each of these organizations."""
    transaction = c.get_transaction()
    known = {} if transaction is None else _remembered.setdefault(transaction, {})
    missing = [oid for oid in oids if oid not in known]
    for at in range(0, len(missing), _TOGETHER):
        known.update(_read(c, missing[at : at + _TOGETHER]))
    return {oid: known[oid] for oid in oids}


def problems(c: Connection) -> list[str]:
    """What of the tree's parameters is not understood and passed over, a sentence each."""
    said = select(NODE.c.id, NODE.c.parameters).where(cast(NODE.c.parameters, String).contains('"sla_'))
    found = []
    for row in c.execute(said.order_by(NODE.c.first)):
        for name in sorted(row.parameters):
            if name.startswith("sla_") and name not in PARAMETERS:
                found.append(
                    f"{name} of the node {row.id} is passed over: there are {', '.join(PARAMETERS)}."
                )
            elif name in PARAMETERS:
                try:
                    parse_pair(row.parameters[name])
                except ValueError as error:
                    found.append(_passed_over(name, row.id, error))
    return found


def _passed_over(name: str, node: str, error: ValueError) -> str:
    return f"{name} of the node {node} is passed over: {error}."


def by_tree(c: Connection) -> dict[str, Targets]:
    """The targets of the organizations in the tree, for which the tree itself says something."""
    if c.execute(select(NODE.c.id).where(cast(NODE.c.parameters, String).contains('"sla_')).limit(1)).first():
        oids = c.execute(select(NODE.c.oid).where(NODE.c.oid.is_not(None))).scalars().all()
        return {oid: found for oid, found in targets_of(c, oids).items() if "tree" in found.sources}
    return {}


def forget(c: Connection) -> None:
    """Forget the targets that this transaction has read: it changes what they come from."""
    transaction = c.get_transaction()
    if transaction is not None:
        _remembered.pop(transaction, None)


_ABOVE = (
    text(
        "WITH RECURSIVE up (oid, id, parent_id, parameters, depth) AS ("
        " SELECT oid, id, parent_id, parameters, depth FROM node WHERE oid IN :oids UNION ALL"
        " SELECT up.oid, node.id, node.parent_id, node.parameters, node.depth"
        " FROM up JOIN node ON node.id = up.parent_id)"
        " SELECT oid, id, parameters, depth FROM up"
    )
    .bindparams(bindparam("oids", expanding=True))
    .columns(parameters=JSON)
)
"""What is said on the way from organizations up to the root. Put together once: ingest asks it often."""

_BESIDE = (
    text(
        "SELECT oid, sla, NULL AS calendar FROM case_configuration WHERE oid IN :oids UNION ALL"
        " SELECT oid, NULL, calendar FROM customer_document WHERE oid IN :oids AND calendar IS NOT NULL"
    )
    .bindparams(bindparam("oids", expanding=True))
    .columns(sla=JSON, calendar=JSON)
)
"""What Cases and service hours say of organizations, in one question."""


def _read(c: Connection, oids: list[str]) -> dict[str, Targets]:
    chains: dict[str, list[tuple[int, str, Mapping[str, Any]]]] = {}
    for row in c.execute(_ABOVE, {"oids": oids}):
        if row.parameters:
            chains.setdefault(row.oid, []).append((row.depth, row.id, row.parameters))
    configured: dict[str, Any] = {}
    calendars: dict[str, Any] = {}
    for row in c.execute(_BESIDE, {"oids": oids}):
        (configured if row.calendar is None else calendars)[row.oid] = row.sla or row.calendar
    found = {oid: _merged(sorted(chains.get(oid, ()), key=_depth), configured.get(oid)) for oid in oids}
    if calendars:
        from store.customers import service_hours

        for oid, calendar in calendars.items():
            found[oid] = replace(found[oid], service=service_hours(calendar))
    return found


def _depth(link: tuple[int, str, Mapping[str, Any]]) -> int:
    return link[0]


def _merged(
    chain: Iterable[tuple[int, str, Mapping[str, Any]]], configured: Mapping[str, Any] | None
) -> Targets:
    chain = list(chain)
    if not configured and not any(name in parameters for _, _, parameters in chain for name in PARAMETERS):
        return DEFAULT
    first, second = list(DEFAULT.acknowledge), list(DEFAULT.resolve)
    sources = list(DEFAULT.sources)
    passed_over: list[str] = []
    for severity, word in enumerate(SEVERITIES):
        said = (configured or {}).get(word)
        if isinstance(said, Mapping):
            for name, times in (("mtta_minutes", first), ("mttr_minutes", second)):
                minutes = said.get(name)
                if isinstance(minutes, int | float) and 0 < minutes < 10**7:
                    times[severity] = int(minutes * MINUTE)
                    sources[severity] = "cases"
        for _, node, parameters in chain:
            if PARAMETERS[severity] not in parameters:
                continue
            try:
                first[severity], second[severity] = parse_pair(parameters[PARAMETERS[severity]])
                sources[severity] = "tree"
            except ValueError as error:
                passed_over.append(_passed_over(PARAMETERS[severity], node, error))
    return Targets(tuple(first), tuple(second), tuple(sources), tuple(passed_over))


def due_at(c: Connection, oid: str, severity: int, status: int, time: int) -> int | None:
    """When the clock breaches that runs for an alert in this state (ms); None when none runs."""
    return targets(c, oid).due_at(severity, status, time)


def due(wanted: Targets, *, acknowledged: bool) -> ColumnElement[int]:
    """The same as an expression over the table of detections, for alerts that are open.

    Only around the clock: service hours are no expression (`wind`).
    """
    spans = wanted.resolve if acknowledged else wanted.acknowledge
    span = case(dict(enumerate(spans)), value=_D.c.severity, else_=spans[2])
    total: ColumnElement[int] = _D.c.time + span
    return total


def put_case_configuration(c: Connection, oid: str, configuration: Mapping[str, Any], *, now: int) -> int:
    """Remember what `GET config/{oid}` of Cases says of deadlines, and set clocks by it; 1 when it is news.

    Args:
        configuration: as received; only `sla_config` is kept.
        now: milliseconds, UTC.
    """
    said = configuration.get("sla_config")
    sla = {
        word: {
            name: said[word][name]
            for name in ("mtta_minutes", "mttr_minutes")
            if isinstance(said[word].get(name), int | float)
        }
        for word in SEVERITIES
        if isinstance(said, Mapping) and isinstance(said.get(word), Mapping)
    }
    known = c.execute(select(_CASES.c.sla).where(_CASES.c.oid == oid)).scalar_one_or_none()
    if known is None:
        c.execute(insert(_CASES).values(oid=oid, sla=sla, checked_at=now))
    else:
        c.execute(update(_CASES).where(_CASES.c.oid == oid).values(sla=sla, checked_at=now))
    if known == sla:
        return 0
    forget(c)
    restate(c, oid)
    return 1


def case_configurations(c: Connection) -> dict[str, int]:
    """When the configuration of each organization's Cases was read (ms), by oid."""
    return {oid: at for oid, at in c.execute(select(_CASES.c.oid, _CASES.c.checked_at))}


def drop_case_configuration(c: Connection, oid: str) -> int:
    """Forget what an organization's Cases say, which has none any more."""
    dropped = c.execute(delete(_CASES).where(_CASES.c.oid == oid)).rowcount
    forget(c)
    restate(c, oid)
    return dropped


def restate(c: Connection, oid: str) -> int:
    """Set the clocks of an organization's open alerts anew, after its targets changed; how many differed.

    The folds that these alerts are shown in are counted again.
    """
    wanted = targets(c, oid)
    differed: Counter[int] = Counter()
    for acknowledged in (False, True):
        here = and_(_D.c.oid == oid, literal_column("detection.status < 2"), _D.c.status == int(acknowledged))
        differed.update(wind(c, wanted, here, acknowledged=acknowledged))
    if differed:
        from store import folds

        folds.recount(c, set(differed))
    return differed.total()


def wind(c: Connection, wanted: Targets, here: ColumnElement[bool], *, acknowledged: bool) -> dict[int, int]:
    """Let the clocks of some open alerts run by these targets; one that does already is not written.

    Args:
        wanted: the targets that their organizations share.
        here: which alerts: a condition on the table of detections, and on those that it names beside it.
        acknowledged: which clock runs for all of them.

    Returns:
        How many differed of which fold. The folds are as they were counted before.
    """
    if wanted.service is None:
        moment = due(wanted, acknowledged=acknowledged)
        differing = and_(here, _D.c.due_at.is_distinct_from(moment))
        counted = select(_D.c.fold_id, func.count()).where(differing).group_by(_D.c.fold_id)
        found = {int(fold): int(count) for fold, count in c.execute(counted)}
        if found:
            c.execute(update(_D).where(differing).values(due_at=moment))
        return found
    # Service hours are no expression.
    rows = c.execute(select(_D.c.id, _D.c.severity, _D.c.time, _D.c.due_at, _D.c.fold_id).where(here))
    folds_: Counter[int] = Counter()
    moments = []
    for row in rows.all():
        runs_out = wanted.due_at(row.severity, int(acknowledged), row.time)
        if runs_out != row.due_at:
            moments.append({"number": row.id, "moment": runs_out})
            folds_[row.fold_id] += 1
    if moments:
        c.execute(_CLOCK, moments)
    return folds_


_CLOCK = update(_D).where(_D.c.id == bindparam("number")).values(due_at=bindparam("moment"))


def acknowledged(
    c: Connection, *, scope: str = "", oid: str = "", since: int | None = None, until: int | None = None
) -> list[Times]:
    """Time to acknowledge, per organization and severity.

    Args:
        scope: id of a tree node; "" is the root.
        oid: one organization; "" for all.
        since: detections from then on (ms).
        until: and before then.
    """
    took = (_D.c.acknowledged_at - _D.c.time).label("took")
    values = select(_D.c.oid, _D.c.severity, _D.c.time, took).where(_D.c.acknowledged_at.is_not(None))
    return _times(c, _narrowed(c, values, scope, oid, since, until), "acknowledge")


def resolved(
    c: Connection, *, scope: str = "", oid: str = "", since: int | None = None, until: int | None = None
) -> list[Times]:
    """Time to resolve, per organization and severity; of an alert that was reopened, each time it was."""
    took = (_D.c.resolved_at - _D.c.time).label("took")
    last = select(_D.c.oid, _D.c.severity, _D.c.time, took).where(_D.c.resolved_at.is_not(None))
    values = _narrowed(c, last, scope, oid, since, until)
    reopened = select(_ACTION.c.id).where(_ACTION.c.verb == "reopen").limit(1)
    if c.execute(reopened).first() is not None:
        values.append(
            select(_D.c.oid, _D.c.severity, _D.c.time, (_CHANGE.c.resolved_at - _D.c.time).label("took"))
            .join(_CHANGE, _CHANGE.c.detection_id == _D.c.id)
            .join(_ACTION, _ACTION.c.id == _CHANGE.c.action_id)
            .where(
                _ACTION.c.verb == "reopen",
                _CHANGE.c.outcome == 1,
                _CHANGE.c.resolved_at.is_not(None),
                *_wanted(c, scope, oid, since, until),
            )
        )
    return _times(c, values, "resolve")


def _narrowed(
    c: Connection, values: Select[Any], scope: str, oid: str, since: int | None, until: int | None
) -> list[Select[Any]]:
    """The alerts that are wanted; those of one organization out of the two partial indexes, rank by rank."""
    wanted = values.where(*_wanted(c, scope, oid, since, until))
    if not oid:
        return [wanted]
    ranks = _D.c.rank.in_(range(len(SEVERITIES) + 1))
    return [
        wanted.where(ranks, literal_column(state))
        for state in ("detection.status < 2", "detection.status >= 2")
    ]


def _wanted(
    c: Connection, scope: str, oid: str, since: int | None, until: int | None
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if since is not None:
        conditions.append(_D.c.time >= since)
    if until is not None:
        conditions.append(_D.c.time < until)
    if oid:
        conditions.append(_D.c.oid == oid)
    oids = oids_of(c, scope)
    if oids is not None:
        conditions.append(_D.c.oid.in_(oids))
    return conditions


def _times(c: Connection, values: Iterable[Select[Any]], clock: str) -> list[Times]:
    """Alert by alert: sorting the numbers here takes less than ranking rows in the database does."""
    spans: dict[tuple[str, int], list[int]] = {}
    served = c.execute(select(_CUSTOMER.c.oid).where(_CUSTOMER.c.calendar.is_not(None))).scalars().all()
    serving = targets_of(c, served)
    for query in values:
        for oid, severity, moment, span in c.execute(query.execution_options(yield_per=10_000)):
            mine = serving.get(oid)
            took = span if mine is None else mine.took(severity, moment, moment + span)
            try:
                spans[oid, severity].append(took)
            except KeyError:
                spans[oid, severity] = [took]
    known = targets_of(c, sorted({oid for oid, _ in spans}))
    found = []
    for (oid, severity), took_ in spans.items():
        took_.sort()
        # The smallest value that so many percent do not exceed.
        median, p90 = (took_[-(-len(took_) * percent // 100) - 1] for percent in (50, 90))
        met = bisect_right(took_, getattr(known[oid], clock)[severity])
        found.append(Times(oid, severity, len(took_), median, p90, met))
    return sorted(found, key=lambda each: (each.oid, -each.severity))
