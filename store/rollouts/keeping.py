"""Plans as they are kept: rows, waves, and whether they still hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from store import models
from store.bodies import storable
from store.configuration import content_hash
from store.queries.scopes import oids_of
from store.rollouts import plans, work
from store.rollouts.compare import has_secret, normalised, normalised_metadata
from store.rollouts.plans import (
    CHANGES,
    LIVES,
    OUTCOMES,
    STATES,
    WAVE_STATES,
    Change,
    Drafted,
    Observed,
)
from store.rollouts.wanted import Want
from store.rollouts.waves import waves

_PLAN: Table = models.RolloutPlan.__table__  # type: ignore[attr-defined]
_STEP: Table = models.RolloutStep.__table__  # type: ignore[attr-defined]
_WAVE: Table = models.RolloutWave.__table__  # type: ignore[attr-defined]


class PlanError(Exception):
    """A plan cannot be kept or found; the text is the sentence for the operator."""


class NothingToDo(PlanError):
    """Everything is as it is wanted, or blocked."""


@dataclass(frozen=True)
class Step:
    """One record of one organization in a plan."""

    seq: int
    wave: int
    change: Change
    outcome: str
    """Of `plans.OUTCOMES`."""
    error: str
    intent: int | None
    previous: str


@dataclass(frozen=True)
class PlannedWave:
    """A wave, and where it stands."""

    number: int
    name: str
    state: str
    """Of `plans.WAVE_STATES`."""
    gate: Mapping[str, Any]
    organizations: int
    counts: Mapping[str, int]
    """Steps by outcome."""
    finished_at: int | None = None
    """Milliseconds, UTC."""


@dataclass(frozen=True)
class Plan:
    """A plan without its steps, which may be very many: `steps` reads them."""

    id: int
    title: str
    scope: str
    state: str
    """Of `plans.STATES`."""
    hash: str
    seen: Mapping[str, Any]
    options: Mapping[str, Any]
    risks: tuple[str, ...]
    blocked: tuple[tuple[str, str], ...]
    by: str
    created_at: int
    expires_at: int
    approved_by: str
    approved_at: int | None
    undo_of: int | None
    said: str


def keep(
    connection: Connection,
    drafted: Drafted,
    *,
    title: str,
    by: str,
    now: int,
    words: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> int:
    """Keep what was drafted as a plan; answers its number.

    Args:
        words: the waves, as `store.rollouts.waves` has them.
        now: milliseconds, UTC; the plan expires an hour later.

    Raises:
        NothingToDo: there is no change in it.
        WaveError: a wave is not understood.
    """
    if not drafted.changes:
        several = len(drafted.blocked) != 1
        left = (
            f" {len(drafted.blocked):,} organization{'s are' if several else ' is'} blocked."
            if drafted.blocked
            else ""
        )
        raise NothingToDo(f"Everything is as the templates want it; there is nothing to roll out.{left}")
    touched = list(dict.fromkeys(each.oid for each in drafted.changes))
    order = {oid: place for place, oid in enumerate(drafted.organizations)}
    touched.sort(key=lambda oid: order[oid])
    found = waves(
        touched,
        words,
        canaries=frozenset(oid for oid in touched if "canary" in drafted.placed[oid].marks),
        nodes=_nodes(connection, words),
    )
    plan_id = connection.execute(
        insert(_PLAN)
        .values(
            title=storable(title), scope=drafted.seen["scope"], state=0, hash=drafted.hash,
            seen=dict(drafted.seen), options={**(options or {}), "waves": list(words)},
            risks=plans.risks(drafted.changes),
            blocked=[{"oid": oid, "reason": storable(reason)} for oid, reason in drafted.blocked],
            by=storable(by), created_at=now, expires_at=now + LIVES, approved_by="", holder="", said="",
        )
        .returning(_PLAN.c.id)
    ).scalar_one()  # fmt: skip
    number = {oid: wave.number for wave in found for oid in wave.oids}
    connection.execute(
        insert(_WAVE),
        [
            {"plan_id": plan_id, "number": each.number, "name": each.name, "state": 0, "gate": {}}
            for each in found
        ],
    )
    connection.execute(
        insert(_STEP),
        [
            _row(plan_id, seq, number[each.oid], each)
            for seq, each in enumerate(
                sorted(drafted.changes, key=lambda each: (number[each.oid], order[each.oid])), 1
            )
        ],
    )
    return int(plan_id)


def undoing(
    connection: Connection,
    plan_id: int,
    *,
    by: str,
    now: int,
    oids: frozenset[str] | None = None,
    wave: int | None = None,
    records: frozenset[str] | None = None,
) -> int:
    """Keep a plan that takes back what another one did, to what was there before; answers its number.

    What was so already is left alone. A record that held a secret cannot be written back, for the store never
    had it: it is named among the blocked, and so are names that a category of resources got besides others.

    Args:
        oids: only of these organizations.
        wave: only of this wave.
        records: only these, as `hives/fp/scanner`.

    Raises:
        PlanError: there is no such plan.
        NothingToDo: nothing of it can be taken back.
    """
    plan = load(connection, plan_id)
    changes: list[tuple[int, Change]] = []
    blocked: list[dict[str, str]] = []
    for step in steps(connection, plan_id, wave=wave):
        change = step.change
        if step.outcome != "applied" or (oids is not None and change.oid not in oids):
            continue
        if records is not None and change.what not in records:
            continue
        row = connection.execute(
            select(_STEP.c.written_etag).where(_STEP.c.plan_id == plan_id, _STEP.c.seq == step.seq)
        ).one()
        there = (
            Observed(change.after.hash, change.after.metadata or {}, row.written_etag, change.after.hash)
            if change.after is not None
            else None
        )
        if change.before is None:
            changes.append(
                (step.wave, Change(change.oid, change.section, change.name, "removed", there, None))
            )
            continue
        if change.section == "resource":
            reason = f"{change.what} only gets more names by a rollout: take them off by hand."
            blocked.append({"oid": change.oid, "reason": reason})
            continue
        kept = work.body(connection, step.previous) if step.previous else None
        if kept is None or kept["body"] is None or has_secret(kept["body"]):
            blocked.append({"oid": change.oid, "reason": f"{change.what} held a secret, which nobody kept."})
            continue
        want = Want(
            content_hash(normalised(change.section, change.name, kept["body"])),
            normalised_metadata(kept["metadata"]) if change.section.startswith("hive/") else None,
            "",
            0,
        )
        word: plans.ChangeClass = "changed" if there is not None else "added"
        changes.append((step.wave, Change(change.oid, change.section, change.name, word, there, want)))
    if not changes:
        raise NothingToDo(f"There is nothing of plan {plan_id} to take back.")
    hashed = plans.hash_of(
        {"undo_of": plan_id, "of": plan.hash},
        plans.gathered(each for _, each in changes),
        [tuple(each.values()) for each in blocked],
    )
    made = connection.execute(
        insert(_PLAN)
        .values(
            title=storable(f"Undo {plan.title}"), scope=plan.scope, state=0, hash=hashed,
            seen={"undo_of": plan_id, "of": plan.hash}, options={"waves": []},
            risks=plans.risks(each for _, each in changes), blocked=blocked,
            by=storable(by), created_at=now, expires_at=now + LIVES, approved_by="", holder="", said="",
            undo_of=plan_id,
        )
        .returning(_PLAN.c.id)
    ).scalar_one()  # fmt: skip
    # The wave that came last is taken back first.
    numbers = sorted({number for number, _ in changes}, reverse=True)
    place = {number: at for at, number in enumerate(numbers, 1)}
    names = {each.number: each.name for each in planned_waves(connection, plan_id)}
    connection.execute(
        insert(_WAVE),
        [
            {
                "plan_id": made,
                "number": place[each],
                "name": names.get(each, str(each)),
                "state": 0,
                "gate": {},
            }
            for each in numbers
        ],
    )
    ordered = sorted(changes, key=lambda each: place[each[0]])
    connection.execute(
        insert(_STEP), [_row(made, seq, place[number], each) for seq, (number, each) in enumerate(ordered, 1)]
    )
    return int(made)


def _nodes(connection: Connection, words: Sequence[str]) -> dict[str, frozenset[str]]:
    found = {}
    for word in words:
        if word.startswith("node:"):
            below = oids_of(connection, word[5:])
            if below is not None:
                found[word[5:]] = frozenset(str(row[0]) for row in connection.execute(below))
    return found


def _row(plan_id: int, seq: int, wave: int, change: Change) -> dict[str, Any]:
    before, after = change.before, change.after
    return {
        "plan_id": plan_id, "seq": seq, "oid": change.oid, "wave": wave, "section": change.section,
        "name": change.name, "change": CHANGES.index(change.change), "destructive": change.destructive,
        "before_hash": before.hash if before else "",
        "before_metadata": dict(before.metadata) if before else None,
        "etag": before.etag if before else "", "after_hash": after.hash if after else "",
        "after_metadata": dict(after.metadata) if after and after.metadata is not None else None,
        "template": after.template if after else "", "version": after.version if after else 0, "outcome": 0,
        "error": "", "previous": "", "written_etag": "",
    }  # fmt: skip


def load(connection: Connection, plan_id: int) -> Plan:
    """A plan.

    Raises:
        PlanError: there is none of that number.
    """
    row = connection.execute(select(_PLAN).where(_PLAN.c.id == plan_id)).one_or_none()
    if row is None:
        raise PlanError(f"There is no rollout plan {plan_id}; `limegrove rollout list` names them.")
    return _plan(row)


def listed(connection: Connection, limit: int = 100) -> list[Plan]:
    """The newest plans, newest first."""
    rows = connection.execute(select(_PLAN).order_by(_PLAN.c.id.desc()).limit(limit))
    return [_plan(row) for row in rows]


def _plan(row: Any) -> Plan:
    return Plan(
        row.id, row.title, row.scope, STATES[row.state], row.hash, row.seen, row.options, tuple(row.risks),
        tuple((each["oid"], each["reason"]) for each in row.blocked), row.by, row.created_at, row.expires_at,
        row.approved_by, row.approved_at, row.undo_of, row.said,
    )  # fmt: skip


def steps(connection: Connection, plan_id: int, *, wave: int | None = None) -> Iterator[Step]:
    """The steps of a plan, in their order."""
    query = select(_STEP).where(_STEP.c.plan_id == plan_id).order_by(_STEP.c.seq)
    if wave is not None:
        query = query.where(_STEP.c.wave == wave)
    for row in connection.execute(query, execution_options={"yield_per": 1000}):
        yield step_of(row)


def step_of(row: Any) -> Step:
    """A row of `rollout_step`."""
    before = (
        Observed(row.before_hash, row.before_metadata or {}, row.etag, row.before_hash)
        if row.before_hash
        else None
    )
    after = Want(row.after_hash, row.after_metadata, row.template, row.version) if row.after_hash else None
    change = Change(row.oid, row.section, row.name, CHANGES[row.change], before, after)
    return Step(row.seq, row.wave, change, OUTCOMES[row.outcome], row.error, row.intent, row.previous)


def planned_waves(connection: Connection, plan_id: int) -> list[PlannedWave]:
    """The waves of a plan, and how far each has come."""
    counts: dict[int, dict[str, int]] = {}
    oids: dict[int, set[str]] = {}
    rows = connection.execute(
        select(_STEP.c.wave, _STEP.c.oid, _STEP.c.outcome).where(_STEP.c.plan_id == plan_id)
    )
    for row in rows:
        word = OUTCOMES[row.outcome]
        counts.setdefault(row.wave, {})[word] = counts.get(row.wave, {}).get(word, 0) + 1
        oids.setdefault(row.wave, set()).add(row.oid)
    return [
        PlannedWave(
            row.number, row.name, WAVE_STATES[row.state], row.gate, len(oids.get(row.number, ())),
            counts.get(row.number, {}), row.finished_at,
        )
        for row in connection.execute(
            select(_WAVE).where(_WAVE.c.plan_id == plan_id).order_by(_WAVE.c.number)
        )
    ]  # fmt: skip


def stale(connection: Connection, plan: Plan, *, key: bytes, now: int) -> str:
    """Why a plan must not be applied any more; "" when it may.

    Args:
        key: the installation's redaction key.
        now: milliseconds, UTC.
    """
    if now >= plan.expires_at:
        return "The plan has expired; plan again."
    if plan.undo_of is not None:
        return ""  # it rests on what was there, and each record is compared when its turn comes
    again = plans.drafted(connection, scope=plan.scope, key=key)
    if again.hash == plan.hash:
        return ""
    return f"The plan is stale: {_moved(plan, again)} Plan again."


def _moved(plan: Plan, again: Drafted) -> str:
    """What changed since, in a sentence."""
    before, after = dict(plan.seen.get("templates", {})), dict(again.seen["templates"])
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        return f"the template {changed[0]} is another version now."
    if plan.seen.get("wanted") != again.seen["wanted"]:
        return "layers, parameters, marks or the organizations of the scope changed."
    return "what the organizations have changed."
