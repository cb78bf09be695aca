"""The vendor's invoices read from the sandbox, kept, and compared; what cannot be understood is refused whole."""

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import Gone, Protocol
from console.limacharlie.limits import Limits
from console.operations.billing import (
    _invoice,
    form_of,
    import_prices,
    read_file,
    read_invoices,
    statement_file,
    understood,
    with_skus,
)
from console.operations.files import FileError, write_private
from console.operations.sync import Sync
from store.examplebook import TEXT
from store.pricebook import read_pricebook
from store.queries.billing import book_for, books, comparisons, invoices_of, last_month, statement, used
from store.secret import Secret
from store.times import now_ms
from tests.helpers.sandboxes import sandbox


def cloud_of(served):
    user = served.world.access.users[served.world.access.root]
    return Cloud(
        UserKey(user.uid, Secret(user.api_key)), Endpoint.single(served.url), limits=Limits.unlimited()
    )


async def test_invoices_are_read_kept_and_equal_to_what_the_contract_makes_of_the_usage(a_store):
    store, month, told = a_store(), last_month(now_ms()), []
    async with sandbox(seed=7, orgs=12, detections=20) as served, cloud_of(served) as cloud:
        await Sync(store=store, cloud=cloud, redaction_key=b"k" * 32, only=("orgs", "usage")).run()
        made = await read_invoices(store, cloud, month, report=told.append)
        unreadable = served.world.unauthorized
        assert [oid for oid, _, _ in made.failed] == [unreadable.oid]
        assert "unauthorized" in made.failed[0][2]
        assert made.read + len(made.none) + 1 == made.organizations == 12
        assert told[-1].done == told[-1].total == 12
        book = read_pricebook(TEXT)
        with store.reader.reading() as c:
            kept = invoices_of(c, month)
            found = comparisons(c, book, month, now=now_ms())
            whole = statement(c, book, month, now=now_ms())
        assert sum(each.state == "read" for each in kept.values()) == made.read
        # The sandbox makes its invoices of the same usage: each line is as expected.
        assert [each.state for each in found if each.oid != unreadable.oid and each.state != "none"] == [
            "same"
        ] * made.read
        for each in whole.customers:
            if each.cost_from == "invoice":
                assert each.cost == kept[each.oid].totals
                assert each.cost["USD"] == sum(line.cents for line in kept[each.oid].lines)
        assert {line.sku for each in kept.values() for line in each.lines} <= {
            "sensor-month", "insight-retention", "output-gb", "replay-evals",
        }  # fmt: skip

        one = next(oid for oid, each in kept.items() if each.state == "read")
        with store.reader.reading() as c:
            days = used(c, first=f"{month}-01", last=f"{month}-28", now=now_ms())
        row = next(row for row in days.rows if row.oid == one)
        assert row.quota
        assert sum(count * weight for _, count, weight in row.breakdown) == pytest.approx(row.used, abs=0.6)


INVOICE = {
    "number": "A-1", "currency": "usd", "total": 1200,
    "lines": {
        "data": [
            {"description": "4 x sensor", "amount": 1000, "currency": "usd", "quantity": 4},
            {"description": "Credit", "amount": -50, "currency": "usd"},
            {"description": "Tax", "amount": 250},
        ],
        "has_more": False,
    },
}  # fmt: skip


def test_an_invoice_is_its_cents_its_currency_and_its_lines():
    found = understood(INVOICE)
    assert (found["number"], found["currency"], found["cents"]) == ("A-1", "USD", 1200)
    assert [(line["cents"], line["quantity"], line["currency"]) for line in found["lines"]] == [
        (1000, 4, "USD"), (-50, None, "USD"), (250, None, "USD"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"total": 12.5}, "total that is no whole number"),
        ({"total": True}, "total that is no whole number"),
        ({"total": None, "amount_due": None}, "total that is no whole number"),
        ({"total": 10**15}, "total that is no whole number"),
        ({"currency": "gold"}, "in a currency that is none"),
        ({"currency": None}, "in a currency that is none"),
        ({"lines": None}, "no lines.data"),
        ({"lines": {"data": [3]}}, "a line that is no object"),
        ({"lines": {"data": [{"amount": "12"}]}}, "a line's amount that is no whole number"),
        ({"lines": {"data": [], "has_more": True}}, "says that it has more"),
    ],
)
def test_an_invoice_that_is_not_understood_is_none(change, words):
    with pytest.raises(Protocol, match=words):
        understood({**INVOICE, **change})


def test_skus_are_taken_only_from_a_short_form_that_says_the_same():
    lines = understood(INVOICE)["lines"]
    short = [{"amount": 1000, "sku": "sensor-month"}, {"amount": -50, "sku": 3}, {"amount": 250}]
    assert [line["sku"] for line in with_skus(lines, short)] == ["sensor-month", "", ""]
    assert with_skus(lines, short[:2]) == lines
    assert with_skus(lines, [*short[:2], {"amount": 251}]) == lines
    assert with_skus(lines, None) == lines
    assert with_skus(lines, [1, 2, 3]) == lines


@pytest.mark.parametrize(("lacks", "state"), [("json", "none"), ("simple_json", "failed")])
async def test_an_invoice_that_came_without_its_skus_is_not_one_that_is_not_there(lacks, state):
    class Handle:
        async def invoice(self, year, month, form):
            if form == lacks:
                raise Gone("It is not there.")
            return INVOICE

    found = await _invoice(Handle(), "oid-0", "Acme", "2026-10")
    assert (found.state, found.values) == (state, None)


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path):
    with pytest.raises(FileError, match=r"prices\.yaml cannot be read: No such file"):
        read_file(tmp_path / "prices.yaml")
    with pytest.raises(FileError, match="is a directory"):
        write_private(tmp_path, b"x")
    (tmp_path / "large").write_bytes(b"#" * 5_000_001)
    with pytest.raises(FileError, match="more than 5 MB"):
        read_file(tmp_path / "large")


def test_a_file_is_what_its_ending_says():
    assert [form_of(name) for name in ("a.CSV", "b.htm", "c.markdown", "d.pdf", "e.json")] == [
        "csv", "html", "md", "pdf", "json",
    ]  # fmt: skip
    with pytest.raises(FileError, match=r"ends in \.csv, \.html, \.pdf, \.md or \.json"):
        form_of("statement.xlsx")


def test_an_unknown_form_is_refused_and_never_a_pdf(a_store, tmp_path):
    store = a_store()
    import_prices(store, TEXT.encode(), file="example", by="dana")
    with store.reader.reading() as c:
        found = statement(c, book_for(c, "2026-10"), "2026-10", now=now_ms())
    for form in ("table", "docx", ""):
        with pytest.raises(FileError, match="A statement is written as csv, html, pdf, md, json, not as"):
            statement_file(found, form, brands=tmp_path)
    assert statement_file(found, "pdf", brands=tmp_path).startswith(b"%PDF")


def test_the_example_is_taken_by_a_store_that_knows_nothing_yet(a_store):
    store = a_store()
    assert import_prices(store, TEXT.encode(), file="example", by="dana").new
    assert not import_prices(store, TEXT.encode(), file="example", by="dana").new
    with store.reader.reading() as c:
        assert [each.name for each in books(c)] == ["Example prices"]
