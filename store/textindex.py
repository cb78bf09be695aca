"""The text index: which alerts speak of a value, and which hold a word.

An alert is indexed under tokens that are made here, the same on both engines: the words of its event, and one
token for each value to pivot on, for its organization, and for its category, rule and host name as a whole.
SQLite keeps them in an FTS5 table without content and positions (a word costs one or two bytes an alert),
PostgreSQL in a `tsvector`. Both can delete a row only with, or by, what `tokens_of` gave for it: whoever
changes what it gives writes a migration that rebuilds the index (`rebuild`).
"""

import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    Select,
    Table,
    cast,
    delete,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects import postgresql

from store import models, preferences
from store.bodies import pack, unpack
from store.errors import StoreDamaged
from store.observables import folded, values_and_texts

TABLE: Final = "detection_text"

SHORTEST: Final = 2
LONGEST: Final = 32
"""Letters of a word; a longer one counts by its beginning."""

MOST: Final = 600
"""Words of one alert."""

LABELS: Final[tuple[str, ...]] = ("cat", "rule", "hostname")
"""Columns whose distinct values are kept, so that a part of one finds the alerts that have it."""

LABEL: Final = 500
"""Letters of such a value that are kept."""

SPREAD: Final = 400
"""With at most so many labels or organizations behind a word the index answers; else the columns do."""

COMMON: Final = 10_000
"""A value that so many alerts speak of is counted by organization as they come, for counting them when asked
would take too long."""

FILLING: Final = 500
"""Alerts that one transaction of `rebuild` indexes."""

PENDING: Final = "textindex.rebuild"
"""Preference: the ids of alerts that are still to be indexed, as [first, last]."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_BODY: Table = models.DetectionBody.__table__  # type: ignore[attr-defined]
_LABEL: Table = models.AlertLabel.__table__  # type: ignore[attr-defined]
_SIGHTING: Table = models.Sighting.__table__  # type: ignore[attr-defined]

_WORD = re.compile(r"[^\W_]+").findall
_HEXADECIMAL = re.compile(r"[0-9a-f]{32,}").fullmatch
_NAME = re.compile(r"[^\\/]+$").search


def create(connection: Connection) -> None:
    """Make the index, empty; it is no table that SQLModel knows of."""
    for statement in definition(connection.dialect.name):
        connection.execute(text(statement))


def definition(dialect: str) -> list[str]:
    """The statements that make the index."""
    if dialect == "sqlite":
        return [
            f"CREATE VIRTUAL TABLE {TABLE} USING fts5(tokens, content='', detail=none, columnsize=0,"
            " tokenize=\"ascii tokenchars '_'\")"
        ]
    return [
        f"CREATE TABLE {TABLE} (detection_id BIGINT NOT NULL, tokens TSVECTOR NOT NULL,"
        " PRIMARY KEY (detection_id))",
        f"CREATE INDEX ix_{TABLE}_tokens ON {TABLE} USING gin (tokens)",
    ]


# Tokens


def token_of(kind: str, value: str) -> str:
    """The token of a value of one of KINDS, however it is spelled; "" for what is no such value."""
    key = folded(kind, value)
    return _token(kind, key) if key else ""


def words_of(value: str) -> list[str]:
    """The words of a text, as they are indexed: letters and digits, case folded, each once.

    Short numbers say nothing, and a digest is a value, not a word.
    """
    return list(
        dict.fromkeys(
            word[:LONGEST]
            for word in _WORD(value.casefold())
            if len(word) >= SHORTEST and not (len(word) < 4 and word.isdecimal()) and not _HEXADECIMAL(word)
        )
    )


def tokens_of(raw: bytes, record: Mapping[str, Any] | None, *, cat: str, rule: str, hostname: str) -> str:
    """The tokens of one alert with spaces between, in an order that depends on nothing else.

    That of its organization, which `put` and `remove` add, is not among them.

    Args:
        raw: the detection as received.
        record: what `record_of` reads in it; when that is nothing, every word counts.
        cat: as its row has it; likewise the next ones.
    """
    found: Iterable[tuple[str, str]]
    if record is None:
        found, texts = (), [raw[:65_536].decode("utf-8", "replace")]
    else:
        found, texts = values_and_texts(record)
    labels = (cat, rule, hostname)
    words = words_of("\n".join((*texts, *labels)))[:MOST]
    values = [_token(kind, key) for kind, key in dict.fromkeys(_also(found))]
    named = [_token(name, label) for name, label in zip(LABELS, labels, strict=True) if label]
    return " ".join([*words, *values, *named])


def record_of(raw: bytes) -> dict[str, Any] | None:
    """A detection as data; None when it is no JSON object."""
    try:
        record = orjson.loads(raw)
    except ValueError:
        try:  # a lone surrogate, which is what somebody would write who wants to be overlooked
            record = json.loads(raw)
        except (ValueError, RecursionError):
            return None
    return record if isinstance(record, dict) else None


def _also(found: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """The values, and what they are found under besides: a file by its name, an account without its domain, a
    name on the net by the domains above it."""
    for kind, key in found:
        yield kind, key
        if kind == "path":
            name = _NAME(key)
            if name and name[0] != key:
                yield kind, name[0]
        elif kind == "user":
            _, backslash, name_ = key.rpartition("\\")
            if backslash and name_:
                yield kind, name_
        elif kind == "domain":
            for _ in range(4):
                _, _, key = key.partition(".")
                if "." not in key:
                    break
                yield kind, key


def _token(kind: str, key: str) -> str:
    # 48 bits: of ten million different values, one in thirty million look-ups meets another one's.
    return "_" + hashlib.blake2b(f"{kind}\0{key}".encode("utf-8", "replace"), digest_size=6).hexdigest()


# What is asked of the index. A query is a text in the language of the engine's own search.


def term(dialect: str, token: str, *, beginning: bool = False) -> str:
    """The query for one token, or for all that begin so."""
    if dialect == "sqlite":
        return f'"{token}"*' if beginning else f'"{token}"'
    return f"'{token}':*" if beginning else f"'{token}'"


def all_of(dialect: str, queries: Sequence[str]) -> str:
    """The query for what every one of these finds; at least one."""
    if len(queries) == 1:
        return queries[0]
    return "(" + (" AND " if dialect == "sqlite" else " & ").join(queries) + ")"


def any_of(dialect: str, queries: Sequence[str]) -> str:
    """The query for what one of these finds; at least one."""
    if len(queries) == 1:
        return queries[0]
    return "(" + (" OR " if dialect == "sqlite" else " | ").join(queries) + ")"


def label_token(name: str, value: str) -> str:
    """The token of a value of the column `name`: one of LABELS, or `oid`."""
    return _token(name, value)


def value_query(dialect: str, kind: str, value: str) -> str:
    """The query for the alerts that speak of a value; "" when it is none of this kind."""
    token = token_of(kind, value)
    return term(dialect, token) if token else ""


def any_value_query(dialect: str, values: Iterable[tuple[str, str]]) -> str:
    """The query for the alerts that speak of one of these (kind, value); "" when none is one."""
    queries = [query for kind, value in values if (query := value_query(dialect, kind, value))]
    return any_of(dialect, queries) if queries else ""


def label_query(dialect: str, name: str, values: Iterable[str]) -> str:
    """The query for the alerts that have one of these labels in the column `name` (of LABELS, or `oid`)."""
    return any_of(dialect, [term(dialect, _token(name, value)) for value in values])


def words_query(dialect: str, typed: str) -> str:
    """The query for the alerts that hold the words of a text, the last one as a beginning; "" for none."""
    words = words_of(typed)
    if not words:
        return ""
    last = len(words) - 1
    return all_of(dialect, [term(dialect, word, beginning=at == last) for at, word in enumerate(words)])


_SQLITE = Table(TABLE, MetaData(), Column("rowid", BigInteger))
_POSTGRES = Table(
    TABLE, MetaData(), Column("detection_id", BigInteger), Column("tokens", postgresql.TSVECTOR)
)


def ids(dialect: str, query: str) -> Select[int]:
    """The ids of the alerts that a query finds, as a statement with the one column `id`."""
    if dialect == "sqlite":
        return select(_SQLITE.c.rowid.label("id")).where(literal_column(TABLE).op("MATCH")(query))
    return select(_POSTGRES.c.detection_id.label("id")).where(
        _POSTGRES.c.tokens.op("@@")(cast(query, postgresql.TSQUERY))
    )


def ids_sql(dialect: str, query: str) -> tuple[str, tuple[str]]:
    """The same as SQL for the driver, and its value."""
    if dialect == "sqlite":
        return f"SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH ?", (query,)
    return f"SELECT detection_id FROM {TABLE} WHERE tokens @@ %s::tsquery", (query,)


def newest(c: Connection, query: str, *, before: int | None = None, limit: int) -> list[int]:
    """The ids of the newest alerts that a query finds, newest first; below `before` when it is given."""
    return [row[0] for row in c.execute(newest_ids(c.dialect.name, query, before=before, limit=limit))]


def newest_ids(dialect: str, query: str, *, before: int | None = None, limit: int) -> Select[int]:
    """The statement of `newest`."""
    statement = ids(dialect, query)
    column: Any = _SQLITE.c.rowid if dialect == "sqlite" else _POSTGRES.c.detection_id
    if before is not None:
        statement = statement.where(column < before)
    return statement.order_by(column.desc()).limit(limit)


def newest_sql(
    dialect: str, query: str, *, before: int | None = None, limit: int
) -> tuple[str, tuple[Any, ...]]:
    """The same as SQL for the driver, and its values."""
    sql, given = ids_sql(dialect, query)
    column, mark = ("rowid", "?") if dialect == "sqlite" else ("detection_id", "%s")
    behind = "" if before is None else f" AND {column} < {mark}"
    sql += f"{behind} ORDER BY {column} DESC LIMIT {mark}"
    return sql, (*given, limit) if before is None else (*given, before, limit)


def count(c: Connection, query: str, *, cap: int) -> int:
    """How many alerts a query finds; counting stops at the cap."""
    found = ids(c.dialect.name, query).limit(cap).subquery()
    return int(c.execute(select(func.count()).select_from(found)).scalar_one())


# What is written to it, in the transaction of the alerts


def put(c: Connection, oid: str, rows: Sequence[tuple[int, int, str, tuple[str, str, str]]]) -> None:
    """Index new alerts of one organization.

    Args:
        rows: id, time (ms), what `tokens_of` gave, and the labels in the order of LABELS.
    """
    if not rows:
        return
    mine = _token("oid", oid)
    _insert(c, [(number, f"{tokens} {mine}".lstrip()) for number, _, tokens, _ in rows])
    _put_labels(
        c, {(place, value[:LABEL]) for *_, labels in rows for place, value in enumerate(labels) if value}
    )
    _count_common(c, oid, rows)


def remove(c: Connection, oid: str, rows: Sequence[tuple[int, str]]) -> None:
    """Take alerts of one organization out of the index, before their rows go.

    Args:
        rows: id, and what `tokens_of` gives for the alert as it is stored.
    """
    if not rows:
        return
    if c.dialect.name == "sqlite":
        mine = _token("oid", oid)
        c.exec_driver_sql(
            f"INSERT INTO {TABLE} ({TABLE}, rowid, tokens) VALUES ('delete', ?, ?)",
            [(number, f"{tokens} {mine}".lstrip()) for number, tokens in rows],
        )
    else:
        c.execute(delete(_POSTGRES).where(_POSTGRES.c.detection_id.in_([number for number, _ in rows])))
    # First and last are not known any more; the values are counted anew when they come again.
    tokens = {token for _, each in rows for token in each.split(" ") if token.startswith("_")}
    for part in _chunks(sorted(tokens)):
        c.execute(delete(_SIGHTING).where(_SIGHTING.c.token.in_(part)))


def _insert(c: Connection, rows: list[tuple[int, str]]) -> None:
    if c.dialect.name == "sqlite":
        c.exec_driver_sql(f"INSERT INTO {TABLE} (rowid, tokens) VALUES (?, ?)", rows)
        return
    c.exec_driver_sql(
        f"INSERT INTO {TABLE} (detection_id, tokens)"
        " VALUES (%s, array_to_tsvector(string_to_array(%s, ' ')))",
        rows,
    )


def _put_labels(c: Connection, labels: Iterable[tuple[int, str]]) -> None:
    rows = sorted(labels)
    if rows:
        mark = "?" if c.dialect.name == "sqlite" else "%s"
        c.exec_driver_sql(
            f"INSERT INTO {_LABEL.name} (kind, value) VALUES ({mark}, {mark}) ON CONFLICT DO NOTHING", rows
        )


_COMMON_TOKENS = text(
    "WITH RECURSIVE t(x) AS (SELECT * FROM (SELECT min(token) FROM sighting) AS first"
    " UNION ALL SELECT (SELECT min(token) FROM sighting WHERE token > t.x) FROM t WHERE t.x IS NOT NULL)"
    " SELECT x FROM t WHERE x IS NOT NULL"
)
"""The tokens that are counted as they come: from one to the next by the key, for each has many rows."""


def _count_common(
    c: Connection, oid: str, rows: Sequence[tuple[int, int, str, tuple[str, str, str]]]
) -> None:
    """Count the values in that are counted as they come, and see whether one more has become common.

    One value is looked at every few times, and of those that several of the new alerts share where there are
    any: a value that one alert in fifty speaks of is found long before it takes a second to count.
    """
    known = set(c.execute(_COMMON_TOKENS).scalars())
    times: dict[str, list[int]] = {}
    values: list[list[str]] = []
    for _, moment, tokens, _ in rows:
        first = tokens.find("_")  # the words come before, and none of them has one
        mine = tokens[first:].split(" ") if first >= 0 else []
        values.append(mine)
        for token in mine:
            if token in known:
                times.setdefault(token, []).append(moment)
    if times:
        lite = c.dialect.name == "sqlite"
        mark, least, most = ("?", "min", "max") if lite else ("%s", "least", "greatest")
        # Beneath SQLAlchemy, as folds are: going through each row's names costs more than writing it.
        c.exec_driver_sql(
            f'INSERT INTO sighting (token, oid, "first", "last", count) VALUES ({", ".join([mark] * 5)})'
            " ON CONFLICT (token, oid) DO UPDATE SET"
            f' "first" = {least}(sighting."first", excluded."first"),'
            f' "last" = {most}(sighting."last", excluded."last"), count = sighting.count + excluded.count',
            [(token, oid, min(each), max(each), len(each)) for token, each in sorted(times.items())],
        )
    turn = zlib.crc32(rows[-1][0].to_bytes(8, "big"))  # as by chance, and the same each time
    if turn % (8 if len(rows) >= 20 else 32):
        return
    shared = sorted(
        token
        for token, many in Counter(token for mine in values for token in mine).items()
        if token not in known and many * 50 >= len(rows)
    )
    if shared:
        watch(c, shared[(turn >> 4) % len(shared)])


def watch(c: Connection, token: str, *, common: int | None = None) -> bool:
    """Begin to count a value as it comes, if it has become common; whether it has."""
    dialect = c.dialect.name
    query = term(dialect, token)
    least = COMMON if common is None else common
    if count(c, query, cap=least) < least:
        return False
    c.execute(
        _SIGHTING.insert().from_select(
            ["token", "oid", "first", "last", "count"],
            select(literal_column(f"'{token}'"), *_summed())
            .where(_D.c.id.in_(ids(dialect, query)))
            .group_by(_D.c.oid),
        )
    )
    return True


def _summed() -> tuple[Any, ...]:
    return (_D.c.oid, func.min(_D.c.time), func.max(_D.c.time), func.count())


def sightings(c: Connection, token: str) -> list[tuple[str, int, int, int]]:
    """Where a token is seen: (oid, time of the first, of the last, alerts) of each organization, exactly."""
    held = c.execute(
        select(_SIGHTING.c.oid, _SIGHTING.c.first, _SIGHTING.c.last, _SIGHTING.c.count).where(
            _SIGHTING.c.token == token
        )
    ).all()
    if not held:
        dialect = c.dialect.name
        held = c.execute(
            select(*_summed()).where(_D.c.id.in_(ids(dialect, term(dialect, token)))).group_by(_D.c.oid)
        ).all()
    return [(oid, first, last, number) for oid, first, last, number in held]


# The alerts that were there before the index was


def rebuild(engine: Engine) -> int:
    """Index what is marked as pending, and pack its bodies with the newest dictionary; in many transactions.

    Killed at any point, the next call goes on where the last transaction ended.

    Returns:
        How many alerts were indexed.
    """
    done = 0
    while True:
        with engine.begin() as connection:
            found = rebuild_some(connection)
        if found is None:
            return done
        done += found


def rebuild_some(c: Connection) -> int | None:
    """One transaction of `rebuild`: how many alerts were indexed, None when nothing is pending."""
    pending = preferences.get(c, PENDING)
    if pending is None:
        return None
    first, last = pending
    rows = c.execute(
        select(_D.c.id, _D.c.oid, _D.c.time, _D.c.cat, _D.c.rule, _D.c.hostname, _BODY.c.body)
        .select_from(_D.outerjoin(_BODY, _BODY.c.detection_id == _D.c.id))
        .where(_D.c.id >= first, _D.c.id <= last)
        .order_by(_D.c.id)
        .limit(FILLING)
    ).all()
    by_organization: dict[str, list[tuple[int, int, str, tuple[str, str, str]]]] = {}
    bodies = []
    for number, oid, moment, cat, rule, hostname, packed in rows:
        try:
            raw = unpack(packed) if packed is not None else b""
        except StoreDamaged:
            raw = b""
        else:
            if packed is not None:
                bodies.append((pack(raw), number))
        tokens = tokens_of(raw, record_of(raw), cat=cat, rule=rule, hostname=hostname)
        by_organization.setdefault(oid, []).append((number, moment, tokens, (cat, rule, hostname)))
    for oid, each in by_organization.items():
        put(c, oid, each)
    if bodies:
        mark = "?" if c.dialect.name == "sqlite" else "%s"
        c.exec_driver_sql(f"UPDATE detection_body SET body = {mark} WHERE detection_id = {mark}", bodies)
    preferences.put(c, PENDING, [rows[-1][0] + 1, last] if len(rows) == FILLING else None)
    return len(rows)


def miscounted(c: Connection) -> list[tuple[str, int, int]]:
    """The organizations of which the index does not hold every alert: (oid, alerts stored, indexed)."""
    wrong = []
    for oid, held in c.execute(select(_D.c.oid, func.count()).group_by(_D.c.oid).order_by(_D.c.oid)).all():
        query = label_query(c.dialect.name, "oid", [oid])
        found = count(c, query, cap=held + 1)
        if found != held:
            wrong.append((oid, held, found))
    return wrong


def _chunks(values: Iterable[str]) -> Iterable[list[str]]:
    listed = list(values)
    for at in range(0, len(listed), 500):
        yield listed[at : at + 500]
