"""Whether what a template wants and what the cloud has are the same record.

The cloud gives back another form than documents are written in: an output's numbers and booleans are text,
filters stand inside `filters` or beside the rest, an installation key goes by its id. Both sides are brought
into one form here, and nothing else is looked away from:

- hive records: the content as it is; of `usr_mtd` the four fields there are, with what the cloud takes for
  granted (`enabled` false, `expiry` 0, no tags in any order, no comment);
- outputs: every value is text, an empty one is not there, `type` is `for`;
- integrity, artifact, exfil, yara: the fields that their service keeps, platforms and tags inside `filters`;
- installation keys: description, tags, `use_public_root_ca`; never the key;
- extensions: that there is a subscription; resources: the names, in any order.

Secrets are compared by their digests (`store.configuration.redact`), so that neither side shows one.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from store.configuration import SECRET_MARK, content_hash, redact

METADATA: Final = ("enabled", "expiry", "tags", "comment")

_RULES: Final[Mapping[str, tuple[str, ...]]] = {
    "integrity": ("patterns",),
    "artifact": ("patterns", "days_retention", "is_delete_after", "is_ignore_cert"),
    "exfil/list": ("events",),
    "exfil/watch": ("event", "operator", "value", "path"),
    "exfil/perf": (),
    "yara/rules": ("sources",),
    "yara/sources": ("source",),
}
"""What a rule of each service is made of, besides its filters (official client 5.10.1)."""
_LISTS: Final = frozenset({"patterns", "events", "path", "sources"})


def normalised(section: str, name: str, body: Any) -> Any:
    """A record's content in the form in which both sides are compared.

    Args:
        section: of `store.configuration.SECTIONS`.
        name: the record's name in a document; `list/x` of exfil.
        body: as a document has it, or as the cloud has it, secrets replaced or not.
    """
    if section == "extension":
        return {}
    if section == "resource":
        return sorted(body) if isinstance(body, list) else body
    if section == "output" and isinstance(body, Mapping):
        return _output(body)
    if section == "installation_key" and isinstance(body, Mapping):
        return _installation_key(body, name)
    if section in ("integrity", "artifact", "exfil", "yara") and isinstance(body, Mapping):
        kind = section if section in _RULES else f"{section}/{name.partition('/')[0]}"
        return _rule(kind, body)
    return _plain(body)


def normalised_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """`usr_mtd` with all of its four fields, tags sorted."""
    held = metadata or {}
    return {
        "enabled": held.get("enabled") is True,
        "expiry": held.get("expiry") or 0,
        "tags": sorted(set(map(str, held.get("tags") or ()))),
        "comment": held.get("comment") or "",
    }


def wanted_hash(section: str, name: str, body: Any, key: bytes) -> str:
    """What identifies the content that a template wants, secrets replaced by their digests.

    Args:
        key: the installation's redaction key.
    """
    return content_hash(redact(section, normalised(section, name, body), key))


def observed_hash(section: str, name: str, body: Any) -> str:
    """The same of a record as the store has it."""
    return content_hash(normalised(section, name, body))


def observed_name(section: str, name: str, body: Any) -> str:
    """What a record of the store is called in a document."""
    if section == "installation_key" and isinstance(body, Mapping):
        return str(body.get("desc") or name)
    return f"rules/{name}" if section == "yara" else name


def has_secret(value: Any) -> bool:
    """Whether a stored record holds a digest where a secret was: it cannot be written back as it was."""
    if isinstance(value, Mapping):
        return set(value) == {SECRET_MARK} or any(map(has_secret, value.values()))
    return isinstance(value, list) and any(map(has_secret, value))


def _output(body: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in body.items():
        if name == "name":
            continue
        key = "for" if name == "type" else name
        if isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, int | float):
            value = str(value)
        if value not in ("", None):
            found[key] = value
    return found


def listed_tags(body: Mapping[str, Any]) -> list[str]:
    """The tags of an installation key, as they stand; the cloud also has them as one text."""
    tags = body.get("tags") or []
    return [str(tag) for tag in (tags.split(",") if isinstance(tags, str) else tags)]


def _installation_key(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {
        "desc": body.get("desc") or name,
        "tags": sorted(tag for tag in listed_tags(body) if tag),
        "use_public_root_ca": str(body.get("use_public_root_ca", False)).lower() in ("true", "1"),
    }


def _rule(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    filters = body.get("filters") or {}
    rule: dict[str, Any] = {}
    for part in _RULES.get(kind, ()):
        value = body.get(part)
        if part == "source":
            value = value or body.get("content")
        if part in _LISTS:
            rule[part] = list(value or ())
        elif part.startswith("is_"):
            rule[part] = str(value).lower() in ("true", "1")
        elif value not in (None, ""):
            rule[part] = value
    if kind != "yara/sources" and isinstance(filters, Mapping):
        rule["filters"] = {
            each: list(filters.get(each, body.get(each)) or ()) for each in ("platforms", "tags")
        }
    return rule


def _plain(value: Any) -> Any:
    """Plain JSON data: what YAML has and JSON has not (dates, numbers as names) as the text it becomes."""
    return json.loads(json.dumps(value, default=str))
