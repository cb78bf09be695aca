"""`limegrove access what-if`: what changes would come to, before anything is planned."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands import access_findings, access_roles
from console.commands.session import Problem, Session, safe

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from store.accesschanges import AccessChange
    from store.accesslines import Names
    from store.closure import Effect, Shift, Side, World
    from store.text import Untrusted

CHANGES = 4
"""The exit code when somebody would gain or lose anything."""

NAMED = 5
"""Organizations that a line of a table names."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `access what-if`."""
    parser.add_argument(
        "--change",
        metavar="LINE",
        action="append",
        default=[],
        help="such as 'join kim@acme.example Analysts'; may be given often",
    )
    parser.add_argument("--staged", action="store_true", help="the changes that are staged in the console")
    parser.add_argument(
        "--finding", metavar="ID", action="append", default=[], help="what takes a finding away; likewise"
    )
    access_roles.add_file(parser)
    parser.epilog = (
        "A LINE is one of: grant EMAIL PERMISSION ORG, revoke EMAIL PERMISSION ORG, add-user EMAIL ORG, "
        "remove-user EMAIL ORG, join EMAIL GROUP, leave EMAIL GROUP, own EMAIL GROUP, disown EMAIL GROUP, "
        "hold ORG GROUP, drop ORG GROUP, give PERMISSION GROUP, take PERMISSION GROUP, new-group NAME, "
        "delete-group GROUP, delete-key HASH ORG. Exit code 4 when somebody would gain or lose anything."
    )


def run(session: Session) -> int:
    """Show what changes would come to; nothing is written."""
    from store.accesslines import names
    from store.accessplans import protected
    from store.closure import UnknownGroup, World, effect

    with session.reader.reading() as connection:
        changes = changes_of(session, connection)
        before = World.load(connection)
        try:
            after = before.changed(changes)
        except UnknownGroup as error:
            raise Problem(
                f"There is no group {safe(str(error))} in the store, and none of the changes makes it.",
                code=2,
            ) from None
        found = effect(before, after, changes)
        known = names(connection, changes)
        marked = protected(connection, found.touched)
    for gid in sorted({each.gid for each in changes if each.gid}):
        group = before.groups.get(gid)
        if group is not None and not group.complete:
            session.say(
                f"Group {group.name} is known from its organizations only: it may hold more of them, and "
                "have more members."
            )
    session.show_object(
        shown_effect(changes, known, found, after, marked),
        rows=[_row(shift, after) for shift in _privileged_first(found.shifts)],
        columns=("principal", "permission", "before", "after", "gained", "lost", "note"),
    )
    if session.output == "table":
        _say(session, found, after, marked)
    return CHANGES if found.shifts else 0


def changes_of(session: Session, connection: "Connection") -> "list[AccessChange]":
    """What is asked about, in the order of a plan.

    Raises:
        Problem: a line is not understood, or there is nothing; exit code 2.
    """
    from store.accesschanges import ordered
    from store.accesslines import LineError, parse
    from store.accessplans import staged

    changes: list[AccessChange] = []
    for line in session.arguments.change:
        try:
            changes.append(parse(line, connection))
        except LineError as error:
            raise Problem(f"--change {error}", code=2) from None
    if session.arguments.staged:
        mine = staged(connection, session.operator)
        if not mine:
            raise Problem("Nothing is staged: `space` on a cell of the matrix stages a change.", code=2)
        changes += mine
    for wanted in session.arguments.finding:
        changes += access_findings.remedy_of(session, wanted)
    if session.arguments.file:
        changes += access_roles.from_file(session, session.arguments.file).changes
    elif not changes:
        raise Problem(
            "What if what? Give --change LINE, --staged, --finding ID or --file FILE; "
            "`--help` names the lines.",
            code=2,
        )
    return ordered(changes)


# As JSON


def shown_effect(
    changes: "list[AccessChange]",
    names: "Names",
    found: "Effect",
    after: "World",
    marked: "tuple[tuple[str, Untrusted], ...]",
) -> dict[str, Any]:
    """What changes come to, as `access what-if` prints it.

    Returns:
        `{changes, gained, lost, organizations, people, touched, protected, privileged_gains, before_after}`.
        `gained` and `lost` count grants (principal, permission, organization) and list the first of them;
        `before_after` has every principal and permission with the number of organizations that it is held on.
    """
    return {
        "changes": [_shown_change(each, names) for each in changes],
        "gained": _shown_side(found.gained),
        "lost": _shown_side(found.lost),
        "organizations": {"count": len(found.organizations), "oids": sorted(found.organizations)},
        "people": {"count": len(found.people), "principals": sorted(found.people)},
        "touched": {"count": len(found.touched), "oids": sorted(found.touched)},
        "protected": [{"oid": oid, "organization": name} for oid, name in marked],
        "privileged_gains": [
            {
                "principal": each.principal,
                "permission": each.permission,
                "organizations": each.organizations,
                "oids": list(each.oids),
            }
            for each in found.privileged
        ],
        "before_after": [
            {
                "principal": shift.principal,
                "kind": shift.kind,
                "permission": shift.permission,
                "before": shift.before,
                "after": shift.after,
                "gained": shift.gained.bit_count(),
                "lost": shift.lost.bit_count(),
            }
            for shift in found.shifts
        ],
    }


def _shown_change(change: "AccessChange", names: "Names") -> dict[str, str]:
    from store.accesslines import line, words

    told = {
        "oid": change.oid,
        "gid": change.gid,
        "principal": change.principal,
        "permission": change.permission,
    }
    return {
        "change": change.kind,
        **{name: value for name, value in told.items() if value},
        "line": line(change),
        "words": words(change, names),
    }


def _shown_side(side: "Side") -> dict[str, Any]:
    return {
        "count": side.count,
        "rows": [
            {"principal": principal, "permission": permission, "oid": oid}
            for principal, permission, oid in side.rows
        ],
        "more": side.count > len(side.rows),
    }


# As a table


def _privileged_first(shifts: "tuple[Shift, ...]") -> "list[Shift]":
    from store.permissions import is_privileged

    return sorted(shifts, key=lambda shift: not (shift.gained and is_privileged(shift.permission)))


def _row(shift: "Shift", after: "World") -> dict[str, Any]:
    from itertools import islice

    from store.permissions import is_privileged

    differing = shift.gained | shift.lost
    named = [after.organizations.get(oid, oid) for oid in islice(after.oids_of(differing), NAMED)]
    more = differing.bit_count() - len(named)
    where = ", ".join(named) + (f", and {more:,} more" if more else "")
    return {
        "principal": shift.principal,
        "kind": shift.kind,
        "permission": shift.permission,
        "before": shift.before,
        "after": shift.after,
        "gained": shift.gained.bit_count(),
        "lost": shift.lost.bit_count(),
        "note": f"! privileged: {where}" if shift.gained and is_privileged(shift.permission) else where,
    }


def _say(
    session: Session, found: "Effect", after: "World", marked: "tuple[tuple[str, Untrusted], ...]"
) -> None:
    from store.access import counted

    if not found.shifts:
        session.say(
            f"Nobody gains or loses anything; it would touch {counted(len(found.touched), 'organization')}."
        )
        return
    for each in found.privileged:
        where = ", ".join(after.organizations.get(oid, oid) for oid in each.oids[:NAMED])
        more = each.organizations - min(len(each.oids), NAMED)
        also = f", and {more:,} more" if more else ""
        session.say(f"! {each.principal} gains {each.permission} on {where}{also}")
    people, organizations = len(found.people), len(found.organizations)
    session.say(
        f"{counted(found.gained.count, 'grant')} gained, {found.lost.count:,} lost: "
        f"{counted(people, 'principal')} on {counted(organizations, 'organization')}; it touches "
        f"{counted(len(found.touched), 'organization')}, {len(marked):,} of them protected."
    )
