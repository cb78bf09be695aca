"""Documentation of customers on its way to the cloud while the store goes away."""

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations import documents, records
from store import customers
from store.database import Store
from store.errors import StoreUnavailable
from store.secret import Secret
from tests.helpers.sandboxes import sandbox
from tests.helpers.screens import NOW


class Full(Store):
    """A store whose disk is full after so many writes."""

    left = 1_000

    def writing(self):
        """As long as there is room."""
        self.left -= 1
        if self.left < 0:
            raise StoreUnavailable("The store cannot be used: the disk is full.")
        return super().writing()


@pytest.mark.parametrize(
    ("writes", "outcome", "there", "then"),
    [(0, "failed", False, "done"), (1, "unknown", True, "already")],
)
async def test_what_the_store_cannot_keep_is_said_of_the_organization_and_nothing_is_lost(
    tmp_path, writes, outcome, there, then
):
    async with sandbox(orgs=1, detections=0) as serving:
        root = serving.world.access.users[serving.world.access.root]
        async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(serving.url)) as cloud:
            (oid,) = [each.oid async for page in cloud.organizations() for each in page]
            store = Full(f"sqlite:///{tmp_path / 'store.db'}")
            documents.keep(store, {oid: {"notes": "Call first."}}, by="kim", now=NOW)
            store.left = writes
            (done,) = await documents.push([oid], store=store, cloud=cloud, by="kim")
            assert (done.oid, done.outcome) == (oid, outcome)
            assert "the disk is full" in done.reason
            found = await records.read(cloud.organization(oid), documents.SECTION, customers.RECORD)
            assert (found is not None) == there
            store.left = 1_000
            assert [
                each.outcome for each in await documents.push([oid], store=store, cloud=cloud, by="kim")
            ] == [then]
            store.close()
