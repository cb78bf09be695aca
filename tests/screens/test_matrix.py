"""The matrix, on its own."""

from time import perf_counter

from textual.app import App, ComposeResult

from screens.widgets.matrix import Column, Matrix, Row
from screens.widgets.spark import bar, spark

COLUMNS = [
    Column("sensor.list", "sensors", "sensor", "list"),
    Column("sensor.get", "sensors", "sensor", "get"),
    Column("sensor.task", "sensors", "sensor", "task"),
    Column("dr.set", "detection", "dr", "set"),
    Column("user.ctrl", "access", "user", "ctrl", risky=True),
]
ROWS = [
    Row("dana", "dana@provider.example", "u", {"sensor.list": "G", "dr.set": "B", "user.ctrl": "D"}),
    Row("kim", "kim@acme.example", "u", {"sensor.task": "D"}),
    Row("ci", "ci-deploy[bulk]", "k", {}),
]


class Host(App[None]):
    def __init__(self, columns=COLUMNS, rows=ROWS):
        super().__init__()
        self.matrix = Matrix()
        self.given = columns, rows

    def compose(self) -> ComposeResult:
        yield self.matrix

    def on_mount(self) -> None:
        self.matrix.fill(*self.given)
        self.matrix.focus()


def line(app: Host, y: int) -> str:
    return app.matrix.render_line(y).text


def at(app: Host) -> tuple[str, list[str]]:
    return app.matrix.row.key, [column.key for column in app.matrix.columns]


async def test_every_cell_stands_below_its_category_and_verb():
    app = Host()
    async with app.run_test(size=(80, 8)):
        assert line(app, 0).split() == ["sensors", "de~", "acce~"]
        assert line(app, 1).split() == ["sensor", "dr", "user"]
        assert line(app, 2).split() == ["list", "get", "task", "set", "ctrl!"]
        assert line(app, 3).split() == [">", "u", "dana@provider.example", "[G]", ".", ".", "B", "D!"]
        assert line(app, 4).split() == ["u", "kim@acme.example", ".", ".", "D", ".", "."]
        assert line(app, 4).index("D") == line(app, 2).index("task")
        assert line(app, 3).index("D!") == line(app, 2).index("ctrl!")
        assert all(app.matrix.render_line(y).cell_length == 80 for y in range(8))


async def test_keys_move_the_cursor_and_stop_at_the_edges():
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press("j", "l", "l")
        assert at(app) == ("kim", ["sensor.task"])
        assert "[D]" in line(app, 4)
        await pilot.press("right_parenthesis", "right_parenthesis", "ctrl+right", "l", "l")
        assert at(app) == ("kim", ["user.ctrl"])
        await pilot.press("left_parenthesis", "ctrl+left", "G", "j")
        assert at(app) == ("ci", ["sensor.list"])
        await pilot.press("$", "g")
        assert at(app) == ("dana", ["user.ctrl"])
        assert "[D!]" in line(app, 3)
        await pilot.press("^", "k")
        assert at(app) == ("dana", ["sensor.list"])


async def test_a_folded_category_counts_and_keeps_its_warning():
    app = Host()
    async with app.run_test(size=(80, 8)) as pilot:
        await pilot.press("l", "z")
        assert line(app, 2).split() == ["+3", "set", "ctrl!"]
        assert line(app, 3).split()[3:] == ["[1/3]", "B", "D!"]
        assert at(app)[1] == ["sensor.list", "sensor.get", "sensor.task"]
        await pilot.press("Z")
        assert line(app, 3).split()[3:] == ["[1/3]", "1/1", "1/1!"]
        await pilot.press("$", "Z")
        assert at(app)[1] == ["user.ctrl"]
        assert line(app, 2).split() == ["list", "get", "task", "set", "ctrl!"]


async def test_the_cursor_stays_on_its_row_and_column_when_they_change():
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press("j", "l", "l")
        app.matrix.fill([Column("new.get", "a-new", "new", "get"), *COLUMNS], [Row("new", "new"), *ROWS])
        assert at(app) == ("kim", ["sensor.task"])
        app.matrix.fill(COLUMNS[:1], ROWS[2:])
        assert at(app) == ("ci", ["sensor.list"])
        app.matrix.fill([], [])
        assert (app.matrix.row, app.matrix.columns) == (None, ())
        await pilot.press("j", "l", "right_parenthesis", "left_parenthesis", "z", "Z", "$", "G", "pagedown")


async def test_names_and_header_stay_while_scrolling_both_ways():
    columns = [Column(f"c{n // 5}.v{n}", f"category{n // 5}", f"c{n // 5}", f"v{n}") for n in range(150)]
    rows = [Row(str(n), f"user{n}@acme.example", "u", {f"c{n % 30}.v{n % 150}": "D"}) for n in range(500)]
    app = Host(columns, rows)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("$", "G")
        assert at(app) == ("499", ["c29.v149"])
        assert "v149" in line(app, 2)
        assert "category29" in line(app, 0)
        assert "150 of 150" in line(app, 2)
        assert "user499@acme.example" in line(app, 23)
        await pilot.press("^")
        assert line(app, 2).split()[-1].startswith("v")
        assert "v0" in line(app, 2)
        for _ in range(149):
            app.matrix.action_column_right()
            key = app.matrix.columns[0].label
            assert key in line(app, 2).split()
        assert all(app.matrix.render_line(y).cell_length == 80 for y in range(24))


async def test_a_strangers_name_cannot_steer_the_terminal_or_break_the_columns():
    hostile = "\x1b[2J[@click=app.quit]x[/]\u202e株式会社" * 3
    app = Host([Column(hostile, hostile, hostile, hostile)], [Row("a", hostile, "u", {hostile: "D"})])
    async with app.run_test(size=(80, 6)):
        for y in range(6):
            strip = app.matrix.render_line(y)
            assert "\x1b" not in strip.text
            assert "\u202e" not in strip.text
            assert strip.cell_length == 80
        assert "\\x1b[2J" in line(app, 3)


async def test_a_key_in_a_matrix_of_ten_thousand_by_150_costs_little():
    columns = [Column(f"c{n // 5}.v{n}", f"category{n // 5}", f"c{n // 5}", f"v{n}") for n in range(150)]
    cells = {column.key: "D" for column in columns[::3]}
    rows = [Row(str(n), f"user{n}@acme.example", "u", cells) for n in range(10_000)]
    app = Host(columns, rows)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()

        def cost(action) -> float:
            best = 1.0
            for _ in range(5):
                started = perf_counter()
                action()
                for y in range(40):
                    app.matrix.render_line(y)
                best = min(best, perf_counter() - started)
            return best * 1000

        assert cost(app.matrix.action_cursor_down) < 30
        assert cost(app.matrix.action_fold_all) < 30


def test_a_spark_never_hides_the_one_event_of_a_busy_week():
    assert spark([0, 1, 1000, 500, 0]) == ".:#=."
    assert spark([]) == ""
    assert spark([0, 0]) == ".."
    assert spark([3], gap=" ") == "#"


def test_a_bar_is_full_only_when_all_is_done():
    assert bar(0, 10, 10) == ".........."
    assert bar(1, 1000, 10) == "#........."
    assert bar(999, 1000, 10) == "#########."
    assert bar(10, 10, 10) == "##########"
    assert bar(0, 0, 4) == "...."
    assert bar(1, 2, 0) == ""


async def test_a_move_paints_every_cell_that_it_changes_and_little_more():
    columns = [
        Column(f"c{n // 5}.v{n}", f"category{n // 9}", f"c{n // 5}", f"v{n}", n % 7 == 0) for n in range(60)
    ]
    rows = [Row(str(n), f"user{n}@acme.example", "u", {f"c{n % 30}.v{n % 60}": "D"}) for n in range(90)]
    app = Host(columns, rows)
    painted = []
    async with app.run_test(size=(100, 24)) as pilot:
        matrix = app.matrix

        def lines() -> list[str]:
            shown = []
            for y in range(24):
                cells = [(char, segment.style) for segment in matrix.render_line(y) for char in segment.text]
                shown.append(cells)
            return shown

        refresh = matrix.refresh
        matrix.refresh = lambda *regions, **more: painted.append(regions) or refresh(*regions, **more)
        for key in (
            "j",
            "l",
            "l",
            "j",
            "5",
            "j",
            "k",
            "right_parenthesis",
            "h",
            "left_parenthesis",
            "z",
            "l",
            "h",
            "z",
        ):
            before = lines()
            painted.clear()
            await pilot.press(key)
            after = lines()
            changed = {(x, y) for y in range(24) for x in range(100) if before[y][x] != after[y][x]}
            if () in painted:
                continue
            regions = [region for each in painted for region in each]
            outside = [(x, y) for x, y in changed if not any(region.contains(x, y) for region in regions)]
            assert not outside, (key, outside)
            assert sum(region.area for region in regions) < 220, (key, regions)


async def test_a_staged_change_is_a_sign_of_its_own():
    rows = [
        Row("dana", "dana@provider.example", "u", {"sensor.list": "+", "sensor.get": "-", "user.ctrl": "+"}),
        Row("kim", "kim@acme.example", "u", {"sensor.task": "~", "dr.set": "-"}),
    ]
    app = Host(COLUMNS, rows)
    async with app.run_test(size=(80, 8)) as pilot:
        assert line(app, 3).split()[3:] == ["[+]", "-", ".", ".", "+!"]
        assert line(app, 4).split()[2:] == [".", ".", "~", "-", "."]
        await pilot.press("Z")
        assert line(app, 3).split()[3:] == ["[1/3~]", ".", "1/1!+"]
        assert line(app, 4).split()[2:] == ["1/3~", "0/1-", "."]
        assert all(app.matrix.render_line(y).cell_length == 80 for y in range(8))


async def test_a_row_that_counts_for_itself_is_not_asked_cell_by_cell():
    row = Row("all", "all", "u", {}, lambda members: (len(members) - 1, "+" if len(members) > 2 else ""))
    app = Host(COLUMNS, [row])
    async with app.run_test(size=(80, 8)) as pilot:
        await pilot.press("Z")
        assert line(app, 3).split()[3:] == ["[2/3+]", ".", "."]


async def test_where_not_all_rows_fit_the_corner_says_which_one_it_is():
    rows = [Row(str(n), f"user{n}@acme.example") for n in range(1200)]
    app = Host(COLUMNS, rows)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("G")
        assert line(app, 1).startswith(" row 1,200 of 1,200")
        app.matrix.fill(COLUMNS, ROWS, at=("kim", "dr.set"), folded={"sensors"})
        assert at(app) == ("kim", ["dr.set"])
        assert app.matrix.folded == {"sensors"}
        assert not line(app, 1).startswith(" row")
