"""Processes that apply a plan about access and are killed at a given point: `python -m tests.helpers.applying`.

Points are counted: each commit to the store after it was made, each change right before it is sent, and
right after it was answered. Instead of being killed, a process can find the store full from a commit on. One process imports everything and forks for each line that it reads, so that a
killed one costs a tenth of a second and not a second.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import Connection

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.transport import Answer, Call, Transport
from console.operations import accessplans, accesssteps  # noqa: F401  (imported once, before any fork)
from store.database import Store
from store.errors import StoreUnavailable
from store.secret import Secret
from tests.helpers.sandboxes import ROOT, environment


class Points:
    """Counts, and ends this process at one of them."""

    def __init__(self, at: int, full: int) -> None:
        self.at = at
        self.full = full
        """The number of the commit from which on none is possible; 0 for none."""
        self.passed = 0
        self.commits = 0

    def point(self) -> None:
        """One more; the last one is not survived."""
        self.passed += 1
        if self.passed == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Count from now on, in this process."""
        writing, send = Store.writing, Transport.send

        @contextmanager
        def counted(store: Store) -> Iterator[Connection]:
            with writing(store) as connection:
                yield connection
                self.commits += 1
                if 0 < self.full <= self.commits:
                    raise StoreUnavailable("The disk is full.")
            self.point()

        async def sent(transport: Transport, call: Call, **options: Any) -> Answer:
            if call.safe is not False:
                return await send(transport, call, **options)
            self.point()
            try:
                return await send(transport, call, **options)
            finally:
                self.point()

        Store.writing = counted  # type: ignore[method-assign,assignment]
        Transport.send = sent  # type: ignore[method-assign]


async def _run(wanted: dict[str, Any]) -> None:
    key = UserKey(wanted["uid"], Secret(wanted["key"]))
    with closing(Store(wanted["store"])) as store:
        async with Cloud(key, Endpoint.single(wanted["url"])) as cloud:
            if wanted["what"] == "resume":
                await accessplans.resume(store, cloud)
                return
            try:
                await accessplans.apply(wanted["plan"], store=store, cloud=cloud, operator="ada")
            except accessplans.Refused:
                os._exit(5)
            except StoreUnavailable:
                os._exit(3)


def main() -> None:
    """Read what to do line by line, do each in a process of its own, and tell how it ended."""
    for line in sys.stdin:
        wanted = json.loads(line)
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reading)
            points = Points(wanted["at"], wanted["full"])
            points.watch()
            code = 1
            try:
                asyncio.run(_run(wanted))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os.write(writing, str(points.passed).encode())
                os._exit(code)
        os.close(writing)
        _, status = os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as told:
            passed = told.read()
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), "points": int(passed or 0)}), flush=True)


class Appliers:
    """Processes that apply plans, from a test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, **wanted: Any) -> tuple[int, int]:
        """Apply a plan (`what="apply"`) or carry on (`resume`); (exit code, points passed)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write((json.dumps({"at": 0, "full": 0, "plan": 0, **wanted}) + "\n").encode())
        await self._process.stdin.drain()
        answer = await asyncio.wait_for(self._process.stdout.readline(), 120)
        told = json.loads(answer)
        return told["code"], told["points"]

    async def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def appliers(home: Any) -> Appliers:
    """Start the process that forks for each."""
    return Appliers(
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.helpers.applying", cwd=ROOT, env=environment(home),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
