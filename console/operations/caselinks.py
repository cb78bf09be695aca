"""Cases and the alerts that they hold, kept in line: a decision here reaches the case, one there the alerts.

A case follows once all the alerts that it holds, as far as the store knows them, are in the same state. What
both were the same in last is kept (`CaseReading.agreed`), which tells who moved: the alerts, and the case is
asked to follow (`CaseEdit` by `alerts`); the case, and its alerts are moved (a decision by `cases`); or both
to different things, which is a conflict for a person. The class of an open one is not compared: alerts have
none before they are closed. Nothing in Cases becomes new again, so alerts that do open their case, and are
in progress with it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection, Table, and_, case, exists, func, or_, select, text

from console.limacharlie.client import Cloud
from console.limacharlie.errors import Auth, Denied, Gone, LimaCharlieError, Network, Throttled
from console.operations import triage
from console.operations.actor import actor
from console.operations.casequeue import AT_ONCE, CaseQueue, Drained
from store import casework, ingest, journal, models, preferences
from store import triage as triage_store
from store.alerts import BENIGN, CLASSIFICATIONS, OPEN, STATUSES
from store.cases import CONFLICT, DROPPED, MAKING, PENDING, REFUSED, SENDING, reference, steps
from store.casework import ALERTS, ASKED
from store.database import Store
from store.errors import StoreError
from store.times import now_ms
from store.triage import CLOSED, IN_PROGRESS, NEW, RESOLVED, Decision, Selection

log = logging.getLogger(__name__)

CASES = "cases"
"""Who decides over alerts when a case was changed elsewhere."""
LINKS = 40
"""Cases whose alerts are read in one turn, the gravest first."""
WHOLE = 20
"""Cases that are read whole in one turn: each takes five requests."""
FOLLOWED = "cases.followed"
"""The last decision over alerts whose cases were asked to follow."""
MOVED_AT_ONCE = 5_000
"""Cases looked at in one turn."""
SETTLE = 2.0
"""Seconds after a change in which whoever made it may send it himself."""
PATIENCE = 3_600_000
"""Milliseconds in which an organization is left alone that lists its cases but refused to show one."""

_C: Table = models.CaseRecord.__table__  # type: ignore[attr-defined]
_READING: Table = models.CaseReading.__table__  # type: ignore[attr-defined]
_LINK: Table = models.CaseDetection.__table__  # type: ignore[attr-defined]
_EVENT: Table = models.CaseEvent.__table__  # type: ignore[attr-defined]
_EDIT: Table = models.CaseEdit.__table__  # type: ignore[attr-defined]
_SYNC: Table = models.SyncState.__table__  # type: ignore[attr-defined]
_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_ACTION: Table = models.TriageAction.__table__  # type: ignore[attr-defined]
_CHANGE: Table = models.TriageChange.__table__  # type: ignore[attr-defined]

_UNREADABLE = exists().where(_SYNC.c.oid == _C.c.oid, _SYNC.c.subject == "cases", _SYNC.c.failure != "")
"""Cases of an organization that refused them last: they would take the turns of all others."""

State = tuple[int, int]
"""(status, classification), indexes; the classification of an open one is 0."""


@dataclass
class Refusals:
    """Organizations that list their cases and refuse to show them: they would take every turn."""

    until: dict[str, int] = field(default_factory=dict)
    """The moment (ms) at which each may be asked again."""

    def add(self, oid: str, now: int) -> None:
        """Leave an organization alone for a while."""
        self.until[oid] = now + PATIENCE

    def at(self, now: int) -> list[str]:
        """Whom not to ask now."""
        return [oid for oid, until in self.until.items() if now < until]


@dataclass
class Turn:
    """What a turn came to."""

    whole: int = 0
    """Cases that were read whole."""
    links: int = 0
    """Cases whose alerts were read."""
    moved: int = 0
    """Alerts that followed their case."""
    wanted: int = 0
    """Edits that follow from decisions over alerts."""
    drained: Drained = field(default_factory=Drained)


async def turn(
    store: Store,
    cloud: Cloud,
    *,
    most: int = LINKS,
    whole: int = WHOLE,
    everything: bool = False,
    refusals: Refusals | None = None,
    clock: Callable[[], int] = now_ms,
) -> Turn:
    """Read what cases hold and went through, bring them and their alerts in line, and send what waits.

    Args:
        most: cases whose alerts are read at most.
        whole: changed cases that are read whole at most.
        everything: read every open case whole that never was, and every changed one.
        refusals: who refused in turns before; this one adds to it.
    """
    made = Turn()
    refusals = refusals or Refusals()
    with contextlib.suppress(Network, Auth, Throttled):
        made.whole = await read_whole(
            store,
            cloud,
            most=None if everything else whole,
            unread=everything,
            refusals=refusals,
            clock=clock,
        )
        made.links = await read_links(store, cloud, most=most, refusals=refusals, clock=clock)
    made.moved, made.wanted = await asyncio.to_thread(align, store, clock=clock)
    made.drained = await CaseQueue(store, cloud, clock=clock).drain()
    if made.drained.cases:
        moved, _ = await asyncio.to_thread(align, store, clock=clock)
        made.moved += moved
    return made


async def keep(store: Store, cloud: Cloud, *, every: float = 20.0) -> None:
    """Take turns until cancelled: after changes of alerts and of wishes for cases, and now and then."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    tables = frozenset({"case_edit", "triage_action", "case_record"})

    def noted(change: Any) -> None:
        if change.touches(tables):
            loop.call_soon_threadsafe(changed.set)

    refusals = Refusals()
    stop = store.on_change(noted)
    try:
        while True:
            with contextlib.suppress(TimeoutError):
                # Not `wait_for`, which on Python 3.11 can swallow that it was cancelled.
                async with asyncio.timeout(every):
                    await changed.wait()
                await asyncio.sleep(SETTLE)
            changed.clear()
            try:
                await turn(store, cloud, refusals=refusals)
            except (LimaCharlieError, StoreError) as error:
                # The cloud, or the disk: the next turn finds everything as this one left it.
                log.warning("cases: %s", error)
    finally:
        stop()


async def read_whole(
    store: Store,
    cloud: Cloud,
    *,
    most: int | None = WHOLE,
    unread: bool = False,
    refusals: Refusals,
    clock: Callable[[], int] = now_ms,
) -> int:
    """Read the cases whole that changed and are open, or were read before; how many were.

    Args:
        most: at most so many, the open and gravest ones first; None for all.
        unread: also the open ones that never were, whether they changed or not.
        refusals: whom not to ask; who refuses is added.

    Raises:
        Network, Auth, Throttled: the cloud is away.
    """
    queue = CaseQueue(store, cloud, clock=clock)
    wanted = partial(stale, unread=unread, limit=most, without=refusals.at(clock()))
    return await _each(queue, await queue.read(wanted), queue.whole, refusals)


async def read_links(
    store: Store,
    cloud: Cloud,
    *,
    most: int = LINKS,
    refusals: Refusals,
    clock: Callable[[], int] = now_ms,
) -> int:
    """Read the alerts of cases that are open, or changed, and whose alerts are not known; how many were.

    Args:
        most: at most so many.
        refusals: whom not to ask; who refuses is added.

    Raises:
        Network, Auth, Throttled: the cloud is away.
    """
    queue = CaseQueue(store, cloud, clock=clock)
    waiting = await queue.read(partial(unlinked, limit=most, without=refusals.at(clock())))
    counts = {(oid, number): count for oid, number, count in waiting}

    async def links(oid: str, number: int) -> None:
        await queue.links(oid, number, counts[oid, number])

    return await _each(queue, list(counts), links, refusals)


async def _each(
    queue: CaseQueue,
    cases: Collection[tuple[str, int]],
    read: Callable[[str, int], Awaitable[object]],
    refusals: Refusals,
) -> int:
    """Read something of cases, some at once; of how many it was read."""
    slots = asyncio.Semaphore(AT_ONCE)
    closed: set[str] = set()

    async def one(oid: str, number: int) -> int:
        async with slots:
            if oid in closed:
                return 0
            try:
                await read(oid, number)
            except Gone:
                await queue.write(partial(ingest.delete_case, oid=oid, number=number))
            except (Network, Auth, Throttled):
                raise
            except LimaCharlieError as error:
                # Such as a permission that is missing there; its cases are listed all the same.
                log.info("cases of %s: %s", oid, error)
                closed.add(oid)
                if isinstance(error, Denied):
                    # Not for one broken answer: the next turn asks again.
                    refusals.add(oid, queue.clock())
                return 0
            return 1

    return sum(await asyncio.gather(*(one(*each) for each in cases)))


def stale(
    c: Connection, *, unread: bool = False, limit: int | None = None, without: Collection[str] = ()
) -> list[tuple[str, int]]:
    """(oid, number) of cases that have to be read whole again and may be, the open and gravest first.

    Args:
        unread: also the open ones that never were.
        without: organizations that are left alone.
    """
    # Spelled as the partial index spells it.
    changed = and_(text("case_reading.stale"), or_(_C.c.status.in_(OPEN), _READING.c.read_at.is_not(None)))
    never = and_(_C.c.status.in_(OPEN), _READING.c.read_at.is_(None))
    joined = _C.outerjoin(_READING, _same(_READING, _C)) if unread else _READING.join(_C, _same(_READING, _C))
    rows = c.execute(
        select(_C.c.oid, _C.c.case_number)
        .select_from(joined)
        .where(
            _C.c.case_number > 0,
            ~_UNREADABLE,
            _C.c.oid.not_in(without),
            or_(changed, never) if unread else changed,
        )
        .order_by(_C.c.status >= RESOLVED, _C.c.severity.desc(), _C.c.created_at.desc())
        .limit(limit)
    )
    return [(row.oid, row.case_number) for row in rows]


def unlinked(c: Connection, *, limit: int, without: Collection[str] = ()) -> list[tuple[str, int, int]]:
    """(oid, number, alerts held) of cases whose alerts have to be read and may be, the gravest and newest
    first, but none of the organizations in `without`."""
    rows = c.execute(
        select(_C.c.oid, _C.c.case_number, _C.c.detection_count)
        .select_from(_C.outerjoin(_READING, _same(_READING, _C)))
        .where(
            _C.c.case_number > 0,
            _C.c.detection_count > 0,
            ~_UNREADABLE,
            _C.c.oid.not_in(without),
            or_(_READING.c.links.is_(None), _READING.c.links != _C.c.detection_count),
            or_(_C.c.status.in_(OPEN), func.coalesce(_READING.c.agreed, "") != _words(_C)),
        )
        .order_by(_C.c.status >= RESOLVED, _C.c.severity.desc(), _C.c.created_at.desc())
        .limit(limit)
    )
    return [(row.oid, row.case_number, row.detection_count) for row in rows]


def align(store: Store, *, clock: Callable[[], int] = now_ms) -> tuple[int, int]:
    """Bring cases and alerts in line, as far as the store knows; (alerts moved, edits wanted)."""
    with store.reader.reading() as connection:
        upto = _followed(connection)
        candidates = _candidates(connection, upto)
    now = clock()
    moves: list[_Compared] = []
    agreed: dict[tuple[str, int], str] = {}
    wanted: list[tuple[_Compared, State]] = []
    for each in candidates:
        there = each.state
        same = set(each.alerts.values())
        if same == {there}:
            agreed[each.key] = _said(there)
        elif there != each.base and not (len(same) == 1 and same != {each.base}):
            # The case moved, and the alerts did not, or not all of them to one state.
            if there[0] != NEW:
                moves.append(each)
            agreed[each.key] = _said(there)
        elif len(same) == 1 and same != {each.base}:
            state = same.pop()
            if state[0] == NEW and there[0] == IN_PROGRESS:
                moves.append(each)
                agreed[each.key] = _said(there)
            else:
                wanted.append((each, state))
                agreed[each.key] = _said(each.base)
        elif each.base == there:
            agreed[each.key] = _said(there)
    moved = sum(_move(store, each, now) for each in moves)
    edits = 0
    with store.writing() as connection:
        for key, words in agreed.items():
            ingest.put_case_reading(connection, *key, agreed=words)
        for each, state in wanted:
            edits += _follow(connection, each, state, now)
        if edits:
            detail = {"edits": edits, "cases": len(wanted), "by": ALERTS}
            journal.append(connection, actor(), "case.follow", "", f"{len(wanted)} cases", detail, now=now)
        preferences.put(connection, FOLLOWED, upto)
    return moved, edits


@dataclass(frozen=True)
class _Compared:
    """A case beside its alerts."""

    key: tuple[str, int]
    state: State
    classification: int
    base: State
    """What both were last."""
    alerts: dict[int, State]
    """By number in the store; those that the store has."""
    versions: dict[int, int]
    newest: int
    """The time of the newest of them (ms)."""
    benign: bool
    """All of them are tagged so."""
    begun_at: int | None
    """When the case was acknowledged, as the cloud says."""
    ended_at: int | None
    """When it was resolved, else closed."""


@dataclass(frozen=True)
class Held:
    """What cases hold on to after a decision was undone."""

    alerts: int = 0
    """Alerts that were to be new again, and are in progress with their case."""
    cases: tuple[tuple[str, int], ...] = ()
    """Those cases: (oid, number)."""


def follow_undo(store: Store, action: int, *, clock: Callable[[], int] = now_ms) -> Held:
    """After a decision was undone: what was wanted of a case and not sent yet is dropped; where the case has
    moved already, the alerts that would be new again are in progress with it, for it cannot go back to new.

    Args:
        action: the undoing.
    """
    with store.reader.reading() as connection:
        keys = _cases_of(connection, action)
        waiting = {key: _waiting(connection, key) for key in keys}
        compared = [found for key in keys if (found := _compared(connection, key)) is not None]
    now = clock()
    dropped: list[int] = []
    with store.writing() as connection:
        for each in compared:
            if set(each.alerts.values()) != {each.base}:
                continue
            for edit in waiting[each.key]:
                reason = "The decision over its alerts was undone."
                if casework.drop(connection, edit, DROPPED, reason=reason, now=now, only=PENDING):
                    dropped.append(edit)
        if dropped:
            detail = {"edits": dropped, "by": ALERTS}
            words = f"{len(dropped)} edits"
            journal.append(connection, actor(), "case.cancel", "", words, detail, now=now)
    held: dict[tuple[str, int], tuple[int, ...]] = {}
    for each in compared:
        gone = all(edit in dropped for edit in waiting[each.key])
        new = tuple(alert for alert, state in each.alerts.items() if state[0] == NEW)
        if not new or (each.state[0] == NEW and gone):
            continue
        begun = now if each.begun_at is None else min(now, max(each.begun_at, each.newest))
        chosen = Selection(new, {alert: each.versions[alert] for alert in new})
        comment = f"stays in progress with the case {reference('', each.key[1])}"
        done = triage.acknowledge(store, CASES, chosen, held=True, comment=comment, now=begun)
        if done.changed:
            held[each.key] = new
    return Held(len({alert for alerts in held.values() for alert in alerts}), tuple(held))


def resume(store: Store, *, clock: Callable[[], int] = now_ms) -> list[triage_store.Outcome]:
    """Carry on with every decision over alerts that was interrupted, and let cases follow what was undone."""
    outcomes = triage.resume(store)
    for each in outcomes:
        with store.reader.reading() as connection:
            undoing = triage_store.decision_of(connection, each.action_id).verb == "undo"
        if undoing:
            follow_undo(store, each.action_id, clock=clock)
    return outcomes


def behind(c: Connection, action: int) -> list[tuple[str, int]]:
    """The cases of the cloud that are not yet what all their alerts became by a decision: (oid, number)."""
    found = []
    for key in _cases_of(c, action):
        each = _compared(c, key)
        states = set() if each is None else set(each.alerts.values())
        if each is not None and len(states) == 1 and states != {each.state} and max(states)[0] != NEW:
            found.append(key)
    return found


def _cases_of(c: Connection, action: int) -> list[tuple[str, int]]:
    """The cases of the cloud that hold alerts which a decision changed."""
    query = (
        select(_LINK.c.oid, _LINK.c.case_number)
        .select_from(
            _CHANGE.join(_D, _D.c.id == _CHANGE.c.detection_id).join(
                _LINK, and_(_LINK.c.oid == _D.c.oid, _LINK.c.detect_id == _D.c.detect_id)
            )
        )
        .where(
            _CHANGE.c.action_id == action,
            _CHANGE.c.outcome.in_((triage_store.DONE, triage_store.UNDONE)),
            _LINK.c.case_number > 0,
        )
        .distinct()
    )
    return [(row.oid, row.case_number) for row in c.execute(query)]


def _waiting(c: Connection, key: tuple[str, int]) -> list[int]:
    """The edits of a case that follow from alerts and were not sent, or nobody knows yet."""
    query = select(_EDIT.c.id).where(
        _EDIT.c.oid == key[0], _EDIT.c.case_number == key[1], _EDIT.c.by == ALERTS,
        _EDIT.c.what.in_(("update", "tags")), _EDIT.c.state.in_((PENDING, SENDING)),
    )  # fmt: skip
    return list(c.execute(query).scalars())


def _followed(c: Connection) -> int:
    """The last decision up to which all are finished."""
    unfinished = c.execute(
        select(func.min(_ACTION.c.id)).where(_ACTION.c.finished_at.is_(None))
    ).scalar_one_or_none()
    if unfinished is not None:
        return int(unfinished) - 1
    return int(c.execute(select(func.max(_ACTION.c.id))).scalar_one_or_none() or 0)


def _candidates(c: Connection, upto: int) -> list[_Compared]:
    """Cases that moved, and cases whose alerts did."""
    since = int(preferences.get(c, FOLLOWED, 0))
    keys: set[tuple[str, int]] = set()
    if upto > since:
        decided = (
            select(_LINK.c.oid, _LINK.c.case_number)
            .select_from(
                _CHANGE.join(_D, _D.c.id == _CHANGE.c.detection_id).join(
                    _LINK, and_(_LINK.c.oid == _D.c.oid, _LINK.c.detect_id == _D.c.detect_id)
                )
            )
            .where(_CHANGE.c.action_id > since, _CHANGE.c.action_id <= upto, _LINK.c.case_number > 0)
            .distinct()
        )
        keys.update((row.oid, row.case_number) for row in c.execute(decided))
    moved = (
        select(_C.c.oid, _C.c.case_number)
        .select_from(_C.join(_READING, _same(_READING, _C)))
        .where(_C.c.case_number > 0, _READING.c.links >= 0, _READING.c.agreed != _words(_C))
        .limit(MOVED_AT_ONCE)
    )
    keys.update((row.oid, row.case_number) for row in c.execute(moved))
    # What waits for the cloud, or for a person, is not looked at before that came to its end.
    undecided = select(_EDIT.c.oid, _EDIT.c.case_number).where(
        _EDIT.c.state.in_((PENDING, SENDING, CONFLICT, REFUSED)), _EDIT.c.what.in_(("update", "merge"))
    )
    keys -= {(row.oid, row.case_number) for row in c.execute(undecided)}
    return [found for found in (_compared(c, key) for key in sorted(keys)) if found is not None]


def _compared(c: Connection, key: tuple[str, int]) -> _Compared | None:
    oid, number = key
    row = c.execute(
        select(
            _C.c.status,
            _C.c.classification,
            _C.c.merged_into,
            _C.c.acknowledged_at,
            _C.c.resolved_at,
            _C.c.closed_at,
            _READING.c.agreed,
        )
        .select_from(_C.join(_READING, _same(_READING, _C)))
        .where(_C.c.oid == oid, _C.c.case_number == number)
    ).one_or_none()
    if row is None or row.merged_into:
        return None
    known = [
        each
        for each in c.execute(
            select(_D.c.id, _D.c.time, _D.c.status, _D.c.classification, _D.c.version, _D.c.tags)
            .select_from(_LINK.join(_D, and_(_D.c.oid == _LINK.c.oid, _D.c.detect_id == _LINK.c.detect_id)))
            .where(_LINK.c.oid == oid, _LINK.c.case_number == number)
        )
    ]
    if not known:
        return None
    ended = [moment for moment in (row.resolved_at, row.closed_at) if moment is not None]
    return _Compared(
        key,
        _state(row.status, row.classification),
        row.classification,
        _parsed(row.agreed or MAKING),
        {each.id: _state(each.status, each.classification) for each in known},
        {each.id: each.version for each in known},
        max(each.time for each in known),
        all(BENIGN in each.tags.split() for each in known),
        row.acknowledged_at,
        min(ended, default=None),
    )


def _state(status: int, classification: int) -> State:
    return status, classification if status >= RESOLVED else 0


def _said(state: State) -> str:
    return f"{STATUSES[state[0]]}/{CLASSIFICATIONS[state[1]]}"


def _parsed(words: str) -> State:
    status, _, classification = words.removesuffix(ASKED).partition("/")
    return STATUSES.index(status), CLASSIFICATIONS.index(classification)


def _words(table: Table) -> Any:
    """What `_said` says of a row, in SQL."""
    closed = table.c.status >= RESOLVED
    status = case(*((table.c.status == place, word) for place, word in enumerate(STATUSES)))
    said = case(
        *(
            (and_(closed, table.c.classification == place), word)
            for place, word in enumerate(CLASSIFICATIONS)
        ),
        else_=CLASSIFICATIONS[0],
    )
    return status + "/" + said


def _same(one: Table, other: Table) -> Any:
    return and_(one.c.oid == other.c.oid, one.c.case_number == other.c.case_number)


def _move(store: Store, compared: _Compared, now: int) -> int:
    """Make the alerts of a case what it is, by the steps that alerts take; how many were moved.

    Their clocks stop when the case's did, and not when that was noticed; the decisions that move them are
    written down now, and say who decided over the case, and when.
    """
    status, classification = compared.state
    behind = [alert for alert, state in compared.alerts.items() if state != compared.state]

    def decide(verb: str, selection: Selection, there: int | None, becomes: int = CLOSED) -> None:
        moment = now if there is None else min(now, max(there, compared.newest))
        with store.reader.reading() as connection:
            who = "" if there is None else _who(connection, compared.key, verb, there)
        decision = Decision(
            verb,
            CASES,
            f"follows the case {reference('', compared.key[1])}",
            held=True,
            at=moment,
            by=who,
            status=becomes,
            classification=classification if verb == "close" else 0,
        )
        triage.decide(store, decision, selection, now=now)

    def selected(wanted: Collection[int]) -> Selection:
        ids = tuple(alert for alert in behind if compared.alerts[alert][0] in wanted)
        return Selection(ids, {alert: compared.versions[alert] for alert in ids})

    begun, ended = compared.begun_at, compared.ended_at
    new, closed = selected([NEW]), selected([CLOSED])
    moved: set[int] = set()
    if new.ids and (status != CLOSED or begun is not None):
        decide("ack", new, begun)
    if status < CLOSED:
        if shut := selected([RESOLVED] if status == IN_PROGRESS else []).ids:
            # Resolved ones are opened again by way of closed, as cases are.
            decide("close", selected([RESOLVED]), ended)
            closed = Selection((*closed.ids, *shut))
        if closed.ids:
            decide("reopen", closed, begun)
    if status >= RESOLVED:
        decide("close", Selection(tuple(behind)), ended, status)
    with store.reader.reading() as connection:
        found = _compared(connection, compared.key)
    if found is not None:
        moved = {alert for alert in behind if found.alerts.get(alert) == compared.state}
    return len(moved)


_SAID = {
    "ack": ("case_acknowledged", "case_status_changed"),
    "close": ("case_closed", "case_resolved", "case_status_changed"),
}
"""The events of a case that say who made it so, beside that it was opened again."""


def _who(c: Connection, key: tuple[str, int], verb: str, moment: int) -> str:
    """Who made a case what it is at this time (ms); "" where what happened to it was not read."""
    asked = select(_EVENT.c.by).where(_EVENT.c.oid == key[0], _EVENT.c.case_number == key[1])
    if verb == "reopen":
        # A case keeps the time at which it was acknowledged first, and none of this.
        if casework.read_whole(c, *key) is None:
            return ""
        asked = asked.where(_EVENT.c.action == "case_reopened")
    else:
        # The times of a case and of its events are said to the second, or finer.
        near = _EVENT.c.time.between(moment - 1000, moment + 1000)
        asked = asked.where(near, _EVENT.c.action.in_(_SAID[verb]))
    return c.execute(asked.order_by(_EVENT.c.time.desc()).limit(1)).scalar_one_or_none() or ""


def _follow(c: Connection, compared: _Compared, state: State, now: int) -> int:
    """Want of a case that it becomes what its alerts are; how many edits that takes."""
    oid, number = compared.key
    # What was agreed is what the decision on the alerts was made over; a case that is something else by now
    # meets it as a conflict.
    before, wanted = compared.base, (IN_PROGRESS, 0) if state[0] == NEW else state
    seen: dict[str, Any] = {"status": STATUSES[before[0]]}
    fields: dict[str, Any] = {"status": STATUSES[wanted[0]]}
    if wanted[0] >= RESOLVED:
        fields["classification"] = CLASSIFICATIONS[wanted[1]]
    if compared.state == compared.base:
        seen["classification"] = CLASSIFICATIONS[compared.classification]
    elif before[0] >= RESOLVED:
        seen["classification"] = CLASSIFICATIONS[before[1]]
    way = steps(seen["status"], fields["status"])
    made = 0
    for step in way or (fields["status"],):
        last = step == fields["status"]
        part = fields if last else {"status": step}
        held = {name: value for name, value in seen.items() if name in part}
        casework.add_edit(
            c, oid=oid, number=number, what="update", wanted=part, seen=held, by=ALERTS, now=now
        )
        seen = {**seen, **part}
        made += 1
    if compared.benign and wanted == (CLOSED, CLASSIFICATIONS.index("true_positive")):
        tags = {"add": [BENIGN], "remove": []}
        casework.add_edit(c, oid=oid, number=number, what="tags", wanted=tags, seen={}, by=ALERTS, now=now)
        made += 1
    return made


def keep_theirs(c: Connection, oid: str, number: int) -> None:
    """After a conflict was decided for the case: its alerts count as not moved, and follow it."""
    found = _compared(c, (oid, number))
    if found is None:
        return
    states = set(found.alerts.values())
    if len(states) == 1:
        ingest.put_case_reading(c, oid, number, agreed=_said(states.pop()))
