"""What the operator decides about alerts: asked about where it matters, done, and said what it came to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from textual.content import Content

from console.operations import caselinks, folding
from console.operations import triage as operations
from console.requests import Handler, Host, RefusedHere, read
from screens.dialogs.assign_alerts import AssignAlerts as AssignDialog
from screens.dialogs.choose_one import ChooseOne, Option
from screens.dialogs.close_alerts import CloseAlerts as CloseDialog
from screens.dialogs.dialog import Subject
from screens.dialogs.edit_fold_key import EditFoldKey as FoldKeyDialog
from screens.dialogs.edit_fold_key import Field
from screens.dialogs.results import Item, Results
from screens.dialogs.sample_check import Differs, Member, SampleCheck
from screens.dialogs.snooze_alerts import SnoozeAlerts as SnoozeDialog
from screens.dialogs.write_note import WriteNote
from screens.keys import press
from screens.requests import (
    AcknowledgeAlerts,
    AssignAlerts,
    Chosen,
    ClaimAlerts,
    CloseAlerts,
    CreateCase,
    EditFoldKey,
    NoteAlerts,
    ReleaseAlerts,
    RepeatDecision,
    SnoozeAlerts,
    UndoDecision,
    Work,
)
from screens.widgets.text import content, line
from store import folds, sampling, triage
from store.access import counted
from store.alerts import CLASSIFICATIONS, STATUSES, AlertFilter, parse_filter
from store.cases import reference
from store.observables import event_words
from store.queries import alerts, people, queue
from store.queries.queue import About
from store.sampling import Sample
from store.times import age, clock_words
from store.triage import Action, Outcome, Refusal, Selection, TriageError

if TYPE_CHECKING:
    from console.operations.ports import Progress, Report

RANDOM = 8
"""Members that are drawn for a sample check, besides every one that is unlike the others."""

RECENT = 8
"""Earlier comments that are offered."""

TELL_EVERY = 0.25
"""Seconds between two sentences about how far something has come."""

DONE_WORDS: Mapping[str, str] = {
    "claim": "claimed", "release": "released", "assign": "assigned", "ack": "acknowledged", "close": "closed",
    "reopen": "reopened", "snooze": "snoozed", "tag": "tagged", "note": "noted", "undo": "undone",
}  # fmt: skip

TO_CASES = frozenset({"claim", "ack", "close", "reopen", "undo"})
"""Verbs that cases follow."""

REPEATABLE = frozenset({"claim", "release", "ack", "close", "snooze", "note"})


@dataclass(frozen=True)
class Looked:
    """What a verb is about, as it was when it was asked for."""

    selection: Selection
    """By id, with the versions seen."""
    about: About


@dataclass(frozen=True)
class Left:
    """Alerts that the operator left out of a decision."""

    why: str
    """Our own words: `protected`."""
    about: About


_deciding: WeakSet[Host] = WeakSet()
"""Consoles in which a decision is being asked about or carried out."""


def one_at_a_time(handler: Handler) -> Handler:
    """No second dialog over the first when a key was pressed twice."""

    @wraps(handler)
    async def guarded(host: Host, request: Any) -> None:
        if host in _deciding:
            host.say("The decision before is still under way.")
            return
        _deciding.add(host)
        try:
            await handler(host, request)
        finally:
            _deciding.discard(host)

    return guarded


# -- looking at what was chosen ------------------------------------------------------------------------------


def _wanted(host: Host, chosen: Chosen) -> list[AlertFilter]:
    wanted = []
    for group in chosen.groups:
        found = parse_filter(
            group.line, scope=group.scope, now=host.context.clock(), me=host.context.operator
        )
        wanted.append(replace(found, fold=group.fold, storm=group.storm, order="rank"))
    return wanted


async def _look(host: Host, chosen: Chosen) -> Looked:
    """What was chosen, in the versions that are there now.

    Raises:
        RefusedHere: nothing of it is there any more.
    """
    looked = await asyncio.to_thread(_read, host, chosen)
    if not looked.selection.ids:
        raise RefusedHere("Nothing of this is in the queue any more.")
    return looked


def _read(host: Host, chosen: Chosen) -> Looked:
    wanted = _wanted(host, chosen)
    with host.context.reader.reading() as connection:
        versions: dict[int, int] = {}
        for part in [Selection(chosen.alerts), *(Selection(wanted=each) for each in wanted)]:
            versions |= triage.resolve(connection, part).versions
        ids = tuple(sorted(versions))
        if len(ids) > triage.MOST:
            raise TriageError(f"One decision is about at most {triage.MOST:,} alerts; mark fewer.")
        return Looked(Selection(ids, versions), queue.about(connection, ids))


def _without(looked: Looked, gone: Collection[int]) -> Selection:
    ids = tuple(number for number in looked.selection.ids if number not in gone)
    return Selection(ids, {number: looked.selection.versions[number] for number in ids})


def subject_of(about: About, operator: str) -> Subject:
    """What a dialog says about these alerts."""
    protected = {oid: name for oid, name, _ in about.organizations if oid in about.protected}
    return Subject(
        about.count,
        tuple(name for _, name, _ in about.organizations),
        about.cats[0][0] if about.cats else "",
        max(1, len(about.cats)),
        about.hostname,
        tuple(protected.values()),
        tuple(protected),
        sum(count for oid, _, count in about.organizations if oid in protected),
        tuple((name, count) for name, count in about.held if name != operator),
    )


# -- verbs that need no question -----------------------------------------------------------------------------


async def claim(host: Host, request: ClaimAlerts) -> None:
    """Make alerts mine; a lost race says who has them, and since when."""
    await _at_once(host, request.chosen, operations.claim, "claim")


async def release(host: Host, request: ReleaseAlerts) -> None:
    """Make alerts nobody's."""
    await _at_once(host, request.chosen, operations.release, "release")


async def assign(host: Host, request: AssignAlerts) -> None:
    """Ask for a name, and give alerts to that operator, whoever has them now."""
    store = host.writing_store()
    looked = await _look(host, request.chosen)
    names, known = await asyncio.to_thread(_names, host)
    to = await host.ask(AssignDialog(subject_of(looked.about, host.operator), names, doubt=known.doubt))
    if to is None:
        host.say("Nothing was assigned.")
        return
    outcome = await asyncio.to_thread(
        operations.assign,
        store,
        host.operator,
        Selection(looked.selection.ids),
        to,
        report=_telling(host, "assign"),
        now=host.context.clock(),
    )
    await _say_outcome(host, "assign", outcome, looked.about, f" to {to}" if to else " to nobody")


def _names(host: Host) -> tuple[Sequence[str], people.People]:
    """Those who have alerts and are known, and everybody who is."""
    with host.context.reader.reading() as connection:
        known = people.people(connection, also=[host.operator])
        return [name for name in queue.assignees(connection) if name in known], known


async def acknowledge(host: Host, request: AcknowledgeAlerts) -> None:
    """Say that somebody looks at alerts."""
    await _at_once(host, request.chosen, operations.acknowledge, "ack")


async def _at_once(host: Host, chosen: Chosen, does: Callable[..., Outcome], verb: str) -> None:
    store = host.writing_store()
    looked = await _look(host, chosen)
    operator, now = host.operator, host.context.clock()
    # Whoever presses the key wants it whatever else changed; whose it is, is checked in the same breath.
    selection = Selection(looked.selection.ids)
    outcome = await asyncio.to_thread(does, store, operator, selection, report=_telling(host, verb), now=now)
    await _say_outcome(host, verb, outcome, looked.about)


# -- closing -------------------------------------------------------------------------------------------------


async def close(host: Host, request: CloseAlerts) -> None:
    """Ask what alerts were, and close them; of many a sample is looked at first."""
    await _close(host, request.chosen)


async def _close(host: Host, chosen: Chosen, *, classification: str = "", comment: str = "") -> None:
    store = host.writing_store()
    looked = await _look(host, chosen)
    subject = subject_of(looked.about, host.operator)
    selection = looked.selection
    left: list[Left] = []
    if looked.about.count > 1:
        sample, members = await asyncio.to_thread(_sample, host, selection.ids)
        checked = await host.ask(
            SampleCheck(subject, members, truncated=max(0, sample.outliers_total - len(sample.outliers)))
        )
        if checked is None:
            host.say("Nothing was closed.")
            return
        if checked.without:
            selection = _without(looked, checked.without)
            about = await asyncio.to_thread(_about, host, selection.ids)
            left.append(Left("left out", await asyncio.to_thread(_about, host, checked.without)))
            looked = Looked(selection, about)
            if not selection.ids:
                host.say("All of them were left out; nothing was closed.")
                return
            subject = subject_of(about, host.operator)
    recent = await asyncio.to_thread(_comments, host)
    answer = await host.ask(
        CloseDialog(subject, classification=classification, comment=comment, recent=recent)
    )
    if answer is None:
        host.say("Nothing was closed.")
        return
    if answer.spared:
        selection = await asyncio.to_thread(_of_others, host, looked)
        spared = tuple(set(looked.selection.ids).difference(selection.ids))
        left.append(Left("protected", await asyncio.to_thread(_about, host, spared)))
        looked = Looked(selection, await asyncio.to_thread(_about, host, selection.ids))
    outcome = await asyncio.to_thread(
        operations.close,
        store,
        host.operator,
        selection,
        CLASSIFICATIONS.index(answer.classification),
        comment=answer.comment,
        benign=answer.benign,
        held=answer.held,
        report=_telling(host, "close"),
        now=host.context.clock(),
    )
    words = "benign true positive" if answer.benign else answer.classification.replace("_", " ")
    await _say_outcome(
        host, "close", outcome, looked.about, f" as {words}", listed=len(selection.ids) > 1 or bool(left),
        left=left,
    )  # fmt: skip


def _about(host: Host, ids: Sequence[int]) -> About:
    with host.context.reader.reading() as connection:
        return queue.about(connection, ids)


def _comments(host: Host) -> list[str]:
    with host.context.reader.reading() as connection:
        decisions = triage.recent(connection, actor=host.operator, limit=100)
    comments = (str(each.comment) for each in decisions if each.verb == "close" and each.comment)
    return list(dict.fromkeys(comments))[:RECENT]


def _of_others(host: Host, looked: Looked) -> Selection:
    """The same without the alerts of protected organizations."""
    with host.context.reader.reading() as connection:
        rows = alerts.rows_of(connection, looked.selection.ids)
    return _without(looked, {row.id for row in rows if row.oid in looked.about.protected})


def _sample(host: Host, ids: Sequence[int]) -> tuple[Sample, list[Member]]:
    with host.context.reader.reading() as connection:
        sample = sampling.sample_of(connection, ids, RANDOM)
        usual = {each.field: each.values[0][0] for each in sample.usual if each.values}
        odd = {each.row.id: each.differs for each in sample.outliers}
        rows = [each.row for each in sample.outliers]
        rows += [row for row in sample.members if row.id not in odd]
        members = []
        for row in rows:
            found = alerts.detail(connection, row.id)
            words = _words(found.body) if found is not None else ()
            members.append(
                Member(
                    row.id,
                    row.cat,
                    row.organization,
                    row.hostname,
                    host.context.when(row.time),
                    words,
                    tuple(
                        Differs(_field(each.field), each.value, usual.get(each.field, ""))
                        for each in odd.get(row.id, ())
                    ),
                )
            )
    return sample, members


def _field(name: str) -> str:
    return {"command_line": "command"}.get(name, name)


def _words(body: bytes) -> tuple[tuple[str, str], ...]:
    import json

    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return (("damaged", "This record cannot be read as JSON."),)
    if not isinstance(record, dict):
        return ()
    words = event_words(record)
    found = (
        ("command", words.command_line), ("path", words.path), ("parent", words.parent), ("user", words.user),
        ("hash", words.hash), ("target", words.target), ("domain", words.domain), ("address", words.address),
    )  # fmt: skip
    return tuple((label, text) for label, text in found if text)


# -- snoozing ------------------------------------------------------------------------------------------------


async def snooze(host: Host, request: SnoozeAlerts) -> None:
    """Ask until when, and hide alerts until then."""
    await _snooze(host, request.chosen)


async def _snooze(host: Host, chosen: Chosen, *, when: str = "", reason: str = "") -> None:
    store = host.writing_store()
    looked = await _look(host, chosen)
    about, context, now = looked.about, host.context, host.context.clock()
    clock = clock_words(about.due_at, now)
    why_not = {} if about.sensors else {"online": "It names no sensor that could come online."}
    answer = await host.ask(
        SnoozeDialog(
            subject_of(about, host.operator),
            now=now,
            zone=context.zone,
            zone_name=context.zone_name,
            clock=f"The clock runs on meanwhile: {clock}." if clock else "",
            when=when,
            reason=reason,
            why_not=why_not,
        )
    )
    if answer is None:
        host.say("Nothing was snoozed.")
        return
    outcome = await asyncio.to_thread(
        operations.snooze,
        store,
        host.operator,
        looked.selection,
        until=answer.waking.until,
        more=answer.waking.more,
        event=answer.waking.event,
        reason=answer.reason,
        report=_telling(host, "snooze"),
        now=context.clock(),
    )
    until = answer.waking.until
    words = f" until {context.when(until, seconds=False)}" if until is not None else ""
    await _say_outcome(host, "snooze", outcome, about, words, listed=about.count > 1)


# -- notes ---------------------------------------------------------------------------------------------------


async def note(host: Host, request: NoteAlerts) -> None:
    """Write a note on alerts, or make a case of them."""
    host.writing_store()
    looked = await _look(host, request.chosen)
    subject = subject_of(looked.about, host.operator)
    several = len(subject.organizations)
    case = f"{several:,} new cases, one for each organization" if several > 1 else "a new case of it"
    if several < 2 and subject.count > 1:
        case = "a new case of all of them"
    heading = [Content.styled(subject.words, "bold"), subject.named(), subject.described()]
    answer = await host.ask(
        ChooseOne(
            Content("\n").join(each for each in heading if each.plain),
            [Option("n", "write a note", also=("enter", "e")), Option("c", f"escalate: {case}")],
        )
    )
    if answer is None:
        host.say("Nothing was written.")
    elif answer == "n":
        await _note(host, request.chosen)
    else:
        from console.requests import cases

        await cases.create(host, CreateCase(looked.selection.ids))


async def _note(host: Host, chosen: Chosen, *, text: str = "") -> None:
    store = host.writing_store()
    looked = await _look(host, chosen)
    written = await host.ask(WriteNote(subject_of(looked.about, host.operator), note=text))
    if not written:
        host.say("Nothing was written.")
        return
    outcome = await asyncio.to_thread(
        operations.note,
        store,
        host.operator,
        Selection(looked.selection.ids),
        written,
        report=_telling(host, "note"),
        now=host.context.clock(),
    )
    await _say_outcome(host, "note", outcome, looked.about)


# -- taking back, and doing again ----------------------------------------------------------------------------


async def undo(host: Host, request: UndoDecision) -> None:
    """Take back the last decision, or a part of it; what was changed since is left alone, and named."""
    store = host.writing_store()
    found = await asyncio.to_thread(_undoable, host, request.part)
    if found is None:
        minutes = triage.UNDO_WITHIN // 60_000
        host.say(f"You decided nothing within the last {minutes} minutes that could be taken back.")
        return
    action, ids, part = found
    whole = request.part is None or len(part) == len(ids)
    about = await asyncio.to_thread(_about, host, ids)
    chosen: Sequence[int] | None = None
    if len(ids) > 1 or not whole:
        asked = None if whole else request.part
        answer = await host.ask(_undo_choice(host, action, about, part, asked))
        if answer is None:
            host.say("Nothing was undone.")
            return
        chosen = part if answer == "p" else None
    outcome = await asyncio.to_thread(
        operations.undo,
        store,
        host.operator,
        action.id,
        ids=chosen,
        report=_telling(host, "undo"),
        now=host.context.clock(),
    )
    if chosen:
        about = await asyncio.to_thread(_about, host, chosen)
    clock = host.context.clock
    held = await asyncio.to_thread(caselinks.follow_undo, store, outcome.action_id, clock=clock)
    again = await asyncio.to_thread(_new_again, host, outcome.action_id)
    await _say_undone(host, action, outcome, about, held, again)


def _new_again(host: Host, action_id: int) -> int:
    """How many of the alerts that a decision changed are new now, and were not before it."""
    with host.context.reader.reading() as connection:
        changed: dict[int, int] = {}
        last = 0
        while some := triage.changes(connection, action_id, after=last):
            changed |= {each.detection_id: each.status for each in some}
            last = some[-1].detection_id
        rows = alerts.rows_of(connection, [number for number, status in changed.items() if status])
        return sum(1 for row in rows if row.status == triage.NEW)


def _undoable(host: Host, part: Chosen | None) -> tuple[Action, list[int], list[int]] | None:
    """The last decision, the alerts that it still stands for, and those of them that were chosen."""
    with host.context.reader.reading() as connection:
        action = triage.undoable(connection, host.operator, now=host.context.clock())
        if action is None:
            return None
        stand: list[int] = []
        last = 0
        while changes := triage.changes(connection, action.id, after=last):
            stand += [each.detection_id for each in changes if each.outcome == triage.DONE]
            last = changes[-1].detection_id
        if part is None:
            return action, stand, []
        within = set(part.alerts)
        every = tuple(range(len(STATUSES)))
        for wanted in _wanted(host, part):
            selection = Selection(wanted=replace(wanted, statuses=every, snoozed="any"))
            within |= set(triage.resolve(connection, selection).ids)
        return action, stand, [number for number in stand if number in within]


def _undo_choice(
    host: Host, action: Action, about: About, part: Sequence[int], asked: Chosen | None
) -> ChooseOne:
    subject = subject_of(about, "")
    ago = age(action.time, host.context.clock())
    heading = [
        Content.styled(f"Undo: {subject.words} {decided(action)}", "bold"),
        subject.named(),
        subject.described(),
        line(Content.styled(f"{ago} ago", "dim"), Content("   "), (action.comment, "")),
    ]
    options = []
    if asked is not None:
        where = "marked" if asked.marked else "in this fold"
        options.append(
            Option(
                "p",
                f"only what is {where}: {len(part):,}",
                "" if part else f"Nothing of it is {where}.",
                also=("enter", "z") if part else (),
            )
        )
    options.append(Option("a", f"all of it: {about.count:,}", also=() if part else ("enter", "z")))
    return ChooseOne(Content("\n").join(each for each in heading if each.plain.strip()), options)


def decided(action: Action) -> str:
    """A decision in our own words: `closed as false positive`."""
    words = DONE_WORDS.get(action.verb, action.verb)
    if action.verb == "close":
        number = action.detail.get("classification", 0)
        kind = CLASSIFICATIONS[number] if number in range(len(CLASSIFICATIONS)) else CLASSIFICATIONS[0]
        words += f" as {_class_of(action, kind).replace('_', ' ')}"
    return words


def _class_of(action: Action, kind: str) -> str:
    return "benign" if "benign" in (action.detail.get("add") or ()) else kind


async def repeat(host: Host, request: RepeatDecision) -> None:
    """Do on these alerts what the operator decided last; what is hard to take back is asked first."""
    host.writing_store()
    action = await asyncio.to_thread(_last, host)
    if action is None:
        host.say("You have decided nothing yet that could be repeated.")
        return
    chosen = request.chosen
    match action.verb:
        case "claim":
            await claim(host, ClaimAlerts(chosen))
        case "release":
            await release(host, ReleaseAlerts(chosen))
        case "ack":
            await acknowledge(host, AcknowledgeAlerts(chosen))
        case "close":
            number = action.detail.get("classification", 0)
            await _close(
                host,
                chosen,
                classification=_class_of(action, CLASSIFICATIONS[number]),
                comment=action.comment,
            )
        case "snooze":
            reason = str(action.detail.get("reason", ""))
            await _snooze(host, chosen, when=_when(host, action), reason=reason)
        case _:
            await _note(host, chosen, text=action.comment)


def _last(host: Host) -> Action | None:
    with host.context.reader.reading() as connection:
        decisions = triage.recent(connection, actor=host.operator, limit=100)
    return next((each for each in decisions if each.verb in REPEATABLE and each.changed), None)


def _when(host: Host, action: Action) -> str:
    """What brought a snooze to its end, as it is typed."""
    detail = action.detail
    if detail.get("more"):
        return f"{detail['more']} more"
    if detail.get("event"):
        return str(detail["event"])
    until = detail.get("until")
    if not isinstance(until, int):
        return ""
    span = until - action.time
    if span > 0 and span % 3_600_000 == 0:
        return f"{span // 3_600_000}h"
    return host.context.when(until, seconds=False)[:16] if until > host.context.clock() else ""


# -- the fold key --------------------------------------------------------------------------------------------


async def edit_fold_key(host: Host, request: EditFoldKey) -> None:
    """Ask which fields make alerts of a rule the same, and fold the queue anew."""
    store = host.writing_store()
    found = await asyncio.to_thread(_fold_key, host, request.alert)
    if found is None:
        raise RefusedHere("This alert is no longer in the store.")
    answer = await host.ask(found)
    if answer is None:
        host.say("The fold key is as it was.")
        return
    now = host.context.clock()
    changed = await asyncio.to_thread(
        folding.set_key,
        store,
        answer.rule,
        answer.fields,
        by=host.operator,
        now=now,
        report=_telling(host, "fold"),
    )
    which = "every rule without a key of its own" if answer.rule == folds.ALL else "this rule"
    host.say(f"Folded anew for {which}." if changed else "The fold key was like that already.")


def _fold_key(host: Host, alert: int) -> FoldKeyDialog | None:
    with host.context.reader.reading() as connection:
        found = alerts.detail(connection, alert)
        known = folds.keys(connection)
    if found is None:
        return None
    rule = found.row.rule or found.row.cat
    values = folds.values_in(found.body)
    shown = dict(values) | {
        folds.INDICATOR: "  ".join(text for _, text in folds.salient_of(values, (folds.INDICATOR,)))
    }
    return FoldKeyDialog(
        rule,
        [Field(name, shown.get(name, "")) for name in folds.FIELDS],
        folds.fields_for(known, rule),
        folds.fields_for(known, folds.ALL),
        own=rule in known,
    )


# -- saying what it came to ----------------------------------------------------------------------------------


def _telling(host: Host, verb: str) -> Report:
    """Told in a thread how far something has come; said at most four times a second."""
    loop = asyncio.get_running_loop()
    said = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal said
        if time.monotonic() - said >= TELL_EVERY and progress.done < progress.total:
            said = time.monotonic()
            words = DONE_WORDS.get(verb, "done")
            loop.call_soon_threadsafe(host.say, f"{progress.done:,} of {progress.total:,} {words}.")

    return tell


async def _say_outcome(
    host: Host,
    verb: str,
    outcome: Outcome,
    about: About,
    words: str = "",
    *,
    listed: bool = False,
    left: Sequence[Left] = (),
) -> None:
    """Say what a decision came to, and where; of many with a line for each organization, each that was
    refused, and what was left out."""
    done = DONE_WORDS[verb]
    refused = outcome.refused
    undo_ = verb != "note" and outcome.changed > 0
    back = f" {press('alerts.undo', 'z')} takes it back." if undo_ else ""
    waits = await _waiting(host, verb, outcome)
    if about.count == 1 and not left:
        if outcome.changed:
            hint = f", {press('alerts.undo', 'z')} takes it back" if undo_ else ""
            host.say(f"{done.capitalize()}{words} at {_where(about)}{hint}: {_title(about)}.{waits}")
        elif refused:
            host.say(f"Not {done} at {_where(about)}: {why(refused[0], host)}.", "warning")
        else:
            host.say(f"It is {_already(verb)} already at {_where(about)}: {_title(about)}.")
        return
    if not outcome.changed and not refused:
        host.say(f"All {about.count:,} are {_already(verb)} already at {_where(about)}.")
        return
    total = about.count + sum(each.about.count for each in left)
    sentence = f"{outcome.changed:,} of {total:,} alerts {done}{words} at {_where(about, outcome)}"
    if refused:
        sentence += f", {len(refused):,} refused"
    if outcome.unchanged:
        sentence += f", {outcome.unchanged:,} {_already(verb)} before"
    if left:
        sentence += ", " + ", ".join(f"{each.about.count:,} left open ({each.why})" for each in left)
    if not outcome.finished:
        sentence += "; the rest follows at the next start"
    if listed or refused:
        items = await asyncio.to_thread(_items, host, outcome, done, words.strip(), left)
        await host.ask(Results(content(f"{sentence}.{waits}", style="bold"), items, can_undo=undo_))
    host.say(f"{sentence}.{back}{waits}", "warning" if refused else "plain")


async def _say_undone(
    host: Host, action: Action, outcome: Outcome, about: About, held: caselinks.Held, again: int
) -> None:
    """Say what is there again, and what is not: an alert whose case has moved on is in progress with it."""
    what, refused = decided(action), outcome.refused
    waits = await _waiting(host, "undo", outcome)
    if about.count == 1:
        if refused or not outcome.changed:
            reason = why(refused[0], host) if refused else "there was nothing to undo"
            host.say(f"Not undone at {_where(about)}: {reason}.", "warning")
        elif held.alerts:
            case = reference("", held.cases[0][1])
            host.say(
                f"No longer {what} at {_where(about)}, but in progress: its case {case} cannot go back to "
                f"new. {_title(about)}.{waits}",
                "warning",
            )
        else:
            new = ", new again" if again else ""
            host.say(f"No longer {what} at {_where(about)}{new}: {_title(about)}.{waits}")
        return
    sentence = f"{outcome.changed:,} of {about.count:,} alerts no longer {what} at {_where(about, outcome)}"
    if again:
        sentence += f", {again:,} new again"
    if held.alerts:
        sentence += f", {held.alerts:,} in progress: their cases cannot go back to new"
    if refused:
        sentence += f", {len(refused):,} refused"
    if not outcome.finished:
        sentence += "; the rest follows at the next start"
    if refused:
        items = await asyncio.to_thread(_items, host, outcome, "undone")
        await host.ask(Results(content(f"{sentence}.", style="bold"), items, can_undo=False))
    host.say(f"{sentence}.{waits}", "warning" if refused or held.alerts else "plain")


async def _waiting(host: Host, verb: str, outcome: Outcome) -> str:
    """That cases follow once the cloud is there again, in a sentence with a space before it; "" when none
    has to, or the cloud is there."""
    if verb not in TO_CASES or not outcome.changed or not _away(host):
        return ""
    cases = await read(host, lambda connection: caselinks.behind(connection, outcome.action_id))
    if not cases:
        return ""
    return (
        " Its case waits for the cloud." if len(cases) == 1 else f" {len(cases):,} cases wait for the cloud."
    )


def _away(host: Host) -> bool:
    """Whether it is known that the cloud is not there."""
    if host.context.status.trouble:
        return True
    try:
        host.cloud()
    except RefusedHere:
        return True
    return False


def _items(
    host: Host, outcome: Outcome, done: str, why_done: str = "", left: Sequence[Left] = ()
) -> list[Item]:
    with host.context.reader.reading() as connection:
        refused = outcome.refused[:1_000]
        rows = {row.id: row for row in alerts.rows_of(connection, [each.id for each in refused])}
        names = queue.names_of(connection, {*outcome.by_organization, *(each.oid for each in refused)})
    items = []
    for each in refused:
        row = rows.get(each.id)
        what = f"{row.hostname or '-'}  {row.cat}" if row is not None else str(each.id)
        items.append(Item(f"alert {each.id}", names[each.oid], what, "refused", why(each, host), bad=True))
    for out in left:
        for oid, name, count in out.about.organizations:
            items.append(
                Item(f"{out.why} {oid}", name, counted(count, "alert"), "left open", out.why, bad=True)
            )
    most_first = sorted(outcome.by_organization.items(), key=lambda each: (-each[1], names[each[0]]))
    for oid, count in most_first:
        items.append(Item(oid, names[oid], counted(count, "alert"), f"{done} {count:,}", why_done))
    return items


def _where(about: About, outcome: Outcome | None = None) -> str:
    """The organization, or how many: `Acme Dental`, `4 organizations`; a stranger's text.

    Args:
        outcome: only where it changed something, unless that is nowhere.
    """
    names = {oid: str(name) for oid, name, _ in about.organizations}
    if outcome is not None and outcome.by_organization:
        names = {oid: name for oid, name in names.items() if oid in outcome.by_organization}
    if len(names) == 1:
        return next(iter(names.values()))
    return f"{len(names):,} organizations"


def why(refusal: Refusal, host: Host) -> str:
    """Why an alert was left alone: who has it, and since when."""
    if not refusal.who:
        return refusal.why
    since = ""
    if refusal.since is not None:
        moment = host.context.when(refusal.since, seconds=False)[11:]
        since = f" since {moment} ({age(refusal.since, host.context.clock())} ago)"
    if refusal.why == "somebody else has it":
        return f"{refusal.who} has it{since}"
    return f"changed meanwhile by {refusal.who}{since.replace(' since', ' at', 1)}"


def _already(verb: str) -> str:
    return {"claim": "yours", "release": "nobody's"}.get(verb, DONE_WORDS[verb])


def _title(about: About) -> str:
    """What a single alert is: a stranger's text."""
    title = str(about.cats[0][0]) if about.cats else "it has no name"
    return f"{title} on {about.hostname}" if about.hostname else title


HANDLERS: dict[type[Work], Handler] = {
    ClaimAlerts: claim,
    ReleaseAlerts: release,
    AssignAlerts: one_at_a_time(assign),
    AcknowledgeAlerts: acknowledge,
    CloseAlerts: one_at_a_time(close),
    SnoozeAlerts: one_at_a_time(snooze),
    NoteAlerts: one_at_a_time(note),
    UndoDecision: one_at_a_time(undo),
    RepeatDecision: one_at_a_time(repeat),
    EditFoldKey: one_at_a_time(edit_fold_key),
}
