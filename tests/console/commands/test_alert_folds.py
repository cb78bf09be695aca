"""`limegrove alert folds`, `fold-key` and `scorecard` on a real store."""

import json
from contextlib import closing

import pytest

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]


@pytest.fixture
def stormy(filled):
    """The workspace, and in it a scanner that fired at three machines of two organizations."""
    from store import ingest
    from store.database import Store
    from store.times import now_ms

    with closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store, store.writing() as c:
        for number, oid in enumerate((OIDS[0], OIDS[0], OIDS[1])):
            raw = {
                "detect_id": f"storm-{number}",
                "cat": "Scanner touched LSASS",
                "source_rule": "general.scanner",
                "gen_time": now_ms() - number * 1000,
                "routing": {"hostname": f"host-{number}"},
                "detect": {"event": {"SOURCE": {"HASH": "ab" * 32, "FILE_PATH": "c:\\\x1b[2Jscan.exe"}}},
                "detect_mtd": {"level": "critical"},
            }
            ingest.put_detections(c, oid, [ingest.detection_from(json.dumps(raw).encode(), oid)])
    return filled


def test_the_folded_queue_says_what_is_one_alert_one_fold_and_a_storm(stormy, limegrove):
    rows = limegrove("alert", "folds").json

    assert [(row["kind"], row["open"], row["organizations"]) for row in rows] == [
        ("storm", 3, 2), ("alert", 1, 1), ("alert", 1, 1), ("alert", 1, 1), ("alert", 1, 1)
    ]  # fmt: skip
    storm, alert = rows[0], rows[1]
    assert storm["salient"] == {"hash": "ab" * 32}
    assert (storm["severity"], storm["total"], storm["fold"], storm["oid"]) == ("critical", 3, None, None)
    assert storm["per_hour"] == 3.0
    assert (alert["detect_id"], alert["organization"], alert["oid"]) == ("detection-0", "Acme Corp", OIDS[0])


def test_a_fold_is_what_a_storm_is_at_one_organization(stormy, limegrove):
    first = limegrove("alert", "folds", "--organization", "Acme Corp").json[0]

    assert (first["kind"], first["open"], first["organization"]) == ("fold", 2, "Acme Corp")
    assert first["fold"]


@pytest.mark.parametrize(
    ("options", "opened"),
    [
        (["--filter", "host:host-2"], [1]),
        (["--severity", "critical"], [3, 1]),
        (["--status", "closed"], []),
        (["--limit", "2"], [3, 1]),
        (["--limit", "0"], [3, 1, 1, 1, 1]),
    ],
)
def test_the_folded_queue_takes_the_filters_of_the_list(stormy, limegrove, options, opened):
    assert [row["open"] for row in limegrove("alert", "folds", *options).json] == opened


def test_closed_ones_are_counted_and_not_called_open(stormy, limegrove):
    assert limegrove("alert", "close", "--all", "--as", "false_positive", "--yes").code == 0
    rows = limegrove("alert", "folds", "--status", "any").json
    assert [(row["open"], row["total"]) for row in rows] == [(0, total) for total in (3, 1, 1, 1, 1)]


def test_more_than_a_page_comes_whole(stormy, limegrove, monkeypatch):
    monkeypatch.setattr("console.commands.listing.PAGE", 2)

    assert [row["open"] for row in limegrove("alert", "folds", "--limit", "0").json] == [3, 1, 1, 1, 1]


def test_a_table_says_how_many_rows_and_alerts_there_are_and_shows_nothing_active(stormy, limegrove):
    answer = limegrove("alert", "folds", "--output", "table", "--limit", "3")

    assert answer.err.strip().endswith("3 of 5 rows, 7 alerts")
    assert "\x1b" not in answer.out + answer.err


def test_a_storm_is_claimed_by_its_key(stormy, limegrove):
    key = limegrove("alert", "folds").json[0]["storm"]

    assert limegrove("alert", "claim", "--storm", str(key), "--yes").code == 0
    row = limegrove("alert", "folds").json[0]
    assert row["who"]
    assert row["assignees"] == [row["who"]]


def test_a_fold_key_is_shown_changed_and_taken_away(stormy, limegrove):
    def opened():
        return [row["open"] for row in limegrove("alert", "folds", "--severity", "critical").json]

    assert limegrove("alert", "fold-key").json == [
        {"rule": "*", "fields": ["indicator"], "own": False, "pending": False}
    ]
    assert limegrove("alert", "fold-key", "general.scanner", "--fields", "host,hash").json == [
        {"rule": "general.scanner", "fields": ["host", "hash"], "own": True, "pending": False}
    ]
    assert opened() == [1, 1, 1, 1]
    assert len(limegrove("alert", "fold-key").json) == 2
    assert limegrove("alert", "fold-key", "general.scanner", "--default").code == 0
    assert opened() == [3, 1]
    assert limegrove("alert", "fold-key", "--recount").code == 0
    assert opened() == [3, 1]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["fold-key", "--fields", "colour"], 2, "--fields: `colour` is no field; use indicator, host, user"),
        (["fold-key", "x", "--recount"], 2, "--recount is for all rules; leave the rule out."),
        (["fold-key", "--fields", "host", "--default"], 2, "not allowed with"),
        (["folds", "--limit", "-1"], 2, "--limit takes a number from 0 on."),
        (["folds", "--filter", "order:due"], 2, "order:due is for single alerts"),
        (["scorecard", "--since", "soon"], 2, "--since `soon`"),
        (["scorecard", "--limit", "0"], 2, "--limit takes a number from 1 on."),
        (
            ["fold-key", "--fields", "host", "--read-only"],
            5,
            "this console is read-only; nothing was changed.",
        ),
    ],
)
def test_what_means_nothing_or_may_not_be_is_one_sentence(stormy, limegrove, options, code, said):
    answer = limegrove("alert", *options)

    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert limegrove("alert", "fold-key").json[0]["own"] is False


def test_a_scorecard_has_a_line_for_each_rule_and_organization(stormy, limegrove):
    assert limegrove("alert", "close", "storm-0", "--as", "false_positive").code == 0
    rows = limegrove("alert", "scorecard").json

    assert (rows[0]["rule"], rows[0]["organization"]) == ("general.scanner", "Acme Corp")
    assert (rows[0]["alerts"], rows[0]["open"], rows[0]["false_positives"]) == (2, 1, 1)
    assert (rows[0]["suggestion"], rows[0]["last_true"]) == ("", None)
    together = limegrove("alert", "scorecard", "--by-rule", "--limit", "1").json
    assert [(row["rule"], row["organizations"], row["alerts"]) for row in together] == [
        ("general.scanner", 2, 3)
    ]
    assert limegrove("alert", "scorecard", "--scope", OIDS[1]).json[0]["alerts"] == 1
    assert limegrove("alert", "scorecard", "--since", "1h").code == 0


@pytest.mark.parametrize("option", ["--fold", "--storm"])
@pytest.mark.parametrize("number", ["999999", "-1", "0"])
@pytest.mark.parametrize(
    "verb",
    [["claim"], ["ack"], ["close", "--as", "pending"], ["snooze", "--until", "4h"], ["note", "--text", "x"]],
)
def test_a_fold_or_storm_that_is_not_there_is_not_decided(filled, limegrove, verb, number, option):
    answer = limegrove("alert", *verb, option, number, "--yes")

    assert (answer.code, answer.out) == (2, "")
    assert f"{option}: there is no {option[2:]} {number}; " in answer.err


def test_no_campaign_is_made_of_a_storm_that_is_not_there(filled, limegrove):
    answer = limegrove("case", "campaign", "create", "Title", "--storm", "-1")

    assert answer.code == 2
    assert "there is no storm -1" in answer.err
    assert limegrove("case", "campaign", "list").json == []


def test_the_rule_alone_is_said_in_a_word_and_not_by_nothing(filled, limegrove):
    assert limegrove("alert", "fold-key", "general.scanner", "--fields", ",").code == 2
    assert limegrove("alert", "fold-key", "general.scanner", "--fields", "none").json == [
        {"rule": "general.scanner", "fields": [], "own": True, "pending": False}
    ]
