"""`limegrove org bulk|runs|resume|undo`: one change on many organizations, and how far it has come."""

import argparse
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, safe, shown

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from console.limacharlie.client import Cloud
    from console.operations.bulk import Drafted
    from console.operations.runs import Result
    from store.bulk import Chosen, Kind, Selection, Wish
    from store.runs import Item, Planned, Run, RunStep

LATEST = 50
"""Runs that `org runs` names unless --limit says otherwise."""
NAMED = 10
"""Organizations that are named before a run is begun; the others are counted."""
WITHIN = 5.0
"""Seconds that the steps at hand have to come to their end once somebody stops a run."""


def configure(verbs: Any) -> None:
    """Add `bulk`, `runs`, `resume` and `undo` to the verbs of `org`."""
    bulk = verbs.add_parser(
        "bulk",
        help="one change on many organizations",
        description="One change on every organization that --scope, --filter, --marked and --file choose.\n"
        "Each organization has its own result.",
    )
    changes = bulk.add_subparsers(dest="change", metavar="VERB", required=True)
    for add in (_tag, _settings, _people, _outputs):
        add(changes)
    runs = verbs.add_parser("runs", help="what was done in bulk, onboarded or offboarded; one of them whole")
    runs.add_argument("run", metavar="RUN", nargs="?", type=int, help="its number, for its steps and results")
    runs.add_argument("--limit", metavar="N", type=int, default=LATEST, help="how many are listed")
    runs.add_argument("--drop", action="store_true", help="put RUN, which was not begun, away")
    resume = verbs.add_parser(
        "resume",
        help="begin a run that was kept, carry on with one that was cut off, or try again what failed",
    )
    resume.add_argument("run", metavar="RUN", type=int, help="its number")
    _add_confirm(resume)
    undo = verbs.add_parser("undo", help="take back what a run did, as far as the API allows it")
    undo.add_argument("run", metavar="RUN", type=int, help="its number")
    add_ways(undo)


def _tag(changes: Any) -> None:
    for name, help_ in (("tag", "tag sensors"), ("untag", "take a tag from sensors")):
        parser = _change(changes, name, help_)
        parser.add_argument("tag", metavar="TAG")
        parser.add_argument(
            "--selector", metavar="SELECTOR", required=True,
            help="which sensors, such as 'plat == windows'; '*' for all",
        )  # fmt: skip
        if name == "tag":
            parser.add_argument("--ttl", metavar="SECONDS", default="", help="after which it ends by itself")


def _settings(changes: Any) -> None:
    _change(changes, "quota", "set the sensor quota").add_argument("quota", metavar="SENSORS")
    for name, help_ in (
        ("subscribe", "subscribe to an extension"),
        ("unsubscribe", "unsubscribe from an extension; what it keeps goes with it"),
    ):
        _change(changes, name, help_).add_argument("extension", metavar="EXTENSION")


def _people(changes: Any) -> None:
    add = _change(changes, "add-user", "add a user")
    add.add_argument("email", metavar="EMAIL")
    add.add_argument("--role", metavar="ROLE", default="", help="Owner, Administrator, ...; none without it")
    add.add_argument("--invite", action="store_true", help="invite an address that LimaCharlie does not know")
    remove = _change(changes, "remove-user", "remove a user, with what is granted directly")
    remove.add_argument("email", metavar="EMAIL")
    role = _change(changes, "role", "give a user a role in place of what is granted directly")
    role.add_argument("email", metavar="EMAIL")
    role.add_argument("role", metavar="ROLE")
    _change(changes, "revoke-key", "revoke API keys").add_argument("key", metavar="NAME|HASH")


def _outputs(changes: Any) -> None:
    output = _change(changes, "set-output", "make an output")
    output.add_argument("name", metavar="NAME")
    output.add_argument("--module", metavar="MODULE", required=True, help="such as syslog")
    output.add_argument("--stream", metavar="STREAM", required=True, help="event, detect, audit, ...")
    output.add_argument(
        "--option", metavar="NAME=VALUE", action="append", default=[], dest="options",
        help="of the module, such as dest_host=siem.example.com:514; a secret as hive://secret/NAME",
    )  # fmt: skip
    _change(changes, "remove-output", "remove an output").add_argument("name", metavar="NAME")
    key = _change(changes, "make-key", "make an installation key")
    key.add_argument("description", metavar="DESCRIPTION")
    key.add_argument("--tags", metavar="TAG,TAG", default="", help="that its sensors get")
    key.add_argument(
        "--public-root-ca",
        action="store_true",
        help="for machines that break up TLS with authorities of their own",
    )
    gone = _change(changes, "remove-key", "remove an installation key")
    gone.add_argument("description", metavar="DESCRIPTION")


def _change(changes: Any, name: str, help_: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = changes.add_parser(name, help=help_)
    which = parser.add_argument_group("which organizations: those for which all that is given holds")
    which.add_argument(
        "--filter", metavar="WORDS", default="",
        help="words in the name, the path, the oid, labels (tier=gold), marks or the health",
    )  # fmt: skip
    which.add_argument("--marked", metavar="MARK", default="", help="protected, canary, leaving")
    which.add_argument(
        "--file", metavar="OIDS", help="a file with an oid or a name a line; - is standard input"
    )
    which.add_argument("--all", action="store_true", help="all of them, when nothing else is given")
    add_ways(parser)
    return parser


def add_ways(parser: argparse.ArgumentParser) -> None:
    """Add what says how a run is begun: `--dry-run`, `--plan`, `--confirm`."""
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    parser.add_argument(
        "--plan",
        action="store_true",
        help="keep it without beginning: `org resume RUN` begins it within an hour",
    )
    _add_confirm(parser)


def _add_confirm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--confirm", metavar="PHRASE", default="",
        help="for what is protected or cannot be brought back: the name or oid of one, or `N organizations`",
    )  # fmt: skip


def run(session: Session) -> int:
    """Carry out one of them."""
    verbs: dict[str, Callable[[Session], int]] = {
        "bulk": _bulk, "runs": _runs, "resume": _resume, "undo": _undo,
    }  # fmt: skip
    return verbs[session.arguments.verb](session)


# bulk


def _bulk(session: Session) -> int:
    from console.operations import bulk
    from console.operations.runs import Refused

    given = session.arguments
    if not given.dry_run:
        session.refuse_read_only(f"org bulk {given.change}")
    wish = _wish(session)
    selection = _selection(session)
    if not selection.chosen and not selection.frozen:
        raise Problem("No organization is chosen; `limegrove org list` names them. Nothing was sent.", code=2)

    asks = wish.selector is not None or wish.kind.name == "revoke-key"

    async def draft() -> "Drafted":
        if not asks:
            return await bulk.draft(wish, selection, cloud=None)
        async with session.cloud(deadlines=not given.dry_run) as cloud:
            return await bulk.draft(
                wish, selection, cloud=cloud,
                report=session.report,
            )  # fmt: skip

    try:
        drafted = session.run(draft())
    except Refused as error:
        raise Problem(str(error), code=5) from error
    for each in drafted.left_out:
        session.say(f"left out: {safe(each.name)}: {safe(each.reason)}")
    if drafted.above:
        use = "uses" if len(drafted.above) == 1 else "use"
        session.say(
            f"{len(drafted.above):,} {use} more than {wish.arguments['quota']:,}, sensors would be turned "
            f"away: {_first(drafted.above)}."
        )
    if drafted.unread:
        session.say(
            f"{len(drafted.unread):,} could not be read, and the quota is set all the same: "
            f"{_first(drafted.unread)}."
        )
    if drafted.nothing:
        what = "sensor" if wish.selector is not None else "API key"
        session.say(f"{len(drafted.nothing):,} organizations have no such {what}.")
    if not drafted.planned.items:
        if drafted.left_out:
            raise Problem("Nothing can be done: every organization was left out. Nothing was sent.", code=5)
        session.show_object(shown_planned(drafted.planned), rows=[], columns=("organization",))
        session.say("There is nothing to do.")
        return 0
    return carry_out(session, drafted.planned, deadlines=not asks)


def _first(chosen: "Sequence[Chosen]") -> str:
    more = f" and {len(chosen) - NAMED:,} more" if len(chosen) > NAMED else ""
    return f"{', '.join(safe(each.name) for each in chosen[:NAMED])}{more}"


def _wish(session: Session) -> "Wish":
    """What is asked for.

    Raises:
        Problem: it cannot be; exit code 2.
    """
    from store.bulk import KINDS, BadWish, wish

    kind: Kind = KINDS[session.arguments.change]
    values = {}
    for field in kind.fields:
        value = getattr(session.arguments, field.name)
        if isinstance(value, bool):
            value = "yes" if value else ""
        elif isinstance(value, list):
            if spaced := [each for each in value if " " in each.strip()]:
                raise Problem(f"--option {shown(spaced[0])}: a value has no space. Nothing was sent.", code=2)
            value = " ".join(value)
        values[field.name] = value
    try:
        return wish(kind.name, values)
    except BadWish as error:
        raise Problem(f"{error} Nothing was sent.", code=2) from error


def _selection(session: Session) -> "Selection":
    """The organizations that are chosen.

    Raises:
        Problem: nothing was said about which, or a file names what is not there; exit code 2.
    """
    from store.bulk import BadWish, select
    from store.times import now_ms

    given = session.arguments
    scope = session.scope()
    if not (scope or given.filter.strip() or given.marked or given.file or given.all or given.scope):
        raise Problem(
            "On which organizations? Give --scope, --filter, --marked, --file, or --all for all of them. "
            "Nothing was sent.",
            code=2,
        )
    oids = _file(session, given.file) if given.file else None
    parts = [f"scope:{scope}" if scope else "", f"filter:{given.filter}" if given.filter.strip() else ""]
    parts += [f"marked:{given.marked}" if given.marked else "", f"file:{given.file}" if given.file else ""]
    source = " ".join(filter(None, parts)) or "all"
    with session.reader.reading() as connection:
        try:
            selection = select(
                connection, now=now_ms(), scope=scope, filter_line=given.filter, mark=given.marked, oids=oids,
                source=source,
            )  # fmt: skip
        except BadWish as error:
            raise Problem(f"--marked: {error} Nothing was sent.", code=2) from error
    if oids is not None:
        outside = len(oids) - len(selection.chosen) - len(selection.frozen)
        if outside:
            session.say(f"{outside:,} organizations of the file are not chosen by what else is given.")
    return selection


def _file(session: Session, path: str) -> list[str]:
    from pathlib import Path

    from store.bulk import known_names, named

    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Problem(f"--file {shown(path)} cannot be read: {why}. Nothing was sent.", code=2) from error
    with session.reader.reading() as connection:
        found, wrong = named(text, known_names(connection))
    if wrong:
        more = f" (and {len(wrong) - 5} more)" if len(wrong) > 5 else ""
        raise Problem(f"--file {shown(path)}: {'; '.join(wrong[:5])}{more}. Nothing was sent.", code=2)
    if not found:
        raise Problem(f"--file {shown(path)} names no organization. Nothing was sent.", code=2)
    return found


# a run, kept and made


def carry_out(session: Session, planned: "Planned", *, deadlines: bool = True) -> int:
    """Show, keep or make what is planned, as the options say.

    Args:
        deadlines: as of `Session.cloud`; False where the plan was made on a connection that made them.
    """
    from store.runs import load

    given = session.arguments
    if given.dry_run:
        session.show_object(
            shown_planned(planned), rows=_plan_rows(planned), columns=("organization", "step")
        )
        session.say(f"{_sum(planned)}. Nothing was sent.")
        return 0
    run_id = _kept(session, planned)
    with session.reader.reading() as connection:
        kept = load(connection, run_id)
    if given.plan:
        _print(session, kept)
        session.say(f"Run {run_id} is kept: {_sum(planned)}; `limegrove org resume {run_id}` begins it.")
        return 0
    with _dropping(session, run_id):
        return _make(session, kept, deadlines=deadlines)


def keep_and_make(
    session: Session, planned: "Planned", *, confirm: str = "", deadlines: bool = False
) -> "Result":
    """Make what is planned, and was agreed to.

    Args, Raises: as `make`; what it raises leaves no draft behind.
    """
    run_id = _kept(session, planned)
    with _dropping(session, run_id):
        return make(session, run_id, confirm=confirm, deadlines=deadlines)


def _kept(session: Session, planned: "Planned") -> int:
    from console.operations.runs import RunError, keep

    try:
        return keep(session.store(), planned, operator=session.operator)
    except RunError as error:
        raise Problem(f"{error} Nothing was sent.", code=2) from error


@contextmanager
def _dropping(session: Session, run_id: int) -> "Iterator[None]":
    """Put a run away that was not begun after all."""
    try:
        yield
    except BaseException:
        from store.runs import drop
        from store.times import now_ms

        with session.store().writing() as connection:
            drop(connection, run_id, now=now_ms())
        raise


def _make(session: Session, kept: "Run", *, deadlines: bool) -> int:
    """Begin a run, or carry on with it.

    Args:
        deadlines: as of `Session.cloud`.

    Raises:
        Problem: it was not begun.
    """
    confirm = session.arguments.confirm
    if kept.state == "draft":
        for item in kept.items[:NAMED]:
            session.say(f"  {safe(item.name)}{_was(session, kept, item)}")
        if len(kept.items) > NAMED:
            session.say(f"  ... and {len(kept.items) - NAMED:,} more organizations")
        session.say(f"{safe(kept.title)}: {kept.total:,} steps on {len(kept.items):,} organizations.")
    if kept.phrase:
        confirm = confirm or _typed(session, kept)
        if not kept.confirmed(confirm):
            raise Problem(_not_the_name(kept), code=5)
    if kept.state == "draft" and not session.ask(f"{safe(kept.title)} on {len(kept.items):,} organizations?"):
        raise Problem("Nothing was sent.", code=5)
    return show_result(
        session, make(session, kept.id, confirm=confirm, here=not _needs_cloud(kept), deadlines=deadlines)
    )


def make(
    session: Session, run_id: int, *, confirm: str = "", here: bool = False, deadlines: bool = False
) -> "Result":
    """Make a run that is kept. ctrl+c ends it behind the steps at hand, and a second one at once.

    Args:
        confirm: what was typed for it.
        here: it needs no cloud.
        deadlines: as of `Session.cloud`.

    Raises:
        Problem: it was refused; exit code 5.
        KeyboardInterrupt: somebody stopped it; how it goes on was said.
    """
    import asyncio

    from console.operations import runs as operations

    stop = asyncio.Event()

    async def do() -> "Result":
        if here:
            return await begin(None)
        # Whoever connects may carry on with other runs, which this `stop` does not end.
        async with session.cloud(deadlines=deadlines) as cloud:
            return await begin(cloud)

    async def begin(cloud: "Cloud | None") -> "Result":
        with _stopping(stop):
            return await operations.apply(
                session.store(), cloud, run_id, operator=session.operator, confirm=confirm,
                key=session.redaction_key, stop=stop,
                report=session.report,
            )  # fmt: skip

    try:
        result = session.run(do())
    except operations.Refused as error:
        raise Problem(str(error), code=5) from error
    except (KeyboardInterrupt, asyncio.CancelledError):
        _say_stopped(session, run_id)
        raise KeyboardInterrupt from None
    if stop.is_set() and result.run.state == "running":
        _say_stopped(session, run_id)
        raise KeyboardInterrupt
    return result


@contextmanager
def _stopping(stop: "asyncio.Event") -> "Iterator[None]":
    """Let ctrl+c set `stop`; what does not end within a while, or before another ctrl+c, is cancelled."""
    import asyncio
    import signal
    import threading

    task = asyncio.current_task()
    if task is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, late = asyncio.get_running_loop(), []

    def come() -> None:
        if stop.is_set():
            task.cancel()
            return
        stop.set()
        late.append(loop.call_later(WITHIN, task.cancel))

    otherwise = signal.getsignal(signal.SIGINT)
    loop.add_signal_handler(signal.SIGINT, come)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, otherwise)
        for each in late:
            each.cancel()


def _say_stopped(session: Session, run_id: int) -> None:
    """Say how a run that was stopped goes on. Whoever stops it means it: nobody does so by himself."""
    from console.operations import runs as operations
    from store.processes import said

    waits = operations.stop(session.store(), run_id)
    stopped = operations.result(session.store(), run_id)
    state, items = stopped.run.state, stopped.run.items
    if state in ("draft", "dropped"):
        session.say(f"Stopped before run {run_id} was begun; nothing was sent.")
        return
    if state != "running":
        session.say(f"{stopped.sentence} It is at its end: `limegrove org runs {run_id}` shows all of it.")
        return
    whole = sum(item.state == "done" for item in items)
    if waits:
        goes_on = f"`limegrove org resume {run_id}` carries on, and nothing else does."
    else:
        goes_on = (
            f"It is still held by {said(stopped.run.holder)}, which may go on with it: `limegrove org runs "
            f"{run_id}` shows how far it comes."
        )
    session.say(f"Stopped, {whole:,} of {len(items):,} organizations done. {goes_on}")


def _was(session: Session, kept: "Run", item: "Item") -> str:
    """`: quota 40 -> 250`, for what says at its planning what is there; "" for anything else."""
    from store.runs import HELD, change_words, steps

    if HELD not in item.options:
        return ""
    with session.reader.reading() as connection:
        (step,) = steps(connection, kept.id, item.item, limit=1)
    return f": {safe(change_words(step.verb, step.target, step.arguments, item.options))}"


def _needs_cloud(kept: "Run") -> bool:
    from console.operations.runverbs import verb

    return any(not verb(name).here for name in kept.verbs)


def show_result(session: Session, result: "Result") -> int:
    """Print what a run came to; the exit code for it: 0 all, 3 a part, 5 it may do none of it, else 1."""
    _print(session, result.run, result)
    for name, what, why in result.failed[:20]:
        session.say(f"{safe(name)}: {safe(what)}: {safe(why)}")
    if len(result.failed) > 20:
        session.say(
            f"... and {len(result.failed) - 20:,} more; `limegrove org runs {result.run.id}` names them all."
        )
    session.say(result.sentence)
    if result.run.state == "running":
        session.say(f"`limegrove org resume {result.run.id}` carries on where it was cut off.")
    if result.whole:
        return 3 if result.run.options.get("left_out") else 0
    if result.run.good:
        return 3
    with session.reader.reading() as connection:
        from store.runs import failures

        bad = {step.outcome for _, step in failures(connection, result.run.id)}
    refused = all(item.state == "refused" for item in result.run.items)
    may_not = {"denied", "refused"}
    return 5 if refused or (bad & may_not and bad <= {*may_not, "held back"}) else 1


def _typed(session: Session, kept: "Run") -> str:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Problem(_not_the_name(kept), code=5)
    session.clear_progress()
    print(f"{_why_named(kept)} Type `{safe(kept.phrase)}`: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _why_named(kept: "Run") -> str:
    named = ", ".join(safe(name) for _, name in kept.named[:5])
    more = f" and {len(kept.named) - 5:,} more" if len(kept.named) > 5 else ""
    what = "changes what is protected"
    if kept.makes_many:
        what = f"makes {len(kept.named):,} organizations"
    if kept.destructive:
        what = "takes what cannot be brought back"
    return f"This {what}: {named}{more}."


def _not_the_name(kept: "Run") -> str:
    import shlex

    return (
        f"{_why_named(kept)} Give --confirm {shlex.quote(safe(kept.phrase))}{kept.or_id}. Nothing was sent."
    )


def _sum(planned: "Planned") -> str:
    steps = sum(len(item.steps) for item in planned.items)
    return f"{safe(planned.title)}: {steps:,} steps on {len(planned.items):,} organizations"


# runs, resume, undo


def _runs(session: Session) -> int:
    from store.runs import drop, listed, state_now
    from store.times import now_ms, rfc3339

    given = session.arguments
    if given.limit < 1:
        raise Problem(f"--limit is a whole number, 1 or more; {given.limit} is none.", code=2)
    if given.run is None:
        if given.drop:
            raise Problem("--drop needs the number of a run; nothing was changed.", code=2)
        with session.reader.reading() as connection:
            rows = listed(connection, limit=given.limit)
        session.show_rows(
            [
                {
                    "run": row.id, "kind": row.kind, "title": row.title, "source": row.source,
                    "state": state_now(row, now_ms()), "organizations": row.items, "done": row.items_done,
                    "failed": row.items_bad, "by": row.by, "created_at": rfc3339(row.created_at),
                    "finished_at": rfc3339(row.finished_at), "undo_of": row.undo_of,
                }
                for row in rows
            ],
            columns=("run", "kind", "state", "organizations", "done", "failed", "title", "by", "created_at"),
        )  # fmt: skip
        return 0
    kept = _loaded(session, given.run)
    if given.drop:
        session.refuse_read_only("org runs --drop")
        with session.store().writing() as connection:
            if not drop(connection, kept.id, now=now_ms()):
                state = state_now(kept, now_ms())
                raise Problem(f"Run {kept.id} is {state}: only a draft is put away.", code=5)
        kept = _loaded(session, given.run)
    _print(session, kept)
    return 0


def _resume(session: Session) -> int:
    session.refuse_read_only("org resume")
    kept = _loaded(session, session.arguments.run)
    # What is cut off is carried on with by whoever connects: of this one it is told what comes of it.
    return _make(session, kept, deadlines=kept.state == "draft")


def _undo(session: Session) -> int:
    from console.operations import runs as operations

    given = session.arguments
    if not given.dry_run:
        session.refuse_read_only("org undo")
    _loaded(session, given.run)
    try:
        planned = operations.undoing(session.store(), given.run)
    except operations.Refused as error:
        raise Problem(str(error), code=5) from error
    if stays := operations.not_undone(session.store(), given.run):
        session.say(f"{len(stays):,} steps cannot be taken back, such as: {safe(stays[0].words)}.")
    return carry_out(session, planned)


def _loaded(session: Session, run_id: int) -> "Run":
    from store.runs import UnknownRun, load

    with session.reader.reading() as connection:
        try:
            return load(connection, run_id)
        except UnknownRun as error:
            raise Problem(str(error), code=2) from error


# As JSON


def _print(session: Session, kept: "Run", result: "Result | None" = None) -> None:
    from store.runs import change_words, steps

    with session.reader.reading() as connection:
        made = steps(connection, kept.id)
    by_item: dict[int, list[RunStep]] = {}
    for step in made:
        by_item.setdefault(step.item, []).append(step)
    rows = [
        {
            "organization": item.name,
            "state": item.state,
            "done": f"{sum(s.outcome in ('done', 'already') for s in by_item.get(item.item, ()))}"
            f"/{len(by_item.get(item.item, ()))}",
            "why": item.reason,
        }
        for item in kept.items
    ]
    columns: tuple[str, ...] = ("organization", "state", "done", "why")
    if kept.state == "draft":
        columns = ("organization", "step")
        rows = [
            {
                "organization": item.name,
                "step": change_words(step.verb, step.target, step.arguments, item.options),
            }
            for item in kept.items
            for step in by_item.get(item.item, ())
        ]
    thing = shown_run(kept, made)
    if result is not None:
        thing |= {"said": result.sentence, "trouble": result.trouble or None}
    session.show_object(thing, rows=rows, columns=columns)


def shown_run(kept: "Run", made: "list[RunStep]") -> dict[str, Any]:
    """A run as `org runs RUN`, `org bulk` and `org resume` print it.

    Returns:
        `{run, kind, title, state, ..., confirm, counts, left_out: [{oid, name, reason}], organizations:
        [{item, oid, name, state, reason, steps: [{step, verb, words, outcome, error, ...}]}]}`; `confirm` is
        what has to be typed, null for nothing.
    """
    from store.runs import state_now
    from store.times import now_ms, rfc3339

    by_item: dict[int, list[RunStep]] = {}
    for step in made:
        by_item.setdefault(step.item, []).append(step)
    return {
        "run": kept.id,
        "kind": kept.kind,
        "title": kept.title,
        "source": kept.source,
        "state": state_now(kept, now_ms()),
        "by": kept.by,
        "created_at": rfc3339(kept.created_at),
        "expires_at": rfc3339(kept.expires_at),
        "approved_by": kept.approved_by or None,
        "approved_at": rfc3339(kept.approved_at),
        "finished_at": rfc3339(kept.finished_at),
        "hash": kept.hash,
        "confirm": kept.phrase or None,
        "undo_of": kept.undo_of,
        "undone_by": kept.undone_by,
        "counts": dict(kept.counts),
        "left_out": [
            {"oid": oid, "name": name, "reason": reason}
            for oid, name, reason in kept.options.get("left_out", ())
        ],
        "organizations": [
            {
                "item": item.item,
                "oid": item.oid or None,
                "name": item.name,
                "state": item.state,
                "reason": item.reason or None,
                "steps": [shown_step(step, item.options) for step in by_item.get(item.item, ())],
            }
            for item in kept.items
        ],
        **_checklist(kept.options),
    }


def shown_step(step: "RunStep", options: "Mapping[str, Any]") -> dict[str, Any]:
    """A step of a run.

    Args:
        options: of its item; `before` is what was there when it was planned until it was looked at.
    """
    from store.runs import before_of

    return {
        "step": step.seq,
        "verb": step.verb,
        "words": step.words,
        "target": step.target,
        "arguments": dict(step.arguments),
        "before": before_of(step.verb, options) if step.before is None else step.before,
        "outcome": step.outcome,
        "error": step.error or None,
        "made": dict(step.made),
    }


def _checklist(options: "Mapping[str, Any]") -> dict[str, Any]:
    """Of an offboarding what there is and what stays; nothing of other runs."""
    return {name: options[name] for name in ("checklist", "notes") if name in options}


def shown_planned(planned: "Planned") -> dict[str, Any]:
    """What would be done: as `shown_run`, without a number and without results."""
    from store.runs import before_of, words

    return {
        "title": planned.title,
        "source": planned.source,
        "left_out": [
            {"oid": oid, "name": name, "reason": reason}
            for oid, name, reason in planned.options.get("left_out", ())
        ],
        "organizations": [
            {
                "oid": item.oid or None,
                "name": item.name,
                "steps": [
                    {
                        "verb": step.verb,
                        "words": words(step.verb, step.target, step.arguments),
                        "target": step.target,
                        "arguments": dict(step.arguments),
                        "before": before_of(step.verb, item.options),
                    }
                    for step in item.steps
                ],
            }
            for item in planned.items
        ],
        **_checklist(planned.options),
    }


def _plan_rows(planned: "Planned") -> list[dict[str, Any]]:
    from store.runs import change_words

    return [
        {
            "organization": item.name,
            "step": change_words(step.verb, step.target, step.arguments, item.options),
        }
        for item in planned.items
        for step in item.steps
    ]
