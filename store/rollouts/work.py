"""How far a rollout has come, written down; and which rollout may write to an organization.

Every function takes a connection of `Store.writing()`, which lets one write at a time. A process that rolls a
plan out holds it, and each organization that it is about to change is leased to the plan: whoever does not
hold them any more cannot say anything about its steps.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from store import models
from store.bodies import pack, storable, unpack
from store.configuration import canonical, content_hash
from store.rollouts.plans import OUTCOMES, STATES, WAVE_STATES, Change

_PLAN: Table = models.RolloutPlan.__table__  # type: ignore[attr-defined]
_STEP: Table = models.RolloutStep.__table__  # type: ignore[attr-defined]
_WAVE: Table = models.RolloutWave.__table__  # type: ignore[attr-defined]
_LEASE: Table = models.RolloutLease.__table__  # type: ignore[attr-defined]
_BODY: Table = models.RolloutBody.__table__  # type: ignore[attr-defined]
_OWNED: Table = models.TemplateOwned.__table__  # type: ignore[attr-defined]
_JOURNAL: Table = models.Journal.__table__  # type: ignore[attr-defined]

LEASE: Final = 60_000
"""Milliseconds for which an organization is leased, and a plan held by a process that says nothing."""

DRAFT, RUNNING = STATES.index("draft"), STATES.index("running")
_GOES_ON: Final = tuple(STATES.index(word) for word in ("draft", "running", "paused", "halted"))
WAITING, SENDING = OUTCOMES.index("waiting"), OUTCOMES.index("sending")


_PAUSE: Final = "pause_asked"
"""In the options of a plan: {by, at}."""


class Lost(Exception):
    """Another process holds the plan or the organization."""


@dataclass(frozen=True, slots=True)
class Held:
    """A plan that is being rolled out, or was when its process ended."""

    id: int
    title: str
    holder: str
    """"" when nobody has it."""
    beat_at: int


def running(c: Connection) -> list[Held]:
    """The plans that are being rolled out or were cut off, the oldest first."""
    rows = c.execute(select(_PLAN).where(_PLAN.c.state == RUNNING).order_by(_PLAN.c.id))
    return [Held(row.id, row.title, row.holder, row.beat_at or 0) for row in rows]


def take(
    c: Connection, plan_id: int, holder: str, *, operator: str, now: int, is_live: Callable[[Held], bool]
) -> bool:
    """Take a plan to roll it out; False when a process that is there has it.

    Raises:
        Lost: it is not in a state from which it goes on.
    """
    row = c.execute(select(_PLAN).where(_PLAN.c.id == plan_id)).one()
    if row.state == RUNNING and row.holder and is_live(Held(row.id, row.title, row.holder, row.beat_at or 0)):
        return False
    values: dict[str, Any] = {
        "state": RUNNING,
        "holder": holder,
        "beat_at": now,
        "said": "",
        "finished_at": None,
        "options": {name: value for name, value in row.options.items() if name != _PAUSE},
    }
    if row.state == DRAFT:
        values |= {"approved_by": storable(operator), "approved_at": now}
    taken = c.execute(
        update(_PLAN)
        .where(_PLAN.c.id == plan_id, _PLAN.c.state.in_(_GOES_ON), _PLAN.c.holder == row.holder)
        .values(**values)
    ).rowcount
    if not taken:
        raise Lost
    return True


def ask_to_pause(c: Connection, plan_id: int, by: str, *, now: int) -> bool:
    """Ask whoever rolls a plan out to pause behind the step at hand; False when nobody does."""
    row = c.execute(select(_PLAN).where(_PLAN.c.id == plan_id, _PLAN.c.state == RUNNING)).one_or_none()
    if row is None:
        return False
    options = {**row.options, _PAUSE: {"by": storable(by), "at": now}}
    c.execute(update(_PLAN).where(_PLAN.c.id == plan_id).values(options=options))
    return True


def asked_to_pause(c: Connection, plan_id: int) -> str:
    """Who asked for a pause; "" when nobody did."""
    options = c.execute(select(_PLAN.c.options).where(_PLAN.c.id == plan_id)).scalar_one()
    return str(options.get(_PAUSE, {}).get("by", "") or "somebody") if _PAUSE in options else ""


def beat(c: Connection, plan_id: int, holder: str, *, now: int) -> None:
    """Say that the process which holds a plan is there, and keep its organizations.

    Raises:
        Lost: it does not hold it any more.
    """
    kept = c.execute(
        update(_PLAN)
        .where(_PLAN.c.id == plan_id, _PLAN.c.state == RUNNING, _PLAN.c.holder == holder)
        .values(beat_at=now)
    ).rowcount
    if not kept:
        raise Lost
    c.execute(update(_LEASE).where(_LEASE.c.plan_id == plan_id).values(until=now + LEASE))


def lease(c: Connection, plan_id: int, oids: Iterable[str], *, now: int) -> dict[str, int]:
    """Lease organizations to a plan; those that another rollout has are not among the answer.

    Returns:
        oid -> the fencing token under which it may be written to.
    """
    found: dict[str, int] = {}
    for oid in oids:
        row = c.execute(select(_LEASE).where(_LEASE.c.oid == oid)).one_or_none()
        if row is not None and row.plan_id != plan_id and row.until > now:
            continue
        token = (row.token if row is not None else 0) + 1
        values = {"oid": oid, "plan_id": plan_id, "token": token, "until": now + LEASE}
        upsert: Any = (sqlite if c.dialect.name == "sqlite" else postgresql).insert(_LEASE).values(**values)
        c.execute(upsert.on_conflict_do_update(index_elements=["oid"], set_=values))
        found[oid] = token
    return found


def give_back(c: Connection, plan_id: int) -> None:
    """End the leases of a plan; tokens go on counting."""
    c.execute(update(_LEASE).where(_LEASE.c.plan_id == plan_id).values(until=0))


def must_hold(c: Connection, plan_id: int, holder: str, oid: str, token: int) -> None:
    """See whether a process may write to an organization.

    Raises:
        Lost: another one holds the plan, or the organization.
    """
    mine = c.execute(
        select(_PLAN.c.id).where(_PLAN.c.id == plan_id, _PLAN.c.state == RUNNING, _PLAN.c.holder == holder)
    ).first()
    leased = c.execute(
        select(_LEASE.c.oid).where(_LEASE.c.oid == oid, _LEASE.c.plan_id == plan_id, _LEASE.c.token == token)
    ).first()
    if mine is None or leased is None:
        raise Lost


def release(c: Connection, plan_id: int, holder: str) -> None:
    """Give a plan back that is not finished."""
    c.execute(update(_PLAN).where(_PLAN.c.id == plan_id, _PLAN.c.holder == holder).values(holder=""))


def finish(c: Connection, plan_id: int, holder: str, state: str, said: str, *, now: int) -> None:
    """Say where a plan has come to, and why it stands there.

    Args:
        state: of `plans.STATES`.

    Raises:
        Lost: another process holds it.
    """
    done = c.execute(
        update(_PLAN)
        .where(_PLAN.c.id == plan_id, _PLAN.c.state == RUNNING, _PLAN.c.holder == holder)
        .values(state=STATES.index(state), holder="", said=storable(said), finished_at=now)
    ).rowcount
    if not done:
        raise Lost
    give_back(c, plan_id)


def wave(
    c: Connection,
    plan_id: int,
    number: int,
    state: str,
    *,
    now: int,
    gate: Mapping[str, Any] | None = None,
) -> None:
    """Say where a wave stands (of `plans.WAVE_STATES`), and what its gate said."""
    values: dict[str, Any] = {"state": WAVE_STATES.index(state)}
    if gate is not None:
        values["gate"] = dict(gate)
    if state == "running":
        values["started_at"] = now
    elif state in ("done", "failed", "rolled back"):
        values["finished_at"] = now
    c.execute(update(_WAVE).where(_WAVE.c.plan_id == plan_id, _WAVE.c.number == number).values(**values))


def keep_body(c: Connection, body: Any) -> str:
    """Keep a content, secrets already replaced; answers its hash."""
    digest = content_hash(body)
    if c.execute(select(_BODY.c.hash).where(_BODY.c.hash == digest)).first() is None:
        c.execute(insert(_BODY).values(hash=digest, body=pack(canonical(body))))
    return digest


def body(c: Connection, digest: str) -> Any:
    """A content that was kept."""
    held = c.execute(select(_BODY.c.body).where(_BODY.c.hash == digest)).scalar_one()
    return json.loads(unpack(held))


def before(c: Connection, plan_id: int) -> dict[tuple[str, str, str], Any]:
    """What there was before each step of a plan: (oid, section, name) -> {body, metadata, etag}."""
    rows = c.execute(
        select(_STEP.c.oid, _STEP.c.section, _STEP.c.name, _STEP.c.previous).where(
            _STEP.c.plan_id == plan_id, _STEP.c.previous != ""
        )
    )
    return {(row.oid, row.section, row.name): body(c, row.previous) for row in rows}


def intend(c: Connection, plan_id: int, seq: int, intent: int, previous: str) -> None:
    """Say that a step is about to be sent.

    Args:
        intent: the number of the journal's entry.
        previous: of `keep_body`: {body, metadata, etag} of what was read just before; "" for nothing. What
            was there before the first time is kept: it is what a rollback restores.
    """
    where = (_STEP.c.plan_id == plan_id) & (_STEP.c.seq == seq)
    values: dict[str, Any] = {"outcome": SENDING, "intent": intent}
    if c.execute(select(_STEP.c.intent).where(where)).scalar_one() is None:
        values["previous"] = previous
    c.execute(update(_STEP).where(where).values(**values))


def intended(c: Connection, plan_id: int, seq: int) -> tuple[str, int]:
    """What was there before a step was sent, and when it was last to be sent.

    Returns:
        The etag that was read, "" where nothing was; and the cloud's time (ms) at the last intent, 0 where it
        was never said.
    """
    row = c.execute(
        select(_STEP.c.previous, _STEP.c.intent).where(_STEP.c.plan_id == plan_id, _STEP.c.seq == seq)
    ).one()
    etag = str(body(c, row.previous).get("etag", "")) if row.previous else ""
    detail = c.execute(select(_JOURNAL.c.detail).where(_JOURNAL.c.seq == row.intent)).scalar_one_or_none()
    return etag, int((detail or {}).get("cloud_at") or 0)


def settle(
    c: Connection, plan_id: int, seq: int, outcome: str, *, now: int, error: str = "", etag: str = ""
) -> None:
    """Say what came of a step (of `plans.OUTCOMES`); `waiting` puts back what was not sent after all."""
    number = OUTCOMES.index(outcome)
    values: dict[str, Any] = {"outcome": number, "error": storable(error)}
    if etag:
        values["written_etag"] = storable(etag)
    values["finished_at"] = None if number in (WAITING, SENDING) else now
    c.execute(update(_STEP).where(_STEP.c.plan_id == plan_id, _STEP.c.seq == seq).values(**values))


def own(c: Connection, change: Change, *, plan_id: int, now: int) -> None:
    """Remember that a template brought a record, or that it does not any more."""
    where = (
        (_OWNED.c.oid == change.oid) & (_OWNED.c.section == change.section) & (_OWNED.c.name == change.name)
    )
    if change.after is None:
        c.execute(delete(_OWNED).where(where))
        return
    values = {
        "oid": change.oid, "section": change.section, "name": change.name, "template": change.after.template,
        "version": change.after.version, "hash": change.after.hash,
        "metadata": None if change.after.metadata is None else dict(change.after.metadata),
        "plan_id": plan_id, "at": now,
    }  # fmt: skip
    upsert: Any = (sqlite if c.dialect.name == "sqlite" else postgresql).insert(_OWNED).values(**values)
    c.execute(upsert.on_conflict_do_update(index_elements=["oid", "section", "name"], set_=values))
