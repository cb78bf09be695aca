"""What an analyst types for an item of a hand-over: what they think, what comes next, what is in the way."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.dialogs.dialog import TABS, Dialog
from screens.widgets.text import line
from store.handover import LONGEST, Item

FIELDS: tuple[tuple[str, str], ...] = (
    ("hypothesis", "think"),
    ("next_step", "next"),
    ("blocker", "blocker"),
)
"""(text, label)"""


class WriteItem(Dialog["dict[str, str] | None"]):
    """Answers the texts; None when the operator went back."""

    AUTO_FOCUS = "#hypothesis"
    BINDINGS: ClassVar[list[BindingType]] = [*TABS]

    def __init__(self, found: Item) -> None:
        super().__init__()
        self._found = found

    def heading(self) -> Content:
        """Which item."""
        found = self._found
        return Content("\n").join(
            [
                line((found.organization, "bold"), "   ", (found.title, "bold"), "   ", (found.host, "")),
                Content("What you think it is, what should be done next, what is in the way."),
            ]
        )

    def compose_body(self) -> ComposeResult:
        """Three lines; what was done is from the record."""
        for name, label in FIELDS:
            text = str(getattr(self._found, name))
            with Container(classes="dialog-field"):
                yield Static(label, classes="dialog-label", markup=False)
                yield Input(
                    text if text.isprintable() else "",
                    id=name,
                    compact=True,
                    select_on_focus=False,
                    max_length=LONGEST,
                )

    def keys(self) -> Content:
        """The way on."""
        return Content("enter keep it   tab next line   esc leave it")

    @on(Input.Submitted)
    def _written(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss({name: self.query_one(f"#{name}", Input).value.strip() for name, _ in FIELDS})
