"""Calendar months, written `2026-10`, and days, written `2026-10-31`; both UTC, both sort as text."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIRST, _LAST = "2000", "2999"
"""Years."""


def parse_month(text: str) -> str:
    """The month as it was written.

    Raises:
        ValueError: it is none, or no month of ours; a sentence.
    """
    found = _MONTH.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{_cut(text)} is no month; one is written as 2026-10.")
    return of_ours(found[0])


def begun_month(text: str, today: str) -> str:
    """The month as it was written, of which a day has begun.

    Args:
        today: a day.

    Raises:
        ValueError: it is none, or it has not begun; a sentence.
    """
    month = parse_month(text)
    if first_day(month) > today:
        raise ValueError(f"{called(month)} has not begun.")
    return month


def parse_day(text: str) -> str:
    """The day as it was written.

    Raises:
        ValueError: there is no such day; a sentence.
    """
    try:
        if _DAY.fullmatch(text.strip()) is None:
            raise ValueError
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        raise ValueError(f"{_cut(text)} is no day; one is written as 2026-10-31.") from None


def of_ours(text: str) -> str:
    """A month or a day, of a year of which something may be told.

    Raises:
        ValueError: it is before or after those; a sentence.
    """
    year = text[:4]
    if year < _FIRST:
        raise ValueError(f"{text} is before {_FIRST}, the first year of which anything is told.")
    if year > _LAST:
        raise ValueError(f"{text} is after {_LAST}, the last year that is taken.")
    return text


def _cut(text: str) -> str:
    """What was written, inside a sentence: quoted, escaped, and cut."""
    return ascii(text if len(text) <= 40 else f"{text[:37]}...")


def day_of(milliseconds: int) -> str:
    """The day of a moment."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date().isoformat()


def month_of(milliseconds: int) -> str:
    """The month of a moment."""
    return day_of(milliseconds)[:7]


def moved(month: str, by: int) -> str:
    """The month so many months later, or earlier when `by` is negative."""
    number = int(month[:4]) * 12 + int(month[5:]) - 1 + by
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def days_in(month: str) -> int:
    """28 to 31."""
    return monthrange(int(month[:4]), int(month[5:]))[1]


def first_day(month: str) -> str:
    """`2026-10-01`."""
    return f"{month}-01"


def last_day(month: str) -> str:
    """`2026-10-31`."""
    return f"{month}-{days_in(month):02d}"


def days_between(first: str, last: str) -> int:
    """How many days there are from one to the other, both counted; 0 when there are none."""
    return max(0, (date.fromisoformat(last) - date.fromisoformat(first)).days + 1)


def day_moved(day: str, by: int) -> str:
    """The day so many days later, or earlier when `by` is negative."""
    return (date.fromisoformat(day) + timedelta(days=by)).isoformat()


def bounds_ms(month: str) -> tuple[int, int]:
    """The first millisecond of a month, and that of the next one."""
    first, after = (
        datetime(int(each[:4]), int(each[5:]), 1, tzinfo=UTC) for each in (month, moved(month, 1))
    )
    return int(first.timestamp()) * 1000, int(after.timestamp()) * 1000


def called(month: str) -> str:
    """`October 2026`."""
    return f"{date(int(month[:4]), int(month[5:]), 1):%B %Y}"
