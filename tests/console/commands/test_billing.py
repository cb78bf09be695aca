"""`limegrove billing usage`, `statement`, `invoices`, `compare`, `prices`."""

import csv
import io
import stat
from contextlib import closing

import pytest

from store import billingwork, ingest
from store.billing import NOTICE
from store.database import Store
from store.examplebook import TEXT
from store.months import day_moved, day_of, first_day, last_day
from store.queries.billing import last_month
from store.times import now_ms
from tests.console.commands.conftest import NAMES, OIDS

BOOK = """\
version: 1
name: Ours
currency: EUR
plans:
  all:
    items:
      - {item: Sensors, metric: sensor_retained, cents: 650}
apply:
  - {plan: all}
costs:
  analyst_hour: 6000
  contract:
    - {sku: sensor-month, metric: sensor_retained, cents: 250}
"""


@pytest.fixture
def month():
    return last_month(now_ms())


@pytest.fixture
def charged(filled, home, month):
    """Acme and the hostile one told their usage, Böhm did not."""
    with closing(Store(f"sqlite:///{home / 'default' / 'store.db'}")) as store, store.writing() as c:
        for number in (0, 2):
            day, until = first_day(month), day_moved(day_of(now_ms()), -1)
            days = {}
            while day <= until:
                days[day] = {"sensor_retained": 10 + number, "output_bytes_tx": 5}
                day = day_moved(day, 1)
            ingest.put_usage(c, OIDS[number], {"usage": days})
            ingest.put_sync_state(c, OIDS[number], "usage", checked_at=now_ms(), attempted_at=now_ms())
            ingest.put_organization_facts(c, OIDS[number], quota=20, quota_used=20.0 - number)
    return home


def prices(home, text=BOOK):
    file = home.parent / "prices.yaml"
    file.write_text(text)
    return str(file)


def invoice(home, month, cents, currency="EUR"):
    with closing(Store(f"sqlite:///{home / 'default' / 'store.db'}")) as store, store.writing() as c:
        billingwork.put_invoice(
            c, OIDS[0], month, "read", currency=currency, cents=cents,
            lines=[{"sku": "sensor-month", "description": "x", "quantity": 1, "cents": cents, "currency": currency}],
            now=now_ms(),
        )  # fmt: skip


def test_the_example_can_be_imported_as_it_is_printed(limegrove, charged, home):
    printed = limegrove("billing", "prices", "example")
    assert printed.out == TEXT
    assert limegrove("billing", "prices", "example", "--output", "yaml").out == TEXT
    told = limegrove("billing", "prices", "example", "--output", "json")
    assert told.json["name"] == "Example prices"
    # JSON is YAML too: it is the same price book, without the comments.
    assert limegrove("billing", "prices", "check", prices(home, told.out)).code == 0
    assert limegrove("billing", "prices", "import", prices(home, printed.out)).json["new"] is True
    assert limegrove("billing", "prices", "import", prices(home, printed.out)).json["new"] is False
    listed = limegrove("billing", "prices", "list").json
    assert [each["name"] for each in listed] == ["Example prices"]
    assert limegrove("billing", "prices", "export").out == TEXT
    assert limegrove("billing", "prices", "export", "--output", "json").json == told.json
    assert limegrove("billing", "prices", "export", "9").code == 2


def test_a_wrong_price_book_is_refused_with_file_and_line_and_nothing_is_kept(limegrove, charged, home):
    file = prices(home, BOOK.replace("cents: 650", "cents: 6.5"))
    answer = limegrove("billing", "prices", "import", file)
    assert answer.code == 2
    assert f"{file}, line 7: A price is a whole number of cents, not 6.5" in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert limegrove("billing", "prices", "list").json == []
    check = limegrove("billing", "prices", "check", file)
    assert check.code == 2
    assert check.json["problems"] == [{"line": 7, "problem": answer.err.split(": ", 2)[2].strip()}]
    statement = limegrove("billing", "statement", "--prices", file)
    assert (statement.code, statement.out) == (2, "")
    for words in (("prices", "check"), ("prices", "import"), ("statement", "--prices")):
        missing = limegrove("billing", *words, f"{file}.not")
        assert (missing.code, missing.out) == (2, "")
        assert "cannot be read" in missing.err


def test_an_unknown_metric_and_an_unknown_organization_are_refused_by_what_the_store_knows(
    limegrove, charged, home
):
    file = prices(home, BOOK.replace("metric: sensor_retained, cents: 650", "metric: sensors, cents: 650"))
    assert "line 7: 'sensors' is no metric that is known" in limegrove("billing", "prices", "check", file).err
    stranger = "99999999-0000-4000-8000-00000000abcd"
    file = prices(home, BOOK.replace("- {plan: all}", f"- {{organization: {stranger}, plan: all}}"))
    assert (
        f"No organization with the oid {stranger} is known"
        in limegrove("billing", "prices", "import", file).err
    )


def test_a_read_only_console_keeps_no_price_book_and_reads_no_invoice(limegrove, charged, home):
    assert limegrove("--read-only", "billing", "prices", "import", prices(home)).code == 5
    assert limegrove("--read-only", "billing", "invoices").code == 5
    assert limegrove("billing", "prices", "list").json == []


def test_the_statement_names_what_is_lacking_and_says_that_it_is_no_invoice(limegrove, charged, home, month):
    assert limegrove("billing", "prices", "import", prices(home)).code == 0
    answer = limegrove("billing", "statement")
    assert answer.code == 3
    found = answer.json
    assert (found["notice"], found["month"], found["closed"]) == (NOTICE, month, True)
    assert found["totals"] == [{"currency": "EUR", "cents": 10 * 650 + 12 * 650}]
    assert (found["organizations"], found["complete"]) == (3, 2)
    assert found["lacking"] == [
        {"oid": OIDS[1], "organization": NAMES[1], "state": "partly", "notes": ["Usage was never read."]}
    ]
    assert [each["totals"] for each in found["customers"] if each["oid"] == OIDS[0]] == [
        [{"currency": "EUR", "cents": 6500}]
    ]
    assert "2 of 3 organizations complete; lacking: Böhm" in answer.err
    assert NOTICE in answer.err


def test_one_customer_is_complete_and_the_exit_code_says_so(limegrove, charged, home):
    answer = limegrove("billing", "statement", "--prices", prices(home), "--org", "Acme Corp")
    assert answer.code == 0
    assert answer.json["totals"] == [{"currency": "EUR", "cents": 6500}]
    assert limegrove("billing", "prices", "list").json == []


def test_the_margin_is_shown_only_when_it_is_asked_for(limegrove, charged, home, month):
    limegrove("billing", "prices", "import", prices(home))
    invoice(home, month, 2_600)
    plain = limegrove("billing", "statement", "--output", "table").out
    assert "MARGIN" not in plain
    answer = limegrove("billing", "statement", "--margin")
    margin = next(each for each in answer.json["customers"] if each["oid"] == OIDS[0])
    assert margin["margin"]["cents"] == 6500 - 2600
    assert margin["cost_from"] == "invoice"
    assert "of the 2 of 3 organizations of which it is known" in answer.err


def test_the_csv_has_no_formula_and_its_rows_come_to_its_total(limegrove, charged, home):
    limegrove("billing", "prices", "import", prices(home))
    rows = list(csv.DictReader(io.StringIO(limegrove("billing", "statement", "--output", "csv").out)))
    total = next(row for row in rows if row["kind"] == "total")
    assert int(total["cents"]) == sum(int(row["cents"]) for row in rows if row["kind"] == "line")
    assert all(row["notice"] == NOTICE for row in rows)


def test_a_document_is_written_for_this_user_alone_and_an_unknown_ending_is_refused(
    limegrove, charged, home, tmp_path
):
    limegrove("billing", "prices", "import", prices(home))
    out = tmp_path / "s.html"
    answer = limegrove("billing", "statement", "--out", str(out), "--lines")
    assert (answer.code, answer.out) == (3, "")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    text = out.read_text()
    assert "Statement, not an invoice" in text
    assert "\x1b" not in text
    assert limegrove("billing", "statement", "--out", str(tmp_path / "s.xls")).code == 2
    assert limegrove("billing", "statement", "--format", "md").out.startswith("# ")


def test_a_table_is_no_file_and_is_a_table_on_a_pipe_too(limegrove, charged, home, tmp_path):
    limegrove("billing", "prices", "import", prices(home))
    refused = limegrove("billing", "statement", "--format", "table", "--out", str(tmp_path / "s.csv"))
    assert (refused.code, refused.out, list(tmp_path.glob("s.*"))) == (2, "", [])
    assert "--format table is for the screen" in refused.err
    assert limegrove("billing", "statement", "--format", "table").out.startswith("ORGANIZATION")


def test_a_file_in_a_directory_that_is_not_there_is_refused_and_none_is_made(
    limegrove, charged, home, tmp_path
):
    limegrove("billing", "prices", "import", prices(home))
    for words in (("--out", "no/s.csv"), ("--each", "no/deep")):
        answer = limegrove("billing", "statement", words[0], str(tmp_path / words[1]))
        assert answer.code == 1
        assert f"There is no directory {tmp_path / 'no'}; make it first. Nothing was written." in answer.err
    assert not (tmp_path / "no").exists()


def test_each_customer_gets_a_document_of_its_own_without_margin_and_without_another_ones_name(
    limegrove, charged, home, tmp_path, month
):
    limegrove("billing", "prices", "import", prices(home))
    invoice(home, month, 2_600)
    made = limegrove("billing", "statement", "--each", str(tmp_path / "each"))
    assert made.code == 3
    files = sorted((tmp_path / "each").iterdir())
    assert [file.name for file in files] == [f"statement-{month}-{oid}.html" for oid in OIDS]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    acme = files[0].read_text()
    assert "65.00 EUR" in acme
    assert "Margin" not in acme
    assert "26.00" not in acme
    assert all(name not in acme for name in ("Böhm", "Evil"))
    assert limegrove("billing", "statement", "--each", str(tmp_path), "--margin").code == 2


def test_usage_says_by_which_skus_a_metric_is_charged(limegrove, charged, home):
    limegrove("billing", "prices", "import", prices(home))
    found = limegrove("billing", "usage", "--days", "1", "--daily").json
    assert found["skus"] == {"sensor_retained": ["sensor-month"]}
    assert {tuple(row["skus"]) for row in found["usage"] if row["metric"] == "sensor_retained"} == {
        ("sensor-month",)
    }


def test_a_month_that_is_none_or_has_not_begun_is_refused(limegrove, charged, home):
    limegrove("billing", "prices", "import", prices(home))
    for wrong, words in (
        ("2026-13", "'2026-13' is no month; one is written as 2026-10."),
        ("1900-01", "1900-01 is before 2000"),
        ("2999-01", "January 2999 has not begun."),
    ):
        answer = limegrove("billing", "statement", "--month", wrong)
        assert (answer.code, words in answer.err) == (2, True)
    now = day_of(now_ms())[:7]
    assert "is not over" in limegrove("billing", "invoices", "--month", now).err
    assert limegrove("billing", "statement", "--month", now).json["closed"] is False


def test_without_a_price_book_it_says_how_to_get_one(limegrove, charged):
    answer = limegrove("billing", "statement")
    assert answer.code == 1
    assert "`limegrove billing prices import FILE` takes one" in answer.err


def test_usage_is_by_organization_or_by_day_with_n_of_m(limegrove, charged, month):
    answer = limegrove("billing", "usage", "--month", month)
    assert answer.code == 3
    found = answer.json
    assert (found["organizations"], found["told"], found["to"]) == (3, 2, last_day(month))
    assert [each["oid"] for each in found["lacking"]] == [OIDS[1]]
    acme = next(row for row in found["usage"] if row["oid"] == OIDS[0])
    assert (acme["quota"], acme["used"], acme["percent"], acme["days_until_full"]) == (20, 20.0, 100, 0)
    assert acme["turned_away_30_days"] is None
    assert acme["metrics"]["sensor_retained"] == 10
    assert found["usage"][0]["oid"] == OIDS[0], "what is full comes first"
    assert "2 of 3 organizations told every day; lacking Böhm" in answer.err
    daily = limegrove("billing", "usage", "--days", "2", "--daily", "--metric", "output_bytes_tx").json
    assert [(row["value"], row["metric"]) for row in daily["usage"]] == [(5, "output_bytes_tx")] * 4
    table = limegrove("billing", "usage", "--output", "table").out
    assert "full" in table
    assert "\x1b" not in table
    assert limegrove("billing", "usage", "--metric", "nothing").code == 2
    assert limegrove("billing", "usage", "--month", month, "--days", "3").code == 2
    assert limegrove("billing", "usage", "--days", "0").code == 2


def test_invoices_are_compared_and_a_difference_is_exit_code_four(limegrove, charged, home, month):
    limegrove("billing", "prices", "import", prices(home))
    answer = limegrove("billing", "compare")
    assert answer.code == 3
    assert answer.json["compared"] == 0
    invoice(home, month, 2_600)
    answer = limegrove("billing", "compare")
    assert answer.code == 4
    (line,) = next(each for each in answer.json["comparisons"] if each["oid"] == OIDS[0])["lines"]
    assert (line["word"], line["invoiced_cents"], line["expected_cents"], line["difference_cents"]) == (
        "more", 2600, 2500, 100,
    )  # fmt: skip
    assert "1 of 3 organizations compared, 1 differ; not compared: Böhm" in answer.err
    invoice(home, month, 2_500)
    assert limegrove("billing", "compare", "--org", "Acme Corp").code == 0


def test_a_book_without_a_contract_cannot_be_compared_with(limegrove, charged, home):
    book = BOOK[: BOOK.index("costs:")]
    assert "has no contract" in limegrove("billing", "compare", "--prices", prices(home, book)).err


def test_offline_no_invoice_is_read(limegrove, charged):
    assert limegrove("--offline", "billing", "invoices").code == 5
