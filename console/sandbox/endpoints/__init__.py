"""The endpoints, one module a subject. Importing this package fills the table."""

from console.sandbox.endpoints import (
    access,
    billing,
    cases,
    extensions,
    hive,
    identity,
    infrastructure,
    insight,
    keys,
    legacy_rules,
    organizations,
    outputs,
    search,
    sensors,
    services,
    streams,
)

__all__ = [
    "access",
    "billing",
    "cases",
    "extensions",
    "hive",
    "identity",
    "infrastructure",
    "insight",
    "keys",
    "legacy_rules",
    "organizations",
    "outputs",
    "search",
    "sensors",
    "services",
    "streams",
]
