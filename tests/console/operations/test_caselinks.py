"""Cases and their alerts, kept in line both ways, over a real socket against the sandbox."""

import asyncio

import pytest
from sqlalchemy import select

from console.operations import caselinks, triage
from console.sandbox.faults import Rule
from store import ingest, journal
from store.alerts import BENIGN
from store.cases import CONFLICT, DONE, PENDING, REFUSED, SENDING, CaseFilter
from store.database import Store
from store.models import Journal
from store.queries import alerts
from store.queries import cases as queries
from store.queries.alerts import AlertRow
from store.times import now_ms
from store.triage import WAKER, Decision, Selection, begin, recent
from tests.helpers.cases import Case, World, provider


def held(world: World, case: Case) -> list[int]:
    """The alerts of a case, put into the store."""
    organization = world.served.world.by_oid[case[0]]
    found = world.served.world.detections
    wanted = {each["detect_id"] for each in world.there(case).detections}
    records = [
        found.detection(organization.index, place)
        for place in range(organization.detections)
        if found.detect_id(organization.index, place) in wanted
    ]
    assert records
    return [world.put_alert(case[0], dict(record)) for record in records]


def several(world: World, status: str, size: int) -> Case:
    """A case in this status that holds so many alerts."""
    for one in world.organizations:
        for case in world.cases.all_of(one):
            if case.status == status and len(case.detections) == size and not case.merged_into:
                return one.oid, case.number
    raise AssertionError("no such case")


def states(world: World, case: Case) -> set[tuple[int, int]]:
    """Of its alerts in the store."""
    with world.store.reader.reading() as connection:
        return {
            (link.status, link.classification)
            for link in queries.links(connection, *case)
            if link.status is not None and link.classification is not None
        }


async def known(world: World, case: Case) -> list[int]:
    """Its alerts, once the store knows them and everything is in line."""
    alerts = held(world, case)
    await caselinks.turn(world.store, world.cloud, most=500)
    return alerts


async def test_a_case_follows_when_all_its_alerts_are_decided(store: Store) -> None:
    async with provider(store, detections=1200) as world:
        case = several(world, "new", 1)
        organization = world.served.world.by_oid[case[0]]
        free = world.free_detection(organization)
        world.cases.link(organization, world.there(case), "kim", free)
        await world.desk.read(case)
        first, second = await known(world, case)
        triage.close(store, "mk", Selection((first,)), 2)
        await caselinks.turn(store, world.cloud)
        assert world.there(case).status == "new"
        triage.close(store, "mk", Selection((second,)), 2)
        made = await caselinks.turn(store, world.cloud)
        there = world.there(case)
        assert (there.status, there.classification) == ("closed", "false_positive")
        assert (world.row(case).status, world.row(case).classification) == (3, 2)
        assert (made.wanted, made.drained.done) == (1, 1)
        # It is told once.
        asked = world.served.log.total
        assert (await caselinks.turn(store, world.cloud)).wanted == 0
        assert world.served.log.total == asked


async def test_a_case_takes_the_steps_in_between(one_store: Store) -> None:
    async with provider(one_store, detections=1200) as world:
        case = several(world, "new", 1)
        (alert,) = await known(world, case)
        triage.acknowledge(one_store, "mk", Selection((alert,)))
        triage.close(one_store, "mk", Selection((alert,)), 1, resolved=True)
        await caselinks.turn(one_store, world.cloud)
        there = world.there(case)
        assert (there.status, there.classification) == ("resolved", "true_positive")
        assert there.acknowledged_at is not None
        triage.close(one_store, "mk", Selection((alert,)), 1, benign=True)
        await caselinks.turn(one_store, world.cloud)
        assert world.there(case).status == "closed"
        assert BENIGN in world.there(case).tags
        triage.reopen(one_store, "mk", Selection((alert,)))
        await caselinks.turn(one_store, world.cloud)
        assert world.there(case).status == "in_progress"


@pytest.mark.parametrize("sent", [True, False], ids=["after the case was told", "before the case was told"])
async def test_what_is_undone_opens_its_case_again(one_store: Store, sent: bool) -> None:
    async with provider(one_store, detections=1200) as world:
        case = several(world, "new", 1)
        (alert,) = await known(world, case)
        closed = triage.close(one_store, "mk", Selection((alert,)), 2)
        if sent:
            await caselinks.turn(one_store, world.cloud)
            assert world.there(case).status == "closed"
        else:
            caselinks.align(one_store)
        triage.undo(one_store, "mk", closed.action_id)
        for _ in range(4):
            await caselinks.turn(one_store, world.cloud)
        # Nothing in Cases becomes new again.
        assert world.there(case).status == "in_progress"
        assert states(world, case) == {(1, 0)}
        assert not world.edits(REFUSED, PENDING, CONFLICT)
        asked = world.served.log.total
        assert (await caselinks.turn(one_store, world.cloud)).wanted == 0
        assert world.served.log.total == asked


async def test_a_case_that_was_closed_elsewhere_takes_its_alerts_along(store: Store) -> None:
    async with provider(store, detections=1200) as world:
        case = several(world, "in_progress", 2)
        await known(world, case)
        # In progress there, so its alerts are too.
        assert states(world, case) == {(1, 0)}
        organization = world.served.world.by_oid[case[0]]
        world.cases.update(
            organization, case[1], "kim", {"status": "closed", "classification": "false_positive"}
        )
        await world.sync()
        made = await caselinks.turn(store, world.cloud)
        assert made.moved == 2
        assert states(world, case) == {(3, 2)}
        # Their clocks stopped when those of the case did.
        there = world.there(case)
        taken = [alert for alert in world.alerts(case[0]) if alert.status == 3 and alert.assignee == ""]
        ours = [
            alert for alert in taken if alert.detect_id in {each["detect_id"] for each in there.detections}
        ]
        assert {alert.acknowledged_at for alert in ours} == {max(there.acknowledged_at, ours[-1].time)}
        assert {alert.resolved_at for alert in ours} == {there.closed_at}
        assert not world.edits()
        with store.reader.reading() as connection:
            action = recent(connection, actor="cases", limit=1)[0]
        assert (action.verb, action.comment) == ("close", f"follows the case #{case[1]}")
        # Classified anew, and opened again.
        world.cases.update(organization, case[1], "kim", {"classification": "true_positive"})
        await world.desk.read(case)
        await caselinks.turn(store, world.cloud)
        assert states(world, case) == {(3, 1)}
        world.cases.update(organization, case[1], "kim", {"status": "in_progress"})
        await world.desk.read(case)
        await caselinks.turn(store, world.cloud)
        assert {status for status, _ in states(world, case)} == {1}
        assert not world.edits()


async def test_what_follows_a_case_is_written_down_when_it_follows_and_says_who_decided_and_when(
    store: Store,
) -> None:
    async with provider(store, detections=1200) as world:
        began = now_ms()
        # Acknowledged and closed long before anybody looks.
        case = several(world, "closed", 1)
        there = world.there(case)
        assert there.closed_at < began - 1000
        held(world, case)
        await world.desk.read(case)
        await caselinks.turn(store, world.cloud, most=500)
        with store.reader.reading() as connection:
            entries = connection.execute(select(Journal.__table__).order_by(Journal.__table__.c.seq)).all()
            assert journal.verify(connection) is None
            made = [each for each in recent(connection) if each.actor == "cases"]
        followed = [each for each in entries if each.detail.get("comment") == f"follows the case #{case[1]}"]
        assert [each.action for each in followed] == ["alert.ack", "alert.close"]
        assert {each.actor for each in followed} == {WAKER}
        assert all(began <= each.time <= now_ms() for each in entries)
        assert all(began <= each.time <= now_ms() for each in made)
        # The clock of an alert stops when its case is resolved.
        assert followed[1].detail["at"] == min(there.resolved_at or there.closed_at, there.closed_at)
        ended = "case_resolved" if there.resolved_at else "case_closed"
        (who,) = {event["by"] for event in there.events if event["action"] == ended}
        assert followed[1].detail["by"] == who


async def test_decided_here_and_there_is_a_conflict_that_a_person_decides(one_store: Store) -> None:
    async with provider(one_store, detections=1200) as world:
        case = several(world, "in_progress", 1)
        (alert,) = await known(world, case)
        organization = world.served.world.by_oid[case[0]]
        world.cases.update(
            organization, case[1], "kim", {"status": "closed", "classification": "true_positive"}
        )
        triage.close(one_store, "mk", Selection((alert,)), 2, held=True)
        await world.sync()
        await caselinks.turn(one_store, world.cloud)
        (edit,) = world.edits(CONFLICT)
        assert edit.wanted["classification"] == "false_positive"
        assert edit.found["case"]["classification"] == "true_positive"
        assert world.there(case).classification == "true_positive"
        assert states(world, case) == {(3, 2)}
        await world.desk.decide(edit.id, mine=True)
        assert world.there(case).classification == "false_positive"
        await caselinks.turn(one_store, world.cloud)
        assert states(world, case) == {(3, 2)}


async def test_many_decisions_take_few_calls(one_store: Store) -> None:
    async with provider(one_store, orgs=3, detections=1500) as world:
        organization = max(world.organizations, key=lambda one: len(world.cases.all_of(one)))
        cases = [
            (organization.oid, case.number)
            for case in world.cases.all_of(organization)
            if case.status == "new"
        ]
        assert len(cases) > 8
        alerts = [alert for case in cases for alert in held(world, case)]
        await caselinks.turn(one_store, world.cloud, most=1000)
        triage.close(one_store, "mk", Selection(tuple(alerts)), 2)
        made = await caselinks.turn(one_store, world.cloud)
        assert made.drained.done == len(cases)
        assert {world.there(case).status for case in cases} == {"closed"}
        assert world.wire("POST", "/cases/bulk-update") == 1
        assert world.wire("PATCH", "/cases/{number}") == 0


async def test_reading_links_is_bounded_and_begins_with_what_is_open(one_store: Store) -> None:
    async with provider(one_store, detections=1500) as world:
        made = await caselinks.turn(one_store, world.cloud, most=5)
        assert made.links == 5
        assert world.wire("GET", "/cases/{number}/detections") == 5
        with one_store.reader.reading() as connection:
            left = caselinks.unlinked(connection, limit=1000)
        assert left
        statuses = [world.there((oid, number)).status for oid, number, _ in left]
        closed = [status in ("resolved", "closed") for status in statuses]
        assert closed == sorted(closed)


async def test_an_organization_that_refuses_does_not_hold_up_the_others(one_store: Store) -> None:
    async with provider(one_store, detections=1200) as world:
        refused = world.organizations[0].oid
        world.served.faults.add(
            Rule("status", status=403, oid=refused, path="*/cases/{number}/detections", count=None)
        )
        made = await caselinks.turn(one_store, world.cloud, most=1000)
        assert made.links > 0
        with one_store.reader.reading() as connection:
            assert {oid for oid, _, _ in caselinks.unlinked(connection, limit=1000)} == {refused}


async def test_cases_that_were_refused_do_not_take_the_turns_of_others(one_store: Store) -> None:
    async with provider(one_store, detections=1500) as world:
        with one_store.writing() as connection:
            for one in world.organizations:
                for case in world.cases.all_of(one):
                    ingest.put_case_reading(connection, one.oid, case.number, stale=True)

        def asked() -> tuple[list[str], list[str]]:
            with one_store.reader.reading() as connection:
                whole = [oid for oid, _ in caselinks.stale(connection)]
                return whole, [oid for oid, _, _ in caselinks.unlinked(connection, limit=1000)]

        refused = asked()[0][0]
        with one_store.writing() as connection:
            ingest.put_sync_state(connection, refused, "cases", failure="denied", reason="no permission")
        assert all(found and refused not in found for found in asked())
        # One turn, which the gravest of all cases would have taken.
        assert (await caselinks.turn(one_store, world.cloud, most=0, whole=1)).whole == 1
        with one_store.writing() as connection:
            ingest.put_sync_state(connection, refused, "cases")
        assert refused in asked()[0]


async def test_an_organization_that_lists_its_cases_and_shows_none_is_left_alone_for_an_hour(
    one_store: Store,
) -> None:
    async with provider(one_store, detections=1500) as world:
        with one_store.writing() as connection:
            for one in world.organizations:
                for case in world.cases.all_of(one):
                    ingest.put_case_reading(connection, one.oid, case.number, stale=True)
        with one_store.reader.reading() as connection:
            refused = caselinks.stale(connection)[0][0]
        world.served.faults.add(
            Rule("status", status=403, oid=refused, path="*/cases/{number}", method="GET", count=None)
        )
        refusals = caselinks.Refusals()

        async def turned(later: int = 0) -> int:
            made = await caselinks.turn(
                one_store, world.cloud, most=0, whole=1, refusals=refusals, clock=lambda: now_ms() + later
            )
            return made.whole

        # The gravest of all cases is of the organization that refuses.
        assert [await turned(), await turned(), await turned()] == [0, 1, 1]
        assert await turned(caselinks.PATIENCE) == 0


async def test_the_background_notices_what_is_wanted_and_sends_it(one_store: Store) -> None:
    async with provider(one_store) as world:
        case = world.in_status("in_progress")
        keeping = asyncio.create_task(caselinks.keep(one_store, world.cloud, every=0.2))
        try:
            await world.away.note(case, "Sent by nobody in particular.")
            for _ in range(200):
                # Who is cancelled between the answer and writing it down leaves it to the next to look.
                sending = any(edit.state == SENDING for edit in world.edits())
                if world.notes(case).count("Sent by nobody in particular.") and not sending:
                    break
                await asyncio.sleep(0.05)
            assert world.notes(case).count("Sent by nobody in particular.") == 1
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        assert {edit.state for edit in world.edits()} <= {DONE, PENDING}


async def test_a_case_that_changed_is_read_whole_again_and_nothing_else_is(store: Store) -> None:
    async with provider(store, detections=1200) as world:
        case = world.in_status("in_progress")
        other = world.in_status("in_progress", nth=1)
        for each in (case, other):
            await world.desk.read(each)
            assert world.detail(each).complete
        await caselinks.turn(store, world.cloud, most=1000)
        organization = world.served.world.by_oid[case[0]]
        world.cases.add_note(organization, world.there(case), "kim", {"content": "what was found"})
        world.cases.update(organization, case[1], "kim", {"summary": "another"})
        await world.sync()
        # Known to be older than the case, until it is read.
        assert not world.detail(case).complete
        assert "since the case changed" in world.detail(case).lacking
        assert "what was found" not in [note.details["content"] for note in world.detail(case).notes]
        asked = world.served.log.total
        assert (await caselinks.turn(store, world.cloud, most=1000)).whole == 1
        assert world.served.log.total == asked + 5
        assert world.detail(case).complete
        assert "what was found" in [note.details["content"] for note in world.detail(case).notes]
        await world.sync()
        asked = world.served.log.total
        assert (await caselinks.turn(store, world.cloud, most=1000)).whole == 0
        assert world.served.log.total == asked


async def test_reading_cases_whole_is_bounded_and_what_is_left_says_so(one_store: Store) -> None:
    async with provider(one_store, detections=1500) as world:
        cases = [(one.oid, case.number) for one in world.organizations for case in world.cases.all_of(one)]
        opened = [case for case in cases if world.there(case).status in ("new", "in_progress")][:6]
        shut = next(case for case in cases if world.there(case).status == "closed")
        await world.desk.read(shut)
        for oid, number in (shut, *opened):
            world.cases.update(world.served.world.by_oid[oid], number, "kim", {"summary": "changed"})
        await world.sync()
        # A closed one is listed no more; whoever reads it finds that it changed.
        with one_store.writing() as connection:
            ingest.put_case_reading(connection, *shut, stale=True)
        made = await caselinks.turn(one_store, world.cloud, most=0, whole=4)
        assert made.whole == 4
        with one_store.reader.reading() as connection:
            left = caselinks.stale(connection)
        assert len(left) == 3
        assert left[-1] == shut
        assert [world.detail(case).complete for case in left] == [False] * 3
        assert (await caselinks.turn(one_store, world.cloud, most=0)).whole == 3
        assert world.detail(shut).complete
        everything = await caselinks.turn(one_store, world.cloud, most=0, everything=True)
        assert everything.whole > 0
        with one_store.reader.reading() as connection:
            opened = queries.page(connection, CaseFilter(), limit=1000)
        assert all(world.detail((row.oid, row.number)).complete for row in opened if row.number > 0)


async def test_our_own_change_leaves_what_was_read_whole_whole(one_store: Store) -> None:
    async with provider(one_store, detections=1200) as world:
        case = world.in_status("new")
        await world.desk.note(case, "seen by one")
        # Its entities were never read.
        assert not world.detail(case).complete
        await world.desk.read(case)
        await world.desk.update([case], {"status": "in_progress"})
        await world.desk.note(case, "seen by two")
        await world.desk.entity(case, "ip", "192.0.2.7")
        assert world.detail(case).complete
        # Somebody else attached something, which our own next change tells of.
        organization = world.served.world.by_oid[case[0]]
        sent = {"entity_type": "ip", "entity_value": "192.0.2.9"}
        world.cases.add_entity(organization, world.there(case), "kim", sent)
        await world.desk.note(case, "seen by three")
        assert not world.detail(case).complete


async def test_an_undone_claim_is_new_again_where_no_case_is_behind_it(one_store: Store) -> None:
    async with provider(one_store, detections=1200) as world:
        case = several(world, "new", 1)
        organization = world.served.world.by_oid[case[0]]
        alert = world.put_alert(case[0], world.free_detection(organization))
        before = row(world, alert)
        claimed = triage.claim(one_store, "mk", Selection((alert,)))
        assert row(world, alert).status == 1
        undone = triage.undo(one_store, "mk", claimed.action_id)
        assert caselinks.follow_undo(one_store, undone.action_id) == caselinks.Held()
        for _ in range(3):
            await caselinks.turn(one_store, world.cloud, most=500)
        after = row(world, alert)
        assert (after.status, after.assignee, after.due_at) == (0, "", before.due_at)


async def test_an_undone_claim_stays_in_progress_where_its_case_moved_and_says_which(
    one_store: Store,
) -> None:
    async with provider(one_store, detections=1200) as world:
        case = several(world, "new", 1)
        (alert,) = await known(world, case)
        claimed = triage.claim(one_store, "mk", Selection((alert,)))
        await caselinks.turn(one_store, world.cloud)
        assert world.there(case).status == "in_progress"
        undone = triage.undo(one_store, "mk", claimed.action_id)
        assert caselinks.follow_undo(one_store, undone.action_id) == caselinks.Held(1, (case,))
        # What is said is what is there, now and after every turn.
        assert row(world, alert).status == 1
        assert row(world, alert).assignee == ""
        for _ in range(3):
            await caselinks.turn(one_store, world.cloud)
        assert world.there(case).status == "in_progress"
        assert states(world, case) == {(1, 0)}
        assert not world.edits(REFUSED, PENDING, CONFLICT)


async def test_an_interrupted_undo_is_resumed_with_what_it_means_for_the_case(one_store: Store) -> None:
    async with provider(one_store, detections=1200) as world:
        case = several(world, "new", 1)
        (alert,) = await known(world, case)
        claimed = triage.claim(one_store, "mk", Selection((alert,)))
        caselinks.align(one_store)
        assert world.edits(PENDING)
        with one_store.writing() as connection:
            begin(connection, Decision("undo", "mk", of=claimed.action_id), Selection(), now=now_ms())
        (resumed,) = caselinks.resume(one_store)
        assert (resumed.changed, resumed.finished) == (1, True)
        assert row(world, alert).status == 0
        assert not world.edits(PENDING)
        assert caselinks.resume(one_store) == []


@pytest.mark.parametrize("verb", ["claim", "close"])
async def test_what_was_undone_before_the_case_was_told_is_new_again_and_the_case_is_left_alone(
    one_store: Store, verb: str
) -> None:
    async with provider(one_store, detections=1200) as world:
        case = several(world, "new", 1)
        (alert,) = await known(world, case)
        before = row(world, alert)
        if verb == "claim":
            done = triage.claim(one_store, "mk", Selection((alert,)))
        else:
            done = triage.close(one_store, "mk", Selection((alert,)), 2)
        caselinks.align(one_store)
        assert world.edits(PENDING)
        with one_store.reader.reading() as connection:
            assert caselinks.behind(connection, done.action_id) == [case]
        undone = triage.undo(one_store, "mk", done.action_id)
        assert caselinks.follow_undo(one_store, undone.action_id) == caselinks.Held()
        assert not world.edits(PENDING)
        with one_store.reader.reading() as connection:
            assert caselinks.behind(connection, undone.action_id) == []
        for _ in range(3):
            await caselinks.turn(one_store, world.cloud)
        assert world.there(case).status == "new"
        after = row(world, alert)
        assert (after.status, after.due_at) == (0, before.due_at)


async def test_of_a_bulk_close_what_has_a_case_that_was_closed_opens_with_it(one_store: Store) -> None:
    async with provider(one_store, detections=1200) as world:
        case = several(world, "new", 1)
        (alert,) = await known(world, case)
        organization = world.served.world.by_oid[case[0]]
        detections = world.served.world.detections
        held_ids = {each["detect_id"] for one in world.cases.all_of(organization) for each in one.detections}
        free = [
            place
            for place in range(organization.detections)
            if detections.detect_id(organization.index, place) not in held_ids
        ][:3]
        alone = [
            world.put_alert(case[0], dict(detections.detection(organization.index, place))) for place in free
        ]
        closed = triage.close(one_store, "mk", Selection((alert, *alone)), 2)
        await caselinks.turn(one_store, world.cloud)
        assert world.there(case).status == "closed"
        undone = triage.undo(one_store, "mk", closed.action_id)
        assert undone.changed == 4
        assert caselinks.follow_undo(one_store, undone.action_id) == caselinks.Held(1, (case,))
        for _ in range(4):
            await caselinks.turn(one_store, world.cloud)
        assert world.there(case).status == "in_progress"
        assert [row(world, each).status for each in (alert, *alone)] == [1, 0, 0, 0]
        assert all(row(world, each).due_at is not None for each in alone)


def row(world: World, alert: int) -> AlertRow:
    """An alert as the store has it."""
    with world.store.reader.reading() as connection:
        return alerts.rows_of(connection, [alert])[0]
