"""The sandbox as tests use it: in this process, or in one that can be killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


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
def sandbox_process(home: Path, *options: str) -> Iterator[tuple[dict[str, Any], "subprocess.Popen[str]"]]:
    """`limegrove sandbox serve` in a process; the line that it printed, and the process."""
    home.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "console", "sandbox", "serve", *options],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment(home),
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline()), process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def limegrove(
    *arguments: str, env: dict[str, str], timeout: float = 120, stdin: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "console", *arguments],
        cwd=ROOT,
        env=env,
        text=True,
        capture_output=True,
        timeout=timeout,
        input=stdin if stdin is not None else "",
        check=False,
    )


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
