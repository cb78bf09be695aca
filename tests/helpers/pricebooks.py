"""Price books by chance: plain data that a book's file is written from."""

from typing import Any

import yaml
from hypothesis import strategies as st

CURRENCIES = ("EUR", "USD", "JPY", "KWD")
USED = ("sensor_events", "output_bytes_tx", "replay_num_evals", "peak_sensors", "sensor_retained")
SKUS = ("sensor-month", "output-gb", "replay-evals", "support")
TIERS = ("gold", "silver", "bronze")

CENTS = st.one_of(st.integers(0, 5_000), st.integers(0, 10**9))


@st.composite
def tiers(draw: Any) -> list[dict[str, int]]:
    """Tiers without a gap; the last one has no end."""
    widths = draw(st.lists(st.one_of(st.integers(1, 9), st.integers(1, 100_000)), max_size=4))
    found, first = [], 1
    for width in widths:
        found.append({"from": first, "to": first + width - 1, "cents": draw(CENTS)})
        first += width
    return [*found, {"from": first, "cents": draw(CENTS)}]


@st.composite
def items(draw: Any, name: str) -> dict[str, Any]:
    """One item of a plan, metered or passed on."""
    kind = draw(st.sampled_from(("metered", "metered", "metered", "fee", "time", "vendor")))
    markup = draw(st.one_of(st.none(), st.integers(-10_000, 100_000), st.sampled_from((1, 1500, -250))))
    item: dict[str, Any] = {"item": name}
    if markup is not None:
        item["markup"] = markup
    if kind == "vendor":
        return item | {"vendor": draw(st.sampled_from(("*", *SKUS)))}
    if draw(st.booleans()):
        item["minimum"] = draw(CENTS)
    if draw(st.booleans()):
        item["partial"] = draw(st.sampled_from(("daily", "whole")))
    if kind == "fee":
        return item | {"metric": "organization", "cents": draw(CENTS)}
    item["metric"] = "analyst_seconds" if kind == "time" else draw(st.sampled_from(USED))
    if draw(st.booleans()):
        item["measure"] = draw(st.sampled_from(("sum", "peak", "average", "last")))
        if kind == "time":
            item["measure"] = "sum"
    if draw(st.booleans()):
        item["per"] = draw(st.one_of(st.integers(1, 50), st.sampled_from((900, 3600, 10**6, 10**9))))
    if draw(st.booleans()):
        item["blocks"] = draw(st.sampled_from(("begun", "exact")))
    if draw(st.booleans()):
        item["cents"] = draw(CENTS)
    else:
        item["tiers"] = draw(tiers())
        item["pricing"] = draw(st.sampled_from(("graduated", "volume")))
    return item


@st.composite
def books(draw: Any) -> dict[str, Any]:
    """A whole price book, as its YAML has it."""
    names = draw(
        st.lists(st.sampled_from(("basic", "plus", "premium", "own")), min_size=1, max_size=3, unique=True)
    )
    plans = {}
    for name in names:
        plan: dict[str, Any] = {"items": []}
        seen = set()
        for number in range(draw(st.integers(1, 4))):
            item = draw(items(f"Item {number}"))
            if item.get("vendor") in seen:
                continue
            seen.add(item.get("vendor", number))
            plan["items"].append(item)
        if draw(st.booleans()):
            plan["minimum"] = draw(CENTS)
        if draw(st.booleans()):
            plan["currency"] = draw(st.sampled_from(CURRENCIES))
        plans[name] = plan
    chosen = st.sampled_from((*names, "none"))
    rules: list[dict[str, Any]] = []
    for tier in draw(st.lists(st.sampled_from(TIERS), max_size=3, unique=True)):
        rules.append({"label": f"tier={tier}", "plan": draw(chosen)})
    if draw(st.booleans()):
        rules.append({"node": "europe", "plan": draw(chosen)})
    if not rules or draw(st.booleans()):
        rules.append({"plan": draw(chosen)})
    return {
        "version": 1, "name": "By chance", "currency": draw(st.sampled_from(CURRENCIES)), "plans": plans,
        "apply": rules,
    }  # fmt: skip


def written(book: dict[str, Any]) -> str:
    """The file of a book."""
    return str(yaml.safe_dump(book, sort_keys=False, allow_unicode=True))
