"""LimaCharlie's own client, the judge of the sandbox: each probe asserts what the seed determines."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from console.sandbox import catalogue
from console.sandbox.rules import BASELINE
from console.sandbox.world import World
from tests.helpers.sandboxes import ROOT, environment, sandbox_process

OFFICIAL = ROOT / ".venv-official" / "bin" / "limacharlie"

pytestmark = [
    pytest.mark.official,
    pytest.mark.skipif(not OFFICIAL.exists(), reason="the official client is not installed: run `make test`"),
]

NOW = "2026-11-20T12:00:00Z"
NOW_MS = 1_795_176_000_000
START, END = str(NOW_MS // 1000 - 40 * 86_400), str(NOW_MS // 1000)
OPTIONS = {"seed": 23, "orgs": 60, "detections": 3000}
FAILING = 1
"""Index of the organization with a failing output; it is the one most probes look at."""


class Probe:
    """The official command line against one sandbox, and the world that the sandbox shows."""

    def __init__(self, stage: dict[str, Any], home: Any) -> None:
        self.stage = stage
        self.world = World(**OPTIONS, now_ms=NOW_MS)
        self.one = self.world.organizations[FAILING]
        self._home = home

    def run(self, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """Its answer, whatever it is."""
        variables = {
            "PATH": os.environ["PATH"],
            "LC_CONFIG_DIR": str(self._home),
            "LC_API_URL": self.stage["url"],
            "LC_JWT_URL": self.stage["url"],
            "LC_CASES_API_ROOT": self.stage["url"],
            "LC_NO_JWT_CACHE": "1",
            "LC_NO_MIGRATION_WARNING": "1",
            "LC_UID": self.stage["uid"],
            "LC_API_KEY": self.stage["api_key"],
            "LC_OID": self.one.oid,
        }
        return subprocess.run(
            [str(OFFICIAL), *arguments],
            env=environment(self._home) | variables | more,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def text(self, *arguments: str, **more: str) -> str:
        """What it prints; it has to succeed."""
        done = self.run(*arguments, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str, **more: str) -> Any:
        """What it answers."""
        return json.loads(self.text(*arguments, "--output", "json", **more))


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    home = tmp_path_factory.mktemp("official")
    options = [word for name, value in OPTIONS.items() for word in (f"--{name}", str(value))]
    with sandbox_process(home / "sandbox", *options, "--now", NOW) as (stage, _):
        yield Probe(stage, home)


def test_a_good_key_authenticates(probe: Probe) -> None:
    assert "Authentication successful" in probe.text("auth", "test")


def test_a_wrong_key_does_not_and_ends_with_2(probe: Probe) -> None:
    for arguments in (("auth", "test"), ("org", "info"), ("sensor", "list")):
        done = probe.run(*arguments, LC_API_KEY="00000000-0000-4000-8000-000000000000")
        assert done.returncode == 2
        assert "unknown api key" in done.stdout + done.stderr


def test_a_key_without_the_permission_is_told_its_name_and_ends_with_2(probe: Probe) -> None:
    connector = next(key for key in probe.world.access.keys(probe.one) if not key.allowed_ip_range)
    done = probe.run("api-key", "list", LC_UID="", LC_API_KEY=connector.secret)
    assert done.returncode == 2
    assert "apikey.ctrl" in done.stdout + done.stderr


def test_an_organization_key_sees_its_organization(probe: Probe) -> None:
    key = probe.stage["org_api_keys"][probe.one.oid]
    assert probe.json("org", "info", LC_UID="", LC_API_KEY=key)["name"] == probe.one.name
    said = probe.json("auth", "whoami", "--show-perms", LC_UID="", LC_API_KEY=key)
    assert said["ident"] == "limegrove-automation[bulk]"
    assert len(said["perms"].split(", ")) == len(catalogue.ALL)


def test_whoami_shows_every_permission(probe: Probe) -> None:
    said = probe.json("auth", "whoami", "--show-perms")
    assert said["ident"] == probe.world.access.root
    assert said["orgs"] == [probe.one.oid]
    assert set(said["perms"].split(", ")) == set(catalogue.ALL)


def test_organizations_are_listed_over_two_pages(probe: Probe) -> None:
    everything = {(one.oid, one.name) for one in probe.world.organizations}
    assert len(everything) == 60
    listed = probe.json("org", "list")
    assert {(row["oid"], row["name"]) for row in listed} == everything
    assert probe.json("auth", "list-orgs") == listed
    assert probe.json("org", "list", "--limit", "2", "--offset", "1") == listed[1:3]


def test_an_organization_is_described(probe: Probe) -> None:
    said = probe.json("org", "info")
    assert (said["oid"], said["name"]) == (probe.one.oid, probe.one.name)
    assert said["n_outputs"] == len(probe.world.configuration.outputs(probe.one))
    assert said["n_installation_keys"] == 3
    assert said["sensor_quota"] == probe.one.quota


def test_urls_lead_back_here_and_need_no_token(probe: Probe) -> None:
    said = probe.json("org", "urls")
    assert said["cases"] == probe.stage["url"]
    assert f"http://{said['replay']}" == probe.stage["url"]
    assert said["region_code"] == probe.one.site


def test_errors_name_the_failing_output(probe: Probe) -> None:
    said = {row["component"]: row for row in probe.json("org", "errors")}
    assert f"log.{probe.one.domain}" in said["outputs/customer-syslog"]["error"]
    assert said["outputs/customer-syslog"]["oid"] == probe.one.oid


def test_usage_covers_ninety_days(probe: Probe) -> None:
    said = probe.json("org", "stats")["usage"]
    assert len(said) == min(90, (probe.world.now - probe.one.created) // 86_400)
    assert all(day["sensor_retained"] == probe.one.sensors for day in said.values())
    assert max(said) == "2026-11-19"


def test_quota_usage_adds_up_and_one_organization_is_over(probe: Probe) -> None:
    said = probe.json("org", "quota-usage")
    assert said["usage"] == round(sum(part["quota"] for part in said["breakdown"].values()))
    assert sum(part["count"] for part in said["breakdown"].values()) == probe.one.sensors
    assert said["usage"] < said["quota"]
    over = probe.json("org", "quota-usage", LC_OID=probe.world.over_quota.oid)
    assert over["usage"] > over["quota"] > 0


def test_coverage_is_that_of_the_enabled_rules(probe: Probe) -> None:
    said = {row["techniqueID"] for row in probe.json("org", "mitre")["techniques"]}
    records = {**probe.world.records(probe.one, "dr-general"), **probe.world.records(probe.one, "dr-managed")}
    expected = {
        tag.removeprefix("attack.").upper()
        for rule in BASELINE
        if rule.key in records and records[rule.key]["usr_mtd"]["enabled"]
        for tag in rule.tags
        if tag.startswith("attack.t")
    }
    assert len(expected) > 15
    assert said == expected


def test_users_and_their_direct_permissions_are_listed(probe: Probe) -> None:
    direct = probe.world.access.direct(probe.one)
    assert len(direct) >= 2
    assert set(probe.json("user", "list")) == set(direct)
    said = probe.json("user", "permissions", "list")
    assert {email: tuple(held) for email, held in said.items()} == direct


def test_groups_are_listed_and_shown_whole(probe: Probe) -> None:
    groups = probe.world.access.groups
    assert len(groups) >= 8
    listed = probe.json("group", "list")
    assert {(row["gid"], row["name"]) for row in listed} == {(group.gid, group.name) for group in groups}
    leaking = next(group for group in groups if group.name == "Active Responders")
    said = probe.json("group", "get", "--id", leaking.gid)["group"]
    assert said["name"] == leaking.name
    assert tuple(said["members"]) == leaking.members
    assert probe.world.access.leaked in said["members"]
    assert not probe.world.access.leaked.endswith("northlight.example")
    assert tuple(said["owners"]) == leaking.owners
    assert tuple(said["perms"]) == leaking.permissions
    organizations = [probe.world.organizations[index] for index in leaking.organizations]
    assert said["orgs"] == [{"org_id": one.oid, "org_name": one.name} for one in organizations]


def test_api_keys_show_everything_but_the_key(probe: Probe) -> None:
    keys = probe.world.access.keys(probe.one)
    assert len(keys) >= 3
    text = probe.text("api-key", "list", "--output", "json")
    said = json.loads(text)
    assert set(said) == {key.key_hash for key in keys}
    for key in keys:
        row = said[key.key_hash]
        assert (row["name"], tuple(row["priv"]), row["by"]) == (key.name, key.permissions, key.by)
        assert row["allowed_ip_range"] == key.allowed_ip_range
        assert row["last_used"] >= key.last_used
        assert key.secret not in text


def test_installation_keys_are_listed_by_iid(probe: Probe) -> None:
    assert probe.json("installation-key", "list") == probe.world.configuration.installation_keys(probe.one)


def test_outputs_are_listed_with_the_stream_as_for(probe: Probe) -> None:
    said = probe.json("output", "list")
    assert said == probe.world.configuration.outputs(probe.one)
    assert said["customer-syslog"]["for"] == "event"
    assert said["soc-slack"]["slack_api_token"].startswith("xoxb-")


def test_sensors_are_listed_over_pages_and_by_selector(probe: Probe) -> None:
    biggest = max(
        probe.world.organizations, key=lambda one: (one is not probe.world.unauthorized, one.sensors)
    )
    said = probe.json("sensor", "list", LC_OID=biggest.oid)
    assert len(said) == biggest.sensors > 100
    sensors = [probe.world.sensor(biggest, number) for number in range(biggest.sensors)]
    assert said == [probe.world.sensor_record(biggest, sensor) for sensor in sensors]
    linux = probe.json("sensor", "list", "--selector", "plat==linux", LC_OID=biggest.oid)
    assert {row["sid"] for row in linux} == {
        sensor.sid for sensor in sensors if sensor.platform == 0x20000000
    }
    assert linux
    online = probe.json("sensor", "list", "--online", LC_OID=biggest.oid)
    assert {row["sid"] for row in online} == {sensor.sid for sensor in sensors if not sensor.silent}
    assert 0 < len(online) < len(said)


def test_sensors_arrive_in_pages_when_a_page_is_small(probe: Probe) -> None:
    said = probe.json("sensor", "list", "--limit", "2")
    assert [row["sid"] for row in said[:2]] == [
        probe.world.sensor(probe.one, number).sid for number in (0, 1)
    ]


def test_one_sensor_is_shown_with_its_tags(probe: Probe) -> None:
    sensor = probe.world.sensor(probe.one, 0)
    said = probe.json("sensor", "get", "--sid", sensor.sid)
    assert sensor.hostname in json.dumps(said)
    assert sensor.tags
    assert set(probe.json("tag", "list", "--sid", sensor.sid)) == set(sensor.tags)


def test_a_hostile_host_name_arrives_unchanged(probe: Probe) -> None:
    hostile = probe.world.hostile
    said = probe.json("sensor", "list", LC_OID=hostile.oid)
    assert "\x1b[31m" in said[0]["hostname"]
    assert "[@click=" in said[0]["hostname"]
    found = probe.json("detection", "list", "--start", START, "--end", END, LC_OID=hostile.oid)
    assert any(said[0]["hostname"] == row["routing"]["hostname"] for row in found)


def test_rules_are_listed_whole_and_in_pages(probe: Probe) -> None:
    records = probe.world.records(probe.one, "dr-general")
    assert len(records) > 20
    said = probe.json("dr", "list")
    assert set(said) == set(records)
    for key, record in records.items():
        assert said[key]["data"] == record["data"]
        assert said[key]["usr_mtd"] == record["usr_mtd"]
        assert said[key]["sys_mtd"]["etag"] == record["sys_mtd"]["etag"]
    page = probe.json("dr", "list", "--limit", "1")
    assert list(page["records"]) == [min(records)]
    rest = probe.json("dr", "list", "--limit", "500", "--cursor", page["next_cursor"])
    assert set(rest["records"]) | {min(records)} == set(records)
    assert not rest["next_cursor"]


def test_metadata_is_listed_without_data(probe: Probe) -> None:
    said = probe.json("hive", "list", "--hive-name", "secret", "--metadata-only")
    records = probe.world.records(probe.one, "secret")
    assert records
    assert set(said) == set(records)
    for key, record in records.items():
        assert said[key]["data"] is None
        assert said[key]["usr_mtd"] == record["usr_mtd"]
        assert said[key]["sys_mtd"]["etag"] == record["sys_mtd"]["etag"]


def test_a_record_that_is_not_there_is_missing_and_not_an_accident(probe: Probe) -> None:
    done = probe.run("dr", "get", "--key", "no-such-rule")
    assert done.returncode == 1
    assert "lc_error_code:RECORD_NOT_FOUND" in done.stdout + done.stderr


def test_everything_is_pulled_as_one_document(probe: Probe, tmp_path: Any) -> None:
    file = tmp_path / "organization.yaml"
    probe.text("sync", "pull", "--config-file", str(file), "--all")
    said = yaml.safe_load(re.sub(r"^%YAML.*\n", "", file.read_text()))
    world, one = probe.world, probe.one
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


def test_detections_are_listed_got_and_limited(probe: Probe) -> None:
    found = probe.world.detections
    said = probe.json("detection", "list", "--start", START, "--end", END)
    assert len(said) == probe.one.detections > 10
    expected = [found.detection(probe.one.index, number) for number in range(probe.one.detections)]
    assert sorted(said, key=lambda row: row["gen_time"]) == expected
    few = probe.json("detection", "list", "--start", START, "--end", END, "--limit", "5")
    assert [row["detect_id"] for row in few] == [row["detect_id"] for row in expected[:-6:-1]]
    assert probe.json("detection", "get", "--id", expected[3]["detect_id"]) == expected[3]


def test_detections_of_one_category_are_found(probe: Probe) -> None:
    found = probe.world.detections
    numbers = range(probe.one.detections)
    cat = found.rule(probe.one.index, 0).cat
    said = probe.json("detection", "list", "--start", START, "--end", END, "--cat", cat)
    assert {row["detect_id"] for row in said} == {
        found.detect_id(probe.one.index, number)
        for number in numbers
        if found.rule(probe.one.index, number).cat == cat
    }


def test_a_detection_that_is_not_there_ends_with_3(probe: Probe) -> None:
    done = probe.run("detection", "get", "--id", "00000000-0000-4000-8000-000000000000")
    assert done.returncode == 3


def test_the_audit_log_tells_who_granted_what(probe: Probe) -> None:
    audit = probe.world.audit
    said = probe.json("audit", "list", "--start", START, "--end", END)
    assert said == [audit.entry(probe.one, number) for number in range(audit.count(probe.one))]
    grant = said[3]
    contact = probe.world.access.contacts(probe.one)[0][0]
    assert grant["ident"] == probe.world.access.root
    assert grant["entity"] == {"type": "user", "name": contact}
    assert grant["mtd"]["permission"] in probe.world.access.direct(probe.one)[contact]
    assert grant["msg"] == f"user permission {grant['mtd']['permission']} granted to {contact}"


def test_extensions_are_listed(probe: Probe) -> None:
    subscribed = probe.world.configuration.extensions(probe.one)
    assert set(probe.json("extension", "list")) == set(subscribed)
    available = probe.json("extension", "list-available")
    assert isinstance(available, list)
    assert set(subscribed) < {row["name"] for row in available}


def test_older_services_list_their_rules(probe: Probe) -> None:
    services = probe.world.configuration.services(probe.one)
    assert probe.json("logging", "list") == services["logging"]
    assert probe.json("integrity", "list") == services["integrity"]
    assert probe.json("exfil", "list") == services["exfil"]


def test_billing_is_told(probe: Probe) -> None:
    assert probe.json("billing", "status") == {"is_past_due": False}
    details = probe.json("billing", "details")
    assert details["customer"]["name"] == probe.one.name
    assert details["upcoming_invoice"]["lines"]["data"][0]["amount"] == probe.one.sensors * 250


def test_the_refusing_organization_is_listed_and_refuses(probe: Probe) -> None:
    refusing = probe.world.unauthorized
    assert refusing is not None
    assert refusing.oid in {row["oid"] for row in probe.json("org", "list")}
    for arguments in (("org", "info"), ("sensor", "list"), ("user", "permissions", "list")):
        done = probe.run(*arguments, LC_OID=refusing.oid)
        assert done.returncode == 2
        assert "unauthorized" in done.stdout + done.stderr


def test_a_rule_is_set_read_back_and_removed(probe: Probe, tmp_path: Any) -> None:
    rule = {
        "detect": {"event": "NEW_PROCESS", "op": "exists", "path": "event/FILE_PATH"},
        "respond": [{"action": "report", "name": "probe"}],
    }
    file = tmp_path / "rule.json"
    file.write_text(json.dumps(rule))
    oid = probe.world.organizations[0].oid
    said = probe.json(
        "dr", "set", "--key", "probe/rule one", "--input-file", str(file), "--enabled", LC_OID=oid
    )
    assert said["hive"] == {"name": "dr-general", "partition": oid}
    read = probe.json("dr", "get", "--key", "probe/rule one", LC_OID=oid)
    assert read["data"] == rule
    assert read["usr_mtd"]["enabled"] is True
    probe.text("dr", "delete", "--key", "probe/rule one", "--confirm", LC_OID=oid)
    assert probe.run("dr", "get", "--key", "probe/rule one", LC_OID=oid).returncode == 1
    entries = probe.json("audit", "list", "--start", START, "--end", str(int(END) + 3600), LC_OID=oid)
    assert [(row["etype"], row["ident"]) for row in entries[-2:]] == [
        ("hive_set", probe.world.access.root),
        ("hive_del", probe.world.access.root),
    ]


def test_a_tag_is_added_and_removed(probe: Probe) -> None:
    oid = probe.world.organizations[0].oid
    sensor = probe.world.sensor(probe.world.organizations[0], 1)
    probe.text("tag", "add", "--sid", sensor.sid, "--tag", "probe", LC_OID=oid)
    assert "probe" in probe.json("tag", "list", "--sid", sensor.sid, LC_OID=oid)
    probe.text("tag", "remove", "--sid", sensor.sid, "--tag", "probe", LC_OID=oid)
    assert "probe" not in probe.json("tag", "list", "--sid", sensor.sid, LC_OID=oid)
