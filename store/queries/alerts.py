"""Pages of the alert queue, by keyset."""

from dataclasses import dataclass

from sqlalchemy import Connection

from store.alerts import AlertFilter

Key = tuple[int, int, int]
"""(severity, time, id): the order of the queue, each descending."""


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One line of the queue."""

    id: int
    detect_id: str
    oid: str
    organization: str
    severity: int
    time: int
    cat: str
    rule: str
    hostname: str
    status: int
    assignee: str
    damaged: bool

    @property
    def key(self) -> Key:
        """Where it stands in the queue."""
        return (self.severity, self.time, self.id)


@dataclass(frozen=True, slots=True)
class AlertDetail:
    """One alert, whole."""

    row: AlertRow
    sid: str
    event_type: str
    priority: int | None
    classification: int
    path: str
    """Of the organization in the tree."""
    body: bytes
    """The detection as received, JSON text (or whatever came, when `row.damaged`)."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many; `exact` is False when counting stopped at the cap."""

    value: int
    exact: bool


def page(
    connection: Connection,
    wanted: AlertFilter,
    *,
    after: Key | None = None,
    before: Key | None = None,
    starting: Key | None = None,
    limit: int = 50,
) -> list[AlertRow]:
    """At most `limit` alerts in the order of the queue, worst and newest first.

    Args:
        after: those behind this key; the queue's first ones when no key is given.
        before: the last `limit` ones ahead of this key (still answered in queue order).
        starting: like `after`, this key included.
    """
    raise NotImplementedError


def last_page(connection: Connection, wanted: AlertFilter, *, limit: int = 50) -> list[AlertRow]:
    """The last `limit` alerts, in the order of the queue."""
    raise NotImplementedError


def count(connection: Connection, wanted: AlertFilter, *, cap: int = 100_000) -> Count:
    """How many match. From the exact counters when only scope, organization, severity and status filter."""
    raise NotImplementedError


def detail(connection: Connection, alert_id: int) -> AlertDetail | None:
    """One alert by its number in the store."""
    raise NotImplementedError


def by_detect_id(connection: Connection, detect_id: str) -> list[AlertDetail]:
    """Every alert with this LimaCharlie id (one, unless two organizations share it)."""
    raise NotImplementedError
