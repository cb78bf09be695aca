"""Give alerts to somebody: a name that is typed, or taken from those who work here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.dialogs.dialog import Dialog, Subject, asked
from screens.widgets.text import content, line
from store.text import safe_text

OFFERED = 12
"""Names that are offered."""


class AssignAlerts(Dialog[str | None]):
    """Answers a name, "" for nobody; None when the operator went back."""

    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "complete", id="assign.complete", tooltip="The name that begins so"),
    ]

    def __init__(
        self, subject: Subject, names: Sequence[str], *, doubt: Callable[[str], str] = lambda _name: ""
    ) -> None:
        """Ask for a name.

        Args:
            names: of those who had alerts lately: strangers' texts.
            doubt: why a name may be a slip, in a sentence that may hold strangers' text; "" when it is known.
                A second enter takes it all the same.
        """
        super().__init__()
        self._subject = subject
        self._doubt = doubt
        self._doubted = ""
        self._trouble = ""
        self._names = [safe_text(name, 60) for name in names[:OFFERED]]

    def heading(self) -> Content:
        """Which alerts, and who there is."""
        offered = line(Content("Lately here: "), *_joined(self._names)) if self._names else Content()
        return Content("\n").join([asked("Give", self._subject), Content(), offered])

    def compose_body(self) -> ComposeResult:
        """The name."""
        with Container(classes="dialog-field"):
            yield Static("to", classes="dialog-label", markup=False)
            yield Input("", compact=True, select_on_focus=False)

    def keys(self) -> Content:
        """An empty name is nobody; one that nobody has is asked about once."""
        if self._trouble:
            way = Content("enter again: give it all the same   esc leave it")
            return Content("\n").join([content(self._trouble, style="bold ansi_yellow"), way])
        return Content("enter give (empty: to nobody)   tab complete   esc leave it")

    def action_complete(self) -> None:
        """The first name that begins with what is typed."""
        field = self.query_one(Input)
        typed = field.value.strip().casefold()
        for name in self._names:
            if name.casefold().startswith(typed):
                field.value = name
                field.cursor_position = len(name)
                return

    @on(Input.Submitted)
    def _named(self, event: Input.Submitted) -> None:
        event.stop()
        name = event.value.strip()
        self._trouble = "" if name == self._doubted else self._doubt(name)
        self._doubted = name
        if self._trouble:
            self.refresh_words()
        else:
            self.dismiss(name)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value.strip() != self._doubted and self._trouble:
            self._trouble = ""
            self.refresh_words()


def _joined(names: Sequence[str]) -> list[Content | tuple[str, str]]:
    parts: list[Content | tuple[str, str]] = []
    for number, name in enumerate(names):
        if number:
            parts.append(Content(", "))
        parts.append((name, "bold"))
    return parts
