"""What organizations pay: status, details, invoices, prices. Amounts are in cents, as Stripe's are."""

import csv
import datetime
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from console.sandbox import activity
from console.sandbox.calls import Call, Refusal, not_found, table
from console.sandbox.chance import hex_of
from console.sandbox.organizations import Organization
from console.sandbox.world import World

Days = list[dict[str, int]]


@dataclass(frozen=True, slots=True)
class _Sku:
    """Something that is paid for by the unit."""

    sku_id: str
    category: str
    label: str
    description: str
    unit_type: str
    unit_label: str
    meta_product: str
    cents: int
    """Per unit."""
    units: Callable[[Days], int]
    """Of a month, out of its days' usage."""


def _total(name: str, unit: int) -> Callable[[Days], int]:
    """Units that were begun, over all days."""
    return lambda days: -(-sum(day[name] for day in days) // unit)


def _most(name: str) -> Callable[[Days], int]:
    return lambda days: max((day[name] for day in days), default=0)


_SKUS = (
    _Sku(
        "sensor-month", "sensors", "sensor", "Endpoint and adapter sensors", "sensor", "sensor / month",
        "endpoint", 250, _most("sensor_retained"),
    ),
    _Sku(
        "insight-retention", "retention", "Insight retention", "One year of telemetry", "sensor",
        "sensor / month", "insight", 40, _most("sensor_retained"),
    ),
    _Sku(
        "output-gb", "outputs", "output data", "Data sent to outputs", "bytes", "GB", "output", 15,
        _total("output_bytes_tx", 10**9),
    ),
    _Sku(
        "replay-evals", "replay", "replay evaluations", "Rule evaluations over the past", "evaluations",
        "1000 evaluations", "replay", 1, _total("replay_num_evals", 1000),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Line:
    sku: _Sku
    quantity: int

    @property
    def description(self) -> str:
        return f"{self.quantity} x {self.sku.label}"

    @property
    def amount(self) -> int:
        return self.quantity * self.sku.cents


@dataclass(frozen=True, slots=True)
class _Invoice:
    """A month of an organization."""

    organization: Organization
    year: int
    month: int
    start: int
    """Seconds, UTC."""
    end: int
    """The first second of the next month."""
    lines: tuple[_Line, ...]

    @property
    def amount(self) -> int:
        return sum(line.amount for line in self.lines)


def _bounds(year: int, month: int) -> tuple[int, int]:
    first = datetime.datetime(year, month, 1, tzinfo=datetime.UTC)
    after = (first + datetime.timedelta(days=31)).replace(day=1)
    return int(first.timestamp()), int(after.timestamp())


def _invoice(world: World, one: Organization, year: int, month: int) -> _Invoice:
    """What a month costs, by the usage that has been counted: yesterday is the newest day of it."""
    start, end = _bounds(year, month)
    today = datetime.datetime.fromtimestamp(world.clock() // 1000, datetime.UTC).date()
    days: Days = []
    day = datetime.datetime.fromtimestamp(start, datetime.UTC).date()
    created = datetime.datetime.fromtimestamp(one.created, datetime.UTC).date()
    while not one.blank and day < today and day.month == month:
        if day >= created:
            days.append(activity.used_on(world.seed, one, day.isoformat(), weekend=day.weekday() >= 5))
        day += datetime.timedelta(days=1)
    if not days and not one.blank:
        # On the first of a month nothing is counted yet, but the sensors are there.
        days = [{"sensor_retained": one.sensors, "output_bytes_tx": 0, "replay_num_evals": 0}]
    lines = tuple(_Line(sku, quantity) for sku in _SKUS if (quantity := sku.units(days)))
    return _Invoice(one, year, month, start, end, lines)


def _is_past_due(one: Organization) -> bool:
    return not one.blank and one.index % 43 == 17


def _customer(one: Organization) -> str:
    return f"cus_{one.oid[:14].replace('-', '')}"


def _number(one: Organization, year: int, month: int) -> str:
    return f"in_{hex_of('invoice', one.oid, year, month, length=24)}"


def _lines(invoice: _Invoice) -> dict[str, Any]:
    number = _number(invoice.organization, invoice.year, invoice.month)
    return {
        "object": "list",
        "data": [
            {
                "id": f"il_{hex_of(number, line.sku.sku_id, length=24)}",
                "object": "line_item",
                "description": line.description,
                "amount": line.amount,
                "currency": "usd",
                "quantity": line.quantity,
                "period": {"start": invoice.start, "end": invoice.end},
                "price": {"object": "price", "unit_amount": line.sku.cents, "currency": "usd"},
            }
            for line in invoice.lines
        ],
        "has_more": False,
        "total_count": len(invoice.lines),
    }


def _simple(invoice: _Invoice) -> list[dict[str, Any]]:
    return [
        {
            "description": line.description,
            "sku": line.sku.sku_id,
            "quantity": line.quantity,
            "unit_amount": line.sku.cents,
            "amount": line.amount,
            "currency": "usd",
        }
        for line in invoice.lines
    ]


def _csv(invoice: _Invoice) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("description", "sku", "quantity", "unit_amount", "amount", "currency"))
    writer.writerows(tuple(line.values()) for line in _simple(invoice))
    return text.getvalue()


@table.add("GET", "/v1/orgs/{oid}/billing/status")
def status(call: Call) -> object:
    """Whether the organization is behind with paying."""
    return {"is_past_due": _is_past_due(call.organization("billing.ctrl"))}


@table.add("GET", "/v1/orgs/{oid}/billing/details")
def details(call: Call) -> object:
    """The customer, and the invoice to come (Stripe objects passed through)."""
    one = call.organization("billing.ctrl")
    now = time.gmtime(call.world.clock() // 1000)
    invoice = _invoice(call.world, one, now.tm_year, now.tm_mon)
    return {
        "customer": {
            "id": _customer(one),
            "object": "customer",
            "name": one.name,
            "email": f"billing@{one.domain}",
            "currency": "usd",
            "delinquent": _is_past_due(one),
        },
        "status": {"is_past_due": _is_past_due(one)},
        "upcoming_invoice": {
            "object": "invoice",
            "currency": "usd",
            "period_start": invoice.start,
            "period_end": invoice.end,
            "amount_due": invoice.amount,
            "lines": _lines(invoice),
        },
    }


def _issued(call: Call, one: Organization, year: str, month: str) -> _Invoice:
    """The invoice of a month that is over.

    Raises:
        Refusal: 400 for what is no month, 404 for one before the organization or not over.
    """
    # Go's client takes the years 2000 to 3000.
    if not (year.isdecimal() and month.isdecimal() and 2000 <= int(year) <= 3000 and 1 <= int(month) <= 12):
        raise Refusal(400, "bad year or month")
    end = _bounds(int(year), int(month))[1]
    if end <= one.created or end > call.world.clock() // 1000:
        raise not_found()
    return _invoice(call.world, one, int(year), int(month))


@table.add("GET", "/v1/orgs/{oid}/billing/invoice/{year}/{month}")
def invoice(call: Call) -> object:
    """The invoice of a month: where it can be read, as Stripe's object, as its lines, or as CSV."""
    one = call.organization("billing.ctrl")
    found = _issued(call, one, call.params["year"], call.params["month"])
    wanted = call.asked("format")
    number = _number(one, found.year, found.month)
    url = f"{call.sandbox.url}/invoices/{one.oid}/{found.year}/{found.month:02}/{number}"
    if wanted == "":
        return {"url": url}
    if wanted == "simple_json":
        return {"lines": _simple(found)}
    if wanted == "simple_csv":
        return {"csv": _csv(found)}
    if wanted != "json":
        raise Refusal(400, "bad parameter format")
    newest = found.end > call.world.clock() // 1000 - 31 * 86_400
    unpaid = _is_past_due(one) and newest
    return {
        "invoice": {
            "id": number,
            "object": "invoice",
            "number": f"{one.slug[:8].upper()}-{found.year}{found.month:02}",
            "customer": _customer(one),
            "customer_name": one.name,
            "currency": "usd",
            "created": found.end,
            "period_start": found.start,
            "period_end": found.end,
            "subtotal": found.amount,
            "total": found.amount,
            "amount_due": found.amount,
            "amount_paid": 0 if unpaid else found.amount,
            "amount_remaining": found.amount if unpaid else 0,
            "paid": not unpaid,
            "status": "open" if unpaid else "paid",
            "hosted_invoice_url": url,
            "lines": _lines(found),
        }
    }


@table.add("GET", "/invoices/{oid}/{year}/{month}/{number}", open=True)
def page(call: Call) -> object:
    """The invoice where its address points: whoever knows the address may read it."""
    one = call.world.by_oid.get(call.params["oid"])
    if one is None:
        raise not_found()
    found = _issued(call, one, call.params["year"], call.params["month"])
    if call.params["number"] != _number(one, found.year, found.month):
        raise not_found()
    return web.Response(text=_csv(found), content_type="text/csv")


@table.add("GET", "/v1/orgs/{oid}/billing/sku")
def skus(call: Call) -> object:
    """What is metered, and its prices."""
    call.organization("billing.ctrl")
    return {
        "skus": [
            {
                "sku_id": sku.sku_id,
                "plan_id": f"plan_{sku.sku_id}",
                "category": sku.category,
                "label": sku.label,
                "description": sku.description,
                "unit_type": sku.unit_type,
                "unit_label": sku.unit_label,
                "meta_product": sku.meta_product,
                "pricing": {"unit_amount": sku.cents, "currency": "usd", "interval": "month"},
            }
            for sku in _SKUS
        ]
    }


@table.add("GET", "/v1/plans")
def plans(call: Call) -> object:
    """The plans a person can choose from."""
    call.user()
    sensors = next(sku for sku in _SKUS if sku.sku_id == "sensor-month")
    return {
        "plans": [
            {
                "id": "free",
                "name": "Free",
                "region": "all",
                "description": "Two organizations of two sensors each",
                "price": 0,
                "currency": "usd",
                "features": ["2 sensors", "full capabilities"],
            },
            {
                "id": "per-sensor",
                "name": "Per sensor",
                "region": "all",
                "description": "By the number of sensors, each month",
                "price": sensors.cents / 100,
                "currency": "usd",
                "features": ["any number of sensors", "outputs", "retention for a year"],
            },
        ]
    }


@table.add("GET", "/v1/user/self/auth")
def requirements(call: Call) -> object:
    """How the person has to sign in."""
    user = call.world.access.users[call.user().ident]
    return {"requirements": {"methods": ["password", "google", "microsoft"], "mfa": user.mfa}}
