"""A provider whose access is known to a store, for plans that change it, and what the sandbox holds of it."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import Denied
from store import accessplans, ingest
from store.accesschanges import AccessChange
from store.accessplans import Plan
from store.database import Store
from store.secret import Secret
from store.times import now_ms
from tests.helpers.sandboxes import sandbox

OPERATOR = "ada"


@dataclass
class Provider:
    """A sandbox, a connection to it, and a store that knows what is there."""

    served: Any
    cloud: Cloud
    store: Store

    @property
    def organizations(self) -> list[Any]:
        """Those that the root administrator may look into."""
        return [one for one in self.served.world.organizations if one is not self.served.world.unauthorized]

    @property
    def oids(self) -> list[str]:
        """Of `organizations`."""
        return [one.oid for one in self.organizations]

    @property
    def groups(self) -> list[Any]:
        """The groups that the root administrator owns."""
        access = self.served.world.access
        return [group for group in access.groups if access.root in group.owners]

    async def read(self) -> None:
        """Bring the store to what the cloud says about access."""
        await read_access(self.store, self.cloud, self.served.world.organizations)

    def draft(self, *changes: AccessChange, title: str = "A change", **options: Any) -> int:
        """Draft a plan."""
        with self.store.writing() as c:
            return accessplans.draft(c, changes, title=title, by=OPERATOR, now=now_ms(), **options)

    def plan(self, plan_id: int) -> Plan:
        """A plan as it is now."""
        with self.store.reader.reading() as c:
            return accessplans.load(c, plan_id)

    def undoing(self, plan_id: int) -> list[AccessChange]:
        """What takes a plan back."""
        with self.store.reader.reading() as c:
            return accessplans.undoing(c, plan_id)

    def state(self) -> dict[str, Any]:
        """Everything about access, as the sandbox holds it."""
        return state_of(self.served.world)

    def changes(self) -> list[Any]:
        """The requests that changed something, in their order."""
        return changing(self.served.log.entries)


def root_key(served: Any) -> UserKey:
    """The root administrator's key."""
    user = served.world.access.users[served.world.access.root]
    return UserKey(user.uid, Secret(user.api_key))


@asynccontextmanager
async def provider(store: Store, *, orgs: int = 5, **options: Any) -> AsyncIterator[Provider]:
    """A sandbox with organizations, whose access the store has read."""
    async with (
        sandbox(orgs=orgs, detections=10, **options) as served,
        Cloud(root_key(served), Endpoint.single(served.url)) as cloud,
    ):
        found = Provider(served, cloud, store)
        await found.read()
        yield found


async def read_access(store: Store, cloud: Cloud, organizations: Iterable[Any]) -> None:
    """Read users, groups and keys of every organization, as a sync does."""
    groups = await cloud.groups()
    listed = list(organizations)
    answers = {}
    for one in listed:
        handle = cloud.organization(one.oid)
        try:
            answers[one.oid] = (await handle.permissions(), await handle.keys())
        except Denied:
            continue
    now = now_ms()
    with store.writing() as c:
        rows = [{"oid": one.oid, "name": one.name} for one in listed]
        ingest.put_organizations(c, rows, complete=True, now=now)
        ingest.put_groups(c, groups, now=now)
        for oid, (answer, keys) in answers.items():
            ingest.put_access(c, oid, answer, now=now)
            ingest.put_keys(c, oid, keys, now=now)
            for subject in ("access", "keys"):
                ingest.put_sync_state(c, oid, subject, checked_at=now, attempted_at=now)


def state_of(world: Any) -> dict[str, Any]:
    """Direct permissions, groups and keys of a sandbox's world, without any order."""
    access = world.access
    return {
        "direct": {
            one.oid: {email: frozenset(held) for email, held in access.direct(one).items()}
            for one in world.organizations
        },
        "groups": {
            group.gid: {
                "name": group.name,
                "owners": frozenset(group.owners),
                "members": frozenset(group.members),
                "permissions": frozenset(group.permissions),
                "organizations": frozenset(world.organizations[index].oid for index in group.organizations),
            }
            for group in access.groups
        },
        "keys": {one.oid: frozenset(key.key_hash for key in access.keys(one)) for one in world.organizations},
    }


def changing(entries: Iterable[Any]) -> list[Any]:
    """Of requests those that change something about access."""
    return [
        entry
        for entry in entries
        if entry.method != "GET"
        and ("/users" in entry.template or "/groups" in entry.template or "/keys" in entry.template)
    ]
