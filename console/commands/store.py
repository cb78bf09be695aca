"""`limegrove store`: what the store is, whether it is whole, upgrade, backup, restore."""

import argparse
from pathlib import Path

from console.commands.session import Problem, Session


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


def run(session: Session) -> int:
    """Look after the environment's store, whatever its schema."""
    from console.process import workspace

    workspace(session.settings.home)
    verb: str = session.arguments.verb
    if verb in ("upgrade", "restore"):
        session.refuse_read_only(f"store {verb}")
    return {"status": _status, "upgrade": _upgrade, "check": _check, "backup": _backup, "restore": _restore}[
        verb
    ](session)


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
