"""What organizations used, what went wrong in them, and who did what."""

from typing import Any

from sqlalchemy import JSON, BigInteger
from sqlmodel import Field

from store.models.base import Model


class Usage(Model, table=True):
    """One figure of one day. LimaCharlie aggregates by day, with about a day of delay."""

    __tablename__ = "usage"

    oid: str = Field(primary_key=True)
    day: str = Field(primary_key=True)
    """YYYY-MM-DD, UTC."""
    metric: str = Field(primary_key=True)
    """`sensor_events`, `output_bytes_tx`, `peak_sensors`, ..."""
    value: float = 0.0


class OrganizationError(Model, table=True):
    """A standing error of an organization: a failing output, a broken rule."""

    __tablename__ = "organization_error"

    oid: str = Field(primary_key=True)
    component: str = Field(primary_key=True)
    error: str = Field(default="")
    time: int | None = Field(default=None, sa_type=BigInteger)


class AuditEntry(Model, table=True):
    """One line of an organization's audit log."""

    __tablename__ = "audit_entry"

    oid: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)
    """SHA-256 of the canonical entry: the log has no ids, and a page may be read twice."""
    time: int = Field(sa_type=BigInteger, index=True)
    kind: str = Field(default="")
    """`etype`."""
    actor: str = Field(default="")
    """`ident`, else `origin`."""
    message: str = Field(default="")
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """The whole entry as received."""


class AuditUse(Model, table=True):
    """Who did what on an organization, in sum: see `store.audituse`."""

    __tablename__ = "audit_use"

    oid: str = Field(primary_key=True)
    actor: str = Field(primary_key=True)
    """As `AuditEntry.actor`; "" together with an empty mark stands for the whole log."""
    mark: str = Field(primary_key=True)
    """`hive:NAME`, else the `etype`."""
    first: int = Field(sa_type=BigInteger)
    last: int = Field(sa_type=BigInteger)
