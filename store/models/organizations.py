"""Organizations, one row a customer."""

from typing import Any

from sqlalchemy import JSON, BigInteger
from sqlmodel import Field

from store.models.base import Model


class Organization(Model, table=True):
    """A LimaCharlie organization as its own listing and record describe it."""

    __tablename__ = "organization"

    oid: str = Field(primary_key=True)
    name: str = Field(index=True)
    """As the cloud says it: a stranger's text."""
    region: str = Field(default="")
    """`site_name` of the listing."""
    status: str = Field(default="")
    sensor_quota: int | None = None
    quota_used: float | None = None
    """Weighted sensors, from `quota_usage`."""
    sensors_online: int | None = None
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What `GET orgs/{oid}` answered."""
    first_seen: int = Field(sa_type=BigInteger)
    gone_at: int | None = Field(default=None, sa_type=BigInteger)
    """When a complete listing stopped naming it; None while it exists."""
