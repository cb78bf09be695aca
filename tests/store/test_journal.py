"""The chain of the journal."""

import subprocess
import sys

import pytest
from sqlalchemy import text

from store import journal
from store.database import Store
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
