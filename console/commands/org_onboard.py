"""`limegrove org create|onboard|install`: new customers, one or a file of hundreds, checked step by step."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.org_runs import keep_and_make
from console.commands.session import Problem, Session, safe, shown

if TYPE_CHECKING:
    from console.operations.runs import Result
    from store.onboarding import Judged, Known, Row, Wrong
    from store.runs import Planned

WAIT = 120
"""Seconds that a smoke test waits for its detection."""
LIMIT = 6_000_000
"""Bytes of a file that are read at all; what a file may have is said in `store.onboarding`."""
NAMED = 3
"""Organizations that a question names before it counts the others."""
SHOWN = 20
"""Organizations that a dry run names in words; JSON has all."""

OPTIONS = {
    "region": ("REGION", "where its data are: usa, canada, europe, uk, india, australia, auto"),
    "node": ("NODE", "the node of the tree that it is put below; the root unless given"),
    "id": ("ID", "of its own node; made of its name unless given"),
    "tier": ("TIER", "the label tier"),
    "labels": ("NAME=VALUE;...", "labels of its node"),
    "parameters": ("NAME=VALUE;...", "parameters of its node, which its templates use"),
    "marks": ("MARK;...", "protected, frozen, canary, leaving"),
    "sla": ("SEVERITY=TIMES;...", "such as critical=15m/4h"),
    "quota": ("N", "sensors"),
    "templates": ("NAME;...", "laid on its own node, behind those of the nodes above"),
    "groups": ("GROUP;...", "that hold for it, by name or gid"),
    "owners": ("ADDRESS;...", "shared accounts of the provider, made owners"),
    "users": ("ADDRESS:ROLE;...", "of the customer, invited where LimaCharlie does not know them"),
    "installation_keys": ("PLATFORM[:TAG+TAG];...", "windows, linux, macos, chrome, adapter"),
    "extensions": ("NAME;...", "to subscribe to"),
    "outputs": ("'NAME MODULE STREAM OPTION=VALUE ...';...", "where detections or events go"),
    "contacts": ("'NAME|ROLE|MAIL|PHONE';...", "in the order of escalation"),
    "time_zone": ("ZONE", "such as Europe/Berlin"),
    "service_hours": ("DAYS=HOURS;...", "such as Mon-Fri=08:00-18:00, or 24x7"),
    "holidays": ("COUNTRY", "whose public holidays are kept, such as DE-BE"),
}
"""Column -> (what stands there, what it means). The same words as in the file."""


def configure(verbs: Any) -> None:
    """Add `create`, `onboard` and `install` to the verbs of `org`."""
    create = verbs.add_parser("create", help="make one organization, with all that it needs")
    create.add_argument("name", metavar="NAME", help="what it is called")
    onboard = verbs.add_parser(
        "onboard",
        help="make the customers of a file, in checked steps, once all of it is judged",
        description=f"FILE is CSV with a header line; its columns are name, {', '.join(OPTIONS)}.",
    )
    onboard.add_argument("file", metavar="FILE", nargs="?", help="CSV; - for standard input")
    onboard.add_argument("--name", metavar="NAME", help="of one customer, instead of a file")
    for parser in (create, onboard):
        for column, (value, meaning) in OPTIONS.items():
            parser.add_argument(
                f"--{column.replace('_', '-')}", dest=f"wish_{column}", metavar=value, help=meaning
            )
        parser.add_argument("--dry-run", action="store_true", help="judge it, show the steps, do nothing")
        parser.add_argument("--smoke", action="store_true", help="test each organization at the end")
    smoke = verbs.add_parser(
        "smoke", help="test from the sensor to the case: online, event, detection, case, output"
    )
    smoke.add_argument(
        "organizations",
        metavar="OID|NAME",
        nargs="*",
        help="each by its oid or name; all of --scope unless given",
    )
    smoke.add_argument(
        "--reading", action="store_true", help="only what changes nothing: sensor, event, output"
    )
    smoke.add_argument(
        "--wait", metavar="SECONDS", type=int, default=WAIT, help=f"for the detection, from 1 to 600 ({WAIT})"
    )
    smoke.add_argument(
        "--confirm",
        metavar="NAME",
        default="",
        help="the name or oid of a protected organization, or how many they are",
    )
    install = verbs.add_parser("install", help="how sensors are installed: a command for each platform")
    install.add_argument("organization", metavar="OID|NAME", help="its oid, the beginning of it, or its name")


def onboard(session: Session) -> int:
    """Judge, show, ask, and make."""
    given = session.arguments
    if not given.dry_run:
        session.refuse_read_only(f"org {given.verb}")
    rows, wrong, source = _rows(session)
    from store.onboardsteps import planned

    if session.settings.offline and not given.dry_run:
        raise Problem("This needs the cloud, and the session is offline; leave out --offline.", code=5)
    judged, known = session.run(_judged(session, rows, wrong))
    _stop(session, judged)
    wanted = planned(judged, known, source=source, smoke=given.smoke)
    if given.dry_run:
        return _dry(session, wanted, judged, asked=not session.settings.offline)
    return _make(session, wanted)


def _rows(session: Session) -> "tuple[list[Row], list[Wrong], str]":
    """What was asked for, as lines; with what is wrong with the file itself."""
    from store.onboarding import read_csv

    given = session.arguments
    file = getattr(given, "file", None)
    said = {column: value for column in OPTIONS if (value := getattr(given, f"wish_{column}"))}
    if file is not None and (given.name is not None or said):
        raise Problem("Give a file, or --name with the options of one customer, not both.", code=2)
    if file is None and given.name is None:
        raise Problem("Onboard whom? Give a CSV file, or --name NAME.", code=2)
    if file is None:
        return [(0, {"name": given.name, **said})], [], "name"
    rows, wrong = read_csv(_content(file))
    return rows, wrong, f"file:{'-' if file == '-' else Path(file).name}"


def _content(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read(LIMIT)
        with open(file, "rb") as opened:
            return opened.read(LIMIT)
    except OSError as error:
        raise Problem(f"{shown(file)} cannot be read: {error.strerror}.", code=2) from error


async def _judged(session: Session, rows: "list[Row]", wrong: "list[Wrong]") -> "tuple[Judged, Known]":
    """What is to be said of each line; offline, without asking whether the names are free."""
    from console.operations.onboarding import judge

    if session.settings.offline:
        return await judge(rows, reader=session.reader, cloud=None, wrong=wrong)
    async with session.cloud(deadlines=not session.arguments.dry_run) as cloud:
        return await judge(rows, reader=session.reader, cloud=cloud, wrong=wrong, report=session.report)


def _stop(session: Session, judged: "Judged") -> None:
    """Say everything about the lines; end here when one of them is wrong.

    Raises:
        Problem: one is; nothing was done.
    """
    for each in judged.wrong[:200]:
        session.say(("" if not each.warning else "Worth a look: ") + str(each))
    if len(judged.wrong) > 200:
        session.say(f"And {len(judged.wrong) - 200:,} more.")
    if judged.stopped:
        lines = len({each.line for each in judged.stopped})
        many = f"{len(judged.stopped):,} things are" if len(judged.stopped) > 1 else "One thing is"
        on = f" on {lines:,} lines" if lines > 1 else ""
        raise Problem(f"{many} wrong{on}; nothing was done.", code=2)


def _dry(session: Session, planned: "Planned", judged: "Judged", *, asked: bool) -> int:
    from store.access import counted
    from store.onboardsteps import sums
    from store.runs import words
    from store.runverbs import label

    items: list[dict[str, Any]] = [
        {
            "name": item.name,
            "line": item.options.get("line") or None,
            "steps": [
                {
                    "verb": step.verb, "target": step.target, "arguments": dict(step.arguments),
                    "words": words(step.verb, step.target, step.arguments),
                }
                for step in item.steps
            ],
        }
        for item in planned.items
    ]  # fmt: skip
    session.show_object(
        {
            "dry_run": True,
            "title": planned.title,
            "names_asked": asked,
            "warnings": [str(each) for each in judged.wrong],
            "organizations": items,
            "steps": dict(sums(planned)),
        },
        rows=[
            {"organization": item["name"], "step": step["words"]}
            for item in items[:SHOWN]
            for step in item["steps"]
        ],
        columns=("organization", "step"),
    )
    if session.output == "table":
        if len(items) > SHOWN:
            session.say(f"And the same for {len(items) - SHOWN:,} more; --output json names all.")
        each = ", ".join(f"{number:,} x {label(verb)}" for verb, number in sums(planned))
        session.say(f"{counted(len(items), 'organization')}: {each}. Nothing was done.")
    if not asked:
        session.say("Whether the names are still free was not asked: this session is offline.")
    return 0


def _make(session: Session, planned: "Planned") -> int:
    from console.operations.runs import CONFIRMED
    from store.access import counted

    steps = sum(len(item.steps) for item in planned.items)
    names = ", ".join(safe(item.name) for item in planned.items[:NAMED])
    more = f" and {len(planned.items) - NAMED:,} more" if len(planned.items) > NAMED else ""
    made = counted(len(planned.items), "organization")
    if not session.ask(f"Make {made} ({names}{more}) in {counted(steps, 'step')}?"):
        raise Problem("Nothing was done.", code=5)
    # The question said how many, and each of their lines was judged.
    return show(session, keep_and_make(session, planned, confirm=CONFIRMED))


def show(session: Session, result: "Result") -> int:
    """What a run of onboarding came to; 3 when it is not whole, 1 when nothing is."""
    from store.runs import ITEM_STATES

    rows = [
        {"name": item.name, "oid": item.oid, "state": item.state, "reason": item.reason}
        for item in result.run.items
    ]
    worst = sorted(rows, key=lambda row: -ITEM_STATES.index(row["state"]))
    session.show_object(
        {
            "run": result.run.id,
            "state": result.run.state,
            "organizations": rows,
            "failed": [
                {"organization": name, "step": what, "reason": why} for name, what, why in result.failed
            ],
            "trouble": result.trouble,
        },
        rows=worst,
        columns=("name", "oid", "state", "reason"),
    )
    session.say(result.sentence)
    if result.whole:
        session.say("`limegrove org install NAME` shows how sensors are installed.")
        return 0
    session.say(f"`limegrove org resume {result.run.id}` goes on with what is left.")
    return 3 if result.run.counts.get("done") or result.run.counts.get("already") else 1


def smoke(session: Session) -> int:
    """Test organizations; 0 when everything is well, 3 when something is not or cannot be known."""
    given = session.arguments
    session.refuse_read_only("org smoke")
    if not 1 <= given.wait <= 600:
        raise Problem("--wait takes 1 to 600 seconds.", code=2)
    oids = list(dict.fromkeys(session.organization(word) for word in given.organizations))
    if not given.organizations:
        oids = session.scope_oids() or []
        if given.scope is None:
            raise Problem("Test what? Give organizations, or --scope NODE.", code=2)
    if not oids:
        raise Problem("There is no organization below that node.", code=2)
    return _smoke(session, oids)


def _smoke(session: Session, oids: list[str]) -> int:
    from console.operations.runs import CONFIRMED
    from store.access import counted
    from store.queries.queue import names_of
    from store.smoke import smoke_run

    given = session.arguments
    with session.reader.reading() as connection:
        names = names_of(connection, oids)
    planned = smoke_run([(oid, names[oid]) for oid in oids], wait=given.wait, reading=given.reading)
    if not given.reading:
        named = ", ".join(safe(names[oid]) for oid in oids[:NAMED])
        more = f" and {len(oids) - NAMED:,} more" if len(oids) > NAMED else ""
        question = (
            f"Test {counted(len(oids), 'organization')} ({named}{more}), each with a rule that is taken away "
            "again and a question to a sensor?"
        )
        if not session.ask(question):
            raise Problem("Nothing was done.", code=5)
    # What only reads asks for no name.
    confirm = CONFIRMED if given.reading else given.confirm
    return _answers(session, keep_and_make(session, planned, confirm=confirm, deadlines=True))


def _answers(session: Session, result: "Result") -> int:
    from store.runs import steps
    from store.smoke import ANSWERS

    with session.reader.reading() as connection:
        found = steps(connection, result.run.id)
    names = {item.item: (item.oid, item.name) for item in result.run.items}
    rows = [
        {
            "oid": names[step.item][0],
            "organization": names[step.item][1],
            "check": step.verb.partition(".")[2],
            "answer": ANSWERS.get(step.outcome, "cannot be known"),
            "why": step.error,
        }
        for step in found
    ]
    for item in result.run.items:
        if item.state == "refused":
            rows = [row | {"why": item.reason} if row["oid"] == item.oid else row for row in rows]
    session.show_object(
        {"run": result.run.id, "checks": rows, "trouble": result.trouble},
        rows=rows,
        columns=("organization", "check", "answer", "why"),
    )
    counts = {word: sum(row["answer"] == word for row in rows) for word in ("yes", "no", "cannot be known")}
    session.say(", ".join(f"{number:,} {word}" for word, number in counts.items() if number) + ".")
    session.say_each(
        f"{row['organization']}: {row['check']}: {row['answer']}" + (f": {row['why']}" if row["why"] else "")
        for row in rows
        if row["answer"] != "yes"
    )
    return 0 if counts["yes"] == len(rows) else 3


def install(session: Session) -> int:
    """The commands for each installation key of an organization."""
    oid = session.organization(session.arguments.organization)
    return session.run(_install(session, oid))


async def _install(session: Session, oid: str) -> int:
    from store.onboarding import commands_of

    async with session.cloud() as cloud:
        keys = await cloud.organization(oid).installation_keys()
    rows = [
        {"key": str(key.get("desc", "")), "platform": platform, "command": command}
        for _, key in sorted(keys.items(), key=lambda each: str(each[1].get("desc", "")))
        for platform, command in commands_of(str(key.get("desc", "")), key)
    ]
    session.show_rows(rows, columns=("key", "platform", "command"))
    if not rows:
        session.say("The organization has no installation key.")
    else:
        session.say("Whoever has such a command can enroll sensors: hand it on as a secret.")
    return 0
