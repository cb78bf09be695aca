"""A store with a million alerts (ten by `SCALE=10m`), built once by bulk load and kept between runs.

Ten thousand organizations, a few of which have most of the alerts; one node of the tree holds 2,500 of them.
Every alert has a detection of its own, made from its number (`raw`) and read by `store.ingest` as if it came
from the cloud; only the JSON itself is left out, one small body stands for all. `benchmarks.agreement` and a
test hold what is built here against what real ingest writes.
"""

import json
import os
import random
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.kept import kept
from store import changes, folds, ingest, sla, textindex, tree
from store.bodies import pack
from store.models.columns import compact

ORGANIZATIONS = 10_000
GOLD = 2_500
"""Organizations of the node `gold`: every fourth."""
SEED = 20_261_124
BATCH = 10_000

RULES: tuple[tuple[str, str, str, int], ...] = tuple(
    (f"{what} {how}", f"general.{what.lower().replace(' ', '-')}-{how.replace(' ', '-')}", kind, weight)
    for number, (what, kind) in enumerate(
        (
            ("Encoded PowerShell", "NEW_PROCESS"), ("Office child process", "NEW_PROCESS"), ("Scanner touched LSASS", "NEW_PROCESS"),
            ("Scheduled task", "NEW_PROCESS"), ("Remote access tool", "NEW_PROCESS"), ("Unsigned driver", "NEW_PROCESS"),
            ("Listed domain", "DNS_REQUEST"), ("Rare domain", "DNS_REQUEST"), ("Failed sign-ins", "WEL"),
            ("Impossible travel", "UserLoggedIn"), ("Inbox rule", "New-InboxRule"), ("File changed", "FIM_HIT"),
            ("Beacon", "NETWORK_CONNECTIONS"),
        )
    )
    for at, (how, weight) in enumerate((("seen", 30), ("from a temp path", 12), ("by a service", 5), ("at night", 2)))
    if (number + at) % 5
)  # fmt: skip
"""Category, rule, type of the event, weight."""

PROGRAMS = tuple(
    f"C:\\{place}\\{name}.exe"
    for place in ("Windows\\System32", "Program Files\\Agent", "Users\\Public", "ProgramData\\Updater")
    for name in (
        "powershell",
        "cmd",
        "rundll32",
        "schtasks",
        "agent",
        "setup",
        "helper",
        "svchost",
        "updater",
        "scan",
    )
)


def alerts() -> int:
    """How many, by SCALE: `1m` unless it says otherwise."""
    scale = os.environ.get("SCALE", "1m").lower()
    units = {"k": 1_000, "m": 1_000_000}
    if scale[-1:] not in units or not scale[:-1].isdigit():
        raise SystemExit(f"SCALE={scale} means nothing; use 1m, 10m, or for a trial 100k.")
    return int(scale[:-1]) * units[scale[-1]]


@dataclass(frozen=True)
class Held:
    """The fixture, and what is needed to make its alerts again."""

    path: Path
    alerts: int
    now: int
    """When it was built (ms); every alert is of the 30 days before."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"sqlite:///{self.path}"


def held(count: int) -> Held:
    """The fixture with so many alerts, made if it is not there yet (some minutes for a million)."""
    sample = [ingest.detection_from(raw(number, 0), oid_of(number)) for number in range(40)]
    derived = [(each.tokens, sorted((each.values or {}).items()), each.cat, each.sid) for each in sample]
    path, now = kept(f"alerts-{count}", derived, lambda path: build(path, count))
    return Held(path, count, int(now))


# The world


def oids() -> list[str]:
    """Of all organizations, by number."""
    return [_uuid("organization", number) for number in range(ORGANIZATIONS)]


@lru_cache(maxsize=100_000)
def _uuid(what: str, *numbers: int) -> str:
    return str(uuid.UUID(int=random.Random(f"{SEED} {what} {numbers}").getrandbits(128), version=4))


@lru_cache(maxsize=1_000)
def _owner(number: int) -> int:
    """Whose alert it is: a third of all are of the first organization, and all have some."""
    chance = random.Random(f"{SEED} owner {number}")
    return (int(chance.paretovariate(0.6)) - 1) % ORGANIZATIONS


_OIDS: list[str] = []


def oid_of(number: int) -> str:
    """The organization of an alert."""
    if not _OIDS:
        _OIDS.extend(oids())
    return _OIDS[_owner(number)]


def raw(number: int, now: int) -> bytes:
    """The detection of an alert, as the cloud would answer it."""
    chance = random.Random(SEED * 1_000_003 + number)
    owner = _owner(number)
    oid = oid_of(number)
    cat, rule, kind, _ = chance.choices(RULES, _WEIGHTS)[0]
    machine = min(int(chance.expovariate(1) * 9), 60) if owner > 200 else chance.randrange(400)
    hostname = f"c{owner:04}-ws{machine:03}"
    user = f"C{owner:04}\\user{machine % 97:02}"
    made = now - chance.randrange(30 * 86_400_000)
    # Most are the same few tools over and over; an eighth is like nothing else.
    common = chance.random() < 0.88
    tool = (int(chance.paretovariate(0.7)) - 1) % 3_000 if common else chance.getrandbits(48)
    program = PROGRAMS[tool % len(PROGRAMS)]
    digest = f"{tool:012x}".rjust(64, "a")
    command = f"{program} -run {tool}"
    place = (int(chance.paretovariate(0.7)) - 1) % 4_000
    address = f"198.51.{place // 250}.{place % 250 + 1}"
    domain = f"n{tool % 9_973:04}.{'cdn' if common else 'evil'}.example"
    data: dict[str, Any] = {}
    event: dict[str, Any]
    if kind == "NEW_PROCESS":
        event = {
            "FILE_PATH": program, "COMMAND_LINE": command, "USER_NAME": user, "HASH": digest, "PROCESS_ID": machine + 900,
            "PARENT": {"FILE_PATH": PROGRAMS[number % 7], "PROCESS_ID": 7},
        }  # fmt: skip
    elif kind == "DNS_REQUEST":
        event = {"DOMAIN_NAME": domain, "IP_ADDRESS": address, "DNS_TYPE": 1, "PROCESS_ID": 9}
        data = {"domain": domain, "ip": address}
    elif kind == "WEL":
        event = {
            "EVENT": {"System": {"EventID": "4625", "Computer": hostname}, "EventData": {"TargetUserName": user, "IpAddress": address}}
        }  # fmt: skip
    elif kind == "FIM_HIT":
        event = {
            "FILE_PATH": f"/etc/cron.d/job{tool % 997}",
            "PROCESS": {"FILE_PATH": "/usr/bin/cp"},
        }
    elif kind == "NETWORK_CONNECTIONS":
        ends = {
            "SOURCE": {"IP_ADDRESS": f"10.{owner % 250}.0.{machine % 250}"},
            "DESTINATION": {"IP_ADDRESS": address, "PORT": 443},
        }
        event = {"NETWORK_ACTIVITY": [ends], "FILE_PATH": program, "HASH": digest, "USER_NAME": user}
    else:
        event = {
            "Operation": kind,
            "UserId": f"user{machine}@c{owner:04}.example",
            "ClientIP": address,
            "Workload": "Exchange",
        }
    routing = {
        "oid": oid, "sid": _uuid("sensor", owner, machine), "hostname": hostname, "event_type": kind, "event_time": made - 900,
        "ext_ip": f"203.0.113.{owner % 250}", "int_ip": f"10.{owner % 250}.0.{machine % 250}", "plat": 268435456,
    }  # fmt: skip
    record = {
        "detect_id": _uuid("detection", number), "cat": cat, "source_rule": rule, "routing": routing, "gen_time": made,
        "detect": {"event": event, "routing": {"oid": oid, "event_type": kind}}, "detect_data": data, "detect_mtd":
        {"level": chance.choices(("info", "low", "medium", "high", "critical"), (10, 40, 35, 13, 2))[0]},
    }  # fmt: skip
    return json.dumps(record, separators=(",", ":")).encode()


_WEIGHTS = [weight for *_, weight in RULES]


def state(number: int, moment: int) -> tuple[int, int, str, int | None, int | None]:
    """How far the work on an alert is: status, classification, assignee, acknowledged, resolved."""
    chance = random.Random(f"{SEED} state {number}")
    who = chance.choice(("dana", "lee", "mk", "sam"))
    acknowledged = moment + chance.randrange(60_000, 3_600_000)
    if chance.random() < 0.28:
        return (1, 0, who, acknowledged, None) if chance.random() < 0.15 else (0, 0, "", None, None)
    return (
        3,
        chance.choices((0, 1, 2), (20, 12, 68))[0],
        who,
        acknowledged,
        acknowledged + chance.randrange(7_200_000),
    )


# Building


def build(path: Path, count: int) -> int:
    """Make the store file; answers the time from which the alerts count back."""
    from store.database import Store

    now = time.time_ns() // 1_000_000
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(Store(f"sqlite:///{path}")) as store:
        _organizations(store, now)
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("synchronous=OFF", "journal_mode=WAL", "cache_size=-400000", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type='index' AND tbl_name='detection' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    body = pack(
        json.dumps(
            {"cat": RULES[0][0], "detect": {"event": {"COMMAND_LINE": "powershell.exe -nop"}}}
        ).encode()
    )
    folded: dict[tuple[str, int], int] = {}
    named: dict[int, tuple[str, str, str]] = {}
    counts: dict[tuple[str, int, int], int] = {}
    labels: set[tuple[int, str]] = set()
    for first in range(0, count, BATCH):
        connection.execute("BEGIN")
        rows, words = [], []
        for number in range(first, min(count, first + BATCH)):
            oid = oid_of(number)
            row, tokens, identity = derived(number, now, oid)
            fold = folded.setdefault((oid, identity.key), len(folded) + 1)
            named.setdefault(identity.key, (identity.cat, identity.rule, json.dumps(identity.salient)))
            counts[oid, row["severity"], row["status"]] = (
                counts.get((oid, row["severity"], row["status"]), 0) + 1
            )
            labels.update(enumerate((row["cat"], row["rule"], row["hostname"])))
            row |= {
                "id": number + 1,
                "fold_id": fold,
                "detect_id": compact(row["detect_id"]),
                "sid": compact(row["sid"]),
            }
            rows.append(tuple(row.values()))
            words.append((number + 1, f"{tokens} {textindex.label_token('oid', oid)}"))
            names = list(row)
        connection.executemany(
            f"INSERT INTO detection ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", rows
        )
        connection.executemany("INSERT INTO detection_text (rowid, tokens) VALUES (?, ?)", words)
        connection.executemany(
            "INSERT INTO detection_body VALUES (?, ?)", [(number, body) for number, _ in words]
        )
        connection.execute("COMMIT")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO alert_label VALUES (?, ?)", sorted(labels))
    connection.executemany(
        "INSERT INTO detection_count VALUES (?, ?, ?, ?)", [(*key, many) for key, many in counts.items()]
    )
    _bare(
        connection,
        "fold",
        [
            {"id": number, "oid": oid, "storm": key, "cat": named[key][0], "rule": named[key][1]}
            for (oid, key), number in folded.items()
        ],
    )
    _bare(
        connection,
        "storm",
        [
            {"key": key, "cat": cat, "rule": rule, "salient": salient}
            for key, (cat, rule, salient) in named.items()
        ],
    )
    for _, sql in indexes:
        connection.execute(sql)
    connection.execute("COMMIT")
    connection.close()
    with closing(Store(f"sqlite:///{path}")) as store:
        after: int | None = 0
        while after is not None:
            with store.writing() as c:
                after = folds.recount_next(c, after)
        _common(store)
        with store.writing() as c:
            changes.number(c)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ANALYZE")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return now


def derived(number: int, now: int, oid: str) -> tuple[dict[str, Any], str, folds.Identity]:
    """The row of an alert but for its numbers, its tokens, and what it is folded by."""
    new = ingest.detection_from(raw(number, now), oid)
    status, classification, assignee, acknowledged, resolved = state(number, new.time)
    row = {
        "oid": oid, "detect_id": new.detect_id, "severity": new.severity, "rank": new.severity, "time": new.time, "cat": new.cat,
        "rule": new.rule, "hostname": new.hostname, "sid": new.sid, "event_type": new.event_type, "priority": new.priority,
        "damaged": new.damaged, "status": status, "classification": classification, "assignee": assignee, "version": 0 if status == 0 else 1,
        "tags": "", "acknowledged_at": acknowledged, "resolved_at": resolved, "snoozed_until": None,
        "due_at": sla.DEFAULT.due_at(new.severity, status, new.time),
    }  # fmt: skip
    return row, new.tokens or "", folds.identity_of(new.values or {}, new.rule, new.cat, folds.DEFAULT)


def _organizations(store: Any, now: int) -> None:
    made = oids()
    with store.writing() as c:
        ingest.put_organizations(
            c,
            [
                {"oid": oid, "name": f"Customer {number:04}", "region": "eu"}
                for number, oid in enumerate(made)
            ],
            complete=True,
            now=now,
        )
        nodes = [
            tree.TreeNode("root", None, "Provider"),
            tree.TreeNode("gold", "root", "Gold"),
            tree.TreeNode("silver", "root", "Silver"),
        ]
        nodes += [
            tree.TreeNode(
                f"c{number}",
                "silver" if number % (ORGANIZATIONS // GOLD) else "gold",
                f"Customer {number:04}",
                oid,
            )
            for number, oid in enumerate(made)
        ]
        tree.replace_tree(c, nodes)
        for oid in made:
            ingest.put_sync_state(c, oid, "detections", checked_at=now, attempted_at=now)


def _bare(connection: sqlite3.Connection, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Rows whose sums `folds.recount` fills in."""
    empty: dict[str, Any] = {}
    for _, name, kind, needed, default, key in connection.execute(f"PRAGMA table_info({table})"):
        if needed and default is None and not key:
            empty[name] = "{}" if kind == "JSON" else "" if kind == "VARCHAR" else 0
    filled = [empty | row for row in rows]
    names = list(filled[0])
    connection.executemany(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        [tuple(row[name] for name in names) for row in filled],
    )


def _common(store: Any) -> None:
    """Have the values counted as they come that ingest would have found to be common."""
    shared: dict[str, int] = {}
    for number in range(5_000):
        new = ingest.detection_from(raw(number, 0), oid_of(number))
        for token in (new.tokens or "").split(" "):
            if token.startswith("_"):
                shared[token] = shared.get(token, 0) + 1
    for token, many in shared.items():
        if many >= 50:
            with store.writing() as c:
                textindex.watch(c, token)


def sample(count: int, of: int, seed: int = 1) -> Iterator[int]:
    """Numbers of alerts, at random, each once."""
    yield from random.Random(seed).sample(range(of), min(count, of))
