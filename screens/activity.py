"""What limegrove did: runs of sync, what could not be read, and what was changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import ContentSwitcher, Static

from screens.context import HEALTH_STYLES, Context
from screens.detailed import Detailed
from screens.frame import Line, Part, paused_words, two_sided
from screens.keys import press
from screens.requests import ShowAccess, ShowOrganization
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.spark import bar
from screens.widgets.text import line
from store.queries.activity import Entry, Failure, Run, failures, journal, runs
from store.queries.organizations import organizations
from store.text import cell_width, safe_text
from store.times import age

DEAD_AFTER = 120_000
"""Milliseconds without a sign of life after which a run that never ended is called dead."""

TICK = 1.0
"""Seconds between two looks at the ages, and at the time left, on the screen."""

SECTIONS: tuple[tuple[str, str], ...] = (("runs", "Sync"), ("failures", "Not read"), ("journal", "Journal"))
"""(id, title) in the order of `[` and `]`."""

LIMIT = 1000
"""Failures and journal entries shown; more are counted as `or more`."""


@dataclass(frozen=True, slots=True)
class Found:
    """All three sections."""

    runs: list[Run]
    failures: list[Failure]
    journal: list[Entry]
    names: dict[str, str]
    """oid -> name"""
    now: int


class Activity(Detailed[Found]):
    """Three lists, one shown at a time, with what the cursor is on written out below."""

    MODE = "activity"
    PANE = "#activity-detail"
    TITLE = "Activity"
    CSS_PATH = "activity.tcss"
    AUTO_FOCUS = "RowTable.-current"
    READS = frozenset({"sync_run", "sync_state", "journal", "organization"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "right_square_bracket", "section(1)", "section", id="activity.next",
            tooltip="The next section: sync runs, what could not be read, the journal",
        ),
        Binding(
            "left_square_bracket", "section(-1)", "section", id="activity.previous", show=False,
            tooltip="The section before",
        ),
        Binding("enter", "go", "go there", id="activity.go", tooltip="Its organization in the tree"),
        Binding("m", "access", "access", id="activity.access", tooltip="Who may do what on it"),
        Binding("J", "scroll_detail(1)", "detail down", id="activity.down", show=False,
            tooltip="Scroll the detail down"),
        Binding("K", "scroll_detail(-1)", "detail up", id="activity.up", show=False,
            tooltip="Scroll the detail up"),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._section = 0
        self._found: Found | None = None
        self._shown: dict[str, list[Any]] = {}

    def compose_body(self) -> ComposeResult:
        """The names of the sections, the lists, the detail."""
        cursor = self.context.glyphs.cursor
        yield Line(id="sections")
        with ContentSwitcher(initial="runs", id="lists"):
            yield RowTable(self._run_columns(), cursor=cursor, id="runs", classes="-current")
            yield RowTable(self._failure_columns(), cursor=cursor, id="failures")
            yield RowTable(self._journal_columns(), cursor=cursor, id="journal")
        with VerticalScroll(id="activity-detail", can_focus=False):
            yield Static("", markup=False)

    def on_mount(self) -> None:
        """Ages and the time left go on without the store's doing."""
        self.set_interval(TICK, self._tick)
        self._focus_list()

    @property
    def section(self) -> str:
        """Id of the section that is shown."""
        return SECTIONS[self._section][0]

    @property
    def table(self) -> RowTable[Any]:
        """The list that is shown."""
        return self.query_one(f"#{self.section}", RowTable)

    # -- columns ----------------------------------------------------------------------------------------

    def _run_columns(self) -> list[Column[Run]]:
        clock = self.context.clock
        width = 10
        return [
            Column(
                "STATE",
                lambda run: self._state_text(run),
                11,
                style=lambda run: HEALTH_STYLES[run_state(run, clock())[0]],
            ),
            Column("STARTED", lambda run: self.context.when(run.started_at), 23),
            Column("TOOK", lambda run: took(run, clock()), 6, align="right"),
            Column("READ", lambda run: f"{run.done:,}/{run.organizations:,}", 9, align="right"),
            Column("", lambda run: bar(run.done, run.organizations, width), width, from_width=100),
            Column("FAILED", lambda run: f"{len(run.failed):,}" if run.failed else "-", 6, align="right"),
            Column("ALERTS", lambda run: f"+{run.detections_new:,}", 7, align="right"),
            Column("REQUESTS", lambda run: f"{run.requests:,}", 8, align="right", from_width=84),
            Column("", lambda run: run.note, 4, grow=1),
        ]

    def _state_text(self, run: Run) -> str:
        health, word = run_state(run, self.context.clock())
        return f"{self.context.glyphs.health[health]} {word}"

    def _failure_columns(self) -> list[Column[Failure]]:
        clock = self.context.clock
        sign = self.context.glyphs.health["failed"]
        return [
            Column(
                "ORGANIZATION",
                lambda failure: f"{sign} {failure.organization or failure.oid or '(this credential)'}",
                22,
                grow=1,
                cut="middle",
                style=lambda failure: HEALTH_STYLES["failed"],
            ),
            Column("SUBJECT", lambda failure: failure.subject, 13),
            Column("KIND", lambda failure: failure.failure, 11),
            Column("COPY", lambda failure: age(failure.checked_at, clock()), 5, align="right"),
            Column("TRIED", lambda failure: age(failure.attempted_at, clock()), 5, align="right"),
            Column("BECAUSE", lambda failure: failure.reason, 12, grow=3),
        ]

    def _journal_columns(self) -> list[Column[Entry]]:
        return [
            Column("NO", lambda entry: f"{entry.seq:,}", 5, align="right"),
            Column("TIME", lambda entry: self.context.when(entry.time), 23),
            Column("WHO", lambda entry: entry.actor, 12, grow=1, cut="middle"),
            Column("ACTION", lambda entry: entry.action, 14, grow=1),
            Column(
                "ORGANIZATION", lambda entry: self._named(entry.oid), 10, grow=1, from_width=100, cut="middle"
            ),
            Column("TARGET", lambda entry: entry.target, 12, grow=2, cut="middle"),
        ]

    def _named(self, oid: str) -> str:
        return self._found.names.get(oid, oid) if self._found is not None else oid

    # -- reading ----------------------------------------------------------------------------------------

    def read(self, connection: Connection) -> Found:
        """All three sections; failures are those of the scope."""
        now = self.context.clock()
        scope = self.context.scope.node_id
        return Found(
            runs(connection, limit=50),
            failures(connection, scope=scope, limit=LIMIT),
            journal(connection, limit=LIMIT),
            {row.oid: row.name for row in organizations(connection, now=now)},
            now,
        )

    def show(self, found: Found) -> None:
        """The lists; each cursor stays on its thing."""
        self._found = found
        self._lay_out()

    def _lay_out(self) -> None:
        found = self._found
        if found is None:
            return
        words = self.filter_line.casefold().split()
        names = found.names
        self._shown = {
            "runs": [run for run in found.runs if _holds(words, run.note, *_failed_texts(run, names))],
            "failures": [
                failure
                for failure in found.failures
                if _holds(
                    words, failure.organization, failure.oid, failure.subject, failure.failure, failure.reason
                )
            ],
            "journal": [
                entry
                for entry in found.journal
                if _holds(words, entry.actor, entry.action, entry.target, entry.oid, names.get(entry.oid, ""))
            ],
        }
        self.query_one("#runs", RowTable).put(Listed(self._shown["runs"], key=lambda run: run.id))
        self.query_one("#failures", RowTable).put(
            Listed(self._shown["failures"], key=lambda failure: (failure.oid, failure.subject))
        )
        self.query_one("#journal", RowTable).put(Listed(self._shown["journal"], key=lambda entry: entry.seq))
        self._say_all()
        self.detail()

    def _say_all(self) -> None:
        found = self._found
        if found is None:
            return
        parts: list[Part] = []
        for number, (name, title) in enumerate(SECTIONS):
            count = len(self._shown.get(name, ()))
            text = f" {title} {count:,}{'+' if count == LIMIT else ''} "
            here = number == self._section
            parts.append((f"[{text}]" if here else f" {text} ", "bold reverse" if here else ""))
        sections = self.query_one("#sections", Line)
        width = sections.size.width
        budget = self._budget(width - sum(cell_width(text) for text, _ in parts) - 2)
        sections.say(two_sided(parts, budget, width) if budget else line(*parts))
        self.say(filter=f"/{self.filter_line}" if self.filter_line else "", counts=self._latest(found))

    def _budget(self, room: int) -> list[Part]:
        """How fast the cloud is asked, in as many words as there is room for."""
        status = self.context.status
        style = HEALTH_STYLES["partly"] if status.paused else "dim"
        budget = safe_text(status.budget)
        for text in paused_words(status.paused) or [budget, budget.partition(",")[0]]:
            if text and cell_width(text) <= room:
                return [(f"{text} ", style)]
        return []

    def _latest(self, found: Found) -> str:
        if not found.runs:
            return "never synced"
        run = found.runs[0]
        health, word = run_state(run, self.context.clock())
        left = seconds_left(run, self.context.clock()) if word == "running" else None
        text = f"sync {word} {run.done:,} of {run.organizations:,}"
        if left is not None:
            text += f", {left:,} s left"
        elif health != "unknown":
            text += f", {age(run.finished_at or run.seen_at, self.context.clock())} ago"
        return text

    def _tick(self) -> None:
        if self.is_current and self._found is not None and self.look == "full":
            self.table.tick()
            self._say_all()

    # -- filter and sections ----------------------------------------------------------------------------

    def apply_filter(self, line: str) -> None:
        """Keep what holds every word."""
        self.filter_line = line
        self._lay_out()

    def action_section(self, step: int) -> None:
        """The section beside."""
        self._section = (self._section + step) % len(SECTIONS)
        self.query_one("#lists", ContentSwitcher).current = self.section
        for table in self.query(RowTable):
            table.set_class(table.id == self.section, "-current")
        self._focus_list()
        self._say_all()
        self.detail()

    def _focus_list(self) -> None:
        self.table.focus()
        self.keys_changed()

    # -- the detail -------------------------------------------------------------------------------------

    def detail(self) -> None:
        """What is known of the line under the cursor."""
        if self._found is None:
            return
        row = self.table.current
        lines: Sequence[Content]
        if isinstance(row, Run):
            lines = run_lines(row, self._found.names, self.context)
        elif isinstance(row, Failure):
            lines = failure_lines(row, self.context)
        elif isinstance(row, Entry):
            lines = entry_lines(row, self._found.names, self.context)
        else:
            lines = [Content(" " + self._why_empty())]
        self.say_detail(lines)

    def _why_empty(self) -> str:
        if self.filter_line:
            return f"Nothing here matches the filter; {press('app.back', 'esc')} forgets it."
        return {
            "runs": f"No sync has run. {press('app.sync', 'r')} or :sync reads the cloud.",
            "failures": "Everything that was asked for could be read."
            if self._found is not None and self._found.runs
            else "Nothing was read yet: no sync has run.",
            "journal": "Nothing was changed by this console.",
        }[self.section]

    # -- requests ---------------------------------------------------------------------------------------

    def _oid(self) -> str:
        row = self.table.current
        if isinstance(row, Failure | Entry):
            return row.oid
        if isinstance(row, Run) and row.failed:
            return row.failed[0][0]
        return ""

    def why_not(self, action: str) -> str:
        """What goes to an organization needs one."""
        if action in ("go", "access") and not self._oid():
            return "This line belongs to no single organization."
        return ""

    def action_go(self) -> None:
        """Show the organization."""
        if oid := self._oid():
            self.post_message(ShowOrganization(oid))

    def action_access(self) -> None:
        """Show its matrix."""
        if oid := self._oid():
            self.post_message(ShowAccess(oid))


def _holds(words: Sequence[str], *texts: str) -> bool:
    if not words:
        return True
    hay = "\n".join(texts).casefold()
    return all(word in hay for word in words)


def _failed_texts(run: Run, names: dict[str, str]) -> list[str]:
    return [f"{names.get(oid, '')} {oid} {reason}" for oid, reason in run.failed]


def run_state(run: Run, now: int) -> tuple[str, str]:
    """How a run is, of HEALTH, and a word: running, done, partly, failed, broken off."""
    if run.finished_at is None:
        return ("unknown", "running") if now - run.seen_at < DEAD_AFTER else ("failed", "broken off")
    if run.note == "stopped":
        return ("partly", "stopped")
    if run.note not in ("", "done"):  # the sentence that ended it
        return ("failed", "failed")
    if not run.failed:
        return ("well", "done")
    return ("failed", "failed") if run.done <= len(run.failed) else ("partly", "partly")


def took(run: Run, now: int) -> str:
    """How long a run took, or takes: `42s`, `3m`."""
    if run.finished_at is None and run_state(run, now)[1] != "running":
        return age(run.started_at, run.seen_at)
    return age(run.started_at, run.finished_at or now)


def seconds_left(run: Run, now: int) -> int | None:
    """Of a running one, from its pace so far; None before anything is done."""
    if not run.done or run.finished_at is not None:
        return None
    return int((now - run.started_at) / 1000 / run.done * max(0, run.organizations - run.done))


def run_lines(run: Run, names: dict[str, str], context: Context) -> list[Content]:
    """A run, and every organization that failed in it with the reason."""
    now = context.clock()
    health, word = run_state(run, now)
    left = seconds_left(run, now) if word == "running" else None
    lines = [
        line(
            (f" {context.glyphs.health[health]} {word}", HEALTH_STYLES[health]),
            f"   run {run.id}   {run.done:,} of {run.organizations:,} organizations "
            f"[{bar(run.done, run.organizations, 20)}]",
            f"   {left:,} s left" if left is not None else "",
        ),
        line(
            f"   from {context.when(run.started_at)}",
            f" to {context.when(run.finished_at)}"
            if run.finished_at
            else f", last sign of life {age(run.seen_at, now)} ago",
        ),
        line(
            f"   {run.detections_new:,} new detections, {run.requests:,} requests",
            f"   {run.note}" if run.note else "",
        ),
    ]
    lines.extend(
        line(
            (f" {context.glyphs.health['failed']} ", HEALTH_STYLES["failed"]),
            (names.get(oid) or oid or "(this credential)", "bold"),
            f": {reason}",
        )
        for oid, reason in run.failed
    )
    return lines


def failure_lines(failure: Failure, context: Context) -> list[Content]:
    """A failure in full."""
    copy = (
        f"what is shown of it is from {context.when(failure.checked_at)}"
        if failure.checked_at is not None
        else "it was never read"
    )
    return [
        line(
            (f" {context.glyphs.health['failed']} ", HEALTH_STYLES["failed"]),
            (failure.organization or failure.oid or "(this credential)", "bold"),
            f"   {failure.subject}   {failure.oid}",
        ),
        line(f"   {failure.failure}: ", failure.reason or "no reason was given"),
        line(f"   tried {context.when(failure.attempted_at)}; {copy}"),
    ]


def entry_lines(entry: Entry, names: dict[str, str], context: Context) -> list[Content]:
    """A journal entry in full."""
    lines = [
        line((f" {entry.action}", "bold"), f"   {entry.target}"),
        line(f"   no {entry.seq:,}, {context.when(entry.time)}, by {entry.actor}"),
    ]
    if entry.oid:
        lines.append(line(f"   on {names.get(entry.oid, '')} ({entry.oid})"))
    lines.extend(
        line((f"   {key}  ", "bold"), json.dumps(value, ensure_ascii=False, default=str))
        for key, value in entry.detail.items()
    )
    return lines
