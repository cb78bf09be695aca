"""A run before it is begun: what it does where, whether it can be taken back, what has to be typed."""

from __future__ import annotations

from collections.abc import Sequence
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
from store.runs import Run

NAMED = 3
"""Organizations that are named before the rest is counted."""


@dataclass(frozen=True, slots=True)
class Target:
    """One organization of a run. All texts are strangers'."""

    item: int
    name: str
    what: str
    """What is done to it: its step, or how many and the first of them."""
    left: str = ""
    """Why it is left out; "" for what is in the run."""
    steps: tuple[str, ...] = ()
    """All that is done to it, in its order, where `what` is not all of it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A run with all that is said of it before it is begun."""

    run: Run
    targets: tuple[Target, ...]
    """Those that are left out come last."""
    stays: int = 0
    """Steps that nothing takes back."""
    nothing: int = 0
    """Organizations of the choice that have nothing it could be done to."""
    above: tuple[str, ...] = ()
    """Names of those that have more sensors than the new quota lets in; strangers' text."""
    unread: tuple[str, ...] = ()
    """Names of those whose quota could not be read; strangers' text."""
    kept: bool = False
    """Whether it was kept before it was opened here: then leaving it leaves it where it is."""


@dataclass(frozen=True)
class RunAnswer:
    """What to do with a run."""

    deed: Literal["begin", "keep", "drop"]
    confirm: str = ""
    """What was typed."""


def named(names: Sequence[str], most: int = NAMED) -> Content:
    """`Acme Dental, Borealis Foods, Cedar Clinic +211 more`."""
    parts: list[str | tuple[str, str]] = []
    for number, name in enumerate(names[:most]):
        parts += [", "] if number else []
        parts.append((name, "bold"))
    if len(names) > most:
        parts.append(f" +{len(names) - most:,} more")
    return line(*parts)


class RunPlan(Dialog[RunAnswer | None]):
    """A run that waits to be begun, or to be carried on. Answers what to do with it."""

    AUTO_FOCUS = "#targets"
    WIDEST = 130
    DEFAULT_CSS = """
    RunPlan > Vertical { height: 100%; max-height: 40; }
    RunPlan RowTable { height: 1fr; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *TABS,
        Binding("a", "begin", "begin", id="run_plan.begin", tooltip="Begin it"),
        Binding("enter", "steps", "its steps", id="run_plan.steps", tooltip="All steps of the organization"),
        Binding("s", "keep", "keep", id="run_plan.keep", tooltip="Keep it to be begun within an hour"),
        Binding(
            "escape,q,ctrl+c", "do('drop')", "put away", id="run_plan.drop",
            tooltip="Put away what was just planned, leave what was kept; nothing is sent",
        ),
    ]  # fmt: skip

    def __init__(self, found: Shown, context: Context) -> None:
        """Show it."""
        super().__init__()
        self._found = found
        self._shared = context
        self._trouble = ""
        self._opened: Target | None = None
        """The organization whose steps are shown instead of all organizations."""

    def on_mount(self) -> None:
        """The organizations."""
        self.query_one("#targets", RowTable).put(Listed(self._found.targets, key=_number))
        self.query_one("#steps", RowTable).display = False
        if self._phrase:
            self.query_one("#confirm", Input).focus()

    @property
    def _draft(self) -> bool:
        return self._found.run.state == "draft"

    @property
    def _fresh(self) -> bool:
        """Whether it was planned just now, so that nobody else knows of it."""
        return self._draft and not self._found.kept

    @property
    def _phrase(self) -> str:
        """What has to be typed."""
        return self._found.run.phrase

    def heading(self) -> Content:
        """What happens to whom, and whether it can be taken back."""
        found, run = self._found, self._found.run
        does = "CHANGES" if self._draft else "goes on with"
        left = max(0, run.expires_at - self._shared.clock())
        good = f"   good for {left // 60_000} min" if self._draft else ""
        names = [item.name for item in run.items if item.state != "done"]
        lines = [
            line((run.title, "bold"), (good, "dim")),
            line((f"{does} {counted(len(names), 'organization')}: ", "bold")) + named(names),
        ]
        if not self._draft:
            counts = ", ".join(f"{number:,} {word}" for word, number in run.counts.items())
            lines.append(Content(f"so far: {counts}"))
        if run.destructive:
            lines.append(Content.styled("! this takes what cannot be brought back", HEALTH_STYLES["failed"]))
        elif found.stays:
            lines.append(
                Content.styled(f"{found.stays:,} steps of it cannot be taken back", HEALTH_STYLES["partly"])
            )
        if run.protected:
            lines.append(
                Content.styled("protected: ", "bold ansi_yellow")
                + named([name for _, name in run.protected], 8)
            )
        if self._draft and found.above:
            use = "uses" if len(found.above) == 1 else "use"
            lines.append(
                Content.styled(
                    f"! {len(found.above):,} {use} more than the new quota, sensors would be turned away: ",
                    HEALTH_STYLES["failed"],
                )
                + named(found.above)
            )
        if self._draft and found.unread:
            never = f"{len(found.unread):,} not read, set all the same: "
            lines.append(Content.styled(never, HEALTH_STYLES["partly"]) + named(found.unread))
        out = [row.name for row in found.targets if row.left]
        if out:
            lines.append(Content.styled(f"left out {len(out):,}: ", HEALTH_STYLES["failed"]) + named(out))
        if found.nothing:
            lines.append(Content.styled(f"{found.nothing:,} have nothing of the kind", "dim"))
        return Content("\n").join(lines)

    def compose_body(self) -> ComposeResult:
        """The organizations, and what has to be typed."""
        yield RowTable[Target](
            [
                Column("ORGANIZATION", lambda row: row.name, 22, grow=1, cut="middle"),
                Column(
                    "WHAT", lambda row: row.left or row.what, 30, grow=2, cut="middle",
                    style=lambda row: HEALTH_STYLES["failed"] if row.left else "",
                ),
            ],
            cursor=self._shared.glyphs.cursor,
            id="targets",
        )  # fmt: skip
        yield RowTable[tuple[int, str]](
            [
                Column("", lambda row: str(row[0]), 4, align="right"),
                Column("STEP", lambda row: row[1], 30, grow=1, cut="middle"),
            ],
            cursor=self._shared.glyphs.cursor,
            id="steps",
        )
        if self._phrase:
            with Container(classes="dialog-field"):
                yield Static("confirm", classes="dialog-label", markup=False)
                yield Input(id="confirm", compact=True, select_on_focus=False)

    def keys(self) -> Content:
        """How it is begun."""
        begin = "begin" if self._draft else "go on"
        if self._opened is not None:
            many = f"{counted(len(self._opened.steps), 'step')} of "
            return line(many, (self._opened.name, "bold"), "   enter, esc all organizations")
        deep = any(len(row.steps) > 1 for row in self._found.targets)
        tab = "tab, " if self._phrase else ""
        way = line(
            *(
                ("type ", (self._phrase, "bold"), self._found.run.or_id, f", enter {begin}")
                if self._phrase
                else (f"a {begin}",)
            ),
            "   s keep it for an hour" if self._fresh and not self._phrase else "",
            f"   {tab}enter its steps" if deep else "",
            "   esc put away" if self._fresh else "   esc leave it",
            f" as it is; {press('runs.drop', 'X')} in :runs puts it away"
            if self._draft and not self._fresh
            else "",
        )
        if not self._trouble:
            return way
        return Content("\n").join([line((self._trouble, "bold ansi_yellow")), way])

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_begin()

    def action_begin(self) -> None:
        """Answer it, once what has to be typed is."""
        if self._opened is not None:
            self.action_steps()
            return
        run, typed = self._found.run, ""
        if self._phrase:
            field = self.query_one("#confirm", Input)
            typed = field.value.strip()
            if not run.confirmed(typed):
                self._say(f"Not begun: type {self._phrase}{run.or_id}, exactly so.")
                field.focus()
                return
        if not self._shared.writable:
            self._say("This console is read-only.")
        elif self._draft and run.expires_at <= self._shared.clock():
            self._say("It was planned too long ago: esc, and plan it anew.")
        else:
            self.dismiss(RunAnswer("begin", typed))

    def action_keep(self) -> None:
        """Answer it."""
        if self._fresh:
            self.dismiss(RunAnswer("keep"))
        elif self._draft:
            self._say("It is kept already.")

    def action_steps(self) -> None:
        """All steps of the organization of the cursor, or all organizations again."""
        targets, table = self.query_one("#targets", RowTable), self.query_one("#steps", RowTable)
        row = targets.current if self._opened is None else None
        if row is not None and len(row.steps) < 2:
            return
        self._opened = row
        table.put(Listed(list(enumerate(row.steps if row else (), 1)), key=lambda each: each[0]))
        targets.display, table.display = row is None, row is not None
        (table if row is not None else targets).focus()
        self.refresh_words()

    def action_do(self, deed: Literal["drop"]) -> None:
        """Answer it; from the steps of one organization go back to all first."""
        if self._opened is not None:
            self.action_steps()
            return
        self.dismiss(RunAnswer(deed) if self._fresh else None)

    def _say(self, trouble: str) -> None:
        self._trouble = trouble
        self.refresh_words()


def _number(row: Target) -> int:
    return row.item
