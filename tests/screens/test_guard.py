"""What somebody forgot to make safe is caught on its last steps to the terminal."""

import time

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.color import Color
from textual.containers import VerticalScroll
from textual.widgets import Static

from screens.guard import Guard, forbidden
from screens.widgets.text import block, content, line, segment, shown
from tests.corpus.benign import BENIGN
from tests.corpus.strings import CORPUS, everything, mixes

BLACK = Color(0, 0, 0)


def through(guard: Guard, text: str, style: Style | None = None) -> Segment:
    (made,) = guard.apply([Segment(text, style)], BLACK)
    return made


@pytest.mark.parametrize(
    "category", ["csi", "esc", "osc", "dcs-apc", "c1", "c0", "report", "bidi", "surrogate"]
)
def test_every_active_string_is_forbidden_and_comes_out_clean(category: str):
    for text in CORPUS[category]:
        guard = Guard()
        assert forbidden(text), ascii(text)
        made = through(guard, text)
        assert not forbidden(made.text), ascii(text)
        assert cell_len(made.text) == cell_len(text), ascii(text)
        assert guard.hits == 1


def test_mixes_come_out_clean_in_the_same_width():
    for text in mixes(seed=3, count=2000):
        made = through(Guard(), text)
        assert not forbidden(made.text), ascii(text)
        assert cell_len(made.text) == cell_len(text), ascii(text)


def test_honest_text_and_our_own_drawing_pass_untouched():
    guard = Guard()
    for text in [*BENIGN, "\u2500\u2502\u250c\u258f\u2588", "\u2800\u28ff\u2840", " " * 80, ""]:
        segments = [Segment(text, Style(bold=True))]
        assert guard.apply(segments, BLACK) is segments
    assert guard.hits == 0


def test_a_mark_may_begin_a_segment_because_a_style_may_begin_there():
    assert not forbidden("\u0301x")
    assert forbidden("\u0301\u0301\u0301\u0301\u0301x")


def test_actions_and_links_are_taken_out_of_styles_and_the_rest_is_kept():
    guard = Guard()
    style = Style(color="red", bold=True, link="http://evil.test/", meta={"@click": "app.quit", "row": 3})
    made = through(guard, "invoice.pdf", style)
    assert made.text == "invoice.pdf"
    assert made.style is not None
    assert made.style.link is None
    assert made.style.meta == {"row": 3}
    assert made.style.bold
    assert made.style.color == style.color
    assert guard.hits == 1


@pytest.mark.parametrize(
    "meta", [{"@click": "grab"}, {"@mouse.down": "app.quit"}, {"@mouse.down": "grab", "@click": "x"}]
)
def test_only_textuals_own_scroll_bar_may_act(meta: dict[str, str]):
    guard = Guard()
    assert through(guard, " ", Style(meta=meta)).style.meta == {}
    assert guard.hits == 1
    assert through(guard, " ", Style(meta={"@mouse.down": "grab"})).style.meta == {"@mouse.down": "grab"}
    assert guard.hits == 1
    assert through(guard, "grab me", Style(meta={"@mouse.down": "grab"})).style.meta == {}
    assert guard.hits == 2


def test_an_at_sign_in_harmless_metadata_is_no_action():
    guard = Guard()
    assert (
        through(guard, "x", Style(meta={"option": "dana@provider.example"})).style.meta["option"]
        == "dana@provider.example"
    )
    assert guard.hits == 0


def test_a_control_segment_is_shown_as_text_or_not_at_all():
    guard = Guard()
    (made,) = guard.apply([Segment("\x1b[2J", None, [(1,)])], BLACK)
    assert made.control is None
    assert not forbidden(made.text)
    assert guard.hits == 1


def test_samples_name_the_first_offenders_in_ascii():
    guard = Guard()
    for number in range(20):
        through(guard, f"{number}\x1b\u202e")
    assert guard.hits == 20
    assert len(guard.samples) == 8
    assert guard.samples[0] == r"'0\x1b\u202e'"


def test_what_the_helpers_make_gives_the_guard_nothing_to_do():
    guard = Guard()
    for text in everything():
        for made in (
            shown(text).plain,
            content(text).plain,
            line(text, (text, "bold")).plain,
            segment(text, 30).text,
        ):
            assert not forbidden(made), ascii(text)
        for each in block(text).plain.split("\n"):
            assert not forbidden(each), ascii(text)
        assert guard.apply([segment(text, 12)], BLACK)[0].style is None
    assert guard.hits == 0


def test_helpers_keep_exact_widths_and_underline_what_is_notation():
    assert shown("acme", 6).plain == "acme  "
    assert content("Encoded PowerShell", 8).plain == "Encoded~"
    assert segment("9", 3, align="right").text == "  9"
    spans = content("a\x1bb", style="bold").spans
    assert ("underline", 1, 5) in {(str(span.style), span.start, span.end) for span in spans}
    assert [(span.start, span.end) for span in shown("\\x1b\x1b").spans] == [(4, 8)]
    assert line("a", ("[b]", "bold"), content("c")).plain == "a[b]c"


async def test_a_scroll_bar_still_scrolls_under_the_guard():
    class Scrolling(App[None]):
        guard = Guard()

        def get_line_filters(self):
            return [*super().get_line_filters(), self.guard]

        def compose(self) -> ComposeResult:
            with VerticalScroll():
                yield Static("\n".join(str(number) for number in range(200)), markup=False)

    app = Scrolling()
    async with app.run_test(size=(40, 12)) as pilot:
        scroll = app.query_one(VerticalScroll)
        await pilot.click(offset=(39, 11))
        await pilot.pause()
        assert scroll.scroll_target_y > 0
    assert app.guard.hits == 0


def test_a_clean_frame_costs_little():
    # Against a walk over the same segments, so that a slow machine does not fail.
    guard = Guard()
    style = Style(color="red", meta={"row": 1, "column": 2})
    frame = [[Segment("some text of a cell ", style) for _ in range(6)] for _ in range(60)]

    def best(work) -> float:
        times = []
        for _ in range(15):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return min(times)

    def walked() -> None:
        for segments in frame:
            [(segment.text.isascii(), segment.style.link, segment.cell_length) for segment in segments]

    assert best(lambda: [guard.apply(segments, BLACK) for segments in frame]) < 4 * best(walked)
