"""What commands share that list what happened: newest first, since when, so many, and where to go on."""

import argparse
from collections.abc import Callable
from typing import TypeVar

from console.commands.session import Problem, Session

Line = TypeVar("Line")

PAGE = 500
"""Rows read from the store at once."""


def configure(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--since`, `--limit` and `--after`.

    Args:
        what: what is listed, in the singular, such as `event`.
    """
    parser.add_argument("--since", metavar="DURATION", help="not older than this, such as 12h or 90d")
    parser.add_argument(
        "--limit", type=int, default=100, metavar="N", help="at most so many; 0 for all (100)"
    )
    parser.add_argument(
        "--after",
        metavar="CURSOR",
        help=f"go on behind this {what}: the `cursor` of the last one that was printed",
    )


def since(session: Session) -> int | None:
    """When `--since` begins (ms, UTC); None where it was not given.

    Raises:
        Problem: it is no duration; exit code 2.
    """
    from store.times import now_ms, parse_duration

    given: str | None = session.arguments.since
    if given is None:
        return None
    try:
        return now_ms() - parse_duration(given) * 1000
    except ValueError as error:
        raise Problem(f"--since: {error}", code=2) from None


def gathered(limit: int, page: Callable[[Line | None, int], list[Line]]) -> list[Line]:
    """Page after page, until there are enough or no more.

    Args:
        limit: at most so many; 0 for all.
        page: answers what is behind its first argument (None: from the start), at most so many.

    Raises:
        Problem: the limit is below zero; exit code 2.
    """
    if limit < 0:
        raise Problem("--limit takes a number from 0 on.", code=2)
    found: list[Line] = []
    while not limit or len(found) < limit:
        size = min(PAGE, limit - len(found)) if limit else PAGE
        more = page(found[-1] if found else None, size)
        found += more
        if len(more) < size:
            break
    return found


def footer(shown: int, number: int, counted: int, what: str) -> str:
    """`100 of 10,000+ events`.

    Args:
        number: how many there are, counted no further than one above `counted`.
    """
    return f"{shown:,} of {min(number, counted):,}{'+' if number > counted else ''} {what}"
