"""The dialog of a false positive rule: its effect follows the text, and nothing is saved by one key."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from textual.widgets import Input, TextArea

from screens.dialogs.fp_rule import REST, FalsePositive, FpRule, effect_text
from store.queries.falsepositives import Effect, Hidden, OrganizationEffect, Stored
from store.templatefile import dumped
from store.text import Untrusted as U
from tests.helpers.dialogs import NOTHING, Asking, a_context
from tests.helpers.screens import NOW, oid_of, still, text_of, until

HOSTILE = "a\x1b]52;c;eA==\x07\u202eb[@click=app.quit]c[/foo]"
RULE = {
    "op": "and",
    "rules": [
        {"op": "is", "path": "cat", "value": "Encoded PowerShell download"},
        {"op": "is", "path": "routing/hostname", "value": "acme-fs01", "case sensitive": False},
    ],
}
GIVEN = FalsePositive(dumped(RULE), "fp-encoded-powershell-acme-fs01", "90d", "30d")


def stored(number: int, **changed: Any) -> Stored:
    made = Stored(
        number, U(f"d-{number}"), oid_of(number % 3), NOW - number * 3_600_000, U("Encoded PowerShell download"),
        U(f"host-{number:02d}"), 0, 0, U(""), None,
    )  # fmt: skip
    return replace(made, **changed)


def an_effect(**changed: Any) -> Effect:
    true = stored(1, status=3, classification=1)
    benign = stored(2, status=3, classification=1, tags=U("benign"))
    made = Effect(
        since=NOW - 30 * 86_400_000,
        until=NOW,
        organizations=(
            OrganizationEffect(oid_of(0), U("Acme Dental"), 412, 9, 1, 403, 0),
            OrganizationEffect(
                oid_of(1), U("Borealis Foods"), 120, 3, 0, 116, 1, "the stored copy is damaged"
            ),
            OrganizationEffect(oid_of(2), U("Cedar Clinic"), 80, 0, 0, 80, 0),
        ),
        hidden=(
            Hidden(true, U("Acme Dental"), False),
            Hidden(benign, U("Borealis Foods"), False),
            *(Hidden(stored(n), U("Acme Dental"), n == 5) for n in range(3, 9)),
        ),
        warnings=("It has no condition on `cat`: it applies to the detections of every rule.",),
        evaluated=612,
        seconds=0.1,
    )
    return replace(made, **changed)


class Trying:
    """A preview that answers when it is told to."""

    def __init__(self, effect: Effect | None = None, *, at_once: bool = True) -> None:
        self.effect = effect or an_effect()
        self.texts: list[str] = []
        self.cancelled: list[str] = []
        self.may: dict[str, asyncio.Event] = {}
        self.at_once = at_once

    async def __call__(self, text: str, progressed: Any) -> Effect:
        self.texts.append(text)
        progressed(1200, 4800)
        if not self.at_once:
            event = self.may.setdefault(text, asyncio.Event())
            try:
                await event.wait()
            except asyncio.CancelledError:
                self.cancelled.append(text)
                raise
        if "op: nope" in text:
            raise ValueError(f"unknown operator {HOSTILE}")
        if "marker" in text:
            return replace(self.effect, warnings=(f"this is about {text.strip()[-9:]}",))
        return self.effect


def dialog(trying: Any = None, given: FalsePositive = GIVEN, **changed: Any) -> FpRule:
    values: dict[str, Any] = {
        "title": "Encoded PowerShell download", "organization": "Acme Dental", "scope": "ALL ORGANIZATIONS",
        "days": 30, "preview": trying or Trying(),
    }  # fmt: skip
    return FpRule(given, a_context(), **(values | changed))


async def seen(pilot: Any, what: str) -> None:
    await until(pilot, lambda: what in text_of(pilot.app))


async def test_the_effect_is_shown_at_once_true_positives_first():
    app = Asking(dialog())
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, "hides 12 of 612 in 2 of 3 organizations")
        shown = text_of(app)
        assert "!! 1 TRUE POSITIVE among them" in shown
        assert shown.index("true_positive") < shown.index("ORGANIZATION ")
        assert "no condition on `cat`" in shown
        assert app.guard.hits == 0
        await pilot.press("tab", "end")
        await until(pilot, lambda: "  absent" in text_of(app))


async def test_typing_tries_the_rule_again_when_it_rests():
    trying = Trying()
    app = Asking(dialog(trying))
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, "hides 12")
        area = app.screen.query_one(TextArea)
        area.text = "op: exists\npath: marker-01"
        await seen(pilot, "this is about marker-01")
        assert trying.texts == [GIVEN.text, "op: exists\npath: marker-01"]


async def test_keys_pressed_quickly_are_tried_once():
    trying = Trying()
    app = Asking(dialog(trying, replace(GIVEN, text="op: exists\npath: marke")))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(trying.texts) == 1)
        app.screen.query_one(TextArea).move_cursor((1, 99))
        await pilot.press(*"r-12")
        await until(pilot, lambda: "this is about" in text_of(app), REST + 20)
        assert trying.texts[-1].endswith("marker-12")
        assert len(trying.texts) <= 3


async def test_an_older_answer_never_overwrites_a_newer_one():
    trying = Trying(at_once=False)
    app = Asking(dialog(trying, replace(GIVEN, text="path: marker-01")))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: trying.texts == ["path: marker-01"])
        await seen(pilot, "1,200 of 4,800")
        app.screen.query_one(TextArea).text = "path: marker-02"
        await until(pilot, lambda: len(trying.texts) == 2)
        assert trying.cancelled == ["path: marker-01"]
        trying.may["path: marker-02"].set()
        await seen(pilot, "this is about marker-02")
        trying.may["path: marker-01"].set()
        await still(pilot)
        assert "about marker-01" not in text_of(app)


async def test_what_is_no_rule_says_so_and_cannot_be_saved():
    app = Asking(dialog(given=replace(GIVEN, text="op: nope")))
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, "x no rule")
        await pilot.press("ctrl+s")
        await seen(pilot, "This is no rule yet")
        assert app.answer is NOTHING
        assert app.guard.hits == 0


async def test_a_rule_that_is_still_being_tried_is_not_saved():
    trying = Trying(at_once=False)
    app = Asking(dialog(trying))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: trying.texts)
        await pilot.press("ctrl+s")
        await seen(pilot, "still being tried")
        assert app.answer is NOTHING


async def test_saving_answers_everything_that_was_typed():
    app = Asking(dialog())
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, "hides 12")
        await pilot.press("tab", "tab")
        assert app.screen.query_one("#fp-name", Input).has_focus
        await pilot.press("-", "2", "enter", *"fp.yaml", "enter", "enter", "enter", *"vendor", "ctrl+s")
        await until(pilot, lambda: app.answer is not NOTHING)
    assert app.answer == replace(
        GIVEN, name="fp-encoded-powershell-acme-fs01-2", reason="vendor", file="fp.yaml"
    )


@pytest.mark.parametrize(
    ("field", "value", "about"),
    [
        ("name", "", "It needs a name"),
        ("expires", "soon", "ends:"),
        ("review", "never", "review:"),
        ("reason", "", "It needs a reason: why what it hides may be hidden."),
    ],
)
async def test_a_field_that_means_nothing_is_named(field, value, about):
    app = Asking(dialog(given=replace(GIVEN, **{field: value})))
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, "hides 12")
        await pilot.press("ctrl+s")
        await seen(pilot, about)
        assert app.screen.query_one(f"#fp-{field}", Input).has_focus
        assert app.answer is NOTHING


async def test_what_was_typed_is_not_thrown_away_by_one_key():
    app = Asking(dialog())
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, "hides 12")
        app.screen.query_one(TextArea).text = "op: exists\npath: marker-01"
        await pilot.press("escape")
        await seen(pilot, "esc again leaves it")
        assert app.answer is NOTHING
        await pilot.press("escape")
        await until(pilot, lambda: app.answer is None)
    app = Asking(dialog())
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, "hides 12")
        await pilot.press("escape")
        await until(pilot, lambda: app.answer is None)
    app = Asking(dialog(trouble="Somebody was faster."))
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, "hides 12")
        await pilot.press("escape")
        await seen(pilot, "esc again leaves it")
        assert app.answer is NOTHING, "it was typed before, and is still not saved"


async def test_strangers_texts_cannot_steer_the_terminal():
    hostile = an_effect(
        organizations=(OrganizationEffect(oid_of(0), U(HOSTILE), 9, 9, 1, 0, 0, HOSTILE),),
        hidden=(Hidden(stored(1, classification=1, hostname=U(HOSTILE), cat=U(HOSTILE)), U(HOSTILE), True),),
        warnings=(HOSTILE,),
    )
    given = replace(GIVEN, text=dumped({"op": "is", "path": "cat", "value": HOSTILE}))
    app = Asking(
        dialog(Trying(hostile), given, title=HOSTILE, organization=HOSTILE, scope=HOSTILE, trouble=HOSTILE)
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await seen(pilot, "TRUE POSITIVE")
        assert app.guard.hits == 0
        assert "\x1b]52" not in text_of(app)
        for y in range(40):
            await pilot.click(offset=(30, y))
        assert app.answer is NOTHING
        assert app.guard.hits == 0


async def test_it_stands_beside_the_rule_where_there_is_room():
    app = Asking(dialog())
    async with app.run_test(size=(160, 48)) as pilot:
        await seen(pilot, "hides 12")
        await until(pilot, lambda: app.screen.query_one("#effect").region.x > 70)
        assert app.screen.query_one("#effect").region.y == app.screen.query_one("#rule").region.y


def test_words_of_an_effect():
    context = a_context()
    words = effect_text(an_effect(complete=False), context).plain
    assert "stopped before the end" in words
    assert "1 more, where it hides nothing" in words
    none = effect_text(an_effect(organizations=(), hidden=(), warnings=()), context).plain
    assert none == "hides 0 of 0 in 0 of 0 organizations"
    good = replace(an_effect().organizations[0], true_positives=0)
    assert "o no true positive among them" in effect_text(an_effect(organizations=(good,)), context).plain


# What it looks like


@pytest.mark.parametrize("size", [(80, 24), (160, 48)], ids=["80x24", "160x48"])
def test_picture(snap_compare, size):
    """The rule, what it would have hidden with the true positive named first, and how it is kept."""

    async def ready(pilot):
        await seen(pilot, "hides 12")
        pilot.app.screen.query_one(TextArea).cursor_blink = False
        await still(pilot)

    assert snap_compare(Asking(dialog()), terminal_size=size, run_before=ready)


def test_picture_without_colour(snap_compare, monkeypatch):
    """The same without a colour: a sign and a word carry everything."""
    monkeypatch.setenv("NO_COLOR", "1")

    async def ready(pilot):
        await seen(pilot, "hides 12")
        await still(pilot)

    assert snap_compare(Asking(dialog()), terminal_size=(80, 24), run_before=ready)


def test_picture_of_trouble(snap_compare):
    """What is no rule says where, and why it was not saved stands above the keys."""

    async def ready(pilot):
        await seen(pilot, "x no rule")
        await still(pilot)

    given = replace(GIVEN, text="op: nope\npath: cat\n")
    shown = dialog(given=given, trouble="Acme Dental has a false positive rule of that name already.")
    assert snap_compare(Asking(shown), terminal_size=(80, 24), run_before=ready)
