"""The view of searches: its rows, who answered, older ones, and how it looks."""

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from screens.context import Status
from screens.dialogs.row_json import RowJson
from screens.frame import KeyLine, Line, TitleLine
from screens.guard import forbidden
from screens.requests import EndSearch, NewSearch, ShowOrganization, ShowSensor
from screens.search import Search
from store import searches
from store.database import Store
from store.lcql import Question, Quote
from tests.corpus.strings import everything
from tests.helpers.screens import CUSTOMERS, NOW, Host, oid_of, still, text_of, until
from tests.screens.test_hostile_store import OWN

QUERY = "plat == windows | NEW_PROCESS | event/COMMAND_LINE contains 'enc'"
SID = "7c1f9a2e-0b3c-4d5e-8f60-718293a4b5c6"


def event(number: int, oid: str) -> dict[str, Any]:
    return {
        "mtd": {"ts": NOW - number * 60_000, "stream": "event"},
        "data": {
            "routing": {
                "oid": oid,
                "sid": SID,
                "hostname": f"host-{number:03d}",
                "event_type": "NEW_PROCESS",
            },
            "event": {"COMMAND_LINE": f"powershell.exe -enc {number:06d}", "PROCESS_ID": 7},
        },
    }


def searched(
    store: Store,
    *,
    query: str = QUERY,
    rows: int = 120,
    state: int = searches.DONE,
    at: int = NOW - 60_000,
    grouped: bool = False,
) -> int:
    """One search over the five customers, of whom one was denied and one had more than was kept."""
    quotes = [Quote(oid_of(n), name, 0.5 * n, "USD cents", 1000 * n) for n, (name, _) in enumerate(CUSTOMERS)]
    quotes[3] = replace(
        quotes[3], error="This key may not use POST search: insight.evt.get is missing.", kind="denied"
    )
    with store.writing() as connection:
        question = Question(query, NOW // 1000 - 86_400, NOW // 1000, scope="Europe/Gold")
        made = searches.begin(connection, question, quotes, by="mk", now=at)
        for n in (0, 1, 2, 4):
            oid = oid_of(n)
            found = [event(number, oid) for number in range(n, rows, 5)]
            if grouped:
                found = [{"mtd": {"stream": "event"}, "data": {"path": f"C:\\x{n}.exe", "times": n * 3}}]
            searches.put_rows(connection, made, oid, found)
            searches.mark(connection, made, oid, searches.ANSWERED, scanned=900 * n, cut=n == 1)
        if state != searches.RUNNING:
            searches.finish(connection, made, cancelled=state == searches.CANCELLED, now=at + 4000)
    return made


async def ready(pilot: Any) -> None:
    await until(pilot, lambda: pilot.app.view.look != "loading")
    await still(pilot)


async def test_a_search_shows_its_rows_newest_first_with_their_organization(empty_store: Store) -> None:
    searched(empty_store)
    host = Host(empty_store, Search)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        text = text_of(host)
        assert "host-000" in text.splitlines()[5]
        assert "Acme Dental" in text.splitlines()[5]
        assert "powershell.exe -enc 000000" in text
        assert QUERY in host.screen.query_one("#asked", Line).text
        assert "1 failed" in host.screen.query_one("#sections", Line).text
        await pilot.press("G")
        await still(pilot)
        # Delta was denied: its share is not there, the last one of the others is.
        assert host.view.rows.current.words.host == "host-119"
        await pilot.press("o", "S")
        await still(pilot)
    assert host.asked == [ShowOrganization(oid_of(4)), ShowSensor(oid_of(4), SID)]


async def test_who_failed_is_named_first_and_says_why(empty_store: Store) -> None:
    searched(empty_store)
    host = Host(empty_store, Search)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("right_square_bracket")
        await still(pilot)
        lines = text_of(host).splitlines()
        assert "Delta Ltd" in lines[5]
        assert "failed" in lines[5]
        assert any("+" in line and "Borealis" in line for line in lines), "one had more rows than are kept"
        await pilot.press("enter")
        assert "insight.evt.get is missing" in host.screen.query_one(KeyLine).text
        await pilot.press("escape")
        await still(pilot)
        assert "host-000" in text_of(host)


async def test_the_filter_keeps_the_rows_that_hold_every_word(empty_store: Store) -> None:
    searched(empty_store)
    host = Host(empty_store, Search)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        assert host.view.filter_by("cedar 000012")
        await until(pilot, lambda: "1 of 96" in host.screen.query_one("#sections", Line).text)
        assert host.view.rows.current.words.host == "host-012"
        await pilot.press("escape")
        await until(pilot, lambda: " 96 " in host.screen.query_one("#sections", Line).text)


async def test_what_was_counted_has_columns_of_its_own(empty_store: Store) -> None:
    searched(empty_store)
    searched(empty_store, query="count", grouped=True, at=NOW - 1000)
    host = Host(empty_store, Search)
    async with host.run_test(size=(120, 40)) as pilot:
        await ready(pilot)
        lines = text_of(host).splitlines()
        assert lines[4].split() == ["TIME", "ORGANIZATION", "path", "times"]
        assert any("C:\\x4.exe" in line and "12" in line for line in lines)
        await pilot.press("less_than_sign")
        await until(pilot, lambda: "host-000" in text_of(host))
        assert "2 of 2" in host.screen.query_one(TitleLine).text
        assert text_of(host).splitlines()[4].split()[2:] == ["HOST", "TYPE", "WHAT"]
        await pilot.press("greater_than_sign")
        await until(pilot, lambda: "C:\\x4.exe" in text_of(host))


async def test_rows_come_in_while_a_search_runs_and_the_cursor_stays(empty_store: Store) -> None:
    made = searched(empty_store, rows=60, state=searches.RUNNING, at=NOW - 10)
    host = Host(empty_store, Search)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("j", "j")
        before = host.view.rows.current.id

        def more() -> None:
            with empty_store.writing() as connection:
                searches.put_rows(connection, made, oid_of(0), [event(-5, oid_of(0))])

        await asyncio.to_thread(more)
        await until(pilot, lambda: " 49 " in host.screen.query_one("#sections", Line).text)
        assert host.view.rows.current.id == before
        await pilot.press("x")
        await pilot.press("n")
        await pilot.press("e")
        await still(pilot)
    assert host.asked == [EndSearch(made), NewSearch(), NewSearch(query=QUERY, stream="event")]


async def test_a_row_is_shown_as_it_was_received(empty_store: Store) -> None:
    searched(empty_store)
    host = Host(empty_store, Search)
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(host.screen, RowJson))
        await still(pilot)
        assert '"COMMAND_LINE"' in text_of(host)
        await pilot.press("q")
        await until(pilot, lambda: not isinstance(host.screen, RowJson))


async def test_a_locked_console_runs_none_and_nothing_runs_where_nothing_runs(empty_store: Store) -> None:
    searched(empty_store)
    host = Host(empty_store, Search)
    host.context.writable = False
    async with host.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        for key, why in (("n", "read-only"), ("e", "read-only"), ("x", "No search runs here")):
            await pilot.press(key)
            assert why in host.screen.query_one(KeyLine).text
    assert host.asked == []


async def test_nothing_that_an_event_says_is_obeyed(empty_store: Store) -> None:
    texts = [text[:600] for text in everything()]
    with empty_store.writing() as connection:
        quotes = [
            Quote(oid_of(n), texts[n * 7], 1.0, texts[n * 3], error=texts[n] if n == 2 else "")
            for n in range(4)
        ]
        question = Question(texts[9], 1, 2, scope=texts[10])
        made = searches.begin(connection, question, quotes, by=texts[11], now=NOW)
        rows = [
            {
                "mtd": {"ts": NOW - n},
                "data": {
                    "routing": {"hostname": text, "event_type": text},
                    "event": {"COMMAND_LINE": text, text: text},
                },
            }
            for n, text in enumerate(texts)
        ]
        searches.put_rows(connection, made, oid_of(0), rows)
        named = {text[:80]: text for text in texts[:8]}
        other = searches.begin(connection, question, quotes, by="x", now=NOW + 1)
        searches.put_rows(connection, other, oid_of(1), [{"data": named}, {"data": named}])
    host = Host(empty_store, Search)
    seen = ""
    async with host.run_test(size=(160, 50)) as pilot:
        await ready(pilot)
        for key in (
            "j",
            "right_square_bracket",
            "enter",
            "right_square_bracket",
            "less_than_sign",
            *["pagedown"] * 6,
            "enter",
        ):
            await pilot.press(key)
            await still(pilot)
            update = host.screen._compositor.render_update(full=True)
            assert update is not None
            bad = [part for part in OWN.split(update.render_segments(host.console)) if forbidden(part)]
            assert bad == []
            seen += text_of(host)
        assert host.guard.hits == 0, host.guard.samples
    assert "\\x1b" in seen


# -- pictures --------------------------------------------------------------------------------------------

SIZES = [(80, 24), (120, 40)]


@pytest.mark.parametrize("size", SIZES)
def test_the_rows(snap_compare: Any, empty_store: Store, size: tuple[int, int]) -> None:
    """What was asked, `Rows 96`, one failed; rows newest first with their organization."""
    searched(empty_store)
    assert snap_compare(Host(empty_store, Search), terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", SIZES)
def test_the_answers(snap_compare: Any, empty_store: Store, size: tuple[int, int]) -> None:
    """Delta first, failed, in red and in words; Borealis with a `+`; prices."""
    searched(empty_store)

    async def answers(pilot: Any) -> None:
        await ready(pilot)
        await pilot.press("right_square_bracket")
        await still(pilot)

    assert snap_compare(Host(empty_store, Search), terminal_size=size, run_before=answers)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_counted(snap_compare: Any, empty_store: Store, size: tuple[int, int]) -> None:
    """Columns `path` and `times`; the search is cancelled, and says so."""
    searched(empty_store, query="a | b | c", grouped=True, state=searches.CANCELLED)
    assert snap_compare(Host(empty_store, Search), terminal_size=size, run_before=ready)


@pytest.mark.parametrize("size", SIZES)
def test_no_search_yet(snap_compare: Any, empty_store: Store, size: tuple[int, int]) -> None:
    """One sentence that says what to do."""
    host = Host(empty_store, Search)
    host.context.status = Status(organizations=5, fresh=5, known=True)
    assert snap_compare(host, terminal_size=size, run_before=ready)


class Broken:
    """A reader that cannot."""

    @contextmanager
    def reading(self) -> Any:
        raise OSError("the disk is gone")
        yield


@pytest.mark.parametrize("size", SIZES)
def test_searches_that_cannot_be_read(snap_compare: Any, size: tuple[int, int]) -> None:
    """One red sentence, and where to look."""
    assert snap_compare(Host(None, Search, reader=Broken()), terminal_size=size, run_before=ready)


def test_the_rows_without_colour(
    snap_compare: Any, empty_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No colour at all: done and failed are still said."""
    monkeypatch.setenv("NO_COLOR", "1")
    searched(empty_store)
    assert snap_compare(Host(empty_store, Search), terminal_size=(80, 24), run_before=ready)
