"""What was granted and is not so any more: kept when the tables of access are written.

`store.ingest` writes those tables (`WATCHED`) in three places, each of which hands what it changes or deletes
to `end` first, and refuses to go on without a time. Nothing else writes them, except what takes an
organization out of the store whole (`store.forgetting`) or puts a store together (`store.copying`,
`store.bundles`). A row that did not change is not touched, so history grows with what changes.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Table, insert

from store import models

FORMER: Table = models.AccessFormer.__table__  # type: ignore[attr-defined]

SINCE: Final = "valid_from"

WATCHED: Final[dict[str, tuple[str, ...]]] = {
    "direct_permission": ("permissions",),
    "organization_group": ("name", "permissions", "complete"),
    "group_member": (),
    "group_organization": (),
    "api_key": ("name", "permissions", "created_by", "allowed_ip_range"),
}
"""Table -> columns of which another value is another fact; its key besides. When a key was used last is
none: that changes every day and grants nothing."""

_CHUNK: Final = 500


def is_other(table: Table, values: Mapping[str, Any]) -> bool:
    """Whether these changed values make another fact of a row of a watched table."""
    return not values.keys().isdisjoint(WATCHED[table.name])


def end(c: Connection, table: Table, rows: Iterable[Any], now: int) -> int:
    """Keep rows as they were until `now` (ms), before they are changed or deleted; how many were kept.

    One that is no older than that was so at no time, and is not kept.
    """
    made = [
        {**former(table.name, row._mapping), "valid_from": row.valid_from, "valid_to": now}
        for row in rows
        if row.valid_from < now
    ]
    for at in range(0, len(made), _CHUNK):
        c.execute(insert(FORMER), made[at : at + _CHUNK])
    return len(made)


def former(table: str, row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of one of the tables as one of `access_former`, without its times."""
    made: dict[str, Any] = {
        "oid": "", "gid": "", "principal": "", "name": "", "permissions": [], "complete": True,
        "created_by": "", "allowed_ip_range": "", "first_seen": None,
    }  # fmt: skip
    if table == "direct_permission":
        given = {"kind": "direct", "principal": row["email"]}
    elif table == "group_member":
        given = {"kind": "owner" if row["owner"] else "member", "principal": row["email"]}
    elif table == "api_key":
        given = {"kind": "key", "principal": row["key_hash"]}
    else:
        given = {"kind": "group" if table == "organization_group" else "held"}
    return made | {name: row[name] for name in made if name in row} | given
