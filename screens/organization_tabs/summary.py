"""The first tab: how an organization is, the most urgent first."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection
from textual.content import Content

from screens.context import HEALTH_STYLES, Context
from screens.customer_words import first_contact
from screens.keys import press
from screens.organization_tabs.words import counted, field, opened
from screens.widgets.spark import spark
from screens.widgets.text import line
from store.customers import EMPTY, Customer, customer
from store.freshness import SUBJECTS, state_of
from store.queries.organizations import OrganizationDetail, organization
from store.quotas import percent_used
from store.sensors import platform_name
from store.times import age

TITLE = "Summary"
READS = frozenset(("customer_document",))


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of it, and when that was so."""

    detail: OrganizationDetail
    now: int
    customer: Customer = EMPTY
    """What is documented of its customer."""


def read(connection: Connection, oid: str, now: int) -> Found | None:
    """What the store knows of it; None when the cloud never listed it."""
    detail = organization(connection, oid, now=now)
    return None if detail is None else Found(detail, now, customer(connection, oid))


def lines(found: Found, context: Context, wide: bool) -> list[Content]:
    """The most urgent first."""
    return organization_lines(found.detail, context, found.now, wide=wide, known=found.customer)


def organization_lines(
    found: OrganizationDetail, context: Context, now: int, *, wide: bool, known: Customer = EMPTY
) -> list[Content]:
    """The detail of one organization, the most urgent first."""
    row = found.row
    fresh = {
        "fresh": f"fresh, {age(row.synced_at, now)} old",
        "stale": f"stale, {age(row.synced_at, now)} old",
        "failed": "failed"
        + (f", what is shown is {age(row.synced_at, now)} old" if row.synced_at else ", never read"),
        "never": "never synced",
    }[row.state]
    health = {"fresh": "well", "stale": "unknown", "failed": "failed", "never": "unknown"}[row.state]
    lines = [
        line(
            (f" {row.name}", "bold"),
            "   ",
            (f"{context.glyphs.health[health]} {fresh}", HEALTH_STYLES[health]),
            f"   {row.region}" if row.region else "",
            ("   no longer listed by the cloud", HEALTH_STYLES["failed"]) if row.gone else "",
        ),
        field("oid", row.oid, f"   marked {', '.join(found.marks)}" if found.marks else ""),
    ]
    if row.reason:
        lines.append(field("because", (row.reason, HEALTH_STYLES["failed"])))
    known_alerts = row.open_alerts is not None
    lines.append(
        field(
            "alerts",
            opened(row.open_alerts, row.by_severity),
            f"   14 d {spark(found.days)} {sum(found.days):,} in all" if wide and known_alerts else "",
        )
    )
    if not wide and known_alerts:
        lines.append(field("14 days", spark(found.days, gap=" "), f"   {sum(found.days):,} detections"))
    if found.top_rules:
        top = found.top_rules if wide else found.top_rules[:2]
        lines.append(field("top rules", ", ".join(f"{cat} ({count:,})" for cat, count in top)))
    quota = ""
    if row.sensor_quota:
        percent = percent_used(row.quota_used, row.sensor_quota)
        quota = f"   quota {row.sensor_quota:,}" + ("" if percent is None else f", {percent}% used")
    lines.append(field("sensors", f"{counted(row.sensors)}, {counted(row.sensors_online)} online{quota}"))
    if found.platforms:
        lines.append(
            field(
                "alive",
                ", ".join(
                    f"{platform_name(code)} {alive:,}/{count:,}" for code, count, alive in found.platforms
                ),
            )
        )
    lines.append(
        field(
            "people",
            f"{counted(found.users)} users, {counted(found.groups)} groups, {counted(found.keys)} keys"
            f"   {press('organizations.access', 'm')} shows who may what"
            if (found.users, found.groups, found.keys) != (None, None, None)
            else "unknown",
        )
    )
    if known.said:
        lacks = f"   lacks {', '.join(known.missing)}" if known.missing else ""
        lines.append(field("contact", first_contact(known) or "nobody", (lacks, HEALTH_STYLES["partly"])))
    sections_read = found.records or ()
    records = sum(count for _, count in sections_read)
    sections = ": " + ", ".join(
        f"{section.removeprefix('hive/')} {count:,}" for section, count in sections_read
    )
    if not wide:
        sections = f" in {len(sections_read)} sections"
    none = "unknown" if found.records is None else "none"
    lines.append(field("records", f"{records:,}{sections}" if sections_read else none))
    lines.extend(
        field(
            "error" if number else "errors",
            (component, "bold"),
            f": {error}   {age(time, now)}" if time else f": {error}",
        )
        for number, (component, error, time) in enumerate(found.errors)
    )
    lines.append(field("copies", *_subject_parts(found, now)))
    lines.extend(
        field("not read", (f"{subject}: {reason or failure}", HEALTH_STYLES["failed"]))
        for subject, _, failure, reason in found.subjects
        if failure and reason != row.reason
    )
    if found.labels:
        lines.append(field("labels", ", ".join(f"{key}={value}" for key, value in found.labels.items())))
    if found.parameters:
        lines.append(
            field("parameters", ", ".join(f"{key}={value}" for key, value in found.parameters.items()))
        )
    return lines


def _subject_parts(found: OrganizationDetail, now: int) -> list[str | tuple[str, str]]:
    """Each subject with its age, those that failed or were never read in words."""
    known = {subject: (checked_at, failure) for subject, checked_at, failure, _ in found.subjects}
    parts: list[str | tuple[str, str]] = []
    for subject in SUBJECTS[2:]:
        if subject == "cases" and subject not in known:
            continue  # most organizations do not have the extension
        checked_at, failure = known.get(subject, (None, ""))
        state = state_of(checked_at, failure, now)
        text = f"{subject} {age(checked_at, now)}" if state in ("fresh", "stale") else f"{subject} {state}"
        if parts:
            parts.append(", ")
        parts.append((text, HEALTH_STYLES["failed"]) if state == "failed" else text)
    return parts
