"""A note on alerts: one line that stays with them."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.dialogs.dialog import Dialog, Subject, asked
from store.text import safe_text


class WriteNote(Dialog[str | None]):
    """Answers what was written; None when nothing was."""

    AUTO_FOCUS = "Input"

    def __init__(self, subject: Subject, *, note: str = "") -> None:
        """`note` is written beforehand."""
        super().__init__()
        self._subject = subject
        self._note = safe_text(note, 2_000)

    def heading(self) -> Content:
        """On which alerts."""
        return asked("Note on", self._subject)

    def compose_body(self) -> ComposeResult:
        """The line."""
        with Container(classes="dialog-field"):
            yield Static("note", classes="dialog-label", markup=False)
            yield Input(self._note, compact=True, select_on_focus=False)

    def keys(self) -> Content:
        """It is ours alone."""
        return Content("enter keep the note   esc leave it")

    @on(Input.Submitted)
    def _written(self, event: Input.Submitted) -> None:
        event.stop()
        if text := event.value.strip():
            self.dismiss(text)
        else:
            self.dismiss(None)
