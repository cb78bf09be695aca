"""`limegrove doctor`: the posture of this installation, for people and for machines."""

import argparse
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from console.commands.session import Session

if TYPE_CHECKING:
    from console.settings import Settings

SKEW_WARN = 30.0
SKEW_BAD = 300.0
"""Seconds between our clock and LimaCharlie's."""
REACH_WITHIN = 5.0
"""Seconds for the endpoint to answer anything."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    item: str
    state: str
    """`ok`, `warn` or `bad`."""
    sentence: str


def configure(parser: argparse.ArgumentParser) -> None:
    """`doctor` has no options of its own; --offline leaves out the network."""
    parser.set_defaults(verb=None)


def run(session: Session) -> int:
    """Print {state, items: [{item, state, sentence}]}; 1 when anything is bad."""
    findings = [
        _python(),
        *_packages(),
        *_settings(session.settings),
        *_process(),
        _home(session.settings),
        _backend(session.settings),
        _credential(session.settings),
        _store(session),
        *_clocks(session),
        _signing(session.settings),
        *_deadlines(session),
        *_cut_off(session),
        *_keys(session),
    ]
    if session.settings.offline:
        findings.append(Finding("endpoint", "ok", "not asked, since the session is offline"))
    else:
        findings += session.run(_endpoint(session.settings))
    states = {finding.state for finding in findings}
    worst = next(state for state in ("bad", "warn", "ok") if state in states)
    rows = [asdict(finding) for finding in findings]
    session.show_object({"state": worst, "items": rows}, rows, ["state", "item", "sentence"])
    return 1 if worst == "bad" else 0


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"Python {version}")


def _packages() -> list[Finding]:
    """The screens were pictured with one version of Textual: another one shows something untested."""
    import re
    from importlib import metadata

    try:
        required = metadata.requires("limegrove") or []
    except metadata.PackageNotFoundError:
        return [Finding("packages", "warn", "limegrove is not installed, so versions cannot be compared")]
    pinned: dict[str, str] = dict(
        (found[1], found[2])
        for line in required
        if "extra ==" not in line and (found := re.match(r"([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", line))
    )
    wrong: list[str] = []
    for name, wanted in pinned.items():
        try:
            present = metadata.version(name)
        except metadata.PackageNotFoundError:
            present = "missing"
        if present != wanted:
            wrong.append(f"{name} {present} (tested with {wanted})")
    if wrong:
        remedy = "install limegrove alone, in an environment of its own"
        return [Finding("packages", "bad", f"{', '.join(wrong)}; {remedy}")]
    textual = pinned.get("textual", "?")
    return [
        Finding("packages", "ok", f"textual {textual} and {len(pinned) - 1} others are the tested versions")
    ]


def _settings(settings: "Settings") -> list[Finding]:
    chosen = sorted(name for name, source in settings.sources.items() if source != "default")
    told = ", ".join(f"{name} ({settings.sources[name]})" for name in chosen) or "all at their defaults"
    findings = [Finding("settings", "ok", f"{settings.file or 'no settings file'}; {told}")]
    if settings.ca_file is not None and not settings.ca_file.is_file():
        findings.append(Finding("ca_file", "bad", f"{settings.ca_file} is not a file"))
    return findings


def _process() -> list[Finding]:
    from console.process import posture

    now = posture()
    umask, core, dumpable = now["umask"], now["core_limit"], now["dumpable"]
    return [
        Finding("umask", "ok", "077: new files are private")
        if umask == 0o077
        else Finding("umask", "bad", f"{umask:03o}: new files are open to others"),
        Finding("core", "ok", "no core is dumped")
        if core == 0
        else Finding("core", "bad", "a crash may dump a core, with keys in it"),
        Finding("dumpable", "ok", "no debugger of the same user attaches")
        if dumpable == 0
        else Finding("dumpable", "warn", "another process of this user may read this one's memory"),
    ]


def _home(settings: "Settings") -> Finding:
    from console.process import WorkspaceError, workspace

    if not settings.home.exists() and not settings.home.is_symlink():
        return Finding(
            "home", "ok", f"{settings.home} is not there yet; it will be made, for this user alone"
        )
    try:
        workspace(settings.home)
    except WorkspaceError as error:
        return Finding("home", "bad", str(error))
    return Finding("home", "ok", f"{settings.home} is this user's alone")


def _backend(settings: "Settings") -> Finding:
    from console.credentials import ask_passphrase
    from store.credentials import Vault, backend_class

    choice = Vault(settings.home, ask_passphrase, backend=settings.backend).choose()
    if not choice.backend:
        return Finding("backend", "bad", choice.why)
    return Finding("backend", "ok", f"{choice.backend} ({backend_class(choice.backend)}): {choice.why}")


def _credential(settings: "Settings") -> Finding:
    """Whether there is one; it is not opened, so nobody is asked for a passphrase."""
    from console.credentials import ask_passphrase
    from console.process import take_environment_credentials
    from store.credentials import CredentialError, Vault

    name = settings.environment
    try:
        handed = take_environment_credentials()
        entries = {entry.environment: entry for entry in Vault(settings.home, ask_passphrase).entries()}
    except CredentialError as error:
        return Finding("credential", "bad", str(error))
    if handed is not None:
        return Finding("credential", "ok", f"a {handed.kind} key from LC_API_KEY; it is kept in memory only")
    if name in entries:
        return Finding("credential", "ok", f"{name}: a {entries[name].kind} key in {entries[name].backend}")
    return Finding("credential", "warn", f"none for {name}; run `limegrove auth login --env {name}`")


def _store(session: Session) -> Finding:
    from sqlalchemy.exc import SQLAlchemyError

    from console.settings import SettingsError, without_password
    from store.database import sqlite_path
    from store.errors import StoreError
    from store.schema import REVISIONS

    url = session.settings.store_url
    try:
        path = sqlite_path(url)
        if path is not None and not path.exists():
            return Finding("store", "warn", f"{path} is not there yet; run `limegrove sync`")
        dialect = session.store().dialect
    except (StoreError, SettingsError, SQLAlchemyError, ImportError) as error:
        sentence = (
            str(error)
            if isinstance(error, StoreError | SettingsError)
            else f"{type(error).__name__} at {without_password(url)}"
        )
        return Finding("store", "bad", sentence)
    return Finding("store", "ok", f"{dialect}, schema {REVISIONS[-1]}, {path or without_password(url)}")


def _clocks(session: Session) -> list[Finding]:
    """What of the tree's deadlines, retention and words on access is not understood, and whether
    something that was forgotten is still in the files; nothing when all is well or there is no store."""
    from sqlalchemy.exc import SQLAlchemyError

    from console.settings import SettingsError
    from store import forgetting, preferences, retention, sla
    from store.database import sqlite_path
    from store.errors import StoreError
    from store.queries import findings

    try:
        path = sqlite_path(session.settings.store_url)
        if path is not None and not path.exists():
            return []
        with session.reader.reading() as connection:
            kept = dict.fromkeys(each.problem for each in retention.kept(connection) if each.problem)
            unwritten = preferences.get(connection, forgetting.REWRITE)
            left = "something was forgotten, and its bytes may still be in the files; "
            return [
                *(Finding("retention", "warn", sentence) for sentence in kept),
                *([Finding("forgotten", "bad", f"{left}run `store prune --rewrite`")] if unwritten else []),
                *(Finding("clocks", "warn", sentence) for sentence in sla.problems(connection)),
                *(Finding("access", "warn", sentence) for sentence in findings.problems(connection)),
            ]
    except (StoreError, SettingsError, SQLAlchemyError, ImportError):
        return []  # said of the store already


def _deadlines(session: Session) -> list[Finding]:
    """Access whose end has passed and that is still there, with how to end it; nothing when there is none."""
    from sqlalchemy.exc import SQLAlchemyError

    from console.settings import SettingsError
    from store.breakglass import KIND, listed
    from store.database import sqlite_path
    from store.deadlines import overdue
    from store.errors import StoreError
    from store.text import safe_text
    from store.times import age, now_ms

    now = now_ms()
    try:
        path = sqlite_path(session.settings.store_url)
        if path is not None and not path.exists():
            return []
        with session.reader.reading() as connection:
            late = overdue(connection, now)
            numbers = {each.deadline_id: each.id for each in listed(connection, only_open=True)}
    except (StoreError, SettingsError, SQLAlchemyError, ImportError):
        return []  # said of the store already
    found = []
    for each in late:
        why = f": {safe_text(each.reason, 200)}" if each.reason else ""
        tried = f", tried {each.tries} times{why}" if each.tries else ""
        remedy = (
            f"`limegrove access break-glass end {numbers[each.id]}` takes it back"
            if each.kind == KIND and each.id in numbers
            else "`limegrove sync` makes it"
        )
        found.append(
            Finding(
                each.kind,
                "bad",
                f"OVERDUE for {age(each.due_at, now)}: {safe_text(each.title, 120)}{tried}; {remedy}",
            )
        )
    return found


def _cut_off(session: Session) -> list[Finding]:
    """Plans about access that nobody is carrying on with, and how to; nothing when there is none."""
    from sqlalchemy.exc import SQLAlchemyError

    from console.settings import SettingsError
    from store import accessplans, planwork
    from store.database import sqlite_path
    from store.errors import StoreError
    from store.processes import alive
    from store.text import safe_text
    from store.times import age, now_ms

    now = now_ms()
    found = []
    try:
        path = sqlite_path(session.settings.store_url)
        if path is not None and not path.exists():
            return []
        with session.reader.reading() as connection:
            for held in planwork.applying(connection):
                if held.holder and alive(held.holder) is not False:
                    continue
                steps = accessplans.load(connection, held.id).steps
                made = sum(step.outcome in ("done", "already") for step in steps)
                found.append(
                    Finding(
                        "plan",
                        "bad",
                        f"plan {held.id} ({safe_text(held.title, 120)}) was cut off {age(held.beat_at, now)} "
                        f"ago with {made:,} of {len(steps):,} changes made; "
                        f"`limegrove access apply {held.id}` carries on with it",
                    )
                )
    except (StoreError, SettingsError, SQLAlchemyError, ImportError):
        return []  # said of the store already
    return found


def _keys(session: Session) -> list[Finding]:
    """What is wrong with the provider's own recipes for API keys, and keys whose secret nobody was given."""
    from sqlalchemy.exc import SQLAlchemyError

    from console.operations.keys import Refused, own_recipes
    from console.settings import SettingsError
    from store.database import sqlite_path
    from store.errors import StoreError
    from store.queries.apikeys import unheld

    found = []
    try:
        _own, problems = own_recipes(session.settings.recipes)
        found += [Finding("keys", "warn", f"{session.settings.recipes}: {each}") for each in problems]
    except Refused as error:
        found.append(Finding("keys", "warn", str(error)))
    try:
        path = sqlite_path(session.settings.store_url)
        if path is not None and not path.exists():
            return found
        with session.reader.reading() as connection:
            nobody = len(unheld(connection))
    except (StoreError, SettingsError, SQLAlchemyError, ImportError):
        return found  # said of the store already
    if nobody:
        said = (
            "1 API key was made whose secret nobody was given"
            if nobody == 1
            else (f"{nobody:,} API keys were made whose secrets nobody was given")
        )
        found.append(
            Finding("keys", "warn", f"{said}; `limegrove key list --filter held:no` names what to revoke")
        )
    return found


def _signing(settings: "Settings") -> Finding:
    """The key that evidence is signed with; it is not opened, so nobody is asked for a passphrase."""
    from console.signing import SigningError, known, words
    from store.credentials import CredentialError

    try:
        found = known(settings.home)
    except (SigningError, CredentialError) as error:
        return Finding("signing", "bad", str(error))
    return Finding("signing", "ok", words(found) if found else "no key yet; it is made when it is needed")


async def _endpoint(settings: "Settings") -> list[Finding]:
    """Ask for anything, without a key: any answer will do, and its Date is the server's clock."""
    import ssl
    import time
    from email.utils import parsedate_to_datetime

    import aiohttp

    url = settings.endpoint or "https://api.limacharlie.io"
    try:
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
        timeout = aiohttp.ClientTimeout(total=REACH_WITHIN)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as client,
            client.get(url + "/v1/", allow_redirects=False, proxy=settings.proxy, ssl=context) as answer,
        ):
            date = answer.headers.get("Date", "")
            now = time.time()
    except TimeoutError:
        return [Finding("endpoint", "bad", f"{url} did not answer within {REACH_WITHIN:g} s")]
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return [Finding("endpoint", "bad", f"{url} cannot be reached ({type(error).__name__})")]
    found = [Finding("endpoint", "ok", f"{url} answers")]
    try:
        skew = now - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return [*found, Finding("clock", "warn", "the endpoint does not say its time")]
    state = "bad" if abs(skew) > SKEW_BAD else "warn" if abs(skew) > SKEW_WARN else "ok"
    direction = "ahead of" if skew > 0 else "behind"
    return [*found, Finding("clock", state, f"{abs(skew):.0f} s {direction} the endpoint's")]
