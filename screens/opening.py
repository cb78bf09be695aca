"""The frame while the store is opened: painted before anything heavy is imported."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Static

from screens.context import Context
from screens.frame import KeyLine, TitleLine, WhereLine
from screens.requests import Quit


class Opening(Screen[None], inherit_bindings=False):
    """The frame without a view."""

    DEFAULT_CSS = """
    Opening { layout: vertical; }
    Opening #notice { height: 1fr; padding: 1 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q,ctrl+c,q", "leave", "leave", id="opening.leave", tooltip="Leave the console"),
    ]

    def __init__(self, context: Context) -> None:
        super().__init__(id="opening")
        self._shared = context

    def compose(self) -> ComposeResult:
        """The same lines as around a view."""
        yield WhereLine(self._shared)
        yield TitleLine("Opening the store")
        yield Static("", id="notice", markup=False)
        yield KeyLine()

    def action_leave(self) -> None:
        """Leave; nothing has begun."""
        self.post_message(Quit())
