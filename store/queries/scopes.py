"""Which organizations a scope holds; every other question asks this first."""

from sqlalchemy import Connection, Select, Table, and_, select

from store import models

UNPLACED = "unplaced"
"""The id of the pseudo-node over the organizations that have no node."""

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
