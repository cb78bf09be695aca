"""`limegrove access`: who may do what, and through what."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session

if TYPE_CHECKING:
    from store.queries.access import Matrix, Principal


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `access`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    matrix = verbs.add_parser("matrix", help="principals by permissions of one organization")
    matrix.add_argument("--org", metavar="OID|NAME", required=True, help="its oid or name")


def run(session: Session) -> int:
    """Show the matrix of one organization."""
    from store.queries.access import matrix

    oid = session.organization(session.arguments.org)
    with session.reader.reading() as connection:
        found = matrix(connection, oid)
    if found is None:
        raise Problem(f"The organization {oid} was taken out of the store a moment ago.")
    if found.checked_at is None and not found.principals:
        why = f": {found.reason}" if found.reason else "; run `limegrove sync`"
        session.say(f"Who may do what on {found.organization} was never read{why}")
    session.show_object(
        shown_matrix(found),
        rows=[_line(each, found) for each in found.principals],
        columns=("principal", "kind", "permissions", "via"),
    )
    if session.output == "table":
        session.say(_footer(found))
    return 0


def shown_matrix(matrix: "Matrix") -> dict[str, Any]:
    """A matrix as `access matrix` prints it.

    Returns:
        `{oid, organization, path, checked_at, state of the reading, groups, principals}`; a group's
        principal is its gid, a key's is its hash. `via` has a list for each permission.
    """
    from store.times import rfc3339

    return {
        "oid": matrix.oid,
        "organization": matrix.organization,
        "path": matrix.path,
        "checked_at": rfc3339(matrix.checked_at),
        "failure": matrix.failure,
        "reason": matrix.reason,
        "groups": matrix.groups,
        "principals": [
            {
                "principal": each.principal,
                "name": each.name,
                "kind": each.kind,
                "permissions": list(each.permissions),
                "via": {permission: list(each.via[permission]) for permission in each.permissions},
            }
            for each in matrix.principals
        ],
    }


def _line(principal: "Principal", matrix: "Matrix") -> dict[str, Any]:
    """A principal in one line: a key and a group by name, and through what it has anything at all."""
    sources = sorted({source for via in principal.via.values() for source in via})
    named = [
        f"group {matrix.groups.get(source.removeprefix('group:'), source)}"
        if source.startswith("group:")
        else source
        for source in sources
    ]
    return {
        "principal": principal.name or principal.principal,
        "kind": principal.kind,
        "permissions": len(principal.permissions),
        "via": ", ".join(named),
        "named": " ".join(principal.permissions),
    }


def _footer(matrix: "Matrix") -> str:
    from store.times import rfc3339

    read = rfc3339(matrix.checked_at) or "never"
    failed = f"; the last attempt failed: {matrix.reason}" if matrix.failure else ""
    return f"{len(matrix.principals)} principals on {matrix.organization}, read {read}{failed}"
