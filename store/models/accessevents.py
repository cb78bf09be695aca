"""What was done to who may do what, and the roles that groups were given by a file."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer
from sqlmodel import Field

from store.models.base import Model

_ID = BigInteger().with_variant(Integer, "sqlite")


class AccessEvent(Model, table=True):
    """One entry about access: of a group's log, or of an organization's audit log."""

    __tablename__ = "access_event"
    __table_args__ = (
        Index("ix_access_event_time", "time", "id"),
        Index("ix_access_event_oid", "oid", "time", "id"),
        Index("ix_access_event_gid", "gid", "time", "id"),
        Index("ix_access_event_principal", "principal", "time", "id"),
        Index("ix_access_event_kind", "kind", "time", "id"),
    )

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    """Grows in the order in which entries were read: logs tell whole seconds."""
    digest: str = Field(unique=True)
    """SHA-256 over whose log it is and the entry: logs have no ids, and are read again and again."""
    time: int = Field(sa_type=BigInteger)
    """0 where the entry tells none."""
    source: str
    """`group` or `audit`."""
    oid: str = Field(default="")
    """The organization it is about; "" for what is of the whole group."""
    gid: str = Field(default="")
    kind: str = Field(default="")
    """Of `store.timeline.KINDS`."""
    action: str = Field(default="")
    """Of `store.timeline.ACTIONS`, else as received."""
    actor: str = Field(default="")
    principal: str = Field(default="")
    """On whom: an e-mail, or an API key's name."""
    permission: str = Field(default="")
    """Names with spaces between."""
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """The entry as received, but for what its name says is a secret."""


class GroupRole(Model, table=True):
    """The role that a group was given when a file was applied."""

    __tablename__ = "group_role"

    gid: str = Field(primary_key=True)
    role: str
    """Its name in the file."""
    permissions: list[str] = Field(default_factory=list, sa_type=JSON)
    """What the role held then; sorted."""
    file_hash: str
    """SHA-256 of the file."""
    applied_at: int = Field(sa_type=BigInteger)


class AccessFile(Model, table=True):
    """A file that a plan was made from: what it will have given once that plan is applied."""

    __tablename__ = "access_file"

    hash: str = Field(primary_key=True)
    """SHA-256 of the file."""
    groups: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    """[{gid, name, role, permissions}]; `gid` is "" where the group is to be made."""
    planned_at: int = Field(sa_type=BigInteger)
