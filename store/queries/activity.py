"""What limegrove did, what failed, and what was changed."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, or_, select

from store.models import Journal, Organization, SyncRun, SyncState
from store.queries.scopes import oids_of
from store.text import Untrusted


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


def journal(connection: Connection, *, limit: int = 200) -> list[Entry]:
    """Newest first."""
    entry = Journal.__table__.c  # type: ignore[attr-defined]
    found = connection.execute(select(*entry).order_by(entry.seq.desc()).limit(limit))
    return [Entry(row.seq, row.time, row.actor, row.action, row.oid, row.target, row.detail) for row in found]


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
