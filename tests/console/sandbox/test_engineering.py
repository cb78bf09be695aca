"""A provider whose engineers have been at work: they want what is deployed, but for drift and what is new."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.sync import Sync
from console.operations.tree import import_nodes
from console.sandbox import engineering, library
from console.sandbox.detections import variant
from console.sandbox.rules import BASELINE
from console.sandbox.server import Sandbox
from console.sandbox.world import World
from store import journal
from store.database import Store
from store.rollouts import keeping, plans
from store.secret import Secret
from store.templates.documents import resolve
from store.templates.lint import lint
from store.times import now_ms

KEY = bytes(32)
BY = "engineer@northlight.example"
NEW = {"credential-dump-tool", "remote-tool-out-of-temp", "approved-remote-tools"}


@asynccontextmanager
async def provider(store: Store, orgs: int) -> AsyncIterator[tuple[World, Cloud]]:
    """A sandbox whose configurations were read once, with its tree and the library."""
    world = World(seed=7, orgs=orgs, detections=40)
    served = Sandbox(world)
    url = await served.start()
    try:
        root = world.access.users[world.access.root]
        async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(url)) as cloud:
            import_nodes(world.tree(), store=store, known_only=False)
            engineering.stock(store, by=BY, now=now_ms())
            await Sync(store=store, cloud=cloud, redaction_key=KEY, only=("orgs", "config")).run()
            yield world, cloud
    finally:
        await served.stop()


@pytest.mark.parametrize("name", library.documents())
def test_nothing_is_wrong_with_a_template(name: str) -> None:
    _, text = library.documents()[name]
    template = resolve("main.yaml", {"main.yaml": text.encode()}.__getitem__)
    assert template.records
    assert [*template.findings, *lint(template)] == []


async def test_what_differs_is_what_somebody_changed_and_what_is_new(a_store: Callable[[], Store]) -> None:
    store = a_store()
    async with provider(store, 24) as (world, _):
        with store.reader.reading() as connection:
            drafted = plans.drafted(connection, scope="", key=KEY)
    differs = {(change.oid, change.name) for change in drafted.changes if change.name not in NEW}
    changed = {
        (each.oid, rule.key)
        for each in world.organizations
        for number, rule in enumerate(BASELINE)
        if (state := variant(7, each.index, number)).drifted or state.priority != rule.priority
    }
    blocked = {oid for oid, _ in drafted.blocked}
    assert differs == {each for each in changed if each[0] not in blocked}
    assert differs
    assert {change.name for change in drafted.changes} >= NEW


async def test_one_template_was_rolled_out_and_one_waits(a_store: Callable[[], Store]) -> None:
    store = a_store()
    async with provider(store, 24) as (world, cloud):
        await engineering.roll_out(store, cloud, key=KEY, by=BY)
        gold = [each.oid for each in world.organizations if (each.region, each.tier) == ("europe", "gold")]
        rules = [await cloud.organization(oid).hive("dr-general") for oid in gold]
    with store.reader.reading() as connection:
        waiting, made = keeping.listed(connection)
        wanted = {step.change.name for step in keeping.steps(connection, waiting.id)}
        assert journal.verify(connection) is None
    assert (made.state, made.title, made.by) == ("done", "Credential dumping tools", BY)
    assert (waiting.state, waiting.title, waiting.risks) == ("draft", "Remote access tools", ())
    assert wanted >= {"remote-tool-out-of-temp", "approved-remote-tools"}
    assert gold
    assert all("credential-dump-tool" in each for each in rules)


async def test_a_provider_without_such_customers_has_the_templates_and_no_rollout(
    a_store: Callable[[], Store],
) -> None:
    store = a_store()
    async with provider(store, 2) as (_, cloud):
        await engineering.roll_out(store, cloud, key=KEY, by=BY)
    with store.reader.reading() as connection:
        assert len(keeping.listed(connection)) <= 1
