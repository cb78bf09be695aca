"""Turns among the processes that write one SQLite file.

SQLite lets a waiting writer look every tenth of a second whether the lock is free. Who writes one
transaction after the other leaves it free for much less than that, and everybody else waits in vain until
they give up. So a waiter looks oftener here, and says that it waits: who writes next lets it go first.
"""

import fcntl
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOOKS: Final = (0.001, 0.004)
"""Seconds between two looks of a waiter, by chance between these: two of them must not keep step."""

GIVES_WAY: Final = 0.01
"""Seconds for which a writer leaves the lock to those who wait: a few of their looks."""


def begin(connection: sqlite3.Connection, directory: Path, patience: float) -> None:
    """Begin a transaction that holds the write lock.

    Args:
        directory: where the file is. Who waits shares a lock on it, so that no file is left behind; on a
            file system without such locks there are no turns, and everything else as before.
        patience: seconds after which waiting ends.

    Raises:
        sqlite3.OperationalError: somebody else held the lock all the time, or what else SQLite says.
    """
    if _somebody_waits(directory):
        time.sleep(GIVES_WAY)
    connection.execute("PRAGMA busy_timeout=0")
    try:
        if not _begun(connection):
            _wait(connection, directory, time.monotonic() + patience)
    finally:
        connection.execute(f"PRAGMA busy_timeout={round(patience * 1000)}")


def _wait(connection: sqlite3.Connection, directory: Path, end: float) -> None:
    with _opened(directory) as waits:
        said = False
        while True:
            said = said or _locked(waits, fcntl.LOCK_SH)
            time.sleep(random.uniform(*LOOKS))  # noqa: S311
            if _begun(connection, last=time.monotonic() >= end):
                return


def _begun(connection: sqlite3.Connection, *, last: bool = False) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _somebody_waits(directory: Path) -> bool:
    with _opened(directory) as looks:
        return looks is not None and not _locked(looks, fcntl.LOCK_EX)


@contextmanager
def _opened(directory: Path) -> Iterator[int | None]:
    """A directory to be locked; what closes it unlocks it."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(descriptor: int | None, how: int) -> bool:
    """Lock it without waiting; whether no other lock is in the way."""
    if descriptor is not None:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # no such locks here
    return True
