"""Statements, usage and quotas out of a store: over a thousand organizations to the cent, by a second calculation."""

import json
import random
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from sqlalchemy import insert

from store import billingwork, ingest, models
from store.billing import MINIMUM
from store.pricebook import PriceBookError, read_pricebook
from store.queries import billing
from store.queries.billing import (
    book_for,
    books,
    comparisons,
    last_month,
    seconds_logged,
    statement,
    used,
)
from store.reports import periods
from store.reports.customer import customer
from store.tree import TreeNode, replace_tree
from tests.helpers.charging import Customer, lines_of, totals_of
from tests.helpers.pricebooks import written
from tests.helpers.screens import NOW, oid_of

MONTH = "2026-10"
DAY = 86_400_000

BOOK = {
    "version": 1,
    "name": "Test prices",
    "currency": "EUR",
    "plans": {
        "gold": {
            "minimum": 40_000,
            "items": [
                {"item": "Sensors", "metric": "sensor_retained", "pricing": "graduated", "markup": 250,
                 "tiers": [{"from": 1, "to": 50, "cents": 1399}, {"from": 51, "to": 200, "cents": 1151},
                           {"from": 201, "cents": 907}]},
                {"item": "Outputs", "metric": "output_bytes_tx", "per": 10**9, "cents": 23, "minimum": 501},
                {"item": "Passed on", "vendor": "replay-evals", "markup": 1511},
            ],
        },
        "silver": {
            "currency": "CHF",
            "items": [
                {"item": "Sensors", "metric": "sensor_retained", "measure": "average", "blocks": "exact",
                 "pricing": "volume", "tiers": [{"from": 1, "to": 100, "cents": 1100}, {"from": 101, "cents": 951}]},
                {"item": "Fee", "metric": "organization", "cents": 9_999},
                {"item": "Time", "metric": "analyst_seconds", "per": 900, "cents": 3_333},
            ],
        },
        "bronze": {"currency": "JPY", "items": [
            {"item": "Sensors", "metric": "sensor_retained", "partial": "whole", "cents": 777},
            {"item": "Everything of the vendor", "vendor": "*", "markup": -333},
        ]},
    },
    "apply": [
        {"organization": oid_of(7), "plan": "none"},
        {"label": "tier=gold", "plan": "gold"},
        {"label": "tier=silver", "plan": "silver"},
        {"node": "bronze", "plan": "bronze"},
    ],
    "costs": {"analyst_hour": 6_501, "contract": [
        {"sku": "sensor-month", "metric": "sensor_retained", "cents": 250, "currency": "USD"},
        {"sku": "replay-evals", "metric": "replay_num_evals", "per": 1000, "cents": 1, "currency": "USD"},
    ]},
}  # fmt: skip


@pytest.fixture
def lite(a_store):
    """For rules to which the engine does not matter."""
    return a_store()


def day(number):
    return f"{MONTH}-{number:02d}"


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def provider(store, number, *, seed=20_261_128):
    """So many organizations of every kind, and the same as the oracle takes them."""
    chance = random.Random(seed)
    tiers = ["gold", "silver", "bronze", "elsewhere"]
    nodes = [TreeNode("root", None, "Provider")] + [
        TreeNode(tier, "root", tier, labels={"tier": tier}) for tier in tiers
    ]
    people, listed, usage, invoices, events = [], [], [], [], []
    created, gone = {}, {}
    for place in range(number):
        oid, tier = oid_of(place), tiers[chance.choice((0, 0, 1, 1, 2, 2, 2, 3))]
        first = chance.choice((1, 1, 1, 1, 9, 17))
        last = chance.choice((31, 31, 31, 31, 20, 28))
        parameters = {}
        if first > 1:
            if chance.random() < 0.5:
                parameters["billing_from"] = day(first)
            else:
                created[oid] = at(day(first)) // 1000 + 4_000
        if last < 31:
            if chance.random() < 0.5:
                parameters["billing_until"] = day(last)
            else:
                gone[oid] = at(day(last)) + 7_000_000
        nodes.append(TreeNode(f"n{place}", tier, f"Customer {place}", oid=oid, parameters=parameters))
        listed.append({"oid": oid, "name": f"Customer {place}", "region": "eu", "sensor_quota": 100})
        told = place % 50 != 13
        one = Customer(
            oid, {"tier": tier}, {"root", tier, f"n{place}"}, days=last - first + 1, told=told,
            usage={"sensor_retained": [], "output_bytes_tx": [], "replay_num_evals": []} if told else {},
        )  # fmt: skip
        size = chance.choice((3, 49, 50, 51, 100, 101, 200, 201, 300))
        # Beside the month, and beside the customer's own days, there is usage that nobody is charged for.
        for number_ in range(1, 32) if told else ():
            figures = {
                "sensor_retained": size + chance.randrange(3), "output_bytes_tx": chance.randrange(10**9),
                "replay_num_evals": chance.randrange(2000),
            }  # fmt: skip
            for metric, value in figures.items():
                usage.append({"oid": oid, "day": day(number_), "metric": metric, "value": float(value)})
                if first <= number_ <= last:
                    one.usage[metric].append(value)
        if told:
            usage.append({"oid": oid, "day": "2026-11-01", "metric": "sensor_retained", "value": 10.0**6})
        if place % 3:
            one.invoice = [
                ("sensor-month", chance.randrange(10**6), "USD"), ("replay-evals", chance.randrange(500), "USD"),
                ("support", -chance.randrange(300), "EUR"),
            ]  # fmt: skip
            invoices.append((oid, one.invoice))
        if place % 11 == 0:
            one.seconds = chance.randrange(1, 9_000)
            events.append((oid, one.seconds))
        people.append(one)
    with store.writing() as c:
        ingest.put_organizations(c, listed, complete=True, now=NOW - 90 * DAY)
        replace_tree(c, nodes)
        table = models.Organization.__table__
        for oid, seconds in created.items():
            ingest.put_organization_facts(c, oid, details={"created": seconds})
        for oid, moment in gone.items():
            c.execute(table.update().where(table.c.oid == oid).values(gone_at=moment))
        for start in range(0, len(usage), 5_000):
            c.execute(insert(models.Usage.__table__), usage[start : start + 5_000])
        for one in people:
            if one.told:
                ingest.put_sync_state(c, one.oid, "usage", checked_at=NOW - 7_000, attempted_at=NOW)
        for oid, lines in invoices:
            billingwork.put_invoice(
                c, oid, MONTH, "read", currency="USD", cents=sum(cents for _, cents, code in lines if code == "USD"),
                lines=[{"description": sku, "sku": sku, "quantity": 1, "cents": cents, "currency": code}
                       for sku, cents, code in lines],
                now=NOW,
            )  # fmt: skip
        for place, (oid, seconds) in enumerate(events):
            c.execute(
                insert(models.CaseEvent.__table__).values(
                    oid=oid, case_number=3, event_id=f"e{place}", time=at(day(5)), action="whatever", by="mk",
                    details={"billable_seconds": seconds},
                )
            )  # fmt: skip
    return people


def put_book(store, book=BOOK):
    with store.writing() as c:
        return billingwork.put_book(c, written(book).encode(), by="dana", actor="dana@host", now=NOW).book


def test_the_statement_of_a_thousand_organizations_balances_to_the_cent_with_its_lines_and_a_second_calculation(
    store,
):
    people = provider(store, 1_000)
    book = put_book(store)
    with store.reader.reading() as c:
        found = statement(c, book, MONTH, now=NOW)
    assert len(found.customers) == 1_000
    expected = {one.oid: lines_of(BOOK, one) for one in people}
    for each in found.customers:
        lines = [(line.item, line.currency, line.cents) for line in each.lines]
        assert lines == (expected[each.oid] or []), each
        assert (each.state == "missing") is (expected[each.oid] is None)
    # Totals against lines, customers, items, and the second calculation.
    oracle = totals_of(BOOK, people)
    assert found.totals == oracle
    assert set(oracle) == {"EUR", "CHF", "JPY", "USD"}
    for currency, cents in oracle.items():
        assert cents == sum(line.cents for line in found.lines if line.currency == currency)
        assert cents == sum(each.totals.get(currency, 0) for each in found.customers)
        assert cents == sum(part for (_, code), part in found.by_item().items() if code == currency)
    assert sum(line.item == MINIMUM for line in found.lines) > 10
    assert found.closed
    # What is lacking is named: no plan, no usage, no invoice to pass on.
    lacking = {each.oid: each for each in found.lacking}
    for one in people:
        plan = next((rule["plan"] for rule in BOOK["apply"] if rule.get("organization") == one.oid), None)
        plan = plan or {"gold": "gold", "silver": "silver", "bronze": "bronze"}.get(one.labels["tier"])
        if plan is None:
            assert lacking[one.oid].notes == ("No plan of the price book is for it.",)
        elif plan != "none":
            short = not one.told or (one.invoice is None and plan != "silver")
            assert (one.oid in lacking) is short, one
    assert found.complete + len(found.lacking) == 1_000


def test_margins_of_all_are_those_of_each_and_rest_on_invoices(lite):
    people = provider(lite, 60)
    book = put_book(lite)
    with lite.reader.reading() as c:
        found = statement(c, book, MONTH, now=NOW)
    by_oid = {one.oid: one for one in people}
    for each in found.customers:
        one, left = by_oid[each.oid], found.margin(each)
        assert each.cost_from == ("invoice" if one.invoice is not None else "contract" if one.told else "")
        assert each.seconds == one.seconds
        if left.cents is not None:
            assert left.cents == left.revenue - left.vendor - left.time
    # Charged in euros and francs, paid for in dollars: nothing is left that could be told.
    assert found.margins() == {} or set(found.margins()) <= {"EUR", "CHF", "JPY", "USD"}


def test_a_scope_and_an_organization_are_parts_of_the_whole(store):
    provider(store, 40)
    book = put_book(store)
    with store.reader.reading() as c:
        whole = statement(c, book, MONTH, now=NOW)
        parts = [
            statement(c, book, MONTH, scope=tier, now=NOW)
            for tier in ("gold", "silver", "bronze", "elsewhere")
        ]
        one = statement(c, book, MONTH, oid=oid_of(3), now=NOW)
    assert sum(len(part.customers) for part in parts) == len(whole.customers) == 40
    for currency, cents in whole.totals.items():
        assert cents == sum(part.totals.get(currency, 0) for part in parts)
    assert one.customers == tuple(each for each in whole.customers if each.oid == oid_of(3))


def organization(store, **more):
    """One organization with sensors told on every day of October."""
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": oid_of(0), "name": "Acme", "sensor_quota": 50}], complete=True, now=NOW - 90 * DAY
        )
        replace_tree(
            c, [TreeNode("root", None, "Provider"), TreeNode("acme", "root", "Acme", oid=oid_of(0), **more)]
        )
        days = {day(number): {"sensor_retained": 10} for number in range(1, 32)}
        ingest.put_usage(c, oid_of(0), {"usage": days})
        ingest.put_sync_state(c, oid_of(0), "usage", checked_at=NOW, attempted_at=NOW)


SIMPLE = {
    "version": 1, "name": "Simple", "currency": "EUR",
    "plans": {"all": {"items": [{"item": "Sensors", "metric": "sensor_retained", "cents": 310}]}},
    "apply": [{"plan": "all"}],
}  # fmt: skip


def one_of(store, month=MONTH, now=NOW, data=SIMPLE):
    book = read_pricebook(written(data))
    with store.reader.reading() as c:
        return statement(c, book, month, now=now)


@pytest.mark.parametrize(
    ("parameters", "days", "cents"),
    [
        ({}, 31, 3100),
        ({"billing_from": "2026-10-16"}, 16, 1600),
        ({"billing_until": "2026-10-10"}, 10, 1000),
        ({"billing_from": "2026-10-02", "billing_until": "2026-10-02"}, 1, 100),
        ({"billing_from": "2025-01-01", "billing_until": "2027-01-01"}, 31, 3100),
    ],
)
def test_a_month_is_charged_by_the_days_on_which_it_was_a_customer(lite, parameters, days, cents):
    organization(lite, parameters=parameters)
    (each,) = one_of(lite).customers
    assert (each.days, each.of_days, each.state) == (days, 31, "complete")
    assert each.totals == {"EUR": cents}


def test_who_was_no_customer_in_the_month_is_not_in_it(lite):
    organization(lite, parameters={"billing_from": "2026-11-01"})
    assert one_of(lite).customers == ()


def test_a_day_that_is_none_is_passed_over_and_said(lite):
    organization(lite, parameters={"billing_from": "16.10.2026"})
    (each,) = one_of(lite).customers
    assert each.days == 31
    assert each.notes == (
        "The tree's billing_from is passed over: '16.10.2026' is no day; one is written as 2026-10-31.",
    )


@pytest.mark.parametrize("month", ["2026-09", "2026-10", "2026-12"])
def test_who_ends_before_it_begins_is_named_in_every_month_and_counted(lite, month):
    organization(lite, parameters={"billing_from": "2026-11-05", "billing_until": "2026-10-10"})
    found = one_of(lite, month)
    (each,) = found.customers
    assert (each.state, each.lines, each.days) == ("partly", (), 0)
    assert each.notes == ("It ends on 2026-10-10, before it begins on 2026-11-05.",)
    assert found.n_of_m.endswith("0 of 1 organizations complete; lacking: Acme (partly)")
    assert (found.margin(each).cents, each.expected) == (None, None)


@pytest.mark.parametrize("more", [{}, {"billing_until": "10.10.2026"}])
def test_who_was_gone_before_the_day_from_which_it_is_charged_never_was_a_customer(lite, more):
    organization(lite, parameters={"billing_from": "2026-11-05", **more})
    with lite.writing() as c:
        c.execute(models.Organization.__table__.update().values(gone_at=at("2026-10-10")))
    assert one_of(lite).customers == ()


@pytest.mark.parametrize("item", [{"measure": "peak"}, {"measure": "last"}])
@pytest.mark.parametrize("parameters", [{}, {"billing_from": "2026-10-03"}])
def test_what_today_has_so_far_hides_no_day_that_is_lacking(lite, parameters, item):
    organization(lite, parameters=parameters)
    with lite.writing() as c:
        table = models.Usage.__table__
        c.execute(table.delete().where((table.c.day == day(5)) | (table.c.day > day(20))))
    simple = {"item": "Sensors", "metric": "sensor_retained", "cents": 310, **item}
    data = {**SIMPLE, "plans": {"all": {"items": [simple]}}}
    (each,) = one_of(lite, now=at("2026-10-20") + 3_600_000, data=data).customers
    told, of = (16, 17) if parameters else (18, 19)
    assert each.notes == (f"Usage is told of {told} of {of} days; the others count as none.",)


def test_days_that_were_not_told_and_a_month_that_nobody_tells_any_more_are_named(lite):
    organization(lite)
    with lite.writing() as c:
        table = models.Usage.__table__
        c.execute(table.delete().where(table.c.day == day(5)))
    (each,) = one_of(lite).customers
    assert each.notes == ("Usage is told of 30 of 31 days; the others count as none.",)
    (before,) = one_of(lite, "2026-06").customers
    assert before.notes == ("No day of 2026-06 is told any more, or yet.",)
    assert before.lines == ()


def test_a_month_that_is_not_over_is_charged_so_far_and_says_so(lite):
    organization(lite)
    found = one_of(lite, now=at("2026-10-20") + 3_600_000)
    assert not found.closed
    assert found.n_of_m.startswith("the month is not over; 1 of 1")


def test_usage_that_could_not_be_read_is_named_with_its_reason(lite):
    organization(lite)
    with lite.writing() as c:
        table = models.Usage.__table__
        c.execute(table.delete())
        ingest.put_sync_state(
            c, oid_of(0), "usage", attempted_at=NOW, failure="denied", reason="This key may not."
        )
    (each,) = one_of(lite).customers
    assert each.notes == ("Usage could not be read: This key may not.",)


def test_fractions_of_a_metric_are_charged_exactly(lite):
    organization(lite)
    with lite.writing() as c:
        table = models.Usage.__table__
        c.execute(table.update().values(value=0.5))
    item = {"item": "Sensors", "metric": "sensor_retained", "measure": "sum", "blocks": "exact", "cents": 3}
    (each,) = one_of(lite, data={**SIMPLE, "plans": {"all": {"items": [item]}}}).customers
    assert each.lines[0].units == Fraction(31, 2)
    assert each.totals == {"EUR": 47}  # 46.5, a half away from zero


def test_ten_days_of_a_tenth_are_one_unit(lite):
    organization(lite, parameters={"billing_until": day(10)})
    with lite.writing() as c:
        c.execute(models.Usage.__table__.update().values(value=0.1))
    item = {"item": "Sensors", "metric": "sensor_retained", "measure": "sum", "cents": 3}
    (each,) = one_of(lite, data={**SIMPLE, "plans": {"all": {"items": [item]}}}).customers
    assert (each.lines[0].quantity, each.lines[0].units) == (1, 1)


@pytest.mark.parametrize(
    ("measure", "values", "units"),
    [
        ("sum", [2.0**53] + [1.0] * 30, 2**53 + 30),  # more than a database adds up exactly
        ("sum", [0.25] * 30 + [0.5], 8),
        ("average", [3.0] * 30 + [4.0], 4),
        ("last", [3.0] * 30 + [4.0], 4),
        ("peak", [3.0] * 15 + [9.0] + [4.0] * 15, 9),
    ],
)
def test_figures_are_taken_together_exactly_on_both_engines(store, measure, values, units):
    organization(store)
    with store.writing() as c:
        table = models.Usage.__table__
        for number, value in enumerate(values, 1):
            c.execute(table.update().where(table.c.day == day(number)).values(value=value))
    item = {"item": "Sensors", "metric": "sensor_retained", "measure": measure, "cents": 1}
    (each,) = one_of(store, data={**SIMPLE, "plans": {"all": {"items": [item]}}}).customers
    assert (each.lines[0].units, each.state) == (units, "complete")


# Price books in the store


def test_a_book_is_kept_once_byte_for_byte_with_an_entry_in_the_journal(store):
    body = written(SIMPLE).encode() + b"# a comment stays\n"
    with store.writing() as c:
        first = billingwork.put_book(c, body, by="dana", actor="dana@host", now=NOW)
        again = billingwork.put_book(c, body, by="kim", actor="kim@host", now=NOW + 1)
        assert (first.new, again.new, again.id) == (True, False, first.id)
        assert billing.body_of(c, first.id) == body
        journal = models.Journal.__table__
        (entry,) = c.execute(journal.select()).all()
    assert (entry.action, entry.target) == ("billing.prices", "Simple")
    assert entry.detail["hash"] == first.book.digest


def test_a_wrong_book_is_not_kept(lite):
    organization(lite)
    wrong = json.loads(json.dumps(SIMPLE))
    wrong["apply"].insert(0, {"organization": oid_of(99), "plan": "all"})
    with pytest.raises(PriceBookError, match="No organization with the oid"), lite.writing() as c:
        billingwork.put_book(c, written(wrong).encode(), by="dana", actor="dana@host", now=NOW)
    with lite.reader.reading() as c:
        assert books(c) == []


def test_each_month_goes_by_the_newest_book_that_holds_then(lite):
    put_book(lite, {**SIMPLE, "name": "Always"})
    put_book(lite, {**SIMPLE, "name": "Summer", "from": "2026-06", "until": "2026-08"})
    with lite.reader.reading() as c:
        assert [each.name for each in books(c)] == ["Summer", "Always"]
        assert [book_for(c, month).name for month in ("2026-05", "2026-07", "2026-10")] == [
            "Always", "Summer", "Always",
        ]  # fmt: skip


def test_without_a_book_there_is_none(lite):
    with lite.reader.reading() as c:
        assert book_for(c, MONTH) is None


# Invoices


def test_an_invoice_that_was_read_stays_when_it_cannot_be_read_again(store):
    with store.writing() as c:
        billingwork.put_invoice(c, oid_of(0), MONTH, "read", currency="USD", cents=7, now=1)
        assert billingwork.put_invoice(c, oid_of(0), MONTH, "failed", reason="denied", now=2) == 0
        assert billingwork.put_invoice(c, oid_of(0), MONTH, "none", reason="gone", now=2) == 0
        assert billing.invoices_of(c, MONTH)[oid_of(0)].cents == 7
        assert billingwork.put_invoice(c, oid_of(0), MONTH, "read", currency="USD", cents=9, now=3) == 1
        assert billing.invoices_of(c, MONTH)[oid_of(0)].cents == 9


def test_invoices_are_compared_over_all_organizations(store):
    people = provider(store, 30)
    book = put_book(store)
    with store.reader.reading() as c:
        found = {each.oid: each for each in comparisons(c, book, MONTH, now=NOW)}
    for one in people:
        each = found[one.oid]
        if one.invoice is None:
            assert each.state == "not read"
        elif not one.told:
            assert each.state == "no usage"
        else:
            sensors = next(line for line in each.lines if line.sku == "sensor-month")
            assert sensors.expected == 250 * max(one.usage["sensor_retained"])
            assert (
                sensors.difference
                == dict((sku, cents) for sku, cents, _ in one.invoice)["sensor-month"] - sensors.expected
            )


# Time that was logged


def test_time_is_what_histories_tell_and_what_was_logged_here_since(store):
    def event(number, name, seconds, moment):
        return {
            "oid": oid_of(0), "case_number": number, "event_id": name, "time": moment, "action": "time_logged",
            "by": "mk", "details": {"billable_seconds": seconds},
        }  # fmt: skip

    def edit(number, seconds, moment, state=2):
        return {
            "oid": oid_of(0), "case_number": number, "what": "time", "wanted": {"billable_seconds": seconds},
            "seen": {}, "state": state, "reason": "", "found": {}, "by": "mk", "at": moment, "holder": "",
            "finished_at": moment,
        }  # fmt: skip

    def read(number, moment):
        return {"oid": oid_of(0), "case_number": number, "read_at": moment, "links": -1, "agreed": ""}

    early, late = at(day(3)), at(day(9))
    with store.writing() as c:
        c.execute(
            insert(models.CaseEvent.__table__),
            [
                event(1, "a", 100, early), event(1, "b", 50, at("2026-09-30")), event(-4, "c", 7, early),
                {**event(1, "d", 0, early), "details": {"text": "billable_seconds"}},
            ],
        )  # fmt: skip
        c.execute(insert(models.CaseReading.__table__), [read(1, at(day(5))), read(2, at(day(5)))])
        c.execute(
            insert(models.CaseEdit.__table__),
            [
                edit(1, 100, early),  # the history that was read afterwards tells it
                edit(1, 30, late),  # logged since
                edit(2, 9, early),  # a history that tells of no time at all
                edit(3, 1, early, state=4),  # refused
                edit(-4, 7, early),  # a case that is only here has it as an event
                edit(2, 500, at("2026-11-01")),
            ],
        )
        assert seconds_logged(c, MONTH) == {oid_of(0): 100 + 7 + 30 + 9}
        assert seconds_logged(c, "2026-09") == {oid_of(0): 50}


# Usage and quotas


def test_usage_says_how_full_a_quota_is_what_was_told_and_who_was_turned_away(store):
    organization(store)
    with store.writing() as c:
        ingest.put_organization_facts(c, oid_of(0), quota=100, quota_used=80.0)
        breakdown = {"windows": {"count": 50, "weight": 1.0}, "chrome": {"n": 300, "weight": 0.1}, "odd": 3}
        billingwork.put_quota(c, oid_of(0), 100, 80.0, breakdown, now=NOW)
        ingest.put_usage(
            c, oid_of(0),
            {
                f"2026-{11 if number > 31 else 10}-{number - 31 if number > 31 else number:02d}": {
                    "peak_sensors": 50 + number
                }
                for number in range(1, 55)
            },
        )  # fmt: skip
    with store.reader.reading() as c:
        found = used(c, first="2026-11-01", last="2026-11-23", now=NOW)
    (row,) = found.rows
    assert (row.told, found.days, found.told) == (23, 23, 1)
    assert row.metrics == {"peak_sensors": 104}
    # 80 of 104 sensors count, and 104 grow by one a day.
    assert row.growth == pytest.approx(80 / 104)
    assert row.days_left == 26
    assert row.percent == 80
    assert row.breakdown == (("windows", 50, 1.0), ("chrome", 300, 0.1))
    assert row.turned_away is None, "its audit log was never read"


def test_only_days_on_which_it_was_a_customer_and_that_are_over_count_as_told(lite):
    organization(lite, parameters={"billing_from": day(4)})
    with lite.writing() as c:
        table = models.Usage.__table__
        c.execute(table.delete().where((table.c.day == day(7)) | (table.c.day > day(21))))
    with lite.reader.reading() as c:
        found = used(c, first=day(1), last=day(31), now=at("2026-10-21") + 3_600_000)
    (row,) = found.rows
    assert (row.told, row.expected) == (16, 17)
    assert found.lacking == (row,)


def test_sensors_turned_away_are_counted_in_the_audit_log(store):
    organization(store)
    with store.writing() as c:
        ingest.put_audit(
            c, oid_of(0),
            [
                {"oid": oid_of(0), "time": NOW - age * DAY, "etype": kind, "ident": "system", "msg": str(age)}
                for age, kind in ((1, "sensor_over_quota"), (29, "sensor_over_quota"), (31, "sensor_over_quota"),
                                  (2, "enrollment"))
            ],
        )  # fmt: skip
        ingest.put_sync_state(c, oid_of(0), "audit", checked_at=NOW, attempted_at=NOW)
    with store.reader.reading() as c:
        (row,) = used(c, first="2026-10-01", last="2026-10-31", now=NOW).rows
    assert row.turned_away == 2


def test_a_quota_is_noted_on_the_days_on_which_it_changes_and_its_own_past_tells_the_trend(store):
    organization(store)
    with store.writing() as c:
        for age in range(40, -1, -1):
            billingwork.put_quota(c, oid_of(0), 100, float(60 - age // 2), {}, now=NOW - age * DAY)
        table = models.QuotaReading.__table__
        assert len(c.execute(table.select()).all()) == 21
        assert billingwork.put_quota(c, oid_of(0), 100, 60.0, {}, now=NOW + 1000) == 0
        ingest.put_organization_facts(c, oid_of(0), quota=100, quota_used=60.0)
    with store.reader.reading() as c:
        (row,) = used(c, first="2026-10-01", last="2026-10-31", now=NOW).rows
    assert row.growth == pytest.approx(0.5, rel=0.05)
    assert 80 <= row.days_left <= 84


def test_the_last_month_is_the_one_that_is_over():
    assert last_month(NOW) == "2026-10"
    assert last_month(at("2026-01-01")) == "2025-12"


@pytest.mark.parametrize(
    "metric", ["peak_sensors", "sensor_retained", "peak_of_what_is_new", "sensor_events", "new"]
)
def test_days_of_a_metric_are_put_together_alike_in_usage_in_a_report_and_in_a_price_book(lite, metric):
    organization(lite)
    with lite.writing() as c:
        ingest.put_usage(c, oid_of(0), {day(1): {metric: 10**6}, day(2): {metric: 10**6}})
        ingest.put_sync_state(c, oid_of(0), "usage", checked_at=NOW, attempted_at=NOW)
    with lite.reader.reading() as c:
        (row,) = used(c, first=day(1), last=day(2), now=NOW).rows
        told = dict(customer(c, oid_of(0), periods.days(day(1), day(2)), now=NOW).usage.metrics)[metric]
    book = read_pricebook(
        written({**SIMPLE, "plans": {"all": {"items": [{"item": "X", "metric": metric, "cents": 1}]}}}),
        metrics={metric},
    )
    assert (
        row.metrics[metric]
        == told
        == (10**6 if metric.startswith("peak") or metric == "sensor_retained" else 2 * 10**6)
    )
    assert (book.plans["all"].items[0].measure == "sum") == (told == 2 * 10**6)
