"""When each organization is looked at next."""

from collections import Counter

from console.operations.schedule import IMPORTANT, LONGEST, SHORTEST, Schedule


def _lived(schedule: Schedule, noisy: set[str], seconds: float, most: int = 1000) -> Counter[str]:
    """Let time pass in steps of five seconds; how often each organization was looked at."""
    looks: Counter[str] = Counter()
    now = 0.0
    while now < seconds:
        for oid in schedule.due(now, most):
            looks[oid] += 1
            schedule.looked(oid, now, news=oid in noisy)
        now += 5.0
    return looks


def test_an_organization_with_news_is_looked_at_far_more_often_than_a_quiet_one() -> None:
    schedule = Schedule()
    schedule.keep(["noisy", "quiet"], important=(), now=0.0)
    looks = _lived(schedule, {"noisy"}, 3600)
    assert looks["noisy"] == 3600 / SHORTEST
    assert 3600 / LONGEST <= looks["quiet"] <= 3600 / LONGEST + 8


def test_one_that_matters_is_never_left_alone_for_long() -> None:
    schedule = Schedule()
    schedule.keep(["important", "quiet"], important=["important"], now=0.0)
    looks = _lived(schedule, set(), 3600)
    assert looks["important"] >= 3600 / IMPORTANT
    assert looks["quiet"] < looks["important"] / 3
    schedule.keep(["important", "quiet"], important=["quiet"], now=3600.0)
    assert _from(schedule, "quiet", 3600.0) <= IMPORTANT


def _from(schedule: Schedule, oid: str, now: float) -> float:
    waited = 0.0
    while oid not in schedule.due(now + waited, 10):
        waited += 5.0
    return waited


def test_noise_delays_nobody_when_there_is_room_for_few_looks_only() -> None:
    schedule = Schedule()
    quiet = [f"quiet {number}" for number in range(20)]
    noisy = [f"noisy {number}" for number in range(80)]
    schedule.keep(quiet + noisy, important=(), now=0.0)
    looks = _lived(schedule, set(noisy), 6000, most=5)
    assert sum(looks.values()) == 6000 / 5 * 5
    assert min(looks[oid] for oid in quiet) >= 15
    assert min(looks[oid] for oid in noisy) > 2 * max(looks[oid] for oid in quiet)
    assert max(looks[oid] for oid in noisy) - min(looks[oid] for oid in noisy) <= 3


def test_a_new_organization_is_due_at_once_and_one_that_is_gone_never_again() -> None:
    schedule = Schedule()
    schedule.keep(["a", "b"], important=(), now=0.0)
    for oid in schedule.due(0.0, 10):
        schedule.looked(oid, 0.0, news=False)
    assert schedule.due(1.0, 10) == []
    schedule.keep(["b", "c"], important=(), now=1.0)
    assert schedule.due(1.0, 10) == ["c"]
    assert set(schedule.due(1e6, 10)) == {"b", "c"}


def test_whoever_was_not_looked_at_stays_due() -> None:
    schedule = Schedule()
    schedule.keep(["a", "b", "c"], important=(), now=0.0)
    assert schedule.due(0.0, 2) == ["a", "b"]
    assert schedule.due(0.0, 10) == ["a", "b", "c"]
    schedule.looked("a", 0.0, news=True)
    assert schedule.due(1.0, 10) == ["b", "c"]
    assert schedule.wait(1.0) == 0.0
    for oid in ("b", "c"):
        schedule.looked(oid, 1.0, news=True)
    assert schedule.wait(1.0) == SHORTEST - 1.0


def test_where_the_rate_allows_it_nobody_waits_for_long() -> None:
    schedule = Schedule(shortest=5.0)
    schedule.keep(["quiet"], important=(), now=0.0, longest=10.0)
    for _ in range(10):
        schedule.looked("quiet", 0.0, news=False)
    assert schedule.interval("quiet") == 10.0
