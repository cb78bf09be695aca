"""A detection as it was received, over the whole screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from screens.dialogs.dialog import Modal
from screens.widgets.json_view import JsonView
from screens.widgets.text import line

if TYPE_CHECKING:
    from store.queries.alerts import AlertDetail


class AlertJson(Modal[str | None]):
    """The raw detection; closed by q, esc or J. Answers the value to look for, None when there is none."""

    AUTO_FOCUS = "#json-lines"
    DEFAULT_CSS = """
    AlertJson { background: $background; layout: vertical; }
    AlertJson #json-title, AlertJson #json-keys { height: 1; padding: 0 1; text-style: bold; }
    AlertJson #json-keys { text-style: none; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "p",
            "pivot",
            "pivot",
            id="json.pivot",
            tooltip="Every alert that speaks of the value under the cursor",
        ),
        Binding("escape,q,J", "close", "close", id="json.close", tooltip="Close"),
        Binding("ctrl+c", "close", "close", show=False, id="json.interrupt", tooltip="Close"),
    ]

    def __init__(self, found: AlertDetail) -> None:
        super().__init__()
        self._found = found

    def compose(self) -> ComposeResult:
        """A title that names the organization, the document, the keys."""
        row = self._found.row
        yield Static(
            line((row.organization, "bold"), ("   ", ""), (row.cat, ""), ("   ", ""), (row.detect_id, "dim")),
            id="json-title",
            markup=False,
        )
        view = JsonView(self._found.body)
        yield view
        keys = "j k move   enter fold   Z fold all   p pivot   q close"
        yield Static(
            keys if view.readable else f"not JSON: shown as it came   {keys}", id="json-keys", markup=False
        )

    def action_pivot(self) -> None:
        """Look for the value under the cursor."""
        value = self.query_one(JsonView).value
        if value.strip():
            self.dismiss(value)

    def action_close(self) -> None:
        """Back to the queue."""
        self.dismiss(None)
