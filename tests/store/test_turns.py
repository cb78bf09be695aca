"""Writers of one file take turns, though SQLite would let one of them have it all the time."""

import fcntl
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from store import preferences, turns

BUSY = """
import sys, time
from store import preferences
from store.database import Store
store = Store(sys.argv[1])
print("here", flush=True)
for number in range(100_000):
    with store.writing() as connection:
        preferences.put(connection, "busy", number)
        time.sleep(0.03)
"""
"""A process that writes one transaction after the other."""


@contextmanager
def busy(url: str) -> Iterator[None]:
    """While somebody else writes all the time."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", BUSY, url], stdout=subprocess.PIPE, cwd=root, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "here\n"
        try:
            yield
            assert other.poll() is None
        finally:
            other.kill()


def test_who_writes_all_the_time_lets_others_write_too(a_store) -> None:
    store = a_store()
    with busy(store.url):
        for number in range(5):
            with store.writing() as connection:
                preferences.put(connection, "mine", number)
        with store.reader.reading() as connection:
            mine, before = preferences.get(connection, "mine"), preferences.get(connection, "busy") or 0
        assert mine == 4
        while True:  # and it goes on
            with store.reader.reading() as connection:
                if (preferences.get(connection, "busy") or 0) > before:
                    break
            time.sleep(0.01)


def test_nobody_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("nobody is there"))
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
        for _ in range(20):
            turns.begin(connection, tmp_path, 1)
            connection.execute("COMMIT")
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (1000,)


def test_what_sqlite_says_but_busy_is_said_at_once(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
        turns.begin(connection, tmp_path, 60)
        with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
            turns.begin(connection, tmp_path, 60)


def test_without_such_locks_a_writer_waits_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_descriptor: int, _how: int) -> None:
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr(fcntl, "flock", none)
    path = tmp_path / "a.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as one,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        turns.begin(one, tmp_path, 1)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            turns.begin(other, tmp_path, 0.05)
        one.execute("COMMIT")
        turns.begin(other, tmp_path, 1)
        other.execute("COMMIT")


def test_whoever_waited_leaves_no_lock_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as one,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        turns.begin(one, tmp_path, 1)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            turns.begin(other, tmp_path, 0.05)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
    assert [each.name for each in tmp_path.iterdir()] == ["a.db"]
