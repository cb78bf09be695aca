"""`limegrove drift show`, `decide`, `promote`, `alike`."""

import json
import os
import uuid
from contextlib import closing

import pytest

from store import ingest
from store.configuration import Record
from store.database import Store
from store.times import now_ms
from tests.console.commands.conftest import OIDS

ON = {"enabled": True}
TREE = f"""\
- {{id: root, parent: null, name: All}}
- {{id: acme, parent: root, name: Acme, oid: {OIDS[0]}}}
- {{id: boehm, parent: root, name: Boehm, oid: {OIDS[1]}}}
- {{id: evil, parent: root, name: Evil, oid: {OIDS[2]}}}
"""
BASE = """\
version: 3
hives:
  fp:
    # Of the scanner that every customer has.
    scanner: {data: {op: is, path: cat, value: a}, usr_mtd: {enabled: true}}
"""


def rule(value):
    return {"op": "is", "path": "cat", "value": value}


def put(home, number, records, *, section="hive/fp", at=None):
    moment = now_ms() if at is None else at
    with closing(Store(f"sqlite:///{home / 'default' / 'store.db'}")) as store, store.writing() as connection:
        found = {name: Record(body=body, metadata=metadata) for name, (body, metadata) in records.items()}
        ingest.put_configuration(connection, OIDS[number], section, found, moment)
        ingest.put_sync_state(
            connection, OIDS[number], "configuration", checked_at=moment, attempted_at=moment
        )


@pytest.fixture
def limegrove(limegrove):
    """As a machine runs it: with a key in its environment, which each start takes out of it."""

    def run(*arguments):
        os.environ["LC_UID"], os.environ["LC_API_KEY"] = "uid-of-a-machine", str(uuid.UUID(int=7))
        try:
            return limegrove(*arguments)
        finally:
            for name in ("LC_UID", "LC_API_KEY"):
                os.environ.pop(name, None)

    return run


@pytest.fixture
def drifted(limegrove, filled, home, tmp_path):
    """Acme is as wanted, Boehm's scanner is another and has one more, the third was never read."""
    (tmp_path / "tree.yaml").write_text(TREE)
    assert limegrove("tree", "import", str(tmp_path / "tree.yaml")).code == 0
    (tmp_path / "base.yaml").write_text(BASE)
    assert limegrove("template", "import", str(tmp_path / "base.yaml"), "--root", str(tmp_path)).code == 0
    assert limegrove("template", "assign", "base", "root").code == 0
    put(home, 0, {"scanner": (rule("a"), ON)})
    put(home, 1, {"scanner": (rule("b"), ON), "mine": (rule("m"), ON)})
    return limegrove


def shown(limegrove, *arguments, code=4):
    answer = limegrove("drift", "show", "--output", "json", *arguments)
    assert answer.code == code, answer.err
    return answer.json


def records(found):
    return [(each["record"], each["class"], each["oid"]) for each in found["drift"]]


def test_show_lists_what_deviates_the_worst_first_with_the_age_of_what_was_read(drifted):
    found = shown(drifted)
    assert records(found) == [
        ("(everything)", "unreadable", OIDS[2]),
        ("hives/fp/scanner", "changed", OIDS[1]),
        ("hives/fp/mine", "extra", OIDS[1]),
    ]
    assert found["counts"] == {"unreadable": 1, "changed": 1, "extra": 1}
    assert found["read_at"] is not None
    assert found["organizations"] == 3
    answer = drifted("drift", "show", "--output", "table")
    assert "3 deviations of 3 organizations, 0 accepted or excluded; read" in answer.err


def test_show_narrows_to_a_class_an_organization_a_record_and_a_scope(drifted):
    assert [each[0] for each in records(shown(drifted, "--class", "extra"))] == ["hives/fp/mine"]
    assert len(records(shown(drifted, "--org", OIDS[1]))) == 2
    assert len(records(shown(drifted, "--org", OIDS[0], code=0))) == 0
    assert len(records(shown(drifted, "--record", "hives/fp/scanner"))) == 1
    assert len(records(shown(drifted, "--scope", "boehm"))) == 2
    assert shown(drifted, "--scope", "acme", code=0)["drift"] == []


def test_show_says_what_differs_part_by_part(drifted):
    found = shown(drifted, "--diff", "--record", "hives/fp/scanner")
    assert found["drift"][0]["diff"] == ["value a -> b"]


def test_the_heat_table_has_those_alike_in_one_column(drifted, home):
    put(home, 0, {"scanner": (rule("c"), ON), "mine": (rule("n"), ON)})
    found = shown(drifted, "--heat")
    assert [(each["count"], each["oids"]) for each in found["columns"]] == [
        (2, [OIDS[0], OIDS[1]]), (1, [OIDS[2]]),
    ]  # fmt: skip
    assert [(each["record"], each["organizations"], each["cells"]) for each in found["lines"]] == [
        ("hives/fp/scanner", 2, {"0": "changed"}),
        ("(everything)", 1, {"1": "unreadable"}),
        ("hives/fp/mine", 2, {"0": "extra"}),
    ]


def test_what_is_decided_is_hidden_told_with_all_and_forgotten_by_undo(drifted):
    answer = drifted(
        "drift", "decide", OIDS[1], "hives/fp/mine", "accept", "--until", "30d", "--reason", "theirs",
        "--output", "json",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert (answer.json["decision"], answer.json["reason"]) == ("accepted", "theirs")
    found = shown(drifted)
    assert "hives/fp/mine" not in [each[0] for each in records(found)]
    assert found["hidden"] == 1
    every = shown(drifted, "--all", "--record", "hives/fp/mine", code=0)
    assert every["drift"][0]["decision"] == "accepted"
    assert drifted("drift", "decide", OIDS[1], "hives/fp/mine", "undo").code == 0
    assert "hives/fp/mine" in [each[0] for each in records(shown(drifted))]
    assert drifted("drift", "decide", OIDS[1], "hives/fp/mine", "undo").code == 2


def test_what_is_excluded_is_in_no_plan(drifted):
    before = drifted("rollout", "plan", "--check", "--output", "json")
    assert [fold["oids"] for fold in before.json["folds"]] == [[OIDS[1]]]
    excluded = drifted("drift", "decide", OIDS[1], "hives/fp/scanner", "exclude", "--reason", "their own")
    assert excluded.code == 0, excluded.err
    after = drifted("rollout", "plan", "--output", "json")
    assert after.json["folds"] == []
    assert drifted("drift", "decide", OIDS[1], "hives/fp/scanner", "undo").code == 0
    again = drifted("rollout", "plan", "--check", "--output", "json")
    assert [fold["oids"] for fold in again.json["folds"]] == [[OIDS[1]]]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("accept", "--until", "yesterday", "--reason", "r"), 2, "use a date such as 2026-12-31"),
        (("accept", "--until", "2020-01-01", "--reason", "r"), 2, "has passed already"),
        (("deny", "--until", "30d", "--reason", "r"), 2, "A date is for accept"),
        (("accept",), 2, "needs --reason"),
        (("accept", "--reason", "r", "--read-only"), 5, "read-only"),
        (("perhaps", "--reason", "r"), 2, "accept"),
    ],
)
def test_a_decision_that_means_nothing_changes_nothing(drifted, arguments, code, says):
    answer = drifted("drift", "decide", OIDS[1], "hives/fp/mine", *arguments)
    assert answer.code == code
    assert says in answer.err
    assert shown(drifted)["hidden"] == 0


@pytest.mark.parametrize(
    ("org", "record", "says"),
    [
        (OIDS[1], "fp/mine", "names no record"),
        (OIDS[1], "hives/fp/none", "is as wanted"),
        (OIDS[0], "hives/fp/scanner", "is as wanted"),
        (OIDS[2], "hives/fp/scanner", "is as wanted"),
        ("nobody", "hives/fp/mine", "There is no organization"),
    ],
)
def test_what_does_not_deviate_is_not_decided_about(drifted, org, record, says):
    answer = drifted("drift", "decide", org, record, "accept", "--reason", "r")
    assert answer.code == 2
    assert says in answer.err


# Taken into a template


def test_a_record_is_promoted_into_a_template_which_the_next_plan_brings_to_the_others(drifted):
    answer = drifted("drift", "promote", OIDS[1], "hives/fp/mine", "--template", "base", "--output", "json")
    assert answer.code == 0, answer.err
    assert answer.json == {
        "template": "base", "version": 2, "new": True, "record": "hives/fp/mine", "replaced": False,
        "comments_kept": True,
    }  # fmt: skip
    assert "hives/fp/mine" not in [each[0] for each in records(shown(drifted)) if each[2] == OIDS[1]]
    plan = drifted("rollout", "plan", "--check", "--output", "json").json
    added = [(fold["oids"], change["name"]) for fold in plan["folds"] for change in fold["changes"]]
    assert ([OIDS[0]], "mine") in added


def test_a_record_in_place_of_the_templates_own_needs_its_comments_to_be_given_up(drifted):
    refused = drifted("drift", "promote", OIDS[1], "hives/fp/scanner", "--template", "base")
    assert refused.code == 5
    assert "comments would be lost" in refused.err
    answer = drifted(
        "drift", "promote", OIDS[1], "hives/fp/scanner", "--template", "base", "--rewrite", "--output", "json"
    )
    assert answer.code == 0, answer.err
    assert (answer.json["replaced"], answer.json["comments_kept"]) == (True, False)
    found = records(shown(drifted))
    assert ("hives/fp/scanner", "changed", OIDS[0]) in found
    assert ("hives/fp/scanner", "changed", OIDS[1]) not in found


def test_promoting_into_a_template_that_is_not_there_makes_one(drifted, limegrove):
    answer = drifted(
        "drift", "promote", OIDS[1], "hives/fp/mine", "--template", "new/one", "--output", "json"
    )
    assert answer.code == 0, answer.err
    names = [each["name"] for each in limegrove("template", "list", "--output", "json").json]
    assert names == ["base", "new/one"]


def test_a_record_with_a_secret_is_not_promoted(drifted, home, tmp_path):
    (tmp_path / "out.yaml").write_text("version: 3\noutputs:\n  siem: {module: syslog, for: detect}\n")
    assert drifted("template", "import", str(tmp_path / "out.yaml"), "--root", str(tmp_path)).code == 0
    assert drifted("template", "assign", "out", "root").code == 0
    body = {"module": "splunk", "for": "detect", "auth_header": {"$secret": "hmac-sha256:00"}}
    from store.configuration import SECRET_MARK

    body["auth_header"] = {SECRET_MARK: "00" * 32}
    put(home, 1, {"splunk": (body, {})}, section="output")
    answer = drifted("drift", "promote", OIDS[1], "outputs/splunk", "--template", "out")
    assert answer.code == 5
    assert "holds a secret" in answer.err


def test_an_output_is_promoted_beside_those_that_are_there(drifted, home, tmp_path):
    (tmp_path / "out.yaml").write_text("version: 3\noutputs:\n  siem: {module: syslog, for: detect}\n")
    assert drifted("template", "import", str(tmp_path / "out.yaml"), "--root", str(tmp_path)).code == 0
    assert drifted("template", "assign", "out", "root").code == 0
    put(
        home, 1, {"more": ({"module": "syslog", "type": "event", "dest_host": "x:514"}, {})}, section="output"
    )
    answer = drifted("drift", "promote", OIDS[1], "outputs/more", "--template", "out", "--output", "json")
    assert answer.code == 0, answer.err
    rendered = drifted("template", "render", "--org", OIDS[0], "--output", "json").json
    assert set(rendered["document"]["outputs"]) == {"siem", "more"}
    assert ("outputs/more", "extra", OIDS[1]) not in records(shown(drifted))


def test_what_is_not_there_is_not_promoted(drifted, home):
    put(home, 1, {"mine": (rule("m"), ON)})
    answer = drifted("drift", "promote", OIDS[1], "hives/fp/scanner", "--template", "base")
    assert answer.code == 5
    assert "is not there" in answer.err


def test_every_decision_and_promotion_stands_in_the_journal(drifted, home):
    assert drifted("drift", "decide", OIDS[1], "hives/fp/mine", "deny", "--reason", "no").code == 0
    assert drifted("drift", "promote", OIDS[1], "hives/fp/mine", "--template", "base").code == 0
    from sqlalchemy import select

    from store import models

    journal = models.Journal.__table__
    with closing(Store(f"sqlite:///{home / 'default' / 'store.db'}")) as store, store.reader.reading() as c:
        actions = list(c.execute(select(journal.c.action).order_by(journal.c.seq)).scalars())
    assert actions[-2:] == ["drift.deny", "drift.promote"]


def test_alike_names_rules_that_do_the_same(drifted, home):
    put(home, 0, {"scanner": (rule("a"), ON), "copy": (rule("M"), ON)})
    answer = drifted("drift", "alike", "--output", "json")
    assert answer.code == 0, answer.err
    assert [(each["section"], [one["name"] for one in each["names"]]) for each in answer.json] == [
        ("hive/fp", ["copy", "mine"])
    ]
    assert json.loads(json.dumps(answer.json))[0]["contents"] == 2
