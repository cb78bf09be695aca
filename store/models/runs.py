"""Runs: what is done to many organizations in a row, each step checked, and how far it has come."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, SmallInteger, text
from sqlmodel import Field

from store.models.base import Model

_ID = BigInteger().with_variant(Integer, "sqlite")
_RUNNING = text("state = 1")


class Run(Model, table=True):
    """Steps over organizations that are made together, exactly as they were shown; never a secret in it."""

    __tablename__ = "run"
    __table_args__ = (Index("ix_run_running", "id", sqlite_where=_RUNNING, postgresql_where=_RUNNING),)

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    kind: str
    """`store.runs.KINDS`: bulk, onboard, offboard."""
    title: str
    source: str = ""
    """Where its items come from, such as `filter:region:europe`, `file:customers.csv`, `undo:12`."""
    state: int = Field(default=0, sa_type=SmallInteger)
    """`store.runs.STATES`: 0 draft, 1 running, 2 done, 3 partly, 4 failed, 5 dropped."""
    hash: str = ""
    """SHA-256 over the items and their steps, as canonical JSON."""
    options: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    by: str = ""
    created_at: int = Field(default=0, sa_type=BigInteger)
    expires_at: int = Field(default=0, sa_type=BigInteger)
    """Of a draft, until when it may be begun; of one that runs, until when it is carried on unasked."""
    approved_by: str = ""
    approved_at: int | None = Field(default=None, sa_type=BigInteger)
    holder: str = ""
    """Which process makes it; "" when none does, and it waits to be carried on."""
    beat_at: int | None = Field(default=None, sa_type=BigInteger)
    """When that process last said that it is there."""
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    undo_of: int | None = Field(default=None, sa_type=BigInteger, index=True)
    """The run that this one takes back."""


class RunItem(Model, table=True):
    """What is done to one organization, which may be made by it."""

    __tablename__ = "run_item"
    __table_args__ = (Index("ix_run_item_oid", "oid", "run_id"),)

    run_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    item: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    """From 1."""
    oid: str = ""
    """"" until a step of it has made the organization."""
    name: str = ""
    """What the organization is called, or will be."""
    options: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    state: int = Field(default=0, sa_type=SmallInteger)
    """`store.runs.ITEM_STATES`."""
    reason: str = ""
    """Why it is not done, in a sentence."""


class RunStep(Model, table=True):
    """One step of an item, and what came of it."""

    __tablename__ = "run_step"

    run_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    item: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    """From 1 in each item, in the order in which they are made."""
    verb: str
    """Of `store.runs.VERBS`."""
    target: str = ""
    """On what in the organization: a tag's sensor, a user, an output's name."""
    arguments: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    needed: bool = True
    """When it fails, what follows it in its item is held back."""
    before: Any = Field(default=None, sa_type=JSON, nullable=True)
    """What was there when it was first looked at; None until then."""
    outcome: int = Field(default=0, sa_type=SmallInteger)
    """`store.runs.OUTCOMES`: 0 waiting, 1 sending, and what is final."""
    error: str = ""
    intent: int | None = Field(default=None, sa_type=BigInteger)
    """Number of the journal entry that was written before it was sent."""
    made: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What it brought that later steps or an undo need, such as {oid} or {iid}."""
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
