"""Who may do what on one organization, by which paths."""

from typing import Any

from store import ingest
from store.database import Store
from store.queries import access

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
