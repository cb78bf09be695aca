"""Pages of the queue over a million alerts, against the same SQL by hand on the same file."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, make_dataclass
from typing import Any

from benchmarks import fixture
from benchmarks.figure import Figure, percentile
from store import textindex
from store.alerts import AlertFilter
from store.database import Reader
from store.queries import alerts

PAGE = 50
WARM = 5.0
"""Milliseconds, about, that a page may take."""

COLUMNS = (
    "d.id, lower(hex(d.detect_id)), d.oid, o.name, d.severity, d.time, d.cat, d.rule, d.hostname, d.status, d.assignee, d.damaged,"
    " d.rank, d.due_at, d.classification, d.version, d.fold_id, lower(hex(d.sid)), d.snoozed_until, d.tags"
)
FROM = f"SELECT {COLUMNS} FROM detection d LEFT JOIN organization o ON o.oid = d.oid WHERE d.status < 2 AND d.snoozed_until IS NULL"
ORDER = f"ORDER BY d.rank DESC, d.time DESC, d.id DESC LIMIT {PAGE}"
GATHERED = f"ORDER BY +d.rank DESC, d.time DESC, d.id DESC LIMIT {PAGE}"
"""With the sign SQLite reads and sorts the few that were named, instead of walking the queue."""

Row = make_dataclass("Row", [f"c{number}" for number in range(20)], slots=True)
"""What one would make of a row."""

Page = Callable[[], Sequence[Any]]


def _read(plain: sqlite3.Connection, sql: str, values: Sequence[Any]) -> Sequence[Any]:
    return [Row(*row) for row in plain.execute(sql, values)]


@dataclass(frozen=True)
class Asked:
    """One page, read both ways."""

    ours: Page
    other: Page


def figures(runs: int) -> Iterator[Figure]:
    """p95 of many pages of each kind, both ways in turn, each page read once before it counts."""
    held = fixture.held(fixture.alerts())
    times = max(40, runs * 20)
    plain = sqlite3.connect(f"file:{held.path}?mode=ro", uri=True)
    plain.execute("PRAGMA mmap_size=268435456")
    with closing(Reader(held.url)) as reader, closing(plain), reader.reading() as connection:
        chance = random.Random(7)
        for name, kind in (
            ("page at any depth", _anywhere), ("fold opened", _fold), ("one organization", _organization), ("a host", _host),
            ("a rule", _rule), (f"node of {fixture.GOLD:,}", _node),
        ):  # fmt: skip
            ours, other = [], []
            for _ in range(times):
                asked = kind(connection, plain, chance)
                found, expected = asked.ours(), asked.other()
                if [row.id for row in found] != [row.c0 for row in expected]:
                    raise AssertionError(f"{name}: not the same alerts")
                for page, spent in ((asked.ours, ours), (asked.other, other)):
                    start = time.perf_counter()
                    page()
                    spent.append((time.perf_counter() - start) * 1000)
            mine, theirs = percentile(ours, 95), percentile(other, 95)
            yield Figure("queue", f"{name} p95 / SQL by hand", mine, theirs, 1.5, "ms")
            yield Figure("queue", f"{name} p95, warm", mine, theirs, WARM, "ms", absolute=True)


def _asked(connection: Any, wanted: AlertFilter, other: Page, after: alerts.Key | None = None) -> Asked:
    return Asked(lambda: alerts.page(connection, wanted, after=after, limit=PAGE), other)


def _anywhere(connection: Any, plain: sqlite3.Connection, chance: random.Random) -> Asked:
    number = chance.randrange(plain.execute("SELECT max(id) FROM detection").fetchone()[0])
    key = plain.execute(
        "SELECT rank, time, id FROM detection WHERE id >= ? AND status < 2 LIMIT 1", (number,)
    ).fetchone()
    sql = f"{FROM} AND (d.rank, d.time, d.id) < (?, ?, ?) {ORDER}"
    return _asked(connection, AlertFilter(), lambda: _read(plain, sql, key), key)


def _random(plain: sqlite3.Connection, chance: random.Random, column: str) -> Any:
    """A value of a column, as often as alerts have it."""
    number = chance.randrange(plain.execute("SELECT max(id) FROM detection").fetchone()[0]) + 1
    return plain.execute(f"SELECT {column} FROM detection WHERE id = ?", (number,)).fetchone()[0]


def _fold(connection: Any, plain: sqlite3.Connection, chance: random.Random) -> Asked:
    fold = _random(plain, chance, "fold_id")
    sql = f"{FROM} AND d.fold_id = ? {ORDER}"
    return _asked(connection, AlertFilter(fold=fold), lambda: _read(plain, sql, (fold,)))


def _organization(connection: Any, plain: sqlite3.Connection, chance: random.Random) -> Asked:
    oid = _random(plain, chance, "oid")
    sql = f"{FROM} AND d.oid = ? {ORDER}"
    return _asked(connection, AlertFilter(oid=oid), lambda: _read(plain, sql, (oid,)))


def _labels(plain: sqlite3.Connection, kind: int, part: str) -> list[str]:
    sql = "SELECT value FROM alert_label WHERE kind = ? AND value LIKE ? LIMIT 401"
    return [row[0] for row in plain.execute(sql, (kind, f"%{part}%"))]


def _host(connection: Any, plain: sqlite3.Connection, chance: random.Random) -> Asked:
    host = _random(plain, chance, "hostname")

    def other() -> Sequence[Any]:
        named = _labels(plain, 2, host)
        match = textindex.label_query("sqlite", "hostname", named)
        marks = ", ".join("?" * len(named))
        found = plain.execute(
            "SELECT count(*) FROM (SELECT 1 FROM detection_text WHERE detection_text MATCH ? LIMIT 5001)",
            (match,),
        ).fetchone()[0]
        if found > 5_000:
            return _read(plain, f"{FROM} AND d.hostname IN ({marks}) {ORDER}", named)
        sql = f"{FROM} AND d.id IN (SELECT rowid FROM detection_text WHERE detection_text MATCH ?) {GATHERED}"
        return _read(plain, sql, (match,))

    return _asked(connection, AlertFilter(hostname=host), other)


def _rule(connection: Any, plain: sqlite3.Connection, chance: random.Random) -> Asked:
    rule = _random(plain, chance, "rule")

    def other() -> Sequence[Any]:
        named = _labels(plain, 1, rule)
        sql = f"{FROM} AND d.rule IN ({', '.join('?' * len(named))}) {ORDER}"
        return _read(plain, sql, named)

    return _asked(connection, AlertFilter(rule=rule), other)


def _node(connection: Any, plain: sqlite3.Connection, chance: random.Random) -> Asked:
    first, last = plain.execute("SELECT first, last FROM node WHERE id = 'gold'").fetchone()
    number = chance.randrange(plain.execute("SELECT max(id) FROM detection").fetchone()[0])
    key = plain.execute(
        "SELECT rank, time, id FROM detection WHERE id >= ? AND status < 2 LIMIT 1", (number,)
    ).fetchone()
    sql = (
        f"{FROM} AND +d.oid IN (SELECT oid FROM node WHERE oid IS NOT NULL AND first BETWEEN ? AND ?)"
        f" AND (d.rank, d.time, d.id) < (?, ?, ?) {ORDER}"
    )
    return _asked(connection, AlertFilter(scope="gold"), lambda: _read(plain, sql, (first, last, *key)), key)
