"""Price books: what is read, and everything that is refused with its line."""

import textwrap
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from store.examplebook import TEXT
from store.pricebook import _ITEM, Item, PriceBookError, Tier, read_pricebook
from tests.helpers.pricebooks import books, written
from tests.helpers.soak import examples

OID = "0a1b2c3d-0000-4000-8000-00000000000a"

BOOK = """\
version: 1
name: Prices
currency: EUR
plans:
  gold:
    items:
      - item: Sensors
        metric: sensor_retained
        pricing: graduated
        tiers:
          - {from: 1, to: 100, cents: 650}
          - {from: 101, cents: 550}
apply:
  - {label: tier=gold, plan: gold}
  - {plan: none}
"""


def refused(text, **given):
    with pytest.raises(PriceBookError) as caught:
        read_pricebook(text, **given)
    return caught.value


def first(text, **given):
    """(line, sentence) of the first thing that is wrong."""
    problem = refused(text, **given).problems[0]
    return problem.line, problem.text


def changed(old, new):
    assert BOOK.count(old) == 1, "the change would hit nothing, or several places"
    return BOOK.replace(old, new)


def test_the_example_is_read_with_everything_that_it_says():
    book = read_pricebook(TEXT)
    assert list(book.plans) == ["gold", "silver", "bronze"]
    assert [rule.words for rule in book.rules] == ["label tier=gold", "label tier=silver", "everybody else"]
    sensors, outputs, platform = book.plans["gold"].items
    assert (sensors.measure, sensors.pricing) == ("peak", "graduated")
    assert sensors.tiers == (Tier(1, 100, 1400), Tier(101, 500, 1150), Tier(501, None, 900))
    assert (outputs.per, outputs.unit, outputs.tiers) == (10**9, "GB", (Tier(1, None, 25),))
    assert platform.is_flat
    assert book.plans["silver"].items[0].pricing == "volume"
    assert book.plans["bronze"].items[0].blocks == "exact"
    assert (book.analyst_hour, [item.name for item in book.contract][:2]) == (
        6500, ["sensor-month", "insight-retention"],
    )  # fmt: skip
    assert len(book.digest) == 64


@pytest.mark.parametrize(
    ("labels", "nodes", "oid", "plan"),
    [
        ({"tier": "gold"}, {"root", "europe"}, "x", "gold"),
        ({"tier": "gold"}, {"root"}, OID, "own"),
        ({"tier": "lead"}, {"root", "europe"}, "x", "silver"),
        ({"tier": "lead"}, {"root"}, "x", "none"),
    ],
)
def test_the_first_line_that_fits_says_the_plan(labels, nodes, oid, plan):
    items = "items: [{item: Fee, metric: organization, cents: 1}]"
    text = f"""\
version: 1
name: Prices
currency: EUR
plans:
  gold: {{{items}}}
  silver: {{{items}}}
  own: {{{items}}}
apply:
  - {{organization: {OID}, plan: own}}
  - {{label: tier=gold, plan: gold}}
  - {{node: europe, plan: silver}}
  - {{plan: none}}
"""
    found = read_pricebook(text).plan_of(oid, labels, nodes)
    assert found is not None
    assert found.name == plan


def test_the_file_in_the_documentation_is_one_that_is_read():
    text = (Path(__file__).parents[2] / "docs" / "billing.md").read_text("utf-8")
    block = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    book = read_pricebook(block)
    assert list(book.plans) == ["gold", "trial"]
    # Every field of an item that the table explains is one, and none is left out.
    named = {
        "metric",
        "measure",
        "per",
        "blocks",
        "pricing",
        "tiers",
        "cents",
        "markup",
        "minimum",
        "partial",
        "vendor",
    }
    assert {word for word in named if f"`{word}`" in text} == named == set(_ITEM) - {"item", "unit"}


def test_without_a_line_for_everybody_somebody_may_have_no_plan():
    assert read_pricebook(changed("  - {plan: none}\n", "")).plan_of("x", {}, set()) is None


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        # Gaps and overlaps.
        ("from: 101,", "from: 102,", 12, "There is a gap: unit 101 would have no price."),
        ("from: 101,", "from: 150,", 12, "There is a gap: units 101 to 149 would have no price."),
        ("from: 101,", "from: 100,", 12, "Two tiers overlap: unit 100 has a price already"),
        ("from: 1, to", "from: 2, to", 11, "There is a gap: unit 1 would have no price."),
        ("to: 100, ", "", 12, "The tier before this one has no end, so they overlap."),
        ("101, cents", "101, to: 500, cents", 12, "units from 501 on would have no price"),
        ("to: 100", "to: 0", 11, "`to` is a whole number from 1"),
        ("from: 1, to: 100", "from: 9, to: 8", 11, "This tier ends at 8, before it begins at 9."),
        # Amounts.
        ("cents: 650", "cents: -1", 11, "not less than 0; it is -1"),
        ("cents: 650", "cents: 6.5", 11, "whole number of cents, not 6.5"),
        ("cents: 650", "cents: .inf", 11, "whole number of cents, not inf"),
        ("cents: 650", "cents: .nan", 11, "whole number of cents, not nan"),
        ("cents: 650", 'cents: "650"', 11, "without quotes, not '650'"),
        ("cents: 650", "cents: 1e3", 11, "without quotes, not '1e3'"),
        ("cents: 650", "cents: ", 11, "not nothing"),
        ("cents: 650", "cents: true", 11, "not 'True'"),
        ("cents: 650", "cents: [650]", 11, "without quotes"),
        ("cents: 650", "cents: 1000000000001", 11, "at most 1,000,000,000,000 cents"),
        # What YAML reads as something else.
        ("cents: 650", "cents: 0650", 11, "YAML reads 0650 as a number"),
        ("cents: 650", "cents: 6_50", 11, "YAML reads 6_50 as a number"),
        ("cents: 650", "cents: 10:50", 11, "YAML reads 10:50 as a number"),
        ("cents: 650", "cents: yes", 11, "YAML reads yes as yes or no"),
        ("  gold:", "  no:", 5, "YAML reads no as yes or no"),
        ("currency: EUR", "currency: NO", 3, "YAML reads NO as yes or no"),
        ("currency: EUR", "currency: ERU", 3, "'ERU' is no currency"),
        ("currency: EUR", "currency: eur", 3, "'eur' is no currency"),
        ("name: Prices", "name: 2026", 2, "The name of the price book is a text"),
        ("name: Prices", 'name: "a\\u202eb"', 2, "holds a character that cannot be shown"),
        # What is not known.
        ("metric: sensor_retained", "metric: sensors_retained", 8, "'sensors_retained' is no metric"),
        ("metric: sensor_retained", "metrik: sensor_retained", 8, "'metrik' means nothing in an item"),
        ("pricing: graduated", "pricing: tiered", 9, "one of graduated, volume, not 'tiered'"),
        ("        pricing: graduated\n", "", 7, "With more than one tier say `pricing: graduated`"),
        ("pricing: graduated", "measure: max", 9, "one of sum, peak, average, last, not 'max'"),
        ("cents: 650", "cents: 650, flat: 3", 11, "'flat' means nothing in a tier"),
        ("plan: gold}", "plan: golden}", 14, "There is no plan 'golden'; there are gold, none."),
        ("label: tier=gold", "label: gold", 14, "A label is written `name=text`, not 'gold'."),
        ("label: tier=gold", "label: 12", 14, "'12' is not text to YAML"),
        ("label: tier=gold", "organization: Acme", 14, "An organization is named by its oid"),
        ("label: tier=gold", f"label: tier=gold, organization: {OID}", 14, "not both"),
        ("version: 1", "version: 2", 1, "A price book says `version: 1`."),
        ("version: 1", "version: true", 1, "A price book says `version: 1`."),
        ("version: 1", "version: 1\nfrom: 2026-13", 2, "is no month"),
        ("version: 1", "version: 1\nfrom: 2026-10-01", 2, "is no month"),
        ("version: 1", "version: 1\nfrom: 2026-10\nuntil: 2026-09", 3, "before it begins in 2026-10"),
        ("  - {label: tier=gold, plan: gold}\n  - {plan: none}",
         "  - {plan: none}\n  - {label: tier=gold, plan: gold}", 15, "This is never reached: line 14"),
        ("  - {plan: none}", "  - {label: tier=gold, plan: none}", 15, "has a plan already, on line 14"),
        ("  - {plan: none}", "  - {}", 15, "There is no plan nothing"),
        ("apply:", "applies:", 13, "'applies' means nothing in a price book"),
    ],
)  # fmt: skip
def test_whatever_is_wrong_is_refused_with_its_line(old, new, line, words):
    text = changed(old, new)
    problems = refused(text).problems
    assert (line, True) in [(each.line, words in each.text) for each in problems], problems


def test_everything_that_is_wrong_is_told_at_once_by_line_and_the_first_is_in_the_sentence():
    text = changed("cents: 650", "cents: 6.5").replace("currency: EUR", "currency: Euro")
    error = refused(text, file="prices.yaml")
    assert [each.line for each in error.problems] == [3, 11]
    assert str(error).startswith("prices.yaml, line 3: 'Euro' is no currency")
    assert str(error).endswith("And 1 more.")


def said(text):
    return [(each.line, each.text.partition(",")[0].partition(";")[0]) for each in refused(text).problems]


def test_no_mistake_hides_another_one_neither_on_its_line_nor_in_a_tier_after_it():
    text = changed("from: 1, to: 100, cents: 650", "from: 1, to: 100, cents: 11.5").replace("101", "150")
    assert said(text) == [
        (11, "A price is a whole number of cents"),
        (12, "There is a gap: units 101 to 149 would have no price."),
    ]
    text = changed("from: 1, to: 100", "from: 3, to: x").replace("101, cents: 550", "101, to: 90, cents: -1")
    assert said(text.replace("        pricing: graduated\n", "")) == [
        (7, "With more than one tier say `pricing: graduated` (each unit at the price of its tier) or "
            "`pricing: volume` (all units at that of the last one)."),
        (10, "`to` is a whole number from 1 to 1"),
        (10, "There is a gap: units 1 to 2 would have no price."),
        (11, "A price is not less than 0"),
        (11, "This tier ends at 90"),
    ]  # fmt: skip
    item = "      - {item: Flat, metric: nothing, per: 010, cents: -4, tiers: [{from: 2}]}\n"
    assert [words for _, words in said(changed("apply:", f"{item}apply:"))] == [
        "YAML reads 010 as a number",
        "'nothing' is no metric that is known",
        "A price is not less than 0",
        "An item has `cents` for each unit",
        "A price is a whole number of cents without quotes",
        "There is a gap: unit 1 would have no price.",
    ]
    whom = changed("plan: gold}", "plan: golden}").replace(
        "label: tier=gold", "label: gold, organization: Acme"
    )
    assert [words for _, words in said(whom)] == [
        "There is no plan 'golden'",
        "A line of `apply` has `label` or `organization`",
        "A label is written `name=text`",
        "An organization is named by its oid",
    ]
    assert (11, "A price is not less than 0") in said(
        changed("  gold:", "  GOLD:").replace("cents: 650", "cents: -1")
    )


def test_a_file_that_is_no_yaml_is_refused_with_its_line():
    line, said = first("version: 1\nplans: [\n")
    assert line == 3
    assert said.startswith("This is not YAML")
    assert first("version: 1\nversion: 1\n") == (2, "The key 'version' is there twice; it is on line 1 too.")
    assert first("- a\n")[1].startswith("A price book is a mapping")
    assert first("")[1].startswith("A price book is a mapping")
    assert first("a: !!python/object:os.system x\n")[1].startswith("The tag")
    assert first(b"\xff\xfe")[1] == "This is not UTF-8 text."


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("measure: sum", "and no `measure`"),
        ("per: 2", "and no `per`"),
        ("tiers: [{from: 1, cents: 2}]", "and no `tiers`"),
    ],
)
def test_a_fee_has_a_price_and_nothing_to_measure(extra, words):
    text = changed(
        textwrap.indent("pricing: graduated\ntiers:\n  - {from: 1, to: 100, cents: 650}\n  - {from: 101, cents: 550}\n", 8 * " "),
        f"        {extra}\n",
    ).replace("sensor_retained", "organization")  # fmt: skip
    assert any(words in each.text for each in refused(text).problems)


def test_an_item_and_a_sku_stand_in_a_plan_once():
    item = "      - {item: Sensors, metric: peak_sensors, cents: 1}\n"
    assert first(changed("apply:", f"{item}apply:"))[1] == (
        "The plan gold charges 'Sensors' twice; it is on line 7 too."
    )
    passed = "".join(f"      - {{item: Passed {n}, vendor: output-gb}}\n" for n in (1, 2))
    assert "passes 'output-gb' on twice" in first(changed("apply:", f"{passed}apply:"))[1]


def test_what_is_passed_on_from_the_vendor_has_a_markup_and_no_price():
    passed = "      - {item: Outputs, vendor: output-gb, markup: 1500}\n"
    assert read_pricebook(changed("apply:", f"{passed}apply:")).plans["gold"].items[1] == Item(
        "Outputs", vendor="output-gb", markup=1500
    )
    wrong = passed.replace("1500", "15.5")
    assert "whole number of basis points" in first(changed("apply:", f"{wrong}apply:"))[1]
    wrong = passed.replace("1500", "-10001")
    assert "whole number of basis points" in first(changed("apply:", f"{wrong}apply:"))[1]
    wrong = passed.replace("markup: 1500", "cents: 3")
    assert (
        "'cents' means nothing in an item that is passed on" in first(changed("apply:", f"{wrong}apply:"))[1]
    )


def test_what_the_store_knows_is_asked_where_it_is_given():
    own = BOOK.replace("metric: sensor_retained", "metric: custom_things")
    assert read_pricebook(own, metrics={"custom_things"}).metrics == {"custom_things"}
    assert read_pricebook(own, metrics=None).metrics == {"custom_things"}
    with_oid = changed("label: tier=gold", f"organization: {OID}")
    assert read_pricebook(with_oid).rules[0].organization == OID
    assert read_pricebook(with_oid, oids={OID}).rules[0].organization == OID
    assert first(with_oid, oids={"another"}) == (14, f"No organization with the oid {OID} is known.")
    with_node = changed("label: tier=gold", "node: europe")
    assert first(with_node, nodes={"asia"}) == (14, "The tree has no node with the id 'europe'.")


def test_a_book_holds_for_its_months():
    book = read_pricebook(changed("version: 1", "version: 1\nfrom: 2026-03\nuntil: 2026-10"))
    assert [book.holds(month) for month in ("2026-02", "2026-03", "2026-10", "2026-11")] == [
        False, True, True, False,
    ]  # fmt: skip


@settings(max_examples=examples(200), deadline=None)
@given(books())
def test_every_book_by_chance_is_read_as_it_was_written(data):
    book = read_pricebook(written(data))
    assert list(book.plans) == list(data["plans"])
    for name, plan in data["plans"].items():
        assert [item.name for item in book.plans[name].items] == [each["item"] for each in plan["items"]]
        for item, each in zip(book.plans[name].items, plan["items"], strict=True):
            assert item.markup == each.get("markup", 0)
            wanted = each.get("tiers") or ([{"from": 1, "cents": each["cents"]}] if "cents" in each else [])
            assert [(tier.first, tier.last, tier.cents) for tier in item.tiers] == [
                (one["from"], one.get("to"), one["cents"]) for one in wanted
            ]


@settings(max_examples=examples(200), deadline=None)
@given(books(), st.data())
def test_a_book_by_chance_with_one_tier_moved_is_refused_at_its_line(data, chosen):
    tiers = [
        (item["tiers"][place], item["tiers"][place - 1])
        for plan in data["plans"].values()
        for item in plan["items"]
        for place in range(1, len(item.get("tiers", ())))
    ]
    assume(tiers)
    tier, before = chosen.draw(st.sampled_from(tiers))
    tier["from"] += chosen.draw(st.sampled_from((-1, 1)))
    text = written(data)
    error = refused(text)
    assert any(word in error.problems[0].text for word in ("gap", "overlap", "This tier ends"))
    said = text.splitlines()[error.problems[0].line - 1]
    assert f"from: {tier['from']}" in said or f"to: {tier.get('to')}" in said
    assert before["to"] + 1 != tier["from"]
