"""`limegrove rollout`: what is to change in the configuration of organizations, and what became of it."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, safe
from console.commands.template_backtest import add_options as add_backtest_options

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from store.rollouts.keeping import Plan
    from store.rollouts.plans import Change, Drafted, Fold


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `rollout`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    plan = verbs.add_parser(
        "plan",
        help="what differs between what the templates want and what the organizations have",
        description="Compares what the templates of the tree want with what was last read of each "
        "organization of the scope, and keeps the differences as a plan. Nothing is written to the cloud. "
        "Exit codes: 0 nothing to change, 3 some organizations are blocked, 4 there is something to change.",
    )
    plan.add_argument("--title", metavar="TEXT", default="", help="what the plan is for")
    plan.add_argument(
        "--wave",
        metavar="WAVE",
        action="append",
        default=[],
        help="canary, a number, a share as 10%%, node:ID, rest; again for the next (canary, 10%%, rest)",
    )
    plan.add_argument(
        "--budget", metavar="N", type=int, default=0, help="steps of a wave that may fail before it halts (0)"
    )
    plan.add_argument(
        "--pause", metavar="DURATION", default="0s", help="how long to wait between two waves (0s)"
    )
    plan.add_argument(
        "--soak", metavar="DURATION", default="0s", help="how long a gate waits before it looks (0s)"
    )
    plan.add_argument("--check", action="store_true", help="only say what would be planned")
    apply = verbs.add_parser(
        "apply",
        help="bring a plan to its organizations, wave by wave, or carry on with it",
        description="Writes what the plan says: read, compared, written down, sent once, read back. The next "
        "wave begins only when the gate behind the last one passes. Exit codes: 0 all of it, 3 some failed, "
        "or it halted or paused, 5 refused (stale, protected, read-only, not approved).",
    )
    apply.add_argument("plan", metavar="PLAN", type=int)
    apply.add_argument(
        "--confirm",
        metavar="PHRASE",
        default="",
        help="a protected organization's name or oid, or what is asked for",
    )
    apply.add_argument(
        "--soak", metavar="DURATION", default="0s", help="how long a gate waits at least before it looks (0s)"
    )
    resume = verbs.add_parser(
        "resume",
        help="carry on with a plan that was cut off, paused or halted",
        description="Goes on where a plan stands; what was sent is looked at before anything is sent again. "
        "What failed and left nothing behind is tried once more. Exit codes as of `rollout apply`.",
    )
    resume.add_argument("plan", metavar="PLAN", type=int)
    resume.add_argument(
        "--accept",
        action="store_true",
        help="you have looked at the wave whose gate could not tell, and take it for good; once",
    )
    past = verbs.add_parser(
        "backtest",
        help="the rules of a plan over each organization's last days, through replay; its price first",
        description="Runs the rules that a plan adds or changes over the last days of the organizations "
        "that get them, through LimaCharlie's replay, which bills by the event. What came of it is kept with "
        "the plan, in place of an older one: a wave with an outlier does not begin. Exit codes: 0 done, "
        "1 none could be asked, 3 some could not or are outliers (named), 5 not agreed to, or stale.",
    )
    past.add_argument("plan", metavar="PLAN", type=int)
    add_backtest_options(past)
    pause = verbs.add_parser(
        "pause",
        help="ask whoever rolls a plan out to pause behind the step at hand",
        description="The step at hand is finished, and what is left waits for `rollout resume`. Exit codes: "
        "0 asked, 5 nobody rolls it out.",
    )
    pause.add_argument("plan", metavar="PLAN", type=int)
    approve = verbs.add_parser(
        "approve",
        help="sign a risky plan as a second person, with an OpenSSH key",
        description="Signs the hash of a plan with `ssh-keygen`. Who may approve stands in the "
        "allowed-signers file of the settings.",
    )
    approve.add_argument("plan", metavar="PLAN", type=int)
    approve.add_argument(
        "--identity", metavar="EMAIL", help="as the allowed-signers file names it (the operator)"
    )
    approve.add_argument("--key", metavar="FILE", help="the private key; a public one where an agent has it")
    approve.add_argument(
        "--for", dest="lasts", metavar="DURATION", default="4h", help="how long it holds (4h)"
    )
    back = verbs.add_parser(
        "rollback",
        help="a plan that takes back what another one did; `rollout apply` carries it out",
        description="Drafts the plan that brings records back to what they were before: all of them, or "
        "those of some organizations, of a wave, or some records. It is applied like any other.",
    )
    back.add_argument("plan", metavar="PLAN", type=int)
    back.add_argument(
        "--org", metavar="OID|NAME", action="append", default=[], help="only of this; again for more"
    )
    back.add_argument("--wave", metavar="N", type=int, help="only of this wave")
    back.add_argument(
        "--record", metavar="RECORD", action="append", default=[], help="only this one, as hives/fp/NAME"
    )
    verbs.add_parser("list", help="the plans, newest first")
    status = verbs.add_parser("status", help="a plan: its waves, its changes, how far it has come")
    status.add_argument("plan", metavar="PLAN", type=int)


def run(session: Session) -> int:
    """Do what the verb says."""
    verb: str = session.arguments.verb
    return {
        "plan": _plan, "backtest": _backtest, "approve": _approve, "apply": _apply, "resume": _apply,
        "pause": _pause, "rollback": _rollback, "list": _list, "status": _status,
    }[verb](session)  # fmt: skip


def _plan(session: Session) -> int:
    from store.rollouts import keeping, plans
    from store.rollouts.waves import WaveError, check
    from store.times import now_ms

    given = session.arguments
    try:
        check(given.wave)
    except WaveError as error:
        raise Problem(str(error), code=2) from error
    if given.budget < 0:
        raise Problem("--budget: no fewer than 0 steps may fail.", code=2)
    options = {
        "budget": given.budget,
        "pause": _seconds("--pause", given.pause),
        "soak": _seconds("--soak", given.soak),
    }
    key, now = session.redaction_key(), now_ms()
    with session.reader.reading() as connection:
        mark = plans.newest_record(connection)
        drafted = plans.drafted(connection, scope=session.scope(), key=key)
        folds = [_fold(connection, drafted, each, key) for each in drafted.folds]
    plan_id = None
    if drafted.changes and not given.check:
        session.refuse_read_only("rollout plan")
        with session.store().writing() as connection:
            plans.remember(connection, drafted, now=now, mark=mark)
            plan_id = keeping.keep(
                connection,
                drafted,
                title=given.title or "Rollout",
                by=session.operator,
                now=now,
                words=given.wave,
                options=options,
            )
    elif not session.settings.read_only:
        with session.store().writing() as connection:
            plans.remember(connection, drafted, now=now, mark=mark)
    blocked = [{"oid": oid, "reason": reason} for oid, reason in drafted.blocked]
    session.show_object(
        {
            "plan": plan_id,
            "hash": drafted.hash,
            "organizations": len(drafted.organizations),
            "folds": folds,
            "blocked": blocked,
            "risks": plans.risks(drafted.changes),
        },
        rows=list(_rows(folds)),
        columns=("organizations", "class", "record", "diff"),
    )
    touched = len({each.oid for each in drafted.changes})
    session.say(
        f"{touched:,} of {len(drafted.organizations):,} organizations would change, in {len(folds):,} ways; "
        f"{len(blocked):,} are blocked" + (f"; plan {plan_id}" if plan_id is not None else "")
    )
    for each in blocked[:20]:
        name = drafted.organizations.get(each["oid"], each["oid"])
        session.say(f"Blocked: {safe(name)}: {each['reason']}")
    return 4 if drafted.changes else 3 if blocked else 0


def _fold(connection: "Connection", drafted: "Drafted", fold: "Fold", key: bytes) -> dict[str, Any]:
    return {
        "count": len(fold.oids),
        "oids": list(fold.oids),
        "changes": [
            {
                "section": each.section,
                "name": each.name,
                "class": each.change,
                "destructive": each.destructive,
                "template": each.after.template if each.after else None,
                "version": each.after.version if each.after else None,
                "diff": _diff(connection, drafted, each, key),
            }
            for each in fold.changes
        ],
    }


def _diff(connection: "Connection", drafted: "Drafted", change: "Change", key: bytes) -> list[str]:
    """How a record differs, in words; secrets as the end of their digests."""
    from store.rollouts.contents import before_of, wanted_of
    from store.rollouts.diff import differences

    if change.change in ("added", "removed"):
        return []
    before, before_metadata = before_of(connection, change)
    after, after_metadata = wanted_of(drafted.placed[change.oid], change, key)
    found = differences(before, after)
    if change.after is not None and change.after.metadata is not None:
        found += differences(before_metadata, after_metadata)
    return [each.words for each in found]


def _rows(folds: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for fold in folds:
        for change in fold["changes"]:
            yield {
                "organizations": fold["count"],
                "class": f"{change['class']}!" if change["destructive"] else change["class"],
                "record": f"{change['section']}/{change['name']}",
                "diff": "; ".join(change["diff"]),
            }


def _backtest(session: Session) -> int:
    from console.commands.template_backtest import ask, check, outliers, show
    from console.operations import backtest
    from store.rollouts import backtests
    from store.rollouts.keeping import PlanError
    from store.times import now_ms

    given = session.arguments
    check(session)
    key = session.redaction_key()
    try:
        with session.reader.reading() as connection:
            jobs, unable = backtest.jobs_of_plan(connection, given.plan, key=key, now=now_ms())
    except PlanError as error:
        raise Problem(str(error), code=2) from error
    except backtest.Stale as error:
        raise Problem(str(error), code=5) from error
    for name in unable:
        session.say(f"{safe(name)} is left out: replay keeps nothing of what it looks at.")
    if not jobs:
        raise Problem(f"Plan {given.plan} adds and changes no rule that replay can run.", code=2)
    quotes, found = session.run(ask(session, jobs, f"plan {given.plan}"))
    odd = outliers(session, found)
    if not given.estimate:
        kept = backtest.kept(quotes, found, odd, jobs=jobs, days=given.days, now=now_ms())
        with session.store().writing() as connection:
            backtests.keep(connection, given.plan, kept)
    return show(session, {"plan": given.plan}, quotes, found, odd)


def _approve(session: Session) -> int:
    from console.operations.approvals import Refused, keep, sign
    from store.rollouts.keeping import PlanError, load
    from store.times import now_ms, parse_duration, rfc3339

    given = session.arguments
    session.refuse_read_only("rollout approve")
    identity = given.identity or session.operator
    if not given.key:
        raise Problem("`rollout approve` needs --key, the OpenSSH key that signs.", code=2)
    signers = session.settings.allowed_signers
    if signers is None:
        raise Problem("No allowed-signers file is set: `allowed_signers` in the settings names it.", code=5)
    try:
        lasts = parse_duration(given.lasts) * 1000
    except ValueError as error:
        raise Problem(f"--for: {error}", code=2) from error
    store, now = session.store(), now_ms()
    # To the second, as the signed text says it.
    expires_at = (now + lasts) // 1000 * 1000
    try:
        with session.reader.reading() as connection:
            plan = load(connection, given.plan)
        signature = sign(plan, identity, Path(given.key), expires_at=expires_at)
        found = keep(
            plan.id, identity, signature, signers=signers, store=store, expires_at=expires_at, now=now
        )
    except PlanError as error:
        raise Problem(str(error), code=2) from error
    except Refused as error:
        raise Problem(str(error), code=5) from error
    session.show_object(
        {
            "plan": found.plan_id,
            "hash": plan.hash,
            "identity": found.identity,
            "expires_at": rfc3339(found.expires_at),
        }
    )
    return 0


def _apply(session: Session) -> int:
    import asyncio

    from console.operations.approvals import lacking
    from console.operations.gates import Bounds, CloudGates
    from console.operations.rollouts import Outcome, Refused, apply
    from console.process import ending_on_signals
    from store.queries.queue import names_of
    from store.rollouts.keeping import PlanError, load
    from store.times import now_ms

    given = session.arguments
    session.refuse_read_only(f"rollout {given.verb}")
    soak = _seconds("--soak", getattr(given, "soak", "0s"))
    store, key = session.store(), session.redaction_key()
    try:
        with session.reader.reading() as connection:
            plan = load(connection, given.plan)
    except PlanError as error:
        raise Problem(str(error), code=2) from error
    if given.verb == "resume" and plan.state == "draft":
        raise Problem(f"Plan {plan.id} has not begun: `limegrove rollout apply {plan.id}`.", code=5)
    question = (
        f"{'Carry on with' if given.verb == 'resume' else 'Apply'} plan {plan.id} ({safe(plan.title)})?"
    )
    code: int | None = None

    async def go() -> "Outcome":
        nonlocal code
        stop = asyncio.Event()
        with ending_on_signals(asyncio.get_running_loop(), stop.set) as ending:
            try:
                return await roll(stop)
            finally:
                code = ending.exit_code

    async def roll(stop: asyncio.Event) -> "Outcome":
        async with session.cloud() as cloud:
            applying = {session.operator, (await cloud.who()).ident}
            gates = CloudGates(store=store, cloud=cloud, bounds=Bounds(soak=soak), clock=now_ms)
            return await apply(
                plan.id,
                store=store,
                cloud=cloud,
                key=key,
                operator=session.operator,
                gates=gates,
                confirm=getattr(given, "confirm", ""),
                stop=stop,
                accept=getattr(given, "accept", False),
                approved=lambda c, plan: lacking(
                    c, plan, signers=session.settings.allowed_signers, applying=applying, now=now_ms()
                ),
                report=lambda step: session.progress(f"{step.note} {step.done}/{step.total}"),
            )

    if not session.ask(question):
        raise Problem("Nothing was sent.", code=5)
    try:
        outcome = session.run(go())
    except Refused as error:
        raise Problem(str(error), code=5) from error
    session.show_object(
        {
            "plan": outcome.plan_id,
            "state": outcome.state,
            "applied": outcome.applied,
            "failed": [
                {"oid": oid, "record": record, "reason": reason} for oid, record, reason in outcome.failed
            ],
            "halted": outcome.halted or None,
        }
    )
    if outcome.failed:
        with session.reader.reading() as connection:
            called = names_of(connection, {oid for oid, _, _ in outcome.failed})
        session.say_each(f"{called[oid]}: {record}: {reason}" for oid, record, reason in outcome.failed)
    if outcome.halted:
        session.say(f"Halted: {outcome.halted}")
    return code if code is not None else 0 if outcome.whole else 3


def _pause(session: Session) -> int:
    from console.operations.rollouts import Refused, pause
    from store.rollouts.keeping import PlanError
    from store.times import now_ms

    number: int = session.arguments.plan
    session.refuse_read_only("rollout pause")
    try:
        pause(number, store=session.store(), operator=session.operator, now=now_ms())
    except PlanError as error:
        raise Problem(str(error), code=2) from error
    except Refused as error:
        raise Problem(str(error), code=5) from error
    session.show_object({"plan": number, "asked": True})
    return 0


def _seconds(option: str, text: str) -> int:
    """A duration that was given.

    Raises:
        Problem: it is none; exit code 2.
    """
    from store.times import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise Problem(f"{option}: {error}", code=2) from error


def _rollback(session: Session) -> int:
    from store.rollouts.keeping import PlanError, load, planned_waves, undoing
    from store.times import now_ms

    given = session.arguments
    session.refuse_read_only("rollout rollback")
    oids = frozenset(session.organization(each) for each in given.org) or None
    try:
        with session.store().writing() as connection:
            made = undoing(
                connection,
                given.plan,
                by=session.operator,
                now=now_ms(),
                oids=oids,
                wave=given.wave,
                records=frozenset(given.record) or None,
            )
            plan, waves = load(connection, made), planned_waves(connection, made)
    except PlanError as error:
        raise Problem(str(error), code=2) from error
    session.show_object(
        _shown(plan) | {"organizations": sum(each.organizations for each in waves)},
    )
    return 0


def _list(session: Session) -> int:
    from store.rollouts.keeping import listed

    with session.reader.reading() as connection:
        found = listed(connection)
    session.show_rows(
        [_shown(each) for each in found],
        columns=("plan", "title", "state", "by", "created_at", "expires_at"),
        footer=f"{len(found):,} plans",
    )
    return 0


def _shown(plan: "Plan") -> dict[str, Any]:
    from store.times import rfc3339

    return {
        "plan": plan.id,
        "title": plan.title,
        "state": plan.state,
        "scope": plan.scope,
        "hash": plan.hash,
        "by": plan.by,
        "created_at": rfc3339(plan.created_at),
        "expires_at": rfc3339(plan.expires_at),
        "approved_by": plan.approved_by or None,
        "undo_of": plan.undo_of,
        "options": {
            name: value for name, value in plan.options.items() if name not in ("pause_asked", "backtest")
        },
        "backtest": plan.options.get("backtest"),
        "risks": list(plan.risks),
        "blocked": [{"oid": oid, "reason": reason} for oid, reason in plan.blocked],
        "said": plan.said,
    }


def _status(session: Session) -> int:
    from store.rollouts.keeping import PlanError, load, planned_waves, steps

    with session.reader.reading() as connection:
        try:
            plan = load(connection, session.arguments.plan)
        except PlanError as error:
            raise Problem(str(error), code=2) from error
        waves = planned_waves(connection, plan.id)
        listed = [
            {
                "seq": each.seq,
                "wave": each.wave,
                "oid": each.change.oid,
                "record": each.change.what,
                "class": each.change.change,
                "destructive": each.change.destructive,
                "outcome": each.outcome,
                "error": each.error or None,
            }
            for each in steps(connection, plan.id)
        ]
    session.show_object(
        _shown(plan)
        | {
            "waves": [
                {
                    "number": each.number,
                    "name": each.name,
                    "state": each.state,
                    "organizations": each.organizations,
                    "outcomes": dict(each.counts),
                    "gate": dict(each.gate),
                }
                for each in waves
            ],
            "steps": listed,
        },
        rows=[
            {
                "wave": each.name,
                "state": each.state,
                "organizations": each.organizations,
                "outcomes": ", ".join(f"{number:,} {word}" for word, number in sorted(each.counts.items())),
            }
            for each in waves
        ],
        columns=("wave", "state", "organizations", "outcomes"),
    )
    if session.output == "table":
        session.say(f"Plan {plan.id}: {plan.state}. {plan.said}".rstrip())
    return 0
