"""Saved queues: how much came to each since one looked; opened, kept and deleted from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from screens.context import HEALTH_STYLES, Context
from screens.dialogs.dialog import Dialog
from screens.keys import press
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import line
from store.queues import SavedQueue
from store.times import age


@dataclass(frozen=True)
class QueueAnswer:
    """What is to be done, and with which queue."""

    deed: Literal["open", "keep", "delete"]
    name: str = ""


class Queues(Dialog[QueueAnswer | None]):
    """Answers what is to be done; None when the operator went back."""

    AUTO_FOCUS = "RowTable"
    WIDEST = 118
    DEFAULT_CSS = """
    Queues > Vertical { height: 80%; max-height: 30; }
    Queues.-low > Vertical { height: 100%; }
    Queues RowTable { height: 1fr; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "do('open')", "open", id="queues.open", tooltip="Show it; what comes later is new"),
        Binding(
            "s", "do('keep')", "keep", id="queues.keep", tooltip="Keep the filter of the queue under a name"
        ),
        Binding("x", "do('delete')", "delete", id="queues.delete", tooltip="Forget this queue, after asking"),
        Binding("q", "leave", "close", id="queues.close", tooltip="Close"),
    ]

    def __init__(self, found: Sequence[SavedQueue], context: Context, *, line_now: str = "") -> None:
        """`line_now` is the filter in force in the queue, which `s` keeps."""
        super().__init__()
        self._found = found
        self._shared = context
        self._line = line_now
        self._trouble = ""

    def heading(self) -> Content:
        """What s would keep."""
        lines = [Content.styled("Saved queues", "bold")]
        if not self._found:
            filters = press("view.filter", "/")
            lines.append(
                Content(f"None yet. Filter the queue with {filters}, then s here keeps it under a name.")
            )
        lines.append(line(("the queue now: ", "dim"), (self._line or "every open alert", "")))
        return Content("\n").join(lines)

    def compose_body(self) -> ComposeResult:
        """A line each."""
        clock = self._shared.clock
        table: RowTable[SavedQueue] = RowTable(
            [
                Column("NAME", lambda row: row.name, 16, grow=1),
                Column("NEW", lambda row: "?" if row.wrong else row.count, 6, align="right",
                       style=lambda row: "bold" if row.unread else ""),
                Column("FILTER", lambda row: row.wrong or row.line or "every open alert", 20, grow=3,
                       style=lambda row: HEALTH_STYLES["failed"] if row.wrong else ""),
                Column("BY", lambda row: row.by, 8, from_width=70),
                Column("LOOKED", lambda row: age(row.looked_at, clock()), 6, align="right"),
            ],
            cursor=self._shared.glyphs.cursor,
        )  # fmt: skip
        table.put(Listed(self._found, key=lambda row: row.name))
        yield table

    def keys(self) -> Content:
        """What may be done."""
        way = Content("enter open   s keep the filter   x delete   q close")
        if not self._trouble:
            return way
        return Content("\n").join([Content.styled(self._trouble, "bold ansi_yellow"), way])

    def action_do(self, deed: Literal["open", "keep", "delete"]) -> None:
        """Answer it, unless it cannot be."""
        row = self.query_one(RowTable).current
        if deed in ("keep", "delete") and not self._shared.writable:
            self._trouble = "This console is read-only."
        elif deed != "keep" and row is None:
            self._trouble = "No queue is under the cursor."
        else:
            self.dismiss(QueueAnswer(deed, "" if deed == "keep" or row is None else str(row.name)))
            return
        self.refresh_words()
