"""The figures of the first screen."""

from dataclasses import dataclass

from sqlalchemy import Connection

from store.queries.organizations import Completeness, TreeRow


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything about a scope that fits on one screen."""

    completeness: Completeness
    by_severity: tuple[int, int, int, int, int]
    """Open alerts, info to critical."""
    oldest_open: int | None
    """Time of the oldest open alert of the worst severity present (ms)."""
    per_hour: tuple[int, ...]
    """Detections in each of the last 24 hours, oldest first."""
    sensors: int
    sensors_online: int
    over_quota: tuple[tuple[str, str], ...]
    """(oid, name)"""
    errors: int
    keys_stale: int
    """API keys unused for 90 days or never."""
    users: int
    records: int
    attention: tuple[TreeRow, ...]
    """At most ten organizations that need someone, worst first."""


def overview(connection: Connection, *, scope: str = "", now: int) -> Overview:
    """The figures of a scope ("" is all organizations)."""
    raise NotImplementedError
