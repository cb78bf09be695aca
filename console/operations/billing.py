"""Price books kept, and the vendor's invoices read: what statements and comparisons are made of."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from console.limacharlie.errors import Gone, LimaCharlieError, Protocol
from console.operations.actor import actor
from console.operations.files import FileError, refuse_nowhere, write_private
from console.operations.ports import Progress, Report
from console.operations.together import together
from store import billingwork
from store.billingwork import Imported
from store.money import CURRENCIES
from store.queries.scopes import ORGANIZATION, oids_of
from store.times import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.limacharlie.client import Cloud, OrganizationHandle
    from store.billing import Charged, Statement
    from store.database import Reader, Store

AT_ONCE: Final = 8
"""Organizations asked at once; the client keeps to the credential's rate."""
TOGETHER: Final = 50
"""Invoices in one transaction."""
LARGEST_FILE: Final = 5_000_000
OID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def read_file(path: Path) -> bytes:
    """A price book's file.

    Raises:
        FileError: it cannot be read, or is no file of a few pages.
    """
    try:
        with path.open("rb") as stream:
            body = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from None
    if len(body) > LARGEST_FILE:
        raise FileError(f"{path} has more than {LARGEST_FILE // 1_000_000} MB, which is no price book.")
    return body


def import_prices(store: "Store", body: bytes, *, file: str, by: str, now: int | None = None) -> Imported:
    """Keep a price book; statements of the months for which it holds go by it from now on.

    Raises:
        PriceBookError: something is wrong with it; nothing was written.
    """
    moment = now_ms() if now is None else now
    with store.writing() as connection:
        return billingwork.put_book(connection, body, file=file, by=by, actor=actor(), now=moment)


# Invoices


@dataclass(frozen=True, slots=True)
class InvoicesRead:
    """What reading the invoices of a month came to."""

    month: str
    organizations: int
    read: int
    none: tuple[str, ...]
    """Names of those of which the vendor has none."""
    failed: tuple[tuple[str, str, str], ...]
    """(oid, name, why)"""


@dataclass(frozen=True, slots=True)
class _Answer:
    oid: str
    name: str
    state: str
    reason: str = ""
    values: Mapping[str, Any] | None = None


async def read_invoices(
    store: "Store",
    cloud: "Cloud",
    month: str,
    *,
    scope: str = "",
    oid: str = "",
    report: Report = lambda _progress: None,
    clock: "Callable[[], int]" = now_ms,
) -> InvoicesRead:
    """Read the vendor's invoices of a month, and keep them. What was read before stays where reading fails.

    Needs `billing.ctrl` on each organization. An organization that is gone is not asked.

    Args:
        month: one that is over: the vendor makes an invoice when a month ends.
        scope: id of a tree node; "" is all organizations.
        oid: this organization alone.
    """
    wanted = await asyncio.to_thread(_wanted, store.reader, scope, oid)
    gate, done = asyncio.Semaphore(AT_ONCE), 0
    answers: list[_Answer] = []
    waiting: list[_Answer] = []

    async def keep(*, all_of_them: bool) -> None:
        if len(waiting) < (1 if all_of_them else TOGETHER):
            return
        some, waiting[:] = list(waiting), []
        await asyncio.to_thread(_keep, store, month, some, clock())

    async def one(of: str, name: str) -> None:
        nonlocal done
        async with gate:
            answer = await _invoice(cloud.organization(of), of, name, month)
        answers.append(answer)
        waiting.append(answer)
        done += 1
        report(Progress(done, len(wanted), "invoices"))
        await keep(all_of_them=False)

    async with together() as tasks:
        for of, name in wanted:
            tasks.create_task(one(of, name))
    await keep(all_of_them=True)
    return InvoicesRead(
        month,
        len(wanted),
        sum(each.state == "read" for each in answers),
        tuple(sorted(each.name for each in answers if each.state == "none")),
        tuple(
            (each.oid, each.name, each.reason)
            for each in sorted(answers, key=lambda each: each.name)
            if each.state == "failed"
        ),
    )


def _wanted(reader: "Reader", scope: str, oid: str) -> list[tuple[str, str]]:
    from sqlalchemy import select

    with reader.reading() as connection:
        oids = [oid] if oid else oids_of(connection, scope)
        query = select(ORGANIZATION.c.oid, ORGANIZATION.c.name).where(ORGANIZATION.c.gone_at.is_(None))
        if oids is not None:
            query = query.where(ORGANIZATION.c.oid.in_(oids))
        return [(row.oid, row.name) for row in connection.execute(query.order_by(ORGANIZATION.c.name))]


def _keep(store: "Store", month: str, answers: Sequence[_Answer], now: int) -> None:
    with store.writing() as connection:
        for each in answers:
            billingwork.put_invoice(
                connection,
                each.oid,
                month,
                each.state,
                reason=each.reason,
                now=now,
                **(each.values or {}),
            )


async def _invoice(handle: "OrganizationHandle", oid: str, name: str, month: str) -> _Answer:
    year, number = int(month[:4]), int(month[5:])
    try:
        whole = await handle.invoice(year, number, "json")
    except Gone:
        return _Answer(oid, name, "none", "The vendor has no invoice of this month.")
    except LimaCharlieError as error:
        return _Answer(oid, name, "failed", str(error))
    try:
        values = understood(whole)
        # The SKUs stand only in the short form, which otherwise says the same.
        values["lines"] = with_skus(values["lines"], await handle.invoice(year, number, "simple_json"))
    except Gone:
        return _Answer(oid, name, "failed", "The vendor has this invoice, but not the SKUs of its lines.")
    except LimaCharlieError as error:
        return _Answer(oid, name, "failed", str(error))
    return _Answer(oid, name, "read", values=values)


def understood(invoice: Mapping[str, Any]) -> dict[str, Any]:
    """What is needed of Stripe's invoice: number, currency, cents and lines.

    Read are `currency`, `total`, and of `lines.data` each `amount` (cents), `currency`, `description` and
    `quantity`; what else an invoice holds is not looked at.

    Raises:
        Protocol: an amount is no whole number, a currency is none, or lines are lacking.
    """
    currency = _currency(invoice.get("currency"), "the invoice")
    total = _cents(invoice.get("total", invoice.get("amount_due")), "the invoice's total")
    held = invoice.get("lines")
    listed = held.get("data") if isinstance(held, dict) else None
    if not isinstance(listed, list):
        raise Protocol("The vendor's invoice has no lines.data where its lines should be.")
    if isinstance(held, dict) and held.get("has_more"):
        raise Protocol(f"The vendor's invoice came with {len(listed)} lines, and says that it has more.")
    lines = []
    for line in listed:
        if not isinstance(line, dict):
            raise Protocol("The vendor's invoice has a line that is no object.")
        quantity = line.get("quantity")
        description = line.get("description")
        lines.append(
            {
                "description": description if isinstance(description, str) else "",
                "sku": "",
                "quantity": quantity
                if isinstance(quantity, int) and not isinstance(quantity, bool)
                else None,
                "cents": _cents(line.get("amount"), "a line's amount"),
                "currency": _currency(line.get("currency", currency), "a line"),
            }
        )
    named = invoice.get("number") or invoice.get("id")
    return {
        "number": named if isinstance(named, str) else "", "currency": currency, "cents": total,
        "lines": lines,
    }  # fmt: skip


def with_skus(lines: list[dict[str, Any]], short: object) -> list[dict[str, Any]]:
    """The lines with the SKUs of the invoice's short form, where both have the same amounts in one order."""
    if not isinstance(short, list) or len(short) != len(lines):
        return lines
    if any(
        not isinstance(each, dict) or each.get("amount") != line["cents"]
        for each, line in zip(short, lines, strict=True)
    ):
        return lines
    return [
        {**line, "sku": each["sku"] if isinstance(each.get("sku"), str) else ""}
        for each, line in zip(short, lines, strict=True)
    ]


def _cents(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 10**15:
        raise Protocol(f"The vendor's invoice has {what} that is no whole number of cents.")
    return value


def _currency(value: object, what: str) -> str:
    code = value.upper() if isinstance(value, str) else ""
    if code not in CURRENCIES:
        raise Protocol(f"The vendor's invoice has {what} in a currency that is none.")
    return code


# Statements as files


FORMS: Final = ("csv", "html", "pdf", "md", "json")
"""What a statement is written as."""


def form_of(name: str) -> str:
    """What a file is to be, told by its ending.

    Raises:
        FileError: that is none of FORMS.
    """
    ending = Path(name).suffix.lower().lstrip(".")
    form = {"htm": "html", "markdown": "md"}.get(ending, ending)
    if form not in FORMS:
        raise FileError(f"{name}: a statement's file ends in .{', .'.join(FORMS[:-1])} or .{FORMS[-1]}.")
    return form


def statement_file(
    found: "Statement",
    form: str,
    *,
    brands: Path,
    scope_name: str = "",
    lines: bool = False,
    margins: bool = False,
) -> bytes:
    """A statement as what a file of this form holds.

    Args:
        form: of FORMS.
        brands: the directory of brands; `default.yaml` there says whose it is.
        lines: with every customer's lines, in a document.
        margins: with cost and margin, which is not for a customer's eyes; CSV never has them.

    Raises:
        FileError: the brand cannot be used, or it is no form.
    """
    import json

    from console.reports import statement as made

    if form not in FORMS:
        raise FileError(f"A statement is written as {', '.join(FORMS)}, not as {form}.")
    if form == "csv":
        return made.statement_csv(found)
    if form == "json":
        return (json.dumps(made.statement_data(found, margins=margins), indent=2) + "\n").encode()
    from console.operations.reports import WRITERS
    from console.reports.brand import BrandError, brand_of

    try:
        brand = brand_of(brands, {})
    except BrandError as error:
        raise FileError(str(error)) from None
    document = made.statement_document(
        found,
        provider=brand.provider,
        contact=brand.contact,
        of=scope_name,
        lines=lines,
        margins=margins,
    )
    return WRITERS[form](document, brand)


def write_statement(
    reader: "Reader",
    path: Path,
    month: str,
    *,
    scope: str = "",
    scope_name: str = "",
    brands: Path,
    now: int,
) -> "Statement":
    """Work a statement out, and write it in one step, for this user alone.

    Raises:
        FileError: it cannot be written, or no price book holds for the month; nothing was.
        PriceBookError: the price book cannot be read.
    """
    from store.queries.billing import book_for, statement

    form = form_of(path.name)
    with reader.reading() as connection:
        book = book_for(connection, month)
        if book is None:
            raise FileError(f"No price book holds for {month}; nothing was written.")
        found = statement(connection, book, month, scope=scope, now=now)
    write_private(path, statement_file(found, form, brands=brands, scope_name=scope_name))
    return found


def statement_files(
    found: "Statement",
    directory: Path,
    form: str,
    *,
    brands: Path,
    report: Report = lambda _progress: None,
) -> "list[tuple[Charged, Path]]":
    """A file for each customer that is in the totals, named by month and oid, with its lines and no margin.

    Args:
        directory: it is made when missing; what it lies in is not.

    Raises:
        FileError: one cannot be written; those before it were.
    """
    from dataclasses import replace

    made = []
    refuse_nowhere(directory.parent)
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise FileError(f"{directory} is no directory to write to: {error.strerror}.") from None
    wanted = [each for each in found.customers if each.state != "missing"]
    for number, each in enumerate(wanted, 1):
        # An oid is the cloud's word: it names a file only where it is what an oid is.
        if not OID.fullmatch(each.oid):
            raise FileError(f"{each.oid!a} is no oid, and names no file.")
        path = directory / f"statement-{found.month}-{each.oid}.{form}"
        write_private(path, statement_file(replace(found, customers=(each,)), form, brands=brands))
        made.append((each, path))
        report(Progress(number, len(wanted), "statements"))
    return made
