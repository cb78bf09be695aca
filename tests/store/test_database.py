"""Opening, writing, and hearing of it, on both engines."""

import os
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError

from store import preferences
from store.database import Change, Reader, Store, shown_url, sqlite_url
from store.errors import StoreDamaged, StoreTooNew, StoreUnavailable
from store.models import Organization, Preference

PREFERENCE = Preference.__table__


def _put(store: Store, key: str, value: object) -> None:
    with store.writing() as connection:
        preferences.put(connection, key, value)


def _look_until(store: Store, fact: Callable[[], bool]) -> None:
    """PostgreSQL delivers a notice when it pleases."""
    ends = time.monotonic() + 20
    while not fact() and time.monotonic() < ends:
        store.look_outside()
        time.sleep(0.01)
    assert fact()


def test_what_is_written_can_be_read(store: Store) -> None:
    _put(store, "scope", {"node": "eu"})
    with store.reader.reading() as connection:
        assert preferences.get(connection, "scope") == {"node": "eu"}


def test_a_store_can_be_opened_again(store_url: str) -> None:
    with closing(Store(store_url)) as first:
        _put(first, "a", 1)
    with closing(Store(store_url)) as second, second.reader.reading() as connection:
        assert preferences.get(connection, "a") == 1


def test_the_database_itself_refuses_a_reader_that_writes(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="may not"), store.reader.reading() as connection:
        connection.execute(insert(PREFERENCE).values(key="a", value=1))
    with store.reader.reading() as connection:
        assert preferences.get(connection, "a") is None


def test_a_reader_sees_one_moment_whatever_is_written_meanwhile(store: Store) -> None:
    _put(store, "a", 1)
    with store.reader.reading() as connection:
        assert preferences.get(connection, "a") == 1
        _put(store, "a", 2)
        assert preferences.get(connection, "a") == 1
    with store.reader.reading() as connection:
        assert preferences.get(connection, "a") == 2


def test_an_error_in_a_transaction_leaves_nothing_and_tells_nobody(store: Store) -> None:
    heard: list[Change] = []
    store.on_change(heard.append)

    def half_way() -> None:
        with store.writing() as connection:
            preferences.put(connection, "a", 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_way()
    with store.reader.reading() as connection:
        assert preferences.get(connection, "a") is None
    assert heard == []


def test_a_broken_rule_of_the_database_is_no_unavailable_store(store: Store) -> None:
    with pytest.raises(IntegrityError), store.writing() as connection:
        connection.execute(insert(PREFERENCE), [{"key": "a", "value": 1}, {"key": "a", "value": 2}])


def test_writing_does_not_nest_and_says_so(store: Store) -> None:
    with store.writing(), pytest.raises(RuntimeError, match="does not nest"), store.writing():
        pass
    _put(store, "a", 1)


def test_the_tables_written_are_told_once_after_the_commit(store: Store) -> None:
    heard: list[Change] = []
    store.on_change(heard.append)
    with store.writing() as connection:
        preferences.put(connection, "a", 1)
        connection.execute(
            insert(Organization.__table__).values(
                oid="o", name="n", region="", status="", details={}, first_seen=1
            )
        )
        assert heard == []
    assert heard == [Change(frozenset({"preference", "organization"}))]
    assert heard[0].touches(frozenset({"organization"}))
    assert not heard[0].touches(frozenset({"detection"}))


def test_a_statement_that_changes_no_row_is_not_told(store: Store) -> None:
    heard: list[Change] = []
    store.on_change(heard.append)
    with store.writing() as connection:
        connection.execute(update(PREFERENCE).where(PREFERENCE.c.key == "nothing").values(value=1))
    assert heard == []


def test_a_listener_that_fails_harms_neither_the_commit_nor_the_others(store: Store) -> None:
    heard: list[Change] = []

    def failing(change: Change) -> None:
        raise ValueError("a screen that is broken")

    store.on_change(failing)
    stop = store.on_change(heard.append)
    _put(store, "a", 1)
    assert len(heard) == 1
    stop()
    _put(store, "a", 2)
    assert len(heard) == 1
    with store.reader.reading() as connection:
        assert preferences.get(connection, "a") == 2


def test_another_process_is_heard_and_ones_own_commits_are_not_told_twice(store_url: str) -> None:
    with closing(Store(store_url)) as here, closing(Store(store_url)) as there:
        heard: list[Change] = []
        here.on_change(heard.append)
        _put(here, "mine", 1)
        _put(there, "theirs", 1)
        _look_until(here, lambda: len(heard) > 1)
        here.look_outside()
        assert heard[0] == Change(frozenset({"preference"}))
        assert heard[1].touches(frozenset({"preference"}))
        assert len(heard) == 2


def test_postgresql_tells_which_tables_another_process_wrote(postgres_url: str) -> None:
    with closing(Store(postgres_url)) as here, closing(Store(postgres_url)) as there:
        heard: list[Change] = []
        here.on_change(heard.append)
        _put(there, "theirs", 1)
        _look_until(here, lambda: bool(heard))
        assert heard == [Change(frozenset({"preference"}))]


def test_listening_that_broke_off_starts_again_and_tells_that_something_may_have_been_missed(
    postgres_url: str,
) -> None:
    with closing(Store(postgres_url)) as here, closing(Store(postgres_url)) as there:
        heard: list[Change] = []
        here.on_change(heard.append)
        with there.writing() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
            )
        _put(there, "missed", 1)
        _look_until(here, lambda: Change(frozenset()) in heard)


def test_looking_outside_does_not_wait_for_a_process_that_writes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with (
        closing(Store(url)) as here,
        closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as there,
    ):
        there.execute("BEGIN IMMEDIATE")
        done = threading.Event()
        looking = threading.Thread(target=lambda: (here.look_outside(), done.set()))
        looking.start()
        assert done.wait(2)
        looking.join()
        there.execute("ROLLBACK")


COUNT_UP = """
import sys
from sqlalchemy import insert, select, update
from store.database import Store
from store.models import Preference
table = Preference.__table__
store = Store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(200):
    with store.writing() as connection:
        value = connection.execute(select(table.c.value).where(table.c.key == "n")).scalar_one()
        connection.execute(update(table).where(table.c.key == "n").values(value=value + 1))
store.close()
"""


def test_two_processes_lose_no_update_to_each_other(store_url: str) -> None:
    with closing(Store(store_url)) as store:
        _put(store, "n", 1)
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", COUNT_UP, store_url],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(2)
        ]  # fmt: skip
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            process.communicate(timeout=60)
            assert process.returncode == 0
        with store.reader.reading() as connection:
            assert preferences.get(connection, "n") == 401


def test_threads_write_one_after_the_other(store: Store) -> None:
    _put(store, "n", 1)

    def count_up() -> None:
        for _ in range(50):
            with store.writing() as connection:
                preferences.put(connection, "n", preferences.get(connection, "n") + 1)

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reader.reading() as connection:
        assert preferences.get(connection, "n") == 201


def test_a_lock_held_elsewhere_is_one_sentence_after_some_patience(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.database.PATIENCE", 0.2 if "sqlite" in store_url else 1)
    with (
        closing(Store(store_url)) as here,
        closing(Store(store_url)) as there,
        there.writing(),
        pytest.raises(StoreUnavailable, match=r"held it for more than .* try again"),
    ):
        _put(here, "a", 1)


# Every way of not opening


def _open(url: str) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        Store(url).close()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("remember the milk\n" * 100)
    assert "no database of limegrove" in _open(f"sqlite:///{path}")
    assert path.read_text() == "remember the milk\n" * 100


def test_the_database_of_another_program_is_left_alone(empty_url: str, tmp_path: Path) -> None:
    if empty_url.startswith("sqlite"):
        with closing(sqlite3.connect(tmp_path / "store.db")) as other:
            other.execute("CREATE TABLE bookmarks (url TEXT)")
    else:
        import psycopg

        with psycopg.connect(empty_url.replace("+psycopg", "")) as connection:
            connection.execute("CREATE TABLE bookmarks (url TEXT)")
    assert "another program" in _open(empty_url)


def test_a_directory_a_link_and_a_pipe_are_no_store(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    assert "is a directory" in _open(f"sqlite:///{tmp_path / 'directory'}")
    (tmp_path / "elsewhere").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in _open(f"sqlite:///{tmp_path / 'link'}")
    os.mkfifo(tmp_path / "pipe")
    assert "not a file" in _open(f"sqlite:///{tmp_path / 'pipe'}")


def test_a_path_through_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "not a directory" in _open(f"sqlite:///{tmp_path / 'file' / 'store.db'}")


def test_what_this_user_may_not_write_is_said(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from store.database import Store\n"
        "from store.errors import StoreUnavailable\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: Store(sys.argv[1])\n"
        "except StoreUnavailable as error: print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, "sqlite:////etc/limegrove/store.db"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.stdout == "The store /etc/limegrove/store.db cannot be opened: permission denied.\n"


def test_a_server_that_is_not_there_is_one_sentence_without_the_password() -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        sentence = _open(f"postgresql://mk:hunter2@127.0.0.1:{port}/limegrove")
    assert "hunter2" not in sentence
    assert "127.0.0.1" in sentence


def test_a_database_that_is_not_there_is_one_sentence(postgres: str) -> None:
    assert "does not exist" in _open(postgres.format("nowhere"))


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://x/y", "sqlite://", "sqlite:///:memory:"])
def test_an_address_of_no_store_is_one_sentence(url: str) -> None:
    assert "sqlite:///PATH" in _open(url)


def test_an_address_is_shown_without_its_password() -> None:
    assert shown_url("postgresql+psycopg://mk:hunter2@db/lg?sslpassword=x") == "postgresql://mk:***@db/lg"
    assert shown_url("sqlite:////var/lib/lg.db") == "/var/lib/lg.db"


def test_a_store_of_a_newer_limegrove_is_refused_and_not_touched(store_url: str) -> None:
    with closing(Store(store_url)) as store, store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew, match="9999"):
        Store(store_url)


def test_a_damaged_page_is_said_when_it_is_met(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with closing(Store(f"sqlite:///{path}")) as store:
        _put(store, "a", "x" * 100_000)
    raw = bytearray(path.read_bytes())
    raw[8192 * 2 :] = os.urandom(len(raw) - 8192 * 2)
    path.write_bytes(raw)

    def read_everything() -> None:
        with closing(Store(f"sqlite:///{path}")) as store, store.reader.reading() as connection:
            for table in Preference.metadata.sorted_tables:
                connection.execute(select(table)).all()

    with pytest.raises(StoreDamaged, match="store check"):
        read_everything()


# The file


def test_the_file_and_its_directory_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(Store(f"sqlite:///{tmp_path / 'new' / 'store.db'}")) as store:
            _put(store, "a", 1)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert "store.db-wal" in modes


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch(mode=0o644)
    path.chmod(0o644)
    Store(f"sqlite:///{path}").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_path_with_strange_letters_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a b#c%41?d" / "store.db"
    with closing(Store(sqlite_url(path))) as store:
        _put(store, "a", 1)
        with store.reader.reading() as connection:
            assert preferences.get(connection, "a") == 1
    assert path.stat().st_size > 0


def test_a_reader_of_no_store_says_so(tmp_path: Path) -> None:
    with (
        closing(Reader(f"sqlite:///{tmp_path / 'none.db'}")) as reader,
        pytest.raises(StoreUnavailable, match="cannot be opened"),
        reader.reading(),
    ):
        pass


def test_the_write_ahead_log_does_not_grow_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.database.WAL_LIMIT", 1_000_000)
    log = tmp_path / "s.db-wal"
    sizes = []
    with closing(Store(f"sqlite:///{tmp_path / 's.db'}")) as store:
        with store.reader.reading() as reader:  # SQLite's own checkpoints cannot start over meanwhile
            preferences.get(reader, "x")
            for number in range(20):
                _put(store, f"k{number}", "x" * 200_000)
            sizes.append(log.stat().st_size)
        _put(store, "last", 1)
        sizes.append(log.stat().st_size)
    assert sizes[0] > 4_000_000
    assert sizes[1] == 0


def test_a_killed_writer_leaves_nothing_half_written(store_url: str) -> None:
    program = (
        "import os, sys\n"
        "from store import preferences\n"
        "from store.database import Store\n"
        "store = Store(sys.argv[1])\n"
        "with store.writing() as c:\n"
        "    preferences.put(c, 'half', 1)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, store_url], check=False)
    assert ended.returncode == -9
    with closing(Store(store_url)) as store:
        with store.reader.reading() as connection:
            assert preferences.get(connection, "half") is None
        _put(store, "whole", 1)
