"""The API keys of every organization: what each may do, from where, when it was last used."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES, Context
from screens.detailed import Detailed
from screens.keys import press
from screens.requests import CreateKey, RevokeKeys, RotateKey, ShowAccess
from screens.widgets.row_table import Anchor, Column, MarkTable, Window, read_window
from screens.widgets.text import line
from store.keyfilter import KeyFilter, parse
from store.keyrecipes import name_notes
from store.permissions import categories, is_privileged
from store.queries.apikeys import Counts, KeyRow, counts, named, page
from store.times import age

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from store.database import Reader

TICK = 10.0
"""Seconds between two looks at the ages on the screen."""


class KeyPages:
    """Keys by name and organization, a page at a time."""

    slow = True

    def __init__(self, reader: Reader, wanted: KeyFilter, scope: str) -> None:
        self._reader = reader
        self._wanted = wanted
        self._scope = scope

    def identity(self, row: KeyRow) -> Hashable:
        """Organization and hash."""
        return row.oid, str(row.key_hash)

    def first(self, limit: int) -> list[KeyRow]:
        """From the top."""
        return self._read(limit=limit)

    def last(self, limit: int) -> list[KeyRow]:
        """From the end."""
        return self._read(limit=limit, backwards=True)

    def after(self, row: KeyRow, limit: int) -> list[KeyRow]:
        """Behind this one."""
        return self._read(limit=limit, after=row.place)

    def before(self, row: KeyRow, limit: int) -> list[KeyRow]:
        """Ahead of this one."""
        return self._read(limit=limit, before=row.place)

    def starting(self, row: KeyRow, limit: int) -> list[KeyRow]:
        """From this one on."""
        return self._read(limit=limit, starting=row.place)

    def _read(self, **where: Any) -> list[KeyRow]:
        with self._reader.reading() as connection:
            return page(connection, self._wanted, scope=self._scope, **where)


@dataclass(frozen=True, slots=True)
class Found:
    """The keys around the cursor, and how many there are."""

    source: KeyPages
    window: Window[KeyRow]
    counts: Counts
    gone: tuple[tuple[str, str], ...] = ()
    """(oid, hash) of what is marked and not there any more."""


def state_of(row: KeyRow) -> str:
    """Of HEALTH: failed when nobody holds its secret; partly when it goes, is a master, or has no range."""
    if not row.held:
        return "failed"
    doubtful = row.ends_at is not None or row.privileged or not row.allowed_ip_range
    return "partly" if doubtful else "well"


class ApiKeys(Detailed[Found]):
    """One list, keys of one name together, with what the cursor is on written out."""

    MODE = "apikeys"
    PANE = "#apikeys-detail"
    TITLE = "API keys"
    CSS_PATH = "apikeys.tcss"
    AUTO_FOCUS = "MarkTable"
    READS = frozenset({"api_key", "organization", "node", "journal", "access_deadline", "sync_state"})
    EMPTY = "No API key was read yet. :sync reads the cloud; keys are seen with apikey.ctrl."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "create", "new", id="apikeys.create",
            tooltip="Make a key in this organization, from a recipe"),
        Binding("R", "rotate", "rotate", id="apikeys.rotate",
            tooltip="The same key anew; the old one goes a day later"),
        Binding("x", "revoke", "revoke", id="apikeys.revoke",
            tooltip="Delete the marked keys, or this one, after asking"),
        Binding("X", "revoke_all", "revoke all", show=False, id="apikeys.revoke_all",
            tooltip="Delete every key that the filter leaves, after asking"),
        Binding("m", "access", "access", id="apikeys.access", tooltip="Who may do what in its organization"),
        Binding("J", "scroll_detail(1)", "detail down", id="apikeys.down", show=False,
            tooltip="Scroll the detail down"),
        Binding("K", "scroll_detail(-1)", "detail up", id="apikeys.up", show=False,
            tooltip="Scroll the detail up"),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._anchor: Anchor[KeyRow] | None = None
        self._page = 64
        self._marks: tuple[tuple[str, str], ...] = ()
        self._wanted = KeyFilter()
        self._found: Found | None = None
        self._to_top = True

    def compose_body(self) -> ComposeResult:
        """The list, and the detail."""
        yield MarkTable(self._columns(), cursor=self.context.glyphs.cursor, id="keys-list")
        with VerticalScroll(id="apikeys-detail", can_focus=False):
            yield Static("", markup=False)

    def on_mount(self) -> None:
        """Ages go on without the store's doing."""
        self.set_interval(TICK, self._tick)

    @property
    def table(self) -> MarkTable[KeyRow]:
        """The list."""
        return self.query_one("#keys-list", MarkTable)

    def _columns(self) -> list[Column[KeyRow]]:
        glyphs, clock = self.context.glyphs, self.context.clock
        return [
            Column("", lambda row: glyphs.health[state_of(row)], 1,
                style=lambda row: HEALTH_STYLES[state_of(row)]),
            Column("NAME", lambda row: row.name, 16, grow=2, cut="middle"),
            Column("ORGANIZATION", lambda row: row.organization, 14, grow=2, cut="middle"),
            Column("MAY", lambda row: f"{len(row.permissions)}{'!' if row.privileged else ' '}", 4,
                align="right", style=lambda row: "bold ansi_red" if row.privileged else ""),
            Column("FROM", lambda row: row.allowed_ip_range or "anywhere", 18,
                style=lambda row: "" if row.allowed_ip_range else "ansi_yellow"),
            Column("USED", lambda row: age(row.last_used or None, clock()), 5, align="right"),
            Column("SEEN", lambda row: age(row.first_seen, clock()), 5, align="right"),
            Column("CREATED BY", lambda row: row.created_by, 16, grow=1, cut="middle", from_width=100),
        ]  # fmt: skip

    # -- reading ----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Note where the cursor is, and what is marked."""
        self._marks = tuple((row.oid, str(row.key_hash)) for row in self.table.marks.values())
        self._anchor = None if self._to_top else self.table.where()
        self._page = self.table.page_size

    def read(self, connection: Connection) -> Found:
        """A few pages around the cursor."""
        scope = self.context.scope.node_id
        source = KeyPages(self.context.reader, self._wanted, scope)
        there = {(row.oid, str(row.key_hash)) for row in named(connection, self._marks)}
        return Found(
            source,
            read_window(source, self._anchor, self._page),
            counts(connection, self._wanted, scope=scope),
            tuple(each for each in self._marks if each not in there),
        )

    def has_nothing(self, found: Found) -> bool:
        """Whether the scope has no key at all."""
        return not found.counts.all

    def show_empty(self, found: Found) -> None:
        """Keep nothing of before."""
        self._found = found
        self.table.unmark()
        self.say(counts=self._read_words(found.counts))

    def show(self, found: Found) -> None:
        """The list; cursor and marks stay on their keys."""
        self._found = found
        top, self._to_top = self._to_top, False
        if found.gone:
            self.table.unmark(found.gone)
        self.table.put(found.source, found.window, top=top)
        self._say_counts()
        self.detail()

    def _say_counts(self) -> None:
        if self._found is None:
            return
        counted, marks = self._found.counts, len(self.table.marks)
        said = f"{counted.keys:,} of {counted.all:,}" if self.filter_line else f"{counted.all:,}"
        marked = f", {marks:,} marked" if marks else ""
        self.say(
            filter=f"/{self.filter_line}" if self.filter_line else "",
            counts=f"{said} keys{marked}; {self._read_words(counted)}",
        )

    @staticmethod
    def _read_words(counted: Counts) -> str:
        return f"{counted.read:,} of {counted.of:,} organizations read"

    def apply_filter(self, line: str) -> None:
        """Keep what the line leaves.

        Raises:
            ValueError: it means nothing.
        """
        self._wanted = parse(line, now=self.context.clock())
        self._to_top = True

    def close_inner(self) -> bool:
        """The marks, then the filter."""
        if self.table.marks:
            self.table.unmark()
        elif self.filter_line:
            self.filter_by("")
        else:
            return False
        return True

    def _tick(self) -> None:
        if self.is_current and self.look == "full":
            self.table.tick()

    # -- the detail -------------------------------------------------------------------------------------

    @on(MarkTable.Marked)
    def _marked(self, event: MarkTable.Marked) -> None:
        event.stop()
        self._say_counts()
        self.keys_changed()

    @on(MarkTable.TooFar)
    def _too_far(self, event: MarkTable.TooFar) -> None:
        event.stop()
        self.tell(event.why, "warning")

    def detail(self) -> None:
        """What is known of the line under the cursor."""
        row = self.table.current
        lines: Sequence[Content] = (
            key_lines(row, self.context)
            if row is not None
            else [Content(f" No key is left by the filter; {press('app.back', 'esc')} forgets it.")]
        )
        self.say_detail(lines)

    # -- requests ---------------------------------------------------------------------------------------

    def why_not(self, action: str) -> str:
        """What writes needs a console that may; what is about a key needs one."""
        if action in ("create", "rotate", "revoke", "revoke_all") and not self.context.writable:
            return "This console is read-only: no key is made, rotated or revoked from here."
        if action in ("rotate", "access") and (self._found is None or self.table.current is None):
            return "No key is under the cursor."
        if action in ("revoke", "revoke_all") and (self._found is None or not self._found.counts.keys):
            return "There is no key to revoke."
        if action == "revoke_all" and not self.filter_line:
            return (
                f"{press('apikeys.revoke_all', 'X')} revokes what a filter leaves; "
                f"{press('view.filter', '/')} filters first."
            )
        return ""

    def action_create(self) -> None:
        """Make a key in the organization under the cursor; without one it is asked which."""
        row = self.table.current if self._found is not None and self._found.counts.keys else None
        self.post_message(CreateKey(row.oid if row is not None else self.context.scope.oid))

    def action_rotate(self) -> None:
        """Make this key anew."""
        if (row := self.table.current) is not None:
            self.post_message(RotateKey(row.oid, str(row.key_hash)))

    def action_revoke(self) -> None:
        """Delete what is marked, or what is under the cursor."""
        current = self.table.current
        rows = list(self.table.marks.values()) or ([current] if current is not None else [])
        keys = tuple((row.oid, str(row.key_hash)) for row in rows)
        if keys:
            self.post_message(RevokeKeys(keys))

    def action_revoke_all(self) -> None:
        """Delete what the filter leaves."""
        self.post_message(RevokeKeys(line=self.filter_line, scope=self.context.scope.node_id))

    def action_access(self) -> None:
        """The matrix of its organization."""
        if (row := self.table.current) is not None:
            self.post_message(ShowAccess(row.oid))


def key_lines(row: KeyRow, context: Context) -> list[Content]:
    """A key, written out."""
    now = context.clock()
    glyphs = context.glyphs.health
    lines = [line((f" {row.name}", "bold"), ("   of ", "dim"), (row.organization, "bold"))]
    if not row.held:
        said = f" {glyphs['failed']} Nobody has its secret; {press('apikeys.revoke', 'x')} deletes it."
        lines.append(line((said, HEALTH_STYLES["failed"])))
    if row.ends_at is not None:
        when = context.when(row.ends_at, seconds=False)
        lines.append(line((f" {glyphs['partly']} It was rotated, and is deleted at {when}", "ansi_yellow")))
    if row.privileged:
        masters = ", ".join(row.privileged)
        lines.append(line((f" ! Master of its organization: {masters}", "bold ansi_red")))
    used = (
        f"{context.when(row.last_used, seconds=False)}, {age(row.last_used, now)} ago"
        if row.last_used
        else "never, as far as the cloud tells"
    )
    lines += [
        line((" from     ", "dim"), row.allowed_ip_range or "anywhere: whoever has its secret can use it"),
        line((" used     ", "dim"), used),
        line((" seen     ", "dim"), f"first at {context.when(row.first_seen, seconds=False)}",
            ("   (ours: the cloud keeps no date)", "dim")),
        line((" made by  ", "dim"), row.created_by or "(unknown)"),
        line((" hash     ", "dim"), (row.key_hash, "dim")),
    ]  # fmt: skip
    lines += [line((f" note     {note}", "ansi_yellow")) for note in name_notes(str(row.name))]
    for category, held in categories(row.permissions):
        parts: list[str | Content | tuple[str, str]] = [(f" {category[:12]:<13}", "dim")]
        for number, permission in enumerate(held):
            if number:
                parts.append(Content(" "))
            parts.append((permission, "bold ansi_red" if is_privileged(permission) else ""))
        lines.append(line(*parts))
    return lines
