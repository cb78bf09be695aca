"""Which organizations a scope holds; every other question asks this first."""

from collections.abc import Collection

from sqlalchemy import Connection, Select, String, Table, and_, cast, select

from store import models
from store.text import Untrusted

UNPLACED = "unplaced"
"""The id of the pseudo-node over the organizations that have no node."""

UNPLACED_NAME = "Unplaced"
"""How it is shown."""

NODE: Table = models.Node.__table__  # type: ignore[attr-defined]
ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]


def oids_of(connection: Connection, scope: str) -> Select[tuple[str]] | None:
    """A query for the oids below the node `scope`, itself included; None when that is all of them.

    "" and the root are all organizations, placed or not. An unknown node holds none. The id of an
    organization without a node is its oid.
    """
    if not scope:
        return None
    if scope == UNPLACED:
        return _unplaced()
    found = connection.execute(
        select(NODE.c.first, NODE.c.last, NODE.c.parent_id).where(NODE.c.id == scope)
    ).one_or_none()
    if found is None:
        return _unplaced().where(ORGANIZATION.c.oid == scope)
    if found.parent_id is None:
        return None
    return select(NODE.c.oid).where(
        and_(NODE.c.oid.is_not(None), NODE.c.first >= found.first, NODE.c.first <= found.last)
    )


def _unplaced() -> Select[tuple[str]]:
    placed = select(NODE.c.oid).where(NODE.c.oid == ORGANIZATION.c.oid)
    return select(ORGANIZATION.c.oid).where(~placed.exists())


def marked(connection: Connection, mark: str, oids: Collection[str]) -> dict[str, Untrusted]:
    """The names of those organizations that carry a mark, themselves or from a node above, by oid.

    Args:
        mark: of `store.tree.MARKS`.
    """
    # An empty list is not read at all: of ten thousand nodes a handful has marks.
    marks = select(NODE.c.first, NODE.c.last, NODE.c.marks).where(cast(NODE.c.marks, String) != "[]")
    ranges = [(row.first, row.last) for row in connection.execute(marks) if mark in row.marks]
    found: dict[str, Untrusted] = {}
    listed = sorted(oids) if ranges else []
    for at in range(0, len(listed), 500):
        query = (
            select(NODE.c.oid, NODE.c.first, ORGANIZATION.c.name)
            .outerjoin(ORGANIZATION, ORGANIZATION.c.oid == NODE.c.oid)
            .where(NODE.c.oid.in_(listed[at : at + 500]))
        )
        for row in connection.execute(query):
            if any(first <= row.first <= last for first, last in ranges):
                found[row.oid] = Untrusted(row.name or row.oid)
    return found


def marks_of(connection: Connection, oid: str) -> tuple[str, ...]:
    """The marks of an organization's node, inherited ones included: `protected`, `frozen`, ..."""
    return inherited(connection, oid)[1]


def parameters_of(connection: Connection, oid: str) -> dict[str, object]:
    """An organization's parameters, its own and those of the nodes above."""
    return inherited(connection, oid)[2]


def inherited(connection: Connection, oid: str) -> tuple[dict[str, str], tuple[str, ...], dict[str, object]]:
    """Labels, marks and parameters of an organization's node, with those from above."""
    here = select(NODE.c.first, NODE.c.last).where(NODE.c.oid == oid).subquery()
    above = connection.execute(
        select(NODE.c.labels, NODE.c.marks, NODE.c.parameters)
        .where(NODE.c.first <= here.c.first, NODE.c.last >= here.c.last)
        .order_by(NODE.c.first)
    )
    labels: dict[str, str] = {}
    marks: dict[str, None] = {}
    parameters: dict[str, object] = {}
    for row in above:
        labels |= row.labels
        marks |= dict.fromkeys(row.marks)
        parameters |= row.parameters
    return labels, tuple(marks), parameters
