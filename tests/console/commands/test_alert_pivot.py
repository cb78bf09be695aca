"""`limegrove alert pivot` on a real store."""

import json

import pytest

from console.commands.alert_pivot import KINDS
from store import ingest, observables
from store.database import Store

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
NOW = 1_795_528_800_000


def record(number: int, **event) -> bytes:
    return json.dumps(
        {
            "detect_id": f"p{number}", "cat": "Scan", "gen_time": NOW + number * 1000,
            "routing": {"hostname": f"ws-{number}"}, "detect": {"event": event},
        }
    ).encode()  # fmt: skip


@pytest.fixture
def pivots(filled, home):
    """Two organizations with a hash in common; the older one's alert is closed as a false positive."""
    store = Store(f"sqlite:///{home / 'default' / 'store.db'}")
    with store.writing() as c:
        for oid, raw in (
            (OIDS[0], record(1, HASH=HASH, USER_NAME="ACME\\svc")),
            (OIDS[1], record(2, HASH=HASH.upper())),
            (OIDS[1], record(3, HASH="b" * 64)),
        ):
            ingest.put_detections(c, oid, [ingest.detection_from(raw, oid)])
    store.close()


@pytest.fixture
def closed(pivots, limegrove):
    answer = limegrove("alert", "close", "p1", "--as", "false_positive", "--comment", "vendor", "--yes")
    assert answer.code == 0, answer.err


def ids(answer) -> list[str]:
    assert answer.code == 0, answer.err
    return [row["detect_id"] for row in answer.json["alerts"]]


def test_the_kinds_are_those_of_the_store():
    assert KINDS == observables.KINDS


def test_every_alert_with_a_value_is_found_also_the_closed_ones_with_where_it_was_seen(closed, limegrove):
    answer = limegrove("alert", "pivot", HASH)

    assert sorted(ids(answer)) == ["p1", "p2"]
    assert answer.json["matching"] == 2
    assert answer.json["matching_exact"] is True
    (seen,) = answer.json["seen"]
    assert (seen["kind"], seen["organizations"], seen["of_organizations"], seen["alerts"]) == (
        "hash",
        2,
        3,
        2,
    )
    assert seen["first"] == "2026-11-24T14:00:01Z"
    assert seen["last_verdict"] == "false_positive"


def test_options_limit_what_is_found_as_those_of_the_queue_do(closed, limegrove):
    assert ids(limegrove("alert", "pivot", HASH, "--status", "open")) == ["p2"]
    assert ids(limegrove("alert", "pivot", HASH, "--filter", "status:closed")) == ["p1"]
    assert ids(limegrove("alert", "pivot", HASH, "--organization", OIDS[0])) == ["p1"]
    assert len(ids(limegrove("alert", "pivot", HASH, "--limit", "1"))) == 1


def test_a_value_counts_as_whatever_it_may_be_unless_its_kind_is_said(pivots, limegrove):
    assert ids(limegrove("alert", "pivot", "ws-2")) == ["p2"]
    assert ids(limegrove("alert", "pivot", "acme\\svc", "--kind", "user")) == ["p1"]
    assert ids(limegrove("alert", "pivot", "ws-2", "--kind", "user")) == []


def test_the_values_of_an_alert_are_listed_with_where_they_were_seen(pivots, limegrove):
    answer = limegrove("alert", "pivot", "--of", "p1")

    assert answer.code == 0, answer.err
    assert [(row["kind"], row["value"], row["organizations"]) for row in answer.json] == [
        ("hash", HASH, 2), ("host", "ws-1", 1), ("user", "ACME\\svc", 1),
    ]  # fmt: skip
    assert answer.json[0]["of_organizations"] == 3


def test_a_table_ends_with_where_it_was_seen(pivots, limegrove):
    answer = limegrove("alert", "pivot", HASH, "--output", "table")

    assert answer.code == 0
    assert "2 of 2 alerts; as hash at 2 of 3 organizations" in answer.out + answer.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "takes a VALUE, or --of"),
        (["x", "--of", "p1"], "one of them"),
        (["--of", "p1", "--kind", "hash"], "--of lists all kinds"),
        (["--of", "nothing"], "There is no alert `nothing`"),
        (["ws-1", "--kind", "hash"], "ws-1 is no hash"),
        (["ws-1", "--kind", "thing"], "--kind cannot be 'thing'"),
        (["  "], "VALUE: cannot be empty"),
        (["ws-1", "--limit", "-1"], "--limit takes a number"),
        (["ws-1", "--filter", "sev:x"], "x is not a severity"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_said_in_one_sentence(pivots, limegrove, options, said):
    answer = limegrove("alert", "pivot", *options)

    assert answer.code == 2
    assert said in answer.err
    assert len(answer.err.strip().splitlines()) == 1
