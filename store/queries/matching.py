"""What a text that somebody typed finds: in columns, in their distinct values, in the text index."""

import time
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, LargeBinary, Select, Table, cast, func, literal, select
from sqlalchemy.sql.elements import ColumnElement

from store import changes, models, textindex
from store.bodies import storable
from store.observables import kind_of
from store.queries.scopes import ORGANIZATION

GATHERED = 3_000
"""So many alerts that the text index names are read and sorted; with more, an index of the table is walked
and those wanted are picked out of it."""

PICKED = 15_000
"""So many that they are picked by their numbers, which the index that is walked has too; with more, the rows
that are met are looked at, for one soon meets enough of them."""

REMEMBERED = 10.0
"""Seconds in which a number that only decides how alerts are read is not counted anew."""
_MOST_REMEMBERED = 64
"""Queries whose number is kept."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_LABEL: Table = models.AlertLabel.__table__  # type: ignore[attr-defined]


def contains(connection: Connection, column: Any, needle: str) -> ColumnElement[bool]:
    """Whether a column contains a text, upper and lower case alike."""
    condition: ColumnElement[bool]
    if needle.isascii() and connection.dialect.name == "sqlite":
        condition = column.contains(storable(needle), autoescape=True)  # its LIKE knows no case in ASCII
    elif needle.isascii():
        condition = column.icontains(storable(needle), autoescape=True)
    elif connection.dialect.name == "sqlite":
        # SQLite folds ASCII only; `store.database` lends it Python's folding.
        condition = func.limegrove_contains(column, storable(needle).casefold()) == 1
    else:
        # What PostgreSQL folds depends on how its database was made; spelled out, it does not.
        condition = column.regexp_match("".join(map(_either, storable(needle))))
    return condition


def _either(letter: str) -> str:
    cases = {case for case in (letter, letter.lower(), letter.upper(), letter.title()) if len(case) == 1}
    return "[" + "".join(f"\\{case}" if case in "[]\\^-" else case for case in sorted(cases)) + "]"


def organizations_named(connection: Connection, needle: str) -> Select[str]:
    """The oids of the organizations whose name contains a text."""
    return select(ORGANIZATION.c.oid).where(contains(connection, ORGANIZATION.c.name, needle))


def labels(connection: Connection, name: str, needle: str) -> tuple[str, ...] | None:
    """The categories, rules or host names (`name` is of `textindex.LABELS`) that contain a text.

    None when they are more than `textindex.SPREAD`.
    """
    kind = textindex.LABELS.index(name)
    kept = _kept(connection, kind) if needle.isascii() else None
    if kept is not None:
        return kept.containing(storable(needle))
    found = connection.execute(
        select(_LABEL.c.value)
        .where(_LABEL.c.kind == kind, contains(connection, _LABEL.c.value, needle))
        .limit(textindex.SPREAD + 1)
    ).scalars()
    listed = tuple(found)
    return None if len(listed) > textindex.SPREAD else listed


_END = b"\0"
"""Behind each label; `storable` leaves none within."""


@dataclass(slots=True)
class _Labels:
    """All labels of a kind, one text: part of 77,000 host names takes 0.4 ms, and the database 4.5."""

    seq: int
    """Of the change after which they were read (`store.changes`)."""
    exact: bytes = b""
    """UTF-8; empty as long as they were asked for once only, which is what a command does."""
    alike: bytes = b""
    """The same with ASCII letters small: what `contains` goes by for an ASCII text."""

    def containing(self, needle: str) -> tuple[str, ...] | None:
        wanted = needle.encode().lower()
        found: list[str] = []
        at = self.alike.find(wanted)
        while at >= 0:
            first, last = self.alike.rfind(_END, 0, at) + 1, self.alike.find(_END, at)
            found.append(self.exact[first:last].decode())
            if len(found) > textindex.SPREAD:
                return None
            at = self.alike.find(wanted, last)
        return tuple(found)


_LABELS: WeakKeyDictionary[Engine, dict[int, _Labels]] = WeakKeyDictionary()
_MOST_KEPT = 1_000_000
"""Labels of a kind; with more of them the database looks each time."""


def _kept(connection: Connection, kind: int) -> _Labels | None:
    """The labels of a kind, as they are now; None when the database has to be asked."""
    seq = changes.last_of(connection, changes.LABELS)
    if seq is None:
        return None
    mine = _LABELS.setdefault(connection.engine, {})
    held = mine.get(kind)
    if held is None or held.seq != seq:
        mine[kind] = _Labels(seq)
        return None
    if not held.exact:
        exact = _joined(connection, kind)
        if not exact:
            return None
        held = mine[kind] = _Labels(seq, exact, exact.lower())
    return held


def _joined(connection: Connection, kind: int) -> bytes:
    """All labels of a kind; nothing when they are too many.

    Joined by the database: one by one it takes ten times as long, and nothing else runs meanwhile.
    """
    few = select(_LABEL.c.value).where(_LABEL.c.kind == kind).limit(_MOST_KEPT + 1).subquery()
    joined: ColumnElement[Any]
    if connection.dialect.name == "sqlite":
        joined = cast(func.group_concat(few.c.value, func.char(0)), LargeBinary)
    else:
        joined = func.string_agg(func.convert_to(few.c.value, "UTF8"), literal(_END, LargeBinary))
    many, exact = connection.execute(select(func.count(), joined)).one()
    return bytes(exact) + _END if 0 < many <= _MOST_KEPT else b""


_FOUND: WeakKeyDictionary[Engine, dict[str, tuple[int, float]]] = WeakKeyDictionary()


def about(connection: Connection, query: str) -> int:
    """About how many alerts a query of the text index finds, up to PICKED + 1, for deciding how to read them.

    Counting takes a millisecond, and with the same filter it would be done again for every page. 0 is exact.
    """
    mine = _FOUND.setdefault(connection.engine, {})
    count, until = mine.get(query, (0, 0.0))
    now = time.monotonic()
    if now < until:
        return count
    count = textindex.count(connection, query, cap=PICKED + 1)
    if len(mine) >= _MOST_REMEMBERED:
        mine.clear()
    if count:
        mine[query] = count, now + REMEMBERED
    return count


def few_of_host(connection: Connection, oid: str, hostname: str) -> ColumnElement[bool] | None:
    """The condition, by the text index, that an alert is of a host; None where it has very many of them.

    It stands for both the organization and the host name; a name that two sensors share is for the caller to
    tell apart.
    """
    dialect = connection.dialect.name
    query = textindex.all_of(
        dialect,
        [
            textindex.label_query(dialect, "hostname", [hostname]),
            textindex.label_query(dialect, "oid", [oid]),
        ],
    )
    if textindex.count(connection, query, cap=GATHERED + 1) > GATHERED:
        return None
    return _D.c.id.in_(textindex.ids(dialect, query))


def word_query(connection: Connection, word: str) -> tuple[str, tuple[str, ...]]:
    """What a bare word of a filter line finds.

    Alerts whose event, category, rule or host name has a word that begins so, that speak of it as a value (a
    hash, an address, a user, ...), or whose category, rule, host name or organization's name contains it.

    Returns:
        The query of the text index, "" when it finds nothing there; and the columns (of `textindex.LABELS`,
        or `oid`) in which so many values contain the word that they have to be looked at themselves.
    """
    dialect = connection.dialect.name
    queries = [textindex.words_query(dialect, word), textindex.value_query(dialect, kind_of(word), word)]
    left: list[str] = []
    for name in textindex.LABELS:
        values = labels(connection, name, word)
        if values is None:
            left.append(name)
        elif values:
            queries.append(textindex.label_query(dialect, name, values))
    oids = list(
        connection.execute(organizations_named(connection, word).limit(textindex.SPREAD + 1)).scalars()
    )
    if len(oids) > textindex.SPREAD:
        left.append("oid")
    elif oids:
        queries.append(textindex.label_query(dialect, "oid", oids))
    queries = [query for query in queries if query]
    return (textindex.any_of(dialect, queries) if queries else ""), tuple(left)
