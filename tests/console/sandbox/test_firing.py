"""Rules that somebody writes fire on what sensors answer to tasks, and on nothing else."""

from typing import Any

import pytest

from console.sandbox.firing import fire
from console.sandbox.world import World

NOW_MS = 1_795_176_000_000


def record(detect: dict[str, Any], *, enabled: bool = True, name: str = "Answered") -> dict[str, Any]:
    return {
        "data": {
            "detect": detect,
            "respond": [{"action": "report", "name": name, "priority": 3, "metadata": {"level": "low"}}],
        },
        "usr_mtd": {"enabled": enabled, "expiry": 0, "tags": [], "comment": ""},
        "sys_mtd": {},
    }


ASKED = {"event": "OS_VERSION_REP", "op": "is", "path": "routing/investigation_id", "value": "mine"}


@pytest.fixture
def world() -> World:
    return World(seed=3, orgs=3, detections=60, now_ms=NOW_MS)


def answered(world: World, rule: dict[str, Any], investigation: str = "mine") -> int:
    one = world.organizations[0]
    sensor = next(each for each in world.sensors_of(one) if not each.silent)
    world.put_record(one, "dr-general", "ours", rule)
    world.events.answer(one, sensor, "os_version", investigation, NOW_MS)
    return fire(world, one, sensor, world.events.answers(one, sensor, 0, 1 << 62))


def test_a_rule_that_matches_an_answer_becomes_a_detection_like_any_other(world: World) -> None:
    one = world.organizations[0]
    before = world.detections.count(one.index)

    assert answered(world, record(ASKED)) == 1

    assert world.detections.count(one.index) == before + 1
    made = world.detections.detection(one.index, before)
    assert (made["cat"], made["priority"], made["source_rule"]) == ("Answered", 3, "general.ours")
    assert made["routing"]["investigation_id"] == "mine"
    assert world.detections.find(one.index, made["detect_id"]) == before
    assert world.detections.page(one.index, 0, before + 1, 10, cat="Answered")[0] == [before]
    assert world.detections.page(one.index, 0, before + 1, 1, sid=made["routing"]["sid"])[0] == [before]


@pytest.mark.parametrize(
    "rule",
    [
        record(ASKED, enabled=False),
        record({**ASKED, "value": "another"}),
        record({**ASKED, "event": "NEW_PROCESS"}),
        record({**ASKED, "op": "no such"}),
        record(ASKED, name="__hidden"),
    ],
    ids=["disabled", "of another", "of another type", "wrong in itself", "never stored"],
)
def test_what_does_not_report_makes_no_detection(world: World, rule: dict[str, Any]) -> None:
    before = world.detections.count(0)

    assert answered(world, rule) == 0
    assert world.detections.count(0) == before


def test_a_detection_of_an_own_rule_becomes_a_case_where_the_extension_is(world: World) -> None:
    one = next(each for each in world.organizations if world.cases.subscribed(each))
    sensor = next(each for each in world.sensors_of(one) if not each.silent)
    world.put_record(one, "dr-general", "ours", record(ASKED))
    known = {case.number for case in world.cases.all_of(one)}
    world.events.answer(one, sensor, "os_version", "mine", NOW_MS)

    fire(world, one, sensor, world.events.answers(one, sensor, 0, 1 << 62))

    made = world.detections.detection(one.index, world.detections.count(one.index) - 1)
    holding = [
        case for case in world.cases.all_of(one)
        if any(each["detect_id"] == made["detect_id"] for each in case.detections)
    ]  # fmt: skip
    assert len(holding) == 1
    assert len({case.number for case in world.cases.all_of(one)}) <= len(known) + 1
