"""The append-only record of everything the console changed; each entry seals the one before it.

What an entry says of an organization that is forgotten is taken out of it, and nothing else of it: its
number, its time, who did what kind of thing and its seal stay. The seal cannot be computed again then, so the
entry that says that something was forgotten holds a digest of what is left of each, and is sealed itself: an
entry that no longer fits its seal is whole if, and only if, a later entry of `FORGETTING` accounts for it as
it stands.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, Text, cast, insert, select, update

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
# The detail as text: what is no JSON any more is a changed entry, and no error of the database's.
_WHOLE = select(
    *(column for column in _JOURNAL.c if column.name != "detail"),
    cast(_JOURNAL.c.detail, Text).label("detail"),
).order_by(_JOURNAL.c.seq)


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


@dataclass(frozen=True, slots=True)
class Chain:
    """What reading the whole journal came to."""

    entries: int
    first: int | None
    """When the first entry was written (ms, UTC); None where there is none, or it says no time."""
    last: int | None
    """When the last one was."""
    seq: int
    """The number of the last entry; 0 where there is none."""
    hash: str
    """Its hash. Noted elsewhere with its number, it tells whether all up to it was written anew since."""
    forgotten: int
    """Entries that something was taken out of, each accounted for by a later one."""
    broken: int | None
    """The first entry that is not as it was written; None when all are."""
    wrong: str
    """What is wrong with it, one sentence that names it; "" when nothing is."""


def verify(connection: Connection) -> int | None:
    """The number of the first entry that does not follow from the one before it; None when all do."""
    return examine(connection).broken


def examine(connection: Connection, expect: tuple[int, str] | None = None) -> Chain:
    """Read the whole journal, and see whether each entry is as it was written and follows the one before it.

    The chain alone does not show that its end was cut off, nor that all of it was written anew by somebody
    who computed every hash again; an entry that was noted elsewhere does.

    Args:
        expect: (number, hash) of an entry as it was once: it has to be there, and to have that hash.
    """
    entries, previous, seq = 0, FIRST, 0
    first: Any = None
    last: Any = None
    broken: tuple[int, str] | None = None
    noted: str | None = None
    odd: dict[int, str] = {}
    accounted: dict[int, str] = {}
    with _whatever_it_says(connection):
        rows = connection.execute(_WHOLE, execution_options={"yield_per": 1000})
        for row in rows:
            entry, seal = _entry(row), str(row.hash)
            if not entries:
                first = row.time
            entries, last = entries + 1, row.time
            if expect is not None and row.seq == expect[0]:
                noted = seal
            if broken is None and (row.seq != seq + 1 or row.previous != previous):
                broken = row.seq, _breaks(row.seq, seq)
            elif broken is None:
                # Behind a break nothing accounts for anything: who wrote it is not known.
                read = _read(entry)
                if read is None or seal != _seal(previous, read):
                    odd[row.seq] = "" if read is None else _left(read)
                elif row.action == FORGETTING:
                    # Of several that account for an entry the last one counts, and none for what comes
                    # after it.
                    accounted.update(_accounts(read))
            previous, seq = seal, row.seq
    wrong = [number for number, digest in odd.items() if accounted.get(number) != digest]
    if wrong:
        # All of these come before a break.
        broken = (
            wrong[0],
            f"Entry {wrong[0]} was changed after it was written: its hash is of something else.",
        )
    if broken is None and expect is not None and noted != expect[1]:
        broken = expect[0], _missed(expect[0], noted, seq)
    return Chain(
        entries=entries,
        first=first if isinstance(first, int) else None,
        last=last if isinstance(last, int) else None,
        seq=seq,
        hash=previous if entries else "",
        forgotten=len(odd) - len(wrong),
        broken=None if broken is None else broken[0],
        wrong="" if broken is None else broken[1],
    )


@contextmanager
def _whatever_it_says(connection: Connection) -> Iterator[None]:
    """SQLite: bytes that are no UTF-8 are read as lone surrogates, which no entry is written with."""
    raw: Any = connection.connection.driver_connection
    if connection.dialect.name != "sqlite":
        yield
        return
    before = raw.text_factory
    raw.text_factory = lambda read: read.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        raw.text_factory = before


def _breaks(number: int, before: int) -> str:
    """That an entry does not follow from the one before it, of number `before`; 0 when it is the first."""
    if number <= before + 1:
        return f"Entry {number} does not follow from the one before it."
    if not before:
        return f"Entry {number} is the first one: what was before it is gone."
    return f"Entry {number} comes right behind entry {before}: what was between them is gone."


def _missed(number: int, found: str | None, last: int) -> str:
    """That an entry is not there as it was noted."""
    if found is None:
        ends = f"ends with entry {last}" if last else "is empty"
        return f"Entry {number} is not there: the journal {ends}, so it was cut or is another one."
    return f"Entry {number} has not the hash that was noted but {found}: the journal was written anew."


def _read(entry: dict[str, Any]) -> dict[str, Any] | None:
    """An entry with its detail read from its text; None when no entry was ever written like that."""
    try:
        read = entry | {"detail": json.loads(entry["detail"])}
        canonical(read)
    except (TypeError, ValueError, RecursionError):
        return None
    return read


def _accounts(entry: Mapping[str, Any]) -> dict[int, str]:
    """number -> digest of what is left, of the entries before it that one of `FORGETTING` accounts for."""
    detail = entry["detail"]
    listed = detail.get("entries") if isinstance(detail, dict) else None
    return {
        each[0]: each[1]
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, list) and len(each) == 2 and isinstance(each[0], int) and each[0] < entry["seq"]
    }


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
