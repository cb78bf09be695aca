"""Choose an organization by typing a part of its name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from screens.dialogs.dialog import Modal, taken
from screens.widgets.tree_table import Line, TreeColumn, TreeTable

WIDEST = 110
"""Columns that it takes where there are so many."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An organization to choose from."""

    id: str
    """Its oid."""
    name: str
    """A stranger's text."""
    path: str
    """In the tree; a stranger's text."""
    note: str = ""
    """Why it may be a poor choice: `never synced`, `failed`."""
    depth: int = 0


class ChooseOrganization(Modal[str]):
    """Answers the oid of the chosen organization, or "" when the operator went back."""

    DEFAULT_CSS = """
    ChooseOrganization { align: center middle; }
    ChooseOrganization > Vertical {
        height: 80%; max-height: 30; border: solid $foreground; padding: 0 1; background: $background;
    }
    ChooseOrganization.-low > Vertical { height: 100%; }
    ChooseOrganization Static { height: 1; }
    """
    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", id="choose.back", tooltip="Leave it as it is"),
        Binding("down,ctrl+n", "step(1)", "down", show=False, id="choose.down", tooltip="The next one"),
        Binding("up,ctrl+p", "step(-1)", "up", show=False, id="choose.up", tooltip="The one above"),
        Binding("pagedown", "step(10)", "page", show=False, id="choose.page_down", tooltip="A page down"),
        Binding("pageup", "step(-10)", "page", show=False, id="choose.page_up", tooltip="A page up"),
    ]

    def __init__(
        self,
        choices: Sequence[Choice],
        *,
        current: str = "",
        title: str = "Organization",
        hint: str = "part of a name, a path or an oid",
    ) -> None:
        """Offer `choices`, the cursor on the oid `current`; `hint` says what may be typed, in our words."""
        super().__init__()
        self._hint = hint
        self._choices = choices
        self._current = current
        self._title = title
        self._hay = {choice.id: f"{choice.path}\n{choice.id}".casefold() for choice in choices}
        self._list: TreeTable[Choice] = TreeTable(
            (TreeColumn("IN", 24, "left"), TreeColumn("", 0, "left")),
            lambda choice: Line((choice.path.rpartition("/")[0], choice.note)),
            title=title,
        )
        self._list.can_focus = False

    def compose(self) -> ComposeResult:
        """A line to type in, and what it leaves."""
        with Vertical():
            yield Input(placeholder=self._hint, select_on_focus=False, compact=True)
            yield self._list
            yield Static("", id="choose-keys", markup=False)

    def on_resize(self, event: events.Resize) -> None:
        """As wide as it may be, or as wide as the terminal."""
        self.query_one(Vertical).styles.width = taken(event.size.width, WIDEST)

    def on_mount(self) -> None:
        """Show all of them."""
        self._list.fill(self._choices)
        if self._current:
            self._list.go(self._current)
        self._count(len(self._choices))

    @on(Input.Changed)
    def narrow(self, event: Input.Changed) -> None:
        """Keep those that hold every word typed."""
        keep = holding(event.value, lambda choice: self._hay[choice.id])
        self._list.narrow(keep)
        self._count(self._list.matches if keep else len(self._choices))

    @on(Input.Submitted)
    def choose(self, event: Input.Submitted) -> None:
        """Answer the one below the cursor; nothing fits, nothing happens."""
        event.stop()
        chosen = self._list.node
        if chosen is not None:
            self.dismiss(chosen.id)

    def action_step(self, lines: int) -> None:
        """Move the cursor of the list while the typing goes on."""
        self._list.step(lines)

    def action_back(self) -> None:
        """Answer nothing."""
        self.dismiss("")

    def _count(self, shown: int) -> None:
        self.query_one("#choose-keys", Static).update(
            f"{shown:,} of {len(self._choices):,}   enter choose   esc back"
        )


def holding(line: str, hay: Callable[[Choice], str]) -> Callable[[Choice], bool] | None:
    """A test whether every word of `line` is contained, any case; None for an empty line."""
    words = line.casefold().split()
    if not words:
        return None
    return lambda choice: all(word in hay(choice) for word in words)
