"""The journal as it is asked for, on both engines."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from store import ingest, journal
from store.database import Store
from store.queries import activity
from store.queries.activity import Wanted
from store.tree import TreeNode, replace_tree

NOW = 1_795_528_800_000
ACME, BOREALIS = "f0e1d2c3-1a2b-4c3d-8e9f-001122334455", "a0e1d2c3-1a2b-4c3d-8e9f-001122334456"
EVERYTHING = Wanted()


@pytest.fixture
def kept(store: Store) -> Store:
    """Two organizations below nodes of their own, and six entries: one an hour, the last one now."""
    with store.writing() as c:
        names = {ACME: "Acme Dental", BOREALIS: "Größe & Söhne"}
        ingest.put_organizations(
            c, [{"oid": oid, "name": name} for oid, name in names.items()], complete=True, now=NOW
        )
        replace_tree(
            c,
            [
                TreeNode("root", None, "Provider"),
                TreeNode("acme", "root", "Acme", ACME),
                TreeNode("borealis", "root", "Borealis", BOREALIS),
            ],
        )
        for number, (actor, action, oid, target, detail) in enumerate(
            [
                ("mk@here", "tree.import", "", "2 nodes", {"nodes": 2}),
                ("mk@here", "alert.close", ACME, "1 alert", {"changed": 1}),
                ("mk@there", "alert.close", "", "4 alerts", {"organizations": {ACME: 1, BOREALIS: 3}}),
                ("mkx@here", "alert.claim", BOREALIS, "100% of %_ hosts", {}),
                ("MK@here", "alerts.odd", BOREALIS, "ÄRGER", {}),
                ("limegrove", "sensor.isolate", "gone-oid", "web-1", {"before": ACME[:8]}),
            ]
        ):
            journal.append(c, actor, action, oid, target, detail, now=NOW - (5 - number) * 3_600_000)
    return store


def _seqs(store: Store, wanted: Wanted = EVERYTHING, **options: Any) -> list[int]:
    with store.reader.reading() as c:
        found = activity.journal(c, wanted, **options)
        if not options:
            assert activity.journal_counted(c, wanted) == len(found)
        return [entry.seq for entry in found]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), [6, 5, 4, 3, 2, 1]),
        (Wanted(scope="root"), [6, 5, 4, 3, 2, 1]),
        (Wanted(scope="acme"), [2]),
        (Wanted(scope="borealis"), [5, 4]),
        (Wanted(oid=ACME), [3, 2]),
        (Wanted(oid=BOREALIS, scope="borealis"), [5, 4]),
        (Wanted(actor="mk"), [3, 2, 1]),
        (Wanted(actor="mk@here"), [2, 1]),
        (Wanted(actor="limegrove"), [6]),
        (Wanted(actor="m%"), []),
        (Wanted(actor="\ud800"), []),
        (Wanted(actions=("alert",)), [4, 3, 2]),
        (Wanted(actions=("alert.close", "tree")), [3, 2, 1]),
        (Wanted(actions=("alert.clos",)), []),
        (Wanted(since=NOW - 3_600_000), [6, 5]),
        (Wanted(words=("MKX@",)), [4]),
        (Wanted(words=("größe", "ärger")), [5]),
        (Wanted(words=("%_",)), [4]),
        (Wanted(words=("gone-oid", "isolate", "WEB")), [6]),
        (Wanted(words=("acme", "tree")), []),
    ],
)
def test_it_is_limited_by_what_is_asked_for(kept: Store, wanted: Wanted, expected: list[int]) -> None:
    assert _seqs(kept, wanted) == expected


def test_it_goes_on_behind_any_entry(kept: Store) -> None:
    wanted = Wanted(actions=("alert",))
    assert _seqs(kept, wanted, limit=2) == [4, 3]
    assert _seqs(kept, wanted, after=3, limit=2) == [2]
    assert _seqs(kept, wanted, after=2) == []


def test_an_entry_says_its_organization_by_name_where_that_is_known(kept: Store) -> None:
    with kept.reader.reading() as c:
        found = {entry.seq: entry for entry in activity.journal(c)}
    assert (found[2].oid, found[2].organization) == (ACME, "Acme Dental")
    assert (found[6].oid, found[6].organization) == ("gone-oid", "")
    assert (found[1].oid, found[1].organization) == ("", "")
    assert len({entry.hash for entry in found.values()}) == 6


def test_what_a_scope_leaves_out_because_it_is_of_no_single_organization_is_counted(kept: Store) -> None:
    with kept.reader.reading() as c:
        assert activity.journal_outside(c, Wanted(scope="acme")) == 2
        assert activity.journal_outside(c, Wanted(scope="acme", actions=("alert",))) == 1
        assert activity.journal_outside(c, Wanted(scope="root")) == 0
        assert activity.journal_outside(c, EVERYTHING) == 0


@pytest.mark.parametrize("detail", ['{"reason": "te', "[1]", "null", ""])
def test_an_entry_that_somebody_spoiled_is_shown_as_it_stands(
    a_store: Callable[[], Store], detail: str
) -> None:
    store = a_store()
    with store.writing() as c:
        journal.append(c, "mk@here", "alert.close", target="1 alert", detail={"reason": "tested"}, now=NOW)
        c.execute(text("UPDATE journal SET detail = :detail"), {"detail": detail})
    with store.reader.reading() as c:
        [entry] = activity.journal(c)
    assert (entry.action, entry.detail) == ("alert.close", {"damaged": detail})


def test_no_more_are_counted_than_make_sense(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "COUNTED", 3)
    with kept.reader.reading() as c:
        assert activity.journal_counted(c) == 4
        assert activity.journal_counted(c, replace(EVERYTHING, actor="mk")) == 3


def test_every_action_is_listed_once(kept: Store) -> None:
    with kept.reader.reading() as c:
        assert activity.journal_actions(c) == [
            "alert.claim", "alert.close", "alerts.odd", "sensor.isolate", "tree.import",
        ]  # fmt: skip
