"""A second way to work out what a customer is charged, out of a price book's plain data: to compare with.

Nothing of `store.billing` or `store.pricebook` is used. Prices by tiers are taken as differences between
neighbours, shares of a month as numerators over one denominator, and cents are rounded by `decimal`.
"""

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from math import lcm
from typing import Any

MEASURES = {
    "sensor_events": "sum", "event_retained": "sum", "output_bytes_tx": "sum", "replay_num_evals": "sum",
    "peak_sensors": "peak", "sensor_retained": "peak", "organization": "last", "analyst_seconds": "sum",
}  # fmt: skip


@dataclass
class Customer:
    """An organization in a month, as the test made it."""

    oid: str
    labels: dict[str, str] = field(default_factory=dict)
    nodes: set[str] = field(default_factory=set)
    days: int = 31
    """On which it was a customer."""
    of: int = 31
    usage: dict[str, list[int]] = field(default_factory=dict)
    """Metric -> the figures of those days, the oldest first."""
    told: bool = True
    """Whether any usage is known."""
    seconds: int = 0
    invoice: list[tuple[str, int, str]] | None = None
    """(SKU, cents, currency) of the vendor's lines; None when it was not read."""


def half_up(numerator: int, denominator: int) -> int:
    """A ratio to the nearest whole number, a half away from zero."""
    with localcontext() as context:
        context.prec = 120
        return int((Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def lines_of(book: dict[str, Any], one: Customer) -> list[tuple[str, str, int]] | None:
    """(item, currency, cents) of each line; None when no plan is for it."""
    name = plan_of(book, one)
    if name is None:
        return None
    if name == "none":
        return []
    plan = book["plans"][name]
    currency = plan.get("currency", book["currency"])
    found = []
    for item in plan["items"]:
        if "vendor" in item:
            found += _passed(item, plan, one)
        elif one.told or item["metric"] in ("organization", "analyst_seconds"):
            found.append((item["item"], currency, _cents(item, one)))
    least = half_up(plan.get("minimum", 0) * one.days, one.of)
    mine = sum(cents for _, paid_in, cents in found if paid_in == currency)
    if mine < least:
        found.append(("Minimum of the month", currency, least - mine))
    return found


def plan_of(book: dict[str, Any], one: Customer) -> str | None:
    """The plan of the first rule that fits."""
    for rule in book["apply"]:
        if "label" in rule:
            name, text = rule["label"].split("=", 1)
            fits = one.labels.get(name) == text
        elif "organization" in rule:
            fits = rule["organization"] == one.oid
        elif "node" in rule:
            fits = rule["node"] in one.nodes
        else:
            fits = True
        if fits:
            return str(rule["plan"])
    return None


def totals_of(book: dict[str, Any], customers: list[Customer]) -> dict[str, int]:
    """Currency -> cents over all of them."""
    found: dict[str, int] = {}
    for one in customers:
        for _, currency, cents in lines_of(book, one) or ():
            found[currency] = found.get(currency, 0) + cents
    return found


def _passed(item: dict[str, Any], plan: dict[str, Any], one: Customer) -> list[tuple[str, str, int]]:
    if one.invoice is None:
        return []
    others = {each["vendor"] for each in plan["items"] if each.get("vendor", "*") != "*"}
    sums: dict[str, int] = {}
    for sku, cents, currency in one.invoice:
        if sku == item["vendor"] or (item["vendor"] == "*" and sku not in others):
            sums[currency] = sums.get(currency, 0) + cents
    return [
        (item["item"], currency, half_up(cents * (10_000 + item.get("markup", 0)), 10_000))
        for currency, cents in sums.items()
    ]


def _cents(item: dict[str, Any], one: Customer) -> int:
    metric, per = item["metric"], item.get("per", 1)
    measure = item.get("measure", MEASURES.get(metric, "sum"))
    if metric == "organization":
        amount, parts = 1, 1
    elif metric == "analyst_seconds":
        amount, parts = one.seconds, 1
    else:
        days = one.usage.get(metric, [])
        amount, parts = {
            "sum": lambda: (sum(days), 1),
            "peak": lambda: (max(days, default=0), 1),
            "average": lambda: (sum(days), max(1, len(days))),
            "last": lambda: (days[-1] if days else 0, 1),
        }[measure]()
    # Units as a numerator over a denominator.
    top, bottom = amount, parts * per
    if item.get("blocks", "begun") == "begun":
        top, bottom = -(-top // bottom), 1
    tiers = item.get("tiers") or [{"from": 1, "cents": item["cents"]}]
    if item.get("pricing") == "volume":
        tier = next(each for each in tiers if each.get("to") is None or top <= each["to"] * bottom)
        price = top * tier["cents"]
    else:
        price, before = 0, 0
        for tier in tiers:
            over = top - (tier["from"] - 1) * bottom
            price += max(0, over) * (tier["cents"] - before)
            before = tier["cents"]
    days, of = (one.days, one.of) if item.get("partial", "daily") == "daily" else (1, 1)
    price_days, price_of = (1, 1) if measure == "sum" else (days, of)
    markup = 10_000 + item.get("markup", 0)
    one_over = lcm(bottom * price_of * 10_000, of)
    left = price * price_days * markup * (one_over // (bottom * price_of * 10_000))
    right = item.get("minimum", 0) * days * (one_over // of)
    return half_up(max(left, right), one_over)
