"""A row of a search as it was received, over the whole screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from screens.dialogs.dialog import Modal
from screens.widgets.json_view import JsonView
from screens.widgets.text import line

if TYPE_CHECKING:
    from store.queries.searches import Result


class RowJson(Modal[None]):
    """The raw row; closed by q, esc or enter."""

    AUTO_FOCUS = "#json-lines"
    DEFAULT_CSS = """
    RowJson { background: $background; layout: vertical; }
    RowJson #json-title, RowJson #json-keys { height: 1; padding: 0 1; text-style: bold; }
    RowJson #json-keys { text-style: none; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,J", "close", "close", id="row.close", tooltip="Close"),
        Binding("ctrl+c", "close", "close", show=False, id="row.interrupt", tooltip="Close"),
    ]

    def __init__(self, found: Result) -> None:
        super().__init__()
        self._found = found

    def compose(self) -> ComposeResult:
        """A title that names the organization, the document, the keys."""
        found = self._found
        yield Static(
            line(
                (found.organization, "bold"), "   ", (found.words.host, ""), "   ", (found.words.kind, "dim")
            ),
            id="json-title",
            markup=False,
        )
        yield JsonView(found.body)
        yield Static("j k move   enter fold   Z fold all   q close", id="json-keys", markup=False)

    def action_close(self) -> None:
        """Back to the rows."""
        self.dismiss(None)
