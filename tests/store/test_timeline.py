"""What an entry of a log says about access, on words and on strangers' shapes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.text import Untrusted
from store.timeline import (
    ACTIONS,
    KINDS,
    LARGEST,
    NOT_KEPT,
    Event,
    Said,
    audit_event,
    changed_permissions,
    kept,
    of_audit,
    of_group,
    row,
    standing,
    words,
)
from store.timeline import given as given_by

json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "action", "actor", "ts", "member_email", "perms", "added", "removed", "oid", "entity", "mtd", "etype",
    "ident", "permission", "type", "name", "msg",
)  # fmt: skip
entries = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=6), json_data, max_size=8)


def _told(entry: dict[str, Any], *, audit: bool = False, **changed: Any) -> str:
    """The words for an entry of the group SOC L1, or of the audit log of Acme Dental."""
    said = of_audit(entry) if audit else of_group(entry)
    assert said is not None
    organization = "Acme Dental" if audit or said.oid else ""
    event = Event(
        1, 0, "audit" if audit else "group", "o1" if organization else "", Untrusted(organization),
        said.gid or ("" if audit else "g1"), Untrusted("SOC L1" if said.gid or not audit else ""), said.kind,
        Untrusted(said.action), Untrusted(said.actor), Untrusted(said.principal),
        tuple(map(Untrusted, said.permissions)), entry,
    )  # fmt: skip
    return words(event)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"action": "create_group"}, "made the group SOC L1"),
        ({"action": "add_member", "member_email": "Kim@a.example"}, "made kim@a.example a member of the group SOC L1"),
        ({"action": "remove_member", "member_email": "k@a.example"}, "took k@a.example out of the group SOC L1"),
        ({"action": "add_owner", "member_email": "k@a.example"}, "made k@a.example an owner of the group SOC L1"),
        ({"action": "remove_owner"}, "ended the ownership of the group SOC L1 by somebody"),
        (
            {"action": "set_permissions", "perms": ["dr.set"], "added": ["dr.set"], "removed": ["org.get"]},
            "changed what the group SOC L1 gives: +dr.set, -org.get",
        ),
        ({"action": "set_permissions", "perms": ["org.get"]}, "changed what the group SOC L1 gives: org.get"),
        ({"action": "set_permissions", "perms": []}, "changed what the group SOC L1 gives: nothing any more"),
        ({"action": "add_org", "oid": "o1"}, "put Acme Dental into the group SOC L1"),
        ({"action": "remove_org", "oid": "o1"}, "took Acme Dental out of the group SOC L1"),
        ({"action": "rename", "message": "to X"}, "rename of the group SOC L1: to X"),
        ({"odd": 1}, "an entry without an action of the group SOC L1"),
    ],
)  # fmt: skip
def test_what_a_group_s_log_tells_has_words(entry: dict[str, Any], expected: str) -> None:
    assert _told(entry) == expected


def _audit(about: str, name: str, **more: Any) -> dict[str, Any]:
    return {"etype": "config_change", "ident": "root@p.example", "msg": "as it came",
            "entity": {"type": about, "name": name}, "mtd": more}  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (_audit("user", "k@a.example", action="add", permission="dr.set"), "granted dr.set to k@a.example on Acme Dental"),
        (_audit("user", "k@a.example", action="remove", permission="dr.set"), "revoked dr.set from k@a.example on Acme Dental"),
        (_audit("user", "k@a.example", action="add", role="Viewer"), "added k@a.example as Viewer on Acme Dental"),
        (_audit("user", "k@a.example", action="add", role=""), "added k@a.example without any permission on Acme Dental"),
        (_audit("user", "k@a.example", action="remove"), "removed k@a.example on Acme Dental"),
        (_audit("user", "k@a.example", action="set", role="Owner"), "gave k@a.example the role Owner on Acme Dental"),
        (_audit("api_key", "ci", action="create", permissions=["a.b", "c.d"]), "made the API key ci with a.b, c.d on Acme Dental"),
        (_audit("api_key", "ci", action="delete"), "deleted the API key ci on Acme Dental"),
        (_audit("user", "k@a.example", action="frobnicate"), "frobnicate on Acme Dental: as it came"),
    ],
)  # fmt: skip
def test_what_an_audit_log_tells_about_access_has_words(entry: dict[str, Any], expected: str) -> None:
    assert _told(entry, audit=True) == expected


@pytest.mark.parametrize(
    "entry",
    [
        {"etype": "hive_set", "entity": {"type": "hive", "name": "dr-general/x"}},
        {"etype": "api_call", "entity": {"type": "api_key", "name": "ci"}},
        {"etype": "user_login", "entity": {"type": "user", "name": "k@a.example"}},
        {"etype": "config_change", "entity": "odd"},
        {},
    ],
)
def test_what_is_not_about_access_or_tells_of_use_alone_is_no_event(entry: dict[str, Any]) -> None:
    assert of_audit(entry) is None
    assert audit_event("o1", "d", 1, entry) is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"action": "add_member", "member_email": "k@a.example"}, "made k@a.example a member"),
        ({"action": "remove_member", "member_email": "k@a.example"}, "took k@a.example out"),
        ({"action": "add_owner", "member_email": "k@a.example"}, "made k@a.example an owner"),
        ({"action": "remove_owner", "member_email": "k@a.example"}, "ended the ownership by k@a.example"),
        ({"action": "add_org", "oid": "o1"}, "put o1 in"),
        ({"action": "remove_org", "oid": "o1"}, "took o1 out"),
        ({"action": "set_permissions", "added": ["dr.set"]}, "changed what it gives: +dr.set"),
        ({"action": "create_group"}, "made the group"),
        ({"action": "rename"}, "rename"),
    ],
)
def test_beside_a_column_that_says_where_the_words_do_not(entry: dict[str, Any], expected: str) -> None:
    said = of_group(entry)
    event = Event(
        1, 0, "group", said.oid, Untrusted(""), "g1", Untrusted("SOC L1"), said.kind, Untrusted(said.action),
        Untrusted(said.actor), Untrusted(said.principal), tuple(map(Untrusted, said.permissions)), entry,
    )  # fmt: skip
    assert words(event, where=False) == expected


def test_an_audit_entry_about_a_group_names_it() -> None:
    entry = _audit("group", "SOC L1", action="add_member", gid="g1", member_email="k@a.example")
    assert of_audit(entry) == Said(
        "add_member", "member", "root@p.example", "k@a.example", gid="g1", permissions=()
    )


def test_a_set_that_does_not_say_what_changed_is_not_taken_for_one_that_changed_nothing() -> None:
    assert changed_permissions({"perms": ["a"]}) is None
    assert changed_permissions({"added": []}) == (frozenset(), frozenset())


def test_secrets_are_not_kept_wherever_they_stand() -> None:
    assert kept({"action": "x", "token": "t0p", "mtd": [{"api_key": "k", "key_hash": "h"}], "secret": ""}) == {
        "action": "x", "token": NOT_KEPT, "mtd": [{"api_key": NOT_KEPT, "key_hash": "h"}], "secret": "",
    }  # fmt: skip


def test_a_huge_entry_keeps_what_is_small_in_it_and_says_so() -> None:
    small = kept({"action": "x", "note": "n" * (LARGEST + 1)})
    assert small["action"] == "x"
    assert "note" not in small
    assert "left out" in small


@given(entry=entries)
def test_whatever_an_entry_is_made_of_it_has_a_row_and_words(entry: dict[str, Any]) -> None:
    for said, audit in ((of_group(entry), False), (of_audit(entry), True)):
        if said is not None:
            made = row("audit" if audit else "group", "g1", "d", 0, said, entry)
            assert made["kind"] in KINDS
            assert all(len(value) <= 500 for value in made.values() if isinstance(value, str))
            assert _told(entry, audit=audit)
    assert set(ACTIONS.values()) <= set(KINDS)


# How something became as it is


def _of(entry: dict[str, Any], number: int, *, source: str = "group") -> Event:
    said = of_group(entry) if source == "group" else of_audit(entry)
    assert said is not None
    return Event(
        number, number, source, said.oid, Untrusted(""), "g1", Untrusted("SOC L1"), said.kind,
        Untrusted(said.action), Untrusted(said.actor), Untrusted(said.principal),
        tuple(map(Untrusted, said.permissions)), entry,
    )  # fmt: skip


def _standing(*entries: dict[str, Any]) -> dict[tuple[str, str], tuple[bool, int]]:
    """(section, value) -> (whether it is there, number of the entry that made it so)."""
    found = standing(_of(entry, number) for number, entry in enumerate(entries))
    return {key: (each.present, each.event.id) for key, each in found.items()}


def test_what_came_went_and_came_again_stands_since_the_last_time() -> None:
    join, leave = ({"action": f"{act}_member", "member_email": "k@a.example"} for act in ("add", "remove"))
    assert _standing(join) == {("member", "k@a.example"): (True, 0)}
    assert _standing(join, leave, join, join) == {("member", "k@a.example"): (True, 2)}
    assert _standing(join, leave) == {("member", "k@a.example"): (False, 1)}


def test_sets_without_what_changed_are_told_apart_once_one_is_known() -> None:
    first, second = (
        {"action": "set_permissions", "perms": ["a"]},
        {"action": "set_permissions", "perms": ["b"]},
    )
    # Nothing tells what was before the first set; after the making of the group there was nothing.
    assert _standing(first, second) == {("permission", "b"): (True, 1), ("permission", "a"): (False, 1)}
    assert _standing({"action": "create_group"}, first) == {("permission", "a"): (True, 1)}
    assert _standing(first) == {}


def test_an_audit_log_tells_of_a_group_as_its_own_log_does() -> None:
    entry = _audit("group", "SOC L1", action="add_member", gid="g1", member_email="k@a.example")
    changed = _audit(
        "group", "SOC L1", action="set_permissions", gid="g1", added=["dr.set"], perms=["dr.set"]
    )
    found = standing([_of(entry, 1, source="audit"), _of(changed, 2, source="audit")])
    assert found["member", "k@a.example"].event.actor == "root@p.example"
    assert found["permission", "dr.set"].present


def test_entries_that_tell_no_whom_make_nothing_stand() -> None:
    assert _standing({"action": "add_member"}, {"action": "add_org"}, {"action": "set_permissions"}) == {}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"action": "set_permissions", "perms": ["a.b", "user.ctrl"], "added": ["user.ctrl"]},
            ("user.ctrl",),
        ),
        ({"action": "set_permissions", "perms": ["a.b"]}, ("a.b",)),
        ({"action": "add_member", "member_email": "k@a.example"}, ()),
    ],
)
def test_what_an_event_gave_is_what_it_added(entry: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert given_by(_of(entry, 1)) == expected


def test_a_role_gives_what_it_holds() -> None:
    event = _of(_audit("user", "k@a.example", action="set", role="Owner"), 1, source="audit")
    assert "user.ctrl" in given_by(event)
