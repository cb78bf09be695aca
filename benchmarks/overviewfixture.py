"""A store with organizations that have a hundred alerts each, built once by bulk load and kept between runs.

A few organizations have most of the alerts: the largest a third. Each has sensors, keys and cases, and stands
in a tree of regions and tiers. A detection has its row and its counter, not its bytes: nothing here reads them.
"""

import json
import random
import sqlite3
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kept import kept
from store import ingest, tree

ALERTS = 100
"""Of each organization, in the mean."""
SENSORS = 20
KEYS = 3
CASES = 4
REGIONS = ("Europe", "Americas", "Asia", "Africa")
TIERS = ("Gold", "Silver", "Bronze", "Trial", "Internal")
SEED = 20_261_128
HOUR = 3_600_000
DAY = 24 * HOUR
VERSION = 1
"""Of what is built here: one more whenever it changes."""


@dataclass(frozen=True)
class Held:
    """The fixture."""

    path: Path
    organizations: int
    now: int
    """When it was built (ms): what is fresh is so at that time."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"sqlite:///{self.path}"


def held(organizations: int) -> Held:
    """The fixture with so many organizations, made if it is not there yet (a minute for ten thousand)."""
    of = (VERSION, ALERTS, SENSORS, KEYS, CASES, SEED)
    path, now = kept(f"overview-{organizations}", of, lambda path: build(path, organizations))
    return Held(path, organizations, int(now))


def oid_of(number: int) -> str:
    """An organization's id."""
    return f"{number:08x}-0000-4000-8000-{number * 2_654_435_761 % 2**48:012x}"


def build(path: Path, organizations: int) -> int:
    """Make the store file; answers the time from which everything counts back."""
    from store.database import Store

    now = time.time_ns() // 1_000_000
    with closing(Store(f"sqlite:///{path}")) as store, store.writing() as c:
        _organizations(c, organizations, now)
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("synchronous=OFF", "journal_mode=WAL", "cache_size=-400000", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type='index' AND tbl_name='detection' AND sql IS NOT NULL"
    ).fetchall()
    connection.execute("BEGIN")
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    counts: dict[tuple[str, int, int], int] = {}
    _insert(connection, "detection", _alerts(organizations, now, counts))
    _insert(
        connection,
        "detection_count",
        (
            {"oid": oid, "severity": severity, "status": status, "count": count}
            for (oid, severity, status), count in counts.items()
        ),
    )
    for table, rows in (("sensor", _sensors), ("api_key", _keys), ("case_record", _cases)):
        _insert(connection, table, rows(organizations, now))
    for _, sql in indexes:
        connection.execute(sql)
    connection.execute("UPDATE organization_change SET seq = 1")
    connection.execute("COMMIT")
    connection.execute("ANALYZE")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return now


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[dict[str, Any]]) -> None:
    """Rows, with something empty in each column that has to have something and is not named."""
    empty: dict[str, Any] = {}
    for _, name, kind, needed, default, _ in connection.execute(f"PRAGMA table_info({table})"):
        if needed and default is None:
            text = {"JSON": "{}", "VARCHAR": "", "BLOB": b""}
            empty[name] = next((value for word, value in text.items() if word in kind), 0)
    batch: list[Sequence[Any]] = []
    sql = ""
    for row in rows:
        filled = {name: value for name, value in empty.items() if name != "id"} | row
        if not sql:
            names = list(filled)
            marks = ", ".join("?" * len(names))
            sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"
        batch.append(list(filled.values()))
        if len(batch) == 10_000:
            connection.executemany(sql, batch)
            batch = []
    if batch:
        connection.executemany(sql, batch)


def _organizations(c: Any, organizations: int, now: int) -> None:
    ingest.put_organizations(
        c,
        [
            {"oid": oid_of(number), "name": f"Customer {number:05}", "region": "eu", "sensor_quota": 30}
            for number in range(organizations)
        ],
        complete=True,
        now=now,
    )
    nodes = [tree.TreeNode("root", None, "Provider")]
    for region in REGIONS:
        nodes.append(tree.TreeNode(region, "root", region))
        nodes += [tree.TreeNode(f"{region}-{tier}", region, tier) for tier in TIERS]
    chance = random.Random(SEED)
    for number in range(organizations):
        above = f"{chance.choice(REGIONS)}-{chance.choice(TIERS)}"
        nodes.append(tree.TreeNode(f"c{number}", above, f"Customer {number:05}", oid_of(number)))
    tree.replace_tree(c, nodes)
    for number in range(organizations):
        failed = number % 97 == 5
        ingest.put_sync_state(
            c, oid_of(number), "detections", checked_at=now - number % 600_000, attempted_at=now,
            failure="denied" if failed else "", reason="The key may not read detections." if failed else "",
        )  # fmt: skip
        if number % 53 == 7:
            ingest.put_errors(c, oid_of(number), [{"component": "outputs/siem", "error": "refused"}])
        ingest.put_organization_facts(c, oid_of(number), quota=30, quota_used=float(10 + number % 21))


def _alerts(
    organizations: int, now: int, counts: dict[tuple[str, int, int], int]
) -> Iterable[dict[str, Any]]:
    chance = random.Random(SEED + 1)
    words = ("dana", "lee", "mk", "sam")
    for number in range(organizations * ALERTS):
        owner = (int(chance.paretovariate(0.6)) - 1) % organizations
        severity = chance.choices((0, 1, 2, 3, 4), (10, 40, 35, 13, 2))[0]
        is_open = chance.random() < 0.28
        moment = now - chance.randrange(30 * DAY)
        status = (1 if chance.random() < 0.15 else 0) if is_open else 3
        oid = oid_of(owner)
        counts[oid, severity, status] = counts.get((oid, severity, status), 0) + 1
        yield {
            "oid": oid, "detect_id": uuid.UUID(int=chance.getrandbits(128), version=4).bytes,
            "severity": severity, "rank": severity, "time": moment, "cat": f"Rule {number % 60}",
            "rule": f"general.rule-{number % 60}", "hostname": f"c{owner:05}-ws{number % 50:02}",
            "event_type": "NEW_PROCESS", "status": status, "assignee": chance.choice(words) if status else "",
            # Most targets lie ahead: a provider whose every alert is late has no use for a console.
            "due_at": now + chance.randrange(-2 * HOUR, 20 * DAY) if is_open else None,
        }  # fmt: skip


def _sensors(organizations: int, now: int) -> Iterable[dict[str, Any]]:
    chance = random.Random(SEED + 2)
    for number in range(organizations):
        for machine in range(SENSORS):
            yield {
                "oid": oid_of(number), "sid": uuid.UUID(int=chance.getrandbits(128), version=4).bytes,
                "hostname": f"c{number:05}-ws{machine:02}", "platform": 268435456, "tags": "[]",
                "alive": now - chance.randrange(9 * DAY),
            }  # fmt: skip


def _keys(organizations: int, now: int) -> Iterable[dict[str, Any]]:
    chance = random.Random(SEED + 3)
    for number in range(organizations):
        for key in range(KEYS):
            yield {
                "oid": oid_of(number), "key_hash": f"{key}", "name": f"key-{key}", "permissions": "[]",
                "last_used": now - chance.randrange(120 * DAY), "first_seen": now,
            }  # fmt: skip


def _cases(organizations: int, now: int) -> Iterable[dict[str, Any]]:
    chance = random.Random(SEED + 4)
    for number in range(organizations):
        for case in range(CASES):
            yield {
                "oid": oid_of(number), "case_number": case + 1, "status": chance.choice((0, 1, 3)),
                "severity": 2, "created_at": now - chance.randrange(9 * DAY), "body": b"", "case_id": json.dumps(case),
            }  # fmt: skip
