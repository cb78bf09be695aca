"""Filter lines with a name, and how many alerts came to each since somebody looked at it."""

import re
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from store import models
from store.alerts import AlertFilter, FilterError, parse_filter
from store.bodies import storable
from store.errors import StoreError
from store.queries import alerts
from store.text import Untrusted

NAME = re.compile(r"[^\W_][\w.-]{0,39}")
"""What a queue may be called: one word, so that `:queue NAME` needs no quotes."""
UNREAD = 999
"""Where counting stops: more than this nobody reads one by one."""
LOOKED_THROUGH = 2_000
"""New alerts that are looked through for each queue, the newest ones."""
MOST = 100
"""Queues of one store."""
LONGEST = 2_000
"""Characters of a line."""

_Q: Table = models.SavedQueue.__table__  # type: ignore[attr-defined]
_L: Table = models.QueueLook.__table__  # type: ignore[attr-defined]
_D: Table = models.Detection.__table__  # type: ignore[attr-defined]


class QueueError(StoreError):
    """What cannot be done with a saved queue; the text says why, and nothing was changed."""


@dataclass(frozen=True, slots=True)
class SavedQueue:
    """One of them, as one operator sees it."""

    name: Untrusted
    line: Untrusted
    scope: str
    by: Untrusted
    at: int
    looked_at: int | None
    """When this operator looked at it last (ms); None when never."""
    unread: int = 0
    more: bool = False
    """There are more unread ones than were counted."""
    wrong: str = ""
    """Why the line means nothing any more; "" when it does."""

    @property
    def count(self) -> str:
        """`12`, or `999+`."""
        return f"{self.unread:,}{'+' if self.more else ''}"


def save(c: Connection, name: str, line: str, *, scope: str = "", by: str, now: int) -> bool:
    """Keep a line under a name; whether there was none of that name before.

    Args:
        scope: id of a tree node that it is limited to; "" follows the scope that one is in.

    Raises:
        QueueError: the name cannot be one, or there are too many.
        FilterError: the line means nothing.
    """
    if NAME.fullmatch(name) is None:
        raise QueueError("A queue's name is one word of at most 40 letters, digits, dots and dashes.")
    if len(line) > LONGEST:
        raise QueueError(f"The line has {len(line):,} characters; at most {LONGEST:,}.")
    parse_filter(line, now=now, me=by)
    values = {"line": storable(line.strip()), "scope": scope, "by": storable(by), "at": now}
    if c.execute(update(_Q).where(_Q.c.name == name).values(**values)).rowcount:
        return False
    if c.execute(select(func.count()).select_from(_Q)).scalar_one() >= MOST:
        raise QueueError(f"There are {MOST} queues already; delete one first.")
    c.execute(insert(_Q).values(name=name, **values))
    return True


def remove(c: Connection, name: str) -> bool:
    """Forget a queue; False when there is none of that name."""
    c.execute(delete(_L).where(_L.c.name == name))
    return c.execute(delete(_Q).where(_Q.c.name == name)).rowcount > 0


def look(c: Connection, name: str, operator: str, *, now: int) -> SavedQueue | None:
    """Note that somebody looks at a queue now: what comes later is unread. None when there is no such."""
    row = c.execute(select(_Q).where(_Q.c.name == name)).one_or_none()
    if row is None:
        return None
    newest = int(c.execute(select(func.max(_D.c.id))).scalar_one() or 0)
    here = (_L.c.name == name, _L.c.operator == storable(operator))
    if not c.execute(update(_L).where(*here).values(seen=newest, at=now)).rowcount:
        c.execute(insert(_L).values(name=name, operator=storable(operator), seen=newest, at=now))
    return SavedQueue(Untrusted(row.name), Untrusted(row.line), row.scope, Untrusted(row.by), row.at, now)


def names(c: Connection) -> list[str]:
    """What there is, by name."""
    return list(c.execute(select(_Q.c.name).order_by(func.lower(_Q.c.name), _Q.c.name)).scalars())


def queues(c: Connection, operator: str, *, scope: str = "", now: int) -> list[SavedQueue]:
    """Every saved queue, by name, with what is unread for this operator.

    Args:
        scope: id of the node that one is in, for queues that follow it.
    """
    looks = {row.name: row for row in c.execute(select(_L).where(_L.c.operator == storable(operator)))}
    found = []
    for row in c.execute(select(_Q).order_by(func.lower(_Q.c.name), _Q.c.name)):
        looked = looks.get(row.name)
        queue = SavedQueue(
            Untrusted(row.name), Untrusted(row.line), row.scope, Untrusted(row.by), row.at,
            None if looked is None else looked.at,
        )  # fmt: skip
        try:
            wanted = parse_filter(row.line, scope=row.scope or scope, now=now, me=operator)
        except FilterError as error:
            found.append(replace(queue, wrong=str(error)))
            continue
        unread, more = _unread(c, wanted, 0 if looked is None else looked.seen)
        found.append(replace(queue, unread=unread, more=more))
    return found


def _unread(c: Connection, wanted: AlertFilter, seen: int) -> tuple[int, bool]:
    """How many alerts that are wanted came after the number `seen`, and whether there are more than that."""
    if not seen:
        every = alerts.count(c, wanted, cap=UNREAD)
        return min(every.value, UNREAD), not every.exact or every.value > UNREAD
    # The new ones by their numbers first: few, whatever the line asks for.
    new = list(
        c.execute(
            select(_D.c.id).where(_D.c.id > seen).order_by(_D.c.id.desc()).limit(LOOKED_THROUGH + 1)
        ).scalars()
    )
    more = len(new) > LOOKED_THROUGH
    del new[LOOKED_THROUGH:]
    count = 0
    for conditions in alerts.matching(c, wanted) if new else []:
        query = select(func.count()).select_from(_D).where(_D.c.id.in_(new), *conditions)
        count += int(c.execute(query).scalar_one())
    if count > UNREAD:
        return UNREAD, True
    return count, more
