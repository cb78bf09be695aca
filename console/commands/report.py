"""`limegrove report`: what there is to say about customers, written down for them and for their provider."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from console.operations.reports import Prepared
    from store.coverage import Coverage
    from store.reports.periods import Period


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `report`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    customer = verbs.add_parser(
        "customer",
        help="a report for each customer: HTML, PDF, Markdown, under the provider's brand",
        description="Writes a report for one customer, or for each below --scope, out of the store: what "
        "happened in a month, how fast it was dealt with, and what is protected; each figure with its "
        "source, window, age and completeness. Names, logo, colours, language and sections come from the "
        "brand (directory `brands` of the workspace) that the tree's parameter report_brand names. Exit "
        "codes: 0 done, 1 none could be written, 3 some could not, or lack something (they are named).",
    )
    customer.add_argument(
        "organization", nargs="?", metavar="ORG", help="its name, its oid, or the beginning of it"
    )
    customer.add_argument("--all", action="store_true", help="a report for every customer there is")
    executive = verbs.add_parser(
        "executive",
        help="one report over all customers, for the provider's management",
        description="Sums over all customers of the scope, each of n of m organizations, the customers with "
        "most high and critical alerts, and who is missing and why. Exit codes: 0 done, 3 some are missing.",
    )
    sla = verbs.add_parser(
        "sla",
        help="one report over all customers about service levels",
        description="How many alerts were acknowledged and resolved within their targets, by severity and by "
        "customer. Exit codes: 0 done, 3 some customers are missing.",
    )
    for verb in (customer, executive, sla):
        verb.add_argument("--month", metavar="YYYY-MM", help="which month (the last one that is over)")
        verb.add_argument(
            "--from", dest="first", metavar="DAY", help="not a month: the first day, 2026-10-01"
        )
        verb.add_argument("--to", dest="last", metavar="DAY", help="and the last day, included")
        verb.add_argument("--format", default="html", metavar="F,F", help="of html, pdf, md (html)")
        verb.add_argument(
            "--out", metavar="DIR", default=".", help="where the files go (the current directory)"
        )
        verb.add_argument("--language", metavar="L", help="en, de, fr or es in place of the brand's")
        verb.add_argument(
            "--time-zone", dest="zone", metavar="ZONE", help="whose days they are, in place of the brand's"
        )
        verb.add_argument(
            "--dry-run",
            action="store_true",
            help="say what would be in it and what is missing; write nothing",
        )
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
    """Write a report, or say what is covered."""
    if session.arguments.verb == "coverage":
        return _coverage(session)
    period, formats = _period(session), _formats(session.arguments.format)
    if session.arguments.verb == "customer":
        return _customers(session, period, formats)
    return _provider(session, period, formats)


def _period(session: Session) -> "Period":
    from store.reports.periods import PeriodError, days, month, month_before
    from store.times import now_ms

    given = session.arguments
    # Without a zone it is in that of each customer's brand.
    zone = given.zone or ""
    now = now_ms()
    try:
        if given.first or given.last:
            if given.month:
                raise Problem("--month goes neither with --from nor with --to.", code=2)
            if not (given.first and given.last):
                raise Problem("--from and --to go together.", code=2)
            return days(given.first, given.last, zone).begun(now)
        if given.month is not None:
            return month(given.month, zone).begun(now)
        before = month_before(now, zone or session.settings.time_zone)
        return month(before.label, zone)
    except PeriodError as error:
        raise Problem(str(error), code=2) from None


def _formats(text: str) -> list[str]:
    from console.operations.reports import FORMATS

    wanted = list(dict.fromkeys(each.strip().lower() for each in text.split(",") if each.strip()))
    unknown = [each for each in wanted if each not in FORMATS]
    if unknown or not wanted:
        raise Problem(f"--format takes some of {', '.join(FORMATS)}, with commas between.", code=2)
    return wanted


def _language(session: Session) -> str:
    from console.reports.words import LANGUAGES

    language: str = session.arguments.language or ""
    if language and language not in LANGUAGES:
        raise Problem(f"--language takes one of {', '.join(LANGUAGES)}.", code=2)
    return language


def _customers(session: Session, period: "Period", formats: list[str]) -> int:
    from console.operations.reports import BrandError, ReportError, prepare_customer, put
    from store.reports.sources import names
    from store.times import now_ms

    given, language = session.arguments, _language(session)
    if given.organization and given.all:
        raise Problem("An organization and --all do not go together.", code=2)
    if given.organization:
        oids = [session.organization(given.organization)]
    elif given.scope is not None or given.all:
        oids = session.scope_oids() or _every(session)
    else:
        raise Problem(
            "Name an organization, or the node whose customers get one with --scope, or say --all.", code=2
        )
    _somewhere(session)
    with session.reader.reading() as connection:
        named = names(connection, oids)
    rows, now, brands = [], now_ms(), session.settings.brands
    failed: list[dict[str, str]] = []
    for number, oid in enumerate(oids, 1):
        session.progress(f"{number:,} of {len(oids):,} reports")
        try:
            made = prepare_customer(session.reader, oid, period, brands=brands, language=language, now=now)
            files = () if given.dry_run else put(made, formats, Path(given.out)).files
        except (ReportError, BrandError) as error:
            failed.append({"oid": oid, "organization": str(named.get(oid, oid)), "why": str(error)})
            continue
        rows.append(_row(made, files, formats))
    _say(session, rows, failed)
    for each in failed:
        session.say(f"{each['organization']}: not written. {each['why']}")
    if failed and not rows:
        return 1
    return 3 if failed or any(row["gaps"] for row in rows) else 0


def _somewhere(session: Session) -> None:
    """Refuse a directory that lies nowhere, before anything is put together for it."""
    from console.operations.files import FileError, refuse_nowhere

    if session.arguments.dry_run:
        return
    try:
        refuse_nowhere(Path(session.arguments.out).parent)
    except FileError as error:
        raise Problem(str(error)) from None


def _every(session: Session) -> list[str]:
    """All organizations, of a scope that is the root."""
    from store.queries.organizations import organizations
    from store.times import now_ms

    with session.reader.reading() as connection:
        return [row.oid for row in organizations(connection, now=now_ms()) if not row.gone]


def _provider(session: Session, period: "Period", formats: list[str]) -> int:
    from console.operations.reports import BrandError, ReportError, prepare_provider, put

    given = session.arguments
    scope = session.scope()
    _somewhere(session)
    try:
        made = prepare_provider(
            session.reader,
            given.verb,
            period,
            scope=scope,
            name=_scope_name(session, scope),
            brands=session.settings.brands,
            language=_language(session),
        )
        files = () if given.dry_run else put(made, formats, Path(given.out)).files
    except (ReportError, BrandError) as error:
        raise Problem(str(error)) from None
    _say(session, [_row(made, files, formats)])
    return 3 if made.document.warnings else 0


def _scope_name(session: Session, scope: str) -> str:
    """The name of a node that is not the root."""
    if not scope:
        return ""
    from store.queries.organizations import find_node

    with session.reader.reading() as connection:
        found = find_node(connection, scope)
    return found[0][1].rpartition("/")[2] if found else ""


def _row(made: "Prepared", files: tuple[Path, ...], formats: list[str]) -> dict[str, Any]:
    return {
        "oid": made.oid or None,
        "organization": made.name or None,
        "title": made.document.title,
        "language": made.brand.language,
        "brand": made.brand.name or None,
        "period": made.figures["period"],
        "files": [str(each) for each in files] or [f"{made.file}.{ending}" for ending in formats],
        "gaps": list(made.document.warnings),
        **{
            key: made.figures[key]
            for key in ("time_zone", "figures", "organizations", "complete", "missing", "customers")
            if key in made.figures
        },
    }


def _say(session: Session, rows: list[dict[str, Any]], failed: Sequence[dict[str, str]] = ()) -> None:
    from store.access import counted

    dry = session.arguments.dry_run
    session.show_object(
        {"reports": rows, "failed": list(failed), "written": bool(rows) and not dry},
        rows=[
            {
                "report": row["title"],
                "period": row["period"],
                "language": row["language"],
                "files": ", ".join(row["files"]),
                "missing": " ".join(row["gaps"]),
            }
            for row in rows
        ],
        columns=("report", "period", "language", "files", "missing"),
    )
    whole = sum(not row["gaps"] for row in rows)
    said = [f"{counted(len(rows), 'report') if rows else 'no report'} {'would be ' if dry else ''}written"]
    said += [f"{len(failed):,} failed"] if failed else []
    said += [f"{whole:,} of {len(rows):,} lack nothing"] if rows else []
    session.say(f"{'; '.join(said)}.".capitalize())
    session.say_each(
        f"{row['organization'] or row['title']}: {' '.join(row['gaps'])}" for row in rows if row["gaps"]
    )


def _coverage(session: Session) -> int:
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
    read = [each for each in found.organizations if each.read]
    lacking = sum(bool(each.gaps) for each in read)
    unread = len(found.organizations) - len(read)
    session.say(
        f"{len(found.counts):,} techniques, {len(found.wanted):,} of them wanted; "
        f"{lacking:,} of {len(read):,} lack some" + (f"; {unread:,} more were never read" if unread else "")
    )
    session.say_each(
        f"{each.name}: its rules were never read, so what it covers is not known."
        for each in found.organizations
        if not each.read
    )


def _write(session: Session, found: "Coverage", file: Path) -> None:
    from console.commands.output import json_text
    from console.operations.files import write_private
    from store.coverage import layer

    name = session.arguments.template or session.arguments.scope or "All organizations"
    write_private(file, (json_text(layer(found, f"{name} coverage")) + "\n").encode())
    session.say(f"The layer is in {shown(str(file))}.")
