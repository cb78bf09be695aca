"""How fast a credential may ask."""

import asyncio
import time

import pytest

from console.limacharlie.limits import Limits, retry_after


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def taken(limits, clock, seconds, step=0.01):
    """How many requests are let through in so many seconds, by somebody who always asks."""
    count, until = 0, clock.now + seconds
    while clock.now < until:
        while limits._delay() == 0:
            limits._level -= 1
            count += 1
        clock.now += step
    return count


def test_before_any_header_twenty_a_second_with_bursts_of_fifty():
    clock = Clock()
    limits = Limits(clock=clock)
    assert taken(limits, clock, 0.01) == 50
    assert taken(limits, clock, 10) == pytest.approx(200, abs=2)


@pytest.mark.parametrize(
    ("quota", "period"), [(5, 60), (20, 60), (100, 600), (1000, 60), (60_000, 60), (7, 1)]
)
def test_no_window_ever_holds_more_than_the_learned_quota(quota, period):
    clock = Clock()
    limits = Limits(clock=clock)
    limits.learn({"X-RateLimit-Quota": str(quota), "X-RateLimit-Period": str(period)})
    clock.now += 10 * period  # idle: the bucket is as full as it gets
    first = taken(limits, clock, period)
    assert quota * 0.4 <= first <= quota
    assert taken(limits, clock, period) <= quota


@pytest.mark.parametrize(
    ("quota", "period"),
    [
        ("0", "60"),
        ("-5", "60"),
        ("many", "60"),
        ("", ""),
        ("nan", "60"),
        ("inf", "60"),
        ("10", "999999"),
        ("1e9", "60"),
    ],
)
def test_a_limit_that_makes_no_sense_is_ignored(quota, period):
    limits = Limits()
    limits.learn({"X-RateLimit-Quota": quota, "X-RateLimit-Period": period})
    assert (limits.rate, limits.burst, limits.quota) == (20.0, 50.0, None)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "7.5"}, 7.5),
        ({"Retry-After": "99999"}, 120),
        ({"X-RateLimit-Period": "60"}, 60),
        ({"Retry-After": "3", "X-RateLimit-Period": "60"}, 3),
        ({"Retry-After": "soon", "X-RateLimit-Period": "60"}, 60),
        ({"Retry-After": "0"}, 10),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:49 GMT"}, 10),
        ({"Retry-After": "Fri, 31 Dec 1999 23:00:00 GMT", "X-RateLimit-Period": "30"}, 30),
        ({}, 10),
    ],
)
def test_a_429_holds_everybody_back_for_as_long_as_it_says(headers, wait):
    clock = Clock()
    limits = Limits(clock=clock, jitter=lambda low, high: 1.0)
    assert limits.throttle(headers, sent_at=clock.now) == pytest.approx(wait)
    clock.now += wait - 0.1
    assert limits._delay() > 0
    clock.now += 0.2
    assert limits._delay() == 0


def test_warnings_without_a_time_double_and_a_success_forgets_them():
    clock = Clock()
    limits = Limits(clock=clock, jitter=lambda low, high: 1.0)
    waits = []
    for _ in range(6):
        waits.append(limits.throttle({}, sent_at=clock.now))
        clock.now += waits[-1]
    assert waits == [10, 20, 40, 80, 120, 120]
    limits.ok()
    assert limits.throttle({}, sent_at=clock.now) == 10


def test_requests_that_were_under_way_together_are_one_warning():
    clock = Clock()
    limits = Limits(clock=clock, jitter=lambda low, high: 1.0)
    sent = clock.now
    clock.now += 0.5
    assert [limits.throttle({}, sent_at=sent) for _ in range(1)] == [10]
    clock.now += 0.1
    assert limits.throttle({}, sent_at=sent) == pytest.approx(10)


async def test_who_came_first_goes_first_and_who_gives_up_takes_nothing():
    limits = Limits()
    limits.rate, limits.burst, limits._level = 50.0, 1.0, 0.0
    order = []

    async def ask(number):
        await limits.acquire()
        order.append(number)

    tasks = [asyncio.create_task(ask(number)) for number in range(6)]
    await asyncio.sleep(0)
    assert limits.waiting == 6
    assert limits.describe() == "50 requests/s, 6 waiting"
    tasks[2].cancel()
    started = time.monotonic()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 3, 4, 5]
    assert limits.waiting == 0
    assert time.monotonic() - started >= 0.08


def test_it_says_what_it_is_doing():
    clock = Clock()
    limits = Limits(clock=clock)
    assert limits.describe() == "20 requests/s"
    limits.throttle({"Retry-After": "34"}, sent_at=clock.now)
    assert limits.describe() == "paused 34 s by the cloud's rate limit"
    clock.now += 35
    limits.learn({"X-RateLimit-Quota": "60", "X-RateLimit-Period": "60"})
    assert limits.describe() == "0.8 requests/s"


def test_a_date_of_nonsense_is_no_time():
    for value in ("", "x", "-1", "1,2", "Fri, 99 Dec 1999", "9" * 40, "٣"):
        assert retry_after({"Retry-After": value}) is None
