"""What a search would cost, of whom, before anything runs."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from screens.context import HEALTH_STYLES, Context
from screens.dialogs.dialog import Dialog
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import content, line
from store.lcql import Estimate, Quote, money


class SearchCost(Dialog[bool | None]):
    """Answers whether it is to run. No is what happens by accident."""

    AUTO_FOCUS = "RowTable"
    WIDEST = 118
    DEFAULT_CSS = """
    SearchCost > Vertical { height: 80%; max-height: 30; }
    SearchCost.-low > Vertical { height: 100%; }
    SearchCost RowTable { height: 1fr; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "run", "run it", id="cost.yes", tooltip="Run it"),
        Binding("n,q,enter", "leave", "no", id="cost.no", tooltip="Run nothing"),
    ]

    def __init__(self, estimate: Estimate, context: Context) -> None:
        super().__init__()
        self._estimate = estimate
        self._shared = context

    def heading(self) -> Content:
        """The question, and its price."""
        asked, failed = self._estimate.question, len(self._estimate.failed)
        window = f"{self._shared.when(asked.start * 1000)} to {self._shared.when(asked.end * 1000)}"
        lines = [
            content(asked.query, style="bold"),
            line((asked.scope, ""), f"   {asked.stream}   {window}"),
            line((f"Costs {self._estimate.words()}", "bold")),
        ]
        if failed:
            lines.append(
                Content.styled(f"{failed:,} cannot be asked: they are named below", HEALTH_STYLES["failed"])
            )
        return Content("\n").join(lines)

    def compose_body(self) -> ComposeResult:
        """Each organization with its price, those that cannot be asked first, then the dearest."""
        quotes = sorted(
            self._estimate.quotes, key=lambda quote: (not quote.error, -(quote.price or 0.0), quote.name)
        )
        table: RowTable[Quote] = RowTable(
            [
                Column("ORGANIZATION", lambda quote: quote.name or quote.oid, 22, grow=1, cut="middle"),
                Column("EVENTS", lambda quote: _events(quote), 11, align="right"),
                Column(
                    "PRICE",
                    lambda quote: quote.error or money(quote.price, quote.currency),
                    18,
                    grow=2,
                    style=lambda quote: HEALTH_STYLES["failed"] if quote.error else "",
                ),
            ],
            cursor=self._shared.glyphs.cursor,
        )
        table.put(Listed(quotes, key=lambda quote: quote.oid))
        yield table

    def keys(self) -> Content:
        """Two answers."""
        return Content("y run it   n leave it   j k look through them")

    def action_run(self) -> None:
        """Yes."""
        self.dismiss(True)


def _events(quote: Quote) -> str:
    return "" if quote.events is None else f"{quote.events:,}"
