"""Break-glass: what a membership for a while would give, and those that go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.context import Context
from screens.dialogs.dialog import TABS, Dialog
from screens.frame import left_words
from screens.widgets.row_table import Column, Listed, RowTable
from screens.widgets.text import block, line
from store.breakglass import Effect, Glass
from store.text import safe_text


@dataclass(frozen=True)
class Wanted:
    """What was filled in: all of it checked."""

    principal: str
    reason: str
    ticket: str
    lasts: str
    typed: tuple[str, ...]
    """What was typed to confirm it."""


class BreakGlass(Dialog[Wanted | None]):
    """Answers what was filled in, once nothing is wrong with it; None when the operator went back."""

    DEFAULT_CSS = """
    BreakGlass .dialog-field { margin-top: 0; }
    BreakGlass #dialog-heading { margin-bottom: 1; }
    BreakGlass #glass-note { margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*TABS]

    def __init__(
        self,
        effect: Effect,
        *,
        principal: str = "",
        ends: Callable[[str], str],
        wrong: Callable[[Wanted], str],
    ) -> None:
        """Ask.

        Args:
            effect: what the group gives; strangers' texts.
            principal: who, as far as that is known: a stranger's text.
            ends: what a duration comes to, in our words; raises ValueError with a sentence.
            wrong: a sentence when what was filled in cannot be taken; "" when it can.
        """
        super().__init__()
        self._effect = effect
        self._ends = ends
        self._wrong = wrong
        self._trouble = ""
        self._fields = [
            ("principal", "person", safe_text(principal, 320)),
            ("reason", "reason", ""),
            ("ticket", "ticket", ""),
            ("lasts", "for", "1h"),
            *((f"typed-{number}", "confirm", "") for number, _ in enumerate(effect.phrases)),
        ]
        self._first = "#glass-reason" if principal else "#glass-principal"

    def heading(self) -> Content:
        """Which group, on how many organizations, and what of it is privileged."""
        effect = self._effect
        names = ", ".join(safe_text(name, 30) for _, name in effect.organizations[:3])
        more = len(effect.organizations) - 3
        count = len(effect.organizations)
        lines = [
            line(Content.styled("Break-glass into  ", "bold"), (effect.group, "bold")),
            Content(
                f"gives {len(effect.permissions):,} permissions on {count:,} "
                f"organization{'' if count == 1 else 's'}: {names}{f' +{more:,} more' if more > 0 else ''}"
            ),
        ]
        if effect.privileged:
            lines.append(Content.styled(f"! privileged: {', '.join(effect.privileged)}", "bold ansi_red"))
        else:
            lines.append(Content("none of them is apikey.ctrl, user.ctrl or billing.ctrl"))
        if not effect.declared:
            lines.append(
                Content.styled(
                    "This group is not meant for break-glass: its name is typed.", "bold ansi_yellow"
                )
            )
        if effect.protected:
            count = len(effect.protected)
            lines.append(
                Content.styled(
                    f"{count:,} of the organizations {'is' if count == 1 else 'are'} protected.",
                    "bold ansi_yellow",
                )
            )
        for phrase, or_id in zip(effect.phrases, effect.or_ids, strict=True):
            lines.append(line(("to confirm, type  ", "dim"), (phrase, "bold"), (or_id, "dim")))
        return Content("\n").join(lines)

    def compose_body(self) -> ComposeResult:
        """Who, why, under which ticket, for how long, and what has to be typed."""
        for name, label, value in self._fields:
            with Container(classes="dialog-field"):
                yield Static(label, classes="dialog-label", markup=False)
                yield Input(value, id=f"glass-{name}", compact=True, select_on_focus=False, max_length=1_000)
        yield Static("", id="glass-note", markup=False)

    def keys(self) -> Content:
        """The way on, and what speaks against it."""
        way = Content("enter give it   tab next line   esc leave it")
        if not self._trouble:
            return way
        return Content("\n").join([block(self._trouble, 600, "bold ansi_yellow"), way])

    def on_mount(self) -> None:
        """The cursor behind what stands there."""
        for field in self.query(Input):
            field.cursor_position = len(field.value)
        self.query_one(self._first, Input).focus()
        self._note()

    def _value(self, name: str) -> str:
        return self.query_one(f"#glass-{name}", Input).value.strip()

    def _note(self) -> None:
        try:
            note = Content(self._ends(self._value("lasts")))
        except ValueError as error:
            note = Content.styled(safe_text(str(error), 200), "dim")
        self.query_one("#glass-note", Static).update(note)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._trouble:
            self._trouble = ""
            self.refresh_words()
        if event.input.id == "glass-lasts":
            self._note()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        # Enter goes on to the next line that is empty; from there being none it gives it.
        for name, _, _ in self._fields:
            if not self._value(name):
                field = self.query_one(f"#glass-{name}", Input)
                if field is event.input:
                    break
                field.focus()
                return
        typed = tuple(
            self._value(name)
            for name, _, _ in self._fields
            if name.startswith("typed-") and self._value(name)
        )
        wanted = Wanted(
            self._value("principal"), self._value("reason"), self._value("ticket"), self._value("lasts"),
            typed,
        )  # fmt: skip
        self._trouble = self._wrong(wanted)
        if self._trouble:
            self.refresh_words()
        else:
            self.dismiss(wanted)


@dataclass(frozen=True)
class GlassAnswer:
    """What is to be done."""

    deed: Literal["start", "end", "extend"]
    id: int = 0
    """Of which; 0 for a new one."""


class Glasses(Dialog[GlassAnswer | None]):
    """Those that go on. Answers what is to be done; None when the operator went back."""

    AUTO_FOCUS = "RowTable"
    WIDEST = 118
    DEFAULT_CSS = """
    Glasses RowTable { margin-top: 1; max-height: 55vh; }
    Glasses #glass-whole { margin-top: 1; height: 4; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "n", "do('start')", "new", id="glasses.start", tooltip="Put somebody into a group for a while"
        ),
        Binding("x", "do('end')", "end", id="glasses.end", tooltip="Take it back now, after asking"),
        Binding("e", "do('extend')", "extend", id="glasses.extend", tooltip="Let it last longer"),
        Binding("q", "leave", "close", id="glasses.close", tooltip="Close"),
    ]

    def __init__(self, found: Sequence[Glass], context: Context, *, said: str = "") -> None:
        """`found` is at least one, the next to end first; `said` is what came of the last deed."""
        super().__init__()
        self._found = found
        self._shared = context
        self._said = said

    def heading(self) -> Content:
        """How many."""
        late = sum(1 for each in self._found if each.overdue(self._shared.clock()))
        words = f"Break-glass   {len(self._found):,} go{'es' if len(self._found) == 1 else ''} on"
        return Content.styled(f"{words}, {late:,} OVERDUE" if late else words, "bold")

    def compose_body(self) -> ComposeResult:
        """A line each, and the one under the cursor whole."""
        clock = self._shared.clock
        table: RowTable[Glass] = RowTable(
            [
                Column("LEFT", lambda row: left_words(row.due_at, clock()), 8),
                Column("PERSON", lambda row: row.principal, 20, grow=2, cut="middle"),
                Column("GROUP", lambda row: row.group, 14, grow=1, cut="middle"),
                Column("TICKET", lambda row: row.ticket, 9, grow=1),
                Column("BY", lambda row: row.by, 8),
            ],
            cursor=self._shared.glyphs.cursor,
        )
        table.styles.height = min(len(self._found), 10) + 1
        table.put(Listed(self._found, key=lambda row: row.id))
        yield table
        yield Static("", id="glass-whole", markup=False)

    def on_mount(self) -> None:
        """Show the first whole."""
        self._show(self.query_one(RowTable).current)

    @on(RowTable.Moved)
    def _moved(self, event: RowTable.Moved) -> None:
        event.stop()
        self._show(event.row)

    def _show(self, row: Glass | None) -> None:
        if row is None:
            return
        lines = [
            line(("reason  ", "dim"), (safe_text(row.reason, 200), "")),
            Content(f"started {self._shared.when(row.started_at)}, ends {self._shared.when(row.due_at)}"),
            Content(f"limegrove access break-glass report {row.id} tells what was done with it"),
        ]
        if row.trouble:
            lines.append(line(("not taken back yet  ", "bold ansi_red"), (safe_text(row.trouble, 200), "")))
        self.query_one("#glass-whole", Static).update(Content("\n").join(lines))

    def keys(self) -> Content:
        """What may be done, and what came of the last deed."""
        way = Content("n new   x end it now   e extend   q close")
        return Content("\n").join([line((self._said, "bold")), way]) if self._said else way

    def action_do(self, deed: Literal["start", "end", "extend"]) -> None:
        """Answer it, unless it cannot be."""
        row = self.query_one(RowTable).current
        if not self._shared.writable:
            self._said = "This console is read-only."
            self.refresh_words()
        elif deed == "start" or row is not None:
            self.dismiss(GlassAnswer(deed, 0 if deed == "start" or row is None else row.id))
