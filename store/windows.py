"""When a customer maintains its systems: `Sun 02:00-04:00`, `2nd Tue 20:00-23:00`, `last Sun 02:00-06:00`,
or once, `2026-12-01 22:00 to 2026-12-02 04:00`; all by the customer's own clock.

A window only says what to expect: no clock stops for it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from store.servicehours import days_text, hours_text, parse_days, parse_hours, zone

FORM: Final = "Sun 02:00-04:00, 2nd Tue 20:00-23:00, or 2026-12-01 22:00 to 2026-12-02 04:00"

_ONCE = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)\s*(?:to|until|-)\s*(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)")
_RECURRING = re.compile(
    r"(?:(1st|2nd|3rd|4th|last)\s+)?([A-Za-z][A-Za-z, -]*?)\s+(\d[\d:, -]*)", re.IGNORECASE
)
_ORDINALS: Final = ("1st", "2nd", "3rd", "4th", "last")

LONGEST: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class When:
    """One window, recurring by days of the week or once; local times."""

    days: tuple[int, ...] = ()
    hours: tuple[tuple[int, int], ...] = ()
    """Minutes from midnight, as `store.servicehours.Week` has them."""
    ordinal: str = ""
    """Of the month: `1st` to `4th`, `last`; "" for each week."""
    begin: datetime | None = None
    end: datetime | None = None

    @property
    def text(self) -> str:
        """As it is written."""
        if self.begin is not None and self.end is not None:
            return f"{self.begin:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M}"
        ordinal = f"{self.ordinal} " if self.ordinal else ""
        return f"{ordinal}{days_text(self.days)} {hours_text(self.hours)}"

    def spans(self, first: date, last: date, time_zone: str) -> list[tuple[int, int]]:
        """From when until when (ms, UTC) the windows last that begin on these local dates, in order."""
        clock = zone(time_zone)
        if self.begin is not None and self.end is not None:
            if not first <= self.begin.date() <= last:
                return []
            return [(_moment(self.begin, clock), _moment(self.end, clock))]
        found = []
        day = first
        while day <= last:
            if day.weekday() in self.days and self._counts(day):
                midnight = datetime.combine(day, time())
                found += [
                    (
                        _moment(midnight + timedelta(minutes=begin), clock),
                        _moment(midnight + timedelta(minutes=end), clock),
                    )
                    for begin, end in self.hours
                ]
            day += timedelta(days=1)
        return [(begin, end) for begin, end in found if begin < end]

    def _counts(self, day: date) -> bool:
        if self.ordinal == "last":
            return (day + timedelta(days=7)).month != day.month
        return not self.ordinal or (day.day - 1) // 7 == _ORDINALS.index(self.ordinal)

    def at(self, moment: int, time_zone: str) -> tuple[int, int] | None:
        """The window that lasts at a moment (ms, UTC), from when until when; None when none does."""
        return next((each for each in self._near(moment, time_zone, 0) if each[0] <= moment < each[1]), None)

    def following(self, moment: int, time_zone: str) -> tuple[int, int] | None:
        """The next window that begins after a moment, within six weeks; of those set for once, whenever."""
        return next((each for each in self._near(moment, time_zone, 42) if each[0] > moment), None)

    def _near(self, moment: int, time_zone: str, ahead: int) -> list[tuple[int, int]]:
        if self.begin is not None:
            return self.spans(self.begin.date(), self.begin.date(), time_zone)
        try:
            today = datetime.fromtimestamp(moment / 1000, UTC).astimezone(zone(time_zone)).date()
            return self.spans(today - timedelta(days=2), today + timedelta(days=ahead + 1), time_zone)
        except (OverflowError, ValueError, OSError):
            return []


def _moment(local: datetime, clock: object) -> int:
    return int(local.replace(tzinfo=clock).timestamp() * 1000)  # type: ignore[arg-type]


def parse(text: str) -> When:
    """A window as it is written.

    Raises:
        ValueError: it is none; the text says what is wrong.
    """
    stripped = " ".join(text.split())
    once = _ONCE.fullmatch(stripped)
    if once is not None:
        try:
            begin, end = (
                datetime.fromisoformat(f"{once[at]} {once[at + 1]}") for at in (1, 3)
            )  # local to the customer
        except ValueError:
            raise ValueError(f"{stripped[:60]!a} holds a date or a time that does not exist") from None
        if not begin < end <= begin + LONGEST:
            raise ValueError(
                f"{stripped[:60]!a} ends before it begins, or lasts longer than {LONGEST.days} days"
            )
        if not 2000 <= begin.year < 2100:
            raise ValueError(f"{stripped[:60]!a} is in no year from 2000 to 2099")
        return When(begin=begin, end=end)
    match = _RECURRING.fullmatch(stripped)
    if match is None:
        raise ValueError(f"{stripped[:60]!a} is no window; write {FORM}")
    return When(parse_days(match[2]), parse_hours(match[3]), (match[1] or "").lower())
