"""Extensions and add-ons: what exists, what an organization is subscribed to, requests to them."""

import base64
import gzip
from typing import Any

import orjson

from console.sandbox.calls import Call, Refusal, not_found, table
from console.sandbox.extensions import actions
from console.sandbox.organizations import Organization

CATEGORIES = frozenset(("api", "replicant", "lookup", "detection"))
"""Of add-ons; `service` is another word for replicant (go-limacharlie, sync.go)."""


@table.add("GET", "/v1/orgs/{oid}/subscriptions")
def subscriptions(call: Call) -> object:
    """Subscribed extensions, by name."""
    one = call.organization("ext.sub.mtd", "ext.sub")
    return {name: {"name": name, "is_subscribed": True} for name in call.world.configuration.extensions(one)}


def subscribe(call: Call, one: Organization, name: str, wanted: bool) -> None:
    """Subscribe to an extension, or end that, under the caller's identity.

    Raises:
        Refusal: 404 for an extension that does not exist.
    """
    configuration = call.world.configuration
    if wanted and name not in configuration.definitions:
        raise Refusal(404, f"extension {name} not found")
    if (name in configuration.extensions(one)) == wanted:
        return
    configuration.set_extension(one, name, wanted)
    if not wanted:
        for gone in call.world.on_unsubscribed:
            gone(one, name)
    _note(call, one, name, "subscribed to" if wanted else "unsubscribed from")


def _note(call: Call, one: Organization, name: str, done: str) -> None:
    call.record(one, "config_change", f"{done} {name}", entity={"type": "extension", "name": name})


@table.add("POST", "/v1/orgs/{oid}/subscription/extension/{name}")
def start(call: Call) -> object:
    """Subscribe."""
    subscribe(call, call.organization("ext.sub"), call.params["name"], True)
    return {}


def _subscribed(call: Call) -> Organization:
    one = call.organization("ext.sub")
    if call.params["name"] not in call.world.configuration.extensions(one):
        raise Refusal(400, f"organization is not subscribed to {call.params['name']}")
    return one


@table.add("DELETE", "/v1/orgs/{oid}/subscription/extension/{name}")
def end(call: Call) -> object:
    """Unsubscribe; what the extension holds for the organization goes with it."""
    subscribe(call, _subscribed(call), call.params["name"], False)
    return {}


@table.add("PATCH", "/v1/orgs/{oid}/subscription/extension/{name}")
def rotate(call: Call) -> object:
    """Give the extension another key for the organization."""
    _note(call, _subscribed(call), call.params["name"], "key rotated of")
    return {}


@table.add("GET", "/v1/orgs/{oid}/resources")
def resources(call: Call) -> object:
    """Subscriptions to add-ons, by category."""
    return {"resources": call.world.configuration.resources(call.organization("org.get"))}


def subscribe_resource(call: Call, one: Organization, category: str, name: str, wanted: bool) -> None:
    """Subscribe to an add-on, or end that, under the caller's identity.

    Raises:
        Refusal: 400 for an unknown category, and without a name.
    """
    category = "replicant" if category == "service" else category
    if category not in CATEGORIES or not name:
        raise Refusal(400, f"unknown resource {category}/{name}")
    if (name in call.world.configuration.resources(one).get(category, ())) == wanted:
        return
    call.world.configuration.set_resource(one, category, name, wanted)
    call.record(
        one,
        "config_change",
        f"{'subscribed to' if wanted else 'unsubscribed from'} {category}/{name}",
        entity={"type": "resource", "name": f"{category}/{name}"},
    )


def _resource(call: Call, wanted: bool) -> object:
    one = call.organization("ext.sub", "billing.ctrl")
    category, name = call.either("res_cat") or "", call.either("res_name") or ""
    subscribe_resource(call, one, category, name, wanted)
    return {"success": True}


@table.add("POST", "/v1/orgs/{oid}/resources")
def add_resource(call: Call) -> object:
    """Subscribe to an add-on."""
    return _resource(call, True)


@table.add("DELETE", "/v1/orgs/{oid}/resources")
def drop_resource(call: Call) -> object:
    """End the subscription to an add-on."""
    return _resource(call, False)


@table.add("GET", "/v1/extension/definition")
def all_definitions(call: Call) -> object:
    """The extensions that exist."""
    return [each for _, each in sorted(call.world.configuration.definitions.items())]


def _definition(call: Call, name: str) -> dict[str, Any]:
    found = call.world.configuration.definitions.get(name)
    if found is None:
        raise not_found()
    return found


@table.add("GET", "/v1/extension/definition/{name}")
def definition(call: Call) -> object:
    """One extension."""
    return _definition(call, call.params["name"])


def _sent_definition(call: Call) -> dict[str, Any]:
    call.user()
    sent = call.json()
    if not isinstance(sent, dict) or not isinstance(sent.get("name"), str) or not sent["name"]:
        raise Refusal(400, "an extension has a name")
    return sent


def _own(call: Call, name: str) -> dict[str, Any]:
    found = _definition(call, name)
    if found.get("owner") != call.user().ident:
        raise Refusal(401, "unauthorized: only its owner changes an extension")
    return found


@table.add("POST", "/v1/extension/definition")
def make_definition(call: Call) -> object:
    """Publish an extension."""
    sent = _sent_definition(call)
    if sent["name"] in call.world.configuration.definitions:
        raise Refusal(400, f"extension {sent['name']} is there already")
    call.world.configuration.definitions[sent["name"]] = sent | {"owner": call.user().ident}
    return {}


@table.add("PUT", "/v1/extension/definition")
def change_definition(call: Call) -> object:
    """Change an extension of one's own."""
    sent = _sent_definition(call)
    before = _own(call, sent["name"])
    call.world.configuration.definitions[sent["name"]] = before | sent | {"owner": before["owner"]}
    return {}


@table.add("DELETE", "/v1/extension/definition/{name}")
def remove_definition(call: Call) -> object:
    """Withdraw an extension of one's own."""
    _own(call, call.params["name"])
    del call.world.configuration.definitions[call.params["name"]]
    return {}


_CONFIGURED = {
    "ext-artifact": "log_rules",
    "ext-exfil": "exfil_rules",
    "ext-integrity": "fim_rules",
    "ext-yara": "yara_scanners",
    "ext-cases": "ingestion_mode",
    "ext-lookup-manager": "lookup_manager_rules",
    "ext-usage-alerts": "usage_alert_rules",
    "ext-yara-manager": "yara_manager_rules",
}


@table.add("GET", "/v1/extension/schema/{name}")
def schema(call: Call) -> object:
    """What an extension takes as configuration, and which requests it answers here."""
    name = call.params["name"]
    oid = call.asked("oid")
    if oid:
        call.oid = call.reach(oid, "ext.request", "ext.conf.get", "ext.conf.get.mtd", "ext.sub").oid
    _definition(call, name)
    held = _CONFIGURED.get(name)
    kind = "string" if held == "ingestion_mode" else "object"
    return {
        "config_schema": {
            "fields": {held: {"data_type": kind, "label": held}} if held else {},
            "requirements": None,
        },
        "request_schema": {
            action: {"is_user_facing": True, "short_description": action.replace("_", " ")}
            for extension, action in sorted(actions)
            if extension == name
        },
    }


@table.add("POST", "/v1/extension/request/{name}")
def request(call: Call) -> object:
    """A request to an extension."""
    one = call.reach(call.either("oid") or "", "ext.request")
    call.oid = one.oid
    name, wanted = call.params["name"], call.either("action") or ""
    if name not in call.world.configuration.extensions(one):
        raise Refusal(400, f"organization is not subscribed to {name}")
    act = actions.get((name, wanted))
    if act is None:
        raise Refusal(501, f"{name} {wanted} is not served by this sandbox")
    return {"data": act(call, one, _data(call)), "error": "", "retry": False}


def _data(call: Call) -> dict[str, Any]:
    try:
        packed = call.either("gzdata")
        loaded = orjson.loads(
            gzip.decompress(base64.b64decode(packed)) if packed else call.either("data") or "{}"
        )
    except (ValueError, OSError, EOFError):
        raise Refusal(400, "bad data") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise Refusal(400, "bad data")
    return loaded
