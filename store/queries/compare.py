"""Two organizations side by side, or one with itself at an earlier time: configuration, and who may do what.

Configuration is content-addressed, so that what is the same is known by its hash and only what differs is
read. Access is compared as `store.queries.asof` has it; against an earlier time, what the logs tell of how it
became what it is follows it, for they say by whom.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Table, func, or_, select

from store import models
from store.bodies import unpack
from store.configuration import content_hash, not_permitted
from store.months import day_of
from store.queries.asof import access_tables
from store.queries.sensordays import sensor_days
from store.rollouts.compare import normalised, observed_name
from store.rollouts.diff import differences
from store.text import Untrusted
from store.times import rfc3339

_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]
_RECORD: Table = models.ConfigurationRecord.__table__  # type: ignore[attr-defined]
_CONTENT: Table = models.ConfigurationBody.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]
_EVENT: Table = models.AccessEvent.__table__  # type: ignore[attr-defined]

PARTS = 12
"""Parts of one record that are told; of more their number."""

EVENTS = 200
"""Entries about access since an earlier time that are told, the newest first."""

PARTS_READ: dict[str, str] = {
    "configuration": "The configuration of {} was never read.",
    "access": "Who has access to {} was never read.",
    "keys": "The keys of {} were never read.",
}
"""Subject -> what is said where it was never read."""

PARTS_KNOWN_SINCE: dict[str, str] = {
    "access": "Who had access to {} then is not known: it is known only since {}.",
    "keys": "Which keys {} had then is not known: they are known only since {}.",
}
"""Subject -> what is said where it was read only later than the time that is asked for."""

Where = Literal["only left", "only right", "differs", "since"]
"""`since` is an entry of a log: not a state, but what was done to it."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two."""

    oid: str
    name: Untrusted
    at: int | None
    """The time (ms) as of which it is taken; None for now."""
    read_at: int | None
    """When its configuration was read last (ms); None when it never was."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is not the same on both sides."""

    what: str
    """`hive/dr-general`, `output`, ...; `setting`, `group`, `user`, `key`; `access log`."""
    name: Untrusted
    where: Where
    parts: tuple[Untrusted, ...] = ()
    """How they differ, part by part, from left to right; strangers' texts."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs, configuration first."""

    left: Side
    right: Side
    lines: tuple[Line, ...]
    same: int
    """Records that are alike."""
    gaps: tuple[str, ...]
    """What this does not rest on, a sentence each."""
    unread: tuple[tuple[Side, str], ...] = ()
    """(side, part of PARTS_READ or section) that was never read, or not yet then: nothing is said of it of
    either side."""


def compare(connection: Connection, left: str, right: str, *, at: int | None = None) -> Comparison | None:
    """Compare two organizations as they are; with `at`, the left one as it was then (ms).

    What was never read of one of them is not compared: else all that the other has would be said to differ.

    Returns:
        None when the store does not know one of them.
    """
    sides = _sides(connection, left, right, at)
    if sides is None:
        return None
    unread = _unread(connection, sides if at is None else sides[:1])
    gaps = [PARTS_READ[part].format(side.name) for side, part in unread]
    lacking = {part for _, part in unread}
    for part, since in _not_yet(connection, left, at):
        unread.append((sides[0], part))
        gaps.append(PARTS_KNOWN_SINCE[part].format(sides[0].name, rfc3339(since)))
        lacking.add(part)
    if at is not None:
        first = connection.execute(
            select(func.min(_RECORD.c.valid_from)).where(_RECORD.c.oid == left)
        ).scalar_one()
        if first is not None and first > at:
            gaps.append(f"The configuration of {sides[0].name} is known only since a later time.")
    mine, theirs = (
        ({}, {})
        if "configuration" in lacking
        else (_records(connection, left, at), _records(connection, right, None))
    )
    if at is None:
        for side, section in _closed(connection, sides, (mine, theirs)):
            unread.append((side, section))
            gaps.append(f"{section} of {side.name} was never read: its credential may not.")
            mine = {key: each for key, each in mine.items() if key[0] != section}
            theirs = {key: each for key, each in theirs.items() if key[0] != section}
    lines = list(_settings(connection, left, right) if at is None else _counts(connection, left, at))
    same = 0
    for key in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(key), theirs.get(key)
        if one is not None and other is not None and one.alike(other):
            same += 1
        elif one is None or other is None:
            lines.append(Line(key[0], Untrusted(key[1]), "only right" if one is None else "only left"))
        else:
            lines.append(Line(key[0], Untrusted(key[1]), "differs", _parts(connection, one, other)))
    if at is None:
        lines += _access(connection, left, right, lacking)
    else:
        lines += _access_then(connection, left, at, lacking)
        lines += _since(connection, left, at)
    return Comparison(*sides, tuple(lines), same, tuple(gaps), tuple(unread))


def _unread(connection: Connection, sides: Sequence[Side]) -> list[tuple[Side, str]]:
    """Which parts of which sides were never read."""
    rows = connection.execute(
        select(_STATE.c.oid, _STATE.c.subject).where(
            _STATE.c.oid.in_([side.oid for side in sides]),
            _STATE.c.subject.in_(PARTS_READ),
            _STATE.c.checked_at.is_not(None),
        )
    )
    read = {(row.oid, row.subject) for row in rows}
    return [(side, part) for part in PARTS_READ for side in sides if (side.oid, part) not in read]


def _not_yet(connection: Connection, oid: str, at: int | None) -> list[tuple[str, int]]:
    """Which parts were read later than at a time for the first time, and when (ms)."""
    if at is None:
        return []
    rows = connection.execute(
        select(_STATE.c.subject, _STATE.c.first_at).where(
            _STATE.c.oid == oid, _STATE.c.subject.in_(PARTS_KNOWN_SINCE), _STATE.c.first_at > at
        )
    )
    return sorted((row.subject, row.first_at) for row in rows)


def _sides(connection: Connection, left: str, right: str, at: int | None) -> tuple[Side, Side] | None:
    names = {
        row.oid: Untrusted(row.name or row.oid)
        for row in connection.execute(
            select(_ORGANIZATION.c.oid, _ORGANIZATION.c.name).where(_ORGANIZATION.c.oid.in_((left, right)))
        )
    }
    if left not in names or right not in names:
        return None
    wanted = select(_STATE.c.oid, _STATE.c.checked_at).where(
        _STATE.c.subject == "configuration", _STATE.c.oid.in_((left, right))
    )
    read = {row.oid: row.checked_at for row in connection.execute(wanted)}
    return (
        Side(left, names[left], at, read.get(left)),
        Side(right, names[right], None, read.get(right)),
    )


def _closed(
    connection: Connection, sides: Sequence[Side], held: Sequence[Mapping[tuple[str, str], "_Record"]]
) -> list[tuple[Side, str]]:
    """Sections of one side that its credential may not read and of which only the other one has records."""
    rows = connection.execute(
        select(_STATE.c.oid, _STATE.c.reason).where(
            _STATE.c.subject == "configuration", _STATE.c.oid.in_([side.oid for side in sides])
        )
    )
    closed = {row.oid: not_permitted(row.reason) for row in rows}
    has = [{section for section, _ in each} for each in held]
    return [
        (side, section)
        for number, side in enumerate(sides)
        for section in sorted((closed.get(side.oid, set()) & has[1 - number]) - has[number])
    ]


@dataclass(frozen=True, slots=True)
class _Record:
    hash: str
    metadata: Mapping[str, Any]
    body: Any = None
    """Where it is read already: without what the cloud itself writes into it."""

    def alike(self, other: "_Record") -> bool:
        return self.hash == other.hash and dict(self.metadata) == dict(other.metadata)


def _records(connection: Connection, oid: str, at: int | None) -> dict[tuple[str, str], _Record]:
    """What it had at that time, or has, by section and by the name that people know it by."""
    when = (
        [_RECORD.c.valid_to.is_(None)]
        if at is None
        else [_RECORD.c.valid_from <= at, or_(_RECORD.c.valid_to.is_(None), _RECORD.c.valid_to > at)]
    )
    hive = _RECORD.c.section.startswith("hive/", autoescape=True)
    rows = connection.execute(
        select(_RECORD.c.section, _RECORD.c.name, _RECORD.c.hash, _RECORD.c.metadata).where(
            _RECORD.c.oid == oid, hive, *when
        )
    )
    found = {(row.section, row.name): _Record(row.hash, row.metadata or {}) for row in rows}
    # Elsewhere an organization's own ids and times are in the body, and the name may be one of them.
    whole = connection.execute(
        select(_RECORD.c.section, _RECORD.c.name, _CONTENT.c.body)
        .join(_CONTENT, _CONTENT.c.hash == _RECORD.c.hash)
        .where(_RECORD.c.oid == oid, ~hive, *when)
    )
    for section, name, packed in whole:
        body = json.loads(unpack(packed))
        called = observed_name(section, name, body)
        form = normalised(section, called, body)
        found[section, called] = _Record(content_hash(form), {}, form)
    return found


def _parts(connection: Connection, one: _Record, other: _Record) -> tuple[Untrusted, ...]:
    said = [each.words for each in differences(dict(one.metadata), dict(other.metadata))]
    if one.hash != other.hash:
        said += [each.words for each in differences(_body(connection, one), _body(connection, other))]
    more = [f"and {len(said) - PARTS} more parts"] if len(said) > PARTS else []
    return tuple(Untrusted(each) for each in (*said[:PARTS], *more))


def _body(connection: Connection, record: _Record) -> Any:
    if record.body is not None:
        return record.body
    held = select(_CONTENT.c.body).where(_CONTENT.c.hash == record.hash)
    body = connection.execute(held).scalar_one_or_none()
    return {} if body is None else json.loads(unpack(body))


def _settings(connection: Connection, left: str, right: str) -> Iterator[Line]:
    found = {
        row.oid: {"region": row.region, "sensor_quota": row.sensor_quota, "status": row.status}
        for row in connection.execute(select(_ORGANIZATION).where(_ORGANIZATION.c.oid.in_((left, right))))
    }
    # What is not known of one of them is no difference.
    known = [
        name
        for name in found[left]
        if not any(found[oid][name] is None or found[oid][name] == "" for oid in (left, right))
    ]
    one, other = ({name: found[oid][name] for name in known} for oid in (left, right))
    for each in differences(one, other):
        yield Line("setting", Untrusted(each.path), "differs", (Untrusted(each.words),))


def _counts(connection: Connection, oid: str, at: int) -> Iterator[Line]:
    """Quota and sensors of that day against those of the day of the last look; what is not known of one of
    them is no difference."""
    then = sensor_days(connection, oid, day_of(at), day_of(at))
    if then.looked_at is None:
        return
    now = sensor_days(connection, oid, day_of(then.looked_at), day_of(then.looked_at))
    (one,), (other,) = then.days, now.days
    for name, field in (("sensor_quota", "quota"), ("sensors against the quota", "sensors")):
        was, became = getattr(one, field), getattr(other, field)
        if was is not None and became is not None and was != became:
            yield Line("setting", Untrusted(name), "differs", (Untrusted(f"{name} {was} -> {became}"),))


def _access(connection: Connection, left: str, right: str, lacking: Collection[str]) -> Iterator[Line]:
    if "access" not in lacking:
        yield from _sets("group", *(_groups(connection, oid) for oid in (left, right)))
        yield from _sets("user", *(_users(connection, oid) for oid in (left, right)))
    if "keys" not in lacking:
        yield from _sets("key", *(_keys(connection, oid) for oid in (left, right)))


def _sets(what: str, mine: Mapping[str, set[str]], theirs: Mapping[str, set[str]]) -> Iterator[Line]:
    for name in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(name), theirs.get(name)
        if one is None or other is None:
            yield Line(what, Untrusted(name), "only right" if one is None else "only left")
        elif one != other:
            parts = _taken_and_given(one, other)
            yield Line(what, Untrusted(name), "differs", tuple(Untrusted(each) for each in parts))


def _groups(connection: Connection, oid: str) -> dict[str, set[str]]:
    return {str(name): set() for name, _ in _groups_by_id(connection, oid, None).values()}


def _users(connection: Connection, oid: str, at: int | None = None) -> dict[str, set[str]]:
    """Who may do what, directly and by groups; owners of a group have nothing by that."""
    tables = access_tables(at)
    direct, group, member, holds = tables.direct.c, tables.group.c, tables.member.c, tables.holds.c
    found: dict[str, set[str]] = {}
    for email, permissions in connection.execute(
        select(direct.email, direct.permissions).where(direct.oid == oid)
    ):
        found.setdefault(email, set()).update(permissions)
    by_groups = (
        select(member.email, group.permissions)
        .select_from(tables.member)
        .join(tables.group, group.gid == member.gid)
        .join(tables.holds, holds.gid == member.gid)
        .where(holds.oid == oid, member.owner.is_(False))
    )
    for email, permissions in connection.execute(by_groups):
        found.setdefault(email, set()).update(permissions)
    return found


def _keys(connection: Connection, oid: str) -> dict[str, set[str]]:
    """By name: the hash is another in every organization."""
    found: dict[str, set[str]] = {}
    for name, permissions, _ in _keys_by_hash(connection, oid, None).values():
        found.setdefault(name, set()).update(permissions)
    return found


def _groups_by_id(connection: Connection, oid: str, at: int | None) -> dict[str, tuple[str, set[str]]]:
    tables = access_tables(at)
    group, holds = tables.group.c, tables.holds.c
    rows = connection.execute(
        select(group.gid, group.name, group.permissions)
        .select_from(tables.group)
        .join(tables.holds, holds.gid == group.gid)
        .where(holds.oid == oid)
    )
    return {gid: (name, set(permissions)) for gid, name, permissions in rows}


def _keys_by_hash(connection: Connection, oid: str, at: int | None) -> dict[str, tuple[str, set[str], str]]:
    key = access_tables(at).key.c
    rows = connection.execute(
        select(key.key_hash, key.name, key.permissions, key.allowed_ip_range).where(key.oid == oid)
    )
    return {each: (name, set(permissions), allowed) for each, name, permissions, allowed in rows}


def _access_then(connection: Connection, oid: str, at: int, lacking: Collection[str]) -> Iterator[Line]:
    """Access as it was against access as it is: the same group and the same key are known by their ids, so
    that one that was replaced by another of its name is told."""
    if "access" not in lacking:
        was, now = (_groups_by_id(connection, oid, each) for each in (at, None))
        yield from _versions("group", was, now)
        yield from _sets("user", _users(connection, oid, at), _users(connection, oid))
    if "keys" not in lacking:
        had, has = (_keys_by_hash(connection, oid, each) for each in (at, None))
        yield from _versions("key", had, has)


def _versions(
    what: str, was: Mapping[str, tuple[Any, ...]], now: Mapping[str, tuple[Any, ...]]
) -> Iterator[Line]:
    """Lines of what has a name, permissions, and may have a range of addresses, by id."""
    for each in sorted(
        was.keys() | now.keys(), key=lambda each: (str((now.get(each) or was[each])[0]), each)
    ):
        one, other = was.get(each), now.get(each)
        if one is None or other is None:
            yield Line(
                what, Untrusted((one or other or ("",))[0]), "only right" if one is None else "only left"
            )
        elif one != other:
            parts = [f"name {one[0]} -> {other[0]}"] if one[0] != other[0] else []
            parts += _taken_and_given(one[1], other[1])
            if one[2:] != other[2:]:
                parts.append(f"addresses {one[2] or 'any'} -> {other[2] or 'any'}")
            yield Line(what, Untrusted(other[0]), "differs", tuple(Untrusted(part) for part in parts))


def _taken_and_given(one: set[str], other: set[str]) -> list[str]:
    parts = [f"- {' '.join(sorted(one - other))}"] if one - other else []
    return parts + ([f"+ {' '.join(sorted(other - one))}"] if other - one else [])


def _since(connection: Connection, oid: str, at: int) -> Iterator[Line]:
    rows = connection.execute(
        select(_EVENT.c.kind, _EVENT.c.action, _EVENT.c.actor, _EVENT.c.principal, _EVENT.c.permission)
        .where(_EVENT.c.oid == oid, _EVENT.c.time > at)
        .order_by(_EVENT.c.time.desc(), _EVENT.c.id.desc())
        .limit(EVENTS)
    )
    for row in rows:
        said = " ".join(each for each in (row.action, row.permission) if each)
        parts = (Untrusted(said), *((Untrusted(f"by {row.actor}"),) if row.actor else ()))
        yield Line("access log", Untrusted(row.principal or row.kind), "since", parts)
