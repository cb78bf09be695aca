"""`limegrove access plan|stage|apply`: what is to change about access, planned, shown, approved, applied."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from console.commands import access_findings, access_roles
from console.commands.session import Problem, Session, safe
from store.access import counted

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from console.operations.accessplans import Outcome
    from store.accesschanges import AccessChange
    from store.accesslines import Names
    from store.accessplans import Plan, Step

HAS_CHANGES = 4
"""Exit code of `--check` when there is something to change."""
LATEST = 50
"""Plans that `--list` names unless --limit says otherwise."""

LINES = (
    "A LINE is one of: grant EMAIL PERMISSION ORG, revoke EMAIL PERMISSION ORG, add-user EMAIL ORG, "
    "remove-user EMAIL ORG, join EMAIL GROUP, leave EMAIL GROUP, own EMAIL GROUP, disown EMAIL GROUP, "
    "hold ORG GROUP, drop ORG GROUP, give PERMISSION GROUP, take PERMISSION GROUP, new-group NAME, "
    "delete-group GROUP, delete-key HASH ORG. ORG and GROUP are an id or a name that is one's alone; a name "
    "with spaces is quoted; new:NAME is the group that a new-group makes."
)


def configure(verbs: Any) -> None:
    """Add `plan`, `stage` and `apply` to the verbs of `access`."""
    plan = verbs.add_parser(
        "plan",
        help="draft a plan of changes, show it, list plans, or plan to take one back",
        description=LINES,
    )
    add_sources(plan)
    plan.add_argument("--title", metavar="TEXT", default="", help="what it is for, as lists call it")
    plan.add_argument(
        "--check",
        action="store_true",
        help="only show what would change; exit code 4 when anything would, 0 when nothing",
    )
    plan.add_argument("--list", action="store_true", help="the latest plans")
    plan.add_argument("--limit", metavar="N", type=int, default=LATEST, help="how many --list names")
    plan.add_argument("--show", metavar="PLAN", type=int, help="one of them, and what came of each change")
    plan.add_argument("--drop", metavar="PLAN", type=int, help="put a draft away")
    stage = verbs.add_parser("stage", help="put changes aside for your next plan", description=LINES)
    steps = stage.add_subparsers(dest="step", metavar="STEP", required=True)
    add = steps.add_parser("add", help="put changes aside", description=LINES)
    add.add_argument("lines", metavar="LINE", nargs="+", help="such as 'join kim@acme.example Analysts'")
    steps.add_parser("list", help="what is put aside")
    drop = steps.add_parser("drop", help="forget changes that are put aside")
    drop.add_argument("lines", metavar="LINE", nargs="*", help="as `stage list` names them")
    drop.add_argument("--all", action="store_true", help="all of them")
    apply = verbs.add_parser(
        "apply", help="make the changes of a plan, or carry on with one that was cut off"
    )
    apply.add_argument("plan", metavar="PLAN", type=int, help="its number")
    apply.add_argument(
        "--confirm",
        metavar="PHRASE",
        default="",
        help="for protected organizations: the name or oid of one, or `N protected organizations`",
    )


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add what changes can come from; `collect` reads it."""
    parser.add_argument(
        "--change",
        metavar="LINE",
        action="append",
        default=[],
        help="such as 'join kim@acme.example Analysts'; the option may be repeated",
    )
    parser.add_argument("--staged", action="store_true", help="the changes that you have put aside")
    parser.add_argument(
        "--finding",
        metavar="ID",
        action="append",
        default=[],
        help="what takes a finding away; the option may be repeated",
    )
    parser.add_argument("--undo", metavar="PLAN", type=int, help="what takes back what a plan did")
    access_roles.add_file(parser)


def collect(session: Session, *, keep: bool) -> "tuple[list[AccessChange], str, str]":
    """The changes from everywhere that was named.

    Args:
        keep: a plan is made of them.

    Returns:
        (changes in the order of a plan, where they come from as `AccessPlan.source` says it, a title).

    Raises:
        Problem: something cannot be understood or is not there, or nothing was named; exit code 2.
    """
    from store.accesschanges import ordered
    from store.accessplans import PlanError, load, staged, undoing

    given = session.arguments
    changes: list[AccessChange] = []
    sources: list[tuple[str, str]] = []
    with session.reader.reading() as connection:
        if given.change:
            changes += [_parsed(line, connection, "--change") for line in given.change]
            sources.append(("", f"{len(given.change)} named"))
        if given.staged:
            mine = staged(connection, session.operator)
            if not mine:
                raise Problem(
                    "Nothing is staged; `limegrove access stage add` stages changes, as space does in the "
                    "matrix.",
                    code=2,
                )
            changes += mine
            sources.append(("staged", "what was staged"))
        if given.undo is not None:
            try:
                changes += undoing(connection, given.undo)
            except PlanError as error:
                raise Problem(str(error), code=2) from error
            sources.append((f"undo:{given.undo}", f"undo of plan {given.undo}"))
            keys = sum(
                step.change.kind == "delete_key" and step.outcome == "done"
                for step in load(connection, given.undo).steps
            )
            if keys:
                session.say(f"{counted(keys, 'key')} that it deleted cannot come back.")
    for wanted in given.finding:
        changes += access_findings.remedy_of(session, wanted)
        sources.append((f"finding:{wanted}", f"remedy of {wanted}"))
    if given.file:
        found = access_roles.from_file(session, given.file, keep=keep)
        changes += found.changes
        sources.append((found.source, f"access file {given.file}"))
    if not sources:
        raise Problem(
            "A plan of what? Give --change LINE, --staged, --file FILE, --finding ID or --undo PLAN; "
            "--list and --show name plans that are there.",
            code=2,
        )
    # Of an access file it is remembered which one, whatever else is planned with it.
    source = found.source if given.file else next((each for each, _ in sources if each), "")
    return ordered(changes), source, given.title or ", ".join(title for _, title in sources)


def _parsed(line: str, connection: "Connection", option: str) -> "AccessChange":
    from store.accesslines import LineError, parse

    try:
        return parse(line, connection)
    except LineError as error:
        raise Problem(f"{option} {error} Nothing was changed.".strip(), code=2) from None


# plan


def plan(session: Session) -> int:
    """Draft a plan, or show what is there."""
    given = session.arguments
    _one_of(session)
    if given.list:
        return _list(session)
    if given.show is not None:
        return _show(session, given.show)
    if given.drop is not None:
        return _drop(session, given.drop)
    return _check(session) if given.check else _draft(session)


def _one_of(session: Session) -> None:
    given = session.arguments
    named = [
        name
        for name, there in (
            ("--list", given.list),
            ("--show", given.show is not None),
            ("--drop", given.drop is not None),
        )
        if there
    ]
    makes = bool(given.change or given.staged or given.finding or given.file or given.undo is not None)
    if len(named) > 1 or (named and (makes or given.check)):
        raise Problem(f"{named[0]} goes with no other option of `access plan`.", code=2)
    if given.limit < 1:
        raise Problem("--limit is at least 1.", code=2)


def _check(session: Session) -> int:
    from store import accesslines, accessplans

    changes, _, title = collect(session, keep=False)
    with session.reader.reading() as connection:
        try:
            steps = accessplans.preview(connection, changes)
        except accessplans.PlanError as error:
            raise Problem(str(error), code=2) from error
        oids = accessplans.touched(connection, [step.change for step in steps])
        names = _names(connection, steps, oids)
        protected = accessplans.protected(connection, oids)
    session.show_object(
        {
            "plan": None,
            "title": title,
            "organizations": _shown_organizations(sorted(oids), dict(protected), names),
            "confirm": accessplans.phrase(protected) or None,
            "steps": [shown_step(step, names) for step in steps],
        },
        rows=[{"change": accesslines.words(step.change, names)} for step in steps],
        columns=("change",),
    )
    if not steps:
        session.say("Everything is so already; there is nothing to change.")
        return 0
    session.say(
        f"{counted(len(steps), 'change')} on {counted(len(oids), 'organization')}; nothing was planned."
    )
    return HAS_CHANGES


def _draft(session: Session) -> int:
    from store import accessplans
    from store.times import now_ms

    session.refuse_read_only("access plan")
    changes, source, title = collect(session, keep=True)
    try:
        with session.store().writing() as connection:
            plan_id = accessplans.draft(
                connection, changes, title=title, by=session.operator, now=now_ms(), source=source
            )
    except accessplans.NothingToDo as error:
        session.show_object({"plan": None, "title": title, "steps": []}, rows=[])
        session.say(str(error))
        return 0
    except accessplans.PlanError as error:
        raise Problem(str(error), code=2) from error
    found = _print(session, plan_id)
    confirm = f" --confirm {_quoted(found.phrase)}" if found.phrase else ""
    session.say(
        f"Plan {plan_id}: {counted(len(found.steps), 'change')} on "
        f"{counted(len(found.organizations), 'organization')}; nothing was changed yet. "
        f"`limegrove access apply {plan_id}{confirm}` makes them, for an hour from now."
    )
    return 0


def _list(session: Session) -> int:
    from store.accessplans import plans
    from store.times import rfc3339

    with session.reader.reading() as connection:
        found = plans(connection, limit=session.arguments.limit)
    session.show_rows(
        [
            {
                "plan": row.id,
                "title": row.title,
                "source": row.source,
                "state": row.state,
                "changes": row.steps,
                "as_wanted": row.good,
                "organizations": row.organizations,
                "by": row.by,
                "created_at": rfc3339(row.created_at),
                "expires_at": rfc3339(row.expires_at),
                "finished_at": rfc3339(row.finished_at),
            }
            for row in found
        ],
        columns=("plan", "title", "state", "changes", "as_wanted", "by", "created_at"),
    )
    return 0


def _show(session: Session, plan_id: int) -> int:
    from console.operations.accessplans import sentence

    found = _print(session, plan_id)
    if found.state != "draft":
        session.say(sentence(found, ()))
    return 0


def _drop(session: Session, plan_id: int) -> int:
    from store.accessplans import drop
    from store.times import now_ms

    session.refuse_read_only("access plan --drop")
    found = _loaded(session, plan_id)
    with session.store().writing() as connection:
        dropped = drop(connection, plan_id, now=now_ms())
    if not dropped:
        raise Problem(f"Plan {plan_id} is no draft: it is {found.state}. Nothing was changed.", code=5)
    session.say(f"Plan {plan_id} was put away.")
    return 0


# stage


def stage(session: Session) -> int:
    """Put changes aside, list them, or forget them."""
    from store import accessplans
    from store.accesslines import line, names, words
    from store.times import now_ms

    given, who = session.arguments, session.operator
    if given.step != "list":
        session.refuse_read_only(f"access stage {given.step}")
    if given.step == "add":
        with session.reader.reading() as connection:
            changes = [_parsed(each, connection, "") for each in given.lines]
        with session.store().writing() as connection:
            new = accessplans.stage(connection, who, changes, now=now_ms())
            total = len(accessplans.staged(connection, who))
        session.say(
            f"{counted(new, 'change')} staged, {total:,} in all; `limegrove access plan --staged` plans them."
        )
    elif given.step == "drop":
        if given.all == bool(given.lines):
            raise Problem("Give the lines to forget, or --all; nothing was changed.", code=2)
        with session.reader.reading() as connection:
            changes = [_parsed(each, connection, "") for each in given.lines]
        with session.store().writing() as connection:
            gone = accessplans.unstage(connection, who, None if given.all else changes)
            total = len(accessplans.staged(connection, who))
        if not gone:
            raise Problem("That is not staged; `limegrove access stage list` names what is.", code=2)
        session.say(f"{counted(gone, 'change')} forgotten, {total:,} left.")
    with session.reader.reading() as connection:
        mine = accessplans.staged(connection, who)
        called = names(connection, mine)
    session.show_rows(
        [{"line": line(each), "change": words(each, called), **_ids(each)} for each in mine],
        columns=("change", "line"),
    )
    return 0


# apply


def apply(session: Session) -> int:
    """Make the changes of a plan."""
    from console.operations import accessplans as operations
    from store import accessplans

    given = session.arguments
    session.refuse_read_only("access apply")
    found = _loaded(session, given.plan)
    who = session.operator
    confirm = given.confirm
    if found.state == "draft":
        _summary(session, found)
        if found.protected:
            confirm = confirm or _typed(session, found)
            if not accessplans.confirmed(found.protected, confirm):
                raise Problem(_not_the_name(found), code=5)
        if not session.ask(f"Apply plan {found.id}, {counted(len(found.steps), 'change')}?"):
            raise Problem("Nothing was changed; the plan stays a draft.", code=5)

    async def do() -> "Outcome":
        # What is cut off is carried on with by whoever connects: of this one it is told what comes of it.
        async with session.cloud(deadlines=found.state != "applying") as cloud:
            return await operations.apply(
                found.id, store=session.store(), cloud=cloud, operator=who, confirm=confirm,
                report=session.report,
            )  # fmt: skip

    try:
        outcome = session.run(do())
    except operations.Refused as error:
        raise Problem(str(error), code=5) from error
    except accessplans.PlanError as error:
        raise Problem(str(error), code=2) from error
    good = [step.change for step in outcome.steps if step.outcome in ("done", "already")]
    with session.store().writing() as connection:
        accessplans.unstage(connection, who, good)
    _print(session, found.id, outcome)
    for what, name, why in outcome.failed:
        session.say(f"{name}: {safe(what)}: {safe(why) or name}")
    session.say(outcome.sentence)
    if outcome.state == "applying":
        session.say(f"`limegrove access apply {found.id}` carries on where it was cut off.")
    return code_of(outcome)


def code_of(outcome: "Outcome") -> int:
    """The exit code for what a plan came to: 0 all, 3 a part, 5 the credential may do none of it, else 1."""
    if outcome.whole:
        return 0
    if any(step.outcome in ("done", "already") for step in outcome.steps):
        return 3
    bad = {step.outcome for step in outcome.steps}
    return 5 if "denied" in bad and bad <= {"denied", "held back"} else 1


def _summary(session: Session, found: "Plan") -> None:
    from store.accesslines import names, words

    with session.reader.reading() as connection:
        called = names(connection, [step.change for step in found.steps[:10]])
    for step in found.steps[:10]:
        session.say(f"  {words(step.change, called)}")
    if len(found.steps) > 10:
        session.say(
            f"  ... and {len(found.steps) - 10:,} more; `access plan --show {found.id}` names them all."
        )
    session.say(
        f"Plan {found.id}, {safe(found.title)}: {counted(len(found.steps), 'change')} on "
        f"{counted(len(found.organizations), 'organization')}."
    )


def _typed(session: Session, found: "Plan") -> str:
    """What somebody types for protected organizations.

    Raises:
        Problem: nobody is there to type; exit code 5.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Problem(_not_the_name(found), code=5)
    session.clear_progress()
    print(f"It touches what is protected. Type `{safe(found.phrase)}`: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _not_the_name(found: "Plan") -> str:
    named = ", ".join(safe(name) for _, name in found.protected[:5])
    return (
        f"Plan {found.id} touches what is protected ({named}): give --confirm {_quoted(found.phrase)}"
        f"{found.or_id}. "
        "Nothing was sent."
    )


# As JSON


def _loaded(session: Session, plan_id: int) -> "Plan":
    from store.accessplans import UnknownThing, load

    with session.reader.reading() as connection:
        try:
            return load(connection, plan_id)
        except UnknownThing as error:
            raise Problem(str(error), code=2) from error


def _print(session: Session, plan_id: int, outcome: "Outcome | None" = None) -> "Plan":
    """Show a plan as it is now."""
    from store.accesslines import words

    found = _loaded(session, plan_id)
    with session.reader.reading() as connection:
        names = _names(connection, found.steps, found.organizations)
    rows = [
        {
            "step": step.seq,
            "change": words(step.change, names),
            "outcome": step.outcome,
            "why": step.error,
        }
        for step in found.steps
    ]
    shown = shown_plan(found, names)
    if outcome is not None:
        shown |= {"said": outcome.sentence, "trouble": outcome.trouble or None}
    columns = ("step", "change") if found.state == "draft" else ("step", "change", "outcome", "why")
    session.show_object(shown, rows=rows, columns=columns)
    return found


def shown_plan(plan: "Plan", names: "Names") -> dict[str, Any]:
    """A plan as `access plan` and `access apply` print it.

    Returns:
        `{plan, title, source, state, ..., confirm, counts, organizations: [{oid, name, protected}], steps}`;
        `confirm` is what has to be typed, null for nothing.
    """
    from store.times import rfc3339

    return {
        "plan": plan.id,
        "title": plan.title,
        "source": plan.source,
        "state": plan.state,
        "by": plan.by,
        "created_at": rfc3339(plan.created_at),
        "expires_at": rfc3339(plan.expires_at),
        "approved_by": plan.approved_by or None,
        "approved_at": rfc3339(plan.approved_at),
        "finished_at": rfc3339(plan.finished_at),
        "hash": plan.hash,
        "confirm": plan.phrase or None,
        "counts": plan.counts,
        "organizations": _shown_organizations(plan.organizations, dict(plan.protected), names),
        "steps": [shown_step(step, names) for step in plan.steps],
    }


def shown_step(step: "Step", names: "Names") -> dict[str, Any]:
    """A change of a plan: `{step, kind, line, words, oid?, gid?, ..., before, outcome, error}`."""
    from store.accesslines import line, words

    shown = {
        "step": step.seq,
        "kind": step.change.kind,
        "line": line(step.change),
        "words": words(step.change, names),
        **_ids(step.change),
        "before": dict(step.before),
        "outcome": step.outcome,
        "error": step.error or None,
    }
    return shown | ({"made": step.made} if step.made else {})


def _ids(change: "AccessChange") -> dict[str, str]:
    named = {
        "oid": change.oid,
        "gid": change.gid,
        "principal": change.principal,
        "permission": change.permission,
    }
    return {name: value for name, value in named.items() if value}


def _shown_organizations(
    oids: "tuple[str, ...] | list[str]", protected: dict[str, Any], names: "Names"
) -> list[dict[str, Any]]:
    return [{"oid": oid, "name": names.organization(oid), "protected": oid in protected} for oid in oids]


def _names(connection: "Connection", steps: "tuple[Step, ...]", oids: Any) -> "Names":
    from store.accesschanges import AccessChange
    from store.accesslines import names

    touched = [AccessChange("add_org", oid=oid) for oid in oids]
    return names(connection, [*(step.change for step in steps), *touched])


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(safe(text))
