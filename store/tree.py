"""The provider's hierarchy: its file, its rules, and its numbering.

The file is flat YAML, a list of `{id, parent, name, oid?, labels?, parameters?, marks?}`, so that every
mistake can be told with its line. In the store the nodes are numbered depth first, in the order of the
file: what is below a node is exactly the range of its numbers.
"""

import json
import math
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from store.errors import StoreError
from store.yaml import Document, Problem, YamlError, load

MARKS: Final = ("protected", "frozen", "canary", "leaving", "hold")
"""protected: a write asks for its name; frozen: no rollout; canary: first in one; leaving: offboarded; hold:
what there is of it has to be kept, so it is neither deleted nor forgotten nor pruned."""

FIELDS: Final = ("id", "parent", "name", "oid", "labels", "parameters", "marks")
LONGEST: Final = 200
"""Characters of an id, a name, or a label."""
RESERVED: Final = frozenset({"unplaced"})
"""Ids that mean something else: the pseudo-node of the organizations that have no node."""

TreeProblem = Problem
"""A line of the tree file, and what is wrong there."""


class TreeError(StoreError):
    """A tree that cannot be, or a change that would make one; nothing was changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        shown = str(first) if first.line else first.text
        more = len(self.problems) - 1
        super().__init__(shown + (f" And {more} more." if more else ""))


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One node as the file has it."""

    id: str
    parent: str | None
    name: str
    oid: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    line: int = field(default=0, compare=False)
    """Where it stands in its file; 0 when it comes from elsewhere."""


# The file


def read_tree(text: str | bytes, *, oids: Collection[str] | None = None) -> list[TreeNode]:
    """The nodes of a tree file.

    Args:
        text: the file.
        oids: the organizations that exist; None when that is not known and not to be checked.

    Raises:
        TreeError: with every problem found, each with its line.
    """
    try:
        document = load(text)
    except YamlError as error:
        raise TreeError([error.problem]) from None
    if not isinstance(document.value, list):
        raise TreeError([Problem(document.line(), "A tree is a list of nodes: `- id: ...`, `  name: ...`.")])
    problems: list[Problem] = []
    nodes: list[TreeNode] = []
    for index in range(len(document.value)):
        node = _node(document, index, problems)
        if node is not None:
            nodes.append(node)
    problems.extend(problems_of(nodes, oids=oids, whole=len(nodes) == len(document.value)))
    if problems:
        raise TreeError(sorted(set(problems), key=lambda problem: (problem.line, problem.text)))
    return nodes


def export_tree(nodes: Iterable[TreeNode]) -> str:
    """The file of these nodes, in their order; reading it gives the same nodes."""
    import yaml

    listed = []
    for node in nodes:
        entry: dict[str, Any] = {
            "id": str(node.id),
            "parent": node.parent and str(node.parent),
            "name": str(node.name),
        }
        if node.oid is not None:
            entry["oid"] = str(node.oid)
        if node.labels:
            entry["labels"] = {str(key): str(value) for key, value in node.labels.items()}
        if node.parameters:
            entry["parameters"] = json.loads(json.dumps(node.parameters))
        if node.marks:
            entry["marks"] = [str(mark) for mark in node.marks]
        listed.append(entry)
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    written: str = yaml.dump(
        listed, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1_000_000, default_flow_style=False
    )
    return written


def problems_of(
    nodes: Sequence[TreeNode], *, oids: Collection[str] | None = None, whole: bool = True
) -> list[Problem]:
    """What keeps nodes from being one tree: duplicates, unknown parents, cycles, several roots.

    Args:
        nodes: in any order.
        oids: the organizations that exist; None checks none.
        whole: False when some nodes could not be read, so that a parent may be missing for that alone.
    """
    problems: list[Problem] = []
    by_id: dict[str, TreeNode] = {}
    holders: dict[str, TreeNode] = {}
    root: TreeNode | None = None
    for node in nodes:
        other = by_id.setdefault(node.id, node)
        if other is not node:
            problems.append(_at(node, f"The id {_q(node.id)} is there twice{_also(other)}."))
        if node.oid is not None:
            holder = holders.setdefault(node.oid, node)
            if holder is not node:
                problems.append(
                    _at(
                        node, f"The organization {node.oid} already stands at {_q(holder.id)}{_also(holder)}."
                    )
                )
            elif oids is not None and node.oid not in oids:
                problems.append(_at(node, f"No organization with the oid {node.oid} is known."))
        if node.parent is None:
            if root is None:
                root = node
            else:
                problems.append(
                    _at(
                        node,
                        f"{_q(node.id)} has no parent, but {_q(root.id)}{_also(root)} is the root already; "
                        "a tree has one.",
                    )
                )
    if whole:
        problems.extend(
            _at(node, f"The parent {_q(node.parent)} of {_q(node.id)} does not exist.")
            for node in nodes
            if node.parent is not None and node.parent not in by_id
        )
    problems.extend(_cycles(nodes, by_id))
    if whole and root is None and not problems:
        line = nodes[0].line if nodes else 1
        problems.append(Problem(line, "The tree has no root: one node must have no parent."))
    return problems


def _cycles(nodes: Sequence[TreeNode], by_id: Mapping[str, TreeNode]) -> list[Problem]:
    problems = []
    settled: set[str] = set()
    for start in nodes:
        trail: dict[str, None] = {}
        at: str | None = start.id
        while at is not None and at in by_id and at not in settled and at not in trail:
            trail[at] = None
            at = by_id[at].parent
        if at is not None and at in trail:
            ring = list(trail)[list(trail).index(at) :]
            shown = " > ".join(_q(each) for each in (*ring[:8], *(["..."] if len(ring) > 8 else []), ring[0]))
            problems.append(_at(by_id[at], f"{_q(at)} is below itself: {shown}."))
        settled.update(trail)
    return problems


def _node(document: Document, index: int, problems: list[Problem]) -> TreeNode | None:
    entry = document.value[index]
    line = document.line(index)
    before = len(problems)

    def wrong(text: str, *path: str | int) -> None:
        problems.append(Problem(document.line(index, *path), text))

    if not isinstance(entry, dict):
        wrong("A node is a mapping with at least an id and a name.")
        return None
    for key in entry:
        if key not in FIELDS:
            wrong(f"{_q(key)} is no field of a node; there are {', '.join(FIELDS)}.", str(key))
    node_id = _text(entry, "id", wrong, required=True)
    name = _text(entry, "name", wrong, required=True)
    parent = _text(entry, "parent", wrong)
    oid = _text(entry, "oid", wrong)
    if node_id is not None and (complaint := id_problem(node_id)):
        wrong(complaint, "id")
    labels = _labels(entry.get("labels"), wrong)
    parameters = entry.get("parameters")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        wrong("Parameters are a mapping of names to values.", "parameters")
        parameters = {}
    for key, value in parameters.items():
        if not isinstance(key, str) or not _is_json(value):
            wrong(
                f"The parameter {_q(key)} has a value that JSON cannot hold; write it in quotes.",
                "parameters",
                key,
            )
    marks = entry.get("marks")
    if marks is None:
        marks = []
    if not isinstance(marks, list):
        wrong(f"Marks are a list of {', '.join(MARKS)}.", "marks")
        marks = []
    for position, mark in enumerate(marks):
        if mark not in MARKS:
            wrong(f"{_q(mark)} is no mark; there are {', '.join(MARKS)}.", "marks", position)
        elif marks.index(mark) != position:
            wrong(f"The mark {mark} is there twice.", "marks", position)
    if len(problems) > before or node_id is None or name is None:
        return None
    return TreeNode(node_id, parent, name, oid, labels, parameters, tuple(marks), line)


def _text(entry: Mapping[str, Any], key: str, wrong: Any, *, required: bool = False) -> str | None:
    value = entry.get(key)
    if value is None or value == "":
        if required:
            wrong(f"The node has no {key}.", key)
        return None
    if not isinstance(value, str):
        wrong(f"The {key} {_q(value)} is not text to YAML; write it in quotes.", key)
        return None
    if complaint := text_problem(value):
        wrong(f"The {key} {complaint}.", key)
        return None
    return value


def _labels(value: object, wrong: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        wrong("Labels are a mapping of names to texts.", "labels")
        return {}
    labels = {}
    for key, label in value.items():
        if not isinstance(key, str) or not isinstance(label, str):
            wrong(
                f"The label {_q(key)} is not text to YAML; write name and value in quotes.",
                "labels",
                str(key),
            )
        elif not key or (complaint := text_problem(key) or text_problem(label)):
            wrong(f"The label {_q(key)} {complaint if key else 'has no name'}.", "labels", key)
        else:
            labels[key] = label
    return labels


def id_problem(node_id: str) -> str:
    """What is wrong with an id, in one sentence; "" when nothing is."""
    if complaint := text_problem(node_id):
        return f"The id {complaint}."
    if "/" in node_id or node_id != node_id.strip() or not node_id:
        return f"The id {_q(node_id)} may not be empty, hold a slash, or begin or end with a space."
    if node_id in RESERVED:
        return f"The id {_q(node_id)} is reserved."
    return ""


def text_problem(text: str) -> str:
    """What is wrong with a name or label: `has more than ...`; "" when nothing is."""
    if len(text) > LONGEST:
        return f"has more than {LONGEST} characters"
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text):
        return "holds a control character"
    return ""


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_json(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return not any(unicodedata.category(letter) == "Cs" or letter == "\0" for letter in value)
    return value is None or isinstance(value, bool | int)


def _at(node: TreeNode, text: str) -> Problem:
    return Problem(node.line, text)


def _also(node: TreeNode) -> str:
    return f" (line {node.line})" if node.line else ""


def _q(value: object) -> str:
    """A stranger's word inside a sentence: quoted, escaped, and cut."""
    text = value if isinstance(value, str) else str(value)
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")


# The store


@dataclass(frozen=True, slots=True)
class _Placed:
    node: TreeNode
    first: int
    last: int
    depth: int
    path: str


def _placed(nodes: Sequence[TreeNode]) -> list[_Placed]:
    """The nodes depth first, children in their given order, with their numbers; no tree may be this deep
    that recursion would be at risk, so there is none."""
    children: dict[str | None, list[TreeNode]] = {}
    for node in nodes:
        children.setdefault(node.parent, []).append(node)
    placed: list[_Placed] = []
    waiting: list[tuple[TreeNode, int, str]] = [(node, 0, "") for node in reversed(children.get(None, []))]
    ends: list[tuple[int, int]] = []
    while waiting:
        node, depth, above = waiting.pop()
        path = "" if depth == 0 else f"{above}/{node.name}" if above else node.name
        while ends and ends[-1][0] >= depth:
            _close(placed, ends.pop()[1])
        ends.append((depth, len(placed)))
        placed.append(_Placed(node, len(placed) + 1, 0, depth, path))
        waiting.extend((child, depth + 1, path) for child in reversed(children.get(node.id, [])))
    while ends:
        _close(placed, ends.pop()[1])
    return placed


def _close(placed: list[_Placed], index: int) -> None:
    placed[index] = replace(placed[index], last=len(placed))


def stored_tree(connection: Any) -> list[TreeNode]:
    """The tree in the store, depth first; empty when there is none."""
    from sqlalchemy import select

    from store.models import Node

    table = Node.__table__  # type: ignore[attr-defined]
    return [
        TreeNode(row.id, row.parent_id, row.name, row.oid, row.labels, row.parameters, tuple(row.marks))
        for row in connection.execute(select(table).order_by(table.c.first))
    ]


def misnumbered(connection: Any) -> str:
    """What is wrong with the tree in the store, one sentence; "" when nothing is."""
    from sqlalchemy import select

    from store.models import Node

    table = Node.__table__  # type: ignore[attr-defined]
    nodes = stored_tree(connection)
    if nodes and (problems := problems_of(nodes)):
        return problems[0].text
    numbers = {
        placed.node.id: (placed.first, placed.last, placed.depth, placed.path) for placed in _placed(nodes)
    }
    wrong = [
        row.id
        for row in connection.execute(select(table))
        if numbers.get(row.id) != (row.first, row.last, row.depth, row.path)
    ]
    return f"{len(wrong)} nodes are numbered wrongly, first {_q(min(wrong))}." if wrong else ""


def replace_tree(connection: Any, nodes: Sequence[TreeNode]) -> int:
    """Make these nodes the tree; answers how many rows changed.

    Args:
        connection: of `Store.writing()`.
        nodes: one whole tree (`problems_of` finds nothing), or none at all.

    Raises:
        TreeError: they are no tree.
    """
    from sqlalchemy import delete, insert, select, update

    from store.models import Node

    if nodes and (problems := problems_of(nodes)):
        raise TreeError(problems)
    table = Node.__table__  # type: ignore[attr-defined]
    known = {row.id: row for row in connection.execute(select(table))}
    wanted = {
        placed.node.id: {
            "id": placed.node.id, "parent_id": placed.node.parent, "name": placed.node.name,
            "oid": placed.node.oid, "labels": dict(placed.node.labels),
            "parameters": dict(placed.node.parameters), "marks": list(placed.node.marks),
            "first": placed.first, "last": placed.last, "depth": placed.depth, "path": placed.path,
        }
        for placed in _placed(nodes)
    }  # fmt: skip
    gone = [node_id for node_id in known if node_id not in wanted]
    changed = {
        node_id: {name: value for name, value in row.items() if known[node_id]._mapping[name] != value}
        for node_id, row in wanted.items()
        if node_id in known
    }
    # An organization may move from one node to another, so all are let go before any is taken.
    letting_go = [node_id for node_id in gone if known[node_id].oid is not None]
    letting_go += [node_id for node_id, values in changed.items() if "oid" in values]
    for at in range(0, len(letting_go), 500):
        connection.execute(update(table).where(table.c.id.in_(letting_go[at : at + 500])).values(oid=None))
    new = [row for node_id, row in wanted.items() if node_id not in known]
    if new:
        connection.execute(insert(table), new)
    for node_id, values in changed.items():
        if values:
            connection.execute(update(table).where(table.c.id == node_id).values(values))
    for node_id in sorted(gone, key=lambda each: -known[each].first):
        connection.execute(delete(table).where(table.c.id == node_id))
    return len(new) + len(gone) + sum(1 for values in changed.values() if values)


def add_node(connection: Any, node: TreeNode, *, oids: Collection[str] | None = None) -> int:
    """Put a node at the end of its parent's children; the first node of an empty tree is its root."""
    return _change(connection, [*stored_tree(connection), node], node, oids)


def move_node(connection: Any, node_id: str, parent: str) -> int:
    """Put a node and all below it at the end of another parent's children.

    Raises:
        TreeError: one of them does not exist, the node is the root, or the parent is below it.
    """
    nodes = stored_tree(connection)
    moved = replace(_found(nodes, node_id), parent=parent)
    if _found(nodes, node_id).parent is None:
        raise TreeError([Problem(0, f"{_q(node_id)} is the root, which cannot be moved.")])
    _found(nodes, parent)
    return _change(connection, [*(node for node in nodes if node.id != node_id), moved], moved, None)


def rename_node(connection: Any, node_id: str, name: str) -> int:
    """Give a node another name."""
    nodes = stored_tree(connection)
    renamed = replace(_found(nodes, node_id), name=name)
    return _change(connection, [renamed if node.id == node_id else node for node in nodes], renamed, None)


def label_node(connection: Any, node_id: str, labels: Mapping[str, str | None]) -> int:
    """Set labels of a node; None takes one away."""
    nodes = stored_tree(connection)
    node = _found(nodes, node_id)
    merged = {key: value for key, value in {**node.labels, **labels}.items() if value is not None}
    labelled = replace(node, labels=merged)
    return _change(connection, [labelled if each.id == node_id else each for each in nodes], labelled, None)


def mark_node(connection: Any, node_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> int:
    """Set marks of a node and take others away."""
    nodes = stored_tree(connection)
    node = _found(nodes, node_id)
    wanted = (set(node.marks) | set(add)) - set(remove)
    unknown = sorted((wanted | set(remove)) - set(MARKS))
    if unknown:
        raise TreeError([Problem(0, f"{_q(unknown[0])} is no mark; there are {', '.join(MARKS)}.")])
    marked = replace(node, marks=tuple(mark for mark in MARKS if mark in wanted))
    return _change(connection, [marked if each.id == node_id else each for each in nodes], marked, None)


def remove_node(connection: Any, node_id: str) -> int:
    """Take a node out that has nothing below it; its organization stands with the unplaced ones."""
    nodes = stored_tree(connection)
    node = _found(nodes, node_id)
    if any(each.parent == node_id for each in nodes):
        raise TreeError([Problem(0, f"{_q(node_id)} has nodes below it; move them first.")])
    return replace_tree(connection, [each for each in nodes if each.id != node.id])


def _found(nodes: Sequence[TreeNode], node_id: str) -> TreeNode:
    for node in nodes:
        if node.id == node_id:
            return node
    raise TreeError([Problem(0, f"No node has the id {_q(node_id)}.")])


def _change(
    connection: Any, nodes: Sequence[TreeNode], changed: TreeNode, oids: Collection[str] | None
) -> int:
    problems = []
    if complaint := id_problem(changed.id):
        problems.append(Problem(0, complaint))
    for what, text in (
        ("name", changed.name),
        *((f"label {_q(key)}", value) for key, value in changed.labels.items()),
    ):
        if (complaint := text_problem(text)) or (what == "name" and not text):
            problems.append(Problem(0, f"The {what} {complaint or 'is empty'}."))
    if oids is not None and changed.oid is not None and changed.oid not in oids:
        problems.append(Problem(0, f"No organization with the oid {changed.oid} is known."))
    problems.extend(problems_of(nodes))
    if problems:
        raise TreeError(problems)
    return replace_tree(connection, nodes)
