"""Handing a shift over: drafting, publishing, accepting item by item, each with its entry in the journal.

Accepting an item and assigning its alerts is one transaction: both happened, or neither. A case of the item
is assigned, and one that is published is told so in a note, by the operation for cases, which writes down
what it cannot do now.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.operations.actor import actor
from store import handover, triage
from store.handover import Handover, HandoverError, Item
from store.journal import append
from store.queries import cases
from store.times import now_ms
from store.triage import Decision, Selection

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from store.database import Store


@dataclass(frozen=True)
class Accepted:
    """What came with an accepted item."""

    item: Item
    """As it stands now."""
    alerts: int
    """How many are the operator's now."""
    moved_on: int
    """How many of the item were closed or taken by others meanwhile."""
    case: str = ""
    """What became of its case, in words; "" when it has none."""


def draft(
    store: "Store", operator: str, *, scope: str = "", since: int | None = None, now: int | None = None
) -> Handover:
    """Make the operator's draft anew from what they hold; what they typed is kept.

    Args:
        scope: only what is below this node.
        since: how far back the record is told (ms).
    """
    with store.writing() as connection:
        number = handover.draft(
            connection, operator, scope=scope, since=since, now=now_ms() if now is None else now
        )
        return _whole(handover.handover(connection, number))


def edit(
    store: "Store",
    operator: str,
    item_id: int,
    texts: Mapping[str, str],
    *,
    version: int | None = None,
) -> Item:
    """Write hypothesis, next_step or blocker of an item of one's draft.

    Raises:
        HandoverError: it cannot be written; the text says why. So for all of these.
    """
    with store.writing() as connection:
        handover.edit(connection, item_id, operator, texts, version=version)
        found = handover.item(connection, item_id)
    assert found is not None  # noqa: S101  (just written)
    return found


def annotate(store: "Store", operator: str, handover_id: int, note: str) -> None:
    """Write what holds for all of it."""
    with store.writing() as connection:
        handover.annotate(connection, handover_id, operator, note)


async def publish(
    store: "Store", operator: str, handover_id: int, *, cloud: "Cloud | None" = None, now: int | None = None
) -> tuple[Handover, str]:
    """Offer a draft to whoever comes next; each case in it gets a note of type `handoff`.

    Returns:
        The hand-over, and what became of the notes in words; "" when no case is in it.
    """
    moment = now_ms() if now is None else now

    def write() -> Handover:
        with store.writing() as connection:
            count = handover.publish(connection, handover_id, operator, now=moment)
            append(
                connection, actor(), "handover.publish", "", f"hand-over {handover_id}",
                {"operator": operator, "items": count}, now=moment,
            )  # fmt: skip
            return _whole(handover.handover(connection, handover_id))

    made = await asyncio.to_thread(write)
    said = [await _note(store, operator, each, cloud) for each in made.items if each.case_number is not None]
    return made, _counted(said)


def withdraw(store: "Store", operator: str, handover_id: int, *, now: int | None = None) -> None:
    """Take a hand-over back; what was accepted of it stays so."""
    moment = now_ms() if now is None else now
    with store.writing() as connection:
        handover.withdraw(connection, handover_id, operator, now=moment)
        append(
            connection, actor(), "handover.withdraw", "", f"hand-over {handover_id}",
            {"operator": operator}, now=moment,
        )  # fmt: skip


async def accept(
    store: "Store",
    operator: str,
    item_id: int,
    *,
    version: int | None = None,
    cloud: "Cloud | None" = None,
    now: int | None = None,
) -> Accepted:
    """Take an item: what of it is still with who hands over becomes the operator's, and so does its case.

    Args:
        version: of the item, as the operator saw it.

    Raises:
        LostRace: somebody else was faster; the text says who.
    """
    moment = now_ms() if now is None else now
    accepted, action, by = await asyncio.to_thread(_take, store, operator, item_id, version, moment)
    while action and await asyncio.to_thread(_proceed, store, action, moment):
        pass
    case = ""
    if accepted.item.case_number is not None:
        case = await _assign(store, operator, accepted.item, by, cloud)
    return Accepted(accepted.item, accepted.alerts, accepted.moved_on, case)


def _take(
    store: "Store", operator: str, item_id: int, version: int | None, now: int
) -> tuple[Accepted, int, str]:
    with store.writing() as connection:
        offered = handover.accept(connection, item_id, operator, version=version, now=now)
        whole = _whole(handover.handover(connection, offered.handover))
        by = str(whole.by)
        mine = handover.still_held(connection, offered, by)
        action = 0
        if mine:
            decision = Decision(
                "assign", operator, f"handed over by {by} (hand-over {whole.id})", assignee=operator
            )
            action = triage.begin(connection, decision, Selection(ids=tuple(mine)), now=now)
            if action:
                triage.proceed(connection, action, actor=actor(), now=now)
        gone = len(offered.alerts) - len(mine)
        if gone:
            handover.moved_on(connection, item_id, f"{gone:,} of {len(offered.alerts):,} had moved on")
        append(
            connection, actor(), "handover.accept", offered.oid, str(offered.title),
            {"operator": operator, "by": by, "item": item_id, "alerts": len(mine)}, now=now,
        )  # fmt: skip
        after = handover.item(connection, item_id)
    assert after is not None  # noqa: S101  (just written)
    return Accepted(after, len(mine), gone), action, by


def _proceed(store: "Store", action: int, now: int) -> bool:
    with store.writing() as connection:
        return triage.proceed(connection, action, actor=actor(), now=now)


def bounce(
    store: "Store",
    operator: str,
    item_id: int,
    reason: str,
    *,
    version: int | None = None,
    now: int | None = None,
) -> Item:
    """Give an item back, with a reason; nothing is assigned."""
    moment = now_ms() if now is None else now
    with store.writing() as connection:
        offered = handover.bounce(connection, item_id, operator, reason, version=version, now=moment)
        append(
            connection, actor(), "handover.bounce", offered.oid, str(offered.title),
            {"operator": operator, "item": item_id, "reason": reason.strip()}, now=moment,
        )  # fmt: skip
        after = handover.item(connection, item_id)
    assert after is not None  # noqa: S101  (just written)
    return after


def _whole(found: Handover | None) -> Handover:
    if found is None:
        raise HandoverError("This hand-over is no longer there.")
    return found


async def _note(store: "Store", operator: str, found: Item, cloud: "Cloud | None") -> str:
    from console.operations.cases import CaseDesk, Impossible

    assert found.case_number is not None  # noqa: S101  (asked by the caller)
    text = handover.as_text(found, by=operator)
    try:
        outcome = await CaseDesk(store, cloud, operator=operator).note(
            (found.oid, found.case_number), text, note_type="handoff"
        )
    except Impossible as error:
        return str(error)
    return _came_to(outcome.done, outcome.waiting, [each.reason for each in outcome.failures])


async def _assign(store: "Store", operator: str, found: Item, by: str, cloud: "Cloud | None") -> str:
    from console.operations.cases import CaseDesk, Impossible

    assert found.case_number is not None  # noqa: S101  (asked by the caller)
    case = (found.oid, found.case_number)

    def read() -> list[str]:
        with store.reader.reading() as connection:
            row = cases.case(connection, *case)
        return [] if row is None else list(map(str, row.assignees))

    others = [name for name in await asyncio.to_thread(read) if name not in (by, operator)]
    try:
        outcome = await CaseDesk(store, cloud, operator=operator).assign([case], [operator, *others])
    except Impossible as error:
        return str(error)
    return _came_to(outcome.done, outcome.waiting, [each.reason for each in outcome.failures])


def _came_to(done: int, waiting: int, failures: list[str]) -> str:
    if failures:
        return failures[0]
    if waiting:
        return "waits for the cloud"
    return "done" if done else "unchanged"


def _counted(said: list[str]) -> str:
    if not said:
        return ""
    done, waits = said.count("done"), said.count("waits for the cloud")
    parts = [f"{done:,} of {len(said):,} cases were told"]
    if waits:
        parts.append(f"{waits:,} wait for the cloud")
    failed = [each for each in said if each not in ("done", "waits for the cloud", "unchanged")]
    if failed:
        parts.append(f"{len(failed):,} could not be: {failed[0]}")
    return ", ".join(parts) + "."
