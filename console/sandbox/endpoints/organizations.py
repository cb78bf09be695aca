"""Organizations: listing, record, settings, usage, errors, quota, coverage, billing status."""

from collections.abc import Callable
from typing import Any

from console.sandbox import activity
from console.sandbox.calls import Call, Refusal, not_found, table
from console.sandbox.organizations import Organization
from console.sandbox.rules import BASELINE
from console.sandbox.sensors import PLATFORM_NAMES, layout

VERSION = "4.33.20"
_INTEGRATIONS = frozenset(
    (
        "vt", "otx", "domain", "shodan", "pagerduty", "twilio", "socprime", "alphamountain", "pangea",
        "hybrid_analysis", "echotrail", "greynoise", "retention", "sensor_version",
    )
)  # fmt: skip


def _row(call: Call, organization: Organization, ident: str, fields: frozenset[str]) -> dict[str, Any]:
    world = call.world
    wanted: dict[str, Callable[[], Any]] = {
        "oid": lambda: organization.oid,
        "name": lambda: organization.name,
        "code": lambda: organization.slug,
        "description": lambda: organization.description,
        "status": lambda: "active",
        "sensor_online": lambda: world.online(organization),
        "sensor_quota": lambda: _quota(call, organization)["quota"],
        "sensor_version": lambda: VERSION,
        "permissions": lambda: list(world.access.permissions(ident, organization)),
        "errors": lambda: [error["component"] for error in _errors(call, organization)],
        "site_name": lambda: organization.site,
    }
    return {name: make() for name, make in wanted.items() if not fields or name in fields}


@table.add("GET", "/v1/user/orgs")
def user_orgs(call: Call) -> object:
    """The organizations a person sees, in pages."""
    claims = call.user()
    found = call.world.access.organizations_of(claims.ident)
    needle = call.asked("filter").casefold()
    if needle:
        found = [one for one in found if needle in one.name.casefold() or needle in one.oid]
    by = call.asked("sort_by") or "name"
    keys: dict[str, Callable[[Organization], Any]] = {
        "name": lambda one: one.name.casefold(),
        "oid": lambda one: one.oid,
        "sensor_quota": lambda one: one.quota,
        "site_name": lambda one: one.site,
    }
    if by not in keys:
        raise Refusal(400, "bad parameter sort_by")
    found = sorted(found, key=keys[by], reverse=call.asked("sort_order").lower() == "desc")
    offset, limit = max(0, call.number("offset", 0)), call.number("limit", 50)
    fields = frozenset(name for name in call.asked("fields").split(",") if name)
    page = found[offset : offset + max(1, min(limit, 1000))]
    return {"orgs": [_row(call, one, claims.ident, fields) for one in page], "total": len(found)}


@table.add("GET", "/v1/orgs/new")
def name_is_free(call: Call) -> object:
    """Whether an organization could be called so."""
    call.user()
    return {"is_available": all(one.name != call.asked("name") for one in call.world.by_oid.values())}


@table.add("GET", "/v1/orgs/{oid}")
def organization(call: Call) -> object:
    """The organization's record."""
    one = call.organization("org.get")
    configuration = call.world.configuration
    return {
        "oid": one.oid,
        "name": one.name,
        "sensor_version": VERSION,
        "latest_versions": {"stable": VERSION, "experimental": "4.34.0"},
        "n_outputs": len(configuration.outputs(one)),
        "n_installation_keys": len(configuration.installation_keys(one)),
        "n_rules": len(call.world.records(one, "dr-general")) + len(call.world.records(one, "dr-managed")),
        "sensor_quota": _quota(call, one)["quota"],
        "created": one.created,
        "creator": call.world.access.root,
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


@table.add("GET", "/v1/usage/{oid}")
def usage(call: Call) -> object:
    """Daily figures of about 90 days."""
    one = call.organization("org.get")
    return {"from_cache": False, "usage": activity.usage(call.world.seed, one, call.world.now)}


def _errors(call: Call, one: Organization) -> list[dict[str, Any]]:
    return activity.errors(call.world.seed, one, call.world.now, failing=one is call.world.failing)


def _quota(call: Call, one: Organization) -> dict[str, Any]:
    return activity.quota(one, over=one is call.world.over_quota)


@table.add("GET", "/v1/errors/{oid}")
def errors(call: Call) -> object:
    """Standing errors."""
    return {"errors": _errors(call, call.organization("audit.get"))}


@table.add("GET", "/v1/quota_usage/{oid}")
def quota_usage(call: Call) -> object:
    """Weighted sensors against the quota."""
    return _quota(call, call.organization("sensor.list"))


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
    enabled = {
        key
        for hive in ("dr-general", "dr-managed")
        for key, record in call.world.records(one, hive).items()
        if record["usr_mtd"]["enabled"]
    }
    return activity.mitre(one, activity.techniques(enabled))


def _event_types(one: Organization, platform: str = "") -> list[str]:
    kinds = layout(one)
    wanted = PLATFORM_NAMES.get(platform.lower())
    return sorted(
        {
            f"evt:{rule.event_type}"
            for rule in BASELINE
            if len(kinds.get(rule.platform, ())) and wanted in (None, rule.platform)
        }
        | {f"det:{rule.cat}" for rule in BASELINE if wanted in (None, rule.platform)}
    )


@table.add("GET", "/v1/orgs/{oid}/schema")
def schemas(call: Call) -> object:
    """The event types the organization has seen."""
    return {"event_types": _event_types(call.organization("org.get"), call.asked("platform"))}


@table.add("GET", "/v1/orgs/{oid}/schema/{name}")
def schema(call: Call) -> object:
    """The fields of one event type."""
    one = call.organization("org.get")
    name = call.params["name"]
    name = name if ":" in name else f"evt:{name}"
    if name not in _event_types(one):
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


@table.add("GET", "/v1/orgs/{oid}/billing/status")
def billing_status(call: Call) -> object:
    """Whether the organization is behind with paying."""
    return {"is_past_due": call.organization("billing.ctrl").index % 43 == 17}


@table.add("GET", "/v1/orgs/{oid}/billing/details")
def billing_details(call: Call) -> object:
    """The customer, and the invoice to come, in cents (Stripe objects passed through)."""
    one = call.organization("billing.ctrl")
    endpoints = one.sensors * 250
    retention = one.sensors * 40
    period = {"start": call.world.now - 14 * 86_400, "end": call.world.now + 16 * 86_400}
    return {
        "customer": {
            "id": f"cus_{one.oid[:14].replace('-', '')}",
            "object": "customer",
            "name": one.name,
            "email": f"billing@{one.domain}",
            "currency": "usd",
            "delinquent": one.index % 43 == 17,
        },
        "status": {"is_past_due": one.index % 43 == 17},
        "upcoming_invoice": {
            "object": "invoice",
            "currency": "usd",
            "amount_due": endpoints + retention,
            "lines": {
                "object": "list",
                "data": [
                    {
                        "description": f"{one.sensors} x sensor",
                        "amount": endpoints,
                        "currency": "usd",
                        "period": period,
                    },
                    {
                        "description": "Insight retention",
                        "amount": retention,
                        "currency": "usd",
                        "period": period,
                    },
                ],
            },
        },
    }


@table.add("GET", "/api/v1/orgs")
def with_cases(call: Call) -> object:
    """The organizations of the token that have the cases extension (cases host)."""
    return {
        "oids": [
            oid
            for oid in call.token().permissions
            if oid in call.world.by_oid
            and call.world.by_oid[oid] is not call.world.unauthorized
            and call.allows(oid, "investigation.get")
            and "ext-cases" in call.world.configuration.extensions(call.world.by_oid[oid])
        ]
    }
