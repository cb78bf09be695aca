"""The timeline of access: what group logs and audit logs tell, in one stream, newest first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Select, Table, and_, func, literal, or_, select, tuple_
from sqlalchemy.sql.elements import ColumnElement

from store import models
from store.queries.matching import contains
from store.queries.scopes import ORGANIZATION, oids_of
from store.text import Untrusted
from store.timeline import Event

Key = tuple[int, int]
"""(time, id): the order of the stream, each descending."""

COUNTED = 10_000
"""So many are counted; more are `or more`."""

_EVENT: Table = models.AccessEvent.__table__  # type: ignore[attr-defined]
_GROUP: Table = models.Group.__table__  # type: ignore[attr-defined]
_HELD: Table = models.GroupOrganization.__table__  # type: ignore[attr-defined]
_KEYS = (_EVENT.c.time, _EVENT.c.id)
_COLUMNS = (*_EVENT.c, ORGANIZATION.c.name.label("organization"), _GROUP.c.name.label("group_name"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are asked for; what is left empty limits nothing."""

    scope: str = ""
    """A node: what happened on its organizations, and to the groups that hold one of them."""
    principal: str = ""
    """On whom: e-mail, or an API key's name or hash."""
    actor: str = ""
    """By whom."""
    group: str = ""
    """Its gid."""
    kinds: tuple[str, ...] = ()
    """Of `store.timeline.KINDS`."""
    since: int | None = None
    """Milliseconds, UTC: not before."""
    words: tuple[str, ...] = ()
    """Each has to stand in who, whom, what, the permissions, or a name of where."""


def events(
    connection: Connection,
    wanted: Wanted = Wanted(),
    *,
    after: Key | None = None,
    before: Key | None = None,
    limit: int = 100,
) -> list[Event]:
    """A page of the stream, newest first.

    Args:
        after: only what is older than the event of this key.
        before: only what is newer; the nearest ones, still newest first.
        limit: at most so many.
    """
    query = _joined(connection, wanted)
    if after is not None:
        query = query.where(tuple_(*_KEYS) < _row(after))
    if before is not None:
        query = query.where(tuple_(*_KEYS) > _row(before))
    ascending = before is not None
    query = query.order_by(*(key if ascending else key.desc() for key in _KEYS)).limit(limit)
    found = list(map(_event, connection.execute(query)))
    return found[::-1] if ascending else found


def counted(connection: Connection, wanted: Wanted = Wanted()) -> int:
    """How many events there are; COUNTED and one more mean that there are more."""
    limited = _joined(connection, wanted).with_only_columns(_EVENT.c.id).limit(COUNTED + 1).subquery()
    return int(connection.execute(select(func.count()).select_from(limited)).scalar_one())


def of_groups(
    connection: Connection, gids: Iterable[str], principal: str = "", oid: str = ""
) -> dict[str, list[Event]]:
    """What was done to these groups, each oldest first, by gid.

    Args:
        principal: with it, of memberships only this one's.
        oid: with it, of organizations only this one.
    """
    found: dict[str, list[Event]] = {gid: [] for gid in gids}
    wanted = sorted(found)
    limits: list[ColumnElement[bool]] = []
    if principal:
        others = (_EVENT.c.kind == "member") & (_EVENT.c.principal != principal.lower())
        limits += [~others, _EVENT.c.kind != "owner"]
    if oid:
        limits.append(~((_EVENT.c.kind == "organization") & (_EVENT.c.oid != oid)))
    for at in range(0, len(wanted), 500):
        query = (
            select(*_COLUMNS)
            .select_from(_sources())
            .where(_EVENT.c.gid.in_(wanted[at : at + 500]), *limits)
            .order_by(*_KEYS)
        )
        for event in map(_event, connection.execute(query)):
            found[event.gid].append(event)
    return found


def groups_named(connection: Connection, wanted: str) -> list[tuple[str, Untrusted]]:
    """(gid, name) of the groups of this gid or name; one that only a log knows has no name."""
    found = connection.execute(
        select(_GROUP.c.gid, _GROUP.c.name)
        .where(or_(_GROUP.c.gid == wanted, _GROUP.c.name == wanted))
        .order_by(_GROUP.c.name, _GROUP.c.gid)
    )
    listed = [(row.gid, Untrusted(row.name)) for row in found]
    if not listed:
        known = connection.execute(select(_EVENT.c.gid).where(_EVENT.c.gid == wanted).limit(1)).first()
        listed = [(wanted, Untrusted(""))] if known is not None and wanted else []
    return listed


def _sources() -> Any:
    return _EVENT.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _EVENT.c.oid).outerjoin(
        _GROUP, _GROUP.c.gid == _EVENT.c.gid
    )


def _joined(connection: Connection, wanted: Wanted) -> Select[Any]:
    return select(*_COLUMNS).select_from(_sources()).where(*_conditions(connection, wanted))


def _conditions(connection: Connection, wanted: Wanted) -> Sequence[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    oids = oids_of(connection, wanted.scope)
    if oids is not None:
        holding = select(_HELD.c.gid).where(_HELD.c.oid.in_(oids))
        whole = and_(_EVENT.c.oid == "", _EVENT.c.gid.in_(holding))
        conditions.append(or_(_EVENT.c.oid.in_(oids), whole))
    if wanted.principal:
        conditions.append(_EVENT.c.principal == wanted.principal)
    if wanted.actor:
        conditions.append(_EVENT.c.actor == wanted.actor)
    if wanted.group:
        conditions.append(_EVENT.c.gid == wanted.group)
    if wanted.kinds:
        conditions.append(_EVENT.c.kind.in_(wanted.kinds))
    if wanted.since is not None:
        conditions.append(_EVENT.c.time >= wanted.since)
    columns = (
        _EVENT.c.actor, _EVENT.c.principal, _EVENT.c.action, _EVENT.c.permission, ORGANIZATION.c.name,
        _GROUP.c.name,
    )  # fmt: skip
    conditions += [or_(*(contains(connection, column, word) for column in columns)) for word in wanted.words]
    return conditions


def _row(key: Key) -> Any:
    return tuple_(*(literal(value, column.type) for value, column in zip(key, _KEYS, strict=True)))


def _event(row: Any) -> Event:
    source: Literal["group", "audit"] = row.source
    return Event(
        id=row.id,
        time=row.time,
        source=source,
        oid=row.oid,
        organization=Untrusted(row.organization or ""),
        gid=row.gid,
        group=Untrusted(row.group_name or ""),
        kind=row.kind,
        action=Untrusted(row.action),
        actor=Untrusted(row.actor),
        principal=Untrusted(row.principal),
        permissions=tuple(map(Untrusted, row.permission.split())),
        details=row.details,
    )
