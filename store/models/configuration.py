"""Configuration by content: a body is stored once, however many organizations have it."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, LargeBinary, text
from sqlmodel import Field

from store.models.base import Model

_ID = BigInteger().with_variant(Integer, "sqlite")


class ConfigurationBody(Model, table=True):
    """The content of a record, canonical JSON, compressed; secrets already replaced."""

    __tablename__ = "configuration_body"

    hash: str = Field(primary_key=True)
    """SHA-256 of the canonical JSON, in hexadecimal."""
    body: bytes = Field(sa_type=LargeBinary)


class ConfigurationRecord(Model, table=True):
    """One record of one organization, from when to when it was seen like this.

    Reached only through its own organization. An organization's configuration at a time is the
    set of its records with valid_from <= time < valid_to.
    """

    __tablename__ = "configuration_record"
    __table_args__ = (
        Index(
            "uq_configuration_current",
            "oid",
            "section",
            "name",
            unique=True,
            sqlite_where=text("valid_to IS NULL"),
            postgresql_where=text("valid_to IS NULL"),
        ),
        Index("ix_configuration_content", "section", "name", "hash"),
        Index(
            "ix_configuration_ended",
            "valid_to",
            sqlite_where=text("valid_to IS NOT NULL"),
            postgresql_where=text("valid_to IS NOT NULL"),
        ),
    )

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    oid: str
    section: str
    """`hive/dr-general`, `output`, `installation_key`, `extension`, ... : `store.configuration.SECTIONS`."""
    name: str
    hash: str = Field(foreign_key="configuration_body.hash")
    metadata_: dict[str, Any] = Field(
        default_factory=dict, sa_type=JSON, sa_column_kwargs={"name": "metadata"}
    )
    """`usr_mtd` of a hive record: enabled, expiry (ms), tags, comment."""
    enabled: bool | None = None
    etag: str = Field(default="")
    author: str = Field(default="")
    modified: int | None = Field(default=None, sa_type=BigInteger)
    valid_from: int = Field(sa_type=BigInteger)
    valid_to: int | None = Field(default=None, sa_type=BigInteger)
