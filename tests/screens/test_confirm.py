"""The question with two answers."""

import pytest

from screens.dialogs.confirm import Confirm
from tests.helpers.screens import Asking, still, text_of

LONG = "Write fp-scanner-touched-lsass-danubia-fs01 into the Hive of Danubia Hotels SARL Subsidiary?"


async def test_a_long_question_is_wrapped_and_not_cut_where_it_names_the_organization():
    app = Asking(Confirm(LONG + "\n" + "It would have hidden 29 of 1,540 detections. " * 4))
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        shown = " ".join(text_of(app).replace("│", " ").split())
        assert LONG in shown
        assert "y yes n no" in shown


@pytest.mark.parametrize(("key", "answer"), [("y", True), ("n", False), ("enter", False), ("escape", False)])
async def test_only_y_means_yes(key, answer):
    app = Asking(Confirm("Sure?"))
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        await pilot.press(key)
        await still(pilot)
        assert app.answer is answer
