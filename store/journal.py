"""The append-only record of everything the console changed; each entry seals the one before it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from store.bodies import storable
from store.configuration import canonical
from store.models import Journal
from store.times import now_ms

FIRST = "0" * 64
"""What the first entry has for the hash before it."""

_JOURNAL: Table = Journal.__table__  # type: ignore[attr-defined]


def append(
    connection: Connection,
    actor: str,
    action: str,
    oid: str = "",
    target: str = "",
    detail: Mapping[str, Any] | None = None,
    *,
    now: int | None = None,
) -> int:
    """Write one entry; answers its number.

    Args:
        connection: of `Store.writing()`, which lets one write at a time, so that two entries never follow
            the same one.
        actor: who ran the console.
        action: `tree.import`, `auth.login`, ...
        oid: the organization; "" for none.
        target: on what, in words.
        detail: what was before and after, JSON data; never a secret.
        now: milliseconds, UTC; the clock when None.
    """
    last = connection.execute(
        select(_JOURNAL.c.seq, _JOURNAL.c.hash).order_by(_JOURNAL.c.seq.desc()).limit(1)
    ).one_or_none()
    previous = last.hash if last else FIRST
    entry: dict[str, Any] = {
        "seq": last.seq + 1 if last else 1,
        "time": now_ms() if now is None else now,
        "actor": storable(actor),
        "action": storable(action),
        "oid": storable(oid),
        "target": storable(target),
        # The chain is checked over what comes out of the database again.
        "detail": json.loads(canonical(dict(detail or {}))),
    }
    connection.execute(insert(_JOURNAL).values(**entry, previous=previous, hash=_seal(previous, entry)))
    return int(entry["seq"])


def verify(connection: Connection) -> int | None:
    """The number of the first entry that does not follow from the one before it; None when all do."""
    previous, seq = FIRST, 0
    rows = connection.execution_options(yield_per=1000).execute(select(_JOURNAL).order_by(_JOURNAL.c.seq))
    for row in rows:
        entry = {
            "seq": row.seq, "time": row.time, "actor": row.actor, "action": row.action, "oid": row.oid,
            "target": row.target, "detail": row.detail,
        }  # fmt: skip
        if row.seq != seq + 1 or row.previous != previous or row.hash != _seal(previous, entry):
            rows.close()
            return int(row.seq)
        previous, seq = row.hash, row.seq
    return None


def _seal(previous: str, entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(previous.encode() + canonical(dict(entry))).hexdigest()
