"""`limegrove template lint` and `show`: a document with all that it includes, and what is wrong with it."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from console.operations.templates import Refused
    from store.templates.documents import Finding, Template

_SUFFIXES = (".yaml", ".yml")


def configure(verbs: Any) -> None:
    """Add the verbs.

    Args:
        verbs: what argparse gave for the verbs of `template`.
    """
    lint: argparse.ArgumentParser = verbs.add_parser(
        "lint",
        help="what is wrong with infrastructure documents, by file and line",
        description="Reads infrastructure documents (version 3) with everything that they include, and says "
        "what a push would refuse (errors), and what the cloud would accept and never act on (warnings). "
        "Exit codes: 0 no errors, 1 errors, 2 nothing could be read.",
    )
    lint.add_argument("paths", metavar="PATH", nargs="+", help="documents, or directories of them")
    lint.add_argument("--strict", action="store_true", help="warnings count as errors")
    show: argparse.ArgumentParser = verbs.add_parser(
        "show", help="a document resolved: its records, and where each of them stands"
    )
    show.add_argument("path", metavar="PATH", help="the document")
    for verb in (lint, show):
        verb.add_argument(
            "--root",
            metavar="DIR",
            help="nothing outside it is read (the git working tree around the document, else the current "
            "directory where it is below that, else its own)",
        )


def lint(session: Session) -> int:
    """Check documents; those that others include are read with them."""
    given = session.arguments
    rows: list[dict[str, Any]] = []
    seen: set[tuple[str, int, str]] = set()
    documents = errors = warnings = 0
    for root, template, alone in _documents(given.paths, given.root):
        documents += 1
        for finding in _findings(template, alone):
            row = _row(root, finding)
            # A file that several documents include is wrong once.
            key = (row["file"], row["line"], row["text"])
            if key in seen:
                continue
            seen.add(key)
            rows.append(row)
            errors += finding.severity == "error"
            warnings += finding.severity == "warning"
    session.show_rows(
        rows,
        columns=("severity", "file", "line", "text", "remedy"),
        footer=f"{errors:,} errors and {warnings:,} warnings in {documents:,} documents",
    )
    return 1 if errors or (given.strict and warnings) else 0


def show(session: Session) -> int:
    """Show what a document comes to."""
    given = session.arguments
    path = Path(given.path)
    if not path.is_file():
        raise Problem(f"There is no file {shown(given.path)}.", code=2)
    root = document_root(path, given.root)
    template = _read(root, _below(root, path))
    records = [
        {
            "section": record.section,
            "name": record.name,
            "file": record.place.file,
            "line": record.place.line,
            "enabled": None if record.metadata is None else record.metadata.get("enabled"),
            "body": _hidden(record.section, record.body),
            "usr_mtd": None if record.metadata is None else dict(record.metadata),
        }
        for record in template.records.values()
    ]
    session.show_object(
        {
            "main": template.main,
            "files": list(template.files),
            "records": records,
            "findings": [_row(root, each) for each in template.findings],
        },
        rows=records,
        columns=("section", "name", "enabled", "file", "line"),
    )
    if session.output == "table":
        session.say(f"{len(records):,} records of {len(template.files):,} files")
    for finding in template.findings:
        if finding.severity == "error":
            session.say(str(finding))
    return 1 if template.broken else 0


def _hidden(section: str, body: Any) -> Any:
    """A secret is not printed because a file has it in clear."""
    return {"secret": "(not shown)"} if section == "hive/secret" else body


def _read(root: Path, main: str) -> "Template":
    from store.templates.documents import read_template

    return read_template(root, main)


def _findings(template: "Template", alone: "Template | Refused | None") -> "Iterable[Finding]":
    """What is wrong with a document; with a file that is none, what an import says of it."""
    from console.operations.templates import Refused
    from store.templates.documents import Finding, Place
    from store.templates.lint import lint

    if template.documents:
        return lint(template)
    if isinstance(alone, Refused):
        return [Finding("error", Place(alone.file, alone.line), alone.reason)]
    return template.findings if alone is None else alone.findings


def _row(root: Path, finding: "Finding") -> dict[str, Any]:
    section, name = finding.record or ("", "")
    return {
        "severity": finding.severity,
        "file": finding.place.file,
        "line": finding.place.line,
        "record": f"{section}/{name}" if section else None,
        "text": finding.text,
        "remedy": finding.remedy,
    }


def _documents(
    paths: list[str], root: str | None
) -> "Iterator[tuple[Path, Template, Template | Refused | None]]":
    """The documents to check: of a directory those that no other one in it includes. Each is read once.

    Yields:
        Outside of what nothing was read, the document, and what an import would take it for.

    What is another program's in a directory is passed by, as an import passes it by.
    """
    from console.operations.templates import read_one

    for given in paths:
        path = Path(given)
        if path.is_file():
            base = document_root(path, root)
            yield base, _read(base, _below(base, path)), read_one(path, base)
            continue
        if not path.is_dir():
            raise Problem(f"There is no file or directory {shown(given)}.", code=2)
        base = document_root(path, root)
        found = sorted(
            _below(base, each)
            for each in path.rglob("*")
            # Hidden folders are the version control's and the forge's.
            if each.suffix in _SUFFIXES
            and each.is_file()
            and not any(part.startswith(".") for part in each.relative_to(path).parts[:-1])
        )
        if not found:
            raise Problem(f"There is no YAML file in {shown(given)}.", code=2)
        taken = {main: alone for main in found if (alone := read_one(base / main, base)) is not None}
        if not taken:
            raise Problem(f"There is no infrastructure document in {shown(given)}.", code=2)
        read = {main: _read(base, main) for main in taken}
        included = {name for main, template in read.items() for name in template.files if name != main}
        for main, template in read.items():
            if main not in included:
                yield base, template, taken[main]


def document_root(path: Path, given: str | None) -> Path:
    """The directory outside of which nothing is read for a document.

    Raises:
        Problem: the one that was given is none; exit code 2.
    """
    if given is not None:
        root = Path(given).resolve()
        if not root.is_dir():
            raise Problem(f"There is no directory {shown(given)}.", code=2)
        return root
    real = path.resolve()
    for above in (real, *real.parents):
        if (above / ".git").exists():
            return above
    here = Path.cwd()
    if real.is_relative_to(here):
        return here
    return real if real.is_dir() else real.parent


def _below(root: Path, path: Path) -> str:
    real = path.resolve()
    if not real.is_relative_to(root):
        raise Problem(f"{shown(str(path))} is not below {shown(str(root))}; give another --root.", code=2)
    return real.relative_to(root).as_posix()
