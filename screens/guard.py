"""The last look at every line before it reaches the terminal.

No Textual widget cleans what it is given: ESC, C1 controls, links and actions hidden in markup pass through
nearly all of them. Screens make text safe where it becomes a widget's; the guard catches the place where
somebody forgot. A hit is a defect of ours, so hits are counted, and the console says so when it is left.

    class Console(App):
        def get_line_filters(self):
            return [*super().get_line_filters(), self.guard]
"""

from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

from store.text import safe_parts, safe_text

# What Textual puts into the cells of its own scroll bars (scrollbar.py), which hold only their glyphs.
_SCROLL_BAR = frozenset({"grab", "scroll_up", "scroll_down"})
_BAR_GLYPHS = frozenset(
    " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2589\u258a\u258b\u258c\u258d\u258e\u258f"
)

_EMPTY_PLOT = "\u2800"  # the blank of braille plots, which are drawn by us


def forbidden(text: str) -> bool:
    """Whether a terminal must not be sent this text: it holds what `store.text.safe_text` shows as notation.

    A combining mark may come first, because a style can begin between a letter and its mark.
    """
    if text.isascii():
        return not text.isprintable()
    based = "x" + text.replace(_EMPTY_PLOT, " ")
    return safe_text(based, len(based) * 10) != based


_forbidden = lru_cache(4096)(forbidden)


class Guard(LineFilter):
    """Puts `?` for what must not reach a terminal; drops links and actions from styles; keeps the width."""

    def __init__(self) -> None:
        super().__init__()
        self.hits = 0
        """How many segments had to be cleaned; 0 when every screen made its text safe."""
        self.samples: list[str] = []
        """The first few of them in ASCII, for a bug report."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments where they are clean, cleaned ones where not."""
        for text, style, control in segments:
            if (
                control
                or (style is not None and _active(style, text))
                or (_forbidden(text) if not text.isascii() else not text.isprintable())
            ):
                return [self._clean(segment) for segment in segments]
        return segments

    def _clean(self, segment: Segment) -> Segment:
        text, style, control = segment
        bad_text = _forbidden(text)
        bad_style = style is not None and _active(style, text)
        if not (bad_text or bad_style or control):
            return segment
        self.hits += 1
        if len(self.samples) < 8:
            self.samples.append(ascii(text[:200]))
        return Segment(_cleaned(text) if bad_text else text, _inert(style) if bad_style and style else style)


def _active(style: Style, text: str) -> bool:
    """Whether a style carries an OSC 8 link or an action such as `@click`."""
    # `Style.meta` unpickles on every read; the pickle holds an "@" where a key begins with one.
    return style.link is not None or (
        style._meta is not None and b"@" in style._meta and _has_action(style.meta, text)
    )


def _has_action(meta: dict[str, object], text: str) -> bool:
    actions = {str(key): value for key, value in meta.items() if str(key).startswith("@")}
    if not actions:
        return False
    of_scroll_bar = actions.keys() == {"@mouse.down"} and actions["@mouse.down"] in _SCROLL_BAR
    return not (of_scroll_bar and _BAR_GLYPHS.issuperset(text))


def _inert(style: Style) -> Style:
    kept = {key: value for key, value in style.meta.items() if not str(key).startswith("@")}
    bare = style.clear_meta_and_links()
    return bare + Style.from_meta(kept) if kept else bare


def _cleaned(text: str) -> str:
    runs = safe_parts("x" + text.replace(_EMPTY_PLOT, " "), len(text) * 10 + 10)
    plain = "".join("?" * run.count("\\") if notation else run for run, notation in runs)[1:]
    return set_cell_size(plain, cell_len(text))
