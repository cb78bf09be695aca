"""`limegrove access lint|drift|export`: roles as code, and what differs from them."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands import asof
from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from console.operations.accessfile import Wanted
    from store.accessfile import Difference, GroupDrift, Known, Remark

LIMIT = 6_000_000
"""Bytes of a file that are read at all; what a file may have is said in `store.yaml`."""

HAS_DRIFT = 4
"""Exit code: there is something to change."""
NOT_ALL = 3
"""Exit code: of some groups it cannot be told."""


def configure(verbs: Any) -> None:
    """Add `lint`, `drift` and `export` to the verbs of `access`."""
    lint = verbs.add_parser("lint", help="whether an access file can be applied, and what is odd in it")
    drift = verbs.add_parser(
        "drift", help="how the groups differ from an access file, since when and by whom"
    )
    for verb in (lint, drift):
        verb.add_argument("file", metavar="FILE", help="such as access.yaml; - for standard input")
    export = verbs.add_parser("export", help="write the access file of what is there")
    export.add_argument("file", metavar="FILE", nargs="?", help="standard output unless given")
    export.add_argument(
        "--roles", metavar="FILE", help="an access file whose roles are looked for in the groups"
    )
    asof.configure(export)


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add `--file`, which `from_file` reads."""
    parser.add_argument(
        "--file", metavar="FILE", help="the changes that an access file wants; - for standard input"
    )


def lint(session: Session) -> int:
    """Say everything that is wrong or odd, by line; 1 when the file cannot be applied."""
    from store.accessfile import AccessFileError, read
    from store.queries.accessfile import known

    name = session.arguments.file
    content = content_of(name)
    with session.reader.reading() as connection:
        found = known(connection)
    try:
        remarks = read(content, found).remarks
        fine = True
    except AccessFileError as error:
        remarks, fine = error.remarks, False
    _say_unread(session, found)
    called = _called(name)
    rows = [
        {
            "file": called,
            "line": each.line,
            "severity": "error" if each.wrong else "warning",
            "text": each.text,
            "remedy": each.remedy,
        }
        for each in remarks
    ]
    if session.output == "table":
        for each in remarks:
            session.say(_remark(called, each))
        session.say(f"{called} {'can be applied' if fine else 'cannot be applied'}.")
    else:
        session.show_rows(rows, columns=("file", "line", "severity", "text", "remedy"))
    return 0 if fine else 1


def drift(session: Session) -> int:
    """Show how each group differs from the file; 4 when any does, 3 when of some it cannot be told."""
    found = from_file(session, session.arguments.file)
    names = {oid: str(name) for oid, name in found.known.organizations.items()}
    rows = [_line(group, each, names) for group in found.drifts for each in group.differences]
    rows += [
        {"group": group.name, "what": "unknown", "section": "", "value": group.unknown, "since": "", "by": ""}
        for group in found.drifts
        if group.unknown
    ]
    from store.times import rfc3339

    session.show_object(
        {
            "file_hash": found.file.hash,
            "checked_at": rfc3339(found.known.checked_at),
            "drift": found.differs,
            "groups": [shown_drift(group, names) for group in found.drifts],
            "not_in_the_file": len(found.known.groups)
            - sum(group.gid in found.known.groups for group in found.drifts),
        },
        rows=rows,
        columns=("group", "what", "section", "value", "since", "by"),
    )
    if session.output == "table":
        session.say(_footer(found))
    unknown = any(group.unknown for group in found.drifts)
    return HAS_DRIFT if found.differs else NOT_ALL if unknown else 0


def export(session: Session) -> int:
    """Write the file of what is there."""
    from dataclasses import replace

    from console.commands.output import yaml_text
    from console.commands.tree import write_whole
    from store import accessfile
    from store.access import counted
    from store.permissions import roles
    from store.queries.accessfile import known

    at = asof.asked(session)
    with session.reader.reading() as connection:
        found = known(connection, at=at)
    if found.checked_at is None and at is not None:
        raise Problem("The groups were not read yet then, so there is nothing to write.", code=3)
    if found.checked_at is None:
        raise Problem("The groups were never read, so there is nothing to write; run `limegrove sync`.")
    asof.say(session, at)
    if session.arguments.roles:
        file = _read(session, session.arguments.roles, found)
        own = {name: held for name, held in file.roles.items() if name not in roles()}
        found = replace(found, given={**found.given, **own})
    written = accessfile.export(found)
    left_out = [group for group in found.groups.values() if not group.complete]
    target = session.arguments.file or "-"
    if target != "-":
        write_whole(Path(target), yaml_text(written))
    elif session.arguments.output in (None, "yaml"):
        sys.stdout.write(yaml_text(written))
    else:
        session.show_object(written)
    if target != "-" or left_out:
        number = counted(len(written["groups"]), "group")
        session.say(f"{number} written{'' if target == '-' else f' to {target}'}.")
    if left_out:
        session.say(
            f"Left out: {len(left_out)} that this credential does not own, which are known in part only, "
            f"such as {left_out[0].name}."
        )
    return 0


def from_file(session: Session, name: str, *, keep: bool = False) -> "Wanted":
    """What an access file wants changed. What is odd in it is said; so is everything that is wrong.

    Args:
        name: of the file; - for standard input.
        keep: a plan is made of it: what it gives is remembered until that was applied.

    Raises:
        Problem: it cannot be read or applied, or the groups were never read.
    """
    from console.operations import accessfile
    from store.accessfile import AccessFileError
    from store.times import now_ms

    content = content_of(name)
    try:
        found = accessfile.wanted(content, reader=session.reader)
    except AccessFileError as error:
        raise _refused(session, name, error.remarks) from error
    for each in found.file.remarks:
        session.say(_remark(_called(name), each))
    if found.known.checked_at is None:
        raise Problem("The groups were never read, so nothing can be told of them; run `limegrove sync`.")
    if keep:
        accessfile.remember(found, store=session.store(), now=now_ms())
    return found


def content_of(name: str) -> bytes:
    """The bytes of a file, or of standard input for `-`.

    Raises:
        Problem: it cannot be read.
    """
    try:
        if name == "-":
            return sys.stdin.buffer.read(LIMIT + 1)
        with open(name, "rb") as stream:
            return stream.read(LIMIT + 1)
    except OSError as error:
        raise Problem(f"{shown(name)} cannot be read: {error.strerror}; nothing was changed.") from error


def _read(session: Session, name: str, known: "Known") -> Any:
    from store.accessfile import AccessFileError, read

    try:
        return read(content_of(name), known)
    except AccessFileError as error:
        raise _refused(session, name, error.remarks) from error


def _refused(session: Session, name: str, remarks: "tuple[Remark, ...]") -> Problem:
    called = _called(name)
    for each in remarks:
        session.say(_remark(called, each))
    wrong = sum(each.wrong for each in remarks)
    mistakes = "a mistake" if wrong == 1 else f"{wrong} mistakes"
    return Problem(f"{called} has {mistakes}; nothing was changed.")


def _called(name: str) -> str:
    return "standard input" if name == "-" else name


def _remark(called: str, remark: "Remark") -> str:
    odd = "" if remark.wrong else "warning: "
    return f"{called}:{remark.line}: {odd}{remark.text}{f' {remark.remedy}' if remark.remedy else ''}"


def _say_unread(session: Session, known: "Known") -> None:
    if known.checked_at is None:
        session.say("The groups were never read, so which are there is not known; run `limegrove sync`.")


def shown_drift(group: "GroupDrift", names: dict[str, str]) -> dict[str, Any]:
    """How a group differs, as `access drift` prints it."""
    from store.times import rfc3339

    return {
        "gid": None if group.gid.startswith("new:") else group.gid,
        "name": group.name,
        "role": group.role or None,
        "line": group.line,
        "equals_role": group.equals or None,
        "unknown": group.unknown,
        "differences": [
            {
                "what": each.what,
                "section": each.section,
                "value": each.value,
                **({"organization": names.get(each.value, "")} if each.section == "organization" else {}),
                "since": rfc3339(each.since),
                "by": each.by or None,
                "told_by": each.told or None,
            }
            for each in group.differences
        ],
    }


def _line(group: "GroupDrift", each: "Difference", names: dict[str, str]) -> dict[str, Any]:
    from store.times import rfc3339

    value = names.get(each.value, each.value) if each.section == "organization" else each.value
    return {
        "group": group.name,
        "what": each.what,
        "section": each.section,
        "value": value,
        "since": rfc3339(each.since) or "not told",
        "by": each.by or "not told",
    }


def _footer(found: "Wanted") -> str:
    from store.times import rfc3339

    groups = found.drifts
    differ = [each for each in groups if each.differences]
    said = f"{len(differ)} of {len(groups)} groups differ from the file"
    turned = [f"{each.name} now has just what {each.equals} holds" for each in differ if each.equals]
    unknown = sum(bool(each.unknown) for each in groups)
    if unknown:
        said += f"; of {unknown} it cannot be told"
    return f"{'; '.join([said, *turned])}; the groups were read {rfc3339(found.known.checked_at)}"
