"""What is wrong with who may do what: rules over the facts of a store, each finding with what to do about it.

A finding says what is wrong and with whom, its evidence, whom and what it reaches, and the changes that take
it away, to be looked at, planned and applied like any others. Where no machine can choose (who is to be the
second owner?) it has no changes, says so, and offers the lines to complete. Nothing is found in a world
built as LimaCharlie's access guide says (`7-administration/access/designing-access.md` of its
documentation): staff by groups, customers directly on their own organizations, keys narrow, used and kept to
an address range.

The words that the rules use:

- *staff* and *customers' people*: `store.staff`;
- a *customer*: whoever has `domains` in the tree, with all organizations below; else an organization with its
  children; else an organization without a node by itself;
- an *owner* of an organization holds `user.ctrl`, `apikey.ctrl`, `billing.ctrl` and `org.del` there, all
  directly or all by one group: Administrator lacks two of them, so no smaller role has them together;
- *privileged*: one of the first three of these.
"""

import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, Literal

from store.access import NOBODY, counted
from store.accesschanges import AccessChange, ordered
from store.closure import World, WorldGroup
from store.permissions import is_privileged, known
from store.staff import DOMAINS, LEFT, STAFF, Staff, covering, domain_of, wrong
from store.text import Untrusted
from store.times import parse_duration, rfc3339

Kind = Literal[
    "leak", "left_access", "privileged_group", "privileged_key", "privileged_person", "key_of_left",
    "staff_direct", "owner_sprawl", "single_owner", "group_drift", "key_anywhere", "key_stale", "no_mfa",
    "duplicate", "unused", "everything", "empty_group",
]  # fmt: skip

KINDS: Final[dict[Kind, str]] = {
    "leak": "a customer's user in a group over others' organizations",
    "left_access": "somebody who left still has access",
    "privileged_group": "a group gives a privileged permission over several customers",
    "privileged_key": "a key holds a privileged permission",
    "privileged_person": "a privileged permission held by somebody who is no owner",
    "key_of_left": "a key made by somebody who left",
    "staff_direct": "staff granted directly, and not by a group",
    "owner_sprawl": "more owners than an organization needs",
    "single_owner": "an organization with one owner, or none",
    "group_drift": "a group gives something else than its role",
    "key_anywhere": "a key that works from any address",
    "key_stale": "a key that nobody uses",
    "no_mfa": "somebody without a second factor",
    "duplicate": "granted directly, and by a group as well",
    "unused": "a permission that nobody used",
    "everything": "more people than needed have access to every organization",
    "empty_group": "a group without members, or without organizations",
}
"""Each in one clause, the worst first."""

OWNER: Final = ("user.ctrl", "apikey.ctrl", "billing.ctrl", "org.del")
"""What an owner holds together; see the module's own words."""

_ANYWHERE = ("", "0.0.0.0/0", "::/0")

MANY: Final = 5
"""Organizations from which on access to all of them is told."""

NAMED: Final = 30
"""Organizations, people and permissions that evidence spells out; the rest is counted."""


# What is measured by


STALE: Final = "findings_stale_key"
UNUSED: Final = "findings_unused"
OWNERS: Final = "findings_owners"
EVERYWHERE: Final = "findings_everywhere"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What the rules measure by: parameters of the tree's root, each with what holds where it says
    nothing."""

    stale: int = 90 * 86_400_000
    """`findings_stale_key`, 90d: milliseconds after which a key that nobody used is stale."""
    unused: int = 28 * 86_400_000
    """`findings_unused`, 28d: milliseconds for which a permission has to be unused, all of them covered by
    the audit log that is stored."""
    owners: int = 3
    """`findings_owners`: how many owners an organization may have."""
    everywhere: int = 2
    """`findings_everywhere`: how many people may have access to every organization."""


_DURATIONS = {STALE: "stale", UNUSED: "unused"}
_NUMBERS = {OWNERS: "owners", EVERYWHERE: "everywhere"}
PARAMETERS: Final = (STAFF, LEFT, *_DURATIONS, *_NUMBERS)
"""Parameters of the root that findings look at; `domains` may stand on any node."""


def thresholds_in(parameters: Mapping[str, Any]) -> Thresholds:
    """What a root's parameters say; what is malformed is passed over."""
    given: dict[str, int] = {}
    for name, value in parameters.items():
        if name in _DURATIONS and not wrong_parameter(name, value, root=True):
            given[_DURATIONS[name]] = parse_duration(str(value)) * 1000
        elif name in _NUMBERS and not wrong_parameter(name, value, root=True):
            given[_NUMBERS[name]] = int(value)
    return Thresholds(**given)


def is_parameter(name: str) -> bool:
    """Whether a parameter of the tree is meant for the findings."""
    return name in PARAMETERS or name == DOMAINS or name.startswith("findings_")


def wrong_parameter(name: str, value: object, *, root: bool) -> str:
    """What is wrong with a parameter, as the end of a sentence; "" when nothing is."""
    if name in (STAFF, LEFT, DOMAINS):
        return wrong(name, value, root=root)
    if name not in PARAMETERS:
        return f"there are {', '.join((*_DURATIONS, *_NUMBERS))}"
    if not root:
        return "it belongs to the root of the tree"
    if name in _DURATIONS:
        try:
            seconds = parse_duration(value) if isinstance(value, str) and value.strip() else 0
        except ValueError:
            seconds = 0
        return "" if seconds else "it takes a time, such as 90d"
    return "" if type(value) is int and value > 0 else "it takes a number, 1 or more"


# Whose use is audited


@dataclass(frozen=True, slots=True)
class Audited:
    """A permission that does nothing but what leaves a line in the audit log."""

    marks: frozenset[str]
    """What tells of its use: the `etype` of an entry, or `hive:NAME` for a change of a record there."""
    source: str


_LIST_HELP = "help of `limacharlie audit list`, official client 5.10.1: hive_set, send_task, remove_sensor"
_STREAM = (
    "documentation, 5-integrations/outputs/stream-structures.md: config_change of a dr_rule with its hive"
)

_HIVES = {
    "dr.set": "dr-general", "dr.set.managed": "dr-managed", "secret.set": "secret", "lookup.set": "lookup",
    "query.set": "query", "yara.set": "yara", "playbook.set": "playbook", "sop.set": "sop",
    "org_notes.set": "org_notes", "ai_agent.set": "ai_agent", "cloudsensor.set": "cloud_sensor",
    "externaladapter.set": "external_adapter", "ext.conf.set": "extension_config",
}  # fmt: skip
"""Permission -> the hive whose records it sets (`7-administration/config-hive` of the documentation)."""

AUDITED: Final[dict[str, Audited]] = {
    "sensor.task": Audited(frozenset(("send_task", "isolate", "rejoin", "seal", "unseal")), _LIST_HELP),
    "sensor.del": Audited(frozenset(("remove_sensor",)), _LIST_HELP),
    **{
        name: Audited(frozenset((f"hive:{hive}",)), f"{_LIST_HELP}; {_STREAM}")
        for name, hive in _HIVES.items()
    },
}
"""The permissions whose use can be known. Of every other it cannot: reading leaves no line in the audit log,
and `user.ctrl`, `apikey.ctrl` and `fp.ctrl` are needed to read as well as to change. Of writes, deletions
and tags it is not published how their lines are called."""


# The facts


@dataclass(frozen=True, slots=True)
class Place:
    """An organization, as far as findings look at it."""

    oid: str
    name: Untrusted
    customer: str = ""
    """Whose it is: the id of a node, or an oid. Two organizations of one customer have the same."""
    domains: frozenset[str] = frozenset()
    """Declared on its node and on those above it."""
    read: bool = True
    """Whether its users and groups were ever read."""
    keys_read: bool = True
    audited: tuple[int, int] | None = None
    """From when to when its whole audit log is stored (ms); None where it was never read to its end."""


@dataclass(frozen=True, slots=True)
class KeyDetail:
    """An API key of one organization."""

    oid: str
    key_hash: str
    name: Untrusted
    permissions: int
    """As `World` numbers them."""
    created_by: Untrusted = NOBODY
    allowed_ip_range: Untrusted = NOBODY
    last_used: int | None = None
    first_seen: int = 0
    """By this store; milliseconds."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a group is meant to give."""

    name: str
    permissions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at."""

    world: World
    places: Mapping[str, Place]
    """Of every organization that the listing names."""
    now: int
    inside: frozenset[str] | None = None
    """The organizations that are asked about; None for all."""
    keys: Sequence[KeyDetail] = ()
    mfa: Mapping[str, bool | None] = field(default_factory=dict)
    """Whether somebody has a second factor, by e-mail; None where no answer told."""
    staff: Staff = field(default_factory=Staff)
    left: frozenset[str] = frozenset()
    """Addresses of people who are said to have left."""
    declared: frozenset[str] = frozenset()
    """Every domain that a node of the tree declares."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """By gid."""
    used: Mapping[tuple[str, str], Mapping[str, int]] | None = None
    """(oid, actor) -> mark -> when last (ms), of `Audited.marks`. None when it was not asked for."""
    granted: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(oid, e-mail or name of a key) -> when the audit log last tells of a change to what it holds (ms)."""
    groups_read: bool = True
    """Whether the credential's own groups were read."""
    spared: frozenset[str] = frozenset()
    """Groups that are meant to have no members, until somebody needs them: gids."""
    thresholds: Thresholds = field(default_factory=Thresholds)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    severity: int
    """Index into `store.alerts.SEVERITIES`."""
    subject: Untrusted
    """Who or what: an address, a group's name, a key's name."""
    key: str
    """What makes it this finding and no other of its kind; never shown."""
    oids: tuple[str, ...]
    """The organizations that it is about, by name; within the scope that was asked for."""
    people: tuple[str, ...]
    """Whom it lets do something, or leaves without something; sorted."""
    sentence: str
    """What is wrong, without the subject's name in front."""
    evidence: tuple[str, ...]
    """A line each."""
    remedy: tuple[AccessChange, ...] = ()
    """The changes that take it away, in the order of a plan; () where no machine can choose them."""
    advice: str = ""
    """What the remedy comes to, what it costs, or what to do where there is none."""
    lines: tuple[str, ...] = ()
    """Change lines (`store.accesslines`) to complete by hand, with a word in capitals where one is
    missing."""

    @property
    def id(self) -> str:
        """The same in every run while it is found: the kind and ten digits of what it is about."""
        about = "\0".join((self.kind, self.key)).encode(errors="replace")
        return f"{self.kind}-{sha256(about).hexdigest()[:10]}"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found, and what could not be looked for."""

    findings: tuple[Finding, ...]
    """The worst first: by severity, then by how many organizations."""
    staff: Staff
    unknown: tuple[str, ...] = ()
    """A sentence for each rule that lacks something to go by."""
    read: bool = True
    """Whether the users of any organization in question were ever read: else nothing is found in nothing."""


Way = tuple[str, str, str]
"""How somebody has something, as access reviews tell them apart: (direct, e-mail, ""), (member or owner,
e-mail, gid), (key, hash, oid)."""

_TAKEN_BY = {
    "revoke": "direct", "remove_user": "direct", "remove_member": "member", "remove_owner": "owner",
    "delete_key": "key",
}  # fmt: skip


def by_way(found: Iterable[Finding]) -> tuple[dict[Way, list[Finding]], dict[str, list[Finding]]]:
    """What is wrong with single ways, by what would take it away; and with a person, by e-mail, where no
    such change would. Each in the order of the findings."""
    ways: dict[Way, list[Finding]] = {}
    people: dict[str, list[Finding]] = {}
    for each in found:
        taken = dict.fromkeys(
            (kind, change.principal, {"direct": "", "key": change.oid}.get(kind, change.gid))
            for change in each.remedy
            if (kind := _TAKEN_BY.get(change.kind, ""))
        )
        for way in taken:
            ways.setdefault(way, []).append(each)
        if not taken and "@" in each.subject:
            people.setdefault(str(each.subject), []).append(each)
    return ways, people


def find(facts: Facts, kinds: Collection[Kind] | None = None) -> Report:
    """Everything that is wrong.

    Args:
        kinds: only these; all of KINDS when None.
    """
    seen = _Seen(facts)
    found: list[Finding] = []
    for kind, rule in _RULES.items():
        if kinds is None or kind in kinds:
            found += rule(seen)
    order = list(KINDS)
    found.sort(
        key=lambda each: (
            -each.severity, -len(each.oids), order.index(each.kind), each.subject.casefold(), each.key,
        )
    )  # fmt: skip
    return Report(
        tuple(found),
        facts.staff,
        tuple(_unknown(seen, kinds)),
        any(place.read for oid, place in facts.places.items() if facts.inside is None or oid in facts.inside),
    )


class _Seen:
    """The facts, and what several rules work out of them."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.world = facts.world
        self.owner = facts.world.mask(OWNER)
        self.privileged = facts.world.mask(name for name in facts.world.names if is_privileged(name))

    def place(self, oid: str) -> Place:
        return self.facts.places.get(oid) or Place(oid, Untrusted(oid), oid, read=False, keys_read=False)

    def inside(self, oids: Iterable[str]) -> list[str]:
        """Those that are asked about, by name."""
        wanted = self.facts.inside
        found = set(oids) if wanted is None else wanted.intersection(oids)
        found -= self.world.gone
        return sorted(found, key=self.rank) if len(found) > 1 else list(found)

    def rank(self, oid: str) -> tuple[int, str]:
        """Where an organization stands among all of them by name."""
        return self._ranks.get(oid, len(self._ranks)), oid

    @cached_property
    def _ranks(self) -> dict[str, int]:
        named = sorted(self.facts.places.values(), key=lambda place: (place.name.casefold(), place.oid))
        return {place.oid: at for at, place in enumerate(named)}

    def held(self, group: WorldGroup) -> frozenset[str]:
        """The organizations of a group that are there."""
        gone = self.world.gone
        return group.organizations - gone if gone else group.organizations

    def names(self, mask: int) -> tuple[str, ...]:
        return self.world.permissions(mask)

    def owns(self, mask: int) -> bool:
        return mask & self.owner == self.owner

    def through(self, email: str, oid: str) -> int:
        """What groups give to somebody on an organization."""
        mask = 0
        for group in self.world.groups_of(email):
            if oid in group.organizations:
                mask |= group.permissions
        return mask

    def own(self, email: str, oid: str) -> bool:
        """Whether an organization is of somebody's own customer, as its node declares."""
        return bool(covering(domain_of(email), self.place(oid).domains))

    @cached_property
    def leaks(self) -> dict[tuple[str, str], frozenset[str] | None]:
        """(gid, e-mail) of each member who is not staff and reaches another customer by the group -> the
        group's organizations of the user's own; None where nobody declared whose that address is.

        Whose it is, the tree's `domains` say. Where they do not know it, a group is taken to reach others as
        soon as it holds organizations of two customers. Nothing where it is not known who is staff."""
        staff, found = self.facts.staff, dict[tuple[str, str], frozenset[str] | None]()
        for group in self.world.groups.values() if staff.source else ():
            held = self.held(group)
            if not group.permissions or not held:
                continue
            several = len({self.place(oid).customer for oid in held}) > 1
            for email in sorted(group.members):
                if email in staff:
                    continue
                if covering(domain_of(email), self.facts.declared):
                    own = frozenset(oid for oid in held if self.own(email, oid))
                    if own != held:
                        found[group.gid, email] = own
                elif several:
                    found[group.gid, email] = None
        return found

    @cached_property
    def owners(self) -> dict[str, set[str]]:
        """oid -> its owners; of every organization whose users were read."""
        found: dict[str, set[str]] = {oid: set() for oid, place in self.facts.places.items() if place.read}
        for email, held in self.world.direct.items():
            for oid, mask in held.items():
                if mask & self.owner == self.owner and oid in found:
                    found[oid].add(email)
        for group in self.world.groups.values():
            if self.owns(group.permissions):
                for oid in group.organizations:
                    if oid in found:
                        found[oid] |= group.members
        return found

    @cached_property
    def staff_direct(self) -> dict[str, dict[str, int]]:
        """E-mail of staff -> oid -> what is granted directly there and should come by a group.

        Not an owner's: the guide wants the owner to be somebody added directly. Not on an organization of the
        provider's own, nor for somebody added without any permission."""
        found: dict[str, dict[str, int]] = {}
        for email, held in self.world.direct.items():
            if email in self.facts.staff and email not in self.facts.left:
                given = {
                    oid: mask
                    for oid, mask in held.items()
                    if mask and not self.owns(mask) and not self.own(email, oid)
                }
                if given:
                    found[email] = given
        return found

    @cached_property
    def keys(self) -> dict[str, list[KeyDetail]]:
        """The keys that are asked about, by name: one service often has a key of one name everywhere."""
        found: dict[str, list[KeyDetail]] = {}
        wanted = self.facts.inside
        for key in self.facts.keys:
            if wanted is None or key.oid in wanted:
                found.setdefault(key.name or key.key_hash, []).append(key)
        for keys in found.values():
            keys.sort(key=lambda key: (self.rank(key.oid), key.key_hash))
        return found

    def on(self, oids: Sequence[str]) -> str:
        """`Acme Dental`, or `12 organizations`."""
        return self.place(oids[0]).name if len(oids) == 1 else counted(len(oids), "organization")

    def each(self, said: Iterable[tuple[str, str]]) -> list[str]:
        """Evidence of several organizations: those of which the same is said in one line.

        Args:
            said: (oid, what holds there).
        """
        alike: dict[str, list[str]] = {}
        for oid, what in said:
            alike.setdefault(what, []).append(oid)
        lines = []
        for what, oids in list(alike.items())[:NAMED]:
            where = ", ".join(self.place(oid).name for oid in oids[:3])
            where += f" and {len(oids) - 3:,} more" if len(oids) > 3 else ""
            lines.append(f"{where}: {what}" if what else where)
        if len(alike) > NAMED:
            rest = sum(len(oids) for oids in list(alike.values())[NAMED:])
            lines.append(f"and {counted(rest, 'more organization')}")
        return lines


def some(names: Sequence[str], most: int = NAMED) -> str:
    """`a, b and 12 more`."""
    named = ", ".join(names[:most])
    return named if len(names) <= most else f"{named} and {len(names) - most:,} more"


def _plan(changes: Iterable[AccessChange]) -> tuple[AccessChange, ...]:
    given = tuple(changes)
    # Of one kind they are in the order of organizations and permissions already.
    return given if len({change.kind for change in given}) < 2 else tuple(ordered(given))


# The rules


def _leak(seen: _Seen) -> Iterator[Finding]:
    """A member of a group who is not staff, where the group gives anything on an organization of another
    customer; see `_Seen.leaks`."""
    for (gid, email), own in seen.leaks.items():
        group = seen.world.groups[gid]
        home = own is not None
        own = own or frozenset()
        foreign = seen.held(group) - own
        oids = seen.inside(foreign)
        if not oids:
            continue
        customers = {seen.place(oid).customer for oid in seen.held(group)}
        others = len({seen.place(oid).customer for oid in foreign})
        evidence = [
            f"a member of the group {group.name}, which gives "
            f"{counted(group.permissions.bit_count(), 'permission')} on "
            f"{counted(len(seen.held(group)), 'organization')} of "
            f"{counted(len(customers), 'customer')}",
            f"no address of staff; {seen.facts.staff.words}",
            f"what it gives: {some(seen.names(group.permissions))}",
        ]
        if home:
            evidence.append(
                f"of them {counted(len(own), 'organization')} of the user's own"
                if own
                else "none of them is the user's own"
            )
        direct = seen.world.direct.get(email, {})
        lost = sorted(
            (oid for oid in own if group.permissions & ~_without(seen, email, oid, group.gid)),
            key=lambda oid: seen.place(oid).name,
        )
        stays = [seen.place(oid).name for oid, mask in sorted(direct.items()) if mask]
        advice = "Takes the user out of the group."
        if lost:
            advice += f" On {seen.on(lost)} the user then lacks what only this group gave: grant it there."
        elif stays:
            advice += f" What is granted directly on {some(stays, 3)} stays."
        yield Finding(
            "leak", 4, Untrusted(email), f"{group.gid}\0{email}", tuple(oids), (email,),
            f"may act on {counted(len(foreign), 'organization')}"
            f" of {counted(others, 'other customer' if home else 'customer')}"
            f" by the group {group.name}",
            tuple(evidence),
            (AccessChange("remove_member", gid=group.gid, principal=email),),
            advice,
        )  # fmt: skip


def _left_access(seen: _Seen) -> Iterator[Finding]:
    """Somebody of the tree's `people_left` who is granted anything, or is in a group that gives anything, or
    owns one."""
    for email in sorted(seen.facts.left):
        direct = {oid: mask for oid, mask in seen.world.direct.get(email, {}).items()}
        joined = [group for group in seen.world.groups.values() if email in group.members]
        owned = [group for group in seen.world.groups.values() if email in group.owners]
        reached = {oid for oid, mask in seen.world.everywhere(email).items() if mask}
        reached = reached.union(*(seen.held(group) for group in owned))
        oids = seen.inside(reached)
        if not (direct or joined or owned) or (seen.facts.inside is not None and not oids):
            continue
        stays = [group.name for group in owned if len(group.owners) == 1]
        advice = "Takes all of it away."
        if stays:
            advice += (
                f" The group {some(stays, 3)} has no other owner, and LimaCharlie keeps the last one: "
                "make somebody else an owner first."
            )
        yield Finding(
            "left_access", 4, Untrusted(email), email, tuple(oids), (email,),
            f"left, and still has access to {seen.on(oids)}" if oids else "left, and is still there",
            (
                *([f"granted directly on {seen.on(seen.inside(direct))}"] if seen.inside(direct) else []),
                *(
                    f"a member of the group {group.name}: {counted(len(seen.held(group)), 'organization')}"
                    for group in joined
                ),
                *(f"an owner of the group {group.name}, who may put anybody into it" for group in owned),
            ),
            _plan(
                (
                    *(AccessChange("remove_user", oid=oid, principal=email) for oid in seen.inside(direct)),
                    *(AccessChange("remove_member", gid=group.gid, principal=email) for group in joined),
                    *(
                        AccessChange("remove_owner", gid=group.gid, principal=email)
                        for group in owned
                        if len(group.owners) > 1
                    ),
                )
            ),
            advice,
        )  # fmt: skip


def _without(seen: _Seen, email: str, oid: str, gid: str) -> int:
    """What somebody has on an organization by anything but one group."""
    mask = seen.world.direct.get(email, {}).get(oid, 0)
    for group in seen.world.groups_of(email):
        if group.gid != gid and oid in group.organizations:
            mask |= group.permissions
    return mask


def _privileged_group(seen: _Seen) -> Iterator[Finding]:
    """A group with members that gives a privileged permission on organizations of two customers or more."""
    for group in seen.world.groups.values():
        mask = group.permissions & seen.privileged
        customers = {seen.place(oid).customer for oid in seen.held(group)}
        oids = seen.inside(seen.held(group))
        if not mask or not oids or not group.members or len(customers) < 2:
            continue
        names = seen.names(mask)
        advice = (
            "Takes them from the group; whoever needs one gets it for a time (break-glass), or directly "
            "where "
            "the work is."
        )
        if "user.ctrl" in names:
            advice += " LimaCharlie wants user.ctrl of whoever puts an organization into a group."
        yield Finding(
            "privileged_group", 3, group.name, group.gid, tuple(oids), tuple(sorted(group.members)),
            f"gives {_and(names)} to {counted(len(group.members), 'member')} on "
            f"{counted(len(seen.held(group)), 'organization')} of {counted(len(customers), 'customer')}",
            (
                "each of them makes its holder master of an organization: " + _and(names),
                f"members: {some(sorted(group.members))}",
                f"owners: {some(sorted(group.owners)) or 'none that is known'}",
            ),
            _plan(AccessChange("remove_group_permission", gid=group.gid, permission=name) for name in names),
            advice,
        )  # fmt: skip


def _privileged_key(seen: _Seen) -> Iterator[Finding]:
    """A key that holds a privileged permission."""
    yield from _keys(
        seen, "privileged_key", 3,
        lambda key: (
            f"holds {_and(seen.names(key.permissions & seen.privileged))}"
            if key.permissions & seen.privileged
            else ""
        ),
        lambda keys: (
            "holds "
            + _and(seen.names(_union(key.permissions for key in keys) & seen.privileged))
            + f" on {seen.on([key.oid for key in keys])}"
        ),
        "A key cannot be edited. Make one without them first (`limegrove key rotate`) where it is still "
        "needed.",
    )  # fmt: skip


def _privileged_person(seen: _Seen) -> Iterator[Finding]:
    """Somebody who is granted a privileged permission directly without being an owner there."""
    for email, held in sorted(seen.world.direct.items()):
        if email in seen.facts.left:
            continue  # all of it is told of already
        found = {
            oid: mask & seen.privileged
            for oid, mask in held.items()
            if mask & seen.privileged and not seen.owns(mask) and email not in seen.owners.get(oid, ())
        }
        oids = seen.inside(found)
        if not oids:
            continue
        names = seen.names(_union(found[oid] for oid in oids))
        yield Finding(
            "privileged_person", 3, Untrusted(email), email, tuple(oids), (email,),
            f"holds {_and(names)} on {seen.on(oids)}, and is no owner there",
            tuple(seen.each((oid, f"granted directly: {_and(seen.names(found[oid]))}") for oid in oids)),
            _plan(
                AccessChange("revoke", oid=oid, principal=email, permission=name)
                for oid in oids
                for name in seen.names(found[oid])
            ),
            "Revokes them; everything else that was granted stays.",
        )  # fmt: skip


def _key_of_left(seen: _Seen) -> Iterator[Finding]:
    """A key that was made by a user who left.

    Left is who is among `people_left`, or has nothing anywhere any more: no grant, no group, no ownership.
    The second is said only when the users of every organization were read.
    """
    complete = all(place.read for place in seen.facts.places.values())
    here = set[str]()
    if complete:
        here = {email for email, held in seen.world.direct.items() if held}
        here = here.union(*(group.members | group.owners for group in seen.world.groups.values()))

    def says(key: KeyDetail) -> str:
        maker = key.created_by.lower()
        if "@" not in maker:
            return ""  # made by another key, or by an extension
        if maker in seen.facts.left:
            return f"made by {key.created_by}, who left ({LEFT} of the tree)"
        if complete and maker not in here:
            return f"made by {key.created_by}, who has access to nothing any more"
        return ""

    yield from _keys(
        seen, "key_of_left", 3, says,
        lambda keys: f"was made by {some(sorted({key.created_by for key in keys}), 2)}, who left",
        "Whoever made a key saw its secret, and it goes on working. Make another first (`limegrove key "
        "rotate`) "
        "where it is still needed.",
    )  # fmt: skip


def _key_anywhere(seen: _Seen) -> Iterator[Finding]:
    """A key without an address range, or with one that holds every address."""
    yield from _keys(
        seen, "key_anywhere", 2,
        lambda key: (
            f"allowed from {key.allowed_ip_range or 'anywhere'}; "
            f"{counted(key.permissions.bit_count(), 'permission')}, made by "
            f"{key.created_by or 'nobody named'}"
            if key.allowed_ip_range.strip() in _ANYWHERE
            else ""
        ),
        lambda keys: f"works from any address on {seen.on([key.oid for key in keys])}",
        "A range is set when a key is made, and never later (documentation, "
        "7-administration/access/api-keys.md). "
        "Make one with a range first (`limegrove key rotate`) where it is still needed.",
    )  # fmt: skip


def _key_stale(seen: _Seen) -> Iterator[Finding]:
    """A key that was last used longer ago than `findings_stale_key`, or was never seen used for so long."""
    now, after = seen.facts.now, seen.facts.thresholds.stale

    def says(key: KeyDetail) -> str:
        if key.last_used:
            return f"last used {_day(key.last_used)}" if key.last_used <= now - after else ""
        return f"never used, as far as is told; first seen {_day(key.first_seen)}" if (
            key.first_seen <= now - after
        ) else ""  # fmt: skip

    yield from _keys(
        seen, "key_stale", 2, says,
        lambda keys: f"was not used for {_days(after)} or more on {seen.on([key.oid for key in keys])}",
        "",
    )  # fmt: skip


def _keys(
    seen: _Seen,
    kind: Kind,
    severity: int,
    says: Callable[[KeyDetail], str],
    sentence: Callable[[list[KeyDetail]], str],
    advice: str,
) -> Iterator[Finding]:
    """A finding for each name of a key: the keys of which there is something to say.

    Args:
        says: what is wrong with a key, as evidence; "" when nothing is.
    """
    for name, keys in sorted(seen.keys.items()):
        said = [(key, what) for key in keys if (what := says(key))]
        if not said:
            continue
        found = [key for key, _ in said]
        oids = tuple(dict.fromkeys(key.oid for key in found))
        yield Finding(
            kind, severity, Untrusted(name), name, oids, (),
            sentence(found),
            tuple(seen.each((key.oid, what) for key, what in said)),
            _plan(AccessChange("delete_key", oid=key.oid, principal=key.key_hash) for key in found),
            f"Deletes {'the key' if len(found) == 1 else f'{len(found):,} keys'}, which cannot be taken "
            "back: "
            "whatever uses it is cut off, within an hour." + (f" {advice}" if advice else ""),
        )  # fmt: skip


def _staff_direct(seen: _Seen) -> Iterator[Finding]:
    """Staff with direct permissions; see `_Seen.staff_direct` for what is not meant."""
    for email, held in sorted(seen.staff_direct.items()):
        oids = seen.inside(held)
        if not oids:
            continue
        alone = {oid: held[oid] & ~seen.through(email, oid) for oid in oids}
        lost = [oid for oid in oids if alone[oid]]
        evidence = seen.each(
            (
                oid,
                f"{counted(held[oid].bit_count(), 'permission')} directly"
                + (
                    f", only so: {some(seen.names(alone[oid]))}" if alone[oid] else ", all by a group as well"
                ),
            )
            for oid in oids
        )
        advice = "Takes the direct access away."
        advice += (
            f" On {seen.on(lost)} that takes away what no group gives: put it into a group first where "
            "the work "
            "needs it."
            if lost
            else " Groups give all of it, so nothing is lost."
        )
        yield Finding(
            "staff_direct", 2, Untrusted(email), email, tuple(oids), (email,),
            f"is staff, and granted directly on {seen.on(oids)}",
            (*evidence, seen.facts.staff.words),
            _plan(AccessChange("remove_user", oid=oid, principal=email) for oid in oids),
            advice,
        )  # fmt: skip


def _owner_sprawl(seen: _Seen) -> Iterator[Finding]:
    """An organization with more owners than `findings_owners`; those with the same owners in one finding."""
    most = seen.facts.thresholds.owners
    alike: dict[tuple[str, ...], list[str]] = {}
    for oid, owners in seen.owners.items():
        if len(owners) > most:
            alike.setdefault(tuple(sorted(owners)), []).append(oid)
    for owners_of, where in sorted(alike.items()):
        oids = seen.inside(where)
        if not oids:
            continue
        yield Finding(
            "owner_sprawl", 2, Untrusted(seen.on(oids)), "\0".join(owners_of), tuple(oids), owners_of,
            f"has {len(owners_of)} owners; {most} are plenty",
            (
                f"owners: {some(owners_of)}",
                f"an owner holds {_and(OWNER)}",
                *seen.each((oid, "") for oid in oids),
            ),
            (),
            "Who stays owner is nobody's to choose but yours. Complete a line for each who does not, and "
            "stage it.",
            tuple(
                f"remove-user {email} {shlex.quote(seen.place(oid).name)}"
                for oid in oids[:1]
                for email in owners_of
            ),
        )  # fmt: skip


def _single_owner(seen: _Seen) -> Iterator[Finding]:
    """An organization with one owner or none; those with the same owner in one finding."""
    alike: dict[str, list[str]] = {}
    for oid, owners in seen.owners.items():
        if len(owners) < 2:
            alike.setdefault(next(iter(owners), ""), []).append(oid)
    for owner, where in sorted(alike.items()):
        oids = seen.inside(where)
        if not oids:
            continue
        yield Finding(
            "single_owner", 2, Untrusted(owner or seen.on(oids)), owner, tuple(oids),
            (owner,) if owner else (),
            f"is the only owner of {seen.on(oids)}" if owner else "has no owner that is known",
            (
                f"an owner holds {_and(OWNER)}, directly or by one group",
                *seen.each((oid, "") for oid in oids),
            ),
            (),
            "If that account is lost, only LimaCharlie's support can help. Who is to be the second owner "
            "is yours "
            "to choose, such as a shared account of yours: complete the lines for each organization, "
            "or give "
            "the role Owner in the web application.",
            tuple(
                f"grant EMAIL {name} {shlex.quote(seen.place(oid).name)}"
                for oid in oids[:1]
                for name in OWNER
            ),
        )  # fmt: skip


def _group_drift(seen: _Seen) -> Iterator[Finding]:
    """A group whose permissions are not those of the role that the applied access.yaml gives it."""
    for gid, role in sorted(seen.facts.roles.items()):
        group = seen.world.groups.get(gid)
        if group is None:
            continue
        given = set(seen.names(group.permissions))
        more, less = sorted(given - role.permissions), sorted(role.permissions - given)
        oids = seen.inside(seen.held(group))
        if not (more or less) or (seen.facts.inside is not None and not oids):
            continue
        said = [f"gives {some(more, 3)} beyond it"] if more else []
        said += [f"lacks {some(less, 3)}"] if less else []
        yield Finding(
            "group_drift", 3 if any(map(is_privileged, more)) else 2, group.name, gid, tuple(oids),
            tuple(sorted(group.members)),
            f"is to have the role {role.name}, and {', and '.join(said)}",
            (
                *([f"beyond the role: {some(more)}"] if more else []),
                *([f"lacking: {some(less)}"] if less else []),
                f"{counted(len(group.members), 'member')} on "
                f"{counted(len(seen.held(group)), 'organization')}",
            ),
            _plan(
                (
                    *(AccessChange("remove_group_permission", gid=gid, permission=name) for name in more),
                    *(AccessChange("add_group_permission", gid=gid, permission=name) for name in less),
                )
            ),
            "Gives the group its role again. If the group is right, change access.yaml instead.",
        )  # fmt: skip


def _no_mfa(seen: _Seen) -> Iterator[Finding]:
    """Somebody with access to anything who is told to have no second factor; one without an answer is not.

    Staff, and whoever holds a privileged permission, have a finding each. Of customers' users there are two:
    those who may change things, and those who only read.
    """
    advice = (
        "No call of LimaCharlie's sets it: the user turns it on in the profile of the web application, "
        "or the "
        "domain is put under strict SSO (7-administration/access/sso.md of the documentation)."
    )
    changing = seen.world.mask(name for name in seen.world.names if _changes(name))
    others: dict[int, dict[str, list[str]]] = {1: {}, 2: {}}
    for email, told in sorted(seen.facts.mfa.items()):
        if told is not False:
            continue
        held = {oid: mask for oid, mask in seen.world.everywhere(email).items() if mask}
        oids = seen.inside(held)
        if not oids:
            continue
        mask = _union(held[oid] for oid in oids)
        severity = 3 if mask & seen.privileged else 2 if mask & changing else 1
        if severity < 3 and seen.facts.staff.source and email not in seen.facts.staff:
            others[severity][email] = oids
            continue
        privileged, writes = seen.names(mask & seen.privileged), seen.names(mask & changing)
        may = {
            3: f", and may use {_and(privileged)}",
            2: f", and may change things by {counted(len(writes), 'permission')}",
            1: ", and only reads",
        }[severity]
        yield Finding(
            "no_mfa", severity, Untrusted(email), email, tuple(oids), (email,),
            f"has no second factor on {seen.on(oids)}{may}",
            (
                *([f"privileged: {some(privileged)}"] if privileged else []),
                *([f"changes things by: {some(writes)}"] if writes else []),
                *seen.each((oid, counted(held[oid].bit_count(), "permission")) for oid in oids),
            ),
            (),
            advice,
        )  # fmt: skip
    for severity, users in others.items():
        if not users:
            continue
        where: dict[str, list[str]] = {}
        for email, oids in users.items():
            for oid in oids:
                where.setdefault(oid, []).append(email)
        some_oids = seen.inside(where)
        one = next(iter(users)) if len(users) == 1 else ""
        yield Finding(
            "no_mfa", severity, Untrusted(one or f"{len(users):,} customers' users"),
            f"customers\0{severity}", tuple(some_oids), tuple(users),
            f"{'has' if one else 'have'} no second factor on {seen.on(some_oids)}, and "
            + ("may change things" if severity == 2 else "only reads" if one else "only read"),
            tuple(seen.each((oid, some(where[oid], 5)) for oid in some_oids)),
            (),
            advice,
        )  # fmt: skip


def _duplicate(seen: _Seen) -> Iterator[Finding]:
    """A permission that somebody has directly and by a group, on the same organization.

    Not an owner's, who is meant to have everything directly, and not staff's: of those it is said already
    that they are granted directly. Nor by a group that leaks, for that is the one to leave.
    """
    for email, held in sorted(seen.world.direct.items()):
        groups = [group for group in seen.world.groups_of(email) if (group.gid, email) not in seen.leaks]
        if not groups or email in seen.facts.left:
            continue
        said = seen.staff_direct.get(email, {})
        twice = {
            oid: both
            for oid, mask in held.items()
            if oid not in said
            and not seen.owns(mask)
            and (both := mask & _union(each.permissions for each in groups if oid in each.organizations))
        }
        oids = seen.inside(twice)
        if not oids:
            continue
        changes: list[AccessChange] = []
        for oid in oids:
            if twice[oid] == held[oid]:
                changes.append(AccessChange("remove_user", oid=oid, principal=email))
            else:
                changes += (
                    AccessChange("revoke", oid=oid, principal=email, permission=name)
                    for name in seen.names(twice[oid])
                )
        groups = [group for group in groups if any(oid in group.organizations for oid in oids)]
        yield Finding(
            "duplicate", 1, Untrusted(email), email, tuple(oids), (email,),
            f"has {counted(_union(twice[oid] for oid in oids).bit_count(), 'permission')} twice on "
            f"{seen.on(oids)}: directly and by {_and([f'the group {group.name}' for group in groups[:3]])}",
            tuple(seen.each((oid, f"twice: {some(seen.names(twice[oid]))}") for oid in oids)),
            _plan(changes),
            "Takes the direct ones away; the group gives the same, so nobody loses anything.",
        )  # fmt: skip


def _unused(seen: _Seen) -> Iterator[Finding]:
    """A permission of AUDITED that was held for `findings_unused` and of whose use no stored entry tells.

    Customers' users of whom the same is unused are one finding. Said where the stored audit log covers all
    of that time up to its last reading. Directly: of somebody who is no owner, where the log tells of no
    change to what that user holds. By a group: when no member used it on any of its organizations. Of a key:
    likewise, by its name, as the log knows it.
    """
    used = seen.facts.used
    if used is None:
        return
    period = seen.facts.thresholds.unused
    since = {
        oid: place.audited[1] - period
        for oid, place in seen.facts.places.items()
        if place.audited is not None and place.audited[1] - place.audited[0] >= period
    }
    audited = {bit: name for name in AUDITED if (bit := seen.world.bit(name)) is not None}
    can_know = sum(1 << bit for bit in audited)
    tells: dict[str, int] = {}
    for bit, name in audited.items():
        for mark in AUDITED[name].marks:
            tells[mark] = tells.get(mark, 0) | 1 << bit
    nothing: Mapping[str, int] = {}

    acted: dict[str, list[str]] = {}
    for oid, actor in used:
        acted.setdefault(actor, []).append(oid)

    def idle(oid: str, actor: str, mask: int) -> int:
        """Those of these permissions that an actor did not use on an organization."""
        left = mask & can_know
        if left:
            for mark, last in used.get((oid, actor), nothing).items():
                if last >= since[oid]:
                    left &= ~tells.get(mark, 0)
        return left

    def others(mask: int) -> str:
        rest = (mask & ~can_know).bit_count()
        return (
            f"of {counted(rest, 'other permission')} held it cannot be known: no line of the audit log "
            "tells of "
            "their use"
        )

    alike: dict[tuple[str, int], dict[str, dict[str, int]]] = {}
    for email, held in sorted(seen.world.direct.items()):
        if email in seen.facts.left:
            continue
        found = {
            oid: left
            for oid, mask in held.items()
            if oid in since
            and not seen.owns(mask)
            and seen.facts.granted.get((oid, email), 0) < since[oid]
            and (left := idle(oid, email, mask & ~seen.through(email, oid)))
        }
        oids = seen.inside(found)
        if oids:
            alone = not seen.facts.staff.source or email in seen.facts.staff
            at = (email, 0) if alone else ("", _union(found[oid] for oid in oids))
            alike.setdefault(at, {})[email] = {oid: found[oid] for oid in oids}
    for (staff, _), users in alike.items():
        where: dict[str, list[str]] = {}
        for email, found in users.items():
            for oid in found:
                where.setdefault(oid, []).append(email)
        oids = seen.inside(where)
        whole = _union(left for found in users.values() for left in found.values())
        names = seen.names(whole)
        one = next(iter(users)) if len(users) == 1 else ""
        yield Finding(
            "unused", 1, Untrusted(one or f"{len(users):,} customers' users"),
            f"user\0{staff}" if staff else f"users\0{' '.join(names)}", tuple(oids), tuple(users),
            f"did not use {_few(seen, whole)} on {seen.on(oids)} for {_days(period)}",
            (
                f"unused: {some(names)}",
                *seen.each((oid, "" if one else some(where[oid], 5)) for oid in oids),
                others(
                    _union(seen.world.direct[email][oid] for email in users for oid in users[email])
                ),
            ),
            _plan(
                AccessChange("revoke", oid=oid, principal=email, permission=name)
                for oid in oids
                for email in where[oid]
                for name in seen.names(users[email][oid])
            ),
            "Revokes them."
            if one
            else "Revokes them of all of these users; a scope or one organization narrows it.",
        )  # fmt: skip
    for group in seen.world.groups.values():
        covered = [oid for oid in group.organizations if oid in since]
        oids = seen.inside(covered)
        if not oids or not group.members or not group.permissions & can_know:
            continue
        left = group.permissions & can_know
        here = frozenset(covered)
        for email in group.members:
            for oid in acted.get(email, ()):
                if oid in here:
                    left = idle(oid, email, left)
        if not left:
            continue
        whole = len(covered) == len(seen.held(group)) and group.complete
        names = seen.names(left)
        yield Finding(
            "unused", 1, group.name, f"group\0{group.gid}", tuple(oids), tuple(sorted(group.members)),
            f"gives {_few(seen, left)}, which none of its {counted(len(group.members), 'member')} used for "
            f"{_days(period)}",
            (
                f"unused: {some(names)}",
                f"the audit log covers that time on {len(covered):,} of "
                f"{counted(len(seen.held(group)), 'organization')}",
                "since when somebody is a member is not known",
                others(group.permissions),
            ),
            _plan(
                AccessChange("remove_group_permission", gid=group.gid, permission=name) for name in names
            )
            if whole
            else (),
            "Takes them from the group."
            if whole
            else "On the other organizations somebody may have used them, so nothing is staged.",
            () if whole else tuple(f"take {name} {shlex.quote(group.name)}" for name in names),
        )  # fmt: skip
    for name, keys in sorted(seen.keys.items()):
        lazy = {
            key: left
            for key in keys
            if key.oid in since
            and seen.facts.granted.get((key.oid, key.name), 0) < since[key.oid]
            and key.first_seen <= since[key.oid]
            and (
                left := idle(key.oid, key.name, key.permissions)
                & idle(key.oid, key.key_hash, key.permissions)
            )
        }
        if lazy:
            yield Finding(
                "unused", 1, Untrusted(name), f"key\0{name}", tuple(dict.fromkeys(key.oid for key in lazy)),
                (),
                f"did not use {_few(seen, _union(lazy.values()))} on {seen.on([key.oid for key in lazy])} "
                f"for {_days(period)}",
                (
                    *seen.each((key.oid, f"unused: {some(seen.names(left))}") for key, left in lazy.items()),
                    others(_union(key.permissions for key in lazy)),
                ),
                (),
                "A key cannot be edited: make one without them (`limegrove key rotate`), and delete this "
                "one.",
            )  # fmt: skip


def _everything(seen: _Seen) -> Iterator[Finding]:
    """More people than `findings_everywhere` with a permission on every organization, of MANY or more.

    All of them in one finding: each owner account of the provider's is one of them by its nature, so some are
    expected.
    """
    world, most = seen.world, seen.facts.thresholds.everywhere
    every = frozenset(seen.facts.places)
    if len(every) < MANY:
        return
    wanted = world.oid_mask(every)
    by_group = {
        group.gid: world.organizations_of(group.gid) if group.permissions else 0
        for group in world.groups.values()
    }
    people: dict[str, str] = {}
    members = frozenset[str]().union(*(group.members for group in world.groups.values()))
    for email in sorted(world.direct.keys() | members):
        groups = world.groups_of(email)
        whole = [group for group in groups if by_group[group.gid] & wanted == wanted]
        if whole:
            people[email] = _and([f"the group {group.name}" for group in whole])
            continue
        held = world.direct.get(email, {})
        reached = _union(by_group[group.gid] for group in groups)
        reached |= world.oid_mask(oid for oid, mask in held.items() if mask)
        if reached & wanted == wanted:
            directly = sum(1 for oid in every if held.get(oid))
            ways = [f"direct grants on {counted(directly, 'organization')}"] if directly else []
            people[email] = _and([*ways, *(f"the group {group.name}" for group in groups)])
    if len(people) <= most:
        return
    alike: dict[str, list[str]] = {}
    for email, way in people.items():
        alike.setdefault(way, []).append(email)
    groups_named = [group for group in world.groups.values() if by_group[group.gid] & wanted == wanted]
    yield Finding(
        "everything", 1, Untrusted(counted(len(people), "user")), "", tuple(seen.inside(every)),
        tuple(people),
        f"have access to every organization; {most} are plenty",
        tuple(f"by {way}: {some(emails)}" for way, emails in sorted(alike.items(), key=_widest)),
        (),
        "Which organizations their work does not need is yours to choose, such as your own, or those of "
        "another region: complete a line for each.",
        tuple(
            line
            for group in groups_named
            for line in (f"drop ORG {shlex.quote(group.name)}", f"leave EMAIL {shlex.quote(group.name)}")
        ),
    )  # fmt: skip


def _widest(way: tuple[str, list[str]]) -> tuple[int, str]:
    return -len(way[1]), way[0]


def _empty_group(seen: _Seen) -> Iterator[Finding]:
    """A group without members or without organizations, which therefore gives nobody anything.

    Not one that only organizations' listings name, for it may have more, and not one that break-glass fills.
    """
    for group in seen.world.groups.values():
        if not group.complete or group.gid in seen.facts.spared or (group.members and seen.held(group)):
            continue
        oids = seen.inside(seen.held(group))
        if seen.facts.inside is not None and not oids:
            continue
        lacks = [
            f"no {what}"
            for what, there in (("members", group.members), ("organizations", seen.held(group)))
            if not there
        ]
        yield Finding(
            "empty_group", 1, group.name, group.gid, tuple(oids), tuple(sorted(group.members)),
            f"has {' and '.join(lacks)}, so it gives nobody anything",
            (
                f"owners: {some(sorted(group.owners)) or 'none that is known'}",
                *([f"members: {some(sorted(group.members))}"] if group.members else []),
                *(
                    [f"would give {some(seen.names(group.permissions))} on {seen.on(oids)}"]
                    if oids and group.permissions
                    else []
                ),
            ),
            (AccessChange("delete_group", gid=group.gid),),
            "Deletes the group: nobody loses anything. Who joins it later would have what it gives at once.",
        )  # fmt: skip


_RULES: Final[dict[Kind, Callable[[_Seen], Iterator[Finding]]]] = {
    "leak": _leak,
    "left_access": _left_access,
    "privileged_group": _privileged_group,
    "privileged_key": _privileged_key,
    "privileged_person": _privileged_person,
    "key_of_left": _key_of_left,
    "staff_direct": _staff_direct,
    "owner_sprawl": _owner_sprawl,
    "single_owner": _single_owner,
    "group_drift": _group_drift,
    "key_anywhere": _key_anywhere,
    "key_stale": _key_stale,
    "no_mfa": _no_mfa,
    "duplicate": _duplicate,
    "unused": _unused,
    "everything": _everything,
    "empty_group": _empty_group,
}


def _unknown(seen: _Seen, kinds: Collection[Kind] | None) -> Iterator[str]:
    """What could not be looked for, a sentence each."""
    facts = seen.facts

    def asked(*wanted: Kind) -> bool:
        return kinds is None or any(kind in kinds for kind in wanted)

    places = [place for oid, place in facts.places.items() if facts.inside is None or oid in facts.inside]
    unread = [place for place in places if not place.read]
    if unread and asked(*(set(KINDS) - {"key_anywhere", "key_stale", "privileged_key"})):
        yield f"Who has access to {some(sorted(place.name for place in unread), 3)} was never read."
    keyless = [place for place in places if not place.keys_read]
    if keyless and asked("privileged_key", "key_anywhere", "key_stale", "key_of_left", "unused"):
        yield f"The keys of {some(sorted(place.name for place in keyless), 3)} were never read."
    if not facts.groups_read and asked("leak", "privileged_group", "empty_group", "everything"):
        yield (
            "The groups themselves were never read: only those count that an organization's own listing "
            "names, "
            "and they may hold more."
        )
    if not facts.staff.source and asked("leak", "staff_direct"):
        words = facts.staff.words
        yield (
            f"{words[:1].upper()}{words[1:]}; so customers' users in groups, and staff granted directly, are "
            "not looked for."
        )
    if not facts.roles and asked("group_drift"):
        yield "No access.yaml was applied from here, so no group has a role to drift from."
    if asked("key_of_left") and not all(place.read for place in facts.places.values()):
        yield (
            "Not every organization's users were read, so who left is known only of those whom the tree's "
            f"{LEFT} names."
        )
    if asked("unused") and facts.used is not None:
        period = facts.thresholds.unused
        covered = sum(
            1
            for place in places
            if place.audited is not None and place.audited[1] - place.audited[0] >= period
        )
        if covered < len(places):
            yield (
                f"The stored audit log covers {_days(period)} on {covered:,} of "
                f"{counted(len(places), 'organization')}; on the others it cannot be known what is unused "
                f"(`limegrove sync --since {period // 86_400_000 + 1}d` reads further back)."
            )
    silent = sum(
        1 for email, told in facts.mfa.items() if told is None and any(seen.world.everywhere(email).values())
    )
    if silent and asked("no_mfa"):
        yield f"Whether they have a second factor is not told of {silent:,} who have access."


def _union(masks: Iterable[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found


def _few(seen: _Seen, mask: int) -> str:
    return some(seen.names(mask), 3)


def _and(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _changes(name: str) -> bool:
    found = known(name)
    return found is not None and found.kind != "read"


def _day(milliseconds: int) -> str:
    return (rfc3339(milliseconds) or "an odd time")[:10]


def _days(milliseconds: int) -> str:
    return counted(max(1, milliseconds // 86_400_000), "day")
