"""What customers are charged by, what the vendor charged, and how full sensor quotas were."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Integer, LargeBinary
from sqlmodel import Field

from store.models.base import Model

_ID = BigInteger().with_variant(Integer, "sqlite")


class PriceBook(Model, table=True):
    """A price book as it was imported. None is ever changed: a statement of an older month needs its own."""

    __tablename__ = "price_book"

    id: int | None = Field(default=None, sa_type=_ID, primary_key=True)
    name: str = Field(default="")
    hash: str = Field(default="")
    """SHA-256 of the file."""
    body: bytes = Field(sa_type=LargeBinary)
    """The file, byte for byte."""
    by: str = Field(default="")
    imported_at: int = Field(sa_type=BigInteger)


class VendorInvoice(Model, table=True):
    """What LimaCharlie charged for an organization and a month, as it was read last."""

    __tablename__ = "vendor_invoice"

    oid: str = Field(primary_key=True)
    month: str = Field(primary_key=True)
    """YYYY-MM."""
    state: str = Field(default="")
    """Of `store.billing.INVOICE_STATES`."""
    reason: str = Field(default="")
    """Why it could not be read; "" otherwise."""
    number: str = Field(default="")
    currency: str = Field(default="")
    """ISO 4217, upper case."""
    cents: int = Field(default=0, sa_type=BigInteger)
    """Its total, in the smallest unit of the currency."""
    lines: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    """[{description, sku, quantity, cents, currency}]; quantity and sku as far as told."""
    read_at: int = Field(sa_type=BigInteger)


class QuotaReading(Model, table=True):
    """The sensor quota of an organization on a day on which something of it changed."""

    __tablename__ = "quota_reading"

    oid: str = Field(primary_key=True)
    day: str = Field(primary_key=True)
    """YYYY-MM-DD, UTC; it holds until the next one."""
    quota: int | None = None
    used: float | None = None
    """Weighted sensors."""
    breakdown: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """Kind of sensor -> {count, weight, quota}, as received."""
