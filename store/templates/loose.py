"""Files of detection repositories that are no infrastructure document: what each is, and what to do with it.

A rule lies in a file as `{detect, respond}` or as its whole record, `{data, usr_mtd}`: the official client
takes both (`dr set --input-file`). Collections put a name, tags and a comment beside the halves. Everything
else that holds rules is refused with a sentence, for nobody can tell what was meant; what holds none is not
LimaCharlie's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from store.configuration import HIVES
from store.templates.documents import LEGACY, NAMESPACES, OURS, ROOTS, holds_rules

_KNOWN: Final = frozenset({*ROOTS, *LEGACY, OURS, "include"})
_HALVES: Final = ("detect", "respond", "tests")
_BESIDE: Final = frozenset(
    {*_HALVES, "name", "tags", "comment", "usr_mtd", "namespace", "is_enabled", "enabled", "version"}
)
_ACTIONS: Final = frozenset(
    {
        "report", "task", "add tag", "remove tag", "add var", "del var", "isolate network", "rejoin network",
        "seal", "unseal", "undelete sensor", "re-enroll", "output", "extension request", "service request",
        "wait", "add hive tag", "remove hive tag", "start ai agent",
    }
)  # fmt: skip
"""Of the reference of response actions: lists of actions are other programs' too."""
_SERVER: Final = frozenset({"sys_mtd", "guid", "etag"})

CONDITION: Final = (
    "This is only the condition of a rule: it belongs below `detect:`, and beside that a `respond:` has to "
    "say what is done when it holds. Write both, and import it again."
)
UNANSWERED: Final = (
    "This is a part of a rule: without `respond:` nobody can tell what is done when it holds. Complete it, "
    "and import it again."
)
_RESPONSE: Final = (
    "This is only the response of a rule: a `detect:` beside `respond:` has to say when it is due. Write "
    "both, and import it again."
)
_LIST: Final = (
    "This is a list of rules, and LimaCharlie knows rules by name: put each below `version: 3` and "
    "`hives: dr-general: NAME: data:`, or into a file of its own."
)
_NAMED: Final = (
    "These are rules by name: put them below `version: 3` and `hives: dr-general:`, `detect` and `respond` "
    "of each below `data:`."
)
_UNPLACED: Final = (
    "Hives stand below `hives:`: without it, and without `version: 3` at the top, a client refuses the file."
)
_UNVERSIONED: Final = (
    "`version` is missing, and without it every client refuses the document. Put `version: 3` at the top."
)
_RECORD: Final = (
    "This is the record of a hive, and does not say of which: put it below `version: 3` and "
    "`hives: HIVE: NAME:`."
)
_WORDS: Final = (
    "The halves of a rule are `detect:` and `respond:`, in these letters: nobody reads {key!r}. Rename them, "
    "and import it again."
)


@dataclass(frozen=True, slots=True)
class Lone:
    """One whole rule in a file."""

    name: str
    hive: str
    record: Mapping[str, Any]
    """`data` and `usr_mtd`."""
    left: tuple[str, ...] = ()
    """Keys beside the halves that no record of a rule has."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something of LimaCharlie's that cannot be taken as it is."""

    reason: str
    key: str = ""
    """The top-level key that it begins with; "" for the whole file."""


def loose(document: Any, stem: str) -> Lone | Unusable | None:
    """What a file is that is no infrastructure document; None when it is one, or nothing of LimaCharlie's.

    Args:
        document: plain data of the file.
        stem: names a rule that has no name.
    """
    if isinstance(document, list):
        return _list(document)
    if not isinstance(document, dict):
        return None
    if _is_detection(document):
        return None
    versioned, known = "version" in document, not _KNOWN.isdisjoint(document)
    if "detect" in document and "respond" in document and not (versioned and known):
        return _rule(document, stem)
    if versioned:
        return None
    # `rules` is also a key of the operators that join conditions.
    if "op" in document:
        return Unusable(CONDITION, "op")
    if "detect" in document:
        return Unusable(UNANSWERED, "detect")
    if _is_response(document.get("respond")):
        return Unusable(_RESPONSE, "respond")
    if known:
        return _unversioned(document)
    data = document.get("data")
    if isinstance(data, dict) and {*document} <= {"data", "usr_mtd", "name", *_SERVER}:
        return _record(document, data, stem)
    other = next((key for key in document if str(key).lower() in ("detect", "detection")), "")
    if other and isinstance(document[other], dict) and "op" in document[other]:
        return Unusable(_WORDS.format(key=other), other)
    hive = next((key for key in document if key in HIVES and _records(document[key])), "")
    if hive:
        return Unusable(_UNPLACED, hive)
    named = next((key for key, value in document.items() if _is_rule(value)), None)
    return None if named is None else Unusable(_NAMED, str(named))


def foreign(document: Any) -> bool:
    """Whether a file with a `version` is another program's: a package, a composition of services."""
    return (
        isinstance(document, dict)
        and document.get("version") != 3
        and _KNOWN.isdisjoint(document)
        and not any(holds_rules(value) for value in document.values())
    )


def _list(items: list[Any]) -> Unusable | None:
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    if any(map(_is_rule, items)):
        return Unusable(_LIST)
    return Unusable(_RESPONSE) if _is_response(items) else None


def _is_detection(value: Any) -> bool:
    """Whether this is what a rule came to: its `detect` is the event, and not a condition."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("detect"), dict)
        and "op" not in value["detect"]
        and "respond" not in value
        and not {"cat", "routing", "detect_id"}.isdisjoint(value)
    )


def _is_rule(value: Any) -> bool:
    return isinstance(value, dict) and "detect" in value and not _is_detection(value)


def _is_response(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and str(item.get("action")) in _ACTIONS for item in value)
    )


def _unversioned(document: dict[Any, Any]) -> Unusable | None:
    """Roots such as `rules` and `include` are words of other programs too: what they hold decides."""
    hives, rules, include = (document.get(key) for key in ("hives", "rules", "include"))
    if isinstance(hives, dict) and any(hive in HIVES for hive in hives):
        return Unusable(_UNVERSIONED, "hives")
    if holds_rules(rules):
        return Unusable(_UNVERSIONED, "rules")
    if isinstance(rules, list) and any(map(_is_rule, rules)):
        return Unusable(_LIST, "rules")
    paths = [include] if isinstance(include, str) else include
    if (
        isinstance(paths, list)
        and paths
        and {*document} <= _KNOWN
        and all(isinstance(path, str) and path.endswith((".yaml", ".yml")) for path in paths)
    ):
        return Unusable(_UNVERSIONED, "include")
    return None


def _record(document: dict[Any, Any], data: dict[Any, Any], stem: str) -> Lone | Unusable | None:
    if "detect" in data and "respond" in data:
        metadata = document.get("usr_mtd")
        if metadata is None:
            metadata = {"enabled": True}
        return Lone(_name(document, stem), "dr-general", {"data": data, "usr_mtd": metadata})
    if "detect" in data:
        return Unusable(UNANSWERED, "data")
    return Unusable(_RECORD, "data") if "op" in data or "usr_mtd" in document else None


def _rule(document: dict[Any, Any], stem: str) -> Lone | Unusable:
    namespace = document.get("namespace", "general")
    hive = NAMESPACES.get(namespace) if isinstance(namespace, str) else None
    if hive is None:
        return Unusable(
            f"There is no namespace {namespace!r}: it is `general`, `managed` or `service`.", "namespace"
        )
    metadata = document.get("usr_mtd")
    if metadata is None:
        off = document.get("is_enabled") is False or document.get("enabled") is False
        metadata = {"enabled": not off}
        tags, comment = document.get("tags"), document.get("comment")
        if isinstance(tags, list) and tags and all(isinstance(tag, str) for tag in tags):
            metadata["tags"] = tags
        if isinstance(comment, str) and comment:
            metadata["comment"] = comment
    data = {key: document[key] for key in _HALVES if key in document}
    left = tuple(str(key) for key in document if key not in _BESIDE)
    return Lone(_name(document, stem), hive, {"data": data, "usr_mtd": metadata}, left)


def _name(document: dict[Any, Any], stem: str) -> str:
    return str(document.get("name") or stem)


def _records(value: Any) -> bool:
    return isinstance(value, dict) and any(
        isinstance(record, dict) and "data" in record for record in value.values()
    )
