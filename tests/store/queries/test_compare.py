"""Two organizations, or one with itself at an earlier time."""

from sqlalchemy import insert

from store import billingwork, ingest
from store.configuration import NOT_PERMITTED, Record
from store.database import Store
from store.models import AccessEvent, DirectPermission
from store.queries.compare import PARTS, PARTS_READ, compare
from tests.helpers.screens import NOW, oid_of

A, B = oid_of(0), oid_of(1)
HOUR = 3_600_000
DAY = 24 * HOUR
RULES = "hive/dr-general"


def rule(priority: int, *, enabled: bool = True) -> Record:
    return Record({"detect": {"op": "is"}, "respond": [{"priority": priority}]}, {"enabled": enabled})


def provider(store: Store) -> None:
    """Two organizations, each with rules of which one is the same."""
    with store.writing() as c:
        listed = [{"oid": A, "name": "Acme", "region": "eu"}, {"oid": B, "name": "Borealis", "region": "us"}]
        ingest.put_organizations(c, listed, complete=True, now=NOW)
        ingest.put_configuration(c, A, RULES, {"same": rule(1), "other": rule(2), "mine": rule(3)}, NOW)
        ingest.put_configuration(
            c, B, RULES, {"same": rule(1), "other": rule(5, enabled=False), "theirs": rule(3)}, NOW
        )
        for oid in (A, B):
            for subject in PARTS_READ:
                ingest.put_sync_state(c, oid, subject, checked_at=NOW, attempted_at=NOW)


def told(
    store: Store, left: str, right: str, at: int | None = None
) -> dict[tuple[str, str], tuple[str, ...]]:
    with store.reader.reading() as c:
        found = compare(c, left, right, at=at)
    assert found is not None
    return {(each.what, each.name): (each.where, *each.parts) for each in found.lines}


def test_records_that_are_alike_are_counted_and_the_others_told_part_by_part(store: Store) -> None:
    provider(store)
    assert told(store, A, B) == {
        ("setting", "region"): ("differs", "region eu -> us"),
        (RULES, "mine"): ("only left",),
        (RULES, "other"): ("differs", "enabled True -> False", "respond.0.priority 2 -> 5"),
        (RULES, "theirs"): ("only right",),
    }
    with store.reader.reading() as c:
        found = compare(c, A, B)
        assert found is not None
        assert found.same == 1
        assert found.gaps == found.unread == ()
        assert compare(c, A, "nobody") is None


def test_who_may_do_what_is_compared_over_groups_and_keys(store: Store) -> None:
    provider(store)
    with store.writing() as c:
        ingest.put_groups(
            c,
            [
                {
                    "group_id": "g1", "name": "Responders", "owners": [], "members": ["kim@x.example"],
                    "orgs": [A], "perms": ["dr.set", "org.get"],
                }
            ],
            now=NOW,
        )  # fmt: skip
        c.execute(
            insert(DirectPermission).values(
                oid=B, email="kim@x.example", permissions=["org.get", "user.ctrl"]
            )
        )
        ingest.put_keys(c, A, {"k1": {"name": "deploy", "priv": ["org.get"]}}, now=NOW)
        ingest.put_keys(
            c, B, {"k2": {"name": "deploy", "priv": ["org.get"]}, "k3": {"name": "old", "priv": []}}, now=NOW
        )
    found = told(store, A, B)
    assert found["group", "Responders"] == ("only left",)
    assert found["user", "kim@x.example"] == ("differs", "- dr.set", "+ user.ctrl")
    assert found["key", "old"] == ("only right",)
    assert ("key", "deploy") not in found


def test_an_organization_is_compared_with_what_it_was(store: Store) -> None:
    provider(store)
    with store.writing() as c:
        ingest.put_configuration(
            c, A, RULES, {"same": rule(1), "other": rule(9), "new": rule(1)}, NOW + 2 * HOUR
        )
        for number, at in enumerate((NOW, NOW + 2 * HOUR)):
            c.execute(
                insert(AccessEvent).values(
                    digest=f"d{number}", time=at, source="audit", oid=A, kind="user", action="granted",
                    actor="dana", principal="kim@x.example", permission="dr.set", details={}, gid="",
                )
            )  # fmt: skip
    assert told(store, A, A, NOW + HOUR) == {
        (RULES, "mine"): ("only left",),
        (RULES, "new"): ("only right",),
        (RULES, "other"): ("differs", "respond.0.priority 2 -> 9"),
        ("access log", "kim@x.example"): ("since", "granted dr.set", "by dana"),
    }
    assert told(store, A, A, NOW + 3 * HOUR) == {}
    with store.reader.reading() as c:
        before = compare(c, A, A, at=NOW - HOUR)
    assert before is not None
    assert before.gaps == (
        "Who had access to Acme then is not known: it is known only since 2026-11-24T14:00:00Z.",
        "Which keys Acme had then is not known: they are known only since 2026-11-24T14:00:00Z.",
        "The configuration of Acme is known only since a later time.",
    )
    assert [(side.oid, part) for side, part in before.unread] == [(A, "access"), (A, "keys")]


def test_access_is_compared_with_what_it_was(store: Store) -> None:
    provider(store)
    group = {
        "group_id": "g1", "name": "SOC", "owners": [], "members": ["ann@p.example", "bob@p.example"],
        "perms": ["dr.set", "dr.list"], "orgs": [{"org_id": A}],
    }  # fmt: skip
    users = {"kim@x.example": ["org.get", "dr.set"], "left@x.example": ["org.get"]}
    keys = {
        "k1": {"name": "deploy", "priv": ["org.get"]}, "k2": {"name": "rotated", "priv": ["dr.set"]},
        "k3": {"name": "used", "priv": ["dr.set"], "last_used": 1},
    }  # fmt: skip
    with store.writing() as c:
        ingest.put_groups(c, [group, group | {"group_id": "g2", "name": "Old", "members": []}], now=NOW)
        ingest.put_access(c, A, {"user_permissions": users}, now=NOW)
        ingest.put_keys(c, A, keys, now=NOW)
    assert told(store, A, A, NOW) == {}
    later = NOW + HOUR
    with store.writing() as c:
        ingest.put_groups(
            c, [group | {"name": "SOC L2", "members": ["ann@p.example", "eva@p.example"], "perms": ["dr.list"]}],
            now=later,
        )  # fmt: skip
        ingest.put_access(c, A, {"user_permissions": {"kim@x.example": ["org.get"]}}, now=later)
        changed = {"k1": keys["k1"] | {"allowed_ip_range": "192.0.2.0/24"}, "k4": keys["k2"], "k3": keys["k3"] | {"last_used": 9}}  # fmt: skip
        ingest.put_keys(c, A, changed, now=later)
    with store.reader.reading() as c:
        found = compare(c, A, A, at=NOW)
    assert found is not None
    assert found.gaps == ()
    assert [(each.what, each.name, each.where, *each.parts) for each in found.lines] == [
        ("group", "Old", "only left"),
        ("group", "SOC L2", "differs", "name SOC -> SOC L2", "- dr.set"),
        ("user", "ann@p.example", "differs", "- dr.set"),
        ("user", "bob@p.example", "only left"),
        ("user", "eva@p.example", "only right"),
        ("user", "kim@x.example", "differs", "- dr.set"),
        ("user", "left@x.example", "only left"),
        ("key", "deploy", "differs", "addresses any -> 192.0.2.0/24"),
        ("key", "rotated", "only left"),
        ("key", "rotated", "only right"),
    ]


def test_of_a_record_that_is_wholly_another_a_few_parts_are_told(store: Store) -> None:
    provider(store)
    with store.writing() as c:
        for oid, word in ((A, "a"), (B, "b")):
            many = {f"p{number}": word for number in range(40)}
            ingest.put_configuration(c, oid, "output", {"siem": Record(many)}, NOW)
    parts = told(store, A, B)["output", "siem"]
    assert len(parts) == 1 + PARTS + 1
    assert parts[-1] == f"and {40 - PARTS} more parts"


def test_what_the_cloud_itself_writes_into_a_record_is_no_difference(store: Store) -> None:
    provider(store)
    with store.writing() as c:
        for number, oid in enumerate((A, B)):
            key = Record({"desc": "windows", "iid": f"id-{number}", "tags": ["win"], "created": number})
            ingest.put_configuration(c, oid, "installation_key", {f"id-{number}": key}, NOW)
    assert not [each for each in told(store, A, B) if each[0] == "installation_key"]


def test_what_was_never_read_of_one_is_named_and_not_said_to_differ(store: Store) -> None:
    provider(store)
    with store.writing() as c:
        listed = [{"oid": oid_of(2), "name": "Cedar"}]
        ingest.put_organizations(c, listed, complete=False, now=NOW)
        ingest.put_organization_facts(c, A, quota=100, quota_used=1.0)
        ingest.put_keys(c, A, {"k1": {"name": "deploy", "priv": ["org.get"]}}, now=NOW)
        c.execute(insert(DirectPermission).values(oid=A, email="kim@x.example", permissions=["org.get"]))
        ingest.put_sync_state(c, oid_of(2), "configuration", attempted_at=NOW, failure="auth", reason="No.")
        found = compare(c, A, oid_of(2))
    assert found is not None
    assert (found.lines, found.same) == ((), 0)
    assert found.gaps == (
        "The configuration of Cedar was never read.",
        "Who has access to Cedar was never read.",
        "The keys of Cedar were never read.",
    )
    with store.writing() as c:
        ingest.put_sync_state(c, oid_of(2), "keys", checked_at=NOW, attempted_at=NOW)
        found = compare(c, A, oid_of(2))
    assert found is not None
    assert [(each.what, each.name, each.where) for each in found.lines] == [("key", "deploy", "only left")]


def test_a_section_that_one_credential_may_not_read_is_named_and_not_said_to_differ(store: Store) -> None:
    provider(store)
    with store.writing() as c:
        ingest.put_configuration(c, A, "output", {"siem": Record({"a": 1})}, NOW)
        reason = f"{NOT_PERMITTED}exfil, output."
        ingest.put_sync_state(c, B, "configuration", checked_at=NOW, attempted_at=NOW, reason=reason)
        found = compare(c, A, B)
    assert found is not None
    assert [(side.oid, what) for side, what in found.unread] == [(B, "output")]
    assert found.gaps == ("output of Borealis was never read: its credential may not.",)
    assert "output" not in {each.what for each in found.lines}
    assert (RULES, "mine") in {(each.what, each.name) for each in found.lines}


def test_quota_and_sensors_are_compared_with_those_of_then_as_far_as_both_are_known(store: Store) -> None:
    provider(store)
    with store.writing() as c:
        for days, quota, sensors in ((30, 50, 10), (10, 50, 14), (4, 80, 15)):
            kinds = {"windows": {"count": sensors, "weight": 1.0}}
            billingwork.put_quota(c, A, quota, float(sensors), kinds, now=NOW - days * DAY)
    assert not [each for each in told(store, A, A, at=NOW - 20 * DAY) if each[0] == "setting"]
    with store.writing() as c:
        ingest.put_sync_state(c, A, "organization", checked_at=NOW, attempted_at=NOW)
    found = told(store, A, A, at=NOW - 20 * DAY)
    assert found["setting", "sensor_quota"] == ("differs", "sensor_quota 50 -> 80")
    assert found["setting", "sensors against the quota"] == ("differs", "sensors against the quota 10 -> 15")
    for days in (4, 40):
        assert not [each for each in told(store, A, A, at=NOW - days * DAY) if each[0] == "setting"]
