"""Why somebody may do something somewhere, why not, and what would take it away.

Everything here is a function of `Facts`: what is granted directly, the groups, the keys, and the audit
entries that speak of it. Effective access is what is granted directly and what every group gives that holds
the organization and has the user as a member; groups only add, and their owners do not receive what they give
(LimaCharlie's access guide, `7-administration/access/designing-access.md`). An API key has what it was made
with, on its own organization. Permissions are compared as they are written: `secret.get` and
`secret.get.my-key` are two, and where one covers the other it is said beside the answer.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from store.permissions import family, roles
from store.text import Untrusted
from store.timeline import Standing
from store.times import rfc3339

Kind = Literal["user", "group", "key"]

NOBODY = Untrusted("")

MOST_CUTS = 20
"""How many of the smallest cuts are listed."""

BUDGET = 50_000
"""Steps after which the search for the least harmful cuts ends: so many paths have nobody's access."""


class UnknownPrincipal(LookupError):
    """No user, group or key of this name is among the facts."""


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """A group, and of its organizations at least those that matter for the question."""

    gid: str
    name: Untrusted
    owners: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()
    organizations: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    held: int = 0
    """How many organizations it holds, where `organizations` does not name all of them."""
    complete: bool = True
    """False when only organizations' own listings named it: it may hold more."""

    @property
    def reach(self) -> int:
        """How many organizations it holds, as far as is known."""
        return max(self.held, len(self.organizations))


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """An API key of one organization."""

    oid: str
    key_hash: str
    name: Untrusted
    permissions: frozenset[str] = frozenset()
    created_by: Untrusted = NOBODY
    first_seen: int | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """One audit entry of the organization in question."""

    time: int
    """Milliseconds, UTC."""
    actor: Untrusted
    details: Mapping[str, Any]
    """As received: `entity` {type, name} and `mtd` {permission, role, action, key_hash}."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides about access."""

    direct: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    """E-mail -> oid -> permissions; an empty set is somebody added without any."""
    groups: Mapping[str, GroupFacts] = field(default_factory=dict)
    """By gid."""
    keys: Mapping[tuple[str, str], KeyFacts] = field(default_factory=dict)
    """By (oid, hash)."""
    people: frozenset[str] = frozenset()
    """Users who are known, whether they have anything or not."""
    audit: Sequence[Noted] = ()
    logs: Mapping[str, Mapping[tuple[str, str], Standing]] = field(default_factory=dict)
    """By gid, what the group's log tells of how it became so (`store.timeline.standing`)."""


@dataclass(frozen=True, slots=True)
class Path:
    """One way by which somebody has a permission, and since when as far as the audit log tells."""

    via: Literal["direct", "group"]
    gid: str = ""
    name: Untrusted = NOBODY
    """Of the group."""
    owners: tuple[str, ...] = ()
    """Who manages the group; sorted."""
    members: int = 0
    organizations: int = 1
    """How many the path reaches."""
    complete: bool = True
    """False when the group may hold more organizations than are known."""
    since: int | None = None
    """Milliseconds, UTC; None when nothing tells."""
    by: Untrusted = NOBODY
    """Who granted it; "" when nothing tells."""
    told: Literal["audit", "listing", "group", ""] = ""
    """What tells it: the audit log, the listing of keys, which names the maker and no time, or the group's
    log."""
    began: Literal["joined", "held", "given", ""] = ""
    """Of a group, with what the path began: the last that its log tells of who is a member, which
    organizations it holds, and what it gives. What the log does not tell may have come later."""


Link = Literal[
    "covered", "records_only", "owner_only", "group_lacks_permission", "group_lacks_organization",
    "not_member", "no_direct_grant", "key_lacks_permission", "other_organization",
]  # fmt: skip

_NEAREST: tuple[Link, ...] = (
    "covered", "records_only", "owner_only", "group_lacks_permission", "group_lacks_organization",
    "not_member", "key_lacks_permission", "other_organization", "no_direct_grant",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Missing:
    """One link that would give the permission if it were there.

    covered: a wider permission is held, which holds for every record. records_only: it is held for single
    records. owner_only: owns a group that gives it here, and is no member. group_lacks_permission: is a
    member of a group that holds the organization. group_lacks_organization: is a member of a group that gives
    it elsewhere. not_member: a group gives it here, to others. no_direct_grant: it is not granted directly.
    """

    link: Link
    gid: str = ""
    name: Untrusted = NOBODY
    """Of the group."""
    permissions: tuple[str, ...] = ()
    """covered, records_only: those that are held instead."""
    organizations: int = 0
    """How many the group holds."""
    members: int = 0
    """How many the group has."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer for one principal, permission and organization."""

    principal: str
    kind: Kind
    name: Untrusted
    """E-mail, group name or key name."""
    permission: str
    oid: str
    paths: tuple[Path, ...]
    """Direct first, then groups by name."""
    missing: tuple[Missing, ...]
    """Nearest first; empty when it is granted."""
    covered: tuple[str, ...] = ()
    """Wider permissions that are held as well: without this one, they still cover the record."""

    @property
    def granted(self) -> bool:
        """Whether the principal has it."""
        return bool(self.paths)


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who has the permission."""

    principal: str
    """E-mail, or hash of a key."""
    kind: Kind
    name: Untrusted
    paths: tuple[Path, ...]


ChangeKind = Literal["revoke", "remove_member", "remove_org", "remove_group_permission"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change that ends a path. To revoke a key's permission is to delete the key: it cannot be edited."""

    change: ChangeKind
    gid: str = ""
    principal: str = ""
    permission: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """Changes after which the permission is no longer held."""

    changes: tuple[Change, ...]
    lost: int
    """Other grants (principal, permission, organization) that nobody has any more by another path."""
    organizations: int
    """How many organizations the changes touch."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """The smallest cuts: the fewest changes, and of those the fewest other grants lost."""

    cuts: tuple[Cut, ...]
    more: bool = False
    """There are more than are listed, or more paths than could be searched (over BUDGET steps)."""


def kind_of(facts: Facts, principal: str) -> Kind | None:
    """What a principal is; None when nothing of that name is known."""
    if (
        principal in facts.people
        or principal in facts.direct
        or any(principal in group.members or principal in group.owners for group in facts.groups.values())
    ):
        return "user"
    if any(key_hash == principal for _, key_hash in facts.keys):
        return "key"
    return "group" if principal in facts.groups else None


def explain(
    facts: Facts, principal: str, permission: str, oid: str, *, kind: Kind | None = None
) -> Explanation:
    """Every path by which a principal has a permission on an organization, or what is missing.

    Args:
        principal: e-mail, gid, or hash of a key.
        permission: as granted; a per-record form is another than its family.
        kind: where it is known; found out when None.

    Raises:
        UnknownPrincipal: there is no such user, group or key.
    """
    kind = kind or kind_of(facts, principal)
    if kind is None:
        raise UnknownPrincipal(principal)
    paths = _paths(facts, principal, kind, permission, oid)
    wider = _wider(facts, principal, kind, permission, oid)
    missing: list[Missing] = []
    if not paths:
        missing = sorted(
            _missing(facts, principal, kind, permission, oid, wider),
            key=lambda each: (_NEAREST.index(each.link), each.name, each.gid),
        )
    return Explanation(
        principal, kind, _name(facts, principal, kind, oid), permission, oid, paths, tuple(missing), wider
    )


def who(facts: Facts, permission: str, oid: str) -> tuple[Holder, ...]:
    """Everybody who has a permission on an organization: users by e-mail, then keys by name.

    A group is not among them: it can do nothing itself, and stands in the paths of its members.
    """
    people = {email for email, held in facts.direct.items() if oid in held}
    for group in facts.groups.values():
        if oid in group.organizations and permission in group.permissions:
            people |= group.members
    keys = sorted(
        (key for key in facts.keys.values() if key.oid == oid), key=lambda key: (key.name, key.key_hash)
    )
    asked: list[tuple[str, Kind]] = [(email, "user") for email in sorted(people)]
    asked += [(key.key_hash, "key") for key in keys]
    return tuple(
        Holder(principal, kind, _name(facts, principal, kind, oid), paths)
        for principal, kind in asked
        if (paths := _paths(facts, principal, kind, permission, oid))
    )


def _name(facts: Facts, principal: str, kind: Kind, oid: str) -> Untrusted:
    if kind == "group":
        return facts.groups[principal].name
    if kind == "key":
        own = facts.keys.get((oid, principal))
        if own is None:
            own = next((key for (_, key_hash), key in facts.keys.items() if key_hash == principal), None)
        return own.name if own is not None else Untrusted(principal)
    return Untrusted(principal)


def _paths(facts: Facts, principal: str, kind: Kind, permission: str, oid: str) -> tuple[Path, ...]:
    if kind == "key":
        key = facts.keys.get((oid, principal))
        if key is None or permission not in key.permissions:
            return ()
        return (_path_of_key(facts, key),)
    paths = []
    if kind == "user" and permission in facts.direct.get(principal, {}).get(oid, ()):
        since, by = _granted(facts.audit, principal, permission)
        paths.append(Path("direct", since=since, by=by, told="audit" if since is not None else ""))
    return (
        *paths,
        *(
            Path(
                "group", group.gid, group.name, tuple(sorted(group.owners)), len(group.members), group.reach,
                group.complete, *_began(facts.logs.get(group.gid, {}), principal, kind, permission, oid),
            )
            for group in _giving(facts, principal, kind, permission, oid)
        ),
    )  # fmt: skip


def _giving(facts: Facts, principal: str, kind: Kind, permission: str, oid: str) -> list[GroupFacts]:
    """The groups by which it is held, by name; of a group as a principal, itself."""
    found = [
        group
        for group in facts.groups.values()
        if oid in group.organizations
        and permission in group.permissions
        and (group.gid == principal if kind == "group" else principal in group.members)
    ]
    return sorted(found, key=lambda group: (group.name, group.gid))


# Since when


def _granted(audit: Iterable[Noted], email: str, permission: str) -> tuple[int | None, Untrusted]:
    """When what is granted now was granted, and by whom: the beginning of the last unbroken time.

    An entry that is not understood tells nothing. A role counts with the permissions that are known of it; a
    role that is not known to have this one ends the time.
    """
    since: int | None = None
    by = Untrusted("")
    for entry in sorted(audit, key=lambda each: each.time, reverse=True):
        entity, more = _mapping(entry.details.get("entity")), _mapping(entry.details.get("mtd"))
        if entity.get("type") != "user" or entity.get("name") != email:
            continue
        action, role = more.get("action"), more.get("role")
        named = more.get("permission")
        if named is None and action in ("add", "set") and role:
            if permission not in roles().get(str(role), ()):
                break
        elif named is None and action == "add":
            break  # added without any permission: whatever came, came later
        elif named != permission and named is not None:
            continue
        elif action == "remove":
            break
        elif action != "add":
            continue
        since, by = entry.time, entry.actor
        if named is None:
            break  # a role replaces everything: what was before it was another grant
    return since, by


def _began(
    log: Mapping[tuple[str, str], Standing], principal: str, kind: Kind, permission: str, oid: str
) -> tuple[int | None, Untrusted, Literal["group", ""], Literal["joined", "held", "given", ""]]:
    """Since when a path through a group is there, by whom, what tells it, and with what it began."""
    parts: list[tuple[Literal["joined", "held", "given"], tuple[str, str]]] = [
        ("held", ("organization", oid)),
        ("given", ("permission", permission)),
    ]
    if kind == "user":
        parts.append(("joined", ("member", principal.lower())))
    told = [
        (found.event.time, found.event.id, began, found.event.actor)
        for began, key in parts
        if (found := log.get(key)) is not None and found.present and found.event.time
    ]
    if not told:
        return None, NOBODY, "", ""
    time, _, began, actor = max(told)
    return time, actor, "group", began


def _path_of_key(facts: Facts, key: KeyFacts) -> Path:
    """A key has its permissions since it was made; the listing tells by whom, the audit log when."""
    for entry in facts.audit:
        more = _mapping(entry.details.get("mtd"))
        if more.get("key_hash") == key.key_hash and more.get("action") == "create":
            return Path("direct", since=entry.time, by=entry.actor, told="audit")
    return Path("direct", by=key.created_by, told="listing" if key.created_by else "")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


# Why not


def _held(facts: Facts, principal: str, kind: Kind, oid: str) -> set[str]:
    """Every permission that a principal has on an organization."""
    if kind == "key":
        key = facts.keys.get((oid, principal))
        return set(key.permissions) if key is not None else set()
    held = set(facts.direct.get(principal, {}).get(oid, ())) if kind == "user" else set()
    for group in facts.groups.values():
        if oid in group.organizations and (
            group.gid == principal if kind == "group" else principal in group.members
        ):
            held |= group.permissions
    return held


def _wider(facts: Facts, principal: str, kind: Kind, permission: str, oid: str) -> tuple[str, ...]:
    whole = family(permission)
    return (whole,) if whole != permission and whole in _held(facts, principal, kind, oid) else ()


def _missing(
    facts: Facts, principal: str, kind: Kind, permission: str, oid: str, wider: tuple[str, ...]
) -> Iterator[Missing]:
    if wider:
        yield Missing("covered", permissions=wider)
    records = sorted(
        name
        for name in _held(facts, principal, kind, oid)
        if name != permission and family(name) == permission
    )
    if records:
        yield Missing("records_only", permissions=tuple(records))
    if kind == "key":
        here = (oid, principal) in facts.keys
        yield Missing("key_lacks_permission" if here else "other_organization")
        return
    for group in facts.groups.values():
        member = group.gid == principal if kind == "group" else principal in group.members
        holds, gives = oid in group.organizations, permission in group.permissions
        link: Link | None = None
        if member and not gives and (holds or kind == "group"):
            link = "group_lacks_permission"
        elif member and not holds and gives:
            link = "group_lacks_organization"
        elif not member and holds and gives and kind == "user":
            link = "owner_only" if principal in group.owners else "not_member"
        if link is not None:
            yield Missing(link, group.gid, group.name, organizations=group.reach, members=len(group.members))
        if kind == "group" and member and not holds and not gives:
            yield Missing(
                "group_lacks_organization", group.gid, group.name,
                organizations=group.reach, members=len(group.members),
            )  # fmt: skip
    if kind == "user":
        yield Missing("no_direct_grant")


# What takes it away

_Sign = Literal["M", "O", "P"]
"""How a path through a group is ended: the member is removed, the organization, or the permission."""

_CHANGES: dict[_Sign, ChangeKind] = {
    "M": "remove_member",
    "O": "remove_org",
    "P": "remove_group_permission",
}


def cuts(facts: Facts, principal: str, permission: str, oid: str, *, kind: Kind | None = None) -> Cuts:
    """All smallest sets of changes after which a principal no longer has a permission on an organization.

    Every change ends one path, so the fewest are as many as there are paths. Of those, the ones remain by
    which the fewest other grants are lost: whatever somebody, the principal or another, then has by no path.

    Raises:
        UnknownPrincipal: there is no such user, group or key.
    """
    kind = kind or kind_of(facts, principal)
    if kind is None:
        raise UnknownPrincipal(principal)
    if kind == "key":
        key = facts.keys.get((oid, principal))
        if key is None or permission not in key.permissions:
            return Cuts(())
        revoke = Change("revoke", principal=principal, permission=permission)
        return Cuts((Cut((revoke,), len(key.permissions) - 1, 1),))
    groups = _giving(facts, principal, kind, permission, oid)
    first: tuple[Change, ...] = ()
    if kind == "user" and permission in facts.direct.get(principal, {}).get(oid, ()):
        first = (Change("revoke", principal=principal, permission=permission),)
    if not groups:
        return Cuts((Cut(first, 0, 1),) if first else ())
    risk = _Risk(facts, principal if kind == "user" else "", permission, oid, groups)
    chosen, lost, more = _least(risk, ("M", "O", "P") if kind == "user" else ("O", "P"), len(groups))
    return Cuts(
        tuple(
            Cut(
                first + tuple(_change(sign, group, principal, permission) for sign, group in ends),
                lost,
                _touched(ends, oid),
            )
            for ends in (tuple(zip(signs, groups, strict=True)) for signs in chosen)
        ),
        more,
    )


def _change(sign: _Sign, group: GroupFacts, principal: str, permission: str) -> Change:
    return Change(
        _CHANGES[sign],
        gid=group.gid,
        principal=principal if sign == "M" else "",
        permission=permission if sign == "P" else "",
    )


def _touched(ends: Sequence[tuple[_Sign, GroupFacts]], oid: str) -> int:
    """How many organizations are touched: by removing an organization that one, else all of the group."""
    wide = [group for sign, group in ends if sign != "O"]
    named = {oid}.union(*(group.organizations for group in wide))
    return max([len(named), *(group.reach for group in wide)])


class _Risk:
    """What else is lost when paths through groups are ended.

    A grant (principal, permission, organization) is at risk when all its paths go through the groups in
    question, and lost when each of those is ended in a way that ends this grant too. Grants are counted by
    the set of their groups (bits) and by the ways that end them, so a combination costs a few additions
    instead of a look at each grant of ten thousand organizations.
    """

    def __init__(
        self, facts: Facts, principal: str, permission: str, oid: str, groups: Sequence[GroupFacts]
    ) -> None:
        """`principal` is "" when it is no user."""
        self._facts = facts
        self._permission = permission
        self._oid = oid
        self._bits = {group.gid: 1 << at for at, group in enumerate(groups)}
        self.counts: dict[str, Counter[int]] = {ways: Counter() for ways in ("M", "O", "P", "MO", "MP", "OP")}
        self._cached: dict[tuple[tuple[str, ...], frozenset[str]], Counter[int]] = {}
        for email in set[str]().union(*(group.members for group in groups)) - {principal}:
            self._other(email)
        if principal:
            self._principal(principal)

    def lost(self, ends: Mapping[str, int]) -> int:
        """How many grants are lost; `ends` has for each way the groups (bits) that are ended in that way."""
        return sum(
            count
            for ways, counts in self.counts.items()
            if (ended := _union(ends[way] for way in ways))
            for sources, count in counts.items()
            if not sources & ~ended
        )

    def alone(self, at: int, way: str) -> int:
        """How many are lost when only the path through this group is ended."""
        return sum(counts[1 << at] for ways, counts in self.counts.items() if way in ways)

    def _groups_of(self, email: str) -> list[GroupFacts]:
        return [group for group in self._facts.groups.values() if email in group.members]

    def _here(self, email: str, mine: Iterable[GroupFacts]) -> dict[str, int]:
        """Permission -> groups (bits), of what is at risk on the organization."""
        safe = set(self._facts.direct.get(email, {}).get(self._oid, ()))
        holding = [group for group in mine if self._oid in group.organizations]
        for group in holding:
            if group.gid not in self._bits:
                safe |= group.permissions
        sources: dict[str, int] = {}
        for group in holding:
            if bit := self._bits.get(group.gid, 0):
                for name in group.permissions - safe:
                    sources[name] = sources.get(name, 0) | bit
        return sources

    def _other(self, email: str) -> None:
        """Others lose nothing by the principal's leaving a group."""
        mine = self._groups_of(email)
        for name, sources in self._here(email, mine).items():
            self.counts["OP" if name == self._permission else "O"][sources] += 1
        giving = [group for group in mine if self._permission in group.permissions]
        direct = self._facts.direct.get(email, {})
        safe = frozenset(oid for oid, names in direct.items() if self._permission in names)
        key = tuple(sorted(group.gid for group in giving)), safe
        if key not in self._cached:
            self._cached[key] = self._elsewhere(giving, safe)
        self.counts["P"].update(self._cached[key])

    def _elsewhere(self, giving: Sequence[GroupFacts], safe: frozenset[str]) -> Counter[int]:
        """Groups (bits) -> on how many other organizations the permission comes by just these."""
        kept = safe.union({self._oid}, *(g.organizations for g in giving if g.gid not in self._bits))
        ours = [group for group in giving if group.gid in self._bits]
        if len(ours) == 1:
            return Counter({self._bits[ours[0].gid]: len(ours[0].organizations - kept)})
        by_organization: dict[str, int] = {}
        for group in ours:
            bit = self._bits[group.gid]
            for oid in group.organizations - kept:
                by_organization[oid] = by_organization.get(oid, 0) | bit
        return Counter(by_organization.values())

    def _principal(self, email: str) -> None:
        mine = self._groups_of(email)
        for name, bits in self._here(email, mine).items():
            if name != self._permission:
                self.counts["MO"][bits] += 1
        direct = self._facts.direct.get(email, {})
        held: dict[str, int] = {}
        for group in mine:
            if group.gid in self._bits:
                held.update(dict.fromkeys(group.organizations, 0))
        held.pop(self._oid, None)
        for at, group in enumerate(mine):
            for oid in group.organizations & held.keys():
                held[oid] |= 1 << at
        nothing = frozenset[str]()
        alike = Counter((holding, direct.get(oid, nothing)) for oid, holding in held.items())
        for (holding, safe), count in alike.items():
            groups = [group for at, group in enumerate(mine) if holding >> at & 1]
            kept = safe.union(*(group.permissions for group in groups if group.gid not in self._bits))
            sources: dict[str, int] = {}
            for group in groups:
                if bit := self._bits.get(group.gid, 0):
                    for name in group.permissions - kept:
                        sources[name] = sources.get(name, 0) | bit
            for name, bits in sources.items():
                self.counts["MP" if name == self._permission else "M"][bits] += count


def _union(bits: Iterable[int]) -> int:
    found = 0
    for each in bits:
        found |= each
    return found


def _least(risk: _Risk, ways: Sequence[_Sign], size: int) -> tuple[list[tuple[_Sign, ...]], int, bool]:
    """For each group the way to end it, so that the fewest other grants are lost: all such, up to MOST_CUTS.

    Depth first, the least harmful way first; a branch is left when what is lost so far, and at least to be
    lost yet, is more than the best has.

    Returns:
        (the ways, group by group; grants lost; whether there are more).
    """
    alone = [{way: risk.alone(at, way) for way in ways} for at in range(size)]
    yet = [0] * (size + 1)
    for at in reversed(range(size)):
        yet[at] = yet[at + 1] + min(alone[at].values())
    order = [sorted(ways, key=lambda way, at=at: (alone[at][way], ways.index(way))) for at in range(size)]  # type: ignore[misc]
    best: int | None = None
    found: list[tuple[_Sign, ...]] = []
    steps = 0
    ended: dict[str, int] = dict.fromkeys(("M", "O", "P"), 0)
    chosen: list[_Sign] = []

    def search(at: int, lost: int) -> None:
        nonlocal best, steps
        if at == size:
            if best is None or lost < best:
                best = lost
                found.clear()
            found.append(tuple(chosen))
            return
        for way in order[at]:
            steps += 1
            if found and steps > BUDGET:
                return
            ended[way] |= 1 << at
            now = risk.lost(ended)
            if (
                best is None
                or now + yet[at + 1] < best
                or (now + yet[at + 1] == best and len(found) <= MOST_CUTS)
            ):
                chosen.append(way)
                search(at + 1, now)
                chosen.pop()
            ended[way] &= ~(1 << at)

    search(0, 0)
    return found[:MOST_CUTS], best or 0, len(found) > MOST_CUTS or steps > BUDGET


# In words: for a table and a screen, which make a stranger's text safe


def path_words(path: Path, kind: Kind) -> str:
    """A path in one clause: `direct grant, since 2026-03-02 by root@provider.example (audit log)`."""
    if path.via == "group":
        reach = counted(path.organizations, "organization", at_least=not path.complete)
        members = counted(path.members, "member")
        if kind == "group":
            since = f"; {_since_words(path)}" if path.since is not None else ""
            return f"the group gives it to its {members} on {reach}{since}"
        owned = f", owned by {_some(path.owners)}" if path.owners else ", no known owner"
        return f"group {path.name or path.gid}: {reach}, {members}{owned}; {_since_words(path)}"
    what = "of the key itself" if kind == "key" else "direct grant"
    if path.since is not None:
        return f"{what}, since {_day(path.since)} by {path.by or 'somebody unnamed'} (audit log)"
    by = f", made by {path.by}" if path.told == "listing" else ""
    return f"{what}{by}; since when: not known"


def _since_words(path: Path) -> str:
    """With what a path through a group began, when and by whom, as far as its log tells."""
    if path.since is None:
        return "since when: not known"
    began = {
        "joined": "a member",
        "held": "over this organization",
        "given": "giving it",
    }.get(path.began, "so")
    return f"{began} since {_day(path.since)} by {path.by or 'somebody unnamed'} (group log)"


def missing_words(missing: Missing, answer: Explanation) -> str:
    """A missing link in one clause."""
    group = f"group {missing.name or missing.gid}"
    wide = counted(missing.organizations, "organization")
    permission = answer.permission
    if answer.kind == "group":
        words = {
            "group_lacks_permission": f"the group does not give {permission}",
            "group_lacks_organization": f"the group does not hold this organization; it holds {wide}",
        }
        if missing.link in words:
            return words[missing.link]
    return {
        "covered": f"not by this name, but {_some(missing.permissions)} is held, for every record",
        "records_only": f"held for single records only: {_some(missing.permissions)}",
        "owner_only": f"owns {group}, which gives it here, but owners do not receive it",
        "group_lacks_permission": f"a member of {group}, which holds this organization, not {permission}",
        "group_lacks_organization": (f"a member of {group}, which gives {permission} on {wide}, not here"),
        "not_member": f"no member of {group}, which gives it here to {counted(missing.members, 'member')}",
        "no_direct_grant": "no direct grant here",
        "key_lacks_permission": "the key was made without it, and a key cannot be changed",
        "other_organization": "the key is of another organization",
    }[missing.link]


def cut_words(cut: Cut, answer: Explanation) -> str:
    """A cut in one clause, with how many organizations it touches."""
    names = {path.gid: path.name or path.gid for path in answer.paths}
    done = "; ".join(_change_words(each, answer, names) for each in cut.changes)
    changes, touched = counted(len(cut.changes), "change"), counted(cut.organizations, "organization")
    return f"{done}   ({changes}, {touched}, {counted(cut.lost, 'other grant')} lost)"


def _change_words(change: Change, answer: Explanation, names: Mapping[str, str]) -> str:
    group = names.get(change.gid, change.gid)
    if change.change == "revoke":
        return "delete the key" if answer.kind == "key" else "revoke the direct grant"
    return {
        "remove_member": f"leave {group}",
        "remove_org": f"take the organization out of {group}",
        "remove_group_permission": f"take {change.permission} from {group}",
    }[change.change]


def counted(number: int, what: str, *, at_least: bool = False) -> str:
    """`1 organization`, `at least 1,402 organizations`."""
    return f"{'at least ' if at_least else ''}{number:,} {what}{'' if number == 1 else 's'}"


def _some(names: Sequence[str], most: int = 2) -> str:
    named = ", ".join(names[:most])
    return named if len(names) <= most else f"{named} and {len(names) - most:,} more"


def _day(milliseconds: int) -> str:
    return (rfc3339(milliseconds) or "an odd time")[:10]
