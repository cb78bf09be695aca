"""What a line of the audit log says must be read again.

LimaCharlie does not publish the list of its audit events. What is known is narrowed to the subject it
touches; an entry that is not known means that the organization is read again whole.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from store.configuration import HIVES

EVERYTHING = "*"

COVERED = ("organization", "access", "keys", "sensors", "errors", "cases", "configuration")
"""Subjects whose every change leaves a line in the audit log, or shows in the listing of organizations."""

_HARMLESS = frozenset(("send_task", "api_call", "get_secret", "user_login"))
"""They tell of use, not of change (docs: outputs/stream-structures.md; tasking changes no configuration)."""

_SENSOR = frozenset(
    (
        "add_tag", "remove_tag", "enrollment", "remove_sensor", "sensor_over_quota", "isolate", "rejoin",
        "seal", "unseal",
    )
)  # fmt: skip

_COUNT = frozenset(("enrollment", "remove_sensor"))
"""Of these, those by which there are more or fewer: what counts against the quota is the organization's."""

_CONFIGURATION: dict[str, tuple[str, ...]] = {
    "output": ("output",),
    "installation_key": ("installation_key",),
    "extension": ("extension", "resource", "hive/extension_config"),
    "resource": ("resource", "extension", "exfil", "integrity", "artifact", "yara"),
    "org_value": ("org_value",),
    "exfil": ("exfil", "hive/extension_config"),
    "integrity": ("integrity", "hive/extension_config"),
    "artifact": ("artifact", "hive/extension_config"),
    "logging": ("artifact", "hive/extension_config"),
    "yara": ("yara", "hive/extension_config", "hive/yara"),
}
"""Type of the entity -> sections of `store.configuration.SECTIONS`."""

_SUBJECTS: dict[str, tuple[str, ...]] = {
    "user": ("access",),
    "group": ("access",),
    "api_key": ("keys",),
    "organization": ("organization",),
    "sensor": ("sensors",),
    "error": ("errors",),
    "case": ("cases",),
}
"""Type of the entity -> subjects."""


def touched(entry: Mapping[str, Any]) -> dict[str, set[str]]:
    """What an audit entry makes stale.

    Returns:
        {subject: sections}; sections only for `configuration`, otherwise `{"*"}`. A change to the number of
        rules, outputs or keys shows in the organization's own record too. {} for an entry that tells of
        no change.
    """
    kind = str(entry.get("etype") or "")
    entity = entry.get("entity")
    entity = entity if isinstance(entity, Mapping) else {}
    about, name = str(entity.get("type") or ""), str(entity.get("name") or "")
    if kind in _HARMLESS:
        return {}
    if kind.startswith("hive_") or about == "hive":
        hive = name.partition("/")[0]
        section = {f"hive/{hive}"} if hive in HIVES else {EVERYTHING}
        return {"configuration": section, "organization": {EVERYTHING}}
    if kind in _SENSOR:
        return {
            subject: {EVERYTHING} for subject in ("sensors", *(("organization",) if kind in _COUNT else ()))
        }
    sections = _CONFIGURATION.get(about)
    if sections is not None:
        return {"configuration": set(sections), "organization": {EVERYTHING}}
    subjects = _SUBJECTS.get(about)
    if subjects is not None:
        return {subject: {EVERYTHING} for subject in subjects}
    return {subject: {EVERYTHING} for subject in COVERED}


def union(entries: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """What several entries make stale together."""
    found: dict[str, set[str]] = {}
    for entry in entries:
        for subject, sections in touched(entry).items():
            found.setdefault(subject, set()).update(sections)
    return found
