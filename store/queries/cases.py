"""What is known of cases."""

from sqlalchemy import Connection, select

from store import models
from store.alerts import STATUSES

CLOSED = STATUSES.index("closed")


def unfinished(c: Connection) -> dict[str, set[int]]:
    """The numbers of the cases that are not closed, by oid."""
    case = models.CaseRecord.__table__  # type: ignore[attr-defined]
    found: dict[str, set[int]] = {}
    for row in c.execute(select(case.c.oid, case.c.case_number).where(case.c.status < CLOSED)):
        found.setdefault(row.oid, set()).add(row.case_number)
    return found


def subscribed(c: Connection) -> set[str]:
    """The oids of the organizations that have the extension of cases."""
    record = models.ConfigurationRecord.__table__  # type: ignore[attr-defined]
    return set(
        c.execute(
            select(record.c.oid).where(
                record.c.section == "extension", record.c.name == "ext-cases", record.c.valid_to.is_(None)
            )
        ).scalars()
    )
