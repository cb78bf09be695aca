"""The permission matrix from three sides: of one organization, of one principal, of one permission.

A pivot is what a screen and a command show: columns, lines, and in each cell the sign of how the permission
is held there. Cells that are alike share what they hold, so a principal on ten thousand organizations costs
little more than their names.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, func, join, select

from store.access import Kind
from store.accessroles import given
from store.alerts import tokens
from store.closure import Held, Reach, Sign, World, WorldGroup, WorldKey
from store.keyrecipes import flairs
from store.models import Organization, SyncState, User
from store.permissions import categories, is_privileged, roles
from store.queries.scopes import oids_of
from store.text import Untrusted
from store.times import rfc3339

By = Literal["organization", "principal", "permission"]

NOWHERE = Untrusted("")

MOST_NAMED = 500
"""Organizations that a question names one by one; of more it asks about all."""

KINDS: tuple[Kind, ...] = ("user", "group", "key")


# The filter


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a filter line asks for, in lower case; every word must hold."""

    names: tuple[str, ...] = ()
    """Parts of what a line is called: a principal's name, or an organization's path."""
    users: tuple[str, ...] = ()
    """Parts of a principal's name."""
    organizations: tuple[str, ...] = ()
    """Parts of an organization's path."""
    permissions: tuple[str, ...] = ()
    """Which columns are shown."""
    kinds: tuple[str, ...] = ()
    """Any of them."""
    holding: tuple[str, ...] = ()
    """Permissions of which the line holds one."""
    domains: tuple[str, ...] = ()
    """Of an address: `acme.example` also means what is below it. Any of them."""
    groups: tuple[str, ...] = ()
    """Parts of the name, or the id, of a group through which something is held."""
    roles: tuple[str, ...] = ()
    """Roles of which the line holds every permission; any of them."""


_FIELDS = {
    "user": "users", "org": "organizations", "perm": "permissions", "kind": "kinds", "has": "holding",
    "domain": "domains", "group": "groups", "role": "roles",
}  # fmt: skip


def parse_filter(line: str, own: Iterable[str] = ()) -> Wanted:
    """Read a filter line: `user:kim perm:dr. kind:key has:dr.set domain:acme.example group:soc role:owner`.

    A bare word is a part of what a line is called. A permission with its dot is where one begins. Quotes keep
    spaces and colons: `group:"SOC L2"`. A prefix with nothing behind it asks for nothing.

    Args:
        own: names of the provider's own roles, such as `Pivot.roles`, beside LimaCharlie's.

    Raises:
        ValueError: an unknown prefix, kind or role, or a quote left open; the text says what is allowed.
    """
    found: dict[str, list[str]] = {name: [] for name in ("names", *_FIELDS.values())}
    named_roles = [*_roles(), *(name.casefold() for name in own)]
    for token in tokens(line.casefold()):
        prefix = token[1] or ""
        value = next(group for group in token.groups()[1:] if group is not None)
        if not value or (value[-1] == ":" and value[:-1] in _FIELDS):
            continue
        if not prefix:
            found["names"].append(value)
        elif prefix not in _FIELDS:
            raise ValueError(
                f"{prefix}: is no column; use {', '.join(f'{name}:' for name in [*_FIELDS][:-1])} or role:."
            )
        elif prefix == "kind" and value not in KINDS:
            raise ValueError(f"{value} is no kind; use user, group or key.")
        elif prefix == "role" and value not in named_roles:
            raise ValueError(f"{value} is no role; use {', '.join(named_roles)}.")
        else:
            found[_FIELDS[prefix]].append(value.removeprefix("@") if prefix == "domain" else value)
    return Wanted(**{name: tuple(words) for name, words in found.items()})


def own_roles(connection: Connection) -> dict[str, frozenset[str]]:
    """The provider's own roles as they were last given to groups: name in lower case -> permissions."""
    newest = sorted(given(connection).values(), key=lambda each: each.applied_at)
    return {each.role.casefold(): each.permissions for each in newest}


def _roles() -> dict[str, frozenset[str]]:
    return {name.casefold(): frozenset(held) for name, held in roles().items()}


def named_so(permission: str, word: str) -> bool:
    """Whether a permission holds a word; `dr.` with its dot is where it begins, not where another ends."""
    return permission.startswith(word) if "." in word else word in permission


# What is shown


class Column(msgspec.Struct, frozen=True, gc=False):
    """One column: a permission, or an organization."""

    key: str
    """The permission, or the oid."""
    category: str
    """Of the catalogue; of an organization the path of what it stands below, "" at the top."""
    name: Untrusted
    privileged: bool = False


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line: a principal, or an organization."""

    key: str
    """E-mail, gid or hash; or the oid."""
    kind: Literal["user", "group", "key", "organization"]
    name: Untrusted
    cells: Mapping[str, Sign]
    """Column key -> sign; what is absent is not held. It may hold more than the columns that are shown."""
    held: int
    """How many permissions, or in the pivot of a permission how many organizations."""
    path: Untrusted = NOWHERE
    """Of an organization; of a key where its organization is not the one that is shown, that one's."""
    mfa: bool | None = None
    """Of a user, in the pivot of an organization."""
    flairs: tuple[str, ...] = ()
    """Of a key: `bulk`, `segment` (it sees only what it made)."""


class Lacking(NamedTuple):
    """An organization whose access is not known, or not as new as the others'."""

    oid: str
    name: Untrusted
    checked_at: int | None
    """When it was last read completely (ms); None when never."""
    failure: str
    reason: Untrusted


@dataclass(frozen=True, slots=True)
class Pivot:
    """A matrix."""

    by: By
    subject: str
    """The oid, the principal, or the permission."""
    name: Untrusted
    kind: Literal["", "user", "group", "key"]
    """Of the principal, in its pivot."""
    columns: Sequence[Column]
    lines: Sequence[Line]
    total: int
    """How many lines there are without the filter."""
    organizations: int
    """How many are in the scope."""
    lacking: tuple[Lacking, ...]
    """Those among them of which access was never read, or could not be read the last time."""
    checked_at: int | None
    """When the oldest of the others was read (ms), at least; of one organization, when it was."""
    groups: Mapping[str, Untrusted]
    """gid -> name, of every group that may have to do with it."""
    roles: tuple[str, ...] = ()
    """The provider's own roles, by which it may be filtered."""


def pivot_organization(
    connection: Connection,
    oid: str,
    *,
    world: World | None = None,
    wanted: Wanted | None = None,
    everybody: bool = False,
    at: int | None = None,
) -> Pivot | None:
    """Principals by permissions of one organization; None if it is unknown.

    Args:
        world: where it was loaded before; what is needed is read when None.
        everybody: also users who are nothing there, of those that the world knows.
        at: the time (ms) that a given world is as of; None for now.
    """
    world = world or World.load(connection, oid=oid, at=at)
    if oid not in world.position or (oid not in world.organizations and oid not in world.gone):
        return None
    wanted = wanted or Wanted()
    mfa = _mfa(connection)
    own = own_roles(connection)
    alike = _Alike(world, wanted, own)
    lines: list[Line] = []
    total = 0
    here = world.keys.get(oid, {})
    found = world.organization(oid)
    if everybody:
        nothing = Held(0, ())
        keys = {key_hash: held for key_hash, held in found.items() if held.kind == "key"}
        found = {email: found.get(email, nothing) for email in sorted(world.people - keys.keys())} | keys
    holding = world.holding(oid)
    for email, held in found.items():
        if held.kind == "user":
            total += 1
            if _wants_user(wanted, email, [world.groups[gid] for gid, _ in held.groups]):
                lines += alike.line(email, "user", Untrusted(email), held, mfa=mfa.get(email))
    for group in holding:
        total += 1
        if _wants_group(wanted, group):
            lines += alike.line(group.gid, "group", group.name, Held(0, ((group.gid, group.permissions),)))
    for key_hash, held in found.items():
        if held.kind == "key":
            total += 1
            key = here[key_hash]
            if _wants_key(wanted, key):
                lines += alike.line(key_hash, "key", key.name, held, flairs=flairs(key.name))
    names = set[str]().union(*(line.cells for line in lines))
    lacking, checked_at = _reading(connection, [oid], world, at)
    return Pivot(
        by="organization", subject=oid, kind="", organizations=1, lines=lines, total=total, lacking=lacking,
        name=world.organizations.get(oid) or _gone_name(connection, oid), checked_at=checked_at,
        groups={group.gid: group.name for group in holding}, roles=tuple(own),
        columns=_permission_columns(names, wanted),
    )  # fmt: skip


def pivot_principal(
    connection: Connection,
    principal: str,
    *,
    kind: Kind = "user",
    scope: str = "",
    world: World | None = None,
    wanted: Wanted | None = None,
    everywhere: bool = False,
    at: int | None = None,
) -> Pivot | None:
    """Organizations by permissions of one principal: on every organization of the scope where it is anything.

    Organizations that the listing has stopped naming are left out.

    Args:
        principal: e-mail, gid or hash.
        scope: a node of the tree; "" for everything.
        everywhere: also where it is nothing, except of a key, which is of one organization.
        at: the time (ms) that a given world is as of; None for now.

    Returns:
        None when there is no such principal.
    """
    world = world or World.load(connection, principal=principal, at=at)
    wanted = wanted or Wanted()
    name = _name_of(world, principal, kind)
    if name is None:
        return None
    below = _below(connection, scope, world)
    found: Mapping[str, Held]
    if kind == "group":
        group = world.groups[principal]
        found = dict.fromkeys(group.organizations, Held(0, ((group.gid, group.permissions),)))
    else:
        found = {oid: held for oid, held in world.principal(principal).items() if held.kind == kind}
    own = own_roles(connection)
    alike = _Alike(world, wanted, own)
    nothing = Held(0, ()) if everywhere and kind != "key" else None
    lines: list[Line] = []
    total = 0
    through = _through(world, wanted)
    words = wanted.names + wanted.organizations
    for oid, path in world.paths.items():
        held = found.get(oid, nothing)
        if held is None or (below is not None and oid not in below):
            continue
        total += 1
        if not _wants_organization(words, oid, path):
            continue
        if through is not None and not any(gid in through for gid, _ in held.groups):
            continue
        lines += alike.line(oid, "organization", world.organizations[oid], held, path=path)
    names = set[str]()
    for cells in {id(line.cells): line.cells for line in lines}.values():
        names |= cells.keys()
    lacking, checked_at = _reading(connection, below, world, at, "keys" if kind == "key" else "access")
    return Pivot(
        by="principal", subject=principal, name=name, kind=kind, lines=lines, total=total, lacking=lacking,
        columns=_permission_columns(names, wanted), checked_at=checked_at, roles=tuple(own),
        organizations=len(world.organizations if below is None else below),
        groups={gid: group.name for gid, group in world.groups.items()},
    )  # fmt: skip


def pivot_permission(
    connection: Connection,
    permission: str,
    *,
    scope: str = "",
    world: World | None = None,
    wanted: Wanted | None = None,
    everybody: bool = False,
    at: int | None = None,
) -> Pivot:
    """Principals by organizations of one permission: everybody who has it anywhere in the scope.

    Organizations that the listing has stopped naming are left out.

    Args:
        everybody: also users and groups that have it nowhere.
        at: the time (ms) that a given world is as of; None for now.
    """
    world = world or World.load(connection, at=at)
    wanted = wanted or Wanted()
    below = _below(connection, scope, world)
    every, shown, inside = world.once("columns", lambda: _organization_columns(world, None, ()))
    columns = every
    if below is not None or wanted.organizations:
        columns, shown, inside = _organization_columns(world, below, wanted.organizations)
    lines: list[Line] = []
    total = 0
    bit = world.bit(permission)
    reaches = world.permission(permission)
    if everybody:
        nowhere = Reach(frozenset(), ())
        reaches = {email: reaches.get(email, nowhere) for email in sorted(world.people)} | {
            each: reach for each, reach in reaches.items() if reach.kind == "key"
        }
    for email, reach in reaches.items():
        held = (world.organizations_with(reach) & shown).bit_count() if reach.kind == "user" else 0
        if reach.kind == "user" and (held or everybody):
            total += 1
            groups = [world.groups[gid] for gid in reach.groups]
            if _wants_user(wanted, email, groups):
                cells = _Reaching("user", reach.direct, groups, inside)
                lines.append(Line(email, "user", Untrusted(email), cells, held))
    for gid, group in world.groups.items():
        gives = bit is not None and bool(group.permissions >> bit & 1)
        held = (world.organizations_of(gid) & shown).bit_count() if gives else 0
        if held or everybody:
            total += 1
            if _wants_group(wanted, group):
                cells = _Reaching("group", frozenset(), [group] if gives else [], inside)
                lines.append(Line(gid, "group", group.name, cells, held))
    keys = [
        (key.name, key_hash, key, oids)
        for key_hash, reach in reaches.items()
        if reach.kind == "key" and (oids := reach.direct & inside)
        for key in (_key_of(world, key_hash, reach),)
    ]
    total += len(keys)
    for name, key_hash, key, oids in sorted(keys, key=lambda each: each[:2]):
        if _wants_key(wanted, key):
            lines.append(
                Line(
                    key_hash, "key", name, dict.fromkeys(oids, "K"), len(oids),
                    path=world.paths[min(oids)], flairs=flairs(name),
                )
            )  # fmt: skip
    lacking, checked_at = _reading(connection, below, world, at)
    return Pivot(
        by="permission", subject=permission, name=Untrusted(permission), kind="", columns=columns,
        lines=lines, total=total, lacking=lacking, checked_at=checked_at,
        organizations=len(world.organizations if below is None else below),
        groups={gid: group.name for gid, group in world.groups.items()},
    )  # fmt: skip


def paths(world: World, kind: str, principal: str, permission: str, oid: str) -> tuple[str, ...]:
    """("direct", gid, ...) of every way by which a cell is held."""
    bit = world.bit(permission)
    if bit is None:
        return ()
    if kind == "group":
        group = world.groups.get(principal)
        here = group is not None and oid in group.organizations and group.permissions >> bit & 1
        return (principal,) if here else ()
    if kind == "key":
        key = world.keys.get(oid, {}).get(principal)
        return ("direct",) if key is not None and key.permissions >> bit & 1 else ()
    held = world.held(principal, oid)
    return held.paths(bit) if held is not None and held.kind == "user" else ()


# Cells


class _Reaching(Mapping[str, Sign]):
    """oid -> sign of one principal, looked up when it is asked for."""

    __slots__ = ("_direct", "_groups", "_inside", "_kind")

    def __init__(
        self, kind: Kind, direct: frozenset[str], groups: Sequence[WorldGroup], inside: frozenset[str]
    ) -> None:
        self._kind = kind
        self._direct = direct
        self._groups = groups
        self._inside = inside

    def __getitem__(self, oid: str) -> Sign:
        if oid in self._inside:
            through = any(oid in group.organizations for group in self._groups)
            if oid in self._direct:
                return "B" if through else "D"
            if through:
                return "G"
        raise KeyError(oid)

    def _oids(self) -> frozenset[str]:
        return self._inside & self._direct.union(*(group.organizations for group in self._groups))

    def __iter__(self) -> Iterator[str]:
        return iter(self._oids())

    def __len__(self) -> int:
        return len(self._oids())


class _Alike:
    """Makes the lines of permissions; those that hold alike share their cells."""

    def __init__(self, world: World, wanted: Wanted, own: Mapping[str, frozenset[str]]) -> None:
        self._world = world
        self._wanted = wanted
        # Its own role of the same name is what a provider means by it.
        self._roles = [held for name, held in (_roles() | dict(own)).items() if name in wanted.roles]
        self._known: dict[tuple[int, int, str], tuple[dict[str, Sign], bool]] = {}

    def line(
        self,
        key: str,
        kind: Literal["user", "group", "key", "organization"],
        name: Untrusted,
        held: Held,
        *,
        path: Untrusted = NOWHERE,
        mfa: bool | None = None,
        flairs: tuple[str, ...] = (),
    ) -> Iterable[Line]:
        """The line, or nothing where the filter does not want it for what it holds."""
        through = 0
        for _, gives in held.groups:
            through |= gives
        alike = (held.direct, through, held.kind)
        found = self._known.get(alike)
        if found is None:
            found = self._known[alike] = self._cells(*alike)
        cells, wants = found
        if not wants:
            return ()
        return (Line(key, kind, name, cells, len(cells), path, mfa, flairs),)

    def _cells(self, direct: int, through: int, kind: str) -> tuple[dict[str, Sign], bool]:
        of = self._world.permissions
        cells: dict[str, Sign] = {}
        if kind == "key":
            cells.update(dict.fromkeys(of(direct), "K"))
        else:
            cells.update(dict.fromkeys(of(direct & ~through), "D"))
            cells.update(dict.fromkeys(of(direct & through), "B"))
            cells.update(dict.fromkeys(of(through & ~direct), "G"))
        wants = all(any(named_so(name, word) for name in cells) for word in self._wanted.holding) and (
            not self._wanted.roles or any(held <= cells.keys() for held in self._roles)
        )
        return cells, wants


def _organization_columns(
    world: World, below: set[str] | None, words: Sequence[str]
) -> tuple[list[Column], int, frozenset[str]]:
    """The columns, and their organizations as both kinds of set."""
    names = world.organizations
    columns = [
        Column(oid, _above(path, names[oid]), names[oid])
        for oid, path in world.paths.items()
        if (below is None or oid in below) and _wants_organization(words, oid, path)
    ]
    inside = frozenset([column.key for column in columns])
    return columns, world.oid_mask(inside), inside


def _permission_columns(names: Iterable[str], wanted: Wanted) -> list[Column]:
    shown = [name for name in names if all(named_so(name, word) for word in wanted.permissions)]
    return [
        Column(name, category, Untrusted(name), is_privileged(name))
        for category, members in categories(shown)
        for name in members
    ]


# What the filter wants


def _wants_user(wanted: Wanted, email: str, groups: Sequence[WorldGroup]) -> bool:
    name = email.casefold()
    return (
        (not wanted.kinds or "user" in wanted.kinds)
        and all(word in name for word in wanted.names + wanted.users)
        and (not wanted.domains or _in_domain(name, wanted.domains))
        and all(any(_group_named(group, word) for group in groups) for word in wanted.groups)
    )


def _wants_group(wanted: Wanted, group: WorldGroup) -> bool:
    name = group.name.casefold()
    return (
        (not wanted.kinds or "group" in wanted.kinds)
        and all(word in name for word in wanted.names + wanted.users)
        and not wanted.domains
        and all(_group_named(group, word) for word in wanted.groups)
    )


def _wants_key(wanted: Wanted, key: WorldKey) -> bool:
    name = key.name.casefold()
    return (
        (not wanted.kinds or "key" in wanted.kinds)
        and all(word in name or word == key.key_hash for word in wanted.names + wanted.users)
        and not wanted.domains
        and not wanted.groups
    )


def _wants_organization(words: Sequence[str], oid: str, path: str) -> bool:
    return not words or all(word in path.casefold() or word == oid for word in words)


def _in_domain(email: str, domains: Sequence[str]) -> bool:
    domain = email.rpartition("@")[2]
    return any(domain == each or domain.endswith(f".{each}") for each in domains)


def _group_named(group: WorldGroup, word: str) -> bool:
    return word in group.name.casefold() or word == group.gid.casefold()


def _through(world: World, wanted: Wanted) -> frozenset[str] | None:
    """The groups through which something has to be held; None when it does not matter."""
    if not wanted.groups:
        return None
    return frozenset(
        gid for gid, group in world.groups.items() if all(_group_named(group, word) for word in wanted.groups)
    )


# Names, scope and age


def _above(path: str, name: str) -> str:
    """Where an organization stands, without itself; a name may hold a stroke."""
    if path == name:
        return ""
    return path[: -len(name) - 1] if path.endswith(f"/{name}") else path.rpartition("/")[0]


def _name_of(world: World, principal: str, kind: Kind) -> Untrusted | None:
    if kind == "user":
        return Untrusted(principal) if principal in world.people else None
    if kind == "group":
        group = world.groups.get(principal)
        return None if group is None else group.name
    key = next((keys[principal] for keys in world.keys.values() if principal in keys), None)
    return None if key is None else key.name


def _key_of(world: World, key_hash: str, reach: Reach) -> WorldKey:
    return world.keys[min(reach.direct)][key_hash]


def _gone_name(connection: Connection, oid: str) -> Untrusted:
    table = Organization.__table__.c  # type: ignore[attr-defined]
    name = connection.execute(select(table.name).where(table.oid == oid)).scalar_one_or_none()
    return Untrusted(name or oid)


def _mfa(connection: Connection) -> dict[str, bool | None]:
    table = User.__table__.c  # type: ignore[attr-defined]
    return {email: mfa for email, mfa in connection.execute(select(table.email, table.mfa))}


def _below(connection: Connection, scope: str, world: World) -> set[str] | None:
    """The organizations of a scope that are there; None for all."""
    wanted = oids_of(connection, scope)
    if wanted is None:
        return None
    return world.organizations.keys() & set(connection.execute(wanted).scalars())


def lacking_of(connection: Connection, scope: str, world: World, at: int) -> tuple[Lacking, ...]:
    """The organizations of a scope whose access was not read by then (ms), or not any more."""
    return _reading(connection, _below(connection, scope, world), world, at)[0]


def _reading(
    connection: Connection,
    below: Iterable[str] | None,
    world: World,
    at: int | None,
    subject: str = "access",
) -> tuple[tuple[Lacking, ...], int | None]:
    """Which organizations were not read well, and when the oldest of the others was read.

    Args:
        at: asked as of then (ms): what was not read yet is lacking, and what could not be read since before.
    """
    table = SyncState.__table__.c  # type: ignore[attr-defined]
    organization = Organization.__table__.c  # type: ignore[attr-defined]
    oid = organization.oid
    names: Mapping[str, Untrusted] = world.organizations
    there = organization.gone_at.is_(None)
    limits = [there if at is None else there | (organization.gone_at > at)]
    if below is not None:
        names = {each: names.get(each, Untrusted(each)) for each in below}
        if len(names) <= MOST_NAMED:
            limits = [oid.in_(names)]
    together = join(
        Organization.__table__,  # type: ignore[attr-defined]
        SyncState.__table__,  # type: ignore[attr-defined]
        (table.oid == oid) & (table.subject == subject),
        isouter=True,
    )
    unread, failed = table.checked_at.is_(None), table.failure != ""
    if at is not None:
        unread = table.first_at.is_(None) | (table.first_at > at)
        failed = failed & (table.checked_at < at)
    well = ~unread & ~failed
    oldest, read = connection.execute(
        select(func.min(table.checked_at), func.count()).select_from(together).where(well, *limits)
    ).one()
    if read == len(names) <= MOST_NAMED or (read == len(names) and below is None):
        return (), oldest if at is None or oldest is None else min(oldest, at)
    lacking = tuple(
        Lacking(each, names[each], checked_at, failure or "", Untrusted(reason or ""))
        if at is None
        else _lacking_then(each, names[each], checked_at, failure, reason, first_at, first_seen, at)
        for each, checked_at, failure, reason, first_at, first_seen in connection.execute(
            select(
                oid,
                table.checked_at,
                table.failure,
                table.reason,
                table.first_at,
                organization.first_seen,
            )
            .select_from(together)
            .where(unread | failed, *limits)
        )
        if each in names
    )
    found = lacking[0].checked_at if len(names) == 1 and lacking else oldest
    return lacking, found if at is None or found is None else min(found, at)


def gap_words(lacking: Lacking) -> str:
    """What is not known of an organization as of an earlier time, as a sentence."""
    if lacking.checked_at is None:
        return f"Who might do what on {lacking.name} then is not known: {lacking.reason}."
    return (
        f"Of {lacking.name} it is known only as it was read on {rfc3339(lacking.checked_at)}: "
        f"{lacking.reason or lacking.failure}"
    )


def _lacking_then(
    oid: str,
    name: Untrusted,
    checked_at: int | None,
    failure: str | None,
    reason: str | None,
    first_at: int | None,
    first_seen: int,
    at: int,
) -> Lacking:
    """An organization that was not read by then (ms), or not any more, in words."""
    if first_at is not None and first_at <= at:
        return Lacking(oid, name, checked_at, failure or "", Untrusted(reason or ""))
    when = "it was never read" if first_at is None else f"it is known only since {rfc3339(first_at)}"
    if first_seen > at:
        when = f"the store has it since {rfc3339(first_seen)}"
    return Lacking(oid, name, None, "not yet", Untrusted(when))
