"""The alert queue of a scope: what needs an analyst now, worst and newest first, folded where that helps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from inspect import isawaitable
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import Connection, and_, or_
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from screens.context import Context
from screens.dialogs.alert_json import AlertJson
from screens.dialogs.mark_pattern import MarkPattern
from screens.keys import press, with_keys
from screens.queue import (
    AlertPages,
    FoldPages,
    QueueLine,
    alone,
    chosen_of,
    columns,
    held,
    identity,
)
from screens.requests import (
    AcknowledgeAlerts,
    AssignAlerts,
    Chosen,
    ClaimAlerts,
    CloseAlerts,
    DraftFalsePositive,
    EditFoldKey,
    NoteAlerts,
    OpenPivot,
    ReleaseAlerts,
    Remember,
    RepeatDecision,
    ShowAccess,
    ShowOrganization,
    ShowSensor,
    ShowView,
    SnoozeAlerts,
    UndoDecision,
)
from screens.view import View
from screens.widgets.alert_detail import AlertPane
from screens.widgets.row_table import MARKED_AT_ONCE, Anchor, MarkTable, RowTable, Window, read_window
from store import preferences
from store.alerts import (
    OPEN,
    AlertFilter,
    FilterError,
    described,
    meant,
    parse_filter,
    pivot_line,
    quoted_value,
)
from store.queries import alerts, folds, queue
from store.queries.alerts import AlertRow, Count
from store.queries.folds import FoldRow
from store.text import safe_text
from store.times import age

if TYPE_CHECKING:
    from store.queries.alert_context import Whole

AGES_EVERY = 30
"""Seconds between two looks at the ages on the screen."""

FOLDED = "alerts.folded"
"""Preference: whether the queue is folded; none while nobody has said."""

HELPS = 0.9
"""Folding helps when it leaves at most so many of the lines."""

LOOKED_THROUGH = 5_000
"""Folded lines that are looked through for one that nobody has."""

VERBS: dict[str, str] = {
    "claim": "{alerts.claim=c} claim", "release": "{alerts.release=u} release", "assign": "",
    "acknowledge": "{alerts.acknowledge=a} ack", "close": "{alerts.close=x} close",
    "snooze": "{alerts.snooze=s} snooze", "note": "{alerts.note=e} note",
    "repeat": "{alerts.repeat=.} repeat", "undo": "",
}  # fmt: skip
"""Actions that change alerts, as they are offered after `;`, where there is room; undo needs no `;`."""

NEEDS_LINE = frozenset(
    {
        "detail",
        "pivot",
        "json",
        "organization",
        "access",
        "fold_key",
        "false_positive",
        "sensor",
        "scorecard",
        *(verb for verb in VERBS if verb != "undo"),
    }
)


@dataclass(frozen=True)
class Found:
    """What one reading of the queue brings."""

    source: AlertPages | FoldPages
    window: Window[QueueLine]
    folded: bool
    matching: Count
    """Alerts that the filter wants."""
    total: Count
    """Open alerts of the scope, whatever the filter."""
    lines: int
    """Lines of the folded queue; 0 when it is not folded."""
    opened: FoldRow | None
    """What is open, as it is now; None when nothing is, or nothing of it is left."""
    settled: tuple[Hashable, ...]
    """Marked things that need no mark any more."""
    named: Mapping[str, str]
    """The organization that the filter names by its id: id -> name, a stranger's text."""
    still_open: Count
    """Of those that the filter wants, those that are open."""
    storms: tuple[FoldRow, ...] = ()
    """Those that go on now, in the folded queue."""
    stays: tuple[Anchor[QueueLine] | None] | None = None
    """Where the cursor is to stand because a filter was left; None when none was."""
    waiting: int = 0
    """Edits of cases that wait for the cloud: what was decided here is not there yet."""


@dataclass(frozen=True)
class Place:
    """Where the operator came from, for going back there."""

    line: str
    opened: FoldRow | None
    anchor: Anchor[QueueLine] | None


class Alerts(View[Found]):
    """The queue over the scope, with the alert under the cursor beside or below it."""

    MODE = "alerts"
    TITLE = "Alerts"
    CSS_PATH = "alerts.tcss"
    AUTO_FOCUS = "#queue"
    READS = frozenset(
        {
            "detection", "detection_count", "organization", "node", "fold", "storm", "snooze",
            "triage_action", "customer_document", "case_edit",
        }
    )  # fmt: skip
    FILTERS = (
        "  sev:high (and above)  status:any  org:  host:  cat:  rule:  who:nobody  who:me"
        "  due:over  since:24h  until:  tag:  snoozed:yes  order:due  pivot:  or words"
    )
    EMPTY = "No open alert in this scope. status:any shows closed ones too."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "detail", "open", id="alerts.detail",
            tooltip="Open a fold; of one alert show or hide the detail"),
        Binding("c", "claim", "claim", id="alerts.claim", tooltip="Make it yours; of a fold what nobody has"),
        Binding("x", "close", "close", id="alerts.close",
            tooltip="Close it: what it was and why; of many a sample first"),
        Binding("s", "snooze", "snooze", id="alerts.snooze",
            tooltip="Hide it until a time, n more or an event; it comes back"),
        Binding("z", "undo", "undo", id="alerts.undo",
            tooltip="Undo your last decision; in a fold or with marks that part"),
        Binding("n", "next", "next", id="alerts.next", tooltip="The next one that nobody has"),
        Binding("e", "note", "note", id="alerts.note", tooltip="Write a note, or take it into a case"),
        Binding("p", "pivot", "pivot", id="alerts.pivot", tooltip="Every alert with one of its values"),
        Binding("semicolon", "marked", "marked", show=False, id="alerts.marked",
            tooltip="The verb after it acts on all that is marked: "
                "{alerts.marked=;}{alerts.claim=c} {alerts.marked=;}{alerts.close=x} "
                "{alerts.marked=;}{alerts.snooze=s}"),
        Binding("a", "acknowledge", "ack", show=False, id="alerts.acknowledge",
            tooltip="Acknowledge: somebody looks at it; the first clock stops"),
        Binding("u", "release", "release", show=False, id="alerts.release", tooltip="Make it nobody's again"),
        Binding("A", "assign", "assign", show=False, id="alerts.assign", tooltip="Give it to somebody"),
        Binding("full_stop", "repeat", "repeat", show=False, id="alerts.repeat",
            tooltip="The last decision again, on this one"),
        Binding("exclamation_mark", "storm", "storm", show=False, id="alerts.storm",
            tooltip="To the storm that line 2 names; again: to the next one"),
        Binding("F", "fold", "fold", id="alerts.fold", tooltip="Fold what is the same, or one by one"),
        Binding("t", "order", "by breach", show=False, id="alerts.order",
            tooltip="Sort by time to breach, one by one; again: by severity"),
        Binding("T", "mark_pattern", "mark by pattern", show=False, id="alerts.pattern",
            tooltip="Mark what a pattern matches: host:web, sev:high, words"),
        Binding("K", "fold_key", "fold key", show=False, id="alerts.foldkey",
            tooltip="Which fields make alerts of this rule the same"),
        Binding("ctrl+e", "further(1)", "further", show=False, id="alerts.further",
            tooltip="The next lines of the detail"),
        Binding("ctrl+y", "further(-1)", "back", show=False, id="alerts.nearer",
            tooltip="The lines of the detail before"),
        Binding("J", "json", "JSON", show=False, id="alerts.json", tooltip="The detection as received"),
        Binding("f", "false_positive", "FP rule", show=False, id="alerts.fp",
            tooltip="Draft a false positive rule; see what it would have hidden"),
        Binding("S", "sensor", "sensor", show=False, id="alerts.sensor",
            tooltip="Its sensor's card: isolate, let back, tag"),
        Binding("R", "scorecard", "scorecard", show=False, id="alerts.scorecard",
            tooltip="How its rule does: false and true positives, whose, whether to tune it"),
        Binding("o", "organization", "organization", show=False, id="alerts.organization",
            tooltip="Its organization"),
        Binding("m", "access", "access", show=False, id="alerts.access",
            tooltip="Who may do what on its organization"),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.folded: bool | None = None
        """Whether the queue is folded; None while neither the operator nor the data has decided."""
        self._chose_look = False
        self._anchor: Anchor[QueueLine] | None = None
        self._page = 64
        self._to_top = True
        self._moved_yet = False
        self._by_due = False
        self._opened: FoldRow | None = None
        self._trail: list[Place] = []
        self._leaving = False
        """A filter was left, and what is shown is still what it wanted."""
        self._unfiltered: Anchor[QueueLine] | None = None
        """Where the cursor was when the filter came."""
        self._back: dict[int, str] = {}
        """Alert -> what brought it back from a snooze: a stranger's text."""
        self._shown_as: bool | None = None
        self._shown_closed = False
        self._acting = False
        """`;` was pressed: the next verb acts on what is marked."""
        self._seen_under: dict[Hashable, tuple[str, str]] = {}
        """Of each mark the filter line and the scope under which it was set."""
        self._marks: tuple[dict[int, bool], list[int]] = ({}, [])
        self._said: Found | None = None

    # -- the frame's questions --------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """The queue, and the pane."""
        with Container(id="split"):
            yield MarkTable(
                columns(self.context, self._back, folded=False), cursor=self.context.glyphs.cursor, id="queue"
            )
            yield AlertPane(self.context)

    @property
    def queue(self) -> MarkTable[QueueLine]:
        """The table."""
        return self.query_one("#queue", MarkTable)

    @property
    def pane(self) -> AlertPane:
        """The detail."""
        return self.query_one(AlertPane)

    # -- reading ----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Note where the cursor is, and what is marked."""
        table = self.queue
        where = table.where()
        self._moved_yet = where is not None
        self._anchor = None if self._to_top and not self._leaving else where
        self._page = table.page_size
        single = {
            row.id: row.status < 2 and row.snoozed_until is None
            for row in table.marks.values()
            if isinstance(row, AlertRow)
        }
        several = [row.storm for row in table.marks.values() if isinstance(row, FoldRow)]
        self._marks = (single, several)

    def read(self, connection: Connection) -> Found:
        """A few pages around the cursor, and how many there are."""
        scope, opened = self.context.scope.node_id, self._opened
        plain = self._wanted()
        if not self._chose_look:
            kept = preferences.get(connection, FOLDED)
            if isinstance(kept, bool):
                self.folded, self._chose_look = kept, True
        total = alerts.count(connection, AlertFilter(scope=scope))
        matching = total if not self.filter_line else alerts.count(connection, plain)
        lines, storms = 0, []
        by_due = plain.order == "due"
        if opened is not None:
            wanted = folds.within(plain, opened)
            opened = folds.fold_row(
                connection, replace(plain, order="rank"), opened.storm, now=self.context.clock()
            )
            matching = alerts.count(connection, wanted)
        else:
            wanted = plain
        folded = False
        if self._opened is None and not by_due and (self.folded or not self._chose_look):
            counted = folds.count(connection, plain)
            lines = counted.rows
            # While nobody has chosen, and nobody is reading yet, the data chooses.
            settled_look = self._chose_look or self._moved_yet
            folded = bool(self.folded) if settled_look else 0 < counted.rows <= HELPS * counted.alerts
        if folded:
            storms = folds.raging(connection, wanted, now=self.context.clock())
        source: AlertPages | FoldPages = (
            FoldPages(self.context.reader, wanted, self.context.clock, self._back, storms)
            if folded
            else AlertPages(self.context.reader, wanted, self._back)
        )
        anchor, stays = self._anchor, None
        if self._leaving:
            anchor = self._staying(connection, source, anchor)
            stays = (anchor,)
        window = read_window(source, anchor, self._page)
        gone, over = queue.settled(connection, *self._marks)
        settled: tuple[Hashable, ...] = (*gone, *(("storm", storm) for storm in over))
        still_open = matching
        if wanted.statuses != OPEN:
            statuses = tuple(status for status in wanted.statuses if status in OPEN)
            still_open = Count(0, exact=True)
            if statuses:
                still_open = alerts.count(connection, replace(wanted, statuses=statuses))
        return Found(
            source,
            window,
            folded,
            matching,
            total,
            lines if folded else 0,
            opened,
            settled,
            queue.names_of(connection, [wanted.oid] if wanted.oid else []),
            still_open,
            tuple(storms),
            stays,
            waiting=queue.waiting(connection, scope, now=self.context.clock()),
        )

    def _staying(
        self, connection: Connection, source: AlertPages | FoldPages, anchor: Anchor[QueueLine] | None
    ) -> Anchor[QueueLine] | None:
        """Where what is under the cursor stands in the wider queue; where the cursor was before the filter
        when it is not in there."""
        there = None if anchor is None else source.there(connection, anchor.row)
        if anchor is None or there is None:
            return self._unfiltered
        return Anchor(there, anchor.offset, at_start=False)

    def _wanted(self) -> AlertFilter:
        """What the filter line and the order in force want, folds aside."""
        wanted = parse_filter(
            self.filter_line,
            scope=self.context.scope.node_id,
            now=self.context.clock(),
            me=self.context.operator,
        )
        return replace(wanted, order="due") if self._by_due else wanted

    def has_nothing(self, found: Found) -> bool:
        """Whether no alert matches."""
        return not found.window.rows

    def empty_text(self) -> str:
        """Why the queue is empty, and what to do."""
        if self._opened is not None:
            return (
                f"Nothing of this fold is left in the queue. {press('app.back', 'q')} goes back; "
                "status:any shows closed ones too."
            )
        if self.filter_line:
            named = self._said.named if self._said is not None else {}
            hint = f" {meaning}" if (meaning := meant(self.filter_line)) else ""
            return (
                f"No alert matches {described(self.filter_line, named)}.{hint}"
                f" {press('app.back', 'esc')} shows all open ones."
            )
        status = self.context.status
        if status.known and status.running and status.fresh + status.failed < status.organizations:
            # What was not read yet may have any.
            so_far = f"{status.fresh:,} of {status.organizations:,} organizations have been read."
            return f"Reading the alerts: no open one so far. {so_far}"
        return super().empty_text()

    def show(self, found: Found) -> None:
        """The rows, the counts, and the detail of what is under the cursor."""
        top, self._to_top = self._to_top and found.stays is None, False
        self._put(found, top=top)
        if self.pane.display:
            self._detail_soon()

    def show_empty(self, found: Found) -> None:
        """Keep no row of before."""
        self._to_top = True
        self._put(found, top=True)

    def _put(self, found: Found, *, top: bool) -> None:
        table = self.queue
        closed = found.source.wanted.statuses != OPEN
        if (found.folded, closed) != (self._shown_as, self._shown_closed):
            self._shown_as, self._shown_closed = found.folded, closed
            table.show_columns(columns(self.context, self._back, folded=found.folded, closed=closed))
        if not self._chose_look:
            self.folded = found.folded if self._opened is None and not self._by_due else self.folded
        if found.stays is not None:
            self._leaving = False
            table.stand_on(*found.stays)
        table.put(found.source, found.window, top=top)
        table.unmark(found.settled)
        self._said = found
        self._say()

    def _say(self) -> None:
        found = self._said
        if found is None:
            return
        parts = [f"/{described(self.filter_line, found.named)}" if self.filter_line else "open"]
        if found.folded:
            parts.append("folded")
        if found.storms:
            parts.append(_storm_words(found.storms))
        if found.opened is not None:
            parts.append(_pace(found.opened, self.context))
        if self._by_due:
            parts.append("by time to breach")
        of = "" if found.matching == found.total else f" of {_counted(found.total)}"
        counts = f"{_counted(found.matching)}{of} open"
        if found.source.wanted.statuses != OPEN:
            # What is closed is no part of what is open.
            counts = f"{_counted(found.matching)} alert{'' if found.matching.value == 1 else 's'}, "
            counts += f"{_counted(found.still_open)} open"
        if found.folded:
            counts = f"{found.lines:,} line{'' if found.lines == 1 else 's'}, {counts}"
        if found.waiting:
            counts = f"{found.waiting:,} wait for the cloud   {counts}"
        if marked := self.marked:
            counts = f"{marked:,} marked   {counts}"
        title = self.TITLE
        if self._opened is not None:
            title = f"{self.TITLE} > {safe_text(self._opened.cat, 30)}"
            if self._opened.organizations > 1:
                title += f" ({self._opened.organizations:,} orgs)"
        self.say(title=title, filter="   ".join(parts), counts=counts)

    def apply_filter(self, line: str) -> None:
        """Any column: see `store.alerts.parse_filter`. Leaving one keeps the cursor on its thing: the next
        verb is for what was looked at."""
        parse_filter(
            line, scope=self.context.scope.node_id, now=self.context.clock(), me=self.context.operator
        )
        if hint := meant(line):
            self.tell(hint)
        if self.filter_line and not line:
            self._leaving = True
            self.queue.hold()
            return
        if not self.filter_line:
            self._unfiltered = self.queue.where()
        self._leaving, self._to_top = False, True

    def look_for(self, line: str) -> None:
        """Show what a filter line asks for; closing it goes back to what was shown before."""
        before = Place(self.filter_line, self._opened, self.queue.where())
        if line.strip() != before.line and self.filter_by(line):
            self._trail.append(before)
            self._opened = None

    def close_inner(self) -> bool:
        """What is pending, then the detail, then the fold or what was looked for, then the filter."""
        if self._acting:
            self._act_no_more()
            return True
        if self.pane.display:
            self._hide_detail()
            return True
        if self._trail:
            self._go_back(self._trail.pop())
            return True
        if self.filter_line:
            self.filter_by("")
            return True
        return False

    def _go_back(self, place: Place) -> None:
        self._opened = place.opened
        self.filter_line = place.line
        self._to_top = False
        self.queue.stand_on(place.anchor)
        self.reload(keys_wait=True)

    # -- what can be done -------------------------------------------------------------------------------

    @property
    def marked(self) -> int:
        """How many alerts are marked, those of marked folds included."""
        return sum(map(held, self.queue.marks.values()))

    def why_not(self, action: str) -> str:
        """What needs an alert cannot work without one, and what changes alerts not in a locked console."""
        current = self.queue.current
        if action in VERBS or action == "fold_key":
            if not self.context.writable:
                return "This console is read-only: nothing can be changed here."
            if self._acting and action in VERBS and self.queue.marks:
                return ""
        if action in NEEDS_LINE and current is None:
            return "No alert is under the cursor."
        if action == "sensor" and current is not None and (single := alone(current)) and not single.sid:
            return "This alert names no sensor."
        if action in ("organization", "access") and current is not None and not current.oid:
            return f"This line is of several organizations: {press('alerts.detail', 'enter')} opens it."
        if action == "marked" and not self.queue.marks:
            return (
                f"Nothing is marked: {press('move.mark', 'space')} marks, "
                f"{press('move.mark_range', 'V')} a range, "
                f"{press('alerts.pattern', 'T')} by a pattern."
            )
        if action == "storm" and not (self._said is not None and self._said.storms):
            return "No storm goes on that the folded queue shows."
        if action == "fold" and self._opened is not None:
            return f"This fold is open: {press('app.back', 'q')} goes back to the folded queue."
        return ""

    def on_mount(self) -> None:
        """Ages go on without the store's doing."""
        self.pane.display = False
        self.set_interval(AGES_EVERY, self._tick)

    def _tick(self) -> None:
        if self.is_current:
            self.queue.tick()

    def on_key(self, event: events.Key) -> None:
        """After `;` only a verb acts on what is marked."""
        bound = self._bound(event.key)
        action = "" if bound is None else bound.action
        if self._acting and event.key != "escape" and action not in (*VERBS, "marked"):
            self._act_no_more()

    # -- marks ------------------------------------------------------------------------------------------

    @on(MarkTable.Marked)
    def _marks_changed(self, event: MarkTable.Marked) -> None:
        event.stop()
        here = (self.filter_line, self.context.scope.node_id)
        marks = self.queue.marks
        self._seen_under = {key: self._seen_under.get(key, here) for key in marks}
        self._say()
        if not marks:
            self._act_no_more()

    @on(MarkTable.TooFar)
    def _too_far(self, event: MarkTable.TooFar) -> None:
        event.stop()
        self.tell(event.why, "warning")

    def action_marked(self) -> None:
        """The next verb acts on what is marked."""
        self._acting = True
        offered = "  ".join(with_keys(words) for words in VERBS.values() if words)
        self.tell(f"{self.marked:,} marked: {offered}")

    def _act_no_more(self) -> None:
        self._acting = False

    def action_mark_pattern(self) -> None:
        """Ask for a pattern, and mark what matches it."""
        here = "within " + (self.filter_line or "all open alerts")
        if self._opened is not None:
            here += f" of {self._opened.cat}"
        self.app.push_screen(MarkPattern(self._check_pattern, within=here), self._pattern_given)

    def _check_pattern(self, line: str) -> str:
        try:
            parse_filter(line, now=self.context.clock(), me=self.context.operator)
        except FilterError as error:
            return str(error)
        return ""

    def _pattern_given(self, line: str | None) -> None:
        if line is not None:
            self._mark_matching(line)

    @work(exclusive=True, group="pattern", exit_on_error=False)
    async def _mark_matching(self, line: str) -> None:
        found = await asyncio.to_thread(self._matching, line)
        if len(found) > MARKED_AT_ONCE:
            self.tell(
                f"More than {MARKED_AT_ONCE:,} match: narrow the pattern. Nothing was marked.", "warning"
            )
        elif not found:
            self.tell(f"Nothing that is open here matches {line}.")
        else:
            self.queue.mark(found)
            hint = f" {press('alerts.fold', 'F')} shows them one by one." if self._shown_as else ""
            self.tell(f"{len(found):,} marked: {press('alerts.marked', ';')} and a verb acts on them.{hint}")

    def _matching(self, line: str) -> list[QueueLine]:
        plain = self._wanted()
        inside = replace(plain if self._opened is None else folds.within(plain, self._opened), order="rank")
        pattern = parse_filter(line, scope=inside.scope, now=self.context.clock(), me=self.context.operator)
        with self.context.reader.reading() as connection:
            both = [
                or_(*(and_(*each) for each in alerts.matching(connection, wanted)))
                for wanted in (inside, pattern)
                if alerts.matching(connection, wanted)
            ]
            if len(both) < 2:
                return []
            return list(alerts.rows_where(connection, *both, limit=MARKED_AT_ONCE + 1))

    # -- verbs ------------------------------------------------------------------------------------------

    def _choose(self) -> Chosen | None:
        """What the verb acts on: the marked after `;`, else what is under the cursor."""
        acting, self._acting = self._acting, False
        here = (self.filter_line, self.context.scope.node_id)
        if acting and self.queue.marks:
            rows = [(row, *self._seen_under.get(key, here)) for key, row in self.queue.marks.items()]
            return chosen_of(rows, marked=True)
        current = self.queue.current
        return None if current is None else chosen_of([(current, *here)])

    def chosen_here(self) -> Chosen | None:
        """What is marked; else what is under the cursor."""
        self._acting = True
        return self._choose()

    def action_claim(self) -> None:
        """Make it mine."""
        if chosen := self._choose():
            self.post_message(ClaimAlerts(chosen))

    def action_release(self) -> None:
        """Make it nobody's."""
        if chosen := self._choose():
            self.post_message(ReleaseAlerts(chosen))

    def action_assign(self) -> None:
        """Give it to somebody."""
        if chosen := self._choose():
            self.post_message(AssignAlerts(chosen))

    def action_acknowledge(self) -> None:
        """Say that somebody looks at it."""
        if chosen := self._choose():
            self.post_message(AcknowledgeAlerts(chosen))

    def action_close(self) -> None:
        """Ask what it was, and close it."""
        if chosen := self._choose():
            self.post_message(CloseAlerts(chosen))

    def action_snooze(self) -> None:
        """Ask until when, and hide it."""
        if chosen := self._choose():
            self.post_message(SnoozeAlerts(chosen))

    def action_note(self) -> None:
        """Write a note on it."""
        if chosen := self._choose():
            self.post_message(NoteAlerts(chosen))

    def action_repeat(self) -> None:
        """The last decision again."""
        if chosen := self._choose():
            self.post_message(RepeatDecision(chosen))

    def action_undo(self) -> None:
        """Take back the last decision; with marks, or inside a fold, a part of it."""
        self._acting = False
        here = (self.filter_line, self.context.scope.node_id)
        if self.queue.marks:
            rows = [(row, *self._seen_under.get(key, here)) for key, row in self.queue.marks.items()]
            self.post_message(UndoDecision(chosen_of(rows, marked=True)))
        elif self._opened is not None:
            self.post_message(UndoDecision(chosen_of([(self._opened, *here)])))
        else:
            self.post_message(UndoDecision())

    def action_fold_key(self) -> None:
        """Which fields make alerts of this rule the same."""
        self._of_alert(lambda alert: self.post_message(EditFoldKey(alert.id)))

    # -- going about ------------------------------------------------------------------------------------

    def action_fold(self) -> None:
        """Fold what is the same, or show it one by one."""
        self.folded = not self._shown_as
        self._chose_look = True
        if self.folded:
            self._by_due = False
        self.post_message(Remember(FOLDED, self.folded))
        self.queue.hold()
        self.reload()

    def action_order(self) -> None:
        """By time to breach, or by severity."""
        self._by_due = not self._by_due
        self._to_top = True
        self.reload(keys_wait=True)

    @work(exclusive=True, group="next", exit_on_error=False)
    async def action_next(self) -> None:
        """To the next line that nobody has, behind the cursor, then from the top."""
        found = self._said
        if found is None:
            return
        # The verb behind it is for the alert that it goes to.
        with self.context.keys_wait("either"):
            row = await asyncio.to_thread(self._unclaimed, found, self.queue.current)
            if row is None:
                self.tell("Everything here is somebody's.", "warning")
            else:
                self.queue.go_to(row)

    def action_storm(self) -> None:
        """To the storm that goes on, or from one to the next."""
        storms = self._said.storms if self._said is not None else ()
        here = self.queue.current
        keys = [row.storm for row in storms]
        at = keys.index(here.storm) if isinstance(here, FoldRow) and here.storm in keys else -1
        if storms:
            self.queue.go_to(storms[(at + 1) % len(storms)])

    def _unclaimed(self, found: Found, current: QueueLine | None) -> QueueLine | None:
        source = found.source
        if isinstance(source, AlertPages):
            nobodys = AlertPages(self.context.reader, replace(source.wanted, who=""), self._back)
            rows = nobodys.after(current, 1) if current is not None else []
            rows = rows or nobodys.first(1)
            return rows[0] if rows and (current is None or identity(rows[0]) != identity(current)) else None
        rows, seen, wrapped = [], 0, current is None
        rows = source.first(200) if current is None else source.after(current, 200)
        while seen < LOOKED_THROUGH:
            for row in rows:
                if current is not None and identity(row) == identity(current):
                    return None
                if isinstance(row, FoldRow) and row.held < row.open:
                    return row
            seen += len(rows)
            if len(rows) == 200:
                rows = source.after(rows[-1], 200)
            elif wrapped:
                return None
            else:
                wrapped, rows = True, source.first(200)
        return None

    def _open(self, row: FoldRow) -> None:
        self._trail.append(Place(self.filter_line, self._opened, self.queue.where()))
        self._opened = row
        self._to_top = True
        self.reload(keys_wait=True)

    def _of_alert(self, then: Callable[[AlertRow], object]) -> None:
        """Do something with the alert that is under the cursor now; of several with the first one."""
        if (row := self.queue.current) is not None:
            self._with_alert(row, then)

    @work(exclusive=True, group="alert", exit_on_error=False)
    async def _with_alert(self, row: QueueLine, then: Callable[[AlertRow], object]) -> None:
        with self.context.keys_wait("either"):
            if (alert := await self._alert(row)) is None:
                self.tell("Nothing of this is in the queue any more.", "warning")
            elif isawaitable(done := then(alert)):
                await done

    async def _alert(self, row: QueueLine) -> AlertRow | None:
        """The alert that a line is; of several the first one."""
        if (single := alone(row)) is not None:
            return single
        assert isinstance(row, FoldRow)  # noqa: S101  (nothing else stands for several)
        return await asyncio.to_thread(self._first_of, row)

    def _first_of(self, row: FoldRow) -> AlertRow | None:
        wanted = replace(self._wanted(), order="rank")
        with self.context.reader.reading() as connection:
            return next(iter(folds.members(connection, row, wanted, limit=1)), None)

    # -- the detail -------------------------------------------------------------------------------------

    @on(RowTable.Moved, "#queue")
    def _moved(self, event: RowTable.Moved) -> None:
        event.stop()
        if self.pane.display:
            self._detail_soon()

    def _detail_soon(self) -> None:
        self.at_rest(self._read_detail)

    @work(exclusive=True, group="detail", exit_on_error=False)
    async def _read_detail(self) -> None:
        row = self.queue.current
        if row is None:
            self.pane.show(None)
            return
        alert = await self._alert(row)
        found = None if alert is None else await asyncio.to_thread(self._detail_of, alert)
        current = self.queue.current
        if current is not None and identity(current) == identity(row) and self.pane.display:
            self.pane.show(found)

    def _detail_of(self, row: AlertRow) -> Whole | None:
        # The rows do without half of what this screen would import: with the first detail, in its thread.
        from store.queries import alert_context

        with self.context.reader.reading() as connection:
            return alert_context.whole(connection, row.id, self.context.clock())

    def action_further(self, by: int) -> None:
        """The next lines of the pane, or the ones before."""
        self.pane.turn(by)

    def action_detail(self) -> None:
        """Open a fold; of one alert show or hide the pane."""
        row = self.queue.current
        if isinstance(row, FoldRow) and alone(row) is None:
            self._open(row)
        elif self.pane.display:
            self._hide_detail()
        else:
            self.pane.display = True
            self.queue.hold()
            self._read_detail()

    def _hide_detail(self) -> None:
        self.pane.display = False

    # -- going elsewhere --------------------------------------------------------------------------------

    def action_pivot(self) -> None:
        """Choose a value of the alert, and look for it everywhere."""
        self._of_alert(lambda alert: self.post_message(OpenPivot(alert.id)))

    def action_false_positive(self) -> None:
        """Draft a rule that hides what is like this alert."""
        self._of_alert(lambda alert: self.post_message(DraftFalsePositive(alert.id)))

    def action_sensor(self) -> None:
        """The card of its sensor."""
        self._of_alert(self._show_sensor)

    def _show_sensor(self, alert: AlertRow) -> None:
        if alert.sid:
            self.post_message(ShowSensor(alert.oid, alert.sid))
        else:
            self.tell("This alert names no sensor.", "warning")

    def action_json(self) -> None:
        """The detection as it was received, over the whole screen."""
        self._of_alert(self._show_json)

    async def _show_json(self, alert: AlertRow) -> None:
        found = await asyncio.to_thread(self._detail_of, alert)
        if found is None:
            self.tell("This alert is no longer in the store.", "warning")
        elif self.is_current:
            self.app.push_screen(AlertJson(found.detail), self._look_for_value)

    def _look_for_value(self, value: str | None) -> None:
        """What was chosen in the document."""
        if value is None:
            return
        try:
            self.look_for(pivot_line(value))
        except FilterError as error:
            self.tell(str(error), "error")

    def action_scorecard(self) -> None:
        """How its rule does, over the scope."""
        row = self.queue.current
        if row is not None:
            name = quoted_value(row.rule or row.cat)
            self.post_message(ShowView("scorecard", f"rule:{name}" if name else ""))

    def action_organization(self) -> None:
        """Its organization in the tree."""
        if (row := self.queue.current) is not None and row.oid:
            self.post_message(ShowOrganization(row.oid))

    def action_access(self) -> None:
        """Who may do what there."""
        if (row := self.queue.current) is not None and row.oid:
            self.post_message(ShowAccess(row.oid))

    def on_resize(self, event: events.Resize) -> None:
        """Another width, another text."""
        if self.pane.display:
            self._detail_soon()


def _pace(row: FoldRow, context: Context) -> str:
    """How fast a fold grows, and for how long it has been there: `20/h for 3m`."""
    rate = f"{row.per_hour:,.0f}" if row.per_hour >= 1 else "<1"
    return f"{rate}/h for {age(row.first_seen, context.clock())}"


def _storm_words(storms: tuple[FoldRow, ...]) -> str:
    """What goes on now, in a few words, and the key that leads there: `STORM 1,222 at 60 orgs: !`."""
    key = press("alerts.storm", "!")
    if len(storms) > 1:
        return f"{len(storms)} STORMS: {key}"
    return f"STORM {storms[0].open:,} at {storms[0].organizations:,} orgs: {key}"


def _counted(count: Count) -> str:
    return f"{count.value:,}" if count.exact else f"{count.value:,}+"
