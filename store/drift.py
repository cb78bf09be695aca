"""Drift: where an organization is not as its templates want it, and what was decided about that.

Every deviation has one class:

- missing: a template wants the record, and it is not there;
- unreadable: it cannot be known: the content of a secret that nobody wrote from here, the sources of a YARA
  rule, a whole organization whose configuration was never read;
- changed: its content or metadata is another one;
- disabled: it is there as wanted, and switched off;
- expired: it is there as wanted, and its expiry has passed;
- extra: it is there, in a section of which the organization's templates have a record, and no template wants
  it. Resources are left out: more than is wanted is fine.

What was decided holds until it is decided otherwise: an accepted deviation is none until its date, and as
long as it is what was accepted; a denied one is shown until it is put right, even where it was accepted
before; an excluded record is none at all, and in no plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from store import models
from store.bodies import storable
from store.configuration import content_hash
from store.rollouts.plans import UNREADABLE, UNSEEN, Change, Observed
from store.rollouts.wanted import Want
from store.templates.documents import Key
from store.templates.effective import document_key
from store.times import parse_duration

DriftClass = Literal["missing", "unreadable", "changed", "disabled", "expired", "extra"]
CLASSES: Final[tuple[DriftClass, ...]] = get_args(DriftClass)
"""The worst first."""

Decision = Literal["accept", "deny", "exclude"]
DECISIONS: Final[tuple[Decision, ...]] = get_args(Decision)

Holds = Literal["", "accepted", "lapsed", "denied", "excluded"]
"""What a decision says of a deviation; lapsed: it was accepted, and its date or what was accepted is past."""

WEIGHTS: Final[Mapping[DriftClass, int]] = {
    "missing": 6, "unreadable": 3, "changed": 5, "disabled": 5, "expired": 4, "extra": 1,
}  # fmt: skip
"""How bad one deviation is, for the order of organizations and records: what is off or other than wanted
leaves a customer unprotected, what is there besides seldom does."""

WHOLE: Final[Key] = ("", "")
"""Stands for the whole configuration of an organization."""

_DECISION: Table = models.DriftDecision.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Drift:
    """One deviation of one organization."""

    oid: str
    section: str
    name: str
    """As a document has it."""
    drift: DriftClass
    before: Observed | None
    """What is there; None when nothing is, or it is not known."""
    after: Want | None
    """What is wanted; None when nothing is."""
    holds: Holds = ""
    until: int | None = None
    """Of an acceptance (ms); None for good."""
    reason: str = ""
    """Of the decision; of an organization that could not be read, why."""
    by: str = ""
    """Who decided."""

    @property
    def key(self) -> Key:
        """Section and name."""
        return self.section, self.name

    @property
    def what(self) -> str:
        """`hives/fp/scanner`; of an organization that was never read `(everything)`."""
        return "(everything)" if self.key == WHOLE else document_key(self.key)

    @property
    def standing(self) -> bool:
        """Whether it is to be looked at: neither accepted nor excluded."""
        return self.holds not in ("accepted", "excluded")

    @property
    def seen(self) -> str:
        """What an acceptance is bound to."""
        return seen_hash(self.before)

    @property
    def change(self) -> Change:
        """As a plan would have it, for the diff."""
        word = "added" if self.before is None else "removed" if self.after is None else "changed"
        return Change(self.oid, self.section, self.name, word, self.before, self.after)  # type: ignore[arg-type]


def seen_hash(before: Observed | None) -> str:
    """Of a record's content and metadata as they are; "" when it is not there."""
    return "" if before is None else content_hash([before.hash, dict(before.metadata)])


def class_of(change: Change, owned: bool, now: int) -> DriftClass:
    """What a difference that a plan would put right is called.

    Args:
        owned: whether a rollout ever wrote the record: only then its content is known where it is not read.
        now: milliseconds, UTC.
    """
    before, after = change.before, change.after
    if after is None:
        return "extra"
    if before is None:
        return "unreadable" if f"{change.section}/{change.name}".startswith(UNSEEN) else "missing"
    if change.section in UNREADABLE and not owned:
        return "unreadable"
    if change.section not in UNREADABLE and before.hash != after.hash:
        return "changed"
    if has_expired(before.metadata, now):
        return "expired"
    return "disabled" if change.change == "enabled" else "changed"


def has_expired(metadata: Mapping[str, Any], now: int) -> bool:
    """Whether a hive record does not hold any more: `expiry` is in milliseconds, 0 is never (official client
    5.10.1, `HiveRecord`)."""
    expiry = metadata.get("expiry")
    return isinstance(expiry, int | float) and 0 < expiry <= now


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided about one record of one organization."""

    decision: Decision
    until: int | None
    hash: str
    reason: str
    by: str
    at: int

    def holds(self, before: Observed | None, now: int) -> Holds:
        """What it says of the record as it is now."""
        if self.decision == "exclude":
            return "excluded"
        if self.decision == "deny":
            return "denied"
        passed = self.until is not None and self.until <= now
        return "lapsed" if passed or self.hash != seen_hash(before) else "accepted"


def decisions(connection: Connection, oid: str = "") -> dict[tuple[str, str, str], Decided]:
    """What was decided: (oid, section, name) -> decision.

    Args:
        oid: only of this organization; "" for all.
    """
    query = select(_DECISION)
    if oid:
        query = query.where(_DECISION.c.oid == oid)
    return {
        (row.oid, row.section, row.name): Decided(
            DECISIONS[row.decision], row.until, row.hash, row.reason, row.by, row.at
        )
        for row in connection.execute(query)
    }


class CannotDecide(ValueError):
    """A decision that means nothing: the text says why."""


def decide(
    connection: Connection,
    drift: Drift,
    decision: Decision,
    *,
    until: int | None = None,
    reason: str,
    by: str,
    now: int,
) -> None:
    """Write down what is to become of a deviation, in place of what was decided before.

    Args:
        until: of accept: until when (ms); None for good.
        reason: why; needed.

    Raises:
        CannotDecide: there is no reason, a date that has passed or is not for this decision, or nothing to
            decide about.
    """
    if drift.key == WHOLE:
        raise CannotDecide("What was never read cannot be decided about; `limegrove sync` reads it.")
    if not reason.strip():
        raise CannotDecide("A decision needs a reason.")
    if until is not None and decision != "accept":
        raise CannotDecide(f"A date is for accept; {decision} holds until it is decided otherwise.")
    if until is not None and until <= now:
        raise CannotDecide("The date has passed already.")
    values = {
        "decision": DECISIONS.index(decision), "until": until,
        "hash": drift.seen if decision == "accept" else "",
        "reason": storable(reason.strip()), "by": storable(by), "at": now,
    }  # fmt: skip
    upsert: Any = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(_DECISION)
    connection.execute(
        upsert.on_conflict_do_update(index_elements=["oid", "section", "name"], set_=values),
        {"oid": drift.oid, "section": drift.section, "name": drift.name, **values},
    )


def undecide(connection: Connection, oid: str, key: Key) -> bool:
    """Take a decision back; whether there was one."""
    done = connection.execute(
        delete(_DECISION).where(
            _DECISION.c.oid == oid, _DECISION.c.section == key[0], _DECISION.c.name == key[1]
        )
    )
    return done.rowcount > 0


def until_of(word: str, now: int) -> int:
    """A time to come: `2026-12-31` (its beginning, UTC), or from now on `30d`, `12h`.

    Returns:
        Milliseconds, UTC.

    Raises:
        ValueError: it is none, or has passed; the text says what is allowed.
    """
    try:
        until = round(datetime.fromisoformat(word).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        try:
            until = now + parse_duration(word) * 1000
        except ValueError:
            raise ValueError("use a date such as 2026-12-31, or a time such as 30d.") from None
    if until <= now:
        raise ValueError("that has passed already.")
    return until
