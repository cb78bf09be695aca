"""What an access file is read against, and the roles that files gave."""

from collections.abc import Iterable

from sqlalchemy import Connection, Table, select

from store import models
from store.accessfile import Known, Place, Present
from store.queries import timeline
from store.queries.asof import AccessTables, access_tables
from store.queries.scopes import NODE, ORGANIZATION
from store.text import Untrusted
from store.timeline import Standing, standing

_ROLE: Table = models.GroupRole.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]


def known(connection: Connection, *, at: int | None = None) -> Known:
    """The tree, the organizations, the groups, and every permission that anybody holds.

    Args:
        at: the groups as they were at this time (ms); `checked_at` is None when none was read by then.
    """
    tables = access_tables(at)
    group, member, holds = tables.group.c, tables.member.c, tables.holds.c
    places = tuple(
        Place(row.id, row.path, row.oid, row.first, row.last)
        for row in connection.execute(
            select(NODE.c.id, NODE.c.path, NODE.c.oid, NODE.c.first, NODE.c.last).order_by(NODE.c.first)
        )
    )
    listed = connection.execute(select(ORGANIZATION.c.oid, ORGANIZATION.c.name, ORGANIZATION.c.gone_at)).all()
    rows = connection.execute(select(group.gid, group.name, group.permissions, group.complete)).all()
    people: dict[bool, dict[str, set[str]]] = {False: {}, True: {}}
    for gid, email, owner in connection.execute(select(member.gid, member.email, member.owner)):
        people[bool(owner)].setdefault(gid, set()).add(email)
    held: dict[str, set[str]] = {}
    for gid, oid in connection.execute(select(holds.gid, holds.oid)):
        held.setdefault(gid, set()).add(oid)
    groups = {
        row.gid: Present(
            row.gid,
            Untrusted(row.name),
            frozenset(row.permissions),
            frozenset(held.get(row.gid, ())),
            frozenset(people[False].get(row.gid, ())),
            frozenset(people[True].get(row.gid, ())),
            bool(row.complete),
        )
        for row in rows
    }
    state = connection.execute(
        select(_STATE.c.checked_at).where(
            _STATE.c.oid == "",
            _STATE.c.subject == "groups",
            *(() if at is None else (_STATE.c.first_at <= at,)),
        )
    ).scalar_one_or_none()
    return Known(
        places=places,
        organizations={row.oid: Untrusted(row.name) for row in listed if row.gone_at is None},
        gone=frozenset(row.oid for row in listed if row.gone_at is not None),
        groups=groups,
        permissions=_permissions(connection, groups.values(), tables),
        given=_given(connection),
        checked_at=state,
    )


def standing_of(connection: Connection, gids: Iterable[str]) -> dict[str, dict[tuple[str, str], Standing]]:
    """What the logs tell of how these groups became as they are, by gid."""
    return {gid: standing(events) for gid, events in timeline.of_groups(connection, gids).items()}


def _permissions(connection: Connection, groups: Iterable[Present], tables: AccessTables) -> frozenset[str]:
    """Every permission that anybody holds; equal lists, as most are, are looked at once."""
    found = set[str]().union(*(group.permissions for group in groups))
    for column in (tables.direct.c.permissions, tables.key.c.permissions):
        seen = {tuple(permissions) for permissions in connection.execute(select(column)).scalars()}
        found.update(*seen)
    return frozenset(found)


def _given(connection: Connection) -> dict[str, frozenset[str]]:
    """Roles of files by name; of one that was given with other permissions, as it was given last."""
    rows = connection.execute(
        select(_ROLE.c.role, _ROLE.c.permissions).where(_ROLE.c.role != "").order_by(_ROLE.c.applied_at)
    )
    return {row.role: frozenset(row.permissions) for row in rows}
