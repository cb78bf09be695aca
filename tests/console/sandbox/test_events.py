"""Telemetry by its atom: quiet events, what detections report, and nothing that was not sent."""

from typing import Any

import pytest

from console.sandbox.world import World
from tests.console.sandbox.conftest import NOW_MS

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=31, orgs=9, detections=900, now_ms=NOW_MS)


def _never(*_: Any) -> Any:
    raise AssertionError("the detections were gone through")


def test_a_quiet_event_is_found_without_going_through_the_detections(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.organizations[0]
    sensors = [sensor for sensor in world.sensors_of(one) if not sensor.silent]
    for name in ("reporting", "atom", "event", "detection"):
        monkeypatch.setattr(world.detections, name, _never)
    looked = 0
    for sensor in sensors:
        for slot in world.events.slots(one, sensor, NOW_MS - DAY_MS, NOW_MS)[::12]:
            event = world.events.event(one, sensor, slot)
            assert world.events.by_atom(one, sensor, event["routing"]["this"]) == event
            looked += 1
    assert looked > len(sensors) > 1


def test_what_a_detection_reports_is_found_on_its_sensor_and_on_no_other(world: World) -> None:
    one = world.organizations[0]
    sensors = {sensor.sid: sensor for sensor in world.sensors_of(one)}
    found = 0
    for number in range(one.detections):
        event = world.detections.event(one.index, number)
        sensor = sensors[event["routing"]["sid"]]
        atom = event["routing"]["this"]
        if event["routing"]["event_time"] < world.events.oldest(sensor):
            assert world.events.by_atom(one, sensor, atom) is None
            continue
        assert world.events.by_atom(one, sensor, atom) == event
        other = next(each for each in sensors.values() if each is not sensor)
        assert world.events.by_atom(one, other, atom) is None
        found += 1
    assert found


def test_an_atom_that_nothing_has_is_not_found(world: World) -> None:
    one = world.organizations[0]
    sensor = next(found for found in world.sensors_of(one) if not found.silent)
    slot = world.events.slots(one, sensor, NOW_MS - DAY_MS, NOW_MS)[0]
    atom = world.events.event(one, sensor, slot)["routing"]["this"]
    forgotten = world.events.event(one, sensor, world.events.oldest(sensor) // 600_000 - 1)["routing"]["this"]
    ahead = world.events.event(one, sensor, NOW_MS // 600_000 + 1)["routing"]["this"]
    for wrong in (
        "",
        "none",
        "zzzzzzzz" + atom[8:],
        atom[:8] + atom[:7:-1] + "0",
        atom[:8],
        forgotten,
        ahead,
    ):
        assert world.events.by_atom(one, sensor, wrong) is None
