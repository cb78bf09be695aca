"""`limegrove store`: what the store is, whether it is whole, upgrade, backup, restore, copy, prune."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session

if TYPE_CHECKING:
    from store.retention import Pruned


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `store`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verbs.add_parser("status", help="where it is, its schema, its size, what it holds")
    verbs.add_parser("upgrade", help="bring it to the newest schema; backs up first")
    verbs.add_parser("check", help="whether the file, the counters, the tree and the journal are whole")
    backup = verbs.add_parser("backup", help="copy it, while it is in use, into a new file")
    backup.add_argument("file", metavar="FILE", help="must not exist")
    restore = verbs.add_parser("restore", help="make it what a backup holds; asks first")
    restore.add_argument("file", metavar="FILE", help="a file that `store backup` made")
    copy = verbs.add_parser(
        "copy",
        help="copy it into another database: a team's PostgreSQL server, or a file again",
        description="All of it or nothing. This store stays as it is; close the consoles that write into it, "
        "for what they write meanwhile is not in the copy.",
    )
    copy.add_argument(
        "target",
        metavar="URL",
        help="an empty database: postgresql://USER@HOST/NAME (its password in ~/.pgpass or PGPASSWORD), or "
        "sqlite:///PATH",
    )
    prune = verbs.add_parser(
        "prune",
        help="take out what is older than the tree's parameter retention_days says; asks first",
        description="Of the organizations below --scope; open alerts and cases stay, and so does everything "
        "of an organization with the mark hold.",
    )
    prune.add_argument("--dry-run", action="store_true", help="only say what would go")
    prune.add_argument(
        "--rewrite",
        action="store_true",
        help="write the files anew afterwards, so that nothing of it is on their pages any more",
    )


def run(session: Session) -> int:
    """Look after the environment's store, whatever its schema."""
    from console.process import workspace

    verb: str = session.arguments.verb
    workspace(session.settings.home, make=verb in ("upgrade", "restore"))
    if verb in ("upgrade", "restore", "copy") or (verb == "prune" and not session.arguments.dry_run):
        session.refuse_read_only(f"store {verb}")
    return {
        "status": _status, "upgrade": _upgrade, "check": _check, "backup": _backup, "restore": _restore,
        "prune": _prune, "copy": _copy,
    }[verb](session)  # fmt: skip


def _status(session: Session) -> int:
    from store.maintenance import status
    from store.times import rfc3339

    found = status(session.settings.store_url)
    session.show_object(
        {
            "engine": found.engine,
            "address": found.address,
            "environment": session.settings.environment,
            "schema": found.schema,
            "newest_schema": found.newest_schema,
            "bytes": found.size,
            "oldest_detection": rfc3339(found.oldest),
            "newest_detection": rfc3339(found.newest),
            "journal_entries": found.journal,
            "rows": found.rows,
        }
    )
    return 0


def _upgrade(session: Session) -> int:
    from store.maintenance import upgrade

    done = upgrade(session.settings.store_url, yes=session.arguments.yes)
    session.show_object(
        {
            "before": done.before,
            "after": done.after,
            "changed": done.before != done.after,
            "backup": None if done.backup is None else str(done.backup),
        }
    )
    return 0


def _check(session: Session) -> int:
    from store.maintenance import check

    findings = check(session.settings.store_url)
    rows = [{"name": each.name, "ok": each.ok, "text": each.text} for each in findings]
    session.show_rows(rows)
    wrong = [each.name for each in findings if not each.ok]
    if wrong:
        named = ", ".join(wrong)
        raise Problem(f"The store is not whole: {named}. `limegrove store restore` takes a backup.")
    return 0


def _backup(session: Session) -> int:
    from store.maintenance import backup

    target = Path(session.arguments.file).absolute()
    size = backup(session.settings.store_url, target)
    session.show_object({"file": str(target), "bytes": size})
    return 0


def _restore(session: Session) -> int:
    from store.maintenance import restore, status

    source = Path(session.arguments.file).absolute()
    url = session.settings.store_url
    if not session.ask(f"Replace the store of the environment {session.settings.environment} by {source}?"):
        raise Problem("Nothing was changed.", code=5)
    schema = restore(url, source)
    found = status(url)
    session.show_object(
        {
            "file": str(source),
            "address": found.address,
            "schema": schema,
            "newest_schema": found.newest_schema,
            "rows": found.rows,
        }
    )
    if schema != found.newest_schema:
        session.say("The restored store has an older schema; run `limegrove store upgrade`.")
    return 0


def _copy(session: Session) -> int:
    from console.operations.files import refuse_nowhere
    from store.copying import copy
    from store.database import parsed_url, shown_url, sqlite_path

    target: str = session.arguments.target
    address = parsed_url(target)
    if address.password or any("pass" in key for key in address.query):
        raise Problem(
            "A password on the command line is read by whoever lists processes; put it into ~/.pgpass or "
            "PGPASSWORD. Nothing was copied.",
            code=2,
        )
    if (path := sqlite_path(target)) is not None:
        refuse_nowhere(path.absolute().parent)
    done = copy(session.settings.store_url, target, session.progress)
    session.show_object(
        {
            "from": shown_url(session.settings.store_url),
            "to": shown_url(target),
            "rows": done.rows,
            "journal_hash": done.last or None,
        }
    )
    session.say(
        f"`LIMEGROVE_STORE={target}`, or `store` of the environment in the settings file, makes it the store."
    )
    return 0


def _prune(session: Session) -> int:
    from console.operations.actor import actor
    from store import maintenance, retention
    from store.times import now_ms

    if session.has_no_store():
        raise Problem("There is no store yet, so there is nothing to prune; `limegrove sync` makes it.")
    given, now, store = session.arguments, now_ms(), session.store()
    scope = session.scope()
    with session.reader.reading() as connection:
        found = retention.kept(connection, scope)
        planned = [retention.due(connection, one, now=now) for one in found]
        # What groups were is of no single organization.
        of_groups = 0 if scope else retention.due_of_groups(connection, now=now)
    total = sum(sum(each.rows.values()) for each in planned) + of_groups
    done = planned
    if total and not given.dry_run:
        number = sum(bool(each.rows) for each in planned)
        if not session.ask(f"Delete {total:,} rows of {number:,} organizations for good?"):
            raise Problem("Nothing was changed.", code=5)
        done = [
            retention.prune(store, each.kept, now=now, actor=actor(), report=session.progress)
            if each.rows
            else each
            for each in planned
        ]
        if not scope:
            of_groups = retention.prune_groups(store, now=now, actor=actor())
    session.show_rows([_pruned(each) for each in done], columns=_COLUMNS, footer=_said(done, given.dry_run))
    if of_groups:
        verb = "would go" if given.dry_run else "gone"
        session.say(f"{of_groups:,} earlier states of groups {verb}: no organization keeps them any more.")
    problems = dict.fromkeys(each.kept.problem for each in done if each.kept.problem)
    for problem in problems:
        session.say(problem)
    url = session.settings.store_url
    if not given.dry_run and (given.rewrite or maintenance.wants_rewriting(url)):
        maintenance.rewrite(url, session.progress)
    return 3 if problems else 0


_COLUMNS = ("name", "retention_days", "before", "rows", "open_alerts", "open_cases", "state")


def _pruned(each: "Pruned") -> dict[str, Any]:
    """One organization, as `store prune` prints it."""
    from store.times import rfc3339

    state = "hold" if each.kept.held else "problem" if each.kept.problem else "kept"
    return {
        "oid": each.kept.oid,
        "name": each.kept.name,
        "retention_days": each.kept.days,
        "node": each.kept.source or None,
        "before": rfc3339(each.before) if each.before else None,
        "rows": sum(each.rows.values()),
        "tables": dict(each.rows),
        "open_alerts": each.open_alerts,
        "open_cases": each.open_cases,
        "state": "pruned" if each.rows else state,
    }


def _said(done: "list[Pruned]", dry: bool) -> str:
    limited = sum(each.kept.days is not None for each in done)
    if not limited:
        return "No node of the tree has the parameter retention_days, so everything is kept."
    rows = sum(sum(each.rows.values()) for each in done)
    verb = "would go" if dry else "gone"
    return f"{rows:,} rows {verb}; {limited:,} of {len(done):,} organizations have a retention."
