"""Pages of the queue: every filter, both directions, by index alone."""

import operator
import random
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import text

from store import ingest, textindex, tree
from store.alerts import AlertFilter, parse_filter
from store.database import Store
from store.queries import alerts

NOW = 1_790_000_000_000
ORGANIZATIONS = {
    f"o{n}": name for n, name in enumerate(["Acme Dental", "Borealis", "Größe AG", "Delta"] * 15)
}


@pytest.fixture
def store(module_store: Store) -> Store:
    """That of all tests here, none of which writes."""
    return module_store


@pytest.fixture(scope="module")
def queue(module_store: Store) -> list[dict[str, Any]]:
    """600 alerts over 60 organizations, many of the same severity and time; some are closed."""
    chance = random.Random(7)
    expected = []
    with module_store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": oid, "name": name} for oid, name in ORGANIZATIONS.items()], complete=True, now=NOW
        )
        tree.replace_tree(
            c,
            [
                tree.TreeNode("root", None, "All"),
                tree.TreeNode("eu", "root", "EU"),
                tree.TreeNode("us", "root", "US"),
                *(
                    tree.TreeNode(oid, "eu" if int(oid[1:]) < 3 else "us", f"{name} {oid}", oid)
                    for oid, name in list(ORGANIZATIONS.items())[:55]
                ),
            ],
        )
        for oid in ORGANIZATIONS:
            records = []
            for n in range(10):
                hostname, cat = (
                    f"host{chance.randrange(9)}",
                    chance.choice(["Scan", "Encoded PÖWER", "a_b%c", "x"]),
                )
                records.append(
                    ingest.NewDetection(
                        f"{oid}-{n}", chance.randrange(5), NOW - chance.randrange(40) * 1000, cat,
                        chance.choice(["general.a", "managed.b"]), hostname, "s", "E", None, False, b"{}",
                    )
                )  # fmt: skip
            ingest.put_detections(c, oid, records)
        c.execute(text("UPDATE detection SET status = 3 WHERE id % 10 = 0"))
        c.execute(text("UPDATE detection SET status = 1 WHERE id % 10 = 1"))
        c.execute(text("DELETE FROM detection_count"))
        c.execute(
            text(
                "INSERT INTO detection_count (oid, severity, status, count) "
                "SELECT oid, severity, status, count(*) FROM detection GROUP BY oid, severity, status"
            )
        )
        for row in c.execute(text("SELECT * FROM detection")).mappings():
            expected.append(dict(row))
    expected.sort(key=lambda row: (row["severity"], row["time"], row["id"]), reverse=True)
    return expected


FILTERS = [
    "", "sev:high", "status:any", "status:closed", "status:new", "status:in_progress,closed", "cat:scan", "cat:SC",
    "cat:pöwer", "cat:_b%", "host:HOST3", "host:host", "rule:managed", "org:acme", "org:GRÖ", "oid:o7", "oid:o7 cat:x",
    "oid:o7 org:acme", "scan host3", "borealis", "größe sev:medium", "since:20s", "until:20s", "since:30s until:10s",
    "cat:nothing", "org:nothing", "oid:nobody", "cat:scan host:host3 sev:low", "org:delta cat:x status:any",
]  # fmt: skip


def _matches(row: dict[str, Any], wanted: AlertFilter, scope: set[str]) -> bool:
    name = ORGANIZATIONS[row["oid"]]

    def has(whole: str, part: str) -> bool:
        return part.casefold() in whole.casefold()

    return (
        row["oid"] in scope
        and row["severity"] >= wanted.severity
        and row["status"] in wanted.statuses
        and (not wanted.oid or row["oid"] == wanted.oid)
        and has(row["cat"], wanted.cat)
        and has(row["hostname"], wanted.hostname)
        and has(row["rule"], wanted.rule)
        and has(name, wanted.organization)
        and all(
            any(has(each, word) for each in (row["cat"], row["hostname"], row["rule"], name))
            for word in wanted.words
        )
        and (wanted.since is None or row["time"] >= wanted.since)
        and (wanted.until is None or row["time"] < wanted.until)
    )


SCOPES = {
    "": set(ORGANIZATIONS),
    "root": set(ORGANIZATIONS),
    "eu": {"o0", "o1", "o2"},
    "us": {f"o{n}" for n in range(3, 55)},
    "o9": {"o9"},
    "unplaced": {f"o{n}" for n in range(55, 60)},
    "o57": {"o57"},
    "nowhere": set(),
}


def test_every_filter_in_every_scope_answers_exactly_what_matches(
    store: Store, queue: list[dict[str, Any]]
) -> None:
    with store.reader.reading() as connection:
        for scope, oids in SCOPES.items():
            for line in FILTERS:
                wanted = parse_filter(line, scope=scope, now=NOW)
                expected = [row["id"] for row in queue if _matches(row, wanted, oids)]
                found = alerts.page(connection, wanted, limit=1000)
                assert [row.id for row in found] == expected, (scope, line)
                assert alerts.count(connection, wanted) == alerts.Count(len(expected), True), (scope, line)


def test_what_is_too_common_to_be_gathered_is_picked_out_of_the_queue_with_the_same_answer(
    store: Store, queue: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line for line in FILTERS if any(each in line for each in ("cat", "host", "rule", "scan", "gr"))]
    with store.reader.reading() as connection:
        gathered = [alerts.page(connection, parse_filter(line, now=NOW), limit=1000) for line in lines]
        monkeypatch.setattr(alerts, "GATHERED", 0)
        by_number = [alerts.page(connection, parse_filter(line, now=NOW), limit=1000) for line in lines]
        assert by_number == gathered
        monkeypatch.setattr(alerts, "PICKED", 0)
        walked = [alerts.page(connection, parse_filter(line, now=NOW), limit=1000) for line in lines]
        assert walked == gathered
        monkeypatch.setattr(textindex, "SPREAD", 0)  # so many labels that the columns are looked at
        assert [
            alerts.page(connection, parse_filter(line, now=NOW), limit=1000) for line in lines
        ] == gathered
        assert any(gathered)


@pytest.mark.parametrize(
    "line", ["cat:scan", "host:host3", "rule:managed", "host3 sev:low", "cat:scan oid:o7"]
)
def test_few_that_the_text_index_names_are_read_by_their_ids(
    store: Store, queue: list[dict[str, Any]], line: str
) -> None:
    if store.dialect != "sqlite":
        return  # what PostgreSQL does with 600 rows says nothing
    with store.reader.reading() as connection:
        [statement] = alerts.statements(connection, parse_filter(line))
        plan = " | ".join(_explain(connection, statement, "EXPLAIN QUERY PLAN "))
        assert "SEARCH detection USING INTEGER PRIMARY KEY" in plan, plan
        assert "detection_text VIRTUAL TABLE" in plan, plan


def test_more_of_them_are_picked_by_the_numbers_that_the_index_of_the_queue_has(
    store: Store, queue: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.dialect != "sqlite":
        return  # what PostgreSQL does with 600 rows says nothing
    monkeypatch.setattr(alerts, "GATHERED", 0)
    with store.reader.reading() as connection:
        [statement] = alerts.statements(connection, parse_filter("rule:managed"))
        plan = " | ".join(_explain(connection, statement, "EXPLAIN QUERY PLAN "))
        assert "USING INDEX ix_detection_queue" in plan, plan
        assert "detection_text VIRTUAL TABLE" in plan, plan
        assert "TEMP B-TREE" not in plan, plan


@pytest.mark.parametrize("few", [3_000, 0], ids=["gathered", "picked"])
def test_the_quick_way_answers_what_the_general_one_does(
    store: Store, queue: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(alerts, "GATHERED", few)
    lines = [
        "",
        "sev:high",
        "status:resolved,closed",
        "oid:o7",
        "oid:o7 sev:low",
        "snoozed:any",
        "snoozed:yes",
        "rule:managed",
        "rule:nothing",
        "host:host1 sev:low",
        "cat:s host:host1 status:resolved,closed",
    ]
    places: list[dict[str, Any]] = [
        {}, {"after": (2, NOW - 20_000, 300)}, {"before": (2, NOW - 9_000, 9)}, {"starting": (3, NOW, 7)},
    ]  # fmt: skip
    asked = [
        (parse_filter(line, scope=scope, now=NOW), place)
        for line in lines
        for scope in SCOPES
        for place in places
    ]
    monkeypatch.setattr(alerts, "_PROBES", 1)  # walks the queue even for a node of three
    with store.reader.reading() as connection:
        quickly = [alerts.page(connection, wanted, limit=40, **place) for wanted, place in asked]
        taken = [
            alerts._quick(connection, wanted, [], 40, backwards=False) is not None for wanted, _ in asked
        ]
        monkeypatch.setattr(alerts, "_quick", lambda *_arguments, **_options: None)
        assert [alerts.page(connection, wanted, limit=40, **place) for wanted, place in asked] == quickly
    assert sum(taken) > len(taken) // 3
    assert any(took and wanted.hostname for (wanted, _), took in zip(asked, taken, strict=True))
    assert any(quickly)


@pytest.mark.parametrize(
    ("line", "index"),
    [("", "queue "), ("sev:high", "queue "), ("status:resolved,closed", "done "), ("oid:o7", "queue_oid "), ("snoozed:any", "queue ")],
)  # fmt: skip
def test_the_quick_way_reads_one_index_and_never_sorts(
    a_store: Callable[[], Store], line: str, index: str
) -> None:
    store = a_store()
    with store.reader.reading() as connection:
        bound = (operator.lt, (2, NOW, 5))
        made = alerts._quick(connection, parse_filter(line), [bound], 50, backwards=False)
        assert made is not None
        sql, values = made
        shown = " | ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values))
    assert f"USING INDEX ix_detection_{index}" in shown + " "
    assert "TEMP B-TREE" not in shown


def test_how_many_there_were_a_moment_ago_decides_how_they_are_read_and_not_which(
    a_store: Callable[[], Store],
) -> None:
    store = a_store()
    wanted = parse_filter("rule:odd")

    def shown() -> list[str]:
        with store.reader.reading() as connection:
            return sorted(row.detect_id for row in alerts.page(connection, wanted))

    def put(name: str) -> None:
        raw = f'{{"detect_id": "{name}", "source_rule": "general.odd"}}'.encode()
        with store.writing() as connection:
            ingest.put_detections(connection, "o1", [ingest.detection_from(raw, "o1")])

    assert shown() == []
    for names in (["a"], ["a", "b"], ["a", "b", "c"]):
        put(names[-1])
        assert shown() == names
    with store.writing() as connection:
        connection.execute(text("UPDATE detection SET status = 3 WHERE detect_id <> 'b'"))
    assert shown() == ["b"]


@pytest.mark.parametrize("scope", ["", "us", "eu"])
@pytest.mark.parametrize("line", ["", "cat:s", "status:any", "host:host1 sev:low", "acme"])
def test_paging_down_and_up_meets_every_alert_once(
    store: Store, queue: list[dict[str, Any]], line: str, scope: str
) -> None:
    wanted = parse_filter(line, scope=scope, now=NOW)
    with store.reader.reading() as connection:
        everything = alerts.page(connection, wanted, limit=1000)
        down: list[alerts.AlertRow] = []
        while rows := alerts.page(connection, wanted, after=down[-1].key if down else None, limit=17):
            down.extend(rows)
        up = alerts.last_page(connection, wanted, limit=17)
        while rows := alerts.page(connection, wanted, before=up[0].key, limit=17):
            up = [*rows, *up]
        assert down == up == everything
        at = everything[len(everything) // 2]
        assert alerts.page(connection, wanted, starting=at.key, limit=1) == [at]


def test_an_alert_has_its_organization_s_name_and_path_and_body(
    store: Store, queue: list[dict[str, Any]]
) -> None:
    with store.reader.reading() as connection:
        [found] = alerts.by_detect_id(connection, "o0-3")
        assert found.row.organization == "Acme Dental"
        assert found.path == "EU/Acme Dental o0"
        assert found.body == b"{}"
        assert alerts.detail(connection, found.row.id) == found
        assert alerts.detail(connection, 10**9) is None
        assert alerts.by_detect_id(connection, "nothing") == []
        [unplaced] = alerts.by_detect_id(connection, "o58-0")
        assert unplaced.path == ORGANIZATIONS["o58"]


def test_two_organizations_that_share_an_id_are_both_answered(empty_url: str) -> None:
    with closing(Store(empty_url)) as store:
        with store.writing() as connection:
            for oid in ("a", "b"):
                ingest.put_detections(connection, oid, [ingest.detection_from(b'{"detect_id": "same"}', oid)])
        with store.reader.reading() as connection:
            assert [found.row.oid for found in alerts.by_detect_id(connection, "same")] == ["a", "b"]


def test_counting_what_no_counter_knows_stops_at_the_cap(store: Store, queue: list[dict[str, Any]]) -> None:
    with store.reader.reading() as connection:
        assert alerts.count(connection, parse_filter("host:host"), cap=50) == alerts.Count(50, False)
        assert alerts.count(connection, parse_filter(""), cap=50).value == 540


@pytest.mark.parametrize(
    ("line", "index"),
    [
        ("", "ix_detection_queue "),
        ("sev:high", "ix_detection_queue "),
        ("status:new", "ix_detection_queue "),
        ("status:closed", "ix_detection_done "),
        ("oid:o7", "ix_detection_queue_oid "),
        ("org:acme", "ix_detection_queue_oid "),
    ],
)
def test_a_page_is_read_from_one_index_and_never_sorted(
    store: Store, queue: list[dict[str, Any]], line: str, index: str
) -> None:
    if store.dialect != "sqlite":
        # PostgreSQL chooses by statistics, and of 600 rows it rightly reads them all.
        _explained_by_postgres(store, line, index)
        return
    with store.reader.reading() as connection:
        for statement in alerts.statements(connection, parse_filter(line)):
            plan = " | ".join(_explain(connection, statement, "EXPLAIN QUERY PLAN "))
            assert f"USING INDEX {index}" in plan + " ", (line, plan)
            assert "TEMP B-TREE" not in plan, (line, plan)
            assert "SCAN organization" not in plan, (line, plan)


def _explained_by_postgres(store: Store, line: str, index: str) -> None:
    with store.reader.reading() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.exec_driver_sql("SET LOCAL enable_sort = off")
        connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        for statement in alerts.statements(connection, parse_filter(line)):
            plan = " | ".join(_explain(connection, statement, "EXPLAIN "))
            assert f"using {index}on detection" in plan, (line, plan)
            assert "Sort" not in plan, (line, plan)


def _explain(connection: Any, statement: Any, how: str) -> list[str]:
    compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
    sql = str(compiled).replace("%", "%%") if connection.dialect.name == "postgresql" else str(compiled)
    return [str(row[-1]) for row in connection.exec_driver_sql(how + sql)]


def test_the_next_page_is_a_range_of_the_index(a_store: Callable[[], Store]) -> None:
    store = a_store()
    with store.reader.reading() as connection:
        found = alerts._plan(connection, parse_filter(""))
        assert found is not None
        [statement] = alerts._selects(found, [(operator.lt, (2, NOW, 5))], 50, backwards=False)
        shown = " | ".join(_explain(connection, statement, "EXPLAIN QUERY PLAN "))
    # The id is SQLite's row number, which every index ends with; ties of rank and time are few.
    assert "USING INDEX ix_detection_queue ((rank,time)<(?,?))" in shown
    assert "TEMP B-TREE" not in shown
