"""What became of a decision over many alerts: how many, where, and each refused one, with who and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from screens.dialogs.dialog import Dialog
from screens.keys import press
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import line

SHOWN = 2_000
"""Lines held; a bulk decision over ten thousand is counted per organization, not listed one by one."""


@dataclass(frozen=True)
class Item:
    """One line. All texts but `became` are strangers'."""

    key: str
    organization: str
    what: str
    became: str
    """`closed 40`, `refused`: our own words."""
    why: str = ""
    bad: bool = False


class Results(Dialog[None]):
    """Refused ones first; closed by enter, q or esc."""

    AUTO_FOCUS = "#results"
    WIDEST = 120
    DEFAULT_CSS = """
    Results > Vertical { height: 80%; max-height: 30; }
    Results #results-why { max-height: 6; margin-top: 1; }
    Results.-low #results-why { margin-top: 0; }
    Results.-low > Vertical { height: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,q", "leave", "close", id="results.close", tooltip="Back to the queue"),
    ]

    def __init__(
        self,
        heading: Content,
        items: Sequence[Item],
        *,
        can_undo: bool = True,
        kind: str = "ALERT",
        where: str = "ORGANIZATION",
        short: bool = False,
    ) -> None:
        """Show them.

        Args:
            heading: safe already.
            can_undo: whether a key of the queue takes it back.
            kind, where: our own words for `what` and `organization`.
            short: both are short words, so that the room is for the reason.
        """
        super().__init__()
        self._heading = heading
        self._items = sorted(items, key=lambda item: not item.bad)[:SHOWN]
        self._can_undo = can_undo
        self._kind = kind
        self._where = where
        self._short = short

    def heading(self) -> Content:
        """The sum of it."""
        return self._heading

    def compose_body(self) -> ComposeResult:
        """A line for each, and the whole reason of the one under the cursor."""
        short = self._short
        grow = 0 if short else 1
        yield RowTable(
            [
                Column(
                    "RESULT",
                    lambda item: item.became,
                    6 if short else 12,
                    style=lambda item: "bold ansi_yellow" if item.bad else "",
                ),
                Column(self._where, lambda item: item.organization, 10 if short else 16, grow, cut="middle"),
                Column(self._kind, lambda item: item.what, 17 if short else 16, grow, cut="middle"),
                Column("WHY", lambda item: item.why, 18, grow=2),
            ],
            id="results",
        )
        yield Static("", id="results-why", markup=False)

    def keys(self) -> Content:
        """The way back, and the way to take it back."""
        return Content(
            "j k move   enter close"
            + (f"   then {press('alerts.undo', 'z')} in the queue undoes it" if self._can_undo else "")
        )

    def on_mount(self) -> None:
        """Fill it."""
        self.query_one("#results", RowTable).put(Listed(self._items, key=lambda item: item.key))
        self._tell_why()

    @on(RowTable.Moved)
    def _moved(self, event: RowTable.Moved) -> None:
        event.stop()
        self._tell_why()

    def _tell_why(self) -> None:
        item = self.query_one("#results", RowTable).current
        pane = self.query_one("#results-why", Static)
        pane.display = item is not None and bool(item.why)
        if item is not None:
            pane.update(line((f"{item.what}: " if item.what else "", "bold"), item.why))
