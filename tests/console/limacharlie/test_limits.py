"""How fast a credential may ask, and that all processes of a machine share it."""

import asyncio
import fcntl
import os
import time
import timeit

import pytest

from console.limacharlie.bucket import Bucket
from console.limacharlie.credentials import OrganizationKey, UserKey
from console.limacharlie.limits import Limits, Priority, in_background, retry_after
from store.secret import Secret

ENDPOINT = "https://api.limacharlie.io"
KEY = UserKey("user-one", Secret("3f0e8f0c-secret-of-user-one"))


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def taken(limits, clock, seconds, step=0.01):
    """How many requests are let through in so many seconds, by somebody who always asks."""
    count, until = 0, clock.now + seconds
    while clock.now < until:
        while limits._take(Priority.INTERACTIVE, clock.now) == 0:
            count += 1
        clock.now += step
    return count


def held_back(limits, priority=Priority.INTERACTIVE):
    """For how long somebody who asks now has to wait; whoever need not wait has taken one."""
    return limits._take(priority, limits._clock())


def learned(limits, quota, period=60):
    limits.learn({"X-RateLimit-Quota": str(quota), "X-RateLimit-Period": str(period)})
    return limits


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
    assert held_back(limits) > 0
    clock.now += 0.2
    assert held_back(limits) == 0


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
    limits._bucket.rate, limits._bucket.burst, limits._bucket.level = 5.0, 1.0, 0.0
    order = []

    async def ask(number):
        await limits.acquire()
        order.append(number)

    tasks = [asyncio.create_task(ask(number)) for number in range(6)]
    await asyncio.sleep(0)
    assert limits.waiting == 6
    assert limits.describe() == "5 requests/s, 6 waiting"
    tasks[2].cancel()
    started = time.monotonic()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, 1, 3, 4, 5]
    assert limits.waiting == 0
    assert time.monotonic() - started >= 0.8


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


def test_background_work_leaves_some_requests_for_a_person():
    clock = Clock()
    limits = Limits(clock=clock)
    sent = 0
    while held_back(limits, Priority.BACKGROUND) == 0:
        sent += 1
    assert sent == 45
    assert taken(limits, clock, 0.01) == 5


async def test_who_waits_in_the_background_is_overtaken_by_a_person():
    limits = learned(Limits(), 1_800)  # 25 a second
    limits._bucket.level = 0.0
    order = []

    async def ask(name, priority=None):
        await limits.acquire(priority)
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        with in_background():
            for number in range(3):
                tasks.create_task(ask(number))
        await asyncio.sleep(0)
        for name in "ab":
            tasks.create_task(ask(name))
    assert order == ["a", "b", 0, 1, 2]


def test_even_the_smallest_quota_lets_background_work_through():
    clock = Clock()
    limits = learned(Limits(clock=clock), 1)
    clock.now += 600
    assert held_back(limits, Priority.BACKGROUND) == 0


def pair(directory, clock):
    """The limits of two processes with the same credential."""
    one, two = (Limits.shared(directory, KEY, ENDPOINT) for _ in range(2))
    one._clock = two._clock = clock
    return one, two


def test_what_one_process_takes_learns_or_is_told_holds_for_all(tmp_path):
    clock = Clock()
    one, two = pair(tmp_path, clock)
    assert taken(one, clock, 0.01) == 50
    assert held_back(two) > 0
    learned(one, 60)
    assert (two.quota, two.rate) == (60.0, pytest.approx(0.8))
    one.throttle({"Retry-After": "34"}, sent_at=clock.now)
    assert two.describe() == "paused 34 s by the cloud's rate limit"
    assert two.throttled == 1
    clock.now += 35
    two.ok()
    one.throttle({}, sent_at=clock.now)
    assert 8 <= two.paused_for <= 12, "the success that one saw ended the row that the other counts"


def test_processes_take_turns(tmp_path):
    clock = Clock()
    one, two = pair(tmp_path, clock)
    for limits in (one, two):
        limits._lines[Priority.INTERACTIVE].waiting = 100  # a long line in each process
    taken(one, clock, 0.01)
    since = {one: clock.now, two: clock.now}
    through = []
    for _ in range(400):
        clock.now += 0.01
        for limits in (one, two):
            if limits._take(Priority.INTERACTIVE, since[limits]) == 0:
                through.append(limits)
                since[limits] = clock.now
    assert len(through) == pytest.approx(80, abs=2)
    assert through.count(one) == pytest.approx(through.count(two), abs=2)


def test_a_line_whose_process_is_gone_is_passed_over(tmp_path):
    clock = Clock()
    killed, other = pair(tmp_path, clock)
    taken(killed, clock, 0.01)
    killed._lines[Priority.INTERACTIVE].waiting = 1
    assert held_back(killed) > 0
    assert other.waiting == 1
    clock.now += 2
    assert other.waiting == 0
    for _ in range(40):
        assert held_back(other) == 0


def test_another_key_another_endpoint_and_another_user_have_budgets_of_their_own(tmp_path):
    secret = KEY.secret
    others = [
        (UserKey("user-two", secret), ENDPOINT),
        (UserKey(KEY.uid, Secret("another")), ENDPOINT),
        (OrganizationKey(KEY.uid, secret), ENDPOINT),
        (KEY, "http://127.0.0.1:1"),
    ]
    clock = Clock()
    mine = Limits.shared(tmp_path, KEY, ENDPOINT)
    mine._clock = clock
    taken(mine, clock, 0.01)
    for key, endpoint in others:
        limits = Limits.shared(tmp_path, key, endpoint)
        limits._clock = clock
        assert held_back(limits) == 0


def test_the_file_is_private_and_says_neither_the_key_nor_whose_it_is(tmp_path):
    before = os.umask(0o022)
    try:
        limits = Limits.shared(tmp_path, KEY, ENDPOINT)
        held_back(limits)
    finally:
        os.umask(before)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    everything = file.name.encode() + file.read_bytes()
    assert KEY.uid.encode() not in everything
    assert KEY.secret.reveal().encode() not in everything


@pytest.mark.parametrize("cut", [0, 1, 12, 60, 116])
def test_a_file_written_by_half_is_taken_for_an_empty_bucket_not_for_a_full_one(tmp_path, cut):
    clock = Clock()
    one, two = pair(tmp_path, clock)
    held_back(learned(one, 600))
    (file,) = tmp_path.iterdir()
    whole = bytearray(file.read_bytes())
    assert two.quota == 600
    whole[cut] ^= 0xFF
    file.write_bytes(whole)
    assert 0 < held_back(two) < 1
    assert two.quota == 600, "what this process had learned is still known to it"
    assert one.quota == 600


def test_a_file_cut_short_under_a_running_process_ends_nothing(tmp_path):
    clock = Clock()
    one, _ = pair(tmp_path, clock)
    held_back(one)
    (file,) = tmp_path.iterdir()
    os.truncate(file, 20)
    assert held_back(one) < 1
    os.truncate(file, 0)
    assert held_back(one) == 0


def test_after_the_machine_began_anew_the_old_clock_means_nothing(tmp_path):
    clock = Clock()
    before, after = pair(tmp_path, clock)
    before.throttle({"Retry-After": "100"}, sent_at=clock.now)
    clock.now = 5.0
    assert after.paused_for == 0
    assert held_back(after) < 1


def test_who_tidies_up_under_a_running_process_splits_no_budget(tmp_path):
    clock = Clock()
    one, two = pair(tmp_path, clock)
    taken(one, clock, 0.01)
    (file,) = tmp_path.iterdir()
    file.unlink()
    assert taken(one, clock, 0.01) == 50, "a new file is a new bucket"
    assert held_back(two) > 0


def test_files_of_earlier_boots_are_taken_away(tmp_path):
    old = tmp_path / "limits-of-an-earlier-boot"
    old.touch()
    os.utime(old, (1, 1))
    used = tmp_path / "limits-in-use"
    used.touch()
    Limits.shared(tmp_path, KEY, ENDPOINT)
    assert not old.exists()
    assert used.exists()


@pytest.mark.parametrize("obstacle", ["missing", "link", "open", "directory"])
def test_where_no_file_can_be_shared_the_process_has_its_own_bucket_and_says_so(tmp_path, obstacle):
    Limits.shared(tmp_path, KEY, ENDPOINT)
    (file,) = tmp_path.iterdir()
    directory = tmp_path
    if obstacle == "missing":
        directory = tmp_path / "nowhere"
    elif obstacle == "open":
        file.chmod(0o644)
    else:
        file.unlink()
        file.symlink_to("/dev/null") if obstacle == "link" else file.mkdir()
    limits = Limits.shared(directory, KEY, ENDPOINT)
    assert limits.now().alone
    assert "this process alone" in limits.describe()
    assert held_back(limits) == 0


def test_a_full_disk_leaves_the_process_its_own_bucket(tmp_path, monkeypatch):
    limits = Limits.shared(tmp_path, KEY, ENDPOINT)
    assert held_back(limits) == 0

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("console.limacharlie.bucket.os.pwrite", full)
    assert held_back(limits) == 0
    assert limits.describe().endswith("(this process alone: no space left on device)")
    assert held_back(limits) == 0


def test_one_that_is_stopped_while_it_has_the_file_holds_nobody_for_long(tmp_path):
    clock = Clock()
    limits, _ = pair(tmp_path, clock)
    (file,) = tmp_path.iterdir()
    stopped = os.open(file, os.O_RDWR)
    fcntl.flock(stopped, fcntl.LOCK_EX)
    delays = 0
    while (delay := held_back(limits)) > 0:
        clock.now += delay
        delays += 1
        assert delays < 1_000
    assert delays > 100, "it waited a little"
    os.close(stopped)
    assert held_back(limits) == 0
    assert not limits.now().alone


def test_asking_for_a_turn_costs_some_microseconds(tmp_path):
    limits = Limits.shared(tmp_path, KEY, ENDPOINT)

    def ask():
        limits._bucket.level = 50.0
        limits._take(Priority.BACKGROUND, 0.0)

    best = min(timeit.repeat(ask, number=200, repeat=20)) / 200
    assert best < 50e-6


async def test_without_a_budget_only_a_429_holds_back():
    limits = Limits.unlimited()
    for _ in range(10_000):
        await limits.acquire()
    learned(limits, 1)
    await limits.acquire()
    assert limits.describe() == "no rate limit of our own"
    limits.throttle({"Retry-After": "9"}, sent_at=0.0)
    assert limits._take(Priority.INTERACTIVE, 0.0) == pytest.approx(9, abs=0.5)


def test_a_bucket_with_many_lines_fits_its_file(tmp_path):
    clock = Clock()
    many = [Limits.shared(tmp_path, KEY, ENDPOINT) for _ in range(100)]
    for limits in many:
        limits._clock = clock
    taken(many[0], clock, 0.01)
    for limits in many:
        limits._lines[Priority.INTERACTIVE].waiting = 1
        assert held_back(limits) > 0
    assert many[0].waiting == 64
    assert isinstance(many[0]._bucket, Bucket)
    clock.now += 5
    assert held_back(many[99]) == 0
