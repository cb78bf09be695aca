"""`limegrove sandbox serve`: a stand-in for LimaCharlie's cloud on this machine."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from console.commands.problem import Problem

if TYPE_CHECKING:
    import asyncio

    from console.commands.session import Session
    from console.sandbox.faults import Rule
    from console.sandbox.world import World

MOST_ORGANIZATIONS = 1 << 20
MOST_DETECTIONS = 1 << 24
MOST_STORM = 100_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `sandbox`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    serve = verbs.add_parser(
        "serve",
        help="serve it until ended; one JSON line says the address and the credentials",
        description="Serve LimaCharlie's HTTP API, all hosts on one port, until SIGTERM or Ctrl+C. "
        "Prints one JSON line: url, uid, api_key, oids, org_api_keys, users.",
    )
    serve.add_argument("--seed", type=int, default=7, help="another number, another provider (7)")
    serve.add_argument("--orgs", type=int, default=216, metavar="N", help="how many organizations (216)")
    serve.add_argument(
        "--detections",
        type=int,
        default=12_000,
        metavar="N",
        help="detections over all of them, in 30 days (12000)",
    )
    serve.add_argument("--port", type=int, default=0, metavar="P", help="0 takes a free one (0)")
    serve.add_argument("--host", default="127.0.0.1", help="a loopback address (127.0.0.1)")
    serve.add_argument(
        "--latency", type=float, default=0, metavar="MS", help="milliseconds that each answer waits (0)"
    )
    serve.add_argument(
        "--rate-quota",
        type=int,
        default=600_000,
        metavar="N",
        help="requests of one credential in a window (600000)",
    )
    serve.add_argument("--rate-period", type=int, default=60, metavar="S", help="seconds of the window (60)")
    serve.add_argument(
        "--live-rate",
        type=float,
        default=0,
        metavar="N",
        help="new detections a minute over all organizations (0)",
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
    """Serve until ended.

    Raises:
        Problem: a value makes no sense (exit code 2), or the address cannot be used (1).
    """
    import asyncio

    return asyncio.run(_serve(session.arguments))


def _check(arguments: argparse.Namespace) -> None:
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
        given = getattr(arguments, name)
        if not low <= given <= high:
            raise Problem(
                f"--{name.replace('_', '-')} {given:g} makes no sense; it goes from {low:g} to {high:.15g}.",
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
        "oids": [organization.oid for organization in world.organizations],
        "org_api_keys": {
            organization.oid: access.keys(organization)[0].secret for organization in world.organizations
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


async def _serve(arguments: argparse.Namespace) -> int:
    import asyncio
    import signal

    import orjson

    _check(arguments)
    now_ms = _now_ms(arguments.now)
    rules = _rules(arguments.faults)

    from console.sandbox.server import NotLoopback, Sandbox
    from console.sandbox.world import World

    world = World(seed=arguments.seed, orgs=arguments.orgs, detections=arguments.detections, now_ms=now_ms)
    sandbox = Sandbox(
        world,
        latency=arguments.latency,
        rate_quota=arguments.rate_quota,
        rate_period=arguments.rate_period,
        live_rate=arguments.live_rate,
        storm_after=arguments.storm_after,
        storm=arguments.storm,
    )
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
        sys.stdout.buffer.write(orjson.dumps(_line(world, url)) + b"\n")
        sys.stdout.buffer.flush()
        await ended.wait()
    finally:
        await sandbox.stop()
    return 0
