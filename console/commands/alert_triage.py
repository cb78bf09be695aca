"""The verbs of `limegrove alert` that decide something."""

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from store.alerts import AlertFilter
    from store.queries.alerts import AlertRow
    from store.triage import Outcome, Refusal, Selection

VERBS = (
    "next", "claim", "release", "assign", "ack", "close", "reopen", "snooze", "tag", "note", "undo", "resume",
)  # fmt: skip

_CLASSES = ("true_positive", "false_positive", "pending", "benign")


def configure(verbs: Any, filters: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add these verbs.

    Args:
        verbs: what argparse gave for the verbs of `alert`.
        filters: adds the options by which `alert list` is limited.
    """

    def over_alerts(name: str, says: str) -> argparse.ArgumentParser:
        verb: argparse.ArgumentParser = verbs.add_parser(name, help=says)
        verb.add_argument("ids", metavar="DETECT_ID", nargs="*", help="which alerts; or --filter or --fold")
        filters(verb)
        verb.add_argument("--fold", type=int, metavar="ID", help="all that are open in this fold")
        verb.add_argument("--storm", type=int, metavar="KEY", help="all that are open in this storm")
        verb.add_argument("--all", action="store_true", help="every open alert of the scope")
        verb.add_argument(
            "--confirm",
            metavar="NAME",
            action="append",
            default=[],
            help="the name or oid of a protected organization; once for each",
        )
        if name != "note":
            verb.add_argument("--comment", metavar="TEXT", default="", help="why")
        return verb

    def also_held(verb: argparse.ArgumentParser) -> None:
        verb.add_argument("--held", action="store_true", help="also what somebody else has")

    first = verbs.add_parser("next", help="the first alert that nobody has")
    filters(first)
    first.add_argument("--claim", action="store_true", help="and take it")
    claim = over_alerts("claim", "take alerts, and acknowledge them")
    claim.add_argument("--no-ack", action="store_true", help="take them only; the clock runs on")
    over_alerts("release", "give back alerts that you have")
    over_alerts("assign", "give alerts to somebody").add_argument(
        "--to", required=True, metavar="OPERATOR", help="to whom; none for nobody"
    )
    also_held(over_alerts("ack", "acknowledge new alerts: they become in_progress"))
    close = over_alerts("close", "close alerts, with what they were")
    close.add_argument(
        "--as", dest="classification", required=True, choices=_CLASSES,
        help="what they were; benign is a true positive that was wanted, and gets that tag",
    )  # fmt: skip
    close.add_argument("--resolve", action="store_true", help="make them resolved, not closed")
    also_held(close)
    also_held(over_alerts("reopen", "make closed alerts in_progress again"))
    snooze = over_alerts("snooze", "hide alerts until something happens; their clocks run on")
    until = snooze.add_mutually_exclusive_group(required=True)
    until.add_argument("--until", metavar="TIME", help="a duration such as 4h, or a time in UTC")
    until.add_argument("--more", type=int, metavar="N", help="until their fold has so many more")
    until.add_argument(
        "--event", choices=("online", "host"),
        help="until their sensor came online, or their fold reached another host",
    )  # fmt: skip
    also_held(snooze)
    tag = over_alerts("tag", "add tags, or take them away")
    tag.add_argument("--add", metavar="TAG", action="append", default=[], help="once for each")
    tag.add_argument("--remove", metavar="TAG", action="append", default=[], help="once for each")
    over_alerts("note", "write something down").add_argument("--text", required=True, metavar="TEXT")
    undo = verbs.add_parser("undo", help="bring back what was there before a decision")
    undo.add_argument("action", type=int, nargs="?", metavar="ACTION", help="its number (your last one)")
    undo.add_argument(
        "--only", metavar="DETECT_ID", action="append", default=[], help="only at this alert; once for each"
    )
    undo.add_argument(
        "--org", dest="organization", metavar="OID|NAME", help="where two organizations share the id"
    )
    undo.add_argument("--comment", metavar="TEXT", default="", help="why")
    verbs.add_parser("resume", help="finish decisions that were interrupted")


def run(session: Session, wanted_by: "Callable[[Session], AlertFilter]") -> int:
    """Carry one of them out."""
    verb: str = session.arguments.verb
    if verb == "next" and not session.arguments.claim:
        return _next(session, wanted_by(session))
    session.refuse_read_only(f"alert {verb}")
    if verb == "next":
        return _claim_next(session, wanted_by(session))
    if verb == "undo":
        return _undo(session)
    if verb == "resume":
        return _resume(session)
    return _decide(session, wanted_by)


def decided(session: Session, row: "AlertRow") -> dict[str, Any]:
    """What `alert show` tells of an alert's clocks, its snooze, and what was decided, the last first."""
    from console.commands.org_document import standing_of
    from store.alerts import SEVERITIES, STATUSES
    from store.queries.customers import card
    from store.sla import targets
    from store.times import now_ms, rfc3339
    from store.triage import history, snoozes

    with session.reader.reading() as connection:
        clock = targets(connection, row.oid)
        snooze = snoozes(connection, [row.id]).get(row.id)
        past = history(connection, row.id)
        customer = card(connection, row.oid, now_ms())
    minutes = {
        "acknowledge": clock.acknowledge[row.severity] // 60_000,
        "resolve": clock.resolve[row.severity] // 60_000,
    }
    return {
        "clock": {
            "runs": {0: "acknowledge", 1: "resolve"}.get(row.status),
            "due": rfc3339(row.due_at),
            "minutes": minutes,
            "source": clock.sources[row.severity],
            "service_hours": clock.service is not None and row.severity not in clock.service.always,
            "problems": [
                each for each in clock.problems if each.startswith(f"sla_{SEVERITIES[row.severity]} ")
            ],
        },
        "customer": standing_of(customer, row.cat, row.rule),
        "snooze": None
        if snooze is None
        else {
            "until": rfc3339(snooze.until),
            "more": snooze.more,
            "event": snooze.event or None,
            "reason": snooze.reason,
            "by": snooze.by,
            "at": rfc3339(snooze.at),
            "woken_at": rfc3339(snooze.woken_at),
            "woken_by": snooze.woken_by or None,
        },
        "history": [
            {
                "action": each.action_id,
                "time": rfc3339(each.time),
                "by": each.actor,
                "verb": each.verb,
                "comment": each.comment,
                "undone": each.outcome == 4,
                "before": STATUSES[each.before["status"]],
            }
            for each in past
        ],
    }


def _next(session: Session, wanted: "AlertFilter") -> int:
    from console.commands.alert import listed
    from store.triage import next_unclaimed

    with session.reader.reading() as connection:
        row = next_unclaimed(connection, wanted)
    if row is None:
        raise Problem("Nobody is needed: every alert of this queue has somebody.", code=1)
    session.show_object(listed(row))
    return 0


def _claim_next(session: Session, wanted: "AlertFilter") -> int:
    from console.commands.alert import listed
    from console.operations import triage as operations
    from store.queries.alerts import detail
    from store.triage import Selection, next_unclaimed

    while True:
        with session.reader.reading() as connection:
            row = next_unclaimed(connection, wanted)
        if row is None:
            raise Problem("Nobody is needed: every alert of this queue has somebody.", code=1)
        chosen = Selection(ids=(row.id,), versions={row.id: row.version})
        if operations.claim(session.store(), session.operator, chosen).changed:
            break
    with session.reader.reading() as connection:
        found = detail(connection, row.id)
    session.show_object(listed(found.row if found is not None else row))
    return 0


def _decide(session: Session, wanted_by: "Callable[[Session], AlertFilter]") -> int:
    from console.operations import triage as operations
    from console.operations.ports import Progress
    from store.triage import TriageError

    given = session.arguments
    verb: str = given.verb
    selection, by_filter = _selected(session, wanted_by)
    _ask(session, selection, by_filter)
    name, store = session.operator, session.store()
    common: dict[str, Any] = {"report": _reporting(session, Progress)}
    if verb != "note":
        common["comment"] = given.comment
    try:
        if verb == "claim":
            done = operations.claim(store, name, selection, acknowledge=not given.no_ack, **common)
        elif verb == "release":
            done = operations.release(store, name, selection, **common)
        elif verb == "assign":
            to = "" if given.to.lower() in ("none", "nobody") else given.to
            done = operations.assign(store, name, selection, to, **common)
        elif verb == "ack":
            done = operations.acknowledge(store, name, selection, held=given.held, **common)
        elif verb == "close":
            done = _close(session, selection, common)
        elif verb == "reopen":
            done = operations.reopen(store, name, selection, held=given.held, **common)
        elif verb == "snooze":
            done = operations.snooze(
                store, name, selection, until=_until(given.until), more=given.more, event=given.event or "",
                reason=common.pop("comment"), held=given.held, **common,
            )  # fmt: skip
        elif verb == "tag":
            done = operations.tag(store, name, selection, add=given.add, remove=given.remove, **common)
        else:
            done = operations.note(store, name, selection, given.text, **common)
    except TriageError as error:
        raise Problem(str(error), code=2) from error
    return _answer(session, done)


def _close(session: Session, selection: "Selection", common: dict[str, Any]) -> "Outcome":
    from console.operations import triage as operations
    from store.alerts import CLASSIFICATIONS

    given = session.arguments
    benign = given.classification == "benign"
    return operations.close(
        session.store(), session.operator, selection,
        1 if benign else CLASSIFICATIONS.index(given.classification),
        benign=benign, resolved=given.resolve, held=given.held, **common,
    )  # fmt: skip


def _reporting(session: Session, progress: Any) -> Callable[[Any], None]:
    def report(step: Any) -> None:
        session.progress(f"{step.done} of {step.total} alerts")

    return report


def _selected(session: Session, wanted_by: "Callable[[Session], AlertFilter]") -> "tuple[Selection, bool]":
    """The alerts that were named, or filtered with their versions, and whether a filter chose them.

    Raises:
        Problem: nothing, or two things, say which; or one is unknown; exit code 2.
    """
    from dataclasses import replace

    from console.commands.alert_folds import refuse_unknown
    from store.triage import Selection, TriageError, resolve

    given = session.arguments
    options = ("filter", "status", "severity", "since", "all")
    numbered = given.fold is not None or given.storm is not None
    filtered = numbered or any(getattr(given, name) for name in options)
    filtered = filtered or (given.organization and not given.ids)
    if bool(given.ids) == bool(filtered):
        which = "not both" if given.ids else "one of them"
        raise Problem(
            f"`alert {given.verb}` takes the ids of alerts, or --filter, --fold or --all: {which}.", code=2
        )
    if given.ids:
        return Selection(ids=tuple(_numbers(session, given.ids))), False
    wanted = wanted_by(session)
    if given.status is None and given.verb == "reopen" and "status:" not in given.filter.lower():
        wanted = replace(wanted, statuses=(3,))
    refuse_unknown(session, fold=given.fold, storm=given.storm)
    if given.fold is not None:
        wanted = replace(wanted, fold=given.fold)
    if given.storm is not None:
        wanted = replace(wanted, storm=given.storm)
    try:
        with session.reader.reading() as connection:
            return resolve(connection, Selection(wanted=wanted)), True
    except TriageError as error:
        raise Problem(str(error), code=2) from error


def _numbers(session: Session, detect_ids: Sequence[str]) -> list[int]:
    """The numbers in the store of alerts by their LimaCharlie ids."""
    from store.queries.alerts import by_detect_id

    oid = session.organization(session.arguments.organization) if session.arguments.organization else None
    numbers = []
    with session.reader.reading() as connection:
        for each in dict.fromkeys(detect_ids):
            found = [alert for alert in by_detect_id(connection, each) if oid in (None, alert.row.oid)]
            if not found:
                raise Problem(
                    f"There is no alert {shown(each)} in the store; nothing was changed. "
                    "`limegrove alert list` names them.",
                    code=2,
                )
            if len(found) > 1:
                named = ", ".join(alert.row.oid for alert in found)
                raise Problem(
                    f"{len(found)} organizations have an alert {shown(each)}: {named}. Give --org.",
                    code=2,
                )
            numbers.append(found[0].row.id)
    return numbers


def _ask(session: Session, selection: "Selection", by_filter: bool) -> None:
    """Have the operator agree where many alerts, or those of a protected organization, are about to change.

    Raises:
        Problem: they did not; exit code 5.
    """
    from store.triage import organizations

    given = session.arguments
    many = by_filter and len(selection.ids) > 1
    if not (many or given.verb == "close"):
        return
    with session.reader.reading() as connection:
        oids = organizations(connection, selection)
    session.refuse_unnamed(oids)
    if many:
        where = f"{len(oids)} organizations" if len(oids) != 1 else "1 organization"
        question = f"{given.verb} {len(selection.ids)} alerts of {where}?"
        if not session.ask(question[:1].upper() + question[1:]):
            raise Problem("Nothing was changed.", code=5)


def _until(text: str | None) -> int | None:
    from datetime import UTC, datetime

    from store.times import now_ms, parse_duration

    if text is None:
        return None
    now = now_ms()
    try:
        until = now + parse_duration(text) * 1000
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise Problem(
                f"--until {shown(text)}: use a duration such as 4h, or a time such as 2026-01-31T08:00.",
                code=2,
            ) from None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        until = int(moment.timestamp() * 1000)
    if until <= now:
        raise Problem(f"--until {shown(text)} has passed already.", code=2)
    return until


def _undo(session: Session) -> int:
    from console.operations import triage as operations
    from console.operations.caselinks import follow_undo
    from store.cases import reference
    from store.times import now_ms
    from store.triage import TriageError, undoable

    given = session.arguments
    action: int | None = given.action
    if action is None:
        with session.reader.reading() as connection:
            last = undoable(connection, session.operator, now=now_ms())
        if last is None:
            raise Problem("There is nothing of yours within the last hour to undo; give the action.", code=1)
        action = last.id
    ids = _numbers(session, given.only) if given.only else None
    try:
        done = operations.undo(session.store(), session.operator, action, ids=ids, comment=given.comment)
    except TriageError as error:
        raise Problem(str(error), code=2) from error
    held = follow_undo(session.store(), done.action_id)
    if held.alerts:
        named = ", ".join(f"{reference('', number)} of {oid}" for oid, number in held.cases[:5])
        more = f" and {len(held.cases) - 5} more" if len(held.cases) > 5 else ""
        session.say(
            f"{held.alerts} of them {'is' if held.alerts == 1 else 'are'} in progress and not new: the case "
            f"cannot go back to new ({named}{more})."
        )
    return _answer(session, done)


def _resume(session: Session) -> int:
    from console.operations import caselinks

    outcomes = caselinks.resume(session.store())
    session.show_rows([_told(done) for done in outcomes], footer=f"{len(outcomes)} decisions finished")
    _say_refused(session, [each for done in outcomes for each in done.refused])
    return 3 if any(done.refused for done in outcomes) else 0


def _answer(session: Session, done: "Outcome") -> int:
    """Print what a decision came to; 3 when part of it was refused, 5 when all of it was."""
    session.show_object(_told(done))
    if not done.refused:
        return 0
    _say_refused(session, done.refused)
    return 3 if done.changed else 5


def _say_refused(session: Session, refused: "Sequence[Refusal]") -> None:
    """Name each alert that was left alone, and why."""
    session.say_each(
        f"{each.detect_id or each.id}: {each.why}{f' ({each.who})' if each.who else ''}" for each in refused
    )


def _told(done: "Outcome") -> dict[str, Any]:
    from store.times import rfc3339

    return {
        "action": done.action_id or None,
        "changed": done.changed,
        "unchanged": done.unchanged,
        "organizations": dict(done.by_organization),
        "refused": [
            {
                "detect_id": each.detect_id,
                "oid": each.oid,
                "why": each.why,
                "who": each.who,
                "since": rfc3339(each.since),
            }
            for each in done.refused
        ],
    }
