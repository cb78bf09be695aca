"""Break-glass over a real socket: given with an end, and taken back by whoever is there when it has come."""

import asyncio
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import select

from console.limacharlie.client import Cloud
from console.limacharlie.endpoint import Endpoint
from console.operations import accessplans, breakglass, deadlines
from console.sandbox.faults import Rule
from store import breakglass as glasses
from store import ingest
from store.accesschanges import AccessChange
from store.breakglass import GlassError
from store.database import Store
from store.models import Journal
from store.times import now_ms
from store.tree import TreeNode, replace_tree
from tests.helpers.accessplans import Provider, provider, root_key

HOUR = 3_600_000
MEMBERS = "/v1/groups/{gid}/users"


def a_group(there: Provider, name: str = "Active Responders") -> Any:
    return next(group for group in there.groups if group.name == name)


def an_outsider(there: Provider, group: Any) -> str:
    everybody: dict[str, Any] = there.served.world.access.users
    return next(email for email in everybody if email not in group.members)


def members(there: Provider, group: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = there.served.world.access.by_gid[group.gid].members
    return found


def sent(there: Provider, method: str) -> list[Any]:
    """The requests that changed a membership, and were carried out."""
    entries = there.served.log.entries
    return [each for each in entries if each.method == method and each.template == MEMBERS and each.effect]


async def begin(there: Provider, who: str, group: Any, **changed: Any) -> breakglass.Started:
    given: dict[str, Any] = {
        "reason": "ransomware at Acme", "ticket": "INC-7", "lasts": HOUR, "confirm": (group.name,),
        "operator": "ada", "store": there.store, "cloud": there.cloud,
    } | changed  # fmt: skip
    return await breakglass.start(group.gid, who, **given)


def listed(store: Store, **wanted: Any) -> list[glasses.Glass]:
    with store.reader.reading() as connection:
        return glasses.listed(connection, **wanted)


def journal(store: Store) -> list[Any]:
    table = Journal.__table__  # type: ignore[attr-defined]
    with store.reader.reading() as connection:
        return list(connection.execute(select(table).order_by(table.c.seq)))


async def test_it_is_given_and_taken_back_when_its_time_has_come(store: Store) -> None:
    async with provider(store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        started = await begin(there, who, group)
        assert (started.outcome, started.glass.state) == ("given", glasses.GIVEN)
        assert who in members(there, group)
        early = await deadlines.due(store, there.cloud, started.glass.due_at - 1)
        assert early == []
        assert who in members(there, group)
        made = await deadlines.due(store, there.cloud, started.glass.due_at)
        again = await deadlines.due(store, there.cloud, started.glass.due_at + HOUR)
        assert [each.outcome for each in made] == ["done"]
        assert again == []
        assert who not in members(there, group)
        assert len(sent(there, "DELETE")) == 1
    (glass,) = listed(store)
    assert (glass.state, glass.end_reason, glass.open) == (glasses.ENDED, "expired", False)
    said = [(each.action, each.detail.get("reason")) for each in journal(store) if "break" in each.action]
    assert said == [("break-glass.start", "ransomware at Acme"), ("break-glass.end", None)]


async def test_the_end_is_written_down_before_anything_is_sent(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        there.served.faults.add(Rule(fault="hang", method="POST", path="*/groups/*/users", effect=False))
        starting = asyncio.create_task(begin(there, who, group))
        while not any(each["applied"] for each in there.served.faults.listed()):
            await asyncio.sleep(0.01)
        (glass,) = listed(one_store)
        assert (glass.state, glass.open) == (glasses.ASKED, True)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


async def test_whoever_was_a_member_before_is_not_removed(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = members(there, group)[0]
        with pytest.raises(breakglass.Refused, match="without an end"):
            await begin(there, who, group)
        assert listed(one_store) == []
        assert await deadlines.due(one_store, there.cloud, now_ms() + 2 * HOUR) == []
        assert who in members(there, group)
        assert sent(there, "POST") == sent(there, "DELETE") == []


async def test_the_same_person_is_not_given_it_twice(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        await begin(there, who, group)
        with pytest.raises(breakglass.Refused, match="has it already: break-glass 1"):
            await begin(there, who, group)
        assert len(listed(one_store)) == 1


async def test_a_group_that_is_not_meant_for_it_and_protected_organizations_are_typed(
    one_store: Store,
) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        oid = there.served.world.organizations[group.organizations[0]].oid
        with one_store.writing() as connection:
            replace_tree(
                connection,
                [
                    TreeNode(id="root", parent=None, name="Provider"),
                    TreeNode(id="one", parent="root", name="One", oid=oid, marks=("protected",)),
                ],
            )
        with pytest.raises(breakglass.WrongName) as neither:
            await begin(there, who, group, confirm=())
        with pytest.raises(breakglass.WrongName) as one:
            await begin(there, who, group)
        assert len(neither.value.missing) == 2
        assert len(one.value.missing) == 1
        assert listed(one_store) == []
        started = await begin(there, who, group, confirm=(group.name, *one.value.missing))
        assert started.outcome == "given"
        # What was confirmed when it began is not asked for when it ends.
        made = await deadlines.due(one_store, there.cloud, started.glass.due_at)
        assert [each.outcome for each in made] == ["done"]
        with one_store.writing() as connection:
            assert glasses.declare(connection, group.gid, meant=True, by="ada", now=now_ms())
        again = await begin(there, who, group, confirm=one.value.missing)
        assert again.outcome == "given"


async def test_it_can_be_ended_early_and_only_once(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        started = await begin(there, who, group)
        ended = await breakglass.end(started.glass.id, store=one_store, cloud=there.cloud, operator="ben")
        assert (ended.outcome, ended.glass.end_reason, ended.glass.ended_by) == ("done", "early", "ben")
        assert who not in members(there, group)
        with pytest.raises(GlassError, match="over already"):
            await breakglass.end(started.glass.id, store=one_store, cloud=there.cloud, operator="ben")
        assert len(sent(there, "DELETE")) == 1


async def test_an_end_without_the_cloud_stays_overdue_and_is_tried_again(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        started = await begin(there, who, group)
        there.served.faults.add(Rule(fault="status", path="*/groups/*", status=503, count=None))
        due = started.glass.due_at
        first = await deadlines.due(one_store, there.cloud, due)
        at_once = await deadlines.due(one_store, there.cloud, due + 1)
        (glass,) = listed(one_store)
        assert [each.outcome for each in first] == ["failed"]
        assert at_once == [], "it is tried again after a pause"
        assert (glass.tries, glass.open, glass.overdue(due)) == (1, True, True)
        assert glass.trouble
        later = await deadlines.due(one_store, there.cloud, due + 10_000)
        assert [each.outcome for each in later] == ["failed"]
        there.served.faults.clear()
        last = await deadlines.due(one_store, there.cloud, due + HOUR)
        assert [each.outcome for each in last] == ["done"]
        assert who not in members(there, group)
        assert len(sent(there, "DELETE")) == 1


async def test_a_membership_that_somebody_else_took_back_is_already_so(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        started = await begin(there, who, group)
        await there.cloud.remove_group_member(group.gid, who)
        made = await deadlines.due(one_store, there.cloud, started.glass.due_at)
        assert [each.outcome for each in made] == ["already"]
        assert len(sent(there, "DELETE")) == 1, "the one of somebody else"
    (glass,) = listed(one_store)
    assert glass.end_reason == "already"


async def test_what_was_never_given_is_not_taken_from_whom_others_gave_it(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        with one_store.writing() as connection:
            effect = glasses.effect(connection, group.gid, who)
            glasses.begin(
                connection, effect, reason="r", ticket="t", lasts=HOUR, by="ada", now=now_ms()
            )  # a console that died here
        await there.cloud.add_group_member(group.gid, who)
        made = await deadlines.due(one_store, there.cloud, now_ms() + 2 * HOUR)
        assert [each.outcome for each in made] == ["already"]
        assert who in members(there, group)
    (glass,) = listed(one_store)
    assert (glass.state, glass.end_reason) == (glasses.NEVER, "never given")


async def test_a_plan_that_was_cut_off_gives_nothing_after_the_end(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        begun = now_ms() - 2 * HOUR
        with one_store.writing() as connection:
            effect = glasses.effect(connection, group.gid, who)
            number = glasses.begin(
                connection, effect, reason="r", ticket="t", lasts=HOUR, by="ada", now=begun
            )
        plan = there.draft(
            AccessChange("add_member", gid=group.gid, principal=who), source=glasses.source_of(number)
        )
        with one_store.writing() as connection:  # cut off while it was applied
            connection.exec_driver_sql(
                f"UPDATE access_plan SET state = 1, approved_by = 'ada' WHERE id = {plan}"
            )
        assert await accessplans.resume(one_store, there.cloud) == []
        assert who not in members(there, group)
        made = await deadlines.due(one_store, there.cloud)
        assert [each.outcome for each in made] == ["already"]
        assert there.plan(plan).state == "dropped"
        assert await accessplans.resume(one_store, there.cloud) == []
        assert sent(there, "POST") == []


async def test_a_start_that_the_cloud_refuses_leaves_nothing_to_end(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        there.served.faults.add(
            Rule(fault="status", method="POST", path="*/groups/*/users", status=401, count=None)
        )
        with pytest.raises(breakglass.Refused, match="It was not given"):
            await begin(there, who, group)
        assert listed(one_store, only_open=True) == []
        assert await deadlines.due(one_store, there.cloud, now_ms() + 2 * HOUR) == []


async def test_an_answer_that_was_lost_keeps_the_end(one_store: Store) -> None:
    """Nobody can tell whether it was given, so it is taken back in any case."""
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        there.served.faults.add(Rule(fault="drop", method="POST", path="*/groups/*/users", effect=True))
        started = await begin(there, who, group)
        assert who in members(there, group)
        made = await deadlines.due(one_store, there.cloud, started.glass.due_at)
        assert [each.outcome for each in made] == ["done"]
        assert who not in members(there, group)
        assert len(sent(there, "POST")) == len(sent(there, "DELETE")) == 1


async def test_of_two_consoles_one_takes_it_back(store: Store, store_url: str) -> None:
    async with provider(store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        started = await begin(there, who, group)
        due = started.glass.due_at
        with closing(Store(store_url)) as other:
            async with Cloud(root_key(there.served), Endpoint.single(there.served.url)) as second:
                made = await asyncio.gather(
                    *(deadlines.due(store, there.cloud, due) for _ in range(3)),
                    *(deadlines.due(other, second, due) for _ in range(3)),
                )
        assert sum(len(each) for each in made) == 1
        assert who not in members(there, group)
        assert len(sent(there, "DELETE")) == 1


async def test_an_extension_moves_the_end_and_has_a_limit(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        started = await begin(there, who, group)
        glass = await breakglass.extend(
            started.glass.id, HOUR, "still at it", store=one_store, operator="ada", confirm=(group.name,)
        )
        assert glass.due_at == started.glass.due_at + HOUR
        assert await deadlines.due(one_store, there.cloud, started.glass.due_at) == []
        with pytest.raises(GlassError, match="24 hours"):
            await breakglass.extend(
                glass.id, 23 * HOUR, "more", store=one_store, operator="ada", confirm=(group.name,)
            )
        with pytest.raises(breakglass.WrongName):
            await breakglass.extend(glass.id, HOUR, "more", store=one_store, operator="ada")
        made = await deadlines.due(one_store, there.cloud, glass.due_at)
        assert [each.outcome for each in made] == ["done"]


async def test_a_clock_that_was_set_back_lets_nothing_last_longer(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        started = await begin(there, who, group)
        due = started.glass.due_at
        assert await deadlines.due(one_store, there.cloud, due - HOUR // 2) == []
        # Half of its time is over, and the clock says that it is an hour earlier.
        assert await deadlines.due(one_store, there.cloud, due - 3 * HOUR // 2) == []
        (glass,) = listed(one_store)
        assert glass.due_at == due - HOUR
        assert await deadlines.due(one_store, there.cloud, due - HOUR - 1) == []
        made = await deadlines.due(one_store, there.cloud, due - HOUR)
        assert [each.outcome for each in made] == ["done"]
        assert who not in members(there, group)
    assert "clock.set_back" in [each.action for each in journal(one_store)]


async def test_a_console_that_may_not_write_neither_gives_nor_takes(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        started = await begin(there, who, group)
        key, endpoint = root_key(there.served), Endpoint.single(there.served.url)
        async with Cloud(key, endpoint, read_only=True) as locked:
            assert await deadlines.due(one_store, locked, started.glass.due_at) == []
            with pytest.raises(breakglass.NotAllowed, match="read-only"):
                await begin(there, an_outsider(there, group), group, cloud=locked)
            with pytest.raises(breakglass.NotAllowed, match="read-only"):
                await breakglass.end(started.glass.id, store=one_store, cloud=locked, operator="ada")
        (glass,) = listed(one_store)
        assert (glass.due_at, glass.end_reason) == (started.glass.due_at, "")
        assert who in members(there, group)
        assert len(sent(there, "POST")) == 1


HOSTILE = "\x1b]0;owned\x07\u202e[@click=app.quit]=cmd|' /C calc'!A0\ud800"


async def test_hostile_words_are_kept_and_told_without_harm(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        started = await begin(there, who, group, reason=f"because {HOSTILE}", ticket=HOSTILE)
        made = await deadlines.due(one_store, there.cloud, started.glass.due_at)
    assert "\x1b" not in started.sentence + made[0].sentence
    (glass,) = listed(one_store)
    assert "owned" in glass.reason


async def test_the_report_tells_what_the_person_did_meanwhile_and_what_is_not_known(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        started = await begin(there, who, group)
        at = started.glass.started_at
        first, *rest = started.glass.organizations
        entries = [
            {"time": at - 1_000, "etype": "config_change", "ident": who, "msg": "before"},
            {"time": at + 1_000, "etype": "sensor_task", "ident": who.upper(), "msg": f"during {HOSTILE}"},
            {"time": at + 2_000, "etype": "config_change", "ident": "somebody@else.example", "msg": "other"},
        ]
        await deadlines.due(one_store, there.cloud, started.glass.due_at)
        (ended,) = listed(one_store)
        after = started.glass.due_at + 60_000
        entries.append({"time": after, "etype": "config_change", "ident": who, "msg": "with an old token"})
        now = after + 2 * HOUR
        with one_store.writing() as connection:
            ingest.put_audit(connection, first, entries)
            ingest.put_sync_state(connection, first, "audit", checked_at=now, attempted_at=now)
            ingest.put_keys(
                connection,
                first,
                {"hash": {"name": "left behind", "priv": ["org.get"], "by": who}},
                now=at + 1,
            )
        with one_store.reader.reading() as connection:
            report = glasses.report(connection, ended, now=now)
    assert [(str(each.message).split()[0], each.after_end) for each in report.deeds] == [
        ("during", False), ("with", True),
    ]  # fmt: skip
    assert (report.whole, len(report.told)) == (1, 1 + len(rest))
    assert f"1 of {1 + len(rest)} organizations" in report.sentences[0]
    assert [(oid, str(name)) for oid, _, name in report.keys] == [(first, "left behind")]
    assert "1 API key made meanwhile is still there" in report.sentences[1]
    assert "Reads are not audited" in report.sentences[2]


async def test_what_others_carried_on_with_is_told_as_given(one_store: Store) -> None:
    async with provider(one_store) as there:
        group = a_group(there)
        who = an_outsider(there, group)
        with one_store.writing() as connection:
            effect = glasses.effect(connection, group.gid, who)
            number = glasses.begin(
                connection, effect, reason="r", ticket="t", lasts=HOUR, by="ada", now=now_ms()
            )
        plan = there.draft(
            AccessChange("add_member", gid=group.gid, principal=who), source=glasses.source_of(number)
        )
        assert listed(one_store)[0].state == glasses.ASKED
        await accessplans.apply(plan, store=one_store, cloud=there.cloud, operator="ada")
        (glass,) = listed(one_store)
        assert (glass.state, glass.given_at is not None) == (glasses.GIVEN, True)
        made = await deadlines.due(one_store, there.cloud, glass.due_at)
        assert [each.outcome for each in made] == ["done"]
