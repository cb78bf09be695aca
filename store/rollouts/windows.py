"""When an organization may be changed: working hours and freezes, as the tree's parameters have them.

- `rollout_hours`: when a rollout may write, such as `mon-fri 08:00-18:00 Europe/Berlin`; several with commas
  between (`mon-thu 08:00-18:00, fri 08:00-12:00`), each in its time zone or UTC. A time that ends before it
  begins goes on past midnight. Without it, always.
- `rollout_freeze`: a list of days on which it may not, `2026-12-20/2027-01-06`, the last one too, in the time
  zone of `rollout_hours` (of its first one), or UTC.

Parameters are those of the organization's node or of one above it. What cannot be read is no leave to write.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from store.queries.scopes import marked, parameters_of
from store.text import safe_text
from store.times import rfc3339

HOURS, FREEZE = "rollout_hours", "rollout_freeze"
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS: Final = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:\s?-\s?(?P<last>[a-z]{3}))?\s+)?"
    r"(?P<begin>\d{2}:\d{2})\s?-\s?(?P<end>\d{2}:\d{2})(?:\s+(?P<zone>[\w/+-]+))?",
    re.ASCII | re.IGNORECASE,
)
_AHEAD: Final = 8
"""Days that are looked through for the next time that is open."""


class WindowError(ValueError):
    """Hours or freezes that cannot be read; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Hours:
    """One stretch of the week."""

    days: frozenset[int]
    """0 is Monday: the days on which it begins."""
    begin: time
    end: time
    zone: tzinfo

    def on(self, day: date) -> tuple[datetime, datetime] | None:
        """When it begins and ends on that day of its zone; None when it does not."""
        if day.weekday() not in self.days:
            return None
        begin = datetime.combine(day, self.begin, self.zone)
        over = timedelta(days=1) if self.end <= self.begin else timedelta()
        return begin, datetime.combine(day + over, self.end, self.zone)


def read_hours(text: str) -> tuple[Hours, ...]:
    """Working hours as the parameter has them.

    Raises:
        WindowError: they cannot be read.
    """
    found = []
    for part in text.split(","):
        match = _HOURS.fullmatch(part.strip())
        if match is None:
            raise WindowError(
                f"{HOURS} {safe_text(part.strip(), 60)!r} is none: `mon-fri 08:00-18:00 Europe/Berlin` is."
            )
        try:
            first, last = match["first"], match["last"] or match["first"]
            days = range(7)
            if first:
                begin, end = DAYS.index(first.lower()), DAYS.index(last.lower())
                days = range(begin, end + 1 if end >= begin else end + 8)
            zone: tzinfo = ZoneInfo(match["zone"]) if match["zone"] else UTC
            found.append(
                Hours(
                    frozenset(day % 7 for day in days),
                    time.fromisoformat(match["begin"]),
                    time.fromisoformat("00:00" if match["end"] == "24:00" else match["end"]),
                    zone,
                )
            )
        except (ValueError, LookupError, OSError) as error:
            raise WindowError(
                f"{HOURS} {safe_text(part.strip(), 60)!r} names a day, a time or a zone that there is not."
            ) from error
    return tuple(found)


def read_freezes(value: Any) -> tuple[tuple[date, date], ...]:
    """Freezes as the parameter has them: first and last day of each.

    Raises:
        WindowError: they cannot be read.
    """
    found = []
    for each in [value] if isinstance(value, str) else value if isinstance(value, list) else [None]:
        try:
            first, _, last = str(each).partition("/")
            days = date.fromisoformat(first.strip()), date.fromisoformat((last or first).strip())
        except ValueError:
            days = None
        if days is None or days[1] < days[0]:
            raise WindowError(f"{FREEZE} {safe_text(str(each), 60)!r} is none: `2026-12-20/2027-01-06` is.")
        found.append(days)
    return tuple(found)


def closed(parameters: Mapping[str, Any], now: int) -> str:
    """Why an organization may not be changed at this time; "" when it may.

    Args:
        parameters: of the tree, merged.
        now: milliseconds, UTC.
    """
    moment = datetime.fromtimestamp(now / 1000, UTC)
    try:
        text = parameters.get(HOURS)
        hours = read_hours(str(text)) if text else ()
        zone = hours[0].zone if hours else UTC
        for first, last in read_freezes(parameters[FREEZE]) if parameters.get(FREEZE) else ():
            if first <= moment.astimezone(zone).date() <= last:
                return f"it is frozen from {first} to {last}"
    except WindowError as error:
        return str(error).rstrip(".")
    if not hours:
        return ""
    spans = [
        span
        for each in hours
        for ahead in range(-1, _AHEAD)
        if (span := each.on(moment.astimezone(each.zone).date() + timedelta(days=ahead))) is not None
    ]
    if any(begin <= moment < end for begin, end in spans):
        return ""
    opens = min((begin for begin, _ in spans if begin > moment), default=None)
    when = f", which begin at {rfc3339(int(opens.timestamp() * 1000))}" if opens else ""
    return f"it is outside its working hours{when}"


def held_back(c: Connection, oid: str, now: int) -> str:
    """Why an organization is not to be changed at this time; "" when it may be."""
    if marked(c, "frozen", [oid]):
        return "it is marked as frozen"
    return closed(parameters_of(c, oid), now)
