"""Taking in cases: many organizations in one answer, and only what changed is written."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from store import ingest, models
from store.bodies import unpack
from store.database import Change, Store
from store.queries.cases import detail

NOW = 1_790_000_000_000
ONE, TWO, OTHER = ("11111111-1a2b-4c3d-8e9f-001122334455", "22222222-1a2b-4c3d-8e9f-001122334455", "x")


def _row(number: Any = 1, oid: Any = ONE, **fields: Any) -> dict[str, Any]:
    row = {
        "case_id": f"{oid[:8]}-0000-4000-8000-{number:>012}",
        "case_number": number,
        "oid": oid,
        "status": "in_progress",
        "severity": "high",
        "classification": "true_positive",
        "assignees": ["ann@x.example"],
        "tags": ["vip"],
        "summary": "Encoded command",
        "conclusion": "",
        "detection_count": 3,
        "created_at": "2026-09-21T10:00:00.250Z",
        "acknowledged_at": "2026-09-21T10:05:00Z",
        "resolved_at": None,
        "closed_at": None,
        "ttr_seconds": None,
        "merged_into_case_id": None,
        "detection_cats": ["Encoded"],
        "sids": ["s1"],
    }
    return row | fields


def _put(store: Store, *rows: dict[str, Any], oids: tuple[str, ...] = (ONE, TWO), **options: Any) -> int:
    with store.writing() as connection:
        return ingest.put_cases(connection, rows, oids=oids, now=NOW, **options)


def _stored(store: Store) -> dict[tuple[str, int], dict[str, Any]]:
    table = models.CaseRecord.__table__  # type: ignore[attr-defined]
    with store.reader.reading() as connection:
        rows = [dict(row) for row in connection.execute(select(table)).mappings()]
    return {(row["oid"], row["case_number"]): row for row in rows}


def test_a_case_is_kept_with_what_the_queue_needs_and_as_it_came(store: Store) -> None:
    assert _put(store, _row()) == 1
    (row,) = _stored(store).values()
    assert json.loads(unpack(row.pop("body"))) == _row()
    assert len(row.pop("fingerprint")) == 64
    assert row == {
        "oid": ONE, "case_number": 1, "case_id": "11111111-0000-4000-8000-000000000001", "status": 1,
        "severity": 3, "classification": 1, "assignees": ["ann@x.example"], "tags": ["vip"],
        "summary": "Encoded command", "conclusion": "", "detection_count": 3,
        "created_at": 1_789_984_800_250, "acknowledged_at": 1_789_985_100_000, "resolved_at": None,
        "closed_at": None, "merged_into": "",
    }  # fmt: skip


def test_an_equal_answer_writes_nothing_and_nobody_is_told(store: Store) -> None:
    rows = [_row(number, oid) for number in (1, 2, 3) for oid in (ONE, TWO)]
    assert _put(store, *rows) == 6
    heard: list[Change] = []
    stop = store.on_change(heard.append)
    assert _put(store, *reversed(rows)) == 0
    assert _put(store, *rows, complete=True) == 0
    stop()
    assert heard == []


@pytest.mark.parametrize(
    ("field", "value", "column", "kept"),
    [
        ("status", "closed", "status", 3),
        ("severity", "info", "severity", 0),
        ("classification", "false_positive", "classification", 2),
        ("assignees", [], "assignees", []),
        ("tags", ["a", "b"], "tags", ["a", "b"]),
        ("summary", "x", "summary", "x"),
        ("conclusion", "y", "conclusion", "y"),
        ("detection_count", 4, "detection_count", 4),
        ("resolved_at", "2026-09-21T11:00:00Z", "resolved_at", 1_789_988_400_000),
        ("closed_at", "2026-09-21T11:00:00Z", "closed_at", 1_789_988_400_000),
        ("merged_into_case_id", "m", "merged_into", "m"),
    ],
)
def test_only_the_row_that_changed_is_written(
    store: Store, field: str, value: object, column: str, kept: object
) -> None:
    _put(store, _row(1), _row(2), _row(1, TWO))
    before = _stored(store)
    assert _put(store, _row(1), _row(2, **{field: value}), _row(1, TWO)) == 1
    after = _stored(store)
    assert after[ONE, 2][column] == kept != before[ONE, 2][column]
    assert {key for key in after if after[key] != before[key]} == {(ONE, 2)}


def test_what_no_column_shows_is_a_change_too(store: Store) -> None:
    _put(store, _row())
    assert _put(store, _row(sids=["s1", "s2"])) == 1
    assert _put(store, _row(sids=["s1", "s2"], new_field=1)) == 1
    assert json.loads(unpack(_stored(store)[ONE, 1]["body"]))["new_field"] == 1


def test_a_page_deletes_nothing_and_a_whole_listing_what_it_does_not_name(store: Store) -> None:
    _put(store, _row(1), _row(2), _row(1, TWO), _row(2, TWO))
    assert _put(store, _row(2)) == 0
    assert len(_stored(store)) == 4
    assert _put(store, _row(2), oids=(ONE,), complete=True) == 1
    assert set(_stored(store)) == {(ONE, 2), (TWO, 1), (TWO, 2)}
    assert _put(store, oids=(TWO,), complete=True) == 2
    assert set(_stored(store)) == {(ONE, 2)}


def test_more_cases_than_fit_one_statement(store: Store) -> None:
    rows = [_row(number) for number in range(1, 1202)]
    assert _put(store, *rows) == 1201
    assert _put(store, *rows[:100], complete=True) == 1101
    assert len(_stored(store)) == 100


def test_rows_of_others_and_nonsense_are_skipped(store: Store) -> None:
    bad: list[Any] = [
        _row(1, OTHER), _row(0), _row(-1), _row(True), _row(1.5e300), {"oid": ONE}, {}, [], None,
        _row(oid=["x"]),
    ]  # fmt: skip
    assert _put(store, *bad) == 0
    assert _stored(store) == {}


def test_what_is_not_known_stays_in_the_queue(store: Store) -> None:
    odd = _row(
        status="triaged", severity=7, classification=None, assignees=None, tags="a,b", summary=None,
        conclusion="nul \0 here", detection_count="many", created_at="soon", acknowledged_at=0,
    )  # fmt: skip
    assert _put(store, odd) == 1
    row = _stored(store)[ONE, 1]
    assert (row["status"], row["severity"], row["classification"]) == (0, 2, 0)
    assert (row["assignees"], row["tags"], row["summary"]) == ([], ["a", "b"], "")
    assert (row["conclusion"], row["detection_count"]) == ("nul \\x00 here", 0)
    assert (row["created_at"], row["acknowledged_at"]) == (NOW, None)
    with store.writing() as connection:
        ingest.put_cases(connection, [odd | {"summary": "x"}], oids=[ONE], now=NOW + 5)
    assert _stored(store)[ONE, 1]["created_at"] == NOW


@pytest.mark.parametrize("newest_first", [False, True])
def test_what_happened_at_one_time_stays_in_the_order_of_the_cloud(store: Store, newest_first: bool) -> None:
    _put(store, _row())
    listed = [("z", "10:00"), ("c", "10:05"), ("b", "10:05"), ("d", "10:05"), ("a", "10:05"), ("y", "10:06")]
    events = [
        {"event_id": name, "ts": f"2026-09-21T{clock}:00Z", "action": "case_tags_updated", "by": "mk"}
        for name, clock in (reversed(listed) if newest_first else listed)
    ]
    with store.writing() as connection:
        assert ingest.put_case_events(connection, ONE, 1, events, now=NOW) == 6
        assert ingest.put_case_events(connection, ONE, 1, events, now=NOW) == 0
    with store.reader.reading() as connection:
        found = detail(connection, ONE, 1)
    assert found is not None
    assert [event.event_id for event in found.events] == ["z", "c", "b", "d", "a", "y"]


def test_a_case_that_changed_is_newer_than_what_was_read_of_it(store: Store) -> None:
    _put(store, _row(detection_count=0))
    with store.writing() as connection:
        ingest.put_case_reading(connection, ONE, 1, read_at=NOW, links=0)
    _put(store, _row(detection_count=0))
    with store.reader.reading() as connection:
        found = detail(connection, ONE, 1)
    assert found is not None
    assert (found.complete, found.lacking) == (True, "")
    _put(store, _row(detection_count=0, status="closed"))
    with store.writing() as connection:
        found = detail(connection, ONE, 1)
        assert found is not None
        assert (found.complete, found.older) == (False, True)
        before = ingest.case_fingerprint(connection, ONE, 1)
    # What is read meanwhile is no reading of what it became then.
    _put(store, _row(detection_count=1, status="closed"))
    with store.writing() as connection:
        assert ingest.put_case_read(connection, ONE, 1, before) == 0
        assert ingest.put_case_read(connection, ONE, 1, ingest.case_fingerprint(connection, ONE, 1)) == 1
        found = detail(connection, ONE, 1)
    assert found is not None
    assert (found.older, found.lacking) == (False, "not all of its alerts were read")
