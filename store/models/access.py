"""Who may do what: users, groups, memberships, direct permissions, API keys.

A permission is an opaque string (`dr.set`), never an enumeration: the reference is known to be
incomplete. Effective access of a user on an organization is what is granted directly, plus what
every group grants that holds both the organization and the user as a member. Owners of a group
manage it and do not receive its permissions.
"""

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field

from store.models.base import Model


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


class GroupMember(Model, table=True):
    """A user in a group, as a member, as an owner, or both (two rows)."""

    __tablename__ = "group_member"

    gid: str = Field(primary_key=True)
    email: str = Field(primary_key=True, index=True)
    owner: bool = Field(primary_key=True, default=False)


class GroupOrganization(Model, table=True):
    """An organization held by a group."""

    __tablename__ = "group_organization"

    gid: str = Field(primary_key=True)
    oid: str = Field(primary_key=True, index=True)


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
