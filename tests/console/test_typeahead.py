"""Keys that are there before what they are meant for, as they come over a slow link: in one piece."""

import asyncio
from contextlib import closing

import pytest
from textual import events
from textual.keys import _character_to_key
from textual.widgets import Input

from console.app import Console
from console.requests import RefusedHere
from screens.dialogs.alert_json import AlertJson
from screens.dialogs.choose_one import ChooseOne
from screens.dialogs.choose_value import ChooseValue
from screens.dialogs.close_alerts import CloseAlerts
from screens.dialogs.fill_in import FillIn
from screens.frame import KeyLine
from screens.queue import alone
from screens.requests import CloseAlerts as Close
from screens.requests import ShowSensor
from screens.widgets.command_line import CommandLine
from store.alerts import AlertFilter
from store.database import Store
from store.queries import alerts
from tests.helpers.screens import NOW, fill, still, text_of, until

EVERY = AlertFilter(statuses=(0, 1, 2, 3), snoozed="any")


@pytest.fixture
def app(tmp_path):
    """A console over ten alerts of their own, on one line each."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with closing(Store(url)) as store:
        fill(store, detections=10)
    return Console(
        open_store=lambda: Store(url), environment="prod", clock=lambda: NOW, operator="dana", writable=True
    )


def together(app, *keys):
    """Let keys come as a slow link brings them: all at once."""
    for key in keys:
        name = key if len(key) > 1 else _character_to_key(key)
        app.post_message(events.Key(name, key if len(key) == 1 else None))


async def ready(pilot):
    app = pilot.app
    await until(pilot, lambda: app.current_mode == "alerts" and getattr(app.screen, "look", "") == "full")
    await still(pilot)
    return app.screen


async def on(pilot, kind):
    await until(pilot, lambda: isinstance(pilot.app.screen, kind))
    await until(pilot, lambda: pilot.app.typed.idle)
    return pilot.app.screen


def said(app):
    return next(screen for screen in app.screen_stack if screen.id).query_one(KeyLine).text


def mine(app):
    with app.store.reader.reading() as connection:
        return [row.id for row in alerts.page(connection, EVERY, limit=100) if row.assignee == "dana"]


@pytest.mark.parametrize("begin", ["/", ":"])
async def test_the_queue_has_the_keys_again_when_the_line_is_cancelled(app, begin):
    async with app.run_test(size=(80, 24)) as pilot:
        view = await ready(pilot)
        first = view.queue.current
        await pilot.press(begin, "escape", "j")
        await until(pilot, lambda: view.queue.current != first)
        assert "claim" in said(app)
        assert "tab complete" not in said(app)
        await pilot.press("question_mark")
        await until(pilot, lambda: "Everywhere" in text_of(app) or len(app.screen_stack) > 1)


async def test_the_queue_has_the_keys_again_when_a_case_is_not_made(app):
    async with app.run_test(size=(80, 24)) as pilot:
        view = await ready(pilot)
        first = view.queue.current
        together(app, "e", "c", "escape")
        await until(pilot, lambda: app.screen is view and app.typed.idle)
        await pilot.press("j")
        await until(pilot, lambda: view.queue.current != first)


@pytest.mark.parametrize("key", ["S", "p", "J", "f", "K", "x"])
async def test_a_key_is_about_the_alert_that_it_was_pressed_on(app, key, monkeypatch):
    posted = []
    async with app.run_test(size=(120, 40)) as pilot:
        view = await ready(pilot)
        wanted = alone(view.queue.current)
        post = view.post_message
        monkeypatch.setattr(view, "post_message", lambda message: (posted.append(message), post(message))[1])
        together(app, key, "j", "j")
        await until(
            pilot, lambda: len(app.screen_stack) > 1 or any(isinstance(p, ShowSensor) for p in posted)
        )
        await until(pilot, lambda: app.typed.idle)
        if key == "J":
            assert app.screen._found.row.id == wanted.id
        names = [getattr(p, "alert_id", getattr(p, "alert", getattr(p, "sid", None))) for p in posted]
        names += [one for p in posted if isinstance(p, Close) for one in p.chosen.alerts]
        assert [one for one in names if one is not None] in ([wanted.id], [wanted.sid], [])
        assert key == "J" or any(one is not None for one in names)


async def test_a_word_goes_into_the_dialog_behind_the_one_that_a_letter_of_it_answers(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        together(app, "e", "c", *"claim of jm")
        await on(pilot, FillIn)
        assert app.screen.query(Input).first().value == "claim of jm"


async def test_what_is_typed_behind_an_answer_is_for_the_queue(app):
    async with app.run_test(size=(80, 24)) as pilot:
        view = await ready(pilot)
        together(app, "x", "f", *"noise", "enter", "c")
        await until(pilot, lambda: len(mine(app)) == 1)
        assert app.screen is view
        with app.store.reader.reading() as connection:
            closed = [row for row in alerts.page(connection, EVERY, limit=100) if row.status == 3]
        assert len(closed) == 1
        assert mine(app) != [closed[0].id]


async def test_what_is_typed_for_a_dialog_that_does_not_come_presses_no_keys_here(app):
    async with app.run_test(size=(80, 24)) as pilot:
        view = await ready(pilot)

        async def refuse(_host, _request):
            await asyncio.sleep(0.05)
            raise RefusedHere("It cannot be.")

        app._known_handlers()[Close] = refuse
        first = view.queue.current
        together(app, "x", *"fcj", "enter")
        await until(pilot, lambda: "It cannot be." in said(app))
        await until(pilot, lambda: app.typed.idle)
        await still(pilot)
        assert mine(app) == []
        assert view.queue.current == first
        await pilot.press("j")
        await until(pilot, lambda: view.queue.current != first)


async def test_escape_gives_a_dialog_up_that_does_not_come(app, monkeypatch):
    monkeypatch.setattr("console.typeahead.FREES_AFTER", 0.0)
    async with app.run_test(size=(80, 24)) as pilot:
        view = await ready(pilot)
        never = asyncio.Event()

        async def wait(_host, _request):
            await never.wait()

        app._known_handlers()[Close] = wait
        first = view.queue.current
        await pilot.press("x", "j")
        assert view.queue.current == first
        await pilot.press("escape", "j")
        await until(pilot, lambda: view.queue.current != first)
        assert mine(app) == []
        never.set()


async def test_a_key_held_down_answers_one_dialog(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        together(app, "e", *["enter"] * 8)
        await until(pilot, lambda: len(app.screen_stack) > 1 and not isinstance(app.screen, ChooseOne))
        await until(pilot, lambda: app.typed.idle)
        assert len(app.screen_stack) > 1
        assert said(app).strip() == ""


async def test_a_key_behind_a_digit_is_for_the_view_of_the_digit(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        together(app, "7", "d")
        await until(pilot, lambda: app.current_mode == "handover")
        await until(pilot, lambda: "You hold no alert and no case here" in text_of(app))
        together(app, "3", "6", "escape", "6", ":", *"org")
        await until(pilot, lambda: app.current_mode == "cases")
        line = app.screen.query_one(CommandLine)
        await until(pilot, lambda: line.is_open and line.query_one(Input).value == "org")


async def test_a_digit_alone_is_a_view_and_before_a_movement_a_count(app):
    async with app.run_test(size=(80, 24)) as pilot:
        view = await ready(pilot)
        where = view.queue.position if hasattr(view.queue, "position") else None
        together(app, "4", "j", "c")
        await until(pilot, lambda: len(mine(app)) == 1)
        assert app.current_mode == "alerts", where
        await pilot.press("1")
        await until(pilot, lambda: app.current_mode == "overview")


async def test_behind_a_number_that_is_no_view_nothing_is_decided(app):
    async with app.run_test(size=(80, 24)) as pilot:
        view = await ready(pilot)
        together(app, "1", "2", "x")
        await until(pilot, lambda: "12 is no view, and x takes no number: nothing was done." in said(app))
        together(app, "9", "c")
        await until(pilot, lambda: "9 is no view" in said(app))
        assert app.screen is view
        assert mine(app) == []


async def test_a_verb_behind_a_filter_is_about_what_the_filter_shows(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        together(app, "/", *"host:host-03", "enter", "c")
        await until(pilot, lambda: len(mine(app)) == 1)
        with app.store.reader.reading() as connection:
            claimed = [row for row in alerts.page(connection, EVERY, limit=100) if row.assignee == "dana"]
        assert [row.hostname for row in claimed] == ["host-03"]


async def test_a_verb_behind_the_next_free_one_is_about_that(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        together(app, "c", "n", "c", "n", "c")
        await until(pilot, lambda: len(mine(app)) == 3)
        assert "already" not in said(app)


async def test_a_verb_behind_a_far_movement_is_about_where_it_leads(app):
    async with app.run_test(size=(80, 24)) as pilot:
        view = await ready(pilot)
        # What is narrowed is read in a thread.
        together(app, "/", *"host:host", "enter", "G", "c")
        await until(pilot, lambda: len(mine(app)) == 1)
        assert mine(app) == [view.queue.current.id]
        assert "LOW" in text_of(app).splitlines()[12]


async def test_beneath_a_dialog_no_key_is_said(app):
    async with app.run_test(size=(80, 24)) as pilot:
        view = await ready(pilot)
        together(app, "x")
        await on(pilot, CloseAlerts)
        await until(pilot, lambda: said(app).strip() == "")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is view)
        await pilot.press("j")
        await until(pilot, lambda: "claim" in said(app))


async def test_a_letter_that_does_nothing_says_so(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("i")
        await until(pilot, lambda: "i does nothing here; ? says what does." in said(app))


async def test_the_line_beneath_is_kept_through_a_pivot_and_the_json(app):
    async with app.run_test(size=(120, 40)) as pilot:
        view = await ready(pilot)
        first = view.queue.current
        for key, kind in (("p", ChooseValue), ("J", AlertJson)):
            together(app, key)
            await on(pilot, kind)
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is view)
        assert view.queue.current == first
