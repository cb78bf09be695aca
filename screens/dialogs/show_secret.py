"""The secret of a new key, this once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from screens.dialogs.dialog import Dialog
from screens.widgets.text import content


class ShowSecret(Dialog[str]):
    """Answers how it was taken, `shown` or `copied`; "" when nobody took it."""

    DEFAULT_CSS = """
    ShowSecret #secret { text-style: bold; margin: 1 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "taken", "I have it", id="secret.taken", tooltip="It was taken; it is not shown again"),
        Binding("c", "copy", "copy", id="secret.copy", tooltip="Put it on the clipboard, and into no file"),
    ]

    def __init__(
        self, heading: Content, reveal: Callable[[], str], copy: Callable[[], Awaitable[str]]
    ) -> None:
        """Show it.

        Args:
            heading: what it opens, safe already.
            reveal: answers it; asked once, when it is drawn.
            copy: puts it on the operator's clipboard, and answers what became of that.
        """
        super().__init__()
        self._heading = heading
        self._reveal: Callable[[], str] | None = reveal
        self._copy = copy
        self._copied = False
        self._said = ""

    def heading(self) -> Content:
        """What it opens, and that this is the only time."""
        once = Content("It is shown this once. It is stored nowhere, and cannot be had again.")
        return Content("\n").join([self._heading, once])

    def compose_body(self) -> ComposeResult:
        """The secret."""
        yield Static(content(self._reveal() if self._reveal is not None else ""), id="secret", markup=False)

    def keys(self) -> Content:
        """The ways to take it, and the way not to."""
        way = Content("c copy   y I have it   esc nobody has it")
        if not self._said:
            return way
        return Content("\n").join([content(self._said, style="bold"), way])

    @work(exclusive=True, exit_on_error=False)
    async def action_copy(self) -> None:
        """Onto the clipboard."""
        self._said = await self._copy()
        self._copied = True
        self.refresh_words()

    def action_taken(self) -> None:
        """Done."""
        self._leave("copied" if self._copied else "shown")

    def action_leave(self) -> None:
        """Nobody took it, unless it was copied."""
        self._leave("")

    def _leave(self, how: str) -> None:
        # Nothing of it stays in a dialog that is on its way out.
        self._reveal = None
        if self.query("#secret"):
            self.query_one("#secret", Static).update("")
        self.dismiss(how)
