"""One case, and the rules that cases follow: words, limits, steps, settings.

Facts: docs/5-integrations/extensions/limacharlie/cases.md and the official client 5.10.1, sdk/cases.py.
Keys of a linked detection are published in two spellings (`detect_id` and `detection_id`, `sid` and
`sensor_id`, ...), so records carry both.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from console.sandbox import snapshot
from console.sandbox.organizations import Organization
from console.sandbox.rules import Value
from store.alerts import CLASSIFICATIONS, SEVERITIES, STATUSES
from store.times import rfc3339

EXTENSION = "ext-cases"
VERDICTS = ("malicious", "suspicious", "benign", "unknown", "informational")
ENTITY_TYPES = ("ip", "domain", "hash", "url", "user", "email", "file", "process", "registry", "other")
NOTE_TYPES = (
    "general", "analysis", "remediation", "recommendation", "escalation", "handoff", "to_stakeholder",
    "from_stakeholder",
)  # fmt: skip
TAGS, TAG_LENGTH = 50, 128
LONG_TEXT, ENTITY_LENGTH, NOTE_LENGTH = 8192, 1024, 2048
BULK, MERGED = 200, 20
INGESTED, INGESTED_FREE = 100, 5
"""Detections a minute that an organization may send in, and one of the free tier (quota of 1 or 2)."""

DEFAULTS: Value = {
    "severity_mapping": {"critical_min": 8, "high_min": 5, "medium_min": 3},
    "sla_config": {
        "critical": {"mtta_minutes": 15, "mttr_minutes": 240},
        "high": {"mtta_minutes": 15, "mttr_minutes": 720},
        "medium": {"mtta_minutes": 60, "mttr_minutes": 1440},
        "low": {"mtta_minutes": 100, "mttr_minutes": 2800},
        "info": {"mtta_minutes": 480, "mttr_minutes": 10080},
    },
    "retention_days": 90,
    "auto_close_resolved_after_days": 7,
    "auto_grouping_enabled": False,
    "auto_grouping_include_sensor": True,
    "auto_grouping_include_category": False,
    "auto_grouping_window_minutes": 1440,
    "auto_grouping_window_mode": "sliding",
    "auto_grouping_reopen_closed": True,
}
"""The configuration of an organization that nobody changed."""

_RANGES = {
    "auto_grouping_window_minutes": (1, 10_080), "retention_days": (1, 3650),
    "auto_close_resolved_after_days": (0, 3650),
}  # fmt: skip


class CaseRefused(Exception):
    """Cases do not do that; the text says why, the status is that of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True, eq=False)
class Case:
    """One case. Times are milliseconds, UTC."""

    oid: str
    number: int
    case_id: str
    created_at: int
    severity: str = "medium"
    status: str = "new"
    classification: str = "pending"
    assignees: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    summary: str = ""
    conclusion: str = ""
    acknowledged_at: int | None = None
    resolved_at: int | None = None
    closed_at: int | None = None
    merged_into: str | None = None
    detections: list[Value] = field(default_factory=list)
    events: list[Value] = field(default_factory=list)
    entities: list[Value] = field(default_factory=list)
    telemetry: list[Value] = field(default_factory=list)
    artifacts: list[Value] = field(default_factory=list)
    time_logs: list[Value] = field(default_factory=list)
    story: "Callable[[Case], None] | None" = None
    """Tells what happened to a case of the seed, when somebody first looks closely."""

    def shown(self) -> Value:
        """The case as the API answers it."""
        solved = None if self.resolved_at is None else (self.resolved_at - self.created_at) // 1000
        return {
            "case_id": self.case_id,
            "case_number": self.number,
            "oid": self.oid,
            "status": self.status,
            "severity": self.severity,
            "classification": self.classification,
            "assignees": list(self.assignees),
            "tags": list(self.tags),
            "summary": self.summary,
            "conclusion": self.conclusion,
            "detection_count": len(self.detections),
            "created_at": stamp(self.created_at),
            "acknowledged_at": rfc3339(self.acknowledged_at),
            "resolved_at": rfc3339(self.resolved_at),
            "closed_at": rfc3339(self.closed_at),
            "ttr_seconds": solved,
            "merged_into_case_id": self.merged_into,
        }

    def row(self) -> Value:
        """The case as a listing answers it: with what its detections add up to."""
        return self.shown() | {
            "detection_cats": sorted({each["detection_cat"] for each in self.detections}),
            "sids": sorted({each["sid"] for each in self.detections if each["sid"]}),
        }


def resumed(organization: Organization, kept: snapshot.Case) -> Case:
    """A case as a snapshot kept it.

    Raises:
        BadSnapshot: it makes no sense; the text says what.
    """
    for name, word, words in (
        ("severity", kept.severity, SEVERITIES),
        ("status", kept.status, STATUSES),
        ("classification", kept.classification, CLASSIFICATIONS),
    ):
        if word not in words:
            raise snapshot.BadSnapshot(f"cases.kept.{name}: {word[:64]} is none of {', '.join(words)}")
    for where, rows, shape in (
        ("detections", kept.detections, snapshot.Linked),
        ("events", kept.events, snapshot.Happened),
        ("entities", kept.entities, snapshot.Entity),
        ("telemetry", kept.telemetry, snapshot.Telemetry),
        ("artifacts", kept.artifacts, snapshot.Artifact),
        ("time_logs", kept.time_logs, snapshot.TimeLog),
    ):
        for row in rows:
            snapshot.shaped(shape, row, f"cases.kept.{where}")
    return Case(
        oid=organization.oid, **{name: getattr(kept, name) for name in snapshot.Case.__struct_fields__}
    )


def stamp(moment: int) -> str:
    """A time (ms, UTC) as Cases writes it: RFC 3339."""
    return str(rfc3339(moment))


def linked(detection: Value, moment: int) -> Value:
    """The record of a detection that is linked to a case.

    Args:
        detection: as the platform writes it, whole or in part.
        moment: when it was linked (ms).

    Raises:
        CaseRefused: 400 without a `detect_id`.
    """
    detect_id = detection.get("detect_id")
    if not isinstance(detect_id, str) or not detect_id:
        raise CaseRefused(400, "detection has no detect_id")
    routing, mtd = detection.get("routing"), detection.get("detect_mtd")
    routing = routing if isinstance(routing, dict) else {}
    mtd = mtd if isinstance(mtd, dict) else {}
    return record_of(
        detect_id,
        cat=str(detection.get("cat") or ""),
        source=str(detection.get("source") or ""),
        priority=detection.get("priority"),
        sid=str(routing.get("sid") or ""),
        hostname=str(routing.get("hostname") or ""),
        level=mtd.get("level"),
        moment=moment,
    )


def record_of(
    detect_id: str,
    *,
    cat: str,
    source: str,
    priority: object,
    sid: str,
    hostname: str,
    level: object,
    moment: int,
) -> Value:
    """The record of a linked detection, out of its parts. `moment`: when it was linked (ms)."""
    return {
        "detect_id": detect_id, "detection_id": detect_id, "cat": cat, "detection_cat": cat,
        "source": source, "detection_source": source, "priority": priority, "detection_priority": priority,
        "sid": sid, "sensor_id": sid, "hostname": hostname, "level": level, "added_at": stamp(moment),
    }  # fmt: skip


def event_of(case: Case, event_id: str, action: str, by: str, moment: int, metadata: Value) -> Value:
    """One entry of a timeline: webhooks call its parts so (docs: cases.md). Notes show theirs twice."""
    event: Value = {
        "event_id": event_id, "case_id": case.case_id, "case_number": case.number, "oid": case.oid,
        "action": action, "event_type": action, "by": by, "ts": stamp(moment), "metadata": metadata,
    }  # fmt: skip
    if action == "case_note_added":
        event |= {name: metadata[name] for name in ("content", "note_type", "is_public")}
    return event


def normal(kind: str, value: str) -> str:
    """An indicator as it is compared."""
    return value.lower() if kind in ("ip", "domain", "hash", "email") else value


def rows_of(case: Case, what: str) -> list[Value]:
    """What is attached to a case. `what`: entity, telemetry or artifact."""
    return {"entity": case.entities, "telemetry": case.telemetry, "artifact": case.artifacts}[what]


def one_of(name: str, value: object, allowed: Iterable[str]) -> str:
    """A word that has to be one of those allowed.

    Raises:
        CaseRefused: 400.
    """
    if not isinstance(value, str) or value not in allowed:
        raise CaseRefused(400, f"{name} must be one of {', '.join(allowed)}")
    return value


def text_of(name: str, value: object, longest: int, *, required: bool = False) -> str:
    """A text of at most so many characters; "" for None unless it is required.

    Raises:
        CaseRefused: 400.
    """
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value.strip()):
        raise CaseRefused(400, f"{name} must be a text")
    if len(value) > longest:
        raise CaseRefused(400, f"{name} is longer than {longest} characters")
    return value


def flag_of(sent: Value, name: str) -> bool:
    """A boolean; false when it was not sent.

    Raises:
        CaseRefused: 400.
    """
    value = sent.get(name, False)
    if not isinstance(value, bool):
        raise CaseRefused(400, f"{name} must be true or false")
    return value


def assessed(sent: Value, before: Value) -> Value:
    """Verdict and note as they were sent, else as they were before.

    Raises:
        CaseRefused: 400.
    """
    found = dict(before)
    if sent.get("verdict") is not None:
        found["verdict"] = one_of("verdict", sent["verdict"], VERDICTS)
    if sent.get("note") is not None:
        found["note"] = text_of("note", sent["note"], NOTE_LENGTH)
    return found


def checked(fields: Value) -> Value:
    """The fields of an update, each in order.

    Raises:
        CaseRefused: 400, also when there is nothing to update.
    """
    found: Value = {}
    for name, value in fields.items():
        if name == "status":
            found[name] = one_of(name, value, STATUSES)
        elif name == "severity":
            found[name] = one_of(name, value, SEVERITIES)
        elif name == "classification":
            found[name] = one_of(name, value, CLASSIFICATIONS)
        elif name in ("summary", "conclusion"):
            found[name] = text_of(name, value, LONG_TEXT)
        elif name == "assignees":
            found[name] = [text_of("an assignee", each, 320, required=True) for each in _listed(name, value)]
        elif name == "tags":
            found[name] = _tags(_listed(name, value))
        else:
            raise CaseRefused(400, f"{name} cannot be updated")
    if not found:
        raise CaseRefused(400, "nothing to update")
    return found


def _listed(name: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise CaseRefused(400, f"{name} must be a list of texts")
    return value


def _tags(values: list[Any]) -> list[str]:
    found: dict[str, str] = {}
    for value in values:
        tag = text_of("a tag", value, TAG_LENGTH, required=True)
        if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in tag):
            raise CaseRefused(400, "a tag must not hold control characters")
        found.setdefault(tag.casefold(), tag)
    if len(found) > TAGS:
        raise CaseRefused(400, f"more than {TAGS} tags")
    return list(found.values())


def setting(name: str, value: object, before: Value) -> object:
    """A value of the configuration, whole: what is missing in its lower levels stays.

    Args:
        before: the whole configuration as it was.

    Raises:
        CaseRefused: 400.
    """
    if name not in DEFAULTS:
        raise CaseRefused(400, f"{name} is no setting of cases")
    default = DEFAULTS[name]
    if isinstance(default, dict):
        return _nested(name, value, before[name], default)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise CaseRefused(400, f"{name} must be true or false")
    elif isinstance(default, int):
        low, high = _RANGES[name]
        if not _whole(value, low, high):
            raise CaseRefused(400, f"{name} must be a whole number from {low} to {high}")
    else:
        one_of(name, value, ("sliding", "fixed"))
    return value


def _nested(name: str, value: object, before: Value, default: Value) -> Value:
    if not isinstance(value, dict):
        raise CaseRefused(400, f"{name} must be an object")
    found = dict(before)
    for key, each in value.items():
        if key not in default:
            raise CaseRefused(400, f"{name} has no {key}")
        if isinstance(default[key], dict):
            found[key] = _nested(f"{name}.{key}", each, before[key], default[key])
        elif not _whole(each, 0, 10 if name == "severity_mapping" else 1_000_000):
            raise CaseRefused(400, f"{name}.{key} must be a whole number that is not negative")
        else:
            found[key] = each
    return found


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
