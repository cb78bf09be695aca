"""The tree as the operations change it: whole or not at all, with an entry in the journal for each change."""

import pytest
from sqlalchemy import select

from console.operations import tree
from console.operations.actor import actor
from store import ingest
from store.journal import verify
from store.models import Node
from store.queries.activity import journal
from store.tree import TreeError, problems_of, stored_tree

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2)]
NODES = [
    {"id": "all", "parent": None, "name": "All"},
    {"id": "emea", "parent": "all", "name": "EMEA", "labels": {"tier": "gold"}, "marks": ["protected"]},
    {"id": "acme", "parent": "emea", "name": "Acme", "oid": OIDS[0], "parameters": {"days": 30}},
]


@pytest.fixture
def listed(store):
    """A store in which a listing has named both organizations."""
    rows = [{"oid": oid, "name": oid[:8]} for oid in OIDS]
    with store.writing() as connection:
        ingest.put_organizations(connection, rows, complete=True, now=1)
    return store


def exported(store):
    with store.reader.reading() as connection:
        return tree.export_nodes(connection)


def entries(store):
    with store.reader.reading() as connection:
        assert verify(connection) is None
        return list(reversed(journal(connection)))


def test_nodes_come_back_as_they_went_in(listed):
    done = tree.import_nodes(NODES, store=listed)

    assert exported(listed) == NODES
    assert done == tree.Imported(3, 1, added=3, removed=0, changed=0, oids_checked=True)


def test_an_import_is_journalled_with_what_was_before_and_after(listed):
    tree.import_nodes(NODES, store=listed)
    changed = [NODES[0], {**NODES[1], "marks": ["frozen"]}, {"id": "bolt", "parent": "emea", "name": "Bolt"}]

    done = tree.import_nodes(changed, store=listed)

    assert (done.added, done.removed, done.changed) == (1, 1, 1)
    entry = entries(listed)[-1]
    assert (entry.action, entry.actor) == ("tree.import", actor())
    assert entry.detail == {
        "nodes": 3,
        "added": ["bolt"],
        "removed": ["acme"],
        "changed": {"emea": {"before": {"marks": ["protected"]}, "after": {"marks": ["frozen"]}}},
    }


def test_the_same_import_again_writes_nothing(listed):
    tree.import_nodes(NODES, store=listed)
    heard = []
    listed.on_change(heard.append)

    done = tree.import_nodes(NODES, store=listed)

    assert (done.added, done.removed, done.changed) == (0, 0, 0)
    assert heard == []
    assert len(entries(listed)) == 1


def test_an_unknown_oid_is_refused_after_a_listing_unless_all_are_allowed(listed):
    stranger = "0badc0de-0000-4000-8000-000000000000"
    nodes = [*NODES, {"id": "x", "parent": "all", "name": "X", "oid": stranger}]

    with pytest.raises(TreeError, match=stranger):
        tree.import_nodes(nodes, store=listed)
    assert exported(listed) == []

    assert tree.import_nodes(nodes, store=listed, known_only=False).organizations == 2


def test_a_refused_change_leaves_neither_a_node_nor_an_entry(listed):
    tree.import_nodes(NODES, store=listed)

    for change in (
        lambda: tree.add("Twice", store=listed, node_id="acme"),
        lambda: tree.add("Taken", store=listed, oid=OIDS[0]),
        lambda: tree.move("emea", "acme", store=listed),
        lambda: tree.move("all", "emea", store=listed),
        lambda: tree.label("nobody", {"a": "b"}, store=listed),
        lambda: tree.mark("acme", ["precious"], [], store=listed),
    ):
        with pytest.raises(TreeError):
            change()

    assert exported(listed) == NODES
    assert len(entries(listed)) == 1


def test_ids_made_from_names_are_readable_and_never_taken_twice(listed):
    made = [
        tree.add(name, store=listed) for name in ("Müller & Co", "muller co", "山田", "Unplaced", "unplaced")
    ]

    assert made == ["muller-co", "muller-co-2", "node", "unplaced-2", "unplaced-3"]
    with listed.reader.reading() as connection:
        assert problems_of(stored_tree(connection)) == []


def test_in_an_empty_tree_the_root_is_called_as_the_first_node_with_its_id(listed):
    assert tree.add("Provider", store=listed, node_id="root") == "root"
    tree.add("Gold", store=listed)
    with listed.reader.reading() as connection:
        nodes = [(node.id, node.parent, node.name) for node in stored_tree(connection)]
    assert nodes == [("root", None, "Provider"), ("gold", "root", "Gold")]
    assert [(entry.action, entry.target) for entry in entries(listed)] == [
        ("tree.add", "root"),
        ("tree.add", "gold"),
    ]


def test_a_move_keeps_the_numbers_that_scopes_rest_on(listed):
    tree.import_nodes(NODES, store=listed)
    tree.add("APAC", store=listed)

    assert tree.move("emea", "apac", store=listed)

    with listed.reader.reading() as connection:
        columns = Node.__table__.c
        rows = connection.execute(
            select(columns.id, columns.first, columns.last, columns.depth, columns.path).order_by(
                columns.first
            )
        ).all()
    assert [row.id for row in rows] == ["all", "apac", "emea", "acme"]
    assert [row.last - row.first for row in rows] == [3, 2, 1, 0]
    assert [(row.depth, row.path) for row in rows] == [
        (0, ""),
        (1, "APAC"),
        (2, "APAC/EMEA"),
        (3, "APAC/EMEA/Acme"),
    ]
    assert entries(listed)[-1].detail == {"before": {"parent": "all"}, "after": {"parent": "apac"}}


def test_a_change_of_an_organizations_node_is_journalled_with_its_oid(listed):
    tree.import_nodes(NODES, store=listed)

    assert tree.label("acme", {"sla": "4h"}, store=listed)
    assert not tree.label("acme", {"sla": "4h"}, store=listed)

    last = entries(listed)[-1]
    assert (last.action, last.oid, last.target) == ("tree.label", OIDS[0], "acme")
    assert len(entries(listed)) == 2
