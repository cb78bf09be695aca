"""The virtual table: what it reads, what it holds, what it paints, and where its cursor stays."""

import random
from dataclasses import dataclass

import pytest
from textual.app import App
from textual.geometry import Region

from screens.widgets.row_table import Column, Listed, RowTable, _extra, read_window
from tests.helpers.screens import text_of, until


@dataclass(frozen=True)
class Thing:
    """A row of a source that has as many as one likes."""

    number: int
    text: str = ""


class Numbers:
    """All numbers below `total`, made when asked for, in the manner of a keyset."""

    def __init__(self, total: int, *, slow: bool = False, without: frozenset[int] = frozenset()) -> None:
        self.total = total
        self.slow = slow
        self.without = without
        self.reads = 0
        self.rows_read = 0

    def identity(self, row: Thing) -> int:
        return row.number

    def _up(self, start: int, limit: int) -> list[Thing]:
        self.reads += 1
        found = []
        number = max(0, start)
        while number < self.total and len(found) < limit:
            if number not in self.without:
                found.append(Thing(number))
            number += 1
        self.rows_read += len(found)
        return found

    def first(self, limit: int) -> list[Thing]:
        return self._up(0, limit)

    def last(self, limit: int) -> list[Thing]:
        return self._up(self.total - limit, limit)

    def after(self, row: Thing, limit: int) -> list[Thing]:
        return self._up(row.number + 1, limit)

    def before(self, row: Thing, limit: int) -> list[Thing]:
        start = max(0, row.number - limit)
        return self._up(start, row.number - start)

    def starting(self, row: Thing, limit: int) -> list[Thing]:
        return self._up(row.number, limit)


class Table(App[None]):
    """Shows one table."""

    def __init__(self) -> None:
        super().__init__()
        self.table: RowTable[Thing] = RowTable(
            [
                Column("NUMBER", lambda row: str(row.number), 8, align="right"),
                Column("TEXT", lambda row: row.text or f"thing {row.number}", 10, grow=1),
                Column("WIDE", lambda row: "only here", 10, from_width=100),
            ]
        )
        self.moved: list[int | None] = []

    def compose(self):
        yield self.table

    def on_mount(self) -> None:
        self.table.focus()

    def on_row_table_moved(self, event: RowTable.Moved) -> None:
        self.moved.append(None if event.row is None else event.row.number)


def at(app: Table) -> int:
    """The number under the cursor."""
    current = app.table.current
    assert current is not None
    return current.number


async def test_a_million_rows_open_by_reading_one_page():
    app, source = Table(), Numbers(1_000_000)
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(source)
        await pilot.pause()

        assert source.rows_read <= 2 * app.table.page_size
        assert "thing 22" in text_of(app)
        assert "thing 23" not in text_of(app)


async def test_the_end_of_a_million_rows_is_one_key_away():
    app, source = Table(), Numbers(1_000_000)
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(source)
        await pilot.press("G")

        assert at(app) == 999_999
        assert source.rows_read <= 5 * app.table.page_size
        await pilot.press("g")
        assert at(app) == 0


async def test_going_far_holds_only_a_few_pages():
    app, source = Table(), Numbers(1_000_000)
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(source)
        for _ in range(40):
            await pilot.press("pagedown")

        assert at(app) == 40 * 22
        assert len(app.table._rows) <= 5 * app.table.page_size
        for _ in range(40):
            await pilot.press("pageup")
        assert at(app) == 0


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ("j j j", 3),
        ("j j k", 1),
        ("down down up", 1),
        ("k", 0),
        ("ctrl+d", 11),
        ("ctrl+d ctrl+u", 0),
        ("pagedown pageup", 0),
        ("space", 22),
        ("G k", 998),
        ("end home", 0),
    ],
)
async def test_the_keys_of_vim_and_of_everybody_move(keys, wanted):
    app = Table()
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(Numbers(1000))
        await pilot.press(*keys.split())

        assert at(app) == wanted


async def test_a_cursor_move_repaints_two_lines_and_the_edge_jumps_half_a_page(monkeypatch):
    app = Table()
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(Numbers(1000))
        await pilot.pause()
        painted: list[Region] = []
        refresh = app.table.refresh
        monkeypatch.setattr(
            app.table,
            "refresh",
            lambda *regions, **given: (painted.extend(regions), refresh(*regions, **given)),
        )

        await pilot.press("j")
        assert [(region.y, region.height) for region in painted] == [(1, 1), (2, 1)]

        for _ in range(22):
            await pilot.press("j")
        top = app.table._top
        assert top == 23 - 22 + 11
        painted.clear()
        await pilot.press("j")
        assert app.table._top == top
        assert len(painted) == 2


async def test_the_cursor_stays_on_its_thing_when_rows_come_above_it():
    app = Table()
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(Listed([Thing(number) for number in range(100, 200)], key=lambda row: row.number))
        await pilot.press("j", "j")
        assert at(app) == 102

        app.table.put(Listed([Thing(number) for number in range(97, 200)], key=lambda row: row.number))
        await pilot.pause()

        assert at(app) == 102
        assert "97" in text_of(app)


async def test_a_table_that_nobody_moved_in_stays_at_its_top():
    app = Table()
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(Listed([Thing(number) for number in range(100, 200)], key=lambda row: row.number))
        app.table.put(Listed([Thing(number) for number in range(97, 200)], key=lambda row: row.number))
        await pilot.pause()

        assert at(app) == 97


async def test_the_cursor_takes_the_place_of_a_thing_that_is_gone():
    app = Table()
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(Listed([Thing(number) for number in range(100)], key=lambda row: row.number))
        for _ in range(5):
            await pilot.press("j")

        app.table.put(
            Listed(
                [Thing(number) for number in range(100) if number not in (4, 5)], key=lambda row: row.number
            )
        )
        await pilot.pause()
        assert at(app) == 6

        app.table.put(Listed([], key=lambda row: row.number))
        assert app.table.current is None
        await pilot.pause()
        assert app.moved[-1] is None


async def test_a_keyset_goes_on_behind_a_row_that_is_gone():
    source = Numbers(1000)
    app = Table()
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(source)
        await pilot.press("ctrl+d")
        assert at(app) == 11
        fewer = Numbers(1000, without=frozenset({11}))
        app.table.put(fewer, read_window(fewer, app.table.where(), app.table.page_size))
        await pilot.pause()

        assert at(app) == 12


async def test_a_slow_source_is_read_in_a_thread_and_the_move_is_finished_when_it_answers():
    app, source = Table(), Numbers(5000, slow=True)
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(source, read_window(source, None, app.table.page_size))
        for _ in range(6):
            await pilot.press("pagedown")
        await until(pilot, lambda: at(app) == 6 * 22)
        await pilot.press("G")
        await until(pilot, lambda: at(app) == 4999)


async def test_widths_follow_the_terminal_and_never_the_data():
    app = Table()
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(Listed([Thing(1, "x" * 500), Thing(2, "日本語" * 100)], key=lambda row: row.number))
        await pilot.pause()
        assert "WIDE" not in text_of(app)
        await pilot.resize_terminal(120, 24)
        await pilot.pause()
        assert "only here" in text_of(app).splitlines()[1]
        assert "only here" in text_of(app).splitlines()[2]


def spread(left: int, *columns: tuple[int, int, int, int]) -> list[int]:
    """Of columns as (width, grow, most, least): how wide each becomes."""
    made = [Column("", str, width, grow=grow, most=most, least=least) for width, grow, most, least in columns]
    return [column.width + more for column, more in zip(made, _extra(made, left), strict=True)]


def test_a_column_grows_to_its_most_and_gives_way_to_its_least():
    name, rule, fixed = (10, 4, 16, 6), (10, 2, 0, 8), (5, 0, 0, 0)
    assert spread(0, name, rule, fixed) == [10, 10, 5]
    assert spread(6, name, rule, fixed) == [14, 12, 5]
    # What the first does not take is for the others.
    assert spread(30, name, rule, fixed) == [16, 34, 5]
    assert spread(-3, name, rule, fixed) == [7, 10, 5]
    assert spread(-6, name, rule, fixed) == [6, 8, 5]
    # Where even that is too much, the rest is beyond the edge.
    assert spread(-9, name, rule, fixed) == [6, 8, 5]
    assert spread(-9, fixed, fixed) == [5, 5]


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (500, 200)])
async def test_any_size_is_survived(size):
    app = Table()
    async with app.run_test(size=size) as pilot:
        app.table.put(Numbers(1000))
        await pilot.press("j", "G", "k", "g", "pagedown")
        assert app.table.current is not None


async def test_hostile_text_reaches_the_screen_as_notation():
    app = Table()
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(
            Listed([Thing(1, "a\x1b]52;c;eA==\x07[@click=app.quit]b[/foo]")], key=lambda row: row.number)
        )
        await pilot.pause()
        shown = text_of(app)
        assert "\x1b" not in shown
        assert "\\x1b]52;c;eA==\\x07[@click=app.quit]b[/foo]" in shown


@pytest.mark.parametrize("slow", [False, True])
async def test_after_any_move_what_is_painted_is_what_would_be_drawn_anew(slow: bool):
    app, chance = Table(), random.Random(7)
    async with app.run_test(size=(80, 24)) as pilot:
        for total in (0, 1, 21, 23, 700, 5_000):
            app.table.put(Numbers(total, slow=slow))
            await pilot.pause()
            for key in chance.choices(
                ["down", "up", "pagedown", "pageup", "ctrl+d", "G", "g"], [8, 8, 2, 2, 2, 1, 1], k=25
            ):
                await pilot.press(*[key] * chance.choice([1, 1, 3]))
                await until(pilot, lambda: app.table._under_way is None)
                drawn = [app.table._draw(y) for y in range(app.table._height)]
                assert app.table._drawn == drawn, (total, key)
                assert sum(on_cursor for on_cursor, _ in drawn) == min(1, total)


async def test_a_move_within_the_page_draws_two_lines(monkeypatch: pytest.MonkeyPatch):
    app = Table()
    async with app.run_test(size=(80, 24)) as pilot:
        app.table.put(Numbers(5_000))
        await pilot.press("down", "down")
        drawn: list[int] = []
        draw = app.table._draw
        monkeypatch.setattr(app.table, "_draw", lambda y: drawn.append(y) or draw(y))
        await pilot.press("down")

        assert sorted(drawn) == [2, 3]
