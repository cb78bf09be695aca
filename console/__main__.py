"""`limegrove`, and `python -m console`."""

import io
import os
import sys
from collections.abc import Sequence

from console.commands.parser import command, parse
from console.commands.problem import Problem

_SENTENCES = (
    ("store.errors", "StoreRefused", 5),
    ("store.errors", "StoreError", 1),
    ("console.settings", "SettingsError", 1),
    ("console.limacharlie.errors", "LimaCharlieError", 1),
    ("store.credentials", "CredentialError", 1),
)
"""Errors whose text is what the operator is told, and the exit code. Looked up among the modules that
were imported, so that a failure imports nothing more."""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what a command line says.

    Args:
        argv: without the program's name; the process's own unless given.

    Returns:
        0 done, 1 failed, 2 usage, 3 partly done, 4 plan has changes, 5 refused, 130 interrupted.

    Raises:
        SystemExit: after `--help` and `--version`.
    """
    _prepare_streams()
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
    except Problem as problem:
        return _complain(str(problem), problem.code)

    from console.commands.session import Session

    session = Session(arguments)
    try:
        from console.process import harden, start_log, workspace

        harden()
        if session.settings.debug:
            start_log(workspace(session.settings.home))
        code = command(arguments.noun).run(session)
        sys.stdout.flush()
    except Problem as problem:
        return _complain(str(problem), problem.code)
    except BrokenPipeError:
        # The reader has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        known = _code_of(error)
        if known is not None:
            return _complain(str(error), known)
        from console.process import report_crash

        return _complain(report_crash(error), 1)
    else:
        return code
    finally:
        session.close()


def _code_of(error: Exception) -> int | None:
    """The exit code of an error that is a sentence; None for one that nobody foresaw."""
    for module, name, code in _SENTENCES:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return code
    return None


def _complain(sentence: str, code: int) -> int:
    from store.text import safe_text

    print(f"limegrove: {safe_text(sentence)}", file=sys.stderr)
    return code


def _prepare_streams() -> None:
    """Nothing that is printed may fail for want of a character; what goes to a program is UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if not stream.isatty():
                stream.reconfigure(encoding="utf-8")
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
