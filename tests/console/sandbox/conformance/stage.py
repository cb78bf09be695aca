"""A sandbox and LimaCharlie's own client in front of it, and how an answer loses a field on the way.

The sandbox runs in this process, on a thread with an event loop of its own, so that a fault can be a
function here. The client runs in its own Python (`driver.py`) for as long as the sandbox does.
"""

import asyncio
import base64
import contextlib
import gzip
import itertools
import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from console.sandbox.calls import Call, table
from console.sandbox.organizations import Organization
from console.sandbox.server import Answer, Fault, Sandbox
from console.sandbox.world import World
from tests.helpers.sandboxes import ROOT

PYTHON = ROOT / ".venv-official" / "bin" / "python"
NOW_MS = 1_795_176_000_000
"""20 November 2026, noon, UTC."""
START, END = str(NOW_MS // 1000 - 40 * 86_400), str(NOW_MS // 1000 + 86_400)
SIZE = {"seed": 23, "orgs": 60, "detections": 3000}
PATIENCE = 20.0
"""Seconds that one answer of the client may take; none comes near."""


class Failed(AssertionError):
    """The client ended with an error where it had to succeed."""


class Said:
    """What one command line ended with."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.code: int = answer["rc"]
        self.out: str = answer["out"]
        self.error: str = answer["err"]
        self.slept: list[float] = answer["slept"]

    @property
    def everything(self) -> str:
        """Both of its streams."""
        return self.out + self.error


def variables(url: str, home: Path) -> dict[str, str]:
    """The environment of the client: everything leads to the sandbox, and nothing is kept between runs."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LC_CONFIG_DIR": str(home),
        "LC_API_URL": url,
        "LC_JWT_URL": url,
        "LC_CASES_API_ROOT": url,
        "LC_NO_JWT_CACHE": "1",
        "LC_NO_MIGRATION_WARNING": "1",
    }


class Official:
    """The client's process. It takes one request at a time."""

    def __init__(self, url: str, home: Path) -> None:
        self._process = subprocess.Popen(
            [str(PYTHON), str(Path(__file__).with_name("driver.py")), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=variables(url, home),
        )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(b"")

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request of `driver.py`, and its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=PATIENCE)
        except queue.Empty:
            self.close()
            raise Failed(f"no answer within {PATIENCE:.0f} s to {request}") from None
        if not line:
            raise Failed(f"the client's process ended at {request}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait(10)
        self._reader.join(10)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()


class Stage:
    """What a probe has: the client, the world that the sandbox should show, and names that are free.

    `world` is a second one of the same seed, so it has what nobody changed. Every probe finds the sandbox as
    it began. One that writes still does it in an organization of its own (`spare`) and under names of its own.
    """

    def __init__(self, sandbox: Sandbox, home: Path) -> None:
        self.sandbox = sandbox
        self.home = home
        self.world = World(**SIZE, now_ms=NOW_MS)
        self.one: Organization = self.world.failing
        user = self.world.access.users[self.world.access.root]
        self.credentials = {"LC_UID": user.uid, "LC_API_KEY": user.api_key, "LC_OID": self.one.oid}
        self._official: Official | None = None
        self._numbers = itertools.count(1)

    def _ask(self, variables: dict[str, str], **request: Any) -> dict[str, Any]:
        if self._official is None:
            self._official = Official(self.sandbox.url, self.home)
        try:
            return self._official.ask(env=self.credentials | variables, **request)
        except Failed:
            self.end_client()
            raise

    def end_client(self) -> None:
        """End the client's process; the next request starts another."""
        if self._official is not None:
            self._official.close()
            self._official = None

    def start_over(self) -> None:
        """Give the sandbox the world that it began with: nothing that a probe left behind stays."""
        world = World(**SIZE, now_ms=NOW_MS)
        world.made_from_template = self.sandbox.world.made_from_template
        world.begin()
        self.sandbox.world = world

    def run(self, *arguments: str, stdin: str = "", **variables: str) -> Said:
        """A command of the client, whatever it ends with."""
        return Said(self._ask(variables, arguments=arguments, stdin=stdin))

    def text(self, *arguments: str, stdin: str = "", **variables: str) -> str:
        """What a command prints, which has to succeed."""
        said = self.run(*arguments, stdin=stdin, **variables)
        if said.code:
            raise Failed(f"{' '.join(arguments)} ended with {said.code}: {said.everything}")
        return said.out

    def json(self, *arguments: str, stdin: str = "", **variables: str) -> Any:
        """What a command answers; some say a sentence before it."""
        text = self.text(*arguments, "--output", "json", stdin=stdin, **variables)
        begins = min((text.find(sign) for sign in "{[" if sign in text), default=0)
        return json.JSONDecoder().raw_decode(text[begins:].lstrip())[0]

    def sdk(self, expression: str, oid: str = "", **names: Any) -> Any:
        """What an expression of the SDK answers: `client`, `org` and its classes are at hand.

        Raises:
            Failed: it raised.
        """
        answer = self.sdk_whatever(expression, oid, **names)
        if "error" in answer:
            raise Failed(f"{expression}: {answer}")
        return answer["value"]

    def sdk_whatever(self, expression: str, oid: str = "", **names: Any) -> dict[str, Any]:
        """The same: {"value"}, or {"error", "message", "status"} when it raised; with "slept"."""
        variables = {"LC_OID": oid} if oid else {}
        for name in ("LC_UID", "LC_API_KEY"):
            if name in names:
                variables[name] = names.pop(name)
        return self._ask(variables, expression=expression, names=names)

    def audit(self, oid: str) -> list[dict[str, Any]]:
        """The audit log of an organization, oldest first."""
        found: list[dict[str, Any]] = self.json("audit", "list", "--start", START, "--end", END, LC_OID=oid)
        return found

    @contextmanager
    def organization(self) -> Iterator[str]:
        """An organization that the client makes and, at the end, deletes: its id."""
        made = self.json("org", "create", "--name", self.name("Probe"), "--location", "europe")
        oid = made["data"]["oid"]
        try:
            yield oid
        finally:
            confirmation = self.json("org", "delete", LC_OID=oid)["confirmation"]
            self.json("org", "delete", "--confirm-token", confirmation, LC_OID=oid)

    def spare(self, number: int) -> Organization:
        """An organization for a probe that writes; probes that share a number write different things."""
        return self.world.organizations[10 + number]

    def name(self, kind: str) -> str:
        """A name that nothing has yet."""
        return f"{kind}-{os.getpid()}-{next(self._numbers)}"

    def file(self, content: object) -> str:
        """The path of a file that holds text, or JSON of anything else."""
        path = self.home / self.name("file")
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[None]:
        """Put a fault in front of the sandbox for a while, and in front of the one that stands there."""
        behind = self.sandbox.fault

        async def both(call: Call, answer: Answer) -> web.StreamResponse:
            return await fault(call, answer if behind is None else lambda: behind(call, answer))

        self.sandbox.fault = both
        try:
            yield
        finally:
            self.sandbox.fault = behind


@contextmanager
def stage() -> Iterator[Stage]:
    """A sandbox that listens, and the client in front of it."""
    sandbox = Sandbox(World(**SIZE, now_ms=NOW_MS))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(sandbox.start(), loop).result(20)
    with tempfile.TemporaryDirectory(prefix="lg-official-") as home:
        made = Stage(sandbox, Path(home))
        try:
            yield made
        finally:
            made.end_client()
            asyncio.run_coroutine_threadsafe(sandbox.stop(), loop).result(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(20)
            loop.close()


EFFECT = "(the effect)"
"""Declared in the place of a field: the call is answered as if, and nothing is done."""


class Without:
    """A fault that takes one field out of the answers of one endpoint, or the effect out of its calls."""

    def __init__(self, endpoint: str, path: str) -> None:
        self._method, _, self._template = endpoint.partition(" ")
        self._path = path.split(".")
        self._effect = path == EFFECT
        self.taken = 0
        """How often something was there to be taken out."""

    async def __call__(self, call: Call, answer: Answer) -> web.StreamResponse:
        if self._effect and self._is_meant(call):
            self.taken += 1
            return web.json_response({"success": True})
        response = await answer()
        if not self._is_meant(call) or not isinstance(response, web.Response):
            return response
        assert isinstance(response.body, bytes)
        if response.content_type != "application/json":
            return response
        body = orjson.loads(response.body)
        count, body = _taken_out(body, self._path)
        if not count:
            return response
        self.taken += count
        headers = {
            name: value for name, value in response.headers.items() if name.startswith(("X-", "Retry"))
        }
        return web.json_response(body, status=response.status, headers=headers)

    def _is_meant(self, call: Call) -> bool:
        found = table.find(call.method, call.raw_path)
        return found is not None and found[0].template == self._template and found[0].method == self._method


def _taken_out(value: Any, path: Sequence[str]) -> tuple[int, Any]:
    """How many places lost what `path` leads to, and the rest. `*` is every element; a text on the way is
    base64(gzip(JSON)) or JSON, and is packed again."""
    if isinstance(value, str):
        for unpack, pack in _PACKINGS:
            try:
                inner = unpack(value)
            except (ValueError, OSError, EOFError):
                continue
            count, inner = _taken_out(inner, path)
            return count, pack(inner)
        return 0, value
    if not isinstance(value, (dict, list)):
        return 0, value
    step, rest = path[0], path[1:]
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    meant = keys if step == "*" else [key for key in keys if str(key) == step]
    if not rest:
        for key in reversed(meant):
            del value[key]
        return len(meant), value
    count = 0
    for key in meant:
        more, value[key] = _taken_out(value[key], rest)
        count += more
    return count, value


_PACKINGS: list[tuple[Callable[[str], Any], Callable[[Any], str]]] = [
    (
        lambda text: orjson.loads(gzip.decompress(base64.b64decode(text, validate=True))),
        lambda value: base64.b64encode(gzip.compress(orjson.dumps(value))).decode(),
    ),
    (orjson.loads, lambda value: orjson.dumps(value).decode()),
]
