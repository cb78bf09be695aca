"""The checklist before a customer is offboarded: what it answers, what it says, and how it looks."""

from dataclasses import replace
from typing import Any

import pytest

from screens.dialogs.offboard import Offboard, OffboardAnswer
from screens.guard import forbidden
from store.offboarding import PARTS, Checklist, Line
from store.text import Untrusted
from tests.helpers.dialogs import NOTHING, Asking, a_context, answer_of
from tests.helpers.screens import still, text_of

HOSTILE = "a\x1b]52;c;eA==\x07\u202eb[@click=app.quit]c[/foo]"
NAME = "Acme Dental"
COUNTS = {
    "groups": 7,
    "keys": 4,
    "users": 3,
    "outputs": 2,
    "installation-keys": 3,
    "extensions": 6,
    "sensors": 33,
}


def checklist(keep: frozenset[str], name: str = NAME, notes: tuple[str, ...] = ()) -> Checklist:
    lines = [
        Line("work", "20 open alerts, 3 past SLA, 20 open cases", 0, "nothing closes it"),
        Line("mark", "leaving", 1),
        Line(
            "export", "/home/kim/limegrove/default/offboarded/7e41789d-20261128", 1, "secrets are not in it"
        ),
        Line("report", "/home/kim/limegrove/default/offboarded/7e41789d-20261128", 1),
    ]
    for part in PARTS:
        number = COUNTS.get(part, 0)
        note = "6 stay, with what they give elsewhere" if part == "groups" else ""
        line = Line(part, f"{number:,}" if number else "none", number, note)
        if part == "organization":
            lines.append(Line("look", "what was to go", 1))
            line = Line(part, "deleted", 1)
        if part in keep:
            line = replace(line, steps=0, note="stay: as asked for")
        lines.append(line)
    lines.append(Line("own access", "1", 1, "the last thing that is taken"))
    return Checklist("7e41789d-0000-4000-8000-000000000000", Untrusted(name), tuple(lines), notes, "organization" not in keep, keep)  # fmt: skip


def dialog(*, name: str = NAME, notes: tuple[str, ...] = (), writable: bool = True) -> Offboard:
    return Offboard(lambda keep: checklist(keep, name, notes), a_context(writable=writable))


async def test_it_answers_once_the_name_is_typed() -> None:
    assert await answer_of(dialog(), "tab", *NAME, "enter") == OffboardAnswer(frozenset(), NAME)
    assert await answer_of(dialog(), "enter", *NAME, "enter") == OffboardAnswer(frozenset(), NAME)


async def test_no_key_alone_and_no_other_name_begins_it() -> None:
    assert await answer_of(dialog(), "enter", "enter", "x", "enter", "y", "a") is NOTHING
    assert await answer_of(dialog(), "tab", *"Acme", "enter") is NOTHING


async def test_parts_are_kept_and_taken_after_all() -> None:
    sensors = [line.part for line in checklist(frozenset()).lines].index("sensors")
    down = ["j"] * sensors
    answer = await answer_of(dialog(), *down, "x", "j", "j", "x", "tab", *NAME, "enter")
    assert answer == OffboardAnswer(frozenset({"sensors", "organization"}), NAME)
    answer = await answer_of(dialog(), *down, "x", "x", "tab", *NAME, "enter")
    assert answer.keep == frozenset()


async def test_the_line_of_the_cursor_is_said_whole() -> None:
    app = Asking(dialog())
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        assert "open work: 20 open alerts, 3 past SLA, 20 open cases   nothing closes it" in text_of(app)
        await pilot.press("j", "j")
        await still(pilot)
        assert "/home/kim/limegrove/default/offboarded/7e41789d-20261128" in text_of(app)


async def test_what_belongs_to_it_is_not_left_out() -> None:
    app = Asking(dialog())
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        await pilot.press("x")
        await still(pilot)
        assert "belongs to every offboarding" in text_of(app)
        for _ in range(20):
            await pilot.press("j")
        await pilot.press("k", "x")
        await still(pilot)
        assert "the organization itself stays" in text_of(app)


async def test_leaving_it_or_a_read_only_console_begins_nothing() -> None:
    assert await answer_of(dialog(), "tab", *NAME, "escape") is None
    assert await answer_of(dialog(writable=False), "tab", *NAME, "enter") is NOTHING


async def test_a_strangers_name_steers_nothing() -> None:
    app = Asking(dialog(name=HOSTILE))
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        assert not forbidden(text_of(app).replace("\n", ""))
        assert app.guard.hits == 0


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_picture(snap_compare: Any, size: tuple[int, int]) -> None:
    """A part that is kept, a note, a wrong name, and what cannot be taken back."""

    async def ready(pilot: Any) -> None:
        await still(pilot)
        for key in ("j", "j", "j", "j", "j", "x", "tab", *"Acme", "enter"):
            await pilot.press(key)
        await still(pilot)

    note = "The group Partner SOC holds it and belongs to somebody else: only its owners can take it out."
    assert snap_compare(Asking(dialog(notes=(note,))), terminal_size=size, run_before=ready)
