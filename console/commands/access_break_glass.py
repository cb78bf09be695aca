"""`limegrove access break-glass`: a membership for a while, with a reason, that ends by itself."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, safe, shown

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from console.operations.breakglass import Ended, Started
    from store.breakglass import Deed, Effect, Glass, Report

_CHANGING = ("start", "end", "extend", "allow", "disallow")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `access break-glass`."""
    verbs = parser.add_subparsers(dest="step", metavar="VERB", required=True)
    start = verbs.add_parser("start", help="put somebody into a group for a while")
    start.add_argument("--principal", metavar="EMAIL", required=True, help="who")
    start.add_argument("--group", metavar="GID|NAME", required=True, help="into which group")
    start.add_argument("--reason", metavar="TEXT", required=True, help="why; kept, and reported")
    start.add_argument("--ticket", metavar="TEXT", required=True, help="under which ticket")
    start.add_argument(
        "--for", dest="lasts", metavar="DURATION", required=True, help="for how long, 1m to 24h, such as 2h"
    )
    listing = verbs.add_parser("list", help="those that go on, the next to end first, and those that ended")
    listing.add_argument("--open", action="store_true", help="only those that go on")
    end = verbs.add_parser("end", help="take it back now")
    end.add_argument("id", metavar="ID", type=int)
    extend = verbs.add_parser("extend", help="let it last longer")
    extend.add_argument("id", metavar="ID", type=int)
    extend.add_argument("--for", dest="lasts", metavar="DURATION", required=True, help="how much longer")
    extend.add_argument("--reason", metavar="TEXT", required=True, help="why")
    for verb in (start, extend):
        verb.add_argument(
            "--confirm",
            metavar="NAME",
            action="append",
            default=[],
            help="the name or id of a group that is not meant for it; again, of a protected organization",
        )
    report = verbs.add_parser("report", help="what was done with it, from the audit logs")
    report.add_argument("id", metavar="ID", type=int)
    for name, says in (
        ("allow", "say that a group is meant for it: its name is not asked for any more"),
        ("disallow", "say that a group is not meant for it"),
    ):
        verbs.add_parser(name, help=says).add_argument("group", metavar="GID|NAME")


def run(session: Session) -> int:
    """Start, list, end, extend, report, or declare a group."""
    step: str = session.arguments.step
    if step in _CHANGING:
        session.refuse_read_only(f"access break-glass {step}")
    return {
        "start": _start, "list": _list, "end": _end, "extend": _extend, "report": _report,
        "allow": _declare, "disallow": _declare,
    }[step](session)  # fmt: skip


def listed(glass: "Glass", now: int) -> dict[str, Any]:
    """One as `list` prints it; times RFC 3339 in UTC, `left` in seconds, negative when it is overdue."""
    from store.breakglass import STATES
    from store.times import rfc3339

    overdue = glass.overdue(now)
    return {
        "id": glass.id,
        "state": "overdue" if overdue else STATES[glass.state],
        "principal": str(glass.principal),
        "gid": glass.gid,
        "group": str(glass.group),
        "reason": str(glass.reason),
        "ticket": str(glass.ticket),
        "by": glass.by,
        "started": rfc3339(glass.started_at),
        "given": rfc3339(glass.given_at),
        "due": rfc3339(glass.due_at),
        "left": (glass.due_at - now) // 1000 if glass.open else None,
        "ended": rfc3339(glass.ended_at),
        "ended_by": glass.ended_by,
        "end": glass.end_reason,
        "tries": glass.tries,
        "trouble": str(glass.trouble),
        "organizations": list(glass.organizations),
        "privileged": list(glass.privileged),
    }


def _start(session: Session) -> int:
    from console.operations import breakglass
    from store.breakglass import GlassError

    given = session.arguments
    try:
        email, reason, ticket, lasts = breakglass.wanted(
            given.principal, given.reason, given.ticket, given.lasts
        )
    except GlassError as error:
        raise Problem(str(error), code=2) from error
    gid = _group(session, given.group)

    async def do() -> "Started":
        store = session.store()
        async with session.cloud() as cloud:
            typed = list(given.confirm)
            if not typed:
                typed = _typed(session, await breakglass.look(gid, email, store=store, cloud=cloud), lasts)
            return await breakglass.start(
                gid,
                email,
                reason=reason,
                ticket=ticket,
                lasts=lasts,
                store=store,
                cloud=cloud,
                operator=_operator(session),
                confirm=typed,
            )

    started = _carried_out(session, do())
    session.show_object(
        {"outcome": started.outcome, "said": started.sentence, **_now(session, started.glass)}
    )
    session.say(started.sentence)
    return 0 if started.outcome == "given" else 1


def _end(session: Session) -> int:
    from console.operations import breakglass

    async def do() -> "Ended":
        store, who = session.store(), _operator(session)
        if session.settings.offline:
            return await breakglass.end(
                session.arguments.id, store=store, cloud=None, operator=who, why="the session is offline."
            )
        # What can be checked without the cloud is, and it is due from here on, whatever the cloud says.
        await breakglass.end(session.arguments.id, store=store, cloud=None, operator=who)
        async with session.cloud() as cloud:
            return await breakglass.finish(session.arguments.id, store=store, cloud=cloud, operator=who)

    ended = _carried_out(session, do())
    session.show_object({"outcome": ended.outcome, "said": ended.sentence, **_now(session, ended.glass)})
    session.say(ended.sentence)
    return 0 if not ended.glass.open else 1


def _extend(session: Session) -> int:
    from console.operations import breakglass
    from store.breakglass import GlassError

    given = session.arguments
    try:
        more = breakglass.duration(given.lasts)
        breakglass.reasons(given.reason, "-")
    except GlassError as error:
        raise Problem(str(error), code=2) from error
    glass = _carried_out(
        session,
        breakglass.extend(
            given.id,
            more,
            given.reason,
            store=session.store(),
            operator=_operator(session),
            confirm=given.confirm,
        ),
    )
    session.show_object(_now(session, glass))
    return 0


def _list(session: Session) -> int:
    from store.breakglass import listed as every
    from store.times import now_ms

    now = now_ms()
    with session.reader.reading() as connection:
        found = every(connection, only_open=session.arguments.open)
    overdue = [each for each in found if each.overdue(now)]
    going = sum(1 for each in found if each.open)
    session.show_rows(
        [listed(each, now) for each in found],
        columns=("id", "state", "principal", "group", "due", "ended", "end", "ticket", "by", "reason"),
        footer=f"{going} go on, {len(overdue)} overdue" if found else "No break-glass yet.",
    )
    for each in overdue:
        session.say(_overdue(each))
    return 0


def _overdue(glass: "Glass") -> str:
    why = f" ({safe(str(glass.trouble))})" if glass.trouble else ""
    return (
        f"Break-glass {glass.id}, {safe(glass.title)}, is OVERDUE{why}: "
        f"`limegrove access break-glass end {glass.id}` takes it back."
    )


def _report(session: Session) -> int:
    from store.breakglass import get, report
    from store.times import now_ms

    now = now_ms()
    with session.reader.reading() as connection:
        glass = get(connection, session.arguments.id)
        if glass is None:
            raise _unknown(session.arguments.id)
        found = report(connection, glass, now=now)
    session.show_object(
        reported(found, now),
        rows=[_deed(each) for each in sorted((*found.deeds, *found.of_group), key=lambda each: each.time)],
        columns=("time", "organization", "kind", "message", "after_end"),
    )
    if session.output == "table":
        for sentence in found.sentences:
            session.say(sentence)
    return 0


def reported(found: "Report", now: int) -> dict[str, Any]:
    """A report as `report` prints it; times RFC 3339 in UTC."""
    from store.times import rfc3339

    return {
        "break_glass": listed(found.glass, now),
        "since": rfc3339(found.since),
        "until": rfc3339(found.until),
        "done": [_deed(each) | {"details": each.details} for each in found.deeds],
        "group_log": [_deed(each) | {"details": each.details} for each in found.of_group],
        "organizations": [
            {
                "oid": each.oid,
                "organization": str(each.organization),
                "known_until": rfc3339(each.known_until),
                "whole": each.whole,
                "reason": str(each.reason),
            }
            for each in found.told
        ],
        "whole": found.whole,
        "keys": [
            {"oid": oid, "organization": str(organization), "name": str(name)}
            for oid, organization, name in found.keys
        ],
        "notes": list(found.sentences),
    }


def _deed(deed: "Deed") -> dict[str, Any]:
    from store.times import rfc3339

    return {
        "time": rfc3339(deed.time),
        "oid": deed.oid,
        "organization": str(deed.organization),
        "kind": deed.kind,
        "message": str(deed.message),
        "after_end": deed.after_end,
    }


def _declare(session: Session) -> int:
    from store.breakglass import declare
    from store.times import now_ms

    meant = session.arguments.step == "allow"
    gid = _group(session, session.arguments.group)
    with session.store().writing() as connection:
        changed = declare(connection, gid, meant=meant, by=_operator(session), now=now_ms())
    session.show_object({"gid": gid, "declared": meant, "changed": changed})
    return 0


def _group(session: Session, wanted: str) -> str:
    """The gid of one group.

    Raises:
        Problem: there is none, or several; exit code 2.
    """
    from store.breakglass import find_group

    with session.reader.reading() as connection:
        found = find_group(connection, wanted)
    if not found:
        raise Problem(
            f"There is no group {shown(wanted)} in the store; `limegrove sync` reads new ones. "
            "Nothing was changed.",
            code=2,
        )
    if len(found) > 1:
        named = ", ".join(gid for gid, _ in found[:5])
        raise Problem(
            f"{shown(wanted)} may be any of {len(found)} groups: {named}. Give the gid; nothing was changed.",
            code=2,
        )
    return found[0][0]


def _typed(session: Session, effect: "Effect", lasts: int) -> list[str]:
    """Say what it gives, and let the operator type what has to be typed.

    Raises:
        Problem: nobody is there to type; exit code 5.
    """
    for sentence in effect.words(lasts):
        session.say(sentence)
    if not effect.phrases or effect.member:
        return []
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        named = " ".join(f"--confirm '{each}'" for each in effect.phrases)
        raise Problem(
            f"`access break-glass start` wants this confirmed: {named}. Nothing was changed.", code=5
        )
    words = []
    for each in effect.phrases:
        print(f"Type `{safe(each)}`: ", end="", file=sys.stderr, flush=True)
        words.append(sys.stdin.readline().strip())
    return words


def _operator(session: Session) -> str:

    return session.operator


def _now(session: Session, glass: "Glass") -> dict[str, Any]:
    from store.times import now_ms

    return listed(glass, now_ms())


def _unknown(glass_id: int) -> Problem:
    return Problem(
        f"There is no break-glass {glass_id}; `limegrove access break-glass list` names them.", code=2
    )


def _carried_out(session: Session, doing: "Coroutine[Any, Any, Any]") -> Any:
    """Run an operation; what it refuses is exit code 5, or 2 where there is no such thing."""
    from console.operations.breakglass import Refused, Unknown
    from store.breakglass import GlassError

    try:
        return session.run(doing)
    except Unknown as error:
        raise Problem(str(error), code=2) from error
    except (Refused, GlassError) as error:
        raise Problem(str(error), code=5) from error
