"""What sync writes: answers of the cloud into tables, touching only the rows that changed.

Every function takes a connection of `Store.writing()`, compares with what is there, and answers how many
rows it changed; 0 means that nothing was written. Doing the same twice is the same as doing it once.
Answers are taken leniently: what is missing stays empty, and what has the wrong shape is skipped.
"""

import hashlib
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Table, and_, delete, exists, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from store import accesshistory, audituse, folds, models, textindex, timeline
from store.alerts import CLASSIFICATIONS, SEVERITIES, STATUSES, severity_of
from store.bodies import pack, storable
from store.configuration import Record, canonical
from store.database import TOUCHED
from store.models.columns import compact
from store.sla import targets
from store.times import now_ms

CHUNK: Final = 500
"""Keys in one IN list: far below every engine's limit of bound values."""

LONGEST: Final = 500
"""Characters kept in an indexed column; PostgreSQL refuses index rows over 2,704 bytes."""

RUNS_KEPT: Final = 500

GROUP_LOG_KEPT: Final = 5_000
"""Entries kept of one group's log."""

_MILLISECONDS: Final = 10**11
"""Times from here on are milliseconds, below it seconds (`sys_mtd` and `ts` do not say)."""
_YEAR_10000: Final = 253_402_300_800_000

_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]
_DETECTION: Table = models.Detection.__table__  # type: ignore[attr-defined]
_BODY: Table = models.DetectionBody.__table__  # type: ignore[attr-defined]
_COUNT: Table = models.DetectionCount.__table__  # type: ignore[attr-defined]
_CASE: Table = models.CaseRecord.__table__  # type: ignore[attr-defined]
_CASE_READING: Table = models.CaseReading.__table__  # type: ignore[attr-defined]
_CASE_LINK: Table = models.CaseDetection.__table__  # type: ignore[attr-defined]
_CASE_EVENT: Table = models.CaseEvent.__table__  # type: ignore[attr-defined]
_CASE_ITEM: Table = models.CaseItem.__table__  # type: ignore[attr-defined]
_SENSOR: Table = models.Sensor.__table__  # type: ignore[attr-defined]
_USER: Table = models.User.__table__  # type: ignore[attr-defined]
_DIRECT: Table = models.DirectPermission.__table__  # type: ignore[attr-defined]
_GROUP: Table = models.Group.__table__  # type: ignore[attr-defined]
_MEMBER: Table = models.GroupMember.__table__  # type: ignore[attr-defined]
_HELD: Table = models.GroupOrganization.__table__  # type: ignore[attr-defined]
_KEY: Table = models.ApiKey.__table__  # type: ignore[attr-defined]
_CONTENT: Table = models.ConfigurationBody.__table__  # type: ignore[attr-defined]
_RECORD: Table = models.ConfigurationRecord.__table__  # type: ignore[attr-defined]
_USAGE: Table = models.Usage.__table__  # type: ignore[attr-defined]
_ERROR: Table = models.OrganizationError.__table__  # type: ignore[attr-defined]
_AUDIT: Table = models.AuditEntry.__table__  # type: ignore[attr-defined]
_USE: Table = models.AuditUse.__table__  # type: ignore[attr-defined]
_EVENT_OF_ACCESS: Table = models.AccessEvent.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]
_RUN: Table = models.SyncRun.__table__  # type: ignore[attr-defined]


# Detections


@dataclass(frozen=True, slots=True)
class NewDetection:
    """A detection as it was received, and what the queue needs of it."""

    detect_id: str
    severity: int
    """Index into `store.alerts.SEVERITIES`."""
    time: int
    """Milliseconds, UTC."""
    cat: str
    rule: str
    hostname: str
    sid: str
    event_type: str
    priority: int | None
    damaged: bool
    """It could not be read as a JSON object."""
    body: bytes
    """Exactly what was received."""
    values: Mapping[str, str] | None = field(default=None, compare=False, repr=False)
    """What it is folded by (`store.folds.values_of`); read from the body when None."""
    identity: folds.Identity | None = field(default=None, compare=False, repr=False)
    """What that makes of it where no fold key was set."""
    tokens: str | None = field(default=None, compare=False, repr=False)
    """What it is found by (`store.textindex.tokens_of`); read from the body when None."""
    packed: bytes | None = field(default=None, compare=False, repr=False)
    """The body as it is stored (`store.bodies.pack`), packed before anybody has to wait for it."""


class _Routing(msgspec.Struct):
    hostname: Any = None
    sid: Any = None
    event_type: Any = None
    event_time: Any = None


class _Metadata(msgspec.Struct):
    level: Any = None


class _Event(msgspec.Struct):
    routing: _Routing | None = None


class _Detect(msgspec.Struct):
    detect_id: Any = None
    cat: Any = None
    source_rule: Any = None
    priority: Any = None
    gen_time: Any = None
    ts: Any = None
    routing: _Routing | None = None
    detect: _Event | None = None
    detect_mtd: _Metadata | None = None


_DECODER = msgspec.json.Decoder(_Detect)


def detection_from(raw: bytes, oid: str, *, received: int | None = None) -> NewDetection:
    """Read one detection of `GET insight/{oid}/detections`.

    The fast way reads only what is needed; a record that it refuses (a lone surrogate, a field of another
    shape) is read again with the standard library. One that is no JSON object at all is kept as it came,
    marked as damaged, under an id made of its content.

    Args:
        raw: one record, JSON text.
        oid: the organization that was asked.
        received: milliseconds, UTC: the time of a detection that carries none; the clock when None.

    Returns:
        Texts made storable (see `storable`). The time is `gen_time`, else `ts`, else `routing.event_time`;
        `ts` may be seconds or milliseconds (the docs show both).
    """
    try:
        read = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _leniently(raw, oid, received)
    mtd, routing = read.detect_mtd, read.routing or _Routing()
    inner = (read.detect.routing if read.detect else None) or _Routing()
    return _new(
        raw,
        received=received,
        detect_id=read.detect_id,
        level=mtd.level if mtd else None,
        priority=read.priority,
        times=(read.gen_time, read.ts, routing.event_time),
        cat=read.cat,
        rule=read.source_rule,
        hostname=routing.hostname or inner.hostname,
        sid=routing.sid or inner.sid,
        event_type=routing.event_type or inner.event_type,
    )


def _leniently(raw: bytes, oid: str, received: int | None) -> NewDetection:
    try:
        read = json.loads(raw)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        return NewDetection(
            detect_id="damaged-" + hashlib.sha256(raw).hexdigest()[:24],
            severity=severity_of(None, None),
            time=now_ms() if received is None else received,
            cat="", rule="", hostname="", sid="", event_type="",
            priority=None,
            damaged=True,
            body=raw,
        )  # fmt: skip
    routing, inner = _mapping(read.get("routing")), _mapping(_mapping(read.get("detect")).get("routing"))
    return _new(
        raw,
        received=received,
        detect_id=read.get("detect_id"),
        level=_mapping(read.get("detect_mtd")).get("level"),
        priority=read.get("priority"),
        times=(read.get("gen_time"), read.get("ts"), routing.get("event_time")),
        cat=read.get("cat"),
        rule=read.get("source_rule"),
        hostname=routing.get("hostname") or inner.get("hostname"),
        sid=routing.get("sid") or inner.get("sid"),
        event_type=routing.get("event_type") or inner.get("event_type"),
    )


def _new(
    raw: bytes,
    *,
    received: int | None,
    detect_id: object,
    level: object,
    priority: object,
    times: tuple[object, ...],
    cat: object,
    rule: object,
    hostname: object,
    sid: object,
    event_type: object,
) -> NewDetection:
    moment = next((found for found in map(milliseconds, times) if found is not None), None)
    if moment is None:
        moment = now_ms() if received is None else received
    labels = {"cat": _short(cat), "rule": _short(rule), "hostname": _short(hostname)}
    record = textindex.record_of(raw)
    values = {} if record is None else folds.values_of(record)
    return NewDetection(
        detect_id=_key(detect_id) or "unnamed-" + hashlib.sha256(raw).hexdigest()[:24],
        severity=severity_of(level, priority),
        time=moment,
        sid=_short(sid),
        event_type=_short(event_type),
        priority=_whole(priority, 31),
        damaged=False,
        body=raw,
        values=values,
        identity=folds.identity_of(values, labels["rule"], labels["cat"], folds.DEFAULT),
        tokens=textindex.tokens_of(raw, record, **labels),
        packed=pack(raw),
        **labels,
    )


def put_detections(c: Connection, oid: str, records: Sequence[NewDetection]) -> int:
    """Store those detections that are not there yet, with their bodies, and count them.

    Args:
        records: at most a few hundred, so that other writers do not wait for long.

    Returns:
        How many were new.
    """
    wanted = {record.detect_id: record for record in reversed(records)}
    for known in _in_chunks(c, _DETECTION.c.detect_id, wanted, _DETECTION.c.oid == oid):
        wanted.pop(known, None)
    fresh = [record for record in records if wanted.get(record.detect_id) is record]
    if not fresh:
        return 0
    clock = targets(c, oid)
    rows: list[dict[str, Any]] = [
        {
            "oid": oid, "detect_id": record.detect_id, "severity": record.severity, "rank": record.severity,
            "time": record.time,
            "cat": record.cat, "rule": record.rule, "hostname": record.hostname, "sid": record.sid,
            "event_type": record.event_type, "priority": record.priority, "damaged": record.damaged,
            "status": 0, "classification": 0, "assignee": "", "version": 0, "fold_id": 0, "tags": "",
            "due_at": clock.due_at(record.severity, 0, record.time),
        }
        for record in fresh
    ]  # fmt: skip
    folds.assign(
        c,
        oid,
        rows,
        [folds.values_in(each.body) if each.values is None else each.values for each in fresh],
        [each.identity for each in fresh],
    )
    stored = _put_rows(c, rows)
    if len(stored) < len(rows):
        folds.recount(c, {row["fold_id"] for row in rows}, moved=True)
    if not stored:
        return 0
    _put_bodies(
        c,
        [(number, wanted[detect_id].packed or pack(wanted[detect_id].body)) for number, detect_id in stored],
    )
    textindex.put(c, oid, [(number, *_indexed(wanted[detect_id])) for number, detect_id in stored])
    counts: dict[int, int] = {}
    for _, detect_id in stored:
        severity = wanted[detect_id].severity
        counts[severity] = counts.get(severity, 0) + 1
    upsert = _insert(c, _COUNT)
    c.execute(
        upsert.on_conflict_do_update(
            index_elements=["oid", "severity", "status"],
            set_={"count": _COUNT.c.count + upsert.excluded["count"]},
        ),
        [
            {"oid": oid, "severity": severity, "status": 0, "count": count}
            for severity, count in sorted(counts.items())
        ],
    )
    return len(stored)


_PLAIN: Final = (
    "id", "oid", "severity", "rank", "time", "cat", "rule", "hostname", "event_type", "priority", "damaged",
    "status", "classification", "assignee", "version", "fold_id", "tags", "due_at",
)  # fmt: skip
_WRITTEN: Final = (*_PLAIN, "detect_id", "sid")
_INSERT: Final = f"INSERT INTO detection ({', '.join(_WRITTEN)}) VALUES ({', '.join('?' * len(_WRITTEN))})"
_plain_of = itemgetter(*_PLAIN)


def _bound(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """A row as SQLite holds it, beneath SQLAlchemy: see `_put_bodies`."""
    return (*_plain_of(row), compact(row["detect_id"]), compact(row["sid"]))


def _put_rows(c: Connection, rows: list[dict[str, Any]]) -> Sequence[tuple[int, str]]:
    """Insert rows that are not there: number and id of each that was stored."""
    if c.dialect.name == "sqlite":
        # Nobody else writes until this transaction ends, so the numbers are known before; to be told them by
        # the database costs more than the writing.
        last = c.execute(select(func.max(_DETECTION.c.id))).scalar_one() or 0
        for number, row in enumerate(rows, last + 1):
            row["id"] = number
        c.exec_driver_sql(_INSERT, [_bound(row) for row in rows])
        c.info[TOUCHED].add(_DETECTION.name)
        return [(row["id"], row["detect_id"]) for row in rows]
    statement = (
        _insert(c, _DETECTION)
        .on_conflict_do_nothing(index_elements=["oid", "detect_id"])
        .returning(_DETECTION.c.id, _DETECTION.c.detect_id)
    )
    return [(row.id, row.detect_id) for row in c.execute(statement, rows)]


def _indexed(record: NewDetection) -> tuple[int, str, tuple[str, str, str]]:
    """What the text index wants to know of a new detection, but its number."""
    tokens = record.tokens
    if tokens is None:
        tokens = textindex.tokens_of(
            record.body, textindex.record_of(record.body), cat=record.cat, rule=record.rule,
            hostname=record.hostname,
        )  # fmt: skip
    return record.time, tokens, (record.cat, record.rule, record.hostname)


def _put_bodies(c: Connection, rows: list[tuple[int, bytes]]) -> None:
    """Beneath SQLAlchemy where that can be: going through each row's names costs as much as writing it.

    Nobody has to be told: bodies are written with their detections only.
    """
    if c.dialect.name == "sqlite":
        c.exec_driver_sql("INSERT INTO detection_body (detection_id, body) VALUES (?, ?)", rows)
    else:
        c.execute(insert(_BODY), [{"detection_id": number, "body": body} for number, body in rows])


# Organizations

_SIGNS: Final = {"sensor_online": "sensors", "errors": "errors"}
"""Columns of the listing, and the subjects that their change makes stale."""


def put_organizations(c: Connection, rows: Iterable[Mapping[str, Any]], *, complete: bool, now: int) -> int:
    """Store what `GET user/orgs` listed.

    Args:
        rows: dicts with oid, name, region, status, sensor_quota, details; what is missing stays as it was.
        complete: the listing was read to its end: organizations that it does not name are marked as gone,
            and those that it names again are not gone any more.
        now: milliseconds, UTC.
    """
    listed = list(rows)
    known: dict[str, Any] = {}
    for part in _chunks(sorted({_key(row.get("oid")) for row in listed})):
        found_rows = c.execute(select(_ORGANIZATION).where(_ORGANIZATION.c.oid.in_(part)))
        known.update((row.oid, row) for row in found_rows)
    changed = 0
    new: list[dict[str, Any]] = []
    named: set[str] = set()
    for row in listed:
        oid = _key(row.get("oid"))
        if not oid or oid in named:
            continue
        named.add(oid)
        listing = {**_mapping(row.get("details")), "sensor_quota": row.get("sensor_quota")}
        found = known.get(oid)
        if found is None:
            new.append(
                {
                    "oid": oid, "name": _short(row.get("name")), "region": storable(row.get("region")),
                    "status": storable(row.get("status")), "first_seen": now, "gone_at": None,
                    "sensor_quota": _whole(row.get("sensor_quota"), 31), "details": {"listing": listing},
                }
            )  # fmt: skip
            continue
        before = _mapping(found.details.get("listing"))
        values = {
            column: value
            for column, value in (
                ("name", _short(row["name"]) if "name" in row else found.name),
                ("region", storable(row["region"]) if "region" in row else found.region),
                ("status", storable(row["status"]) if "status" in row else found.status),
            )
            if value != getattr(found, column)
        }
        if listing != before:
            values["details"] = {**found.details, "listing": listing}
            differs = {name for name in {*listing, *before} if listing.get(name) != before.get(name)}
            signs = {subject: "*" for name, subject in _SIGNS.items() if name in differs}
            mark_stale(c, oid, {"organization": "*", **signs})
            quota = _whole(row.get("sensor_quota"), 31)
            if listing["sensor_quota"] != before.get("sensor_quota") and quota is not None:
                values["sensor_quota"] = quota
        if found.gone_at is not None:
            values["gone_at"] = None
        changed += _change(c, _ORGANIZATION, {"oid": oid}, values)
    if new:
        c.execute(insert(_ORGANIZATION), new)
    if complete:
        changed += mark_gone(c, named, now=now)
    return changed + len(new)


def mark_gone(c: Connection, listed: Collection[str], *, now: int) -> int:
    """Mark those organizations as gone that a complete listing did not name; how many are newly gone."""
    there = c.execute(select(_ORGANIZATION.c.oid).where(_ORGANIZATION.c.gone_at.is_(None))).scalars()
    gone = sorted(set(there).difference(listed))
    for part in _chunks(gone):
        c.execute(update(_ORGANIZATION).where(_ORGANIZATION.c.oid.in_(part)).values(gone_at=now))
    return len(gone)


def put_organization_facts(
    c: Connection,
    oid: str,
    *,
    details: Mapping[str, Any] | None = None,
    quota: int | None = None,
    quota_used: float | None = None,
    sensors_online: int | None = None,
) -> int:
    """Store what `GET orgs/{oid}`, `quota_usage/{oid}` and `online/{oid}` answered; None leaves as it was."""
    found = c.execute(select(_ORGANIZATION).where(_ORGANIZATION.c.oid == oid)).one_or_none()
    if found is None:
        return 0
    values: dict[str, Any] = {}
    if details is not None:
        merged = {**_plain(details), "listing": _mapping(found.details.get("listing"))}
        if merged != found.details:
            values["details"] = merged
    for column, value in (
        ("sensor_quota", _whole(quota, 31)),
        ("quota_used", _number(quota_used)),
        ("sensors_online", _whole(sensors_online, 31)),
    ):
        if value is not None and value != getattr(found, column):
            values[column] = value
    return _change(c, _ORGANIZATION, {"oid": oid}, values)


# Sensors


def put_sensors(c: Connection, oid: str, rows: Iterable[Mapping[str, Any]]) -> int:
    """Store a complete listing of `GET sensors/{oid}`, its records as received; vanished ones are deleted."""
    wanted = {(row["sid"],): row for row in map(partial(_sensor, oid), rows) if row["sid"]}
    return _mirror(c, _SENSOR, ("sid",), wanted, _SENSOR.c.oid == oid)


def put_sensor(c: Connection, oid: str, row: Mapping[str, Any]) -> int:
    """Store one sensor, as `GET {sid}` has it in `info`; its tags stay as they were where it names none."""
    made = _sensor(oid, row)
    if not made["sid"]:
        return 0
    here = and_(_SENSOR.c.oid == oid, _SENSOR.c.sid == made["sid"])
    if "tags" not in row:
        before = c.execute(select(_SENSOR.c.tags).where(here)).scalar_one_or_none()
        made["tags"] = before or []
    return _mirror(c, _SENSOR, ("sid",), {(made["sid"],): made}, here)


def _sensor(oid: str, record: Mapping[str, Any]) -> dict[str, Any]:
    row = _plain(record)
    return {
        "oid": oid, "sid": _key(row.get("sid")), "hostname": _short(row.get("hostname")),
        "platform": _whole(row.get("plat"), 63) or 0, "architecture": _whole(row.get("arch"), 31) or 0,
        "enrolled": milliseconds(row.get("enroll")), "alive": milliseconds(row.get("alive")),
        "internal_ip": storable(row.get("int_ip")), "external_ip": storable(row.get("ext_ip")),
        "isolated": bool(row.get("isolated")), "tags": _texts(row.get("tags")), "details": row,
    }  # fmt: skip


# Access


def put_access(c: Connection, oid: str, answer: Mapping[str, Any], *, now: int | None = None) -> int:
    """Store what `GET orgs/{oid}/users/permissions` answered.

    `user_permissions` and `direct_users` are what is granted directly; `from_groups` and `group_info` tell
    the groups that hold the organization. Of a group that `put_groups` has read whole, only what that
    listing does not know is taken from here.

    Args:
        answer: the answer as received.
        now: milliseconds, UTC; the clock when None.
    """
    now = now_ms() if now is None else now
    answer = _plain(answer)
    users: dict[str, dict[str, Any]] = {}
    direct: dict[str, set[str]] = {}
    for email, permissions in _mapping(answer.get("user_permissions")).items():
        users.setdefault(_key(email), {})
        direct.setdefault(_key(email), set()).update(_texts(permissions))
    for user in _list(answer.get("direct_users")):
        email = _key(_mapping(user).get("email"))
        if email:
            users.setdefault(email, {}).update(_person(user))
            direct.setdefault(email, set()).update(_texts(user.get("perms")))
    members: dict[str, set[str]] = {}
    for name, user in _mapping(answer.get("from_groups")).items():
        user = _mapping(user)
        email = _key(user.get("email") or name)
        users.setdefault(email, {}).update(_person(user))
        for gid, held in _mapping(user.get("groups")).items():
            if held:
                members.setdefault(_key(gid), set()).add(email)
    infos = {_key(gid): _mapping(info) for gid, info in _mapping(answer.get("group_info")).items()}
    for gid in members:
        infos.setdefault(gid, {})
    owners = {gid: {_key(owner) for owner in _list(info.get("owners"))} for gid, info in infos.items()}

    changed = _put_users(c, users, now)
    changed += _mirror(
        c,
        _DIRECT,
        ("email",),
        {
            (email,): {"oid": oid, "email": email, "permissions": sorted(permissions)}
            for email, permissions in direct.items()
            if email
        },
        _DIRECT.c.oid == oid,
        now=now,
    )
    return changed + _put_groups_of(c, oid, infos, members, owners, now)


def _put_groups_of(
    c: Connection,
    oid: str,
    infos: Mapping[str, Mapping[str, Any]],
    members: Mapping[str, set[str]],
    owners: Mapping[str, set[str]],
    now: int,
) -> int:
    changed = 0
    known = {row.gid: row for row in c.execute(select(_GROUP))}
    foreign = {gid for gid in infos if gid not in known or not known[gid].complete}
    for gid in sorted(foreign):
        permissions = sorted(_texts(infos[gid].get("perms")))
        changed += _upsert(
            c,
            _GROUP,
            {"gid": gid},
            {"name": _short(infos[gid].get("name")) or gid, "permissions": permissions},
            {"complete": False, "first_seen": now},
            now=now,
        )
        changed += _put_members(c, gid, members.get(gid, set()), owners.get(gid, set()), now)
    held = set(
        c.execute(
            select(_HELD.c.gid).join(_GROUP, _GROUP.c.gid == _HELD.c.gid, isouter=True)
            .where(_HELD.c.oid == oid, _GROUP.c.complete.is_not(True))
        ).scalars()
    )  # fmt: skip
    for gid in sorted(foreign - held):
        c.execute(insert(_HELD).values(gid=gid, oid=oid, valid_from=now))
    for gid in sorted(held - foreign):
        _remove(c, _HELD, (_HELD.c.gid == gid, _HELD.c.oid == oid), now)
        changed += _drop_if_unheld(c, gid, now)
    return changed + len(held ^ foreign)


def _drop_if_unheld(c: Connection, gid: str, now: int) -> int:
    """Forget a group that nobody lists whole and that holds no organization any more."""
    if c.execute(select(_HELD.c.oid).where(_HELD.c.gid == gid).limit(1)).first() is not None:
        return 0
    _remove(c, _MEMBER, (_MEMBER.c.gid == gid,), now)
    return _remove(c, _GROUP, (_GROUP.c.gid == gid,), now)


def put_groups(
    c: Connection,
    groups: Iterable[Mapping[str, Any]],
    *,
    same: Iterable[str] = (),
    now: int | None = None,
) -> int:
    """Store all groups of the credential, each whole.

    A group that was whole and is no longer among them is known by its organizations' own listings from
    then on, if any names it.

    Args:
        groups: as `GET groups/{gid}` answers: group_id (or gid), name, owners, members,
            orgs [{org_id, org_name}], perms.
        same: gids of groups that are there and did not change, so that they were not read.
        now: milliseconds, UTC; the clock when None.
    """
    now = now_ms() if now is None else now
    changed = 0
    listed = set(same)
    people: dict[str, dict[str, Any]] = {}
    for group in map(_plain, groups):
        gid = _key(group.get("group_id") or group.get("gid"))
        if not gid:
            continue
        listed.add(gid)
        members = {_key(email) for email in _emails(group.get("members"))}
        owners = {_key(email) for email in _emails(group.get("owners"))}
        people.update((email, {}) for email in (members | owners) if email)
        changed += _upsert(
            c,
            _GROUP,
            {"gid": gid},
            {
                "name": _short(group.get("name")) or gid,
                "permissions": sorted(_texts(group.get("perms"))),
                "complete": True,
            },
            {"first_seen": now},
            now=now,
        )
        changed += _put_members(c, gid, members, owners, now)
        oids = {
            _key(each.get("org_id") if isinstance(each, dict) else each) for each in _list(group.get("orgs"))
        }
        changed += _mirror(
            c,
            _HELD,
            ("oid",),
            {(oid,): {"gid": gid, "oid": oid} for oid in oids if oid},
            _HELD.c.gid == gid,
            now=now,
        )
    lost = [
        gid for gid in c.execute(select(_GROUP.c.gid).where(_GROUP.c.complete)).scalars() if gid not in listed
    ]
    for gid in sorted(lost):
        changed += _upsert(c, _GROUP, {"gid": gid}, {"complete": False}, {}, now=now)
        # Their organizations have to be asked again, though their answers may equal the last ones.
        holders = select(_HELD.c.oid).where(_HELD.c.gid == gid).scalar_subquery()
        c.execute(
            update(_STATE)
            .where(_STATE.c.subject == "access", _STATE.c.oid.in_(holders))
            .values(fingerprint="", stale="*")
        )
        _drop_if_unheld(c, gid, now)
    return changed + _put_users(c, people, now)


def put_group(c: Connection, group: Mapping[str, Any], *, now: int | None = None) -> int:
    """Store one group as `GET groups/{gid}` answers it; the others stay as they are."""
    whole = c.execute(select(_GROUP.c.gid).where(_GROUP.c.complete)).scalars().all()
    return put_groups(c, [group], same=whole, now=now)


def drop_group(c: Connection, gid: str, *, now: int | None = None) -> int:
    """Take a group out that was deleted; what it gave until now (ms; the clock when None) is history."""
    now = now_ms() if now is None else now
    for table in (_MEMBER, _HELD):
        _remove(c, table, (table.c.gid == gid,), now)
    return _remove(c, _GROUP, (_GROUP.c.gid == gid,), now)


def _put_members(c: Connection, gid: str, members: set[str], owners: set[str], now: int) -> int:
    rows = {
        (email, owner): {"gid": gid, "email": email, "owner": owner}
        for owner, emails in ((False, members), (True, owners))
        for email in emails
        if email
    }
    return _mirror(c, _MEMBER, ("email", "owner"), rows, _MEMBER.c.gid == gid, now=now)


def _put_users(c: Connection, users: Mapping[str, Mapping[str, Any]], now: int) -> int:
    """Store people; a field that an answer does not carry stays as it was."""
    wanted = {email: facts for email, facts in users.items() if email}
    known: dict[str, Any] = {}
    for part in _chunks(sorted(wanted)):
        known.update((row.email, row) for row in c.execute(select(_USER).where(_USER.c.email.in_(part))))
    changed = 0
    new = []
    for email, facts in wanted.items():
        if email not in known:
            new.append({"email": email, "uid": "", "mfa": None, "mfa_types": [], **facts, "first_seen": now})
            continue
        values = {name: value for name, value in facts.items() if value != getattr(known[email], name)}
        changed += _change(c, _USER, {"email": email}, values)
    if new:
        c.execute(_insert(c, _USER).on_conflict_do_nothing(), sorted(new, key=lambda row: row["email"]))
    return changed + len(new)


def _person(user: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if user.get("uid"):
        facts["uid"] = storable(user["uid"])
    if isinstance(user.get("MFA_enabled"), bool):
        facts["mfa"] = user["MFA_enabled"]
    if isinstance(user.get("MFA_types"), list):
        facts["mfa_types"] = sorted(_texts(user["MFA_types"]))
    return facts


def put_keys(
    c: Connection, oid: str, keys: Mapping[str, Any] | Iterable[Mapping[str, Any]], *, now: int | None = None
) -> int:
    """Store a complete listing of `GET orgs/{oid}/keys`; vanished keys are deleted.

    Args:
        keys: {key_hash: {name, priv, by, allowed_ip_range, last_used}}, or a list with `key_hash` in each.
        now: milliseconds, UTC; the clock when None.
    """
    now = now_ms() if now is None else now
    if isinstance(keys, Mapping):
        listed = [(name, _mapping(_plain(key))) for name, key in keys.items()]
    else:
        listed = [(each.get("key_hash"), each) for each in map(_plain, keys)]
    seen = {
        row.key_hash: row.first_seen
        for row in c.execute(select(_KEY.c.key_hash, _KEY.c.first_seen).where(_KEY.c.oid == oid))
    }
    rows = {}
    for name, key in listed:
        key_hash = _key(name)
        if key_hash:
            rows[(key_hash,)] = {
                "oid": oid, "key_hash": key_hash, "name": storable(key.get("name")),
                "permissions": sorted(_texts(key.get("priv") or key.get("perms"))),
                "created_by": storable(key.get("by")),
                "allowed_ip_range": storable(key.get("allowed_ip_range")),
                "last_used": milliseconds(key.get("last_used")), "first_seen": seen.get(key_hash, now),
            }  # fmt: skip
    return _mirror(c, _KEY, ("key_hash",), rows, _KEY.c.oid == oid, now=now)


# Configuration


def etags(c: Connection, oid: str, section: str) -> dict[str, str]:
    """The etags of a section's records as they are stored, by name."""
    rows = c.execute(
        select(_RECORD.c.name, _RECORD.c.etag).where(
            _RECORD.c.oid == oid, _RECORD.c.section == section, _RECORD.c.valid_to.is_(None)
        )
    )
    return {row.name: row.etag for row in rows}


def put_configuration(
    c: Connection,
    oid: str,
    section: str,
    records: Mapping[str, Record],
    now: int,
    *,
    same: Iterable[str] = (),
) -> int:
    """Store a complete section of one organization: a record that changed or vanished ends at `now`.

    Args:
        section: of `store.configuration.SECTIONS`.
        records: by name; bodies already redacted.
        now: milliseconds, UTC.
        same: names of records that are there and did not change, so that they were not read.
    """
    return put_sections(c, oid, {section: records}, now, same={section: same})


def put_sections(
    c: Connection,
    oid: str,
    sections: Mapping[str, Mapping[str, Record]],
    now: int,
    *,
    same: Mapping[str, Iterable[str]] | None = None,
) -> int:
    """Store several complete sections of one organization at once; arguments as of `put_configuration`."""
    current = {
        (row.section, row.name): row
        for row in c.execute(
            select(_RECORD).where(
                _RECORD.c.oid == oid, _RECORD.c.section.in_(list(sections)), _RECORD.c.valid_to.is_(None)
            )
        )
    }
    for section, names in (same or {}).items():
        for name in names:
            current.pop((section, _key(name, LONGEST)), None)
    wanted: dict[tuple[str, str], dict[str, Any]] = {}
    bodies: dict[str, bytes] = {}
    ended: list[int] = []
    for section, records in sections.items():
        for given, record in records.items():
            key = section, _key(given, LONGEST)
            body = canonical(record.body)
            digest = hashlib.sha256(body).hexdigest()
            metadata = _plain(record.metadata)
            enabled = metadata.get("enabled")
            row = {
                "hash": digest, "metadata": metadata,
                "enabled": enabled if isinstance(enabled, bool) else None,
                "etag": storable(record.etag), "author": storable(record.author),
                "modified": milliseconds(record.modified),
            }  # fmt: skip
            found = current.pop(key, None)
            if found is not None:
                if all(found._mapping[column] == value for column, value in row.items()):
                    continue
                ended.append(found.id)
            wanted[key] = {"oid": oid, "section": section, "name": key[1], **row, "valid_from": now}
            bodies[digest] = body
    ended.extend(row.id for row in current.values())
    for part in _chunks(sorted(ended)):
        c.execute(update(_RECORD).where(_RECORD.c.id.in_(part)).values(valid_to=now))
    for known in _in_chunks(c, _CONTENT.c.hash, bodies):
        bodies.pop(known)
    if bodies:
        c.execute(
            _insert(c, _CONTENT).on_conflict_do_nothing(),
            [{"hash": digest, "body": pack(body)} for digest, body in sorted(bodies.items())],
        )
    if wanted:
        c.execute(insert(_RECORD), list(wanted.values()))
    return len(ended) + len(wanted)


def put_record(c: Connection, oid: str, section: str, name: str, record: Record | None, *, now: int) -> int:
    """Store one record as it was just read, or that it is gone; the rest of its section stays.

    Args:
        record: secrets already replaced; None when there is none any more.
        now: milliseconds, UTC: when it was read.

    Returns:
        How many rows were written.
    """
    others = c.execute(
        select(_RECORD.c.name).where(
            _RECORD.c.oid == oid, _RECORD.c.section == section, _RECORD.c.valid_to.is_(None)
        )
    ).scalars()
    key = _key(name, LONGEST)
    same = {section: [each for each in others if each != key]}
    return put_sections(c, oid, {section: {} if record is None else {name: record}}, now, same=same)


# Usage, errors, audit


def put_usage(c: Connection, oid: str, usage: Mapping[str, Any]) -> int:
    """Store `GET usage/{oid}`: {YYYY-MM-DD: {metric: number}}, in its envelope or bare. Older days stay."""
    days = usage["usage"] if isinstance(usage.get("usage"), Mapping) else usage
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for day, metrics in days.items():
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", str(day)):
            continue
        for metric, value in _mapping(metrics).items():
            number = _number(value)
            if number is not None:
                name = _key(metric)
                rows[day, name] = {"oid": oid, "day": day, "metric": name, "value": number}
    return _mirror(c, _USAGE, ("day", "metric"), rows, _USAGE.c.oid == oid, keep=True)


def put_errors(c: Connection, oid: str, errors: Iterable[Mapping[str, Any]] | Mapping[str, Any]) -> int:
    """Store `GET errors/{oid}`: all standing errors [{component, error, ts}]; ended ones are deleted."""
    if isinstance(errors, Mapping):
        inner = errors.get("errors", errors)
        listed: Iterable[Any] = (
            [{"component": name, **_entry(each)} for name, each in inner.items()]
            if isinstance(inner, Mapping)
            else _list(inner)
        )
    else:
        listed = errors
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for error in map(_plain, listed):
        component = _key(error.get("component"))
        rows[component,] = {
            "oid": oid, "component": component, "error": storable(error.get("error")),
            "time": milliseconds(error.get("ts")),
        }  # fmt: skip
    return _mirror(c, _ERROR, ("component",), rows, _ERROR.c.oid == oid)


def _entry(value: object) -> dict[str, Any]:
    return {"error": value} if isinstance(value, str) else _mapping(value)


def put_audit(c: Connection, oid: str, entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Store entries of `GET insight/{oid}/audit` that are not there yet, by their content.

    Returns:
        Those that were new, with their time in `time` (ms).
    """
    rows: dict[str, dict[str, Any]] = {}
    for entry in map(_plain, entries):
        digest = hashlib.sha256(canonical(entry)).hexdigest()
        moment = milliseconds(entry.get("time"))
        rows[digest] = {
            "oid": oid, "digest": digest,
            "time": (milliseconds(entry.get("ts")) or 0) if moment is None else moment,
            "kind": storable(entry.get("etype")), "message": storable(entry.get("msg")),
            "actor": storable(entry.get("ident") or entry.get("origin")), "details": entry,
        }  # fmt: skip
    for known in _in_chunks(c, _AUDIT.c.digest, rows, _AUDIT.c.oid == oid):
        rows.pop(known, None)
    if rows:
        c.execute(_insert(c, _AUDIT).on_conflict_do_nothing(), list(rows.values()))
        told = sorted(rows.values(), key=itemgetter("time"))
        _put_events(
            c, [timeline.audit_event(oid, row["digest"], row["time"], row["details"]) for row in told]
        )
        used = audituse.rows_of(oid, ((row["actor"], row["time"], row["details"]) for row in told))
        audituse.put(c, _USE, used)
    return [{**row["details"], "time": row["time"]} for row in rows.values()]


def put_group_log(c: Connection, gid: str, entries: Iterable[Mapping[str, Any]]) -> int:
    """Store the entries of `GET groups/{gid}/logs` that are not there yet, by their content.

    Of a group the newest GROUP_LOG_KEPT are kept. Entries of one second stay in the order of the log,
    whichever end of it is the newest.

    Returns:
        How many were new.
    """
    rows: dict[str, dict[str, Any]] = {}
    listed = list(map(_plain, entries))
    moments = [_moment(entry) for entry in listed]
    if listed and moments[0] > moments[-1]:
        listed, moments = listed[::-1], moments[::-1]
    oldest_first = sorted(zip(moments, listed, strict=True), key=itemgetter(0))
    for moment, entry in oldest_first[-GROUP_LOG_KEPT:]:
        digest = hashlib.sha256(canonical(entry)).hexdigest()
        row = timeline.row("group", _key(gid), digest, moment, timeline.of_group(entry), entry)
        rows[row["digest"]] = row
    event = _EVENT_OF_ACCESS.c
    for known in _in_chunks(c, event.digest, rows):
        rows.pop(known, None)
    new = _put_events(c, rows.values())
    if new:
        mine = (event.source == "group") & (event.gid == _key(gid))
        newest = select(event.id).where(mine).order_by(event.time.desc(), event.id.desc())
        beyond = list(c.execute(newest.offset(GROUP_LOG_KEPT)).scalars())
        for part in _chunks(beyond):
            c.execute(delete(_EVENT_OF_ACCESS).where(event.id.in_(part)))
    return new


def group_logs_kept(c: Connection) -> set[str]:
    """The gids of the groups of whose logs anything is stored."""
    event = _EVENT_OF_ACCESS.c
    return set(c.execute(select(event.gid).where(event.source == "group").distinct()).scalars())


def _moment(entry: Mapping[str, Any]) -> int:
    """When an entry of a group's log says it happened (ms); 0 when it does not."""
    for name in ("ts", "time", "timestamp", "created_at"):
        if (found := milliseconds(entry.get(name))) is not None:
            return found
    return 0


def _put_events(c: Connection, rows: Iterable[Mapping[str, Any] | None]) -> int:
    told = [row for row in rows if row is not None]
    if told:
        c.execute(_insert(c, _EVENT_OF_ACCESS).on_conflict_do_nothing(), told)
    return len(told)


# Cases


def put_cases(
    c: Connection,
    rows: Iterable[Mapping[str, Any]],
    *,
    oids: Collection[str],
    complete: bool = False,
    now: int | None = None,
) -> int:
    """Store rows of `GET cases` (Cases, many organizations in one answer), writing only those that changed.

    A row of an organization that was not asked for, or without a case number, is skipped. A status that is
    not known stays in the queue as new, a severity as medium, a classification as pending. What else is known
    of a case that changed is older than it then (`CaseReading.stale`).

    Args:
        rows: as received: oid, case_number, case_id, status, severity, ...; times RFC 3339.
        oids: the organizations that were asked.
        complete: the listing had no filter and was read to its end: what it does not name is deleted, but
            for the cases that are only here.
        now: milliseconds, UTC: the creation of a case that tells none; the clock when None.
    """
    now = now_ms() if now is None else now
    wanted: dict[tuple[str, int], dict[str, Any]] = {}
    for row in map(_plain, rows):
        oid, number = row.get("oid"), _whole(row.get("case_number"), 63)
        if isinstance(oid, str) and oid in oids and number is not None and number > 0:
            wanted[oid, number] = row
    known: dict[tuple[str, int], Any] = {}
    columns = (_CASE.c.oid, _CASE.c.case_number, _CASE.c.fingerprint, _CASE.c.created_at)
    for part in _chunks(sorted(oids if complete else {oid for oid, _ in wanted})):
        found = c.execute(select(*columns).where(_CASE.c.oid.in_(part), _CASE.c.case_number > 0))
        known.update(((row.oid, row.case_number), row) for row in found)
    changed = []
    for key, row in sorted(wanted.items()):
        body, before = canonical(row), known.get(key)
        fingerprint = hashlib.sha256(body).hexdigest()
        if before is None or before.fingerprint != fingerprint:
            made = milliseconds(row.get("created_at")) or (now if before is None else before.created_at)
            changed.append(_case(key, row, made) | {"fingerprint": fingerprint, "body": pack(body)})
    if changed:
        upsert = _insert(c, _CASE)
        values = {name: upsert.excluded[name] for name in changed[0] if name not in ("oid", "case_number")}
        for part in _chunks(changed):
            c.execute(upsert.on_conflict_do_update(index_elements=["oid", "case_number"], set_=values), part)
    if moved := [key for row in changed if (key := (row["oid"], row["case_number"])) in known]:
        upsert = _insert(c, _CASE_READING)
        mark = upsert.on_conflict_do_update(index_elements=["oid", "case_number"], set_={"stale": True})
        for part in _chunks(moved):
            c.execute(
                mark,
                [
                    {"oid": oid, "case_number": number, "stale": True, "links": -1, "agreed": ""}
                    for oid, number in part
                ],
            )
    gone = sorted(known.keys() - wanted.keys()) if complete else []
    for oid, number in gone:
        delete_case(c, oid, number)
    return len(changed) + len(gone)


def put_case_row(c: Connection, row: Mapping[str, Any], *, now: int) -> int:
    """Store one case, also one that is only here: its number is negative then."""
    row = _plain(row)
    key = (str(row["oid"]), int(row["case_number"]))
    body = canonical(row)
    before = c.execute(
        select(_CASE.c.created_at).where(_CASE.c.oid == key[0], _CASE.c.case_number == key[1])
    ).scalar_one_or_none()
    values = _case(key, row, milliseconds(row.get("created_at")) or before or now)
    values |= {"fingerprint": hashlib.sha256(body).hexdigest(), "body": pack(body)}
    del values["oid"], values["case_number"]
    return _upsert(c, _CASE, {"oid": key[0], "case_number": key[1]}, values, {})


def delete_case(c: Connection, oid: str, number: int) -> int:
    """Forget a case that is not there any more, with what it held; 1 if it was known."""
    for table in (_CASE_READING, _CASE_LINK, _CASE_EVENT, _CASE_ITEM):
        c.execute(delete(table).where(table.c.oid == oid, table.c.case_number == number))
    return c.execute(delete(_CASE).where(_CASE.c.oid == oid, _CASE.c.case_number == number)).rowcount


def put_case_events(
    c: Connection, oid: str, number: int, events: Iterable[Mapping[str, Any]], *, now: int
) -> int:
    """Store what happened to a case: the events of `GET cases/{number}`, as received.

    What an event is called differs (`action` in the webhooks, `event_type` elsewhere); both are read. Whether
    they come the oldest or the newest first is published nowhere: their times tell.
    """
    wanted: dict[tuple[Any, ...], dict[str, Any]] = {}
    listed = [_plain(event) for event in events]
    times = [moment for event in listed if (moment := _happened_at(event)) is not None]
    if times and times[0] > times[-1]:
        listed.reverse()
    for place, event in enumerate(listed):
        event_id = _key(event.get("event_id"))
        if not event_id:
            continue
        details = dict(_mapping(event.get("metadata")))
        for name in ("content", "note_type", "is_public"):
            if name in event:
                details[name] = event[name]
        wanted[(event_id,)] = {
            "oid": oid, "case_number": number, "event_id": event_id,
            "time": _happened_at(event) or now, "place": place,
            "action": _short(event.get("action") or event.get("event_type")), "by": _short(event.get("by")),
            "details": details,
        }  # fmt: skip
    within = (_CASE_EVENT.c.oid == oid) & (_CASE_EVENT.c.case_number == number)
    return _mirror(c, _CASE_EVENT, ("event_id",), wanted, within)


def _happened_at(event: Mapping[str, Any]) -> int | None:
    return milliseconds(event.get("ts") or event.get("created_at"))


def put_case_links(
    c: Connection, oid: str, number: int, rows: Iterable[Mapping[str, Any]], *, count: int | None = None
) -> int:
    """Store which alerts a case holds: the rows of `GET cases/{number}/detections`, as received.

    Args:
        count: how many the case says that it holds, if that is not how many there are.
    """
    wanted: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in map(_plain, rows):
        detect_id = _key(row.get("detect_id") or row.get("detection_id"))
        if not detect_id:
            continue
        # The stored facts are published under two names each.
        wanted[(detect_id,)] = {
            "oid": oid, "case_number": number, "detect_id": detect_id,
            "cat": _short(row.get("detection_cat") or row.get("cat")),
            "hostname": _short(row.get("hostname")), "sid": _short(row.get("sid") or row.get("sensor_id")),
            "added_at": milliseconds(row.get("added_at")),
        }  # fmt: skip
    within = (_CASE_LINK.c.oid == oid) & (_CASE_LINK.c.case_number == number)
    changed = _mirror(c, _CASE_LINK, ("detect_id",), wanted, within)
    put_case_reading(c, oid, number, links=len(wanted) if count is None else count)
    return changed


def put_case_items(c: Connection, oid: str, number: int, kind: str, rows: Iterable[Mapping[str, Any]]) -> int:
    """Store what is attached to a case. `kind`: entity, telemetry or artifact; `rows` as received."""
    wanted: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in map(_plain, rows):
        item_id = _key(row.get(f"{kind}_id"))
        if item_id:
            wanted[(item_id,)] = {
                "oid": oid, "case_number": number, "kind": kind, "item_id": item_id, "details": row,
            }  # fmt: skip
    within = (_CASE_ITEM.c.oid == oid) & (_CASE_ITEM.c.case_number == number) & (_CASE_ITEM.c.kind == kind)
    return _mirror(c, _CASE_ITEM, ("item_id",), wanted, within)


def put_case_reading(
    c: Connection,
    oid: str,
    number: int,
    *,
    read_at: int | None = None,
    stale: bool | None = None,
    links: int | None = None,
    agreed: str | None = None,
) -> int:
    """Say how much of a case was read; what is None stays."""
    given = {"read_at": read_at, "stale": stale, "links": links, "agreed": agreed}
    values = {name: value for name, value in given.items() if value is not None}
    key = {"oid": oid, "case_number": number}
    return _upsert(c, _CASE_READING, key, values, {"stale": False, "links": -1, "agreed": ""})


def put_case_read(c: Connection, oid: str, number: int, fingerprint: str) -> int:
    """Say that all of a case was read, if it still is what it was when that began; 1 if so.

    Args:
        fingerprint: `case_fingerprint` at that time.
    """
    case = (_CASE.c.oid == oid, _CASE.c.case_number == number)
    same = exists().where(*case, _CASE.c.fingerprint == fingerprint)
    here = (_CASE_READING.c.oid == oid) & (_CASE_READING.c.case_number == number)
    return c.execute(update(_CASE_READING).where(here, same).values(stale=False)).rowcount


def case_fingerprint(c: Connection, oid: str, number: int) -> str:
    """What tells one state of a case's row from another; "" when the case is not known."""
    asked = select(_CASE.c.fingerprint).where(_CASE.c.oid == oid, _CASE.c.case_number == number)
    return c.execute(asked).scalar_one_or_none() or ""


def _case(key: tuple[str, int], row: Mapping[str, Any], created: int) -> dict[str, Any]:
    return {
        "oid": key[0], "case_number": key[1], "case_id": _key(row.get("case_id")),
        "status": _word(row.get("status"), STATUSES, 0),
        "severity": _word(row.get("severity"), SEVERITIES, 2),
        "classification": _word(row.get("classification"), CLASSIFICATIONS, 0),
        "assignees": _texts(row.get("assignees")), "tags": _texts(row.get("tags")),
        "summary": storable(row.get("summary")), "conclusion": storable(row.get("conclusion")),
        "detection_count": _whole(row.get("detection_count"), 31) or 0, "created_at": created,
        "acknowledged_at": milliseconds(row.get("acknowledged_at")),
        "resolved_at": milliseconds(row.get("resolved_at")), "closed_at": milliseconds(row.get("closed_at")),
        "merged_into": _key(row.get("merged_into_case_id")),
    }  # fmt: skip


def _word(value: object, words: Sequence[str], otherwise: int) -> int:
    word = value.strip().lower() if isinstance(value, str) else ""
    return words.index(word) if word in words else otherwise


# How far sync has come


@dataclass(frozen=True, slots=True)
class State:
    """What `SyncState` holds of one subject of one organization."""

    oid: str
    subject: str
    cursor: str
    mark: int | None
    fingerprint: str
    checked_at: int | None
    attempted_at: int | None
    failure: str
    reason: str
    stale: str = ""
    first_at: int | None = None


def sync_state(c: Connection, oid: str, subject: str) -> State | None:
    """What is known of one subject; None if it was never tried."""
    row = c.execute(select(_STATE).where(_STATE.c.oid == oid, _STATE.c.subject == subject)).one_or_none()
    return None if row is None else State(**row._mapping)


def sync_states(c: Connection, subject: str) -> dict[str, State]:
    """The states of one subject, by oid."""
    return {
        row.oid: State(**row._mapping) for row in c.execute(select(_STATE).where(_STATE.c.subject == subject))
    }


def states_of(c: Connection, oids: Sequence[str]) -> dict[str, dict[str, State]]:
    """Everything known of some organizations: {oid: {subject: state}}."""
    found: dict[str, dict[str, State]] = {oid: {} for oid in oids}
    for part in _chunks(list(oids)):
        for row in c.execute(select(_STATE).where(_STATE.c.oid.in_(part))):
            found[row.oid][row.subject] = State(**row._mapping)
    return found


def begun(c: Connection) -> set[str]:
    """The oids of the organizations of which anything was ever tried to be read."""
    return set(c.execute(select(_STATE.c.oid).distinct()).scalars())


def mark_stale(c: Connection, oid: str, subjects: Mapping[str, Iterable[str]]) -> int:
    """Say that subjects changed since they were read; how many marks were made.

    What was never read needs no mark. Whether the change is older than the last read is not asked: that
    would compare the cloud's clock with ours.

    Args:
        subjects: {subject: sections}; `*` among the sections stands for all of them.
    """
    marked = 0
    rows = c.execute(
        select(_STATE.c.subject, _STATE.c.stale, _STATE.c.checked_at).where(
            _STATE.c.oid == oid, _STATE.c.subject.in_(sorted(subjects))
        )
    ).all()
    for row in rows:
        if row.checked_at is None:
            continue
        parts = set(row.stale.split()) | set(subjects[row.subject])
        stale = "*" if "*" in parts else " ".join(sorted(parts))
        if stale != row.stale:
            c.execute(
                update(_STATE).where(_STATE.c.oid == oid, _STATE.c.subject == row.subject).values(stale=stale)
            )
            marked += 1
    return marked


def put_verified(c: Connection, oid: str, subjects: Sequence[str], *, at: int) -> None:
    """Say that subjects are known to be as they were read, at a time (ms)."""
    c.execute(
        update(_STATE)
        .where(
            _STATE.c.oid == oid, _STATE.c.subject.in_(list(subjects)), _STATE.c.stale == "",
            _STATE.c.failure == "", _STATE.c.checked_at < at,
        )
        .values(checked_at=at)
    )  # fmt: skip


def put_sync_state(
    c: Connection,
    oid: str,
    subject: str,
    *,
    cursor: str | None = None,
    mark: int | None = None,
    fingerprint: str | None = None,
    checked_at: int | None = None,
    attempted_at: int | None = None,
    failure: str = "",
    reason: str = "",
    stale: str | None = None,
) -> None:
    """Say how far a subject has come. What is None stays as it was; a call without `failure` clears it."""
    values: dict[str, Any] = {
        name: value
        for name, value in (
            ("cursor", cursor), ("mark", mark), ("fingerprint", fingerprint),
            ("checked_at", checked_at), ("attempted_at", attempted_at), ("stale", stale),
        )
        if value is not None
    }  # fmt: skip
    values |= {"failure": storable(failure), "reason": storable(reason)}
    made = {"cursor": "", "fingerprint": "", "stale": "", **values, "oid": oid, "subject": subject}
    if checked_at is not None:
        values["first_at"] = func.coalesce(_STATE.c.first_at, checked_at)
        made["first_at"] = checked_at
    # In one statement: the stamps differ each time, so there is nothing to compare first.
    c.execute(_insert(c, _STATE).on_conflict_do_update(index_elements=["oid", "subject"], set_=values), made)


def begin_run(c: Connection, *, now: int, organizations: int = 0) -> int:
    """Note that a run of sync begins, forgetting those of long ago; answers its number."""
    newest = c.execute(select(func.max(_RUN.c.id))).scalar_one() or 0
    c.execute(delete(_RUN).where(_RUN.c.id <= newest - RUNS_KEPT))
    made = c.execute(
        insert(_RUN)
        .values(
            started_at=now, seen_at=now, organizations=organizations, done=0, failed=[], detections_new=0,
            requests=0, note="",
        )
        .returning(_RUN.c.id)
    )  # fmt: skip
    return int(made.scalar_one())


def touch_run(c: Connection, run: int, *, now: int, **values: Any) -> None:
    """Leave a sign of life: `organizations`, `done`, `detections_new`, `requests`, `note`."""
    c.execute(update(_RUN).where(_RUN.c.id == run).values(seen_at=now, **_run_values(values)))


def end_run(c: Connection, run: int, *, now: int, **values: Any) -> None:
    """Note that a run ended; like `touch_run`, and `failed`: [{oid, reason}]."""
    c.execute(
        update(_RUN).where(_RUN.c.id == run).values(seen_at=now, finished_at=now, **_run_values(values))
    )


def _run_values(values: dict[str, Any]) -> dict[str, Any]:
    if "note" in values:
        values["note"] = storable(values["note"])
    return values


# Values


def milliseconds(value: object) -> int | None:
    """A time of the cloud in milliseconds UTC: seconds, ms or us by magnitude, or `YYYY-MM-DD HH:MM:SS` UTC.

    None for what is no time, is 0 or below, or lies beyond the year 9999.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        if not re.fullmatch(r"\d{1,20}(\.\d+)?", text):
            return _parsed(text)
        value = float(text) if "." in text else int(text)
    if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        return None
    if value < _MILLISECONDS:
        value *= 1000
    elif value >= _YEAR_10000:
        value /= 1000
    return int(value) if 1 <= value < _YEAR_10000 else None


def _parsed(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        stamp = int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return stamp if stamp > 0 else None


def _short(value: object) -> str:
    return _key(value, LONGEST)


def _key(value: object, limit: int = 200) -> str:
    """A text for an indexed column: one that is too long keeps its beginning and a digest of the whole."""
    text = storable(value)
    if len(text) <= limit:
        return text
    return text[: limit - 33] + "~" + hashlib.sha256(text.encode()).hexdigest()[:32]


def _whole(value: object, bits: int) -> int | None:
    """A whole number that fits a column of so many bits, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if abs(value) < 2**bits else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _plain(value: Any) -> dict[str, Any]:
    """A mapping as a plain dict of JSON data that both engines can hold."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.to_builtins(value)
    if not isinstance(value, Mapping):
        return {}
    plain = _json(value)
    return plain if isinstance(plain, dict) else {}


_AS_IS = frozenset((str, int, bool, type(None)))


def _json(value: object) -> object:
    kind = type(value)
    if kind in _AS_IS:
        return value
    # What was decoded a moment ago, as nearly everything is, takes a third of the time this way.
    if kind is dict:
        return {
            name if type(name) is str else str(name): item if type(item) in _AS_IS else _json(item)
            for name, item in value.items()  # type: ignore[attr-defined]
        }
    if kind is list:
        return [item if type(item) in _AS_IS else _json(item) for item in value]  # type: ignore[attr-defined]
    if isinstance(value, Mapping):
        return {str(name): _json(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_json(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return _json(msgspec.to_builtins(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    """A list of texts, out of a list or a comma-separated text."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, dict):
        value = [name for name, held in value.items() if held]
    return [text for text in dict.fromkeys(storable(each).strip() for each in _list(value)) if text]


def _emails(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value)
    return [each.get("email") if isinstance(each, dict) else each for each in _list(value)]


# Writing


def _insert(c: Connection, table: Table) -> Any:
    """The dialect's INSERT, which knows ON CONFLICT."""
    return sqlite.insert(table) if c.dialect.name == "sqlite" else postgresql.insert(table)


def _chunks(values: Iterable[Any]) -> Iterable[list[Any]]:
    listed = list(values)
    for at in range(0, len(listed), CHUNK):
        yield listed[at : at + CHUNK]


def _in_chunks(c: Connection, column: Any, values: Iterable[Any], *conditions: Any) -> list[Any]:
    """Those of the values that the column holds."""
    found: list[Any] = []
    for part in _chunks(values):
        found.extend(c.execute(select(column).where(column.in_(part), *conditions)).scalars())
    return found


def _change(c: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    if not values:
        return 0
    where = [table.c[name] == value for name, value in key.items()]
    c.execute(update(table).where(*where).values(dict(values)))
    return 1


def _upsert(
    c: Connection,
    table: Table,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    defaults: Mapping[str, Any],
    *,
    now: int | None = None,
) -> int:
    """Make a row have these values; `defaults` only when it is made."""
    where = [table.c[name] == value for name, value in key.items()]
    found = c.execute(select(table).where(*where)).one_or_none()
    if found is None:
        c.execute(
            _insert(c, table).on_conflict_do_update(index_elements=list(key), set_=dict(values)),
            {**defaults, **values, **key, **_since(table, now)},
        )
        return 1
    changed = {name: value for name, value in values.items() if found._mapping[name] != value}
    return _change(c, table, key, {**changed, **_ended(c, table, found, changed, now)})


def _mirror(
    c: Connection,
    table: Table,
    key: tuple[str, ...],
    wanted: Mapping[tuple[Any, ...], Mapping[str, Any]],
    within: Any,
    *,
    keep: bool = False,
    now: int | None = None,
) -> int:
    """Make the rows `within` be exactly those wanted, by key; `keep` deletes none.

    Args:
        now: milliseconds, UTC; of tables that keep what was (`accesshistory.WATCHED`) it has to be said.
    """
    since = _since(table, now)
    known = {tuple(row._mapping[name] for name in key): row for row in c.execute(select(table).where(within))}
    new: list[dict[str, Any]] = []
    changed = 0
    columns = [table.c[name] for name in key]
    if not known:
        new, wanted = [{**row, **since} for _, row in sorted(wanted.items())], {}
    for each, row in sorted(wanted.items()):
        found = known.pop(each, None)
        if found is None:
            new.append({**row, **since})
            continue
        values = {name: value for name, value in row.items() if found._mapping[name] != value}
        if values:
            values |= _ended(c, table, found, values, now)
            where = [column == part for column, part in zip(columns, each, strict=True)]
            c.execute(update(table).where(within, *where).values(values))
            changed += 1
    if known and not keep:
        if now is not None and since:
            accesshistory.end(c, table, known.values(), now)
        for part in _chunks(sorted(known)):
            if len(columns) == 1:
                c.execute(delete(table).where(within, columns[0].in_([each[0] for each in part])))
            else:
                c.execute(delete(table).where(within, tuple_(*columns).in_(part)))
        changed += len(known)
    if new:
        for part in _chunks(new):
            c.execute(_insert(c, table).on_conflict_do_nothing(), part)
        changed += len(new)
    return changed


def _remove(c: Connection, table: Table, conditions: Sequence[Any], now: int) -> int:
    """Delete rows of a table that keeps what was; how many there were."""
    _since(table, now)
    found = c.execute(select(table).where(*conditions)).all()
    accesshistory.end(c, table, found, now)
    c.execute(delete(table).where(*conditions))
    return len(found)


def _since(table: Table, now: int | None) -> dict[str, int]:
    """What a new row of a table that keeps what was has besides; of another table nothing."""
    if table.name not in accesshistory.WATCHED:
        return {}
    if now is None:
        raise TypeError(f"{table.name} keeps what was: say when it was read")
    return {accesshistory.SINCE: now}


def _ended(
    c: Connection, table: Table, found: Any, changed: Mapping[str, Any], now: int | None
) -> dict[str, int]:
    """Keep a row as it was, where it becomes another fact; what it then has besides."""
    since = _since(table, now)
    if not since or now is None or not changed or not accesshistory.is_other(table, changed):
        return {}
    accesshistory.end(c, table, [found], now)
    return since


def detections_held(c: Connection, oid: str) -> int:
    """How many detections of an organization are stored."""
    found = c.execute(select(func.sum(_COUNT.c.count)).where(_COUNT.c.oid == oid)).scalar_one()
    return int(found or 0)
