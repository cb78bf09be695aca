"""Payloads with their signed addresses, jobs, and adapters tried out."""

from typing import Any

import pytest

from tests.console.sandbox.conftest import NOW_MS, unpacked

NOW = NOW_MS // 1000


async def _uploaded(asker: Any, token: str, name: str, content: bytes) -> None:
    path = f"/v1/payload/{asker.one.oid}/{name}"
    status, body, _ = await asker.ask("POST", path, token)
    assert status == 200
    async with asker.session.put(body["put_url"], data=content) as answer:
        assert answer.status == 200


async def test_a_payload_is_put_listed_got_and_removed(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    base = f"/v1/payload/{asker.one.oid}"
    assert await asker.get(base, token) == {"payloads": {}}
    content = bytes(range(256)) * 100
    await _uploaded(asker, token, "tool%2Fa.exe", content)
    (row,) = (await asker.get(base, token))["payloads"].values()
    assert row["name"] == "tool/a.exe"
    assert (row["oid"], row["size"]) == (asker.one.oid, len(content))
    assert row["by"] == asker.world.access.root
    assert NOW <= row["created"] <= NOW + 60
    where = (await asker.get(f"{base}/tool%2Fa.exe", token))["get_url"]
    async with asker.session.get(where) as answer:
        assert answer.status == 200
        assert await answer.read() == content
    assert (await asker.ask("DELETE", f"{base}/tool%2Fa.exe", token))[:2] == (200, {})
    assert await asker.get(base, token) == {"payloads": {}}
    assert (await asker.ask("GET", f"{base}/tool%2Fa.exe", token))[0] == 404
    assert (await asker.ask("DELETE", f"{base}/tool%2Fa.exe", token))[0] == 404
    async with asker.session.get(where) as answer:
        assert answer.status == 403
    audit = await asker.get(f"/v1/insight/{asker.one.oid}/audit", token, start=NOW, end=NOW + 600)
    assert [entry["msg"] for entry in audit["events"] if entry["entity"].get("type") == "payload"] == [
        "payload tool/a.exe set",
        "payload tool/a.exe removed",
    ]


async def test_an_address_serves_what_it_was_made_for_and_nothing_else(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    await _uploaded(asker, token, "a", b"first")
    where = (await asker.get(f"/v1/payload/{asker.one.oid}/a", token))["get_url"]
    for method, address in (("PUT", where), ("GET", f"{asker.sandbox.url}/payloads/guessed")):
        async with asker.session.request(method, address, data=b"second") as answer:
            assert answer.status == 403
    async with asker.session.get(where) as answer:
        assert await answer.read() == b"first"


async def test_a_job_is_listed_got_and_removed(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/job/{asker.one.oid}"
    empty = await asker.get(path, token, start=NOW - 60, end=NOW + 60, is_compressed="true")
    assert unpacked(empty["jobs"]) == {}
    job_id = asker.world.jobs.add(asker.one, "yara scan", "somebody", NOW_MS, sid="s")
    listed = await asker.get(
        path, token, start=NOW - 60, end=NOW + 60, is_compressed="true", with_data="false"
    )
    assert unpacked(listed["jobs"])[job_id]["cause"] == "yara scan"
    assert "hist" not in unpacked(listed["jobs"])[job_id]
    assert (await asker.get(path, token, start=NOW + 10, end=NOW + 60))["jobs"] == {}
    assert (await asker.get(path, token, start=NOW - 1, end=NOW + 1, sid="other"))["jobs"] == {}
    got = await asker.get(f"{path}/{job_id}", token)
    assert (got["is_done"], got["ident"], got["hist"][0]["msg"]) == (True, "somebody", "yara scan done")
    assert (await asker.ask("DELETE", f"{path}/{job_id}", token))[:2] == (200, {})
    assert (await asker.ask("GET", f"{path}/{job_id}", token))[0] == 404


async def _validated(asker: Any, **body: Any) -> tuple[int, Any]:
    token = await asker.token(oid=asker.one.oid)
    status, said, _ = await asker.ask("POST", f"/v1/usp/validate/{asker.one.oid}", token, json=body)
    return status, said


async def test_a_mapping_is_tried_on_lines(asker: Any) -> None:
    mapping = {"parsing_re": r"(?P<who>\w+) did (?P<what>\w+) on (?P<host>\S+)"} | {
        "event_type_path": "what",
        "sensor_hostname_path": "host",
    }
    status, said = await _validated(
        asker, platform="text", mapping=mapping, text_input="ann did login on ws-1\nnonsense\n"
    )
    assert status == 200
    (result,) = said["results"]
    assert result["event"] == {"who": "ann", "what": "login", "host": "ws-1"}
    assert (result["routing"]["event_type"], result["routing"]["hostname"]) == ("login", "ws-1")
    assert said["errors"] == ["line 2: parsing_re does not match 'nonsense'"]


async def test_json_comes_as_it_is(asker: Any) -> None:
    _, said = await _validated(
        asker, platform="json", mapping={"event_type_path": "a/kind"}, json_input=[{"a": {"kind": "k"}}]
    )
    assert [one["routing"]["event_type"] for one in said["results"]] == ["k"]
    _, said = await _validated(asker, platform="json", text_input='{"a": 1}\nnot json')
    assert [one["event"] for one in said["results"]] == [{"a": 1}]
    assert said["errors"] == ["line 2: not JSON: 'not json'"]
    _, said = await _validated(asker, platform="text", mapping={"parsing_grok": {}}, text_input="x")
    assert said == {"results": [], "errors": ["mapping: parsing_grok is not served by this sandbox"]}


@pytest.mark.parametrize(
    "body",
    [
        {"platform": "nonsense", "text_input": "x"},
        {"platform": ["text"], "text_input": "x"},
        {"platform": "text"},
        {"platform": "text", "text_input": "x", "json_input": []},
        {"platform": "text", "text_input": "x", "mappings": ["x"]},
    ],
)
async def test_a_bad_question_about_a_mapping_is_refused(asker: Any, body: dict[str, Any]) -> None:
    status, said = await _validated(asker, **body)
    assert status == 400
    assert said["error"]


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("GET", "payload/{oid}", "payload.ctrl"),
        ("POST", "payload/{oid}/x", "payload.ctrl"),
        ("DELETE", "payload/{oid}/x", "payload.ctrl"),
        ("GET", "job/{oid}", "job.get"),
        ("DELETE", "job/{oid}/x", "job.ctrl"),
    ],
)
async def test_each_call_needs_its_permission(asker: Any, method: str, path: str, permission: str) -> None:
    token = await asker.token(oid=asker.one.oid, perms="org.get")
    status, said, _ = await asker.ask(method, f"/v1/{path.format(oid=asker.one.oid)}", token)
    assert status == 401
    assert permission in said["error"]
