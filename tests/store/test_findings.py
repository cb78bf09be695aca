"""Each rule over facts that are made for it: where it speaks, and where it keeps silent."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.accesschanges import AccessChange
from store.closure import World
from store.findings import (
    AUDITED,
    KINDS,
    OWNER,
    Facts,
    Finding,
    KeyDetail,
    Place,
    Role,
    Thresholds,
    find,
    thresholds_in,
    wrong_parameter,
)
from store.permissions import family, known
from store.staff import Staff, staff_of
from store.text import Untrusted
from tests.helpers.soak import examples

NOW = 1_795_000_000_000
DAY = 86_400_000
STAFF = Staff(frozenset({"provider.example"}), source="declared")

grant = lambda email, oid, *names: [  # noqa: E731
    AccessChange("grant", oid=oid, principal=email, permission=name) for name in names
]


def group(gid: str, members: list[str], oids: list[str], names: list[str]) -> list[AccessChange]:
    """A group as changes make it."""
    return [
        AccessChange("create_group", gid=gid),
        *(AccessChange("add_member", gid=gid, principal=email) for email in members),
        *(AccessChange("add_org", gid=gid, oid=oid) for oid in oids),
        *(AccessChange("add_group_permission", gid=gid, permission=name) for name in names),
    ]


def owners(*oids: str) -> list[AccessChange]:
    """Two for each organization."""
    return [
        each
        for oid in oids
        for email in ("root@provider.example", "deputy@provider.example")
        for each in grant(email, oid, *OWNER)
    ]


def facts(changes: list[AccessChange], oids: str = "abc", **more: Any) -> Facts:
    """Facts of organizations that are a customer each, all of them read."""
    world = World().changed([*owners(*oids), *changes])
    places = {
        oid: Place(
            oid, Untrusted(f"Org {oid}"), oid, frozenset({f"{oid}.example"}), audited=(NOW - 40 * DAY, NOW)
        )
        for oid in oids
    }
    settled: dict[str, Any] = {
        "staff": STAFF,
        "declared": frozenset(f"{oid}.example" for oid in oids),
        "roles": {"none": Role("none", frozenset())},
        "used": {},
    } | more
    return Facts(world=world, places=places, now=NOW, **settled)


def found(changes: list[AccessChange], oids: str = "abc", **more: Any) -> list[Finding]:
    """Everything that is found."""
    return list(find(facts(changes, oids, **more)).findings)


def kinds(changes: list[AccessChange], oids: str = "abc", **more: Any) -> list[str]:
    """Of everything that is found."""
    return [each.kind for each in found(changes, oids, **more)]


def key(facts: Facts, **more: Any) -> KeyDetail:
    """A key in which nothing is wrong."""
    names = more.pop("names", ("org.get",))
    settled: dict[str, Any] = {
        "oid": "a", "key_hash": "h", "name": Untrusted("siem"), "permissions": facts.world.mask(names),
        "created_by": Untrusted("root@provider.example"), "allowed_ip_range": Untrusted("203.0.113.0/24"),
        "last_used": NOW - DAY, "first_seen": NOW - DAY,
    } | more  # fmt: skip
    return KeyDetail(**settled)


def keyed(*keys: dict[str, Any], **more: Any) -> list[str]:
    """The kinds found when these keys are there."""
    made = facts([], **more)
    return [each.kind for each in find(replace(made, keys=[key(made, **fields) for fields in keys])).findings]


# Leaks


def test_a_customers_user_in_a_group_of_their_own_customer_is_no_leak() -> None:
    assert kinds(group("g", ["kim@a.example"], ["a"], ["org.get"])) == []


@pytest.mark.parametrize("oids", [["b"], ["a", "b"], ["b", "c"]])
def test_one_of_another_customer_is_enough_when_it_is_known_whose_the_address_is(oids: list[str]) -> None:
    (leak,) = found(group("g", ["kim@a.example"], oids, ["org.get"]))
    assert leak.kind == "leak"
    assert set(leak.oids) == set(oids) - {"a"}


def test_an_address_that_nobody_declared_leaks_over_two_customers() -> None:
    assert kinds(group("g", ["x@unknown.example"], ["b"], ["org.get"])) == []
    assert kinds(group("g", ["x@unknown.example"], ["b", "c"], ["org.get"])) == ["leak"]


def test_a_group_that_gives_nothing_leaks_nothing() -> None:
    assert kinds(group("g", ["kim@a.example"], ["b"], [])) == []


def test_an_owner_of_a_group_receives_nothing_and_leaks_nothing() -> None:
    changes = [
        *group("g", ["ada@provider.example"], ["a", "b"], ["org.get"]),
        AccessChange("add_owner", gid="g", principal="kim@a.example"),
    ]
    assert kinds(changes) == []


def test_without_knowing_who_is_staff_nobody_is_accused_and_that_is_said() -> None:
    changes = [
        *group("g", ["kim@a.example"], ["a", "b"], ["org.get"]),
        *grant("ada@provider.example", "a", "ikey.list"),
    ]
    report = find(facts(changes, staff=Staff()))
    assert report.findings == ()
    assert any("not looked for" in each for each in report.unknown)


# Privileged


def test_a_privileged_group_needs_members_and_two_customers() -> None:
    members = ["ada@provider.example"]
    assert kinds(group("g", members, ["a", "b"], ["org.get", "user.ctrl"])) == ["privileged_group"]
    assert kinds(group("g", members, ["a"], ["org.get", "user.ctrl"])) == []
    assert kinds(group("g", [], ["a", "b"], ["user.ctrl"])) == ["empty_group"]


def test_an_owner_may_hold_what_makes_an_owner_and_a_part_of_it_is_found() -> None:
    assert kinds(grant("kim@a.example", "a", *OWNER)) == []
    for name in ("user.ctrl", "apikey.ctrl", "billing.ctrl"):
        assert kinds(grant("kim@a.example", "a", name)) == ["privileged_person"]
    assert kinds(grant("kim@a.example", "a", "org.del")) == []


def test_who_owns_by_a_group_may_hold_a_part_of_it_directly() -> None:
    changes = [*group("g", ["kim@a.example"], ["a"], list(OWNER)), *grant("kim@a.example", "a", "ikey.list")]
    assert kinds(changes) == []


# Staff


def test_staff_granted_directly_is_told_what_no_group_gives() -> None:
    changes = [
        *group("g", ["ada@provider.example"], ["a", "b"], ["org.get", "dr.list"]),
        *grant("ada@provider.example", "a", "org.get", "dr.list"),
        *grant("ada@provider.example", "b", "org.get", "ikey.list"),
    ]
    (finding,) = found(changes)
    assert finding.kind == "staff_direct"
    assert any("all by a group as well" in each for each in finding.evidence)
    assert any("only so: ikey.list" in each for each in finding.evidence)
    assert "On Org b that takes away what no group gives" in finding.advice


def test_staff_on_an_organization_of_the_providers_own_and_staff_without_permissions_are_left_alone() -> None:
    changes = [
        *grant("ada@provider.example", "a", "org.get"),
        AccessChange("add_user", oid="b", principal="ada@provider.example"),
    ]
    made = facts(changes)
    places = dict(made.places)
    places["a"] = replace(places["a"], domains=frozenset({"provider.example"}))
    assert find(replace(made, places=places)).findings == ()


# Owners


def test_owners_are_counted_directly_and_by_groups() -> None:
    three = grant("kim@a.example", "a", *OWNER)
    assert kinds(three) == []
    assert kinds([*three, *group("g", ["lee@a.example"], ["a"], list(OWNER))]) == ["owner_sprawl"]
    assert kinds(three, thresholds=Thresholds(owners=2)) == ["owner_sprawl"]


def test_an_organization_without_any_owner_is_found_and_one_that_was_not_read_is_not() -> None:
    made = facts([])
    world = made.world.changed(
        AccessChange("remove_user", oid="b", principal=f"{name}@provider.example")
        for name in ("root", "deputy")
    )
    (finding,) = find(replace(made, world=world)).findings
    assert (finding.kind, finding.oids, finding.people) == ("single_owner", ("b",), ())
    assert finding.sentence == "has no owner that is known"
    places = dict(made.places)
    places["b"] = replace(places["b"], read=False)
    assert find(replace(made, world=world, places=places)).findings == ()


# Keys


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"names": ("org.get", "user.ctrl")}, ["privileged_key"]),
        ({"allowed_ip_range": Untrusted("")}, ["key_anywhere"]),
        ({"allowed_ip_range": Untrusted("0.0.0.0/0")}, ["key_anywhere"]),
        ({"allowed_ip_range": Untrusted("::/0")}, ["key_anywhere"]),
        ({"last_used": NOW - 90 * DAY}, ["key_stale"]),
        ({"last_used": NOW - 90 * DAY + 1}, []),
        ({"last_used": None, "first_seen": NOW - 90 * DAY}, ["key_stale"]),
        ({"last_used": None, "first_seen": NOW - 89 * DAY}, []),
        ({"created_by": Untrusted("gone@provider.example")}, ["key_of_left"]),
        ({"created_by": Untrusted("ROOT@provider.example")}, []),
        ({"created_by": Untrusted("another-key")}, []),
        ({"created_by": Untrusted("")}, []),
    ],
)
def test_a_key_is_looked_at_from_every_side(fields: dict[str, Any], expected: list[str]) -> None:
    assert keyed(fields) == expected


def test_who_left_is_said_by_the_tree_even_where_not_everything_was_read() -> None:
    made = facts([])
    places = dict(made.places)
    places["c"] = replace(places["c"], read=False)
    made = replace(made, places=places)
    gone = key(made, created_by=Untrusted("gone@provider.example"))
    report = find(replace(made, keys=[gone]))
    assert [each.kind for each in report.findings] == []
    assert any("people_left" in each for each in report.unknown)
    said = replace(made, keys=[gone], left=frozenset({"gone@provider.example"}))
    assert [each.kind for each in find(said).findings] == ["key_of_left"]


def test_keys_of_one_name_are_one_finding_and_the_scope_takes_its_part() -> None:
    made = facts([])
    keys = [
        key(made, oid=oid, key_hash=f"h-{oid}", allowed_ip_range=Untrusted("")) for oid in ("a", "b", "c")
    ]
    (whole,) = find(replace(made, keys=keys)).findings
    (part,) = find(replace(made, keys=keys, inside=frozenset({"b"}))).findings
    assert whole.oids == ("a", "b", "c")
    assert part.remedy == (AccessChange("delete_key", oid="b", principal="h-b"),)
    assert part.id == whole.id


# Groups


def test_a_group_that_break_glass_fills_and_one_known_in_part_may_be_empty() -> None:
    assert kinds(group("g", [], ["a"], ["org.get"])) == ["empty_group"]
    assert kinds(group("g", ["ada@provider.example"], [], ["org.get"])) == ["empty_group"]
    assert kinds(group("g", [], ["a"], ["org.get"]), spared=frozenset({"g"})) == []
    made = facts(group("g", [], ["a"], ["org.get"]))
    made.world.groups["g"] = replace(made.world.groups["g"], complete=False)
    assert find(made).findings == ()


def test_drift_says_what_is_beyond_the_role_and_what_is_lacking() -> None:
    roles = {"g": Role("analyst", frozenset({"org.get", "dr.list"}))}
    (finding,) = found(
        group("g", ["ada@provider.example"], ["a"], ["org.get", "dr.set"]), roles=roles, used=None
    )
    assert finding.kind == "group_drift"
    assert finding.remedy == (
        AccessChange("add_group_permission", gid="g", permission="dr.list"),
        AccessChange("remove_group_permission", gid="g", permission="dr.set"),
    )


# Second factors


@pytest.mark.parametrize(
    ("names", "severity"), [(["org.get"], 1), (["org.get", "dr.set"], 2), (list(OWNER), 3)]
)
def test_no_second_factor_weighs_as_much_as_what_it_protects(names: list[str], severity: int) -> None:
    (finding,) = found(
        grant("kim@a.example", "a", *names), mfa={"kim@a.example": False, "lee@a.example": False}, used=None
    )
    assert (finding.kind, finding.severity, finding.remedy) == ("no_mfa", severity, ())


def test_who_has_no_answer_is_counted_and_not_accused() -> None:
    report = find(facts(grant("kim@a.example", "a", "org.get"), mfa={"kim@a.example": None}))
    assert report.findings == ()
    assert any("not told of 1" in each for each in report.unknown)


# Twice


def test_what_a_group_gives_as_well_is_taken_away_whole_or_in_part() -> None:
    changes = [
        *group("g", ["kim@a.example"], ["a"], ["org.get", "dr.list"]),
        *grant("kim@a.example", "a", "org.get", "dr.list"),
    ]
    (whole,) = found(changes)
    assert whole.kind == "duplicate"
    assert whole.remedy == (AccessChange("remove_user", oid="a", principal="kim@a.example"),)
    (part,) = found([*changes, *grant("kim@a.example", "a", "ikey.list")])
    assert {each.permission for each in part.remedy} == {"org.get", "dr.list"}


# Unused


def test_only_what_the_log_would_tell_is_said_to_be_unused() -> None:
    (finding,) = found(grant("kim@a.example", "a", "dr.set", "dr.list", "user.ctrl")[:2])
    assert finding.kind == "unused"
    assert [each.permission for each in finding.remedy] == ["dr.set"]
    assert any("cannot be known" in each for each in finding.evidence)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ["unused"]),
        ({"used": {("a", "kim@a.example"): {"hive:dr-general": NOW - DAY}}}, []),
        ({"used": {("a", "kim@a.example"): {"hive:dr-general": NOW - 29 * DAY}}}, ["unused"]),
        ({"used": {("a", "kim@a.example"): {"send_task": NOW - DAY}}}, ["unused"]),
        ({"used": {("b", "kim@a.example"): {"hive:dr-general": NOW - DAY}}}, ["unused"]),
        ({"granted": {("a", "kim@a.example"): NOW - DAY}}, []),
        ({"granted": {("a", "kim@a.example"): NOW - 29 * DAY}}, ["unused"]),
        ({"used": None}, []),
    ],
)
def test_use_and_a_fresh_grant_keep_it(changed: dict[str, Any], expected: list[str]) -> None:
    assert kinds(grant("kim@a.example", "a", "dr.set"), **changed) == expected


@pytest.mark.parametrize("audited", [None, (NOW - 27 * DAY, NOW)])
def test_nothing_is_said_to_be_unused_where_the_log_does_not_go_back_far_enough(audited: Any) -> None:
    made = facts(grant("kim@a.example", "a", "dr.set"))
    places = {oid: replace(place, audited=audited) for oid, place in made.places.items()}
    report = find(replace(made, places=places))
    assert report.findings == ()
    assert any("cannot be known what is unused" in each for each in report.unknown)


def test_the_time_counts_back_from_the_last_reading_of_the_log() -> None:
    made = facts(
        grant("kim@a.example", "a", "dr.set"),
        used={("a", "kim@a.example"): {"hive:dr-general": NOW - 35 * DAY}},
    )
    read = {
        oid: replace(place, audited=(NOW - 90 * DAY, NOW - 10 * DAY)) for oid, place in made.places.items()
    }
    assert find(replace(made, places=read)).findings == ()


def test_a_group_is_told_by_all_of_its_members_and_cut_only_where_every_log_tells() -> None:
    changes = group(
        "g", ["ada@provider.example", "ben@provider.example"], ["a", "b"], ["dr.set", "sensor.task"]
    )
    did = {("b", "ben@provider.example"): {"send_task": NOW - DAY}}
    (finding,) = found(changes, used=did)
    assert finding.remedy == (AccessChange("remove_group_permission", gid="g", permission="dr.set"),)
    made = facts(changes, used=did)
    places = dict(made.places)
    places["a"] = replace(places["a"], audited=None)
    (partly,) = find(replace(made, places=places)).findings
    assert partly.remedy == ()
    assert partly.lines == ("take dr.set g",)


def test_a_key_that_does_not_use_all_it_holds_is_told_to_be_made_again() -> None:
    made = facts([])
    lazy = key(made, names=("dr.set", "org.get"), first_seen=NOW - 40 * DAY)
    (finding,) = find(replace(made, keys=[lazy])).findings
    assert (finding.kind, finding.remedy) == ("unused", ())
    young = replace(lazy, first_seen=NOW - DAY)
    assert find(replace(made, keys=[young])).findings == ()
    used = replace(made, keys=[lazy], used={("a", "siem"): {"hive:dr-general": NOW - DAY}})
    assert find(used).findings == ()


def test_every_audited_permission_is_one_and_has_its_source() -> None:
    for name, audited in AUDITED.items():
        found_one = known(name)
        assert found_one is not None
        assert family(name) == name
        assert found_one.kind != "read"
        assert audited.marks
        assert "5.10.1" in audited.source


# Everywhere


def test_two_people_may_have_access_to_everything_and_a_third_is_told_with_the_way() -> None:
    assert kinds([], "abcde") == []
    (finding,) = found(group("g", ["ada@provider.example"], list("abcde"), ["org.get"]), "abcde")
    assert finding.kind == "everything"
    assert finding.people == ("ada@provider.example", "deputy@provider.example", "root@provider.example")
    assert finding.lines == ("drop ORG g", "leave EMAIL g")
    assert kinds(group("g", ["ada@provider.example"], list("abcd"), ["org.get"]), "abcde") == []
    assert kinds(group("g", ["ada@provider.example"], list("abcd"), ["org.get"]), "abcd") == []


def test_several_ways_add_up_to_everything() -> None:
    changes = [
        *group("g", ["ada@provider.example"], list("abc"), ["org.get"]),
        *group("h", ["ada@provider.example"], list("cde"), ["org.get"]),
    ]
    (finding,) = found(changes, "abcde")
    assert any("the group g and the group h" in each for each in finding.evidence)


# All of them


def test_gone_organizations_and_a_scope_hide_what_is_not_asked_about() -> None:
    changes = group("g", ["kim@a.example"], ["b", "c"], ["org.get"])
    made = facts(changes)
    assert find(replace(made, inside=frozenset({"a"}))).findings == ()
    (part,) = find(replace(made, inside=frozenset({"c"}))).findings
    assert part.oids == ("c",)
    assert find(made, ("duplicate",)).findings == ()


PEOPLE = (
    "kim@a.example",
    "lee@b.example",
    "ada@provider.example",
    "root@provider.example",
    "x@unknown.example",
)
NAMES = ("org.get", "dr.set", "user.ctrl", "lookup.set", *OWNER)


@st.composite
def worlds(draw: Any) -> list[AccessChange]:
    """Anything that changes can make."""
    made: list[AccessChange] = []
    for gid in ("g", "h"):
        made += group(
            gid,
            draw(st.lists(st.sampled_from(PEOPLE), max_size=3)),
            draw(st.lists(st.sampled_from("abc"), max_size=3)),
            draw(st.lists(st.sampled_from(NAMES), max_size=4)),
        )
    for email in PEOPLE:
        for oid in "abc":
            if draw(st.booleans()):
                made += grant(email, oid, *draw(st.lists(st.sampled_from(NAMES), max_size=4)))
    return made


@pytest.mark.soak
@settings(max_examples=examples(150), deadline=None)
@given(worlds())
def test_every_remedy_takes_its_own_finding_away_and_gives_nobody_anything(
    changes: list[AccessChange],
) -> None:
    made = facts(changes)
    report = find(made)
    assert len({each.id for each in report.findings}) == len(report.findings)
    for finding in report.findings:
        assert finding.kind in KINDS
        assert finding.advice
        assert all(change.kind != "grant" for change in finding.remedy)
        if finding.remedy:
            after = find(replace(made, world=made.world.changed(finding.remedy)))
            assert finding.id not in {each.id for each in after.findings}, finding


# Settings


def test_thresholds_are_read_from_the_root_and_what_is_malformed_is_passed_over() -> None:
    assert thresholds_in({}) == Thresholds()
    assert thresholds_in(
        {"findings_stale_key": "30d", "findings_unused": "2w", "findings_owners": 5, "findings_everywhere": 9}
    ) == Thresholds(30 * DAY, 14 * DAY, 5, 9)
    for name, value in (
        ("findings_stale_key", 30), ("findings_unused", "soon"), ("findings_unused", "0d"),
        ("findings_owners", "3"), ("findings_owners", 0), ("findings_owners", True), ("findings_nonsense", 1),
    ):  # fmt: skip
        assert wrong_parameter(name, value, root=True)
        assert thresholds_in({name: value}) == Thresholds()
    assert wrong_parameter("findings_owners", 5, root=False) == "it belongs to the root of the tree"


def test_staff_can_be_derived_and_says_so_in_the_report() -> None:
    derived = staff_of([], ["a.example"], ["root@provider.example"])
    report = find(facts(grant("ada@provider.example", "a", "ikey.list"), staff=derived))
    assert [each.kind for each in report.findings] == ["staff_direct"]
    assert any("as the owners of groups have" in each for each in report.findings[0].evidence)


def test_customers_users_with_the_same_fault_are_one_finding_and_staff_is_named_each() -> None:
    people = [f"{name}@{oid}.example" for oid in "abc" for name in ("kim", "lee")]
    changes = [each for email in people for each in grant(email, email[4], "org.get", "dr.set")]
    changes += group("g", ["ada@provider.example"], ["a"], ["org.get"])
    mfa = dict.fromkeys((*people, "ada@provider.example"), False)
    report = {(each.kind, each.subject): each for each in found(changes, mfa=mfa)}
    assert set(report) == {
        ("no_mfa", "6 customers' users"), ("no_mfa", "ada@provider.example"), ("unused", "6 customers' users"),
    }  # fmt: skip
    unused = report["unused", "6 customers' users"]
    assert unused.people == tuple(sorted(people))
    assert len(unused.remedy) == 6
    part = find(facts(changes, mfa=mfa, inside=frozenset({"b"}))).findings
    narrowed = next(each for each in part if each.kind == "unused")
    assert (narrowed.id, narrowed.people) == (unused.id, ("kim@b.example", "lee@b.example"))
