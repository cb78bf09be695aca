"""What customers are charged and how full their quotas are, on a real store."""

import re
import threading

import pytest
from sqlalchemy import insert

from screens.billing import Billing, parse
from screens.context import Scope
from screens.organization_tabs import TABS, usage
from screens.organizations import Organizations
from screens.requests import Back, ExportStatement, ReadInvoices, ShowOrganization
from store import billingwork, ingest, models
from store.examplebook import TEXT
from store.queries import billing
from store.tree import TreeNode, replace_tree
from tests.helpers.screens import CUSTOMERS, NOW, Host, oid_of, still, text_of, until

DAY = 86_400_000
HOSTILE = "\x1b]0;x\x07[@click=app.quit]Evil[/]\u202e"


def charge(store, *, book=TEXT, told=(0, 1, 2, 4), name=None):
    """October and November told of the customers named; the fourth is one of whom nothing could be read."""
    with store.writing() as c:
        if name is not None:
            table = models.Organization.__table__
            c.execute(table.update().where(table.c.oid == oid_of(0)).values(name=name))
        nodes = [TreeNode("root", None, "Provider")]
        nodes += [
            TreeNode(tier, "root", tier.capitalize(), labels={"tier": tier}) for tier in ("gold", "silver")
        ]
        nodes += [
            TreeNode(f"customer-{number}", tier, str(called), oid=oid_of(number))
            for number, (called, tier) in enumerate(CUSTOMERS)
        ]
        replace_tree(c, nodes)
        for number in told:
            days = {
                f"2026-{month}-{day:02d}": {
                    "sensor_retained": 90 + 20 * number,
                    "peak_sensors": 60 + 20 * number + (day + 31 * (month == "11")) // 2,
                    "output_bytes_tx": 10**8 * (number + 1), "replay_num_evals": 100,
                }
                for month, last in (("10", 31), ("11", 23))
                for day in range(1, last + 1)
            }  # fmt: skip
            ingest.put_usage(c, oid_of(number), {"usage": days})
            ingest.put_sync_state(c, oid_of(number), "usage", checked_at=NOW - 60_000, attempted_at=NOW)
            ingest.put_organization_facts(c, oid_of(number), quota=100, quota_used=70.0 + 10 * number)
        ingest.put_sync_state(
            c, oid_of(3), "usage", attempted_at=NOW, failure="denied", reason="This key may not read it."
        )
        ingest.put_sync_state(c, oid_of(0), "audit", checked_at=NOW, attempted_at=NOW)
        ingest.put_audit(
            c, oid_of(0), [{"oid": oid_of(0), "time": NOW - DAY, "etype": "sensor_over_quota", "msg": "away"}]
        )
        billingwork.put_quota(
            c, oid_of(0), 100, 70.0, {"windows": {"count": 60, "weight": 1.0}, "chrome": {"count": 100, "weight": 0.1}},
            now=NOW,
        )  # fmt: skip
        c.execute(
            insert(models.CaseEvent.__table__).values(
                oid=oid_of(0), case_number=3, event_id="e", time=NOW - 40 * DAY, action="x", by="mk",
                details={"billable_seconds": 5400},
            )
        )  # fmt: skip
        if book:
            billingwork.put_book(c, book.encode(), by="dana", actor="dana@host", now=NOW - DAY)


@pytest.fixture
def charged_store(filled_store):
    charge(filled_store)
    return filled_store


async def ready(pilot) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)


def words(host) -> str:
    return " ".join(text_of(host).split())


async def settled(pilot, said: str) -> None:
    await until(pilot, lambda: said in words(pilot.app))


async def test_the_last_month_is_shown_with_its_total_and_whom_it_lacks_and_as_no_invoice(charged_store):
    host = Host(charged_store, Billing)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        shown = words(host)
        assert "October 2026" in shown
        assert "Not an invoice." in shown
        assert "4 of 5 organizations complete; lacking: Delta Ltd (partly)" in shown
        assert [each.name for each in host.view._found.statement.customers] == [
            "Acme Dental", "Borealis Foods", "Cedar Clinic", "Delta Ltd", "Église Saint-Roch",
        ]  # fmt: skip
        # 90 sensors at 14 dollars, 3.1 GB begun as 4, and the platform.
        assert "Acme Dental gold 31/31 1,511.00 USD" in shown
        assert host.guard.hits == 0


async def test_the_detail_says_how_each_line_comes_about_and_what_is_left(charged_store):
    host = Host(charged_store, Billing)
    async with host.run_test(size=(80, 30)) as pilot:
        await ready(pilot)
        await settled(pilot, "1,260.00 USD Managed endpoint protection 90 sensors at 14.00 USD")
        await settled(pilot, "1.00 USD Outputs 4 GB at 0.25 USD")
        await settled(pilot, "1,511.00 USD total")
        # 90 x 2.90, 4 GB at 15 cents, 4 blocks of evaluations; an hour and a half at 65 dollars.
        await settled(pilot, "1,151.86 USD margin, 76.2 %: less 261.64 USD of the vendor")
        await settled(pilot, "97.50 USD of 1 h 30 min logged")


@pytest.mark.parametrize(
    ("cents", "words"),
    [(26_164, "the invoice is as by contract and usage"),
     (26_464, "the invoice is 3.00 USD more than by contract and usage"),
     (26_064, "the invoice is 1.00 USD less than by contract and usage")],
)  # fmt: skip
async def test_an_invoice_that_is_not_as_expected_is_said_so(charged_store, cents, words):
    with charged_store.writing() as c:
        billingwork.put_invoice(c, oid_of(0), "2026-10", "read", currency="USD", cents=cents, now=NOW)
    host = Host(charged_store, Billing)
    async with host.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await settled(pilot, words)
        await settled(pilot, "of the vendor, by its invoice")


async def test_who_is_lacking_says_why(charged_store):
    host = Host(charged_store, Billing)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("slash", *"is:lacking", "enter")
        await settled(pilot, "Usage could not be read: This key may not read it.")
        assert host.view.table.current.name == "Delta Ltd"
        await pilot.press("q")
        await until(pilot, lambda: host.view.filter_line == "")


async def test_months_are_gone_through_and_the_one_that_goes_on_says_so(charged_store):
    host = Host(charged_store, Billing)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("right_square_bracket")
        await settled(pilot, "November 2026")
        await settled(pilot, "the month is not over; 4 of 5 organizations complete")
        await pilot.press("right_square_bracket")
        await settled(pilot, "This month has not begun.")
        await pilot.press("left_square_bracket", "left_square_bracket")
        await settled(pilot, "September 2026")
        await settled(pilot, "0 of 5 organizations complete")


async def test_usage_has_the_fullest_first_and_its_days_as_a_plot(charged_store):
    host = Host(charged_store, Billing)
    async with host.run_test(size=(80, 30)) as pilot:
        await ready(pilot)
        await pilot.press("v")
        await settled(pilot, "1 full, 1 full within 30 days, sensors turned away: 1 (1 of 5 logs read)")
        await settled(pilot, "4 of 5 organizations told every day; lacking: Delta Ltd")
        first = host.view.quotas.current
        assert (first.name, first.days_left) == ("Église Saint-Roch", 0)
        await settled(pilot, "quota 110 of 100 weighted sensors, 110 %;")
        await pilot.press("slash", *"is:away", "enter")
        await settled(pilot, "away 1 times in 30 days a sensor was sent away")
        await settled(pilot, "weights windows 60 x 1, chrome 100 x 0.1")
        await pilot.press("q", "q")
        await until(pilot, lambda: not host.view._usage)
        await pilot.press("q")
        assert host.asked == [Back()]


async def test_usage_that_is_still_being_read_is_no_filter_that_nothing_matches(charged_store, monkeypatch):
    free = threading.Event()

    def slow(*given, **more):
        assert free.wait(20)
        return billing.used(*given, **more)

    monkeypatch.setattr("screens.billing.used", slow)
    host = Host(charged_store, Billing)
    async with host.run_test(size=(80, 30)) as pilot:
        await ready(pilot)
        await pilot.press("v")
        await settled(pilot, "Reading the store.")
        assert "Nothing matches" not in words(host)
        free.set()
        await settled(pilot, "1 full, 1 full within 30 days")


async def test_usage_of_which_days_are_lacking_is_at_least_what_is_told_and_more_kinds_are_counted(
    charged_store,
):
    with charged_store.writing() as c:
        table = models.Usage.__table__
        c.execute(table.delete().where(table.c.oid == oid_of(0), table.c.day == "2026-10-07"))
        parts = {f"kind{number}": {"count": 9 - number, "weight": 1.0} for number in range(8)}
        billingwork.put_quota(c, oid_of(0), 100, 71.0, parts, now=NOW + DAY)
    host = Host(charged_store, Billing)
    async with host.run_test(size=(80, 30)) as pilot:
        await ready(pilot)
        await pilot.press("v", "slash", *"acme", "enter")
        await settled(pilot, "told of 30 of 31 days")
        assert re.search(r"output_bytes_tx +at least 3,000,000,000  #+", text_of(host))
        await settled(pilot, "kind5 4 x 1, and 2 more")


async def test_of_usage_that_was_never_read_no_age_is_said(charged_store):
    with charged_store.writing() as c:
        table = models.SyncState.__table__
        c.execute(table.delete().where(table.c.subject == "usage"))
    host = Host(charged_store, Billing)
    async with host.run_test(size=(80, 30)) as pilot:
        await ready(pilot)
        await settled(pilot, "; usage was never read")


async def test_the_keys_ask_for_what_they_say(charged_store):
    host = Host(charged_store, Billing, scope=Scope("gold", "Gold"))
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert len(host.view._found.statement.customers) == 2
        await pilot.press("e", "I", "t")
        assert host.asked == [
            ExportStatement("2026-10", "gold"), ReadInvoices("2026-10", "gold"), ShowOrganization(oid_of(0)),
        ]  # fmt: skip


async def test_what_cannot_be_done_says_why(charged_store):
    host = Host(charged_store, Billing)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("right_square_bracket")
        await settled(pilot, "November 2026")
        await pilot.press("I")
        await settled(pilot, "This month is not over; LimaCharlie makes its invoice then.")
        host.context.writable = False
        await pilot.press("I")
        await settled(pilot, "This console is read-only")
        assert host.asked == []


async def test_without_a_price_book_usage_is_shown_and_what_to_do(filled_store):
    charge(filled_store, book="")
    host = Host(filled_store, Billing)
    async with host.run_test(size=(100, 24)) as pilot:
        await ready(pilot)
        await settled(pilot, "No price book holds for October 2026: `limegrove billing prices example`")
        assert host.view.quotas.current is not None
        await pilot.press("e")
        await settled(pilot, "There is no statement to write")
        await pilot.press("v")
        await settled(pilot, "There is no price book")
        assert host.asked == []


async def test_a_price_book_that_comes_meanwhile_is_shown_at_once(filled_store):
    charge(filled_store, book="")
    host = Host(filled_store, Billing)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        with filled_store.writing() as c:
            billingwork.put_book(c, TEXT.encode(), by="dana", actor="dana@host", now=NOW)
        await settled(pilot, "1,511.00 USD")


async def test_a_strangers_name_is_text_and_nothing_else(filled_store):
    charge(filled_store, name=HOSTILE)
    for size in ((80, 24), (160, 48)):
        host = Host(filled_store, Billing)
        async with host.run_test(size=size) as pilot:
            await ready(pilot)
            await pilot.press("v", "v", "enter", "enter")
            await still(pilot)
            assert "\\x1b" in text_of(host)
            assert host.guard.hits == 0


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
async def test_the_detail_of_an_organization_has_its_quota_and_what_it_is_charged(charged_store, size):
    host = Host(charged_store, Organizations)
    async with host.run_test(size=size) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await until(pilot, lambda: host.view.table.go("customer-0") or host.view.table.node is not None)
        await still(pilot)
        for _ in TABS:
            if "[Usage]" in text_of(host):
                break
            await pilot.press("right_square_bracket")
            await still(pilot)
        await settled(pilot, "quota 70 of 100 weighted sensors, 70 %")
        await settled(pilot, "October 2026: 1,511.00 USD by gold (not an")
        assert host.guard.hits == 0


async def test_a_long_name_keeps_its_end_which_tells_it_from_others(filled_store):
    charge(filled_store, name="Northern Lights Veterinary Hospital Group, Oslo Branch")
    host = Host(filled_store, Billing)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        (row,) = [each for each in text_of(host).splitlines() if "Branch" in each and "/" in each]
        assert "North" in row
        await pilot.press("v")
        await settled(pilot, "sensors turned away")
        assert any("Branch" in each and "~" in each for each in text_of(host).splitlines()[4:12])


def test_an_organization_that_nobody_knows_has_no_usage(filled_store):
    with filled_store.reader.reading() as c:
        assert usage.read(c, "nobody", NOW) is None
        assert usage.read(c, oid_of(0), NOW).charged is None


class BrokenReader:
    """A store whose disk went away."""

    def reading(self):
        raise OSError("the disk is gone")


async def test_a_store_that_cannot_be_read_says_so(filled_store):
    host = Host(None, Billing, reader=BrokenReader())
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "failed")
        await settled(pilot, "the disk is gone")


async def test_nobody_at_all_is_an_empty_look(empty_store):
    host = Host(empty_store, Billing)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "empty")


def test_a_filter_line_that_means_nothing_is_refused():
    assert parse("plan:gold is:lacking acme").words == ("acme",)
    with pytest.raises(ValueError, match="lacking, full, away"):
        parse("is:late")


@pytest.mark.parametrize(("size", "name"), [((80, 24), "80"), ((160, 48), "160")])
def test_picture_of_charges(charged_store, snap_compare, size, name):
    """Total, margin and whom they lack above; the lines of the customer under the cursor."""
    host = Host(charged_store, Billing)
    assert snap_compare(host, terminal_size=size, run_before=ready)


def test_picture_of_usage(charged_store, snap_compare):
    """The fullest quota first, with days until full and sensors turned away."""
    host = Host(charged_store, Billing)

    async def usage(pilot) -> None:
        await ready(pilot)
        await pilot.press("v")
        await settled(pilot, "full within 30 days")
        await still(pilot)

    assert snap_compare(host, terminal_size=(80, 24), run_before=usage)
