"""ATT&CK techniques that rules are tagged with: what organizations and templates cover, and what is missing.

A technique counts as covered where an enabled rule carries its tag (`attack.t1059.001`), on its record or in
the metadata of a report. That says that somebody meant to detect it, not that it is detected.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Table, select

from store import models
from store.bodies import unpack
from store.queries.scopes import oids_of
from store.templates.documents import Record
from store.templates.library import effective_of, layered
from store.yaml import load

RULES: Final = ("hive/dr-general", "hive/dr-managed", "hive/dr-service", "hive/dr-mail")

_TAG: Final = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.IGNORECASE)
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]
_RECORD: Table = models.ConfigurationRecord.__table__  # type: ignore[attr-defined]
_STATE: Table = models.SyncState.__table__  # type: ignore[attr-defined]
_BODY: Table = models.ConfigurationBody.__table__  # type: ignore[attr-defined]

COLOURS: Final = ("#d73027", "#fee08b", "#31a354")
"""Of a layer: covered nowhere, in a part of the organizations, in all."""


@dataclass(frozen=True)
class Covered:
    """What an organization covers, and what it lacks of what it was compared with."""

    oid: str
    name: str
    techniques: Mapping[str, tuple[str, ...]]
    """Technique -> the enabled rules that are tagged with it."""
    gaps: tuple[str, ...] = ()
    read: bool = True
    """False when its rules were never read: then nothing is known, and nothing is a gap."""


@dataclass(frozen=True)
class Coverage:
    """What the organizations of a scope cover."""

    organizations: tuple[Covered, ...]
    wanted: tuple[str, ...] = ()
    """The techniques of what they were compared with, each organization's own put together."""

    @property
    def counts(self) -> dict[str, int]:
        """Technique -> how many organizations cover it; wanted ones that none covers are 0."""
        found = dict.fromkeys(self.wanted, 0)
        for each in self.organizations:
            for technique in each.techniques:
                found[technique] = found.get(technique, 0) + 1
        return dict(sorted(found.items()))


def techniques(metadata: Mapping[str, Any] | None, body: Any) -> set[str]:
    """The techniques that a rule is tagged with, as `T1059.001`.

    Args:
        metadata: its `usr_mtd`.
        body: {detect, respond}.
    """
    tags = [*((metadata or {}).get("tags") or ())]
    respond = body.get("respond") if isinstance(body, Mapping) else None
    for action in respond if isinstance(respond, list) else ():
        more = action.get("metadata") if isinstance(action, Mapping) else None
        held = more.get("tags") if isinstance(more, Mapping) else None
        tags += held if isinstance(held, list) else []
    return {match[1].upper() for tag in tags if (match := _TAG.fullmatch(str(tag).strip()))}


def of_records(records: Iterable[Record]) -> dict[str, tuple[str, ...]]:
    """What the enabled rules of a template cover: technique -> rules, both in order."""
    found: dict[str, set[str]] = {}
    for record in records:
        if record.section in RULES and (record.metadata or {}).get("enabled") is True:
            for technique in techniques(record.metadata, record.body):
                found.setdefault(technique, set()).add(f"{record.section[5:]}/{record.name}")
    return {each: tuple(sorted(found[each])) for each in sorted(found)}


def coverage(connection: Connection, *, scope: str = "", against: Iterable[str] | None = None) -> Coverage:
    """What the organizations of a scope cover, by what was last read of them.

    Args:
        against: techniques that each should cover; None takes what its own templates want.
    """
    query = select(_ORGANIZATION.c.oid, _ORGANIZATION.c.name).order_by(
        _ORGANIZATION.c.name, _ORGANIZATION.c.oid
    )
    below = oids_of(connection, scope)
    if below is not None:
        query = query.where(_ORGANIZATION.c.oid.in_(below))
    names: dict[str, str] = {row.oid: row.name or row.oid for row in connection.execute(query)}
    held, read = _observed(connection, names)
    given = None if against is None else set(against)
    own = layered(connection, scope) if given is None else {}
    wanted: set[str] = set(given or ())
    found = []
    for oid, name in names.items():
        mine = given
        if mine is None:
            effective = effective_of(connection, oid) if oid in own else None
            mine = set(of_records(each.record for each in effective.records.values())) if effective else set()
            wanted |= mine
        have = held.get(oid, {})
        known = oid in read
        gaps = tuple(sorted(mine - have.keys())) if known else ()
        covered = {each: tuple(sorted(have[each])) for each in sorted(have)}
        found.append(Covered(oid, name, covered, gaps, known))
    return Coverage(tuple(found), tuple(sorted(wanted)))


@dataclass
class _Tags:
    """The tags in the bodies of rules, each body read once."""

    known: dict[str, frozenset[str]] = field(default_factory=dict)

    def of(self, content: str, body: bytes) -> frozenset[str]:
        if content not in self.known:
            self.known[content] = frozenset(techniques(None, load(unpack(body)).value))
        return self.known[content]


def _observed(
    connection: Connection, names: Mapping[str, str]
) -> tuple[dict[str, dict[str, set[str]]], set[str]]:
    """oid -> technique -> rules, and the organizations whose configuration was read."""
    query = (
        select(
            _RECORD.c.oid, _RECORD.c.section, _RECORD.c.name, _RECORD.c.metadata, _RECORD.c.hash, _BODY.c.body
        )
        .join(_BODY, _BODY.c.hash == _RECORD.c.hash)
        .where(_RECORD.c.valid_to.is_(None), _RECORD.c.section.in_(RULES), _RECORD.c.enabled.is_(True))
    )
    tags, found = _Tags(), dict[str, dict[str, set[str]]]()
    for row in connection.execute(query):
        if row.oid not in names:
            continue
        for technique in techniques(row.metadata, None) | tags.of(row.hash, row.body):
            found.setdefault(row.oid, {}).setdefault(technique, set()).add(f"{row.section[5:]}/{row.name}")
    read = set(
        connection.execute(
            select(_STATE.c.oid).where(_STATE.c.subject == "configuration", _STATE.c.checked_at.is_not(None))
        ).scalars()
    )
    return found, read


def layer(found: Coverage, name: str) -> dict[str, Any]:
    """A layer for the ATT&CK Navigator: each technique with the number of organizations that cover it.

    Args:
        name: of the layer; a stranger's text stays data here.
    """
    total = sum(each.read for each in found.organizations)
    return {
        "name": name,
        "versions": {"layer": "4.5", "navigator": "4.9.1"},
        "sorting": 3,
        "description": "How many organizations have an enabled rule that is tagged with the technique.",
        "domain": "enterprise-attack",
        "techniques": [
            {
                "techniqueID": technique,
                "enabled": True,
                "score": count,
                "color": COLOURS[0 if not count else 2 if count >= total else 1],
                "comment": f"{count} of {total} organizations",
            }
            for technique, count in found.counts.items()
        ],
        "gradient": {"colors": list(COLOURS), "minValue": 0, "maxValue": max(total, 1)},
        "legendItems": [
            {"label": label, "color": color}
            for label, color in zip(("nowhere", "somewhere", "everywhere"), COLOURS, strict=True)
        ],
    }
