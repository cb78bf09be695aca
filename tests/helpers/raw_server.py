"""A server on a bare socket, which can answer wrongly in every way."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

KEY = "5f0c1d2e-aaaa-bbbb-cccc-0123456789ab"
"""An API key that must turn up nowhere but at the token service."""
OID = "8697cd24-eaa1-4323-a1a6-bd32e587ad8b"
OTHER = "16986447-487d-42bb-9c67-d3e27f5fe695"


@dataclass
class Request:
    """One request, as it came over the wire."""

    line: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def method(self):
        return self.line.split(" ")[0]

    @property
    def target(self):
        """Path and query, raw."""
        return self.line.split(" ")[1]

    @property
    def form(self):
        return dict(parse_qsl(self.body.decode()))

    @property
    def is_exchange(self):
        """Whether a key is to be exchanged for a token."""
        return self.target == "/" and self.method == "POST"


@dataclass
class Cut:
    """Bytes to send before the connection is dropped."""

    raw: bytes = b""


@dataclass
class Trickle:
    """Bytes to send one by one."""

    raw: bytes
    pause: float


class Hang:
    """No answer at all."""


Reply = bytes | Cut | Trickle | Hang
Script = Callable[[Request], Reply | Awaitable[Reply]]


def reply(status=200, body=b"", headers=(), *, length=True):
    """The bytes of an answer; the body may be JSON data."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers)]
    if length:
        lines.append(f"Content-Length: {len(raw)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def chunked(*pieces):
    """The bytes of a chunked answer."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in (*pieces, b""))


def token(oid=OID, *, number=0, exp=4_000_000_000, **more):
    """A JWT that names an organization (None: nobody), signed by nobody."""
    payload = {"email": "a@b", "oid": [oid] if isinstance(oid, str) else oid, "exp": exp, "n": number} | more
    parts = ({"alg": "RS256"}, payload, {"s": 1})
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )


@dataclass
class RawServer:
    """Answers what `script` says. Exchanges get tokens unless the script answers them itself."""

    script: Script
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    own_exchange: bool = False

    @property
    def exchanges(self):
        return [each for each in self.requests if each.is_exchange]

    @property
    def calls(self):
        """Everything but exchanges."""
        return [each for each in self.requests if not each.is_exchange]

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while (request := await self._read(reader)) is not None:
                self.requests.append(request)
                if not await self._answer(request, reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _read(self, reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Request(head[0], headers, body)

    async def _answer(self, request, reader, writer):
        if request.is_exchange and not self.own_exchange:
            oid = request.form.get("oid")
            writer.write(reply(200, {"jwt": token(oid, number=len(self.exchanges))}))
            return True
        answer = self.script(request)
        if not isinstance(answer, bytes | Cut | Trickle | Hang):
            answer = await answer
        if isinstance(answer, Hang):
            await reader.read()
            return False
        if isinstance(answer, Trickle):
            for each in answer.raw:
                writer.write(bytes((each,)))
                await writer.drain()
                await asyncio.sleep(answer.pause)
            return False
        raw = answer.raw if isinstance(answer, Cut) else answer
        writer.write(raw)
        await writer.drain()
        return isinstance(answer, bytes)


@asynccontextmanager
async def raw_server(script, *, tls=None, **options):
    """A listening RawServer; over TLS with a server's context."""
    server = RawServer(script, **options)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
