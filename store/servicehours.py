"""When somebody serves a customer: hours of the week in its time zone, but for holidays.

A clock that keeps service hours runs while the customer's own clock shows a time within them, whatever that
clock does on the two days of the year on which it is changed. Hours over midnight belong to the day on which
they begin, and so does a holiday: it takes away the hours that begin on its date.

Public holidays come from the library `holidays`, by country and subdivision (`DE`, `DE-BE`, ISO 3166).
Before the year 2000 and from 2100 on nobody keeps hours: a clock always runs there.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from itertools import accumulate, pairwise
from typing import Final
from zoneinfo import ZoneInfo

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY: Final = 1_440
"""Minutes."""

FIRST_YEAR, LAST_YEAR = 2000, 2099

_MINUTE = 60_000
_HOURS = re.compile(r"(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)")
_COUNTRY = re.compile(r"([A-Z]{2})(?:-([A-Za-z0-9][A-Za-z0-9 -]{0,40}))?")

Week = tuple[tuple[tuple[int, int], ...], ...]
"""For each day from Monday: when service begins and ends, minutes from midnight; an end beyond 1440 lies on
the next day."""


def parse_days(text: str) -> tuple[int, ...]:
    """Days of the week, from 0 for Monday, of `Mon`, `Mon-Fri`, `Sat, Sun` or `daily`.

    Raises:
        ValueError: it is none; the text says what is wrong.
    """
    if text.strip().lower() == "daily":
        return tuple(range(7))
    found: list[int] = []
    for part in text.split(","):
        ends = [_day(each) for each in part.split("-")]
        if len(ends) > 2:
            raise ValueError(f"{text[:40]!a} are no days; write Mon, Mon-Fri or daily")
        first, last = ends[0], ends[-1]
        found.extend((first + more) % 7 for more in range((last - first) % 7 + 1))
    if len(set(found)) < len(found):
        raise ValueError(f"{text[:40]!a} names a day twice")
    return tuple(found)


def _day(text: str) -> int:
    word = text.strip().lower()
    for number, name in enumerate(
        ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    ):
        if len(word) >= 3 and (word == name or word == name[:3]):
            return number
    raise ValueError(f"{text.strip()[:20]!a} is no day of the week; there are {', '.join(DAYS)}")


def parse_hours(text: str) -> tuple[tuple[int, int], ...]:
    """Minutes from midnight of `08:00-12:00, 13:00-17:00`, `22:00-06:00` or `00:00-24:00`, in order.

    Raises:
        ValueError: it is none, or two of them overlap; the text says what is wrong.
    """
    found = []
    for part in text.split(","):
        match = _HOURS.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part.strip()[:40]!a} are no hours; write them as 08:00-17:30")
        hour, minute, until, last = map(int, match.groups())
        begin, end = hour * 60 + minute, until * 60 + last
        if minute > 59 or last > 59 or begin >= DAY or end > DAY:
            raise ValueError(f"{part.strip()[:40]!a} holds a time that no day has; the last is 24:00")
        if begin == end:
            raise ValueError(f"{part.strip()[:40]!a} has no length; the whole day is 00:00-24:00")
        found.append((begin, end if end > begin else end + DAY))
    found.sort()
    for (_, end), (begin, _) in pairwise(found):
        if begin < end:
            raise ValueError(f"{text[:60]!a} overlap")
    return tuple(found)


def hours_text(hours: Collection[tuple[int, int]]) -> str:
    """`08:00-12:00, 13:00-17:00`."""
    return ", ".join(f"{_clock(begin)}-{_clock(end if end <= DAY else end - DAY)}" for begin, end in hours)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def days_text(days: Collection[int]) -> str:
    """`Mon-Fri`, `Sat, Sun`, `daily`."""
    ordered = sorted(days)
    if len(ordered) == 7:
        return "daily"
    runs: list[list[int]] = []
    for day in ordered:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(
        f"{DAYS[run[0]]}-{DAYS[run[-1]]}" if len(run) > 2 else ", ".join(DAYS[each] for each in run)
        for run in runs
    )


def week_rows(week: Week) -> list[tuple[str, str]]:
    """The week as it is written: days, hours; days that are alike in one row, those without any left out."""
    rows: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for day, hours in enumerate(week):
        if hours:
            rows.setdefault(hours, []).append(day)
    return [(days_text(days), hours_text(hours)) for hours, days in rows.items()]


@cache
def zone(name: str) -> ZoneInfo:
    """A time zone of the IANA database.

    Raises:
        ValueError: there is none of this name; the text says so.
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError(
            f"{name[:60]!a} is no time zone; write one of the IANA database, such as Europe/Berlin or UTC"
        ) from None


def country_problem(code: str) -> str:
    """Why no holidays are known for `DE` or `DE-BE`; "" when they are."""
    match = _COUNTRY.fullmatch(code)
    if match is None:
        return f"{code[:20]!a} is no country; write its two letters, with a subdivision as in DE-BE"
    import holidays

    known = holidays.list_supported_countries()
    country, subdivision = match.groups()
    if country not in known:
        return f"the holidays of {code[:20]!a} are not known; the two letters are those of ISO 3166"
    if subdivision is not None and subdivision not in known[country]:
        some = ", ".join(known[country][:12]) or "none"
        return f"{code[:40]!a} is no part of {country} with holidays of its own; there are {some}"
    return ""


@lru_cache(maxsize=512)
def public_holidays(code: str, year: int) -> Mapping[date, str]:
    """The public holidays of a country, or of a part of it, in a year, by date; none when it is not known."""
    if not code or country_problem(code):
        return {}
    import holidays

    country, _, subdivision = code.partition("-")
    return dict(holidays.country_holidays(country, subdiv=subdivision or None, years=year))


@dataclass(frozen=True, slots=True)
class ServiceHours:
    """When clocks run for a customer. Equal ones share what was computed of them."""

    zone: str
    """Of the IANA database; one that exists."""
    week: Week
    """Seven days; hours on at least one."""
    country: str = ""
    """Whose public holidays are kept; "" for none."""
    closed: frozenset[date] = frozenset()
    """Dates without service besides."""
    yearly: frozenset[tuple[int, int]] = frozenset()
    """Month and day of dates without service each year."""
    opened: frozenset[date] = frozenset()
    """Public holidays on which there is service all the same."""
    always: frozenset[int] = frozenset()
    """Severities (index into `store.alerts.SEVERITIES`) whose clocks run around the clock."""

    def is_holiday(self, day: date) -> bool:
        """Whether the hours that begin on this date are taken away."""
        if day in self.closed or (day.month, day.day) in self.yearly:
            return True
        return (
            bool(self.country) and day not in self.opened and day in public_holidays(self.country, day.year)
        )

    def is_open(self, moment: int) -> bool:
        """Whether there is service at a moment (ms, UTC)."""
        year = _year_of(moment)
        if not FIRST_YEAR <= year <= LAST_YEAR:
            return True
        hours = _open_hours(self, year)
        at = bisect_right(hours.begins, moment) - 1
        return at >= 0 and moment < hours.ends[at]

    def after(self, moment: int, span: int) -> int:
        """When so much service time has passed from a moment on: the first moment at which it has.

        Args:
            moment: milliseconds, UTC.
            span: milliseconds, more than 0.
        """
        year = _year_of(moment)
        if year < FIRST_YEAR:
            start = _start(FIRST_YEAR)
            if moment + span <= start:
                return moment + span
            span -= start - moment
            moment, year = start, FIRST_YEAR
        while year <= LAST_YEAR:
            hours = _open_hours(self, year)
            # Service time from the beginning of the year to the moment wanted.
            goal = hours.passed(moment) + span
            if goal <= hours.total:
                at = bisect_left(hours.until, goal)
                return hours.ends[at] - (hours.until[at] - goal)
            span = goal - hours.total
            year += 1
            moment = _start(year)
        return moment + span

    def between(self, begin: int, end: int) -> int:
        """How much service time lies between two moments (ms); negative the other way round."""
        if end < begin:
            return -self.between(end, begin)
        first, last = _start(FIRST_YEAR), _start(LAST_YEAR + 1)
        total = max(0, min(end, first) - begin) + max(0, end - max(begin, last))
        begin, end = max(begin, first), min(end, last)
        if begin < end:
            for year in range(_year_of(begin), _year_of(end - 1) + 1):
                hours = _open_hours(self, year)
                total += hours.passed(min(end, _start(year + 1))) - hours.passed(max(begin, _start(year)))
        return total

    def next_change(self, moment: int) -> int | None:
        """When service begins or ends next (ms), within a year and a half; None when it does not."""
        year = _year_of(moment)
        for each in range(year, year + 2):
            if not FIRST_YEAR <= each <= LAST_YEAR:
                return None
            hours = _open_hours(self, each)
            at = bisect_right(hours.begins, moment)
            if at and moment < hours.ends[at - 1]:
                end = hours.ends[at - 1]
                if end < _start(each + 1) or not self.is_open(end):
                    return end
                # It runs on over the end of the year.
                moment = end
                continue
            if at < len(hours.begins):
                return hours.begins[at]
            moment = max(moment, _start(each + 1))
            if self.is_open(moment):
                return moment
        return None


@dataclass(frozen=True, slots=True)
class _Hours:
    """The service of one year (UTC): moments in ms, in order, apart from each other."""

    begins: tuple[int, ...]
    ends: tuple[int, ...]
    until: tuple[int, ...]
    """Service time of the year up to each end."""
    total: int

    def passed(self, moment: int) -> int:
        """Service time from the beginning of the year to a moment of it."""
        at = bisect_right(self.begins, moment) - 1
        if at < 0:
            return 0
        return self.until[at] - max(0, self.ends[at] - moment)


@cache
def _start(year: int) -> int:
    return (date(year, 1, 1).toordinal() - _EPOCH) * DAY * _MINUTE if year <= 9999 else _YEAR_10000


_EPOCH = date(1970, 1, 1).toordinal()
_YEAR_10000 = (date(9999, 12, 31).toordinal() + 1 - _EPOCH) * DAY * _MINUTE


def _year_of(moment: int) -> int:
    days = moment // (DAY * _MINUTE) + _EPOCH
    return 10_000 if days > date.max.toordinal() else date.fromordinal(max(days, 1)).year


@lru_cache(maxsize=2048)  # some 30 kB each
def _open_hours(service: ServiceHours, year: int) -> _Hours:
    start, end = _start(year), _start(year + 1)
    found: list[tuple[int, int]] = []
    for begin, until, offset in _offsets(service.zone, year):
        # Local days, from the one before: its hours may reach over midnight.
        day = date.fromordinal((begin + offset) // (DAY * _MINUTE) + _EPOCH - 1)
        last = date.fromordinal((until + offset - 1) // (DAY * _MINUTE) + _EPOCH)
        while day <= last:
            hours = service.week[day.weekday()]
            if hours and not service.is_holiday(day):
                midnight = (day.toordinal() - _EPOCH) * DAY * _MINUTE - offset
                for first, latest in hours:
                    one = max(begin, midnight + first * _MINUTE), min(until, midnight + latest * _MINUTE)
                    if one[0] < one[1]:
                        found.append(one)
            day += timedelta(days=1)
    found.sort()
    merged: list[list[int]] = []
    for first, latest in found:
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], latest)
        else:
            merged.append([first, latest])
    merged = [[max(first, start), min(latest, end)] for first, latest in merged]
    sums = tuple(accumulate(latest - first for first, latest in merged))
    return _Hours(
        tuple(first for first, _ in merged),
        tuple(latest for _, latest in merged),
        sums,
        sums[-1] if sums else 0,
    )


@lru_cache(maxsize=1024)
def _offsets(name: str, year: int) -> tuple[tuple[int, int, int], ...]:
    """The year in parts in which the zone's clock runs evenly: from, until (ms, UTC), ahead of UTC (ms)."""
    clock = zone(name)

    def offset(moment: int) -> int:
        ahead = datetime.fromtimestamp(moment // 1000, UTC).astimezone(clock).utcoffset()
        return 0 if ahead is None else int(ahead.total_seconds() * 1000)

    end = _start(year + 1)
    parts: list[tuple[int, int, int]] = []
    begin = at = _start(year)
    held = offset(begin)
    while at < end:
        after = min(at + DAY * _MINUTE, end)
        ahead = offset(after)
        if ahead != held:
            low, high = at // 1000, after // 1000
            while high - low > 1:
                middle = (low + high) // 2
                if offset(middle * 1000) == held:
                    low = middle
                else:
                    high = middle
            if high * 1000 < end:
                parts.append((begin, high * 1000, held))
                begin = high * 1000
            held = ahead
        at = after
    # A change at the very end of the year belongs to the next.
    return (*parts, (begin, end, offset(end - 1)))
