"""Cases: what an organization's own case system (`ext-cases`) holds, as it was read last."""

from sqlalchemy import JSON, BigInteger, Index, LargeBinary, SmallInteger, text
from sqlmodel import Field, SQLModel

_OPEN = text("status < 2")


class CaseRecord(SQLModel, table=True):
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
        Index("ix_case_record_created_at", "created_at", "oid"),
    )  # fmt: skip

    oid: str = Field(primary_key=True)
    case_number: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    """Counts within the organization."""
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
