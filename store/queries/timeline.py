"""The timeline of access: what group logs and audit logs tell, in one stream, newest first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Select, Table, and_, func, literal, or_, select, tuple_
from sqlalchemy.sql.elements import ColumnElement

from store import models
from store.alerts import FilterError, tokens
from store.queries.matching import contains
from store.queries.scopes import ORGANIZATION, oids_of
from store.text import Untrusted
from store.timeline import KINDS, Event
from store.times import parse_duration

Key = tuple[int, int]
"""(time, id): the order of the stream, each descending."""

COUNTED = 10_000
"""So many are counted; more are `or more`."""

_EVENT: Table = models.AccessEvent.__table__  # type: ignore[attr-defined]
_GROUP: Table = models.Group.__table__  # type: ignore[attr-defined]
_HELD: Table = models.GroupOrganization.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]
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
    parts: tuple[tuple[str, str], ...] = ()
    """(on, by or group; a part of whom, of who, or of the group's name or gid; all of it behind a `=`)."""
    words: tuple[str, ...] = ()
    """Each has to stand in who, whom, what, the permissions, or a name of where."""


def events(
    connection: Connection,
    wanted: Wanted = Wanted(),
    *,
    after: Key | None = None,
    before: Key | None = None,
    starting: Key | None = None,
    limit: int = 100,
) -> list[Event]:
    """A page of the stream, newest first.

    Args:
        after: only what is older than the event of this key.
        before: only what is newer; the nearest ones, still newest first.
        starting: like `after`, this event included.
        limit: at most so many.
    """
    bounds: list[ColumnElement[bool]] = []
    if after is not None:
        bounds.append(tuple_(*_KEYS) < _row(after))
    if starting is not None:
        bounds.append(tuple_(*_KEYS) <= _row(starting))
    if before is not None:
        bounds.append(tuple_(*_KEYS) > _row(before))
    return _page(connection, wanted, bounds, limit, backwards=before is not None)


def last_page(connection: Connection, wanted: Wanted = Wanted(), *, limit: int = 100) -> list[Event]:
    """The oldest events, newest first."""
    return _page(connection, wanted, [], limit, backwards=True)


def _page(
    connection: Connection,
    wanted: Wanted,
    bounds: Sequence[ColumnElement[bool]],
    limit: int,
    *,
    backwards: bool,
) -> list[Event]:
    order = [key if backwards else key.desc() for key in _KEYS]
    query = _joined(connection, wanted).where(*bounds).order_by(*order).limit(limit)
    found = list(map(_event, connection.execute(query)))
    return found[::-1] if backwards else found


def counted(connection: Connection, wanted: Wanted = Wanted()) -> int:
    """How many events there are; COUNTED and one more mean that there are more."""
    limited = _joined(connection, wanted).with_only_columns(_EVENT.c.id).limit(COUNTED + 1).subquery()
    return int(connection.execute(select(func.count()).select_from(limited)).scalar_one())


@dataclass(frozen=True, slots=True)
class Sources:
    """Of how many logs the stream is made."""

    organizations: int
    audited: int
    """Of these the audit log was read to its end, and the last attempt did not fail."""
    lacking: tuple[tuple[str, Untrusted, Untrusted], ...]
    """(oid, name, reason) of the first others; the reason is "" where it was never tried."""
    groups_at: int | None
    """When the groups' logs were read last (ms); None when never."""


def sources(connection: Connection, scope: str = "", most: int = 3) -> Sources:
    """Which logs of a scope are in the stream, and which it lacks.

    Args:
        most: so many of those that are lacking are named.
    """
    query = (
        select(ORGANIZATION.c.oid, ORGANIZATION.c.name, _STATE.c.reason)
        .select_from(
            ORGANIZATION.outerjoin(
                _STATE, (_STATE.c.oid == ORGANIZATION.c.oid) & (_STATE.c.subject == "audit")
            )
        )
        .where(ORGANIZATION.c.gone_at.is_(None))
    )
    below = oids_of(connection, scope)
    if below is not None:
        query = query.where(ORGANIZATION.c.oid.in_(below))
    whole = query.with_only_columns(func.count()).order_by(None)
    missing = query.where(or_(_STATE.c.checked_at.is_(None), _STATE.c.failure != ""))
    number = connection.execute(whole).scalar_one()
    lacking = connection.execute(missing.with_only_columns(func.count())).scalar_one()
    named = connection.execute(missing.order_by(ORGANIZATION.c.name, ORGANIZATION.c.oid).limit(most))
    groups_at = connection.execute(
        select(_STATE.c.checked_at).where(_STATE.c.oid == "", _STATE.c.subject == "groups")
    ).scalar_one_or_none()
    return Sources(
        number,
        number - lacking,
        tuple((row.oid, Untrusted(row.name), Untrusted(row.reason or "")) for row in named),
        groups_at,
    )


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
    conditions += [
        or_(
            *(
                column == text[1:] if text.startswith("=") else contains(connection, column, text)
                for column in _PARTS[name]
            )
        )
        for name, text in wanted.parts
    ]
    columns = (
        _EVENT.c.actor, _EVENT.c.principal, _EVENT.c.action, _EVENT.c.permission, ORGANIZATION.c.name,
        _GROUP.c.name,
    )  # fmt: skip
    conditions += [or_(*(contains(connection, column, word) for column in columns)) for word in wanted.words]
    return conditions


_PARTS = {"on": (_EVENT.c.principal,), "by": (_EVENT.c.actor,), "group": (_GROUP.c.name, _EVENT.c.gid)}


def parse_filter(line: str, *, now: int, scope: str = "") -> Wanted:
    """Read what an operator typed after `/` on the screen of the timeline.

    `on:kim by:=root@p.example group:"SOC L1" kind:member,owner since:30d dr.set`: prefixed words limit whom,
    who, the group, the kinds and the age; behind a `=` the whole of it is meant; bare words stand anywhere.

    Args:
        now: milliseconds, UTC.

    Raises:
        FilterError: an unknown prefix or word, or a quote that is not closed.
    """
    kinds: tuple[str, ...] = ()
    since: int | None = None
    parts: list[tuple[str, str]] = []
    words: list[str] = []
    for token in tokens(line):
        prefix = (token[1] or "").lower()
        value = next(group for group in token.groups()[1:] if group is not None)
        if not prefix and value.endswith(":") and value[:-1].lower() in (*_PARTS, "kind", "since"):
            raise FilterError(f"{value} needs a value right behind the colon.")
        if not prefix:
            words.append(value)
        elif prefix in _PARTS:
            parts.append((prefix, value))
        elif prefix == "kind":
            kinds = tuple(each.strip().lower() for each in value.split(","))
            if unknown := [each for each in kinds if each not in KINDS]:
                raise FilterError(f"{unknown[0]} is no kind; there are {', '.join(KINDS)}.")
        elif prefix == "since":
            try:
                since = now - parse_duration(value) * 1000
            except ValueError as error:
                raise FilterError(f"since: {error}") from None
        else:
            raise FilterError(
                f"{token[1]}: is not a column; use on, by, group, kind or since, or put the word in quotes."
            )
    return Wanted(
        scope=scope, kinds=kinds, since=since, parts=tuple(parts), words=tuple(word for word in words if word)
    )


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
