"""A tag for a machine, or one that it is to lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.dialogs.dialog import TABS, Dialog
from screens.widgets.text import line
from store.times import parse_duration


@dataclass(frozen=True)
class TagWanted:
    """What was typed."""

    name: str
    ttl: int = 0
    """Seconds after which it goes by itself; 0 is never."""


class WriteTag(Dialog[TagWanted | None]):
    """Answers the tag; None when the operator went back."""

    AUTO_FOCUS = "#tag"
    BINDINGS: ClassVar[list[BindingType]] = [*TABS]

    def __init__(self, host: str, organization: str, tags: Sequence[str], *, remove: bool = False) -> None:
        """All are strangers' texts; `tags` are those that it has."""
        super().__init__()
        self._host = host
        self._organization = organization
        self._tags = tags
        self._remove = remove
        self._trouble = ""

    def heading(self) -> Content:
        """Which machine, and what it has."""
        does = "Take a tag from" if self._remove else "Tag"
        held: list[str | Content | tuple[str, str]] = [Content("has  ")]
        for number, tag in enumerate(self._tags):
            held += [Content("  " if number else ""), (tag, "bold")]
        return Content("\n").join(
            [
                line(
                    Content.styled(f"{does} ", "bold"),
                    (self._host, "bold"),
                    Content(" of "),
                    self._organization,
                ),
                line(*held) if self._tags else Content("has  no tag"),
            ]
        )

    def compose_body(self) -> ComposeResult:
        """The tag; how long it stays."""
        with Container(classes="dialog-field"):
            yield Static("tag", classes="dialog-label", markup=False)
            only = self._tags[0] if self._remove and len(self._tags) == 1 else ""
            yield Input(_typeable(only), id="tag", compact=True, select_on_focus=False, max_length=200)
        if not self._remove:
            with Container(classes="dialog-field"):
                yield Static("for", classes="dialog-label", markup=False)
                yield Input(
                    id="ttl", compact=True, select_on_focus=False, placeholder="for good; or 12h, 7d, 2w"
                )

    def keys(self) -> Content:
        """The way on, or what is wrong."""
        way = Content(f"enter {'take it away' if self._remove else 'tag it'}   esc leave it")
        if not self._trouble:
            return way
        return Content("\n").join([Content.styled(self._trouble, "bold ansi_yellow"), way])

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        name = self.query_one("#tag", Input).value.strip()
        wanted = TagWanted(name)
        if not name:
            self._trouble = "A tag is one word or more."
        elif "," in name:
            self._trouble = "A comma would make several tags of it."
        elif self._remove and name not in self._tags:
            self._trouble = "It has no such tag."
        else:
            self._trouble = ""
            if not self._remove and (text := self.query_one("#ttl", Input).value.strip()):
                try:
                    wanted = TagWanted(name, parse_duration(text))
                except ValueError as error:
                    self._trouble = f"How long: {error}"
        if self._trouble:
            self.refresh_words()
        else:
            self.dismiss(wanted)


def _typeable(text: str) -> str:
    """What can stand in an input line as it is; the rest is typed by hand, or not at all."""
    return text if text.isprintable() else ""
