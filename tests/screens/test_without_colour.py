"""NO_COLOR: bold, dim and reverse are left, in the terminal's own colours; nothing is painted in its background's."""

import re

import pytest

from screens.alerts import Alerts
from screens.dialogs.confirm import Confirm
from tests.helpers.screens import Asking, Host, still, text_of, until

COLOUR = re.compile(r"\x1b\[[0-9;]*?(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|[34]8;[25];[0-9;]+)[;m]")


def painted(app) -> str:
    update = app.screen._compositor.render_update(full=True)
    assert update is not None
    return update.render_segments(app.console)


async def shown(pilot, app) -> str:
    await still(pilot)
    return painted(app)


async def test_a_view_says_no_colour(filled_store, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    host = Host(filled_store, Alerts)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await still(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "powershell.exe" in text_of(host))
        said = await shown(pilot, host)
    assert COLOUR.search(said) is None, repr(COLOUR.search(said))
    assert re.search(r"\x1b\[(?:\d+;)*7[;m]", said), "the cursor is in reverse"


async def test_a_dialog_says_no_colour(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = Asking(Confirm("Leave limegrove?"))
    async with app.run_test(size=(80, 24)) as pilot:
        assert COLOUR.search(await shown(pilot, app)) is None


@pytest.mark.parametrize("text", ["\x1b[31m", "\x1b[1;38;5;16m", "\x1b[38;2;0;0;0;48;2;0;0;0m", "\x1b[1;97m"])
def test_a_colour_is_seen(text):
    assert COLOUR.search(text)
    assert COLOUR.search("\x1b[1;7m\x1b[39;49m\x1b[0m\x1b[2m") is None
