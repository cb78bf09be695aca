"""Until when alerts have to be acknowledged and resolved, and how long that took."""

import json
from typing import Any

import pytest
from sqlalchemy import select, text

from store import ingest, sla, tree
from store.alerts import SEVERITIES
from store.database import Store
from store.models import Detection

NOW = 1_790_000_000_000
MINUTE = 60_000

_D = Detection.__table__  # type: ignore[attr-defined]


def node(id_: str, parent: str | None, oid: str | None = None, **parameters: Any) -> tree.TreeNode:
    return tree.TreeNode(id_, parent, id_, oid, parameters=parameters)


def detection(number: int, level: str, time: int = NOW) -> ingest.NewDetection:
    raw = {"detect_id": f"d{number}", "gen_time": time, "detect_mtd": {"level": level}}
    return ingest.detection_from(json.dumps(raw).encode(), "o", received=NOW)


def minutes(found: sla.Targets) -> dict[str, tuple[int, int]]:
    pairs = zip(SEVERITIES, found.acknowledge, found.resolve, strict=True)
    return {word: (first // MINUTE, second // MINUTE) for word, first, second in pairs}


def test_without_a_word_of_anybody_the_targets_are_those_of_cases(store: Store) -> None:
    with store.reader.reading() as c:
        found = sla.targets(c, "o1")
    assert minutes(found) == {
        "critical": (15, 240), "high": (15, 720), "medium": (60, 1440), "low": (100, 2800), "info": (480, 10080),
    }  # fmt: skip
    assert set(found.sources) == {"default"}
    assert found.problems == ()


def test_the_tree_says_more_than_cases_and_cases_more_than_nobody(store: Store) -> None:
    with store.writing() as c:
        tree.replace_tree(
            c,
            [
                node("root", None, sla_critical="30m/8h", sla_high="1h/1d"),
                node("gold", "root", sla_critical="5m/1h"),
                node("n1", "gold", "o1", sla_low="2d/9d"),
                node("n2", "root", "o2"),
            ],
        )
        config = {
            "sla_config": {"medium": {"mtta_minutes": 20, "mttr_minutes": 60}, "low": {"mtta_minutes": 1}}
        }
        assert sla.put_case_configuration(c, "o1", config, now=NOW) == 1
        assert sla.put_case_configuration(c, "o1", config, now=NOW) == 0
    with store.reader.reading() as c:
        found = sla.targets_of(c, ["o1", "o2", "o3"])
    assert minutes(found["o1"]) == {
        "critical": (5, 60), "high": (60, 1440), "medium": (20, 60), "low": (2880, 12960), "info": (480, 10080),
    }  # fmt: skip
    assert found["o1"].sources == ("default", "tree", "cases", "tree", "tree")
    assert minutes(found["o2"])["critical"] == (30, 480)
    assert found["o3"] == sla.DEFAULT


@pytest.mark.parametrize(
    "value", ["15", "15m", "15/240", "4h/15m", "0m/4h", "15m/4h/2", "x/y", 15, None, ["15m", "4h"], "-1m/4h", "15m/4w"]
)  # fmt: skip
def test_what_is_malformed_is_passed_over_and_said(store: Store, value: object) -> None:
    with store.writing() as c:
        tree.replace_tree(
            c,
            [
                node("root", None, sla_high="20m/2h"),
                node("n1", "root", "o1", sla_high=value, sla_low="1h/2h"),
            ],
        )
        found = sla.targets(c, "o1")
    assert minutes(found)["high"] == (20, 120)
    assert minutes(found)["low"] == (60, 120)
    [problem] = found.problems
    assert problem.startswith("sla_high of the node n1 is passed over: ")
    assert problem.endswith(".")


@pytest.mark.parametrize(
    ("text_", "pair"), [("15m/4h", (15, 240)), (" 1H / 2d ", (60, 2880)), ("90m/90m", (90, 90))]
)
def test_a_pair_is_read(text_: str, pair: tuple[int, int]) -> None:
    assert sla.parse_pair(text_) == (pair[0] * MINUTE, pair[1] * MINUTE)


def test_a_configuration_of_cases_of_any_shape_harms_nothing(store: Store) -> None:
    with store.writing() as c:
        for odd in (
            {},
            {"sla_config": None},
            {"sla_config": []},
            {"sla_config": {"high": 7, "low": {"mtta_minutes": "x"}}},
            {"sla_config": {"high": {"mtta_minutes": -4}}},
        ):
            sla.put_case_configuration(c, "o1", odd, now=NOW)
            assert sla.targets(c, "o1").acknowledge == sla.DEFAULT.acknowledge


def test_clocks_are_set_as_detections_come_in(store: Store) -> None:
    with store.writing() as c:
        tree.replace_tree(c, [node("root", None, "o1", sla_high="7m/9m")])
        ingest.put_detections(c, "o1", [detection(1, "high"), detection(2, "low")])
        ingest.put_detections(c, "o2", [detection(3, "high")])
    with store.reader.reading() as c:
        due = dict(c.execute(select(_D.c.detect_id, _D.c.due_at)).all())
    assert due == {"d1": NOW + 7 * MINUTE, "d2": NOW + 100 * MINUTE, "d3": NOW + 15 * MINUTE}


def test_targets_are_asked_for_once_in_a_transaction_and_anew_in_the_next(store: Store) -> None:
    with store.writing() as c:
        assert sla.targets(c, "o1") is sla.targets(c, "o1")
        tree.replace_tree(c, [node("root", None, "o1", sla_high="7m/9m")])
        assert sla.targets(c, "o1") == sla.DEFAULT
        sla.forget(c)
        assert minutes(sla.targets(c, "o1"))["high"] == (7, 9)
    with store.writing() as c:
        tree.replace_tree(c, [node("root", None, "o1", sla_high="8m/9m")])
    with store.reader.reading() as c:
        assert minutes(sla.targets(c, "o1"))["high"] == (8, 9)


def test_clocks_that_run_are_set_anew_and_no_others(store: Store) -> None:
    with store.writing() as c:
        ingest.put_detections(c, "o1", [detection(number, "high") for number in range(4)])
        c.execute(text("UPDATE detection SET status = 1, due_at = time + 720 * 60000 WHERE detect_id = 'd1'"))
        c.execute(text("UPDATE detection SET status = 3, due_at = NULL WHERE detect_id = 'd2'"))
        assert sla.restate(c, "o1") == 0
    with store.writing() as c:
        tree.replace_tree(c, [node("root", None, "o1", sla_high="7m/9m")])
        assert sla.restate(c, "o1") == 3
        due = dict(c.execute(select(_D.c.detect_id, _D.c.due_at)).all())
    assert due == {"d0": NOW + 7 * MINUTE, "d1": NOW + 9 * MINUTE, "d2": None, "d3": NOW + 7 * MINUTE}


def test_median_and_90th_percentile_are_values_that_occurred(store: Store) -> None:
    with store.writing() as c:
        ingest.put_detections(c, "o1", [detection(number, "high") for number in range(10)])
        ingest.put_detections(c, "o2", [detection(number, "low") for number in range(20, 23)])
        ingest.put_detections(c, "o2", [detection(30, "high", NOW - 100 * MINUTE)])
        c.execute(text("UPDATE detection SET acknowledged_at = time + id * 60000 WHERE oid = 'o1'"))
        c.execute(text("UPDATE detection SET acknowledged_at = time + 200 * 60000 WHERE detect_id = 'd21'"))
        c.execute(text("UPDATE detection SET resolved_at = time + 60000 WHERE detect_id = 'd30'"))
    with store.reader.reading() as c:
        high, low = sla.acknowledged(c)
        assert (high.oid, high.severity, high.count, high.median, high.p90) == (
            "o1",
            3,
            10,
            5 * MINUTE,
            9 * MINUTE,
        )
        assert high.within == 10
        assert (low.oid, low.severity, low.count, low.median, low.p90, low.within) == (
            "o2",
            1,
            1,
            200 * MINUTE,
            200 * MINUTE,
            0,
        )
        assert [each.oid for each in sla.resolved(c)] == ["o2"]
        assert sla.resolved(c, since=NOW) == []
        assert sla.resolved(c, until=NOW)[0].within == 1
        assert sla.acknowledged(c, oid="o2") == [low]


def test_the_alerts_of_an_upgraded_store_have_their_clocks(empty_url: str, tmp_path: Any) -> None:
    from contextlib import closing

    from store.database import open_engine
    from store.maintenance import _migrate

    if empty_url.startswith("sqlite"):
        (tmp_path / "store.db").touch()
    engine = open_engine(empty_url, read_only=False)
    _migrate(engine, "0002")
    with engine.begin() as connection:
        for number, (severity, status) in enumerate(((3, 0), (3, 1), (3, 2), (0, 0))):
            connection.exec_driver_sql(
                "INSERT INTO detection (oid, detect_id, severity, time, cat, rule, hostname, sid, event_type,"
                " status, classification, assignee, damaged, version) VALUES"
                f" ('o1', 'd{number}', {severity}, {NOW}, '', '', '', '', '', {status}, 0, '', false, 0)"
            )
    _migrate(engine)
    engine.dispose()
    with closing(Store(empty_url)) as upgraded, upgraded.writing() as c:
        due = dict(c.execute(select(_D.c.detect_id, _D.c.due_at)).all())
        assert sla.restate(c, "o1") == 0
    assert due == {"d0": NOW + 15 * MINUTE, "d1": NOW + 720 * MINUTE, "d2": None, "d3": NOW + 480 * MINUTE}
