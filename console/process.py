"""What this process does before anything else, so that neither a neighbor nor a crash learns a secret."""

import errno
import os
import resource
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from console.settings import SettingsError

if TYPE_CHECKING:
    import asyncio
    import logging

    from store.credentials import Credential, CredentialError

_LOCALE: Final = frozenset(
    f"LC_{name}"
    for name in (
        "ALL", "ADDRESS", "COLLATE", "CTYPE", "IDENTIFICATION", "MEASUREMENT", "MESSAGES",
        "MONETARY", "NAME", "NUMERIC", "PAPER", "TELEPHONE", "TIME",
    )
)  # fmt: skip
_OFFICIAL_FILES: Final = ("LC_CREDS_FILE", "LC_CONFIG_DIR", "LC_LEGACY_CONFIG")
_PR_SET_DUMPABLE: Final = 4
_PR_GET_DUMPABLE: Final = 3
GRACE: Final = 8.0
"""Seconds that the current step may take after a signal; then the process ends in any case."""

_credential: "Credential | None" = None
_credential_error: "CredentialError | None" = None
_official: dict[str, str] = {}
_home: Path | None = None


class WorkspaceError(SettingsError):
    """The workspace is not this user's alone; the text says what is wrong and how to put it right."""


def harden(environ: MutableMapping[str, str] | None = None) -> None:
    """Close what a shared host leaves open. Call before anything is opened and before Textual is imported.

    New files are private, no core is dumped, no debugger attaches; LimaCharlie's variables are
    taken out of the environment (`take_environment_credentials` has them), and so are Textual's, of
    which one writes every key press to a file; an unforeseen error leaves a redacted crash file
    instead of a traceback.
    """
    environ = os.environ if environ is None else environ
    os.umask(0o077)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)
    _take(environ)
    sys.excepthook = _on_crash
    threading.excepthook = _on_thread_crash


def take_environment_credentials() -> "Credential | None":
    """What LC_UID, LC_OID and LC_API_KEY said when the process started; None without LC_API_KEY.

    Raises:
        CredentialError: they do not make a credential.
    """
    if _credential_error is not None:
        raise _credential_error
    return _credential


def official_files() -> dict[str, str]:
    """The official client's variables that say where its files lie, as they were at the start."""
    return dict(_official)


def workspace(home: Path, *, make: bool = True) -> Path:
    """The workspace, made (0700) if there is none.

    Args:
        make: False for what only looks: where there is none, there will be none.

    Raises:
        WorkspaceError: it is a link, another user's, open to others, or cannot be made.
    """
    global _home
    if make or os.path.lexists(home):
        private_directory(home)
    for parent in home.parents:
        with suppress(OSError):
            mode = parent.stat().st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise WorkspaceError(
                    f"The workspace {home} lies below {parent}, which everybody may write; "
                    "choose another with LIMEGROVE_HOME."
                )
    _home = home
    return home


def private_directory(path: Path) -> Path:
    """A directory that only this user can enter, made if there is none.

    Raises:
        WorkspaceError: it is a link, not a directory, another user's, open to others, or cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except FileExistsError:
        found = path.lstat()
    except OSError as error:
        raise WorkspaceError(f"The directory {path} cannot be made: {error.strerror}.") from None
    if stat.S_ISLNK(found.st_mode):
        raise WorkspaceError(f"The directory {path} is a link; give the directory itself (LIMEGROVE_HOME).")
    if not stat.S_ISDIR(found.st_mode):
        raise WorkspaceError(f"{path} is not a directory; move it away, or set LIMEGROVE_HOME.")
    if found.st_uid != os.geteuid():
        raise WorkspaceError(f"The directory {path} belongs to another user; set LIMEGROVE_HOME to your own.")
    if found.st_mode & 0o077:
        raise WorkspaceError(f"The directory {path} is open to other users; run `chmod 700 {path}`.")
    return path


def start_log(home: Path) -> "logging.Handler":
    """Log everything to HOME/log/limegrove.log (0600, 2 MB, three kept), without secrets.

    Raises:
        WorkspaceError: the file cannot be opened, or its directory is not ours alone.
    """
    import io
    import logging
    import logging.handlers

    from console.redaction import RedactingFormatter

    class PrivateFile(logging.handlers.RotatingFileHandler):
        def _open(self) -> io.TextIOWrapper:
            raw = open(self.baseFilename, "ab", opener=_opener)  # noqa: SIM115  (the handler closes it)
            return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)

    path = private_directory(home / "log") / "limegrove.log"
    try:
        handler = PrivateFile(path, maxBytes=2_000_000, backupCount=3)
    except OSError as error:
        raise WorkspaceError(f"The log {path} cannot be written: {error.strerror}.") from None
    handler.setFormatter(RedactingFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    return handler


def report_crash(error: BaseException) -> str:
    """Write what happened to a crash file (0600), without secrets or local variables.

    Returns:
        One sentence for the operator, which names the file.
    """
    what = type(error).__name__
    path = _write_crash(error)
    if path is None:
        return f"limegrove met an unforeseen error ({what}), and could not write a crash file."
    return f"limegrove met an unforeseen error ({what}); what is known of it, without secrets, is in {path}."


class Ending:
    """Whether a signal has asked the process to end, and with which exit code it then does."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def exit_code(self) -> int | None:
        """128 and the signal's number (143 for SIGTERM, 129 for SIGHUP); None while none has come."""
        return None if self.signal is None else 128 + self.signal


@contextmanager
def ending_on_signals(
    loop: "asyncio.AbstractEventLoop", stop: Callable[[], object], *, grace: float = GRACE
) -> Iterator[Ending]:
    """Call `stop` in the loop when SIGTERM or SIGHUP comes, so that the current step is finished.

    A terminal that is gone takes no farewell: `grace` seconds after the signal the process ends
    with the same exit code, whatever it waits for. A SIGHUP that was ignored from the start (nohup)
    stays ignored.

    Args:
        loop: the running loop of the main thread.
        stop: ends the application; called once.
        grace: seconds.
    """
    ending = Ending()
    timers: list[threading.Timer] = []

    def come(number: int) -> None:
        if ending.signal is not None:
            return
        ending.signal = number
        timer = threading.Timer(grace, os._exit, (128 + number,))
        timer.daemon = True
        timer.start()
        timers.append(timer)
        stop()

    caught = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    for number in caught:
        loop.add_signal_handler(number, come, int(number))
    try:
        yield ending
    finally:
        for timer in timers:
            timer.cancel()
        for number in caught:
            loop.remove_signal_handler(number)


def posture() -> dict[str, int | None]:
    """{umask, core_limit, dumpable} of this process; None where it cannot be told."""
    mask = os.umask(0o077)
    os.umask(mask)
    return {
        "umask": mask,
        "core_limit": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "dumpable": _prctl(_PR_GET_DUMPABLE),
    }


def _prctl(option: int, argument: int = 0) -> int | None:
    """Linux only, and best effort: what it guards is guarded by file modes too."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        import ctypes

        answer = ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return None
    return int(answer) if answer >= 0 else None


def _take(environ: MutableMapping[str, str]) -> None:
    global _credential, _credential_error
    for name in _OFFICIAL_FILES:
        if environ.get(name):
            _official[name] = environ[name]
    if environ.get("LC_API_KEY"):
        from store.credentials import CredentialError, take_from_environment

        try:
            _credential = take_from_environment(environ)
        except CredentialError as error:
            _credential_error = error
        if _credential is not None:
            from console.redaction import remember

            remember(_credential.secret)
    for name in list(environ):
        if name.startswith("TEXTUAL") or (name.startswith("LC_") and name not in _LOCALE):
            del environ[name]


def _on_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _say(report_crash(error.with_traceback(trace)))


def _on_thread_crash(arguments: threading.ExceptHookArgs) -> None:
    error = arguments.exc_value
    if error is None or issubclass(arguments.exc_type, SystemExit):
        return
    if isinstance(error, OSError) and error.errno == errno.EIO:
        # A thread that writes to a terminal which is gone: the connection broke, and nothing of ours did.
        return
    _say(report_crash(error))


def _say(sentence: str) -> None:
    with suppress(Exception):
        print(f"limegrove: {sentence}", file=sys.__stderr__, flush=True)


def _write_crash(error: BaseException) -> Path | None:
    try:
        import secrets
        import traceback
        from datetime import UTC, datetime

        from console import __version__
        from console.redaction import redact

        now = datetime.now(UTC)
        lines = traceback.TracebackException.from_exception(error, capture_locals=False).format()
        head = f"limegrove {__version__}, Python {sys.version.split()[0]}, {now:%Y-%m-%dT%H:%M:%SZ}"
        text = redact(f"{head}\n\n{''.join(lines)}")
        directory = private_directory(private_directory(_home or _default_home()) / "crashes")
        path = directory / f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}.txt"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(
            os.open(path, flags | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
    except Exception:
        return None
    return path


def _default_home() -> Path:
    from console.settings import load

    return load().home


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def settle_memory() -> None:
    """Leave what was imported out of every later look for garbage, and look for it from now on.

    While classes and queries are made, nothing of them is garbage, and looking costs a tenth of the start.
    """
    import gc

    gc.freeze()
    gc.enable()
