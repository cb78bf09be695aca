"""Who may do what on one organization, by which paths."""

import random
from typing import Any

import pytest

from store import ingest
from store.access import cuts, explain, who
from store.database import Store
from store.queries import access
from tests.helpers.access_worlds import PERMISSIONS, world_of

NOW = 1_795_000_000_000
OID, OTHER = "11111111-aaaa-4bbb-8ccc-000000000001", "22222222-aaaa-4bbb-8ccc-000000000002"


def _filled(store: Store) -> None:
    groups: list[dict[str, Any]] = [
        {
            "group_id": "g1", "name": "Analysts", "owners": ["boss@provider.example"],
            "members": ["dana@provider.example", "kim@acme.example"],
            "orgs": [{"org_id": OID, "org_name": "Acme"}, {"org_id": OTHER, "org_name": "Other"}],
            "perms": ["sensor.list", "sensor.task"],
        },
        {
            "group_id": "g2", "name": "Elsewhere", "owners": [], "members": ["lee@provider.example"],
            "orgs": [{"org_id": OTHER, "org_name": "Other"}], "perms": ["billing.ctrl"],
        },
    ]  # fmt: skip
    answer = {
        "user_permissions": {"kim@acme.example": ["sensor.task", "org.get"]},
        "direct_users": [
            {
                "email": "kim@acme.example",
                "uid": "u1",
                "perms": ["sensor.task", "org.get"],
                "MFA_enabled": False,
                "MFA_types": [],
            }
        ],
        "from_groups": {},
        "group_info": {},
    }
    with store.writing() as c:
        ingest.put_organizations(
            c,
            [
                {"oid": oid, "name": name, "region": "", "status": "", "sensor_quota": 1, "details": {}}
                for oid, name in ((OID, "Acme"), (OTHER, "Other"))
            ],
            complete=True,
            now=NOW,
        )
        ingest.put_groups(c, groups, now=NOW)
        ingest.put_access(c, OID, answer, now=NOW)
        ingest.put_keys(
            c, OID, {"h1": {"name": "ci[bulk]", "priv": ["dr.set", "dr.list"], "by": "dana"}}, now=NOW
        )
        ingest.put_sync_state(c, OID, "access", checked_at=NOW, attempted_at=NOW)


def test_a_permission_names_every_path_it_comes_by(store: Store) -> None:
    _filled(store)
    with store.reader.reading() as c:
        matrix = access.matrix(c, OID)
    assert matrix is not None
    kim = next(each for each in matrix.principals if each.principal == "kim@acme.example")
    assert kim.via["sensor.task"] == ("direct", "group:g1")
    assert kim.via["org.get"] == ("direct",)
    assert kim.via["sensor.list"] == ("group:g1",)
    assert kim.mfa is False
    assert matrix.groups == {"g1": "Analysts"}


def test_owners_of_a_group_do_not_receive_its_permissions(store: Store) -> None:
    _filled(store)
    with store.reader.reading() as c:
        matrix = access.matrix(c, OID)
    assert matrix is not None
    assert [(each.kind, each.principal) for each in matrix.principals] == [
        ("user", "dana@provider.example"),
        ("user", "kim@acme.example"),
        ("group", "g1"),
        ("key", "h1"),
    ]


def test_a_group_that_holds_another_organization_gives_nothing_here(store: Store) -> None:
    _filled(store)
    with store.reader.reading() as c:
        here, there = access.matrix(c, OID), access.matrix(c, OTHER)
    assert here is not None
    assert there is not None
    assert "lee@provider.example" not in {each.principal for each in here.principals}
    assert {each.principal: each.permissions for each in there.principals if each.kind == "user"} == {
        "dana@provider.example": ("sensor.list", "sensor.task"),
        "kim@acme.example": ("sensor.list", "sensor.task"),
        "lee@provider.example": ("billing.ctrl",),
    }


def test_a_key_is_known_by_its_hash_and_shown_by_its_name(store: Store) -> None:
    _filled(store)
    with store.reader.reading() as c:
        matrix = access.matrix(c, OID)
    assert matrix is not None
    key = matrix.principals[-1]
    assert (key.principal, key.name, key.permissions) == ("h1", "ci[bulk]", ("dr.list", "dr.set"))


def test_a_matrix_that_was_never_read_says_so_and_an_unknown_organization_is_none(store: Store) -> None:
    _filled(store)
    with store.reader.reading() as c:
        never = access.matrix(c, OTHER)
        assert access.matrix(c, "nobody") is None
    assert never is not None
    assert never.checked_at is None


# Why: the facts of one question


@pytest.mark.parametrize("seed", range(5))
def test_explain_who_and_the_matrix_agree_with_every_grant_spelled_out(store: Store, seed: int) -> None:
    world = world_of(seed + 50, organizations=8, people=10, groups=7)
    world.put(store, NOW)
    held = world.effective()
    chance = random.Random(seed)
    granted = 0
    with store.reader.reading() as c:
        for _ in range(200):
            principal, permission = chance.choice(world.principals), chance.choice(PERMISSIONS)
            oid = chance.choice(world.organizations)
            expected = world.paths(principal, permission, oid)
            asked = access.facts(c, oid, permission, principal)
            assert asked is not None
            found = explain(asked.facts, principal, permission, oid)
            assert {(path.via, path.gid) for path in found.paths} == expected
            assert found.granted == ((principal, permission, oid) in held)
            granted += found.granted
            for path in found.paths[-1:]:
                if path.via == "group":
                    assert path.organizations == len(world.groups[path.gid].organizations)
                    assert set(path.owners) == world.groups[path.gid].owners
            # What was read for the question answers it as everything would.
            assert found.missing == explain(world.facts(), principal, permission, oid).missing
            assert cuts(asked.facts, principal, permission, oid) == cuts(
                world.facts(), principal, permission, oid
            )
            everybody = access.facts(c, oid, permission)
            matrix = access.matrix(c, oid)
            assert everybody is not None
            assert matrix is not None
            holders = {
                each.principal: {path.gid or "direct" for path in each.paths}
                for each in who(everybody.facts, permission, oid)
            }
            assert holders == {
                each.principal: {path.removeprefix("group:") for path in each.via[permission]}
                for each in matrix.principals
                if each.kind != "group" and permission in each.via
            }
            assert set(holders) == {name for name, had, at in held if (had, at) == (permission, oid)}
    assert 20 < granted < 180


def test_the_facts_of_an_unknown_organization_are_none(store: Store) -> None:
    with store.reader.reading() as c:
        assert access.facts(c, "nowhere", "dr.set", "kim@acme.example") is None


def test_the_audit_log_of_the_organization_tells_since_when_and_by_whom(store: Store) -> None:
    _filled(store)
    entry: dict[str, Any] = {
        "oid": OID, "ts": "2026-03-02 10:00:00", "time": NOW - 1000, "etype": "config_change",
        "msg": "user permission org.get granted to kim@acme.example", "ident": "root@provider.example",
        "entity": {"type": "user", "name": "kim@acme.example"}, "mtd": {"permission": "org.get", "action": "add"},
        "origin": "ui",
    }  # fmt: skip
    with store.writing() as c:
        ingest.put_audit(c, OTHER, [{**entry, "oid": OTHER, "ident": "somebody@else.example"}])
        ingest.put_audit(c, OID, [entry, {**entry, "entity": "odd", "mtd": None, "time": NOW}])
    with store.reader.reading() as c:
        asked = access.facts(c, OID, "org.get", "kim@acme.example")
    assert asked is not None
    (path,) = explain(asked.facts, "kim@acme.example", "org.get", OID).paths
    assert (path.since, path.by, path.told) == (NOW - 1000, "root@provider.example", "audit")


def test_an_organization_whose_access_was_never_read_is_not_known(store: Store) -> None:
    _filled(store)
    with store.reader.reading() as c:
        here, there = access.facts(c, OID, "dr.set"), access.facts(c, OTHER, "dr.set")
    assert here is not None
    assert there is not None
    assert (here.known("user"), here.known("key"), there.known("user")) == (True, False, False)


def test_a_permission_is_known_by_the_catalogue_or_because_somebody_holds_it(store: Store) -> None:
    _filled(store)
    with store.writing() as c:
        ingest.put_keys(c, OTHER, {"h2": {"name": "odd", "priv": ['we"ird%_é']}}, now=NOW)
    with store.reader.reading() as c:
        assert access.is_permission(c, "dr.set")
        assert access.is_permission(c, "secret.get.my-key")
        assert access.is_permission(c, 'we"ird%_é')
        assert not access.is_permission(c, "weird")
        assert not access.is_permission(c, "no.such")
        assert not access.is_permission(c, "secret.get." + "x" * 100_000)
        assert not access.is_permission(c, "\udcff")


def test_a_principal_is_found_by_address_in_any_case_by_hash_and_by_gid(store: Store) -> None:
    _filled(store)
    with store.reader.reading() as c:
        assert access.find_principal(c, "KIM@acme.example") == [("kim@acme.example", "user")]
        assert access.find_principal(c, "boss@provider.example") == [("boss@provider.example", "user")]
        assert access.find_principal(c, "h1") == [("h1", "key")]
        assert access.find_principal(c, "g1") == [("g1", "group")]
        assert access.find_principal(c, "nobody@acme.example") == []
        assert access.find_principal(c, "\udcff@acme.example") == []
