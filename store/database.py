"""Opening the store, writing to it, and telling listeners what changed.

One schema and one set of queries serve SQLite (WAL) and PostgreSQL. Screens are given a `Reader`,
whose connections refuse to write; operations are given the `Store`.
"""

import contextlib
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Delete, Engine, Insert, Update, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool
from sqlmodel import SQLModel

import store.models  # noqa: F401  (registers the tables)
from store.errors import StoreUnavailable
from store.schema import check_schema, create_schema, is_empty


@dataclass(frozen=True)
class Change:
    """Some rows were committed."""

    tables: frozenset[str]
    """Names of the tables written; empty when another process wrote and it is not known which."""

    def touches(self, tables: frozenset[str]) -> bool:
        """Whether any of these tables may have changed."""
        return not self.tables or bool(self.tables & tables)


Listener = Callable[[Change], object]


class Reader:
    """The half of the store that screens are given: the database itself refuses a write."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _engine(url, read_only=True)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one moment of the store, whatever is written meanwhile."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


class Store:
    """The whole store. Any thread may use it; one writes at a time."""

    def __init__(self, url: str) -> None:
        """Open `url`, creating an empty store's tables.

        Args:
            url: `sqlite:///PATH` or `postgresql+psycopg://...`.

        Raises:
            StoreUnavailable: it cannot be opened (permissions, a dead server, not a database).
            StoreTooNew: a newer limegrove wrote it.
            StoreTooOld: `store upgrade` has to run first.
        """
        self.url = url
        self._id = uuid.uuid4().hex
        self._lock = threading.RLock()
        self._depth = 0
        self._listeners: list[Listener] = []
        self._touched: set[str] = set()
        path = sqlite_path(url)
        if path is not None:
            prepare_private(path)
        self._engine = _engine(url, read_only=False)
        try:
            if is_empty(self._engine):
                create_schema(self._engine)
            else:
                check_schema(self._engine)
        except BaseException:
            self._engine.dispose()
            raise
        event.listen(self._engine, "after_execute", self._note)
        self.reader = Reader(url)
        self._version = self._data_version()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start, commits on a clean exit, and then
        tells the listeners which tables changed. Keep it short: on SQLite every writer waits for it.

        Raises:
            StoreUnavailable: another process held the lock for more than five seconds.
        """
        with self._lock:
            self._touched.clear()
            with self._engine.connect() as connection, connection.begin():
                yield connection
            tables = frozenset(self._touched)
        if tables:
            self._tell(Change(tables))

    def touched(self, *tables: str) -> None:
        """Say that these tables are being written; for statements that are plain text."""
        self._touched.update(tables)

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each commit, in the thread that committed; answers how to stop."""
        self._listeners.append(listener)

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return stop

    def look_outside(self) -> None:
        """Notice what other processes have committed since the last look, and tell the listeners."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            version = self._data_version()
            changed = version != self._version
            self._version = version
        finally:
            self._lock.release()
        if changed:
            self._tell(Change(frozenset()))

    def close(self) -> None:
        """Give the connections back."""
        self.reader.close()
        self._engine.dispose()

    def _note(
        self, _connection: Connection, statement: Any, _many: Any, _params: Any, _options: Any, result: Any
    ) -> None:
        if isinstance(statement, Insert | Update | Delete) and result.rowcount != 0:
            self._touched.add(str(getattr(statement.table, "name", "")))

    def _tell(self, change: Change) -> None:
        for listener in tuple(self._listeners):
            listener(change)

    def _data_version(self) -> int:
        """Of the one writing connection, so that our own commits do not count as foreign."""
        if self.dialect != "sqlite":
            return 0
        with self._engine.connect() as connection:
            return int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL; None for any other engine."""
    parsed = make_url(url)
    if not parsed.drivername.startswith("sqlite") or not parsed.database:
        return None
    return Path(parsed.database)


def prepare_private(path: Path) -> None:
    """Make the store's directory (0700) and file (0600), whatever the umask.

    Raises:
        StoreUnavailable: they cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise StoreUnavailable(f"The store {path} cannot be opened: {error.strerror}.") from error


def _engine(url: str, *, read_only: bool) -> Engine:
    path = sqlite_path(url)
    options: dict[str, Any] = {"hide_parameters": True}
    if path is None:
        engine = create_engine(url, pool_size=4, max_overflow=4, pool_pre_ping=True, **options)
        if read_only:
            event.listen(engine, "connect", _postgres_read_only)
        return engine
    if read_only:
        url = f"sqlite:///file:{path}?mode=ro&uri=true"
    else:
        options |= {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
    engine = create_engine(url, connect_args={"check_same_thread": False}, **options)
    event.listen(engine, "connect", _sqlite_reader if read_only else _sqlite_writer)
    event.listen(engine, "begin", _begin_deferred if read_only else _begin_immediate)
    return engine


def _sqlite_writer(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where sqlite3 guesses
    _lend_functions(connection)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=5000",
        "journal_size_limit=67108864",
        "mmap_size=268435456",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_reader(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    _lend_functions(connection)
    for pragma in ("busy_timeout=5000", "query_only=ON", "mmap_size=268435456"):
        connection.execute(f"PRAGMA {pragma}")


def _lend_functions(connection: sqlite3.Connection) -> None:
    """SQLite folds the case of ASCII only."""
    connection.create_function(
        "limegrove_contains", 2, lambda text, part: part in text.casefold(), deterministic=True
    )


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _postgres_read_only(connection: Any, _record: object) -> None:
    connection.read_only = True


def tables() -> frozenset[str]:
    """The names of all tables."""
    return frozenset(SQLModel.metadata.tables)
