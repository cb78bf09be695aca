"""Sensors by day out of the readings of quotas, against the days one by one; on both engines."""

import random

import pytest
from sqlalchemy import insert

from store import billingwork, ingest, models
from store.months import day_moved
from store.queries.sensordays import SensorDay, counted, ends, sensor_days
from tests.helpers.screens import NOW, oid_of

DAY = 86_400_000
TODAY = "2026-11-24"
"""The day of NOW."""


def ago(days: int) -> str:
    return day_moved(TODAY, -days)


def kinds(windows: int, chrome: int = 0):
    return {"windows": {"count": windows, "weight": 1.0}, "chrome": {"count": chrome, "weight": 0.1}}


def looked(store, days: int | None, number: int = 0) -> None:
    with store.writing() as c:
        at = None if days is None else NOW - days * DAY
        ingest.put_sync_state(c, oid_of(number), "organization", checked_at=at, attempted_at=NOW)


def read(store, days: int, windows: int | None, quota: int | None = 100, number: int = 0) -> None:
    """A reading so many days ago; None is one that was not permitted."""
    with store.writing() as c:
        told = (quota, float(windows), kinds(windows)) if windows is not None else (None, None, {})
        billingwork.put_quota(c, oid_of(number), *told, now=NOW - days * DAY)


def days_of(store, first: int, last: int, number: int = 0):
    with store.reader.reading() as c:
        return sensor_days(c, oid_of(number), ago(first), ago(last))


def test_a_reading_holds_until_the_next_one_and_the_last_until_the_last_look(store):
    read(store, 6, 10)
    read(store, 3, 12)
    looked(store, 1)
    found = days_of(store, 8, 0)
    assert [(each.sensors, each.how) for each in found.days] == [
        (None, "unknown"), (None, "unknown"), (10, "read"), (10, "held"), (10, "held"), (12, "read"),
        (12, "held"), (12, "read"), (None, "unknown"),
    ]  # fmt: skip
    assert (found.first.day, found.last.day, found.since, found.looked_at) == (
        ago(6),
        ago(1),
        ago(6),
        NOW - DAY,
    )
    assert (len(found.known), found.read) == (6, 3)
    assert found.last == SensorDay(ago(1), 12, 12.0, 100, "read")


def test_what_was_read_before_the_first_day_holds_on_it(store):
    read(store, 40, 7)
    read(store, 20, 9)
    read(store, 2, 11)
    looked(store, 0)
    found = days_of(store, 5, 0)
    assert [each.sensors for each in found.days] == [9, 9, 9, 11, 11, 11]
    assert [each.how for each in found.days] == ["held", "held", "held", "read", "held", "read"]
    assert found.since == ago(40)


def test_nothing_is_known_of_who_was_never_read_and_of_days_before_the_first_reading(store):
    assert days_of(store, 2, 0).known == ()
    assert days_of(store, 2, 0).since == ""
    read(store, 0, 5)
    looked(store, 0)
    found = days_of(store, 9, 5)
    assert (found.known, found.since, found.first, found.last) == ((), TODAY, None, None)
    assert [each.how for each in found.days] == ["unknown"] * 5
    assert days_of(store, 0, 1).days == ()


def test_what_may_not_be_read_any_more_is_unknown_from_then_on_and_known_again_when_it_may(store):
    read(store, 8, None)  # never read before: nothing is noted
    assert days_of(store, 9, 0).since == ""
    read(store, 6, 10)
    read(store, 4, None)
    read(store, 3, None)
    read(store, 1, 10)
    looked(store, 0)
    assert [each.sensors for each in days_of(store, 6, 0).days] == [10, 10, None, None, None, 10, 10]


def test_the_last_of_several_readings_of_a_day_counts(store):
    for windows in (3, 4, 3, 5):
        read(store, 0, windows)
    looked(store, 0)
    assert [each.sensors for each in days_of(store, 0, 0).days] == [5]


@pytest.mark.parametrize(
    ("breakdown", "used", "sensors"),
    [
        (kinds(5, 30), 8.0, 35),
        ({"windows": {"count": 5.0}}, None, 5),
        ({}, 0.0, 0),
        ({}, 4.0, None),
        ({}, None, None),
        ({"windows": {"count": 5}, "linux": {"weight": 1.0}}, 7.0, None),
        ({"windows": {"count": 5}, "linux": "2"}, 7.0, None),
        ({"windows": {"count": True}}, 1.0, None),
        ({"windows": {"count": -1}}, 1.0, None),
        ({"windows": {"count": 1.5}}, 1.0, None),
        ({"windows": {"count": float("inf")}}, 1.0, None),
    ],
)
def test_sensors_are_counted_only_where_every_kind_says_how_many(breakdown, used, sensors):
    assert counted(breakdown, used) == sensors


def test_a_reading_without_a_count_still_has_its_weight_and_its_quota(store):
    with store.writing() as c:
        billingwork.put_quota(c, oid_of(0), 100, 7.0, {}, now=NOW)
    (day,) = days_of(store, 0, 0).days
    assert day == SensorDay(TODAY, None, 7.0, 100, "read")


def test_the_ends_of_many_are_those_of_each(store):
    chance = random.Random(11)
    oids = [oid_of(number) for number in range(60)]
    rows = []
    with store.writing() as c:
        for oid in oids:
            for back in sorted(chance.sample(range(40), chance.choice((0, 1, 2, 5, 12))), reverse=True):
                told = chance.random() < 0.8
                rows.append({
                    "oid": oid, "day": ago(back), "quota": 50 if told else None,
                    "used": 3.0 if told else None, "breakdown": kinds(chance.randrange(50)) if told else {},
                })  # fmt: skip
            at = chance.choice((None, NOW, NOW - 8 * DAY, NOW - 35 * DAY))
            if at is not None or chance.random() < 0.5:
                ingest.put_sync_state(c, oid, "organization", checked_at=at, attempted_at=NOW)
        c.execute(insert(models.QuotaReading.__table__), rows)
    for first, last in ((30, 0), (10, 3), (0, 0), (39, 38)):
        with store.reader.reading() as c:
            found = ends(c, ago(first), ago(last))
            some = ends(c, ago(first), ago(last), wanted=oids[:7])
            each = {oid: sensor_days(c, oid, ago(first), ago(last)) for oid in oids}
        assert found == {oid: (one.first, one.last) for oid, one in each.items() if one.first}
        assert some == {oid: pair for oid, pair in found.items() if oid in oids[:7]}
    assert found, "there is something to compare in the last and smallest of them"
