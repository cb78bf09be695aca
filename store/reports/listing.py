"""Whose report would be written for a period, and what it would lack, before any figure is read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from store import customers
from store.queries.scopes import NODE, ORGANIZATION, oids_of
from store.reports import sources
from store.reports.figures import Source
from store.reports.periods import Period, PeriodError, zone_of
from store.text import Untrusted


@dataclass(frozen=True, slots=True)
class Addressee:
    """A customer, and what a report for it would rest on."""

    oid: str
    name: Untrusted
    period: Period
    """In its own time zone, unless another one was asked for."""
    sources: tuple[Source, ...]
    """Its alerts, its sensors, its cases unless it is known to have no case system, and what else was never
    read."""
    brand: Untrusted
    """What the tree says: `report_brand`, "" for the default."""
    language: Untrusted
    """`report_language`; "" where the brand says it."""
    sections: tuple[Untrusted, ...]
    """`report_sections`; () where the brand says it."""

    @property
    def state(self) -> str:
        """That of its alerts; a part when only something else is missing."""
        alerts = self.sources[0].state
        return "part" if alerts == "whole" and any(each.state != "whole" for each in self.sources) else alerts


def addressees(
    connection: Connection,
    period: Period,
    *,
    scope: str = "",
    now: int,
    brand_zone: Callable[[str], str] = lambda _name: "",
) -> list[Addressee]:
    """The customers of a scope by name, those that are gone left out.

    Args:
        period: without a zone it is in that of each customer, as a report about it is: what the tree says,
            else its brand, else its documentation, else UTC.
        brand_zone: the time zone that a brand says, by its name ("" is the default); "" where it says none.
    """
    query = select(ORGANIZATION.c.oid, ORGANIZATION.c.name).where(ORGANIZATION.c.gone_at.is_(None))
    below = oids_of(connection, scope)
    if below is not None:
        query = query.where(ORGANIZATION.c.oid.in_(below))
    names = {oid: Untrusted(name or oid) for oid, name in connection.execute(query)}
    known = sources.known(connection, names)
    pruned = sources.pruned(connection)
    parameters, documented = _parameters(connection), customers.time_zones(connection, names)
    branded: dict[str, str] = {}

    def zone(oid: str) -> str:
        said = parameters.get(oid, {})
        brand = str(said.get("report_brand", ""))
        if brand not in branded:
            branded[brand] = brand_zone(brand)
        wanted = (said.get("report_time_zone"), branded[brand], documented.get(oid))
        return next((str(each) for each in wanted if each and _is_zone(str(each))), "UTC")

    periods = {oid: period if period.zone else period.within(zone(oid)) for oid in names}
    cases = sources.cases(connection, known, periods, now=now, pruned=pruned)
    found = []
    for oid, name in names.items():
        mine, said, before = known[oid], parameters.get(oid, {}), pruned.get(oid, 0)
        resting = [
            sources.events(mine.get("detections"), periods[oid], now=now, pruned=before),
            sources.moment(mine.get("sensors"), "sensors"),
        ]
        if (told := cases[oid]) is not None:
            resting.append(told)
        # Whether all days of usage are told is counted with its figures; that none is, is known here.
        unread = [sources.moment(mine.get(subject), subject) for subject in ("organization", "usage")]
        resting += [one for one in unread if one.state == "unknown"]
        sections = said.get("report_sections")
        found.append(
            Addressee(
                oid,
                name,
                periods[oid],
                tuple(resting),
                Untrusted(said.get("report_brand", "")),
                Untrusted(said.get("report_language", "")),
                tuple(map(Untrusted, sections)) if isinstance(sections, list) else (),
            )
        )
    return sorted(found, key=lambda each: (each.name.casefold(), each.oid))


def _is_zone(name: str) -> bool:
    """Of one that there is not, whoever writes the report is told."""
    try:
        zone_of(name)
    except PeriodError:
        return False
    return True


def _parameters(connection: Connection) -> dict[str, dict[str, Any]]:
    """oid -> what the tree says about its reports, inherited ones included."""
    nodes = connection.execute(
        select(NODE.c.id, NODE.c.parent_id, NODE.c.oid, NODE.c.parameters).order_by(NODE.c.first)
    )
    at: dict[str | None, dict[str, Any]] = {None: {}}
    found = {}
    for node in nodes:
        own = {name: value for name, value in node.parameters.items() if name.startswith("report_")}
        at[node.id] = at.get(node.parent_id, {}) | own
        if node.oid is not None:
            found[node.oid] = at[node.id]
    return found
