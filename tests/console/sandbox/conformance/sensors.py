"""Sensors, their tags, events and detections."""

import json
import re
import time
from typing import Any

from console.sandbox.sensors import Sensor
from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import END, NOW_MS, START, Stage

LISTED, ONE, TAGS = "GET /v1/sensors/{oid}", "GET /v1/{sid}", "GET /v1/{sid}/tags"
DETECTIONS, AUDIT = "GET /v1/insight/{oid}/detections", "GET /v1/insight/{oid}/audit"
EVENTS = "GET /v1/insight/{oid}/{sid}"


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


@probe({LISTED: "sensors.*.sid sensors"})
def sensors_are_selected_by_what_the_help_of_the_client_says(it: Stage) -> None:
    biggest = max(it.world.organizations, key=lambda one: (one is not it.world.unauthorized, one.sensors))
    records = [
        it.world.sensor_record(biggest, it.world.sensor(biggest, number)) for number in range(biggest.sensors)
    ]
    windows, linux = 0x10000000, 0x20000000
    for selector, expected in {
        "plat == linux and arch == x64": lambda row: row["plat"] == linux and row["arch"] == 2,
        '"prod" in tags': lambda row: "prod" in row["tags"],
        '"prod" not in tags': lambda row: "prod" not in row["tags"],
        'hostname matches "^[a-m]"': lambda row: re.match("[a-m]", row["hostname"]),
        "isolated == false and sealed == false": lambda row: True,
        '(plat == windows or plat == linux) and "prod" in tags': lambda row: (
            row["plat"] in (windows, linux) and "prod" in row["tags"]
        ),
        f"sid == '{records[3]['sid']}'": lambda row: row is records[3],
        f'int_ip == "{records[4]["int_ip"]}"': lambda row: row["int_ip"] == records[4]["int_ip"],
    }.items():
        said = it.json("sensor", "list", "--selector", selector, LC_OID=biggest.oid)
        assert [row["sid"] for row in said] == [row["sid"] for row in records if expected(row)], selector
        assert said
    for filtered, name in (("--hostname", "hostname"), ("--ip", "ext_ip"), ("--tag", "tags")):
        value = records[0][name][0] if name == "tags" else records[0][name]
        said = it.json("sensor", "list", filtered, value, LC_OID=biggest.oid)
        assert records[0]["sid"] in {row["sid"] for row in said}
    wrong = it.run("sensor", "list", "--selector", "plat ===", LC_OID=biggest.oid)
    assert wrong.code == 1
    assert "bad selector" in wrong.everything


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


@probe(
    {
        DETECTIONS: "detects detects.*.routing.event_time detects.*.routing.sid",
        LISTED: "sensors.*.sid sensors.*.enroll sensors.*.alive",
    }
)
def a_detection_is_of_a_sensor_that_was_there(it: Stage) -> None:
    loudest = max(it.world.organizations, key=lambda one: (one is not it.world.unauthorized, one.detections))
    sensors = {row["sid"]: row for row in it.json("sensor", "list", LC_OID=loudest.oid)}
    said = it.json("detection", "list", "--start", START, "--end", END, LC_OID=loudest.oid)
    assert len(said) == loudest.detections > 10
    for row in said:
        sensor, happened = sensors[row["routing"]["sid"]], row["routing"]["event_time"] // 1000
        assert (
            sensor["enroll"] <= time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(happened)) <= sensor["alive"]
        )


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


def writing(it: Stage, number: int) -> tuple[str, list[Sensor]]:
    """The id of an organization for probes that change sensors, and its sensors that are online."""
    found = [one for one in it.world.organizations[30:] if one.sensors > 12]
    one = found[number]
    sensors = [it.world.sensor(one, place) for place in range(one.sensors)]
    return one.oid, [sensor for sensor in sensors if not sensor.silent]


@probe(
    {"POST /v1/{sid}/tags": "(the effect)", "DELETE /v1/{sid}/tags": "(the effect)", TAGS: "tags tags.*.*"}
)
def a_tag_is_added_and_removed(it: Stage) -> None:
    oid, sensors = writing(it, 0)
    sid, tag = sensors[0].sid, it.name("tag")
    it.text("tag", "add", "--sid", sid, "--tag", tag, LC_OID=oid)
    assert set(it.json("tag", "list", "--sid", sid, LC_OID=oid)) == {tag, *sensors[0].tags}
    assert sid in it.json("tag", "find", "--tag", tag, LC_OID=oid)
    it.text("tag", "remove", "--sid", sid, "--tag", tag, LC_OID=oid)
    assert set(it.json("tag", "list", "--sid", sid, LC_OID=oid)) == set(sensors[0].tags)


@probe({"POST /v1/{sid}/tags": "(the effect)", TAGS: "tags.*.*", "DELETE /v1/{sid}/tags": "(the effect)"})
def several_tags_are_added_and_removed_at_once(it: Stage) -> None:
    oid, sensors = writing(it, 0)
    sid, tags = sensors[1].sid, [it.name("tag"), it.name("tag")]
    it.sdk("Sensor(org, sid).add_tag(tags, ttl=3600)", oid, sid=sid, tags=tags)
    assert set(tags) <= set(it.sdk("Sensor(org, sid).get_tags()", oid, sid=sid))
    it.sdk("Sensor(org, sid).remove_tag(tags)", oid, sid=sid, tags=tags)
    assert set(it.sdk("Sensor(org, sid).get_tags()", oid, sid=sid)) == set(sensors[1].tags)


@probe({"POST /v1/{sid}/tags": "(the effect)", LISTED: "sensors.*.sid", "GET /v1/tags/{oid}/{tag}": "*"})
def every_sensor_that_a_selector_meets_is_tagged(it: Stage) -> None:
    oid, sensors = writing(it, 1)
    tag = it.name("tag")
    it.text("tag", "mass-add", "--selector", f"sid == '{sensors[0].sid}'", "--tag", tag, LC_OID=oid)
    assert set(it.json("tag", "find", "--tag", tag, LC_OID=oid)) == {sensors[0].sid}
    it.text("tag", "mass-remove", "--selector", f"'{tag}' in tags", "--tag", tag, LC_OID=oid)
    assert not it.json("tag", "find", "--tag", tag, LC_OID=oid)


@probe(
    {
        "POST /v1/{sid}/isolation": "(the effect)",
        "DELETE /v1/{sid}/isolation": "(the effect)",
        ONE: "info.should_isolate info.isolated",
    }
)
def a_sensor_is_isolated_and_rejoined(it: Stage) -> None:
    oid, sensors = writing(it, 2)
    sid = sensors[0].sid
    it.sdk("Sensor(org, sid).isolate()", oid, sid=sid)
    assert it.sdk("Sensor(org, sid).is_isolated()", oid, sid=sid) is True
    assert it.sdk("Sensor(org, sid).get_info()", oid, sid=sid)["isolated"] is True
    it.sdk("Sensor(org, sid).rejoin()", oid, sid=sid)
    assert it.sdk("Sensor(org, sid).get_info()", oid, sid=sid)["should_isolate"] is False
    assert it.audit(oid)[-1]["ident"] == it.world.access.root


@probe(
    {"POST /v1/{sid}/seal": "(the effect)", "DELETE /v1/{sid}/seal": "(the effect)", ONE: "info.should_seal"}
)
def a_sensor_is_sealed_and_unsealed(it: Stage) -> None:
    oid, sensors = writing(it, 2)
    sid = sensors[1].sid
    it.json("endpoint-policy", "seal", "--sid", sid, "--confirm", LC_OID=oid)
    assert it.sdk("Sensor(org, sid).is_sealed()", oid, sid=sid) is True
    it.json("endpoint-policy", "unseal", "--sid", sid, "--confirm", LC_OID=oid)
    assert it.sdk("Sensor(org, sid).get_info()", oid, sid=sid)["should_seal"] is False


@probe({"DELETE /v1/{sid}": "(the effect)", ONE: "error", AUDIT: "events.*.etype events.*.entity"})
def a_sensor_is_deleted(it: Stage) -> None:
    oid, sensors = writing(it, 3)
    present = {row["sid"] for row in it.json("sensor", "list", LC_OID=oid)}
    sid = next(sensor.sid for sensor in sensors if sensor.sid in present)
    it.text("sensor", "delete", "--sid", sid, "--confirm", LC_OID=oid)
    said = it.run("sensor", "get", "--sid", sid, LC_OID=oid)
    assert said.code == 3
    assert "{'error': 'not found'}" in said.everything
    assert {row["sid"] for row in it.json("sensor", "list", LC_OID=oid)} == present - {sid}
    entry = it.audit(oid)[-1]
    assert (entry["etype"], entry["entity"]["name"]) == ("remove_sensor", sid)


@probe(
    {
        "POST /v1/{sid}": "(the effect)",
        AUDIT: "events.*.etype events.*.ident events.*.entity",
        EVENTS: "events events.*.routing.event_type",
    }
)
def a_task_is_sent_noted_and_answered(it: Stage) -> None:
    oid, sensors = writing(it, 4)
    sid = next(sensor.sid for sensor in sensors if sensor.platform == 0x10000000)
    kinds = ("--start", START, "--end", END, "--event-type", "OS_PROCESSES_REP")
    before = it.json("event", "list", "--sid", sid, *kinds, LC_OID=oid)
    it.json("task", "send", "--sid", sid, "--task", "os_processes", "--investigation-id", "probe", LC_OID=oid)
    entry = it.audit(oid)[-1]
    assert (entry["etype"], entry["ident"]) == ("send_task", it.world.access.root)
    assert entry["entity"] == {"type": "sensor", "name": sid}
    after = it.json("event", "list", "--sid", sid, *kinds, LC_OID=oid)
    assert len(after) == len(before) + 1
    assert {event["routing"]["event_type"] for event in after} == {"OS_PROCESSES_REP"}


@probe({"POST /v1/{sid}": "error"})
def a_task_needs_the_permission(it: Stage) -> None:
    oid, sensors = writing(it, 4)
    made = it.json(
        "api-key", "create", "--name", it.name("reader"), "--permissions", "sensor.get", LC_OID=oid
    )
    said = it.run(
        "task", "send", "--sid", sensors[0].sid, "--task", "os_version",
        LC_OID=oid, LC_UID="", LC_API_KEY=made["api_key"],
    )  # fmt: skip
    assert said.code == 2
    assert "sensor.task" in said.everything


@probe({EVENTS: "events events.* events.*.event events.*.routing next_cursor"})
def the_events_of_a_sensor_are_listed(it: Stage) -> None:
    end = NOW_MS // 1000
    for place in range(it.one.sensors):
        sensor = it.world.sensor(it.one, place)
        expected = it.world.events.between(it.one, sensor, (end - 3 * 86_400) * 1000, end * 1000 + 1000)
        if len(expected) > 20:
            break
    said = it.json("event", "list", "--sid", sensor.sid, "--start", str(end - 3 * 86_400), "--end", str(end))
    assert said == expected
    few = it.sdk(
        "list(Sensor(org, sid).get_events(start, end, limit=3))",
        sid=sensor.sid,
        start=end - 3 * 86_400,
        end=end,
    )
    assert few == expected[:3]
    paged = it.sdk(
        "[client.request('GET', f'insight/{org.oid}/{sid}', query_params=dict(start=start, end=end, limit=5, cursor='-'))]",
        sid=sensor.sid, start=end - 3 * 86_400, end=end,
    )[0]  # fmt: skip
    assert paged["events"] == expected[:5]
    more = it.sdk(
        "client.request('GET', f'insight/{org.oid}/{sid}', query_params=dict(start=start, end=end, limit=500, cursor=cursor))",
        sid=sensor.sid, start=end - 3 * 86_400, end=end, cursor=paged["next_cursor"],
    )  # fmt: skip
    assert more["events"][:5] == expected[5:10]


def an_event(it: Stage) -> tuple[str, dict[str, Any]]:
    """A sensor and the newest of its events, of `one`."""
    for place in range(it.one.sensors):
        sensor = it.world.sensor(it.one, place)
        found = it.world.events.between(it.one, sensor, NOW_MS - 86_400_000, NOW_MS)
        if found:
            return sensor.sid, found[-1]
    raise AssertionError("no sensor of the organization has sent anything")


@probe({"GET /v1/insight/{oid}/{sid}/{atom}": "event event.event event.routing"})
def one_event_is_got_by_its_atom(it: Stage) -> None:
    sid, event = an_event(it)
    said = it.json("event", "get", "--sid", sid, "--atom", event["routing"]["this"])
    assert said["event"] == event


@probe(
    {
        "GET /v1/insight/{oid}/{sid}/{atom}": "event event.event event.routing.this",
        EVENTS: "events events.*.routing",
    }
)
def what_a_detection_reports_is_among_the_events_of_its_sensor(it: Stage) -> None:
    found = it.world.detections.detection(it.one.index, it.one.detections - 1)
    sid, atom, when = (found["routing"][name] for name in ("sid", "this", "event_time"))
    event = it.json("event", "get", "--sid", sid, "--atom", atom)["event"]
    assert (event["event"], event["routing"]["this"]) == (found["detect"]["event"], atom)
    around = str(when // 1000 - 60), str(when // 1000 + 60)
    listed = it.json("event", "list", "--sid", sid, "--start", around[0], "--end", around[1])
    assert atom in [each["routing"]["this"] for each in listed]


@probe({"GET /v1/insight/{oid}/{sid}/{atom}": "error"})
def an_event_that_is_not_there_ends_with_3(it: Stage) -> None:
    said = it.run("event", "get", "--sid", an_event(it)[0], "--atom", "0" * 32)
    assert said.code == 3
    assert "{'error': 'not found'}" in said.everything


@probe({"GET /v1/insight/{oid}/{sid}/overview": "overview"})
def the_hours_of_a_sensor_are_told(it: Stage) -> None:
    sid, event = an_event(it)
    end = NOW_MS // 1000
    said = it.json("event", "overview", "--sid", sid, "--start", str(end - 86_400), "--end", str(end))
    assert event["routing"]["event_time"] // 3_600_000 * 3600 in said


@probe(
    {
        "GET /v1/insight/{oid}/{sid}/{atom}/children": "events events.*.routing",
        "POST /v1/{sid}": "(the effect)",
    }
)
def the_children_of_an_event_are_told(it: Stage) -> None:
    oid, sensors = writing(it, 4)
    sid, name = sensors[0].sid, it.name("investigation")
    it.json("task", "send", "--sid", sid, "--task", "os_version", "--investigation-id", name, LC_OID=oid)
    # What a task is answered with are children of the receipt.
    listed = it.json("event", "list", "--sid", sid, "--start", str(NOW_MS // 1000), "--end", END, LC_OID=oid)
    answers = [event for event in listed if event["routing"].get("investigation_id") == name]
    child = next(event for event in answers if "parent" in event["routing"])
    said = it.json("event", "children", "--sid", sid, "--atom", child["routing"]["parent"], LC_OID=oid)
    assert said == [child]


@probe({"GET /v1/insight/event_count/{oid}/{sid}": "*"})
def what_is_kept_of_a_sensor_is_counted(it: Stage) -> None:
    sid, _ = an_event(it)
    end = NOW_MS // 1000
    listed = it.json("event", "list", "--sid", sid, "--start", str(end - 86_400), "--end", str(end))
    said = it.json("event", "retention", "--sid", sid, "--start", str(end - 86_400), "--end", str(end))
    assert len(listed) in said.values()


@probe({"GET /v1/insight/{oid}/objects/{type}": "last_30_days"})
def an_indicator_is_counted_by_sensor(it: Stage) -> None:
    detection = it.world.detections.detection(it.one.index, 0)
    path = next(
        found["detect"]["event"]["FILE_PATH"]
        for number in range(it.one.detections)
        if "FILE_PATH" in (found := it.world.detections.detection(it.one.index, number))["detect"]["event"]
    )
    said = it.json("ioc", "search", "--type", "file_path", "--value", path)
    assert said["last_30_days"] >= 1
    assert it.json("ioc", "search", "--type", "file_path", "--value", "/no/such/file")["last_30_days"] == 0
    assert detection["detect_id"]


@probe({"GET /v1/insight/{oid}/objects/{type}": "*"})
def an_indicator_is_located(it: Stage) -> None:
    for number in range(it.one.detections):
        detection = it.world.detections.detection(it.one.index, number)
        if "FILE_PATH" in detection["detect"]["event"]:
            path, sid = detection["detect"]["event"]["FILE_PATH"], detection["routing"]["sid"]
            said = it.json(
                "ioc",
                "search",
                "--type",
                "file_path",
                "--value",
                path,
                "--info",
                "locations",
                "--limit",
                "1000",
            )
            assert sid in json.dumps(said)
            return
    raise AssertionError("no detection names a file")


@probe({"POST /v1/insight/{oid}/objects": "last_30_days last_1_days"})
def indicators_are_looked_up_together(it: Stage) -> None:
    said = it.json(
        "ioc", "batch-search", "--input-file", it.file({"domain": ["no.such.example"], "ip": ["192.0.2.1"]})
    )
    assert said["last_30_days"]["domain"] == {"no.such.example": 0}
    assert said["last_1_days"]["ip"] == {"192.0.2.1": 0}


@probe({"GET /v1/insight/{oid}/detections/stats": "totals totals.*"})
def detections_are_counted_by_category(it: Stage) -> None:
    said = it.sdk(
        "client.request('GET', f'insight/{org.oid}/detections/stats', query_params={'start': start, 'end': end})",
        start=START, end=END,
    )["totals"]  # fmt: skip
    listed = it.json("detection", "list", "--start", START, "--end", END)
    assert sum(said.values()) == len(listed)
    assert set(said) == {row["cat"] for row in listed}


@probe({DETECTIONS: "next_cursor detects"})
def detections_arrive_in_pages(it: Stage) -> None:
    said = it.sdk(
        "client.request('GET', f'insight/{org.oid}/detections', query_params=dict(start=start, end=end, cursor='-', limit=4))",
        start=START, end=END,
    )  # fmt: skip
    assert [row["detect_id"] for row in said["detects"]] == [
        it.world.detections.detect_id(it.one.index, it.one.detections - 1 - number) for number in range(4)
    ]
    more = it.sdk(
        "client.request('GET', f'insight/{org.oid}/detections', query_params=dict(start=start, end=end, cursor=cursor, limit=5000))",
        start=START, end=END, cursor=said["next_cursor"],
    )  # fmt: skip
    assert len(more["detects"]) == it.one.detections - 4
    assert not more["next_cursor"]


@probe({"POST /v1/export/{oid}/sensors": "sensors"})
def all_sensors_are_exported(it: Stage) -> None:
    assert len(it.sdk("org.export_sensors()")["sensors"]) == it.one.sensors
