"""Which organizations are looked at more often than others."""

from sqlalchemy import Connection, select, text

from store import models
from store.alerts import SEVERITIES

MATTERS = frozenset(("protected", "canary"))
"""Marks of a node that say that its organization matters."""


def important(c: Connection) -> set[str]:
    """The oids of organizations that are marked as protected or canary, or have open critical alerts."""
    node, count = models.Node.__table__, models.DetectionCount.__table__  # type: ignore[attr-defined]
    marked = c.execute(select(node.c.oid, node.c.marks).where(node.c.oid.is_not(None)))
    found = {row.oid for row in marked if MATTERS.intersection(row.marks or ())}
    critical = SEVERITIES.index("critical")
    found.update(
        c.execute(
            select(count.c.oid)
            .where(count.c.severity == critical, text("status < 2"), count.c.count > 0)
            .distinct()
        ).scalars()
    )
    return found
