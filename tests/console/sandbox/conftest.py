"""A sandbox in this process, and somebody who asks it."""

import base64
import gzip
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from console.sandbox.organizations import Organization
from console.sandbox.server import Sandbox
from console.sandbox.world import World

NOW_MS = 1_795_176_000_000


class Asker:
    """Speaks plain HTTP to one sandbox, as nobody's client does it."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.session = session
        self.one: Organization = sandbox.world.organizations[0]

    async def exchange(self, **form: str) -> tuple[int, dict[str, Any]]:
        """Ask for a token."""
        async with self.session.post(f"{self.sandbox.url}/", data=form) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def token(self, *, email: str = "", oid: str | None = None, **form: str) -> str:
        """A token of a user (the root administrator) for an organization, `-`, or all with None."""
        user = self.world.access.users[email or self.world.access.root]
        more = {} if oid is None else {"oid": oid}
        status, body = await self.exchange(uid=user.uid, secret=user.api_key, **more, **form)
        assert status == 200, body
        token: str = body["jwt"]
        return token

    async def ask(self, method: str, path: str, token: str = "", **options: Any) -> tuple[int, Any, Any]:
        """Status, body, headers."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})
        url = self.sandbox.url + path
        async with self.session.request(method, url, headers=headers, **options) as answer:
            body = await answer.read()
            assert answer.content_type == "application/json"
            return answer.status, orjson.loads(body), answer.headers

    async def get(self, path: str, token: str, **query: object) -> Any:
        """The body of an answer that has to be 200."""
        status, body, _ = await self.ask(
            "GET", path, token, params={name: str(value) for name, value in query.items()}
        )
        assert status == 200, body
        return body


def unpacked(text: str) -> Any:
    """What a compressed field holds."""
    return orjson.loads(gzip.decompress(base64.b64decode(text)))


@pytest.fixture
async def asker() -> AsyncIterator[Asker]:
    """Nine organizations and 900 detections."""
    sandbox = Sandbox(World(seed=31, orgs=9, detections=900, now_ms=NOW_MS))
    await sandbox.start()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Asker(sandbox, session)
    await sandbox.stop()
