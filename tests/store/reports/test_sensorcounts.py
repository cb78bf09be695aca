"""The first and the last count of sensors of a period, and what they rest on; on both engines."""

from store import billingwork, ingest
from store.reports import periods
from store.reports.customer import customer
from tests.helpers.screens import oid_of

DAY = 86_400_000
MONTH = periods.month("2026-10")
OVER = MONTH.until + 3 * DAY


def told(store, readings, *, looked, failure="", kinds=True):
    """Readings of the quota, (day of October, sensors), and when it was looked at last."""
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": oid_of(0), "name": "Acme", "region": "eu"}], complete=True, now=1
        )
        for day, sensors in readings:
            breakdown = {"linux": {"count": sensors, "weight": 1.0}} if kinds else {}
            billingwork.put_quota(
                c, oid_of(0), 50, float(sensors), breakdown, now=MONTH.since + (day - 1) * DAY + 5_000
            )
        ingest.put_sync_state(
            c, oid_of(0), "organization", checked_at=looked, attempted_at=OVER, failure=failure, reason=failure
        )  # fmt: skip


def counts_of(store, *, period=MONTH, now=OVER):
    with store.reader.reading() as c:
        return customer(c, oid_of(0), period, now=now)


def notes(found):
    return {each.key: dict(each.values) for each in found.counts.source.notes}


def test_a_month_of_which_every_day_is_known_is_whole_and_tells_the_change(store):
    told(store, [(-4, 10), (7, 12), (20, 9)], looked=MONTH.until + DAY)
    found = counts_of(store)
    counts = found.counts
    assert (counts.first.value, counts.last.value, counts.change.value) == (10, 9, -1)
    assert (counts.found.first.day, counts.found.last.day) == ("2026-10-01", "2026-10-31")
    assert (counts.source.state, notes(found)) == ("whole", {"held": {"read": 2, "of": 31}})
    figure = found.as_dict()["figures"]["sensors_counted_change"]
    assert (figure["value"], figure["at_least"], figure["source"], figure["completeness"]) == (
        -1,
        False,
        "quota",
        "whole",
    )
    assert counts.source not in found.all_sources, "what lacks of it makes no gap of the report"


def test_days_before_the_first_reading_and_after_the_last_look_make_it_a_part(store):
    told(store, [(7, 12), (20, 9)], looked=MONTH.since + 24 * DAY, failure="denied")
    found = counts_of(store)
    assert (found.counts.first.value, found.counts.last.value, found.counts.source.state) == (12, 9, "part")
    assert notes(found) == {
        "known_since": {"at": MONTH.since + 6 * DAY}, "known_until": {"at": MONTH.since + 24 * DAY},
        "held": {"read": 3, "of": 19}, "failed": {"kind": "denied", "reason": "denied"},
    }  # fmt: skip
    days = found.counts.as_dict(OVER)["days"]
    assert len(days) == 31
    assert days[0] == {
        "day": "2026-10-01",
        "sensors": None,
        "weighted": None,
        "quota": None,
        "known": "unknown",
    }
    assert days[6] == {"day": "2026-10-07", "sensors": 12, "weighted": 12.0, "quota": 50, "known": "read"}
    assert [each["known"] for each in days] == [
        *["unknown"] * 6, "read", *["held"] * 12, "read", *["held"] * 4, "read", *["unknown"] * 6
    ]  # fmt: skip


def test_of_one_day_no_change_is_told(store):
    told(store, [(9, 4)], looked=MONTH.since + 8 * DAY + 9_000)
    now = MONTH.since + 8 * DAY + 10_000
    found = counts_of(store, now=now)
    assert (found.counts.first.value, found.counts.last.value, found.counts.change.value) == (4, 4, None)
    assert set(notes(found)) == {"known_since", "not_over"}
    assert len(found.counts.days) == 9, "days that have not begun are none"


def test_nothing_is_zero_where_nothing_is_known(store):
    told(store, [], looked=OVER)
    found = counts_of(store)
    assert (found.counts.first.value, found.counts.last.value, found.counts.change.value) == (
        None,
        None,
        None,
    )
    assert (found.counts.source.state, notes(found)) == ("unknown", {"never_read": {}})
    with store.writing() as c:
        billingwork.put_quota(c, oid_of(0), 50, 3.0, {"linux": {"count": 3}}, now=OVER)
    assert notes(counts_of(store)) == {"known_since": {"at": MONTH.until + 3 * DAY}}


def test_of_a_time_after_the_last_look_it_says_until_when_it_is_known(store):
    told(store, [(-9, 4)], looked=MONTH.since - 5_000)
    found = counts_of(store)
    assert (found.counts.source.state, found.counts.last.value) == ("unknown", None)
    assert notes(found) == {"known_until": {"at": MONTH.since - 5_000}}


def test_a_reading_without_numbers_of_kinds_leaves_its_days_out(store):
    told(store, [(1, 5)], looked=OVER)
    told(store, [(10, 6)], looked=OVER, kinds=False)
    told(store, [(12, 7)], looked=OVER)
    found = counts_of(store)
    assert (found.counts.source.state, found.counts.change.value) == ("part", 2)
    assert notes(found)["days"] == {"known": 29, "of": 31}


def test_a_look_within_the_hour_is_enough_for_a_day_that_has_just_begun(store):
    told(store, [(1, 5)], looked=MONTH.since + 10 * DAY - 60_000)
    so_far = counts_of(store, now=MONTH.since + 10 * DAY + 60_000)
    assert (so_far.counts.source.state, so_far.counts.days[-1].how) == ("whole", "unknown")
    later = counts_of(store, now=MONTH.since + 10 * DAY + 2 * 3_600_000)
    assert (later.counts.source.state, set(notes(later))) == ("part", {"known_until", "not_over", "held"})
