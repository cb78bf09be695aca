"""`limegrove template import`, `list`, `assign`, `unassign`, `render`, `export` and `terraform`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, safe, shown
from console.commands.template_lint import document_root

if TYPE_CHECKING:
    from store.templates.effective import Effective


def configure(verbs: Any) -> None:
    """Add the verbs.

    Args:
        verbs: what argparse gave for the verbs of `template`.
    """
    take: argparse.ArgumentParser = verbs.add_parser(
        "import",
        help="take documents into the store, each as a template",
        description="Takes an infrastructure document with all that it includes, or every document of a "
        "directory that no other one includes, as it is. Repositories of the layout of mssp-demo or "
        "ext-git-sync are taken unchanged. Exit codes: 0 all, 1 none, 3 some were refused and are named.",
    )
    take.add_argument("path", metavar="PATH", help="a document, or a directory")
    take.add_argument(
        "--name", metavar="NAME", help="of the template (made from the path); one document only"
    )
    take.add_argument("--root", metavar="DIR", help="nothing outside it is read; as in `template lint`")
    take.add_argument(
        "--assign",
        action="store_true",
        help="put orgs/OID/index.yaml on the node of that organization",
    )
    verbs.add_parser("list", help="the templates, and the nodes that they are assigned to")
    for word, says in (("assign", "make a template a layer of a node"), ("unassign", "take it off the node")):
        verb = verbs.add_parser(word, help=says)
        verb.add_argument("template", metavar="TEMPLATE")
        verb.add_argument("node", metavar="NODE", help="its id, path, name or oid")
    render = verbs.add_parser("render", help="what an organization is to have, and where each record is from")
    render.add_argument("--org", metavar="OID|NAME", required=True)
    for word, says in (
        ("export", "write orgs/OID/index.yaml, which the official client pushes as it is"),
        ("terraform", "write OID.tf.json, whose locals hold the same"),
    ):
        verb = verbs.add_parser(word, help=f"{says}; of each organization of the scope that has layers")
        verb.add_argument("directory", metavar="DIR", help="a new or empty directory")


def run(session: Session) -> int:
    """Do what the verb says."""
    verb: str = session.arguments.verb
    if verb in ("import", "assign", "unassign"):
        session.refuse_read_only(f"template {verb}")
    return {
        "import": _import, "list": _list, "assign": _assign, "unassign": _assign, "render": _render,
        "export": _write, "terraform": _write,
    }[verb](session)  # fmt: skip


def _import(session: Session) -> int:
    from console.operations.templates import assign, import_templates

    given = session.arguments
    path = Path(given.path)
    if not path.exists():
        raise Problem(f"There is no file or directory {shown(given.path)}.", code=2)
    if given.name is not None and not path.is_file():
        raise Problem("--name is for one document, and this is a directory.", code=2)
    root = document_root(path, given.root)
    if not path.resolve().is_relative_to(root):
        raise Problem(f"{shown(given.path)} is not below {shown(str(root))}; give another --root.", code=2)
    try:
        made = import_templates(path, root=root, store=session.store(), name=given.name, by=session.operator)
    except ValueError as error:
        raise Problem(str(error), code=2) from error
    assigned = []
    if given.assign:
        with session.reader.reading() as connection:
            from store.queries.organizations import find_node

            nodes = {name: find_node(connection, oid) for name, oid in made.oids.items()}
        for name, found in nodes.items():
            if len(found) == 1 and assign(found[0][0], name, store=session.store()):
                assigned.append({"template": name, "node": found[0][0]})
    session.show_object(
        {
            "imported": [
                {
                    "name": each.name,
                    "version": each.version,
                    "new": each.new,
                    "records": each.records,
                    "files": list(each.files),
                    "findings": [
                        {
                            "severity": one.severity, "file": one.place.file, "line": one.place.line,
                            "text": one.text, "remedy": one.remedy,
                        }
                        for one in each.findings
                    ],
                }
                for each in made.taken
            ],
            "refused": [
                {"file": each.file, "line": each.line, "reason": each.reason} for each in made.refused
            ],
            "skipped": made.skipped,
            "assigned": assigned,
        },
        rows=[
            {
                "what": "new" if each.new else "as before", "name": each.name, "version": each.version,
                "records": each.records, "said": "; ".join(str(one) for one in each.findings),
            }
            for each in made.taken
        ]
        + [
            {
                "what": "refused", "name": f"{each.file}:{each.line}", "version": None, "records": None,
                "said": each.reason,
            }
            for each in made.refused
        ],
        columns=("what", "name", "version", "records", "said"),
    )  # fmt: skip
    if not made.taken and not made.refused:
        raise Problem(f"There is no infrastructure document in {shown(given.path)}.", code=2)
    session.say_each(f"Refused: {each.file}:{each.line}: {each.reason}" for each in made.refused)
    return 0 if not made.refused else 3 if made.taken else 1


def _list(session: Session) -> int:
    from store.templates.library import assignments, listed
    from store.times import rfc3339

    with session.reader.reading() as connection:
        found = listed(connection)
        layers = assignments(connection)
    where: dict[str, list[str]] = {}
    for layer in layers:
        where.setdefault(layer.template, []).append(layer.path or layer.node)
    session.show_rows(
        [
            {
                "name": each.name,
                "version": each.version,
                "files": each.files,
                "nodes": where.get(each.name, []),
                "hash": each.hash,
                "source": each.source,
                "imported_at": rfc3339(each.imported_at),
                "imported_by": each.imported_by,
            }
            for each in found
        ],
        columns=("name", "version", "files", "nodes", "imported_at"),
        footer=f"{len(found):,} templates, {len(layers):,} layers",
    )
    return 0


def _assign(session: Session) -> int:
    from console.operations.templates import assign, unassign
    from store.queries.organizations import find_node
    from store.templates.library import UnknownTemplate

    given = session.arguments
    with session.reader.reading() as connection:
        nodes = find_node(connection, given.node)
    if len(nodes) != 1:
        several = f"may be any of {len(nodes)} nodes; give its id" if nodes else "is no node of the tree"
        raise Problem(f"{shown(given.node)} {several}; nothing was changed.", code=2)
    node, path = nodes[0]
    store = session.store()
    try:
        if given.verb == "assign":
            done = assign(node, given.template, store=store, by=session.operator)
        else:
            done = unassign(node, given.template, store=store)
    except UnknownTemplate:
        raise Problem(
            f"There is no template {shown(given.template)}; `limegrove template list` names them.", code=2
        ) from None
    if not done and given.verb == "unassign":
        raise Problem(
            f"{shown(given.template)} is no layer of {safe(path or node)}; nothing was changed.", code=2
        )
    session.show_object({"template": given.template, "node": node, "path": path, "changed": done})
    return 0


def _render(session: Session) -> int:
    from store.templates.effective import document_key, document_of
    from store.templates.library import effective_of

    oid = session.organization(session.arguments.org)
    with session.reader.reading() as connection:
        found = effective_of(connection, oid)
    rows = [
        {
            "record": document_key(key),
            "origin": wanted.origins[-1].layer,
            "path": wanted.origins[-1].path,
            "how": wanted.origins[-1].how,
            "place": str(wanted.origins[-1].place),
            "origins": [
                {"how": each.how, "template": each.layer, "path": each.path, "place": str(each.place)}
                for each in wanted.origins
            ],
        }
        for key, wanted in found.records.items()
    ]
    rows += [
        {
            "record": document_key(key), "origin": origins[-1].layer, "path": origins[-1].path,
            "how": "switched off", "place": str(origins[-1].place),
            "origins": [
                {"how": each.how, "template": each.layer, "path": each.path, "place": str(each.place)}
                for each in origins
            ],
        }
        for key, origins in found.off.items()
    ]  # fmt: skip
    session.show_object(
        {
            "oid": oid,
            "document": _without_secrets(document_of(each.record for each in found.records.values())),
            "records": rows,
            "blocked": list(found.blocked),
            "findings": [str(each) for each in found.findings],
        },
        rows=rows,
        columns=("record", "how", "origin", "path", "place"),
    )
    for reason in found.blocked:
        session.say(f"Blocked: {reason}")
    return 1 if found.blocked else 0


def _without_secrets(document: dict[str, Any]) -> dict[str, Any]:
    """A secret is not printed because a template has it in clear."""
    secrets = document.get("hives", {}).get("secret", {})
    for record in secrets.values():
        record["data"] = {"secret": "(not shown)"}
    return document


def _write(session: Session) -> int:
    from console.operations.templates import NotEmpty, export, terraform
    from store.templates.library import effective_of, layered

    given = session.arguments
    with session.reader.reading() as connection:
        organizations = layered(connection, session.scope())
        found: dict[str, Effective] = {oid: effective_of(connection, oid) for oid in organizations}
    blocked = [
        {"oid": oid, "organization": organizations[oid], "reason": reason}
        for oid, each in found.items()
        for reason in each.blocked
    ]
    ready = {oid: each for oid, each in found.items() if not each.blocked}
    if not ready:
        reason = f" {blocked[0]['reason']}" if blocked else " No template is assigned above any of them."
        raise Problem(f"No organization of the scope can be written.{reason}", code=1)
    directory = Path(given.directory)
    try:
        written = (export if given.verb == "export" else terraform)(ready, directory)
    except NotEmpty:
        raise Problem(f"{shown(given.directory)} is not empty; nothing was written.", code=2) from None
    except OSError as error:
        raise Problem(f"{shown(given.directory)} cannot be written: {error.strerror}.") from error
    session.show_object({"directory": str(directory), "written": written, "blocked": blocked})
    for each in blocked:
        session.say(f"Left out: {safe(each['organization'])}: {each['reason']}")
    return 3 if blocked else 0
