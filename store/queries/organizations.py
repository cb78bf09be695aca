"""Organizations and the tree over them, with what is rolled up."""

from dataclasses import dataclass, field

from sqlalchemy import Connection

HEALTH: tuple[str, ...] = ("well", "partly", "unknown", "failed")
"""Worst last: `o`, `~`, `.`, `x`. Unknown (never synced) is not healthy."""


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    """One organization in a list."""

    oid: str
    name: str
    path: str
    """Node names from the root down to the organization's own node, joined by `/`; its name when unplaced."""
    region: str
    sensors: int
    sensors_online: int | None
    open_alerts: int
    by_severity: tuple[int, int, int, int, int]
    """Open alerts, info to critical."""
    sensor_quota: int | None
    quota_used: float | None
    errors: int
    synced_at: int | None
    """When its detections were last read completely (ms)."""
    state: str
    """fresh, stale, failed or never."""
    reason: str
    """Why it failed; "" otherwise."""
    gone: bool
    """A complete listing no longer named it."""


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One node with what is below it, itself included, rolled up."""

    id: str
    parent_id: str | None
    name: str
    oid: str | None
    depth: int
    path: str
    has_children: bool
    labels: dict[str, str]
    """Inherited ones included."""
    marks: tuple[str, ...]
    """Inherited ones included."""
    organizations: int
    fresh: int
    failed: int
    sensors: int
    sensors_online: int
    open_alerts: int
    by_severity: tuple[int, int, int, int, int]
    errors: int
    quota: int
    """Sum of the sensor quotas that are known."""
    quota_used: float
    health: str
    """Of HEALTH: the worst below."""
    reason: str
    """Why it is not well, in a few words; the worst one."""
    synced_at: int | None
    """The oldest of the organizations below; None if one was never synced."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """n of m: what a total over a scope is made of, and what it lacks."""

    organizations: int
    fresh: int
    oldest: int | None
    """The oldest successful reading among the fresh ones (ms)."""
    missing: tuple[tuple[str, str, str, str], ...] = field(default=())
    """(oid, name, state, reason) of those that are not fresh."""


@dataclass(frozen=True, slots=True)
class OrganizationDetail:
    """What the detail of one organization shows."""

    row: OrganizationRow
    labels: dict[str, str]
    marks: tuple[str, ...]
    parameters: dict[str, object]
    platforms: tuple[tuple[int, int, int], ...]
    """(platform code, sensors, alive within a day)"""
    errors: tuple[tuple[str, str, int | None], ...]
    """(component, error, ms)"""
    top_rules: tuple[tuple[str, int], ...]
    """(category, open alerts), most first, at most five."""
    days: tuple[int, ...]
    """Detections per day, oldest first, the last 14 days."""
    users: int
    keys: int
    groups: int
    records: tuple[tuple[str, int], ...]
    """(section, records) of the current configuration."""
    subjects: tuple[tuple[str, int | None, str, str], ...]
    """(subject, checked_at, failure, reason)"""


def organizations(connection: Connection, *, scope: str = "", now: int) -> list[OrganizationRow]:
    """Every organization below the node `scope` ("" is all), by path, gone ones last."""
    raise NotImplementedError


def tree(connection: Connection, *, now: int) -> list[TreeRow]:
    """The whole tree, depth first in the order of the file. The first row is the root. Organizations
    without a node stand below a last node with the id `unplaced`. Without any tree: the root, then that."""
    raise NotImplementedError


def completeness(connection: Connection, *, scope: str = "", now: int) -> Completeness:
    """What the figures of a scope rest on."""
    raise NotImplementedError


def organization(connection: Connection, oid: str, *, now: int) -> OrganizationDetail | None:
    """One organization by its oid."""
    raise NotImplementedError


def find_organization(connection: Connection, text: str) -> list[tuple[str, str]]:
    """(oid, name) of those with this oid, exactly this name (NFC), or an oid that begins with it."""
    raise NotImplementedError


def find_node(connection: Connection, text: str) -> list[tuple[str, str]]:
    """(id, path) of nodes with this id, path, name or oid; exact matches only, id first."""
    raise NotImplementedError
