"""What billing rests on, written: price books, the vendor's invoices, readings of quotas.

Every function takes a connection of `Store.writing()`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from store import models
from store.billing import INVOICE_STATES
from store.bodies import storable
from store.journal import append
from store.months import day_of
from store.pricebook import PriceBook, read_pricebook
from store.queries.billing import known_metrics, known_nodes, known_oids

_BOOK: Table = models.PriceBook.__table__  # type: ignore[attr-defined]
_INVOICE: Table = models.VendorInvoice.__table__  # type: ignore[attr-defined]
_QUOTA: Table = models.QuotaReading.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import."""

    id: int
    book: PriceBook
    new: bool
    """Whether it is another one than the newest."""


def checked(c: Connection, body: bytes, *, file: str = "") -> PriceBook:
    """A price book against what the store knows of metrics, organizations and the tree.

    Raises:
        PriceBookError: with everything that is wrong, each with its line.
    """
    # Of an empty store nothing says that an organization does not exist.
    return read_pricebook(
        body,
        file=file,
        metrics=known_metrics(c),
        oids=known_oids(c) or None,
        nodes=known_nodes(c) or None,
    )


def put_book(c: Connection, body: bytes, *, file: str = "", by: str, actor: str, now: int) -> Imported:
    """Keep a price book as the newest one; the same file again is no other one.

    Raises:
        PriceBookError: something is wrong with it; nothing was written.
    """
    book = checked(c, body, file=file)
    newest = c.execute(select(_BOOK.c.id, _BOOK.c.hash).order_by(_BOOK.c.id.desc()).limit(1)).one_or_none()
    if newest is not None and newest.hash == book.digest:
        return Imported(newest.id, book, new=False)
    values = {"name": book.name, "hash": book.digest, "body": body, "by": storable(by), "imported_at": now}
    made: int = c.execute(insert(_BOOK).values(values)).inserted_primary_key[0]  # type: ignore[index]
    append(
        c, actor, "billing.prices", target=book.name,
        detail={"book": made, "hash": book.digest, "before": newest.hash if newest is not None else None},
        now=now,
    )  # fmt: skip
    return Imported(made, book, new=True)


def put_invoice(
    c: Connection,
    oid: str,
    month: str,
    state: str,
    *,
    reason: str = "",
    number: str = "",
    currency: str = "",
    cents: int = 0,
    lines: Sequence[Mapping[str, Any]] = (),
    now: int,
) -> int:
    """Keep what the vendor charged for a month. One that was read stays until it is read again.

    Args:
        state: of `store.billing.INVOICE_STATES`.
        lines: `description`, `sku`, `quantity` (a whole number or None), `cents`, `currency` of each.

    Returns:
        1 when something was written, else 0.
    """
    if state not in INVOICE_STATES:
        raise ValueError(f"{state} is no state of an invoice")
    here = (_INVOICE.c.oid == oid) & (_INVOICE.c.month == month)
    before = c.execute(select(_INVOICE.c.state).where(here)).scalar_one_or_none()
    if before == "read" and state != "read":
        return 0
    values = {
        "state": state, "reason": storable(reason), "number": storable(number), "currency": currency,
        "cents": cents, "read_at": now,
        "lines": [
            {
                "description": storable(line.get("description") or ""),
                "sku": storable(line.get("sku") or ""),
                "quantity": line.get("quantity"), "cents": line["cents"], "currency": line["currency"],
            }
            for line in lines
        ],
    }  # fmt: skip
    if before is None:
        c.execute(insert(_INVOICE).values(oid=oid, month=month, **values))
    else:
        c.execute(update(_INVOICE).where(here).values(**values))
    return 1


def put_quota(
    c: Connection,
    oid: str,
    quota: int | None,
    used: float | None,
    breakdown: Mapping[str, Any],
    *,
    now: int,
) -> int:
    """Note the quota of today where anything of it differs from the last reading; 1 when it does.

    That it may not be read any more (None, None and no breakdown) differs too: it is unknown from then on.

    Args:
        breakdown: as received.
    """
    last = c.execute(
        select(_QUOTA).where(_QUOTA.c.oid == oid).order_by(_QUOTA.c.day.desc()).limit(1)
    ).one_or_none()
    values = {
        "quota": quota if quota is not None and 0 <= quota < 2**31 else None,
        "used": float(used) if used is not None and math.isfinite(used) else None,
        "breakdown": {storable(kind): _part(part) for kind, part in breakdown.items()},
    }
    if last is None and quota is None and used is None:
        return 0
    if last is not None and all(getattr(last, name) == value for name, value in values.items()):
        return 0
    day = day_of(now)
    c.execute(delete(_QUOTA).where(_QUOTA.c.oid == oid, _QUOTA.c.day == day))
    c.execute(insert(_QUOTA).values(oid=oid, day=day, **values))
    return 1


def _part(part: object) -> dict[str, float | int]:
    """Of a kind of sensor the figures; the documentation calls the number `count`, the client `n`."""
    if not isinstance(part, Mapping):
        return {}
    named = {
        "count": part.get("count", part.get("n")),
        "weight": part.get("weight"),
        "quota": part.get("quota"),
    }
    return {
        name: value
        for name, value in named.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
