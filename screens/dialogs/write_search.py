"""A question to the past of every organization of a scope: LCQL, and over which time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.dialogs.dialog import TABS, Dialog
from screens.widgets.text import content, line
from store.lcql import MOST, STREAMS
from store.times import parse_duration

FIELDS: tuple[tuple[str, str, str], ...] = (
    ("query", "query", "plat == windows | NEW_PROCESS | event/COMMAND_LINE contains 'x'"),
    ("since", "since", "how far back: 30m, 24h, 7d"),
    ("until", "until", "it ends so long ago; empty is now"),
    ("stream", "stream", "event, detection or audit"),
    ("most", "rows", "kept of each organization"),
)
"""(id, label, what stands there while it is empty)"""


@dataclass(frozen=True)
class SearchWanted:
    """What was typed."""

    query: str
    since: int
    """Seconds ago that it begins; `until` likewise that it ends."""
    until: int = 0
    stream: str = "event"
    most: int = MOST
    words: tuple[str, str] = ("24h", "")
    """`since` and `until` as they were written."""


class WriteSearch(Dialog[SearchWanted | None]):
    """Answers the question; None when the operator went back."""

    AUTO_FOCUS = "#query"
    BINDINGS: ClassVar[list[BindingType]] = [*TABS]

    def __init__(
        self,
        scope: str,
        organizations: int,
        *,
        query: str = "",
        since: str = "24h",
        until: str = "",
        stream: str = "event",
        most: int = MOST,
        trouble: str = "",
    ) -> None:
        """`scope` and `trouble` (what was wrong with the query) are strangers' texts; the rest is written
        beforehand."""
        super().__init__()
        self._scope = scope
        self._organizations = organizations
        self._before = {
            "query": query, "since": since, "until": until, "stream": stream, "most": str(most),
        }  # fmt: skip
        self._trouble = trouble

    def heading(self) -> Content:
        """Where it is put."""
        count = f"{self._organizations:,} organization{'' if self._organizations == 1 else 's'}"
        return line(Content.styled("Search (LCQL)  ", "bold"), (self._scope, "bold"), Content(f"   {count}"))

    def compose_body(self) -> ComposeResult:
        """The lines."""
        for id_, label, hint in FIELDS:
            with Container(classes="dialog-field"):
                yield Static(label, classes="dialog-label", markup=False)
                yield Input(
                    self._before[id_],
                    id=id_,
                    placeholder=hint,
                    compact=True,
                    select_on_focus=False,
                    max_length=20_000 if id_ == "query" else 40,
                )

    def keys(self) -> Content:
        """The way on, or what is wrong."""
        way = Content("enter say what it costs   tab next line   esc leave it")
        if not self._trouble:
            return way
        return Content("\n").join([content(self._trouble, style="bold ansi_yellow"), way])

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            wanted = self._read()
        except ValueError as error:
            self._trouble = str(error)
            self.refresh_words()
        else:
            self.dismiss(wanted)

    def _read(self) -> SearchWanted:
        text = {id_: self.query_one(f"#{id_}", Input).value.strip() for id_, _, _ in FIELDS}
        if not text["query"]:
            raise ValueError("There is nothing to search for yet.")
        seconds = {}
        for id_ in ("since", "until"):
            try:
                seconds[id_] = parse_duration(text[id_]) if text[id_] else 0
            except ValueError as error:
                raise ValueError(f"{id_}: {error}") from None
        if seconds["until"] >= seconds["since"]:
            raise ValueError("It has to begin longer ago than it ends.")
        if text["stream"] not in STREAMS:
            raise ValueError(f"stream: use {', '.join(STREAMS)}.")
        if not (text["most"].isascii() and text["most"].isdigit() and 0 < int(text["most"]) <= 100_000):
            raise ValueError("rows: use a number from 1 to 100,000.")
        return SearchWanted(
            text["query"], seconds["since"], seconds["until"], text["stream"], int(text["most"]),
            (text["since"], text["until"]),
        )  # fmt: skip
