"""A program in a real pseudo-terminal: what it writes, and when."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType


@dataclass
class Terminal:
    """Runs a command on a terminal of its own."""

    command: Sequence[str]
    columns: int = 120
    rows: int = 40
    environment: dict[str, str] = field(default_factory=dict)
    seen: bytearray = field(default_factory=bytearray)
    started: float = 0.0

    def __enter__(self) -> "Terminal":
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("TEXTUAL", "LC_", "NO_COLOR"))
        } | {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | self.environment  # fmt: skip
        self.started = time.perf_counter()
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
            os.execvpe(self.command[0], list(self.command), environment)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)
        deadline = time.perf_counter() + 5
        while time.perf_counter() < deadline:
            self._read(0.05)
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self._pid, os.WNOHANG)[0]:
                    break
        else:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
        os.close(self._fd)

    def _read(self, seconds: float) -> bytes:
        ready, _, _ = select.select([self._fd], [], [], seconds)
        if not ready:
            return b""
        try:
            data = os.read(self._fd, 65_536)
        except OSError:
            return b""
        self.seen += data
        return data

    def until(self, marker: str, seconds: float = 30.0) -> float:
        """Milliseconds from exec until `marker` was written.

        Raises:
            TimeoutError: it never was; the text holds the end of what was.
        """
        wanted = marker.encode()
        deadline = time.perf_counter() + seconds
        while wanted not in self.seen:
            if time.perf_counter() > deadline:
                raise TimeoutError(
                    f"{marker!r} never appeared; the end of what did: {bytes(self.seen[-600:])!r}"
                )
            self._read(0.05)
        return (time.perf_counter() - self.started) * 1000

    def settle(self, quiet: float = 0.4, seconds: float = 10.0) -> None:
        """Read until nothing was written for `quiet` seconds."""
        deadline = time.perf_counter() + seconds
        while self._read(quiet) and time.perf_counter() < deadline:
            pass

    def press(self, keys: bytes, quiet: float = 0.12) -> tuple[int, float]:
        """Write keys; bytes that came back, and milliseconds to the last of them."""
        self.settle(0.02)
        start = last = time.perf_counter()
        os.write(self._fd, keys)
        count = 0
        while data := self._read(quiet):
            count += len(data)
            last = time.perf_counter()
        return count, (last - start) * 1000
