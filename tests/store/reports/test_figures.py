"""The figures of reports, against the same numbers counted one by one; on both engines."""

import json
import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import bindparam, update

from store import customers, ingest, journal, models
from store.configuration import Record
from store.reports import periods, sources
from store.reports.customer import customer
from store.reports.listing import addressees
from store.reports.provider import provider
from store.sla import DEFAULT
from store.tree import TreeNode, replace_tree
from tests.helpers.screens import detection, oid_of

ZONE = "Europe/Berlin"
MONTH = periods.month("2026-10", ZONE)
"""Its clocks go back on the 25th: 31 days and an hour."""
NOW = MONTH.until + 3 * 86_400_000
_D = models.Detection.__table__


def filled(store, *, seed=7, alerts=210):
    """Three customers' alerts from September to November, in every state; the rows as they were put."""
    chance = random.Random(seed)
    rows = []
    with store.writing() as c:
        ingest.put_organizations(
            c,
            [{"oid": oid_of(n), "name": f"Customer {n}", "region": "eu"} for n in range(3)],
            complete=True,
            now=1,
        )
        replace_tree(
            c,
            [
                TreeNode("root", None, "All"),
                *(TreeNode(f"n{n}", "root", f"N{n}", oid_of(n)) for n in range(2)),
            ],
        )
        put = {oid_of(n): [] for n in range(3)}
        states = []
        for number in range(alerts):
            oid = oid_of(number % 3)
            at = MONTH.since - 5 * 86_400_000 + chance.randrange(40 * 86_400_000)
            # Both ends, and what lies outside of them.
            at = {0: MONTH.since, 1: MONTH.until - 1, 2: MONTH.until, 3: MONTH.since - 1}.get(number // 3, at)
            put[oid].append(ingest.detection_from(detection(number, oid, at=at), oid))
            status = chance.choice((0, 1, 2, 3, 3))
            acknowledged = None if status == 0 else at + chance.randrange(1, 3 * 3_600_000)
            states.append({
                "of": oid, "at": at,
                "status": status, "classification": chance.choice((0, 1, 2)) if status > 1 else 0,
                "tags": chance.choice(("", "benign", "x benign y", "malbenign")), "acknowledged_at": acknowledged,
                "resolved_at": None if status < 2 else acknowledged + chance.randrange(1, 90 * 3_600_000),
            })  # fmt: skip
        for oid, found in put.items():
            ingest.put_detections(c, oid, found)
        c.execute(update(_D).where(_D.c.oid == bindparam("of"), _D.c.time == bindparam("at")), states)
        for n in range(2):
            ingest.put_sync_state(
                c, oid_of(n), "detections", checked_at=NOW, attempted_at=NOW, mark=NOW,
                cursor=json.dumps({"start": 1, "end": NOW // 1000, "pending": []}),
            )  # fmt: skip
    with store.reader.reading() as c:
        rows = [row._mapping for row in c.execute(_D.select())]
    return rows


def test_a_customer_has_exactly_the_alerts_of_the_month_by_day_and_by_what_became_of_them(store):
    rows = filled(store)
    mine = [row for row in rows if row["oid"] == oid_of(0) and MONTH.since <= row["time"] < MONTH.until]
    with store.reader.reading() as c:
        found = customer(c, oid_of(0), MONTH, now=NOW)
    assert found.alerts.total.value == len(mine) > 40
    assert not found.alerts.total.at_least
    by_day = Counter(
        (datetime.fromtimestamp(row["time"] / 1000, ZoneInfo(ZONE)).day, row["severity"]) for row in mine
    )
    assert {
        (day, severity): count
        for day, counts in enumerate(found.alerts.days, 1)
        for severity, count in enumerate(counts)
        if count
    } == by_day
    for line in found.alerts.severities:
        these = [row for row in mine if row["severity"] == line.severity]
        done = [row for row in these if row["status"] > 1]
        benign = [row for row in done if row["classification"] == 1 and "benign" in row["tags"].split()]
        assert (line.total, line.open, line.benign, line.false_positive) == (
            len(these), len(these) - len(done), len(benign), sum(row["classification"] == 2 for row in done),
        )  # fmt: skip
        assert line.true_positive == sum(row["classification"] == 1 for row in done) - len(benign)
        assert line.undecided == sum(row["classification"] == 0 for row in done)
    before = MONTH.before
    assert found.alerts.before.value == sum(
        row["oid"] == oid_of(0) and before.since <= row["time"] < before.until for row in rows
    )
    rules = Counter(row["cat"] for row in mine)
    assert {each.name: each.total for each in found.alerts.rules} == dict(rules.most_common(6))
    assert found.alerts.host_count == len({row["hostname"] for row in mine})


def test_its_clocks_are_those_of_the_alerts_and_what_waits_past_its_target_is_late(store):
    rows = filled(store)
    with store.reader.reading() as c:
        found = customer(c, oid_of(0), MONTH, now=NOW)
    met = of = 0
    for line in found.response.lines:
        these = [
            row
            for row in rows
            if row["oid"] == oid_of(0) and row["severity"] == line.severity and MONTH.since <= row["time"] < MONTH.until
        ]  # fmt: skip
        took = sorted(row["acknowledged_at"] - row["time"] for row in these if row["acknowledged_at"])
        assert line.acknowledged.count == len(took)
        assert line.acknowledged.median == took[(len(took) + 1) // 2 - 1]
        within = sum(each <= DEFAULT.acknowledge[line.severity] for each in took)
        assert line.acknowledged.within == within
        late = sum(row["status"] == 0 and row["due_at"] <= NOW for row in these)
        assert line.late_acknowledge == late
        met, of = met + within, of + len(took) + late
    assert found.response.within.value == 100 * met / of


def test_what_all_customers_come_to_is_the_sum_of_what_each_comes_to_and_names_who_is_missing(store):
    filled(store)
    with store.reader.reading() as c:
        whole = provider(c, MONTH, now=NOW)
        each = [customer(c, oid_of(n), MONTH, now=NOW) for n in range(3)]
        below = provider(c, MONTH, scope="n1", now=NOW)
    assert whole.total.value == sum(sum(line.total for line in one.alerts.severities) for one in each)
    assert whole.total.at_least
    assert whole.source.organizations == (2, 3)
    assert [one.oid for one in whole.missing] == [oid_of(2)]
    told = whole.as_dict()["customers"]
    assert [(one["completeness"], one["alerts"] is None, one["open"] is None) for one in told] == [
        ("whole", False, False), ("whole", False, False), ("unknown", True, True),
    ]  # fmt: skip
    assert whole.days == tuple(
        tuple(map(sum, zip(*days, strict=True)))
        for days in zip(*(one.alerts.days for one in each), strict=True)
    )
    for line, one in zip(whole.customers, each, strict=True):
        assert line.line.total == sum(severity.total for severity in one.alerts.severities)
        clocks = one.response.lines
        assert line.acknowledge.met == sum(x.acknowledged.within for x in clocks if x.acknowledged)
        assert line.acknowledge.late == sum(x.late_acknowledge for x in clocks)
    assert [one.oid for one in below.customers] == [oid_of(1)]
    assert below.total.value == each[1].alerts.total.value
    assert not below.total.at_least


KNOWN = sources.Known(checked_at=NOW, mark=NOW, start=1)


@pytest.mark.parametrize(
    ("known", "state", "notes"),
    [
        (None, "unknown", ["never_read"]),
        (sources.Known(failure="auth", reason="no"), "unknown", ["failed"]),
        (KNOWN, "whole", []),
        (replace(KNOWN, mark=MONTH.until), "whole", []),
        (replace(KNOWN, mark=MONTH.until - 1), "part", ["known_until"]),
        (replace(KNOWN, start=MONTH.since), "whole", []),
        (replace(KNOWN, start=MONTH.since + 1), "part", ["known_since"]),
        (replace(KNOWN, start=None), "part", ["start_unknown"]),
        (replace(KNOWN, pending=((MONTH.since, MONTH.since + 1),)), "part", ["still_reading"]),
        (replace(KNOWN, pending=((MONTH.until, NOW),)), "whole", []),
        (replace(KNOWN, failure="network", reason="away"), "whole", ["failed"]),
    ],
)
def test_a_month_is_whole_only_when_all_of_it_was_read(known, state, notes):
    found = sources.events(known, MONTH, now=NOW)
    assert (found.state, [each.key for each in found.notes]) == (state, notes)


def test_a_month_that_goes_on_is_whole_so_far_when_it_was_read_lately_and_what_is_pruned_is_missing():
    now = MONTH.since + 10 * 86_400_000
    lately = replace(KNOWN, mark=now - 60_000)
    assert sources.events(lately, MONTH, now=now).notes[0].key == "not_over"
    assert sources.events(lately, MONTH, now=now).state == "whole"
    assert sources.events(replace(KNOWN, mark=now - 7_200_000), MONTH, now=now).state == "part"
    assert sources.events(KNOWN, MONTH, now=NOW, pruned=MONTH.since + 1).state == "part"
    assert sources.events(KNOWN, MONTH, now=NOW, pruned=MONTH.since).state == "whole"
    assert sources.listing(KNOWN, MONTH, "cases", now=NOW, pruned=MONTH.since + 1).state == "part"


def test_what_was_pruned_is_known_from_the_journal(a_store):
    store = a_store()
    filled(store)
    with store.writing() as c:
        journal.append(c, "ann", "store.prune", oid_of(0), "Customer 0", {"before": MONTH.since + 5}, now=NOW)
        journal.append(c, "ann", "store.prune", oid_of(0), "Customer 0", {"before": MONTH.since + 3}, now=NOW)
    with store.reader.reading() as c:
        found, other = (customer(c, oid_of(n), MONTH, now=NOW) for n in range(2))
        whole = provider(c, MONTH, now=NOW)
    assert found.alerts.total.at_least
    assert [(note.key, note.values) for note in found.alerts.source.notes] == [
        ("pruned", {"at": MONTH.since + 5})
    ]
    assert not other.alerts.total.at_least
    assert [one.oid for one in whole.missing] == [oid_of(0), oid_of(2)]


def test_a_month_has_the_days_of_its_zone_and_bad_ones_are_said():
    assert MONTH.until - MONTH.since == 31 * 86_400_000 + 3_600_000
    assert len(MONTH.starts) == MONTH.days == 31
    assert MONTH.before == periods.month("2026-09", ZONE)
    assert periods.month_before(MONTH.until, ZONE) == MONTH
    assert periods.month_before(MONTH.until, "UTC").label == "2026-09"
    fortnight = periods.days("2026-10-01", "2026-10-14", ZONE)
    assert fortnight.before == periods.days("2026-09-17", "2026-09-30", ZONE)
    assert periods.days("2026-10-01", "2026-10-31", ZONE) == MONTH
    assert datetime.fromtimestamp(MONTH.since / 1000, UTC) == datetime(2026, 9, 30, 22, tzinfo=UTC)
    for wrong in ("2026-13", "26-01", "2026-1", "x", "٢٠٢٦-10"):
        with pytest.raises(periods.PeriodError, match="is no month"):
            periods.month(wrong)
    for first, last, why in (
        ("2026-10-02", "2026-10-01", "ends"),
        ("2026-02-29", "2026-03-01", "is no day"),
        ("2020-01-01", "2026-01-01", "too long"),
    ):
        with pytest.raises(periods.PeriodError, match=why):
            periods.days(first, last)
    with pytest.raises(periods.PeriodError, match="no time zone"):
        periods.month("2026-10", "Mars/Olympus")


def _read(store, number, *subjects, reason=""):
    with store.writing() as c:
        for subject in subjects:
            ingest.put_sync_state(
                c, oid_of(number), subject, checked_at=NOW, attempted_at=NOW,
                reason=reason if subject == "configuration" else "",
            )  # fmt: skip


def _subscribe(store, number):
    with store.writing() as c:
        ingest.put_configuration(c, oid_of(number), "extension", {"ext-cases": Record({}, {})}, NOW)


def _of(store, number):
    with store.reader.reading() as c:
        found = customer(c, oid_of(number), MONTH, now=NOW)
        (listed,) = [one for one in addressees(c, MONTH, now=NOW) if one.oid == oid_of(number)]
    return found, [one.state for one in listed.sources if one.name == "cases"]


def test_only_of_an_organization_whose_extensions_were_read_is_it_known_that_it_has_no_case_system(store):
    filled(store, alerts=3)
    _read(store, 1, "configuration")
    _read(store, 2, "configuration", reason="Not permitted: extension, output.")
    for number, states in ((0, ["unknown"]), (1, []), (2, ["unknown"])):
        found, listed = _of(store, number)
        assert listed == states
        assert (found.cases is None) == (not states), number
    found, _ = _of(store, 0)
    assert found.cases.opened.value is None
    assert [note.key for note in found.cases.source.notes] == ["never_read"]


def test_cases_that_were_never_read_are_not_none_in_what_all_customers_come_to(store):
    filled(store, alerts=3)
    with store.reader.reading() as c:
        nobody = provider(c, MONTH, scope="nowhere", now=NOW)
        unread = provider(c, MONTH, now=NOW)
    assert [each.cases.value for each in unread.customers] == [None] * 3
    assert (unread.cases.value, unread.cases.source.organizations) == (None, (0, 3))
    assert {each["cases_opened"] for each in unread.as_dict()["customers"]} == {None}
    for figure in (nobody.total, nobody.grave, nobody.cases, nobody.sensors, nobody.online):
        assert (figure.value, figure.source.state) == (None, "unknown")
        assert [note.key for note in figure.source.notes] == ["nobody"]
    _read(store, 0, "configuration")
    _read(store, 1, "configuration", "cases")
    _subscribe(store, 1)
    with store.reader.reading() as c:
        found = provider(c, MONTH, now=NOW)
    assert [each.cases.value for each in found.customers] == [0, 0, None]
    assert (found.cases.value, found.cases.at_least, found.cases.source.organizations) == (0, True, (1, 2))


def test_how_many_sensors_are_online_is_at_least_the_sum_where_some_did_not_say(store):
    filled(store, alerts=3)
    for number in range(3):
        _read(store, number, "organization")
    table = models.Organization.__table__
    with store.writing() as c:
        c.execute(update(table).where(table.c.oid != oid_of(2)).values(sensors_online=4))
        c.execute(update(table).where(table.c.oid == oid_of(2)).values(sensors_online=None))
    with store.reader.reading() as c:
        found = provider(c, MONTH, now=NOW).online
    assert (found.value, found.at_least, found.source.organizations) == (8, True, (2, 3))


@pytest.mark.parametrize(
    ("zone", "now", "told", "state", "notes"),
    [
        ("Europe/Berlin", "2026-10-11T12:00", 9, "whole", ["not_over"]),
        ("Europe/Berlin", "2026-10-11T12:00", 8, "part", ["days"]),
        # The month is over in Berlin, and its last day of UTC is not.
        ("Europe/Berlin", "2026-10-31T23:30", 29, "whole", ["not_over"]),
        ("Europe/Berlin", "2026-11-02T12:00", 31, "whole", []),
        ("Europe/Berlin", "2026-11-02T12:00", 30, "part", ["days"]),
        ("America/Los_Angeles", "2026-10-11T12:00", 9, "whole", ["not_over"]),
        # It goes on there, and its days of UTC are over: each of them is to be told.
        ("America/Los_Angeles", "2026-11-01T03:00", 31, "whole", []),
        ("America/Los_Angeles", "2026-11-01T03:00", 30, "part", ["days"]),
    ],
)
def test_usage_is_whole_by_the_days_of_utc_that_are_over(a_store, zone, now, told, state, notes):
    store = a_store()
    moment = round(datetime.fromisoformat(f"{now}+00:00").timestamp() * 1000)
    with store.writing() as c:
        ingest.put_organizations(
            c, [{"oid": oid_of(0), "name": "Acme", "region": "eu"}], complete=True, now=1
        )
        days = {f"2026-10-{day:02}": {"sensor_events": 5} for day in range(1, told + 1)}
        ingest.put_usage(c, oid_of(0), days)
        ingest.put_sync_state(c, oid_of(0), "usage", checked_at=moment, attempted_at=moment)
    with store.reader.reading() as c:
        found = customer(c, oid_of(0), periods.month("2026-10", zone), now=moment).usage
    assert (found.source.state, [note.key for note in found.source.notes]) == (state, notes)


def test_each_customers_days_are_those_of_the_tree_else_of_its_brand_else_of_its_documentation(store):
    filled(store, alerts=3)
    with store.writing() as c:
        for number in range(3):
            said = customers.from_plain({"time_zone": "Asia/Tokyo"})
            customers.put(c, oid_of(number), said, by="ann", now=NOW)
        replace_tree(
            c,
            [
                TreeNode("root", None, "All"),
                TreeNode("n0", "root", "N0", oid_of(0), parameters={"report_time_zone": ZONE, "report_brand": "b"}),
                TreeNode("n1", "root", "N1", oid_of(1), parameters={"report_brand": "b", "report_time_zone": "Mars/X"}),
            ],
        )  # fmt: skip
    with store.reader.reading() as c:
        zones = [
            {one.oid: one.period.zone for one in addressees(c, period, now=NOW, brand_zone=brand)}
            for period, brand in (
                (periods.month("2026-10", ""), {"b": "America/Lima", "": ""}.get),
                (periods.month("2026-10", ""), lambda _name: ""),
                (periods.month("2026-10", "UTC"), lambda _name: "America/Lima"),
            )
        ]
    assert [list(each.values()) for each in zones] == [
        [ZONE, "America/Lima", "Asia/Tokyo"],
        [ZONE, "Asia/Tokyo", "Asia/Tokyo"],
        ["UTC"] * 3,
    ]
