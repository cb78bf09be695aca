"""What the findings go by, read from the store."""

from typing import Any

import pytest

from store import breakglass, ingest
from store.database import Store
from store.findings import Thresholds
from store.queries.findings import facts, finding, findings, problems
from store.tree import TreeNode, replace_tree

NOW = 1_795_000_000_000
DAY = 86_400_000
ROOT = {
    "staff_domains": ["Provider.example"],
    "people_left": ["Gone@Provider.example"],
    "findings_owners": 7,
    "soc_email": "soc@provider.example",
}


@pytest.fixture
def placed(store: Store) -> Store:
    """Six organizations: a customer with a folder and an organization below another, one alone, one
    unplaced."""
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": oid, "name": f"Org {oid}"} for oid in "abcdef"], complete=True, now=NOW
        )
        replace_tree(
            c,
            [
                TreeNode("root", None, "Provider", parameters=ROOT),
                TreeNode("acme", "root", "Acme", parameters={"domains": ["acme.example"]}),
                TreeNode("na", "acme", "A", oid="a"),
                TreeNode("nb", "na", "B", oid="b", parameters={"domains": ["b.acme.example"]}),
                TreeNode("nc", "root", "C", oid="c"),
                TreeNode("nd", "nc", "D", oid="d"),
                TreeNode("ne", "root", "E", oid="e"),
            ],
        )
    return store


def of(store: Store, **more: Any) -> Any:
    with store.reader.reading() as c:
        return facts(c, now=NOW, **more)


def test_whose_an_organization_is_the_tree_says(placed: Store) -> None:
    places = of(placed).places
    assert {oid: place.customer for oid, place in places.items()} == {
        "a": "acme", "b": "nb", "c": "nc", "d": "nc", "e": "ne", "f": "f",
    }  # fmt: skip
    assert places["a"].domains == {"acme.example"}
    assert places["b"].domains == {"acme.example", "b.acme.example"}
    assert places["f"].domains == frozenset()


def test_the_root_says_who_is_staff_who_left_and_what_is_measured_by(placed: Store) -> None:
    read = of(placed)
    assert (read.staff.source, read.staff.domains) == ("declared", {"provider.example"})
    assert read.left == {"gone@provider.example"}
    assert read.thresholds == Thresholds(owners=7)
    assert read.declared == {"acme.example", "b.acme.example"}


def test_scope_and_organization_narrow_what_is_asked_about(placed: Store) -> None:
    assert of(placed).inside is None
    assert of(placed, scope="acme").inside == {"a", "b"}
    assert of(placed, scope="acme", oid="b").inside == {"b"}
    assert of(placed, scope="acme", oid="c").inside == frozenset()
    assert of(placed, oid="c").inside == {"c"}


def test_what_was_never_read_is_known_to_be_so(placed: Store) -> None:
    with placed.writing() as c:
        for subject in ("access", "keys"):
            ingest.put_sync_state(c, "a", subject, checked_at=NOW, attempted_at=NOW)
        ingest.put_sync_state(c, "b", "access", attempted_at=NOW, failure="denied", reason="401")
        ingest.put_sync_state(c, "", "groups", checked_at=NOW, attempted_at=NOW)
    read = of(placed)
    assert (read.places["a"].read, read.places["a"].keys_read) == (True, True)
    assert (read.places["b"].read, read.places["b"].keys_read) == (False, False)
    assert read.groups_read
    with placed.reader.reading() as c:
        assert findings(c, now=NOW).read
        assert not findings(c, now=NOW, oid="b").read


def entry(time: int, actor: str, etype: str, entity: dict[str, str]) -> dict[str, Any]:
    return {
        "oid": "a", "time": time, "etype": etype, "ident": actor, "msg": "", "origin": "ui", "entity": entity,
        "mtd": {"permission": "dr.set", "action": "add"},
    }  # fmt: skip


def test_the_audit_log_tells_from_when_it_is_there_what_was_used_and_what_was_granted(placed: Store) -> None:
    with placed.writing() as c:
        ingest.put_audit(
            c,
            "a",
            [
                entry(NOW - 30 * DAY, "", "enrollment", {"type": "sensor"}),
                entry(NOW - 9 * DAY, "ada", "hive_set", {"type": "hive", "name": "dr-general/x"}),
                entry(NOW - 7 * DAY, "ada", "hive_set", {"type": "hive", "name": "dr-general/y"}),
                entry(NOW - 6 * DAY, "ada", "add_tag", {"type": "sensor"}),
                entry(NOW - 5 * DAY, "root", "config_change", {"type": "user", "name": "kim@acme.example"}),
            ],
        )
    assert of(placed).places["a"].audited is None, "the log was not read to its end"
    with placed.writing() as c:
        ingest.put_sync_state(c, "a", "audit", checked_at=NOW - DAY, attempted_at=NOW)
    read = of(placed)
    assert read.places["a"].audited == (NOW - 30 * DAY, NOW - DAY)
    assert read.used == {("a", "ada"): {"hive:dr-general": NOW - 7 * DAY}}
    assert read.granted == {("a", "kim@acme.example"): NOW - 5 * DAY}
    assert of(placed, use=False).used is None
    with placed.writing() as c:
        ingest.put_sync_state(c, "a", "audit", attempted_at=NOW, failure="denied", reason="401")
    assert of(placed).places["a"].audited is None, "it goes on, and what it tells now is not known"


def test_keys_come_with_all_that_the_listing_tells_and_those_of_gone_organizations_do_not(
    placed: Store,
) -> None:
    key = {
        "name": "siem", "priv": ["org.get"], "by": "kim@acme.example", "allowed_ip_range": "10.0.0.0/8",
        "last_used": (NOW - DAY) // 1000,
    }  # fmt: skip
    with placed.writing() as c:
        ingest.put_keys(c, "a", {"h": key}, now=NOW)
        ingest.put_keys(c, "f", {"g": key}, now=NOW)
        ingest.put_organizations(
            c, [{"oid": oid, "name": f"Org {oid}"} for oid in "abcde"], complete=True, now=NOW
        )
    read = of(placed)
    assert "f" not in read.places
    (one,) = read.keys
    assert (one.oid, one.key_hash, one.name, one.created_by) == ("a", "h", "siem", "kim@acme.example")
    assert (one.allowed_ip_range, one.last_used, one.first_seen) == ("10.0.0.0/8", NOW - DAY, NOW)
    assert read.world.permissions(one.permissions) == ("org.get",)


def test_a_group_that_is_meant_for_break_glass_may_wait_without_members(placed: Store) -> None:
    with placed.writing() as c:
        made = {
            "group_id": "g",
            "name": "Glass",
            "owners": ["o@x.example"],
            "members": [],
            "perms": [],
            "orgs": [],
        }
        ingest.put_groups(c, [made], now=NOW)
    with placed.reader.reading() as c:
        (found,) = findings(c, now=NOW, kinds=("empty_group",)).findings
        assert finding(c, found.id, now=NOW) == found
        assert finding(c, "empty_group-0000000000", now=NOW) is None
        assert finding(c, "nonsense", now=NOW) is None
    with placed.writing() as c:
        breakglass.declare(c, "g", meant=True, by="ada", now=NOW)
    with placed.reader.reading() as c:
        assert findings(c, now=NOW, kinds=("empty_group",)).findings == ()
        assert finding(c, found.id, now=NOW) is None


def test_what_the_tree_says_wrongly_is_told_with_its_node_and_passed_over(placed: Store) -> None:
    with placed.reader.reading() as c:
        assert problems(c) == []
    with placed.writing() as c:
        replace_tree(
            c,
            [
                TreeNode(
                    "root", None, "Provider",
                    parameters={"staff_domains": "a@b", "findings_owners": "many", "findings_odd": 1},
                ),
                TreeNode("na", "root", "A", oid="a", parameters={"staff_domains": ["x.example"], "domains": 7}),
            ],
        )  # fmt: skip
    with placed.reader.reading() as c:
        said = problems(c)
    assert [each.partition(":")[0] for each in said] == [
        "findings_odd of the node root is passed over",
        "findings_owners of the node root is passed over",
        "staff_domains of the node root is passed over",
        "domains of the node na is passed over",
        "staff_domains of the node na is passed over",
    ]
    assert of(placed).staff.source == ""
    assert of(placed).thresholds == Thresholds()
