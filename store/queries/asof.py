"""The tables of access as they are now, or as they were at a time.

A question is asked of `access_tables(at)`: five things to select from, with the same columns either way. Now
they are the tables themselves, so nothing is paid for the past; then each is what is so still and was so at
that time, together with what was so and has ended since (`store.accesshistory`). What changed between two
readings of the cloud changed at the second.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, FromClause, Table, select, union_all

from store import models
from store.accesshistory import FORMER

_DIRECT: Table = models.DirectPermission.__table__  # type: ignore[attr-defined]
_GROUP: Table = models.Group.__table__  # type: ignore[attr-defined]
_MEMBER: Table = models.GroupMember.__table__  # type: ignore[attr-defined]
_HELD: Table = models.GroupOrganization.__table__  # type: ignore[attr-defined]
_KEY: Table = models.ApiKey.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class AccessTables:
    """What to select from; the columns are those of the tables, `last_used` of a key aside."""

    direct: FromClause
    group: FromClause
    member: FromClause
    holds: FromClause
    key: FromClause


NOW: Final = AccessTables(_DIRECT, _GROUP, _MEMBER, _HELD, _KEY)


def access_tables(at: int | None = None) -> AccessTables:
    """The tables as of a time (ms), or as they are."""
    if at is None:
        return NOW
    owner = (FORMER.c.kind == "owner").label("owner")
    email, key_hash = FORMER.c.principal.label("email"), FORMER.c.principal.label("key_hash")
    key = ("oid", "name", "permissions", "created_by", "allowed_ip_range", "first_seen")
    return AccessTables(
        _both(_DIRECT, at, ("direct",), "oid", "permissions", email),
        _both(_GROUP, at, ("group",), "gid", "name", "permissions", "complete", "first_seen"),
        _both(_MEMBER, at, ("member", "owner"), "gid", email, owner),
        _both(_HELD, at, ("held",), "gid", "oid"),
        _both(_KEY, at, ("key",), *key, key_hash),
    )


def _both(table: Table, at: int, kinds: tuple[str, ...], *columns: Any) -> FromClause:
    former = [FORMER.c[each] if isinstance(each, str) else each for each in (*columns, "valid_from")]
    still = select(*(table.c[each.name] for each in former)).where(table.c.valid_from <= at)
    ended = select(*former).where(FORMER.c.kind.in_(kinds), FORMER.c.valid_to > at, FORMER.c.valid_from <= at)
    return union_all(still, ended).subquery(f"{table.name}_then")


def read_by(connection: Connection, subject: str, at: int) -> frozenset[str]:
    """The oids of which a subject (`access`, `keys`) was read completely by then (ms)."""
    wanted = select(_STATE.c.oid).where(_STATE.c.subject == subject, _STATE.c.first_at <= at)
    return frozenset(connection.execute(wanted).scalars())
