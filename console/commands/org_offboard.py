"""`limegrove org offboard|forget`: a customer leaves, and nothing of it stays that should not."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.org_runs import add_ways, carry_out
from console.commands.session import Problem, Session, safe

if TYPE_CHECKING:
    from console.operations.forgetting import Outcome
    from console.operations.offboarding import Drafted


def configure(verbs: Any) -> None:
    """Add `offboard` and `forget` to the verbs of `org`."""
    offboard = verbs.add_parser(
        "offboard",
        help="export a customer, take away all access to it and all it holds, and delete it last",
        description="A run of checked steps about one organization; `org resume` carries on with it.",
    )
    offboard.add_argument(
        "organization", metavar="OID|NAME", help="its oid, the beginning of it, or its name"
    )
    offboard.add_argument(
        "--out", metavar="DIR", help="where the export goes; below the workspace unless given"
    )
    offboard.add_argument(
        "--keep", metavar="PART", action="append", default=[],
        help="leave it: keys, users, outputs, installation-keys, ingestion-keys, extensions, sensors, "
        "organization, or groups (it is taken out of them all the same, and none is deleted); several "
        "with commas",
    )  # fmt: skip
    offboard.add_argument("--without-report", action="store_true", help="write no final report")
    offboard.add_argument(
        "--incomplete", action="store_true", help="an export does though not everything could be read"
    )
    add_ways(offboard)
    forget = verbs.add_parser(
        "forget",
        help="delete everything of a customer from the store, so that nothing of it can be read back",
        description="For an organization that LimaCharlie lists no more. The journal keeps that it was done.",
    )
    forget.add_argument("organization", metavar="OID|NAME", help="its oid, the beginning of it, or its name")
    forget.add_argument(
        "--backup", metavar="FILE", action="append", default=[],
        help="a file of `store backup`: it is taken out of that one too",
    )  # fmt: skip
    forget.add_argument("--dry-run", action="store_true", help="only say what there is of it")
    forget.add_argument(
        "--confirm", metavar="NAME", default="", help="its name, as it has to be typed, or its oid"
    )


def offboard(session: Session) -> int:
    """Plan it, show it, and do what the options say."""
    from console.limacharlie.errors import LimaCharlieError
    from console.operations import offboarding

    given = session.arguments
    if not given.dry_run:
        session.refuse_read_only("org offboard")
    oid = session.organization(given.organization)
    keep = {part.strip() for parts in given.keep for part in parts.split(",") if part.strip()}
    directory = Path(given.out).expanduser().absolute() if given.out else _usual(session, oid)
    wish = offboarding.Wish(
        directory, frozenset(keep), report=not given.without_report, incomplete=given.incomplete
    )

    async def draft() -> "Drafted":
        async with session.cloud(deadlines=not given.dry_run) as cloud:
            return await offboarding.draft(session.store(), cloud, oid, wish, brands=session.settings.brands)

    try:
        drafted = session.run(draft())
    except offboarding.OffboardError as error:
        raise Problem(f"{error} Nothing was sent.", code=2) from error
    except LimaCharlieError as error:
        raise Problem(f"What there is cannot be read, so nothing was planned: {error}") from error
    for line in drafted.checklist.lines:
        note = f" ({line.note})" if line.note else ""
        session.say(f"  {line.part:<18} {safe(line.there)}{note}")
    for note in drafted.checklist.notes:
        session.say(note)
    return carry_out(session, drafted.planned, deadlines=False)


def _usual(session: Session, oid: str) -> Path:
    from console.operations.offboarding import directory_for
    from store.times import now_ms

    settings = session.settings
    return directory_for(settings.home, settings.environment, oid, now_ms())


def forget(session: Session) -> int:
    """Forget it in the store, and in the backups that are named."""
    from console.operations import forgetting
    from store.forgetting import CannotForget

    given = session.arguments
    if not given.dry_run:
        session.refuse_read_only("org forget")
    from store.typednames import is_named

    store = session.store()
    try:
        about = forgetting.about(store, given.organization, given.backup)
    except CannotForget as error:
        raise Problem(str(error), code=5 if error.known else 2) from error
    if given.dry_run:
        session.show_object(
            {
                "oid": about.oid,
                "name": about.name,
                "may": about.may,
                "rows": about.rows,
                "copies": about.copies,
            }
        )
        if about.why:
            session.say(about.why)
        return 0 if about.may else 5
    if about.why:
        raise Problem(f"{about.why} Nothing was changed.", code=5)
    confirm = given.confirm or _typed(session, about.phrase)
    if not is_named(confirm, about.phrase, about.oid):
        raise Problem(
            f"Everything of {safe(about.phrase)} is deleted from the store for good: give --confirm with its "
            f"name or its id, {about.oid}. Nothing was changed.",
            code=5,
        )
    if not session.ask(f"Delete everything of {safe(about.phrase)} from the store for good?"):
        raise Problem("Nothing was changed.", code=5)
    outcome = forgetting.forget(store, about, report=session.progress)
    return _show(session, outcome)


def _typed(session: Session, phrase: str) -> str:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return ""
    session.clear_progress()
    print(
        f"Everything of it is deleted from the store for good. Type `{safe(phrase)}`: ",
        end="", file=sys.stderr, flush=True,
    )  # fmt: skip
    return sys.stdin.readline().strip()


def _show(session: Session, outcome: "Outcome") -> int:
    session.show_object(
        {
            "oid": outcome.oid,
            "name": outcome.name,
            "rows": outcome.rows,
            "journal_entries": outcome.entries,
            "backups": [str(path) for path in outcome.backups],
            "left": list(outcome.left),
        }
    )
    for left in outcome.left:
        session.say(left)
    return 3 if outcome.left else 0
