"""The older calls for rules and false positives, over the same records as the hives (go-limacharlie)."""

from typing import Any

import orjson

from console.sandbox import validation
from console.sandbox.calls import Call, Refusal, missing, not_found, table
from console.sandbox.configuration import needed
from console.sandbox.endpoints import hive
from console.sandbox.organizations import Organization

_NAMESPACES = {"general": "dr-general", "managed": "dr-managed", "service": "dr-service"}
FP_LISTING = 4 * 1024 * 1024
"""Bytes of all false positive rules that are answered in one piece."""


def _allowed(call: Call, name: str, act: str) -> Organization:
    one = call.organization()
    if not call.allows(one.oid, *needed(name, act)):
        raise missing(*needed(name, act))
    return one


def _hive(namespace: str | None) -> tuple[str, str]:
    wanted = namespace or "general"
    if wanted not in _NAMESPACES:
        raise Refusal(400, f"unknown namespace {wanted}")
    return wanted, _NAMESPACES[wanted]


def rule(name: str, namespace: str, record: dict[str, Any]) -> dict[str, Any]:
    """A record as the older call shows it."""
    metadata = record["usr_mtd"]
    shown = {
        "name": name,
        "namespace": namespace,
        "detect": record["data"].get("detect"),
        "respond": record["data"].get("respond"),
        "is_enabled": metadata["enabled"],
        "by": record["sys_mtd"]["last_author"],
        "modified": record["sys_mtd"]["last_mod"],
    }
    return shown | ({"expire_on": metadata["expiry"]} if metadata.get("expiry") else {})


@table.add("GET", "/v1/rules/{oid}")
def rules(call: Call) -> object:
    """The rules of a namespace by name."""
    namespace, name = _hive(call.asked("namespace"))
    one = _allowed(call, name, "get")
    return {
        key: rule(key, namespace, hive.shown(call, one, record))
        for key, record in call.world.records(one, name).items()
    }


def _json(call: Call, name: str) -> Any:
    text = call.either(name)
    if not text:
        raise Refusal(400, f"missing parameter {name}")
    try:
        return orjson.loads(text)
    except ValueError:
        raise Refusal(400, f"bad parameter {name}: it takes JSON") from None


def _named(call: Call) -> str:
    name = call.either("name")
    if not name:
        raise Refusal(400, "missing parameter name")
    return name


def _replaceable(call: Call, one: Organization, kind: str, name: str) -> None:
    if name in call.world.records(one, kind):
        if (call.either("is_replace") or "").lower() not in ("true", "1"):
            raise Refusal(400, f"rule {name} is there already")
        hive.open_to(call, one, kind, name)


def _checked(kind: str, name: str, data: Any) -> dict[str, Any]:
    try:
        return validation.record(kind, name, data)
    except validation.Invalid as error:
        raise Refusal(400, f"invalid rule {name}: {error}") from None


@table.add("POST", "/v1/rules/{oid}")
def put_rule(call: Call) -> object:
    """Put a rule; one that is called so stays unless it is to be replaced."""
    _, kind = _hive(call.either("namespace"))
    one = _allowed(call, kind, "set")
    name = _named(call)
    data = _checked(kind, name, {"detect": _json(call, "detection"), "respond": _json(call, "response")})
    _replaceable(call, one, kind, name)
    before = call.world.records(one, kind).get(name, {"usr_mtd": {}})["usr_mtd"]
    try:
        expiry = int(call.either("expire_on") or 0)
    except ValueError:
        raise Refusal(400, "bad parameter expire_on") from None
    metadata = hive.checked_metadata(
        call,
        before
        | {"enabled": (call.either("is_enabled") or "true").lower() in ("true", "1"), "expiry": expiry},
    )
    hive.store(call, one, kind, name, data, metadata)
    return {}


@table.add("DELETE", "/v1/rules/{oid}")
def delete_rule(call: Call) -> object:
    """Remove a rule."""
    _, kind = _hive(call.either("namespace"))
    return _delete(call, kind)


def _delete(call: Call, kind: str) -> object:
    one = _allowed(call, kind, "del")
    name = _named(call)
    if name not in call.world.records(one, kind):
        raise not_found()
    hive.open_to(call, one, kind, name)
    hive.erase(call, one, kind, name)
    return {}


@table.add("GET", "/v1/fp/{oid}")
def false_positives(call: Call) -> object:
    """False positive rules by name; too many at once are refused."""
    one = _allowed(call, "fp", "get")
    found = orjson.dumps(
        {
            key: {"data": hive.shown(call, one, record)["data"], "oid": one.oid, "name": key}
            for key, record in call.world.records(one, "fp").items()
        }
    )
    if len(found) > FP_LISTING:
        raise Refusal(
            413, "FP_LISTING_TOO_LARGE: read the fp hive in pages", error_code="FP_LISTING_TOO_LARGE"
        )
    return found


@table.add("POST", "/v1/fp/{oid}")
def put_false_positive(call: Call) -> object:
    """Put a false positive rule, enabled."""
    one = _allowed(call, "fp", "set")
    name = _named(call)
    data = _checked("fp", name, _json(call, "rule"))
    _replaceable(call, one, "fp", name)
    before = call.world.records(one, "fp").get(name)
    metadata = None if before else {"enabled": True, "expiry": 0, "tags": None, "comment": ""}
    hive.store(call, one, "fp", name, data, metadata)
    return {}


@table.add("DELETE", "/v1/fp/{oid}")
def delete_false_positive(call: Call) -> object:
    """Remove a false positive rule."""
    return _delete(call, "fp")
