"""False positive rules: drafted from a detection, and looked at for what is dangerous about them."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from store.logic.evaluator import InvalidRule, compile_rule

MOST: Final = 4
"""Conditions of a draft besides the one on the detection's name."""
LONGEST: Final = 300
"""Characters of a value that is taken into a draft."""

_FIRST: Final = (
    "FILE_PATH", "COMMAND_LINE", "PARENT/FILE_PATH", "USER_NAME", "DOMAIN_NAME", "SIGNATURE/CERT_SUBJECT",
    "Event/System/Channel", "EVENT/System/EventID", "Event/System/EventID", "EVENT/EventData/TargetUserName",
    "EVENT/EventData/SubjectUserName", "Operation", "UserId", "ClientIP", "eventName", "actor/login",
    "action",
)  # fmt: skip
"""Below the origin's event: what usually tells one cause from another, and stays the same when it recurs."""

_FALLBACK: Final = "HASH"
"""Very specific, and another one after every update: taken only where there is no path."""

_UNSTABLE: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-|[0-9a-f]{16}|\d{5}|[A-Za-z0-9+/=]{40}|\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d"
    r"|\\temp\\|/tmp/|~\d",
    re.IGNORECASE,
)
"""Parts that are another next time: GUIDs, hashes, long numbers, encoded text, times, temporary files."""

_NO_VALUE: Final = re.compile(r"<<|>>|\[\[|\]\]|\{\{")
"""What LimaCharlie would read as a reference or a template instead of text."""

_USELESS: Final = frozenset(
    {"detect_id", "gen_time", "ts", "routing/this", "routing/parent", "routing/event_id"}
)
"""Other ones with every detection."""

_EVERYWHERE: Final = frozenset({"", "cat", "detect", "routing", "detect/event", "detect/routing", "*", "?"})
"""Paths at which every detection has something."""


def draft(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """A false positive rule that hides this detection and what is like it; None when it has no usable name.

    It always names the detection (`cat`) and the host, then the most specific values of the origin's event
    that stay the same when it happens again: never an id, a time or a hash where there is something better.
    Every condition holds for this detection.
    """
    name = record.get("cat")
    if not isinstance(name, str) or not _is_usable(name):
        return None
    rules: list[dict[str, Any]] = [{"op": "is", "path": "cat", "value": name}]
    detect = record.get("detect")
    if isinstance(detect, Mapping):
        root = "detect/event" if isinstance(detect.get("event"), Mapping) else "detect"
        event = detect["event"] if root == "detect/event" else detect
        for path, value in _candidates(event):
            if len(rules) > MOST - 1:
                break
            rules.append(_condition(f"{root}/{path}", value))
    routing = record.get("routing")
    host = routing.get("hostname") if isinstance(routing, Mapping) else None
    if isinstance(host, str) and _is_stable(host):
        rules.append(_condition("routing/hostname", host))
    held = [rule for rule in rules if _holds(rule, record)]
    if not held or held[0]["path"] != "cat":
        return None
    return held[0] if len(held) == 1 else {"op": "and", "rules": held}


def name_of(record: Mapping[str, Any]) -> str:
    """A name for the record of a draft: plain letters, at most 80 of them."""
    routing = record.get("routing")
    host = routing.get("hostname") if isinstance(routing, Mapping) else None
    words = [each for each in (record.get("cat"), host) if isinstance(each, str)]
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", " ".join(words)).strip("-.").lower()
    return f"fp-{plain[:76].strip('-.')}" if plain else "fp"


def warnings_of(condition: Any) -> list[str]:
    """What is dangerous about a false positive rule, one sentence each; what is invalid is not told here."""
    found: list[str] = []
    if not _discriminates(condition):
        found.append(
            "It names nothing that a detection must have (only `not`, or `exists` of what is always there): "
            "it would hide nearly everything, of every rule."
        )
    elif required_name(condition) is None and not _mentions(condition, "cat"):
        found.append(
            "It has no condition on `cat`: it applies to the detections of every rule, managed ones too."
        )
    useless = sorted({path for path in _paths(condition) if path in _USELESS})
    if useless:
        found.append(f"{', '.join(useless)}: another one with every detection, so it hides one at most.")
    with suppress(InvalidRule):
        found += compile_rule(condition, kind="fp").warnings
    return found


def required_name(condition: Any) -> str | None:
    """The one name (`cat`) that everything hidden has; None when the rule does not demand one."""
    if not isinstance(condition, dict) or condition.get("not") or "times" in condition:
        return None
    if condition.get("op") == "and" and isinstance(condition.get("rules"), list):
        return next(filter(None, map(required_name, condition["rules"])), None)
    value = condition.get("value")
    plain = (
        condition.get("op") == "is"
        and isinstance(condition.get("path"), str)
        and condition["path"].strip("/") == "cat"
        and isinstance(value, str)
        and not _NO_VALUE.search(value)
        and condition.get("case sensitive", True) is True
        and not {"file name", "sub domain", "count", "within", "event", "events"} & set(condition)
    )
    return value if plain and value else None


def _candidates(event: Any) -> Iterator[tuple[str, Any]]:
    found = False
    for path in _FIRST:
        value = _at(event, path)
        if _is_stable(value):
            found = True
            yield path, value
    if found:
        return
    value = _at(event, _FALLBACK)
    if isinstance(value, str) and _is_usable(value):
        yield _FALLBACK, value
        return
    # Whatever else there is: the longest stable texts say most.
    texts = sorted(_leaves(event, "", 4), key=lambda item: -len(item[1]))
    yield from texts[:2]


def _at(event: Any, path: str) -> Any:
    for key in path.split("/"):
        if not isinstance(event, Mapping):
            return None
        event = event.get(key)
    return event


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and depth:
        for key, inner in list(value.items())[:50]:
            if isinstance(key, str) and key and not re.search(r"[/?*\[\]]", key):
                yield from _leaves(inner, f"{path}/{key}" if path else key, depth - 1)
    elif isinstance(value, str) and len(value) > 3 and _is_stable(value):
        yield path, value


def _is_usable(value: str) -> bool:
    return bool(value) and len(value) <= LONGEST and value.isprintable() and not _NO_VALUE.search(value)


def _is_stable(value: Any) -> bool:
    return isinstance(value, str) and _is_usable(value) and not _UNSTABLE.search(value)


def _condition(path: str, value: Any) -> dict[str, Any]:
    condition = {"op": "is", "path": path, "value": value}
    # Windows and mail do not heed case, and write the same path in several.
    return condition if value == value.lower() == value.upper() else condition | {"case sensitive": False}


def _holds(condition: dict[str, Any], record: Mapping[str, Any]) -> bool:
    return compile_rule(condition, kind="fp").evaluate(dict(record)).value is True


def _nodes(condition: Any) -> Iterator[dict[str, Any]]:
    waiting = [condition]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            rules = node.get("rules")
            waiting += rules if isinstance(rules, list) else ()
            waiting.append(node.get("rule"))


def _paths(condition: Any) -> Iterator[str]:
    for node in _nodes(condition):
        if isinstance(node.get("path"), str):
            yield node["path"].strip("/")


def _mentions(condition: Any, path: str) -> bool:
    return path in _paths(condition)


def _discriminates(condition: Any) -> bool:
    """Whether a detection has to have something particular to be hidden."""
    if not isinstance(condition, dict) or condition.get("not"):
        return False
    rules = condition.get("rules")
    if condition.get("op") == "and" and isinstance(rules, list):
        return any(map(_discriminates, rules))
    if condition.get("op") == "or" and isinstance(rules, list):
        return bool(rules) and all(map(_discriminates, rules))
    if condition.get("op") == "exists":
        path = condition.get("path")
        return isinstance(path, str) and path.strip("/") not in _EVERYWHERE
    return not (condition.get("op") == "matches" and condition.get("re") in (".*", ".+", ".", "^", "$"))
