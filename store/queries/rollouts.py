"""Plans as they are shown: how far each has come, what it changes folded over organizations, what failed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, distinct, func, select

from store import models
from store.queries.scopes import marked
from store.rollouts.keeping import Plan, Step, listed, step_of
from store.rollouts.keeping import steps as steps_of
from store.rollouts.plans import OUTCOMES, WAVE_STATES, Change
from store.text import Untrusted

_STEP: Table = models.RolloutStep.__table__  # type: ignore[attr-defined]
_WAVE: Table = models.RolloutWave.__table__  # type: ignore[attr-defined]
_ORGANIZATION: Table = models.Organization.__table__  # type: ignore[attr-defined]

GOOD = ("applied", "already")
OPEN = ("waiting", "sending")
FAILED_SHOWN = 200
"""Failed steps that are listed one by one; the rest is counted."""


@dataclass(frozen=True, slots=True)
class PlanLine:
    """A plan among others."""

    plan: Plan
    organizations: int
    steps: int
    good: int
    bad: int
    """Steps that are not as they were wanted, and will not be by themselves."""
    destructive: int


@dataclass(frozen=True, slots=True)
class Folded:
    """The same change of a record over organizations."""

    step: Step
    """That of the first organization."""
    oids: tuple[str, ...]

    @property
    def change(self) -> Change:
        """That of the first organization."""
        return self.step.change


@dataclass(frozen=True)
class Shape:
    """What a plan changes: as long as it is kept this stays."""

    oids: tuple[str, ...]
    """Whom it changes, in the order in which they are."""
    names: Mapping[str, Untrusted]
    """oid -> name, also of those that are blocked."""
    folded: tuple[Folded, ...]
    """What cannot be taken back first, then what changes the most organizations."""
    alike: int
    """How many organizations get exactly the same changes: the largest such group."""
    alike_changes: int
    """How many changes each of those gets."""
    protected: tuple[str, ...]
    """The oids of those whose name has to be typed."""

    @property
    def destructive(self) -> tuple[Folded, ...]:
        """What cannot be taken back."""
        return tuple(each for each in self.folded if each.change.destructive)

    def name(self, oid: str) -> Untrusted:
        """An organization's name; its oid where none is known."""
        return self.names.get(oid) or Untrusted(oid)


@dataclass(frozen=True)
class WaveLine:
    """A wave, and how far it has come."""

    number: int
    name: str
    state: str
    """Of `plans.WAVE_STATES`."""
    gate: Mapping[str, Any]
    """verdict, said, checks: {check: {verdict, said}}; empty before it looked."""
    organizations: int
    outcomes: Mapping[str, int]
    """Steps by outcome."""
    started_at: int | None
    finished_at: int | None

    @property
    def total(self) -> int:
        """Steps."""
        return sum(self.outcomes.values())

    @property
    def done(self) -> int:
        """Steps that are over, well or not."""
        return self.total - sum(self.outcomes.get(word, 0) for word in OPEN)

    @property
    def bad(self) -> int:
        """Steps that are over, and not as they were wanted."""
        return self.done - sum(self.outcomes.get(word, 0) for word in (*GOOD, "rolled back"))


@dataclass(frozen=True)
class Progress:
    """Where a plan stands."""

    waves: tuple[WaveLine, ...]
    failed: tuple[Step, ...]
    """At most FAILED_SHOWN."""

    @property
    def total(self) -> int:
        """Steps."""
        return sum(each.total for each in self.waves)

    @property
    def done(self) -> int:
        """Steps that are over."""
        return sum(each.done for each in self.waves)

    @property
    def bad(self) -> int:
        """Steps that are over, and not as they were wanted."""
        return sum(each.bad for each in self.waves)

    def left(self, now: int) -> int | None:
        """Milliseconds that the rest takes at the pace of the wave that runs; None where nobody can say."""
        for wave in self.waves:
            if wave.state == "running" and wave.started_at is not None and wave.done:
                pace = max(1, now - wave.started_at) / wave.done
                return int(pace * (self.total - self.done))
        return None


def plans(connection: Connection, limit: int = 200) -> list[PlanLine]:
    """The newest plans, newest first, with their figures."""
    found = listed(connection, limit)
    if not found:
        return []
    ids = [each.id for each in found]
    organizations = {
        row[0]: row[1]
        for row in connection.execute(
            select(_STEP.c.plan_id, func.count(distinct(_STEP.c.oid)))
            .where(_STEP.c.plan_id.in_(ids))
            .group_by(_STEP.c.plan_id)
        )
    }
    counts: dict[int, dict[str, int]] = {}
    destructive: dict[int, int] = {}
    for row in connection.execute(
        select(_STEP.c.plan_id, _STEP.c.outcome, _STEP.c.destructive, func.count().label("number"))
        .where(_STEP.c.plan_id.in_(ids))
        .group_by(_STEP.c.plan_id, _STEP.c.outcome, _STEP.c.destructive)
    ):
        word, of = OUTCOMES[row.outcome], counts.setdefault(row.plan_id, {})
        of[word] = of.get(word, 0) + row.number
        if row.destructive:
            destructive[row.plan_id] = destructive.get(row.plan_id, 0) + row.number
    lines = []
    for plan in found:
        of = counts.get(plan.id, {})
        total, good = sum(of.values()), sum(of.get(word, 0) for word in (*GOOD, "rolled back"))
        waiting = sum(of.get(word, 0) for word in OPEN)
        lines.append(
            PlanLine(
                plan, organizations.get(plan.id, 0), total, good, total - good - waiting,
                destructive.get(plan.id, 0),
            )
        )  # fmt: skip
    return lines


def shape(connection: Connection, plan: Plan) -> Shape:
    """What a plan changes, folded over organizations."""
    first: dict[tuple[Any, ...], Step] = {}
    oids: dict[tuple[Any, ...], list[str]] = {}
    of: dict[str, list[tuple[Any, ...]]] = {}
    for step in steps_of(connection, plan.id):
        change = step.change
        after = change.after
        key = (
            change.section, change.name, change.change, change.before.hash if change.before else "",
            json.dumps(dict(change.before.metadata), sort_keys=True) if change.before else "",
            after.hash if after else "", json.dumps(after.metadata, sort_keys=True) if after else "",
        )  # fmt: skip
        first.setdefault(key, step)
        oids.setdefault(key, []).append(change.oid)
        of.setdefault(change.oid, []).append(key)
    folded = sorted(
        (Folded(step, tuple(oids[key])) for key, step in first.items()),
        key=lambda each: (not each.change.destructive, -len(each.oids), each.change.what),
    )
    groups: dict[tuple[Any, ...], int] = {}
    for keys in of.values():
        groups[tuple(sorted(keys))] = groups.get(tuple(sorted(keys)), 0) + 1
    same, alike = max(groups.items(), key=lambda each: each[1], default=((), 0))
    names = _names(connection, [*of, *(oid for oid, _ in plan.blocked)])
    return Shape(
        tuple(of), names, tuple(folded), alike, len(same), tuple(marked(connection, "protected", set(of)))
    )


def _names(connection: Connection, oids: Sequence[str]) -> dict[str, Untrusted]:
    found: dict[str, Untrusted] = {}
    for at in range(0, len(oids), 500):
        query = select(_ORGANIZATION.c.oid, _ORGANIZATION.c.name).where(
            _ORGANIZATION.c.oid.in_(oids[at : at + 500])
        )
        found |= {row.oid: Untrusted(row.name) for row in connection.execute(query) if row.name}
    return found


def progress(connection: Connection, plan_id: int) -> Progress:
    """How far a plan has come, wave by wave, and what of it failed."""
    outcomes: dict[int, dict[str, int]] = {}
    rows = connection.execute(
        select(_STEP.c.wave, _STEP.c.outcome, func.count().label("number"))
        .where(_STEP.c.plan_id == plan_id)
        .group_by(_STEP.c.wave, _STEP.c.outcome)
    )
    for row in rows:
        outcomes.setdefault(row.wave, {})[OUTCOMES[row.outcome]] = row.number
    organizations = {
        row[0]: row[1]
        for row in connection.execute(
            select(_STEP.c.wave, func.count(distinct(_STEP.c.oid)))
            .where(_STEP.c.plan_id == plan_id)
            .group_by(_STEP.c.wave)
        )
    }
    waves = tuple(
        WaveLine(
            row.number, row.name, WAVE_STATES[row.state], row.gate, organizations.get(row.number, 0),
            outcomes.get(row.number, {}), row.started_at, row.finished_at,
        )
        for row in connection.execute(
            select(_WAVE).where(_WAVE.c.plan_id == plan_id).order_by(_WAVE.c.number)
        )
    )  # fmt: skip
    fine = [OUTCOMES.index(word) for word in (*GOOD, *OPEN, "rolled back")]
    failed = connection.execute(
        select(_STEP)
        .where(_STEP.c.plan_id == plan_id, _STEP.c.outcome.not_in(fine))
        .order_by(_STEP.c.seq)
        .limit(FAILED_SHOWN)
    )
    return Progress(waves, tuple(step_of(row) for row in failed))


def organizations_of(connection: Connection, plan_id: int, wave: int) -> list[str]:
    """The names of the organizations of a wave, in the order in which they are changed."""
    rows = connection.execute(
        select(_STEP.c.oid, func.min(_STEP.c.seq).label("seq"), _ORGANIZATION.c.name)
        .select_from(_STEP.outerjoin(_ORGANIZATION, _ORGANIZATION.c.oid == _STEP.c.oid))
        .where(_STEP.c.plan_id == plan_id, _STEP.c.wave == wave)
        .group_by(_STEP.c.oid, _ORGANIZATION.c.name)
        .order_by(func.min(_STEP.c.seq))
    )
    return [Untrusted(row.name or row.oid) for row in rows]
