"""A store with a million alerts, built once by bulk load and kept between runs."""

import json
import os
import random
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from store.schema import REVISIONS

ORGANIZATIONS = 1_000
RULES = (
    "Encoded PowerShell download", "Impossible travel sign-in", "SSH authorized_keys changed",
    "Scanner touched LSASS", "New local administrator", "Office spawned a shell", "Rare parent for rundll32",
    "Mailbox forwarding rule", "Scheduled task from a temp path", "Unsigned driver loaded",
)  # fmt: skip


def store_of(alerts: int) -> Path:
    """The store file with so many alerts, made if it is not there yet (about a minute for a million)."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "limegrove" / "benchmarks"
    home = base / f"alerts-{alerts}-{REVISIONS[-1]}"
    path = home / "default" / "store.db"
    os.umask(0o077)  # the console refuses a workspace that others can read
    if not (home / "made").exists():
        path.unlink(missing_ok=True)
        _build(path, alerts)
        (home / "made").touch()
    return path


def _build(path: Path, alerts: int) -> None:
    from store.bodies import pack
    from store.database import Store

    Store(f"sqlite:///{path}").close()
    now = time.time_ns() // 1_000_000
    chance = random.Random(20_261_124)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type='index' AND tbl_name='detection' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    connection.execute("BEGIN")
    oids = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(ORGANIZATIONS)]
    connection.executemany(
        "INSERT INTO organization (oid, name, region, status, details, first_seen) VALUES (?, ?, 'eu', '', '{}', ?)",
        [(oid, f"Customer {number:04}", now) for number, oid in enumerate(oids)],
    )
    connection.execute(
        "INSERT INTO node (id, parent_id, name, oid, labels, parameters, marks, first, last, depth, path)"
        " VALUES ('root', NULL, 'Provider', NULL, '{}', '{}', '[]', 0, ?, 0, '')",
        (ORGANIZATIONS,),
    )
    connection.executemany(
        "INSERT INTO node (id, parent_id, name, oid, labels, parameters, marks, first, last, depth, path)"
        " VALUES (?, 'root', ?, ?, '{}', '{}', '[]', ?, ?, 1, ?)",
        [
            (f"c{number}", f"Customer {number:04}", oid, number + 1, number + 1, f"Customer {number:04}")
            for number, oid in enumerate(oids)
        ],
    )
    connection.executemany(
        "INSERT INTO sync_state (oid, subject, cursor, fingerprint, checked_at, attempted_at, failure, reason)"
        " VALUES (?, 'detections', '', '', ?, ?, '', '')",
        [(oid, now, now) for oid in oids],
    )
    counts: dict[tuple[str, int, int], int] = {}

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(alerts):
            oid = oids[min(int(chance.paretovariate(1.2)) - 1, ORGANIZATIONS - 1)]
            severity = chance.choices((0, 1, 2, 3, 4), (10, 40, 35, 13, 2))[0]
            status = 0 if chance.random() < 0.28 else 3
            counts[oid, severity, status] = counts.get((oid, severity, status), 0) + 1
            yield (
                number + 1, oid, str(uuid.UUID(int=chance.getrandbits(128), version=4)), severity,
                now - chance.randrange(30 * 86_400_000), chance.choice(RULES), "general.rule",
                f"host-{chance.randrange(4000)}", str(uuid.UUID(int=chance.getrandbits(128), version=4)),
                "NEW_PROCESS", 5, status, 0, "", 0, 0,
            )  # fmt: skip

    connection.executemany(
        "INSERT INTO detection (id, oid, detect_id, severity, time, cat, rule, hostname, sid, event_type, priority,"
        " status, classification, assignee, damaged, version) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        rows(),
    )
    connection.executemany(
        "INSERT INTO detection_count (oid, severity, status, count) VALUES (?, ?, ?, ?)",
        [(*key, count) for key, count in counts.items()],
    )
    body = pack(
        json.dumps({"cat": RULES[0], "detect": {"event": {"COMMAND_LINE": "powershell.exe -nop"}}}).encode()
    )
    connection.execute("INSERT INTO detection_body SELECT id, ? FROM detection", (body,))
    for _, sql in indexes:
        connection.execute(sql)
    connection.execute("COMMIT")
    connection.execute("ANALYZE")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
