"""A plan of changed configuration before it is rolled out: whom it changes, what is dangerous about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.context import HEALTH_STYLES, Context
from screens.dialogs.dialog import TABS, Dialog
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import line
from store.access import counted
from store.accessplans import confirmed, or_id

NAMED = 4
"""Names before the rest is counted."""


@dataclass(frozen=True, slots=True)
class Target:
    """An organization that is changed."""

    oid: str
    name: str
    """A stranger's text."""
    wave: str
    """`1 canary`."""
    changes: int
    left: int
    """Of them those that are not made yet."""
    protected: bool = False
    destructive: bool = False


@dataclass(frozen=True)
class Shown:
    """A plan with all that is said of it. Texts may hold strangers' words."""

    plan: int
    title: str
    targets: tuple[Target, ...]
    destructive: tuple[str, ...]
    """What cannot be taken back: `extensions/ext-cases at 1 organization`."""
    risks: tuple[str, ...]
    lacking: str
    """Why it is not approved although it has to be; "" when it may go."""
    phrase: str
    """What has to be typed; "" when nothing has."""
    state: str
    """Of `store.rollouts.plans.STATES`."""
    said: str = ""
    """Why it stands where it stands, or what came of the last try."""
    doubtful: str = ""
    """The wave whose gate could not tell, and what it said: applying takes it for good."""


class ApplyRollout(Dialog[str | None]):
    """Answers what was typed ("" where nothing has to be) when it is to be rolled out; None leaves it."""

    AUTO_FOCUS = "#targets"
    WIDEST = 120
    DEFAULT_CSS = """
    ApplyRollout > Vertical { height: 100%; max-height: 40; }
    ApplyRollout RowTable { height: 1fr; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *TABS,
        Binding("a", "approve", "apply", id="apply_rollout.apply", tooltip="Roll it out at once"),
        Binding("q", "leave", "leave it", id="apply_rollout.leave", tooltip="Leave everything as it is"),
    ]

    def __init__(self, found: Shown, context: Context) -> None:
        """Show it."""
        super().__init__()
        self._found = found
        self._shared = context
        self._trouble = found.lacking

    def on_mount(self) -> None:
        """Every organization, in the order in which they are changed."""
        self.query_one("#targets", RowTable).put(Listed(self._found.targets, key=lambda row: row.oid))
        if self._found.phrase:
            self.query_one("#confirm", Input).focus()

    def heading(self) -> Content:
        """Whom it changes, and what is dangerous about it."""
        found = self._found
        does = "Apply" if found.state == "draft" else "Carry on with"
        changes = sum(each.changes for each in found.targets)
        left = sum(each.left for each in found.targets)
        still = "" if left == changes else f", {left:,} of them left"
        lines = [
            line((f"{does} plan {found.plan}: ", "bold"), found.title),
            line((f"CHANGES {counted(len(found.targets), 'organization')}: ", "bold"))
            + named(each.name for each in found.targets),
            Content(f"{counted(changes, 'change')}{still}; the list below names every organization"),
        ]
        if found.destructive:
            lines.append(
                line(
                    ("! DESTRUCTIVE, cannot be taken back: ", HEALTH_STYLES["failed"]),
                    ", ".join(found.destructive[:3]),
                )
            )
        protected = [each.name for each in found.targets if each.protected]
        if protected:
            lines.append(line(("protected: ", HEALTH_STYLES["partly"])) + named(protected))
        if found.state == "draft":
            lines += [line(("! risk: ", HEALTH_STYLES["partly"]), each) for each in found.risks]
        if found.risks and found.state == "draft":
            approved = "NOT APPROVED by a second person" if found.lacking else "approved by a second person"
            lines.append(line((approved, HEALTH_STYLES["failed" if found.lacking else "well"])))
        if found.said:
            lines.append(line((f"{found.state}: ", HEALTH_STYLES["partly"]), found.said))
        if found.doubtful:
            lines.append(
                line(("! the gate could not tell, and you take it for good: ", HEALTH_STYLES["failed"]))
                + line(found.doubtful)
            )
        return Content("\n").join(lines)

    def compose_body(self) -> ComposeResult:
        """The organizations, and what has to be typed."""
        yield RowTable(
            [
                Column[Target]("ORGANIZATION", lambda row: row.name, 24, grow=2, cut="middle"),
                Column[Target]("WAVE", lambda row: row.wave, 14),
                Column[Target]("CHANGES", lambda row: f"{row.changes:,}", 7, align="right"),
                Column[Target](
                    "", _dangers, 21, style=lambda row: HEALTH_STYLES["failed"]
                ),
            ],
            cursor=self._shared.glyphs.cursor,
            id="targets",
        )  # fmt: skip
        if self._found.phrase:
            with Container(classes="dialog-field"):
                yield Static("confirm", classes="dialog-label", markup=False)
                yield Input(id="confirm", compact=True, select_on_focus=False)

    @property
    def _held(self) -> list[tuple[str, str]]:
        """The protected organizations: (oid, name)."""
        return [(target.oid, target.name) for target in self._found.targets if target.protected]

    def keys(self) -> Content:
        """How it is begun, and what speaks against it."""
        found = self._found
        number = counted(len(found.targets), "organization")
        if found.phrase:
            way = line(
                "type ", (found.phrase, "bold"), or_id(self._held), f", enter changes {number}   esc leave it"
            )
        else:
            way = Content(f"a changes {number}   j k look through them   esc leave it")
        if not self._trouble:
            return way
        return Content("\n").join([line((self._trouble, "bold ansi_yellow")), way])

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_approve()

    def action_approve(self) -> None:
        """Answer it, once what has to be typed is."""
        typed = ""
        if self._found.phrase:
            field = self.query_one("#confirm", Input)
            typed = field.value.strip()
            if not confirmed(self._held, typed):
                self._say(f"Not applied: type {self._found.phrase}{or_id(self._held)}, exactly so.")
                field.focus()
                return
        if self._found.lacking:
            self._say(self._found.lacking)
        else:
            self.dismiss(typed)

    def _say(self, trouble: str) -> None:
        self._trouble = trouble
        self.refresh_words()


def _dangers(row: Target) -> str:
    words = (("PROTECTED", row.protected), ("DESTRUCTIVE", row.destructive))
    return " ".join(word for word, holds in words if holds)


def named(names: Iterable[str], most: int = NAMED) -> Content:
    """`Acme Dental, Borealis Foods +39 more`."""
    every = list(names)
    parts: list[str | tuple[str, str]] = []
    for number, name in enumerate(every[:most]):
        parts += [", "] if number else []
        parts.append((name, "bold"))
    if len(every) > most:
        parts.append(f" +{len(every) - most:,} more")
    return line(*parts)
