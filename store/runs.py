"""Runs: what is to be done to many organizations, written down before it is begun, and how far it has come.

A run is kept from what was planned and is made exactly so, never worked out anew. Each item is one
organization, or one that a step of it makes; its steps are made in their order, and different items at once.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, and_, case, func, insert, select, update

from store import accessplans, models
from store.access import counted
from store.bodies import storable
from store.configuration import canonical
from store.holding import Held, Holding, Lost, is_there
from store.queries.scopes import marked
from store.runverbs import destructive, words
from store.text import Untrusted, safe_text

__all__ = [
    "Held", "Item", "Lost", "NothingToDo", "Planned", "PlannedItem", "PlannedStep", "Run", "RunError",
    "RunRow", "RunStep", "UnknownRun", "change_words", "keep", "listed", "load", "state_now",
    "steps", "words",
]  # fmt: skip

_RUN: Table = models.Run.__table__  # type: ignore[attr-defined]
_ITEM: Table = models.RunItem.__table__  # type: ignore[attr-defined]
_STEP: Table = models.RunStep.__table__  # type: ignore[attr-defined]

KINDS = ("bulk", "onboard", "offboard")

STATES = ("draft", "running", "done", "partly", "failed", "dropped")
DRAFT, RUNNING, DONE, PARTLY, FAILED, DROPPED = range(len(STATES))

CUT_OFF = "cut off"
"""What is said of a run that is `running` in the store and that no process makes."""

ITEM_STATES = ("waiting", "doing", "done", "partly", "failed", "refused")
"""refused: nothing was tried, for the organization may not be changed now; `reason` says why."""

OUTCOMES = (
    "waiting", "sending", "done", "already", "conflict", "denied", "gone", "failed", "held back", "unknown",
    "refused",
)  # fmt: skip
"""waiting: not sent. sending: written down, and perhaps sent. done: made by the run. already: it was so.
conflict: not as it has to be for this, and left alone. denied: the credential may not. gone: what it is about
is not there. held back: not tried, for what it needs failed. unknown: nobody can tell. refused: not sent, for
a mark of the organization forbids it."""
GOOD = frozenset(("done", "already"))
OPEN = frozenset(("waiting", "sending"))
AGAIN = frozenset(("conflict", "denied", "gone", "failed", "held back", "unknown", "refused"))
"""What is tried again when somebody resumes a run that has ended."""

GOOD_FOR = 3_600_000
"""Milliseconds for which a draft may be begun."""
UNASKED = 24 * 3_600_000
"""Milliseconds after its beginning for which a run that was cut off is carried on without being asked for."""
MOST = 200_000
"""Steps that one run may have."""

HELD = "held"
"""Option of an item: `{quota, used, unread}` as the store had them when a change of the quota was planned;
unread: the quota was never read, or the last reading of the organization failed."""

_PART = 500


class RunError(Exception):
    """A run cannot be; the text is the sentence for the operator."""


class NothingToDo(RunError):
    """Nothing is asked for."""


class UnknownRun(RunError):
    """The store knows no such run."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step that is to be made."""

    verb: str
    """Of `store.runverbs.VERBS`."""
    target: str = ""
    """On what in the organization; "" for the organization itself."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """JSON data; never a secret."""
    needed: bool = True
    """When it fails, what follows it in its item is held back."""


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One organization of a run that is to be kept."""

    oid: str
    """"" when a step of it makes the organization."""
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[PlannedStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """A run before it is kept."""

    kind: str
    """Of KINDS."""
    title: str
    items: tuple[PlannedItem, ...]
    source: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    undo_of: int | None = None


@dataclass(frozen=True, slots=True)
class RunStep:
    """One step of a run."""

    item: int
    seq: int
    verb: str
    target: str
    arguments: Mapping[str, Any]
    needed: bool = True
    before: Any = None
    """What was there when it was first looked at; None until then."""
    outcome: str = "waiting"
    """Of OUTCOMES."""
    error: str = ""
    intent: int | None = None
    """Number of the journal's entry from before it was sent."""
    made: Mapping[str, Any] = field(default_factory=dict)
    finished_at: int | None = None

    @property
    def words(self) -> Untrusted:
        """What it does."""
        return words(self.verb, self.target, self.arguments)


@dataclass(frozen=True, slots=True)
class Item:
    """One organization of a run."""

    item: int
    oid: str
    name: Untrusted
    options: Mapping[str, Any]
    state: str
    """Of ITEM_STATES."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as it is shown and made."""

    id: int
    kind: str
    title: str
    source: str
    state: str
    """Of STATES."""
    hash: str
    options: Mapping[str, Any]
    by: str
    created_at: int
    expires_at: int
    """Milliseconds, UTC: of a draft until when it may be begun, else until when it is carried on unasked."""
    items: tuple[Item, ...]
    verbs: Mapping[str, int]
    """How many steps each verb has."""
    left: Mapping[str, int]
    """The same of those that are not as they were wanted."""
    counts: Mapping[str, int]
    """How many steps came to what; only what occurs."""
    protected: tuple[tuple[str, Untrusted], ...] = ()
    """(oid, name) of those organizations that are protected now."""
    approved_by: str = ""
    approved_at: int | None = None
    finished_at: int | None = None
    holder: str = ""
    beat_at: int = 0
    """When its holder last said that it is there; milliseconds, UTC."""
    undo_of: int | None = None
    undone_by: int | None = None
    """The run that takes this one back, if any was begun."""

    @property
    def destructive(self) -> bool:
        """Whether something is taken, or tried again, that cannot be brought back."""
        return any(destructive(verb) for verb in self.left)

    @property
    def makes_many(self) -> bool:
        """Whether it is going to make several organizations, which nothing unmakes."""
        return self.kind == "onboard" and self.state == "draft" and len(self.items) > 1

    @property
    def named(self) -> tuple[tuple[str, Untrusted], ...]:
        """(oid, name) of the organizations that are not done, and for which something has to be typed."""
        left = {item.item: (item.oid, item.name) for item in self.items if item.state != "done"}
        if self.destructive or self.makes_many:
            return tuple(left.values())
        oids = {oid for oid, _ in left.values()}
        return tuple(each for each in self.protected if each[0] in oids)

    @property
    def phrase(self) -> str:
        """What has to be typed before it is begun or tried again: a name, how many they are, "" for nothing.

        Of what was cut off it was typed.
        """
        if self.state not in ("draft", "partly", "failed"):
            return ""
        if (self.destructive or self.makes_many) and len(self.named) > 1:
            return f"{len(self.named)} organizations"
        return accessplans.phrase(self.named)

    @property
    def or_id(self) -> str:
        """What may be typed instead, behind the phrase; "" for nothing."""
        return accessplans.or_id(self.named) if self.phrase else ""

    def confirmed(self, typed: str) -> bool:
        """Whether what was typed is what has to be."""
        if not self.phrase:
            return True
        if len(self.named) > 1:
            return typed.strip() == self.phrase
        return accessplans.confirmed(self.named, typed)

    @property
    def good(self) -> int:
        """Steps that are as they were wanted."""
        return sum(number for outcome, number in self.counts.items() if outcome in GOOD)

    @property
    def total(self) -> int:
        """All steps."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in a list."""

    id: int
    kind: str
    title: str
    source: str
    state: str
    by: str
    created_at: int
    expires_at: int
    finished_at: int | None
    items: int
    items_done: int
    """Items that are whole."""
    items_bad: int
    """Items that failed, are partly done, or were refused."""
    holder: str
    beat_at: int
    """As of a `Run`."""
    undo_of: int | None


def change_words(
    verb: str, target: str, arguments: Mapping[str, Any], options: Mapping[str, Any]
) -> Untrusted:
    """What a step does, with what is there now where the options of its item say that: `quota 40 -> 250`."""
    held = before_of(verb, options)
    if held is None:
        return words(verb, target, arguments)
    now = "unknown" if held["quota"] is None else f"{held['quota']:,}"
    used = f", {sensors(held['used'])} in use" if turns_away(verb, arguments, options) else ""
    return Untrusted(f"quota {now} -> {arguments['quota']:,}{used}")


def before_of(verb: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was there when a step was planned, as the options of its item say: of a quota `{quota, used}`,
    each None when it was never read. None where a plan says nothing of it."""
    held = options.get(HELD)
    return {"quota": held.get("quota"), "used": held.get("used")} if verb == "quota.set" and held else None


def turns_away(verb: str, arguments: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Whether more sensors were in use, when it was planned, than the new quota lets in."""
    used = (before_of(verb, options) or {}).get("used")
    return used is not None and used > arguments["quota"]


def sensors(number: float) -> str:
    """Weighted sensors in words: `312`, `12.5`."""
    return f"{number:,.1f}".removesuffix(".0")


def state_now(run: Run | RunRow, now: int) -> str:
    """How a run stands, of STATES, or `CUT_OFF`; `now` in milliseconds, UTC."""
    if run.state == STATES[RUNNING] and not is_there(run.holder, run.beat_at, now):
        return CUT_OFF
    return run.state


# Keeping


def keep(c: Connection, planned: Planned, *, by: str, now: int, good_for: int = GOOD_FOR) -> int:
    """Write a run down; its number. Nothing is done yet.

    Args:
        by: the operator.
        now: milliseconds, UTC.
        good_for: milliseconds until it is too old to be begun.

    Raises:
        NothingToDo: it has no item, or an item has no step.
        RunError: it is too large, or an organization is in it twice.
    """
    if not planned.items or any(not item.steps for item in planned.items):
        raise NothingToDo("There is nothing to do: no organization was chosen, or nothing for it.")
    if planned.kind not in KINDS:
        raise RunError(f"{planned.kind} is no kind of run.")
    oids = [item.oid for item in planned.items if item.oid]
    if len(set(oids)) != len(oids):
        raise RunError("An organization is in the list twice.")
    if sum(len(item.steps) for item in planned.items) > MOST:
        raise RunError(f"A run has at most {MOST:,} steps; choose fewer organizations.")
    numbered = list(enumerate(planned.items, 1))
    made = [
        RunStep(number, seq, step.verb, step.target, step.arguments, step.needed)
        for number, item in numbered
        for seq, step in enumerate(item.steps, 1)
    ]
    (run_id,) = c.execute(
        insert(_RUN)
        .values(
            kind=planned.kind, title=storable(planned.title), source=storable(planned.source), state=DRAFT,
            hash=hash_of([(n, i.oid, i.name, i.options) for n, i in numbered], made),
            options=dict(planned.options), by=storable(by), created_at=now, expires_at=now + good_for,
            approved_by="", holder="", undo_of=planned.undo_of,
        )
        .returning(_RUN.c.id)
    ).one()  # fmt: skip
    c.execute(
        insert(_ITEM),
        [
            {
                "run_id": run_id, "item": number, "oid": item.oid, "name": storable(item.name),
                "options": dict(item.options), "state": 0, "reason": "",
            }
            for number, item in numbered
        ],
    )  # fmt: skip
    c.execute(
        insert(_STEP),
        [
            {
                "run_id": run_id, "item": step.item, "seq": step.seq, "verb": step.verb,
                "target": storable(step.target), "arguments": dict(step.arguments), "needed": step.needed,
                "outcome": 0, "error": "", "made": {},
            }
            for step in made
        ],
    )  # fmt: skip
    return int(run_id)


def hash_of(items: Iterable[tuple[int, str, str, Mapping[str, Any]]], steps_: Iterable[RunStep]) -> str:
    """SHA-256 over items (number, oid, name, options) and their steps, as canonical JSON."""
    listed_ = [
        [[number, oid, storable(name), dict(options)] for number, oid, name, options in items],
        [
            [step.item, step.seq, step.verb, storable(step.target), dict(step.arguments), step.needed]
            for step in steps_
        ],
    ]
    return hashlib.sha256(canonical(listed_)).hexdigest()


# Reading


def load(c: Connection, run_id: int) -> Run:
    """A run as it is now, without its steps.

    Raises:
        UnknownRun: there is none of this number.
    """
    row = c.execute(select(_RUN).where(_RUN.c.id == run_id)).one_or_none()
    if row is None:
        raise UnknownRun(f"There is no run {run_id}; `limegrove org runs` lists them.")
    items_ = tuple(items(c, run_id))
    verbs: dict[str, int] = {}
    left: dict[str, int] = {}
    counts: dict[str, int] = {}
    grouped = (
        select(_STEP.c.verb, _STEP.c.outcome, func.count())
        .where(_STEP.c.run_id == run_id)
        .group_by(_STEP.c.verb, _STEP.c.outcome)
        .order_by(_STEP.c.verb)
    )
    for verb, outcome, number in c.execute(grouped):
        verbs[verb] = verbs.get(verb, 0) + number
        if OUTCOMES[outcome] not in GOOD:
            left[verb] = left.get(verb, 0) + number
        counts[OUTCOMES[outcome]] = counts.get(OUTCOMES[outcome], 0) + number
    undone = c.execute(
        select(_RUN.c.id)
        .where(_RUN.c.undo_of == run_id, _RUN.c.state.not_in((DRAFT, DROPPED)))
        .order_by(_RUN.c.id.desc())
        .limit(1)
    ).scalar()
    protected = marked(c, "protected", {item.oid for item in items_ if item.oid})
    return Run(
        id=row.id,
        kind=row.kind,
        title=row.title,
        source=row.source,
        state=STATES[row.state],
        hash=row.hash,
        options=row.options,
        by=row.by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        items=items_,
        verbs=verbs,
        left=left,
        counts={name: counts[name] for name in OUTCOMES if name in counts},
        protected=tuple(sorted(protected.items())),
        approved_by=row.approved_by,
        approved_at=row.approved_at,
        finished_at=row.finished_at,
        holder=row.holder,
        beat_at=row.beat_at or 0,
        undo_of=row.undo_of,
        undone_by=undone,
    )


def items(c: Connection, run_id: int) -> list[Item]:
    """The organizations of a run, in their order."""
    rows = c.execute(select(_ITEM).where(_ITEM.c.run_id == run_id).order_by(_ITEM.c.item))
    return [
        Item(row.item, row.oid, Untrusted(row.name), row.options, ITEM_STATES[row.state], row.reason)
        for row in rows
    ]


def steps(c: Connection, run_id: int, item: int | None = None, *, limit: int | None = None) -> list[RunStep]:
    """The steps of a run, or of one of its items, in their order."""
    chosen = select(_STEP).where(_STEP.c.run_id == run_id).order_by(_STEP.c.item, _STEP.c.seq).limit(limit)
    if item is not None:
        chosen = chosen.where(_STEP.c.item == item)
    return [_step(row) for row in c.execute(chosen)]


def _step(row: Any) -> RunStep:
    return RunStep(
        row.item, row.seq, row.verb, row.target, row.arguments, row.needed, row.before,
        OUTCOMES[row.outcome], row.error, row.intent, row.made, row.finished_at,
    )  # fmt: skip


def progress(c: Connection, run_id: int) -> dict[int, tuple[int, int]]:
    """(steps as they were wanted, all steps) of each item of a run."""
    good = func.sum(case((_STEP.c.outcome.in_([OUTCOMES.index(word) for word in GOOD]), 1), else_=0))
    chosen = select(_STEP.c.item, good, func.count()).where(_STEP.c.run_id == run_id).group_by(_STEP.c.item)
    return {item: (int(done or 0), int(total)) for item, done, total in c.execute(chosen)}


def failures(c: Connection, run_id: int, *, limit: int | None = None) -> list[tuple[Untrusted, RunStep]]:
    """(organization's name, step) of what did not come to be as it was wanted, in their order."""
    chosen = (
        select(_STEP, _ITEM.c.name)
        .join(_ITEM, and_(_ITEM.c.run_id == _STEP.c.run_id, _ITEM.c.item == _STEP.c.item))
        .where(_STEP.c.run_id == run_id, _STEP.c.outcome.in_([OUTCOMES.index(word) for word in AGAIN]))
        .order_by(_STEP.c.item, _STEP.c.seq)
        .limit(limit)
    )
    return [(Untrusted(row.name), _step(row)) for row in c.execute(chosen)]


def listed(
    c: Connection, *, limit: int = 50, before: int | None = None, kinds: Collection[str] = ()
) -> list[RunRow]:
    """The latest runs, the last first; those that were put away before they were begun are left out.

    Args:
        before: only those with a lower number: the last of the page before.
        kinds: of KINDS; all when empty.
    """
    chosen = select(_RUN).where(_RUN.c.state != DROPPED).order_by(_RUN.c.id.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(_RUN.c.id < before)
    if kinds:
        chosen = chosen.where(_RUN.c.kind.in_(list(kinds)))
    rows = c.execute(chosen).all()
    whole = func.sum(case((_ITEM.c.state == ITEM_STATES.index("done"), 1), else_=0))
    bad = func.sum(case((_ITEM.c.state > ITEM_STATES.index("done"), 1), else_=0))
    counts = {
        row[0]: (int(row[1]), int(row[2] or 0), int(row[3] or 0))
        for row in c.execute(
            select(_ITEM.c.run_id, func.count(), whole, bad)
            .where(_ITEM.c.run_id.in_([row.id for row in rows]))
            .group_by(_ITEM.c.run_id)
        )
    }
    return [
        RunRow(
            row.id, row.kind, row.title, row.source, STATES[row.state], row.by, row.created_at,
            row.expires_at, row.finished_at, *counts.get(row.id, (0, 0, 0)), row.holder, row.beat_at or 0,
            row.undo_of,
        )
        for row in rows
    ]  # fmt: skip


def drop(c: Connection, run_id: int, *, now: int) -> bool:
    """Put a draft away; False when it is no draft any more."""
    return bool(
        c.execute(
            update(_RUN)
            .where(_RUN.c.id == run_id, _RUN.c.state == DRAFT)
            .values(state=DROPPED, finished_at=now)
        ).rowcount
    )


# Making


HOLDING = Holding(_RUN, RUNNING)
"""Who makes a run."""


def running(c: Connection) -> list[tuple[Held, int]]:
    """(run, until when it is carried on unasked) of what is being made or was cut off, the oldest first."""
    chosen = select(_RUN.c.id, _RUN.c.expires_at).where(_RUN.c.state == RUNNING)
    until = {row.id: row.expires_at for row in c.execute(chosen)}
    return [(held, until[held.id]) for held in HOLDING.running(c)]


def take(
    c: Connection,
    run: Run,
    holder: str,
    *,
    operator: str,
    now: int,
    is_live: Callable[[Held], bool],
    asked: bool = True,
) -> Held | None:
    """Take a run to make it, unless one that is being made is about one of its organizations.

    What ended with failures is open again: what was not made is tried once more.

    Args:
        asked: whether somebody asked for it; only from then on it is carried on unasked for another while.

    Returns:
        The run that is in the way; None when it was taken.

    Raises:
        Lost: another process was faster, or it cannot be begun.
    """
    live = {}
    mine = None
    for held in HOLDING.running(c):
        if held.id == run.id:
            mine = held
        if held.holder and is_live(held):
            live[held.id] = held
    if run.id in live:
        return live[run.id]
    if live:
        # New organizations are told apart by their names, which the cloud keeps unique.
        taken = {
            key: row.run_id
            for row in c.execute(
                select(_ITEM.c.run_id, _ITEM.c.oid, _ITEM.c.name).where(_ITEM.c.run_id.in_(list(live)))
            )
            for key in ([row.oid] if row.oid else [f"name:{row.name.casefold()}"])
        }
        for item in run.items:
            key = item.oid or f"name:{item.name.casefold()}"
            if key in taken:
                return live[taken[key]]
    until = {"expires_at": now + UNASKED} if asked else {}
    HOLDING.take(
        c, run.id, holder, was=mine, states=(DRAFT, RUNNING, PARTLY, FAILED), operator=operator, now=now,
        finished_at=None, **until,
    )  # fmt: skip
    if run.state in ("partly", "failed"):
        again = (_STEP.c.run_id == run.id, _STEP.c.outcome.in_([OUTCOMES.index(word) for word in AGAIN]))
        # What may have been made keeps its intent and what was there before it; anything else begins anew.
        c.execute(update(_STEP).where(*again, _STEP.c.intent.is_(None)).values(before=None))
        c.execute(update(_STEP).where(*again).values(outcome=0, error="", finished_at=None))
        c.execute(
            update(_ITEM)
            .where(_ITEM.c.run_id == run.id, _ITEM.c.state > ITEM_STATES.index("done"))
            .values(state=0, reason="")
        )
    return None


def wait_to_be_asked(c: Connection, run_id: int, *, now: int) -> bool:
    """Let nobody carry on unasked with a run that nobody holds; False when it is none such."""
    return bool(
        c.execute(
            update(_RUN)
            .where(_RUN.c.id == run_id, _RUN.c.state == RUNNING, _RUN.c.holder == "")
            .values(expires_at=now)
        ).rowcount
    )


def look(c: Connection, run_id: int, step: RunStep, before: Any) -> None:
    """Keep what was there when a step was first looked at."""
    c.execute(update(_STEP).where(*_is(run_id, step), _STEP.c.intent.is_(None)).values(before=before))


def intend(c: Connection, run_id: int, step: RunStep, intent: int) -> None:
    """Say that a step is about to be sent; `intent` is the number of the journal's entry."""
    c.execute(
        update(_STEP).where(*_is(run_id, step)).values(outcome=OUTCOMES.index("sending"), intent=intent)
    )


def settle(
    c: Connection,
    run_id: int,
    step: RunStep,
    outcome: str,
    *,
    now: int,
    error: str = "",
    made: Mapping[str, Any] | None = None,
    unsent: bool = False,
) -> None:
    """Say what came of a step; `waiting` puts back what was not sent after all.

    Args:
        unsent: whatever was intended, it is certain that nothing came of it.
    """
    values: dict[str, Any] = {
        "outcome": OUTCOMES.index(outcome),
        "error": storable(error),
        "finished_at": None if outcome in OPEN else now,
    }
    if made is not None:
        values["made"] = dict(made)
    if unsent:
        values["intent"] = None
    c.execute(update(_STEP).where(*_is(run_id, step)).values(**values))


def settle_item(
    c: Connection, run_id: int, item: int, state: str, *, reason: str = "", oid: str | None = None
) -> None:
    """Say how far an item has come.

    Args:
        state: of ITEM_STATES.
        oid: of the organization that was made for it; None leaves what is there.
    """
    values: dict[str, Any] = {"state": ITEM_STATES.index(state), "reason": storable(reason)}
    if oid is not None:
        values["oid"] = oid
    c.execute(update(_ITEM).where(_ITEM.c.run_id == run_id, _ITEM.c.item == item).values(**values))


def _is(run_id: int, step: RunStep) -> tuple[Any, ...]:
    return (_STEP.c.run_id == run_id, _STEP.c.item == step.item, _STEP.c.seq == step.seq)


def sentence(run: Run, failed: Sequence[tuple[str, RunStep]], trouble: str = "") -> str:
    """What a run came to, in a line; safe to show.

    Args:
        failed: as `failures` has it.
        trouble: why it was cut off.
    """
    whole = sum(item.state == "done" for item in run.items)
    parts = [f"{whole:,} of {counted(len(run.items), 'organization')} done"]
    for state in ("partly", "failed", "refused"):
        number = sum(item.state == state for item in run.items)
        if number:
            parts.append(f"{number:,} {state}")
    done, already = run.counts.get("done", 0), run.counts.get("already", 0)
    parts.append(f"{counted(done, 'step')} made")
    if already:
        parts.append(f"{already:,} already so")
    text = f"Run {run.id}: {', '.join(parts)}."
    if failed:
        name, step = failed[0]
        why = safe_text(step.error, 200) or step.outcome
        text += f" {safe_text(name, 60)}, {safe_text(step.words, 120)}: {why}"
        text += f" (and {len(failed) - 1:,} more)" if len(failed) > 1 else ""
    elif refused := [item for item in run.items if item.state == "refused"]:
        text += f" {safe_text(refused[0].name, 60)}: {safe_text(refused[0].reason, 200)}"
    if trouble:
        text += f" It was cut off: {safe_text(trouble, 240)}"
    return text
