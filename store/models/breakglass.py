"""Access that ends by itself: break-glass memberships, and everything else that has a time."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, SmallInteger, text
from sqlmodel import Field

from store.models.base import Model

_ID = BigInteger().with_variant(Integer, "sqlite")
_OPEN = text("state < 2")


class AccessDeadline(Model, table=True):
    """Changes of access that are made when their time comes, whichever console or command is there then."""

    __tablename__ = "access_deadline"
    __table_args__ = (
        Index("ix_access_deadline_open", "due_at", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    kind: str
    """`break-glass`, `rotation`, ...: who asked for it."""
    title: str
    """What it is, in words; it may hold a stranger's text."""
    changes: list[dict[str, str]] = Field(default_factory=list, sa_type=JSON)
    """What is to be made: fields of `store.accesschanges.AccessChange`."""
    by: str
    """The operator who asked for it."""
    made_at: int = Field(sa_type=BigInteger)
    due_at: int = Field(sa_type=BigInteger)
    """By the clock of the machine; moved forward when that is set back, so that nothing lasts longer."""
    state: int = Field(default=0, sa_type=SmallInteger)
    """0 waiting, 1 taken by a process, 2 done, 3 called off: `store.deadlines.STATES`."""
    outcome: str = ""
    """Of what is done: `done`, or `already` when it was so without us."""
    tries: int = 0
    """How often it was tried in vain."""
    next_at: int = Field(default=0, sa_type=BigInteger)
    """Not to be tried before."""
    reason: str = ""
    """Why the last try failed; one sentence."""
    holder: str = ""
    """Which process makes it: host, process and a number of its own."""
    taken_at: int | None = Field(default=None, sa_type=BigInteger)
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    finished_by: str = ""
    """The operator under whom it was done or called off."""


class BreakGlass(Model, table=True):
    """A membership in a group for a while, with the reason; its deadline takes it away again."""

    __tablename__ = "break_glass"
    __table_args__ = (Index("ix_break_glass_deadline", "deadline_id", unique=True),)

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    deadline_id: int = Field(sa_type=BigInteger)
    """The row of `access_deadline` that ends it; written in the same transaction, before it is given."""
    gid: str
    group_name: str
    principal: str
    """E-mail, in lower case."""
    reason: str
    ticket: str
    by: str
    """The operator who started it."""
    started_at: int = Field(sa_type=BigInteger)
    """When it was written down, before anything was sent."""
    asked_for: int = Field(sa_type=BigInteger)
    """For how long (ms)."""
    state: int = Field(default=0, sa_type=SmallInteger)
    """0 asked for, 1 given, 2 ended, 3 never given: `store.breakglass.STATES`."""
    given_at: int | None = Field(default=None, sa_type=BigInteger)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
    ended_by: str = ""
    end_reason: str = ""
    """`expired`, `early`, `already` (it was gone without us), or `never given`."""
    gives: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What was shown before it was given: `organizations` [oid], `privileged` [permission]."""
