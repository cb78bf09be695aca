"""Bytes on disk per alert, raw JSON, full text and every index included, against the same as compact JSON lines."""

import os
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson

from benchmarks.figure import Figure
from console.operations.sync import BATCH
from console.sandbox.world import World
from store import ingest
from store.database import Store

ALERTS = 200_000
SEED = 7
NOW = 1_795_900_000_000


def figures(runs: int) -> Iterator[Figure]:
    """Through real ingest, the organizations in turn as a sync reads them; the file as it is then, not vacuumed."""
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "store.db"
        count, lines = fill(path, ALERTS)
        yield Figure(
            "storage",
            f"{count:,} alerts / JSON lines",
            os.path.getsize(path) / count,
            lines / count,
            0.5,
            "B",
        )


def fill(path: Path, alerts: int) -> tuple[int, int]:
    """Store so many of the sandbox's detections; how many they were, and their bytes as compact JSON lines."""
    world = World(seed=SEED, detections=alerts, now_ms=NOW)
    pages = [
        (index, range(first, min(first + BATCH, organization.detections)))
        for index, organization in enumerate(world.organizations)
        for first in range(0, organization.detections, BATCH)
    ]
    random.Random(SEED).shuffle(pages)
    count = lines = 0
    with closing(Store(f"sqlite:///{path}")) as store:
        for index, numbers in pages:
            oid = world.organizations[index].oid
            bodies = [orjson.dumps(world.detections.detection(index, number)) for number in numbers]
            lines += sum(len(body) + 1 for body in bodies)
            records = [ingest.detection_from(body, oid) for body in bodies]
            with store.writing() as connection:
                count += ingest.put_detections(connection, oid, records)
    with closing(sqlite3.connect(path)) as plain:
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return count, lines
