"""What sums over organizations are told in: a node of the tree, and how complete a total is."""

from dataclasses import dataclass, field

from store.text import Untrusted

HEALTH: tuple[str, ...] = ("well", "partly", "unknown", "failed")
"""Worst last: `o`, `~`, `.`, `x`. Unknown (never synced) is not healthy."""


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One node with what is below it, itself included, rolled up."""

    id: str
    parent_id: str | None
    name: Untrusted
    oid: str | None
    depth: int
    path: Untrusted
    has_children: bool
    labels: dict[str, str]
    """Inherited ones included."""
    marks: tuple[str, ...]
    """Inherited ones included."""
    organizations: int
    """Those that are gone are not counted, here and in every sum."""
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
    reason: Untrusted
    """Why it is not well, in a few words; of several organizations how many are not."""
    synced_at: int | None
    """The oldest of the organizations below; None if one was never synced."""
    late: int = 0
    """Open alerts past their target."""
    cases: int = 0
    """Open ones."""
    silent: int = 0
    """Sensors that were not heard of for long."""
    over_quota: int = 0
    """Organizations."""
    keys_stale: int = 0
    no_alerts: int = 0
    """Organizations whose alerts were never read: the sums are without them, and all that know nothing say
    so. The same of the figures below."""
    no_sensors: int = 0
    no_online: int = 0
    no_cases: int = 0
    no_errors: int = 0

    def known(self, number: int, lacking: int) -> int | None:
        """A sum of this node; None where every organization below it lacks it: what was never read is not
        none."""
        return None if lacking and lacking >= self.organizations and not number else number


@dataclass(frozen=True, slots=True)
class Completeness:
    """n of m: what a total over a scope is made of, and what it lacks."""

    organizations: int
    fresh: int
    oldest: int | None
    """The oldest successful reading among the fresh ones (ms)."""
    missing: tuple[tuple[str, str, str, str], ...] = field(default=())
    """(oid, name, state, reason) of those that are not fresh."""
