"""What the cloud refuses to store: records of hives, and what older calls put into them.

Operators, actions and shapes are those of the reference (docs/3-detection-response, docs/7-administration/
config-hive). Where it leaves open whether the cloud refuses something, it is stored here.
"""

import re
import time
from collections.abc import Callable
from typing import Any

import orjson

from console.sandbox.detection_logic import BadRule, expression, failures
from console.sandbox.rules import Value

_VALUE = ("path", "value")
_OPERATORS: dict[str, tuple[str, ...]] = {
    "and": ("rules",), "or": ("rules",), "is": _VALUE, "exists": ("path",), "contains": _VALUE,
    "starts with": _VALUE, "ends with": _VALUE, "is greater than": _VALUE, "is lower than": _VALUE,
    "matches": ("path", "re"), "string distance": (*_VALUE, "max"), "cidr": ("path", "cidr"),
    "is private address": ("path",), "is private ipv4 address": ("path",),
    "is private ipv6 address": ("path",), "is public address": ("path",),
    "is public ipv4 address": ("path",), "is public ipv6 address": ("path",), "is platform": ("name",),
    "is windows": (), "is linux": (), "is mac": (), "is chrome": (), "is text": (), "is json": (),
    "is gcp": (), "is carbon_black": (), "is net": (), "is 32 bit": (), "is 64 bit": (), "is arm": (),
    "is tagged": ("tag",), "scope": ("path", "rule"), "is older than": ("path", "seconds"),
    "lookup": ("path", "resource"), "external": ("resource",), "yara": ("resource",), "ask ai": (),
    # On two pages of the reference only: neither promised nor refused.
    "in": (),
}  # fmt: skip
"""What each operator cannot do without."""
_STATEFUL = ("with child", "with descendant", "with events")
_ACTIONS: dict[str, tuple[str, ...]] = {
    "report": ("name",), "add tag": ("tag",), "remove tag": ("tag",), "add var": ("name", "value"),
    "del var": ("name",), "task": ("command",), "isolate network": (), "rejoin network": (), "seal": (),
    "unseal": (), "undelete sensor": (), "re-enroll": (), "output": ("name",),
    "extension request": ("extension name", "extension action"), "wait": ("duration",),
    "add hive tag": ("hive name", "record name", "tag"),
    "remove hive tag": ("hive name", "record name", "tag"), "start ai agent": (),
    "service request": ("name", "request"),
}  # fmt: skip
_TARGETS = frozenset(
    (
        "edr", "detection", "deployment", "artifact", "artifact_event", "schedule", "audit", "billing",
        "log",
    )
)  # fmt: skip


APP_BYTES = 10_000_000
"""Of an app's record (docs/7-administration/config-hive/apps.md)."""


class Invalid(ValueError):
    """Why it is not stored, in a sentence without a full stop."""


def _node(node: Any, where: str, *, root: bool = False) -> bool:
    """Check an operator and all below it; whether any of them is stateful."""
    if not isinstance(node, dict):
        raise Invalid(f"{where} is not an operator")
    name = node.get("op")
    if name is None:
        raise Invalid(f"{where} has no op")
    needed = _OPERATORS.get(name) if isinstance(name, str) else None
    if needed is None:
        raise Invalid(f"{where}: unknown operator {name}")
    for key in needed:
        if key not in node:
            raise Invalid(f"{where}: {name} needs {key}")
    if "path" in needed and not isinstance(node["path"], str):
        raise Invalid(f"{where}: path is not text")
    if root and node.get("target", "edr") not in _TARGETS:
        raise Invalid(f"{where}: unknown target {node['target']}")
    stateful = False
    if name in ("and", "or"):
        below = node["rules"]
        if not isinstance(below, list):
            raise Invalid(f"{where}: rules is not a list")
        for place, each in enumerate(below):
            stateful |= _node(each, f"{where}/rules/{place}")
    elif name == "scope":
        stateful |= _node(node["rule"], f"{where}/rule")
    elif name == "matches":
        if not isinstance(node["re"], str):
            raise Invalid(f"{where}: re is not text")
        try:
            expression(node["re"], True)
        except BadRule as problem:
            raise Invalid(f"{where}: re does not compile: {problem}") from None
    for key in _STATEFUL:
        if key in node:
            stateful = True
            _node(node[key], f"{where}/{key}")
    return stateful


def _rule(data: Value) -> None:
    for key in ("detect", "respond"):
        if key not in data:
            raise Invalid(f"missing {key}")
    stateful = _node(data["detect"], "detect", root=True)
    respond = data["respond"]
    if not isinstance(respond, list):
        raise Invalid("respond is not a list")
    for place, each in enumerate(respond):
        where = f"respond/{place}"
        if not isinstance(each, dict) or not isinstance(each.get("action"), str):
            raise Invalid(f"{where} has no action")
        needed = _ACTIONS.get(each["action"])
        if needed is None:
            raise Invalid(f"{where}: unknown action {each['action']}")
        for key in needed:
            if each.get(key) in (None, ""):
                if (each["action"], key) == ("del var", "value"):
                    continue
                raise Invalid(f"{where}: {each['action']} needs {key}")
        suppression = each.get("suppression")
        if isinstance(suppression, dict) and "min_count" in suppression and "max_count" not in suppression:
            raise Invalid(f"{where}: min_count needs max_count")
    tests = data.get("tests")
    if tests:
        if not isinstance(tests, dict) or not tests.keys() <= {"match", "non_match"}:
            raise Invalid("tests takes match and non_match")
        for name, each in tests.items():
            if not isinstance(each, list) or not all(isinstance(one, list) for one in each):
                raise Invalid(f"tests/{name} is not a list of lists of events")
        if stateful:
            raise Invalid("rule context does not support stateful operators: a stateful rule has no tests")
        try:
            failed = failures(data, int(time.time()))
        except BadRule:
            # Its tests need what is not here.
            failed = []
        if failed:
            raise Invalid(f"tests: {failed[0]}")


def _false_positive(data: Value) -> None:
    _node(data, "the false positive rule")


def _text(*names: str) -> Callable[[Value], None]:
    def check(data: Value) -> None:
        for name in names:
            if name not in data:
                raise Invalid(f"missing {name}")
            if not isinstance(data[name], str):
                raise Invalid(f"{name} is not text")

    return check


def _note(data: Value) -> None:
    for name in ("text", "description"):
        if not isinstance(data.get(name, ""), str):
            raise Invalid(f"{name} is not text")


def _lookup(data: Value) -> None:
    forms = [
        name for name in ("lookup_data", "newline_content", "yaml_content") if data.get(name) is not None
    ]
    if not forms and data.get("optimized_lookup_data") is not None:
        return
    if len(forms) != 1:
        raise Invalid("a lookup has exactly one of lookup_data, newline_content and yaml_content")
    held = data[forms[0]]
    if forms[0] != "lookup_data":
        if not isinstance(held, str):
            raise Invalid(f"{forms[0]} is not text")
    elif not isinstance(held, dict) or not all(isinstance(each, dict) for each in held.values()):
        raise Invalid("lookup_data maps keys to objects")


def _yara(data: Value) -> None:
    _text("rule")(data)
    rule: str = data["rule"]
    if not re.search(r"\brule\s+\w+", rule) or "condition" not in rule or "{" not in rule:
        raise Invalid("rule is not YARA")


def _adapter(data: Value) -> None:
    _text("sensor_type")(data)
    if not isinstance(data.get(data["sensor_type"]), dict):
        raise Invalid(f"no block called {data['sensor_type']}")


def _acl(data: Value) -> None:
    members = data.get("members", [])
    if not isinstance(members, list):
        raise Invalid("members is not a list")
    for each in members:
        if not isinstance(each, dict) or each.get("type") not in ("user", "api_key", "group"):
            raise Invalid("a member is a user, an api_key or a group")
        if not isinstance(each.get("id"), str) or not each["id"]:
            raise Invalid("a member has an id")


def _playbook(data: Value) -> None:
    _text("python")(data)
    if data.get("sdk_version", "4") not in ("4", "5"):
        raise Invalid("sdk_version is 4 or 5")


def _app(data: Value) -> None:
    if not any(isinstance(data.get(name), str) for name in ("html", "display_name")):
        raise Invalid("missing html")


_FILTERS = ("platforms", "tags")


def _lists(rule: Value, where: str, *names: str) -> None:
    held = rule.get("filters")
    if held is not None and not isinstance(held, dict):
        raise Invalid(f"{where}: filters is not an object")
    for name, each in ((name, of.get(name)) for of in (rule, held or {}) for name in (*names, *_FILTERS)):
        if each is not None and not (isinstance(each, list) and all(isinstance(one, str) for one in each)):
            raise Invalid(f"{where}: {name} is not a list of text")


def rule_of_service(service: str, name: str, rule: Any) -> None:
    """Check a rule of one of the older services.

    Args:
        service: exfil/list, exfil/watch, integrity, logging or yara.

    Raises:
        Invalid: it is none.
    """
    where = f"{service} rule {name}"
    if not isinstance(rule, dict):
        raise Invalid(f"{where} is not an object")
    needed = {
        "exfil/list": ("events",),
        "exfil/watch": ("event", "operator", "value", "path"),
        "integrity": ("patterns",),
        "logging": ("patterns",),
        "yara": ("sources",),
    }[service]
    for key in needed:
        if not rule.get(key):
            raise Invalid(f"{where} needs {key}")
    lists = {"exfil/list": ("events",), "exfil/watch": ("path",), "yara": ("sources",)}
    _lists(rule, where, *lists.get(service, ("patterns",)))
    retention = rule.get("days_retention")
    if retention is not None and (
        not isinstance(retention, int) or isinstance(retention, bool) or retention < 0
    ):
        raise Invalid(f"{where}: days_retention is not a number of days")


def _extension(key: str, data: Value) -> None:
    inside = {
        "ext-exfil": "exfil_rules",
        "ext-integrity": "fim_rules",
        "ext-artifact": "log_rules",
        "ext-yara": "yara_scanners",
    }.get(key)
    held = data.get(inside) if inside else None
    if held is None:
        return
    if not isinstance(held, dict):
        raise Invalid(f"{inside} is not an object")
    if key == "ext-exfil":
        for part in ("list", "watch"):
            for name, rule in _object(held.get(part), part).items():
                rule_of_service(f"exfil/{part}", name, rule)
        return
    service = {"ext-integrity": "integrity", "ext-artifact": "logging", "ext-yara": "yara"}[key]
    for name, rule in held.items():
        rule_of_service(service, name, rule)


def _object(held: Any, name: str) -> Value:
    if held is None:
        return {}
    if not isinstance(held, dict):
        raise Invalid(f"{name} is not an object")
    return held


def _memory(data: Value) -> None:
    _object(data.get("memories"), "memories")


_CHECKS: dict[str, Callable[[Value], None]] = {
    "dr-general": _rule,
    "dr-managed": _rule,
    "dr-service": _rule,
    "fp": _false_positive,
    "secret": _text("secret"),
    "query": _text("query"),
    "lookup": _lookup,
    "yara": _yara,
    "playbook": _playbook,
    "sop": _note,
    "org_notes": _note,
    "note": _note,
    "cloud_sensor": _adapter,
    "external_adapter": _adapter,
    "acl": _acl,
    "app": _app,
    "ai_memory": _memory,
}

REQUIRED: dict[str, tuple[str, ...]] = {
    "dr-general": ("detect", "respond"),
    "dr-managed": ("detect", "respond"),
    "dr-service": ("detect", "respond"),
    "fp": ("op",),
    "secret": ("secret",),
    "query": ("query",),
    "yara": ("rule",),
    "playbook": ("python",),
    "cloud_sensor": ("sensor_type",),
    "external_adapter": ("sensor_type",),
}
"""What records of a hive cannot be without, as its schema says it."""

_TEXT: Value = {"type": "string"}
_OBJECT: Value = {"type": "object"}
_RULE: dict[str, Value] = {
    "detect": _OBJECT,
    "respond": {"type": "array", "items": _OBJECT},
    "tests": _OBJECT,
}
_NOTE: dict[str, Value] = {"text": _TEXT, "description": _TEXT}
_PROPERTIES: dict[str, dict[str, Value]] = {
    "dr-general": _RULE,
    "dr-managed": _RULE,
    "dr-service": _RULE,
    "fp": {"op": _TEXT, "path": _TEXT, "value": {}, "rules": {"type": "array", "items": _OBJECT}},
    "secret": {"secret": _TEXT},
    "query": {"query": _TEXT, "stream": _TEXT},
    "yara": {"rule": _TEXT},
    "lookup": {"lookup_data": _OBJECT, "newline_content": _TEXT, "yaml_content": _TEXT},
    "playbook": {"python": _TEXT, "sdk_version": {"type": "string", "enum": ["4", "5"]}},
    "sop": _NOTE,
    "org_notes": _NOTE,
    "note": _NOTE,
    "ai_memory": {"memories": {"type": "object", "additionalProperties": _TEXT}},
    "acl": {"members": {"type": "array", "items": _OBJECT}, "warn_only": {"type": "boolean"}},
    "app": {"display_name": _TEXT, "html": _TEXT, "description": _TEXT, "icon": _TEXT},
}
_CLOUD_ADAPTERS = (
    "1password", "azure_event_hub", "bitwarden", "box", "cato", "crowdstrike", "duo", "gcs", "github",
    "gworkspace", "hubspot", "itglue", "mimecast", "office365", "okta", "pubsub", "s3", "sentinelone",
    "slack", "sophos", "sqs", "webhook", "zendesk",
)  # fmt: skip
_OWN_ADAPTERS = (
    *_CLOUD_ADAPTERS, "evtx", "file", "imap", "k8s_pods", "mac_unified_logging", "simulator", "stdin",
    "syslog", "wel",
)  # fmt: skip
_CLIENT_OPTIONS: Value = {
    "type": "object",
    "properties": {
        "identity": {
            "type": "object",
            "properties": {"oid": _TEXT, "installation_key": _TEXT},
            "required": ["oid", "installation_key"],
        },
        "platform": _TEXT,
        "sensor_seed_key": _TEXT,
        "hostname": _TEXT,
        "mapping": _OBJECT,
    },
    "required": ["identity", "platform", "sensor_seed_key"],
}


def schema(hive: str) -> Value:
    """What records of a hive hold, as a JSON Schema.

    That of adapters refers to a definition with one property for each kind of adapter: the official client
    5.10.1 (commands/_adapter_types.py) reads the kinds there are out of it.
    """
    found: Value = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": _PROPERTIES.get(hive, {}),
        "required": list(REQUIRED.get(hive, ())),
    }
    kinds = {"cloud_sensor": _CLOUD_ADAPTERS, "external_adapter": _OWN_ADAPTERS}.get(hive)
    if kinds is None:
        return found
    adapter = {"type": "object", "properties": {"client_options": {"$ref": "#/$defs/ClientOptions"}}}
    record = {
        "type": "object",
        "properties": {"sensor_type": _TEXT, **dict.fromkeys(kinds, adapter)},
        "required": found["required"],
    }
    name = "CloudSensorRecord" if hive == "cloud_sensor" else "ExternalAdapterConfig"
    return found | {"$ref": f"#/$defs/{name}", "$defs": {name: record, "ClientOptions": _CLIENT_OPTIONS}}


def record(hive: str, key: str, data: Any) -> Value:
    """Check a record.

    Returns:
        The data.

    Raises:
        Invalid: the cloud would not store it.
    """
    if not isinstance(data, dict):
        raise Invalid("data is not an object")
    if data.get("acl_restricted") is True and len(data) == 1:
        raise Invalid("this is what is shown to callers who may not see the data")
    if hive == "acl" and re.search(r"[\s,/]", key):
        raise Invalid("the name of a scope has no spaces, commas and slashes")
    if hive == "app" and len(orjson.dumps(data)) > APP_BYTES:
        raise Invalid("an app has at most 10 MB")
    if hive == "extension_config":
        _extension(key, data)
    elif hive in _CHECKS:
        _CHECKS[hive](data)
    return data
