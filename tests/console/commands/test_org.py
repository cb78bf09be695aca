"""`limegrove org` on a real store."""

import csv
import io
import json
import subprocess
import sys
from datetime import datetime

import yaml

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]


def test_the_list_has_what_other_tools_rely_on(filled, limegrove):
    answer = limegrove("org", "list")

    assert answer.code == 0
    rows = {row["oid"]: row for row in answer.json}
    assert list(rows) == OIDS
    first = rows[OIDS[0]]
    assert {name: first[name] for name in ("name", "path", "sensors", "open_alerts", "state", "region")} == {
        "name": "Acme Corp", "path": "Acme Corp", "sensors": 4, "open_alerts": 3, "state": "fresh", "region": "eu",
    }  # fmt: skip
    assert first["synced_at"].endswith("Z")
    assert datetime.fromisoformat(first["synced_at"]).utcoffset().total_seconds() == 0


def test_an_organization_that_failed_or_was_never_read_says_so(filled, limegrove):
    _, failed, never = limegrove("org", "list").json

    assert (failed["state"], failed["reason"], failed["synced_at"]) == (
        "failed",
        "The key was revoked.",
        None,
    )
    assert (never["state"], never["synced_at"]) == ("never", None)
    unknown = ("sensors", "sensors_online", "open_alerts", "errors")
    assert [failed[name] for name in unknown] == [None, None, None, None]
    # An alert came in by another way: that it is there is known.
    assert [never[name] for name in unknown] == [None, None, 1, None]
    needs = limegrove("org", "overview").json["attention"]
    assert [each["open_alerts"] for each in needs if each["oid"] == OIDS[1]] == [None]
    nodes = {each["oid"]: each for each in limegrove("tree", "show").json}
    assert [nodes[OIDS[1]][name] for name in (*unknown, "late", "cases")] == [None] * 6
    shown = limegrove("org", "show", OIDS[1]).json
    assert set(shown["alerts"].values()) == {None}
    assert [shown[name] for name in ("users", "keys", "groups", "configuration")] == [None] * 4
    assert limegrove("org", "list", "--output", "table").out.splitlines()[2].split()[3:5] == ["-", "-"]


def test_every_output_holds_the_same_exact_data(filled, limegrove):
    rows = limegrove("org", "list", "--output", "json").json

    assert rows[2]["name"] == "Evil\x1b]0;owned\x07 Ltd"
    lines = limegrove("--output", "jsonl", "org", "list").out.splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert yaml.safe_load(limegrove("org", "--output", "yaml", "list").out) == rows
    header, *records = csv.reader(io.StringIO(limegrove("org", "list", "--output", "csv").out, newline=""))
    assert header == list(rows[0])
    assert [record[header.index("name")] for record in records] == [row["name"] for row in rows]
    assert [record[header.index("sensors")] for record in records] == ["4", "", ""]


def test_the_table_is_safe_and_says_n_of_m_naming_what_it_lacks(filled, limegrove):
    answer = limegrove("org", "list", "--output", "table")

    assert "\x1b" not in answer.out + answer.err
    assert "Evil\\x1b]0;owned\\x07 Ltd" in answer.out
    assert len(answer.out.splitlines()) == 4
    assert answer.err.startswith("1 of 3 organizations are fresh; not ")
    assert "Böhm & Söhne (failed)" in answer.err
    assert "Evil\\x1b]0;owned\\x07 Ltd (never)" in answer.err


def test_an_empty_store_lists_nothing(home, limegrove):
    answer = limegrove("org", "list")

    assert (answer.code, answer.json) == (0, [])


def test_one_organization_is_found_by_oid_by_its_beginning_and_by_name(filled, limegrove):
    for wanted in (OIDS[1], "00000002", "Böhm & Söhne"):
        answer = limegrove("org", "show", wanted)
        assert answer.code == 0
        assert answer.json["oid"] == OIDS[1]


def test_one_organization_is_shown_whole(filled, limegrove):
    shown = limegrove("org", "show", OIDS[0]).json

    assert shown["alerts"] == {"critical": 1, "high": 0, "medium": 1, "low": 1, "info": 0}
    assert shown["top_rules"][0] == {"cat": "Encoded PowerShell", "open_alerts": 2}
    assert (shown["users"], shown["groups"], shown["keys"]) == (2, 1, 1)
    assert sum(shown["detections_per_day"]) == 3
    assert {each["subject"] for each in shown["subjects"] if each["checked_at"]} == {"detections", "access"}


def test_an_unknown_organization_is_one_sentence_and_exit_code_2(filled, limegrove):
    answer = limegrove("org", "show", "nobody\x1b[2J")

    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("limegrove: There is no organization `nobody\\x1b[2J` in the store")
    assert answer.err.count("\n") == 1


def test_an_ambiguous_beginning_names_the_candidates(filled, limegrove):
    answer = limegrove("org", "show", "0000000")

    assert answer.code == 2
    assert "may be any of 3 organizations: " in answer.err
    assert f"Acme Corp ({OIDS[0]})" in answer.err


def test_a_scope_limits_the_list(filled, limegrove):
    limegrove("tree", "add", "EMEA")
    limegrove("tree", "add", "Acme", "--parent", "EMEA", "--oid", OIDS[0])

    answer = limegrove("org", "list", "--scope", "EMEA")

    assert [(row["oid"], row["path"]) for row in answer.json] == [(OIDS[0], "EMEA/Acme")]


def test_an_organization_is_a_scope_whether_it_has_a_node_or_not(filled, limegrove):
    assert [row["oid"] for row in limegrove("org", "list", "--scope", OIDS[1]).json] == [OIDS[1]]
    assert [row["oid"] for row in limegrove("org", "list", "--scope", "Böhm & Söhne").json] == [OIDS[1]]
    limegrove("tree", "add", "Böhm", "--oid", OIDS[1])
    assert [row["oid"] for row in limegrove("org", "list", "--scope", OIDS[1]).json] == [OIDS[1]]
    assert [row["oid"] for row in limegrove("org", "list", "--scope", "Böhm & Söhne").json] == [OIDS[1]]
    for word in ("unplaced", "Unplaced"):
        assert [row["oid"] for row in limegrove("org", "list", "--scope", word).json] == [OIDS[0], OIDS[2]]


def test_an_unknown_scope_is_one_sentence_and_exit_code_2(filled, limegrove):
    answer = limegrove("--scope", "nowhere", "org", "list")

    assert (answer.code, answer.out) == (2, "")
    assert "`nowhere`" in answer.err


def test_an_ambiguous_scope_names_the_candidates(filled, limegrove):
    limegrove("tree", "add", "EMEA")
    limegrove("tree", "add", "APAC")
    limegrove("tree", "add", "Gold", "--parent", "EMEA")
    limegrove("tree", "add", "Gold", "--parent", "APAC")

    answer = limegrove("--scope", "Gold", "org", "list")

    assert answer.code == 2
    assert "EMEA/Gold (gold), APAC/Gold (gold-2)" in answer.err


def test_the_program_itself_prints_json_to_a_pipe(filled):
    ran = subprocess.run([sys.executable, "-m", "console", "org", "list"], capture_output=True, check=True)

    assert [row["oid"] for row in json.loads(ran.stdout)] == OIDS
    assert ran.stderr == b""


def test_a_reader_that_leaves_early_is_no_failure(filled):
    command = f"{sys.executable} -m console org list --output jsonl | head -c 1"
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, check=False)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"{", b"")


def test_a_store_of_a_newer_version_is_left_alone(filled, limegrove):
    import sqlite3

    file = filled / "default" / "store.db"
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    answer = limegrove("org", "list")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("limegrove: The store was written by a newer limegrove")
    assert answer.err.count("\n") == 1


def test_a_store_that_is_no_database_is_left_alone(home, limegrove):
    file = home / "default" / "store.db"
    file.parent.mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    file.write_bytes(b"this is no database at all, but it is somebody's file\n" * 100)
    before = file.read_bytes()

    answer = limegrove("org", "list")

    assert (answer.code, answer.out) == (1, "")
    assert "unforeseen" not in answer.err
    assert answer.err.count("\n") == 1
    assert file.read_bytes() == before


def test_debug_keeps_a_log_that_only_its_owner_can_read(filled):
    subprocess.run(
        [sys.executable, "-m", "console", "--debug", "org", "list"], capture_output=True, check=True
    )

    assert (filled / "log" / "limegrove.log").stat().st_mode & 0o777 == 0o600


def test_a_malformed_environment_is_one_sentence(filled, limegrove):
    answer = limegrove("--env", "../../etc", "org", "list")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("limegrove: --env: an environment's name is")


def test_an_interrupted_command_ends_quietly_with_130(filled, limegrove, monkeypatch):
    def interrupt(session):
        raise KeyboardInterrupt

    monkeypatch.setattr("console.commands.org.run", interrupt)

    assert (limegrove("org", "list").code, limegrove("org", "list").err) == (130, "")


def test_what_nobody_foresaw_is_one_sentence_and_leaves_a_crash_file(filled, limegrove, monkeypatch):
    def break_down(session):
        raise RuntimeError("a secret in the message")

    monkeypatch.setattr("console.commands.org.run", break_down)

    answer = limegrove("org", "list")

    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert "a secret" not in answer.err
    assert "RuntimeError" in answer.err
