"""Changes of many organizations: chosen, planned, shown, begun, carried on and taken back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from textual.content import Content

from console.limacharlie.errors import LimaCharlieError
from console.operations import bulk
from console.operations import runs as operations
from console.requests import Handler, Host, RefusedHere, read
from console.requests.triage import one_at_a_time
from screens.dialogs.choose_one import ChooseOne, Option
from screens.dialogs.fill_in import Field, FillIn, Values
from screens.dialogs.run_plan import NAMED, RunPlan, Shown, Target, named
from screens.requests import BeginRun, ChangeMany, DropRun, UndoRun
from store import processes
from store import runs as kept
from store.access import counted
from store.bulk import KINDS, BadWish, Kind, Selection, Wish, select, wish
from store.runs import RunError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from console.operations.ports import Progress, Report
    from screens.requests import Work
    from store.runs import Item, Planned, RunStep

SAID_EVERY = 0.25
"""Seconds between two sentences about how far it has come."""

# -- choosing --------------------------------------------------------------------------------------------


Agreed = tuple[int, str]
"""A run that may be begun, and what was typed for it."""


def asking(question: Callable[[Host, Any], Awaitable[Agreed | None]]) -> Handler:
    """Put one question at a time; what was agreed to is made while others are put."""

    async def handler(host: Host, request: Work) -> None:
        agreed: list[Agreed] = []

        async def ask(host: Host, request: Work) -> None:
            if (found := await question(host, request)) is not None:
                agreed.append(found)

        await one_at_a_time(ask)(host, request)
        for number, typed in agreed:
            view = await host.show_mode("runs")
            view.open_run(number)
            await _make(host, number, typed, view)

    return handler


async def change_many(host: Host, request: ChangeMany) -> Agreed | None:
    """Choose what is done, fill it in, plan it, and show the plan."""
    host.writing_store()
    cloud = host.cloud()
    now = host.context.clock()
    selection = await read(host, lambda c: select(c, now=now, oids=request.oids, source=request.where))
    if not selection.chosen:
        why = "every one of them is frozen" if selection.frozen else "none of them is there any more"
        raise RefusedHere(f"Nothing can be done: {why}.")
    kind = await _kind(host, selection)
    if kind is None:
        return None
    wanted = await _filled_in(host, kind, selection)
    if wanted is None:
        return None
    host.say(f"Planning it on {counted(len(selection.chosen), 'organization')}.")
    try:
        drafted = await bulk.draft(wanted, selection, cloud=cloud, report=telling(host, "Planning it: "))
    except (operations.Refused, LimaCharlieError) as error:
        raise RefusedHere(str(error)) from error
    if not drafted.planned.items:
        left = drafted.left_out
        out = f", and {len(left):,} were left out: {left[0].reason}" if left else "."
        raise RefusedHere(f"There is nothing to do: no organization has anything of the kind{out}")
    return await keep_and_show(host, drafted.planned, nothing=len(drafted.nothing))


async def _kind(host: Host, selection: Selection) -> Kind | None:
    heading = Content("\n").join(_whom("Change", selection))
    options = [
        Option(each.key, each.does + (", for good" if each.destructive else ""), means=each.means)
        for each in KINDS.values()
    ]
    answer = await host.ask(ChooseOne(heading, options))
    return next((each for each in KINDS.values() if each.key == answer), None)


def _whom(does: str, selection: Selection) -> list[Content]:
    """`Change 29 of 30 organizations; 1 frozen: Acme Dental`, over the names of those that are changed."""
    chosen, frozen = selection.chosen, selection.frozen
    some = f"{len(chosen):,} of " if frozen else ""
    first = Content.styled(f"{does} {some}{counted(len(chosen) + len(frozen), 'organization')}", "bold")
    if frozen:
        first += Content(f"; {len(frozen):,} frozen: ") + named([each.name for each in frozen], 1)
    return [first, named([each.name for each in chosen])]


def _quotas(selection: Selection) -> Content:
    """`quota now: 40 to 250, at most 88.5 in use; not read 1: Acme Dental`."""
    known = [each.quota for each in selection.chosen if each.quota is not None]
    used = [each.used for each in selection.chosen if each.used is not None]
    unread = [each.name for each in selection.chosen if each.unread]
    text = "unknown"
    if known:
        least, most = min(known), max(known)
        text = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    if used:
        text += f", {'at most ' if len(used) > 1 else ''}{kept.sensors(max(used))} in use"
    said = Content(f"quota now: {text}")
    return said + Content(f"; not read {len(unread):,}: ") + named(unread, 1) if unread else said


def _turned_away(selection: Selection, quota: int) -> str:
    over = [each.name for each in selection.chosen if each.turns_away(quota)]
    if not over:
        return ""
    more = f" and {len(over) - NAMED:,} more" if len(over) > NAMED else ""
    use = "uses" if len(over) == 1 else "use"
    return (
        f"{len(over):,} {use} more than {quota:,}, sensors would be turned away: "
        f"{', '.join(over[:NAMED])}{more}."
    )


async def _filled_in(host: Host, kind: Kind, selection: Selection) -> Wish | None:
    def given(values: Values) -> dict[str, str]:
        return {field.name: value for field, value in zip(kind.fields, values, strict=True)}

    def wrong(values: Values) -> str:
        try:
            wish(kind.name, given(values))
        except BadWish as error:
            return str(error)
        return ""

    heading = Content("\n").join(
        [
            *_whom(f"{kind.does.capitalize()}:", selection),
            *([_quotas(selection)] if kind.name == "quota" else []),
            Content.styled("It is planned and shown first; nothing is sent by this.", "dim"),
        ]
    )

    def doubtful(values: Values) -> str:
        return _turned_away(selection, int(values[0])) if kind.name == "quota" else ""

    fields = [Field(each.label, hint=each.hint, needed=each.needed) for each in kind.fields]
    values = await host.ask(FillIn(heading, fields, does="plan it", wrong=wrong, doubtful=doubtful))
    return None if values is None else wish(kind.name, given(values))


# -- a run, shown and made -------------------------------------------------------------------------------


async def keep_and_show(host: Host, planned: Planned, *, nothing: int = 0) -> Agreed | None:
    """Keep a run, and show it; what was agreed to, None when it was left.

    Args:
        nothing: organizations of a choice that have nothing it could be done to.
    """
    store, now = host.writing_store(), host.context.clock()
    try:
        number = await asyncio.to_thread(
            lambda: operations.keep(store, planned, operator=host.operator, now=now)
        )
    except RunError as error:
        raise RefusedHere(str(error)) from error
    return await _ask(host, number, nothing=nothing, fresh=True)


async def begin(host: Host, request: BeginRun) -> Agreed | None:
    """Show a run, to be begun or carried on with."""
    host.writing_store()
    host.cloud()
    return await _ask(host, request.run)


async def _ask(host: Host, number: int, *, nothing: int = 0, fresh: bool = False) -> Agreed | None:
    """Show a run, and do what is answered.

    Args:
        fresh: it was planned just now; what was kept before is never put away by leaving it.
    """
    try:
        shown = await read(host, lambda c: _shown(c, number, nothing, fresh=fresh))
    except RunError as error:
        raise RefusedHere(str(error)) from error
    if kept.state_now(shown.run, host.context.clock()) == "running":
        raise RefusedHere(f"Run {number} is being made by {processes.said(shown.run.holder)}.")
    answer = await host.ask(RunPlan(shown, host.context))
    if answer is not None and answer.deed == "begin":
        return number, answer.confirm
    if answer is not None and answer.deed == "keep":
        host.say(f"Run {number} is kept for an hour: :runs lists it, A begins it.")
    elif answer is not None and fresh:
        await _drop(host, number)
        host.say("Nothing was sent.")
    return None


async def _make(host: Host, number: int, confirm: str, view: Any) -> None:
    """Make a run; `view` is the one of the runs, which says what is in its way while that is made."""
    store = host.writing_store()
    try:
        result = await operations.apply(
            store,
            host.cloud(),
            number,
            operator=host.operator,
            confirm=confirm,
            report=telling(host, f"Run {number}: "),
            key=host.context.redaction_key,
        )
    except operations.Busy as error:
        view.tell_while_made(error.run, str(error))
        return
    except (RunError, LimaCharlieError) as error:
        raise RefusedHere(str(error)) from error
    host.say(result.sentence, "plain" if result.whole else "warning")


def telling(host: Host, before: str) -> Report:
    """Told, perhaps in a thread, how far something has come; said four times a second."""
    loop = asyncio.get_running_loop()
    said = 0.0

    def tell(progress: Progress) -> None:
        nonlocal said
        if time.monotonic() - said >= SAID_EVERY:
            said = time.monotonic()
            words = f"{before}{progress.done:,} of {progress.total:,} {progress.note}."
            loop.call_soon_threadsafe(host.say, words)

    return tell


def _shown(connection: Connection, number: int, nothing: int, *, fresh: bool) -> Shown:
    run = kept.load(connection, number)
    by_item: dict[int, list[RunStep]] = {}
    every = kept.steps(connection, number)
    for step in every:
        by_item.setdefault(step.item, []).append(step)
    targets = [
        Target(
            item.item,
            item.name,
            _what(by_item.get(item.item, ()), item),
            _why_left(item.reason, item.state),
            tuple(map(_step, by_item.get(item.item, ()))),
        )
        for item in run.items
    ]
    if len(run.items) == 1 and len(every) > 1:
        # Of one organization there is room for each step.
        targets = [Target(step.seq, run.items[0].name, _step(step)) for step in every]
    left = run.options.get("left_out") or ()
    targets += [
        Target(len(run.items) + place, name, "", f"left out: {reason}")
        for place, (_, name, reason) in enumerate(left, 1)
    ]
    quotas = [
        (item, step) for item in run.items for step in by_item.get(item.item, ())
        if kept.before_of(step.verb, item.options)
    ]  # fmt: skip
    return Shown(
        run, tuple(targets), operations.cannot_be_undone(every), nothing,
        above=tuple(i.name for i, step in quotas if kept.turns_away(step.verb, step.arguments, i.options)),
        unread=tuple(item.name for item, _ in quotas if item.options[kept.HELD]["unread"]),
        kept=not fresh,
    )  # fmt: skip


def _step(step: RunStep) -> str:
    return step.words if step.outcome in kept.OPEN else f"{step.words}: {step.outcome}"


def _why_left(reason: str, state: str) -> str:
    return reason if state == "refused" else ""


def _what(made: Sequence[RunStep], item: Item) -> str:
    """What is done to one organization, in a line."""
    open_ = [step for step in made if step.outcome not in kept.GOOD]
    if not open_:
        return "everything is done"
    more = f", and {len(open_) - 1:,} more steps" if len(open_) > 1 else ""
    first = open_[0]
    return f"{kept.change_words(first.verb, first.target, first.arguments, item.options)}{more}"


async def _drop(host: Host, number: int) -> bool:
    store, now = host.writing_store(), host.context.clock()

    def drop() -> bool:
        with store.writing() as connection:
            return kept.drop(connection, number, now=now)

    return await asyncio.to_thread(drop)


async def drop(host: Host, request: DropRun) -> None:
    """Put a run away that was not begun."""
    if not await _drop(host, request.run):
        raise RefusedHere(f"Run {request.run} was begun; only what was not is put away.")
    host.say(f"Run {request.run} was put away.")


async def undo(host: Host, request: UndoRun) -> Agreed | None:
    """Plan what takes a run back, and show it."""
    store = host.writing_store()
    host.cloud()
    try:
        planned = await asyncio.to_thread(lambda: operations.undoing(store, request.run))
    except RunError as error:
        raise RefusedHere(str(error)) from error
    return await keep_and_show(host, planned)


HANDLERS: dict[type[Work], Handler] = {
    ChangeMany: asking(change_many),
    BeginRun: asking(begin),
    UndoRun: asking(undo),
    DropRun: drop,
}
