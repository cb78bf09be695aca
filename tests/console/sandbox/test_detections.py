"""Detections by the sensor that they happened on: the same answers whatever is kept of them."""

import pytest

from console.sandbox import detections
from console.sandbox.detections import Detections
from console.sandbox.world import World
from tests.console.sandbox.conftest import NOW_MS

ENDLESS = 1 << 62


@pytest.fixture
def world() -> World:
    return World(seed=31, orgs=9, detections=900, now_ms=NOW_MS)


def _told(world: World, index: int) -> dict[str, list[tuple[int, int]]]:
    """What the events themselves say: of each sensor, when they were and which detections report them."""
    found: dict[str, list[tuple[int, int]]] = {}
    for number in range(world.detections.count(index)):
        routing = world.detections.event(index, number)["routing"]
        found.setdefault(routing["sid"], []).append((routing["event_time"], number))
    return {sid: sorted(rows) for sid, rows in found.items()}


def _kept(found: Detections) -> dict[int, int]:
    """By organization, the one asked about last at the end: how many detections are kept by sensor."""
    return {index: looked for index, (looked, _) in found._by_sensor.items()}


def test_the_atom_is_that_of_the_event_that_is_reported(world: World) -> None:
    for one in world.organizations:
        for number in range(one.detections):
            event = world.detections.event(one.index, number)
            assert world.detections.atom(one.index, number) == event["routing"]["this"]
            assert world.detections.happened(one.index, number) == event["routing"]["event_time"]


@pytest.mark.parametrize("most", [1, 400, 900])
def test_more_organizations_than_are_kept_get_the_same_answers(
    world: World, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(detections, "_INDEXED", most)
    found = world.detections
    told = {one.index: _told(world, one.index) for one in world.organizations}
    for _ in range(2):
        for index, by_sid in told.items():
            for sid, rows in by_sid.items():
                assert found.reporting(index, sid, 0, ENDLESS) == rows
                middle = rows[len(rows) // 2][0]
                assert found.reporting(index, sid, 0, middle) == [row for row in rows if row[0] < middle]
                assert found.reporting(index, sid, middle, ENDLESS) == [
                    row for row in rows if row[0] >= middle
                ]
            kept = _kept(found)
            assert list(kept)[-1] == index
            assert sum(kept.values()) <= most or list(kept) == [index]
    everything = sum(found.count(index) for index in told)
    assert (len(_kept(found)) == len(told)) == (most >= everything)


def test_whoever_was_asked_about_last_is_kept_the_longest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = world.organizations[:3]
    counts = [one.detections for one in (first, second, third)]
    monkeypatch.setattr(detections, "_INDEXED", sum(counts) - 1)
    for one in (first, second, first, third):
        world.detections.reporting(one.index, "", 0, ENDLESS)
    assert list(_kept(world.detections)) == [first.index, third.index]


def test_what_happens_later_is_found_as_well_and_is_all_that_is_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = world.detections
    one = world.organizations[0]
    by_sid = _told(world, one.index)
    for sid, rows in by_sid.items():
        assert found.reporting(one.index, sid, 0, ENDLESS) == rows
    found.go_live(rate=600.0, storm_after=None)
    found.advance(NOW_MS + 60_000)
    later = _told(world, one.index)
    assert later != by_sid
    looked: list[int] = []
    real = found.happened

    def happened(index: int, number: int) -> int:
        looked.append(number)
        return real(index, number)

    monkeypatch.setattr(found, "happened", happened)
    for sid, rows in later.items():
        assert found.reporting(one.index, sid, 0, ENDLESS) == rows
    assert looked == list(range(one.detections, found.count(one.index))) != []
