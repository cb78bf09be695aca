"""The frame of a dialog, what each does in a small terminal, and what a decision over alerts is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.actions import parse
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from screens.view import SMALLEST, too_small
from screens.widgets.text import line
from store.access import counted

Answer = TypeVar("Answer")

TABS: tuple[Binding, ...] = (
    Binding(
        "tab", "app.focus_next", "next", show=False, priority=True, id="dialog.next", tooltip="The next line"
    ),
    Binding(
        "shift+tab", "app.focus_previous", "previous", show=False, priority=True, id="dialog.previous",
        tooltip="The line before",
    ),
)  # fmt: skip
"""For a dialog of several lines. With priority: over a slow link a word, tab and the next word come in one
piece, and the next word must not go into the line before."""

NAMES_SHOWN = 3
"""Organizations that are named before the rest is only counted."""


@dataclass(frozen=True)
class Subject:
    """What a decision is about. All texts but the counts are strangers'."""

    count: int
    """Alerts."""
    organizations: tuple[str, ...] = ()
    """Names, the one with the most alerts first."""
    title: str = ""
    """What they are: a category, or the first one of several."""
    titles: int = 1
    """How many different categories there are."""
    host: str = ""
    """Of a single alert."""
    protected: tuple[str, ...] = ()
    """Names of those organizations whose name has to be typed."""
    protected_ids: tuple[str, ...] = ()
    """Their oids, in the same order: an id does as well as a name."""
    protected_alerts: int = 0
    """How many of the alerts are theirs."""
    held: tuple[tuple[str, int], ...] = ()
    """Who else has how many of them."""

    def without_protected(self) -> Subject:
        """What is left without the organizations whose name has to be typed."""
        names = list(self.organizations)
        for name in self.protected:
            if name in names:
                names.remove(name)
        return replace(
            self, count=self.count - self.protected_alerts, organizations=tuple(names), protected=(),
            protected_ids=(), protected_alerts=0,
        )  # fmt: skip

    @property
    def words(self) -> str:
        """`1,400 alerts of 61 organizations`; of one alert `1 alert`. Our own words."""
        alerts = counted(self.count, "alert")
        several = len(self.organizations)
        return alerts if several < 2 else f"{alerts} of {several:,} organizations"

    def named(self, style: str = "bold") -> Content:
        """The organizations: `Acme Dental, Borealis Foods, Cedar Clinic and 58 more`."""
        parts: list[str | Content | tuple[str, str]] = []
        for number, name in enumerate(self.organizations[:NAMES_SHOWN]):
            if number:
                parts.append(Content(", "))
            parts.append((name, style))
        left = len(self.organizations) - NAMES_SHOWN
        if left > 0:
            parts.append(Content(f" +{left:,} more"))
        return line(*parts)

    def described(self) -> Content:
        """What they are, in one line."""
        parts: list[str | Content | tuple[str, str]] = [(self.title, "")]
        if self.titles > 1:
            parts.append(Content(f" and {self.titles - 1:,} other rule{'' if self.titles == 2 else 's'}"))
        if self.host:
            parts += [Content("   "), (self.host, "dim")]
        return line(*parts)


BESIDE = 4
"""Columns that a dialog leaves on each side, or it takes the whole width: less of what stands beneath
would look like a part of it."""

LOW = 20
"""Lines below which a dialog does without empty ones and takes the whole height."""


def taken(columns: int, widest: int) -> int:
    """Columns that a dialog takes of a terminal: as many as it may, or all there are."""
    return columns if columns < widest + 2 * BESIDE else widest


class Modal(ModalScreen[Answer], Generic[Answer]):
    """What has the keys until it is answered. A terminal too small for it gets a sentence, and nothing but
    the way out works; what was typed and the focus are there again when it is larger."""

    DEFAULT_CSS = """
    Modal > #modal-small { display: none; width: 100%; height: 100%; background: $background; }
    Modal.-small > * { display: none; }
    Modal.-small > #modal-small { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "ctrl+down,shift+down,pagedown", "scroll_content(1)", "down", show=False, id="dialog.scroll_down",
            tooltip="What is below, where not all of it fits",
        ),
        Binding(
            "ctrl+up,shift+up,pageup", "scroll_content(-1)", "up", show=False, id="dialog.scroll_up",
            tooltip="What is above, where not all of it fits",
        ),
    ]  # fmt: skip

    _kept: Widget | None = None
    """What had the focus before the terminal became too small."""

    @property
    def small(self) -> bool:
        """Whether it is not seen now."""
        return self.has_class("-small")

    def on_resize(self, event: events.Resize) -> None:
        """Say that it is too small, or show it again as it was."""
        width, height = event.size
        small = width < SMALLEST[0] or height < SMALLEST[1]
        self.set_class(height < LOW, "-low")
        if small:
            words = "\n".join(too_small(width, height, leaves="esc", also="", frame=0))
            if found := self.query("#modal-small"):
                found.only_one(Static).update(words)
            else:
                self.mount(Static(words, id="modal-small", markup=False))
        if small and not self.small:
            self._kept = self.focused
            self.set_focus(None)
        self.set_class(small, "-small")
        if not small:
            self.call_after_refresh(self._shown_again)

    def _shown_again(self) -> None:
        kept, self._kept = self._kept, None
        if self.small:
            self._kept = kept
        elif kept is not None and kept.is_mounted and self.focused is None:
            self.set_focus(kept)
        if self.focused is not None:
            self.focused.scroll_visible(animate=False)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Nothing is typed into what is not seen; it has the focus when it is."""
        if self.small:
            self._kept = event.widget
            self.set_focus(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is not seen is not answered: only what esc does works."""
        if not self.small:
            return super().check_action(action, parameters)
        ways = self._bindings.key_to_bindings.get("escape", [])
        return any(parse(way.action)[1:] == (action, parameters) for way in ways)

    def action_scroll_content(self, pages: int) -> None:
        """What there is no room for."""
        for body in self.query(Body):
            body.scroll_relative(y=pages * max(1, body.size.height - 1), animate=False, immediate=True)


class Body(VerticalScroll):
    """What a dialog holds above its last lines: as high as it is, or as these leave room for. The frame
    around it says when there is more than is seen."""

    DEFAULT_CSS = """
    Body { height: auto; scrollbar-size-vertical: 1; overflow-x: hidden; }
    """

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Its lines; where there are more than its container has beside the others, so many as that."""
        lines = super().get_content_height(container, viewport, width)
        for other in self.parent.displayed_children if isinstance(self.parent, Widget) else ():
            if other is not self:
                around = other.gutter + other.styles.margin
                # At the width that they have: a short text beside longer keys is narrower than these.
                beside = max(0, container.width - around.width)
                below = other.get_content_height(container, viewport, beside)
                lines = min(lines, max(0, container.height - below - around.height))
        return lines

    def watch_show_vertical_scrollbar(self, more: bool) -> None:
        """Say so."""
        if isinstance(self.parent, Widget):
            self.parent.border_subtitle = "ctrl+down more" if more else ""


class Dialog(Modal[Answer], Generic[Answer]):
    """A framed question: a heading, a body, and the keys that answer it in the last line.

    Heading and body scroll where there is no room for them; the last lines always stand.
    """

    AUTO_FOCUS = ""
    WIDEST: ClassVar[int] = 78
    """Columns that it takes where there are so many."""
    DEFAULT_CSS = """
    Dialog { align: center middle; background: transparent; }
    Dialog > Vertical {
        height: auto; max-height: 100%; border: solid $foreground; padding: 0 1; background: $background;
    }
    Dialog #dialog-foot { height: auto; margin-top: 1; }
    Dialog #dialog-said { max-height: 40vh; }
    Dialog Static { height: auto; width: 1fr; }
    Dialog Input { width: 1fr; background: $background; }
    Dialog RowTable { min-height: 4; }
    Dialog .dialog-field { height: auto; margin-top: 1; layout: horizontal; }
    Dialog .dialog-label { width: 9; }
    Dialog #dialog-keys { text-style: bold; }
    Dialog.-low #dialog-foot, Dialog.-low .dialog-field, Dialog.-low RowTable { margin-top: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "leave", "leave it", id="dialog.leave", tooltip="Leave everything as it is"),
    ]

    _over = False

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Answer once: a key held down would take away what stands beneath as well."""
        if self._over:
            return AwaitComplete()
        self._over = True
        return super().dismiss(result)

    def on_key(self, event: events.Key) -> None:
        """A key that comes after the answer is not for the screen beneath either."""
        if self._over:
            event.stop()
            event.prevent_default()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that are here before the dialog is do nothing."""
        if not self.query("#dialog-keys") and action != "leave":
            return False
        return super().check_action(action, parameters)

    def compose(self) -> ComposeResult:
        """The frame."""
        said, way = self._foot()
        with Vertical(id="dialog-frame"):
            with Body(id="dialog-content", can_focus=False):
                yield Static(self.heading(), id="dialog-heading", markup=False)
                yield from self.compose_body()
            with Vertical(id="dialog-foot"):
                yield (trouble := Static(said, id="dialog-said", markup=False))
                trouble.display = bool(said)
                yield Static(way, id="dialog-keys", markup=False)

    def _foot(self) -> tuple[Content, Content]:
        """What `keys` says: what is to be seen first, and its last line."""
        *said, way = self.keys().split("\n", allow_blank=True)
        return Content("\n").join(said), way

    def on_resize(self, event: events.Resize) -> None:
        """As wide as it may be, or as wide as the terminal."""
        frame = self.query_one("#dialog-frame")
        frame.styles.width = taken(event.size.width, self.WIDEST)
        if frame.styles.height is not None and not frame.styles.height.is_auto:
            self.query_one(Body).styles.height = "1fr"

    @property
    def room(self) -> int:
        """Columns for a line of its text, beside a scrollbar."""
        return taken(self.size.width or 80, self.WIDEST) - 5

    def heading(self) -> Content:
        """The first lines: what happens to what."""
        raise NotImplementedError

    def compose_body(self) -> Sequence[Widget] | ComposeResult:
        """What stands between."""
        return ()

    def keys(self) -> Content:
        """The last line; what stands before it in lines of its own is what came of something, or is wrong."""
        return Content("enter yes   esc leave it")

    def refresh_words(self) -> None:
        """Write heading and keys anew."""
        if self.is_mounted:
            said, way = self._foot()
            self.query_one("#dialog-heading", Static).update(self.heading())
            trouble = self.query_one("#dialog-said", Static)
            trouble.update(said)
            trouble.display = bool(said)
            self.query_one("#dialog-keys", Static).update(way)

    def action_leave(self) -> None:
        """Answer nothing."""
        self.dismiss(None)


def asked(does: str, subject: Subject) -> Content:
    """`Close 1,400 alerts of 61 organizations` over who they are; `does` is our own word."""
    lines = [Content.styled(f"{does} {subject.words}", "bold"), subject.named(), subject.described()]
    return Content("\n").join(each for each in lines if each.plain)
