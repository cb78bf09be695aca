"""The provider's own hierarchy over LimaCharlie's flat organizations."""

from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field

from store.models.base import Model


class Node(Model, table=True):
    """A folder (region, tier, customer) or an organization; an organization may have children."""

    __tablename__ = "node"

    id: str = Field(primary_key=True)
    """Chosen by the provider in the tree file; stable over moves and renames."""
    parent_id: str | None = Field(default=None, foreign_key="node.id", index=True)
    name: str
    oid: str | None = Field(default=None, unique=True)
    """The organization that stands here; None for a folder."""
    labels: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    parameters: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    marks: list[str] = Field(default_factory=list, sa_type=JSON)
    """Of `store.tree.MARKS`: protected, frozen, canary, leaving, hold."""
    first: int = Field(default=0, index=True)
    """Depth-first number. The nodes below this one are exactly those numbered first < n <= last."""
    last: int = Field(default=0)
    depth: int = Field(default=0)
    """0 at the root."""
    path: str = Field(default="")
    """The names from the root to here, joined by `/`, without the root's own."""
