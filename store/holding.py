"""Plans and runs that one process at a time makes: who has one, and whether it is still there.

Every function takes a connection of `Store.writing()`, which lets one write at a time. Whoever does not hold
a row any more cannot say anything about it.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select, update

from store.bodies import storable
from store.processes import alive

LEASE = 300_000
"""Milliseconds without a sign after which another machine's process is taken for gone: far beyond any call's
deadline."""


@dataclass(frozen=True, slots=True)
class Held:
    """Something that is being made, or was when its process ended."""

    id: int
    title: str
    holder: str
    """"" when nobody has it."""
    beat_at: int
    """When its holder last said that it is there; milliseconds, UTC."""
    by: str
    """Who approved it."""


def is_there(holder: str, beat_at: int, now: int) -> bool:
    """Whether a process still makes what it holds.

    Args:
        holder: as `store.processes.holder` names it; "" is nobody.
        beat_at: when it last said that it is there; milliseconds, UTC, as `now`.
    """
    there = alive(holder) if holder else False
    return beat_at + LEASE > now if there is None else there


class Lost(Exception):
    """Another process holds it."""


class Holding:
    """The rows of one table that are held: columns id, title, state, holder, beat_at, approved_by,
    approved_at and finished_at."""

    def __init__(self, table: Table, running: int) -> None:
        """Args:
        running: the state of a row that is being made.
        """
        self._table, self._running = table, running

    def running(self, c: Connection) -> list[Held]:
        """What is being made or was cut off, the oldest first."""
        t = self._table.c
        rows = c.execute(
            select(t.id, t.title, t.holder, t.beat_at, t.approved_by)
            .where(t.state == self._running)
            .order_by(t.id)
        )
        return [Held(row.id, row.title, row.holder, row.beat_at or 0, row.approved_by) for row in rows]

    def take(
        self,
        c: Connection,
        row_id: int,
        holder: str,
        *,
        was: Held | None,
        states: tuple[int, ...],
        operator: str,
        now: int,
        **values: Any,
    ) -> None:
        """Take a row to make it.

        Args:
            was: the row as it was cut off; None when it begins, and `operator` approves it.
            states: the states from which it may be taken.
            values: what else is written into it.

        Raises:
            Lost: another process was faster.
        """
        t = self._table.c
        values |= {"state": self._running, "holder": holder, "beat_at": now}
        if was is None:
            values |= {"approved_by": storable(operator), "approved_at": now}
        taken = c.execute(
            update(self._table)
            .where(t.id == row_id, t.state.in_(states), t.holder == ("" if was is None else was.holder))
            .values(**values)
        ).rowcount
        if not taken:
            raise Lost

    def beat(self, c: Connection, row_id: int, holder: str, *, now: int) -> None:
        """Say that the process which holds it is there.

        Raises:
            Lost: it does not hold it any more.
        """
        self._mine(c, row_id, holder, beat_at=now)

    def finish(self, c: Connection, row_id: int, holder: str, state: int, *, now: int) -> None:
        """Say that it came to its end.

        Raises:
            Lost: another process holds it.
        """
        self._mine(c, row_id, holder, state=state, holder="", finished_at=now)

    def release(self, c: Connection, row_id: int, holder: str, **values: Any) -> None:
        """Give it back unfinished."""
        t = self._table.c
        c.execute(
            update(self._table).where(t.id == row_id, t.holder == holder).values(**values | {"holder": ""})
        )

    def _mine(self, c: Connection, row_id: int, by: str, **values: Any) -> None:
        t = self._table.c
        kept = c.execute(
            update(self._table)
            .where(t.id == row_id, t.state == self._running, t.holder == by)
            .values(**values)
        ).rowcount
        if not kept:
            raise Lost
