"""A store in another database: from SQLite to the server of a team, and back.

Every row as it is, in one transaction of the new store: it is there whole or not at all. What the engines
hold in ways of their own (the text index) is made anew.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from sqlalchemy import JSON, Column, Connection, Table, func, insert, null, select, text
from sqlmodel import SQLModel

from store import changes, journal, preferences, textindex
from store.database import Store, open_engine, shown_url, sqlite_path, translated
from store.errors import StoreDamaged, StoreRefused, StoreUnavailable
from store.forgetting import REWRITE
from store.schema import check_schema

_MADE_ANEW: Final = frozenset(("alert_label", "organization_change", "sighting"))
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied."""

    rows: dict[str, int]
    """Of each table that has any."""
    last: str
    """Hash of the journal's last entry, the same in both; "" when it has none."""


def copy(url: str, target: str, report: Callable[[str], object] = lambda _: None) -> Copied:
    """Copy a store into a database that has none, or an empty one; the first one stays as it is.

    What other processes write meanwhile into the store that is copied is not in the copy.

    Args:
        url: the store.
        target: `sqlite:///PATH` or `postgresql://...`.
        report: told which table is copied.

    Raises:
        StoreUnavailable: one of them cannot be opened.
        StoreRefused: the target has something in it already, or is the store itself.
        StoreTooOld, StoreTooNew: the store has another schema.
        StoreDamaged: a row cannot be read. The target is empty then.
    """
    path = sqlite_path(url)
    if path is not None and not path.is_file():
        raise StoreUnavailable(f"There is no store {path} yet; `limegrove sync` makes it.")
    source = open_engine(url, read_only=True)
    try:
        with translated(url):
            check_schema(source)
        store = Store(target)
        try:
            with translated(url), source.connect() as c, c.begin():
                return _copied(c, store, target, report)
        finally:
            store.close()
    finally:
        source.dispose()


def _copied(source: Connection, store: Store, target: str, report: Callable[[str], object]) -> Copied:
    rows: dict[str, int] = {}
    with store.writing() as c:
        _refuse_filled(c, target)
        for table in SQLModel.metadata.sorted_tables:
            if table.name in _MADE_ANEW:
                continue
            report(table.name)
            if found := _copy_table(source, c, table):
                rows[table.name] = found
                store.touched(table.name)
        if c.dialect.name == "postgresql":
            _count_on(c)
        preferences.put(c, REWRITE, None)
        _index(source, c, rows.get("detection", 0), report)
        changes.number(c)
        broken = journal.verify(c)
        if broken is not None:
            raise StoreDamaged(
                f"Entry {broken} of the journal does not follow from the one before it, so nothing was "
                "copied; `limegrove journal verify` says more."
            )
        entry = SQLModel.metadata.tables["journal"]
        last = c.execute(select(entry.c.hash).order_by(entry.c.seq.desc()).limit(1)).scalar()
    return Copied(rows, str(last or ""))


def _refuse_filled(c: Connection, target: str) -> None:
    for table in SQLModel.metadata.sorted_tables:
        if (
            table.name != "organization_change"
            and c.execute(select(text("1")).select_from(table).limit(1)).first()
        ):
            raise StoreRefused(
                f"There is a store in {shown_url(target)} already, with rows in {table.name}; nothing was "
                "copied. Name a database that is empty."
            )


def _copy_table(source: Connection, c: Connection, table: Table) -> int:
    columns = list(table.columns)
    # NULL and the null of JSON read alike, and are not.
    marks = [column.is_(null()).label(f"null_{column.name}") for column in _nullable(table)]
    query = select(*columns, *marks)
    # A node stands behind the one above it.
    query = (
        query.order_by(table.c.first) if table.name == "node" else query.order_by(*table.primary_key.columns)
    )
    done = 0
    found = source.execute(query, execution_options={"yield_per": _BATCH}).mappings()
    for batch in _batches(found):
        c.execute(insert(table), [_values(row, columns, marks) for row in batch])
        done += len(batch)
    return done


def _nullable(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, JSON) and column.nullable]


def _values(row: Any, columns: list[Column[Any]], marks: list[Any]) -> dict[str, Any]:
    values = {column.name: row[column.name] for column in columns}
    for mark in marks:
        if row[mark.name]:
            values[mark.name.removeprefix("null_")] = null()
    return values


def _batches(found: Any) -> Iterator[list[Any]]:
    while batch := list(islice(found, _BATCH)):
        yield batch


def _count_on(c: Connection) -> None:
    """Let the numbers that PostgreSQL gives begin behind those that were copied."""
    for table in SQLModel.metadata.sorted_tables:
        for column in table.primary_key.columns:
            named = c.execute(select(func.pg_get_serial_sequence(table.name, column.name))).scalar()
            if named is not None:
                last = c.execute(select(func.max(column))).scalar()
                if last is not None:
                    c.execute(select(func.setval(named, last)))


def _index(source: Connection, c: Connection, alerts: int, report: Callable[[str], object]) -> None:
    detection, sighting = SQLModel.metadata.tables["detection"], SQLModel.metadata.tables["sighting"]
    last = c.execute(select(func.max(detection.c.id))).scalar()
    if last is None:
        return
    preferences.put(c, textindex.PENDING, [1, last])
    done = 0
    while (found := textindex.rebuild_some(c)) is not None:
        done += found
        report(f"the text index, {done:,} of {alerts:,} alerts")
    for token in (
        source.execute(select(sighting.c.token).distinct().order_by(sighting.c.token)).scalars().all()
    ):
        textindex.watch(c, token, common=1)
