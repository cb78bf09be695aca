"""How far a plan about access has come, written down.

Every function takes a connection of `Store.writing()`, which lets one write at a time. A process that applies
a plan holds it: whoever does not any more cannot say anything about its steps.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Table, select, update

from store import models
from store.accessplans import APPLYING, DRAFT, OUTCOMES, SENDING, WAITING
from store.bodies import storable
from store.holding import Held, Holding, Lost

__all__ = [
    "Held", "Lost", "applying", "beat", "finish", "intend", "intents", "release", "settle", "take",
]  # fmt: skip

_PLAN: Table = models.AccessPlan.__table__  # type: ignore[attr-defined]
_STEP: Table = models.AccessStep.__table__  # type: ignore[attr-defined]
_JOURNAL: Table = models.Journal.__table__  # type: ignore[attr-defined]


_HOLDING = Holding(_PLAN, APPLYING)


def applying(c: Connection) -> list[Held]:
    """The plans that are being applied or were cut off, the oldest first."""
    return _HOLDING.running(c)


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
    _HOLDING.take(c, plan_id, holder, was=mine, states=(DRAFT, APPLYING), operator=operator, now=now)
    return None


beat = _HOLDING.beat
release = _HOLDING.release
finish = _HOLDING.finish


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
