"""`limegrove billing`: usage, quotas, and what customers are charged by the provider's own prices."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, safe, shown

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from console.operations.ports import Progress
    from store.billing import Charged, Statement
    from store.pricebook import PriceBook
    from store.queries.billing import UsageRow, Used

FORMATS = ("table", "json", "csv", "html", "md", "pdf")
DAYS = 30
"""Of usage that is shown unless said otherwise."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `billing`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    usage = verbs.add_parser(
        "usage",
        help="what was used by SKU and day, how full quotas are, and in how many days they will be",
        description="From what was last read. Exit codes: 0 done, 3 some days of some organizations were not "
        "told: they are named.",
    )
    usage.add_argument("--month", metavar="YYYY-MM", help="of this month")
    usage.add_argument("--days", type=int, metavar="N", help=f"of the last N days, until yesterday ({DAYS})")
    usage.add_argument("--org", metavar="OID|NAME", help="only of this organization")
    usage.add_argument("--metric", metavar="NAME", action="append", help="only this one; again for more")
    usage.add_argument("--daily", action="store_true", help="day by day")

    statement = verbs.add_parser(
        "statement",
        help="what customers are charged for a month; not an invoice",
        description="By the price book in force in that month (`billing prices import`). Amounts of "
        "different currencies are never added up. Exit codes: 0 done, 3 something is lacking: it is named.",
    )
    statement.add_argument("--month", metavar="YYYY-MM", help="the last one that is over unless given")
    statement.add_argument("--org", metavar="OID|NAME", help="only of this organization")
    statement.add_argument("--prices", metavar="FILE", help="by this price book, which is not kept")
    statement.add_argument("--lines", action="store_true", help="with each customer's lines")
    statement.add_argument(
        "--margin", action="store_true", help="with cost and margin, which is not for customers"
    )
    statement.add_argument(
        "--format", choices=FORMATS, help="in place of --output; html, md, pdf are documents"
    )
    statement.add_argument("--out", metavar="FILE", help="write it there, for this user alone")
    statement.add_argument(
        "--each", metavar="DIR", help="a document for each customer in this directory, without margin (html)"
    )

    invoices = verbs.add_parser(
        "invoices",
        help="read LimaCharlie's invoices of a month; needs billing.ctrl",
        description="Exit codes: 0 done, 3 some could not be read: they are named.",
    )
    invoices.add_argument("--month", metavar="YYYY-MM", help="the last one that is over unless given")
    invoices.add_argument("--org", metavar="OID|NAME", help="only of this organization")

    compare = verbs.add_parser(
        "compare",
        help="LimaCharlie's invoices against what was used, by the contract in the price book",
        description="Exit codes: 0 all are as expected, 3 some could not be compared, 4 some differ.",
    )
    compare.add_argument("--month", metavar="YYYY-MM", help="the last one that is over unless given")
    compare.add_argument("--org", metavar="OID|NAME", help="only of this organization")
    compare.add_argument("--prices", metavar="FILE", help="by this price book, which is not kept")
    compare.add_argument("--all", action="store_true", help="those that are as expected too")

    prices = verbs.add_parser(
        "prices",
        help="the price book: check, import, list, export, example",
        description="A price book is a YAML file (docs/billing.md). It is read whole or not at all: every "
        "mistake is told with its line. Exit codes: 0 done, 2 it is wrong, or cannot be read.",
    )
    doing = prices.add_subparsers(dest="doing", metavar="check|import|list|export|example", required=True)
    for name, says in (("check", "say everything that is wrong with a file"), ("import", "keep a file")):
        one = doing.add_parser(name, help=says)
        one.add_argument("file", metavar="FILE", help="a price book; - for standard input")
    doing.add_parser("list", help="the price books that were imported, the newest first")
    doing.add_parser("example", help="a price book to begin with, on standard output")
    export = doing.add_parser("export", help="write one as it was imported")
    export.add_argument("id", metavar="ID", type=int, nargs="?", help="of `list`; the newest unless given")


def run(session: Session) -> int:
    """Do what the verb says."""
    verb: str = session.arguments.verb
    return {
        "usage": _usage, "statement": _statement, "invoices": _invoices, "compare": _compare,
        "prices": _prices,
    }[verb](session)  # fmt: skip


def _month(session: Session, *, over: bool = False) -> str:
    """The month that is asked for.

    Raises:
        Problem: it is none, or it has not begun, or (`over`) is not over.
    """
    from store.months import begun_month, called, day_of, month_of
    from store.queries.billing import last_month
    from store.times import now_ms

    now = now_ms()
    if session.arguments.month is None:
        return last_month(now)
    try:
        month = begun_month(session.arguments.month, day_of(now))
    except ValueError as error:
        raise Problem(str(error), code=2) from None
    if over and month == month_of(now):
        raise Problem(f"{called(month)} is not over; LimaCharlie makes its invoice then.", code=2)
    return month


def _oid(session: Session) -> str:
    return session.organization(session.arguments.org) if session.arguments.org else ""


def _book(session: Session, connection: "Connection", month: str) -> "PriceBook":
    """The price book to go by.

    Raises:
        Problem: there is none for this month; exit code 1. That of --prices is not to be read; exit code 2.
    """
    from console.operations.billing import read_file
    from console.operations.files import FileError
    from store.billingwork import checked
    from store.pricebook import PriceBookError
    from store.queries.billing import book_for, books

    file: str | None = getattr(session.arguments, "prices", None)
    if file is not None:
        try:
            book = checked(connection, read_file(Path(file)), file=file)
        except (FileError, PriceBookError) as error:
            raise Problem(str(error), code=2) from None
        if not book.holds(month):
            raise Problem(f"{shown(file)} does not hold for {month}: it is from {book.first or 'ever'} until "
                          f"{book.last or 'ever'}.")  # fmt: skip
        return book
    found = book_for(connection, month)
    if found is None:
        why = "none that holds then" if books(connection) else "none at all"
        raise Problem(
            f"There is no price book for {month}, {why}; `limegrove billing prices import FILE` takes one "
            "(docs/billing.md describes it)."
        )
    return found


# Usage


def _usage(session: Session) -> int:
    from store.months import day_moved, day_of, first_day, last_day
    from store.queries.billing import skus_of, used
    from store.times import now_ms

    given, now = session.arguments, now_ms()
    yesterday = day_moved(day_of(now), -1)
    if given.month is not None:
        if given.days is not None:
            raise Problem("--month and --days are two ways to say the same; give one of them.", code=2)
        month = _month(session)
        first, last = first_day(month), min(last_day(month), yesterday)
    else:
        days = DAYS if given.days is None else given.days
        if not 1 <= days <= 366:
            raise Problem("--days is a number from 1 to 366; LimaCharlie tells about 90 days.", code=2)
        first, last = day_moved(yesterday, 1 - days), yesterday
    oid = _oid(session)
    with session.reader.reading() as connection:
        found = used(connection, scope=session.scope(), first=first, last=last, now=now, oid=oid)
        skus = skus_of(connection, last[:7])
    wanted = set(given.metric or ())
    unknown = wanted - set(found.totals)
    if unknown:
        known = ", ".join(found.totals) or "none"
        raise Problem(f"No usage of {shown(sorted(unknown)[0])} is told here; there is {known}.", code=2)
    if given.daily:
        rows = [
            {
                "oid": row.oid, "organization": str(row.name), "day": day, "metric": metric,
                "skus": list(skus.get(metric, ())), "value": _number(value),
            }
            for row in found.rows
            for metric, each in row.daily.items()
            if not wanted or metric in wanted
            for day, value in each
        ]  # fmt: skip
    else:
        rows = [_usage_row(row, found, wanted) for row in found.rows]
    facts: dict[str, Any] = {
        "from": found.first,
        "to": found.last,
        "days": found.days,
        "organizations": len(found.rows),
        "told": found.told,
        "lacking": [
            {
                "oid": row.oid, "organization": str(row.name), "days_told": row.told, "days": row.expected,
                "reason": str(row.reason) or None,
            }
            for row in found.lacking
        ],
        "totals": {
            metric: _number(value)
            for metric, value in found.totals.items()
            if not wanted or metric in wanted
        },
        "skus": {metric: list(names) for metric, names in skus.items()},
        "usage": rows,
    }  # fmt: skip
    columns = (
        ("organization", "day", "metric", "skus", "value")
        if given.daily
        else ("organization", "used", "quota", "percent", "full_in", "turned_away",
              *(sorted(wanted) or ("sensor_events", "output_bytes_tx")), "days_told")
    )  # fmt: skip
    flat = rows if given.daily else [_flat(row) for row in rows]
    session.show_object(facts, rows=flat, columns=columns)
    _say_lacking(session, found)
    return 3 if found.lacking else 0


def _usage_row(row: "UsageRow", found: "Used", wanted: set[str]) -> dict[str, Any]:
    from store.times import rfc3339

    return {
        "oid": row.oid,
        "organization": str(row.name),
        "quota": row.quota,
        "used": row.used,
        "percent": row.percent,
        "growth_a_day": None if row.growth is None else round(row.growth, 3),
        "days_until_full": row.days_left,
        "turned_away_30_days": row.turned_away,
        "weights": [
            {"kind": kind, "sensors": count, "weight": weight} for kind, count, weight in row.breakdown
        ],
        "days_told": row.told,
        "days": row.expected,
        "read_at": rfc3339(row.read_at),
        "metrics": {
            metric: _number(value) for metric, value in row.metrics.items() if not wanted or metric in wanted
        },
    }


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row of usage as a table and CSV have it."""
    left = row["days_until_full"]
    return {
        "oid": row["oid"],
        "organization": row["organization"],
        "used": "-" if row["used"] is None else f"{row['used']:g}",
        "quota": row["quota"],
        "percent": row["percent"],
        "full_in": "-" if left is None else "full" if not left else f"{left}d",
        "turned_away": row["turned_away_30_days"],
        "days_told": f"{row['days_told']} of {row['days']}",
        **row["metrics"],
    }


def _number(value: Any) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _say_lacking(session: Session, found: "Used") -> None:
    lacking = found.lacking
    said = f"{found.told:,} of {len(found.rows):,} organizations told every day"
    if lacking:
        named = ", ".join(
            f"{safe(row.name)} ({row.told} of {row.expected}{f': {row.reason}' if row.reason else ''})"
            for row in lacking[:5]
        )
        said += f"; lacking {named}" + (f", and {len(lacking) - 5:,} more" if len(lacking) > 5 else "")
    session.say(said)


# The statement


def _statement(session: Session) -> int:
    from console.operations.billing import form_of
    from console.operations.files import FileError
    from store.queries.billing import statement
    from store.times import now_ms

    given = session.arguments
    month, oid, scope = _month(session), _oid(session), session.scope()
    form: str = given.format or session.output
    if given.format == "table":
        if given.out is not None:
            raise Problem(
                "--format table is for the screen; a file is csv, html, md, pdf or json, as --out ends.",
                code=2,
            )
        # On a pipe too.
        given.output = "table"
    if given.each is not None and (given.margin or given.out is not None or given.format == "table"):
        raise Problem(
            "--each writes documents for customers: it has no margin, no --out, and no table.", code=2
        )
    if given.out is not None and given.format is None:
        try:
            form = form_of(given.out)
        except FileError as error:
            raise Problem(f"--out {error} --format says it too.", code=2) from None
    with session.reader.reading() as connection:
        book = _book(session, connection, month)
        found = statement(connection, book, month, scope=scope, now=now_ms(), oid=oid)
    if given.each is not None:
        _each(session, found)
    elif form in ("csv", "html", "md", "pdf") or given.out is not None:
        _deliver(session, found, form)
    else:
        _show(session, found, form)
    _say_totals(session, found)
    return 3 if found.lacking else 0


def _show(session: Session, found: "Statement", form: str) -> None:
    from console.reports.statement import statement_data

    given = session.arguments
    data = statement_data(found, margins=given.margin)
    if form != "table":
        # `--format json` on a terminal is JSON, whatever --output is by default.
        given.output = "json" if given.format else given.output
        session.show_object(data)
        return
    rows: list[dict[str, Any]] = []
    for each in found.customers:
        rows.append(_customer_row(each, found, given.margin))
        if given.lines:
            rows += [
                {
                    "organization": f"  {line.item}",
                    "plan": line.how,
                    "charged": _money(line.cents, line.currency),
                }
                for line in each.lines
            ]
    columns = ["organization", "plan", "days", "charged"]
    columns += ["vendor", "time", "margin", "percent"] if given.margin else []
    session.show_object(data, rows=rows, columns=[*columns, "lacking"])


def _customer_row(each: "Charged", found: "Statement", margins: bool) -> dict[str, Any]:
    from console.reports.statement import amount, sums

    row: dict[str, Any] = {
        "organization": each.name,
        "plan": each.plan or "-",
        "days": f"{each.days} of {each.of_days}",
        "charged": "-" if each.state == "missing" else sums(each.totals),
    }
    if margins:
        from store.money import share

        left = found.margin(each)
        points = left.basis_points
        row |= {
            "vendor": amount(left.vendor, left.currency),
            "time": amount(left.time, left.currency),
            "margin": amount(left.cents, left.currency),
            "percent": "-" if points is None else share(points),
        }
    return row | {"lacking": " ".join(each.notes)}


def _money(cents: int, currency: str) -> str:
    from store.money import money

    return money(cents, currency)


def _deliver(session: Session, found: "Statement", form: str) -> None:
    """To the file, else to standard output."""
    from console.operations.billing import statement_file
    from console.operations.files import write_private

    given = session.arguments
    out: str | None = given.out
    if out is None and form == "pdf" and sys.stdout.isatty():
        raise Problem("A PDF is not for a terminal; give --out FILE.", code=2)
    content = statement_file(
        found,
        form,
        brands=session.settings.brands,
        scope_name=given.scope or "",
        lines=given.lines,
        margins=given.margin,
    )
    if out is not None:
        write_private(Path(out), content)
        session.say(f"Written: {out}, for this user alone.")
    elif sys.stdout.isatty():
        from store.text import safe_block

        # Names are exact there, and this is a terminal.
        print("\n".join(safe_block(content.decode("utf-8", "replace"), len(content) + 1)))
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def _each(session: Session, found: "Statement") -> None:
    """A file for each customer that is in the totals."""
    from console.operations.billing import statement_files

    given = session.arguments
    made = statement_files(
        found,
        Path(given.each),
        given.format or "html",
        brands=session.settings.brands,
        report=lambda progress: session.progress(f"{progress.done:,} of {progress.total:,} written"),
    )
    session.clear_progress()
    session.show_object(
        {
            "month": found.month,
            "directory": given.each,
            "written": [{"oid": each.oid, "file": path.name} for each, path in made],
            "not_written": [
                {"oid": each.oid, "organization": str(each.name), "notes": list(each.notes)}
                for each in found.customers
                if each.state == "missing"
            ],
        },
        rows=[{"organization": each.name, "file": path.name, "state": each.state} for each, path in made],
    )


def _say_totals(session: Session, found: "Statement") -> None:
    from console.reports.statement import sums
    from store.billing import NOTICE

    session.say(f"{found.month}: {sums(found.totals)}; {found.n_of_m}.")
    if session.arguments.margin:
        for each in found.margins().values():
            known = sum(found.margin(one).cents is not None for one in found.customers)
            said = "-" if each.cents is None else _money(each.cents, each.currency)
            session.say(
                f"Margin: {said} of {_money(each.revenue, each.currency)}, of the {known:,} of "
                f"{len(found.customers):,} organizations of which it is known."
            )
    session.say(NOTICE)


# The vendor's invoices


def _invoices(session: Session) -> int:
    from console.operations.billing import InvoicesRead, read_invoices

    session.refuse_read_only("billing invoices")
    month, oid, scope = _month(session, over=True), _oid(session), session.scope()

    def report(progress: "Progress") -> None:
        session.progress(f"{progress.done:,} of {progress.total:,} invoices")

    async def read() -> InvoicesRead:
        async with session.cloud() as cloud:
            return await read_invoices(session.store(), cloud, month, scope=scope, oid=oid, report=report)

    found = session.run(read())
    session.clear_progress()
    session.show_object(
        {
            "month": found.month,
            "organizations": found.organizations,
            "read": found.read,
            "none": list(found.none),
            "failed": [
                {"oid": oid_, "organization": name, "reason": reason} for oid_, name, reason in found.failed
            ],
        }
    )
    if found.failed:
        named = "; ".join(f"{safe(name)}: {reason}" for _, name, reason in found.failed[:3])
        more = f"; and {len(found.failed) - 3:,} more" if len(found.failed) > 3 else ""
        session.say(f"Not read of {len(found.failed):,} of {found.organizations:,}: {named}{more}")
    return 3 if found.failed else 0


def _compare(session: Session) -> int:
    from console.reports.statement import amount, comparison_data
    from store.billing import NOTICE
    from store.queries.billing import comparisons
    from store.times import now_ms

    month, oid, scope = _month(session, over=True), _oid(session), session.scope()
    with session.reader.reading() as connection:
        book = _book(session, connection, month)
        if not book.contract:
            raise Problem(
                f"The price book {shown(book.name)} has no contract: a list of `sku`, `metric` and `cents` "
                "below `costs` and `contract` says what LimaCharlie charges."
            )
        found = comparisons(connection, book, month, scope=scope, now=now_ms(), oid=oid)
    different = [each for each in found if each.state == "different"]
    same = [each for each in found if each.state == "same"]
    others = [each for each in found if each.state not in ("same", "different")]
    listed = found if session.arguments.all else [*different, *others]
    rows = []
    for each in listed:
        if each.state not in ("same", "different"):
            rows.append({"organization": each.name, "sku": "-", "word": each.state, "why": each.reason})
        for line in each.lines:
            if session.arguments.all or line.word != "same":
                rows.append(
                    {
                        "organization": each.name, "sku": line.sku, "word": line.word,
                        "invoiced": amount(line.invoiced, line.currency),
                        "expected": amount(line.expected, line.currency),
                        "difference": amount(line.difference, line.currency),
                    }
                )  # fmt: skip
        if each.unexplained:
            currency = next(iter(each.invoiced), "")
            rows.append(
                {
                    "organization": each.name, "sku": "(beside its lines)", "word": "more",
                    "difference": amount(each.unexplained, currency),
                }
            )  # fmt: skip
    session.show_object(
        {
            "notice": NOTICE,
            "month": month,
            "prices": {"name": book.name, "sha256": book.digest},
            "organizations": len(found),
            "compared": len(same) + len(different),
            "different": len(different),
            "lacking": [
                {"oid": each.oid, "organization": str(each.name), "reason": each.reason} for each in others
            ],
            "comparisons": [comparison_data(each) for each in listed],
        },
        rows=rows,
        columns=("organization", "sku", "word", "invoiced", "expected", "difference", "why"),
    )
    named = ", ".join(safe(each.name) for each in others[:3])
    more = f", and {len(others) - 3:,} more" if len(others) > 3 else ""
    session.say(
        f"{len(same) + len(different):,} of {len(found):,} organizations compared, {len(different):,} differ"
        + (f"; not compared: {named}{more}" if others else "")
    )
    session.say(NOTICE)
    return 4 if different else 3 if others else 0


# Price books


def _prices(session: Session) -> int:
    doing: str = session.arguments.doing
    return {
        "check": _check, "import": _import, "list": _list, "export": _export, "example": _example,
    }[doing](session)  # fmt: skip


def _body(session: Session) -> tuple[str, bytes]:
    """How the file is called, and what is in it.

    Raises:
        Problem: it cannot be read; exit code 2.
    """
    from console.operations.billing import LARGEST_FILE, read_file
    from console.operations.files import FileError

    file: str = session.arguments.file
    if file == "-":
        return "standard input", sys.stdin.buffer.read(LARGEST_FILE + 1)
    try:
        return file, read_file(Path(file))
    except FileError as error:
        raise Problem(str(error), code=2) from None


def _check(session: Session) -> int:
    from store.billingwork import checked
    from store.pricebook import PriceBookError

    file, body = _body(session)
    try:
        with session.reader.reading() as connection:
            book = checked(connection, body, file=file)
    except PriceBookError as error:
        session.show_object(
            {
                "file": file,
                "problems": [{"line": each.line, "problem": each.text} for each in error.problems],
            },
            rows=[{"line": each.line, "problem": each.text} for each in error.problems],
            columns=("line", "problem"),
        )
        raise Problem(str(error), code=2) from None
    session.show_object({"file": file, **_described(book), "problems": []})
    return 0


def _described(book: "PriceBook") -> dict[str, Any]:
    return {
        "name": book.name,
        "sha256": book.digest,
        "currency": book.currency,
        "from": book.first or None,
        "until": book.last or None,
        "plans": {name: len(plan.items) for name, plan in book.plans.items()},
        "apply": [f"{rule.words}: {rule.plan}" for rule in book.rules],
        "contract": [item.name for item in book.contract],
    }


def _import(session: Session) -> int:
    from console.operations.billing import import_prices
    from store.pricebook import PriceBookError

    session.refuse_read_only("billing prices import")
    file, body = _body(session)
    try:
        made = import_prices(session.store(), body, file=file, by=session.operator)
    except PriceBookError as error:
        raise Problem(str(error), code=2) from None
    session.show_object({"id": made.id, "new": made.new, **_described(made.book)})
    return 0


def _list(session: Session) -> int:
    from store.queries.billing import books
    from store.times import rfc3339

    with session.reader.reading() as connection:
        found = books(connection)
    session.show_rows(
        [
            {
                "id": each.id, "name": each.name, "from": each.first or None, "until": each.last or None,
                "imported_at": rfc3339(each.imported_at), "by": each.by, "sha256": each.digest,
                "wrong": each.wrong or None,
            }
            for each in found
        ],
        columns=("id", "name", "from", "until", "imported_at", "by"),
        footer=f"{len(found):,} price books; of those that hold in a month the newest counts",
    )  # fmt: skip
    return 0


def _export(session: Session) -> int:
    from store.queries.billing import body_of, books

    with session.reader.reading() as connection:
        listed = books(connection)
        wanted = session.arguments.id
        if wanted is None and listed:
            wanted = listed[0].id
        body = None if wanted is None else body_of(connection, wanted)
    if body is None:
        raise Problem("There is no such price book; `limegrove billing prices list` names them.", code=2)
    if _as_data(session, body):
        return 0
    if sys.stdout.isatty():
        from store.text import safe_block

        # Its texts were checked, its comments were not.
        print("\n".join(safe_block(body.decode("utf-8", "replace"), len(body) + 1)))
    else:
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
    return 0


def _example(session: Session) -> int:
    from store.examplebook import TEXT

    if not _as_data(session, TEXT):
        sys.stdout.write(TEXT)
    return 0


def _as_data(session: Session, text: str | bytes) -> bool:
    """Print what a price book says where another form than its own, YAML with comments, was asked for."""
    from store.yaml import load

    if session.arguments.output in (None, "yaml", "table"):
        return False
    session.show_object(load(text).value)
    return True
