"""Live streams: lines of JSON for one client, a WebSocket for the other. Both stay open.

The Python client reconnects at once, and without end, when the server closes (official client 5.10.1,
sdk/spout.py), and both give up on a connection that is silent for 121 seconds.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import WSMsgType, web

from console.sandbox.calls import Call, Refusal, table
from console.sandbox.endpoints.identity import exchange
from console.sandbox.streams import NEEDED, Tap, Wanted

TICK = 0.1
"""Seconds between two looks for news."""
KEEP_ALIVE = 5.0
"""Seconds of silence after which a sign of life is sent. The Python client cannot let go of a stream before
the next line comes, so this is also how long it may take to end."""
PATIENCE = 10.0
"""Seconds in which the WebSocket's first message has to come."""

CONNECTED = {"__trace": "connected"}
ALIVE = {"__trace": "keepalive"}
"""Clients skip every line that has a `__trace` of another kind; an empty line counts as a loss."""


def _opened(call: Call, oid: str, sent: Callable[[str], str]) -> Tap:
    """A tap for whoever can show a token, or a key that gets one.

    Raises:
        Refusal: whoever it is may not, or asks for a stream that there is none of.
    """
    kind = sent("type")
    if kind not in NEEDED:
        raise Refusal(400, f"unknown stream type {kind!r}: one of {', '.join(NEEDED)}")
    token = sent("jwt") or call.authorization.partition(" ")[2].strip()
    if not token and sent("api_key"):
        form = {"secret": sent("api_key"), "oid": oid} | ({"uid": sent("uid")} if sent("uid") else {})
        answer: Any = exchange(
            replace(
                call,
                body=urlencode(form).encode(),
                content_type="application/x-www-form-urlencoded",
                _form=None,
            )
        )
        token = answer["jwt"]
    call.claims = call.sandbox.tokens.read(token)
    if call.claims is None:
        raise Refusal(401, "unauthorized: invalid or expired token")
    call.oid = oid
    organization = call.reach(oid, NEEDED[kind], "output.set")
    return Tap(
        call.world,
        organization,
        Wanted(kind, sent("tag"), sent("cat"), sent("inv_id"), sent("sid")),
    )


async def _told(tap: Tap, tell: Callable[[Any], Awaitable[None]], gone: Callable[[], bool]) -> None:
    """Tell all news until nobody listens any more, or the organization is gone."""
    loop = asyncio.get_running_loop()
    last = loop.time()
    while not gone() and not tap.over:
        news = tap.fresh()
        for one in news:
            await tell(one)
        if news:
            last = loop.time()
        elif loop.time() - last >= KEEP_ALIVE:
            await tell(ALIVE)
            last = loop.time()
        await asyncio.sleep(TICK)


def _request(call: Call) -> web.BaseRequest:
    if call.request is None:
        raise Refusal(400, "a stream needs a connection")
    return call.request


@table.add("POST", "/{oid}", open=True)
async def spout(call: Call) -> object:
    """Lines of JSON as they happen. What goes wrong is a line of text that begins with `error:`."""
    request = _request(call)
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    response.enable_chunked_encoding()
    try:
        tap = _opened(call, call.params["oid"], call.sent)
    except Refusal as refusal:
        await response.prepare(request)
        await response.write(f"error: {refusal}\n".encode())
        await response.write_eof()
        return response
    await response.prepare(request)

    async def tell(one: Any) -> None:
        await response.write(orjson.dumps(one) + b"\n")

    with contextlib.suppress(ConnectionError):
        await tell(CONNECTED)
        await _told(tap, tell, lambda: request.transport is None or request.transport.is_closing())
        if tap.over:
            await response.write(b"error: the organization is gone\n")
        await response.write_eof()
    return response


@table.add("GET", "/ws", open=True)
async def socket(call: Call) -> object:
    """The same as messages of a WebSocket; the client's first message says what it wants."""
    request = _request(call)
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise Refusal(400, "a WebSocket is wanted here")
    # It answers the client's own pings; the signs of life are messages, for a proxy eats pings.
    response = web.WebSocketResponse(autoping=True)
    await response.prepare(request)
    try:
        first = await response.receive(timeout=PATIENCE)
        asked = orjson.loads(first.data) if first.type in (WSMsgType.TEXT, WSMsgType.BINARY) else None
        if not isinstance(asked, dict):
            raise Refusal(400, "the first message has to be an object")
        tap = _opened(call, str(asked.get("oid") or ""), lambda name: str(asked.get(name) or ""))
    except (Refusal, ValueError, TimeoutError) as problem:
        text = str(problem) if isinstance(problem, Refusal) else "the first message has to be JSON"
        # A reason has room for 123 bytes.
        await response.close(code=1008, message=f"error: {text}".encode()[:123])
        return response

    async def tell(one: Any) -> None:
        await response.send_bytes(orjson.dumps(one))

    async def listen() -> None:
        # Nothing more is expected of the client; this notices when it goes.
        async for _ in response:
            pass

    listening = asyncio.create_task(listen())
    try:
        with contextlib.suppress(ConnectionError):
            await tell(CONNECTED)
            await _told(tap, tell, lambda: response.closed or listening.done())
        await response.close()
    finally:
        listening.cancel()
    return response
