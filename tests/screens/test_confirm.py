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


@pytest.mark.parametrize("size", [(80, 24), (60, 15)], ids=["80x24", "60x15"])
async def test_a_question_is_seen_however_short_it_is_beside_its_keys(size):
    for question in ("?", "Leave?", "Leave limegrove?", "Leave limegrove now, really?", "Leave\nit?"):
        app = Asking(Confirm(question, yes="leave", no="stay"))
        async with app.run_test(size=size) as pilot:
            await still(pilot)
            shown = text_of(app)
            assert all(line in shown for line in question.splitlines()), shown
            assert "y leave    n stay" in shown


@pytest.mark.parametrize(("key", "answer"), [("y", True), ("n", False), ("enter", False), ("escape", False)])
async def test_only_y_means_yes(key, answer):
    app = Asking(Confirm("Sure?"))
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        await pilot.press(key)
        await still(pilot)
        assert app.answer is answer
