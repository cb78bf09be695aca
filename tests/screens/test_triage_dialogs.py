"""The dialogs of triage: what each answers, what it refuses, and how it looks."""

from datetime import UTC

import pytest
from textual.app import App
from textual.content import Content

from screens.dialogs.assign_alerts import AssignAlerts
from screens.dialogs.choose_one import ChooseOne, Option
from screens.dialogs.close_alerts import CloseAlerts, Closing
from screens.dialogs.dialog import Subject
from screens.dialogs.edit_fold_key import EditFoldKey, Field, FoldKeyAnswer
from screens.dialogs.mark_pattern import MarkPattern
from screens.dialogs.results import Item, Results
from screens.dialogs.sample_check import Checked, Differs, Member, SampleCheck
from screens.dialogs.snooze_alerts import SnoozeAlerts, Snoozing, Waking, waking_of
from screens.dialogs.write_note import WriteNote
from screens.guard import Guard
from tests.helpers.screens import NOW, Host, still, text_of, until

HOSTILE = "a\x1b]52;c;eA==\x07‮b[@click=app.quit]c[/foo]\ud800"

ONE = Subject(1, ("Acme Dental",), "Encoded PowerShell download", host="acme-fs01")
STORM = Subject(
    1400,
    tuple(f"Customer {number}" for number in range(61)),
    "Scanner touched LSASS",
    titles=2,
)
GUARDED = Subject(
    3, ("Acme Dental", "Borealis Foods"), "Scanner", protected=("Acme Dental",), protected_ids=("c757dfdf",),
    protected_alerts=2,
)  # fmt: skip
NOTHING = object()


class Asking(App[None]):
    """Shows one dialog and keeps its answer."""

    CSS_PATH = Host.CSS_PATH
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, dialog) -> None:
        super().__init__()
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self.guard = Guard()
        self.dialog = dialog
        self.answer = NOTHING

    def get_line_filters(self):
        return [*super().get_line_filters(), self.guard]

    def on_mount(self) -> None:
        self.push_screen(self.dialog, self.answered)

    def answered(self, answer) -> None:
        self.answer = answer


async def answer_of(dialog, *keys):
    app = Asking(dialog)
    async with app.run_test(size=(80, 24)) as pilot:
        await still(pilot)
        await pilot.press(*keys)
        await pilot.pause()
        assert app.guard.hits == 0
        return app.answer


async def shown_after(dialog, *keys, size=(80, 24)) -> str:
    app = Asking(dialog)
    async with app.run_test(size=size) as pilot:
        await still(pilot)
        await pilot.press(*keys)
        await still(pilot)
        assert app.answer is NOTHING
        return text_of(app)


# -- closing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "classification", "benign"),
    [("t", "true_positive", False), ("f", "false_positive", False), ("b", "true_positive", True)],
)
async def test_one_alert_is_closed_by_a_letter_a_comment_and_enter(key, classification, benign):
    answer = await answer_of(CloseAlerts(ONE), key, *"seen", "enter")
    assert answer == Closing(classification, benign, "seen")


async def test_no_single_key_closes_anything():
    for key in ("enter", "t", "f", "b", "y", "x"):
        assert await answer_of(CloseAlerts(ONE), key) is NOTHING


async def test_benign_says_what_it_becomes():
    shown = await shown_after(CloseAlerts(ONE), "b")
    assert "true_positive with the tag `benign`" in shown


async def test_leaving_changes_nothing_at_any_point():
    for keys in ([], ["t"], ["t", "x"], ["t", "shift+tab"]):
        assert await answer_of(CloseAlerts(ONE), *keys, "escape") is None


async def test_many_need_a_comment():
    assert "need a comment" in await shown_after(CloseAlerts(STORM), "f", "enter")
    assert (await answer_of(CloseAlerts(STORM), "f", "enter", *"dup", "enter")).comment == "dup"


async def test_letters_in_the_comment_are_letters():
    assert (await answer_of(CloseAlerts(ONE), "t", *"bft", "enter")).comment == "bft"


async def test_another_class_can_be_chosen_after_all():
    answer = await answer_of(CloseAlerts(ONE), "t", *"no", "shift+tab", "f", "enter")
    assert answer == Closing("false_positive", False, "no")


async def test_earlier_comments_come_by_the_arrow():
    dialog = CloseAlerts(ONE, recent=("scanner run", "pentest"))
    assert (await answer_of(dialog, "f", "up", "up", "enter")).comment == "pentest"
    dialog = CloseAlerts(ONE, recent=("scanner run", "pentest"))
    assert (await answer_of(dialog, "f", "up", "up", "down", "enter")).comment == "scanner run"


async def test_a_repeated_closing_is_one_enter_away():
    dialog = CloseAlerts(ONE, classification="benign", comment="pentest")
    assert await answer_of(dialog, "enter") == Closing("true_positive", True, "pentest")


async def test_a_protected_organization_asks_for_its_name():
    typed = await answer_of(CloseAlerts(GUARDED), "f", *"dup", "enter", *"Acme Dental", "enter")
    assert typed == Closing("false_positive", False, "dup", ("Acme Dental",))
    wrong = await shown_after(CloseAlerts(GUARDED), "f", *"dup", "enter", *"acme", "enter")
    assert "That is neither its name nor its id" in wrong
    assert "type its name: Acme Dental" in wrong


async def test_each_of_several_protected_ones_is_named():
    both = Subject(3, ("A", "B", "C"), "x", protected=("A", "B"))
    answer = await answer_of(CloseAlerts(both), "f", "c", "enter", "A", "enter", "B", "enter")
    assert answer.confirmed == ("A", "B")
    assert "(2 of 2)" in await shown_after(CloseAlerts(both), "f", "c", "enter", "A", "enter")


async def test_an_id_does_where_a_name_is_typed_and_stands_there():
    name = "さくら Hotels"
    guarded = Subject(2, (name,), "x", protected=(name,), protected_ids=("c757dfdf",), protected_alerts=2)
    shown = await shown_after(CloseAlerts(guarded), "f", "c", "enter")
    assert "Protected: type its name: さくら Hotels" in shown
    assert "or its id: c757dfdf" in shown
    answer = await answer_of(CloseAlerts(guarded), "f", "c", "enter", *"c757dfdf", "enter")
    assert answer.confirmed == ("c757dfdf",)
    wrong = await shown_after(CloseAlerts(guarded), "f", "c", "enter", *"c757dfd", "enter")
    assert "That is neither its name nor its id. Nothing was changed." in wrong


async def test_a_name_that_nobody_has_is_asked_about_once():
    def doubt(name: str) -> str:
        return "" if name in ("", "dana") else f"Nobody of that name is known here: {name}."

    dialog = lambda: AssignAlerts(ONE, ["dana"], doubt=doubt)  # noqa: E731
    assert await answer_of(dialog(), *"dana", "enter") == "dana"
    assert await answer_of(dialog(), "enter") == ""
    shown = await shown_after(dialog(), *"zzz", "enter")
    assert "Nobody of that name is known here: zzz." in shown
    assert "enter again: give it all the same" in shown
    assert await answer_of(dialog(), *"zzz", "enter") is NOTHING
    assert await answer_of(dialog(), *"zzz", "enter", "enter") == "zzz"
    # Another name is another question.
    assert await answer_of(dialog(), *"zzz", "enter", "y", "enter") is NOTHING
    assert "enter give" in await shown_after(dialog(), *"zzz", "enter", "y")


async def test_protected_ones_can_be_spared():
    keys = ("f", *"dup", "enter", "ctrl+n")
    shown = await shown_after(CloseAlerts(GUARDED), *keys)
    assert "Close 1 alert" in shown
    assert "without 2 alerts of Acme Dental, protected" in shown
    assert "enter close 1 alert   ctrl+n with the protected" in shown
    assert await answer_of(CloseAlerts(GUARDED), *keys) is NOTHING
    answer = await answer_of(CloseAlerts(GUARDED), *keys, "enter")
    assert answer == Closing("false_positive", False, "dup", (), spared=True)
    again = await shown_after(CloseAlerts(GUARDED), *keys, "ctrl+n")
    assert "Close 3 alerts of 2 organizations" in again
    assert await answer_of(CloseAlerts(GUARDED), *keys, "ctrl+n", "enter") is NOTHING
    alone = Subject(2, ("Acme Dental",), "x", protected=("Acme Dental",))
    assert "nothing would be left" in await shown_after(CloseAlerts(alone), "f", "c", "enter", "ctrl+n")


async def test_a_storm_names_how_many_and_whom():
    shown = await shown_after(CloseAlerts(STORM))
    assert "Close 1,400 alerts of 61 organizations" in shown
    assert "Customer 0, Customer 1, Customer 2 +58 more" in shown
    assert "Scanner touched LSASS and 1 other rule" in shown


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (160, 48), (30, 8)])
async def test_strangers_text_steers_no_dialog(size):
    subject = Subject(2, (HOSTILE, "x" * 400), HOSTILE, host=HOSTILE, protected=(HOSTILE,))
    for dialog in (
        CloseAlerts(subject, comment=HOSTILE, recent=(HOSTILE,)),
        SnoozeAlerts(subject, now=NOW, reason="\x1b[2J"),
        WriteNote(subject, note=HOSTILE),
        SampleCheck(
            subject,
            [
                Member(
                    1,
                    HOSTILE,
                    HOSTILE,
                    HOSTILE,
                    "now",
                    ((HOSTILE, HOSTILE),),
                    (Differs("host", HOSTILE, HOSTILE),),
                )
            ],
        ),
        EditFoldKey(HOSTILE, [Field("host", HOSTILE)], ["host"], [], own=True),
        MarkPattern(lambda line: HOSTILE, within=HOSTILE, pattern=HOSTILE),
        Results(Content("x"), [Item("1", HOSTILE, HOSTILE, "refused", HOSTILE, bad=True)]),
    ):
        app = Asking(dialog)
        async with app.run_test(size=size) as pilot:
            await still(pilot)
            await pilot.press("enter")
            await pilot.pause()
            assert app.guard.hits == 0, (type(dialog).__name__, app.guard.samples)
            assert "\x1b" not in text_of(app)


# -- snoozing -----------------------------------------------------------------------------------------------

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("text", "waking"),
    [
        ("1h", Waking(until=NOW + HOUR)),
        ("30m", Waking(until=NOW + HOUR // 2)),
        ("tomorrow 08:00", Waking(until=NOW + 18 * HOUR)),
        ("tomorrow", Waking(until=NOW + 18 * HOUR)),
        ("15:00", Waking(until=NOW + HOUR)),
        ("8:00", Waking(until=NOW + 18 * HOUR)),
        ("2026-11-24T16:00Z", Waking(until=NOW + 2 * HOUR)),
        ("2026-11-24 16:00", Waking(until=NOW + 2 * HOUR)),
        ("5 more", Waking(more=5)),
        ("12more", Waking(more=12)),
        ("online", Waking(event="online")),
        ("Host", Waking(event="host")),
    ],
)
def test_what_brings_an_alert_back_can_be_typed(text, waking):
    assert waking_of(text, NOW, UTC) == waking


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Use 1h"),
        ("soon", "Use 1h"),
        ("25:00", "Use 1h"),
        ("0 more", "At least 1"),
        ("2020-01-01", "in the past"),
        ("today 08:00", "in the past"),
        ("99w", "more than a year"),
        ("9999-12-31 23:59", "more than a year"),
    ],
)
def test_what_brings_nothing_back_is_explained(text, says):
    with pytest.raises(ValueError, match=says):
        waking_of(text, NOW, UTC)


@pytest.mark.parametrize(
    ("keys", "waking"),
    [
        (["1"], Waking(until=NOW + HOUR)),
        (["4"], Waking(until=NOW + 4 * HOUR)),
        (["t"], Waking(until=NOW + 18 * HOUR)),
        (["u", *"2h", "enter"], Waking(until=NOW + 2 * HOUR)),
        (["n", "backspace", *"20", "enter"], Waking(more=20)),
        (["o"], Waking(event="online")),
        (["h"], Waking(event="host")),
    ],
)
async def test_a_letter_a_reason_and_enter_snooze(keys, waking):
    answer = await answer_of(SnoozeAlerts(ONE, now=NOW), *keys, *"asked", "enter")
    assert answer == Snoozing(waking, "asked")


async def test_a_snooze_needs_a_reason_and_says_when_it_ends_and_what_the_clock_does():
    dialog = SnoozeAlerts(ONE, now=NOW, clock="The clock runs on: -0:11 late.")
    shown = await shown_after(dialog, "t", "enter")
    assert "Comes back 2026-11-25 08:00 UTC, in 18:00 h" in shown
    assert "Say why it may wait" in shown
    assert "The clock runs on: -0:11 late." in shown


async def test_what_cannot_bring_it_back_says_why():
    dialog = SnoozeAlerts(ONE, now=NOW, why_not={"online": "No sensor is known for it."})
    shown = await shown_after(dialog, "o")
    assert "No sensor is known for it." in shown
    dialog = SnoozeAlerts(ONE, now=NOW, why_not={"online": "No sensor is known for it."})
    shown = await shown_after(dialog, "u", *"online", "enter")
    assert "No sensor is known for it." in shown


# -- sample -------------------------------------------------------------------------------------------------

SAMPLE = [
    Member(
        7,
        "Scanner touched LSASS",
        "Acme Dental",
        "acme-dc01",
        "2026-11-24 13:51:00 UTC",
        (("command", "C:\\Temp\\mimikatz.exe"), ("parent", "cmd.exe")),
        (Differs("command", "C:\\Temp\\mimikatz.exe", "C:\\Scanner\\scan.exe --quiet"),),
    ),
    *(
        Member(
            number,
            "Scanner touched LSASS",
            f"Customer {number}",
            f"host-{number}",
            "2026-11-24 13:50:00 UTC",
            (("command", "C:\\Scanner\\scan.exe --quiet"), ("parent", "services.exe")),
        )
        for number in range(3)
    ),
]


async def test_the_sample_is_gone_through_before_closing_is_offered():
    for keys in (["enter"], ["enter"] * 2, ["enter"] * 3):
        assert await answer_of(SampleCheck(STORM, SAMPLE), *keys) is NOTHING
    assert await answer_of(SampleCheck(STORM, SAMPLE), *["enter"] * 4) == Checked()
    assert await answer_of(SampleCheck(STORM, SAMPLE), "escape") is None


async def test_the_end_brings_back_what_was_not_seen():
    dialog = SampleCheck(STORM, SAMPLE)
    assert await answer_of(dialog, *["k"] * 3, *["enter"] * 3, "k", "enter", "enter") == Checked()


async def test_one_of_the_sample_can_be_left_out():
    answer = await answer_of(SampleCheck(STORM, SAMPLE), "x", "enter", "x", "x", *["enter"] * 3)
    assert answer == Checked((7,))


async def test_what_differs_stands_beside_what_is_usual():
    shown = await shown_after(SampleCheck(STORM, SAMPLE))
    assert "1 unlike the others and 3 at random" in shown
    assert "UNLIKE THE OTHERS" in shown
    assert "mimikatz.exe" in shown
    assert "usual   C:\\Scanner\\scan.exe --quiet" in shown


# -- the others ---------------------------------------------------------------------------------------------


async def test_a_note_is_a_line_and_an_empty_one_is_none():
    assert await answer_of(WriteNote(ONE), *"asked dana", "enter") == "asked dana"
    assert await answer_of(WriteNote(ONE), "enter") is None
    assert await answer_of(WriteNote(ONE), "x", "escape") is None


async def test_a_name_is_typed_or_completed_and_an_empty_one_is_nobody():
    def dialog():
        return AssignAlerts(ONE, ["dana", "mk", HOSTILE])

    assert await answer_of(dialog(), *"lee", "enter") == "lee"
    assert await answer_of(dialog(), "m", "tab", "enter") == "mk"
    assert await answer_of(dialog(), "enter") == ""
    assert await answer_of(dialog(), "x", "escape") is None


async def test_a_pattern_is_checked_before_it_is_answered():
    def check(line):
        return "" if line == "host:web" else "No."

    assert await answer_of(MarkPattern(check, within="open"), *"host:web", "enter") == "host:web"
    assert "No." in await shown_after(MarkPattern(check, within="open"), *"x", "enter")
    assert await answer_of(MarkPattern(check, within="open"), "escape") is None


FIELDS = [Field("host", "acme-fs01"), Field("user", "svc"), Field("hash", "9f86")]


async def test_a_fold_key_is_put_together_field_by_field():
    def dialog(own=True):
        return EditFoldKey("general.lsass", FIELDS, ["hash"], ["host"], own=own)

    assert await answer_of(dialog(), "space", "enter") == FoldKeyAnswer("general.lsass", ("host", "hash"))
    assert await answer_of(dialog(), "k", "space", "enter") == FoldKeyAnswer("general.lsass", ())
    assert await answer_of(dialog(), "a", "j", "space", "enter") == FoldKeyAnswer("*", ("host", "user"))
    assert await answer_of(dialog(), "d") == FoldKeyAnswer("general.lsass", None)
    assert await answer_of(dialog(own=False), "d") is NOTHING
    assert await answer_of(dialog(), "space", "escape") is None


async def test_options_answer_by_their_letter_and_one_that_cannot_be_says_why():
    options = [Option("a", "all", also=("enter",)), Option("p", "a part", why_not="Nothing is marked.")]
    assert await answer_of(ChooseOne(Content("Undo"), options), "a") == "a"
    assert await answer_of(ChooseOne(Content("Undo"), options), "enter") == "a"
    assert await answer_of(ChooseOne(Content("Undo"), options), "escape") is None
    shown = await shown_after(ChooseOne(Content("Undo"), options), "p")
    assert shown.count("Nothing is marked.") == 2


async def test_results_show_refusals_first():
    items = [
        Item("1", "Acme Dental", "40 alerts", "closed 40"),
        Item("2", "Borealis Foods", "host-3", "refused", "mk changed it 12 s ago", bad=True),
    ]
    shown = await shown_after(Results(Content("41 alerts"), items))
    assert shown.index("refused") < shown.index("closed 40")
    assert "mk changed it 12 s ago" in await shown_after(Results(Content("41 alerts"), items), size=(120, 24))
    assert await answer_of(Results(Content("41 alerts"), items), "enter") is None


# -- pictures -----------------------------------------------------------------------------------------------


def pictured(dialog, *keys):
    app = Asking(dialog)

    async def ready(pilot):
        await until(pilot, lambda: pilot.app.screen is dialog)
        await still(pilot)
        await pilot.press(*keys)
        await still(pilot)

    return app, ready


def test_the_closing_of_one_alert(snap_compare):
    """The organization in bold; three classes by letter, benign chosen and explained; the comment being written."""
    app, ready = pictured(CloseAlerts(ONE), "b", *"pentest until friday")
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready)


def test_the_closing_of_a_storm_with_a_protected_customer(snap_compare):
    """1,400 alerts of 61 organizations, three named; below the comment the name that has to be typed."""
    storm = Subject(STORM.count, STORM.organizations, STORM.title, protected=("Customer 4", "Customer 9"))
    app, ready = pictured(CloseAlerts(storm), "f", *"vendor scan", "enter", *"Cust")
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready)


def test_the_snooze(snap_compare):
    """Letters, the time it comes back written out, the clock that runs on in yellow, the reason being typed."""
    dialog = SnoozeAlerts(ONE, now=NOW, clock="The clock runs on: 0:14 left to acknowledge.")
    app, ready = pictured(dialog, "t", *"customer asked to wait")
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready)


def test_the_sample(snap_compare):
    """The first of four, unlike the others: what differs in yellow, what is usual below it."""
    app, ready = pictured(SampleCheck(STORM, SAMPLE))
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready)


def test_the_fold_key(snap_compare):
    """Three fields with what this alert has there; hash is in, the cursor on user."""
    app, ready = pictured(EditFoldKey("general.lsass-access", FIELDS, ["hash"], ["host"], own=True), "j")
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready)


def test_the_note(snap_compare):
    """One line, over which alert it stands."""
    app, ready = pictured(WriteNote(ONE), *"asked dana on the phone")
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready)


def test_the_assignment(snap_compare):
    """Who had alerts lately, and the name being typed."""
    app, ready = pictured(AssignAlerts(ONE, ["dana", "mk"]), "m")
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready)


def test_the_pattern(snap_compare):
    """What is wrong with the line, in yellow."""
    app, ready = pictured(
        MarkPattern(lambda line: "sevv: is not a column.", within="open"), *"sevv:high", "enter"
    )
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready)


def test_the_undo_choice(snap_compare):
    """What is undone, how many, how long ago; all of it, or the marked part."""
    heading = Content("Undo: closed 1,400 alerts of 61 organizations as false positive\n3 min ago, by you")
    options = [
        Option("z", "all of it: 1,400 alerts", also=("enter",)),
        Option("p", "only a part", why_not="Nothing is marked."),
    ]
    app, ready = pictured(ChooseOne(heading, options))
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready)


RESULTS = [
    Item("r1", "Borealis Foods", "host-03", "refused", "mk changed it 12 s ago", bad=True),
    Item("r2", "Cedar Clinic", "host-11", "refused", "resolved already", bad=True),
    *(Item(str(number), f"Customer {number}", "23 alerts", "closed 23") for number in range(59)),
]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_the_results(snap_compare, size):
    """1,398 closed, 2 refused: the refused first, with who and why; then a line an organization."""
    heading = Content.styled(
        "1,398 of 1,400 alerts closed as false positive at 61 organizations, 2 refused", "bold"
    )
    app, ready = pictured(Results(heading, RESULTS))
    assert snap_compare(app, terminal_size=size, run_before=ready)


def test_the_closing_without_colour(snap_compare, monkeypatch):
    """Nothing depends on colour: the chosen class is reversed, the missing comment is said."""
    monkeypatch.setenv("NO_COLOR", "1")
    app, ready = pictured(CloseAlerts(STORM), "f", "enter")
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready)
