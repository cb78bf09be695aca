"""Plans of changed configuration: whom they change and how, wave by wave, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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
from screens.dialogs.apply_rollout import named
from screens.keys import press
from screens.requests import (
    ApplyRollout,
    DraftRollout,
    PauseRollout,
    ShowOrganization,
    ShowView,
    UndoRollout,
)
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import line
from store.access import counted
from store.queries.rollouts import (
    Folded,
    PlanLine,
    Progress,
    Shape,
    WaveLine,
    organizations_of,
    plans,
    progress,
    shape,
)
from store.rollouts.contents import both_of
from store.rollouts.diff import as_yaml, differences
from store.rollouts.keeping import Step
from store.templates.effective import short_key
from store.times import age

WIDE = 60
"""Cells of the pane where it stands beside the list."""

LINES = 400
"""Lines of a difference that the pane holds."""

BAR = 8
"""Cells of the bar of a wave."""

GOES_ON = ("running", "paused", "halted")

STATE_WORDS = {"draft": "not applied", "running": "running"}
"""State of a plan -> its words, where they differ."""

STATE_STYLES = {
    "draft": "bold", "running": "ansi_yellow", "done": HEALTH_STYLES["well"],
    "partly": HEALTH_STYLES["failed"], "halted": HEALTH_STYLES["failed"], "paused": HEALTH_STYLES["partly"],
}  # fmt: skip

WAVE_HEALTH = {
    "waiting": "unknown", "running": "partly", "gate": "partly", "done": "well", "failed": "failed",
    "rolled back": "unknown",
}  # fmt: skip
VERDICT_HEALTH = {"pass": "well", "fail": "failed", "inconclusive": "partly"}

SIGNS = {"added": "+", "changed": "~", "enabled": "~", "disabled": "~", "removed": "-"}
"""Class of a change -> its sign."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a plan: a wave, a step that failed, a change folded over organizations, who is blocked."""

    key: str
    sign: str
    what: str
    """May be a stranger's text."""
    state: str
    count: int
    said: str
    """May be a stranger's text."""
    style: str = ""
    wave: WaveLine | None = None
    folded: Folded | None = None
    failed: Step | None = None
    blocked: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A plan, opened."""

    line: PlanLine
    shape: Shape
    progress: Progress


@dataclass(frozen=True, slots=True)
class Found:
    """The plans, and the one that is open."""

    plans: list[PlanLine]
    opened: Opened | None


class Rollouts(Detailed[Found]):
    """The plans, newest first; one of them in full."""

    MODE = "rollouts"
    PANE = "#pane"
    TITLE = "Rollouts"
    EMPTY = (
        "No rollout was planned yet.\n\n{rollouts.new=n} compares what the templates want with "
        "what the organizations have."
        "\n:templates shows what they want, and where it comes from."
    )
    CSS_PATH = "rollouts.tcss"
    AUTO_FOCUS = "RowTable"
    SCOPED = False
    READS = frozenset(
        {"rollout_plan", "rollout_wave", "rollout_step", "rollout_approval", "organization", "node"}
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "open", "open", id="rollouts.open",
            tooltip="Open the plan; in it, the difference as large as the screen, and back",
        ),
        Binding(
            "n", "new", "new plan", id="rollouts.new",
            tooltip="Compare what the templates want with what there is below the scope, and plan it",
        ),
        Binding(
            "A", "apply", "apply", id="rollouts.apply",
            tooltip="Say whom the plan changes, and roll it out, or carry on with it",
        ),
        Binding(
            "p", "pause", "pause", id="rollouts.pause",
            tooltip="Stop behind the records that are under way; {rollouts.resume=R} carries on",
        ),
        Binding(
            "R", "resume", "carry on", id="rollouts.resume", show=False,
            tooltip="Carry on with a plan that was paused, halted or cut off",
        ),
        Binding(
            "b", "undo", "roll back", id="rollouts.undo",
            tooltip="Make the plan that takes this one back; it is shown before it is applied",
        ),
        Binding("d", "drift", "drift", id="rollouts.drift", tooltip="What differs from the templates now"),
        Binding(
            "t", "tree", "tree", id="rollouts.tree", show=False,
            tooltip="The organization of the cursor in the tree",
        ),
        Binding(
            "J", "scroll_detail(1)", "down", id="rollouts.down", show=False, tooltip="Scroll the detail down",
        ),
        Binding(
            "K", "scroll_detail(-1)", "up", id="rollouts.up", show=False, tooltip="Scroll the detail up",
        ),
    ]  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._found: Found | None = None
        self._open = 0
        """Number of the open plan; 0 shows the list."""
        self._large = False
        self._words: tuple[str, ...] = ()
        self._shapes: dict[int, Shape] = {}
        self._shown: tuple[int, str] = (0, "")
        """Plan and row whose difference stands in the pane."""

    def compose_body(self) -> ComposeResult:
        """What is said of the open plan, the list, and what is under the cursor."""
        yield Static("", id="head", classes="-closed", markup=False)
        with Container(id="split"):
            yield RowTable[PlanLine](self._plan_columns(), cursor=self.context.glyphs.cursor, id="plans")
            yield RowTable[Row](
                self._row_columns(), cursor=self.context.glyphs.cursor, id="rows", classes="-closed"
            )
            with VerticalScroll(id="pane", can_focus=False):
                yield Static("", markup=False)

    def _plan_columns(self) -> list[Column[PlanLine]]:
        now = self.context.clock

        def style(row: PlanLine) -> str:
            return STATE_STYLES.get(self._state(row.plan.state, row.plan.expires_at), "")

        return [
            Column("PLAN", lambda row: str(row.plan.id), 5, align="right"),
            Column("TITLE", lambda row: row.plan.title, 20, grow=3),
            Column("STATE", lambda row: self._state(row.plan.state, row.plan.expires_at), 11, style=style),
            Column("ORGS", lambda row: f"{row.organizations:,}", 6, align="right"),
            Column("DONE", lambda row: f"{row.good:,}/{row.steps:,}", 9, align="right"),
            Column(
                "FAILED", lambda row: f"{row.bad:,}" if row.bad else "-", 6, align="right",
                style=lambda row: HEALTH_STYLES["failed"] if row.bad else "",
            ),
            Column("BY", lambda row: row.plan.by, 10, grow=1, from_width=90),
            Column("AGE", lambda row: age(row.plan.created_at, now()), 6, align="right"),
        ]  # fmt: skip

    def _state(self, state: str, expires_at: int) -> str:
        if state == "draft" and expires_at <= self.context.clock():
            return "expired"
        return STATE_WORDS.get(state, state)

    def _row_columns(self) -> list[Column[Row]]:
        return [
            Column("", lambda row: row.sign, 1, style=lambda row: row.style),
            Column(
                "WHAT", lambda row: short_key(row.what), 26, grow=3, cut="middle",
                style=lambda row: row.style,
            ),
            Column("STATE", lambda row: row.state, 12, style=lambda row: row.style),
            Column("ORGS", lambda row: f"{row.count:,}" if row.count else "", 5, align="right"),
            Column("", lambda row: row.said, 16, grow=1),
        ]  # fmt: skip

    @property
    def plan_table(self) -> RowTable[PlanLine]:
        """The list of plans."""
        return self.query_one("#plans", RowTable)

    @property
    def row_table(self) -> RowTable[Row]:
        """The lines of the open plan."""
        return self.query_one("#rows", RowTable)

    def open_plan(self, plan: int) -> None:
        """Show a plan in full."""
        self._open, self._large = plan, False
        self._lay_panes()
        self.reload()

    # -- reading ----------------------------------------------------------------------------------------

    def read(self, connection: Connection) -> Found:
        """The plans, and everything about the open one."""
        found = plans(connection)
        opened = None
        if self._open:
            row = next((each for each in found if each.plan.id == self._open), None)
            if row is not None:
                known = self._shapes.get(self._open)
                if known is None:
                    known = self._shapes[self._open] = shape(connection, row.plan)
                opened = Opened(row, known, progress(connection, self._open))
        return Found(found, opened)

    def has_nothing(self, found: Found) -> bool:
        """No plan was made."""
        return not found.plans

    def show(self, found: Found) -> None:
        """Bring list and plan up to date; the cursors stay where they are."""
        self._found = found
        if found.opened is None:
            self._open = 0
        self._lay_panes()
        self._lay_out()

    def show_empty(self, found: Found) -> None:
        """Forget what was shown."""
        self._found, self._open = found, 0
        self.plan_table.put(Listed([], key=_plan_id))
        self.say(counts="", filter="", title=self.TITLE)

    def _lay_panes(self) -> None:
        opened = bool(self._open)
        self.query_one("#head").set_class(not opened or self._large, "-closed")
        self.plan_table.set_class(opened, "-closed")
        self.row_table.set_class(not opened or self._large, "-closed")
        pane = self.query_one("#pane")
        pane.styles.height = "1fr" if self._large else None
        pane.styles.width = "1fr" if self._large else None
        table = self.row_table if opened else self.plan_table
        if self.is_current and self.focused is not table and not self._large:
            table.focus()

    def _lay_out(self) -> None:
        found = self._found
        if found is None:
            return
        if found.opened is None:
            rows = [each for each in found.plans if self._wants(f"{each.plan.id} {each.plan.title}")]
            self.plan_table.put(Listed(rows, key=_plan_id))
            every = len(found.plans)
            some = f"{len(rows):,} of " if len(rows) != every else ""
            self.say(counts=f"{some}{counted(every, 'plan')}", title=self.TITLE, filter=self._said_filter())
        else:
            opened = found.opened
            lines = [each for each in self._rows(opened) if self._wants(f"{each.what} {each.state}")]
            self.row_table.put(Listed(lines, key=_row_key))
            plan = opened.line.plan
            self.say(
                title=f"Rollout {plan.id}: {plan.title}",
                counts=self._state(plan.state, plan.expires_at),
                filter=self._said_filter(),
            )
            self.query_one("#head", Static).update(Content("\n").join(self._head(opened)))
        self.detail()
        self.keys_changed()

    def _said_filter(self) -> str:
        return f"/{self.filter_line}" if self.filter_line else ""

    def _wants(self, hay: str) -> bool:
        folded = hay.casefold()
        return all(word in folded for word in self._words)

    # -- a plan in words --------------------------------------------------------------------------------

    def _head(self, opened: Opened) -> list[Content]:
        """Whom it changes comes first, then what is dangerous about it."""
        plan, formed, now = opened.line.plan, opened.shape, self.context.clock()
        does = "CHANGES" if plan.state == "draft" else "changes"
        lines = [
            line((f" {does} {counted(len(formed.oids), 'organization')}: ", "bold"))
            + named(formed.name(oid) for oid in formed.oids)
        ]
        of = f"{formed.alike:,} of {len(formed.oids):,}"
        same = f" {of} get the same {counted(formed.alike_changes, 'change')}"
        differ = len(formed.oids) - formed.alike
        rest = f", {differ:,} differ" if differ else ""
        lines.append(Content(f"{same}{rest}, {len(plan.blocked):,} blocked   {self._time(opened, now)}"))
        gone = formed.destructive
        if gone:
            what = ", ".join(each.change.what for each in gone[:2])
            more = f" and {len(gone) - 2:,} more" if len(gone) > 2 else ""
            lines.append(
                line((" ! DESTRUCTIVE, cannot be taken back: ", HEALTH_STYLES["failed"]), f"{what}{more}")
            )
        if formed.protected:
            lines.append(
                line((" protected, typed by name: ", HEALTH_STYLES["partly"]))
                + named(formed.name(oid) for oid in formed.protected)
            )
        if plan.risks and plan.state == "draft":
            lines.append(
                line((" a second person has to approve: ", HEALTH_STYLES["partly"]), " ".join(plan.risks))
            )
        if plan.undo_of is not None:
            lines.append(Content(f" It takes back what plan {plan.undo_of} did."))
        if plan.said:
            lines.append(line((f" {plan.state}: ", STATE_STYLES.get(plan.state, "")), plan.said))
        return lines

    def _time(self, opened: Opened, now: int) -> str:
        plan, stands = opened.line.plan, opened.progress
        if plan.state == "draft":
            left = plan.expires_at - now
            return (
                f"expires in {max(1, left // 60_000)} min"
                if left > 0
                else f"EXPIRED: {press('rollouts.new', 'n')} plans again"
            )
        if plan.state == "running":
            still = stands.left(now)
            return f"{stands.done:,}/{stands.total:,} done" + (f", {lasting(still)} left" if still else "")
        return f"{stands.done - stands.bad:,} of {stands.total:,} done, {stands.bad:,} not"

    def _rows(self, opened: Opened) -> list[Row]:
        """Waves, what failed, what is changed, who is left out."""
        formed, glyphs = opened.shape, self.context.glyphs
        rows = []
        for wave in opened.progress.waves:
            health = WAVE_HEALTH.get(wave.state, "unknown")
            verdict = str(wave.gate.get("verdict", ""))
            word = f"gate {verdict}" if wave.state == "gate" and verdict else wave.state
            full = BAR * wave.done // max(1, wave.total)
            bar = glyphs.bar * full + glyphs.empty * (BAR - full)
            bad = f" {wave.bad:,} not" if wave.bad else ""
            rows.append(
                Row(
                    f"wave {wave.number}", glyphs.health[health], wave_name(wave), word,
                    wave.organizations, f"{bar} {wave.done:,}/{wave.total:,}{bad}", HEALTH_STYLES[health],
                    wave=wave,
                )
            )  # fmt: skip
        for step in opened.progress.failed:
            rows.append(
                Row(
                    f"failed {step.seq}", glyphs.health["failed"],
                    f"{formed.name(step.change.oid)}: {short_key(step.change.what)}", step.outcome, 0,
                    step.error,
                    HEALTH_STYLES["failed"], failed=step,
                )
            )  # fmt: skip
        for each in formed.folded:
            change = each.change
            destructive = change.destructive
            by = change.after.template if change.after else ""
            said = (
                "DESTRUCTIVE: cannot be taken back"
                if destructive
                else f"{by} v{change.after.version}"
                if by and change.after
                else ""
            )
            rows.append(
                Row(
                    f"change {each.step.seq}", "!" if destructive else SIGNS[change.change], change.what,
                    change.change, len(each.oids), said, HEALTH_STYLES["failed"] if destructive else "",
                    folded=each,
                )
            )  # fmt: skip
        for oid, reason in opened.line.plan.blocked:
            rows.append(
                Row(
                    f"blocked {oid}", ".", str(formed.name(oid)), "blocked", 0, reason,
                    HEALTH_STYLES["partly"], blocked=oid,
                )
            )  # fmt: skip
        return rows

    # -- the pane ---------------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        """The pane is wrapped to its width."""
        self._shown = (0, "")
        super().on_resize(event)

    def detail(self) -> None:
        """What is known of the line under the cursor."""
        found = self._found
        if found is None:
            return
        if found.opened is None:
            self._put(self._about(self.plan_table.current))
            return
        row = self.row_table.current
        if row is None:
            self._put([self.nothing_said()])
        elif row.wave is not None or row.failed is not None or row.folded is not None:
            self._look_at(found.opened, row)
        else:
            self._put([line((f" {row.what}", "bold"), " is left out"), line(f" {row.said}")])

    def _put(self, lines: Sequence[Content]) -> None:
        self._shown = (0, "")
        width = WIDE if self.size.width >= 120 and not self._large else self.size.width
        self.say_detail(lines, width)

    def _about(self, row: PlanLine | None) -> list[Content]:
        """A plan that is not opened, in short."""
        if row is None:
            return [self.nothing_said()]
        plan = row.plan
        state = self._state(plan.state, plan.expires_at)
        lines = [
            line((f" Plan {plan.id}  ", "bold"), (plan.title, "bold")),
            line(
                f" {counted(row.organizations, 'organization')}, {counted(row.steps, 'change')}   ",
                (state, STATE_STYLES.get(state, "")),
            ),
        ]
        if row.destructive:
            lines.append(
                line(
                    (f" ! {counted(row.destructive, 'change')} DESTRUCTIVE, cannot be taken back",
                     HEALTH_STYLES["failed"])
                )
            )  # fmt: skip
        if plan.said:
            lines.append(line(f" {plan.said}"))
        lines += [line((" needs approval: ", HEALTH_STYLES["partly"]), each) for each in plan.risks]
        lines.append(line(f" planned by {plan.by or 'nobody'} at {self.context.when(plan.created_at)}"))
        if plan.approved_at is not None:
            lines.append(line(f" begun by {plan.approved_by} at {self.context.when(plan.approved_at)}"))
        if plan.undo_of is not None:
            lines.append(Content(f" takes back plan {plan.undo_of}"))
        if plan.blocked:
            lines.append(Content(f" {counted(len(plan.blocked), 'organization')} blocked"))
        return lines

    @work(exclusive=True, group="detail", exit_on_error=False)
    async def _look_at(self, opened: Opened, row: Row) -> None:
        lines = await asyncio.to_thread(self._read_detail, opened, row)
        now = self.row_table.current
        if self._open == opened.line.plan.id and now is not None and now.key == row.key:
            self._put(lines)

    def _read_detail(self, opened: Opened, row: Row) -> list[Content]:
        plan, formed = opened.line.plan, opened.shape
        key = self.context.redaction_key()
        with self.context.reader.reading() as connection:
            if row.wave is not None:
                names = organizations_of(connection, plan.id, row.wave.number)
                return wave_lines(row.wave, names, self.context)
            step = row.failed or (row.folded.step if row.folded is not None else None)
            if step is None:
                return []
            change = step.change
            both = both_of(connection, change, key=key, undo_of=plan.undo_of)
        if row.folded is not None:
            oids = row.folded.oids
            lines = [
                line(
                    (f" {change.what}", "bold"),
                    f"  {change.change} at {counted(len(oids), 'organization')}: ",
                )
                + named(formed.name(oid) for oid in oids)
            ]
            if change.destructive:
                lines.append(
                    line((" ! DESTRUCTIVE: ", HEALTH_STYLES["failed"]), DESTROYS.get(change.section, ""))
                )
        else:
            lines = [
                line((f" {formed.name(change.oid)}", "bold"), f"  {change.what}"),
                line((f" {step.outcome}: ", HEALTH_STYLES["failed"]), step.error or "nobody knows why"),
            ]
        if change.after is not None and change.after.template:
            lines.append(line(f" wanted by {change.after.template} v{change.after.version}"))
        if both.note:
            lines.append(line((f" {both.note}", HEALTH_STYLES["partly"])))
        if change.after is not None and both.after is None:
            return lines
        if both.before is not None and both.after is not None:
            lines += [line((f" {each.words}", "bold")) for each in differences(both.before, both.after)[:8]]
        text = as_yaml(both.before, both.after)
        lines += [
            line(
                (f"   {each}", {"-": "ansi_red", "+": "ansi_green"}.get(each[:1], ""))
            )
            for each in text[:LINES]
        ]  # fmt: skip
        if len(text) > LINES:
            lines.append(Content(f"   and {len(text) - LINES:,} more lines"))
        return lines

    # -- filter and back --------------------------------------------------------------------------------

    def apply_filter(self, line: str) -> None:
        """Words that a title, a record or an organization has to hold."""
        self._words = tuple(line.casefold().split())

    def close_inner(self) -> bool:
        """The large difference, the filter, the open plan."""
        if self._large:
            self._large = False
            self._lay_panes()
            self.rested()
            return True
        if self.filter_line:
            self.filter_by("")
            return True
        if self._open:
            self._open = 0
            self._lay_panes()
            self.reload()
            return True
        return False

    # -- keys -------------------------------------------------------------------------------------------

    @property
    def plan(self) -> PlanLine | None:
        """The open plan, or that of the cursor."""
        if self._found is None:
            return None
        return self._found.opened.line if self._found.opened is not None else self.plan_table.current

    @property
    def offers_all(self) -> bool:
        """What a plan may be asked for depends on how far it has come."""
        return False

    def why_not(self, action: str) -> str:
        """What a plan's state does not allow."""
        if action in ("new", "apply", "pause", "resume", "undo") and not self.context.writable:
            return "This console is read-only."
        row = self.plan
        if action in ("open", "apply", "pause", "resume", "undo") and row is None:
            return f"No plan is selected: {press('rollouts.new', 'n')} makes one."
        if row is None:
            return "This line is about no organization." if action == "tree" else ""
        plan = row.plan
        state = self._state(plan.state, plan.expires_at)
        if action == "apply" and (state == "expired" or plan.state not in ("draft", *GOES_ON)):
            return f"Plan {plan.id} is {state}: {press('rollouts.new', 'n')} plans again."
        if action == "resume" and plan.state not in GOES_ON:
            return f"Plan {plan.id} is {state}: there is nothing to carry on with."
        if action == "pause" and plan.state != "running":
            return f"Plan {plan.id} is {state}: nothing runs."
        if action == "undo" and not row.good:
            return f"Plan {plan.id} has changed nothing yet."
        if action == "tree" and not self._oid():
            return "This line is about no organization."
        return ""

    def action_open(self) -> None:
        """A plan, or a difference as large as the screen."""
        if self._open:
            self._large = not self._large
            self._lay_panes()
            self.rested()
        elif (row := self.plan_table.current) is not None:
            self.open_plan(row.plan.id)

    def action_new(self) -> None:
        """Plan anew."""
        self.post_message(DraftRollout())

    def action_apply(self) -> None:
        """Roll it out, after asking."""
        if self.plan is not None:
            self.post_message(ApplyRollout(self.plan.plan.id))

    def action_resume(self) -> None:
        """Carry on, after asking."""
        self.action_apply()

    def action_pause(self) -> None:
        """Stop it."""
        if self.plan is not None:
            self.post_message(PauseRollout(self.plan.plan.id))

    def action_undo(self) -> None:
        """The plan that takes it back."""
        if self.plan is not None:
            row = self.row_table.current if self._open else None
            wave = row.wave.number if row is not None and row.wave is not None else 0
            folded = row.folded if row is not None else None
            self.post_message(
                UndoRollout(self.plan.plan.id, wave, folded.change.what if folded is not None else "")
            )

    def action_drift(self) -> None:
        """What differs now."""
        self.post_message(ShowView("drift"))

    def _oid(self) -> str:
        row = self.row_table.current if self._open else None
        if row is None:
            return ""
        if row.failed is not None:
            return row.failed.change.oid
        return row.folded.oids[0] if row.folded is not None else row.blocked

    def action_tree(self) -> None:
        """An organization of the line in the tree."""
        if oid := self._oid():
            self.post_message(ShowOrganization(oid))


DESTROYS = {
    "extension": "the organization is unsubscribed, and the extension's data goes with it.",
    "installation_key": "sensors can no longer be enrolled with this key; a new one is another key.",
    "hive/secret": "the secret is lost, and what refers to it fails.",
    "org_value": "the value is cleared.",
}
"""Section -> what its removal does."""


def _plan_id(row: PlanLine) -> int:
    return row.plan.id


def _row_key(row: Row) -> str:
    return row.key


def lasting(milliseconds: int) -> str:
    """`40 s`, `6 min`."""
    seconds = milliseconds // 1000
    return f"{max(1, seconds)} s" if seconds < 90 else f"{round(seconds / 60):,} min"


def wave_name(wave: WaveLine) -> str:
    """`wave 1: canary`; of a mere number of organizations the column beside it tells."""
    return f"wave {wave.number}" if wave.name.isdecimal() else f"wave {wave.number}: {wave.name}"


def wave_lines(wave: WaveLine, names: Sequence[str], context: Context) -> list[Content]:
    """A wave in full: who is in it, and what each check of its gate says."""
    health = WAVE_HEALTH.get(wave.state, "unknown")
    lines = [
        line((f" {wave_name(wave)}", "bold"), "  ", (wave.state, HEALTH_STYLES[health]))
        + Content(f"  {counted(len(names), 'organization')}: ")
        + named(names, 12)
    ]
    if wave.started_at is not None:
        ended = f" to {context.when(wave.finished_at)}" if wave.finished_at is not None else ""
        lines.append(Content(f" from {context.when(wave.started_at)}{ended}"))
    outcomes = ", ".join(f"{number:,} {word}" for word, number in sorted(wave.outcomes.items()))
    lines.append(line(f" records: {outcomes or 'none'}"))
    verdict = str(wave.gate.get("verdict", ""))
    if not verdict:
        lines.append(Content(" gate: has not looked yet"))
        return lines
    style = HEALTH_STYLES[VERDICT_HEALTH.get(verdict, "unknown")]
    lines.append(line((f" gate {verdict}: ", style), str(wave.gate.get("said", ""))))
    checks = wave.gate.get("checks", {})
    for name, check in checks.items():
        health = VERDICT_HEALTH.get(str(check.get("verdict")), "unknown")
        lines.append(
            line(
                (f"   {context.glyphs.health[health]} {check.get('verdict', '')} ", HEALTH_STYLES[health]),
                f"{name}: {check.get('said', '')}",
            )
        )
    return lines
