"""The queue: what it shows, filters and opens, and what it never does."""

import asyncio

import pytest

from screens.alerts import Alerts
from screens.context import Scope
from screens.dialogs.alert_json import AlertJson
from screens.frame import KeyLine, TitleLine
from screens.requests import OpenPivot, ShowAccess, ShowAlerts, ShowOrganization
from screens.widgets.alert_detail import describe
from screens.widgets.json_view import lines_of
from store import ingest
from store.queries import alerts
from tests.helpers.screens import NOW, Host, detection, fill, oid_of, still, text_of, until

HOSTILE = "a\x1b]52;c;eA==\x07\u202eb[@click=app.quit]c[/foo]\ud800"


@pytest.fixture
def host(filled_store):
    return Host(filled_store, Alerts)


async def full(pilot, host):
    await until(pilot, lambda: host.view.look == "full")
    await still(pilot)


def rows(host) -> list[str]:
    """The lines of the queue, heads left out."""
    return [line for line in text_of(host).splitlines()[3:-1] if line.strip()]


async def test_the_queue_is_worst_and_newest_first_over_all_organizations(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        shown = rows(host)
        assert len(shown) == 20
        assert " ".join(shown[0].split()) == "> !! CRIT 1m 0:14 Acme Dental Encoded Powe~ host-00 new"
        assert all("!! CRIT" in line for line in shown[:10])
        assert all("!  HIGH" in line for line in shown[10:])
        assert host.view.query_one(TitleLine).text.endswith("60 open ")


async def test_every_column_is_there_on_a_wide_terminal(host):
    async with host.run_test(size=(120, 40)) as pilot:
        await full(pilot, host)
        assert text_of(host).splitlines()[2].split() == [
            "SEV", "AGE", "SLA", "ORGANIZATION", "RULE", "HOST", "STAT", "WHO",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "matching"),
    [("sev:critical", 10), ("host:host-03", 4), ("org:acme", 12), ("cat:lsass sev:high", 10), ("lsass", 10)],
)
async def test_a_filter_works_on_any_column_and_counts_are_n_of_m(host, line, matching):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("/", *line, "enter")
        await until(pilot, lambda: f"{matching} of 60 open" in host.view.query_one(TitleLine).text)
        assert len(rows(host)) == matching
        assert f"/{line}" in host.view.query_one(TitleLine).text


async def test_a_bad_filter_is_explained_and_the_queue_stays(host):
    async with host.run_test(size=(120, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("/", *"sev:terrible", "enter")
        assert "terrible is not a severity" in host.view.query_one(KeyLine).text
        assert len(rows(host)) == 19, "the sentence takes a line of them"
        assert host.view.filter_line == ""


async def test_nothing_that_matches_is_said_with_the_way_out(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("/", *"host:nowhere", "enter")
        await until(pilot, lambda: host.view.look == "empty")
        assert "No alert matches host:nowhere. esc shows all open ones." in text_of(host)
        await pilot.press("m")
        assert "No alert is under the cursor." in host.view.query_one(KeyLine).text
        await pilot.press("escape")
        await full(pilot, host)
        assert host.asked == []


async def test_another_scope_is_another_queue(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        host.go(Scope("gold", "Europe/Gold"))
        await until(pilot, lambda: "24 open" in host.view.query_one(TitleLine).text)
        assert all("Acme" in line or "Borealis" in line for line in rows(host))


async def test_new_alerts_arrive_and_the_cursor_stays_on_its_thing(host, filled_store):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("j", "j")
        before = host.view.queue.current
        with filled_store.writing() as connection:
            raw = detection(600, oid_of(1), at=NOW - 5000)
            ingest.put_detections(connection, oid_of(1), [ingest.detection_from(raw, oid_of(1))])
        await until(pilot, lambda: "61 open" in host.view.query_one(TitleLine).text)
        assert host.view.queue.current == before
        assert "5s" in rows(host)[0]


async def test_the_keys_go_to_the_organization_and_to_its_matrix(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("j", "o", "m")
        await until(pilot, lambda: len(host.asked) == 2)
        oid = host.view.queue.current.oid
        assert host.asked == [ShowOrganization(oid), ShowAccess(oid)]


async def test_p_asks_for_the_values_of_the_alert(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("j", "p")
        await until(pilot, lambda: host.asked)
        assert host.asked == [OpenPivot(host.view.queue.current.id)]


async def test_closing_what_was_looked_for_goes_back_to_the_filter_before(host):
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("/", *"sev:high", "enter")
        await until(pilot, lambda: "30 of 60" in host.view.query_one(TitleLine).text)
        host.view.look_for("host:host-03 status:any")
        await until(pilot, lambda: "4 alerts, 4 open" in host.view.query_one(TitleLine).text)
        await pilot.press("escape")
        await until(pilot, lambda: "30 of 60" in host.view.query_one(TitleLine).text)
        await pilot.press("escape")
        await until(pilot, lambda: "60 open" in host.view.query_one(TitleLine).text)
        assert host.view.filter_line == ""


async def test_a_value_typed_by_hand_is_looked_for_everywhere(host):
    async with host.run_test(size=(120, 24)) as pilot:
        await full(pilot, host)
        await pilot.press(":", *"pivot ACME\\svc-backup", "enter")
        await until(pilot, lambda: host.asked)
        assert host.asked == [ShowAlerts("pivot:ACME\\svc-backup status:any snoozed:any")]
        await pilot.press(":", *"pivot", "enter")
        assert "nothing to look for" in host.view.query_one(KeyLine).text
        assert len(host.asked) == 1


async def test_the_detail_says_the_event_in_its_own_words(host):
    async with host.run_test(size=(80, 40)) as pilot:
        await full(pilot, host)
        await pilot.press("enter")
        await until(pilot, lambda: "command  powershell.exe -nop" in text_of(host))
        shown = text_of(host)
        for line in (
            "org      Europe/Gold/Acme Dental",
            "user     ACME\\svc-backup on host-00 (windows)  10.8.4.0  203.0.113.25",
            "parent   C:\\Program Files\\Office\\outlook.exe (4024)",
            "hash     0000",
        ):
            assert line in shown
        await pilot.press("escape")
        await pilot.pause()
        assert "powershell.exe -nop" not in text_of(host)
        assert host.asked == []


async def test_the_detail_follows_the_cursor_only_when_it_rests(host, monkeypatch):
    read = []
    detail = alerts.detail
    monkeypatch.setattr(
        alerts, "detail", lambda connection, number: read.append(number) or detail(connection, number)
    )
    async with host.run_test(size=(80, 24)) as pilot:
        await full(pilot, host)
        await pilot.press("enter")
        await until(pilot, lambda: len(read) == 1)
        for _ in range(12):
            host.view.queue.action_cursor_down()
        await until(pilot, lambda: len(read) > 1)
        await asyncio.sleep(0.2)
        await still(pilot)
        assert len(read) == 2
        assert read[-1] == host.view.queue.current.id


async def test_the_raw_detection_is_shown_whole_and_safely(empty_store):
    raw = detection(1, oid_of(0), at=NOW, detect={"event": {"FILE_PATH": HOSTILE, "DEEP": [{"a": [1, 2]}]}})
    fill(empty_store, detections=0, extra=[(oid_of(0), raw)])
    host = Host(empty_store, Alerts)
    async with host.run_test(size=(100, 60)) as pilot:
        await full(pilot, host)
        await pilot.press("J")
        await until(pilot, lambda: isinstance(host.screen, AlertJson) and '"cat"' in text_of(host))
        shown = text_of(host)
        assert "\x1b" not in shown
        assert "[@click=app.quit]c[/foo]" in shown
        assert '"DEEP": [' in shown
        assert host.guard.hits == 0
        await pilot.press("Z")
        await pilot.pause()
        assert '"detect": { 1 entries }' in text_of(host)
        await pilot.press("J")
        await until(pilot, lambda: host.screen is host.view)


async def test_hostile_telemetry_steers_nothing(empty_store):
    raw = detection(
        1,
        oid_of(0),
        at=NOW,
        cat=HOSTILE,
        routing={"hostname": HOSTILE},
        detect={"event": {"COMMAND_LINE": HOSTILE}},
    )
    fill(empty_store, detections=0, extra=[(oid_of(0), raw)])
    host = Host(empty_store, Alerts)
    async with host.run_test(size=(200, 50)) as pilot:
        await full(pilot, host)
        await pilot.press("enter")
        await until(pilot, lambda: "command  a\\x1b]52" in text_of(host))
        assert "a\\x1b]52;c;eA==\\x07\\u202eb[@click=app.quit]c[/foo]\\ud800" in text_of(host)
        assert host.guard.hits == 0
        assert host.asked == []


async def test_a_damaged_record_is_in_the_queue_and_its_bytes_can_be_read(empty_store):
    fill(empty_store, detections=0, extra=[(oid_of(0), b'{"cat": "half a rec')])
    host = Host(empty_store, Alerts)
    async with host.run_test(size=(100, 40)) as pilot:
        await full(pilot, host)
        assert "(damaged)" in rows(host)[0]
        await pilot.press("enter")
        await until(pilot, lambda: "could not be read as JSON" in text_of(host))
        await pilot.press("J")
        await until(pilot, lambda: "half a rec" in text_of(host))


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'{"detect": 5, "routing": [], "detect_mtd": "x", "rule_tags": {}}',
        b'{"routing": {"plat": "x", "event_time": 1e400, "int_ip": 5}, "detect": {"PARENT": []}}',
        b'{"detect": {"event": {"COMMAND_LINE": {"a": 1}, "HASH": [1]}}}',
        b"[" * 5000,
    ],
)
def test_a_detail_of_any_shape_can_be_described(filled_store, host, body):
    from dataclasses import replace

    with filled_store.reader.reading() as connection:
        found = alerts.detail(connection, 1)
    assert found is not None
    for width, height in ((1, 1), (20, 3), (78, 11), (300, 100)):
        described = describe(replace(found, body=body), host.context, width, height)
        assert len(described.plain.splitlines()) <= height


def test_json_is_laid_out_line_by_line_and_folds():
    value = {"a": [1, {"b": None}], "c": {}}
    assert [line.text for line in lines_of(value)] == [
        "{", '  "a": [', "    1", "    {", '      "b": null', "    }", "  ]", '  "c": {}', "}",
    ]  # fmt: skip
    assert [line.text for line in lines_of(value, frozenset({("a",)}))] == [
        "{", '  "a": [ 2 entries ]', '  "c": {}', "}",
    ]  # fmt: skip


async def test_no_column_is_cut_off_at_any_width(host):
    async with host.run_test(size=(60, 24)) as pilot:
        await full(pilot, host)
        for width in range(60, 140):
            await pilot.resize_terminal(width, 24)
            table = host.view.queue
            await until(pilot, lambda width=width, table=table: table.size.width == width and table._widths)
            assert 2 + sum(size + 1 for _, size in table._widths) <= width
