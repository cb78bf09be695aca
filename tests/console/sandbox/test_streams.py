"""Live streams: what they begin with, what they tell, and how long they stay."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from console.sandbox.endpoints import streams
from console.sandbox.server import Sandbox
from console.sandbox.world import World
from tests.console.sandbox.conftest import NOW_MS, Asker


@pytest.fixture
async def live() -> AsyncIterator[Asker]:
    """Three organizations where a hundred detections a second happen."""
    sandbox = Sandbox(World(seed=31, orgs=3, detections=300, now_ms=NOW_MS), live_rate=6000)
    await sandbox.start()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Asker(sandbox, session)
    await sandbox.stop()


class Lines:
    """A spout, read line by line."""

    def __init__(self, asker: Asker, **form: str) -> None:
        self._asking = asker.session.post(f"{asker.sandbox.url}/{asker.one.oid}", data=form)

    async def __aenter__(self) -> "Lines":
        self._answer = await self._asking.__aenter__()
        assert self._answer.status == 200
        assert self._answer.headers["Transfer-Encoding"] == "chunked"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._answer.close()

    async def text(self) -> str:
        return (await asyncio.wait_for(self._answer.content.readline(), 10)).decode()

    async def next(self) -> Any:
        return json.loads(await self.text())


async def test_live_detections_are_told_and_are_those_that_are_kept(live: Asker) -> None:
    token = await live.token(oid=live.one.oid)
    async with Lines(live, type="detect", jwt=token) as lines:
        assert await lines.next() == {"__trace": "connected"}
        told = [await lines.next() for _ in range(5)]
    for detection in told:
        assert detection["routing"]["oid"] == live.one.oid
        path = f"/v1/insight/{live.one.oid}/detections/{detection['detect_id']}"
        assert await live.get(path, token) == detection
    assert [one["gen_time"] for one in told] == sorted(one["gen_time"] for one in told)


async def test_the_events_that_live_detections_report_are_told_and_kept(live: Asker) -> None:
    token = await live.token(oid=live.one.oid)
    async with Lines(live, type="event", jwt=token) as lines:
        assert await lines.next() == {"__trace": "connected"}
        told = [await lines.next() for _ in range(3)]
    for event in told:
        path = f"/v1/insight/{live.one.oid}/{event['routing']['sid']}/{event['routing']['this']}"
        assert await live.get(path, token) == {"event": event}


async def test_a_key_opens_a_stream_as_a_token_does(asker: Any) -> None:
    key = asker.world.access.keys(asker.one)[0]
    async with Lines(asker, type="audit", api_key=key.secret) as lines:
        assert await lines.next() == {"__trace": "connected"}
    user = asker.world.access.users[asker.world.access.root]
    async with Lines(asker, type="audit", api_key=user.api_key, uid=user.uid) as lines:
        assert await lines.next() == {"__trace": "connected"}


async def test_what_somebody_does_is_told_at_once(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    found = next(asker.world.sensors_of(asker.one))
    async with (
        Lines(asker, type="audit", jwt=token) as audit,
        Lines(asker, type="deployment", jwt=token) as deployment,
    ):
        assert await audit.next() == await deployment.next() == {"__trace": "connected"}
        await asker.ask("POST", f"/v1/{found.sid}/tags", token, data={"tags": "seen"})
        entry = await audit.next()
        assert (entry["etype"], entry["mtd"], entry["ident"]) == (
            "add_tag",
            {"tag": "seen"},
            asker.world.access.root,
        )
        await asker.ask("DELETE", f"/v1/{found.sid}", token)
        assert (await audit.next())["etype"] == "remove_sensor"
        left = await deployment.next()
        assert (left["routing"]["event_type"], left["routing"]["sid"]) == ("deleted_sensor", found.sid)


async def test_the_answer_to_a_task_arrives_under_its_investigation(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    found = next(one for one in asker.world.sensors_of(asker.one) if not one.silent)
    async with Lines(asker, type="event", jwt=token, inv_id="mine") as lines:
        assert await lines.next() == {"__trace": "connected"}
        for investigation in ("other", "mine"):
            form = {"tasks": "os_version", "investigation_id": investigation}
            await asker.ask("POST", f"/v1/{found.sid}", token, data=form)
        kinds = [(await lines.next())["routing"]["event_type"] for _ in range(2)]
    assert kinds == ["CLOUD_NOTIFICATION", "OS_VERSION_REP"]


async def test_filters_let_through_what_fits(live: Asker) -> None:
    token = await live.token(oid=live.one.oid)
    async with Lines(live, type="detect", jwt=token) as lines:
        await lines.next()
        known = await lines.next()
    tag = known["routing"]["tags"][0]
    async with Lines(live, type="detect", jwt=token, cat=known["cat"]) as lines:
        await lines.next()
        assert {(await lines.next())["cat"] for _ in range(3)} == {known["cat"]}
    sid = known["routing"]["sid"]
    async with Lines(live, type="detect", jwt=token, sid=sid) as lines:
        await lines.next()
        assert (await lines.next())["routing"]["sid"] == sid
    async with Lines(live, type="detect", jwt=token, tag=tag) as lines:
        await lines.next()
        told = [await lines.next() for _ in range(3)]
        assert all(tag in one["routing"]["tags"] for one in told)


async def test_a_quiet_stream_stays_open_and_gives_signs_of_life(
    asker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.05)
    monkeypatch.setattr(streams, "TICK", 0.01)
    async with Lines(asker, type="billing", jwt=await asker.token(oid=asker.one.oid)) as lines:
        assert await lines.next() == {"__trace": "connected"}
        for _ in range(3):
            assert await lines.next() == {"__trace": "keepalive"}


def test_the_signs_of_life_come_in_half_of_what_clients_wait() -> None:
    assert streams.KEEP_ALIVE <= 121 / 2


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"type": "detect", "jwt": "nonsense"}, "unauthorized: invalid or expired token"),
        ({"type": "detect", "api_key": "nonsense"}, "unknown api key"),
        ({"type": "detect"}, "unauthorized: invalid or expired token"),
        ({"type": "everything", "jwt": "x"}, "unknown stream type 'everything'"),
    ],
)
async def test_whoever_may_not_listen_is_told_in_text(
    asker: Any, form: dict[str, str], sentence: str
) -> None:
    async with Lines(asker, **form) as lines:
        assert (await lines.text()).startswith(f"error: {sentence}")
        assert await lines.text() == ""


async def test_a_stream_needs_its_permission(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid, perms="audit.get")
    async with Lines(asker, type="detect", jwt=token) as lines:
        assert "insight.det.get" in await lines.text()
    async with Lines(asker, type="audit", jwt=token) as lines:
        assert await lines.next() == {"__trace": "connected"}


async def test_the_websocket_tells_the_same(live: Asker) -> None:
    token = await live.token(oid=live.one.oid)
    async with live.session.ws_connect(f"{live.sandbox.url}/ws") as socket:
        await socket.send_json({"oid": live.one.oid, "jwt": token, "type": "detect", "resume_context": {}})
        assert json.loads((await socket.receive(10)).data) == {"__trace": "connected"}
        told = [json.loads((await socket.receive(10)).data) for _ in range(3)]
    path = f"/v1/insight/{live.one.oid}/detections/"
    for detection in told:
        assert await live.get(path + detection["detect_id"], token) == detection


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ('{"oid": "x", "jwt": "y", "type": "detect"}', "error: unauthorized"),
        ("nonsense", "error: the first message has to be JSON"),
        ("[]", "error: the first message has to be an object"),
    ],
)
async def test_the_websocket_closes_with_a_reason(asker: Any, first: str, reason: str) -> None:
    async with asker.session.ws_connect(f"{asker.sandbox.url}/ws") as socket:
        await socket.send_str(first)
        message = await socket.receive(10)
        assert message.type == aiohttp.WSMsgType.CLOSE
        assert message.data == 1008
        assert message.extra.startswith(reason)


async def test_a_listener_that_goes_is_let_go(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    async with Lines(asker, type="audit", jwt=token) as lines:
        await lines.next()
        assert "POST /{oid}" not in asker.sandbox.endpoints()
    async with asyncio.timeout(10):
        while asker.sandbox.endpoints().get("POST /{oid}") != 1:
            await asyncio.sleep(0.01)
