"""One case in words: whose it is, what is to be decided, what it holds, what was said and done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from screens.context import SEVERITY_STYLES, SEVERITY_WORDS, Context
from screens.widgets.text import block, content, line
from store.alerts import CLASSIFICATIONS, STATUSES
from store.cases import CONFLICT, PENDING, REFUSED, SENDING
from store.times import age, clock_left

if TYPE_CHECKING:
    from store.queries.cases import CaseDetail, CaseEventRow, EditRow

LABEL = 9
"""Cells of the labels at the left."""
NOTES_SHOWN = 20
EVENTS_SHOWN = 40
ALERTS_SHOWN = 30


def describe(found: CaseDetail, context: Context) -> Content:
    """A case as lines, what matters most first; the pane scrolls."""
    row, now = found.row, context.clock()
    lines: list[Content] = []

    def add(label: str, *parts: str | Content | tuple[str, str]) -> None:
        lines.append(Content.assemble((f"{label:<{LABEL}}", "dim"), line(*parts)))

    severity = f"{context.glyphs.severity[row.severity].strip()} {SEVERITY_WORDS[row.severity]} ".lstrip()
    lines.append(
        line(
            Content.styled(severity, SEVERITY_STYLES[row.severity]),
            (row.name, "bold"),
            "  ",
            (row.about or row.summary or "(no summary)", "bold"),
        )
    )
    add("org", found.path or row.organization)
    state = _state(STATUSES[row.status], CLASSIFICATIONS[row.classification])
    who = ", ".join(row.assignees) or "nobody"
    add("state", state, ("   who ", "dim"), who)
    if row.due_at is not None:
        add("SLA", (clock_left(row.due_at, now), "bold ansi_red" if row.due_at < now else ""))
    if row.local:
        add("here", ("kept here: its organization has no cases of its own", "ansi_yellow"))
    elif row.creating:
        add("here", ("not in the cloud yet", "bold ansi_yellow"))
    if row.merged_into:
        add("merged", f"into the case {row.merged_into}")
    for edit in found.edits:
        if edit.state in (CONFLICT, REFUSED):
            lines += _undecided(edit)
    waiting = [edit for edit in found.edits if edit.state in (PENDING, SENDING)]
    for edit in reversed(waiting):
        why = f"   {edit.reason}" if edit.reason else ""
        add("waits", (wanted_words(edit), "ansi_yellow"), f"  by {edit.by}", (why, "dim"))
    if row.tags:
        add("tags", ", ".join(row.tags))
    add("created", f"{context.when(row.created_at)}, {age(row.created_at, now)} ago")
    if found.read_at is None:
        add("read", ("its notes and history were not read yet", "dim"))
    else:
        older = "; the case changed since" if found.older else ""
        add("read", f"{age(found.read_at, now)} ago", (older, "ansi_yellow"))
    if row.conclusion:
        lines += [Content.styled("Conclusion", "bold"), _indented(str(row.conclusion))]
    lines += _notes(found, context)
    lines += _held(found)
    if found.events:
        lines.append(Content.styled("History", "bold"))
        for event in reversed(found.events[-EVENTS_SHOWN:]):
            happened = event.action.removeprefix("case_").replace("_", " ")
            lines.append(
                line(
                    (f"  {context.when(event.time, seconds=False)}  ", "dim"),
                    (f"{event.by or '-'}  ", ""),
                    happened,
                    (_change(event.details), "dim"),
                )
            )
    return Content("\n").join(lines)


def _notes(found: CaseDetail, context: Context) -> list[Content]:
    notes: list[CaseEventRow] = list(reversed(found.notes))
    if not notes:
        return []
    lines = [Content.styled(f"Notes ({len(notes)})", "bold")]
    for note in notes[:NOTES_SHOWN]:
        public = note.details.get("is_public") is True
        kind = str(note.details.get("note_type") or "general").replace("_", " ")
        lines.append(
            line(
                (f"  {context.when(note.time, seconds=False)}  ", "dim"),
                note.by or "-",
                f"  {kind}, ",
                ("PUBLIC" if public else "internal", "bold ansi_yellow" if public else ""),
            )
        )
        lines.append(_indented(str(note.details.get("content", ""))))
    return lines


def _held(found: CaseDetail) -> list[Content]:
    row = found.row
    lines = [Content.styled(f"Alerts ({row.detections})", "bold")]
    if not found.links_read and row.detections:
        lines.append(Content.styled("  not read yet", "dim"))
    for link in found.links[:ALERTS_SHOWN]:
        if link.status is None:
            words = "not in the store"
        else:
            words = _state(STATUSES[link.status], CLASSIFICATIONS[link.classification or 0])
        lines.append(
            line("  ", (link.cat or link.detect_id, ""), (f"  {link.hostname}", ""), (f"  {words}", "dim"))
        )
    if found.entities:
        lines.append(Content.styled(f"Entities ({len(found.entities)})", "bold"))
        for each in found.entities[:ALERTS_SHOWN]:
            lines.append(
                line(
                    (f"  {each.get('entity_type') or ''} ", "dim"),
                    str(each.get("entity_value") or ""),
                    f"  {each.get('verdict') or 'unknown'}",
                    (f"  {each.get('note') or ''}", "dim"),
                )
            )
    for name, items in (("Events", found.telemetry), ("Artifacts", found.artifacts)):
        if items:
            lines.append(Content.styled(f"{name} ({len(items)})", "bold"))
            for each in items[:ALERTS_SHOWN]:
                what = each.get("event_type") or each.get("path") or ""
                whence = each.get("atom") or each.get("source") or ""
                lines.append(line("  ", str(what), (f"  {whence}  {each.get('verdict') or ''}", "dim")))
    return lines


def _undecided(edit: EditRow) -> list[Content]:
    """Both sides of what nobody has decided."""
    sign = "CONFLICT" if edit.state == CONFLICT else "REFUSED"
    lines = [line((f"{sign:<{LABEL}}", "bold ansi_red"), edit.reason)]
    lines.append(
        line((f"{'':<{LABEL}}", ""), ("mine    ", "dim"), wanted_words(edit), (f"  by {edit.by}", "dim"))
    )
    there = edit.found.get("case")
    if isinstance(there, dict):
        theirs = ", ".join(f"{name} {_value(there.get(name))}" for name in edit.wanted if name in there)
        if theirs:
            lines.append(line((f"{'':<{LABEL}}", ""), ("theirs  ", "dim"), theirs))
    return lines


def wanted_words(edit: EditRow) -> str:
    """What an edit is about, in a line; holds strangers' text."""
    wanted = edit.wanted
    match edit.what:
        case "update":
            return ", ".join(f"{name} {_value(value)}" for name, value in wanted.items())
        case "note":
            return f"note ({wanted.get('note_type')}): {wanted.get('content')}"
        case "tags":
            signs = [f"+{tag}" for tag in wanted.get("add", ())]
            return "tags " + " ".join([*signs, *(f"-{tag}" for tag in wanted.get("remove", ()))])
        case "entity":
            return f"{wanted.get('entity_type')} {wanted.get('entity_value')}"
        case "merge":
            return "merge " + ", ".join(f"#{number}" for number in wanted.get("sources", ()))
        case "time":
            return f"{wanted.get('billable_seconds', 0) // 60} minutes"
        case "link":
            return f"{len(wanted.get('detect_ids', ()))} more alerts"
        case "create":
            return f"new case: {wanted.get('summary') or ''}"
        case _:
            return edit.what


def _state(status: str, classification: str) -> str:
    words = status.replace("_", " ")
    return words if classification == "pending" else f"{words}, {classification.replace('_', ' ')}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nobody"
    return str(value if value not in (None, "") else "empty").replace("_", " ")


def _change(details: dict[str, Any]) -> str:
    if "old" in details and "new" in details:
        return f"  {_value(details['old'])} to {_value(details['new'])}"
    return ""


def _indented(text: str) -> Content:
    return Content("\n").join(
        Content.assemble("    ", content(part)) for part in block(text, 8_192).plain.split("\n")
    )


class CasePane(VerticalScroll, can_focus=False):
    """The case under the cursor, painted when the cursor rests; J and K scroll it."""

    DEFAULT_CSS = """
    CasePane { border-top: solid $foreground 40%; padding: 0 1; scrollbar-size-vertical: 1; }
    CasePane > Static { height: auto; width: 1fr; }
    """

    def __init__(self, context: Context) -> None:
        super().__init__(Static("", id="case-text", markup=False), id="case-detail")
        self._shared = context
        self._key: tuple[str, int] | None = None

    def show(self, found: CaseDetail | None) -> None:
        """Show this one; None when there is none."""
        key = (found.row.oid, found.row.number) if found is not None else None
        written = describe(found, self._shared) if found is not None else Content("")
        self.query_one("#case-text", Static).update(written)
        if key != self._key:
            self._key = key
            self.scroll_home(animate=False)

    def turn(self, lines: int) -> None:
        """Scroll."""
        self.scroll_relative(y=lines, animate=False)
