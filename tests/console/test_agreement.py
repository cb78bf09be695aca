"""After many changes, whoever made them, the store and the official client tell the same of everything."""

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.limits import Limits
from console.operations.sync import Sync
from console.sandbox.server import Sandbox
from console.sandbox.world import World
from store.database import Store
from store.models import Organization
from store.secret import Secret
from tests.console.sandbox.conformance.stage import PYTHON, Failed, Official
from tests.helpers import official_changes
from tests.helpers.agreement import differences, groups_held, groups_told, held, told
from tests.helpers.changes import CHANGES, make

pytestmark = [
    pytest.mark.official,
    pytest.mark.skipif(not PYTHON.exists(), reason="the official client is not installed: run `make test`"),
]

NOW_MS = 1_795_176_000_000
START, END = NOW_MS // 1000 - 60 * 86_400, NOW_MS // 1000 + 60 * 86_400
COUNT = 300
"""Changes."""


class Ground:
    """A sandbox with the official client and a store in front of it."""

    def __init__(self, sandbox: Sandbox, official: Official, store: Store) -> None:
        self.sandbox = sandbox
        self.store = store
        self._official = official
        user = sandbox.world.access.users[sandbox.world.access.root]
        self.key = UserKey(user.uid, Secret(user.api_key))
        self._variables = {"LC_UID": user.uid, "LC_API_KEY": user.api_key}

    @property
    def oids(self) -> list[str]:
        """Of the organizations that answer."""
        refusing = self.sandbox.world.unauthorized
        return sorted(oid for oid, one in self.sandbox.world.by_oid.items() if one is not refusing)

    def sdk(self, expression: str, oid: str) -> Any:
        """What the official SDK answers."""
        answer = self._official.ask(env=self._variables | {"LC_OID": oid}, expression=expression, names={})
        if "org not registered to service" in str(answer.get("message")):
            return {}
        if "error" in answer:
            raise Failed(f"{expression}: {answer}")
        return answer["value"]

    def cloud(self) -> Cloud:
        """LimaCharlie as limegrove asks it."""
        return Cloud(self.key, Endpoint.single(self.sandbox.url), limits=Limits.unlimited())

    def sync(self) -> None:
        """Bring the store up to date."""

        async def once() -> None:
            async with self.cloud() as cloud:
                sync = Sync(
                    store=self.store,
                    cloud=cloud,
                    redaction_key=b"k" * 32,
                    since=60 * 86_400,
                    # A clock that is an hour ahead of the cloud's.
                    clock=lambda: self.sandbox.world.clock() + 3_600_000,
                )
                await sync.run()

        asyncio.run(once())

    def disagreements(self) -> list[str]:
        """Where the store and the official client tell different things, over all organizations."""
        found = []
        for oid in self.oids:
            ours = held(self.store, oid)
            found += [f"{oid}: {each}" for each in differences(told(self.sdk, oid, START, END), ours)]
        if groups_told(self.sdk, self.oids[0]) != groups_held(self.store):
            found.append("groups")
        with self.store.reader.reading() as c:
            listed = {
                oid
                for oid, gone in c.execute(
                    Organization.__table__.select().with_only_columns(  # type: ignore[attr-defined]
                        Organization.oid, Organization.gone_at
                    )
                )
                if gone is None
            }
        if listed != set(self.sandbox.world.by_oid):
            found.append("organizations")
        return found


@contextmanager
def _ground(seed: int) -> Iterator[Ground]:
    sandbox = Sandbox(World(seed=seed, orgs=8, detections=160, now_ms=NOW_MS))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(sandbox.start(), loop).result(20)
    with tempfile.TemporaryDirectory(prefix="lg-agree-") as name:
        store = Store(f"sqlite:///{Path(name) / 'store.db'}")
        official = Official(sandbox.url, Path(name))
        try:
            yield Ground(sandbox, official, store)
        finally:
            official.close()
            store.close()
            asyncio.run_coroutine_threadsafe(sandbox.stop(), loop).result(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(20)
            loop.close()


def test_both_tell_the_same_after_limegroves_client_made_every_kind_of_change_five_times() -> None:
    with _ground(seed=4) as ground:
        ground.sync()
        assert ground.disagreements() == []

        async def changes() -> Any:
            async with ground.cloud() as cloud:
                return await make(cloud, ground.oids, Random(4), COUNT, each=5)

        made = asyncio.run(changes())
        assert ground.disagreements(), "the changes left no trace"
        ground.sync()
        assert ground.disagreements() == []
    assert sum(made.values()) >= COUNT
    assert min(made[kind] for kind in CHANGES) >= 5


def test_both_tell_the_same_after_the_official_client_made_three_hundred_changes() -> None:
    with _ground(seed=9) as ground:
        ground.sync()
        made = official_changes.make(ground.sdk, ground.oids, Random(9), COUNT)
        assert ground.disagreements(), "the changes left no trace"
        ground.sync()
        assert ground.disagreements() == []
    assert sum(made.values()) == COUNT
    assert set(made) == set(official_changes.KINDS)
