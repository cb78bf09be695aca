"""What the queue says beside its rows: why an alert came back, what marks still stand for, who needs whom."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, case, func, or_, select, text

from store import models
from store.alerts import OPEN
from store.bodies import storable
from store.cases import PENDING, SENDING
from store.queries.scopes import ORGANIZATION, marks_of, oids_of
from store.text import Untrusted

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_STORM: Table = models.Storm.__table__  # type: ignore[attr-defined]
_SNOOZE: Table = models.Snooze.__table__  # type: ignore[attr-defined]
_EDIT: Table = models.CaseEdit.__table__  # type: ignore[attr-defined]

_OPEN = text("detection.status < 2")
_HELD = text("detection.assignee <> ''")
"""Spelled as the partial indexes spell them."""
_CHUNK = 500

PATIENCE = 10_000
"""Milliseconds for which what follows from a decision is on its way, and not waiting."""

NEED_CAP = 1_000
"""Whoever needs more than this needs no figure."""


def woken(connection: Connection, ids: Iterable[int]) -> dict[int, Untrusted]:
    """Of these alerts those that came back from a snooze: what brought them back."""
    found: dict[int, Untrusted] = {}
    for part in _chunks(list(ids)):
        rows = connection.execute(
            select(_SNOOZE.c.detection_id, _SNOOZE.c.woken_by).where(
                _SNOOZE.c.detection_id.in_(part), _SNOOZE.c.woken_at.is_not(None)
            )
        )
        found.update((row.detection_id, Untrusted(row.woken_by)) for row in rows)
    return found


def settled(
    connection: Connection, alerts: Mapping[int, bool], storms: Collection[int]
) -> tuple[set[int], set[int]]:
    """What of marked things was decided meanwhile, so that it need not stay marked.

    Args:
        alerts: id -> whether the queue showed it when it was last seen: open, and not snoozed.
        storms: keys.

    Returns:
        Alerts that are gone, or that the queue showed and does not show any more; storms of which it shows
        nothing any more.
    """
    states: dict[int, bool] = {}
    for part in _chunks(list(alerts)):
        rows = connection.execute(select(_D.c.id, _D.c.status, _D.c.snoozed_until).where(_D.c.id.in_(part)))
        states.update((row.id, row.status in OPEN and row.snoozed_until is None) for row in rows)
    gone = {
        number for number, before in alerts.items() if number not in states or (before and not states[number])
    }
    going: set[int] = set()
    for part in _chunks(list(storms)):
        rows = connection.execute(select(_STORM.c.key).where(_STORM.c.key.in_(part), _STORM.c.open > 0))
        going.update(row.key for row in rows)
    return gone, set(storms) - going


def needing(connection: Connection, who: str, *, scope: str = "", now: int, cap: int = NEED_CAP) -> int:
    """How many open alerts of a scope need this operator: theirs, and nobody's whose clock has run out.

    Args:
        who: the name that alerts are assigned to.
        scope: id of a tree node; "" is the root.
        now: milliseconds, UTC.
        cap: where counting stops.
    """
    conditions: list[Any] = [_OPEN, _D.c.snoozed_until.is_(None)]
    oids = oids_of(connection, scope)
    if oids is not None:
        conditions.append(_D.c.oid.in_(oids))
    late: list[Any] = [_D.c.due_at < now, _D.c.assignee == ""]
    mine: list[Any] = [_HELD, _D.c.assignee == storable(who)]
    total = 0
    # Two questions, each by its index, rather than one with OR by none.
    for which in (mine, late) if who else (late,):
        inner = select(_D.c.id).where(*which, *conditions).limit(cap - total).subquery()
        total += int(connection.execute(select(func.count()).select_from(inner)).scalar_one())
    return total


@dataclass(frozen=True, slots=True)
class About:
    """What some alerts are, for asking about them."""

    count: int
    organizations: tuple[tuple[str, Untrusted, int], ...]
    """(oid, name, how many), most first."""
    cats: tuple[tuple[Untrusted, int], ...]
    """(category, how many), most first."""
    hostname: Untrusted
    """Of a single one."""
    due_at: int | None
    """The earliest that runs among them."""
    protected: tuple[str, ...]
    """The oids of those whose name has to be typed."""
    open: int
    """How many of them are open."""
    sensors: int
    """How many of them name a sensor."""
    held: tuple[tuple[Untrusted, int], ...] = ()
    """Who has how many of the open ones, most first."""


def about(connection: Connection, ids: Sequence[int]) -> About:
    """What these alerts are."""
    organizations: Counter[str] = Counter()
    cats: Counter[str] = Counter()
    held: Counter[str] = Counter()
    due_at: int | None = None
    count = open_ = sensors = 0
    hostname = ""
    for part in _chunks(ids):
        rows = connection.execute(
            select(
                _D.c.oid, _D.c.cat, _D.c.assignee, func.count().label("members"),
                func.min(case((_D.c.status < 2, _D.c.due_at))).label("due_at"),
                func.sum(case((_D.c.status < 2, 1), else_=0)).label("open"),
                func.sum(case((_D.c.sid != "", 1), else_=0)).label("sensors"),
                func.max(_D.c.hostname).label("hostname"),
            ).where(_D.c.id.in_(part)).group_by(_D.c.oid, _D.c.cat, _D.c.assignee)
        )  # fmt: skip
        for row in rows:
            organizations[row.oid] += row.members
            cats[row.cat] += row.members
            count += row.members
            open_ += row.open
            sensors += row.sensors
            hostname = row.hostname
            if row.assignee and row.open:
                held[row.assignee] += row.open
            if row.due_at is not None:
                due_at = row.due_at if due_at is None else min(due_at, row.due_at)
    names = names_of(connection, organizations)
    return About(
        count=count,
        organizations=tuple((oid, names[oid], members) for oid, members in organizations.most_common()),
        cats=tuple((Untrusted(cat), members) for cat, members in cats.most_common()),
        hostname=Untrusted(hostname if count == 1 else ""),
        due_at=due_at,
        protected=tuple(oid for oid in organizations if "protected" in marks_of(connection, oid)),
        open=open_,
        sensors=sensors,
        held=tuple((Untrusted(name), members) for name, members in held.most_common()),
    )


def assignees(connection: Connection, *, limit: int = 50) -> list[Untrusted]:
    """Who has open alerts, who has most first."""
    rows = connection.execute(
        select(_D.c.assignee, func.count().label("members"))
        .where(_OPEN, _HELD)
        .group_by(_D.c.assignee)
        .order_by(func.count().desc(), _D.c.assignee)
        .limit(limit)
    )
    return [Untrusted(row.assignee) for row in rows]


def waiting(connection: Connection, scope: str = "", *, now: int) -> int:
    """Edits of cases that wait for the cloud: it was asked in vain, or for a while not at all."""
    oids = oids_of(connection, scope)
    query = select(func.count()).select_from(_EDIT).where(
        _EDIT.c.state.in_((PENDING, SENDING)), or_(_EDIT.c.reason != "", _EDIT.c.at <= now - PATIENCE)
    )  # fmt: skip
    if oids is not None:
        query = query.where(_EDIT.c.oid.in_(oids))
    return int(connection.execute(query).scalar_one())


def names_of(connection: Connection, oids: Iterable[str]) -> dict[str, Untrusted]:
    """Their names; the oid of one that has none."""
    wanted = list(oids)
    found = {oid: Untrusted(oid) for oid in wanted}
    for part in _chunks(wanted):
        rows = connection.execute(
            select(ORGANIZATION.c.oid, ORGANIZATION.c.name).where(ORGANIZATION.c.oid.in_(part))
        )
        found.update((row.oid, Untrusted(row.name or row.oid)) for row in rows)
    return found


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for at in range(0, len(values), _CHUNK):
        yield values[at : at + _CHUNK]
