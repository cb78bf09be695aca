"""Organizations of a sandbox on which runs are made, and what the sandbox holds of what they change."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from console.limacharlie.client import Cloud
from console.limacharlie.endpoint import Endpoint
from console.operations import runs as operations
from console.operations.runs import Result
from store import ingest, runs
from store.database import Store
from store.runs import Planned, PlannedItem, PlannedStep
from store.times import now_ms
from tests.helpers.accessplans import OPERATOR, root_key
from tests.helpers.sandboxes import sandbox

NEWCOMER = "new.hire@example.com"


@dataclass
class Customers:
    """A sandbox, a connection to it, and a store that knows the organizations."""

    served: Any
    cloud: Cloud
    store: Store

    @property
    def organizations(self) -> list[Any]:
        """Those that the root administrator may look into."""
        return [one for one in self.served.world.organizations if one is not self.served.world.unauthorized]

    def planned(self, *steps: PlannedStep, orgs: int = 3, title: str = "A change", **options: Any) -> Planned:
        """The same steps for the first organizations."""
        items = tuple(PlannedItem(one.oid, one.name, steps=steps) for one in self.organizations[:orgs])
        return Planned("bulk", title, items, **options)

    def keep(self, planned: Planned) -> int:
        """Keep a run."""
        return operations.keep(self.store, planned, operator=OPERATOR)

    async def apply(self, run_id: int, **options: Any) -> Result:
        """Begin it, or carry on."""
        return await operations.apply(self.store, self.cloud, run_id, operator=OPERATOR, **options)

    async def make(self, *steps: PlannedStep, confirm: str = "", **options: Any) -> Result:
        """Keep a run of these steps and make it."""
        return await self.apply(self.keep(self.planned(*steps, **options)), confirm=confirm)

    async def undo(self, run_id: int) -> Result:
        """Take a run back, whatever has to be typed for that."""
        back = self.keep(operations.undoing(self.store, run_id))
        return await self.apply(back, confirm=operations.CONFIRMED)

    def steps(self, run_id: int) -> list[runs.RunStep]:
        """As they stand."""
        with self.store.reader.reading() as c:
            return runs.steps(c, run_id)

    def outcomes(self, run_id: int) -> list[str]:
        """What came of each."""
        return [step.outcome for step in self.steps(run_id)]

    def state(self) -> dict[str, Any]:
        """What the sandbox holds."""
        return state_of(self.served.world)

    def effects(self) -> list[tuple[str, str, str]]:
        """(oid, method, path) of each change that was carried out, in their order."""
        return effects_of(self.served)


def effects_of(served: Any) -> list[tuple[str, str, str]]:
    """(oid, method, path) of each change that a sandbox carried out, in their order."""
    return [
        (entry.oid, entry.method, entry.path.partition("?")[0])
        for entry in served.log.entries
        if entry.effect and entry.method in ("POST", "PUT", "DELETE") and entry.template != "/"
    ]


def state_of(world: Any) -> dict[str, Any]:
    """Of each organization what runs of these tests change."""
    found = {}
    for one in world.organizations:
        held = world.configuration
        found[one.oid] = {
            "quota": world.quota(one)["quota"],
            "extensions": frozenset(held.extensions(one)),
            "users": {email: frozenset(names) for email, names in world.access.direct(one).items()},
            "keys": frozenset(key.key_hash for key in world.access.keys(one)),
            "outputs": {name: dict(output) for name, output in held.outputs(one).items()},
            "installation keys": sorted(
                (key["desc"], str(key["tags"])) for key in held.installation_keys(one).values()
            ),
            "tags": {sensor.sid: frozenset(world.tags(one, sensor)) for sensor in world.sensors_of(one)},
        }
    return found


def client(served: Any, **options: Any) -> Cloud:
    """A connection as the root administrator."""
    return Cloud(root_key(served), Endpoint.single(served.url), **options)


@asynccontextmanager
async def customers(store: Store, *, orgs: int = 5, **options: Any) -> AsyncIterator[Customers]:
    """A sandbox whose organizations the store knows by name, and somebody who is nowhere a user yet."""
    async with sandbox(orgs=orgs, detections=0, **options) as served, client(served) as cloud:
        served.world.access.person(NEWCOMER)
        rows = [{"oid": one.oid, "name": one.name} for one in served.world.organizations]
        with store.writing() as c:
            ingest.put_organizations(c, rows, complete=True, now=now_ms())
        yield Customers(served, cloud, store)


__all__ = [
    "NEWCOMER", "OPERATOR", "Customers", "client", "customers", "effects_of", "state_of",
]  # fmt: skip
