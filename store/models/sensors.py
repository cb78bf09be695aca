"""Sensors in summary."""

from typing import Any

from sqlalchemy import JSON, BigInteger
from sqlmodel import Field

from store.models.base import Model


class Sensor(Model, table=True):
    """One endpoint or adapter, as the sensor listing has it."""

    __tablename__ = "sensor"

    oid: str = Field(primary_key=True)
    sid: str = Field(primary_key=True)
    hostname: str = Field(default="", index=True)
    platform: int = Field(default=0, sa_type=BigInteger)
    """LimaCharlie's code: 268435456 is Windows; `store.sensors.PLATFORMS`."""
    architecture: int = 0
    enrolled: int | None = Field(default=None, sa_type=BigInteger)
    alive: int | None = Field(default=None, sa_type=BigInteger)
    """When it was last heard of."""
    internal_ip: str = Field(default="")
    external_ip: str = Field(default="")
    isolated: bool = False
    tags: list[str] = Field(default_factory=list, sa_type=JSON)
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """The whole record as received."""
