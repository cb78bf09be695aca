"""The whole of access as bit masks, against every grant spelled out."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import ingest
from store.accesschanges import KINDS, NEW, AccessChange
from store.closure import MOST_OIDS, MOST_ROWS, Effect, UnknownGroup, World, WorldKey, bits, effect
from store.database import Store
from store.models import DirectPermission
from store.permissions import catalogue
from store.text import Untrusted
from tests.helpers import access_worlds
from tests.helpers.access_worlds import PERMISSIONS, Triple, world_of
from tests.helpers.soak import examples

NOW = 1_795_000_000_000


def loaded(store: Store, **only: str) -> World:
    with store.reader.reading() as connection:
        return World.load(connection, **only)


def everything(world: World) -> set[Triple]:
    found = [
        (principal, name, oid) for principal, oid, mask in world.closure() for name in world.permissions(mask)
    ]
    assert len(set(found)) == len(found)
    return set(found)


def in_memory(plain: access_worlds.World) -> World:
    """A world without a store."""
    changes = [AccessChange("create_group", gid=gid) for gid in plain.groups]
    for (oid, email), names in plain.direct.items():
        changes.append(AccessChange("add_user", principal=email, oid=oid))
        changes += [AccessChange("grant", principal=email, oid=oid, permission=name) for name in names]
    for gid, group in plain.groups.items():
        changes += [AccessChange("add_member", gid=gid, principal=email) for email in group.members]
        changes += [AccessChange("add_owner", gid=gid, principal=email) for email in group.owners]
        changes += [AccessChange("add_org", gid=gid, oid=oid) for oid in group.organizations]
        changes += [
            AccessChange("add_group_permission", gid=gid, permission=name) for name in group.permissions
        ]
    world = World().changed(changes)
    for (oid, key_hash), names in plain.keys.items():
        world = world.changed([AccessChange("add_user", principal="nobody@example.com", oid=oid)])
        mask = 0
        for name in names:
            world = world.changed(
                [AccessChange("grant", principal="x@example.com", oid=oid, permission=name)]
            )
            mask |= world.mask([name])
        world = world.changed([AccessChange("remove_user", principal="x@example.com", oid=oid)])
        world.keys.setdefault(oid, {})[key_hash] = WorldKey(oid, key_hash, Untrusted(key_hash), mask)
    return world


# What is read


@pytest.mark.parametrize("seed", range(5))
def test_everything_that_holds_is_in_the_closure_and_nothing_else(store: Store, seed: int) -> None:
    plain = world_of(seed + 80, organizations=8, people=10, groups=7)
    plain.put(store, NOW)
    world = loaded(store)
    assert everything(world) == plain.effective()
    assert set(world.oids) == set(plain.organizations)
    assert set(PERMISSIONS) <= set(world.names)
    assert world.people == frozenset(
        {email for _, email in plain.direct}
        | {email for group in plain.groups.values() for email in group.members | group.owners}
    )
    for gid, group in plain.groups.items():
        found = world.groups[gid]
        assert (found.name, found.members, found.owners) == (group.name, group.members, group.owners)
        assert (found.organizations, set(world.permissions(found.permissions))) == (
            group.organizations, group.permissions,
        )  # fmt: skip
    assert [group.name for group in world.groups.values()] == sorted(
        group.name for group in plain.groups.values()
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_world_has_every_cell_the_way_it_comes_about(store: Store, seed: int) -> None:
    plain = world_of(seed + 120, organizations=6, people=8, groups=6)
    plain.put(store, NOW)
    world = loaded(store)
    for oid in plain.organizations:
        for world_here in (world, loaded(store, oid=oid)):
            here = world_here.organization(oid)
            assert {
                (principal, name): set(held.paths(world_here.names.index(name)))
                for principal, held in here.items()
                for name in world_here.permissions(held.mask)
            } == {
                (principal, name): {gid or via for via, gid in plain.paths(principal, name, oid)}
                for principal, name, at in plain.effective()
                if at == oid
            }
        # Somebody who was added without any permission is somebody there.
        assert {email for at, email in plain.direct if at == oid} <= here.keys()
    for principal in plain.principals:
        for world_of_one in (world, loaded(store, principal=principal)):
            assert {
                (oid, name)
                for oid, held in world_of_one.principal(principal).items()
                for name in world_of_one.permissions(held.mask)
            } == {(oid, name) for who, name, oid in plain.effective() if who == principal}
    for name in PERMISSIONS:
        assert {
            (principal, oid)
            for principal, reach in world.permission(name).items()
            for oid in world.oids_of(world.organizations_with(reach))
        } == {(principal, oid) for principal, held, oid in plain.effective() if held == name}


def test_the_sign_says_how_a_cell_is_held(store: Store) -> None:
    plain = access_worlds.World(["here", "there"], ["kim@acme.example", "lee@acme.example"])
    plain.direct["here", "kim@acme.example"] = {"dr.set", "org.get"}
    plain.keys["here", "h1"] = {"dr.set"}
    plain.groups["g1"] = access_worlds.GroupOf(
        "Analysts", {"lee@acme.example"}, {"kim@acme.example"}, {"here"}, {"dr.set", "sensor.task"}
    )
    plain.put(store, NOW)
    world = loaded(store)
    assert [
        world.can(principal, name, oid)
        for principal, name, oid in (
            ("kim@acme.example", "dr.set", "here"), ("kim@acme.example", "org.get", "here"),
            ("kim@acme.example", "sensor.task", "here"), ("kim@acme.example", "sensor.task", "there"),
            ("h1", "dr.set", "here"), ("h1", "org.get", "here"), ("lee@acme.example", "dr.set", "here"),
            ("kim@acme.example", "never.seen", "here"), ("nobody", "dr.set", "here"),
        )
    ] == ["B", "D", "G", "", "K", "", "", "", ""]  # fmt: skip
    assert [world.kind(name) for name in ("kim@acme.example", "h1", "g1", "nobody")] == [
        "user", "key", "group", None,
    ]  # fmt: skip


def test_permissions_are_numbered_as_the_catalogue_has_them_and_the_rest_follows(store: Store) -> None:
    world_of(80, organizations=8, people=10, groups=7).put(store, NOW)
    names = loaded(store).names
    assert names[: len(catalogue())] == tuple(each.name for each in catalogue())
    assert {"brand.new", "secret.get.vault"} <= set(names[len(catalogue()) :])


def test_a_permission_that_is_half_a_character_is_read_all_the_same(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(
            DirectPermission.__table__.insert(),  # type: ignore[attr-defined]
            [{"oid": "here", "email": "kim@acme.example", "permissions": ["dr.set", 'we"ird\ud800']}],
        )
    assert everything(loaded(store)) == {
        ("kim@acme.example", "dr.set", "here"), ("kim@acme.example", 'we"ird\ud800', "here"),
    }  # fmt: skip


def test_an_organization_that_is_gone_is_not_among_those_that_are_there(store: Store) -> None:
    world_of(3).put(store, NOW)
    with store.writing() as connection:
        rows = [{"oid": "org-0", "name": "Zebra"}, {"oid": "org-1", "name": "apple"}]
        ingest.put_organizations(connection, rows, complete=True, now=NOW + 1)
    world = loaded(store)
    assert world.gone == {"org-2"}
    assert list(world.organizations.values()) == ["apple", "Zebra"]
    assert set(world.oids) == {"org-0", "org-1", "org-2"}


@given(st.integers(0, 2**2000))
def test_bits_are_the_numbers_of_the_bits(mask: int) -> None:
    assert list(bits(mask)) == [at for at in range(mask.bit_length()) if mask >> at & 1]


# What if


@st.composite
def worlds_and_changes(draw: st.DrawFn) -> tuple[access_worlds.World, list[AccessChange]]:
    plain = world_of(draw(st.integers(0, 10_000)))
    gids = st.sampled_from([*plain.groups, f"{NEW}Fresh"])
    people = st.sampled_from([*plain.people, "new@example.com"])
    oids = st.sampled_from([*plain.organizations, "org-new"])
    names = st.sampled_from([*PERMISSIONS, "never.seen"])
    keys = st.sampled_from([*plain.keys] or [("org-0", "no-key")])
    changes = []
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6)):
        change = AccessChange(kind)
        if kind == "create_group":
            change = replace(change, gid=f"{NEW}Fresh")
        elif kind == "delete_key":
            oid, key_hash = draw(keys)
            change = replace(change, oid=oid, principal=key_hash)
        elif kind in ("add_user", "remove_user", "grant", "revoke"):
            change = replace(change, principal=draw(people), oid=draw(oids))
            if kind in ("grant", "revoke"):
                change = replace(change, permission=draw(names))
        else:
            change = replace(change, gid=draw(gids))
            what = kind.rpartition("_")[2]
            if what in ("member", "owner"):
                change = replace(change, principal=draw(people))
            elif what == "org":
                change = replace(change, oid=draw(oids))
            elif what == "permission":
                change = replace(change, permission=draw(names))
        changes.append(change)
    if any(change.gid == f"{NEW}Fresh" for change in changes):
        changes.append(AccessChange("create_group", gid=f"{NEW}Fresh"))
    return plain, changes


@pytest.mark.soak
@settings(max_examples=examples(400), deadline=None)
@given(worlds_and_changes())
def test_what_changes_come_to_is_what_is_otherwise_in_every_grant_spelled_out(
    drawn: tuple[access_worlds.World, list[AccessChange]],
) -> None:
    plain, changes = drawn
    then = plain.made(changes)
    world = in_memory(plain)
    assert everything(world) == plain.effective()
    after = world.changed(changes)
    found = effect(world, after, changes)
    assert everything(after) == then.effective()
    assert everything(world) == plain.effective()
    _agrees(found, world, after, plain.effective(), then.effective())
    assert found.touched == _touched(plain, then, changes)
    # The other way round it is the same, gained for lost.
    back = effect(after, world)
    assert (back.gained, back.lost) == (found.lost, found.gained)


def _agrees(found: Effect, world: World, after: World, before: set[Triple], then: set[Triple]) -> None:
    gained, lost = then - before, before - then
    assert (found.gained.count, found.lost.count) == (len(gained), len(lost))
    assert set(found.gained.rows) == gained
    assert set(found.lost.rows) == lost
    assert found.organizations == {oid for _, _, oid in gained | lost}
    assert found.people == {principal for principal, _, _ in gained | lost}
    assert found.nothing == (not gained and not lost)
    assert {(each.principal, each.permission, each.organizations, frozenset(each.oids)) for each in found.privileged} == {
        (principal, "user.ctrl", len(oids), oids)
        for principal in {who for who, name, _ in gained if name == "user.ctrl"}
        for oids in (frozenset(oid for who, name, oid in gained if (who, name) == (principal, "user.ctrl")),)
    }  # fmt: skip
    for shift in found.shifts:
        of = (shift.principal, shift.permission)
        assert shift.before == sum((who, name) == of for who, name, _ in before)
        assert shift.after == sum((who, name) == of for who, name, _ in then)
        assert set(after.oids_of(shift.gained)) == {oid for who, name, oid in gained if (who, name) == of}
        assert (shift.kind == "key") == (shift.principal not in after.people | world.people)


def _touched(plain: access_worlds.World, then: access_worlds.World, changes: list[AccessChange]) -> set[str]:
    found = {change.oid for change in changes if change.oid}
    for change in changes:
        if not change.oid:
            for world in (plain, then):
                found |= world.groups[change.gid].organizations if change.gid in world.groups else set()
    return found


def test_a_change_of_a_group_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownGroup, match="g9"):
        World().changed([AccessChange("add_member", gid="g9", principal="kim@acme.example")])


def test_of_very_many_gains_the_first_are_spelled_out_and_all_are_counted() -> None:
    gid, names = f"{NEW}Everybody", [each.name for each in catalogue()][:40]
    made: list[Any] = [AccessChange("create_group", gid=gid)]
    made += [AccessChange("add_org", gid=gid, oid=f"org-{number:03}") for number in range(100)]
    made += [AccessChange("add_group_permission", gid=gid, permission=name) for name in names]
    world = World().changed(made)
    joins = [AccessChange("add_member", gid=gid, principal=f"p{number}@acme.example") for number in range(3)]
    found = effect(world, world.changed(joins), joins)
    assert found.gained.count == 100 * 40 * 3
    assert len(found.gained.rows) == MOST_ROWS
    assert len(found.organizations) == 100
    privileged = {name for name in names if name in ("apikey.ctrl", "user.ctrl", "billing.ctrl")}
    assert len(found.privileged) == 3 * len(privileged)
    assert {(each.organizations, len(each.oids)) for each in found.privileged} == {(100, MOST_OIDS)}


def test_a_changed_world_shares_with_the_first_what_did_not_change(store: Store) -> None:
    plain = world_of(85, organizations=8, people=10, groups=7)
    plain.put(store, NOW)
    world = loaded(store)
    chance = random.Random(1)
    gid = chance.choice(sorted(world.groups))
    after = world.changed([AccessChange("add_member", gid=gid, principal="new@example.com")])
    assert after.groups[gid] is not world.groups[gid]
    assert all(after.groups[other] is world.groups[other] for other in world.groups if other != gid)
    assert all(after.direct[email] is held for email, held in world.direct.items())
    assert all(after.keys[oid] is keys for oid, keys in world.keys.items())
    assert json.dumps(sorted(world.people)) == json.dumps(sorted(after.people - {"new@example.com"}))
