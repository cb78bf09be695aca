"""The form for a new customer: what it answers, what it says, and how it looks."""

from typing import Any

import pytest

from screens.dialogs.onboard import LINES, Onboard, filled
from screens.guard import forbidden
from tests.helpers.dialogs import NOTHING, Asking, answer_of
from tests.helpers.screens import still, text_of

HOSTILE = "a\x1b]52;c;eA==\x07\u202eb[@click=app.quit]c[/foo]"
WRONG = "region: 'europa' is no region; is 'europe' meant? And 2 more."


def form(node: str = "Europe/Gold", *, wrong: str = "", doubtful: str = "") -> Onboard:
    return Onboard(
        {"node": node},
        wrong=lambda cells: wrong if cells.get("region") == "europa" else "",
        doubtful=lambda cells: doubtful,
    )


async def test_it_answers_what_was_filled_in_by_column() -> None:
    answer = await answer_of(form(), *"Acme", "tab", *"europe", "enter")

    assert filled(answer) == {"name": "Acme", "region": "europe", "node": "Europe/Gold"}


async def test_what_is_wrong_keeps_it_open_and_is_said() -> None:
    assert await answer_of(form(wrong=WRONG), *"Acme", "tab", *"europa", "enter") is NOTHING


async def test_what_is_doubtful_is_taken_by_a_second_enter() -> None:
    assert await answer_of(form(doubtful="Look."), *"Acme", "enter") is NOTHING
    assert filled(await answer_of(form(doubtful="Look."), *"Acme", "enter", "enter"))["name"] == "Acme"


async def test_leaving_it_answers_nothing() -> None:
    assert await answer_of(form(), *"Acme", "escape") is None


async def test_the_name_of_a_node_steers_nothing() -> None:
    app = Asking(form(HOSTILE))
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        assert not forbidden(text_of(app).replace("\n", ""))
        assert app.guard.hits == 0


def test_each_line_is_a_column_of_a_file_and_fits_its_label() -> None:
    from store.onboarding import COLUMNS

    assert {column for column, _, _ in LINES[1:]} <= set(COLUMNS)
    assert all(len(label) <= 8 for _, label, _ in LINES)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_picture(snap_compare: Any, size: tuple[int, int]) -> None:
    async def ready(pilot: Any) -> None:
        await still(pilot)
        for key in (*"Acme", "tab", *"europa", "enter"):
            await pilot.press(key)
        await still(pilot)

    assert snap_compare(Asking(form(wrong=WRONG)), terminal_size=size, run_before=ready)
