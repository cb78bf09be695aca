"""Reports before they are written, on a real store."""

import json
import re
import threading
from datetime import UTC, datetime

import pytest

from screens.context import Scope
from screens.reports import Reports
from screens.requests import Back, ShowOrganization, WriteReports
from store import customers, ingest, models
from store.reports.customer import customer
from tests.helpers.screens import NOW, Host, detection, oid_of, still, text_of, until

STORED = json.dumps({"start": 1, "end": NOW // 1000, "pending": []})


@pytest.fixture
def known_store(filled_store):
    """October and November of the first two customers are known; nobody has a case system."""
    with filled_store.writing() as c:
        for number in range(5):
            for subject in ("configuration", "organization", "usage"):
                ingest.put_sync_state(c, oid_of(number), subject, checked_at=NOW, attempted_at=NOW)
        for number in range(2):
            oid = oid_of(number)
            ingest.put_sync_state(
                c,
                oid,
                "detections",
                cursor=STORED,
                mark=NOW,
                checked_at=NOW - 60_000,
                attempted_at=NOW - 60_000,
            )
            ingest.put_sensors(
                c, oid, [{"sid": f"s{n}", "hostname": f"h{n}", "plat": 0x10000000} for n in range(3)]
            )
            ingest.put_sync_state(c, oid, "sensors", checked_at=NOW - 60_000, attempted_at=NOW - 60_000)
    return filled_store


async def ready(pilot) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)


async def settled(pilot, words: str) -> None:
    await until(pilot, lambda: words in " ".join(text_of(pilot.app).split()))


async def test_each_customer_is_listed_with_what_its_report_would_lack(known_store):
    host = Host(known_store, Reports)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await settled(pilot, "October 2026 2 of 5 whole")
        await settled(pilot, "o whole Acme Dental nothing default -")
        await settled(pilot, "~ part Cedar Clinic alerts, sensors default -")
        await settled(pilot, "Acme Dental brand default")
        await settled(pilot, "alerts 0, 0 high or critical; the month before 0")
        await settled(pilot, "sensors 3, online not known")
        await settled(pilot, "o alerts: read 1m ago, whole")
        assert host.guard.hits == 0


async def test_the_month_that_goes_on_is_so_far_and_no_later_one_is_there(known_store):
    host = Host(known_store, Reports)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        await pilot.press("right_square_bracket")
        await settled(pilot, "November 2026 2 of 5 whole")
        await settled(pilot, "alerts 12,")
        await settled(pilot, "so far, as of 2026-11-24")
        await pilot.press("right_square_bracket")
        await settled(pilot, "There are the 24 months behind this one")
        await pilot.press("left_square_bracket", "left_square_bracket")
        await settled(pilot, "September 2026")


async def test_the_marked_ones_are_written_else_the_one_under_the_cursor(known_store):
    host = Host(known_store, Reports)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("w")
        await pilot.press("space", "space", "w")
        await pilot.press("E", "S", "t")
        await until(pilot, lambda: len(host.asked) == 5)
        assert host.asked == [
            WriteReports("customer", (oid_of(0),), "2026-10"),
            WriteReports("customer", (oid_of(0), oid_of(1)), "2026-10"),
            WriteReports("executive", (), "2026-10"),
            WriteReports("sla", (), "2026-10"),
            ShowOrganization(oid_of(2)),
        ]
        await pilot.press("q")
        await until(pilot, lambda: not host.view.table.marks)
        await pilot.press("q")
        assert host.asked[-1] == Back()


async def test_a_filter_is_part_of_a_name_a_brand_or_a_state(known_store):
    host = Host(known_store, Reports)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        host.view.filter_by("part")
        await settled(pilot, "/part October 2026 3 of 5, 0 whole")
        host.view.filter_by("nobody")
        await settled(pilot, "Nobody is left by the filter")
        await pilot.press("w")
        await settled(pilot, "Nobody is chosen.")


async def test_a_scope_without_a_customer_and_an_empty_store_say_so(known_store, tmp_path):
    host = Host(known_store, Reports, scope=Scope("nowhere", "Nowhere"))
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert host.view.look == "empty"
        await settled(pilot, "There is no customer here to report to")


def test_it_looks_like_this_at_80_columns(snap_compare, known_store):
    """Five customers, two of them whole; below, what the report of the first rests on."""

    async def before(pilot):
        await ready(pilot)
        await settled(pilot, "o alerts: read 1m ago")

    assert snap_compare(Host(known_store, Reports), terminal_size=(80, 24), run_before=before)


def test_it_looks_like_this_at_120_columns(snap_compare, known_store):
    """The same with the report beside the list, in the month that goes on."""

    async def before(pilot):
        await ready(pilot)
        await pilot.press("right_square_bracket")
        await settled(pilot, "alerts 12,")

    assert snap_compare(Host(known_store, Reports), terminal_size=(120, 40), run_before=before)


async def test_a_month_has_the_days_of_the_customers_time_zone_as_its_report_has(known_store):
    midnight = round(datetime(2026, 9, 30, 22, tzinfo=UTC).timestamp() * 1000)
    with known_store.writing() as c:
        found = [
            ingest.detection_from(detection(900 + n, oid_of(0), at=midnight + n), oid_of(0)) for n in (-1, 1)
        ]
        ingest.put_detections(c, oid_of(0), found)
        said = customers.from_plain({"time_zone": "Europe/Berlin"})
        customers.put(c, oid_of(0), said, by="ann", now=NOW)
    host = Host(known_store, Reports)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await settled(pilot, "Acme Dental brand default, days of Europe/Berlin")
        await settled(pilot, "alerts 1, ")
        await settled(pilot, "the month before 1")


async def test_what_is_known_in_part_or_not_at_all_is_said_to_be_so_in_each_line(known_store):
    half = NOW - 12 * 86_400_000
    with known_store.writing() as c:
        ingest.put_sync_state(c, oid_of(0), "detections", cursor=STORED, mark=half, checked_at=half)
        c.execute(models.SyncState.__table__.delete().where(models.SyncState.__table__.c.oid == oid_of(1)))
        c.execute(
            models.Detection.__table__.update()
            .where(models.Detection.__table__.c.oid == oid_of(0))
            .values(acknowledged_at=models.Detection.__table__.c.time + 1)
        )
    host = Host(known_store, Reports)
    async with host.run_test(size=(80, 40)) as pilot:
        await ready(pilot)
        await pilot.press("right_square_bracket")
        await settled(pilot, "alerts at least 12, at least")
        shown = " ".join(text_of(pilot.app).split())
        assert re.search(r"by day \S.* of those known", shown)
        assert re.search(r"(critical|high) at least \d+: \d+ true, \d+ false, \d+ open of those known", shown)
        assert re.search(r"in time \d+\.\d % acknowledged of those known", shown)
        await pilot.press("down")
        await settled(pilot, "alerts not known, not known high or critical; the month before not known")
        await settled(pilot, "in time not known")
        assert "by day" not in text_of(pilot.app)


async def test_who_lacks_usage_or_the_record_of_the_organization_lacks_something(known_store):
    with known_store.writing() as c:
        table = models.SyncState.__table__
        c.execute(table.delete().where(table.c.subject == "usage", table.c.oid == oid_of(0)))
        c.execute(table.delete().where(table.c.subject == "organization", table.c.oid == oid_of(1)))
    host = Host(known_store, Reports)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await settled(pilot, "October 2026 0 of 5 whole")
        await settled(pilot, "~ part Acme Dental usage default -")
        await settled(pilot, "~ part Borealis Foods quota, online default -")


async def test_of_whom_no_extension_was_ever_read_it_is_not_said_that_there_is_no_case_system(known_store):
    with known_store.writing() as c:
        table = models.SyncState.__table__
        c.execute(table.delete().where(table.c.subject == "configuration"))
    host = Host(known_store, Reports)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await settled(pilot, "October 2026 0 of 5 whole")
        await settled(pilot, "~ part Acme Dental cases default -")
        await settled(pilot, "cases not known")
        await settled(pilot, ". cases: unknown, never read")


class SlowFigures:
    """Reads figures as long as a test wants it to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.free = threading.Event()

    def __call__(self, connection, oid, period, *, now):
        self.begun.append(oid)
        assert self.free.wait(30)
        return customer(connection, oid, period, now=now)


@pytest.fixture
def slow(monkeypatch):
    found = SlowFigures()
    monkeypatch.setattr("screens.reports.customer", found)
    yield found
    found.free.set()


def written(store) -> None:
    with store.writing() as c:
        ingest.put_sync_state(c, oid_of(0), "detections", cursor=STORED, checked_at=NOW, attempted_at=NOW)


async def read_anew(pilot, host: Host, store) -> None:
    read = host.view._read_at
    written(store)
    await until(pilot, lambda: host.view._read_at > read and not host.view._reading)


async def test_figures_that_take_long_are_read_one_at_a_time_and_nobody_elses_are_shown_meanwhile(
    known_store, slow
):
    host = Host(known_store, Reports)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: slow.begun == [oid_of(0)])
        await settled(pilot, "Acme Dental its figures are being read")
        slow.free.set()
        await settled(pilot, "Acme Dental brand default")
        slow.free.clear()
        await pilot.press("down")
        await settled(pilot, "Borealis Foods its figures are being read")
        assert "brand default" not in " ".join(text_of(host).split())
        host.view.DETAIL_EVERY = 0.01
        for _ in range(3):
            await read_anew(pilot, host, known_store)
        assert slow.begun == [oid_of(0), oid_of(1)]
        slow.free.set()
        await settled(pilot, "Borealis Foods brand default")


async def test_changes_of_the_store_have_figures_read_seldom_and_keep_them_until_then(known_store, slow):
    slow.free.set()
    host = Host(known_store, Reports)
    async with host.run_test(size=(80, 24)) as pilot:
        await settled(pilot, "Acme Dental brand default")
        host.view.DETAIL_EVERY = 3_600
        for _ in range(3):
            await read_anew(pilot, host, known_store)
            assert "Acme Dental brand default" in " ".join(text_of(host).split())
        assert slow.begun == [oid_of(0)]
        host.view.DETAIL_EVERY = 0.05
        await pilot.press("down")
        await until(pilot, lambda: slow.begun == [oid_of(0), oid_of(1)])
        await pilot.press("up")
        await until(pilot, lambda: slow.begun == [oid_of(0), oid_of(1), oid_of(0)])


async def test_figures_that_cannot_be_read_say_so_in_their_place(known_store, monkeypatch):
    def broken(*_, **__):
        raise OSError("the disk is gone")

    monkeypatch.setattr("screens.reports.customer", broken)
    host = Host(known_store, Reports)
    async with host.run_test(size=(80, 24)) as pilot:
        await settled(pilot, "Acme Dental its figures could not be read: the disk is gone")
