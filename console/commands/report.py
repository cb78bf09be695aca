"""`limegrove report`: what there is to say about many organizations at once."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from store.coverage import Coverage


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `report`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    coverage = verbs.add_parser(
        "coverage",
        help="ATT&CK techniques that enabled rules are tagged with, and what is missing",
        description="A technique counts as covered where an enabled rule carries its tag (attack.t1059.001). "
        "What is missing is told against the templates of each organization, or against another template or "
        "node. Exit codes: 0 done, 3 the rules of some organizations were never read.",
    )
    coverage.add_argument(
        "--template", metavar="NAME", help="of this template instead of the organizations of the scope"
    )
    coverage.add_argument(
        "--against",
        metavar="TEMPLATE|NODE",
        help="what each should cover: a template's techniques, or those of all layers down to a node",
    )
    coverage.add_argument("--layer", metavar="FILE", help="write a layer that the ATT&CK Navigator imports")


def run(session: Session) -> int:
    """Say what is covered."""
    from store.coverage import Coverage, Covered, coverage, of_records
    from store.templates.library import UnknownTemplate, template

    given = session.arguments
    with session.reader.reading() as connection:
        against = None if given.against is None else _against(connection, given.against)
        if given.template is not None:
            try:
                held = of_records(template(connection, given.template).records.values())
            except UnknownTemplate:
                raise Problem(
                    f"There is no template {shown(given.template)}; `limegrove template list` names them.",
                    code=2,
                ) from None
            gaps = tuple(sorted((against or set()) - held.keys()))
            found = Coverage((Covered("", given.template, held, gaps),), tuple(sorted(against or ())))
        else:
            found = coverage(connection, scope=session.scope(), against=against)
    if given.layer is not None:
        _write(session, found, Path(given.layer))
    _show(session, found)
    return 0 if all(each.read for each in found.organizations) else 3


def _against(connection: "Connection", text: str) -> set[str]:
    """The techniques of a template, else of the layers down to a node."""
    from store.coverage import of_records
    from store.queries.organizations import find_node
    from store.templates.library import UnknownTemplate, layers_at, template

    try:
        return set(of_records(template(connection, text).records.values()))
    except UnknownTemplate:
        nodes = find_node(connection, text)
    if len(nodes) != 1:
        raise Problem(f"{shown(text)} is neither a template nor one node of the tree.", code=2)
    return {
        technique
        for each in layers_at(connection, nodes[0][0])
        for technique in of_records(each.template.records.values())
    }


def _show(session: Session, found: "Coverage") -> None:
    rows: list[dict[str, Any]] = [
        {
            "oid": each.oid or None,
            "organization": each.name,
            "techniques": [
                {"technique": one, "rules": list(rules)} for one, rules in each.techniques.items()
            ],
            "gaps": list(each.gaps),
            "read": each.read,
        }
        for each in found.organizations
    ]
    session.show_object(
        {
            "organizations": rows,
            "techniques": [{"technique": one, "organizations": count} for one, count in found.counts.items()],
            "wanted": list(found.wanted),
        },
        rows=[
            {
                "organization": row["organization"],
                "techniques": len(row["techniques"]) if row["read"] else "never read",
                "gaps": ", ".join(row["gaps"]),
            }
            for row in rows
        ],
        columns=("organization", "techniques", "gaps"),
    )
    lacking = sum(bool(each.gaps) for each in found.organizations)
    session.say(
        f"{len(found.counts):,} techniques, {len(found.wanted):,} of them wanted; "
        f"{lacking:,} of {len(found.organizations):,} lack some"
    )


def _write(session: Session, found: "Coverage", file: Path) -> None:
    from console.commands.output import json_text
    from store.coverage import layer

    name = session.arguments.template or session.arguments.scope or "All organizations"
    try:
        file.write_text(json_text(layer(found, f"{name} coverage")) + "\n", "utf-8")
    except OSError as error:
        raise Problem(f"{shown(str(file))} cannot be written: {error.strerror}.") from error
    session.say(f"The layer is in {shown(str(file))}.")
