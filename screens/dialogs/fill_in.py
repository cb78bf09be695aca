"""A few lines to fill in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.dialogs.dialog import TABS, Dialog
from screens.widgets.text import block
from store.text import safe_text

Values = tuple[str, ...]
"""What stands in the fields, in their order."""


@dataclass(frozen=True)
class Field:
    """One line."""

    label: str
    """Our own word, at most eight letters."""
    value: str = ""
    """What stands there at first; may be a stranger's text."""
    hint: str = ""
    """Shown while it is empty: our own words."""
    needed: bool = False
    """It cannot stay empty: the cursor goes there when it is and something is wrong."""
    visited: bool = False
    """What stands there is to be seen before it is taken: enter goes there first, and takes it there."""


def nothing(_values: Values) -> str:
    """No objection."""
    return ""


class FillIn(Dialog[Values | None]):
    """Answers what was filled in, once nothing is wrong with it; None when the operator went back."""

    AUTO_FOCUS = "#field-0"
    BINDINGS: ClassVar[list[BindingType]] = [*TABS]

    def __init__(
        self,
        heading: Content,
        fields: Sequence[Field],
        *,
        does: str,
        wrong: Callable[[Values], str] = nothing,
        doubtful: Callable[[Values], str] = nothing,
    ) -> None:
        """Ask.

        Args:
            heading: what it is about, safe already.
            does: what enter does, our own words: `add the note`.
            wrong: a sentence when what was filled in cannot be taken; "" when it can.
            doubtful: a sentence to think about, which may hold strangers' text; a second enter takes it
                all the same.
        """
        super().__init__()
        self._heading = heading
        self._fields = tuple(fields)
        self._does = does
        self._wrong = wrong
        self._doubtful = doubtful
        self._trouble = ""
        self._warned: Values | None = None
        self._unseen = {f"field-{number}" for number, field in enumerate(fields) if field.visited}

    def heading(self) -> Content:
        """What it is about."""
        return self._heading

    def compose_body(self) -> ComposeResult:
        """The lines."""
        for number, field in enumerate(self._fields):
            with Container(classes="dialog-field"):
                yield Static(field.label, classes="dialog-label", markup=False)
                # A field shows its value as it is.
                yield Input(
                    safe_text(field.value, 8_192),
                    id=f"field-{number}",
                    compact=True,
                    select_on_focus=False,
                    placeholder=field.hint,
                )

    def keys(self) -> Content:
        """The way on, and what speaks against it."""
        more = "   tab next line" if len(self._fields) > 1 else ""
        again = "enter again: " if self._warned is not None else "enter "
        does = "next line" if self._unseen else self._does
        way = Content(f"{again}{does}{'' if self._unseen else more}   esc leave it")
        if not self._trouble:
            return way
        return Content("\n").join([block(self._trouble, 2_000, "bold ansi_yellow"), way])

    def on_mount(self) -> None:
        """The cursor behind what stands there."""
        for field in self.query(Input):
            field.cursor_position = len(field.value)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Where the cursor was is seen."""
        if not self.small and event.widget.id in self._unseen:
            self._unseen.remove(event.widget.id)
            self.refresh_words()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        values = tuple(
            self.query_one(f"#field-{number}", Input).value.strip() for number in range(len(self._fields))
        )
        self._trouble = self._wrong(values)
        if self._trouble:
            self._warned = None
            for number, (field, value) in enumerate(zip(self._fields, values, strict=True)):
                if field.needed and not value:
                    self.query_one(f"#field-{number}", Input).focus()
                    break
        elif self._unseen:
            self.query_one(f"#{min(self._unseen)}", Input).focus()
        elif self._warned == values or not (doubt := self._doubtful(values)):
            self.dismiss(values)
            return
        else:
            self._trouble, self._warned = doubt, values
        self.refresh_words()
