"""What is done to cases: written down, sent once, read back, over a real socket against the sandbox."""

import asyncio
import socket

import msgspec
import pytest
from sqlalchemy import select

from console.operations.casequeue import CaseQueue
from console.operations.cases import Impossible
from console.sandbox.faults import Rule
from store import casework, ingest
from store.cases import CONFLICT, DONE, DROPPED, PENDING, REFUSED, SENDING
from store.configuration import Record
from store.database import Store
from store.models import CaseEdit, Journal
from store.queries import cases as queries
from store.times import now_ms
from tests.helpers.cases import provider

Case = tuple[str, int]


NOTES = "/cases/{number}/notes"


def aimed(fault: Rule, method: str, path: str) -> Rule:
    """The same fault, of one kind of request."""
    return msgspec.structs.replace(fault, method=method, path=path)


async def test_what_is_wanted_is_sent_once_read_back_and_in_the_journal(store: Store) -> None:
    async with provider(store) as world:
        case = world.in_status("new")
        outcome = await world.desk.update([case], {"status": "in_progress", "assignees": ["mk"]})
        assert [edit.state for edit in outcome.edits] == [DONE]
        there = world.there(case)
        assert (there.status, there.assignees) == ("in_progress", ["mk"])
        row = world.row(case)
        assert (row.status, row.assignees, row.pending) == (1, ("mk",), 0)
        noted = await world.desk.note(case, "Looks like the backup.", note_type="analysis")
        assert noted.done == 1
        assert world.notes(case).count("Looks like the backup.") == 1
        assert [str(note.details["content"]) for note in world.detail(case).notes].count(
            "Looks like the backup."
        ) == 1
    table = Journal.__table__  # type: ignore[attr-defined]
    with store.reader.reading() as connection:
        said = [
            (row.action, row.oid, row.target)
            for row in connection.execute(select(table).order_by(table.c.seq))
        ]
    name = f"#{case[1]}"
    assert said == [
        ("case.update", case[0], name),
        ("case.update.done", case[0], name),
        ("case.note", case[0], name),
        ("case.note.done", case[0], name),
    ]


async def test_every_kind_of_change_arrives(one_store: Store) -> None:
    async with provider(one_store) as world:
        case = world.in_status("in_progress")
        desk = world.desk
        before = world.there(case)
        tags = list(before.tags)
        await desk.tag([case], add=["from-limegrove"], remove=tags[:1])
        await desk.entity(case, "domain", "Evil.Example", note="beacon", verdict="malicious")
        await desk.log_time(case, 900, note="triage")
        await desk.note(case, "For the customer.", note_type="to_stakeholder", public=True)
        alert = world.free_detection(world.served.world.by_oid[case[0]])
        await desk.link(case, [world.put_alert(case[0], alert)])
        sid = alert["routing"]["sid"]
        await desk.telemetry(case, "a" * 32, sid, "NEW_PROCESS", verdict="suspicious")
        await desk.update([case], {"severity": "critical", "summary": "S", "classification": "true_positive"})
        await desk.update([case], {"status": "resolved", "conclusion": "Contained."})
        assert not world.edits(PENDING, SENDING, CONFLICT, REFUSED)

        there = world.there(case)
        assert "from-limegrove" in there.tags
        assert not set(tags[:1]) & set(there.tags)
        assert {"entity_type": "domain", "entity_value": "evil.example", "verdict": "malicious"}.items() <= (
            there.entities[-1].items()
        )
        assert [each["billable_seconds"] for each in there.time_logs] == [900]
        assert there.telemetry[-1]["atom"] == "a" * 32
        assert alert["detect_id"] in {each["detect_id"] for each in there.detections}
        assert (there.severity, there.summary, there.classification) == ("critical", "S", "true_positive")
        assert (there.status, there.conclusion) == ("resolved", "Contained.")
        detail = await desk.read(case)
        assert detail is not None
        public = [note for note in detail.notes if note.details["is_public"]]
        await desk.show_note(case, public[-1].event_id, public=False)
        assert [event["metadata"]["is_public"] for event in world.there(case).events
                if event["event_id"] == public[-1].event_id] == [False]  # fmt: skip
        assert {each["entity_value"] for each in detail.entities} >= {"evil.example"}
        assert alert["detect_id"] in {str(link.detect_id) for link in detail.links}
        await desk.unlink(case, alert["detect_id"])
        assert alert["detect_id"] not in {each["detect_id"] for each in world.there(case).detections}


async def test_doing_the_same_again_changes_nothing_in_the_cloud(one_store: Store) -> None:
    async with provider(one_store) as world:
        case = world.in_status("in_progress")
        for _ in range(2):
            await world.desk.tag([case], add=["vip-2"])
            await world.desk.entity(case, "hash", "a" * 64)
        there = world.there(case)
        assert there.tags.count("vip-2") == 1
        assert [each["entity_value"] for each in there.entities].count("a" * 64) == 1
        assert [edit.state for edit in world.edits()] == [DONE] * 4


async def test_a_step_that_cases_do_not_take_is_refused_before_anything_is_written(one_store: Store) -> None:
    async with provider(one_store) as world:
        case = world.in_status("new")
        outcome = await world.desk.update([case], {"status": "resolved"})
        assert not outcome.edits
        assert [each.reason for each in outcome.refused] == [
            "A case that is new can become in_progress or closed, not resolved."
        ]
        assert not world.edits()
        with pytest.raises(Impossible, match="is no status"):
            await world.desk.update([case], {"status": "gone"})
        with pytest.raises(Impossible, match="must not be empty"):
            await world.desk.note(case, "  ")
        with pytest.raises(Impossible, match="characters"):
            await world.desk.note(case, "x" * 8193)


async def test_what_the_cloud_refuses_is_shown_and_not_sent_again(one_store: Store) -> None:
    async with provider(one_store) as world:
        first, second = world.many("in_progress", 2)
        await world.desk.merge(first[0], first[1], [second[1]])
        # The store is as it was before: it does not know that the case was merged.
        with one_store.writing() as connection:
            row = queries.row(connection, *second)
            ingest.put_case_row(connection, {**row, "merged_into_case_id": None}, now=now_ms())
        outcome = await world.desk.update([second], {"status": "in_progress"})
        (edit,) = outcome.edits
        assert edit.state == REFUSED
        assert "invalid status transition" in edit.reason
        before = world.served.log.total
        await world.desk.send()
        assert world.served.log.total == before
        assert world.row(second).refused == 1
        with one_store.reader.reading() as connection:
            assert queries.figures(connection).needing == 1
        await world.desk.decide(edit.id, mine=False)
        assert world.row(second).refused == 0


async def test_offline_edits_wait_in_order_and_go_when_the_cloud_is_there_again(one_store: Store) -> None:
    async with provider(one_store) as world:
        case = world.in_status("new")
        await world.away.update([case], {"status": "in_progress", "assignees": ["mk"]})
        await world.away.note(case, "Written on a train.")
        await world.away.update([case], {"status": "closed", "classification": "false_positive"})
        assert world.there(case).status == "new"
        assert world.row(case).pending == 3
        assert world.detail(case).wanted["status"] == "closed"
        drained = await world.desk.send()
        assert (drained.done, drained.waiting, drained.trouble) == (3, 0, "")
        there = world.there(case)
        assert (there.status, there.classification) == ("closed", "false_positive")
        assert world.notes(case).count("Written on a train.") == 1


async def test_an_offline_edit_that_met_another_is_a_conflict_with_both_sides(one_store: Store) -> None:
    async with provider(one_store) as world:
        case = world.in_status("in_progress")
        organization = world.served.world.by_oid[case[0]]
        await world.away.update([case], {"assignees": ["mk"], "summary": "Mine"})
        world.cases.update(organization, case[1], "kim@example.com", {"assignees": ["kim"]})
        drained = await world.desk.send()
        assert (drained.done, drained.conflicts) == (0, 1)
        assert world.there(case).assignees == ["kim"]
        assert world.there(case).summary != "Mine"
        (edit,) = world.edits(CONFLICT)
        assert edit.wanted["assignees"] == ["mk"]
        assert edit.found["case"]["assignees"] == ["kim"]
        assert "and is kim" in edit.reason
        # Again and again it waits for a person.
        await world.desk.send()
        assert world.there(case).assignees == ["kim"]

        await world.desk.decide(edit.id, mine=True)
        assert world.there(case).assignees == ["mk"]
        assert world.there(case).summary == "Mine"
        assert not world.edits(CONFLICT)


async def test_keeping_theirs_sends_nothing(one_store: Store) -> None:
    async with provider(one_store) as world:
        case = world.in_status("in_progress")
        organization = world.served.world.by_oid[case[0]]
        await world.away.update([case], {"summary": "Mine"})
        world.cases.update(organization, case[1], "kim@example.com", {"summary": "Kim's"})
        await world.desk.send()
        (edit,) = world.edits(CONFLICT)
        await world.desk.decide(edit.id, mine=False)
        await world.desk.send()
        assert world.there(case).summary == "Kim's"
        assert [each.state for each in world.edits()] == [DROPPED]
        assert world.row(case).summary == "Kim's"
        with pytest.raises(Impossible, match="nothing to decide"):
            await world.desk.decide(edit.id, mine=True)


async def test_a_decision_over_a_change_that_came_after_it_is_a_conflict_again(one_store: Store) -> None:
    async with provider(one_store) as world:
        case = world.in_status("in_progress")
        organization = world.served.world.by_oid[case[0]]
        await world.away.update([case], {"summary": "Mine"})
        world.cases.update(organization, case[1], "kim@example.com", {"summary": "Kim's"})
        await world.desk.send()
        (edit,) = world.edits(CONFLICT)
        world.cases.update(organization, case[1], "lee@example.com", {"summary": "Lee's"})
        await world.desk.decide(edit.id, mine=True)
        (edit,) = world.edits(CONFLICT)
        assert edit.found["case"]["summary"] == "Lee's"
        assert world.there(case).summary == "Lee's"


EVERY = [
    Rule("drop", effect=True), Rule("status", status=504, effect=True), Rule("truncate", bytes=5), Rule("drop"),
    Rule("status", status=503),
]  # fmt: skip
UNCLEAR = [(what, fault) for what in ("note", "update") for fault in EVERY] + [
    (what, fault)
    for what in ("time", "entity", "tags", "link", "telemetry")
    for fault in (EVERY[0], EVERY[3])
]


@pytest.mark.parametrize(("what", "fault"), UNCLEAR)
async def test_an_answer_that_says_nothing_makes_no_second_one(
    one_store: Store, what: str, fault: Rule
) -> None:
    async with provider(one_store) as world:
        case = world.in_status("in_progress")
        desk = world.desk
        alert = world.free_detection(world.served.world.by_oid[case[0]])
        number = world.put_alert(case[0], alert)
        told = len(world.there(case).events)
        path, go = {
            "note": (NOTES, lambda: desk.note(case, "Once.")),
            "time": ("/cases/{number}/time-logs", lambda: desk.log_time(case, 600)),
            "entity": ("/cases/{number}/entities", lambda: desk.entity(case, "user", "svc")),
            "update": ("/cases/{number}", lambda: desk.update([case], {"summary": "Once."})),
            "tags": ("/cases/{number}", lambda: desk.tag([case], add=["once"])),
            "link": ("/cases/{number}/detections", lambda: desk.link(case, [number])),
            "telemetry": (
                "/cases/{number}/telemetry",
                lambda: desk.telemetry(case, "b" * 32, alert["routing"]["sid"], "NEW_PROCESS"),
            ),
        }[what]
        method = "PATCH" if what in ("update", "tags") else "POST"
        rule = Rule(**{name: getattr(fault, name) for name in fault.__struct_fields__}
                    | {"method": method, "path": f"*{path}"})  # fmt: skip
        world.served.faults.add(rule)
        await go()
        assert world.served.faults.listed()[0]["applied"] == 1
        happened = world.there(case).events[told:]
        unknown = what == "time" and not fault.effect and fault.fault != "truncate"
        assert len([event for event in happened if not event["action"].endswith("_upgraded")]) == (
            0 if unknown else 1
        )
        # What nobody can tell is left to a person; everything else came to its end.
        assert [edit.state for edit in world.edits()] == [CONFLICT if unknown else DONE]
        await world.desk.send()
        assert len(world.there(case).events) == told + len(happened)


async def test_a_note_that_says_what_another_said_is_sent_all_the_same(one_store: Store) -> None:
    async with provider(one_store) as world:
        case = world.in_status("in_progress")
        for _ in range(2):
            await world.desk.note(case, "Called the customer, no answer.")
        assert world.notes(case).count("Called the customer, no answer.") == 2


async def test_alerts_of_several_customers_become_a_case_each(one_store: Store) -> None:
    async with provider(one_store) as world:
        chosen = []
        for organization in world.organizations[:2]:
            record = world.free_detection(organization)
            chosen.append(world.put_alert(organization.oid, record))
        local = world.others[0]
        record = dict(record, detect_id="0" * 8, routing={**record["routing"], "oid": local.oid})
        chosen.append(world.put_alert(local.oid, record))
        made = await world.desk.create(chosen, summary="One campaign")
        assert [each.state for each in made] == ["made", "made", "here"] or sorted(
            each.state for each in made
        ) == ["here", "made", "made"]
        for each in made:
            if each.state == "here":
                assert (each.oid, each.number) == (local.oid, -1)
                assert world.row((each.oid, -1)).local
                continue
            there = world.there((each.oid, each.number))
            assert there.summary == "One campaign"
            assert len(there.detections) == 1
            assert world.row((each.oid, each.number)).summary == "One campaign"
        assert not [row for row in world.edits() if row.number < 0]


async def test_an_alert_that_a_case_holds_makes_no_second_case(one_store: Store) -> None:
    async with provider(one_store) as world:
        case = world.in_status("in_progress")
        organization = world.served.world.by_oid[case[0]]
        held = world.there(case).detections[0]["detect_id"]
        places = range(organization.detections)
        found = world.served.world.detections
        record = next(
            found.detection(organization.index, place)
            for place in places
            if found.detect_id(organization.index, place) == held
        )
        free = world.free_detection(organization)
        chosen = [world.put_alert(case[0], dict(record)), world.put_alert(case[0], free)]
        count = len(world.cases.all_of(organization))
        (made,) = await world.desk.create(chosen)
        assert (made.number, made.existing, made.state) == (case[1], True, "made")
        assert len(world.cases.all_of(organization)) == count
        assert free["detect_id"] in {each["detect_id"] for each in world.there(case).detections}


@pytest.mark.parametrize("fault", [Rule("drop", effect=True), Rule("truncate", bytes=5), Rule("drop")])
@pytest.mark.parametrize("empty", [False, True])
async def test_a_case_whose_making_is_unclear_is_made_once(
    one_store: Store, fault: Rule, empty: bool
) -> None:
    async with provider(one_store) as world:
        organization = world.organizations[0]
        record = world.free_detection(organization)
        alert = world.put_alert(organization.oid, record)
        count = len(world.cases.all_of(organization))
        world.served.faults.add(aimed(fault, "POST", "*/extension/request/*"))
        if empty:
            made = await world.desk.create_empty(organization.oid, summary="Strange logins")
        else:
            (made,) = await world.desk.create([alert])
        assert (made.state, made.number) == ("made", count + 1)
        assert len(world.cases.all_of(organization)) == count + 1
        await world.desk.send()
        assert len(world.cases.all_of(organization)) == count + 1


async def test_a_case_made_offline_takes_its_notes_along(one_store: Store) -> None:
    async with provider(one_store) as world:
        organization = world.organizations[0]
        alert = world.put_alert(organization.oid, world.free_detection(organization))
        (made,) = await world.away.create([alert], summary="On the way")
        assert (made.state, made.number) == ("pending", -1)
        here = (organization.oid, -1)
        row = world.row(here)
        assert (row.creating, row.local) == (True, False)
        await world.away.note(here, "First thought.")
        await world.away.update([here], {"status": "in_progress", "assignees": ["mk"]})
        drained = await world.desk.send()
        assert (drained.done, drained.waiting) == (3, 0)
        assert world.row(here) is None
        (case,) = {(edit.oid, edit.number) for edit in world.edits()}
        there = world.there(case)
        assert (there.summary, there.status, there.assignees) == ("On the way", "in_progress", ["mk"])
        assert world.notes(case) == ["First thought."]


async def test_a_customer_without_cases_keeps_them_here_by_the_same_rules(store: Store) -> None:
    async with provider(store) as world:
        organization = world.others[0]
        asked = world.served.log.total
        desk = world.desk
        for summary in ("One", "Two"):
            await desk.create_empty(organization.oid, summary=summary)
        one, two = (organization.oid, -1), (organization.oid, -2)
        await desk.update([one], {"status": "in_progress", "assignees": ["mk"]})
        await desk.note(one, "Only here.", note_type="analysis")
        await desk.entity(one, "ip", "203.0.113.7")
        again = await desk.entity(one, "ip", "203.0.113.7")
        assert [each.reason for each in again.refused] == ["The case L1 has this entity already."]
        await desk.log_time(one, 60)
        refused = await desk.update([two], {"status": "resolved"})
        assert "not resolved" in refused.refused[0].reason
        merged = await desk.merge(organization.oid, -1, [-2])
        assert merged.done == 1
        await desk.update([one], {"status": "closed", "classification": "false_positive"})
        detail = world.detail(one)
        assert (detail.row.status, detail.row.classification) == (3, 2)
        assert [str(note.details["content"]) for note in detail.notes] == ["Only here."]
        assert detail.entities[0]["entity_value"] == "203.0.113.7"
        assert world.detail(two).row.status == 3
        assert world.served.log.total == asked
        # Reading the cloud leaves them alone.
        with store.writing() as connection:
            ingest.put_cases(connection, [], oids=[organization.oid], complete=True)
        assert world.row(one) is not None


async def test_an_organization_that_lost_its_cases_keeps_the_new_one_here(one_store: Store) -> None:
    async with provider(one_store) as world:
        organization = world.others[0]
        # The store believes that it has them.
        with one_store.writing() as connection:
            ingest.put_configuration(
                connection, organization.oid, "extension", {"ext-cases": Record(None)}, now=now_ms()
            )
        await world.away.create_empty(organization.oid, summary="Lost")
        here = (organization.oid, -1)
        await world.away.note(here, "Kept.")
        drained = await world.desk.send()
        assert (drained.refused, drained.waiting) == (0, 0)
        detail = world.detail(here)
        assert detail.row.local
        assert [str(note.details["content"]) for note in detail.notes] == ["Kept."]


async def test_three_hundred_cases_take_two_calls(one_store: Store) -> None:
    async with provider(one_store, orgs=3, detections=3000) as world:
        organization = max(world.organizations, key=lambda one: len(world.cases.all_of(one)))
        world.cases.rate = None
        for number in range(300):
            world.cases.create(organization, "kim", summary=f"Case {number}")
        await world.sync()
        chosen = [
            (organization.oid, case.number)
            for case in world.cases.all_of(organization)
            if case.summary.startswith("Case ")
        ]
        other = (organization.oid, chosen[7][1])
        outcome = await world.desk.update(chosen, {"status": "closed", "classification": "false_positive"})
        assert outcome.done == 300
        assert {world.there(case).status for case in chosen} == {"closed"}
        assert world.wire("POST", "/cases/bulk-update") == 2
        assert world.wire("PATCH", "/cases/{number}") == 0
        assert world.row(other).status == 3
        single = await world.desk.update(chosen[:3], {"summary": "Alike"})
        assert single.refused == []
        assert world.wire("PATCH", "/cases/{number}") == 3


@pytest.mark.parametrize("fault", [None, Rule("drop", effect=True), Rule("drop")])
async def test_a_bulk_change_says_of_each_case_what_came_of_it(one_store: Store, fault: Rule | None) -> None:
    async with provider(one_store, detections=2000) as world:
        cases = world.many("new", 4)
        organization = world.served.world.by_oid[cases[0][0]]
        # One is closed already, one is something else by now.
        world.cases.update(organization, cases[1][1], "kim", {"status": "in_progress"})
        world.cases.update(
            organization, cases[2][1], "kim", {"status": "closed", "classification": "false_positive"}
        )
        if fault is not None:
            world.served.faults.add(aimed(fault, "POST", "*/bulk-update"))
        outcome = await world.desk.update(cases, {"status": "closed", "classification": "false_positive"})
        states = {edit.number: edit.state for edit in outcome.edits}
        lost = fault is not None and not fault.effect
        assert states == {
            cases[0][1]: REFUSED if lost else DONE,
            cases[1][1]: CONFLICT,
            cases[2][1]: DONE,
            cases[3][1]: REFUSED if lost else DONE,
        }


async def test_two_consoles_that_drain_at_once_send_each_edit_once(store: Store, store_url: str) -> None:
    second = Store(store_url)
    try:
        async with provider(store) as world:
            cases = world.many("in_progress", 3)
            for case in cases:
                for number in range(4):
                    await world.away.note(case, f"Note {number}")
            other = CaseQueue(second, world.cloud)
            other.holder = "elsewhere:1:0:abcd"
            await asyncio.gather(CaseQueue(store, world.cloud).drain(), other.drain())
            await world.desk.send()
            for case in cases:
                said = [note for note in world.notes(case) if note.startswith("Note ")]
                assert sorted(said) == [f"Note {number}" for number in range(4)]
    finally:
        second.close()


@pytest.mark.parametrize("made", [False, True])
async def test_what_a_dead_process_was_sending_is_looked_at_before_anything_is_sent(
    one_store: Store, made: bool
) -> None:
    async with provider(one_store) as world:
        case = world.in_status("in_progress")
        await world.away.note(case, "Once.")
        (edit,) = world.edits(PENDING)
        dead = f"{socket.gethostname()}:999999999:1:abcd"
        with one_store.writing() as connection:
            assert casework.take(connection, [edit.id], dead, now=now_ms()) == [edit.id]
            assert casework.note_before(connection, edit.id, dead, {"notes": []})
        if made:
            await world.cloud.organization(case[0]).add_note(case[1], "Once.")
        await world.desk.send()
        assert world.notes(case).count("Once.") == 1
        assert [each.state for each in world.edits()] == [DONE]


async def test_what_another_machine_is_sending_is_left_to_it_for_a_while(one_store: Store) -> None:
    async with provider(one_store) as world:
        case = world.in_status("in_progress")
        await world.away.note(case, "Once.")
        (edit,) = world.edits(PENDING)
        with one_store.writing() as connection:
            casework.take(connection, [edit.id], "another-machine:77:1:abcd", now=now_ms())
            casework.note_before(connection, edit.id, "another-machine:77:1:abcd", {"notes": []})
        drained = await world.desk.send()
        assert (drained.done, drained.waiting) == (0, 1)
        late = CaseQueue(one_store, world.cloud, clock=lambda: now_ms() + 400_000)
        drained = await late.drain()
        assert (drained.done, drained.waiting) == (1, 0)
        assert world.notes(case).count("Once.") == 1


async def test_a_cloud_that_is_away_loses_nothing(one_store: Store) -> None:
    async with provider(one_store) as world:
        cases = world.many("in_progress", 2)
        await world.served.stop()
        outcome = await world.desk.update([cases[0]], {"summary": "Later"})
        await world.desk.note(cases[1], "Later")
        assert outcome.waiting == 1
        assert outcome.trouble
        assert len(world.edits(PENDING)) == 2


async def test_only_the_table_of_edits_says_what_was_done(one_store: Store) -> None:
    """An edit that was made keeps what it was: who, when, what, and what it became."""
    async with provider(one_store) as world:
        case = world.in_status("in_progress")
        await world.desk.note(case, "Kept.")
    table = CaseEdit.__table__  # type: ignore[attr-defined]
    with one_store.reader.reading() as connection:
        (row,) = connection.execute(select(table)).all()
    assert (row.what, row.by, row.state, row.wanted["content"]) == ("note", "mk", DONE, "Kept.")
    assert row.found["event_id"]
    assert row.sent_at
    assert row.finished_at
