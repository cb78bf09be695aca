"""The provider's price book: a YAML file of plans, what is charged in each, and which organization has which.

Amounts are whole numbers of the currency's smallest unit; a price below a cent is written as one cent of more
units (`per`). docs/billing.md describes the file. A book with anything wrong in it is not read at all: every
mistake is told with its line.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from store.errors import StoreError
from store.money import CURRENCIES, WHOLE
from store.months import parse_month
from store.text import safe_text
from store.yaml import Document, Problem, YamlError, load

Measure = Literal["sum", "peak", "average", "last"]
Pricing = Literal["graduated", "volume"]
Blocks = Literal["begun", "exact"]
Partial = Literal["daily", "whole"]

MEASURES: Final[tuple[Measure, ...]] = ("sum", "peak", "average", "last")
PRICINGS: Final[tuple[Pricing, ...]] = ("graduated", "volume")
BLOCKS: Final[tuple[Blocks, ...]] = ("begun", "exact")
PARTIALS: Final[tuple[Partial, ...]] = ("daily", "whole")

ORGANIZATION: Final = "organization"
"""The metric of a fee for each organization: it is always 1."""
ANALYST: Final = "analyst_seconds"
"""The metric of the time that analysts logged on cases."""
EVERYTHING: Final = "*"
"""The SKU that stands for every line of the vendor's invoice."""
NONE: Final = "none"
"""The plan of an organization that is not charged."""

METRICS: Final[dict[str, Measure]] = {
    "sensor_events": "sum",
    "event_retained": "sum",
    "output_bytes_tx": "sum",
    "replay_num_evals": "sum",
    "peak_sensors": "peak",
    "sensor_retained": "peak",
    ORGANIZATION: "last",
    ANALYST: "sum",
}
"""Metrics that are known to exist, and how a month is made of their days when the book does not say.

The first six are days' keys of `GET usage/{oid}`; others that were seen there are taken too."""


def measure_of(metric: str) -> Measure:
    """How a month is made of a metric's days where nobody says: a level is not added up over days."""
    return METRICS.get(metric, "peak" if metric.startswith("peak_") else "sum")


MOST: Final = 10**12
"""Cents, and the largest number of units in the bounds of a tier."""
MOST_PER: Final = 10**15
LONGEST: Final = 120
MARKUP: Final = (-WHOLE, 10 * WHOLE)
"""Basis points: everything off, to eleven times the price."""

_BOOK = ("version", "name", "currency", "from", "until", "plans", "apply", "costs")
_PLAN = ("currency", "minimum", "items")
_ITEM = (
    "item", "metric", "measure", "per", "unit", "blocks", "pricing", "tiers", "cents", "minimum", "markup",
    "partial", "vendor",
)  # fmt: skip
_VENDOR = ("item", "vendor", "markup")
_TIER = ("from", "to", "cents")
_RULE = ("label", "organization", "node", "plan")
_COSTS = ("analyst_hour", "contract")
_CONTRACT = (
    "sku", "currency", "metric", "measure", "per", "unit", "blocks", "pricing", "tiers", "cents", "minimum",
)  # fmt: skip

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}")
_OID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class PriceBookError(StoreError):
    """A price book that is not read; nothing was changed."""

    def __init__(self, problems: Sequence[Problem], file: str = "") -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        where = f"{file}, line {first.line}: {first.text}" if file else str(first)
        more = len(self.problems) - 1
        super().__init__(where + (f" And {more} more." if more else ""))


@dataclass(frozen=True, slots=True)
class Tier:
    """A price for a range of units."""

    first: int
    """The number of its first unit, from 1 on."""
    last: int | None
    """That of its last one; None for no end."""
    cents: int
    """For each unit."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is charged."""

    name: str
    metric: str = ""
    """"" when it is passed on from the vendor's invoice."""
    measure: Measure = "sum"
    """What the days of a month come to: their sum, the largest, their mean, or the last one."""
    per: int = 1
    """So much of the metric is one unit."""
    unit: str = ""
    """How a unit is called."""
    blocks: Blocks = "begun"
    """Whether a unit that was begun counts as a whole one, or by its share."""
    pricing: Pricing = "graduated"
    """graduated: each unit at the price of the tier that it lies in; volume: all at that of the last one."""
    tiers: tuple[Tier, ...] = ()
    minimum: int = 0
    """Cents of a month."""
    markup: int = 0
    """Basis points on top; negative ones are a discount."""
    partial: Partial = "daily"
    """Of a customer for only some days of the month: the price by days, or whole."""
    vendor: str = ""
    """The SKU of the vendor's invoice that is passed on; EVERYTHING, or "" for none."""
    currency: str = ""
    """Of a contract's item alone."""
    line: int = field(default=0, compare=False)

    @property
    def is_flat(self) -> bool:
        """Whether it does not depend on use."""
        return self.metric == ORGANIZATION


@dataclass(frozen=True, slots=True)
class Plan:
    """What a customer is charged for."""

    name: str
    currency: str
    items: tuple[Item, ...]
    minimum: int = 0
    """Cents of a month over everything in its currency."""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """Which organizations have a plan; the first rule that fits counts."""

    plan: str
    label: tuple[str, str] | None = None
    organization: str = ""
    node: str = ""
    line: int = field(default=0, compare=False)

    def fits(self, oid: str, labels: Mapping[str, str], nodes: Collection[str]) -> bool:
        """Whether it is about this organization.

        Args:
            labels: the organization's, inherited ones included.
            nodes: ids of its node and of those above.
        """
        if self.label is not None:
            return labels.get(self.label[0]) == self.label[1]
        if self.organization:
            return oid == self.organization
        return not self.node or self.node in nodes

    @property
    def words(self) -> str:
        """Whom it is about."""
        if self.label is not None:
            return "label " + "=".join(self.label)
        if self.organization:
            return f"organization {self.organization}"
        return f"node {self.node}" if self.node else "everybody else"


@dataclass(frozen=True, slots=True)
class PriceBook:
    """One price book."""

    name: str
    currency: str
    plans: Mapping[str, Plan]
    rules: tuple[Rule, ...]
    first: str = ""
    """The month from which it holds, `2026-01`; "" for ever before."""
    last: str = ""
    """The last month for which it does; "" for no end."""
    analyst_hour: int | None = None
    """What an hour of an analyst costs the provider, in cents of `currency`; None when it is not said."""
    contract: tuple[Item, ...] = ()
    """What the vendor charges by contract; the names are SKUs."""
    digest: str = field(default="", compare=False)
    """SHA-256 of the file."""

    def holds(self, month: str) -> bool:
        """Whether it is for this month."""
        return (not self.first or self.first <= month) and (not self.last or month <= self.last)

    def plan_of(self, oid: str, labels: Mapping[str, str], nodes: Collection[str]) -> Plan | None:
        """The plan of an organization; None when no rule is about it."""
        for rule in self.rules:
            if rule.fits(oid, labels, nodes):
                return self.plans.get(rule.plan) or Plan(NONE, self.currency, ())
        return None

    @property
    def metered(self) -> tuple[Item, ...]:
        """Everything in it that is about a metric."""
        items = [item for plan in self.plans.values() for item in plan.items]
        return tuple(item for item in (*items, *self.contract) if item.metric)

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics that anything in it is about."""
        return frozenset(item.metric for item in self.metered)

    @property
    def measures(self) -> frozenset[Measure]:
        """In which ways it takes the days of usage together."""
        return frozenset(item.measure for item in self.metered if item.metric not in (ORGANIZATION, ANALYST))


def read_pricebook(
    text: str | bytes,
    *,
    file: str = "",
    metrics: Collection[str] | None = (),
    oids: Collection[str] | None = None,
    nodes: Collection[str] | None = None,
) -> PriceBook:
    """A price book from its file.

    Args:
        file: how it is called in complaints.
        metrics: those that exist beside METRICS; None when that is not to be checked.
        oids: the organizations that are known; None when that is not to be checked.
        nodes: the ids of the tree's nodes, likewise.

    Raises:
        PriceBookError: with everything that is wrong, each with its line.
    """
    try:
        document = load(text)
    except YamlError as error:
        raise PriceBookError([error.problem], file) from None
    known = None if metrics is None else frozenset(METRICS) | frozenset(metrics)
    reading = _Reading(document, known, oids, nodes)
    book = reading.book()
    if problems := _by_line(document.surprises, reading.problems):
        raise PriceBookError(problems, file)
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return PriceBook(**book, digest=hashlib.sha256(raw).hexdigest())


def _by_line(surprises: Sequence[Problem], problems: Sequence[Problem]) -> list[Problem]:
    """What is wrong, each thing once, by lines: first that a word is not what it looks like, then what is
    wrong with what YAML makes of it. A date, and what is no number, say it themselves."""
    said = {each.line for each in problems}
    quiet = [each for each in surprises if " as a date" in each.text or "YAML reads ." in each.text]
    loud = [each for each in surprises if each not in quiet]
    found = dict.fromkeys([*loud, *problems, *(each for each in quiet if each.line not in said)])
    return sorted(found, key=lambda each: each.line)


class _Reading:
    """One reading of a file; collects what is wrong."""

    def __init__(
        self,
        document: Document,
        metrics: frozenset[str] | None,
        oids: Collection[str] | None,
        nodes: Collection[str] | None,
    ) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self._metrics = metrics
        self._oids = oids
        self._nodes = nodes

    def wrong(self, text: str, *path: str | int) -> None:
        self.problems.append(Problem(self.document.line(*path), text))

    def unknown(self, entry: Mapping[Any, Any], allowed: Sequence[str], what: str, *path: str | int) -> None:
        for key in entry:
            if key not in allowed:
                line = self.document.key_line(*path, str(key))
                self.problems.append(
                    Problem(line, f"{_q(key)} means nothing in {what}; there are {', '.join(allowed)}.")
                )

    def book(self) -> dict[str, Any]:
        value = self.document.value
        if not isinstance(value, dict):
            self.wrong("A price book is a mapping with `version`, `name`, `currency`, `plans` and `apply`.")
            return {}
        self.unknown(value, _BOOK, "a price book")
        if value.get("version") != 1 or isinstance(value.get("version"), bool):
            self.wrong("A price book says `version: 1`.", "version")
        name = self.text(value.get("name"), "The name of the price book", "name")
        currency = self.currency(value.get("currency"), "currency")
        first, last = (self.month(value.get(key), key) for key in ("from", "until"))
        if first and last and first > last:
            self.wrong(f"It ends in {last}, before it begins in {first}.", "until")
        plans = self.plans(value.get("plans"), currency)
        rules = self.rules(value.get("apply"), plans)
        hour, contract = self.costs(value.get("costs"), currency)
        return {
            "name": name, "currency": currency, "plans": plans, "rules": rules, "first": first, "last": last,
            "analyst_hour": hour, "contract": contract,
        }  # fmt: skip

    # Values

    def text(self, value: object, what: str, *path: str | int) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > LONGEST:
            self.wrong(f"{what} is a text of at most {LONGEST} characters, in quotes if in doubt.", *path)
            return ""
        if safe_text(value) != value:
            self.wrong(f"{what} holds a character that cannot be shown.", *path)
            return ""
        return value.strip()

    def currency(self, value: object, *path: str | int) -> str:
        if not isinstance(value, str) or value not in CURRENCIES:
            self.wrong(f"{_q(value)} is no currency; write its code of ISO 4217, such as EUR or USD.", *path)
            return ""
        return value

    def month(self, value: object, *path: str | int) -> str:
        if value is None:
            return ""
        try:
            return parse_month(value if isinstance(value, str) else str(value))
        except ValueError:
            self.wrong(f"{_q(value)} is no month; prices hold for whole months, such as 2026-10.", *path)
            return ""

    def cents(self, value: object, what: str, *path: str | int) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(f"{what} is a whole number of cents without quotes, not {_q(value)}.", *path)
        elif isinstance(value, float):
            self.wrong(
                f"{what} is a whole number of cents, not {value!r}; a price below a cent is one cent of "
                "more units, by `per`.",
                *path,
            )
        elif value < 0:
            self.wrong(f"{what} is not less than 0; it is {value}.", *path)
        elif value > MOST:
            self.wrong(f"{what} is at most {MOST:,} cents.", *path)
        else:
            return value
        return 0

    def whole(self, value: object, what: str, most: int, *path: str | int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            self.wrong(f"{what} is a whole number from 1 to {most:,}, not {_q(value)}.", *path)
            return 1
        return value

    def word(self, value: object, allowed: Sequence[Any], what: str, default: Any, *path: str | int) -> Any:
        if value is None:
            return default
        if value not in allowed:
            self.wrong(f"{what} is one of {', '.join(allowed)}, not {_q(value)}.", *path)
            return default
        return value

    def basis_points(self, value: object, *path: str | int) -> int:
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int) or not MARKUP[0] <= value <= MARKUP[1]:
            self.wrong(
                f"A markup is a whole number of basis points from {MARKUP[0]:,} to {MARKUP[1]:,} (1500 is "
                f"15 %), not {_q(value)}.",
                *path,
            )
            return 0
        return value

    # Parts

    def plans(self, value: object, currency: str) -> dict[str, Plan]:
        if not isinstance(value, dict) or not value:
            self.wrong("`plans` is a mapping: the name of each plan, and its `items`.", "plans")
            return {}
        found = {}
        for name, entry in value.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name) or name == NONE:
                line = self.document.key_line("plans", str(name))
                said = (
                    f"{NONE} is the plan of who is not charged; give this one another name."
                    if name == NONE
                    else f"A plan's name is 1 to 60 of a-z, 0-9, _, . and -, not {_q(name)}."
                )
                self.problems.append(Problem(line, said))
                # Where a name is no text, nothing below it can be found.
                if not isinstance(name, str):
                    continue
            found[name] = self.plan(name, entry, currency)
        return found

    def plan(self, name: str, entry: object, currency: str) -> Plan:
        at = ("plans", name)
        if not isinstance(entry, dict):
            self.wrong(f"The plan {name} is a mapping with `items`.", *at)
            return Plan(name, currency, ())
        self.unknown(entry, _PLAN, "a plan", *at)
        if "currency" in entry:
            currency = self.currency(entry["currency"], *at, "currency")
        minimum = self.cents(entry["minimum"], "A minimum", *at, "minimum") if "minimum" in entry else 0
        listed = entry.get("items")
        if not isinstance(listed, list) or not listed:
            self.wrong(f"The plan {name} has `items`: a list of what is charged.", *at, "items")
            listed = []
        items: list[Item] = []
        names: dict[str, int] = {}
        skus: dict[str, int] = {}
        for place, each in enumerate(listed):
            item = self.item(each, *at, "items", place)
            if item is None:
                continue
            if (other := names.setdefault(item.name, item.line)) != item.line:
                self.wrong(
                    f"The plan {name} charges {_q(item.name)} twice; it is on line {other} too.",
                    *at, "items", place,
                )  # fmt: skip
            if item.vendor and (other := skus.setdefault(item.vendor, item.line)) != item.line:
                self.wrong(
                    f"The plan {name} passes {_q(item.vendor)} on twice; it is on line {other} too.",
                    *at, "items", place,
                )  # fmt: skip
            items.append(item)
        return Plan(name, currency, tuple(items), minimum, self.document.line(*at))

    def item(self, entry: object, *at: str | int) -> Item | None:
        if not isinstance(entry, dict):
            self.wrong("An item is a mapping with `item`, and `metric` or `vendor`.", *at)
            return None
        line = self.document.line(*at)
        if "vendor" in entry:
            self.unknown(entry, _VENDOR, "an item that is passed on from the vendor's invoice", *at)
            return Item(
                self.text(entry.get("item"), "The name of an item", *at, "item"),
                vendor=self.text(entry["vendor"], "A SKU", *at, "vendor"),
                markup=self.basis_points(entry.get("markup"), *at, "markup"),
                line=line,
            )
        self.unknown(entry, _ITEM, "an item", *at)
        return Item(
            self.text(entry.get("item"), "The name of an item", *at, "item"),
            markup=self.basis_points(entry.get("markup"), *at, "markup"),
            partial=self.word(entry.get("partial"), PARTIALS, "`partial`", "daily", *at, "partial"),
            line=line,
            **self.priced(entry, *at),
        )

    def priced(self, entry: Mapping[str, Any], *at: str | int) -> dict[str, Any]:
        """What an item and a line of the contract have in common."""
        metric = entry.get("metric")
        if not isinstance(metric, str) or (self._metrics is not None and metric not in self._metrics):
            known = ", ".join(sorted(self._metrics or METRICS))
            self.wrong(
                f"{_q(metric)} is no metric that is known; there are {known}.",
                *at, "metric",
            )  # fmt: skip
            metric = ""
        if metric == ORGANIZATION:
            for key in ("measure", "per", "blocks", "pricing", "tiers"):
                if key in entry:
                    self.wrong(f"A fee for each organization has `cents`, and no `{key}`.", *at, key)
        tiers = self.tiers(entry, *at)
        pricing = self.word(entry.get("pricing"), PRICINGS, "`pricing`", "", *at, "pricing")
        listed = entry.get("tiers")
        several = isinstance(listed, list) and len(listed) > 1 and "cents" not in entry
        if several and entry.get("pricing") is None:
            self.wrong(
                "With more than one tier say `pricing: graduated` (each unit at the price of its tier) or "
                "`pricing: volume` (all units at that of the last one).",
                *at,
            )
        unit = entry.get("unit")
        return {
            "metric": metric,
            "measure": self.word(
                entry.get("measure"), MEASURES, "`measure`", measure_of(metric), *at, "measure"
            ),
            "per": self.whole(entry["per"], "`per`", MOST_PER, *at, "per") if "per" in entry else 1,
            "unit": "" if unit is None else self.text(unit, "A unit", *at, "unit"),
            "blocks": self.word(entry.get("blocks"), BLOCKS, "`blocks`", "begun", *at, "blocks"),
            "pricing": pricing or "graduated",
            "tiers": tiers,
            "minimum": self.cents(entry["minimum"], "A minimum", *at, "minimum") if "minimum" in entry else 0,
        }

    def tiers(self, entry: Mapping[str, Any], *at: str | int) -> tuple[Tier, ...]:
        listed = entry.get("tiers")
        if "cents" in entry:
            flat = (Tier(1, None, self.cents(entry["cents"], "A price", *at, "cents")),)
            if listed is None:
                return flat
            self.wrong("An item has `cents` for each unit, or `tiers`, not both.", *at, "tiers")
        if not isinstance(listed, list) or not listed:
            self.wrong("An item has `cents` for each unit, or `tiers`.", *at, "tiers")
            return ()
        found: list[Tier] = []
        # The unit with which the next tier begins: None after one without end, 0 where that is not known.
        expected: int | None = 1
        for place, tier in enumerate(listed):
            here = (*at, "tiers", place)
            if not isinstance(tier, dict):
                self.wrong("A tier is a mapping with `from`, `to` and `cents`.", *here)
                expected = 0
                continue
            self.unknown(tier, _TIER, "a tier", *here)
            first = self.bound(tier.get("from"), "`from`", *here, "from")
            last = None if tier.get("to") is None else self.bound(tier["to"], "`to`", *here, "to")
            cents = self.cents(tier.get("cents"), "A price", *here, "cents")
            if first and expected is None:
                self.wrong("The tier before this one has no end, so they overlap.", *here, "from")
            elif first and expected and first > expected:
                gap = f"unit {expected}" if first == expected + 1 else f"units {expected} to {first - 1}"
                self.wrong(f"There is a gap: {gap} would have no price.", *here, "from")
            elif first and expected and first < expected:
                self.wrong(
                    f"Two tiers overlap: unit {first} has a price already; this one begins at {expected}.",
                    *here, "from",
                )  # fmt: skip
            if last and last < first:
                self.wrong(f"This tier ends at {last}, before it begins at {first}.", *here, "to")
                last = 0
            expected = None if last is None else last and last + 1
            found.append(Tier(first, last, cents))
        if expected:
            self.wrong(
                f"There is a gap: units from {expected} on would have no price; the last tier has no `to`.",
                *at, "tiers", len(listed) - 1,
            )  # fmt: skip
        return tuple(found)

    def bound(self, value: object, what: str, *path: str | int) -> int:
        """A bound of a tier; 0 when it is none, so that nothing is made of it."""
        before = len(self.problems)
        found = self.whole(value, what, MOST, *path)
        return found if len(self.problems) == before else 0

    def rules(self, value: object, plans: Mapping[str, Plan]) -> tuple[Rule, ...]:
        if not isinstance(value, list) or not value:
            self.wrong(
                "`apply` is a list: whom each plan is for, such as `- {label: tier=gold, plan: gold}`.",
                "apply",
            )
            return ()
        found: list[Rule] = []
        lines: dict[tuple[Any, ...], int] = {}
        for place, entry in enumerate(value):
            rule = self.rule(entry, plans, "apply", place)
            if rule is None:
                continue
            everybody = lines.get((None, "", ""))
            same = lines.get((rule.label, rule.organization, rule.node))
            if same is not None:
                self.wrong(f"{rule.words.capitalize()} has a plan already, on line {same}.", "apply", place)
            elif everybody is not None:
                self.wrong(
                    f"This is never reached: line {everybody} is for everybody; put it last.", "apply", place
                )
            else:
                lines[rule.label, rule.organization, rule.node] = rule.line
            found.append(rule)
        return tuple(found)

    def rule(self, entry: object, plans: Mapping[str, Plan], *at: str | int) -> Rule | None:
        if not isinstance(entry, dict):
            self.wrong(
                "A line of `apply` is a mapping with `plan`, and `label`, `organization` or `node`.", *at
            )
            return None
        self.unknown(entry, _RULE, "a line of `apply`", *at)
        plan = entry.get("plan")
        if plan != NONE and (
            not isinstance(plan, str) or plan not in (self.document.value.get("plans") or {})
        ):
            self.wrong(f"There is no plan {_q(plan)}; there are {', '.join((*plans, NONE))}.", *at, "plan")
            plan = NONE
        given = [key for key in ("label", "organization", "node") if key in entry]
        if len(given) > 1:
            self.wrong(f"A line of `apply` has `{given[0]}` or `{given[1]}`, not both.", *at)
        whom = {key: self.whom(key, entry[key], *at) for key in given}
        if len(given) > 1 or not all(whom.values()):
            return None
        line = self.document.line(*at)
        if "label" in whom:
            name, _, text = whom["label"].partition("=")
            return Rule(plan, label=(name, text), line=line)
        return Rule(plan, organization=whom.get("organization", ""), node=whom.get("node", ""), line=line)

    def whom(self, key: str, value: object, *at: str | int) -> str:
        """Whom a line of `apply` is about; "" when it says that in no way."""
        if not isinstance(value, str) or not value:
            self.wrong(f"{_q(value)} is not text to YAML; write it in quotes.", *at, key)
            return ""
        if key == "label":
            name, _, text = value.partition("=")
            if not name or not text:
                self.wrong(f"A label is written `name=text`, not {_q(value)}.", *at, key)
                return ""
        elif key == "organization":
            if not _OID.fullmatch(value):
                self.wrong(f"An organization is named by its oid, not {_q(value)}.", *at, key)
                return ""
            if self._oids is not None and value not in self._oids:
                self.wrong(f"No organization with the oid {value} is known.", *at, key)
        elif self._nodes is not None and value not in self._nodes:
            self.wrong(f"The tree has no node with the id {_q(value)}.", *at, key)
        return value

    def costs(self, value: object, currency: str) -> tuple[int | None, tuple[Item, ...]]:
        if value is None:
            return None, ()
        if not isinstance(value, dict):
            self.wrong("`costs` is a mapping with `analyst_hour` and `contract`.", "costs")
            return None, ()
        self.unknown(value, _COSTS, "`costs`", "costs")
        hour = (
            self.cents(value["analyst_hour"], "`analyst_hour`", "costs", "analyst_hour")
            if "analyst_hour" in value
            else None
        )
        listed = value.get("contract")
        if listed is None:
            return hour, ()
        if not isinstance(listed, list):
            self.wrong("`contract` is a list of what the vendor charges.", "costs", "contract")
            return hour, ()
        found: list[Item] = []
        lines: dict[str, int] = {}
        for place, entry in enumerate(listed):
            at = ("costs", "contract", place)
            if not isinstance(entry, dict):
                self.wrong("A line of the contract is a mapping with `sku` and `metric`.", *at)
                continue
            self.unknown(entry, _CONTRACT, "a line of the contract", *at)
            sku = self.text(entry.get("sku"), "A SKU", *at, "sku")
            line = self.document.line(*at)
            if (other := lines.setdefault(sku, line)) != line:
                self.wrong(f"The SKU {_q(sku)} is on line {other} too.", *at, "sku")
            paid_in = self.currency(entry["currency"], *at, "currency") if "currency" in entry else currency
            found.append(Item(sku, currency=paid_in, partial="whole", line=line, **self.priced(entry, *at)))
        return hour, tuple(found)


def _q(value: object) -> str:
    """A word of the file inside a sentence: quoted, escaped, and cut."""
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else str(value)
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")
