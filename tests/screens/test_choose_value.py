"""The dialog that offers the values of an alert."""

from screens.dialogs.choose_value import ChooseValue, ValueChoice
from tests.corpus.strings import everything
from tests.helpers.screens import Asking, still, text_of, until

CHOICES = [
    ValueChoice(
        "hash", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "3 of 216 organizations"
    ),
    ValueChoice("host", "acme-fs01", "here alone"),
    ValueChoice("user", "ACME\\svc-backup", "2 of 216 organizations"),
    ValueChoice("command", "powershell.exe -nop -w hidden -EncodedCommand " + "SQBFAFgA" * 40, "here alone"),
]


copied: list[str] = []


async def copy(value: str) -> None:
    copied.append(value)


def dialog(choices=CHOICES) -> ChooseValue:
    return ChooseValue("Encoded PowerShell download", "Acme Dental", choices, copy=copy)


async def answer_of(*keys: str, choices=CHOICES):
    app = Asking(dialog(choices))
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        await pilot.press(*keys)
        await until(pilot, lambda: app.answer is not Asking.NOTHING)
    return app.answer


async def test_enter_answers_the_value_under_the_cursor():
    assert await answer_of("enter") == CHOICES[0]
    assert await answer_of("j", "j", "enter") == CHOICES[2]
    assert await answer_of("G", "p") == CHOICES[3]


async def test_y_copies_it_and_stays_and_escape_asks_for_nothing():
    copied.clear()
    assert await answer_of("j", "y", "j", "enter") == CHOICES[2]
    assert copied == [CHOICES[1].value]
    assert await answer_of("escape") is None
    assert await answer_of("q") is None


async def test_a_long_value_is_cut_in_the_list_and_whole_below():
    app = Asking(dialog())
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        await pilot.press("j")
        assert CHOICES[0].value not in text_of(app)
        await pilot.press("k")
        await until(pilot, lambda: CHOICES[0].value in text_of(app))


async def test_values_of_strangers_steer_nothing():
    choices = [ValueChoice("path", text, text) for text in dict.fromkeys(everything()) if text.strip()]
    app = Asking(ChooseValue(choices[0].value, choices[1].value, choices, copy=copy))
    async with app.run_test(size=(100, 40)) as pilot:
        await still(pilot)
        for _ in range(0, len(choices), 40):
            await pilot.press("pagedown", "j")
        await still(pilot)
        assert "\\x1b" in text_of(app) or "\\u" in text_of(app)
        assert app.guard.hits == 0, app.guard.samples


def test_how_it_looks(snap_compare):
    """Kind, value cut in its middle, where it was seen; the one under the cursor whole; the keys."""

    async def ready(pilot):
        await still(pilot)

    assert snap_compare(Asking(dialog()), terminal_size=(80, 24), run_before=ready)
