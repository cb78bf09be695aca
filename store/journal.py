"""The append-only record of everything the console changed; each entry seals the one before it.

What an entry says of an organization that is forgotten is taken out of it, and nothing else of it: its
number, its time, who did what kind of thing and its seal stay. The seal cannot be computed again then, so the
entry that says that something was forgotten holds a digest of what is left of each, and is sealed itself: an
entry that no longer fits its seal is whole if, and only if, a later entry of `FORGETTING` accounts for it as
it stands.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Table, insert, select, update

from store.bodies import storable
from store.configuration import canonical
from store.models import Journal
from store.times import now_ms

FIRST = "0" * 64
"""What the first entry has for the hash before it."""

FORGETTING: Final = "org.forget"
"""The action of entries that account for what was taken out of others."""

FORGOTTEN: Final = "(forgotten)"
"""What stands where something was taken out."""

_AT_ONCE: Final = 500
"""Entries that one entry accounts for."""

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


def forget(
    connection: Connection,
    actor: str,
    rewrite: Callable[[Mapping[str, Any]], Mapping[str, Any] | None],
    condition: Any,
    detail: Mapping[str, Any],
    *,
    now: int | None = None,
) -> tuple[list[int], int]:
    """Take something out of the entries that say it, and say that it was done.

    Args:
        actor: who ran the console.
        rewrite: {action, oid, target, detail} of an entry -> oid, target and detail without it; None leaves
            it as it is.
        condition: which entries are asked about, a condition on the table.
        detail: what the new entry says besides; JSON data.

    Returns:
        The numbers of the new entries, at least one; and how many entries something was taken out of.
    """
    changed: list[tuple[int, str]] = []
    # What accounts for others says nothing of an organization, though one may be called as a word of it is.
    asked = select(_JOURNAL).where(condition, _JOURNAL.c.action != FORGETTING).order_by(_JOURNAL.c.seq)
    for row in connection.execute(asked).all():
        entry = _entry(row)
        found = rewrite({name: entry[name] for name in ("action", "oid", "target", "detail")})
        if found is None:
            continue
        left = {name: json.loads(canonical(found[name])) for name in ("oid", "target", "detail")}
        connection.execute(update(_JOURNAL).where(_JOURNAL.c.seq == row.seq).values(**left))
        changed.append((row.seq, _left(entry | left)))
    made = []
    for at in range(0, max(1, len(changed)), _AT_ONCE):
        part = [list(each) for each in changed[at : at + _AT_ONCE]]
        said = {**(detail if not at else {}), "entries": part}
        made.append(append(connection, actor, FORGETTING, target=FORGOTTEN, detail=said, now=now))
    return made, len(changed)


def verify(connection: Connection) -> int | None:
    """The number of the first entry that does not follow from the one before it; None when all do."""
    previous, seq = FIRST, 0
    broken: int | None = None
    odd: dict[int, str] = {}
    accounted: dict[int, str] = {}
    rows = connection.execution_options(yield_per=1000).execute(select(_JOURNAL).order_by(_JOURNAL.c.seq))
    for row in rows:
        entry = _entry(row)
        if row.seq != seq + 1 or row.previous != previous:
            broken = int(row.seq)
            rows.close()
            break
        if row.hash != _seal(previous, entry):
            odd[row.seq] = _left(entry)
        elif row.action == FORGETTING:
            # Of several that account for an entry the last one counts, and none for what comes after it.
            accounted.update((number, digest) for number, digest in row.detail["entries"] if number < row.seq)
        previous, seq = row.hash, row.seq
    wrong = [number for number, digest in odd.items() if accounted.get(number) != digest]
    return min([*wrong, *([] if broken is None else [broken])], default=None)


def _entry(row: Any) -> dict[str, Any]:
    return {
        "seq": row.seq, "time": row.time, "actor": row.actor, "action": row.action, "oid": row.oid,
        "target": row.target, "detail": row.detail,
    }  # fmt: skip


def _left(entry: Mapping[str, Any]) -> str:
    """A digest of an entry as it stands, by which another one accounts for it."""
    return hashlib.sha256(b"left" + canonical(dict(entry))).hexdigest()


def _seal(previous: str, entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(previous.encode() + canonical(dict(entry))).hexdigest()
