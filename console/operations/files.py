"""Files that are written for people: in one step, for this user alone, where there is a directory for it."""

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from store.errors import StoreError


class FileError(StoreError):
    """A file that cannot be read or written; the text says which, and what to do."""


def refuse_nowhere(directory: Path) -> None:
    """Of a path only its last part may be missing: a slip makes no tree of directories.

    Args:
        directory: in which that part lies, or is to lie.

    Raises:
        FileError: it is not there.
    """
    if not directory.exists():
        raise FileError(f"There is no directory {directory}; make it first. Nothing was written.")


def write_private(path: Path, content: bytes) -> None:
    """Write a file in one step (0600); what was there stays when that fails.

    A link stays as it is: what it points to is written. Nothing but a regular file is ever replaced,
    for a rename makes a file even of a device.

    Raises:
        FileError: it cannot be written, its directory is missing, or it is something else than a file.
    """
    from store.credentials.errors import CredentialError
    from store.credentials.files import write_private as write

    target = replaceable(path)
    try:
        write(target, content)
    except CredentialError as error:
        raise FileError(str(error)) from None


def replaceable(path: Path) -> Path:
    """Where a file is to be written: `path`, or what it points to where it is a link.

    Raises:
        FileError: what is there is no regular file, its directory is missing, or nobody can tell.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        if path.name in ("", ".", ".."):
            raise FileError(f"{path} names no file; give a file. Nothing was written.") from None
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}; nothing was changed.") from None
    else:
        kind = next((word for is_, word in _KINDS if is_(found.st_mode)), "no regular file")
        if kind:
            raise FileError(f"{path} is {kind}; give a file. Nothing was written.")
        if _is_where_we_print(found):
            raise FileError(f"{path} is where this command prints; give a file. Nothing was written.")
    target = Path(os.path.realpath(path))
    refuse_nowhere(target.parent)
    return target


def put_there(aside: str | Path, path: Path) -> None:
    """Give a file its name, which must not be there: unlike a rename, neither way replaces another's file.

    Raises:
        OSError: it cannot be; FileExistsError when something is there.
    """
    try:
        os.link(aside, path)
    except OSError as error:
        # Sticks that are carried to where there is no network are formatted so that they know no links.
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            os.replace(aside, path)
        except OSError:
            os.unlink(path)
            raise


_KINDS = (
    (stat.S_ISREG, ""),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def _is_where_we_print(found: os.stat_result) -> bool:
    """Whether a file is what `/dev/stdout` stands for: replaced, all that is printed would go nowhere."""
    for stream in (sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError):
            if stream is not None and os.path.samestat(found, os.fstat(stream.fileno())):
                return True
    return False
