"""A machine's card: how it is, who wants it cut off, what was reported of it; and what may be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from screens.context import HEALTH_STYLES, SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.dialogs.dialog import Dialog
from screens.widgets.text import content, line
from store.alerts import CLASSIFICATIONS, OPEN, STATUSES
from store.text import cell_width, safe_text
from store.times import age

if TYPE_CHECKING:
    from store.queries.sensors import SensorCard as Card

Deed = Literal["isolate", "rejoin", "tag", "untag", "again", "alerts", "search", "organization"]

LABEL = 11
TAGS_SHOWN = 8

BEFORE = 17
"""Cells of an alert's line before its category."""

LEAST = 12
"""Cells that are left to a category."""


class SensorCard(Dialog["Deed | None"]):
    """Answers what is to be done with it; None to leave it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "close", id="sensor.close", tooltip="Close the card"),
        Binding("i", "do('isolate')", "isolate", id="sensor.isolate", tooltip="Cut it off, name typed"),
        Binding("u", "do('rejoin')", "rejoin", id="sensor.rejoin", tooltip="Let it back, name typed"),
        Binding("t", "do('tag')", "tag", id="sensor.tag", tooltip="Add a tag"),
        Binding("T", "do('untag')", "untag", id="sensor.untag", tooltip="Take a tag away"),
        Binding("r", "do('again')", "again", id="sensor.again", tooltip="Ask the cloud again"),
        Binding("a", "do('alerts')", "alerts", id="sensor.alerts", tooltip="Its alerts in the queue"),
        Binding("l", "do('search')", "search", id="sensor.search", tooltip="Search its events (LCQL)"),
        Binding(
            "o", "do('organization')", "organization", id="sensor.organization", tooltip="Its organization"
        ),
    ]

    def __init__(self, found: Card, context: Context, *, said: str = "") -> None:
        """Show `found`; `said` is what came of the last deed."""
        super().__init__()
        self._found = found
        self._shared = context
        self._said = said
        self._trouble = ""

    def heading(self) -> Content:
        """The machine, and whose it is."""
        found = self._found
        what = "  ".join(word for word in (found.platform, found.architecture) if word)
        return Content("\n").join(
            [
                line((found.hostname or found.sid, "bold"), Content("   "), (what, "dim")),
                line(
                    (found.organization, "bold"),
                    Content("   protected" if found.protected else ""),
                    Content("   "),
                    (found.path.rpartition("/")[0], "dim"),
                ),
            ]
        )

    def compose_body(self) -> ComposeResult:
        """Its fields, and its alerts."""
        yield Static(self._card(), id="card", markup=False)

    def _card(self) -> Content:
        return Content("\n").join(card_lines(self._found, self._shared, self.room))

    def on_resize(self, event: events.Resize) -> None:
        """Alerts are cut to another width."""
        self.query_one("#card", Static).update(self._card())

    def keys(self) -> Content:
        """What may be done; before it what came of the last deed, or why a key does nothing."""
        lines: list[Content] = []
        if self._trouble:
            lines.append(Content.styled(self._trouble, "bold ansi_yellow"))
        elif self._said:
            lines.append(content(self._said, style="bold"))
        names = [
            ("i", "isolate"), ("u", "rejoin"), ("t", "tag"), ("T", "untag"), ("r", "again"), ("a", "alerts"),
            ("l", "search"), ("q", "close"),
        ]  # fmt: skip
        parts: list[str | Content | tuple[str, str]] = []
        for number, (key, name) in enumerate(names):
            dim = "dim" if key in "iutT" and self._why_not() else ""
            parts.append(Content.styled(f"{'  ' if number else ''}{key} ", dim or "bold"))
            parts.append(Content.styled(name, dim))
        lines.append(line(*parts))
        return Content("\n").join(lines)

    def _why_not(self) -> str:
        if not self._shared.writable:
            return "This console is read-only."
        return "" if self._found.live else "The cloud was not asked: what is done to it cannot be seen."

    def action_do(self, deed: Deed) -> None:
        """Answer what is to be done, unless that cannot be now."""
        if deed in ("isolate", "rejoin", "tag", "untag") and (why := self._why_not()):
            self._trouble = why
        elif deed == "untag" and not self._found.tags:
            self._trouble = "It has no tag."
        else:
            self.dismiss(deed)
            return
        self.refresh_words()


def card_lines(found: Card, context: Context, width: int) -> list[Content]:
    """The fields of a card, a line each, and its alerts, of which each takes one line of `width` cells."""
    now, glyphs = context.clock(), context.glyphs

    def field(label: str, *parts: str | Content | tuple[str, str]) -> Content:
        return line((f"{label:<{LABEL}}", "dim"), *parts)

    seen = f"last seen {context.when(found.alive)}" + (
        f", {age(found.alive, now)} ago" if found.alive is not None else ""
    )
    if found.online is None:
        state: tuple[str, str] = (f"{glyphs.health['unknown']} not known now", HEALTH_STYLES["unknown"])
    elif found.online:
        # When it was last seen is what the record says of the last report: now it is there.
        state, seen = (f"{glyphs.health['well']} online", HEALTH_STYLES["well"]), "now"
    else:
        state = (f"{glyphs.health['partly']} offline", HEALTH_STYLES["partly"])
    lines = [Content(), field("state", state, f"   {seen}")]
    lines.append(field("isolation", *_isolation(found)))
    if found.sealed:
        lines.append(field("sealed", "nobody can remove the sensor from its machine"))
    addresses = [
        f"{address} {where}"
        for address, where in ((found.internal_ip, "inside"), (found.external_ip, "outside"))
        if address
    ]
    lines.append(field("addresses", "   ".join(addresses) or "none known"))
    lines.append(field("tags", _tags(found, now)))
    lines.append(field("enrolled", context.when(found.enrolled)))
    lines.append(field("sensor", (found.sid, "dim")))
    if found.live:
        lines.append(field("read", f"from the cloud at {context.when(found.as_of)}"))
    else:
        when = f"{age(found.as_of, now)} ago, as the store has it" if found.as_of is not None else "never"
        lines.append(field("read", (when, "ansi_yellow")))
        if found.trouble:
            lines.append(field("", (found.trouble, "ansi_yellow")))
    lines.append(Content())
    count = f"{found.open_alerts:,} open" if found.open_alerts else "none open"
    lines.append(field("alerts", (count, "bold" if found.open_alerts else "")))
    for row in found.alerts:
        sign = f"{glyphs.severity[row.severity]} {SEVERITY_WORDS[row.severity]:<4}"
        stands = STATUSES[row.status].replace("_", " ") if row.status not in OPEN else ""
        verdict = CLASSIFICATIONS[row.classification].replace("_", " ") if row.classification else ""
        words = ", ".join(word for word in (stands, verdict, safe_text(row.assignee, 20)) if word)
        who = f"   {words}" if words else ""
        lines.append(
            line(
                f"  {age(row.time, now):>4}  ",
                (sign, SEVERITY_STYLES[row.severity]),
                "  ",
                content(row.cat, max(LEAST, min(40, width - BEFORE - cell_width(who)))),
                (who, "dim"),
            )
        )
    return lines


def _isolation(found: Card) -> list[tuple[str, str]]:
    if found.isolated is None and found.wanted is None:
        return [("not known", HEALTH_STYLES["unknown"])]
    if found.isolated and found.wanted is not False:
        return [("CUT OFF", "bold ansi_red"), ("   confirmed by the sensor", "")]
    if found.isolated:
        return [("CUT OFF", "bold ansi_red"), ("   asked to rejoin, not confirmed yet", "ansi_yellow")]
    if found.wanted:
        return [("ASKED FOR", "bold ansi_yellow"), ("   the sensor has not confirmed it yet", "ansi_yellow")]
    return [("on the network", "")]


def _tags(found: Card, now: int) -> Content:
    if not found.tags:
        return Content("none")
    parts: list[str | Content | tuple[str, str]] = []
    for number, tag in enumerate(found.tags[:TAGS_SHOWN]):
        if number:
            parts.append("  ")
        parts.append((tag.name, "bold"))
        if tag.by and len(found.tags) <= 2:
            parts.append((f" by {safe_text(tag.by, 30)}, {age(tag.at, now)} ago", "dim"))
    if len(found.tags) > TAGS_SHOWN:
        parts.append(f"  +{len(found.tags) - TAGS_SHOWN:,} more")
    return line(*parts)
