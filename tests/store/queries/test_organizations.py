"""The tree and what is rolled up over it."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event, insert, update

from store import ingest
from store.database import Store
from store.models import Detection, DetectionCount, Node, OrganizationError, Sensor
from store.queries import organizations as queries
from store.queries.rollup import Rollup

NOW = 1_795_000_000_000
HOUR = 3_600_000
OIDS = [f"0000000{number}-aaaa-4bbb-8ccc-00000000000{number}" for number in range(6)]


def _provider(store: Store) -> None:
    """root > (eu > (org 0 > org 1), org 2), (us > org 3); org 4 without a node; org 5 never synced, in us."""
    nodes = [
        ("root", None, "Provider", None, 0, 6, 0, "", {"sla": "4h"}, []),
        ("eu", "root", "Europe", None, 1, 4, 1, "Europe", {"region": "eu"}, ["frozen"]),
        ("n0", "eu", "Acme", OIDS[0], 2, 3, 2, "Europe/Acme", {"sla": "15m"}, ["protected"]),
        ("n1", "n0", "Acme Lab", OIDS[1], 3, 3, 3, "Europe/Acme/Acme Lab", {}, []),
        ("n2", "eu", "Borealis", OIDS[2], 4, 4, 2, "Europe/Borealis", {}, []),
        ("us", "root", "Americas", None, 5, 6, 1, "Americas", {}, []),
        ("n5", "us", "Never", OIDS[5], 6, 6, 2, "Americas/Never", {}, []),
    ]
    names = ["id", "parent_id", "name", "oid", "first", "last", "depth", "path", "labels", "marks"]
    with store.writing() as c:
        ingest.put_organizations(
            c,
            [
                {
                    "oid": oid,
                    "name": f"Org {n}",
                    "region": "eu",
                    "status": "",
                    "sensor_quota": 10,
                    "details": {},
                }
                for n, oid in enumerate(OIDS)
            ],
            complete=True,
            now=NOW,
        )
        for node in nodes:
            c.execute(insert(Node).values(dict(zip(names, node, strict=True)) | {"parameters": {}}))
        for oid in OIDS[:5]:
            ingest.put_sync_state(c, oid, "detections", checked_at=NOW - 1000, attempted_at=NOW - 1000)
        ingest.put_sync_state(
            c, OIDS[2], "detections", attempted_at=NOW, failure="auth", reason="The key was refused."
        )
        c.execute(
            insert(DetectionCount),
            [
                {"oid": OIDS[0], "severity": 4, "status": 0, "count": 3},
                {"oid": OIDS[0], "severity": 2, "status": 1, "count": 4},
                {"oid": OIDS[0], "severity": 4, "status": 3, "count": 50},
                {"oid": OIDS[1], "severity": 1, "status": 0, "count": 5},
                {"oid": OIDS[4], "severity": 3, "status": 0, "count": 7},
            ],
        )
        c.execute(
            insert(OrganizationError).values(oid=OIDS[1], component="outputs/siem", error="refused", time=NOW)
        )
        c.execute(
            insert(Sensor),
            [
                {"oid": OIDS[0], "sid": f"s{n}", "hostname": f"h{n}", "platform": 268435456, "alive": NOW - n * 30 * HOUR,
                 "architecture": 2, "internal_ip": "", "external_ip": "", "isolated": False, "tags": [], "details": {}}
                for n in range(3)
            ],
        )  # fmt: skip


def test_a_parent_counts_everything_below_it_and_itself(store: Store) -> None:
    _provider(store)
    with store.reader.reading() as c:
        rows = {row.id: row for row in queries.tree(c, now=NOW)}
    assert (rows["n0"].organizations, rows["n0"].open_alerts, rows["n0"].by_severity) == (
        2,
        12,
        (0, 5, 4, 0, 3),
    )
    assert (rows["eu"].organizations, rows["eu"].fresh, rows["eu"].failed, rows["eu"].sensors) == (3, 2, 1, 3)
    assert (rows["root"].organizations, rows["root"].open_alerts) == (6, 19)


def test_the_tree_is_answered_depth_first_and_what_has_no_node_comes_last(store: Store) -> None:
    _provider(store)
    with store.reader.reading() as c:
        rows = queries.tree(c, now=NOW)
    assert [row.id for row in rows] == [
        "root",
        "eu",
        "n0",
        "n1",
        "n2",
        "us",
        "n5",
        "unplaced",
        OIDS[3],
        OIDS[4],
    ]
    assert rows[-1].parent_id == "unplaced"
    assert rows[-3].open_alerts == 7


def test_health_is_the_worst_below_and_unknown_is_not_healthy(store: Store) -> None:
    _provider(store)
    with store.reader.reading() as c:
        rows = {row.id: row for row in queries.tree(c, now=NOW)}
    assert (rows["n1"].health, rows["n1"].reason) == ("partly", "a standing error")
    assert (rows["n2"].health, rows["n2"].reason) == ("failed", "The key was refused.")
    assert (rows["eu"].health, rows["eu"].reason) == ("failed", "1 failed, 2 partly")
    assert (rows["us"].health, rows["us"].reason) == ("unknown", "never synced")
    assert rows["us"].synced_at is None
    assert rows[OIDS[3]].health == "well"


def test_labels_and_marks_are_inherited_and_the_nearer_label_wins(store: Store) -> None:
    _provider(store)
    with store.reader.reading() as c:
        rows = {row.id: row for row in queries.tree(c, now=NOW)}
        detail = queries.organization(c, OIDS[1], now=NOW)
    assert rows["n1"].labels == {"sla": "15m", "region": "eu"}
    assert rows["n1"].marks == ("frozen", "protected")
    assert detail is not None
    assert (detail.labels, detail.marks) == ({"sla": "15m", "region": "eu"}, ("frozen", "protected"))


def test_completeness_names_every_organization_that_a_total_lacks(store: Store) -> None:
    _provider(store)
    with store.reader.reading() as c:
        everywhere = queries.completeness(c, now=NOW)
        later = queries.completeness(c, scope="eu", now=NOW + HOUR)
    assert (everywhere.organizations, everywhere.fresh, everywhere.oldest) == (6, 4, NOW - 1000)
    assert {(oid, state) for oid, _, state, _ in everywhere.missing} == {
        (OIDS[2], "failed"),
        (OIDS[5], "never"),
    }
    assert (later.organizations, later.fresh) == (3, 0)
    assert {state for _, _, state, _ in later.missing} == {"stale", "failed"}


def test_a_scope_holds_an_organization_and_its_children(store: Store) -> None:
    _provider(store)
    with store.reader.reading() as c:
        assert [row.oid for row in queries.organizations(c, scope="n0", now=NOW)] == [OIDS[0], OIDS[1]]
        assert [row.oid for row in queries.organizations(c, scope="unplaced", now=NOW)] == [OIDS[3], OIDS[4]]
        assert len(queries.organizations(c, scope="root", now=NOW)) == 6
        assert queries.organizations(c, scope="nowhere", now=NOW) == []


def test_an_organization_that_is_no_longer_listed_is_kept_last_and_not_counted_on(store: Store) -> None:
    _provider(store)
    with store.writing() as c:
        ingest.put_organizations(
            c,
            [
                {"oid": oid, "name": "x", "region": "", "status": "", "sensor_quota": 1, "details": {}}
                for oid in OIDS[1:]
            ],
            complete=True,
            now=NOW,
        )
    with store.reader.reading() as c:
        rows = queries.organizations(c, now=NOW)
        assert (rows[-1].oid, rows[-1].gone) == (OIDS[0], True)
        assert queries.completeness(c, now=NOW).organizations == 5


def test_the_detail_of_one_organization_counts_its_sensors_by_platform_and_who_was_heard_of_today(
    store: Store,
) -> None:
    _provider(store)
    with store.reader.reading() as c:
        detail = queries.organization(c, OIDS[0], now=NOW)
        assert queries.organization(c, "nobody", now=NOW) is None
    assert detail is not None
    assert detail.platforms == ((268435456, 3, 1),)
    assert detail.subjects == (("detections", NOW - 1000, "", ""),)
    assert len(detail.days) == 14


def test_without_any_tree_every_organization_stands_below_one_root(store: Store) -> None:
    with store.writing() as c:
        ingest.put_organizations(
            c,
            [{"oid": OIDS[0], "name": "Acme", "region": "", "status": "", "sensor_quota": 1, "details": {}}],
            complete=True,
            now=NOW,
        )
    with store.reader.reading() as c:
        rows = queries.tree(c, now=NOW)
    assert [(row.id, row.organizations) for row in rows] == [("", 1), ("unplaced", 1), (OIDS[0], 1)]


def test_an_organization_is_found_by_oid_by_name_and_by_the_beginning_of_its_oid(store: Store) -> None:
    _provider(store)
    with store.reader.reading() as c:
        assert queries.find_organization(c, OIDS[2]) == [(OIDS[2], "Org 2")]
        assert queries.find_organization(c, "Org 3") == [(OIDS[3], "Org 3")]
        assert queries.find_organization(c, "00000004") == [(OIDS[4], "Org 4")]
        assert queries.find_organization(c, "Org") == []
        assert queries.find_node(c, "Europe/Acme") == [("n0", "Europe/Acme")]
        assert queries.find_node(c, "Acme Lab") == [("n1", "Europe/Acme/Acme Lab")]
        assert queries.find_node(c, "eur") == []


def _plans(store: Store, ask: Callable[[Any], object], table: str) -> list[str]:
    """How SQLite carries out what is asked of a table, with the values bound as they are when it is asked."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if f"FROM {table} " in " ".join(statement.split()) + " ":
            asked.append((statement, parameters))

    with store.reader.reading() as connection:
        event.listen(connection, "before_cursor_execute", note)
        ask(connection)
        event.remove(connection, "before_cursor_execute", note)
        assert asked
        return [
            " | ".join(row[-1] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + sql, values))
            for sql, values in asked
        ]


def test_what_is_open_is_found_by_the_indexes_of_what_is_open(a_store: Callable[[], Store]) -> None:
    store = a_store()
    _provider(store)
    with store.writing() as c:
        records = [
            ingest.detection_from(b'{"detect_id": "d%d", "cat": "c", "ts": %d}' % (n, NOW), OIDS[0])
            for n in range(20)
        ]
        ingest.put_detections(c, OIDS[0], records)
    kept = Rollup()
    with store.reader.reading() as c:
        kept.overview(c, now=NOW)
    with store.writing() as c:
        record = ingest.detection_from(b'{"detect_id": "late", "cat": "c", "ts": %d}' % NOW, OIDS[0])
        ingest.put_detections(c, OIDS[0], [record])
        c.execute(update(Detection).where(Detection.oid == OIDS[0]).values(assignee="kim"))
    refreshed = " | ".join(_plans(store, lambda c: kept.overview(c, now=NOW), "detection"))
    for index in (
        "ix_detection_due_oid (oid=? AND due_at<?)", "ix_detection_due_oid (oid=? AND due_at>?)",
        "ix_detection_queue_oid (oid=? AND rank=?)", "ix_detection_held (oid=?)",
    ):  # fmt: skip
        assert f"INDEX {index}" in refreshed, refreshed
    assert "SCAN detection" not in refreshed
    one = _plans(store, lambda c: queries.organization(c, OIDS[0], now=NOW), "detection")
    assert any("INDEX ix_detection_queue_oid (oid=? AND rank>?)" in plan for plan in one), one
