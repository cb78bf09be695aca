"""`limegrove journal` on a real store."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import forgetting, ingest, journal
from store.database import Store
from store.times import now_ms
from tests.console.commands.conftest import NAMES, OIDS

HOUR = 3_600_000
HOSTILE = "\x1b]0;x\x07[@click=app.quit]Evil[/]\u202e"


@pytest.fixture
def kept(filled: Path) -> Iterator[Store]:
    """A journal of four entries, the oldest three hours old."""
    now = now_ms()
    with closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store:
        with store.writing() as c:
            for number, (actor, action, oid, target, detail) in enumerate(
                [
                    ("mk@here", "tree.import", "", "2 nodes", {"nodes": 2}),
                    ("mk@there", "alert.close", OIDS[0], "1 alert", {"comment": HOSTILE}),
                    ("ann@here", "alert.close", "", "3 alerts", {"organizations": {OIDS[0]: 1, OIDS[2]: 2}}),
                    ("ann@here", "org.bulk", OIDS[2], HOSTILE, {}),
                ]
            ):
                journal.append(c, actor, action, oid, target, detail, now=now - (3 - number) * HOUR)
        yield store


def edit(store: Store, statement: str, *values: Any) -> None:
    """Change the file as somebody who has a shell would."""
    with closing(sqlite3.connect(store.url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(statement, values)


def head(limegrove) -> str:
    return limegrove("journal", "verify").json["head"]


# Showing it


def test_it_is_listed_newest_first_with_all_that_an_entry_says(kept, limegrove):
    answer = limegrove("journal", "show")

    assert answer.code == 0
    assert [each["seq"] for each in answer.json] == [4, 3, 2, 1]
    second = answer.json[2]
    assert second.pop("time").endswith("Z")
    assert len(second.pop("hash")) == 64
    assert second == {
        "seq": 2, "actor": "mk@there", "action": "alert.close", "oid": OIDS[0], "organization": NAMES[0],
        "target": "1 alert", "detail": {"comment": HOSTILE}, "cursor": "2",
    }  # fmt: skip
    assert (answer.json[1]["oid"], answer.json[1]["organization"]) == (None, None)


def test_a_table_has_the_columns_of_the_screen_and_nothing_that_a_terminal_obeys(kept, limegrove):
    answer = limegrove("journal", "show", "--output", "table")

    assert answer.out.splitlines()[0].split() == ["SEQ", "TIME", "ACTOR", "ACTION", "ORGANIZATION", "TARGET"]
    assert not {"\x1b", "\x07", "\u202e"} & set(answer.out)
    assert "[@click=app.quit]Evil[/]" in answer.out
    assert answer.err == "4 of 4 entries\n"


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "yaml"])
def test_a_stranger_steers_no_terminal(kept, limegrove, output):
    answer = limegrove("journal", "show", "--output", output)

    assert answer.code == 0
    assert not {"\x1b", "\x07"} & set(answer.out)


@pytest.mark.parametrize(
    ("options", "seqs"),
    [
        (["alert", "mk@"], [2]),
        ([NAMES[0].upper()], [2]),
        (["--by", "ann"], [4, 3]),
        (["--by", "mk@here"], [1]),
        (["--org", NAMES[0]], [3, 2]),
        (["--org", OIDS[2][:8]], [4, 3]),
        (["--action", "alert", "--action", "tree.import"], [3, 2, 1]),
        (["--since", "90m"], [4, 3]),
        (["--limit", "1"], [4]),
        (["--limit", "0"], [4, 3, 2, 1]),
        (["--after", "3", "--limit", "1"], [2]),
        (["--scope", OIDS[0]], [2]),
        (["--read-only", "--offline"], [4, 3, 2, 1]),
    ],
)
def test_it_is_limited(kept, limegrove, options, seqs):
    assert [each["seq"] for each in limegrove("journal", "show", *options).json] == seqs


def test_it_goes_on_behind_a_cursor(kept, limegrove, monkeypatch):
    monkeypatch.setattr("console.commands.listing.PAGE", 2)
    whole = limegrove("journal", "show").json
    seen, options = [], []
    while page := limegrove("journal", "show", "--limit", "1", *options).json:
        seen += page
        options = ["--after", page[-1]["cursor"]]

    assert seen == whole
    assert len(seen) == 4


def test_what_a_scope_leaves_out_is_said(kept, limegrove):
    answer = limegrove("journal", "show", "--scope", OIDS[0], "--output", "table")

    assert answer.err.splitlines() == [
        "1 of 1 entries",
        "Not among these: entries of no single organization, 2; --org finds those of several that name one.",
    ]


def test_an_action_that_the_journal_does_not_have_is_not_taken_for_a_no(kept, limegrove):
    answer = limegrove("journal", "show", "--action", "alert.clse", "--action", "alert")

    assert [each["seq"] for each in answer.json] == [3, 2]
    answer = limegrove("journal", "show", "--action", "alert.clse")
    assert (answer.code, answer.json) == (0, [])
    assert (
        answer.err == "The journal has no action `alert.clse`; it has alert.close, org.bulk, tree.import.\n"
    )


def test_a_journal_without_entries_is_an_empty_list(filled, limegrove):
    assert limegrove("journal", "show").json == []
    assert limegrove("journal", "show", "--output", "table").err == "0 of 0 entries\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["show", "--since", "soon"], "--since: use a number and a unit"),
        (["show", "--after", "x"], "--after: `x` is no cursor"),
        (["show", "--after", "٣"], "is no cursor"),
        (["show", "--limit", "-1"], "--limit takes a number from 0 on."),
        (["show", "--org", "Nobody"], "There is no organization `Nobody`"),
        (["show", "--scope", "nowhere"], "the tree has no node `nowhere`"),
        (["verify", "--expect", "4"], "--expect: `4` is no SEQ:HASH; take the `head`"),
        (["verify", "--expect", f"0:{'a' * 64}"], "is no SEQ:HASH"),
        (["verify", "--expect", f"1:{'g' * 64}"], "is no SEQ:HASH"),
        (["verify", "--expect", f"1:{'a' * 63}"], "is no SEQ:HASH"),
    ],
)
def test_what_it_does_not_understand_is_one_sentence(kept, limegrove, argv, said):
    answer = limegrove("journal", *argv)

    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1


# Whether it is whole


def test_a_whole_journal_says_how_long_it_is_and_what_to_note(kept, limegrove):
    answer = limegrove("--read-only", "--offline", "journal", "verify")
    last, first = limegrove("journal", "show").json[::3]

    assert (answer.code, answer.err) == (0, "")
    assert answer.json == {
        "whole": True, "entries": 4, "first": first["time"], "last": last["time"], "head": f"4:{last['hash']}",
        "forgotten": 0, "expected": None, "broken": None,
    }  # fmt: skip
    table = limegrove("journal", "verify", "--output", "table").out
    assert f"4:{last['hash']}" in table, "not cut short: it is to be copied"


def test_an_empty_journal_is_whole_and_has_nothing_to_note(filled, limegrove):
    answer = limegrove("journal", "verify")

    assert answer.code == 0
    assert (answer.json["whole"], answer.json["entries"], answer.json["head"]) == (True, 0, None)


@pytest.mark.parametrize(
    ("statement", "entry"),
    [
        ("UPDATE journal SET target = 'other' WHERE seq = 2", 2),
        ("UPDATE journal SET detail = 'no JSON' WHERE seq = 3", 3),
        ("UPDATE journal SET actor = CAST(x'ff' AS TEXT) WHERE seq = 3", 3),
        ("DELETE FROM journal WHERE seq = 2", 3),
        ("DELETE FROM journal WHERE seq = 1", 2),
    ],
)
def test_a_changed_or_missing_entry_is_named_in_one_sentence(kept, limegrove, statement, entry):
    edit(kept, statement)

    answer = limegrove("journal", "verify")

    assert answer.code == 1
    assert (answer.json["whole"], answer.json["broken"]) == (False, entry)
    assert answer.err.startswith(f"limegrove: The journal is not whole. Entry {entry} ")
    assert answer.err.count("\n") == 1
    said = next(each for each in limegrove("store", "check").json if each["name"] == "journal")
    assert said["text"] in answer.err


def test_what_was_noted_is_still_there_after_more_was_written(kept, limegrove):
    noted = head(limegrove)
    with kept.writing() as c:
        journal.append(c, "mk@here", "tree.add")

    answer = limegrove("journal", "verify", "--expect", noted.upper())

    assert (answer.code, answer.json["whole"], answer.json["entries"]) == (0, True, 5)
    assert answer.json["expected"] == noted


def test_a_journal_that_was_cut_is_found_by_what_was_noted_alone(kept, limegrove):
    noted = head(limegrove)
    edit(kept, "DELETE FROM journal WHERE seq > 2")

    assert limegrove("journal", "verify").code == 0
    answer = limegrove("journal", "verify", "--expect", noted)
    assert (answer.code, answer.json["whole"], answer.json["broken"]) == (1, False, 4)
    assert "Entry 4 is not there: the journal ends with entry 2" in answer.err
    assert answer.err.count("\n") == 1


def test_a_journal_that_was_written_anew_is_found_by_what_was_noted_alone(kept, limegrove):
    noted = head(limegrove)
    edit(kept, "DELETE FROM journal")
    with kept.writing() as c:
        for number in range(6):
            journal.append(c, "nobody@here", "tree.add", target=str(number))

    assert limegrove("journal", "verify").code == 0
    answer = limegrove("journal", "verify", "--expect", noted)
    assert (answer.code, answer.json["broken"]) == (1, 4)
    assert "Entry 4 has not the hash that was noted but " in answer.err


def test_what_was_forgotten_is_allowed_and_said(kept, limegrove):
    noted = head(limegrove)
    with kept.writing() as c:
        rows = [{"oid": oid, "name": name} for oid, name in zip(OIDS[1:], NAMES[1:], strict=True)]
        ingest.put_organizations(c, rows, complete=True, now=now_ms())
    forgetting.forget(kept, OIDS[0], actor="mk@here", now=now_ms())

    answer = limegrove("journal", "verify", "--expect", noted)

    assert (answer.code, answer.json["whole"], answer.json["forgotten"]) == (0, True, 2)
    assert answer.err.startswith(
        "Something was taken out of 2 of the entries when organizations were forgotten;"
    )


def test_where_there_is_no_store_none_is_made_and_called_whole(home, limegrove):
    answer = limegrove("journal", "verify")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert not (home / "default" / "store.db").exists()


def test_verifying_writes_nothing(kept, limegrove):
    path = Path(kept.url.removeprefix("sqlite:///"))
    files = [path, path.with_name(f"{path.name}-wal")]
    before = [each.read_bytes() for each in files]

    assert limegrove("journal", "verify").code == 0
    assert [each.read_bytes() for each in files] == before


@pytest.mark.postgres
def test_it_is_shown_and_verified_on_a_servers_store(home, limegrove, made_url, monkeypatch):
    monkeypatch.setenv("LIMEGROVE_STORE", made_url)
    with closing(Store(made_url)) as store, store.writing() as c:
        for number in range(3):
            journal.append(c, "mk@here", "tree.add", target=f"node {number}", detail={"n": HOSTILE})
    noted = head(limegrove)

    assert [each["target"] for each in limegrove("journal", "show", "--by", "mk").json] == [
        "node 2", "node 1", "node 0",
    ]  # fmt: skip
    assert limegrove("journal", "verify", "--expect", noted).code == 0
    with closing(Store(made_url)) as store, store.writing() as c:
        table = journal.Journal.__table__
        c.execute(table.delete().where(table.c.seq == 3))
    assert "Entry 3 is not there" in limegrove("journal", "verify", "--expect", noted).err
