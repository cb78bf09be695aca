"""`limegrove sync`: read LimaCharlie into the store, once or for good."""

import argparse
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from console.commands.parser import number
from console.commands.session import Problem, Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from console.limacharlie.client import Cloud
    from console.limacharlie.limits import Budget, Limits
    from console.operations.ports import Progress
    from console.operations.sync import Outcome
    from store.database import Store

ONLY = ("orgs", "access", "config", "detections", "usage", "audit", "cases")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `sync`."""
    parser.add_argument(
        "--since",
        default="7d",
        metavar="DURATION",
        help="how far back detections and audit are wanted, such as 12h or 30d (7d)",
    )
    parser.add_argument(
        "--only", metavar="SUBJECTS", help=f"comma-separated, of {','.join(ONLY)}; all by default"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="read everything again, not only what is known to have changed, and every open case whole",
    )
    parser.add_argument("--watch", action="store_true", help="go on until interrupted")
    parser.add_argument(
        "--interval",
        type=number(above=0),
        default=20.0,
        metavar="SECONDS",
        help="between turns of --watch (20)",
    )


def run(session: Session) -> int:
    """Sync once or watch; 3 when some organizations failed, which are named."""
    from console.limacharlie.limits import in_background
    from store.times import parse_duration

    arguments = session.arguments
    if session.settings.offline:
        raise Problem("`sync` needs the cloud, and --offline forbids it. Leave --offline out.", code=5)
    try:
        since = parse_duration(arguments.since)
    except ValueError as error:
        raise Problem(f"--since {arguments.since!r}: {error}", code=2) from error
    only = _only(arguments.only)
    # Whoever looks something up in another window goes first.
    with in_background():
        return session.run(_sync(session, since, only))


@asynccontextmanager
async def _pauses_told(session: Session, limits: "Limits") -> "AsyncIterator[None]":
    """Count down, in the line of the progress, while the cloud lets nobody ask."""
    import asyncio

    async def tell() -> None:
        while True:
            budget = limits.now()
            if budget.paused_for > 0:
                session.progress(budget.words())
            await asyncio.sleep(1)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()


def _only(given: str | None) -> list[str]:
    wanted = [word.strip() for word in given.split(",") if word.strip()] if given else []
    for word in wanted:
        if word not in ONLY:
            raise Problem(f"--only: {word!r} is not a subject. Take of: {', '.join(ONLY)}.", code=2)
    if given is not None and not wanted:
        raise Problem(f"--only: {given!r} names no subject. Take of: {', '.join(ONLY)}.", code=2)
    return wanted


async def _sync(session: Session, since: int, only: list[str]) -> int:
    from console.operations.sync import Sync
    from console.operations.watching import watch
    from console.process import settle_memory

    store = session.store()
    oids = session.scope_oids()
    async with session.cloud() as cloud, _pauses_told(session, cloud.limits):
        key = session.redaction_key()
        settle_memory()
        if session.arguments.watch:
            await watch(
                store=store,
                cloud=cloud,
                redaction_key=key,
                since=since,
                only=only,
                interval=session.arguments.interval,
                report=lambda progress: _say(session, progress),
                tell=session.say,
            )
        turn = Sync(
            store=store,
            cloud=cloud,
            redaction_key=key,
            since=since,
            only=only,
            oids=oids,
            full=session.arguments.full,
            report=lambda progress: _say(session, progress),
        )
        outcome = await turn.run()
        if not only or "cases" in only:
            await _cases(store, cloud, everything=session.arguments.full)
        budget = cloud.limits.now()
    session.clear_progress()
    session.show_object(summary(outcome) | {"budget": budget_summary(budget)})
    for failed in outcome.failed:
        session.say(f"{failed.name or failed.oid} ({failed.oid}): {failed.reason}")
    if outcome.failed:
        read = outcome.organizations - len(outcome.failed)
        session.say(f"{read} of {outcome.organizations} organizations read whole.")
        return 3
    return 0


async def _cases(store: "Store", cloud: "Cloud", *, everything: bool) -> None:
    """Bring cases and their alerts in line, and send what waits for cases; what is away is tried later."""
    import logging

    from console.limacharlie.errors import LimaCharlieError
    from console.operations import caselinks

    try:
        await caselinks.turn(store, cloud, everything=everything)
    except LimaCharlieError as error:
        logging.getLogger(__name__).warning("cases: %s", error)


def summary(outcome: "Outcome") -> dict[str, Any]:
    """What `sync` answers: organizations, failed [{oid, name, reason}], detections_new, seconds, ..."""
    return {
        "organizations": outcome.organizations,
        "failed": [
            {"oid": each.oid, "name": each.name, "reason": each.reason, "subjects": list(each.subjects)}
            for each in outcome.failed
        ],
        "detections_new": outcome.detections_new,
        "rows_changed": outcome.rows_changed,
        "requests": outcome.requests,
        "seconds": outcome.seconds,
    }


def budget_summary(budget: "Budget") -> dict[str, Any]:
    """What `sync` says of the credential's rate: words, rate and used (requests a second), quota, ..."""
    return {
        "words": budget.words(),
        "rate": round(budget.rate, 3),
        "used": round(budget.used, 3),
        "waiting": budget.waiting,
        "paused_for": round(budget.paused_for, 1),
        "quota": budget.quota,
        "period": budget.period,
        "asked": budget.asked,
        "throttled": budget.throttled,
        "shared": not budget.alone,
    }


def _say(session: Session, progress: "Progress") -> None:
    left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left"
    session.progress(f"{progress.done} of {progress.total} organizations, {progress.note}{left}")
