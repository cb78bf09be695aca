"""The endpoints, one module a subject. Importing this package fills the table."""

from console.sandbox.endpoints import (
    access,
    billing,
    configuration,
    hive,
    identity,
    insight,
    organizations,
    sensors,
    streams,
)

__all__ = [
    "access",
    "billing",
    "configuration",
    "hive",
    "identity",
    "insight",
    "organizations",
    "sensors",
    "streams",
]
