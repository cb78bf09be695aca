"""The permission matrix of ten thousand organizations, against the same by SQL joins.

The joins run over tables made for them (`accessfixture.JOINS`): numbers for names, a row for each permission,
covering indexes both ways. The whole closure by joins would take minutes, so it is done for a seeded sample of
organizations and scaled up; the duplicates of more rows at once would only cost it more.
"""

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from benchmarks import accessfixture
from benchmarks.figure import Figure, median, percentile
from console.process import settle_memory
from store.accesschanges import AccessChange
from store.closure import World, effect
from store.database import Reader
from store.queries import matrix

SAMPLE = 200
"""Organizations of which the closure is worked out by joins."""

TIMES_FASTER = 20
STEP = 100.0
"""Milliseconds that an interactive step may take."""
LOAD = 300.0
PAST = 2.0
"""Times as long as now."""
MEGABYTES = 60.0
"""That a world may take."""
GROWTH = 25.0
"""Megabytes that asking it everything may add."""

HERE = """
SELECT person, permission FROM direct WHERE org = ?1
UNION
SELECT member.person, gives.permission FROM holds JOIN member USING (grp) JOIN gives USING (grp) WHERE holds.org = ?1
"""
EVERYWHERE = """
SELECT org, permission FROM direct WHERE person = ?1
UNION
SELECT holds.org, gives.permission FROM member JOIN holds USING (grp) JOIN gives USING (grp) WHERE member.person = ?1
"""
WITH_PERMISSION = """
SELECT person, count(*) FROM (
    SELECT person, org FROM direct WHERE permission = ?1
    UNION
    SELECT member.person, holds.org FROM gives JOIN member USING (grp) JOIN holds USING (grp) WHERE gives.permission = ?1
) GROUP BY person
"""
GAINED = """
SELECT count(*) FROM member JOIN holds USING (grp) WHERE grp = ?1
AND NOT EXISTS (SELECT 1 FROM direct d WHERE d.permission = ?2 AND d.person = member.person AND d.org = holds.org)
AND NOT EXISTS (
    SELECT 1 FROM member m JOIN gives g ON g.grp = m.grp AND g.permission = ?2 JOIN holds h ON h.grp = m.grp AND h.org = holds.org
    WHERE m.person = member.person
)
"""
CLOSURE = """
SELECT count(*) FROM (
    SELECT org, person, permission FROM direct WHERE org IN (SELECT org FROM sample)
    UNION
    SELECT holds.org, member.person, gives.permission FROM sample JOIN holds USING (org) JOIN member USING (grp) JOIN gives USING (grp)
)
"""


def figures(runs: int) -> Iterator[Figure]:
    """p95 of each interactive step, both ways in turn; then reading, the whole closure, and memory."""
    held = accessfixture.held()
    settle_memory()  # as the console does once it is imported
    times = max(30, runs * 10)
    joins = sqlite3.connect(f"file:{held.joins}?mode=ro", uri=True)
    joins.execute("PRAGMA mmap_size=268435456")
    joins.execute("PRAGMA temp_store=MEMORY")
    with closing(Reader(held.url)) as reader, closing(joins), reader.reading() as connection:
        world = World.load(connection)
        for name, step in (
            ("one organization opened", _organization), ("turned to one principal", _principal),
            ("turned to one permission", _permission), ("what if, one permission of a group", _what_if),
            ("what if, one organization into a group", _what_if_held),
        ):  # fmt: skip
            chance = random.Random(7)
            ours: list[float] = []
            other: list[float] = []
            for number in range(times):
                asked = step(connection, world, joins, chance)
                if number == 0:
                    asked = step(connection, world, joins, random.Random(8))
                mine, theirs = _timed(asked[0], ours), _timed(asked[1], other)
                if mine != theirs:
                    raise AssertionError(f"{name}: {mine} here, {theirs} by joins")
            yield Figure(
                "matrix",
                f"{name}, p95",
                percentile(ours, 95),
                percentile(other, 95),
                STEP,
                "ms",
                absolute=True,
            )
        yield from _whole(connection, world, joins, max(3, runs // 3))
    yield from _memory()


Step = tuple[Callable[[], Any], Callable[[], Any]]
"""The same asked both ways; what they answer has to be equal."""


def _timed(ask: Callable[[], Any], spent: list[float]) -> Any:
    start = time.perf_counter()
    answer = ask()
    spent.append((time.perf_counter() - start) * 1000)
    return answer


def _number(joins: sqlite3.Connection, table: str, column: str, name: str) -> int:
    return int(joins.execute(f"SELECT id FROM {table} WHERE {column} = ?", (name,)).fetchone()[0])


def _organization(
    connection: Connection, _world: World, joins: sqlite3.Connection, chance: random.Random
) -> Step:
    """Nothing was read before: what it takes when the screen opens."""
    oid = accessfixture.oid_of(chance.randrange(accessfixture.ORGANIZATIONS))
    number = _number(joins, "organization", "oid", oid)

    def ours() -> int:
        found = matrix.pivot_organization(connection, oid)
        return sum(line.held for line in found.lines if line.kind == "user") if found else 0

    return ours, lambda: len(joins.execute(HERE, (number,)).fetchall())


def _principal(
    connection: Connection, world: World, joins: sqlite3.Connection, chance: random.Random
) -> Step:
    email = accessfixture.email_of(chance.randrange(accessfixture.PRINCIPALS))
    number = _number(joins, "person", "email", email)

    def ours() -> int:
        found = matrix.pivot_principal(connection, email, world=world)
        return sum(line.held for line in found.lines) if found else 0

    return ours, lambda: len(joins.execute(EVERYWHERE, (number,)).fetchall())


def _permission(
    connection: Connection, world: World, joins: sqlite3.Connection, chance: random.Random
) -> Step:
    name = chance.choice(accessfixture.permissions())
    number = _number(joins, "permission", "name", name)

    def ours() -> list[int]:
        found = matrix.pivot_permission(connection, name, world=world)
        return sorted(line.held for line in found.lines if line.kind == "user")

    return ours, lambda: sorted(row[1] for row in joins.execute(WITH_PERMISSION, (number,)))


def _what_if(_connection: Connection, world: World, joins: sqlite3.Connection, chance: random.Random) -> Step:
    gid = accessfixture.gid_of(chance.randrange(accessfixture.GROUPS))
    name = chance.choice(accessfixture.permissions())
    keys = (_number(joins, "grp", "gid", gid), _number(joins, "permission", "name", name))
    change = AccessChange("add_group_permission", gid=gid, permission=name)
    return lambda: _gained(world, change), lambda: joins.execute(GAINED, keys).fetchone()[0]


def _what_if_held(
    _connection: Connection, world: World, joins: sqlite3.Connection, chance: random.Random
) -> Step:
    gid = accessfixture.gid_of(chance.randrange(accessfixture.GROUPS))
    oid = accessfixture.oid_of(chance.randrange(accessfixture.ORGANIZATIONS))
    keys = (_number(joins, "grp", "gid", gid), _number(joins, "organization", "oid", oid))
    change = AccessChange("add_org", gid=gid, oid=oid)
    sql = f"""
    SELECT count(*) FROM (
        SELECT member.person, gives.permission FROM member JOIN gives USING (grp) WHERE grp = ?1
        EXCEPT SELECT person, permission FROM ({HERE.replace("?1", "?2")})
    )
    """
    return lambda: _gained(world, change), lambda: joins.execute(sql, keys).fetchone()[0]


def _gained(world: World, change: AccessChange) -> int:
    """With a world that nobody asked anything yet, as it is after each sync."""
    fresh = world.changed([])
    return effect(fresh, fresh.changed([change]), [change]).gained.count


def _whole(connection: Connection, world: World, joins: sqlite3.Connection, times: int) -> Iterator[Figure]:
    people = world.people
    sample = random.Random(5).sample(range(accessfixture.ORGANIZATIONS), SAMPLE)
    oids = {accessfixture.oid_of(number) for number in sample}
    joins.execute("ATTACH ':memory:' AS scratch")
    joins.execute("CREATE TABLE scratch.sample (org INTEGER PRIMARY KEY)")
    joins.executemany(
        "INSERT INTO scratch.sample VALUES (?)",
        [(_number(joins, "organization", "oid", oid),) for oid in oids],
    )
    load, ours, other = [], [], []
    then = time.time_ns() // 1_000_000 - 200 * accessfixture.DAY
    past = []
    for _ in range(times):
        start = time.perf_counter()
        World.load(connection, at=then)
        past.append((time.perf_counter() - start) * 1000)
        start = time.perf_counter()
        read = World.load(connection)
        load.append((time.perf_counter() - start) * 1000)
        grants = sum(mask.bit_count() for _, _, mask in read.closure())
        ours.append((time.perf_counter() - start) * 1000)
        start = time.perf_counter()
        theirs = joins.execute(CLOSURE).fetchone()[0]
        other.append((time.perf_counter() - start) * 1000 * accessfixture.ORGANIZATIONS / SAMPLE)
    mine = sum(mask.bit_count() for who, oid, mask in world.closure() if oid in oids and who in people)
    if mine != theirs or not grants:
        raise AssertionError(f"the closure of the sample: {mine} here, {theirs} by joins")
    yield Figure("matrix", "everything read", median(load), median(other), LOAD, "ms", absolute=True)
    yield Figure("matrix", "everything read as of 200 days ago / now", median(past), median(load), PAST, "ms")
    yield Figure(
        "matrix", f"whole closure, read first / joins of {SAMPLE} scaled", median(ours), median(other),
        1 / TIMES_FASTER, "ms",
    )  # fmt: skip


def _memory() -> Iterator[Figure]:
    asked = subprocess.run(
        [sys.executable, "-c", "from benchmarks.matrix import remember; remember()"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    before, loaded, after = (float(word) for word in asked.stdout.split())
    yield Figure(
        "matrix",
        "memory of the world / of the program",
        loaded - before,
        before,
        MEGABYTES,
        "MB",
        absolute=True,
    )
    yield Figure(
        "matrix", "memory that asking everything adds", after - loaded, loaded, GROWTH, "MB", absolute=True
    )


def remember() -> None:
    """Print megabytes: before a world is read, after, and after everything was asked of it."""
    held = accessfixture.held()
    with closing(Reader(held.url)) as reader, reader.reading() as connection:
        matrix.pivot_organization(connection, accessfixture.oid_of(0))
        before = _megabytes()
        world = World.load(connection)
        loaded = _megabytes()
        for number in range(50):
            matrix.pivot_principal(connection, accessfixture.email_of(number), world=world)
            matrix.pivot_permission(connection, accessfixture.permissions()[number], world=world)
            gid = accessfixture.gid_of(number % accessfixture.GROUPS)
            change = AccessChange("add_group_permission", gid=gid, permission="user.ctrl")
            effect(world, world.changed([change]), [change])
        for _ in world.closure():
            pass
        print(before, loaded, _megabytes())


def _megabytes() -> float:
    """What this process has of its own; the pages of the store's file that are mapped belong to everybody."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1024
