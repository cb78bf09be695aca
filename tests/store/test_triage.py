"""Decisions over alerts: what each changes, what it leaves alone, and taking it back."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from store import ingest, triage
from store.alerts import FOREVER, WOKEN, AlertFilter, parse_filter
from store.database import Store
from store.models import Detection, DetectionCount, Fold, Journal, Snooze, Storm
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
            tuple(row)
            for row in c.execute(select(_D.c.id, *(_D.c[name] for name in triage._STATE)).order_by(_D.c.id))
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


def one(store: Store, id_: int) -> Any:
    return rows(store, id_)[0]


def why(done: Outcome) -> dict[int, tuple[str, str, int | None]]:
    return {each.id: (each.why, each.who, each.since) for each in done.refused}


# Who has it


def test_a_claim_takes_and_acknowledges_and_starts_the_second_clock(queue: Store) -> None:
    done = decide(queue, Decision("claim", "ann"), Selection(ids=(1, 2)))

    assert (done.changed, done.refused, done.by_organization) == (2, (), {"o1": 2})
    first = one(queue, 1)
    assert (first.assignee, first.status, first.acknowledged_at, first.version) == ("ann", 1, NOW, 1)
    assert first.due_at == first.time + 720 * MINUTE  # high: 15 minutes, then 720
    assert one(queue, 3).due_at == one(queue, 3).time + 15 * MINUTE
    assert exact(queue)


def test_a_claim_may_leave_the_clock_running(queue: Store) -> None:
    decide(queue, Decision("claim", "ann", acknowledge=False), Selection(ids=(1,)))

    row = one(queue, 1)
    assert (row.assignee, row.status, row.acknowledged_at) == ("ann", 0, None)
    assert row.due_at == row.time + 15 * MINUTE


def test_the_loser_of_a_claim_is_told_who_has_it_and_since_when(queue: Store) -> None:
    decide(queue, Decision("claim", "ann"), Selection(ids=(1,)), now=NOW + 5)
    lost = decide(queue, Decision("claim", "bob"), Selection(ids=(1, 2)), now=NOW + 9)

    assert lost.changed == 1
    assert why(lost) == {1: ("somebody else has it", "ann", NOW + 5)}
    assert [each.assignee for each in rows(queue, 1, 2)] == ["ann", "bob"]


def test_claiming_again_changes_nothing_and_says_so(queue: Store) -> None:
    decide(queue, Decision("claim", "ann"), Selection(ids=(1,)))
    with queue.writing() as c:
        assert triage.begin(c, Decision("claim", "ann"), Selection(ids=(1,)), now=NOW) == 0
    both = decide(queue, Decision("claim", "ann"), Selection(ids=(1, 2)))
    assert (both.changed, both.unchanged) == (1, 1)


def test_what_one_has_is_given_back_and_what_others_have_is_not(queue: Store) -> None:
    decide(queue, Decision("claim", "ann"), Selection(ids=(1, 2)))
    assert why(decide(queue, Decision("release", "bob"), Selection(ids=(1,))))[1][1] == "ann"
    done = decide(queue, Decision("release", "ann"), Selection(ids=(1, 3)))

    assert (done.changed, done.unchanged) == (1, 1)
    assert one(queue, 1).assignee == ""
    assert one(queue, 1).status == 1  # what was acknowledged stays so


def test_assigning_moves_an_alert_whoever_has_it(queue: Store) -> None:
    decide(queue, Decision("claim", "ann"), Selection(ids=(1,)))
    assert decide(queue, Decision("assign", "bob", assignee="cy"), Selection(ids=(1, 2))).changed == 2
    assert [each.assignee for each in rows(queue, 1, 2)] == ["cy", "cy"]
    assert decide(queue, Decision("assign", "bob"), Selection(ids=(1,))).changed == 1
    assert one(queue, 1).assignee == ""


def test_next_unclaimed_goes_by_the_order_of_the_queue(queue: Store) -> None:
    with queue.reader.reading() as c:
        first = triage.next_unclaimed(c, AlertFilter())
        assert first is not None
        assert first.id == 1
    decide(queue, Decision("claim", "ann"), Selection(ids=(1, 2)))
    with queue.reader.reading() as c:
        third = triage.next_unclaimed(c, AlertFilter())
        assert third is not None
        assert third.id == 3
        behind = triage.next_unclaimed(c, AlertFilter(), after=third.key)
        assert behind is not None
        assert behind.id == 4
        assert triage.next_unclaimed(c, AlertFilter(severity=4)) is None


# How far it is


def test_states_go_as_those_of_cases(queue: Store) -> None:
    """Every step from every status: done where `TRANSITIONS` allows it, named where it does not."""
    from store.alerts import STATUSES, TRANSITIONS

    ways: dict[str, Decision] = {
        "in_progress": Decision("ack", "ann"),
        "resolved": Decision("close", "ann", status=triage.RESOLVED),
        "closed": Decision("close", "ann"),
    }
    ids = iter(range(1, 20))
    for source in STATUSES:
        for target, decision in ways.items():
            id_ = next(ids)
            for step in {
                "new": [],
                "in_progress": ["in_progress"],
                "resolved": ["in_progress", "resolved"],
                "closed": ["closed"],
            }[source]:
                decide(queue, ways[step], Selection(ids=(id_,)))
            assert STATUSES[one(queue, id_).status] == source
            done = decide(
                queue,
                Decision("reopen", "ann") if source == "closed" and target == "in_progress" else decision,
                Selection(ids=(id_,)),
            )
            allowed = target in TRANSITIONS[source]
            assert STATUSES[one(queue, id_).status] == (target if allowed else source), (source, target)
            assert bool(done.changed) == allowed, (source, target)
            assert bool(done.refused) == (not allowed and target != source), (source, target)
    assert exact(queue)


def test_closing_says_what_it_was_and_stops_the_clocks(queue: Store) -> None:
    decide(queue, Decision("ack", "ann"), Selection(ids=(1,)), now=NOW)
    done = decide(
        queue, Decision("close", "ann", "a scanner", classification=2), Selection(ids=(1, 2)), now=NOW + 7
    )

    assert done.changed == 2
    row = one(queue, 1)
    assert (row.status, row.classification, row.acknowledged_at, row.resolved_at, row.due_at) == (
        3,
        2,
        NOW,
        NOW + 7,
        None,
    )
    assert one(queue, 2).acknowledged_at is None


def test_closing_again_changes_the_classification_only(queue: Store) -> None:
    decide(queue, Decision("close", "ann", classification=2), Selection(ids=(1,)), now=NOW)
    assert (
        decide(queue, Decision("close", "ann", classification=1), Selection(ids=(1,)), now=NOW + 7).changed
        == 1
    )
    row = one(queue, 1)
    assert (row.status, row.classification, row.resolved_at) == (3, 1, NOW)


def test_what_somebody_else_has_is_only_closed_when_asked_for(queue: Store) -> None:
    decide(queue, Decision("claim", "ann"), Selection(ids=(1,)))
    left = decide(queue, Decision("close", "bob"), Selection(ids=(1, 2)))
    assert (left.changed, why(left)[1][1]) == (1, "ann")
    assert decide(queue, Decision("close", "bob", held=True), Selection(ids=(1,))).changed == 1
    assert one(queue, 1).status == 3


def test_reopening_starts_the_clock_to_resolve_again_and_both_times_count(queue: Store) -> None:
    from store import sla

    decide(queue, Decision("close", "ann", classification=2), Selection(ids=(1,)), now=NOW + 60 * MINUTE)
    decide(queue, Decision("reopen", "ann"), Selection(ids=(1,)), now=NOW + 90 * MINUTE)
    row = one(queue, 1)
    assert (row.status, row.classification, row.resolved_at, row.due_at) == (
        1,
        2,
        None,
        row.time + 720 * MINUTE,
    )
    decide(queue, Decision("close", "ann", classification=1), Selection(ids=(1,)), now=NOW + 120 * MINUTE)
    with queue.reader.reading() as c:
        [times] = sla.resolved(c)
    assert (times.count, times.median, times.p90) == (2, 60 * MINUTE, 120 * MINUTE)


def test_tags_are_added_and_taken_away_one_by_one(queue: Store) -> None:
    decide(queue, Decision("tag", "ann", add=("vip", "a%b")), Selection(ids=(1, 2)))
    decide(queue, Decision("tag", "ann", add=("x",), remove=("vip",)), Selection(ids=(1,)))
    assert [each.tags for each in rows(queue, 1, 2)] == ["a%b x", "vip a%b"]
    again = decide(queue, Decision("tag", "ann", add=("vip",)), Selection(ids=(1, 2)))
    assert (again.changed, again.unchanged) == (1, 1)
    with queue.reader.reading() as c:
        assert {row.id for row in alerts.page(c, parse_filter("tag:vip"))} == {1, 2}
        assert {row.id for row in alerts.page(c, parse_filter("tag:vi"))} == set()
        assert {row.id for row in alerts.page(c, parse_filter("tag:a_b"))} == set()


def test_a_note_stays_with_the_alert_and_changes_nothing_of_it(queue: Store) -> None:
    before = state(queue)
    done = decide(queue, Decision("note", "ann", "called the customer"), Selection(ids=(1,)))
    assert done.changed == 1
    assert state(queue) == before
    assert one(queue, 1).version == 0
    with queue.reader.reading() as c:
        [past] = triage.history(c, 1)
    assert (past.verb, past.actor, past.comment) == ("note", "ann", "called the customer")


# Taking it back

CHANGING = [
    Decision("claim", "ann"),
    Decision("claim", "ann", acknowledge=False),
    Decision("assign", "ann", assignee="bob"),
    Decision("ack", "ann"),
    Decision("close", "ann", "scanner", classification=2, add=("benign",)),
    Decision("snooze", "ann", until=NOW + MINUTE, reason="later"),
    Decision("snooze", "ann", event="host"),
    Decision("snooze", "ann", more=3),
    Decision("tag", "ann", add=("a", "b")),
]


@pytest.mark.parametrize("earlier", [None, *CHANGING], ids=lambda each: each.verb if each else "nothing")
def test_undo_brings_back_exactly_what_was_there(queue: Store, earlier: Decision | None) -> None:
    if earlier is not None:
        decide(queue, earlier, Selection(ids=(1, 3, 5, 12)))
    before = state(queue)
    for decision in CHANGING:
        done = decide(queue, decision, Selection(ids=(1, 2, 3, 11, 12)), now=NOW + 9)
        assert exact(queue)
        assert done.changed, decision
        assert state(queue) != before
        back = decide(queue, Decision("undo", "ann", of=done.action_id), Selection(), now=NOW + 10)
        assert back.changed == done.changed
        assert state(queue) == before, decision
        assert exact(queue)


def test_undo_of_a_part_leaves_the_rest(queue: Store) -> None:
    done = decide(queue, Decision("close", "ann", classification=2), everything(queue))
    part = decide(queue, Decision("undo", "ann", of=done.action_id), Selection(ids=(1, 2)))
    assert part.changed == 2
    assert [row.status for row in rows(queue)] == [0, 0] + [3] * 18
    with queue.reader.reading() as c:
        last = triage.undoable(c, "ann", now=NOW)
        assert last is not None
        assert last.id == done.action_id
    assert decide(queue, Decision("undo", "ann", of=done.action_id), Selection()).changed == 18
    with queue.reader.reading() as c:
        assert triage.undoable(c, "ann", now=NOW) is None


def test_undo_leaves_alone_what_somebody_changed_since_and_names_them(queue: Store) -> None:
    done = decide(queue, Decision("ack", "ann"), Selection(ids=(1, 2)))
    decide(queue, Decision("claim", "bob"), Selection(ids=(1,)), now=NOW + 3)
    back = decide(queue, Decision("undo", "ann", of=done.action_id), Selection())
    assert back.changed == 1
    assert why(back) == {1: ("somebody changed it meanwhile", "bob", NOW + 3)}
    assert [(row.status, row.assignee) for row in rows(queue, 1, 2)] == [(1, "bob"), (0, "")]


def test_decisions_are_undone_one_after_the_other(queue: Store) -> None:
    first = state(queue)
    claimed = decide(queue, Decision("claim", "ann"), Selection(ids=(1,)))
    second = state(queue)
    closed = decide(queue, Decision("close", "ann"), Selection(ids=(1,)))
    for action, expected in ((closed, second), (claimed, first)):
        with queue.reader.reading() as c:
            last = triage.undoable(c, "ann", now=NOW)
        assert last is not None
        assert last.id == action.action_id
        assert decide(queue, Decision("undo", "ann", of=last.id), Selection()).changed == 1
        assert state(queue) == expected


def test_an_undo_can_be_undone(queue: Store) -> None:
    done = decide(queue, Decision("close", "ann", classification=2), everything(queue))
    after = state(queue)
    back = decide(queue, Decision("undo", "ann", of=done.action_id), Selection())
    assert decide(queue, Decision("undo", "ann", of=back.action_id), Selection()).changed == 20
    assert state(queue) == after
    assert decide(queue, Decision("undo", "ann", of=done.action_id), Selection()).changed == 20
    assert {row.status for row in rows(queue)} == {0}


def test_a_decision_is_undone_once(queue: Store) -> None:
    done = decide(queue, Decision("ack", "ann"), Selection(ids=(1,)))
    decide(queue, Decision("undo", "ann", of=done.action_id), Selection())
    with queue.writing() as c:
        assert triage.begin(c, Decision("undo", "bob", of=done.action_id), Selection(), now=NOW) == 0


def test_a_reopened_alert_is_closed_again_by_undo(queue: Store) -> None:
    decide(queue, Decision("close", "ann", classification=2), Selection(ids=(1,)))
    before = state(queue)
    done = decide(queue, Decision("reopen", "bob"), Selection(ids=(1,)))
    decide(queue, Decision("undo", "bob", of=done.action_id), Selection())
    assert state(queue) == before


# Many at once


def test_what_was_seen_otherwise_is_left_alone(queue: Store) -> None:
    seen = everything(queue)
    decide(queue, Decision("ack", "bob"), Selection(ids=(4,)), now=NOW + 1)
    done = decide(queue, Decision("close", "ann"), seen)
    assert done.changed == 19
    assert why(done) == {4: ("somebody changed it meanwhile", "bob", NOW + 1)}


def test_what_came_after_the_look_is_not_decided(queue: Store) -> None:
    with queue.reader.reading() as c:
        upto = triage.newest(c)
    with queue.writing() as c:
        put(c, "o1", range(50, 55))
    done = decide(queue, Decision("close", "ann"), Selection(wanted=AlertFilter(), upto=upto))
    assert done.changed == 20
    assert [row.status for row in rows(queue)] == [3] * 20 + [0] * 5


def test_a_plan_is_done_in_parts_and_skips_what_changed_in_between(queue: Store) -> None:
    with queue.writing() as c:
        action = triage.begin(c, Decision("close", "ann", classification=2), everything(queue), now=NOW)
    with queue.writing() as c:
        assert triage.proceed(c, action, actor="x", now=NOW, limit=7)
        assert not triage.outcome(c, action).finished
        assert triage.unfinished(c) == [action]
    decide(queue, Decision("claim", "bob"), Selection(ids=(9,)), now=NOW + 2)
    assert exact(queue)
    with queue.writing() as c:
        while triage.proceed(c, action, actor="x", now=NOW + 3, limit=7):
            pass
        done = triage.outcome(c, action)
        assert triage.unfinished(c) == []
    assert done.changed == 19
    assert why(done) == {9: ("somebody else has it", "bob", NOW + 2)}
    assert done.by_organization == {"o1": 9, "o2": 10}
    assert exact(queue)


def test_one_decision_is_one_entry_of_the_journal(queue: Store) -> None:
    decide(queue, Decision("close", "ann", "scanner", classification=2), everything(queue))
    with queue.reader.reading() as c:
        entries = c.execute(select(Journal.__table__)).all()  # type: ignore[attr-defined]
    [entry] = entries
    assert (entry.action, entry.actor, entry.target, entry.oid) == (
        "alert.close",
        "ann@here",
        "20 alerts in 2 organizations",
        "",
    )
    assert entry.detail["organizations"] == {"o1": 10, "o2": 10}
    assert (entry.detail["operator"], entry.detail["comment"], entry.detail["classification"]) == (
        "ann",
        "scanner",
        2,
    )


def test_an_alert_that_was_pruned_meanwhile_is_named(queue: Store) -> None:
    with queue.writing() as c:
        action = triage.begin(c, Decision("ack", "ann"), Selection(ids=(1, 2)), now=NOW)
        c.execute(text("DELETE FROM detection WHERE id = 2"))
        triage.proceed(c, action, actor="x", now=NOW)
        done = triage.outcome(c, action)
    assert done.changed == 1
    assert why(done) == {2: ("it is not in the store any more", "", None)}


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (Decision("ack", " "), "Nobody is at the console"),
        (Decision("note", "ann", "  "), "The note is empty."),
        (Decision("tag", "ann"), "Which tags"),
        (Decision("tag", "ann", add=("a b",)), "one word"),
        (Decision("tag", "ann", add=("a\u2028b",)), "one word"),
        (Decision("snooze", "ann"), "one of these"),
        (Decision("snooze", "ann", until=NOW, more=1), "one of these"),
        (Decision("snooze", "ann", event="rain"), "online, host"),
        (Decision("close", "ann", status=0), "closed or resolved"),
        (Decision("close", "ann", classification=7), "closed or resolved"),
        (Decision("undo", "ann", of=99), "no decision 99"),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_is_one_sentence(queue: Store, decision: Decision, said: str) -> None:
    with queue.writing() as c, pytest.raises(triage.TriageError, match=said):
        triage.begin(c, decision, Selection(ids=(1,)), now=NOW)


def test_notes_and_unfinished_decisions_are_not_undone(queue: Store) -> None:
    noted = decide(queue, Decision("note", "ann", "x"), Selection(ids=(1,)))
    with queue.writing() as c:
        begun = triage.begin(c, Decision("ack", "ann"), Selection(ids=(1,)), now=NOW)
    for of in (noted.action_id, begun):
        with queue.writing() as c, pytest.raises(triage.TriageError):
            triage.begin(c, Decision("undo", "ann", of=of), Selection(), now=NOW)


# Snoozes


def hidden(store: Store) -> set[int]:
    with store.reader.reading() as c:
        shown = {row.id for row in alerts.page(c, AlertFilter(), limit=100)}
        every = {row.id for row in alerts.page(c, AlertFilter(snoozed="any"), limit=100)}
        asleep = {row.id for row in alerts.page(c, AlertFilter(snoozed="yes"), limit=100)}
        assert asleep == every - shown
        for wanted, there in (("no", shown), ("any", every), ("yes", asleep)):
            assert alerts.count(c, AlertFilter(snoozed=wanted)) == alerts.Count(len(there), True)
            assert alerts.count(c, AlertFilter(snoozed=wanted, oid="o1")).value == len(
                {i for i in there if i <= 10}
            )
        assert alerts.snoozed(c, AlertFilter()) == len(asleep)
        return asleep


def wake(store: Store, now: int) -> int:
    with store.reader.reading() as c:
        reasons = triage.waking(c, now)
    with store.writing() as c:
        return triage.wake(c, reasons, now=now)


def first(store: Store) -> Any:
    with store.reader.reading() as c:
        return alerts.page(c, AlertFilter(), limit=1)[0]


def test_a_snoozed_alert_is_hidden_until_its_time_and_comes_back_on_top_with_its_reason(queue: Store) -> None:
    due = one(queue, 5).due_at
    decide(
        queue, Decision("snooze", "ann", until=NOW + 100, reason="waiting for them"), Selection(ids=(5, 15))
    )
    assert hidden(queue) == {5, 15}
    assert one(queue, 5).due_at == due  # its clock runs on
    assert wake(queue, NOW + 99) == 0
    assert wake(queue, NOW + 100) == 2
    assert wake(queue, NOW + 101) == 0

    assert hidden(queue) == set()
    top = first(queue)
    assert (top.id, top.rank) == (5, WOKEN)
    with queue.reader.reading() as c:
        found = triage.snoozes(c, [5, 6])[5]
    assert (found.reason, found.by, found.woken_by, found.woken_at) == (
        "waiting for them",
        "ann",
        "its time came",
        NOW + 100,
    )
    with queue.reader.reading() as c:
        fold = c.execute(select(Fold.__table__)).all()  # type: ignore[attr-defined]
        assert max(each.rank for each in fold) == WOKEN
    decide(queue, Decision("claim", "ann"), Selection(ids=(5,)))
    assert first(queue).id == 15
    with queue.reader.reading() as c:
        assert triage.snoozes(c, [5]) == {}
    assert exact(queue)


def test_undo_brings_a_woken_alert_back_to_the_top_with_its_reason(queue: Store) -> None:
    decide(queue, Decision("snooze", "ann", until=NOW + 100, reason="waiting"), Selection(ids=(5,)))
    wake(queue, NOW + 100)
    before = state(queue)
    done = decide(queue, Decision("close", "ann"), Selection(ids=(5,)))
    decide(queue, Decision("undo", "ann", of=done.action_id), Selection())
    assert state(queue) == before


def test_a_snooze_ends_after_so_many_more_in_its_fold(queue: Store) -> None:
    decide(queue, Decision("snooze", "ann", more=3), Selection(ids=(1,)))
    assert one(queue, 1).snoozed_until == FOREVER
    with queue.writing() as c:
        put(c, "o1", range(30, 32))
        put(c, "o2", range(32, 40))
    assert wake(queue, NOW) == 0
    with queue.writing() as c:
        put(c, "o1", range(40, 41))
    assert wake(queue, NOW) == 1
    assert first(queue).id == 1


def test_a_snooze_ends_when_its_sensor_comes_online(queue: Store) -> None:
    decide(queue, Decision("snooze", "ann", event="online"), Selection(ids=(1, 2)))
    with queue.writing() as c:
        ingest.put_sensors(
            c, "o1", [{"sid": "s0", "alive": NOW // 1000 - 5}, {"sid": "s1", "alive": NOW // 1000 - 5}]
        )
    assert wake(queue, NOW + 1) == 0
    with queue.writing() as c:
        ingest.put_sensors(
            c, "o1", [{"sid": "s0", "alive": NOW // 1000 - 5}, {"sid": "s1", "alive": NOW // 1000 + 5}]
        )
    assert wake(queue, NOW + 1) == 1
    assert first(queue).id == 2


def test_a_snooze_ends_when_its_fold_reaches_another_host(queue: Store) -> None:
    decide(queue, Decision("snooze", "ann", event="host"), Selection(ids=(1,)))
    with queue.writing() as c:
        put(c, "o1", range(30, 34), host="host-3")  # known already, though not of this alert
        put(c, "o2", range(34, 36), host="host-new")  # another organization's fold
    assert wake(queue, NOW) == 0
    with queue.writing() as c:
        put(c, "o1", range(40, 41), host="host-new")
    assert wake(queue, NOW) == 1
    with queue.reader.reading() as c:
        assert triage.snoozes(c, [1])[1].woken_by == "its fold reached the host host-new"


def test_waking_is_one_decision_that_nobody_made_and_cannot_be_undone(queue: Store) -> None:
    decide(queue, Decision("snooze", "ann", until=NOW), Selection(ids=(1, 2)))
    wake(queue, NOW)
    with queue.reader.reading() as c:
        action = triage.recent(c)[0]
        assert (action.verb, action.actor, action.changed) == ("wake", triage.WAKER, 2)
        assert [past.verb for past in triage.history(c, 1)] == ["wake", "snooze"]
    with queue.writing() as c, pytest.raises(triage.TriageError):
        triage.begin(c, Decision("undo", "ann", of=action.id), Selection(), now=NOW)


def test_snoozing_anew_replaces_the_snooze(queue: Store) -> None:
    decide(queue, Decision("snooze", "ann", until=NOW + 1), Selection(ids=(1,)))
    decide(queue, Decision("snooze", "bob", until=NOW + 9, reason="b"), Selection(ids=(1,)))
    assert wake(queue, NOW + 5) == 0
    assert wake(queue, NOW + 9) == 1


# What others read


def test_whoever_passes_decisions_on_reads_what_changed_page_by_page(queue: Store) -> None:
    done = decide(queue, Decision("close", "ann", classification=1), everything(queue))
    with queue.reader.reading() as c:
        seen: list[triage.Change] = []
        while page := triage.changes(c, done.action_id, after=seen[-1].detection_id if seen else 0, limit=7):
            seen += page
    assert [(each.detection_id, each.outcome, each.status) for each in seen] == [
        (n, triage.DONE, 0) for n in range(1, 21)
    ]
    assert {each.version for each in seen} == {1}


def test_a_history_tells_what_was_there_before_each_decision(queue: Store) -> None:
    decide(queue, Decision("claim", "ann"), Selection(ids=(1,)), now=NOW)
    decide(queue, Decision("close", "ann", "done", classification=1), Selection(ids=(1,)), now=NOW + 1)
    with queue.reader.reading() as c:
        last, earlier = triage.history(c, 1)
    assert (last.verb, last.time, last.comment, last.before["status"], last.before["assignee"]) == (
        "close",
        NOW + 1,
        "done",
        1,
        "ann",
    )
    assert (earlier.verb, earlier.before["status"], earlier.before["assignee"]) == ("claim", 0, "")


def test_a_plan_is_read_by_the_index_of_its_action(a_store: Callable[[], Store]) -> None:
    store = a_store()
    with store.reader.reading() as c:
        plan = c.exec_driver_sql(
            "EXPLAIN QUERY PLAN UPDATE detection SET status = 3 FROM triage_change WHERE"
            " detection.id = triage_change.detection_id AND triage_change.action_id = 1"
            " AND triage_change.outcome = 0 AND triage_change.detection_id >= 1"
            " AND triage_change.detection_id <= 9"
        )
        shown = " | ".join(str(row[-1]) for row in plan)
    assert (
        "triage_change USING INDEX sqlite_autoindex_triage_change_1 (action_id=? AND detection_id>? AND"
        in shown
    )
    assert "SEARCH detection USING INTEGER PRIMARY KEY" in shown
