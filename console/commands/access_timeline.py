"""`limegrove access timeline`: what was done to who may do what, by whom, on whom and where."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands import listing
from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from store.queries.timeline import Key, Wanted
    from store.timeline import Event

KINDS = ("member", "owner", "permission", "organization", "group", "user", "key", "other")
"""Those of `store.timeline`, which is too heavy to be imported for a `--help`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `access timeline`."""
    parser.add_argument("words", metavar="WORD", nargs="*", help="only what has each of these somewhere")
    parser.add_argument("--principal", metavar="P", help="on whom: an e-mail, or an API key's name")
    parser.add_argument("--by", metavar="WHO", help="by whom, exactly as the log has it")
    parser.add_argument("--group", metavar="GID|NAME", help="only what was done to this group")
    parser.add_argument(
        "--kind", metavar="K", action="append", default=[], choices=KINDS,
        help=f"only these, the option may be repeated: {', '.join(KINDS)}",
    )  # fmt: skip
    listing.configure(parser, "event")


def run(session: Session) -> int:
    """List the events, newest first."""
    from store.queries.timeline import COUNTED, counted, events, sources

    wanted, after = _wanted(session), _cursor(session.arguments.after)
    with session.reader.reading() as connection:
        found = listing.gathered(
            session.arguments.limit,
            lambda last, size: events(
                connection, wanted, after=(last.time, last.id) if last is not None else after, limit=size
            ),
        )
        number = counted(connection, wanted) if session.output == "table" else 0
        logs = sources(connection, wanted.scope)
    session.show_rows(
        [_line(each) if session.output == "table" else shown_event(each) for each in found],
        columns=("when", "by", "what", "told by"),
        footer=listing.footer(len(found), number, COUNTED, "events"),
    )
    if logs.audited < logs.organizations:
        named = ", ".join(f"{name}{f' ({reason})' if reason else ''}" for _, name, reason in logs.lacking)
        session.say(
            f"Audit logs of {logs.audited} of {logs.organizations} organizations; it lacks that of {named}"
            f"{', and others' if logs.organizations - logs.audited > len(logs.lacking) else ''}."
        )
    if logs.groups_at is None:
        session.say("No group's log was read: `limegrove sync` with a user's key reads them.")
    return 0


def shown_event(event: "Event") -> dict[str, Any]:
    """An event as `access timeline` prints it; what the entry does not tell is null."""
    from store.timeline import words
    from store.times import rfc3339

    return {
        "time": rfc3339(event.time or None),
        "by": event.actor or None,
        "kind": event.kind,
        "action": event.action,
        "known": event.known,
        "what": words(event),
        "principal": event.principal or None,
        "permissions": list(event.permissions),
        "oid": event.oid or None,
        "organization": event.organization or None,
        "gid": event.gid or None,
        "group": event.group or None,
        "told_by": event.source,
        "details": dict(event.details),
        "cursor": f"{event.time}-{event.id}",
    }


def _line(event: "Event") -> dict[str, str]:
    from store.timeline import words
    from store.times import rfc3339

    return {
        "when": rfc3339(event.time or None) or "not told",
        "by": event.actor or "not told",
        "what": words(event),
        "told by": event.source,
    }


def _wanted(session: Session) -> "Wanted":
    from store.queries.timeline import Wanted

    arguments = session.arguments
    principal: str = arguments.principal or ""
    return Wanted(
        scope=session.scope(),
        principal=principal.lower() if "@" in principal else principal,
        actor=arguments.by or "",
        group=_group(session, arguments.group) if arguments.group else "",
        kinds=tuple(arguments.kind),
        since=listing.since(session),
        words=tuple(arguments.words),
    )


def _group(session: Session, wanted: str) -> str:
    from store.queries.timeline import groups_named

    with session.reader.reading() as connection:
        found = groups_named(connection, wanted)
    if not found:
        raise Problem(f"There is no group {shown(wanted)} in the store, by gid or by name.", code=2)
    if len(found) > 1:
        gids = ", ".join(gid for gid, _ in found[:5])
        raise Problem(f"{len(found)} groups are called {shown(wanted)}: {gids}. Give the gid.", code=2)
    return found[0][0]


def _cursor(text: str | None) -> "Key | None":
    if text is None:
        return None
    time, _, number = text.partition("-")
    if not (time.isdecimal() and number.isdecimal() and len(text) <= 40):
        raise Problem(f"--after: {shown(text)} is no cursor; take the one of the last event printed.", code=2)
    return int(time), int(number)
