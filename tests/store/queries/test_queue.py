"""What the queue says beside its rows, on both engines."""

import pytest

from store import triage
from store.alerts import AlertFilter
from store.queries import alerts, queue
from store.tree import mark_node
from store.triage import Decision, Selection
from tests.helpers.screens import NOW, fill, oid_of
from tests.helpers.triage import storm

HOUR = 3_600_000


@pytest.fixture
def filled(store):
    fill(store, detections=30)
    return store


def ids(store, **wanted):
    with store.reader.reading() as connection:
        return [row.id for row in alerts.page(connection, AlertFilter(**wanted), limit=500)]


def decide(store, verb, which, **more):
    with store.writing() as connection:
        action = triage.begin(connection, Decision(verb, **more), Selection(tuple(which)), now=NOW)
        while triage.proceed(connection, action, actor="test", now=NOW):
            pass


def ask(store, question, *arguments, **more):
    with store.reader.reading() as connection:
        return question(connection, *arguments, **more)


def test_those_who_need_me_are_mine_and_nobodys_late_ones(filled):
    late = ids(filled, due=NOW - 1)
    early = [number for number in ids(filled) if number not in late]
    assert late
    assert early
    assert ask(filled, queue.needing, "dana", now=NOW) == len(late)
    decide(filled, "claim", early[:2], operator="dana")
    assert ask(filled, queue.needing, "dana", now=NOW) == len(late) + 2
    decide(filled, "claim", late[:1], operator="mk")
    assert ask(filled, queue.needing, "dana", now=NOW) == len(late) + 1
    assert ask(filled, queue.needing, "", now=NOW) == len(late) - 1


def test_neither_what_is_snoozed_nor_what_is_done_nor_another_scope_needs_anybody(filled):
    late = ids(filled, due=NOW - 1)
    decide(filled, "snooze", late[:1], operator="mk", until=NOW + HOUR)
    decide(filled, "close", late[1:2], operator="mk", classification=2)
    assert ask(filled, queue.needing, "dana", now=NOW) == len(late) - 2
    assert ask(filled, queue.needing, "dana", now=NOW, scope="nowhere") == 0
    gold = ask(filled, queue.needing, "dana", now=NOW, scope="gold")
    silver = ask(filled, queue.needing, "dana", now=NOW, scope="silver")
    assert gold + silver == len(late) - 2
    assert gold


def test_counting_those_who_need_me_stops_at_the_cap(filled):
    assert ask(filled, queue.needing, "dana", now=NOW + 30 * 24 * HOUR, cap=7) == 7


def test_what_brought_an_alert_back_is_known_until_somebody_decides(filled):
    first, second = ids(filled)[:2]
    decide(filled, "snooze", [first, second], operator="mk", until=NOW + HOUR)
    assert ask(filled, queue.woken, [first, second]) == {}
    with filled.writing() as connection:
        triage.wake(connection, {first: "its time came"}, now=NOW + HOUR)
    assert ask(filled, queue.woken, [first, second]) == {first: "its time came"}
    decide(filled, "claim", [first], operator="mk")
    assert ask(filled, queue.woken, [first, second]) == {}


def test_marks_are_settled_by_what_hides_their_alerts_and_by_nothing_else(filled):
    closed, snoozed, claimed, untouched, done = ids(filled)[:5]
    decide(filled, "close", [done], operator="mk", classification=1)
    seen = {closed: True, snoozed: True, claimed: True, untouched: True, done: False, 999_999: True}
    decide(filled, "close", [closed], operator="mk", classification=2)
    decide(filled, "snooze", [snoozed], operator="mk", until=NOW + HOUR)
    decide(filled, "claim", [claimed], operator="mk")
    assert ask(filled, queue.settled, seen, []) == ({closed, snoozed, 999_999}, set())


def test_a_mark_on_a_storm_is_settled_when_nothing_of_it_is_shown(filled):
    storm(filled, 10)
    from store.queries import folds

    with filled.reader.reading() as connection:
        row = next(row for row in folds.page(connection, AlertFilter(), now=NOW) if row.kind == "storm")
        inside = folds.within(AlertFilter(), row)
        members = [alert.id for alert in alerts.page(connection, inside, limit=100)]
    assert ask(filled, queue.settled, {}, [row.storm, 5]) == (set(), {5})
    decide(filled, "close", members[1:], operator="mk", classification=2)
    assert ask(filled, queue.settled, {}, [row.storm]) == (set(), set())
    decide(filled, "close", members[:1], operator="mk", classification=2)
    assert ask(filled, queue.settled, {}, [row.storm]) == (set(), {row.storm})


def test_what_a_dialog_is_about_is_counted_and_named(filled):
    storm(filled, 12)
    members = ids(filled, rule="general.lsass-access", since=NOW - 30_000)
    decide(filled, "claim", members[:3], operator="mk")
    decide(filled, "close", members[3:4], operator="mk", classification=2)
    with filled.writing() as connection:
        mark_node(connection, "gold", add=["protected"], remove=[])
    about = ask(filled, queue.about, members)
    assert (about.count, about.open) == (12, 11)
    assert sum(count for _, _, count in about.organizations) == 12
    assert [count for _, _, count in about.organizations] == [3, 3, 2, 2, 2]
    assert about.cats == (("Scanner touched LSASS", 12),)
    assert about.held == (("mk", 3),)
    assert set(about.protected) == {oid_of(0), oid_of(1)}
    assert about.hostname == ""
    assert about.sensors == 12
    alone = ask(filled, queue.about, members[:1])
    assert alone.hostname.startswith("host-")


def test_nothing_is_about_nothing(filled):
    about = ask(filled, queue.about, [])
    assert (about.count, about.organizations, about.cats, about.due_at) == (0, (), (), None)


def test_an_organization_without_a_name_is_called_by_its_oid(filled):
    assert ask(filled, queue.names_of, [oid_of(0), "unknown"]) == {
        oid_of(0): "Acme Dental",
        "unknown": "unknown",
    }


@pytest.mark.parametrize(
    ("wanted", "open_", "held"),
    [
        (AlertFilter(), 12, 5),
        (AlertFilter(scope="gold"), 6, 2),
        (AlertFilter(since=NOW - HOUR), 12, 5),
        (AlertFilter(who="mk"), 4, 4),
    ],
)
def test_a_line_says_how_many_of_what_it_shows_somebody_has(store, wanted, open_, held):
    from store.queries import folds

    fill(store, detections=0)
    storm(store, 12)
    members = ids(store)
    decide(store, "claim", [members[0], *members[2:5]], operator="mk")
    decide(store, "claim", members[5:6], operator="dana")
    with store.reader.reading() as connection:
        row = folds.page(connection, wanted, now=NOW)[0]
    assert (row.open, row.held) == (open_, held)
