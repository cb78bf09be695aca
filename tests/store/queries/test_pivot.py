"""From a value to the alerts that speak of it, and to where it was seen."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from store import ingest, textindex, tree
from store.database import Store
from store.queries import pivot as queries
from store.queries.pivot import pivot, prevalence

NOW = 1_790_000_000_000
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
OTHER = "a" * 64


def _raw(number: int, at: int, **event: Any) -> bytes:
    return json.dumps(
        {
            "detect_id": f"d{number}",
            "cat": "C",
            "gen_time": at,
            "routing": {"hostname": "h"},
            "detect": {"event": event},
        }
    ).encode()


@pytest.fixture
def seen(store: Store) -> None:
    """One hash at three of five organizations, thirty times each; o0 has another one too, o4 nothing."""
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": f"o{n}", "name": f"N{n}"} for n in range(5)], complete=True, now=NOW
        )
        tree.replace_tree(
            c,
            [
                tree.TreeNode("root", None, "All"),
                tree.TreeNode("eu", "root", "EU"),
                *(tree.TreeNode(f"o{n}", "eu" if n < 2 else "root", f"N{n}", f"o{n}") for n in range(5)),
            ],
        )
        for step in range(3):
            for n in range(3):
                bodies = [_raw(step * 10 + k, NOW + n * 1000 + step * 10 + k, HASH=HASH) for k in range(10)]
                ingest.put_detections(c, f"o{n}", [ingest.detection_from(raw, f"o{n}") for raw in bodies])
        raw = _raw(99, NOW - 5, HASH=OTHER)
        ingest.put_detections(c, "o0", [ingest.detection_from(raw, "o0")])


@pytest.mark.usefixtures("seen")
def test_every_alert_with_a_value_is_met_once_the_newest_first(store: Store) -> None:
    with store.reader.reading() as connection:
        found: list[int] = []
        while rows := pivot(connection, "hash", HASH.upper(), after=found[-1] if found else None, limit=7):
            found += [row.id for row in rows]
        assert found == list(range(90, 0, -1))
        assert [row.organization for row in pivot(connection, "hash", OTHER)] == ["N0"]
        assert pivot(connection, "user", HASH) == pivot(connection, "hash", "nothing") == []


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize(("wide", "strides"), [(3_000, 4), (3_000, 1), (3_000, 0), (0, 4)])
def test_a_scope_limits_what_is_found(
    store: Store, monkeypatch: pytest.MonkeyPatch, wide: int, strides: int
) -> None:
    monkeypatch.setattr(queries, "_WIDE", wide)
    monkeypatch.setattr(queries, "_STRIDES", strides)
    monkeypatch.setattr(queries, "_NARROW", 0)
    monkeypatch.setattr(queries, "_STRIDE", 4)
    with store.reader.reading() as connection:
        found: list[Any] = []
        while rows := pivot(
            connection, "hash", HASH, scope="eu", after=found[-1].id if found else None, limit=7
        ):
            found += rows
        assert len(found) == len({row.id for row in found}) == 60
        assert {row.oid for row in found} == {"o0", "o1"}
        assert [row.id for row in found] == sorted((row.id for row in found), reverse=True)
        assert pivot(connection, "hash", HASH, scope="nowhere") == []


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("common", [5, 10_000])
def test_prevalence_counts_organizations_exactly_however_common_a_value_is(
    store: Store, monkeypatch: pytest.MonkeyPatch, common: int
) -> None:
    token = textindex.token_of("hash", HASH)
    with store.writing() as c:
        assert textindex.watch(c, token, common=common) is (common == 5)
    with store.reader.reading() as connection:
        found = prevalence(connection, "hash", HASH)
        assert (found.k, found.n, found.alerts) == (3, 5, 90)
        assert (found.first, found.last) == (NOW, NOW + 2_029)
        assert (found.last_verdict, found.last_verdict_alert) == (0, None)
        below = prevalence(connection, "hash", HASH, scope="eu")
        assert (below.k, below.n, below.alerts, below.last) == (2, 2, 60, NOW + 1_029)
        nothing = prevalence(connection, "hash", "b" * 64)
        assert (nothing.k, nothing.n, nothing.alerts, nothing.first, nothing.last) == (0, 5, 0, None, None)


@pytest.mark.usefixtures("seen")
def test_prevalence_names_the_last_verdict(store: Store) -> None:
    with store.writing() as c:
        for number, classification, at in ((3, 2, NOW + 50), (40, 1, NOW + 90), (70, 2, NOW + 70)):
            c.execute(
                text(
                    "UPDATE detection SET status = 3, classification = :c, resolved_at = :at, assignee = 'mk' WHERE id = :id"
                ),
                {"c": classification, "at": at, "id": number},
            )
    with store.reader.reading() as connection:
        found = prevalence(connection, "hash", HASH)
        assert (found.last_verdict, found.last_verdict_at, found.last_verdict_by) == (1, NOW + 90, "mk")
        assert found.last_verdict_alert == 40


@pytest.mark.usefixtures("seen")
def test_an_organization_that_is_gone_counts_where_it_was_seen(store: Store) -> None:
    with store.writing() as c:
        ingest.mark_gone(c, ["o1", "o2", "o3"], now=NOW)
    with store.reader.reading() as connection:
        found = prevalence(connection, "hash", HASH)
        assert (found.k, found.n) == (3, 4)
