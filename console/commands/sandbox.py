"""`limegrove sandbox`: a stand-in for LimaCharlie's cloud on this machine, and its state in a file."""

import argparse
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.problem import Problem

if TYPE_CHECKING:
    import asyncio

    from console.commands.session import Session
    from console.sandbox.faults import Rule
    from console.sandbox.server import Sandbox
    from console.sandbox.world import World

MOST_ORGANIZATIONS = 1 << 20
MOST_DETECTIONS = 1 << 24
MOST_STORM = 100_000
PATIENCE = 120.0
"""Seconds for a sandbox to hand over what has become of it."""

MADE_OF: dict[str, Any] = {
    "seed": 7, "orgs": 216, "detections": 12_000, "live_rate": 0.0, "storm_after": None, "storm": None,
    "now": None,
}  # fmt: skip
"""What a sandbox is made of when nothing else is said; with `--from` the snapshot has all of it."""
SERVED: dict[str, Any] = {"latency": 0.0, "rate_quota": 600_000, "rate_period": 60}
"""How it is served when nothing else is said; with `--from` the snapshot says it, and an option overrules."""


_SNAPSHOT = """\
Write what has become of the sandbox that serves at LIMEGROVE_ENDPOINT into one
JSON file, all of one moment; the sandbox goes on. Another one starts with exactly
that state by

  limegrove sandbox serve --from FILE

The file holds the sandbox's credentials and whatever was put into its hives:
only you can read it (mode 0600)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `sandbox`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _configure_serve(
        verbs.add_parser(
            "serve",
            help="serve it until ended; one JSON line says the address and the credentials",
            description="Serve LimaCharlie's HTTP API, all hosts on one port, until SIGTERM or Ctrl+C. "
            "Prints one JSON line: url, uid, api_key, oids, org_api_keys, users.",
        )
    )
    snapshot = verbs.add_parser(
        "snapshot",
        help="keep the state of a sandbox that serves in a file, to serve it from there again",
        description=_SNAPSHOT,
    )
    snapshot.add_argument("file", metavar="FILE", help="must not exist")
    snapshot.add_argument(
        "--endpoint",
        metavar="URL",
        help="the `url` that `sandbox serve` printed, in place of LIMEGROVE_ENDPOINT",
    )
    snapshot.set_defaults(verb="snapshot")


def _configure_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--from",
        dest="snapshot",
        metavar="FILE",
        help="go on where `sandbox snapshot` wrote FILE: same provider, credentials, tokens, clock",
    )
    serve.add_argument("--seed", type=int, help="another number, another provider (7)")
    serve.add_argument("--orgs", type=int, metavar="N", help="how many organizations (216)")
    serve.add_argument(
        "--detections", type=int, metavar="N", help="detections over all of them, in 30 days (12000)"
    )
    serve.add_argument("--port", type=int, default=0, metavar="P", help="0 takes a free one (0)")
    serve.add_argument("--host", default="127.0.0.1", help="a loopback address (127.0.0.1)")
    serve.add_argument("--latency", type=float, metavar="MS", help="milliseconds that each answer waits (0)")
    serve.add_argument(
        "--rate-quota", type=int, metavar="N", help="requests of one credential in a window (600000)"
    )
    serve.add_argument("--rate-period", type=int, metavar="S", help="seconds of the window (60)")
    serve.add_argument(
        "--live-rate", type=float, metavar="N", help="new detections a minute over all organizations (0)"
    )
    serve.add_argument(
        "--storm-after",
        type=float,
        metavar="SECONDS",
        help="when one rule fires at many organizations; 90 to 150 when live, never otherwise",
    )
    serve.add_argument(
        "--storm",
        type=int,
        metavar="N",
        help="the storm is N detections over 60 organizations; 6 to 30 at each of some otherwise",
    )
    serve.add_argument(
        "--now", metavar="TIME", help="RFC 3339: the end of the past; the moment of the start if not given"
    )
    serve.add_argument(
        "--faults",
        metavar="FILE",
        help="JSON: a list of rules, which requests meet which trouble (see console/sandbox/faults.py)",
    )
    serve.add_argument(
        "--while-stdin",
        action="store_true",
        help="end when standard input is closed, as it is when a parent dies",
    )
    serve.set_defaults(verb="serve")


def run(session: "Session") -> int:
    """Serve until ended, or write a snapshot.

    Raises:
        Problem: a value makes no sense (exit code 2), the address cannot be used or is no sandbox's (1), or
            the session is offline (5).
    """
    if session.arguments.verb == "snapshot":
        return _snapshot(session)
    import asyncio

    return asyncio.run(_serve(session.arguments))


def _check(arguments: argparse.Namespace) -> None:
    """Fill in what was not said, and refuse what makes no sense."""
    given = [name for name in MADE_OF if getattr(arguments, name) is not None]
    if arguments.snapshot is not None and given:
        option = f"--{given[0].replace('_', '-')}"
        raise Problem(
            f"{option} does not go with --from: the snapshot says what the sandbox is made of.", code=2
        )
    for name, usual in (MADE_OF | SERVED).items() if arguments.snapshot is None else ():
        if getattr(arguments, name) is None:
            setattr(arguments, name, usual)
    limits: tuple[tuple[str, float, float], ...] = (
        ("orgs", 1, MOST_ORGANIZATIONS),
        ("detections", 0, MOST_DETECTIONS),
        ("port", 0, 65_535),
        ("latency", 0, 60_000),
        ("rate_quota", 1, 1e12),
        ("rate_period", 1, 86_400),
        ("live_rate", 0, 1_000_000),
    )
    for name, low, high in limits:
        said = getattr(arguments, name)
        if said is not None and not low <= said <= high:
            raise Problem(
                f"--{name.replace('_', '-')} {said:g} makes no sense; it goes from {low:g} to {high:.15g}.",
                code=2,
            )
    check_storm(arguments)


def check_storm(arguments: argparse.Namespace) -> None:
    """Refuse a storm that makes no sense.

    Raises:
        Problem: its size or its start is out of bounds; exit code 2.
    """
    if arguments.storm is not None and not 1 <= arguments.storm <= MOST_STORM:
        raise Problem(f"--storm takes a number of detections, from 1 to {MOST_STORM}.", code=2)
    if arguments.storm_after is not None and not 0 <= arguments.storm_after <= 1e7:
        raise Problem("--storm-after takes seconds from the start, 0 or more.", code=2)


def _now_ms(text: str | None) -> int | None:
    if text is None:
        return None
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Problem(f"--now {text!r} is no RFC 3339 time; try 2026-01-31T12:00:00Z.", code=2)
    return int(moment.timestamp() * 1000)


def _line(world: "World", url: str) -> dict[str, object]:
    """What a caller needs to use the sandbox.

    `users` names the staff, who left, and the customers' people of the first organizations.
    """
    access = world.access
    root = access.users[access.root]
    first = {email for organization in world.organizations[:12] for email, _ in access.contacts(organization)}
    shown = [
        email
        for email in access.users
        if email in access.staff or email in first or email in (access.left, access.leaked)
    ]
    return {
        "url": url,
        "uid": root.uid,
        "api_key": root.api_key,
        "oids": list(world.by_oid),
        "org_api_keys": {
            oid: keys[0].secret for oid, one in world.by_oid.items() if (keys := access.keys(one))
        },
        "users": {
            email: {"uid": access.users[email].uid, "api_key": access.users[email].api_key} for email in shown
        },
    }


def _read_on(descriptor: int, ended: "asyncio.Event") -> None:
    if not os.read(descriptor, 4096):
        ended.set()


def _rules(path: str | None) -> "list[Rule]":
    from console.sandbox.faults import BadRules, read_rules

    if path is None:
        return []
    try:
        with open(path, "rb") as file:
            return read_rules(file.read())
    except OSError as error:
        raise Problem(f"--faults {path!r} cannot be read: {error.strerror or error}.", code=2) from None
    except BadRules as error:
        raise Problem(f"--faults {path!r}: {error}", code=2) from None


def _made(arguments: argparse.Namespace, now_ms: int | None) -> "Sandbox":
    from console.sandbox.server import Sandbox
    from console.sandbox.world import World

    world = World(seed=arguments.seed, orgs=arguments.orgs, detections=arguments.detections, now_ms=now_ms)
    return Sandbox(
        world,
        latency=arguments.latency,
        rate_quota=arguments.rate_quota,
        rate_period=arguments.rate_period,
        live_rate=arguments.live_rate,
        storm_after=arguments.storm_after,
        storm=arguments.storm,
    )


def _resumed(arguments: argparse.Namespace) -> "Sandbox":
    """The sandbox of a snapshot, all of which was looked at.

    Raises:
        Problem: the file is none; exit code 2.
    """
    from console.sandbox.server import Sandbox
    from console.sandbox.snapshot import BadSnapshot, loads

    path: str = arguments.snapshot
    try:
        return Sandbox.resumed(
            loads(_read(path)),
            latency=arguments.latency,
            rate_quota=arguments.rate_quota,
            rate_period=arguments.rate_period,
        )
    except OSError as error:
        raise Problem(f"--from {path!r} cannot be read: {error.strerror or error}.", code=2) from None
    except BadSnapshot as error:
        raise Problem(f"--from {path!r} is no snapshot that can be served: {error}.", code=2) from None


def _read(path: str) -> bytes:
    """A file, as far as one byte more than a snapshot may have."""
    from console.sandbox.snapshot import MOST_BYTES

    # Whoever names a pipe or a device must not be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no regular file")
        return file.read(MOST_BYTES + 1)


def _snapshot(session: "Session") -> int:
    if session.settings.offline:
        raise Problem("This asks a sandbox, and the session is offline; leave out --offline.", code=5)
    path = Path(session.arguments.file)
    if os.path.lexists(path):
        raise Problem(f"{path} is already there; nothing was written over.")
    raw = _asked(_address(session))

    from console.sandbox.snapshot import BadSnapshot, loads

    try:
        kept = loads(raw)
    except BadSnapshot as error:
        raise Problem(f"What the sandbox answered is no snapshot: {error}; nothing was written.") from None
    _write(path, raw)
    from store.times import rfc3339

    session.show_object(
        {
            "file": str(path),
            "bytes": len(raw),
            "organizations": kept.origin.orgs + len(kept.world.made) - len(kept.world.deleted),
            "seed": kept.origin.seed,
            "time": rfc3339(kept.world.clock),
        }
    )
    session.say("It holds the sandbox's credentials; only you can read it.")
    return 0


def _address(session: "Session") -> str:
    """The sandbox's address, of this machine.

    Raises:
        SettingsError: what is given is no address.
        Problem: there is none, or it is another machine's; exit code 2.
    """
    from urllib.parse import urlsplit

    from store.endpoints import is_loopback

    url = session.settings.endpoint
    if not url:
        raise Problem(
            "No sandbox is named: set LIMEGROVE_ENDPOINT to the `url` that `limegrove sandbox serve` "
            "printed, or give it as --endpoint URL.",
            code=2,
        )
    parts = urlsplit(url)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        raise Problem(
            f"A sandbox listens on this machine alone, and {url} is elsewhere; nothing was asked.", code=2
        )
    return url.rstrip("/")


def _asked(url: str) -> bytes:
    """The snapshot that a sandbox hands over.

    Raises:
        Problem: nobody answers, or no sandbox does, or it cannot take one.
    """
    import http.client
    import json
    import urllib.error
    import urllib.request

    from console.sandbox.snapshot import FORMAT, MOST_BYTES

    class Refused(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    # Neither a proxy of the environment nor a redirect leads anywhere else.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Refused)
    no_sandbox = (
        f"What answers at {url} is no sandbox of limegrove's that can take a snapshot; nothing was written."
    )
    try:
        with opener.open(f"{url}/sandbox/snapshot", timeout=PATIENCE) as answer:
            raw: bytes = answer.read(MOST_BYTES + 1)
    except urllib.error.HTTPError as refused:
        with refused:
            said = refused.read(65_536)
        try:
            why = json.loads(said).get("error")
        except (ValueError, AttributeError, RecursionError):
            why = None
        if refused.code == 409 and isinstance(why, str):
            raise Problem(f"The sandbox at {url} says: {why[:500]}") from None
        raise Problem(no_sandbox) from None
    except TimeoutError:
        raise Problem(f"The sandbox at {url} did not answer within {PATIENCE:.0f} seconds.") from None
    except urllib.error.URLError as error:
        why = getattr(error.reason, "strerror", None) or error.reason
        raise Problem(f"No sandbox answers at {url}: {why}; `limegrove sandbox serve` starts one.") from None
    except (OSError, http.client.HTTPException):
        raise Problem(no_sandbox) from None
    if FORMAT.encode() not in raw[:200]:
        raise Problem(no_sandbox)
    return raw


def _write(path: Path, raw: bytes) -> None:
    """Write a file whole or not at all, readable by this user alone; never over another."""
    import secrets

    from console.operations.files import put_there

    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(descriptor)
            put_there(part, path)
        finally:
            part.unlink(missing_ok=True)
        directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except FileExistsError:
        raise Problem(f"{path} is already there; nothing was written over.") from None
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error.strerror or error}.") from None


async def _serve(arguments: argparse.Namespace) -> int:
    import asyncio
    import signal

    import orjson

    _check(arguments)
    now_ms = _now_ms(arguments.now)
    rules = _rules(arguments.faults)

    from console.sandbox.server import NotLoopback

    sandbox = _made(arguments, now_ms) if arguments.snapshot is None else _resumed(arguments)
    sandbox.faults.add(*rules)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if arguments.while_stdin:
        try:
            loop.add_reader(sys.stdin.fileno(), _read_on, sys.stdin.fileno(), ended)
        except (OSError, ValueError):
            raise Problem("--while-stdin needs a pipe or a terminal as standard input.", code=2) from None
    try:
        url = await sandbox.start(port=arguments.port, host=arguments.host)
    except NotLoopback as refused:
        raise Problem(str(refused), code=2) from None
    except OSError as error:
        raise Problem(
            f"The sandbox cannot listen on {arguments.host} port {arguments.port}: {error.strerror or error}."
        ) from None
    try:
        sys.stdout.buffer.write(orjson.dumps(_line(sandbox.world, url)) + b"\n")
        sys.stdout.buffer.flush()
        await ended.wait()
    finally:
        await sandbox.stop()
    return 0
