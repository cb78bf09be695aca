"""What cannot be taken back easily happens after a name was typed, never on one key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.dialogs.dialog import TABS, Dialog
from screens.widgets.text import line
from store.typednames import accepted


@dataclass(frozen=True)
class Name:
    """One name that has to be typed."""

    label: str
    """`host`, `customer`: our own word, at most eight letters."""
    accepted: tuple[str, ...]
    """Any of these does: a stranger's texts, as shown or as they are."""
    id: str = ""
    """What does as well and any keyboard has, an oid, a sensor's id; it is shown."""

    @classmethod
    def of(cls, label: str, name: str, id: str) -> Name:  # noqa: A002
        """Of something that has a name and an id."""
        return cls(label, accepted(name, id), id)


@dataclass(frozen=True)
class Typed:
    """What was typed."""

    names: tuple[str, ...]
    """In the order in which they were asked for."""
    reason: str


class TypeName(Dialog[Typed | None]):
    """Answers what was typed, once every name is right; None when the operator went back."""

    AUTO_FOCUS = "#typed-0"
    BINDINGS: ClassVar[list[BindingType]] = [*TABS]

    def __init__(self, heading: Content, names: Sequence[Name], *, does: str) -> None:
        """`heading` is safe already; `does` is our own word for what happens: `cut it off`."""
        super().__init__()
        self._heading = heading
        self._names = names
        self._does = does
        self._trouble = ""

    def heading(self) -> Content:
        """What happens to what."""
        return self._heading

    def compose_body(self) -> ComposeResult:
        """A line for each name, and one for the reason."""
        for number, name in enumerate(self._names):
            with Container(classes="dialog-field"):
                yield Static(name.label, classes="dialog-label", markup=False)
                yield Input(id=f"typed-{number}", compact=True, select_on_focus=False)
            if name.id:
                yield Static(line((f"{'':9}or its id: ", "dim"), (name.id, "")), markup=False)
        with Container(classes="dialog-field"):
            yield Static("reason", classes="dialog-label", markup=False)
            yield Input(id="reason", compact=True, select_on_focus=False, max_length=500)

    def keys(self) -> Content:
        """The way on, or what is missing."""
        way = Content(
            f"type the name{'s' if len(self._names) > 1 else ''}, enter {self._does}   esc leave it"
        )
        if not self._trouble:
            return way
        return Content("\n").join([Content.styled(self._trouble, "bold ansi_yellow"), way])

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._trouble:
            self._trouble = ""
            self.refresh_words()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        names: list[str] = []
        for number, name in enumerate(self._names):
            field = self.query_one(f"#typed-{number}", Input)
            word = field.value.strip()
            if not word or word not in {each.strip() for each in name.accepted}:
                # What is empty was not reached yet; what is wrong is said.
                if word or event.input is not field:
                    also = (
                        f"neither the {name.label}'s name nor its id"
                        if name.id
                        else f"not the {name.label}'s name"
                    )
                    self._trouble = f"That is {also}: it is typed exactly as it stands above."
                    self.refresh_words()
                field.focus()
                return
            names.append(word)
        self.dismiss(Typed(tuple(names), self.query_one("#reason", Input).value.strip()))
