"""The chain of the journal."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from store import journal, maintenance
from store.database import Store
from store.errors import StoreUnavailable
from store.queries.activity import journal as entries


def _append(store: Store, number: int) -> int:
    with store.writing() as connection:
        return journal.append(
            connection, "mk@here", "tree.label", "o1", f"node {number}",
            {"before": None, "after": {"n": number, "t": "\ud800\0", "f": 0.1, "nan": float("nan")}}, now=1000 + number,
        )  # fmt: skip


def test_entries_follow_each_other_and_newest_comes_first(store: Store) -> None:
    assert [_append(store, number) for number in range(5)] == [1, 2, 3, 4, 5]
    with store.reader.reading() as connection:
        assert journal.verify(connection) is None
        found = entries(connection, limit=2)
    assert [(entry.seq, entry.target) for entry in found] == [(5, "node 4"), (4, "node 3")]


def test_an_empty_journal_is_whole(store: Store) -> None:
    with store.reader.reading() as connection:
        assert journal.verify(connection) is None


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE journal SET target = 'other' WHERE seq = 3", 3),
        ("UPDATE journal SET detail = '{}' WHERE seq = 2", 2),
        ("UPDATE journal SET time = time + 1 WHERE seq = 1", 1),
        ("DELETE FROM journal WHERE seq = 3", 4),
        ("DELETE FROM journal WHERE seq = 1", 2),
        ("UPDATE journal SET hash = previous WHERE seq = 5", 5),
        ("UPDATE journal SET seq = 9 WHERE seq = 5", 9),
    ],
)
def test_a_changed_or_missing_entry_is_found(store: Store, statement: str, broken: int) -> None:
    for number in range(5):
        _append(store, number)
    with store.writing() as connection:
        connection.execute(text(statement))
    with store.reader.reading() as connection:
        assert journal.verify(connection) == broken


def _examine(store: Store, expect: tuple[int, str] | None = None) -> journal.Chain:
    with store.reader.reading() as connection:
        return journal.examine(connection, expect)


def test_a_whole_journal_says_how_long_it_is_and_how_it_ends(store: Store) -> None:
    assert _examine(store) == journal.Chain(0, None, None, 0, "", 0, None, "")
    for number in range(5):
        _append(store, number)
    found = _examine(store)
    with store.reader.reading() as connection:
        last = entries(connection, limit=1)[0]
    assert (found.entries, found.first, found.last) == (5, 1000, 1004)
    assert (found.seq, found.hash, len(found.hash)) == (5, last.hash, 64)
    assert (found.forgotten, found.broken, found.wrong) == (0, None, "")


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("DELETE FROM journal WHERE seq = 1", "Entry 2 is the first one: what was before it is gone."),
        (
            "DELETE FROM journal WHERE seq = 3",
            "Entry 4 comes right behind entry 2: what was between them is gone.",
        ),
        (
            "UPDATE journal SET previous = hash WHERE seq = 4",
            "Entry 4 does not follow from the one before it.",
        ),
        (
            "UPDATE journal SET actor = 'nobody' WHERE seq IN (2, 4)",
            "Entry 2 was changed after it was written: its hash is of something else.",
        ),
    ],
)
def test_what_is_wrong_is_a_sentence_that_names_the_first_entry(
    store: Store, statement: str, wrong: str
) -> None:
    for number in range(5):
        _append(store, number)
    with store.writing() as connection:
        connection.execute(text(statement))
    found = _examine(store)
    assert found.wrong == wrong
    assert found.entries == (4 if statement.startswith("DELETE") else 5)
    assert (found.seq, found.last) == (5, 1004)


@pytest.mark.parametrize(
    "change",
    [
        "detail = 'no JSON'",
        "detail = ''",
        "detail = printf('%.*c', 100000, '[')",
        "target = CAST(x'ff' AS TEXT)",
        "detail = CAST(x'22ff22' AS TEXT)",
        "actor = x'00'",
        "time = 'soon'",
        "hash = x'00'",
    ],
)
def test_an_entry_that_cannot_be_read_any_more_is_named_and_no_crash(a_store, change: str) -> None:
    store = a_store()
    for number in range(3):
        _append(store, number)
    with store.writing() as connection:
        connection.execute(text(f"UPDATE journal SET {change} WHERE seq = 3"))
    found = _examine(store)
    assert (found.broken, found.entries) == (3, 3)
    assert "Entry 3 was changed" in found.wrong
    assert store.reader.dialect == "sqlite"
    with store.reader.reading() as connection:
        assert connection.execute(text("SELECT actor FROM journal WHERE seq = 1")).scalar_one() == "mk@here"


@pytest.mark.parametrize(
    "detail",
    [{"why": "left"}, {"entries": "all"}, {"entries": 3}, {"entries": [3, ["1", "x"], [9, "x"], [1, 2, 3]]}],
)
def test_who_says_that_something_was_forgotten_accounts_for_nothing_else(
    store: Store, detail: dict[str, object]
) -> None:
    _append(store, 0)
    with store.writing() as connection:
        journal.append(connection, "mk@here", journal.FORGETTING, detail=detail)
    assert _examine(store).wrong == ""
    with store.writing() as connection:
        connection.execute(text("UPDATE journal SET target = 'other' WHERE seq = 1"))
    found = _examine(store)
    assert (found.broken, found.forgotten) == (1, 0)


def test_what_was_taken_out_and_accounted_for_is_counted(store: Store) -> None:
    for number in range(5):
        _append(store, number)
    before = _examine(store)
    with store.writing() as connection:
        table = journal.Journal.__table__  # type: ignore[attr-defined]
        rewrite = {"oid": "", "target": journal.FORGOTTEN, "detail": {}}
        journal.forget(connection, "mk@here", lambda entry: rewrite, table.c.seq.in_([2, 3]), {})
    found = _examine(store, (before.seq, before.hash))
    assert (found.entries, found.forgotten, found.wrong) == (6, 2, "")


def test_an_entry_that_was_noted_shows_a_journal_that_was_cut_or_written_anew(store: Store) -> None:
    for number in range(5):
        _append(store, number)
    noted = _examine(store)
    _append(store, 5)
    assert _examine(store, (noted.seq, noted.hash)).wrong == ""

    with store.writing() as connection:
        connection.execute(text("DELETE FROM journal WHERE seq > 4"))
    cut = _examine(store)
    assert cut.broken is None, "the chain alone does not tell"
    cut = _examine(store, (noted.seq, noted.hash))
    assert cut.broken == 5
    assert (
        cut.wrong == "Entry 5 is not there: the journal ends with entry 4, so it was cut or is another one."
    )

    with store.writing() as connection:
        connection.execute(text("DELETE FROM journal"))
    assert "the journal is empty" in _examine(store, (noted.seq, noted.hash)).wrong
    for number in range(10, 16):
        _append(store, number)
    anew = _examine(store, (noted.seq, noted.hash))
    assert _examine(store).broken is None
    assert anew.broken == 5
    assert anew.wrong.startswith("Entry 5 has not the hash that was noted but ")
    assert anew.wrong.endswith(": the journal was written anew.")


def test_a_broken_chain_is_told_before_what_was_noted(store: Store) -> None:
    for number in range(3):
        _append(store, number)
    with store.writing() as connection:
        connection.execute(text("UPDATE journal SET target = 'other' WHERE seq = 1"))
    assert _examine(store, (2, "0" * 64)).broken == 1


def test_a_database_without_a_journal_is_no_empty_journal(empty_url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        maintenance.examine_journal(empty_url)
    assert not (tmp_path / "store.db").exists()


def test_two_processes_make_one_chain(store: Store) -> None:
    program = (
        "import sys\n"
        "from store import journal\n"
        "from store.database import Store\n"
        "store = Store(sys.argv[1])\n"
        "for n in range(40):\n"
        "    with store.writing() as c: journal.append(c, 'p', 'a', detail={'n': n})\n"
        "store.close()\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, store.url]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    with store.reader.reading() as connection:
        assert journal.verify(connection) is None
        assert len(entries(connection)) == 80
