"""What organizations pay in the sandbox: the same figures in every form, out of the usage."""

import csv
import datetime
import io
from typing import Any

import pytest

from console.sandbox import activity
from console.sandbox.organizations import Organization
from console.sandbox.world import World
from tests.console.sandbox.conftest import NOW_MS, Asker

NOW = datetime.datetime.fromtimestamp(NOW_MS // 1000, datetime.UTC)
YEAR, MONTH = NOW.year, NOW.month - 1
"""The month before this one: it is over, and its usage is still told."""


def paid(asker: Asker, one: Organization) -> str:
    """Where the billing of an organization is."""
    return f"/v1/orgs/{one.oid}/billing"


def old(asker: Asker) -> Organization:
    """An organization from before that month."""
    found: Organization = next(
        one
        for one in asker.world.organizations
        if one.created < asker.world.now - 70 * 86_400 and one is not asker.world.unauthorized
    )
    return found


async def invoice(asker: Asker, one: Organization, wanted: str, year: int = YEAR, month: int = MONTH) -> Any:
    """The invoice of a month in a form."""
    token = await asker.token(oid=one.oid)
    query = {"format": wanted} if wanted else {}
    return await asker.get(f"{paid(asker, one)}/invoice/{year}/{month:02}", token, **query)


async def test_an_invoice_says_the_same_in_all_four_forms(asker: Any) -> None:
    one = old(asker)
    whole = (await invoice(asker, one, "json"))["invoice"]
    amounts = [line["amount"] for line in whole["lines"]["data"]]
    assert whole["total"] == whole["amount_paid"] + whole["amount_remaining"] == sum(amounts) > 0
    assert all(
        line["amount"] == line["quantity"] * line["price"]["unit_amount"] for line in whole["lines"]["data"]
    )
    simple = (await invoice(asker, one, "simple_json"))["lines"]
    assert [line["amount"] for line in simple] == amounts
    text = (await invoice(asker, one, "simple_csv"))["csv"]
    assert [row | {"amount": int(row["amount"])} for row in csv.DictReader(io.StringIO(text))] == [
        {name: str(value) for name, value in line.items()} | {"amount": line["amount"]} for line in simple
    ]
    url = (await invoice(asker, one, ""))["url"]
    assert url == whole["hosted_invoice_url"]
    async with asker.session.get(url) as answer:
        assert (answer.status, await answer.text()) == (200, text)
    async with asker.session.get(url[:-1] + ("0" if url[-1] != "0" else "1")) as answer:
        assert answer.status == 404


async def test_an_invoice_is_made_of_the_months_usage(asker: Any) -> None:
    one = old(asker)
    one.sensors = 100_000  # so that a day more or less is another gigabyte
    usage = (await asker.get(f"/v1/usage/{one.oid}", await asker.token(oid=one.oid)))["usage"]
    days = [figures for day, figures in usage.items() if day.startswith(f"{YEAR}-{MONTH:02}-")]
    assert len(days) >= 28
    lines = {line["sku"]: line["quantity"] for line in (await invoice(asker, one, "simple_json"))["lines"]}
    assert lines["sensor-month"] == one.sensors
    assert lines["output-gb"] == -(-sum(day["output_bytes_tx"] for day in days) // 10**9)
    assert lines.get("replay-evals", 0) == -(-sum(day["replay_num_evals"] for day in days) // 1000)


async def test_the_invoice_to_come_has_the_days_so_far(asker: Any) -> None:
    one = old(asker)
    one.sensors = 100_000
    token = await asker.token(oid=one.oid)
    details = await asker.get(f"{paid(asker, one)}/details", token)
    coming = details["upcoming_invoice"]
    assert coming["amount_due"] == sum(line["amount"] for line in coming["lines"]["data"])
    assert coming["period_start"] <= asker.world.now < coming["period_end"]
    usage = (await asker.get(f"/v1/usage/{one.oid}", token))["usage"]
    sent = sum(
        figures["output_bytes_tx"] for day, figures in usage.items() if day.startswith(NOW.strftime("%Y-%m"))
    )
    quantities = {
        line["description"].partition(" x ")[2]: line["quantity"] for line in coming["lines"]["data"]
    }
    assert quantities["output data"] == -(-sent // 10**9)
    assert quantities["sensor"] == one.sensors
    assert details["status"] == await asker.get(f"{paid(asker, one)}/status", token)


async def test_the_first_invoice_begins_with_the_day_of_the_organization(asker: Any) -> None:
    one = old(asker)
    one.sensors = 100_000
    one.created = int(datetime.datetime(YEAR, MONTH, 20, 23, tzinfo=datetime.UTC).timestamp())
    usage = (await asker.get(f"/v1/usage/{one.oid}", await asker.token(oid=one.oid)))["usage"]
    assert min(usage) == f"{YEAR}-{MONTH:02}-20"
    sent = sum(figures["output_bytes_tx"] for day, figures in usage.items() if day < NOW.strftime("%Y-%m"))
    lines = {line["sku"]: line["quantity"] for line in (await invoice(asker, one, "simple_json"))["lines"]}
    assert lines["output-gb"] == -(-sent // 10**9)
    before = f"{paid(asker, one)}/invoice/{YEAR}/{MONTH - 1:02}"
    assert (await asker.ask("GET", before, await asker.token(oid=one.oid)))[0] == 404


def test_a_day_costs_the_same_whenever_it_is_looked_at() -> None:
    world = World(seed=31, orgs=9, detections=0, now_ms=NOW_MS)
    one = min(world.organizations, key=lambda each: each.created)
    now = activity.usage(world.seed, one, world.now)
    later = activity.usage(world.seed, one, world.now + 10 * 86_400)
    both = now.keys() & later.keys()
    assert len(both) == 80
    assert {day: now[day] for day in both} == {day: later[day] for day in both}


@pytest.mark.parametrize(
    ("year", "month", "status"),
    [
        (NOW.year, NOW.month, 404),
        (NOW.year + 1, 1, 404),
        (2000, 1, 404),
        (NOW.year, 13, 400),
        (NOW.year, 0, 400),
        (1999, 1, 400),
    ],
)
async def test_there_are_invoices_of_months_that_are_over_only(
    asker: Any, year: int, month: int, status: int
) -> None:
    one = old(asker)
    token = await asker.token(oid=one.oid)
    path = f"{paid(asker, one)}/invoice/{year}/{month:02}"
    assert (await asker.ask("GET", path, token))[0] == status


async def test_a_form_that_is_none_is_refused(asker: Any) -> None:
    one = old(asker)
    path = f"{paid(asker, one)}/invoice/{YEAR}/{MONTH:02}?format=pdf"
    status, body, _ = await asker.ask("GET", path, await asker.token(oid=one.oid))
    assert (status, body) == (400, {"error": "bad parameter format"})


async def test_a_new_organization_owes_nothing(asker: Any) -> None:
    root = await asker.token(oid="-")
    _, body, _ = await asker.ask("POST", "/v1/orgs/new", root, data={"name": "Fresh Start"})
    one = asker.world.by_oid[body["data"]["oid"]]
    details = await asker.get(f"{paid(asker, one)}/details", await asker.token(oid=one.oid))
    assert details["upcoming_invoice"]["amount_due"] == 0
    assert details["upcoming_invoice"]["lines"]["data"] == []
    assert details["customer"]["name"] == "Fresh Start"


async def test_prices_are_those_of_the_invoice(asker: Any) -> None:
    one = old(asker)
    skus = (await asker.get(f"{paid(asker, one)}/sku", await asker.token(oid=one.oid)))["skus"]
    cents = {sku["sku_id"]: sku["pricing"]["unit_amount"] for sku in skus}
    lines = (await invoice(asker, one, "simple_json"))["lines"]
    assert lines
    assert all(cents[line["sku"]] == line["unit_amount"] for line in lines)
    wanted = {
        "sku_id",
        "plan_id",
        "category",
        "label",
        "description",
        "unit_type",
        "unit_label",
        "meta_product",
    }
    assert all(wanted <= set(sku) for sku in skus)


@pytest.mark.parametrize("what", ["status", "details", "sku", f"invoice/{YEAR}/{MONTH:02}"])
async def test_billing_takes_its_permission(asker: Any, what: str) -> None:
    one = old(asker)
    token = await asker.token(oid=one.oid, perms="org.get,user.ctrl")
    status, body, _ = await asker.ask("GET", f"{paid(asker, one)}/{what}", token)
    assert (status, "billing.ctrl" in body["error"]) == (401, True)


@pytest.mark.parametrize("path", ["/v1/plans", "/v1/user/self/auth"])
async def test_plans_and_requirements_are_for_persons(asker: Any, path: str) -> None:
    key = asker.world.access.keys(asker.one)[0]
    _, body = await asker.exchange(oid=asker.one.oid, secret=key.secret)
    status, refusal, _ = await asker.ask("GET", path, body["jwt"])
    assert (status, "only user-based" in refusal["error"]) == (401, True)


async def test_plans_and_requirements_are_told(asker: Any) -> None:
    token = await asker.token(oid="-")
    plans = (await asker.get("/v1/plans", token))["plans"]
    skus = (await asker.get(f"{paid(asker, asker.one)}/sku", await asker.token(oid=asker.one.oid)))["skus"]
    sensor = next(sku["pricing"]["unit_amount"] for sku in skus if sku["sku_id"] == "sensor-month")
    assert {plan["price"] for plan in plans} == {0, sensor / 100}
    assert all({"id", "name", "region", "description", "currency", "features"} <= set(plan) for plan in plans)
    for user in asker.world.access.users.values():
        said = await asker.get("/v1/user/self/auth", await asker.token(email=user.email, oid="-"))
        assert said["requirements"]["mfa"] is user.mfa
