"""Choose a value of an alert, to see every alert that speaks of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from screens.dialogs.dialog import Dialog
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import line
from store.text import safe_text


@dataclass(frozen=True, slots=True)
class ValueChoice:
    """A value to choose from. Both texts but the kind hold what strangers wrote."""

    kind: str
    """Of `store.observables.KINDS`."""
    value: str
    seen: str
    """Where else it was seen, and what was decided about it."""
    briefly: str = ""
    """The same for its line; "" when that is as brief."""


class ChooseValue(Dialog[ValueChoice | None]):
    """Answers the chosen value; None when the operator went back. Copying one answers nothing."""

    AUTO_FOCUS = "#values"
    WIDEST = 140
    DEFAULT_CSS = """
    ChooseValue RowTable { margin-top: 1; max-height: 55vh; }
    ChooseValue #value-whole { margin-top: 1; height: 3; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,p", "choose", "pivot", id="value.choose", tooltip="Every alert that has it"),
        Binding("y", "copy", "copy", id="value.copy", tooltip="Copy the value, and stay here"),
        Binding("q", "leave", "leave it", id="value.leave", tooltip="Leave everything as it is"),
    ]

    def __init__(
        self,
        title: str,
        organization: str,
        choices: Sequence[ValueChoice],
        *,
        copy: Callable[[str], Awaitable[None]],
        cursor: str = ">",
    ) -> None:
        """Offer `choices`, at least one.

        Args:
            title: what the alert is: a stranger's text; `organization` likewise.
            copy: puts a value on the clipboard, and says what became of that.
            cursor: the sign before the line with the cursor.
        """
        super().__init__()
        self._title = title
        self._organization = organization
        self._choices = list(choices)
        self._copy = copy
        self._table: RowTable[ValueChoice] = RowTable(
            [
                Column("KIND", lambda choice: choice.kind, 7),
                Column("VALUE", lambda choice: choice.value, 22, grow=3, cut="middle"),
                Column("SEEN AT", lambda choice: choice.briefly or choice.seen, 35, from_width=60),
            ],
            cursor=cursor,
            id="values",
        )

    def heading(self) -> Content:
        """Whose values."""
        return Content("\n").join(
            [
                Content.styled("Every alert that speaks of ...", "bold"),
                line((self._title, ""), Content("   "), (self._organization, "dim")),
            ]
        )

    def compose_body(self) -> Sequence[Widget]:
        """The values, and the one under the cursor whole."""
        self._table.styles.height = min(len(self._choices), 12) + 1
        return [self._table, Static("", id="value-whole", markup=False)]

    def keys(self) -> Content:
        """What can be done with it."""
        return Content("enter pivot   y copy   esc leave it      :pivot VALUE for any other")

    def on_mount(self) -> None:
        """Fill the list."""
        self._table.put(Listed(self._choices, key=lambda choice: (choice.kind, choice.value)))
        self._show(self._table.current)

    @on(RowTable.Moved)
    def _moved(self, event: RowTable.Moved) -> None:
        event.stop()
        self._show(event.row)

    def _show(self, choice: ValueChoice | None) -> None:
        whole = self.query_one("#value-whole", Static)
        if choice is None:
            whole.update(Content(""))
            return
        room = max(20, (self.size.width or 80) * 2 - 20)
        whole.update(
            Content("\n").join(
                [Content(safe_text(choice.value, room)), Content.styled(safe_text(choice.seen, 300), "dim")]
            )
        )

    def action_choose(self) -> None:
        """Answer the one under the cursor."""
        if (choice := self._table.current) is not None:
            self.dismiss(choice)

    def action_copy(self) -> None:
        """Copy the one under the cursor; the next key is for this dialog still."""
        if (choice := self._table.current) is not None:
            self._copying(choice.value)

    @work(group="copy", exit_on_error=False)
    async def _copying(self, value: str) -> None:
        await self._copy(value)
