"""Clocks that run while the customer's own clock shows a time of its service hours."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from store.servicehours import (
    DAY,
    FIRST_YEAR,
    LAST_YEAR,
    ServiceHours,
    country_problem,
    days_text,
    hours_text,
    parse_days,
    parse_hours,
    public_holidays,
    week_rows,
    zone,
)
from tests.helpers.soak import examples

MINUTE = 60_000
HOUR = 60 * MINUTE


def ms(text: str, name: str = "UTC") -> int:
    """A local time, as it is told on that zone's clock for the first time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone(name)).timestamp() * 1000)


def hours(text: str, days: str = "Mon-Fri", name: str = "Europe/Berlin", **more: object) -> ServiceHours:
    week = [()] * 7
    for day in parse_days(days):
        week[day] = parse_hours(text)
    return ServiceHours(name, tuple(week), **more)  # type: ignore[arg-type]


def shows_service(service: ServiceHours, moment: int) -> bool:
    """The same told by the clock on the wall alone."""
    local = datetime.fromtimestamp(moment / 1000, UTC).astimezone(zone(service.zone)).replace(tzinfo=None)
    for day in (local.date(), local.date() - timedelta(days=1)):
        past = (local - datetime.combine(day, datetime.min.time())) // timedelta(minutes=1)
        if not service.is_holiday(day) and any(
            begin <= past < end for begin, end in service.week[day.weekday()]
        ):
            return True
    return False


# Each with its clock changes: by half an hour, at midnight, a date that was left out, one hour for Ramadan.
CHANGES = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "America/Sao_Paulo": ("2018-02-18", "2018-11-04"),
    "Africa/Casablanca": ("2026-02-15", "2026-03-22"),
    "Pacific/Apia": ("2011-12-29", "2011-12-31"),
    "Asia/Kathmandu": ("2025-12-31", "2026-01-01"),
    "UTC": ("2026-12-31", "2028-02-29"),
}

SPAN = st.tuples(st.integers(0, DAY // 15 - 1), st.integers(1, DAY // 15)).map(
    # Of a whole day's length only what begins at midnight can be written.
    lambda pair: (pair[0] * 15, min(pair[0] + pair[1], DAY // 15 - 1 + max(pair[0], 1)) * 15)
)
WEEK = (
    st.lists(st.lists(SPAN, max_size=2), min_size=7, max_size=7)
    .filter(any)
    .map(lambda week: tuple(map(tuple, week)))
)


@st.composite
def services(draw: st.DrawFn) -> tuple[ServiceHours, int]:
    """Service hours, and a moment within days of a change of their clock."""
    name = draw(st.sampled_from(sorted(CHANGES)))
    day = date.fromisoformat(draw(st.sampled_from(CHANGES[name])))
    near = [day + timedelta(days=each) for each in range(-4, 5)]
    service = ServiceHours(
        name,
        draw(WEEK),
        draw(st.sampled_from(["", "DE-BE", "US"])),
        frozenset(draw(st.sets(st.sampled_from(near), max_size=2))),
        frozenset((each.month, each.day) for each in draw(st.sets(st.sampled_from(near), max_size=1))),
        frozenset(draw(st.sets(st.sampled_from(near), max_size=2))),
    )
    moment = ms(f"{day}T00:00") + draw(st.integers(-3 * DAY, 2 * DAY)) * MINUTE
    return service, moment


@settings(max_examples=examples(60), deadline=None)
@given(services(), st.integers(1, 36 * 60))
@example((hours("22:00-06:00", "daily"), ms("2026-03-28T20:00")), 600)  # an hour is left out in it
@example((hours("22:00-06:00", "daily"), ms("2026-10-24T20:00")), 600)  # and an hour comes twice
@example((hours("02:15-02:45", "daily"), ms("2026-10-24T23:50")), 60)  # the hours themselves come twice
@example((hours("02:15-02:45", "daily"), ms("2026-03-28T23:50")), 30)  # or not at all
@example((hours("00:00-24:00", "daily", closed=frozenset({date(2026, 3, 29)})), ms("2026-03-28T20:00")), 600)
@example((hours("18:00-24:00", "Wed", "UTC"), ms("2025-12-31T23:30")), 31)  # the year ends in it
def test_a_clock_runs_exactly_while_the_wall_shows_service(
    given: tuple[ServiceHours, int], minutes: int
) -> None:
    service, moment = given
    ran, at = 0, moment
    limit = moment + 15 * DAY * MINUTE
    while ran < minutes and at < limit:
        showing = shows_service(service, at)
        assert service.is_open(at) is showing, datetime.fromtimestamp(at / 1000, UTC)
        ran += showing
        at += MINUTE
    assert service.between(moment, at) == ran * MINUTE
    if ran == minutes:
        assert service.after(moment, minutes * MINUTE) == at


@settings(max_examples=examples(200), deadline=None)
@given(services(), st.integers(1, 400 * DAY * MINUTE), st.integers(0, 400 * DAY * MINUTE))
def test_what_has_passed_is_what_was_waited_for(
    given: tuple[ServiceHours, int], span: int, more: int
) -> None:
    service, moment = given
    due = service.after(moment, span)
    assert service.between(moment, due) == span
    assert service.between(moment, due - 1) == span - 1  # and not a millisecond earlier
    assert service.between(due, moment) == -span
    later = due + more
    assert service.between(moment, later) == span + service.between(due, later)
    assert service.after(moment + more, span) >= due


@settings(max_examples=examples(60), deadline=None)
@given(services())
def test_the_next_change_is_where_the_sign_on_the_door_turns(given: tuple[ServiceHours, int]) -> None:
    service, moment = given
    turned = service.next_change(moment)
    assert turned is not None or service.is_open(moment)
    if turned is not None:
        assert moment < turned
        assert service.is_open(turned) is not service.is_open(moment)
        assert service.between(moment, turned) == (turned - moment if service.is_open(moment) else 0)


@pytest.mark.parametrize(
    ("begun", "minutes", "due"),
    [
        ("2026-11-27T17:50", 15, "2026-11-30T08:05"),  # Friday evening, five minutes on Monday
        ("2026-11-28T12:00", 15, "2026-11-30T08:15"),  # in the night of a Saturday
        ("2026-12-24T17:00", 120, "2026-12-28T09:00"),  # Christmas on Friday and Saturday
        ("2026-03-27T17:00", 60, "2026-03-27T18:00"),  # to the end of the day is within it
        ("2026-03-27T17:30", 61, "2026-03-30T08:31"),  # over the night in which the clock is changed
        ("2026-11-30T08:00", 600, "2026-11-30T18:00"),
        ("2026-12-31T17:00", 61, "2027-01-04T08:01"),  # New Year's Day on Friday
    ],
)
def test_an_alert_of_the_evening_is_due_in_the_morning(begun: str, minutes: int, due: str) -> None:
    service = hours("08:00-18:00", country="DE-BE")
    assert service.after(ms(begun, "Europe/Berlin"), minutes * MINUTE) == ms(due, "Europe/Berlin")


def test_the_night_in_which_the_clock_is_changed_is_shorter_or_longer() -> None:
    service = hours("22:00-06:00", "Sat")
    for day, expected in (("2026-03-28", 7), ("2026-10-24", 9), ("2026-11-07", 8)):
        noon = ms(f"{day}T12:00")
        assert service.between(noon, noon + 24 * HOUR) == expected * HOUR


def test_a_holiday_takes_the_hours_that_begin_on_it_and_no_others() -> None:
    service = hours("22:00-06:00", "daily", "UTC", closed=frozenset({date(2026, 12, 25)}))
    assert service.is_open(ms("2026-12-25T05:59"))  # begun on the 24th
    assert not service.is_open(ms("2026-12-25T23:00"))
    assert not service.is_open(ms("2026-12-26T05:00"))
    assert service.is_open(ms("2026-12-26T22:00"))


def test_public_holidays_are_those_of_the_part_of_the_country() -> None:
    women = date(2026, 3, 8)
    assert women in public_holidays("DE-BE", 2026)
    assert women not in public_holidays("DE", 2026)
    assert public_holidays("XX", 2026) == {}
    opened = hours("08:00-18:00", "daily", country="DE", opened=frozenset({date(2026, 10, 3)}))
    assert opened.is_open(ms("2026-10-03T10:00"))
    assert not opened.is_open(ms("2026-12-25T10:00"))
    each_year = hours("08:00-18:00", "daily", yearly=frozenset({(2, 29), (12, 24)}))
    assert not each_year.is_open(ms("2031-12-24T10:00"))
    assert not each_year.is_open(ms("2028-02-29T10:00"))


def test_before_and_behind_the_years_that_are_known_a_clock_always_runs() -> None:
    service = hours("08:00-18:00", name="UTC")
    first, end = ms(f"{FIRST_YEAR}-01-01T00:00"), ms(f"{LAST_YEAR}-12-31T00:00") + 24 * HOUR
    assert service.after(1, HOUR) == 1 + HOUR
    assert service.between(0, first) == first
    # 2000 began on a Saturday.
    assert service.after(first - HOUR, 2 * HOUR) == ms("2000-01-03T09:00")
    assert service.after(end + 5, HOUR) == end + 5 + HOUR
    assert service.between(end - 24 * HOUR, end + HOUR) == 11 * HOUR  # a Thursday
    assert service.after(end - HOUR, HOUR) == end + HOUR
    latest = 253_402_300_799_999
    assert service.after(latest, 999_999 * 24 * HOUR) > latest
    assert service.is_open(latest)
    assert service.next_change(latest) is None
    assert service.next_change(end - HOUR) == end


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("08:00-18:00", ((480, 1080),)),
        ("13:00-17:00,8:00 - 12:00", ((480, 720), (780, 1020))),
        ("22:00-06:00", ((1320, 1800),)),
        ("00:00-24:00", ((0, 1440),)),
        ("18:00-00:00", ((1080, 1440),)),
        ("23:59-24:00", ((1439, 1440),)),
    ],
)
def test_hours_are_read_as_they_are_written(text: str, expected: object) -> None:
    assert parse_hours(text) == expected
    assert parse_hours(hours_text(parse_hours(text))) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8-18", "no hours"),
        ("", "no hours"),
        ("08:00-18:00;", "no hours"),
        ("08:60-18:00", "no day has"),
        ("24:00-06:00", "no day has"),
        ("08:00-24:01", "no day has"),
        ("08:00-08:00", "no length"),
        ("08:00-12:00, 11:59-14:00", "overlap"),
        ("\x1b]52;c;x\x07", "\\x1b"),
    ],
)
def test_hours_that_are_none_are_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        parse_hours(text)
    assert said in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("text", "days", "written"),
    [
        ("Mon-Fri", (0, 1, 2, 3, 4), "Mon-Fri"),
        ("saturday, SUN", (5, 6), "Sat, Sun"),
        ("Sat-Mon", (5, 6, 0), "Mon, Sat, Sun"),
        ("daily", (0, 1, 2, 3, 4, 5, 6), "daily"),
        ("Mon, Wed-Fri", (0, 2, 3, 4), "Mon, Wed-Fri"),
    ],
)
def test_days_are_read_as_they_are_written(text: str, days: tuple[int, ...], written: str) -> None:
    assert parse_days(text) == days
    assert days_text(days) == written
    assert sorted(parse_days(written)) == sorted(days)


@pytest.mark.parametrize("text", ["", "Mo", "Mon-Wed-Fri", "Mon, Mon", "Mon-Tue, Tue", "Montag", "Fri-"])
def test_days_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="day"):
        parse_days(text)


@given(WEEK)
def test_a_week_is_written_with_its_days_and_hours(week: tuple[tuple[tuple[int, int], ...], ...]) -> None:
    for day in week:
        if any(later[0] < one[1] for one, later in zip(sorted(day), sorted(day)[1:], strict=False)):
            return
    week = tuple(tuple(sorted(day)) for day in week)
    again = [()] * 7
    for days, text in week_rows(week):
        for day in parse_days(days):
            again[day] = parse_hours(text)
    assert tuple(again) == week


@pytest.mark.parametrize(
    "name", ["Europe/Nowhere", "../../etc/passwd", "europe/berlin", "", "Europe", "CEST ", "\0"]
)
def test_a_zone_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        zone(name)


@pytest.mark.parametrize("code", ["XX", "de", "DEU", "DE-XX", "DE-", "Germany", "", "DE\x1b"])
def test_a_country_without_holidays_is_refused(code: str) -> None:
    assert country_problem(code)
    assert country_problem(code).isprintable()


@pytest.mark.parametrize("code", ["DE", "DE-BE", "GB-ENG", "US", "US-CA", "CH-ZH", "FR", "ES", "JP"])
def test_the_countries_of_customers_are_known(code: str) -> None:
    assert country_problem(code) == ""
    assert public_holidays(code, 2026)
