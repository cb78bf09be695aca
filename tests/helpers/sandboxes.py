"""The sandbox as tests use it: in this process, or in one that can be killed."""

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.forks import ROOT, Fork, run

__all__ = ["ROOT", "as_user", "environment", "limegrove", "sandbox", "sandbox_process"]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Of a process that knows nothing of this one's LimaCharlie, Textual or limegrove settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LC_", "TEXTUAL", "LIMEGROVE_", "PYTHON_KEYRING", "XDG_", "DBUS_"))
        and name != "NO_COLOR"
    }
    return (
        kept | {"HOME": str(home), "LIMEGROVE_HOME": str(home / "limegrove"), "PYTHONPATH": str(ROOT)} | more
    )


def as_user(home: Path, stage: dict[str, Any], **more: str) -> dict[str, str]:
    """Of a limegrove that works with the sandbox's root administrator, as a machine does."""
    return environment(
        home, LC_UID=stage["uid"], LC_API_KEY=stage["api_key"], LIMEGROVE_ENDPOINT=stage["url"], **more
    )


@contextmanager
def sandbox_process(home: Path, *options: str) -> Iterator[tuple[dict[str, Any], Fork]]:
    """`limegrove sandbox serve` in a process; the line that it printed, and the process."""
    home.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()
    with open(reading) as said:
        try:
            with open(os.devnull) as nothing:
                process = Fork(
                    ["sandbox", "serve", *options], environment(home), (nothing.fileno(), writing, 2)
                )
        finally:
            os.close(writing)
        process.stdout = said
        try:
            yield json.loads(said.readline()), process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(20)


def limegrove(
    *arguments: str, env: dict[str, str], timeout: float = 120, stdin: str = "", pass_fds: Sequence[int] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return run(arguments, env=env, stdin=stdin, timeout=timeout, pass_fds=pass_fds)


@asynccontextmanager
async def sandbox(
    *, seed: int = 3, orgs: int = 5, detections: int = 200, port: int = 0, **options: Any
) -> AsyncIterator[Any]:
    """A sandbox in this process, on a port of its own."""
    from console.sandbox.server import Sandbox
    from console.sandbox.world import World

    served = Sandbox(World(seed=seed, orgs=orgs, detections=detections), **options)
    await served.start(port=port)
    try:
        yield served
    finally:
        await served.stop()
