"""Bulk changes, planned: what is asked for, and on which organizations, becomes a run.

What is chosen by what an organization has (sensors by a selector, API keys by their name) is looked up now,
so that the run says on what exactly it acts. An organization of which that cannot be read is left out, and
named.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console.limacharlie.errors import Auth, LimaCharlieError, Network
from console.limacharlie.limits import in_background
from console.operations.ports import Progress, Report
from console.operations.runs import Refused
from store.bulk import Chosen, Selection, Wish
from store.runs import HELD, Planned, PlannedItem, PlannedStep
from store.smoke import smoke_steps

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud

AT_ONCE = 12
"""Organizations read at once; the credential's rate budget is kept below this."""

Steps = tuple[PlannedStep, ...]


@dataclass(frozen=True)
class LeftOut:
    """An organization on which nothing is to be done, and why; strangers' text."""

    oid: str
    name: str
    reason: str


@dataclass(frozen=True)
class Drafted:
    """A bulk change before it is kept."""

    planned: Planned
    """Without items when there is nothing to do anywhere."""
    left_out: tuple[LeftOut, ...] = ()
    """Frozen, or not to be read."""
    nothing: tuple[Chosen, ...] = ()
    """Those that have no such sensor, or no such key."""
    above: tuple[Chosen, ...] = ()
    """Those that have more sensors than the new quota lets in."""
    unread: tuple[Chosen, ...] = ()
    """Those whose quota, or of late anything, could not be read; it is set all the same."""


async def draft(
    wish: Wish, selection: Selection, *, cloud: "Cloud | None", report: Report | None = None
) -> Drafted:
    """Plan one change on many organizations. Nothing is changed; only what has to be looked up is read.

    Raises:
        Refused: it has to be looked up, and the session is offline.
        LimaCharlieError: the cloud is away.
    """
    left = [
        LeftOut(each.oid, each.name, "It is frozen: nothing is changed in it while it has this mark.")
        for each in selection.frozen
    ]
    look: Callable[[Chosen], Awaitable[Steps]] | None = None
    if wish.selector is not None:
        look = _sensors(wish, _needs(cloud))
    elif wish.kind.name == "revoke-key":
        look = _keys(wish, _needs(cloud))
    if look is None:
        steps: Steps = (PlannedStep(wish.kind.verb, wish.target, wish.arguments),)
        if wish.kind.name == "smoke":
            steps = smoke_steps(wait=wish.arguments["wait"])
        found: list[tuple[Chosen, Steps]] = [(each, steps) for each in selection.chosen]
    else:
        found = await _looked_up(selection.chosen, look, left, report)
    items = tuple(
        PlannedItem(each.oid, each.name, _held(wish, each), steps) for each, steps in found if steps
    )
    options: dict[str, Any] = {"wish": wish.kind.name}
    if left:
        options["left_out"] = [[each.oid, each.name, each.reason] for each in left]
    planned = Planned("bulk", str(wish.words), items, selection.source, options)
    nothing = tuple(each for each, steps in found if not steps)
    if wish.kind.name != "quota":
        return Drafted(planned, tuple(left), nothing)
    above = tuple(each for each in selection.chosen if each.turns_away(wish.arguments["quota"]))
    unread = tuple(each for each in selection.chosen if each.unread)
    return Drafted(planned, tuple(left), nothing, above, unread)


def _held(wish: Wish, each: Chosen) -> dict[str, Any]:
    """What an item says of what is there now."""
    if wish.kind.name != "quota":
        return {}
    return {HELD: {"quota": each.quota, "used": each.used, "unread": each.unread}}


def _needs(cloud: "Cloud | None") -> "Cloud":
    if cloud is None:
        raise Refused("What this is to act on is looked up in the cloud, and this session is offline.")
    return cloud


async def _looked_up(
    chosen: Sequence[Chosen],
    look: Callable[[Chosen], Awaitable[Steps]],
    left: list[LeftOut],
    report: Report | None,
) -> list[tuple[Chosen, Steps]]:
    slots, ended, silent = asyncio.Semaphore(AT_ONCE), 0, 0

    async def one(each: Chosen) -> tuple[Chosen, Steps] | None:
        nonlocal ended, silent
        async with slots:
            try:
                steps = await look(each)
                silent = 0
                return each, steps
            except Auth:
                raise
            except LimaCharlieError as error:
                silent = silent + 1 if isinstance(error, Network) else 0
                # Of thousands one may not answer in time; when nobody does, the cloud is away.
                if silent >= min(AT_ONCE, len(chosen)):
                    raise
                left.append(LeftOut(each.oid, each.name, str(error)))
                return None
            finally:
                ended += 1
                if report is not None:
                    report(Progress(ended, len(chosen), "organizations looked up"))

    with in_background():
        tasks = [asyncio.create_task(one(each)) for each in chosen]
    try:
        return [found for found in await asyncio.gather(*tasks) if found is not None]
    finally:
        for task in tasks:
            task.cancel()


def _sensors(wish: Wish, cloud: "Cloud") -> Callable[[Chosen], Awaitable[Steps]]:
    async def look(each: Chosen) -> Steps:
        found: list[PlannedStep] = []
        async for page in cloud.organization(each.oid).sensors(wish.selector or ""):
            for row in page:
                arguments = {**wish.arguments, "hostname": str(row.get("hostname") or row["sid"])}
                # One sensor that cannot be tagged holds no other one back.
                found.append(PlannedStep(wish.kind.verb, row["sid"], arguments, needed=False))
        return tuple(found)

    return look


def _keys(wish: Wish, cloud: "Cloud") -> Callable[[Chosen], Awaitable[Steps]]:
    wanted = wish.arguments["name"]

    async def look(each: Chosen) -> Steps:
        keys = await cloud.organization(each.oid).keys()
        return tuple(
            PlannedStep(wish.kind.verb, key_hash, {"name": str(key.get("name", ""))}, needed=False)
            for key_hash, key in sorted(keys.items())
            if wanted in (key_hash, key.get("name"))
        )

    return look
