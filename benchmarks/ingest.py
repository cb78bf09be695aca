"""Detections into a store that holds a million, against raw `executemany` into the same tables and indexes."""

import json
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import fixture
from benchmarks.figure import Figure, median
from console.operations.sync import BATCH
from console.process import settle_memory
from store import folds, ingest, sla, textindex
from store.bodies import pack
from store.database import Store
from store.models.columns import compact

PAGES, PAGE = 20, 1_000
"""Each page is one organization's, as an answer of the cloud is."""

Page = tuple[str, list[bytes]]


def figures(runs: int) -> Iterator[Figure]:
    """Both write new detections into one file, in turn and in the same transactions; one round does not count.

    Ours gets what was read from the answers, before it has the lock (`ingest.detection_from`). What is compared
    with is given its rows ready: no id and no fold has to be found, nothing counted, no body compressed.
    """
    held = fixture.held(fixture.alerts())
    with tempfile.TemporaryDirectory(dir=held.path.parents[2]) as name:
        path = Path(name) / "store.db"
        shutil.copyfile(held.path, path)
        ours, other = [], []
        fresh = held.alerts
        settle_memory()  # as the console and `sync` do once everything is imported
        with closing(Store(f"sqlite:///{path}")) as store, closing(_raw(path)) as raw:
            for run in range(runs + 1):
                pages, fresh = _pages(fresh, held.now)
                mine = _through(
                    store,
                    [(oid, [ingest.detection_from(body, oid) for body in bodies]) for oid, bodies in pages],
                )
                pages, fresh = _pages(fresh, held.now)
                theirs = _beneath(raw, pages)
                if run:
                    ours.append(mine)
                    other.append(theirs)
    name = f"{PAGES * PAGE:,} into {held.alerts:,} / raw executemany"
    yield Figure("ingest", name, median(ours), median(other), round(1 / 0.6, 3), "ms")


def _pages(first: int, now: int) -> tuple[list[Page], int]:
    """Detections that no other page has, each page of an organization of its own; and the next number."""
    chance = random.Random(first)
    pages = []
    for oid in chance.sample(fixture.oids(), PAGES):
        bodies = []
        for _ in range(PAGE):
            record = json.loads(fixture.raw(first, now))
            record["routing"]["oid"] = record["detect"]["routing"]["oid"] = oid
            bodies.append(json.dumps(record, separators=(",", ":")).encode())
            first += 1
        pages.append((oid, bodies))
    return pages, first


def _batches(records: list[Any]) -> Iterator[list[Any]]:
    """In as many transactions as a sync takes."""
    for at in range(0, len(records), BATCH):
        yield records[at : at + BATCH]


def _through(store: Store, pages: list[tuple[str, list[ingest.NewDetection]]]) -> float:
    start = time.perf_counter()
    for oid, records in pages:
        for batch in _batches(records):
            with store.writing() as connection:
                new = ingest.put_detections(connection, oid, batch)
            if new != len(batch):
                raise AssertionError(f"{new} of {len(batch)} detections were new")
    return (time.perf_counter() - start) * 1000


def _raw(path: Path) -> sqlite3.Connection:
    raw = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "mmap_size=268435456"):
        raw.execute(f"PRAGMA {pragma}")
    return raw


_ROW = (
    "oid", "detect_id", "severity", "rank", "time", "cat", "rule", "hostname", "sid", "event_type", "priority", "damaged",
    "status", "classification", "assignee", "version", "tags", "due_at",
)  # fmt: skip

_ADD = """
 ON CONFLICT ({key}) DO UPDATE SET total = total + excluded.total, open = open + excluded.open,
 first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen),
 rank = max(rank, excluded.rank), last_open = max(last_open, excluded.last_open), due_at = min(due_at, excluded.due_at),
 hours = excluded.hours
"""
_SUMS = "cat, rule, total, open, first_seen, last_seen, rank, last_open, due_at, hours, assignees, last_verdict, last_verdict_by"


def _beneath(raw: sqlite3.Connection, pages: list[Page]) -> float:
    number = int(raw.execute("SELECT max(id) FROM detection").fetchone()[0])
    fold_number = int(raw.execute("SELECT max(id) FROM fold").fetchone()[0])
    batches = []
    made: dict[tuple[str, int], int] = {}
    for oid, bodies in pages:
        for batch in _batches(bodies):
            ready = _Ready()
            for body in batch:
                number += 1
                new = ingest.detection_from(body, oid)
                identity = folds.identity_of(new.values or {}, new.rule, new.cat, folds.DEFAULT)
                key = (oid, identity.key)
                if key not in made:
                    known = raw.execute(
                        "SELECT id FROM fold WHERE storm = ? AND oid = ?", (identity.key, oid)
                    ).fetchone()
                    if known is None:
                        fold_number += 1
                    made[key] = fold_number if known is None else known[0]
                ready.add(number, oid, new, identity, made[key])
            batches.append(ready)
    start = time.perf_counter()
    for ready in batches:
        ready.write(raw)
    return (time.perf_counter() - start) * 1000


class _Ready:
    """The rows of one transaction."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.bodies: list[tuple[int, bytes]] = []
        self.words: list[tuple[int, str]] = []
        self.counts: dict[tuple[str, int], int] = {}
        self.labels: set[tuple[int, str]] = set()
        self.folds: dict[int, list[Any]] = {}

    def add(
        self, number: int, oid: str, new: ingest.NewDetection, identity: folds.Identity, fold: int
    ) -> None:
        due = sla.DEFAULT.due_at(new.severity, 0, new.time)
        self.rows.append(
            (
                number, fold, oid, compact(new.detect_id), new.severity, new.severity, new.time, new.cat, new.rule, new.hostname,
                compact(new.sid), new.event_type, new.priority, new.damaged, 0, 0, "", 0, "", due,
            )
        )  # fmt: skip
        self.bodies.append((number, pack(new.body)))
        self.words.append((number, f"{new.tokens} {textindex.label_token('oid', oid)}"))
        self.counts[oid, new.severity] = self.counts.get((oid, new.severity), 0) + 1
        self.labels.update(enumerate((new.cat, new.rule, new.hostname)))
        sums = self.folds.setdefault(
            fold, [identity, oid, 0, new.time, new.time, new.severity, due, {str(new.time // folds.HOUR): 1}]
        )
        sums[2] += 1
        sums[3:7] = (
            min(sums[3], new.time),
            max(sums[4], new.time),
            max(sums[5], new.severity),
            min(sums[6], due),
        )

    def write(self, raw: sqlite3.Connection) -> None:
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany(
            f"INSERT INTO detection (id, fold_id, {', '.join(_ROW)}) VALUES (?, ?, {', '.join('?' * len(_ROW))})",
            self.rows,
        )
        raw.executemany("INSERT INTO detection_body (detection_id, body) VALUES (?, ?)", self.bodies)
        raw.executemany("INSERT INTO detection_text (rowid, tokens) VALUES (?, ?)", self.words)
        raw.executemany("INSERT OR IGNORE INTO alert_label VALUES (?, ?)", sorted(self.labels))
        raw.executemany(
            "INSERT INTO detection_count (oid, severity, status, count) VALUES (?, ?, 0, ?)"
            " ON CONFLICT (oid, severity, status) DO UPDATE SET count = count + excluded.count",
            [(oid, severity, count) for (oid, severity), count in self.counts.items()],
        )
        sums = [
            (
                identity,
                fold,
                oid,
                (
                    identity.cat,
                    identity.rule,
                    many,
                    many,
                    first,
                    last,
                    rank,
                    last,
                    due,
                    json.dumps(hours),
                    "{}",
                    0,
                    "",
                ),
            )
            for fold, (identity, oid, many, first, last, rank, due, hours) in self.folds.items()
        ]
        raw.executemany(
            f"INSERT INTO fold (id, oid, storm, {_SUMS}, true_positives, false_positives, spent)"
            f" VALUES (?, ?, ?, {', '.join('?' * 13)}, 0, 0, 0) {_ADD.format(key='id')}",
            [(fold, oid, identity.key, *values) for identity, fold, oid, values in sums],
        )
        raw.executemany(
            f"INSERT INTO storm (key, salient, organizations, fold_id, {_SUMS}) VALUES (?, ?, 1, ?, {', '.join('?' * 13)})"
            + _ADD.format(key="key"),
            [
                (identity.key, json.dumps(identity.salient), fold, *values)
                for identity, fold, _, values in sums
            ],
        )
        raw.execute("COMMIT")
