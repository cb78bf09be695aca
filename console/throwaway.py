"""Directories that last as long as the process that made them; what killed ones left behind is removed."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCK: Final = "in-use"
"""The file in one that its process has locked as long as it is there."""


@contextmanager
def directory(prefix: str) -> Iterator[Path]:
    """One in the system's directory for temporary files (0700), removed at the end.

    Those of the same prefix, of this user, whose process was killed are removed first.
    """
    _tidy(prefix)
    home = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        # Locked before it has the name by which another process looks for it.
        with open(home / f"{LOCK}.new", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(lock.name, home / LOCK)
            yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _tidy(prefix: str) -> None:
    """Remove those whose lock nobody holds."""
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            found = left.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                continue
            descriptor = os.open(left / LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(descriptor)
