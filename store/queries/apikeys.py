"""The API keys of every organization: what each may do, from where, and when it was last used."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    String,
    Table,
    and_,
    cast,
    false,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.sql.elements import ColumnElement

from store import models
from store.accesschanges import AccessChange
from store.deadlines import waiting
from store.keyfilter import KeyFilter
from store.keyrecipes import PARAMETER
from store.permissions import catalogue, is_privileged
from store.queries.matching import contains
from store.queries.scopes import oids_of, parameters_of
from store.text import Untrusted

ACTIONS = ("key.create", "key.rotate")
"""Entries of the journal under which a key is made."""

Place = tuple[str, str, str]
"""(name, oid, hash): where a key stands in the inventory, keys of one name together."""

_KEY: Table = models.ApiKey.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]
_JOURNAL: Table = models.Journal.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]
_TOGETHER = 400
SHORTEST = 6
"""Characters of a hash that stand for all of it."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key as the store has it; the key itself is never seen."""

    oid: str
    organization: Untrusted
    key_hash: Untrusted
    name: Untrusted
    permissions: tuple[str, ...]
    created_by: Untrusted
    allowed_ip_range: Untrusted
    """"" is from everywhere."""
    last_used: int | None
    first_seen: int
    held: bool = True
    """False while its secret was given to nobody: made here, and not handed over."""
    ends_at: int | None = None
    """When a rotation deletes it (ms)."""

    @property
    def place(self) -> Place:
        """Where it stands in the inventory."""
        return (str(self.name), self.oid, str(self.key_hash))

    @property
    def privileged(self) -> tuple[str, ...]:
        """Those of its permissions that make it master of its organization."""
        return tuple(each for each in self.permissions if is_privileged(each))


@dataclass(frozen=True, slots=True)
class Counts:
    """How many keys there are."""

    keys: int
    """That the filter leaves."""
    all: int
    """Of the scope."""
    organizations: int
    """With keys that the filter leaves."""
    read: int
    """Organizations of the scope whose keys were read."""
    of: int
    """Organizations of the scope."""


def page(
    connection: Connection,
    wanted: KeyFilter,
    *,
    scope: str = "",
    after: Place | None = None,
    before: Place | None = None,
    starting: Place | None = None,
    backwards: bool = False,
    limit: int = 100,
) -> list[KeyRow]:
    """Keys by name, then organization; by keyset over their places.

    Args:
        after: behind this place; before: the last ones ahead of it; starting: from it on.
        backwards: the last ones of all.
    """
    order = (_KEY.c.name, _KEY.c.oid, _KEY.c.key_hash)
    keys = tuple_(*order)
    query = _rows().where(*_conditions(connection, wanted, scope))
    if after is not None:
        query = query.where(keys > tuple_(*map(literal, after)))
    if starting is not None:
        query = query.where(keys >= tuple_(*map(literal, starting)))
    if before is not None:
        query = query.where(keys < tuple_(*map(literal, before)))
    upwards = backwards or before is not None
    found = connection.execute(
        query.order_by(*(each.desc() if upwards else each.asc() for each in order)).limit(limit)
    ).all()
    return _read(connection, found[::-1] if upwards else found)


def every(connection: Connection, wanted: KeyFilter, *, scope: str = "") -> list[KeyRow]:
    """All of them, in the order of the inventory."""
    query = _rows().where(*_conditions(connection, wanted, scope))
    return _read(
        connection, connection.execute(query.order_by(_KEY.c.name, _KEY.c.oid, _KEY.c.key_hash)).all()
    )


def named(connection: Connection, keys: Iterable[tuple[str, str]]) -> list[KeyRow]:
    """Those with these (oid, hash), in the order of the inventory; the ones that are gone are left out."""
    listed = sorted(set(keys))
    found: list[Any] = []
    for at in range(0, len(listed), _TOGETHER):
        part = listed[at : at + _TOGETHER]
        found += connection.execute(_rows().where(tuple_(_KEY.c.oid, _KEY.c.key_hash).in_(part))).all()
    return sorted(_read(connection, found), key=lambda row: row.place)


def counts(connection: Connection, wanted: KeyFilter, *, scope: str = "") -> Counts:
    """How many there are, and of how many organizations the keys were ever read."""
    within = oids_of(connection, scope)
    here = [_KEY.c.oid.in_(within)] if within is not None else []
    keys, organizations = connection.execute(
        select(func.count(), func.count(_KEY.c.oid.distinct()))
        .select_from(_KEY.outerjoin(_ORGANIZATION, _ORGANIZATION.c.oid == _KEY.c.oid))
        .where(*_conditions(connection, wanted, scope))
    ).one()
    read = select(func.count()).where(_STATE.c.subject == "keys", _STATE.c.checked_at.is_not(None))
    known = select(func.count()).select_from(_ORGANIZATION).where(_ORGANIZATION.c.gone_at.is_(None))
    if within is not None:
        read, known = read.where(_STATE.c.oid.in_(within)), known.where(_ORGANIZATION.c.oid.in_(within))
    return Counts(
        keys,
        connection.execute(select(func.count()).select_from(_KEY).where(*here)).scalar_one(),
        organizations,
        connection.execute(read).scalar_one(),
        connection.execute(known).scalar_one(),
    )


def find(connection: Connection, oid: str, wanted: str) -> list[KeyRow]:
    """The keys of an organization that a word means: by hash, else by name, else by a hash's beginning."""
    rows = _read(connection, connection.execute(_rows().where(_KEY.c.oid == oid)).all())
    found = (
        [row for row in rows if row.key_hash == wanted]
        or [row for row in rows if row.name == wanted]
        or [row for row in rows if len(wanted) >= SHORTEST and row.key_hash.startswith(wanted)]
    )
    return sorted(found, key=lambda row: row.place)


def left_alone(connection: Connection, rows: Collection[KeyRow]) -> list[KeyRow]:
    """Keys that a rotation deletes, and whose successor is among these: none of their name is left then."""
    going = set(ending(connection)) - {(row.oid, str(row.key_hash)) for row in rows}
    revoked = {(row.oid, row.name) for row in rows}
    return [row for row in named(connection, going) if (row.oid, row.name) in revoked]


def range_for(connection: Connection, oid: str) -> str:
    """What the tree says about from where an organization's keys are used: its parameter `key_range`."""
    said = parameters_of(connection, oid).get(PARAMETER)
    return said if isinstance(said, str) else ""


def unheld(connection: Connection) -> dict[tuple[str, str], int]:
    """(oid, hash) of every key that was made here and whose secret was given to nobody: entry of the journal.

    A process that died between making a key and handing it over leaves an intent without an end; the key is
    then the one of that name which was not there before.
    """
    intents: dict[int, Any] = {}
    results: dict[int, dict[str, Any]] = {}
    over: set[int] = set()
    for row in connection.execute(
        select(_JOURNAL.c.seq, _JOURNAL.c.oid, _JOURNAL.c.target, _JOURNAL.c.detail)
        .where(_JOURNAL.c.action.in_(ACTIONS))
        .order_by(_JOURNAL.c.seq)
    ):
        step, intent = row.detail.get("step"), row.detail.get("intent")
        if step == "intent":
            intents[row.seq] = row
        elif step == "delivered" or row.detail.get("outcome") in ("denied", "failed"):
            over.add(intent)
        elif step == "result":
            results[intent] = row.detail
    found: dict[tuple[str, str], int] = {}
    others = {detail["key_hash"] for detail in results.values() if detail.get("key_hash")}
    for seq, row in intents.items():
        if seq in over:
            continue
        made = results.get(seq, {}).get("key_hash")
        condition = _KEY.c.key_hash == made if made else _KEY.c.name == row.target
        known = set(row.detail.get("known", ()))
        for key_hash in connection.execute(
            select(_KEY.c.key_hash).where(_KEY.c.oid == row.oid, condition)
        ).scalars():
            if key_hash not in known and (made or key_hash not in others):
                found[row.oid, key_hash] = seq
    return found


def ending(connection: Connection) -> dict[tuple[str, str], int]:
    """(oid, hash) of every key that a deadline deletes: when (ms)."""
    found: dict[tuple[str, str], int] = {}
    for deadline in waiting(connection):
        for change in deadline.changes:
            if isinstance(change, AccessChange) and change.kind == "delete_key":
                found.setdefault((change.oid, change.principal), deadline.due_at)
    return found


def _rows() -> Select[Any]:
    return select(*_KEY.c, _ORGANIZATION.c.name.label("organization")).select_from(
        _KEY.outerjoin(_ORGANIZATION, _ORGANIZATION.c.oid == _KEY.c.oid)
    )


def _read(connection: Connection, rows: Iterable[Any]) -> list[KeyRow]:
    nobody, ends = unheld(connection), ending(connection)
    return [
        KeyRow(
            row.oid, Untrusted(row.organization or row.oid), Untrusted(row.key_hash), Untrusted(row.name),
            tuple(row.permissions), Untrusted(row.created_by), Untrusted(row.allowed_ip_range), row.last_used,
            row.first_seen, (row.oid, row.key_hash) not in nobody, ends.get((row.oid, row.key_hash)),
        )
        for row in rows
    ]  # fmt: skip


def _conditions(connection: Connection, wanted: KeyFilter, scope: str) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    within = oids_of(connection, scope)
    if within is not None:
        found.append(_KEY.c.oid.in_(within))

    def holds(column: Any, text: str) -> ColumnElement[bool]:
        return contains(connection, column, text)

    for word in wanted.words:
        found.append(
            or_(
                holds(_KEY.c.name, word), holds(_ORGANIZATION.c.name, word), holds(_KEY.c.created_by, word),
            )
        )  # fmt: skip
    for column, text in (
        (_KEY.c.name, wanted.name),
        (_ORGANIZATION.c.name, wanted.org),
        (_KEY.c.created_by, wanted.by),
    ):
        if text:
            found.append(holds(column, text))
    if wanted.exact:
        found.append(_KEY.c.name == wanted.exact)
    if wanted.oid:
        found.append(_KEY.c.oid == wanted.oid)
    if wanted.flair:
        found.append(holds(_KEY.c.name, f"[{wanted.flair}]"))
    found += [_may(each) for each in wanted.permissions]
    if wanted.privileged is not None:
        masters = or_(*(_may(each.name) for each in catalogue() if each.privileged))
        found.append(masters if wanted.privileged else ~masters)
    if wanted.range is not None:
        found.append(
            holds(_KEY.c.allowed_ip_range, wanted.range) if wanted.range else _KEY.c.allowed_ip_range == ""
        )
    never = or_(_KEY.c.last_used.is_(None), _KEY.c.last_used == 0)
    if wanted.never_used is not None:
        found.append(never if wanted.never_used else ~never)
    if wanted.used_before is not None:
        found.append(or_(never, _KEY.c.last_used < wanted.used_before))
    if wanted.used_after is not None:
        found.append(and_(~never, _KEY.c.last_used >= wanted.used_after))
    if wanted.held is not None:
        found.append(_among(unheld(connection), not wanted.held))
    if wanted.ending is not None:
        found.append(_among(ending(connection), wanted.ending))
    return found


def _among(keys: Collection[tuple[str, str]], inside: bool) -> ColumnElement[bool]:
    listed = sorted(keys)
    condition = tuple_(_KEY.c.oid, _KEY.c.key_hash).in_(listed) if listed else false()
    return condition if inside else ~condition


def _may(permission: str) -> ColumnElement[bool]:
    """Whether a key holds a permission: its list is JSON, in which each stands in quotes."""
    text = cast(_KEY.c.permissions, String)
    if permission.endswith("*"):
        return text.contains(f'"{permission[:-1]}', autoescape=True)
    return text.contains(f'"{permission}"', autoescape=True)
