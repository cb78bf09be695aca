"""Outputs, installation keys, extensions, resources, services, and the whole as one document."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import Stage

OUTPUTS, KEYS = "GET /v1/outputs/{oid}", "GET /v1/installationkeys/{oid}"
REQUEST, SERVICE = "POST /v1/extension/request/{name}", "POST /v1/service/{oid}/{service}"


@probe({KEYS: "* *.* *.*.desc *.*.tags *.*.key *.*.iid"})
def installation_keys_are_listed_by_iid(it: Stage) -> None:
    assert it.json("installation-key", "list") == it.world.configuration.installation_keys(it.one)


@probe({"GET /v1/installationkeys/{oid}/{iid}": "desc key json_key tags iid"})
def one_installation_key_is_got(it: Stage) -> None:
    for iid, key in it.world.configuration.installation_keys(it.one).items():
        assert it.json("installation-key", "get", "--iid", iid) == key


@probe({OUTPUTS: "* *.* *.*.for *.*.module *.*.name"})
def outputs_are_listed_with_the_stream_as_for(it: Stage) -> None:
    said = it.json("output", "list")
    assert said == it.world.configuration.outputs(it.one)
    assert said["customer-syslog"]["for"] == "event"
    assert said["soc-slack"]["slack_api_token"].startswith("xoxb-")


@probe({"GET /v1/orgs/{oid}/subscriptions": "*"})
def extensions_are_listed(it: Stage) -> None:
    assert set(it.json("extension", "list")) == set(it.world.configuration.extensions(it.one))


@probe({"GET /v1/extension/definition": "* *.name"})
def extensions_that_could_be_had_are_an_array(it: Stage) -> None:
    available = it.json("extension", "list-available")
    assert isinstance(available, list)
    assert set(it.world.configuration.extensions(it.one)) < {row["name"] for row in available}


@probe({"GET /v1/orgs/{oid}/resources": "resources resources.*"})
def resources_are_listed_by_category(it: Stage) -> None:
    said = it.sdk("org.get_subscriptions()")
    assert said == it.world.configuration.resources(it.one)
    assert said


@probe({SERVICE: "* *.patterns *.filters list watch watch.*.operator watch.*.event"})
def older_services_list_their_rules(it: Stage) -> None:
    services = it.world.configuration.services(it.one)
    assert it.json("logging", "list") == services["logging"]
    assert it.json("integrity", "list") == services["integrity"]
    assert it.json("exfil", "list") == services["exfil"]


def pulled(it: Stage, oid: str = "") -> Any:
    """What `sync pull --all` wrote."""
    file = it.file("")
    it.text("sync", "pull", "--config-file", file, "--all", **({"LC_OID": oid} if oid else {}))
    return yaml.safe_load(re.sub(r"^%YAML.*\n", "", Path(file).read_text()))


@probe(
    {
        REQUEST: "data data.org data.org.version data.org.extensions data.org.resources data.org.org-value "
        "data.org.outputs data.org.hives data.org.hives.dr-general data.org.hives.*.*.data "
        "data.org.installation_keys data.org.artifact data.org.integrity data.org.exfil"
    }
)
def everything_is_pulled_as_one_document(it: Stage) -> None:
    said = pulled(it)
    world, one = it.world, it.one
    assert said["version"] == 3
    assert said["extensions"] == list(world.configuration.extensions(one))
    assert said["resources"] == world.configuration.resources(one)
    assert said["org-value"] == world.configuration.values(one)
    assert set(said["outputs"]) == set(world.configuration.outputs(one))
    # The client's --all does not ask for these two.
    expected = {hive for hive in world.all_records(one) if hive not in ("sop", "org_notes")}
    assert len(expected) >= 9
    assert set(said["hives"]) == expected
    for hive in expected:
        assert set(said["hives"][hive]) == set(world.records(one, hive))
    for key, record in world.records(one, "dr-general").items():
        assert said["hives"]["dr-general"][key]["data"] == record["data"]
    assert set(said["installation_keys"]) == {"workstations", "servers", "adapters"}
    assert said["artifact"]["linux-auth"]["days_retention"] == 30
    assert said["integrity"]["linux-keys"]["platforms"] == ["linux"]
    assert said["exfil"]["watch"]["wininet-on-servers"]["operator"] == "ends with"
