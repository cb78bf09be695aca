"""Keys of the settings: the console does, and says, what they say; what cannot be ends it before it opens."""

from pathlib import Path

import pytest

from console.app import VIEWS, Console
from console.settings import Settings, SettingsError
from screens.dialogs.confirm import Confirm
from screens.frame import KeyLine
from screens.help import Help
from screens.keymap import WIDGETS
from screens.keys import use_keymap
from screens.view import View
from screens.widgets.command_line import CommandLine
from screens.widgets.row_table import RowTable
from store.database import Store
from tests.helpers.screens import NOW, still, text_of, until


@pytest.fixture(autouse=True)
def own_keys():
    """The keymap holds for the process: the next test has none."""
    yield
    use_keymap({})


def console(url, **keys: str) -> Console:
    """One with these keys; `alerts__close` stands for `alerts.close`."""
    settings = Settings(
        home=Path("/nowhere"),
        environment="prod",
        store_url=url,
        keys={name.replace("__", "."): value for name, value in keys.items()},
        file=Path("/etc/settings.toml"),
    )
    return Console(open_store=lambda: Store(url), environment="prod", clock=lambda: NOW, settings=settings)


async def open_on(pilot, name="alerts"):
    app = pilot.app
    await until(pilot, lambda: app.current_mode == name and getattr(app.screen, "look", "") == "full")
    await until(pilot, lambda: app.context.status.known)
    await still(pilot)


def last_line(app: Console) -> str:
    return " ".join(app.screen.query_one(KeyLine).text.split())


async def test_a_rebound_key_does_the_thing_and_its_own_no_longer_does(url):
    app = console(url, alerts__detail="ctrl+o")
    async with app.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        await pilot.press("enter")
        await still(pilot)
        assert not app.screen.pane.display
        await pilot.press("ctrl+o")
        await until(pilot, lambda: app.screen.pane.display)


async def test_the_last_line_says_it_at_the_place_it_had(url):
    app = console(url, alerts__close="d", app__help="f2", view__filter="f3")
    async with app.run_test(size=(120, 24)) as pilot:
        await open_on(pilot)
        line = last_line(app)
        assert "c claim d close s snooze" in line
        assert "f3 filter" in line
        assert line.endswith(" f2")


async def test_the_help_says_it_and_so_do_the_sentences(url):
    app = console(url, alerts__close="d", move__cursor_down="f4", app__help="f2", app__sync="f5")
    async with app.run_test(size=(80, 60)) as pilot:
        await open_on(pilot)
        await pilot.press("question_mark")
        await still(pilot)
        assert not isinstance(app.screen, Help)
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.screen, Help))
        await still(pilot)
        lines = [" ".join(line.strip("│┃| ").split()) for line in text_of(app).splitlines()]
        assert any(line.startswith("d Close") for line in lines)
        assert not any(line.startswith("x ") for line in lines)
        assert any("5f4 five lines" in line for line in lines)
        # In a dialog every key is its own.
        await pilot.press("j", "question_mark")
        await until(pilot, lambda: not isinstance(app.screen, Help))


async def test_the_letters_of_a_rebound_key_can_be_typed_in_the_command_line(url):
    app = console(url, app__command="b", rollouts__undo="f7", runs__undo="f7", handover__bounce="f7")
    async with app.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        await pilot.press("b", *"billing", "enter")
        await until(pilot, lambda: app.current_mode == "billing")


async def test_a_movement_takes_a_count_under_its_new_key(url):
    app = console(url, move__cursor_down="ctrl+n")
    async with app.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        table = app.screen.queue
        first = table.current
        await pilot.press("5", "ctrl+n")
        await until(pilot, lambda: table.current is not first)
        await pilot.press("j")
        await still(pilot)
        five_down = table.current
        await pilot.press("5", "k")
        await until(pilot, lambda: table.current is not five_down)
        assert table.current == first


async def test_the_verbs_after_the_semicolon_are_offered_and_taken_under_their_new_keys(url):
    app = console(url, alerts__claim="ctrl+k")
    async with app.run_test(size=(120, 24)) as pilot:
        await open_on(pilot)
        await pilot.press("space", "j", "space", "semicolon")
        await until(pilot, lambda: "2 marked: ^k claim" in last_line(app))


async def test_the_console_is_left_by_its_new_key_alone_and_says_so(url):
    app = console(url, app__quit="ctrl+x")
    async with app.run_test(size=(80, 24)) as pilot:
        await open_on(pilot)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "To leave: :quit or ^x." in last_line(app))
        await pilot.press("ctrl+q")
        await still(pilot)
        assert not isinstance(app.screen, Confirm)
        await pilot.press("ctrl+x")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: not app.is_running)
    assert app.return_code == 0


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"alerts__close": "c"}, "'alerts.close' has 'c', which is the key of 'alerts.claim' in alerts"),
        ({"alerts__clse": "d"}, "there is no binding 'alerts.clse'"),
        ({"app__quit": ""}, "nothing would leave the console"),
        ({"confirm__yes": "x"}, "is of a dialog"),
    ],
)
async def test_keys_that_cannot_be_end_it_before_the_store_is_opened(url, keys, sentence):
    app = console(url, alerts__note="f6", **keys)
    opened = []
    app._open_store = lambda: opened.append(True) or Store(url)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: not app.is_running)
    assert isinstance(app.failure, SettingsError)
    assert str(app.failure).startswith("/etc/settings.toml, [keys]: ")
    assert sentence in str(app.failure)
    assert (app.return_code, opened) == (1, [])


async def test_what_has_the_keys_in_each_view_is_what_clashes_are_looked_for_in(url):
    app = console(url)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_on(pilot)
        for name in VIEWS:
            await app.show_mode(name)
            await still(pilot)
            assert isinstance(app.screen, View)
            able = {
                type(each)
                for each in app.screen.query("*")
                if not isinstance(each, CommandLine) and any(own.id for _, own in each._merge_bindings())
            }
            assert able == set(WIDGETS.get(name, (RowTable,))), name
