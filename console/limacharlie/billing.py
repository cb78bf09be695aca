"""What an organization costs. Amounts are Stripe's: cents of the currency that stands beside them."""

from typing import Any

from console.limacharlie import answers
from console.limacharlie.errors import Invalid
from console.limacharlie.handle import Part

INVOICES = {"": "url", "json": "invoice", "simple_json": "lines", "simple_csv": "csv"}
"""The formats of an invoice, and where each is in its answer (official client, `sdk/billing.py`)."""


class Billing(Part):
    """Billing of an organization; all of it needs `billing.ctrl`."""

    async def billing_status(self) -> bool:
        """Whether it is behind with paying (`GET orgs/{oid}/billing/status`)."""
        answer = await self._get("orgs/{oid}/billing/status")
        return answers.truth(
            answers.member(answer.json(), "is_past_due", answer.what), answer.what, "is_past_due"
        )

    async def billing_details(self) -> dict[str, Any]:
        """Customer, status and the invoice to come (`GET orgs/{oid}/billing/details`), as received.

        Returns:
            {customer, status: {is_past_due}, upcoming_invoice}; Stripe's own objects, in cents.
        """
        answer = await self._get("orgs/{oid}/billing/details")
        held = answers.mapping(answer.json(), answer.what)
        for name in ("customer", "status", "upcoming_invoice"):
            answers.mapping(answers.given(answers.member(held, name, answer.what), {}), answer.what, name)
        return held

    async def invoice(self, year: int, month: int, form: str = "json") -> Any:
        """The invoice of a month (`GET orgs/{oid}/billing/invoice/{year}/{month}`).

        Args:
            month: 1 to 12.
            form: of INVOICES: "" for a link, `json` for Stripe's object, `simple_json` for its lines,
                `simple_csv` for them as text.

        Returns:
            A URL, an object, a list of objects, or text.

        Raises:
            Gone: there is none for this month.
        """
        if form not in INVOICES:
            raise Invalid(f"{form[:80]!a} is not a format of an invoice.")
        if not 1 <= month <= 12 or not 2000 <= year <= 9999:
            raise Invalid("An invoice is of a year and a month from 1 to 12.")
        answer = await self._get(
            "orgs/{oid}/billing/invoice/{year}/{month}",
            {"format": form} if form else {},
            year=f"{year:04d}",
            month=f"{month:02d}",
        )
        name = INVOICES[form]
        held = answers.member(answer.json(), name, answer.what)
        if form == "json":
            return answers.mapping(held, answer.what, name)
        if form == "simple_json":
            return answers.mappings(answers.given(held, []), answer.what, name)
        return answers.text(held, answer.what, name)

    async def skus(self) -> list[dict[str, Any]]:
        """What is charged for, and at which price (`GET orgs/{oid}/billing/sku`), as received."""
        answer = await self._get("orgs/{oid}/billing/sku")
        return answers.mappings(answers.member(answer.json(), "skus", answer.what), answer.what, "skus")
