"""A real terminal: tmux on a socket of its own, driven by keys and read as text."""

import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

MISSING = shutil.which("tmux") is None


class Tmux:
    """One window of a fixed size that runs one command."""

    def __init__(self, command: list[str], env: dict[str, str], *, columns: int = 80, rows: int = 24) -> None:
        self._socket = f"limegrove-{uuid.uuid4().hex[:12]}"
        self._command = command
        self._env = env
        self._size = (columns, rows)

    def __enter__(self) -> "Tmux":
        columns, rows = self._size
        assignments = [f"{name}={value}" for name, value in self._env.items()]
        line = shlex.join(["env", "-i", *assignments, "TERM=tmux-256color", *self._command])
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "-s", "main",
            f"{line}; echo ENDED-$?; sleep 600",
        )  # fmt: skip
        self._tmux("set-option", "-g", "status", "off")
        self._tmux("set-option", "-g", "set-clipboard", "on")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._socket, *arguments], capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: `Enter`, `Escape`, `Down`, `C-d`, `a`."""
        self._tmux("send-keys", "-t", "main", *keys)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._tmux("send-keys", "-t", "main", "-l", text)

    def screen(self) -> str:
        """What stands on the screen."""
        return self._tmux("capture-pane", "-t", "main", "-p")

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size."""
        self._tmux("resize-window", "-t", "main", "-x", str(columns), "-y", str(rows))

    def buffers(self) -> str:
        """The paste buffers: what a program put on the clipboard."""
        return self._tmux("list-buffers")

    def title(self) -> str:
        """The pane's title."""
        return self._tmux("display-message", "-p", "-t", "main", "#{pane_title}").strip()

    def wait(self, wanted: str | Callable[[str], bool], seconds: float = 60.0) -> str:
        """Wait until a text stands on the screen (or a condition holds of it); answers the screen."""
        holds = wanted if callable(wanted) else lambda screen: wanted in screen
        deadline = time.monotonic() + seconds
        screen = ""
        while time.monotonic() < deadline:
            screen = self.screen()
            if holds(screen):
                return screen
            time.sleep(0.05)
        raise AssertionError(f"{wanted!r} never held within {seconds:.0f} s. The screen:\n{screen}")


def save(screen: str, path: Path) -> None:
    """Keep a screen for whoever looks why a test failed."""
    path.write_text(screen, encoding="utf-8")
