"""Plans about access, over a real socket, against the sandbox in this process."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, update

from console.limacharlie.client import Cloud
from console.limacharlie.endpoint import Endpoint
from console.operations import accessplans as operations
from console.operations.accessplans import apply, carry_out, resume
from console.sandbox.faults import Rule
from store import accessplans, journal, models
from store.accesschanges import NEW, AccessChange
from store.accessplans import Contradiction, NothingToDo
from store.database import Store
from store.queries.access import matrix
from store.times import now_ms
from store.tree import TreeNode, replace_tree
from tests.helpers.accessplans import OPERATOR, Provider, provider, root_key

NOBODY_YET = "new.hire@example.com"


def _grant(email: str, oid: str, permission: str = "dr.set") -> AccessChange:
    return AccessChange("grant", oid=oid, principal=email, permission=permission)


def _somebody(found: Provider) -> str:
    """Somebody with an account and without any access of his own."""
    access = found.served.world.access
    there = {email for one in found.organizations for email in access.direct(one)}
    there.update(email for group in access.groups for email in (*group.members, *group.owners))
    return next((email for email in access.users if email not in there), None) or _hired(found)


def _hired(found: Provider) -> str:
    found.served.world.access.person(NOBODY_YET)
    return NOBODY_YET


async def _apply(found: Provider, plan_id: int, **options: Any) -> operations.Outcome:
    return await apply(plan_id, store=found.store, cloud=found.cloud, operator=OPERATOR, **options)


async def _undo(found: Provider, plan_id: int) -> operations.Outcome:
    changes = found.undoing(plan_id)
    return await _apply(found, found.draft(*changes, source=f"undo:{plan_id}"))


def _entries(store: Store, action: str) -> list[Any]:
    table = models.Journal.__table__  # type: ignore[attr-defined]
    with store.reader.reading() as c:
        found = c.execute(select(table).where(table.c.action.like(action)).order_by(table.c.seq)).all()
        assert journal.verify(c) is None
    return list(found)


async def test_grants_are_made_and_the_matrix_shows_them_at_once(store: Store) -> None:
    async with provider(store) as found:
        email = _somebody(found)
        oids = found.oids[:3]
        plan_id = found.draft(*(_grant(email, oid) for oid in oids))
        assert [step.change.kind for step in found.plan(plan_id).steps] == ["add_user"] * 3 + ["grant"] * 3
        outcome = await _apply(found, plan_id)
        assert (outcome.state, outcome.counts) == ("applied", {"done": 6})
        assert outcome.whole
        assert outcome.sentence == f"Plan {plan_id}: 6 changes made."
        state = found.state()
        assert all(state["direct"][oid][email] == {"dr.set"} for oid in oids)
        assert len(found.changes()) == 6
    with store.reader.reading() as c:
        for oid in oids:
            shown = matrix(c, oid)
            assert shown is not None
            assert [each.permissions for each in shown.principals if each.principal == email] == [("dr.set",)]


async def test_every_write_has_an_intent_and_a_result_with_before_and_after(one_store: Store) -> None:
    async with provider(one_store) as found:
        group = found.groups[0]
        email = _somebody(found)
        before = set(group.permissions)
        plan_id = found.draft(
            AccessChange("add_group_permission", gid=group.gid, permission="payload.ctrl"),
            AccessChange("add_member", gid=group.gid, principal=email),
        )
        await _apply(found, plan_id)
    (gave, given) = _entries(one_store, "access.add_group_permission")
    assert (gave.detail["step"], given.detail["step"]) == ("intent", "result")
    assert given.detail["intent"] == gave.seq
    assert set(gave.detail["before"]["permissions"]) == before
    assert set(given.detail["after"]["permissions"]) == before | {"payload.ctrl"}
    (_, joined) = _entries(one_store, "access.add_member")
    assert (joined.detail["outcome"], joined.detail["after"]) == ("done", {"held": True})
    (approved,) = _entries(one_store, "access.plan.approve")
    (finished,) = _entries(one_store, "access.plan.finish")
    assert approved.detail["hash"] == finished.detail["hash"]
    assert finished.detail["counts"] == {"done": 2}


async def test_permissions_of_a_group_are_set_once_for_all_of_them(one_store: Store) -> None:
    async with provider(one_store) as found:
        group = found.groups[0]
        taken = group.permissions[0]
        plan_id = found.draft(
            *(
                AccessChange("add_group_permission", gid=group.gid, permission=name)
                for name in ("payload.ctrl", "job.ctrl", "replicant.ctrl")
                if name not in group.permissions
            ),
            AccessChange("remove_group_permission", gid=group.gid, permission=taken),
        )
        wanted = (set(group.permissions) | {"payload.ctrl", "job.ctrl", "replicant.ctrl"}) - {taken}
        outcome = await _apply(found, plan_id)
        assert outcome.whole
        assert set(group.permissions) == wanted
        # What gives first, then what takes.
        assert [entry.template for entry in found.changes()] == ["/v1/groups/{gid}/permissions"] * 2


async def test_a_new_group_is_made_once_and_what_follows_goes_by_its_gid(store: Store) -> None:
    async with provider(store) as found:
        email, oids = _somebody(found), found.oids[:2]
        gid = f"{NEW}Night shift"
        plan_id = found.draft(
            AccessChange("create_group", gid=gid),
            AccessChange("add_member", gid=gid, principal=email),
            AccessChange("add_group_permission", gid=gid, permission="dr.list"),
            *(AccessChange("add_org", gid=gid, oid=oid) for oid in oids),
        )
        outcome = await _apply(found, plan_id)
        assert outcome.whole, outcome.sentence
        (made,) = [group for group in found.groups if group.name == "Night shift"]
        assert (made.members, made.permissions) == ((email,), ("dr.list",))
        assert outcome.steps[0].made == made.gid
        undone = await _undo(found, plan_id)
        assert undone.whole
        assert not [group for group in found.groups if group.name == "Night shift"]
    with store.reader.reading() as c:
        table = models.Group.__table__  # type: ignore[attr-defined]
        assert c.execute(select(table.c.gid).where(table.c.gid == made.gid)).first() is None


async def test_undo_brings_back_exactly_what_was_there(one_store: Store) -> None:
    async with provider(one_store) as found:
        before = found.state()
        access = found.served.world.access
        one, other = found.organizations[:2]
        group = found.groups[0]
        left = next(email for email in access.direct(one) if email != access.root)
        joins = _somebody(found)
        held = sorted(before["groups"][group.gid]["organizations"])
        plan_id = found.draft(
            AccessChange("remove_user", oid=one.oid, principal=left),
            _grant(joins, one.oid), _grant(joins, other.oid, "dr.list"),
            AccessChange("revoke", oid=other.oid, principal=access.root, permission="payload.ctrl"),
            AccessChange("add_group_permission", gid=group.gid, permission="payload.ctrl"),
            AccessChange("remove_group_permission", gid=group.gid, permission=group.permissions[0]),
            AccessChange("add_member", gid=group.gid, principal=joins),
            AccessChange("add_owner", gid=group.gid, principal=joins),
            AccessChange("remove_org", gid=group.gid, oid=held[0]),
        )  # fmt: skip
        outcome = await _apply(found, plan_id)
        assert outcome.whole, outcome.sentence
        assert found.state() != before
        undone = await _undo(found, plan_id)
        assert undone.whole, undone.sentence
        assert found.state() == before


async def test_a_deleted_group_comes_back_with_everything_but_its_gid(one_store: Store) -> None:
    async with provider(one_store) as found:
        group = found.groups[0]
        before = found.state()["groups"]
        plan_id = found.draft(AccessChange("delete_group", gid=group.gid))
        outcome = await _apply(found, plan_id)
        assert outcome.whole
        assert group.gid not in found.state()["groups"]
        undone = await _undo(found, plan_id)
        assert undone.whole, undone.sentence
        after = found.state()["groups"]
        (gid,) = after.keys() - before.keys()
        assert after.pop(gid) == before.pop(group.gid)
        assert after == before


async def test_what_somebody_was_given_since_is_not_taken_by_undoing_that_he_was_added(
    one_store: Store,
) -> None:
    async with provider(one_store) as found:
        email, oid = _somebody(found), found.oids[0]
        plan_id = found.draft(_grant(email, oid))
        await _apply(found, plan_id)
        await _apply(found, found.draft(_grant(email, oid, "dr.list")))
        assert (await _undo(found, plan_id)).whole
        assert found.state()["direct"][oid][email] == {"dr.list"}


async def test_a_plan_that_another_process_takes_over_stops_nobody_who_carried_on_with_it(
    one_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with provider(one_store) as found:
        plan_id = found.draft(_grant(_somebody(found), found.oids[0]))
        table = models.AccessPlan.__table__  # type: ignore[attr-defined]
        with one_store.writing() as c:
            c.execute(update(table).values(state=accessplans.APPLYING, beat_at=0))
        organization = found.cloud.organization

        def taken_over(oid: str) -> Any:
            with one_store.writing() as c:
                c.execute(update(table).values(holder="another"))
            return organization(oid)

        monkeypatch.setattr(found.cloud, "organization", taken_over)
        assert await resume(one_store, found.cloud) == []
        assert found.plan(plan_id).holder == "another"
        assert found.changes() == []


async def test_a_new_group_that_others_were_put_into_since_stays_with_what_it_gives(one_store: Store) -> None:
    async with provider(one_store) as found:
        first, gid = _somebody(found), f"{NEW}Night shift"
        plan_id = found.draft(
            AccessChange("create_group", gid=gid),
            AccessChange("add_member", gid=gid, principal=first),
            AccessChange("add_group_permission", gid=gid, permission="dr.list"),
            AccessChange("add_org", gid=gid, oid=found.oids[0]),
        )
        outcome = await _apply(found, plan_id)
        assert outcome.whole, outcome.sentence
        second = found.served.world.access.root
        made = outcome.steps[0].made
        joined = await _apply(found, found.draft(AccessChange("add_member", gid=made, principal=second)))
        assert joined.whole, joined.sentence
        undone = await _undo(found, plan_id)
        assert undone.counts == {"done": 1}
        (group,) = [group for group in found.groups if group.gid == made]
        assert (group.members, group.permissions) == ((second,), ("dr.list",))
        assert found.state()["groups"][made]["organizations"] == {found.oids[0]}


async def test_what_holds_already_is_no_plan_and_what_contradicts_itself_none_either(store: Store) -> None:
    async with provider(store) as found:
        group = found.groups[0]
        with pytest.raises(NothingToDo):
            found.draft(AccessChange("add_owner", gid=group.gid, principal=group.owners[0]))
        change = _grant(_somebody(found), found.oids[0])
        inverse = change.inverse()
        assert inverse is not None
        with pytest.raises(Contradiction):
            found.draft(change, inverse)
        with pytest.raises(Contradiction):
            found.draft(AccessChange("add_member", gid=f"{NEW}Nobody's", principal="a@example.com"))
        assert not found.changes()


# Refusals


async def test_a_read_only_console_applies_nothing(one_store: Store) -> None:
    async with provider(one_store) as found:
        plan_id = found.draft(_grant(_somebody(found), found.oids[0]))
        async with Cloud(root_key(found.served), Endpoint.single(found.served.url), read_only=True) as cloud:
            with pytest.raises(operations.NotAllowed):
                await apply(plan_id, store=one_store, cloud=cloud, operator=OPERATOR)
            assert await resume(one_store, cloud) == []
        assert not found.changes()
        assert found.plan(plan_id).state == "draft"


async def test_a_plan_of_more_than_an_hour_ago_is_refused(one_store: Store) -> None:
    async with provider(one_store) as found:
        plan_id = found.draft(_grant(_somebody(found), found.oids[0]))
        with pytest.raises(operations.Expired):
            await _apply(found, plan_id, now=now_ms() + accessplans.HOUR + 1000)
        assert not found.changes()


@pytest.mark.parametrize("kind", ["direct", "group", "member", "owner", "organization"])
async def test_a_plan_is_stale_when_the_store_has_seen_otherwise_since(one_store: Store, kind: str) -> None:
    async with provider(one_store) as found:
        group, email, oid = found.groups[0], _somebody(found), found.oids[0]
        changes = {
            "direct": _grant(email, oid),
            "group": AccessChange("add_group_permission", gid=group.gid, permission="payload.ctrl"),
            "member": AccessChange("add_member", gid=group.gid, principal=email),
            "owner": AccessChange("add_owner", gid=group.gid, principal=email),
            "organization": AccessChange(
                "remove_org", gid=group.gid, oid=min(found.state()["groups"][group.gid]["organizations"])
            ),
        }
        plan_id = found.draft(changes[kind])
        one = found.organizations[0]
        match kind:
            case "direct":
                found.served.world.access.grant(one, email, ("dr.list",))
            case "group":
                group.permissions = (*group.permissions, "job.ctrl")
            case "member":
                group.members = (*group.members, email)
            case "owner":
                group.owners = (*group.owners, email)
            case _:
                del group.holds[next(iter(group.holds))]
                if changes[kind].oid in found.state()["groups"][group.gid]["organizations"]:
                    group.holds.clear()
        await found.read()
        with pytest.raises(operations.Stale):
            await _apply(found, plan_id)
        assert not found.changes()


async def test_an_edited_plan_is_refused(one_store: Store) -> None:
    async with provider(one_store) as found:
        plan_id = found.draft(_grant(_somebody(found), found.oids[0]))
        step = models.AccessStep.__table__  # type: ignore[attr-defined]
        with one_store.writing() as c:
            c.execute(update(step).where(step.c.kind == "grant").values(permission="user.ctrl"))
        with pytest.raises(operations.Stale):
            await _apply(found, plan_id)
        assert not found.changes()


async def test_protected_organizations_have_to_be_typed(one_store: Store) -> None:
    async with provider(one_store) as found:
        one, two, three = found.organizations[:3]
        with one_store.writing() as c:
            replace_tree(
                c,
                [
                    TreeNode("top", None, "Top", marks=("protected",)),
                    *(TreeNode(each.oid, "top", each.name, oid=each.oid) for each in (one, two)),
                ],
            )
        email = _somebody(found)
        single = found.draft(_grant(email, one.oid), _grant(email, three.oid))
        assert found.plan(single).phrase == one.name
        for typed in ("", three.name, "yes"):
            with pytest.raises(operations.WrongName):
                await _apply(found, single, confirm=typed)
        both = found.draft(_grant(email, one.oid, "dr.list"), _grant(email, two.oid, "dr.list"))
        with pytest.raises(operations.WrongName):
            await _apply(found, both, confirm=one.name)
        assert not found.changes()
        assert (await _apply(found, single, confirm=one.name)).whole
        with pytest.raises(operations.Stale):
            # He is in the organization now, which this plan did not see.
            await _apply(found, both, confirm="2 protected organizations")
        again = found.draft(_grant(email, one.oid, "dr.list"), _grant(email, two.oid, "dr.list"))
        assert (await _apply(found, again, confirm="2 protected organizations")).whole


async def test_a_group_touches_the_organizations_that_it_holds(one_store: Store) -> None:
    async with provider(one_store) as found:
        group = found.groups[0]
        oid = min(found.state()["groups"][group.gid]["organizations"])
        with one_store.writing() as c:
            replace_tree(c, [TreeNode("one", None, "One", oid=oid, marks=("protected",))])
        change = AccessChange("add_member", gid=group.gid, principal=_somebody(found))
        with pytest.raises(operations.WrongName):
            await _apply(found, found.draft(change))
        assert not found.changes()
        done = await carry_out(
            [change], title="Approved before", store=one_store, cloud=found.cloud, operator=OPERATOR,
            confirm=operations.CONFIRMED,
        )  # fmt: skip
        assert done.whole


async def test_an_applied_plan_is_not_applied_again(one_store: Store) -> None:
    async with provider(one_store) as found:
        plan_id = found.draft(_grant(_somebody(found), found.oids[0]))
        await _apply(found, plan_id)
        with pytest.raises(operations.Refused):
            await _apply(found, plan_id)
        assert len(found.changes()) == 2


# Somebody else


async def test_what_somebody_else_did_between_plan_and_apply_is_never_overwritten(one_store: Store) -> None:
    """The store has not seen it: it is seen in the cloud, right before anything is sent."""
    async with provider(one_store) as found:
        access = found.served.world.access
        mine, theirs = found.groups[:2]
        one = found.organizations[0]
        left = next(email for email in access.direct(one) if email != access.root)
        joins = _somebody(found)
        plan_id = found.draft(
            AccessChange("add_group_permission", gid=theirs.gid, permission="payload.ctrl"),
            AccessChange("add_group_permission", gid=mine.gid, permission="payload.ctrl"),
            AccessChange("remove_user", oid=one.oid, principal=left),
            AccessChange("add_member", gid=mine.gid, principal=joins),
        )
        theirs.permissions = ("org.get", "brand.new")
        access.grant(one, left, ("payload.ctrl",))
        mine.members = (*mine.members, joins)
        outcome = await _apply(found, plan_id)
        assert outcome.state == "partly"
        assert outcome.counts == {"done": 1, "already": 1, "conflict": 2}
        assert theirs.permissions == ("org.get", "brand.new")
        assert access.direct(one)[left] == ("payload.ctrl",)
        assert "payload.ctrl" in mine.permissions
        assert [what for what, _, _ in outcome.failed] == [
            f"give payload.ctrl to group {theirs.name}", f"remove {left} from {one.name}",
        ]  # fmt: skip
        # The store has learned of it: the next plan is about what is there.
        assert found.draft(AccessChange("remove_user", oid=one.oid, principal=left))


# Faults


USERS = "/v1/orgs/{oid}/users/permissions"


@pytest.mark.parametrize(
    ("rule", "outcome", "effects"),
    [
        (Rule("status", status=403, method="POST", path=USERS, count=None), "denied", 0),
        (Rule("status", status=401, method="POST", path=USERS, count=None), "denied", 0),
        (Rule("status", status=404, method="POST", path=USERS, count=None), "gone", 0),
        (Rule("status", status=422, method="POST", path=USERS, count=None), "failed", 0),
        (Rule("status", status=401, method="POST", path=USERS, count=1), "done", 1),
        (Rule("status", status=500, method="POST", path=USERS, count=1), "done", 1),
        (Rule("status", status=504, method="POST", path=USERS, count=1, effect=True), "done", 1),
        (Rule("status", status=503, method="POST", path=USERS, count=None, effect=True), "done", 1),
        (Rule("status", status=502, method="POST", path=USERS, count=None), "failed", 0),
        (Rule("drop", method="POST", path=USERS, count=1, effect=True), "done", 1),
        (Rule("drop", method="POST", path=USERS, count=1), "done", 1),
        (Rule("body", method="POST", path=USERS, count=1), "done", 1),
        (Rule("throttle", seconds=1, method="POST", path=USERS, count=1), "done", 1),
        (Rule("status", status=403, method="GET", path=USERS, count=None), "denied", 0),
        (Rule("status", status=404, method="GET", path=USERS, count=None), "gone", 0),
        (Rule("body", method="GET", path=USERS, count=None), "failed", 0),
    ],
    ids=lambda value: None if not isinstance(value, Rule) else f"{value.fault}{value.status or ''}",
)  # fmt: skip
async def test_a_fault_is_named_and_nothing_is_made_twice(
    one_store: Store, rule: Rule, outcome: str, effects: int
) -> None:
    async with provider(one_store) as found:
        access = found.served.world.access
        bad, good = found.organizations[:2]
        email = next(email for email in access.direct(bad) if email != access.root)
        access.grant(bad, email, ("org.get",))
        access.grant(good, email, ("org.get",))
        await found.read()
        plan_id = found.draft(_grant(email, bad.oid), _grant(email, good.oid))
        found.served.faults.add(
            Rule(**{name: getattr(rule, name) for name in rule.__struct_fields__} | {"oid": bad.oid})
        )
        told = await _apply(found, plan_id)
        made = [step.outcome for step in told.steps if step.change.oid == bad.oid]
        assert made == [outcome], told.sentence
        assert [step.outcome for step in told.steps if step.change.oid == good.oid] == ["done"]
        assert sum(entry.effect for entry in found.changes() if entry.oid == bad.oid) == effects
        assert ("dr.set" in access.direct(bad)[email]) is bool(effects)
        assert told.state == ("applied" if outcome == "done" else "partly")
        assert bool(told.failed) is (outcome != "done")


async def test_somebody_whom_nobody_knows_is_named_and_not_invited(one_store: Store) -> None:
    async with provider(one_store) as found:
        unknown = "typo@example.com"
        plan_id = found.draft(
            _grant(unknown, found.oids[0]),
            AccessChange("add_member", gid=found.groups[0].gid, principal=unknown),
        )
        outcome = await _apply(found, plan_id)
        assert (outcome.state, outcome.counts) == ("failed", {"gone": 2, "held back": 1})
        assert {why for _, name, why in outcome.failed if name == "gone"} == {
            f"LimaCharlie knows nobody called {unknown}."
        }
        assert unknown not in found.served.world.access.users


async def test_a_lost_answer_to_a_new_group_makes_no_second_one(one_store: Store) -> None:
    for effect in (True, False):
        async with provider(one_store) as found:
            gid = f"{NEW}Night shift {effect}"
            plan_id = found.draft(
                AccessChange("create_group", gid=gid),
                AccessChange("add_group_permission", gid=gid, permission="dr.list"),
            )
            found.served.faults.add(Rule("drop", method="POST", path="/v1/groups", effect=effect))
            outcome = await _apply(found, plan_id)
            assert outcome.whole, outcome.sentence
            (made,) = [group for group in found.groups if group.name == gid.removeprefix(NEW)]
            assert made.permissions == ("dr.list",)


async def test_nobody_loses_anything_when_what_he_was_to_be_given_instead_failed(one_store: Store) -> None:
    async with provider(one_store) as found:
        old, new = found.groups[:2]
        email = _somebody(found)
        old.members = (*old.members, email)
        one, other = found.organizations[:2]
        for each in (one, other):
            found.served.world.access.grant(each, email, ("dr.list",))
        await found.read()
        plan_id = found.draft(
            AccessChange("add_member", gid=new.gid, principal=email),
            AccessChange("remove_member", gid=old.gid, principal=email),
            AccessChange("revoke", oid=one.oid, principal=email, permission="dr.list"),
            AccessChange("remove_member", gid=old.gid, principal=old.members[0]),
        )
        found.served.faults.add(
            Rule("status", status=403, method="POST", path="/v1/groups/{gid}/users", count=None)
        )
        outcome = await _apply(found, plan_id)
        assert outcome.counts == {"done": 1, "denied": 1, "held back": 2}
        assert email in old.members
        found.served.faults.clear()
        # A direct grant elsewhere holds back nothing here.
        await found.read()
        second = found.draft(
            _grant(email, one.oid), AccessChange("revoke", oid=one.oid, principal=email, permission="dr.list"),
            _grant(email, other.oid),
            AccessChange("revoke", oid=other.oid, principal=email, permission="dr.list"),
        )  # fmt: skip
        found.served.faults.add(
            Rule("status", status=403, method="POST", path=USERS, oid=one.oid, count=None)
        )
        outcome = await _apply(found, second)
        assert outcome.counts == {"done": 2, "denied": 1, "held back": 1}
        state = found.state()["direct"]
        assert (state[one.oid][email], state[other.oid][email]) == ({"dr.list"}, {"dr.set"})


async def test_nothing_is_taken_before_it_is_known_what_was_given(one_store: Store) -> None:
    async with provider(one_store) as found:
        old, new = found.groups[:2]
        email = _somebody(found)
        old.members = (*old.members, email)
        await found.read()
        plan_id = found.draft(
            AccessChange("add_member", gid=new.gid, principal=email),
            AccessChange("remove_member", gid=old.gid, principal=email),
        )
        # It is sent, and cannot be read back.
        found.served.faults.add(Rule("body", method="GET", path="/v1/groups/{gid}", nth=2, count=None))
        outcome = await _apply(found, plan_id)
        assert (outcome.state, outcome.counts) == ("applying", {"waiting": 1, "sending": 1})
        assert outcome.trouble
        assert (email in new.members, email in old.members) == (True, True)
        found.served.faults.clear()
        carried = await _apply(found, plan_id)
        assert carried.counts == {"done": 2}
        assert (email in new.members, email in old.members) == (True, False)
        assert len(found.changes()) == 2


async def test_what_was_sent_and_may_not_be_read_any_more_is_unknown(one_store: Store) -> None:
    async with provider(one_store) as found:
        one = found.organizations[0]
        root = found.served.world.access.root
        revoke = AccessChange("revoke", oid=one.oid, principal=root, permission="payload.ctrl")
        plan_id = found.draft(revoke)
        found.served.faults.add(Rule("body", method="GET", path=USERS, nth=2, count=None))
        assert (await _apply(found, plan_id)).counts == {"sending": 1}
        found.served.faults.clear()
        found.served.faults.add(Rule("status", status=403, method="GET", path=USERS, count=None))
        outcome = await _apply(found, plan_id)
        assert (outcome.state, outcome.counts) == ("failed", {"unknown": 1})
        assert "cannot be read whether it was made" in outcome.failed[0][2]


@pytest.mark.parametrize(
    "rule",
    [
        Rule("drop", method="GET", path=USERS, nth=3, count=None),
        # The credential is revoked in the middle: nothing is marked as failed.
        Rule("status", status=401, path="/", nth=3, count=None),
    ],
    ids=["connection", "credential"],
)
async def test_a_cloud_that_goes_away_leaves_a_plan_that_is_carried_on(one_store: Store, rule: Rule) -> None:
    async with provider(one_store, orgs=5) as found:
        email = _somebody(found)
        plan_id = found.draft(*(_grant(email, oid) for oid in found.oids))
        found.served.faults.add(rule)
        async with Cloud(root_key(found.served), Endpoint.single(found.served.url)) as fresh:
            outcome = await apply(plan_id, store=one_store, cloud=fresh, operator=OPERATOR)
        assert (outcome.state, outcome.whole) == ("applying", False)
        assert outcome.trouble
        assert set(outcome.counts) <= {"done", "waiting", "sending"}
        found.served.faults.clear()
        assert await resume(one_store, found.cloud) == []
        (carried,) = await resume(one_store, found.cloud, now=now_ms() + operations.LATER)
        assert carried.whole
        assert carried.plan_id == plan_id
        assert sum(entry.effect for entry in found.changes()) == 2 * len(found.oids)
        assert await resume(one_store, found.cloud) == []


async def test_a_plan_that_is_too_old_to_go_on_says_so_of_what_it_did_not_send(one_store: Store) -> None:
    async with provider(one_store) as found:
        email = _somebody(found)
        plan_id = found.draft(*(_grant(email, oid) for oid in found.oids[:3]))
        found.served.faults.add(Rule("drop", method="GET", path=USERS, nth=3, count=None))
        await _apply(found, plan_id)
        found.served.faults.clear()
        sent = len(found.changes())
        (carried,) = await resume(one_store, found.cloud, now=now_ms() + 2 * accessplans.HOUR)
        assert carried.state in ("partly", "failed")
        assert set(carried.counts) <= {"done", "expired"}
        assert carried.counts["expired"]
        assert len(found.changes()) == sent


async def test_two_consoles_that_apply_one_plan_send_each_step_once(store_url: str) -> None:
    from contextlib import closing

    with closing(Store(store_url)) as here, closing(Store(store_url)) as there:
        async with provider(here, orgs=6) as found:
            email = _somebody(found)
            plan_id = found.draft(*(_grant(email, oid) for oid in found.oids))
            async with Cloud(root_key(found.served), Endpoint.single(found.served.url)) as other:
                results = await asyncio.gather(
                    apply(plan_id, store=here, cloud=found.cloud, operator="ada"),
                    apply(plan_id, store=there, cloud=other, operator="bob"),
                    return_exceptions=True,
                )
            done = [each for each in results if isinstance(each, operations.Outcome)]
            assert len(done) == 1
            assert done[0].whole
            assert all(isinstance(each, operations.Outcome | operations.Refused) for each in results)
            assert len(found.changes()) == 2 * len(found.oids)


async def test_a_second_plan_waits_for_the_first(one_store: Store) -> None:
    async with provider(one_store) as found:
        group, email = found.groups[0], _somebody(found)
        names = [name for name in ("payload.ctrl", "job.ctrl") if name not in group.permissions]
        assert len(names) == 2
        first = found.draft(AccessChange("add_group_permission", gid=group.gid, permission=names[0]))
        second = found.draft(AccessChange("add_member", gid=group.gid, principal=email))
        outcomes = await asyncio.gather(_apply(found, first), _apply(found, second))
        assert all(outcome.whole for outcome in outcomes)


async def test_a_key_is_deleted_and_cannot_come_back(one_store: Store) -> None:
    async with provider(one_store) as found:
        one = next(each for each in found.organizations if found.served.world.access.keys(each))
        key = found.served.world.access.keys(one)[0]
        plan_id = found.draft(AccessChange("delete_key", oid=one.oid, principal=key.key_hash))
        assert (await _apply(found, plan_id)).whole
        assert key.key_hash not in found.state()["keys"][one.oid]
        with pytest.raises(NothingToDo):
            found.undoing(plan_id)
