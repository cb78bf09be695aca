"""What has to be known about a customer to serve it."""

from typing import Any

from sqlalchemy import JSON, BigInteger
from sqlmodel import Field

from store.models.base import Model


class CustomerDocument(Model, table=True):
    """Contacts, escalation, maintenance, service hours, notes and procedures of one organization."""

    __tablename__ = "customer_document"

    oid: str = Field(primary_key=True)
    document: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """As `store.customers.plain` writes it."""
    calendar: dict[str, Any] | None = Field(default=None, sa_type=JSON(none_as_null=True))
    """When clocks run (`store.customers.calendar_of`); NULL when they run around the clock."""
    missing: list[str] = Field(default_factory=list, sa_type=JSON)
    """What is not said, of `store.customers.NEEDED`."""
    hash: str = ""
    """SHA-256 of the document's text."""
    by: str = ""
    """The operator who changed it last."""
    at: int = Field(default=0, sa_type=BigInteger)
    """When (ms, UTC)."""
    pushed_hash: str = ""
    """Of the text that was written to `org_notes` last; "" when it never was."""
    pushed_etag: str = ""
    """The record's etag then."""
    pushed_at: int | None = Field(default=None, sa_type=BigInteger)
