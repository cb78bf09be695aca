"""Outputs, installation keys, extensions, resources, services, and the whole as one document."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
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


ADD_OUTPUT, DROP_OUTPUT = "POST /v1/outputs/{oid}", "DELETE /v1/outputs/{oid}"


@probe(
    {
        ADD_OUTPUT: "(the effect) name",
        OUTPUTS: "*.*.for *.*.is_tls *.*.dest_host *.*.module",
        DROP_OUTPUT: "(the effect)",
    }
)
def an_output_is_made_and_deleted(it: Stage) -> None:
    oid, name = it.spare(20).oid, it.name("siem")
    options = it.file({"dest_host": "log.example:6514", "is_tls": True, "sec_per_file": 60})
    made = it.json(
        "output",
        "create",
        "--name",
        name,
        "--module",
        "syslog",
        "--type",
        "detect",
        "--input-file",
        options,
        LC_OID=oid,
    )
    assert made["name"] == name
    row = it.json("output", "list", LC_OID=oid)[name]
    assert (row["module"], row["for"], row["dest_host"]) == ("syslog", "detect", "log.example:6514")
    assert row["is_tls"] == "true"
    assert row["sec_per_file"] == "60"
    assert "type" not in row
    it.text("output", "delete", "--name", name, "--confirm", LC_OID=oid)
    assert name not in it.json("output", "list", LC_OID=oid)


@probe({ADD_OUTPUT: "error"})
def an_output_of_no_known_module_is_refused(it: Stage) -> None:
    oid = it.spare(20).oid
    said = it.run(
        "output", "create", "--name", it.name("x"), "--module", "pigeon", "--type", "detect", LC_OID=oid
    )
    assert said.code == 1
    assert "pigeon" in said.everything or "module" in said.everything


@probe(
    {
        f"POST {KEYS[4:]}": "iid (the effect)",
        KEYS: "*.*.desc *.*.tags *.*.key",
        f"DELETE {KEYS[4:]}": "(the effect)",
    }
)
def an_installation_key_is_made_and_deleted(it: Stage) -> None:
    oid, description = it.spare(21).oid, it.name("servers")
    iid = it.json("installation-key", "create", "--description", description, "--tags", "a,b", LC_OID=oid)[
        "iid"
    ]
    row = it.json("installation-key", "list", LC_OID=oid)[iid]
    assert (row["desc"], row["tags"]) == (description, "a,b")
    assert row["key"]
    it.text("installation-key", "delete", "--iid", iid, "--confirm", LC_OID=oid)
    assert iid not in it.json("installation-key", "list", LC_OID=oid)
    assert it.run("installation-key", "get", "--iid", iid, LC_OID=oid).code


SUBSCRIPTION, SUBSCRIBED = "/v1/orgs/{oid}/subscription/extension/{name}", "GET /v1/orgs/{oid}/subscriptions"


@probe({f"POST {SUBSCRIPTION}": "(the effect)", f"DELETE {SUBSCRIPTION}": "(the effect)", SUBSCRIBED: "*"})
def an_extension_is_subscribed_to_and_left(it: Stage) -> None:
    with it.organization() as oid:
        assert "ext-exfil" not in it.json("extension", "list", LC_OID=oid)
        it.text("extension", "subscribe", "--name", "ext-exfil", LC_OID=oid)
        assert "ext-exfil" in it.json("extension", "list", LC_OID=oid)
        it.text("extension", "unsubscribe", "--name", "ext-exfil", LC_OID=oid)
        assert "ext-exfil" not in it.json("extension", "list", LC_OID=oid)


@probe({f"POST {SUBSCRIPTION}": "error"})
def an_extension_that_is_not_there_cannot_be_had(it: Stage) -> None:
    said = it.run("extension", "subscribe", "--name", "ext-no-such-thing", LC_OID=it.spare(22).oid)
    assert said.code in (1, 3)
    assert "error" in said.everything


@probe({"GET /v1/extension/schema/{name}": "config_schema request_schema"})
def an_extension_tells_its_schema(it: Stage) -> None:
    said = it.json("extension", "schema", "--name", "ext-cases")
    assert isinstance(said["config_schema"], dict)
    assert isinstance(said["request_schema"], dict)


@probe({"GET /v1/extension/definition/{name}": "name"})
def one_extension_is_described(it: Stage) -> None:
    assert it.sdk("Extensions(org).get('ext-cases')")["name"] == "ext-cases"


RESOURCES = "/v1/orgs/{oid}/resources"


@probe(
    {
        f"POST {RESOURCES}": "(the effect)",
        f"DELETE {RESOURCES}": "(the effect)",
        f"GET {RESOURCES}": "resources",
    }
)
def a_resource_is_subscribed_to_and_left(it: Stage) -> None:
    with it.organization() as oid:
        it.sdk("org.subscribe_to_extension('api/ip-geo')", oid)
        assert it.sdk("org.get_subscriptions()", oid)["api"] == ["ip-geo"]
        it.sdk("org.unsubscribe_from_extension('api/ip-geo')", oid)
        assert "ip-geo" not in it.sdk("org.get_subscriptions()", oid).get("api", [])


@probe({SERVICE: "(the effect) *.patterns"})
def an_integrity_rule_is_made_and_deleted(it: Stage) -> None:
    oid, name = it.spare(23).oid, it.name("watch")
    it.text("integrity", "create", "--name", name, "--patterns", "/etc/passwd,/etc/shadow", LC_OID=oid)
    said = it.json("integrity", "get", "--name", name, LC_OID=oid)
    assert said["patterns"] == ["/etc/passwd", "/etc/shadow"]
    it.text("integrity", "delete", "--name", name, "--confirm", LC_OID=oid)
    assert name not in it.json("integrity", "list", LC_OID=oid)


@probe({SERVICE: "(the effect) *.patterns *.days_retention"})
def a_logging_rule_is_made_and_deleted(it: Stage) -> None:
    oid, name = it.spare(23).oid, it.name("log")
    it.sdk("LoggingRules(org).create(name, ['/var/log/x'], retention_days=7)", oid, name=name)
    row = it.json("logging", "get", "--name", name, LC_OID=oid)
    assert row["patterns"] == ["/var/log/x"]
    assert str(row["days_retention"]) == "7"
    it.text("logging", "delete", "--name", name, "--confirm", LC_OID=oid)
    assert name not in it.json("logging", "list", LC_OID=oid)


@probe({SERVICE: "(the effect) *.by *.updated"})
def a_rule_says_who_set_it_whatever_becomes_of_others(it: Stage) -> None:
    oid, name = it.spare(25).oid, it.name("log")
    before = it.json("logging", "list", LC_OID=oid)
    it.sdk("LoggingRules(org).create(name, ['/var/log/x'])", oid, name=name)
    after = it.json("logging", "list", LC_OID=oid)
    made = after.pop(name)
    assert after == before
    assert made["by"] not in ("", *(rule["by"] for rule in before.values()))
    assert made["updated"] > max(rule["updated"] for rule in before.values())
    it.text("logging", "delete", "--name", name, "--confirm", LC_OID=oid)
    assert it.json("logging", "list", LC_OID=oid) == before


@probe({SERVICE: "(the effect) list watch list.*.events watch.*.value watch.*.path"})
def exfil_rules_are_made_and_deleted(it: Stage) -> None:
    oid, name = it.spare(23).oid, it.name("exfil")
    it.text("exfil", "create-event", "--name", name, "--events", "NEW_PROCESS,DNS_REQUEST", LC_OID=oid)
    arguments = (
        "--event",
        "MODULE_LOAD",
        "--operator",
        "ends with",
        "--value",
        "x.dll",
        "--path",
        "FILE_PATH",
    )
    it.text("exfil", "create-watch", "--name", name, *arguments, LC_OID=oid)
    said = it.json("exfil", "list", LC_OID=oid)
    assert said["list"][name]["events"] == ["NEW_PROCESS", "DNS_REQUEST"]
    assert (said["watch"][name]["value"], said["watch"][name]["path"]) == ("x.dll", ["FILE_PATH"])
    for kind in ("event", "watch"):
        it.text("exfil", "delete", "--name", name, "--type", kind, "--confirm", LC_OID=oid)
    said = it.json("exfil", "list", LC_OID=oid)
    assert name not in said["list"]
    assert name not in said["watch"]


@probe({SERVICE: "(the effect) content *.sources"})
def yara_sources_and_rules_are_made_and_deleted(it: Stage) -> None:
    oid, name = it.spare(24).oid, it.name("yara")
    rule = "rule a { condition: true }"
    it.text("yara", "source-add", "--name", name, "--source-file", it.file(rule), LC_OID=oid)
    assert it.sdk("Yara(org).get_source(name)", oid, name=name)["content"] == rule
    it.sdk("Yara(org).add_rule(name, [name], platforms=['linux'])", oid, name=name)
    said = it.sdk("Yara(org).list_rules()", oid)
    assert said[name]["sources"] == [name]
    it.text("yara", "rule-delete", "--name", name, LC_OID=oid)
    it.text("yara", "source-delete", "--name", name, LC_OID=oid)
    assert name not in it.sdk("Yara(org).list_rules()", oid)
    assert name not in it.text("yara", "sources-list", LC_OID=oid)


@probe({"GET /v1/service/{oid}": "replicants"})
def older_services_are_listed(it: Stage) -> None:
    said = it.sdk("org.get_available_services()")
    assert {"logging", "integrity", "exfil"} <= set(said)


@probe({SUBSCRIBED: "*", REQUEST: "error"})
def an_extension_without_a_subscription_refuses_requests(it: Stage) -> None:
    with it.organization() as oid:
        said = it.run(
            "extension",
            "request",
            "--name",
            "ext-infrastructure",
            "--action",
            "fetch",
            "--data",
            "{}",
            LC_OID=oid,
        )
        assert said.code
        assert "ext-infrastructure" not in it.json("extension", "list", LC_OID=oid)
        assert "subscri" in said.everything or "not registered" in said.everything
        it.text("extension", "subscribe", "--name", "ext-infrastructure", LC_OID=oid)
        assert "ext-infrastructure" in it.json("extension", "list", LC_OID=oid)


RULE = {
    "detect": {"event": "NEW_PROCESS", "op": "exists", "path": "event/FILE_PATH"},
    "respond": [{"action": "report", "name": "probe"}],
}


@contextmanager
def with_infrastructure(it: Stage) -> Iterator[str]:
    """An organization of a probe's own that can be synced."""
    with it.organization() as oid:
        it.text("extension", "subscribe", "--name", "ext-infrastructure", LC_OID=oid)
        yield oid


def changes(text: str) -> set[tuple[str, str]]:
    """What `sync push` says that it does: + - or =, and the name."""
    return set(re.findall(r"^ +([-+=]) [^:]+: (.+)$", text, re.M))


def document(**sections: Any) -> str:
    """A configuration as a file holds it."""
    text: str = yaml.safe_dump({"version": 3, **sections})
    return text


@probe({REQUEST: "data data.ops data.ops.*.type data.ops.*.name data.ops.*.is_added"})
def a_dry_run_says_what_it_would_do_and_does_nothing(it: Stage) -> None:
    with with_infrastructure(it) as oid:
        file = it.file(
            document(hives={"dr-general": {"a-rule": {"data": RULE, "usr_mtd": {"enabled": True}}}})
        )
        said = it.text("sync", "push", "--config-file", file, "--hive-dr-general", "--dry-run", LC_OID=oid)
        assert changes(said) == {("+", "dr-general/a-rule")}
        assert it.json("dr", "list", LC_OID=oid) == {}


@probe({REQUEST: "(the effect) data.ops"})
def a_push_adds_and_changes_and_a_second_one_finds_nothing_to_do(it: Stage) -> None:
    with with_infrastructure(it) as oid:
        sections = {
            "hives": {
                "dr-general": {"a-rule": {"data": RULE, "usr_mtd": {"enabled": True, "tags": ["t"]}}},
                "secret": {"s": {"data": {"secret": "x"}, "usr_mtd": {"enabled": True}}},
            },
            "outputs": {"siem": {"module": "syslog", "for": "detect", "dest_host": "log.example:514"}},
            "installation_keys": {"servers": {"desc": "servers", "tags": ["a"], "use_public_root_ca": False}},
            "org-value": {"otx": "AAAA"},
            "resources": {"api": ["ip-geo"]},
        }
        file = it.file(document(**sections))
        arguments = ("sync", "push", "--config-file", file, "--hive-dr-general", "--hive-secret", "--outputs")
        arguments += ("--installation-keys", "--org-values", "--resources")
        first = it.text(*arguments, LC_OID=oid)
        assert {("+", "dr-general/a-rule"), ("+", "siem")} <= changes(first)
        assert it.json("dr", "get", "--key", "a-rule", LC_OID=oid)["usr_mtd"]["tags"] == ["t"]
        assert it.json("output", "list", LC_OID=oid)["siem"]["for"] == "detect"
        assert [row["desc"] for row in it.json("installation-key", "list", LC_OID=oid).values()] == [
            "servers"
        ]
        assert it.sdk("org.get_config('otx')", oid) == "AAAA"
        assert it.sdk("org.get_subscriptions()", oid)["api"] == ["ip-geo"]
        second = it.text(*arguments, LC_OID=oid)
        assert {sign for sign, _ in changes(second)} == {"="}


@probe({REQUEST: "(the effect) data.ops.*.is_removed"})
def force_removes_what_the_document_lacks_and_only_where_asked(it: Stage) -> None:
    with with_infrastructure(it) as oid:
        it.json("dr", "set", "--key", "stays-not", "--input-file", it.file(RULE), LC_OID=oid)
        it.json(
            "fp",
            "set",
            "--key",
            "stays",
            "--input-file",
            it.file({"op": "is", "path": "cat", "value": "x"}),
            LC_OID=oid,
        )
        file = it.file(document(hives={"dr-general": {"a-rule": {"data": RULE}}}))
        arguments = ("sync", "push", "--config-file", file, "--hive-dr-general")
        it.text(*arguments, LC_OID=oid)
        assert set(it.json("dr", "list", LC_OID=oid)) == {"a-rule", "stays-not"}
        said = it.text(*arguments, "--force", LC_OID=oid)
        assert changes(said) == {("=", "dr-general/a-rule"), ("-", "dr-general/stays-not")}
        assert set(it.json("dr", "list", LC_OID=oid)) == {"a-rule"}
        assert set(it.json("fp", "list", LC_OID=oid)) == {"stays"}


@probe({REQUEST: "(the effect) data.ops", SUBSCRIBED: "*"})
def force_with_extensions_unsubscribes_what_the_document_lacks(it: Stage) -> None:
    with with_infrastructure(it) as oid:
        it.text("extension", "subscribe", "--name", "ext-exfil", LC_OID=oid)
        file = it.file(document(extensions=["ext-infrastructure", "ext-integrity"]))
        arguments = ("sync", "push", "--config-file", file, "--extensions", "--force")
        said = it.text(*arguments, "--dry-run", LC_OID=oid)
        assert ("-", "ext-exfil") in changes(said)
        assert "ext-exfil" in it.json("extension", "list", LC_OID=oid)
        it.text(*arguments, LC_OID=oid)
        assert set(it.json("extension", "list", LC_OID=oid)) == {"ext-infrastructure", "ext-integrity"}


@probe({REQUEST: "(the effect) data.org data.org.hives.*.*.usr_mtd"})
def what_is_pulled_from_one_organization_is_pushed_to_another(it: Stage) -> None:
    source = it.spare(25)
    said = pulled(it, source.oid)
    assert said["hives"]["dr-general"]
    with with_infrastructure(it) as oid:
        file = it.file(document(hives={"dr-general": said["hives"]["dr-general"]}))
        it.text("sync", "push", "--config-file", file, "--hive-dr-general", LC_OID=oid)
        copied = it.json("dr", "list", LC_OID=oid)
        original = it.world.records(source, "dr-general")
        assert set(copied) == set(original)
        for key, record in original.items():
            assert copied[key]["data"] == record["data"]
            assert copied[key]["usr_mtd"]["enabled"] is record["usr_mtd"]["enabled"]


@probe({REQUEST: "data.errors"})
def a_push_of_a_broken_rule_reports_it_and_ends_with_the_number_of_errors(it: Stage) -> None:
    with with_infrastructure(it) as oid:
        file = it.file(
            document(hives={"dr-general": {"broken": {"data": {"detect": {}}}, "fine": {"data": RULE}}})
        )
        said = it.run("sync", "push", "--config-file", file, "--hive-dr-general", LC_OID=oid)
        assert said.code == 1
        assert "broken" in said.everything
        assert set(it.json("dr", "list", LC_OID=oid)) == {"fine"}
