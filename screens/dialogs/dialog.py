"""The frame of a dialog, and what a decision over alerts is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from screens.widgets.text import line

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
    held: tuple[tuple[str, int], ...] = ()
    """Who else has how many of them."""

    @property
    def words(self) -> str:
        """`1,400 alerts of 61 organizations`; of one alert `1 alert`. Our own words."""
        alerts = f"{self.count:,} alert{'' if self.count == 1 else 's'}"
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


class Dialog(ModalScreen[Answer], Generic[Answer]):
    """A framed question: a heading, a body, and the keys that answer it in the last line."""

    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    Dialog { align: center middle; background: transparent; }
    Dialog > Vertical {
        width: 78; max-width: 100%; height: auto; max-height: 100%; border: solid $foreground;
        padding: 0 1; background: $background;
    }
    Dialog Static { height: auto; width: 1fr; }
    Dialog Input { width: 1fr; background: $background; }
    Dialog .dialog-field { height: auto; margin-top: 1; layout: horizontal; }
    Dialog .dialog-label { width: 9; }
    Dialog #dialog-keys { text-style: bold; margin-top: 1; }
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
        return bool(self.query("#dialog-keys")) or action == "leave"

    def compose(self) -> ComposeResult:
        """The frame."""
        with Vertical():
            yield Static(self.heading(), id="dialog-heading", markup=False)
            yield from self.compose_body()
            yield Static(self.keys(), id="dialog-keys", markup=False)

    def heading(self) -> Content:
        """The first lines: what happens to what."""
        raise NotImplementedError

    def compose_body(self) -> Sequence[Widget] | ComposeResult:
        """What stands between."""
        return ()

    def keys(self) -> Content:
        """The last line."""
        return Content("enter yes   esc leave it")

    def refresh_words(self) -> None:
        """Write heading and keys anew."""
        if self.is_mounted:
            self.query_one("#dialog-heading", Static).update(self.heading())
            self.query_one("#dialog-keys", Static).update(self.keys())

    def action_leave(self) -> None:
        """Answer nothing."""
        self.dismiss(None)


def asked(does: str, subject: Subject) -> Content:
    """`Close 1,400 alerts of 61 organizations` over who they are; `does` is our own word."""
    lines = [Content.styled(f"{does} {subject.words}", "bold"), subject.named(), subject.described()]
    return Content("\n").join(each for each in lines if each.plain)
