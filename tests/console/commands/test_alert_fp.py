"""`limegrove alert fp` on a store with alerts, and each way of saving against a real sandbox."""

import json
from contextlib import closing

import pytest
import yaml

from tests.helpers.sandboxes import as_user, sandbox_process
from tests.helpers.sandboxes import limegrove as process
from tests.helpers.screens import CUSTOMERS, fill, oid_of

ID = "1f2e3d4c-5b6a-4788-9990-000000000006"


@pytest.fixture
def queue(home):
    """A store with sixty alerts of five organizations, the newest of now."""
    from console.commands.parser import parse
    from console.process import workspace
    from console.settings import load
    from store.database import Store
    from store.times import now_ms

    settings = load(parse(["alert", "list"]))
    workspace(settings.home)
    with closing(Store(settings.store_url)) as store:
        fill(store, now=now_ms())
    return home


def test_a_draft_and_what_it_would_have_hidden(queue, limegrove):
    answer = limegrove("alert", "fp", ID)
    assert answer.code == 0, answer.err
    said = answer.json
    assert said["rule"]["rules"][0] == {"op": "is", "path": "cat", "value": "Encoded PowerShell download"}
    assert (said["total"], said["hidden"], said["kept"], said["not_evaluated"]) == (60, 1, 59, 0)
    assert [row["detect_id"] for row in said["alerts"]] == [ID]
    assert {row["organization"] for row in said["organizations"]} == {name for name, _ in CUSTOMERS}
    assert said["saved"] is None
    assert said["review"] < said["expires"]


def test_a_rule_from_a_file_is_tried_over_a_scope(queue, limegrove, tmp_path):
    file = tmp_path / "rule.yaml"
    file.write_text("op: is\npath: cat\nvalue: Encoded PowerShell download\n")
    answer = limegrove("alert", "fp", ID, "--rule", str(file), "--scope", "gold", "--days", "7")
    assert (answer.json["total"], answer.json["hidden"]) == (24, 4)
    table = limegrove("alert", "fp", ID, "--rule", str(file), "--output", "table")
    assert "TRUE POSITIVES" in table.out
    assert "10 of 60 detections of 30 days hidden in 5 of 5 organizations" in table.err


@pytest.mark.parametrize(
    ("rule", "options", "code", "about"),
    [
        ("op: nope\n", (), 2, "unknown operator"),
        ("detect: {op: exists, path: cat}\n", (), 2, "without 'detect' around it"),
        ("op: [\n", (), 2, "Line"),
        ("op: exists\npath: cat\n", ("--days", "0"), 2, "--days"),
        ("op: exists\npath: cat\n", ("--expires", "soon"), 2, "--expires"),
        ("op: exists\npath: cat\n", ("--write", "--read-only"), 5, "read-only"),
        ("op: exists\npath: cat\n", ("--write", "--yes", "--offline", "--reason", "x"), 5, "offline"),
        ("op: exists\npath: cat\n", ("--write", "--reason", "x"), 5, "--yes"),
    ],
)
def test_each_mistake_is_one_sentence(queue, limegrove, tmp_path, rule, options, code, about):
    file = tmp_path / "rule.yaml"
    file.write_text(rule)
    answer = limegrove("alert", "fp", ID, "--rule", str(file), *options)
    assert (answer.code, answer.out) == (code, ""), answer.err
    assert about in answer.err
    assert answer.err.count("\n") == 1


def test_an_alert_that_is_not_there_is_named(queue, limegrove):
    assert limegrove("alert", "fp", "nothing").code == 2
    assert limegrove("alert", "fp", ID, "--organization", oid_of(0)).code == 2


def test_a_template_takes_the_rule(queue, limegrove, tmp_path):
    file = tmp_path / "fp.yaml"
    answer = limegrove("alert", "fp", ID, "--template", str(file), "--name", "quiet", "--reason", "backup")
    assert answer.code == 0, answer.err
    record = yaml.safe_load(file.read_text())["hives"]["fp"]["quiet"]
    assert record["data"] == answer.json["rule"]
    assert "backup" in record["usr_mtd"]["comment"]
    assert answer.json["saved"]["outcome"] == "done"
    why = ("--reason", "backup")
    again = limegrove("alert", "fp", ID, "--template", str(file), "--name", "quiet", "--expires", "5d", *why)
    assert (again.code, "already" in again.err) == (5, True)
    replaced = limegrove(
        "alert", "fp", ID, "--template", str(file), "--name", "quiet", "--replace", "--rewrite", *why
    )
    assert replaced.code == 0, replaced.err


@pytest.mark.parametrize("how", ["--write", "--template"])
def test_nothing_is_hidden_without_a_reason(queue, limegrove, tmp_path, how):
    file = tmp_path / "fp.yaml"
    where = (how, str(file)) if how == "--template" else (how,)
    answer = limegrove("alert", "fp", ID, *where)
    assert answer.code == 2
    assert "A rule that hides alerts says why: give it a --reason. Nothing was written." in answer.err
    assert not file.exists()
    assert limegrove("alert", "fp", ID).code == 0, "looking at it needs none"


def test_a_rule_is_written_to_the_organization_and_the_official_shape_is_read_back(tmp_path):
    with sandbox_process(tmp_path / "sandbox", "--orgs", "3", "--detections", "60") as (line, _):
        env = as_user(tmp_path, line)
        process("sync", "--only", "orgs,detections", env=env)
        alerts = json.loads(process("alert", "list", "--output", "json", env=env).stdout)
        chosen = alerts[0]
        done = process("alert", "fp", chosen["detect_id"], "--organization", chosen["oid"], "--name", "quiet",
                       "--write", "--yes", "--reason", "backup", "--confirm", chosen["organization"], env=env)  # fmt: skip
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["saved"]["outcome"] == "done"
        assert said["hidden"] >= 1
        assert chosen["detect_id"] in {row["detect_id"] for row in said["alerts"]}
