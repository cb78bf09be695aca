"""What stands around every view: where you are and what you could break, what it shows, which keys work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from textual.content import Content
from textual.geometry import Region
from textual.timer import Timer
from textual.visual import VisualType
from textual.widget import Widget

from screens.context import ALL, Context, Scope, Status
from screens.keys import press
from store.text import CUT, cell_width, fit, safe_text
from store.times import age

Part = tuple[str, str]
"""(safe text, style)"""


class Line(Widget):
    """One line, painted only when it says something else than before."""

    DEFAULT_CSS = "Line { height: 1; width: 1fr; }"
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._content = Content()

    def say(self, content: Content) -> None:
        """Show this line; it must be safe text already."""
        before = self._content
        if content != before or content.spans != before.spans:
            self._content = content
            changed = _changed_cells(before, content)
            self.refresh(*([Region(changed[0], 0, changed[1], 1)] if changed else []))

    def render(self) -> VisualType:
        """The line."""
        return self._content

    @property
    def text(self) -> str:
        """What it says, without styles."""
        return self._content.plain


def _changed_cells(before: Content, after: Content) -> tuple[int, int] | None:
    """Where a line of the same size and styles says something else: (first cell, cells); None for all of it.

    A countdown changes two cells a minute, and each cell that is painted goes over the operator's wire.
    """
    old, new = before.plain, after.plain
    if len(old) != len(new) or before.spans != after.spans or "\n" in new:
        return None
    differing = [at for at, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
    if not differing:
        return None
    first, last = differing[0], differing[-1] + 1
    cells = cell_width(new[first:last])
    return (cell_width(new[:first]), cells) if cell_width(old[first:last]) == cells else None


class WrittenLine(Line):
    """A line inside a view, which the view writes anew when it has another width: before the first layout it
    has none."""

    def __init__(self, write: Callable[[], None], *, id: str) -> None:  # noqa: A002
        """`write` says the line."""
        super().__init__(id=id)
        self._write = write

    def on_resize(self) -> None:
        """Another width, another line."""
        self._write()


def two_sided(left: Iterable[Part], right: Iterable[Part], width: int) -> Content:
    """A line with text at both ends; the left gives way, the right stays whole as long as it fits."""
    right = list(right)
    taken = sum(cell_width(text) for text, _ in right)
    room = max(0, width - taken - (1 if taken else 0))
    kept: list[Part] = []
    for text, style in left:
        if room <= 0:
            break
        size = cell_width(text)
        if size > room:
            text, size = _cut(text, room)
        kept.append((text, style))
        room -= size
    gap = width - taken - sum(cell_width(text) for text, _ in kept)
    if gap < 0:
        return Content.assemble(*((text, style) for text, style in kept)).truncate(width)
    return Content.assemble(*kept, " " * gap, *right)


def _cut(text: str, room: int) -> tuple[str, int]:
    kept = ""
    for character in text:
        if cell_width(kept + character) > room - len(CUT):
            break
        kept += character
    kept += CUT
    return kept, cell_width(kept)


NEED_CAP = 1_000
"""Where `Status.need` stops counting."""


TROUBLE = "sync failed"
BRIEF_ALL = ("ALL ORGS", "ALL")
"""What the whole scope is called where there is little room, ever shorter."""


class WhereLine(Line):
    """Line 1: scope, how much of it is fresh and how old, environment, writable or locked, what runs."""

    DEFAULT_CSS = "WhereLine { text-style: bold; }"

    def __init__(self, context: Context) -> None:
        super().__init__(id="where")
        self._shared = context
        self._tick: Timer | None = None

    def on_mount(self) -> None:
        """Follow the app's word on scope and status, and the clock."""
        self._shared.status_changed.subscribe(self, self._status)
        self._shared.scope_changed.subscribe(self, self._scope)
        self.set_interval(5, self.write)
        self.write()

    def on_resize(self) -> None:
        """Another width, another line."""
        self.write()

    def _status(self, _status: Status) -> None:
        self.write()

    def _scope(self, _scope: Scope) -> None:
        self.write()

    def write(self) -> None:
        """Write the line anew."""
        context, status = self._shared, self._shared.status
        width = self.size.width
        if not width:
            return
        aged: Part | None = None
        left: list[Part] = [(" " + fit(context.scope.name, max(12, width // 3)).rstrip(), "bold")]
        if not status.known:
            left.append(("  reading the store", ""))
        elif not status.organizations:
            left.append(("  no organizations yet", ""))
        else:
            whole = status.fresh == status.organizations
            left.append(
                (f"  {status.fresh:,} of {status.organizations:,} fresh", "" if whole else "bold ansi_yellow")
            )
            if status.failed:
                left.append((f", {status.failed:,} failed", "bold ansi_red"))
            # Where a countdown needs the room, the age is not told: it is part of `fresh`.
            if status.oldest is not None and not (status.glasses and width < AGE_FROM):
                aged = (f", {_rounded_age(status.oldest, context.clock())}".ljust(WIDEST_AGE), "")
                left.append(aged)
        glass = glass_words(status, context.clock())
        right: list[Part] = []
        if status.trouble:
            right.append((f"{TROUBLE}: see 5   ", "bold ansi_red"))
        if context.offline:
            right.append(("OFFLINE  ", "bold ansi_yellow"))
        if status.need:
            need = f"{status.need:,}" if status.need < NEED_CAP else f"{NEED_CAP:,}+"
            right.append((f"{need} need{'s' if status.need == 1 else ''} you  ", "bold ansi_yellow"))
        if status.staged:
            right.append((f"{status.staged:,} staged  ", "bold ansi_yellow"))
        right.append((fit(context.environment, 12).rstrip() + "  ", ""))
        right.append(
            ("WRITE " if context.writable else "LOCKED ", "bold" if context.writable else "bold reverse")
        )
        if glass:
            self._with_glass(glass, left, right, width)
        else:
            self._brief(left, right, width)
        self._tick_again()
        taken = sum(cell_width(text) for text, _ in (*left, *right))
        if aged is not None and taken >= width:
            # A part of an age says something else than the age.
            left.remove(aged)
            taken -= cell_width(aged[0])
        style = "bold ansi_yellow" if status.paused else ""
        for running in paused_words(status.paused) or _shorter(status.running):
            if taken + cell_width(running) + 4 <= width:
                right.insert(0, (running + "   ", style))
                break
        self.say(two_sided(left, right, width))

    def _brief(self, left: list[Part], right: list[Part], width: int) -> None:
        """Say in fewer words what can be, until all has room: how much failed and how old the rest is do not
        give way to why nothing new comes."""
        scope = self._shared.scope
        names = [f" {name}" for name in BRIEF_ALL] if scope == ALL else [f" {fit(scope.name, 12).rstrip()}"]
        ways: list[tuple[list[Part], int, str]] = []
        trouble = [at for at, (text, _) in enumerate(right) if text.startswith(TROUBLE)]
        ways += [(right, at, f"{TROUBLE}  ") for at in trouble]
        ways += [(left, 0, name) for name in names]
        ways += [(right, at, "no sync  ") for at in trouble]
        for parts, at, text in ways:
            if sum(cell_width(said) for said, _ in (*left, *right)) < width:
                return
            parts[at] = (text, parts[at][1])

    def _with_glass(self, words: list[str], left: list[Part], right: list[Part], width: int) -> None:
        """Put the countdown first at the right: what only informs gives way to it, and last the left."""
        late = "OVERDUE" in words[-1]
        style = "bold reverse" if late else "bold ansi_yellow"
        whole, chosen = list(right), words[-2]
        # As much as there is room for; the shortest word only where nothing else gives way to a longer one.
        for keeps, candidates in ((len(whole), words[:-1]), (2, words[-2:])):
            right[:] = whole[-keeps:] if keeps < len(whole) else whole
            room = width - 1 - sum(cell_width(text) for text, _ in (*left, *right))
            fitting = [each for each in candidates if cell_width(each) + 2 <= room]
            if fitting:
                chosen = fitting[0]
                break
        else:
            offline = [part for part in whole if part[0].startswith("OFFLINE")]
            right[:] = [*offline, *whole[-2:]]
        right.insert(0, (chosen, style))
        right.insert(1, ("  ", ""))

    def _tick_again(self) -> None:
        """Write it again when the countdown says something else."""
        if self._tick is not None:
            self._tick.stop()
            self._tick = None
        status = self._shared.status
        if status.glasses and (left := status.glass_due - self._shared.clock()) > 0:
            step = 1_000 if left <= MINUTE else MINUTE
            self._tick = self.set_timer(((left - 1) % step + 1) / 1_000, self.write)


MINUTE = 60_000
AGE_FROM = 100
"""Columns from which line 1 tells the age of the data beside a countdown."""
WIDEST_AGE = 6
"""Cells of an age in line 1, so that what stands beside it does not change with it."""
ENDS_WITHIN = 15_000
"""Milliseconds in which a console that is connected ends what is due; after that it is overdue."""


def glass_words(status: Status, now: int) -> list[str]:
    """The countdown of break-glass, in ever fewer words; nothing when none goes on.

    Minutes are counted up to the next whole one; in the last one seconds are.
    """
    if not status.glasses:
        return []
    left = status.glass_due - now
    count = f"{status.glasses:,} " if status.glasses > 1 else ""
    name = safe_text(status.glass, 60)
    if -ENDS_WITHIN < left <= 0 and not status.glass_trouble:
        return [f"{count}BREAK-GLASS ends now {name}", f"{count}BREAK-GLASS ends now", "GLASS ends now"]
    if left <= 0:
        late = age(status.glass_due, now)
        why = f": {safe_text(status.glass_trouble, 60)}" if status.glass_trouble else ""
        return [
            f"{count}BREAK-GLASS OVERDUE {late} {name}{why}",
            f"{count}BREAK-GLASS OVERDUE {late} {name}",
            f"{count}BREAK-GLASS OVERDUE {late}",
            f"GLASS OVERDUE {late}",
        ]
    clock = left_words(status.glass_due, now)
    return [f"{count}BREAK-GLASS {clock} {name}", f"{count}BREAK-GLASS {clock}", f"GLASS {clock}"]


def left_words(due_at: int, now: int) -> str:
    """How long until a time: `1:59` hours, in the last minute `42 s`, `OVERDUE` after it."""
    left = due_at - now
    if left <= 0:
        return "OVERDUE"
    minutes = -(-left // MINUTE)
    return f"{-(-left // 1_000)} s" if left <= MINUTE else f"{minutes // 60}:{minutes % 60:02d}"


def paused_words(seconds: int) -> list[str]:
    """That the cloud lets nobody ask, in ever fewer words; nothing when it does not."""
    if not seconds:
        return []
    paused = f"paused {seconds} s"
    return [f"{paused} by the cloud's rate limit", f"{paused}, rate limit", paused, f"wait {seconds}s"]


def _shorter(running: str) -> list[str]:
    """What runs, in ever fewer words; nothing when nothing runs."""
    if not running:
        return []
    text = safe_text(running, 60)
    return [text, text.partition(",")[0], text.partition(" ")[0]]


def _rounded_age(since: int, now: int) -> str:
    """An age that does not tick each second: under a minute in steps of ten seconds."""
    seconds = max(0, now - since) // 1000
    if seconds < 10:
        return "now"
    return f"{seconds // 10 * 10} s" if seconds < 60 else age(since, now)


class TitleLine(Line):
    """Line 2: the view's title, its filter, and at the right its counts."""

    def __init__(self, title: str) -> None:
        super().__init__(id="title")
        self._title = title
        self._filter = ""
        self._counts = ""
        self._problem = ""

    def on_resize(self) -> None:
        """Another width, another line."""
        self.write()

    def write(
        self,
        *,
        filter: str | None = None,  # noqa: A002
        counts: str | None = None,
        problem: str | None = None,
        title: str | None = None,
    ) -> None:
        """Change what is given, keep the rest. `filter` and `counts` may hold strangers' text.

        `problem` is why the view could not be read again while it still shows what it had; "" clears it.
        """
        self._title = self._title if title is None else title
        self._filter = self._filter if filter is None else filter
        self._counts = self._counts if counts is None else counts
        self._problem = self._problem if problem is None else problem
        if not self.size.width:
            return
        left: list[Part] = [(f" {safe_text(self._title, 60)}", "bold")]
        if self._filter:
            left.append((f"   {safe_text(self._filter, 200)}", "ansi_cyan"))
        if self._problem:
            left.append((f"   {safe_text(self._problem, 200)}", "bold ansi_red"))
        right: list[Part] = [(safe_text(self._counts, 60) + " ", "")] if self._counts else []
        self.say(two_sided(left, right, self.size.width))


Tone = Literal["plain", "warning", "error"]


MOST_SAID = 3
"""Lines that one sentence may take."""


class KeyLine(Line):
    """The last line: the keys that work here, or for a while what was just said.

    What was said is read whole: a sentence that is longer than the line takes a second one, and a third.
    """

    def __init__(self) -> None:
        super().__init__(id="keys")
        self._keys: list[tuple[str, str, bool]] | None = []
        self._said: tuple[str, Tone] | None = None
        self._count = ""

    def on_resize(self) -> None:
        """Another width, another line."""
        self.write()

    @property
    def text(self) -> str:
        """What it says, without styles; what takes several lines in one."""
        return " ".join(part.rstrip() for part in super().text.split("\n ")) if self._said else super().text

    def keys(self, keys: list[tuple[str, str, bool]] | None) -> None:
        """Say which keys work: (key, what it does, whether it can work now); None says that none does."""
        self._keys = keys
        self.write()

    def tell(self, text: str, tone: Tone = "plain") -> None:
        """Say one sentence instead of the keys, until `forget`."""
        self._said = (text, tone)
        self.write()

    def forget(self, only: str | None = None) -> None:
        """Show the keys again; when `only` is given, if it is this sentence that still stands."""
        if only is not None and (self._said is None or self._said[0] != only):
            return
        if self._said is not None or self._count:
            self._said, self._count = None, ""
            self.write()

    def count(self, digits: str) -> None:
        """Show the digits typed so far."""
        self._count = digits
        self.write()

    def write(self) -> None:
        """Write the line anew."""
        width = self.size.width
        if not width:
            return
        if self._said is not None:
            text, tone = self._said
            style = {"plain": "bold", "warning": "bold ansi_yellow", "error": "bold ansi_red"}[tone]
            lines = _told(safe_text(text, 600), width - 1)
            self.styles.height = len(lines)
            self.say(Content("\n").join(two_sided([(" " + each, style)], [], width) for each in lines))
            return
        self.styles.height = 1
        if self._keys is None:
            self.say(Content(" " * width))
            return
        right: list[Part] = [(self._count + " ", "bold reverse")] if self._count else []
        help_key = press("app.help", "?")
        right.append((f"{help_key} ", "bold"))
        left: list[Part] = []
        room = width - 2 - len(help_key) - len(self._count)
        for key, says, works in self._keys:
            size = cell_width(key) + 1 + cell_width(says) + 2
            if size > room:
                continue
            room -= size
            left.append((f" {key}", "bold" if works else "dim"))
            left.append((f" {says} ", "" if works else "dim"))
        self.say(two_sided(left, right, width))


def _told(text: str, width: int) -> list[str]:
    """A sentence in as few lines as it takes, broken between words; the last one holds all that is left."""
    if cell_width(text) <= width:
        return [text]
    lines = [each.plain.rstrip() for each in Content(text).wrap(max(1, width))]
    if len(lines) <= MOST_SAID:
        return lines
    return [*lines[: MOST_SAID - 1], " ".join(lines[MOST_SAID - 1 :])]
