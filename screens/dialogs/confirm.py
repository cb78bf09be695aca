"""A question with two answers, of which "no" is the one that happens by accident."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from screens.dialogs.dialog import Body, Modal
from screens.widgets.text import block


class Confirm(Modal[bool]):
    """Dismissed with the operator's answer."""

    DEFAULT_CSS = """
    Confirm { align: center middle; }
    Confirm > Vertical {
        width: auto; max-width: 70; height: auto; max-height: 100%; border: solid $foreground; padding: 1 2;
        background: $background;
    }
    Confirm Body { width: auto; }
    Confirm Static { width: auto; max-width: 64; height: auto; }
    Confirm #answers { text-style: bold; margin-top: 1; }
    Confirm.-low > Vertical { padding: 0 1; max-width: 60; }
    Confirm.-low Static { max-width: 55; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", id="confirm.yes", tooltip="Do it"),
        Binding("n,escape,q,enter,ctrl+c", "answer(False)", "no", id="confirm.no", tooltip="Leave it"),
    ]

    def __init__(self, question: str, *, yes: str = "yes", no: str = "no") -> None:
        """Put `question`, which may hold strangers' text and line breaks; the answers are in our words."""
        super().__init__()
        self._question = question
        self._answers = f"y {yes}    n {no}"

    def compose(self) -> ComposeResult:
        """The question and the keys."""
        with Vertical():
            with Body(can_focus=False):
                yield Static(block(self._question), id="question", markup=False)
            yield Static(self._answers, id="answers", markup=False)

    def action_answer(self, answer: bool) -> None:
        """Give the answer."""
        self.dismiss(answer)
