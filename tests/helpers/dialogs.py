"""A host for one dialog: it shows it, and keeps what it answers.

assert await answer_of(Confirm("Really?"), "y") is True
"""

from typing import Any

from textual.app import App
from textual.screen import ModalScreen

from screens.context import Context
from screens.guard import Guard
from tests.helpers.screens import NOW, Host, still

NOTHING = object()
"""What a dialog has answered that is still there."""


class Asking(App[None], inherit_bindings=False):
    """Shows one dialog and keeps its answer."""

    CSS_PATH = Host.CSS_PATH
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, dialog: ModalScreen[Any]) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self.guard = Guard()
        self.dialog = dialog
        self.answer: Any = NOTHING

    def get_line_filters(self) -> Any:
        """With the guard, as the console has it."""
        return [*super().get_line_filters(), self.guard]

    def on_mount(self) -> None:
        """Show it."""
        self.push_screen(self.dialog, self._answered)

    def _answered(self, answer: Any) -> None:
        self.answer = answer


async def answer_of(dialog: ModalScreen[Any], *keys: str, size: tuple[int, int] = (80, 24)) -> Any:
    """What the dialog answers to these keys; NOTHING while it is open."""
    app = Asking(dialog)
    async with app.run_test(size=size) as pilot:
        await still(pilot)
        for key in keys:
            await pilot.press(key)
        await still(pilot)
        return app.answer


def a_context(*, writable: bool = True, now: int = NOW) -> Context:
    """What dialogs ask for: the clock, the signs."""
    context = Host(None, lambda context: None, now=now, reader=object()).context  # type: ignore[arg-type, return-value]
    context.writable = writable
    return context
