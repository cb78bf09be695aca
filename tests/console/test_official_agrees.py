"""The official client and limegrove read the same sandbox, and see the same things."""

import asyncio
import json
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, select

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.sync import Sync
from store.access import cuts, explain, who
from store.bodies import unpack
from store.configuration import SECRET_MARK
from store.database import Store
from store.models import (
    ApiKey,
    AuditEntry,
    ConfigurationBody,
    ConfigurationRecord,
    Detection,
    DetectionBody,
    DirectPermission,
    Group,
    GroupMember,
    GroupOrganization,
    Organization,
    Sensor,
    SyncState,
)
from store.queries import access
from store.secret import Secret
from tests.helpers.sandboxes import ROOT, sandbox_process

OFFICIAL = ROOT / ".venv-official" / "bin" / "limacharlie"

pytestmark = [
    pytest.mark.official,
    pytest.mark.skipif(not OFFICIAL.exists(), reason="the official client is not installed: run `make test`"),
]

NOW = "2026-11-20T12:00:00Z"
START, END = 1_795_176_001 - 40 * 86_400, 1_795_176_001
"""Seconds: the forty days before NOW, which is more than the sandbox generates."""


class Official:
    """The official command line in an environment of its own, against one sandbox."""

    def __init__(self, stage: dict[str, Any], oid: str) -> None:
        self._directory = tempfile.mkdtemp(prefix="official-")
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": self._directory,
            "LC_CONFIG_DIR": self._directory,
            "LC_API_URL": stage["url"],
            "LC_JWT_URL": stage["url"],
            "LC_CASES_API_ROOT": stage["url"],
            "LC_NO_JWT_CACHE": "1",
            "LC_NO_MIGRATION_WARNING": "1",
            "LC_UID": stage["uid"],
            "LC_API_KEY": stage["api_key"],
            "LC_OID": oid,
        }

    def text(self, *arguments: str) -> str:
        """What it prints; it has to succeed."""
        done = subprocess.run(
            [str(OFFICIAL), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """What it answers."""
        return json.loads(self.text(*arguments, "--output", "json"))


class Both:
    """A sandbox that both have read."""

    def __init__(self, official: Official, store: Store, oid: str, stage: dict[str, Any]) -> None:
        self.official = official
        self.store = store
        self.oid = oid
        self.stage = stage

    def rows(self, *columns: Any, where: Any = True) -> list[Any]:
        """Of the store."""
        with self.store.reader.reading() as connection:
            return list(connection.execute(select(*columns).where(where)))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    home = tmp_path_factory.mktemp("agree")
    options = ("--seed", "11", "--orgs", "8", "--detections", "400", "--now", NOW)
    with sandbox_process(home / "sandbox", *options) as (stage, _):
        store = Store(f"sqlite:///{home / 'store.db'}")

        async def read() -> Any:
            async with Cloud(
                UserKey(stage["uid"], Secret(stage["api_key"])), Endpoint.single(stage["url"])
            ) as cloud:
                return await Sync(
                    store=store, cloud=cloud, redaction_key=b"k" * 32, since=10 * 365 * 86_400
                ).run()

        outcome = asyncio.run(read())
        assert outcome.organizations == 8
        refused = {each.oid for each in outcome.failed}
        assert len(refused) == 1
        busiest = _busiest(store, refused)
        yield Both(Official(stage, busiest), store, busiest, stage)
        store.close()


def _busiest(store: Store, refused: set[str]) -> str:
    with store.reader.reading() as connection:
        oids = [oid for (oid,) in connection.execute(select(Detection.oid)) if oid not in refused]
    return max(sorted(set(oids)), key=oids.count)


def test_auth_test_succeeds(both: Both) -> None:
    assert "Authentication successful" in both.official.text("auth", "test")


def test_whoami_names_the_permissions_that_our_matrix_has_for_the_same_person(both: Both) -> None:
    said = both.official.json("auth", "whoami", "--show-perms")
    with both.store.reader.reading() as connection:
        matrix = access.matrix(connection, both.oid)
    assert matrix is not None
    ours = next(each for each in matrix.principals if each.principal == said["ident"])
    assert said["orgs"] == [both.oid]
    permissions = {word.strip() for word in said["perms"].split(",")}
    assert len(permissions) > 50
    assert permissions == set(ours.permissions)


def test_the_organizations_are_the_same(both: Both) -> None:
    said = {(row["oid"], row["name"]) for row in both.official.json("org", "list")}
    assert len(said) == 8
    assert said == {tuple(row) for row in both.rows(Organization.oid, Organization.name)}
    assert {oid for oid, _ in said} == set(both.stage["oids"])


def test_direct_permissions_are_the_same(both: Both) -> None:
    said = both.official.json("user", "permissions", "list")
    direct = both.rows(
        DirectPermission.email, DirectPermission.permissions, where=DirectPermission.oid == both.oid
    )
    ours = {email: sorted(permissions) for email, permissions in direct if permissions}
    assert len(ours) >= 2
    assert {email: sorted(permissions) for email, permissions in said.items() if permissions} == ours


def test_groups_are_the_same_in_every_field(both: Both) -> None:
    listed = both.official.json("group", "list")
    assert len(listed) >= 3
    assert {(row["gid"], row["name"]) for row in listed} == {
        tuple(row) for row in both.rows(Group.gid, Group.name)
    }
    for gid, name in [(row["gid"], row["name"]) for row in listed][:3]:
        said = both.official.json("group", "get", "--id", gid)["group"]
        assert said["name"] == name
        assert said["perms"]
        assert [sorted(said["perms"])] == [
            row[0] for row in both.rows(Group.permissions, where=Group.gid == gid)
        ]
        people = both.rows(GroupMember.email, GroupMember.owner, where=GroupMember.gid == gid)
        assert sorted(said["members"]) == sorted(email for email, owner in people if not owner)
        assert sorted(said["owners"]) == sorted(email for email, owner in people if owner)
        held = both.rows(GroupOrganization.oid, where=GroupOrganization.gid == gid)
        assert sorted(each["org_id"] for each in said["orgs"]) == sorted(oid for (oid,) in held)
        assert said["orgs"]


def test_api_keys_are_the_same_in_every_field(both: Both) -> None:
    said = both.official.json("api-key", "list")
    ours = both.rows(
        ApiKey.key_hash, ApiKey.name, ApiKey.permissions, ApiKey.created_by, ApiKey.allowed_ip_range,
        where=ApiKey.oid == both.oid,
    )  # fmt: skip
    assert len(said) >= 2
    assert {
        (key_hash, row["name"], tuple(sorted(row["priv"])), row["by"], row.get("allowed_ip_range") or "")
        for key_hash, row in said.items()
    } == {(key_hash, name, tuple(priv), by, cidr) for key_hash, name, priv, by, cidr in ours}


def test_who_may_do_what_and_why_is_what_the_official_client_tells(both: Both) -> None:
    """A thousand questions; they are answered here by what that client printed, and by nothing else."""
    groups = {
        row["gid"]: both.official.json("group", "get", "--id", row["gid"])["group"]
        for row in both.official.json("group", "list")
    }
    access_failed = {row.oid for row in both.rows(SyncState.oid, where=SyncState.failure != "")}
    oids = [both.oid, *(oid for oid in both.stage["oids"] if oid not in {*access_failed, both.oid})][:3]
    paths: dict[tuple[str, str, str], set[str]] = {}
    for oid in oids:
        official = Official(both.stage, oid)
        for email, permissions in official.json("user", "permissions", "list").items():
            for name in permissions:
                paths.setdefault((email, name, oid), set()).add("direct")
        for key_hash, key in official.json("api-key", "list").items():
            for name in key["priv"]:
                paths.setdefault((key_hash, name, oid), set()).add("direct")
        for gid, group in groups.items():
            if oid in {each["org_id"] for each in group["orgs"]}:
                for email in group["members"]:
                    for name in group["perms"]:
                        paths.setdefault((email, name, oid), set()).add(gid)
    principals = sorted({principal for principal, _, _ in paths})
    owners = sorted({owner for group in groups.values() for owner in group["owners"]})
    permissions = sorted({name for _, name, _ in paths})
    chance, granted, several = random.Random(11), 0, 0
    with both.store.reader.reading() as connection:
        for number in range(1000):
            principal = chance.choice(owners if number % 10 == 0 else principals)
            permission, oid = chance.choice(permissions), chance.choice(oids)
            expected = paths.get((principal, permission, oid), set())
            asked = access.facts(connection, oid, permission, principal)
            assert asked is not None
            found = explain(asked.facts, principal, permission, oid)
            assert {path.gid or "direct" for path in found.paths} == expected
            for path in found.paths:
                if path.via == "group":
                    assert list(path.owners) == sorted(groups[path.gid]["owners"])
                    assert path.organizations == len(groups[path.gid]["orgs"])
            smallest = cuts(asked.facts, principal, permission, oid).cuts
            assert {len(cut.changes) for cut in smallest} == ({len(expected)} if expected else set())
            granted += bool(expected)
            several += len(expected) > 1
        assert 100 < granted < 900
        assert several > 10
        for oid in oids:
            matrix = access.matrix(connection, oid)
            assert matrix is not None
            told = {
                (each.principal, name): {path.removeprefix("group:") for path in via}
                for each in matrix.principals
                if each.kind != "group"
                for name, via in each.via.items()
            }
            expected_here = {
                (principal, name): via for (principal, name, at), via in paths.items() if at == oid
            }
            assert told == expected_here
            for permission in chance.sample(permissions, 20):
                asked = access.facts(connection, oid, permission)
                assert asked is not None
                assert {
                    each.principal: {path.gid or "direct" for path in each.paths}
                    for each in who(asked.facts, permission, oid)
                } == {
                    principal: via for (principal, name), via in expected_here.items() if name == permission
                }


def test_rules_are_the_same_to_the_byte_with_their_metadata_and_etags(both: Both) -> None:
    said = both.official.json("dr", "list")
    ours = _records(both, "hive/dr-general")
    assert len(said) >= 8
    assert set(said) == set(ours)
    for name, record in said.items():
        body, row = ours[name]
        assert body == record["data"], name
        assert row.etag == record["sys_mtd"]["etag"]
        assert row.enabled == record["usr_mtd"]["enabled"]
        assert row.metadata["tags"] == record["usr_mtd"]["tags"]


def test_outputs_are_the_same_but_for_their_secrets(both: Both) -> None:
    said = both.official.json("output", "list")
    ours = _records(both, "output")
    assert said
    assert set(said) == set(ours)
    hidden = 0
    for name, output in said.items():
        body, _ = ours[name]
        assert set(body) == set(output)
        for key, value in output.items():
            if isinstance(body[key], dict) and SECRET_MARK in body[key]:
                assert value not in str(body)
                hidden += 1
            else:
                assert body[key] == value
    assert hidden >= 1


def test_sensors_are_the_same_in_every_field(both: Both) -> None:
    said = {row["sid"]: row for row in both.official.json("sensor", "list")}
    ours = both.rows(
        Sensor.sid,
        Sensor.hostname,
        Sensor.platform,
        Sensor.internal_ip,
        Sensor.details,
        where=Sensor.oid == both.oid,
    )
    assert len(said) >= 5
    assert set(said) == {row.sid for row in ours}
    for row in ours:
        assert said[row.sid] == row.details
        assert (said[row.sid]["hostname"], said[row.sid]["plat"], said[row.sid]["int_ip"]) == (
            row.hostname, row.platform, row.internal_ip,
        )  # fmt: skip


def test_detections_are_the_same_in_every_field(both: Both) -> None:
    said = {
        row["detect_id"]: row
        for row in both.official.json(
            "detection", "list", "--start", str(START), "--end", str(END), "--limit", "5000"
        )
    }
    ours = {
        row.detect_id: row
        for row in both.rows(
            Detection.detect_id, Detection.time, Detection.cat, Detection.hostname, Detection.rule, DetectionBody.body,
            where=(Detection.oid == both.oid) & (Detection.id == DetectionBody.detection_id),
        )
    }  # fmt: skip
    assert len(said) >= 20
    assert set(said) == set(ours)
    for detect_id, record in said.items():
        row = ours[detect_id]
        assert orjson.loads(unpack(row.body)) == record
        assert (row.time, row.cat, row.rule) == (record["gen_time"], record["cat"], record["source_rule"])
        assert row.hostname == record["routing"]["hostname"]
    one = sorted(said)[0]
    assert both.official.json("detection", "get", "--id", one) == said[one]


def test_the_audit_log_is_the_same_in_every_field(both: Both) -> None:
    said = both.official.json("audit", "list", "--start", str(START), "--end", str(END))
    ours = both.rows(AuditEntry.details, AuditEntry.kind, AuditEntry.actor, where=AuditEntry.oid == both.oid)
    assert len(said) >= 3
    ordered = sorted(json.dumps(row, sort_keys=True) for row in said)
    assert ordered == sorted(json.dumps(row.details, sort_keys=True) for row in ours)
    assert {(row["etype"], row["ident"] or row["origin"]) for row in said} == {
        (row.kind, row.actor) for row in ours
    }


def _records(both: Both, section: str) -> dict[str, tuple[Any, Any]]:
    """name -> (body, row) of the current configuration."""
    metadata = ConfigurationRecord.__table__.c  # type: ignore[attr-defined]
    body = ConfigurationBody.__table__.c  # type: ignore[attr-defined]

    def read(connection: Connection) -> dict[str, tuple[Any, Any]]:
        found = connection.execute(
            select(metadata.name, metadata.etag, metadata.enabled, metadata.metadata, body.body).where(
                metadata.oid == both.oid,
                metadata.section == section,
                metadata.valid_to.is_(None),
                metadata.hash == body.hash,
            )
        )
        return {row.name: (orjson.loads(unpack(row.body)), row) for row in found}

    with both.store.reader.reading() as connection:
        return read(connection)
