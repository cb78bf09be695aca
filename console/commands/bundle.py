"""`limegrove bundle`: configuration, access and alerts of a scope in one signed file, for offline review."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from console.commands.session import Problem, Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.operations.bundles import Bundle

Result = TypeVar("Result")

PREFIX = "limegrove-bundle-"
"""What the directories are called in which bundles are looked at."""

PROFILES = ("full", "no-events", "no-people")
"""As `store.bundles.PROFILES` has them, which is not imported to print a help text."""

EXPORT = """\
A new file (0600) of what is below --scope: configuration with its history, access,
alerts with their state, sensors, cases, usage and documentation. It has to be asked
for of whom it is about: it says as much of them as this store. Left out are decisions,
plans, runs, reviews and the journal, templates, prices, and secrets, which are not in
the store.

  --profile full        everything else
  --profile no-events   alerts without event, host and sensor; no sensors, no cases
  --profile no-people   besides, a number for whoever has an address or acted"""

OPEN = """\
The console on a store of its own, offline and read-only, removed when it is left;
without a terminal a JSON summary once all of it was taken in. With --into the store
stays: a new workspace for as many commands as are needed. Nothing of a bundle
reaches this environment's store."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `bundle`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    export = verbs.add_parser(
        "export", help="write what is below --scope into a signed file", description=EXPORT
    )
    export.add_argument("file", metavar="FILE", help="must not exist")
    export.add_argument("--profile", choices=PROFILES, default="full", help="what is left out besides (full)")
    export.add_argument(
        "--since", metavar="DURATION", help="only alerts and audit entries not older than this: 90d"
    )
    export.add_argument(
        "--expires", metavar="DURATION", default="30d", help="for how long it is opened (30d)"
    )
    for verb, said, description in (
        ("verify", "whether it is what was signed, and with which key", ""),
        ("open", "look at it in the console, offline and read-only", OPEN),
    ):
        each = verbs.add_parser(verb, help=said, description=description or None)
        each.add_argument("file", metavar="FILE", help="a file that `bundle export` made")
        each.add_argument(
            "--fingerprint",
            metavar="SHA256:...",
            default="",
            help="of the key it has to be signed with, from its maker's `limegrove doctor`; else ours",
        )
    each.add_argument(
        "--into", metavar="DIR", help="make a workspace of it, in a directory that does not exist yet"
    )
    each.add_argument(
        "--older", action="store_true", help="though a newer one of its scope was opened before"
    )


def run(session: Session) -> int:
    """Export, verify or open."""
    return {"export": _export, "verify": _verify, "open": _open}[session.arguments.verb](session)


def _export(session: Session) -> int:
    from console import bundlefile, signing
    from console.operations import bundles
    from store.times import now_ms

    given = session.arguments
    session.refuse_read_only("bundle export")
    since = _duration(given.since, "--since") if given.since else None
    days = _duration(given.expires, "--expires") // bundles.DAY
    if not 1 <= days <= bundles.LONGEST:
        raise Problem(f"--expires takes from 1d to {bundles.LONGEST}d.", code=2)
    path = Path(given.file)
    if os.path.lexists(path):
        raise Problem(f"{path} is already there; nothing was written over.")
    node = session.scope()
    try:
        sign, key = signing.signer(session.settings, bundlefile.KIND)
    except signing.SigningError as error:
        raise Problem(str(error)) from error
    now = now_ms()
    made = bundles.export(
        session.store(), node, path, sign=sign, key=key, profile=given.profile,
        since=None if since is None else now - since, days=days, operator=session.operator, now=now,
    )  # fmt: skip
    session.show_object({"file": str(path), "bytes": made.file.size} | _about(made))
    if made.unread:
        session.say(
            f"Not whole, and said so in it: {_few(sorted({made.names[oid] for oid, *_ in made.unread}))}."
        )
    session.say(
        f"Its reader needs the fingerprint {key.fingerprint} by another way than the file: "
        f"`limegrove bundle open {path.name} --fingerprint {key.fingerprint}`."
    )
    return 0


def _verify(session: Session) -> int:
    session.show_object({"valid": True} | _about(_checked(session)))
    return 0


def _open(session: Session) -> int:
    from console import throwaway
    from console.operations import bundles
    from console.process import workspace

    found = _checked(session)
    given = session.arguments
    workspace(session.settings.home)
    if not given.older:
        _possible(given.file, lambda: bundles.refuse_older(session.settings.home, found))
    if given.into is not None:
        return _into(session, found, Path(given.into))
    with throwaway.directory(PREFIX) as home:
        _taken(session, found, home)
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            session.show_object({"valid": True} | _about(found))
            return 0
        return _console(session, home)


def _into(session: Session, found: "Bundle", target: Path) -> int:
    import shutil
    import tempfile

    from console.operations.files import refuse_nowhere

    if os.path.lexists(target):
        raise Problem(f"{target} is already there; nothing was changed.")
    refuse_nowhere(target.absolute().parent)
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.absolute().parent))
    except OSError as error:
        raise Problem(f"{target} cannot be made: {error.strerror}.") from error
    try:
        _taken(session, found, aside)
        os.rename(aside, target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    session.show_object({"workspace": str(target.absolute())} | _about(found))
    session.say(
        f"`LIMEGROVE_HOME={target.absolute()} limegrove --offline --read-only` opens the console on it."
    )
    return 0


def _taken(session: Session, found: "Bundle", home: Path) -> None:
    """Make a workspace of a bundle, and remember that it was opened."""
    from console.operations import bundles
    from store.database import Store

    (home / "default").mkdir(mode=0o700)
    store = Store(f"sqlite:///{home / 'default' / 'store.db'}")
    try:
        _possible(session.arguments.file, lambda: bundles.take(found, store, session.progress))
    finally:
        store.close()
        session.clear_progress()
    bundles.remember(session.settings.home, found)


def _console(session: Session, home: Path) -> int:
    from dataclasses import replace

    from console.app import run_console
    from store.database import Store

    url = f"sqlite:///{home / 'default' / 'store.db'}"
    return run_console(
        open_store=lambda: Store(url),
        environment="bundle",
        settings=replace(
            session.settings, home=home, environment="default", store_url=url, offline=True, read_only=True
        ),
        copies=session.settings.home / "copied.txt",
    )


def _checked(session: Session) -> "Bundle":
    """The bundle, signed with the key that was expected.

    Raises:
        Problem: it is not, or nobody here knows whose key it is.
    """
    from console import signing
    from console.operations import bundles

    given = session.arguments

    def check() -> "Bundle":
        expected: str = given.fingerprint
        if not expected:
            own = signing.known(session.settings.home)
            expected = own.key.fingerprint if own is not None else ""
        found = bundles.checked(Path(given.file), expected=expected)
        if not expected:
            raise signing.OtherKey(
                f"the signature fits, but nobody here knows whose key {found.file.key.fingerprint} is. "
                "Compare it with what `limegrove doctor` of its maker says, and give it with --fingerprint."
            )
        return found

    return _possible(given.file, check)


def _possible(file: str, what: "Callable[[], Result]") -> Result:
    from console import signing
    from store.bundles import BadBundle

    try:
        return what()
    except (signing.BadSignature, signing.SigningError, BadBundle) as error:
        raise Problem(f"{file}: {error}") from error


def _about(found: "Bundle") -> dict[str, Any]:
    from store.times import rfc3339

    return {
        "fingerprint": found.file.key.fingerprint,
        "made": rfc3339(found.made_at),
        "by": found.by,
        "expires": rfc3339(found.expires_at),
        "limegrove": found.limegrove,
        "scope": found.path or "everything",
        "profile": found.profile,
        "since": rfc3339(found.since) if found.since is not None else None,
        "organizations": len(found.names),
        "rows": found.rows,
        "not_whole": [
            {"oid": oid, "organization": found.names.get(oid, oid), "what": subject, "why": why}
            for oid, subject, why in found.unread
        ],
        "left_out": list(found.left_out),
    }


def _few(names: list[str], most: int = 5) -> str:
    named = ", ".join(names[:most])
    return named if len(names) <= most else f"{named}, and {len(names) - most} more"


def _duration(said: str, option: str) -> int:
    """Milliseconds.

    Raises:
        Problem: it is no duration.
    """
    from store.times import parse_duration

    try:
        return parse_duration(said) * 1000
    except ValueError as error:
        raise Problem(f"{option}: {error}", code=2) from error
