"""The steps of a run, made: many organizations at once, each of them in its order.

Every step is looked at, and what is so already is done. Anything else is written down, sent once, and looked
at again: only what a reading says has not happened is sent another time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

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
from console.limacharlie.limits import in_background
from console.operations.actor import actor
from console.operations.holding import Keeper
from console.operations.ports import Progress, Report
from store import ingest, journal
from store import runs as kept
from store.forgetting import HOLD
from store.queries.scopes import marked
from store.runs import GOOD, OPEN, Item, PlannedStep, Run, RunStep

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud, OrganizationHandle
    from store.database import Store

Result = TypeVar("Result")

AT_ONCE = 12
"""Organizations worked on at once; the credential's rate budget is kept below this."""
TOGETHER = 50
"""Steps of one verb that are looked at, and sent, behind one another between two readings."""
TRIES = 5
"""How often a step is sent whose outcome stayed unknown and which a reading then says was not made."""
TURNS = 4
"""How often a step is sent that LimaCharlie turns away for now, without having done anything."""
LOOKS = 3
"""How often the cloud is asked for what it may have done."""
PAUSE = 1.0
"""Seconds between two looks."""
TOLD = 0.1
"""Seconds between two reports of how far it has come."""

_AWAY = (Network, Auth)
"""Nobody can be asked: the run waits."""
_OUTCOMES: dict[type[LimaCharlieError], str] = {Denied: "denied", Gone: "gone", Conflict: "conflict"}


class StepFailed(Exception):
    """A verb says in its own words why a step cannot be, or was not, made."""

    outcome: ClassVar[str] = "failed"


class CannotBeKnown(StepFailed):
    """A verb says why nobody can tell whether a step is fulfilled."""

    outcome: ClassVar[str] = "unknown"


class Forbidden(StepFailed):
    """A mark of the organization forbids a step."""

    outcome: ClassVar[str] = "refused"


@dataclass(frozen=True)
class Seen:
    """What a look at a step found."""

    fulfilled: bool
    """Whether everything is as the step wants it."""
    fact: Any = None
    """What is there, JSON data: kept as `before` by the first look, and in the journal. Never a secret."""
    conflict: str = ""
    """Why it must be left alone as it stands, a sentence; "" when it may be sent."""
    made: Mapping[str, Any] | None = None
    """What is there that later steps need, such as {oid} or {iid}."""


@dataclass
class Work:
    """A step on its way, with all that a verb may need."""

    store: "Store"
    _cloud: "Cloud | None"
    run: Run
    item: Item
    step: RunStep
    operator: str
    clock: Callable[[], int]
    """Milliseconds, UTC."""
    key: Callable[[], bytes]
    """The installation's redaction key; raises `StepFailed` where it is not to be had."""
    keeper: Keeper
    before: Any = None
    """What the first look at the step found; None during that look."""
    outcome: str = "waiting"
    error: str = ""
    intent: int | None = None
    made: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""
    """Why nobody knows yet what came of it."""
    unsent: bool = False
    """It is certain that nothing came of what was intended: it was refused, or never sent."""
    first: bool = True
    """It was not intended before."""
    _row: "_Row | None" = None

    @property
    def oid(self) -> str:
        """The organization; "" as long as none is made."""
        return self._row.oid if self._row is not None else self.item.oid

    @property
    def name(self) -> str:
        """What the organization is called, or will be."""
        return self.item.name

    @property
    def options(self) -> Mapping[str, Any]:
        """The item's options."""
        return self.item.options

    @property
    def target(self) -> str:
        """On what in the organization."""
        return self.step.target

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Of the step."""
        return self.step.arguments

    @property
    def never_sent(self) -> bool:
        """Whether nothing but a try that was refused, or not reached the cloud, was ever made of it: what was
        sent in another life or another try may still arrive."""
        return self.first and not self.trouble

    @property
    def sent(self) -> bool:
        """Whether it was written down, and so perhaps sent."""
        return self.intent is not None

    @property
    def cloud(self) -> "Cloud":
        """LimaCharlie."""
        if self._cloud is None:
            raise Network("This session is offline.")
        return self._cloud

    @property
    def handle(self) -> "OrganizationHandle":
        """The organization in LimaCharlie.

        Raises:
            StepFailed: there is none yet.
        """
        if not self.oid:
            raise StepFailed("The organization is not there yet.")
        return self.cloud.organization(self.oid)

    def made_by(self, verb: str) -> Mapping[str, Any]:
        """What an earlier step of the item with this verb brought; empty when there is none."""
        if self._row is None:
            return {}
        found = [each.made for each in self._row.works if each.step.verb == verb and each.made]
        return found[-1] if found else {}

    async def once(self, name: str, read: Callable[[], Awaitable[Result]]) -> Result:
        """What a reading says, made once for all steps that are looked at together."""
        if self._row is None:
            return await read()
        return await self._row.once(name, read)

    async def write(self, write: Callable[[Connection], Result]) -> Result:
        """Write to the store, for a step that acts here: as long as the run is this process's."""
        return await self.keeper.write(write)


class Verb:
    """How one kind of step is made. Stateless; one instance for all runs."""

    name: ClassVar[str]
    """As in `store.runverbs.VERBS`."""
    here: ClassVar[bool] = False
    """It acts on the store alone, and needs no cloud."""
    together: ClassVar[bool] = False
    """Steps with it behind one another do not depend on each other: one reading (`Work.once`) is enough."""
    loses_data: ClassVar[bool] = False
    """Data of the organization are lost with it: it is not sent while the organization carries `HOLD`."""
    stale: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """{subject: sections} of what the store knows that is not so any more when it was made: see
    `store.ingest.mark_stale`. The next sync reads them."""

    async def check(self, work: Work) -> Seen:
        """Look whether a step is fulfilled. It changes nothing.

        Raises:
            LimaCharlieError: it cannot be read.
            StepFailed: it cannot be made, or nobody can tell.
        """
        raise NotImplementedError

    async def send(self, work: Work) -> Mapping[str, Any] | None:
        """Make it, once. What it answers is kept as `made`; `oid` of it becomes the item's.

        Raises:
            LimaCharlieError: as the client says; `Ambiguous` when nobody knows what came of it.
            StepFailed: it was not made.
        """
        raise NotImplementedError

    def keep(self, c: Connection, work: Work) -> None:
        """Write into the store what is so now, in the transaction that says that the step is done."""

    def undo(self, step: RunStep) -> PlannedStep | tuple[PlannedStep, ...] | None:
        """What takes a step back that a run made: `before` is what was there, `made` what it brought.

        Returns:
            One step, or several in their order; None when nothing takes it back.
        """
        del step
        return None


class Away(Exception):
    """The cloud is away; what was not sent waits."""


class _Row:
    """One item of a run on its way."""

    def __init__(self, item: Item, works: list[Work]) -> None:
        self.item, self.works, self.oid = item, works, item.oid
        self._readings: dict[str, Any] = {}

    async def once(self, name: str, read: Callable[[], Awaitable[Result]]) -> Result:
        if name not in self._readings:
            self._readings[name] = await read()
        found: Result = self._readings[name]
        return found

    def look_anew(self) -> None:
        self._readings.clear()


class Making:
    """Makes the steps of one run that this process holds."""

    def __init__(
        self,
        run: Run,
        steps: Iterable[RunStep],
        *,
        store: "Store",
        cloud: "Cloud | None",
        operator: str,
        holder: str,
        clock: Callable[[], int],
        key: Callable[[], bytes],
        verb: Callable[[str], Verb],
        report: Report | None = None,
        stop: asyncio.Event | None = None,
        pause: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        """Nothing is read or sent yet.

        Args:
            clock: milliseconds, UTC.
            stop: ends it behind the steps at hand, once it is set; what is left waits.
            pause: waits so many seconds.
        """
        self.run = run
        self.trouble = ""
        """Why not everything came to an end."""
        self._store, self._operator = store, operator
        self._clock, self._report, self._pause, self._verb = clock, report, pause, verb
        self._keeper = Keeper(store, lambda c: kept.HOLDING.beat(c, run.id, holder, now=clock()))
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._away = False
        self._stop = stop or asyncio.Event()
        self._told = 0.0
        by_item: dict[int, list[RunStep]] = {}
        for step in steps:
            by_item.setdefault(step.item, []).append(step)
        self.rows = []
        for item in run.items:
            row = _Row(item, [])
            row.works = [
                Work(
                    store, cloud, run, item, step, operator, clock, key, self._keeper, step.before,
                    step.outcome, step.error, step.intent, step.made, first=step.intent is None, _row=row,
                )
                for step in by_item.get(item.item, ())
            ]  # fmt: skip
            self.rows.append(row)
        self._total = sum(len(row.works) for row in self.rows)
        self._ended = sum(work.outcome not in OPEN for row in self.rows for work in row.works)

    @property
    def finished(self) -> bool:
        """Whether every step of every item that is not refused has come to its end."""
        return all(
            work.outcome not in OPEN for row in self.rows if row.item.state != "refused" for work in row.works
        )

    async def make(self) -> None:
        """Make everything that is not made yet.

        Raises:
            Lost: another process holds the run.
        """
        self._tell()
        # Cutting a machine off the network does not stand behind a thousand organizations.
        async with self._keeper.beating():
            with in_background():
                results = await asyncio.gather(
                    *(self._item(row) for row in self.rows), return_exceptions=True
                )
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in sorted(failures, key=lambda each: isinstance(each, Away)):
            if isinstance(failure, Away):
                self.trouble = str(failure)
                return
            raise failure

    # -- one organization -----------------------------------------------------------------------------------

    async def _item(self, row: _Row) -> None:
        if row.item.state in ("refused", "done", "partly", "failed"):
            return
        async with self._slots:
            if self._away or self._stop.is_set():
                return
            if why := await asyncio.to_thread(self._frozen, row):
                await self._keeper.write(
                    lambda c: kept.settle_item(c, self.run.id, row.item.item, "refused", reason=why)
                )
                row.item = _state(row.item, "refused", why)
                return
            await self._keeper.write(lambda c: kept.settle_item(c, self.run.id, row.item.item, "doing"))
            held = next((w for w in row.works if w.step.needed and w.outcome not in GOOD | OPEN), None)
            for unit in self._units(row.works):
                if held is not None:
                    await self._hold_back(unit, held)
                    continue
                if not self._stop.is_set():
                    await self._unit(row, unit)
                if any(work.outcome in OPEN for work in unit):
                    # It was stopped, or cannot be read at the moment: whoever carries on looks at it.
                    return
                held = next((w for w in unit if w.step.needed and w.outcome not in GOOD), None)
            await self._keeper.write(lambda c: self._end(c, row))

    def _frozen(self, row: _Row) -> str:
        if not row.oid:
            return ""
        with self._store.reader.reading() as c:
            if marked(c, "frozen", [row.oid]):
                return "The organization is frozen: nothing is changed in it while it has this mark."
        return ""

    def _units(self, works: Sequence[Work]) -> Iterable[list[Work]]:
        """Steps that are looked at together, those that have ended left out."""
        left = [work for work in works if work.outcome in OPEN]
        for name, group in groupby(left, key=lambda work: work.step.verb):
            same = list(group)
            size = TOGETHER if self._verb(name).together else 1
            for at in range(0, len(same), size):
                yield same[at : at + size]

    async def _hold_back(self, works: Sequence[Work], held: Work) -> None:
        for work in works:
            work.outcome, work.unsent = "held back", work.never_sent
            work.error = f"Not tried, for this was not done before: {held.step.words}."
        await self._record(works)

    def _end(self, c: Connection, row: _Row) -> None:
        bad = [work for work in row.works if work.outcome not in GOOD]
        good = len(row.works) - len(bad)
        state = "done" if not bad else "partly" if good else "failed"
        reason = f"{bad[0].step.words}: {bad[0].error or bad[0].outcome}" if bad else ""
        kept.settle_item(c, self.run.id, row.item.item, state, reason=reason)
        row.item = _state(row.item, state, reason)

    # -- steps that are looked at together ------------------------------------------------------------------

    async def _unit(self, row: _Row, works: list[Work]) -> None:
        verb = self._verb(works[0].step.verb)
        left = works
        for _ in range(TRIES):
            row.look_anew()
            left = await self._allowed(verb, await self._look(verb, left))
            if not left:
                return
            await self._intend(left)
            sent = await self._send(verb, left)
            left = await self._look_back(verb, row, sent)
            if not left or self._stop.is_set():
                return
        for work in left:
            work.outcome, work.error = "failed", work.trouble
        await self._record(left)

    async def _look(self, verb: Verb, works: list[Work]) -> list[Work]:
        """Look at each; answers those that are to be sent.

        Raises:
            Away: nobody can be asked at the moment.
        """
        settled = []
        for work in works:
            try:
                seen = await self._checked(verb, work)
            except StepFailed as error:
                work.outcome, work.error = error.outcome, str(error)
                settled.append(work)
                continue
            except LimaCharlieError as error:
                self._not_read(work, error)
                settled.append(work)
                continue
            if work.before is None and work.intent is None:
                work.before = seen.fact
            if seen.fulfilled:
                self._fulfilled(work, seen)
                settled.append(work)
            elif seen.conflict:
                work.outcome, work.error = "conflict", seen.conflict
                settled.append(work)
        await self._record(settled, verb)
        return [work for work in works if work not in settled]

    async def _allowed(self, verb: Verb, works: list[Work]) -> list[Work]:
        """These when no mark forbids them; otherwise none, and they come to their end, without an intent."""
        if not works:
            return works
        try:
            # They are all of one verb, and of one organization: what it carries, all of them do.
            await self._not_held(verb, works[0])
        except Forbidden as error:
            for work in works:
                work.outcome, work.error, work.unsent = error.outcome, str(error), work.never_sent
            await self._record(works)
            return []
        return works

    async def _not_held(self, verb: Verb, work: Work) -> None:
        """See that what loses data is not sent for an organization that is held, however it was planned.

        Raises:
            Forbidden: the organization carries the mark.
        """

        def held() -> bool:
            with self._store.reader.reading() as c:
                return bool(marked(c, HOLD, [work.oid]))

        if verb.loses_data and work.oid and await asyncio.to_thread(held):
            raise Forbidden(
                f"The organization carries the mark {HOLD}: what would lose data of it is not sent while it "
                "does."
            )

    async def _checked(self, verb: Verb, work: Work) -> Seen:
        """What a look finds; an answer that cannot be read, or none for now, is asked for again."""
        for look in range(LOOKS):
            try:
                return await verb.check(work)
            except (Protocol, Throttled, Unavailable) as error:
                if look + 1 == LOOKS:
                    raise
                await self._pause(error.retry_after or PAUSE * 2**look)
        raise AssertionError("unreachable")

    @staticmethod
    def _fulfilled(work: Work, seen: Seen) -> None:
        work.outcome, work.error = "already" if work.intent is None else "done", ""
        if seen.made is not None:
            work.made = {**work.made, **seen.made}

    def _not_read(self, work: Work, error: LimaCharlieError) -> None:
        """Nothing can be sent without having been looked at.

        Raises:
            Away: nobody can be asked at the moment.
        """
        if isinstance(error, _AWAY):
            self._away = True
            raise Away(str(error)) from error
        if work.intent is not None and not isinstance(error, Gone):
            work.outcome, work.error = "unknown", f"It cannot be read whether it was made: {error}"
        else:
            work.outcome = _outcome(error)
            work.error = str(error)

    async def _send(self, verb: Verb, works: list[Work]) -> list[Work]:
        """Send each once; answers those of which it has to be seen what became of them.

        Raises:
            Away: the cloud is away; what was not sent waits.
        """
        sent: list[Work] = []
        for at, work in enumerate(works):
            if at and self._stop.is_set():
                await self._wait(works[at:])
                break
            await self._keeper.still_ours()
            try:
                made = await self._sent(verb, work)
            except Ambiguous as error:
                work.trouble = str(error)
                sent.append(work)
                continue
            except StepFailed as error:
                work.outcome, work.error = error.outcome, str(error)
                work.unsent = work.never_sent
                await self._record([work], verb)
            except LimaCharlieError as error:
                if isinstance(error, _AWAY):
                    await self._put_back(works[at:], error)
                work.outcome, work.error = _outcome(error), str(error)
                work.unsent = work.never_sent
                await self._record([work], verb)
            else:
                work.trouble = ""
                if made is not None:
                    work.made = {**work.made, **made}
                sent.append(work)
                continue
            if work.step.needed and at + 1 < len(works):
                await self._hold_back(works[at + 1 :], work)
                break
        return sent

    async def _put_back(self, works: list[Work], error: LimaCharlieError) -> None:
        """The cloud was not reached: nothing of this was sent.

        Raises:
            Away: always.
        """
        self._away = True
        await self._wait(works, str(error))
        raise Away(str(error)) from error

    async def _wait(self, works: Sequence[Work], error: str = "") -> None:
        """Let wait what was intended and is not sent now."""
        for work in works:
            work.outcome, work.error, work.unsent = "waiting", error, work.never_sent
        await self._record(works)

    async def _sent(self, verb: Verb, work: Work) -> Mapping[str, Any] | None:
        """Send one step; what was turned away for now was not made, and waits for its turn."""
        for turn in range(TURNS):
            # As it stands now: between a look and its turn a step may have waited for long.
            await self._not_held(verb, work)
            try:
                return await verb.send(work)
            except (Throttled, Unavailable, Network, Protocol) as error:
                # Of a change it is `Network` only as long as nothing was sent; `Protocol` is of a reading
                # before it.
                turned_away: LimaCharlieError = error
                # For the rate the client itself holds everybody back until the cloud's pause is over.
                if not isinstance(error, Throttled) and turn + 1 < TURNS:
                    await self._pause(error.retry_after or PAUSE * 2**turn)
        raise turned_away

    async def _look_back(self, verb: Verb, row: _Row, works: list[Work]) -> list[Work]:
        """Look again at what was sent; answers what is known not to have been made, though nobody said so.

        Raises:
            Away: the cloud is away; it is looked at when the run is carried on.
        """
        left = works
        for look in range(LOOKS):
            if not left:
                return []
            if look:
                await self._pause(PAUSE)
            row.look_anew()
            settled = []
            for work in left:
                try:
                    seen = await self._checked(verb, work)
                except StepFailed as error:
                    work.outcome, work.error = error.outcome, str(error)
                    settled.append(work)
                except LimaCharlieError as error:
                    if isinstance(error, Denied | Gone) and not work.trouble:
                        # As after one's own access was taken: what was answered with success was made.
                        work.outcome, work.error = "done", f"It cannot be read back: {error}"
                    else:
                        self._not_read(work, error)
                    settled.append(work)
                else:
                    if seen.fulfilled:
                        self._fulfilled(work, seen)
                        settled.append(work)
            await self._record(settled, verb)
            left = [work for work in left if work not in settled]
        clear = [work for work in left if not work.trouble]
        for work in clear:
            work.outcome = "unknown"
            work.error = "LimaCharlie took it, and does not show it: look again before anything else."
        await self._record(clear, verb)
        return [work for work in left if work.trouble]

    # -- writing down ---------------------------------------------------------------------------------------

    async def _intend(self, works: Sequence[Work]) -> None:
        """Write down what is about to be sent, with what is there."""

        def write(c: Connection) -> list[int]:
            numbers = []
            for work in works:
                detail = {
                    "step": "intent", "run": self.run.id, "item": work.step.item, "seq": work.step.seq,
                    "by": self._operator, "before": work.before,
                }  # fmt: skip
                if work.intent is not None:
                    detail["again"] = work.intent
                number = self._journal(c, work, detail)
                kept.look(c, self.run.id, work.step, work.before)
                kept.intend(c, self.run.id, work.step, number)
                numbers.append(number)
            return numbers

        for work, number in zip(works, await self._keeper.write(write), strict=True):
            work.first = work.intent is None
            work.intent, work.outcome, work.error, work.unsent = number, "sending", "", False

    async def _record(self, works: Sequence[Work], verb: Verb | None = None) -> None:
        """Write down what came of steps."""

        def write(c: Connection) -> None:
            for work in works:
                if work.intent is None and work.before is not None:
                    kept.look(c, self.run.id, work.step, work.before)
                self._settle(c, work)
                if verb is None or work.outcome not in GOOD:
                    continue
                oid = str(work.made.get("oid", ""))
                if oid and not work.item.oid and work._row is not None:
                    work._row.oid = oid
                    kept.settle_item(c, self.run.id, work.step.item, "doing", oid=oid)
                verb.keep(c, work)
                if work.outcome == "done" and verb.stale and work.oid:
                    ingest.mark_stale(c, work.oid, verb.stale)

        if works:
            await self._keeper.write(write)
            self._ended += sum(work.outcome not in OPEN for work in works)
            self._tell()

    def _settle(self, c: Connection, work: Work) -> None:
        now = self._clock()
        kept.settle(
            c, self.run.id, work.step, work.outcome, now=now, error=work.error, made=work.made,
            unsent=work.unsent,
        )  # fmt: skip
        if work.intent is None or work.outcome == "sending":
            return
        detail: dict[str, Any] = {
            "step": "result", "intent": work.intent, "run": self.run.id, "item": work.step.item,
            "seq": work.step.seq, "outcome": work.outcome,
        }  # fmt: skip
        if work.error:
            detail["error"] = work.error
        if work.made:
            detail["made"] = dict(work.made)
        self._journal(c, work, detail)
        if work.unsent:
            work.intent = None

    def _journal(self, c: Connection, work: Work, detail: dict[str, Any]) -> int:
        action = f"run.{work.step.verb}"
        return journal.append(
            c, actor(), action, work.oid, f"{work.name}: {work.step.words}", detail, now=self._clock()
        )

    def _tell(self) -> None:
        if self._report is None:
            return
        moment = time.monotonic()
        if moment >= self._told + TOLD or self._ended == self._total:
            self._told = moment
            self._report(Progress(self._ended, self._total, "steps"))


def _outcome(error: LimaCharlieError) -> str:
    return next((name for kind, name in _OUTCOMES.items() if isinstance(error, kind)), "failed")


def _state(item: Item, state: str, reason: str) -> Item:
    return Item(item.item, item.oid, item.name, item.options, state, reason)
