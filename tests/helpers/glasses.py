"""A process that gives or takes break-glass, and is killed at a point that is asked for.

    python -m tests.helpers.glasses

It reads a line of JSON for each run, does it in a fork of itself, and answers with a line: `{"killed": ...,
"points": ...}`. A point is right before or right after a commit, and right before or right after a request.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import closing
from typing import Any

from sqlalchemy import event

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.transport import Transport
from console.operations import breakglass, deadlines
from store.database import Store
from store.secret import Secret


class Points:
    """Counts, and ends the process at one of them."""

    def __init__(self, after: int) -> None:
        self.seen = 0
        self._after = after

    def __call__(self, *_: Any) -> None:
        """One more."""
        self.seen += 1
        if self.seen == self._after:
            os.kill(os.getpid(), signal.SIGKILL)


async def _run(asked: dict[str, Any]) -> int:
    point = Points(asked["after"])
    once = Transport._once

    async def counted(self: Transport, *values: Any) -> Any:
        point()
        answer = await once(self, *values)
        point()
        return answer

    Transport._once = counted  # type: ignore[assignment, method-assign]
    key = UserKey(asked["uid"], Secret(asked["api_key"]))
    with closing(Store(asked["store"])) as store:
        event.listen(store._engine, "commit", point)
        store.on_change(point)
        async with Cloud(key, Endpoint.single(asked["url"])) as cloud:
            if asked["role"] == "start":
                await breakglass.start(
                    asked["gid"], asked["principal"], reason="r", ticket="t", lasts=asked["lasts"], store=store,
                    cloud=cloud, operator="ada", confirm=(asked["group"],), clock=lambda: asked["now"],
                )  # fmt: skip
            else:
                await deadlines.due(store, cloud, asked["now"], operator="ben")
    return point.seen


def _forked(asked: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 1
        try:
            os.write(writing, str(asyncio.run(_run(asked))).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        points = pipe.read()
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status)
    return {"killed": killed, "failed": not killed and status != 0, "points": int(points or 0)}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(_forked(json.loads(line))), flush=True)
