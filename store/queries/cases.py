"""What is known of cases."""

import json
from typing import Any

from sqlalchemy import Connection, select

from store import models
from store.alerts import STATUSES
from store.bodies import unpack

CLOSED = STATUSES.index("closed")


def unfinished(c: Connection) -> dict[str, set[int]]:
    """The numbers of the cases that are not closed, by oid."""
    case = models.CaseRecord.__table__  # type: ignore[attr-defined]
    found: dict[str, set[int]] = {}
    for row in c.execute(select(case.c.oid, case.c.case_number).where(case.c.status < CLOSED)):
        found.setdefault(row.oid, set()).add(row.case_number)
    return found


def row(c: Connection, oid: str, number: int) -> dict[str, Any]:
    """A case as it was listed last; {} when it is not known."""
    case = models.CaseRecord.__table__  # type: ignore[attr-defined]
    packed = c.execute(
        select(case.c.body).where(case.c.oid == oid, case.c.case_number == number)
    ).scalar_one_or_none()
    if packed is None:
        return {}
    found: dict[str, Any] = json.loads(unpack(packed))
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
