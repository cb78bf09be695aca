"""What limegrove did, what failed, and what was changed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Select, Table, Text, and_, cast, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from store.bodies import storable
from store.models import Journal, Organization, SyncRun, SyncState
from store.queries.matching import contains
from store.queries.scopes import ORGANIZATION, oids_of
from store.text import Untrusted

COUNTED = 10_000
"""So many entries of the journal are counted; more are `or more`."""

_ENTRY: Table = Journal.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of sync."""

    id: int
    started_at: int
    finished_at: int | None
    seen_at: int
    organizations: int
    done: int
    failed: tuple[tuple[str, str], ...]
    """(oid, reason)"""
    detections_new: int
    requests: int
    note: Untrusted


@dataclass(frozen=True, slots=True)
class Failure:
    """A subject that could not be read."""

    oid: str
    organization: Untrusted
    subject: str
    failure: str
    reason: Untrusted
    attempted_at: int | None
    checked_at: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal."""

    seq: int
    time: int
    actor: str
    action: str
    oid: str
    target: str
    detail: dict[str, Any]
    hash: str
    organization: Untrusted
    """The name of its organization; "" where it has none, or one that is not known here."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries of the journal are asked for; what is left empty limits nothing."""

    scope: str = ""
    """A node: entries of the organizations below it."""
    oid: str = ""
    """Entries of this organization, and those of several that name it."""
    actor: str = ""
    """By whom: `user@host`, or the user alone."""
    actions: tuple[str, ...] = ()
    """Such as `alert.close`, or `alert` for all that begin so."""
    since: int | None = None
    """Milliseconds, UTC: not before."""
    words: tuple[str, ...] = ()
    """Each has to stand in who, the action, the target, or the oid or name of the organization."""


def runs(connection: Connection, *, limit: int = 50) -> list[Run]:
    """Newest first."""
    run = SyncRun.__table__.c  # type: ignore[attr-defined]
    found = connection.execute(select(*run).order_by(run.id.desc()).limit(limit))
    return [
        Run(
            id=row.id,
            started_at=row.started_at,
            finished_at=row.finished_at,
            seen_at=row.seen_at,
            organizations=row.organizations,
            done=row.done,
            failed=tuple((each.get("oid", ""), each.get("reason", "")) for each in row.failed),
            detections_new=row.detections_new,
            requests=row.requests,
            note=Untrusted(row.note),
        )
        for row in found
    ]


def failures(connection: Connection, *, scope: str = "", limit: int = 1000) -> list[Failure]:
    """By organization name; what belongs to the credential itself has the oid "" and comes first."""
    state = SyncState.__table__.c  # type: ignore[attr-defined]
    organization = Organization.__table__.c  # type: ignore[attr-defined]
    wanted = (
        select(state, organization.name)
        .join_from(SyncState, Organization, state.oid == organization.oid, isouter=True)
        .where(state.failure != "")
        .order_by(organization.name.is_not(None), organization.name, state.oid, state.subject)
        .limit(limit)
    )
    below = oids_of(connection, scope)
    if below is not None:
        wanted = wanted.where((state.oid == "") | state.oid.in_(below))
    return [
        Failure(
            oid=row.oid,
            organization=Untrusted(row.name or ""),
            subject=row.subject,
            failure=row.failure,
            reason=Untrusted(row.reason),
            attempted_at=row.attempted_at,
            checked_at=row.checked_at,
        )
        for row in connection.execute(wanted)
    ]


def journal(
    connection: Connection, wanted: Wanted = Wanted(), *, after: int | None = None, limit: int = 200
) -> list[Entry]:
    """A page of the journal, newest first.

    Args:
        after: only what is older than the entry of this number.
        limit: at most so many.
    """
    query = _entries(_conditions(connection, wanted)).order_by(_ENTRY.c.seq.desc()).limit(limit)
    if after is not None:
        query = query.where(_ENTRY.c.seq < after)
    return [
        Entry(
            seq=row.seq,
            time=row.time,
            actor=row.actor,
            action=row.action,
            oid=row.oid,
            target=row.target,
            detail=_detail(row.said),
            hash=row.hash,
            organization=Untrusted(row.organization or ""),
        )
        for row in connection.execute(query)
    ]


def _detail(said: str) -> dict[str, Any]:
    """The detail of an entry; what somebody made no JSON of is shown as it stands, under `damaged`."""
    try:
        read = json.loads(said)
    except (TypeError, ValueError, RecursionError):
        read = None
    return read if isinstance(read, dict) else {"damaged": said}


def journal_counted(connection: Connection, wanted: Wanted = Wanted()) -> int:
    """How many entries there are; COUNTED and one more mean that there are more."""
    return _counted(connection, _conditions(connection, wanted))


def journal_outside(connection: Connection, wanted: Wanted) -> int:
    """How many entries a scope leaves out because they are of no single organization.

    They are those about several at once, and about none. Counted as by `journal_counted`.
    """
    if oids_of(connection, wanted.scope) is None:
        return 0
    return _counted(connection, [_ENTRY.c.oid == "", *_conditions(connection, replace(wanted, scope=""))])


def journal_actions(connection: Connection) -> list[str]:
    """Every action that the journal has, by the alphabet."""
    return sorted(connection.execute(select(_ENTRY.c.action).distinct()).scalars())


def _counted(connection: Connection, conditions: Sequence[ColumnElement[bool]]) -> int:
    limited = _entries(conditions).with_only_columns(_ENTRY.c.seq).limit(COUNTED + 1).subquery()
    return int(connection.execute(select(func.count()).select_from(limited)).scalar_one())


def _entries(conditions: Sequence[ColumnElement[bool]]) -> Select[Any]:
    return (
        select(
            *(column for column in _ENTRY.c if column.name != "detail"),
            cast(_ENTRY.c.detail, Text).label("said"),
            ORGANIZATION.c.name.label("organization"),
        )
        .select_from(_ENTRY.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _ENTRY.c.oid))
        .where(*conditions)
    )


def _conditions(connection: Connection, wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    below = oids_of(connection, wanted.scope)
    if below is not None:
        conditions.append(_ENTRY.c.oid.in_(below))
    if wanted.oid:
        # What is about several organizations has none of its own, and lists them in its detail.
        named = cast(_ENTRY.c.detail, Text).contains(wanted.oid, autoescape=True)
        conditions.append(or_(_ENTRY.c.oid == wanted.oid, and_(_ENTRY.c.oid == "", named)))
    if wanted.actor:
        whole = _ENTRY.c.actor == storable(wanted.actor)
        user = f"{storable(wanted.actor)}@"
        conditions.append(or_(whole, func.substr(_ENTRY.c.actor, 1, len(user)) == user))
    if wanted.actions:
        conditions.append(or_(*map(_action, wanted.actions)))
    if wanted.since is not None:
        conditions.append(_ENTRY.c.time >= wanted.since)
    columns = (_ENTRY.c.actor, _ENTRY.c.action, _ENTRY.c.target, _ENTRY.c.oid, ORGANIZATION.c.name)
    conditions += [or_(*(contains(connection, column, word) for column in columns)) for word in wanted.words]
    return conditions


def _action(named: str) -> ColumnElement[bool]:
    begins = f"{storable(named)}."
    return or_(_ENTRY.c.action == begins[:-1], func.substr(_ENTRY.c.action, 1, len(begins)) == begins)


def detections_read(connection: Connection) -> bool:
    """Whether the detections of every listed organization were read once, or could not be."""
    state = SyncState.__table__.c  # type: ignore[attr-defined]
    organization = Organization.__table__.c  # type: ignore[attr-defined]
    listed = connection.execute(
        select(func.count()).select_from(Organization).where(organization.gone_at.is_(None))
    ).scalar_one()
    read = connection.execute(
        select(func.count())
        .select_from(SyncState)
        .where(state.subject == "detections", or_(state.checked_at.is_not(None), state.failure != ""))
    ).scalar_one()
    return bool(listed and read >= listed)
