"""A view with a table and a pane that tells of the line under its cursor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events, on
from textual.content import Content
from textual.widgets import Static

from screens.view import Found, View
from screens.widgets.row_table import RowTable
from screens.widgets.text import hanging


class Detailed(View[Found]):
    """Says the detail again once the cursor has come to rest, from its first line on."""

    PANE: ClassVar[str]
    """Selects the pane, which scrolls; what is said is in the one Static within it."""

    def detail(self) -> None:
        """Say what is known of the line under the cursor: `say_detail`. Before anything was read, nothing."""
        raise NotImplementedError

    def say_detail(self, lines: Iterable[Content], width: int | None = None, indent: int = 5) -> None:
        """Put lines into the pane, wrapped to so many cells; as they are when None.

        Args:
            indent: cells by which what follows a line's first part stands below it.
        """
        if width is not None:
            lines = [part for each in lines for part in hanging(each, width, indent)]
        self.query_one(f"{self.PANE} Static", Static).update(Content("\n").join(lines))

    @on(RowTable.Moved)
    def _moved(self, event: RowTable.Moved) -> None:
        event.stop()
        self.at_rest(self.rested)

    def on_resize(self, event: events.Resize) -> None:
        """The detail is wrapped to its width."""
        super().on_resize(event)
        if self.look == "full":
            self.detail()

    def rested(self) -> None:
        """The cursor stands on another line."""
        self.query_one(self.PANE).scroll_home(animate=False)
        self.detail()
        self.keys_changed()

    def action_scroll_detail(self, lines: int) -> None:
        """Scroll the detail."""
        self.query_one(self.PANE).scroll_relative(y=lines, animate=False)
