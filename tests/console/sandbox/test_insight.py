"""Insight: events, overview, objects, statistics, audit, over what the seed decided."""

import json
from typing import Any

import pytest

from tests.console.sandbox.conftest import NOW_MS, unpacked

NOW = NOW_MS // 1000
DAY = 86_400


def _sensor(asker: Any) -> Any:
    return next(found for found in asker.world.sensors_of(asker.one) if found.did and not found.silent)


async def _asked(asker: Any, rest: str, **query: object) -> Any:
    token = await asker.token(oid=asker.one.oid)
    return await asker.get(f"/v1/insight/{asker.one.oid}/{rest}", token, **query)


async def test_events_come_forward_backward_in_pages_and_of_one_type(asker: Any) -> None:
    found = _sensor(asker)
    start, end = NOW - DAY, NOW
    expected = asker.world.events.between(asker.one, found, start * 1000, end * 1000 + 1000)
    assert len(expected) > 100
    said = await _asked(asker, found.sid, start=start, end=end, is_compressed="true")
    assert unpacked(said["events"]) == expected
    back = await _asked(asker, found.sid, start=start, end=end, is_forward="false")
    assert back["events"] == expected[::-1]
    pages, cursor = [], "-"
    while cursor:
        page = await _asked(asker, found.sid, start=start, end=end, limit=50, cursor=cursor)
        assert len(page["events"]) <= 50
        pages += page["events"]
        cursor = page["next_cursor"]
    assert pages == expected
    dns = await _asked(asker, found.sid, start=start, end=end, event_type="DNS_REQUEST")
    assert dns["events"] == [event for event in expected if event["routing"]["event_type"] == "DNS_REQUEST"]
    count = await asker.get(
        f"/v1/insight/event_count/{asker.one.oid}/{found.sid}",
        await asker.token(oid=asker.one.oid),
        start=start,
        end=end,
        is_detailed="true",
    )
    assert count["count"] == len(expected) == sum(count["event_types"].values())
    assert count["event_types"]["DNS_REQUEST"] == len(dns["events"])


async def test_the_overview_names_the_hours_and_refuses_a_long_range(asker: Any) -> None:
    found = _sensor(asker)
    said = await _asked(asker, f"{found.sid}/overview", start=NOW - DAY, end=NOW)
    times = [
        event["routing"]["event_time"] // 3_600_000 * 3600
        for event in asker.world.events.between(asker.one, found, NOW_MS - DAY * 1000, NOW_MS)
    ]
    assert said["overview"] == sorted(set(times))
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/insight/{asker.one.oid}/{found.sid}/overview?start={NOW - 31 * DAY}&end={NOW}"
    assert (await asker.ask("GET", path, token))[0] == 400


async def test_what_a_detection_reports_is_among_the_events_of_its_sensor(asker: Any) -> None:
    world, one = asker.world, asker.one
    found = world.detections.detection(one.index, one.detections - 1)
    routing = found["routing"]
    event = (await _asked(asker, f"{routing['sid']}/{routing['this']}"))["event"]
    assert event == {"event": found["detect"]["event"], "routing": routing, "ts": found["detect"]["ts"]}
    moment = routing["event_time"] // 1000
    listed = (await _asked(asker, routing["sid"], start=moment, end=moment))["events"]
    assert event in listed
    path = f"/v1/insight/event_count/{one.oid}/{routing['sid']}"
    count = await asker.get(path, await asker.token(oid=one.oid), start=moment, end=moment)
    assert count["count"] == len(listed)
    hours = (await _asked(asker, f"{routing['sid']}/overview", start=moment, end=moment))["overview"]
    assert hours == [moment // 3600 * 3600]


async def test_an_event_without_children_has_none_and_an_unknown_one_is_not_found(asker: Any) -> None:
    found = _sensor(asker)
    event = asker.world.events.between(asker.one, found, NOW_MS - DAY * 1000, NOW_MS)[0]
    atom = event["routing"]["this"]
    said = await _asked(asker, f"{found.sid}/{atom}/children", is_compressed="true")
    assert unpacked(said["events"]) == []
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/insight/{asker.one.oid}/{found.sid}/{'0' * 32}/children"
    assert (await asker.ask("GET", path, token))[0] == 404


async def test_an_object_is_counted_by_the_sensors_that_saw_it(asker: Any) -> None:
    found = _sensor(asker)
    events = {
        one.sid: asker.world.events.between(asker.one, one, NOW_MS - DAY * 1000, NOW_MS)
        for one in asker.world.sensors_of(asker.one)
    }
    domain = next(
        event["event"]["DOMAIN_NAME"] for event in events[found.sid] if "DOMAIN_NAME" in event["event"]
    )
    seen_on = {
        sid for sid, rows in events.items() if any(row["event"].get("DOMAIN_NAME") == domain for row in rows)
    }
    said = await _asked(asker, "objects/domain", name=domain, info="summary")
    assert (said["type"], said["name"], said["from_cache"]) == ("domain", domain, False)
    assert said["last_1_days"] == len(seen_on) > 0
    assert said["last_1_days"] <= said["last_7_days"] <= said["last_30_days"] <= said["last_365_days"]
    assert (await _asked(asker, "objects/domain", name=domain.upper()))["last_30_days"] == 0
    loose = await _asked(asker, "objects/domain", name=domain.upper(), case_sensitive="false")
    assert loose["last_1_days"] == len(seen_on)
    places = await _asked(asker, "objects/domain", name=domain, info="locations", limit=1000)
    assert seen_on <= {sid for sid in places if sid in events}
    assert places[found.sid]["hostname"] == found.hostname
    assert places[found.sid]["first_ts"] <= places[found.sid]["last_ts"] <= NOW


async def test_wildcards_count_each_object_apart(asker: Any) -> None:
    said = await _asked(
        asker, "objects/domain", name="www.%", with_wildcards="true", per_object="true", info="summary"
    )
    assert said["last_30_days"]
    assert all(name.startswith("www.") for name in said["last_30_days"])
    literal = await _asked(asker, "objects/domain", name="www.*", with_wildcards="true")
    assert literal["last_30_days"] == 0


async def test_many_objects_are_asked_at_once(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    single = await _asked(asker, "objects/file_name", name="svchost.exe")
    form = {
        "objects": json.dumps({"file_name": ["svchost.exe", "nothing.exe"], "domain": ["x.example"]}),
        "info": "locations",
        "limit": "3",
    }
    status, said, _ = await asker.ask("POST", f"/v1/insight/{asker.one.oid}/objects", token, data=form)
    assert status == 200
    for span in ("last_1_days", "last_7_days", "last_30_days", "last_365_days"):
        assert said[span] == {
            "file_name": {"svchost.exe": single[span], "nothing.exe": 0},
            "domain": {"x.example": 0},
        }
    assert 0 < len(said["locations"]["file_name"]["svchost.exe"]) <= 3


@pytest.mark.parametrize("path", ["objects/nonsense?name=x", "objects/domain", "objects/ip?name=1&info=all"])
async def test_a_bad_question_about_objects_is_refused(asker: Any, path: str) -> None:
    token = await asker.token(oid=asker.one.oid)
    status, body, _ = await asker.ask("GET", f"/v1/insight/{asker.one.oid}/{path}", token)
    assert status == 400
    assert body["error"]


async def test_statistics_add_up(asker: Any) -> None:
    start, end = NOW - 3 * DAY, NOW
    expected = sum(
        asker.world.events.count(asker.one, one, start * 1000, end * 1000 + 1000)
        for one in asker.world.sensors_of(asker.one)
    )
    traffic = await _asked(asker, "traffic/stats", start=start, end=end)
    assert sum(traffic["totals"].values()) == expected
    online = await _asked(asker, "online/stats", start=start, end=end)
    assert list(online["totals"]) == list(traffic["totals"])
    assert max(online["totals"].values()) <= asker.one.sensors
    assert online["totals"][str(NOW // DAY * DAY)] >= asker.world.online(asker.one)


async def test_nothing_is_collected(asker: Any) -> None:
    said = await _asked(asker, "artifacts", start=NOW - DAY, end=NOW)
    assert said["artifacts"] == []


async def test_the_audit_log_is_filtered_and_paged(asker: Any) -> None:
    audit = asker.world.audit
    everything = [audit.entry(asker.one, number) for number in range(audit.count(asker.one))]
    start, end = NOW - 40 * DAY, NOW
    kind = "send_task"
    said = await _asked(asker, "audit", start=start, end=end, event_type=kind)
    assert said["events"] == [entry for entry in everything if entry["etype"] == kind] != []
    sid = said["events"][0]["entity"]["name"]
    of_one = await _asked(asker, "audit", start=start, end=end, sid=sid)
    assert of_one["events"] == [entry for entry in everything if entry["entity"].get("name") == sid]
    pages, cursor = [], "-"
    while cursor:
        page = await _asked(asker, "audit", start=start, end=end, limit=7, cursor=cursor)
        assert len(page["events"]) <= 7
        pages += page["events"]
        cursor = page["next_cursor"]
    assert pages == everything


async def test_what_somebody_just_did_to_a_sensor_is_found_by_its_sid(asker: Any) -> None:
    found = _sensor(asker)
    token = await asker.token(oid=asker.one.oid)
    await asker.ask("POST", f"/v1/{found.sid}/isolation", token)
    said = await _asked(asker, "audit", start=NOW - 1, end=NOW + 600, sid=found.sid)
    assert [entry["msg"] for entry in said["events"]] == ["sensor isolated from the network"]


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        ("{sid}?start=1&end=2", "insight.evt.get"),
        ("{sid}/abc", "insight.evt.get"),
        ("{sid}/abc/children", "insight.evt.get"),
        ("objects/domain?name=x", "insight.evt.get"),
        ("detections?start=1&end=2", "insight.det.get"),
        ("traffic/stats?start=1&end=2", "insight.stat"),
    ],
)
async def test_each_question_needs_its_permission(asker: Any, path: str, permission: str) -> None:
    token = await asker.token(oid=asker.one.oid, perms="org.get")
    path = f"/v1/insight/{asker.one.oid}/{path.format(sid=_sensor(asker).sid)}"
    status, body, _ = await asker.ask("GET", path, token)
    assert status == 401
    assert permission in body["error"]


async def test_a_rule_covers_the_techniques_it_is_tagged_with_while_it_is_enabled(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    oid = asker.one.oid

    async def covered() -> set[str]:
        said = await asker.get(f"/v1/mitre/{oid}", token)
        return {row["techniqueID"] for row in said["techniques"]}

    before = await covered()
    assert before
    rule = {
        "detect": {"op": "exists", "path": "/"},
        "respond": [{"action": "report", "name": "n", "metadata": {"tags": ["attack.t9001.002"]}}],
    }
    for enabled, more in ((True, {"T9001.002", "T9000"}), (False, set())):
        metadata = {"enabled": enabled, "tags": ["attack.t9000", "attack.nonsense"]}
        form = {"data": json.dumps(rule), "usr_mtd": json.dumps(metadata)}
        assert (await asker.ask("POST", f"/v1/hive/dr-general/{oid}/mine/data", token, data=form))[0] == 200
        assert await covered() == before | more
