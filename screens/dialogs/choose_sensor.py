"""Choose a machine of an organization by typing a part of its name, address or tag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input

from screens.context import Context
from screens.dialogs.dialog import Dialog
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import line
from store.times import age

if TYPE_CHECKING:
    from store.queries.sensors import SensorRow


class ChooseSensor(Dialog[str]):
    """Answers the chosen sensor's id, or "" when the operator went back."""

    AUTO_FOCUS = "Input"
    DEFAULT_CSS = """
    ChooseSensor > Vertical { height: 80%; }
    ChooseSensor.-low > Vertical { height: 100%; }
    ChooseSensor RowTable { height: 1fr; }
    ChooseSensor #dialog-foot { margin-top: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,ctrl+n", "step(1)", "down", show=False, id="sensors.down", tooltip="The next one"),
        Binding("up,ctrl+p", "step(-1)", "up", show=False, id="sensors.up", tooltip="The one above"),
        Binding("pagedown", "page(1)", "page", show=False, id="sensors.page_down", tooltip="A page down"),
        Binding("pageup", "page(-1)", "page", show=False, id="sensors.page_up", tooltip="A page up"),
    ]

    def __init__(self, rows: Sequence[SensorRow], context: Context, *, organization: str) -> None:
        """`organization` is a stranger's text."""
        super().__init__()
        self._all = rows
        self._shown: Sequence[SensorRow] = rows
        self._shared = context
        self._organization = organization
        self._hay = {
            row.sid: "\n".join((row.hostname, row.sid, row.platform, *row.tags)).casefold() for row in rows
        }

    def heading(self) -> Content:
        """Whose they are."""
        return line(Content.styled("Sensors of ", "bold"), (self._organization, "bold"))

    def compose_body(self) -> ComposeResult:
        """A line to type in, and what it leaves."""
        clock = self._shared.clock
        with Container(classes="dialog-field"):
            yield Input(placeholder="part of a name, an id, a platform or a tag", compact=True)
        table: RowTable[SensorRow] = RowTable(
            [
                Column("HOST", lambda row: row.hostname or row.sid, 24, grow=2, cut="middle"),
                Column("PLATFORM", lambda row: row.platform, 9),
                Column("SEEN", lambda row: age(row.alive, clock()), 4, align="right"),
                Column("", lambda row: "CUT OFF" if row.isolated else "", 7),
                Column("TAGS", lambda row: " ".join(row.tags), 12, grow=1),
            ],
            cursor=self._shared.glyphs.cursor,
        )
        table.can_focus = False
        yield table

    def keys(self) -> Content:
        """How many are left."""
        return Content(f"{len(self._shown):,} of {len(self._all):,}   enter its card   esc leave it")

    @property
    def table(self) -> RowTable[SensorRow]:
        """The list."""
        return self.query_one(RowTable)

    def on_mount(self) -> None:
        """Show all of them."""
        self._narrow("")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._narrow(event.value)

    def _narrow(self, text: str) -> None:
        words = text.casefold().split()
        self._shown = [row for row in self._all if all(word in self._hay[row.sid] for word in words)]
        self.table.put(Listed(self._shown, key=lambda row: row.sid), top=True)
        self.refresh_words()

    @on(Input.Submitted)
    def _chosen(self, event: Input.Submitted) -> None:
        event.stop()
        row = self.table.current
        if row is not None:
            self.dismiss(str(row.sid))

    def action_step(self, lines: int) -> None:
        """Move the cursor of the list while the typing goes on."""
        (self.table.action_cursor_down if lines > 0 else self.table.action_cursor_up)()

    def action_page(self, pages: int) -> None:
        """Likewise by a page."""
        (self.table.action_page_down if pages > 0 else self.table.action_page_up)()

    def action_leave(self) -> None:
        """Answer nothing."""
        self.dismiss("")
