"""Hives: what is refused, renamed, expired, batched, restricted; and the older calls over the same records."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from console.sandbox import validation
from console.sandbox.configuration import HIVES

RULE = {
    "detect": {"event": "NEW_PROCESS", "op": "is", "path": "event/FILE_PATH", "value": "x"},
    "respond": [{"action": "report", "name": "n"}],
}
ENABLED = json.dumps({"enabled": True})


async def _send(asker: Any, method: str, path: str, token: str, **form: Any) -> tuple[int, Any]:
    """Status and body of a request with a form; values that are no text become their JSON."""
    sent = {name: value if isinstance(value, str) else json.dumps(value) for name, value in form.items()}
    status, body, _ = await asker.ask(method, path, token, data=sent or None)
    return status, body


def _code(body: Any) -> str:
    """The code inside the text of a hive's failure."""
    text: str = body["error"]
    return text.removeprefix("lc_error_code:").split(" ")[0]


def _noted(asker: Any, count: int) -> list[tuple[str, str, str]]:
    """The newest entries of the audit log: kind, who, what."""
    found = asker.world.noted(asker.one)[-count:]
    return [(entry["etype"], entry["ident"], entry["entity"]["name"]) for entry in found]


def test_everything_that_the_seed_decides_could_be_stored(asker: Any) -> None:
    seen = 0
    for one in asker.world.organizations:
        for hive, records in asker.world.all_records(one).items():
            for key, record in records.items():
                assert validation.record(hive, key, record["data"]) is record["data"]
                seen += 1
    assert seen > 300


@pytest.mark.parametrize(
    ("hive", "data", "reason"),
    [
        ("dr-general", {"respond": []}, "missing detect"),
        ("dr-general", {"detect": RULE["detect"]}, "missing respond"),
        ("dr-general", {**RULE, "detect": {"op": "equals"}}, "unknown operator equals"),
        ("dr-general", {**RULE, "detect": {"op": "and", "rules": "x"}}, "rules is not a list"),
        ("dr-general", {**RULE, "detect": {"op": "or", "rules": ["x"]}}, "is not an operator"),
        ("dr-general", {**RULE, "detect": {"op": "is", "path": "event/A"}}, "is needs value"),
        ("dr-general", {**RULE, "detect": {"op": "matches", "path": "a", "re": "("}}, "does not compile"),
        ("dr-general", {**RULE, "detect": {**RULE["detect"], "target": "lctext"}}, "unknown target"),  # type: ignore[dict-item]
        ("dr-general", {**RULE, "respond": [{"action": "explode"}]}, "unknown action explode"),
        ("dr-general", {**RULE, "respond": [{"action": "report"}]}, "report needs name"),
        (
            "dr-managed",
            {
                "detect": {"op": "is windows", "with child": RULE["detect"]},
                "respond": [],
                "tests": {"match": [[{}]]},
            },
            "stateful",
        ),
        ("fp", {"detect": {"op": "is", "path": "cat", "value": "x"}}, "has no op"),
        ("lookup", {"lookup_data": {}, "newline_content": "a"}, "exactly one"),
        ("lookup", {"lookup_data": {"a": "b"}}, "keys to objects"),
        ("secret", {"value": "x"}, "missing secret"),
        ("yara", {"rule": "hello"}, "not YARA"),
        ("query", {"stream": "event"}, "missing query"),
        ("playbook", {"python": "x", "sdk_version": "3"}, "4 or 5"),
        ("external_adapter", {"sensor_type": "syslog"}, "no block called syslog"),
        ("acl", {"members": [{"type": "robot", "id": "x"}]}, "a member is"),
        (
            "extension_config",
            {"exfil_rules": {"watch": {"w": {"event": "E", "operator": "is", "value": "v", "path": "a"}}}},
            "not a list",
        ),
        ("sop", {"acl_restricted": True}, "may not see"),
        ("sop", ["x"], "not an object"),
    ],
)
async def test_what_the_cloud_would_not_store_is_refused_with_the_reason(
    asker: Any, hive: str, data: Any, reason: str
) -> None:
    token = await asker.token(oid=asker.one.oid)
    key = "ext-exfil" if hive == "extension_config" else "new"
    path = f"/v1/hive/{hive}/{asker.one.oid}/{key}"
    before = asker.world.records(asker.one, hive)
    for ending in ("validate", "data"):
        status, body = await _send(asker, "POST", f"{path}/{ending}", token, data=data, usr_mtd=ENABLED)
        assert (status, _code(body)) == (400, "INVALID")
        assert reason in body["error"]
    assert asker.world.records(asker.one, hive) == before


async def test_a_valid_record_is_validated_without_being_stored(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/hive/dr-general/{asker.one.oid}/new"
    assert await _send(asker, "POST", f"{path}/validate", token, data=RULE) == (200, {})
    assert "new" not in asker.world.records(asker.one, "dr-general")
    status, body = await _send(asker, "POST", f"{path}/data", token, arl="[https,x.example]")
    assert (status, _code(body)) == (400, "INVALID")
    assert "fetches nothing" in body["error"]


async def test_a_renamed_record_keeps_its_guid_and_is_noted_twice(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/hive/dr-general/{asker.one.oid}"
    await _send(asker, "POST", f"{path}/old/data", token, data=RULE, usr_mtd=ENABLED)
    before = asker.world.records(asker.one, "dr-general")["old"]
    assert await _send(asker, "POST", f"{path}/old/rename?new_name=a%2Fb", token) == (200, {})
    records = asker.world.records(asker.one, "dr-general")
    assert "old" not in records
    assert records["a/b"]["data"] == RULE
    assert records["a/b"]["usr_mtd"] == before["usr_mtd"]
    assert records["a/b"]["sys_mtd"]["guid"] == before["sys_mtd"]["guid"]
    assert records["a/b"]["sys_mtd"]["etag"] != before["sys_mtd"]["etag"]
    root = asker.world.access.root
    assert _noted(asker, 2) == [
        ("hive_set", root, "dr-general/a/b"),
        ("hive_del", root, "dr-general/old"),
    ]
    await _send(asker, "POST", f"{path}/taken/data", token, data=RULE)
    for name, expected in (("taken", "INVALID"), ("", "INVALID")):
        status, body = await _send(asker, "POST", f"{path}/a%2Fb/rename", token, new_name=name)
        assert (status, _code(body)) == (400, expected)
    status, body = await _send(asker, "POST", f"{path}/gone/rename", token, new_name="x")
    assert (status, _code(body)) == (400, "RECORD_NOT_FOUND")


async def test_a_record_is_gone_once_its_time_is_over(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/hive/secret/{asker.one.oid}/short"
    soon = asker.world.clock() + 3_600_000
    data = {"secret": "x"}
    metadata = {"enabled": True, "expiry": soon}
    assert (await _send(asker, "POST", f"{path}/data", token, data=data, usr_mtd=metadata))[0] == 200
    assert (await asker.get(f"{path}/data", token))["usr_mtd"]["expiry"] == soon
    asker.world.now_ms += 3_700_000
    status, body = await _send(asker, "GET", f"{path}/data", token)
    assert (status, _code(body)) == (400, "RECORD_NOT_FOUND")
    assert "short" not in await asker.get(f"/v1/hive/secret/{asker.one.oid}", token)


async def test_what_was_removed_and_put_again_is_another_record(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/hive/query/{asker.one.oid}/q"
    data = {"query": "-1h | * | *"}
    first = (await _send(asker, "POST", f"{path}/data", token, data=data))[1]["guid"]
    assert await _send(asker, "DELETE", path, token) == (200, {})
    assert _noted(asker, 1) == [("hive_del", asker.world.access.root, "query/q")]
    status, body = await _send(asker, "DELETE", path, token)
    assert (status, _code(body)) == (400, "RECORD_NOT_FOUND")
    assert (await _send(asker, "POST", f"{path}/data", token, data=data))[1]["guid"] != first


async def test_without_metadata_an_old_record_keeps_its_own_and_a_new_one_takes_its_hives(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    for hive, data, enabled in (("acl", {"members": []}, True), ("secret", {"secret": "x"}, False)):
        path = f"/v1/hive/{hive}/{asker.one.oid}/one"
        await _send(asker, "POST", f"{path}/data", token, data=data)
        assert (await asker.get(f"{path}/mtd", token))["usr_mtd"]["enabled"] is enabled
        actions = [{"label": "Go", "location": "x"}]
        metadata = {"enabled": not enabled, "tags": ["a"], "ui_actions": actions}
        await _send(asker, "POST", f"{path}/mtd", token, usr_mtd=metadata)
        await _send(asker, "POST", f"{path}/data", token, data=data)
        kept = (await asker.get(f"{path}/mtd", token))["usr_mtd"]
        assert (kept["enabled"], kept["tags"], kept["ui_actions"]) == (not enabled, ["a"], actions)


async def test_the_memory_of_an_agent_is_merged(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/hive/ai_memory/{asker.one.oid}/m/data"
    await _send(asker, "POST", path, token, data={"memories": {"a": "1", "b": "2"}})
    await _send(asker, "POST", path, token, data={"memories": {"b": None, "c": "3"}})
    assert (await asker.get(path, token))["data"] == {"memories": {"a": "1", "c": "3"}}


async def test_a_permission_may_be_held_for_one_record(asker: Any) -> None:
    everyone = await asker.token(oid=asker.one.oid)
    for key in ("mine", "other"):
        path = f"/v1/hive/secret/{asker.one.oid}/{key}/data"
        assert (await _send(asker, "POST", path, everyone, data={"secret": key}))[0] == 200
    user = asker.world.access.users[asker.world.access.root]
    claims = asker.sandbox.tokens.issue(
        ident=user.email,
        uid=user.uid,
        credential=user.uid,
        expires=asker.world.now + 10**9,
        permissions={asker.one.oid: ("secret.get.mine", "secret.get.mtd")},
        shared=False,
        ip="",
    )
    base = f"/v1/hive/secret/{asker.one.oid}"
    assert (await asker.get(f"{base}/mine/data", claims))["data"] == {"secret": "mine"}
    assert (await asker.get(base, claims, mtd_only="true"))["other"]["data"] is None
    for method, path in (("GET", f"{base}/other/data"), ("GET", base), ("DELETE", f"{base}/mine")):
        status, body = await _send(asker, method, path, claims)
        assert (status, _code(body)) == (400, "UNAUTHORIZED")
        assert "missing privilege named secret." in body["error"]


async def test_a_record_in_a_scope_is_shown_to_its_members_only(asker: Any) -> None:
    root = await asker.token(oid=asker.one.oid)
    engineer = asker.world.access.engineers[1]
    theirs = await asker.token(email=engineer, oid=asker.one.oid)
    base = f"/v1/hive/query/{asker.one.oid}/q"
    data = {"query": "-1h | * | *"}
    member = {"members": [{"type": "user", "id": engineer}]}
    await _send(asker, "POST", f"/v1/hive/acl/{asker.one.oid}/Tier/data", root, data=member)
    assert "tier" in asker.world.records(asker.one, "acl")
    tagged = {"enabled": True, "tags": ["acl:tier"]}
    status, body = await _send(asker, "POST", f"{base}/data", theirs, data=data, usr_mtd=tagged)
    assert (status, _code(body)) == (400, "UNAUTHORIZED")
    assert "acl.set" in body["error"]
    assert (await _send(asker, "POST", f"{base}/data", root, data=data, usr_mtd=tagged))[0] == 200
    assert (await asker.get(f"{base}/data", theirs))["data"] == data
    assert (await asker.get(f"{base}/data", root))["data"] == {"acl_restricted": True}
    listed = await asker.get(f"/v1/hive/query/{asker.one.oid}", root)
    assert listed["q"]["data"] == {"acl_restricted": True}
    assert listed["critical-detections"]["data"]["stream"] == "detect"
    for method, path, more in (("DELETE", base, {}), ("POST", f"{base}/data", {"data": data})):
        status, body = await _send(asker, method, path, root, **more)
        assert (status, body["error_code"]) == (403, "ACL_CONTENT_RESTRICTED")
    status, body = await _send(asker, "POST", f"{base}/data", root, data={"acl_restricted": True})
    assert (status, _code(body)) == (400, "INVALID")
    assert (await asker.get(f"{base}/data", theirs))["data"] == data


async def test_a_batch_answers_each_request_by_itself_and_in_order(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    guid = asker.world.records(asker.one, "query")["critical-detections"]["sys_mtd"]["guid"]

    def about(hive: str, name: str = "", **more: str) -> dict[str, Any]:
        partition = {"name": hive, "partition": asker.one.oid}
        return {"record_id": {"hive": partition, "name": name, **more}}

    requests = [
        {
            "set_record": about("secret", "b")
            | {"record": {"data": {"secret": "x"}, "usr_mtd": {"enabled": True}}}
        },
        {"get_record": about("secret", "b")},
        {"get_record_mtd": about("query", guid=guid)},
        {"set_record_mtd": about("secret", "b") | {"usr_mtd": {"enabled": False, "comment": "off"}}},
        {"set_record": about("dr-general", "bad") | {"record": {"data": {}}}},
        {
            "set_record": about("secret", "b")
            | {"record": {"data": {"secret": "y"}, "sys_mtd": {"etag": "old"}}}
        },
        {"delete_record": about("secret", "b")},
        {"get_record": about("secret", "b")},
        {"explode": {}},
    ]
    form = urlencode([("request", json.dumps(each)) for each in requests])
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, body, _ = await asker.ask("POST", "/v1/hive", token, data=form, headers=headers)
    assert status == 200
    said = body["responses"]
    assert [_code(each) if each["error"] else "" for each in said] == [
        "", "", "", "", "INVALID", "ETAG_MISMATCH", "", "RECORD_NOT_FOUND", "INVALID",
    ]  # fmt: skip
    assert said[0]["data"]["name"] == "b"
    assert said[1]["data"]["data"] == {"secret": "x"}
    assert (said[2]["data"]["data"], said[2]["data"]["sys_mtd"]["guid"]) == ({}, guid)


async def test_a_record_is_read_by_its_guid_and_without_data_when_it_is_known(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    record = asker.world.records(asker.one, "yara")["php-web-shell"]
    path, system = f"/v1/hive-public/yara/{asker.one.oid}", record["sys_mtd"]
    assert (await _send(asker, "POST", path, token, guid=system["guid"]))[1] == record
    known = (await _send(asker, "POST", path, token, guid=system["guid"], etag=system["etag"]))[1]
    assert known == record | {"data": {}}
    status, body = await _send(asker, "POST", path, token, guid="no such")
    assert (status, _code(body)) == (400, "RECORD_NOT_FOUND")


async def test_pages_can_be_limited_by_bytes_and_by_tag(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/hive/dr-general/{asker.one.oid}"
    names: list[str] = []
    cursor, pages = "", 0
    while True:
        page = await asker.get(path, token, limit=500, max_bytes=3000, cursor=cursor)
        names += page["records"]
        pages += 1
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert names == sorted(asker.world.records(asker.one, "dr-general"))
    assert pages > 3
    tagged = await asker.get(path, token, limit=500, tag_prefix="crit")
    assert 0 < len(tagged["records"]) < len(names)
    assert all("critical" in record["usr_mtd"]["tags"] for record in tagged["records"].values())


async def test_every_hive_has_a_schema_that_its_records_keep_to(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    for hive in HIVES:
        schema = (await asker.get(f"/v1/hive/{hive}/schema", token))["schema"]
        assert schema["type"] == "object"
        for record in asker.world.records(asker.one, hive).values():
            assert record["data"].keys() >= set(schema["required"])
    for hive, kind in (("cloud_sensor", "office365"), ("external_adapter", "syslog")):
        schema = (await asker.get(f"/v1/hive/{hive}/schema", token))["schema"]
        record = schema["$defs"][schema["$ref"].rpartition("/")[2]]
        assert kind in record["properties"]
    status, body = await _send(asker, "GET", "/v1/hive/no-such/schema", token)
    assert (status, _code(body)) == (400, "INVALID")


async def test_the_older_calls_change_the_same_rules(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/rules/{asker.one.oid}"
    form = {"name": "old", "detection": RULE["detect"], "response": RULE["respond"], "is_enabled": "true"}
    assert (await _send(asker, "POST", path, token, **form))[0] == 200
    assert asker.world.records(asker.one, "dr-general")["old"]["data"] == RULE
    listed = await asker.get(path, token)
    assert listed["old"]["detect"] == RULE["detect"]
    assert (listed["old"]["namespace"], listed["old"]["is_enabled"]) == ("general", True)
    assert listed.keys() == asker.world.records(asker.one, "dr-general").keys()
    managed = await asker.get(path, token, namespace="managed")
    assert managed.keys() == asker.world.records(asker.one, "dr-managed").keys()
    status, body = await _send(asker, "POST", path, token, **form)
    assert (status, body["error"]) == (400, "rule old is there already")
    changed = form | {"is_replace": "True", "is_enabled": "False"}
    assert (await _send(asker, "POST", path, token, **changed))[0] == 200
    assert asker.world.records(asker.one, "dr-general")["old"]["usr_mtd"]["enabled"] is False
    bad = form | {"name": "bad", "detection": {"op": "nope"}}
    assert (await _send(asker, "POST", path, token, **bad))[0] == 400
    assert (await _send(asker, "DELETE", path, token, name="old"))[0] == 200
    assert (await _send(asker, "DELETE", path, token, name="old"))[0] == 404
    assert [etype for etype, _, _ in _noted(asker, 3)] == ["hive_set", "hive_set", "hive_del"]
    analyst = await asker.token(email=asker.world.access.analysts[4], oid=asker.one.oid)
    status, body = await _send(asker, "DELETE", path, analyst, name="old")
    assert (status, body["error"]) == (401, "unauthorized: missing privilege named dr.del")


async def test_the_older_calls_change_the_same_false_positives(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/fp/{asker.one.oid}"
    node = {"op": "is", "path": "cat", "value": "noise"}
    assert (await _send(asker, "POST", path, token, name="f", rule=node))[0] == 200
    record = asker.world.records(asker.one, "fp")["f"]
    assert (record["data"], record["usr_mtd"]["enabled"]) == (node, True)
    assert (await asker.get(path, token))["f"] == {"data": node, "oid": asker.one.oid, "name": "f"}
    assert (await _send(asker, "POST", path, token, name="f", rule=node))[0] == 400
    assert (await _send(asker, "POST", path, token, name="g", rule={"detect": node}))[0] == 400
    assert (await _send(asker, "DELETE", path, token, name="f"))[0] == 200
    assert "f" not in await asker.get(path, token)


async def test_too_many_false_positives_for_one_answer_are_refused(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    large = {"data": {"op": "is", "value": "x" * 3_000_000}, "usr_mtd": {}, "sys_mtd": {}}
    for key in ("a", "b"):
        asker.world.put_record(asker.one, "fp", key, large)
    status, body = await _send(asker, "GET", f"/v1/fp/{asker.one.oid}", token)
    assert (status, body["error_code"]) == (413, "FP_LISTING_TOO_LARGE")
