"""The alert queue of a scope: what needs an analyst now, worst and newest first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.timer import Timer

from screens.context import SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.dialogs.alert_json import AlertJson
from screens.requests import ShowAccess, ShowOrganization
from screens.view import View
from screens.widgets.alert_detail import AlertPane
from screens.widgets.row_table import Anchor, Column, RowTable, Window, read_window
from store.alerts import AlertFilter, parse_filter
from store.database import Reader
from store.queries import alert_context, alerts
from store.queries.alert_context import Whole
from store.queries.alerts import AlertRow, Count
from store.times import age

REST = 0.15
"""Seconds the cursor has to rest before the detail is read: nothing of it is painted while a key repeats."""

STATE_WORDS: tuple[str, ...] = ("new", "in progress", "resolved", "closed")
_SHORT_STATES: tuple[str, ...] = ("new", "prog", "res", "clsd")

AGES_EVERY = 30
"""Seconds between two looks at the ages on the screen."""


class AlertPages:
    """The queue, page by page, straight from the store."""

    def __init__(self, reader: Reader, wanted: AlertFilter) -> None:
        self._reader = reader
        self._wanted = wanted
        plain = AlertFilter(severity=wanted.severity, statuses=wanted.statuses, oid=wanted.oid)
        self.slow = wanted != plain

    def identity(self, row: AlertRow) -> int:
        """Its number in the store."""
        return row.id

    def first(self, limit: int) -> list[AlertRow]:
        """The worst and newest."""
        with self._reader.reading() as connection:
            return alerts.page(connection, self._wanted, limit=limit)

    def last(self, limit: int) -> list[AlertRow]:
        """The mildest and oldest."""
        with self._reader.reading() as connection:
            return alerts.last_page(connection, self._wanted, limit=limit)

    def after(self, row: AlertRow, limit: int) -> list[AlertRow]:
        """Behind this one."""
        with self._reader.reading() as connection:
            return alerts.page(connection, self._wanted, after=row.key, limit=limit)

    def before(self, row: AlertRow, limit: int) -> list[AlertRow]:
        """Ahead of this one."""
        with self._reader.reading() as connection:
            return alerts.page(connection, self._wanted, before=row.key, limit=limit)

    def starting(self, row: AlertRow, limit: int) -> list[AlertRow]:
        """From this one on."""
        with self._reader.reading() as connection:
            return alerts.page(connection, self._wanted, starting=row.key, limit=limit)


@dataclass(frozen=True)
class Found:
    """What one reading of the queue brings."""

    source: AlertPages
    window: Window[AlertRow]
    matching: Count
    total: Count
    """Open alerts of the scope, whatever the filter."""


class Alerts(View[Found]):
    """The queue over the scope, with the alert under the cursor beside or below it."""

    MODE = "alerts"
    TITLE = "Alerts"
    CSS_PATH = "alerts.tcss"
    AUTO_FOCUS = "#queue"
    READS = frozenset({"detection", "detection_count", "organization", "node"})
    EMPTY = "No open alert in this scope. status:any shows closed ones too."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "detail", "detail", id="alerts.detail", tooltip="Show or hide the alert under the cursor"
        ),
        Binding(
            "ctrl+e",
            "further(1)",
            "further",
            show=False,
            id="alerts.further",
            tooltip="The next lines of the detail",
        ),
        Binding(
            "ctrl+y",
            "further(-1)",
            "back",
            show=False,
            id="alerts.nearer",
            tooltip="The lines of the detail before",
        ),
        Binding("J", "json", "JSON", id="alerts.json", tooltip="The detection as it was received"),
        Binding("o", "organization", "organization", id="alerts.organization", tooltip="Its organization"),
        Binding("m", "access", "access", id="alerts.access", tooltip="Who may do what on its organization"),
    ]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._anchor: Anchor[AlertRow] | None = None
        self._page = 64
        self._to_top = True
        self._rest: Timer | None = None

    # -- the frame's questions --------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """The queue, and the pane."""
        with Container(id="split"):
            yield RowTable(self._columns(), cursor=self.context.glyphs.cursor, id="queue")
            yield AlertPane(self.context)

    @property
    def queue(self) -> RowTable[AlertRow]:
        """The table."""
        return self.query_one("#queue", RowTable)

    @property
    def pane(self) -> AlertPane:
        """The detail."""
        return self.query_one(AlertPane)

    def _columns(self) -> list[Column[AlertRow]]:
        glyphs, clock = self.context.glyphs, self.context.clock
        severities = [f"{sign} {word}" for sign, word in zip(glyphs.severity, SEVERITY_WORDS, strict=True)]
        return [
            Column(
                "SEV",
                lambda row: severities[row.severity],
                7,
                style=lambda row: SEVERITY_STYLES[row.severity],
            ),
            Column("AGE", lambda row: age(row.time, clock()), 4, align="right"),
            Column("ORGANIZATION", lambda row: row.organization, 14, grow=1),
            Column("RULE", lambda row: ("(damaged) " if row.damaged else "") + row.cat, 20, grow=5),
            Column("HOST", lambda row: row.hostname, 12, grow=1, from_width=64, cut="middle"),
            Column("STAT", lambda row: _SHORT_STATES[row.status], 4, from_width=70),
            Column("WHO", lambda row: row.assignee, 8, grow=1, from_width=92),
        ]

    def prepare(self) -> None:
        """Note where the cursor is."""
        self._anchor = None if self._to_top else self.queue.where()
        self._page = self.queue.page_size

    def read(self, connection: Connection) -> Found:
        """A few pages around the cursor, and how many there are."""
        scope = self.context.scope.node_id
        wanted = parse_filter(self.filter_line, scope=scope, now=self.context.clock())
        source = AlertPages(self.context.reader, wanted)
        window = read_window(source, self._anchor, self._page)
        matching = alerts.count(connection, wanted)
        total = alerts.count(connection, AlertFilter(scope=scope)) if self.filter_line else matching
        return Found(source, window, matching, total)

    def has_nothing(self, found: Found) -> bool:
        """Whether no alert matches."""
        return not found.window.rows

    def empty_text(self) -> str:
        """Why the queue is empty, and what to do."""
        if self.filter_line:
            return f"No alert matches {self.filter_line}. esc shows all open ones."
        return super().empty_text()

    def show(self, found: Found) -> None:
        """The rows, the counts, and the detail of what is under the cursor."""
        top, self._to_top = self._to_top, False
        self.queue.put(found.source, found.window, top=top)
        self._say(found)
        if self.pane.display:
            self._detail_soon()

    def show_empty(self, found: Found) -> None:
        """Keep no row of before."""
        self._to_top = True
        self.queue.put(found.source, found.window, top=True)
        self._say(found)

    def _say(self, found: Found) -> None:
        self.say(
            filter=f"/{self.filter_line}" if self.filter_line else "open",
            counts=f"{_counted(found.matching)} of {_counted(found.total)} open"
            if self.filter_line
            else f"{_counted(found.matching)} open",
        )

    def apply_filter(self, line: str) -> None:
        """Any column: see `store.alerts.parse_filter`."""
        parse_filter(line, scope=self.context.scope.node_id, now=self.context.clock())
        self._to_top = True

    def close_inner(self) -> bool:
        """The detail, then the filter."""
        if self.pane.display:
            self.action_detail()
            return True
        if self.filter_line:
            self.filter_by("")
            return True
        return False

    def why_not(self, action: str) -> str:
        """What needs an alert cannot work without one."""
        if action in ("detail", "json", "organization", "access") and self.queue.current is None:
            return "No alert is under the cursor."
        return ""

    def on_mount(self) -> None:
        """Ages go on without the store's doing."""
        self.pane.display = False
        self.set_interval(AGES_EVERY, self._tick)

    def _tick(self) -> None:
        if self.is_current:
            self.queue.tick()

    # -- the detail -------------------------------------------------------------------------------------

    @on(RowTable.Moved, "#queue")
    def _moved(self, event: RowTable.Moved) -> None:
        event.stop()
        if self.pane.display:
            self._detail_soon()

    def _detail_soon(self) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST, self._read_detail)

    @work(exclusive=True, group="detail", exit_on_error=False)
    async def _read_detail(self) -> None:
        row = self.queue.current
        if row is None:
            self.pane.show(None)
            return
        found = await asyncio.to_thread(self._detail_of, row)
        current = self.queue.current
        if current is not None and current.id == row.id and self.pane.display:
            self.pane.show(found)

    def _detail_of(self, row: AlertRow) -> Whole | None:
        with self.context.reader.reading() as connection:
            return alert_context.whole(connection, row.id)

    def action_further(self, by: int) -> None:
        """The next lines of the pane, or the ones before."""
        self.pane.turn(by)

    def action_detail(self) -> None:
        """Show or hide the pane."""
        pane = self.pane
        pane.display = not pane.display
        if pane.display:
            self.queue.hold()
            self._read_detail()

    # -- going elsewhere --------------------------------------------------------------------------------

    @work(exclusive=True, group="json", exit_on_error=False)
    async def action_json(self) -> None:
        """The detection as it was received, over the whole screen."""
        row = self.queue.current
        if row is None:
            return
        found = await asyncio.to_thread(self._detail_of, row)
        if found is None:
            self.tell("This alert is no longer in the store.", "warning")
        elif self.is_current:
            self.app.push_screen(AlertJson(found.detail))

    def action_organization(self) -> None:
        """Its organization in the tree."""
        if (row := self.queue.current) is not None:
            self.post_message(ShowOrganization(row.oid))

    def action_access(self) -> None:
        """Who may do what there."""
        if (row := self.queue.current) is not None:
            self.post_message(ShowAccess(row.oid))

    def on_resize(self, event: events.Resize) -> None:
        """Another width, another text."""
        if self.pane.display:
            self._detail_soon()


def _counted(count: Count) -> str:
    return f"{count.value:,}" if count.exact else f"{count.value:,}+"
