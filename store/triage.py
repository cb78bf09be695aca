"""Decisions over alerts: who has one, how far it is, what it was, and how to take that back.

A decision is planned first: a `TriageAction`, and a `TriageChange` for every alert with what is there
before. It is then done chunk by chunk, each in one transaction together with the counters and the folds, so
that whatever ends a process in the middle, `proceed` goes on where it stopped and does nothing twice. An
alert that somebody else changed meanwhile (its `version` is another one) is left alone and named.

Every function takes a connection; those that write take one of `Store.writing()`.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Row,
    Table,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

from store import folds, models, sla
from store.alerts import CLASSIFICATIONS, FOREVER, OPEN, STATUSES, WOKEN, AlertFilter
from store.bodies import storable
from store.errors import StoreError
from store.journal import append
from store.queries import alerts
from store.queries.alerts import AlertRow
from store.sampling import Sample, sample_of
from store.text import Untrusted

CHUNK: Final = 500
"""Alerts that one transaction changes: every other writer waits for it."""

MOST: Final = 100_000
"""Alerts that one decision may be about."""

UNDO_WITHIN: Final = 3_600_000
"""Milliseconds for which the last decision is offered to be undone."""

EVENTS: Final[tuple[str, ...]] = ("online", "host")
"""What ends a snooze besides a time and a count: its sensor came online, its fold reached another host."""

WAKER: Final = "limegrove"
"""Who ends a snooze when what it waited for has come, and lets alerts follow what was decided elsewhere."""

PLANNED, DONE, CONFLICT, NO_STEP, UNDONE = range(5)
"""What `TriageChange.outcome` holds."""

NEW, IN_PROGRESS, RESOLVED, CLOSED = range(len(STATUSES))

_TAG = re.compile(r"[^\s\x00-\x1f\x7f]{1,64}")
_TAGS: Final = 50
"""Tags of one alert, as many as Cases allow (documentation, "Cases")."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_BODY: Table = models.DetectionBody.__table__  # type: ignore[attr-defined]
_COUNT: Table = models.DetectionCount.__table__  # type: ignore[attr-defined]
_FOLD: Table = models.Fold.__table__  # type: ignore[attr-defined]
_SENSOR: Table = models.Sensor.__table__  # type: ignore[attr-defined]
_SNOOZE: Table = models.Snooze.__table__  # type: ignore[attr-defined]
_ACTION: Table = models.TriageAction.__table__  # type: ignore[attr-defined]
_CHANGE: Table = models.TriageChange.__table__  # type: ignore[attr-defined]

_STATE: Final = (
    "status", "classification", "assignee", "rank", "tags", "acknowledged_at", "resolved_at",
    "snoozed_until", "due_at",
)  # fmt: skip
"""What a change keeps of an alert as it was before, and undo brings back."""

_CARRIES: Final = ("claim", "assign", "ack", "close", "reopen", "snooze")
"""Verbs that end a snooze, and take a woken alert from the top of the queue."""

_MINE: Final = ("claim", "release", "ack", "close", "reopen", "snooze")
"""Verbs that leave alone what somebody else has."""


class TriageError(StoreError):
    """A decision that cannot be made as it was asked for; nothing was changed."""


@dataclass(frozen=True)
class Selection:
    """Which alerts a decision is about."""

    ids: tuple[int, ...] = ()
    versions: Mapping[int, int] = field(default_factory=dict)
    """`Detection.version` as whoever asks has seen it; an alert that has another one is left alone."""
    wanted: AlertFilter | None = None
    """All of these, when there are no ids."""
    upto: int | None = None
    """Of `wanted`, only what was stored by then (see `newest`): later ones nobody has looked at."""


@dataclass(frozen=True)
class Decision:
    """What is to be done with each alert."""

    verb: str
    """claim, release, assign, ack, close, reopen, snooze, tag, note or undo."""
    operator: str
    comment: str = ""
    assignee: str = ""
    """assign: to whom; "" is nobody."""
    acknowledge: bool = True
    """claim: a new one becomes in_progress."""
    status: int = CLOSED
    """close: RESOLVED or CLOSED."""
    classification: int = 0
    """close: index into `store.alerts.CLASSIFICATIONS`."""
    add: tuple[str, ...] = ()
    """close, tag: tags to add."""
    remove: tuple[str, ...] = ()
    """tag: tags to take away."""
    until: int | None = None
    """snooze: until when (ms, UTC)."""
    more: int | None = None
    """snooze: until its fold has so many alerts more."""
    event: str = ""
    """snooze: of EVENTS."""
    reason: str = ""
    """snooze: why."""
    held: bool = False
    """ack, close, reopen, snooze: also what somebody else has."""
    of: int = 0
    """undo: which action."""
    at: int | None = None
    """ack, close, reopen: when it was decided, where that was elsewhere (ms): the clocks of the alerts go by
    it. The decision itself, and its entry of the journal, have the time at which they were written."""
    by: str = ""
    """Who decided it there, as far as that is known."""

    def detail(self) -> dict[str, Any]:
        """What of it differs from nothing, for `TriageAction.detail`."""
        plain = Decision(self.verb, self.operator, self.comment)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value != getattr(plain, name)
            or (name in ("status", "classification") and self.verb == "close")
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """An alert that a decision left alone."""

    id: int
    oid: str
    why: str
    who: Untrusted
    """Who has it or changed it; "" when nobody is the reason."""
    since: int | None
    """Since when (ms)."""
    detect_id: Untrusted


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision came to."""

    action_id: int
    """0 when there was nothing to change."""
    changed: int
    refused: tuple[Refusal, ...] = ()
    by_organization: Mapping[str, int] = field(default_factory=dict)
    """Alerts changed, by oid."""
    unchanged: int = 0
    """Alerts that were like that already."""
    finished: bool = True
    """False when some are still planned."""


@dataclass(frozen=True, slots=True)
class Action:
    """A decision that was made."""

    id: int
    time: int
    actor: Untrusted
    verb: str
    comment: Untrusted
    detail: Mapping[str, Any]
    planned: int
    changed: int
    refused: int
    finished_at: int | None
    undone_at: int | None


@dataclass(frozen=True, slots=True)
class Past:
    """What a decision made of one alert."""

    action_id: int
    time: int
    actor: Untrusted
    verb: str
    comment: Untrusted
    detail: Mapping[str, Any]
    outcome: int
    """DONE or UNDONE."""
    before: Mapping[str, Any]
    """The columns of `Detection` as they were: status, classification, assignee, ..."""


@dataclass(frozen=True, slots=True)
class Snoozed:
    """Why an alert is hidden, or what brought it back."""

    id: int
    until: int | None
    more: int | None
    """How many its fold will have had in all."""
    event: str
    reason: Untrusted
    by: Untrusted
    at: int
    woken_at: int | None
    woken_by: Untrusted


@dataclass(frozen=True, slots=True)
class Change:
    """One alert that an action changed, with its state before; for whoever passes decisions on."""

    detection_id: int
    oid: str
    outcome: int
    version: int
    status: int
    classification: int


# Making a decision


def newest(c: Connection) -> int:
    """The number of the newest alert: `Selection.upto` for what is there now."""
    return int(c.execute(select(func.max(_D.c.id))).scalar_one() or 0)


def resolve(c: Connection, selection: Selection) -> Selection:
    """The same alerts by id, with the versions they have now.

    Raises:
        TriageError: they are more than MOST.
    """
    rows: list[Any] = []
    for conditions in _conditions(c, selection):
        query = select(_D.c.id, _D.c.version).where(*conditions).limit(MOST + 1 - len(rows))
        rows.extend(c.execute(query))
        _not_too_many(len(rows))
    rows.sort()
    return Selection(tuple(row.id for row in rows), {row.id: row.version for row in rows})


def sample(c: Connection, selection: Selection, n: int = 5, *, seed: int | None = None) -> Sample:
    """Look at a selection before something is done to all of it: `n` random members, and every outlier."""
    return sample_of(c, resolve(c, selection).ids, n, seed=seed)


def organizations(c: Connection, selection: Selection) -> dict[str, int]:
    """How many alerts of each organization a selection has, by oid."""
    found: Counter[str] = Counter()
    for conditions in _conditions(c, selection):
        query = select(_D.c.oid, func.count()).where(*conditions).group_by(_D.c.oid)
        for oid, count in c.execute(query):
            found[oid] += count
    return dict(found)


def _conditions(c: Connection, selection: Selection) -> list[list[ColumnElement[bool]]]:
    """What has to hold on the table; any of these lists, none of which overlap."""
    if selection.ids or selection.wanted is None:
        ids = sorted(set(selection.ids))
        return [[_D.c.id.in_(ids[at : at + CHUNK])] for at in range(0, len(ids), CHUNK)]
    upto = [] if selection.upto is None else [_D.c.id <= selection.upto]
    return [[*conditions, *upto] for conditions in alerts.matching(c, selection.wanted)]


def _not_too_many(count: int) -> None:
    if count > MOST:
        raise TriageError(f"One decision is about at most {MOST:,} alerts; narrow the selection.")


def begin(c: Connection, decision: Decision, selection: Selection, *, now: int) -> int:
    """Plan a decision; answers the number of its action, or 0 when there is nothing to change.

    Args:
        selection: for `undo` its ids are the part of the action to undo; without ids all of it.

    Raises:
        TriageError: it cannot be made as it was asked for.
    """
    decision = _checked(decision)
    detail = decision.detail()
    action = int(
        c.execute(
            insert(_ACTION)
            .values(
                time=now, actor=decision.operator, verb=decision.verb, comment=decision.comment,
                detail=detail, planned=0, changed=0, refused=0, finished_at=None, undone_at=None,
            )
            .returning(_ACTION.c.id)
        ).scalar_one()
    )  # fmt: skip
    if decision.verb == "undo":
        asked, rows = _plan_undo(c, action, decision.of, selection.ids)
    else:
        asked, rows = _plan(c, action, decision, selection)
    if not rows:
        c.execute(delete(_ACTION).where(_ACTION.c.id == action))
        return 0
    values: dict[str, Any] = {"planned": asked}
    if decision.event == "host":
        values["detail"] = detail | {"hosts": _hosts(c, action), "newest": newest(c)}
    c.execute(update(_ACTION).where(_ACTION.c.id == action).values(values))
    return action


def _checked(decision: Decision) -> Decision:
    operator = storable(decision.operator).strip()
    if not operator:
        raise TriageError("Nobody is at the console; set `operator`.")
    for tag in (*decision.add, *decision.remove):
        if not _TAG.fullmatch(tag):
            raise TriageError("A tag is one word of at most 64 characters.")
    if decision.verb == "snooze":
        given = [decision.until is not None, decision.more is not None, bool(decision.event)]
        if sum(given) != 1:
            raise TriageError("A snooze ends at a time, after so many more, or with an event: one of these.")
        if decision.more is not None and decision.more < 1:
            raise TriageError("A snooze ends after at least one more.")
        if decision.event and decision.event not in EVENTS:
            raise TriageError(f"A snooze ends with one of {', '.join(EVENTS)}.")
    if decision.verb == "tag" and not (decision.add or decision.remove):
        raise TriageError("Which tags are to be added or taken away?")
    if decision.verb == "note" and not decision.comment.strip():
        raise TriageError("The note is empty.")
    if decision.verb == "close" and (
        decision.status not in (RESOLVED, CLOSED)
        or decision.classification not in range(len(CLASSIFICATIONS))
    ):
        raise TriageError("An alert is closed or resolved, as one of " + ", ".join(CLASSIFICATIONS) + ".")
    return replace(
        decision,
        operator=operator,
        comment=storable(decision.comment),
        assignee=storable(decision.assignee).strip(),
        reason=storable(decision.reason),
        by=storable(decision.by),
        add=tuple(dict.fromkeys(map(storable, decision.add))),
        remove=tuple(dict.fromkeys(map(storable, decision.remove))),
    )


def _plan(c: Connection, action: int, decision: Decision, selection: Selection) -> tuple[int, int]:
    """(alerts asked for, changes planned)"""
    asked = 0
    outcome = case((_no_step(decision), NO_STEP), (_held(decision), CONFLICT), else_=PLANNED)
    columns = [literal(action), _D.c.id, _D.c.oid, outcome, _D.c.version, *(_D.c[name] for name in _STATE)]
    names = ["action_id", "detection_id", "oid", "outcome", "version", *_STATE]
    for conditions in _conditions(c, selection):
        if selection.wanted is not None:
            asked += c.execute(select(func.count()).select_from(_D).where(*conditions)).scalar_one()
            _not_too_many(asked)
        rows = select(*columns).where(*conditions, not_(_like_that(decision)))
        c.execute(insert(_CHANGE).from_select(names, rows))
    if selection.ids:
        asked = len(set(selection.ids))
        _not_too_many(asked)
    if selection.versions:
        query = select(_CHANGE.c.detection_id, _CHANGE.c.version).where(
            _CHANGE.c.action_id == action, _CHANGE.c.outcome == PLANNED
        )
        stale = [row[0] for row in c.execute(query) if selection.versions.get(row[0], row[1]) != row[1]]
        for at in range(0, len(stale), CHUNK):
            c.execute(
                update(_CHANGE)
                .where(_CHANGE.c.action_id == action, _CHANGE.c.detection_id.in_(stale[at : at + CHUNK]))
                .values(outcome=CONFLICT)
            )
    return asked, _size(c, action)


def _no_step(decision: Decision) -> ColumnElement[bool]:
    """The alerts from whose status this is no step."""
    verb, status = decision.verb, _D.c.status
    if verb in ("claim", "release", "assign", "ack"):
        return status >= RESOLVED
    if verb == "snooze":
        foldless = decision.more is not None or decision.event == "host"
        return or_(status >= RESOLVED, _D.c.fold_id == 0) if foldless else status >= RESOLVED
    if verb == "reopen":
        return status == RESOLVED
    if verb == "close" and decision.status == RESOLVED:
        return status.not_in((IN_PROGRESS, RESOLVED))
    return false()


def _held(decision: Decision) -> ColumnElement[bool]:
    """The alerts that somebody else has."""
    if decision.verb not in _MINE or (decision.held and decision.verb not in ("claim", "release")):
        return false()
    return and_(_D.c.status < RESOLVED, _D.c.assignee.not_in(("", decision.operator)))


def _like_that(decision: Decision) -> ColumnElement[bool]:
    """The alerts at which there is nothing to change."""
    verb = decision.verb
    shown = and_(_D.c.snoozed_until.is_(None), _D.c.rank != WOKEN)
    tagged = and_(true(), *(alerts.has_tag(_D.c.tags, tag) for tag in decision.add))
    if verb == "claim":
        begun = _D.c.status == IN_PROGRESS if decision.acknowledge else _D.c.status < RESOLVED
        return and_(_D.c.assignee == decision.operator, begun, shown)
    if verb == "release":
        return and_(_D.c.assignee == "", _D.c.status < RESOLVED)
    if verb == "assign":
        return and_(_D.c.assignee == decision.assignee, _D.c.status < RESOLVED, shown)
    if verb == "ack":
        return and_(_D.c.status == IN_PROGRESS, shown)
    if verb == "close":
        same = _D.c.classification == decision.classification
        return and_(_D.c.status == decision.status, same, tagged)
    if verb == "reopen":
        return _D.c.status < RESOLVED
    if verb == "tag":
        without = (not_(alerts.has_tag(_D.c.tags, tag)) for tag in decision.remove)
        return and_(tagged, *without)
    return false()


def _plan_undo(c: Connection, action: int, of: int, ids: Collection[int]) -> tuple[int, int]:
    found = c.execute(select(_ACTION).where(_ACTION.c.id == of)).one_or_none()
    if found is None:
        raise TriageError(f"There is no decision {of}.")
    if found.verb in ("note", "wake"):
        raise TriageError(
            "A note stays; write another." if found.verb == "note" else "A woken alert is awake."
        )
    if found.finished_at is None:
        raise TriageError(f"Decision {of} is not finished; resume it first.")
    done = [_CHANGE.c.action_id == of, _CHANGE.c.outcome == DONE]
    parts: list[ColumnElement[bool]] = [true()]
    if ids:
        wanted = sorted(set(ids))
        parts = [_CHANGE.c.detection_id.in_(wanted[at : at + CHUNK]) for at in range(0, len(wanted), CHUNK)]
    outcome = case((_D.c.version == _CHANGE.c.version, PLANNED), else_=CONFLICT)
    columns = [literal(action), _D.c.id, _D.c.oid, outcome, _D.c.version, *(_D.c[name] for name in _STATE)]
    names = ["action_id", "detection_id", "oid", "outcome", "version", *_STATE]
    for part in parts:
        rows = select(*columns).join(_CHANGE, _CHANGE.c.detection_id == _D.c.id).where(*done, part)
        c.execute(insert(_CHANGE).from_select(names, rows))
    count = _size(c, action)
    return (len(set(ids)) if ids else count), count


def _size(c: Connection, action: int) -> int:
    query = select(func.count()).select_from(_CHANGE).where(_CHANGE.c.action_id == action)
    return int(c.execute(query).scalar_one())


def _hosts(c: Connection, action: int) -> dict[str, list[str]]:
    """The hosts that the folds of planned alerts have reached: what `host` is compared with."""
    mine = select(_D.c.fold_id).join(_CHANGE, _CHANGE.c.detection_id == _D.c.id)
    mine = mine.where(_CHANGE.c.action_id == action, _CHANGE.c.outcome == PLANNED).distinct()
    found: dict[str, list[str]] = {}
    for half in (_D.c.status < RESOLVED, _D.c.status >= RESOLVED):
        query = select(_D.c.fold_id, _D.c.hostname).where(_D.c.fold_id.in_(mine), half).distinct()
        for row in c.execute(query):
            found.setdefault(str(row.fold_id), []).append(row.hostname)
    return {fold: sorted(set(hosts)) for fold, hosts in found.items()}


# Doing it


def unfinished(c: Connection) -> list[int]:
    """The actions of which something is still planned, oldest first."""
    return list(
        c.execute(
            select(_ACTION.c.id).where(_ACTION.c.finished_at.is_(None)).order_by(_ACTION.c.id)
        ).scalars()
    )


def planned(c: Connection, action: int) -> int:
    """How many alerts of an action are still to be done."""
    query = select(func.count()).select_from(_CHANGE)
    here = query.where(_CHANGE.c.action_id == action, _CHANGE.c.outcome == PLANNED)
    return int(c.execute(here).scalar_one())


def decision_of(c: Connection, action: int) -> Decision:
    """What was decided.

    Raises:
        TriageError: there is no such action.
    """
    row = c.execute(select(_ACTION).where(_ACTION.c.id == action)).one_or_none()
    if row is None:
        raise TriageError(f"There is no decision {action}.")
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in row.detail.items()
        if name in Decision.__dataclass_fields__
    }
    return Decision(verb=row.verb, operator=row.actor, comment=row.comment, **known)


def proceed(c: Connection, action: int, *, actor: str, now: int, limit: int = CHUNK) -> bool:
    """Do the next `limit` of what is planned, in this transaction; whether anything is left.

    With the last of it the action is finished, and the journal has its entry. Two processes may do this with
    the same action at the same time.

    Args:
        actor: who runs the console, for the journal.
    """
    pending = (
        select(_CHANGE.c.detection_id)
        .where(_CHANGE.c.action_id == action, _CHANGE.c.outcome == PLANNED)
        .order_by(_CHANGE.c.detection_id)
    )
    first = c.execute(pending.limit(1)).scalar_one_or_none()
    if first is not None:
        ids = pending.limit(limit).subquery()
        last = c.execute(select(func.max(ids.c.detection_id))).scalar_one()
        _do(c, _Part(action, first, last), decision_of(c, action), now)
        if c.execute(pending.limit(1)).first() is not None:
            return True
    _finish(c, action, actor, now)
    return False


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of what an action has still planned."""

    action: int
    first: int
    last: int

    def of(self, changes_: Any) -> ColumnElement[bool]:
        """The condition on the table of changes, or an alias of it."""
        return and_(
            changes_.c.action_id == self.action, changes_.c.outcome == PLANNED,
            changes_.c.detection_id >= self.first, changes_.c.detection_id <= self.last,
        )  # fmt: skip


def _do(c: Connection, part: _Part, decision: Decision, now: int) -> None:
    here = part.of(_CHANGE)
    same = exists().where(_D.c.id == _CHANGE.c.detection_id, _D.c.version == _CHANGE.c.version)
    c.execute(update(_CHANGE).where(here, not_(same)).values(outcome=CONFLICT))
    verb = decision.verb
    if _ends_snoozes(c, decision):
        _keep_snoozes(c, here)
    if verb == "undo":
        _restore(c, part, decision.of)
        _wind(c, here)
    elif verb != "note":
        _change(c, here, decision, now)
    if verb == "snooze":
        _snooze(c, here, decision, part.action, now)
    before: Sequence[Row[Any]] = [] if verb in ("tag", "note") else _before(c, here)
    if verb in ("claim", "ack", "close", "reopen", "undo"):
        _recount(c, here)
    done = {"outcome": DONE, "version": _CHANGE.c.version + int(verb != "note")}
    c.execute(update(_CHANGE).where(here).values(done))
    folds.changed(c, before)


def _before(c: Connection, here: ColumnElement[bool]) -> Sequence[Row[Any]]:
    """What the folds were counted from before these changes."""
    columns = [(_CHANGE if name in _STATE else _D).c[name] for name in folds.STATE]
    joined = select(*columns).select_from(_D.join(_CHANGE, _CHANGE.c.detection_id == _D.c.id))
    return c.execute(joined.where(here)).all()


def _ends_snoozes(c: Connection, decision: Decision) -> bool:
    while decision.verb == "undo":
        decision = decision_of(c, decision.of)
    return decision.verb in _CARRIES


def _keep_snoozes(c: Connection, here: ColumnElement[bool]) -> None:
    """Take the snoozes of these alerts away, and keep what they were with the change that ends them."""
    mine = select(_CHANGE.c.detection_id).where(here)
    rows = c.execute(select(_SNOOZE).where(_SNOOZE.c.detection_id.in_(mine))).mappings().all()
    for row in rows:
        c.execute(
            update(_CHANGE)
            .where(here, _CHANGE.c.detection_id == row["detection_id"])
            .values(snooze=dict(row))
        )
    ids = [row["detection_id"] for row in rows]
    for at in range(0, len(ids), CHUNK):
        c.execute(delete(_SNOOZE).where(_SNOOZE.c.detection_id.in_(ids[at : at + CHUNK])))


def _change(c: Connection, here: ColumnElement[bool], decision: Decision, now: int) -> None:
    verb = decision.verb
    moment = now if decision.at is None else decision.at
    values: dict[str, Any] = {"version": _D.c.version + 1}
    if verb in _CARRIES:
        values |= {"rank": _D.c.severity, "snoozed_until": None}
    acknowledges = verb == "ack" or (verb == "claim" and decision.acknowledge)
    if acknowledges:
        values["status"] = IN_PROGRESS
        values["acknowledged_at"] = func.coalesce(_D.c.acknowledged_at, moment)
    if verb in ("claim", "release", "assign"):
        values["assignee"] = {"claim": decision.operator, "assign": decision.assignee}.get(verb, "")
    elif verb == "close":
        values |= {
            "status": decision.status, "classification": decision.classification, "due_at": None,
            "resolved_at": func.coalesce(_D.c.resolved_at, moment),
        }  # fmt: skip
    elif verb == "reopen":
        values |= {
            "status": IN_PROGRESS, "resolved_at": None,
            "acknowledged_at": func.coalesce(_D.c.acknowledged_at, moment),
        }  # fmt: skip
    elif verb == "snooze":
        values["snoozed_until"] = FOREVER if decision.until is None else decision.until
    mine = and_(_D.c.id == _CHANGE.c.detection_id, here)
    if acknowledges or verb == "reopen":
        for wanted, oids in _by_targets(c, here).items():
            theirs = and_(mine, _CHANGE.c.oid.in_(oids))
            if wanted.service is None:
                clock = {"due_at": sla.due(wanted, acknowledged=True)}
                c.execute(update(_D).where(theirs).values(values | clock))
                continue
            c.execute(update(_D).where(theirs).values(values))
            sla.wind(c, wanted, theirs, acknowledged=True)
    else:
        c.execute(update(_D).where(mine).values(values))
    if decision.add or decision.remove:
        _tag(c, mine, here, decision)


def _by_targets(c: Connection, here: ColumnElement[bool]) -> dict[sla.Targets, list[str]]:
    """The organizations of these alerts by the targets that they share."""
    oids = list(c.execute(select(_CHANGE.c.oid).where(here).distinct()).scalars())
    found: dict[sla.Targets, list[str]] = {}
    for oid, wanted in sla.targets_of(c, oids).items():
        found.setdefault(wanted, []).append(oid)
    return found


def _wind(c: Connection, here: ColumnElement[bool]) -> None:
    """Let clocks that were brought back run by the targets in force: those may have changed meanwhile."""
    mine = and_(_D.c.id == _CHANGE.c.detection_id, here)
    for wanted, oids in _by_targets(c, here).items():
        for acknowledged in (False, True):
            theirs = and_(mine, _CHANGE.c.oid.in_(oids), _D.c.status == int(acknowledged))
            sla.wind(c, wanted, theirs, acknowledged=acknowledged)


def _tag(c: Connection, mine: ColumnElement[bool], here: ColumnElement[bool], decision: Decision) -> None:
    for before in c.execute(select(_CHANGE.c.tags).where(here).distinct()).scalars().all():
        kept = [tag for tag in before.split() if tag not in decision.remove]
        after = " ".join([*kept, *(tag for tag in decision.add if tag not in kept)][:_TAGS])
        if after != before:
            c.execute(update(_D).where(mine, _CHANGE.c.tags == before).values(tags=after))


def _snooze(c: Connection, here: ColumnElement[bool], decision: Decision, action: int, now: int) -> None:
    more = null() if decision.more is None else _FOLD.c.total + decision.more
    columns = {
        "detection_id": _D.c.id, "oid": _D.c.oid, "fold_id": _D.c.fold_id,
        "until": literal(decision.until, _SNOOZE.c.until.type), "more": more,
        "event": literal(decision.event),
        "reason": literal(decision.reason), "action_id": literal(action), "by": literal(decision.operator),
        "at": literal(now), "woken_by": literal(""),
    }  # fmt: skip
    rows = select(*columns.values()).join(_CHANGE, _CHANGE.c.detection_id == _D.c.id)
    if decision.more is not None:
        rows = rows.join(_FOLD, _FOLD.c.id == _D.c.fold_id)
    c.execute(insert(_SNOOZE).from_select(list(columns), rows.where(here)))


def _restore(c: Connection, part: _Part, of: int) -> None:
    """Bring back what was there before the action `of`."""
    mine = _CHANGE.alias("mine")
    undone = and_(_CHANGE.c.action_id == of, _CHANGE.c.detection_id == mine.c.detection_id, part.of(mine))
    c.execute(
        update(_D)
        .where(_D.c.id == mine.c.detection_id, undone)
        .values(version=_D.c.version + 1, **{name: _CHANGE.c[name] for name in _STATE})
    )
    snoozes = select(_CHANGE.c.snooze).join(mine, undone).where(_CHANGE.c.snooze.is_not(None))
    rows = list(c.execute(snoozes).scalars())
    if rows:
        c.execute(insert(_SNOOZE), rows)
    # What the decision before it left is there again, so that one can be undone as well.
    c.execute(
        update(_CHANGE)
        .where(
            _CHANGE.c.detection_id == mine.c.detection_id, part.of(mine), _CHANGE.c.outcome == DONE,
            _CHANGE.c.version == mine.c.version - 1,
        )
        .values(version=mine.c.version + 1)
    )  # fmt: skip
    c.execute(update(_CHANGE).where(undone).values(outcome=UNDONE))
    decision = decision_of(c, of)
    if decision.verb == "undo":
        # Undoing an undo: the first decision stands again.
        again = and_(_CHANGE.c.action_id == decision.of, _CHANGE.c.detection_id == mine.c.detection_id)
        c.execute(
            update(_CHANGE)
            .where(again, part.of(mine), _CHANGE.c.outcome == UNDONE)
            .values(outcome=DONE, version=mine.c.version + 1)
        )
        c.execute(update(_ACTION).where(_ACTION.c.id == decision.of).values(undone_at=None))


def _recount(c: Connection, here: ColumnElement[bool]) -> None:
    """Keep the counters exact: every alert leaves one and enters another."""
    moved = (
        select(
            _CHANGE.c.oid, _D.c.severity, _CHANGE.c.status, _D.c.status.label("now"), func.count().label("n")
        )
        .join(_D, _D.c.id == _CHANGE.c.detection_id)
        .where(here, _CHANGE.c.status != _D.c.status)
        .group_by(_CHANGE.c.oid, _D.c.severity, _CHANGE.c.status, _D.c.status)
    )
    changes: Counter[tuple[str, int, int]] = Counter()
    for row in c.execute(moved):
        changes[row.oid, row.severity, row.status] -= row.n
        changes[row.oid, row.severity, row.now] += row.n
    rows = [
        {"oid": oid, "severity": severity, "status": status, "count": count}
        for (oid, severity, status), count in sorted(changes.items())
        if count
    ]
    if rows:
        dialect = postgresql if c.dialect.name == "postgresql" else sqlite
        upsert = dialect.insert(_COUNT)
        c.execute(
            upsert.on_conflict_do_update(
                index_elements=["oid", "severity", "status"],
                set_={"count": _COUNT.c.count + upsert.excluded["count"]},
            ),
            rows,
        )


def _finish(c: Connection, action: int, actor: str, now: int) -> None:
    row = c.execute(select(_ACTION).where(_ACTION.c.id == action)).one_or_none()
    if row is None or row.finished_at is not None:
        return
    by_outcome: Counter[int] = Counter()
    by_organization: Counter[str] = Counter()
    query = select(_CHANGE.c.oid, _CHANGE.c.outcome, func.count().label("n"))
    for each in c.execute(
        query.where(_CHANGE.c.action_id == action).group_by(_CHANGE.c.oid, _CHANGE.c.outcome)
    ):
        by_outcome[each.outcome] += each.n
        if each.outcome == DONE:
            by_organization[each.oid] += each.n
    changed, refused = by_outcome[DONE], by_outcome[CONFLICT] + by_outcome[NO_STEP]
    c.execute(
        update(_ACTION)
        .where(_ACTION.c.id == action)
        .values(changed=changed, refused=refused, finished_at=now)
    )
    detail = {
        name: value for name, value in row.detail.items() if name not in ("hosts", "newest", "operator")
    }
    if row.verb == "undo":
        left = select(_CHANGE.c.detection_id).where(
            _CHANGE.c.action_id == detail["of"], _CHANGE.c.outcome == DONE
        )
        if c.execute(left.limit(1)).first() is None:
            c.execute(update(_ACTION).where(_ACTION.c.id == detail["of"]).values(undone_at=now))
    organizations = dict(sorted(by_organization.items()))
    append(
        c,
        # What was decided elsewhere is nobody's doing who happens to run the console.
        WAKER if "at" in detail else actor,
        f"alert.{row.verb}",
        next(iter(organizations)) if len(organizations) == 1 else "",
        _words(changed, len(organizations)),
        detail
        | {
            "action": action, "operator": row.actor, "comment": row.comment, "changed": changed,
            "refused": refused, "organizations": organizations,
        },
        now=now,
    )  # fmt: skip


def _words(alerts_: int, organizations: int) -> str:
    counted = "1 alert" if alerts_ == 1 else f"{alerts_} alerts"
    return counted if organizations < 2 else f"{counted} in {organizations} organizations"


# What it came to


def outcome(c: Connection, action: int) -> Outcome:
    """What an action has come to so far."""
    row = c.execute(select(_ACTION).where(_ACTION.c.id == action)).one_or_none()
    if row is None:
        return Outcome(action, 0)
    counted: Counter[int] = Counter()
    by_organization: Counter[str] = Counter()
    query = select(_CHANGE.c.oid, _CHANGE.c.outcome, func.count().label("n"))
    for each in c.execute(
        query.where(_CHANGE.c.action_id == action).group_by(_CHANGE.c.oid, _CHANGE.c.outcome)
    ):
        counted[each.outcome] += each.n
        if each.outcome in (DONE, UNDONE):
            by_organization[each.oid] += each.n
    return Outcome(
        action,
        counted[DONE] + counted[UNDONE],
        tuple(_refusals(c, action, row)),
        dict(by_organization),
        max(0, row.planned - counted.total()),
        counted[PLANNED] == 0,
    )


_ONLY: Final = {
    RESOLVED: "it is resolved, and can only be closed",
    CLOSED: "it is closed; reopen it first",
    NEW: "it is new; it has to be acknowledged first",
    IN_PROGRESS: "it is in progress",
}


def _refusals(c: Connection, action: int, row: Any) -> Iterable[Refusal]:
    left = select(
        _CHANGE.c.detection_id, _CHANGE.c.oid, _CHANGE.c.outcome, _CHANGE.c.status, _D.c.assignee,
        _D.c.id, _D.c.detect_id,
    )  # fmt: skip
    left = left.outerjoin(_D, _D.c.id == _CHANGE.c.detection_id)
    left = left.where(_CHANGE.c.action_id == action, _CHANGE.c.outcome.in_((CONFLICT, NO_STEP)))
    rows = c.execute(left.order_by(_CHANGE.c.detection_id)).all()
    others = [each.detection_id for each in rows if each.outcome == CONFLICT]
    takers = _last(c, others, verbs=("claim", "assign"))
    minds_holders = row.verb in _MINE and not row.detail.get("held")
    changers = _last(c, others)
    for each in rows:
        who: str | None = ""
        since, why = None, _ONLY[each.status]
        if each.outcome == NO_STEP and row.verb == "snooze" and each.status < RESOLVED:
            why = "it belongs to no fold"
        elif each.outcome == CONFLICT and each.id is None:
            why = "it is not in the store any more"
        elif each.outcome == CONFLICT and minds_holders and each.assignee not in ("", row.actor):
            why, who = "somebody else has it", each.assignee
            since = takers.get(each.detection_id, (None, None))[1]
        elif each.outcome == CONFLICT:
            why = "somebody changed it meanwhile"
            who, since = changers.get(each.detection_id, ("", None))
        named = Untrusted(each.detect_id or "")
        yield Refusal(each.detection_id, each.oid, why, Untrusted(who or ""), since, named)


def _last(
    c: Connection, ids: Sequence[int], *, verbs: Collection[str] = ()
) -> dict[int, tuple[str | None, int | None]]:
    """Who changed each of these alerts last, and when."""
    found: dict[int, tuple[str | None, int | None]] = {}
    for at in range(0, len(ids), CHUNK):
        latest = (
            select(_CHANGE.c.detection_id, func.max(_CHANGE.c.action_id).label("action"))
            .join(_ACTION, _ACTION.c.id == _CHANGE.c.action_id)
            .where(_CHANGE.c.detection_id.in_(ids[at : at + CHUNK]), _CHANGE.c.outcome == DONE)
            .group_by(_CHANGE.c.detection_id)
        )
        if verbs:
            latest = latest.where(_ACTION.c.verb.in_(verbs))
        last = latest.subquery()
        rows = select(last.c.detection_id, _ACTION.c.actor, _ACTION.c.time)
        for row in c.execute(rows.join(_ACTION, _ACTION.c.id == last.c.action)):
            found[row.detection_id] = (row.actor, row.time)
    return found


def changes(c: Connection, action: int, *, after: int = 0, limit: int = CHUNK) -> list[Change]:
    """The alerts that an action changed (also those undone since), by id, behind `after`."""
    columns = (
        _CHANGE.c.detection_id, _CHANGE.c.oid, _CHANGE.c.outcome, _CHANGE.c.version, _CHANGE.c.status,
        _CHANGE.c.classification,
    )  # fmt: skip
    rows = (
        select(*columns)
        .where(
            _CHANGE.c.action_id == action,
            _CHANGE.c.detection_id > after,
            _CHANGE.c.outcome.in_((DONE, UNDONE)),
        )
        .order_by(_CHANGE.c.detection_id)
        .limit(limit)
    )
    return [Change(*row) for row in c.execute(rows)]


def recent(
    c: Connection, *, actor: str | None = None, since: int | None = None, limit: int = 50
) -> list[Action]:
    """Decisions, the last one first."""
    query = select(_ACTION).order_by(_ACTION.c.id.desc()).limit(limit)
    if actor is not None:
        query = query.where(_ACTION.c.actor == actor)
    if since is not None:
        query = query.where(_ACTION.c.time >= since)
    return [
        Action(
            row.id, row.time, Untrusted(row.actor), row.verb, Untrusted(row.comment), row.detail, row.planned,
            row.changed, row.refused, row.finished_at, row.undone_at,
        )
        for row in c.execute(query)
    ]  # fmt: skip


def undoable(c: Connection, operator: str, *, now: int) -> Action | None:
    """The last decision of an operator that is recent and can be undone, if there is one."""
    for action in recent(c, actor=operator, since=now - UNDO_WITHIN, limit=CHUNK):
        stands = action.finished_at is not None and action.undone_at is None and action.changed > 0
        if stands and action.verb not in ("undo", "note", "wake"):
            left = select(_CHANGE.c.detection_id).where(
                _CHANGE.c.action_id == action.id, _CHANGE.c.outcome == DONE
            )
            if c.execute(left.limit(1)).first() is not None:
                return action
    return None


def history(c: Connection, alert_id: int, *, limit: int = 100) -> list[Past]:
    """What was decided over one alert, the last first."""
    query = (
        select(_CHANGE, _ACTION.c.time, _ACTION.c.actor, _ACTION.c.verb, _ACTION.c.comment, _ACTION.c.detail)
        .join(_ACTION, _ACTION.c.id == _CHANGE.c.action_id)
        .where(_CHANGE.c.detection_id == alert_id, _CHANGE.c.outcome.in_((DONE, UNDONE)))
        .order_by(_CHANGE.c.action_id.desc())
        .limit(limit)
    )
    return [
        Past(
            row["action_id"], row["time"], Untrusted(row["actor"]), row["verb"], Untrusted(row["comment"]),
            row["detail"], row["outcome"], {name: row[name] for name in _STATE},
        )
        for row in c.execute(query).mappings()
    ]  # fmt: skip


def next_unclaimed(c: Connection, wanted: AlertFilter, *, after: alerts.Key | None = None) -> AlertRow | None:
    """The first open alert of a queue that nobody has; None when there is none.

    Args:
        after: only behind this key of the queue.
    """
    statuses = tuple(status for status in wanted.statuses if status in OPEN) or OPEN
    found = alerts.page(c, replace(wanted, who="", statuses=statuses), after=after, limit=1)
    return found[0] if found else None


# Snoozes


def snoozes(c: Connection, ids: Iterable[int]) -> dict[int, Snoozed]:
    """Why these alerts are hidden or were woken, by id; without those of which neither holds."""
    found: dict[int, Snoozed] = {}
    listed = sorted(set(ids))
    for at in range(0, len(listed), CHUNK):
        for row in c.execute(select(_SNOOZE).where(_SNOOZE.c.detection_id.in_(listed[at : at + CHUNK]))):
            found[row.detection_id] = Snoozed(
                row.detection_id, row.until, row.more, row.event, Untrusted(row.reason), Untrusted(row.by),
                row.at, row.woken_at, Untrusted(row.woken_by),
            )  # fmt: skip
    return found


def waking(c: Connection, now: int, *, limit: int = CHUNK) -> dict[int, str]:
    """The snoozed alerts for which what they waited for has come, and what that is; quick without any."""
    asleep = _SNOOZE.c.woken_at.is_(None)
    found: dict[int, str] = {}
    if c.execute(select(_SNOOZE.c.detection_id).where(asleep).limit(1)).first() is None:
        return found
    due = select(_SNOOZE.c.detection_id).where(asleep, _SNOOZE.c.until <= now)
    found.update((row[0], "its time came") for row in c.execute(due.limit(limit)))
    joined = select(_SNOOZE.c.detection_id).join(_D, _D.c.id == _SNOOZE.c.detection_id)
    more = joined.join(_FOLD, _FOLD.c.id == _D.c.fold_id).where(asleep, _FOLD.c.total >= _SNOOZE.c.more)
    found.update(
        (row[0], "its fold grew by as many as it waited for") for row in c.execute(more.limit(limit))
    )
    found.update((id_, "its sensor came online") for id_ in _came_online(c))
    for id_, host in _other_hosts(c, limit):
        found[id_] = f"its fold reached the host {host}"
    return dict(list(found.items())[:limit])


def _came_online(c: Connection) -> list[int]:
    """Alerts that wait for their sensor, which was alive after they were snoozed."""
    waiting = (
        select(_SNOOZE.c.detection_id, _SNOOZE.c.at, _D.c.oid, _D.c.sid)
        .join(_D, _D.c.id == _SNOOZE.c.detection_id)
        .where(_SNOOZE.c.woken_at.is_(None), _SNOOZE.c.event == "online")
    )
    rows = c.execute(waiting).all()
    sids = sorted({row.sid for row in rows})
    alive: dict[tuple[str, str], int] = {}
    for at in range(0, len(sids), CHUNK):
        query = select(_SENSOR.c.oid, _SENSOR.c.sid, _SENSOR.c.alive)
        for sensor in c.execute(query.where(_SENSOR.c.sid.in_(sids[at : at + CHUNK]))):
            alive[sensor.oid, sensor.sid] = sensor.alive or 0
    return [row.detection_id for row in rows if alive.get((row.oid, row.sid), 0) > row.at]


def _other_hosts(c: Connection, limit: int) -> list[tuple[int, str]]:
    """Alerts that wait for another host in their fold, with the first one that came."""
    asleep = and_(_SNOOZE.c.woken_at.is_(None), _SNOOZE.c.event == "host")
    waiting = (
        select(_SNOOZE.c.action_id, _D.c.fold_id)
        .join(_D, _D.c.id == _SNOOZE.c.detection_id)
        .where(asleep, _D.c.fold_id != 0)
        .distinct()
    )
    found: list[tuple[int, str]] = []
    details: dict[int, Mapping[str, Any]] = {}
    for action, fold in c.execute(waiting).all():
        if action not in details:
            row = c.execute(select(_ACTION.c.detail).where(_ACTION.c.id == action)).one_or_none()
            details[action] = row.detail if row is not None else {}
        since = details[action].get("newest", 0)
        known = set(details[action].get("hosts", {}).get(str(fold), ()))
        # What came since is open, unless somebody was very quick; either way the open ones are what matters.
        came = select(_D.c.hostname).where(_D.c.fold_id == fold, _D.c.status < RESOLVED, _D.c.id > since)
        new = sorted(set(c.execute(came.distinct()).scalars()) - known)
        if new:
            mine = select(_SNOOZE.c.detection_id).join(_D, _D.c.id == _SNOOZE.c.detection_id)
            mine = mine.where(asleep, _SNOOZE.c.action_id == action, _D.c.fold_id == fold).limit(limit)
            found.extend((row[0], new[0]) for row in c.execute(mine))
    return found


def wake(c: Connection, reasons: Mapping[int, str], *, now: int) -> int:
    """Bring these alerts back, on top of the queue, with the reason; how many there were.

    Args:
        reasons: as `waking` answers; at most CHUNK.
    """
    if not reasons:
        return 0
    ids = sorted(reasons)
    asleep = and_(_SNOOZE.c.woken_at.is_(None), _SNOOZE.c.detection_id.in_(ids))
    action = c.execute(
        insert(_ACTION)
        .values(
            time=now, actor=WAKER, verb="wake", comment="", detail={}, planned=len(ids), changed=0, refused=0,
            finished_at=now, undone_at=None,
        )
        .returning(_ACTION.c.id)
    ).scalar_one()  # fmt: skip
    columns = [
        literal(action), _D.c.id, _D.c.oid, literal(DONE), _D.c.version + 1, *(_D.c[name] for name in _STATE)
    ]  # fmt: skip
    names = ["action_id", "detection_id", "oid", "outcome", "version", *_STATE]
    rows = select(*columns).join(_SNOOZE, _SNOOZE.c.detection_id == _D.c.id)
    rows = rows.where(asleep, _D.c.snoozed_until.is_not(None))
    c.execute(insert(_CHANGE).from_select(names, rows))
    changed = _size(c, action)
    if not changed:
        c.execute(delete(_ACTION).where(_ACTION.c.id == action))
        c.execute(delete(_SNOOZE).where(asleep))
        return 0
    mine = select(_CHANGE.c.detection_id).where(_CHANGE.c.action_id == action)
    c.execute(
        update(_D).where(_D.c.id.in_(mine)).values(snoozed_until=None, rank=WOKEN, version=_D.c.version + 1)
    )
    by_reason: dict[str, list[int]] = {}
    for id_, reason in reasons.items():
        by_reason.setdefault(reason, []).append(id_)
    for reason, some in by_reason.items():
        c.execute(
            update(_SNOOZE)
            .where(_SNOOZE.c.woken_at.is_(None), _SNOOZE.c.detection_id.in_(some))
            .values(woken_at=now, woken_by=storable(reason))
        )
    c.execute(update(_ACTION).where(_ACTION.c.id == action).values(changed=changed))
    folds.changed(c, _before(c, _CHANGE.c.action_id == action))
    counted = select(_CHANGE.c.oid, func.count()).where(_CHANGE.c.action_id == action).group_by(_CHANGE.c.oid)
    by_organization = {oid: count for oid, count in c.execute(counted.order_by(_CHANGE.c.oid))}
    append(
        c,
        WAKER,
        "alert.wake",
        next(iter(by_organization)) if len(by_organization) == 1 else "",
        _words(changed, len(by_organization)),
        {"action": action, "changed": changed, "organizations": by_organization},
        now=now,
    )
    return changed
