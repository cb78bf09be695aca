"""What audit entries tell of who used what, kept in sum: a log may be a million lines, and this is asked
often.

For each organization and actor a row of `audit_use` for each kind of entry, with the first and the last of
them; and one for the organization's whole log, from when to when it is stored.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Table, case
from sqlalchemy.dialects import postgresql, sqlite

from store.timeline import short

WHOLE: Final = ""
"""The actor, and the mark, of the row that stands for the whole log."""

HIVE: Final = "hive:"
"""Before the name of a hive: a record of it was set or removed."""


def mark_of(details: Mapping[str, Any]) -> str:
    """What an entry tells of: `hive:NAME` for a change of a record there, else its `etype`.

    An entry names the hive in `entity.name` (`dr-general/my-rule`) or, as the documentation prints it, in
    `entity.hive` of a `config_change` (5-integrations/outputs/stream-structures.md).
    """
    kind = str(details.get("etype") or "")
    entity = details.get("entity")
    entity = entity if isinstance(entity, Mapping) else {}
    hive = entity.get("hive")
    if isinstance(hive, str) and hive and (kind.startswith("hive_") or kind == "config_change"):
        return f"{HIVE}{hive}"
    if kind.startswith("hive_") or (kind == "config_change" and entity.get("type") == "hive"):
        return f"{HIVE}{str(entity.get('name') or '').partition('/')[0]}"
    return kind


def rows_of(oid: str, told: Iterable[tuple[str, int, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The rows of `audit_use` that entries of one organization make.

    Args:
        told: (actor, time in ms, the entry) of each; the time is 0 where it tells none.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for actor, time, details in told:
        if not time:
            continue
        # Both stand in a key, which half of a surrogate pair or a text of a page would refuse, and the
        # whole page of the log with it.
        for at in ((WHOLE, WHOLE), (short(actor), short(mark_of(details))[:100])):
            span = found.setdefault(at, [time, time])
            span[0], span[1] = min(span[0], time), max(span[1], time)
    return [
        {"oid": oid, "actor": actor, "mark": mark, "first": first, "last": last}
        for (actor, mark), (first, last) in sorted(found.items())
        if mark or not actor
    ]


def put(c: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Add rows to what is known: the earlier first, and the later last, of both."""
    if not rows:
        return
    new: Any = (postgresql if c.dialect.name == "postgresql" else sqlite).insert(table)
    old, fresh = table.c, new.excluded
    c.execute(
        new.on_conflict_do_update(
            index_elements=["oid", "actor", "mark"],
            set_={
                "first": case((fresh.first < old.first, fresh.first), else_=old.first),
                "last": case((fresh.last > old.last, fresh.last), else_=old.last),
            },
        ),
        rows,
    )
