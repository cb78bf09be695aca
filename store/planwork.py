"""How far a plan about access has come, written down.

Every function takes a connection of `Store.writing()`, which lets one write at a time. A process that applies
a plan holds it: whoever does not any more cannot say anything about its steps.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select, update

from store import models
from store.accessplans import APPLYING, DRAFT, OUTCOMES, SENDING, WAITING
from store.bodies import storable

_PLAN: Table = models.AccessPlan.__table__  # type: ignore[attr-defined]
_STEP: Table = models.AccessStep.__table__  # type: ignore[attr-defined]
_JOURNAL: Table = models.Journal.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Held:
    """A plan that is being applied, or was when its process ended."""

    id: int
    title: str
    holder: str
    """"" when nobody has it."""
    beat_at: int
    """When its holder last said that it is there; milliseconds, UTC."""
    by: str
    """Who approved it."""


class Lost(Exception):
    """Another process holds the plan."""


def applying(c: Connection) -> list[Held]:
    """The plans that are being applied or were cut off, the oldest first."""
    rows = c.execute(select(_PLAN).where(_PLAN.c.state == APPLYING).order_by(_PLAN.c.id))
    return [Held(row.id, row.title, row.holder, row.beat_at or 0, row.approved_by) for row in rows]


def take(
    c: Connection, plan_id: int, holder: str, *, operator: str, now: int, is_live: Callable[[Held], bool]
) -> Held | None:
    """Take a plan to apply it, if no process that is there applies any.

    Args:
        is_live: whether the holder of a plan is there.

    Returns:
        The plan that is being applied instead; None when it was taken.
    """
    mine = None
    for held in applying(c):
        if held.holder and is_live(held):
            return held
        if held.id == plan_id:
            mine = held
    values: dict[str, Any] = {"state": APPLYING, "holder": holder, "beat_at": now}
    if mine is None:
        values |= {"approved_by": storable(operator), "approved_at": now}
    taken = c.execute(
        update(_PLAN)
        .where(
            _PLAN.c.id == plan_id,
            _PLAN.c.state.in_((DRAFT, APPLYING)),
            _PLAN.c.holder == ("" if mine is None else mine.holder),
        )
        .values(**values)
    ).rowcount
    if not taken:
        raise Lost
    return None


def beat(c: Connection, plan_id: int, holder: str, *, now: int) -> None:
    """Say that the process which holds a plan is there.

    Raises:
        Lost: it does not hold it any more.
    """
    kept = c.execute(
        update(_PLAN)
        .where(_PLAN.c.id == plan_id, _PLAN.c.state == APPLYING, _PLAN.c.holder == holder)
        .values(beat_at=now)
    ).rowcount
    if not kept:
        raise Lost


def release(c: Connection, plan_id: int, holder: str) -> None:
    """Give a plan back that is not finished."""
    c.execute(update(_PLAN).where(_PLAN.c.id == plan_id, _PLAN.c.holder == holder).values(holder=""))


def finish(c: Connection, plan_id: int, holder: str, state: int, *, now: int) -> None:
    """Say that a plan came to its end.

    Raises:
        Lost: another process holds it.
    """
    done = c.execute(
        update(_PLAN)
        .where(_PLAN.c.id == plan_id, _PLAN.c.state == APPLYING, _PLAN.c.holder == holder)
        .values(state=state, holder="", finished_at=now)
    ).rowcount
    if not done:
        raise Lost


def intend(c: Connection, plan_id: int, seq: int, intent: int) -> None:
    """Say that a step is about to be sent; `intent` is the number of the journal's entry."""
    c.execute(
        update(_STEP)
        .where(_STEP.c.plan_id == plan_id, _STEP.c.seq == seq)
        .values(outcome=SENDING, intent=intent)
    )


def settle(
    c: Connection, plan_id: int, seq: int, outcome: str, *, now: int, error: str = "", made: str = ""
) -> None:
    """Say what came of a step; `waiting` puts back what was not sent after all."""
    number = OUTCOMES.index(outcome)
    values: dict[str, Any] = {"outcome": number, "error": storable(error), "made": storable(made)}
    values["finished_at"] = None if number in (WAITING, SENDING) else now
    if number == WAITING:
        values["intent"] = None
    c.execute(update(_STEP).where(_STEP.c.plan_id == plan_id, _STEP.c.seq == seq).values(**values))


def intents(c: Connection, numbers: Collection[int]) -> dict[int, Mapping[str, Any]]:
    """What was written down before steps were sent, by the number of the journal's entry."""
    rows = c.execute(select(_JOURNAL.c.seq, _JOURNAL.c.detail).where(_JOURNAL.c.seq.in_(list(numbers))))
    return {row.seq: row.detail for row in rows}
