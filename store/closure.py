"""Who may do what everywhere at once: the whole of access in memory, as bit masks.

A set of permissions is a Python integer with one bit for each (`World.names`), a set of organizations one
with a bit for each of `World.oids`. Nothing is multiplied out: what somebody has somewhere is worked out when
it is asked for, from what was granted and the groups. So ten thousand organizations with five hundred people
take some thirty megabytes, and a changed world shares with the one it was made of all but what changed.

What decides is what `store.access` says: what is granted directly, and what every group gives that holds the
organization and has the user as a member; its owners receive nothing. A key has what it was made with, on its
own organization. Permissions are compared as they are written.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection, Text, cast, func, select

from store.access import Kind
from store.accesschanges import NEW, AccessChange, ordered
from store.models import Node, Organization, User
from store.permissions import catalogue, is_privileged
from store.queries.asof import access_tables
from store.text import Untrusted

Sign = Literal["", "D", "G", "B", "K"]
"""Not; directly; through a group; both; as a key."""

Made = TypeVar("Made")

MOST_ROWS = 500
"""How many of the grants that somebody gains or loses are spelled out; all are counted."""

MOST_OIDS = 20
"""How many of the organizations of one gain are named."""


class UnknownGroup(LookupError):
    """A change names a group that is not there; the argument is its gid."""


class Held(NamedTuple):
    """What a principal has on one organization, and through what."""

    direct: int
    """Permissions granted directly; of a key, those it was made with."""
    groups: tuple[tuple[str, int], ...]
    """(gid, permissions) of each group by which it comes, by name of the group."""
    kind: Kind = "user"

    @property
    def mask(self) -> int:
        """Everything that is held."""
        mask = self.direct
        for _, given in self.groups:
            mask |= given
        return mask

    def sign(self, bit: int) -> Sign:
        """How the permission with this number is held."""
        if self.kind == "key":
            return "K" if self.direct >> bit & 1 else ""
        through = any(given >> bit & 1 for _, given in self.groups)
        if self.direct >> bit & 1:
            return "B" if through else "D"
        return "G" if through else ""

    def paths(self, bit: int) -> tuple[str, ...]:
        """("direct", gid, ...) of every way by which the permission with this number is held."""
        direct = ("direct",) if self.direct >> bit & 1 else ()
        return (*direct, *(gid for gid, given in self.groups if given >> bit & 1))


@dataclass(frozen=True, slots=True)
class WorldGroup:
    """A group with all it holds."""

    gid: str
    name: Untrusted
    members: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    organizations: frozenset[str] = frozenset()
    permissions: int = 0
    complete: bool = True
    """False when only organizations' own listings named it: it may hold more."""


class WorldKey(msgspec.Struct, frozen=True, gc=False):
    """An API key of one organization; of very many the look for garbage would take long."""

    oid: str
    key_hash: str
    name: Untrusted
    permissions: int = 0


class Reach(NamedTuple):
    """Where a principal has one permission."""

    direct: frozenset[str]
    """Organizations on which it is granted directly; of a key, its own."""
    groups: tuple[str, ...]
    """The groups that give it, on each of their organizations, by name."""
    kind: Kind = "user"


class World:
    """Everybody's access to everything, at one moment; it never changes, `changed` makes another one."""

    __slots__ = (
        "_bits", "_by_group", "_holdings", "_made", "_organizations_of", "_spelled", "direct", "gone",
        "groups", "keys", "names", "oids", "organizations", "paths", "people", "position",
    )  # fmt: skip

    names: tuple[str, ...]
    """Permissions by bit: the catalogue in its order, then whatever else somebody holds."""
    oids: tuple[str, ...]
    """Organizations by bit."""
    position: dict[str, int]
    """The bit of each organization."""
    organizations: dict[str, Untrusted]
    """Name of each organization that is there, in the order of `paths`."""
    paths: dict[str, Untrusted]
    """Where each of them stands in the tree, or its name; sorted."""
    gone: frozenset[str]
    """Organizations that the listing has stopped naming."""
    people: frozenset[str]
    """Users who are known, whether they have anything or not."""
    groups: dict[str, WorldGroup]
    """By gid, ordered by name."""
    direct: dict[str, dict[str, int]]
    """E-mail -> oid -> permissions; 0 is somebody added without any."""
    keys: dict[str, dict[str, WorldKey]]
    """oid -> hash -> key."""

    def __init__(self) -> None:
        """A world with nothing in it."""
        self.names = tuple(each.name for each in catalogue())
        self._bits = {name: at for at, name in enumerate(self.names)}
        self.oids = ()
        self.position = {}
        self.organizations = {}
        self.paths = {}
        self.gone = frozenset()
        self.people = frozenset()
        self.groups = {}
        self.direct = {}
        self.keys = {}
        self._forget()

    def _forget(self) -> None:
        """Empty what was worked out of the rest."""
        self._organizations_of: dict[str, int] = {}
        self._spelled: dict[int, tuple[str, ...]] = {}
        self._by_group: dict[str, tuple[WorldGroup, ...]] = {}
        self._holdings: dict[str, dict[str, int]] | None = None
        self._made: dict[str, Any] = {}

    @classmethod
    def load(
        cls, connection: Connection, *, oid: str = "", principal: str = "", at: int | None = None
    ) -> "World":
        """Everything that the store knows; about a third of a second for ten thousand organizations.

        Args:
            oid: only what decides about this organization.
            principal: only what decides about this user (e-mail), group (gid) or key (hash). The members of
                the groups are then not all known.
            at: as it was at this time (ms); organizations are those that are there, or were then, and stand
                in the tree where they stand now.
        """
        world = cls()
        _Loading(world, connection, oid, principal, at).read()
        return world

    # Sets as numbers

    def bit(self, permission: str) -> int | None:
        """The number of a permission; None when nobody holds it and the catalogue has none of this name."""
        return self._bits.get(permission)

    def mask(self, permissions: Iterable[str]) -> int:
        """Those of these permissions that have a number."""
        mask = 0
        for name in permissions:
            bit = self._bits.get(name)
            if bit is not None:
                mask |= 1 << bit
        return mask

    def permissions(self, mask: int) -> tuple[str, ...]:
        """The names of a set of permissions, in the order of `names`."""
        found = self._spelled.get(mask)
        if found is None:
            found = self._spelled[mask] = tuple(self.names[bit] for bit in bits(mask))
        return found

    def oids_of(self, mask: int) -> Iterator[str]:
        """The organizations of a set of them."""
        return (self.oids[bit] for bit in bits(mask))

    def oid_mask(self, oids: Iterable[str]) -> int:
        """Organizations as a set."""
        return _packed(list(map(self.position.__getitem__, oids)), len(self.oids))

    # One principal, one organization, one permission

    def kind(self, principal: str) -> Kind | None:
        """What a principal is; None when nothing of that name is known."""
        if principal in self.people or principal in self.direct:
            return "user"
        if any(principal in keys for keys in self.keys.values()):
            return "key"
        return "group" if principal in self.groups else None

    def groups_of(self, email: str) -> tuple[WorldGroup, ...]:
        """The groups that somebody is a member of, by name."""
        found = self._by_group.get(email)
        if found is None:
            found = tuple(group for group in self.groups.values() if email in group.members)
            self._by_group[email] = found
        return found

    def holding(self, oid: str) -> tuple[WorldGroup, ...]:
        """The groups that hold an organization, by name."""
        return tuple(group for group in self.groups.values() if oid in group.organizations)

    def here(self, oid: str) -> dict[str, int]:
        """E-mail -> what is granted directly on one organization; 0 is somebody added without any."""
        if self._holdings is None:
            holdings: dict[str, dict[str, int]] = {}
            for email, held in self.direct.items():
                for at, mask in held.items():
                    holdings.setdefault(at, {})[email] = mask
            self._holdings = holdings
        return self._holdings.get(oid, {})

    def held(self, principal: str, oid: str) -> Held | None:
        """What one principal has on one organization; None for who is nothing there."""
        direct = self.direct.get(principal, {}).get(oid)
        groups = tuple(
            (group.gid, group.permissions)
            for group in self.groups_of(principal)
            if oid in group.organizations
        )
        if direct is not None or groups:
            return Held(direct or 0, groups)
        key = self.keys.get(oid, {}).get(principal)
        return None if key is None else Held(key.permissions, (), "key")

    def can(self, principal: str, permission: str, oid: str) -> Sign:
        """Whether somebody has a permission on an organization, and how; "" when not."""
        bit, held = self._bits.get(permission), self.held(principal, oid)
        return "" if bit is None or held is None else held.sign(bit)

    def organization(self, oid: str) -> dict[str, Held]:
        """Everybody who is anything on an organization: users by e-mail, then keys by name."""
        through: dict[str, list[tuple[str, int]]] = {}
        for group in self.holding(oid):
            given = (group.gid, group.permissions)
            for email in group.members:
                through.setdefault(email, []).append(given)
        direct = self.here(oid)
        found = {
            email: Held(direct.get(email, 0), tuple(through.get(email, ())))
            for email in sorted(direct.keys() | through.keys())
        }
        keys = sorted(self.keys.get(oid, {}).values(), key=lambda key: (key.name, key.key_hash))
        return found | {key.key_hash: Held(key.permissions, (), "key") for key in keys}

    def principal(self, principal: str) -> dict[str, Held]:
        """Every organization on which a user or a key is anything; in no order."""
        mine = self.groups_of(principal)
        holding: dict[str, int] = {}
        for at, group in enumerate(mine):
            bit = 1 << at
            for oid in group.organizations:
                holding[oid] = holding.get(oid, 0) | bit
        direct = self.direct.get(principal, {})
        for oid in direct:
            holding.setdefault(oid, 0)
        alike: dict[tuple[int, int], Held] = {}
        found: dict[str, Held] = {}
        for oid, groups in holding.items():
            key = (direct.get(oid, 0), groups)
            held = alike.get(key)
            if held is None:
                given = tuple((mine[at].gid, mine[at].permissions) for at in bits(groups))
                held = alike[key] = Held(key[0], given)
            found[oid] = held
        for oid, keys in self.keys.items():
            if principal in keys and oid not in found:
                found[oid] = Held(keys[principal].permissions, (), "key")
        return found

    def permission(self, permission: str) -> dict[str, Reach]:
        """Everybody who has a permission anywhere, and where: users by e-mail, then keys by hash.

        Not multiplied out: see `organizations_with` for the organizations, and `can` for one of them.
        """
        bit = self._bits.get(permission)
        if bit is None:
            return {}
        flag = 1 << bit
        through: dict[str, list[str]] = {}
        for group in self.groups.values():
            if group.permissions & flag and group.organizations:
                for email in group.members:
                    through.setdefault(email, []).append(group.gid)
        found: dict[str, Reach] = {}
        nowhere = frozenset[str]()
        for email in sorted(self.direct.keys() | through.keys()):
            held = self.direct.get(email)
            direct = nowhere
            if held:
                direct = frozenset([oid for oid, mask in held.items() if mask & flag])
            groups = through.get(email)
            if direct or groups:
                found[email] = Reach(direct, tuple(groups or ()))
        keys: dict[str, list[str]] = {}
        for oid, here in self.keys.items():
            for key in here.values():
                if key.permissions & flag:
                    keys.setdefault(key.key_hash, []).append(oid)
        for key_hash in sorted(keys.keys() - found.keys()):
            found[key_hash] = Reach(frozenset(keys[key_hash]), (), "key")
        return found

    def organizations_with(self, reach: Reach) -> int:
        """The set of organizations that a reach comes to."""
        mask = self.oid_mask(reach.direct) if reach.direct else 0
        for gid in reach.groups:
            mask |= self.organizations_of(gid)
        return mask

    def organizations_of(self, gid: str) -> int:
        """The set of organizations of a group."""
        mask = self._organizations_of.get(gid)
        if mask is None:
            mask = self._organizations_of[gid] = self.oid_mask(self.groups[gid].organizations)
        return mask

    def once(self, what: str, make: Callable[[], Made]) -> Made:
        """Something that is worked out of this world alone, at the first call of this name."""
        if what not in self._made:
            self._made[what] = make()
        found: Made = self._made[what]
        return found

    # Everything

    def everywhere(self, principal: str) -> dict[str, int]:
        """What a user has on every organization: oid -> permissions, 0 included; in no order."""
        found = dict(self.direct.get(principal, {}))
        for group in self.groups_of(principal):
            given = group.permissions
            if found:
                for oid in group.organizations:
                    found[oid] = found.get(oid, 0) | given
            else:
                found = dict.fromkeys(group.organizations, given)
        return found

    def closure(self) -> Iterator[tuple[str, str, int]]:
        """(principal, oid, permissions) of everybody who has any, on every organization; users, then keys."""
        members = set[str]().union(*(group.members for group in self.groups.values()))
        for email in sorted(self.direct.keys() | members):
            for oid, mask in self.everywhere(email).items():
                if mask:
                    yield email, oid, mask
        for oid, keys in self.keys.items():
            for key in keys.values():
                if key.permissions:
                    yield key.key_hash, oid, key.permissions

    # What if

    def changed(self, changes: Iterable[AccessChange]) -> "World":
        """The world after these changes, made in the order of a plan; what they do not touch is shared.

        A change that holds already changes nothing.

        Raises:
            UnknownGroup: one names a group that is neither there nor made by these changes.
        """
        world = World.__new__(World)
        for name in ("names", "oids", "position", "organizations", "paths", "gone", "people", "_bits"):
            setattr(world, name, getattr(self, name))
        world.groups, world.direct, world.keys = dict(self.groups), dict(self.direct), dict(self.keys)
        world._forget()
        own_direct: set[str] = set()
        own_keys: set[str] = set()
        for change in ordered(changes):
            _MAKE[change.kind](world, change, own_direct, own_keys)
        # Sorted again only where there is another one: the order is by name.
        if world.groups.keys() != self.groups.keys():
            world.groups = _by_name(world.groups)
        for gid, group in world.groups.items():
            before = self.groups.get(gid)
            if before is not None and before.organizations is group.organizations:
                known = self._organizations_of.get(gid)
                if known is not None:
                    world._organizations_of[gid] = known
        return world

    def _own(self, email: str, own: set[str]) -> dict[str, int]:
        """What somebody is granted directly, in a dictionary of this world's own."""
        if email not in own:
            self.direct[email] = dict(self.direct.get(email, {}))
            own.add(email)
        return self.direct[email]

    def _number(self, permission: str) -> int:
        """The bit of a permission, which gets one if it has none."""
        bit = self._bits.get(permission)
        if bit is None:
            bit = len(self.names)
            self.names = (*self.names, permission)
            self._bits = {**self._bits, permission: bit}
        return bit

    def _place(self, oid: str) -> None:
        """Give an organization that nobody knew yet its bit."""
        if oid not in self.position:
            self.position = {**self.position, oid: len(self.oids)}
            self.oids = (*self.oids, oid)

    def _group(self, gid: str) -> WorldGroup:
        group = self.groups.get(gid)
        if group is None:
            raise UnknownGroup(gid)
        return group


def bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, lowest first."""
    if mask.bit_length() <= 512 or mask.bit_count() <= 16:
        while mask:
            low = mask & -mask
            yield low.bit_length() - 1
            mask ^= low
        return
    # Every operation copies all of a long number, so one with much in it is taken apart a byte at a time.
    for at, byte in enumerate(mask.to_bytes((mask.bit_length() + 7) // 8, "little")):
        if byte:
            for bit in _IN_BYTE[byte]:
                yield at * 8 + bit


_IN_BYTE: tuple[tuple[int, ...], ...] = tuple(
    tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256)
)


def _packed(positions: Sequence[int], size: int) -> int:
    if len(positions) < _MANY:
        packed = bytearray(size // 8 + 1)
        for at in positions:
            packed[at >> 3] |= 1 << (at & 7)
        return int.from_bytes(packed, "little")
    written = bytearray(b"0") * size
    for at in positions:
        written[at] = _ONE
    written.reverse()
    return int(written, 2)


_MANY = 200
"""Positions from which on it is quicker to write the number down digit by digit."""
_ONE = ord("1")


def _by_name(groups: Mapping[str, WorldGroup]) -> dict[str, WorldGroup]:
    return dict(sorted(groups.items(), key=lambda each: (each[1].name, each[0])))


# Reading


class _Loading:
    """Fills a world from the store; equal lists of permissions are decoded once."""

    def __init__(
        self,
        world: World,
        connection: Connection,
        oid: str = "",
        principal: str = "",
        at: int | None = None,
    ) -> None:
        self._world = world
        self._connection = connection
        self._at = at
        self._tables = access_tables(at)
        self._oid, self._principal = oid, principal
        self._numbers = dict(world._bits)
        self._masks: dict[str, int] = {}
        self._oids: dict[str, str] = {}
        """Each oid as the one string that all of it share."""

    def read(self) -> None:
        """Everything."""
        world = self._world
        self._organizations()
        groups = self._groups()
        self._direct()
        self._keys()
        world.groups = _by_name(groups)
        world.names = tuple(self._numbers)
        world._bits = self._numbers
        world.oids = tuple(self._oids)
        world.position = {oid: at for at, oid in enumerate(world.oids)}
        people = set(self._people()) | world.direct.keys()
        for group in groups.values():
            people |= group.members | group.owners
        world.people = frozenset(people)

    def _mask(self, text: str) -> int:
        mask = self._masks.get(text)
        if mask is None:
            mask = 0
            for name in _decoded(text):
                mask |= 1 << self._numbers.setdefault(name, len(self._numbers))
            self._masks[text] = mask
        return mask

    def _listed(self, column: Any) -> Any:
        """All of a column as the text of one JSON list: a row costs more than what is in it."""
        if self._connection.dialect.name == "postgresql":
            return cast(func.json_agg(column), Text)
        return func.json_group_array(column)

    def _organizations(self) -> None:
        table, node = Organization.__table__.c, Node.__table__.c  # type: ignore[attr-defined]
        wanted = select(table.oid, table.name, table.gone_at, node.path).join_from(
            Organization, Node, table.oid == node.oid, isouter=True
        )
        if self._oid:
            wanted = wanted.where(table.oid == self._oid)
        rows = [
            (path or name, oid, name, gone_at)
            for oid, name, gone_at, path in self._connection.execute(wanted)
        ]
        rows.sort(key=lambda row: (row[0].casefold(), row[1]))
        gone = set()
        for path, oid, name, gone_at in rows:
            self._oids[oid] = oid
            if gone_at is None or (self._at is not None and self._at < gone_at):
                self._world.organizations[oid] = Untrusted(name)
                self._world.paths[oid] = Untrusted(path)
            else:
                gone.add(oid)
        self._world.gone = frozenset(gone)

    def _groups(self) -> dict[str, WorldGroup]:
        group, member, holds = self._tables.group.c, self._tables.member.c, self._tables.holds.c
        groups = select(group.gid, group.name, cast(group.permissions, Text), group.complete)
        memberships = select(member.gid, member.email, member.owner)
        holdings = select(holds.gid, self._listed(holds.oid)).group_by(holds.gid)
        if self._oid:
            here = select(holds.gid).where(holds.oid == self._oid)
            groups = groups.where(group.gid.in_(here))
            memberships = memberships.where(member.gid.in_(here))
            holdings = holdings.where(holds.oid == self._oid)
        if self._principal:
            mine = select(member.gid).where(member.email == self._principal)
            own = self._principal
            groups = groups.where(group.gid.in_(mine) | (group.gid == own))
            memberships = memberships.where((member.email == own) | (member.gid == own))
            holdings = holdings.where(holds.gid.in_(mine) | (holds.gid == own))
        members: dict[str, set[str]] = {}
        owners: dict[str, set[str]] = {}
        emails: dict[str, str] = {}
        for gid, email, owner in self._connection.execute(memberships):
            (owners if owner else members).setdefault(gid, set()).add(emails.setdefault(email, email))
        held: dict[str, set[str]] = {}
        oids = self._oids
        for gid, listed in self._connection.execute(holdings):
            held[gid] = {oids.setdefault(oid, oid) for oid in _decoded(listed)}
        return {
            gid: WorldGroup(
                gid,
                Untrusted(name),
                frozenset(members.get(gid, ())),
                frozenset(owners.get(gid, ())),
                frozenset(held.get(gid, ())),
                self._mask(permissions),
                bool(complete),
            )
            for gid, name, permissions, complete in self._connection.execute(groups)
        }

    def _direct(self) -> None:
        table = self._tables.direct.c
        direct, oids, mask = self._world.direct, self._oids, self._mask
        wanted = self._limited(
            select(table.email, table.oid, cast(table.permissions, Text)), table.oid, table.email
        )
        for email, oid, permissions in self._connection.execute(wanted):
            held = direct.get(email)
            if held is None:
                held = direct[email] = {}
            held[oids.setdefault(oid, oid)] = mask(permissions)

    def _keys(self) -> None:
        table = self._tables.key.c
        keys = self._world.keys
        wanted = self._limited(
            select(table.oid, table.key_hash, table.name, cast(table.permissions, Text)),
            table.oid,
            table.key_hash,
        )
        for oid, key_hash, name, permissions in self._connection.execute(wanted):
            oid = self._oids.setdefault(oid, oid)
            keys.setdefault(oid, {})[key_hash] = WorldKey(
                oid, key_hash, Untrusted(name), self._mask(permissions)
            )

    def _people(self) -> Iterable[str]:
        user = User.__table__.c  # type: ignore[attr-defined]
        wanted = select(user.email)
        if self._principal:
            wanted = wanted.where(user.email == self._principal)
        # Who is in the store, but has nothing to do with an organization, is nobody there.
        return () if self._oid else self._connection.execute(wanted).scalars()

    def _limited(self, wanted: Any, oid: Any, principal: Any) -> Any:
        if self._oid:
            wanted = wanted.where(oid == self._oid)
        return wanted.where(principal == self._principal) if self._principal else wanted


def _decoded(text: str) -> list[str]:
    try:
        return msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:  # half of a surrogate pair, which msgspec refuses
        return [str(name) for name in json.loads(text)]


# Changing

_Make = Callable[[World, AccessChange, set[str], set[str]], None]


def _add_user(world: World, change: AccessChange, own: set[str], _keys: set[str]) -> None:
    world._place(change.oid)
    world._own(change.principal, own).setdefault(change.oid, 0)
    world.people |= {change.principal}


def _grant(world: World, change: AccessChange, own: set[str], _keys: set[str]) -> None:
    held = world._own(change.principal, own)
    world._place(change.oid)
    held[change.oid] = held.get(change.oid, 0) | 1 << world._number(change.permission)
    world.people |= {change.principal}


def _revoke(world: World, change: AccessChange, own: set[str], _keys: set[str]) -> None:
    bit, mask = world.bit(change.permission), world.direct.get(change.principal, {}).get(change.oid, 0)
    if bit is not None and mask >> bit & 1:
        world._own(change.principal, own)[change.oid] = mask & ~(1 << bit)


def _remove_user(world: World, change: AccessChange, own: set[str], _keys: set[str]) -> None:
    if change.oid in world.direct.get(change.principal, {}):
        del world._own(change.principal, own)[change.oid]


def _create_group(world: World, change: AccessChange, _own: set[str], _keys: set[str]) -> None:
    if change.gid not in world.groups:
        world.groups[change.gid] = WorldGroup(change.gid, Untrusted(change.gid.removeprefix(NEW)))


def _delete_group(world: World, change: AccessChange, _own: set[str], _keys: set[str]) -> None:
    world.groups.pop(change.gid, None)


def _delete_key(world: World, change: AccessChange, _own: set[str], own: set[str]) -> None:
    if change.principal in world.keys.get(change.oid, {}):
        if change.oid not in own:
            world.keys[change.oid] = dict(world.keys[change.oid])
            own.add(change.oid)
        del world.keys[change.oid][change.principal]


def _of_group(world: World, change: AccessChange, _own: set[str], _keys: set[str]) -> None:
    group = world._group(change.gid)
    if change.kind == "add_member":
        world.people |= {change.principal}
        group = replace(group, members=group.members | {change.principal})
    elif change.kind == "remove_member":
        group = replace(group, members=group.members - {change.principal})
    elif change.kind == "add_owner":
        world.people |= {change.principal}
        group = replace(group, owners=group.owners | {change.principal})
    elif change.kind == "remove_owner":
        group = replace(group, owners=group.owners - {change.principal})
    elif change.kind == "add_org":
        world._place(change.oid)
        if change.oid not in group.organizations:
            group = replace(group, organizations=group.organizations | {change.oid})
    elif change.kind == "remove_org":
        if change.oid in group.organizations:
            group = replace(group, organizations=group.organizations - {change.oid})
    elif change.kind == "add_group_permission":
        bit = world._number(change.permission)
        group = replace(group, permissions=group.permissions | 1 << bit)
    else:
        group = replace(group, permissions=group.permissions & ~world.mask([change.permission]))
    world.groups[change.gid] = group


_MAKE: dict[str, _Make] = {
    "create_group": _create_group,
    "add_user": _add_user,
    "grant": _grant,
    "add_org": _of_group,
    "add_group_permission": _of_group,
    "add_owner": _of_group,
    "add_member": _of_group,
    "remove_member": _of_group,
    "remove_owner": _of_group,
    "remove_group_permission": _of_group,
    "remove_org": _of_group,
    "revoke": _revoke,
    "remove_user": _remove_user,
    "delete_key": _delete_key,
    "delete_group": _delete_group,
}


# What comes of it


class Shift(NamedTuple):
    """One principal and one permission, of which something is gained or lost."""

    principal: str
    kind: Kind
    permission: str
    gained: int
    """Set of organizations (`World.oids_of` of the changed world)."""
    lost: int
    before: int
    """On how many organizations it was held before."""

    @property
    def after(self) -> int:
        """On how many it is held afterwards."""
        return self.before + self.gained.bit_count() - self.lost.bit_count()


@dataclass(frozen=True, slots=True)
class Side:
    """What is gained, or what is lost."""

    count: int
    """Grants: of one principal, one permission, one organization."""
    rows: tuple[tuple[str, str, str], ...]
    """The first `MOST_ROWS` of them: (principal, permission, oid)."""


@dataclass(frozen=True, slots=True)
class Privileged:
    """Somebody gains one of the permissions that make their holder master of an organization."""

    principal: str
    permission: str
    organizations: int
    """On how many."""
    oids: tuple[str, ...]
    """The first `MOST_OIDS` of them."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What changes come to: who has what afterwards that they had not before, and the other way round."""

    gained: Side
    lost: Side
    organizations: frozenset[str]
    """On which anybody gains or loses anything."""
    people: frozenset[str]
    """Who gains or loses anything: users by e-mail, keys by hash."""
    privileged: tuple[Privileged, ...]
    """Every gain of a privileged permission."""
    touched: frozenset[str]
    """On which the changes act, whether they come to anything there or not: of a group, all that it holds."""
    shifts: tuple[Shift, ...]
    """All of it, by principal and permission."""

    @property
    def nothing(self) -> bool:
        """Whether nobody gains or loses anything."""
        return not self.shifts


def effect(before: World, after: World, changes: Iterable[AccessChange] = ()) -> Effect:
    """What differs for anybody between a world and one made of it by `changed`, or the other way round.

    Args:
        changes: those it was made by; they say what is touched besides.

    Raises:
        ValueError: neither was made of the other, so that their bits stand for different things.
    """
    index = max(before, after, key=lambda world: (len(world.oids), len(world.names)))
    if any(
        index.oids[: len(world.oids)] != world.oids or index.names[: len(world.names)] != world.names
        for world in (before, after)
    ):
        raise ValueError("neither of these worlds was made of the other")
    shifts = _Differing(before, after, index).shifts()
    organizations = gained = lost = 0
    privileged = []
    for shift in shifts:
        organizations |= shift.gained | shift.lost
        gained += shift.gained.bit_count()
        lost += shift.lost.bit_count()
        if shift.gained and is_privileged(shift.permission):
            named = tuple(islice(index.oids_of(shift.gained), MOST_OIDS))
            privileged.append(Privileged(shift.principal, shift.permission, shift.gained.bit_count(), named))

    def rows(side: Literal["gained", "lost"]) -> tuple[tuple[str, str, str], ...]:
        every = (
            (shift.principal, shift.permission, oid)
            for shift in shifts
            for oid in index.oids_of(getattr(shift, side))
        )
        return tuple(islice(every, MOST_ROWS))

    return Effect(
        gained=Side(gained, rows("gained")),
        lost=Side(lost, rows("lost")),
        organizations=frozenset(index.oids_of(organizations)),
        people=frozenset(shift.principal for shift in shifts),
        privileged=tuple(privileged),
        touched=_touched(before, after, changes),
        shifts=tuple(shifts),
    )


def _touched(before: World, after: World, changes: Iterable[AccessChange]) -> frozenset[str]:
    found: set[str] = set()
    for change in changes:
        if change.oid:
            found.add(change.oid)
            continue
        for world in (before, after):
            group = world.groups.get(change.gid)
            if group is not None:
                found |= group.organizations
    return frozenset(found)


class _Differing:
    """Looks only at whom the changed parts of a world concern, and there only at the permissions in question.

    A permission is held on a set of organizations, the union of those of the groups that give it and those
    where it is granted directly: two such sets are compared at once, and not ten thousand organizations.
    """

    def __init__(self, before: World, after: World, index: World) -> None:
        """`index` is the one of both that numbers more."""
        self._before, self._after, self._index = before, after, index
        self._unions: dict[tuple[bool, tuple[str, ...]], int] = {}
        self._pairs: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[int, int, int]] = {}

    def shifts(self) -> list[Shift]:
        found: list[Shift] = []
        for email, mask in sorted(self._concerned().items()):
            found += self._of_user(email, mask)
        return found + list(self._of_keys())

    def _concerned(self) -> dict[str, int]:
        """E-mail -> permissions that may have changed somewhere."""
        before, after = self._before, self._after
        concerned: dict[str, int] = {}
        for gid in before.groups.keys() | after.groups.keys():
            old, new = before.groups.get(gid), after.groups.get(gid)
            if old is new:
                continue
            had, has = (old.permissions if old else 0), (new.permissions if new else 0)
            same = old is not None and new is not None and old.organizations == new.organizations
            members = old.members if old else frozenset()
            now = new.members if new else frozenset()
            stays = had ^ has if same else had | has
            for email in members | now:
                mask = stays if email in members and email in now else had | has
                if mask:
                    concerned[email] = concerned.get(email, 0) | mask
        for email in before.direct.keys() | after.direct.keys():
            held, holds = before.direct.get(email, {}), after.direct.get(email, {})
            if held is not holds:
                mask = 0
                for oid in held.keys() | holds.keys():
                    mask |= held.get(oid, 0) ^ holds.get(oid, 0)
                if mask:
                    concerned[email] = concerned.get(email, 0) | mask
        return concerned

    def _of_user(self, email: str, mask: int) -> Iterator[Shift]:
        was = [(group.gid, group.permissions) for group in self._before.groups_of(email)]
        now = [(group.gid, group.permissions) for group in self._after.groups_of(email)]
        held, holds = self._before.direct.get(email, {}), self._after.direct.get(email, {})
        had = self._directly(held, mask)
        has = had if holds is held else self._directly(holds, mask)
        for bit in bits(mask):
            before = tuple(gid for gid, given in was if given >> bit & 1)
            after = tuple(gid for gid, given in now if given >> bit & 1)
            first, then = had.get(bit, 0), has.get(bit, 0)
            if first or then:
                first |= self._union(False, before)
                then |= self._union(True, after)
                gained, lost, count = then & ~first, first & ~then, first.bit_count()
            else:
                pair = self._pairs.get((before, after))
                if pair is None:
                    first, then = self._union(False, before), self._union(True, after)
                    pair = self._pairs[before, after] = (then & ~first, first & ~then, first.bit_count())
                gained, lost, count = pair
            if gained or lost:
                yield Shift(email, "user", self._index.names[bit], gained, lost, count)

    def _union(self, after: bool, gids: tuple[str, ...]) -> int:
        found = self._unions.get((after, gids))
        if found is None:
            world = self._after if after else self._before
            found = 0
            for gid in gids:
                found |= world.organizations_of(gid)
            self._unions[after, gids] = found
        return found

    def _directly(self, direct: Mapping[str, int], mask: int) -> dict[int, int]:
        """Permission -> organizations on which it is granted directly, of those in question."""
        position = self._index.position
        found: dict[int, list[int]] = {}
        for oid, held in direct.items():
            wanted = held & mask
            while wanted:  # not by `bits`: this is where the time goes
                low = wanted & -wanted
                wanted ^= low
                if low in found:
                    found[low].append(position[oid])
                else:
                    found[low] = [position[oid]]
        size = len(self._index.oids)
        return {low.bit_length() - 1: _packed(positions, size) for low, positions in found.items()}

    def _of_keys(self) -> Iterator[Shift]:
        before, after = self._before, self._after
        for oid in sorted(before.keys.keys() | after.keys.keys()):
            had, has = before.keys.get(oid, {}), after.keys.get(oid, {})
            if had is has:
                continue
            bit = 1 << self._index.position[oid]
            for key_hash in sorted(had.keys() | has.keys()):
                first, then = had.get(key_hash), has.get(key_hash)
                was, now = (first.permissions if first else 0), (then.permissions if then else 0)
                for at in bits(was ^ now):
                    gained, lost = (bit, 0) if now >> at & 1 else (0, bit)
                    yield Shift(key_hash, "key", self._index.names[at], gained, lost, int(bool(lost)))
