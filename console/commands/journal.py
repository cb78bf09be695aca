"""`limegrove journal`: what this console changed, by whom and where, and whether that record is whole."""

import argparse
import re
from typing import TYPE_CHECKING, Any

from console.commands import listing
from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from store.queries.activity import Entry, Wanted

_NOTED = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `journal`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    show = verbs.add_parser("show", help="its entries, newest first")
    show.add_argument("words", metavar="WORD", nargs="*", help="only what has each of these somewhere")
    show.add_argument("--by", metavar="WHO", help="by whom: user@host, or the user on any machine")
    show.add_argument(
        "--org", metavar="OID|NAME", help="only what is about this organization, alone or among several"
    )
    show.add_argument(
        "--action", metavar="A", action="append", default=[],
        help="only these, the option may be repeated: alert.close, or alert for all that begins so",
    )  # fmt: skip
    listing.configure(show, "entry")
    verify = verbs.add_parser(
        "verify",
        help="whether each entry is as it was written, and none is missing",
        description="Reads the whole journal, and changes nothing. The `head` that it prints is the\n"
        "number and the hash of the last entry: noted elsewhere and given to --expect\n"
        "later, it shows that the journal was neither cut nor written anew.",
    )
    verify.add_argument(
        "--expect", metavar="SEQ:HASH", help="a `head` of before: that entry has to be there, unchanged"
    )


def run(session: Session) -> int:
    """List the entries, or see whether they are whole."""
    return _show(session) if session.arguments.verb == "show" else _verify(session)


def shown_entry(entry: "Entry") -> dict[str, Any]:
    """An entry as `journal show` prints it; what it does not tell is null."""
    from store.times import rfc3339

    return {
        "seq": entry.seq,
        "time": rfc3339(entry.time),
        "actor": entry.actor,
        "action": entry.action,
        "oid": entry.oid or None,
        "organization": entry.organization or None,
        "target": entry.target or None,
        "detail": entry.detail,
        "hash": entry.hash,
        "cursor": str(entry.seq),
    }


def _show(session: Session) -> int:
    from store.queries.activity import COUNTED, journal, journal_counted, journal_outside

    wanted, after = _wanted(session), _cursor(session.arguments.after)
    tabular = session.output == "table"
    with session.reader.reading() as connection:
        found = listing.gathered(
            session.arguments.limit,
            lambda last, size: journal(
                connection, wanted, after=last.seq if last is not None else after, limit=size
            ),
        )
        number = journal_counted(connection, wanted) if tabular else 0
        outside = journal_outside(connection, wanted)
        unknown = [] if found else _unknown(connection, wanted.actions)
    session.show_rows(
        [_line(each) if tabular else shown_entry(each) for each in found],
        columns=("seq", "time", "actor", "action", "organization", "target"),
        footer=listing.footer(len(found), number, COUNTED, "entries"),
    )
    if outside:
        counted = f"{min(outside, COUNTED):,}{'+' if outside > COUNTED else ''}"
        session.say(
            f"Not among these: entries of no single organization, {counted}; "
            "--org finds those of several that name one."
        )
    for sentence in unknown:
        session.say(sentence)
    return 0


def _line(entry: "Entry") -> dict[str, Any]:
    """An entry as a line of the table: an organization without a known name by its oid."""
    return shown_entry(entry) | {"organization": entry.organization or entry.oid or None}


def _wanted(session: Session) -> "Wanted":
    from store.queries.activity import Wanted

    given = session.arguments
    return Wanted(
        scope=session.scope(),
        oid="" if given.org is None else session.organization(given.org),
        actor=given.by or "",
        actions=tuple(given.action),
        since=listing.since(session),
        words=tuple(given.words),
    )


def _unknown(connection: "Connection", actions: tuple[str, ...]) -> list[str]:
    """That the journal has no such action, for those that were asked for: a slip must not look like a no."""
    if not actions:
        return []
    from store.queries.activity import journal_actions

    known = journal_actions(connection)
    return [
        f"The journal has no action {shown(each)}; it has {', '.join(known) or 'no entries'}."
        for each in actions
        if not any(f"{action}.".startswith(f"{each}.") for action in known)
    ]


def _cursor(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Problem(f"--after: {shown(text)} is no cursor; take the one of the last entry printed.", code=2)
    return int(text)


def _verify(session: Session) -> int:
    from console.process import workspace
    from store.maintenance import examine_journal
    from store.times import rfc3339

    expect = _noted(session.arguments.expect)
    workspace(session.settings.home, make=False)
    # Not by the session's store, which would be made where there is none, and called whole.
    found = examine_journal(session.settings.store_url, expect)
    session.show_object(
        {
            "whole": not found.wrong,
            "entries": found.entries,
            "first": rfc3339(found.first),
            "last": rfc3339(found.last),
            "head": f"{found.seq}:{found.hash}" if found.entries else None,
            "forgotten": found.forgotten,
            "expected": None if expect is None else f"{expect[0]}:{expect[1]}",
            "broken": found.broken,
        }
    )
    if found.wrong:
        raise Problem(f"The journal is not whole. {found.wrong}")
    if found.forgotten:
        session.say(
            f"Something was taken out of {found.forgotten:,} of the entries when organizations were "
            "forgotten; entries of org.forget account for each of them."
        )
    return 0


def _noted(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    found = _NOTED.fullmatch(text.strip().lower())
    if found is None:
        raise Problem(
            f"--expect: {shown(text)} is no SEQ:HASH; take the `head` that `journal verify` printed.", code=2
        )
    return int(found[1]), found[2]
