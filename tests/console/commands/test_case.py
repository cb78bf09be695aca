"""`limegrove case` on a real store, without a cloud: cases of our own, and what waits."""

import io
import json
import sys
from contextlib import closing
from pathlib import Path

import pytest

from store import casework, ingest
from store.cases import CONFLICT, why_not_text
from store.database import Store
from store.times import now_ms
from store.tree import TreeNode, replace_tree

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]


@pytest.fixture
def cases(filled: Path) -> Path:
    """Two cases of the first organization in the cloud, one of them in conflict, and one of our own."""
    rows = [
        {"oid": OIDS[0], "case_number": number, "case_id": f"case-{number}", "status": status,
         "severity": "high", "summary": f"Case {number}", "created_at": "2026-11-24T10:00:00Z",
         "assignees": [], "tags": [], "classification": "pending", "conclusion": "", "detection_count": 0,
         "acknowledged_at": None, "resolved_at": None, "closed_at": None, "merged_into_case_id": None}
        for number, status in ((12, "new"), (13, "in_progress"))
    ]  # fmt: skip
    with (
        closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store,
        store.writing() as connection,
    ):
        ingest.put_cases(connection, rows, oids=OIDS[:1])
        casework.add_edit(
            connection, oid=OIDS[0], number=13, what="update", wanted={"assignees": ["mk"]},
            seen={"assignees": []}, by="mk", now=now_ms(), state=CONFLICT,
            reason="Somebody changed the case meanwhile.", found={"case": {"assignees": ["kim"]}},
        )  # fmt: skip
    return filled


def test_the_list_is_worst_first_with_what_is_not_as_the_cloud_has_it(cases, limegrove):
    answer = limegrove("case", "list")
    assert answer.code == 0
    assert [(row["name"], row["status"], row["conflicts"]) for row in answer.json] == [
        ("#13", "in_progress", 1), ("#12", "new", 0),
    ]  # fmt: skip
    assert [row["name"] for row in limegrove("case", "list", "--filter", "is:conflict").json] == ["#13"]
    assert limegrove("case", "list", "--status", "closed").json == []
    table = limegrove("case", "list", "--output", "table")
    assert "2 of 2 cases; 1 need a decision: `case edits`" in table.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["list", "--filter", "host:x"], "is not a column"),
        (["list", "--status", "gone"], "is not a status"),
        (["list", "--limit", "-1"], "from 0 on"),
        (["show", "Acme Corp/99"], "There is no case"),
        (["show", "nobody/12"], "There is no organization"),
        (["close", "Acme Corp/x"], "is not the number of a case"),
        (["close", "Acme Corp/12", "--classification", "maybe", "--offline"], "is no classification"),
        (["entity", "Acme Corp/12", "planet", "x", "--offline"], "is no entity type"),
        (["tag", "Acme Corp/12", "--offline"], "No tag was given"),
        (["time", "Acme Corp/12", "soon", "--offline"], "use a number and a unit"),
        (["create", "--offline"], "An empty case needs --org"),
        (["create", "nothing", "--offline"], "There is no alert"),
        (["decide", "77", "mine", "--offline"], "nothing to decide"),
        (["merge", "Acme Corp/12", "999", "--offline"], "There is no case"),
        (["merge", "Acme Corp/12", "nobody/13", "--offline"], "There is no organization"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_changes_nothing(cases, limegrove, words, why):
    before = limegrove("case", "edits", "--all").json
    answer = limegrove("case", *words)
    assert answer.code == 2
    assert why in answer.err
    assert answer.err.count("\n") == 1
    assert limegrove("case", "edits", "--all").json == before


def test_offline_it_waits_and_says_so(cases, limegrove):
    answer = limegrove("case", "close", "Acme Corp/12", "--classification", "fp", "--offline")
    assert answer.code == 2  # the command takes the whole word
    answer = limegrove("case", "close", "Acme Corp/12", "--classification", "false_positive", "--offline")
    assert (answer.code, answer.json[0]["state"]) == (0, "pending")
    assert "it waits" in answer.err
    waiting = limegrove("case", "edits").json
    assert [(row["number"], row["state"]) for row in waiting] == [(13, "conflict"), (12, "pending")]
    shown = limegrove("case", "show", "12", "--organization", "Acme Corp", "--offline").json
    assert (shown["status"], shown["wanted"]["status"], shown["complete"]) == ("new", "closed", False)


def test_a_step_that_cases_do_not_take_is_refused(cases, limegrove):
    answer = limegrove("case", "resolve", "Acme Corp/12", "--offline")
    assert answer.code == 5
    assert "A case that is new can become in_progress or closed, not resolved." in answer.err
    partly = limegrove("case", "resolve", "Acme Corp/12", "Acme Corp/13", "--offline")
    assert partly.code == 3


def test_a_new_case_is_not_reopened_nor_a_closed_one_acknowledged(cases, limegrove):
    answer = limegrove("case", "reopen", "Acme Corp/12", "--offline")
    assert answer.code == 5
    assert "A case that is new is already open; acknowledge it." in answer.err
    assert limegrove("case", "show", "Acme Corp/12", "--offline").json["wanted"]["status"] == "new"
    assert len(limegrove("case", "edits").json) == 1
    assert limegrove("case", "close", "Acme Corp/12", "--offline").code == 0
    answer = limegrove("case", "ack", "Acme Corp/12", "--offline")
    assert answer.code == 5
    assert "A case that is closed was looked at before; reopen it." in answer.err
    assert limegrove("case", "reopen", "Acme Corp/12", "--offline").code == 0


def test_a_locked_session_changes_nothing(cases, limegrove):
    for words in (["close", "Acme Corp/12"], ["note", "Acme Corp/12", "--text", "x"], ["edits", "--send"]):
        answer = limegrove("case", *words, "--read-only", "--offline")
        assert answer.code == 5
        assert "read-only" in answer.err
    assert limegrove("case", "list", "--read-only").code == 0


def test_a_customer_without_cases_gets_ours_from_the_alert_to_the_end(cases, limegrove, tmp_path):
    made = limegrove("case", "create", "detection-3", "--summary", "Ours")
    assert (made.code, made.json[0]["state"], made.json[0]["number"]) == (0, "here", -1)
    assert made.json[0]["name"] == "L1"
    name = f"{OIDS[2]}/{made.json[0]['name']}"
    assert "L1" in limegrove("case", "create", "detection-3", "--output", "table").out.split()
    again = limegrove("case", "create", "detection-3")
    assert (again.code, again.json[0]["state"], again.json[0]["existing"]) == (0, "here", True)
    assert "L1 holds this alert already." in again.err
    assert limegrove("case", "ack", name).code == 0
    assert limegrove("case", "assign", name, "--to", "mk").code == 0
    assert limegrove("case", "tag", name, "--add", "vip").code == 0
    assert limegrove("case", "note", name, "--text", "Called them.", "--type", "analysis").code == 0
    words = ("ip", "203.0.113.7", "--verdict", "malicious", "--remark", "Their chief again.")
    assert limegrove("case", "entity", name, *words).code == 0
    again = limegrove("case", "entity", name, "ip", "203.0.113.7")
    assert (again.code, "has this entity already" in again.err) == (5, True)
    logged = limegrove("case", "time", name, "30m")
    assert (logged.code, logged.json[0]["name"]) == (0, "L1")
    assert {row["name"] for row in limegrove("case", "edits", "--all").json} == {"L1", "#13"}
    closed = limegrove(
        "case", "close", name, "--classification", "true_positive", "--conclusion", "Gone\x1b[2J <b>now</b>"
    )
    assert (closed.code, closed.json[0]["state"]) == (0, "done")
    shown = limegrove("case", "show", name).json
    assert (shown["local"], shown["status"], shown["classification"]) == (True, "closed", "true_positive")
    assert [each["detect_id"] for each in shown["alerts"]] == ["detection-3"]
    assert [e["metadata"]["content"] for e in shown["events"] if e["action"] == "case_note_added"] == [
        "Called them."
    ]
    seen = limegrove("case", "show", name, "--output", "table").out
    assert "{" not in seen
    assert "case_note_added  content Called them., note type analysis, is public no" in seen
    files = [tmp_path / "case.json", tmp_path / "case.md"]
    done = limegrove("case", "export", name, "--json", str(files[0]), "--markdown", str(files[1]))
    assert (done.code, done.json["written"]) == (0, [str(each) for each in files])
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
    assert json.loads(files[0].read_text())["conclusion"] == "Gone\x1b[2J <b>now</b>"
    written = files[1].read_text()
    assert "\x1b" not in written
    assert r"> Gone\\x1b\[2J &lt;b&gt;now&lt;/b&gt;" in written
    assert "Evil" in written
    assert all(ours in written for ours in ("Called them", "Their chief", "vip", "mk"))
    limegrove("case", "export", name, "--markdown", str(files[1]), "--public")
    public = files[1].read_text()
    assert not [ours for ours in ("Called them", "Their chief", "vip", "mk") if ours in public]
    assert "malicious\n" in public
    for more in (["--json", str(files[0]), "--markdown", str(files[1])], []):
        whole = limegrove("case", "export", name, "--public", *more)
        assert (whole.code, "--public goes with --markdown alone" in whole.err) == (2, True)
    assert "## History" not in public
    broken = limegrove("case", "export", name, "--markdown", str(tmp_path / "no" / "such" / "place.md"))
    assert (broken.code, "There is no directory" in broken.err) == (1, True)


def test_an_alert_that_a_case_holds_makes_no_other(cases, limegrove):
    store = Store(f"sqlite:///{cases / 'default' / 'store.db'}")
    with closing(store), store.writing() as connection:
        ingest.put_case_links(connection, OIDS[0], 12, [{"detect_id": "detection-1"}])
    answer = limegrove("case", "create", "detection-1", "--offline")
    assert answer.code == 0
    assert [(row["name"], row["state"], row["existing"]) for row in answer.json] == [
        ("#12", "existing", True)
    ]
    assert "Acme Corp: #12 holds this alert already." in answer.err


def test_a_note_that_names_another_customer_needs_a_yes(cases, limegrove):
    words = ("case", "note", "Acme Corp/13", "--text", "Same as at Böhm & Söhne.", "--offline")
    refused = limegrove(*words)
    assert refused.code == 5
    assert "names Böhm & Söhne" in refused.err
    assert len(limegrove("case", "edits").json) == 1
    assert limegrove(*words, "--yes").code == 0
    assert len(limegrove("case", "edits").json) == 2


def test_a_protected_customer_is_named(cases, limegrove):
    with (
        closing(Store(f"sqlite:///{cases / 'default' / 'store.db'}")) as store,
        store.writing() as connection,
    ):
        replace_tree(
            connection,
            [TreeNode("root", None, "Provider"), TreeNode("a", "root", "Acme Corp", oid=OIDS[0],
                                                          marks=("protected",))],
        )  # fmt: skip
    answer = limegrove("case", "close", "Acme Corp/13", "--offline")
    assert (answer.code, "protected" in answer.err) == (5, True)
    assert limegrove("case", "close", "Acme Corp/13", "--offline", "--confirm", "Acme Corp").code == 0


def test_theirs_is_kept_without_a_cloud(cases, limegrove):
    (edit,) = limegrove("case", "edits").json
    answer = limegrove("case", "decide", str(edit["id"]), "theirs")
    assert (answer.code, answer.json[0]["state"]) == (0, "dropped")
    assert limegrove("case", "edits").json == []


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (b"Called.\0Again.", "byte 8 is NUL"),
        (b"Called.\xff", "byte 8 is not UTF-8"),
        (b"x" * 70_000, "is longer than 65,536 bytes"),
    ],
)
def test_a_note_that_is_no_text_is_refused_before_anything_is_asked(cases, limegrove, monkeypatch, held, why):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(held)))

    answer = limegrove("case", "note", "Acme Corp/12")

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("limegrove: Standard input ")
    assert why in answer.err
    assert [each["id"] for each in limegrove("case", "edits").json] == [1]


@pytest.mark.parametrize("text", ["a\0b", "a\udcffb"])
def test_no_text_of_a_case_has_a_nul_or_half_a_character(text):
    assert (
        why_not_text("The note", text, 100)
        == "The note is no text: there is a NUL or half a character in it."
    )
    assert why_not_text("The note", "Grüße, 日本 \U0001f600", 100) == ""


def test_edits_are_not_sent_offline(cases, limegrove):
    answer = limegrove("--offline", "case", "edits", "--send")

    assert (answer.code, answer.out) == (5, "")
    assert answer.err == (
        "limegrove: `case edits --send` needs the cloud, and the session is offline; leave out --offline.\n"
    )
