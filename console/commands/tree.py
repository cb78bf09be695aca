"""`limegrove tree`: the provider's hierarchy over its organizations."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, safe, shown

if TYPE_CHECKING:
    from store.queries.totals import TreeRow

SIGNS = {"well": "o", "partly": "~", "unknown": ".", "failed": "x"}
"""Health, told without color."""

LIMIT = 20_000_000
"""Bytes of a file that are read at all; what a tree file may have is said in `store.yaml`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `tree`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verbs.add_parser("show", help="the tree, with health and counts rolled up")

    new = verbs.add_parser("add", help="add a folder or an organization")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--parent", metavar="NODE", help="the node above: its id, path, name or oid (the root)")
    new.add_argument("--id", metavar="ID", help="its id in the tree file (made from the name)")
    new.add_argument("--oid", metavar="OID|NAME", help="the organization that stands there (none: a folder)")

    move = verbs.add_parser("move", help="put a node, with all below it, below another one")
    move.add_argument("node", metavar="NODE", help="its id, path, name or oid")
    move.add_argument("parent", metavar="PARENT", help="the node above, likewise")

    label = verbs.add_parser("label", help="set labels of a node, or take them away")
    label.add_argument("node", metavar="NODE", help="its id, path, name or oid")
    label.add_argument("labels", metavar="NAME=TEXT", nargs="+", help="`tier=` takes it away")

    mark = verbs.add_parser("mark", help="mark a node: protected, frozen, canary, leaving or hold")
    mark.add_argument("node", metavar="NODE", help="its id, path, name or oid")
    mark.add_argument("marks", metavar="MARK", nargs="+", help="`canary` sets one, `no-canary` takes it away")

    export = verbs.add_parser("export", help="write the tree file")
    export.add_argument("file", metavar="FILE", nargs="?", help="standard output unless given")

    read = verbs.add_parser("import", help="make the tree be what a file says")
    read.add_argument("file", metavar="FILE", help="a tree file; - for standard input")


def run(session: Session) -> int:
    """Show the tree, or change it."""
    verb: str = session.arguments.verb
    if verb == "show":
        return _show(session)
    if verb == "export":
        return _export(session)
    session.refuse_read_only(f"tree {verb}")
    return {"add": _add, "move": _move, "label": _label, "mark": _mark, "import": _import}[verb](session)


def _show(session: Session) -> int:
    from console.commands.org import n_of_m
    from store.queries.organizations import completeness, tree
    from store.times import now_ms

    scope, now = session.scope(), now_ms()
    with session.reader.reading() as connection:
        rows = _below(tree(connection, now=now), scope)
        whole = completeness(connection, scope=scope, now=now)
    if session.output == "table":
        top = rows[0].depth if rows else 0
        session.show_rows([_line(row, top) for row in rows], footer=n_of_m(whole))
    else:
        session.show_rows([listed(row) for row in rows])
    return 0


def _below(rows: "list[TreeRow]", scope: str) -> "list[TreeRow]":
    """Those of the node `scope` and below it; all for ""."""
    if not scope:
        return rows
    at = next((number for number, row in enumerate(rows) if row.id == scope), None)
    if at is None:
        return []
    end = at + 1
    while end < len(rows) and rows[end].depth > rows[at].depth:
        end += 1
    return rows[at:end]


def listed(row: "TreeRow") -> dict[str, Any]:
    """One node as `tree show` prints it: figures are rolled up, labels and marks inherited."""
    from store.alerts import SEVERITIES
    from store.times import rfc3339

    alerts = row.known(row.open_alerts, row.no_alerts)
    return {
        "id": row.id,
        "parent": row.parent_id,
        "name": row.name,
        "oid": row.oid,
        "path": row.path,
        "depth": row.depth,
        "labels": row.labels,
        "marks": list(row.marks),
        "health": row.health,
        "reason": row.reason,
        "organizations": row.organizations,
        "fresh": row.fresh,
        "failed": row.failed,
        "sensors": row.known(row.sensors, row.no_sensors),
        "sensors_online": row.known(row.sensors_online, row.no_online),
        "open_alerts": alerts,
        "alerts": {
            word: None if alerts is None else count
            for word, count in zip(reversed(SEVERITIES), reversed(row.by_severity), strict=True)
        },
        "late": None if alerts is None else row.late,
        "cases": row.known(row.cases, row.no_cases),
        "errors": row.known(row.errors, row.no_errors),
        "over_quota": row.over_quota,
        "keys_stale": row.keys_stale,
        "synced_at": rfc3339(row.synced_at),
    }


def _line(row: "TreeRow", top: int) -> dict[str, Any]:
    marks = f" [{', '.join(row.marks)}]" if row.marks else ""
    return {
        "name": f"{'  ' * (row.depth - top)}{SIGNS[row.health]} {safe(row.name)}{marks}",
        "id": row.id,
        "orgs": row.organizations,
        "sensors": row.known(row.sensors, row.no_sensors),
        "alerts": row.known(row.open_alerts, row.no_alerts),
        "why": row.reason,
    }


def _add(session: Session) -> int:
    from console.operations.tree import add

    given = session.arguments
    id_ = add(
        given.name,
        store=session.store(),
        parent=None if given.parent is None else session.node(given.parent, "--parent"),
        node_id=given.id,
        oid=None if given.oid is None else session.organization(given.oid),
    )
    return _answer(session, id_)


def _move(session: Session) -> int:
    from console.operations.tree import move

    node = session.node(session.arguments.node, "NODE")
    move(node, session.node(session.arguments.parent, "PARENT"), store=session.store())
    return _answer(session, node)


def _label(session: Session) -> int:
    from console.operations.tree import label

    changes: dict[str, str | None] = {}
    for word in session.arguments.labels:
        name, equals, text = word.partition("=")
        if not (name and equals):
            raise Problem(f"{shown(word)} is no label; write NAME=TEXT, or NAME= to take it away.", code=2)
        changes[name] = text or None
    node = session.node(session.arguments.node, "NODE")
    label(node, changes, store=session.store())
    return _answer(session, node)


def _mark(session: Session) -> int:
    from console.operations.tree import mark

    words: list[str] = session.arguments.marks
    node = session.node(session.arguments.node, "NODE")
    mark(
        node,
        [word for word in words if not word.startswith("no-")],
        [word.removeprefix("no-") for word in words if word.startswith("no-")],
        store=session.store(),
    )
    return _answer(session, node)


def _answer(session: Session, id_: str) -> int:
    """Print a node as the tree file has it, with its path."""
    from console.operations.tree import one_node

    with session.reader.reading() as connection:
        node = one_node(connection, id_)
    if node is None:
        raise Problem(f"The node {shown(id_)} was taken out of the tree a moment ago.")
    session.show_object(node)
    return 0


def _export(session: Session) -> int:
    from console.commands.output import yaml_text
    from console.operations.tree import export_nodes

    with session.reader.reading() as connection:
        nodes = export_nodes(connection)
    file: str = session.arguments.file or "-"
    if file == "-":
        if session.arguments.output in (None, "yaml"):
            sys.stdout.write(yaml_text(nodes))
        else:
            session.show_rows(nodes)
        return 0
    write_whole(Path(file), yaml_text(nodes))
    session.say(f"{len(nodes)} nodes written to {file}.")
    return 0


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all; one that is there is overwritten in one step.

    Raises:
        FileError: it cannot be written.
    """
    from console.operations.files import write_private

    write_private(path, text.encode("utf-8", "backslashreplace"))


def _import(session: Session) -> int:
    from console.operations.tree import import_file
    from store.tree import TreeError

    file: str = session.arguments.file
    content = _content_of(file)
    name = "standard input" if file == "-" else file
    try:
        done = import_file(content, store=session.store())
    except TreeError as error:
        for problem in error.problems:
            session.say(f"{name}:{problem.line}: {problem.text}")
        count = len(error.problems)
        mistakes = "a mistake" if count == 1 else f"{count} mistakes"
        raise Problem(f"{name} has {mistakes}; nothing was changed.") from error
    session.show_object(
        {
            "nodes": done.nodes,
            "organizations": done.organizations,
            "added": done.added,
            "removed": done.removed,
            "changed": done.changed,
        }
    )
    from store import sla
    from store.queries import findings

    with session.reader.reading() as connection:
        passed_over = [*sla.problems(connection), *findings.problems(connection)]
    for sentence in passed_over:
        session.say(sentence)
    if done.organizations and not done.oids_checked:
        session.say("The store was never synced, so no oid could be checked; run `limegrove sync`.")
    return 0


def _content_of(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read(LIMIT + 1)
        with open(file, "rb") as stream:
            return stream.read(LIMIT + 1)
    except OSError as error:
        raise Problem(f"{shown(file)} cannot be read: {error.strerror}.") from error
