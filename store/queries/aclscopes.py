"""The ACL scopes of an organization: who may see the resources that carry the tag of one.

A resource with the tag `acl:NAME` is for the members of that scope alone, whatever else somebody may do; the
scope is a record of the hive `acl`, `{"members": [{"type", "id"}], "warn_only"}`, whose members are users by
e-mail, API keys by name and groups by gid (LimaCharlie's `7-administration/access/resource-acls.md`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Text, cast, select

from store.bodies import unpack
from store.models import ConfigurationBody, ConfigurationRecord, Sensor
from store.text import Untrusted

TAG = "acl:"
"""Before the name of a scope in a tag."""

_SECTION = "hive/acl"


@dataclass(frozen=True, slots=True)
class AclScope:
    """One scope, and what carries its tag."""

    name: Untrusted
    defined: bool
    """False when only tags name it: then nobody is known to be a member."""
    members: tuple[tuple[str, Untrusted], ...] = ()
    """(user, api_key or group, its e-mail, name or gid)."""
    warn_only: bool = False
    """It is watched and not yet enforced."""
    sensors: int = 0
    records: int = 0
    """Hive records and installation keys."""

    def admits(self, kind: str, principal: str, name: str, gids: tuple[str, ...] = ()) -> bool:
        """Whether somebody is a member, by name or through a group.

        Args:
            kind: user, group or key.
            principal: e-mail, gid or hash.
            name: of a key, what it is called.
            gids: the groups of a user.
        """
        wanted = {
            "user": {("user", principal.lower()), *(("group", gid) for gid in gids)},
            "group": {("group", principal)},
            "key": {("api_key", name)},
        }[kind]
        return any((of, str(one).lower() if of == "user" else str(one)) in wanted for of, one in self.members)


def acl_scopes(connection: Connection, oid: str) -> tuple[AclScope, ...]:
    """The scopes of one organization, by name; those that only a tag names are among them."""
    record, body = ConfigurationRecord.__table__.c, ConfigurationBody.__table__.c  # type: ignore[attr-defined]
    current = (record.oid == oid) & record.valid_to.is_(None)
    defined: dict[str, Any] = {}
    for name, packed in connection.execute(
        select(record.name, body.body).where(current, record.section == _SECTION, record.hash == body.hash)
    ):
        defined[name] = _decoded(packed)
    sensors: dict[str, int] = {}
    tags = Sensor.__table__.c.tags  # type: ignore[attr-defined]
    for (listed,) in connection.execute(
        select(tags).where(Sensor.__table__.c.oid == oid, cast(tags, Text).contains(TAG))  # type: ignore[attr-defined]
    ):
        for name in scopes_of(listed):
            sensors[name] = sensors.get(name, 0) + 1
    records: dict[str, int] = {}
    for listed in _tagged(connection, current):
        for name in scopes_of(listed):
            records[name] = records.get(name, 0) + 1
    return tuple(
        AclScope(
            Untrusted(name), name in defined, _members(defined.get(name)), _warns(defined.get(name)),
            sensors.get(name, 0), records.get(name, 0),
        )
        for name in sorted(defined.keys() | sensors.keys() | records.keys())
    )  # fmt: skip


def _tagged(connection: Connection, current: Any) -> Iterator[Any]:
    """The tags of each record that has any of a scope."""
    table = ConfigurationRecord.__table__  # type: ignore[attr-defined]
    metadata = table.c.metadata
    for (held,) in connection.execute(
        select(metadata).where(current, table.c.section != _SECTION, cast(metadata, Text).contains(TAG))
    ):
        yield held.get("tags") if isinstance(held, dict) else None
    body = ConfigurationBody.__table__.c  # type: ignore[attr-defined]
    for (packed,) in connection.execute(
        select(body.body).where(current, table.c.section == "installation_key", table.c.hash == body.hash)
    ):
        found = _decoded(packed)
        yield found.get("tags") if isinstance(found, dict) else None


def scopes_of(tags: object) -> set[str]:
    """The scopes that tags name: a list, or text with commas between them."""
    if isinstance(tags, str):
        tags = tags.split(",")
    if not isinstance(tags, list):
        return set()
    return {
        tag.strip()[len(TAG) :] for tag in tags if isinstance(tag, str) and tag.strip().startswith(TAG)
    } - {""}


def _members(body: object) -> tuple[tuple[str, Untrusted], ...]:
    listed = body.get("members") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        return ()
    return tuple(
        (str(each.get("type") or ""), Untrusted(each.get("id") or ""))
        for each in listed
        if isinstance(each, dict)
    )


def _warns(body: object) -> bool:
    return isinstance(body, dict) and body.get("warn_only") is True


def _decoded(packed: bytes) -> Any:
    try:
        return msgspec.json.decode(unpack(packed))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
