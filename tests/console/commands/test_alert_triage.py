"""`limegrove alert` decides: claims, closes, snoozes, takes back."""

import pytest

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]


@pytest.fixture(autouse=True)
def _ann(monkeypatch, home):
    monkeypatch.setenv("LIMEGROVE_OPERATOR", "ann")


def listed(limegrove, *options):
    return {row["detect_id"]: row for row in limegrove("alert", "list", "--status", "any", *options).json}


def test_a_claim_takes_the_alert_and_acknowledges_it(filled, limegrove):
    done = limegrove("alert", "claim", "detection-1")

    assert done.code == 0, done.err
    assert {name: done.json[name] for name in ("changed", "unchanged", "refused", "organizations")} == {
        "changed": 1, "unchanged": 0, "refused": [], "organizations": {OIDS[0]: 1},
    }  # fmt: skip
    row = listed(limegrove)["detection-1"]
    assert (row["assignee"], row["status"]) == ("ann", "in_progress")


def test_what_somebody_else_has_is_refused_with_who_and_since_when(filled, limegrove, monkeypatch):
    limegrove("alert", "claim", "detection-1")
    monkeypatch.setenv("LIMEGROVE_OPERATOR", "bob")

    lost = limegrove("alert", "claim", "detection-1")
    partly = limegrove("alert", "claim", "detection-1", "detection-2")

    assert lost.code == 5
    [refusal] = lost.json["refused"]
    assert (refusal["detect_id"], refusal["why"], refusal["who"]) == (
        "detection-1",
        "somebody else has it",
        "ann",
    )
    assert refusal["since"].endswith("Z")
    assert partly.code == 3
    assert partly.json["changed"] == 1
    assert partly.err == "detection-1: somebody else has it (ann)\n"


def test_next_takes_the_worst_that_nobody_has(filled, limegrove):
    assert limegrove("alert", "next").json["detect_id"] == "detection-0"
    taken = [limegrove("alert", "next", "--claim").json["detect_id"] for _ in range(4)]
    assert taken == ["detection-0", "detection-3", "detection-2", "detection-1"]
    empty = limegrove("alert", "next", "--claim")
    assert (empty.code, empty.out) == (1, "")


def test_closing_more_than_one_by_filter_needs_a_yes(filled, limegrove):
    refused = limegrove("alert", "close", "--filter", "sev:medium", "--as", "false_positive")
    assert refused.code == 5
    assert "Close 3 alerts of 2 organizations?" in refused.err
    assert {row["status"] for row in listed(limegrove).values()} == {"new"}

    done = limegrove(
        "alert", "close", "--filter", "sev:medium", "--as", "false_positive", "--comment", "scanner", "--yes"
    )
    assert (done.code, done.json["changed"]) == (0, 3)
    assert limegrove("alert", "show", "detection-0").json["classification"] == "false_positive"
    back = limegrove("alert", "undo", "--only", "detection-0")
    assert (back.code, back.json["changed"]) == (0, 1)
    assert listed(limegrove)["detection-0"]["status"] == "new"
    assert limegrove("alert", "undo").json["changed"] == 2
    assert {row["status"] for row in listed(limegrove).values()} == {"new"}


def test_a_protected_organization_s_name_is_given(filled, limegrove):
    limegrove("tree", "add", "Acme", "--oid", OIDS[0], "--id", "acme")
    limegrove("tree", "mark", "acme", "protected")

    refused = limegrove("alert", "close", "detection-1", "--as", "pending")
    assert refused.code == 5
    assert refused.err.startswith(
        "limegrove: `Acme Corp`: protected; give the name of each, or its oid, with --confirm."
    )
    wrong = limegrove("alert", "close", "detection-1", "--as", "pending", "--confirm", "Acme")
    assert wrong.code == 5
    assert listed(limegrove)["detection-1"]["status"] == "new"
    assert limegrove("alert", "close", "detection-1", "--as", "pending", "--confirm", "Acme Corp").code == 0
    by_id = limegrove("alert", "close", "detection-1", "--as", "true_positive", "--confirm", OIDS[0])
    assert by_id.code == 0, by_id.err
    assert limegrove("alert", "claim", "detection-2").code == 0


def test_a_benign_one_is_a_true_positive_with_a_tag(filled, limegrove):
    limegrove("alert", "close", "detection-1", "--as", "benign")

    row = listed(limegrove, "--filter", "tag:benign")["detection-1"]
    assert row["tags"] == ["benign"]
    assert limegrove("alert", "show", "detection-1").json["classification"] == "true_positive"


def test_a_snoozed_alert_is_hidden_and_can_be_listed(filled, limegrove):
    done = limegrove(
        "alert", "snooze", "detection-0", "--until", "4h", "--comment", "waiting for the customer"
    )

    assert (done.code, done.json["changed"]) == (0, 1)
    assert "detection-0" not in listed(limegrove)
    row = listed(limegrove, "--filter", "snoozed:yes")["detection-0"]
    assert row["snoozed_until"].endswith("Z")


def test_the_rest_of_the_verbs_change_what_they_say(filled, limegrove):
    assert limegrove("alert", "assign", "detection-1", "--to", "bob").json["changed"] == 1
    assert listed(limegrove, "--filter", "who:bob").keys() == {"detection-1"}
    assert limegrove("alert", "ack", "detection-1").code == 5
    assert limegrove("alert", "ack", "detection-1", "--held").json["changed"] == 1
    assert limegrove("alert", "ack", "detection-1", "--held").json["unchanged"] == 1
    assert limegrove("alert", "claim", "detection-2", "--no-ack").json["changed"] == 1
    assert listed(limegrove)["detection-2"]["status"] == "new"
    assert limegrove("alert", "release", "detection-2").json["changed"] == 1
    assert limegrove("alert", "tag", "detection-2", "--add", "vip", "--add", "x").json["changed"] == 1
    assert limegrove("alert", "tag", "detection-2", "--remove", "x").json["changed"] == 1
    assert listed(limegrove)["detection-2"]["tags"] == ["vip"]
    assert limegrove("alert", "note", "detection-2", "--text", "called them").json["changed"] == 1
    assert limegrove("alert", "close", "detection-2", "--as", "pending").json["changed"] == 1
    assert limegrove("alert", "reopen", "detection-2").json["changed"] == 1
    assert listed(limegrove)["detection-2"]["status"] == "in_progress"
    assert limegrove("alert", "close", "detection-2", "--as", "pending", "--resolve").json["changed"] == 1
    assert listed(limegrove)["detection-2"]["status"] == "resolved"
    assert limegrove("alert", "resume").json == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["claim"], "takes the ids of alerts, or --filter, --fold or --all: one of them."),
        (["claim", "detection-1", "--all"], "not both."),
        (["claim", "detection-9"], "There is no alert `detection-9` in the store; nothing was changed."),
        (["claim", "--filter", "sev:odd"], "--filter: odd is not a severity"),
        (["close", "detection-1"], "needs --as"),
        (["close", "detection-1", "--as", "odd"], "--as cannot be"),
        (["snooze", "detection-1"], "arguments --until --more --event is required"),
        (["snooze", "detection-1", "--until", "someday"], "--until `someday`: use a duration such as 4h"),
        (["snooze", "detection-1", "--until", "2020-01-01"], "has passed already."),
        (["snooze", "detection-1", "--more", "0"], "at least one more."),
        (["tag", "detection-1", "--add", "two words"], "A tag is one word of at most 64 characters."),
        (["tag", "detection-1"], "Which tags"),
        (["note", "detection-1", "--text", " "], "--text: cannot be empty"),
        (["undo", "77"], "There is no decision 77."),
    ],
)
def test_what_means_nothing_is_one_sentence_and_changes_nothing(filled, limegrove, options, said):
    answer = limegrove("alert", *options)

    assert (answer.code, answer.out) == (2, ""), answer.err
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert {row["status"] for row in listed(limegrove).values()} == {"new"}


def test_a_read_only_console_decides_nothing(filled, limegrove):
    for verb in (["claim", "detection-1"], ["undo"], ["resume"], ["next", "--claim"]):
        answer = limegrove("alert", *verb, "--read-only")
        assert answer.code == 5
        assert "read-only" in answer.err
    assert limegrove("alert", "next", "--read-only").code == 0


def test_one_alert_is_shown_with_its_clock_its_snooze_and_what_was_decided(filled, limegrove):
    limegrove("alert", "claim", "detection-1", "--comment", "mine")
    limegrove("alert", "snooze", "detection-1", "--event", "online", "--comment", "powered off")

    shown = limegrove("alert", "show", "detection-1").json
    assert shown["clock"]["runs"] == "resolve"
    assert shown["clock"]["minutes"] == {"acknowledge": 100, "resolve": 2800}
    assert shown["clock"]["source"] == "default"
    assert shown["clock"]["due"].endswith("Z")
    assert (shown["snooze"]["event"], shown["snooze"]["reason"], shown["snooze"]["by"]) == (
        "online",
        "powered off",
        "ann",
    )
    assert [(each["verb"], each["by"], each["comment"], each["before"]) for each in shown["history"]] == [
        ("snooze", "ann", "powered off", "in_progress"), ("claim", "ann", "mine", "new"),
    ]  # fmt: skip


def test_deadlines_that_mean_nothing_are_said_and_passed_over(filled, limegrove, tmp_path):
    file = tmp_path / "tree.yaml"
    file.write_text(
        "- {id: root, name: All, parameters: {sla_low: 15, sla_lo: 1m/2m, sla_high: 20m/2h}}\n"
        f"- {{id: acme, parent: root, name: Acme, oid: {OIDS[0]}}}\n"
    )
    said = limegrove("tree", "import", str(file))
    assert said.code == 0
    assert "sla_lo of the node root is passed over: there are sla_info, sla_low" in said.err
    assert "sla_low of the node root is passed over: it takes a time to acknowledge" in said.err

    clock = limegrove("alert", "show", "detection-1").json["clock"]
    assert clock["source"] == "default"
    assert clock["problems"] == [
        "sla_low of the node root is passed over: it takes a time to acknowledge and a time to resolve, such as 15m/4h."
    ]
    items = limegrove("doctor", "--offline").json["items"]
    assert [each["state"] for each in items if each["item"] == "clocks"] == ["warn", "warn"]
