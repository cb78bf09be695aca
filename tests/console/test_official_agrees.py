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
from store import closure
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
from store.queries import access, matrix, timeline
from store.secret import Secret
from tests.helpers.access_worlds import GroupOf, World
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


def test_the_logs_of_groups_are_the_same_in_every_field_and_order(both: Both) -> None:
    rows = both.official.json("group", "list")
    assert rows
    for row in rows:
        said = both.official.json("group", "logs", "--gid", row["gid"])["logs"]
        with both.store.reader.reading() as connection:
            ours = timeline.of_groups(connection, [row["gid"]])[row["gid"]]
        assert len(said) >= 1
        assert [event.details for event in ours] == said
        assert [event.time for event in ours] == [entry["ts"] * 1000 for entry in said]


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


@pytest.fixture(scope="module")
def granted(both: Both) -> World:
    """Who was given what, as the official client prints it; nothing in it was read by limegrove."""
    groups = [
        both.official.json("group", "get", "--id", row["gid"])["group"] | {"gid": row["gid"]}
        for row in both.official.json("group", "list")
    ]
    refused = {
        row.oid
        for row in both.rows(
            SyncState.oid,
            where=(SyncState.failure != "") & SyncState.subject.in_(("access", "keys")),  # type: ignore[attr-defined]
        )
    }
    world = World(
        [row["oid"] for row in both.official.json("org", "list")],
        sorted({email for group in groups for email in (*group["members"], *group["owners"])}),
        groups={
            group["gid"]: GroupOf(
                group["name"],
                set(group["owners"]),
                set(group["members"]),
                {each["org_id"] for each in group["orgs"]},
                set(group["perms"]),
            )
            for group in groups
        },
    )
    for oid in world.organizations:
        if oid not in refused:
            official = Official(both.stage, oid)
            for email, names in official.json("user", "permissions", "list").items():
                world.direct[oid, email] = set(names)
            for key_hash, key in official.json("api-key", "list").items():
                world.keys[oid, key_hash] = set(key["priv"])
    world.people = sorted({*world.people, *(email for _, email in world.direct)})
    assert len(world.organizations) - len(refused) >= 6
    assert len(world.groups) >= 3
    return world


def test_who_may_do_what_and_why_is_what_the_official_client_tells(both: Both, granted: World) -> None:
    """A thousand questions; they are answered here by what that client printed, and by nothing else."""
    names = sorted({name for _, name, _ in granted.effective()})
    owners = sorted({owner for group in granted.groups.values() for owner in group.owners})
    twice = sorted(each for each in granted.effective() if len(granted.paths(*each)) > 1)
    chance, held, several, cut = random.Random(11), 0, 0, 0
    with both.store.reader.reading() as connection:
        world = closure.World.load(connection)
        for number in range(1000):
            principal = chance.choice(owners if number % 10 == 0 else granted.principals)
            permission, oid = chance.choice(names), chance.choice(granted.organizations)
            if number % 20 == 1:
                principal, permission, oid = chance.choice(twice)
            expected = granted.paths(principal, permission, oid)
            asked = access.facts(connection, oid, permission, principal)
            assert asked is not None
            found = explain(asked.facts, principal, permission, oid)
            assert {(path.via, path.gid) for path in found.paths} == expected
            for path in found.paths:
                if path.via == "group":
                    assert list(path.owners) == sorted(granted.groups[path.gid].owners)
                    assert path.organizations == len(granted.groups[path.gid].organizations)
            everybody = access.facts(connection, oid, permission)
            assert everybody is not None
            assert {
                each.principal: {(path.via, path.gid) for path in each.paths}
                for each in who(everybody.facts, permission, oid)
            } == {
                each: paths for each in granted.principals if (paths := granted.paths(each, permission, oid))
            }
            kind = "user" if principal in granted.people else "key"
            ways = matrix.paths(world, kind, principal, permission, oid)
            assert {("direct", "") if way == "direct" else ("group", way) for way in ways} == expected
            assert bool(world.can(principal, permission, oid)) == bool(expected)
            smallest = cuts(asked.facts, principal, permission, oid).cuts
            assert bool(smallest) == bool(expected)
            alone = granted.alone(principal, permission, oid)
            for each in smallest:
                steps = tuple((one.change, one.gid, one.principal, one.permission) for one in each.changes)
                assert not alone.after(steps, oid).paths(principal, permission, oid)
                cut += 1
            if smallest:
                fewest = {len(each.changes) for each in smallest}
                assert fewest == {alone.fewest(principal, permission, oid)}
            held += bool(expected)
            several += len(expected) > 1
    assert 100 < held < 900
    assert several >= 50
    assert cut > held


def test_all_sides_of_the_matrix_have_what_the_official_client_tells(both: Both, granted: World) -> None:
    held: dict[tuple[str, str, str], str] = {}
    for principal, name, oid in granted.effective():
        paths = granted.paths(principal, name, oid)
        direct = ("direct", "") in paths
        sign = "D" if direct and len(paths) == 1 else "B" if direct else "G"
        held[principal, name, oid] = "K" if (oid, principal) in granted.keys else sign
    assert set(held.values()) == {"B", "D", "G", "K"}

    def cells(pivot: matrix.Pivot | None) -> dict[tuple[str, str], str]:
        assert pivot is not None
        assert {key for line in pivot.lines for key in line.cells} <= {column.key for column in pivot.columns}
        return {
            (line.key, column): sign
            for line in pivot.lines
            if line.kind != "group"
            for column, sign in line.cells.items()
        }

    with both.store.reader.reading() as connection:
        world = closure.World.load(connection)
        assert {
            (principal, name, oid)
            for principal, oid, mask in world.closure()
            for name in world.permissions(mask)
        } == held.keys()
        for oid in granted.organizations:
            assert cells(matrix.pivot_organization(connection, oid)) == {
                (principal, name): sign for (principal, name, at), sign in held.items() if at == oid
            }
        for principal in granted.people:
            found = matrix.pivot_principal(connection, principal, world=world)
            assert cells(found) == {
                (oid, name): sign for (each, name, oid), sign in held.items() if each == principal
            }
        for name in {name for _, name, _ in held}:
            assert cells(matrix.pivot_permission(connection, name, world=world)) == {
                (principal, oid): sign for (principal, each, oid), sign in held.items() if each == name
            }
        for oid in granted.organizations:
            one = access.matrix(connection, oid)
            assert one is not None
            assert {
                (each.principal, name): {path.removeprefix("group:") for path in via}
                for each in one.principals
                if each.kind != "group"
                for name, via in each.via.items()
            } == {
                (principal, name): {gid or "direct" for _, gid in granted.paths(principal, name, oid)}
                for principal, name, at in held
                if at == oid
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
