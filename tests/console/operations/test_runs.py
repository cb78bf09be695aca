"""Runs over a real socket, against the sandbox in this process."""

import asyncio
import threading
from collections import Counter
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import select, update

from console.limacharlie import limits
from console.operations import runs as operations
from console.operations import runsteps
from console.operations.runsteps import CannotBeKnown, Seen, StepFailed, Verb, Work
from console.sandbox.faults import Rule
from store import journal, models, runs
from store.bulk import KINDS
from store.database import Store
from store.runs import PlannedStep
from store.runverbs import VERBS
from store.times import now_ms
from store.tree import TreeNode, replace_tree
from tests.helpers.bulk import NEWCOMER, OPERATOR, Customers, client, customers

pytestmark = pytest.mark.usefixtures("impatient")

QUOTA = PlannedStep("quota.set", arguments={"quota": 777})
SUBSCRIBE = PlannedStep("extension.subscribe", "ext-velociraptor")


def entries(store: Store, action: str) -> list[Any]:
    table = models.Journal.__table__  # type: ignore[attr-defined]
    with store.reader.reading() as c:
        found = c.execute(select(table).where(table.c.action.like(action)).order_by(table.c.seq)).all()
        assert journal.verify(c) is None
    return list(found)


async def test_a_run_is_made_and_what_is_so_already_is_not_sent(store: Store) -> None:
    async with customers(store) as found:
        found.served.world.set_quota(found.organizations[1], 777)
        told: list[int] = []
        run_id = found.keep(found.planned(QUOTA))
        result = await found.apply(run_id, report=lambda progress: told.append(progress.done))
        assert (result.whole, result.done, result.failed) == (True, 3, ())
        assert result.sentence == f"Run {run_id}: 3 of 3 organizations done, 2 steps made, 1 already so."
        assert found.outcomes(run_id) == ["done", "already", "done"]
        assert [found.state()[one.oid]["quota"] for one in found.organizations[:3]] == [777] * 3
        assert len(found.effects()) == 2
        assert told[-1] == 3
        with pytest.raises(operations.Refused, match="is done"):
            await found.apply(run_id)
    with store.reader.reading() as c:
        table = models.Organization.__table__  # type: ignore[attr-defined]
        kept = c.execute(select(table.c.sensor_quota).where(table.c.sensor_quota == 777)).all()
        assert len(kept) == 3  # shown at once, without a sync


async def test_every_write_has_an_intent_from_before_it_and_a_result(one_store: Store) -> None:
    async with customers(one_store) as found:
        before = [found.state()[one.oid]["quota"] for one in found.organizations[:2]]
        await found.make(QUOTA, orgs=2)
        one = found.organizations[0]
    (first, result) = [entry for entry in entries(one_store, "run.quota.set") if entry.oid == one.oid]
    assert (first.detail["step"], first.detail["before"]) == ("intent", {"quota": before[0]})
    assert first.target == f"{one.name}: set the sensor quota to 777"
    assert (result.detail["intent"], result.detail["outcome"]) == (first.seq, "done")
    (approved,) = entries(one_store, "run.approve")
    (finished,) = entries(one_store, "run.finish")
    assert approved.detail["hash"] == finished.detail["hash"]
    assert finished.detail["counts"] == {"done": 2}


# Every bulk verb, there and back


def everything(found: Customers) -> tuple[PlannedStep, ...]:
    """A step of every verb that can be taken back, for the first organization."""
    one = found.organizations[0]
    world = found.served.world
    email = min(set(world.access.direct(one)) - {world.access.root})
    held = sorted(world.access.direct(one)[world.access.root])
    sids = [sensor.sid for sensor in world.sensors_of(one)][:4]
    tagged, tag = next(
        (sensor.sid, next(iter(tags)))
        for sensor in world.sensors_of(one)
        if (tags := world.tags(one, sensor))
    )
    return (
        QUOTA,
        SUBSCRIBE,
        PlannedStep("extension.unsubscribe", world.configuration.extensions(one)[0]),
        *(
            PlannedStep("sensor.tag", sid, {"tag": "blue", "hostname": f"host {n}"}, needed=False)
            for n, sid in enumerate(sids)
        ),
        PlannedStep("sensor.untag", tagged, {"tag": tag, "hostname": "host"}, needed=False),
        PlannedStep("user.add", NEWCOMER, {"role": "Viewer"}),
        PlannedStep("user.role", email, {"role": "Operator"}),
        PlannedStep("user.revoke", world.access.root, {"permission": held[0]}),
        PlannedStep("user.remove", email),
        PlannedStep(
            "output.set", "siem",
            {"module": "syslog", "stream": "detect", "options": {"dest_host": "siem.example.com:514"}},
        ),
        PlannedStep("installation-key.make", "Fleet", {"tags": ["fleet"], "public_root_ca": True}),
    )  # fmt: skip


async def test_everything_that_can_be_taken_back_is_taken_back_to_what_was_there(one_store: Store) -> None:
    async with customers(one_store) as found:
        before = found.state()
        steps = everything(found)
        result = await found.make(*steps, orgs=1, confirm=operations.CONFIRMED)
        assert result.whole, result.failed
        assert found.outcomes(result.run.id).count("done") == len(steps)
        made = found.state()[found.organizations[0].oid]
        assert made["quota"] == 777
        assert "siem" in made["outputs"]
        assert sum("blue" in tags for tags in made["tags"].values()) == 4
        assert operations.not_undone(one_store, result.run.id) == []
        back = await found.undo(result.run.id)
        assert back.whole, back.failed
        assert found.state() == before
        assert back.run.undo_of == result.run.id
        with pytest.raises(operations.Refused, match="was taken back by run"):
            operations.undoing(one_store, result.run.id)


async def test_what_nobody_can_bring_back_is_said_and_left_out_of_the_undo(one_store: Store) -> None:
    async with customers(one_store) as found:
        one = found.organizations[0]
        key = next(iter(found.served.world.access.keys(one)))
        output = next(iter(found.served.world.configuration.outputs(one)))
        result = await found.make(
            QUOTA,
            PlannedStep("key.revoke", key.key_hash, {"name": key.name}),
            PlannedStep("output.remove", output),
            orgs=1,
            confirm=one.name,
        )
        assert result.whole, result.failed
        stays = [step.verb for step in operations.not_undone(one_store, result.run.id)]
        assert stays == ["key.revoke", "output.remove"]
        back = operations.undoing(one_store, result.run.id)
        assert [step.verb for item in back.items for step in item.steps] == ["quota.set"]


async def test_an_undo_leaves_alone_what_somebody_changed_since(one_store: Store) -> None:
    async with customers(one_store) as found:
        result = await found.make(QUOTA, orgs=2)
        found.served.world.set_quota(found.organizations[0], 999)
        back = await found.undo(result.run.id)
        assert [(item.state) for item in back.run.items] == ["failed", "done"]
        assert "somebody else set it" in back.failed[0][2]
        assert found.state()[found.organizations[0].oid]["quota"] == 999


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (PlannedStep("user.add", "ROOT", {"role": "Basic"}), "other permissions"),
        (PlannedStep("user.role", NEWCOMER, {"role": "Basic"}), "no user"),
        (PlannedStep("user.grant", NEWCOMER, {"permission": "dr.list"}), "no user"),
        (PlannedStep("output.set", "OUTPUT", {"module": "s3", "stream": "audit"}), "another output"),
        (PlannedStep("installation-key.make", "KEY", {"tags": ["other"]}), "with other tags"),
    ],
    ids=lambda value: value.verb if isinstance(value, PlannedStep) else "",
)
async def test_what_is_there_and_otherwise_is_never_overwritten(
    one_store: Store, step: PlannedStep, why: str
) -> None:
    async with customers(one_store) as found:
        one, held = found.organizations[0], found.served.world.configuration
        names = {
            "ROOT": found.served.world.access.root,
            "OUTPUT": next(iter(held.outputs(one))),
            "KEY": next(iter(held.installation_keys(one).values()))["desc"],
        }
        target = names.get(step.target, step.target)
        before = found.state()
        result = await found.make(
            PlannedStep(step.verb, target, step.arguments), orgs=1, confirm=operations.CONFIRMED
        )
        assert found.outcomes(result.run.id) == ["conflict"]
        assert why in result.failed[0][2]
        assert (found.state(), found.effects()) == (before, [])


# What goes wrong


FAULTS = (
    Rule("status", status=500), Rule("status", status=503), Rule("status", status=500, effect=True),
    Rule("status", status=504, effect=True), Rule("drop"), Rule("drop", effect=True),
    Rule("throttle", seconds=0.01), Rule("truncate", bytes=3), Rule("body", body="html"),
    Rule("body", body="html", effect=True), Rule("body", body="empty", effect=True),
)  # fmt: skip
"""Of an answer to a change: before its effect, and after it."""


def _with(rule: Rule, **more: Any) -> Rule:
    fields = {name: getattr(rule, name) for name in rule.__struct_fields__}
    return Rule(**fields | more)


@pytest.mark.parametrize("rule", FAULTS, ids=lambda rule: f"{rule.fault}-{rule.status}-{rule.effect}")
async def test_a_change_whose_answer_is_lost_is_looked_at_and_made_once(one_store: Store, rule: Rule) -> None:
    async with customers(one_store) as found:
        key = PlannedStep("installation-key.make", "Fleet", {"tags": ["fleet"]})
        for path in ("/v1/orgs/{oid}/quota", "/v1/installationkeys/{oid}"):
            found.served.faults.add(_with(rule, method="POST", path=path, count=2))
        result = await found.make(QUOTA, key)
        assert result.whole, result.failed
        twice = [each for each, number in Counter(found.effects()).items() if number > 1]
        assert not twice
        for one in found.organizations[:3]:
            state = found.state()[one.oid]
            assert state["quota"] == 777
            assert [desc for desc, _ in state["installation keys"]].count("Fleet") == 1


@pytest.mark.parametrize(("role", "lost", "sent"), [("Operator", None, 1), ("Viewer", 1, 2)])
async def test_a_role_is_taken_back_though_nobody_heard_that_it_was_given(
    one_store: Store, role: str, lost: int | None, sent: int
) -> None:
    """What Viewer holds is not known for certain, so that only another answer tells."""
    async with customers(one_store) as found:
        one, world = found.organizations[0], found.served.world
        email = min(set(world.access.direct(one)) - {world.access.root})
        world.access.grant(one, email, ("fp.ctrl", "org.get"))
        before = found.state()
        found.served.faults.add(
            Rule("drop", method="PUT", path="/v1/orgs/{oid}/users/role", effect=True, count=lost)
        )
        made = await found.make(PlannedStep("user.role", email, {"role": role}), orgs=1)
        assert found.outcomes(made.run.id) == ["done"]
        assert len(found.effects()) == sent
        (step,) = found.steps(made.run.id)
        assert set(step.made["permissions"]) == set(world.access.direct(one)[email])
        found.served.faults.clear()
        assert (await found.undo(made.run.id)).whole
        assert found.state() == before


async def test_a_change_that_never_takes_ends_as_failed_after_some_tries(one_store: Store) -> None:
    async with customers(one_store) as found:
        found.served.faults.add(Rule("drop", method="POST", path="/v1/orgs/{oid}/quota", count=None))
        result = await found.make(QUOTA, SUBSCRIBE, orgs=1)
        assert found.outcomes(result.run.id) == ["failed", "held back"]
        sent = [e for e in found.served.log.entries if e.template == "/v1/orgs/{oid}/quota"]
        assert len(sent) == runsteps.TRIES
        assert result.run.state == "failed"
        found.served.faults.clear()
        again = await found.apply(result.run.id)
        assert (again.whole, found.outcomes(result.run.id)) == (True, ["done", "done"])


async def test_what_cannot_be_read_is_asked_for_again_and_then_named(one_store: Store) -> None:
    async with customers(one_store) as found:
        oid = found.organizations[0].oid
        found.served.faults.add(
            Rule("status", status=500, method="GET", path="/v1/orgs/{oid}", oid=oid, count=None)
        )
        run_id = found.keep(found.planned(QUOTA, SUBSCRIBE))
        with patch("console.limacharlie.transport.Transport.send", _without_retries()):
            result = await found.apply(run_id)
        assert [item.state for item in result.run.items] == ["failed", "done", "done"]
        assert result.run.state == "partly"
        assert "cannot serve" in result.failed[0][2]
        assert [name for name, _, _ in result.failed] == [found.organizations[0].name] * 2


def _without_retries() -> Any:
    from console.limacharlie.transport import Transport

    send = Transport.send

    async def once(transport: Any, call: Any, **options: Any) -> Any:
        transport._deadlines = type(transport._deadlines)(retries=0)
        return await send(transport, call, **options)

    return once


async def test_an_organization_that_refuses_holds_no_other_one_back(one_store: Store) -> None:
    async with customers(one_store) as found:
        oid = found.organizations[1].oid
        found.served.faults.add(
            Rule("status", status=403, method="POST", path="/v1/orgs/{oid}/quota", oid=oid, count=None)
        )
        loose = PlannedStep("quota.set", arguments={"quota": 777}, needed=False)
        result = await found.make(loose, SUBSCRIBE)
        assert found.outcomes(result.run.id) == ["done", "done", "denied", "done", "done", "done"]
        assert [item.state for item in result.run.items] == ["done", "partly", "done"]
        assert (result.done, result.run.state) == (2, "partly")
        assert "ext-velociraptor" in found.state()[found.organizations[1].oid]["extensions"]


async def test_an_offline_cloud_cuts_a_run_off_and_the_next_one_carries_on(one_store: Store) -> None:
    async with customers(one_store) as found:
        run_id = found.keep(found.planned(QUOTA))
        port = int(found.served.url.rpartition(":")[2])
        await found.served.stop()
        result = await found.apply(run_id)
        assert (result.run.state, result.run.holder) == ("running", "")
        assert result.trouble
        assert set(found.outcomes(run_id)) == {"waiting"}
        await found.served.start(port=port)
        (carried,) = await operations.resume(one_store, found.cloud)
        assert carried.whole
        assert await operations.resume(one_store, found.cloud) == []


@pytest.mark.parametrize("stopped", [False, True])
async def test_what_is_cancelled_is_carried_on_and_what_is_stopped_waits_for_somebody(
    one_store: Store, stopped: bool
) -> None:
    async with customers(one_store) as found:
        found.served.faults.add(Rule("hang", method="POST", path="/v1/orgs/{oid}/quota", count=None))
        run_id = found.keep(found.planned(QUOTA))
        making = asyncio.create_task(found.apply(run_id))
        while not found.served.log.entries or found.outcomes(run_id) != ["sending"] * 3:
            await asyncio.sleep(0.01)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        found.served.faults.clear()
        if not stopped:
            (carried,) = await operations.resume(one_store, found.cloud)
            assert carried.whole
            assert not operations.stop(one_store, run_id)
            return
        assert operations.stop(one_store, run_id)
        assert await operations.resume(one_store, found.cloud) == []
        (said,) = operations.left_off(one_store, now_ms())
        assert f"`limegrove org resume {run_id}` goes on" in said
        assert (await found.apply(run_id)).whole


@pytest.mark.parametrize("times", [1, 2])
async def test_what_is_cancelled_while_it_is_begun_is_given_back_and_waits_for_somebody(
    one_store: Store, times: int
) -> None:
    begin, begun, may = operations._begin, threading.Event(), threading.Event()

    def slowly(*arguments: Any, **options: Any) -> Any:
        begun.set()
        assert may.wait(30)
        return begin(*arguments, **options)

    async with customers(one_store) as found:
        run_id = found.keep(found.planned(QUOTA))
        with patch.object(operations, "_begin", slowly):
            making = asyncio.create_task(found.apply(run_id))
            assert await asyncio.to_thread(begun.wait, 30)
            for _ in range(times):
                making.cancel()
                await asyncio.sleep(0)
            may.set()
            with pytest.raises(asyncio.CancelledError):
                await making
        with one_store.reader.reading() as c:
            run = runs.load(c, run_id)
        assert (run.state, run.holder) == ("running", "")
        assert await operations.resume(one_store, found.cloud) == []
        assert not found.effects()
        assert operations.stop(one_store, run_id)
        assert (await found.apply(run_id)).whole


async def test_what_is_cancelled_while_it_is_refused_was_never_begun(one_store: Store) -> None:
    begun, may = threading.Event(), threading.Event()

    def refuse(*_: Any, **__: Any) -> Any:
        begun.set()
        assert may.wait(30)
        raise operations.Refused("No.")

    async with customers(one_store) as found:
        run_id = found.keep(found.planned(QUOTA))
        with patch.object(operations, "_begin", refuse):
            making = asyncio.create_task(found.apply(run_id))
            assert await asyncio.to_thread(begun.wait, 30)
            making.cancel()
            may.set()
            with pytest.raises(asyncio.CancelledError):
                await making
        with one_store.reader.reading() as c:
            assert runs.load(c, run_id).state == "draft"


@pytest.mark.parametrize("became", ["stopped", "failed"])
async def test_what_came_to_its_end_or_was_stopped_since_it_was_listed_is_not_carried_on_unasked(
    one_store: Store, became: str
) -> None:
    async with customers(one_store) as found:
        found.served.faults.add(Rule("drop", method="POST", path="/v1/orgs/{oid}/quota", count=None))
        run_id = found.keep(found.planned(QUOTA))
        table = models.Run.__table__  # type: ignore[attr-defined]
        if became == "stopped":
            with one_store.writing() as c:
                c.execute(update(table).values(state=runs.RUNNING, expires_at=now_ms() + runs.UNASKED))
        else:
            assert (await found.apply(run_id)).run.state == "failed"
            with one_store.writing() as c:
                c.execute(update(table).values(state=runs.RUNNING))
        found.served.faults.clear()
        load = operations._load

        def by_now(store: Store, number: int) -> runs.Run:
            if became == "stopped":
                assert operations.stop(store, number)
            else:
                with store.writing() as c:
                    c.execute(update(table).values(state=runs.FAILED))
            return load(store, number)

        with patch.object(operations, "_load", by_now):
            assert await operations.resume(one_store, found.cloud) == []
        assert not found.effects()
        assert found.outcomes(run_id) == [became.replace("stopped", "waiting")] * 3


async def test_what_nobody_asked_for_is_not_carried_on_for_longer_than_a_day(one_store: Store) -> None:
    hour = 3_600_000
    async with customers(one_store, orgs=2) as found:
        run_id = found.keep(found.planned(QUOTA, orgs=1))
        await found.served.stop()
        asked = now_ms()
        assert (await found.apply(run_id, now=asked)).trouble
        for later in (hour, 20 * hour):
            (carried,) = await operations.resume(one_store, found.cloud, now=asked + later)
            assert carried.trouble
        assert await operations.resume(one_store, found.cloud, now=asked + 25 * hour) == []
        assert (await found.apply(run_id, now=asked + 30 * hour)).trouble
        (carried,) = await operations.resume(one_store, found.cloud, now=asked + 50 * hour)
        assert carried.trouble


async def test_what_is_stopped_ends_behind_the_step_at_hand_and_waits_to_be_asked_for(
    one_store: Store,
) -> None:
    async with customers(one_store) as found:
        one, stop = found.organizations[0], asyncio.Event()
        sids = [sensor.sid for sensor in found.served.world.sensors_of(one)][:3]
        steps = [PlannedStep("sensor.tag", sid, {"tag": "blue"}, needed=False) for sid in sids]
        kind = type(found.cloud.organization(one.oid))
        tag = kind.tag_sensor

        async def then_stopped(*arguments: Any) -> None:
            await tag(*arguments)
            stop.set()

        run_id = found.keep(found.planned(*steps, QUOTA, orgs=1))
        with patch.object(kind, "tag_sensor", then_stopped):
            stopped = await found.apply(run_id, stop=stop)
        assert found.outcomes(run_id) == ["done", "waiting", "waiting", "waiting"]
        assert (stopped.run.state, stopped.run.holder, len(found.effects())) == ("running", "", 1)
        assert await operations.resume(one_store, found.cloud) == []
        assert (await found.apply(run_id)).whole
        assert len(found.effects()) == 4


# Refusals


async def test_nothing_is_sent_read_only_offline_too_late_or_edited(one_store: Store) -> None:
    async with customers(one_store) as found:
        run_id = found.keep(found.planned(QUOTA))
        async with client(found.served, read_only=True) as cloud:
            with pytest.raises(operations.NotAllowed, match="read-only"):
                await operations.apply(one_store, cloud, run_id, operator=OPERATOR)
            assert await operations.resume(one_store, cloud) == []
        with pytest.raises(operations.NotAllowed, match="offline"):
            await operations.apply(one_store, None, run_id, operator=OPERATOR)
        with pytest.raises(operations.Expired):
            await found.apply(run_id, now=now_ms() + runs.GOOD_FOR + 1000)
        table = models.RunStep.__table__  # type: ignore[attr-defined]
        with one_store.writing() as c:
            c.execute(update(table).values(arguments={"quota": 1}))
        with pytest.raises(operations.Refused, match="not what it was"):
            await found.apply(run_id)
        assert not found.effects()


async def test_protected_organizations_and_what_destroys_have_to_be_typed(one_store: Store) -> None:
    async with customers(one_store) as found:
        one, two = found.organizations[:2]
        with one_store.writing() as c:
            replace_tree(c, [TreeNode("vip", None, "VIP", oid=one.oid, marks=("protected",))])
        quiet = found.keep(found.planned(QUOTA, orgs=2))
        extension = found.served.world.configuration.extensions(two)[0]
        gone = found.keep(found.planned(PlannedStep("extension.unsubscribe", extension), orgs=2))
        for run_id, typed in ((quiet, ""), (quiet, two.name), (gone, ""), (gone, one.name)):
            with pytest.raises(operations.WrongName):
                await found.apply(run_id, confirm=typed)
        assert not found.effects()
        assert (await found.apply(quiet, confirm=one.name)).whole
        assert (await found.apply(gone, confirm="2 organizations")).whole


async def test_what_is_tried_again_has_to_be_typed_again_for_those_that_are_not_done(
    one_store: Store,
) -> None:
    async with customers(one_store) as found:
        one, two, three = found.organizations[:3]
        path = "/v1/orgs/{oid}/quota"
        with one_store.writing() as c:
            marks = ("protected",)
            replace_tree(c, [TreeNode(f"n{n}", None if not n else "n0", f"{n}", oid=each.oid, marks=marks) for n, each in enumerate((one, two))])  # fmt: skip
        found.served.faults.add(Rule("status", status=403, method="POST", path=path, oid=two.oid, count=None))
        quiet = (await found.make(QUOTA, confirm="2 protected organizations")).run
        output = PlannedStep("output.remove", next(iter(found.served.world.configuration.outputs(two))))
        path = "/v1/outputs/{oid}"
        for each in (two, three):
            found.served.faults.add(
                Rule("status", status=403, method="DELETE", path=path, oid=each.oid, count=None)
            )
        gone = (await found.make(output, confirm="3 organizations")).run
        assert (quiet.state, gone.state) == ("partly", "partly")
        assert (quiet.phrase, gone.phrase) == (two.name, "2 organizations")
        found.served.faults.clear()
        before = len(found.served.log.entries)
        for run, typed in ((quiet, ""), (quiet, one.name), (gone, ""), (gone, "3 organizations")):
            with pytest.raises(operations.WrongName, match=f"`{run.phrase}` has to be typed"):
                await found.apply(run.id, confirm=typed)
        assert len(found.served.log.entries) == before
        assert (await found.apply(quiet.id, confirm=two.name)).whole
        assert (await found.apply(gone.id, confirm="2 organizations")).whole


async def test_what_was_cut_off_was_typed(one_store: Store) -> None:
    async with customers(one_store) as found:
        output = PlannedStep("output.remove", next(iter(found.served.world.configuration.outputs(found.organizations[0]))))  # fmt: skip
        port = int(found.served.url.rpartition(":")[2])
        run_id = found.keep(found.planned(output, orgs=1))
        await found.served.stop()
        cut_off = (await found.apply(run_id, confirm=found.organizations[0].name)).run
        assert (cut_off.state, cut_off.phrase) == ("running", "")
        await found.served.start(port=port)
        assert (await found.apply(run_id)).whole


async def test_a_frozen_organization_is_refused_and_the_others_are_done(one_store: Store) -> None:
    async with customers(one_store) as found:
        one = found.organizations[0]
        run_id = found.keep(found.planned(QUOTA))
        with one_store.writing() as c:
            replace_tree(c, [TreeNode("ice", None, "Ice", oid=one.oid, marks=("frozen",))])
        result = await found.apply(run_id)
        assert [item.state for item in result.run.items] == ["refused", "done", "done"]
        assert result.run.state == "partly"
        assert "frozen" in result.failed[0][2]
        with one_store.writing() as c:
            replace_tree(c, [TreeNode("ice", None, "Ice", oid=one.oid)])
        assert (await found.apply(run_id)).whole


def _hold(store: Store, oid: str, *marks: str) -> None:
    with store.writing() as c:
        replace_tree(
            c, [TreeNode("group", None, "Group", marks=marks), TreeNode("one", "group", "One", oid=oid)]
        )


async def test_what_loses_data_is_not_sent_for_whom_a_hold_came_over_after_it_was_planned(
    one_store: Store,
) -> None:
    async with customers(one_store) as found:
        one, two = found.organizations[:2]
        extension = found.served.world.configuration.extensions(one)[0]
        items = (
            PlannedStep("extension.unsubscribe", extension, needed=False),
            *(
                PlannedStep("sensor.delete", sensor.sid, {"hostname": "host"}, needed=False)
                for sensor in list(found.served.world.sensors_of(one))[:2]
            ),
            QUOTA,
            PlannedStep("organization.delete", one.oid),
        )
        run_id = found.keep(found.planned(*items, orgs=1))
        _hold(one_store, one.oid, "hold")
        result = await found.apply(run_id, confirm=operations.CONFIRMED)
        assert found.outcomes(run_id) == ["refused", "refused", "refused", "done", "refused"]
        assert {why for _, _, why in result.failed} == {
            "The organization carries the mark hold: what would lose data of it is not sent while it does."
        }
        assert [path for oid, method, path in found.effects()] == [f"/v1/orgs/{one.oid}/quota"]
        assert not [entry for entry in entries(one_store, "run.sensor.delete")]
        _hold(one_store, one.oid)
        assert (await found.apply(run_id, confirm=operations.CONFIRMED)).whole
        left = {row.oid async for page in found.cloud.organizations() for row in page}
        assert one.oid not in left
        assert two.oid in left


@pytest.mark.parametrize(("marks", "questions"), [(("hold",), 1), ((), 1 + 3)])
async def test_a_hold_is_asked_for_once_for_what_is_looked_at_together_and_at_each_sending(
    one_store: Store, marks: tuple[str, ...], questions: int
) -> None:
    async with customers(one_store) as found:
        one = found.organizations[0]
        sids = [sensor.sid for sensor in found.served.world.sensors_of(one)][:3]
        steps = [PlannedStep("sensor.delete", sid, {"hostname": "host"}, needed=False) for sid in sids]
        _hold(one_store, one.oid, *marks)
        with patch.object(runsteps, "marked", wraps=runsteps.marked) as asked:
            result = await found.make(*steps, orgs=1, confirm=operations.CONFIRMED)
        assert found.outcomes(result.run.id) == ["refused" if marks else "done"] * 3
        assert [call.args[1:] for call in asked.call_args_list if call.args[1] == "hold"] == (
            [("hold", [one.oid])] * questions
        )


async def test_a_hold_that_comes_between_the_look_and_the_sending_is_in_time(one_store: Store) -> None:
    async with customers(one_store) as found:
        one = found.organizations[0]
        sids = [sensor.sid for sensor in found.served.world.sensors_of(one)][:3]
        steps = [PlannedStep("sensor.delete", sid, {"hostname": "host"}, needed=False) for sid in sids]
        delete = type(found.cloud.organization(one.oid)).delete_sensor

        async def then_held(handle: Any, sid: str) -> None:
            await delete(handle, sid)
            _hold(one_store, one.oid, "hold")

        with patch.object(type(found.cloud.organization(one.oid)), "delete_sensor", then_held):
            result = await found.make(*steps, orgs=1, confirm=operations.CONFIRMED)
        assert found.outcomes(result.run.id) == ["done", "refused", "refused"]
        assert len(found.effects()) == 1
        sent = entries(one_store, "run.sensor.delete")
        assert [entry.detail.get("outcome") for entry in sent][3:] == ["refused", "refused", "done"]


# Verbs of others


class _Odd(Verb):
    """Acts in the store alone, and does what it is told."""

    name = "odd.thing"
    here = True

    async def check(self, work: Work) -> Seen:
        if work.target == "cannot be known":
            raise CannotBeKnown("Nobody can say.")
        done = work.target == "makes" and work.sent
        return Seen(done, {"target": work.target}, made={"oid": "0" * 8} if done else None)

    async def send(self, work: Work) -> dict[str, Any]:
        if work.target == "fails":
            raise StepFailed("It does not want to.")
        return {"n": await work.write(lambda c: 1)}


async def test_a_verb_acts_here_without_a_cloud_and_fails_in_its_own_words(one_store: Store) -> None:
    items = (
        runs.PlannedItem("", "New", steps=(PlannedStep("odd.thing", "makes"),)),
        runs.PlannedItem("", "Bad", steps=(PlannedStep("odd.thing", "fails"), PlannedStep("odd.thing", "makes"))),
        runs.PlannedItem("", "Lost", steps=(PlannedStep("odd.thing", "cannot be known"),)),
    )  # fmt: skip
    planned = runs.Planned("onboard", "Odd", items)
    with patch("console.operations.runverbs.verb", lambda name: _Odd()):
        run_id = operations.keep(one_store, planned, operator=OPERATOR)
        result = await operations.apply(one_store, None, run_id, operator=OPERATOR, confirm="3 organizations")
    assert [item.state for item in result.run.items] == ["done", "failed", "failed"]
    assert result.run.items[0].oid == "0" * 8
    assert [why for _, _, why in result.failed] == [
        "It does not want to.",
        "Not tried, for this was not done before: odd.thing fails.",
        "Nobody can say.",
    ]
    with one_store.reader.reading() as c:
        assert runs.steps(c, run_id)[0].made == {"n": 1, "oid": "0" * 8}


async def test_what_was_refused_was_not_made_by_the_run_though_somebody_makes_it_afterwards(
    one_store: Store,
) -> None:
    async with customers(one_store) as found:
        one = found.organizations[0]
        found.served.faults.add(Rule("status", status=403, method="POST", path="/v1/orgs/{oid}/quota"))
        result = await found.make(QUOTA, orgs=1)
        assert found.outcomes(result.run.id) == ["denied"]
        found.served.world.set_quota(one, 777)  # somebody else
        again = await found.apply(result.run.id)
        assert found.outcomes(result.run.id) == ["already"]
        assert again.whole
        with pytest.raises(operations.Refused, match="did nothing that can be taken back"):
            operations.undoing(one_store, result.run.id)


async def test_what_may_have_been_made_and_shows_up_later_was_made_by_the_run(one_store: Store) -> None:
    async with customers(one_store) as found:
        one = found.organizations[0]
        found.served.faults.add(Rule("drop", method="POST", path="/v1/orgs/{oid}/quota", count=None))
        result = await found.make(QUOTA, orgs=1)
        assert found.outcomes(result.run.id) == ["failed"]
        found.served.world.set_quota(one, 777)  # one of ours arrived at last
        assert (await found.apply(result.run.id)).whole
        assert found.outcomes(result.run.id) == ["done"]


async def test_what_a_run_asks_goes_behind_what_a_person_waits_for(one_store: Store) -> None:
    seen = set()
    async with customers(one_store) as found:
        acquire = found.cloud.limits.acquire

        async def noted(*arguments: Any, **options: Any) -> Any:
            seen.add(limits._priority.get())
            return await acquire(*arguments, **options)

        with patch.object(found.cloud.limits, "acquire", noted):
            assert (await found.make(QUOTA, orgs=1)).whole
    assert seen == {limits.Priority.BACKGROUND}


def test_every_verb_that_has_words_is_made_somewhere_and_the_other_way_round() -> None:
    from console.operations.runverbs import _verbs

    assert set(_verbs()) == set(VERBS)
    for kind in KINDS.values():
        assert kind.verb in VERBS
