"""Outputs, keys, extensions, add-ons and the older services: written, read back, noted, refused."""

import base64
import gzip
import json
from typing import Any

import pytest


async def _send(asker: Any, method: str, path: str, token: str, form: Any = None) -> tuple[int, Any]:
    """Status and body of a request with a form: a dict, or pairs where a name repeats."""
    status, body, _ = await asker.ask(method, path, token, data=form)
    return status, body


def _newest(asker: Any) -> tuple[str, str, Any]:
    """The newest entry of the audit log: kind, who, what."""
    entry = asker.world.noted(asker.one)[-1]
    return entry["etype"], entry["ident"], entry["entity"]


async def _weak(asker: Any) -> str:
    """A token of somebody who may read a little and change nothing."""
    token: str = await asker.token(email=asker.world.access.managers[0], oid=asker.one.oid)
    return token


async def test_an_output_is_put_read_with_its_stream_as_for_and_removed(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/outputs/{asker.one.oid}"
    form = {
        "name": "new",
        "module": "syslog",
        "type": "detect",
        "dest_host": "h:514",
        "is_tls": "True",
        "sec_per_file": "30",
        "tag": "",
    }
    expected = {
        "name": "new",
        "module": "syslog",
        "for": "detect",
        "dest_host": "h:514",
        "is_tls": "true",
        "sec_per_file": "30",
    }
    assert await _send(asker, "POST", path, token, form) == (200, expected)
    assert _newest(asker) == ("config_change", asker.world.access.root, {"type": "output", "name": "new"})
    assert (await asker.get(path, token))[asker.one.oid]["new"] == expected
    smaller = {"name": "new", "module": "slack", "type": "audit"}
    await _send(asker, "POST", path, token, smaller)
    assert (await asker.get(path, token))[asker.one.oid]["new"] == {
        "name": "new",
        "module": "slack",
        "for": "audit",
    }
    assert (await _send(asker, "DELETE", path, token, {"name": "new"}))[0] == 200
    assert "new" not in (await asker.get(path, token))[asker.one.oid]
    assert (await _send(asker, "DELETE", path, token, {"name": "new"}))[0] == 404
    assert (await _send(asker, "DELETE", path, token, {"name": "soc-siem"}))[0] == 200
    assert "soc-siem" not in (await asker.get(path, token))[asker.one.oid]
    other = asker.world.organizations[1]
    assert "soc-siem" in asker.world.configuration.outputs(other)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"name": "x", "module": "splunk", "type": "event"}, "unknown output module splunk"),
        ({"name": "x", "type": "event"}, "missing parameter module"),
        ({"name": "x", "module": "s3", "type": "detection"}, "unknown output type detection"),
        ({"name": "x", "module": "s3"}, "missing parameter type"),
        ({"module": "s3", "type": "event"}, "missing parameter name"),
    ],
)
async def test_an_output_that_goes_nowhere_is_refused(asker: Any, form: dict[str, str], reason: str) -> None:
    token = await asker.token(oid=asker.one.oid)
    status, body = await _send(asker, "POST", f"/v1/outputs/{asker.one.oid}", token, form)
    assert (status, body["error"]) == (400, reason)


async def test_an_installation_key_is_made_changed_as_a_whole_and_removed(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/installationkeys/{asker.one.oid}"
    status, made = await _send(asker, "POST", path, token, {"desc": "lab", "tags": "a, b,a"})
    assert (status, made["oid"]) == (200, asker.one.oid)
    key = await asker.get(f"{path}/{made['iid']}", token)
    assert (key["desc"], key["tags"], key["use_public_root_ca"]) == ("lab", "a,b", False)
    assert key["iid"] == made["iid"]
    assert key["iid"] in key["json_key"]
    assert key["key"]
    asker.world.now_ms += 60_000
    form = [
        ("iid", made["iid"]),
        ("desc", "lab"),
        ("tags", "c"),
        ("tags", "d"),
        ("use_public_root_ca", "True"),
    ]
    assert await _send(asker, "POST", path, token, form) == (200, made)
    changed = await asker.get(f"{path}/{made['iid']}", token)
    assert (changed["tags"], changed["use_public_root_ca"], changed["key"]) == ("c,d", True, key["key"])
    assert changed["created"] >= key["created"] + 60
    another = (await _send(asker, "POST", path, token, {"desc": "lab"}))[1]
    assert another["iid"] != made["iid"]
    assert (await _send(asker, "DELETE", path, token, {"iid": made["iid"]}))[0] == 200
    assert made["iid"] not in (await asker.get(path, token))[asker.one.oid]
    assert _newest(asker)[2] == {"type": "installation_key", "name": made["iid"]}
    for method, wrong in (("DELETE", {"iid": made["iid"]}), ("POST", {"iid": made["iid"], "desc": "x"})):
        assert (await _send(asker, method, path, token, wrong))[0] == 404
    assert (await _send(asker, "POST", path, token, {"tags": "a"}))[0] == 400


async def test_a_tag_that_opens_a_scope_needs_its_own_permission(asker: Any) -> None:
    user = asker.world.access.users[asker.world.access.root]
    token = asker.sandbox.tokens.issue(
        ident=user.email,
        uid=user.uid,
        credential=user.uid,
        expires=asker.world.now + 10**9,
        permissions={asker.one.oid: ("ikey.set", "ikey.list")},
        shared=False,
        ip="",
    )
    path = f"/v1/installationkeys/{asker.one.oid}"
    status, body = await _send(asker, "POST", path, token, {"desc": "x", "tags": "acl:tier"})
    assert (status, body["error_code"]) == (401, "UNAUTHORIZED_ACL_TAG")
    root = await asker.token(oid=asker.one.oid)
    assert (await _send(asker, "POST", path, root, {"desc": "x", "tags": "acl:tier"}))[0] == 200


async def test_an_ingestion_key_is_made_listed_and_removed(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/insight/{asker.one.oid}/ingestion_keys"
    status, made = await _send(asker, "POST", path, token, {"name": "k"})
    assert (status, made["name"]) == (200, "k")
    assert (await asker.get(path, token))["keys"]["k"] == made["key"]
    again = (await _send(asker, "POST", path, token, {"name": "k"}))[1]["key"]
    assert again != made["key"]
    assert (await _send(asker, "DELETE", f"{path}?name=k", token))[0] == 200
    assert "k" not in (await asker.get(path, token))["keys"]
    assert (await _send(asker, "DELETE", f"{path}?name=k", token))[0] == 404
    assert _newest(asker)[2] == {"type": "ingestion_key", "name": "k"}


async def test_subscriptions_begin_and_end_and_what_they_held_is_told_to_go(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    gone: list[tuple[str, str]] = []
    asker.world.on_unsubscribed.append(lambda one, name: gone.append((one.oid, name)))
    base = f"/v1/orgs/{asker.one.oid}/subscription/extension"
    listed = f"/v1/orgs/{asker.one.oid}/subscriptions"
    before = await asker.get(listed, token)
    assert "ext-sensor-cull" not in before
    assert await _send(asker, "POST", f"{base}/ext-sensor-cull", token) == (200, {})
    assert (await asker.get(listed, token)).keys() == {*before, "ext-sensor-cull"}
    assert _newest(asker)[2] == {"type": "extension", "name": "ext-sensor-cull"}
    assert await _send(asker, "PATCH", f"{base}/ext-sensor-cull", token) == (200, {})
    assert not gone
    assert await _send(asker, "DELETE", f"{base}/ext-sensor-cull", token) == (200, {})
    assert gone == [(asker.one.oid, "ext-sensor-cull")]
    assert await asker.get(listed, token) == before
    for method, name, expected in (
        ("POST", "ext-no-such", 404),
        ("DELETE", "ext-sensor-cull", 400),
        ("PATCH", "ext-sensor-cull", 400),
    ):
        assert (await _send(asker, method, f"{base}/{name}", token))[0] == expected
    status, body = await _send(asker, "POST", f"{base}/ext-sensor-cull", await _weak(asker))
    assert (status, body["error"]) == (401, "unauthorized: missing privilege named ext.sub")


async def test_an_extension_that_is_not_subscribed_to_answers_nothing(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    await _send(asker, "DELETE", f"/v1/orgs/{asker.one.oid}/subscription/extension/ext-integrity", token)
    form = {"oid": asker.one.oid, "action": "list_rules", "data": "{}"}
    status, body = await _send(asker, "POST", "/v1/extension/request/ext-integrity", token, form)
    assert (status, body["error"]) == (400, "organization is not subscribed to ext-integrity")


async def test_add_ons_come_and_go_by_category(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/orgs/{asker.one.oid}/resources"
    form = {"res_cat": "api", "res_name": "new-feed"}
    assert await _send(asker, "POST", path, token, form) == (200, {"success": True})
    assert "new-feed" in (await asker.get(path, token))["resources"]["api"]
    assert _newest(asker)[2] == {"type": "resource", "name": "api/new-feed"}
    assert await _send(asker, "DELETE", path, token, form) == (200, {"success": True})
    assert "new-feed" not in (await asker.get(path, token))["resources"]["api"]
    assert (await _send(asker, "POST", path, token, {"res_cat": "x", "res_name": "y"}))[0] == 400


async def test_an_extension_of_ones_own_is_published_changed_and_withdrawn(asker: Any) -> None:
    token = await asker.token(oid="-")
    path = "/v1/extension/definition"
    made = {"name": "ext-mine", "short_description": "a"}
    assert (await asker.ask("POST", path, token, json=made))[0] == 200
    assert (await asker.ask("POST", path, token, json=made))[0] == 400
    assert (await asker.ask("PUT", path, token, json=made | {"short_description": "b"}))[0] == 200
    assert (await asker.get(f"{path}/ext-mine", token))["short_description"] == "b"
    assert "ext-mine" in {each["name"] for each in await asker.get(path, token)}
    assert (await asker.ask("DELETE", f"{path}/ext-mine", token))[0] == 200
    assert (await asker.ask("GET", f"{path}/ext-mine", token))[0] == 404
    assert (await asker.ask("DELETE", f"{path}/ext-exfil", token))[0] == 401


async def test_a_schema_names_the_requests_that_are_answered(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    said = await asker.get("/v1/extension/schema/ext-exfil", token, oid=asker.one.oid)
    assert "exfil_rules" in said["config_schema"]["fields"]
    assert {"list_rules", "add_watch"} <= said["request_schema"].keys()
    assert (await asker.ask("GET", "/v1/extension/schema/ext-no-such", token))[0] == 404


async def _serve(asker: Any, token: str, service: str, **data: Any) -> tuple[int, Any]:
    packed = base64.b64encode(json.dumps(data).encode()).decode()
    path = f"/v1/service/{asker.one.oid}/{service}"
    return await _send(asker, "POST", path, token, {"request_data": packed, "is_async": "False"})


async def _extend(asker: Any, token: str, extension: str, action: str, **data: Any) -> Any:
    packed = base64.b64encode(gzip.compress(json.dumps(data).encode())).decode()
    form = {"oid": asker.one.oid, "action": action, "gzdata": packed}
    status, body = await _send(asker, "POST", f"/v1/extension/request/{extension}", token, form)
    assert status == 200, body
    return body["data"]


@pytest.mark.parametrize(
    ("service", "extension", "inside", "rule", "shown"),
    [
        (
            "integrity",
            "ext-integrity",
            "fim_rules",
            {"patterns": ["/etc/x"], "platforms": ["linux"]},
            {"patterns": ["/etc/x"], "filters": {"platforms": ["linux"], "tags": []}},
        ),
        (
            "logging",
            "ext-artifact",
            "log_rules",
            {"patterns": ["/a"], "days_retention": "7", "is_delete_after": "true", "tags": ["t"]},
            {
                "patterns": ["/a"],
                "days_retention": 7,
                "is_delete_after": True,
                "is_ignore_cert": False,
                "filters": {"platforms": [], "tags": ["t"]},
            },
        ),
        (
            "yara",
            "ext-yara",
            "yara_scanners",
            {"sources": '["s"]', "platforms": '["windows"]'},
            {"sources": ["s"], "filters": {"platforms": ["windows"], "tags": []}},
        ),
    ],
)
async def test_a_rule_of_an_older_service_is_one_of_its_extension(
    asker: Any, service: str, extension: str, inside: str, rule: dict[str, Any], shown: dict[str, Any]
) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/orgs/{asker.one.oid}/subscription/extension/{extension}"
    assert (await _send(asker, "POST", path, token))[0] == 200
    begun = asker.world.clock()
    assert await _serve(asker, token, service, action="add_rule", name="new", **rule) == (200, {})
    record = asker.world.records(asker.one, "extension_config")[extension]
    assert record["data"][inside]["new"] == shown
    assert _newest(asker)[2] == {"type": service, "name": "new"}
    root = asker.world.access.root
    for said in (
        (await _serve(asker, token, service, action="list_rules"))[1],
        await _extend(asker, token, extension, "list_rules"),
    ):
        assert {key: said["new"][key] for key in shown} == shown
        assert said["new"]["by"] == root
        assert begun <= said["new"]["updated"] <= asker.world.clock()
    await _extend(asker, token, extension, "remove_rule", name="new")
    assert "new" not in (await _serve(asker, token, service, action="list_rules"))[1]
    assert (await _serve(asker, token, service, action="remove_rule", name="new"))[0] == 404
    assert (await _serve(asker, token, service, action="add_rule", name="bad", patterns=[]))[0] == 400
    assert (await _serve(asker, token, service, action="explode"))[0] == 400


async def test_what_leaves_a_sensor_is_set_by_event_and_by_watch(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    watch = {"event": "MODULE_LOAD", "operator": "is", "value": "x.dll", "path": ["FILE_PATH"]}
    await _serve(asker, token, "exfil", action="add_watch", name="w", **watch)
    await _serve(asker, token, "exfil", action="add_event_rule", name="e", events=["DNS_REQUEST"])
    said = (await _serve(asker, token, "exfil", action="list_rules"))[1]
    filters: dict[str, list[str]] = {"platforms": [], "tags": []}
    assert said["watch"]["w"] == watch | {"filters": filters}
    assert said["list"]["e"] == {"events": ["DNS_REQUEST"], "filters": filters}
    assert "default-windows" in said["list"]
    assert await _extend(asker, token, "ext-exfil", "list_rules") == said
    await _serve(asker, token, "exfil", action="remove_watch", name="w")
    await _serve(asker, token, "exfil", action="remove_event_rule", name="e")
    said = (await _serve(asker, token, "exfil", action="list_rules"))[1]
    assert "w" not in said["watch"]
    assert "e" not in said["list"]
    wrong = watch | {"path": "a/b"}
    status, body = await _serve(asker, token, "exfil", action="add_watch", name="w", **wrong)
    assert (status, body["error"]) == (400, "bad parameter path: it takes a list")
    status, body = await _serve(asker, token, "exfil", action="add_watch", name="v", event="E")
    assert (status, body["error"]) == (400, "exfil/watch rule v needs operator")


async def test_sources_of_yara_are_kept_as_text(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    text = "rule a { condition: true }"
    assert (await _serve(asker, token, "yara", action="add_source", name="s", source=text))[0] == 200
    # Another client sends the name as source and the text as content.
    assert (await _serve(asker, token, "yara", action="add_source", source="t", content=text))[0] == 200
    assert (await _serve(asker, token, "yara", action="list_sources"))[1].keys() == {"s", "t"}
    for asked in ({"name": "s"}, {"source": "t"}):
        assert await _serve(asker, token, "yara", action="get_source", **asked) == (200, {"content": text})
    assert (await _serve(asker, token, "yara", action="remove_source", name="s"))[0] == 200
    assert (await _serve(asker, token, "yara", action="get_source", name="s"))[0] == 404


async def test_an_older_service_needs_a_registration_and_the_right_to_change(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    status, body = await _serve(asker, token, "responder", action="list_rules")
    assert (status, body["error"]) == (400, "org not registered to service")
    user = asker.world.access.users[asker.world.access.root]
    reader = asker.sandbox.tokens.issue(
        ident=user.email,
        uid=user.uid,
        credential=user.uid,
        expires=asker.world.now + 10**9,
        permissions={asker.one.oid: ("replicant.get",)},
        shared=False,
        ip="",
    )
    assert (await _serve(asker, reader, "integrity", action="list_rules"))[0] == 200
    status, body = await _serve(asker, reader, "integrity", action="add_rule", name="n", patterns=["/a"])
    assert (status, body["error"]) == (401, "unauthorized: missing privilege named replicant.ctrl")


async def test_what_stands_elsewhere_is_fetched_from_this_organization_only(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/arl/{asker.one.oid}"
    said = await asker.get(path, token, arl="hive://lookup/bad-domains")
    assert said["data"] == asker.world.records(asker.one, "lookup")["bad-domains"]["data"]
    for address, expected in (("[https,x.example/list]", 400), ("", 400), ("hive://lookup/none", 404)):
        status, body, _ = await asker.ask("GET", path, token, params={"arl": address})
        assert status == expected
        assert body["error"]


async def test_a_made_organization_holds_nothing_but_what_is_put_into_it(asker: Any) -> None:
    world = asker.world
    one = world.create_organization("Fresh", "", world.access.root)
    token = await asker.token(oid=one.oid)
    assert world.all_records(one) == {}
    assert await asker.get(f"/v1/outputs/{one.oid}", token) == {one.oid: {}}
    assert await asker.get(f"/v1/installationkeys/{one.oid}", token) == {one.oid: {}}
    assert await asker.get(f"/v1/insight/{one.oid}/ingestion_keys", token) == {"keys": {}}
    assert await asker.get(f"/v1/orgs/{one.oid}/subscriptions", token) == {}
    assert await asker.get(f"/v1/orgs/{one.oid}/resources", token) == {"resources": {}}
    assert await asker.get(f"/v1/service/{one.oid}", token) == {"replicants": {}}
    form = {"name": "o", "module": "syslog", "type": "event"}
    assert (await _send(asker, "POST", f"/v1/outputs/{one.oid}", token, form))[0] == 200
    assert (await asker.get(f"/v1/outputs/{one.oid}", token))[one.oid].keys() == {"o"}
