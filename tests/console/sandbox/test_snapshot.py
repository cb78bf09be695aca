"""Snapshots: everything that the API shows is there again, what is done next is the same, a stranger's file
is refused or served whole."""

import asyncio
import base64
import dataclasses
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.sandbox import access, configuration, organizations, search, sensors, snapshot
from console.sandbox.calls import Call, table
from console.sandbox.caserules import Case
from console.sandbox.organizations import Organization
from console.sandbox.server import Sandbox
from console.sandbox.snapshot import BadSnapshot, copied, dumps, loads
from console.sandbox.world import World
from tests.console.sandbox.conftest import NOW_MS

SIZE = {"seed": 31, "orgs": 9, "detections": 900}
RULE = {
    "detect": {"event": "OS_VERSION_REP", "op": "exists", "path": "event/OS"},
    "respond": [{"action": "report", "name": "Somebody asked"}],
}
STREAMS = {"POST /{oid}", "GET /ws", "GET /api/v1/ws"}
"""They answer as long as the connection is open, which no snapshot keeps: `test_streams.py`."""
TIMED = ("walltime", "wall_time", "cumulativeStats")
"""What an answer says of how long it took."""


UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Clock:
    """The machine's, as worlds see it: it stands until it is set forward."""

    def __init__(self) -> None:
        self.moment = time.monotonic()

    def monotonic(self) -> float:
        return self.moment


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(
        "console.sandbox.world.time", SimpleNamespace(monotonic=made.monotonic, time_ns=time.time_ns)
    )
    return made


class Hand:
    """Somebody who asks one sandbox."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession, tokens: dict[str, str]) -> None:
        self.sandbox = sandbox
        self.session = session
        self.tokens = dict(tokens)

    async def log_in(self, oid: str) -> str:
        """A token for an organization, or for none (`-`): one for all would not fit into a header."""
        if oid not in self.tokens:
            root = self.sandbox.world.access.users[self.sandbox.world.access.root]
            form = {"uid": root.uid, "secret": root.api_key, "oid": oid}
            async with self.session.post(f"{self.sandbox.url}/", data=form) as answer:
                self.tokens[oid] = orjson.loads(await answer.read())["jwt"]
        return self.tokens[oid]

    def _about(self, path: str, options: dict[str, Any]) -> str:
        """The organization that a request is about."""
        world = self.sandbox.world
        for part in ("params", "data", "json"):
            sent = options.get(part)
            if isinstance(sent, dict) and (named := sent.get("oid") or sent.get("oids")):
                return str(named)
            if isinstance(sent, dict) and "request" in sent:
                return str(UUID.findall(sent["request"])[0])
        for found in UUID.findall(path):
            if found in world.by_oid:
                return str(found)
            if sensor := world.sensor_by_sid(found):
                return sensor[0].oid
            if open_search := world.searches.find(found):
                return open_search.oid
        return "-"

    async def send(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        """Status and body; the sandbox's own address in it is `HERE`."""
        headers = {"Authorization": f"Bearer {await self.log_in(self._about(path, options))}"}
        headers |= options.pop("headers", {})
        url = self.sandbox.url + path
        async with self.session.request(method, url, headers=headers, **options) as answer:
            body = await answer.read()
        bare = self.sandbox.url.removeprefix("http://").encode()
        return answer.status, body.replace(bare, b"HERE")

    async def do(self, method: str, path: str, **options: Any) -> Any:
        """What a request that has to succeed answers."""
        status, body = await self.send(method, path, **options)
        assert status == 200, (method, path, body)
        return orjson.loads(body) if body[:1] in b"{[" and body else body


@pytest.fixture
async def hand(clock: Clock) -> AsyncIterator[Hand]:
    sandbox = Sandbox(World(**SIZE, now_ms=NOW_MS), live_rate=30, storm_after=40)
    await sandbox.start()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Hand(sandbox, session, {})
    await sandbox.stop()


async def _again(hand: Hand) -> Hand:
    """A sandbox of a snapshot of this one, and the same caller in front of it."""
    _, raw = await hand.send("GET", "/sandbox/snapshot")
    resumed = Sandbox.resumed(loads(raw))
    await resumed.start()
    return Hand(resumed, hand.session, hand.tokens)


def _busy(world: World) -> Organization:
    """An organization that may be read and has cases."""
    return next(
        one for one in world.organizations if one is not world.unauthorized and world.cases.subscribed(one)
    )


def _form(**fields: Any) -> dict[str, str]:
    return {name: each if isinstance(each, str) else json.dumps(each) for name, each in fields.items()}


async def change_everything(hand: Hand) -> dict[str, Any]:
    """Ask each endpoint that changes something, of what is there at the end as of what is gone; names."""
    do, world = hand.do, hand.sandbox.world
    one = _busy(world)
    oid = one.oid
    here = [each.sid for each in world.sensors_of(one) if not each.silent]
    sid = here[0]
    names: dict[str, Any] = {"oid": oid, "sid": sid}
    # People, groups, keys
    for email in ("new@elsewhere.example", "gone@elsewhere.example", "lost@elsewhere.example"):
        await do("POST", f"/v1/orgs/{oid}/users", data={"email": email, "role": "Viewer"})
    await do("DELETE", f"/v1/orgs/{oid}/users", data={"email": "gone@elsewhere.example"})
    permission = {"email": "new@elsewhere.example", "perm": "dr.set"}
    await do("POST", f"/v1/orgs/{oid}/users/permissions", data=permission)
    await do("DELETE", f"/v1/orgs/{oid}/users/permissions", data=permission | {"perm": "org.get"})
    await do("PUT", f"/v1/orgs/{oid}/users/role", data={"email": "lost@elsewhere.example", "role": "Basic"})
    names["gid"] = gid = (await do("POST", "/v1/groups", data={"name": "Made"}))["data"]["gid"]
    for email in ("in@elsewhere.example", "out@elsewhere.example"):
        await do("POST", f"/v1/groups/{gid}/users", data={"member_email": email})
        await do("POST", f"/v1/groups/{gid}/owners", data={"member_email": email})
    await do("DELETE", f"/v1/groups/{gid}/users", data={"member_email": "out@elsewhere.example"})
    await do("DELETE", f"/v1/groups/{gid}/owners", data={"member_email": "out@elsewhere.example"})
    await do("POST", f"/v1/groups/{gid}/permissions", data=[("perm", "org.get"), ("perm", "dr.list")])
    other = next(each for each in world.organizations if each not in (one, world.unauthorized))
    names["other"] = other.oid
    for each in (other.oid, oid):
        await do("POST", f"/v1/groups/{gid}/orgs", data={"oid": each})
    await do("DELETE", f"/v1/groups/{gid}/orgs", data={"oid": oid})
    short = (await do("POST", "/v1/groups", data={"name": "Short"}))["data"]["gid"]
    await do("DELETE", f"/v1/groups/{short}")
    key = {"key_name": "made", "perms": "org.get,dr.list", "allowed_ip_range": "127.0.0.0/8"}
    names["key"] = (await do("POST", f"/v1/orgs/{oid}/keys", data=key))["api_key"]
    gone = await do("POST", f"/v1/orgs/{oid}/keys", data=key | {"key_name": "gone"})
    await do("DELETE", f"/v1/orgs/{oid}/keys", data={"key_hash": gone["key_hash"]})
    seeded = next(iter((await do("GET", f"/v1/orgs/{other.oid}/keys"))["api_keys"]))
    await do("DELETE", f"/v1/orgs/{other.oid}/keys", data={"key_hash": seeded})
    await do("POST", "/", data={"secret": names["key"], "oid": oid})
    # Organizations
    made = {"name": "Zürich Über", "loc": "uk"}
    names["made"] = (await do("POST", "/v1/orgs/new", data=made))["data"]["oid"]
    names["deleted"] = deleted = (await do("POST", "/v1/orgs/new", data={"name": "Gone"}))["data"]["oid"]
    for each in (deleted, world.organizations[8].oid):
        await do("POST", f"/v1/outputs/{each}", data={"name": "x", "module": "s3", "type": "event"})
        token = (await do("GET", f"/v1/orgs/{each}/delete"))["confirmation"]
        await do("DELETE", f"/v1/orgs/{each}/delete", data={"confirmation": token})
    await do("GET", f"/v1/orgs/{oid}/delete")
    await do("POST", f"/v1/orgs/{oid}/name", data={"name": "Called so now", "description": "told"})
    await do("POST", f"/v1/orgs/{names['made']}/quota", data={"quota": "77"})
    await do("POST", f"/v1/modules/{oid}", data={"specific_version": "4.1.2"})
    await do("POST", f"/v1/configs/{oid}/otx", data={"value": "otx-key"})
    await do("POST", f"/v1/configs/{oid}/vt", data={"value": ""})
    failing = world.failing
    component = quote(world.errors(failing)[0]["component"], safe="")
    names["failing"] = failing.oid
    await do("DELETE", f"/v1/errors/{failing.oid}/{component}")
    # Hives and what stands in them
    for hive, name, data in (
        ("dr-general", "asked", RULE), ("fp", "z", {"op": "is", "path": "cat", "value": "nothing"}),
        ("fp", "a", {"op": "is", "path": "cat", "value": "nothing"}), ("secret", "s/1", {"secret": "x"}),
        ("lookup", "gone", {"newline_content": "a"}), ("query", "old", {"query": "-1h | * | *", "stream": "event"}),
    ):  # fmt: skip
        path = f"/v1/hive/{hive}/{oid}/{quote(name, safe='')}"
        await do("POST", f"{path}/data", data=_form(data=data, usr_mtd={"enabled": True, "tags": ["t"]}))
    names["record"] = await do("GET", f"/v1/hive/dr-general/{oid}/asked/data")
    await do("POST", f"/v1/hive/fp/{oid}/z/mtd", data=_form(usr_mtd={"enabled": False, "comment": "off"}))
    await do("DELETE", f"/v1/hive/lookup/{oid}/gone")
    await do("DELETE", f"/v1/hive/lookup/{oid}/bad-domains")
    await do("POST", f"/v1/hive/query/{oid}/old/rename", data={"new_name": "new"})
    batched = {
        "set_record": {
            "record_id": {"hive": {"name": "sop", "partition": oid}, "name": "batched"},
            "record": {"data": {"text": "one"}},
        }
    }
    await do("POST", "/v1/hive", data={"request": json.dumps(batched)})
    detection, response = RULE["detect"], RULE["respond"]
    for name in ("older", "older-gone"):
        await do("POST", f"/v1/rules/{oid}", data=_form(name=name, detection=detection, response=response))
        await do(
            "POST", f"/v1/fp/{oid}", data=_form(name=name, rule={"op": "is", "path": "cat", "value": "x"})
        )
    await do("DELETE", f"/v1/rules/{oid}", data={"name": "older-gone"})
    await do("DELETE", f"/v1/fp/{oid}", data={"name": "older-gone"})
    # What is deployed beside
    names["iid"] = (await do("POST", f"/v1/installationkeys/{oid}", data={"desc": "made", "tags": "a,b"}))[
        "iid"
    ]
    gone = (await do("POST", f"/v1/installationkeys/{oid}", data={"desc": "gone", "tags": ""}))["iid"]
    await do("DELETE", f"/v1/installationkeys/{oid}", data={"iid": gone})
    for name in ("made", "gone"):
        await do("POST", f"/v1/insight/{oid}/ingestion_keys", data={"name": name})
        output = {"name": name, "module": "syslog", "type": "event", "dest_host": "log.invalid:514"}
        await do("POST", f"/v1/outputs/{oid}", data=output)
    await do("DELETE", f"/v1/insight/{oid}/ingestion_keys", data={"name": "gone"})
    await do("DELETE", f"/v1/outputs/{oid}", data={"name": "gone"})
    rule = {"name": "made", "patterns": ["/etc/passwd"], "platforms": ["linux"], "days_retention": 3}
    await do("POST", f"/v1/insight/{oid}/artifacts/rules", json=rule)
    await do("DELETE", f"/v1/insight/{oid}/artifacts/rules", data={"name": "linux-auth"})
    for service, asked in (
        ("yara", {"action": "add_source", "name": "s", "source": "rule a { condition: true }"}),
        (
            "integrity",
            {"action": "add_rule", "name": "watch", "patterns": ["/etc/*"], "platforms": ["linux"]},
        ),
        ("exfil", {"action": "remove_watch", "name": "wininet-on-servers"}),
        ("yara", {"action": "scan", "sid": sid}),
    ):
        sent = base64.b64encode(json.dumps(asked).encode()).decode()
        answer = await do("POST", f"/v1/service/{oid}/{service}", data={"request_data": sent})
    names["job"] = answer["job_id"]
    sent = base64.b64encode(json.dumps({"action": "scan", "sid": sid}).encode()).decode()
    gone = (await do("POST", f"/v1/service/{oid}/yara", data={"request_data": sent}))["job_id"]
    await do("DELETE", f"/v1/job/{oid}/{gone}")
    await do("POST", f"/v1/orgs/{oid}/subscription/extension/ext-velociraptor")
    await do("PATCH", f"/v1/orgs/{oid}/subscription/extension/ext-velociraptor")
    await do("DELETE", f"/v1/orgs/{oid}/subscription/extension/ext-lookup-manager")
    for category, name in (("lookup", "z-list"), ("detection", "d"), ("api", "z")):
        await do("POST", f"/v1/orgs/{oid}/resources", data={"res_cat": category, "res_name": name})
    await do("DELETE", f"/v1/orgs/{oid}/resources", data={"res_cat": "api", "res_name": "ip-geo"})
    for name in ("ext-own", "ext-gone"):
        await do("POST", "/v1/extension/definition", json={"name": name, "short_description": "s"})
    await do("PUT", "/v1/extension/definition", json={"name": "ext-own", "short_description": "t"})
    await do("DELETE", "/v1/extension/definition/ext-gone")
    # Sensors
    await do("POST", f"/v1/{sid}/tags", data={"tags": "mine,later", "ttl": "30"})
    await do("POST", f"/v1/{sid}/tags", data={"tags": "for-good,out"})
    await do("DELETE", f"/v1/{sid}/tags", data={"tag": "out"})
    task = {"tasks": ["os_version", "netstat"], "investigation_id": "inv"}
    await do("POST", f"/v1/{here[1]}", data=task, headers={"x-idempotent-key": "once"})
    await do("POST", f"/v1/{sid}", data=task)
    names["answered"] = here[1]
    for method in ("POST", "DELETE"):
        await do(method, f"/v1/{here[2]}/isolation")
        await do(method, f"/v1/{here[2]}/seal")
    await do("POST", f"/v1/{sid}/isolation")
    await do("POST", f"/v1/{sid}/seal")
    names["removed"] = here[3]
    await do("DELETE", f"/v1/{here[4]}")
    await do("DELETE", f"/v1/{here[3]}")
    await do("DELETE", f"/v1/orgs/{other.oid}/schema")
    # Payloads
    for name in ("made", "gone"):
        address = (await do("POST", f"/v1/payload/{oid}/{name}"))["put_url"]
        names["upload"] = address.partition("HERE")[2]
        await do("PUT", names["upload"], data=b"\x00\xff content")
    await do("DELETE", f"/v1/payload/{oid}/gone")
    names["download"] = (await do("GET", f"/v1/payload/{oid}/made"))["get_url"].partition("HERE")[2]
    # Cases
    listed = (await do("GET", "/api/v1/cases", params={"oids": oid, "page_size": "200"}))["cases"]
    numbers = [case["case_number"] for case in listed if case["status"] != "closed"]
    first, second, third = numbers[:3]
    names["case"], at = first, {"oid": oid}
    cases = f"/api/v1/cases/{first}"
    await do("PATCH", cases, params=at, json={"summary": "Ours", "tags": ["x", "ü"], "assignees": ["me"]})
    await do("POST", f"{cases}/notes", params=at, json={"content": "first", "note_type": "handoff"})
    note = (await do("GET", cases, params=at))["events"][-1]["event_id"]
    await do("PATCH", f"{cases}/notes/{note}", params=at, json={"is_public": True})
    await do("POST", f"{cases}/time-logs", params=at, json={"billable_seconds": 60})
    detect_id = world.detections.detect_id(one.index, 0)
    names["detect_id"] = detect_id
    await do(
        "POST", f"{cases}/detections", params=at, json={"detection": {"detect_id": "made-up", "cat": "c"}}
    )
    linked = (await do("GET", f"{cases}/detections", params=at))["detections"][0]["detect_id"]
    await do("DELETE", f"{cases}/detections/{linked}", params=at)
    event = {"routing": {"this": "atom", "sid": sid, "event_type": "NEW_PROCESS"}}
    for what, rows in (
        ("entities", [{"entity_type": "ip", "entity_value": v} for v in ("192.0.2.7", "192.0.2.8")]),
        ("telemetry", [{"event": event, "note": v} for v in "ab"]),
        ("artifacts", [{"path": v, "source": "s"} for v in "ab"]),
    ):
        kind = {"entities": "entity", "telemetry": "telemetry", "artifacts": "artifact"}[what]
        for row in rows:
            await do("POST", f"{cases}/{what}", params=at, json=row)
        found = (await do("GET", f"{cases}/{what}", params=at))[what]
        ids = [each[f"{kind}_id"] for each in found]
        if what != "artifacts":
            await do("PATCH", f"{cases}/{what}/{ids[-2]}", params=at, json={"verdict": "benign"})
        await do("DELETE", f"{cases}/{what}/{ids[-1]}", params=at)
    bulk = {"oid": oid, "case_numbers": [second], "update": {"classification": "true_positive"}}
    await do("POST", "/api/v1/cases/bulk-update", json=bulk)
    merged = {"oid": oid, "target_case_number": first, "source_case_numbers": [third]}
    await do("POST", "/api/v1/cases/merge", json=merged)
    await do("PUT", f"/api/v1/config/{oid}", json={"retention_days": 12, "severity_mapping": {"high_min": 6}})
    # A search that somebody is in the middle of
    question = {"oid": oid, "query": "-10d | * | * | *", "stream": "event"}
    names["search"] = (await do("POST", "/v1/search", json=question))["queryId"]
    page = await do("GET", f"/v1/search/{names['search']}")
    names["token"] = page["results"][0]["nextToken"]
    assert names["token"]
    done = (await do("POST", "/v1/search", json=question))["queryId"]
    await do("DELETE", f"/v1/search/{done}")
    # Extensions that are asked
    sent = {"oid": oid, "action": "ingest_detection"}
    live = await do("GET", f"/v1/insight/{oid}/detections/{detect_id}")
    sent |= _form(data={"detection": live | {"detect_id": "sent-in"}})
    await do("POST", "/v1/extension/request/ext-cases", data=sent)
    return names


def readings(names: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Every endpoint that shows something, asked for what was changed and for what nobody touched."""
    oid, other, made, sid = names["oid"], names["other"], names["made"], names["sid"]
    answered, case = names["answered"], names["case"]
    span = {"start": str(NOW_MS // 1000 - 30 * 86_400), "end": str(NOW_MS // 1000 + 86_400)}
    found: list[tuple[str, str, dict[str, Any]]] = []

    def get(path: str, **query: Any) -> None:
        found.append(("GET", path, {"params": {name: str(each) for name, each in query.items()}}))

    def post(path: str, **options: Any) -> None:
        found.append(("POST", path, options))

    get("/v1/who")
    get("/v1/user/orgs", limit=100)
    get("/v1/user/orgs", limit=3, offset=2, sort_by="site_name", sort_order="desc")
    get("/v1/user/self/auth")
    get("/v1/plans")
    get("/v1/groups")
    get("/v1/groups/concurrent")
    get("/v1/ontology")
    get("/v1/events")
    get("/v1/orgs/new", name="Zürich Über")
    get("/v1/extension/definition")
    for name in ("ext-own", "ext-gone", "ext-yara"):
        get(f"/v1/extension/definition/{name}")
    get("/v1/extension/schema/ext-own")
    get(f"/v1/groups/{names['gid']}")
    get(f"/v1/groups/{names['gid']}/logs")
    for one in (oid, other, made, names["deleted"], names["failing"]):
        for path in (
            "users", "users/permissions", "keys", "billing/status", "billing/details", "billing/sku", "subscriptions",
            "resources", "delete", "schema", "url",
        ):  # fmt: skip
            get(f"/v1/orgs/{one}/{path}")
        get(f"/v1/orgs/{one}")
        for what in (
            "installationkeys", "outputs", "service", "rules", "fp", "usage", "errors", "runtime_mtd", "quota_usage",
            "online", "mitre", "payload", "job", "tags", "sensors", "hostnames",
        ):  # fmt: skip
            get(f"/v1/{what}/{one}")
        for what in ("ingestion_keys", "artifacts/rules"):
            get(f"/v1/insight/{one}/{what}")
        for name in ("otx", "vt", "domain"):
            get(f"/v1/configs/{one}/{name}")
        for hive in sorted(configuration.HIVES):
            get(f"/v1/hive/{hive}/{one}")
        get(f"/v1/hive/fp/{one}", limit=1)
        for what in ("detections", "detections/stats", "audit", "online/stats", "traffic/stats", "artifacts"):
            get(f"/v1/insight/{one}/{what}", **span, limit=500)
        get(f"/v1/insight/{one}")
        get(f"/api/v1/config/{one}")
        get(f"/v1/search/{one}/limits")
        get(f"/v1/search/{one}/queries")
        post(f"/v1/export/{one}/sensors")
    get(f"/v1/orgs/{oid}/billing/invoice/2026/10", format="json")
    get(f"/v1/orgs/{oid}/billing/invoice/2026/10")
    get(f"/v1/orgs/{oid}/schema/NEW_PROCESS")
    get("/v1/hive/fp/schema")
    for hive, key in (
        ("dr-general", "asked"),
        ("fp", "z"),
        ("secret", "s/1"),
        ("lookup", "bad-domains"),
        ("query", "new"),
    ):
        get(f"/v1/hive/{hive}/{oid}/{quote(key, safe='')}/data")
        get(f"/v1/hive/{hive}/{oid}/{quote(key, safe='')}/mtd")
    post(f"/v1/hive-public/dr-general/{oid}", data={"guid": names["record"]["sys_mtd"]["guid"]})
    post(f"/v1/hive/dr-general/{oid}/asked/validate", data=_form(data=RULE))
    get(f"/v1/arl/{oid}", arl="hive://dr-general/asked")
    get(f"/v1/installationkeys/{oid}/{names['iid']}")
    for name in ("made", "gone"):
        get(f"/v1/payload/{oid}/{name}")
    get(names["download"])
    get(f"/v1/job/{oid}/{names['job']}")
    for each in (sid, answered, names["removed"]):
        get(f"/v1/{each}")
        get(f"/v1/{each}/tags")
        get(f"/v1/insight/{oid}/{each}", **span)
        get(f"/v1/insight/{oid}/{each}/overview", **span | {"start": str(NOW_MS // 1000 - 86_400)})
        get(f"/v1/insight/event_count/{oid}/{each}", **span)
    get(f"/v1/tags/{oid}/for-good")
    post(f"/v1/online/{oid}", data={"sids": [sid, names["removed"]]})
    get(f"/v1/insight/{oid}/detections/{names['detect_id']}")
    get(f"/v1/insight/{oid}/{answered}/{names['atom']}")
    get(f"/v1/insight/{oid}/{answered}/{names['atom']}/children")
    post(f"/v1/insight/{oid}/artifacts/originals/none")
    get(names["invoice"])
    get(f"/v1/insight/{oid}/objects/domain", name="example")
    post(f"/v1/insight/{oid}/objects", data=_form(objects={"domain": ["example"]}))
    line = {"platform": "text", "text_input": "hello", "mapping": {}}
    post(f"/v1/usp/validate/{oid}", json=line)
    at = {"params": {"oid": oid}}
    get("/api/v1/orgs")
    get("/api/v1/assignees", oids=oid)
    get("/api/v1/dashboard/counts", oids=oid)
    start, end = "2026-10-01T00:00:00Z", "2026-12-01T00:00:00Z"
    get("/api/v1/reports/summary", **{"oids": oid, "from": start, "to": end})
    get("/api/v1/entities/search", oids=oid, entity_type="ip", entity_value="192.0.2.7")
    get("/api/v1/cases", oids=oid, page_size=200)
    get("/api/v1/cases", oids=oid, page_size=2, page_token=names["after"])
    for number in range(1, names["cases"] + 1):
        found.append(("GET", f"/api/v1/cases/{number}", at))
    for what in ("detections", "entities", "telemetry", "artifacts"):
        found.append(("GET", f"/api/v1/cases/{case}/{what}", at))
    asked = {"oid": oid, "query": "-10d | * | * | *", "stream": "detect"}
    post("/v1/search/validate", json=asked)
    get(f"/v1/search/{names['search']}", token=names["token"])
    return found


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _untimed(each) for name, each in value.items() if name not in TIMED}
    return [_untimed(each) for each in value] if isinstance(value, list) else value


def _shown(path: str, body: bytes) -> bytes:
    """An answer without how long it took, and without the address that is a new one each time."""
    if path.startswith("/v1/search/"):
        return orjson.dumps(_untimed(orjson.loads(body)))
    if path.startswith("/v1/payload/") and b"/payloads/" in body:
        return body.partition(b"/payloads/")[0]
    return body


async def _prepared(hand: Hand) -> dict[str, Any]:
    """Everything changed, and the names of what has to be asked for."""
    names = await change_everything(hand)
    world = hand.sandbox.world
    one = world.by_oid[names["oid"]]
    answers = world.events.answered(one)
    names["atom"] = next(
        each["routing"]["this"] for each in answers if each["routing"]["sid"] == names["answered"]
    )
    path = f"/v1/orgs/{names['oid']}/billing/invoice/2026/10"
    names["invoice"] = (await hand.do("GET", path))["url"].partition("HERE")[2]
    listed = await hand.do("GET", "/api/v1/cases", params={"oids": names["oid"], "page_size": "2"})
    names["after"] = listed["next_page_token"]
    names["cases"] = max(case.number for case in world.cases.all_of(one))
    return names


async def test_all_that_the_api_shows_is_there_again(hand: Hand, clock: Clock) -> None:
    clock.moment += 60  # the storm is over, and live detections have become cases
    names = await _prepared(hand)
    _, raw = await hand.send("GET", "/sandbox/snapshot")
    assert (await hand.send("GET", "/sandbox/snapshot"))[1] == raw
    again = await _again(hand)
    try:
        assert dumps(copied(again.sandbox.kept())) == raw
        served = {f"{each.method} {each.template}" for each in hand.sandbox.log.entries if each.status == 200}
        for method, path, options in readings(names):
            before, after = [await each.send(method, path, **options) for each in (hand, again)]
            assert after[0] == before[0], (method, path, before, after)
            assert _shown(path, after[1]) == _shown(path, before[1]), (method, path)
        served |= {
            f"{each.method} {each.template}" for each in again.sandbox.log.entries if each.status == 200
        }
        shown = {f"{each.method} {each.template}" for each in again.sandbox.log.entries}
    finally:
        await again.sandbox.stop()
    known = {f"{each.method} {each.template}" for each in table.endpoints}
    assert known - served - STREAMS == {"POST /v1/insight/{oid}/artifacts/originals/{artifact}"}
    assert {each for each in known if each.startswith("GET ")} - STREAMS - shown == set()


async def test_what_is_done_next_is_the_same_as_it_would_have_been(hand: Hand, clock: Clock) -> None:
    names = await _prepared(hand)
    again = await _again(hand)
    oid, sid, case = names["oid"], names["sid"], names["case"]
    record = names["record"]

    async def go_on(one: Hand) -> list[Any]:
        do, at = one.do, {"params": {"oid": oid}}
        said: list[Any] = []
        # The etag that was read before is still the record's, and good once.
        sent = {"data": json.dumps(RULE), "etag": record["sys_mtd"]["etag"]}
        for _ in range(2):
            said.append(await one.send("POST", f"/v1/hive/dr-general/{oid}/asked/data", data=sent))
        said.append(await do("GET", f"/v1/hive/dr-general/{oid}/asked/data"))
        said.append(await do("POST", "/v1/groups", data={"name": "Next"}))
        said.append(await do("POST", f"/v1/orgs/{oid}/keys", data={"key_name": "next", "perms": "org.get"}))
        said.append(await do("POST", f"/v1/installationkeys/{oid}", data={"desc": "next", "tags": ""}))
        said.append(await do("POST", f"/v1/insight/{oid}/ingestion_keys", data={"name": "next"}))
        said.append(await do("POST", "/v1/orgs/new", data={"name": "Next", "loc": "usa"}))
        said.append(await do("POST", f"/api/v1/cases/{case}/notes", **at, json={"content": "next"}))
        said.append(await do("POST", f"/v1/{names['answered']}", data={"tasks": "os_packages"}))
        # The idempotency key was used already: nothing is sent.
        key = {"x-idempotent-key": "once"}
        said.append(await do("POST", f"/v1/{names['answered']}", data={"tasks": "netstat"}, headers=key))
        asked = {"params": {"token": names["token"]}}
        said.append(_untimed(await do("GET", f"/v1/search/{names['search']}", **asked)))
        said.append(await one.send("PUT", names["upload"], data=b"again"))
        said.append(await do("GET", f"/v1/{sid}/tags"))
        for step in (20, 20, 400):
            # The tag that ends is gone; the storm comes, and what comes live; the addresses end.
            clock.moment += step
            said.append(await do("GET", f"/v1/{sid}/tags"))
            span = {"start": str(NOW_MS // 1000 - 60), "end": str(NOW_MS // 1000 + 86_400), "limit": "500"}
            for each in one.sandbox.world.by_oid:
                said.append(await one.send("GET", f"/v1/insight/{each}/detections", params=span))
            said.append(await do("GET", "/api/v1/cases", params={"oids": oid, "page_size": "200"}))
        clock.moment += 500
        said.append(await one.send("PUT", names["upload"], data=b"too late"))
        said.append(await do("GET", f"/v1/insight/{oid}/audit", params=span))
        said.append(dumps(copied(_untimed_snapshot(one.sandbox))))
        return said

    began = clock.moment
    try:
        before = await go_on(hand)
        clock.moment = began
        after = await go_on(again)
    finally:
        await again.sandbox.stop()
    for number, (one, other) in enumerate(zip(before, after, strict=True)):
        assert one == other, number
    statuses = [each[0] for each in before if isinstance(each, tuple)]
    assert statuses[:2] == [200, 400]  # the etag, once
    assert statuses[-1] == 403  # the address that ended
    live = sum(len(one) for one in hand.sandbox.world.detections._live.values())
    assert live > 100


def _untimed_snapshot(sandbox: Sandbox) -> snapshot.Snapshot:
    """What is kept, without what the machine's clock decides: when a search was last looked at."""
    kept = sandbox.kept()
    for one in kept.world.searches:
        one.active = one.walltime = 0
    return kept


async def test_tokens_rates_and_faults_go_on(clock: Clock) -> None:
    sandbox = Sandbox(World(**SIZE, now_ms=NOW_MS), rate_quota=10, latency=1)
    await sandbox.start()
    async with aiohttp.ClientSession() as session:
        hand = Hand(sandbox, session, {})
        token = await hand.log_in("-")
        flaky = {"fault": "status", "path": "/v1/plans", "count": None, "probability": 0.5, "seed": 4}
        twice = {"fault": "throttle", "path": "/v1/who", "nth": 3, "count": 2}
        await hand.do("POST", "/sandbox/faults", json=[flaky, twice])
        for path in ["/v1/plans"] * 7 + ["/v1/who"] * 3:
            await hand.send("GET", path)
        again = await _again(hand)
        assert again.sandbox.latency == 1
        said = [[await each.do("GET", "/sandbox/faults")] for each in (hand, again)]
        for each, answers in zip((hand, again), said, strict=True):
            for path in ["/v1/plans"] * 9 + ["/v1/who"] * 12:
                answers.append((await each.send("GET", path))[0])
        assert said[0] == said[1]
        # The fault's second time, then the rest of the ten, then the limit.
        assert said[0].count(429) >= 3
        assert again.tokens["-"] == token
        # Another sandbox of the same seed does not take it.
        other = Sandbox(World(**SIZE, now_ms=NOW_MS))
        await other.start()
        assert (await Hand(other, session, hand.tokens).send("GET", "/v1/who"))[0] == 401
        for each in (again.sandbox, other, sandbox):
            await each.stop()


async def test_it_can_be_looked_into_and_compared_line_by_line(hand: Hand) -> None:
    before = dumps(copied(hand.sandbox.kept())).decode().splitlines()
    one = _busy(hand.sandbox.world)
    await hand.do("POST", f"/v1/configs/{one.oid}/otx", data={"value": "key"})
    after = dumps(copied(hand.sandbox.kept())).decode().splitlines()
    new = [line.strip() for line in after if line not in before]
    assert any(f'"{one.oid}":{{"values":{{"otx":"key"}}}}' in line for line in new), new
    # The setting, its entry in the audit log, and the caller's rate.
    assert len(new) <= 10
    assert max(map(len, before)) < 4000


async def test_a_snapshot_is_of_one_moment_while_others_write(hand: Hand) -> None:
    one = _busy(hand.sandbox.world)
    ended = False

    async def write(name: str) -> int:
        count = 0
        while not ended:
            path = f"/v1/hive/query/{one.oid}/{name}-{count}"
            data = _form(data={"query": "-1h | * | *", "stream": "event"})
            assert (await hand.send("POST", f"{path}/data", data=data))[0] == 200
            assert (await hand.send("POST", f"{path}/rename", data={"new_name": f"{name}-{count}-b"}))[
                0
            ] == 200
            count += 1
        return count

    writers = [asyncio.create_task(write(name)) for name in "abcd"]
    seen = []
    for _ in range(12):
        _, raw = await hand.send("GET", "/sandbox/snapshot")
        kept = loads(raw).world
        records = kept.configuration.changes.get(one.oid, snapshot.Configured()).records.get("query", {})
        # Each write has its etag and its entry; of a renamed record one name is there, and one is gone.
        assert kept.configuration.writes == sum(
            each["etype"] == "hive_set" for each in kept.audit.get(one.oid, [])
        )
        gone = {f"{name}-b" for name, record in records.items() if record is None}
        assert gone == {name for name in records if name.endswith("-b")}
        Sandbox.resumed(loads(raw))
        seen.append(kept.configuration.writes)
    ended = True
    done = await asyncio.gather(*writers)
    assert seen[-1] > seen[0]
    assert sum(done) > 0


KEPT: dict[type, set[str]] = {
    World: {
        "access", "audit", "by_oid", "cases", "configuration", "detections", "events", "fleet", "jobs", "organizations",
        "payloads", "searches", "seed", "orgs", "past", "now_ms", "_elapsed", "_entries", "_confirmations",
        "_failing_since", "_dismissed", "_schemas_since",
    },
    access.Access: {
        "groups", "by_gid", "users", "by_uid", "_granted", "_keys_made", "_keys_gone", "_keys_used", "_made",
        "_directly",
    },
    configuration.Configuration: {"_changes", "_writes", "definitions"},
    sensors.Fleet: {"_changes", "_removed"},
    Sandbox: {
        "world", "latency", "rate_quota", "rate_period", "live_rate", "storm_after", "storm", "tokens", "faults",
        "_windows",
    },
    search.Searches: {"_open"},
}  # fmt: skip
"""What a snapshot has of each part, or what is made of that."""
NOT_KEPT: dict[type, set[str]] = {
    World: {
        "now", "unauthorized", "hostile", "failing", "over_quota",  # of the seed
        "on_unsubscribed", "made_from_template",  # how it is wired
        "_began", "_listings", "_listed_at", "_online", "_slugs",  # of this process, or made again
    },
    access.Access: {
        "root", "analysts", "seniors", "engineers", "administrators", "responders", "managers", "left", "leaked",
        "staff", "_seed", "_organizations", "_now", "_invented",  # of the seed
        "version",  # only tells listings that are older
    },
    configuration.Configuration: {"_seed", "_access", "_now", "failing", "_clock", "hives"},
    sensors.Fleet: set(),
    Sandbox: {
        "log", "url", "_runner", "_headers",  # of this process
        "fault",  # a function of a test
    },
    search.Searches: set(),
}  # fmt: skip


async def test_whoever_gives_a_part_something_to_remember_decides_whether_it_is_kept(hand: Hand) -> None:
    world = hand.sandbox.world
    parts = (hand.sandbox, world, world.access, world.configuration, world.fleet, world.searches)
    for part in parts:
        assert set(vars(part)) == KEPT[type(part)] | NOT_KEPT[type(part)], type(part)
    others = {
        "detections": {
            "_live", "_fired", "_gone",  # kept
            "_rate", "_shares", "_planned", "_emitted", "_released", "_resumed",  # of how it is served, and the clock
            "_seed", "_organizations", "_now_ms", "_start", "_hostile", "_keys", "_curve", "_by_sensor",  # of the seed
        },
        "events": {"_answers", "_seed", "_now_ms", "_detections", "_clock"},
        "payloads": {"_kept", "_tickets"},
        "cases": {
            "_kept", "_places", "_emptied", "_configs", "_ingested", "_taken", "_count",  # kept
            "_world", "seeded", "_listeners", "acted", "rate", "_budgets",  # of the seed, or of this process
        },
        "audit": {"_seed", "_access", "_start"},  # of the seed alone
    }  # fmt: skip
    for name, known in others.items():
        assert set(vars(getattr(world, name))) == known, name


@pytest.mark.parametrize(
    ("kind", "shape", "besides"),
    [
        (sensors.Changes, snapshot.Machine, set()),
        (configuration._Changes, snapshot.Configured, set()),
        (Case, snapshot.Case, {"oid", "story"}),  # where it stands; told before it is kept
        (search.Search, snapshot.Search, {"plan", "running"}),  # made of the query; of an open connection
        (access.Group, snapshot.Group, set()),
        (access.Key, snapshot.Key, {"last_used"}),  # stands beside it
    ],
)
def test_every_field_is_kept(kind: Any, shape: type, besides: set[str]) -> None:
    fields = {each.name for each in dataclasses.fields(kind)}
    assert fields - besides <= set(shape.__struct_fields__)  # type: ignore[attr-defined]


def test_of_an_organization_all_is_kept_that_can_change() -> None:
    known = {each.name for each in dataclasses.fields(organizations.Organization)}
    told = set(snapshot.Told.__struct_fields__)
    made = {"oid", "site", "created", "creator", "born", "blank"}
    of_the_seed = {
        "index", "slug", "domain", "region", "tier", "industry", "sensors", "quota", "detections", "parent", "netbios",
    }  # fmt: skip
    assert known == told | made | of_the_seed


# A stranger's file


class Busy(NamedTuple):
    """A sandbox in which something of everything was changed."""

    file: bytes
    tokens: dict[str, str]
    readings: list[tuple[str, str, dict[str, Any]]]


@pytest.fixture(scope="module")
def worked() -> Busy:
    async def make() -> Busy:
        sandbox = Sandbox(World(**SIZE, now_ms=NOW_MS), live_rate=600, storm_after=0)
        await sandbox.start()
        async with aiohttp.ClientSession() as session:
            hand = Hand(sandbox, session, {})
            names = await _prepared(hand)
            await hand.do("POST", "/sandbox/faults", json=[{"fault": "drop", "path": "/nothing"}])
            _, raw = await hand.send("GET", "/sandbox/snapshot")
        await sandbox.stop()
        return Busy(raw, hand.tokens, readings(names))

    return asyncio.run(make())


@pytest.fixture
def busy(worked: Busy) -> bytes:
    return worked.file


def _put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(file: dict[str, Any]) -> None:
        *above, last = path.split(".")
        holder: Any = file
        for step in above:
            holder = (
                next(iter(holder.values()))
                if step == "*"
                else holder[int(step) if step.isdecimal() else step]
            )
        holder[int(last) if isinstance(holder, list) else last] = value

    return change


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (_put("format", "x"), "does not say"),
        (_put("version", 2), "version 2, and this limegrove reads version 1"),
        (_put("version", True), "version True"),
        (_put("more", 1), "unknown field `more`"),
        (_put("origin.orgs", 10**9), "$.origin.orgs"),
        (_put("origin.orgs", "9"), "$.origin.orgs"),
        (_put("origin.seed", 32), "another provider"),
        (_put("origin.now_ms", 10**18), "$.origin.now_ms"),
        (_put("origin.likeness", "x"), "another provider"),
        (_put("serving.live_rate", 1e-300), "serving.live_rate"),
        (_put("serving.latency", 1e9), "$.serving.latency"),
        (_put("tokens", "AAAA"), "32 bytes"),
        (_put("tokens", "\u001b[31m"), "$.tokens"),
        (_put("faults.0.rule.fault", "flood"), "flood"),
        (_put("faults.0.applied", 5), "more often"),
        (_put("faults.0", {"rule": {"fault": "drop", "count": None, "probability": 0.5}, "matched": 2**52, "applied": 0}), "drawn"),
        (_put("windows.x", {"since": 10**14, "used": 1}), "after world.clock"),
        (_put("world.clock", 0), "before origin.now_ms"),
        (_put("world.made.0.name", "Other"), None),
        (_put("world.made.0.oid", "x"), "the seed calls"),
        (_put("world.deleted.0", "\u001b]0;x"), "no organization"),
        (_put("world.deleted.1", "00000000-0000-4000-8000-000000000000"), "no organization"),
        (_put("world.audit.*.0.time", "now"), "audit"),
        (_put("world.access.groups.0.members", ["nobody"]), "nobody is called"),
        (_put("world.access.groups.0.owners", []), "no owner"),
        (_put("world.access.groups.0.holds", [99]), "place 99"),
        (_put("world.access.groups.0.holds", [-1]), "place -1"),
        (_put("world.access.groups.0.gid", "x"), None),
        (_put("world.access.granted.x", {}), "no organization x"),
        (_put("world.access.keys.*.0.allowed_ip_range", "all"), "no range"),
        (_put("world.configuration.changes.*.records.nohive", {}), "no hive nohive"),
        (_put("world.configuration.changes.*.outputs.made.name", "x"), "another's name"),
        (_put("world.configuration.changes.*.stamps", [["x", "y", "z", 1]]), "no service"),
        (_put("world.fleet.removed", []), "fleet.removed"),
        (_put("world.fleet.sensors.x", {}), "no sensor x"),
        (_put("world.answers.x", []), None),
        (_put("world.answers.*", [{"event": {}}]), "answers"),
        (_put("world.detections.live.*.0.1", "no-rule"), "no rule"),
        (_put("world.detections.fired", {"x": {}}), "detections.fired"),
        (_put("world.cases.kept.*.0.status", "lost"), "lost is none of"),
        (_put("world.cases.kept.*.0.number", 0), "number"),
        (_put("world.cases.kept.*.0.events", [{"x": 1}]), "cases.kept.events"),
        (_put("world.cases.configs.*.retention_days", "long"), "retention_days"),
        (_put("world.searches.0.query", "((("), "bad query"),
        (_put("world.searches.0.start", "1" * 999), "$.world.searches"),
        (_put("world.payloads.*.0.content", "?"), "content"),
        (_put("world.tickets.0.oid", "x"), "no organization"),
        (_put("world.jobs.*", {"x": {}}), "jobs"),
    ],
)  # fmt: skip
def test_a_bad_thing_is_one_sentence(busy: bytes, change: Any, word: str | None) -> None:
    file = orjson.loads(busy)
    change(file)
    if word is None:
        Sandbox.resumed(loads(orjson.dumps(file)))
        return
    with pytest.raises(BadSnapshot) as refused:
        Sandbox.resumed(loads(orjson.dumps(file)))
    said = str(refused.value)
    assert word in said, said
    assert len(said) < 400
    assert "\n" not in said


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "not JSON"),
        (b"\x00\xff", "not JSON"),
        (b"[]", "does not say"),
        (b"7", "does not say"),
        (b"[" * 5000, "not JSON"),
        (b'{"format": "limegrove sandbox snapshot", "version": 1, "world": "\\ud800"}', "not JSON"),
        (
            b'{"format": "limegrove sandbox snapshot", "version": 1, "a": ' + b"[" * 200 + b"]" * 200 + b"}",
            "levels deep",
        ),
        (b'{"format": "limegrove sandbox snapshot"}', "version None"),
        (b'{"format": "limegrove sandbox snapshot", "version": 1}', "missing required field"),
    ],
)
def test_what_is_no_snapshot_is_one_sentence(raw: bytes, word: str) -> None:
    with pytest.raises(BadSnapshot) as refused:
        loads(raw)
    assert word in str(refused.value)


def test_a_file_that_is_too_large_is_neither_read_nor_written(
    monkeypatch: pytest.MonkeyPatch, busy: bytes
) -> None:
    kept = loads(busy)
    monkeypatch.setattr(snapshot, "MOST_BYTES", len(busy) - 1)
    with pytest.raises(BadSnapshot, match="larger than"):
        loads(busy)
    with pytest.raises(BadSnapshot, match="has at most"):
        dumps(copied(kept))


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for name, each in value.items():
            found += _places(each, (*path, name))
    elif isinstance(value, list):
        for number, each in enumerate(value[:4]):
            found += _places(each, (*path, number))
    return found


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False), st.text(max_size=8),
    st.just([]), st.just({}), st.just([[]]), st.just({"": None}), st.just("2026"), st.just(2**62),
)  # fmt: skip


def _call(sandbox: Sandbox, token: str, method: str, path: str, options: dict[str, Any]) -> Call:
    form = urlencode(options.get("data", {}), doseq=True).encode()
    return Call(
        sandbox=sandbox,
        world=sandbox.world,
        method=method,
        raw_path=path,
        query_text=urlencode(options.get("params", {})),
        body=orjson.dumps(options["json"]) if "json" in options else form,
        content_type="application/json" if "json" in options else "application/x-www-form-urlencoded",
        authorization=f"Bearer {token}",
        peer="127.0.0.1",
    )


async def _serves(sandbox: Sandbox, worked: Busy, asked: list[tuple[str, str, dict[str, Any]]]) -> None:
    """Answer as a sandbox does, whatever was spoiled: by what is there, or by a refusal."""
    sandbox.url = "http://127.0.0.1:1"
    sandbox.world.begin(live_rate=sandbox.live_rate, storm_after=sandbox.storm_after, storm=sandbox.storm)
    for method, path, options in asked:
        oid = next((found for found in UUID.findall(path + str(options)) if found in worked.tokens), "-")
        answer = await sandbox._carried_out(_call(sandbox, worked.tokens[oid], method, path, options))
        assert answer.status < 500, (method, path, options)
    dumps(copied(sandbox.kept()))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_file_that_was_spoiled_anywhere_is_refused_or_served(worked: Busy, data: st.DataObject) -> None:
    file = orjson.loads(worked.file)
    path = data.draw(st.sampled_from(_places(file)[1:]))
    holder = file
    for step in path[:-1]:
        holder = holder[step]
    match data.draw(st.sampled_from(("put", "remove", "twice"))):
        case "put":
            holder[path[-1]] = data.draw(JUNK)
        case "remove":
            del holder[path[-1]]
        case "twice" if isinstance(holder, list):
            holder.append(holder[path[-1]])
        case _:
            holder[data.draw(st.text(max_size=6))] = holder[path[-1]]
    try:
        raw = orjson.dumps(file)
    except TypeError:
        return
    try:
        sandbox = Sandbox.resumed(loads(raw))
    except BadSnapshot:
        return
    asked = data.draw(st.lists(st.sampled_from(worked.readings), max_size=12))
    asyncio.run(_serves(sandbox, worked, asked))
