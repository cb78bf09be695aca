"""Whose report would be written for a period, and what it would lack, before any figure is read."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from store.queries.scopes import NODE, ORGANIZATION, oids_of
from store.reports import sources
from store.reports.figures import Source
from store.reports.periods import Period
from store.text import Untrusted


@dataclass(frozen=True, slots=True)
class Addressee:
    """A customer, and what a report for it would rest on."""

    oid: str
    name: Untrusted
    sources: tuple[Source, ...]
    """Its alerts, its sensors, and its cases unless it is known to have no case system."""
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


def addressees(connection: Connection, period: Period, *, scope: str = "", now: int) -> list[Addressee]:
    """The customers of a scope by name, those that are gone left out."""
    query = select(ORGANIZATION.c.oid, ORGANIZATION.c.name).where(ORGANIZATION.c.gone_at.is_(None))
    below = oids_of(connection, scope)
    if below is not None:
        query = query.where(ORGANIZATION.c.oid.in_(below))
    names = {oid: Untrusted(name or oid) for oid, name in connection.execute(query)}
    known = sources.known(connection, names)
    pruned = sources.pruned(connection)
    cases = sources.cases(connection, known, period, now=now, pruned=pruned)
    parameters = _parameters(connection)
    found = []
    for oid, name in names.items():
        mine, said, before = known[oid], parameters.get(oid, {}), pruned.get(oid, 0)
        resting = [
            sources.events(mine.get("detections"), period, now=now, pruned=before),
            sources.moment(mine.get("sensors"), "sensors"),
        ]
        if (told := cases[oid]) is not None:
            resting.append(told)
        sections = said.get("report_sections")
        found.append(
            Addressee(
                oid,
                name,
                tuple(resting),
                Untrusted(said.get("report_brand", "")),
                Untrusted(said.get("report_language", "")),
                tuple(map(Untrusted, sections)) if isinstance(sections, list) else (),
            )
        )
    return sorted(found, key=lambda each: (each.name.casefold(), each.oid))


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
