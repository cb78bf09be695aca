"""Saved queues: kept, forgotten, looked at."""

from typing import TYPE_CHECKING

from console.operations.actor import actor
from store import queues
from store.journal import append
from store.queues import QueueError, SavedQueue
from store.times import now_ms

if TYPE_CHECKING:
    from store.database import Store


def save(
    store: "Store", operator: str, name: str, line: str, *, scope: str = "", now: int | None = None
) -> bool:
    """Keep a filter line under a name; whether that name is new.

    Raises:
        QueueError, FilterError: it cannot be kept; nothing was changed.
    """
    moment = now_ms() if now is None else now
    with store.writing() as connection:
        new = queues.save(connection, name, line, scope=scope, by=operator, now=moment)
        detail = {"operator": operator, "line": line.strip(), "scope": scope}
        append(connection, actor(), "queue.save", "", name, detail, now=moment)
    return new


def remove(store: "Store", operator: str, name: str) -> None:
    """Forget a queue.

    Raises:
        QueueError: there is none of that name.
    """
    with store.writing() as connection:
        if not queues.remove(connection, name):
            raise QueueError(f"There is no queue {name[:40]!a}.")
        append(connection, actor(), "queue.delete", "", name, {"operator": operator})


def look(store: "Store", operator: str, name: str, *, now: int | None = None) -> SavedQueue:
    """Look at a queue: what comes from now on is unread.

    Raises:
        QueueError: there is none of that name.
    """
    with store.writing() as connection:
        found = queues.look(connection, name, operator, now=now_ms() if now is None else now)
    if found is None:
        raise QueueError(f"There is no queue {name[:40]!a}; :queues lists them.")
    return found
