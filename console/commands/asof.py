"""What `--at` of a command takes, and how an answer as of then says what it is."""

import argparse
from typing import TYPE_CHECKING

from console.commands.session import Problem, Session

if TYPE_CHECKING:
    from store.queries.matrix import Pivot

OPTION = "as it was then: 7d ago, or a date or time such as 2026-11-01"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument("--at", metavar="TIME", help=OPTION)


def asked(session: Session) -> int | None:
    """The time (ms) that is asked for; None for now.

    Raises:
        Problem: it is none, or lies ahead; exit code 2.
    """
    from store.times import now_ms

    given: str | None = session.arguments.at
    return None if given is None else moment(given, now_ms())


def moment(text: str, now: int) -> int:
    """Milliseconds of `7d` before now, or of a date or time in UTC.

    Raises:
        Problem: it is neither, or lies ahead.
    """
    from store.times import past_moment

    try:
        return past_moment(text, now)
    except ValueError as error:
        raise Problem(f"--at {error}", 2) from None


def say(session: Session, at: int | None) -> None:
    """Say beside an answer as of a time that it is one."""
    from store.times import rfc3339

    if at is not None:
        session.say(f"As it was on {rfc3339(at)}, as far as the store had read it by then.")


def gaps(pivot: "Pivot", *, keys_unread: bool = False) -> list[str]:
    """What an answer as of a time does not rest on, a sentence each.

    Args:
        keys_unread: of one organization, its API keys were not read yet then.
    """
    from store.queries.matrix import gap_words

    found = [gap_words(each) for each in pivot.lacking]
    if keys_unread and not any(each.checked_at is None for each in pivot.lacking):
        found.append(f"Which keys {pivot.name} had then is not known: they were not read yet.")
    return found
