"""Detections and their triage state: the alert queue."""

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, SmallInteger, text
from sqlmodel import Field, SQLModel

_OPEN = text("status < 2")
_DONE = text("status >= 2")
_ID = BigInteger().with_variant(Integer, "sqlite")


class Detection(SQLModel, table=True):
    """What the queue filters and sorts by. The event itself is in `DetectionBody`.

    Pages run over (severity, time, id), all descending, so that a row-value comparison serves on
    both engines.
    """

    __tablename__ = "detection"
    __table_args__ = (
        Index("uq_detection", "oid", "detect_id", unique=True),
        Index("ix_detection_queue", "severity", "time", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index(
            "ix_detection_queue_oid", "oid", "severity", "time", "id",
            sqlite_where=_OPEN, postgresql_where=_OPEN,
        ),
        Index(
            "ix_detection_queue_cat", "cat", "severity", "time", "id",
            sqlite_where=_OPEN, postgresql_where=_OPEN,
        ),
        Index(
            "ix_detection_queue_hostname", "hostname", "severity", "time", "id",
            sqlite_where=_OPEN, postgresql_where=_OPEN,
        ),
        Index("ix_detection_done", "severity", "time", "id", sqlite_where=_DONE, postgresql_where=_DONE),
        Index(
            "ix_detection_done_oid", "oid", "severity", "time", "id",
            sqlite_where=_DONE, postgresql_where=_DONE,
        ),
        Index("ix_detection_time", "time", "oid"),
    )  # fmt: skip

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    oid: str
    detect_id: str
    severity: int = Field(sa_type=SmallInteger)
    """4 critical, 3 high, 2 medium, 1 low, 0 info: `store.alerts.SEVERITIES`."""
    time: int = Field(sa_type=BigInteger)
    """`gen_time`, else `ts`: milliseconds, UTC."""
    cat: str = Field(default="")
    rule: str = Field(default="")
    """`source_rule`."""
    hostname: str = Field(default="")
    sid: str = Field(default="")
    event_type: str = Field(default="")
    priority: int | None = None
    status: int = Field(default=0, sa_type=SmallInteger)
    """0 new, 1 in_progress, 2 resolved, 3 closed: `store.alerts.STATUSES`. Open is below 2."""
    classification: int = Field(default=0, sa_type=SmallInteger)
    """0 pending, 1 true_positive, 2 false_positive."""
    assignee: str = Field(default="")
    acknowledged_at: int | None = Field(default=None, sa_type=BigInteger)
    resolved_at: int | None = Field(default=None, sa_type=BigInteger)
    snoozed_until: int | None = Field(default=None, sa_type=BigInteger)
    damaged: bool = False
    """The record could not be read as JSON text; its bytes are kept as they came."""
    version: int = Field(default=0)
    """Goes up with every change of state: what compare-and-set compares."""


class DetectionBody(SQLModel, table=True):
    """The detection as received, byte for byte, compressed."""

    __tablename__ = "detection_body"

    detection_id: int = Field(sa_type=_ID, primary_key=True, sa_column_kwargs={"autoincrement": False})
    body: bytes = Field(sa_type=LargeBinary)


class DetectionCount(SQLModel, table=True):
    """How many detections an organization has in each state, kept exactly in the same transaction."""

    __tablename__ = "detection_count"

    oid: str = Field(primary_key=True)
    severity: int = Field(primary_key=True, sa_type=SmallInteger)
    status: int = Field(primary_key=True, sa_type=SmallInteger)
    count: int = Field(default=0, sa_type=BigInteger)
