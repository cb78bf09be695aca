"""Decisions carried out: in one transaction or in many, resumed, journalled; snoozes and clocks kept up."""

import json
from typing import Any

import pytest
from sqlalchemy import select, text

from console.operations import tree as trees
from console.operations import triage as operations
from console.operations.ports import Progress
from store import ingest, triage
from store.alerts import AlertFilter
from store.database import Store
from store.models import Detection
from store.triage import Decision, Selection

NOW = 1_790_000_000_000
MINUTE = 60_000

_D = Detection.__table__  # type: ignore[attr-defined]


@pytest.fixture
def queue(store: Store) -> Store:
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": "o1", "name": "Acme"}], complete=True, now=NOW)
        for part in range(0, 40, 20):
            raws = [
                {"detect_id": f"d{n}", "cat": "Scan", "gen_time": NOW, "routing": {"sid": f"s{n}"}, "detect_mtd": {"level": "high"}}
                for n in range(part, part + 20)
            ]  # fmt: skip
            ingest.put_detections(
                c, "o1", [ingest.detection_from(json.dumps(raw).encode(), "o1") for raw in raws]
            )
    return store


def statuses(store: Store) -> list[int]:
    with store.reader.reading() as c:
        return list(c.execute(select(_D.c.status).order_by(_D.c.id)).scalars())


def commits(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every transaction that writes."""
    from contextlib import contextmanager

    seen: list[int] = []
    writing = store.writing

    @contextmanager
    def counted() -> Any:
        with writing() as connection:
            yield connection
        seen.append(1)

    monkeypatch.setattr(store, "writing", counted)
    return seen


def test_what_fits_in_one_transaction_is_planned_and_done_in_one(
    queue: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = commits(queue, monkeypatch)
    done = operations.close(queue, "ann", Selection(wanted=AlertFilter()), 2, comment="scanner", now=NOW)
    assert (done.changed, done.finished, len(seen)) == (40, True, 1)


def test_more_is_done_in_parts_and_told_after_each(queue: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triage, "CHUNK", 15)
    seen = commits(queue, monkeypatch)
    told: list[Progress] = []
    done = operations.close(queue, "ann", Selection(wanted=AlertFilter()), 2, report=told.append, now=NOW)
    assert done.changed == 40
    assert [(each.done, each.total) for each in told] == [(15, 40), (30, 40), (40, 40)]
    assert len(seen) == 4
    assert set(statuses(queue)) == {3}


def test_what_was_interrupted_is_finished_once_and_then_can_be_undone(queue: Store) -> None:
    with queue.reader.reading() as c:
        every = triage.resolve(c, Selection(wanted=AlertFilter()))
    with queue.writing() as c:
        action = triage.begin(c, Decision("close", "ann"), every, now=NOW)
        triage.proceed(c, action, actor="x", now=NOW, limit=7)
    back = operations.undo(queue, "ann", action, now=NOW)  # finishes it, then takes it back
    assert back.changed == 40
    assert set(statuses(queue)) == {0}
    assert operations.resume(queue) == []


def test_undoing_at_no_alert_is_not_undoing_everything(queue: Store) -> None:
    done = operations.close(queue, "ann", Selection(wanted=AlertFilter()), 2, now=NOW)
    assert operations.undo(queue, "ann", done.action_id, ids=[], now=NOW).changed == 0
    assert set(statuses(queue)) == {3}
    assert operations.undo(queue, "ann", done.action_id, ids=[1], now=NOW).changed == 1
    assert operations.undo(queue, "ann", done.action_id, now=NOW).changed == 39


def test_nothing_to_change_is_no_decision(queue: Store) -> None:
    operations.claim(queue, "ann", Selection(ids=(1, 2)), now=NOW)
    again = operations.claim(queue, "ann", Selection(ids=(1, 2)), now=NOW)
    assert (again.action_id, again.changed, again.unchanged) == (0, 0, 2)
    with queue.reader.reading() as c:
        assert len(triage.recent(c)) == 1
        assert c.execute(text("SELECT count(*) FROM journal")).scalar_one() == 1


def test_a_benign_one_is_a_true_positive_with_its_tag(queue: Store) -> None:
    operations.close(queue, "ann", Selection(ids=(1,)), 2, benign=True, now=NOW)
    with queue.reader.reading() as c:
        row = c.execute(select(_D).where(_D.c.id == 1)).one()
    assert (row.status, row.classification, row.tags) == (3, 1, "benign")


def test_each_verb_does_what_it_says(queue: Store) -> None:
    one = Selection(ids=(1,))
    for verb, expected in (
        (lambda: operations.assign(queue, "ann", one, "bob"), ("bob", 0)),
        (lambda: operations.acknowledge(queue, "ann", one, held=True), ("bob", 1)),
        (lambda: operations.release(queue, "bob", one), ("", 1)),
        (lambda: operations.claim(queue, "ann", one), ("ann", 1)),
        (lambda: operations.close(queue, "ann", one, 1, resolved=True), ("ann", 2)),
        (lambda: operations.close(queue, "ann", one, 1), ("ann", 3)),
        (lambda: operations.reopen(queue, "ann", one), ("ann", 1)),
    ):
        assert verb().changed == 1
        with queue.reader.reading() as c:
            row = c.execute(select(_D.c.assignee, _D.c.status).where(_D.c.id == 1)).one()
        assert tuple(row) == expected
    assert operations.tag(queue, "ann", one, add=["x"]).changed == 1
    assert operations.note(queue, "ann", one, "told them").changed == 1
    with queue.reader.reading() as c:
        assert [past.verb for past in triage.history(c, 1)] == [
            "note", "tag", "reopen", "close", "close", "claim", "release", "ack", "assign",
        ]  # fmt: skip


def test_snoozes_end_when_their_time_comes_and_looking_for_them_writes_nothing(
    queue: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = commits(queue, monkeypatch)
    assert operations.wake_due(queue, NOW) == 0
    assert seen == []
    monkeypatch.setattr(triage, "CHUNK", 15)
    operations.snooze(queue, "ann", Selection(wanted=AlertFilter()), until=NOW + 5, reason="later", now=NOW)
    before = len(seen)
    assert operations.wake_due(queue, NOW + 4) == 0
    assert len(seen) == before
    assert operations.wake_due(queue, NOW + 5) == 40
    assert operations.wake_due(queue, NOW + 6) == 0
    with queue.reader.reading() as c:
        assert {row.woken_by for row in triage.snoozes(c, range(41)).values()} == {"its time came"}


def test_a_snooze_whose_alert_is_gone_is_forgotten(queue: Store) -> None:
    operations.snooze(queue, "ann", Selection(ids=(1,)), until=NOW + 5, now=NOW)
    with queue.writing() as c:
        c.execute(text("DELETE FROM detection WHERE id = 1"))
    assert operations.wake_due(queue, NOW + 5) == 0
    with queue.reader.reading() as c:
        assert triage.snoozes(c, [1]) == {}


def due(store: Store) -> set[int]:
    with store.reader.reading() as c:
        return set(c.execute(select(_D.c.due_at - _D.c.time)).scalars())


def test_a_changed_tree_sets_the_clocks_that_run_anew(queue: Store) -> None:
    def nodes(**parameters: Any) -> list[dict[str, Any]]:
        return [
            {"id": "root", "name": "All", "parameters": {"sla_high": "1h/2h"}},
            {"id": "gold", "parent": "root", "name": "Gold", "parameters": parameters},
            {"id": "acme", "parent": "root", "name": "Acme", "oid": "o1"},
        ]

    assert due(queue) == {15 * MINUTE}
    trees.import_nodes(nodes(), store=queue)
    assert due(queue) == {60 * MINUTE}
    trees.import_nodes(nodes(sla_high="5m/9m"), store=queue)
    assert due(queue) == {60 * MINUTE}
    trees.move("acme", "gold", store=queue)
    assert due(queue) == {5 * MINUTE}
    trees.import_nodes([{"id": "root", "name": "All"}], store=queue)
    assert due(queue) == {15 * MINUTE}
