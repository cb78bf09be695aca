"""What is known about a customer, as it is needed at a moment: whom to call, whether somebody is there."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, select

from store import windows
from store.bodies import unpack
from store.customers import RECORD, Customer, Kept, kept
from store.errors import StoreError
from store.models import ConfigurationBody, ConfigurationRecord
from store.servicehours import DAYS, public_holidays, zone
from store.text import Untrusted

_RECORD: Table = ConfigurationRecord.__table__  # type: ignore[attr-defined]
_BODY: Table = ConfigurationBody.__table__  # type: ignore[attr-defined]

SECTIONS = ("hive/org_notes", "hive/sop")

_WORD = re.compile(r"[^\W_]{4,}")
_COMMON = frozenset(
    ("alert", "detected", "detection", "from", "general", "rule", "service", "that", "this", "with")
)


@dataclass(frozen=True, slots=True)
class Note:
    """A record of the organization's `org_notes` or `sop`, as it was read from the cloud."""

    section: str
    """Of SECTIONS."""
    name: Untrusted
    description: Untrusted
    text: Untrusted
    """"" where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Situation:
    """How it stands with a customer at a moment."""

    clock: str
    """Day and time there: `Sat 03:12`; "" when the time zone is not said."""
    open: bool | None
    """Whether it is served; None when no service hours are said."""
    until: int | None
    """When that changes (ms); None when it does not."""
    holiday: Untrusted
    """Of today, there; "" when it is none."""
    window: Untrusted
    """The title of the maintenance that goes on; "" when none does."""
    window_until: int | None
    following: Untrusted
    """The title of the next maintenance; "" when none is near."""
    following_at: int | None


@dataclass(frozen=True, slots=True)
class Card:
    """What a customer's documentation says at a moment."""

    kept: Kept
    standing: Situation
    notes: tuple[Note, ...]
    """Other records of the organization's `org_notes` and `sop`."""

    @property
    def customer(self) -> Customer:
        """The documentation."""
        return self.kept.customer


def card(connection: Connection, oid: str, now: int) -> Card:
    """What is known about an organization's customer.

    Args:
        now: milliseconds, UTC.
    """
    held = kept(connection, oid)
    return Card(held, standing(held.customer, now), notes(connection, oid))


def standing(customer: Customer, now: int) -> Situation:
    """How it stands with a customer.

    Args:
        now: milliseconds, UTC.
    """
    name = customer.time_zone or "UTC"
    local = datetime.fromtimestamp(now / 1000, UTC).astimezone(zone(name))
    service = customer.service
    is_open = None if customer.hours is None else service is None or service.is_open(now)
    today = next(
        (
            day.name or "closed"
            for day in customer.closed
            if (day.month, day.day) == (local.month, local.day) and day.year in (None, local.year)
        ),
        "",
    )
    if not today and customer.country and (service is None or service.is_holiday(local.date())):
        today = public_holidays(customer.country, local.year).get(local.date(), "")
    lasting: tuple[str, int] | None = None
    following: tuple[str, int] | None = None
    for each in customer.maintenance or ():
        when = windows.parse(each.when)
        at, after = when.at(now, name), when.following(now, name)
        if at is not None and (lasting is None or at[1] > lasting[1]):
            lasting = each.title, at[1]
        if after is not None and (following is None or after[0] < following[1]):
            following = each.title, after[0]
    return Situation(
        f"{DAYS[local.weekday()]} {local:%H:%M}" if customer.time_zone else "",
        is_open,
        service.next_change(now) if service is not None else None,
        Untrusted(today),
        Untrusted(lasting[0] if lasting else ""),
        lasting[1] if lasting else None,
        Untrusted(following[0] if following else ""),
        following[1] if following else None,
    )


def notes(connection: Connection, oid: str) -> tuple[Note, ...]:
    """What else the organization's `org_notes` and `sop` hold, as they were read from the cloud last."""
    rows = connection.execute(
        select(_RECORD.c.section, _RECORD.c.name, _BODY.c.body)
        .join(_BODY, _BODY.c.hash == _RECORD.c.hash)
        .where(_RECORD.c.oid == oid, _RECORD.c.valid_to.is_(None), _RECORD.c.section.in_(SECTIONS))
        .order_by(_RECORD.c.section, _RECORD.c.name)
    )
    found = []
    for section, name, packed in rows:
        if section == SECTIONS[0] and name == RECORD:
            continue
        body = _decoded(packed)
        texts = [body.get(key) for key in ("description", "text")] if isinstance(body, dict) else [None, None]
        said = [Untrusted(each if isinstance(each, str) else "") for each in texts]
        found.append(Note(section, Untrusted(name), *said))
    return tuple(found)


def _decoded(packed: bytes) -> Any:
    try:
        return msgspec.json.decode(unpack(packed))
    except (StoreError, msgspec.DecodeError, ValueError):
        return None


def procedures_for(found: Card, *about: str) -> list[tuple[Untrusted, int]]:
    """The procedures that share a word with what an alert is about: title, and how many lines they have.

    Args:
        about: its category, its rule.
    """
    wanted = {word for text in about for word in _words(text)}
    titles = [(Untrusted(each.title), each.text) for each in found.customer.sops]
    titles += [(each.name, each.text) for each in found.notes if each.section == "hive/sop"]
    matching = []
    for title, text in titles:
        shared = len(wanted & _words(title))
        if shared:
            matching.append((shared, title, sum(bool(each.strip()) for each in text.split("\n"))))
    matching.sort(key=lambda each: -each[0])
    return [(title, lines) for _, title, lines in matching]


def _words(text: str) -> set[str]:
    return {word for word in _WORD.findall(text[:400].casefold()) if word not in _COMMON}
