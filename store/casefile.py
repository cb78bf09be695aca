"""A case as a file: exact data for programs; Markdown for people, in which a stranger's text stays text."""

import re
from collections.abc import Iterable
from typing import Any

from store.alerts import CLASSIFICATIONS, SEVERITIES, STATUSES
from store.cases import reference
from store.queries.cases import CaseDetail, CaseRow, EditRow
from store.text import safe_block, safe_text
from store.times import rfc3339

_ACTIVE = re.compile(
    r"[\\`*_{}\[\]#|~@]|(?<!\b\d\d):(?=\S)|:(?!\d\d\b)(?=\S)|(?<=\bwww)\.|^\s*(?:[-+=:]|\d+(?=[.)]))",
    re.IGNORECASE,
)
"""What Markdown obeys, and what turns bare addresses into links. A colon before a space or in a time of day
is in neither; nor are round brackets once square ones are none."""
_SPECIAL = re.compile(rf"{_ACTIVE.pattern}|[():]", re.IGNORECASE)
"""That, and what looks as if."""
_LONGEST = 65_536


def listed(row: CaseRow) -> dict[str, Any]:
    """One case as a list has it; times are RFC 3339 in UTC."""
    return {
        "oid": row.oid,
        "organization": str(row.organization),
        "number": row.number,
        "name": row.name,
        "case_id": str(row.case_id),
        "status": STATUSES[row.status],
        "severity": SEVERITIES[row.severity],
        "classification": CLASSIFICATIONS[row.classification],
        "assignees": list(map(str, row.assignees)),
        "tags": list(map(str, row.tags)),
        "summary": str(row.summary),
        "detections": row.detections,
        "created_at": rfc3339(row.created_at),
        "due_at": rfc3339(row.due_at),
        "local": row.local,
        "pending": row.pending,
        "conflicts": row.conflicts,
        "refused": row.refused,
    }


def edited(edit: EditRow) -> dict[str, Any]:
    """One edit as a list has it."""
    return {
        "id": edit.id,
        "oid": edit.oid,
        "organization": str(edit.organization),
        "number": edit.number,
        "name": reference("", edit.number),
        "what": edit.what,
        "state": edit.state_word,
        "wanted": edit.wanted,
        "seen": edit.seen,
        "now": edit.found,
        "reason": str(edit.reason),
        "by": str(edit.by),
        "at": rfc3339(edit.at),
        "finished_at": rfc3339(edit.finished_at),
    }


def case_file(detail: CaseDetail) -> dict[str, Any]:
    """A case, whole: what a list has, what it says, holds and went through, and what is wanted of it."""
    row = detail.row
    return listed(row) | {
        "path": str(detail.path),
        "conclusion": str(row.conclusion),
        "acknowledged_at": rfc3339(row.acknowledged_at),
        "resolved_at": rfc3339(row.resolved_at),
        "closed_at": rfc3339(row.closed_at),
        "merged_into_case_id": str(row.merged_into) or None,
        "wanted": detail.wanted,
        "read_at": rfc3339(detail.read_at),
        "complete": detail.complete,
        "lacking": detail.lacking,
        "alerts": [
            {
                "detect_id": str(link.detect_id),
                "cat": str(link.cat),
                "hostname": str(link.hostname),
                "sid": str(link.sid),
                "added_at": rfc3339(link.added_at),
                "status": None if link.status is None else STATUSES[link.status],
                "classification": None
                if link.classification is None
                else CLASSIFICATIONS[link.classification],
                "severity": None if link.severity is None else SEVERITIES[link.severity],
                "time": rfc3339(link.time),
            }
            for link in detail.links
        ],
        "entities": detail.entities,
        "telemetry": detail.telemetry,
        "artifacts": detail.artifacts,
        "events": [
            {
                "event_id": event.event_id,
                "time": rfc3339(event.time),
                "action": str(event.action),
                "by": str(event.by),
                "metadata": event.details,
            }
            for event in detail.events
        ],
        "edits": [edited(edit) for edit in detail.edits],
    }


def markdown(detail: CaseDetail, *, public_only: bool = False) -> str:
    """A case for people to read.

    Args:
        public_only: leave out what was written down for us: the notes that the customer may not see, remarks
            on entities, tags, the history, and who did what.
    """
    row = detail.row
    lines = [
        f"# Case {plain(row.name)}: {plain(row.summary or 'no summary')}",
        "",
        f"- Organization: {plain(row.organization)} ({plain(row.oid)})",
        f"- Status: {STATUSES[row.status]}, {CLASSIFICATIONS[row.classification].replace('_', ' ')}",
        f"- Severity: {SEVERITIES[row.severity]}",
        f"- Created: {rfc3339(row.created_at)}",
    ]
    for name, moment in (
        ("Acknowledged", row.acknowledged_at),
        ("Resolved", row.resolved_at),
        ("Closed", row.closed_at),
    ):
        if moment is not None:
            lines.append(f"- {name}: {rfc3339(moment)}")
    if row.assignees and not public_only:
        lines.append(f"- Assigned to: {', '.join(map(plain, row.assignees))}")
    if row.tags and not public_only:
        lines.append(f"- Tags: {', '.join(map(plain, row.tags))}")
    if row.local:
        lines.append("- Kept by the provider: the organization has no cases of its own")
    read = rfc3339(detail.read_at)
    lines.append(f"- As read at {read}" if read else "- Notes and history were not read")
    if read and detail.lacking:
        lines.append(f"- Not whole: {detail.lacking}")
    if row.conclusion:
        lines += ["", "## Conclusion", "", *quoted(row.conclusion)]
    lines += ["", f"## Alerts ({row.detections})", ""]
    lines += [
        f"- {plain(link.cat or 'alert')} on {plain(link.hostname or 'an unknown host')}"
        f", {rfc3339(link.time) or 'time unknown'} ({plain(link.detect_id)})"
        for link in detail.links
    ] or ["None are known."]
    if detail.entities:
        lines += ["", "## Entities", ""]
        for each in detail.entities:
            kind, value = str(each.get("entity_type", "")), str(each.get("entity_value", ""))
            said = each.get("note") if not public_only else ""
            remark = f": {plain(str(said))}" if said else ""
            lines.append(
                f"- {plain(kind)} {plain(value)}, {plain(str(each.get('verdict') or 'unknown'))}{remark}"
            )
    notes = [note for note in detail.notes if note.details.get("is_public") is True or not public_only]
    if notes:
        lines += ["", "## Notes", ""]
    for note in notes:
        kind = str(note.details.get("note_type") or "general").replace("_", " ")
        seen = "the customer may see it" if note.details.get("is_public") is True else "internal"
        by = "" if public_only else f", {plain(note.by)}"
        lines += [f"### {rfc3339(note.time)}{by} ({plain(kind)}, {seen})", ""]
        lines += [*quoted(str(note.details.get("content", ""))), ""]
    if not public_only:
        lines += ["", "## History", ""]
        lines += [
            f"- {rfc3339(event.time)} {plain(event.by or 'somebody')}: "
            f"{plain(event.action.removeprefix('case_').replace('_', ' '))}{_changed(event.details)}"
            for event in detail.events
        ] or ["It was not read."]
    return "\n".join(lines).rstrip() + "\n"


def plain(text: str) -> str:
    """A stranger's text as one line of Markdown that means nothing but itself."""
    return _with_backslashes(_SPECIAL, safe_text(str(text), _LONGEST))


def escaped(text: str) -> str:
    """One line of Markdown out of words that are ours, and of a stranger's that were made safe among them.

    They mean nothing but themselves, and no more of ours is changed than that takes.
    """
    return _with_backslashes(_ACTIVE, text)


def _with_backslashes(what: re.Pattern[str], text: str) -> str:
    found = what.sub(lambda each: _escaped(each[0]), text)
    return found.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _escaped(active: str) -> str:
    # A number at the beginning makes a list with what follows it.
    return f"{active}\\" if active[-1].isdigit() else f"{active[:-1]}\\{active[-1]}"


def quoted(text: str) -> Iterable[str]:
    """A stranger's text of several lines as a quotation."""
    return [f"> {plain(line)}" if line else ">" for line in safe_block(str(text), _LONGEST)]


def _changed(details: dict[str, Any]) -> str:
    if "old" not in details or "new" not in details:
        return ""
    return f": {plain(_value(details['old']))} to {plain(_value(details['new']))}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return str(value if value not in (None, "") else "nothing")
