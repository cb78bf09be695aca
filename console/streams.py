"""The process's own streams, made so that what cannot be printed is told from every other file that fails."""

import io
import os
import sys
from typing import Any


class NotPrinted(Exception):
    """Standard output cannot be written; the text says why. No OSError: who catches that means a file."""


class _Out(io.FileIO):
    """Standard output below its buffer."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise NotPrinted(f"What was to be printed cannot be written: {error.strerror}.") from error


class _Error(io.FileIO):
    """Standard error below its buffer: where nobody can be told anything, nothing fails of it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare() -> bool:
    """Set up the standard streams; False where standard output is closed.

    Nothing that is printed may fail for want of a character; what goes to a program is UTF-8. A stream that
    was closed is opened on nothing: its number would be given to the next file, and what is printed would
    go into that.
    """
    closed = sys.stdout is None
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  (the process's own)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _on(sys.stdout, _Out)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _on(sys.stderr, _Error)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if not stream.isatty():
                stream.reconfigure(encoding="utf-8")
            stream.reconfigure(errors="backslashreplace")
    return not closed


def flush() -> None:
    """See what was printed out of the process.

    Raises:
        NotPrinted, BrokenPipeError: as printing does.
    """
    sys.stdout.flush()


def print_nowhere() -> None:
    """From now on nothing is printed: Python would complain once more when it flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _on(stream: Any, kind: type[io.FileIO]) -> io.TextIOWrapper:
    raw = kind(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
    )
