"""`limegrove store` on a real store."""

import os
import pty
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]


def names(limegrove):
    return [row["name"] for row in limegrove("org", "list").json]


def test_status_says_what_the_store_is_and_holds(filled, limegrove):
    status = limegrove("store", "status").json

    assert status["engine"] == "sqlite"
    assert status["address"] == str(filled / "default" / "store.db")
    assert status["schema"] == status["newest_schema"]
    assert status["bytes"] >= (filled / "default" / "store.db").stat().st_size
    assert (status["rows"]["organization"], status["rows"]["detection"]) == (3, 4)
    assert status["oldest_detection"] < status["newest_detection"]
    assert status["newest_detection"].endswith("Z")


def test_status_of_no_store_is_one_sentence_and_makes_none(home, limegrove):
    answer = limegrove("store", "status")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert not (home / "default" / "store.db").exists()


def test_a_whole_store_is_called_whole(filled, limegrove):
    answer = limegrove("store", "check")

    assert answer.code == 0
    assert {row["name"] for row in answer.json} >= {"file", "counters", "tree", "journal"}
    assert all(row["ok"] for row in answer.json)


def test_a_store_whose_counters_lie_is_called_so(filled, limegrove):
    with closing(sqlite3.connect(filled / "default" / "store.db")) as connection, connection:
        connection.execute("UPDATE detection_count SET count = count + 1")

    answer = limegrove("store", "check")

    assert answer.code == 1
    assert [row["name"] for row in answer.json if not row["ok"]] == ["counters"]
    assert answer.err.startswith("limegrove: The store is not whole: counters.")


def test_a_backup_is_private_and_restores_what_it_held(filled, limegrove, tmp_path):
    file = tmp_path / "backup.db"
    answer = limegrove("store", "backup", str(file))
    assert answer.code == 0
    assert answer.json == {"file": str(file), "bytes": file.stat().st_size}
    assert file.stat().st_mode & 0o777 == 0o600
    before = names(limegrove)
    with closing(sqlite3.connect(filled / "default" / "store.db")) as connection, connection:
        connection.execute("UPDATE organization SET name = 'changed'")
    assert names(limegrove) == ["changed"] * 3

    answer = limegrove("store", "restore", str(file), "--yes")

    assert (answer.code, answer.json["rows"]["organization"]) == (0, 3)
    assert names(limegrove) == before


def test_a_restore_without_an_answer_is_refused_and_changes_nothing(filled, limegrove, tmp_path, monkeypatch):
    file = tmp_path / "backup.db"
    limegrove("store", "backup", str(file))
    with closing(sqlite3.connect(filled / "default" / "store.db")) as connection, connection:
        connection.execute("UPDATE organization SET name = 'changed'")

    with open(os.devnull) as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        answer = limegrove("store", "restore", str(file))

    assert (answer.code, answer.out) == (5, "")
    assert answer.err.endswith("Nobody is here to answer; --yes answers yes.\n")
    assert names(limegrove) == ["changed"] * 3


@pytest.mark.parametrize(("typed", "code", "held"), [("y", 0, 3), ("n", 5, 0), ("", 5, 0)])
def test_a_restore_does_what_the_operator_types(filled, limegrove, tmp_path, typed, code, held):
    file = tmp_path / "backup.db"
    limegrove("store", "backup", str(file))
    with closing(sqlite3.connect(filled / "default" / "store.db")) as connection, connection:
        connection.execute("DELETE FROM organization")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "console", "store", "restore", str(file)]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        asked = b""
        while b"[y/N] " not in asked:
            asked += os.read(ours, 1000)
        os.write(ours, typed.encode() + b"\n")
        process.communicate()
    os.close(ours)

    assert asked.decode().startswith("Replace the store of the environment default by ")
    assert process.returncode == code
    assert len(limegrove("org", "list").json) == held


def test_a_backup_never_replaces_a_file(filled, limegrove, tmp_path):
    file = tmp_path / "precious"
    file.write_text("precious")

    answer = limegrove("store", "backup", str(file))

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert file.read_text() == "precious"


@pytest.mark.parametrize("content", [None, b"", b"not a store at all" * 100])
def test_what_is_no_backup_is_not_restored(filled, limegrove, tmp_path, content):
    file = tmp_path / "backup.db"
    if content is not None:
        file.write_bytes(content)
    before = names(limegrove)

    answer = limegrove("store", "restore", str(file), "--yes")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert "unforeseen" not in answer.err
    assert names(limegrove) == before


def test_an_upgrade_of_the_newest_schema_changes_nothing(filled, limegrove):
    answer = limegrove("store", "upgrade")

    assert answer.code == 0
    assert answer.json["changed"] is False
    assert answer.json["backup"] is None
    assert answer.json["before"] == answer.json["after"]


@pytest.mark.parametrize("verb", ["status", "upgrade", "check"])
def test_a_store_of_a_newer_version_is_never_changed(filled, limegrove, verb):
    file = filled / "default" / "store.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    answer = limegrove("store", verb)

    assert answer.code == (1 if verb == "upgrade" else 0)
    if verb == "upgrade":
        assert answer.err.startswith("limegrove: ")
        assert "9999" in answer.err
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


@pytest.mark.parametrize("argv", [["upgrade"], ["restore", "x"]])
def test_a_read_only_console_refuses_to_change_the_store(filled, limegrove, argv):
    answer = limegrove("--read-only", "store", *argv)

    assert (answer.code, answer.out) == (5, "")
    assert "read-only" in answer.err


def test_what_is_older_than_the_tree_allows_is_pruned_when_somebody_says_yes(filled, limegrove):
    nothing = limegrove("store", "prune", "--output", "table")
    assert nothing.code == 0
    assert "everything is kept" in nothing.err
    assert limegrove("tree", "add", "All", "--id", "all").code == 0
    limegrove("tree", "add", "Acme", "--id", "acme", "--parent", "all", "--oid", OIDS[0])
    with closing(sqlite3.connect(filled / "default" / "store.db")) as connection, connection:
        connection.execute("UPDATE node SET parameters = '{\"retention_days\": 30}' WHERE id = 'all'")
        connection.execute(
            "INSERT INTO audit_entry VALUES (?, 'd', 1000, 'x', 'mk', 'old', '{}')", (OIDS[0],)
        )
    dry = limegrove("store", "prune", "--dry-run").json
    assert {row["name"]: (row["rows"], row["retention_days"]) for row in dry}["Acme Corp"] == (1, 30)
    refused = limegrove("store", "prune")
    assert (refused.code, limegrove("store", "prune", "--read-only", "--yes").code) == (5, 5)
    assert limegrove("store", "status").json["rows"]["audit_entry"] == 1

    done = limegrove("store", "prune", "--yes", "--rewrite")

    assert (done.code, sum(row["rows"] for row in done.json)) == (0, 1)
    assert limegrove("store", "status").json["rows"]["audit_entry"] == 0
    assert b"\x00old{}" not in (filled / "default" / "store.db").read_bytes()
    assert all(row["ok"] for row in limegrove("store", "check").json)


def test_a_retention_that_is_none_is_said(filled, limegrove):
    limegrove("tree", "add", "All", "--id", "all")
    with closing(sqlite3.connect(filled / "default" / "store.db")) as connection, connection:
        connection.execute("INSERT INTO node SELECT 'a','all','A',?, '{}','{\"retention_days\":\"long\"}','[]',2,2,1,'A'", (OIDS[0],))  # fmt: skip
        connection.execute("UPDATE node SET last = 2 WHERE id = 'all'")
    answer = limegrove("store", "prune", "--yes")
    assert answer.code == 3
    assert "retention_days of the node a is no number of days" in answer.err


def test_a_copy_is_the_same_store_elsewhere(filled, limegrove, tmp_path, monkeypatch):
    target = f"sqlite:///{tmp_path / 'team.db'}"
    before = names(limegrove)
    answer = limegrove("store", "copy", target)

    assert (answer.code, answer.json["to"]) == (0, str(tmp_path / "team.db"))
    assert (answer.json["rows"]["organization"], answer.json["rows"]["detection"]) == (3, 4)
    assert f"LIMEGROVE_STORE={target}" in answer.err
    monkeypatch.setenv("LIMEGROVE_STORE", target)
    assert names(limegrove) == before
    assert limegrove("store", "check").code == 0


def test_a_copy_is_made_over_nothing(filled, limegrove):
    answer = limegrove("store", "copy", f"sqlite:///{filled / 'default' / 'store.db'}")

    assert (answer.code, answer.out) == (5, "")
    assert "already, with rows in" in answer.err


@pytest.mark.parametrize(
    ("target", "code", "told"),
    [
        ("postgresql://kim:hunter2@localhost/x", 2, "put it into ~/.pgpass"),
        ("postgresql://localhost/x?password=hunter2", 2, "put it into ~/.pgpass"),
        ("team.db", 1, "not understood"),
        ("mysql://localhost/x", 1, "mysql"),
        ("sqlite:////nowhere/at/all/team.db", 1, "no directory /nowhere/at/all"),
    ],
)
def test_where_nothing_can_be_copied_to_is_one_sentence(filled, limegrove, target, code, told):
    answer = limegrove("store", "copy", target)

    assert (answer.code, answer.out) == (code, "")
    assert told in answer.err
    assert "hunter2" not in answer.err
    assert answer.err.count("\n") == 1


def test_a_read_only_console_copies_nothing(filled, limegrove, tmp_path):
    answer = limegrove("store", "copy", f"sqlite:///{tmp_path / 'team.db'}", "--read-only")

    assert answer.code == 5
    assert not (tmp_path / "team.db").exists()
