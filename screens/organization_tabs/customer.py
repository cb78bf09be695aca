"""What has to be known about the customer: whom to call, when somebody is there, what to expect."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select
from textual.content import Content

from screens.context import HEALTH_STYLES, Context
from screens.customer_words import (
    contact_words,
    escalation_words,
    holidays_words,
    hours_words,
    standing_words,
)
from screens.organization_tabs.words import field
from screens.widgets.text import line
from store.queries.customers import Card, card
from store.queries.scopes import ORGANIZATION
from store.text import Untrusted
from store.times import age

TITLE = "Customer"
READS = frozenset(("customer_document", "configuration_record"))


@dataclass(frozen=True, slots=True)
class Found:
    """What is known, and when that was so."""

    name: Untrusted
    card: Card
    now: int


def read(connection: Connection, oid: str, now: int) -> Found | None:
    """What the store knows of its customer; None when the cloud never listed the organization."""
    name = connection.execute(select(ORGANIZATION.c.name).where(ORGANIZATION.c.oid == oid)).one_or_none()
    return None if name is None else Found(Untrusted(name[0] or oid), card(connection, oid, now), now)


def lines(found: Found, context: Context, wide: bool) -> list[Content]:
    """What is missing first, then what is needed in the order of a bad night."""
    customer, kept, now = found.card.customer, found.card.kept, found.now
    health = "partly" if customer.missing else "well"
    if not customer.said:
        health, said = "unknown", "no documentation is kept"
    else:
        said = f"lacks {', '.join(customer.missing)}" if customer.missing else "complete"
    lines = [
        line(
            (f" {found.name}", "bold"),
            "   ",
            (f"{context.glyphs.health[health]} {said}", HEALTH_STYLES[health]),
        )
    ]
    if customer.said:
        pushed = (
            "never pushed to org_notes"
            if kept.pushed_at is None
            else f"in org_notes, {age(kept.pushed_at, now)} old"
            if kept.pushed_hash == kept.hash
            else "changed since it was pushed to org_notes"
        )
        lines.append(field("kept", f"{age(kept.at, now)} ago by {kept.by}", f"; {pushed}"))
    else:
        lines.append(field("how", "limegrove org document edit, or import a file of all of them"))
    standing = found.card.standing
    style = "ansi_yellow" if standing.window else ""
    if said := standing_words(customer, standing, now):
        lines.append(field("now", (said, style)))
    lines += [
        field("contact" if not number else "", contact_words(each))
        for number, each in enumerate(customer.contacts)
    ]
    if customer.escalation:
        lines.append(field("escalate", escalation_words(customer)))
    if said := hours_words(customer):
        lines.append(field("service", said))
    if said := holidays_words(customer):
        lines.append(field("holidays", said))
    if customer.maintenance is not None:
        windows = "; ".join(f"{each.title}: {each.when}" for each in customer.maintenance)
        following = (
            f"   next in {age(now, standing.following_at)}" if standing.following_at is not None else ""
        )
        lines.append(field("maintains", windows or "no window is agreed", following))
    sops = [f"{each.title} ({_steps(each.text)})" for each in customer.sops]
    sops += [
        f"{each.name} ({_steps(each.text)}, cloud)" for each in found.card.notes if each.section == "hive/sop"
    ]
    if sops:
        lines.append(field("SOPs", ", ".join(sops)))
    notes = [each for each in customer.notes.split("\n") if each.strip()]
    shown = notes if wide else notes[:2]
    lines += [field("notes" if not number else "", each) for number, each in enumerate(shown)]
    for each in found.card.notes:
        if each.section == "hive/org_notes":
            written = [part for part in each.text.split("\n") if part.strip()]
            lines.append(
                field(
                    "org_notes", (each.name, "bold"), f": {each.description or written[0] if written else ''}"
                )
            )
            lines += [field("", part) for part in written[: 12 if wide else 3]]
    return lines


def _steps(text: str) -> str:
    count = sum(bool(each.strip()) for each in text.split("\n"))
    return "1 step" if count == 1 else f"{count} steps"
