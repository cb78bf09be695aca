"""A sample to look at before many alerts are closed: some at random, and every one unlike the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from screens.dialogs.dialog import Dialog, Subject, asked
from screens.widgets.text import line
from store.text import fit, safe_text

LABEL = 10

ENOUGH = 5
"""So many have to be seen before the rest may be passed over."""


@dataclass(frozen=True)
class Differs:
    """In what one alert is unlike most of the others. All texts but `field` are strangers'."""

    field: str
    """What: `host`, `parent`, ...; a name of ours or of LimaCharlie's."""
    value: str
    usual: str
    """What most of the others have."""


@dataclass(frozen=True)
class Member:
    """One of the sample. All texts but labels are strangers'."""

    id: int
    title: str
    organization: str
    host: str
    when: str
    """Our own words."""
    words: tuple[tuple[str, str], ...] = ()
    """(label, text): what happened."""
    differs: tuple[Differs, ...] = ()
    """Empty for one that was drawn at random."""


@dataclass(frozen=True)
class Checked:
    """The sample was looked at."""

    without: tuple[int, ...] = ()
    """Alerts that the operator leaves out."""


class SampleCheck(Dialog[Checked | None]):
    """Pages through the sample; enter goes on when the last was seen, esc leaves everything as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,j,down,l,right", "step(1)", "next", id="sample.next", tooltip="The next one"),
        Binding("k,up,h,left", "step(-1)", "previous", id="sample.previous", tooltip="The one before"),
        Binding("g,home", "step(-100000)", "first", show=False, id="sample.first", tooltip="The first one"),
        Binding("c", "go_on", "go on", id="sample.on", tooltip="Enough seen: go on to close them"),
        Binding("x", "leave_out", "leave this one out", id="sample.out", tooltip="Do not close this one"),
    ]

    def __init__(self, subject: Subject, members: Sequence[Member], *, truncated: int = 0) -> None:
        """Show `members`, those that differ first.

        Args:
            truncated: so many more differ than are shown.
        """
        super().__init__()
        self._subject = subject
        self._members = members
        self._truncated = truncated
        self._at = 0
        self._seen = {0}
        self._without: set[int] = set()

    def heading(self) -> Content:
        """How many there are, and how many of them this is."""
        outliers = sum(1 for member in self._members if member.differs)
        random = len(self._members) - outliers
        parts = []
        if outliers:
            parts.append(f"{outliers:,} unlike the others")
        if random:
            parts.append(f"{random:,} at random")
        said = f"Look first: {' and '.join(parts)}."
        if self._truncated:
            said += f" {self._truncated:,} more differ: open the fold to see them."
        return Content("\n").join([asked("Close", self._subject), Content.styled(said, "")])

    def compose_body(self) -> ComposeResult:
        """One of them."""
        yield Static(self._page(), id="sample-page", markup=False)

    def keys(self) -> Content:
        """Enter goes on when all were seen."""
        left = len(self._members) - len(self._seen)
        if not left:
            enter = "enter go on to close them"
        else:
            enter = f"enter next ({left} left)" + ("   c enough seen" if self._enough else "")
        return Content(f"{enter}   k previous   x leave this out   esc")

    @property
    def _enough(self) -> bool:
        return len(self._seen) >= min(ENOUGH, len(self._members))

    def _page(self) -> Content:
        member = self._members[self._at]
        kind = "UNLIKE THE OTHERS" if member.differs else "at random"
        out = "   LEFT OUT" if member.id in self._without else ""
        lines = [
            Content(),
            Content.assemble(
                (f"{self._at + 1} of {len(self._members)}  ", "bold"),
                (kind, "bold ansi_yellow" if member.differs else "dim"),
                (out, "bold reverse"),
            ),
            line((member.title, "bold")),
        ]
        width = self.room
        facts = [("org", member.organization), ("host", member.host), ("when", member.when), *member.words]
        strange = {each.field for each in member.differs}
        for label, text in facts:
            if text and label not in strange:
                lines.append(self._fact(label, text, width))
        for each in member.differs:
            lines.append(self._fact(each.field, each.value, width, "bold ansi_yellow"))
            lines.append(self._fact("  usual", each.usual or "nothing", width, "dim"))
        return Content("\n").join(lines)

    @staticmethod
    def _fact(label: str, text: str, width: int, style: str = "") -> Content:
        head = fit(safe_text(label, LABEL), LABEL)
        return Content.assemble((head, "dim"), (fit(text, width - LABEL, cut="middle").rstrip(), style))

    def on_resize(self, event: events.Resize) -> None:
        """Texts are cut to another width."""
        self._write()

    def _write(self) -> None:
        self.query_one("#sample-page", Static).update(self._page())
        self.refresh_words()
        self.query_one("#dialog-content").scroll_home(animate=False)

    def action_step(self, by: int) -> None:
        """Another one; behind the last, when all were seen, comes the closing."""
        if by == 1 and self._at == len(self._members) - 1:
            unseen = [place for place in range(len(self._members)) if place not in self._seen]
            if not unseen:
                self.dismiss(Checked(tuple(sorted(self._without))))
                return
            self._at = unseen[0]
        else:
            self._at = min(max(0, self._at + by), len(self._members) - 1)
        self._seen.add(self._at)
        self._write()

    def action_go_on(self) -> None:
        """Enough was seen."""
        if self._enough:
            self.dismiss(Checked(tuple(sorted(self._without))))

    def action_leave_out(self) -> None:
        """This one stays open; pressed again it does not."""
        self._without ^= {self._members[self._at].id}
        self._write()
