from contextlib import asynccontextmanager

import pytest

from console.limacharlie.client import Cloud, Deadlines
from console.limacharlie.credentials import Secret, UserKey
from console.limacharlie.endpoint import Endpoint
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
