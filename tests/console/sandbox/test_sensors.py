"""Sensors: tasks, tags that end, isolation, seal, deletion, and who may do it."""

import asyncio
from typing import Any

import pytest

from console.sandbox.selectors import BadSelector, parse
from console.sandbox.world import World
from tests.console.sandbox.conftest import NOW_MS

NOW = NOW_MS // 1000


async def _entries(asker: Any, token: str, **query: object) -> list[Any]:
    body = await asker.get(f"/v1/insight/{asker.one.oid}/audit", token, start=NOW - 1, end=NOW + 600, **query)
    found: list[Any] = body["events"]
    return found


async def _info(asker: Any, token: str, sid: str) -> Any:
    return (await asker.get(f"/v1/{sid}", token))["info"]


def _awake(asker: Any, *, awake: bool = True) -> Any:
    return next(
        found
        for found in asker.world.sensors_of(asker.one)
        if (not found.silent) == awake and found.did and not found.isolated
    )


async def test_a_task_is_audited_and_answered_by_a_sensor_that_is_online(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    found = _awake(asker)
    form = [("tasks", "os_version"), ("tasks", "dir_list /tmp *"), ("investigation_id", "case-7")]
    status, body, _ = await asker.ask("POST", f"/v1/{found.sid}", token, data=form)
    assert (status, body) == (200, {"success": True})
    entries = await _entries(asker, token, event_type="send_task", sid=found.sid)
    assert [entry["mtd"]["task"] for entry in entries] == ["os_version", "dir_list /tmp *"]
    assert {entry["ident"] for entry in entries} == {asker.world.access.root}
    answers = [
        event
        for event in (
            await asker.get(
                f"/v1/insight/{asker.one.oid}/{found.sid}", token, start=NOW, end=NOW + 600, limit=1000
            )
        )["events"]
        if event["routing"].get("investigation_id") == "case-7"
    ]
    assert [event["routing"]["event_type"] for event in answers] == [
        "CLOUD_NOTIFICATION",
        "OS_VERSION_REP",
        "CLOUD_NOTIFICATION",
        "DIR_LIST_REP",
    ]
    assert answers[1]["event"]["HOST_NAME"] == found.hostname
    path = f"/v1/insight/{asker.one.oid}/{found.sid}/{answers[0]['routing']['this']}"
    assert (await asker.get(path, token))["event"] == answers[0]
    assert (await asker.get(f"{path}/children", token))["events"] == [answers[1]]


async def test_a_task_for_a_sensor_that_is_offline_is_taken_and_not_answered(asker: Any) -> None:
    asker.one = asker.world.organizations[2]
    token = await asker.token(oid=asker.one.oid)
    found = _awake(asker, awake=False)
    assert (await asker.ask("POST", f"/v1/{found.sid}", token, data={"tasks": "netstat"}))[0] == 200
    assert asker.world.events.answered(asker.one) == []


async def test_a_task_sent_twice_under_one_key_is_sent_once(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    found = _awake(asker)
    for key in ("k1", "k1", "k2"):
        status, body, _ = await asker.ask(
            "POST", f"/v1/{found.sid}", token, data={"tasks": "netstat"}, headers={"x-idempotent-key": key}
        )
        assert (status, body) == (200, {"success": True})
    assert len(await _entries(asker, token, event_type="send_task")) == 2


async def test_a_task_needs_something_to_do(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    status, body, _ = await asker.ask("POST", f"/v1/{_awake(asker).sid}", token, data={"tasks": " "})
    assert (status, body) == (400, {"error": "missing parameter tasks"})


async def test_a_deleted_sensor_is_nowhere(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    oid = asker.one.oid
    found = _awake(asker)
    before = (await asker.get(f"/v1/online/{oid}", token))["count"]
    assert (await asker.ask("DELETE", f"/v1/{found.sid}", token))[:2] == (200, {})
    assert (await asker.get(f"/v1/online/{oid}", token))["count"] == before - 1
    listed = (await asker.get(f"/v1/sensors/{oid}", token, limit=10_000))["sensors"]
    assert len(listed) == asker.one.sensors - 1
    assert found.sid not in {row["sid"] for row in listed}
    assert found.sid not in {
        row["sid"] for row in (await asker.get(f"/v1/hostnames/{oid}", token, hostname=found.hostname))["sid"]
    }
    for tag in found.tags:
        assert found.sid not in await asker.get(f"/v1/tags/{oid}/{tag}", token)
    for method, path in (
        ("GET", f"/v1/{found.sid}"),
        ("DELETE", f"/v1/{found.sid}"),
        ("POST", f"/v1/{found.sid}/isolation"),
        ("GET", f"/v1/insight/{oid}/{found.sid}?start=0&end=1"),
    ):
        status, body, _ = await asker.ask(method, path, token)
        assert (status, body) == (404, {"error": "not found"})
    status, body, _ = await asker.ask("POST", f"/v1/online/{oid}", token, data={"sids": found.sid})
    assert (status, body) == (200, {found.sid: False})
    (entry,) = await _entries(asker, token, event_type="remove_sensor", sid=found.sid)
    assert entry["mtd"] == {"hostname": found.hostname}


async def test_isolation_and_seal_show_in_the_record_and_in_the_audit_log(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    found = _awake(asker)
    fields = ("isolated", "should_isolate", "sealed", "should_seal")
    for method, what, expected in (
        ("POST", "isolation", (True, True, False, False)),
        ("POST", "seal", (True, True, True, True)),
        ("DELETE", "isolation", (False, False, True, True)),
        ("DELETE", "seal", (False, False, False, False)),
    ):
        assert (await asker.ask(method, f"/v1/{found.sid}/{what}", token))[:2] == (200, {})
        info = await _info(asker, token, found.sid)
        assert tuple(info[name] for name in fields) == expected
    entries = await _entries(asker, token, event_type="config_change", sid=found.sid)
    assert [(entry["mtd"]["action"], entry["mtd"]["value"]) for entry in entries] == [
        ("isolation", True),
        ("seal", True),
        ("isolation", False),
        ("seal", False),
    ]


async def test_an_offline_sensor_is_to_be_isolated_and_is_not_yet(asker: Any) -> None:
    asker.one = asker.world.organizations[2]
    token = await asker.token(oid=asker.one.oid)
    found = _awake(asker, awake=False)
    await asker.ask("POST", f"/v1/{found.sid}/isolation", token)
    info = await _info(asker, token, found.sid)
    assert (info["isolated"], info["should_isolate"]) == (False, True)


async def test_a_tag_with_a_ttl_ends_by_itself(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    found = _awake(asker)
    path = f"/v1/{found.sid}/tags"
    await asker.ask("POST", path, token, data={"tags": "for-good"})
    assert (await asker.ask("POST", path, token, data={"tags": "soon,for-good", "ttl": "1"}))[0] == 200
    rows = (await asker.get(path, token))["tags"][found.sid]
    assert {"soon", "for-good"} <= set(rows)
    while "soon" in (await asker.get(path, token))["tags"][found.sid]:
        await asyncio.sleep(0.02)
    assert "for-good" in (await _info(asker, token, found.sid))["tags"]
    assert "soon" not in (await asker.get(f"/v1/tags/{asker.one.oid}", token))["tags"]


@pytest.mark.parametrize("ttl", ["-1", "later"])
async def test_a_ttl_is_a_number_of_seconds(asker: Any, ttl: str) -> None:
    token = await asker.token(oid=asker.one.oid)
    status, body, _ = await asker.ask(
        "POST", f"/v1/{_awake(asker).sid}/tags", token, data={"tags": "x", "ttl": ttl}
    )
    assert (status, body) == (400, {"error": "bad parameter ttl"})


async def test_a_tag_is_removed_under_either_name(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    found = _awake(asker)
    path = f"/v1/{found.sid}/tags"
    await asker.ask("POST", path, token, data=[("tags", "a"), ("tags", "b"), ("tags", "c")])
    await asker.ask("DELETE", path, token, data={"tag": "a"})
    await asker.ask("DELETE", path, token, data={"tags": "b,c"})
    assert set((await _info(asker, token, found.sid))["tags"]) == set(found.tags)


async def test_guarding_tags_need_the_right_to_guard_and_never_end(asker: Any) -> None:
    found = _awake(asker)
    narrowed = await asker.token(oid=asker.one.oid, perms="sensor.tag,sensor.get")
    path = f"/v1/{found.sid}/tags"
    status, body, _ = await asker.ask("POST", path, narrowed, data={"tags": "acl:legal"})
    assert (status, body["error_code"]) == (401, "UNAUTHORIZED_ACL_TAG")
    full = await asker.token(oid=asker.one.oid)
    status, body, _ = await asker.ask("POST", path, full, data={"tags": "acl:legal", "ttl": "60"})
    assert status == 400
    assert "ACL_TAG_TTL_NOT_ALLOWED" in body["error"]
    assert (await asker.ask("POST", path, full, data={"tags": "acl:legal"}))[0] == 200


@pytest.mark.parametrize(
    ("method", "rest", "permission"),
    [
        ("POST", "", "sensor.task"),
        ("DELETE", "", "sensor.del"),
        ("GET", "", "sensor.get"),
        ("POST", "/isolation", "sensor.task"),
        ("DELETE", "/isolation", "sensor.task"),
        ("POST", "/seal", "sensor.task"),
        ("DELETE", "/seal", "sensor.task"),
        ("POST", "/tags", "sensor.tag"),
        ("DELETE", "/tags", "sensor.tag"),
        ("GET", "/tags", "sensor.get"),
    ],
)
async def test_each_call_needs_its_permission(asker: Any, method: str, rest: str, permission: str) -> None:
    token = await asker.token(oid=asker.one.oid, perms="org.get")
    sid = _awake(asker).sid
    status, body, _ = await asker.ask(method, f"/v1/{sid}{rest}", token, data={"tags": "x", "tasks": "y"})
    assert (status, body) == (401, {"error": f"unauthorized: missing privilege named {permission}"})


@pytest.mark.parametrize(
    ("selector", "holds"),
    [
        ("plat == windows", lambda row: row["plat"] == 0x10000000),
        ("plat==268435456", lambda row: row["plat"] == 0x10000000),
        ("plat != windows", lambda row: row["plat"] != 0x10000000),
        ('"server" in tags', lambda row: "server" in row["tags"]),
        ("server not in tags", lambda row: "server" not in row["tags"]),
        ("tags contains `server`", lambda row: "server" in row["tags"]),
        ("not (plat == linux or plat == macos)", lambda row: row["plat"] not in (0x20000000, 0x30000000)),
        ("hostname matches '^[a-z]+-[a-z]+' and arch == 2", None),
        ("isolated == true", lambda row: row["isolated"]),
        ("int_ip is empty", lambda row: not row["int_ip"]),
    ],
)
def test_a_selector_selects_by_the_record(selector: str, holds: Any) -> None:
    world = World(seed=31, orgs=9, detections=0, now_ms=NOW_MS)
    rows = [world.sensor_record(one, found) for one in world.organizations for found in world.sensors_of(one)]
    wanted = parse(selector)
    assert wanted is not None
    chosen = [row["sid"] for row in rows if wanted(row)]
    assert 0 < len(chosen) < len(rows) or selector == "isolated == true"
    if holds is not None:
        assert chosen == [row["sid"] for row in rows if holds(row)]


@pytest.mark.parametrize(
    "selector",
    [
        "plat ==",
        "plat = windows",
        "nonsense == 1",
        "(plat == linux",
        "plat == linux linux",
        "hostname matches '('",
    ],
)
def test_what_is_no_selector_is_said_in_one_sentence(selector: str) -> None:
    with pytest.raises(BadSelector, match="bad selector: "):
        parse(selector)


async def test_every_sensor_is_exported(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    status, body, _ = await asker.ask("POST", f"/v1/export/{asker.one.oid}/sensors", token)
    assert status == 200
    listed = (await asker.get(f"/v1/sensors/{asker.one.oid}", token, limit=10_000))["sensors"]
    assert body["sensors"] == listed
