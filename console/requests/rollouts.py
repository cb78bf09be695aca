"""Configuration: templates put on nodes; plans drafted, rolled out, paused and taken back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from textual.content import Content

from console.limacharlie.errors import LimaCharlieError
from console.operations import rollouts as operations
from console.operations import templates
from console.operations.approvals import lacking, missing
from console.operations.gates import Bounds, CloudGates
from console.requests import Handler, Host, RefusedHere, read
from console.requests.triage import one_at_a_time
from screens.dialogs.apply_rollout import ApplyRollout as ApplyDialog
from screens.dialogs.apply_rollout import Shown, Target
from screens.dialogs.choose_one import ChooseOne, Option
from screens.dialogs.choose_organization import Choice, ChooseOrganization
from screens.dialogs.confirm import Confirm
from screens.dialogs.fill_in import Field, FillIn, Values
from screens.dialogs.results import Item, Results
from screens.keys import press
from screens.requests import (
    ApplyRollout,
    AssignTemplate,
    DraftRollout,
    PauseRollout,
    ShowTemplates,
    UnassignTemplate,
    UndoRollout,
)
from screens.widgets.text import line
from store.access import counted
from store.queries.organizations import organizations, tree
from store.queries.rollouts import OPEN, progress, shape
from store.queries.totals import TreeRow
from store.rollouts import keeping, plans
from store.rollouts.keeping import NothingToDo, PlanError
from store.rollouts.waves import DEFAULT, WaveError, check
from store.templates.library import UnknownTemplate, assignments
from store.text import safe_text
from store.times import parse_duration

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from console.limacharlie.client import Cloud
    from console.operations.ports import Progress, Report
    from screens.requests import Work

SAID_EVERY = 0.25
"""Seconds between two sentences about how far a rollout has come."""

NAMED = 4
"""Organizations that a question names before the rest is counted."""

_running: WeakKeyDictionary[Host, set[int]] = WeakKeyDictionary()
"""The plans that a console rolls out at this moment."""


async def _key(host: Host) -> bytes:
    key = await asyncio.to_thread(host.context.redaction_key)
    if key is None:
        raise RefusedHere(
            "The key under which secrets are compared is not at hand: `limegrove auth login` makes it."
        )
    return key


# -- templates -------------------------------------------------------------------------------------------


async def show_templates(host: Host, request: ShowTemplates) -> None:
    """What an organization is to have."""
    oid = request.oid
    if not oid:
        choices = await read(host, lambda c: _organizations(c, host))
        if not choices:
            raise RefusedHere("There is no organization in this scope.")
        oid = await host.ask(ChooseOrganization(choices, title="Effective configuration of"))
    if oid:
        view = await host.show_mode("templates")
        view.show_organization(oid)


def _organizations(connection: Connection, host: Host) -> list[Choice]:
    rows = organizations(connection, scope=host.context.scope.node_id, now=host.context.clock())
    return [Choice(row.oid, row.name, row.path or row.name) for row in rows if not row.gone]


async def assign(host: Host, request: AssignTemplate) -> None:
    """Choose a node, say who is below it, and put the template there."""
    store = host.writing_store()
    rows = await _nodes(host)
    current = host.context.scope.node_id
    node = await host.ask(
        ChooseOrganization(
            [_choice(row) for row in rows],
            current=current if current in {row.id for row in rows} else "",
            title=f"Put {safe_text(request.name, 40)} on which node?",
            hint="part of a name or a path",
        )
    )
    if not node:
        return
    there = await read(host, lambda c: {each.node for each in assignments(c, request.name)})
    if node in there:
        host.say(f"{request.name} is on {_place(node, rows)} already; nothing was changed.")
        return
    question = _question("Put", request.name, "on", node, rows)
    after = "\n\nNothing is written to the cloud by this: a plan and its rollout do that."
    if not await host.ask(Confirm(question + after, yes="assign it", no="leave it")):
        return
    try:
        new = await asyncio.to_thread(
            lambda: templates.assign(node, request.name, store=store, by=host.operator)
        )
    except UnknownTemplate as error:
        raise RefusedHere(f"There is no template {request.name}.") from error
    where = _place(node, rows)
    if new:
        host.say(f"{request.name} is on {where} now. {press('rollouts.new', 'n')} plans what that changes.")
    else:
        host.say(f"{request.name} was on {where} already.")


async def unassign(host: Host, request: UnassignTemplate) -> None:
    """Choose a node of those that it is on, say who is below it, and take it off."""
    store = host.writing_store()
    rows = await _nodes(host)
    known = {row.id: row for row in rows}
    node = request.nodes[0]
    if len(request.nodes) > 1:
        choices = [
            _choice(known[each]) if each in known else Choice(each, each, each) for each in request.nodes
        ]
        title = f"Take {safe_text(request.name, 40)} off which node?"
        node = await host.ask(ChooseOrganization(choices, title=title, hint="part of a name or a path"))
    if not node:
        return
    question = _question("Take", request.name, "off", node, rows)
    after = "\n\nThe next plan removes what it brought there. Nothing is written to the cloud by this."
    if not await host.ask(Confirm(question + after, yes="take it off", no="leave it")):
        return
    gone = await asyncio.to_thread(lambda: templates.unassign(node, request.name, store=store))
    host.say(f"{request.name} is {'no longer' if gone else 'not'} on {_place(node, rows)}.")


async def _nodes(host: Host) -> list[TreeRow]:
    now = host.context.clock()
    return [row for row in await read(host, lambda c: tree(c, now=now)) if row.id != "unplaced"]


def _choice(row: TreeRow) -> Choice:
    below = counted(row.organizations, "organization")
    return Choice(row.id, row.name, row.path or row.name, "" if row.oid else below)


def _place(node: str, rows: list[TreeRow]) -> str:
    row = next((row for row in rows if row.id == node), None)
    return str(row.path or row.name) if row is not None else node


def _question(does: str, name: str, how: str, node: str, rows: list[TreeRow]) -> str:
    """`Put base on Europe/Gold?` and who is below it."""
    at = next((number for number, row in enumerate(rows) if row.id == node), None)
    below: list[str] = []
    if at is not None:
        for row in rows[at:]:
            if row is not rows[at] and row.depth <= rows[at].depth:
                break
            if row.oid:
                below.append(str(row.name))
    more = f" and {len(below) - NAMED:,} more" if len(below) > NAMED else ""
    who = f": {', '.join(below[:NAMED])}{more}" if below else ""
    return (
        f"{does} {name} {how} {_place(node, rows)}?\n\n{counted(len(below), 'organization')} below it{who}."
    )


# -- planning --------------------------------------------------------------------------------------------


async def draft(host: Host, _request: DraftRollout) -> None:
    """Ask what it is for and in which waves; compare, keep, and show the plan."""
    store, scope, now = host.writing_store(), host.context.scope, host.context.clock()

    def wrong(values: Values) -> str:
        if not values[0]:
            return "It needs a title: what is it for?"
        try:
            check(values[1].split())
            _options(values)
        except (WaveError, ValueError) as error:
            return str(error)
        return ""

    heading = Content("\n").join(
        [
            line(("Plan a rollout for ", "bold"), (scope.name, "bold")),
            Content.styled(
                "What the templates want is compared with what was last read; nothing is sent.", "dim"
            ),
        ]
    )
    values = await host.ask(
        FillIn(
            heading,
            [
                Field("title", hint="what it is for, such as: scanner exclusions", needed=True),
                Field("waves", " ".join(DEFAULT), hint="canary, 5, 10%, node:ID, rest"),
                Field("pause", "0s", hint="between two waves, such as 30m or 4h"),
                Field("soak", "0s", hint="how long a gate waits before it looks"),
                Field("budget", "0", hint="steps of a wave that may fail before it halts"),
            ],
            does="plan it",
            wrong=wrong,
        )
    )
    if values is None:
        return
    key = await _key(host)
    host.say("Comparing what the templates want with what there is.")

    def make() -> tuple[int, plans.Drafted]:
        with store.reader.reading() as connection:
            mark = plans.newest_record(connection)
            drafted = plans.drafted(connection, scope=scope.node_id, key=key)
        with store.writing() as connection:
            plans.remember(connection, drafted, now=now, mark=mark)
            if not drafted.changes:
                return 0, drafted
            number = keeping.keep(
                connection, drafted, title=values[0], by=host.operator, now=now, words=values[1].split(),
                options=_options(values),
            )  # fmt: skip
            return number, drafted

    try:
        number, drafted = await asyncio.to_thread(make)
    except PlanError as error:
        raise RefusedHere(str(error)) from error
    if number:
        await _show(host, number)
        touched = len({each.oid for each in drafted.changes})
        blocked = f", {len(drafted.blocked):,} are blocked" if drafted.blocked else ""
        host.say(f"Plan {number} changes {counted(touched, 'organization')}{blocked}. A applies it.")
    elif drafted.blocked:
        await _blocked(host, drafted)
    else:
        host.say("Everything is as the templates want it; there is nothing to roll out.")


def _options(values: Values) -> dict[str, int]:
    """How a rollout is to go, of what was filled in; seconds.

    Raises:
        ValueError: the text says which of them is not understood.
    """
    found: dict[str, int] = {}
    for name, text in zip(("pause", "soak"), values[2:4], strict=True):
        try:
            found[name] = parse_duration(text)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    if not (values[4].isascii() and values[4].isdigit()):
        raise ValueError("budget: a number of steps, 0 or more")
    return found | {"budget": int(values[4])}


async def _blocked(host: Host, drafted: plans.Drafted) -> None:
    names = drafted.organizations
    await host.ask(
        Results(
            Content.styled(
                f"Nothing to roll out: {counted(len(drafted.blocked), 'organization')} blocked.", "bold"
            ),
            [
                Item(f"{oid}{number}", names.get(oid, oid), "", "blocked", reason, bad=True)
                for number, (oid, reason) in enumerate(drafted.blocked)
            ],
            can_undo=False,
            kind="",
        )
    )


async def _show(host: Host, number: int) -> None:
    view = await host.show_mode("rollouts")
    view.open_plan(number)


# -- rolling out -----------------------------------------------------------------------------------------


async def apply(host: Host, request: ApplyRollout) -> None:
    """Say whom it changes, and roll it out when that is agreed to; other work goes on meanwhile."""
    agreed: list[tuple[str, bool]] = []

    async def ask(host: Host, request: ApplyRollout) -> None:
        host.writing_store()
        cloud = host.cloud()
        ident = (await cloud.who()).ident
        shown = await read(host, lambda c: _shown(c, host, request.plan, ident))
        typed = await host.ask(ApplyDialog(shown, host.context))
        if typed is None:
            host.say("Nothing was sent.")
        else:
            agreed.append((typed, bool(shown.doubtful)))

    if request.plan in _running.get(host, ()):
        raise RefusedHere(f"Plan {request.plan} is being rolled out here already.")
    try:
        await one_at_a_time(ask)(host, request)
    except (PlanError, LimaCharlieError) as error:
        raise RefusedHere(str(error)) from error
    for typed, accept in agreed:
        await _roll_out(host, host.cloud(), request.plan, typed, accept=accept)


async def _roll_out(host: Host, cloud: Cloud, number: int, typed: str, *, accept: bool) -> None:
    store, key = host.writing_store(), await _key(host)
    going = _running.setdefault(host, set())
    going.add(number)
    try:
        applying = {host.operator, (await cloud.who()).ident}
        signers = host.settings.allowed_signers if host.settings is not None else None
        outcome = await operations.apply(
            number,
            store=store,
            cloud=cloud,
            key=key,
            operator=host.operator,
            gates=CloudGates(store=store, cloud=cloud, bounds=Bounds(), clock=host.context.clock),
            confirm=typed,
            approved=lambda c, plan: lacking(
                c, plan, signers=signers, applying=applying, now=host.context.clock()
            ),
            report=_telling(host, number),
            now=host.context.clock,
            accept=accept,
        )
    except (operations.Refused, PlanError, LimaCharlieError) as error:
        raise RefusedHere(str(error)) from error
    finally:
        going.discard(number)
    host.say(_became(outcome), "plain" if outcome.whole else "warning")


def _became(outcome: operations.Outcome) -> str:
    """What a rollout came to, in a sentence."""
    said = f"Plan {outcome.plan_id}: {outcome.state}, {counted(outcome.applied, 'organization')} as wanted"
    if outcome.failed:
        said += f", {counted(len(outcome.failed), 'record')} not"
    return f"{said}. {outcome.halted}" if outcome.halted else f"{said}."


def _telling(host: Host, number: int) -> Report:
    """Told, perhaps in a thread, how far a rollout has come; said four times a second."""
    loop = asyncio.get_running_loop()
    said = 0.0

    def tell(progress: Progress) -> None:
        nonlocal said
        if time.monotonic() - said >= SAID_EVERY:
            said = time.monotonic()
            words = f"Plan {number}: {progress.done:,} of {progress.total:,} records, {progress.note}."
            loop.call_soon_threadsafe(host.say, words)

    return tell


def _shown(connection: Connection, host: Host, number: int, ident: str) -> Shown:
    """A plan with the names of all whom it changes."""
    plan = keeping.load(connection, number)
    formed, stands = shape(connection, plan), progress(connection, number)
    waves = {each.number: f"{each.number} {each.name}" for each in stands.waves}
    changes: dict[str, int] = {}
    left: dict[str, int] = {}
    of: dict[str, str] = {}
    destructive = set()
    for step in keeping.steps(connection, number):
        oid = step.change.oid
        changes[oid] = changes.get(oid, 0) + 1
        of[oid] = waves.get(step.wave, str(step.wave))
        if step.outcome in OPEN:
            left[oid] = left.get(oid, 0) + 1
        if step.change.destructive:
            destructive.add(oid)
    protected = [str(formed.name(oid)) for oid in formed.protected]
    phrase = ""
    if protected and plan.state == "draft":
        phrase = (
            safe_text(protected[0]).strip()
            if len(protected) == 1
            else f"{len(protected)} protected organizations"
        )
    why = ""
    if plan.risks and plan.state == "draft":
        signers = host.settings.allowed_signers if host.settings is not None else None
        why = missing(
            connection, plan, signers=signers, applying={host.operator, ident}, now=host.context.clock()
        )
    doubtful = next(
        (
            f"wave {each.name}: {each.gate.get('said', '')}"
            for each in stands.waves
            if each.state == "gate" and each.gate.get("verdict") == "inconclusive"
        ),
        "",
    )
    return Shown(
        number,
        plan.title,
        tuple(
            Target(
                oid, formed.name(oid), of[oid], changes[oid], left.get(oid, 0),
                protected=oid in formed.protected, destructive=oid in destructive,
            )
            for oid in formed.oids
        ),
        tuple(
            f"{each.change.what} at {counted(len(each.oids), 'organization')}" for each in formed.destructive
        ),
        plan.risks,
        why,
        phrase,
        plan.state,
        plan.said,
        doubtful,
    )  # fmt: skip


async def pause(host: Host, request: PauseRollout) -> None:
    """Ask whoever rolls it out to stop behind the records that are under way."""
    store, now = host.writing_store(), host.context.clock()
    try:
        await asyncio.to_thread(
            lambda: operations.pause(request.plan, store=store, operator=host.operator, now=now)
        )
    except (operations.Refused, PlanError) as error:
        raise RefusedHere(str(error)) from error
    host.say(
        f"Plan {request.plan} pauses behind the records that are under way. "
        f"{press('rollouts.resume', 'R')} carries on."
    )


# -- taking back -----------------------------------------------------------------------------------------


async def undo(host: Host, request: UndoRollout) -> None:
    """Make the plan that takes it back, all of it or what the cursor was on, and show it."""
    store, now = host.writing_store(), host.context.clock()
    wave, record = request.wave or None, frozenset({request.record}) if request.record else None
    if wave is not None or record is not None:
        part = f"only wave {wave}" if wave is not None else f"only {safe_text(request.record, 50)}"
        answer = await host.ask(
            ChooseOne(
                line((f"Take back what plan {request.plan} did", "bold")),
                [Option("a", "all of it"), Option("o", part)],
            )
        )
        if answer is None:
            return
        if answer == "a":
            wave = record = None

    def make() -> int:
        with store.writing() as connection:
            return keeping.undoing(
                connection, request.plan, by=host.operator, now=now, wave=wave, records=record
            )

    try:
        number = await asyncio.to_thread(make)
    except (NothingToDo, PlanError) as error:
        raise RefusedHere(str(error)) from error
    await _show(host, number)
    host.say(f"Plan {number} takes plan {request.plan} back. Nothing was sent yet: A applies it.")


HANDLERS: dict[type[Work], Handler] = {
    ShowTemplates: one_at_a_time(show_templates),
    AssignTemplate: one_at_a_time(assign),
    UnassignTemplate: one_at_a_time(unassign),
    DraftRollout: one_at_a_time(draft),
    ApplyRollout: apply,
    PauseRollout: pause,
    UndoRollout: one_at_a_time(undo),
}
