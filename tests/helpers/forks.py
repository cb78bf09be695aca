"""Processes of limegrove, each a fork of one that has imported the program already.

    python -m tests.helpers.forks DESCRIPTOR

Importing takes most of what a command takes. A fork is a process like any other, with an environment, descriptors
and an exit code of its own; what is different is what the system tells of it from outside (its command line and
the environment it began with), so tests of that start one with `subprocess`.
"""

import atexit
import contextlib
import fcntl
import gc
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
_PACKET = 1 << 20
_OUT_OF_THE_WAY = 500
_starting = threading.Lock()


# In the process of the tests


class Fork:
    """A running command, with the part of `subprocess.Popen` that tests use."""

    def __init__(
        self,
        arguments: Sequence[str],
        env: dict[str, str],
        streams: Sequence[int],
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start it; the streams are the descriptors of its standard input, output and error."""
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None
        with _starting:
            server = _server()
        status, told = os.pipe()
        try:
            asked = json.dumps(
                {"arguments": list(arguments), "env": env, "pass_fds": list(pass_fds)}
            ).encode()
            socket.send_fds(server, [asked], [told, *streams, *pass_fds])
        finally:
            os.close(told)
        self._status = os.fdopen(status, "rb", 0)  # unbuffered: `poll` knows no buffer
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for the signal that ended it."""
        if self.returncode is None:
            # Not `select`, which knows no descriptor above 1,023.
            ends = select.poll()
            ends.register(self._status, select.POLLIN)
            if not ends.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("limegrove", timeout or 0)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """If it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def run(
    arguments: Sequence[str], *, env: dict[str, str], stdin: str, timeout: float, pass_fds: Sequence[int] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was killed.
    """
    with contextlib.ExitStack() as stack:
        streams = [
            stack.enter_context(os.fdopen(os.memfd_create(name), "w+b"))
            for name in ("stdin", "stdout", "stderr")
        ]
        streams[0].write(stdin.encode())
        streams[0].seek(0)
        process = Fork(arguments, env, [each.fileno() for each in streams], pass_fds)
        try:
            code = process.wait(timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        said = []
        for each in streams[1:]:
            each.seek(0)
            said.append(each.read().decode())
        return subprocess.CompletedProcess(["limegrove", *arguments], code, *said)


@cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LIMEGROVE_"))}
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.forks", str(theirs.fileno())],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(theirs.fileno(),), cwd=ROOT,
        env=env | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
    )  # fmt: skip
    theirs.close()

    def end() -> None:
        ours.close()
        server.wait(20)

    atexit.register(end)
    return ours


# In the process that is forked


def _import_all() -> None:
    for package in (
        "store",
        "console.limacharlie",
        "console.operations",
        "console.commands",
        "console.sandbox",
    ):
        for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if not found.name.endswith("__main__") and ".migrations." not in found.name:
                import_module(found.name)


def _serve(connection: socket.socket) -> dict[str, Any]:
    """Fork for each that is asked, and tell each one's end; in a fork, answers with what was asked."""
    running: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready != connection.fileno():
                poll.unregister(ready)
                pid, told = running.pop(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with contextlib.suppress(BrokenPipeError):
                    os.write(told, b"%d\n" % code)
                os.close(told)
                os.close(ready)
                continue
            message, descriptors, _, _ = socket.recv_fds(connection, _PACKET, 16)
            if not message:
                os._exit(0)
            told, *given = descriptors
            pid = os.fork()
            if pid == 0:
                asked: dict[str, Any] = json.loads(message)
                connection.detach()
                _take(given, [0, 1, 2, *asked["pass_fds"]])
                return asked
            for descriptor in given:
                os.close(descriptor)
            os.write(told, b"%d\n" % pid)
            watched = os.pidfd_open(pid)
            running[watched] = pid, told
            poll.register(watched, select.POLLIN)


def _take(given: list[int], places: list[int]) -> None:
    """Have these descriptors at these places, and no others."""
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD, _OUT_OF_THE_WAY) for each in given]
    os.closerange(3, _OUT_OF_THE_WAY)
    for source, place in zip(moved, places, strict=True):
        os.dup2(source, place)
        os.close(source)
    # What the old ones know of their descriptors, as whether one can seek there, holds no longer.
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)


def _main() -> int:
    from console.__main__ import main

    _import_all()
    gc.collect()
    gc.freeze()
    assert threading.active_count() == 1, "a fork has only the thread that forked"
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv = [str(ROOT / "console" / "__main__.py"), *asked["arguments"]]
    return main()


if __name__ == "__main__":
    sys.exit(_main())
