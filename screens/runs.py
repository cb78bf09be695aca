"""Runs: what was done to many organizations, how far it has come, and what did not work where."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES, Context
from screens.detailed import Detailed
from screens.frame import KeyLine
from screens.keys import press
from screens.requests import BeginRun, DropRun, ShowOrganization, UndoRun
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import line
from store.access import counted
from store.runs import (
    CUT_OFF,
    GOOD,
    Item,
    Run,
    RunRow,
    RunStep,
    listed,
    load,
    progress,
    state_now,
    steps,
)  # fmt: skip
from store.runverbs import label
from store.times import age

LATEST = 500
"""Runs that are listed."""
STEPS = 300
"""Steps of an organization that the pane holds."""
WIDE = 60
"""Cells of the pane where it stands beside the list."""

STATE_HEALTH = {
    "draft": "unknown", "running": "partly", "done": "well", "partly": "failed", "failed": "failed",
    "dropped": "unknown", CUT_OFF: "failed", "waiting": "unknown", "doing": "partly", "refused": "failed",
}  # fmt: skip
"""State of a run, or of an organization in it -> the sign that it has."""
STEP_HEALTH = {"waiting": "unknown", "sending": "partly", "held back": "unknown", "unknown": "unknown"}
"""Outcome of a step -> its sign, where it is neither good nor failed."""
WORDS = {"draft": "not begun"}


@dataclass(frozen=True, slots=True)
class Opened:
    """A run, opened."""

    run: Run
    progress: dict[int, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Found:
    """The runs, and the one that is open."""

    runs: list[RunRow]
    opened: Opened | None


class Runs(Detailed[Found]):
    """The runs, newest first; one of them, organization by organization."""

    MODE = "runs"
    PANE = "#pane"
    TITLE = "Runs"
    EMPTY = (
        "Nothing was done to many organizations yet.\n\nIn Organizations, {move.mark=space} "
        "marks and {organizations.bulk=B} changes them."
    )
    CSS_PATH = "runs.tcss"
    AUTO_FOCUS = "RowTable"
    SCOPED = False
    READS = frozenset({"run", "run_item", "run_step"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "open", "open", id="runs.open", tooltip="Open the run: each organization, and why not"
        ),
        Binding(
            "A", "begin", "go on", id="runs.begin",
            tooltip="Begin it, carry on where it was cut off, or try again what failed",
        ),
        Binding(
            "b", "undo", "take back", id="runs.undo",
            tooltip="Plan the run that takes this one back; it is shown before it is begun",
        ),
        Binding("X", "drop", "put away", id="runs.drop", show=False, tooltip="Put away what was not begun"),
        Binding(
            "t", "tree", "tree", id="runs.tree", show=False,
            tooltip="The organization of the cursor in the tree",
        ),
        Binding("J", "scroll_detail(1)", "down", id="runs.down", show=False, tooltip="Scroll it down"),
        Binding("K", "scroll_detail(-1)", "up", id="runs.up", show=False, tooltip="Scroll it up"),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._found: Found | None = None
        self._open = 0
        """Number of the open run; 0 shows the list."""
        self._telling: tuple[int, str] | None = None
        """A run, and what is said as long as it is made."""
        self._words: tuple[str, ...] = ()
        self._steps: dict[tuple[int, int], tuple[RunStep, ...]] = {}
        """Of the items that were looked at since the last reading."""

    def compose_body(self) -> ComposeResult:
        """What is said of the open run, the list, and what is under the cursor."""
        yield Static("", id="head", classes="-closed", markup=False)
        with Container(id="split"):
            yield RowTable[RunRow](self._run_columns(), cursor=self.context.glyphs.cursor, id="runs-list")
            yield RowTable[Item](
                self._item_columns(), cursor=self.context.glyphs.cursor, id="items", classes="-closed"
            )
            with VerticalScroll(id="pane", can_focus=False):
                yield Static("", markup=False)

    def _run_columns(self) -> list[Column[RunRow]]:
        now = self.context.clock
        return [
            Column("RUN", lambda row: str(row.id), 4, align="right"),
            Column("TITLE", lambda row: row.title, 20, grow=3, cut="middle"),
            Column("STATE", self._run_state, 11, style=lambda row: self._style(self._state(row))),
            Column("ORGS", lambda row: f"{row.items:,}", 6, align="right"),
            Column("DONE", lambda row: f"{row.items_done:,}", 6, align="right"),
            Column(
                "FAILED", lambda row: f"{row.items_bad:,}" if row.items_bad else "-", 6, align="right",
                style=lambda row: HEALTH_STYLES["failed"] if row.items_bad else "",
            ),
            Column("KIND", lambda row: row.kind, 8, from_width=100),
            Column("BY", lambda row: row.by, 10, grow=1, from_width=90),
            Column("AGE", lambda row: age(row.created_at, now()), 5, align="right"),
        ]  # fmt: skip

    def _item_columns(self) -> list[Column[Item]]:
        return [
            Column("ORGANIZATION", lambda row: row.name, 22, grow=2, cut="middle"),
            Column(
                "STATE", lambda row: self._signed(row.state), 10, style=lambda row: self._style(row.state)
            ),
            Column("STEPS", self._counted, 7, align="right"),
            Column("WHY", lambda row: row.reason, 20, grow=3),
        ]

    def _signed(self, state: str) -> str:
        return f"{self.context.glyphs.health[STATE_HEALTH[state]]} {WORDS.get(state, state)}"

    def _state(self, run: Run | RunRow) -> str:
        return state_now(run, self.context.clock())

    def _run_state(self, row: RunRow) -> str:
        state = self._state(row)
        if state == "draft" and row.expires_at <= self.context.clock():
            return self._signed(state).replace(WORDS["draft"], "too old")
        return self._signed(state)

    @staticmethod
    def _style(state: str) -> str:
        return HEALTH_STYLES[STATE_HEALTH[state]]

    def _counted(self, row: Item) -> str:
        opened = self._found.opened if self._found else None
        done, total = opened.progress.get(row.item, (0, 0)) if opened else (0, 0)
        return f"{done:,}/{total:,}"

    @property
    def run_table(self) -> RowTable[RunRow]:
        """The list of runs."""
        return self.query_one("#runs-list", RowTable)

    @property
    def item_table(self) -> RowTable[Item]:
        """The organizations of the open run."""
        return self.query_one("#items", RowTable)

    def tell_while_made(self, run: int, text: str) -> None:
        """Say who makes a run, until the next key or until nobody makes it any more."""
        self._telling = (run, text)
        self.tell(text, "warning")
        self.reload()

    def open_run(self, run: int) -> None:
        """Show a run in full."""
        self._open = run
        if self.is_mounted:
            self._lay_panes()
            self.reload()

    # -- reading ----------------------------------------------------------------------------------------

    def read(self, connection: Connection) -> Found:
        """The runs, and the organizations of the open one."""
        found = listed(connection, limit=LATEST)
        opened = None
        if self._open and any(row.id == self._open for row in found):
            opened = Opened(load(connection, self._open), progress(connection, self._open))
        return Found(found, opened)

    def has_nothing(self, found: Found) -> bool:
        """No run was planned."""
        return not found.runs

    def show(self, found: Found) -> None:
        """Bring list and run up to date; the cursors stay where they are."""
        self._found = found
        self._steps.clear()
        if found.opened is None:
            self._open = 0
        self._lay_panes()
        self._lay_out()
        if self._telling is not None:
            run, text = self._telling
            if not any(row.id == run and self._state(row) == "running" for row in found.runs):
                self._telling = None
                self.query_one("#keys", KeyLine).forget(text)

    def show_empty(self, found: Found) -> None:
        """Forget what was shown."""
        self._found, self._open = found, 0
        self.run_table.put(Listed([], key=_run_id))
        self.say(counts="", filter="", title=self.TITLE)

    def _lay_panes(self) -> None:
        opened = bool(self._open)
        self.query_one("#head").set_class(not opened, "-closed")
        self.run_table.set_class(opened, "-closed")
        self.item_table.set_class(not opened, "-closed")
        table = self.item_table if opened else self.run_table
        if self.is_current and self.focused is not table:
            table.focus()

    def _lay_out(self) -> None:
        found = self._found
        if found is None:
            return
        said = f"/{self.filter_line}" if self.filter_line else ""
        if found.opened is None:
            rows = [
                row
                for row in found.runs
                if self._wants(f"{row.id} {row.title} {row.kind} {self._state(row)}")
            ]
            self.run_table.put(Listed(rows, key=_run_id))
            some = f"{len(rows):,} of " if len(rows) != len(found.runs) else ""
            self.say(counts=f"{some}{counted(len(found.runs), 'run')}", title=self.TITLE, filter=said)
        else:
            run = found.opened.run
            items = [row for row in _bad_first(run) if self._wants(f"{row.name} {row.state} {row.reason}")]
            self.item_table.put(Listed(items, key=_item))
            some = f"{len(items):,} of " if len(items) != len(run.items) else ""
            counts = f"{some}{counted(len(run.items), 'organization')}"
            self.say(title=f"Run {run.id}: {run.title}", counts=counts, filter=said)
            self.query_one("#head", Static).update(Content("\n").join(self._head(run)))
        self.detail()
        self.keys_changed()

    def _wants(self, hay: str) -> bool:
        folded = hay.casefold()
        return all(word in folded for word in self._words)

    def apply_filter(self, line: str) -> None:
        """Keep the runs, or the organizations of the open one, that hold every word."""
        self._words = tuple(line.casefold().split())

    def _head(self, run: Run) -> list[Content]:
        """How far it has come, what it does, and who was left out."""
        state = self._state(run)
        whole = sum(item.state == "done" for item in run.items)
        counts = ", ".join(f"{number:,} {word}" for word, number in run.counts.items())
        lines = [
            line(
                (f" {self._signed(state)}", self._style(state)),
                (f"   {whole:,} of {counted(len(run.items), 'organization')} done", "bold"),
                f"   steps: {counts}",
            ),
            line(
                (f" {', '.join(label(verb) for verb in run.verbs)}", ""),
                (f"   by {run.approved_by or run.by}, chosen: ", "dim"), (run.source or "name", "dim"),
            ),
        ]  # fmt: skip
        left = run.options.get("left_out") or ()
        if left:
            names = ", ".join(str(name) for _, name, _ in left[:3])
            more = f" +{len(left) - 3:,} more" if len(left) > 3 else ""
            lines.append(line((f" left out {len(left):,}: ", HEALTH_STYLES["failed"]), names, more))
        if run.undo_of is not None:
            lines.append(Content(f" takes back run {run.undo_of}"))
        if run.undone_by is not None:
            lines.append(Content(f" was taken back by run {run.undone_by}"))
        return lines

    # -- the detail -------------------------------------------------------------------------------------

    def detail(self) -> None:
        """The steps of the organization under the cursor, or what a run is about."""
        found = self._found
        if found is None or self.look != "full":
            return
        width = (WIDE if self.has_class("-wide") else self.size.width) - 2
        if found.opened is None:
            row = self.run_table.current
            self.say_detail(self._run_lines(row) if row else [], width, 2)
            return
        item = self.item_table.current
        if item is None:
            self.say_detail([])
            return
        self._read_steps(found.opened.run.id, item, width)

    @work(exclusive=True, group="detail", exit_on_error=False)
    async def _read_steps(self, run_id: int, item: Item, width: int) -> None:
        key = (run_id, item.item)
        if key not in self._steps:

            def reading() -> tuple[RunStep, ...]:
                with self.context.reader.reading() as connection:
                    return tuple(steps(connection, *key, limit=STEPS + 1))

            made = await asyncio.to_thread(reading)
            if self.item_table.current != item:
                return
            self._steps[key] = made
        self.say_detail(self._step_lines(item, self._steps[key]), width, 2)

    def _run_lines(self, row: RunRow) -> list[Content]:
        lines = [line((row.title, "bold")), line((f"by {row.by}, chosen: ", "dim"), (row.source, "dim"))]
        lines.append(
            Content(
                f"{row.items_done:,} of {counted(row.items, 'organization')} done, {row.items_bad:,} not; "
                f"{press('runs.open', 'enter')} shows each."
            )
        )
        if self._state(row) == CUT_OFF:
            lines.append(Content.styled("It was cut off: A carries on.", HEALTH_STYLES["failed"]))
        return lines

    def _step_lines(self, item: Item, made: tuple[RunStep, ...]) -> list[Content]:
        health = self.context.glyphs.health
        lines = [line((item.name, "bold"), (f"   {item.oid}" if item.oid else "   not there yet", "dim"))]
        if item.reason:
            lines.append(line((item.reason, HEALTH_STYLES["failed"])))
        for step in made[:STEPS]:
            state = "well" if step.outcome in GOOD else STEP_HEALTH.get(step.outcome, "failed")
            lines.append(
                line(
                    (f"{health[state]} {step.outcome:<9} ", HEALTH_STYLES[state]), step.words,
                    (f"   {step.error}" if step.error else "", "dim"),
                )
            )  # fmt: skip
        if len(made) > STEPS:
            lines.append(Content.styled(f"only the first {STEPS:,} steps are shown", "dim"))
        return lines

    def on_resize(self, event: events.Resize) -> None:
        """The pane stands beside the list where there is room."""
        self.set_class(self.size.width >= 120, "-wide")
        super().on_resize(event)

    # -- keys -------------------------------------------------------------------------------------------

    @property
    def _run(self) -> tuple[int, str] | None:
        """(number, state) of the run that keys are about."""
        found = self._found
        if found is None:
            return None
        if found.opened is not None:
            run = found.opened.run
            return run.id, self._state(run)
        row = self.run_table.current
        return None if row is None else (row.id, self._state(row))

    def why_not(self, action: str) -> str:
        """Why a key cannot work on what is under the cursor."""
        if action in ("open", "begin", "undo", "drop") and self._run is None:
            return "No run is selected."
        if action == "tree" and (
            not self._open or self.item_table.current is None or not self.item_table.current.oid
        ):
            return f"No organization is selected: {press('runs.open', 'enter')} opens a run."
        if self._run is None:
            return ""
        state = self._run[1]
        if action == "begin" and state == "done":
            return "Everything of it is done."
        if action == "undo" and state in ("draft", "running", CUT_OFF):
            return "It is not at its end, so there is nothing to take back yet."
        if action == "drop" and state != "draft":
            return "Only what was not begun is put away."
        return ""

    def action_open(self) -> None:
        """Open the run of the cursor."""
        if not self._open and self._run is not None:
            self.open_run(self._run[0])

    def close_inner(self) -> bool:
        """Back to the list."""
        if self.filter_line:
            self.filter_by("")
            return True
        if self._open:
            self._open = 0
            self._lay_panes()
            self.reload()
            return True
        return False

    def action_begin(self) -> None:
        """Begin it, carry on, or try again."""
        if self._run is not None:
            self.post_message(BeginRun(self._run[0]))

    def action_undo(self) -> None:
        """Plan what takes it back."""
        if self._run is not None:
            self.post_message(UndoRun(self._run[0]))

    def action_drop(self) -> None:
        """Put it away."""
        if self._run is not None:
            self.post_message(DropRun(self._run[0]))

    def action_tree(self) -> None:
        """Show the organization in the tree."""
        item = self.item_table.current
        if item is not None and item.oid:
            self.post_message(ShowOrganization(item.oid))


def _bad_first(run: Run) -> list[Item]:
    """Of a run that has ended what failed comes first; while it goes on every line stays where it is."""
    if run.state == "running":
        return list(run.items)
    return sorted(run.items, key=lambda item: (item.state in ("done", "waiting"), item.item))


def _run_id(row: RunRow) -> int:
    return row.id


def _item(row: Item) -> int:
    return row.item
