"""One line to be typed: a reason, a name, a title, a text for somebody."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.dialogs.dialog import Dialog
from screens.widgets.text import content, line


class WriteLine(Dialog[str | None]):
    """Answers what was typed; None when the operator went back."""

    AUTO_FOCUS = "Input"

    def __init__(
        self,
        heading: Content,
        label: str,
        *,
        does: str = "keep it",
        text: str = "",
        check: Callable[[str], str] | None = None,
        instead: str = "",
    ) -> None:
        """Ask for it.

        Args:
            heading: safe already, made by `screens.widgets.text`.
            label: our own word, at most eight letters.
            does: our own words for what enter does.
            text: written beforehand.
            check: why what was typed cannot be taken, in a sentence (which may hold strangers' text); "" when
                it can. Empty text is never taken.
        """
        super().__init__()
        self._heading = heading
        self._label = label
        self._does = does
        self._text = text
        self._check = check
        self._instead = instead
        self._trouble = ""

    def heading(self) -> Content:
        """What it is about."""
        return self._heading

    def compose_body(self) -> ComposeResult:
        """The line."""
        with Container(classes="dialog-field"):
            yield Static(self._label, classes="dialog-label", markup=False)
            yield Input(
                self._text if self._text.isprintable() else "",
                compact=True,
                select_on_focus=False,
                max_length=8_000,
            )

    def keys(self) -> Content:
        """The way on, or what is wrong."""
        way = Content(f"enter {self._does}   esc leave it")
        if self._instead:
            way = line(
                (f"enter {self._does}   enter alone: ", ""), (self._instead, ""), ("   esc leave it", "")
            )
        if not self._trouble:
            return way
        return Content("\n").join([content(self._trouble, style="bold ansi_yellow"), way])

    @on(Input.Submitted)
    def _written(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip() or self._instead
        self._trouble = (
            "There is nothing in it yet." if not text else self._check(text) if self._check else ""
        )
        if self._trouble:
            self.refresh_words()
        else:
            self.dismiss(text)
