"""A sandbox whose customers have cases, with its cases in a store, and a way to both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from sqlalchemy import select

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.cases import CaseDesk
from console.operations.casesync import CaseSync
from store import ingest
from store.configuration import Record
from store.database import Store
from store.models import Detection
from store.queries import cases as queries
from store.secret import Secret
from store.times import now_ms
from tests.helpers.sandboxes import sandbox

Case = tuple[str, int]


class World:
    """A sandbox whose customers' cases and alerts are in a store, and a way to it."""

    def __init__(self, served: Any, cloud: Cloud, store: Store) -> None:
        self.served = served
        self.cloud = cloud
        self.store = store
        self.organizations = [one for one in served.world.organizations if served.world.cases.subscribed(one)]
        self.others = [one for one in served.world.organizations if not served.world.cases.subscribed(one)]

    @property
    def cases(self) -> Any:
        return self.served.world.cases

    @property
    def desk(self) -> CaseDesk:
        return CaseDesk(self.store, self.cloud, operator="mk")

    @property
    def away(self) -> CaseDesk:
        """The same operator, offline."""
        return CaseDesk(self.store, None, operator="mk")

    async def sync(self) -> None:
        """As sync reads cases."""

        async def write(change: Any) -> Any:
            with self.store.writing() as connection:
                return change(connection)

        async def failed(oid: str, error: Exception) -> None:
            raise AssertionError((oid, error))

        oids = [one.oid for one in self.organizations]
        reading = CaseSync(self.store, self.cloud, write, failed, now_ms)
        await reading.run(oids, active={}, everywhere=True)

    def in_status(self, status: str, *, organization: int | None = None, nth: int = 0) -> Case:
        """A case of the cloud in this status that the store has."""
        chosen = self.organizations if organization is None else [self.organizations[organization]]
        found = [
            (one.oid, case.number)
            for one in chosen
            for case in self.cases.all_of(one)
            if case.status == status and not case.merged_into
        ]
        return found[nth]

    def many(self, status: str, count: int) -> list[Case]:
        """So many cases of one organization in this status."""
        for one in self.organizations:
            found = [(one.oid, case.number) for case in self.cases.all_of(one) if case.status == status]
            if len(found) >= count:
                return found[:count]
        raise AssertionError(f"no organization has {count} cases that are {status}")

    def there(self, case: Case) -> Any:
        """The case as the cloud has it."""
        return self.cases.find(self.served.world.by_oid[case[0]], case[1])

    def notes(self, case: Case) -> list[str]:
        return [
            event["metadata"]["content"]
            for event in self.there(case).events
            if event["action"] == "case_note_added"
        ]

    def row(self, case: Case) -> Any:
        with self.store.reader.reading() as connection:
            return queries.case(connection, *case)

    def detail(self, case: Case) -> Any:
        with self.store.reader.reading() as connection:
            return queries.detail(connection, *case)

    def name(self, case: Case) -> str:
        """Of the organization whose case it is."""
        return str(self.served.world.by_oid[case[0]].name)

    def edits(self, *states: int) -> list[Any]:
        with self.store.reader.reading() as connection:
            return queries.edits(connection, states=states)

    def alerts(self, oid: str) -> list[Any]:
        table = Detection.__table__  # type: ignore[attr-defined]
        with self.store.reader.reading() as connection:
            return list(connection.execute(select(table).where(table.c.oid == oid).order_by(table.c.id)))

    def wire(self, method: str, path: str) -> int:
        """How often the cloud was asked so."""
        return sum(
            1
            for each in self.served.log.entries
            if each.method == method and each.template.endswith(path) and each.effect
        )

    def free_detection(self, organization: Any) -> dict[str, Any]:
        """A detection of an organization that no case holds, put into the store."""
        world = self.served.world
        for place in range(organization.detections):
            record = world.detections.detection(organization.index, place)
            if self.cases.holding(organization, record["detect_id"]) is None:
                self.put_alert(organization.oid, record)
                return dict(record)
        raise AssertionError("every detection has a case")

    def put_alert(self, oid: str, record: dict[str, Any]) -> int:
        with self.store.writing() as connection:
            ingest.put_detections(connection, oid, [ingest.detection_from(orjson.dumps(record), oid)])
        table = Detection.__table__  # type: ignore[attr-defined]
        with self.store.reader.reading() as connection:
            return int(
                connection.execute(
                    select(table.c.id).where(table.c.oid == oid, table.c.detect_id == record["detect_id"])
                ).scalar_one()
            )


@asynccontextmanager
async def provider(
    store: Store, *, orgs: int = 8, detections: int = 900, **options: Any
) -> AsyncIterator[World]:
    async with sandbox(orgs=orgs, detections=detections, **options) as served:
        world = served.world
        root = world.access.users[world.access.root]
        with store.writing() as connection:
            ingest.put_organizations(
                connection,
                [{"oid": one.oid, "name": one.name} for one in world.organizations],
                complete=True,
                now=now_ms(),
            )
            for one in world.organizations:
                if world.cases.subscribed(one):
                    ingest.put_configuration(
                        connection, one.oid, "extension", {"ext-cases": Record(None)}, now=now_ms()
                    )
        async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(served.url)) as cloud:
            made = World(served, cloud, store)
            await made.sync()
            yield made
