"""Private files: replaced whole or not at all, and refused when somebody else could have a hand in them."""

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.credentials.errors import CredentialError, FileDamaged

_LIMIT = 4 * 1024 * 1024


def read_private(path: Path) -> bytes | None:
    """What a file of ours holds; None when there is none.

    Raises:
        FileDamaged: it is a link, another user's, open to others, or absurdly large.
        CredentialError: it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CredentialError(f"{path} cannot be read: {error.strerror}.") from None
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise FileDamaged(f"{path} is not a regular file; move it away.")
        if found.st_uid != os.geteuid():
            raise FileDamaged(f"{path} belongs to another user; move it away.")
        if found.st_mode & 0o077:
            raise FileDamaged(f"{path} is open to other users; run `chmod 600 {path}` if you trust it still.")
        content = stream.read(_LIMIT + 1)
    if len(content) > _LIMIT:
        raise FileDamaged(f"{path} is larger than 4 MB, which is not ours; move it away.")
    return content


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step (0600): after a crash it is the old one or the new one, on disk.

    Raises:
        CredentialError: it cannot be written; the old file is still there.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        _sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise CredentialError(f"{path} cannot be written: {error.strerror}; nothing was changed.") from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes see, so that two logins do not undo each other.

    Raises:
        CredentialError: the lock cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CredentialError(f"{path} cannot be opened: {error.strerror}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
