"""From a value to every alert that speaks of it, and to where it was seen."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, func, select

from store import models, textindex
from store.queries.alerts import SELECTED, AlertRow, driven, row_of, rows_of
from store.queries.scopes import ORGANIZATION, oids_of
from store.text import Untrusted

VERDICTS: Final = 2_000
"""Among so many of the newest alerts with a value the last verdict is looked for."""

_STRIDE: Final = 500
"""Alerts of everywhere that are looked at, to pick those of a scope."""

_STRIDES: Final = 4
"""How often, before the text index is asked about each organization of the scope: most of a second for
thousands of them, and seldom needed."""

_NARROW: Final = 400
"""It is asked at once about a scope of so few."""

_WIDE: Final = 3_000
"""It is asked about no more than so many; of a wider scope, alerts are picked to the end."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Prevalence:
    """Where a value was seen, over everything stored."""

    k: int
    """Organizations that have an alert that speaks of it."""
    n: int
    """Organizations that there are, and of those that are gone the ones that have such an alert."""
    alerts: int
    first: int | None
    """Time of the first alert (ms); None when there is none."""
    last: int | None
    last_verdict: int
    """Index into `store.alerts.CLASSIFICATIONS`; 0 when none of the newest VERDICTS alerts has one."""
    last_verdict_at: int | None
    """When it was given (ms), as far as known."""
    last_verdict_by: Untrusted
    last_verdict_alert: int | None
    """The alert that got it."""


def pivot(
    connection: Connection,
    kind: str,
    value: str,
    *,
    scope: str = "",
    after: int | None = None,
    limit: int = 50,
) -> list[AlertRow]:
    """The alerts that speak of a value, those that came last first, whatever their state.

    A file is found by its path and by its name, an account with and without its domain, a name on the net by
    the domains above it; case does not count (see `store.observables.folded`).

    Args:
        kind: one of `store.observables.KINDS`.
        value: as somebody spells it.
        scope: id of a tree node; "" is the root.
        after: id of the last alert of the page before.
    """
    dialect = connection.dialect.name
    query = textindex.value_query(dialect, kind, value)
    if not query or limit < 1:
        return []
    oids = oids_of(connection, scope)
    if oids is None:
        return _page(connection, query, after, limit)
    held = {str(row[0]) for row in connection.execute(oids)}
    found: list[int] = []
    strides = 0 if len(held) > _NARROW else _STRIDES
    while held and len(found) < limit:
        if strides >= _STRIDES and len(held) <= _WIDE:
            within = textindex.label_query(dialect, "oid", sorted(held))
            rest = _page(connection, textindex.all_of(dialect, [query, within]), after, limit - len(found))
            return _by_number(connection, found) + rest
        strides += 1
        # Of those that are elsewhere nothing is read but where they are.
        wanted, values = textindex.newest_sql(dialect, query, before=after, limit=_STRIDE)
        rows = driven(
            connection, f"SELECT id, oid FROM detection WHERE id IN ({wanted}) ORDER BY id DESC", values
        )
        if not rows:
            break
        found += [number for number, oid in rows if oid in held]
        after = rows[-1][0]
    return _by_number(connection, found[:limit])


def _by_number(connection: Connection, ids: list[int]) -> list[AlertRow]:
    """These alerts, those that came last first."""
    return sorted(rows_of(connection, ids), key=lambda row: -row.id)


def prevalence(connection: Connection, kind: str, value: str, *, scope: str = "") -> Prevalence:
    """Where a value was seen: at k of n organizations, first, last, and what was decided about it last.

    Args:
        kind: one of `store.observables.KINDS`.
        value: as somebody spells it.
        scope: id of a tree node; "" is the root.
    """
    oids = oids_of(connection, scope)
    organizations = select(ORGANIZATION.c.oid).where(ORGANIZATION.c.gone_at.is_(None))
    if oids is not None:
        organizations = organizations.where(ORGANIZATION.c.oid.in_(oids))
    token = textindex.token_of(kind, value)
    seen = textindex.sightings(connection, token) if token else []
    if oids is not None and seen:
        within = {str(row[0]) for row in connection.execute(oids)}
        seen = [each for each in seen if each[0] in within]
    there = connection.execute(select(func.count()).select_from(organizations.subquery())).scalar_one()
    if not seen:
        return Prevalence(0, int(there), 0, None, None, 0, None, Untrusted(""), None)
    at_seen = organizations.where(ORGANIZATION.c.oid.in_([oid for oid, *_ in seen])).subquery()
    known = connection.execute(select(func.count()).select_from(at_seen)).scalar_one()
    verdict = _verdict(connection, token, {oid for oid, *_ in seen} if oids is not None else None)
    return Prevalence(
        k=len(seen),
        n=int(there) + len(seen) - int(known),
        alerts=sum(number for *_, number in seen),
        first=min(first for _, first, _, _ in seen),
        last=max(last for _, _, last, _ in seen),
        last_verdict=verdict.classification if verdict is not None else 0,
        last_verdict_at=verdict.resolved_at if verdict is not None else None,
        last_verdict_by=Untrusted(verdict.assignee if verdict is not None else ""),
        last_verdict_alert=verdict.id if verdict is not None else None,
    )


def _verdict(connection: Connection, token: str, oids: set[str] | None) -> Any:
    """The alert with this value that was classified last, among the newest ones; None when none was."""
    dialect = connection.dialect.name
    newest = textindex.newest_ids(dialect, textindex.term(dialect, token), limit=VERDICTS)
    when = func.coalesce(_D.c.resolved_at, _D.c.time)
    found = connection.execute(
        select(_D.c.id, _D.c.oid, _D.c.classification, _D.c.resolved_at, _D.c.assignee)
        .where(_D.c.id.in_(newest), _D.c.classification > 0)
        .order_by(when.desc(), _D.c.id.desc())
        .limit(1 if oids is None else VERDICTS)
    )
    return next((row for row in found if oids is None or row.oid in oids), None)


def _page(connection: Connection, query: str, before: int | None, limit: int) -> list[AlertRow]:
    """The newest alerts that a query of the text index finds, newest first."""
    wanted, values = textindex.newest_sql(connection.dialect.name, query, before=before, limit=limit)
    sql = f"{SELECTED} detection.id IN ({wanted}) ORDER BY detection.id DESC"
    return list(map(row_of, driven(connection, sql, values)))
