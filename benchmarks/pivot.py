"""From a value to the alerts that speak of it, over a million of them, against a look-up by the primary key."""

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

from benchmarks import fixture
from benchmarks.figure import Figure, percentile
from store.database import Reader
from store.observables import observables
from store.queries.pivot import pivot, prevalence

KINDS = ("hash", "host", "address", "user", "domain", "path")
PAGE = 50
SECOND = 1_000.0


def figures(runs: int) -> Iterator[Figure]:
    """p95 over values as often as alerts speak of them, the common ones included; each is asked for once before."""
    held = fixture.held(fixture.alerts())
    times = max(60, runs * 30)
    with (
        closing(Reader(held.url)) as reader,
        closing(sqlite3.connect(f"file:{held.path}?mode=ro", uri=True)) as plain,
    ):
        values = _values(held, times)
        by_key = _by_key(plain, held.alerts, times)
        pages, seen, scoped = [], [], []
        with reader.reading() as connection:
            for kind, value in values:
                for spent, ask in (
                    (pages, lambda: pivot(connection, kind, value, limit=PAGE)),  # noqa: B023  (called at once)
                    (scoped, lambda: pivot(connection, kind, value, scope="gold", limit=PAGE)),  # noqa: B023
                    (seen, lambda: prevalence(connection, kind, value)),  # noqa: B023
                ):
                    if not ask() and spent is pages:
                        raise AssertionError(f"no alert speaks of the {kind} {value}")
                    start = time.perf_counter()
                    ask()
                    spent.append((time.perf_counter() - start) * 1000)
    key = percentile(by_key, 95)
    yield Figure("pivot", f"{len(values)} values, p95 / primary key", percentile(pages, 95), key, 100, "ms")
    yield Figure("pivot", "the slowest page", max(pages), key, SECOND, "ms", absolute=True)
    yield Figure(
        "pivot",
        f"below a node of {fixture.GOLD:,}, the slowest page",
        max(scoped),
        key,
        SECOND,
        "ms",
        absolute=True,
    )
    yield Figure("pivot", "the slowest prevalence", max(seen), key, SECOND, "ms", absolute=True)


def _values(held: fixture.Held, count: int) -> list[tuple[str, str]]:
    """One value of each of so many alerts, the kinds in turn; and the most common one of each kind."""
    chance = random.Random(3)
    found: list[tuple[str, str]] = []
    how_often: dict[tuple[str, str], int] = {}
    for number in fixture.sample(count * 8, held.alerts, seed=3):
        record = fixture.json.loads(fixture.raw(number, held.now))
        mine = [(kind, str(value)) for kind, value in observables(record) if kind in KINDS]
        for each in mine:
            how_often[each] = how_often.get(each, 0) + 1
        wanted = KINDS[len(found) % len(KINDS)]
        fitting = [each for each in mine if each[0] == wanted]
        if fitting and len(found) < count:
            found.append(chance.choice(fitting))
    common = [
        max((each for each in how_often if each[0] == kind), key=how_often.__getitem__) for kind in KINDS
    ]
    return found + common


def _by_key(plain: sqlite3.Connection, alerts: int, times: int) -> list[float]:
    """The row of an alert by its id, with nothing around it."""
    spent = []
    for number in fixture.sample(times * 4, alerts, seed=4):
        for counted in (False, True):
            start = time.perf_counter()
            plain.execute("SELECT * FROM detection WHERE id = ?", (number + 1,)).fetchone()
            if counted:
                spent.append((time.perf_counter() - start) * 1000)
    return spent
