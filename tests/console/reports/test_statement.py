"""A statement as data, as CSV and as a document: balanced, named as no invoice, and dead to whoever opens it."""

import csv
import io
import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from pypdf import PdfReader

from console.operations.billing import statement_file
from console.reports.statement import (
    COLUMNS,
    statement_csv,
    statement_data,
    statement_document,
    statement_rows,
)
from store.billing import NOTICE, Facts, Figures, Statement, charged
from store.pricebook import read_pricebook
from store.text import Untrusted, is_formula, safe_text
from tests.corpus.strings import CORPUS
from tests.helpers.chromium import browser, needs_chromium
from tests.helpers.reports import squeezed

BOOK = """\
version: 1
name: Prices
currency: EUR
plans:
  gold:
    items:
      - {item: Sensors, metric: sensor_retained, cents: 650, unit: sensors}
      - {item: Share, metric: peak_sensors, measure: average, blocks: exact, cents: 100}
  yen:
    currency: JPY
    items:
      - {item: Sensors, metric: sensor_retained, cents: 90}
apply:
  - {label: tier=gold, plan: gold}
  - {label: tier=yen, plan: yen}
costs: {analyst_hour: 6000}
"""


def made(names=("Acme", "Bolt", "Cedar", "Delta"), *, closed=True, reason="Usage was never read."):
    """Four customers: in euros, in yen, one of whom nothing was told, one without a plan."""
    book = read_pricebook(BOOK)
    days = Figures.of([Fraction(day) for day in (1, 2, 4)])
    whole = Facts(
        "oid-0", Untrusted(""), Untrusted(""), days=31, present=31, told=31, expected=31, first="2026-10-01",
        last="2026-10-31", usage={"sensor_retained": days, "peak_sensors": days}, seconds=1800,
    )  # fmt: skip
    plans = [book.plans["gold"], book.plans["yen"], book.plans["gold"], None]
    people = []
    for number, (name, plan) in enumerate(zip(names, plans, strict=True)):
        one = replace(whole, oid=f"oid-{number}", name=Untrusted(name), path=Untrusted(name))
        if number == 2:
            one = replace(one, usage={}, told=0, usage_note=reason)
        people.append(charged(one, plan, contract=()))
    return Statement(
        "2026-10", book.name, book.digest, tuple(people), 1_795_528_800_000, closed=closed, currency="EUR",
        analyst_hour=6000, oldest=1_795_528_000_000,
    )  # fmt: skip


def read_csv(found):
    text = statement_csv(found).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    return rows


def test_the_rows_of_the_csv_add_up_to_its_totals_and_name_whoever_is_lacking():
    rows = read_csv(made())
    lines = [row for row in rows if row["kind"] == "line"]
    totals = {row["currency"]: row for row in rows if row["kind"] == "total"}
    assert set(totals) == {"EUR", "JPY"}
    for currency, total in totals.items():
        assert int(total["cents"]) == sum(int(row["cents"]) for row in lines if row["currency"] == currency)
        assert Decimal(total["amount"]) == sum(
            Decimal(row["amount"]) for row in lines if row["currency"] == currency
        )
        assert total["organizations"] == "2 of 4"
    assert totals["JPY"]["amount"] == "360"
    # 4 sensors at 6.50, and the mean of 1, 2 and 4 at a euro.
    assert totals["EUR"]["amount"] == "28.33"
    assert [(row["organization"], row["state"]) for row in rows if row["kind"] == "lacking"] == [
        ("Cedar", "partly"), ("Delta", "missing"),
    ]  # fmt: skip
    assert {row["notice"] for row in rows} == {NOTICE}
    assert next(row for row in lines if row["item"] == "Share")["units"] == "2.333333"


def test_the_data_has_cents_as_numbers_and_quantities_exactly():
    data = json.loads(json.dumps(statement_data(made(), margins=True)))
    assert data["notice"] == NOTICE
    assert (data["organizations"], data["complete"]) == (4, 2)
    assert [each["organization"] for each in data["lacking"]] == ["Cedar", "Delta"]
    assert data["totals"] == [{"currency": "EUR", "cents": 2833}, {"currency": "JPY", "cents": 360}]
    assert data["customers"][0]["lines"][1]["units"] == "7/3"
    assert data["customers"][0]["margin"]["why_not"] == "what the vendor charges is not known"
    assert "margin" not in statement_data(made())["customers"][0]


@pytest.mark.parametrize("form", ["html", "md", "pdf", "csv", "json"])
def test_each_form_says_that_it_is_no_invoice_and_whom_it_lacks(form, tmp_path):
    body = statement_file(made(), form, brands=tmp_path, lines=True, margins=True)
    if form == "pdf":
        text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(body)).pages)
    else:
        text = body.decode()
    flat = " ".join(text.split())
    for words in ("Not an invoice", "Cedar", "Delta", "2 of 4" if form != "json" else '"complete": 2'):
        assert words in flat, (form, words)


def test_a_month_that_is_not_over_says_so_first():
    document = statement_document(made(closed=False), provider="Northlight")
    assert document.warnings[0].startswith("October 2026 is not over")
    assert document.subtitle == "October 2026, not over yet"


def test_one_customers_statement_has_its_lines_and_not_the_margin_of_the_provider():
    found = made()
    alone = replace(found, customers=found.customers[:1])
    document = statement_document(alone, provider="Northlight")
    assert [section.key for section in document.sections] == ["summary", "lines"]
    assert document.title == "Acme"
    assert "Margin" not in str(document)


@needs_chromium
async def test_on_paper_a_reason_is_there_to_its_last_word(tmp_path):
    reason = f"Usage could not be read: {' '.join(f'reason{number}' for number in range(24))}."
    path = tmp_path / "statement.html"
    path.write_bytes(statement_file(made(reason=reason), "html", brands=tmp_path))
    async with browser(tmp_path) as opened:
        printed = PdfReader(io.BytesIO((await opened.open(path)).pdf))
    text = squeezed("".join(page.extract_text() for page in printed.pages))
    # At the head, and in the table of what is lacking.
    assert text.count(squeezed(reason)) == 2


HOSTILE = [
    each
    for category in ("csv", "html", "osc", "bidi", "markup-textual", "template")
    for each in CORPUS[category]
]


def test_no_name_is_a_formula_in_a_spreadsheet():
    for place in range(0, len(HOSTILE), 4):
        names = [*HOSTILE[place : place + 4], "", "", ""][:4]
        for row in csv.DictReader(io.StringIO(statement_csv(made(names)).decode())):
            assert not any(is_formula(value) for value in row.values()), row


def test_no_name_is_html_or_an_order_to_a_terminal(tmp_path):
    for place in range(0, len(HOSTILE), 40):
        names = [*HOSTILE[place : place + 4], "", "", ""][:4]
        text = statement_file(made(names), "html", brands=tmp_path, lines=True).decode()
        assert "<script" not in text.lower()
        assert "default-src 'none'" in text
        for line in text.split("\n"):
            assert safe_text(line, len(line) + 1) == line


def test_rows_have_no_column_that_the_file_lacks():
    assert {name for row in statement_rows(made()) for name in row} <= set(COLUMNS)
