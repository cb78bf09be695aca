"""Close alerts: what they were, why, and the name of who is protected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from screens.dialogs.dialog import Dialog, Subject, asked
from screens.widgets.text import line
from store.access import counted
from store.text import safe_text
from store.typednames import is_named

CLASSES: tuple[tuple[str, str, str], ...] = (
    ("t", "true_positive", "true positive"),
    ("f", "false_positive", "false positive"),
    ("b", "benign", "benign true positive"),
)
"""(key, answer, words)"""

BENIGN_MEANS = "Wanted activity: it becomes true_positive with the tag `benign`; Cases have no class for it."


@dataclass(frozen=True)
class Closing:
    """How alerts are closed."""

    classification: str
    """true_positive or false_positive."""
    benign: bool
    """A true positive that is wanted: the tag `benign`."""
    comment: str
    confirmed: tuple[str, ...] = ()
    """Names of protected organizations, as typed."""
    spared: bool = False
    """Leave the alerts of protected organizations as they are."""
    held: bool = False
    """Also those that somebody else has."""


class CloseAlerts(Dialog[Closing | None]):
    """Classification by one letter, then a comment, then enter; a protected organization's name is typed."""

    DEFAULT_CSS = """
    CloseAlerts #close-protected { height: auto; margin-top: 1; }
    CloseAlerts .dialog-name { height: auto; layout: horizontal; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            # With priority the comment has the keys before the next one is looked at.
            Binding(
                key, f"classify('{answer}')", words, priority=True, id=f"close.{answer}", tooltip=words
            )
            for key, answer, words in CLASSES
        ),
        Binding("shift+tab", "reclassify", "another class", id="close.back", tooltip="Choose another class"),
        Binding("up", "recall(1)", "earlier", show=False, id="close.up", tooltip="An earlier comment"),
        Binding("down", "recall(-1)", "later", show=False, id="close.down", tooltip="A later comment"),
        Binding("enter", "on", "on", show=False, id="close.on", tooltip="Go on to the comment"),
        Binding(
            "ctrl+n", "spare", "spare protected", show=False, id="close.spare",
            tooltip="Leave the alerts of protected organizations as they are, and enter closes the others",
        ),
        Binding(
            "ctrl+o", "take_held", "others' too", show=False, id="close.held",
            tooltip="Close also what somebody else has",
        ),
    ]  # fmt: skip

    def __init__(
        self,
        subject: Subject,
        *,
        classification: str = "",
        comment: str = "",
        recent: Sequence[str] = (),
    ) -> None:
        """Ask about `subject`.

        Args:
            classification: one of CLASSES, chosen beforehand; "" for none.
            comment: written beforehand.
            recent: earlier comments, newest first, for the arrow keys.
        """
        super().__init__()
        self._subject = subject
        self._class = classification
        # What was written once may have been pasted from telemetry: a field shows its value as it is.
        self._comment = safe_text(comment, 2_000)
        self._recent = [self._comment, *(safe_text(each, 2_000) for each in recent if each != comment)]
        self._at = 0
        self._spared = False
        self._held = False
        self._confirmed: list[str] = []
        self._trouble = ""

    # -- what it says -----------------------------------------------------------------------------------

    def heading(self) -> Content:
        """How many, of whom, and what they are."""
        if not self._spared:
            return asked("Close", self._subject)
        name = self._subject.protected[0]
        more = len(self._subject.protected) - 1
        left = line(
            Content.styled(
                f"without {counted(self._subject.protected_alerts, 'alert')} of ", "bold ansi_yellow"
            ),
            (name, "bold ansi_yellow"),
            Content.styled(f" and {more:,} more, protected" if more else ", protected", "bold ansi_yellow"),
        )
        return Content("\n").join([asked("Close", self._subject.without_protected()), left])

    def compose_body(self) -> ComposeResult:
        """The class, the comment, the name."""
        with Container(classes="dialog-field"):
            yield Static("was a", classes="dialog-label", markup=False)
            yield Static(self._class_line(), id="close-class", markup=False)
        with Container(classes="dialog-field"):
            yield Static("comment", classes="dialog-label", markup=False)
            yield Input(self._comment, id="close-comment", compact=True, select_on_focus=False)
        with Vertical(id="close-protected"):
            yield Static("", id="close-asks", markup=False)
            with Container(classes="dialog-name"):
                yield Static("name", classes="dialog-label", markup=False)
                yield Input("", id="close-name", compact=True, select_on_focus=False)
        yield Static("", id="close-note", markup=False)

    def _class_line(self) -> Content:
        parts: list[Content] = []
        for key, answer, words in CLASSES:
            chosen = answer == self._class
            sign = f"({key})" if chosen else f" {key} "
            parts.append(Content.styled(sign, "bold reverse" if chosen else "bold"))
            parts.append(Content.styled(f" {words}  ", "bold" if chosen else ""))
        return Content("").join(parts)

    def _held_line(self) -> Content:
        """Who else has some of them, and what becomes of those."""
        name = self._subject.held[0][0]
        others = len(self._subject.held) - 1
        who = line((name, "bold"), Content(f" and {others} more have" if others else " has"))
        total = sum(number for _, number in self._subject.held)
        which = Content(" it" if self._subject.count == 1 else f" {total:,} of them")
        if self._held:
            fate = Content.styled(": closed all the same (ctrl+o takes that back).", "bold ansi_yellow")
        else:
            fate = Content(": left alone; ctrl+o closes also these.")
        return Content("").join([who, which, fate])

    def keys(self) -> Content:
        """What the keys do at this point."""
        if not self._class:
            return Content("t f b choose   esc leave it open")
        extra = "   up earlier comments" if any(self._recent) else ""
        if self._asking:
            return Content("enter close   ctrl+n without the protected   esc leave it open")
        if self._spared:
            count = self._subject.without_protected().count
            return Content(
                f"enter close {counted(count, 'alert')}   ctrl+n with the protected   esc leave it open"
            )
        return Content(f"enter close   shift+tab class{extra}   esc leave it open")

    @property
    def _unnamed(self) -> list[tuple[str, str]]:
        """(name, oid) of the protected organizations that are still to be named."""
        if self._spared:
            return []
        ids = (*self._subject.protected_ids, *[""] * len(self._subject.protected))
        return list(zip(self._subject.protected, ids, strict=False))[len(self._confirmed) :]

    @property
    def _asking(self) -> bool:
        return self.is_mounted and self.query_one("#close-protected").display

    def _write(self) -> None:
        self.query_one("#close-class", Static).update(self._class_line())
        notes: list[Content] = []
        if self._class == "benign":
            notes.append(Content.styled(BENIGN_MEANS, "dim"))
        if self._subject.held:
            notes.append(self._held_line())
        if self._trouble:
            notes.append(Content.styled(self._trouble, "bold ansi_yellow"))
        self.query_one("#close-note", Static).update(Content("\n").join(notes))
        if unnamed := self._unnamed:
            total = len(self._subject.protected)
            which = f" ({total - len(unnamed) + 1} of {total})" if total > 1 else ""
            name, oid = unnamed[0]
            asks = line(Content.styled(f"Protected{which}: type its name: ", "bold"), (name, "bold"))
            if oid:
                asks = Content("\n").join([asks, line(("or its id: ", ""), (oid, ""))])
            self.query_one("#close-asks", Static).update(asks)
        self.refresh_words()

    # -- keys -------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """With a class chosen beforehand the comment comes first."""
        self.query_one("#close-protected").display = False
        self._write()
        if self._class:
            self._to_comment()

    def on_key(self, event: events.Key) -> None:
        """Arrows are for the comment alone."""
        if event.key in ("up", "down") and self.focused is not None and self.focused.id != "close-comment":
            event.stop()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In a field letters are letters."""
        if action == "classify" and isinstance(self.focused, Input):
            return False
        return super().check_action(action, parameters)

    def action_classify(self, answer: str) -> None:
        """It was that; the comment comes next."""
        self._class = answer
        self._trouble = ""
        self._write()
        self._to_comment()

    def action_reclassify(self) -> None:
        """Back to the letters."""
        self.query_one("#close-protected").display = False
        self.set_focus(None)
        self._class = ""
        self._write()

    def action_on(self) -> None:
        """Enter without a class says what is missing."""
        self._trouble = "" if self._class else "Choose what it was first: t, f or b."
        self._write()
        if self._class:
            self._to_comment()

    def action_recall(self, step: int) -> None:
        """An earlier comment in place of what is written."""
        field = self.query_one("#close-comment", Input)
        if field.has_focus and self._recent:
            self._at = (self._at + step) % len(self._recent)
            field.value = self._recent[self._at]
            field.cursor_position = len(field.value)

    def action_spare(self) -> None:
        """Without the protected organizations, or with them again; enter closes what is left then."""
        if self._spared:
            self._spared = False
        elif self._subject.protected and self._asking:
            if len(self._subject.protected) == len(self._subject.organizations):
                self._trouble = "All of them are protected; nothing would be left to close."
                self._write()
                return
            self._spared = True
            self.query_one("#close-protected").display = False
        else:
            return
        self._confirmed = []
        self._trouble = ""
        self._to_comment()

    def action_take_held(self) -> None:
        """Close also what somebody else has, or do not."""
        if self._subject.held:
            self._held = not self._held
            self._write()

    def _to_comment(self) -> None:
        field = self.query_one("#close-comment", Input)
        self.set_focus(field)
        field.cursor_position = len(field.value)
        self._write()

    @on(Input.Submitted, "#close-comment")
    def _commented(self, event: Input.Submitted) -> None:
        event.stop()
        self._comment = event.value.strip()
        if not self._class:
            self._trouble = "Choose what it was first: shift+tab, then t, f or b."
        elif self._subject.count > 1 and not self._comment:
            self._trouble = f"{self._subject.words} need a comment: the next analyst will ask why."
        else:
            self._trouble = ""
            if self._unnamed:
                self.query_one("#close-protected").display = True
                self.set_focus(self.query_one("#close-name", Input))
            else:
                self._finish()
                return
        self._write()

    @on(Input.Submitted, "#close-name")
    def _named(self, event: Input.Submitted) -> None:
        event.stop()
        unnamed = self._unnamed
        if unnamed and is_named(event.value, *unnamed[0]):
            self._confirmed.append(event.value.strip())
            self._trouble = ""
            event.input.value = ""
            if not self._unnamed:
                self._finish()
                return
        else:
            self._trouble = "That is neither its name nor its id. Nothing was changed."
        self._write()

    def _finish(self) -> None:
        benign = self._class == "benign"
        self.dismiss(
            Closing(
                "true_positive" if benign else self._class,
                benign,
                self._comment,
                tuple(self._confirmed),
                self._spared,
                self._held,
            )
        )
