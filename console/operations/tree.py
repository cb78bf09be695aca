"""The provider's hierarchy: making it what a file says, changing it, writing it out.

What a tree may be is said in `store.tree`. Here every change is one transaction with its entry in the
journal: both are there, or neither.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Table, select

from console.operations.actor import actor
from console.operations.triage import clocks_follow
from store.database import Store
from store.journal import append
from store.models import Node, Organization
from store.tree import (
    FIELDS,
    RESERVED,
    TreeNode,
    add_node,
    label_node,
    mark_node,
    move_node,
    read_tree,
    replace_tree,
    stored_tree,
)

ROOT = TreeNode("root", None, "All organizations")
"""What the first node of an empty tree is put below."""

_NODE: Table = Node.__table__  # type: ignore[attr-defined]  # SQLModel sets it on every table model
_ORGANIZATION: Table = Organization.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Imported:
    """What an import came to, in nodes."""

    nodes: int
    organizations: int
    added: int
    removed: int
    changed: int
    """Nodes that were there before and differ now; their place among their siblings does not count."""
    oids_checked: bool
    """False when the store has never listed organizations, so that no oid could be told from a wrong one."""


def import_file(text: str | bytes, *, store: Store) -> Imported:
    """Make the tree be what a file says.

    Args:
        text: a tree file (see `store.tree`).
        store: written in one transaction, and journalled; nothing is when the tree is like that already.

    Raises:
        TreeError: with every problem, each with its line; nothing was changed.
    """
    with store.reader.reading() as connection:
        known = _known_oids(connection)
    # Before the write lock is taken: a large file takes seconds to check, and every writer would wait.
    nodes = read_tree(text, oids=known or None)
    with clocks_follow(store), store.writing() as connection:
        return _put(connection, nodes, oids_checked=bool(known))


def import_nodes(nodes: Iterable[Mapping[str, Any]], *, store: Store, known_only: bool = True) -> Imported:
    """Make the tree be these nodes.

    Args:
        nodes: of {id, parent, name, oid?, labels?, parameters?, marks?}.
        store: as for `import_file`.
        known_only: whether an oid that no listing of the cloud has named is a mistake, provided that
            there has been a listing.

    Raises:
        TreeError: they are no tree; nothing was changed.
    """
    wanted = [node_of(each) for each in nodes]
    with clocks_follow(store), store.writing() as connection:
        known = _known_oids(connection) if known_only else set()
        if known:
            from store.tree import TreeError, problems_of

            if problems := problems_of(wanted, oids=known):
                raise TreeError(problems)
        return _put(connection, wanted, oids_checked=bool(known))


def _put(connection: Connection, wanted: Sequence[TreeNode], *, oids_checked: bool) -> Imported:
    before = {node.id: node for node in stored_tree(connection)}
    after = {node.id: node for node in wanted}
    added, removed = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
    changed = sorted(id_ for id_ in after.keys() & before.keys() if after[id_] != before[id_])
    if replace_tree(connection, wanted):
        differences = {id_: _difference(before[id_], after[id_]) for id_ in changed}
        detail = {"nodes": len(after), "added": added, "removed": removed, "changed": differences}
        append(connection, actor(), "tree.import", detail=detail)
    return Imported(
        nodes=len(after),
        organizations=sum(1 for node in wanted if node.oid is not None),
        added=len(added),
        removed=len(removed),
        changed=len(changed),
        oids_checked=oids_checked,
    )


def export_nodes(connection: Connection) -> list[dict[str, Any]]:
    """The tree as a file has it, parents first: what is empty is left out; importing it changes nothing."""
    return [
        {
            field: value
            for field, value in fields_of(node).items()
            if field in ("id", "parent", "name") or value
        }
        for node in stored_tree(connection)
    ]


def one_node(connection: Connection, node_id: str) -> dict[str, Any] | None:
    """One node with its own fields (nothing inherited) and its path; None when there is none."""
    row = connection.execute(select(_NODE).where(_NODE.c.id == node_id)).one_or_none()
    if row is None:
        return None
    node = TreeNode(row.id, row.parent_id, row.name, row.oid, row.labels, row.parameters, tuple(row.marks))
    return fields_of(node) | {"path": row.path}


def add(
    name: str, *, store: Store, parent: str | None = None, node_id: str | None = None, oid: str | None = None
) -> str:
    """Add a node as the last one below its parent.

    Args:
        name: what it is called.
        store: written in one transaction, and journalled.
        parent: the id of the node above; None for the root, which an empty tree is given first.
        node_id: its id; made from the name when None. That of the root, in an empty tree, names the root.
        oid: the organization that stands there; None for a folder.

    Returns:
        The node's id.

    Raises:
        TreeError: the id or the oid is taken, or something is malformed; nothing was changed.
    """
    with clocks_follow(store), store.writing() as connection:
        nodes = stored_tree(connection)
        if not nodes and node_id == ROOT.id and oid is None:
            root = replace(ROOT, name=name)
            add_node(connection, root)
            append(connection, actor(), "tree.add", "", ROOT.id, {"after": fields_of(root)})
            return ROOT.id
        if not nodes:
            add_node(connection, ROOT)
            nodes = [ROOT]
        chosen = id_for(name, {node.id for node in nodes}) if node_id is None else node_id
        node = TreeNode(chosen, nodes[0].id if parent is None else parent, name, oid)
        add_node(connection, node, oids=_known_oids(connection) or None)
        append(connection, actor(), "tree.add", oid or "", chosen, {"after": fields_of(node)})
    return chosen


def move(node_id: str, parent: str, *, store: Store) -> bool:
    """Put a node, with all that is below it, below another one, as the last there.

    Returns:
        Whether anything changed.

    Raises:
        TreeError: one of them is unknown, the node is the root, or it would come below itself.
    """
    return _change(store, "tree.move", node_id, lambda c: move_node(c, node_id, parent))


def label(node_id: str, labels: Mapping[str, str | None], *, store: Store) -> bool:
    """Set labels of a node; None takes one away.

    Returns:
        Whether anything changed.

    Raises:
        TreeError: the node is unknown, or a label is malformed.
    """
    return _change(store, "tree.label", node_id, lambda c: label_node(c, node_id, labels))


def mark(node_id: str, add: Iterable[str], remove: Iterable[str], *, store: Store) -> bool:
    """Set marks of a node and take others away; each of `store.tree.MARKS`.

    Returns:
        Whether anything changed.

    Raises:
        TreeError: the node or a mark is unknown.
    """
    return _change(store, "tree.mark", node_id, lambda c: mark_node(c, node_id, add=add, remove=remove))


def node_of(fields: Mapping[str, Any]) -> TreeNode:
    """A node of a mapping such as the tree file has; what is missing is empty."""
    return TreeNode(
        id=fields["id"],
        parent=fields.get("parent"),
        name=fields["name"],
        oid=fields.get("oid"),
        labels=dict(fields.get("labels") or {}),
        parameters=dict(fields.get("parameters") or {}),
        marks=tuple(fields.get("marks") or ()),
    )


def fields_of(node: TreeNode) -> dict[str, Any]:
    """A node as the tree file names its fields, empty ones included."""
    return {field: list(node.marks) if field == "marks" else getattr(node, field) for field in FIELDS}


def _change(store: Store, action: str, node_id: str, change: Any) -> bool:
    with clocks_follow(store), store.writing() as connection:
        before = {node.id: node for node in stored_tree(connection)}.get(node_id)
        if not change(connection) or before is None:
            return False
        after = {node.id: node for node in stored_tree(connection)}[node_id]
        append(connection, actor(), action, after.oid or "", node_id, _difference(before, after))
    return True


def _difference(before: TreeNode, after: TreeNode) -> dict[str, dict[str, Any]]:
    was, is_ = fields_of(before), fields_of(after)
    changed = [field for field in FIELDS if was[field] != is_[field]]
    return {"before": {name: was[name] for name in changed}, "after": {name: is_[name] for name in changed}}


def id_for(name: str, taken: set[str]) -> str:
    """An id for a node: `Müller & Co` -> `muller-co`, with a number behind it where that is taken."""
    import re
    import unicodedata

    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64] or "node"
    chosen, number = stem, 1
    while chosen in taken or chosen in RESERVED:
        number += 1
        chosen = f"{stem}-{number}"
    return chosen


def _known_oids(connection: Connection) -> set[str]:
    return set(connection.execute(select(_ORGANIZATION.c.oid)).scalars())
