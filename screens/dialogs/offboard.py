"""A customer leaves: what is taken and what stays, chosen and confirmed by its typed name."""

from __future__ import annotations

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
from store.offboarding import PARTS, Checklist, Choose, Line

_SAID = {
    "work": "open work",
    "mark": "mark in the tree",
    "export": "export to",
    "report": "final report",
    "look": "look again at",
    "own access": "our own access",
    "organization": "organization",
}
"""Our own words for what is not called by its part."""


@dataclass(frozen=True)
class OffboardAnswer:
    """What was agreed to."""

    keep: frozenset[str]
    """Of `store.offboarding.PARTS`."""
    confirm: str
    """The name, as it was typed."""


def _called(row: Line) -> str:
    return _SAID.get(row.part, row.part.replace("-", " "))


def _takes(row: Line) -> bool:
    return bool(row.steps) and (row.part in PARTS or row.part == "own access")


class Offboard(Dialog[OffboardAnswer | None]):
    """The checklist of one organization. Answers what is kept, once its name is typed; else None."""

    AUTO_FOCUS = "#checklist"
    WIDEST = 120
    DEFAULT_CSS = """
    Offboard > Vertical { height: 100%; max-height: 34; }
    Offboard RowTable { height: 1fr; margin-top: 1; }
    Offboard #line { max-height: 3; }
    Offboard .dialog-field { margin-top: 0; }
    Offboard #dialog-foot { margin-top: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *TABS,
        Binding(
            "x",
            "keep",
            "keep or take",
            id="offboard.keep",
            tooltip="Leave this part as it is, or take it",
        ),
        Binding("enter", "confirm", "to the name", id="offboard.confirm", tooltip="Type the name"),
    ]

    def __init__(self, choose: Choose, context: Context) -> None:
        """Show it.

        Args:
            choose: the checklist when some parts are kept.
        """
        super().__init__()
        self._choose = choose
        self._shared = context
        self._found: Checklist = choose(frozenset())
        self._trouble = ""

    def on_mount(self) -> None:
        """Its lines."""
        self._put()

    def heading(self) -> Content:
        """What happens to whom, and that nothing brings it back."""
        found = self._found
        lines = [
            line(
                ("Offboard ", "bold"),
                (found.name, "bold"),
                (f"   {found.oid[:8]}", "dim"),
                f"   {found.steps:,} steps",
            )
        ]
        if found.deletes:
            lines.append(
                Content.styled(
                    "! it is exported, emptied, and deleted last: nothing brings it back",
                    HEALTH_STYLES["failed"],
                )
            )
        else:
            lines.append(
                Content.styled(
                    "the organization itself stays; what is taken from it does not come back", "bold"
                )
            )
        lines += [Content.styled(note, HEALTH_STYLES["partly"]) for note in found.notes[:3]]
        if len(found.notes) > 3:
            lines.append(
                Content.styled(f"and {len(found.notes) - 3} more notes: `org offboard --dry-run`", "dim")
            )
        return Content("\n").join(lines)

    def compose_body(self) -> ComposeResult:
        """The checklist, and the line for the name."""
        yield RowTable[Line](
            [
                Column("", self._sign, 4, style=self._style),
                Column("PART", _called, 17),
                Column("THERE", lambda row: row.there, 12, grow=2, cut="middle"),
                Column("STEPS", lambda row: f"{row.steps:,}" if row.steps else "", 6),
                Column("", lambda row: row.note, 18, grow=3, cut="end"),
            ],
            cursor=self._shared.glyphs.cursor,
            id="checklist",
        )
        yield Static("", id="line", markup=False)
        with Container(classes="dialog-field"):
            yield Static("name", classes="dialog-label", markup=False)
            yield Input(id="name", compact=True, select_on_focus=False)

    def keys(self) -> Content:
        """How it is begun, or what is missing."""
        way = line(
            "x keep a part   tab, type ",
            (self._found.phrase, "bold"),
            self._found.or_id,
            ", enter offboard   esc leave it",
        )
        if not self._trouble:
            return way
        return Content("\n").join([line((self._trouble, "bold ansi_yellow")), way])

    def _sign(self, row: Line) -> str:
        if row.part in self._found.kept:
            return "keep"
        if not row.steps:
            return "-"
        return "take" if _takes(row) else "do"

    def _style(self, row: Line) -> str:
        return HEALTH_STYLES["failed"] if _takes(row) else ""

    def _put(self) -> None:
        self.query_one("#checklist", RowTable).put(Listed(self._found.lines, key=lambda row: row.part))

        self._tell_line()

    @on(RowTable.Moved)
    def _moved(self, event: RowTable.Moved) -> None:
        event.stop()
        self._tell_line()

    def _tell_line(self) -> None:
        """All of the line of the cursor, which its columns cut."""
        row = self.query_one("#checklist", RowTable).current
        if row is None:
            return
        note = f"   {row.note}" if row.note else ""
        said = line((f"{_called(row)}: ", "bold"), row.there, note)
        self.query_one("#line", Static).update(said)

    def action_keep(self) -> None:
        """Keep the part of the cursor, or take it after all."""
        row = self.query_one("#checklist", RowTable).current
        if row is None:
            return
        if row.part not in PARTS:
            self._say("That belongs to every offboarding; what is taken may be kept.")
            return
        self._found = self._choose(self._found.kept ^ {row.part})
        self._trouble = ""
        self._put()
        self.refresh_words()

    def action_confirm(self) -> None:
        """Go to the line for the name."""
        self.query_one("#name", Input).focus()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._trouble:
            self._say("")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        typed = event.value.strip()
        if not self._found.confirmed(typed):
            self._say(f"Not begun: type {self._found.phrase}{self._found.or_id}, exactly so.")
        elif not self._shared.writable:
            self._say("This console is read-only.")
        else:
            self.dismiss(OffboardAnswer(self._found.kept, typed))

    def _say(self, trouble: str) -> None:
        self._trouble = trouble
        self.refresh_words()
