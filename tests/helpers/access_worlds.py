"""Random worlds of access, and what holds in them worked out one grant at a time.

Nothing here looks at `store.access`: a world is plain sets, effective access is every triple spelled out, and
a change takes something out of the sets.
"""

import random
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from store import ingest
from store.access import Facts, GroupFacts, KeyFacts
from store.accesschanges import AccessChange, ordered
from store.database import Store
from store.text import Untrusted

PERMISSIONS = ("dr.set", "sensor.task", "secret.get", "secret.get.vault", "user.ctrl", "brand.new")

Triple = tuple[str, str, str]
"""(principal, permission, organization)."""

Step = tuple[str, str, str, str]
"""(change, gid, principal, permission), as `access explain` prints it."""


@dataclass
class GroupOf:
    """A group."""

    name: str
    owners: set[str]
    members: set[str]
    organizations: set[str]
    permissions: set[str]


@dataclass
class World:
    """Who was given what."""

    organizations: list[str]
    people: list[str]
    direct: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """(organization, e-mail) -> permissions."""
    groups: dict[str, GroupOf] = field(default_factory=dict)
    keys: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """(organization, hash) -> permissions."""

    @property
    def principals(self) -> list[str]:
        """Users, and keys by their hash."""
        return [*self.people, *(key_hash for _, key_hash in self.keys)]

    def effective(self) -> set[Triple]:
        """Every grant that holds."""
        held = {(email, name, oid) for (oid, email), names in self.direct.items() for name in names}
        for group in self.groups.values():
            for email in group.members:
                held |= {(email, name, oid) for name in group.permissions for oid in group.organizations}
        return held | {(key, name, oid) for (oid, key), names in self.keys.items() for name in names}

    def paths(self, principal: str, permission: str, oid: str) -> set[tuple[str, str]]:
        """(via, gid) of every way by which a grant holds."""
        found = set()
        if permission in self.direct.get((oid, principal), ()) or permission in self.keys.get(
            (oid, principal), ()
        ):
            found.add(("direct", ""))
        for gid, group in self.groups.items():
            if principal in group.members and oid in group.organizations and permission in group.permissions:
                found.add(("group", gid))
        return found

    def after(self, steps: tuple[Step, ...], oid: str) -> "World":
        """A copy in which these changes were made, seen from this organization."""
        world = deepcopy(self)
        for change, gid, principal, permission in steps:
            if change == "revoke":
                world.direct.get((oid, principal), set()).discard(permission)
                world.keys.pop((oid, principal), None)
            elif change == "remove_member":
                world.groups[gid].members.discard(principal)
            elif change == "remove_org":
                world.groups[gid].organizations.discard(oid)
            else:
                world.groups[gid].permissions.discard(permission)
        return world

    def alone(self, principal: str, permission: str, oid: str) -> "World":
        """What of it decides about one grant."""
        here = (oid, principal)
        return World(
            [oid],
            [principal],
            {at: names & {permission} for at, names in self.direct.items() if at == here},
            {
                gid: GroupOf(
                    group.name,
                    set(group.owners),
                    group.members & {principal},
                    group.organizations & {oid},
                    group.permissions & {permission},
                )
                for gid, group in self.groups.items()
            },
            {at: names & {permission} for at, names in self.keys.items() if at == here},
        )

    def fewest(self, principal: str, permission: str, oid: str) -> int:
        """After how many changes a grant is gone, by trying every set of fewer first."""
        steps = self._steps(principal, permission)
        for size in range(len(steps) + 1):
            for chosen in combinations(steps, size):
                if not self.after(chosen, oid).paths(principal, permission, oid):
                    return size
        raise AssertionError("nothing takes it away")

    def _steps(self, principal: str, permission: str) -> list[Step]:
        steps: list[Step] = [("revoke", "", principal, permission)]
        for gid in self.groups:
            steps += [
                ("remove_member", gid, principal, ""),
                ("remove_org", gid, "", ""),
                ("remove_group_permission", gid, "", permission),
            ]
        return steps

    def made(self, changes: Iterable[AccessChange]) -> "World":
        """A copy in which these changes were made, in the order of a plan."""
        world = deepcopy(self)
        for change in ordered(changes):
            world._make(change)
        return world

    def _make(self, change: AccessChange) -> None:
        here, group = (change.oid, change.principal), self.groups.get(change.gid)
        match change.kind:
            case "create_group":
                self.groups.setdefault(change.gid, GroupOf(change.gid, set(), set(), set(), set()))
            case "delete_group":
                self.groups.pop(change.gid, None)
            case "add_user":
                self.direct.setdefault(here, set())
            case "grant":
                self.direct.setdefault(here, set()).add(change.permission)
            case "revoke":
                self.direct.get(here, set()).discard(change.permission)
            case "remove_user":
                self.direct.pop(here, None)
            case "delete_key":
                self.keys.pop(here, None)
            case _:
                assert group is not None
                what, one = {
                    "member": (group.members, change.principal),
                    "owner": (group.owners, change.principal),
                    "org": (group.organizations, change.oid),
                    "permission": (group.permissions, change.permission),
                }[change.kind.rpartition("_")[2]]
                (what.add if change.kind.startswith("add") else what.discard)(one)

    def smallest(self, principal: str, permission: str, oid: str) -> tuple[int, set[frozenset[Step]]]:
        """Of all sets of changes after which a grant is gone, the smallest, by trying every one.

        Returns:
            (other grants lost, the sets).
        """
        steps = self._steps(principal, permission)
        before = self.effective()
        for size in range(1, len(steps) + 1):
            lost: dict[frozenset[Step], int] = {}
            for chosen in combinations(steps, size):
                left = self.after(chosen, oid).effective()
                if (principal, permission, oid) not in left:
                    lost[frozenset(chosen)] = len(before - left) - 1
            if lost:
                least = min(lost.values())
                return least, {chosen for chosen, number in lost.items() if number == least}
        raise AssertionError("nothing takes it away")

    def facts(self) -> Facts:
        """All of it as `store.access` is given it."""
        direct: dict[str, dict[str, frozenset[str]]] = {}
        for (oid, email), names in self.direct.items():
            direct.setdefault(email, {})[oid] = frozenset(names)
        return Facts(
            direct=direct,
            groups={
                gid: GroupFacts(
                    gid,
                    Untrusted(group.name),
                    frozenset(group.owners),
                    frozenset(group.members),
                    frozenset(group.organizations),
                    frozenset(group.permissions),
                )
                for gid, group in self.groups.items()
            },
            keys={
                (oid, key): KeyFacts(oid, key, Untrusted(f"name of {key}"), frozenset(names))
                for (oid, key), names in self.keys.items()
            },
            people=frozenset(self.people),
        )

    def put(self, store: Store, now: int) -> None:
        """Write it into a store as a sync would."""
        with store.writing() as c:
            ingest.put_organizations(
                c, [{"oid": oid, "name": f"Customer {oid}"} for oid in self.organizations],
                complete=True, now=now,
            )  # fmt: skip
            ingest.put_groups(
                c,
                [
                    {
                        "group_id": gid, "name": group.name, "owners": sorted(group.owners),
                        "members": sorted(group.members), "perms": sorted(group.permissions),
                        "orgs": [{"org_id": oid, "org_name": oid} for oid in sorted(group.organizations)],
                    }
                    for gid, group in self.groups.items()
                ],
                now=now,
            )  # fmt: skip
            for oid in self.organizations:
                answer: dict[str, Any] = {
                    "user_permissions": {
                        email: sorted(names) for (at, email), names in self.direct.items() if at == oid
                    },
                    "from_groups": {
                        email: {
                            "email": email,
                            "groups": {
                                gid: True
                                for gid, group in self.groups.items()
                                if email in group.members and oid in group.organizations
                            },
                        }
                        for email in self.people
                    },
                    "group_info": {
                        gid: {"name": group.name, "perms": sorted(group.permissions)}
                        for gid, group in self.groups.items()
                        if oid in group.organizations
                    },
                }
                ingest.put_access(c, oid, answer, now=now)
                ingest.put_keys(
                    c,
                    oid,
                    {
                        key: {"name": f"name of {key}", "priv": sorted(names)}
                        for (at, key), names in self.keys.items()
                        if at == oid
                    },
                    now=now,
                )
                for subject in ("access", "keys"):
                    ingest.put_sync_state(c, oid, subject, checked_at=now, attempted_at=now)


def world_of(seed: int, *, organizations: int = 3, people: int = 4, groups: int = 3) -> World:
    """A random world, crowded enough that paths overlap."""
    chance = random.Random(seed)
    world = World(
        [f"org-{number}" for number in range(organizations)],
        [f"person-{number}@example.com" for number in range(people)],
    )

    def some(names: Any, share: float) -> set[str]:
        return {name for name in names if chance.random() < share}

    for number in range(chance.randint(0, groups)):
        share = chance.choice((0.3, 0.6, 0.9))
        world.groups[f"gid-{number}"] = GroupOf(
            chance.choice(("Analysts", "Responders", f"Group {number}")),
            some(world.people, 0.3),
            some(world.people, share),
            some(world.organizations, share),
            some(PERMISSIONS, share),
        )
    for oid in world.organizations:
        for email in world.people:
            if chance.random() < 0.4:
                world.direct[oid, email] = some(PERMISSIONS, 0.4)
        for number in range(chance.randint(0, 2)):
            world.keys[oid, f"hash-{oid}-{number}"] = some(PERMISSIONS, 0.5)
    return world
