"""A false positive rule tried on 100,000 stored detections, against reading and decoding them alone."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson

from benchmarks.figure import Figure, median
from benchmarks.storage import NOW, fill
from console.operations.falsepositives import preview
from store.bodies import unpack
from store.database import Store
from store.queries.falsepositives import pages

ALERTS = 100_000
GOAL = 50.0
"""Microseconds of one core for one evaluation: 20,000 a second."""
DAYS = 3650

RULE = {
    "op": "and",
    "rules": [
        # No exact name: with one, only the detections of that name would be read.
        {"op": "contains", "path": "cat", "value": "e", "case sensitive": False},
        {"op": "matches", "path": "detect/event/COMMAND_LINE", "re": r"-enc\w*\s+[a-z0-9+/]{8}"},
        {"op": "is", "not": True, "path": "routing/hostname", "value": "nobody"},
    ],
}


def figures(runs: int) -> Iterator[Figure]:
    """The processor's time, reading included; what others do on the machine does not count."""
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "store.db"
        count, _ = fill(path, ALERTS)
        with closing(Store(f"sqlite:///{path}")) as store:
            ours, other = [], []
            for _ in range(max(2, min(runs, 5))):
                began = time.process_time()
                effect = preview(store.reader, RULE, days=DAYS, now=NOW)
                ours.append(1e6 * (time.process_time() - began) / effect.evaluated)
                assert effect.evaluated == effect.totals.total == count
                began = time.process_time()
                for page in pages(store.reader, "", since=NOW - DAYS * 86_400_000, until=NOW):
                    for alert in page:
                        assert alert.packed is not None
                        orjson.loads(unpack(alert.packed))
                other.append(1e6 * (time.process_time() - began) / count)
    yield Figure(
        "fp-preview",
        f"{count:,} detections / read only",
        median(ours),
        median(other),
        GOAL,
        "us",
        absolute=True,
    )
