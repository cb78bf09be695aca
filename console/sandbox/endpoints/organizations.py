"""Organizations: listing, record, settings, usage, errors, quota, coverage, schemas."""

from collections.abc import Callable
from typing import Any

from console.sandbox import activity
from console.sandbox.calls import Call, Refusal, not_found, table
from console.sandbox.organizations import Organization
from console.sandbox.rules import BASELINE
from console.sandbox.sensors import PLATFORM_NAMES, layout
from console.sandbox.world import World

VERSION = "4.33.20"
_INTEGRATIONS = frozenset(
    (
        "vt", "otx", "domain", "shodan", "pagerduty", "twilio", "socprime", "alphamountain", "pangea",
        "hybrid_analysis", "echotrail", "greynoise", "retention", "sensor_version",
    )
)  # fmt: skip

_SITES = {
    "auto": "", "usa": "usa", "us": "usa", "canada": "canada", "europe": "europe", "uk": "uk",
    "india": "india", "australia": "australia",
}  # fmt: skip
"""By the locations that the clients offer."""


def _row(call: Call, organization: Organization, ident: str, fields: frozenset[str]) -> dict[str, Any]:
    world = call.world
    wanted: dict[str, Callable[[], Any]] = {
        "oid": lambda: organization.oid,
        "name": lambda: organization.name,
        "code": lambda: organization.slug,
        "description": lambda: organization.description,
        "status": lambda: "active",
        "sensor_online": lambda: world.online(organization),
        "sensor_quota": lambda: world.quota(organization)["quota"],
        "sensor_version": lambda: organization.version or VERSION,
        "permissions": lambda: list(world.access.permissions(ident, organization)),
        "errors": lambda: [error["component"] for error in world.errors(organization)],
        "site_name": lambda: organization.site,
    }
    return {name: make() for name, make in wanted.items() if not fields or name in fields}


@table.add("GET", "/v1/user/orgs")
def user_orgs(call: Call) -> object:
    """The organizations a person sees, in pages."""
    claims = call.user()
    by = call.asked("sort_by") or "name"
    if by not in ("name", "oid", "sensor_quota", "site_name"):
        raise Refusal(400, "bad parameter sort_by")
    needle, descending = call.asked("filter").casefold(), call.asked("sort_order").lower() == "desc"
    found = call.world.seen_by(claims.ident, needle, by, descending)
    offset, limit = max(0, call.number("offset", 0)), call.number("limit", 50)
    fields = frozenset(name for name in call.asked("fields").split(",") if name)
    page = found[offset : offset + max(1, min(limit, 1000))]
    return {"orgs": [_row(call, one, claims.ident, fields) for one in page], "total": len(found)}


@table.add("GET", "/v1/orgs/new")
def name_is_free(call: Call) -> object:
    """Whether an organization could be called so."""
    call.user()
    return {"is_available": call.world.name_is_free(call.asked("name"))}


@table.add("POST", "/v1/orgs/new")
def create(call: Call) -> object:
    """A new organization, its creator the owner.

    `template` is the name of a template, which changes nothing here, or an infrastructure document, which
    is applied: clients disagree.
    """
    claims = call.user()
    name, template = _wanted_name(call), call.either("template") or ""
    place = (call.either("loc") or "auto").lower()
    if place not in _SITES:
        raise Refusal(400, f"unknown location {place}")
    one = call.world.create_organization(name, _SITES[place], claims.ident)
    call.oid = one.oid
    call.record(one, "config_change", "organization created", entity={"type": "org", "name": one.oid})
    if "\n" in template.strip() and call.world.made_from_template is not None:
        try:
            call.world.made_from_template(call, one, template)
        except Refusal:
            # Whoever is told that it failed would ask again, and find the name taken.
            call.world.delete_organization(one)
            raise
    return {"success": True, "data": {"oid": one.oid}}


def _wanted_name(call: Call, present: str = "") -> str:
    name = (call.either("name") or "").strip()
    if not name:
        raise Refusal(400, "missing parameter name")
    if name != present and not call.world.name_is_free(name):
        raise Refusal(400, "organization name is already taken")
    return name


@table.add("GET", "/v1/orgs/{oid}/delete")
def confirmation(call: Call) -> object:
    """What the deletion has to be confirmed with."""
    return {"confirmation": call.world.confirmation(call.organization("org.del"))}


@table.add("DELETE", "/v1/orgs/{oid}/delete")
def delete(call: Call) -> object:
    """The organization is gone, from groups and listings too."""
    one = call.organization("org.del")
    if not call.world.confirmed(one, call.either("confirmation") or ""):
        raise Refusal(400, "bad confirmation")
    call.world.delete_organization(one)
    return {"success": True}


@table.add("POST", "/v1/orgs/{oid}/name")
def rename(call: Call) -> object:
    """Another name, and with it maybe another description."""
    one = call.organization("org.conf.set")
    name, description = _wanted_name(call, one.name), call.either("description")
    changed: dict[str, Any] = {}
    if name != one.name:
        changed["name"] = name
        call.world.rename(one, name)
    if description is not None and description != one.description:
        changed["description"] = one.description = description
    call.record(
        one,
        "config_change",
        "organization renamed" if "name" in changed else "organization described",
        entity={"type": "org", "name": one.oid},
        mtd=changed,
    )
    return {"success": True}


@table.add("POST", "/v1/orgs/{oid}/quota")
def set_quota(call: Call) -> object:
    """How many sensors the organization may have."""
    one = call.organization("org.set_quota")
    text = call.either("quota") or ""
    if not (text.isdecimal() and text.isascii() and len(text) < 10):
        raise Refusal(400, "bad parameter quota")
    call.world.set_quota(one, int(text))
    call.record(
        one,
        "config_change",
        f"sensor quota set to {int(text)}",
        entity={"type": "org", "name": one.oid},
        mtd={"quota": int(text)},
    )
    return {"success": True}


@table.add("POST", "/v1/modules/{oid}")
def modules(call: Call) -> object:
    """The sensor version: a specific one, the fallback, or none that does anything (asleep)."""
    one = call.organization("module.update")
    version = (call.either("specific_version") or "").strip()
    if not version:
        version = next(
            (
                name
                for name in ("fallback", "sleep")
                if (call.either(f"is_{name}") or "").lower() in ("true", "1")
            ),
            "",
        )
    one.version = version
    call.record(
        one,
        "config_change",
        f"sensor version set to {version or 'stable'}",
        entity={"type": "org", "name": one.oid},
        mtd={"version": version or "stable"},
    )
    return {}


@table.add("GET", "/v1/orgs/{oid}")
def organization(call: Call) -> object:
    """The organization's record."""
    one = call.organization("org.get")
    configuration = call.world.configuration
    return {
        "oid": one.oid,
        "name": one.name,
        "sensor_version": one.version or VERSION,
        "latest_versions": {"stable": VERSION, "experimental": "4.34.0"},
        "n_outputs": len(configuration.outputs(one)),
        "n_installation_keys": len(configuration.installation_keys(one)),
        "n_rules": len(call.world.records(one, "dr-general")) + len(call.world.records(one, "dr-managed")),
        "sensor_quota": call.world.quota(one)["quota"],
        "created": one.created,
        "creator": one.creator or call.world.access.root,
    }


@table.add("GET", "/v1/orgs/{oid}/url", open=True)
def urls(call: Call) -> object:
    """Where the organization's services are: here, all of them."""
    one = call.world.by_oid.get(call.params["oid"])
    if one is None:
        raise not_found()
    here = call.sandbox.url
    bare = here.removeprefix("http://")
    return {
        "url": {
            "lc": bare,
            "lc_wss": bare,
            "edr": bare,
            "logs": bare,
            "artifacts": bare,
            "replay": bare,
            "live": bare,
            "hooks": bare,
            # Clients take a scheme here, and put https before a bare name.
            "search": here,
            "cases": here,
            "ai": here,
            "region_code": one.site,
            "private_endpoints": {},
        },
        "certs": {},
        "site_name": one.site,
    }


@table.add("GET", "/v1/configs/{oid}/{name}")
def value(call: Call) -> object:
    """One setting; "" when it is not set."""
    one = call.organization("org.conf.get")
    name = call.params["name"]
    values = call.world.configuration.values(one)
    if name not in _INTEGRATIONS and name not in values:
        raise not_found()
    return {"config": name, "value": values.get(name, "")}


@table.add("POST", "/v1/configs/{oid}/{name}")
def set_value(call: Call) -> object:
    """Change a setting; an empty value takes it away."""
    one = call.organization("org.conf.set")
    name, wanted = call.params["name"], call.either("value")
    if name not in _INTEGRATIONS and name not in call.world.configuration.values(one):
        raise not_found()
    if wanted is None:
        raise Refusal(400, "missing parameter value")
    call.world.configuration.set_value(one, name, wanted)
    # The value may be a credential of another service: it does not belong into the log.
    call.record(
        one,
        "config_change",
        f"organization value {name} {'set' if wanted else 'removed'}",
        entity={"type": "org_value", "name": name},
    )
    return {"config": name, "value": wanted}


@table.add("GET", "/v1/usage/{oid}")
def usage(call: Call) -> object:
    """Daily figures of about 90 days."""
    one = call.organization("org.get")
    return {"from_cache": False, "usage": activity.usage(call.world.seed, one, call.world.now)}


@table.add("GET", "/v1/errors/{oid}")
def errors(call: Call) -> object:
    """Standing errors."""
    return {"errors": call.world.errors(call.organization("audit.get"))}


@table.add("DELETE", "/v1/errors/{oid}/{component}")
def dismiss(call: Call) -> object:
    """Take a standing error away; nothing happens when it is gone already."""
    one = call.organization("org.conf.set")
    component = call.params["component"]
    if any(error["component"] == component for error in call.world.errors(one)):
        call.world.dismiss(one, component)
        call.record(one, "config_change", "error dismissed", entity={"type": "component", "name": component})
    return {}


@table.add("GET", "/v1/runtime_mtd/{oid}")
def runtime_metadata(call: Call) -> object:
    """What the running parts of the organization last said, by type and name: here, their errors."""
    one = call.organization("org.get")
    kind, name = call.asked("entity_type"), call.asked("entity_name")
    answer: dict[str, dict[str, Any]] = {}
    for error in call.world.errors(one):
        its_kind, _, its_name = error["component"].partition("/")
        if kind in ("", its_kind) and name in ("", its_name):
            answer.setdefault(its_kind, {})[its_name] = {
                "last_error": error["error"],
                "last_error_ts": error["ts"],
            }
    return answer


@table.add("GET", "/v1/quota_usage/{oid}")
def quota_usage(call: Call) -> object:
    """Weighted sensors against the quota."""
    return call.world.quota(call.organization("sensor.list"))


@table.add("GET", "/v1/online/{oid}")
def online(call: Call) -> object:
    """How many sensors are online."""
    return {"count": call.world.online(call.organization("sensor.list"))}


@table.add("POST", "/v1/online/{oid}")
def which_online(call: Call) -> object:
    """Which of the named sensors are online."""
    one = call.organization("sensor.list")
    answer = {}
    for sid in call.form.get("sids", []):
        found = call.world.sensor_by_sid(sid)
        answer[sid] = found is not None and found[0] is one and not found[1].silent
    return answer


@table.add("GET", "/v1/mitre/{oid}")
def mitre(call: Call) -> object:
    """ATT&CK coverage by the rules that are there and enabled."""
    one = call.organization("dr.list")
    rules = [
        record
        for hive in ("dr-general", "dr-managed", "dr-service")
        for record in call.world.records(one, hive).values()
    ]
    return activity.mitre(one, activity.techniques(rules))


def _event_types(world: World, one: Organization, platform: str = "") -> list[str]:
    if one.blank:
        return []
    kinds = layout(one)
    seen = _seen_since(world, one)
    wanted = PLATFORM_NAMES.get(platform.lower())
    return sorted(
        {
            f"evt:{rule.event_type}"
            for rule in BASELINE
            if len(kinds.get(rule.platform, ())) and wanted in (None, rule.platform) and rule.key in seen
        }
        | {f"det:{rule.cat}" for rule in BASELINE if wanted in (None, rule.platform) and rule.key in seen}
    )


def _seen_since(world: World, one: Organization) -> set[str]:
    """The rules whose events were seen since the schemas were reset; all of them when they never were."""
    since = world.schemas_since(one)
    if since is None:
        return {rule.key for rule in BASELINE}
    world.detections.advance(world.clock())
    numbers = range(world.detections.first_at(one.index, since), world.detections.count(one.index))
    found = world.detections
    return {found.rule(one.index, number).key for number in numbers if not found.fired(one.index, number)}


@table.add("DELETE", "/v1/orgs/{oid}/schema")
def reset_schemas(call: Call) -> object:
    """Forget the event types; they come back as they are seen again."""
    one = call.organization("org.conf.set")
    call.world.reset_schemas(one)
    call.record(one, "config_change", "event schemas reset", entity={"type": "org", "name": one.oid})
    return {"success": True}


@table.add("GET", "/v1/orgs/{oid}/schema")
def schemas(call: Call) -> object:
    """The event types the organization has seen."""
    return {"event_types": _event_types(call.world, call.organization("org.get"), call.asked("platform"))}


@table.add("GET", "/v1/orgs/{oid}/schema/{name}")
def schema(call: Call) -> object:
    """The fields of one event type."""
    one = call.organization("org.get")
    name = call.params["name"]
    name = name if ":" in name else f"evt:{name}"
    if name not in _event_types(call.world, one):
        raise not_found()
    elements = {"s:routing/hostname", "s:routing/sid", "i:routing/event_time", "s:routing/event_type"}
    for rule in BASELINE:
        if name in (f"evt:{rule.event_type}", f"det:{rule.cat}"):
            elements |= {f"s:{path}" for path in _paths(rule.node)}
    return {"schema": {"event_type": name, "elements": sorted(elements)}}


def _paths(node: dict[str, Any]) -> set[str]:
    found = {node["path"]} if "path" in node else set()
    for below in node.get("rules", ()):
        found |= _paths(below)
    return found


@table.add("GET", "/v1/ontology", open=True)
def ontology(call: Call) -> object:
    """Platform codes."""
    return {"platforms": PLATFORM_NAMES}


@table.add("GET", "/v1/events", open=True)
def event_types(call: Call) -> object:
    """The event types there are, with the platforms that send them."""
    codes = {code: name for name, code in PLATFORM_NAMES.items()}
    found: dict[str, dict[str, Any]] = {}
    for rule in BASELINE:
        platforms = found.setdefault(rule.event_type, {"platforms": []})["platforms"]
        if codes[rule.platform] not in platforms:
            platforms.append(codes[rule.platform])
    return {"events": found}
