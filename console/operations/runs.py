"""Runs: bulk changes, onboarding and offboarding, made so that a killed process loses and repeats nothing.

A run is planned (`store.runs.Planned`), kept (`store.runs.keep`), shown, and then made by `apply`: each item
is one organization, its steps go in their order, several items at once. Each step is looked at first; what is
so already is done. Anything else is written down with what is there, sent once, and looked at again. What was
cut off is carried on by the next console or command (`resume`), and what ended with failures by `apply`.

To add a verb:

1. Give it its words in `store.runverbs.VERBS`: screens, commands and the journal name it by them. What
   takes something that cannot be brought back is `destructive`, and is begun with a typed name only.
2. Write a class in a module of `console.operations.runverbs` (named in its `MODULES`, instances in its
   `VERBS`):

        class Subscribe(Verb):
            name = "extension.subscribe"

            async def check(self, work: Work) -> Seen:
                there = work.target in await work.once("extensions", work.handle.subscriptions)
                return Seen(fulfilled=there, fact={"subscribed": there})

            async def send(self, work: Work) -> None:
                await work.handle.subscribe_extension(work.target)

            def undo(self, step: RunStep) -> PlannedStep | None:
                return PlannedStep("extension.unsubscribe", step.target)

   `check` only reads, and says what is there as JSON without a secret; `send` does it once and lets the
   client's errors through. A verb never tries anything twice itself: the engine does, when a look says that
   nothing has happened. What has no id before it is made is looked for by its name in `check`, which answers
   it as `made` (`{"oid": ...}` gives the item its organization; later steps read it by `work.oid`,
   `work.made_by(verb)`). A step that acts in the store alone (`here = True`) writes with `work.write`. What
   fails for a reason of its own raises `StepFailed` with a sentence, and `CannotBeKnown` where nobody can
   tell.
3. Plan steps with it: `PlannedStep(verb, target, arguments, needed)`. Arguments are JSON and never a secret.
   When a `needed` step fails, what follows it in its item is held back.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from console.operations.actor import actor
from console.operations.holding import is_live
from console.operations.ports import Report
from store import journal
from store import runs as kept
from store.processes import holder as this_process
from store.processes import said
from store.runs import GOOD, Planned, PlannedItem, PlannedStep, Run, RunError, RunStep
from store.text import safe_text
from store.times import now_ms

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from console.operations.runsteps import Verb
    from store.database import Store

__all__ = [
    "CONFIRMED", "Busy", "Expired", "NotAllowed", "Refused", "Result", "RunError", "WrongName", "apply",
    "keep", "left_off", "resume", "stop", "undoing",
]  # fmt: skip

CONFIRMED: Final = "\0"
"""For `confirm`, when the names were typed at the time at which it was decided: no keyboard has it."""

_LIVE: set[tuple[str, int]] = set()
"""(store, run) that this process is making at the moment."""


class Refused(RunError):
    """Nothing was sent; the text is the sentence for the operator."""


class Expired(Refused):
    """The run was kept too long ago to be begun."""


class WrongName(Refused):
    """What was typed is not what has to be typed."""


class NotAllowed(Refused):
    """The console is read-only, or offline."""


class Busy(Refused):
    """Another process makes it, or a run about one of its organizations."""

    def __init__(self, text: str, run: int) -> None:
        super().__init__(text)
        self.run = run
        """The run that is being made."""


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    run: Run
    """As it is now; `run.state` is `running` when it was cut off."""
    failed: tuple[tuple[str, str, str], ...] = ()
    """(organization's name, what, why) of each step, and of each refused organization, that is not as it
    was wanted; strangers' text."""
    trouble: str = ""
    """Why it was cut off."""
    sentence: str = ""
    """All of it in a line; safe to show."""

    @property
    def whole(self) -> bool:
        """Whether everything is as it was wanted."""
        return self.run.state == "done"

    @property
    def done(self) -> int:
        """Organizations that are whole."""
        return sum(item.state == "done" for item in self.run.items)


def keep(store: "Store", planned: Planned, *, operator: str, now: int | None = None) -> int:
    """Write a run down to be begun within an hour; its number.

    Raises:
        RunError: it cannot be; the sentence says why.
    """
    with store.writing() as c:
        return kept.keep(c, planned, by=operator, now=now_ms() if now is None else now)


async def apply(
    store: "Store",
    cloud: "Cloud | None",
    run_id: int,
    *,
    operator: str,
    holder: str = "",
    confirm: str = "",
    asked: bool = True,
    report: Report | None = None,
    key: Callable[[], bytes | None] | None = None,
    stop: asyncio.Event | None = None,
    now: int | None = None,
) -> Result:
    """Begin a run, or carry on with it where it was cut off; of one that has ended, try again what failed.

    A cloud that is away is no error here: the result says so, and what is left waits.

    Args:
        cloud: None when every step acts in the store alone.
        operator: who approves it.
        holder: the process that makes it; this one when "".
        confirm: what has to be typed: `Run.phrase`.
        asked: whether somebody asked for it; if not, only what was cut off lately is carried on.
        key: gives the installation's redaction key to the verbs that need it.
        stop: ends it behind the steps at hand, once it is set; nobody carries on with the rest unasked.
        now: milliseconds, UTC; the clock when None.

    Raises:
        Refused: nothing was sent; its subclasses say why.
        UnknownRun: there is no such run.
    """
    clock = now_ms if now is None else lambda: now
    me = holder or this_process()
    begin = partial(_begin, store, cloud, run_id, operator, me, confirm, clock(), asked=asked)
    run, steps = await _taken(begin, lambda: _give_back(store, run_id, me, clock() if asked else None))
    return await _make(store, cloud, run, steps, operator, me, clock, report, key, stop)


async def _taken(
    begin: Callable[[], tuple[Run, list[RunStep]]], give_back: Callable[[], None]
) -> tuple[Run, list[RunStep]]:
    """Begin in a thread. That one cannot be cancelled: what it takes after all is given back.

    Raises:
        Refused: it must not be made.
    """
    # Not a task, which the end of the loop would cancel, and leave nobody to wait for the thread.
    taking = asyncio.get_running_loop().run_in_executor(None, begin)
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        while not taking.done():
            with suppress(asyncio.CancelledError, Exception):
                await asyncio.shield(taking)
        if taking.exception() is None:
            give_back()
        raise


def _give_back(store: "Store", run_id: int, me: str, until: int | None) -> None:
    """Let go of a run that this process took and did not bring to its end.

    Args:
        until: from when on nobody carries on with it unasked; as it is, when None.
    """
    _LIVE.discard((store.url, run_id))
    with store.writing() as c:
        kept.HOLDING.release(c, run_id, me, **({} if until is None else {"expires_at": until}))


async def resume(
    store: "Store",
    cloud: "Cloud | None",
    *,
    key: Callable[[], bytes | None] | None = None,
    report: Report | None = None,
    now: int | None = None,
) -> list[Result]:
    """Carry on with every run that was cut off within the last day; what they came to.

    Quick and silent when there is none. Harmless while another process makes one: that one is left alone,
    and so is one that somebody stopped.
    """
    if cloud is None or cloud.read_only:
        return []
    clock = now_ms if now is None else lambda: now

    def waiting() -> list[int]:
        live = _is_live(store, clock())
        with store.reader.reading() as c:
            return [
                held.id
                for held, until in kept.running(c)
                if until > clock() and not (held.holder and live(held))
            ]

    results = []
    for run_id in await asyncio.to_thread(waiting):
        try:
            run = await asyncio.to_thread(_load, store, run_id)
            results.append(
                await apply(
                    store,
                    cloud,
                    run_id,
                    operator=run.approved_by,
                    confirm=CONFIRMED,
                    asked=False,
                    report=report,
                    key=key,
                    now=now,
                )
            )
        except (Refused, kept.Lost):
            continue
    return results


def stop(store: "Store", run_id: int, now: int | None = None) -> bool:
    """Let a run that was cut off wait until somebody resumes it; False when it was not cut off."""
    with store.writing() as c:
        return kept.wait_to_be_asked(c, run_id, now=now_ms() if now is None else now)


def left_off(store: "Store", now: int) -> list[str]:
    """The runs that were cut off or stopped and wait for somebody, a sentence each."""
    live, found = _is_live(store, now), []
    with store.reader.reading() as c:
        for held, _ in kept.running(c):
            if held.holder and live(held):
                continue
            run = kept.load(c, held.id)
            whole = sum(item.state == "done" for item in run.items)
            found.append(
                f"Run {run.id} ({safe_text(run.title, 60)}) was cut off, {whole:,} of {len(run.items):,} "
                f"organizations done; `limegrove org resume {run.id}` goes on."
            )
    return found


def undoing(store: "Store", run_id: int) -> Planned:
    """What takes back what a run did, as far as it did it and as it can be taken back.

    The steps of each organization are taken back in the opposite order. What was so already stays.

    Raises:
        Refused: it is being made, or nothing of it can be taken back, or it was taken back.
        UnknownRun: there is no such run.
    """
    from console.operations.runverbs import verb

    with store.reader.reading() as c:
        run = kept.load(c, run_id)
        steps = kept.steps(c, run_id)
    if run.state in ("draft", "dropped"):
        raise Refused(f"Run {run_id} was never begun; there is nothing to take back.")
    if run.state == "running":
        raise Refused(f"Run {run_id} is not at its end; `limegrove org resume {run_id}` brings it there.")
    if run.undone_by is not None:
        raise Refused(f"Run {run_id} was taken back by run {run.undone_by}.")
    by_item: dict[int, list[PlannedStep]] = {}
    for step in reversed(steps):
        if back := _back(verb(step.verb), step):
            by_item.setdefault(step.item, []).extend(back)
    if not by_item:
        raise Refused(f"Run {run_id} did nothing that can be taken back.")
    items = tuple(
        PlannedItem(item.oid, item.name, steps=tuple(by_item[item.item]))
        for item in run.items
        if item.item in by_item and item.oid
    )
    return Planned("bulk", f"Take back run {run_id}: {run.title}", items, f"undo:{run_id}", undo_of=run_id)


def not_undone(store: "Store", run_id: int) -> list[RunStep]:
    """What a run did and nothing takes back."""
    from console.operations.runverbs import verb

    with store.reader.reading() as c:
        steps = kept.steps(c, run_id)
    return [step for step in steps if step.outcome == "done" and not _back(verb(step.verb), step)]


def cannot_be_undone(steps: Iterable[RunStep]) -> int:
    """How many steps have a verb that nothing takes back."""
    from console.operations.runsteps import Verb
    from console.operations.runverbs import verb

    return sum(type(verb(step.verb)).undo is Verb.undo for step in steps)


def _back(verb: "Verb", step: RunStep) -> tuple[PlannedStep, ...]:
    """What takes a step back; nothing of what the run did not make."""
    back = verb.undo(step) if step.outcome == "done" else None
    return (back,) if isinstance(back, PlannedStep) else back or ()


def _is_live(store: "Store", now: int) -> Callable[[kept.Held], bool]:
    return is_live(now, mine=lambda run_id: (store.url, run_id) in _LIVE)


def _begin(
    store: "Store",
    cloud: "Cloud | None",
    run_id: int,
    operator: str,
    me: str,
    confirm: str,
    now: int,
    *,
    asked: bool,
) -> tuple[Run, list[RunStep]]:
    """Check a run and take it.

    Raises:
        Refused: it must not be made.
    """
    from console.operations.runverbs import verb

    with store.writing() as c:
        run = kept.load(c, run_id)
        if run.state in ("done", "dropped"):
            raise Refused(f"Run {run_id} is {run.state}; nothing was sent.")
        if not asked and (run.state != "running" or run.expires_at <= now):
            # It came to its end, was stopped or grew too old since it was listed.
            raise Refused(f"Run {run_id} waits for somebody to ask for it; nothing was sent.")
        try:
            away = [name for name in run.verbs if not verb(name).here]
        except KeyError as error:
            raise Refused(
                f"Run {run_id} has a step that this version does not know ({error.args[0]}); nothing was "
                "sent."
            ) from None
        if cloud is None and away:
            raise NotAllowed(f"Run {run_id} needs the cloud, and this session is offline; nothing was sent.")
        if cloud is not None and cloud.read_only:
            raise NotAllowed("This session is read-only, and a run changes organizations; nothing was sent.")
        steps = kept.steps(c, run_id)
        if run.state == "draft":
            _check(run, steps, now)
        if confirm != CONFIRMED and not run.confirmed(confirm):
            raise WrongName(_not_typed(run))
        busy = kept.take(c, run, me, operator=operator, now=now, is_live=_is_live(store, now), asked=asked)
        if busy is not None:
            # The console shows one line: what matters stands first.
            other = (
                ""
                if busy.id == run_id
                else f" It is about the same organizations: {safe_text(busy.title, 80)}."
            )
            raise Busy(
                f"Run {busy.id} is being made by {said(busy.holder)}; nothing was sent.{other} "
                f"{safe_text(busy.by, 80)} began it; try again when it is done.",
                busy.id,
            )
        detail = {"run": run_id, "kind": run.kind, "hash": run.hash, "steps": len(steps), "by": operator}
        if run.protected:
            detail["protected"] = [oid for oid, _ in run.protected]
        action = "run.approve" if run.state == "draft" else "run.carry_on"
        journal.append(c, actor(), action, target=run.title, detail=detail, now=now)
        _LIVE.add((store.url, run_id))
        return kept.load(c, run_id), kept.steps(c, run_id)


def _check(run: Run, steps: list[RunStep], now: int) -> None:
    """See whether a draft may be begun.

    Raises:
        Refused: it may not.
    """
    if now > run.expires_at:
        raise Expired(f"Run {run.id} was planned more than an hour ago. Plan it again; nothing was sent.")
    seen = kept.hash_of([(item.item, item.oid, item.name, item.options) for item in run.items], steps)
    if seen != run.hash:
        raise Refused(f"Run {run.id} is not what it was when it was planned; nothing was sent.")


def _not_typed(run: Run) -> str:
    """What has to be typed, and why."""
    named = ", ".join(safe_text(name, 60) for _, name in run.named[:5])
    more = f" and {len(run.named) - 5} more" if len(run.named) > 5 else ""
    why = "takes what cannot be brought back" if run.destructive else "changes what is protected"
    return (
        f"Run {run.id} {why} ({named}{more}): `{safe_text(run.phrase, 80)}` has to be typed for it; "
        "nothing was sent."
    )


async def _make(
    store: "Store",
    cloud: "Cloud | None",
    run: Run,
    steps: list[RunStep],
    operator: str,
    me: str,
    clock: Callable[[], int],
    report: Report | None,
    key: Callable[[], bytes | None] | None,
    stop: asyncio.Event | None,
) -> Result:
    """Make the steps of a run that this process has just taken."""
    from console.operations.runsteps import Making
    from console.operations.runverbs import verb

    ended = False
    try:
        making = Making(
            run, steps, store=store, cloud=cloud, operator=operator, holder=me, clock=clock,
            key=partial(_needed, key), verb=verb, report=report, stop=stop,
        )  # fmt: skip
        try:
            await making.make()
            if making.finished:
                await asyncio.to_thread(_finish, store, run.id, me, operator, clock())
                ended = True
        except kept.Lost:
            raise Busy(
                f"Run {run.id} was taken over by another process, which carries on with it.", run.id
            ) from None
    finally:
        if ended:
            _LIVE.discard((store.url, run.id))
        else:
            # Here and now, also when this task is cancelled: whoever comes next need not wait for a lease.
            _give_back(store, run.id, me, clock() if stop is not None and stop.is_set() else None)
    return await asyncio.to_thread(partial(result, store, run.id, making.trouble))


def _needed(key: Callable[[], bytes | None] | None) -> bytes:
    """The installation's redaction key.

    Raises:
        StepFailed: it is not to be had.
    """
    from console.operations.runsteps import StepFailed
    from store.credentials.errors import CredentialError

    try:
        found = key() if key is not None else None
    except CredentialError as error:
        raise StepFailed(f"The key under which secrets are compared cannot be read: {error}") from error
    if found is None:
        raise StepFailed("The key under which secrets are compared is not at hand: `limegrove auth login`.")
    return found


def _load(store: "Store", run_id: int) -> Run:
    with store.reader.reading() as c:
        return kept.load(c, run_id)


def _finish(store: "Store", run_id: int, me: str, operator: str, now: int) -> None:
    with store.writing() as c:
        run = kept.load(c, run_id)
        if all(item.state == "done" for item in run.items):
            state = kept.DONE
        else:
            state = kept.PARTLY if any(word in GOOD for word in run.counts) else kept.FAILED
        kept.HOLDING.finish(c, run_id, me, state, now=now)
        detail = {"run": run_id, "hash": run.hash, "counts": dict(run.counts), "by": operator}
        journal.append(c, actor(), "run.finish", target=run.title, detail=detail, now=now)


def result(store: "Store", run_id: int, trouble: str = "") -> Result:
    """What a run came to, as the store has it.

    Raises:
        UnknownRun: there is no such run.
    """
    with store.reader.reading() as c:
        run = kept.load(c, run_id)
        bad = kept.failures(c, run_id)
    failed = [(str(name), str(step.words), step.error or step.outcome) for name, step in bad]
    failed += [(str(item.name), "all of it", item.reason) for item in run.items if item.state == "refused"]
    return Result(run, tuple(failed), trouble, kept.sentence(run, bad, trouble))
