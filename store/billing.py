"""What customers are charged for a month, exactly: quantities and prices in, lines in whole cents out.

Nothing here reads the store (`store.queries.billing` does), and nothing is a float. A line is worked out as a
fraction and rounded once, at its end, to the nearest cent with a half away from zero; every total is a sum of
rounded lines, so that lines and totals agree to the cent however they are grouped. Amounts of different
currencies are never added up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from store.money import WHOLE, money, percent, rounded
from store.pricebook import ANALYST, EVERYTHING, Blocks, Item, Measure, Plan, Pricing, Tier
from store.text import Untrusted

NOTICE: Final = "Not an invoice: worked out from usage as LimaCharlie tells it, by the provider's price book."
"""Stands on everything that is printed, shown or written."""

STATES: Final = ("complete", "partly", "missing")
"""Of a customer's part of a statement: everything is in it; something is lacking, which is named; it is not
in the totals at all."""

INVOICE_STATES: Final = ("read", "none", "failed")
"""Of the vendor's invoice: as it was read; the cloud has none of that month; it could not be read."""

NOTHING: Final = Untrusted("")

MINIMUM: Final = "Minimum of the month"
"""The item of the line that lifts a customer to the plan's minimum."""


# One line


def measured(days: Sequence[Fraction], measure: Measure) -> Fraction:
    """What the figures of some days, the oldest first, come to; nothing is 0."""
    if not days:
        return Fraction(0)
    if measure == "sum":
        return sum(days, Fraction(0))
    if measure == "peak":
        return Fraction(max(days))
    if measure == "average":
        return sum(days, Fraction(0)) / len(days)
    return Fraction(days[-1])


@dataclass(frozen=True, slots=True)
class Figures:
    """A metric over some days, as far as any measure needs it."""

    total: Fraction
    peak: Fraction
    last: Fraction
    """Of the newest day."""
    days: int

    @classmethod
    def of(cls, values: Sequence[Fraction]) -> "Figures":
        """Of each day's figure, the oldest first."""
        return cls(measured(values, "sum"), measured(values, "peak"), measured(values, "last"), len(values))

    def by(self, measure: Measure) -> Fraction:
        """What the days come to."""
        if measure == "average":
            return self.total / self.days if self.days else Fraction(0)
        return {"sum": self.total, "peak": self.peak, "last": self.last}[measure]


NO_DAYS: Final = Figures(Fraction(0), Fraction(0), Fraction(0), 0)


def units_of(quantity: Fraction, per: int, blocks: Blocks) -> Fraction:
    """How many units are charged: those that were begun, or the exact share. Less than nothing is nothing."""
    exact = max(Fraction(0), quantity) / per
    return exact if blocks == "exact" else Fraction(-(-exact.numerator // exact.denominator))


def graduated(units: Fraction, tiers: Sequence[Tier]) -> Fraction:
    """Cents, each unit at the price of the tier that it lies in. Unit n is what is above n - 1 up to n."""
    total = Fraction(0)
    for tier in tiers:
        within = units - (tier.first - 1)
        if tier.last is not None:
            within = min(within, Fraction(tier.last - tier.first + 1))
        if within <= 0:
            break
        total += within * tier.cents
    return total


def volume(units: Fraction, tiers: Sequence[Tier]) -> Fraction:
    """Cents, all units at the price of the tier that the last of them lies in."""
    for tier in tiers:
        if tier.last is None or units <= tier.last:
            return units * tier.cents
    return Fraction(0)


_PRICED = {"graduated": graduated, "volume": volume}


def priced(units: Fraction, tiers: Sequence[Tier], pricing: Pricing) -> Fraction:
    """Cents, by the way of pricing that is named."""
    return _PRICED[pricing](units, tiers)


def charge(item: Item, units: Fraction, share: Fraction) -> int:
    """Cents of an item that is metered.

    The price by tiers, for the share of the month where it is a price of a month, with the markup on it; at
    least the minimum, for the same share; rounded once.

    Args:
        share: of the month's days on which the customer was one.
    """
    part = share if item.partial == "daily" else Fraction(1)
    price = priced(units, item.tiers, item.pricing)
    if item.measure != "sum":
        # What is added up over days has only the customer's own days in it already.
        price *= part
    return rounded(max(price * (WHOLE + item.markup) / WHOLE, item.minimum * part))


def passed_on(cents: int, markup: int) -> int:
    """Cents of a vendor's amount with a markup in basis points on it; a credit stays one."""
    return rounded(Fraction(cents * (WHOLE + markup), WHOLE))


# What goes in


@dataclass(frozen=True, slots=True)
class VendorLine:
    """One line of the vendor's invoice."""

    description: Untrusted
    sku: Untrusted
    """"" where the vendor tells none."""
    quantity: Fraction | None
    cents: int
    currency: str

    @property
    def name(self) -> Untrusted:
        """The SKU, else the description."""
        return self.sku or self.description


@dataclass(frozen=True, slots=True)
class Invoice:
    """The vendor's invoice of an organization and a month."""

    state: str
    """Of INVOICE_STATES."""
    reason: Untrusted = NOTHING
    number: Untrusted = NOTHING
    currency: str = ""
    cents: int = 0
    lines: tuple[VendorLine, ...] = ()
    read_at: int = 0

    @property
    def totals(self) -> dict[str, int]:
        """Currency -> cents: its total, as the vendor says it."""
        return {self.currency: self.cents} if self.state == "read" and self.currency else {}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an organization and a month."""

    oid: str
    name: Untrusted
    path: Untrusted
    days: int
    """Of the month."""
    first: str = ""
    """The first day on which it was a customer in that month; "" where its days contradict each other."""
    last: str = ""
    """And the last one."""
    present: int = 0
    """How many days that are."""
    usage: Mapping[str, Figures] = field(default_factory=dict)
    """Metric -> what its days come to: of the days above alone."""
    told: int = 0
    """Days of those above of which usage was told."""
    expected: int = 0
    """Days of which it could have been told: those that are over."""
    usage_note: str = ""
    """Why usage is lacking altogether; "" when some was told."""
    seconds: int = 0
    """Time that analysts logged."""
    invoice: Invoice | None = None
    """None when it was never read."""
    notes: tuple[str, ...] = ()
    """What else is wrong: a parameter that is no day."""

    @property
    def wholly_told(self) -> bool:
        """Whether usage was told of every day of which it could have been."""
        return not self.usage_note and self.told >= self.expected

    @property
    def share(self) -> Fraction:
        """Of the month's days on which it was a customer."""
        return Fraction(self.present, self.days) if self.days else Fraction(0)


# What comes out


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a statement."""

    oid: str
    item: str
    kind: str
    """usage, fee, time, vendor or minimum."""
    metric: str
    quantity: Fraction
    """Of the metric, in the measure of the item."""
    units: Fraction
    """That were charged."""
    unit: str
    how: str
    """In words, how it comes to its cents."""
    days: int
    of_days: int
    currency: str
    cents: int


@dataclass(frozen=True, slots=True)
class Charged:
    """One customer's part of a statement."""

    oid: str
    name: Untrusted
    path: Untrusted
    plan: str
    """"" when none is for it."""
    state: str
    """Of STATES."""
    notes: tuple[str, ...]
    """Sentences: what is lacking."""
    lines: tuple[Line, ...] = ()
    first: str = ""
    """"" where it is not known, as `Facts` has it."""
    last: str = ""
    days: int = 0
    of_days: int = 0
    told: int = 0
    """Days of which usage was told."""
    seconds: int = 0
    cost: Mapping[str, int] | None = None
    """What the vendor charged for it, currency -> cents; None when that is not known."""
    cost_from: str = ""
    """invoice, or contract: worked out from usage because no invoice was read."""
    expected: Mapping[str, int] | None = None
    """What the vendor should charge by contract; None when that is not known: usage of a day is lacking."""

    @property
    def totals(self) -> dict[str, int]:
        """Currency -> cents: the sum of its lines."""
        return totals(self.lines)

    @property
    def span(self) -> str:
        """`2026-10-01 to 2026-10-31`: when it was a customer in the month."""
        return f"{self.first} to {self.last}" if self.first else "from and to are not known"

    @property
    def unexpected(self) -> dict[str, int] | None:
        """Currency -> by how much the vendor's invoice is more than expected, where it is not; None where
        there is nothing to compare."""
        if self.cost_from != "invoice" or self.cost is None or self.expected is None:
            return None
        codes = sorted({*self.cost, *self.expected})
        found = {code: self.cost.get(code, 0) - self.expected.get(code, 0) for code in codes}
        return {code: cents for code, cents in found.items() if cents}


@dataclass(frozen=True, slots=True)
class Margin:
    """What is left of what a customer is charged."""

    revenue: int
    vendor: int | None
    """What the vendor charges; None when that is not known, or in another currency."""
    time: int | None
    """What the analysts' time cost; None when no hour has a cost."""
    currency: str
    why: str = ""
    """Why there is none; "" when there is one."""

    @property
    def cents(self) -> int | None:
        """Revenue less both; None when one of them, or a part of the revenue, is not known."""
        if self.why or self.vendor is None or self.time is None:
            return None
        return self.revenue - self.vendor - self.time

    @property
    def basis_points(self) -> int | None:
        """Of the revenue; None without a margin or a revenue."""
        left = self.cents
        return None if left is None or self.revenue <= 0 else rounded(Fraction(left * WHOLE, self.revenue))


@dataclass(frozen=True, slots=True)
class Statement:
    """What all customers of a scope are charged for a month."""

    month: str
    book: str
    digest: str
    """SHA-256 of the price book."""
    customers: tuple[Charged, ...]
    made_at: int
    closed: bool
    """Whether the month is over."""
    currency: str = ""
    """The book's."""
    analyst_hour: int | None = None
    oldest: int | None = None
    """When the usage was read that was read longest ago (ms)."""

    @property
    def lines(self) -> tuple[Line, ...]:
        """Of all customers."""
        return tuple(line for each in self.customers for line in each.lines)

    @property
    def totals(self) -> dict[str, int]:
        """Currency -> cents: the sum of all lines."""
        return totals(self.lines)

    @property
    def complete(self) -> int:
        """How many customers have everything in it."""
        return sum(each.state == "complete" for each in self.customers)

    @property
    def lacking(self) -> tuple[Charged, ...]:
        """Those of which something, or everything, is not in the totals."""
        return tuple(each for each in self.customers if each.state != "complete")

    @property
    def n_of_m(self) -> str:
        """`213 of 216 organizations complete; lacking: Acme (partly), ...`, at most three of them named."""
        said = f"{self.complete:,} of {len(self.customers):,} organizations complete"
        if not self.closed:
            said = f"the month is not over; {said}"
        lacking = self.lacking
        if not lacking:
            return said
        named = ", ".join(f"{each.name} ({each.state})" for each in lacking[:3])
        more = f", and {len(lacking) - 3:,} more" if len(lacking) > 3 else ""
        return f"{said}; lacking: {named}{more}"

    def by_item(self) -> dict[tuple[str, str], int]:
        """(item, currency) -> cents, in the order in which items come."""
        found: dict[tuple[str, str], int] = {}
        for line in self.lines:
            key = line.item, line.currency
            found[key] = found.get(key, 0) + line.cents
        return found

    def margin(self, each: Charged) -> Margin:
        """What is left of what a customer is charged."""
        return margin(each, self.currency, self.analyst_hour)

    def margins(self) -> dict[str, Margin]:
        """Currency -> what is left over the customers whose margin is known."""
        found: dict[str, Margin] = {}
        for each in self.customers:
            one = self.margin(each)
            if one.cents is None or one.vendor is None or one.time is None:
                continue
            before = found.get(one.currency, Margin(0, 0, 0, one.currency))
            found[one.currency] = Margin(
                before.revenue + one.revenue,
                (before.vendor or 0) + one.vendor,
                (before.time or 0) + one.time,
                one.currency,
            )
        return found


def totals(lines: Iterable[Line]) -> dict[str, int]:
    """Currency -> cents."""
    found: dict[str, int] = {}
    for line in lines:
        found[line.currency] = found.get(line.currency, 0) + line.cents
    return found


def margin(each: Charged, currency: str, analyst_hour: int | None) -> Margin:
    """What is left of what a customer is charged.

    Args:
        currency: the book's, in which an analyst's hour is given.
        analyst_hour: cents; None when it is not said what one costs.
    """
    charged = each.totals
    if len(charged) > 1:
        return Margin(0, None, None, currency, "it is charged in several currencies")
    paid_in = next(iter(charged), currency)
    revenue = charged.get(paid_in, 0)
    time: int | None
    if not each.seconds:
        time = 0
    elif analyst_hour is None:
        time = None
    else:
        time = rounded(Fraction(each.seconds * analyst_hour, 3600)) if paid_in == currency else None
    if each.state == "missing":
        return Margin(revenue, None, time, paid_in, "it is not in the statement")
    others = [code for code, cents in (each.cost or {}).items() if cents and code != paid_in]
    if each.state != "complete":
        # What is left of a part of the charge would be a loss that nobody made.
        known = None if each.cost is None or others else each.cost.get(paid_in, 0)
        return Margin(revenue, known, time, paid_in, "something of it is lacking")
    if each.cost is None:
        return Margin(revenue, None, time, paid_in, "what the vendor charges is not known")
    if others:
        said = f"the vendor charges in {', '.join(sorted(others))}, and nothing is converted"
        return Margin(revenue, None, time, paid_in, said)
    vendor = each.cost.get(paid_in, 0)
    if time is None:
        said = (
            "the price book does not say what an analyst's hour costs"
            if analyst_hour is None
            else f"an analyst's hour costs {currency}, and nothing is converted"
        )
        return Margin(revenue, vendor, None, paid_in, said)
    return Margin(revenue, vendor, time, paid_in)


def charged(facts: Facts, plan: Plan | None, *, contract: Sequence[Item] = ()) -> Charged:
    """What a customer is charged for a month.

    Args:
        plan: None when no rule of the price book is about it.
        contract: what the vendor charges, for the cost where no invoice was read.
    """
    expected = (
        totals(contracted(facts, item) for item in contract) if contract and facts.wholly_told else None
    )
    read = facts.invoice is not None and facts.invoice.state == "read"
    cost = facts.invoice.totals if facts.invoice is not None and read else expected
    head: dict[str, Any] = {
        "oid": facts.oid, "name": facts.name, "path": facts.path, "first": facts.first, "last": facts.last,
        "days": facts.present, "of_days": facts.days, "told": facts.told, "seconds": facts.seconds,
        "cost": cost, "expected": expected,
        "cost_from": "" if cost is None else "invoice" if read else "contract",
    }  # fmt: skip
    if plan is None:
        return Charged(plan="", state="missing", notes=("No plan of the price book is for it.",), **head)
    if not facts.present:
        return Charged(plan=plan.name, state="partly", notes=facts.notes, **head)
    lines: list[Line] = []
    notes = list(facts.notes)
    metered = False
    for item in plan.items:
        if item.vendor:
            lines += _vendor_lines(facts, item, plan, notes)
            continue
        usage = item.metric and not item.is_flat and item.metric != ANALYST
        metered = metered or bool(usage)
        if usage and facts.usage_note:
            continue
        lines.append(_line(facts, item, plan.currency))
    if metered and facts.present:
        if facts.usage_note:
            notes.append(facts.usage_note)
        elif facts.told < facts.expected:
            notes.append(f"Usage is told of {facts.told} of {facts.expected} days; the others count as none.")
    mine = sum(line.cents for line in lines if line.currency == plan.currency)
    least = rounded(plan.minimum * facts.share)
    if least > mine:
        lines.append(
            Line(
                facts.oid, MINIMUM, "minimum", "", Fraction(0), Fraction(1), "",
                f"{money(least, plan.currency)} at least", facts.present, facts.days, plan.currency,
                least - mine,
            )
        )  # fmt: skip
    return Charged(
        plan=plan.name,
        state="partly" if notes else "complete",
        notes=tuple(notes),
        lines=tuple(lines),
        **head,
    )


def _line(facts: Facts, item: Item, currency: str) -> Line:
    """A line that is metered, or a fee."""
    if item.is_flat:
        kind, quantity = "fee", Fraction(1)
    elif item.metric == ANALYST:
        kind, quantity = "time", Fraction(facts.seconds)
    else:
        kind, quantity = "usage", facts.usage.get(item.metric, NO_DAYS).by(item.measure)
    units = units_of(quantity, item.per, item.blocks)
    cents = charge(item, units, facts.share)
    return Line(
        facts.oid, item.name, kind, item.metric, quantity, units, item.unit,
        explained(item, units, facts, currency), facts.present, facts.days, currency, cents,
    )  # fmt: skip


def explained(item: Item, units: Fraction, facts: Facts, currency: str) -> str:
    """How a line comes to its cents: `12 GB at 0.20 EUR, +15 %, 17 of 31 days`."""
    unit = f" {item.unit}" if item.unit else ""
    parts = []
    used = [tier for tier in item.tiers if units > tier.first - 1] or list(item.tiers[:1])
    if item.is_flat:
        parts.append(money(item.tiers[0].cents, currency))
    elif len(used) == 1 or item.pricing == "volume":
        parts.append(f"{number(units)}{unit} at {money(used[-1].cents, currency)}")
    else:
        shares = []
        for tier in used:
            top = units if tier.last is None else min(units, Fraction(tier.last))
            shares.append(f"{number(top - (tier.first - 1))} at {money(tier.cents, currency)}")
        parts.append(f"{number(units)}{unit}: {', '.join(shares)}")
    if item.markup:
        parts.append(percent(item.markup))
    if item.minimum:
        parts.append(f"at least {money(item.minimum, currency)}")
    by_days = item.partial == "daily" and (item.measure != "sum" or item.minimum)
    if by_days and facts.present != facts.days:
        parts.append(f"{facts.present} of {facts.days} days")
    return ", ".join(parts)


def number(value: Fraction) -> str:
    """`1,234`, `0.25`; at most four digits behind the point, and `~` before it when there would be more."""
    if value.denominator == 1:
        return f"{value.numerator:,}"
    scaled = rounded(value * 10_000)
    whole, part = divmod(abs(scaled), 10_000)
    shown = f"{'-' if scaled < 0 else ''}{whole:,}.{part:04d}".rstrip("0").rstrip(".")
    return shown if value * 10_000 == scaled else f"~{shown}"


def _vendor_lines(facts: Facts, item: Item, plan: Plan, notes: list[str]) -> list[Line]:
    """What is passed on from the vendor's invoice: a line for each currency."""
    invoice = facts.invoice
    if not facts.present:
        return []
    if invoice is None or invoice.state == "failed":
        why = f" ({invoice.reason})" if invoice is not None and invoice.reason else ""
        notes.append(f"{item.name} is lacking: the vendor's invoice was not read{why}.")
        return []
    if invoice.state == "none":
        notes.append(f"{item.name} is lacking: the vendor has no invoice of this month.")
        return []
    others = {each.vendor for each in plan.items if each.vendor and each.vendor != EVERYTHING}
    wanted = [
        line
        for line in invoice.lines
        if (str(line.name) not in others if item.vendor == EVERYTHING else str(line.name) == item.vendor)
    ]
    by_currency: dict[str, int] = {}
    for line in wanted:
        by_currency[line.currency] = by_currency.get(line.currency, 0) + line.cents
    made = []
    for currency, cents in by_currency.items():
        how = f"{money(cents, currency)} of the vendor's invoice"
        how += f", {percent(item.markup)}" if item.markup else ""
        count = Fraction(sum(line.currency == currency for line in wanted))
        made.append(
            Line(
                facts.oid, item.name, "vendor", "", count, count, "line", how, facts.present, facts.days,
                currency, passed_on(cents, item.markup),
            )
        )  # fmt: skip
    return made


# The vendor


def contracted(facts: Facts, item: Item) -> Line:
    """What the vendor should charge by contract for what was used."""
    return _line(facts, item, item.currency)


@dataclass(frozen=True, slots=True)
class Compared:
    """One line of the vendor's invoice against what was used and the contract."""

    sku: Untrusted
    invoiced: int | None
    """Cents; None when the invoice has no such line."""
    expected: int | None
    """Cents by contract and usage; None when the contract has no such SKU."""
    currency: str
    quantity: Fraction | None = None
    """As the invoice tells it."""
    units: Fraction | None = None
    """As the usage comes to."""

    @property
    def difference(self) -> int:
        """Invoiced less expected."""
        return (self.invoiced or 0) - (self.expected or 0)

    @property
    def word(self) -> str:
        """same, more, less, or where it is not: not expected, not invoiced."""
        if self.expected is None:
            return "not expected"
        if self.invoiced is None:
            return "not invoiced"
        return "same" if not self.difference else "more" if self.difference > 0 else "less"


@dataclass(frozen=True, slots=True)
class Comparison:
    """An organization's invoice of the vendor against usage and contract."""

    oid: str
    name: Untrusted
    state: str
    """same, different, or why it cannot be compared: not read, none, failed, no usage, usage in part."""
    reason: str
    lines: tuple[Compared, ...] = ()
    invoiced: Mapping[str, int] = field(default_factory=dict)
    expected: Mapping[str, int] = field(default_factory=dict)
    unexplained: int = 0
    """What the invoice's total has beyond the sum of its own lines."""


def compared(facts: Facts, contract: Sequence[Item]) -> Comparison:
    """The vendor's invoice line by line against what was used, at the prices of the contract."""

    def without(state: str, reason: str) -> Comparison:
        return Comparison(facts.oid, facts.name, state, reason)

    invoice = facts.invoice
    if invoice is None:
        return without("not read", "The invoice was not read.")
    if invoice.state != "read":
        said = str(invoice.reason) or "The vendor has no invoice of this month."
        return without(invoice.state, said)
    if facts.usage_note:
        return without("no usage", facts.usage_note)
    if not facts.wholly_told:
        return without(
            "usage in part",
            f"Usage is told of {facts.told} of {facts.expected} days: what to expect is not known.",
        )
    wanted = {(item.name, item.currency): contracted(facts, item) for item in contract}
    lines: dict[tuple[str, str], Compared] = {}
    for line in invoice.lines:
        key = str(line.name), line.currency
        before = lines.get(key)
        expected = wanted.get(key)
        quantity = line.quantity
        if before is not None:
            known = before.quantity is not None and quantity is not None
            quantity = (before.quantity or Fraction(0)) + (quantity or Fraction(0)) if known else None
        lines[key] = Compared(
            line.name,
            line.cents + (before.invoiced or 0 if before is not None else 0),
            expected.cents if expected is not None else None,
            line.currency,
            quantity,
            expected.units if expected is not None else None,
        )
    for key, expected in wanted.items():
        if key not in lines and expected.cents:
            lines[key] = Compared(Untrusted(key[0]), None, expected.cents, key[1], None, expected.units)
    found = tuple(lines.values())
    unexplained = invoice.cents - sum(
        line.cents for line in invoice.lines if line.currency == invoice.currency
    )
    same = not unexplained and all(each.word == "same" for each in found)
    return Comparison(
        facts.oid, facts.name, "same" if same else "different", "", found, invoice.totals,
        totals(wanted.values()), unexplained,
    )  # fmt: skip


# How full a quota is


TREND_BLOCKS: Final = 6
"""Weeks that a trend is taken over: of each the highest day, so that weekends are no trend."""
FARTHEST: Final = 730
"""Days beyond which nothing is foretold."""
LEAST: Final = (1.0, 0.02)
"""Sensors, and the share of all, below which growth over the weeks looked at is not told from chance."""


def growth_a_day(days: Sequence[tuple[int, float]]) -> float | None:
    """How much the highest of a week grows a day, by the line that fits the last weeks best.

    Args:
        days: (number of the day, value), in any order; the last one is the newest.

    Returns:
        None with less than three weeks of them; 0 where it is so little that it may be chance.
    """
    if not days:
        return None
    newest = max(day for day, _ in days)
    highest: dict[int, float] = {}
    for day, value in days:
        week = (newest - day) // 7
        if week < TREND_BLOCKS:
            highest[week] = max(value, highest.get(week, value))
    if len(highest) < 3:
        return None
    points = [(-7.0 * week, value) for week, value in highest.items()]
    middle = sum(at for at, _ in points) / len(points)
    mean = sum(value for _, value in points) / len(points)
    spread = sum((at - middle) ** 2 for at, _ in points)
    slope = sum((at - middle) * (value - mean) for at, value in points) / spread
    grown = slope * (max(at for at, _ in points) - min(at for at, _ in points))
    return slope if abs(grown) >= max(LEAST[0], LEAST[1] * mean) else 0.0


def days_until_full(quota: int | None, used: float | None, growth: float | None) -> int | None:
    """Whole days until a quota is used up; 0 when it is; None when nothing says that it will be.

    Args:
        growth: weighted sensors a day.
    """
    if not quota or used is None:
        return None
    if used >= quota:
        return 0
    if growth is None or growth <= 0:
        return None
    days = (quota - used) / growth
    return int(-(-days // 1)) if days <= FARTHEST else None
