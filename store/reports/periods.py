"""The time that a report is about: a month or some days, as a clock on the customer's wall counts them."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from store.months import called, of_ours, parse_day, parse_month

DAY: Final = 86_400_000
LONGEST: Final = 366
"""Days of a period."""

_EARLIEST: Final = 14 * 3_600_000
"""By how many milliseconds the zone in which a day begins first (UTC+14) is before UTC."""


class PeriodError(ValueError):
    """It is no period; the text says what is wrong, and what it takes."""


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days of one time zone."""

    first: date
    last: date
    """The last day; it belongs to it."""
    zone: str = "UTC"
    """IANA name; "" is to become that of whom the report is for (`within`)."""

    @property
    def since(self) -> int:
        """When it begins: milliseconds, UTC."""
        return _midnight(self.first, zone_of(self.zone))

    @property
    def until(self) -> int:
        """When it is over: milliseconds, UTC, exclusive."""
        return _midnight(self.last + timedelta(days=1), zone_of(self.zone))

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.last - self.first).days + 1

    @property
    def is_month(self) -> bool:
        """Whether it is one calendar month."""
        return self.first.day == 1 and _month(self.first.year, self.first.month, self.zone) == self

    @property
    def starts(self) -> tuple[int, ...]:
        """When each of its days begins (ms): where clocks change, a day has 23 or 25 hours."""
        zone = zone_of(self.zone)
        return tuple(_midnight(self.first + timedelta(days=day), zone) for day in range(self.days))

    @property
    def before(self) -> "Period":
        """The month before a month; as many days before any other."""
        last = self.first - timedelta(days=1)
        if self.is_month:
            return _month(last.year, last.month, self.zone)
        return Period(last - timedelta(days=self.days - 1), last, self.zone)

    def within(self, zone: str) -> "Period":
        """The same days in another zone, unless they have one."""
        return self if self.zone else replace(self, zone=zone)

    def begun(self, now: int) -> "Period":
        """This period, which has begun by then: without a zone, anywhere on earth.

        Args:
            now: milliseconds, UTC.

        Raises:
            PeriodError: it has not begun, and there is nothing to say about it.
        """
        if self.since <= now + (0 if self.zone else _EARLIEST):
            return self
        what = called(self.label) if self.is_month else str(self.first)
        where = f" in {self.zone}" if self.zone not in ("", "UTC") else ""
        raise PeriodError(f"{what} has not begun{where}.")

    @property
    def label(self) -> str:
        """For a file's name: `2026-10`, or `2026-10-01_2026-10-14`."""
        return f"{self.first:%Y-%m}" if self.is_month else f"{self.first}_{self.last}"


def zone_of(name: str) -> tzinfo:
    """The time zone of that name.

    Raises:
        PeriodError: there is none.
    """
    if name in ("UTC", ""):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PeriodError(f"There is no time zone {name!r}; it takes a name such as Europe/Berlin.") from None


def month(text: str, zone: str = "UTC") -> Period:
    """The month `2026-10`.

    Raises:
        PeriodError: it is none.
    """
    try:
        found = parse_month(text)
    except ValueError as error:
        raise PeriodError(str(error)) from None
    zone_of(zone)
    return _month(int(found[:4]), int(found[5:]), zone)


def month_before(now: int, zone: str = "UTC") -> Period:
    """The last month that is over.

    Args:
        now: milliseconds, UTC.
    """
    today = datetime.fromtimestamp(now / 1000, zone_of(zone)).date()
    last = today.replace(day=1) - timedelta(days=1)
    return _month(last.year, last.month, zone)


def days(first: str, last: str, zone: str = "UTC") -> Period:
    """From one day to another, both `2026-10-01`, both included.

    Raises:
        PeriodError: one is no day, or they are in the wrong order, or too far apart.
    """
    zone_of(zone)
    found = Period(_day(first), _day(last), zone)
    if found.days < 1:
        raise PeriodError(f"The period ends ({last}) before it begins ({first}).")
    if found.days > LONGEST:
        raise PeriodError(f"A period of {found.days} days is too long; it takes at most {LONGEST}.")
    return found


def _day(text: str) -> date:
    try:
        return date.fromisoformat(of_ours(parse_day(text)))
    except ValueError as error:
        raise PeriodError(str(error)) from None


def _month(year: int, number: int, zone: str) -> Period:
    after = date(year + number // 12, number % 12 + 1, 1)
    return Period(date(year, number, 1), after - timedelta(days=1), zone)


def _midnight(day: date, zone: tzinfo) -> int:
    # Where midnight is left out, the clock goes on from the hour before: the same instant.
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)
