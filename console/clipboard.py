"""The clipboard of the operator's terminal, over SSH and through tmux, and a file where that cannot be."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from store.text import safe_text

MOST = 74_994
"""Bytes of the encoded text that are sent: terminals and tmux drop longer sequences."""

WITHIN = 3.0
"""Seconds that tmux has."""


def clean(text: str) -> str:
    """One line without anything that a shell or terminal would obey when it is pasted: a stranger wrote it.

    What cannot be shown is in hexadecimal notation, as on the screen.
    """
    return safe_text(text, limit=MOST)


def copy(
    text: str, write: Callable[[str], object], file: Path | None, *, environ: Mapping[str, str] = os.environ
) -> str:
    """Put a text where the operator can paste it from; waits for tmux, so not for the event loop.

    In tmux its own buffer is filled through its own command, which passes it on to the terminal's clipboard;
    elsewhere the terminal is asked to (OSC 52), and never says whether it did. So the text always goes to a
    file too.

    Args:
        text: made safe already, by `clean`.
        write: sends a sequence to the terminal.
        file: is replaced; for its owner alone. None keeps it nowhere.

    Returns:
        The sentence for the operator.
    """
    kept = "it could not be kept in a file" if file is not None else "it is kept nowhere else"
    if file is not None:
        with contextlib.suppress(OSError):
            _keep(text, file)
            kept = f"it is in {file}"
    size = f"{len(text):,} character{'' if len(text) == 1 else 's'}"
    encoded = base64.b64encode(text.encode()).decode("ascii")
    if len(encoded) > MOST:
        return f"Too long for a clipboard, {size}; {kept}."
    if environ.get("TMUX") and _to_tmux(text, environ):
        return f"Copied into tmux, {size}; {kept}."
    write(f"\x1b]52;c;{encoded}\a")
    return f"Sent to the terminal's clipboard, {size}; {kept}."


def _to_tmux(text: str, environ: Mapping[str, str]) -> bool:
    program = shutil.which("tmux", path=environ.get("PATH", os.defpath))
    if program is None:
        return False
    known = {name: environ[name] for name in ("TMUX", "TMUX_PANE", "PATH", "TERM", "LANG") if name in environ}
    try:
        for options in (
            ["-w"],
            [],
        ):  # -w hands it to the terminal as well; tmux before 3.2 has no such option
            done = subprocess.run(  # noqa: S603  (no shell, and the text goes through a pipe)
                [program, "load-buffer", *options, "-"], input=text.encode(), env=known, capture_output=True,
                timeout=WITHIN, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                return True
    except (OSError, subprocess.SubprocessError):
        pass
    return False


def _keep(text: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = file.with_name(f".{file.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text + "\n")
    os.replace(new, file)
