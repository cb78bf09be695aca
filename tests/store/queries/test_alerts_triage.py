"""The queue by time to breach, and filtered by what was decided."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from store import ingest, tree, triage
from store.alerts import AlertFilter, parse_filter
from store.database import Store
from store.queries import alerts
from store.triage import Decision, Selection

NOW = 1_790_000_000_000


@pytest.fixture
def queue(store: Store) -> list[dict[str, Any]]:
    """400 alerts over 50 organizations, some claimed, acknowledged, closed, snoozed or tagged."""
    chance = random.Random(11)
    with store.writing() as c:
        names = [{"oid": f"o{n}", "name": f"Org {n}"} for n in range(50)]
        ingest.put_organizations(c, names, complete=True, now=NOW)
        tree.replace_tree(
            c,
            [
                tree.TreeNode("root", None, "All"),
                tree.TreeNode("eu", "root", "EU"),
                *(tree.TreeNode(f"o{n}", "eu" if n < 3 else "root", f"Org {n}", f"o{n}") for n in range(45)),
            ],
        )
        for n in range(50):
            raws = [
                {
                    "detect_id": f"{n}-{k}", "cat": chance.choice(["Scan", "Beacon"]),
                    "gen_time": NOW - chance.randrange(30) * 60_000,
                    "routing": {"hostname": f"h{chance.randrange(12)}"},
                    "detect_mtd": {"level": chance.choice(["low", "medium", "high", "critical"])},
                }
                for k in range(8)
            ]  # fmt: skip
            ingest.put_detections(
                c,
                f"o{n}",
                [ingest.detection_from(json.dumps(raw).encode(), f"o{n}", received=NOW) for raw in raws],
            )
        for decision, step in (
            (Decision("claim", "ann"), 7),
            (Decision("claim", "bob", acknowledge=False), 11),
            (Decision("close", "bob", classification=2, held=True), 9),
            (Decision("snooze", "ann", until=NOW, held=True), 13),
            (Decision("tag", "ann", add=("vip",)), 5),
        ):
            action = triage.begin(c, decision, Selection(ids=tuple(range(step, 401, step))), now=NOW)
            while triage.proceed(c, action, actor="x", now=NOW):
                pass
        return [dict(row) for row in c.execute(text("SELECT * FROM detection")).mappings()]


LINES = [
    "", "who:ann", "who:none", "snoozed:yes", "snoozed:any", "due:over", "due:30m", "tag:vip", "tag:vi", "oid:o4",
    "org:org", "org:7", "host:h3", "cat:beacon", "status:any", "status:in_progress", "status:closed", "sev:high",
    "who:bob tag:vip", "scan who:none",
]  # fmt: skip


def fits(row: dict[str, Any], wanted: AlertFilter, line: str) -> bool:
    """What the words of LINES mean, told of a row."""
    asleep = row["snoozed_until"] is not None
    open_ = row["status"] < 2
    number = row["oid"][1:]
    return (
        row["status"] in wanted.statuses
        and row["severity"] >= wanted.severity
        and (open_ or (wanted.order != "due" and wanted.due is None and wanted.snoozed != "yes"))
        and (wanted.snoozed == "any" or not open_ or asleep == (wanted.snoozed == "yes"))
        and (wanted.who is None or row["assignee"] == wanted.who)
        and (not wanted.tag or wanted.tag in row["tags"].split())
        and (wanted.due is None or row["due_at"] <= wanted.due)
        and (not wanted.oid or row["oid"] == wanted.oid)
        and (wanted.organization != "7" or "7" in number)
        and (not wanted.hostname or wanted.hostname in row["hostname"])
        and (not wanted.cat or wanted.cat == row["cat"].lower())
        and (wanted.words != ("scan",) or row["cat"] == "Scan")
        and (wanted.scope != "eu" or number in ("0", "1", "2"))
    )


@pytest.mark.parametrize("order", ["rank", "due"])
@pytest.mark.parametrize("scope", ["", "eu"])
def test_every_filter_pages_in_both_directions_and_counts(
    store: Store, queue: list[dict[str, Any]], scope: str, order: str
) -> None:
    for line in LINES:
        wanted = replace(parse_filter(line, scope=scope, now=NOW, me="ann"), order=order)
        expected = [row for row in queue if fits(row, wanted, line)]
        if order == "due":
            expected.sort(key=lambda row: (row["due_at"], row["id"]))
        else:
            expected.sort(key=lambda row: (row["rank"], row["time"], row["id"]), reverse=True)
        with store.reader.reading() as c:
            everything = alerts.page(c, wanted, limit=1000)
            assert [row.id for row in everything] == [row["id"] for row in expected], line
            down: list[alerts.AlertRow] = []
            while rows := alerts.page(c, wanted, after=down[-1].key if down else None, limit=17):
                down.extend(rows)
            up = alerts.last_page(c, wanted, limit=17)
            while up and (rows := alerts.page(c, wanted, before=up[0].key, limit=17)):
                up = [*rows, *up]
            assert down == up == everything, line
            if everything:
                at = everything[len(everything) // 2]
                assert alerts.page(c, wanted, starting=at.key, limit=1) == [at]
            assert alerts.count(c, wanted) == alerts.Count(len(expected), True), line
            hidden = [row for row in queue if fits(row, replace(wanted, snoozed="yes"), line)]
            assert alerts.snoozed(c, wanted) == len(hidden), line
            ids: set[int] = set()
            for conditions in alerts.matching(c, wanted):
                found = c.execute(alerts.select(alerts._D.c.id).where(*conditions)).scalars().all()
                assert not ids & set(found)
                ids |= set(found)
            assert ids == {row["id"] for row in expected}, line


def test_rows_are_found_by_number(store: Store, queue: list[dict[str, Any]]) -> None:
    with store.reader.reading() as c:
        assert {row.id for row in alerts.rows_of(c, [3, 9, 3, 100_000])} == {3, 9}


@pytest.mark.parametrize("line", ["", "who:none", "due:over", "status:new", "org:org"])
def test_the_queue_by_time_to_breach_is_read_from_its_index_and_never_sorted(
    a_store: Callable[[], Store], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "_SORTED", 0)
    store = a_store()
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": "o1", "name": "Org"}], complete=True, now=NOW)
        ingest.put_detections(c, "o1", [ingest.detection_from(b'{"detect_id": "x"}', "o1", received=NOW)])
    with store.reader.reading() as c:
        [statement] = alerts.statements(c, replace(parse_filter(line, now=NOW), order="due"))
        shown = " | ".join(_explain(c, statement))
    assert "USING INDEX ix_detection_due" in shown
    assert "TEMP B-TREE" not in shown


def test_a_few_organizations_are_gathered_rather_than_all_walked(a_store: Callable[[], Store]) -> None:
    store = a_store()
    with store.writing() as c:
        ingest.put_detections(c, "o1", [ingest.detection_from(b'{"detect_id": "x"}', "o1", received=NOW)])
    with store.reader.reading() as c:
        [statement] = alerts.statements(c, AlertFilter(oid="o1", order="due"))
        page, *within = _explain(c, statement)
    assert page.startswith("SEARCH detection USING INTEGER PRIMARY KEY")
    # Several indexes begin with the organization, and without statistics SQLite takes any.
    assert any(line.startswith("SEARCH detection USING INDEX") and "(oid=?" in line for line in within)
    assert not any(line.startswith("SCAN detection") for line in within)


def _explain(c: Any, statement: Any) -> list[str]:
    compiled = statement.compile(c, compile_kwargs={"literal_binds": True})
    return [str(row[-1]) for row in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")]
