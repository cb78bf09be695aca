"""`limegrove org document`: what is known about customers, kept, edited, and written to `org_notes`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, safe, shown

if TYPE_CHECKING:
    from console.operations.documents import Done
    from store.customers import Customer, Kept
    from store.queries.customers import Card

SAID = 200
"""Things that are wrong with a file which are said each; the others are counted."""
LIMIT = 6_000_000
"""Bytes of a file that are read at all; what it may have is said in `store.yaml`."""


def configure(verbs: Any) -> None:
    """Add `document` to the verbs of `org`."""
    document = verbs.add_parser("document", help="contacts, escalation, maintenance, service hours, SOPs")
    todo = document.add_subparsers(dest="document", metavar="VERB", required=True)
    todo.add_parser("list", help="whose documentation is complete, and what is missing in the others")
    show = todo.add_parser("show", help="one organization's, with what else its org_notes and sop hold")
    edit = todo.add_parser("edit", help="change one in your editor, or from a file")
    edit.add_argument("--file", metavar="FILE", help="the whole document as YAML; - for standard input")
    for parser in (show, edit):
        parser.add_argument("organization", metavar="OID|NAME")
    read = todo.add_parser("import", help="take over a file of many, once every line of it is judged")
    read.add_argument(
        "file", metavar="FILE", help="YAML, or CSV by its name's ending; - for YAML from standard input"
    )
    read.add_argument("--dry-run", action="store_true", help="judge it and say what would change")
    write = todo.add_parser("export", help="write all, or those below --scope, to a file")
    write.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="YAML, or CSV by its name's ending; standard output unless given",
    )
    push = todo.add_parser("push", help="write them to the organizations' org_notes")
    pull = todo.add_parser("pull", help="read them from the organizations' org_notes")
    for parser in (push, pull):
        parser.add_argument(
            "organizations", metavar="OID|NAME", nargs="*", help="all below --scope unless given"
        )
        parser.add_argument(
            "--replace", action="store_true", help="overwrite what was changed on the other side"
        )
    push.add_argument(
        "--confirm",
        metavar="NAME",
        action="append",
        default=[],
        help="a protected organization's name or oid",
    )


def run(session: Session) -> int:
    """Do what the verb says."""
    from store.customers import CustomerError

    verb: str = session.arguments.document
    if verb in ("edit", "import", "push", "pull") and not getattr(session.arguments, "dry_run", False):
        session.refuse_read_only(f"org document {verb}")
    try:
        match verb:
            case "list":
                return _list(session)
            case "show":
                return _show(session)
            case "edit":
                return _edit(session)
            case "import":
                return _import(session)
            case "export":
                return _export(session)
    except CustomerError as error:
        if len(error.problems) == 1:
            raise Problem(f"{error} Nothing was changed.", code=2) from error
        for each in error.problems[:SAID]:
            session.say(str(each) if each.line else each.text)
        if len(error.problems) > SAID:
            session.say(f"And {len(error.problems) - SAID:,} more.")
        raise Problem(f"{len(error.problems):,} things are wrong. Nothing was changed.", code=2) from error
    return session.run(_carry(session, verb))


def _names(session: Session) -> dict[str, str]:
    """The organizations below --scope: oid to name."""
    from store.queries.organizations import organizations
    from store.times import now_ms

    scope = session.scope()
    with session.reader.reading() as connection:
        return {row.oid: row.name for row in organizations(connection, scope=scope, now=now_ms())}


def _list(session: Session) -> int:
    from store.customers import NEEDED, kept_of
    from store.times import rfc3339

    names = _names(session)
    with session.reader.reading() as connection:
        known = kept_of(connection, names)
    rows = []
    for oid, name in names.items():
        kept = known.get(oid)
        missing = NEEDED if kept is None else kept.customer.missing
        rows.append(
            {
                "oid": oid,
                "organization": name,
                "complete": not missing,
                "missing": list(missing),
                "org_notes": _pushed(kept),
                "changed_at": None if kept is None else rfc3339(kept.at),
                "by": None if kept is None else kept.by,
            }
        )
    whole = sum(row["complete"] is True for row in rows)
    session.show_rows(
        rows,
        columns=("organization", "complete", "missing", "org_notes"),
        footer=f"{whole} of {len(rows)} organizations have a complete documentation.",
    )
    return 0


def _pushed(kept: "Kept | None") -> str:
    """How what is kept stands to what was written to `org_notes`."""
    if kept is None or not kept.customer.said:
        return "nothing kept"
    if kept.pushed_at is None:
        return "never pushed"
    return "pushed" if kept.pushed_hash == kept.hash else "changed since"


def _show(session: Session) -> int:
    from console.commands.output import fields_text
    from store.customers import text_of
    from store.queries.customers import card
    from store.text import safe_block
    from store.times import now_ms, rfc3339

    oid = session.organization(session.arguments.organization)
    with session.reader.reading() as connection:
        found = card(connection, oid, now_ms())
    kept, standing = found.kept, found.standing
    thing = _one(oid, _names_of(session, [oid])[oid], kept) | {
        "now": {
            "clock": standing.clock or None,
            "in_service": standing.open,
            "until": rfc3339(standing.until),
            "holiday": standing.holiday or None,
            "maintenance": standing.window or None,
            "maintenance_until": rfc3339(standing.window_until),
            "next_maintenance": standing.following or None,
            "next_maintenance_at": rfc3339(standing.following_at),
        },
        "org_notes": [
            {"name": each.name, "description": each.description, "text": each.text}
            for each in found.notes
            if each.section == "hive/org_notes"
        ],
        "sop": [
            {"name": each.name, "description": each.description, "text": each.text}
            for each in found.notes
            if each.section == "hive/sop"
        ],
    }
    if session.output != "table":
        session.show_object(thing)
        return 0
    brief = {key: value for key, value in thing.items() if key not in ("document", "org_notes", "sop")}
    sys.stdout.write(fields_text(brief))
    blocks = [("documentation", text_of(kept.customer) or "Nothing is kept.")]
    blocks += [(f"{each.section[5:]} {each.name}", each.text) for each in found.notes]
    for title, text in blocks:
        sys.stdout.write(f"\n{safe(title)}\n")
        sys.stdout.writelines(f"  {line}\n" for line in safe_block(text.rstrip("\n")))
    return 0


def standing_of(found: "Card", *about: str) -> dict[str, Any]:
    """Whom to call at a customer and whether somebody is there, as `alert show` prints it.

    Args:
        about: what its procedures are chosen by: an alert's category, its rule.
    """
    from store.customers import duration
    from store.queries.customers import procedures_for
    from store.times import rfc3339

    customer, standing = found.customer, found.standing
    return {
        "clock": standing.clock or None,
        "in_service": standing.open,
        "until": rfc3339(standing.until),
        "holiday": standing.holiday or None,
        "maintenance": standing.window or None,
        "contacts": [
            {"name": each.name, "role": each.role, "phone": each.phone, "mail": each.mail, "note": each.note}
            for each in customer.contacts
        ],
        "escalation": [
            {"after": duration(each.after), "who": each.who, "how": each.how} for each in customer.escalation
        ],
        "procedures": [title for title, _ in procedures_for(found, *about)] if about else [],
        "missing": list(customer.missing),
    }


def _one(oid: str, name: str, kept: "Kept") -> dict[str, Any]:
    from store.customers import plain
    from store.times import rfc3339

    return {
        "oid": oid,
        "organization": name,
        "complete": kept.customer.complete,
        "missing": list(kept.customer.missing),
        "document": plain(kept.customer),
        "changed_at": rfc3339(kept.at),
        "by": kept.by or None,
        "pushed": _pushed(kept),
        "pushed_at": rfc3339(kept.pushed_at),
    }


def _names_of(session: Session, oids: list[str]) -> dict[str, str]:
    from store.queries.queue import names_of

    with session.reader.reading() as connection:
        return dict(names_of(connection, oids))


def _edit(session: Session) -> int:
    from console.operations.documents import keep
    from store.customers import customer, kept, read_document

    oid = session.organization(session.arguments.organization)
    with session.reader.reading() as connection:
        before = customer(connection, oid)
    file: str | None = session.arguments.file
    name = _names_of(session, [oid])[oid]
    told = _in_editor(before, name) if file is None else read_document(_content_of(file))
    if told is None:
        session.say("Nothing was changed.")
        return 0
    news = keep(session.store(), {oid: _whole(told)}, by=session.operator, whole=True)
    with session.reader.reading() as connection:
        session.show_object(_one(oid, name, kept(connection, oid)) | {"changed": bool(news)})
    return 0


def _whole(customer: "Customer") -> dict[str, Any]:
    from dataclasses import fields

    return {each.name: getattr(customer, each.name) for each in fields(customer)}


TEMPLATE = """\
# time_zone: Europe/Berlin
# service_hours: {Mon-Fri: 08:00-18:00, Sat: 09:00-13:00}     or 24x7
# around_the_clock: [critical]
# holidays: {country: DE-BE, closed: [2026-12-24 Christmas Eve, 12-31]}
# contacts:
#   - {name: , role: , phone: "", mail: , note: }
# escalation:
#   - {after: 0m, who: }
# maintenance:                                                or none
#   - {title: Patches, when: Sun 02:00-04:00}
# notes:
# sops:
#   - {title: , text: }
"""


def _in_editor(before: "Customer", name: str) -> "Customer | None":
    """What the operator made of it in an editor; None when nothing changed."""
    import shlex
    import subprocess
    import tempfile

    from store.customers import CustomerError, read_document, text_of

    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Problem("Nobody is here to edit; --file FILE takes the document from a file.", code=2)
    text = f"# {safe(name)}: contacts, escalation, maintenance, service hours, notes, SOPs.\n"
    text += text_of(before) + ("" if before.said else TEMPLATE)
    known = {
        key: os.environ[key]
        for key in ("PATH", "HOME", "TERM", "LANG", "LC_ALL", "LC_CTYPE")
        if key in os.environ
    }
    with tempfile.TemporaryDirectory(prefix="limegrove-") as folder:
        path = Path(folder) / "documentation.yaml"
        path.write_text(text, encoding="utf-8")
        while True:
            try:
                ended = subprocess.run([*editor, str(path)], env=known, check=False)  # noqa: S603
            except OSError as error:
                raise Problem(
                    f"The editor {shown(editor[0])} cannot be started: {error.strerror}; set EDITOR.", code=2
                ) from error
            written = path.read_bytes()
            if ended.returncode != 0 or written == text.encode():
                return None
            try:
                told = read_document(written)
                return None if told == before else told
            except CustomerError as error:
                print(f"{safe(str(error))} Edit again? [Y/n] ", end="", file=sys.stderr, flush=True)
                if sys.stdin.readline().strip().casefold() in ("n", "no"):
                    raise


def _content_of(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read(LIMIT + 1)
        with open(file, "rb") as stream:
            return stream.read(LIMIT + 1)
    except OSError as error:
        raise Problem(f"{shown(file)} cannot be read: {error.strerror}.") from error


def _import(session: Session) -> int:
    from dataclasses import replace

    from console.operations.documents import keep
    from store.customers import EMPTY, changed, kept_of, read_documents
    from store.customersheet import read_sheet

    given = session.arguments
    content = _content_of(given.file)
    names = _names(session)
    told = (
        read_sheet(content, names) if given.file.lower().endswith(".csv") else read_documents(content, names)
    )
    with session.reader.reading() as connection:
        before = kept_of(connection, told)
    rows = []
    for oid, parts in told.items():
        was = before[oid].customer if oid in before else EMPTY
        will = replace(was, **parts)
        rows.append(
            {
                "oid": oid,
                "organization": names[oid],
                "changed": changed(was, will),
                "complete": will.complete,
                "missing": list(will.missing),
            }
        )
    if not given.dry_run:
        keep(session.store(), told, by=session.operator, report=_told(session))
    news = sum(bool(row["changed"]) for row in rows)
    verb = "would change" if given.dry_run else "changed"
    session.show_rows(
        rows,
        columns=("organization", "changed", "missing"),
        footer=f"{news} of {len(rows)} documentations {verb}.",
    )
    return 0


def _told(session: Session) -> Any:
    return lambda progress: session.progress(f"{progress.done} of {progress.total} {progress.note}")


def _export(session: Session) -> int:
    from console.commands.output import yaml_text
    from console.commands.tree import write_whole
    from console.csvfile import csv_bytes
    from store.customers import kept_of, plain
    from store.customersheet import rows_of

    names = _names(session)
    with session.reader.reading() as connection:
        known = {oid: kept.customer for oid, kept in kept_of(connection, names).items() if kept.customer.said}
    told = {oid: (name, known[oid]) for oid, name in names.items() if oid in known}
    file: str = session.arguments.file or "-"
    as_csv = file.lower().endswith(".csv") or (file == "-" and session.arguments.output == "csv")
    if as_csv:
        text = csv_bytes(*rows_of(told)).decode()
    else:
        rows = [
            {"oid": oid, "organization": name, **plain(customer)} for oid, (name, customer) in told.items()
        ]
        if file == "-" and session.arguments.output in ("json", "jsonl"):
            session.show_rows(rows)
            return 0
        text = yaml_text(rows)
    if file == "-":
        sys.stdout.write(text)
        return 0
    write_whole(Path(file), text)
    session.say(f"{len(told)} of {len(names)} organizations have a documentation; written to {file}.")
    return 0


async def _carry(session: Session, verb: str) -> int:
    from console.operations import documents
    from store.customers import documented

    given = session.arguments
    named = [session.organization(each) for each in given.organizations]
    if named:
        names = _names_of(session, named)
    else:
        names = _names(session)
        if verb == "push":
            with session.reader.reading() as connection:
                known = documented(connection)
            names = {oid: name for oid, name in names.items() if oid in known}
        if not names:
            session.say("There is no documentation to push; `limegrove org document edit` makes one.")
            return 0
        where = "written to org_notes of" if verb == "push" else "read from org_notes of"
        many = f"{len(names)} organization{'' if len(names) == 1 else 's'}"
        if not await session.asking(f"The documentation is {where} {many}. Go on?"):
            session.say("Nothing was changed.")
            return 0
    async with session.cloud() as cloud:
        if verb == "push":
            done = await documents.push(
                names, store=session.store(), cloud=cloud, by=session.operator, replaced=given.replace,
                typed=given.confirm, report=_told(session),
            )  # fmt: skip
        else:
            done = await documents.pull(
                names, store=session.store(), cloud=cloud, by=session.operator, replaced=given.replace,
                report=_told(session),
            )  # fmt: skip
    session.show_rows(
        [
            {"oid": each.oid, "organization": names[each.oid], "outcome": each.outcome, "reason": each.reason}
            for each in done
        ],
        columns=("organization", "outcome", "reason"),
        footer=_sum(done, names),
    )
    return _code(done)


def _sum(done: "list[Done]", names: dict[str, str]) -> str:
    failed = [safe(names[each.oid]) for each in done if not each.well]
    text = f"{len(done) - len(failed)} of {len(done)} organizations"
    if not failed:
        return f"{text}."
    more = f", and {len(failed) - 5} more" if len(failed) > 5 else ""
    return f"{text}; not {', '.join(failed[:5])}{more}."


def _code(done: "list[Done]") -> int:
    wrong = [each for each in done if not each.well]
    if not wrong:
        return 0
    if len(wrong) < len(done):
        return 3
    return 5 if all(each.outcome in ("refused", "denied", "conflict") for each in wrong) else 1
