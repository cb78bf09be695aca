"""A bad wave stops the rollout, and the next one never starts; budgets, pauses, hours and freezes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from console.operations.gates import Bounds, CloudGates
from console.operations.rollouts import Outcome, Refused, pause
from console.sandbox.faults import Rule
from console.sandbox.rules import BASELINE, STORM
from store import models
from store.rollouts import keeping, plans
from store.tree import TreeNode, replace_tree
from tests.console.operations.test_rollouts import FP, KEY, NOW, Open, staged

RULE = (
    f"version: 3\nhives:\n  dr-general:\n    {STORM}:\n      data:\n"
    "        detect: {event: NEW_PROCESS, op: exists, path: event/FILE_PATH, marker: VALUE}\n"
    "        respond: [{action: report, name: storm}]\n      usr_mtd: {enabled: true}\n"
)
DEAD_OUTPUT = "version: 3\noutputs:\n  siem: {module: syslog, for: detect, dest_host: 'siem.invalid:514'}\n"
assert any(rule.key == STORM for rule in BASELINE)


class Rollout:
    """A staged rollout in two waves behind gates that look through the cloud."""

    def __init__(self, stage: Any) -> None:
        self.stage = stage
        self.bad: Callable[[], None] = lambda: None
        """What happens between the wave and the look at it."""
        self.since = 0
        """Milliseconds by which the baseline lies back."""
        self._looked = False
        stage.served.log.clear()

    def clock(self) -> int:
        now = self.stage.served.world.clock()
        return now if self._looked else now - self.since

    async def _soak(self, seconds: float) -> None:
        self._looked = True
        self.bad()

    def gates(self) -> CloudGates:
        return CloudGates(
            store=self.stage.store, cloud=self.stage.cloud, bounds=Bounds(soak=0.01), clock=self.clock,
            sleep=self._soak,
        )  # fmt: skip

    async def apply(self, plan_id: int, **more: Any) -> Outcome:
        return await self.stage.apply(plan_id, self.gates(), **more)

    def untouched(self, plan_id: int) -> bool:
        """Whether nothing of the second wave was begun."""
        with self.stage.store.reader.reading() as c:
            second = list(keeping.steps(c, plan_id, wave=2))
            waves = keeping.planned_waves(c, plan_id)
        oids = {each.change.oid for each in second}
        sent = [
            entry
            for entry in self.stage.served.log.entries
            if entry.effect
            and entry.method in ("POST", "PUT", "DELETE")
            and entry.oid in oids
            and entry.template != "/"
        ]
        return (
            len(oids) == 3
            and not sent
            and waves[1].state == "waiting"
            and {each.outcome for each in second} == {"waiting"}
        )


async def test_a_wave_without_trouble_passes_every_check(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(RULE.replace("VALUE", "a"))
        outcome = await Rollout(stage).apply(stage.plan("1", "rest"))
        assert (outcome.state, outcome.halted) == ("done", "")


async def test_a_noisy_rule_halts_the_rollout(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(RULE.replace("VALUE", "a"))
        rollout, world = Rollout(stage), stage.served.world
        rollout.since = 60_000

        def storm() -> None:
            world.detections.go_live(0, (world.clock() - world.now_ms) / 1000 - 31, 400)

        rollout.bad = storm
        plan_id = stage.plan("1", "rest")
        outcome = await rollout.apply(plan_id)
        assert outcome.state == "halted"
        assert f"{STORM} made" in outcome.halted
        assert rollout.untouched(plan_id)
        # It goes on being noisy: nothing is begun by asking again.
        assert (await rollout.apply(plan_id)).state == "halted"
        assert rollout.untouched(plan_id)


async def test_a_record_that_somebody_disabled_before_it_was_read_back_halts_the_rollout(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        rollout, plan_id = Rollout(stage), stage.plan("1", "rest")
        world, record = stage.served.world, ("fp", "scanner")
        put = world.put_record

        def disabling(one: Any, hive: str, key: str, held: Any) -> None:
            if (hive, key) == record:
                held = held | {"usr_mtd": held["usr_mtd"] | {"enabled": False}}
            put(one, hive, key, held)

        world.put_record = disabling
        outcome = await rollout.apply(plan_id)
        assert outcome.state == "halted"
        assert "is another one when read back" in outcome.failed[0][2]
        assert rollout.untouched(plan_id)


async def test_a_new_error_of_an_organization_halts_the_rollout(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(DEAD_OUTPUT)
        rollout, plan_id = Rollout(stage), stage.plan("1", "rest")
        outcome = await rollout.apply(plan_id)
        assert outcome.state == "halted"
        assert "outputs/siem" in outcome.halted
        assert rollout.untouched(plan_id)


@pytest.mark.parametrize("path", ["/v1/errors/{oid}", "/v1/online/{oid}", "/v1/insight/{oid}/detections"])
async def test_a_silent_api_pauses_the_rollout_until_a_person_says_otherwise(tmp_path, path):
    async with staged(tmp_path) as stage:
        stage.template(RULE.replace("VALUE", "a"))
        rollout, plan_id = Rollout(stage), stage.plan("1", "rest")
        rollout.bad = lambda: stage.served.faults.add(Rule("status", status=403, path=path, count=None))
        outcome = await rollout.apply(plan_id)
        assert (outcome.state, outcome.applied) == ("paused", 1)
        assert "cannot be" in outcome.halted
        assert rollout.untouched(plan_id)
        rollout.bad = lambda: None
        assert (await rollout.apply(plan_id)).state == "paused"
        assert rollout.untouched(plan_id)
        # Said once, for the one wave that was looked at: the next is as blind, and pauses again.
        outcome = await rollout.apply(plan_id, accept=True)
        assert (outcome.state, outcome.applied) == ("paused", 4)
        stage.served.faults.clear()
        with stage.store.reader.reading() as c:
            assert "accepted by me" in keeping.planned_waves(c, plan_id)[0].gate["said"]


async def test_sensors_that_go_offline_halt_the_rollout(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        rollout, plan_id = Rollout(stage), stage.plan("1", "rest")
        world = stage.served.world
        rollout.bad = lambda: setattr(world, "online", lambda one: 0)
        outcome = await rollout.apply(plan_id)
        assert outcome.state == "halted"
        assert "went offline" in outcome.halted
        assert rollout.untouched(plan_id)


def budgeted(stage: Any, *words: str, **options: int) -> int:
    with stage.store.reader.reading() as c:
        drafted = plans.drafted(c, scope="", key=KEY)
    with stage.store.writing() as c:
        return keeping.keep(c, drafted, title="t", by="me", now=NOW, words=words, options=options)


@pytest.mark.parametrize(("budget", "state"), [(0, "halted"), (2, "halted"), (5, "partly")])
async def test_a_wave_halts_in_the_middle_once_more_failed_than_may(tmp_path, monkeypatch, budget, state):
    monkeypatch.setattr("console.operations.rollouts.AT_ONCE", 1)
    async with staged(tmp_path, orgs=5) as stage:
        stage.template(FP.replace("VALUE", "a"))
        plan_id = budgeted(stage, "rest", budget=budget)
        refused = Rule(
            "status", status=403, method="POST", path="/v1/hive/{hive}/{oid}/{key}/data", count=None
        )
        stage.served.faults.add(refused)
        outcome = await Rollout(stage).apply(plan_id)
        assert outcome.state == state
        assert len(outcome.failed) == min(budget + 1, 5)
        stage.served.faults.clear()
        if state == "halted":
            # What failed left nothing behind: it is tried again when somebody carries on.
            outcome = await Rollout(stage).apply(plan_id)
            assert (outcome.state, outcome.applied) == ("done", 5)


def tree(stage: Any, parameters: dict[str, Any], marks: tuple[str, ...] = ()) -> None:
    """The last organization gets parameters and marks."""
    nodes = [TreeNode(id="root", parent=None, name="All")]
    for n, oid in enumerate(stage.oids):
        last = n == len(stage.oids) - 1
        nodes.append(
            TreeNode(
                id=f"o{n}", parent="root", name=f"O{n}", oid=oid, parameters=parameters if last else {},
                marks=marks if last else (),
            )
        )  # fmt: skip
    with stage.store.writing() as c:
        replace_tree(c, nodes)


@pytest.mark.parametrize(
    ("parameters", "marks", "said"),
    [
        ({"rollout_hours": "mon-sun 03:00-04:00"}, (), "outside its working hours, which begin at"),
        ({"rollout_freeze": ["2026-11-19/2026-11-21"]}, (), "frozen from 2026-11-19 to 2026-11-21"),
        ({"rollout_hours": "whenever"}, (), "is none"),
        ({}, ("frozen",), "marked as frozen"),
    ],
)
async def test_an_organization_outside_its_hours_waits_and_so_does_the_next_wave(
    tmp_path, parameters, marks, said
):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        tree(stage, parameters)
        plan_id = stage.plan("rest")
        if marks:
            # Marked while it is rolled out: before the plan it would not have been planned at all.
            stage_apply = stage.apply(plan_id, Frozen(lambda: tree(stage, parameters, marks)))
            outcome = await stage_apply
        else:
            outcome = await stage.apply(plan_id)
        assert (outcome.state, outcome.applied) == ("paused", 3)
        assert said in outcome.halted
        tree(stage, {})
        outcome = await stage.apply(plan_id)
        assert (outcome.state, outcome.applied) == ("done", 4)


class Frozen(Open):
    """Something happens when a wave begins."""

    def __init__(self, does: Callable[[], None]) -> None:
        super().__init__()
        self.does = does

    async def baseline(self, oids):
        self.does()
        return await super().baseline(oids)


async def test_a_pause_that_somebody_asks_for_ends_behind_the_step_at_hand(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        plan_id = stage.plan("1", "rest")

        def ask() -> None:
            pause(plan_id, store=stage.store, operator="eve", now=NOW)

        with pytest.raises(Refused, match="Nobody rolls plan 1 out: it is draft"):
            ask()
        outcome = await stage.apply(plan_id, Frozen(ask))
        assert (outcome.state, outcome.applied) == ("paused", 0)
        assert "eve asked for a pause" in outcome.halted
        with stage.store.reader.reading() as c:
            table = models.Journal.__table__
            asked = c.execute(select(table.c.detail).where(table.c.action == "rollout.pause")).scalars().all()
        assert [each["by"] for each in asked] == ["eve"]
        outcome = await stage.apply(plan_id)
        assert (outcome.state, outcome.applied) == ("done", 4)


async def test_between_two_waves_it_waits_as_long_as_was_asked_and_can_be_stopped_there(tmp_path):
    async with staged(tmp_path) as stage:
        stage.template(FP.replace("VALUE", "a"))
        plan_id = budgeted(stage, "1", "rest", pause=3600)
        stop, notes = asyncio.Event(), []

        def report(progress: Any) -> None:
            notes.append(progress)
            if progress.note == "pause between waves":
                stop.set()

        outcome = await stage.apply(plan_id, report=report, stop=stop)
        assert (outcome.state, outcome.applied) == ("running", 1)
        assert notes[-1].seconds_left == 3600
        assert f"rollout resume {plan_id}" in outcome.halted
        # Over an hour later there is nothing to wait for.
        outcome = await stage.apply(plan_id, now=lambda: NOW + 3_600_001)
        assert (outcome.state, outcome.applied) == ("done", 4)
