"""Outputs, installation keys, extensions, resources, older services, the infrastructure document."""

import base64
import gzip
from typing import Any

import orjson

from console.sandbox.calls import Call, Refusal, missing, not_found, table
from console.sandbox.configuration import HIVES, definitions, infrastructure, needed
from console.sandbox.extensions import action, actions
from console.sandbox.organizations import Organization


@table.add("GET", "/v1/outputs/{oid}")
def outputs(call: Call) -> object:
    """Outputs by name, below the oid."""
    one = call.organization("output.list")
    return {one.oid: call.world.configuration.outputs(one)}


@table.add("GET", "/v1/installationkeys/{oid}")
def installation_keys(call: Call) -> object:
    """Installation keys by iid, below the oid."""
    one = call.organization("ikey.list")
    return {one.oid: call.world.configuration.installation_keys(one)}


@table.add("GET", "/v1/installationkeys/{oid}/{iid}")
def installation_key(call: Call) -> object:
    """One installation key."""
    found = call.world.configuration.installation_keys(call.organization("ikey.list")).get(call.params["iid"])
    if found is None:
        raise not_found()
    return found


@table.add("GET", "/v1/orgs/{oid}/subscriptions")
def subscriptions(call: Call) -> object:
    """Subscribed extensions, by name."""
    one = call.organization("ext.sub.mtd", "ext.sub")
    return {name: {"name": name, "is_subscribed": True} for name in call.world.configuration.extensions(one)}


@table.add("GET", "/v1/orgs/{oid}/resources")
def resources(call: Call) -> object:
    """Subscriptions to add-ons, by category."""
    return {"resources": call.world.configuration.resources(call.organization("org.get"))}


@table.add("GET", "/v1/extension/definition")
def all_definitions(call: Call) -> object:
    """The extensions that exist."""
    return definitions()


@table.add("GET", "/v1/extension/definition/{name}")
def definition(call: Call) -> object:
    """One extension."""
    found = next((each for each in definitions() if each["name"] == call.params["name"]), None)
    if found is None:
        raise not_found()
    return found


@table.add("POST", "/v1/extension/request/{name}")
def request(call: Call) -> object:
    """A request to an extension."""
    one = call.reach(call.sent("oid"), "ext.request")
    call.oid = one.oid
    name, wanted = call.params["name"], call.sent("action")
    if name not in call.world.configuration.extensions(one):
        raise Refusal(400, f"organization is not subscribed to {name}")
    act = actions.get((name, wanted))
    if act is None:
        raise Refusal(501, f"{name} {wanted} is not served by this sandbox")
    return {"data": act(call, one, _data(call)), "error": "", "retry": False}


@action("ext-infrastructure", "fetch")
def fetch(call: Call, one: Organization, data: dict[str, Any]) -> object:
    """The organization as an infrastructure document."""
    options = data.get("options") or {}
    if not isinstance(options, dict):
        raise Refusal(400, "bad data")
    _may_fetch(call, one, options)
    configuration = call.world.configuration
    document = infrastructure(
        options,
        hives=call.world.all_records(one),
        outputs=configuration.outputs(one),
        extensions=configuration.extensions(one),
        resources=configuration.resources(one),
        values=configuration.values(one),
        installation_keys=configuration.installation_keys(one),
        services=configuration.services(one),
    )
    return {"org": document}


_SECTIONS: dict[str, tuple[str, ...]] = {
    "sync_resources": ("org.get",),
    "sync_extensions": ("ext.sub.mtd", "ext.sub"),
    "sync_outputs": ("output.list",),
    "sync_org_values": ("org.conf.get",),
    "sync_integrity": ("replicant.get",),
    "sync_artifacts": ("replicant.get",),
    "sync_exfil": ("replicant.get",),
    "sync_yara": ("replicant.get",),
    "sync_installation_keys": ("ikey.list",),
}


def _may_fetch(call: Call, one: Organization, options: dict[str, Any]) -> None:
    """The extension acts as the caller, so that each section takes the permission that reading it takes."""
    for section, permissions in _SECTIONS.items():
        if options.get(section) and not call.allows(one.oid, *permissions):
            raise missing(*permissions)
    hives = options.get("sync_hives") or {}
    if not isinstance(hives, dict) or not HIVES.issuperset(hives):
        raise Refusal(400, "bad data: unknown hive")
    for hive, wanted in hives.items():
        if wanted and not call.allows(one.oid, *needed(hive, "get")):
            raise missing(*needed(hive, "get"))


def _data(call: Call) -> dict[str, Any]:
    try:
        if call.sent("gzdata"):
            loaded = orjson.loads(gzip.decompress(base64.b64decode(call.sent("gzdata"))))
        else:
            loaded = orjson.loads(call.sent("data") or "{}")
    except (ValueError, OSError, EOFError):
        raise Refusal(400, "bad data") from None
    if not isinstance(loaded, dict):
        raise Refusal(400, "bad data")
    return loaded


@table.add("GET", "/v1/service/{oid}")
def services(call: Call) -> object:
    """The older services the organization has."""
    one = call.organization("replicant.get")
    return {"replicants": {name: {} for name in call.world.configuration.resources(one)["replicant"]}}


@table.add("POST", "/v1/service/{oid}/{service}")
def service(call: Call) -> object:
    """A request to an older service; their rules can be listed."""
    one = call.organization("replicant.get")
    name = call.params["service"]
    if name not in call.world.configuration.resources(one)["replicant"]:
        raise Refusal(400, "org not registered to service")
    try:
        data = orjson.loads(base64.b64decode(call.sent("request_data")))
    except ValueError:
        raise Refusal(400, "bad request_data") from None
    wanted = data.get("action") if isinstance(data, dict) else None
    if wanted != "list_rules":
        raise Refusal(501, f"{name} {wanted} is not served by this sandbox")
    found: Any = call.world.configuration.services(one)[name]
    return found
