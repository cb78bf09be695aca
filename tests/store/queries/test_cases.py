"""The list of cases on both engines: order, pages, filters, what waits."""

from typing import Any

import pytest

from store import casework, ingest
from store.cases import CONFLICT, DONE, PENDING, REFUSED, SENDING, CaseFilter, parse_case_filter
from store.database import Store
from store.queries import cases
from store.tree import TreeNode, replace_tree

NOW = 1_795_528_800_000
ONE, TWO, THREE = (f"{number:08x}-1a2b-4c3d-8e9f-001122334455" for number in (1, 2, 3))
LEVELS = ("info", "low", "medium", "high", "critical")
STATES = ("new", "in_progress", "resolved", "closed")


def _row(number: int, oid: str, **fields: Any) -> dict[str, Any]:
    minute = number % 60
    return {
        "case_id": f"{oid[:8]}-{number}", "case_number": number, "oid": oid, "status": STATES[number % 4],
        "severity": LEVELS[number % 5], "classification": "pending", "assignees": [], "tags": [],
        "summary": f"Case {number}", "conclusion": "", "detection_count": 1,
        "created_at": f"2026-11-2{number % 4}T10:{minute:02d}:00Z",
    } | fields  # fmt: skip


@pytest.fixture
def filled(store: Store) -> Store:
    with store.writing() as connection:
        names = {ONE: "Acme Dental", TWO: "Église Saint-Roch", THREE: "Cedar"}
        ingest.put_organizations(
            connection, [{"oid": oid, "name": name} for oid, name in names.items()], complete=True, now=NOW
        )
        replace_tree(
            connection,
            [TreeNode("root", None, "Provider"), TreeNode("gold", "root", "Gold"),
             TreeNode("a", "gold", "Acme Dental", oid=ONE), TreeNode("b", "root", "Église", oid=TWO)],
        )  # fmt: skip
        rows = [_row(number, oid) for oid in names for number in range(1, 41)]
        rows[0] |= {"assignees": ["Ann@x.test", "ünal"], "tags": ["VIP"], "summary": "100 % phishing_mail"}
        ingest.put_cases(connection, rows, oids=list(names), now=NOW)
    return store


def _numbers(store: Store, line: str, **options: Any) -> list[tuple[str, int]]:
    wanted = parse_case_filter(line, scope=options.pop("scope", ""))
    with store.reader.reading() as connection:
        rows = cases.page(connection, wanted, limit=500, **options)
        assert cases.count(connection, wanted) == len(rows)
    return [(row.oid, row.number) for row in rows]


@pytest.mark.parametrize("line", ["", "status:any", "status:closed sev:medium", "org:acme status:any"])
def test_pages_go_through_everything_once_both_ways(filled: Store, line: str) -> None:
    wanted = parse_case_filter(line)
    with filled.reader.reading() as connection:
        everything = cases.page(connection, wanted, limit=500)
        assert [row.key for row in everything] == sorted((row.key for row in everything), reverse=True)
        down: list[Any] = []
        while more := cases.page(connection, wanted, after=down[-1].key if down else None, limit=7):
            down += more
        assert down == everything
        up = cases.last_page(connection, wanted, limit=7)
        while more := cases.page(connection, wanted, before=up[0].key, limit=7):
            up = more + up
        assert up == everything
        middle = everything[len(everything) // 2]
        assert cases.page(connection, wanted, starting=middle.key, limit=1) == [middle]


def test_filters_find_what_they_say(filled: Store) -> None:
    first = [(ONE, 1)]
    for line in ("who:ann@X", "who:ünal", "tag:vip", "phishing_mail", '"100 %"', "oid:" + ONE + " #1"):
        assert _numbers(filled, f"status:any {line}") == first, line
    assert _numbers(filled, "status:any who:ann_x") == []
    assert (ONE, 1) not in _numbers(filled, "status:any who:none")
    assert {oid for oid, _ in _numbers(filled, "status:any org:ÉGLISE")} == {TWO}
    assert {oid for oid, _ in _numbers(filled, "status:any", scope="gold")} == {ONE}
    assert {oid for oid, _ in _numbers(filled, "status:any", scope="root")} == {ONE, TWO, THREE}
    assert len(_numbers(filled, "")) == 60


def test_what_waits_is_counted_and_found(filled: Store) -> None:
    with filled.writing() as connection:
        for number, state in ((4, PENDING), (4, DONE), (8, SENDING), (5, CONFLICT), (9, REFUSED)):
            casework.add_edit(
                connection, oid=ONE, number=number, what="update", wanted={"status": "closed"},
                seen={"status": "new"}, by="mk", now=NOW, state=state,
            )  # fmt: skip
        here = casework.put_here(
            connection, TWO, severity="high", summary="Here", detect_ids=["d1", "d2"], by="mk", now=NOW
        )
        making = casework.put_here(
            connection, TWO, severity="low", summary="Coming", detect_ids=[], by="mk", now=NOW
        )
        casework.add_edit(
            connection, oid=TWO, number=making, what="create", wanted={"summary": "Coming"}, seen={},
            by="mk", now=NOW,
        )  # fmt: skip
    assert (here, making) == (-1, -2)
    assert set(_numbers(filled, "status:any is:pending")) == {(ONE, 4), (ONE, 8), (TWO, -2)}
    assert set(_numbers(filled, "status:any is:undecided")) == {(ONE, 5), (ONE, 9)}
    assert _numbers(filled, "status:any is:refused") == [(ONE, 9)]
    assert set(_numbers(filled, "is:local")) == {(TWO, -1), (TWO, -2)}
    with filled.reader.reading() as connection:
        known = cases.figures(connection, operator="ann@x.test")
        assert (known.pending, known.conflicts, known.refused, known.needing) == (3, 1, 1, 2)
        assert known.open == 62
        assert cases.figures(connection, "b").pending == 1
        rows = {row.number: row for row in cases.cases_numbered(connection, [(TWO, -1), (TWO, -2), (ONE, 4)])}
        assert (rows[-1].local, rows[-1].creating, rows[-1].detections) == (True, False, 2)
        assert (rows[-2].local, rows[-2].creating) == (False, True)
        assert rows[4].pending == 1
        assert cases.unfinished(connection)[TWO] == {number for number in range(1, 41) if number % 4 != 3}
        assert cases.holding(connection, TWO, ["d1", "d9"]) == {"d1": [-1]}


def test_a_case_waits_for_what_its_customer_was_promised(filled: Store) -> None:
    with filled.reader.reading() as connection:
        found = {row.number: row for row in cases.page(connection, CaseFilter(oid=ONE), limit=500)}
    # Medium: an hour to acknowledge, a day to resolve (what Cases begin with).
    assert found[12].status == 0
    assert found[12].severity == 2
    assert found[12].due_at == found[12].created_at + 3_600_000
    assert found[17].due_at is not None
    assert found[17].due_at == found[17].created_at + 86_400_000
    with filled.writing() as connection:
        replace_tree(
            connection,
            [TreeNode("root", None, "Provider", parameters={"sla_medium": "5m/1h"}),
             TreeNode("a", "root", "Acme Dental", oid=ONE)],
        )  # fmt: skip
    with filled.reader.reading() as connection:
        row = cases.case(connection, ONE, 12)
    assert row is not None
    assert row.due_at == row.created_at + 300_000


def test_two_processes_never_both_take_an_edit(filled: Store) -> None:
    with filled.writing() as connection:
        edit = casework.add_edit(
            connection, oid=ONE, number=4, what="note", wanted={}, seen={}, by="mk", now=NOW
        )
        assert casework.take(connection, [edit], "a:1:1:x", now=NOW) == [edit]
        assert casework.take(connection, [edit], "b:2:2:y", now=NOW) == []
        assert not casework.take_over(connection, edit, "c:3:3:z", "b:2:2:y", now=NOW)
        assert not casework.note_before(connection, edit, "b:2:2:y", {"x": 1})
        assert casework.take_over(connection, edit, "a:1:1:x", "b:2:2:y", now=NOW)
        # The first one was slow, and must not send it any more.
        assert not casework.note_before(connection, edit, "a:1:1:x", {"x": 1})
        assert casework.note_before(connection, edit, "b:2:2:y", {"x": 1})


def test_a_case_that_goes_takes_what_it_held_along(filled: Store) -> None:
    with filled.writing() as connection:
        ingest.put_case_links(connection, ONE, 4, [{"detect_id": "d"}])
        ingest.put_case_events(connection, ONE, 4, [{"event_id": "e", "ts": "2026-11-24T10:00:00Z"}], now=NOW)
        ingest.put_case_items(connection, ONE, 4, "entity", [{"entity_id": "i", "entity_value": "v"}])
        assert (
            ingest.put_case_items(connection, ONE, 4, "entity", [{"entity_id": "i", "entity_value": "v"}])
            == 0
        )
        ingest.put_cases(connection, [], oids=[ONE], complete=True, now=NOW)
    with filled.reader.reading() as connection:
        assert cases.detail(connection, ONE, 4) is None
        assert cases.links(connection, ONE, 4) == []
