"""Reports on paper: whatever a figure or a name is long, all of it is there, inside the page."""

from datetime import UTC, datetime
from io import BytesIO

import pytest
from pypdf import PdfReader

from console.reports.brand import Brand
from console.reports.document import (
    Cell,
    Column,
    Document,
    Paragraph,
    Section,
    Table,
    Tile,
    Tiles,
)
from console.reports.pdf import pdf
from tests.helpers.reports import squeezed

AMOUNT = "123,456,789,012.34 EUR + 98,765,432,109.87 USD"
POINTS = 72 / 25.4
EDGE = 14 * POINTS - 0.5
"""Of what may be printed on, from the left."""


def document(*blocks, **more):
    given = {
        "language": "en", "kind": "Security report", "title": "Acme", "subtitle": "October 2026",
        "sections": (Section("summary", "Summary", blocks),), "made": "Made then", "provider": "Northlight",
    } | more  # fmt: skip
    return Document(**given)


def printed(made):
    """The text of each page; none of it begins before the margin or below the page."""
    pages = []
    for page in PdfReader(BytesIO(pdf(made, Brand()))).pages:

        def inside(text, _, matrix, *__):
            if text.strip():
                assert matrix[4] >= EDGE, text
                assert matrix[5] > 10, text

        pages.append(squeezed(page.extract_text(visitor_text=inside)))
    return pages


def table(*rows, **more):
    columns = (
        Column("Organization", share=4), Column("Plan", share=2), Column("Days", "right"), Column("Charged", "right", 2),
        Column("Vendor", "right", 2), Column("Margin", "right", 2), Column("", share=1),
    )  # fmt: skip
    return Table("Charged", columns, rows, **more)


def row(name, amount, *, bar=None):
    return (
        Cell(name), Cell("gold"), Cell("31 of 31"), Cell(amount, bar=bar), Cell(amount), Cell("-1.00 EUR"), Cell("partly"),
    )  # fmt: skip


@pytest.mark.parametrize("bar", [None, 0.5])
def test_of_an_amount_that_is_longer_than_its_column_no_digit_is_left_out(bar):
    (page,) = printed(document(table(row("Acme", AMOUNT, bar=bar), row("Bolt", "7.00 EUR"))))
    assert page.count(squeezed(AMOUNT)) == 2
    assert "…" not in page


def test_one_number_that_no_column_could_hold_goes_on_on_the_next_line():
    number = "9" * 180
    (page,) = printed(document(table(row("Acme", number))))
    assert page.count("9") == 360


def test_a_bar_leaves_the_room_that_the_numbers_beside_it_take():
    columns = (Column("Rule", share=1), Column("Alerts", "right", 1))
    rows = ((Cell("a"), Cell("≥ 123,456,789,012", bar=1.0)), (Cell("b"), Cell("1", bar=0.1)))
    page = PdfReader(BytesIO(pdf(document(Table("Rules", columns, rows, half=True)), Brand()))).pages[0]
    bars, figures = [], []

    def note_bar(operator, given, *_):
        if operator == b"re" and 3 < -float(given[3]) < 4:
            bars.append(float(given[0]) + float(given[2]))

    def note_figure(text, _, matrix, *__):
        if text.strip() in ("≥ 123,456,789,012", "1"):
            figures.append(matrix[4])

    page.extract_text(visitor_operand_before=note_bar, visitor_text=note_figure)
    assert len(bars) == 4
    assert max(bars) < min(figures)


def test_a_reason_a_name_and_a_title_are_there_to_their_last_word():
    reason = " ".join(f"reason{number}" for number in range(60))
    name = "N" * 96
    columns = (
        Column("Organization", share=3),
        Column("Why, in words that are longer than a column", share=1),
    )
    (page,) = printed(
        document(
            Table("T" * 160, columns, ((Cell(name), Cell(reason)),)),
            Table("Nobody", columns, (), empty=reason),
            title="Acme " * 24,
        )
    )
    assert page.count(squeezed(reason)) == 2
    for said in (name, "T" * 160, "Acme" * 24, "Why,inwordsthatarelongerthanacolumn"):
        assert said in page
    assert "…" not in page


def test_names_beside_each_other_that_no_page_could_hold_stand_below_each_other():
    columns = (Column("Rule", share=13), Column("Alerts", "right", 7))
    rows = tuple((Cell("\U0001f600" * 56), Cell(str(number))) for number in range(6))
    pages = printed(
        document(Table("Rules", columns, rows, half=True), Table("Hosts", columns, rows, half=True))
    )
    assert sum(page.count("\\U0001f600") for page in pages) == 12 * 56


def test_headline_figures_have_the_room_that_they_take():
    tiles = tuple(
        Tile(f"Total in currency {number}", f"{number}23,456,789,012.34 EUR", f"of {AMOUNT} in all, {number}")
        for number in range(1, 10)
    )
    (page,) = printed(document(Tiles(tiles, "A foot."), Paragraph("After.")))
    for tile in tiles:
        for said in (tile.label, tile.value, tile.detail):
            assert squeezed(said) in page
    assert "…" not in page


def test_the_foot_of_each_page_says_whose_report_it_is_how_to_reach_them_and_what_it_is_of_to_the_end():
    provider, contact = "Northlight " * 7, "Write to security@northlight.example, or call. " * 4
    made = "Not an invoice: worked out from usage. " * 9 + "Usage read 2026-11-24T10:00:00Z at the oldest."
    rows = [row(f"Customer {number}", "7.00 EUR") for number in range(140)]
    pages = printed(document(table(*rows), provider=provider, contact=contact, made=made))
    assert len(pages) > 2
    for number, page in enumerate(pages, 1):
        for said in (provider, contact, made, f"Page {number} of {len(pages)}"):
            assert squeezed(said) in page

    assert sum(page.count("gold31of31") for page in pages) == 140


def test_what_is_missing_goes_on_on_the_next_page_when_it_is_much():
    warnings = tuple(f"Customer {number}: " + "Z" * 600 for number in range(60))
    pages = printed(document(Paragraph("After."), warnings=warnings))
    assert sum(page.count("Z") for page in pages) == 60 * 600
    assert "After." in pages[-1]


def test_a_name_that_is_how_a_library_writes_the_number_of_pages_is_that_name():
    name = "{nb} & {nb} Ltd"
    made = document(
        table(row(name, "7.00 EUR")), Paragraph(name), title=name, provider=name, contact="{nb}", made=f"Made of {name}",
    )  # fmt: skip
    (page,) = printed(made)
    assert page.count("{nb}&{nb}Ltd") == 6
    assert "Page1of1" in page


def test_the_file_says_when_it_was_made():
    moment = datetime(2026, 11, 24, 10, tzinfo=UTC)
    found = PdfReader(BytesIO(pdf(document(), Brand(), made=round(moment.timestamp() * 1000))))
    assert found.metadata.creation_date == moment
