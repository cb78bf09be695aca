"""Decisions over alerts, carried out: planned, done chunk by chunk, journalled; resumed when interrupted.

Each decision is one function of (store, operator, selection, ...) that answers what it came to. They wait
for the database, so the console calls them in a thread. What a decision is, and what it leaves alone, is
said in `store.triage`.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from console.operations.actor import actor
from console.operations.ports import Progress, Report
from store import sla, triage
from store.database import Store
from store.times import now_ms
from store.triage import Decision, Outcome, Selection

NOTHING = Selection()


def _silent(_progress: Progress) -> None:
    """Say nothing."""


def claim(
    store: Store,
    operator: str,
    selection: Selection,
    *,
    acknowledge: bool = True,
    comment: str = "",
    report: Report = _silent,
    now: int | None = None,
) -> Outcome:
    """Take alerts. One that somebody else has is refused, with who and since when.

    Args:
        operator: by which name.
        acknowledge: new ones become in_progress, which stops the first clock and starts the second.
        report: told after each chunk.
        now: milliseconds, UTC; the clock when None.

    Raises:
        TriageError: it cannot be done as it was asked for; nothing was changed. So for all of these.
    """
    decision = Decision("claim", operator, comment, acknowledge=acknowledge)
    return decide(store, decision, selection, report=report, now=now)


def release(
    store: Store, operator: str, selection: Selection, *, comment: str = "", report: Report = _silent,
    now: int | None = None,
) -> Outcome:  # fmt: skip
    """Give back alerts that one has; what somebody else has is refused."""
    return decide(store, Decision("release", operator, comment), selection, report=report, now=now)


def assign(
    store: Store, operator: str, selection: Selection, to: str, *, comment: str = "",
    report: Report = _silent, now: int | None = None,
) -> Outcome:  # fmt: skip
    """Give open alerts to somebody, whoever has them now.

    Args:
        to: the operator's name; "" for nobody.
    """
    return decide(
        store, Decision("assign", operator, comment, assignee=to), selection, report=report, now=now
    )


def acknowledge(
    store: Store, operator: str, selection: Selection, *, held: bool = False, comment: str = "",
    report: Report = _silent, now: int | None = None,
) -> Outcome:  # fmt: skip
    """Make new alerts in_progress, which stops their first clock and starts the second.

    Args:
        held: also what somebody else has; likewise below.
    """
    return decide(store, Decision("ack", operator, comment, held=held), selection, report=report, now=now)


def close(
    store: Store,
    operator: str,
    selection: Selection,
    classification: int,
    *,
    comment: str = "",
    benign: bool = False,
    resolved: bool = False,
    held: bool = False,
    report: Report = _silent,
    now: int | None = None,
) -> Outcome:
    """Close alerts, or resolve them; closing a closed one again changes its classification.

    Args:
        classification: index into `store.alerts.CLASSIFICATIONS`.
        benign: it was wanted (a pentest, an administrator): tagged so, for Cases have no class for it. Such
            a one is a true positive.
        resolved: make them resolved and not closed; only what is in progress can be.
    """
    from store.alerts import BENIGN

    decision = Decision(
        "close", operator, comment, status=triage.RESOLVED if resolved else triage.CLOSED,
        classification=1 if benign else classification, add=(BENIGN,) if benign else (), held=held,
    )  # fmt: skip
    return decide(store, decision, selection, report=report, now=now)


def reopen(
    store: Store, operator: str, selection: Selection, *, comment: str = "", held: bool = False,
    report: Report = _silent, now: int | None = None,
) -> Outcome:  # fmt: skip
    """Make closed alerts in_progress again; what they were classified as stays."""
    return decide(store, Decision("reopen", operator, comment, held=held), selection, report=report, now=now)


def snooze(
    store: Store,
    operator: str,
    selection: Selection,
    *,
    until: int | None = None,
    more: int | None = None,
    event: str = "",
    reason: str = "",
    held: bool = False,
    report: Report = _silent,
    now: int | None = None,
) -> Outcome:
    """Hide open alerts from the queue; their clocks run on.

    Args:
        until: until then (milliseconds, UTC); or
        more: until the fold of each has so many alerts more; or
        event: of `store.triage.EVENTS`: until its sensor came online, until its fold reached another host.
        reason: shown when they come back.
    """
    decision = Decision(
        "snooze", operator, reason, until=until, more=more, event=event, reason=reason, held=held
    )
    return decide(store, decision, selection, report=report, now=now)


def tag(
    store: Store, operator: str, selection: Selection, *, add: Iterable[str] = (),
    remove: Iterable[str] = (), comment: str = "", report: Report = _silent, now: int | None = None,
) -> Outcome:  # fmt: skip
    """Add tags to alerts and take others away; each is one word."""
    decision = Decision("tag", operator, comment, add=tuple(add), remove=tuple(remove))
    return decide(store, decision, selection, report=report, now=now)


def note(
    store: Store, operator: str, selection: Selection, text: str, *, report: Report = _silent,
    now: int | None = None,
) -> Outcome:  # fmt: skip
    """Write something down with alerts; nothing else of them changes."""
    return decide(store, Decision("note", operator, text), selection, report=report, now=now)


def undo(
    store: Store,
    operator: str,
    action_id: int,
    *,
    ids: Collection[int] | None = None,
    comment: str = "",
    report: Report = _silent,
    now: int | None = None,
) -> Outcome:
    """Bring back what was there before a decision, at every alert that nobody changed since.

    Args:
        action_id: `Outcome.action_id` of the decision; one that was interrupted is finished first.
        ids: only at these alerts; None is all of them.
    """
    if ids is not None and not ids:
        return Outcome(0, 0)
    with store.reader.reading() as connection:
        interrupted = action_id in triage.unfinished(connection)
    if interrupted:
        _carry_on(store, action_id, report, now)
    decision = Decision("undo", operator, comment, of=action_id)
    return decide(store, decision, Selection(ids=tuple(ids or ())), report=report, now=now)


def decide(
    store: Store,
    decision: Decision,
    selection: Selection,
    *,
    report: Report = _silent,
    now: int | None = None,
) -> Outcome:
    """Plan a decision and carry it out."""
    moment = now_ms() if now is None else now
    with store.writing() as connection:
        action = triage.begin(connection, decision, selection, now=moment)
        if not action:
            asked = len(set(selection.ids)) or sum(triage.organizations(connection, selection).values())
            return Outcome(0, 0, unchanged=asked)
        more = triage.planned(connection, action) > triage.CHUNK
        if not more:
            # As one transaction: it is done whole or not at all.
            triage.proceed(connection, action, actor=actor(), now=moment, limit=triage.CHUNK)
    if more:
        _carry_on(store, action, report, now)
    with store.reader.reading() as connection:
        return triage.outcome(connection, action)


def resume(store: Store, *, report: Report = _silent, now: int | None = None) -> list[Outcome]:
    """Carry on with every decision that was interrupted; what they came to.

    Harmless while another process works on one: each alert is done once.
    """
    with store.reader.reading() as connection:
        waiting = triage.unfinished(connection)
    outcomes = []
    for action in waiting:
        _carry_on(store, action, report, now)
        with store.reader.reading() as connection:
            outcomes.append(triage.outcome(connection, action))
    return outcomes


def _carry_on(store: Store, action: int, report: Report, now: int | None) -> None:
    with store.reader.reading() as connection:
        total = triage.planned(connection, action)
    left = total
    more = True
    while more:
        with store.writing() as connection:
            moment = now_ms() if now is None else now
            more = triage.proceed(connection, action, actor=actor(), now=moment, limit=triage.CHUNK)
        left = max(0, left - triage.CHUNK)
        report(Progress(total - left, total, "alerts"))


def wake_due(store: Store, now: int | None = None) -> int:
    """Bring back every snoozed alert for which what it waited for has come; how many. Quick without any."""
    moment = now_ms() if now is None else now
    woken = 0
    while True:
        with store.reader.reading() as connection:
            if not triage.waking(connection, moment, limit=1):
                return woken
        with store.writing() as connection:
            count = triage.wake(connection, triage.waking(connection, moment, limit=triage.CHUNK), now=moment)
        woken += count


@contextmanager
def clocks_follow(store: Store) -> Iterator[None]:
    """Set the clocks of open alerts anew when what is done meanwhile changes what the tree says of them."""
    with store.reader.reading() as connection:
        before = sla.by_tree(connection)
    yield
    with store.reader.reading() as connection:
        after = sla.by_tree(connection)
    restate(store, sorted(oid for oid in before.keys() | after.keys() if before.get(oid) != after.get(oid)))


def restate(store: Store, oids: Iterable[str]) -> int:
    """Set the clocks of these organizations' open alerts anew, after their targets changed; how many."""
    changed = 0
    for oid in oids:
        with store.writing() as connection:
            changed += sla.restate(connection, oid)
    return changed
