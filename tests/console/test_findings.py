"""Each mistake in a provider's access is found, and nothing else is; its remedy takes it away, and nothing else."""

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.limits import Limits
from console.operations.accessplans import carry_out
from console.operations.sync import Sync
from console.operations.tree import import_nodes
from console.sandbox.server import Sandbox
from console.sandbox.world import World
from store import accesslines, models
from store.accesschanges import AccessChange
from store.database import Store
from store.findings import KINDS, Finding, Report
from store.queries.findings import finding, findings
from store.secret import Secret
from store.times import now_ms
from tests.console.sandbox.conformance.stage import PYTHON, Failed, Official
from tests.helpers.finding_worlds import MISTAKES, Scene, Told, clean, told

pytestmark = [
    pytest.mark.official,
    pytest.mark.skipif(not PYTHON.exists(), reason="the official client is not installed: run `make test`"),
]


class Ground:
    """A sandbox with the official client in front of it; each test gets a world and a store of its own."""

    def __init__(self, sandbox: Sandbox, official: Official, home: Path) -> None:
        self.sandbox = sandbox
        self._official = official
        self._home = home
        self._number = 0
        self.store: Store | None = None

    def begin(self) -> tuple[Scene, "Ground"]:
        """A clean provider."""
        world = World(seed=5, orgs=5, detections=0)
        world.begin()
        self.sandbox.world = world
        self._number += 1
        self.end()
        self.store = Store(f"sqlite:///{self._home / f'store{self._number}.db'}")
        return clean(world, self.sdk), self

    def end(self) -> None:
        """Close the store of the test before."""
        if self.store is not None:
            self.store.close()

    @property
    def _key(self) -> UserKey:
        user = self.sandbox.world.access.users[self.sandbox.world.access.root]
        return UserKey(user.uid, Secret(user.api_key))

    def sdk(self, expression: str, oid: str) -> Any:
        """What the official SDK answers to the provider's root."""
        user = self.sandbox.world.access.users[self.sandbox.world.access.root]
        variables = {"LC_UID": user.uid, "LC_API_KEY": user.api_key, "LC_OID": oid}
        answer = self._official.ask(env=variables, expression=expression, names={})
        if "error" in answer:
            raise Failed(f"{expression}: {answer}")
        return answer["value"]

    def cloud(self) -> Cloud:
        """LimaCharlie as limegrove asks it."""
        return Cloud(self._key, Endpoint.single(self.sandbox.url), limits=Limits.unlimited())

    def sync(self) -> None:
        """Bring the store up to date."""
        assert self.store is not None
        store = self.store

        async def once() -> None:
            async with self.cloud() as cloud:
                outcome = await Sync(
                    store=store, cloud=cloud, redaction_key=b"k" * 32, since=40 * 86_400,
                    only=["orgs", "access", "audit"],
                ).run()  # fmt: skip
                assert outcome.organizations == 5
                assert not outcome.failed

        asyncio.run(once())

    def read(self, scene: Scene, roles: dict[str, tuple[str, list[str]]]) -> Report:
        """Read the cloud, plant the tree and the roles, and find."""
        self.sync()
        assert self.store is not None
        import_nodes(scene.tree(), store=self.store)
        with self.store.writing() as c:
            _give_roles(c, roles)
        return self.report()

    def report(self) -> Report:
        """What is found now."""
        assert self.store is not None
        with self.store.reader.reading() as c:
            return findings(c, now=now_ms())

    def told(self) -> Told:
        """Everything about access, as the official client tells it."""
        return told(self.sdk, [one.oid for one in self.sandbox.world.organizations])

    def carry_out(self, changes: list[AccessChange]) -> None:
        """Plan the changes, and apply the plan."""
        assert self.store is not None
        store = self.store

        async def once() -> None:
            async with self.cloud() as cloud:
                outcome = await carry_out(
                    changes, title="a remedy", store=store, cloud=cloud, operator="ada", source="finding"
                )
            assert outcome.whole, outcome.sentence

        asyncio.run(once())


def _give_roles(c: Connection, roles: dict[str, tuple[str, list[str]]]) -> None:
    table = models.GroupRole.__table__  # type: ignore[attr-defined]
    for gid, (role, permissions) in roles.items():
        c.execute(
            insert(table).values(
                gid=gid, role=role, permissions=permissions, file_hash="0" * 64, applied_at=1
            )
        )


@contextmanager
def _ground() -> Iterator[Ground]:
    sandbox = Sandbox(World(seed=5, orgs=5, detections=0))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(sandbox.start(), loop).result(20)
    with tempfile.TemporaryDirectory(prefix="lg-findings-") as name:
        official = Official(sandbox.url, Path(name))
        ground = Ground(sandbox, official, Path(name))
        try:
            yield ground
        finally:
            ground.end()
            official.close()
            asyncio.run_coroutine_threadsafe(sandbox.stop(), loop).result(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(20)
            loop.close()


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with _ground() as made:
        yield made


def _mistaken(ground: Ground, kind: str) -> tuple[Scene, Finding]:
    scene, _ = ground.begin()
    roles = scene.roles()
    MISTAKES[kind](scene)
    if kind != "group_drift":  # no access.yaml speaks of a group whose mistake is another one
        roles = {gid: role for gid, role in roles.items() if scene.roles()[gid] == role}
    if kind != "no_mfa":
        scene.with_mfa()
    found = ground.read(scene, roles).findings
    assert [each.kind for each in found] == [kind], [(each.kind, each.sentence) for each in found]
    return scene, found[0]


def test_every_kind_of_finding_has_its_mistake() -> None:
    assert set(MISTAKES) == set(KINDS)


def test_nothing_is_found_in_access_that_is_as_the_guide_says_and_everything_could_be_looked_for(
    ground: Ground,
) -> None:
    scene, _ = ground.begin()
    report = ground.read(scene, scene.roles())
    assert report.findings == ()
    assert report.unknown == ()
    assert report.staff.source == "declared"


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_found_and_what_takes_it_away_changes_nothing_else(ground: Ground, kind: str) -> None:
    scene, found = _mistaken(ground, kind)
    assert found.evidence
    assert found.advice
    assert found.oids or kind == "empty_group"
    assert ground.store is not None
    with ground.store.reader.reading() as c:
        assert finding(c, found.id, now=now_ms()) == found
    changes = list(found.remedy) or _completed(ground, scene, found)
    if not changes:
        assert kind == "no_mfa"
        return
    before = ground.told()
    ground.carry_out(changes)
    assert ground.told() == before.after(changes)
    assert ground.report().findings == (), "the store was not brought up to date by the plan itself"
    ground.sync()
    assert ground.report().findings == ()


def _completed(ground: Ground, scene: Scene, found: Finding) -> list[AccessChange]:
    """What an operator makes of the lines that are offered where no machine can choose."""
    lines = {
        "owner_sprawl": found.lines[:1],
        "single_owner": [line.replace("EMAIL", scene.contacts[1]) for line in found.lines],
        "everything": [line.replace("ORG", scene.own.oid) for line in found.lines if line.startswith("drop")],
    }.get(found.kind, [])
    assert ground.store is not None
    with ground.store.reader.reading() as c:
        return [accesslines.parse(line, c) for line in lines]


def test_a_leak_says_whom_it_reaches_and_keeps_what_the_user_has_at_home(ground: Ground) -> None:
    scene, found = _mistaken(ground, "leak")
    assert found.subject == scene.contacts[1]
    assert found.people == (scene.contacts[1],)
    assert set(found.oids) == {one.oid for one in scene.customers if one is not scene.customers[1]}
    assert "3 organizations of 3 other customers" in found.sentence
    assert found.remedy == (AccessChange("remove_member", gid=scene.soc, principal=scene.contacts[1]),)
    assert "On " in found.advice


def test_an_id_is_the_same_in_the_next_run_and_after_another_reading(ground: Ground) -> None:
    _, found = _mistaken(ground, "duplicate")
    ground.sync()
    again = ground.report().findings
    assert [each.id for each in again] == [found.id]
    assert found.id.startswith("duplicate-")
