"""`limegrove org forget` on a real store, its backups and the copies beside it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]
NAMES = ["Acme Corp", "Böhm & Söhne"]


@pytest.fixture
def gone(filled: Path) -> Path:
    """The workspace, whose first two organizations LimaCharlie lists no more; one has a journal."""
    from store import journal
    from store.database import Store

    with closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store, store.writing() as c:
        journal.append(c, "mk@here", "run.finish", target=f"Offboard {NAMES[1]}", detail={"of": NAMES[1]})
    with closing(sqlite3.connect(filled / "default" / "store.db")) as connection, connection:
        connection.execute("UPDATE organization SET gone_at = 1 WHERE oid <> ?", (OIDS[2],))
    return filled


def held(home: Path, *words: str) -> list[str]:
    """The files of the workspace that hold one of these words."""
    return sorted(
        path.name
        for path in home.rglob("*")
        if path.is_file() and any(word.encode() in path.read_bytes() for word in words)
    )


def test_it_is_said_what_there_is_and_nothing_is_changed(gone, limegrove):
    answer = limegrove("org", "forget", NAMES[0], "--dry-run")
    assert answer.code == 0
    assert (answer.json["oid"], answer.json["may"]) == (OIDS[0], True)
    assert answer.json["rows"]["detection"] == 3
    for arguments in (
        ("--yes",),
        ("--yes", "--confirm", "Acme"),
        ("--read-only", "--yes", "--confirm", NAMES[0]),
    ):
        assert limegrove("org", "forget", NAMES[0], *arguments).code == 5
    listed = limegrove("org", "forget", OIDS[2], "--dry-run")
    assert (listed.code, listed.json["may"], "still lists" in listed.err) == (5, False, True)
    assert limegrove("org", "forget", "nobody").code == 2
    assert (
        limegrove("org", "forget", NAMES[0], "--backup", "/nowhere", "--yes", "--confirm", NAMES[0]).code == 1
    )
    assert limegrove("store", "status").json["rows"]["organization"] == 3


def test_it_goes_out_of_the_store_a_named_backup_and_no_other_organization(gone, limegrove, tmp_path):
    backup = tmp_path / "backup.db"
    assert limegrove("store", "backup", str(backup)).code == 0
    assert backup.read_bytes().count(OIDS[0].encode())

    answer = limegrove("org", "forget", NAMES[0], "--backup", str(backup), "--yes", "--confirm", NAMES[0])

    assert answer.code == 0, answer.err
    assert (answer.json["rows"]["detection"], answer.json["left"]) == (3, [])
    assert answer.json["backups"] == [str(backup)]
    assert held(gone / "default", OIDS[0], NAMES[0]) == []
    assert held(tmp_path, OIDS[0], NAMES[0]) == []
    assert sorted(path.name for path in tmp_path.glob("backup*")) == ["backup.db"], "it stays one file"
    assert {row["oid"] for row in limegrove("org", "list").json} == {OIDS[1], OIDS[2]}
    assert all(row["ok"] for row in limegrove("store", "check").json)
    assert limegrove("store", "restore", str(backup), "--yes").json["rows"]["organization"] == 2


def test_a_copy_beside_the_store_is_named_and_leaves_it_partly_done(gone, limegrove):
    beside = gone / "default" / "store.db.backup-0002-20260101T000000Z"
    assert limegrove("store", "backup", str(beside)).code == 0

    answer = limegrove("org", "forget", NAMES[1], "--yes", "--confirm", NAMES[1])

    assert answer.code == 3
    assert answer.json["left"] == [
        f"{beside} beside the store holds it too: delete that file, or name it with --backup."
    ]
    assert held(gone / "default", OIDS[1], NAMES[1]) == [beside.name]
    beside.unlink()
    assert held(gone / "default", OIDS[1], NAMES[1], "B\\u00f6hm") == []


def test_doctor_says_that_the_files_were_not_written_anew(gone, limegrove):
    with closing(sqlite3.connect(gone / "default" / "store.db")) as connection, connection:
        connection.execute("INSERT INTO preference VALUES ('store.rewrite', 'true')")
    found = {row["item"]: row for row in limegrove("doctor", "--offline").json["items"]}
    assert (found["forgotten"]["state"], "store prune --rewrite" in found["forgotten"]["sentence"]) == (
        "bad",
        True,
    )
    limegrove("store", "prune", "--rewrite", "--yes")
    assert "forgotten" not in {row["item"] for row in limegrove("doctor", "--offline").json["items"]}
