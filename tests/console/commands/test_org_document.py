"""`limegrove org document`: judged whole, kept, exported and read again, written to a real sandbox and read back."""

import csv
import io
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from store.customers import customer, plain
from store.database import Store
from store.queries.activity import journal
from tests.console.commands.conftest import NAMES, OIDS
from tests.helpers.official import needs_official, official
from tests.helpers.sandboxes import as_user, sandbox_process
from tests.helpers.sandboxes import limegrove as process

WHOLE = {
    "time_zone": "Europe/Berlin",
    "service_hours": {"Mon-Fri": "08:00-18:00"},
    "around_the_clock": ["critical"],
    "holidays": {"country": "DE-BE", "closed": ["2026-12-24 Christmas Eve", "12-31"]},
    "contacts": [
        {"name": "Ines Roth", "role": "CISO", "phone": "+49 30 5550100", "mail": "ines@acme.example"}
    ],
    "escalation": [{"after": "0m", "who": "Ines Roth"}, {"after": "30m", "who": "IT on call"}],
    "maintenance": [{"title": "Patches", "when": "Sun 02:00-04:00"}],
    "notes": "Their mail gateway\nrewrites links.",
    "sops": [{"title": "PowerShell from mail", "text": "Call first."}],
}


def written(path: Path, value: Any) -> str:
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value, sort_keys=False))
    return str(path)


def test_a_file_is_judged_kept_exported_and_read_again(limegrove: Any, filled: Path, tmp_path: Path) -> None:
    file = written(
        tmp_path / "all.yaml", [{"organization": NAMES[0], **WHOLE}, {"oid": OIDS[2], "notes": "\u202eodd"}]
    )
    tried = limegrove("org", "document", "import", file, "--dry-run")
    assert (tried.code, len(tried.json)) == (0, 2)
    assert set(tried.json[0]["changed"]) == set(WHOLE)
    assert [row["complete"] for row in limegrove("org", "document", "list").json] == [False] * 3
    assert limegrove("org", "document", "import", file).json == tried.json
    assert [row["changed"] for row in limegrove("org", "document", "import", file).json] == [[], []]

    listed = {row["oid"]: row for row in limegrove("org", "document", "list").json}
    assert (listed[OIDS[0]]["complete"], listed[OIDS[0]]["org_notes"]) == (True, "never pushed")
    assert listed[OIDS[1]]["missing"] == [
        "contacts",
        "escalation",
        "time zone",
        "service hours",
        "maintenance",
        "SOPs",
    ]
    shown = limegrove("org", "document", "show", NAMES[0]).json
    assert (shown["document"], shown["missing"], shown["org_notes"], shown["sop"]) == (WHOLE, [], [], [])

    as_yaml, as_csv = tmp_path / "out.yaml", tmp_path / "out.csv"
    assert limegrove("org", "document", "export", str(as_yaml)).code == 0
    assert limegrove("org", "document", "export", str(as_csv)).code == 0
    told = limegrove("org", "document", "export", "--output", "json").json
    assert told == yaml.safe_load(as_yaml.read_text())
    assert yaml.safe_load(as_yaml.read_text())[0] == {"oid": OIDS[0], "organization": NAMES[0], **WHOLE}
    sheet = list(csv.DictReader(io.StringIO(as_csv.read_text())))
    # A spreadsheet that takes this for a formula would lose the number.
    assert sheet[0]["contact1_phone"] == "'+49 30 5550100"
    for back in (as_yaml, as_csv):
        again = limegrove("org", "document", "import", str(back))
        assert [row["changed"] for row in again.json] == [[], []], back
    assert "\u202e" not in limegrove("org", "document", "show", OIDS[2], "--output", "table").out


def test_one_is_edited_whole(limegrove: Any, filled: Path, tmp_path: Path, monkeypatch: Any) -> None:
    first = limegrove("org", "document", "edit", OIDS[0], "--file", written(tmp_path / "a", WHOLE))
    assert (first.code, first.json["changed"], first.json["complete"]) == (0, True, True)
    less = {key: value for key, value in WHOLE.items() if key != "sops"}
    second = limegrove("org", "document", "edit", OIDS[0], "--file", written(tmp_path / "b", less))
    assert (second.json["document"], second.json["missing"]) == (less, ["SOPs"])
    same = limegrove("org", "document", "edit", OIDS[0], "--file", written(tmp_path / "b", less))
    assert same.json["changed"] is False
    assert limegrove("org", "document", "edit", OIDS[0]).code == 2  # nobody is here
    refused = limegrove("org", "document", "edit", OIDS[0], "--file", str(tmp_path / "a"), "--read-only")
    assert (refused.code, "read-only" in refused.err) == (5, True)
    with closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store, store.reader.reading() as c:
        assert [entry.action for entry in journal(c, limit=9)] == ["customer.document"] * 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_editor_is_opened_again_until_the_document_can_be(
    limegrove: Any, filled: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    good = written(tmp_path / "good.yaml", WHOLE)
    editor = tmp_path / "editor"
    editor.write_text(
        f'#!/bin/sh\nenv > {tmp_path}/env\nif [ -f {tmp_path}/again ]; then cp {good} "$1"\n'
        f'else touch {tmp_path}/again; cp "$1" {tmp_path}/given; echo "time_zone: Mars" > "$1"; fi\n'
    )
    editor.chmod(0o700)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.setenv("LC_API_KEY", "never-for-an-editor")
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    monkeypatch.setattr("sys.stdout", Terminal())
    answer = limegrove("org", "document", "edit", OIDS[0])
    assert (answer.code, "Line 1: 'Mars' is no time zone" in answer.err) == (0, True), answer.err
    assert "# Acme Corp: contacts" in (tmp_path / "given").read_text()
    assert "never-for-an-editor" not in (tmp_path / "env").read_text()
    monkeypatch.undo()
    with closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store, store.reader.reading() as c:
        assert plain(customer(c, OIDS[0])) == WHOLE


def test_bad_input_is_one_sentence_with_its_line_and_changes_nothing(
    limegrove: Any, filled: Path, tmp_path: Path
) -> None:
    head = "organization,service_hours,contact1_name,contact1_phone\n"
    for name, content, said in (
        ("a.yaml", "- organization: Acme Corp\n  time_zone: Mars\n", "Line 2: 'Mars' is no time zone"),
        ("a.yaml", "- organization: Nobody\n", "Line 1: No organization has the name 'Nobody'."),
        ("a.yaml", "a: [\n", "Line 2: "),
        ("a.csv", head + "Acme Corp,8-18,Kim,\n", "Line 2: Service hours are days with hours"),
        (
            "a.csv",
            head + "Acme Corp,24x7,Kim,\nAcme Corp,24x7,Kim,\n",
            "Line 3: The organization is there twice",
        ),
        (
            "a.csv",
            head + "Acme Corp,,=cmd|' /C calc'!A0,\n",
            "Line 2: The name \"=cmd|' /C calc'!A0\" begins as",
        ),
        ("a.csv", head + "Acme Corp,,Kim\n", "Line 2: This line has 3 cells, the header 4."),
        ("a.csv", "organization,phone\nAcme Corp,1\n", "Line 1: No column is called 'phone'"),
        ("a.csv", "time_zone\nUTC\n", "Line 1: A column oid or organization"),
        ("a.csv", "", "Line 1: The file is empty"),
        ("a.csv", head, "Line 1: There is no customer below the header."),
        ("a.csv", head + 'Acme Corp,,"Kim', "Line 2: This cannot be read as CSV"),
        ("a.csv", head + "Acme Corp,\0,Kim,", "Line 2: A NUL character"),
    ):
        answer = limegrove("org", "document", "import", written(tmp_path / name, content))
        assert (answer.code, answer.out) == (2, ""), content
        assert said in answer.err and "Nothing was changed." in answer.err, answer.err  # noqa: PT018
    latin = tmp_path / "a.csv"
    latin.write_bytes(head.encode() + "Böhm".encode("latin-1"))
    assert "Line 2: This is no UTF-8" in limegrove("org", "document", "import", str(latin)).err
    assert limegrove("org", "document", "import", str(tmp_path / "missing")).code == 1
    assert [row["complete"] for row in limegrove("org", "document", "list").json] == [False] * 3
    assert limegrove("org", "document", "export").out == "[]\n"


def test_a_spreadsheet_between_semicolons_says_only_what_it_names(
    limegrove: Any, filled: Path, tmp_path: Path
) -> None:
    limegrove("org", "document", "edit", OIDS[0], "--file", written(tmp_path / "a", WHOLE))
    sheet = (
        "OID;Time zone;service_hours;closed;maintenance1_title;notes\n"
        + f'{OIDS[0]};"";"Sat=09:00-13:00";;none;"x\ny"\n'
    )
    answer = limegrove("org", "document", "import", written(tmp_path / "a.csv", sheet))
    assert answer.json[0]["changed"] == ["service_hours", "maintenance", "notes"]
    kept = limegrove("org", "document", "show", OIDS[0]).json["document"]
    assert kept == WHOLE | {"service_hours": {"Sat": "09:00-13:00"}, "maintenance": "none", "notes": "x\ny"}


def test_an_alert_says_whom_to_call(limegrove: Any, filled: Path, tmp_path: Path) -> None:
    nothing = limegrove("alert", "show", "detection-1").json
    assert (nothing["customer"]["contacts"], nothing["clock"]["service_hours"]) == ([], False)
    limegrove("org", "document", "edit", OIDS[0], "--file", written(tmp_path / "a", WHOLE))
    low = limegrove("alert", "show", "detection-1").json
    critical = limegrove("alert", "show", "detection-0").json
    assert [each["phone"] for each in low["customer"]["contacts"]] == ["+49 30 5550100"]
    assert low["customer"]["escalation"][1] == {"after": "30m", "who": "IT on call", "how": ""}
    assert low["customer"]["procedures"] == ["PowerShell from mail"]
    assert (low["clock"]["service_hours"], critical["clock"]["service_hours"]) == (True, False)
    assert low["customer"]["in_service"] in (True, False)


# In the cloud


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A sandbox, and a workspace that has read it."""
    home = tmp_path_factory.mktemp("stage")
    with sandbox_process(home / "sandbox", "--seed", "4", "--orgs", "5", "--detections", "1") as (line, _):
        env = as_user(home, line)
        process("sync", "--only", "orgs,config", env=env)
        listed = json.loads(process("org", "list", "--output", "json", env=env).stdout)
        yield {
            **line,
            "home": home,
            "env": env,
            "oids": [row["oid"] for row in listed if row["state"] != "failed"],
        }


@pytest.fixture
def run(stage: dict[str, Any]) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    return lambda *words, **more: process("org", "document", *words, env=stage["env"], **more)


def document(run: Any, oid: str, **told: Any) -> dict[str, Any]:
    made = run("edit", oid, "--file", "-", stdin=yaml.safe_dump(WHOLE | told))
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def outcomes(done: Any) -> tuple[int, list[str]]:
    return done.returncode, [row["outcome"] for row in json.loads(done.stdout)]


@needs_official
def test_what_is_pushed_is_read_by_others_and_read_back(run: Any, stage: dict[str, Any]) -> None:
    oid, other = stage["oids"][1:3]
    document(run, oid)
    assert outcomes(run("push", oid, other)) == (0, ["done", "nothing"])
    assert outcomes(run("push", oid)) == (0, ["already"])
    seen = official(
        stage, oid, "--output", "json", "hive", "get", "--hive-name", "org_notes", "--key", "limegrove"
    )
    told = json.loads(seen)
    assert yaml.safe_load(told["data"]["text"]) == WHOLE
    assert told["usr_mtd"]["tags"] == ["limegrove"]
    # The customer's own note is as it was, and shown.
    shown = json.loads(run("show", oid).stdout)
    assert [each["name"] for each in shown["org_notes"]] == ["customer"]
    assert (shown["pushed"], bool(shown["sop"])) == ("pushed", True)
    document(run, oid, notes="another")
    assert json.loads(run("show", oid).stdout)["pushed"] == "changed since"
    assert outcomes(run("push", oid)) == (0, ["done"])
    path = stage["home"] / "limegrove" / "default" / "store.db"
    with closing(Store(f"sqlite:///{path}")) as store, store.reader.reading() as c:
        pushes = [entry.detail for entry in journal(c, limit=50) if entry.action == "customer.push"]
    assert [each["step"] for each in pushes] == ["result", "intent"] * 2
    assert "Roth" not in str(pushes)


@needs_official
def test_what_somebody_else_wrote_is_neither_overwritten_nor_lost(run: Any, stage: dict[str, Any]) -> None:
    oid = stage["oids"][3]
    document(run, oid)
    assert outcomes(run("push", oid)) == (0, ["done"])
    theirs = {"text": yaml.safe_dump(WHOLE | {"notes": "from another console"}), "description": ""}
    path = stage["home"] / "record.json"
    path.write_text(json.dumps(theirs))
    official(
        stage, oid, "hive", "set", "--hive-name", "org_notes", "--key", "limegrove", "--input-file", str(path)
    )
    document(run, oid, notes="from here")
    refused = run("push", oid)
    assert outcomes(refused) == (5, ["conflict"])
    assert "org document pull" in json.loads(refused.stdout)[0]["reason"]
    assert outcomes(run("pull", oid)) == (5, ["conflict"])  # nor is what was changed here
    assert outcomes(run("pull", oid, "--replace")) == (0, ["done"])
    assert json.loads(run("show", oid).stdout)["document"]["notes"] == "from another console"
    assert outcomes(run("push", oid)) == (0, ["already"])
    document(run, oid, notes="from here")
    assert outcomes(run("push", oid)) == (0, ["done"])
    # What is no documentation is said, and nothing is kept of it.
    path.write_text(json.dumps({"text": "time_zone: Mars", "description": ""}))
    official(
        stage, oid, "hive", "set", "--hive-name", "org_notes", "--key", "limegrove", "--input-file", str(path)
    )
    odd = run("pull", oid)
    assert outcomes(odd) == (1, ["failed"])
    assert "Line 1: 'Mars' is no time zone" in json.loads(odd.stdout)[0]["reason"]


def test_what_a_killed_push_left_there_is_known_for_ours(run: Any, stage: dict[str, Any]) -> None:
    oid = stage["oids"][2]
    document(run, oid, notes="first")
    assert outcomes(run("push", oid, "--replace"))[0] == 0
    path = stage["home"] / "limegrove" / "default" / "store.db"
    with closing(Store(f"sqlite:///{path}")) as store, store.writing() as c:
        # As it is when the process dies between sending and writing down that it arrived.
        c.execute(
            text("UPDATE customer_document SET pushed_hash = '', pushed_at = NULL WHERE oid = :o"), {"o": oid}
        )
    document(run, oid, notes="second")
    assert outcomes(run("push", oid)) == (0, ["done"])


@pytest.mark.parametrize("kept", ["{", "[]"])
def test_what_cannot_be_read_of_one_organization_stops_no_other(
    run: Any, stage: dict[str, Any], kept: str
) -> None:
    unreadable, other = stage["oids"][2:4]
    document(run, unreadable, notes=f"kept {kept}")
    document(run, other, notes=f"beside {kept}")
    path = stage["home"] / "limegrove" / "default" / "store.db"
    said = text("UPDATE customer_document SET document = :kept WHERE oid = :oid RETURNING document")
    with closing(Store(f"sqlite:///{path}")) as store, store.writing() as c:
        before = c.execute(
            text("SELECT document FROM customer_document WHERE oid = :oid"), {"oid": unreadable}
        ).scalar_one()
        c.execute(said, {"kept": kept, "oid": unreadable})
    try:
        done = run("push", unreadable, other, "--replace")
        assert outcomes(done) == (3, ["failed", "done"])
        assert "documentation that is kept cannot be read" in json.loads(done.stdout)[0]["reason"]
        assert unreadable in json.loads(done.stdout)[0]["reason"]
        code, all_ = outcomes(run("push", "--yes", "--replace"))
        assert (code, "failed" in all_, "already" in all_) == (3, True, True)
    finally:
        with closing(Store(f"sqlite:///{path}")) as store, store.writing() as c:
            c.execute(said, {"kept": before, "oid": unreadable})
    assert outcomes(run("push", unreadable, "--replace")) == (0, ["done"])


def test_a_protected_organization_is_named_and_many_are_asked_for(run: Any, stage: dict[str, Any]) -> None:
    env, oid = stage["env"], stage["oids"][0]
    name = next(
        row["name"] for row in json.loads(process("org", "list", env=env).stdout) if row["oid"] == oid
    )
    for words in (
        ("add", "Keep", "--id", "keep", "--oid", oid),
        ("mark", "keep", "protected"),
    ):
        made = process("tree", *words, env=env)
        assert made.returncode == 0, made.stderr
    document(run, oid)
    assert outcomes(run("push", oid)) == (5, ["refused"])
    assert outcomes(run("push", oid, "--confirm", name)) == (0, ["done"])
    assert run("push").returncode == 5  # nobody is here to answer
    assert run("push", oid, "--read-only").returncode == 5
    assert run("push", oid, "--offline").returncode == 5
    # The sandbox has one that cannot be reached: the others are done, and it is named.
    code, said = outcomes(run("pull", "--yes"))
    assert set(said) <= {"already", "nothing", "done", "failed"}
    assert code == (3 if "failed" in said else 0)


def test_everything_that_is_wrong_with_a_file_is_said_at_once(
    limegrove: Any, filled: Path, tmp_path: Path
) -> None:
    file = "- organization: Acme Corp\n  time_zone: Mars\n- organization: Nobody\n- organization: Noone\n"
    answer = limegrove("org", "document", "import", written(tmp_path / "a.yaml", file))
    assert (answer.code, answer.out) == (2, "")
    for said in (
        "Line 2: 'Mars' is no time zone",
        "Line 3: No organization has the name 'Nobody'.",
        "Line 4: No organization has the name 'Noone'.",
        "3 things are wrong. Nothing was changed.",
    ):
        assert said in answer.err
