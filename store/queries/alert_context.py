"""What stands around one alert: its rule in the configuration, its fold, its host, its clocks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, and_, literal_column, select

from store import models, triage
from store.observables import detection_of, folded, observables
from store.queries import alerts, cases
from store.queries.alerts import AlertDetail, AlertRow
from store.queries.cases import CaseRow
from store.queries.customers import Card, card
from store.queries.matching import few_of_host
from store.queries.pivot import Prevalence, prevalence
from store.text import Untrusted
from store.triage import Past, Snoozed

NAMESPACES: tuple[str, ...] = ("general", "managed", "service", "mail")
"""Of rules; each is the hive `dr-NAMESPACE`."""

AROUND = 3_600_000
"""Milliseconds before and after an alert in which its host is looked at."""

NEIGHBOURS = 6
"""At most so many other alerts of the host before it, and as many after it."""

LOOKED = 20_000
"""At most so many alerts of all hosts are gone through in each direction."""

DECISIONS = 20

SEEN = 3
"""Values of which is told where else they were seen."""

_TELLING: tuple[str, ...] = ("hash", "domain", "address", "url", "command")
"""Kinds of values, the most telling first: a host is its own, and users and paths are much alike."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_FOLD: Table = models.Fold.__table__  # type: ignore[attr-defined]
_STORM: Table = models.Storm.__table__  # type: ignore[attr-defined]
_RECORD: Table = models.ConfigurationRecord.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class RuleOrigin:
    """The rule that made an alert, as the organization's configuration has it now."""

    namespace: str
    """Of NAMESPACES; "" when neither the alert nor the configuration tells."""
    name: Untrusted
    state: str
    """enabled, disabled, missing (the configuration was read, and it is not there), or unknown."""
    changed_at: int | None
    """When it was last changed, or found missing (ms)."""
    changed_by: Untrusted
    """Who changed it last; "" when the cloud does not say."""


@dataclass(frozen=True, slots=True)
class FoldVerdicts:
    """How alerts like this one were decided before, in its organization."""

    total: int
    open: int
    true_positives: int
    false_positives: int
    last_verdict: int
    """Index into `store.alerts.CLASSIFICATIONS`; 0 when there was none."""
    last_verdict_at: int | None
    last_verdict_by: Untrusted
    organizations: int
    """In how many organizations the same storm has open alerts, this one's included."""
    elsewhere: int
    """The last verdict of the storm where that was another organization's; 0 when it was not, or none."""
    elsewhere_at: int | None
    elsewhere_by: Untrusted


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another alert of the same host."""

    id: int
    time: int
    severity: int
    status: int
    classification: int
    cat: Untrusted


@dataclass(frozen=True, slots=True)
class Seen:
    """A value that the alert speaks of, and where else it was seen."""

    kind: str
    """Of `store.observables.KINDS`."""
    value: Untrusted
    where: Prevalence


@dataclass(frozen=True, slots=True)
class AlertContext:
    """What an analyst asks about an alert before deciding."""

    origin: RuleOrigin | None
    """None when the alert names no rule."""
    seen: tuple[Seen, ...]
    """Its most telling values, at most SEEN."""
    fold: FoldVerdicts | None
    snooze: Snoozed | None
    """Why it is hidden, or what brought it back."""
    acknowledged_at: int | None
    resolved_at: int | None
    decisions: tuple[Past, ...]
    """What was decided and noted, the last first, at most DECISIONS."""
    cases: tuple[CaseRow, ...]
    """That hold it, as far as they were read."""
    neighbours: tuple[Neighbour, ...]
    """Oldest first, the nearest on both sides of it."""
    neighbours_cut: bool
    """Whether the host has more within the time looked at."""
    customer: Card | None = None
    """What the customer's documentation says; None when it was not asked for."""


@dataclass(frozen=True, slots=True)
class Whole:
    """An alert with everything around it."""

    detail: AlertDetail
    around: AlertContext


def whole(connection: Connection, alert_id: int, now: int | None = None) -> Whole | None:
    """One alert by its number in the store, with everything around it.

    Args:
        now: as `context_of` takes it.
    """
    found = alerts.detail(connection, alert_id)
    return None if found is None else Whole(found, context_of(connection, found.row, found.body, now))


def context_of(
    connection: Connection, row: AlertRow, body: bytes = b"", now: int | None = None
) -> AlertContext:
    """Everything around an alert that the store knows, by indexes alone.

    Args:
        body: the detection as received; without it nothing is said of where its values were seen.
        now: when it is looked at (ms, UTC); without it nothing is said of the customer.
    """
    clocks = connection.execute(
        select(_D.c.acknowledged_at, _D.c.resolved_at).where(_D.c.id == row.id)
    ).one_or_none()
    neighbours, cut = _neighbours(connection, row)
    return AlertContext(
        origin=origin_of(connection, row.oid, row.rule),
        seen=_seen(connection, body),
        fold=_fold(connection, row.fold_id),
        snooze=triage.snoozes(connection, [row.id]).get(row.id),
        acknowledged_at=clocks.acknowledged_at if clocks else None,
        resolved_at=clocks.resolved_at if clocks else None,
        decisions=tuple(triage.history(connection, row.id, limit=DECISIONS)),
        cases=_cases(connection, row),
        neighbours=neighbours,
        neighbours_cut=cut,
        customer=None if now is None else card(connection, row.oid, now),
    )


def origin_of(connection: Connection, oid: str, source_rule: str) -> RuleOrigin | None:
    """The rule of an alert in the configuration of its organization; None when the alert names none.

    A detection names its rule as `namespace.name`, or bare; a bare one is looked for in every namespace.
    """
    if not source_rule:
        return None
    head, dot, rest = source_rule.partition(".")
    known = bool(dot and rest) and head in NAMESPACES
    name = rest if known else source_rule
    namespaces: Sequence[str] = (head,) if known else NAMESPACES
    for namespace in namespaces:
        found = connection.execute(
            select(_RECORD.c.enabled, _RECORD.c.modified, _RECORD.c.valid_from, _RECORD.c.author).where(
                _RECORD.c.oid == oid,
                _RECORD.c.section == f"hive/dr-{namespace}",
                _RECORD.c.name == name,
                _RECORD.c.valid_to.is_(None),
            )
        ).one_or_none()
        if found is not None:
            return RuleOrigin(
                namespace,
                Untrusted(name),
                "disabled" if found.enabled is False else "enabled",
                found.modified if found.modified is not None else found.valid_from,
                Untrusted(found.author or ""),
            )
    namespace = head if known else ""
    if known and not _read(connection, oid):
        return RuleOrigin(namespace, Untrusted(name), "unknown", None, Untrusted(""))
    for each in namespaces:
        gone = connection.execute(
            select(_RECORD.c.valid_to)
            .where(
                _RECORD.c.section == f"hive/dr-{each}",
                _RECORD.c.name == name,
                _RECORD.c.oid == oid,
                _RECORD.c.valid_to.is_not(None),
            )
            .order_by(_RECORD.c.valid_to.desc())
            .limit(1)
        ).scalar_one_or_none()
        if gone is not None:
            return RuleOrigin(each, Untrusted(name), "missing", gone, Untrusted(""))
    # A bare name may also be that of an extension or of a service, which no hive lists.
    return RuleOrigin(namespace, Untrusted(name), "missing" if known else "unknown", None, Untrusted(""))


def _read(connection: Connection, oid: str) -> bool:
    """Whether the configuration of an organization was ever read to its end."""
    return (
        connection.execute(
            select(_STATE.c.checked_at).where(_STATE.c.oid == oid, _STATE.c.subject == "configuration")
        ).scalar_one_or_none()
        is not None
    )


def _fold(connection: Connection, fold_id: int) -> FoldVerdicts | None:
    if not fold_id:
        return None
    found = connection.execute(
        select(
            _FOLD.c.total,
            _FOLD.c.open,
            _FOLD.c.true_positives,
            _FOLD.c.false_positives,
            _FOLD.c.last_verdict,
            _FOLD.c.last_verdict_at,
            _FOLD.c.last_verdict_by,
            _STORM.c.organizations,
            _STORM.c.last_verdict.label("elsewhere"),
            _STORM.c.last_verdict_at.label("elsewhere_at"),
            _STORM.c.last_verdict_by.label("elsewhere_by"),
            _STORM.c.last_verdict_alert,
            _FOLD.c.last_verdict_alert.label("own_alert"),
        )
        .select_from(_FOLD.outerjoin(_STORM, _STORM.c.key == _FOLD.c.storm))
        .where(_FOLD.c.id == fold_id)
    ).one_or_none()
    if found is None:
        return None
    elsewhere = found.elsewhere or 0 if found.last_verdict_alert != found.own_alert else 0
    return FoldVerdicts(
        found.total, found.open, found.true_positives, found.false_positives, found.last_verdict,
        found.last_verdict_at, Untrusted(found.last_verdict_by), found.organizations or 0,
        elsewhere, found.elsewhere_at if elsewhere else None,
        Untrusted(found.elsewhere_by or "" if elsewhere else ""),
    )  # fmt: skip


def _seen(connection: Connection, body: bytes) -> tuple[Seen, ...]:
    """The first value of each telling kind, the sensor's own addresses left out."""
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(record, dict):
        return ()
    routing = detection_of(record).get("routing")
    own = {
        folded("address", each)
        for name in ("ext_ip", "int_ip")
        if isinstance(routing, dict) and isinstance(each := routing.get(name), str)
    }
    first: dict[str, Untrusted] = {}
    for kind, value in observables(record):
        if kind in _TELLING and (kind != "address" or folded(kind, value) not in own):
            first.setdefault(kind, value)
    chosen = [(kind, first[kind]) for kind in _TELLING if kind in first][:SEEN]
    return tuple(Seen(kind, value, prevalence(connection, kind, value)) for kind, value in chosen)


def _cases(connection: Connection, row: AlertRow) -> tuple[CaseRow, ...]:
    numbers = cases.holding(connection, row.oid, [row.detect_id]).get(row.detect_id, ())
    return tuple(cases.cases_numbered(connection, [(row.oid, number) for number in numbers]))


def _neighbours(connection: Connection, row: AlertRow) -> tuple[tuple[Neighbour, ...], bool]:
    """The alerts of the same sensor (or host name, where no sensor is named) nearest in time."""
    if row.sid:
        same: Any = _D.c.sid == row.sid
    elif row.hostname:
        same = _D.c.hostname == row.hostname
    else:
        return (), False
    organization: Any = _D.c.oid
    moment: Any = _D.c.time
    few = few_of_host(connection, row.oid, row.hostname) if row.hostname else None
    if connection.dialect.name == "sqlite":
        # Else SQLite may take the index of ids, and sort all that the organization ever had.
        organization = literal_column("+detection.oid", _D.c.oid.type)
        if few is not None:
            moment = literal_column("+detection.time", _D.c.time.type)
    if few is not None:
        same = and_(few, same)
    chosen = select(_D.c.id, _D.c.time, _D.c.severity, _D.c.status, _D.c.classification, _D.c.cat).where(
        organization == row.oid, same, _D.c.id != row.id
    )
    start, early = _reach(connection, row.time, -1, bounded=few is None)
    end, late = _reach(connection, row.time, 1, bounded=few is None)
    before = connection.execute(
        chosen.where(moment >= start, moment <= row.time).order_by(moment.desc()).limit(NEIGHBOURS + 1)
    ).all()
    after = connection.execute(
        chosen.where(moment > row.time, moment <= end).order_by(moment.asc()).limit(NEIGHBOURS + 1)
    ).all()
    kept = [*reversed(before[:NEIGHBOURS]), *after[:NEIGHBOURS]]
    return (
        tuple(
            Neighbour(
                each.id, each.time, each.severity, each.status, each.classification, Untrusted(each.cat)
            )
            for each in kept
        ),
        early or late or len(before) > NEIGHBOURS or len(after) > NEIGHBOURS,
    )


def _reach(connection: Connection, time: int, sign: int, *, bounded: bool) -> tuple[int, bool]:
    """Up to which time to look in one direction, and whether a storm of LOOKED alerts cuts it short.

    Args:
        bounded: all alerts of that time are gone through, so that their number matters.
    """
    moment = _D.c.time
    far = time + sign * AROUND
    if not bounded:
        return far, False
    within = (moment > time, moment <= far) if sign > 0 else (moment < time, moment >= far)
    # Not a page: one entry of the index, so many further on.
    cut = connection.execute(
        select(moment)
        .where(*within)
        .order_by(moment.asc() if sign > 0 else moment.desc())
        .limit(1)
        .offset(LOOKED)
    ).scalar_one_or_none()
    return (far, False) if cut is None else (cut, True)
