"""Which fields, besides organization and rule, make alerts one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Spacing
from textual.widgets import Static

from screens.dialogs.dialog import Dialog
from screens.widgets.text import line
from store.text import fit

FIRST = 3
"""Lines above the fields."""


@dataclass(frozen=True)
class Field:
    """One that may be part of the key."""

    name: str
    """Of `store.folds.FIELDS`."""
    here: str = ""
    """What the alert at hand has there: a stranger's text."""


@dataclass(frozen=True)
class FoldKeyAnswer:
    """What was chosen."""

    rule: str
    """The rule it holds for; `*` for every rule without a key of its own."""
    fields: tuple[str, ...] | None
    """None: the rule gets no key of its own any more."""


class EditFoldKey(Dialog[FoldKeyAnswer | None]):
    """Space puts a field in or out; enter keeps it for this rule, or for every rule."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "step(1)", "down", show=False, id="foldkey.down", tooltip="Down"),
        Binding("k,up", "step(-1)", "up", show=False, id="foldkey.up", tooltip="Up"),
        Binding("space", "put", "in or out", id="foldkey.toggle", tooltip="Put the field in or out"),
        Binding(
            "a", "all_rules", "this rule, all rules", id="foldkey.all", tooltip="For this rule or for all"
        ),
        Binding(
            "d", "default", "as all rules", id="foldkey.default", tooltip="No key of its own for this rule"
        ),
        Binding("enter", "keep", "keep", id="foldkey.keep", tooltip="Keep it; the queue is folded anew"),
    ]

    def __init__(
        self, rule: str, fields: Sequence[Field], chosen: Sequence[str], general: Sequence[str], *, own: bool
    ) -> None:
        """Edit the key of a rule.

        Args:
            rule: a stranger's text.
            fields: all there are.
            chosen: those in force for this rule.
            general: those in force for every rule without a key of its own.
            own: whether this rule has a key of its own.
        """
        super().__init__()
        self._rule = rule
        self._fields = fields
        self._chosen = {"rule": set(chosen), "*": set(general)}
        self._for = "rule"
        self._own = own
        self._at = 0

    def heading(self) -> Content:
        """Which rule, and what the letters do."""
        which = (
            line(Content("rule  "), (self._rule, "bold"))
            if self._for == "rule"
            else Content.assemble("rule  ", ("every rule without a key of its own", "bold"))
        )
        return Content("\n").join(
            [
                Content.styled("Fold alerts of the same rule that share", "bold"),
                which,
                Content(),
                *self._lines(),
            ]
        )

    def _lines(self) -> list[Content]:
        made = []
        for place, field in enumerate(self._fields):
            sign = "x" if field.name in self._chosen[self._for] else " "
            style = "bold reverse" if place == self._at else "bold" if sign == "x" else ""
            made.append(
                Content.assemble(
                    (f"{'>' if place == self._at else ' '} ({sign}) {fit(field.name, 14)}", style),
                    (" " + fit(field.here, self.room - 22, cut="middle").rstrip(), "dim"),
                )
            )
        if not self._chosen[self._for]:
            made.append(Content.styled("  nothing: the rule alone makes the fold", "dim"))
        return made

    def compose_body(self) -> ComposeResult:
        """All of it is in the heading, which changes."""
        yield Static("The queue is folded anew at once; no alert changes its state.", markup=False)

    def keys(self) -> Content:
        """What the keys do."""
        default = "   d as all rules" if self._own and self._for == "rule" else ""
        return Content(f"space in/out   a this rule/all{default}   enter keep   esc leave it")

    def action_step(self, by: int) -> None:
        """Another field."""
        self._at = (self._at + by) % len(self._fields)
        self._write()

    def on_resize(self, event: events.Resize) -> None:
        """Texts are cut to another width."""
        self._write()

    def _write(self) -> None:
        """The fields, the one that is chosen in sight."""
        self.refresh_words()
        # After the layout of what was just written, which may follow a new size.
        self.call_after_refresh(self.call_after_refresh, self._follow)

    def _follow(self) -> None:
        if self.small:
            return
        content = self.query_one("#dialog-content")
        content.scroll_to_region(
            Region(0, FIRST + self._at, 1, 1), animate=False, spacing=Spacing(1, 0, 1, 0), force=True
        )

    def action_put(self) -> None:
        """In or out."""
        self._chosen[self._for] ^= {self._fields[self._at].name}
        self.refresh_words()

    def action_all_rules(self) -> None:
        """For this rule, or for every rule without a key of its own."""
        self._for = "*" if self._for == "rule" else "rule"
        self.refresh_words()

    def action_default(self) -> None:
        """The rule gets the key of all rules."""
        if self._own and self._for == "rule":
            self.dismiss(FoldKeyAnswer(self._rule, None))

    def action_keep(self) -> None:
        """Keep what is chosen, in the order of the fields."""
        chosen = tuple(field.name for field in self._fields if field.name in self._chosen[self._for])
        self.dismiss(FoldKeyAnswer(self._rule if self._for == "rule" else "*", chosen))
