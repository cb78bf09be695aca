"""The sandbox over a real socket: every host of LimaCharlie on one port."""

import asyncio
import hashlib
import inspect
import ipaddress
import logging
import math
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

import orjson
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

import console.sandbox.endpoints  # noqa: F401  (fills the table)
from console import __version__
from console.sandbox import snapshot
from console.sandbox.calls import Call, Refusal, not_found, table
from console.sandbox.endpoints.infrastructure import apply_template
from console.sandbox.faults import Answer, BadRules, Dropped, Faults, read_rules
from console.sandbox.likeness import likeness
from console.sandbox.requestlog import Entry, RequestLog
from console.sandbox.tokens import KEY_BYTES, Tokens
from console.sandbox.world import World

BODY_LIMIT = 32 * 1024 * 1024
HEADER_LIMIT = 16 * 1024
"""Bytes of all headers. The gateway refuses large ones, of an unpublished size (docs: api-keys.md)."""

Fault = Callable[[Call, Answer], Awaitable[web.StreamResponse]]
"""Stands between a request and its endpoint: may answer in its place, let it act and answer otherwise, or
raise `Dropped` before or after the effect. `console.sandbox.faults` is one that goes by rules."""

log = logging.getLogger(__name__)


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_LIMIT)


class NotLoopback(ValueError):
    """The sandbox has no secrets worth the name: it listens on this machine only."""


class Sandbox:
    """A stand-in for LimaCharlie's cloud over one world."""

    def __init__(
        self,
        world: World,
        *,
        latency: float = 0,
        rate_quota: int = 600_000,
        rate_period: int = 60,
        live_rate: float = 0,
        storm_after: float | None = None,
        storm: int | None = None,
    ) -> None:
        """Prepare.

        Args:
            latency: milliseconds that every answer waits.
            rate_quota: requests that one credential has in a window.
            rate_period: seconds of the window.
            live_rate: new detections a minute over all organizations.
            storm_after: seconds until the storm; see `World.begin`.
            storm: its size.
        """
        self.world = world
        world.made_from_template = apply_template
        self.latency = latency
        self.rate_quota = rate_quota
        self.rate_period = rate_period
        self.live_rate = live_rate
        self.storm_after = storm_after
        self.storm = storm
        self.tokens = Tokens()
        self.log = RequestLog()
        self.faults = Faults()
        self.fault: Fault | None = None
        """In place of `faults`."""
        self.url = ""
        self._windows: dict[str, tuple[int, int]] = {}
        """By credential: since when (ms, UTC, of the world), and how many requests."""
        self._runner: web.ServerRunner | None = None
        self._headers = {"X-RateLimit-Quota": str(rate_quota), "X-RateLimit-Period": str(rate_period)}

    def kept(self) -> snapshot.Snapshot:
        """What has become of it, all of this moment; nothing of it is to be changed.

        Open connections (streams, pages that are being made) and the log of requests are this process's own.

        Raises:
            BadSnapshot: it is too large for one.
        """
        world = self.world
        if world.orgs > snapshot.MOST_ORGANIZATIONS:
            raise snapshot.BadSnapshot(
                f"it began with {world.orgs:,} organizations, and a snapshot is of at most "
                f"{snapshot.MOST_ORGANIZATIONS:,}"
            )
        kept = world.kept()
        return snapshot.Snapshot(
            program=__version__,
            origin=snapshot.Origin(
                seed=world.seed,
                orgs=world.orgs,
                detections=world.past,
                now_ms=world.now_ms,
                likeness=likeness(world.seed, world.now_ms),
            ),
            serving=snapshot.Serving(
                latency=float(self.latency),
                rate_quota=self.rate_quota,
                rate_period=self.rate_period,
                live_rate=float(self.live_rate),
                storm_after=None if self.storm_after is None else float(self.storm_after),
                storm=self.storm,
            ),
            tokens=self.tokens.key,
            faults=self.faults.kept(),
            windows={
                credential: snapshot.Window(since=begun, used=used)
                for credential, (begun, used) in sorted(self._windows.items())
                if kept.clock - begun < self.rate_period * 1000
            },
            world=kept,
        )

    @classmethod
    def resumed(
        cls,
        kept: snapshot.Snapshot,
        *,
        latency: float | None = None,
        rate_quota: int | None = None,
        rate_period: int | None = None,
    ) -> "Sandbox":
        """A sandbox that goes on where a snapshot was taken; it does not listen yet.

        Args:
            latency: as of `Sandbox`, as are the others; None is what the snapshot says.

        Raises:
            BadSnapshot: it makes no sense, or another version made it; the text says what.
        """
        origin, serving = kept.origin, kept.serving
        if likeness(origin.seed, origin.now_ms) != origin.likeness:
            raise snapshot.BadSnapshot(
                f"limegrove {kept.program[:20]} wrote it, whose seeds make another provider than those of "
                f"this limegrove {__version__}: use the one that wrote it"
            )
        if 0 < serving.live_rate < 1e-6:
            raise snapshot.BadSnapshot("serving.live_rate makes no sense")
        if len(kept.tokens) != KEY_BYTES:
            raise snapshot.BadSnapshot(f"tokens is no key of {KEY_BYTES} bytes")
        world = World(seed=origin.seed, orgs=origin.orgs, detections=origin.detections, now_ms=origin.now_ms)
        world.resume(kept.world)
        if any(window.since > kept.world.clock for window in kept.windows.values()):
            raise snapshot.BadSnapshot("windows: one begins after world.clock")
        sandbox = cls(
            world,
            latency=serving.latency if latency is None else latency,
            rate_quota=serving.rate_quota if rate_quota is None else rate_quota,
            rate_period=serving.rate_period if rate_period is None else rate_period,
            live_rate=serving.live_rate,
            storm_after=serving.storm_after,
            storm=serving.storm,
        )
        sandbox.tokens = Tokens(kept.tokens)
        sandbox.faults.resume(kept.faults)
        sandbox._windows = {
            credential: (window.since, window.used) for credential, window in kept.windows.items()
        }
        return sandbox

    def endpoints(self) -> dict[str, int]:
        """How often each endpoint was asked: `GET /v1/orgs/{oid}` -> n."""
        return self.log.endpoints()

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> str:
        """Listen.

        Args:
            port: 0 takes a free one.
            host: a loopback address.

        Returns:
            The base address, without a slash at its end.

        Raises:
            NotLoopback: the host is none.
            OSError: the port is taken.
        """
        address = "127.0.0.1" if host == "localhost" else host
        try:
            loopback = ipaddress.ip_address(address).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise NotLoopback(
                f"The sandbox listens on loopback addresses only, and {host!r} is none; try 127.0.0.1."
            )
        server = web.Server(
            self._serve,
            access_log=None,
            request_factory=_request,
            max_line_size=4 * HEADER_LIMIT,
            # More than is accepted, so that too much can be refused with 413 and not as nonsense.
            max_field_size=4 * 1024 * 1024,
        )
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, address, port, backlog=1024)
        try:
            await site.start()
        except OSError:
            await self.stop()
            raise
        bound = self._runner.addresses[0][1]
        self.url = f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}"
        self.world.begin(live_rate=self.live_rate, storm_after=self.storm_after, storm=self.storm)
        return self.url

    async def stop(self) -> None:
        """Stop listening, and drop open connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        began = time.perf_counter()
        raw_path, _, query = request.raw_path.partition("?")
        if raw_path.startswith("/sandbox/"):
            return await self._about(request, raw_path)
        call = Call(
            sandbox=self,
            world=self.world,
            method=request.method,
            raw_path=raw_path,
            query_text=query,
            body=b"",
            content_type=request.headers.get("Content-Type", "").lower(),
            authorization=request.headers.get("Authorization", ""),
            peer=request.remote or "",
            request=request,
        )
        response: web.StreamResponse
        try:
            response = await self._respond(call, request)
            status = response.status
            # Also what is broken on demand tells the time of the stage, which need not be the machine's.
            if not response.prepared:
                response.headers.setdefault("Date", self._date())
        except Dropped as dropped:
            if request.transport is not None and dropped.at_once:
                request.transport.abort()
            response, status = web.Response(), 0
        if self.latency:
            await asyncio.sleep(self.latency / 1000)
        self.log.add(
            Entry(
                time=time.time_ns() // 1_000_000,
                method=call.method,
                template=call.template,
                path=request.raw_path,
                status=status,
                credential=call.claims.credential if call.claims else "",
                oid=call.oid,
                milliseconds=(time.perf_counter() - began) * 1000,
                fault=call.fault,
                effect=call.carried_out,
                body=hashlib.sha256(call.body).hexdigest()[:16] if call.body else "",
            )
        )
        return response

    async def _respond(self, call: Call, request: web.BaseRequest) -> web.StreamResponse:
        # Read whatever comes, so that a refusal does not cut the connection off.
        try:
            if request.body_exists:
                call.body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._answer(413, {"error": "Payload too large"})
        if sum(len(name) + len(value) + 4 for name, value in request.raw_headers) > HEADER_LIMIT:
            return self._answer(413, {"error": "Payload too large"})
        fault = self.fault or (self.faults if self.faults else None)
        if fault is not None:
            return await fault(call, lambda: self._carried_out(call))
        return await self._carried_out(call)

    async def _carried_out(self, call: Call) -> web.StreamResponse:
        try:
            answer = self._handle(call)
            if inspect.isawaitable(answer):
                answer = await answer
            call.carried_out = True
            return answer if isinstance(answer, web.StreamResponse) else self._answer(200, answer)
        except Refusal as refusal:
            return self._answer(refusal.status, refusal.body)
        except Exception:
            log.exception("%s %s failed in the sandbox itself", call.method, call.raw_path)
            return self._answer(500, {"error": "internal error of the sandbox"})

    def _handle(self, call: Call) -> object:
        found = table.find(call.method, call.raw_path)
        if found is None:
            raise not_found()
        endpoint, call.params = found
        call.template = endpoint.template
        call.oid = call.params.get("oid", "")
        if not endpoint.open:
            scheme, _, token = call.authorization.partition(" ")
            claims = self.tokens.read(token.strip()) if scheme.lower() == "bearer" else None
            if claims is None:
                raise Refusal(401, "unauthorized: invalid or expired token")
            call.claims = claims
            self._count(claims.credential)
        return endpoint.handler(call)

    def _count(self, credential: str) -> None:
        """Take one request out of the credential's window (60 s, docs: reliable-tasking.md)."""
        now = self.world.clock()
        begun, used = self._windows.get(credential, (now, 0))
        if now - begun >= self.rate_period * 1000:
            begun, used = now, 0
        self._windows[credential] = (begun, used + 1)
        if used >= self.rate_quota:
            left = max(1, math.ceil(self.rate_period - (now - begun) / 1000))
            raise Refusal(429, "rate limit exceeded", retry_after=left)

    def _answer(self, status: int, body: object) -> web.Response:
        headers = self._headers
        if status == 429 and isinstance(body, dict) and "retry_after" in body:
            headers = headers | {"Retry-After": str(body["retry_after"])}
        return web.Response(
            body=body if isinstance(body, bytes) else orjson.dumps(body),
            status=status,
            content_type="application/json",
            headers=headers,
        )

    def _date(self) -> str:
        return formatdate(self.world.clock() // 1000, usegmt=True)

    async def _about(self, request: web.BaseRequest, path: str) -> web.Response:
        """What other processes may know of this one, or have it do; no part of LimaCharlie's API."""
        if path == "/sandbox/faults":
            return await self._rules(request)
        if path == "/sandbox/snapshot" and request.method == "GET":
            try:
                # Nothing else runs until it is copied: it is of one moment.
                copy = snapshot.copied(self.kept())
                return self._answer(200, await asyncio.to_thread(snapshot.dumps, copy))
            except snapshot.BadSnapshot as error:
                return self._answer(409, {"error": f"No snapshot can be taken: {error}."})
        if path != "/sandbox/log" or request.method != "GET":
            return self._answer(404, {"error": "not found"})
        newest = request.query.get("newest", "0")
        return self._answer(
            200,
            {
                "total": self.log.total,
                "endpoints": self.log.endpoints(),
                "statuses": self.log.statuses(),
                "newest": self.log.newest(int(newest) if newest.isdecimal() else 0),
            },
        )

    async def _rules(self, request: web.BaseRequest) -> web.Response:
        if request.method == "POST":
            try:
                self.faults.add(*read_rules(await request.read()))
            except BadRules as error:
                return self._answer(400, {"error": str(error)})
        elif request.method == "DELETE":
            self.faults.clear()
        elif request.method != "GET":
            return self._answer(405, {"error": "GET, POST or DELETE"})
        return self._answer(200, {"faults": self.faults.listed()})


async def serve(world: World, host: str = "127.0.0.1", port: int = 0, **options: Any) -> Sandbox:
    """A sandbox that listens; the caller stops it.

    Args:
        options: of `Sandbox`.

    Raises:
        NotLoopback: the host is none.
        OSError: the port is taken.
    """
    sandbox = Sandbox(world, **options)
    await sandbox.start(port=port, host=host)
    return sandbox
