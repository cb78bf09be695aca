"""Sensors, their tags, events and detections."""

import json

from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import END, START, Stage

LISTED, ONE, TAGS = "GET /v1/sensors/{oid}", "GET /v1/{sid}", "GET /v1/{sid}/tags"
DETECTIONS = "GET /v1/insight/{oid}/detections"


@probe(
    {
        LISTED: "sensors sensors.* sensors.*.hostname sensors.*.plat sensors.*.alive sensors.*.ext_ip continuation_token"
    }
)
def sensors_are_listed_over_pages(it: Stage) -> None:
    biggest = max(it.world.organizations, key=lambda one: (one is not it.world.unauthorized, one.sensors))
    said = it.json("sensor", "list", LC_OID=biggest.oid)
    assert len(said) == biggest.sensors > 100
    sensors = [it.world.sensor(biggest, number) for number in range(biggest.sensors)]
    assert said == [it.world.sensor_record(biggest, sensor) for sensor in sensors]
    pages = it.sdk("list(org.list_sensors(limit=30))", biggest.oid)
    assert pages == said


@probe({LISTED: "sensors.*.sid"})
def sensors_are_selected(it: Stage) -> None:
    biggest = max(it.world.organizations, key=lambda one: (one is not it.world.unauthorized, one.sensors))
    sensors = [it.world.sensor(biggest, number) for number in range(biggest.sensors)]
    linux = it.json("sensor", "list", "--selector", "plat==linux", LC_OID=biggest.oid)
    assert {row["sid"] for row in linux} == {one.sid for one in sensors if one.platform == 0x20000000}
    assert linux
    online = it.json("sensor", "list", "--online", LC_OID=biggest.oid)
    assert {row["sid"] for row in online} == {one.sid for one in sensors if not one.silent}
    assert 0 < len(online) < biggest.sensors


@probe({ONE: "info info.hostname info.sid online"})
def one_sensor_is_shown(it: Stage) -> None:
    sensor = it.world.sensor(it.one, 0)
    said = it.sdk("Sensor(org, sid).get_info()", sid=sensor.sid)
    assert (said["sid"], said["hostname"]) == (sensor.sid, sensor.hostname)
    assert sensor.hostname in json.dumps(it.json("sensor", "get", "--sid", sensor.sid))
    silent = next(
        one for one in (it.world.sensor(it.one, number) for number in range(it.one.sensors)) if not one.silent
    )
    assert it.sdk("Sensor(org, sid).is_online()", sid=silent.sid) is True


@probe({TAGS: "tags tags.*"})
def a_sensor_shows_its_tags(it: Stage) -> None:
    sensor = it.world.sensor(it.one, 0)
    assert sensor.tags
    assert set(it.json("tag", "list", "--sid", sensor.sid)) == set(sensor.tags)


@probe({LISTED: "sensors.*.hostname", DETECTIONS: "detects.*.routing.hostname"})
def a_hostile_host_name_arrives_unchanged(it: Stage) -> None:
    hostile = it.world.hostile
    said = it.json("sensor", "list", LC_OID=hostile.oid)
    assert "\x1b[31m" in said[0]["hostname"]
    assert "[@click=" in said[0]["hostname"]
    found = it.json("detection", "list", "--start", START, "--end", END, LC_OID=hostile.oid)
    assert any(said[0]["hostname"] == row["routing"]["hostname"] for row in found)


@probe({"GET /v1/tags/{oid}": "tags tags.*"})
def the_tags_of_an_organization_are_listed(it: Stage) -> None:
    sensors = [it.world.sensor(it.one, number) for number in range(it.one.sensors)]
    said = it.sdk("org.get_all_tags()")
    assert set(said) == {tag for sensor in sensors for tag in sensor.tags}
    assert said


@probe({"GET /v1/tags/{oid}/{tag}": "*"})
def sensors_are_found_by_their_tag(it: Stage) -> None:
    sensors = [it.world.sensor(it.one, number) for number in range(it.one.sensors)]
    tag = sensors[0].tags[0]
    said = it.json("tag", "find", "--tag", tag)
    assert {sensor.sid for sensor in sensors if tag in sensor.tags} == set(said)


@probe({"GET /v1/hostnames/{oid}": "sid sid.*.hostname sid.*.sid"})
def sensors_are_found_by_their_hostname(it: Stage) -> None:
    sensor = it.world.sensor(it.one, 0)
    said = it.sdk("org.find_sensors_by_hostname(name)", name=sensor.hostname[:-2])
    rows = said["sid"] if isinstance(said, dict) else said
    assert (sensor.sid, sensor.hostname) in {(row["sid"], row["hostname"]) for row in rows}


@probe({"POST /v1/online/{oid}": "*"})
def who_is_online_is_told_by_sensor(it: Stage) -> None:
    sensors = [it.world.sensor(it.one, number) for number in range(it.one.sensors)]
    said = it.sdk("org.get_online_sensors(sids)", sids=[sensor.sid for sensor in sensors])
    assert set(said) == {sensor.sid for sensor in sensors if not sensor.silent} != set()


@probe(
    {
        DETECTIONS: "detects detects.* detects.*.cat detects.*.detect_id detects.*.detect detects.*.priority detects.*.routing.sid"
    }
)
def detections_are_listed(it: Stage) -> None:
    found = it.world.detections
    said = it.json("detection", "list", "--start", START, "--end", END)
    assert len(said) == it.one.detections > 10
    expected = [found.detection(it.one.index, number) for number in range(it.one.detections)]
    assert sorted(said, key=lambda row: row["gen_time"]) == expected


@probe({DETECTIONS: "detects.*.detect_id"})
def detections_are_limited_to_the_newest(it: Stage) -> None:
    expected = [it.world.detections.detect_id(it.one.index, number) for number in range(it.one.detections)]
    few = it.json("detection", "list", "--start", START, "--end", END, "--limit", "5")
    assert [row["detect_id"] for row in few] == expected[:-6:-1]


@probe(
    {"GET /v1/insight/{oid}/detections/{detect_id}": "cat detect detect_id gen_time rule_tags source_rule"}
)
def one_detection_is_got(it: Stage) -> None:
    expected = it.world.detections.detection(it.one.index, 3)
    assert it.json("detection", "get", "--id", expected["detect_id"]) == expected


@probe({DETECTIONS: "detects.*.detect_id"})
def detections_of_one_category_are_found(it: Stage) -> None:
    found = it.world.detections
    cat = found.rule(it.one.index, 0).cat
    said = it.json("detection", "list", "--start", START, "--end", END, "--cat", cat)
    assert {row["detect_id"] for row in said} == {
        found.detect_id(it.one.index, number)
        for number in range(it.one.detections)
        if found.rule(it.one.index, number).cat == cat
    }


@probe({"GET /v1/insight/{oid}/detections/{detect_id}": "error"})
def a_detection_that_is_not_there_ends_with_3(it: Stage) -> None:
    said = it.run("detection", "get", "--id", "00000000-0000-4000-8000-000000000000")
    assert said.code == 3
    assert "not found" in said.everything.replace("Resource not found", "")


@probe({"GET /v1/insight/{oid}": "insight_bucket"})
def telemetry_is_kept(it: Stage) -> None:
    assert it.sdk("Insight(org).is_enabled()") is True
