"""A provider in the sandbox in whose access nothing is wrong, and each mistake that there can be, by itself.

The mistakes are made by LimaCharlie's own client where it has a call for them: it cannot date a key's last use,
speak under another user's name, or turn a second factor off.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from console.sandbox import catalogue
from console.sandbox.access import Access, Group, Key
from console.sandbox.names import PROVIDER_DOMAIN
from console.sandbox.organizations import DAY, Organization
from console.sandbox.world import World
from store.accesschanges import AccessChange

READS = ("org.get", "sensor.list", "insight.det.get", "dr.list")
SdkCall = Callable[[str, str], Any]


@dataclass
class Scene:
    """A clean provider, and who is who there."""

    world: World
    sdk: SdkCall
    own: Organization
    """The provider's own organization."""
    customers: list[Organization]
    root: str
    deputy: str
    analysts: list[str]
    engineer: str
    contacts: list[str]
    """One of each customer, a viewer there."""
    colleagues: list[str]
    """Two of the first customer's, who have what they have by its own group."""
    soc: str
    """The gids of groups."""
    engineers: str
    house: str
    """The first customer's own group."""
    key: str
    """The hash of the first customer's only key."""
    left: list[str] = field(default_factory=list)
    """Who left, as the tree says."""

    @property
    def access(self) -> Access:
        """Of the sandbox."""
        return self.world.access

    def group(self, gid: str) -> Group:
        """A group of the sandbox."""
        return self.access.by_gid[gid]

    def give(self, gid: str, *permissions: str) -> None:
        """Have a group give these as well."""
        self.sdk(
            f"org.set_group_permissions({gid!r}, {[*self.group(gid).permissions, *permissions]!r})",
            self.own.oid,
        )

    def grant(self, email: str, one: Organization, *permissions: str) -> None:
        """Add a user, and grant these directly."""
        self.sdk(f"org.add_user({email!r})", one.oid)
        for permission in permissions:
            self.sdk(f"org.add_user_permission({email!r}, {permission!r})", one.oid)

    def with_mfa(self) -> None:
        """Everybody has a second factor."""
        for email, user in list(self.access.users.items()):
            if not user.mfa:
                self.access.users[email] = self.access.by_uid[user.uid] = replace(user, mfa=True)

    def tree(self) -> list[dict[str, Any]]:
        """The provider's tree, in which each node says whose addresses are whose."""
        nodes: list[dict[str, Any]] = [
            {
                "id": "root",
                "parent": None,
                "name": "Provider",
                "parameters": {"staff_domains": [PROVIDER_DOMAIN]}
                | ({"people_left": self.left} if self.left else {}),
            },
            {
                "id": "own",
                "parent": "root",
                "name": "Own",
                "oid": self.own.oid,
                "parameters": {"domains": [PROVIDER_DOMAIN]},
            },
        ]
        return nodes + [
            {
                "id": one.slug,
                "parent": "root",
                "name": one.name,
                "oid": one.oid,
                "parameters": {"domains": [one.domain]},
            }
            for one in self.customers
        ]

    def roles(self) -> dict[str, tuple[str, list[str]]]:
        """gid -> (role, permissions) as an access.yaml would have given them: what they give now."""
        return {
            gid: (role, sorted(self.group(gid).permissions))
            for gid, role in ((self.soc, "analyst"), (self.engineers, "engineer"), (self.house, "viewer"))
        }


def clean(world: World, sdk: SdkCall) -> Scene:
    """Take everything out that the sandbox seeds, and build access as the guide says.

    Args:
        world: of four organizations or more, none of which refuses.
    """
    access, organizations = world.access, world.organizations
    for group in list(access.groups):
        access.drop_group(group)
    for one in organizations:
        for email in list(access.direct(one)):
            access.remove(one, email)
        for key in access.keys(one):
            access.drop_key(key)
    own, *customers = organizations
    root, deputy = access.root, access.administrators[0]
    analysts, engineer = list(access.analysts[:2]), access.engineers[0]
    contacts = [f"cio@{one.domain}" for one in customers]
    for one in organizations:
        for owner in (root, deputy):
            access.grant(one, owner, catalogue.ALL)
    for one, contact in zip(customers, contacts, strict=True):
        access.grant(one, contact, READS)
    colleagues = [f"{name}@{customers[0].domain}" for name in ("ada", "ben")]

    def group_of(
        name: str, members: Iterable[str], permissions: tuple[str, ...], held: list[Organization]
    ) -> str:
        made = access.make_group(name, root, world.clock() // 1000)
        made.owners = (root, deputy)
        made.members, made.permissions = tuple(members), permissions
        made.holds = dict.fromkeys(one.index for one in held)
        for email in made.members:
            access.person(email)
        access.version += 1
        return made.gid

    soc = group_of("SOC", analysts, (*READS, "sensor.task"), customers)
    engineers = group_of("Engineers", [engineer], ("org.get", "dr.list", "dr.set"), customers)
    house = group_of("House", colleagues, ("org.get", "sensor.list"), customers[:1])
    key = access.make_key(customers[0], "siem", ("org.get", "insight.det.get"), deputy, "203.0.113.0/24")
    access.use_key(key, world.clock() // 1000 - DAY)
    for one in customers:
        world.note(one, "send_task", analysts[0], "task sent", entity={"type": "sensor", "name": "s"})
        world.note(one, "hive_set", engineer, "record set", entity={"type": "hive", "name": "dr-general/one"})
    scene = Scene(
        world, sdk, own, customers, root, deputy, analysts, engineer, contacts, colleagues, soc, engineers,
        house, key.key_hash,
    )  # fmt: skip
    scene.with_mfa()
    return scene


def _key(scene: Scene, name: str, *, by: str, used: int) -> Key:
    key = scene.access.make_key(scene.customers[1], name, ("org.get",), by, "203.0.113.0/24")
    scene.access.use_key(key, used)
    return key


def _owners(scene: Scene) -> None:
    for name in ("eve", "mallory"):
        email = f"{name}@{scene.customers[0].domain}"
        scene.sdk(f"org.add_user({email!r})", scene.customers[0].oid)
        scene.sdk(f"org.set_user_role({email!r}, 'Owner')", scene.customers[0].oid)


def _everything(scene: Scene) -> None:
    made = scene.sdk("org.create_group('All eyes')", scene.own.oid)["data"]["gid"]
    scene.sdk(f"org.add_group_member({made!r}, {scene.analysts[1]!r})", scene.own.oid)
    scene.sdk(f"org.set_group_permissions({made!r}, ['org.get'])", scene.own.oid)
    for one in scene.world.organizations:
        scene.sdk(f"org.add_group_org({made!r}, {one.oid!r})", scene.own.oid)


def _left(scene: Scene) -> None:
    email = f"gone@{PROVIDER_DOMAIN}"
    scene.left = [email]
    scene.grant(email, scene.customers[1], "org.get", "sensor.task")
    scene.sdk(f"org.add_group_member({scene.soc!r}, {email!r})", scene.own.oid)
    scene.sdk(f"org.add_group_owner({scene.engineers!r}, {email!r})", scene.own.oid)


def _factor(scene: Scene) -> None:
    user = scene.access.users[scene.contacts[1]]
    scene.access.users[user.email] = scene.access.by_uid[user.uid] = replace(user, mfa=False)


MISTAKES: dict[str, Callable[[Scene], object]] = {
    "leak": lambda scene: scene.sdk(
        f"org.add_group_member({scene.soc!r}, {scene.contacts[1]!r})", scene.own.oid
    ),
    "left_access": _left,
    "privileged_group": lambda scene: scene.give(scene.soc, "user.ctrl"),
    "privileged_key": lambda scene: scene.sdk(
        "org.add_api_key('deploy', ['org.get', 'user.ctrl'], ip_range='192.0.2.0/24')",
        scene.customers[1].oid,
    ),
    "privileged_person": lambda scene: scene.grant(scene.contacts[1], scene.customers[1], "billing.ctrl"),
    "key_of_left": lambda scene: _key(
        scene, "old", by=f"gone@{PROVIDER_DOMAIN}", used=scene.world.clock() // 1000 - DAY
    ),
    "staff_direct": lambda scene: scene.grant(scene.analysts[0], scene.customers[1], "org.get", "ikey.list"),
    "owner_sprawl": _owners,
    "single_owner": lambda scene: scene.sdk(f"org.remove_user({scene.deputy!r})", scene.customers[1].oid),
    "group_drift": lambda scene: scene.give(scene.soc, "output.list"),
    "key_anywhere": lambda scene: scene.sdk(
        "org.add_api_key('report', ['org.get', 'insight.det.get'])", scene.customers[1].oid
    ),
    "key_stale": lambda scene: _key(
        scene, "soar", by=scene.deputy, used=scene.world.clock() // 1000 - 91 * DAY
    ),
    "no_mfa": _factor,
    "duplicate": lambda scene: scene.grant(scene.colleagues[0], scene.customers[0], "org.get", "ikey.list"),
    "unused": lambda scene: scene.give(scene.engineers, "lookup.set"),
    "everything": _everything,
    "empty_group": lambda scene: scene.sdk("org.create_group('For later')", scene.own.oid),
}
"""By the kind of the finding that it is."""


# What the official client tells of access, and what a change makes of it


@dataclass
class Told:
    """Everything about access, as the official client tells it."""

    direct: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """(oid, e-mail) -> permissions."""
    keys: set[tuple[str, str]] = field(default_factory=set)
    """(oid, hash)."""
    groups: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """gid -> members, owners, organizations, permissions."""

    def after(self, changes: Iterable[AccessChange]) -> "Told":
        """What it is to be when these changes were made, and nothing else."""
        told = deepcopy(self)
        for each in changes:
            at = (each.oid, each.principal)
            match each.kind:
                case "add_user":
                    told.direct.setdefault(at, set())
                case "grant":
                    told.direct.setdefault(at, set()).add(each.permission)
                case "revoke":
                    told.direct[at].remove(each.permission)
                case "remove_user":
                    del told.direct[at]
                case "delete_key":
                    told.keys.remove(at)
                case "delete_group":
                    del told.groups[each.gid]
                case "remove_owner":
                    told.groups[each.gid]["owners"].remove(each.principal)
                case "remove_member":
                    told.groups[each.gid]["members"].remove(each.principal)
                case "remove_org":
                    told.groups[each.gid]["organizations"].remove(each.oid)
                case "add_group_permission":
                    told.groups[each.gid]["permissions"].add(each.permission)
                case "remove_group_permission":
                    told.groups[each.gid]["permissions"].remove(each.permission)
                case _:
                    raise AssertionError(f"no remedy is expected to {each.kind}")
        return told


def told(sdk: SdkCall, oids: Iterable[str]) -> Told:
    """All of it."""
    found = Told()
    first = ""
    for oid in oids:
        first = first or oid
        for email, held in sdk("org.get_user_permissions()", oid).items():
            found.direct[oid, email] = set(held)
        found.keys |= {(oid, key_hash) for key_hash in sdk("org.get_api_keys()", oid)}
    for each in sdk("org.get_groups()", first):
        group = sdk(f"org.get_group({each['gid']!r})['group']", first)
        found.groups[each["gid"]] = {
            "members": set(group["members"]),
            "owners": set(group["owners"]),
            "organizations": {one["org_id"] for one in group["orgs"]},
            "permissions": set(group["perms"]),
        }
    return found
