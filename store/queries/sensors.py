"""One sensor: what the store knows of it, and what the cloud said when it was asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Table, func, or_, select

from store import models
from store.alerts import OPEN
from store.ingest import milliseconds
from store.queries.alerts import AlertRow, rows_of, rows_where
from store.queries.matching import few_of_host
from store.queries.scopes import NODE, ORGANIZATION, marks_of
from store.sensors import ARCHITECTURES, platform_name
from store.text import Untrusted

_SENSOR: Table = models.Sensor.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]
_D: Table = models.Detection.__table__  # type: ignore[attr-defined]

_NONE = Untrusted("")

RECENT = 6
"""Alerts of a sensor that its card names."""


@dataclass(frozen=True, slots=True)
class SensorRow:
    """One sensor in a list."""

    oid: str
    organization: Untrusted
    sid: Untrusted
    hostname: Untrusted
    platform: str
    alive: int | None
    """When it was last heard of (ms)."""
    isolated: bool
    tags: tuple[Untrusted, ...]


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of a sensor."""

    name: Untrusted
    by: Untrusted = _NONE
    """Who set it; "" where only the listing of sensors told of it."""
    at: int | None = None


@dataclass(frozen=True, slots=True)
class SensorCard:
    """Everything that is decided by before a machine is cut off."""

    oid: str
    organization: Untrusted
    path: Untrusted
    """Of the organization in the tree."""
    protected: bool
    """A write here asks for the organization's name."""
    sid: Untrusted
    hostname: Untrusted = _NONE
    platform: str = ""
    architecture: str = ""
    online: bool | None = None
    """None where only the store was asked: nobody knows."""
    as_of: int | None = None
    """When what is here was read from the cloud (ms); None when never."""
    live: bool = False
    """The cloud was asked just now."""
    trouble: str = ""
    """Why it could not be asked; "" when it was, or was not to be."""
    enrolled: int | None = None
    alive: int | None = None
    internal_ip: Untrusted = _NONE
    external_ip: Untrusted = _NONE
    wanted: bool | None = None
    """Whether somebody asked for its isolation; None when that is not known."""
    isolated: bool | None = None
    """Whether the sensor has confirmed that it is cut off; None when that is not known."""
    sealed: bool | None = None
    tags: tuple[Tag, ...] = ()
    alerts: tuple[AlertRow, ...] = ()
    """The newest ones, closed ones too, at most RECENT; only open ones of a host that has very many."""
    open_alerts: int = 0
    known: bool = False
    """Whether the store or the cloud knows such a sensor."""


def find_sensors(
    connection: Connection, wanted: str, *, oids: Sequence[str] | None = None, limit: int = 50
) -> list[SensorRow]:
    """The sensors of that id or host name, case aside.

    Args:
        oids: only of these organizations; None for all.
    """
    text = wanted.strip()
    if not text:
        return []
    inside = select(ORGANIZATION.c.oid)  # the primary key begins with the organization
    here = _SENSOR.c.oid.in_(inside if oids is None else list(oids))
    by_id = here & (_SENSOR.c.sid == text.lower())
    by_name = _SENSOR.c.hostname == text
    if oids is not None:
        by_name = here & (func.lower(_SENSOR.c.hostname) == text.lower())
    return _listed(connection, or_(by_id, by_name), limit)


def sensors_of(connection: Connection, oid: str, *, limit: int = 20_000) -> list[SensorRow]:
    """The sensors of an organization, by host name."""
    return _listed(connection, _SENSOR.c.oid == oid, limit)


def _listed(connection: Connection, condition: Any, limit: int) -> list[SensorRow]:
    found = connection.execute(
        select(
            _SENSOR.c.oid, ORGANIZATION.c.name, _SENSOR.c.sid, _SENSOR.c.hostname, _SENSOR.c.platform,
            _SENSOR.c.alive, _SENSOR.c.isolated, _SENSOR.c.tags,
        )
        .select_from(_SENSOR.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _SENSOR.c.oid))
        .where(condition)
        .order_by(_SENSOR.c.hostname, _SENSOR.c.oid, _SENSOR.c.sid)
        .limit(limit)
    )  # fmt: skip
    return [
        SensorRow(
            row.oid,
            Untrusted(row.name or row.oid),
            Untrusted(row.sid),
            Untrusted(row.hostname),
            platform_name(row.platform),
            row.alive,
            bool(row.isolated),
            tuple(map(Untrusted, row.tags)),
        )
        for row in found
    ]


def card(connection: Connection, oid: str, sid: str) -> SensorCard:
    """What the store knows of a sensor; `known` is False when it is nothing."""
    name = connection.execute(
        select(ORGANIZATION.c.name, NODE.c.path)
        .select_from(ORGANIZATION.outerjoin(NODE, NODE.c.oid == ORGANIZATION.c.oid))
        .where(ORGANIZATION.c.oid == oid)
    ).one_or_none()
    organization = (name.name if name else "") or oid
    base = SensorCard(
        oid=oid,
        organization=Untrusted(organization),
        path=Untrusted((name.path if name else "") or organization),
        protected="protected" in marks_of(connection, oid),
        sid=Untrusted(sid),
    )
    row = connection.execute(
        select(*_SENSOR.c).where(_SENSOR.c.oid == oid, _SENSOR.c.sid == sid)
    ).one_or_none()
    if row is None:
        return with_alerts(connection, base)
    read = connection.execute(
        select(_STATE.c.checked_at).where(_STATE.c.oid == oid, _STATE.c.subject == "sensors")
    ).scalar_one_or_none()
    tags = tuple(Tag(Untrusted(tag)) for tag in row.tags)
    record = {"hostname": row.hostname, **row.details}
    return with_alerts(connection, with_record(base, record, tags=tags, at=read))


def with_record(
    base: SensorCard,
    record: Mapping[str, Any],
    *,
    online: bool | None = None,
    tags: tuple[Tag, ...] | None = None,
    at: int | None,
    live: bool = False,
) -> SensorCard:
    """The card with what a record of the cloud says (`GET {sid}`, `info`).

    Args:
        online: what the cloud says of that; None when it was not asked.
        tags: who set which; those of the record when None.
        at: when it was read (ms).
    """

    def text(name: str) -> Untrusted:
        value = record.get(name)
        return Untrusted(value if isinstance(value, str) else "")

    def truth(name: str) -> bool | None:
        value = record.get(name)
        return value if isinstance(value, bool) else None

    def code(name: str) -> int:
        value = record.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    if tags is None:
        held = record.get("tags")
        tags = tuple(
            Tag(Untrusted(each)) for each in (held if isinstance(held, list) else []) if isinstance(each, str)
        )
    platform = code("plat")
    return replace(
        base,
        hostname=text("hostname"),
        platform=platform_name(platform) if platform else "",
        architecture=ARCHITECTURES.get(code("arch"), ""),
        online=online,
        as_of=at,
        live=live,
        enrolled=milliseconds(record.get("enroll")),
        alive=milliseconds(record.get("alive")),
        internal_ip=text("int_ip"),
        external_ip=text("ext_ip"),
        wanted=truth("should_isolate"),
        isolated=truth("isolated"),
        sealed=truth("sealed"),
        tags=tags,
        known=True,
    )


def with_alerts(connection: Connection, base: SensorCard) -> SensorCard:
    """The card with the alerts of its sensor: the newest ones, and how many are open."""
    # By what the text index has of the host: there is no index by sensor, and a host has few.
    few = few_of_host(connection, base.oid, base.hostname) if base.hostname else None
    if few is None:
        # Too many to be gathered, or of no known host: then the open ones alone, which have an index.
        rows = rows_where(connection, _D.c.oid == base.oid, _D.c.sid == base.sid, limit=500)
        count = len(rows)
    else:
        same = (few, _D.c.sid == base.sid)
        newest = select(_D.c.id).where(*same).order_by(_D.c.time.desc(), _D.c.id.desc()).limit(RECENT)
        rows = rows_of(connection, connection.execute(newest).scalars())
        count = connection.execute(
            select(func.count()).select_from(_D).where(*same, _D.c.status.in_(OPEN))
        ).scalar_one()
    rows.sort(key=lambda row: (row.time, row.id), reverse=True)
    return replace(base, alerts=tuple(rows[:RECENT]), open_alerts=int(count))
