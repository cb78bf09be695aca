"""What is known around an alert: its rule, its fold, why it is back, and what else its host did."""

import json
from typing import Any

import pytest
from sqlalchemy import insert, text, update

from store import ingest, models, triage
from store.configuration import Record
from store.database import Store
from store.queries import alert_context, alerts
from store.queries.alert_context import AROUND, NEIGHBOURS, context_of, origin_of, whole
from store.triage import Decision

NOW = 1_790_000_000_000


def put(store: Store, oid: str, *records: ingest.NewDetection) -> None:
    with store.writing() as c:
        ingest.put_detections(c, oid, list(records))


def one(
    number: int, *, at: int = NOW, sid: str = "s1", host: str = "web-1", **more: Any
) -> ingest.NewDetection:
    return ingest.NewDetection(
        f"d{number}",
        3,
        at,
        f"cat {number}",
        more.get("rule", "general.a"),
        host,
        sid,
        "E",
        None,
        False,
        b"{}",
    )


def row_of(store: Store, detect_id: str) -> alerts.AlertRow:
    with store.reader.reading() as c:
        return next(iter(alerts.by_detect_id(c, detect_id))).row


def origin(store: Store, rule: str) -> Any:
    with store.reader.reading() as c:
        return origin_of(c, "o1", rule)


def test_a_rule_is_told_with_who_changed_it_last(store: Store) -> None:
    with store.writing() as c:
        record = Record({"detect": {}}, {"enabled": True}, "e1", "dana@mssp.example", NOW - 5000)
        ingest.put_configuration(c, "o1", "hive/dr-general", {"a": record}, NOW)
        ingest.put_configuration(c, "o1", "hive/dr-managed", {"m": record}, NOW)
        ingest.put_configuration(c, "o2", "hive/dr-general", {"b": record}, NOW)
        ingest.put_sync_state(c, "o1", "configuration", checked_at=NOW)
    found = origin(store, "general.a")
    assert (found.namespace, found.name, found.state) == ("general", "a", "enabled")
    assert (found.changed_at, found.changed_by) == (NOW - 5000, "dana@mssp.example")
    assert origin(store, "m").namespace == "managed"  # a bare name is looked for everywhere
    assert origin(store, "general.b").state == "missing"  # another organization's is not this one's
    assert origin(store, "") is None


def test_a_rule_that_was_disabled_or_went_says_so(store: Store) -> None:
    record = Record({"detect": {}}, {"enabled": True}, "e1", "", None)
    with store.writing() as c:
        ingest.put_configuration(c, "o1", "hive/dr-general", {"a": record, "b": record}, NOW)
        ingest.put_sync_state(c, "o1", "configuration", checked_at=NOW)
    assert origin(store, "general.a").changed_at == NOW  # no time of the cloud's: when it was first seen
    with store.writing() as c:
        off = Record({"detect": {}}, {"enabled": False}, "e2", "kim", NOW + 1)
        ingest.put_configuration(c, "o1", "hive/dr-general", {"b": off}, NOW + 2)
    assert origin(store, "general.b").state == "disabled"
    gone = origin(store, "general.a")
    assert (gone.state, gone.changed_at) == ("missing", NOW + 2)


def test_of_a_configuration_that_was_never_read_nothing_is_claimed(store: Store) -> None:
    assert origin(store, "general.a").state == "unknown"
    with store.writing() as c:
        ingest.put_sync_state(c, "o1", "configuration", checked_at=NOW)
    assert origin(store, "general.a").state == "missing"
    assert origin(store, "some extension's").state == "unknown"  # no hive lists those


def test_the_other_alerts_of_a_host_are_told_oldest_first(store: Store) -> None:
    put(
        store,
        "o1",
        one(0),
        one(1, at=NOW - 1000),
        one(2, at=NOW + 1000),
        one(3, at=NOW - AROUND - 1),
        one(4, at=NOW + AROUND + 1),
        one(5, sid="s2"),
        one(6, at=NOW),
    )
    put(store, "o2", one(7))
    with store.writing() as c:
        c.execute(text("UPDATE detection SET status = 3, classification = 2 WHERE detect_id = 'd1'"))
    with store.reader.reading() as c:
        found = context_of(c, row_of(store, "d0"))
    assert [each.cat for each in found.neighbours] == ["cat 1", "cat 6", "cat 2"]
    assert (found.neighbours[0].status, found.neighbours[0].classification) == (3, 2)
    assert not found.neighbours_cut


def test_without_a_sensor_the_host_name_counts_and_without_either_nothing(store: Store) -> None:
    put(store, "o1", one(0, sid=""), one(1, sid=""), one(2, sid="", host=""), one(3, sid="", host=""))
    with store.reader.reading() as c:
        assert [each.cat for each in context_of(c, row_of(store, "d0")).neighbours] == ["cat 1"]
        assert context_of(c, row_of(store, "d2")).neighbours == ()


def test_of_a_noisy_host_the_nearest_are_told(store: Store) -> None:
    put(store, "o1", *(one(n, at=NOW + (n - 50) * 1000) for n in range(100)))
    with store.reader.reading() as c:
        found = context_of(c, row_of(store, "d50"))
    expected = [*range(50 - NEIGHBOURS, 50), *range(51, 51 + NEIGHBOURS)]
    assert [each.cat for each in found.neighbours] == [f"cat {n}" for n in expected]
    assert found.neighbours_cut


def test_a_storm_of_other_hosts_bounds_how_far_is_looked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_context, "few_of_host", lambda *_arguments: None)
    put(store, "o1", one(0), one(1, at=NOW - 900_000), one(2, at=NOW - 1000))
    put(store, "o2", *(one(10 + n, at=NOW - 2000 - n, sid="s9") for n in range(60)))
    monkeypatch.setattr(alert_context, "LOOKED", 40)
    with store.reader.reading() as c:
        found = context_of(c, row_of(store, "d0"))
    assert [each.cat for each in found.neighbours] == ["cat 2"]
    assert found.neighbours_cut  # there may be more
    monkeypatch.setattr(alert_context, "LOOKED", 100)
    with store.reader.reading() as c:
        found = context_of(c, row_of(store, "d0"))
    assert [each.cat for each in found.neighbours] == ["cat 1", "cat 2"]
    assert not found.neighbours_cut


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("few", [True, False])
def test_neighbours_are_found_by_host_or_by_time_and_not_by_reading_the_organization(
    store: Store, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not few:
        monkeypatch.setattr(alert_context, "few_of_host", lambda *_arguments: None)
    put(store, "o1", *(one(n, at=NOW + n * 1000) for n in range(300)))
    row = row_of(store, "d5")
    seen: list[str] = []
    with store.reader.reading() as c:
        c.exec_driver_sql("SELECT 1")
        raw = c.connection.dbapi_connection
        assert raw is not None
        raw.set_trace_callback(seen.append)
        context_of(c, row)
        raw.set_trace_callback(None)
        plans = [
            str(line[3]) for statement in seen if statement.startswith("SELECT detection.")
            for line in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")
        ]  # fmt: skip
    assert any(("detection_text" if few else "ix_detection_time") in plan for plan in plans)
    assert not [plan for plan in plans if plan.startswith("SCAN detection ") or "uq_detection" in plan]


def test_fold_snooze_and_clocks_come_with_the_alert(store: Store) -> None:
    put(store, "o1", one(0))
    fold, storm, snooze = (getattr(models, name).__table__ for name in ("Fold", "Storm", "Snooze"))
    row = row_of(store, "d0")
    with store.writing() as c:
        c.execute(storm.delete())
        c.execute(fold.delete())
        c.execute(
            insert(storm).values(
                key=77,
                organizations=61,
                last_verdict=1,
                last_verdict_at=NOW - 4,
                last_verdict_by="lee",
                last_verdict_alert=2,
            )
        )
        c.execute(
            insert(fold).values(
                id=9, oid="o1", storm=77, total=5, open=3, false_positives=2, last_verdict=2,
                last_verdict_at=NOW - 5, last_verdict_by="mk", last_verdict_alert=1,
            )
        )  # fmt: skip
        c.execute(
            insert(snooze).values(
                detection_id=row.id, oid="o1", more=9, reason="vendor asked", by="mk", at=NOW - 9, woken_at=NOW,
                woken_by="9 more came",
            )
        )  # fmt: skip
        detection = models.Detection.__table__  # type: ignore[attr-defined]
        c.execute(update(detection).values(fold_id=9, acknowledged_at=NOW - 3, resolved_at=NOW - 2))
    with store.reader.reading() as c:
        found = whole(c, row.id)
        assert whole(c, row.id + 1000) is None
    assert found is not None
    around = found.around
    assert found.detail.row.detect_id == "d0"
    assert around.fold is not None
    assert (around.fold.open, around.fold.total, around.fold.false_positives) == (3, 5, 2)
    assert (around.fold.last_verdict, around.fold.last_verdict_by, around.fold.organizations) == (2, "mk", 61)
    assert (around.fold.elsewhere, around.fold.elsewhere_at, around.fold.elsewhere_by) == (1, NOW - 4, "lee")
    assert around.snooze is not None
    assert (around.snooze.more, around.snooze.reason, around.snooze.woken_by) == (
        9,
        "vendor asked",
        "9 more came",
    )
    assert (around.acknowledged_at, around.resolved_at) == (NOW - 3, NOW - 2)


def test_decisions_and_notes_come_the_last_first_also_what_was_taken_back(store: Store) -> None:
    put(store, "o1", one(0), one(1))
    row = row_of(store, "d0")
    decide(store, Decision("close", "mk", "backup", classification=2), row.id)
    decide(store, Decision("undo", "mk", of=1), row.id)
    decide(store, Decision("note", "lee", "asked the customer"), row.id)
    with store.reader.reading() as c:
        found = context_of(c, row).decisions
        assert context_of(c, row_of(store, "d1")).decisions == ()
    assert [(each.actor, each.verb, each.comment) for each in found] == [
        ("lee", "note", "asked the customer"),
        ("mk", "undo", ""),
        ("mk", "close", "backup"),
    ]
    assert found[2].outcome == triage.UNDONE


def decide(store: Store, decision: Decision, alert_id: int) -> None:
    with store.writing() as c:
        action = triage.begin(c, decision, triage.Selection((alert_id,)), now=NOW)
        while triage.proceed(c, action, actor="mk@here", now=NOW):
            pass


def test_the_cases_that_hold_it_are_named_and_no_others(store: Store) -> None:
    put(store, "o1", one(0))
    with store.writing() as c:
        rows = [
            {
                "oid": oid,
                "case_number": number,
                "status": "in_progress",
                "assignees": ["mk"],
                "summary": f"case {number}",
            }
            for oid, number in (("o1", 7), ("o1", 9), ("o1", 8), ("o2", 7))
        ]
        ingest.put_cases(c, rows, oids=["o1", "o2"], now=NOW)
        for oid, number, detect_id in (("o1", 9, "d0"), ("o1", 7, "d0"), ("o1", 8, "dx"), ("o2", 7, "d0")):
            ingest.put_case_links(c, oid, number, [{"detect_id": detect_id}])
    with store.reader.reading() as c:
        found = context_of(c, row_of(store, "d0")).cases
    assert [(each.oid, each.name, each.summary) for each in found] == [
        ("o1", "#7", "case 7"),
        ("o1", "#9", "case 9"),
    ]


def test_where_the_most_telling_values_were_seen_is_told_and_the_sensors_own_addresses_are_not(
    store: Store,
) -> None:
    def record(number: int, oid: str, **event: Any) -> None:
        raw = {
            "detect_id": f"x{number}", "cat": "c", "gen_time": NOW - number * 1000,
            "routing": {"hostname": "h", "ext_ip": "198.51.100.9", "int_ip": "10.0.0.9"},
            "detect": {"event": event},
        }  # fmt: skip
        put(store, oid, ingest.detection_from(json.dumps(raw).encode(), oid))

    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": f"o{n}", "name": f"Customer {n}"} for n in range(5)], complete=True, now=NOW
        )
    record(0, "o1", HASH="a" * 64, USER_NAME="kim", COMMAND_LINE="x 203.0.113.7", IP_ADDRESS="198.51.100.9")
    record(1, "o2", HASH="A" * 64)
    record(2, "o3", HASH="b" * 64, COMMAND_LINE="X  203.0.113.7")
    with store.reader.reading() as c:
        found = whole(c, row_of(store, "x0").id)
        assert found is not None
        assert context_of(c, found.detail.row).seen == ()
    told = [(each.kind, each.value, each.where.k, each.where.n) for each in found.around.seen]
    assert told == [
        ("hash", "a" * 64, 2, 5),
        ("address", "203.0.113.7", 2, 5),
        ("command", "x 203.0.113.7", 2, 5),
    ]
    assert found.around.seen[0].where.first == NOW - 1000
