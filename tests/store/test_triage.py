"""Decisions over alerts: what each changes, what it leaves alone, and taking it back."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from store import folds, ingest, triage
from store.alerts import FOREVER, WOKEN, AlertFilter, parse_filter
from store.database import Store
from store.models import Detection, DetectionCount, Fold, Journal, Snooze, Storm, TriageAction, TriageChange
from store.queries import alerts
from store.triage import Decision, Outcome, Selection

NOW = 1_790_000_000_000
MINUTE = 60_000

_D = Detection.__table__  # type: ignore[attr-defined]


def record(number: int, **fields: Any) -> ingest.NewDetection:
    raw = {
        "detect_id": f"d{number}", "cat": fields.get("cat", "Scan"), "source_rule": "general.scan",
        "gen_time": fields.get("time", NOW - number * 1000),
        "routing": {"hostname": fields.get("host", f"host-{number % 5}"), "sid": f"s{number}"},
        "detect": {"event": {"FILE_PATH": "C:\\a.exe", "HASH": "a" * 64}},
        "detect_mtd": {"level": fields.get("level", "high")},
    }  # fmt: skip
    return ingest.detection_from(json.dumps(raw).encode(), "o1", received=NOW)


def put(c: Connection, oid: str, numbers: range, **fields: Any) -> None:
    ingest.put_detections(c, oid, [record(number, **fields) for number in numbers])


@pytest.fixture
def queue(store: Store) -> Store:
    """Two organizations with ten alerts each, all of one storm."""
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": "o1", "name": "Acme"}, {"oid": "o2", "name": "Borealis"}], complete=True, now=NOW
        )
        put(c, "o1", range(10))
        put(c, "o2", range(10, 20))
    return store


def decide(store: Store, decision: Decision, selection: Selection, now: int = NOW) -> Outcome:
    with store.writing() as c:
        action = triage.begin(c, decision, selection, now=now)
        if not action:
            return Outcome(0, 0)
        while triage.proceed(c, action, actor="ann@here", now=now):
            pass
        return triage.outcome(c, action)


def rows(store: Store, *ids: int) -> list[Any]:
    with store.reader.reading() as c:
        query = select(_D).order_by(_D.c.id)
        return list(c.execute(query.where(_D.c.id.in_(ids)) if ids else query))


def everything(store: Store) -> Selection:
    with store.reader.reading() as c:
        return triage.resolve(c, Selection(wanted=AlertFilter(statuses=(0, 1, 2, 3), snoozed="any")))


def state(store: Store) -> list[tuple[Any, ...]]:
    """What undo brings back, of every alert, with the counters, the folds and the snoozes."""
    with store.reader.reading() as c:
        found: list[tuple[Any, ...]] = [
            tuple(row) for row in c.execute(select(_D.c.id, *(_D.c[name] for name in triage._STATE)).order_by(_D.c.id))
        ]
        for model in (DetectionCount, Fold, Storm, Snooze):
            table = model.__table__  # type: ignore[attr-defined]
            listed = [tuple(map(str, row)) for row in c.execute(select(table))]
            found.extend(sorted(row for row in listed if model is not DetectionCount or row[-1] != "0"))
        return found


def exact(store: Store) -> bool:
    """Whether the counters are what counting says."""
    with store.reader.reading() as c:
        counted = c.execute(
            text("SELECT oid, severity, status, count(*) FROM detection GROUP BY oid, severity, status")
        )
        kept = c.execute(text("SELECT oid, severity, status, count FROM detection_count WHERE count <> 0"))
        return sorted(map(tuple, counted)) == sorted(map(tuple, kept))


def test_a_claim_takes_and_acknowledges_and_starts_the_second_clock(queue: Store) -> None:
    done = decide(queue, Decision("claim", "ann"), Selection(ids=(1, 2)))

    assert (done.changed, done.refused, done.by_organization) == (2, (), {"o1": 2})
    first = rows(queue, 1)[0]
    assert (first.assignee, first.status, first.acknowledged_at) == ("ann", 1, NOW)
    assert first.due_at == first.time + 720 * MINUTE  # high: 15 minutes, then 720
    assert rows(queue, 3)[0].due_at == rows(queue, 3)[0].time + 15 * MINUTE
    assert exact(queue)


def test_undo(queue: Store) -> None:
    before = state(queue)
    done = decide(queue, Decision("close", "ann", "scanner", classification=2, add=("benign",)), everything(queue))
    assert done.changed == 20
    assert exact(queue)
    back = decide(queue, Decision("undo", "ann", of=done.action_id), Selection())
    assert back.changed == 20
    assert state(queue) == before
    again = decide(queue, Decision("undo", "ann", of=back.action_id), Selection())
    assert again.changed == 20
    assert {row.status for row in rows(queue)} == {3}
