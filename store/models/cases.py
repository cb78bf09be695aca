"""Cases: what an organization's own case system (`ext-cases`) holds, as it was read last, and what is to be
changed there.

A case of our own, where an organization has no such system or cannot be reached, has a negative number.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, LargeBinary, SmallInteger, text
from sqlmodel import Field

from store.models.base import Model
from store.models.columns import CompactId

_OPEN = text("status < 2")
_WAITING = text("state < 2")
_STALE = text("stale")
_ID = BigInteger().with_variant(Integer, "sqlite")


class CaseRecord(Model, table=True):
    """One case, with what the queue filters and sorts by.

    Pages run over (severity, created_at, oid, case_number), all descending, like those of detections.
    """

    __tablename__ = "case_record"
    __table_args__ = (
        Index(
            "ix_case_record_queue", "severity", "created_at", "oid", "case_number",
            sqlite_where=_OPEN, postgresql_where=_OPEN,
        ),
        Index(
            "ix_case_record_queue_oid", "oid", "severity", "created_at", "case_number",
            sqlite_where=_OPEN, postgresql_where=_OPEN,
        ),
        Index("ix_case_record_all", "severity", "created_at", "oid", "case_number"),
        Index("ix_case_record_created_at", "created_at", "oid"),
    )  # fmt: skip

    oid: str = Field(primary_key=True)
    case_number: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    """Counts within the organization; negative for a case that is only here."""
    case_id: str = Field(default="")
    """A UUID; unique over all organizations."""
    status: int = Field(default=0, sa_type=SmallInteger)
    """0 new, 1 in_progress, 2 resolved, 3 closed: `store.alerts.STATUSES`. Open is below 2."""
    severity: int = Field(default=2, sa_type=SmallInteger)
    """4 critical, 3 high, 2 medium, 1 low, 0 info: `store.alerts.SEVERITIES`."""
    classification: int = Field(default=0, sa_type=SmallInteger)
    """0 pending, 1 true_positive, 2 false_positive: `store.alerts.CLASSIFICATIONS`."""
    assignees: list[str] = Field(default_factory=list, sa_type=JSON)
    tags: list[str] = Field(default_factory=list, sa_type=JSON)
    summary: str = Field(default="")
    conclusion: str = Field(default="")
    detection_count: int = 0
    created_at: int = Field(sa_type=BigInteger)
    """When it was first read, if the case tells no time."""
    acknowledged_at: int | None = Field(default=None, sa_type=BigInteger)
    resolved_at: int | None = Field(default=None, sa_type=BigInteger)
    closed_at: int | None = Field(default=None, sa_type=BigInteger)
    merged_into: str = Field(default="")
    """`merged_into_case_id`; "" when it is nobody's source."""
    fingerprint: str = Field(default="")
    """SHA-256 of the canonical row: an equal one is not written again."""
    body: bytes = Field(sa_type=LargeBinary)
    """The row of the listing, canonical and compressed: the fields that no column shows too."""


class CaseConfiguration(Model, table=True):
    """What an organization's Cases are configured to, as far as the clocks of its alerts go by it."""

    __tablename__ = "case_configuration"

    oid: str = Field(primary_key=True)
    sla: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """`sla_config`: severity -> `mtta_minutes`, `mttr_minutes`."""
    checked_at: int = Field(default=0, sa_type=BigInteger)


class CaseReading(Model, table=True):
    """How much of a case is known beyond its row, and what its alerts were last brought in line with."""

    __tablename__ = "case_reading"
    __table_args__ = (
        Index(
            "ix_case_reading_stale", "oid", "case_number", sqlite_where=_STALE, postgresql_where=_STALE,
        ),
    )  # fmt: skip

    oid: str = Field(primary_key=True)
    case_number: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    read_at: int | None = Field(default=None, sa_type=BigInteger)
    """When its notes, entities and history were read; None when they never were."""
    stale: bool = False
    """The case is known to have changed since, or since it was first listed where they never were read."""
    links: int = -1
    """How many alerts it held when they were read; -1 when they never were."""
    agreed: str = ""
    """`status/classification` in which the case and its alerts were the same last; "" when never compared.
    See `store.casework.ASKED`."""


class CaseDetection(Model, table=True):
    """An alert that a case holds."""

    __tablename__ = "case_detection"
    __table_args__ = (Index("ix_case_detection_detect_id", "oid", "detect_id"),)

    oid: str = Field(primary_key=True)
    case_number: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    detect_id: str = Field(primary_key=True, sa_type=CompactId)
    cat: str = Field(default="")
    hostname: str = Field(default="")
    sid: str = Field(default="")
    added_at: int | None = Field(default=None, sa_type=BigInteger)


class CaseEvent(Model, table=True):
    """Something that happened to a case; a note is one too (`case_note_added`)."""

    __tablename__ = "case_event"

    oid: str = Field(primary_key=True)
    case_number: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    event_id: str = Field(primary_key=True)
    time: int = Field(default=0, sa_type=BigInteger)
    place: int = 0
    """Where the cloud had it among those of the case, the oldest first: several have one time."""
    action: str = Field(default="")
    """`case_created`, `case_note_added`, ...: as the webhooks call them."""
    by: str = Field(default="")
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """`metadata`: of a note `content`, `note_type`, `is_public`."""


class CaseItem(Model, table=True):
    """What is attached to a case: an entity, an event (telemetry), an artifact."""

    __tablename__ = "case_item"

    oid: str = Field(primary_key=True)
    case_number: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    kind: str = Field(primary_key=True)
    """entity, telemetry or artifact."""
    item_id: str = Field(primary_key=True)
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """As received: `entity_type`, `entity_value`, `verdict`, `note`, ..."""


class CaseEdit(Model, table=True):
    """A change that somebody wants of a case: written down first, then sent once, then read back."""

    __tablename__ = "case_edit"
    __table_args__ = (
        Index("ix_case_edit_waiting", "state", "id", sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index("ix_case_edit_case", "oid", "case_number", "id"),
        Index("ix_case_edit_state", "state", "id"),
    )

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    oid: str
    case_number: int = Field(sa_type=BigInteger)
    """Negative as long as the case is only here."""
    what: str
    """Of `store.cases.EDITS`."""
    wanted: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What is asked for; of an update the fields by name, as Cases take them."""
    seen: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What whoever asked saw: the fields of an update as they were."""
    state: int = Field(default=0, sa_type=SmallInteger)
    """0 pending, 1 sending, 2 done, 3 conflict, 4 refused, 5 dropped: `store.cases.EDIT_STATES`."""
    reason: str = ""
    """Why it waits, was refused, or cannot be decided without a person."""
    found: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """Of a conflict the fields as they are now; before a note or a case is sent, what was there already;
    afterwards what it became."""
    by: str = ""
    """The operator; `alerts` when it follows from a decision on the alerts that the case holds."""
    at: int = Field(default=0, sa_type=BigInteger)
    holder: str = ""
    """Which process sends it: host, process and a number of its own."""
    sent_at: int | None = Field(default=None, sa_type=BigInteger)
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
