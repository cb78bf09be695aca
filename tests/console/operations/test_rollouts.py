"""Rollouts against the sandbox: every organization as wanted, or named with why not."""

from contextlib import asynccontextmanager

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.hive import ABSENT, HiveMetadata
from console.operations import rollouts
from console.operations.rollouts import NotApproved, Stale, Verdict, WrongName, apply
from console.operations.sync import Sync
from store.database import Store
from store.rollouts import keeping, plans, work
from store.secret import Secret
from store.templates import library
from store.tree import TreeNode, replace_tree
from tests.helpers.sandboxes import sandbox

KEY = b"k" * 32
FP = "version: 3\nhives:\n  fp:\n    scanner:\n      data: {op: is, path: cat, value: VALUE}\n      usr_mtd: {enabled: true, tags: [ours]}\n"
NOW = 1_795_176_000_000


class Open:
    """A gate that says what it is told to."""

    def __init__(self, *words: str) -> None:
        self.words = list(words)

    async def baseline(self, oids):
        return {"organizations": len(oids)}

    async def verdict(self, plan, number, baseline):
        word = self.words.pop(0) if self.words else "pass"
        return Verdict(word, f"said {word}")


class Stage:
    """A sandbox that was read, a store with a tree over it, and a template on its root."""

    def __init__(self, served, cloud, store, oids):
        self.served, self.cloud, self.store, self.oids = served, cloud, store, oids

    def template(self, text, name="base"):
        with self.store.writing() as c:
            library.put(c, name, "main.yaml", {"main.yaml": text.encode()}, now=NOW)
            library.assign(c, "root", name, now=NOW)

    def plan(self, *words):
        with self.store.reader.reading() as c:
            drafted = plans.drafted(c, scope="", key=KEY)
        with self.store.writing() as c:
            return keeping.keep(c, drafted, title="t", by="me", now=NOW, words=words)

    async def apply(self, plan_id, gates=None, **more):
        return await apply(
            plan_id, store=self.store, cloud=self.cloud, key=KEY, operator="me", gates=gates or Open(),
            **({"approved": lambda c, plan: "", "now": lambda: NOW} | more),
        )  # fmt: skip

    async def scanner(self, oid):
        return await self.cloud.organization(oid).hive_record("fp", "scanner")

    def drafted(self):
        with self.store.reader.reading() as c:
            return plans.drafted(c, scope="", key=KEY)


@asynccontextmanager
async def staged(tmp_path, *, orgs=4, marks=()):
    async with sandbox(orgs=orgs, detections=0) as served:
        root = served.world.access.users[served.world.access.root]
        async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(served.url)) as cloud:
            store = Store(f"sqlite:///{tmp_path / 'store.db'}")
            await Sync(store=store, cloud=cloud, redaction_key=KEY, only=("orgs", "config")).run()
            oids = sorted([each.oid async for page in cloud.organizations() for each in page])
            with store.writing() as c:
                nodes = [TreeNode(id="root", parent=None, name="All")]
                nodes += [
                    TreeNode(
                        id=f"o{n}", parent="root", name=f"O{n}", oid=oid, marks=tuple(marks) if n == 0 else ()
                    )
                    for n, oid in enumerate(oids)
                ]
                replace_tree(c, nodes)
            yield Stage(served, cloud, store, oids)
            store.close()


async def test_a_new_record_comes_to_every_organization_once_and_the_store_knows_it(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        outcome = await stage.apply(stage.plan("1", "rest"))
        assert (outcome.state, outcome.applied, outcome.failed) == ("done", 4, ())
        for oid in stage.oids:
            record = await stage.scanner(oid)
            assert record.body == {"op": "is", "path": "cat", "value": "a"}
            assert record.metadata["enabled"] is True
        assert stage.drafted().changes == ()


async def test_a_changed_record_is_written_under_its_etag_and_a_foreign_edit_is_left_alone(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        await stage.apply(stage.plan())
        stage.template(FP.replace("VALUE", "b"))
        plan_id = stage.plan("rest")
        handle = stage.cloud.organization(stage.oids[1])
        there = await handle.hive_record("fp", "scanner")
        await handle.set_hive_record(
            "fp", "scanner", {"op": "is", "path": "cat", "value": "mine"}, HiveMetadata.of(there), there.etag
        )
        outcome = await stage.apply(plan_id)
        assert outcome.state == "partly"
        assert [(oid, record) for oid, record, _ in outcome.failed] == [(stage.oids[1], "hives/fp/scanner")]
        values = [(await stage.scanner(oid)).body["value"] for oid in stage.oids]
        assert values == ["b", "mine", "b", "b"]


async def test_a_record_that_no_template_wants_any_more_is_taken_away_only_where_a_template_brought_it(
    tmp_path,
):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        await stage.apply(stage.plan())
        stage.template("version: 3\n")
        drafted = stage.drafted()
        assert {each.change for each in drafted.changes} == {"removed"}
        assert {each.name for each in drafted.changes} == {"scanner"}
        outcome = await stage.apply(stage.plan())
        assert outcome.state == "done"
        records = await stage.cloud.organization(stage.oids[0]).hive("fp")
        assert "scanner" not in records


@pytest.mark.parametrize(("word", "state"), [("fail", "halted"), ("inconclusive", "paused")])
async def test_behind_a_gate_that_does_not_say_pass_the_next_wave_does_not_begin(tmp_path, word, state):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        plan_id = stage.plan("1", "rest")
        outcome = await stage.apply(plan_id, Open(word))
        assert (outcome.state, outcome.applied) == (state, 1)
        assert f"said {word}" in outcome.halted
        assert "scanner" not in await stage.cloud.organization(stage.oids[1]).hive("fp")
        outcome = await stage.apply(plan_id)
        assert (outcome.state, outcome.applied) == ("done", 4)


async def test_a_plan_that_is_stale_sends_nothing(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        plan_id = stage.plan()
        stage.template(FP.replace("VALUE", "b"))
        with pytest.raises(Stale, match="the template base is another version now"):
            await stage.apply(plan_id)
        assert "scanner" not in await stage.cloud.organization(stage.oids[0]).hive("fp")


@pytest.mark.parametrize(
    "later",
    [
        FP.replace("VALUE", "b"),
        FP.replace("VALUE", "a").replace("[ours]", "[others]"),
        "version: 3\n",
    ],
    ids=["content", "metadata", "nothing"],
)
async def test_a_plan_that_is_carried_on_with_sends_nothing_else_than_was_planned(tmp_path, later):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        plan_id = stage.plan("1", "rest")
        assert (await stage.apply(plan_id, Open("inconclusive"))).state == "paused"
        stage.template(later)
        outcome = await stage.apply(plan_id)
        assert (await stage.scanner(stage.oids[0])).body["value"] == "a"
        for oid in stage.oids[1:]:
            assert "scanner" not in await stage.cloud.organization(oid).hive("fp")
        assert (outcome.applied, len(outcome.failed)) == (1, 3)
        assert "want something else than the plan by now" in outcome.failed[0][2]


async def test_a_protected_organization_asks_for_its_name(tmp_path):
    async with staged(tmp_path, marks=("protected",)) as stage:
        stage.template(FP.replace("VALUE", "a"))
        plan_id = stage.plan()
        with pytest.raises(WrongName, match="has to be typed"):
            await stage.apply(plan_id)
        name = stage.drafted().organizations[stage.oids[0]]
        assert (await stage.apply(plan_id, confirm=name)).state == "done"


async def test_a_rollback_restores_bodies_and_metadata_exactly_and_leaves_foreign_edits_alone(tmp_path):
    async with staged(tmp_path) as stage:
        first = stage.cloud.organization(stage.oids[0])
        mine = HiveMetadata(
            enabled=False, expiry=1_999_176_000_000, tags=("z", "a"), comment="mine", others={}
        )
        await first.set_hive_record(
            "fp", "scanner", {"op": "is", "path": "cat", "value": "old"}, mine, ABSENT
        )
        await Sync(store=stage.store, cloud=stage.cloud, redaction_key=KEY, only=("config",)).run()
        before = await stage.scanner(stage.oids[0])
        stage.template(FP.replace("VALUE", "a"))
        plan_id = stage.plan("1", "rest")
        assert (await stage.apply(plan_id)).state == "done"
        last = stage.cloud.organization(stage.oids[3])
        there = await last.hive_record("fp", "scanner")
        await last.set_hive_record(
            "fp",
            "scanner",
            {"op": "is", "path": "cat", "value": "theirs"},
            HiveMetadata.of(there),
            there.etag,
        )
        with stage.store.writing() as c:
            undo = keeping.undoing(c, plan_id, by="me", now=NOW)
        outcome = await stage.apply(undo)
        assert [oid for oid, _, _ in outcome.failed] == [stage.oids[3]]
        after = await stage.scanner(stage.oids[0])
        assert (after.body, after.metadata) == (before.body, before.metadata)
        for oid in stage.oids[1:3]:
            assert "scanner" not in await stage.cloud.organization(oid).hive("fp")
        assert (await stage.scanner(stage.oids[3])).body["value"] == "theirs"


async def test_a_rollback_says_of_which_resources_it_cannot_take_the_names_off_again(tmp_path):
    async with staged(tmp_path, orgs=1) as stage:
        handle = stage.cloud.organization(stage.oids[0])
        await handle.add_resource("api", "ip-geo")
        await Sync(store=stage.store, cloud=stage.cloud, redaction_key=KEY, only=("config",)).run()
        stage.template(FP.replace("VALUE", "a") + "resources: {api: [vt]}\n")
        plan_id = stage.plan()
        assert (await stage.apply(plan_id)).state == "done"
        with stage.store.writing() as c:
            undo = keeping.load(c, keeping.undoing(c, plan_id, by="me", now=NOW))
        ((oid, reason),) = undo.blocked
        assert (oid, reason.partition(" ")[0]) == (stage.oids[0], "resources/api")
        assert (await stage.apply(undo.id)).state == "done"
        assert {"ip-geo", "vt"} <= set((await handle.resources())["api"])
        assert "scanner" not in await handle.hive("fp")


async def test_a_rollback_of_one_organization_touches_no_other(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        plan_id = stage.plan()
        await stage.apply(plan_id)
        with stage.store.writing() as c:
            undo = keeping.undoing(c, plan_id, by="me", now=NOW, oids=frozenset(stage.oids[:1]))
        assert (await stage.apply(undo)).applied == 1
        assert "scanner" not in await stage.cloud.organization(stage.oids[0]).hive("fp")
        assert (await stage.scanner(stage.oids[1])).body["value"] == "a"


async def test_a_rollout_that_was_cut_off_is_named_once_nobody_has_it(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        plan_id = stage.plan("1", "rest")
        assert rollouts.left_off(stage.store, NOW) == []
        with stage.store.writing() as c:
            # Of another machine: nobody can ask whether it lives, but it gives signs of life.
            assert work.take(c, plan_id, "other:1:1:aa", operator="me", now=NOW, is_live=lambda held: False)
        assert rollouts.left_off(stage.store, NOW + 59_000) == []
        (said,) = rollouts.left_off(stage.store, NOW + 61_000)
        assert said == (
            f"Rollout {plan_id} (t) was cut off in wave 1 of 2, 0 of 4 steps done; "
            f"`limegrove rollout resume {plan_id}` goes on."
        )


async def test_a_rollback_that_changes_where_data_goes_needs_a_second_person_like_any_plan(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(
            "version: 3\noutputs:\n  siem: {module: syslog, for: detect, dest_host: 'log.example:514'}\n"
        )
        plan_id = stage.plan()
        assert (await stage.apply(plan_id)).state == "done"
        with stage.store.writing() as c:
            undo = keeping.undoing(c, plan_id, by="me", now=NOW)
        with pytest.raises(NotApproved, match="where data goes"):
            await stage.apply(undo, approved=lambda c, plan: "Nobody approved it.")
        for oid in stage.oids:
            assert "siem" in await stage.cloud.organization(oid).outputs()
