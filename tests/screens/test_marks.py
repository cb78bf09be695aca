"""Marks: on things, not on lines; they survive whatever the table does."""

import pytest
from textual.app import App

from screens.organizations import Organizations
from screens.requests import ChangeMany
from screens.widgets.row_table import MARKED_AT_ONCE, Column, MarkTable
from tests.helpers.screens import Host, oid_of, still, text_of, until
from tests.screens.test_row_table import Numbers, Thing


class Marking(App[None]):
    """Shows one table whose rows can be marked."""

    def __init__(self) -> None:
        super().__init__()
        self.table: MarkTable[Thing] = MarkTable([Column("TEXT", lambda row: f"thing {row.number}", 12)])
        self.counts: list[int] = []
        self.whys: list[str] = []

    def compose(self):
        yield self.table

    def on_mount(self) -> None:
        self.table.focus()

    def on_mark_table_marked(self, event: MarkTable.Marked) -> None:
        self.counts.append(len(event.table.marks))

    def on_mark_table_too_far(self, event: MarkTable.TooFar) -> None:
        self.whys.append(event.why)


def lines(app) -> list[str]:
    return [line for line in text_of(app).splitlines()[1:] if line.strip()]


async def test_space_marks_and_goes_on_and_takes_the_mark_away_again():
    app = Marking()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.put(Numbers(100))
        await pilot.press("space", "space")
        assert list(app.table.marks) == [0, 1]
        assert app.table.current.number == 2
        assert lines(app)[:3] == [" *thing 0", " *thing 1", "> thing 2"]
        await pilot.press("k", "space")
        assert list(app.table.marks) == [0]
        assert app.counts[-1] == 1
        await pilot.press("U")
        assert app.table.marks == {}
        assert lines(app)[0] == "  thing 0"


async def test_marks_survive_scrolling_and_another_source():
    app = Marking()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.put(Numbers(100_000))
        await pilot.press("space", "G", "space", "g")
        assert sorted(app.table.marks) == [0, 99_999]
        app.table.put(Numbers(50), top=True)
        await pilot.pause()
        assert sorted(app.table.marks) == [0, 99_999]
        assert lines(app)[0] == ">*thing 0"


async def test_a_range_goes_from_the_last_mark_to_the_cursor_in_both_directions():
    app = Marking()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.put(Numbers(100))
        await pilot.press(*"jjjjj", "space", *"jjjj", "V")
        assert sorted(app.table.marks) == list(range(5, 11))
        await pilot.press("U", "space", "k", "k", "k", "k", "V")
        assert sorted(app.table.marks) == list(range(7, 11))


async def test_a_range_reaches_rows_that_are_no_longer_held():
    app = Marking()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.put(Numbers(100_000))
        await pilot.press("space")
        for _ in range(100):
            await pilot.press("pagedown")
        here = app.table.current.number
        assert app.table._rows[0].number > 0
        await pilot.press("V")
        await until(pilot, lambda: len(app.table.marks) == here + 1)
        assert sorted(app.table.marks) == list(range(here + 1))


async def test_a_range_that_is_too_long_or_has_no_beginning_says_so():
    app = Marking()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.put(Numbers(100_000))
        await pilot.press("V")
        await until(pilot, lambda: app.whys)
        assert "Nothing is marked yet" in app.whys[0]
        await pilot.press("space", "G", "V")
        await until(pilot, lambda: len(app.whys) == 2)
        assert f"{MARKED_AT_ONCE:,}" in app.whys[1]
        assert list(app.table.marks) == [0]


@pytest.mark.parametrize(("keys", "at"), [(("pagedown",), 10), (("ctrl+f",), 10), (("space",), 1)])
async def test_a_page_is_gone_down_by_its_other_keys(keys, at):
    app = Marking()
    async with app.run_test(size=(40, 12)) as pilot:
        app.table.put(Numbers(100))
        await pilot.press(*keys)
        assert app.table.current.number == at


async def test_a_mark_repaints_no_more_than_its_two_lines(monkeypatch):
    app = Marking()
    async with app.run_test(size=(40, 24)) as pilot:
        app.table.put(Numbers(100))
        await pilot.pause()
        regions = []
        refresh = app.table.refresh
        monkeypatch.setattr(
            app.table, "refresh", lambda *r, **k: regions.extend(r or ["all"]) or refresh(*r, **k)
        )
        app.table.action_mark()
        assert regions
        assert "all" not in regions
        assert {region.y for region in regions} == {1, 2}


async def test_organizations_are_marked_and_changed_together(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await still(pilot)
        await pilot.press("j", "j", "B")  # nothing is marked: what is below the cursor
        await pilot.press("space", "G", "space")
        await until(pilot, lambda: "3 marked" in text_of(host))
        await pilot.press("g", "B")
        below, marked = host.asked
        assert below == ChangeMany((oid_of(0), oid_of(1)), "below Europe/Gold")
        assert marked == ChangeMany((oid_of(0), oid_of(1), oid_of(4)), "marked in Organizations")
        await pilot.press("escape")
        await until(pilot, lambda: "marked" not in text_of(host))
        assert host.asked == [below, marked]


async def test_a_filter_limits_what_a_folder_stands_for(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await still(pilot)
        host.view.apply_filter("acme")
        await still(pilot)
        await pilot.press("g", "B")
        await until(pilot, lambda: host.asked)
        assert host.asked == [ChangeMany((oid_of(0),), "below Provider")]
