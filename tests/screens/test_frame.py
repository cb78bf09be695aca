"""What stands around every view: line 1, the command line, the keys, and the three looks."""

from dataclasses import replace
from typing import ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Static

from screens.context import Scope, Status
from screens.frame import KeyLine, TitleLine, WhereLine
from screens.keys import MODES
from screens.requests import (
    Back,
    LastView,
    Quit,
    SetScope,
    ShowAccess,
    ShowAlerts,
    ShowOrganization,
    ShowView,
    SyncNow,
)
from screens.view import View
from screens.widgets.command_line import CommandError, CommandLine, complete, understand
from store import ingest
from tests.helpers.screens import NOW, Host, fill, oid_of, still, text_of, until


class Names(View[list[str]]):
    """The names of all organizations."""

    MODE = "overview"
    TITLE = "Names"
    READS = frozenset({"organization"})
    EMPTY = "No names."
    BINDINGS: ClassVar = [
        Binding("x", "close", "close", id="names.close", tooltip="Close it"),
        Binding("w", "never", "never", id="names.never", tooltip="Never works"),
    ]

    def __init__(self, context) -> None:
        super().__init__(context)
        self.shown: list[list[str]] = []
        self.closed = 0
        self.broken = ""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="names", markup=False)

    def read(self, connection):
        if self.broken:
            raise OSError(self.broken)
        rows = ingest._ORGANIZATION.select().order_by("name")
        return [row.name for row in connection.execute(rows)]

    def has_nothing(self, found) -> bool:
        return not found

    def show(self, found) -> None:
        self.shown.append(found)
        self.query_one("#names", Static).update("\n".join(found))
        self.say(counts=f"{len(found)} names")

    def why_not(self, action: str) -> str:
        return "This never works, for a test." if action == "never" else ""

    def apply_filter(self, line: str) -> None:
        if line == "bad":
            raise ValueError("bad is not a filter; use good.")

    def action_close(self) -> None:
        self.closed += 1

    def action_never(self) -> None:
        raise AssertionError("it was not to be run")


def line_1(host: Host) -> str:
    return host.view.query_one(WhereLine).text


def last_line(host: Host) -> str:
    return host.view.query_one(KeyLine).text


async def test_line_1_says_where_how_fresh_and_what_could_be_broken(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        assert line_1(host).split() == [
            "ALL", "ORGANIZATIONS", "4", "of", "5", "fresh,", "1", "failed,", "40", "s", "prod", "WRITE",
        ]  # fmt: skip


async def test_a_locked_console_says_so_and_an_offline_one_too(filled_store):
    host = Host(filled_store, Names)
    host.context.writable, host.context.offline = False, True
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        assert line_1(host).rstrip().endswith("OFFLINE  prod  LOCKED")


async def test_how_many_are_fresh_is_never_cut_for_what_runs(filled_store):
    host = Host(filled_store, Names, scope=Scope("n", "A scope with a name that is very much too long"))
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        host.context.status = replace(host.context.status, running="sync 34/216, 2 min left")
        host.context.status_changed.publish(host.context.status)
        await until(pilot, lambda: "sync" in line_1(host))
        assert "4 of 5 fresh, 1 failed, 40 s" in line_1(host)
        assert len(line_1(host)) == 80


async def test_an_age_that_has_no_room_is_left_out_whole(filled_store):
    host = Host(filled_store, Names, scope=Scope("n", "A scope with a name that is very much too long"))
    async with host.run_test(size=(54, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        said = line_1(host)
        assert " 4 of 5 fresh, 1 failed " in said
        assert "40" not in said
        assert len(said) <= 54


@pytest.mark.parametrize("offline", [True, False])
async def test_how_much_failed_and_how_old_the_rest_is_do_not_give_way_to_a_failed_sync(
    filled_store, offline
):
    host = Host(filled_store, Names)
    host.context.offline = offline
    host.context.status = Status(
        organizations=216, fresh=215, failed=1, oldest=NOW - 40_000, need=1_000, known=True,
        trouble="" if offline else "the cloud is away",
    )  # fmt: skip
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        said = line_1(host)
        assert "215 of 216 fresh, 1 failed, 40 s" in said
        assert ("OFFLINE  " if offline else "no sync  ") + "1,000+ need you  prod  WRITE" in said
        assert said.startswith(" ALL ")
        assert len(said) == 80


@pytest.mark.parametrize(
    ("columns", "said"), [(80, " paused 34 s   prod"), (120, " paused 34 s by the cloud's rate limit   prod")]
)
async def test_a_pause_by_the_cloud_s_rate_limit_goes_before_what_runs(filled_store, columns, said):
    host = Host(filled_store, Names)
    async with host.run_test(size=(columns, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        host.context.status = replace(host.context.status, running="sync 34/216, 2 min left", paused=34)
        host.context.status_changed.publish(host.context.status)
        await until(pilot, lambda: said in line_1(host))
        assert "sync" not in line_1(host)
        host.context.status = replace(host.context.status, paused=0)
        host.context.status_changed.publish(host.context.status)
        await until(pilot, lambda: "sync 34/216" in line_1(host))


async def test_failed_background_work_is_said_in_line_1(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        host.context.status = replace(host.context.status, trouble="the cloud is away")
        host.context.status_changed.publish(host.context.status)
        await until(pilot, lambda: "sync failed" in line_1(host))


async def test_a_hostile_scope_and_environment_are_shown_as_notation(filled_store):
    host = Host(filled_store, Names, scope=Scope("n", "a\x1b[2Jb\u202ec[@click=app.quit]"))
    async with host.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        assert "a\\x1b[2Jb\\u202ec[@click=app.quit]" in line_1(host)
        assert host.guard.hits == 0


async def test_a_view_reads_again_after_a_commit_that_touched_its_tables(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.shown)
        with filled_store.writing() as connection:
            ingest.put_organizations(
                connection, [{"oid": oid_of(9), "name": "Zebra"}], complete=False, now=NOW
            )
        await until(pilot, lambda: "Zebra" in host.view.shown[-1])


async def test_a_commit_elsewhere_in_the_store_is_no_reason_to_read(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.shown)
        await still(pilot)
        before = len(host.view.shown)
        with filled_store.writing() as connection:
            ingest.put_sync_state(connection, oid_of(0), "audit", checked_at=NOW)
        await still(pilot)
        assert len(host.view.shown) == before


class Elsewhere(Names):
    """The same in a mode of its own."""

    MODE = "organizations"


async def test_a_hidden_view_reads_when_it_is_shown_again(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.shown)
        # A mode each, as in the console: what stands right below another screen shines through and goes on.
        view = Elsewhere(host.context)
        host.add_mode("names", lambda: view)
        host.add_mode("other", Screen)
        await host.switch_mode("names")
        await until(pilot, lambda: view.shown)
        await still(pilot)
        before = len(view.shown)
        await host.switch_mode("other")
        with filled_store.writing() as connection:
            ingest.put_organizations(
                connection, [{"oid": oid_of(9), "name": "Zebra"}], complete=False, now=NOW
            )
        await until(pilot, lambda: view._stale)
        assert (len(view.shown), view._pending) == (before, None)
        await host.switch_mode("names")
        await until(pilot, lambda: "Zebra" in view.shown[-1])


async def test_a_storm_of_commits_is_read_at_most_four_times_a_second(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.shown)
        for number in range(60):
            with filled_store.writing() as connection:
                ingest.put_organizations(
                    connection, [{"oid": oid_of(9), "name": f"Zebra {number}"}], complete=False, now=NOW
                )
        await until(pilot, lambda: "Zebra 59" in host.view.shown[-1])
        assert len(host.view.shown) < 20


async def test_an_empty_store_says_what_to_do(empty_store):
    host = Host(empty_store, Names)
    host.context.status = Status(known=True)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "empty")
        assert ":sync reads the cloud" in text_of(host)
        fill(empty_store)
        await until(pilot, lambda: host.view.look == "full")


async def test_a_store_that_cannot_be_read_is_said_and_what_was_shown_stays(filled_store):
    host = Host(filled_store, Names)
    host.view.broken = "disk \x1b[31mgone"
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "failed")
        assert "The store could not be read: disk \\x1b[31mgone" in text_of(host)
        host.view.broken = ""
        host.view.reload()
        await until(pilot, lambda: host.view.look == "full")
        host.view.broken = "disk gone"
        host.view.reload()
        await until(pilot, lambda: "not read again" in host.view.query_one(TitleLine).text)
        assert "Acme Dental" in text_of(host)


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        (["q"], Back()),
        (["escape"], Back()),
        (["minus"], LastView()),
        (["r"], SyncNow()),
        (["ctrl+q"], Quit()),
        (["tab"], ShowView("organizations")),
        (["shift+tab"], ShowView(MODES[-1][0])),
        (["3"], ShowView("alerts")),
        ([":", *"alerts sev:high", "enter"], ShowAlerts("sev:high")),
        ([":", *"ov", "enter"], ShowView("overview")),
        ([":", *"sy", "enter"], SyncNow()),
        ([":", *"q", "enter"], Quit()),
        ([":", *"scope", "enter"], SetScope("")),
        ([":", *"scope europe", "enter"], SetScope("europe")),
        ([":", *"scope Europe/Gold", "enter"], SetScope("gold")),
        ([":", *"org Acme Dental", "enter"], ShowOrganization(oid_of(0))),
        ([":", *"access Cedar Clinic", "enter"], ShowAccess(oid_of(2))),
        ([":", *"org ced", "tab", "enter"], ShowOrganization(oid_of(2))),
    ],
    ids=lambda value: "".join(value) if isinstance(value, list) else "",
)
async def test_a_key_or_a_command_asks_for(filled_store, keys, asked):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await pilot.press(*keys[:1])
        if keys[0] == ":":
            await until(pilot, lambda: host.view._candidates is not None)
        await pilot.press(*keys[1:])
        await until(pilot, lambda: host.asked)
        assert host.asked == [asked]
        assert type(host.asked[0]) is type(asked)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("nonsense", "There is no command :nonsense."),
        ("org Nobody", "There is no organization Nobody."),
        ("scope nowhere", "There is no node nowhere."),
        ("sync now", ":sync takes nothing after it."),
        ("a", ":a may be :alerts, :access, :activity."),
    ],
)
async def test_a_command_that_means_nothing_says_why(filled_store, typed, said):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await pilot.press(":", *typed, "enter")
        await until(pilot, lambda: said in last_line(host))
        assert host.asked == []


async def test_a_key_that_cannot_work_says_why_and_runs_nothing(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await pilot.press("w")
        assert "This never works, for a test." in last_line(host)
        await pilot.press("x")
        assert host.view.closed == 1
        assert "x close" in last_line(host)


@pytest.mark.parametrize(
    ("keys", "request_"),
    [
        (["colon", *"ov", "enter"], ShowView("overview")),
        (["colon", *"drift", "enter"], ShowView("drift", "")),
        (["3"], ShowView("alerts")),
    ],
)
async def test_a_command_or_a_view_closes_the_help_and_is_carried_out(filled_store, keys, request_):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 40)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await pilot.press("?")
        await until(pilot, lambda: host.screen is not host.view)
        await pilot.press(*keys)
        await until(pilot, lambda: request_ in host.asked)
        assert host.screen is host.view


async def test_the_help_lists_the_views_own_keys_first_and_why_one_cannot_work(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 60)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await pilot.press("?")
        await until(pilot, lambda: host.screen is not host.view)
        await pilot.pause()
        shown = text_of(host)
        assert shown.index("Close it") < shown.index("Leave the console, after asking")
        assert "not now: This never works, for a test." in shown
        assert ":scope" in shown
        assert "5 Activity" in shown
        await pilot.press("q")
        await until(pilot, lambda: host.screen is host.view)
        assert host.asked == []


async def test_a_bad_filter_says_what_is_wrong_and_keeps_the_old_one(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await pilot.press("/", *"good", "enter")
        assert host.view.filter_line == "good"
        await pilot.press("/", *[*["backspace"] * 4, *"bad"], "enter")
        await until(pilot, lambda: "bad is not a filter; use good." in last_line(host))
        assert host.view.filter_line == "good"


async def test_esc_closes_the_command_line_and_asks_for_nothing(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await pilot.press(":", *"quit", "escape")
        assert not host.view.query_one(CommandLine).is_open
        await pilot.press(":", "backspace")
        assert not host.view.query_one(CommandLine).is_open
        assert host.asked == []


async def test_what_was_typed_before_comes_back_by_the_arrow(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await pilot.press(":", *"sync", "enter")
        await pilot.press(":", "up", "enter")
        await until(pilot, lambda: len(host.asked) == 2)
        assert host.asked == [SyncNow(), SyncNow()]


async def test_digits_before_a_movement_do_not_change_the_view(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await pilot.press("1", "2")
        assert "12" in last_line(host)
        assert host.view.has_count()
        assert host.view.take_count() == 12
        assert host.view.take_count() == 1
        await pilot.press("4", "escape")
        await still(pilot)
        assert host.asked == [Back()] or host.asked == []


async def test_ctrl_c_stops_nothing_and_says_how_to_leave(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await pilot.press("ctrl+c")
        assert ":quit" in last_line(host)
        assert host.asked == []
        assert host.is_running


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (59, 24), (80, 14)])
async def test_a_terminal_that_is_too_small_gets_a_sentence(filled_store, size):
    host = Host(filled_store, Names)
    async with host.run_test(size=size) as pilot:
        await until(pilot, lambda: host.view.shown)
        assert host.view.has_class("-small")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "Acme Dental" in text_of(host))
        await pilot.resize_terminal(*size)
        await pilot.press("?", "q", ":", "escape")


@pytest.mark.parametrize("size", [(6, 4), (14, 5), (20, 5), (24, 4), (40, 14), (59, 24), (80, 6), (80, 14)])
async def test_how_to_leave_is_seen_in_the_smallest_terminal(filled_store, size):
    host = Host(filled_store, Names)
    async with host.run_test(size=size) as pilot:
        await until(pilot, lambda: host.view.shown)
        await still(pilot)
        assert "ctrl+q" in text_of(host)
        if size[0] * (size[1] - 3) >= 28:
            assert "too small" in text_of(host)


async def test_a_scope_may_be_what_has_no_place_in_the_tree(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test() as pilot:
        await until(pilot, lambda: host.view.shown)
        await pilot.press("colon", *"scope Unplaced", "enter")
        await until(pilot, lambda: host.asked == [SetScope("unplaced")])


def test_commands_are_found_by_name_alias_and_beginning():
    assert understand("") == ("", "")
    assert understand("q") == ("quit", "")
    assert understand("AL sev:high") == ("alerts", "sev:high")
    assert understand("overv") == ("overview", "")
    with pytest.raises(CommandError, match="may be"):
        understand("o")


def test_completion_knows_commands_names_and_filter_words():
    names = {"organization": ["Acme Dental", "Big Acme"], "node": ["Europe", "Europe/Gold"]}
    assert complete(":", "ov", lambda kind: names[kind]) == ["overview"]
    assert complete(":", "org acm", lambda kind: names[kind]) == ["org Acme Dental", "org Big Acme"]
    assert complete(":", "scope go", lambda kind: names[kind]) == ["scope Europe/Gold"]
    assert complete(":", "alerts org:x se", lambda kind: names[kind])[0] == "alerts org:x sev:critical"
    assert "status:any" in complete("/", "st", lambda kind: [])
    assert complete(":", "sync x", lambda kind: names[kind]) == []
