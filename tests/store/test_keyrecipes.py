"""Recipes of keys, their names, and from where they are used."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.keyrecipes import (
    FLAIRS,
    RECIPES,
    KeyProblem,
    check_range,
    flairs,
    name_notes,
    name_problem,
    read_recipes,
    recipes,
    same_range,
    wanted,
)
from store.permissions import catalogue, is_privileged, known


def test_every_recipe_is_of_documented_permissions_and_none_makes_a_master() -> None:
    for recipe in RECIPES:
        for permission in recipe.permissions:
            held = known(permission)
            assert held is not None, permission
            # The reference leaves Cases out; their own page has both.
            assert held.documented or permission.startswith("investigation."), permission
            assert not held.doubtful, permission
            assert not is_privileged(permission)


def test_what_a_recipe_says_it_leaves_out_it_leaves_out() -> None:
    held = {name: set(recipe.permissions) for name, recipe in recipes().items()}
    kinds = {each.name: each.kind for each in catalogue()}
    assert {kinds[each] for each in held["reader"]} == {"read"}
    assert not {"insight.evt.get", "secret.get", "fp.ctrl"} & held["reader"]
    assert "sensor.task" not in held["investigator"]
    assert {each for each in held["investigator"] if kinds[each] != "read"} == {"investigation.set"}
    assert not {each for each in held["infrastructure"] if each.endswith(".del")}
    assert not {"secret.get", "secret.set", "ext.sub", "sensor.task"} & held["infrastructure"]
    assert held["output"] == {"org.get", "output.list", "output.set", "output.del"}


def test_the_provider_s_own_recipes_extend_ours() -> None:
    own, problems = read_recipes(
        "- name: ticket-bot\n"
        "  says: writes cases\n"
        "  extends: reader\n"
        "  permissions: [investigation.set]\n"
        "  allowed_ip_range: 203.0.113.0/28\n"
    )
    assert problems == []
    assert own[0].own
    assert set(own[0].permissions) == {*recipes()["reader"].permissions, "investigation.set"}
    assert wanted("bot", recipe=own[0]).allowed_ip_range == "203.0.113.0/28"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("name: x", 1, "Recipes are a list"),
        ("- name: Big One\n  permissions: [org.get]", 1, "1 to 40 of a-z"),
        ("- name: reader\n  permissions: [org.get]", 1, "already"),
        ("- name: a\n  permissions: [org.get]\n- name: a\n  permissions: [org.get]", 3, "already"),
        ("- name: a\n  permissions: [org.get,\n    user.ctrl]", 3, "no recipe holds it"),
        ("- name: a\n  permissions: [org.git]", 2, "Did you mean org.get?"),
        ("- name: a\n  permissions: [org.get, hive.get]", 2, "historic"),
        ("- name: a\n  permissions: []", 2, "at least one"),
        ("- name: a\n  permissions: [org.get]\n  ip: 10.0.0.0/8", 3, "means nothing"),
        ("- name: a\n  permissions: [org.get]\n  allowed_ip_range: 0.0.0.0/0", 3, "every address"),
        ("- name: a\n  permissions: [org.get]\n  allowed_ip_range: 10.0.0.1/8", 3, "10.0.0.0/8"),
        ("- name: a\n  extends: nobody\n  permissions: [org.get]", 2, "no recipe 'nobody'"),
        ("- name: a\n  permissions: [org.get]\n  permissions: [dr.set]", 3, "twice"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line(text: str, line: int, says: str) -> None:
    own, problems = read_recipes(text)
    assert any(each.line == line and says in each.text for each in problems), problems
    assert [each.name for each in own] in ([], ["a"])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "needs a name"),
        (" a", "space"),
        ("a\x1b[2J", "can be seen"),
        ("a\u202eb", "can be seen"),
        ("a[bulk", "do not close"),
        ("x" * 129, "at most 128"),
    ],
)
def test_a_name_that_the_audit_log_could_not_show_is_refused(name: str, says: str) -> None:
    assert says in name_problem(name)
    with pytest.raises(KeyProblem):
        wanted(name, recipe=RECIPES[0], allowed_ip_range="10.0.0.0/8")


def test_a_flair_is_explained_and_an_unknown_one_is_said_to_be_none() -> None:
    assert flairs("a[Bulk] b[segment]") == ("bulk", "segment")
    assert name_notes("deploy[bulk]") == (f"[bulk]: {FLAIRS['bulk']}.",)
    assert "no flair" in name_notes("deploy[blk]")[0]
    assert "end of the name" in name_notes("[bulk]deploy")[1]
    assert name_notes("deploy") == ()


def test_a_range_is_there_unless_somebody_says_otherwise_and_then_it_is_said_loudly() -> None:
    reader = recipes()["reader"]
    with pytest.raises(KeyProblem, match="needs an address range"):
        wanted("a", recipe=reader)
    with pytest.raises(KeyProblem, match="not both"):
        wanted("a", recipe=reader, allowed_ip_range="10.0.0.0/8", anywhere=True)
    with pytest.raises(KeyProblem, match="every address"):
        wanted("a", recipe=reader, allowed_ip_range="::/0")
    key = wanted("a", recipe=reader, anywhere=True)
    assert key.allowed_ip_range == ""
    assert "EVERYWHERE" in key.notes[0]


def test_a_permission_that_makes_a_master_has_to_be_meant() -> None:
    with pytest.raises(KeyProblem, match="asked for by itself"):
        wanted("a", permissions=["org.get", "user.ctrl"], allowed_ip_range="10.0.0.0/8")
    key = wanted("a", permissions=["user.ctrl", "org.get"], allowed_ip_range="10.0.0.0/8", privileged=True)
    assert key.privileged == ("user.ctrl",)
    assert "MASTER" in key.notes[0]
    with pytest.raises(KeyProblem, match="a recipe, or permissions"):
        wanted("a", allowed_ip_range="10.0.0.0/8")


@given(
    st.one_of(
        st.tuples(st.ip_addresses(v=4), st.integers(1, 32)),
        st.tuples(st.ip_addresses(v=6), st.integers(1, 128)),
    )
)
def test_every_range_but_everywhere_is_taken_as_it_is(pair: tuple[object, int]) -> None:
    network = ipaddress.ip_network(f"{pair[0]}/{pair[1]}", strict=False)
    assert check_range(str(network)) == str(network)
    assert same_range(str(network), f" {network} ")
    assert not same_range(str(network), "")
