"""The full heat table of ten thousand organizations with 300 records each, beside that of a thousand.

A store of its own for each size; nothing is remembered of an earlier comparison, so that every record is
looked at.
"""

import time
from collections.abc import Iterator
from contextlib import closing

from benchmarks.configurationfixture import KEY, RECORDS, SHARE, Held, held
from benchmarks.figure import Figure, median
from store.database import Reader
from store.queries.drift import heat, report

MANY, FEW = 10_000, 1_000
NOW = 2


def figures(runs: int) -> Iterator[Figure]:
    """Microseconds for one organization, both sizes in turn."""
    large, small = held(MANY, drifted=True), held(FEW, drifted=True)
    ours: list[float] = []
    other: list[float] = []
    for _ in range(max(3, runs // 3)):
        other.append(_once(small))
        ours.append(_once(large))
    yield Figure(
        "drift", f"heat table, {MANY:,} / {FEW:,} organizations, each", median(ours), median(other), 1.3, "us"
    )


def _once(fixture: Held) -> float:
    with closing(Reader(fixture.url)) as reader, reader.reading() as connection:
        start = time.perf_counter()
        found = report(connection, key=KEY, now=NOW)
        table = heat(found)
        spent = time.perf_counter() - start
    wanted = fixture.organizations * (RECORDS / SHARE + 1)
    if not 0.95 * wanted < len(found.drifts) < 1.05 * wanted or len(table.lines) != RECORDS + 1:
        raise AssertionError(
            f"{len(found.drifts):,} deviations in {len(table.lines)} lines are not what was made"
        )
    return spent / fixture.organizations * 1e6
