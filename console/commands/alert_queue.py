"""`limegrove alert queue`: filter lines with a name, and what is new in each."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from store.queues import SavedQueue


def configure(verbs: Any) -> None:
    """Add `alert queue` with its own verbs."""
    parser: argparse.ArgumentParser = verbs.add_parser("queue", help="saved queues, and what is new in each")
    steps = parser.add_subparsers(dest="step", metavar="VERB", required=True)
    steps.add_parser("list", help="every saved queue, with what came since you looked at it")
    keep = steps.add_parser("save", help="keep a filter line under a name")
    keep.add_argument("name", metavar="NAME", help="one word")
    keep.add_argument(
        "line",
        metavar="LINE",
        nargs="?",
        default="",
        help="as after / on screen, all unless given; with --scope limited to that node",
    )
    gone = steps.add_parser("delete", help="forget a queue")
    gone.add_argument("name", metavar="NAME")


def run(session: Session) -> int:
    """List, keep or forget."""
    step: str = session.arguments.step
    if step == "list":
        return _list(session)
    session.refuse_read_only(f"alert queue {step}")
    return _save(session) if step == "save" else _delete(session)


def listed(found: "SavedQueue") -> dict[str, Any]:
    """One queue as `list` prints it; `unread` is a number, `more` whether counting stopped there."""
    from store.times import rfc3339

    return {
        "name": found.name,
        "unread": found.unread,
        "more": found.more,
        "line": found.line,
        "scope": found.scope or None,
        "by": found.by,
        "looked": rfc3339(found.looked_at),
        "wrong": found.wrong,
    }


def _list(session: Session) -> int:
    from store.queues import queues
    from store.times import now_ms

    with session.reader.reading() as connection:
        rows = queues(connection, session.operator, scope=session.scope(), now=now_ms())
    session.show_rows(
        [listed(row) for row in rows],
        columns=("name", "unread", "line", "by", "looked"),
        footer=f"{len(rows)} queues",
    )
    return 0


def _save(session: Session) -> int:
    from console.operations import queues
    from store.alerts import FilterError
    from store.queues import QueueError

    given = session.arguments
    try:
        new = queues.save(session.store(), session.operator, given.name, given.line, scope=session.scope())
    except (QueueError, FilterError) as error:
        raise Problem(str(error), code=2) from error
    session.say(f"Kept as {given.name}." if new else f"{given.name} has another line now.")
    return 0


def _delete(session: Session) -> int:
    from console.operations import queues
    from store.queues import QueueError

    try:
        queues.remove(session.store(), session.operator, session.arguments.name)
    except QueueError as error:
        raise Problem(str(error), code=2) from error
    return 0


def line_of(session: Session, name: str) -> tuple[str, str]:
    """The line and the scope of a saved queue; from now on what comes to it is unread.

    Raises:
        Problem: there is none of that name; exit code 2.
    """
    from sqlalchemy import select

    from console.operations import queues
    from store.models import SavedQueue
    from store.queues import QueueError

    if session.settings.read_only:
        table = SavedQueue.__table__  # type: ignore[attr-defined]
        with session.reader.reading() as connection:
            row = connection.execute(select(table).where(table.c.name == name)).one_or_none()
        if row is None:
            raise Problem(
                f"There is no queue {shown(name)}; `limegrove alert queue list` names them.", code=2
            )
        return row.line, row.scope
    try:
        found = queues.look(session.store(), session.operator, name)
    except QueueError as error:
        raise Problem(
            f"There is no queue {shown(name)}; `limegrove alert queue list` names them.", code=2
        ) from error
    return str(found.line), found.scope
