"""`limegrove`, and `python -m console`."""

import sys
from collections.abc import Sequence

from console import streams
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
    if not streams.prepare():
        return _complain("Standard output is closed, so there is nowhere to print to; nothing was done.", 1)
    try:
        code = _done(argv)
        streams.flush()
    except streams.NotPrinted as error:
        streams.print_nowhere()
        return _complain(str(error), 1)
    except BrokenPipeError:
        # The reader has gone, and wants no more.
        streams.print_nowhere()
        return 0
    else:
        return code


def _done(argv: Sequence[str] | None) -> int:
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
    except Problem as problem:
        return _complain(str(problem), problem.code)
    except SystemExit:
        streams.flush()
        raise

    from console.commands.session import Session

    session = Session(arguments)
    try:
        from console.process import harden, start_log, workspace

        harden()
        if session.settings.debug:
            start_log(workspace(session.settings.home))
        return command(arguments.noun).run(session)
    except Problem as problem:
        return _complain(str(problem), problem.code)
    except KeyboardInterrupt:
        return 130
    except (BrokenPipeError, streams.NotPrinted):
        raise
    except Exception as error:
        known = _code_of(error)
        if known is not None:
            return _complain(str(error), known)
        from console.process import report_crash

        return _complain(report_crash(error), 1)
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


if __name__ == "__main__":
    sys.exit(main())
