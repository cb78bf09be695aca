"""Rollouts: a plan brought to organizations in waves; read, compared, written down, sent once, read back.

Everything is committed before it is sent, so that whoever is killed in between leaves steps of which the next
one sees whether they were made. The next wave begins only behind a gate that says `pass`; `fail` halts the
rollout, and where nothing can be said it pauses for a person.
"""

import asyncio
import contextlib
import typing
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Connection

from console.limacharlie.errors import (
    Ambiguous,
    Auth,
    Conflict,
    Denied,
    Gone,
    LimaCharlieError,
    Network,
    Protocol,
    Throttled,
    Unavailable,
)
from console.operations import records
from console.operations.actor import actor
from console.operations.ports import Progress, Report
from console.operations.records import Current
from console.operations.together import together
from store import accessplans, ingest, journal
from store.configuration import Record, redact
from store.errors import StoreError
from store.processes import alive, holder
from store.queries.scopes import marked
from store.rollouts import backtests, keeping, work
from store.rollouts.compare import normalised_metadata, wanted_hash
from store.rollouts.keeping import Plan, Step
from store.rollouts.wanted import Placed, body_of, wanted
from store.rollouts.windows import held_back
from store.rollouts.work import Held, Lost
from store.text import safe_text
from store.times import now_ms

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from store.database import Store

Answer = TypeVar("Answer")

AT_ONCE: Final = 16
"""Organizations changed at once: as many as requests are under way at once; the rate budget is kept below."""
TURNS: Final = 4
"""How often a change is sent that LimaCharlie turns away for the rate alone."""
PATIENCE = 1.0
"""Seconds before something is asked again that was turned away; it doubles."""
BEAT: Final = 15.0
"""Seconds between two signs of life."""
LOOK: Final = 2.0
"""Seconds between two looks whether somebody asked for a pause, while nothing is sent."""

STEP_WITHIN: Final = 5.0
"""Seconds that a step has to end when whoever waits for it is gone."""
SKEW: Final = 2_000
"""Milliseconds by which a record's time, told in seconds, may be before the moment at which it was sent."""

GOOD: Final = frozenset({"applied", "already"})
OPEN: Final = frozenset({"waiting", "sending", "unknown"})
"""What is still to be done, or to be looked at."""
AGAIN: Final = frozenset({"failed", "denied"})
"""What nothing came of, and is tried once more when somebody carries on."""

ORDER: Final = (
    "resource", "hive/secret", "hive/yara", "hive/lookup", "extension", "org_value", "output", "integrity",
    "artifact", "exfil", "yara", "installation_key",
)  # fmt: skip
"""Sections in which other records may refer to something come first, as in a push of the cloud's own."""


class Refused(Exception):
    """Nothing was sent; the text is the sentence for the operator."""


class Stale(Refused):
    """The plan does not hold any more."""


class WrongName(Refused):
    """A protected organization was not typed by name."""


class NotAllowed(Refused):
    """The console is read-only."""


class NotApproved(Refused):
    """A second identity has to approve the plan."""


class Busy(Refused):
    """Another process rolls it out, or another rollout has an organization."""


class Away(Exception):
    """The cloud is away; what was not sent waits."""


class Stopped(Exception):
    """Somebody asked to stop: the step at hand was finished, and what was not sent waits."""


class Halted(Exception):
    """Too much of a wave failed."""


class Closed(Exception):
    """An organization may not be changed at this time."""


@dataclass(frozen=True)
class Options:
    """How a rollout goes, as it was asked for when it was planned."""

    budget: int = 0
    """Steps of a wave that may fail before it is halted."""
    pause: int = 0
    """Seconds between two waves."""
    soak: int = 0
    """Seconds that a gate waits before it looks."""

    @classmethod
    def of(cls, plan: Plan) -> "Options":
        """Those of a plan."""
        held = plan.options
        return cls(int(held.get("budget", 0)), int(held.get("pause", 0)), int(held.get("soak", 0)))


@dataclass(frozen=True)
class Verdict:
    """What the gate behind a wave says."""

    word: str
    """pass, fail, or inconclusive."""
    said: str
    """A sentence."""
    checks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Gates(typing.Protocol):
    """Looks at organizations before a wave and after it."""

    async def baseline(self, oids: list[str]) -> Mapping[str, Any]:
        """What there is before the wave: kept with it, and handed to `verdict`."""
        ...

    async def verdict(self, plan: Plan, number: int, baseline: Mapping[str, Any]) -> Verdict:
        """What the wave came to."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a rollout came to."""

    plan_id: int
    state: str
    """Of `store.rollouts.plans.STATES`; `running` when it was cut off, and is carried on later."""
    applied: int
    """Organizations in which every step is as it was wanted."""
    failed: tuple[tuple[str, str, str], ...]
    """(oid, record, reason) of each step that is not."""
    halted: str
    """Why the next wave did not begin; "" when all of them did."""

    @property
    def whole(self) -> bool:
        """Whether everything is as it was wanted."""
        return self.state == "done" and not self.failed


async def apply(
    plan_id: int,
    *,
    store: "Store",
    cloud: "Cloud",
    key: bytes,
    operator: str,
    gates: Gates,
    confirm: str = "",
    report: Report | None = None,
    now: Callable[[], int] = now_ms,
    approved: Callable[[Connection, Plan], str],
    stop: asyncio.Event | None = None,
    accept: bool = False,
) -> Outcome:
    """Roll a plan out, or carry on with it where it was cut off, paused or halted.

    What failed and left nothing behind is tried again then; what somebody else changed is left alone.

    Args:
        key: the installation's redaction key.
        operator: who applies it.
        confirm: what was typed for protected organizations: the name, or `N protected organizations`.
        approved: why a plan that needs a second identity is not approved; "" when it is
            (`console.operations.approvals.lacking`).
        stop: ends it behind the steps at hand, once it is set; what is left waits.
        accept: a person has looked at the wave whose gate could not tell, and takes it for good. A gate that
            fails is not passed by it.

    Raises:
        Refused: nothing was sent; its subclasses say why.
        PlanError: there is no such plan.
    """
    if cloud.read_only:
        raise NotAllowed("This console is read-only, and a rollout writes; nothing was sent.")
    plan, placed = await asyncio.to_thread(_begin, store, plan_id, key, operator, confirm, approved, now())
    applying = _Applying(
        plan,
        placed,
        store=store,
        cloud=cloud,
        key=key,
        operator=operator,
        gates=gates,
        report=report,
        clock=now,
        stop=stop or asyncio.Event(),
        accept=accept,
    )
    return await applying.run()


def pause(plan_id: int, *, store: "Store", operator: str, now: int) -> None:
    """Ask whoever rolls a plan out, here or elsewhere, to pause behind the steps at hand.

    Args:
        now: milliseconds, UTC.

    Raises:
        Refused: nobody rolls it out.
        PlanError: there is no such plan.
    """
    with store.writing() as c:
        plan = keeping.load(c, plan_id)
        if not work.ask_to_pause(c, plan.id, operator, now=now):
            raise Refused(f"Nobody rolls plan {plan.id} out: it is {plan.state}.")
        detail = {"plan": plan.id, "hash": plan.hash, "by": operator}
        journal.append(c, actor(), "rollout.pause", target=plan.title, detail=detail, now=now)


_GOING: Final[dict[asyncio.Event, "asyncio.Task[Any] | None"]] = {}
"""What stops each rollout of this process, and its task."""


async def stop_all(within: float = STEP_WITHIN) -> None:
    """End the rollouts of this process behind the steps at hand, and wait until they have.

    Args:
        within: seconds.
    """
    for stop in _GOING:
        stop.set()
    tasks = [task for task in _GOING.values() if task is not None and task is not asyncio.current_task()]
    if tasks:
        await asyncio.wait(tasks, timeout=within)


def left_off(store: "Store", now: int) -> list[str]:
    """The rollouts that were cut off and wait for somebody to carry on, a sentence each.

    Args:
        now: milliseconds, UTC.
    """
    live, found = _is_live(now), []
    with store.reader.reading() as c:
        for held in work.running(c):
            if held.holder and live(held):
                continue
            waves = keeping.planned_waves(c, held.id)
            wave = next((each for each in waves if each.state not in ("done", "rolled back")), waves[-1])
            total = sum(sum(each.counts.values()) for each in waves)
            left = sum(each.counts.get(word, 0) for each in waves for word in OPEN)
            found.append(
                f"Rollout {held.id} ({safe_text(held.title, 40)}) was cut off in wave {wave.number} of "
                f"{len(waves)}, {total - left:,} of {total:,} steps done; "
                f"`limegrove rollout resume {held.id}` goes on."
            )
    return found


def _is_live(now: int) -> Callable[[Held], bool]:
    def is_live(held: Held) -> bool:
        there = alive(held.holder)
        return there if there is not None else held.beat_at + work.LEASE > now

    return is_live


def _begin(
    store: "Store",
    plan_id: int,
    key: bytes,
    operator: str,
    confirm: str,
    approved: Callable[[Connection, Plan], str],
    now: int,
) -> tuple[Plan, dict[str, Placed]]:
    with store.writing() as c:
        plan = keeping.load(c, plan_id)
        if plan.state not in ("draft", "running", "paused", "halted"):
            raise Refused(f"Plan {plan_id} cannot be applied: it is {plan.state}. Nothing was sent.")
        if plan.state == "draft":
            why = keeping.stale(c, plan, key=key, now=now)
            if why:
                raise Stale(f"{why} Nothing was sent.")
            if plan.risks:
                lacking = approved(c, plan)
                if lacking:
                    raise NotApproved(f"{lacking} {plan.risks[0]} Nothing was sent.")
            _check_names(c, plan_id, confirm)
        if not work.take(c, plan_id, holder(), operator=operator, now=now, is_live=_is_live(now)):
            raise Busy(f"Plan {plan_id} is being rolled out by another process; nothing was sent.")
        verb = "approve" if plan.state == "draft" else "carry_on"
        detail = {"plan": plan_id, "hash": plan.hash, "by": operator}
        journal.append(c, actor(), f"rollout.{verb}", target=plan.title, detail=detail, now=now)
        return plan, {each.oid: each for each in wanted(c, plan.scope, key)}


def _check_names(c: Any, plan_id: int, confirm: str) -> None:
    oids = {each.change.oid for each in keeping.steps(c, plan_id)}
    held = list(marked(c, "protected", oids).items())
    if not accessplans.confirmed(held, confirm):
        named = ", ".join(safe_text(name, 60) for _, name in held[:5])
        raise WrongName(
            f"Plan {plan_id} changes what is protected ({named}): `{safe_text(accessplans.phrase(held), 80)}`"
            f"{accessplans.or_id(held)} has to be typed. Nothing was sent."
        )


class _Applying:
    def __init__(
        self,
        plan: Plan,
        placed: Mapping[str, Placed],
        *,
        store: "Store",
        cloud: "Cloud",
        key: bytes,
        operator: str,
        gates: Gates,
        report: Report | None,
        clock: Callable[[], int],
        stop: asyncio.Event,
        accept: bool,
    ) -> None:
        self.plan, self.placed = plan, placed
        self.options = Options.of(plan)
        self.stop, self.accept = stop, accept
        self._ident: str | None = None
        self._pause_by = ""
        self._bad = 0
        """Steps of the wave at hand that failed."""
        self.store, self.cloud, self.key = store, cloud, key
        self.operator, self.gates, self.clock = operator, gates, clock
        self._report = report or (lambda progress: None)
        self._me = holder()
        self._done = 0
        self._total = 0
        self._before: dict[tuple[str, str, str], Any] = {}
        """Of a plan that takes another one back: what there was before that."""

    async def run(self) -> Outcome:
        beating = asyncio.create_task(self._beat())
        _GOING[self.stop] = asyncio.current_task()
        state, said = "running", ""
        try:
            state, said = await self._waves()
        except Away as error:
            said = str(error)
        except Stopped:
            if self._pause_by:
                state, said = "paused", f"{self._pause_by} asked for a pause."
            else:
                said = "It was stopped behind the step at hand."
            said += f" `limegrove rollout resume {self.plan.id}` goes on."
        except Lost:
            raise Busy(f"Plan {self.plan.id} was taken over by another process.") from None
        finally:
            _GOING.pop(self.stop, None)
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating
            # Here and now, also when this task is cancelled: whoever comes next need not wait for a lease.
            with self.store.writing() as c:
                if state == "running":
                    work.release(c, self.plan.id, self._me)
                else:
                    with contextlib.suppress(Lost):
                        work.finish(c, self.plan.id, self._me, state, said, now=self.clock())
                        detail = {"plan": self.plan.id, "hash": self.plan.hash, "state": state, "said": said}
                        journal.append(
                            c, actor(), "rollout.end", target=self.plan.title, detail=detail, now=self.clock()
                        )
        return await asyncio.to_thread(self._outcome, state, said)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            with contextlib.suppress(Lost):
                await asyncio.to_thread(
                    self._write, lambda c: work.beat(c, self.plan.id, self._me, now=self.clock())
                )

    def _write(self, do: Callable[[Any], Any]) -> Any:
        with self.store.writing() as c:
            return do(c)

    def _read(self, do: Callable[[Any], Any]) -> Any:
        with self.store.reader.reading() as c:
            return do(c)

    async def _waves(self) -> tuple[str, str]:
        undone = self.plan.undo_of
        if undone is not None:
            self._before = await asyncio.to_thread(self._read, lambda c: work.before(c, undone))
        waves = await asyncio.to_thread(self._read, lambda c: keeping.planned_waves(c, self.plan.id))
        self._total = sum(sum(each.counts.values()) for each in waves)
        self._done = sum(
            number
            for each in waves
            for word, number in each.counts.items()
            if word not in ("waiting", "sending")
        )
        ended: int | None = None
        for each in waves:
            if each.state in ("done", "rolled back"):
                ended = each.finished_at
                continue
            if ended is not None and each.state == "waiting":
                await self._rest(ended + self.options.pause * 1000 - self.clock())
            try:
                verdict = await self._one(each.number, each.name, each.gate.get("baseline"))
            except Halted as error:
                await asyncio.to_thread(self._write, partial(self._fail, number=each.number))
                return "halted", f"Wave {each.name} was halted: {error}"
            except Closed as error:
                return "paused", (
                    f"Wave {each.name}: {error}. `limegrove rollout resume {self.plan.id}` goes on then."
                )
            ended = self.clock()
            if verdict.word == "fail":
                return "halted", f"Wave {each.name} failed its gate: {verdict.said}"
            if verdict.word != "pass":
                return "paused", f"Wave {each.name}: {verdict.said} A person has to look, and carry on."
        failed = await asyncio.to_thread(self._read, self._failed)
        return ("partly" if failed else "done"), ""

    def _fail(self, c: Connection, number: int) -> None:
        work.wave(c, self.plan.id, number, "failed", now=self.clock())

    async def _one(self, number: int, name: str, baseline: Mapping[str, Any] | None) -> Verdict:
        """One wave, and what its gate says."""
        steps = await asyncio.to_thread(
            self._read, lambda c: list(keeping.steps(c, self.plan.id, wave=number))
        )
        oids = list(dict.fromkeys(each.change.oid for each in steps))
        held_up = await self._past(number, steps, baseline)
        if held_up is not None:
            return held_up
        if baseline is None:
            baseline = await self._unless_stopped(self.gates.baseline(oids))
        kept = {"baseline": dict(baseline)}
        await asyncio.to_thread(
            self._write,
            lambda c: work.wave(c, self.plan.id, number, "running", now=self.clock(), gate=kept),
        )
        by_oid: dict[str, list[Step]] = {}
        for step in steps:
            by_oid.setdefault(step.change.oid, []).append(step)
        limit = asyncio.Semaphore(AT_ONCE)
        trouble: list[Exception] = []
        closed: list[str] = []
        # Tried once more are those that failed before this process came; they count again if they fail again.
        self._bad = sum(
            each.outcome not in GOOD and each.outcome not in OPEN and each.outcome not in AGAIN
            for each in steps
        )

        async def organization(oid: str) -> None:
            async with limit:
                if trouble:
                    return
                try:
                    await self._organization(oid, by_oid[oid], name)
                except Closed as error:
                    closed.append(f"{self._name(oid)}: {error}")
                except (Away, Stopped, Halted, Lost, StoreError) as error:
                    trouble.append(error)

        async with together() as group:
            for oid in oids:
                group.create_task(organization(oid))
        if trouble:
            raise next((each for each in trouble if isinstance(each, Lost | Halted)), trouble[0])
        unknown = await asyncio.to_thread(self._unknown, number)
        if unknown:
            # No budget is for that, and no person can say it: the cloud has to.
            raise Away(f"What came of {unknown:,} steps nobody knows; they are looked at first next time.")
        if closed:
            more = f", and {len(closed) - 1:,} organizations more" if len(closed) > 1 else ""
            raise Closed(f"{closed[0]}{more}")
        verdict = await self._unless_stopped(self.gates.verdict(self.plan, number, baseline))
        verdict = await self._accepted(number, verdict)
        gate = {
            "baseline": dict(baseline), "verdict": verdict.word, "said": verdict.said,
            "checks": {check: dict(said) for check, said in verdict.checks.items()},
        }  # fmt: skip
        state = {"pass": "done", "fail": "failed"}.get(verdict.word, "gate")
        await asyncio.to_thread(
            self._write, lambda c: work.wave(c, self.plan.id, number, state, now=self.clock(), gate=gate)
        )
        return verdict

    async def _past(
        self, number: int, steps: list[Step], baseline: Mapping[str, Any] | None
    ) -> Verdict | None:
        """Why a wave does not begin over what its rules would have said before; None when it does."""
        if not any(each.outcome in OPEN or each.outcome in AGAIN for each in steps):
            return None
        word, said = await asyncio.to_thread(self._read, lambda c: backtests.verdict(c, self.plan.id, steps))
        if word == "pass":
            return None
        verdict = Verdict(word, said, {"backtest": {"verdict": word, "said": said}})
        if word == "inconclusive" and self.accept:
            await self._accepted(number, verdict)
            return None
        gate = {} if baseline is None else {"baseline": dict(baseline)}
        gate |= {"verdict": word, "said": said, "checks": {"backtest": dict(verdict.checks["backtest"])}}
        state = "failed" if word == "fail" else "gate"
        await asyncio.to_thread(
            self._write, lambda c: work.wave(c, self.plan.id, number, state, now=self.clock(), gate=gate)
        )
        return verdict

    async def _accepted(self, number: int, verdict: Verdict) -> Verdict:
        """What a person took for good where nobody can tell; one look, one wave."""
        accept, self.accept = self.accept, False
        if verdict.word != "inconclusive" or not accept:
            return verdict
        verdict = replace(verdict, word="pass", said=f"{verdict.said}; accepted by {self.operator}")
        detail = {"plan": self.plan.id, "wave": number, "said": verdict.said, "by": self.operator}
        await asyncio.to_thread(
            self._write,
            lambda c: journal.append(
                c, actor(), "rollout.accept", target=self.plan.title, detail=detail, now=self.clock()
            ),
        )
        return verdict

    async def _organization(self, oid: str, steps: list[Step], wave: str) -> None:
        waiting = [each for each in steps if each.outcome in OPEN or each.outcome in AGAIN]
        if not waiting:
            return
        if self._bad > self.options.budget:
            raise Halted(
                f"{self._bad:,} steps failed, and {self.options.budget:,} may; the organizations that are "
                "left were not touched."
            )
        if self.stop.is_set():
            raise Stopped

        def begin(c: Connection) -> tuple[str, str, dict[str, int]]:
            return (
                work.asked_to_pause(c, self.plan.id),
                held_back(c, oid, self.clock()),
                work.lease(c, self.plan.id, [oid], now=self.clock()),
            )

        self._pause_by, why, tokens = await asyncio.to_thread(self._write, begin)
        if self._pause_by:
            self.stop.set()
            raise Stopped
        if oid not in tokens:
            raise Closed("another rollout writes to it")
        if why and not any(each.outcome in ("sending", "unknown") for each in waiting):
            raise Closed(why)
        for step in sorted(waiting, key=_place):
            if self.stop.is_set():
                raise Stopped
            if why and step.outcome not in ("sending", "unknown"):
                raise Closed(why)
            await self._to_its_end(self._step(step, tokens[oid]))
            self._done += 1
            self._report(Progress(self._done, self._total, f"wave {wave}"))

    async def _to_its_end(self, step: Coroutine[Any, Any, None]) -> None:
        """Do a step; whoever cancels this waits until it is done, or for some seconds."""
        task = asyncio.create_task(step)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            self.stop.set()
            await asyncio.wait([task], timeout=STEP_WITHIN)
            if not task.done():
                task.cancel()
            elif not task.cancelled():
                task.exception()
            raise

    async def _unless_stopped(self, doing: Coroutine[Any, Any, Answer]) -> Answer:
        """What something comes to, if nobody asks to stop before.

        Raises:
            Stopped: somebody did.
        """
        task, stop = asyncio.create_task(doing), asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Stopped
            return task.result()
        finally:
            for each in (task, stop):
                each.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await each

    async def _rest(self, milliseconds: int) -> None:
        """Wait between two waves, as long as nobody asks to stop."""
        left = milliseconds / 1000
        while left > 0:
            self._report(Progress(self._done, self._total, "pause between waves", left))
            part = min(left, LOOK)
            await self._unless_stopped(asyncio.sleep(part))
            left -= part
            self._pause_by = await asyncio.to_thread(
                self._read, lambda c: work.asked_to_pause(c, self.plan.id)
            )
            if self._pause_by:
                raise Stopped

    def _name(self, oid: str) -> str:
        placed = self.placed.get(oid)
        return safe_text(placed.name, 60) if placed is not None else oid

    async def _step(self, step: Step, token: int) -> None:
        change = step.change
        handle = self.cloud.organization(change.oid)
        if change.after is not None and self.plan.undo_of is None and change.oid not in self.placed:
            await self._settle(step, "gone", "The organization is not in the tree any more.")
            return
        sent = step.intent is not None
        for turn in range(TURNS):
            try:
                current = await records.read(handle, change.section, change.name)
            except (Network, Auth) as error:
                raise Away(str(error)) from error
            except (Throttled, Unavailable, Protocol) as error:
                if turn < TURNS - 1:
                    await self._wait(error, turn)
                    continue
                await self._unreadable(step, sent, error)
                return
            except LimaCharlieError as error:
                await self._unreadable(step, sent, error)
                return
            if await self._is_done(step, current, sent=sent):
                await self._applied(step, current, "applied" if sent else "already")
                return
            if not self._is_as_planned(step, current) and not (sent and self._is_between(step, current)):
                await self._settle(
                    step,
                    "conflict",
                    "It is not what the plan saw: somebody changed it since."
                    + ("" if sent else " Nothing was sent."),
                )
                return
            if not self._is_still_wanted(step):
                await self._settle(
                    step,
                    "conflict",
                    "Templates or parameters want something else than the plan by now; plan again."
                    + ("" if sent else " Nothing was sent."),
                )
                return
            await asyncio.to_thread(self._intend, step, current, token)
            sent = True
            try:
                await self._send(step, current)
            except (Network, Auth) as error:
                raise Away(str(error)) from error
            except Throttled as error:
                await self._wait(error, turn)
                continue
            except (Ambiguous, Conflict):
                pass  # the reading below tells what came of it, or of an earlier one that was on its way
            except LimaCharlieError as error:
                await self._settle(step, _word(error), str(error))
                return
            try:
                after = await records.read(handle, change.section, change.name)
            except (Network, Auth) as error:
                raise Away(str(error)) from error
            except LimaCharlieError as error:
                if turn < TURNS - 1:
                    await self._wait(error, turn)
                    continue  # the reading at the beginning tells as well
                await self._unreadable(step, sent, error)
                return
            if await self._is_done(step, after, sent=True):
                await self._applied(step, after, "applied")
                return
            if self._is_as_planned(step, after) or self._is_between(step, after):
                continue  # it did not arrive
            await self._settle(step, "conflict", "It was sent, and is another one when read back.")
            return
        await self._settle(step, "failed", "LimaCharlie did not take it, however often it was asked.")

    async def _unreadable(self, step: Step, sent: bool, error: LimaCharlieError) -> None:
        if not sent:
            # A reading that meets a conflict is a failure: nobody has changed the record that it was about.
            word = "failed" if isinstance(error, Conflict) else _word(error)
            await self._settle(step, word, str(error))
            return
        # Not final: whoever carries on looks first.
        await self._settle(step, "unknown", f"It may have been sent and cannot be read back: {error}")

    async def _wait(self, error: LimaCharlieError, turn: int) -> None:
        if self.stop.is_set():
            raise Away(str(error)) from error
        await asyncio.sleep(min(error.retry_after or PATIENCE * 2.0**turn, 60.0))

    async def _send(self, step: Step, current: Current | None) -> None:
        change = step.change
        handle = self.cloud.organization(change.oid)
        if change.after is None:
            if current is not None:
                await records.remove(handle, change.section, change.name, current)
            return
        body, metadata = self._content(step)
        await records.write(handle, change.section, change.name, body, metadata, current)

    def _content(self, step: Step) -> tuple[Any, Mapping[str, Any] | None]:
        """What is to be written: what the templates say, or what there was before."""
        if self.plan.undo_of is None:
            return body_of(self.placed[step.change.oid], step.change.key)
        kept = self._before[step.change.oid, *step.change.key]
        return kept["body"], kept["metadata"] if step.change.section.startswith("hive/") else None

    def _is_still_wanted(self, step: Step) -> bool:
        """Whether templates and parameters say what they said when it was planned.

        A plan that is carried on with may be old, and nothing is sent that was not in it.
        """
        change, after = step.change, step.change.after
        if after is None or self.plan.undo_of is not None:
            return True
        try:
            body, metadata = self._content(step)
        except KeyError:
            return False
        said = None if metadata is None else normalised_metadata(metadata)
        return said == after.metadata and after.hash == wanted_hash(
            change.section, change.name, body, self.key
        )

    async def _is_done(self, step: Step, current: Current | None, *, sent: bool) -> bool:
        """Whether a record is as the plan wants it.

        Args:
            sent: it was sent, or may have been, by this process or by one before it.
        """
        if not self._is_wanted(step, current):
            return False
        if current is None or current.body is not None or not step.change.section.startswith("hive/"):
            return True
        # Nobody reads a secret back. That it is ours is told by its metadata, by an etag that is another one
        # than before, by who wrote it and by when.
        if not sent:
            return False
        etag, at = await asyncio.to_thread(self._read, lambda c: work.intended(c, self.plan.id, step.seq))
        if self._ident is None:
            try:
                self._ident = (await self.cloud.who()).ident
            except LimaCharlieError as error:
                raise Away(str(error)) from error
        return (
            current.etag != etag
            and current.author == self._ident
            and (not at or current.modified is None or current.modified >= at - SKEW)
        )

    def _is_between(self, step: Step, current: Current | None) -> bool:
        """Whether a record is in the middle of a change that takes two requests: an output is made anew."""
        change = step.change
        return change.section == "output" and current is None and None not in (change.before, change.after)

    def _is_wanted(self, step: Step, current: Current | None) -> bool:
        change, after = step.change, step.change.after
        if after is None or current is None:
            return after is None and current is None
        if change.section == "extension":
            return True
        if change.section == "resource":
            return self._is_still_wanted(step) and set(self._content(step)[0]) <= set(current.body)
        if current.body is not None and current.hash(change.section, change.name, self.key) != after.hash:
            return False
        if after.metadata is None or not change.section.startswith("hive/"):
            return True
        return dict(current.metadata) == dict(after.metadata)

    def _is_as_planned(self, step: Step, current: Current | None) -> bool:
        change, before = step.change, step.change.before
        if before is None or current is None:
            return before is None and current is None
        if before.etag and current.etag and before.etag != current.etag:
            return False
        if current.body is None or change.section == "extension":
            return True
        if change.section == "resource" and change.after is not None:
            return True  # names are only added
        return current.hash(change.section, change.name, self.key) == before.hash

    def _intend(self, step: Step, current: Current | None, token: int) -> None:
        change, now = step.change, self.clock()
        with self.store.writing() as c:
            work.must_hold(c, self.plan.id, self._me, change.oid, token)
            previous = ""
            if current is not None:
                previous = work.keep_body(
                    c,
                    {
                        "body": None
                        if current.body is None
                        else redact(change.section, current.body, self.key),
                        "metadata": dict(current.raw),
                        "etag": current.etag,
                    },
                )
            detail = {
                "plan": self.plan.id, "hash": self.plan.hash, "step": step.seq, "change": change.change,
                "record": change.what, "before": change.before.hash if change.before else None,
                "after": change.after.hash if change.after else None, "by": self.operator,
                "cloud_at": int((self.cloud.cloud_time() or 0) * 1000),
            }  # fmt: skip
            intent = journal.append(
                c, actor(), "rollout.intent", oid=change.oid, target=change.what, detail=detail, now=now
            )
            work.intend(c, self.plan.id, step.seq, intent, previous)

    async def _applied(self, step: Step, current: Current | None, outcome: str) -> None:
        change, now = step.change, self.clock()

        def write(c: Any) -> None:
            work.settle(c, self.plan.id, step.seq, outcome, now=now, etag=current.etag if current else "")
            if self.plan.undo_of is None or change.after is None:
                work.own(c, change, plan_id=self.plan.id, now=now)
            if change.section.startswith("hive/"):
                record = None
                if current is not None:
                    record = Record(
                        body={} if current.body is None else redact(change.section, current.body, self.key),
                        metadata=dict(current.raw),
                        etag=current.etag,
                    )
                ingest.put_record(c, change.oid, change.section, change.name, record, now=now)
            detail = {"plan": self.plan.id, "step": step.seq, "record": change.what, "outcome": outcome}
            journal.append(
                c, actor(), "rollout.result", oid=change.oid, target=change.what, detail=detail, now=now
            )

        await asyncio.to_thread(self._write, write)

    async def _settle(self, step: Step, outcome: str, error: str) -> None:
        change, now = step.change, self.clock()
        self._bad += 1

        def write(c: Any) -> None:
            work.settle(c, self.plan.id, step.seq, outcome, now=now, error=error)
            detail = {"plan": self.plan.id, "step": step.seq, "record": change.what, "outcome": outcome}
            detail["error"] = error
            journal.append(
                c, actor(), "rollout.result", oid=change.oid, target=change.what, detail=detail, now=now
            )

        await asyncio.to_thread(self._write, write)

    def _unknown(self, number: int) -> int:
        with self.store.reader.reading() as c:
            return sum(each.outcome == "unknown" for each in keeping.steps(c, self.plan.id, wave=number))

    def _failed(self, c: Any) -> list[tuple[str, str, str]]:
        return [
            (each.change.oid, each.change.what, each.error or each.outcome)
            for each in keeping.steps(c, self.plan.id)
            if each.outcome not in GOOD and each.outcome not in ("waiting", "sending")
        ]

    def _outcome(self, state: str, said: str) -> Outcome:
        with self.store.reader.reading() as c:
            steps = list(keeping.steps(c, self.plan.id))
            failed = self._failed(c)
        bad = {each.change.oid for each in steps if each.outcome not in GOOD}
        applied = len({each.change.oid for each in steps} - bad)
        return Outcome(self.plan.id, state, applied, tuple(failed), said)


def _place(step: Step) -> tuple[int, int, int]:
    """What gives before what takes, and what others refer to first."""
    section = step.change.section
    at = ORDER.index(section) if section in ORDER else ORDER.index("org_value")
    removal = step.change.change == "removed"
    return (removal, -at if removal else at, step.seq)


def _word(error: LimaCharlieError) -> str:
    if isinstance(error, Denied):
        return "denied"
    if isinstance(error, Gone):
        return "gone"
    if isinstance(error, Conflict):
        return "conflict"
    return "failed"
