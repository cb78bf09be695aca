"""Plans about access, applied: read, compared, written down, sent once, read back.

A plan is applied by one process at a time, and a store applies one plan at a time: a group's permissions are
replaced as a whole, so two plans for one group could overwrite each other. Everything is committed before it
is sent, so that whoever is killed in between leaves steps of which the next one sees whether they were made.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from console.operations.actor import actor
from console.operations.holding import is_live
from console.operations.ports import Report
from store import accesslines, accessplans, accessroles, breakglass, journal, planwork
from store.accesschanges import AccessChange
from store.accessplans import APPLIED, FAILED, GOOD, OUTCOMES, PARTLY, Plan, PlanError, Step
from store.planwork import Held, Lost
from store.processes import holder
from store.text import safe_text
from store.times import now_ms

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from store.database import Store

__all__ = [
    "CONFIRMED", "Busy", "Expired", "NotAllowed", "Outcome", "PlanError", "Refused", "Stale", "WrongName",
    "apply", "carry_out", "resume",
]  # fmt: skip

CONFIRMED: Final = "\0"
"""For `confirm`, when the names were typed at the time at which it was decided: no keyboard has it."""

WAIT = 20.0
"""Seconds for which a plan waits until another one has been applied."""
AGAIN = 0.2
"""Seconds between two looks whether it has."""
LATER = 60_000
"""Milliseconds after which a plan is carried on that was cut off because the cloud was away."""

_good = frozenset(OUTCOMES[number] for number in GOOD)
_LIVE: set[tuple[str, int]] = set()
"""(store, plan) that this process is applying at the moment."""


class Refused(PlanError):
    """Nothing was sent; the text is the sentence for the operator."""


class Stale(Refused):
    """The store says otherwise than when the plan was drafted."""


class Expired(Refused):
    """The plan is too old."""


class WrongName(Refused):
    """A protected organization was not typed by name."""


class NotAllowed(Refused):
    """The console is read-only."""


class Busy(Refused):
    """Another process applies a plan."""


@dataclass(frozen=True)
class Outcome:
    """What a plan came to."""

    plan_id: int
    state: str
    """Of `store.accessplans.STATES`; `applying` when it was cut off, and is carried on later."""
    counts: dict[str, int] = field(default_factory=dict)
    """Steps by outcome, of `store.accessplans.OUTCOMES`."""
    steps: tuple[Step, ...] = ()
    failed: tuple[tuple[str, str, str], ...] = ()
    """(what, outcome, why) of each step that is not as it was wanted, in words."""
    trouble: str = ""
    """Why it was cut off."""
    sentence: str = ""
    """All of it in a line."""

    @property
    def whole(self) -> bool:
        """Whether everything is as it was wanted."""
        return self.state == "applied"


async def apply(
    plan_id: int,
    *,
    store: "Store",
    cloud: "Cloud",
    operator: str,
    confirm: str = "",
    report: Report | None = None,
    now: int | None = None,
) -> Outcome:
    """Approve a plan and make its changes, or carry on with it where it was cut off.

    What was cut off before of other plans is carried on with first. A cloud that is away is no error here:
    the outcome says so, and what is left waits.

    Args:
        operator: who approves it.
        confirm: what has to be typed for protected organizations: `Plan.phrase`.
        now: milliseconds, UTC; the clock when None.

    Raises:
        Refused: nothing was sent; its subclasses say why.
        PlanError: there is no such plan.
    """
    _refuse_read_only(cloud)
    clock = _clock(now)
    await _carry_on(store, cloud, clock, but=plan_id)
    deadline = time.monotonic() + WAIT
    while True:
        busy = await asyncio.to_thread(_begin, store, plan_id, operator, confirm, clock)
        if busy is None:
            break
        if busy.id == plan_id or time.monotonic() > deadline:
            raise Busy(
                f"Plan {busy.id} ({safe_text(busy.title, 80)}) is being applied by "
                f"{safe_text(busy.by, 80)} at the moment; nothing was sent. Try again when it is done."
            )
        await asyncio.sleep(AGAIN)
    return await _make(store, cloud, plan_id, operator, clock, report)


async def carry_out(
    changes: Iterable[AccessChange],
    *,
    title: str,
    store: "Store",
    cloud: "Cloud",
    operator: str,
    confirm: str = "",
    source: str = "",
    report: Report | None = None,
    now: int | None = None,
) -> Outcome:
    """Draft a plan, approve it and apply it at once.

    Raises:
        Refused: nothing was sent; `apply` says which.
        NothingToDo: everything is so already, as the store knows it.
        PlanError: it cannot be planned.
    """
    _refuse_read_only(cloud)
    clock = _clock(now)
    wanted = list(changes)

    def draft() -> int:
        with store.writing() as c:
            return accessplans.draft(c, wanted, title=title, by=operator, now=clock(), source=source)

    plan_id = await asyncio.to_thread(draft)
    try:
        return await apply(
            plan_id, store=store, cloud=cloud, operator=operator, confirm=confirm, report=report, now=now
        )
    except Refused:

        def drop() -> None:
            with store.writing() as c:
                accessplans.drop(c, plan_id, now=clock())

        await asyncio.to_thread(drop)
        raise


async def resume(store: "Store", cloud: "Cloud", *, now: int | None = None) -> list[Outcome]:
    """Carry on with every plan that was cut off; what they came to. Quick and silent when there is none.

    Harmless while another process applies one: that one is left alone.
    """
    if cloud.read_only:
        return []
    return await _carry_on(store, cloud, _clock(now), rest=LATER)


def _clock(now: int | None) -> Callable[[], int]:
    return now_ms if now is None else lambda: now


def _refuse_read_only(cloud: "Cloud") -> None:
    if cloud.read_only:
        raise NotAllowed("This console is read-only, and a plan changes who may do what; nothing was sent.")


def _is_live(store: "Store", now: int) -> Callable[[Held], bool]:
    return is_live(now, mine=lambda plan_id: (store.url, plan_id) in _LIVE)


def _begin(
    store: "Store", plan_id: int, operator: str, confirm: str, clock: Callable[[], int]
) -> Held | None:
    """Check a plan and take it; the plan that is applied instead at the moment, None when it was taken.

    Raises:
        Refused: it must not be applied.
    """
    now = clock()
    with store.writing() as c:
        plan = accessplans.load(c, plan_id)
        if plan.state == "draft":
            _check(c, plan, confirm, now)
        elif plan.state != "applying":
            raise Refused(f"Plan {plan_id} cannot be applied: it is {plan.state}. Nothing was sent.")
        if plan_id in breakglass.expired_plans(c, now):
            raise Refused(f"Plan {plan_id} would give what should have ended by now; nothing was sent.")
        busy = planwork.take(c, plan_id, holder(), operator=operator, now=now, is_live=_is_live(store, now))
        if busy is None:
            detail = {"plan": plan_id, "hash": plan.hash, "steps": len(plan.steps), "by": operator}
            if plan.protected:
                detail["protected"] = [oid for oid, _ in plan.protected]
            verb = "approve" if plan.state == "draft" else "carry_on"
            journal.append(c, actor(), f"access.plan.{verb}", target=plan.title, detail=detail, now=now)
            _LIVE.add((store.url, plan_id))
        return busy


def _check(c: Connection, plan: Plan, confirm: str, now: int) -> None:
    """See whether a draft may be applied.

    Raises:
        Refused: it may not.
    """
    if now > plan.expires_at:
        raise Expired(
            f"Plan {plan.id} is too old: it was drafted more than an hour ago. Draft it again; nothing was "
            "sent."
        )
    if accessplans.hash_of(plan.steps) != plan.hash:
        raise Stale(f"Plan {plan.id} is not what it was when it was drafted; nothing was sent.")
    changed = accessplans.stale(c, plan)
    if changed:
        names = accesslines.names(c, [step.change for step in changed[:3]])
        listed = "; ".join(safe_text(accesslines.words(step.change, names), 160) for step in changed[:3])
        more = f"; and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise Stale(
            f"Plan {plan.id} is stale: what {len(changed)} of its {len(plan.steps)} changes are about is not "
            f"as it was when it was drafted ({listed}{more}). Draft it again; nothing was sent."
        )
    if confirm != CONFIRMED and not accessplans.confirmed(plan.protected, confirm):
        named = ", ".join(safe_text(name, 60) for _, name in plan.protected[:5])
        raise WrongName(
            f"Plan {plan.id} touches what is protected ({named}), and `{plan.phrase}` has to be typed for "
            "it; nothing was sent."
        )


async def _carry_on(
    store: "Store", cloud: "Cloud", clock: Callable[[], int], *, but: int = 0, rest: int = 0
) -> list[Outcome]:
    """Carry on with what was cut off.

    Args:
        but: the plan that is left alone.
        rest: milliseconds for which a plan is left alone that its own process gave back.
    """

    def waiting() -> list[Held]:
        with store.reader.reading() as c:
            return planwork.applying(c)

    outcomes = []
    for held in await asyncio.to_thread(waiting):
        if held.id == but or (held.holder and _is_live(store, clock())(held)):
            continue
        if not held.holder and held.beat_at + rest > clock():
            continue
        try:
            busy = await asyncio.to_thread(_begin, store, held.id, held.by, CONFIRMED, clock)
            if busy is None:
                outcomes.append(await _make(store, cloud, held.id, held.by, clock, None))
        except (Refused, Lost):
            continue
    return outcomes


async def _make(
    store: "Store",
    cloud: "Cloud",
    plan_id: int,
    operator: str,
    clock: Callable[[], int],
    report: Report | None,
) -> Outcome:
    """Make the steps of a plan that this process has just taken."""
    from console.operations.accesssteps import Applying

    me = holder()
    ended = False
    try:
        plan = await asyncio.to_thread(_load, store, plan_id)
        applying = Applying(
            plan, store=store, cloud=cloud, operator=operator, holder=me, clock=clock, report=report
        )
        try:
            await applying.run()
            if applying.finished:
                await asyncio.to_thread(_finish, store, plan_id, me, operator, clock())
                ended = True
        except Lost:
            raise Busy(
                f"Plan {plan_id} was taken over by another process, which carries on with it."
            ) from None
    finally:
        _LIVE.discard((store.url, plan_id))
        if not ended:
            # Here and now, also when this task is cancelled: whoever comes next need not wait for a lease.
            with store.writing() as c:
                planwork.release(c, plan_id, me)
    return await asyncio.to_thread(_outcome, store, plan_id, applying.trouble)


def _load(store: "Store", plan_id: int) -> Plan:
    with store.reader.reading() as c:
        return accessplans.load(c, plan_id)


def _finish(store: "Store", plan_id: int, me: str, operator: str, now: int) -> None:
    with store.writing() as c:
        plan = accessplans.load(c, plan_id)
        good = sum(step.outcome in _good for step in plan.steps)
        state = APPLIED if good == len(plan.steps) else PARTLY if good else FAILED
        planwork.finish(c, plan_id, me, state, now=now)
        accessroles.applied(c, plan.source, now=now)
        detail = {"plan": plan_id, "hash": plan.hash, "counts": plan.counts, "by": operator}
        journal.append(c, actor(), "access.plan.finish", target=plan.title, detail=detail, now=now)


def _outcome(store: "Store", plan_id: int, trouble: str) -> Outcome:
    with store.reader.reading() as c:
        plan = accessplans.load(c, plan_id)
        bad = [step for step in plan.steps if step.outcome not in _good]
        names = accesslines.names(c, [step.change for step in bad])
    failed = tuple((accesslines.words(step.change, names), step.outcome, step.error) for step in bad)
    return Outcome(
        plan_id, plan.state, plan.counts, plan.steps, failed, trouble, sentence(plan, failed, trouble)
    )


def sentence(plan: Plan, failed: tuple[tuple[str, str, str], ...], trouble: str = "") -> str:
    """What a plan came to, in a line; safe to show."""
    counts = plan.counts
    done, already = counts.get("done", 0), counts.get("already", 0)
    total = len(plan.steps)
    made = f"{done} of {total} changes made" if done < total else f"{total} changes made"
    if total == 1 and done:
        made = "1 change made"
    parts = [made]
    if already:
        parts.append(f"{already} already so")
    parts += [f"{number} {name}" for name, number in counts.items() if name not in _good]
    text = f"Plan {plan.id}: {', '.join(parts)}."
    if failed:
        what, _, why = failed[0]
        text += f" {safe_text(what, 160)}: {safe_text(why, 240) or failed[0][1]}"
        text += f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    if trouble:
        text += (
            f" It was cut off, and is carried on by the next console or command: {safe_text(trouble, 240)}"
        )
    return text
