"""The scopes of an organization that its ACL tags name."""

from store import ingest
from store.configuration import Record
from store.database import Store
from store.queries.aclscopes import acl_scopes

NOW = 1_795_000_000_000
OID, OTHER = "11111111-aaaa-4bbb-8ccc-000000000001", "22222222-aaaa-4bbb-8ccc-000000000002"


def filled(store: Store) -> None:
    members = [
        {"type": "user", "id": "Kim@acme.example"}, {"type": "api_key", "id": "ci"}, {"type": "group", "id": "g1"},
        "odd",
    ]  # fmt: skip
    with store.writing() as c:
        ingest.put_configuration(
            c,
            OID,
            "hive/acl",
            {
                "vip": Record({"members": members, "warn_only": True}),
                "empty": Record({"members": "odd"}),
                "odd": Record(["odd"]),
            },
            NOW,
        )
        secrets = {"a": Record({}, {"tags": ["acl:vip", "x"]}), "b": Record({}, {"tags": None})}
        ingest.put_configuration(c, OID, "hive/secret", secrets, NOW)
        ingest.put_configuration(
            c, OID, "installation_key", {"k": Record({"desc": "servers", "tags": "prod,acl:vip"})}, NOW
        )
        ingest.put_configuration(c, OTHER, "hive/acl", {"theirs": Record({"members": []})}, NOW)
        ingest.put_sensors(
            c,
            OID,
            [
                {"sid": "s1", "hostname": "a", "tags": ["acl:vip", "acl:unknown"]},
                {"sid": "s2", "hostname": "b", "tags": ["acl:vip", "acl:"]},
                {"sid": "s3", "hostname": "c", "tags": ["vip"]},
            ],
        )


def test_scopes_have_their_members_and_count_what_carries_their_tag(store: Store) -> None:
    filled(store)
    with store.reader.reading() as c:
        found = {scope.name: scope for scope in acl_scopes(c, OID)}
    assert list(found) == ["empty", "odd", "unknown", "vip"]
    vip = found["vip"]
    assert vip.members == (("user", "Kim@acme.example"), ("api_key", "ci"), ("group", "g1"))
    assert (vip.defined, vip.warn_only, vip.sensors, vip.records) == (True, True, 2, 2)
    unknown = found["unknown"]
    assert (unknown.defined, unknown.members, unknown.sensors, unknown.records) == (False, (), 1, 0)
    assert (found["empty"].members, found["odd"].members, found["odd"].warn_only) == ((), (), False)


def test_a_member_is_a_user_by_address_a_key_by_name_and_a_group_with_its_members(store: Store) -> None:
    filled(store)
    with store.reader.reading() as c:
        vip = next(scope for scope in acl_scopes(c, OID) if scope.name == "vip")
    assert vip.admits("user", "kim@acme.example", "kim@acme.example")
    assert not vip.admits("user", "lee@acme.example", "lee@acme.example", ("g2",))
    assert vip.admits("user", "lee@acme.example", "lee@acme.example", ("g2", "g1"))
    assert vip.admits("key", "hash", "ci")
    assert not vip.admits("key", "ci", "other")
    assert vip.admits("group", "g1", "Analysts")
