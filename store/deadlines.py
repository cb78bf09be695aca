"""Changes of access that have a time: written down at once, made by whoever is there when it has come.

A deadline is taken by one process with a compare-and-set before anything is sent, and stays open until what
it wants is so: a try that fails is repeated, ever more slowly, and is never dropped.

Times are those of the machine's clock. A clock that was set back would let everything last longer, so the
latest time that a machine saw is kept (`note_time`), and what it was set back by is taken from each deadline.

Functions that write take a connection of `Store.writing()`.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, and_, func, insert, or_, select, true, update

from store import models, preferences
from store.accesschanges import AccessChange, ordered
from store.bodies import storable
from store.journal import append

WAITING, TAKEN, DONE, CALLED_OFF = range(4)
STATES: Final[tuple[str, ...]] = ("waiting", "being made", "done", "called off")
"""What `AccessDeadline.state` holds."""

FIRST_PAUSE: Final = 5_000
LONGEST_PAUSE: Final = 300_000
"""Milliseconds between two tries: doubled each time, from the first to the longest."""

NOTED_EVERY: Final = 60_000
"""How far the clock goes on before it is written down again: so much can be gained across processes by
setting it back, and nothing within one (`console.operations.deadlines` remembers each look)."""
JITTER: Final = 1_000
"""A clock that is put right by less is no clock that was set back."""

_DEADLINE: Table = models.AccessDeadline.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Deadline:
    """A row of `access_deadline`."""

    id: int
    kind: str
    title: str
    changes: tuple[AccessChange, ...]
    by: str
    made_at: int
    due_at: int
    state: int
    outcome: str
    tries: int
    next_at: int
    reason: str
    holder: str
    taken_at: int | None
    finished_at: int | None
    finished_by: str

    @property
    def open(self) -> bool:
        """Whether it has still to be made."""
        return self.state in (WAITING, TAKEN)


def put(
    connection: Connection,
    kind: str,
    due_at: int,
    changes: Iterable[AccessChange],
    *,
    title: str,
    by: str,
    now: int,
) -> int:
    """Write down what is to be made, and when; answers its id.

    Args:
        kind: `break-glass`, `rotation`, ...
        due_at: ms, UTC.
        title: what it is, in words.
        by: the operator who asks for it.

    Raises:
        ValueError: there is nothing to make.
    """
    wanted = ordered(changes)
    if not wanted:
        raise ValueError("a deadline without a change")
    # From here on it is known how late it was: a clock that is set back before anybody looks is noticed too.
    note_time(connection, host(), now)
    made = connection.execute(
        insert(_DEADLINE).values(
            kind=kind, title=storable(title), changes=[asdict(each) for each in wanted], by=storable(by),
            made_at=now, due_at=due_at, state=WAITING, outcome="", tries=0, next_at=0, reason="", holder="",
            taken_at=None, finished_at=None, finished_by="",
        )
    )  # fmt: skip
    key = made.inserted_primary_key
    assert key is not None  # noqa: S101  (an insert of one row has one)
    return int(key[0])


def get(connection: Connection, deadline_id: int) -> Deadline | None:
    """One of them."""
    row = connection.execute(select(_DEADLINE).where(_DEADLINE.c.id == deadline_id)).one_or_none()
    return None if row is None else _deadline(row)


def waiting(connection: Connection, *, kind: str = "") -> list[Deadline]:
    """Those that have still to be made, the next one first."""
    rows = connection.execute(
        select(_DEADLINE)
        .where(_DEADLINE.c.state < DONE, _DEADLINE.c.kind == kind if kind else true())
        .order_by(_DEADLINE.c.due_at, _DEADLINE.c.id)
    )
    return [_deadline(row) for row in rows]


def overdue(connection: Connection, now: int) -> list[Deadline]:
    """Those whose time has passed and that have still to be made."""
    return [each for each in waiting(connection) if each.due_at <= now]


def take(connection: Connection, deadline: Deadline, holder: str, *, now: int) -> bool:
    """Make it this process's to carry out; False when another one was faster, or it is over.

    Args:
        deadline: as it was read: waiting, or taken by a process of which it is known that it is gone.
    """
    taken = connection.execute(
        update(_DEADLINE)
        .where(
            _DEADLINE.c.id == deadline.id,
            _DEADLINE.c.state == deadline.state,
            _DEADLINE.c.holder == deadline.holder,
            _DEADLINE.c.tries == deadline.tries,
            _DEADLINE.c.due_at == deadline.due_at,
            _DEADLINE.c.state < DONE,
        )
        .values(state=TAKEN, holder=holder, taken_at=now)
    )
    return taken.rowcount == 1


def failed(connection: Connection, deadline_id: int, holder: str, reason: str, *, now: int) -> None:
    """Note that a try came to nothing, and when the next one is."""
    row = connection.execute(
        select(_DEADLINE).where(
            _DEADLINE.c.id == deadline_id, _DEADLINE.c.state == TAKEN, _DEADLINE.c.holder == holder
        )
    ).one_or_none()
    if row is None:
        return
    pause = min(FIRST_PAUSE * 2 ** min(row.tries, 10), LONGEST_PAUSE)
    connection.execute(
        update(_DEADLINE)
        .where(_DEADLINE.c.id == deadline_id)
        .values(
            state=WAITING, holder="", taken_at=None, tries=row.tries + 1, next_at=now + pause,
            reason=storable(reason),
        )
    )  # fmt: skip
    if reason != row.reason:
        append(
            connection,
            "limegrove",
            "deadline.failed",
            target=row.title,
            detail={"deadline": deadline_id, "kind": row.kind, "due_at": row.due_at, "reason": reason},
            now=now,
        )


def finished(
    connection: Connection, deadline_id: int, holder: str, outcome: str, *, by: str, now: int
) -> bool:
    """Note that what was wanted is so; False when it is not this process's any more.

    Args:
        outcome: `done`, or `already` when it was so without us.
        by: the operator under whom it was made.
    """
    changed = connection.execute(
        update(_DEADLINE)
        .where(_DEADLINE.c.id == deadline_id, _DEADLINE.c.state == TAKEN, _DEADLINE.c.holder == holder)
        .values(state=DONE, outcome=outcome, reason="", finished_at=now, finished_by=storable(by))
    )
    return changed.rowcount == 1


def call_off(connection: Connection, deadline_id: int, *, by: str, now: int) -> bool:
    """Take it back; False when somebody is making it, or it is over."""
    changed = connection.execute(
        update(_DEADLINE)
        .where(_DEADLINE.c.id == deadline_id, _DEADLINE.c.state == WAITING)
        .values(state=CALLED_OFF, finished_at=now, finished_by=storable(by))
    )
    return changed.rowcount == 1


def move(connection: Connection, deadline_id: int, due_at: int) -> bool:
    """Give it another time, and try at once when that has come; False when it is being made, or over."""
    changed = connection.execute(
        update(_DEADLINE)
        .where(_DEADLINE.c.id == deadline_id, _DEADLINE.c.state == WAITING)
        .values(due_at=due_at, next_at=0)
    )
    return changed.rowcount == 1


def host() -> str:
    """This machine, whose clock is meant."""
    return os.uname().nodename


def seen_time(connection: Connection, machine: str) -> int:
    """The latest time that a machine's clock showed, as far as it was written down; 0 for never."""
    found = preferences.get(connection, f"clock.{machine}", 0)
    return found if isinstance(found, int) else 0


def note_time(connection: Connection, machine: str, now: int, latest: int = 0) -> int:
    """Write down what a machine's clock shows; answers by how much it was set back (ms), 0 for not at all.

    What is open is then due so much earlier, and tried again so much earlier.

    Args:
        latest: the latest time that the caller saw itself.
    """
    seen = max(seen_time(connection, machine), latest)
    back = seen - now
    if back > JITTER:
        connection.execute(
            update(_DEADLINE)
            .where(_DEADLINE.c.state < DONE)
            .values(due_at=_DEADLINE.c.due_at - back, next_at=_DEADLINE.c.next_at - back)
        )
        append(
            connection,
            "limegrove",
            "clock.set_back",
            target=machine,
            detail={"by_ms": back, "open": _open(connection)},
            now=now,
        )
        preferences.put(connection, f"clock.{machine}", now)
        return back
    preferences.put(connection, f"clock.{machine}", max(now, seen))
    return 0


def _open(connection: Connection) -> int:
    counted = select(func.count()).select_from(_DEADLINE).where(_DEADLINE.c.state < DONE)
    return int(connection.execute(counted).scalar_one())


def possible(connection: Connection, now: int) -> list[Deadline]:
    """Those that may be made now: due and not held back, or taken by a process that may be gone."""
    rows = connection.execute(
        select(_DEADLINE)
        .where(
            or_(
                and_(_DEADLINE.c.state == WAITING, _DEADLINE.c.due_at <= now, _DEADLINE.c.next_at <= now),
                _DEADLINE.c.state == TAKEN,
            )
        )
        .order_by(_DEADLINE.c.due_at, _DEADLINE.c.id)
    )
    return [_deadline(row) for row in rows]


def _deadline(row: Any) -> Deadline:
    return Deadline(
        id=row.id, kind=row.kind, title=row.title, changes=_changes(row.changes), by=row.by,
        made_at=row.made_at, due_at=row.due_at, state=row.state, outcome=row.outcome, tries=row.tries,
        next_at=row.next_at, reason=row.reason, holder=row.holder, taken_at=row.taken_at,
        finished_at=row.finished_at, finished_by=row.finished_by,
    )  # fmt: skip


def _changes(stored: Sequence[dict[str, Any]]) -> tuple[AccessChange, ...]:
    return tuple(AccessChange(**each) for each in stored)
