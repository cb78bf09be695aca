"""An access file: what is wrong with one is said with its line and what to do, and what differs is found."""

from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from store.accesschanges import AccessChange
from store.accessfile import (
    AccessFileError,
    Difference,
    Known,
    Place,
    Present,
    changes,
    cover,
    drift,
    export,
    read,
)
from store.permissions import roles
from store.text import Untrusted
from store.timeline import Event, Standing
from tests.helpers.soak import examples

ACME, BOREALIS, CEDAR, LOOSE, LEFT = (f"{number:08x}-1a2b-4c3d-8e9f-001122334455" for number in range(5))
KNOWN = Known(
    places=(
        Place("root", "", None, 0, 5),
        Place("europe", "Europe", None, 1, 4),
        Place("gold", "Europe/Gold", None, 2, 3),
        Place("acme", "Europe/Gold/Acme Dental", ACME, 3, 3),
        Place("borealis", "Europe/Borealis", BOREALIS, 4, 4),
        Place("cedar", "Cedar", CEDAR, 5, 5),
    ),
    organizations={oid: Untrusted(oid[:8]) for oid in (ACME, BOREALIS, CEDAR, LOOSE)},
    gone=frozenset({LEFT}),
    groups={
        "g1": Present(
            "g1", Untrusted("SOC L1"), frozenset(roles()["Viewer"]), frozenset({ACME}),
            frozenset({"kim@p.example"}), frozenset({"root@p.example"}),
        ),
        "g2": Present("g2", Untrusted("Twin")),
        "g3": Present("g3", Untrusted("Twin")),
        "g4": Present("g4", Untrusted("Of others"), complete=False),
    },
    permissions=frozenset({"odd.seen", "secret.get.my-key"}),
)  # fmt: skip

GOOD = """\
roles:
  Responder:
    extends: Viewer
    permissions: [sensor.task]
    without: [org.get]
groups:
  - name: SOC L1
    role: Viewer
    nodes: [Europe/Gold]
    members: [Kim@p.example]
    owners: [root@p.example]
  - name: Responders
    role: Responder
    nodes: [/]
"""


def _remarks(text: str, known: Known = KNOWN) -> list[str]:
    """What is said of a file, whether it is wrong or may be meant so."""
    try:
        return [str(remark) for remark in read(text, known).remarks]
    except AccessFileError as error:
        return [str(remark) for remark in error.remarks]


# The file


def test_a_file_that_says_what_is_there_has_no_difference_and_a_new_group_is_made_whole() -> None:
    file = read(GOOD, KNOWN)
    first, second = drift(file, KNOWN)
    assert (first.name, first.role, first.differences) == ("SOC L1", "Viewer", ())
    held = frozenset(roles()["Viewer"]) - {"org.get"} | {"sensor.task"}
    assert file.roles["Responder"] == held
    gid = "new:Responders"
    assert changes([first, second], KNOWN) == [
        AccessChange("create_group", gid=gid),
        *(AccessChange("add_org", oid=oid, gid=gid) for oid in sorted((ACME, BOREALIS, CEDAR, LOOSE))),
        *(AccessChange("add_group_permission", gid=gid, permission=name) for name in sorted(held)),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- name: x\n", ["Line 1: An access file is a mapping with `groups`, and `roles` where the provider has its own. Begin with `groups:`, and below it `- name: ...`."]),
        ("roles: {}\n", ["Line 1: The file names no groups. Write `groups:`, and below it `- name: ...`."]),
        ("groups:\n  - name: SOC L1\n    rolle: Viewer\n", ["Line 3: 'rolle' is no field of a group. Did you mean role?"]),
        ("groups:\n  - name: SOC L1\n    role: Veiwer\n", ["Line 3: There is no role 'Veiwer'. Did you mean Viewer?"]),
        ("groups:\n  - name: SOC L1\n    nodes:\n      - Europe/Gold\n      - Europe/Glod\n", ["Line 5: The tree has no node 'Europe/Glod'. Did you mean Europe/Gold?"]),
        ("groups:\n  - name: SOC L1\n    permissions: [sensor.taks]\n", ["Line 3: There is no permission 'sensor.taks': the catalogue has none of this name, and nobody holds it. Did you mean sensor.task?"]),
        ("groups:\n  - name: SOC L1\n    role: Viewer\n    role: Owner\n", ["Line 4: The key 'role' is there twice; it is on line 3 too. Keep one of them; put what both say into it."]),
        ("groups:\n  - name: SOC L1\n    role: no\n", ["Line 3: The role 'False' is not text to YAML. Write it in quotes.", "Line 3: YAML reads no as yes or no; write it in quotes if it is text."]),
        ("groups:\n  - name: SOC L1\n    members: [kim at p.example]\n", ["Line 3: 'kim at p.example' is no e-mail address. Write it as in `name@domain.example`."]),
        ("groups:\n  - name: SOC L1\n    members: [a@p.example, A@p.example]\n", ["Line 3: 'A@p.example' is there twice. Take one of them out."]),
        ("groups:\n  - name: SOC L1\n    members: a@p.example\n", ["Line 3: This is a list of e-mail addresses. Write `[a@p.example]`, or one on each line after `- `."]),
        ("groups:\n  - name: SOC L1\n    members:\n", ["Line 3: Nothing stands behind `members`. Write `[]` for none at all, or take the line out: then they are not looked at."]),
        ("groups:\n  - name: SOC L1\n    owners: []\n", ["Line 3: A group has at least one owner. Name one, or leave `owners` out: then they stay."]),
        ("groups:\n  - name: Twin\n", ["Line 2: 2 groups are called 'Twin'. Say which by `gid: ...`: g2, g3."]),
        ("groups:\n  - gid: g9\n    name: Y\n", ["Line 2: There is no group 'g9'. Leave `gid` out and give a name: then the group is made."]),
        ("groups:\n  - name: SOC L1\n  - gid: g1\n", ["Line 3: The group 'SOC L1' is there twice; it is on line 2 too. Keep one of them; put what both say into it."]),
        ("groups:\n  - role: Viewer\n", ["Line 2: The group has no name. Write `name: ...`, or `gid: ...` of one that is there."]),
        ("groups:\n  - name: SOC L1\n    role: Viewer\n    permissions: [org.get]\n", ["Line 4: The group has a role and permissions of its own. Make a role of your own that `extends` this one, and name it here."]),
        ("groups:\n  - name: SOC L1\n    open: [people]\n", ["Line 3: 'people' is no section that can be open. There are permissions, nodes, members, owners."]),
        ("roles:\n  viewer: {permissions: [org.get]}\ngroups:\n  - name: SOC L1\n", ["Line 2: 'viewer' is LimaCharlie's own role Viewer, which is what it is. Give yours another name; `extends` takes over what theirs holds."]),
        ("roles:\n  A: {extends: B}\n  B: {extends: A}\ngroups:\n  - name: SOC L1\n", ["Line 3: The role 'B' extends itself: 'A > B > A'. Take one of them out."]),
        ("roles:\n  A:\n    extends: [Viewer, Nobody]\ngroups:\n  - name: SOC L1\n", ["Line 3: There is no role 'Nobody'. There are A, Administrator, Basic, Operator, Owner, Viewer."]),
        ("roles:\n  A:\n    extends: Basic\n    without: [dr.set]\ngroups:\n  - name: SOC L1\n    role: A\n", ["Line 4: 'A' leaves out dr.set, which it would not have. Take the line out."]),
        ("groups:\n  - name: SOC L1\n    nodes: [Europe, Europe/Gold]\n", ["Line 3: 'Europe/Gold' holds nothing that the nodes before it do not. Take it out."]),
        ("groups:\n  - name: New\n    role: Viewer\n    owners: [kim@p.example]\n", ["Line 4: Whoever makes the group 'New' becomes an owner of it. Name them among the owners, or `open: [owners]`."]),
        ("groups:\n  - name: Other\n    gid: g1\n", ["Line 2: The group g1 is called 'SOC L1', and a group cannot be renamed. Write its name as it is."]),
        ("a: *b\n", ["Line 1: The alias 'b' stands for nothing above it."]),
        ("groups:\n  - name: !!python/object:x {}\n", ["Line 2: The tag 'tag:yaml.org,2002:python/object:x' is not allowed. Write plain text; quotes keep it from being read as something else."]),
    ],
)  # fmt: skip
def test_what_is_wrong_or_odd_is_said_with_its_line_and_what_to_do(text: str, said: list[str]) -> None:
    assert _remarks(text) == said


def test_a_permission_that_is_not_in_the_catalogue_but_held_and_one_for_a_single_record_are_fine() -> None:
    text = "groups:\n  - name: SOC L1\n    permissions: [odd.seen, secret.get.my-key, secret.get.another]\n"
    assert _remarks(text) == []


def test_a_path_that_two_nodes_have_is_told_apart_by_id() -> None:
    twice = replace(KNOWN, places=(*KNOWN.places, Place("cedar-2", "Cedar", None, 6, 6)))
    text = "groups:\n  - name: SOC L1\n    nodes: [Cedar]\n"
    assert _remarks(text, twice) == [
        "Line 3: 2 nodes have the path 'Cedar'. Say which by its id: cedar, cedar-2.",
    ]
    assert read(text.replace("Cedar", "cedar"), twice).groups[0].organizations == {CEDAR}


def test_everything_that_is_wrong_is_said_at_once() -> None:
    text = "groups:\n  - name: SOC L1\n    role: X\n    nodes: [Y]\n    members: [z]\n"
    with pytest.raises(AccessFileError, match="Line 3: There is no role 'X'") as raised:
        read(text, KNOWN)
    assert [remark.line for remark in raised.value.remarks] == [3, 4, 5]
    assert str(raised.value).endswith("And 2 more.")


# What differs


def _differences(group: str, known: Known = KNOWN) -> list[tuple[str, str, str]]:
    found = drift(read(f"groups:\n  - name: SOC L1\n{group}", known), known)[0].differences
    return [(each.what, each.section, each.value) for each in found]


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("    members: [lee@p.example]\n", [("missing", "member", "lee@p.example"), ("extra", "member", "kim@p.example")]),
        ("    members: [lee@p.example]\n    open: [members]\n", [("missing", "member", "lee@p.example")]),
        ("    members: []\n", [("extra", "member", "kim@p.example")]),
        ("    owners: [kim@p.example]\n", [("missing", "owner", "kim@p.example"), ("extra", "owner", "root@p.example")]),
        ("    nodes: [Cedar]\n", [("missing", "organization", CEDAR), ("extra", "organization", ACME)]),
        ("    nodes: [europe]\n", [("missing", "organization", BOREALIS)]),
        (f"    nodes: [{LOOSE}]\n    open: [nodes]\n", [("missing", "organization", LOOSE)]),
        ("    permissions: [org.get]\n    open: [permissions]\n", []),
        ("    role: Viewer\n", []),
        ("", []),
    ],
)  # fmt: skip
def test_a_section_that_is_there_is_the_whole_of_it_unless_it_is_open(
    group: str, expected: list[tuple[str, str, str]]
) -> None:
    assert _differences(group) == expected


def test_an_organization_that_is_gone_is_neither_missing_nor_extra_below_a_node() -> None:
    known = replace(
        KNOWN,
        places=(*KNOWN.places, Place("left", "Left", LEFT, 6, 6)),
        groups={"g1": replace(KNOWN.groups["g1"], organizations=frozenset({ACME, LEFT}))},
    )
    assert _differences("    nodes: [Europe/Gold, Left]\n", known) == []
    assert _differences("    nodes: [Europe/Gold]\n", known) == [("extra", "organization", LEFT)]


def test_an_organization_that_no_listing_ever_named_is_told_and_left_alone() -> None:
    known = replace(KNOWN, groups={"g1": replace(KNOWN.groups["g1"], organizations=frozenset({"elsewhere"}))})
    found = drift(read("groups:\n  - name: SOC L1\n    nodes: []\n", known), known)
    assert [(each.what, each.value) for each in found[0].differences] == [("extra", "elsewhere")]
    assert changes(found, known) == []


def test_permissions_that_are_another_role_s_are_told_by_its_name() -> None:
    text = "groups:\n  - name: SOC L1\n    role: Owner\n"
    found = drift(read(text, KNOWN), KNOWN)[0]
    assert found.equals == "Viewer"
    assert {each.what for each in found.differences} == {"missing"}


def test_of_a_group_that_this_credential_does_not_own_nothing_is_told_and_nothing_changed() -> None:
    found = drift(read("groups:\n  - name: Of others\n    role: Owner\n    members: []\n", KNOWN), KNOWN)
    assert found[0].differences == ()
    assert "does not own the group" in found[0].unknown
    assert changes(found, KNOWN) == []


def test_a_difference_is_attributed_to_the_entry_that_made_it_and_to_no_other() -> None:
    def event(by: str, at: int) -> Event:
        return Event(1, at, "group", "", Untrusted(""), "g1", Untrusted("SOC L1"), "member", Untrusted(""), Untrusted(by), Untrusted(""), (), {})  # fmt: skip

    told = {
        ("member", "kim@p.example"): Standing(True, event("eve@p.example", 7)),
        ("member", "lee@p.example"): Standing(True, event("root@p.example", 5)),
        ("owner", "root@p.example"): Standing(True, event("root@p.example", 1)),
    }
    file = read(
        "groups:\n  - name: SOC L1\n    members: [lee@p.example]\n    owners: [root@p.example]\n", KNOWN
    )
    missing, extra = drift(file, KNOWN, {"g1": told})[0].differences
    # The log says that lee is a member: that does not tell why lee is none.
    assert (missing.value, missing.since, missing.by) == ("lee@p.example", None, "")
    assert extra == Difference(
        "extra", "member", "kim@p.example",
        AccessChange("remove_member", gid="g1", principal="kim@p.example"), 7, Untrusted("eve@p.example"), "group",
    )  # fmt: skip


# Written from what is there


def test_what_is_written_names_roles_where_permissions_are_just_theirs() -> None:
    held = frozenset({"org.get", "odd.seen"})
    known = replace(
        KNOWN,
        groups=dict(KNOWN.groups) | {"g2": replace(KNOWN.groups["g2"], permissions=held)},
        given={"Ours": held, "Never held": frozenset({"dr.set"})},
    )
    written = export(known)
    assert written["roles"] == {"Ours": {"permissions": ["odd.seen", "org.get"]}}
    first, second, third = written["groups"]
    assert first == {
        "name": "SOC L1", "gid": "g1", "role": "Viewer", "nodes": ["Europe/Gold"], "members": ["kim@p.example"],
        "owners": ["root@p.example"],
    }  # fmt: skip
    assert (second["gid"], second["role"], "name" in second) == ("g2", "Ours", False)
    assert (third["gid"], third["permissions"]) == ("g3", [])


@pytest.mark.parametrize(
    ("oids", "nodes"),
    [
        ({ACME, BOREALIS, CEDAR, LOOSE}, ["/"]),
        ({ACME, BOREALIS, CEDAR, LOOSE, LEFT}, ["/"]),
        ({ACME, BOREALIS, CEDAR, LOOSE, "elsewhere"}, ["/", "elsewhere"]),
        ({ACME, BOREALIS, CEDAR}, ["Europe", "Cedar"]),
        ({BOREALIS, LOOSE}, ["Europe/Borealis", LOOSE]),
        (set(), []),
    ],
)
def test_organizations_are_said_by_as_few_nodes_as_can(oids: set[str], nodes: list[str]) -> None:
    assert cover(oids, KNOWN) == nodes


def test_an_organization_with_others_below_it_is_said_alone_by_its_oid() -> None:
    known = replace(KNOWN, places=(Place("r", "", None, 0, 2), Place("a", "A", ACME, 1, 2), Place("b", "A/B", BOREALIS, 2, 2)))  # fmt: skip
    assert cover({ACME}, known) == [ACME]
    assert cover({ACME, BOREALIS}, known) == ["A"]


names = st.sampled_from(
    [
        "SOC L1",
        "no",
        "010",
        "a: b",
        "- x",
        "Ünïcode",
        "'q\"",
        "\u202eevil",
        "12:30",
        " spaced ",
        "n\u00a0b",
        "#c",
        "x\ty",
    ]
)
worlds = st.builds(
    lambda groups: replace(KNOWN, groups={each.gid: each for each in groups}),
    st.lists(
        st.builds(
            Present,
            st.sampled_from(["g1", "g2", "g3", "1e3"]),
            names.map(Untrusted),
            st.one_of(
                st.sampled_from([frozenset(held) for held in roles().values()]),
                st.frozensets(st.sampled_from(["org.get", "dr.set", "odd.seen"])),
            ),
            st.frozensets(st.sampled_from([ACME, BOREALIS, CEDAR, LOOSE, LEFT, "elsewhere"])),
            st.frozensets(st.sampled_from(["a@p.example", "B@p.example"])),
            st.frozensets(st.sampled_from(["root@p.example", "c@p.example"]), min_size=1),
        ),
        min_size=1,
        unique_by=lambda each: each.gid,
    ),
)


@pytest.mark.soak
@settings(max_examples=examples(200))
@given(known=worlds)
def test_what_is_written_and_read_back_has_no_difference(known: Known) -> None:
    text = yaml.safe_dump(export(known), sort_keys=False, allow_unicode=True)
    found = drift(read(text, known), known)
    assert len(found) == len(known.groups)
    assert changes(found, known) == []


@pytest.mark.soak
@settings(max_examples=examples(200))
@given(known=worlds, wanted=worlds)
def test_the_changes_made_leave_no_difference(known: Known, wanted: Known) -> None:
    """Whatever is there and whatever is wanted of it: made as changes, the file then says what is there."""
    there = frozenset(KNOWN.organizations)
    both = replace(
        wanted,
        groups={
            gid: replace(each, organizations=each.organizations & there)
            for gid, each in wanted.groups.items()
            if gid in known.groups
        },
    )
    if not both.groups:
        return
    text = yaml.safe_dump(export(both), sort_keys=False, allow_unicode=True)
    file = read(text, known)
    after = replace(known, groups={gid: _made(each, changes(drift(file, known), known)) for gid, each in known.groups.items()})  # fmt: skip
    assert changes(drift(read(text, after), after), after) == []


def _made(group: Present, made: list[AccessChange]) -> Present:
    sets: dict[str, set[Any]] = {
        "organization": set(group.organizations), "permission": set(group.permissions),
        "member": {each.lower() for each in group.members}, "owner": {each.lower() for each in group.owners},
    }  # fmt: skip
    of = {"add_org": "organization", "add_group_permission": "permission", "add_member": "member", "add_owner": "owner",
          "remove_org": "organization", "remove_group_permission": "permission", "remove_member": "member",
          "remove_owner": "owner"}  # fmt: skip
    for each in made:
        if each.gid == group.gid:
            value = each.oid or each.permission or each.principal
            (sets[of[each.kind]].add if each.kind.startswith("add") else sets[of[each.kind]].remove)(value)
    return replace(
        group, organizations=frozenset(sets["organization"]), permissions=frozenset(sets["permission"]),
        members=frozenset(sets["member"]), owners=frozenset(sets["owner"]),
    )  # fmt: skip


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.dates() | names | st.sampled_from(["Viewer", "/", "g1", "a@p.example"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "gid", "role", "nodes", "members", "open", "A"]) | st.integers(), inner, max_size=3)
    ),
    max_leaves=10,
)  # fmt: skip


@pytest.mark.soak
@settings(max_examples=examples(300))
@given(
    roles_=anything | st.dictionaries(names, st.fixed_dictionaries({}, optional={
        "extends": anything, "permissions": anything, "without": anything}), max_size=3),
    groups=anything | st.lists(st.fixed_dictionaries({}, optional={
        name: anything for name in ("name", "gid", "role", "permissions", "nodes", "members", "owners", "open", "x")}), max_size=3),
)  # fmt: skip
def test_whatever_a_file_holds_it_is_read_or_refused_with_lines(roles_: Any, groups: Any) -> None:
    text = yaml.safe_dump({"roles": roles_, "groups": groups})
    try:
        file = read(text, KNOWN)
    except AccessFileError as error:
        remarks = error.remarks
        assert remarks
    else:
        remarks = ()
        changes(drift(file, KNOWN), KNOWN)
    assert all(1 <= remark.line <= text.count("\n") + 1 and remark.text for remark in remarks)
    assert not remarks or any(remark.wrong for remark in remarks)
