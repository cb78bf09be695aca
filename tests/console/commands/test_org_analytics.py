"""`limegrove org analytics`: sensors by day, on a real store."""

from contextlib import closing

import pytest

from store import billingwork, ingest
from store.database import Store
from store.months import day_moved, day_of
from store.times import now_ms

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]
DAY = 86_400_000


def kinds(windows, chrome=0):
    return {"windows": {"count": windows, "weight": 1.0}, "chrome": {"count": chrome, "weight": 0.1}}


@pytest.fixture
def counted(filled):
    """Acme's quota was read five days ago and three, and looked at two days ago; Böhm's was read today."""
    now = now_ms()
    with closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store, store.writing() as c:
        billingwork.put_quota(c, OIDS[0], 28, 11.0, kinds(10, 10), now=now - 5 * DAY)
        billingwork.put_quota(c, OIDS[0], 28, 14.0, kinds(13, 10), now=now - 3 * DAY)
        billingwork.put_quota(c, OIDS[1], 9, 4.0, kinds(4), now=now)
        for oid, looked in ((OIDS[0], now - 2 * DAY), (OIDS[1], now)):
            ingest.put_sync_state(c, oid, "organization", checked_at=looked, attempted_at=looked)
    return day_of(now)


def test_sensors_by_day_say_how_each_day_is_known_and_unknown_days_are_none(counted, limegrove):
    found = limegrove("org", "analytics", "Acme Corp", "--days", "7").json["sensors_by_day"]

    ago = [day_moved(counted, -days) for days in range(6, -1, -1)]
    nothing = {"sensors": None, "weighted": None, "quota": None, "known": "unknown"}
    before = {"sensors": 20, "weighted": 11.0, "quota": 28}
    after = {"sensors": 23, "weighted": 14.0, "quota": 28}
    assert found["days"] == [
        {"day": ago[0]} | nothing, {"day": ago[1]} | before | {"known": "read"},
        {"day": ago[2]} | before | {"known": "held"}, {"day": ago[3]} | after | {"known": "read"},
        {"day": ago[4]} | after | {"known": "read"}, {"day": ago[5]} | nothing, {"day": ago[6]} | nothing,
    ]  # fmt: skip
    assert (found["source"], found["completeness"], found["known_since"]) == ("quota", "part", ago[1])
    assert (found["days_known"], found["days_read"]) == (4, 3)
    assert 2 * DAY <= 1000 * found["age_seconds"] + 999 <= 2 * DAY + 600_000
    assert {each["note"] for each in found["notes"]} == {"known_since", "known_until", "not_over", "held"}


def test_the_first_and_the_last_count_are_figures_with_their_source(counted, limegrove):
    found = limegrove("org", "analytics", "Acme Corp", "--days", "7").json["figures"]

    values = {name: each["value"] for name, each in found.items() if name.startswith("sensors_counted")}
    assert values == {"sensors_counted_first": 20, "sensors_counted_last": 23, "sensors_counted_change": 3}
    assert {found[name]["source"] for name in values} == {"quota"}
    found = limegrove("org", "analytics", OIDS[2]).json
    assert [found["figures"][name]["value"] for name in values] == [None] * 3
    assert found["sensors_by_day"]["completeness"] == "unknown"
    assert {each["sensors"] for each in found["sensors_by_day"]["days"]} == {None}


def test_the_table_has_a_character_a_day_and_says_what_that_rests_on(counted, limegrove):
    table = limegrove("org", "analytics", "Acme Corp", "--days", "7", "--output", "table")

    assert [line.split() for line in table.out.splitlines() if line.split()[1:2] in (["sensors"], ["quota"])] == [
        ["counted", "sensors", "23", "on", day_moved(counted, -2), "(+3)", "?####??"],
        ["weighted", "sensors", "14", "?====??"],
        ["sensor", "quota", "28", "?####??"],
    ]  # fmt: skip
    assert (
        f"known since {day_moved(counted, -5)}, here of 4 of 7 days, 3 of them read for certain and"
        in table.err
    )
    assert "looked at 2d ago" in table.err


def test_a_table_of_which_no_day_is_known_says_so(counted, limegrove):
    never = limegrove("org", "analytics", OIDS[2], "--days", "3", "--output", "table")

    assert ["counted", "sensors", "unknown", "???"] in [line.split() for line in never.out.splitlines()]
    assert "Sensors by day are unknown: the quota was never read." in never.err
    older = limegrove("org", "analytics", "Acme Corp", "--days", "1", "--output", "table")
    assert f"unknown (?): the quota is known since {day_moved(counted, -5)}, looked at 2d ago." in older.err


def test_side_by_side_each_has_its_first_and_its_last_count_with_their_days(counted, limegrove):
    found = limegrove("org", "analytics", "--days", "7").json

    said = [
        [each[f"sensors_counted_{name}"] for name in ("first", "first_day", "last", "last_day")]
        for each in found["customers"]
    ]
    assert said == [
        [20, day_moved(counted, -5), 23, day_moved(counted, -2)], [4, counted, 4, counted], [None] * 4
    ]  # fmt: skip
    assert found["sensors_counted"] == {"source": "quota", "organizations": 2, "of": 3}
    table = limegrove("org", "analytics", "--days", "7", "--output", "table")
    assert "Of 2 of 3 it is known how many sensors counted against the quota, first and last." in table.err
