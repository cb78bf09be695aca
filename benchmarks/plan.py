"""A plan over ten thousand organizations of 300 records each, when one record of their template changed.

Against comparing every record by its hash in one SQL join, with the wanted hashes in a table that is keyed for
it. Both answer the same ten thousand organizations. What was as wanted before the change is remembered, as every
plan remembers it.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

from sqlalchemy import Connection, func, select

from benchmarks.configurationfixture import KEY, RECORDS, Held, document, held
from benchmarks.figure import Figure, median
from console.process import settle_memory
from store import models
from store.database import Store
from store.rollouts import plans
from store.templates import library

MANY = 10_000
CHANGED = 7
TIMES_FASTER = 20
MEGABYTES = 500.0

JOIN = """
SELECT o.oid, w.section, w.name FROM organization o CROSS JOIN bench_wanted w
LEFT JOIN configuration_record r ON r.oid = o.oid AND r.section = w.section AND r.name = w.name AND r.valid_to IS NULL
WHERE r.hash IS NULL OR r.hash <> w.hash
"""


class _Undone(Exception):
    """Ends a transaction of which nothing is to stay."""


def figures(runs: int) -> Iterator[Figure]:
    """Milliseconds both ways in turn, and the memory of a process that plans."""
    fixture = _remembered(held(MANY, drifted=False))
    settle_memory()  # as the console does once it is imported
    ours: list[float] = []
    other: list[float] = []
    with closing(Store(fixture.url)) as store, suppress(_Undone), store.writing() as connection:
        library.put(connection, "base", "main.yaml", {"main.yaml": document(CHANGED)}, now=3)
        drafted = _drafted(connection)
        _wanted_table(connection, drafted)
        for _ in range(max(3, runs // 3)):
            start = time.perf_counter()
            found = connection.exec_driver_sql(JOIN).fetchall()
            other.append((time.perf_counter() - start) * 1000)
            start = time.perf_counter()
            drafted = _drafted(connection)
            ours.append((time.perf_counter() - start) * 1000)
            if sorted(row[0] for row in found) != sorted(each.oid for each in drafted.changes):
                raise AssertionError(f"{len(drafted.changes):,} changes here, {len(found):,} by the join")
        raise _Undone
    yield Figure(
        "plan",
        f"{MANY:,} organizations, one record changed / join",
        median(ours),
        median(other),
        1 / TIMES_FASTER,
        "ms",
    )
    spent = subprocess.run(
        [sys.executable, "-c", "from benchmarks.plan import remember; remember()"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    yield Figure(
        "plan", "memory of a process that plans", float(spent.stdout), 1.0, MEGABYTES, "MB", absolute=True
    )


def _remembered(fixture: Held) -> Held:
    """With every organization known to be as wanted."""
    state: Any = models.WantedState.__table__  # type: ignore[attr-defined]
    with closing(Store(fixture.url)) as store:
        with store.reader.reading() as connection:
            known = connection.execute(select(func.count()).select_from(state)).scalar_one()
            mark = plans.newest_record(connection)
        if known < fixture.organizations:
            with store.writing() as connection:
                plans.remember(connection, _drafted(connection), now=2, mark=mark)
    return fixture


def _drafted(connection: Connection) -> plans.Drafted:
    return plans.drafted(connection, scope="", key=KEY)


def _wanted_table(connection: Connection, drafted: plans.Drafted) -> None:
    connection.exec_driver_sql(
        "CREATE TABLE bench_wanted (section TEXT, name TEXT, hash TEXT, PRIMARY KEY (section, name)) WITHOUT ROWID"
    )
    records = next(iter(drafted.placed.values())).wanted.records
    if len(records) != RECORDS:
        raise AssertionError(f"the template wants {len(records)} records")
    for (section, name), want in records.items():
        connection.exec_driver_sql("INSERT INTO bench_wanted VALUES (?, ?, ?)", (section, name, want.hash))


def remember() -> None:
    """Print the most megabytes that planning took."""
    import resource

    fixture = held(MANY, drifted=False)
    with closing(Store(fixture.url)) as store, suppress(_Undone), store.writing() as connection:
        library.put(connection, "base", "main.yaml", {"main.yaml": document(CHANGED)}, now=3)
        drafted = _drafted(connection)
        if len(drafted.changes) != MANY or len(drafted.folds) != 1:
            raise AssertionError("that is no plan for every organization")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        raise _Undone
