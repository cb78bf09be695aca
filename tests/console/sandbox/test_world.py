"""The world: the same from the same seed, believable, and made when it is asked for."""

import tracemalloc
from collections import Counter
from typing import Any

import orjson
import pytest

from console.sandbox import catalogue, rules
from console.sandbox.detections import HOURS
from console.sandbox.rules import BASELINE
from console.sandbox.sensors import Sensor
from console.sandbox.world import World
from store.folds import fold_of

NOW_MS = 1_795_176_000_000
MONTH = HOURS * 3_600_000


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=7, now_ms=NOW_MS)


def _everything(world: World) -> bytes:
    one = world.organizations[2]
    return orjson.dumps(
        [
            world.tree(),
            [world.detections.detection(2, number) for number in range(one.detections)],
            [world.sensor_record(one, world.sensor(one, number)) for number in range(one.sensors)],
            world.all_records(one),
            world.configuration.outputs(one),
            world.access.direct(one),
            [key.key_hash for key in world.access.keys(one)],
            [world.audit.entry(one, number) for number in range(world.audit.count(one))],
        ]
    )


def test_the_same_seed_is_the_same_world() -> None:
    first, second, other = (World(seed=seed, orgs=12, detections=600, now_ms=NOW_MS) for seed in (5, 5, 6))
    assert _everything(first) == _everything(second)
    assert first.organizations[2].oid != other.organizations[2].oid
    assert _everything(first) != _everything(other)


def test_only_times_depend_on_now() -> None:
    first = World(seed=5, orgs=3, detections=100, now_ms=NOW_MS)
    second = World(seed=5, orgs=3, detections=100, now_ms=NOW_MS + 7 * 86_400_000)
    assert [one.oid for one in first.organizations] == [one.oid for one in second.organizations]
    for index, one in enumerate(first.organizations):
        for number in range(one.detections):
            assert first.detections.detect_id(index, number) == second.detections.detect_id(index, number)
            assert first.detections.rule(index, number) is second.detections.rule(index, number)


def test_customers_are_many_different_and_skewed(world: World) -> None:
    ones = world.organizations
    assert len(ones) == 216
    assert (
        len({one.name for one in ones})
        == len({one.oid for one in ones})
        == len({one.slug for one in ones})
        == 216
    )
    assert all(one.domain.endswith(".example") for one in ones)
    assert sum(one.detections for one in ones) == 12_000
    assert 12_000 < sum(one.sensors for one in ones) < 24_000
    assert min(one.sensors for one in ones) >= 5
    assert max(one.sensors for one in ones) > 400
    loudest = sorted((one.detections for one in ones), reverse=True)
    assert sum(loudest[:43]) > 12_000 * 0.4
    assert len({one.industry for one in ones}) == 10
    assert any(not one.name.isascii() for one in ones)


@pytest.mark.parametrize("orgs", [1, 2, 5, 6, 30, 1000])
def test_the_tree_is_one_tree_with_each_organization_once(orgs: int) -> None:
    world = World(seed=3, orgs=orgs, detections=10, now_ms=NOW_MS)
    nodes = world.tree()
    seen: set[object] = set()
    for node in nodes:
        assert node["id"] not in seen
        assert node["parent"] in seen if seen else node["parent"] is None
        seen.add(node["id"])
    assert {node["oid"] for node in nodes if "oid" in node} == set(world.by_oid)
    assert sum("oid" in node for node in nodes) == orgs


def test_the_tree_has_regions_tiers_children_labels_and_marks(world: World) -> None:
    nodes = {node["id"]: node for node in world.tree()}
    assert nodes["europe-gold"]["parent"] == "europe"
    assert nodes["europe-gold"]["labels"] == {"tier": "gold", "sla": "15m/4h"}
    children = [node for node in nodes.values() if "oid" in node and "oid" in nodes[node["parent"]]]
    assert len(children) >= 20
    assert {mark for node in nodes.values() for mark in node.get("marks", ())} == {
        "protected", "canary", "frozen", "leaving",
    }  # fmt: skip


def test_detections_are_in_the_order_of_time_within_the_past_month(world: World) -> None:
    for one in world.organizations[:40]:
        times = [world.detections.time(one.index, number) for number in range(one.detections)]
        assert times == sorted(times)
        assert all(NOW_MS - MONTH <= moment < NOW_MS for moment in times)


def test_a_range_of_time_is_found_without_looking_at_each() -> None:
    world = World(seed=4, orgs=1, detections=5_000, now_ms=NOW_MS)
    times = [world.detections.time(0, number) for number in range(5_000)]
    for moment in (
        NOW_MS - MONTH - 5,
        NOW_MS - MONTH // 2,
        NOW_MS - 60_000,
        times[77],
        times[78] + 1,
        NOW_MS + 5,
    ):
        expected = sum(each < moment for each in times)
        assert world.detections.first_at(0, moment) == expected


def test_a_detection_is_found_by_its_id_and_by_no_other(world: World) -> None:
    one = world.organizations[3]
    for number in (0, 1, one.detections - 1):
        detect_id = world.detections.detect_id(3, number)
        assert world.detections.find(3, detect_id) == number
        assert world.detections.find(2, detect_id) is None
        changed = detect_id[:-1] + ("0" if detect_id[-1] != "0" else "1")
        assert world.detections.find(3, changed) is None
    assert world.detections.find(3, "nonsense") is None
    assert world.detections.find(3, "zzzzzzzz-zzzz-4zzz-8zzz-zzzzzzzzzzzz") is None


def test_a_million_detections_cost_no_memory() -> None:
    tracemalloc.start()
    try:
        world = World(seed=4, orgs=20, detections=1_000_000, now_ms=NOW_MS)
        last = world.organizations[0].detections - 1
        world.detections.first_at(0, NOW_MS - 86_400_000)
        assert world.detections.detection(0, last)["gen_time"] < NOW_MS
        assert world.detections.find(0, world.detections.detect_id(0, last)) == last
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_detections_are_of_many_rules_and_rarely_critical(world: World) -> None:
    cats: Counter[str] = Counter()
    levels: Counter[str] = Counter()
    platforms: set[int] = set()
    for one in world.organizations:
        for number in range(one.detections):
            rule = world.detections.rule(one.index, number)
            cats[rule.cat] += 1
            levels[rule.level] += 1
            platforms.add(rule.platform)
    assert len(cats) >= 25
    assert len(platforms) == 5
    assert 0 < levels["critical"] < levels["high"] < levels["medium"] < levels["low"]
    assert levels["critical"] < 12_000 * 0.05
    noisy = next(rule for rule in BASELINE if rule.key == rules.NOISY)
    assert cats.most_common(1)[0][0] == noisy.cat


FIELDS = {
    "cat": str, "source": str, "routing": dict, "detect": dict, "detect_id": str, "namespace": str, "priority": int,
    "detect_mtd": dict, "detect_data": dict, "author": str, "source_rule": str, "rule_tags": list, "gen_time": int,
    "ts": int,
}  # fmt: skip


def test_a_detection_has_the_fields_of_the_contract_and_hangs_together(world: World) -> None:
    seen = set()
    for one in world.organizations:
        for number in range(min(one.detections, 40)):
            detection = world.detections.detection(one.index, number)
            rule = world.detections.rule(one.index, number)
            seen.add(rule.key)
            for name, kind in FIELDS.items():
                assert isinstance(detection[name], kind), name
            assert "mtd" in detection
            routing = detection["routing"]
            assert (routing["oid"], routing["event_type"]) == (one.oid, rule.event_type)
            found = world.sensor_by_sid(routing["sid"])
            assert found is not None
            assert found[0] is one
            assert found[1].hostname == routing["hostname"]
            assert found[1].platform == rule.platform == routing["plat"]
            assert (
                detection["source"]
                == f"{one.oid}.{routing['iid']}.{routing['sid']}.{routing['plat']:x}.{routing['arch']}"
            )
            assert set(detection["detect"]) == {"event", "routing", "ts"}
            assert detection["gen_time"] > routing["event_time"]
            assert detection["ts"] in (detection["gen_time"], detection["gen_time"] // 1000)
            if rule.platform in (0xE0000000, 0x80000000):
                assert (routing["did"], routing["moduleid"], routing["arch"]) == ("", 6, 9)
            else:
                assert routing["did"]
                assert routing["parent"]
    assert len(seen) >= 25


def test_a_detection_has_its_rule_in_the_same_organization_with_the_same_priority(world: World) -> None:
    for one in world.organizations[:60]:
        for number in range(min(one.detections, 30)):
            detection = world.detections.detection(one.index, number)
            namespace, _, key = detection["source_rule"].partition(".")
            record = world.records(one, f"dr-{namespace}")[key]
            action = record["data"]["respond"][0]
            assert record["usr_mtd"]["enabled"]
            assert (action["name"], action["priority"]) == (detection["cat"], detection["priority"])


def test_some_rules_have_drifted_and_most_bodies_are_shared(world: World) -> None:
    missing, disabled = 0, 0
    bodies: Counter[str] = Counter()
    priorities = set()
    for one in world.organizations:
        records = world.records(one, "dr-general")
        record = records.get("encoded-powershell-download")
        if record is None:
            missing += 1
            continue
        disabled += not record["usr_mtd"]["enabled"]
        bodies[orjson.dumps(record["data"]).decode()] += 1
        priorities.add(record["data"]["respond"][0]["priority"])
    assert 1 <= missing <= 25
    assert 1 <= disabled <= 25
    assert len(priorities) == 2
    assert bodies.most_common(1)[0][1] > 150


def test_the_mistakes_of_a_real_provider_are_there(world: World) -> None:
    access = world.access
    shared = [group for group in access.groups if access.leaked in group.members]
    assert shared
    assert len(shared[0].organizations) > 50
    assert not access.leaked.endswith("@northlight.example")
    keys = [(one, key) for one in world.organizations for key in access.keys(one)]
    assert any(key.last_used < world.now - 250 * 86_400 for _, key in keys)
    assert any(not key.allowed_ip_range for _, key in keys)
    assert any(key.by == access.left for _, key in keys)
    assert access.left not in access.staff
    direct = [access.direct(one) for one in world.organizations]
    assert any(access.engineers[0] in grants for grants in direct)
    assert any(access.left in grants for grants in direct)
    assert any(
        email != access.root and set(held) >= {"apikey.ctrl", "user.ctrl", "billing.ctrl"}
        for grants in direct
        for email, held in grants.items()
    )
    assert "dr.set" in next(group for group in access.groups if group.name == "SOC L1").permissions
    assert world.unauthorized is not None
    assert world.hostile is not world.unauthorized


def test_effective_access_is_direct_and_through_groups(world: World) -> None:
    one = world.organizations[0]
    access = world.access
    assert set(access.permissions(access.root, one)) == set(catalogue.ALL)
    analyst = access.analysts[4]
    assert set(access.permissions(analyst, one)) >= {*catalogue.SOC_L1, "dr.set"}
    assert access.permissions("nobody@nowhere.example", one) == ()
    contact = access.contacts(world.organizations[7])[0][0]
    assert [found.oid for found in access.organizations_of(contact)] == [world.organizations[7].oid]


def test_names_of_sensors_are_coherent(world: World) -> None:
    one = max(world.organizations, key=lambda each: each.sensors)
    sensors = [world.sensor(one, number) for number in range(one.sensors)]
    assert len({sensor.sid for sensor in sensors}) == one.sensors
    assert len({(sensor.internal_ip, sensor.hostname) for sensor in sensors}) > one.sensors * 0.95
    assert any(sensor.silent for sensor in sensors)
    assert {"server", "workstation", "o365", "linux"} <= {tag for sensor in sensors for tag in sensor.tags}
    for number in (0, 1, one.sensors - 1):
        found = world.sensor_by_sid(sensors[number].sid)
        assert found is not None
        assert (found[0].oid, found[1].index) == (one.oid, number)
    assert world.sensor_by_sid("00000000-0000-4000-8000-000000000000") is None


def test_detections_go_on_and_a_storm_breaks_out() -> None:
    world = World(seed=7, orgs=216, detections=500, now_ms=NOW_MS)
    found = world.detections
    before = [found.count(one.index) for one in world.organizations]
    found.go_live(120, storm_after=100)
    found.advance(NOW_MS + 60_000)
    after = [found.count(one.index) for one in world.organizations]
    assert 110 <= sum(after) - sum(before) <= 130
    found.advance(NOW_MS + 60_000)
    assert [found.count(one.index) for one in world.organizations] == after
    found.advance(NOW_MS + 220_000)
    stormed: Counter[int] = Counter()
    hashes = set()
    for one in world.organizations:
        for number in range(one.detections, found.count(one.index)):
            detection = found.detection(one.index, number)
            assert NOW_MS <= detection["gen_time"] <= NOW_MS + 220_000
            if detection["source_rule"] == f"general.{rules.STORM}":
                stormed[one.index] += 1
                hashes.add(detection["detect_data"]["hash"])
        times = [found.time(one.index, number) for number in range(found.count(one.index))]
        assert times == sorted(times)
    assert len(stormed) == 60
    assert sum(stormed.values()) > 500
    assert hashes == {rules.SCANNER_HASH}


@pytest.mark.parametrize(("storm", "organizations"), [(1400, 60), (61, 60), (7, 7)])
def test_a_storm_of_a_given_size_hits_sixty_organizations_with_one_tool(
    storm: int, organizations: int
) -> None:
    def broken_out(seed: int) -> dict[str, list[dict[str, Any]]]:
        world = World(seed=seed, orgs=216, detections=500, now_ms=NOW_MS)
        found = world.detections
        assert world.unauthorized is not None
        found.go_live(0, 20, storm, (world.unauthorized.index,))
        found.advance(NOW_MS + 19_000)
        assert sum(found.count(one.index) - one.detections for one in world.organizations) == 0
        found.advance(NOW_MS + 51_000)
        new = {
            one.oid: [found.detection(one.index, n) for n in range(one.detections, found.count(one.index))]
            for one in world.organizations
        }
        assert not new[world.unauthorized.oid]
        return {oid: some for oid, some in new.items() if some}

    stormed = broken_out(7)
    assert len(stormed) == organizations
    assert sum(map(len, stormed.values())) == storm
    every = [each for some in stormed.values() for each in some]
    assert len({fold_of(each, each["source_rule"], each["cat"])[0] for each in every}) == 1
    assert broken_out(7) == stormed
    assert broken_out(8) != stormed


def test_a_world_without_organizations_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one organization"):
        World(orgs=0)


def test_detections_happen_on_machines_that_are_there() -> None:
    world = World(seed=7, orgs=40, detections=4000, now_ms=NOW_MS)

    def there(found: Sensor, moment: int) -> bool:
        silent = NOW_MS - found.silent * 1000
        return found.enrolled * 1000 <= moment and not (found.silent and moment > silent)

    astray = 0
    for one in world.organizations:
        machines = list(world.sensors_of(one))
        for number in range(one.detections):
            where, moment = (
                world.detections.sensor(one.index, number),
                world.detections.time(one.index, number),
            )
            if not there(where, moment):
                # The machine that a hostile name belongs to fires whatever it does.
                assert one is world.hostile or not any(
                    there(each, moment) for each in machines if each.platform == where.platform
                )
                astray += 1
    assert astray < 20
