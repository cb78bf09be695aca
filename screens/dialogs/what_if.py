"""What the staged changes would come to: before and after side by side, before anything is planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES
from screens.dialogs.access_plan import named, risks
from screens.dialogs.dialog import TABS, Dialog
from screens.widgets.row_table import Column, Listed, RowTable
from store.access import counted
from store.accesschanges import AccessChange


@dataclass(frozen=True, slots=True)
class Staged:
    """A staged change in words."""

    change: AccessChange
    words: str
    """May hold strangers' text."""
    where: str
    """The organization, or the group with how many it holds: strangers' text."""


@dataclass(frozen=True, slots=True)
class Differs:
    """What one principal gains or loses of one permission."""

    principal: str
    """E-mail, or the name of a key: a stranger's text."""
    permission: str
    before: str
    """Signs of how it is held now on these organizations, `.` where it is not: `D/G`."""
    after: str
    gained: int
    """On how many organizations."""
    lost: int
    where: str
    """Their names, as many as are told: strangers' text."""
    privileged: bool


@dataclass(frozen=True, slots=True)
class Consequence:
    """All that staged changes come to."""

    staged: tuple[Staged, ...]
    differs: tuple[Differs, ...]
    """As many as are listed; `more` counts the rest."""
    more: int
    gained: int
    lost: int
    people: int
    organizations: tuple[str, ...]
    """On which anybody gains or loses anything: names, strangers' text."""
    touched: int
    """How many organizations the changes act on, whether anybody gains or loses anything there or not."""
    privileged: tuple[tuple[str, str, int], ...]
    """(principal, permission, on how many organizations) of every gain of a privileged permission."""


@dataclass(frozen=True)
class WhatIfAnswer:
    """What to do next."""

    deed: Literal["plan", "unstage", "clear"]
    change: AccessChange | None = None


class WhatIf(Dialog[WhatIfAnswer | None]):
    """Answers what to do with the staged changes; None when they stay as they are."""

    AUTO_FOCUS = "#differs"
    WIDEST = 150
    DEFAULT_CSS = """
    WhatIf > Vertical { height: 100%; max-height: 46; }
    WhatIf #staged { margin-top: 1; }
    WhatIf #differs { height: 1fr; margin-top: 1; }
    WhatIf #same { height: 1fr; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *TABS,
        Binding("P", "do('plan')", "plan", id="what_if.plan", tooltip="Make a plan of it"),
        Binding("x", "unstage", "take out", id="what_if.unstage", tooltip="Take this change out again"),
        Binding("X", "do('clear')", "all out", id="what_if.clear", tooltip="Take all changes out again"),
        Binding("q,w", "leave", "back", id="what_if.leave", tooltip="Back to the matrix"),
    ]

    def __init__(
        self, found: Consequence, *, cursor: str = ">", writable: bool = True, staged: bool = True
    ) -> None:
        """`cursor` is the sign before the line with the cursor; what is not `staged` cannot be taken out."""
        super().__init__()
        self._are_staged = staged
        self._found = found
        self._writable = writable
        self._trouble = ""
        self._staged: RowTable[Staged] = RowTable(
            [
                Column("STAGED" if staged else "CHANGE", lambda each: each.words, 30, grow=2, cut="middle"),
                Column("WHERE", lambda each: each.where, 22, grow=1),
            ],
            cursor=cursor,
            id="staged",
        )
        self._differs: RowTable[Differs] = RowTable(
            [
                Column("WHO", lambda each: each.principal, 18, grow=1, cut="middle"),
                Column("PERMISSION", _permission, 18, grow=1, style=_alarm),
                Column("BEFORE", lambda each: each.before, 6),
                Column("AFTER", lambda each: each.after, 6, style=_alarm),
                Column("ORGANIZATIONS", _where, 16, grow=2),
            ],
            cursor=cursor,
            id="differs",
        )

    def heading(self) -> Content:
        """How much of it, for whom, where; and every gain that makes somebody master of an organization."""
        found = self._found
        what = "staged change" if self._are_staged else "change"
        lines = [Content.styled(f"What if: {counted(len(found.staged), what)}", "bold")]
        if not found.differs:
            lines.append(Content(f"Nobody gains or loses anything; {_organizations(found.touched)} touched."))
        else:
            lines.append(
                Content(
                    f"{_people(found.people)}: {found.gained:,} gained, {found.lost:,} lost, "
                    f"on {_organizations(len(found.organizations))}; {found.touched:,} touched."
                )
            )
            lines.append(named(found.organizations))
        lines += risks(found.privileged)
        if found.differs and not found.privileged:
            lines.append(Content.styled("No privileged permission is gained.", "dim"))
        return Content("\n").join(lines)

    def compose_body(self) -> ComposeResult:
        """The changes, and what differs."""
        self._staged.styles.height = min(len(self._found.staged), 5) + 1
        yield self._staged
        if self._found.differs:
            yield self._differs
        else:
            yield Static("Everything stays as it is.", id="same", markup=False)

    def on_mount(self) -> None:
        """Fill both."""
        self._staged.put(Listed(self._found.staged, key=lambda each: each.change))
        if self._found.differs:
            self._differs.put(Listed(self._found.differs, key=lambda each: (each.principal, each.permission)))
        else:
            self._staged.focus()

    def keys(self) -> Content:
        """The way on."""
        more = f"   and {self._found.more:,} more lines" if self._found.more else ""
        out = "   tab, x take one out   X all out" if self._are_staged else ""
        way = Content(f"P plan it{out}   esc back{more}")
        if not self._trouble:
            return way
        return Content("\n").join([Content.styled(self._trouble, "bold ansi_yellow"), way])

    def action_unstage(self) -> None:
        """The one under the cursor, once the cursor is among them."""
        if not self._are_staged:
            self._say("None of this is staged.")
            return
        change = self._staged.current
        if change is None or not self._staged.has_focus:
            self._staged.focus()
            self._say("The cursor is on the staged changes now: x takes the one under it out.")
        elif self._allowed():
            self.dismiss(WhatIfAnswer("unstage", change.change))

    def action_do(self, deed: Literal["plan", "clear"]) -> None:
        """Answer it, unless the console may not write."""
        if deed == "clear" and not self._are_staged:
            self._say("None of this is staged.")
        elif self._allowed():
            self.dismiss(WhatIfAnswer(deed))

    def _allowed(self) -> bool:
        if not self._writable:
            self._say("This console is read-only.")
        return self._writable

    def _say(self, trouble: str) -> None:
        self._trouble = trouble
        self.refresh_words()


def _permission(each: Differs) -> str:
    sign = "+" if not each.lost else "-" if not each.gained else "~"
    return f"{sign} {each.permission}" + ("!" if each.privileged else "")


def _alarm(each: Differs) -> str:
    return HEALTH_STYLES["failed"] if each.privileged and each.gained else ""


def _where(each: Differs) -> str:
    count = each.gained + each.lost
    return each.where if count == 1 else f"{count:,}: {each.where}"


def _organizations(count: int) -> str:
    return counted(count, "organization")


def _people(count: int) -> str:
    return f"{count:,} {'principal' if count == 1 else 'principals'}"
