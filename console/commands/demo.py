"""`limegrove demo`: the console on a realistic provider, no account needed.

The stage set is a sandbox in a process of its own; everything that the console shows of it was read
over HTTP, through the same client and the same sync as with LimaCharlie's cloud.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console import throwaway
from console.commands.parser import whole
from console.commands.sandbox import MOST_DETECTIONS, MOST_ORGANIZATIONS, check_storm
from console.commands.session import Problem, Session

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from console.operations.ports import Report
    from store.database import Store

START_WITHIN = 60.0
"""Seconds for the sandbox to say its address."""


PREFIX = "limegrove-demo-"
"""What the directories of demos are called, in the system's for temporary files."""
DESCRIPTION = """\
The console on a realistic provider in a sandbox; no account.

A demo keeps everything in a directory of its own, which is removed at its end:
nothing in LIMEGROVE_HOME, and no other command reaches its store. To try
commands, let a sandbox serve, and give them what its first line says:

  limegrove sandbox serve --orgs 40
  export LIMEGROVE_ENDPOINT=url LC_UID=uid LC_API_KEY=api_key
  export LIMEGROVE_HOME=$(mktemp -d)
  limegrove sync"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `demo`."""
    parser.description = DESCRIPTION
    parser.add_argument("--seed", type=int, default=7, help="another number, another provider (7)")
    parser.add_argument(
        "--orgs", type=whole(1, MOST_ORGANIZATIONS), default=216, metavar="N", help="how many customers (216)"
    )
    parser.add_argument(
        "--detections",
        type=whole(0, MOST_DETECTIONS),
        default=12_000,
        metavar="N",
        help="how many detections (12000)",
    )
    parser.add_argument(
        "--live-rate", type=whole(0, 1_000_000), default=20, metavar="N", help="new detections a minute (20)"
    )
    parser.add_argument(
        "--storm", type=int, metavar="N", help="let the storm be N detections over 60 customers"
    )
    parser.add_argument(
        "--storm-after", type=float, metavar="SECONDS", help="when it breaks out, from the start (90 to 150)"
    )
    parser.add_argument(
        "--untouched",
        action="store_true",
        help="leave the past to the operator: no alert was ever decided on",
    )
    parser.add_argument(
        "--once", action="store_true", help="sync once, print a JSON summary and leave, as without a terminal"
    )


def run(session: Session) -> int:
    """Open the console on a sandbox; without a terminal print what was started and read, as JSON."""
    check_storm(session.arguments)
    with throwaway.directory(PREFIX) as home:
        if session.arguments.once or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return session.run(_once(session, home))
        return _console(session, home)


@asynccontextmanager
async def _stage(arguments: argparse.Namespace, *, live: bool) -> AsyncIterator[dict[str, Any]]:
    """A sandbox in a process of its own, ended with us; yields the line that it prints."""
    command = [sys.executable, "-m", "console", "sandbox", "serve"]
    for name in ("seed", "orgs", "detections"):
        command += [f"--{name}", str(getattr(arguments, name))]
    if live:
        command += ["--live-rate", str(arguments.live_rate)]
        for name in ("storm", "storm_after"):
            if getattr(arguments, name) is not None:
                command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    process = await asyncio.create_subprocess_exec(
        *command,
        "--while-stdin",  # however we end, our end of the pipe closes, and the sandbox with it
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 26,  # the line names each organization: more than 64 kB from some 450 on
        cwd=Path(__file__).parents[2],
        start_new_session=True,  # ctrl+c in the console is the console's alone
    )
    try:
        async with asyncio.timeout(START_WITHIN):
            line = await process.stdout.readline() if process.stdout else b""
        if not line:
            raise Problem(
                "The sandbox ended before it said its address; run `limegrove sandbox serve` to see why."
            )
        yield json.loads(line)
    except TimeoutError as error:
        raise Problem(f"The sandbox did not start within {START_WITHIN:.0f} seconds.") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@asynccontextmanager
async def _connected(stage: dict[str, Any]) -> "AsyncIterator[Cloud]":
    from console.limacharlie.client import Cloud
    from console.limacharlie.credentials import UserKey
    from console.limacharlie.endpoint import Endpoint
    from store.secret import Secret

    credentials = UserKey(stage["uid"], Secret(stage["api_key"]))
    async with Cloud(credentials, Endpoint.single(stage["url"])) as cloud:
        yield cloud


def _plant_tree(store: "Store", arguments: argparse.Namespace) -> None:
    """Import the provider's hierarchy, as `tree import` would."""
    from console.operations.tree import import_nodes
    from console.sandbox.world import World

    world = World(seed=arguments.seed, orgs=arguments.orgs, detections=arguments.detections)
    import_nodes(world.tree(), store=store, known_only=False)


def _set_prices(store: "Store") -> None:
    """The example of a price book, so that there is a statement to look at."""
    from console.operations.billing import import_prices
    from store.examplebook import TEXT

    import_prices(store, TEXT.encode(), file="example", by="dana")


async def _past_shifts(store: "Store", arguments: argparse.Namespace, report: "Report") -> None:
    """Once every alert is there, let the staff have decided on those before this shift; line 1 says that this
    is why thousands go from the queue."""
    if arguments.untouched:
        return
    from console.operations.ports import Progress
    from console.sandbox.shifts import play
    from console.sandbox.world import World
    from store.queries.activity import detections_read
    from store.times import now_ms

    def all_read() -> bool:
        with store.reader.reading() as connection:
            return detections_read(connection)

    while not await asyncio.to_thread(all_read):  # noqa: ASYNC110  (the store has no event to wait for)
        await asyncio.sleep(0.3)
    world = World(seed=arguments.seed, orgs=arguments.orgs, detections=arguments.detections)
    playing = asyncio.ensure_future(asyncio.to_thread(play, store, world.access.analysts, now_ms()))
    while not playing.done():
        report(Progress(0, 0, "deciding on the past"))
        await asyncio.wait([playing], timeout=0.5)
    report(Progress(0, 0, "idle"))
    await playing


async def _engineer(store: "Store", cloud: "Cloud", arguments: argparse.Namespace, key: bytes) -> None:
    """The library on the tree, one rollout that was made, and one that waits."""
    from console.sandbox import engineering
    from console.sandbox.world import World
    from store.times import now_ms

    by = World(seed=arguments.seed, orgs=arguments.orgs, detections=1).access.engineers[0]
    await asyncio.to_thread(engineering.stock, store, by=by, now=now_ms())
    if not arguments.untouched:
        await engineering.roll_out(store, cloud, key=key, by=by)


async def _write_down(store: "Store", cloud: "Cloud", arguments: argparse.Namespace) -> None:
    """Once the organizations are known, import what is known about their customers, and push some of it.

    As `org document import` and `org document push` do.
    """
    from console.operations import documents
    from console.sandbox.documents import documentations
    from console.sandbox.world import World
    from store.customers import read_documents, yaml_of
    from store.queries.falsepositives import names

    world = World(seed=arguments.seed, orgs=arguments.orgs, detections=arguments.detections)

    def known() -> dict[str, str]:
        with store.reader.reading() as connection:
            return dict(names(connection))

    while len(listed := await asyncio.to_thread(known)) < len(world.by_oid):  # noqa: ASYNC110  (as above)
        await asyncio.sleep(0.3)
    told = await asyncio.to_thread(lambda: read_documents(yaml_of(documentations(world)), listed))
    by = world.access.managers[0]
    await asyncio.to_thread(documents.keep, store, told, by=by)
    gold = [oid for oid in told if world.by_oid[oid].tier == "gold"]
    await documents.push(gold, store=store, cloud=cloud, by=by)


async def _once(session: Session, home: Path) -> int:
    from console.operations.sync import Sync
    from store.database import Store

    async with _stage(session.arguments, live=False) as stage, _connected(stage) as cloud:
        store = Store(f"sqlite:///{home / 'store.db'}")
        await asyncio.to_thread(_plant_tree, store, session.arguments)
        outcome = await Sync(store=store, cloud=cloud, redaction_key=os.urandom(32), since=30 * 86_400).run()
        store.close()
        session.show_object(
            {
                "url": stage["url"],
                "organizations": outcome.organizations,
                "failed": [
                    {"oid": each.oid, "name": each.name, "reason": each.reason} for each in outcome.failed
                ],
                "detections": outcome.detections_new,
                "requests": outcome.requests,
                "endpoints": dict(sorted(cloud.stats.endpoints.items())),
                "seconds": outcome.seconds,
            }
        )
    return 0


def _console(session: Session, home: Path) -> int:
    from console.app import run_console
    from console.credentials import ask_no_more
    from console.operations.ports import Link
    from store.secret import Secret

    key = os.urandom(32)
    wake = asyncio.Event()
    link = Link()
    # What the demo signs is signed with a key that goes with it, and never with the operator's own.
    ask_no_more(Secret(os.urandom(32).hex()))
    settings = replace(session.settings, home=home, backend="passphrase-file")

    async def background(store: "Store", report: "Report") -> None:
        from console.limacharlie.limits import in_background
        from console.operations.ports import Progress
        from console.operations.watching import watch

        report(Progress(0, 0, "starting the sandbox"))
        async with _stage(session.arguments, live=True) as stage, _connected(stage) as cloud:
            await asyncio.to_thread(_plant_tree, store, session.arguments)
            await asyncio.to_thread(_set_prices, store)
            past = asyncio.gather(
                _past_shifts(store, session.arguments, report),
                _write_down(store, cloud, session.arguments),
                _engineer(store, cloud, session.arguments, key),
            )
            try:
                with link.holding(cloud), in_background():
                    await watch(
                        store=store,
                        cloud=cloud,
                        redaction_key=key,
                        since=30 * 86_400,
                        interval=5.0,
                        report=report,
                        wake=wake,
                    )
            finally:
                past.cancel()

    def open_store() -> "Store":
        from store.database import Store

        return Store(f"sqlite:///{home / 'store.db'}")

    return run_console(
        open_store=open_store,
        environment="demo",
        settings=settings,
        background=background,
        sync_now=wake.set,
        link=link,
        copies=home / "copied.txt",
        redaction_key=lambda: key,
    )
