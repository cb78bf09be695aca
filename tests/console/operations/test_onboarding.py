"""What onboarding does when a name, a place or a template is not what it was when it was judged."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from console.limacharlie.client import Cloud, Deadlines
from console.limacharlie.credentials import OrganizationKey, UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.limits import Limits
from console.operations import records, runs
from console.operations.onboarding import judge
from console.operations.sync import Sync
from console.sandbox.faults import Rule
from store.credentials.errors import KeyringLocked
from store.customers import customer
from store.database import Store
from store.models import TemplateOwned
from store.onboarding import Row
from store.onboardsteps import planned
from store.rollouts.compare import wanted_hash
from store.secret import Secret
from store.templates import library
from store.times import now_ms
from store.tree import TreeNode, replace_tree, stored_tree
from tests.helpers.sandboxes import sandbox

KEY = b"k" * 32
TEMPLATE = b"""\
version: 3
outputs:
  siem: {module: syslog, for: detect, dest_host: "siem.example:514", password: hush}
hives:
  secret:
    hook: {data: {secret: hush}, usr_mtd: {enabled: true}}
  fp:
    scanner: {data: {op: is, path: cat, value: x}, usr_mtd: {enabled: true}}
"""


class Ground:
    """A provider of two customers with a region, a template, and a cloud that can be made to fail."""

    def __init__(self, store: Store, served: Any, cloud: Cloud) -> None:
        self.store, self.served, self.cloud = store, served, cloud

    async def wanted(self, *rows: dict[str, str]) -> Any:
        """The planned run of these lines."""
        listed: list[Row] = [(number, row) for number, row in enumerate(rows, 2)]
        judged, known = await judge(listed, reader=self.store.reader, cloud=self.cloud)
        assert judged.stopped == (), judged.stopped
        return planned(judged, known, source="file:x.csv")

    async def make(self, planned: Any) -> runs.Result:
        run_id = runs.keep(self.store, planned, operator="me")
        return await runs.apply(
            self.store, self.cloud, run_id, operator="me", key=lambda: KEY, confirm=runs.CONFIRMED
        )

    def named(self, name: str) -> list[Any]:
        return [each for each in self.served.world.by_oid.values() if each.name == name]

    def sent(self, method: str, template: str) -> int:
        """How many changes of this kind were carried out."""
        return sum(
            (each.method, each.template, each.effect) == (method, template, True)
            for each in self.served.log.entries
        )


@pytest.fixture
async def ground(a_store: Any) -> AsyncIterator[Ground]:
    async with _ground(a_store()) as made:
        yield made


@asynccontextmanager
async def _ground(store: Store) -> AsyncIterator[Ground]:
    async with sandbox(orgs=2, detections=0) as served:
        root = served.world.access.users[served.world.access.root]
        deadlines = Deadlines(connect=1.0, read=1.0, total=5.0, backoff=0.01)
        async with Cloud(
            UserKey(root.uid, Secret(root.api_key)), Endpoint.single(served.url), deadlines=deadlines,
            limits=Limits.unlimited(),
        ) as cloud:  # fmt: skip
            await Sync(store=store, cloud=cloud, redaction_key=KEY, only=("orgs", "access")).run()
            with store.writing() as c:
                replace_tree(c, [TreeNode("root", None, "All"), TreeNode("eu", "root", "Europe")])
                library.put(c, "base", "main.yaml", {"main.yaml": TEMPLATE}, now=now_ms())
                library.assign(c, "eu", "base", now=now_ms())
            yield Ground(store, served, cloud)


CREATE = "/v1/orgs/new"


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "drop", "effect": True}, {"fault": "status", "status": 500, "effect": True},
        {"fault": "body", "body": "html", "effect": True}, {"fault": "status", "status": 504},
        {"fault": "drop"}, {"fault": "throttle", "seconds": 0.01}, {"fault": "status", "status": 503},
    ],
    ids=str,
)  # fmt: skip
async def test_an_organization_is_made_once_whatever_was_answered(
    ground: Ground, fault: dict[str, Any]
) -> None:
    planned = await ground.wanted({"name": "Acme", "region": "europe"})
    ground.served.faults.add(Rule(method="POST", path=CREATE, **fault))

    result = await ground.make(planned)

    assert result.whole, result.sentence
    assert len(ground.named("Acme")) == 1
    assert ground.sent("POST", CREATE) == 1


async def test_a_name_that_somebody_took_since_it_was_judged_is_left_alone(ground: Ground) -> None:
    planned = await ground.wanted({"name": "Acme"}, {"name": "Borealis"})
    other = ground.served.world.create_organization("Acme", "europe", ground.served.world.access.root)

    result = await ground.make(planned)

    assert (result.run.state, result.done) == ("partly", 1)
    assert next((name, "made by somebody else" in why) for name, _, why in result.failed) == ("Acme", True)
    assert ground.named("Acme") == [other]
    with ground.store.reader.reading() as c:
        assert all(node.oid != other.oid for node in stored_tree(c)), "it is not ours to place"


async def test_a_name_that_belongs_to_strangers_is_told_before_anything_is_made(ground: Ground) -> None:
    ground.served.world.create_organization("Acme", "europe", "somebody@else.example")

    judged, _ = await judge([(2, {"name": "Acme"})], reader=ground.store.reader, cloud=ground.cloud)

    assert "gives this name to nobody more" in str(judged.stopped[0])


async def test_a_name_that_a_stranger_takes_meanwhile_is_told(ground: Ground) -> None:
    planned = await ground.wanted({"name": "Acme"})
    ground.served.world.create_organization("Acme", "europe", "somebody@else.example")

    result = await ground.make(planned)

    assert result.run.state == "failed"
    assert "by an organization that this credential does not see" in result.failed[0][2]
    assert ground.sent("POST", CREATE) == 0


async def test_a_secret_of_a_layer_is_written_and_never_stored(ground: Ground) -> None:
    result = await ground.make(await ground.wanted({"name": "Acme", "node": "Europe"}))

    assert result.whole, result.failed
    (made,) = ground.named("Acme")
    held = ground.served.world.configuration
    assert held.records(made, "secret")["hook"]["data"] == {"secret": "hush"}
    assert held.outputs(made)["siem"]["password"] == "hush"
    with ground.store.reader.reading() as c:
        owned = {(row.section, row.name): row.template for row in c.execute(TemplateOwned.__table__.select())}  # type: ignore[attr-defined]
        everything = "".join(
            str(tuple(row))
            for table in ("run", "run_item", "run_step", "journal", "template_owned")
            for row in c.exec_driver_sql(f"SELECT * FROM {table}")
        )
    assert owned == {
        ("output", "siem"): "base",
        ("hive/secret", "hook"): "base",
        ("hive/fp", "scanner"): "base",
    }
    assert "hush" not in everything


async def test_a_node_that_went_away_holds_the_rest_back_and_the_run_is_resumed(ground: Ground) -> None:
    planned = await ground.wanted({"name": "Acme", "node": "Europe", "quota": "7"})
    with ground.store.writing() as c:
        replace_tree(c, [TreeNode("root", None, "All")])

    result = await ground.make(planned)

    assert [(what, why) for _, what, why in result.failed][:1] == [
        ("place it in the tree below Europe", "The tree has no node 'eu' any more.")
    ]
    assert ground.named("Acme")[0].limit is None, "what follows was held back"
    with ground.store.writing() as c:
        replace_tree(c, [TreeNode("root", None, "All"), TreeNode("eu", "root", "Europe")])
        library.assign(c, "eu", "base", now=now_ms())
    again = await runs.apply(
        ground.store, ground.cloud, result.run.id, operator="me", confirm=runs.CONFIRMED, key=lambda: KEY
    )
    assert again.whole, again.failed
    assert ground.named("Acme")[0].limit == 7
    assert len(ground.named("Acme")) == 1


async def test_what_is_to_be_frozen_is_so_when_all_else_is_done(
    ground: Ground,
) -> None:
    planned = await ground.wanted({"name": "Acme", "quota": "7", "marks": "frozen;protected"})
    ground.served.faults.add(Rule("status", status=403, path="/v1/orgs/{oid}/quota"))

    result = await ground.make(planned)
    assert [what for _, what, _ in result.failed] == ["set the sensor quota to 7", "mark it frozen"]
    again = await runs.apply(
        ground.store, ground.cloud, result.run.id, operator="me", confirm=runs.CONFIRMED, key=lambda: KEY
    )

    assert again.whole, again.failed
    with ground.store.reader.reading() as c:
        (node,) = [each for each in stored_tree(c) if each.oid == result.run.items[0].oid]
    assert set(node.marks) == {"frozen", "protected"}
    assert ground.named("Acme")[0].limit == 7


@pytest.mark.parametrize("how", ["broken", "none"])
async def test_where_the_key_is_not_to_be_had_it_is_one_sentence_of_each_record(
    ground: Ground, how: str
) -> None:
    def key() -> bytes | None:
        if how == "broken":
            raise KeyringLocked("The keyring is locked: unlock it.")
        return None

    planned = await ground.wanted({"name": "Acme", "node": "Europe"})
    run_id = runs.keep(ground.store, planned, operator="me")
    result = await runs.apply(ground.store, ground.cloud, run_id, operator="me", key=key)

    assert result.run.state == "partly"
    assert {why for _, what, why in result.failed if what.startswith("apply")} == {
        "The key under which secrets are compared cannot be read: The keyring is locked: unlock it."
        if how == "broken"
        else "The key under which secrets are compared is not at hand: `limegrove auth login`."
    }
    assert ground.served.world.configuration.records(ground.named("Acme")[0], "fp") == {}, "sent blindly"
    again = await runs.apply(ground.store, ground.cloud, run_id, operator="me", key=lambda: KEY)
    assert again.whole, again.failed


async def test_a_record_is_kept_as_it_was_written_though_its_layers_change_meanwhile(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = await ground.wanted({"name": "Acme", "node": "Europe"})
    read = records.read
    changed = []

    async def then_changed(handle: Any, section: str, name: str) -> Any:
        found = await read(handle, section, name)
        if section == "hive/fp" and found is not None:
            changed.append(name)
            with ground.store.writing() as c:
                library.put(c, "base", "main.yaml", {"main.yaml": b"version: 3\n"}, now=now_ms())
        return found

    monkeypatch.setattr("console.operations.records.read", then_changed)
    result = await ground.make(planned)

    assert set(changed) == {"scanner"}
    failed = [what for _, what, _ in result.failed]
    assert "apply hive/fp/scanner" not in failed
    with ground.store.reader.reading() as c:
        (row,) = c.execute(
            TemplateOwned.__table__.select().where(TemplateOwned.section == "hive/fp")  # type: ignore[attr-defined,arg-type]
        )
    assert (row.template, row.version, row.name) == ("base", 1, "scanner")
    assert row.hash == wanted_hash("hive/fp", "scanner", {"op": "is", "path": "cat", "value": "x"}, KEY)


async def test_what_a_layer_does_not_bring_any_more_is_told(ground: Ground) -> None:
    planned = await ground.wanted({"name": "Acme", "node": "Europe"})
    with ground.store.writing() as c:
        library.put(c, "base", "main.yaml", {"main.yaml": b"version: 3\n"}, now=now_ms())

    result = await ground.make(planned)

    assert {why for _, _, why in result.failed} == {
        "The layers of the organization do not bring this record any more."
    }
    assert len(result.failed) == 3


async def test_what_is_known_of_the_customer_is_kept_with_it(ground: Ground) -> None:
    result = await ground.make(
        await ground.wanted(
            {"name": "Acme", "contacts": "Kim|CISO|kim@acme.example", "time_zone": "Europe/Berlin"}
        )
    )

    with ground.store.reader.reading() as c:
        kept = customer(c, result.run.items[0].oid)
    assert (kept.contacts[0].name, kept.time_zone) == ("Kim", "Europe/Berlin")


async def test_an_organizations_own_key_onboards_nobody(ground: Ground) -> None:
    one = ground.served.world.organizations[0]
    key = next(iter(ground.served.world.access.keys(one)))
    async with Cloud(
        OrganizationKey(one.oid, Secret(key.secret)), Endpoint.single(ground.served.url)
    ) as cloud:
        judged, _ = await judge([(2, {"name": "Acme"})], reader=ground.store.reader, cloud=cloud)

    assert "with a user's API key only" in str(judged.stopped[0])


async def test_an_answer_that_cannot_be_read_is_asked_for_again(ground: Ground) -> None:
    ground.served.faults.add(Rule("body", body="html", method="GET", path=CREATE, count=2))

    judged, _ = await judge([(2, {"name": "Acme"})], reader=ground.store.reader, cloud=ground.cloud)

    assert judged.stopped == ()


async def test_one_that_arrived_after_nobody_saw_it_is_found_when_the_name_is_refused(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = await ground.wanted({"name": "Acme"})
    ground.served.faults.add(Rule("drop", method="POST", path=CREATE, effect=True))
    asked = 0
    ask = ground.cloud.name_available

    async def late(name: str) -> bool:
        """The looks before the second try see nothing of what is on its way."""
        nonlocal asked
        asked += 1
        return True if asked <= 5 else await ask(name)

    monkeypatch.setattr(ground.cloud, "name_available", late)

    result = await ground.make(planned)

    assert result.whole, result.failed
    assert len(ground.named("Acme")) == 1
    refused = [each for each in ground.served.log.entries if (each.method, each.template) == ("POST", CREATE)]
    assert len(refused) == 2, "the second one was refused, and looked into"


async def test_extensions_are_asked_of_an_organization_that_lets_us(ground: Ground) -> None:
    first = min(each.oid for each in ground.served.world.organizations)
    ground.served.faults.add(Rule("status", status=403, oid=first, count=None))
    ground.served.faults.add(Rule("status", status=403, path="/v1/extension/definition"))

    judged, known = await judge(
        [(2, {"name": "Acme", "extensions": "ext-casess"})], reader=ground.store.reader, cloud=ground.cloud
    )

    assert known.extensions is not None
    assert "is 'ext-cases' meant?" in str(judged.stopped[0])
