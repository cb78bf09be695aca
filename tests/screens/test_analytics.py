"""The last thirty days of an organization: its sensors day by day, on a real store."""

import pytest

from screens.organization_tabs import TABS, analytics
from screens.organizations import Organizations
from screens.widgets.plot import plot
from screens.widgets.spark import spark
from store import billingwork, ingest
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until

DAY = 86_400_000
CHANGES = (
    (25, 60, 14, 90),
    (20, 62, 14, 90),
    (11, 68, 14, 90),
    (8, 80, 20, 90),
    (4, 83, 20, 110),
    (1, 81, 20, 110),
)


def told(store, readings, *, looked=240_000, number=0):
    """(days ago, Windows, Chrome, quota) of readings, and when it was looked at last (ms ago)."""
    with store.writing() as c:
        for days, windows, chrome, quota in readings:
            breakdown = {
                "windows": {"count": windows, "weight": 1.0},
                "chrome": {"count": chrome, "weight": 0.1},
            }
            billingwork.put_quota(
                c, oid_of(number), quota, windows + chrome / 10, breakdown, now=NOW - days * DAY
            )
        ingest.put_sync_state(
            c, oid_of(number), "organization", checked_at=NOW - looked, attempted_at=NOW - looked
        )  # fmt: skip


def lines_of(store, *, wide, number=0):
    """What the tab says of sensors against the quota, and the lines behind it."""
    with store.reader.reading() as connection:
        found = analytics.read(connection, oid_of(number), NOW)
    said = [each.plain for each in analytics.lines(found, None, wide)]
    return said[next(at for at, each in enumerate(said) if each.startswith(" counted")) :]


def test_where_there_is_room_the_days_are_a_plot_with_the_quota_as_a_line(filled_store):
    told(filled_store, CHANGES)
    assert lines_of(filled_store, wide=True)[:11] == [
        " counted    101, +27 since 10-30, seen 4m ago",
        " weighted   83 of quota 110, 75 %",
        "         110|                         -----",
        "            |                     *********",
        "            |    --------------***ooooooooo",
        "            |    **************ooo         ",
        "        61.4|    oooooooooooooo            ",
        "            |????+....+........+..+...+..++",
        "             10-26                    11-24 UTC",
        "             * sensors  o weighted  - quota",
        "             + read  . held as read before  ? unknown",
    ]


def test_on_a_small_terminal_a_line_has_a_character_a_day_and_a_question_where_it_is_unknown(filled_store):
    told(filled_store, CHANGES)
    assert lines_of(filled_store, wide=False)[:2] == [
        " counted    ????*****************######### 101, +27 since 10-30 (4m old)",
        " weighted   ????+++++++++++++++++********* 83 of quota 110, 75 %",
    ]


def test_days_after_the_last_look_are_unknown_and_it_says_when_that_was(filled_store):
    told(filled_store, ((12, 60, 14, 90), (9, 61, 10, 90)), looked=5 * DAY)
    assert lines_of(filled_store, wide=False)[:2] == [
        " counted    ?????????????????########????? 71 on 11-19, -3 since 11-12",
        " weighted   ?????????????????********????? 62 of quota 90, 69 %",
    ]
    assert lines_of(filled_store, wide=True)[0].endswith(" 71 on 11-19, -3 since 11-12, seen 5d ago")
    assert lines_of(filled_store, wide=True)[7] == "            |?????????????????+..+...+?????"


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize(
    ("readings", "looked", "said"),
    [
        ([(0, 60, 14, 90)], 60_000, ["74 sensors, first read today; no plot yet", "61.4 of quota 90, 68 %"]),
        ([(3, 60, 0, 90)], 3 * DAY, ["60 sensors, first read on 2026-11-21; looked at 3d ago, no other day is known", "60 of quota 90, 67 %"]),
        ([(50, 60, 0, 90)], 29 * DAY, ["60 sensors, read on 2026-10-26; looked at 29d ago, no other day is known", "60 of quota 90, 67 %"]),
        ([(50, 60, 0, 90)], 40 * DAY, ["unknown these 30 days, looked at 40d ago"]),
        ([], 60_000, ["unknown, its quota was never read"]),
        ([(0, 60, 0, None)], 60_000, ["60 sensors, first read today; no plot yet", "60, and what the quota is was not told"]),
    ],
)  # fmt: skip
def test_of_one_day_or_none_nothing_is_plotted(filled_store, readings, looked, said, wide):
    told(filled_store, readings, looked=looked)
    found = lines_of(filled_store, wide=wide)
    assert [each[12:] for each in found[: len(said)]] == said
    assert "?" not in "".join(found)
    assert not any("|" in each for each in found)


def test_no_sensor_and_no_quota_are_zeros_that_are_known(filled_store):
    told(filled_store, [(3, 0, 0, 0)])
    found = lines_of(filled_store, wide=True)
    assert found[0] == " counted    0, as many since 11-21, seen 4m ago"
    assert found[1] == " weighted   0 of quota 0"
    assert found[6] == "           0|                          ****"


def test_a_plot_begins_at_zero_unless_all_is_far_above_it():
    assert plot((("*", [0, 5, 10, None]),), 3) == [("10", "  * "), ("", " *  "), ("0", "*   ")]
    assert plot((("*", [100, 110]), ("-", [120, 120])), 3) == [("120", "--"), ("", " *"), ("100", "* ")]
    assert plot((("*", [7]), ("o", [7])), 2) == [("7", "*"), ("0", " ")]
    assert plot((("*", [None]),), 2) == [("", " "), ("0", " ")]
    assert plot((("*", [1.5, 1.5]),), 2) == [("1.5", "**"), ("0", "  ")]


def test_what_is_unknown_is_no_height_of_a_line():
    assert spark([None, 0, 1, 6]) == "?.:#"
    assert spark([3, None], full=6) == "=?"
    assert spark([9], full=6) == "#"
    assert spark([None, None]) == "??"


def test_a_new_reading_is_a_reason_to_read_the_detail_again():
    assert "quota_reading" in Organizations.READS


async def test_a_terminal_that_becomes_wide_has_the_plot_at_once(filled_store):
    told(filled_store, CHANGES)
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(80, 24)) as pilot:
        await picture(host, "since 10-30 (4m old)")(pilot)
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: "10-26                    11-24 UTC" in text_of(host))
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "since 10-30 (4m old)" in text_of(host))
        assert "11-24 UTC" not in text_of(host)


def picture(host, wanted):
    async def before(pilot) -> None:
        await until(pilot, lambda: host.view.look != "loading")
        await still(pilot)
        for key in ("j", "j", "j", "enter", *["right_square_bracket"] * TABS.index(analytics)):
            await pilot.press(key)
            await still(pilot)
        await until(pilot, lambda: wanted in text_of(host))
        await still(pilot)

    return before


@pytest.mark.usefixtures("sensors_read")
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["small", "wide"])
def test_picture_sensors_by_day(filled_store, snap_compare, size):
    """Sensors day by day against the quota: a line of characters, and a plot where there is room."""
    told(filled_store, CHANGES)
    host = Host(filled_store, Organizations)
    before = picture(host, "101, +27 since 10-30")
    assert snap_compare(host, terminal_size=size, run_before=before)


@pytest.mark.usefixtures("sensors_read")
def test_picture_first_reading(filled_store, snap_compare):
    """One reading, of today: its numbers, and since when."""
    told(filled_store, [(0, 81, 20, 110)], looked=0)
    host = Host(filled_store, Organizations)
    before = picture(host, "first read")
    assert snap_compare(host, terminal_size=(80, 24), run_before=before)
