"""What is to change about access: staged by an operator, planned, and how far the plan has come."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, SmallInteger, text
from sqlmodel import Field

from store.models.base import Model

_ID = BigInteger().with_variant(Integer, "sqlite")
_APPLYING = text("state = 1")


class StagedChange(Model, table=True):
    """A change that an operator has put aside for the next plan; it outlives the console."""

    __tablename__ = "staged_change"
    __table_args__ = (
        Index(
            "uq_staged_change", "operator", "kind", "oid", "gid", "principal", "permission", unique=True
        ),
    )  # fmt: skip

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    operator: str
    kind: str
    """Of `store.accesschanges.KINDS`; the fields below as in `AccessChange`."""
    oid: str = ""
    gid: str = ""
    principal: str = ""
    permission: str = ""
    at: int = Field(default=0, sa_type=BigInteger)


class AccessPlan(Model, table=True):
    """Changes that are made together, exactly as they were shown."""

    __tablename__ = "access_plan"
    __table_args__ = (
        Index("ix_access_plan_applying", "id", sqlite_where=_APPLYING, postgresql_where=_APPLYING),
    )

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    title: str
    source: str = ""
    """Where its changes come from, such as `staged`, `access.yaml`, `undo:12`; "" when they were named."""
    state: int = Field(default=0, sa_type=SmallInteger)
    """0 draft, 1 applying, 2 applied, 3 partly, 4 failed, 5 dropped: `store.accessplans.STATES`."""
    hash: str = ""
    """SHA-256 over the changes and what was there before, as canonical JSON."""
    organizations: list[str] = Field(default_factory=list, sa_type=JSON)
    """The oids that it touches; of a change of a group all that the group holds."""
    by: str = ""
    created_at: int = Field(default=0, sa_type=BigInteger)
    expires_at: int = Field(default=0, sa_type=BigInteger)
    approved_by: str = ""
    approved_at: int | None = Field(default=None, sa_type=BigInteger)
    holder: str = ""
    """Which process applies it; "" when none does, and the plan waits to be carried on."""
    beat_at: int | None = Field(default=None, sa_type=BigInteger)
    """When that process last said that it is there."""
    finished_at: int | None = Field(default=None, sa_type=BigInteger)


class AccessStep(Model, table=True):
    """One change of a plan, and what came of it."""

    __tablename__ = "access_step"

    plan_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    """From 1, in the order in which they are made."""
    kind: str
    oid: str = ""
    gid: str = ""
    principal: str = ""
    permission: str = ""
    before: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What the plan saw, by kind: `store.accessplans.before_of`."""
    outcome: int = Field(default=0, sa_type=SmallInteger)
    """`store.accessplans.OUTCOMES`: 0 waiting, 1 sending, and what is final."""
    error: str = ""
    intent: int | None = Field(default=None, sa_type=BigInteger)
    """Number of the journal entry that was written before it was sent."""
    made: str = ""
    """Of `create_group` the gid of the group that it made."""
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
