"""Snooze alerts: what brings them back, and why they may wait."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Input, Static

from screens.dialogs.dialog import Dialog, Subject, asked
from screens.widgets.text import content
from store.text import safe_text
from store.times import parse_duration

PRESETS: tuple[tuple[str, str, str], ...] = (
    ("1", "1h", "1 hour"),
    ("4", "4h", "4 hours"),
    ("t", "tomorrow 08:00", "tomorrow 08:00"),
    ("u", "", "until ..."),
    ("n", "5 more", "n more came"),
    ("o", "online", "sensor comes online"),
    ("h", "host", "reaches another host"),
)
"""(key, what it writes, words)"""

MOST = 366 * 86_400_000
"""Milliseconds an alert may wait at most: longer is a decision, not a pause."""


@dataclass(frozen=True)
class Waking:
    """What brings alerts back; one of the three is set."""

    until: int | None = None
    """Milliseconds, UTC."""
    more: int | None = None
    """So many further members of the fold."""
    event: str = ""
    """`online` or `host`."""


@dataclass(frozen=True)
class Snoozing:
    """How alerts are snoozed."""

    waking: Waking
    reason: str


def waking_of(text: str, now: int, zone: tzinfo = UTC) -> Waking:
    """What a line means: `1h`, `08:00`, `tomorrow 08:00`, `2026-12-01 08:00`, `5 more`, `online`, `host`.

    Args:
        text: what was typed; a time of day that has passed is tomorrow's.
        now: milliseconds, UTC.
        zone: in which times of day are meant.

    Raises:
        ValueError: it means nothing, is in the past, or is more than a year away; the text says so.
    """
    line = " ".join(text.lower().split())
    if line in ("online", "host"):
        return Waking(event=line)
    if found := re.fullmatch(r"(\d{1,6}) ?more", line):
        if int(found[1]) < 1:
            raise ValueError("At least 1 more.")
        return Waking(more=int(found[1]))
    until = _moment(line, now, zone)
    if until <= now:
        raise ValueError("That is in the past.")
    if until > now + MOST:
        raise ValueError("That is more than a year away.")
    return Waking(until=until)


def _moment(line: str, now: int, zone: tzinfo) -> int:
    here = datetime.fromtimestamp(now / 1000, zone)
    word, _, rest = line.partition(" ")
    days = {"today": 0, "tomorrow": 1}.get(word)
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})", rest if days is not None else line)
    try:
        if clock:
            moment = here.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
            moment += timedelta(days=days or 0)
            if days is None and moment <= here:
                moment += timedelta(days=1)
            return int(moment.timestamp() * 1000)
        if days is not None and not rest:
            moment = here.replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(days=days)
            return int(moment.timestamp() * 1000)
        if re.fullmatch(r"\d{1,6}[smhdw]", line):
            return now + parse_duration(line) * 1000
        moment = datetime.fromisoformat(line.upper())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise ValueError("Use 1h, 08:00, tomorrow 08:00, 2026-12-31 08:00, 5 more, online or host.") from None


class SnoozeAlerts(Dialog[Snoozing | None]):
    """What brings them back, by a letter or typed; then a reason, then enter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            # With priority the reason has the keys before the next one is looked at.
            Binding(key, f"preset('{writes}')", words, priority=True, id=f"snooze.{key}", tooltip=words)
            for key, writes, words in PRESETS
        ),
        Binding("shift+tab", "again", "something else", id="snooze.back", tooltip="Choose something else"),
        Binding("enter", "on", "on", show=False, id="snooze.on", tooltip="Go on to the reason"),
    ]

    def __init__(
        self,
        subject: Subject,
        *,
        now: int,
        zone: tzinfo = UTC,
        zone_name: str = "UTC",
        clock: str = "",
        when: str = "",
        reason: str = "",
        why_not: dict[str, str] | None = None,
    ) -> None:
        """Ask about `subject`.

        Args:
            now: milliseconds, UTC; `zone` and `zone_name` say in which times of day are read and shown.
            clock: what the clocks say meanwhile, in our own words; "" when none runs.
            when: chosen beforehand, as it would be typed.
            reason: written beforehand.
            why_not: what brings it back (`more`, `online`, `host`) -> why that cannot be.
        """
        super().__init__()
        self._subject = subject
        self._now = now
        self._zone = zone
        self._zone_name = zone_name
        self._clock = clock
        self._when = safe_text(when, 100)
        self._reason = safe_text(reason, 2_000)
        self._why_not = why_not or {}
        self._trouble = ""

    def heading(self) -> Content:
        """What waits, and the letters."""
        presets = [Content.assemble((f" {key} ", "bold"), (f"{words}  ", "")) for key, _, words in PRESETS]
        return Content("\n").join(
            [
                asked("Snooze", self._subject),
                Content(),
                Content("").join(presets[:4]),
                Content("").join(presets[4:]),
            ]
        )

    def compose_body(self) -> ComposeResult:
        """When, why, and what that comes to."""
        with Container(classes="dialog-field"):
            yield Static("until", classes="dialog-label", markup=False)
            yield Input(self._when, id="snooze-when", compact=True, select_on_focus=False)
        with Container(classes="dialog-field"):
            yield Static("reason", classes="dialog-label", markup=False)
            yield Input(self._reason, id="snooze-reason", compact=True, select_on_focus=False)
        yield Static("", id="snooze-note", markup=False)

    def keys(self) -> Content:
        """What the keys do at this point."""
        focused = self.focused.id if self.is_mounted and self.focused is not None else ""
        if focused == "snooze-reason":
            return Content("enter snooze   shift+tab something else   esc leave it")
        return Content("enter on to the reason   esc leave it" if focused else "a letter   esc leave it")

    def on_mount(self) -> None:
        """With all of it given, only enter is missing."""
        if self._when:
            self._focus("snooze-reason")
        self._write()

    def _write(self) -> None:
        notes: list[Content] = []
        text = self.query_one("#snooze-when", Input).value
        if text.strip():
            try:
                notes.append(Content(self._means(waking_of(text, self._now, self._zone))))
            except ValueError as error:
                notes.append(content(str(error), style="dim"))
        if self._clock:
            notes.append(Content.styled(self._clock, "bold ansi_yellow"))
        if self._trouble:
            notes.append(content(self._trouble, style="bold ansi_yellow"))
        self.query_one("#snooze-note", Static).update(Content("\n").join(notes))
        self.refresh_words()

    def _means(self, waking: Waking) -> str:
        if waking.until is not None:
            moment = datetime.fromtimestamp(waking.until / 1000, self._zone)
            minutes = (waking.until - self._now) // 60_000
            left = f"{minutes // 60}:{minutes % 60:02d} h" if minutes < 2880 else f"{minutes // 1440} days"
            return f"Comes back {moment:%Y-%m-%d %H:%M} {self._zone_name}, in {left}, on top of the queue."
        if waking.more is not None:
            return f"Comes back on top when {waking.more:,} more of its fold came."
        what = "its sensor comes online" if waking.event == "online" else "its fold reaches another host"
        return f"Comes back on top when {what}."

    def _focus(self, which: str) -> None:
        field = self.query_one(f"#{which}", Input)
        self.set_focus(field)
        field.cursor_position = len(field.value)
        self.call_after_refresh(self.refresh_words)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In a field letters are letters."""
        if action == "preset" and isinstance(self.focused, Input):
            return False
        return super().check_action(action, parameters)

    def action_preset(self, writes: str) -> None:
        """Write it, and go on; `u` leaves it to be typed."""
        if why := self._why_not.get(writes.rpartition(" ")[2]):
            self._trouble = why
            self._write()
            return
        self._trouble = ""
        field = self.query_one("#snooze-when", Input)
        field.value = writes
        self._focus("snooze-when" if not writes or "more" in writes else "snooze-reason")
        if "more" in writes:
            field.cursor_position = writes.index(" ")
        self._write()

    def action_again(self) -> None:
        """Back to the letters."""
        self.query_one("#snooze-when", Input).value = ""
        self.set_focus(None)
        self._write()

    def action_on(self) -> None:
        """Enter before anything was chosen says what is missing."""
        self._trouble = "Choose what brings it back first."
        self._write()

    @on(Input.Changed)
    def _changed(self) -> None:
        self._write()

    @on(Input.Submitted, "#snooze-when")
    def _timed(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            waking = waking_of(event.value, self._now, self._zone)
        except ValueError as error:
            self._trouble = str(error)
            self._write()
            return
        self._trouble = self._why_not.get("more" if waking.more else waking.event, "")
        if not self._trouble:
            self._focus("snooze-reason")
        self._write()

    @on(Input.Submitted, "#snooze-reason")
    def _reasoned(self, event: Input.Submitted) -> None:
        event.stop()
        reason = event.value.strip()
        try:
            waking = waking_of(self.query_one("#snooze-when", Input).value, self._now, self._zone)
        except ValueError as error:
            self._trouble = str(error)
            self._focus("snooze-when")
            self._write()
            return
        if why := self._why_not.get("more" if waking.more else waking.event, ""):
            self._trouble = why
        elif not reason:
            self._trouble = "Say why it may wait: whoever sees it come back reads that."
        else:
            self.dismiss(Snoozing(waking, reason))
            return
        self._write()
