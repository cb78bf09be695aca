"""What customers are charged, as data, as rows for a spreadsheet, and as a document to be printed.

The document is the provider's own, and in English. Not an invoice: every form of it says so, and names the
organizations that its totals lack.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from console.csvfile import csv_rows, guarded
from console.reports.document import (
    Block,
    Cell,
    Column,
    Document,
    Paragraph,
    Section,
    Table,
    Tile,
    Tiles,
    safe,
)
from store.billing import NOTICE, Charged, Comparison, Margin, Statement, number
from store.money import digits, money, share
from store.months import called
from store.times import rfc3339

COLUMNS: Final = (
    "kind", "month", "oid", "organization", "plan", "item", "metric", "quantity", "units", "unit", "how",
    "from", "to", "days", "of_days", "currency", "cents", "amount", "state", "notes", "organizations",
    "notice",
)  # fmt: skip
"""Of a statement's CSV file. `kind` says what a row is: line, total, or lacking (an organization)."""

WARNED: Final = 12
"""Organizations that the head of a document names before it points to the table of all that are lacking."""


# Data


def statement_data(found: Statement, *, margins: bool = False) -> dict[str, Any]:
    """A statement as JSON data; amounts are cents, quantities exact as `7`, else as the fraction `7/3`."""
    return {
        "notice": NOTICE,
        "month": found.month,
        "closed": found.closed,
        "made_at": rfc3339(found.made_at),
        "prices": {"name": found.book, "sha256": found.digest, "currency": found.currency},
        "usage_read_at": rfc3339(found.oldest),
        "organizations": len(found.customers),
        "complete": found.complete,
        "lacking": [
            {"oid": each.oid, "organization": str(each.name), "state": each.state, "notes": list(each.notes)}
            for each in found.lacking
        ],
        "totals": amounts(found.totals),
        "items": [
            {"item": item, "currency": currency, "cents": cents}
            for (item, currency), cents in found.by_item().items()
        ],
        **({"margins": [_margin(each) for each in found.margins().values()]} if margins else {}),
        "customers": [customer_data(each, found, margins=margins) for each in found.customers],
    }


def customer_data(each: Charged, found: Statement, *, margins: bool = False) -> dict[str, Any]:
    """One customer's part of a statement."""
    data: dict[str, Any] = {
        "oid": each.oid,
        "organization": str(each.name),
        "plan": each.plan or None,
        "state": each.state,
        "notes": list(each.notes),
        "from": each.first,
        "to": each.last,
        "days": each.days,
        "of_days": each.of_days,
        "days_told": each.told,
        "totals": amounts(each.totals),
        "lines": [
            {
                "item": line.item, "kind": line.kind, "metric": line.metric or None,
                "quantity": str(line.quantity), "units": str(line.units), "unit": line.unit or None,
                "how": line.how, "currency": line.currency, "cents": line.cents,
            }
            for line in each.lines
        ],
    }  # fmt: skip
    if margins:
        data |= {
            "cost": None if each.cost is None else amounts(each.cost),
            "cost_from": each.cost_from or None,
            "expected": None if each.expected is None else amounts(each.expected),
            "analyst_seconds": each.seconds,
            "margin": _margin(found.margin(each)),
        }
    return data


def amounts(by_currency: Mapping[str, int]) -> list[dict[str, Any]]:
    """Currency -> cents, as a list."""
    return [{"currency": currency, "cents": cents} for currency, cents in sorted(by_currency.items())]


def _margin(each: Margin) -> dict[str, Any]:
    return {
        "currency": each.currency, "revenue_cents": each.revenue, "vendor_cents": each.vendor,
        "time_cents": each.time, "cents": each.cents, "basis_points": each.basis_points,
        "why_not": each.why or None,
    }  # fmt: skip


# CSV


def decimal_of(cents: int, currency: str) -> Decimal:
    """An amount in whole units of its currency, exactly."""
    return Decimal(cents).scaleb(-digits(currency))


def statement_rows(found: Statement) -> list[dict[str, Any]]:
    """A statement as rows: its lines, its totals, then whoever is lacking."""
    rest = {
        "month": found.month,
        "organizations": f"{found.complete} of {len(found.customers)}",
        "notice": NOTICE,
    }
    rows: list[dict[str, Any]] = []
    for each in found.customers:
        who = {
            "oid": each.oid, "organization": str(each.name), "plan": each.plan, "from": each.first,
            "to": each.last, "days": each.days, "of_days": each.of_days, "state": each.state,
        }  # fmt: skip
        rows += [
            {
                **rest, **who, "kind": "line", "item": line.item, "metric": line.metric,
                "quantity": _decimal(line.quantity), "units": _decimal(line.units), "unit": line.unit,
                "how": line.how, "currency": line.currency, "cents": line.cents,
                "amount": decimal_of(line.cents, line.currency),
            }
            for line in each.lines
        ]  # fmt: skip
    rows += [
        {
            **rest, "kind": "total", "currency": currency, "cents": cents,
            "amount": decimal_of(cents, currency),
        }
        for currency, cents in sorted(found.totals.items())
    ]  # fmt: skip
    rows += [
        {
            **rest, "kind": "lacking", "oid": each.oid, "organization": str(each.name), "plan": each.plan,
            "state": each.state, "notes": " ".join(each.notes),
        }
        for each in found.lacking
    ]  # fmt: skip
    return rows


def statement_csv(found: Statement) -> bytes:
    """The same as a CSV file, which no spreadsheet takes for formulas."""
    return csv_rows(statement_rows(found), COLUMNS, csv_cell).encode()


def csv_cell(value: Any) -> str:
    """A value as a cell: numbers as they are, texts guarded."""
    if value is None:
        return ""
    if isinstance(value, int | Decimal):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    return guarded(str(value)).encode("utf-8", "backslashreplace").decode()


def _decimal(value: Fraction) -> Decimal:
    """A quantity for people; JSON has it exactly."""
    if value.denominator == 1:
        return Decimal(value.numerator)
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(Decimal("0.000001"))


# The document


def statement_document(
    found: Statement,
    *,
    provider: str,
    contact: str = "",
    of: str = "",
    lines: bool = False,
    margins: bool = False,
) -> Document:
    """A statement to be printed.

    Args:
        of: of whom it is, such as the path of a scope; "" is all organizations.
        lines: with every customer's lines; one customer alone always has them.
        margins: with what is left, which is not for a customer's eyes.
    """
    one = found.customers[0] if len(found.customers) == 1 else None
    title = safe(one.name if one is not None else of or "All organizations")
    sections = [Section("summary", "Summary", tuple(_summary(found, margins)))]
    if one is None:
        sections.append(Section("customers", "By customer", (_customers(found, margins),)))
        sections.append(Section("items", "By item", (_items(found),)))
    if one is not None or lines:
        blocks = tuple(_lines(each) for each in found.customers)
        if blocks:
            sections.append(Section("lines", "Lines", blocks))
    if found.lacking:
        sections.append(Section("lacking", "What is lacking", (_lacking(found),)))
    made = f"Made {_second(found.made_at)}. Prices: {safe(found.book)}, {found.digest[:12]}."
    if found.oldest is not None:
        made += f" Usage read {_second(found.oldest)} at the oldest."
    return Document(
        language="en",
        kind="Statement, not an invoice",
        title=title,
        subtitle=called(found.month) + ("" if found.closed else ", not over yet"),
        sections=tuple(sections),
        made=f"{NOTICE} {made}",
        provider=provider,
        contact=contact,
        warnings=tuple(_warnings(found)),
    )


def _warnings(found: Statement) -> Iterable[str]:
    if not found.closed:
        yield f"{called(found.month)} is not over: usage is counted so far, prices of a month are whole."
    lacking = found.lacking
    for each in lacking[:WARNED]:
        yield f"{safe(each.name)}: {safe(' '.join(each.notes), 300)}"
    if len(lacking) > WARNED:
        yield f"{len(lacking) - WARNED:,} more organizations, in the table of what is lacking."


def _summary(found: Statement, margins: bool) -> Iterable[Block]:
    yield Paragraph(NOTICE)
    foot = n_of_m(found)
    tiles = [
        Tile(f"Total in {currency}", money(cents, currency), foot)
        for currency, cents in sorted(found.totals.items())
    ] or [Tile("Total", "nothing charged", foot)]
    if margins:
        for each in found.margins().values():
            said = "-" if each.cents is None else money(each.cents, each.currency)
            points = each.basis_points
            of = "" if points is None else f"{share(points)} % of {money(each.revenue, each.currency)}"
            tiles.append(Tile(f"Margin in {each.currency}", said, of))
    yield Tiles(tuple(tiles), f"{foot}. Amounts of different currencies are never added up.")


def _second(milliseconds: int) -> str:
    return rfc3339(milliseconds // 1000 * 1000) or "-"


def n_of_m(found: Statement) -> str:
    """`213 of 216 organizations complete`; of one alone `complete`, or what it is instead."""
    if len(found.customers) == 1:
        return found.customers[0].state
    return f"{found.complete:,} of {len(found.customers):,} organizations complete"


def _customers(found: Statement, margins: bool) -> Table:
    columns = [Column("Organization", share=4), Column("Plan", share=2), Column("Days", "right")]
    columns += [Column("Charged", "right", 2)]
    if margins:
        columns += [Column("Vendor", "right", 2), Column("Time", "right", 2), Column("Margin", "right", 2)]
    columns.append(Column("", share=1))
    rows = []
    for each in found.customers:
        cells = [
            Cell(safe(each.name)),
            Cell(each.plan or "-"),
            Cell(f"{each.days} of {each.of_days}"),
            Cell(sums(each.totals) if each.state != "missing" else "-"),
        ]
        if margins:
            left = found.margin(each)
            cells += [
                Cell(amount(left.vendor, left.currency)),
                Cell(amount(left.time, left.currency)),
                Cell(amount(left.cents, left.currency), "bad" if (left.cents or 0) < 0 else ""),
            ]
        cells.append(Cell("" if each.state == "complete" else each.state, "bad"))
        rows.append(tuple(cells))
    rows += _totals(found, len(columns), 3)
    return Table(
        "Charged by customer", tuple(columns), tuple(rows), n_of_m(found), "No customer in this month."
    )


def _totals(found: Statement, width: int, at: int) -> list[tuple[Cell, ...]]:
    """A row for each currency."""
    rows = []
    for currency, cents in sorted(found.totals.items()):
        cells = [Cell("", strong=True) for _ in range(width)]
        cells[0] = Cell(f"Total in {currency}, {n_of_m(found)}", strong=True)
        cells[at] = Cell(money(cents, currency), strong=True)
        rows.append(tuple(cells))
    return rows


def _items(found: Statement) -> Table:
    rows = [
        (Cell(safe(item)), Cell(money(cents, currency)))
        for (item, currency), cents in found.by_item().items()
    ]
    rows += [(row[0], row[1]) for row in _totals(found, 2, 1)]
    return Table(
        "Charged by item", (Column("Item", share=4), Column("Charged", "right")), tuple(rows), n_of_m(found),
        "Nothing is charged.",
    )  # fmt: skip


def _lines(each: Charged) -> Table:
    rows = [
        (
            Cell(safe(line.item)),
            Cell(safe(line.how, 200)),
            Cell(number(line.quantity) if line.kind in ("usage", "time") else ""),
            Cell(money(line.cents, line.currency)),
        )
        for line in each.lines
    ]
    rows += [
        (
            Cell(f"Total in {currency}", strong=True),
            Cell(""),
            Cell(""),
            Cell(money(cents, currency), strong=True),
        )
        for currency, cents in sorted(each.totals.items())
    ]
    foot = f"{each.span}, {each.days} of {each.of_days} days; plan {each.plan or 'none'}."
    if each.notes:
        foot += " " + safe(" ".join(each.notes), 300)
    columns = (
        Column("Item", share=3),
        Column("How", share=5),
        Column("Measured", "right", 2),
        Column("Charged", "right", 2),
    )
    return Table(safe(each.name), columns, tuple(rows), foot, "Nothing is charged.")


def _lacking(found: Statement) -> Table:
    rows = tuple(
        (
            Cell(safe(each.name)),
            Cell("not in the totals" if each.state == "missing" else "in part"),
            Cell(safe(" ".join(each.notes), 400)),
        )
        for each in found.lacking
    )
    columns = (Column("Organization", share=3), Column("", share=2), Column("Why", share=6))
    return Table(f"{len(rows):,} of {len(found.customers):,} organizations", columns, rows)


def sums(by_currency: Mapping[str, int]) -> str:
    """`1,234.50 EUR + 12.00 USD`; 0 where nothing is charged."""
    return " + ".join(money(cents, code) for code, cents in sorted(by_currency.items())) or "0"


def amount(cents: int | None, currency: str) -> str:
    """An amount, `-` where it is not known."""
    return "-" if cents is None else money(cents, currency)


# The vendor's invoices


def comparison_data(each: Comparison) -> dict[str, Any]:
    """An organization's invoice against usage and contract, as JSON data."""
    return {
        "oid": each.oid,
        "organization": str(each.name),
        "state": each.state,
        "reason": each.reason or None,
        "invoiced": amounts(each.invoiced),
        "expected": amounts(each.expected),
        "beside_its_lines_cents": each.unexplained,
        "lines": [
            {
                "sku": str(line.sku), "word": line.word, "currency": line.currency,
                "invoiced_cents": line.invoiced, "expected_cents": line.expected,
                "difference_cents": line.difference,
                "quantity": None if line.quantity is None else str(line.quantity),
                "units": None if line.units is None else str(line.units),
            }
            for line in each.lines
        ],
    }  # fmt: skip
