"""A shift handed over: made from what one holds and from the record, accepted item by item by another console."""

import asyncio
import threading
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import select

from console.operations import handover as operations
from console.operations import triage
from console.operations.cases import CaseDesk
from store import handover, ingest
from store.alerts import AlertFilter
from store.database import Store
from store.handover import HandoverError, LostRace
from store.models import Journal
from store.queries import alerts, cases
from store.triage import Selection
from tests.helpers.screens import NOW, detection, fill, oid_of

HOUR = 3_600_000


def held(store: Store, who: str, count: int = 6, *, skip: int = 0) -> list[int]:
    """Let `who` claim so many of the queue; their numbers."""
    with store.reader.reading() as connection:
        rows = alerts.page(connection, AlertFilter(), limit=60)
    ids = [row.id for row in rows][skip : skip + count]
    triage.claim(store, who, Selection(ids=tuple(ids)), now=NOW - 2 * HOUR)
    return ids


def assignees(store: Store, ids: list[int]) -> set[str]:
    with store.reader.reading() as connection:
        return {str(row.assignee) for row in alerts.rows_of(connection, ids)}


@pytest.fixture
def shift(store: Store) -> Store:
    """Sixty alerts, of which dana holds six."""
    fill(store)
    held(store, "dana")
    return store


async def published(store: Store, who: str = "dana") -> Any:
    made = operations.draft(store, who, now=NOW)
    whole, _ = await operations.publish(store, who, made.id, now=NOW)
    return whole


def test_a_draft_holds_everything_that_one_has_and_what_was_done_with_it(shift: Store) -> None:
    with shift.reader.reading() as connection:
        mine = [row for row in alerts.rows_where(connection, limit=100) if row.assignee == "dana"]
    triage.note(shift, "dana", Selection(ids=(mine[0].id,)), "looks like the scanner", now=NOW - HOUR)
    made = operations.draft(shift, "dana", now=NOW)
    assert sorted(number for item in made.items for number in item.alerts) == sorted(row.id for row in mine)
    item = next(each for each in made.items if mine[0].id in each.alerts)
    assert [str(step.what).partition(" (")[0] for step in item.done] == [
        "noted: looks like the scanner",
        "claimed",
    ]
    assert {str(step.who) for step in item.done} == {"dana"}
    assert item.title == mine[0].cat
    assert item.due_at == min(row.due_at for row in mine if row.id in item.alerts and row.due_at is not None)
    assert item.severity == mine[0].severity
    assert made.state_word == "draft"
    assert [each.due_at for each in made.items] == sorted(each.due_at for each in made.items)


def test_alerts_of_one_fold_are_one_item(store: Store) -> None:
    same = [(oid_of(0), detection(6, oid_of(0), at=NOW - n * 1000, detect_id=f"same-{n}")) for n in range(30)]
    fill(store, detections=0, extra=same)
    held(store, "dana", 30)
    made = operations.draft(store, "dana", now=NOW)
    assert [len(item.alerts) for item in made.items] == [30]
    assert made.items[0].host == "host-06"
    assert "30 alerts" in made.items[0].done[0].what


def test_what_was_typed_stays_when_the_draft_is_made_again_and_what_was_closed_leaves(shift: Store) -> None:
    made = operations.draft(shift, "dana", now=NOW)
    first, second = made.items[0], made.items[1]
    texts = {"hypothesis": "service account abused", "next_step": "ask IT", "blocker": "no reply yet"}
    operations.edit(shift, "dana", first.id, texts, version=first.version)
    triage.close(shift, "dana", Selection(ids=second.alerts), 2, now=NOW)
    again = operations.draft(shift, "dana", now=NOW + 1000)
    assert again.id == made.id
    assert len(again.items) == len(made.items) - 1
    kept = next(item for item in again.items if item.id == first.id)
    assert (kept.hypothesis, kept.next_step, kept.blocker) == tuple(texts.values())


async def test_whoever_comes_next_accepts_one_and_bounces_one_and_the_alerts_follow(shift: Store) -> None:
    whole = await published(shift)
    with shift.reader.reading() as connection:
        assert handover.waiting_for(connection, "kim") == len(whole.items)
        assert handover.waiting_for(connection, "dana") == 0
        (offer,) = handover.offered(connection, "kim")
        assert handover.offered(connection, "dana") == []
    first, second, *rest = offer.items
    taken = await operations.accept(shift, "kim", first.id, version=first.version, now=NOW + HOUR)
    back = operations.bounce(shift, "kim", second.id, "that is yours", version=second.version, now=NOW + HOUR)
    assert (taken.alerts, taken.moved_on, taken.item.state_word) == (len(first.alerts), 0, "accepted")
    assert (back.state_word, back.decided_by, back.reason) == ("bounced", "kim", "that is yours")
    assert assignees(shift, list(first.alerts)) == {"kim"}
    assert assignees(shift, list(second.alerts)) == {"dana"}
    for item in rest:
        await operations.accept(shift, "kim", item.id, now=NOW + HOUR)
    with shift.reader.reading() as connection:
        assert handover.waiting_for(connection, "kim") == 0
        assert handover.handover(connection, whole.id).state_word == "done"
    actions = [entry.action for entry in _journal(shift) if entry.action.startswith("handover.")]
    assert actions == ["handover.publish", "handover.accept", "handover.bounce"] + ["handover.accept"] * len(
        rest
    )


async def test_what_moved_on_meanwhile_is_not_taken_back(shift: Store) -> None:
    same = [(oid_of(0), detection(6, oid_of(0), at=NOW - n * 1000, detect_id=f"same-{n}")) for n in range(4)]
    with shift.writing() as connection:
        ingest.put_detections(
            connection, oid_of(0), [ingest.detection_from(raw, oid_of(0), received=NOW) for _, raw in same]
        )
    with shift.reader.reading() as connection:
        ids = [
            row.id
            for row in alerts.page(connection, AlertFilter(), limit=200)
            if row.detect_id.startswith("same-")
        ]
    triage.claim(shift, "eve", Selection(ids=tuple(ids)), now=NOW)
    whole = await published(shift, "eve")
    triage.close(shift, "eve", Selection(ids=(ids[0],)), 2, now=NOW)
    triage.assign(shift, "eve", Selection(ids=(ids[1],)), "lee", now=NOW)
    taken = await operations.accept(shift, "kim", whole.items[0].id, now=NOW)
    assert (taken.alerts, taken.moved_on) == (2, 2)
    assert taken.item.reason == "2 of 4 had moved on"
    assert assignees(shift, [ids[1]]) == {"lee"}
    assert assignees(shift, ids[2:]) == {"kim"}


async def test_of_two_who_accept_one_has_it_and_the_other_is_told_who(shift: Store, store_url: str) -> None:
    whole = await published(shift)
    lost: list[str] = []
    won: list[tuple[int, str]] = []
    barrier = threading.Barrier(2)

    def race(who: str) -> None:
        with closing(Store(store_url)) as own:
            for item in whole.items:
                barrier.wait()
                try:
                    asyncio.run(operations.accept(own, who, item.id, version=item.version, now=NOW))
                    won.append((item.id, who))
                except LostRace as error:
                    lost.append(str(error))

    threads = [threading.Thread(target=race, args=(who,)) for who in ("kim", "lee")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number, _ in won) == sorted(item.id for item in whole.items)
    assert len(lost) == len(whole.items)
    assert all("accepted it already" in text and text[:3] in ("kim", "lee") for text in lost)
    by_item = dict(won)
    for item in whole.items:
        assert assignees(shift, list(item.alerts)) == {by_item[item.id]}


async def test_what_makes_no_sense_is_refused_and_changes_nothing(shift: Store) -> None:
    made = operations.draft(shift, "dana", now=NOW)
    item = made.items[0]
    with pytest.raises(HandoverError, match="only they write"):
        operations.edit(shift, "kim", item.id, {"hypothesis": "x"})
    with pytest.raises(HandoverError, match="is no text of an item"):
        operations.edit(shift, "dana", item.id, {"done": "x"})
    with pytest.raises(HandoverError, match="4,000"):
        operations.edit(shift, "dana", item.id, {"blocker": "x" * 4001})
    with pytest.raises(LostRace):
        operations.edit(shift, "dana", item.id, {"blocker": "x"}, version=item.version + 1)
    with pytest.raises(HandoverError, match="draft, and not offered"):
        await operations.accept(shift, "kim", item.id)
    whole, said = await operations.publish(shift, "dana", made.id, now=NOW)
    assert said == ""
    with pytest.raises(HandoverError, match="texts stand"):
        operations.edit(shift, "dana", item.id, {"hypothesis": "x"})
    with pytest.raises(HandoverError, match="yourself"):
        await operations.accept(shift, "dana", item.id)
    with pytest.raises(HandoverError, match="Say why"):
        operations.bounce(shift, "kim", item.id, "  ")
    with pytest.raises(HandoverError, match="published already"):
        await operations.publish(shift, "dana", whole.id)
    with pytest.raises(HandoverError, match="takes it back"):
        operations.withdraw(shift, "kim", whole.id)
    operations.withdraw(shift, "dana", whole.id, now=NOW)
    with pytest.raises(HandoverError, match="withdrawn"):
        await operations.accept(shift, "kim", item.id)
    assert assignees(shift, list(item.alerts)) == {"dana"}
    empty = operations.draft(shift, "nobody", now=NOW)
    with pytest.raises(HandoverError, match="nothing in it"):
        await operations.publish(shift, "nobody", empty.id)


async def test_a_case_is_told_of_the_handover_and_changes_hands(a_store: Any) -> None:
    store = a_store()
    fill(store)
    desk = CaseDesk(store, None, operator="dana", clock=lambda: NOW)
    with store.reader.reading() as connection:
        ids = [row.id for row in alerts.page(connection, AlertFilter(oid=oid_of(0)), limit=2)]
    (made,) = await desk.create(ids, summary="Beacon on two hosts")
    await desk.assign([(made.oid, made.number)], ["dana", "expert"])
    draft = operations.draft(store, "dana", now=NOW)
    (item,) = [each for each in draft.items if each.case_number == made.number]
    operations.edit(store, "dana", item.id, {"hypothesis": "cobalt strike", "next_step": "isolate"})
    _, said = await operations.publish(store, "dana", draft.id, now=NOW)
    assert said == "1 of 1 cases were told."
    with store.reader.reading() as connection:
        notes = cases.detail(connection, made.oid, made.number).notes
    assert notes[-1].details["note_type"] == "handoff"
    assert "Hypothesis: cobalt strike" in notes[-1].details["content"]
    taken = await operations.accept(store, "kim", item.id, now=NOW)
    assert taken.case == "done"
    with store.reader.reading() as connection:
        assert cases.case(connection, made.oid, made.number).assignees == ("kim", "expert")


async def test_a_handover_of_thousands_is_assigned_whole(a_store: Any) -> None:
    store = a_store()
    same = [
        (oid_of(0), detection(6, oid_of(0), at=NOW - n * 10, detect_id=f"same-{n}")) for n in range(1_200)
    ]
    fill(store, detections=0, extra=same)
    with store.reader.reading() as connection:
        ids = [row.id for row in alerts.page(connection, AlertFilter(), limit=2_000)]
    triage.claim(store, "dana", Selection(ids=tuple(ids)), now=NOW)
    whole = await published(store)
    taken = await operations.accept(store, "kim", whole.items[0].id, now=NOW)
    assert taken.alerts == 1_200
    assert assignees(store, ids) == {"kim"}


def _journal(store: Store) -> list[Any]:
    table = Journal.__table__  # type: ignore[attr-defined]
    with store.reader.reading() as connection:
        return list(connection.execute(select(table).order_by(table.c.seq)))
