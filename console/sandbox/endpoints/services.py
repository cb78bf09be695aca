"""The older services, whose rules live in the records of the extensions that took their place.

Extensions take the same actions (official client 5.10.1, sdk/{logging_rules,exfil,integrity,yara}.py).
"""

import base64
from collections.abc import Callable
from typing import Any

import orjson

from console.sandbox import validation
from console.sandbox.calls import Call, Refusal, missing, not_found, table
from console.sandbox.configuration import SERVICES
from console.sandbox.endpoints import hive
from console.sandbox.extensions import action
from console.sandbox.organizations import Organization

_PARTS = {
    "integrity": ("patterns",),
    "logging": ("patterns", "days_retention", "is_delete_after", "is_ignore_cert"),
    "yara": ("sources",),
    "exfil/list": ("events",),
    "exfil/watch": ("event", "operator", "value", "path"),
}
"""What a rule of each kind is made of; filters come on top."""


def _listed(value: Any, name: str) -> list[Any]:
    """A list, which some clients send as its JSON."""
    if isinstance(value, str) and value:
        try:
            value = orjson.loads(value)
        except ValueError:
            raise Refusal(400, f"bad parameter {name}: it takes a list") from None
    if value in (None, ""):
        return []
    if not isinstance(value, list):
        raise Refusal(400, f"bad parameter {name}: it takes a list")
    return value


def rule_of(kind: str, name: str, sent: dict[str, Any]) -> dict[str, Any]:
    """A rule as it is kept: filters by themselves, numbers and booleans as such.

    Args:
        kind: integrity, logging, yara, exfil/list or exfil/watch.
        sent: with the filters inside `filters` or beside the rest; clients differ.

    Raises:
        Refusal: 400.
    """
    filters = sent.get("filters") or {}
    if not isinstance(filters, dict):
        raise Refusal(400, f"{kind} rule {name}: filters is not an object")
    rule: dict[str, Any] = {}
    for part in _PARTS[kind]:
        value = sent.get(part)
        if part in ("patterns", "events", "sources", "path"):
            rule[part] = _listed(value, part)
        elif part == "days_retention":
            if value not in (None, ""):
                try:
                    rule[part] = int(value)
                except (TypeError, ValueError):
                    raise Refusal(400, f"bad parameter {part}") from None
        elif part.startswith("is_"):
            rule[part] = str(value).lower() in ("true", "1")
        else:
            rule[part] = value
    rule["filters"] = {
        each: _listed(filters.get(each, sent.get(each)), each) for each in ("platforms", "tags")
    }
    try:
        validation.rule_of_service(kind, name, rule)
    except validation.Invalid as error:
        raise Refusal(400, str(error)) from None
    return rule


def set_rule(call: Call, one: Organization, kind: str, name: str, rule: dict[str, Any] | None) -> None:
    """Put a rule, or remove it with None, under the caller's identity.

    Raises:
        Refusal: 404 when there is none to remove.
    """
    service, _, part = kind.partition("/")
    if not name:
        raise Refusal(400, "missing parameter name")
    extension, inside = SERVICES[service]
    record = call.world.records(one, "extension_config").get(extension)
    data = dict(record["data"]) if record is not None else {}
    held = dict(data.get(inside) or {})
    rules = dict(held.get(part) or {}) if part else held
    if rule is None:
        if name not in rules:
            raise not_found()
        del rules[name]
    else:
        rules[name] = rule
    call.world.configuration.stamp(one, service, name, None if rule is None else call.token().ident)
    data[inside] = held | {part: rules} if part else rules
    default = {"enabled": True, "expiry": 0, "tags": None, "comment": ""}
    hive.store(call, one, "extension_config", extension, data, None if record is not None else default)
    call.record(
        one,
        "config_change",
        f"{kind.replace('/', ' ')} rule {name} {'removed' if rule is None else 'set'}",
        entity={"type": service, "name": name},
    )


def set_source(call: Call, one: Organization, name: str, text: str | None) -> None:
    """Put a YARA source, or remove it with None, under the caller's identity.

    Raises:
        Refusal: 400 without a name, 404 when there is none to remove.
    """
    if not name:
        raise Refusal(400, "missing parameter name")
    if text is None and name not in call.world.configuration.yara_sources(one):
        raise not_found()
    call.world.configuration.set_yara_source(one, name, text)
    call.record(
        one,
        "config_change",
        f"yara source {name} {'removed' if text is None else 'set'}",
        entity={"type": "yara_source", "name": name},
    )


_WRITES: dict[tuple[str, str], tuple[str, bool]] = {
    ("integrity", "add_rule"): ("integrity", True),
    ("integrity", "remove_rule"): ("integrity", False),
    ("logging", "add_rule"): ("logging", True),
    ("logging", "remove_rule"): ("logging", False),
    ("yara", "add_rule"): ("yara", True),
    ("yara", "remove_rule"): ("yara", False),
    ("exfil", "add_event_rule"): ("exfil/list", True),
    ("exfil", "remove_event_rule"): ("exfil/list", False),
    ("exfil", "add_watch"): ("exfil/watch", True),
    ("exfil", "remove_watch"): ("exfil/watch", False),
}
_SOURCES = ("list_sources", "get_source", "add_source", "remove_source")


def _act(call: Call, one: Organization, service: str, wanted: str, data: dict[str, Any]) -> Any:
    configuration = call.world.configuration
    if wanted == "list_rules":
        return configuration.services(one)[service]
    name = str(data.get("name") or "")
    if service == "yara" and wanted in _SOURCES:
        sources = configuration.yara_sources(one)
        # One client calls it name, the other source.
        name = name or str(data.get("source") or "")
        if wanted == "list_sources":
            return {each: {"name": each, "size": len(text)} for each, text in sorted(sources.items())}
        if wanted == "get_source":
            if name not in sources:
                raise not_found()
            return {"content": sources[name]}
        if wanted == "remove_source":
            set_source(call, one, name, None)
            return {}
        text = data.get("content") or data.get("source")
        if not isinstance(text, str):
            raise Refusal(400, "missing parameter source")
        set_source(call, one, name, text)
        return {}
    if service == "yara" and wanted == "scan":
        return _scan(call, one, data)
    if (service, wanted) not in _WRITES:
        raise Refusal(400, f"unknown action {wanted}")
    kind, puts = _WRITES[service, wanted]
    set_rule(call, one, kind, name, rule_of(kind, name, data) if puts else None)
    return {}


def _scan(call: Call, one: Organization, data: dict[str, Any]) -> object:
    if not call.allows(one.oid, "sensor.task"):
        raise missing("sensor.task")
    found = call.world.sensor_by_sid(str(data.get("sid") or ""))
    if found is None or found[0] is not one:
        raise not_found()
    call.record(
        one,
        "send_task",
        "task sent: yara_scan",
        entity={"type": "sensor", "name": found[1].sid},
        mtd={"task": "yara_scan"},
    )
    who = call.token().ident
    return {"job_id": call.world.jobs.add(one, "yara scan", who, call.world.clock(), sid=found[1].sid)}


@table.add("GET", "/v1/service/{oid}")
def services(call: Call) -> object:
    """The older services the organization has."""
    one = call.organization("replicant.get")
    return {"replicants": {name: {} for name in call.world.configuration.resources(one).get("replicant", ())}}


@table.add("POST", "/v1/service/{oid}/{service}")
def service(call: Call) -> object:
    """A request to an older service."""
    one = call.organization("replicant.get", "replicant.ctrl")
    name = call.params["service"]
    configuration = call.world.configuration
    known = configuration.resources(one).get("replicant", ())
    if name not in SERVICES or (name not in known and SERVICES[name][0] not in configuration.extensions(one)):
        raise Refusal(400, "org not registered to service")
    try:
        data = orjson.loads(base64.b64decode(call.either("request_data") or ""))
    except ValueError:
        raise Refusal(400, "bad request_data") from None
    wanted = data.get("action") if isinstance(data, dict) else None
    if not isinstance(wanted, str):
        raise Refusal(400, "missing action")
    reads = wanted in ("list_rules", "list_sources", "get_source")
    permission = "replicant.get" if reads else "replicant.ctrl"
    if not call.allows(one.oid, permission):
        raise missing(permission)
    return _act(call, one, name, wanted, data)


@table.add("GET", "/v1/insight/{oid}/artifacts/rules")
def artifact_rules(call: Call) -> object:
    """The rules by which files are collected: those of the logging service."""
    one = call.organization("replicant.get", "insight.list")
    return call.world.configuration.services(one)["logging"]


@table.add("POST", "/v1/insight/{oid}/artifacts/rules")
def put_artifact_rule(call: Call) -> object:
    """Put such a rule (JSON)."""
    one = call.organization("replicant.ctrl", "insight.ctrl")
    sent = call.json()
    if not isinstance(sent, dict):
        raise Refusal(400, "an object is wanted")
    name = str(sent.get("name") or "")
    set_rule(call, one, "logging", name, rule_of("logging", name, sent))
    return {}


@table.add("DELETE", "/v1/insight/{oid}/artifacts/rules")
def remove_artifact_rule(call: Call) -> object:
    """Remove such a rule."""
    set_rule(
        call, call.organization("replicant.ctrl", "insight.ctrl"), "logging", call.either("name") or "", None
    )
    return {}


def _of_extension(name: str, wanted: str) -> Callable[[Call, Organization, dict[str, Any]], object]:
    def act(call: Call, one: Organization, data: dict[str, Any]) -> object:
        reads = wanted in ("list_rules", "list_sources", "get_source")
        hive.allow(call, one, "extension_config", "get" if reads else "set", SERVICES[name][0])
        return _act(call, one, name, wanted, data)

    return act


for _service, (_extension, _) in SERVICES.items():
    for _wanted in ("list_rules", *(wanted for of, wanted in _WRITES if of == _service)):
        action(_extension, _wanted)(_of_extension(_service, _wanted))
for _wanted in ("list_rules", "add_rule", "remove_rule", *_SOURCES):
    action("ext-yara-manager", _wanted)(_of_extension("yara", _wanted))
for _wanted in (*_SOURCES, "scan"):
    action("ext-yara", _wanted)(_of_extension("yara", _wanted))


@table.add("GET", "/v1/arl/{oid}")
def arl(call: Call) -> object:
    """What stands elsewhere: records of this organization only, for the sandbox fetches nothing."""
    one = call.organization("org.get")
    address = call.asked("arl")
    if not address:
        raise Refusal(400, "missing parameter arl")
    scheme, _, rest = address.strip("[]").partition("://")
    kind, _, key = rest.partition("/")
    if scheme != "hive" or not key:
        raise Refusal(400, "the sandbox fetches nothing from elsewhere: only hive://HIVE/KEY can be read")
    hive.allow(call, one, kind, "get", key)
    found = call.world.records(one, kind).get(key)
    if found is None:
        raise not_found()
    return {"data": hive.shown(call, one, found)["data"]}
