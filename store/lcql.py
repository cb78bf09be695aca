"""Searching the past of several organizations: the question, its price, and what a row says."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from store.ingest import milliseconds
from store.times import rfc3339

STREAMS: tuple[str, ...] = ("event", "detection", "audit")
"""What can be searched (official client 5.10.1, `search run --stream`)."""

STATES: tuple[str, ...] = ("running", "done", "cancelled")
"""Index is what `LcqlSearch.state` holds."""

ANSWERS: tuple[str, ...] = ("waiting", "running", "done", "failed", "cancelled")
"""Index is what `LcqlOrganization.state` holds."""

MOST = 1_000
"""Rows that are kept of an organization unless something else is asked for."""
MOST_OF_ALL = 50_000
"""Rows that are kept of one search: more than anybody reads, and still a few megabytes."""

DEAD_AFTER = 60_000
"""Milliseconds without a sign of life after which a search that never ended is called interrupted."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of each organization."""

    query: str
    start: int
    """Seconds, UTC; both ends are asked for."""
    end: int
    stream: str = "event"
    most: int = MOST
    """Rows that are kept of each organization."""
    scope: str = ""
    """Where it is put, in words."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What one organization's cloud wants for it."""

    oid: str
    name: str
    """A stranger's text, like the error."""
    price: float | None = None
    currency: str = ""
    events: int | None = None
    """In scope, as far as the cloud tells."""
    error: str = ""
    """Why this organization cannot be asked; "" when it can."""
    kind: str = ""
    """The short word for the error: `invalid` when it is the query that is wrong."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a question would cost, before it is put."""

    question: Question
    quotes: tuple[Quote, ...]

    @property
    def able(self) -> tuple[Quote, ...]:
        """Those that can be asked."""
        return tuple(quote for quote in self.quotes if not quote.error)

    @property
    def failed(self) -> tuple[Quote, ...]:
        """Those that cannot."""
        return tuple(quote for quote in self.quotes if quote.error)

    @property
    def mistake(self) -> str:
        """What is wrong with the query itself: every organization that answered says so; "" if none does."""
        answered = [quote for quote in self.quotes if not quote.error or quote.kind == "invalid"]
        if not answered or not all(quote.kind == "invalid" for quote in answered):
            return ""
        return answered[0].error

    @property
    def totals(self) -> dict[str, float]:
        """Currency -> sum, over those that can be asked and named a price."""
        sums: dict[str, float] = {}
        for quote in self.able:
            if quote.price is not None:
                sums[quote.currency] = sums.get(quote.currency, 0.0) + quote.price
        return sums

    @property
    def unpriced(self) -> int:
        """Those that can be asked and named no price."""
        return sum(1 for quote in self.able if quote.price is None)

    def words(self) -> str:
        """The price in one line: `about 1.25 USD cents over 3 of 4 organizations`."""
        total = " and ".join(money(value, currency) for currency, value in sorted(self.totals.items()))
        priced = len(self.able) - self.unpriced
        if not priced:
            return f"no price is known for any of {len(self.able):,} organizations"
        text = f"about {total} over {priced:,} of {len(self.quotes):,} organizations"
        return f"{text}, {self.unpriced:,} without a price" if self.unpriced else text


def money(value: float | None, currency: str) -> str:
    """A price as the cloud names it; its currency may be `USD cents`. `-` when it is not known."""
    if value is None:
        return "-"
    digits = 2 if abs(value) >= 0.1 or value == 0 else 4
    return f"{value:,.{digits}f} {currency}".rstrip()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an answer in words; all of them strangers' texts."""

    time: int | None
    """Milliseconds, UTC; None for what was counted."""
    host: str = ""
    kind: str = ""
    """The type of the event."""
    what: str = ""
    """The rest of it in one line."""
    cells: Mapping[str, str] = field(default_factory=dict)
    """What a projection named."""


_FIRST = (
    "COMMAND_LINE", "FILE_PATH", "DOMAIN_NAME", "IP_ADDRESS", "USER_NAME", "HASH", "Operation", "UserId",
    "ClientIP", "cat", "etype", "msg",
)  # fmt: skip
"""Fields that say what an event is about, in this order."""


def time_of(row: Any) -> int | None:
    """When the event of a row was (ms, UTC); None where the row tells nothing."""
    if not isinstance(row, Mapping):
        return None
    data, mtd = row.get("data"), row.get("mtd")
    for place in (mtd, data, row):
        if isinstance(place, Mapping):
            found = milliseconds(place.get("ts")) or milliseconds(place.get("time"))
            if found:
                return found
    routing = data.get("routing") if isinstance(data, Mapping) else None
    return milliseconds(routing.get("event_time")) if isinstance(routing, Mapping) else None


def columns_of(row: Any) -> list[str]:
    """What a projection named, in its order; [] of a whole event."""
    data = row.get("data") if isinstance(row, Mapping) else None
    if not isinstance(data, Mapping) or isinstance(data.get("routing"), Mapping) or "event" in data:
        return []
    if any(isinstance(value, Mapping) for value in data.values()):
        return []
    return [str(name) for name in data][:30]


def words_of(row: Any) -> Row:
    """A row of the cloud (`{mtd: {ts, stream}, data: {...}}`) in words; never raises on odd shapes."""
    data = row.get("data") if isinstance(row, Mapping) else row
    when = time_of(row)
    if not isinstance(data, Mapping):
        return Row(when, what=text_of(data))
    named = columns_of(row)
    if named:
        cells = {name: text_of(data.get(name)) for name in named}
        return Row(when, what="  ".join(f"{name}={value}" for name, value in cells.items()), cells=cells)
    routing = data.get("routing")
    routing = routing if isinstance(routing, Mapping) else {}
    event = data.get("event")
    event = event if isinstance(event, Mapping) else data
    told = [name for name in _FIRST if event.get(name) not in (None, "", {}, [])]
    rest = [name for name in event if name not in told and name not in ("routing", "event", "ts")]
    parts: list[str] = []
    said: object = None
    for name in (*told, *map(str, rest)):
        value = event.get(name)
        if value in (None, "", {}, []) or value == said:
            continue
        said = value if name in told[:1] else said
        parts.append(text_of(value) if name in told[:1] else f"{name}={text_of(value)}")
        if sum(map(len, parts)) > 400:
            break
    return Row(when, text_of(routing.get("hostname")), text_of(routing.get("event_type")), "  ".join(parts))


def text_of(value: Any) -> str:
    """A value of JSON as text: what is text already stays as it came."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value[:4_000]
    try:
        return json.dumps(value, ensure_ascii=False, default=str)[:4_000]
    except (ValueError, RecursionError):
        return "(too deep to show)"


def shown_row(oid: str, name: str, row: Any) -> dict[str, Any]:
    """A row as `limegrove search` prints it: whose it is, when, and what came."""
    return {"oid": oid, "organization": name, "time": rfc3339(time_of(row)), "row": row}


def union(columns: Iterable[str], more: Iterable[str]) -> list[str]:
    """Columns in the order in which they were first seen, at most thirty."""
    return list(dict.fromkeys([*columns, *more]))[:30]
