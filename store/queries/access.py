"""Who may do what on an organization, and through what."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from store.models import (
    ApiKey,
    DirectPermission,
    Group,
    GroupMember,
    GroupOrganization,
    Organization,
    SyncState,
    User,
)
from store.queries.organizations import path_of
from store.text import Untrusted


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


def matrix(connection: Connection, oid: str) -> Matrix | None:
    """Who may do what on one organization; None if it is unknown."""
    organization = Organization.__table__.c  # type: ignore[attr-defined]
    name = connection.execute(select(organization.name).where(organization.oid == oid)).scalar_one_or_none()
    if name is None:
        return None
    held = _groups(connection, oid)
    principals = (
        *_users(connection, oid, held),
        *(
            Principal(gid, "group", Untrusted(group), {each: ("direct",) for each in permissions})
            for gid, group, permissions in held
        ),
        *_keys(connection, oid),
    )
    state = SyncState.__table__.c  # type: ignore[attr-defined]
    fresh = connection.execute(
        select(state.checked_at, state.failure, state.reason).where(
            state.oid == oid, state.subject == "access"
        )
    ).one_or_none()
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


def _groups(connection: Connection, oid: str) -> list[tuple[str, str, list[str]]]:
    """(gid, name, permissions) of the groups that hold an organization, by name."""
    group = Group.__table__.c  # type: ignore[attr-defined]
    holds = GroupOrganization.__table__.c  # type: ignore[attr-defined]
    found = connection.execute(
        select(group.gid, group.name, group.permissions)
        .join_from(Group, GroupOrganization, group.gid == holds.gid)
        .where(holds.oid == oid)
        .order_by(group.name, group.gid)
    )
    return [(row.gid, row.name, row.permissions) for row in found]


def _users(connection: Connection, oid: str, held: list[tuple[str, str, list[str]]]) -> list[Principal]:
    """Everybody who was granted something directly, or is a member of a group that holds it."""
    direct = DirectPermission.__table__.c  # type: ignore[attr-defined]
    member = GroupMember.__table__.c  # type: ignore[attr-defined]
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


def _keys(connection: Connection, oid: str) -> list[Principal]:
    key = ApiKey.__table__.c  # type: ignore[attr-defined]
    found = connection.execute(
        select(key.key_hash, key.name, key.permissions).where(key.oid == oid).order_by(key.name, key.key_hash)
    )
    return [
        Principal(row.key_hash, "key", Untrusted(row.name), {each: ("direct",) for each in row.permissions})
        for row in found
    ]
