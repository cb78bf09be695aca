"""Looking after a store: what it holds, whether it is whole, upgrading, backing up, restoring.

All of it works on a store of any known schema, without opening it as a `Store`.
"""

import hashlib
import itertools
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Table, func, inspect, select, text
from sqlmodel import SQLModel

from store import folds, journal, models, preferences, textindex, tree
from store.bodies import unpack
from store.database import (
    PATIENCE,
    open_engine,
    parsed_url,
    prepare_private,
    shown_url,
    sqlite_path,
    translated,
)
from store.errors import StoreDamaged, StoreRefused, StoreTooNew, StoreTooOld, StoreUnavailable
from store.forgetting import REWRITE
from store.schema import REVISIONS, create_schema, is_empty, revision_of

if TYPE_CHECKING:
    import psycopg

VERSIONS: list[Path] = [Path(__file__).parent / "migrations" / "versions"]
"""Where the migrations are."""

_HEADER = b"SQLite format 3\0"


@dataclass(frozen=True)
class Status:
    """What a store is, and what it holds."""

    engine: str
    """sqlite or postgresql."""
    address: str
    """Path, or address without a password."""
    schema: str | None
    """The schema it has; None when there is none yet."""
    newest_schema: str
    """The one this limegrove writes."""
    size: int
    """Bytes, the write-ahead log included."""
    rows: dict[str, int]
    """Of each table, by name."""
    oldest: int | None
    """Time of the oldest detection (ms)."""
    newest: int | None
    journal: int
    """Entries."""


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    name: str
    ok: bool
    text: str
    """What was found, one sentence."""


@dataclass(frozen=True)
class Upgraded:
    """What an upgrade came to."""

    before: str | None
    after: str
    backup: Path | None
    """The copy that was made first; None when there was nothing to do, or it is PostgreSQL."""


def status(url: str) -> Status:
    """What a store is, and what it holds; it is not made if there is none.

    Raises:
        StoreUnavailable: there is none, or it cannot be read.
    """
    path = _existing(url)
    with translated(url), _engine(url) as engine:
        names = set(inspect(engine).get_table_names())
        schema = revision_of(engine) if "alembic_version" in names else None
        tables = [table for name, table in sorted(SQLModel.metadata.tables.items()) if name in names]
        with _reading(engine) as connection:
            rows = {table.name: _count(connection, table) for table in tables}
            oldest = newest = None
            if "detection" in names:
                time_ = _table(models.Detection).c.time
                oldest, newest = connection.execute(select(func.min(time_), func.max(time_))).one()
            size = (
                sum(file.stat().st_size for file in _files(path))
                if path is not None
                else connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
            )
        return Status(
            engine=engine.dialect.name,
            address=shown_url(url),
            schema=schema,
            newest_schema=REVISIONS[-1],
            size=int(size),
            rows=rows,
            oldest=oldest,
            newest=newest,
            journal=rows.get("journal", 0),
        )


def check(url: str) -> list[Finding]:
    """Whether a store is whole: the file, its references, the counters, the bodies, the tree, the journal.

    Nothing is repaired. A store of an older schema is checked as far as its tables go.

    Raises:
        StoreUnavailable: there is none, or it cannot be read.
    """
    _existing(url)
    findings: list[Finding] = []
    with translated(url), _engine(url) as engine:
        names = set(inspect(engine).get_table_names())
        checks: list[tuple[str, set[str], Callable[[Connection], str]]] = [
            ("file", set(), _check_file),
            ("references", set(), _check_references),
            ("counters", {"detection", "detection_count"}, _check_counters),
            ("folds", {"detection", "fold", "storm"}, _check_folds),
            ("detections", {"detection", "detection_body"}, _check_detections),
            ("text", {"detection", textindex.TABLE}, _check_text),
            ("configuration", {"configuration_record", "configuration_body"}, _check_configuration),
            ("tree", {"node"}, _check_tree),
            ("journal", {"journal"}, _check_journal),
        ]
        for name, needed, look in checks:
            if not needed <= names:
                missing = ", ".join(sorted(needed - names))
                findings.append(Finding(name, False, f"The tables {missing} are missing."))
                continue
            try:
                with translated(url), _reading(engine) as connection:
                    wrong = look(connection)
            except StoreDamaged as error:
                wrong = str(error)
            findings.append(Finding(name, not wrong, wrong or "nothing wrong"))
    return findings


def examine_journal(url: str, expect: tuple[int, str] | None = None) -> journal.Chain:
    """`journal.examine` of a store whatever its schema; it is not made if there is none.

    Raises:
        StoreUnavailable: there is none, it has no journal, or it cannot be read.
    """
    _existing(url)
    with translated(url), _engine(url) as engine:
        if "journal" not in inspect(engine).get_table_names():
            raise StoreUnavailable(f"The store {shown_url(url)} has no journal: that table is missing.")
        with _reading(engine) as connection:
            return journal.examine(connection, expect)


def backup(url: str, target: Path) -> int:
    """Copy a SQLite store, while it is in use, into a new file that only its owner can read.

    Args:
        target: where to; it must not exist.

    Returns:
        Bytes written.

    Raises:
        StoreUnavailable: there is no store, or the target cannot be written or exists.
        StoreRefused: the store is PostgreSQL's; the text says which command backs it up.
        StoreDamaged: the store is not whole, so the copy would not be.
    """
    path = _existing(url)
    if path is None:
        raise StoreRefused(
            f"A PostgreSQL store is backed up by its own tools: pg_dump --format=custom --file=FILE "
            f"'{shown_url(url)}'."
        )
    if target.exists() or target.is_symlink():
        raise StoreUnavailable(f"{target} exists already; name another file for the backup.")
    with translated(url), closing(_plain_sqlite(path, "ro")) as source, _aside(target) as made:
        with closing(sqlite3.connect(made)) as copy:
            source.backup(copy, pages=4096)
            copy.execute("PRAGMA journal_mode=DELETE")
        _whole(made, f"The store {path}")
        _sync(made)
        size = made.stat().st_size
        try:
            os.link(made, target)  # fails, where a rename would replace, if somebody else was faster
        except OSError as error:
            why = (error.strerror or "unknown").lower()
            raise StoreUnavailable(f"{target} cannot be written: {why}.") from error
        _sync(target.parent)
    return size


def restore(url: str, source: Path) -> str:
    """Make a SQLite store what a backup holds; all of it or nothing.

    Consoles that have the store open go on with what was restored. A store that cannot even be opened is
    kept beside the new one as `NAME.damaged-TIME`.

    Args:
        source: a file that `backup` made.

    Returns:
        The schema that the restored store has.

    Raises:
        StoreUnavailable: the backup cannot be read, is no store, or the store is held by another process.
        StoreDamaged: the backup is not whole.
        StoreTooNew: a newer limegrove wrote the backup.
        StoreRefused: the store is PostgreSQL's; the text says which command restores it.
    """
    path = sqlite_path(url)
    if path is None:
        raise StoreRefused(
            "A PostgreSQL store is restored by its own tools: pg_restore --clean --if-exists "
            f"--single-transaction --dbname='{shown_url(url)}' FILE."
        )
    if not source.is_file():
        raise StoreUnavailable(f"There is no backup {source}.")
    if path.exists() and os.path.samefile(path, source):
        raise StoreUnavailable(f"{source} is the store itself; name its backup.")
    schema = _whole(source, f"The backup {source}")
    if schema not in REVISIONS:
        raise StoreTooNew(
            f"The backup {source} was written by a newer limegrove (schema {schema}, this one knows "
            f"{REVISIONS[-1]}). Upgrade limegrove; nothing was changed."
        )
    prepare_private(path)
    with translated(url), closing(_plain_sqlite(source, "ro", still=True)) as held:
        if _opens(path, held.execute("PRAGMA page_size").fetchone()[0]):
            _write_over(held, path)
        else:
            _put_in_place(held, path)
    return schema


def upgrade(url: str, *, yes: bool = False, backup_to: Path | None = None) -> Upgraded:
    """Bring a store to the newest schema, in one transaction, after backing it up.

    Args:
        yes: for PostgreSQL, whose backup is not made here: somebody made one.
        backup_to: for SQLite; beside the store when None.

    Raises:
        StoreTooNew: a newer limegrove wrote it.
        StoreRefused: PostgreSQL without `yes`; the text says how to back up.
        StoreUnavailable: it cannot be opened, written or backed up; nothing was changed.
    """
    path = sqlite_path(url)
    if path is not None:
        prepare_private(path)
    with translated(url), _engine(url, writing=True) as engine:
        if is_empty(engine):
            create_schema(engine)
            return Upgraded(None, REVISIONS[-1], None)
        found = revision_of(engine)
        if found == REVISIONS[-1]:
            _catch_up(engine)
            return Upgraded(found, found, None)
        if found not in REVISIONS:
            raise StoreTooNew(
                f"The store has schema {found}, and this limegrove knows {REVISIONS[-1]} at most. Upgrade "
                "limegrove; nothing was changed."
            )
        copied: Path | None = None
        if path is not None:
            copied = backup_to or _free_name(path, f"backup-{found}")
            backup(url, copied)
        elif not yes:
            raise StoreRefused(
                "Back the store up first, with pg_dump --format=custom --file=FILE "
                f"'{shown_url(url)}', and confirm with --yes; nothing was changed."
            )
        _migrate(engine)
        _catch_up(engine)
        return Upgraded(found, REVISIONS[-1], copied)


def rewrite(url: str, report: Callable[[str], object] = lambda _: None, *, alone: bool = False) -> None:
    """Write the files of a store anew, so that nothing of what was deleted is left on their pages.

    SQLite: the text index in one piece, `VACUUM`, and the write-ahead log emptied; it takes as much room
    again as the store, and writers wait. PostgreSQL: `VACUUM FULL` of every table, which holds each while it
    runs.

    Args:
        alone: it is a backup, and is to be one file again, without a log beside it.

    Raises:
        StoreUnavailable: another process is in the way; the sentence says what is left. Nothing is lost, and
            it can be repeated.
    """
    with translated(url):
        path = sqlite_path(url)
        if path is None:
            _rewrite_postgres(url, report)
        else:
            _rewrite_sqlite(path, report)
        with _engine(url, writing=True) as engine, engine.begin() as connection:
            preferences.put(connection, REWRITE, None)
        if path is not None:
            _empty_log(path)
            if alone:
                with closing(_plain_sqlite(path, "rw")) as connection:
                    connection.execute("PRAGMA journal_mode=DELETE")


def check_backup(path: Path) -> None:
    """See that a file is a whole backup of the schema that this limegrove writes.

    Raises:
        StoreUnavailable: it cannot be read, or is none.
        StoreDamaged: it is not whole.
        StoreTooOld, StoreTooNew: of another schema; the text says what to do.
    """
    if not path.is_file():
        raise StoreUnavailable(f"There is no backup {path}.")
    schema = _whole(path, f"The backup {path}")
    if schema != REVISIONS[-1]:
        kind = StoreTooNew if schema not in REVISIONS else StoreTooOld
        raise kind(
            f"The backup {path} has schema {schema}, and only one of {REVISIONS[-1]} can be changed: delete "
            "it, or restore it, upgrade, and back up again. Nothing was changed."
        )


def wants_rewriting(url: str) -> bool:
    """Whether something was forgotten, and the files were not written anew since."""
    with translated(url), _engine(url) as engine, _reading(engine) as connection:
        return bool(preferences.get(connection, REWRITE))


def copies(url: str) -> list[Path]:
    """The files beside a SQLite store that hold what it held: backups of upgrades, what was damaged."""
    path = sqlite_path(url)
    if path is None or not path.parent.is_dir():
        return []
    mine = {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    return sorted(
        each for each in path.parent.iterdir() if each.name.startswith(path.name) and each.name not in mine
    )


def holding(path: Path, words: Iterable[str]) -> bool:
    """Whether the bytes of a file hold one of these words, as text."""
    wanted = [word.encode() for word in words]
    longest = max(map(len, wanted))
    kept = b""
    with path.open("rb") as file:
        while part := file.read(4 * 1024 * 1024):
            here = kept + part
            if any(word in here for word in wanted):
                return True
            kept = here[1 - longest :] if longest > 1 else b""
    return False


def _rewrite_sqlite(path: Path, report: Callable[[str], object]) -> None:
    with closing(_plain_sqlite(path, "rw")) as connection:
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=FULL")
        report("the text index")
        connection.execute(f"INSERT INTO {textindex.TABLE} ({textindex.TABLE}) VALUES ('optimize')")
        report("the file")
        connection.execute("VACUUM")
    _empty_log(path)


def _empty_log(path: Path) -> None:
    with closing(_plain_sqlite(path, "rw")) as connection:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StoreUnavailable(
            f"The store {path} is read by another process, so what was forgotten may still be in its files: "
            "close the other consoles and run `limegrove store prune --rewrite`."
        )


def _rewrite_postgres(url: str, report: Callable[[str], object]) -> None:
    import psycopg

    address = parsed_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(address, autocommit=True, connect_timeout=PATIENCE) as connection:
            connection.execute(f"SET lock_timeout = '{PATIENCE}s'")
            for table in (*sorted(SQLModel.metadata.tables), textindex.TABLE):
                report(table)
                connection.execute(f'VACUUM (FULL, ANALYZE) "{table}"')
                _clear_statistics(connection, table)
    except psycopg.Error as error:
        said = (str(error).strip().splitlines() or ["nothing"])[0].rstrip(".")
        raise StoreUnavailable(
            f"The store {shown_url(url)} was not written anew, so what was forgotten may still be in its "
            f"files (the server says {said}): close the other consoles and run `limegrove store prune "
            "--rewrite`."
        ) from error


def _clear_statistics(connection: "psycopg.Connection", table: str) -> None:
    """Take the values of deleted rows out of the planner's statistics of a table that is empty now.

    ANALYZE leaves the statistics of a table without rows as they were. Giving a column the type that it has
    drops them, and needs no right beyond the owner's, in every version of the server.
    """
    with connection.transaction():
        named = {"table": table}
        kept = connection.execute(_KEPT_STATISTICS, named).fetchall()
        if not kept or connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone():
            return
        # A trigger on changes of a column stands in the way of its type.
        triggers = connection.execute(_TRIGGERS, named).fetchall()
        for name, _ in triggers:
            connection.execute(f'DROP TRIGGER "{name}" ON "{table}"')
        parts = ", ".join(f"ALTER COLUMN {column} TYPE {type_}" for column, type_ in kept)
        connection.execute(f'ALTER TABLE "{table}" {parts}')
        for _, definition in triggers:
            connection.execute(definition)


_KEPT_STATISTICS: Final = """
    SELECT quote_ident(a.attname), concat(format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attcollation <> 0 THEN ' COLLATE ' || a.attcollation::regcollation END)
    FROM pg_attribute a
    WHERE a.attrelid = quote_ident(%(table)s)::regclass AND a.attnum > 0 AND NOT a.attisdropped
        AND EXISTS (SELECT 1 FROM pg_stats s JOIN pg_class c ON c.relname = s.tablename
            AND c.relnamespace = s.schemaname::regnamespace
            LEFT JOIN pg_index i ON i.indexrelid = c.oid
            WHERE a.attrelid IN (c.oid, i.indrelid))
"""
"""Columns of a table with their types, when the table or an index of it has statistics."""

_TRIGGERS: Final = """
    SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger
    WHERE tgrelid = quote_ident(%(table)s)::regclass AND NOT tgisinternal
"""


def _catch_up(engine: Engine) -> None:
    """Do what a migration left to be done a few alerts at a time; what was interrupted goes on."""
    textindex.rebuild(engine)
    left = True
    while left:
        with engine.begin() as connection:
            left = bool(folds.rebuild(connection).rules)


def _migrate(engine: Engine, to: str = "head") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, VERSIONS)))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def _check_file(connection: Connection) -> str:
    if connection.dialect.name != "sqlite":
        return ""  # PostgreSQL checks its pages as it reads them
    found = connection.exec_driver_sql("PRAGMA integrity_check(5)").scalars().all()
    return "" if found == ["ok"] else "; ".join(map(str, found)) + "."


def _check_references(connection: Connection) -> str:
    if connection.dialect.name != "sqlite":
        return ""  # PostgreSQL enforces them whoever writes
    found = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return f"{len(found)} rows refer to what is not there, first in {found[0][0]}." if found else ""


def _check_counters(connection: Connection) -> str:
    detection, counted = _table(models.Detection), _table(models.DetectionCount)
    columns = (detection.c.oid, detection.c.severity, detection.c.status)
    actual: dict[tuple[Any, ...], int] = {
        (row[0], row[1], row[2]): row[3]
        for row in connection.execute(select(*columns, func.count()).group_by(*columns))
    }
    stored: dict[tuple[Any, ...], int] = {
        (row[0], row[1], row[2]): row[3]
        for row in connection.execute(
            select(counted.c.oid, counted.c.severity, counted.c.status, counted.c.count)
        )
    }
    wrong = [key for key in actual.keys() | stored.keys() if actual.get(key, 0) != stored.get(key, 0)]
    if not wrong:
        return ""
    first = min(wrong)
    return (
        f"{len(wrong)} counters are wrong, first that of organization {first[0]}, severity {first[1]}, "
        f"status {first[2]}: {stored.get(first, 0)} instead of {actual.get(first, 0)}."
    )


def _check_folds(connection: Connection) -> str:
    wrong = folds.miscounted(connection)
    if not wrong:
        return ""
    return (
        f"{len(wrong)} folds or storms are not what their alerts add up to, first {wrong[0]}; "
        "`limegrove alert fold-key --recount` counts them again."
    )


def _check_detections(connection: Connection) -> str:
    detection, body = _table(models.Detection), _table(models.DetectionBody)
    bare = connection.execute(
        select(func.count())
        .select_from(detection.outerjoin(body, body.c.detection_id == detection.c.id))
        .where(body.c.detection_id.is_(None))
    ).scalar_one()
    stray = connection.execute(
        select(func.count())
        .select_from(body.outerjoin(detection, body.c.detection_id == detection.c.id))
        .where(detection.c.id.is_(None))
    ).scalar_one()
    if bare or stray:
        return f"{bare} detections have no body, {stray} bodies have no detection."
    unreadable = 0
    for (packed,) in connection.execute(select(body.c.body), execution_options={"yield_per": 500}):
        try:
            unpack(packed)
        except StoreDamaged:
            unreadable += 1
    return f"{unreadable} bodies of detections cannot be unpacked." if unreadable else ""


def _check_text(connection: Connection) -> str:
    wrong = textindex.miscounted(connection)
    if not wrong:
        return ""
    oid, held, found = wrong[0]
    return (
        f"Of {len(wrong)} organizations the text index does not hold what is stored, first of {oid}: {found} "
        f"instead of {held} alerts; `limegrove store upgrade` goes on with what an upgrade left."
    )


def _check_configuration(connection: Connection) -> str:
    content, record = _table(models.ConfigurationBody), _table(models.ConfigurationRecord)
    missing = connection.execute(
        select(func.count())
        .select_from(record.outerjoin(content, content.c.hash == record.c.hash))
        .where(content.c.hash.is_(None))
    ).scalar_one()
    if missing:
        return f"{missing} configuration records have no content."
    wrong = 0
    for digest, packed in connection.execute(select(content), execution_options={"yield_per": 500}):
        try:
            wrong += hashlib.sha256(unpack(packed)).hexdigest() != digest
        except StoreDamaged:
            wrong += 1
    return f"{wrong} configuration contents are not what their hash says." if wrong else ""


def _check_tree(connection: Connection) -> str:
    return tree.misnumbered(connection)


def _check_journal(connection: Connection) -> str:
    return journal.examine(connection).wrong


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


@contextmanager
def _engine(url: str, *, writing: bool = False) -> Iterator[Engine]:
    engine = open_engine(url, read_only=not writing)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection, connection.begin():
        yield connection


def _existing(url: str) -> Path | None:
    """The file of a SQLite store, which must be there; None for PostgreSQL."""
    path = sqlite_path(url)
    if path is not None and (not path.is_file() or path.stat().st_size == 0):
        raise StoreUnavailable(f"There is no store {path} yet; `limegrove sync` makes it.")
    return path


def _files(path: Path) -> list[Path]:
    return [file for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")) if file.is_file()]


def _plain_sqlite(path: Path, mode: str, *, still: bool = False) -> sqlite3.Connection:
    """A connection beneath SQLAlchemy. A `still` file is one that nobody writes: without a log beside it, it
    is opened as it lies there, so that a backup can be read from where nothing may be written."""
    how = f"mode={mode}"
    if still and not Path(f"{path}-wal").exists():
        how += "&immutable=1"
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{how}", uri=True, timeout=PATIENCE)


def _whole(path: Path, what: str) -> str:
    """The schema of a file that must be a whole store."""
    try:
        with path.open("rb") as file:
            if file.read(len(_HEADER)) != _HEADER:
                raise StoreDamaged(f"{what} is no store, or damaged from its first bytes on.")
    except OSError as error:
        raise StoreUnavailable(f"{what} cannot be read: {(error.strerror or 'unknown').lower()}.") from error
    try:
        with closing(_plain_sqlite(path, "ro", still=True)) as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            size = connection.execute("PRAGMA page_size").fetchone()[0]
            if path.stat().st_size != pages * size and not Path(f"{path}-wal").exists():
                raise StoreDamaged(f"{what} is damaged: it was cut off.")
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                raise StoreDamaged(f"{what} is damaged: {str(found).strip().splitlines()[0]}.")
            if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise StoreDamaged(f"{what} is damaged: rows refer to what is not there.")
            names = {
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            if "alembic_version" not in names:
                raise StoreUnavailable(f"{what} is a database of another program.")
            versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"{what} is damaged: {error}.") from error
    if len(versions) != 1:
        raise StoreDamaged(f"{what} is damaged: it does not say which schema it has.")
    return str(versions[0][0])


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A new private file beside the target, gone in the end unless it was moved away."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        why = (error.strerror or "unknown").lower()
        raise StoreUnavailable(f"{target} cannot be written: {why}.") from error
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        for leftover in (name, f"{name}-wal", f"{name}-shm", f"{name}-journal"):
            Path(leftover).unlink(missing_ok=True)


def _free_name(path: Path, what: str) -> Path:
    """A name beside a file that says what and when, and that nothing has yet."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for number in itertools.count(1):
        name = path.with_name(f"{path.name}.{what}-{stamp}" + (f"-{number}" if number > 1 else ""))
        if not name.exists():
            break
    return name


def _sync(path: Path) -> None:
    """See a file, or the names in a directory, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _opens(path: Path, page_size: int) -> bool:
    """Whether the file at hand can be written over by SQLite itself."""
    if path.stat().st_size == 0:
        return True
    try:
        with closing(_plain_sqlite(path, "rw")) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return bool(connection.execute("PRAGMA page_size").fetchone()[0] == page_size)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False


def _write_over(source: sqlite3.Connection, path: Path) -> None:
    """In one transaction of SQLite, so that whoever has the store open sees the old or the new."""
    ends = time.monotonic() + PATIENCE

    def patiently(state: int, _left: int, _total: int) -> None:
        if state in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > ends:
            raise StoreUnavailable(
                f"The store {path} was held by another process for more than {PATIENCE} seconds; nothing was "
                "changed. Try again."
            )

    with closing(_plain_sqlite(path, "rw")) as store:
        source.backup(store, pages=-1, progress=patiently)
        store.execute("PRAGMA journal_mode=WAL")


def _put_in_place(source: sqlite3.Connection, path: Path) -> None:
    """Instead of a file that cannot be opened, which is kept."""
    with _aside(path) as made:
        with closing(sqlite3.connect(made)) as copy:
            source.backup(copy)
        _sync(made)
        kept = _free_name(path, "damaged")
        for file in _files(path):
            file.rename(f"{kept}{file.name.removeprefix(path.name)}")
        made.rename(path)
    _sync(path.parent)
