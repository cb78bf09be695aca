"""`limegrove org compare`: two organizations, or one with itself at an earlier time."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands.asof import moment
from console.commands.session import Problem, Session

if TYPE_CHECKING:
    from store.queries.compare import Comparison, Side


def configure(verbs: Any) -> None:
    """Add `compare` to the verbs of `org`."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "compare",
        help="two organizations, or one with itself at an earlier time: configuration and access",
        description="Exit codes: 0 compared, whether they differ or not; 3 a part was never read, which is "
        "named and not compared.",
    )
    parser.add_argument("organization", metavar="OID|NAME", help="its oid, the beginning of it, or its name")
    parser.add_argument("other", metavar="OID|NAME", nargs="?", help="the one that it is compared with")
    parser.add_argument(
        "--at", metavar="TIME", help="compare it with itself then: 7d ago, or a date such as 2026-11-01"
    )


def compare(session: Session) -> int:
    """Show what differs; 0 whether it does or not, 3 where a part of it could not be compared."""
    from store.queries import compare as queries
    from store.times import now_ms

    arguments = session.arguments
    if (arguments.other is None) == (arguments.at is None):
        raise Problem("Give a second organization, or --at with a time; one of both.", 2)
    now = now_ms()
    at = None if arguments.at is None else moment(arguments.at, now)
    left = session.organization(arguments.organization)
    right = left if arguments.other is None else session.organization(arguments.other)
    if at is None and left == right:
        raise Problem(
            "That is one organization twice: name another one, or give --at to compare it with what it was.",
            2,
        )
    with session.reader.reading() as connection:
        found = queries.compare(connection, left, right, at=at)
    if found is None:
        raise Problem("One of these organizations was taken out of the store a moment ago.")
    if found.gaps:
        session.say("Not compared whole: " + " ".join(found.gaps))
    session.show_object(
        shown(found),
        rows=[
            {"what": each.what, "name": each.name, "where": each.where, "parts": "; ".join(each.parts)}
            for each in found.lines
        ],
        columns=("what", "name", "where", "parts"),
    )
    if session.output == "table":
        session.say(f"{len(found.lines)} differ, {found.same} records are alike.")
    return 3 if found.gaps else 0


def shown(found: "Comparison") -> dict[str, Any]:
    """As JSON has it; times are RFC 3339 in UTC."""
    from store.times import rfc3339

    def side(one: "Side") -> dict[str, Any]:
        return {
            "oid": one.oid, "name": one.name, "at": rfc3339(one.at),
            "configuration_read_at": rfc3339(one.read_at),
        }  # fmt: skip

    return {
        "left": side(found.left),
        "right": side(found.right),
        "same_records": found.same,
        "differences": [
            {"what": each.what, "name": each.name, "where": each.where, "parts": list(each.parts)}
            for each in found.lines
        ],
        "complete": not found.gaps,
        "never_read": [{"oid": side.oid, "name": side.name, "what": part} for side, part in found.unread],
        "gaps": list(found.gaps),
    }
