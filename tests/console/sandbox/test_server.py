"""The sandbox's HTTP: tokens, permissions, limits, paging, errors, the request log."""

import asyncio
import base64
import gzip
import io
import json
import time
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import pytest
from aiohttp import web
from yarl import URL

from console.sandbox import catalogue
from console.sandbox.calls import Call
from console.sandbox.faults import Answer, Dropped
from console.sandbox.server import HEADER_LIMIT, NotLoopback, Sandbox, serve
from console.sandbox.world import World

NOW = 1_795_176_000


def _payload(token: str) -> dict[str, Any]:
    text = token.split(".")[1]
    loaded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return loaded


def _unpacked(text: str) -> Any:
    return orjson.loads(gzip.decompress(base64.b64decode(text)))


async def test_tokens_come_in_the_platforms_two_layouts(asker: Any) -> None:
    narrow = _payload(await asker.token(oid=asker.one.oid))
    assert narrow["aud"] == "lce_control_plane"
    assert narrow["oid"] == [asker.one.oid]
    assert set(narrow["perms"]) == set(catalogue.ALL)
    assert narrow["email"] == asker.world.access.root
    wide = _payload(await asker.token())
    assert set(wide["oid"]) == set(asker.world.by_oid)
    assert set(wide["oid"][asker.one.oid]) == set(catalogue.ALL)
    assert "perms" not in wide
    assert _payload(await asker.token(oid="-"))["oid"] == []
    key = asker.world.access.keys(asker.one)[0]
    status, body = await asker.exchange(oid=asker.one.oid, secret=key.secret)
    assert status == 200
    claims = _payload(body["jwt"])
    assert (claims["email"], claims["uid"], tuple(claims["perms"])) == (key.name, "", key.permissions)


async def test_tokens_end_when_asked_in_seconds_or_since_1970(asker: Any) -> None:
    now = time.time()
    assert abs(_payload(await asker.token(oid="-"))["exp"] - now - 3600) < 10
    assert abs(_payload(await asker.token(oid="-", expiry="1800"))["exp"] - now - 1800) < 10
    ends = int(now) + 900
    assert _payload(await asker.token(oid="-", expiry=str(ends)))["exp"] == ends
    user = asker.world.access.users[asker.world.access.root]
    status, body = await asker.exchange(uid=user.uid, secret=user.api_key, oid="-", expiry="1000000001")
    assert (status, body) == (400, {"error": "bad parameter expiry"})


async def test_a_token_is_refused_when_over_forged_or_absent(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid, expiry="1")
    assert (await asker.ask("GET", "/v1/who", token))[0] == 200
    while (await asker.ask("GET", "/v1/who", token))[0] == 200:
        await asyncio.sleep(0.05)
    status, body, _ = await asker.ask("GET", "/v1/who", token)
    assert (status, body["error"]) == (401, "unauthorized: invalid or expired token")
    good = await asker.token(oid=asker.one.oid)
    head, payload, signature = good.split(".")
    claims = json.dumps(_payload(good) | {"email": "somebody"}).encode()
    forged = base64.urlsafe_b64encode(claims).rstrip(b"=").decode()
    for bad in ("", "nonsense", f"{head}.{forged}.{signature}", f"{head}.{payload}.", f"{head}.{payload}.é"):
        status, _, _ = await asker.ask("GET", "/v1/who", headers={"Authorization": f"Bearer {bad}"})
        assert status == 401
    assert (await asker.ask("GET", "/v1/who"))[0] == 401
    for scheme in ("bearer", "BEARER"):
        status, _, _ = await asker.ask("GET", "/v1/who", headers={"Authorization": f"{scheme} {good}"})
        assert status == 200


async def test_wrong_credentials_are_told_apart(asker: Any) -> None:
    root = asker.world.access.users[asker.world.access.root]
    key = asker.world.access.keys(asker.one)[0]
    other = asker.world.organizations[1]
    contact = asker.world.access.contacts(other)[0][0]
    theirs = asker.world.access.users[contact]
    for form, error in (
        ({"uid": root.uid, "secret": "x", "oid": "-"}, "unknown api key"),
        ({"uid": "x", "secret": root.api_key, "oid": "-"}, "user not found"),
        ({"uid": root.uid, "secret": key.secret, "oid": asker.one.oid}, "unknown api key"),
        ({"uid": theirs.uid, "secret": theirs.api_key, "oid": asker.one.oid}, "unauthorized"),
        ({"secret": key.secret, "oid": other.oid}, "unknown api key"),
        ({"secret": key.secret, "oid": "11111111-1111-4111-8111-111111111111"}, "unauthorized"),
        (
            {"secret": key.secret, "oid": "-"},
            "unauthorized: only user-based identities are allowed without an oid",
        ),
        ({}, "unauthorized: no secret"),
    ):
        assert await asker.exchange(**form) == (401, {"error": error})


async def test_a_token_can_be_narrowed_to_permissions(asker: Any) -> None:
    token = await asker.token(perms="insight.det.get,no.such.thing")
    who = await asker.get("/v1/who", token)
    assert who["user_perms"] == {oid: ["insight.det.get"] for oid in asker.world.by_oid}
    assert (await asker.ask("GET", f"/v1/sensors/{asker.one.oid}", token))[0] == 401
    body = await asker.get(f"/v1/insight/{asker.one.oid}/detections", token, start=NOW - 3600, end=NOW)
    assert body["next_cursor"] == ""


async def test_replay_shares_the_root_with_the_token_service(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    rule = {"detect": {"op": "exists", "path": "event/A"}, "respond": []}
    body = {
        "oid": asker.one.oid,
        "rule_source": {"rule": rule},
        "event_source": {"events": [{"event": {"A": 1}}]},
    }
    status, said, _ = await asker.ask("POST", "/", token, json=body)
    assert (status, said["did_match"]) == (200, True)


async def test_what_a_token_lacks_is_named(asker: Any) -> None:
    token = await asker.token(email=asker.world.access.analysts[4], oid=asker.one.oid)
    oid = asker.one.oid
    for path, permission in (
        (f"/v1/orgs/{oid}/keys", "apikey.ctrl"),
        (f"/v1/orgs/{oid}/users/permissions", "user.ctrl"),
        (f"/v1/outputs/{oid}", "output.list"),
        (f"/v1/installationkeys/{oid}", "ikey.list"),
        (f"/v1/orgs/{oid}/billing/status", "billing.ctrl"),
        (f"/v1/insight/{oid}/audit?start=1&end=2", "audit.get"),
    ):
        status, body, _ = await asker.ask("GET", path, token)
        assert (status, body["error"]) == (401, f"unauthorized: missing privilege named {permission}")
    status, body, _ = await asker.ask("GET", f"/v1/hive/secret/{oid}", token)
    assert status == 400
    assert body["error"].startswith("lc_error_code:UNAUTHORIZED - missing privilege named secret.get")
    assert (await asker.ask("GET", f"/v1/hive/dr-general/{oid}", token))[0] == 200


async def test_a_token_for_one_organization_opens_no_other(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    other = asker.world.organizations[1]
    for path in (
        f"/v1/orgs/{other.oid}",
        f"/v1/sensors/{other.oid}",
        f"/v1/{asker.world.sensor(other, 0).sid}",
    ):
        status, body, _ = await asker.ask("GET", path, token)
        assert (status, "missing privilege" in body["error"]) == (401, True)


async def test_an_organizations_key_is_no_person(asker: Any) -> None:
    key = asker.world.access.keys(asker.one)[0]
    _, body = await asker.exchange(oid=asker.one.oid, secret=key.secret)
    for path in ("/v1/user/orgs", "/v1/groups", "/v1/groups/concurrent"):
        status, answer, _ = await asker.ask("GET", path, body["jwt"])
        assert status == 401
        assert "only user-based identities are allowed" in answer["error"]


async def test_only_owners_see_a_group(asker: Any) -> None:
    owner = asker.world.access.administrators[0]
    token = await asker.token(email=owner, oid="-")
    listed = (await asker.get("/v1/groups", token))["groups"]
    owned = {group.gid for group in asker.world.access.groups if owner in group.owners}
    assert {row["gid"] for row in listed} == owned
    full = (await asker.get("/v1/groups/concurrent", token))["groups"]
    assert {row["group_id"] for row in full} == owned
    for row in full:
        assert (await asker.get(f"/v1/groups/{row['group_id']}", token))["group"] == row
    member = await asker.token(email=asker.world.access.analysts[0], oid="-")
    assert (await asker.get("/v1/groups", member))["groups"] == []
    assert (await asker.ask("GET", f"/v1/groups/{listed[0]['gid']}", member))[0] == 401
    logs = (await asker.get(f"/v1/groups/{listed[0]['gid']}/logs", token))["logs"]
    assert logs[0]["action"] == "create_group"


async def test_people_see_their_own_organizations_in_pages(asker: Any) -> None:
    contact = asker.world.access.contacts(asker.one)[0][0]
    token = await asker.token(email=contact, oid="-")
    body = await asker.get("/v1/user/orgs", token)
    assert [row["oid"] for row in body["orgs"]] == [asker.one.oid]
    assert body["total"] == 1
    root = await asker.token(oid="-")
    first = await asker.get("/v1/user/orgs", root, offset=0, limit=4, fields="oid,name")
    assert first["total"] == 9
    assert all(set(row) == {"oid", "name"} for row in first["orgs"])
    rest = await asker.get("/v1/user/orgs", root, offset=4, limit=50)
    assert {row["oid"] for row in first["orgs"] + rest["orgs"]} == set(asker.world.by_oid)
    assert (await asker.get("/v1/user/orgs", root, offset=9))["orgs"] == []
    found = await asker.get("/v1/user/orgs", root, filter=asker.one.name[:12].upper())
    assert asker.one.oid in {row["oid"] for row in found["orgs"]}
    row = rest["orgs"][0]
    assert row["site_name"] in ("europe", "usa", "australia")
    assert set(row["permissions"]) == set(catalogue.ALL)


async def test_the_refusing_organization_refuses_everything_to_everybody(asker: Any) -> None:
    refusing = asker.world.unauthorized
    wide = await asker.token(perms="org.get,sensor.list,dr.list,user.ctrl,apikey.ctrl")
    narrow = await asker.token(oid=refusing.oid)
    for token in (wide, narrow):
        for path in (
            f"/v1/orgs/{refusing.oid}",
            f"/v1/sensors/{refusing.oid}",
            f"/v1/hive/dr-general/{refusing.oid}",
            f"/v1/orgs/{refusing.oid}/users/permissions",
            f"/v1/{asker.world.sensor(refusing, 0).sid}",
        ):
            status, body, _ = await asker.ask("GET", path, token)
            assert (status, body) == (401, {"error": "unauthorized"})


async def test_what_is_not_there_is_not_found_and_logged(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    for method, path in (
        ("GET", "/v1/nothing/here"),
        ("GET", "/v2/who"),
        ("POST", "/v1/who"),
        ("PUT", f"/v1/orgs/{asker.one.oid}"),
        ("GET", "/v1/orgs/11111111-1111-4111-8111-111111111111"),
        ("GET", "/v1/11111111-1111-4111-8111-111111111111"),
        ("GET", f"/v1/insight/{asker.one.oid}/detections/11111111-1111-4111-8111-111111111111"),
        ("GET", f"/v1/installationkeys/{asker.one.oid}/11111111-1111-4111-8111-111111111111"),
    ):
        status, body, _ = await asker.ask(method, path, token)
        assert (status, body) == (404, {"error": "not found"}), path
    assert asker.sandbox.endpoints()["GET (unknown)"] == 2


async def test_every_answer_tells_the_rate_limit(asker: Any) -> None:
    for method, path in (("GET", "/v1/who"), ("GET", "/nothing"), ("POST", "/")):
        _, _, headers = await asker.ask(method, path)
        assert (headers["X-RateLimit-Quota"], headers["X-RateLimit-Period"]) == ("600000", "60")


async def test_a_window_is_per_credential_and_ends() -> None:
    sandbox = Sandbox(World(seed=1, orgs=2, detections=0), rate_quota=3, rate_period=1)
    await sandbox.start()
    try:
        async with aiohttp.ClientSession() as session:

            async def token(**form: str) -> dict[str, str]:
                async with session.post(f"{sandbox.url}/", data=form) as answer:
                    return {"Authorization": f"Bearer {(await answer.json())['jwt']}"}

            async def who(headers: dict[str, str]) -> tuple[int, str | None]:
                async with session.get(f"{sandbox.url}/v1/who", headers=headers) as answer:
                    return answer.status, answer.headers.get("Retry-After")

            one = sandbox.world.organizations[0]
            root = sandbox.world.access.users[sandbox.world.access.root]
            mine = await token(uid=root.uid, secret=root.api_key, oid=one.oid)
            also_mine = await token(uid=root.uid, secret=root.api_key, oid="-")
            other = await token(oid=one.oid, secret=sandbox.world.access.keys(one)[0].secret)
            assert [await who(mine), await who(also_mine), await who(mine)] == [(200, None)] * 3
            assert await who(also_mine) == (429, "1")
            assert await who(other) == (200, None)
            while (await who(mine))[0] == 429:
                await asyncio.sleep(0.05)
            assert await who(mine) == (200, None)
    finally:
        await sandbox.stop()


async def test_large_headers_are_refused_as_the_gateway_does(asker: Any) -> None:
    wide = await asker.token()
    assert len(wide) > HEADER_LIMIT
    status, body, _ = await asker.ask("GET", "/v1/who", wide)
    assert (status, body) == (413, {"error": "Payload too large"})
    status, _, _ = await asker.ask("GET", "/v1/who", "x" * 300_000)
    assert status == 413
    narrow = await asker.token(perms="org.get")
    assert (await asker.ask("GET", "/v1/who", narrow))[0] == 200


async def test_forms_of_several_megabytes_are_read_and_endless_ones_refused(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/hive/lookup/{asker.one.oid}/large/data"
    data = json.dumps({"newline_content": "x" * 3_000_000})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = io.BytesIO(f"data={quote(data)}".encode())
    assert (await asker.ask("POST", path, token, data=body, headers=form))[0] == 200
    stored = await asker.get(path, token)
    assert len(stored["data"]["newline_content"]) == 3_000_000
    endless = io.BytesIO(b"data=" + b"x" * (33 * 1024 * 1024))
    status, answer, _ = await asker.ask("POST", path, token, data=endless, headers=form)
    assert (status, answer) == (413, {"error": "Payload too large"})


async def test_detections_come_in_pages_compressed_or_plain(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/insight/{asker.one.oid}/detections"
    found = asker.world.detections
    expected = [found.detection(0, number) for number in reversed(range(asker.one.detections))]
    assert len(expected) > 20
    seen: list[Any] = []
    cursor = "-"
    pages = 0
    while cursor:
        packed = pages % 2 == 0
        body = await asker.get(
            path,
            token,
            start=NOW - 31 * 86_400,
            end=NOW,
            cursor=cursor,
            limit=7,
            is_compressed="true" if packed else "false",
        )
        seen += _unpacked(body["detects"]) if packed else body["detects"]
        cursor = body["next_cursor"]
        pages += 1
    assert seen == expected
    assert pages == -(-len(expected) // 7)


async def test_a_range_of_time_is_closed_at_both_seconds(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/insight/{asker.one.oid}/detections"
    times = [asker.world.detections.time(0, number) for number in range(asker.one.detections)]
    start, end = times[5] // 1000, times[9] // 1000
    body = await asker.get(path, token, start=start, end=end)
    inside = [each for each in times if start <= each // 1000 <= end]
    assert [row["gen_time"] for row in body["detects"]] == inside[::-1]
    assert len(inside) >= 5
    empty = await asker.get(path, token, start=5, end=6, is_compressed="true")
    assert (_unpacked(empty["detects"]), empty["next_cursor"]) == ([], "")


async def test_detections_can_be_of_one_category_or_sensor(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/insight/{asker.one.oid}/detections"
    everything = (await asker.get(path, token, start=NOW - 31 * 86_400, end=NOW))["detects"]
    for name, value in (("cat", everything[0]["cat"]), ("sid", everything[0]["routing"]["sid"])):
        wanted = [row for row in everything if value in (row["cat"], row["routing"]["sid"])]
        assert 0 < len(wanted) < len(everything)
        seen, cursor = [], "-"
        while cursor:
            body = await asker.get(
                path, token, start=NOW - 31 * 86_400, end=NOW, limit=2, cursor=cursor, **{name: value}
            )
            seen += body["detects"]
            cursor = body["next_cursor"]
        assert seen == wanted
    stats = await asker.get(f"{path}/stats", token, start=NOW - 31 * 86_400, end=NOW)
    assert sum(stats["totals"].values()) == len(everything)
    assert stats["totals"][everything[0]["cat"]] == sum(
        row["cat"] == everything[0]["cat"] for row in everything
    )


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"end": "5"}, "missing parameter start"),
        ({"start": "x", "end": "5"}, "bad parameter start"),
        ({"start": "9", "end": "5"}, "end is before start"),
        ({"start": "1", "end": "5", "cursor": "nonsense"}, "bad cursor"),
        ({"start": "1", "end": "5", "limit": "many"}, "bad parameter limit"),
    ],
)
async def test_bad_parameters_are_named(asker: Any, query: dict[str, str], error: str) -> None:
    token = await asker.token(oid=asker.one.oid)
    status, body, _ = await asker.ask("GET", f"/v1/insight/{asker.one.oid}/detections", token, params=query)
    assert (status, body) == (400, {"error": error})


async def test_a_detection_that_came_later_does_not_move_the_pages() -> None:
    sandbox = await serve(World(seed=2, orgs=1, detections=50), live_rate=60_000)
    try:
        async with aiohttp.ClientSession() as session:
            root = sandbox.world.access.users[sandbox.world.access.root]
            one = sandbox.world.organizations[0]
            async with session.post(
                f"{sandbox.url}/", data={"uid": root.uid, "secret": root.api_key, "oid": one.oid}
            ) as answer:
                headers = {"Authorization": f"Bearer {(await answer.json())['jwt']}"}

            async def page(cursor: str, limit: int) -> dict[str, Any]:
                query = {"start": str(NOW - 10**9), "end": str(10**10), "cursor": cursor, "limit": str(limit)}
                async with session.get(
                    f"{sandbox.url}/v1/insight/{one.oid}/detections", params=query, headers=headers
                ) as found:
                    body: dict[str, Any] = orjson.loads(await found.read())
                    return body

            first = await page("-", 5)
            while (await page("-", 1))["detects"][0]["detect_id"] == first["detects"][0]["detect_id"]:
                await asyncio.sleep(0.01)
            rest = await page(first["next_cursor"], 5000)
            ids = [row["detect_id"] for row in first["detects"] + rest["detects"]]
            assert len(ids) == len(set(ids)) >= 50
            times = [row["gen_time"] for row in first["detects"] + rest["detects"]]
            assert times == sorted(times, reverse=True)
    finally:
        await sandbox.stop()


async def test_sensors_come_in_pages_compressed_or_plain(asker: Any) -> None:
    one = max(
        asker.world.organizations, key=lambda each: (each is not asker.world.unauthorized, each.sensors)
    )
    token = await asker.token(oid=one.oid)
    seen: list[Any] = []
    following = ""
    while True:
        query = {"continuation_token": following} if following else {}
        body = await asker.get(f"/v1/sensors/{one.oid}", token, limit=9, is_compressed="True", **query)
        seen += _unpacked(body["sensors"])
        following = body["continuation_token"]
        if not following:
            break
    assert len(seen) == one.sensors
    assert (await asker.get(f"/v1/sensors/{one.oid}", token))["sensors"] == seen
    host = seen[0]["hostname"]
    found = await asker.get(
        f"/v1/sensors/{one.oid}", token, selector=f'hostname == "{host}" and plat == windows'
    )
    assert [row["hostname"] for row in found["sensors"]] == [host]
    tagged = await asker.get(f"/v1/sensors/{one.oid}", token, selector="server in tags")
    assert tagged["sensors"] == [row for row in seen if "server" in row["tags"]]
    status, body, _ = await asker.ask(
        "GET", f"/v1/sensors/{one.oid}", token, params={"selector": "plat == windows or true"}
    )
    assert status == 400
    named = await asker.get(f"/v1/hostnames/{one.oid}", token, hostname=host[:6])
    assert seen[0]["sid"] in {row["sid"] for row in named["sid"]}
    assert (await asker.get(f"/v1/online/{one.oid}", token))["count"] == sum(
        row["alive"] == seen[-1]["alive"] for row in seen
    )


async def test_a_sensor_is_told_online_in_both_forms(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    for number in range(asker.one.sensors):
        sensor = asker.world.sensor(asker.one, number)
        body = await asker.get(f"/v1/{sensor.sid}", token)
        assert body["info"] == asker.world.sensor_record(asker.one, sensor)
        assert body["is_online"] is (sensor.silent == 0)
        assert ("error" in body["online"]) is (sensor.silent != 0)


async def test_tags_are_written_by_form_also_on_delete(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    sid = asker.world.sensor(asker.one, 0).sid
    path = f"/v1/{sid}/tags"
    before = await asker.get(path, token)
    assert (await asker.ask("POST", path, token, data={"tags": "quarantine"}))[:2] == (200, {})
    rows = (await asker.get(path, token))["tags"][sid]
    assert rows["quarantine"][:3] == [sid, "quarantine", asker.world.access.root]
    assert await asker.get(f"/v1/tags/{asker.one.oid}/quarantine", token) == {sid: list(rows)}
    assert "quarantine" in (await asker.get(f"/v1/tags/{asker.one.oid}", token))["tags"]
    assert (await asker.ask("DELETE", path, token, data={"tag": "quarantine"}))[0] == 200
    assert await asker.get(path, token) == before
    viewer = await asker.token(email=asker.world.access.analysts[4], oid=asker.one.oid)
    status, body, _ = await asker.ask("POST", path, viewer, data={"tags": "x"})
    assert (status, body["error"]) == (401, "unauthorized: missing privilege named sensor.tag")
    engineer = await asker.token(oid=asker.one.oid, perms="sensor.tag,sensor.get")
    status, body, _ = await asker.ask("POST", path, engineer, data={"tags": "acl:finance"})
    assert (status, body["error_code"]) == (401, "UNAUTHORIZED_ACL_TAG")


async def test_a_record_is_written_only_over_the_etag_that_was_read(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/hive/dr-general/{asker.one.oid}/office-started-shell"
    before = await asker.get(f"{path}/data", token)
    changed = before["data"] | {"respond": [{"action": "report", "name": "other"}]}
    form = {
        "data": json.dumps(changed),
        "usr_mtd": json.dumps({"enabled": True, "tags": ["mine"]}),
        "etag": before["sys_mtd"]["etag"],
    }
    status, body, _ = await asker.ask("POST", f"{path}/data", token, data=form)
    assert status == 200
    assert body == {
        "guid": before["sys_mtd"]["guid"],
        "hive": {"name": "dr-general", "partition": asker.one.oid},
        "name": "office-started-shell",
    }
    after = await asker.get(f"{path}/data", token)
    assert after["data"] == changed
    assert after["usr_mtd"] == {"enabled": True, "expiry": 0, "tags": ["mine"], "comment": ""}
    assert after["sys_mtd"]["last_author"] == asker.world.access.root
    assert after["sys_mtd"]["etag"] != before["sys_mtd"]["etag"]
    status, body, _ = await asker.ask("POST", f"{path}/data", token, data=form)
    assert status == 400
    assert body["error"].startswith("lc_error_code:ETAG_MISMATCH - ")
    listed = await asker.get(f"/v1/hive/dr-general/{asker.one.oid}", token)
    assert listed["office-started-shell"] == after
    other = asker.world.organizations[1]
    other_token = await asker.token(oid=other.oid)
    elsewhere = await asker.get(f"/v1/hive/dr-general/{other.oid}/office-started-shell/data", other_token)
    assert elsewhere["data"] == before["data"]


async def test_metadata_is_replaced_as_a_whole(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/hive/fp/{asker.one.oid}/printer-assist-updater/mtd"
    assert (await asker.get(path, token))["usr_mtd"]["enabled"] is True
    assert (await asker.ask("POST", path, token, data={"usr_mtd": json.dumps({"comment": "why"})}))[0] == 200
    after = await asker.get(path, token)
    assert after["data"] == {}
    assert after["usr_mtd"] == {"enabled": False, "expiry": 0, "tags": None, "comment": "why"}
    past = json.dumps({"enabled": True, "expiry": 1_700_000_000})
    status, body, _ = await asker.ask("POST", path, token, data={"usr_mtd": past})
    assert status == 400
    assert body["error"].startswith("lc_error_code:INVALID_EXPIRY_TIME")


async def test_a_new_record_is_disabled_unless_it_says_otherwise_and_keys_may_hold_a_slash(
    asker: Any,
) -> None:
    token = await asker.token(oid=asker.one.oid)
    key = "team/été 100%"
    path = f"/v1/hive/query/{asker.one.oid}/{quote(key, safe='')}"
    packed = base64.b64encode(gzip.compress(b'{"query":"-1h | * | *","stream":"event"}')).decode()

    async def ask(method: str, ending: str, **form: str) -> tuple[int, Any]:
        url = URL(asker.sandbox.url + path + ending, encoded=True)
        headers = {"Authorization": f"Bearer {token}"}
        async with asker.session.request(method, url, headers=headers, data=form or None) as answer:
            return answer.status, orjson.loads(await answer.read())

    assert (await ask("POST", "/data", gzdata=packed))[1]["name"] == key
    status, body = await ask("GET", "/data")
    assert (status, body["data"]["stream"], body["usr_mtd"]["enabled"]) == (200, "event", False)
    assert key in await asker.get(f"/v1/hive/query/{asker.one.oid}", token)
    assert await ask("DELETE", "") == (200, {})
    status, body = await ask("GET", "/data")
    assert (status, body["error"]) == (400, f"lc_error_code:RECORD_NOT_FOUND - query/{key}")


async def test_hives_are_listed_in_pages_and_by_tag(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/hive/dr-general/{asker.one.oid}"
    everything = await asker.get(path, token)
    seen: dict[str, Any] = {}
    query: dict[str, object] = {"limit": 4}
    while True:
        body = await asker.get(path, token, **query)
        assert 1 <= len(body["records"]) <= 4
        seen |= body["records"]
        if not body["next_cursor"]:
            break
        query["cursor"] = body["next_cursor"]
    assert seen == everything
    small = await asker.get(path, token, limit=500, max_bytes=1500)
    assert 1 <= len(small["records"]) < len(everything)
    critical = await asker.get(path, token, tag_prefix="critical")
    assert critical
    assert all("critical" in record["usr_mtd"]["tags"] for record in critical.values())
    names = await asker.get(path, token, mtd_only="true")
    assert all(record["data"] is None for record in names.values())
    for query, code in (({"cursor": "nonsense"}, "INVALID_CURSOR"), ({"cursor": "Zm9v"}, "INVALID_CURSOR")):
        status, body, _ = await asker.ask("GET", path, token, params=query)
        assert status == 400
        assert body["error"].startswith(f"lc_error_code:{code}")
    assert await asker.get(f"/v1/hive/ai_agent/{asker.one.oid}", token) == {}
    status, body, _ = await asker.ask(
        "POST", f"{path}/x/data", token, data={"data": "{}", "usr_mtd": '{"tags": "text"}'}
    )
    assert (status, body["error"]) == (400, "lc_error_code:INVALID - tags is not a list of text")
    status, body, _ = await asker.ask("GET", f"/v1/hive/no_such/{asker.one.oid}", token)
    assert (status, body["error"]) == (400, "lc_error_code:INVALID - unknown hive no_such")


async def test_a_hive_too_large_for_one_answer_has_to_be_paged(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/hive/lookup/{asker.one.oid}"
    large = {"data": {"newline_content": "x" * 3_000_000}, "usr_mtd": {}, "sys_mtd": {}}
    for key in ("a", "b", "c"):
        asker.world.put_record(asker.one, "lookup", key, large)
    status, body, _ = await asker.ask("GET", path, token)
    assert (status, body["error_code"]) == (413, "HIVE_LISTING_TOO_LARGE")
    assert len(await asker.get(path, token, mtd_only="true")) == 6
    seen: list[str] = []
    cursor = ""
    while True:
        page = await asker.get(path, token, limit=500, **({"cursor": cursor} if cursor else {}))
        seen += page["records"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert seen == sorted(["a", "b", "c", "approved-scanners", "bad-domains", "vulnerable-drivers"])


async def test_metadata_of_secrets_can_be_read_without_them(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid, perms="secret.get.mtd")
    path = f"/v1/hive/secret/{asker.one.oid}"
    assert "slack-token" in await asker.get(path, token, mtd_only="true")
    assert (await asker.get(f"{path}/slack-token/mtd", token))["data"] == {}
    for refused in (path, f"{path}/slack-token/data"):
        status, body, _ = await asker.ask("GET", refused, token)
        assert (status, body["error"].partition(" ")[0]) == (400, "lc_error_code:UNAUTHORIZED")


async def test_what_was_changed_stands_in_the_audit_log(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/insight/{asker.one.oid}/audit"
    end = asker.world.clock() // 1000 + 3600
    before = (await asker.get(path, token, start=NOW - 40 * 86_400, end=end))["events"]
    assert len(before) == asker.world.audit.count(asker.one)
    await asker.ask("POST", f"/v1/hive/sop/{asker.one.oid}/new/data", token, data={"data": '{"text":"x"}'})
    seen: list[Any] = []
    cursor = "-"
    while cursor:
        body = await asker.get(
            path, token, start=NOW - 40 * 86_400, end=end, cursor=cursor, limit=10, is_compressed="true"
        )
        seen += _unpacked(body["events"])
        cursor = body["next_cursor"]
    assert seen[:-1] == before
    assert (seen[-1]["etype"], seen[-1]["ident"]) == ("hive_set", asker.world.access.root)
    assert seen[-1]["entity"]["name"] == "sop/new"
    sets = await asker.get(path, token, start=NOW - 40 * 86_400, end=end, event_type="hive_set")
    assert sets["events"] == [entry for entry in seen if entry["etype"] == "hive_set"]


async def test_telemetry_of_a_sensor_is_listed_and_found_by_its_atom(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    sensor = next(
        found
        for number in range(asker.one.sensors)
        if not (found := asker.world.sensor(asker.one, number)).silent and found.enrolled < NOW - 86_400
    )
    path = f"/v1/insight/{asker.one.oid}/{sensor.sid}"
    body = await asker.get(path, token, start=NOW - 7200, end=NOW, is_compressed="true", limit=5)
    page = _unpacked(body["events"])
    assert len(page) == 5
    rest = await asker.get(path, token, start=NOW - 7200, end=NOW, limit=5, cursor=body["next_cursor"])
    everything = page + rest["events"]
    assert 9 <= len(everything) <= 13 or rest["next_cursor"]
    assert all(event["routing"]["sid"] == sensor.sid for event in everything)
    times = [event["routing"]["event_time"] for event in everything]
    assert times == sorted(times)
    atom = everything[2]["routing"]["this"]
    assert (await asker.get(f"{path}/{atom}", token))["event"] == everything[2]
    assert (await asker.ask("GET", f"{path}/{'0' * 32}", token))[0] == 404
    hours = (await asker.get(f"{path}/overview", token, start=NOW - 7200, end=NOW))["overview"]
    assert {moment // 3_600_000 * 3600 for moment in times} <= set(hours)
    assert len(hours) in (2, 3)


async def test_a_connection_can_drop_before_and_after_the_effect(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)

    async def before(call: Call, answer: Answer) -> web.StreamResponse:
        raise Dropped

    async def after(call: Call, answer: Answer) -> web.StreamResponse:
        await answer()
        raise Dropped

    for fault, key, there in ((before, "one", False), (after, "two", True)):
        asker.sandbox.fault = fault
        path = f"/v1/hive/sop/{asker.one.oid}/{key}/data"
        with pytest.raises(aiohttp.ClientConnectionError):
            await asker.ask("POST", path, token, data={"data": "{}"})
        asker.sandbox.fault = None
        assert asker.sandbox.log.entries[-1].status == 0
        assert (key in await asker.get(f"/v1/hive/sop/{asker.one.oid}", token)) is there


async def test_a_defect_of_the_sandbox_is_said_and_logged(
    asker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    token = await asker.token(oid=asker.one.oid)
    asker.world.configuration = None
    status, body, _ = await asker.ask("GET", f"/v1/outputs/{asker.one.oid}", token)
    assert (status, body) == (500, {"error": "internal error of the sandbox"})
    assert "AttributeError" in caplog.text
    assert asker.sandbox.log.entries[-1].status == 500


async def test_a_fault_answers_in_place_of_its_endpoint(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    seen = []

    async def broken(call: Call, answer: Answer) -> web.StreamResponse:
        seen.append((call.method, call.raw_path))
        if call.raw_path.startswith("/v1/sensors/"):
            return web.json_response({"error": "gateway"}, status=504)
        return await answer()

    asker.sandbox.fault = broken
    assert (await asker.ask("GET", f"/v1/sensors/{asker.one.oid}", token))[0] == 504
    assert (await asker.ask("GET", "/v1/who", token))[0] == 200
    assert seen == [("GET", f"/v1/sensors/{asker.one.oid}"), ("GET", "/v1/who")]
    assert [entry.status for entry in asker.sandbox.log.entries][-2:] == [504, 200]


async def test_the_log_tells_what_was_asked_and_never_a_secret(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    await asker.get(f"/v1/orgs/{asker.one.oid}", token)
    await asker.get(f"/v1/orgs/{asker.one.oid}", token)
    await asker.get("/v1/user/orgs", token, limit=3)
    assert asker.sandbox.endpoints() == {"GET /v1/orgs/{oid}": 2, "GET /v1/user/orgs": 1, "POST /": 1}
    root = asker.world.access.users[asker.world.access.root]
    last = asker.sandbox.log.entries[-1]
    assert (last.path, last.status, last.credential, last.oid) == ("/v1/user/orgs?limit=3", 200, root.uid, "")
    first = asker.sandbox.log.entries[0]
    assert (first.template, first.oid) == ("/", asker.one.oid)
    status, body, _ = await asker.ask("GET", "/sandbox/log", params={"newest": "2"})
    assert status == 200
    assert body["endpoints"] == asker.sandbox.endpoints()
    assert body["statuses"] == {"200": 4}
    assert [row["template"] for row in body["newest"]] == ["/v1/orgs/{oid}", "/v1/user/orgs"]
    text = repr(asker.sandbox.log.entries)
    assert root.api_key not in text
    assert token not in text


async def test_answers_wait_for_the_latency() -> None:
    sandbox = await serve(World(seed=1, orgs=1, detections=0), latency=80)
    try:
        async with aiohttp.ClientSession() as session:
            began = time.perf_counter()
            async with session.get(f"{sandbox.url}/v1/ontology") as answer:
                assert answer.status == 200
            assert time.perf_counter() - began >= 0.08
    finally:
        await sandbox.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "example.com", ""])
async def test_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(NotLoopback):
        await serve(World(seed=1, orgs=1, detections=0), host=host)


async def _fetch(asker: Any, token: str, **options: Any) -> tuple[int, Any]:
    form = {"oid": asker.one.oid, "action": "fetch", "data": json.dumps({"options": options})}
    status, body, _ = await asker.ask("POST", "/v1/extension/request/ext-infrastructure", token, data=form)
    return status, body


async def test_infrastructure_is_fetched_by_section_and_with_the_callers_rights(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    status, body = await _fetch(asker, token, sync_outputs=True, sync_hives={"fp": True, "lookup": False})
    assert (status, body["error"], body["retry"]) == (200, "", False)
    document = body["data"]["org"]
    assert set(document) == {"version", "outputs", "hives"}
    assert set(document["hives"]) == {"fp"}
    records = asker.world.records(asker.one, "fp")
    assert document["hives"]["fp"] == {
        key: {"data": record["data"], "usr_mtd": record["usr_mtd"]} for key, record in records.items()
    }
    analyst = await asker.token(email=asker.world.access.analysts[4], oid=asker.one.oid)
    for options, permission in (
        ({"sync_outputs": True}, "output.list"),
        ({"sync_installation_keys": True}, "ikey.list"),
        ({"sync_hives": {"dr-general": True, "secret": True}}, "secret.get"),
    ):
        status, body = await _fetch(asker, analyst, **options)
        assert (status, body["error"]) == (401, f"unauthorized: missing privilege named {permission}")
    assert (await _fetch(asker, analyst, sync_hives={"dr-general": True}))[0] == 200
    assert (await _fetch(asker, token, sync_hives={"no_such": True}))[0] == 400


async def test_what_extensions_cannot_do_here_is_said(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    for name, action, expected in (
        ("ext-infrastructure", "explode", 501),
        ("ext-exfil", "explode", 501),
        ("ext-no-such", "x", 400),
    ):
        form = {"oid": asker.one.oid, "action": action, "data": "{}"}
        status, body, _ = await asker.ask("POST", f"/v1/extension/request/{name}", token, data=form)
        assert status == expected
        assert name in body["error"]


async def test_settings_schemas_and_who_is_online_are_told(asker: Any) -> None:
    one = next(
        each
        for each in asker.world.organizations
        if each.tier != "bronze" and each is not asker.world.unauthorized
    )
    token = await asker.token(oid=one.oid)
    values = asker.world.configuration.values(one)
    assert values["vt"]
    assert await asker.get(f"/v1/configs/{one.oid}/vt", token) == {"config": "vt", "value": values["vt"]}
    assert (await asker.get(f"/v1/configs/{one.oid}/shodan", token))["value"] == ""
    assert (await asker.ask("GET", f"/v1/configs/{one.oid}/no-such", token))[0] == 404
    types = (await asker.get(f"/v1/orgs/{one.oid}/schema", token, platform="linux"))["event_types"]
    assert "evt:FIM_HIT" in types
    assert "evt:UserLoggedIn" not in types
    schema = (await asker.get(f"/v1/orgs/{one.oid}/schema/{quote('evt:NEW_PROCESS', safe='')}", token))[
        "schema"
    ]
    assert "s:event/COMMAND_LINE" in schema["elements"]
    sensors = [asker.world.sensor(one, number) for number in range(5)]
    form = [("sids", sensor.sid) for sensor in sensors] + [("sids", "no such")]
    status, body, _ = await asker.ask("POST", f"/v1/online/{one.oid}", token, data=form)
    assert status == 200
    assert body == {sensor.sid: not sensor.silent for sensor in sensors} | {"no such": False}
    cases = await asker.get("/api/v1/orgs", await asker.token(perms="investigation.get"))
    assert one.oid in cases["oids"]
    assert asker.world.unauthorized.oid not in cases["oids"]
