"""What has a time is taken by one, tried again, and never dropped; a clock that is set back wins nobody time."""

from typing import Any

import pytest
from sqlalchemy import Connection, select

from store import deadlines
from store.accesschanges import AccessChange
from store.database import Store
from store.models import Journal

NOW = 1_795_528_800_000
HOUR = 3_600_000
LEAVE = AccessChange("remove_member", gid="g", principal="kim@acme.example")


def put(c: Connection, due_at: int = NOW, *, kind: str = "rotation") -> int:
    return deadlines.put(c, kind, due_at, [LEAVE], title="kim leaves", by="ada", now=NOW - HOUR)


def one(c: Connection, number: int) -> deadlines.Deadline:
    found = deadlines.get(c, number)
    assert found is not None
    return found


def test_what_is_put_is_there_as_it_was(store: Store) -> None:
    with store.writing() as c:
        number = put(c)
        found = one(c, number)
    assert (found.kind, found.title, found.by, found.changes) == ("rotation", "kim leaves", "ada", (LEAVE,))
    assert (found.made_at, found.due_at, found.state, found.open) == (
        NOW - HOUR,
        NOW,
        deadlines.WAITING,
        True,
    )


def test_a_deadline_wants_something(store: Store) -> None:
    with store.writing() as c, pytest.raises(ValueError, match="without a change"):
        deadlines.put(c, "rotation", NOW, [], title="", by="", now=NOW)


def test_it_is_possible_from_its_time_on_and_overdue_until_it_is_made(store: Store) -> None:
    with store.writing() as c:
        number = put(c)
        assert deadlines.possible(c, NOW - 1) == deadlines.overdue(c, NOW - 1) == []
        assert [each.id for each in deadlines.possible(c, NOW)] == [number]
        assert deadlines.take(c, one(c, number), "me", now=NOW)
        assert [each.id for each in deadlines.overdue(c, NOW)] == [number]
        assert deadlines.finished(c, number, "me", "done", by="ada", now=NOW)
        assert deadlines.overdue(c, NOW) == deadlines.waiting(c) == []


def test_of_two_that_saw_it_one_takes_it(store: Store) -> None:
    with store.writing() as c:
        number = put(c)
        seen = one(c, number)
        assert deadlines.take(c, seen, "me", now=NOW)
        assert not deadlines.take(c, seen, "you", now=NOW)
        gone = one(c, number)
        assert deadlines.take(c, gone, "you", now=NOW)
        assert not deadlines.take(c, gone, "them", now=NOW)
        assert not deadlines.finished(c, number, "me", "done", by="ada", now=NOW)
        assert not deadlines.call_off(c, number, by="ada", now=NOW), "it is being made"


def test_a_failed_try_is_repeated_ever_more_slowly_and_never_dropped(store: Store) -> None:
    with store.writing() as c:
        number = put(c)
        now, pauses = NOW, []
        for _ in range(20):
            assert [each.id for each in deadlines.possible(c, now)] == [number]
            assert deadlines.take(c, one(c, number), "me", now=now)
            deadlines.failed(c, number, "me", "The cloud is away.", now=now)
            assert deadlines.possible(c, now) == []
            pauses.append(one(c, number).next_at - now)
            now = one(c, number).next_at
        assert pauses[:4] == [5_000, 10_000, 20_000, 40_000]
        assert pauses[-1] == deadlines.LONGEST_PAUSE
        assert (one(c, number).tries, one(c, number).reason) == (20, "The cloud is away.")
        table: Any = Journal.__table__  # type: ignore[attr-defined]
        told = c.execute(select(table.c.action)).scalars().all()
    assert told == ["deadline.failed"], "the same reason is journalled once"


def test_what_was_called_off_or_made_stays_so(store: Store) -> None:
    with store.writing() as c:
        number = put(c)
        assert deadlines.call_off(c, number, by="ada", now=NOW)
        assert not deadlines.move(c, number, NOW + HOUR)
        assert deadlines.possible(c, NOW + HOUR) == []
        assert not deadlines.call_off(c, number, by="ada", now=NOW)


def test_a_clock_that_is_set_back_moves_every_end_forward(store: Store) -> None:
    with store.writing() as c:
        number = put(c, NOW + HOUR)
        assert deadlines.note_time(c, "here", NOW) == 0
        assert deadlines.note_time(c, "here", NOW + 600_000) == 0
        assert one(c, number).due_at == NOW + HOUR
        assert deadlines.note_time(c, "here", NOW - HOUR) == HOUR + 600_000
        assert one(c, number).due_at == NOW - 600_000
        assert deadlines.note_time(c, "here", NOW - HOUR) == 0, "it is set back once"
        assert deadlines.note_time(c, "elsewhere", NOW - 2 * HOUR) == 0, "another machine has its own clock"
        assert one(c, number).due_at == NOW - 600_000


def test_what_this_process_saw_last_counts_before_it_was_written_down(store: Store) -> None:
    with store.writing() as c:
        number = put(c, NOW + HOUR)
        deadlines.note_time(c, "here", NOW)
        assert deadlines.note_time(c, "here", NOW, latest=NOW + 50_000) == 50_000
        assert one(c, number).due_at == NOW + HOUR - 50_000


def test_a_clock_that_is_put_right_by_a_moment_changes_nothing(store: Store) -> None:
    with store.writing() as c:
        number = put(c, NOW + HOUR)
        deadlines.note_time(c, "here", NOW)
        assert deadlines.note_time(c, "here", NOW - 900) == 0
        assert one(c, number).due_at == NOW + HOUR
        assert deadlines.seen_time(c, "here") == NOW


def test_a_clock_that_is_set_back_before_anybody_looked_is_noticed(store: Store) -> None:
    with store.writing() as c:
        number = deadlines.put(c, "rotation", NOW + HOUR, [LEAVE], title="", by="", now=NOW)
        assert deadlines.note_time(c, deadlines.host(), NOW - HOUR) == HOUR
        assert one(c, number).due_at == NOW
