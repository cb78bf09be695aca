"""`limegrove access matrix`: who may do what, of one organization, one principal, or one permission."""

import argparse
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from console.commands import asof
from console.commands.session import Problem, Session, safe, shown

if TYPE_CHECKING:
    from store.access import Kind
    from store.queries.access import Matrix, Principal
    from store.queries.aclscopes import AclScope
    from store.queries.matrix import Lacking, Line, Pivot, Wanted
    from store.resources import Level

_SUBJECT = {"organization": "org", "principal": "principal", "permission": "permission"}
"""Pivot -> the option that says of what."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `access matrix`."""
    parser.add_argument(
        "--pivot",
        choices=list(_SUBJECT),
        help="which way it is turned; the option that says of what tells it too",
    )
    parser.add_argument("--org", metavar="OID|NAME", help="principals by permissions of this organization")
    parser.add_argument(
        "--principal",
        metavar="P",
        help="organizations by permissions of this user (e-mail), key (hash) or group (gid)",
    )
    parser.add_argument("--permission", metavar="Y", help="principals by organizations of this permission")
    parser.add_argument(
        "--filter",
        metavar="LINE",
        default="",
        help="only these: user:, org:, perm:, kind:, has:, domain:, group:, role:, or a part of a name",
    )
    asof.configure(parser)


def run(session: Session) -> int:
    """Show the matrix the way it is asked for."""
    arguments = session.arguments
    given = [pivot for pivot, option in _SUBJECT.items() if getattr(arguments, option) is not None]
    if len(given) != 1 or (arguments.pivot is not None and given != [arguments.pivot]):
        wanted = f"--{_SUBJECT[arguments.pivot]}" if arguments.pivot else "--org, --principal or --permission"
        raise Problem(f"`access matrix` is of one thing: give {wanted}, and no other of them.", code=2)
    from store.queries.matrix import own_roles, parse_filter

    own: Iterable[str] = ()
    if "role:" in arguments.filter.casefold():
        with session.reader.reading() as connection:
            own = own_roles(connection)
    try:
        filtered = parse_filter(arguments.filter, own)
    except ValueError as error:
        raise Problem(f"--filter: {error}", code=2) from None
    at = asof.asked(session)
    pivots = {"organization": _organization, "principal": _principal, "permission": _permission}
    code = pivots[given[0]](session, filtered, at)
    if session.output == "table":
        asof.say(session, at)
    return code


NOT_THEN = 3
"""The exit code when an organization was not read yet at the time that is asked for."""


# Of an organization


def _organization(session: Session, filtered: "Wanted", at: int | None) -> int:
    """Principals by permissions.

    JSON: `{pivot, at, gaps, oid, organization, path, checked_at, scope_organizations, lacking, failure,
    reason, groups: {gid: name}, acl_scopes, principals: [{principal, name, kind, permissions, via, resources,
    flairs, acl_scopes}]}`. `via` is `{permission: [direct, group:GID]}`. A group's principal is its gid, a
    key's its hash. As of a time `at` is that, `gaps` says in words what was not read yet, and `acl_scopes` is
    null: they are tags of what is there now.
    """
    from store.queries.access import matrix
    from store.queries.aclscopes import acl_scopes
    from store.queries.asof import read_by
    from store.queries.matrix import pivot_organization

    oid = session.organization(session.arguments.org)
    with session.reader.reading() as connection:
        found = matrix(connection, oid, at=at)
        pivot = pivot_organization(connection, oid, wanted=filtered, at=at)
        scopes = acl_scopes(connection, oid) if at is None else []
        keys_unread = at is not None and oid not in read_by(connection, "keys", at)
    if found is None or pivot is None:
        raise Problem(f"The organization {oid} was taken out of the store a moment ago.")
    unknown = at is not None and found.checked_at is None
    gaps = [] if at is None else asof.gaps(pivot, keys_unread=keys_unread)
    for sentence in gaps:
        session.say(sentence)
    if at is None and found.checked_at is None and not found.principals:
        why = f": {found.reason}" if found.reason else "; run `limegrove sync`"
        session.say(f"Who may do what on {found.organization} was never read{why}")
    lines: dict[tuple[str, str], Line] = {(line.kind, line.key): line for line in pivot.lines}
    columns = {column.key for column in pivot.columns}
    principals = [each for each in found.principals if (each.kind, each.principal) in lines]
    shown_principals = [
        {
            "principal": each.principal,
            "name": each.name,
            "kind": each.kind,
            "permissions": [name for name in each.permissions if name in columns],
            "via": {name: list(each.via[name]) for name in each.permissions if name in columns},
            "resources": _resources(each.via),
            "flairs": list(lines[each.kind, each.principal].flairs),
            "acl_scopes": None
            if at is not None
            else [scope.name for scope in scopes if _admits(scope, each)],
        }
        for each in principals
    ]
    session.show_object(
        {
            "pivot": "organization",
            **_as_of(pivot, at),
            "gaps": gaps,
            "oid": found.oid,
            "organization": found.organization,
            "path": found.path,
            **_read(pivot),
            "failure": found.failure,
            "reason": found.reason,
            "groups": found.groups,
            "acl_scopes": None if at is not None else [_shown_scope(each) for each in scopes],
            "principals": shown_principals,
        },
        rows=[_line(each, found, columns) for each in principals],
        columns=("principal", "kind", "permissions", "via"),
    )
    if session.output == "table":
        some = f"{len(principals):,} of " if len(principals) != pivot.total else ""
        failed = f"; the last attempt failed: {found.reason}" if found.failure else ""
        session.say(
            f"{some}{pivot.total:,} principals on {found.organization}, {_age(found.checked_at)}{failed}"
        )
    return NOT_THEN if unknown else 0


def _line(principal: "Principal", matrix: "Matrix", columns: set[str]) -> dict[str, Any]:
    """A principal in one line: a key and a group by name, and through what it has anything at all."""
    held = [name for name in principal.permissions if name in columns]
    sources = sorted({source for name in held for source in principal.via[name]})
    named = [
        f"group {matrix.groups.get(source.removeprefix('group:'), source)}"
        if source.startswith("group:")
        else source
        for source in sources
    ]
    return {
        "principal": principal.name or principal.principal,
        "kind": principal.kind,
        "permissions": len(held),
        "via": ", ".join(named),
        "named": " ".join(held),
        "resources": _resource_words(principal.via),
    }


def _admits(scope: "AclScope", principal: "Principal") -> bool:
    gids = {source.removeprefix("group:") for via in principal.via.values() for source in via} - {"direct"}
    return scope.admits(principal.kind, principal.principal, principal.name, tuple(gids))


def _shown_scope(scope: "AclScope") -> dict[str, Any]:
    """`{name, defined, warn_only, members, sensors, records}`: what has the tag `acl:NAME`, and for whom."""
    return {
        "name": scope.name,
        "defined": scope.defined,
        "warn_only": scope.warn_only,
        "members": [{"type": kind, "id": one} for kind, one in scope.members],
        "sensors": scope.sensors,
        "records": scope.records,
    }


# Of a principal


def _principal(session: Session, filtered: "Wanted", at: int | None) -> int:
    """Organizations by permissions.

    JSON: `{pivot, at, principal, name, kind, checked_at, scope_organizations, lacking, groups: {gid: {name,
    permissions}}, organizations: [{oid, organization, path, permissions, direct, groups, resources}]}`.
    `permissions` is everything held, `direct` what is granted directly, `groups` by which the rest comes.
    """
    from store.closure import World
    from store.queries.access import find_principal
    from store.queries.matrix import pivot_principal

    wanted: str = session.arguments.principal
    scope = session.scope()
    with session.reader.reading() as connection:
        found = find_principal(connection, wanted, at=at)
        if len(found) != 1:
            raise Problem(no_principal(wanted, found, at), code=2)
        principal, kind = found[0]
        world = World.load(connection, principal=principal, at=at)
        pivot = pivot_principal(
            connection, principal, kind=kind, scope=scope, world=world, wanted=filtered, at=at
        )
    if pivot is None:
        raise Problem(f"{shown(principal)} was taken out of the store a moment ago.")
    _say_lacking(session, pivot, at)
    columns = {column.key for column in pivot.columns}
    names: dict[int, tuple[str, ...]] = {}

    def named(mask: int) -> tuple[str, ...]:
        if mask not in names:
            names[mask] = tuple(sorted(name for name in world.permissions(mask) if name in columns))
        return names[mask]

    everywhere = world.principal(principal)
    organizations = []
    rows: list[dict[str, Any]] = []
    resources: dict[int, Any] = {}
    for line in pivot.lines:
        held = everywhere.get(line.key)
        direct, groups = (
            (0, (principal,)) if held is None else (held.direct, tuple(gid for gid, _ in held.groups))
        )
        if id(line.cells) not in resources:
            resources[id(line.cells)] = (_resources(line.cells), _resource_words(line.cells))
        mine = sorted(name for name in line.cells if name in columns)
        levels, words = resources[id(line.cells)]
        organizations.append(
            {
                "oid": line.key,
                "organization": line.name,
                "path": line.path,
                "permissions": mine,
                "direct": list(named(direct)),
                "groups": list(groups),
                "resources": levels,
            }
        )
        via = [f"{len(named(direct))} direct"] if named(direct) else []
        rows.append(
            {
                "organization": line.path,
                "permissions": len(mine),
                "via": ", ".join([*via, *(f"group {pivot.groups[gid]}" for gid in groups)]),
                "privileged": " ".join(name for name in mine if _privileged(name)),
                "oid": line.key,
                "named": " ".join(mine),
                "resources": words,
            }
        )
    session.show_object(
        {
            "pivot": "principal",
            **_as_of(pivot, at),
            "principal": principal,
            "name": pivot.name,
            "kind": kind,
            **_read(pivot),
            "groups": {
                gid: {"name": name, "permissions": list(named(world.groups[gid].permissions))}
                for gid, name in pivot.groups.items()
            },
            "organizations": organizations,
        },
        rows=rows,
        columns=("organization", "permissions", "via", "privileged"),
    )
    if session.output == "table":
        some = f"{len(pivot.lines):,} of " if len(pivot.lines) != pivot.total else ""
        session.say(
            f"{safe(pivot.name)}: {some}{pivot.total:,} of {pivot.organizations:,} organizations, "
            f"{_age(pivot.checked_at)}"
        )
    return 0


# Of a permission


def _permission(session: Session, filtered: "Wanted", at: int | None) -> int:
    """Principals by organizations.

    JSON: `{pivot, at, permission, privileged, checked_at, scope_organizations, lacking, organizations: {oid:
    name}, groups: {gid: {name, organizations}}, principals: [{principal, name, kind, organizations, direct,
    groups, flairs}]}`. Not multiplied out: somebody has it on `direct`, and on the organizations of each of
    `groups`; `organizations` counts them.
    """
    from store.closure import World
    from store.queries.access import is_permission
    from store.queries.matrix import pivot_permission

    wanted: str = session.arguments.permission
    scope = session.scope()
    with session.reader.reading() as connection:
        if not is_permission(connection, wanted, at=at):
            raise Problem(no_permission(wanted), code=2)
        world = World.load(connection, at=at)
        pivot = pivot_permission(connection, wanted, scope=scope, world=world, wanted=filtered, at=at)
    _say_lacking(session, pivot, at)
    inside = {column.key for column in pivot.columns}
    reaches = world.permission(wanted)
    principals = []
    rows: list[dict[str, Any]] = []
    used: dict[str, None] = {}
    for line in pivot.lines:
        direct: Iterable[str] = ()
        groups: tuple[str, ...] = (line.key,)
        if line.kind != "group":
            reach = reaches[line.key]
            direct = sorted(oid for oid in reach.direct if oid in inside)
            groups = tuple(
                gid for gid in reach.groups if not inside.isdisjoint(world.groups[gid].organizations)
            )
        used.update(dict.fromkeys(groups))
        principals.append(
            {
                "principal": line.key,
                "name": line.name,
                "kind": line.kind,
                "organizations": line.held,
                "direct": list(direct),
                "groups": list(groups),
                "flairs": list(line.flairs),
            }
        )
        via = [f"{len(list(direct)):,} direct"] if direct else []
        rows.append(
            {
                "principal": f"{line.name} ({line.path})" if line.path else line.name,
                "kind": line.kind,
                "organizations": line.held,
                "via": ", ".join([*via, *(f"group {pivot.groups[gid]}" for gid in groups)]),
                "id": line.key,
            }
        )
    session.show_object(
        {
            "pivot": "permission",
            **_as_of(pivot, at),
            "permission": wanted,
            "privileged": _privileged(wanted),
            **_read(pivot),
            "organizations": {column.key: column.name for column in pivot.columns},
            "groups": {
                gid: {
                    "name": world.groups[gid].name,
                    "organizations": sorted(oid for oid in world.groups[gid].organizations if oid in inside),
                }
                for gid in sorted(used)
            },
            "principals": principals,
        },
        rows=rows,
        columns=("principal", "kind", "organizations", "via"),
    )
    if session.output == "table":
        some = f"{len(pivot.lines):,} of " if len(pivot.lines) != pivot.total else ""
        session.say(
            f"{some}{pivot.total:,} principals have {safe(wanted)} on any of {pivot.organizations:,} "
            f"organizations, {_age(pivot.checked_at)}"
        )
    return 0


# Common


def no_permission(wanted: str) -> str:
    """A complaint about a permission that nobody knows."""
    return (
        f"There is no permission {shown(wanted)}: the catalogue has none of this name, and nobody in "
        "the store holds it; nothing was looked up."
    )


def no_principal(wanted: str, found: "list[tuple[str, Kind]]", at: int | None = None) -> str:
    """A complaint about a principal that is nobody, or may be several."""
    from store.times import rfc3339

    if found:
        named = ", ".join(f"{safe(name)} ({kind})" for name, kind in found[:5])
        return f"{shown(wanted)} may be any of {len(found)} principals: {named}. Give it exactly."
    if at is not None:
        return (
            f"There was no key or group {shown(wanted)} in the store on {rfc3339(at)}, nor is a user called "
            "so; without --at it is looked for among those of now."
        )
    return (
        f"There is no principal {shown(wanted)} in the store: a user goes by e-mail, a key by its hash, "
        "a group by its gid; `limegrove access matrix` names those of an organization."
    )


def _read(pivot: "Pivot") -> dict[str, Any]:
    """How well it is known: `{checked_at, scope_organizations, lacking: [{oid, organization, ...}]}`."""
    from store.times import rfc3339

    return {
        "checked_at": rfc3339(pivot.checked_at),
        "scope_organizations": pivot.organizations,
        "lacking": [
            {
                "oid": each.oid,
                "organization": each.name,
                "checked_at": rfc3339(each.checked_at),
                "failure": each.failure,
                "reason": each.reason,
            }
            for each in pivot.lacking
        ],
    }


def _as_of(pivot: "Pivot", at: int | None) -> dict[str, Any]:
    """`{at, gaps}`: the time that it is as of, and what was not read yet then, in words; null and [] for now,
    where `lacking` says it."""
    from store.times import rfc3339

    return {"at": rfc3339(at), "gaps": [] if at is None else asof.gaps(pivot)}


def _say_lacking(session: Session, pivot: "Pivot", at: int | None) -> None:
    if not pivot.lacking:
        return
    if at is not None:
        unread = [each for each in pivot.lacking if each.checked_at is None]
        if unread:
            read = pivot.organizations - len(unread)
            session.say(
                f"{read:,} of {pivot.organizations:,} organizations are in this; of the others access was "
                f"not read yet then: {_named(tuple(unread))}"
            )
        return
    never = sum(each.checked_at is None for each in pivot.lacking)
    parts = [f"never ({never:,})"] if never else []
    if older := len(pivot.lacking) - never:
        parts.append(f"before, and not the last time ({older:,})")
    session.say(
        f"{pivot.organizations - never:,} of {pivot.organizations:,} organizations are in this; access was "
        f"read {', '.join(parts)}: {_named(pivot.lacking)}"
    )


def _named(lacking: "tuple[Lacking, ...]", most: int = 5) -> str:
    named = ", ".join(f"{each.name} ({each.reason})" if each.reason else each.name for each in lacking[:most])
    return named if len(lacking) <= most else f"{named}, and {len(lacking) - most:,} more"


def _age(checked_at: int | None) -> str:
    from store.times import rfc3339

    return f"read {rfc3339(checked_at) or 'never'}"


def _privileged(permission: str) -> bool:
    from store.permissions import is_privileged

    return is_privileged(permission)


def _resources(permissions: Iterable[str]) -> list[dict[str, Any]]:
    """How far permissions reach below the organization, as JSON."""
    from store.resources import levels

    return [_shown_level(each) for each in levels(permissions)]


def _shown_level(level: "Level") -> dict[str, Any]:
    if level.of == "rules":
        return {"of": "rules", "namespace": level.namespace, "verbs": list(level.verbs)}
    records: Mapping[str, list[str]] = {record: list(verbs) for record, verbs in level.records}
    return {
        "of": "hive",
        "family": level.family,
        "verbs": list(level.verbs),
        "metadata_only": list(level.metadata),
        "records": records,
    }


def _resource_words(permissions: Iterable[str]) -> str:
    from store.resources import level_words, levels

    return "; ".join(level_words(each) for each in levels(permissions))
