"""A few things that may be done, each by its letter; those that cannot be say why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content

from screens.dialogs.dialog import Dialog


@dataclass(frozen=True)
class Option:
    """One answer."""

    key: str
    """A letter; answered when pressed."""
    words: str
    """What it does: our own words."""
    why_not: str = ""
    """Why it cannot be now; "" when it can."""
    also: tuple[str, ...] = ()
    """Further keys for it, by Textual's names: `enter`."""
    means: str = ""
    """What it does in a sentence, shown in place of its words after `?`: our own words."""


class ChooseOne(Dialog[str | None]):
    """Answers the key of the chosen option; None when the operator went back."""

    def __init__(self, heading: Content, options: Sequence[Option]) -> None:
        """`heading` is safe already: made by `screens.widgets.text`."""
        super().__init__()
        self._heading = heading
        self._options = options
        self._trouble = ""
        self._explained = False

    def heading(self) -> Content:
        """What it is about, and the answers."""
        lines = [self._heading, Content()]
        for option in self._options:
            dim = "dim" if option.why_not else ""
            row = [
                Content.styled(f"{option.key}", f"bold {dim}".strip()),
                Content.styled(f"  {(self._explained and option.means) or option.words}", dim),
            ]
            if option.why_not:
                row.append(Content.styled(f"   not now: {option.why_not}", "ansi_yellow"))
            lines.append(Content("").join(row))
        if self._trouble:
            lines += [Content(), Content.styled(self._trouble, "bold ansi_yellow")]
        return Content("\n").join(lines)

    def keys(self) -> Content:
        """Only the way out, and what explains the answers, which are above."""
        first = [f"enter is {option.key}   " for option in self._options if "enter" in option.also]
        if any(option.means for option in self._options):
            first.append(f"? {'their names' if self._explained else 'what they do'}   ")
        return Content("".join(first) + "esc leave it")

    def on_key(self, event: events.Key) -> None:
        """A letter is an answer, once the question is seen."""
        if self.small:
            return
        for option in self._options:
            if event.character == option.key or event.key in option.also:
                event.stop()
                event.prevent_default()
                if option.why_not:
                    self._trouble = option.why_not
                    self.refresh_words()
                else:
                    self.dismiss(option.key)
                return
        if event.character == "?" and any(option.means for option in self._options):
            event.stop()
            event.prevent_default()
            self._explained = not self._explained
            self.refresh_words()
