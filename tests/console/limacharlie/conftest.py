from contextlib import asynccontextmanager

import pytest

from console.limacharlie.client import Cloud, Deadlines
from console.limacharlie.credentials import Secret, UserKey
from console.limacharlie.endpoint import Endpoint
from console.sandbox.server import Sandbox
from console.sandbox.world import World
from tests.helpers.raw_server import KEY, raw_server

QUICK = Deadlines(connect=1.0, read=1.0, total=2.0, backoff=0.001)


@pytest.fixture
def against():
    """`async with against(script) as (server, cloud)`: a cloud whose every answer is the script's."""

    @asynccontextmanager
    async def start(script, *, deadlines=QUICK, credentials=None, own_exchange=False, **options):
        async with (
            raw_server(script, own_exchange=own_exchange) as server,
            Cloud(
                credentials or UserKey("some-uid", Secret(KEY)),
                Endpoint.single(server.url),
                deadlines=deadlines,
                **options,
            ) as cloud,
        ):
            yield server, cloud

    return start


@pytest.fixture
async def sandbox():
    """A sandbox with four organizations, in this process."""
    sandbox = Sandbox(World(seed=11, orgs=4, detections=200))
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


@pytest.fixture
async def cloud(sandbox):
    """The sandbox's cloud for the user who may do everything."""
    root = sandbox.world.access.users[sandbox.world.access.root]
    async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(sandbox.url)) as cloud:
        yield cloud


@pytest.fixture
def handle(cloud, sandbox):
    """Its first organization."""
    return cloud.organization(sandbox.world.organizations[0].oid)
