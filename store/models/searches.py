"""Searches over the past of several organizations, and what they found."""

from sqlalchemy import JSON, BigInteger, Index, Integer, LargeBinary, SmallInteger
from sqlmodel import Field

from store.models.base import Model

_ID = BigInteger().with_variant(Integer, "sqlite")


class LcqlSearch(Model, table=True):
    """One query that was put to several organizations."""

    __tablename__ = "lcql_search"

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    at: int = Field(sa_type=BigInteger)
    by: str
    query: str
    stream: str
    """`event`, `detection` or `audit`."""
    since: int = Field(sa_type=BigInteger)
    until: int = Field(sa_type=BigInteger)
    scope: str = ""
    """The words for where it was put: the path of a node, or the name of an organization."""
    most: int = 0
    """Rows that are kept of each organization."""
    state: int = Field(default=0, sa_type=SmallInteger)
    """0 running, 1 done, 2 cancelled: `store.lcql.STATES`."""
    rows: int = 0
    columns: list[str] = Field(default_factory=list, sa_type=JSON)
    """What a projection named, in its order; empty for whole events."""
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    seen_at: int = Field(default=0, sa_type=BigInteger)
    """The last sign of life of whoever runs it."""
    stop: bool = False
    """Somebody asked for its end."""


class LcqlOrganization(Model, table=True):
    """What one organization answered."""

    __tablename__ = "lcql_organization"

    search_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    oid: str = Field(primary_key=True)
    name: str = ""
    state: int = Field(default=0, sa_type=SmallInteger)
    """0 waiting, 1 running, 2 done, 3 failed, 4 cancelled: `store.lcql.ANSWERS`."""
    error: str = ""
    price: float | None = None
    """As estimated before, in `currency`; None when the cloud named none."""
    currency: str = ""
    rows: int = 0
    scanned: int = Field(default=0, sa_type=BigInteger)
    """Events that were looked at, as far as the cloud told."""
    cut: bool = False
    """There were more rows than are kept."""


class LcqlRow(Model, table=True):
    """One row of an answer."""

    __tablename__ = "lcql_row"
    __table_args__ = (Index("ix_lcql_row", "search_id", "time", "id"),)

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    search_id: int = Field(sa_type=BigInteger)
    oid: str
    time: int = Field(default=0, sa_type=BigInteger)
    """Of the event (ms); 0 for what was counted."""
    body: bytes = Field(sa_type=LargeBinary)
    """The row as JSON, compressed."""
