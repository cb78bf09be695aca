"""The cases of a scope: what is being worked on, by whom, and what of it waits for a decision."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from screens.context import SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.keys import press, with_keys
from screens.queue import clock_style
from screens.requests import (
    AddEntity,
    AddNote,
    ChangeCases,
    CreateCase,
    DecideEdits,
    LogTime,
    MergeCases,
    ReadCase,
    ShowAccess,
    ShowOrganization,
)
from screens.view import View
from screens.widgets.case_detail import CasePane
from screens.widgets.row_table import Anchor, Column, MarkTable, RowTable, Window, read_window
from store.alerts import described, meant
from store.cases import MEANT, CaseFilter, parse_case_filter
from store.database import Reader
from store.queries import cases
from store.queries.cases import CaseDetail, CaseRow, Figures
from store.queries.queue import names_of
from store.times import age, clock_words

AGES_EVERY = 30
"""Seconds between two looks at the ages on the screen."""
FRESH = 60_000
"""Milliseconds for which a case that was read is not read again when its detail is opened."""

_SHORT_STATES: tuple[str, ...] = ("new", "prog", "res", "clsd")
VERBS = frozenset(
    {"note", "acknowledge", "claim", "close", "reopen", "assign", "tag", "entity", "merge", "time", "new",
     "decide"}
)  # fmt: skip
"""Actions that want something of a case."""
TOGETHER = frozenset({"acknowledge", "claim", "close", "reopen", "assign", "tag", "merge"})
"""Of these: what may be wanted of all that are marked."""


_KEYS: tuple[tuple[str, str, str, bool, str], ...] = (
    ("enter", "detail", "detail", True, "Show or hide the case under the cursor"),
    ("e", "note", "note", True, "Add a note: its type, and whether the customer may see it"),
    ("c", "claim", "claim", True, "Make it mine; a new one becomes in progress"),
    ("a", "acknowledge", "ack", False, "A new one becomes in progress"),
    ("x", "close", "close", True, "Close or resolve it: what it was, and the conclusion"),
    ("O", "reopen", "reopen", False, "A closed one becomes in progress again"),
    ("A", "assign", "assign", False, "Say whose it is"),
    ("t", "tag", "tag", True, "Add tags, and take tags away"),
    ("i", "entity", "indicator", False, "Attach an address, a hash, a user, ..."),
    ("M", "merge", "merge", False, "Merge other cases of its organization into it"),
    ("T", "time", "time", False, "Log time spent on it, to be billed"),
    ("d", "decide", "decide", True, "A conflict (! in its line): keep theirs, or send mine"),
    (
        "u",
        "undecided",
        "undecided",
        False,
        "Only cases that wait for a decision (!), and all again; ~ waits for the cloud, N is to be made, "
        "L is only here",
    ),
    ("n", "new", "new", False, "An empty case: for the organization under the cursor, or one to choose"),
    (
        "semicolon",
        "marked",
        "marked",
        False,
        "The key after it acts on what is marked: "
        "{cases.marked=;}{cases.claim=c} {cases.marked=;}{cases.acknowledge=a} "
        "{cases.marked=;}{cases.close=x} {cases.marked=;}{cases.reopen=O} "
        "{cases.marked=;}{cases.assign=A} {cases.marked=;}{cases.tag=t} {cases.marked=;}{cases.merge=M}",
    ),
    ("J", "scroll_detail(3)", "down", False, "Scroll the detail down"),
    ("K", "scroll_detail(-3)", "up", False, "Scroll the detail up"),
    ("o", "organization", "organization", False, "Its organization"),
    ("m", "access", "access", False, "Who may do what on its organization"),
)
"""(key, action, word, whether it stands in the last line, what it does)"""


_OFFERED = {
    "claim": "{cases.claim=c} claim", "acknowledge": "{cases.acknowledge=a} ack",
    "close": "{cases.close=x} close", "reopen": "{cases.reopen=O} reopen",
    "assign": "{cases.assign=A} assign", "tag": "{cases.tag=t} tag", "merge": "{cases.merge=M} merge",
}  # fmt: skip
"""Those of TOGETHER as they are offered after `;`."""


def _name(action: str) -> str:
    """Of a key, for keymaps: `close`, `down`."""
    return {"scroll_detail(3)": "down", "scroll_detail(-3)": "up"}.get(action, action)


class CasePages:
    """The list, page by page, straight from the store."""

    slow = True

    def __init__(self, reader: Reader, wanted: CaseFilter) -> None:
        self._reader = reader
        self._wanted = wanted

    def identity(self, row: CaseRow) -> tuple[str, int]:
        """Its organization and number."""
        return (row.oid, row.number)

    def first(self, limit: int) -> list[CaseRow]:
        """The worst and newest."""
        with self._reader.reading() as connection:
            return cases.page(connection, self._wanted, limit=limit)

    def last(self, limit: int) -> list[CaseRow]:
        """The mildest and oldest."""
        with self._reader.reading() as connection:
            return cases.last_page(connection, self._wanted, limit=limit)

    def after(self, row: CaseRow, limit: int) -> list[CaseRow]:
        """Behind this one."""
        with self._reader.reading() as connection:
            return cases.page(connection, self._wanted, after=row.key, limit=limit)

    def before(self, row: CaseRow, limit: int) -> list[CaseRow]:
        """Ahead of this one."""
        with self._reader.reading() as connection:
            return cases.page(connection, self._wanted, before=row.key, limit=limit)

    def starting(self, row: CaseRow, limit: int) -> list[CaseRow]:
        """From this one on."""
        with self._reader.reading() as connection:
            return cases.page(connection, self._wanted, starting=row.key, limit=limit)


@dataclass(frozen=True)
class Found:
    """What one reading brings."""

    source: CasePages
    window: Window[CaseRow]
    matching: int
    figures: Figures
    named: Mapping[str, str]
    """The organization that the filter names by its id: id -> name, a stranger's text."""


class Cases(View[Found]):
    """The list over the scope, with the case under the cursor beside or below it."""

    MODE = "cases"
    TITLE = "Cases"
    CSS_PATH = "cases.tcss"
    AUTO_FOCUS = "#cases-list"
    READS = frozenset(
        {"case_record", "case_edit", "case_reading", "case_detection", "case_event", "case_item",
         "triage_action", "organization", "node"}
    )  # fmt: skip
    FILTERS = (
        "  sev:high (and above)  status:any  class:fp  who:none  org:  tag:  is:undecided"
        "  is:pending  is:local  #12  or words"
    )
    EMPTY = "No open case in this scope. status:any shows closed ones too; {cases.new=n} makes one."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, action, word, show=shown, id=f"cases.{_name(action)}", tooltip=says)
        for key, action, word, shown, says in _KEYS
    ]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._anchor: Anchor[CaseRow] | None = None
        self._page = 64
        self._to_top = True
        self._unfiltered: Anchor[CaseRow] | None = None
        """Where the cursor was when the filter came."""
        self._acting = False
        self._found: Found | None = None

    # -- the frame's questions --------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """The list, and the pane."""
        with Container(id="split"):
            yield MarkTable(self._columns(), cursor=self.context.glyphs.cursor, id="cases-list")
            yield CasePane(self.context)

    @property
    def table(self) -> MarkTable[CaseRow]:
        """The list."""
        return self.query_one("#cases-list", MarkTable)

    @property
    def pane(self) -> CasePane:
        """The detail."""
        return self.query_one(CasePane)

    def _columns(self) -> list[Column[CaseRow]]:
        glyphs, clock = self.context.glyphs, self.context.clock
        severities = [f"{sign} {word}" for sign, word in zip(glyphs.severity, SEVERITY_WORDS, strict=True)]

        return [
            Column("SEV", lambda row: severities[row.severity], 7,
                style=lambda row: SEVERITY_STYLES[row.severity]),
            Column("AGE", lambda row: age(row.created_at, clock()), 4, align="right"),
            Column("SLA", lambda row: clock_words(row.due_at, clock()), 9, align="right",
                style=lambda row: clock_style(row.due_at, clock())),
            Column("ORGANIZATION", lambda row: row.organization, 14, grow=1, cut="middle"),
            Column("CASE", lambda row: row.name, 6, align="right"),
            Column("STAT", lambda row: _SHORT_STATES[row.status], 4),
            Column("NOTE", signs, 4, style=lambda row: "bold ansi_yellow" if signs(row) else ""),
            Column("SUMMARY", lambda row: row.about or row.summary, 16, grow=5),
            Column("WHO", lambda row: ", ".join(row.assignees), 6, grow=1, from_width=76),
        ]  # fmt: skip

    def prepare(self) -> None:
        """Note where the cursor is."""
        self._anchor = None if self._to_top else self.table.where()
        self._page = self.table.page_size

    def read(self, connection: Connection) -> Found:
        """A few pages around the cursor, how many there are, and what needs somebody."""
        scope = self.context.scope.node_id
        wanted = parse_case_filter(self.filter_line, scope=scope)
        source = CasePages(self.context.reader, wanted)
        return Found(
            source,
            read_window(source, self._anchor, self._page),
            cases.count(connection, wanted),
            cases.figures(connection, scope),
            names_of(connection, [wanted.oid] if wanted.oid else []),
        )

    def has_nothing(self, found: Found) -> bool:
        """Whether no case matches."""
        return not found.window.rows

    def empty_text(self) -> str:
        """Why there is none, and what to do."""
        if self.filter_line:
            named = self._found.named if self._found is not None else {}
            hint = f" {meaning}" if (meaning := meant(self.filter_line, MEANT)) else ""
            return (
                f"No case matches {described(self.filter_line, named)}.{hint}"
                f" {press('app.back', 'esc')} shows all open ones."
            )
        return super().empty_text()

    def show(self, found: Found) -> None:
        """The rows, the counts, and the detail of what is under the cursor."""
        self._found = found
        top, self._to_top = self._to_top, False
        self.table.put(found.source, found.window, top=top)
        self._say()
        if self.pane.display:
            self._detail_soon()

    def show_empty(self, found: Found) -> None:
        """Keep no row of before."""
        self._found = found
        self._to_top = True
        self.table.put(found.source, found.window, top=True)
        self._say()

    def _say(self) -> None:
        found = self._found
        if found is None:
            return
        known = found.figures
        counts = f"{found.matching:,} of {known.open:,} open" if self.filter_line else f"{known.open:,} open"
        if known.pending:
            counts = f"~ {known.pending:,} wait   {counts}"
        if known.needing:
            counts = f"! {known.needing:,} to decide: {press('cases.undecided', 'u')}   {counts}"
        if self.table.marks:
            counts = f"{len(self.table.marks):,} marked   {counts}"
        shown = f"/{described(self.filter_line, found.named)}" if self.filter_line else "open"
        self.say(filter=shown, counts=counts)

    def apply_filter(self, line: str) -> None:
        """See `store.cases.parse_case_filter`."""
        parse_case_filter(line, scope=self.context.scope.node_id)
        if hint := meant(line, MEANT):
            self.tell(hint)
        if self.filter_line and not line:
            # The next verb is for what was looked at.
            row = self.table.current
            if row is None or row.status >= 2:
                self.table.stand_on(self._unfiltered)
            else:
                self.table.hold()
            self._to_top = False
            return
        if not self.filter_line:
            self._unfiltered = self.table.where()
        self._to_top = True

    def close_inner(self) -> bool:
        """The detail, the marks, then the filter."""
        if self.pane.display:
            self.action_detail()
        elif self.table.marks:
            self.table.unmark()
        elif self.filter_line:
            self.filter_by("")
        else:
            return False
        return True

    def why_not(self, action: str) -> str:
        """What needs a case cannot work without one, and what changes one not in a locked console."""
        row = self.table.current
        if action in VERBS and not self.context.writable:
            return "This console is read-only: nothing can be changed here."
        if action == "marked":
            return (
                ""
                if self.table.marks
                else (
                    f"Nothing is marked: {press('move.mark', 'space')} marks, "
                    f"{press('move.mark_range', 'V')} a range."
                )
            )
        needs_one = (VERBS - {"new"}) | {"detail", "organization", "access", "scroll_detail"}
        if row is None and action in needs_one:
            return "No case is under the cursor."
        if action == "decide" and row is not None and not row.conflicts + row.refused:
            return "Nothing about this case waits for a decision."
        if action == "scroll_detail" and not self.pane.display:
            return f"The detail is closed: {press('cases.detail', 'enter')} opens it."
        return ""

    def on_mount(self) -> None:
        """Ages go on without the store's doing."""
        self.pane.display = False
        self.set_interval(AGES_EVERY, self._tick)

    def _tick(self) -> None:
        if self.is_current:
            self.table.tick()

    # -- the detail -------------------------------------------------------------------------------------

    @on(RowTable.Moved, "#cases-list")
    def _moved(self, event: RowTable.Moved) -> None:
        event.stop()
        self.keys_changed()
        if self.pane.display:
            self._detail_soon()

    def _detail_soon(self) -> None:
        self.at_rest(self._read_detail)

    @work(exclusive=True, group="detail", exit_on_error=False)
    async def _read_detail(self) -> None:
        row = self.table.current
        if row is None:
            self.pane.show(None)
            return
        found = await asyncio.to_thread(self._detail_of, row)
        current = self.table.current
        if current is not None and (current.oid, current.number) == (row.oid, row.number):
            self.pane.show(found)
            if found is not None and self._is_old(found):
                self.post_message(ReadCase(row.oid, row.number))

    def _is_old(self, found: CaseDetail) -> bool:
        """Whether it is worth asking the cloud: it never was, or not lately."""
        if self.context.offline or not self.context.writable or found.row.number < 0:
            return False
        return not found.complete or (found.read_at or 0) + FRESH < self.context.clock()

    def _detail_of(self, row: CaseRow) -> CaseDetail | None:
        with self.context.reader.reading() as connection:
            return cases.detail(connection, row.oid, row.number)

    def action_detail(self) -> None:
        """Show or hide the pane."""
        pane = self.pane
        pane.display = not pane.display
        if pane.display:
            self.table.hold()
            self._read_detail()
        self.keys_changed()

    def action_scroll_detail(self, lines: int) -> None:
        """Scroll the pane."""
        self.pane.turn(lines)

    def show_case(self, oid: str, number: int) -> None:
        """Only this case, with its detail."""
        name = f"#{number}" if number > 0 else "is:local"
        self.filter_by(f"oid:{oid} status:any {name}")
        if not self.pane.display:
            self.action_detail()

    # -- what is wanted ---------------------------------------------------------------------------------

    @on(MarkTable.Marked)
    def _marks_changed(self, event: MarkTable.Marked) -> None:
        event.stop()
        self._say()
        self.keys_changed()

    @on(MarkTable.TooFar)
    def _too_far(self, event: MarkTable.TooFar) -> None:
        event.stop()
        self.tell(event.why, "warning")

    def action_marked(self) -> None:
        """The next verb acts on what is marked."""
        self._acting = True
        verbs = "  ".join(with_keys(words) for words in _OFFERED.values())
        self.tell(f"{len(self.table.marks):,} marked: {verbs}")

    def on_key(self, event: events.Key) -> None:
        """After `;` only a verb acts on what is marked."""
        bound = self._bound(event.key)
        if self._acting and (bound is None or bound.action not in ("marked", *TOGETHER)):
            self._acting = False

    def _chosen(self) -> tuple[tuple[str, int], ...]:
        """The marked after `;`, else what is under the cursor."""
        acting, self._acting = self._acting, False
        if acting and self.table.marks:
            return tuple((row.oid, row.number) for row in self.table.marks.values())
        row = self.table.current
        return ((row.oid, row.number),) if row is not None else ()

    def _want(self, verb: str) -> None:
        if chosen := self._chosen():
            self.post_message(ChangeCases(verb, chosen))

    def action_claim(self) -> None:
        """Make it mine."""
        self._want("claim")

    def action_acknowledge(self) -> None:
        """Somebody looks at it."""
        self._want("acknowledge")

    def action_close(self) -> None:
        """Close or resolve it, after asking."""
        self._want("close")

    def action_reopen(self) -> None:
        """Open it again."""
        self._want("reopen")

    def action_assign(self) -> None:
        """Ask whose it is."""
        self._want("assign")

    def action_tag(self) -> None:
        """Ask for tags."""
        self._want("tag")

    def action_merge(self) -> None:
        """Merge the marked into the one under the cursor, or ask which."""
        acting, self._acting = self._acting, False
        if (row := self.table.current) is None:
            return
        sources = tuple(
            each.number
            for each in self.table.marks.values()
            if acting and each.oid == row.oid and each.number != row.number
        )
        foreign = sum(1 for each in self.table.marks.values() if acting and each.oid != row.oid)
        if foreign:
            self.tell(
                f"{foreign} of the marked are other organizations' cases: these are not merged.", "warning"
            )
            return
        self.post_message(MergeCases(row.oid, row.number, sources))

    def action_note(self) -> None:
        """Ask for a note."""
        if (row := self.table.current) is not None:
            self.post_message(AddNote(row.oid, row.number))

    def action_entity(self) -> None:
        """Ask for an indicator."""
        if (row := self.table.current) is not None:
            self.post_message(AddEntity(row.oid, row.number))

    def action_time(self) -> None:
        """Ask how long."""
        if (row := self.table.current) is not None:
            self.post_message(LogTime(row.oid, row.number))

    def action_decide(self) -> None:
        """Show both sides."""
        if (row := self.table.current) is not None:
            self.post_message(DecideEdits(row.oid, row.number))

    def action_new(self) -> None:
        """An empty case for the organization under the cursor, of the scope, or one to choose."""
        row = self.table.current
        self.post_message(CreateCase(oid=row.oid if row is not None else self.context.scope.oid))

    def action_undecided(self) -> None:
        """Only what waits for a decision, and back."""
        self.filter_by("" if self.filter_line == "status:any is:undecided" else "status:any is:undecided")

    # -- going elsewhere --------------------------------------------------------------------------------

    def action_organization(self) -> None:
        """Its organization in the tree."""
        if (row := self.table.current) is not None:
            self.post_message(ShowOrganization(row.oid))

    def action_access(self) -> None:
        """Who may do what there."""
        if (row := self.table.current) is not None:
            self.post_message(ShowAccess(row.oid))


def signs(row: CaseRow) -> str:
    """What of a case is not as the cloud has it: `!` undecided, `~` waits, `L` only here, `N` to be made."""
    return (
        ("!" if row.conflicts + row.refused else "")
        + ("~" if row.pending else "")
        + ("N" if row.creating else "L" if row.local else "")
    )
