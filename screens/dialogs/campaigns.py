"""Incidents over several customers: the list, and one of them with its customers and its notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.context import SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.dialogs.dialog import Dialog
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import block, line
from store.campaigns import Campaign as Row
from store.campaigns import Member, Whole
from store.times import age


class Campaigns(Dialog[int | None]):
    """Answers the number of the chosen one; None when the operator went back."""

    AUTO_FOCUS = "RowTable"
    WIDEST = 118
    DEFAULT_CSS = """
    Campaigns > Vertical { height: 80%; max-height: 30; }
    Campaigns.-low > Vertical { height: 100%; }
    Campaigns RowTable { height: 1fr; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "open", "open", id="campaigns.open", tooltip="Its customers, and what was written down"
        ),
        Binding("q", "leave", "close", id="campaigns.close", tooltip="Close"),
    ]

    def __init__(self, found: Sequence[Row], context: Context) -> None:
        super().__init__()
        self._found = found
        self._shared = context

    def heading(self) -> Content:
        """How many go on."""
        going = sum(1 for each in self._found if each.closed_at is None)
        lines = [
            Content.styled(f"Campaigns   {going:,} going on, {len(self._found) - going:,} closed", "bold")
        ]
        if not self._found:
            lines.append(Content("None yet: mark alerts of several customers, or stand on a storm, and"))
            lines.append(Content(":campaign makes one of them."))
        return Content("\n").join(lines)

    def compose_body(self) -> ComposeResult:
        """A line each."""
        clock = self._shared.clock
        table: RowTable[Row] = RowTable(
            [
                Column("TITLE", lambda row: row.title, 20, grow=3),
                Column("CUSTOMERS", lambda row: f"{row.organizations:,}", 9, align="right"),
                Column("ALERTS", lambda row: f"{row.alerts:,}", 7, align="right"),
                Column("OPEN", lambda row: f"{row.open:,}", 7, align="right"),
                Column("BY", lambda row: row.by, 8),
                Column("AGE", lambda row: age(row.made_at, clock()), 4, align="right"),
                Column("STATE", lambda row: "going on" if row.closed_at is None else "closed", 8),
            ],
            cursor=self._shared.glyphs.cursor,
        )
        table.put(Listed(self._found, key=lambda row: row.id))
        yield table

    def keys(self) -> Content:
        """Two ways."""
        return Content("enter open   q close")

    def action_open(self) -> None:
        """Answer which."""
        row = self.query_one(RowTable).current
        if row is not None:
            self.dismiss(row.id)


@dataclass(frozen=True)
class CampaignAnswer:
    """What is to be done with a campaign."""

    deed: Literal["note", "customer", "close", "alerts"]
    oid: str = ""
    """The customer under the cursor."""


class Campaign(Dialog[CampaignAnswer | None]):
    """Answers what is to be done; None when the operator went back."""

    AUTO_FOCUS = "RowTable"
    WIDEST = 118
    DEFAULT_CSS = """
    Campaign > Vertical { height: 90%; max-height: 36; }
    Campaign RowTable { height: 1fr; margin-top: 1; }
    Campaign #campaign-notes { height: 1fr; border-top: solid $foreground 30%; scrollbar-size: 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "do('note')", "note", id="campaign.note", tooltip="Write something down for us"),
        Binding(
            "t", "do('customer')", "text", id="campaign.text", tooltip="A text for the customer of the cursor"
        ),
        Binding("a,enter", "do('alerts')", "alerts", id="campaign.alerts", tooltip="The customer's alerts"),
        Binding("x", "do('close')", "close", id="campaign.end", tooltip="End the campaign, after asking"),
        Binding("q", "leave", "back", id="campaign.close", tooltip="Back"),
        Binding(
            "J", "scroll_notes(1)", "down", show=False, id="campaign.down", tooltip="Scroll the notes down"
        ),
        Binding("K", "scroll_notes(-1)", "up", show=False, id="campaign.up", tooltip="Scroll the notes up"),
    ]

    def __init__(self, found: Whole, context: Context, *, said: str = "") -> None:
        """`said` is what came of the last deed: it may hold strangers' text."""
        super().__init__()
        self._found = found
        self._shared = context
        self._said = said

    def heading(self) -> Content:
        """Its title, for us."""
        row = self._found.campaign
        state = "going on" if row.closed_at is None else f"closed by {row.closed_by}"
        lines = [
            line((row.title, "bold"), Content("   "), (state, "")),
            line(
                f"{row.alerts:,} alerts of {row.organizations:,} customers, {row.open:,} open, by ",
                (row.by, ""),
            ),
        ]
        if row.conclusion:
            lines.append(line(("conclusion  ", "dim"), (row.conclusion, "")))
        return Content("\n").join(lines)

    def compose_body(self) -> ComposeResult:
        """Its customers; what was written down."""
        clock = self._shared.clock
        glyphs = self._shared.glyphs
        table: RowTable[Member] = RowTable(
            [
                Column("CUSTOMER", lambda row: row.organization, 20, grow=2, cut="middle"),
                Column(
                    "WORST",
                    lambda row: f"{glyphs.severity[row.severity]} {SEVERITY_WORDS[row.severity]}",
                    7,
                    style=lambda row: SEVERITY_STYLES[row.severity],
                ),
                Column("ALERTS", lambda row: f"{row.alerts:,}", 7, align="right"),
                Column("OPEN", lambda row: f"{row.open:,}", 7, align="right"),
                Column("FIRST", lambda row: age(row.first, clock()), 5, align="right"),
                Column("LAST", lambda row: age(row.last, clock()), 5, align="right"),
            ],
            cursor=glyphs.cursor,
        )
        table.put(Listed(self._found.members, key=lambda row: row.oid))
        yield table
        with VerticalScroll(id="campaign-notes", can_focus=False):
            yield Static(self._notes(), markup=False)

    def _notes(self) -> Content:
        if not self._found.notes:
            return Content("Nothing was written down yet.")
        now = self._shared.clock()
        parts: list[Content] = []
        for note in self._found.notes:
            whom = (
                line(("for ", "dim"), (note.organization, "bold"))
                if note.oid
                else Content.styled("for us", "dim")
            )
            parts.append(line(whom, (f"   {note.by}, {age(note.at, now)} ago", "dim")))
            parts.append(block(note.text))
        return Content("\n").join(parts)

    def keys(self) -> Content:
        """What may be done, and what came of the last deed."""
        way = Content("n note for us   t text for the customer   a alerts   x close   q back")
        if not self._said:
            return way
        return Content("\n").join([line((self._said, "bold")), way])

    def action_do(self, deed: Literal["note", "customer", "close", "alerts"]) -> None:
        """Answer it, unless it cannot be."""
        row = self.query_one(RowTable).current
        if deed != "alerts" and not self._shared.writable:
            self._said = "This console is read-only."
        elif deed != "alerts" and self._found.campaign.closed_at is not None:
            self._said = "It is closed."
        elif deed in ("customer", "alerts") and row is None:
            self._said = "No customer is under the cursor."
        else:
            self.dismiss(CampaignAnswer(deed, "" if row is None else row.oid))
            return
        self.refresh_words()

    def action_scroll_notes(self, step: int) -> None:
        """Scroll what was written down."""
        self.query_one("#campaign-notes").scroll_relative(y=3 * step, animate=False)
