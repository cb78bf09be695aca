"""What was done to who may do what: group logs and audit logs in one stream, newest first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES, Context
from screens.detailed import Detailed
from screens.keys import press
from screens.requests import ShowAccess, ShowOrganization
from screens.widgets.row_table import Anchor, Column, RowTable, Window, read_window
from screens.widgets.text import line
from store.database import Reader
from store.permissions import is_privileged
from store.queries import timeline
from store.queries.timeline import COUNTED, Sources, Wanted, parse_filter
from store.timeline import KINDS, Event, given, words
from store.times import age

AGES_EVERY = 30
"""Seconds between two looks at the ages on the screen."""

WIDE = 60
"""Cells of the pane where it stands beside the stream (its border is one more, `timeline.tcss`)."""
BESIDE = 150
"""Columns from which on it does: what was done takes more cells than most lists."""
INDENT = 11
"""Cells before what a line of the pane says."""

_SHORT = {"permission": "perm", "organization": "org"}

_LOGS = {"group": "the group's log", "audit": "the organization's audit log"}


class Pages:
    """The stream, page by page, straight from the store."""

    slow = True

    def __init__(self, reader: Reader, wanted: Wanted) -> None:
        self._reader = reader
        self._wanted = wanted

    def identity(self, row: Event) -> int:
        """Its number."""
        return row.id

    def first(self, limit: int) -> list[Event]:
        """The newest."""
        with self._reader.reading() as connection:
            return timeline.events(connection, self._wanted, limit=limit)

    def last(self, limit: int) -> list[Event]:
        """The oldest."""
        with self._reader.reading() as connection:
            return timeline.last_page(connection, self._wanted, limit=limit)

    def after(self, row: Event, limit: int) -> list[Event]:
        """Older than this one."""
        with self._reader.reading() as connection:
            return timeline.events(connection, self._wanted, after=(row.time, row.id), limit=limit)

    def before(self, row: Event, limit: int) -> list[Event]:
        """Newer than this one."""
        with self._reader.reading() as connection:
            return timeline.events(connection, self._wanted, before=(row.time, row.id), limit=limit)

    def starting(self, row: Event, limit: int) -> list[Event]:
        """From this one on."""
        with self._reader.reading() as connection:
            return timeline.events(connection, self._wanted, starting=(row.time, row.id), limit=limit)


@dataclass(frozen=True, slots=True)
class Found:
    """What one reading brings."""

    source: Pages
    window: Window[Event]
    matching: int
    sources: Sources


class Timeline(Detailed[Found]):
    """The stream over the scope, with the event under the cursor beside or below it."""

    MODE = "timeline"
    PANE = "#event"
    TITLE = "Timeline"
    CSS_PATH = "timeline.tcss"
    AUTO_FOCUS = "RowTable"
    READS = frozenset(
        {"access_event", "organization", "organization_group", "group_organization", "node", "sync_state"}
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "p", "person", "this person", id="timeline.person",
            tooltip="Only what was done to this person or key; again everything",
        ),
        Binding(
            "a", "actor", "this actor", id="timeline.actor",
            tooltip="Only what this one did; again everything",
        ),
        Binding(
            "u", "group", "this group", id="timeline.group",
            tooltip="Only what was done to this group; again everything",
        ),
        Binding(
            "right_square_bracket", "kind(1)", "next kind", id="timeline.kind",
            tooltip="Only events of the next kind; after the last one all of them",
        ),
        Binding(
            "left_square_bracket", "kind(-1)", "kind before", id="timeline.kind_before", show=False,
            tooltip="Only events of the kind before",
        ),
        Binding(
            "enter", "access", "matrix", id="timeline.access", tooltip="Who may do what on its organization",
        ),
        Binding("t", "tree", "tree", id="timeline.tree", show=False, tooltip="Its organization in the tree"),
        Binding(
            "J", "scroll_detail(1)", "down", id="timeline.down", show=False, tooltip="Scroll the detail down",
        ),
        Binding(
            "K", "scroll_detail(-1)", "up", id="timeline.up", show=False, tooltip="Scroll the detail up",
        ),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._anchor: Anchor[Event] | None = None
        self._page = 64
        self._to_top = True
        self._found: Found | None = None

    def compose_body(self) -> ComposeResult:
        """The stream, and the event under the cursor."""
        with Container(id="split"):
            yield RowTable(self._columns(), cursor=self.context.glyphs.cursor)
            with VerticalScroll(id="event", can_focus=False):
                yield Static("", markup=False)

    def _columns(self) -> list[Column[Event]]:
        clock = self.context.clock

        def style(event: Event) -> str:
            return "bold ansi_red" if privileged(event) else ""

        return [
            Column("", lambda each: "!" if privileged(each) else "", 1, style=style),
            Column("AGE", lambda each: age(each.time, clock()) if each.time else "?", 4, align="right"),
            Column("WHEN", lambda each: self._when(each), 20, from_width=110),
            Column("KIND", lambda each: _SHORT.get(each.kind, each.kind), 6),
            Column("WHO", lambda each: each.actor or "(not told)", 14, grow=1),
            Column("WHAT", lambda each: words(each, where=False), 30, grow=4, style=style),
            Column("WHERE", where, 14, grow=2),
        ]

    def _when(self, event: Event) -> str:
        return self.context.when(event.time, seconds=False) if event.time else "not told"

    @property
    def table(self) -> RowTable[Event]:
        """The stream."""
        return self.query_one(RowTable)

    # -- reading ----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Note where the cursor is."""
        self._anchor = None if self._to_top else self.table.where()
        self._page = self.table.page_size

    def read(self, connection: Connection) -> Found:
        """A few pages around the cursor, how many there are, and of which logs."""
        scope = self.context.scope.node_id
        wanted = parse_filter(self.filter_line, now=self.context.clock(), scope=scope)
        source = Pages(self.context.reader, wanted)
        return Found(
            source,
            read_window(source, self._anchor, self._page),
            timeline.counted(connection, wanted),
            timeline.sources(connection, scope),
        )

    def has_nothing(self, found: Found) -> bool:
        """Whether no event matches."""
        return not found.window.rows

    def empty_text(self) -> str:
        """Why there is none, and what to do."""
        if self.filter_line:
            return line(
                f"No event matches {self.filter_line}. {press('app.back', 'esc')} shows all of them."
            ).plain
        status = self.context.status
        if self._found is None or (status.known and not status.organizations):
            return super().empty_text()
        read = self._found.sources
        return (
            f"Nothing was done to who may do what, as far as the logs that were read tell: {_logs(read)}. "
            "`limegrove sync --since 90d` reads further back."
        )

    def show(self, found: Found) -> None:
        """The rows, the counts, and the event under the cursor."""
        self._found = found
        top, self._to_top = self._to_top, False
        self.table.put(found.source, found.window, top=top)
        self._say(found)
        self.detail()

    def show_empty(self, found: Found) -> None:
        """Keep no row of before."""
        self._found = found
        self._to_top = True
        self.table.put(found.source, found.window, top=True)
        self._say(found)

    def _say(self, found: Found) -> None:
        more = "+" if found.matching > COUNTED else ""
        number = f"{min(found.matching, COUNTED):,}{more} event{'' if found.matching == 1 else 's'}"
        self.say(
            filter=f"/{self.filter_line}" if self.filter_line else "",
            counts=f"{number}   {_logs(found.sources)}",
        )

    # -- filter -----------------------------------------------------------------------------------------

    def apply_filter(self, line: str) -> None:
        """See `store.queries.timeline.parse_filter`."""
        parse_filter(line, now=self.context.clock())
        self._to_top = True

    def _only(self, prefix: str, value: str) -> None:
        """Filter by the value of a column; when that is the filter already, show everything again."""
        quote = "'" if '"' in value else '"'
        wanted = f"{prefix}:{quote}={value}{quote}"
        self.filter_by("" if self.filter_line == wanted else wanted)

    def action_person(self) -> None:
        """Only what was done to this one."""
        if (row := self.table.current) is not None:
            self._only("on", row.principal)

    def action_actor(self) -> None:
        """Only what this one did."""
        if (row := self.table.current) is not None:
            self._only("by", row.actor)

    def action_group(self) -> None:
        """Only what was done to this group."""
        if (row := self.table.current) is not None:
            self._only("group", row.gid)

    def action_kind(self, step: int) -> None:
        """Only the next kind."""
        kinds = ["", *KINDS]
        now = self.filter_line.removeprefix("kind:") if self.filter_line.startswith("kind:") else ""
        wanted = kinds[(kinds.index(now) + step) % len(kinds)] if now in kinds else ""
        self.filter_by(f"kind:{wanted}" if wanted else "")

    # -- the detail -------------------------------------------------------------------------------------

    def detail(self) -> None:
        """What is known of the line under the cursor."""
        row = self.table.current
        lines = [] if row is None else event_lines(row, self.context)
        width = WIDE if self.size.width >= BESIDE else self.size.width
        self.say_detail(lines, width, INDENT)

    def on_resize(self, event: events.Resize) -> None:
        """The detail is wrapped to its width."""
        self.set_class(event.size.width >= BESIDE, "-beside")
        super().on_resize(event)

    def on_mount(self) -> None:
        """Ages go on without the store's doing."""
        self.set_interval(AGES_EVERY, self._tick)

    def _tick(self) -> None:
        if self.is_current and self.look == "full":
            self.table.tick()

    # -- keys -------------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """What an entry does not tell cannot be asked for."""
        row = self.table.current if self.look == "full" else None
        if action in ("access", "tree", "person", "actor", "group", "scroll_detail") and row is None:
            return "No event is under the cursor."
        if row is None:
            return ""
        if action in ("access", "tree") and not row.oid:
            return "This event is of no single organization."
        lacking = {"person": row.principal, "actor": row.actor, "group": row.gid}
        if action in lacking:
            value = lacking[action]
            if not value:
                return "The entry does not tell that."
            if '"' in value and "'" in value:
                return "A text with both kinds of quotes cannot stand in a filter."
        return ""

    def action_access(self) -> None:
        """Show its organization's matrix."""
        if (row := self.table.current) is not None and row.oid:
            self.post_message(ShowAccess(row.oid))

    def action_tree(self) -> None:
        """Show its organization."""
        if (row := self.table.current) is not None and row.oid:
            self.post_message(ShowOrganization(row.oid))


def where(event: Event) -> str:
    """The organization or the group that it was done to."""
    if event.gid:
        return event.group or event.gid
    return event.organization or event.oid


def privileged(event: Event) -> bool:
    """Whether it gave one of the permissions that make their holder master of an organization."""
    return any(map(is_privileged, given(event)))


def _logs(sources: Sources) -> str:
    """Of which logs the stream is made."""
    groups = "" if sources.groups_at is not None else ", no group's log"
    return f"{sources.audited:,} of {sources.organizations:,} audit logs{groups}"


def event_lines(event: Event, context: Context) -> list[Content]:
    """An event in full: who, what, on whom, where, which log tells it, and the entry as it came."""

    def field(label: str, text: str, style: str = "") -> Content:
        return line((f" {label:<9} ", "dim"), (text, style) if text else ("not told", "dim"))

    when = context.when(event.time) if event.time else ""
    lines = [
        line((f" {words(event)}", "bold")),
        field("who", event.actor),
        field("when", when),
    ]
    if event.principal:
        lines.append(field("on whom", event.principal))
    if event.oid:
        lines.append(field("where", f"{event.organization or '(not listed)'}   {event.oid}"))
    if event.gid:
        lines.append(field("group", f"{event.group or '(not there any more)'}   {event.gid}"))
    if risky := [name for name in given(event) if is_privileged(name)]:
        lines.append(field("!", f"gave {', '.join(risky)}: master of the organization", "bold ansi_red"))
    lines.append(field("told by", _LOGS.get(event.source, event.source)))
    if not event.known:
        lines.append(line((" Not known here; as it was received:", HEALTH_STYLES["partly"])))
    lines.extend(
        line(
            (f" {key:<9} ", "dim"), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        )
        for key, value in event.details.items()
    )
    return lines
