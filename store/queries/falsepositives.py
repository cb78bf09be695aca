"""What a false positive rule is tried on: the stored detections, and what it would have done to each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, and_, func, or_, select, tuple_

from store import models
from store.alerts import BENIGN, CLASSIFICATIONS
from store.bodies import storable
from store.database import Reader
from store.queries.scopes import ORGANIZATION, oids_of
from store.text import Untrusted

PAGE = 500
"""Detections read at once: no reader holds the store for longer than this takes."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_BODY: Table = models.DetectionBody.__table__  # type: ignore[attr-defined]
_TRUE = CLASSIFICATIONS.index("true_positive")


@dataclass(frozen=True, slots=True)
class Stored:
    """One detection, with what was decided about it."""

    id: int
    detect_id: Untrusted
    oid: str
    time: int
    cat: Untrusted
    hostname: Untrusted
    status: int
    classification: int
    tags: Untrusted
    packed: bytes | None
    """Its body for `store.bodies.unpack`; None when none is kept."""

    @property
    def true_positive(self) -> bool:
        """Somebody decided that it was real, and not a wanted one."""
        return self.classification == _TRUE and not self.benign

    @property
    def benign(self) -> bool:
        """Somebody decided that it was real and wanted."""
        return self.classification == _TRUE and BENIGN in self.tags.split()

    @property
    def weight(self) -> tuple[int, int]:
        """By which hidden ones are shown: true positives first, then the open ones, the newest first."""
        order = 0 if self.true_positive else 1 if self.benign else 2 if self.classification == 0 else 3
        return (order, -self.time)


@dataclass(frozen=True, slots=True)
class Hidden:
    """A stored detection that the rule would have hidden."""

    alert: Stored
    organization: Untrusted
    by_absence: bool
    """It is hidden only because something that a `not` looks at is not there."""


@dataclass(frozen=True, slots=True)
class OrganizationEffect:
    """What the rule would have done in one organization."""

    oid: str
    organization: Untrusted
    total: int
    """Stored detections of the time looked at; hidden, kept and not evaluated add up to it."""
    hidden: int
    true_positives: int
    """Of the hidden ones; without those that were wanted."""
    kept: int
    not_evaluated: int
    why: str = ""
    """Why the first one was not evaluated; may quote the rule."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What the rule would have done over a scope."""

    since: int
    """Milliseconds, UTC: the oldest detection that was looked at."""
    until: int
    organizations: tuple[OrganizationEffect, ...]
    """Those with a true positive hidden first, then by how many are hidden."""
    hidden: tuple[Hidden, ...]
    """Examples: every true positive up to a bound, then others."""
    warnings: tuple[str, ...]
    evaluated: int
    """Detections that had to be read; the others have another name than the rule demands."""
    seconds: float
    complete: bool = True
    """False when it was stopped before the end."""

    @property
    def totals(self) -> OrganizationEffect:
        """All organizations together."""
        rows = self.organizations
        return OrganizationEffect(
            "",
            Untrusted(""),
            sum(row.total for row in rows),
            sum(row.hidden for row in rows),
            sum(row.true_positives for row in rows),
            sum(row.kept for row in rows),
            sum(row.not_evaluated for row in rows),
            next((row.why for row in rows if row.why), ""),
        )


def held(connection: Connection, scope: str, *, oid: str = "", since: int, until: int) -> dict[str, int]:
    """How many detections of a time are stored of each organization, by oid.

    Args:
        scope: a node of the tree; "" for all organizations.
        oid: of this organization alone.
        since: milliseconds, UTC; inclusive, and so is `until`.
    """
    query = (
        select(_D.c.oid, func.count())
        .where(*_limits(connection, scope, oid), _D.c.time >= since, _D.c.time <= until)
        .group_by(_D.c.oid)
    )
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def names(connection: Connection) -> dict[str, Untrusted]:
    """What organizations are called, by oid."""
    rows = connection.execute(select(ORGANIZATION.c.oid, ORGANIZATION.c.name))
    return {row.oid: Untrusted(row.name or row.oid) for row in rows}


def pages(
    reader: Reader, scope: str, *, oid: str = "", since: int, until: int, cat: str | None = None
) -> Iterator[list[Stored]]:
    """The stored detections of a time with their bodies, the newest first, some hundreds at once.

    Each page is a reading of its own, so that nothing waits for a preview that takes long.

    Args:
        cat: only those that can have this name: also the ones whose name cannot be told.
    """
    after: tuple[int, int] | None = None
    while True:
        with reader.reading() as connection:
            conditions: list[Any] = [*_limits(connection, scope, oid), _D.c.time >= since]
            if cat is not None:
                conditions.append(or_(_D.c.cat == storable(cat)[:500], _D.c.damaged))
            if after is None:
                conditions.append(_D.c.time <= until)
            else:
                conditions.append(tuple_(_D.c.time, _D.c.id) < after)
            query = (
                select(
                    _D.c.id, _D.c.detect_id, _D.c.oid, _D.c.time, _D.c.cat, _D.c.hostname, _D.c.status,
                    _D.c.classification, _D.c.tags, _BODY.c.body,
                )
                .select_from(_D.outerjoin(_BODY, _BODY.c.detection_id == _D.c.id))
                .where(and_(*conditions))
                .order_by(_D.c.time.desc(), _D.c.id.desc())
                .limit(PAGE)
            )  # fmt: skip
            rows = connection.execute(query).all()
        if rows:
            yield [
                Stored(
                    row[0], Untrusted(row[1]), row[2], row[3], Untrusted(row[4]), Untrusted(row[5]), row[6],
                    row[7], Untrusted(row[8]), row[9],
                )
                for row in rows
            ]  # fmt: skip
            after = (rows[-1].time, rows[-1].id)
        if len(rows) < PAGE:
            return


def _limits(connection: Connection, scope: str, oid: str) -> list[Any]:
    conditions: list[Any] = []
    if oid:
        conditions.append(_D.c.oid == oid)
    within = oids_of(connection, scope)
    if within is not None:
        conditions.append(_D.c.oid.in_(within))
    return conditions
