"""One alert in words: what happened, where, by whom, why it was reported, and when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.visual import VisualType
from textual.widget import Widget

from screens.context import SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.widgets.text import content
from store.alerts import CLASSIFICATIONS, STATUSES
from store.text import cell_width, fit, safe_text
from store.times import age

if TYPE_CHECKING:
    from store.queries.alerts import AlertDetail

LABEL = 9
"""Cells of the labels at the left."""

FIRST_WORDS: tuple[tuple[str, str], ...] = (
    ("FILE_PATH", "file"),
    ("HASH", "hash"),
    ("USER_NAME", "user"),
    ("UserId", "user"),
    ("Operation", "did"),
    ("ResultStatus", "result"),
    ("ClientIP", "from"),
    ("DOMAIN_NAME", "domain"),
    ("IP_ADDRESS", "address"),
    ("REGISTRY_KEY", "registry"),
)
"""Fields of an event that an analyst asks for first, in this order; the others follow as they came."""

PLATFORMS = {
    0x10000000: "windows", 0x20000000: "linux", 0x30000000: "macos", 0x40000000: "ios",
    0x50000000: "android", 0x60000000: "chrome", 0x70000000: "vpn",
}  # fmt: skip
"""LimaCharlie's platform codes (documentation, "Agent IDs")."""


def event_of(record: dict[str, Any]) -> dict[str, Any]:
    """The event that triggered a detection, which comes bare or wrapped as `{event, routing, ts}`."""
    found = record.get("detect")
    if isinstance(found, dict) and isinstance(found.get("event"), dict):
        found = found["event"]
    return found if isinstance(found, dict) else {}


def leaves(value: Any, path: str = "", *, depth: int = 6) -> Iterator[tuple[str, str]]:
    """(path, text) of everything below a value, as it came; nothing for what is empty."""
    if isinstance(value, dict) and depth:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}/{name}" if path else str(name), depth=depth - 1)
    elif isinstance(value, list) and depth and any(isinstance(one, dict | list) for one in value):
        for number, inner in enumerate(value[:20]):
            yield from leaves(inner, f"{path}/{number}", depth=depth - 1)
    elif isinstance(value, list):
        if value:
            yield path, ", ".join(_text(one) for one in value[:20])
    elif value not in (None, "", {}):
        yield path, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _wrapped(text: str, width: int, lines: int) -> list[str]:
    """A long safe text over at most so many lines, cut with `~`."""
    text = safe_text(text, width * lines * 4)
    made: list[str] = []
    line, size = "", 0
    for character in text:
        cells = cell_width(character)
        if size + cells > width:
            head, space, rest = line.rpartition(" ")
            if space and len(rest) <= width // 4 and len(made) + 1 < lines:
                made.append(head)
                line, size = rest, cell_width(rest)
            else:
                made.append(line)
                line, size = "", 0
            if len(made) == lines:
                made[-1] = fit(made[-1] + "~~", width)
                return made
        line += character
        size += cells
    return [*made, line] if line else made


def describe(found: AlertDetail, context: Context, width: int, height: int) -> Content:
    """An alert as at most `height` lines of `width` cells, what matters most first."""
    try:
        record = json.loads(found.body)
    except (ValueError, RecursionError):
        record = None
    known = record if isinstance(record, dict) else {}
    event, routing = event_of(known), known.get("routing")
    routing = routing if isinstance(routing, dict) else {}
    mtd = known.get("detect_mtd")
    mtd = mtd if isinstance(mtd, dict) else {}
    lines: list[Content] = []
    inner = max(10, width - LABEL - 1)

    def add(label: str, value: object, *, most: int = 1, style: str = "") -> None:
        text = value if isinstance(value, str) else _text(value)
        if not text:
            return
        for number, line in enumerate(_wrapped(text, inner, most)):
            head = fit(label if not number else "", LABEL)
            lines.append(Content.assemble((head, "dim"), (line, style)))

    row = found.row
    now = context.clock()
    severity = f"{context.glyphs.severity[row.severity].strip()} {SEVERITY_WORDS[row.severity]} ".lstrip()
    lines.append(
        Content.assemble(
            (severity, SEVERITY_STYLES[row.severity]), content(row.cat, max(8, width - len(severity)), "bold")
        )
    )
    if row.damaged or record is None:
        add("damaged", "This record could not be read as JSON; J shows its bytes.", style="bold ansi_red")
    platform = PLATFORMS.get(routing.get("plat", 0) if isinstance(routing.get("plat"), int) else 0, "")
    where = row.hostname + (f" ({platform})" if platform else "")
    addresses = [str(routing.get(name) or "") for name in ("int_ip", "ext_ip")]
    add("org", found.path or row.organization)
    add("host", "  ".join(part for part in (where, *addresses) if part))
    add("command", event.get("COMMAND_LINE") or "", most=3, style="bold")
    taken = {"COMMAND_LINE", "PROCESS_ID"}
    for name, label in FIRST_WORDS:
        if event.get(name):
            add(
                label,
                event[name],
                style="bold" if name == "FILE_PATH" and not event.get("COMMAND_LINE") else "",
            )
        taken.add(name)
    parent = event.get("PARENT")
    if isinstance(parent, dict):
        taken.add("PARENT")
        pid = parent.get("PROCESS_ID")
        add(
            "parent",
            f"{parent.get('COMMAND_LINE') or parent.get('FILE_PATH') or ''}" + (f" ({pid})" if pid else ""),
        )
    elif event.get("PARENT_PROCESS_ID"):
        taken.add("PARENT_PROCESS_ID")
        add("parent", f"process {_text(event['PARENT_PROCESS_ID'])}")
    add("why", mtd.get("description") or "", most=2)
    add(
        "rule",
        row.rule
        + (f"  by {known['author']}" if isinstance(known.get("author"), str) and known["author"] else ""),
    )
    add("pid", event.get("PROCESS_ID") or "")
    reported = f"{context.when(row.time)}, {age(row.time, now)} ago"
    add("reported", reported)
    happened = routing.get("event_time")
    if isinstance(happened, int) and not isinstance(happened, bool):
        add("happened", context.when(happened))
    state = STATUSES[row.status].replace("_", " ")
    if row.classification:
        state += f", {CLASSIFICATIONS[row.classification].replace('_', ' ')}"
    add("state", state + (f", {row.assignee}" if row.assignee else ""))
    for path, text in leaves({name: value for name, value in event.items() if name not in taken}):
        if len(lines) >= height:
            break
        name = path.rpartition("/")[2] if cell_width(path) > 24 else path
        lines.append(
            Content.assemble(
                (safe_text(name, 24) + " ", "dim"), content(text, max(4, width - cell_width(name) - 1))
            )
        )
    add("known FP", mtd.get("falsepositives") or "", most=2)
    tags = known.get("rule_tags")
    add("tags", tags if tags else "")
    add("see", mtd.get("references") or "", most=2)
    add("id", row.detect_id)
    add("sensor", row.sid)
    kept = lines[:height]
    if len(lines) > height and kept:
        kept[-1] = Content.styled(fit(f"{len(lines) - height + 1} more lines: J", width), "dim")
    return Content("\n").join(kept)


class AlertPane(Widget):
    """The alert under the cursor, painted when the cursor rests."""

    DEFAULT_CSS = """
    AlertPane { border-top: solid $foreground 40%; overflow: hidden hidden; padding: 0 1; }
    """
    ALLOW_SELECT = False

    def __init__(self, context: Context) -> None:
        super().__init__(id="detail")
        self._shared = context
        self._found: AlertDetail | None = None
        self._written: Content | None = None

    def show(self, found: AlertDetail | None) -> None:
        """Show this one; None when there is none."""
        self._found = found
        self._write()

    def on_resize(self) -> None:
        """Another size, another choice of lines."""
        self._write()

    def _write(self) -> None:
        size = self.content_size
        if not size.width or not size.height:
            return
        written = describe(self._found, self._shared, size.width, size.height) if self._found else Content("")
        if self._written is None or written != self._written or written.spans != self._written.spans:
            self._written = written
            self.refresh()

    def render(self) -> VisualType:
        """What was written."""
        return self._written or Content("")
