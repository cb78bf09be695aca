"""What limegrove did, what failed, and what was changed."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection


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
    note: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A subject that could not be read."""

    oid: str
    organization: str
    subject: str
    failure: str
    reason: str
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
    raise NotImplementedError


def failures(connection: Connection, *, scope: str = "", limit: int = 1000) -> list[Failure]:
    """By organization name."""
    raise NotImplementedError


def journal(connection: Connection, *, limit: int = 200) -> list[Entry]:
    """Newest first."""
    raise NotImplementedError
