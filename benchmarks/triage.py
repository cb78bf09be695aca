"""Closing ten thousand alerts at once, against the same in SQL by hand."""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks import fixture
from benchmarks.figure import Figure, median
from console.operations import triage
from store.database import Store
from store.triage import Selection

CLOSED = 10_000
CLASS = 2


def figures(runs: int) -> Iterator[Figure]:
    """Both close their own ten thousand open alerts of one copy of the file, in turn; one round does not count.

    By hand it is one transaction: the alerts with a version to compare, what was there before for taking it
    back, the counters, and the folds and storms counted again. Ours does that in transactions of at most 500, so
    that others can write between, plans it first, writes the journal, and can be resumed.
    """
    held = fixture.held(fixture.alerts())
    rounds = min(runs, 5)
    with tempfile.TemporaryDirectory(dir=held.path.parents[2]) as name:
        path = Path(name) / "store.db"
        shutil.copyfile(held.path, path)
        ours, other = [], []
        with (
            closing(Store(f"sqlite:///{path}")) as store,
            closing(sqlite3.connect(path, isolation_level=None)) as raw,
        ):
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "mmap_size=268435456"):
                raw.execute(f"PRAGMA {pragma}")
            for run in range(rounds + 1):
                mine = _through(store, _open(raw, held.now))
                theirs = _beneath(raw, _open(raw, held.now), held.now)
                if run:
                    ours.append(mine)
                    other.append(theirs)
    yield Figure("triage", f"close {CLOSED:,} / SQL by hand", median(ours), median(other), 3, "ms")


def _open(raw: sqlite3.Connection, now: int) -> list[tuple[int, int]]:
    """(id, version) of the next open alerts of the queue that nobody has."""
    found = raw.execute(
        "SELECT id, version FROM detection WHERE status < 2 AND assignee = '' ORDER BY rank DESC, time DESC, id DESC LIMIT ?",
        (CLOSED,),
    ).fetchall()
    if len(found) < CLOSED and now:
        raise SystemExit("The fixture has too few open alerts; use SCALE=1m.")
    return found


def _through(store: Store, rows: list[tuple[int, int]]) -> float:
    selection = Selection(ids=tuple(number for number, _ in rows), versions=dict(rows))
    start = time.perf_counter()
    outcome = triage.close(store, "mk", selection, CLASS, comment="scanner")
    spent = (time.perf_counter() - start) * 1000
    if outcome.changed != len(rows):
        raise AssertionError(f"{outcome.changed} of {len(rows)} alerts were closed")
    return spent


def _beneath(raw: sqlite3.Connection, rows: list[tuple[int, int]], now: int) -> float:
    start = time.perf_counter()
    raw.execute("BEGIN IMMEDIATE")
    raw.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (id INTEGER PRIMARY KEY, version INTEGER)")
    raw.execute("DELETE FROM wanted")
    raw.executemany("INSERT INTO wanted VALUES (?, ?)", rows)
    action = raw.execute(
        "INSERT INTO triage_action (time, actor, verb, comment, detail, planned, changed, refused)"
        " VALUES (?, 'mk', 'close', 'scanner', '{}', ?, ?, 0)", (now, len(rows), len(rows)),
    ).lastrowid  # fmt: skip
    raw.execute(
        "INSERT INTO triage_change (action_id, detection_id, oid, outcome, version, status, classification, assignee, rank, tags,"
        " acknowledged_at, resolved_at, snoozed_until, due_at) SELECT ?, d.id, d.oid, 1, d.version + 1, d.status, d.classification,"
        " d.assignee, d.rank, d.tags, d.acknowledged_at, d.resolved_at, d.snoozed_until, d.due_at"
        " FROM wanted w JOIN detection d ON d.id = w.id AND d.version = w.version", (action,),
    )  # fmt: skip
    raw.execute(
        "INSERT INTO detection_count (oid, severity, status, count)"
        " SELECT d.oid, d.severity, 3, count(*) FROM wanted w JOIN detection d USING (id) GROUP BY 1, 2"
        " ON CONFLICT (oid, severity, status) DO UPDATE SET count = count + excluded.count"
    )
    raw.execute(
        "INSERT INTO detection_count (oid, severity, status, count)"
        " SELECT d.oid, d.severity, d.status, -count(*) FROM wanted w JOIN detection d USING (id) GROUP BY 1, 2, 3"
        " ON CONFLICT (oid, severity, status) DO UPDATE SET count = count + excluded.count"
    )
    raw.execute(
        "UPDATE detection SET status = 3, classification = ?, version = version + 1, resolved_at = ?, due_at = NULL,"
        " acknowledged_at = coalesce(acknowledged_at, ?), rank = severity WHERE id IN (SELECT id FROM wanted)", (CLASS, now, now),
    )  # fmt: skip
    for half in ("status < 2", "status >= 2"):
        raw.execute(
            f"CREATE TEMP TABLE sums AS SELECT fold_id, count(*) AS many, max(rank) AS rank, max(time) AS last, min(due_at) AS due,"
            f" sum(classification = 1) AS yes, sum(classification = 2) AS no, max(resolved_at) AS at, sum(resolved_at - acknowledged_at) AS spent"
            f" FROM detection WHERE {half} AND fold_id IN (SELECT fold_id FROM detection JOIN wanted USING (id)) GROUP BY fold_id"
        )
        raw.execute("CREATE UNIQUE INDEX temp.sums_fold ON sums (fold_id)")
        if half == "status < 2":
            raw.execute(
                "UPDATE fold SET open = 0, rank = -1, last_open = 0, due_at = NULL"
                " WHERE id IN (SELECT fold_id FROM detection JOIN wanted USING (id))"
            )
            raw.execute(
                "UPDATE fold SET (open, rank, last_open, due_at) = (SELECT many, rank, last, due FROM sums WHERE fold_id = fold.id)"
                " WHERE id IN (SELECT fold_id FROM sums)"
            )
        else:
            raw.execute(
                "UPDATE fold SET (true_positives, false_positives, last_verdict, last_verdict_at, last_verdict_by, spent)"
                " = (SELECT yes, no, ?, at, 'mk', spent FROM sums WHERE fold_id = fold.id) WHERE id IN (SELECT fold_id FROM sums)",
                (CLASS,),
            )
        raw.execute("DROP TABLE sums")
    raw.execute(
        "UPDATE storm SET (open, organizations, rank, last_open, due_at) = (SELECT sum(open), count(*) FILTER (WHERE open > 0),"
        " max(rank), max(last_open), min(due_at) FROM fold WHERE fold.storm = storm.key), last_verdict = ?, last_verdict_at = ?"
        " WHERE key IN (SELECT storm FROM fold WHERE id IN (SELECT fold_id FROM detection JOIN wanted USING (id)))", (CLASS, now),
    )  # fmt: skip
    raw.execute("COMMIT")
    return (time.perf_counter() - start) * 1000
