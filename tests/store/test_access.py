"""Why somebody has a permission, why not, and what takes it away."""

import random
from dataclasses import replace
from typing import Any

import pytest

from store.access import (
    MOST_CUTS,
    Cuts,
    Facts,
    GroupFacts,
    KeyFacts,
    Noted,
    UnknownPrincipal,
    cuts,
    explain,
    kind_of,
    who,
)
from store.text import Untrusted
from tests.helpers.access_worlds import PERMISSIONS, Step, World, world_of

HERE, THERE = "org-here", "org-there"
KIM, LEE, ROOT = "kim@acme.example", "lee@provider.example", "root@provider.example"


def group(gid: str, **held: Any) -> GroupFacts:
    sets = {name: frozenset(value) for name, value in held.items() if name not in ("held", "complete")}
    others = {name: value for name, value in held.items() if name in ("held", "complete")}
    return GroupFacts(gid, Untrusted(f"Name of {gid}"), **sets, **others)


def facts_of(*groups: GroupFacts, direct: Any = None, keys: Any = (), audit: Any = ()) -> Facts:
    return Facts(
        direct={
            email: {oid: frozenset(names) for oid, names in held.items()}
            for email, held in (direct or {}).items()
        },
        groups={each.gid: each for each in groups},
        keys={(key.oid, key.key_hash): key for key in keys},
        people=frozenset({KIM, LEE, ROOT}),
        audit=audit,
    )


RESPONDERS = group(
    "g1",
    owners={ROOT},
    members={KIM, LEE},
    organizations={HERE, THERE},
    permissions={"sensor.task", "dr.set"},
)


def steps_of(found: Cuts) -> list[frozenset[Step]]:
    return [
        frozenset((each.change, each.gid, each.principal, each.permission) for each in cut.changes)
        for cut in found.cuts
    ]


# Paths


def test_every_path_is_named_with_the_owners_and_the_reach_of_a_group():
    found = explain(facts_of(RESPONDERS, direct={KIM: {HERE: ["sensor.task"]}}), KIM, "sensor.task", HERE)
    assert found.granted
    assert [(path.via, path.gid) for path in found.paths] == [("direct", ""), ("group", "g1")]
    assert (found.paths[1].owners, found.paths[1].organizations, found.paths[1].members) == ((ROOT,), 2, 2)
    assert found.missing == ()


def test_the_owner_of_a_group_does_not_receive_what_it_gives():
    found = explain(facts_of(RESPONDERS), ROOT, "sensor.task", HERE)
    assert not found.granted
    assert [each.link for each in found.missing] == ["owner_only", "no_direct_grant"]


def test_an_owner_who_is_a_member_too_receives_it():
    both = replace(RESPONDERS, members=RESPONDERS.members | {ROOT})
    assert explain(facts_of(both), ROOT, "sensor.task", HERE).granted


def test_a_key_has_what_it_was_made_with_and_only_on_its_own_organization():
    key = KeyFacts(HERE, "h1", Untrusted("ci"), frozenset({"dr.set"}), Untrusted(ROOT))
    facts = facts_of(keys=[key])
    (path,) = explain(facts, "h1", "dr.set", HERE).paths
    assert (path.via, path.by, path.told, path.since) == ("direct", ROOT, "listing", None)
    assert [each.link for each in explain(facts, "h1", "dr.get", HERE).missing] == ["key_lacks_permission"]
    assert [each.link for each in explain(facts, "h1", "dr.set", THERE).missing] == ["other_organization"]


def test_a_group_is_asked_for_what_it_gives_to_its_members():
    facts = facts_of(RESPONDERS)
    assert [path.gid for path in explain(facts, "g1", "dr.set", HERE).paths] == ["g1"]
    assert [each.link for each in explain(facts, "g1", "dr.get", HERE).missing] == ["group_lacks_permission"]
    assert [each.link for each in explain(facts, "g1", "dr.set", "elsewhere").missing] == [
        "group_lacks_organization"
    ]


def test_a_principal_that_nobody_knows_is_refused():
    with pytest.raises(UnknownPrincipal):
        explain(facts_of(RESPONDERS), "nobody@example.com", "dr.set", HERE)
    with pytest.raises(UnknownPrincipal):
        cuts(facts_of(RESPONDERS), "nobody@example.com", "dr.set", HERE)
    assert kind_of(facts_of(RESPONDERS), "g1") == "group"


# Why not


def test_the_missing_link_is_the_permission_where_the_group_holds_the_organization():
    found = explain(facts_of(RESPONDERS), KIM, "user.ctrl", HERE)
    assert [(each.link, each.gid) for each in found.missing] == [
        ("group_lacks_permission", "g1"),
        ("no_direct_grant", ""),
    ]


def test_the_missing_link_is_the_organization_where_the_group_gives_the_permission_elsewhere():
    elsewhere = replace(RESPONDERS, organizations=frozenset({THERE}))
    found = explain(facts_of(elsewhere), KIM, "dr.set", HERE)
    assert found.missing[0].link == "group_lacks_organization"


def test_the_missing_link_is_the_membership_where_a_group_gives_it_to_others():
    others = replace(RESPONDERS, members=frozenset({LEE}))
    found = explain(facts_of(others), KIM, "dr.set", HERE)
    assert (found.missing[0].link, found.missing[0].organizations) == ("not_member", 2)


def test_a_group_that_has_nothing_to_do_with_it_is_no_link():
    strange = group("g2", members={LEE}, organizations={THERE}, permissions={"dr.set"})
    assert [each.link for each in explain(facts_of(strange), KIM, "dr.set", HERE).missing] == [
        "no_direct_grant"
    ]


def test_a_family_that_is_held_covers_the_record_and_a_record_is_not_the_family():
    whole = facts_of(direct={KIM: {HERE: ["secret.get"]}, LEE: {HERE: ["secret.get.vault"]}})
    assert explain(whole, KIM, "secret.get.vault", HERE).missing[0].permissions == ("secret.get",)
    assert explain(whole, KIM, "secret.get.vault", HERE).missing[0].link == "covered"
    assert explain(whole, LEE, "secret.get", HERE).missing[0].link == "records_only"
    both = facts_of(direct={KIM: {HERE: ["secret.get", "secret.get.vault"]}})
    assert explain(both, KIM, "secret.get.vault", HERE).covered == ("secret.get",)


# Since when


def noted(time: int, actor: str, name: str = KIM, kind: str = "user", **more: Any) -> Noted:
    return Noted(time, Untrusted(actor), {"entity": {"type": kind, "name": name}, "mtd": more})


def since(*audit: Noted, permission: str = "dr.set") -> tuple[int | None, str]:
    facts = facts_of(direct={KIM: {HERE: [permission]}}, audit=audit)
    path = explain(facts, KIM, permission, HERE).paths[0]
    assert path.told == ("" if path.since is None else "audit")
    return path.since, path.by


def test_a_grant_is_as_old_as_the_entry_that_last_gave_it():
    add = {"permission": "dr.set", "action": "add"}
    gone = {"permission": "dr.set", "action": "remove"}
    assert since(noted(1, ROOT, **add)) == (1, ROOT)
    assert since(noted(1, LEE, **add), noted(2, LEE, **gone), noted(3, ROOT, **add)) == (3, ROOT)
    assert since(noted(1, LEE, **add), noted(2, ROOT, **add)) == (1, LEE)


def test_what_the_log_does_not_tell_is_not_known():
    assert since() == (None, "")
    assert since(noted(1, ROOT, permission="dr.set", action="remove")) == (None, "")
    assert since(noted(1, ROOT, permission="dr.get", action="add")) == (None, "")
    assert since(noted(1, ROOT, name=LEE, permission="dr.set", action="add")) == (None, "")
    assert since(noted(1, ROOT, kind="sensor", permission="dr.set", action="add")) == (None, "")
    assert since(Noted(1, Untrusted(ROOT), {"entity": "odd", "mtd": ["odd"]})) == (None, "")


def test_a_role_gives_what_it_is_known_to_hold_and_ends_what_was_before():
    add = {"permission": "dr.set", "action": "add"}
    assert since(noted(1, LEE, **add), noted(2, ROOT, role="Administrator", action="set")) == (2, ROOT)
    assert since(noted(1, LEE, **add), noted(2, ROOT, role="Basic", action="set")) == (None, "")
    assert since(noted(2, ROOT, role="Basic", action="set"), noted(3, LEE, **add)) == (3, LEE)
    assert since(noted(1, LEE, **add), noted(2, ROOT, action="remove")) == (None, "")
    assert since(noted(1, LEE, **add), noted(2, ROOT, action="add", role="")) == (None, "")


def test_a_key_is_as_old_as_the_entry_that_tells_of_its_making():
    key = KeyFacts(HERE, "h1", Untrusted("ci"), frozenset({"dr.set"}))
    made = noted(7, LEE, name="ci", kind="api_key", key_hash="h1", action="create")
    (path,) = explain(facts_of(keys=[key], audit=[made]), "h1", "dr.set", HERE).paths
    assert (path.since, path.by, path.told) == (7, LEE, "audit")


# Cuts


def test_the_least_harmful_of_the_smallest_cuts_is_found():
    found = cuts(facts_of(RESPONDERS, direct={KIM: {HERE: ["sensor.task"]}}), KIM, "sensor.task", HERE)
    # To leave the group costs kim dr.set here and both there; to take the permission from it costs kim's there
    # and lee's two; to take the organization from it costs kim's dr.set and lee's two.
    assert {len(cut.changes) for cut in found.cuts} == {2}
    assert {cut.lost for cut in found.cuts} == {3}
    assert len(found.cuts) == 3
    assert [cut.organizations for cut in found.cuts] == [2, 1, 2]
    alone = replace(RESPONDERS, members=frozenset({KIM}))
    (only,) = cuts(facts_of(alone), KIM, "sensor.task", HERE).cuts[:1]
    assert only.lost == 1
    assert [each.change for each in only.changes] in (["remove_org"], ["remove_group_permission"])


def test_nothing_is_cut_where_nothing_is_held():
    assert cuts(facts_of(RESPONDERS), ROOT, "dr.set", HERE) == Cuts(())


def test_a_key_goes_as_a_whole():
    key = KeyFacts(HERE, "h1", Untrusted("ci"), frozenset({"dr.set", "dr.get", "dr.del"}))
    (cut,) = cuts(facts_of(keys=[key]), "h1", "dr.set", HERE).cuts
    assert [each.change for each in cut.changes] == ["revoke"]
    assert cut.lost == 2


def test_more_than_the_list_holds_is_said():
    groups = [
        group(f"g{number}", members={KIM}, organizations={HERE}, permissions={"dr.set"})
        for number in range(4)
    ]
    found = cuts(facts_of(*groups), KIM, "dr.set", HERE)
    assert len(found.cuts) == MOST_CUTS
    assert found.more
    assert len(set(steps_of(found))) == MOST_CUTS


def test_a_great_many_paths_are_answered_in_bounded_time():
    groups = [
        group(
            f"g{number}",
            members={KIM, LEE, f"only-{number}"},
            organizations={HERE, THERE, f"only-{number}"},
            permissions={"dr.set", "dr.get", f"only.{number}"},
        )
        for number in range(40)
    ]
    found = cuts(facts_of(*groups), KIM, "dr.set", HERE)
    assert found.cuts
    assert {len(cut.changes) for cut in found.cuts} == {40}


@pytest.mark.parametrize("part", range(10))
def test_explain_and_who_agree_with_every_grant_spelled_out(part: int):
    chance = random.Random(part)
    granted = 0
    for number in range(100):
        world = world_of(part * 1000 + number)
        triple = (
            chance.choice(world.principals),
            chance.choice(PERMISSIONS),
            chance.choice(world.organizations),
        )
        granted += _agrees(world, *triple)
    assert 20 < granted < 80


def _agrees(world: World, principal: str, permission: str, oid: str) -> bool:
    facts = world.facts()
    found = explain(facts, principal, permission, oid)
    expected = world.paths(principal, permission, oid)
    assert {(path.via, path.gid) for path in found.paths} == expected
    assert len(found.paths) == len(expected)
    assert found.granted == ((principal, permission, oid) in world.effective())
    assert bool(found.missing) != found.granted
    holders = who(facts, permission, oid)
    assert sorted(each.principal for each in holders) == sorted(
        name for name, held, at in world.effective() if (held, at) == (permission, oid)
    )
    for each in holders:
        assert {(path.via, path.gid) for path in each.paths} == world.paths(each.principal, permission, oid)
    return found.granted


@pytest.mark.parametrize("part", range(10))
def test_a_missing_link_put_in_place_gives_the_permission(part: int):
    chance = random.Random(part)
    for number in range(30):
        world = world_of(part * 1000 + number)
        principal, oid = chance.choice(world.people), chance.choice(world.organizations)
        permission = chance.choice(PERMISSIONS)
        for link in explain(world.facts(), principal, permission, oid).missing:
            mended = world_of(part * 1000 + number)
            if link.link == "no_direct_grant":
                mended.direct.setdefault((oid, principal), set()).add(permission)
            elif link.link == "group_lacks_permission":
                mended.groups[link.gid].permissions.add(permission)
            elif link.link == "group_lacks_organization":
                mended.groups[link.gid].organizations.add(oid)
            elif link.link in ("owner_only", "not_member"):
                assert (principal in mended.groups[link.gid].owners) == (link.link == "owner_only")
                mended.groups[link.gid].members.add(principal)
            else:
                continue
            assert (principal, permission, oid) in mended.effective()


@pytest.mark.parametrize("part", range(10))
def test_the_cuts_are_the_smallest_of_all_sets_of_changes(part: int):
    chance = random.Random(part)
    tried = 0
    for number in range(40):
        world = world_of(part * 1000 + number)
        held = sorted(world.effective())
        if not held:
            continue
        principal, permission, oid = chance.choice(held)
        found = cuts(world.facts(), principal, permission, oid)
        lost, smallest = world.smallest(principal, permission, oid)
        listed = steps_of(found)
        assert len(set(listed)) == len(listed)
        assert {cut.lost for cut in found.cuts} == {lost}
        if len(smallest) <= MOST_CUTS:
            assert set(listed) == smallest
            assert not found.more
        else:
            assert set(listed) < smallest
            assert len(listed) == MOST_CUTS
            assert found.more
        tried += 1
    assert tried > 30
