"""Changes about access in the store: put aside, drafted with what was there, found to be stale, taken back."""

import random
from contextlib import closing
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from store import accessplans, ingest, planwork
from store.accesschanges import KINDS, NEW, AccessChange, ordered
from store.accesslines import FORMS, LineError, line, names, parse, words
from store.accessplans import Contradiction, NothingToDo, UnknownThing
from store.database import Store
from store.text import Untrusted
from store.tree import TreeNode, replace_tree
from tests.helpers.access_worlds import PERMISSIONS, GroupOf, World, world_of
from tests.helpers.soak import examples

NOW = 1_790_000_000_000
ANN, BOB = "ann@example.com", "bob@example.com"


def _world(store: Store) -> World:
    world = World(["o1", "o2", "o3"], [ANN, BOB])
    world.direct["o1", ANN] = {"dr.set", "org.get"}
    world.direct["o2", BOB] = {"org.get"}
    world.groups["g1"] = GroupOf("Tier 1", {BOB}, {ANN}, {"o1", "o2"}, {"org.get", "sensor.get"})
    world.keys["o1", "hash"] = {"org.get"}
    world.put(store, NOW)
    return world


def _draft(store: Store, *changes: AccessChange, now: int = NOW) -> int:
    with store.writing() as c:
        return accessplans.draft(c, changes, title="Test", by="ada", now=now)


def _load(store: Store, number: int) -> accessplans.Plan:
    with store.reader.reading() as c:
        return accessplans.load(c, number)


JOIN = AccessChange("add_member", gid="g1", principal=BOB)
GRANT = AccessChange("grant", oid="o1", principal=BOB, permission="dr.list")


def test_what_one_puts_aside_is_his_alone_and_stays(store: Store) -> None:
    with store.writing() as c:
        assert accessplans.stage(c, "ada", [JOIN, GRANT, JOIN], now=NOW) == 2
        assert accessplans.stage(c, "bob", [JOIN], now=NOW) == 1
        assert accessplans.staged(c, "ada") == ordered([JOIN, GRANT])
        leave = replace(JOIN, kind="remove_member")
        assert accessplans.stage(c, "ada", [leave], now=NOW) == 1
        assert accessplans.staged(c, "ada") == [GRANT, leave]
        assert accessplans.unstage(c, "ada", [JOIN]) == 0
        assert accessplans.unstage(c, "ada", [leave]) == 1
        assert accessplans.unstage(c, "ada") == 1
        assert accessplans.staged(c, "bob") == [JOIN]


def test_each_step_keeps_what_was_there(store: Store) -> None:
    _world(store)
    number = _draft(
        store, JOIN, GRANT,
        AccessChange("revoke", oid="o1", principal=ANN, permission="dr.set"),
        AccessChange("remove_user", oid="o2", principal=BOB),
        AccessChange("remove_group_permission", gid="g1", permission="org.get"),
        AccessChange("remove_org", gid="g1", oid="o2"),
        AccessChange("delete_key", oid="o1", principal="hash"),
        AccessChange("create_group", gid=f"{NEW}Tier 1"),
    )  # fmt: skip
    plan = _load(store, number)
    assert [(step.seq, step.change.kind, step.before) for step in plan.steps] == [
        (1, "create_group", {"named": ["g1"]}),
        (2, "add_user", {"user": False}),
        (3, "grant", {"user": False, "held": False}),
        (4, "add_member", {"held": False}),
        (5, "remove_group_permission", {"permissions": ["org.get", "sensor.get"]}),
        (6, "remove_org", {"held": True}),
        (7, "revoke", {"user": True, "held": True}),
        (8, "remove_user", {"permissions": ["org.get"]}),
        (9, "delete_key", {"held": True, "name": "name of hash", "permissions": ["org.get"], "by": "",
                           "allowed_ip_range": ""}),
    ]  # fmt: skip
    assert plan.organizations == ("o1", "o2")
    assert (plan.state, plan.expires_at) == ("draft", NOW + accessplans.GOOD_FOR)
    assert plan.hash == accessplans.hash_of(plan.steps)
    assert plan.hash != accessplans.hash_of(plan.steps[1:])


def test_of_an_organization_that_was_never_read_nothing_is_taken_to_be_so_already(store: Store) -> None:
    _world(store)
    with store.writing() as c:
        rows = [{"oid": oid, "name": oid} for oid in ("o1", "o2", "o3", "o4")]
        ingest.put_organizations(c, rows, complete=True, now=NOW)
    revoke = AccessChange("revoke", oid="o4", principal=ANN, permission="dr.set")
    plan = _load(store, _draft(store, revoke, replace(revoke, oid="o3")))
    assert [step.change.oid for step in plan.steps] == ["o4"]


def test_what_is_included_in_something_larger_is_left_out(store: Store) -> None:
    _world(store)
    number = _draft(
        store,
        AccessChange("remove_user", oid="o1", principal=ANN),
        AccessChange("revoke", oid="o1", principal=ANN, permission="dr.set"),
        AccessChange("delete_group", gid="g1"),
        AccessChange("remove_member", gid="g1", principal=ANN),
    )
    assert [step.change.kind for step in _load(store, number).steps] == ["remove_user", "delete_group"]


@pytest.mark.parametrize(
    "changes",
    [
        [JOIN, replace(JOIN, kind="remove_member")],
        [AccessChange("delete_group", gid="g1"), JOIN],
        [AccessChange("remove_user", oid="o1", principal=BOB), GRANT],
        [AccessChange("add_member", gid=f"{NEW}Nobody's", principal=BOB)],
    ],
)
def test_what_cannot_be_made_together_is_no_plan(store: Store, changes: list[AccessChange]) -> None:
    _world(store)
    with pytest.raises(Contradiction):
        _draft(store, *changes)


def test_what_the_store_does_not_know_is_named(store: Store) -> None:
    _world(store)
    with pytest.raises(UnknownThing, match="no group g9"):
        _draft(store, replace(JOIN, gid="g9"))
    with pytest.raises(UnknownThing, match="no organization o9"):
        _draft(store, replace(GRANT, oid="o9"))
    with pytest.raises(UnknownThing, match="no plan 7"):
        _load(store, 7)
    with pytest.raises(NothingToDo):
        _draft(store, AccessChange("add_member", gid="g1", principal=ANN))


def test_a_plan_is_stale_in_exactly_what_changed(store: Store) -> None:
    world = _world(store)
    number = _draft(store, JOIN, GRANT)
    with store.reader.reading() as c:
        assert accessplans.stale(c, accessplans.load(c, number)) == ()
    # Another permission of the same person is none of this plan's business.
    world.direct["o2", BOB].add("dr.set")
    world.put(store, NOW + 1)
    with store.reader.reading() as c:
        assert accessplans.stale(c, accessplans.load(c, number)) == ()
    world.groups["g1"].members.add(BOB)
    world.put(store, NOW + 2)
    with store.reader.reading() as c:
        (step,) = accessplans.stale(c, accessplans.load(c, number))
    assert (step.change, step.before) == (JOIN, {"held": True})
    with store.writing() as c:
        ingest.drop_group(c, "g1")
    with store.reader.reading() as c:
        assert len(accessplans.stale(c, accessplans.load(c, number))) == 3


def test_what_stands_below_a_protected_node_is_protected(store: Store) -> None:
    _world(store)
    with store.writing() as c:
        replace_tree(
            c,
            [
                TreeNode("top", None, "Top"),
                TreeNode("gold", "top", "Gold", marks=("protected",)),
                TreeNode("o1", "gold", "One", oid="o1"),
                TreeNode("o2", "top", "Two", oid="o2", marks=("canary",)),
                TreeNode("o3", "gold", "Three", oid="o3"),
            ],
        )
        assert accessplans.protected(c, ["o1", "o2"]) == (("o1", Untrusted("Customer o1")),)
        assert accessplans.protected(c, ["o2"]) == accessplans.protected(c, []) == ()
    one = _load(store, _draft(store, JOIN))
    assert one.phrase == "Customer o1"
    assert accessplans.confirmed(one.protected, " o1 ")
    assert not accessplans.confirmed(one.protected, "customer o1")
    both = _load(store, _draft(store, JOIN, replace(GRANT, oid="o3")))
    assert both.phrase == "2 protected organizations"
    assert accessplans.confirmed(both.protected, "2 protected organizations")
    assert not accessplans.confirmed(both.protected, "Customer o1")
    assert not accessplans.confirmed(both.protected, "")


def test_one_process_has_a_plan_and_what_another_says_of_it_does_not_count(store: Store) -> None:
    _world(store)
    first, second = _draft(store, JOIN), _draft(store, GRANT)
    with store.writing() as c:
        take = lambda number, who, live: planwork.take(  # noqa: E731
            c, number, who, operator="ada", now=NOW, is_live=lambda _: live
        )
        assert take(first, "one", True) is None
        busy = take(first, "two", True)
        assert busy is not None
        assert busy.holder == "one"
        assert take(second, "two", True) is not None
        with pytest.raises(planwork.Lost):
            planwork.beat(c, first, "two", now=NOW)
        assert take(first, "two", False) is None
        with pytest.raises(planwork.Lost):
            planwork.finish(c, first, "one", accessplans.APPLIED, now=NOW)
        planwork.finish(c, first, "two", accessplans.APPLIED, now=NOW)
        assert planwork.applying(c) == []
        assert not accessplans.drop(c, first, now=NOW)
        assert accessplans.drop(c, second, now=NOW)
        assert [(row.id, row.state) for row in accessplans.plans(c)] == [
            (second, "dropped"), (first, "applied"),
        ]  # fmt: skip
        assert [row.id for row in accessplans.plans(c, before=second)] == [first]


# Taking back


def _made(world: World, plan: accessplans.Plan) -> World:
    """The world after every step of a plan, made one by one on plain sets."""
    after = deepcopy(world)
    for step in plan.steps:
        change = step.change
        gid, key = change.gid, (change.oid, change.principal)
        group = after.groups.get(gid)
        match change.kind:
            case "create_group":
                after.groups[gid] = GroupOf(gid.removeprefix(NEW), set(), set(), set(), set())
            case "delete_group":
                del after.groups[gid]
            case "add_user":
                after.direct[key] = set()
            case "remove_user":
                del after.direct[key]
            case "grant":
                after.direct[key].add(change.permission)
            case "revoke":
                after.direct[key].remove(change.permission)
            case "delete_key":
                del after.keys[key]
            case _:
                assert group is not None
                verb, _, what = change.kind.partition("_")
                things = {
                    "member": group.members, "owner": group.owners, "org": group.organizations,
                    "group_permission": group.permissions,
                }[what]  # fmt: skip
                value = change.principal or change.oid or change.permission
                assert (value in things) is (verb == "remove")
                (things.add if verb == "add" else things.remove)(value)
    return after


def _plain(world: World) -> object:
    groups = {
        group.name: (group.owners, group.members, group.organizations, group.permissions)
        for group in world.groups.values()
    }
    return {key: names for key, names in world.direct.items()}, groups, world.keys


def _some_changes(world: World, chance: random.Random) -> set[AccessChange]:
    """A dozen changes that can be made together."""
    people, oids, gids = world.people, world.organizations, sorted(world.groups)
    changes: set[AccessChange] = set()
    deleted = {gid for gid in gids if chance.random() < 0.3}
    removed = {(oid, email) for oid in oids for email in people if chance.random() < 0.2}
    changes |= {AccessChange("delete_group", gid=gid) for gid in deleted}
    changes |= {AccessChange("remove_user", oid=oid, principal=email) for oid, email in removed}
    for _ in range(8):
        oid, email, name = chance.choice(oids), chance.choice(people), chance.choice(PERMISSIONS)
        if (oid, email) not in removed:
            changes.add(AccessChange(chance.choice(("grant", "revoke")), oid, "", email, name))
    for _ in range(8 * bool(gids)):
        gid, verb = chance.choice(gids), chance.choice(("add", "remove"))
        one = chance.choice(
            (
                AccessChange(f"{verb}_member", gid=gid, principal=chance.choice(people)),
                AccessChange(f"{verb}_owner", gid=gid, principal=chance.choice(people)),
                AccessChange(f"{verb}_org", gid=gid, oid=chance.choice(oids)),
                AccessChange(f"{verb}_group_permission", gid=gid, permission=chance.choice(PERMISSIONS)),
            )
        )
        if gid not in deleted:
            changes.add(one)
    return {each for each in changes if each.inverse() not in changes or each.gives}


@pytest.mark.soak
@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 1_000_000))
def test_what_a_plan_did_is_taken_back_exactly(tmp_path_factory, seed):
    world = world_of(seed)
    for number, group in enumerate(world.groups.values()):
        group.name = f"Group {number}"
    changes = _some_changes(world, random.Random(seed))
    path = tmp_path_factory.mktemp("undo") / "store.db"
    with closing(Store(f"sqlite:///{path}")) as store:
        world.put(store, NOW)
        try:
            number = _draft(store, *changes)
        except NothingToDo:
            return
        plan = _load(store, number)
        after = _made(world, plan)
        with store.writing() as c:
            planwork.take(c, number, "me", operator="ada", now=NOW, is_live=lambda _: False)
            for step in plan.steps:
                planwork.settle(c, number, step.seq, "done", now=NOW)
            planwork.finish(c, number, "me", accessplans.APPLIED, now=NOW)
            for gid in world.groups.keys() - after.groups.keys():
                ingest.drop_group(c, gid)
        after.put(store, NOW + 1)
        with store.reader.reading() as c:
            back = accessplans.undoing(c, number)
        assert _plain(_made(after, _load(store, _draft(store, *back)))) == _plain(world)


# Lines


def test_a_line_is_read_by_name_and_shown_in_words(store: Store) -> None:
    _world(store)
    with store.reader.reading() as c:
        change = parse("join Bob@Example.com 'Tier 1'  # a remark", c)
        assert change == JOIN
        assert parse(line(change), c) == change
        assert words(change, names(c, [change])) == "add bob@example.com to group Tier 1"
        grant = parse("grant bob@example.com dr.list 'Customer o1'", c)
        assert grant == GRANT
        assert words(grant, names(c, [grant])) == "grant dr.list to bob@example.com on Customer o1"
        key = parse("delete-key hash o1", c)
        assert words(key, names(c, [key])) == "delete key name of hash of Customer o1"
        for wrong in (
            "",
            "join",
            "fly away",
            "join bob 'Tier 1'",
            'join "',
            "give nothing.such g1",
            "\ud800",
        ):
            with pytest.raises(LineError):
                parse(wrong, c)


def test_there_is_a_line_and_words_for_every_kind(store: Store) -> None:
    _world(store)
    assert {kind for kind, _ in FORMS.values()} == set(KINDS)
    with store.reader.reading() as c:
        for kind in KINDS:
            change = AccessChange(
                kind,
                oid="o1" if "org" in kind or kind in ("grant", "revoke", "add_user", "remove_user", "delete_key")
                else "",
                gid=f"{NEW}Night shift" if kind == "create_group" else
                "g1" if "group" in kind or "org" in kind or "member" in kind or "owner" in kind else "",
                principal="hash" if kind == "delete_key" else
                BOB if kind in ("grant", "revoke") or kind.split("_")[-1] in ("user", "member", "owner") else "",
                permission="dr.list" if kind in ("grant", "revoke") or "permission" in kind else "",
            )  # fmt: skip
            assert parse(line(change), c) == change
            assert words(change, names(c, [change]))


def _refusal(text: str, c: Connection) -> str:
    try:
        parse(text, c)
    except LineError as error:
        return str(error)
    return ""


@pytest.mark.soak
@settings(max_examples=examples(200), deadline=None)
@given(text=st.text(max_size=60))
def test_no_line_does_more_than_be_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "lines.db"
    with closing(Store(f"sqlite:///{path}")) as store, store.reader.reading() as c:
        for word in ("", "join ", "grant a@b.c dr.set ", "new-group "):
            assert _refusal(word + text, c).isprintable()
