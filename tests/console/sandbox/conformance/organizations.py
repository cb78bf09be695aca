"""Organizations: listed, described, counted, billed."""

import datetime

from console.sandbox.rules import BASELINE
from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import Stage

LISTED, INFO, URLS = "GET /v1/user/orgs", "GET /v1/orgs/{oid}", "GET /v1/orgs/{oid}/url"


@probe({LISTED: "orgs orgs.*.oid orgs.*.name"})
def organizations_are_listed_over_two_pages(it: Stage) -> None:
    everything = {(one.oid, one.name) for one in it.world.organizations}
    listed = it.json("org", "list")
    assert {(row["oid"], row["name"]) for row in listed} >= everything
    assert it.json("auth", "list-orgs") == listed
    assert it.json("org", "list", "--limit", "2", "--offset", "1") == listed[1:3]


@probe({LISTED: "orgs.*.name orgs.*.oid"})
def organizations_are_filtered_by_a_part_of_their_name(it: Stage) -> None:
    said = it.sdk("org.list_accessible_orgs(filter_text=text)", text=it.one.name[2:].upper())
    assert said["names"][it.one.oid] == it.one.name
    assert all(it.one.name[2:].lower() in name.lower() for name in said["names"].values())
    assert set(said["orgs"]) == set(said["names"])


@probe({LISTED: "total orgs.*.permissions"})
def a_page_of_organizations_tells_how_many_there_are(it: Stage) -> None:
    said = it.sdk("client.request('GET', 'user/orgs', query_params={'limit': '7', 'offset': '3'})")
    assert len(said["orgs"]) == 7
    assert said["total"] >= len(it.world.organizations)
    assert all("org.get" in row["permissions"] for row in said["orgs"])


@probe({INFO: "oid name n_outputs n_installation_keys sensor_quota"})
def an_organization_is_described(it: Stage) -> None:
    said = it.json("org", "info")
    assert (said["oid"], said["name"]) == (it.one.oid, it.one.name)
    assert said["n_outputs"] == len(it.world.configuration.outputs(it.one))
    assert said["n_installation_keys"] == len(it.world.configuration.installation_keys(it.one))
    assert said["sensor_quota"] == it.one.quota


@probe({INFO: "latest_versions n_rules sensor_version"})
def an_organization_tells_its_versions_and_its_rules(it: Stage) -> None:
    said = it.sdk("org.get_info()")
    rules = sum(len(it.world.records(it.one, hive)) for hive in ("dr-general", "dr-managed"))
    assert said["n_rules"] in (rules, len(it.world.records(it.one, "dr-general")))
    assert said["sensor_version"] in said["latest_versions"].values()


@probe({URLS: "url url.cases url.replay url.region_code url.search"})
def urls_lead_back_here_and_need_no_token(it: Stage) -> None:
    before = it.sandbox.endpoints().get("POST /", 0)
    said = it.sdk("org.get_urls()")
    assert it.sandbox.endpoints().get("POST /", 0) == before
    assert said == it.json("org", "urls")
    assert said["cases"] == it.sandbox.url
    assert said["search"] == it.sandbox.url
    assert f"http://{said['replay']}" == it.sandbox.url
    assert said["region_code"] == it.one.site


@probe({"GET /v1/errors/{oid}": "errors errors.*.component errors.*.error errors.*.oid"})
def errors_name_the_failing_output(it: Stage) -> None:
    said = {row["component"]: row for row in it.json("org", "errors")}
    assert f"log.{it.one.domain}" in said["outputs/customer-syslog"]["error"]
    assert said["outputs/customer-syslog"]["oid"] == it.one.oid


@probe({"GET /v1/usage/{oid}": "usage usage.* usage.*.sensor_retained"})
def usage_covers_ninety_days(it: Stage) -> None:
    said = it.json("org", "stats")["usage"]
    assert len(said) == min(90, (it.world.now - it.one.created) // 86_400)
    assert all(day["sensor_retained"] == it.one.sensors for day in said.values())
    assert max(said) == "2026-11-19"


@probe({"GET /v1/quota_usage/{oid}": "usage quota breakdown breakdown.*.count breakdown.*.quota"})
def quota_usage_adds_up_and_one_organization_is_over(it: Stage) -> None:
    said = it.json("org", "quota-usage")
    assert said["usage"] == round(sum(part["quota"] for part in said["breakdown"].values()))
    assert sum(part["count"] for part in said["breakdown"].values()) == it.one.sensors
    assert said["usage"] < said["quota"]
    over = it.json("org", "quota-usage", LC_OID=it.world.over_quota.oid)
    assert over["usage"] > over["quota"] > 0


@probe({"GET /v1/mitre/{oid}": "techniques techniques.*.techniqueID"})
def coverage_is_that_of_the_enabled_rules(it: Stage) -> None:
    said = {row["techniqueID"] for row in it.json("org", "mitre")["techniques"]}
    records = {**it.world.records(it.one, "dr-general"), **it.world.records(it.one, "dr-managed")}
    expected = {
        tag.removeprefix("attack.").upper()
        for rule in BASELINE
        if rule.key in records and records[rule.key]["usr_mtd"]["enabled"]
        for tag in rule.tags
        if tag.startswith("attack.t")
    }
    assert len(expected) > 15
    assert said == expected


@probe({"GET /v1/configs/{oid}/{name}": "value"})
def an_organization_value_is_read(it: Stage) -> None:
    values = it.world.configuration.values(it.one)
    assert values
    for name, value in values.items():
        assert it.sdk("org.get_config(name)", name=name) == value


@probe({"GET /v1/orgs/new": "is_available"})
def a_name_that_is_taken_is_not_available(it: Stage) -> None:
    assert it.json("org", "check-name", "--name", it.one.name)["is_available"] is False
    assert it.json("org", "check-name", "--name", it.name("Nobody"))["is_available"] is True


@probe({"GET /v1/orgs/{oid}/schema": "event_types"})
def the_events_that_have_a_schema_are_listed(it: Stage) -> None:
    said = it.json("schema", "list")
    listed = said["event_types"] if isinstance(said, dict) else said
    assert "evt:NEW_PROCESS" in listed
    assert it.sdk("org.get_schemas()")["event_types"] == listed


@probe({"GET /v1/orgs/{oid}/schema/{name}": "schema schema.elements schema.event_type"})
def one_schema_names_the_elements_of_an_event(it: Stage) -> None:
    said = it.json("schema", "get", "--name", "NEW_PROCESS")
    assert said["schema"]["event_type"] == "evt:NEW_PROCESS"
    assert any("event/FILE_PATH" in element for element in said["schema"]["elements"])


@probe({"GET /v1/ontology": "platforms"})
def the_ontology_names_the_platforms(it: Stage) -> None:
    assert it.sdk("org.get_ontology()")["platforms"]


@probe({"GET /v1/orgs/{oid}/billing/status": "is_past_due"})
def nothing_is_past_due(it: Stage) -> None:
    assert it.json("billing", "status") == {"is_past_due": False}


@probe(
    {
        "GET /v1/orgs/{oid}/billing/details": "customer customer.name status.is_past_due "
        "upcoming_invoice.lines.data.* upcoming_invoice.lines.data.*.amount"
    }
)
def the_next_invoice_is_told(it: Stage) -> None:
    details = it.json("billing", "details")
    assert details["customer"]["name"] == it.one.name
    assert details["status"]["is_past_due"] is False
    assert details["upcoming_invoice"]["lines"]["data"][0]["amount"] == it.one.sensors * 250


@probe({"GET /v1/usage/{oid}": "usage.*.sensor_events"})
def usage_is_told_by_day(it: Stage) -> None:
    said = it.sdk("org.get_stats()")["usage"]
    for day, counts in said.items():
        assert datetime.date.fromisoformat(day)
        assert counts["sensor_events"] >= 0


@probe({"POST /v1/orgs/new": "data data.oid (the effect)", INFO: "name oid"})
def an_organization_is_created_and_holds_nothing(it: Stage) -> None:
    name = it.name("Created")
    oid = it.json("org", "create", "--name", name, "--location", "europe")["data"]["oid"]
    said = it.json("org", "info", LC_OID=oid)
    assert (said["oid"], said["name"]) == (oid, name)
    assert said["n_outputs"] == said["n_installation_keys"] == said["n_rules"] == 0
    assert it.json("sensor", "list", LC_OID=oid) == []
    assert it.json("dr", "list", LC_OID=oid) == {}
    assert it.json("org", "check-name", "--name", name)["is_available"] is False
    assert it.json("user", "list", LC_OID=oid) == [it.world.access.root]


@probe({"GET /v1/orgs/{oid}/delete": "confirmation", "DELETE /v1/orgs/{oid}/delete": "(the effect)"})
def an_organization_is_deleted_with_its_confirmation_only(it: Stage) -> None:
    name = it.name("Deleted")
    oid = it.json("org", "create", "--name", name)["data"]["oid"]
    confirmation = it.json("org", "delete", LC_OID=oid)["confirmation"]
    assert it.run("org", "delete", "--confirm-token", confirmation[::-1], LC_OID=oid).code
    assert it.json("org", "info", LC_OID=oid)["name"] == name
    it.json("org", "delete", "--confirm-token", confirmation, LC_OID=oid)
    assert oid not in {row["oid"] for row in it.json("org", "list")}
    assert it.run("org", "info", LC_OID=oid).code
    assert it.json("org", "check-name", "--name", name)["is_available"] is True


@probe({"POST /v1/orgs/{oid}/name": "(the effect)", INFO: "name", LISTED: "orgs.*.description orgs.*.name"})
def an_organization_is_renamed_and_described(it: Stage) -> None:
    with it.organization() as oid:
        name = it.name("Renamed")
        it.json("org", "rename", "--name", name, "--description", "what it is", LC_OID=oid)
        assert it.json("org", "info", LC_OID=oid)["name"] == name
        it.json("org", "set-description", "--description", "what it was", LC_OID=oid)
        rows = it.sdk("client.request('GET', 'user/orgs', query_params={'filter': name})", name=name)["orgs"]
        assert [(row["name"], row["description"]) for row in rows] == [(name, "what it was")]


@probe(
    {"POST /v1/orgs/{oid}/quota": "(the effect)", INFO: "sensor_quota", "GET /v1/quota_usage/{oid}": "quota"}
)
def the_quota_is_set(it: Stage) -> None:
    with it.organization() as oid:
        it.json("org", "quota", "--quota", "17", LC_OID=oid)
        assert it.json("org", "info", LC_OID=oid)["sensor_quota"] == 17
        assert it.json("org", "quota-usage", LC_OID=oid)["quota"] == 17
        assert it.json("org", "quota-usage", LC_OID=oid)["usage"] == 0


@probe({"POST /v1/configs/{oid}/{name}": "(the effect)", "GET /v1/configs/{oid}/{name}": "value"})
def an_organization_value_is_set(it: Stage) -> None:
    with it.organization() as oid:
        value = it.name("key")
        it.json("org", "config-set", "--name", "otx", "--value", value, LC_OID=oid)
        assert it.sdk("org.get_config('otx')", oid) == value
        assert value in it.text("org", "config-get", "--name", "otx", LC_OID=oid)


@probe({"DELETE /v1/errors/{oid}/{component}": "(the effect)", "GET /v1/errors/{oid}": "errors.*.component"})
def an_error_is_dismissed(it: Stage) -> None:
    oid = next(
        one.oid
        for one in it.world.organizations
        if one.index > 8 and it.json("org", "errors", LC_OID=one.oid)
    )
    component = it.json("org", "errors", LC_OID=oid)[0]["component"]
    it.json("org", "dismiss-error", "--component", component, LC_OID=oid)
    assert component not in {row["component"] for row in it.json("org", "errors", LC_OID=oid)}


@probe({"GET /v1/orgs/{oid}/billing/sku": "skus skus.*.sku_id skus.*.unit_type"})
def the_units_that_are_billed_are_named(it: Stage) -> None:
    skus = it.sdk("client.request('GET', f'orgs/{org.oid}/billing/sku')")["skus"]
    assert all(isinstance(row["sku_id"], str) and row["unit_type"] for row in skus)
    assert len({row["sku_id"] for row in skus}) == len(skus) > 0


@probe({"GET /v1/orgs/{oid}/billing/invoice/{year}/{month}": "url invoice lines csv"})
def an_invoice_is_had_in_four_forms(it: Stage) -> None:
    assert it.json("billing", "invoice", "--year", "2026", "--month", "10")["url"].startswith("http")
    ask = "Billing(org).get_invoice_url(2026, 10, form)"
    assert it.sdk(ask, form="json")["invoice"]["currency"]
    assert it.sdk(ask, form="simple_json")["lines"]
    assert it.sdk(ask, form="simple_csv")["csv"].count("\n") >= 1


@probe({"GET /v1/plans": "plans plans.*.id plans.*.name"})
def the_plans_are_listed_for_a_person(it: Stage) -> None:
    plans = it.json("billing", "plans")
    rows = plans["plans"] if isinstance(plans, dict) else plans
    assert all(row["id"] and row["name"] for row in rows)
    assert rows
    key = it.world.access.keys(it.one)[0]
    assert it.run("billing", "plans", LC_UID="", LC_API_KEY=key.secret).code == 2


@probe({"GET /v1/events": "*"})
def the_catalogue_of_events_knows_processes(it: Stage) -> None:
    assert "NEW_PROCESS" in str(it.sdk("org.get_event_types()"))


@probe({"POST /v1/modules/{oid}": "(the effect)", INFO: "sensor_version"})
def the_version_of_the_sensors_is_set(it: Stage) -> None:
    with it.organization() as oid:
        it.sdk("org.set_sensor_version(version='4.34.0')", oid)
        assert it.sdk("org.get_info()", oid)["sensor_version"] == "4.34.0"
