"""`limegrove alert` on a real store."""

from datetime import datetime

import pytest

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]


def ids(answer):
    assert answer.code == 0, answer.err
    return [row["detect_id"] for row in answer.json]


def test_the_queue_is_worst_first_with_words_for_severity_and_status(filled, limegrove):
    answer = limegrove("alert", "list")

    assert ids(answer) == ["detection-0", "detection-3", "detection-2", "detection-1"]
    assert [row["severity"] for row in answer.json] == ["critical", "high", "medium", "low"]
    assert {row["status"] for row in answer.json} == {"new"}


def test_an_alert_has_what_other_tools_rely_on(filled, limegrove):
    first = limegrove("alert", "list").json[0]

    assert {name: first[name] for name in ("oid", "organization", "cat", "hostname")} == {
        "oid": OIDS[0], "organization": "Acme Corp", "cat": "Encoded PowerShell", "hostname": "web-0",
    }  # fmt: skip
    assert first["time"].endswith("Z")
    assert datetime.fromisoformat(first["time"]).utcoffset().total_seconds() == 0


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--filter", "sev:medium"], [0, 3, 2]),
        (["--severity", "high"], [0, 3]),
        (["--filter", "sev:low", "--severity", "high"], [0, 3]),
        (["--organization", "Acme Corp"], [0, 2, 1]),
        (["--filter", "host:WEB-3"], [3]),
        (["--status", "closed"], []),
        (["--status", "new,closed"], [0, 3, 2, 1]),
        (["--status", "any"], [0, 3, 2, 1]),
        (["--since", "90s"], [0, 1]),
        (["--limit", "2"], [0, 3]),
        (["--limit", "0"], [0, 3, 2, 1]),
    ],
)
def test_the_queue_is_limited_by_options(filled, limegrove, options, wanted):
    assert ids(limegrove("alert", "list", *options)) == [f"detection-{number}" for number in wanted]


def test_more_than_a_page_comes_whole_and_in_order(filled, limegrove, monkeypatch):
    monkeypatch.setattr("console.commands.listing.PAGE", 3)

    assert ids(limegrove("alert", "list", "--limit", "0")) == [f"detection-{n}" for n in (0, 3, 2, 1)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--filter", "sev:dreadful"], "dreadful"),
        (
            ["--severity", "dreadful"],
            "--severity cannot be `dreadful`; it takes info, low, medium, high, critical.",
        ),
        (
            ["--status", "gone"],
            "--status cannot be `gone`; it takes new, in_progress, resolved, closed, open, any.",
        ),
        (["--since", "yesterday"], "--since `yesterday`: "),
        (["--limit", "-1"], "--limit takes a number from 0 on."),
        (["--limit", "many"], "--limit"),
        (["--organization", "nobody"], "There is no organization `nobody`"),
    ],
)
def test_an_option_that_means_nothing_is_one_sentence_and_exit_code_2(filled, limegrove, options, said):
    answer = limegrove("alert", "list", *options)

    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1


def test_the_table_is_safe_and_says_n_of_m(filled, limegrove):
    answer = limegrove("alert", "list", "--limit", "3", "--output", "table")

    assert "\u202e" not in answer.out
    assert "\\u202eexe.scr" in answer.out
    assert answer.err == "3 of 4 alerts\n"


def test_one_alert_comes_with_the_detection_as_it_was_received(filled, limegrove):
    answer = limegrove("alert", "show", "detection-2")

    assert "\x1b" not in answer.out
    shown = answer.json
    assert (shown["severity"], shown["sid"], shown["event_type"]) == ("medium", "sensor-2", "NEW_PROCESS")
    assert shown["detection"]["cat"] == "\u202eexe.scr"
    assert shown["detection"]["detect"]["event"] == {"COMMAND_LINE": "\ud800 \x1b[2J", "BIG": 2**80}


@pytest.mark.parametrize("output", ["table", "csv", "yaml", "jsonl"])
def test_one_alert_can_be_shown_in_every_output(filled, limegrove, output):
    answer = limegrove("alert", "show", "detection-2", "--output", output)

    assert answer.code == 0
    assert "detection-2" in answer.out
    assert "\x1b" not in answer.out


def test_an_unknown_alert_is_one_sentence_and_exit_code_2(filled, limegrove):
    answer = limegrove("alert", "show", "detection-99")

    assert (answer.code, answer.out) == (2, "")
    assert (
        answer.err
        == "limegrove: There is no alert `detection-99` in the store; `limegrove alert list` names them.\n"
    )


@pytest.mark.parametrize("depth", [90, 300, 990, 100_000])
@pytest.mark.parametrize("output", ["table", "json", "yaml", "csv"])
def test_a_detection_nested_beyond_reason_is_shown_all_the_same(filled, limegrove, depth, output):
    from contextlib import closing

    from store import ingest
    from store.database import Store

    body = b'{"detect_id": "deep", "detect": ' + b"[" * depth + b"]" * depth + b"}"
    with (
        closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store,
        store.writing() as connection,
    ):
        record = ingest.detection_from(body, OIDS[0], received=1)
        ingest.put_detections(connection, OIDS[0], [record])

    answer = limegrove("alert", "show", record.detect_id, "--output", output)

    assert (answer.code, answer.err) == (0, "")
    if output == "json" and depth > 100:
        assert answer.json["detection"] is None
        assert answer.json["raw"] == body.decode()
