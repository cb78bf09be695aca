"""A real browser without a window, asked over its own protocol: what pages request, run, and print."""

import asyncio
import base64
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def needs_chromium(test: Any) -> Any:
    """Marks a test that opens pages in a browser."""
    return pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed: apt-get install chromium")(
        test
    )


@dataclass
class Page:
    """What became of a file that was opened."""

    requests: list[str] = field(default_factory=list)
    """Addresses it asked for, itself and what it carries along (`data:`) left out."""
    scripts: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What its own policy kept from loading or running."""
    pdf: bytes = b""


class Browser:
    """One running browser; pages one after the other."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._page = Page()
        self._loaded = asyncio.Event()
        self._address = ""
        self._session = ""

    async def listen(self) -> None:
        """Take in what it says, until it ends."""
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            else:
                self._heard(said.get("method", ""), said.get("params", {}))

    def _heard(self, method: str, given: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            address = given["request"]["url"]
            if address != self._address and not address.startswith("data:"):
                self._page.requests.append(address)
        elif method == "Debugger.scriptParsed" and given.get("url", "").startswith(
            ("file:", "http", "data:")
        ):
            self._page.scripts.append(given["url"])
        elif method == "Audits.issueAdded":
            self._page.refused.append(given["issue"]["code"])
        elif method == "Page.loadEventFired":
            self._loaded.set()

    async def ask(self, method: str, **given: Any) -> dict[str, Any]:
        """One command, and its result."""
        self._number += 1
        number, answer = self._number, asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        command: dict[str, Any] = {"id": number, "method": method, "params": given}
        if self._session:
            command["sessionId"] = self._session
        await self._socket.send_json(command)
        said = await asyncio.wait_for(answer, 60)
        assert "error" not in said, said
        return said["result"]

    async def begin(self) -> None:
        """Have one page to open files in."""
        target = await self.ask("Target.createTarget", url="about:blank")
        attached = await self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Debugger", "Audits"):
            await self.ask(f"{domain}.enable")

    async def open(self, path: Path, *, printed: bool = True) -> Page:
        """Open a file, and print it as it asks to be printed."""
        self._page, self._address = Page(), path.as_uri()
        self._loaded.clear()
        await self.ask("Page.navigate", url=self._address)
        await asyncio.wait_for(self._loaded.wait(), 60)
        if printed:
            answer = await self.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
            self._page.pdf = base64.b64decode(answer["data"])
        return self._page


@asynccontextmanager
async def browser(home: Path) -> AsyncIterator[Browser]:
    """Chromium with a profile of its own."""
    assert PROGRAM is not None
    profile = home / "chromium"
    process = subprocess.Popen(  # noqa: ASYNC220  (it starts at once, and is ended by its number)
        [
            PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--no-first-run",
            "--disable-background-networking", "--disable-dev-shm-usage", "--remote-debugging-port=0",
            f"--user-data-dir={profile}", "about:blank",
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(home)}, start_new_session=True,
    )  # fmt: skip
    try:
        port = profile / "DevToolsActivePort"
        async with asyncio.timeout(60):
            while not (port.exists() and len(port.read_text().split()) == 2):
                assert process.poll() is None, "Chromium ended at once"
                await asyncio.sleep(0.02)
        number, place = port.read_text().split()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{number}{place}", max_msg_size=0) as socket,
        ):
            found = Browser(socket)
            listening = asyncio.create_task(found.listen())
            try:
                await found.begin()
                yield found
            finally:
                listening.cancel()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
