"""The tree with columns, on its own."""

from dataclasses import dataclass
from time import perf_counter

from textual.app import App, ComposeResult

from screens.widgets.tree_table import Line, MarkTree, TreeColumn, TreeTable, arranged


@dataclass(frozen=True)
class Place:
    id: str
    name: str
    depth: int
    bad: int = 0


WORLD = [
    Place("root", "Provider", 0),
    Place("eu", "Europe", 1),
    Place("acme", "Acme Dental", 2),
    Place("bor", "Borealis Foods", 2, bad=3),
    Place("us", "Americas", 1, bad=9),
    Place("cedar", "Cedar Clinic", 2, bad=9),
    Place("lab", "Cedar Lab", 3, bad=1),
]
COLUMNS = (TreeColumn("BAD", 5), TreeColumn("HEALTH", 0, "left"))


class Host(App[None]):
    def __init__(self, places=WORLD):
        super().__init__()
        self.tree_table = TreeTable(COLUMNS, draw, title="PLACE")
        self.places = places
        self.drawn = 0

    def compose(self) -> ComposeResult:
        yield self.tree_table

    def on_mount(self) -> None:
        self.tree_table.fill(self.places)
        self.tree_table.focus()


def draw(place: Place) -> Line:
    return Line((str(place.bad), "failed" if place.bad else "well"), "bad" if place.bad else "")


def names(app: Host) -> list[str]:
    return [place.id for place in app.tree_table.shown]


def line(app: Host, y: int) -> str:
    return app.tree_table.render_line(y).text


async def test_it_shows_names_indented_and_columns_under_their_titles():
    app = Host()
    async with app.run_test(size=(80, 12)):
        assert line(app, 0).split() == ["PLACE", "BAD", "HEALTH"]
        assert line(app, 1).startswith(">v Provider")
        assert line(app, 4).startswith("       Borealis Foods ")
        assert line(app, 4).index("3") == line(app, 0).index("BAD") + 2
        assert all(app.tree_table.render_line(y).cell_length == 80 for y in range(12))


async def test_left_folds_then_goes_to_the_parent_and_right_unfolds_then_goes_down():
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press("j", "j")
        assert app.tree_table.node.id == "acme"
        await pilot.press("h")
        assert app.tree_table.node.id == "eu"
        await pilot.press("h")
        assert names(app) == ["root", "eu", "us", "cedar", "lab"]
        assert line(app, 2).startswith(">  > Europe")
        await pilot.press("right")
        assert names(app)[1:4] == ["eu", "acme", "bor"]
        await pilot.press("right")
        assert app.tree_table.node.id == "acme"


async def test_the_cursor_stays_on_its_node_when_the_rows_change():
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press("G")
        assert app.tree_table.node.id == "lab"
        app.tree_table.fill([WORLD[0], Place("new", "Antarctica", 1), *WORLD[1:]])
        assert app.tree_table.node.id == "lab"
        app.tree_table.fill(WORLD[:3])
        assert app.tree_table.node.id == "acme"
        app.tree_table.fill([])
        assert app.tree_table.node is None
        await pilot.press("j", "h", "l", "Z", "pagedown")


async def test_folding_everything_leaves_the_root_and_its_children_and_unfolds_again():
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press("G", "Z")
        assert names(app) == ["root", "eu", "us"]
        assert app.tree_table.node.id == "us"
        await pilot.press("Z")
        assert names(app) == [place.id for place in WORLD]


async def test_a_filter_keeps_what_stands_above_its_finds():
    app = Host()
    async with app.run_test():
        app.tree_table.narrow(lambda place: "lab" in place.name.lower())
        assert names(app) == ["root", "us", "cedar", "lab"]
        assert app.tree_table.matches == 1
        app.tree_table.narrow(lambda place: place.id == "eu")
        assert names(app) == ["root", "eu"]
        app.tree_table.narrow(lambda place: False)
        assert names(app) == []
        app.tree_table.narrow(None)
        assert names(app) == [place.id for place in WORLD]


async def test_a_found_folder_can_be_unfolded_and_the_old_folds_come_back():
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press("G", "h", "h", "h")
        assert names(app) == ["root", "eu", "acme", "bor", "us", "cedar"]
        app.tree_table.narrow(lambda place: place.id == "us")
        assert app.tree_table.go("us")
        await pilot.press("l")
        assert names(app) == ["root", "us", "cedar", "lab"]
        app.tree_table.narrow(None)
        assert names(app) == ["root", "eu", "acme", "bor", "us", "cedar"]


async def test_taking_a_filter_away_leaves_the_cursor_on_its_node_and_unfolds_what_hides_it():
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press("Z")
        assert names(app) == ["root", "eu", "us"]
        app.tree_table.narrow(lambda place: "cedar" in place.name.lower())
        await pilot.press("j")
        assert app.tree_table.node.id == "lab"
        app.tree_table.narrow(None)
        assert app.tree_table.node.id == "lab"
        assert names(app) == ["root", "eu", "us", "cedar", "lab"]


async def test_a_filter_brings_the_cursor_to_the_first_find_unless_it_stands_on_one():
    app = Host()
    async with app.run_test():
        app.tree_table.narrow(lambda place: "lab" in place.name.lower())
        assert app.tree_table.node.id == "lab"
        app.tree_table.narrow(lambda place: place.id in ("acme", "bor"))
        assert app.tree_table.node.id == "acme"
        assert app.tree_table.go("bor")
        app.tree_table.narrow(lambda place: place.depth == 2)
        assert app.tree_table.node.id == "bor"
        app.tree_table.narrow(lambda place: False)
        assert app.tree_table.node is None
        app.tree_table.narrow(None)
        assert app.tree_table.node.id == "bor"


async def test_rows_that_are_read_again_leave_the_cursor_below_a_found_folder():
    app = Host()
    async with app.run_test() as pilot:
        app.tree_table.narrow(lambda place: place.id == "us")
        await pilot.press("l", "l")
        assert app.tree_table.node.id == "cedar"
        app.tree_table.fill(list(WORLD), lambda place: place.id == "us")
        assert app.tree_table.node.id == "cedar"


async def test_going_to_a_node_unfolds_what_hides_it():
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press("Z")
        assert app.tree_table.go("lab")
        assert app.tree_table.node.id == "lab"
        assert "acme" not in names(app)
        assert not app.tree_table.go("nowhere")


async def test_a_strangers_name_cannot_steer_the_terminal_or_break_the_columns():
    hostile = "\x1b[2J[@click=app.quit]x[/]\u202e株式会社" * 3
    app = Host([Place("root", hostile, 0), Place("a", "a" * 500, 30)])
    async with app.run_test(size=(80, 6)):
        for y in range(6):
            strip = app.tree_table.render_line(y)
            assert "\x1b" not in strip.text
            assert "\u202e" not in strip.text
            assert strip.cell_length == 80
        assert "\\x1b[2J" in line(app, 1)


async def test_scrolling_jumps_half_a_page_and_draws_visible_nodes_only():
    places = [Place("root", "Provider", 0), *(Place(str(n), f"org {n}", 1) for n in range(10_000))]
    app = Host(places)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.press("G")
        assert app.tree_table.node.id == "9999"
        assert "org 9999" in line(app, 19)
        await pilot.press("pageup", "pageup", "g")
        assert app.tree_table.node.id == "root"
        for _ in range(19):  # not by keys: each press waits
            app.tree_table.action_cursor_down()
        # A line beyond the edge moves the page by half, so the cursor stands in its middle.
        assert app.tree_table.node.id == "18"
        assert line(app, 11).startswith(">")
        assert "org 18" in line(app, 11)


async def test_a_key_among_ten_thousand_nodes_costs_little():
    places = [Place("root", "Provider", 0)]
    for region in range(100):
        places.append(Place(f"r{region}", f"region {region}", 1))
        places.extend(Place(f"r{region}-{n}", f"org {n}", 2) for n in range(100))
    app = Host(places)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()

        def cost(action) -> float:
            best = 1.0
            for _ in range(5):
                started = perf_counter()
                action()
                for y in range(40):
                    app.tree_table.render_line(y)
                best = min(best, perf_counter() - started)
            return best * 1000

        tree = app.tree_table
        assert cost(tree.action_cursor_down) < 30
        assert cost(tree.action_fold_all) < 60
        assert cost(lambda: tree.narrow(lambda place: "7" in place.name)) < 60


def test_the_worst_child_first_leaves_equal_ones_in_their_order():
    order = [place.id for place in arranged(WORLD, lambda place: place.bad)]
    assert order == ["root", "us", "cedar", "lab", "eu", "bor", "acme"]
    assert [place.id for place in arranged(WORLD, lambda place: 0)] == [place.id for place in WORLD]


class Marking(Host):
    """A tree of which only what is bad can be marked."""

    def __init__(self):
        super().__init__()
        self.tree_table = MarkTree(COLUMNS, draw, counts=lambda place: place.depth > 1, title="PLACE")
        self.counts = []

    def on_mark_tree_marked(self, event: MarkTree.Marked) -> None:
        self.counts.append(len(event.tree.marks))


async def test_a_mark_stands_beside_the_cursor_and_survives_folding_and_reloading():
    app = Marking()
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.press("j", "j", "space")
        assert app.tree_table.marks == {"acme"}
        assert line(app, 3).startswith(" *")
        assert line(app, 4).startswith("> ")
        await pilot.press("h", "h")
        assert line(app, 2).startswith(
            ">+"
        )  # the folded folder hides one that is marked, and one that is not
        app.tree_table.fill(WORLD)
        await pilot.press("l", "j", "j", "space")
        assert app.tree_table.marks == {"acme", "bor"}
        app.tree_table.fill([place for place in WORLD if place.id != "bor"])
        await pilot.pause()
        assert app.tree_table.marks == {"acme"}
        assert app.counts[-1] == 1
        await pilot.press("U")
        assert (app.tree_table.marks, app.counts[-1]) == (set(), 0)


async def test_marking_a_folder_marks_what_is_below_it_and_passes_the_filter():
    app = Marking()
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.press("space")
        assert app.tree_table.marks == {"acme", "bor", "cedar", "lab"}
        await pilot.press("k", "space")
        assert app.tree_table.marks == set()
        app.tree_table.narrow(lambda place: "bor" in place.id)
        await pilot.press("g", "space")
        assert app.tree_table.marks == {"bor"}
        app.tree_table.narrow(None)
        assert app.tree_table.marks == {"bor"}


async def test_a_range_is_marked_from_the_last_mark_and_a_count_marks_so_many():
    app = Marking()
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.press("V")
        assert app.tree_table.marks == set()
        await pilot.press("j", "j", "space", "G", "V")
        assert app.tree_table.marks == {"acme", "bor", "cedar", "lab"}
