"""The tree file and its numbering."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from store import tree
from store.database import Change, Store
from store.models import Node
from store.tree import TreeError, TreeNode, export_tree, read_tree

FILE = """\
- {id: root, parent: null, name: Provider}
- id: eu
  parent: root
  name: Europe
  labels: {region: eu}
- id: acme
  parent: eu
  name: Acme Dental
  oid: o1
  marks: [protected]
- id: acme-lab
  parent: acme
  name: Lab
  oid: o2
  parameters: {hours: 8, contacts: [{name: Ines}]}
- {id: us, parent: root, name: "Americas"}
"""


def _problems(text: str | bytes, oids: set[str] | None = None) -> list[tuple[int, str]]:
    with pytest.raises(TreeError) as caught:
        read_tree(text, oids=oids)
    return [(problem.line, problem.text) for problem in caught.value.problems]


def test_a_file_is_read_whole() -> None:
    nodes = read_tree(FILE, oids={"o1", "o2"})
    assert [node.id for node in nodes] == ["root", "eu", "acme", "acme-lab", "us"]
    assert nodes[2] == TreeNode("acme", "eu", "Acme Dental", "o1", {}, {}, ("protected",))
    assert nodes[3].parameters == {"hours": 8, "contacts": [{"name": "Ines"}]}


def test_what_is_exported_is_read_again_as_the_same() -> None:
    nodes = read_tree(FILE)
    assert read_tree(export_tree(nodes)) == nodes


_NAMES = st.text(min_size=1, max_size=30).filter(lambda text: not tree.text_problem(text))
_IDS = st.text(min_size=1, max_size=10).filter(lambda text: not tree.id_problem(text))
_VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _NAMES
)


@st.composite
def _trees(draw: Any) -> list[TreeNode]:
    ids = draw(st.lists(_IDS, min_size=1, max_size=8, unique=True))
    nodes = []
    for index, node_id in enumerate(ids):
        nodes.append(
            TreeNode(
                node_id,
                ids[draw(st.integers(0, index - 1))] if index else None,
                draw(_NAMES),
                f"oid-{index}" if draw(st.booleans()) else None,
                draw(st.dictionaries(_NAMES, _NAMES, max_size=2)),
                draw(st.dictionaries(_NAMES, _VALUES | st.lists(_VALUES, max_size=2), max_size=2)),
                tuple(draw(st.lists(st.sampled_from(tree.MARKS), unique=True, max_size=2))),
            )
        )
    return nodes


@settings(max_examples=80, deadline=None)
@given(_trees())
def test_any_tree_survives_its_file(nodes: list[TreeNode]) -> None:
    assert read_tree(export_tree(nodes)) == nodes


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1", 1, "list of nodes"),
        ("", 1, "list of nodes"),
        ("- {id: a, name: A}\n- {id: b, name: B}\n", 2, "a tree has one"),
        (
            "- {id: r, name: R}\n- {id: a, name: A, parent: b}\n- {id: b, name: B, parent: a}\n",
            2,
            "'a' > 'b' > 'a'",
        ),
        ("- {id: r, name: R}\n- {id: a, name: A, parent: a}\n", 2, "below itself"),
        ("- {id: r, name: R}\n- {id: r, name: S, parent: r}\n", 2, "there twice (line 1)"),
        ("- {id: r, name: R}\n- {id: a, name: A, parent: nowhere}\n", 2, "'nowhere' of 'a' does not exist"),
        ("- {id: r, name: R}\n- id: a\n  parent: r\n  name: A\n  oid: o9\n", 2, "oid o9"),
        (
            "- {id: r, name: R, oid: o1}\n- {id: a, name: A, parent: r, oid: o1}\n",
            2,
            "already stands at 'r' (line 1)",
        ),
        ("- id: r\n  name: R\n  colour: red\n", 3, "'colour' is no field"),
        ("- id: r\n  name: R\n  marks: [holy]\n", 3, "'holy' is no mark"),
        ("- id: r\n  name: no\n", 2, "write it in quotes"),
        ("- id: 010\n  name: R\n", 1, "write it in quotes"),
        ("- id: r\n", 1, "no name"),
        ("- id: r\n  name: R\n  id: s\n", 3, "there twice"),
        ("- id: r\n  name: !custom R\n", 2, "tag '!custom'"),
        ("- id: unplaced\n  name: R\n", 1, "reserved"),
        ("- id: a/b\n  name: R\n", 1, "slash"),
        ('- id: r\n  name: "a\\u001bb"\n', 2, "control character"),
        ("- id: r\n  name: R\n  parameters: {day: 2026-01-01}\n", 3, "JSON cannot hold"),
        ("- id: r\n  name: [\n", 3, "not YAML"),
        (b"- id: r\n  name: \xff\n", 2, "not UTF-8"),
        ("- id: r\n  name: R\n  labels: {tier: 1}\n", 3, "not text to YAML"),
    ],
)
def test_every_mistake_is_told_with_its_line(text: str | bytes, line: int, said: str) -> None:
    problems = _problems(text, {"o1", "o2"})
    assert any(at == line and said in words for at, words in problems), problems


def test_all_mistakes_are_told_at_once() -> None:
    problems = _problems(
        "- {id: r, name: R}\n- {id: a, name: A, parent: x}\n- {id: r, name: no, parent: r}\n- 5\n"
    )
    assert [line for line, _ in problems] == [3, 4]
    problems = _problems("- {id: r, name: R}\n- {id: a, name: A, parent: x}\n- {id: r, name: S, parent: y}\n")
    assert [line for line, _ in problems] == [2, 3, 3]


def test_a_long_chain_is_no_problem_for_cycles_or_numbers(store: Store) -> None:
    nodes = [TreeNode("n0", None, "n0")] + [TreeNode(f"n{n}", f"n{n - 1}", f"n{n}") for n in range(1, 1500)]
    assert tree.problems_of(nodes) == []
    ring = [TreeNode("n0", "n1499", "n0"), *nodes[1:]]
    assert len(tree.problems_of(ring)) == 1
    assert [placed.last for placed in tree._placed(nodes)[:2]] == [1500, 1500]


# In the store


def _rows(store: Store) -> dict[str, Any]:
    with store.reader.reading() as connection:
        return {
            row.id: row for row in connection.execute(select(Node.__table__).order_by(Node.__table__.c.first))
        }


def _replace(store: Store, nodes: list[TreeNode]) -> int:
    with store.writing() as connection:
        return tree.replace_tree(connection, nodes)


def test_nodes_are_numbered_so_that_what_is_below_is_a_range(store: Store) -> None:
    assert _replace(store, read_tree(FILE)) == 5
    numbers = {row.id: (row.first, row.last, row.depth, row.path) for row in _rows(store).values()}
    assert numbers == {
        "root": (1, 5, 0, ""),
        "eu": (2, 4, 1, "Europe"),
        "acme": (3, 4, 2, "Europe/Acme Dental"),
        "acme-lab": (4, 4, 3, "Europe/Acme Dental/Lab"),
        "us": (5, 5, 1, "Americas"),
    }


def test_the_same_tree_again_writes_nothing(store: Store) -> None:
    _replace(store, read_tree(FILE))
    heard: list[Change] = []
    store.on_change(heard.append)
    assert _replace(store, read_tree(FILE)) == 0
    assert heard == []


def test_a_child_before_its_parent_is_no_problem(store: Store) -> None:
    nodes = read_tree(FILE)
    _replace(store, nodes[::-1])
    assert list(_rows(store)) == ["root", "us", "eu", "acme", "acme-lab"]


def test_organizations_may_change_places_and_nodes_may_go(store: Store) -> None:
    _replace(store, read_tree(FILE))
    _replace(
        store,
        [
            TreeNode("root", None, "Provider"),
            TreeNode("acme", "root", "Acme", "o2"),
            TreeNode("new", "acme", "New", "o1"),
        ],
    )
    assert {row.id: row.oid for row in _rows(store).values()} == {"root": None, "acme": "o2", "new": "o1"}
    assert _replace(store, []) == 3
    assert _rows(store) == {}


def test_what_is_no_tree_is_refused_and_nothing_changes(store: Store) -> None:
    _replace(store, read_tree(FILE))
    with pytest.raises(TreeError, match="root already"):
        _replace(store, [TreeNode("a", None, "A"), TreeNode("b", None, "B")])
    assert len(_rows(store)) == 5


def test_single_nodes_are_added_moved_named_labelled_marked_and_removed(store: Store) -> None:
    _replace(store, read_tree(FILE))
    with store.writing() as connection:
        tree.add_node(connection, TreeNode("cedar", "us", "Cedar", "o3"), oids={"o3"})
        tree.move_node(connection, "acme", "us")
        tree.rename_node(connection, "us", "America")
        tree.label_node(connection, "eu", {"tier": "gold", "region": None})
        tree.mark_node(connection, "acme", add=["canary"], remove=["protected"])
        tree.remove_node(connection, "eu")
        assert tree.misnumbered(connection) == ""
    rows = _rows(store)
    assert list(rows) == ["root", "us", "cedar", "acme", "acme-lab"]
    assert rows["acme-lab"].path == "America/Acme Dental/Lab"
    assert rows["acme"].marks == ["canary"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: tree.move_node(c, "eu", "acme-lab"), "below itself"),
        (lambda c: tree.move_node(c, "root", "us"), "cannot be moved"),
        (lambda c: tree.move_node(c, "eu", "nowhere"), "No node has the id 'nowhere'"),
        (lambda c: tree.add_node(c, TreeNode("us", "eu", "Again")), "there twice"),
        (lambda c: tree.add_node(c, TreeNode("x", "eu", "X", "o9"), oids={"o1"}), "oid o9"),
        (lambda c: tree.add_node(c, TreeNode("x", None, "X")), "a tree has one"),
        (lambda c: tree.add_node(c, TreeNode("x", "eu", "")), "is empty"),
        (lambda c: tree.mark_node(c, "eu", add=["holy"]), "no mark"),
        (lambda c: tree.label_node(c, "eu", {"a": "\x1b"}), "control character"),
        (lambda c: tree.remove_node(c, "eu"), "below it"),
    ],
)
def test_a_change_that_the_tree_cannot_take_is_refused(store: Store, change: Any, said: str) -> None:
    _replace(store, read_tree(FILE))
    before = _rows(store)
    with pytest.raises(TreeError, match=said), store.writing() as connection:
        change(connection)
    assert _rows(store) == before
