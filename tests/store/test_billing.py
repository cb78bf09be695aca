"""What is charged, exactly: tiers, minimums, markups, parts of months, currencies, rounding; against a second
calculation over price books by chance."""

from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from store.billing import (
    MINIMUM,
    Charged,
    Facts,
    Figures,
    Invoice,
    Statement,
    VendorLine,
    charged,
    compared,
    days_until_full,
    explained,
    graduated,
    growth_a_day,
    margin,
    measured,
    number,
    passed_on,
    units_of,
    volume,
)
from store.money import digits, money, percent, rounded, share
from store.pricebook import Item, Plan, Tier, read_pricebook
from store.text import Untrusted
from tests.helpers.charging import Customer, half_up, lines_of, plan_of, totals_of
from tests.helpers.pricebooks import SKUS, TIERS, USED, books, tiers, written
from tests.helpers.soak import examples

THREE = (Tier(1, 10, 100), Tier(11, 20, 80), Tier(21, None, 50))
DAYS = tuple(f"2026-10-{day:02d}" for day in range(1, 32))


def facts(**given_):
    given_ = {
        "days": 31,
        "present": 31,
        "told": 31,
        "expected": 31,
        "first": DAYS[0],
        "last": DAYS[-1],
    } | given_
    return Facts("oid-1", Untrusted("Acme"), Untrusted("Europe/Acme"), **given_)


def usage(**metrics):
    return {name: Figures.of([Fraction(value) for value in values]) for name, values in metrics.items()}


def plan(*items, **more):
    return Plan("gold", "EUR", items, **more)


def per_unit(cents, **more):
    return Item("Sensors", "sensor_retained", "peak", tiers=(Tier(1, None, cents),), **more)


def only(found):
    (line,) = found.lines
    return line


# Prices


@pytest.mark.parametrize(
    ("units", "each", "all_alike"),
    [(0, 0, 0), (1, 100, 100), (10, 1000, 1000), (11, 1080, 880), (20, 1800, 1600), (21, 1850, 1050),
     (1000, 50_800, 50_000)],
)  # fmt: skip
def test_graduated_takes_each_unit_at_its_own_tier_and_volume_all_at_the_last(units, each, all_alike):
    assert graduated(Fraction(units), THREE) == each
    assert volume(Fraction(units), THREE) == all_alike


def test_a_part_of_a_unit_lies_in_the_tier_of_the_unit_that_it_begins():
    assert graduated(Fraction(21, 2), THREE) == 1000 + 40
    assert volume(Fraction(21, 2), THREE) == Fraction(21, 2) * 80


@settings(max_examples=examples(200), deadline=None)
@given(tiers(), st.integers(0, 60))
def test_graduated_is_what_counting_unit_by_unit_comes_to(listed, units):
    made = tuple(Tier(one["from"], one.get("to"), one["cents"]) for one in listed)
    priced = [
        next(one["cents"] for one in listed if one["from"] <= unit and unit <= one.get("to", unit))
        for unit in range(1, units + 1)
    ]
    assert graduated(Fraction(units), made) == sum(priced)
    assert volume(Fraction(units), made) == units * (priced[-1] if priced else 0)


def test_units_are_those_that_were_begun_or_exactly_the_share():
    assert units_of(Fraction(10**9 + 1), 10**9, "begun") == 2
    assert units_of(Fraction(10**9), 10**9, "begun") == 1
    assert units_of(Fraction(0), 10**9, "begun") == 0
    assert units_of(Fraction(3, 2) * 10**9, 10**9, "exact") == Fraction(3, 2)
    assert units_of(Fraction(-5), 10, "begun") == 0


def test_days_come_to_their_sum_their_largest_their_mean_or_the_last():
    days = [Fraction(3), Fraction(9), Fraction(0)]
    assert [measured(days, each) for each in ("sum", "peak", "average", "last")] == [12, 9, 4, 0]
    assert measured([], "average") == 0


@pytest.mark.parametrize(
    ("exact", "cents"),
    [(Fraction(1, 2), 1), (Fraction(-1, 2), -1), (Fraction(3, 2), 2), (Fraction(5, 2), 3), (Fraction(49, 100), 0),
     (Fraction(-49, 100), 0), (Fraction(7), 7), (Fraction(-7), -7), (Fraction(1, 3), 0), (Fraction(2, 3), 1)],
)  # fmt: skip
def test_a_half_is_rounded_away_from_zero(exact, cents):
    assert rounded(exact) == cents
    assert half_up(exact.numerator, exact.denominator) == cents


@settings(max_examples=examples(400), deadline=None)
@given(st.fractions())
@example(Fraction(10**40 + 1, 2))
def test_rounding_is_that_of_decimals(exact):
    assert rounded(exact) == half_up(exact.numerator, exact.denominator)
    assert rounded(-exact) == -rounded(exact)


def test_amounts_are_written_in_the_digits_of_their_currency():
    assert money(123450, "EUR") == "1,234.50 EUR"
    assert money(-5, "USD") == "-0.05 USD"
    assert money(1234, "JPY") == "1,234 JPY"
    assert money(1234567, "KWD") == "1,234.567 KWD"
    assert [digits(code) for code in ("EUR", "JPY", "KWD")] == [2, 0, 3]
    assert [share(points) for points in (698, 15, -45, -4, 0, 10_000)] == [
        "7.0",
        "0.2",
        "-0.5",
        "0.0",
        "0.0",
        "100.0",
    ]
    assert [share(points, 0) for points in (650, 649, -50, -49, 123_456)] == ["7", "6", "-1", "0", "1235"]
    assert share(-1234, 2) == "-12.34"
    assert [percent(points) for points in (1500, -250, 1, 0)] == ["+15 %", "-2.5 %", "+0.01 %", "+0 %"]
    assert [number(Fraction(*each)) for each in ((1234, 1), (1, 4), (1, 3), (-1, 3))] == [
        "1,234", "0.25", "~0.3333", "~-0.3333",
    ]  # fmt: skip


# A line


def test_a_part_of_a_month_takes_that_share_of_what_is_a_price_of_a_month():
    part = facts(present=17, usage=usage(sensor_retained=[40] * 17, output_bytes_tx=[5] * 17))
    assert only(charged(part, plan(per_unit(100)))).cents == rounded(Fraction(4000 * 17, 31))
    assert only(charged(part, plan(per_unit(100, partial="whole")))).cents == 4000
    fee = Item("Fee", "organization", "last", tiers=(Tier(1, None, 10_000),))
    assert only(charged(part, plan(fee))).cents == rounded(Fraction(10_000 * 17, 31))


def test_what_is_added_up_has_only_the_customers_own_days_and_is_charged_as_it_is():
    part = facts(present=17, usage=usage(output_bytes_tx=[5] * 17))
    item = Item("Bytes", "output_bytes_tx", "sum", tiers=(Tier(1, None, 3),))
    assert only(charged(part, plan(item))).cents == 17 * 5 * 3


def test_a_markup_comes_on_the_price_and_a_minimum_is_what_is_charged_at_least():
    one = facts(usage=usage(sensor_retained=[7]))
    assert only(charged(one, plan(per_unit(100, markup=1500)))).cents == 805
    assert only(charged(one, plan(per_unit(100, markup=-10_000)))).cents == 0
    assert only(charged(one, plan(per_unit(100, markup=1500, minimum=900)))).cents == 900
    half = facts(present=10, days=30, usage=usage(sensor_retained=[7]))
    assert only(charged(half, plan(per_unit(100, minimum=900)))).cents == 300
    assert only(charged(half, plan(per_unit(100, minimum=900, partial="whole")))).cents == 900


def test_a_plans_minimum_is_a_line_of_its_own_for_the_share_of_the_month():
    one = facts(present=10, days=30, usage=usage(sensor_retained=[3]))
    found = charged(one, plan(per_unit(100), minimum=6000))
    assert [(line.item, line.cents) for line in found.lines] == [("Sensors", 100), (MINIMUM, 1900)]
    assert found.totals == {"EUR": 2000}
    assert len(charged(one, plan(per_unit(100), minimum=300)).lines) == 1


def test_each_line_says_how_it_comes_to_its_cents():
    one = facts(usage=usage(sensor_retained=[25]))
    item = Item("Sensors", "sensor_retained", "peak", unit="sensors", tiers=THREE)
    assert only(charged(one, plan(item))).how == ("25 sensors: 10 at 1.00 EUR, 10 at 0.80 EUR, 5 at 0.50 EUR")
    item = Item(
        "Sensors", "sensor_retained", "peak", unit="sensors", pricing="volume", tiers=THREE, markup=1500
    )
    assert only(charged(one, plan(item))).how == "25 sensors at 0.50 EUR, +15 %"
    part = facts(present=17, usage=usage(sensor_retained=[4]))
    assert explained(per_unit(100, minimum=500), Fraction(4), part, "EUR") == (
        "4 at 1.00 EUR, at least 5.00 EUR, 17 of 31 days"
    )


def test_a_customer_without_a_plan_is_missing_and_one_with_the_plan_none_is_complete():
    assert charged(facts(), None).state == "missing"
    nobody = charged(facts(), Plan("none", "EUR", ()))
    assert (nobody.state, nobody.lines, nobody.totals) == ("complete", (), {})


def test_what_was_never_told_is_no_line_of_zero_but_named():
    found = charged(
        facts(told=0, usage_note="Usage was never read."),
        plan(per_unit(100), Item("Fee", "organization", "last", tiers=(Tier(1, None, 500),))),
    )
    assert [line.item for line in found.lines] == ["Fee"]
    assert (found.state, found.notes) == ("partly", ("Usage was never read.",))


def test_days_that_are_lacking_are_counted_and_a_fee_needs_none():
    some = facts(told=28, usage=usage(sensor_retained=[7]))
    assert charged(some, plan(per_unit(100))).notes == (
        "Usage is told of 28 of 31 days; the others count as none.",
    )
    fee = Item("Fee", "organization", "last", tiers=(Tier(1, None, 500),))
    assert charged(facts(told=0, usage_note="Usage was never read."), plan(fee)).state == "complete"


# The vendor's invoice passed on


def invoice(*lines, currency="USD", total=None, **more):
    made = tuple(
        VendorLine(Untrusted(f"{sku} described"), Untrusted(sku), Fraction(3), cents, paid_in)
        for sku, cents, paid_in in lines
    )
    cents = sum(line.cents for line in made if line.currency == currency) if total is None else total
    return Invoice("read", currency=currency, cents=cents, lines=made, **more)


def test_lines_are_passed_on_with_a_markup_the_rest_by_a_star_and_currencies_apart():
    one = facts(
        invoice=invoice(("output-gb", 333, "USD"), ("sensor-month", 1000, "USD"), ("support", 50, "EUR"))
    )
    found = charged(
        one, plan(Item("Outputs", vendor="output-gb", markup=1500), Item("Rest", vendor="*", markup=1))
    )
    assert [(line.item, line.cents, line.currency) for line in found.lines] == [
        ("Outputs", 383, "USD"), ("Rest", 1000, "USD"), ("Rest", 50, "EUR"),
    ]  # fmt: skip
    assert found.totals == {"USD": 1383, "EUR": 50}


def test_a_credit_stays_a_credit():
    assert passed_on(-1000, 1500) == -1150
    assert passed_on(-5, 1000) == -6
    one = facts(invoice=invoice(("output-gb", -40, "USD")))
    assert charged(one, plan(Item("Outputs", vendor="output-gb"))).totals == {"USD": -40}


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (None, "Outputs is lacking: the vendor's invoice was not read."),
        (Invoice("failed", Untrusted("denied")), "Outputs is lacking: the vendor's invoice was not read (denied)."),
        (Invoice("none"), "Outputs is lacking: the vendor has no invoice of this month."),
    ],
)  # fmt: skip
def test_an_invoice_that_is_not_there_is_named_and_not_taken_for_nothing(given_, words):
    found = charged(facts(invoice=given_), plan(Item("Outputs", vendor="output-gb")))
    assert (found.state, found.lines, found.notes) == ("partly", (), (words,))


CONTRACT = (
    Item("sensor-month", "sensor_retained", "peak", tiers=(Tier(1, None, 250),), partial="whole", currency="USD"),
    Item("output-gb", "output_bytes_tx", "sum", per=10**9, tiers=(Tier(1, None, 15),), partial="whole",
         currency="USD"),
)  # fmt: skip


def test_an_invoice_is_compared_line_by_line_with_usage_at_the_contracts_prices():
    one = facts(
        usage=usage(sensor_retained=[4], output_bytes_tx=[10**9, 1]),
        invoice=invoice(("sensor-month", 1250, "USD"), ("output-gb", 30, "USD"), ("support", 99, "USD"), total=1400),
    )  # fmt: skip
    found = compared(one, CONTRACT)
    assert found.state == "different"
    assert [(str(line.sku), line.word, line.difference) for line in found.lines] == [
        ("sensor-month", "more", 250), ("output-gb", "same", 0), ("support", "not expected", 99),
    ]  # fmt: skip
    assert (found.invoiced, found.expected, found.unexplained) == ({"USD": 1400}, {"USD": 1030}, 21)


def test_what_was_not_invoiced_is_a_difference_and_an_equal_invoice_is_none():
    used = usage(sensor_retained=[4], output_bytes_tx=[10**9])
    less = compared(facts(usage=used, invoice=invoice(("sensor-month", 1000, "USD"))), CONTRACT)
    assert [(str(line.sku), line.word) for line in less.lines] == [
        ("sensor-month", "same"), ("output-gb", "not invoiced"),
    ]  # fmt: skip
    same = compared(
        facts(usage=used, invoice=invoice(("sensor-month", 1000, "USD"), ("output-gb", 15, "USD"))), CONTRACT
    )
    assert same.state == "same"


def test_what_cannot_be_compared_says_why():
    assert compared(facts(), CONTRACT).state == "not read"
    assert compared(facts(invoice=Invoice("failed", Untrusted("denied"))), CONTRACT).reason == "denied"
    never = facts(invoice=invoice(), usage_note="Usage was never read.")
    assert compared(never, CONTRACT).state == "no usage"


# Margin


def test_the_margin_is_what_is_left_of_the_charge_after_vendor_and_time():
    one = facts(
        usage=usage(sensor_retained=[10]), seconds=5400,
        invoice=invoice(("sensor-month", 300, "EUR"), currency="EUR"),
    )  # fmt: skip
    found = margin(charged(one, plan(per_unit(1000))), "EUR", 6001)
    assert (found.revenue, found.vendor, found.time, found.cents) == (10_000, 300, 9002, 698)
    assert found.basis_points == 698


def test_without_an_invoice_the_contract_says_what_the_vendor_costs():
    used = facts(usage=usage(sensor_retained=[10], output_bytes_tx=[1]))
    found = charged(used, Plan("gold", "USD", (per_unit(1000),)), contract=CONTRACT)
    assert (found.cost, found.cost_from) == ({"USD": 2515}, "contract")
    assert margin(found, "USD", None).cents == 10_000 - 2515


@pytest.mark.parametrize(
    ("made", "hour", "words"),
    [
        (facts(usage=usage(sensor_retained=[1])), 100, "what the vendor charges is not known"),
        (facts(usage=usage(sensor_retained=[1]), invoice=invoice(("a", 1, "USD"))), 100,
         "the vendor charges in USD, and nothing is converted"),
        (facts(usage=usage(sensor_retained=[1]), seconds=60, invoice=invoice(currency="EUR")), None,
         "the price book does not say what an analyst's hour costs"),
    ],
)  # fmt: skip
def test_a_margin_that_cannot_be_told_is_none_and_says_why(made, hour, words):
    found = margin(charged(made, plan(per_unit(100))), "EUR", hour)
    assert (found.cents, found.basis_points, found.why) == (None, None, words)


def test_a_customer_of_which_something_is_lacking_has_no_margin_and_is_in_no_sum_of_margins():
    paid = invoice(("sensor-month", 90_000, "EUR"), currency="EUR")
    fee = Item("Fee", "organization", "last", tiers=(Tier(1, None, 1000),))
    made = charged(facts(told=0, usage_note="Usage was never read.", invoice=paid), plan(per_unit(100), fee))
    found = margin(made, "EUR", None)
    assert (made.state, found.revenue, found.vendor) == ("partly", 1000, 90_000)
    assert (found.cents, found.basis_points, found.why) == (None, None, "something of it is lacking")
    assert Statement("2026-10", "Prices", "", (made,), 0, closed=True, currency="EUR").margins() == {}


def test_of_usage_that_lacks_days_it_is_not_known_what_the_vendor_should_charge():
    some = facts(
        told=30, usage=usage(sensor_retained=[4]), invoice=invoice(("sensor-month", 1250, "USD"), currency="USD")
    )  # fmt: skip
    made = charged(some, plan(per_unit(100)), contract=CONTRACT)
    assert (made.expected, made.unexpected, made.cost) == (None, None, {"USD": 1250})
    found = compared(some, CONTRACT)
    assert (found.state, found.lines) == ("usage in part", ())
    assert found.reason == "Usage is told of 30 of 31 days: what to expect is not known."


def test_an_hour_in_another_currency_is_not_converted():
    made = facts(usage=usage(sensor_retained=[1]), seconds=60, invoice=invoice(currency="EUR"))
    found = margin(charged(made, plan(per_unit(100))), "CHF", 6000)
    assert (found.cents, found.why) == (None, "an analyst's hour costs CHF, and nothing is converted")


def test_a_total_names_what_it_lacks_and_margins_are_added_up_by_currency():
    good = charged(
        facts(usage=usage(sensor_retained=[10]), invoice=invoice(currency="EUR")), plan(per_unit(100))
    )
    bad = charged(facts(told=0, usage_note="Usage was never read."), plan(per_unit(100)))
    lost = charged(facts(), None)
    found = Statement("2026-10", "Prices", "", (good, bad, lost), 0, closed=True, currency="EUR")
    assert found.n_of_m == "1 of 3 organizations complete; lacking: Acme (partly), Acme (missing)"
    assert found.totals == {"EUR": 1000}
    assert {code: each.cents for code, each in found.margins().items()} == {"EUR": 1000}
    assert Statement("2026-10", "Prices", "", (good,), 0, closed=False).n_of_m == (
        "the month is not over; 1 of 1 organizations complete"
    )


# Price books by chance


@st.composite
def customers(draw, place):
    """An organization in a month of chance, for the oracle."""
    of = draw(st.sampled_from((28, 30, 31)))
    days = draw(st.integers(1, of))
    figures = st.one_of(st.integers(0, 30), st.integers(0, 10**13))
    told = draw(st.integers(0, 5)) > 0
    return Customer(
        f"oid-{place}",
        labels=draw(st.sampled_from([{}, *({"tier": tier} for tier in TIERS)])),
        nodes=draw(st.sampled_from([set(), {"europe"}])),
        days=days,
        of=of,
        usage={
            metric: draw(st.lists(figures, min_size=days, max_size=days)) if days < 4
            else [draw(figures)] * (days - 1) + [draw(figures)]
            for metric in draw(st.lists(st.sampled_from(USED), max_size=3, unique=True))
        } if told else {},
        told=told,
        seconds=draw(st.one_of(st.just(0), st.integers(0, 10**6))),
        invoice=draw(
            st.one_of(
                st.none(),
                st.lists(
                    st.tuples(st.sampled_from(SKUS), st.integers(-10**6, 10**7), st.sampled_from(("USD", "EUR"))),
                    max_size=4,
                ),
            )
        ),
    )  # fmt: skip


def facts_of(one: Customer) -> Facts:
    """The same for the calculation that is tried."""
    return Facts(
        one.oid, Untrusted(one.oid), Untrusted(one.oid), days=one.of, present=one.days, told=one.days,
        expected=one.days, first=DAYS[0], last=DAYS[one.days - 1], seconds=one.seconds,
        usage={metric: Figures.of([Fraction(value) for value in values]) for metric, values in one.usage.items()},
        usage_note="" if one.told else "Usage was never read.",
        invoice=None if one.invoice is None else invoice(*one.invoice),
    )  # fmt: skip


@settings(max_examples=examples(240), deadline=None)
@given(books(), st.data())
def test_any_price_book_charges_what_a_second_calculation_charges(data, chosen):
    book = read_pricebook(written(data))
    people = [chosen.draw(customers(place)) for place in range(chosen.draw(st.integers(1, 4)))]
    found: list[Charged] = []
    for one in people:
        made = charged(facts_of(one), book.plan_of(one.oid, one.labels, one.nodes))
        expected = lines_of(data, one)
        assert (made.state == "missing") is (expected is None)
        assert (made.plan or None) == plan_of(data, one)
        assert [(line.item, line.currency, line.cents) for line in made.lines] == (expected or [])
        found.append(made)
    whole = Statement("2026-10", book.name, book.digest, tuple(found), 0, closed=True)
    assert whole.totals == totals_of(data, people)
    # However the lines are grouped, they come to the same cents.
    by_item: dict[str, int] = {}
    for (_, currency), cents in whole.by_item().items():
        by_item[currency] = by_item.get(currency, 0) + cents
    by_customer: dict[str, int] = {}
    for each in found:
        for currency, cents in each.totals.items():
            by_customer[currency] = by_customer.get(currency, 0) + cents
    assert by_item == by_customer == whole.totals
    assert all(isinstance(line.cents, int) for line in whole.lines)


@settings(max_examples=examples(200), deadline=None)
@given(tiers(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_units_never_cost_less_when_each_is_at_its_own_tier(listed, one, other):
    made = tuple(Tier(each["from"], each.get("to"), each["cents"]) for each in listed)
    low, high = sorted((one, other))
    assert graduated(Fraction(low), made) <= graduated(Fraction(high), made)


# Quotas


def weekly(*peaks):
    """Days of weeks, each with a busy day and a weekend; the last one is the newest."""
    return [
        (7 * week + day, peak if day == 3 else peak * 0.6)
        for week, peak in enumerate(peaks)
        for day in range(7)
    ]


def test_growth_is_that_of_the_weeks_highest_days_and_weekends_are_none():
    assert growth_a_day(weekly(100, 107, 114, 121)) == pytest.approx(1.0)
    assert growth_a_day(weekly(100, 100, 100, 100)) == 0
    assert growth_a_day(weekly(100, 93, 86)) == pytest.approx(-1.0)


def test_too_few_weeks_tell_no_growth_and_too_little_of_it_is_chance():
    assert growth_a_day([]) is None
    assert growth_a_day(weekly(100, 200)) is None
    assert growth_a_day(weekly(100, 100.3, 100.5, 100.9)) == 0
    assert growth_a_day(weekly(10, 10, 10.5, 10.4)) == 0


@pytest.mark.parametrize(
    ("quota", "used", "growth", "days"),
    [(100, 90.0, 1.0, 10), (100, 90.0, 3.0, 4), (100, 100.0, 0.0, 0), (100, 120.0, -1.0, 0), (100, 90.0, 0.0, None),
     (100, 90.0, -1.0, None), (100, 90.0, None, None), (None, 90.0, 1.0, None), (0, 1.0, 1.0, None),
     (100, None, 1.0, None), (100, 1.0, 0.001, None)],
)  # fmt: skip
def test_days_until_full_are_told_only_where_something_grows(quota, used, growth, days):
    assert days_until_full(quota, used, growth) == days
