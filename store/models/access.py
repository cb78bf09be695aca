"""Who may do what: users, groups, memberships, direct permissions, API keys.

A permission is an opaque string (`dr.set`), never an enumeration: the reference is known to be
incomplete. Effective access of a user on an organization is what is granted directly, plus what
every group grants that holds both the organization and the user as a member. Owners of a group
manage it and do not receive its permissions.

Each table holds what is so now, and in `valid_from` since when it is known to be so (ms): when the cloud was
read that first said just this. What was so before is in `access_former`; only `store.ingest` writes either
(`store.accesshistory`), and `store.queries.asof` reads both as of a time.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer
from sqlmodel import Field

from store.models.base import Model

_ID = BigInteger().with_variant(Integer, "sqlite")


def _since() -> Any:
    return Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class User(Model, table=True):
    """A person, known by e-mail over all organizations."""

    __tablename__ = "user_account"

    email: str = Field(primary_key=True)
    uid: str = Field(default="")
    mfa: bool | None = None
    mfa_types: list[str] = Field(default_factory=list, sa_type=JSON)
    first_seen: int = Field(sa_type=BigInteger)


class DirectPermission(Model, table=True):
    """What one user was granted on one organization, group grants aside."""

    __tablename__ = "direct_permission"

    oid: str = Field(primary_key=True)
    email: str = Field(primary_key=True, index=True)
    permissions: list[str] = Field(default_factory=list, sa_type=JSON)
    """Sorted."""
    valid_from: int = _since()


class Group(Model, table=True):
    """An Organization Group: members receive its permissions on its organizations."""

    __tablename__ = "organization_group"

    gid: str = Field(primary_key=True)
    name: str
    permissions: list[str] = Field(default_factory=list, sa_type=JSON)
    """Sorted."""
    complete: bool = True
    """False when only an organization's own listing named it, so members elsewhere are unknown."""
    first_seen: int = Field(sa_type=BigInteger)
    valid_from: int = _since()


class GroupMember(Model, table=True):
    """A user in a group, as a member, as an owner, or both (two rows)."""

    __tablename__ = "group_member"

    gid: str = Field(primary_key=True)
    email: str = Field(primary_key=True, index=True)
    owner: bool = Field(primary_key=True, default=False)
    valid_from: int = _since()


class GroupOrganization(Model, table=True):
    """An organization held by a group."""

    __tablename__ = "group_organization"

    gid: str = Field(primary_key=True)
    oid: str = Field(primary_key=True, index=True)
    valid_from: int = _since()


class ApiKey(Model, table=True):
    """An organization's API key; the key itself is never seen here."""

    __tablename__ = "api_key"
    __table_args__ = (Index("ix_api_key_name", "name", "oid", "key_hash"),)

    oid: str = Field(primary_key=True)
    key_hash: str = Field(primary_key=True)
    name: str
    """What the audit log calls it; may carry the flairs [bulk] and [segment]."""
    permissions: list[str] = Field(default_factory=list, sa_type=JSON)
    created_by: str = Field(default="")
    allowed_ip_range: str = Field(default="")
    last_used: int | None = Field(default=None, sa_type=BigInteger)
    first_seen: int = Field(sa_type=BigInteger)
    """Ours: the cloud tells no creation time."""
    valid_from: int = _since()
    """Of what it may do and from where, and how it is called; that it was used makes no other key of it."""


class AccessFormer(Model, table=True):
    """What was granted once and is not so any more: a row of one of the tables above as it was, and from when
    to when it was seen like that. What was so at a time has valid_from <= time < valid_to.
    """

    __tablename__ = "access_former"
    __table_args__ = (
        Index("ix_access_former_kind", "kind", "valid_to", "valid_from"),
        Index("ix_access_former_oid", "oid", "kind", "valid_to"),
        Index("ix_access_former_gid", "gid", "kind", "valid_to"),
        Index("ix_access_former_principal", "principal", "kind", "valid_to"),
    )

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    kind: str
    """direct, group, member, owner, held or key: which table it was in, and as what."""
    oid: str = Field(default="")
    """Of direct, held and key; what a group is and who is in it is of no organization."""
    gid: str = Field(default="")
    """Of group, member, owner and held."""
    principal: str = Field(default="")
    """E-mail of direct, member and owner; hash of a key."""
    name: str = Field(default="")
    """Of a group, and of a key: as it was called then."""
    permissions: list[str] = Field(default_factory=list, sa_type=JSON)
    """Of direct, group and key; sorted."""
    complete: bool = True
    """Of a group."""
    created_by: str = Field(default="")
    """Of a key."""
    allowed_ip_range: str = Field(default="")
    """Of a key."""
    first_seen: int | None = Field(default=None, sa_type=BigInteger)
    """Of a group, and of a key."""
    valid_from: int = Field(sa_type=BigInteger)
    valid_to: int = Field(sa_type=BigInteger)
