"""The endpoints, one module a subject. Importing this package fills the table."""

from console.sandbox.endpoints import (
    access,
    billing,
    cases,
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
    "cases",
    "configuration",
    "hive",
    "identity",
    "insight",
    "organizations",
    "sensors",
    "streams",
]
