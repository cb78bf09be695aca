"""What limegrove itself did: sync, the journal, and what a screen should remember."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer
from sqlmodel import Field

from store.models.base import Model

_ID = BigInteger().with_variant(Integer, "sqlite")


class SyncState(Model, table=True):
    """How fresh one subject of one organization is, and where to go on.

    The pseudo-organization "" stands for what belongs to the credential: the listing of
    organizations, and the groups.
    """

    __tablename__ = "sync_state"

    oid: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    """Of `store.freshness.SUBJECTS`."""
    cursor: str = Field(default="")
    """Where an interrupted read goes on; "" when the subject was read to its end."""
    mark: int | None = Field(default=None, sa_type=BigInteger)
    """Up to which time the subject is known (detections, audit)."""
    fingerprint: str = Field(default="")
    """SHA-256 of the last complete answer: an equal one is not written again."""
    checked_at: int | None = Field(default=None, sa_type=BigInteger)
    """From when on it is known to be so: when its last complete read began, or when the audit log was last
    read to its end and told of no change since."""
    attempted_at: int | None = Field(default=None, sa_type=BigInteger)
    failure: str = Field(default="")
    """The kind of the last failure (`auth`, `denied`, `unavailable`, ...); "" when it succeeded."""
    reason: str = Field(default="")
    """One sentence for the operator."""
    stale: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """What is known to have changed since: sections of the configuration with spaces between, `*` for
    everything, "" for nothing. Written together with the audit entry that told."""
    first_at: int | None = Field(default=None, sa_type=BigInteger)
    """`checked_at` of the first complete read, or up to when the past was pruned since: of what was so before
    that nothing is known."""


class OrganizationChange(Model, table=True):
    """That a part of an organization was written: see `store.changes`."""

    __tablename__ = "organization_change"
    __table_args__ = (Index("ix_organization_change_seq", "seq", "part", "oid"),)

    oid: str = Field(primary_key=True)
    """"" for the tree."""
    part: str = Field(primary_key=True)
    """`alerts`, `sensors`, `state`, ...: of `store.changes`."""
    seq: int = Field(default=0, sa_type=BigInteger)
    """Of the transaction that wrote it last; 0 until that has a number."""


class SyncRun(Model, table=True):
    """One run of sync, from its start to its end or its last sign of life."""

    __tablename__ = "sync_run"

    id: int | None = Field(default=None, primary_key=True)
    started_at: int = Field(sa_type=BigInteger)
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    seen_at: int = Field(sa_type=BigInteger)
    """Its last sign of life."""
    organizations: int = 0
    done: int = 0
    failed: list[dict[str, str]] = Field(default_factory=list, sa_type=JSON)
    """[{oid, reason}]"""
    detections_new: int = 0
    requests: int = 0
    note: str = Field(default="")
    """What it is doing, in words."""


class Journal(Model, table=True):
    """The append-only, hash-chained record of everything the console changed, here or in the cloud."""

    __tablename__ = "journal"

    seq: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    time: int = Field(sa_type=BigInteger)
    actor: str
    """Who ran the console: the operating system's user and host."""
    action: str
    """`tree.import`, `auth.login`, ..."""
    oid: str = Field(default="")
    target: str = Field(default="")
    detail: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What was before and after; never a secret."""
    previous: str
    """The hash of the entry before; 64 zeros for the first."""
    hash: str
    """SHA-256 over the previous hash and this entry's canonical JSON."""


class Preference(Model, table=True):
    """A small choice that outlives the console: the scope, the last screen, a pane's state."""

    __tablename__ = "preference"

    key: str = Field(primary_key=True)
    value: Any = Field(default=None, sa_type=JSON)
