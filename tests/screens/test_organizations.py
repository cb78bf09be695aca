"""The tree of organizations, on a real store."""

import threading
from time import perf_counter

import pytest

from screens.context import Scope
from screens.organization_tabs import TABS
from screens.organization_tabs.analytics import count
from screens.organization_tabs.words import field, severities
from screens.organizations import Organizations, below, brief, compact
from screens.requests import Back, SetScope, ShowAccess, ShowAlerts
from screens.widgets.text import line
from store import ingest, models
from store.configuration import Record
from store.database import Store
from store.queries.compare import PARTS_READ
from store.queries.organizations import tree
from store.reports.figures import Figure, Source
from store.tree import TreeNode, replace_tree
from tests.helpers.screens import NOW, Host, oid_of, still, text_of, until

HOSTILE = "\x1b]0;x\x07[@click=app.quit]Evil[/]\u202e"


class BrokenReader:
    """A store whose disk went away."""

    def reading(self):
        raise OSError("the disk is gone")


@pytest.fixture
def filled_store(filled_store: Store, sensors_read: None) -> Store:
    """That of all views, whose sensors were read."""
    return filled_store


async def ready(pilot, host: Host) -> None:
    await until(pilot, lambda: host.view.look != "loading")
    await still(pilot)


def ids(host: Host) -> list[str]:
    return [row.id for row in host.view.table.shown]


async def press(pilot, *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
    await still(pilot)


async def test_it_shows_the_tree_with_what_is_rolled_up(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, host)
        assert ids(host) == [
            "root", "europe", "gold", "customer-0", "customer-1", "silver", "customer-2", "customer-3",
            "customer-4",
        ]  # fmt: skip
        lines = text_of(host).splitlines()
        provider = next(line for line in lines if "Provider" in line)
        assert provider.split()[1:8] == ["Provider", "0", "60", "0", "-", "-", "-"]
        assert "x The key was" in next(line for line in lines if "Delta Ltd" in line)
        assert "4 of 5 organizations fresh" in lines[1]
        assert host.guard.hits == 0


async def test_keys_post_what_they_say(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test() as pilot:
        await ready(pilot, host)
        await press(pilot, "s", "j", "s", "a", "j", "j", "s", "a", "m")
        assert host.asked == [
            SetScope(""),
            SetScope("europe"),
            SetScope("europe"),
            ShowAlerts(""),
            SetScope("customer-0"),
            ShowAlerts(f"oid:{oid_of(0)}"),
            ShowAccess(oid_of(0)),
        ]


async def test_a_folder_has_no_matrix_and_the_key_says_so(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test() as pilot:
        await ready(pilot, host)
        await press(pilot, "m")
        assert host.asked == []
        assert "A folder has no matrix" in text_of(host)


async def test_the_detail_opens_follows_the_cursor_and_closes_before_going_back(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, host)
        await press(pilot, "G", "enter")
        await until(pilot, lambda: oid_of(4) in text_of(host))
        assert "Église Saint-Roch   o fresh, 46s old" in text_of(host)
        await press(pilot, "k")
        await until(pilot, lambda: "The key was refused (401)." in text_of(host))
        assert "x failed, what is shown is 45s old" in text_of(host)
        await press(pilot, "g")
        await until(pilot, lambda: "4 of 5 organizations, 1 failed" in text_of(host))
        await press(pilot, "escape")
        assert "made of" not in text_of(host)
        assert host.asked == []
        await press(pilot, "escape")
        assert host.asked == [Back()]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_line_of_the_detail_that_is_too_long_goes_on_below_its_own_column(
    filled_store, monkeypatch, size
):
    class Long:
        TITLE = "Long"

        def read(self, connection, oid, now):
            return oid

        def lines(self, found, context, wide):
            return [field("contact", f"{'Nadia Almeida ' * 6}nadia@acme.example"), field("next", "it")]

    monkeypatch.setattr("screens.organizations.TABS", (Long(),))
    host = Host(filled_store, Organizations)
    async with host.run_test(size=size) as pilot:
        await ready(pilot, host)
        await press(pilot, "G", "enter")
        await until(pilot, lambda: "nadia@acme.example" in text_of(host))
        lines = text_of(host).splitlines()
        (begin,) = [each.index("Nadia") for each in lines if " contact " in each]
        (after,) = [each for each in lines if "nadia@acme.example" in each]
        assert after[begin - 2 : begin] == "  "
        assert after[begin] != " "


async def test_a_filter_keeps_what_stands_above_and_counts_its_finds(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test() as pilot:
        await ready(pilot, host)
        await press(pilot, "slash", *"CEDAR", "enter")
        await until(pilot, lambda: ids(host) == ["root", "europe", "silver", "customer-2"])
        assert "1 found" in text_of(host)
        assert host.view.filter_by(oid_of(3)[:8])
        await still(pilot)
        assert ids(host)[-1] == "customer-3"
        await press(pilot, "escape")
        assert len(ids(host)) == 9


async def test_what_is_done_after_a_filter_is_done_to_the_organization_that_was_found(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test() as pilot:
        await ready(pilot, host)
        await press(pilot, "Z", "slash", *"CEDAR", "enter")
        await until(pilot, lambda: host.view.table.node.id == "customer-2")
        await press(pilot, "escape", "B")
        assert [(each.oids, each.where) for each in host.asked] == [
            ((oid_of(2),), f"below {host.view.table.node.path}")
        ]


async def test_labels_and_health_are_found(filled_store):
    with filled_store.writing() as connection:
        replace_tree(
            connection,
            [
                TreeNode(id="root", parent=None, name="Provider"),
                TreeNode(id="a", parent="root", name="A", oid=oid_of(0), labels={"tier": "gold"}),
                TreeNode(id="b", parent="root", name="B", oid=oid_of(3)),
            ],
        )
    host = Host(filled_store, Organizations)
    async with host.run_test() as pilot:
        await ready(pilot, host)
        host.view.filter_by("tier=gold")
        await still(pilot)
        assert ids(host) == ["root", "a"]
        host.view.filter_by("failed b")
        await still(pilot)
        assert ids(host) == ["root", "b"]


async def test_organizations_without_a_place_are_visible(filled_store):
    with filled_store.writing() as connection:
        replace_tree(connection, [TreeNode(id="root", parent=None, name="Provider")])
    host = Host(filled_store, Organizations)
    async with host.run_test() as pilot:
        await ready(pilot, host)
        assert ids(host)[:2] == ["root", "unplaced"]
        assert len(ids(host)) == 7


async def test_the_worst_child_comes_first_when_asked(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test() as pilot:
        await ready(pilot, host)
        await press(pilot, "o")
        assert ids(host)[:4] == ["root", "europe", "silver", "customer-3"]
        await press(pilot, "o")
        assert ids(host)[2] == "gold"


async def test_a_scope_limits_the_tree_and_can_be_widened(filled_store):
    host = Host(filled_store, Organizations, scope=Scope("gold", "Europe/Gold"))
    async with host.run_test() as pilot:
        await ready(pilot, host)
        assert ids(host) == ["gold", "customer-0", "customer-1"]
        assert "2 of 2 organizations" in text_of(host)
        await press(pilot, "u")
        assert host.asked == [SetScope("europe")]
        host.go(Scope())
        await until(pilot, lambda: len(ids(host)) == 9)


async def test_showing_an_organization_unfolds_filters_away_and_opens_its_detail(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test() as pilot:
        host.view.show_organization(oid_of(1))
        await ready(pilot, host)
        await until(pilot, lambda: host.view.table.node and host.view.table.node.id == "customer-1")
        await press(pilot, "Z")
        host.view.filter_by("cedar")
        await still(pilot)
        host.view.show_organization(oid_of(4))
        await still(pilot)
        assert host.view.table.node.id == "customer-4"
        await until(pilot, lambda: oid_of(4) in text_of(host))
        host.go(Scope("gold", "Gold"))
        await until(pilot, lambda: ids(host)[0] == "gold")
        host.view.show_organization(oid_of(4))
        await until(pilot, lambda: "outside the scope" in text_of(host))


async def test_the_cursor_stays_on_its_organization_when_the_store_changes(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test() as pilot:
        await ready(pilot, host)
        await press(pilot, "G")
        with filled_store.writing() as connection:
            ingest.put_organizations(
                connection, [{"oid": oid_of(9), "name": "Aardvark"}], complete=False, now=NOW
            )
        await until(pilot, lambda: "unplaced" in ids(host))
        assert host.view.table.node.id == "customer-4"


class Slow:
    """A tab whose reading takes until it is let go."""

    TITLE = "Slow"

    def __init__(self):
        self.begun: list[str] = []
        self.at_once = self.most = 0
        self.free = threading.Event()

    def read(self, connection, oid, now):
        self.begun.append(oid)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        assert self.free.wait(20)
        self.at_once -= 1
        return f"{len(self.begun)}: {oid}"

    def lines(self, found, context, wide):
        return [line(found)]


@pytest.fixture
def slow(monkeypatch):
    tab = Slow()
    monkeypatch.setattr("screens.organizations.TABS", (tab,))
    yield tab
    tab.free.set()


def written(store: Store) -> None:
    with store.writing() as connection:
        ingest.put_sync_state(connection, oid_of(0), "detections", checked_at=NOW, attempted_at=NOW)


async def test_a_detail_that_takes_long_is_read_once_at_a_time_and_follows_the_cursor_after_it(
    filled_store, slow, monkeypatch
):
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, host)
        await pilot.press("G", "enter")
        await until(pilot, lambda: slow.begun == [oid_of(4)])
        host.view.DETAIL_EVERY = 0.01
        for _ in range(4):
            read = host.view._read_at
            written(filled_store)
            await until(pilot, lambda read=read: host.view._read_at > read and not host.view._reading)
        host.view.DETAIL_EVERY = 3_600
        monkeypatch.setattr(host.view, "at_rest", lambda then, after=0: then and then())
        await pilot.press("k", "k")
        await until(pilot, lambda: host.view.table.node.oid == oid_of(2))
        assert slow.begun == [oid_of(4)]
        slow.free.set()
        await until(pilot, lambda: f"2: {oid_of(2)}" in text_of(host))
        assert slow.begun == [oid_of(4), oid_of(2)]
        assert slow.most == 1


async def test_changes_of_the_store_have_a_detail_read_seldom_and_a_key_at_once(filled_store, slow):
    slow.free.set()
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, host)
        host.view.DETAIL_EVERY = 3_600
        await press(pilot, "G", "enter")
        await until(pilot, lambda: f"1: {oid_of(4)}" in text_of(host))
        for _ in range(3):
            read = host.view._read_at
            written(filled_store)
            await until(pilot, lambda read=read: host.view._read_at > read and not host.view._reading)
        assert len(slow.begun) == 1
        await pilot.press("k")
        await until(pilot, lambda: f"2: {oid_of(3)}" in text_of(host))
        host.view.DETAIL_EVERY = 0.05
        written(filled_store)
        await until(pilot, lambda: f"3: {oid_of(3)}" in text_of(host))


async def test_a_detail_that_was_read_for_nothing_is_read_again_at_once_for_who_comes_back(
    filled_store, slow
):
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, host)
        host.view.DETAIL_EVERY = 3_600
        await pilot.press("G", "enter")
        await until(pilot, lambda: slow.begun == [oid_of(4)])
        await pilot.press("escape")
        slow.free.set()
        await until(pilot, lambda: not host.view._detail_reading)
        await pilot.press("enter")
        await until(pilot, lambda: f"2: {oid_of(4)}" in text_of(host))
        assert slow.begun == [oid_of(4), oid_of(4)]


async def test_a_strangers_name_cannot_steer_the_terminal(filled_store):
    with filled_store.writing() as connection:
        ingest.put_organizations(
            connection, [{"oid": oid_of(9), "name": HOSTILE, "region": HOSTILE}], complete=False, now=NOW
        )
        ingest.put_errors(connection, oid_of(9), [{"component": HOSTILE, "error": HOSTILE}])
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot, host)
        await press(pilot, "G", "enter")
        await until(pilot, lambda: oid_of(9) in text_of(host))
        assert "\\x1b]0;x\\x07[@click=app.quit]Evil[/]\\u202e" in text_of(host)
        assert host.guard.hits == 0
        assert host.is_running


async def test_ten_thousand_organizations_cost_a_key_little(empty_store):
    with empty_store.writing() as connection:
        ingest.put_organizations(
            connection,
            [{"oid": oid_of(number), "name": f"Customer {number}"} for number in range(10_000)],
            complete=True,
            now=NOW,
        )
        nodes = [TreeNode(id="root", parent=None, name="Provider")]
        nodes += [TreeNode(id=f"r{n}", parent="root", name=f"Region {n}") for n in range(100)]
        nodes += [
            TreeNode(id=f"c{n}", parent=f"r{n // 100}", name=f"Customer {n}", oid=oid_of(n))
            for n in range(10_000)
        ]
        replace_tree(connection, nodes)
    host = Host(empty_store, Organizations)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot, host)
        table = host.view.table
        assert len(table.shown) == 101
        await press(pilot, "Z")
        assert len(table.shown) == 10_101

        def cost(action) -> float:
            best = 1.0
            for _ in range(5):
                started = perf_counter()
                action()
                for y in range(36):
                    table.render_line(y)
                best = min(best, perf_counter() - started)
            return best * 1000

        # Bounds leave room for a busy machine; alone, a move takes 2 ms, a fold 7 and a filter 20.
        assert cost(table.action_cursor_down) < 30
        assert cost(table.action_fold_all) < 60
        assert cost(lambda: host.view.apply_filter("customer 77")) < 120


def test_a_subtree_counts_its_depth_from_its_own_top(filled_store):
    with filled_store.reader.reading() as connection:
        rows = tree(connection, now=NOW)
    assert [(row.id, row.depth) for row in below(rows, "gold")] == [
        ("gold", 0),
        ("customer-0", 1),
        ("customer-1", 1),
    ]
    assert below(rows, "") == rows
    assert below(rows, "nowhere") == []


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (9_999, "9999"), (10_000, "10.0k"), (99_949, "99.9k"), (99_950, "100k"), (1_400_000, "1.4M")],
)
def test_a_number_takes_at_most_five_cells(number, text):
    assert compact(number) == text


def test_severities_are_said_worst_first():
    assert severities((1, 0, 2, 0, 4000)) == "4,000 critical, 2 medium, 1 info"
    assert severities((0, 0, 0, 0, 0)) == "none open"


def test_a_reason_is_shown_without_the_call_it_begins_with():
    assert brief("detections: GET insight/{oid}/detections may not be used: no.") == "may not be used: no."
    assert brief("The key was refused (401).") == "The key was refused (401)."


def picture(host: Host, *keys: str, wanted: str = ""):
    async def before(pilot) -> None:
        await ready(pilot, host)
        for key in keys:
            await pilot.press(key)
        await still(pilot)
        if wanted:
            await until(pilot, lambda: wanted in text_of(host))
            await still(pilot)

    return before


def test_picture_full(filled_store, snap_compare):
    """The tree above, the detail of Acme Dental below, the cursor's line marked."""
    host = Host(filled_store, Organizations)
    before = picture(host, "j", "j", "j", "enter", wanted=oid_of(0))
    assert snap_compare(host, terminal_size=(80, 24), run_before=before)


def test_picture_wide(filled_store, snap_compare):
    """The detail stands beside the tree, and says why Delta Ltd failed."""
    host = Host(filled_store, Organizations)
    before = picture(host, "7", "j", "enter", wanted=oid_of(3))
    assert snap_compare(host, terminal_size=(120, 40), run_before=before)


def test_picture_empty(empty_store, snap_compare):
    """One sentence: nothing is known yet, and what to do."""
    host = Host(empty_store, Organizations)
    assert snap_compare(host, terminal_size=(80, 24), run_before=picture(host))


def test_picture_failed(filled_store, snap_compare):
    """The store could not be read: one sentence, and where to look."""
    host = Host(filled_store, Organizations, reader=BrokenReader())
    assert snap_compare(host, terminal_size=(80, 24), run_before=picture(host))


async def test_brackets_go_through_the_tabs_and_open_the_detail(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot, host)
        await press(pilot, "j", "j", "j", "right_square_bracket")
        await until(pilot, lambda: oid_of(0) in text_of(host))
        titles = [tab.TITLE for tab in TABS]
        for title in [*titles[1:], titles[0]]:
            await press(pilot, "right_square_bracket")
            assert f"[{title}]" in text_of(host)
        await press(pilot, "right_square_bracket")
        await until(pilot, lambda: "30 days to today" in text_of(host))
        assert "12 or more, 6 or more high or critical" in text_of(host)
        assert "critical" in text_of(host)
        await press(pilot, "left_square_bracket")
        await until(pilot, lambda: oid_of(0) in text_of(host))
        await press(pilot, "right_square_bracket", "k")
        await until(pilot, lambda: "[Analytics]" not in text_of(host))  # a folder has no tabs
        assert host.guard.hits == 0
        assert all(len(title) <= 10 for title in titles)


async def test_organizations_are_compared_with_each_other_and_with_what_they_were(filled_store):
    with filled_store.writing() as connection:
        for at, priority in ((NOW - 3 * 86_400_000, 1), (NOW - 3_600_000, 7)):
            record = Record({"respond": [{"priority": priority}]})
            ingest.put_configuration(connection, oid_of(0), "hive/dr-general", {"lsass": record}, at)
        ingest.put_keys(connection, oid_of(1), {"k": {"name": HOSTILE, "priv": []}}, now=NOW)
        for oid in (oid_of(0), oid_of(1)):
            for subject in PARTS_READ:
                ingest.put_sync_state(connection, oid, subject, checked_at=NOW, attempted_at=NOW)
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot, host)
        await press(pilot, "equals_sign")
        assert "A folder is not compared" in text_of(host)
        await press(pilot, "j", "j", "j", "equals_sign")
        assert "Acme Dental is compared" in text_of(host)
        await press(pilot, "equals_sign")
        await until(pilot, lambda: "respond.0.priority 1 -> 7" in text_of(host))
        assert "2026-11-23 14:00 UTC" in text_of(host)
        await press(pilot, "j", "equals_sign")
        await until(pilot, lambda: "- hive/dr-general lsass" in text_of(host))
        assert "+ key \\x1b]0;x" in text_of(host)
        assert host.guard.hits == 0


def never_read(store) -> None:
    """Two customers more: one of which every reading failed, and one of which none was tried."""
    with store.writing() as connection:
        rows = [{"oid": oid_of(number), "name": f"New {number}"} for number in (5, 6)]
        ingest.put_organizations(connection, rows, complete=False, now=NOW)
        for subject in ("detections", "organization", "sensors", "cases", "errors"):
            ingest.put_sync_state(
                connection, oid_of(5), subject, attempted_at=NOW, failure="auth", reason="No key."
            )


def row_of(host: Host, name: str) -> str:
    return next(each for each in text_of(host).splitlines() if name in each)


async def test_what_was_never_read_is_unknown_and_no_zero(filled_store):
    never_read(filled_store)
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(160, 40)) as pilot:
        await ready(pilot, host)
        for name in ("New 5", "New 6"):
            assert row_of(host, name).split()[3:14] == ["-"] * 11, name
        assert row_of(host, "Unplaced").split()[2:13] == ["0/2", *["-"] * 10]
        top = row_of(host, "Provider").split()
        assert top[2:8] == ["4/7", "0", "-", "60", "46", "10"]
        await press(pilot, "enter")
        await until(pilot, lambda: "made of" in text_of(host))
        assert "60 open" in row_of(host, " alerts  ")
        assert "0, unknown online   5 of 7 read" in row_of(host, " sensors  ")
        assert text_of(host).count("5 of 7 read") == 3
        await press(pilot, "G", "k")
        await until(pilot, lambda: "failed, never read" in text_of(host))
        assert "unknown" in row_of(host, " alerts  ")
        assert "unknown, unknown online" in row_of(host, " sensors  ")
        assert row_of(host, " people  ").split()[-1] == row_of(host, " records  ").split()[-1] == "unknown"


async def test_sensors_that_a_first_sync_has_not_come_to_are_unknown_and_no_zero(filled_store):
    with filled_store.writing() as connection:
        table = models.SyncState.__table__
        connection.execute(table.delete().where(table.c.subject == "sensors", table.c.oid != oid_of(4)))
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(160, 40)) as pilot:
        await ready(pilot, host)
        found = [row_of(host, name).split()[3] for name in ("Acme", "Borealis", "Saint-Roch")]
        assert found == ["-", "-", "0"]


async def test_an_empty_find_is_said_and_escape_brings_the_tree_back(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, host)
        await press(pilot, "slash", *"zzzz", "enter")
        await until(
            pilot, lambda: "No organization matches zzzz. esc takes the filter away." in text_of(host)
        )
        assert "0 found" in text_of(host)
        host.view.reload()
        await still(pilot)
        assert "No organization matches zzzz" in text_of(host)
        await press(pilot, "escape")
        assert len(ids(host)) == 9
        assert "Delta Ltd" in text_of(host)
        await press(pilot, "j", "s")
        assert host.asked == [SetScope("europe")]
        await press(pilot, "slash", *"zzzz", "enter")
        await until(pilot, lambda: "No organization matches zzzz" in text_of(host))
        host.view.show_organization(oid_of(1))
        await until(pilot, lambda: oid_of(1) in text_of(host))


async def test_brackets_on_a_folder_say_that_it_has_one_page_and_are_named_where_they_turn_tabs(filled_store):
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot, host)
        assert "] next tab" not in text_of(host)
        for key in ("right_square_bracket", "left_square_bracket"):
            await press(pilot, "j", "k", key)
            assert "The detail of a folder has one page" in text_of(host)
        await press(pilot, "j", "j", "j", "enter")
        await until(pilot, lambda: oid_of(0) in text_of(host))
        assert "] next tab" in text_of(host).splitlines()[-1]
        await press(pilot, "k")
        assert "] next tab" not in text_of(host)


async def test_a_comparison_with_what_was_never_read_says_so_before_anything(filled_store):
    with filled_store.writing() as connection:
        record = Record({"respond": [{"priority": 1}]})
        ingest.put_configuration(connection, oid_of(0), "hive/dr-general", {"lsass": record}, NOW)
        for subject in PARTS_READ:
            ingest.put_sync_state(connection, oid_of(0), subject, checked_at=NOW, attempted_at=NOW)
    host = Host(filled_store, Organizations)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot, host)
        await press(pilot, "j", "j", "j", "equals_sign", "j", "equals_sign")
        await until(pilot, lambda: "The configuration of Borealis Foods was" in text_of(host))
        assert "the configuration is not compared" in text_of(host)
        assert "lsass" not in text_of(host)


def test_nothing_of_what_is_not_whole_is_no_figure():
    part, whole = (Source("detections", None, NOW, state) for state in ("part", "whole"))
    assert count(Figure.count(0, part)) == "unknown"
    assert count(Figure.count(0, whole)) == "0"
    assert count(Figure.count(3, part)) == "3 or more"
