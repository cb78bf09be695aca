"""What an organization uses, how full its quota is, and what it is charged for the last month."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection
from textual.content import Content

from screens.billing_words import usage_lines
from screens.context import HEALTH_STYLES, Context
from screens.organization_tabs.words import field
from screens.widgets.text import line
from store.billing import Charged
from store.money import money
from store.months import called, day_moved, day_of
from store.pricebook import PriceBookError
from store.queries.billing import Used, book_for, last_month, statement, used

TITLE = "Usage"
READS = frozenset(("usage", "quota_reading", "price_book", "vendor_invoice"))
DAYS = 30


@dataclass(frozen=True, slots=True)
class Found:
    """The last days, and the last month that is over where a price book holds for it."""

    used: Used
    month: str
    charged: Charged | None


def read(connection: Connection, oid: str, now: int) -> Found | None:
    """What is told of its usage; None when the store does not know it, or knows that it is gone."""
    yesterday = day_moved(day_of(now), -1)
    found = used(connection, first=day_moved(yesterday, 1 - DAYS), last=yesterday, now=now, oid=oid)
    if not found.rows:
        return None
    month = last_month(now)
    try:
        book = book_for(connection, month)
    except PriceBookError:
        book = None
    made = statement(connection, book, month, now=now, oid=oid) if book is not None else None
    return Found(found, month, made.customers[0] if made is not None and made.customers else None)


def lines(found: Found, context: Context, wide: bool) -> list[Content]:
    """The quota first, then what it is charged, then each metric with its days."""
    head, *rest = usage_lines(found.used.rows[0], found.used, 54 if wide else 78)
    made = [head]
    each = found.charged
    if each is not None:
        totals = " + ".join(money(cents, code) for code, cents in sorted(each.totals.items())) or "nothing"
        said = "not in the statement" if each.state == "missing" else f"{totals} by {each.plan}"
        lacking = " ".join(each.notes)
        made.append(field("charged", f"{called(found.month)}: {said}", (" (not an invoice)", "dim")))
        if lacking:
            made.append(line((f" ~ {lacking}", HEALTH_STYLES["partly"])))
    return [*made, *rest]
