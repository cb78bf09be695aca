"""Detections into a store that holds a million, against raw `executemany` into the same tables and indexes."""

import json
import random
import shutil
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.figure import Figure, median
from benchmarks.fixture import RULES, store_of
from console.operations.sync import BATCH
from store import ingest
from store.bodies import pack
from store.database import Store

ALERTS = 1_000_000
PAGES, PAGE = 20, 1_000
"""Each page is one organization's, as an answer of the cloud is."""

Page = tuple[str, list[ingest.NewDetection]]


def figures(runs: int) -> Iterator[Figure]:
    """Both write new detections into one file, in turn and in the same transactions; one round does not count.

    What is compared with is given its rows ready: neither an id has to be found nor a body compressed.
    """
    with tempfile.TemporaryDirectory(dir=store_of(ALERTS).parents[2]) as name:
        path = Path(name) / "store.db"
        shutil.copyfile(store_of(ALERTS), path)
        chance = random.Random("other ids than those of the fixture")
        ours, other = [], []
        with closing(Store(f"sqlite:///{path}")) as store, closing(_raw(path)) as raw:
            oids = [row[0] for row in raw.execute("SELECT oid FROM organization ORDER BY oid")]
            for run in range(runs + 1):
                mine = _through(store, _pages(chance, oids))
                theirs = _beneath(raw, _pages(chance, oids))
                if run:
                    ours.append(mine)
                    other.append(theirs)
    name = f"{PAGES * PAGE:,} into {ALERTS:,} / raw executemany"
    yield Figure("ingest", name, median(ours), median(other), round(1 / 0.6, 3), "ms")


def _pages(chance: random.Random, oids: Sequence[str]) -> list[Page]:
    now = time.time_ns() // 1_000_000
    return [(oid, [_detection(chance, oid, now) for _ in range(PAGE)]) for oid in chance.sample(oids, PAGES)]


def _detection(chance: random.Random, oid: str, now: int) -> ingest.NewDetection:
    sid = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    routing = {
        "oid": oid, "sid": sid, "hostname": f"host-{chance.randrange(4000)}", "event_type": "NEW_PROCESS",
        "event_time": now - chance.randrange(86_400_000), "ext_ip": "203.0.113.7", "int_ip": "10.1.2.3",
    }  # fmt: skip
    event = {
        "COMMAND_LINE": f"powershell.exe -nop -w hidden -enc {chance.randbytes(60).hex()}",
        "FILE_PATH": "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
        "PROCESS_ID": chance.randrange(65_536), "USER_NAME": "ACME\\jdoe", "HASH": chance.randbytes(32).hex(),
    }  # fmt: skip
    raw = {
        "detect_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)), "cat": chance.choice(RULES),
        "source_rule": "general.rule", "gen_time": now - chance.randrange(86_400_000),
        "priority": chance.randrange(1, 10), "detect": {"event": event, "routing": routing},
        "routing": routing, "detect_mtd": {"level": chance.choice(("low", "medium", "high"))},
    }  # fmt: skip
    return ingest.detection_from(json.dumps(raw).encode(), oid)


def _batches(records: list[ingest.NewDetection]) -> Iterator[list[ingest.NewDetection]]:
    """In as many transactions as a sync takes."""
    for at in range(0, len(records), BATCH):
        yield records[at : at + BATCH]


def _through(store: Store, pages: list[Page]) -> float:
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


def _beneath(raw: sqlite3.Connection, pages: list[Page]) -> float:
    number = int(raw.execute("SELECT max(id) FROM detection").fetchone()[0])
    batches = []
    for oid, records in pages:
        for batch in _batches(records):
            rows, bodies = [], []
            counts: dict[int, int] = {}
            for each in batch:
                number += 1
                rows.append(
                    (
                        number, oid, each.detect_id, each.severity, each.time, each.cat, each.rule,
                        each.hostname, each.sid, each.event_type, each.priority, 0, 0, "", each.damaged, 0,
                    )
                )  # fmt: skip
                bodies.append((number, pack(each.body)))
                counts[each.severity] = counts.get(each.severity, 0) + 1
            batches.append((rows, bodies, [(oid, severity, count) for severity, count in counts.items()]))
    start = time.perf_counter()
    for rows, bodies, totals in batches:
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany(
            "INSERT INTO detection (id, oid, detect_id, severity, time, cat, rule, hostname, sid, event_type,"
            " priority, status, classification, assignee, damaged, version)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            rows,
        )
        raw.executemany("INSERT INTO detection_body (detection_id, body) VALUES (?, ?)", bodies)
        raw.executemany(
            "INSERT INTO detection_count (oid, severity, status, count) VALUES (?, ?, 0, ?)"
            " ON CONFLICT (oid, severity, status) DO UPDATE SET count = count + excluded.count",
            totals,
        )
        raw.execute("COMMIT")
    return (time.perf_counter() - start) * 1000
