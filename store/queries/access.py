"""Who may do what on an organization, and through what; or might at an earlier time."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Text, cast, func, or_, select

from store.access import Facts, GroupFacts, KeyFacts, Kind, Noted
from store.models import AuditEntry, Organization, SyncState, User
from store.permissions import known
from store.queries.asof import NOW, AccessTables, access_tables
from store.queries.organizations import path_of
from store.queries.timeline import of_groups
from store.text import Untrusted
from store.timeline import Standing, standing

LONGEST = 1000
"""Characters of a permission that is looked for: patterns of SQLite have a limit that no real one reaches."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, group or API key with any permission on the organization."""

    principal: str
    """E-mail, group id, or key hash."""
    kind: str
    """user, group or key."""
    name: Untrusted
    """E-mail, group name, or key name: a stranger's text."""
    via: dict[str, tuple[str, ...]]
    """permission -> ("direct", "group:GID", ...), direct first. Of a group: its own permissions, `direct`."""
    mfa: bool | None = None

    @property
    def permissions(self) -> tuple[str, ...]:
        """Sorted."""
        return tuple(sorted(self.via))


@dataclass(frozen=True, slots=True)
class Matrix:
    """Principals by permissions of one organization."""

    oid: str
    organization: Untrusted
    path: str
    principals: tuple[Principal, ...]
    """Users by e-mail, then groups by name, then keys by name."""
    groups: dict[str, Untrusted]
    """gid -> name, of every group that `via` mentions."""
    checked_at: int | None
    failure: str
    reason: Untrusted


def matrix(connection: Connection, oid: str, *, at: int | None = None) -> Matrix | None:
    """Who may do what on one organization, or might at a time (ms); None if it is unknown."""
    tables = access_tables(at)
    organization = Organization.__table__.c  # type: ignore[attr-defined]
    name = connection.execute(select(organization.name).where(organization.oid == oid)).scalar_one_or_none()
    if name is None:
        return None
    held = _groups(connection, oid, tables)
    principals = (
        *_users(connection, oid, held, tables),
        *(
            Principal(gid, "group", Untrusted(group), {each: ("direct",) for each in permissions})
            for gid, group, permissions in held
        ),
        *_keys(connection, oid, tables),
    )
    fresh = _read(connection, oid, at).get("access")
    return Matrix(
        oid=oid,
        organization=Untrusted(name),
        path=path_of(connection, oid) or name,
        principals=principals,
        groups={gid: Untrusted(group) for gid, group, _ in held},
        checked_at=fresh.checked_at if fresh else None,
        failure=fresh.failure if fresh else "",
        reason=Untrusted(fresh.reason if fresh else ""),
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a subject was read, until a time or until now."""

    checked_at: int | None
    failure: str
    reason: str
    first_at: int | None


def _read(connection: Connection, oid: str, at: int | None) -> dict[str, _Reading]:
    """How users and groups (`access`) and keys (`keys`) of an organization were read."""
    state = SyncState.__table__.c  # type: ignore[attr-defined]
    rows = connection.execute(
        select(state.subject, state.checked_at, state.first_at, state.failure, state.reason).where(
            state.oid == oid, state.subject.in_(("access", "keys"))
        )
    )
    if at is None:
        return {row.subject: _Reading(row.checked_at, row.failure, row.reason, row.first_at) for row in rows}
    found = {}
    for row in rows:
        if row.first_at is None or row.first_at > at:
            found[row.subject] = _Reading(None, "", "", row.first_at)
        elif row.checked_at < at:  # what failed since failed then
            found[row.subject] = _Reading(row.checked_at, row.failure, row.reason, row.first_at)
        else:
            found[row.subject] = _Reading(at, "", "", row.first_at)
    return found


def _groups(connection: Connection, oid: str, tables: AccessTables) -> list[tuple[str, str, list[str]]]:
    """(gid, name, permissions) of the groups that hold an organization, by name."""
    group, holds = tables.group.c, tables.holds.c
    found = connection.execute(
        select(group.gid, group.name, group.permissions)
        .join_from(tables.group, tables.holds, group.gid == holds.gid)
        .where(holds.oid == oid)
        .order_by(group.name, group.gid)
    )
    return [(row.gid, row.name, row.permissions) for row in found]


def _users(
    connection: Connection, oid: str, held: list[tuple[str, str, list[str]]], tables: AccessTables
) -> list[Principal]:
    """Everybody who was granted something directly, or is a member of a group that holds it."""
    direct, member = tables.direct.c, tables.member.c
    user = User.__table__.c  # type: ignore[attr-defined]
    via: dict[str, dict[str, list[str]]] = {}
    for email, permissions in connection.execute(
        select(direct.email, direct.permissions).where(direct.oid == oid)
    ):
        via[email] = {each: ["direct"] for each in permissions}
    granted = {gid: permissions for gid, _, permissions in held}
    members: dict[str, list[str]] = {}
    for gid, email in connection.execute(
        select(member.gid, member.email).where(member.gid.in_(granted), member.owner.is_(False))
    ):
        members.setdefault(gid, []).append(email)
    for gid, permissions in granted.items():
        for email in members.get(gid, ()):
            mine = via.setdefault(email, {})
            for each in permissions:
                mine.setdefault(each, []).append(f"group:{gid}")
    mfa = {
        row.email: row.mfa
        for row in connection.execute(select(user.email, user.mfa).where(user.email.in_(via)))
    }
    return [
        Principal(
            email,
            "user",
            Untrusted(email),
            {permission: tuple(paths) for permission, paths in sorted(mine.items())},
            mfa.get(email),
        )
        for email, mine in sorted(via.items())
    ]


def _keys(connection: Connection, oid: str, tables: AccessTables) -> list[Principal]:
    key = tables.key.c
    found = connection.execute(
        select(key.key_hash, key.name, key.permissions).where(key.oid == oid).order_by(key.name, key.key_hash)
    )
    return [
        Principal(row.key_hash, "key", Untrusted(row.name), {each: ("direct",) for each in row.permissions})
        for row in found
    ]


# Why


@dataclass(frozen=True, slots=True)
class Asked:
    """What decides about one permission on one organization, and how well it is known."""

    oid: str
    organization: Untrusted
    facts: Facts
    checked_at: int | None
    """When the organization's users and groups were last read completely; None when never."""
    keys_checked_at: int | None
    """The same of its API keys."""
    failure: str
    reason: Untrusted
    first_at: int | None = None
    """When users and groups were first read completely, and since when they are known."""
    keys_first_at: int | None = None

    def known(self, kind: Kind) -> bool:
        """Whether what a principal of this kind lacks is really not there: it was read once."""
        return (self.keys_checked_at if kind == "key" else self.checked_at) is not None


def facts(
    connection: Connection, oid: str, permission: str, principal: str = "", *, at: int | None = None
) -> Asked | None:
    """What `store.access` needs for one permission on one organization; None if that is unknown.

    For `who`, leave `principal` out. With it, all is there that `explain` and `cuts` look at: of the groups
    that might be cut every organization, and of their members whatever else gives the permission anywhere.

    Args:
        principal: e-mail, gid, or hash of a key.
        at: as it was at this time (ms), and as the logs told of it until then.
    """
    tables = access_tables(at)
    organization = Organization.__table__.c  # type: ignore[attr-defined]
    name = connection.execute(select(organization.name).where(organization.oid == oid)).scalar_one_or_none()
    if name is None:
        return None
    read = _read(connection, oid, at)
    access, keys = read.get("access"), read.get("keys")
    groups, at_risk = _group_facts(connection, oid, permission, principal, tables)
    failed = next((row for row in (access, keys) if row is not None and row.failure), None)
    return Asked(
        oid=oid,
        organization=Untrusted(name),
        facts=Facts(
            direct=_direct_facts(connection, oid, permission, principal, at_risk, tables),
            groups=groups,
            keys=_key_facts(connection, oid, principal, tables),
            people=_people(connection, principal),
            audit=_audit_about(connection, oid, principal, at),
            logs=_logs_about(connection, oid, permission, principal, groups.values(), at),
        ),
        checked_at=access.checked_at if access else None,
        keys_checked_at=keys.checked_at if keys else None,
        failure=failed.failure if failed else "",
        reason=Untrusted(failed.reason if failed else ""),
        first_at=access.first_at if access else None,
        keys_first_at=keys.first_at if keys else None,
    )


def is_permission(connection: Connection, name: str, *, at: int | None = None) -> bool:
    """Whether a permission is in the catalogue, or is held by anybody anywhere, or was at a time (ms)."""
    if len(name) > LONGEST:
        return False
    if known(name) is not None:
        return True
    for tables in {NOW, access_tables(at)}:
        for column in (tables.direct.c.permissions, tables.group.c.permissions, tables.key.c.permissions):
            rows = connection.execute(select(column).where(_mentions(column, name)))
            if any(name in row.permissions for row in rows):
                return True
    return False


def find_principal(connection: Connection, wanted: str, *, at: int | None = None) -> list[tuple[str, Kind]]:
    """The users, groups and keys that are called so: e-mail (in any case), gid, or hash of a key.

    Args:
        at: with it users who are known now or were then (ms), and the groups and keys that were there then.
    """
    try:
        wanted.encode()
    except UnicodeEncodeError:
        return []  # half of a surrogate pair, as a terminal's stray byte becomes: no database holds it
    tables = access_tables(at)
    emails = {email for each in {NOW, tables} for email in _emails(connection, wanted, each)}
    found: list[tuple[str, Kind]] = [(email, "user") for email in sorted(emails)]
    group, key = tables.group.c, tables.key.c
    if connection.execute(select(key.oid).where(key.key_hash == wanted).limit(1)).first() is not None:
        found.append((wanted, "key"))
    if connection.execute(select(group.gid).where(group.gid == wanted)).first() is not None:
        found.append((wanted, "group"))
    return found


def _emails(connection: Connection, wanted: str, tables: AccessTables) -> list[str]:
    user = User.__table__.c  # type: ignore[attr-defined]
    member, direct = tables.member.c, tables.direct.c
    columns = (user.email, member.email, direct.email)
    for exact in (True, False):
        # The exact one is found by an index, so the others are looked for only without it.
        found = {
            email
            for column in columns
            for email in connection.execute(
                select(column)
                .where(column == wanted if exact else func.lower(column) == wanted.lower())
                .distinct()
            ).scalars()
        }
        if found:
            return sorted(found)
    return []


def _people(connection: Connection, principal: str) -> frozenset[str]:
    user = User.__table__.c  # type: ignore[attr-defined]
    return frozenset(connection.execute(select(user.email).where(user.email == principal)).scalars())


def _mentions(column: Any, text: str) -> Any:
    """Rows whose JSON may hold this text as a string: to be looked at, the database only sorts out most."""
    return cast(column, Text).contains(json.dumps(text), autoescape=True)


def _group_facts(
    connection: Connection, oid: str, permission: str, principal: str, tables: AccessTables
) -> tuple[dict[str, GroupFacts], set[str]]:
    """The groups, and who has the permission through those that might be cut."""
    group, member, holds = tables.group.c, tables.member.c, tables.holds.c
    rows = connection.execute(select(group.gid, group.name, group.permissions, group.complete)).all()
    members: dict[str, set[str]] = {row.gid: set() for row in rows}
    owners: dict[str, set[str]] = {row.gid: set() for row in rows}
    for row in connection.execute(select(member.gid, member.email, member.owner)):
        (owners if row.owner else members).setdefault(row.gid, set()).add(row.email)
    here = set(connection.execute(select(holds.gid).where(holds.oid == oid)).scalars())
    gives = {row.gid for row in rows if permission in row.permissions}
    wanted = {row.gid for row in rows if row.gid == principal or principal in members[row.gid]}
    cut = wanted & here & gives
    at_risk = set[str]().union(*(members[gid] for gid in cut))
    whole = wanted | {gid for gid in gives if not at_risk.isdisjoint(members[gid])} if principal else set()
    organizations: dict[str, set[str]] = {}
    for gid, held_by in connection.execute(select(holds.gid, holds.oid).where(holds.gid.in_(whole))):
        organizations.setdefault(gid, set()).add(held_by)
    told = (here | whole | gives) - whole
    held = {
        row.gid: row.number
        for row in connection.execute(
            select(holds.gid, func.count().label("number")).where(holds.gid.in_(told)).group_by(holds.gid)
        )
    }
    return {
        row.gid: GroupFacts(
            gid=row.gid,
            name=Untrusted(row.name),
            owners=frozenset(owners[row.gid]),
            members=frozenset(members[row.gid]),
            organizations=frozenset(organizations.get(row.gid, {oid} if row.gid in here else ())),
            permissions=frozenset(row.permissions),
            held=held.get(row.gid, 0),
            complete=bool(row.complete),
        )
        for row in rows
    }, at_risk - {principal}


def _direct_facts(
    connection: Connection,
    oid: str,
    permission: str,
    principal: str,
    at_risk: Iterable[str],
    tables: AccessTables,
) -> dict[str, dict[str, frozenset[str]]]:
    """Direct grants on the organization, of the principal, and of the permission to those at risk."""
    direct = tables.direct.c
    wanted = or_(
        direct.oid == oid,
        *([direct.email == principal] if principal else []),
        *(
            [direct.email.in_(others) & _mentions(direct.permissions, permission)]
            if (others := sorted(at_risk))
            else []
        ),
    )
    found: dict[str, dict[str, frozenset[str]]] = {}
    for row in connection.execute(select(direct.email, direct.oid, direct.permissions).where(wanted)):
        found.setdefault(row.email, {})[row.oid] = frozenset(row.permissions)
    return found


def _key_facts(
    connection: Connection, oid: str, principal: str, tables: AccessTables
) -> dict[tuple[str, str], KeyFacts]:
    key = tables.key.c
    found = connection.execute(
        select(key.oid, key.key_hash, key.name, key.permissions, key.created_by, key.first_seen).where(
            (key.oid == oid) | (key.key_hash == principal)
        )
    )
    return {
        (row.oid, row.key_hash): KeyFacts(
            row.oid, row.key_hash, Untrusted(row.name), frozenset(row.permissions),
            Untrusted(row.created_by), row.first_seen,
        )
        for row in found
    }  # fmt: skip


def _audit_about(connection: Connection, oid: str, principal: str, at: int | None) -> tuple[Noted, ...]:
    """The entries of the organization's audit log that name a principal, those after a time aside."""
    if not principal:
        return ()
    audit = AuditEntry.__table__.c  # type: ignore[attr-defined]
    found = connection.execute(
        select(audit.time, audit.actor, audit.details)
        .where(
            audit.oid == oid,
            _mentions(audit.details, principal),
            *([audit.time <= at] if at is not None else ()),
        )
        .order_by(audit.time)
    )
    return tuple(Noted(row.time, Untrusted(row.actor), row.details) for row in found)


def _logs_about(
    connection: Connection,
    oid: str,
    permission: str,
    principal: str,
    groups: Iterable[GroupFacts],
    at: int | None,
) -> dict[str, dict[tuple[str, str], Standing]]:
    """What the logs of the groups by which a principal has the permission tell of how that came to be."""
    if not principal:
        return {}
    gids = [
        group.gid
        for group in groups
        if oid in group.organizations
        and permission in group.permissions
        and (principal in group.members or principal == group.gid)
    ]
    told = of_groups(connection, gids, principal, oid)
    return {
        gid: standing(event for event in events if at is None or event.time <= at)
        for gid, events in told.items()
    }
