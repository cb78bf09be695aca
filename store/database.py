"""Opening the store, writing to it, and telling listeners what changed.

One schema and one set of queries serve SQLite (WAL) and PostgreSQL. Screens are given a `Reader`,
whose connections refuse to write; operations are given the `Store`.
"""

import contextlib
import json
import logging
import os
import sqlite3
import stat
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Delete, Engine, Insert, Update, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool
from sqlmodel import SQLModel

import store.models  # noqa: F401  (registers the tables)
from store import changes, turns
from store.errors import StoreDamaged, StoreError, StoreUnavailable
from store.schema import check_schema, create_schema, is_empty

log = logging.getLogger(__name__)

PATIENCE = 5
"""Seconds that a writer waits for another one."""

WAL_LIMIT = 64 * 1024 * 1024
"""Bytes of write-ahead log from which on it is emptied after a commit."""

CHANNEL = "limegrove_changes"
"""On which PostgreSQL tells other consoles what was written."""

_WRITERS = 0x6C696D65
"""The advisory lock that lets one transaction write at a time. Most writes read first (what is there, the
last entry of the journal), and PostgreSQL's default isolation would lose updates without an error."""


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
        """A connection that sees one moment of the store, whatever is written meanwhile.

        Raises:
            StoreUnavailable: the file or the server is gone.
            StoreDamaged: the file is not whole.
        """
        with translated(self.url), self._engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


TOUCHED = "touched"
"""In `Connection.info` of a transaction: the names of the tables it wrote, for statements that are text."""


class Store:
    """The whole store. Any thread may use it; one writes at a time."""

    def __init__(self, url: str) -> None:
        """Open `url`, creating an empty store's tables.

        Args:
            url: `sqlite:///PATH` or `postgresql://...`.

        Raises:
            StoreUnavailable: it cannot be opened (permissions, a dead server, not a database).
            StoreTooNew: a newer limegrove wrote it.
            StoreTooOld: `store upgrade` has to run first.
        """
        self.url = url
        self._id = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._writer: int | None = None
        self._listeners: list[Listener] = []
        self._touched: set[str] = set()
        self._ear: Any = None
        self._ear_lock = threading.Lock()
        self._path = sqlite_path(url)
        if self._path is not None:
            prepare_private(self._path)
        self._engine = _engine(url, read_only=False)
        try:
            with translated(url):
                if is_empty(self._engine):
                    create_schema(self._engine)
                else:
                    check_schema(self._engine)
                self._version = self._data_version()
        except BaseException:
            self._engine.dispose()
            raise
        event.listen(self._engine, "after_execute", self._note)
        self.reader = Reader(url)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start, commits on a clean exit, and then
        tells the listeners which tables changed. Keep it short: every other writer waits for it.

        Raises:
            StoreUnavailable: another process held the lock for more than five seconds, the server or the
                disk is gone or full. Nothing was written.
        """
        if self._writer == threading.get_ident():
            raise RuntimeError("writing() does not nest: hand the connection down instead")
        with self._lock:
            self._writer = threading.get_ident()
            try:
                self._touched.clear()
                with translated(self.url), self._engine.connect() as connection, connection.begin():
                    connection.info[TOUCHED] = self._touched
                    yield connection
                    if self._touched & changes.TABLES:
                        changes.number(connection)
                    if self._touched and self.dialect == "postgresql":
                        connection.execute(
                            text("SELECT pg_notify(:channel, :payload)"),
                            {"channel": CHANNEL, "payload": self._payload()},
                        )
                tables = frozenset(self._touched)
                self._keep_log_short()
            finally:
                self._writer = None
        if tables:
            self._tell(Change(tables))

    def touched(self, *tables: str) -> None:
        """Say that these tables are being written; for statements that are plain text."""
        self._touched.update(tables)

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each commit, in the thread that committed; answers how to stop.

        What a listener raises is logged, and harms neither the commit nor the other listeners.
        """
        self._listeners.append(listener)
        self._hear()

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return stop

    def look_outside(self) -> None:
        """Notice what other processes have committed since the last look, and tell the listeners.

        Cheap enough for four times a second. A server that is away is no error here: what was missed is
        told, as a change of everything, once it is back.
        """
        told = self._heard() if self.dialect == "postgresql" else self._seen()
        if told is not None:
            self._tell(Change(told))

    def close(self) -> None:
        """Give the connections back."""
        with self._ear_lock:
            self._deafen()
        self.reader.close()
        self._engine.dispose()

    def _note(
        self, _connection: Connection, statement: Any, _many: Any, _params: Any, _options: Any, result: Any
    ) -> None:
        if isinstance(statement, Insert | Update | Delete) and result.rowcount != 0:
            self._touched.add(str(getattr(statement.table, "name", "")))

    def _tell(self, change: Change) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(change)
            except Exception:
                log.exception("a listener to changes of the store failed")

    def _seen(self) -> frozenset[str] | None:
        """SQLite: the empty set when another process committed; it does not say what."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            version = self._data_version()
        except (DBAPIError, sqlite3.Error) as error:
            log.debug("cannot look for changes of the store: %s", error)
            return None
        finally:
            self._lock.release()
        changed = version != self._version
        self._version = version
        return frozenset() if changed else None

    def _data_version(self) -> int:
        """Of the one writing connection, so that our own commits do not count as foreign.

        Taken beneath SQLAlchemy, whose transactions here begin by taking the write lock.
        """
        if self.dialect != "sqlite":
            return 0
        raw = self._engine.raw_connection()
        try:
            return int(raw.cursor().execute("PRAGMA data_version").fetchone()[0])
        finally:
            raw.close()

    def _payload(self) -> str:
        return json.dumps({"from": self._id, "tables": sorted(self._touched)})

    def _hear(self) -> bool:
        """PostgreSQL: listen from now on; whether that was not so before."""
        if self.dialect != "postgresql":
            return False
        import psycopg

        with self._ear_lock:
            if self._ear is not None:
                return False
            try:
                self._ear = psycopg.connect(_conninfo(self.url), autocommit=True, connect_timeout=PATIENCE)
                self._ear.execute(f"LISTEN {CHANNEL}")
            except psycopg.Error as error:
                log.debug("cannot listen for changes of the store: %s", error)
                self._deafen()
                return False
            return True

    def _heard(self) -> frozenset[str] | None:
        """PostgreSQL: the tables that others wrote; the empty set when notices may have been missed."""
        import psycopg

        if self._hear():
            return frozenset()
        tables: set[str] = set()
        with self._ear_lock:
            if self._ear is None:
                return None
            try:
                for notice in self._ear.notifies(timeout=0):
                    tables.update(self._foreign(notice.payload))
            except psycopg.Error as error:
                log.debug("listening for changes of the store ended: %s", error)
                self._deafen()
                return None
        return frozenset(tables) or None

    def _foreign(self, payload: str) -> frozenset[str]:
        try:
            told = json.loads(payload)
            if told["from"] == self._id:
                return frozenset()
            return frozenset(map(str, told["tables"]))
        except (ValueError, TypeError, KeyError):
            return tables()  # somebody else's words: anything may have changed

    def _deafen(self) -> None:
        if self._ear is not None:
            with contextlib.suppress(Exception):
                self._ear.close()
            self._ear = None

    def _keep_log_short(self) -> None:
        """SQLite empties its log only when no reader is in the way; a busy store would let it grow on."""
        if self._path is None:
            return
        try:
            if os.stat(f"{self._path}-wal").st_size < WAL_LIMIT:
                return
            raw = self._engine.raw_connection()
            try:
                cursor = raw.cursor()
                cursor.execute("PRAGMA busy_timeout=100")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                cursor.execute(f"PRAGMA busy_timeout={PATIENCE * 1000}")
            finally:
                raw.close()
        except (OSError, sqlite3.Error) as error:
            log.debug("the write-ahead log cannot be emptied: %s", error)


def parsed_url(url: str) -> URL:
    """A store's address, checked.

    Raises:
        StoreUnavailable: it is none, or of a database that is not supported.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreUnavailable(
            "The store's address is not understood; use sqlite:///PATH or postgresql://USER@HOST/NAME."
        ) from None
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in ("sqlite", "sqlite+pysqlite") and parsed.database not in (None, "", ":memory:"):
        return parsed
    raise StoreUnavailable(
        f"The store {shown_url(url)} is of no supported kind; use sqlite:///PATH or "
        "postgresql://USER@HOST/NAME."
    )


def shown_url(url: str) -> str:
    """A store's address without its password; of SQLite just the path."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "(unreadable address)"
    if parsed.drivername.startswith("sqlite"):
        return parsed.database or url
    hidden = parsed.set(query={key: value for key, value in parsed.query.items() if "pass" not in key})
    return hidden.render_as_string(hide_password=True).replace("+psycopg", "")


def sqlite_url(path: Path) -> str:
    """The address of a SQLite store, whatever letters its path has."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL; None for any other engine."""
    parsed = parsed_url(url)
    if not parsed.drivername.startswith("sqlite") or not parsed.database:
        return None
    return Path(parsed.database).absolute()


def prepare_private(path: Path) -> None:
    """Make the store's directory (0700) and file (0600), whatever the umask.

    Raises:
        StoreUnavailable: they cannot be made, or are something else.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise StoreUnavailable(f"The store {path} cannot be opened: it is not a file.")
            if found.st_mode & 0o077 and found.st_uid == os.geteuid():
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        why = (error.strerror or "unknown").lower()
        if path.is_symlink():
            why = "it is a symbolic link"
        elif isinstance(error, FileExistsError):
            why = "not a directory"
        raise StoreUnavailable(f"The store {path} cannot be opened: {why}.") from error


def tables() -> frozenset[str]:
    """The names of all tables."""
    return frozenset(SQLModel.metadata.tables)


def open_engine(url: str, *, read_only: bool) -> Engine:
    """An engine for maintenance; everybody else uses `Store` and `Reader`."""
    return _engine(url, read_only=read_only)


def _engine(url: str, *, read_only: bool) -> Engine:
    parsed = parsed_url(url)
    try:
        if parsed.drivername.startswith("sqlite"):
            return _sqlite_engine(Path(parsed.database or "").absolute(), read_only=read_only)
        return _postgres_engine(parsed, read_only=read_only)
    except (NoSuchModuleError, ImportError) as error:
        raise StoreUnavailable(f"The store {shown_url(url)} cannot be opened: {error}.") from error


def _sqlite_engine(path: Path, *, read_only: bool) -> Engine:
    mode = "ro" if read_only else "rw"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}", uri=True, check_same_thread=False, timeout=PATIENCE
        )
        try:
            (_sqlite_reader if read_only else _sqlite_writer)(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    pool = {"pool_size": 8, "max_overflow": 8} if read_only else {"pool_size": 1, "max_overflow": 0}
    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, hide_parameters=True, **pool)
    event.listen(engine, "begin", _begin_deferred if read_only else _takes_turns(path.parent))
    return engine


def _postgres_engine(parsed: URL, *, read_only: bool) -> Engine:
    options: dict[str, Any] = {
        "pool_size": 4, "max_overflow": 4, "pool_pre_ping": True, "hide_parameters": True,
        "connect_args": {"connect_timeout": PATIENCE},
    }  # fmt: skip
    if read_only:
        options["isolation_level"] = "REPEATABLE READ"
    engine = create_engine(parsed, **options)
    if read_only:
        event.listen(engine, "connect", _postgres_read_only)
    else:
        event.listen(engine, "begin", _take_turn)
    return engine


def _conninfo(url: str) -> str:
    """The same address for psycopg itself."""
    return parsed_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _sqlite_writer(connection: sqlite3.Connection) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where sqlite3 guesses
    _lend_functions(connection)
    for pragma in (
        f"busy_timeout={PATIENCE * 1000}",
        "page_size=8192",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"journal_size_limit={WAL_LIMIT}",
        "mmap_size=268435456",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_reader(connection: sqlite3.Connection) -> None:
    connection.isolation_level = None
    _lend_functions(connection)
    for pragma in (
        f"busy_timeout={PATIENCE * 1000}", "query_only=ON", "mmap_size=268435456", "trusted_schema=OFF"
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")


def _lend_functions(connection: sqlite3.Connection) -> None:
    """SQLite folds the case of ASCII only."""

    def contains(whole: str | None, part: str) -> bool | None:
        # Of what is not there, such as the name of no organization, nothing is known: as of every operator.
        return None if whole is None else part in whole.casefold()

    connection.create_function("limegrove_contains", 2, contains, deterministic=True)


def _takes_turns(directory: Path) -> Callable[[Connection], None]:
    def begin(connection: Connection) -> None:
        raw: Any = connection.connection.driver_connection
        turns.begin(raw, directory, PATIENCE)

    return begin


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _take_turn(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}s'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")


def _postgres_read_only(connection: Any, _record: object) -> None:
    connection.read_only = True


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what a database says when it is away, full, locked or damaged into one sentence."""
    try:
        yield
    except DBAPIError as error:
        found = _meaning(url, error.orig)
        if found is None:
            raise
        raise found from error
    except sqlite3.Error as error:
        found = _meaning(url, error)
        if found is None:
            raise
        raise found from error
    except PoolTimeout as error:
        raise StoreUnavailable(
            f"The store {shown_url(url)} has no connection left; wait for what is running."
        ) from error


_SQLITE_REASONS = {
    sqlite3.SQLITE_BUSY: f"another process held it for more than {PATIENCE} seconds; try again",
    sqlite3.SQLITE_LOCKED: f"another process held it for more than {PATIENCE} seconds; try again",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; see that it and its directory exist and are yours",
    sqlite3.SQLITE_PERM: "the file's permissions forbid it",
    sqlite3.SQLITE_READONLY: "it may not be written; see its permissions and the disk",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_AUTH: "the file's permissions forbid it",
    sqlite3.SQLITE_NOTADB: "the file is no database of limegrove",
    sqlite3.SQLITE_PROTOCOL: "its locks do not work on this file system",
    sqlite3.SQLITE_NOLFS: "the file is too large for this system",
}


def _meaning(url: str, error: BaseException | None) -> StoreError | None:
    where = f"The store {shown_url(url)} cannot be used"
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_CORRUPT:
            return StoreDamaged(
                f"The store {shown_url(url)} is damaged. Run `limegrove store check`, and restore a backup "
                "with `limegrove store restore`."
            )
        reason = _SQLITE_REASONS.get(code)
        return StoreUnavailable(f"{where}: {reason}.") if reason else None
    import psycopg

    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        if isinstance(error, psycopg.errors.InsufficientPrivilege | psycopg.errors.ReadOnlySqlTransaction):
            return StoreUnavailable(f"{where}: this user may not do that ({_first_line(error)}).")
        return None
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return StoreUnavailable(
            f"{where}: another console held it for more than {PATIENCE} seconds; try again."
        )
    return StoreUnavailable(f"{where}: the server says {_first_line(error)}.")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else "nothing"
