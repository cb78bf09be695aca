"""How far a permission reaches within its organization: all records, some, metadata, one namespace of rules.

LimaCharlie grants access to a hive as a whole (`secret.get`), to its metadata only (`secret.get.mtd`) or to
one record (`secret.get.my-key`), and to detection rules by namespace (`dr.set` is general, `dr.set.managed`
and `dr.set.service` are others): `8-reference/permissions.md` of its documentation.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from store.permissions import catalogue, family, known

Extent = Literal["all", "metadata", "record"]
"""Of a hive: every record, the metadata of every record, or one record."""

GENERAL = "general"
"""The namespace of rules that a permission without one is for."""

NAMESPACES = (GENERAL, "managed", "service", "replicant")

_MTD = "mtd"


@dataclass(frozen=True, slots=True)
class Facet:
    """What a permission is about, where there is a level below the organization."""

    of: Literal["hive", "rules"]
    family: str
    """The hive as permissions call it (`secret`, `ext.conf`), or `dr`."""
    verb: str
    """get, set, del, list."""
    extent: Extent = "all"
    namespace: str = ""
    """Of rules."""
    record: str = ""
    """The one record, or of a record's metadata that record."""


@dataclass(frozen=True, slots=True)
class Level:
    """What somebody may do with the records of one hive, or with the rules of one namespace."""

    of: Literal["hive", "rules"]
    family: str
    namespace: str = ""
    verbs: tuple[str, ...] = ()
    """On every record."""
    metadata: tuple[str, ...] = ()
    """On the metadata of every record, where the records themselves are not to be had."""
    records: tuple[tuple[str, tuple[str, ...]], ...] = field(default=())
    """On single records, where not on all: (record, verbs), by record; the verb of metadata is `get.mtd`."""


def facet(permission: str) -> Facet | None:
    """What a permission is about below the organization; None where it is for the organization as a whole."""
    base, found = family(permission), known(permission)
    parts = base.split(".")
    if parts[0] == "dr" and len(parts) in (2, 3):
        return Facet("rules", "dr", parts[1], namespace=parts[2] if len(parts) == 3 else GENERAL)
    if found is None:
        return None
    extent: Extent = "all"
    if parts[-1] == _MTD:
        parts, extent = parts[:-1], "metadata"
    elif not found.per_record and f"{base}.{_MTD}" not in _metadata_names():
        return None
    if parts[-1] not in _OF_RECORDS:
        return None
    record = permission[len(base) + 1 :] if permission != base else ""
    if record and extent == "all":
        extent = "record"
    return Facet("hive", ".".join(parts[:-1]), parts[-1], extent, record=record)


def levels(permissions: Iterable[str]) -> tuple[Level, ...]:
    """What permissions come to on the hives and the rules that they name: rules first, then hives by name."""
    rules: dict[str, list[str]] = {}
    hives: dict[str, dict[str, dict[str, None]]] = {}
    for name in sorted(set(permissions)):
        what = facet(name)
        if what is None:
            continue
        if what.of == "rules":
            rules.setdefault(what.namespace, []).append(what.verb)
            continue
        # A key that no record has stands for all of them, and for their metadata.
        key = f"r{what.record}" if what.record else "m" if what.extent == "metadata" else "a"
        verb = f"{what.verb}.{_MTD}" if what.record and what.extent == "metadata" else what.verb
        hives.setdefault(what.family, {}).setdefault(key, {})[verb] = None
    order = {name: at for at, name in enumerate(NAMESPACES)}
    found = [
        Level("rules", "dr", namespace, _verbs(rules[namespace]))
        for namespace in sorted(rules, key=lambda name: (order.get(name, len(order)), name))
    ]
    for hive in sorted(hives):
        held = hives[hive]
        whole = held.get("a", {})
        metadata = [verb for verb in held.get("m", {}) if verb not in whole]
        single = {
            key[1:]: _verbs(verb for verb in verbs if verb not in whole)
            for key, verbs in held.items()
            if key[0] == "r"
        }
        records = tuple((record, verbs) for record, verbs in sorted(single.items()) if verbs)
        found.append(Level("hive", hive, "", _verbs(whole), _verbs(metadata), records))
    return tuple(found)


def level_words(level: Level, *, most: int = 3) -> str:
    """A level in words; it may hold a stranger's text, the names of records.

    Args:
        most: how many single records are named; the rest is counted.
    """
    if level.of == "rules":
        return f"{level.namespace} rules: {', '.join(level.verbs)}"
    parts = []
    if level.verbs:
        parts.append(f"every record: {', '.join(level.verbs)}")
    if level.metadata:
        parts.append(f"metadata only: {', '.join(level.metadata)}")
    named = [f"{record} ({', '.join(verbs)})" for record, verbs in level.records[:most]]
    if len(level.records) > most:
        named.append(f"and {len(level.records) - most:,} more")
    if named:
        parts.append(f"single records: {', '.join(named)}")
    return f"{level.family} hive, {'; '.join(parts)}"


_ORDER = ("list", "get", "set", "del")
_OF_RECORDS = ("get", "set", "del")


def _verbs(verbs: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        sorted(verbs, key=lambda verb: (_ORDER.index(verb) if verb in _ORDER else len(_ORDER), verb))
    )


@cache
def _metadata_names() -> frozenset[str]:
    return frozenset(each.name for each in catalogue() if each.name.endswith(f".{_MTD}"))
