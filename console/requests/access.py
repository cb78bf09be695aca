"""Who may do what: changes are staged, planned, approved, applied and taken back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from console.limacharlie.errors import LimaCharlieError
from console.operations import accessplans as operations
from console.requests import Handler, Host, RefusedHere, read
from console.requests.triage import one_at_a_time
from screens.dialogs.access_plan import (
    AccessPlan,
    AccessPlans,
    PlanAnswer,
    PlanResult,
    Shown,
    StepLine,
)
from screens.keys import press
from screens.requests import (
    PlanChanges,
    PlanStaged,
    ShowPlans,
    StageChanges,
    UnstageChanges,
)
from store import accesslines, accessplans
from store.access import counted
from store.accesschanges import AccessChange
from store.accessplans import GOOD, OUTCOMES, PlanError
from store.closure import UnknownGroup, World, effect
from store.text import safe_text

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from console.operations.ports import Progress, Report
    from screens.frame import Tone
    from screens.requests import Work

SAID_EVERY = 0.25
"""Seconds between two sentences about how far a plan has come."""


# -- staging ---------------------------------------------------------------------------------------------


async def stage(host: Host, request: StageChanges) -> None:
    """Put changes aside, and say what is put aside by now."""
    store, operator, now = host.writing_store(), host.operator, host.context.clock()

    def put() -> tuple[int, int]:
        with store.writing() as connection:
            new = accessplans.stage(connection, operator, request.changes, now=now)
            return new, len(accessplans.staged(connection, operator))

    new, staged = await asyncio.to_thread(put)
    names = await read(host, lambda c: accesslines.names(c, request.changes))
    first = safe_text(accesslines.words(request.changes[0], names), 200)
    more = f" and {len(request.changes) - 1:,} more" if len(request.changes) > 1 else ""
    what = f"{first}{more}" if new else f"it was so already: {first}{more}"
    host.say(
        f"{counted(staged, 'change')} staged ({press('access.what_if', 'w')} what if, "
        f"{press('access.plan', 'P')} plan): {what}."
    )


async def unstage(host: Host, request: UnstageChanges) -> None:
    """Forget them."""
    store, operator = host.writing_store(), host.operator

    def forget() -> tuple[int, int]:
        with store.writing() as connection:
            gone = accessplans.unstage(connection, operator, request.changes)
            return gone, len(accessplans.staged(connection, operator))

    gone, left = await asyncio.to_thread(forget)
    host.say(f"{counted(gone, 'change')} no longer staged; {left:,} left." if gone else "It was not staged.")


# -- planning --------------------------------------------------------------------------------------------


async def plan_staged(host: Host, _request: PlanStaged) -> None:
    """A plan of what is staged."""
    staged = await read(host, lambda c: accessplans.staged(c, host.operator))
    if not staged:
        raise RefusedHere(
            f"Nothing is staged: {press('access.stage', 'space')} in the matrix stages the change of a cell."
        )
    await _plan(host, staged, title="what was staged", source="staged")


async def plan_changes(host: Host, request: PlanChanges) -> None:
    """A plan of given changes."""
    await _plan(host, request.changes, title=request.title, source=request.source)


async def _plan(host: Host, changes: Iterable[AccessChange], *, title: str, source: str) -> None:
    store, operator, now = host.writing_store(), host.operator, host.context.clock()
    wanted = list(changes)

    def write() -> int:
        with store.writing() as connection:
            return accessplans.draft(connection, wanted, title=title, by=operator, now=now, source=source)

    try:
        number = await asyncio.to_thread(write)
    except PlanError as error:
        raise RefusedHere(str(error)) from error
    await _decide(host, number)


async def _decide(host: Host, number: int) -> None:
    """Show a draft until it is applied, kept or put away."""
    said = ""
    while True:
        shown = replace(await read(host, lambda c: _shown(c, number)), said=said)
        answer: PlanAnswer | None = await host.ask(AccessPlan(shown, host.context))
        deed = answer.deed if answer is not None else "keep"
        if deed == "keep":
            host.say(f"Plan {number} stays a draft: {press('access.plans', 'U')} lists it.")
            return
        if deed == "drop":
            await _drop(host, number)
            return
        assert answer is not None  # noqa: S101  (a deed came with it)
        try:
            outcome = await operations.apply(
                number,
                store=host.writing_store(),
                cloud=host.cloud(),
                operator=host.operator,
                confirm=answer.confirm,
                report=_telling(host, number),
                now=host.context.clock(),
            )
        except (operations.Refused, PlanError, LimaCharlieError, RefusedHere) as error:
            said = str(error)
            continue
        await _forget_staged(host, number)
        host.say(outcome.sentence or f"Plan {number}: {outcome.state}.", _tone(outcome.state))
        await _results(host, number, outcome.sentence)
        return


def _tone(state: str) -> Tone:
    return "plain" if state == "applied" else "warning"


async def _drop(host: Host, number: int) -> None:
    store, now = host.writing_store(), host.context.clock()

    def drop() -> None:
        with store.writing() as connection:
            accessplans.drop(connection, number, now=now)

    await asyncio.to_thread(drop)
    host.say(f"Plan {number} was put away; nothing was changed, and what is staged stays so.")


async def _forget_staged(host: Host, number: int) -> None:
    """What a plan made is no longer to be made."""
    store, operator = host.writing_store(), host.operator

    def forget() -> None:
        with store.writing() as connection:
            made = [
                step.change
                for step in accessplans.load(connection, number).steps
                if step.outcome in {OUTCOMES[good] for good in GOOD}
            ]
            accessplans.unstage(connection, operator, made)

    await asyncio.to_thread(forget)


async def _results(host: Host, number: int, said: str = "") -> None:
    shown = replace(await read(host, lambda c: _shown(c, number, effects=False)), said=said)
    answer = await host.ask(PlanResult(shown, host.context))
    if answer is not None and answer.deed == "undo":
        await _undo(host, number)


# -- taking back -----------------------------------------------------------------------------------------


async def show_plans(host: Host, _request: ShowPlans) -> None:
    """The latest plans; a draft is decided, of any other it is shown what became of it."""
    found = await read(host, lambda c: accessplans.plans(c))
    if not found:
        raise RefusedHere(
            f"No plan was made yet: {press('access.stage', 'space')} stages changes, "
            f"{press('access.plan', 'P')} plans them."
        )
    number = await host.ask(AccessPlans(found, host.context))
    if number is None:
        return
    state = next(row.state for row in found if row.id == number)
    await (_decide(host, number) if state == "draft" else _results(host, number))


async def _undo(host: Host, number: int) -> None:
    try:
        changes = await read(host, lambda c: accessplans.undoing(c, number))
    except PlanError as error:
        raise RefusedHere(str(error)) from error
    await _plan(host, changes, title=f"undo of plan {number}", source=f"undo:{number}")


# -- in words --------------------------------------------------------------------------------------------


def _shown(connection: Connection, number: int, *, effects: bool = True) -> Shown:
    """A plan with its names, and with what it comes to."""
    plan = accessplans.load(connection, number)
    changes = [step.change for step in plan.steps]
    names = accesslines.names(
        connection, [*changes, *(AccessChange("add_org", oid=oid) for oid in plan.organizations)]
    )
    steps = tuple(
        StepLine(
            step.seq,
            where(step.change, names),
            accesslines.words(step.change, names),
            step.outcome,
            step.error,
        )
        for step in plan.steps
    )
    # Those that a step names come before those that a group merely holds.
    meant = {change.oid for change in changes if change.oid}
    organizations = tuple(
        str(names.organization(oid))
        for oid in sorted(plan.organizations, key=lambda oid: (oid not in meant, names.organization(oid)))
    )
    if not effects:
        return Shown(plan, steps, organizations)
    before = World.load(connection)
    try:
        after = before.changed(changes)
    except UnknownGroup:
        return Shown(plan, steps, organizations)
    comes = effect(before, after, changes)
    return Shown(
        plan,
        steps,
        organizations,
        privileged=tuple(
            (_called(before, each.principal), each.permission, each.organizations)
            for each in comes.privileged
        ),
        gained=comes.gained.count,
        lost=comes.lost.count,
        people=len(comes.people),
    )


def _called(world: World, principal: str) -> str:
    """An e-mail as it is, a key by its name."""
    if "@" in principal:
        return principal
    key = next((keys[principal] for keys in world.keys.values() if principal in keys), None)
    return f"key {key.name}" if key is not None else principal


def where(change: AccessChange, names: accesslines.Names) -> str:
    """What a change acts on: an organization by name, or a group."""
    return f"group {names.group(change.gid)}" if change.gid else str(names.organization(change.oid))


def _telling(host: Host, number: int) -> Report:
    """Told, perhaps in a thread, how far a plan has come; said four times a second."""
    loop = asyncio.get_running_loop()
    said = 0.0

    def tell(progress: Progress) -> None:
        nonlocal said
        if time.monotonic() - said >= SAID_EVERY:
            said = time.monotonic()
            words = f"Applying plan {number}: {progress.done:,} of {progress.total:,} changes."
            loop.call_soon_threadsafe(host.say, words)

    return tell


HANDLERS: dict[type[Work], Handler] = {
    StageChanges: stage,
    UnstageChanges: unstage,
    PlanStaged: one_at_a_time(plan_staged),
    PlanChanges: one_at_a_time(plan_changes),
    ShowPlans: one_at_a_time(show_plans),
}
