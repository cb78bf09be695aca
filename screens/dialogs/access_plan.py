"""A plan about access: what it makes where, before it is approved; and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.context import HEALTH_STYLES, Context
from screens.dialogs.dialog import TABS, Dialog
from screens.keys import press
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import line
from store.access import counted
from store.accessplans import Plan, PlanRow, confirmed
from store.times import age

NAMED = 3
"""Organizations that are named before the rest is counted."""

PROTECTED = 8
"""And of those that are protected: whoever applies the plan has to know them."""

RISKS = 3
"""Gains of privileged permissions that are named before the rest is counted."""

TOUCHED = "touched"
"""In place of an outcome: the line is no step, it names an organization that the plan touches."""

GOOD = ("done", "already")

BECAME = {
    "waiting": "waits",
    "sending": "under way",
    "done": "done",
    "already": "was so",
    "conflict": "CONFLICT",
    "denied": "DENIED",
    "gone": "GONE",
    "failed": "FAILED",
    "held back": "HELD BACK",
    "unknown": "UNKNOWN",
    "expired": "EXPIRED",
}
"""Outcome of a step -> its word on the screen; in capitals what is not as it was wanted."""


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of a plan in words."""

    seq: int
    where: str
    """The organization, or the group with how many it holds: strangers' text."""
    words: str
    """What it changes; may hold strangers' text."""
    outcome: str
    """Of `store.accessplans.OUTCOMES`."""
    why: str = ""
    """Why it is not as it was wanted; may be a stranger's text."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A plan with all that is said of it."""

    plan: Plan
    steps: tuple[StepLine, ...]
    organizations: tuple[str, ...]
    """Names of those that it touches; those that a step names come first. Strangers' text."""
    privileged: tuple[tuple[str, str, int], ...] = ()
    """(who, permission, on how many organizations) of each gain of a privileged permission."""
    gained: int = 0
    lost: int = 0
    people: int = 0
    said: str = ""
    """What came of the last try; may hold strangers' text."""


@dataclass(frozen=True)
class PlanAnswer:
    """What to do with a plan."""

    deed: Literal["apply", "keep", "drop", "undo"]
    confirm: str = ""
    """What was typed for protected organizations."""


def named(names: Sequence[str], most: int = NAMED) -> Content:
    """`Acme Dental, Borealis Foods, Cedar Clinic +211 more`."""
    parts: list[str | tuple[str, str]] = []
    for number, name in enumerate(names[:most]):
        parts += [", "] if number else []
        parts.append((name, "bold"))
    if len(names) > most:
        parts.append(f" +{len(names) - most:,} more")
    return line(*parts)


def risks(privileged: Sequence[tuple[str, str, int]]) -> list[Content]:
    """A line for each gain of a permission that makes its holder master of an organization."""
    lines = [
        line(
            ("! privileged gain: ", HEALTH_STYLES["failed"]),
            (who, "bold"), " ", (permission, HEALTH_STYLES["failed"]),
            f" on {counted(count, 'organization')}",
        )
        for who, permission, count in privileged[:RISKS]
    ]  # fmt: skip
    if len(privileged) > RISKS:
        lines.append(
            Content.styled(f"! and {len(privileged) - RISKS:,} more such gains", HEALTH_STYLES["failed"])
        )
    return lines


def _steps(found: Shown, cursor: str, *, results: bool) -> RowTable[StepLine]:
    columns = [
        Column[StepLine]("WHERE", lambda row: row.where, 20, grow=1, from_width=100 if results else 0),
        Column[StepLine]("STEP", lambda row: row.words, 30, grow=2, cut="middle"),
    ]
    if results:
        columns.insert(
            0,
            Column[StepLine](
                "RESULT",
                lambda row: BECAME[row.outcome],
                9,
                style=lambda row: "" if row.outcome in GOOD else "bold ansi_yellow",
            ),
        )
        columns.append(Column[StepLine]("WHY", lambda row: row.why, 10, grow=2))
    return RowTable(columns, cursor=cursor, id="steps")


class _OfSteps(Dialog[PlanAnswer | None]):
    """Says the line under the cursor in full: a table cuts it where it says on whom."""

    DEFAULT_CSS = """
    _OfSteps #step { max-height: 4; margin-top: 1; }
    _OfSteps.-low #step { margin-top: 0; }
    """

    @on(RowTable.Moved)
    def _moved(self, event: RowTable.Moved) -> None:
        event.stop()
        row: StepLine | None = event.row
        if row is None:
            return
        text = f"{row.where} {row.words}" if row.outcome == TOUCHED else row.words
        why = f": {row.why}" if row.why else ""
        self.query_one("#step", Static).update(line((text, "bold"), why))


class AccessPlan(_OfSteps):
    """A plan that waits for approval. Answers what to do with it; None leaves it as a draft."""

    AUTO_FOCUS = "#steps"
    WIDEST = 140
    DEFAULT_CSS = """
    AccessPlan > Vertical { height: 100%; max-height: 40; }
    AccessPlan RowTable { height: 1fr; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *TABS,
        Binding("a", "approve", "apply", id="access_plan.apply", tooltip="Approve it, and apply it at once"),
        Binding("s", "do('keep')", "keep", id="access_plan.keep", tooltip="Leave it as a draft"),
        Binding(
            "escape,q,ctrl+c", "do('drop')", "put away", id="access_plan.drop",
            tooltip="Put the plan away; what is staged stays staged",
        ),
    ]  # fmt: skip

    def __init__(self, found: Shown, context: Context) -> None:
        """Show it."""
        super().__init__()
        self._found = found
        self._shared = context
        self._trouble = found.said

    def on_mount(self) -> None:
        """The steps, in the order of where they act; behind them every organization that they touch."""
        rows = sorted(self._found.steps, key=lambda row: (row.where.casefold(), row.seq))
        protected = {str(name) for _, name in self._found.plan.protected}
        rows += [
            StepLine(-number, name, f"is touched{', PROTECTED' * (name in protected)}", TOUCHED)
            for number, name in enumerate(self._found.organizations, 1)
        ]
        self.query_one("#steps", RowTable).put(Listed(rows, key=lambda row: row.seq))
        if self._found.plan.phrase:
            self.query_one("#confirm", Input).focus()

    def heading(self) -> Content:
        """What it changes for whom, on which organizations."""
        found, plan = self._found, self._found.plan
        left = max(0, plan.expires_at - self._shared.clock())
        lines = [
            line(
                (f"Plan {plan.id}, {counted(len(plan.steps), 'change')}: ", "bold"), plan.title,
                (f"   good for {left // 60_000} min", "dim"),
            ),
            line("touches ", (counted(len(found.organizations), "organization"), "bold"), ": ")
            + named(found.organizations)
            + Content("; the list below ends with every one" * (len(found.organizations) > NAMED)),
            Content(
                f"{found.gained:,} gained and {found.lost:,} lost by {counted(found.people, 'principal')}"
                if found.people
                else "nobody gains or loses anything"
            ),
            *risks(found.privileged),
        ]  # fmt: skip
        if plan.protected:
            names = [name for _, name in plan.protected]
            lines.append(Content.styled("protected: ", "bold ansi_yellow") + named(names, PROTECTED))
        return Content("\n").join(lines)

    def compose_body(self) -> ComposeResult:
        """The steps, and what has to be typed."""
        yield _steps(self._found, self._shared.glyphs.cursor, results=False)
        yield Static("", id="step", markup=False)
        if self._found.plan.phrase:
            with Container(classes="dialog-field"):
                yield Static("confirm", classes="dialog-label", markup=False)
                yield Input(id="confirm", compact=True, select_on_focus=False)

    def keys(self) -> Content:
        """How it is approved."""
        phrase = self._found.plan.phrase
        way = line(
            *(
                ("type ", (phrase, "bold"), self._found.plan.or_id, ", enter apply")
                if phrase
                else ("a approve and apply",)
            ),
            "   esc put away" if phrase else "   s keep as a draft   esc put away",
        )
        if not self._trouble:
            return way
        return Content("\n").join([line((self._trouble, "bold ansi_yellow")), way])

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_approve()

    def action_approve(self) -> None:
        """Answer it, once what has to be typed is."""
        plan, typed = self._found.plan, ""
        if plan.phrase:
            field = self.query_one("#confirm", Input)
            typed = field.value.strip()
            if not confirmed(plan.protected, typed):
                self._say(f"Not applied: type {plan.phrase}{plan.or_id}, exactly so.")
                field.focus()
                return
        if not self._shared.writable:
            self._say("This console is read-only.")
        elif plan.expires_at <= self._shared.clock():
            self._say(
                f"The plan is too old: esc, then {press('access.plan', 'P')} plans anew from "
                "what is there now."
            )
        else:
            self.dismiss(PlanAnswer("apply", typed))

    def action_do(self, deed: Literal["keep", "drop"]) -> None:
        """Answer it."""
        self.dismiss(PlanAnswer(deed))

    def _say(self, trouble: str) -> None:
        self._trouble = trouble
        self.refresh_words()


class PlanResult(_OfSteps):
    """What became of a plan, the steps that are not as they were wanted first."""

    AUTO_FOCUS = "#steps"
    WIDEST = 140
    DEFAULT_CSS = """
    PlanResult > Vertical { height: 100%; max-height: 40; }
    PlanResult RowTable { height: 1fr; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("U", "undo", "undo", id="plan_result.undo", tooltip="Plan what takes it back"),
        Binding("enter,q", "leave", "close", id="plan_result.close", tooltip="Close"),
    ]

    def __init__(self, found: Shown, context: Context) -> None:
        """`found.said` is the sum of it, in a sentence."""
        super().__init__()
        self._found = found
        self._shared = context
        self._trouble = ""

    def on_mount(self) -> None:
        """The steps."""
        rows = sorted(self._found.steps, key=lambda row: (row.outcome in GOOD, row.seq))
        self.query_one("#steps", RowTable).put(Listed(rows, key=lambda row: row.seq))

    def heading(self) -> Content:
        """How much of it is as it was wanted."""
        found, plan = self._found, self._found.plan
        good = sum(1 for step in found.steps if step.outcome in GOOD)
        counts = ", ".join(f"{count:,} {name}" for name, count in plan.counts.items())
        whole = good == len(found.steps)
        lines = [
            line(
                (f"Plan {plan.id}  {plan.state}: {good:,} of {counted(len(found.steps), 'change')} hold",
                 "bold" if whole else "bold ansi_yellow"),
                "   ", (plan.title, ""),
            ),
            line(counts, (f"   by {plan.by}", "dim")),
            line("touched ", (counted(len(found.organizations), "organization"), "bold"), ": ")
            + named(found.organizations),
        ]  # fmt: skip
        if found.said:
            lines.append(line((found.said, "" if whole else "bold ansi_yellow")))
        return Content("\n").join(lines)

    def compose_body(self) -> ComposeResult:
        """A line for each step."""
        yield _steps(self._found, self._shared.glyphs.cursor, results=True)
        yield Static("", id="step", markup=False)

    def keys(self) -> Content:
        """The way back, and the way to take it back."""
        way = Content("enter close   U undo it: a plan that takes it back")
        if not self._trouble:
            return way
        return Content("\n").join([Content.styled(self._trouble, "bold ansi_yellow"), way])

    def action_undo(self) -> None:
        """Plan what takes it back; only what was done is."""
        if any(step.outcome == "done" for step in self._found.steps):
            self.dismiss(PlanAnswer("undo"))
        else:
            self._trouble = "It changed nothing that could be taken back."
            self.refresh_words()


class AccessPlans(Dialog[int | None]):
    """The latest plans. Answers the number of the chosen one; None when the operator went back."""

    AUTO_FOCUS = "#plans"
    WIDEST = 130
    DEFAULT_CSS = """
    AccessPlans > Vertical { height: 90%; max-height: 36; }
    AccessPlans RowTable { height: 1fr; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter,U", "open", "open", id="access_plans.open", tooltip="Its steps and what became of them"
        ),
        Binding("q", "leave", "close", id="access_plans.close", tooltip="Close"),
    ]

    def __init__(self, found: Sequence[PlanRow], context: Context) -> None:
        """The last one first."""
        super().__init__()
        self._found = found
        self._shared = context

    def heading(self) -> Content:
        """What they are."""
        return Content.styled("Plans about access, the last one first", "bold")

    def compose_body(self) -> ComposeResult:
        """A line each."""
        clock: Callable[[], int] = self._shared.clock
        table: RowTable[PlanRow] = RowTable(
            [
                Column("PLAN", lambda row: str(row.id), 4, align="right"),
                Column("STATE", lambda row: row.state, 8,
                       style=lambda row: "bold ansi_yellow" if row.state in ("partly", "failed") else ""),
                Column("HOLD", lambda row: f"{row.good}/{row.steps}", 7, align="right"),
                Column("ORGS", lambda row: f"{row.organizations:,}", 6, align="right"),
                Column("TITLE", lambda row: row.title, 20, grow=1, cut="middle"),
                Column("BY", lambda row: row.by, 10),
                Column("AGE", lambda row: age(row.finished_at or row.created_at, clock()), 4, align="right"),
            ],
            cursor=self._shared.glyphs.cursor,
            id="plans",
        )  # fmt: skip
        table.put(Listed(self._found, key=lambda row: row.id))
        yield table

    def keys(self) -> Content:
        """What may be done."""
        return Content("enter its steps, and U there takes it back   q close")

    def action_open(self) -> None:
        """Answer the one under the cursor."""
        row = self.query_one("#plans", RowTable).current
        if row is not None:
            self.dismiss(row.id)
