"""What of an organization stands behind an ACL tag: a permission alone does not open it.

A sensor or a hive record with a tag `acl:SCOPE` is seen only by the members of that scope, whatever else
somebody may do (LimaCharlie's resource ACLs, `7-administration/access/resource-acls.md`): sensors and what
comes from them disappear, a record comes without its content.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Text, cast, func, select

from store.models import ConfigurationRecord, Sensor
from store.queries.aclscopes import TAG, scopes_of
from store.resources import facet

_HIVES = {
    "ext.conf": "extension_config",
    "cloudsensor": "cloud_sensor",
    "externaladapter": "external_adapter",
}
"""As permissions call a hive -> its name, where they differ."""


@dataclass(frozen=True, slots=True)
class Restricted:
    """What a permission is about, and how much of it is behind a tag."""

    what: str
    """`sensors`, or the section of the configuration: `hive/secret`."""
    total: int
    restricted: int
    scopes: tuple[str, ...]
    """Of the tags, sorted: strangers' text."""


def restricted(connection: Connection, oid: str, permission: str) -> Restricted | None:
    """What the store knows of ACL tags on what a permission of an organization is about.

    Returns:
        None where nothing of it carries one, or the permission is not about sensors or a hive.
    """
    if permission.startswith("sensor."):
        sensor = Sensor.__table__.c  # type: ignore[attr-defined]
        what, tags = "sensors", sensor.tags
        mine: tuple[ColumnElement[bool], ...] = (sensor.oid == oid,)
    else:
        about = facet(permission)
        if about is None:
            return None
        hive = f"dr-{about.namespace}" if about.of == "rules" else _HIVES.get(about.family, about.family)
        record = ConfigurationRecord.__table__.c  # type: ignore[attr-defined]
        what, tags = f"hive/{hive}", record.metadata
        mine = (record.oid == oid, record.section == what, record.valid_to.is_(None))
    tagged = cast(tags, Text).contains(TAG)  # only sorts most of them out
    scopes: set[str] = set()
    count = 0
    for (held,) in connection.execute(select(tags).where(*mine, tagged)):
        listed = held.get("tags") if isinstance(held, dict) else held
        found = scopes_of(listed)
        scopes |= found
        count += bool(found)
    if not count:
        return None
    total = connection.execute(select(func.count()).where(*mine)).scalar_one()
    return Restricted(what, total, count, tuple(sorted(scopes)))


def restricted_words(found: Restricted) -> str:
    """`3 of 41 records of hive/secret stand behind an ACL tag (finance): seen only by its members`."""
    things = "sensors" if found.what == "sensors" else f"records of {found.what}"
    more = f" and {len(found.scopes) - 3:,} more" if len(found.scopes) > 3 else ""
    named = ", ".join(found.scopes[:3]) + more
    return (
        f"{found.restricted:,} of {found.total:,} {things} stand behind an ACL tag ({named}): "
        "seen only by its members"
    )
