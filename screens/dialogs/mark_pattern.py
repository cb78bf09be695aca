"""Mark by pattern: a filter line whose matches get marked."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.dialogs.dialog import Dialog
from screens.widgets.text import content
from store.text import safe_text


class MarkPattern(Dialog[str | None]):
    """Answers a line that `check` accepts; None when the operator went back."""

    AUTO_FOCUS = "Input"

    def __init__(self, check: Callable[[str], str], *, within: str, pattern: str = "") -> None:
        """Ask for a pattern.

        Args:
            check: answers why a line means nothing; "" when it means something.
            within: what is shown now, which the marks stay within; a stranger's text.
            pattern: written beforehand.
        """
        super().__init__()
        self._check = check
        self._within = within
        self._pattern = safe_text(pattern, 500)

    def heading(self) -> Content:
        """Within what."""
        return Content("\n").join(
            [
                Content.styled("Mark what matches, as in a filter: host:web, sev:high, words", "bold"),
                content(self._within),
            ]
        )

    def compose_body(self) -> ComposeResult:
        """The line, and what is wrong with it."""
        with Container(classes="dialog-field"):
            yield Static("pattern", classes="dialog-label", markup=False)
            yield Input(self._pattern, compact=True, select_on_focus=False)
        yield Static("", id="mark-trouble", markup=False)

    def keys(self) -> Content:
        """Marking changes nothing."""
        return Content("enter mark   esc leave it")

    @on(Input.Submitted)
    def _given(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        trouble = self._check(text) if text else "Type what is to be marked."
        if trouble:
            self.query_one("#mark-trouble", Static).update(content(trouble, style="bold ansi_yellow"))
        else:
            self.dismiss(text)
