"""What one analyst hands to the next: made from what they hold and from the record, accepted item by item.

A hand-over is a draft until it is published; then its texts stand. Whoever comes next accepts or bounces each
item. Two who accept the same one at once are told apart by its version: one has it, the other is told who.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, text, update

from store import models
from store.alerts import OPEN
from store.bodies import storable
from store.cases import CaseFilter
from store.errors import Mistaken, StoreError
from store.queries import alerts, cases
from store.queries.alerts import AlertRow
from store.queries.scopes import ORGANIZATION, oids_of
from store.text import Untrusted

STATES: tuple[str, ...] = ("draft", "published", "done", "withdrawn")
ITEMS: tuple[str, ...] = ("open", "accepted", "bounced")

DRAFT, PUBLISHED, DONE, WITHDRAWN = range(len(STATES))
WAITING, ACCEPTED, BOUNCED = range(len(ITEMS))

SHIFT = 12 * 3_600_000
"""Milliseconds that a shift goes back unless something else is said."""
HELD = 5_000
"""Alerts of one operator that a hand-over looks at: who holds more hands over a queue, not items."""
STEPS = 12
"""Steps from the record that an item names."""
LONGEST = 4_000
"""Characters of a typed text."""
TEXTS: tuple[str, ...] = ("hypothesis", "next_step", "blocker")
"""What the analyst types; what was done is from the record."""

_H: Table = models.Handover.__table__  # type: ignore[attr-defined]
_I: Table = models.HandoverItem.__table__  # type: ignore[attr-defined]
_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_ACTION: Table = models.TriageAction.__table__  # type: ignore[attr-defined]
_CHANGE: Table = models.TriageChange.__table__  # type: ignore[attr-defined]
_JOURNAL: Table = models.Journal.__table__  # type: ignore[attr-defined]

OTHER_ACTIONS: tuple[str, ...] = ("sensor.", "fp.")
"""Entries of the journal that tell of an item beside the decisions over its alerts: how they begin."""


class HandoverError(StoreError):
    """What cannot be done with a hand-over; the text says why, and nothing was changed."""


class HandoverMistaken(HandoverError, Mistaken):
    """There is no such hand-over or item, or a text is nothing that can be written down."""


class LostRace(HandoverError):
    """Somebody else was faster; the text says who."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was done, from the record."""

    at: int
    who: Untrusted
    what: Untrusted


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is handed over."""

    id: int
    handover: int
    oid: str
    organization: Untrusted
    alerts: tuple[int, ...]
    case_number: int | None
    title: Untrusted
    host: Untrusted
    severity: int
    due_at: int | None
    done: tuple[Step, ...]
    """The last first."""
    hypothesis: Untrusted
    next_step: Untrusted
    blocker: Untrusted
    state: int
    decided_by: Untrusted
    decided_at: int | None
    reason: Untrusted
    version: int

    @property
    def state_word(self) -> str:
        """open, accepted or bounced."""
        return ITEMS[self.state]


@dataclass(frozen=True, slots=True)
class Handover:
    """One hand-over with its items, the most urgent first."""

    id: int
    by: Untrusted
    since: int
    scope: str
    note: Untrusted
    state: int
    made_at: int
    published_at: int | None
    finished_at: int | None
    items: tuple[Item, ...] = field(default=())

    @property
    def state_word(self) -> str:
        """draft, published, done or withdrawn."""
        return STATES[self.state]

    @property
    def left(self) -> int:
        """Items that nobody has accepted or bounced."""
        return sum(1 for item in self.items if item.state == WAITING)


# Reading


def handover(c: Connection, handover_id: int) -> Handover | None:
    """One hand-over."""
    return next(iter(_read(c, [_H.c.id == handover_id])), None)


def draft_of(c: Connection, operator: str) -> Handover | None:
    """The draft that an operator is at."""
    return next(iter(_read(c, [_H.c.by == operator, _H.c.state == DRAFT])), None)


def offered(c: Connection, operator: str, *, scope: str = "") -> list[Handover]:
    """What others have published and nobody has dealt with wholly, the oldest first.

    Args:
        scope: only items of organizations below this node.
    """
    found = _read(c, [_H.c.state == PUBLISHED, _H.c.by != operator], scope=scope)
    return sorted((each for each in found if each.items), key=lambda each: (each.published_at or 0, each.id))


def own(c: Connection, operator: str, *, limit: int = 5) -> list[Handover]:
    """An operator's own hand-overs, the newest first."""
    return _read(c, [_H.c.by == operator, _H.c.state != WITHDRAWN], limit=limit)


def waiting_for(c: Connection, operator: str, *, scope: str = "") -> int:
    """How many items others have handed over that nobody has accepted or bounced."""
    query = (
        select(func.count())
        .select_from(_I.join(_H, _H.c.id == _I.c.handover_id))
        .where(_H.c.state == PUBLISHED, _H.c.by != operator, _I.c.state == WAITING)
    )
    oids = oids_of(c, scope)
    if oids is not None:
        query = query.where(_I.c.oid.in_(oids))
    return int(c.execute(query).scalar_one())


def item(c: Connection, item_id: int) -> Item | None:
    """One item."""
    return next(iter(_items(c, [_I.c.id == item_id])), None)


def _read(c: Connection, conditions: Sequence[Any], *, scope: str = "", limit: int = 200) -> list[Handover]:
    rows = c.execute(select(_H).where(*conditions).order_by(_H.c.id.desc()).limit(limit)).all()
    if not rows:
        return []
    within = [_I.c.handover_id.in_([row.id for row in rows])]
    oids = oids_of(c, scope)
    if oids is not None:
        within.append(_I.c.oid.in_(oids))
    by_handover: dict[int, list[Item]] = {}
    for each in _items(c, within):
        by_handover.setdefault(each.handover, []).append(each)
    return [
        Handover(
            row.id, Untrusted(row.by), row.since, row.scope, Untrusted(row.note), row.state, row.made_at,
            row.published_at, row.finished_at, tuple(by_handover.get(row.id, ())),
        )
        for row in rows
    ]  # fmt: skip


def _items(c: Connection, conditions: Sequence[Any]) -> list[Item]:
    rows = c.execute(
        select(_I, ORGANIZATION.c.name)
        .select_from(_I.outerjoin(ORGANIZATION, ORGANIZATION.c.oid == _I.c.oid))
        .where(*conditions)
        .order_by(_I.c.due_at.is_(None), _I.c.due_at, _I.c.severity.desc(), _I.c.id)
    ).all()
    return [
        Item(
            row.id, row.handover_id, row.oid, Untrusted(row.name or row.oid), tuple(row.alerts),
            row.case_number, Untrusted(row.title), Untrusted(row.host), row.severity, row.due_at,
            tuple(Step(each["at"], Untrusted(each["who"]), Untrusted(each["what"])) for each in row.done),
            Untrusted(row.hypothesis), Untrusted(row.next_step), Untrusted(row.blocker), row.state,
            Untrusted(row.decided_by), row.decided_at, Untrusted(row.reason), row.version,
        )
        for row in rows
    ]  # fmt: skip


# Making a draft


def draft(c: Connection, operator: str, *, scope: str = "", since: int | None = None, now: int) -> int:
    """Make the operator's draft anew from what they hold now; answers its number.

    What was typed for a thing that they still hold is kept; a thing that they no longer hold leaves.

    Args:
        scope: only what is below this node.
        since: how far back the record is told (ms); a shift when None.
    """
    since = now - SHIFT if since is None else since
    known = c.execute(select(_H.c.id).where(_H.c.by == operator, _H.c.state == DRAFT)).scalar_one_or_none()
    if known is None:
        known = c.execute(
            insert(_H)
            .values(by=storable(operator), since=since, scope=scope, note="", state=DRAFT, made_at=now)
            .returning(_H.c.id)
        ).scalar_one()
    else:
        c.execute(update(_H).where(_H.c.id == known).values(since=since, scope=scope, made_at=now))
    wanted = _held(c, operator, scope, since)
    there = {row.key: row.id for row in c.execute(select(_I.c.key, _I.c.id).where(_I.c.handover_id == known))}
    for key, values in wanted.items():
        if key in there:
            c.execute(update(_I).where(_I.c.id == there[key]).values(**values, version=_I.c.version + 1))
    new = [
        {
            "handover_id": known, "key": key, "hypothesis": "", "next_step": "", "blocker": "",
            "state": WAITING, "decided_by": "", "reason": "", "version": 0, **values,
        }
        for key, values in wanted.items()
        if key not in there
    ]  # fmt: skip
    if new:
        c.execute(insert(_I), new)
    gone = [number for key, number in there.items() if key not in wanted]
    if gone:
        c.execute(delete(_I).where(_I.c.id.in_(gone)))
    return int(known)


def _held(c: Connection, operator: str, scope: str, since: int) -> dict[str, dict[str, Any]]:
    """Key -> columns of an item, of everything that an operator holds."""
    # Spelled as the partial index spells it.
    conditions: list[Any] = [text("detection.assignee <> ''"), _D.c.assignee == storable(operator)]
    oids = oids_of(c, scope)
    if oids is not None:
        conditions.append(_D.c.oid.in_(oids))
    groups: dict[str, list[AlertRow]] = {}
    for row in alerts.rows_where(c, *conditions, limit=HELD, gathered=True):
        groups.setdefault(f"fold:{row.fold_id}" if row.fold_id else f"alert:{row.id}", []).append(row)
    found: dict[str, dict[str, Any]] = {}
    for key, rows in groups.items():
        hosts = {str(row.hostname) for row in rows if row.hostname}
        ids = [row.id for row in rows]
        found[key] = {
            "oid": rows[0].oid, "alerts": ids, "case_number": None, "title": storable(rows[0].cat),
            "host": next(iter(hosts)) if len(hosts) == 1 else f"{len(hosts)} hosts" if hosts else "",
            "severity": max(row.severity for row in rows),
            "due_at": min((row.due_at for row in rows if row.due_at is not None), default=None),
            "done": _steps(c, rows[0].oid, ids, hosts, since),
        }  # fmt: skip
    for case in cases.page(c, CaseFilter(scope=scope, assignee=operator), limit=500):
        if operator not in map(str, case.assignees):
            continue  # the filter takes a part of a name as well
        found[f"case:{case.oid}/{case.number}"] = {
            "oid": case.oid, "alerts": [], "case_number": case.number,
            "title": storable(case.summary or f"case {case.name}"), "host": "", "severity": case.severity,
            "due_at": case.due_at, "done": _case_steps(c, case.oid, case.number, since),
        }  # fmt: skip
    return found


def _steps(c: Connection, oid: str, ids: Sequence[int], hosts: set[str], since: int) -> list[dict[str, Any]]:
    """What was done with some alerts and their hosts since then, the last first."""
    merged: dict[int, dict[str, Any]] = {}
    for start in range(0, len(ids), 500):
        query = (
            select(
                _ACTION.c.id, _ACTION.c.time, _ACTION.c.actor, _ACTION.c.verb, _ACTION.c.comment,
                func.count().label("many"),
            )
            .select_from(_CHANGE.join(_ACTION, _ACTION.c.id == _CHANGE.c.action_id))
            .where(
                _CHANGE.c.detection_id.in_(ids[start : start + 500]), _CHANGE.c.outcome == 1,
                _ACTION.c.time >= since,
            )
            .group_by(_ACTION.c.id)
            .order_by(_ACTION.c.time.desc())
            .limit(STEPS)
        )  # fmt: skip
        for row in c.execute(query):
            step = merged.setdefault(
                row.id, {"at": row.time, "who": row.actor, "what": _said(row), "many": 0}
            )
            step["many"] += row.many
    steps = [
        {
            "at": each["at"],
            "who": each["who"],
            "what": each["what"] + (f" ({each['many']:,} alerts)" if each["many"] > 1 else ""),
        }
        for each in merged.values()
    ]
    steps += _journalled(c, oid, hosts, since)
    steps.sort(key=_by_time)
    return steps[:STEPS]


_WORDS = {
    "claim": "claimed", "release": "released", "assign": "assigned", "ack": "acknowledged", "close": "closed",
    "reopen": "reopened", "snooze": "snoozed", "wake": "came back", "tag": "tagged", "note": "noted",
    "undo": "undone",
}  # fmt: skip


def _said(row: Any) -> str:
    word = _WORDS.get(row.verb, row.verb)
    return f"{word}: {row.comment}" if row.comment else word


def _journalled(c: Connection, oid: str, hosts: set[str], since: int) -> list[dict[str, Any]]:
    """Entries of the journal about the same hosts, and about what was written for the organization."""
    rows = c.execute(
        select(_JOURNAL.c.time, _JOURNAL.c.actor, _JOURNAL.c.action, _JOURNAL.c.target, _JOURNAL.c.detail)
        .where(_JOURNAL.c.oid == oid, _JOURNAL.c.time >= since)
        .order_by(_JOURNAL.c.seq.desc())
        .limit(500)
    )
    found = []
    for row in rows:
        action: str = row.action
        if not action.startswith(OTHER_ACTIONS):
            continue
        if action.startswith("sensor.") and row.target not in hosts:
            continue
        detail = row.detail if isinstance(row.detail, Mapping) else {}
        if detail.get("step") == "intent":
            continue
        outcome = detail.get("outcome")
        what = f"{action} {row.target}".strip() + (f": {outcome}" if isinstance(outcome, str) else "")
        found.append({"at": row.time, "who": row.actor, "what": what})
    return found[:STEPS]


def _by_time(step: Mapping[str, Any]) -> int:
    return -int(step["at"])


def _case_steps(c: Connection, oid: str, number: int, since: int) -> list[dict[str, Any]]:
    detail = cases.detail(c, oid, number)
    if detail is None:
        return []
    found = []
    for event in reversed(detail.events):
        if event.time < since:
            continue
        content = event.details.get("content")
        what = str(event.action).removeprefix("case_").replace("_", " ")
        found.append(
            {
                "at": event.time,
                "who": str(event.by),
                "what": f"{what}: {content}" if isinstance(content, str) else what,
            }
        )
    found.sort(key=_by_time)
    return found[:STEPS]


# Changing


def edit(
    c: Connection, item_id: int, operator: str, texts: Mapping[str, str], *, version: int | None = None
) -> None:
    """Write what the analyst types: hypothesis, next_step, blocker.

    Raises:
        HandoverError: it is not theirs, is no draft any more, or a text is too long.
        LostRace: another console of theirs changed it meanwhile.
    """
    found = c.execute(
        select(_I.c.version, _H.c.by, _H.c.state)
        .select_from(_I.join(_H, _H.c.id == _I.c.handover_id))
        .where(_I.c.id == item_id)
    ).one_or_none()
    if found is None:
        raise HandoverError("This item is no longer there; the draft was made anew.")
    if found.by != operator:
        raise HandoverError(f"This is what {found.by} hands over; only they write it.")
    if found.state != DRAFT:
        raise HandoverError("It is published: its texts stand. Withdraw it to write on.")
    if version is not None and found.version != version:
        raise LostRace("This item was changed meanwhile, here or in another console; look at it again.")
    unknown = set(texts) - set(TEXTS)
    if unknown:
        raise HandoverMistaken(
            f"{', '.join(sorted(unknown))} is no text of an item; there are {', '.join(TEXTS)}."
        )
    for name, said in texts.items():
        if len(said) > LONGEST:
            label = name.replace("_", " ")
            raise HandoverMistaken(f"{label}: at most {LONGEST:,} characters, it has {len(said):,}.")
    values = {name: storable(said) for name, said in texts.items()}
    c.execute(update(_I).where(_I.c.id == item_id).values(**values, version=_I.c.version + 1))


def annotate(c: Connection, handover_id: int, operator: str, note: str) -> None:
    """Write what holds for all of it.

    Raises:
        HandoverError: as of `edit`.
    """
    _draft(c, handover_id, operator)
    if len(note) > LONGEST:
        raise HandoverMistaken(f"note: at most {LONGEST:,} characters, it has {len(note):,}.")
    c.execute(update(_H).where(_H.c.id == handover_id).values(note=storable(note)))


def _draft(c: Connection, handover_id: int, operator: str) -> Any:
    row = c.execute(select(_H).where(_H.c.id == handover_id)).one_or_none()
    if row is None:
        raise HandoverMistaken(f"There is no hand-over {handover_id}.")
    if row.by != operator:
        raise HandoverError(f"This is what {row.by} hands over.")
    if row.state != DRAFT:
        raise HandoverError(f"It is {STATES[row.state]} already.")
    return row


def publish(c: Connection, handover_id: int, operator: str, *, now: int) -> int:
    """Offer a draft to whoever comes next; answers how many items it has.

    Raises:
        HandoverError: it is not theirs, is no draft, or holds nothing.
    """
    _draft(c, handover_id, operator)
    count = int(
        c.execute(select(func.count()).select_from(_I).where(_I.c.handover_id == handover_id)).scalar_one()
    )
    if not count:
        raise HandoverError("There is nothing in it: you hold no alert and no case.")
    c.execute(
        update(_H)
        .where(_H.c.id == handover_id, _H.c.state == DRAFT)
        .values(state=PUBLISHED, published_at=now)
    )
    return count


def withdraw(c: Connection, handover_id: int, operator: str, *, now: int) -> None:
    """Take back a hand-over; what was accepted of it stays so.

    Raises:
        HandoverError: it is not theirs, or has ended.
    """
    row = c.execute(select(_H).where(_H.c.id == handover_id)).one_or_none()
    if row is None:
        raise HandoverMistaken(f"There is no hand-over {handover_id}.")
    if row.by != operator:
        raise HandoverError("Only who hands over takes it back.")
    if row.state not in (DRAFT, PUBLISHED):
        raise HandoverError(f"It is {STATES[row.state]} already.")
    c.execute(update(_H).where(_H.c.id == handover_id).values(state=WITHDRAWN, finished_at=now))


def accept(c: Connection, item_id: int, operator: str, *, version: int | None = None, now: int) -> Item:
    """Take an item. What belongs to it is assigned by whoever calls, in the same transaction.

    Returns:
        The item as it was offered.

    Raises:
        LostRace: somebody else has accepted or bounced it; the text says who.
        HandoverError: it is not offered, or one's own.
    """
    found = _take(c, item_id, operator, version)
    _decide(c, found, ACCEPTED, operator, "", now)
    return found


def bounce(
    c: Connection, item_id: int, operator: str, reason: str, *, version: int | None = None, now: int
) -> Item:
    """Give an item back to who handed it over, with a reason.

    Raises:
        LostRace, HandoverError: as of `accept`; also without a reason.
    """
    if not reason.strip():
        raise HandoverMistaken("Say why: whoever handed it over has to know.")
    if len(reason) > LONGEST:
        raise HandoverMistaken(f"reason: at most {LONGEST:,} characters, it has {len(reason):,}.")
    found = _take(c, item_id, operator, version)
    _decide(c, found, BOUNCED, operator, reason.strip(), now)
    return found


def _take(c: Connection, item_id: int, operator: str, version: int | None) -> Item:
    found = item(c, item_id)
    if found is None:
        raise HandoverMistaken("This item is no longer there.")
    whole = c.execute(select(_H.c.by, _H.c.state).where(_H.c.id == found.handover)).one()
    if found.state != WAITING:
        who = "you" if found.decided_by == operator else found.decided_by
        raise LostRace(f"{who} {ITEMS[found.state]} it already.")
    if whole.state != PUBLISHED:
        raise HandoverError(f"It is {STATES[whole.state]}, and not offered.")
    if whole.by == operator:
        raise HandoverError("You handed this over yourself; withdraw it to keep it.")
    if version is not None and found.version != version:
        raise LostRace("This item was changed meanwhile; look at it again.")
    return found


def _decide(c: Connection, found: Item, state: int, operator: str, reason: str, now: int) -> None:
    done = c.execute(
        update(_I)
        .where(_I.c.id == found.id, _I.c.state == WAITING, _I.c.version == found.version)
        .values(
            state=state, decided_by=storable(operator), decided_at=now, reason=storable(reason),
            version=_I.c.version + 1,
        )
    )  # fmt: skip
    if done.rowcount != 1:
        raise LostRace("Somebody else was faster; look at it again.")
    left = c.execute(
        select(func.count()).select_from(_I).where(_I.c.handover_id == found.handover, _I.c.state == WAITING)
    ).scalar_one()
    if not left:
        c.execute(update(_H).where(_H.c.id == found.handover).values(state=DONE, finished_at=now))


def still_held(c: Connection, found: Item, by: str) -> list[int]:
    """Those alerts of an item that are open and still with who hands over, or with nobody."""
    rows = c.execute(
        select(_D.c.id)
        .where(_D.c.id.in_(found.alerts), _D.c.status.in_(OPEN), _D.c.assignee.in_((storable(by), "")))
        .order_by(_D.c.id)
    )
    return list(rows.scalars())


def moved_on(c: Connection, item_id: int, words: str) -> None:
    """Note with an accepted item what of it had moved on meanwhile."""
    c.execute(update(_I).where(_I.c.id == item_id).values(reason=storable(words)))


def as_text(found: Item, *, by: str) -> str:
    """An item as a note of a case, in plain words."""
    lines = [f"Hand-over by {by}."]
    for label, said in (
        ("Hypothesis", found.hypothesis),
        ("Next", found.next_step),
        ("Blocker", found.blocker),
    ):
        lines.append(f"{label}: {said or '-'}")
    if found.done:
        lines.append("Done:")
        lines += [f"- {step.what} ({step.who})" for step in found.done]
    return "\n".join(lines)
