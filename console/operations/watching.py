"""Sync for good: a look at every organization again and again, within the rate that the cloud allows."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from console.limacharlie.client import Cloud
from console.limacharlie.errors import LimaCharlieError
from console.operations import accessplans, caselinks, deadlines, runs
from console.operations.ports import Progress, Report
from console.operations.schedule import Schedule
from console.operations.sync import DAY, Outcome, Sync
from console.operations.triage import wake_due
from store.database import Store
from store.queries import importance

log = logging.getLogger(__name__)

SHARE = 0.5
"""The part of the rate that looking may use; the rest is for people, and for what a look finds."""
PER_LOOK = 2
"""Requests that a look takes: detections and the audit log."""
UNHURRIED = 3.0
"""How many times as long as a look at all of them takes one without news may be left alone."""
DEADLINES_EVERY = 5.0
"""Seconds between two looks for changes of access whose time has come."""
LISTING_EVERY = 120.0
"""Seconds between two listings of the organizations, with the groups and the cases."""


async def watch(
    *,
    store: Store,
    cloud: Cloud,
    redaction_key: bytes,
    since: int = 7 * DAY,
    only: Sequence[str] = (),
    report: Report = lambda progress: None,
    interval: float = 20.0,
    listing_every: float = LISTING_EVERY,
    wake: asyncio.Event | None = None,
    tell: Callable[[str], object] | None = None,
) -> None:
    """Go on reading until cancelled.

    The first turn reads every organization. After that each is looked at when its time has come: new
    detections, and the audit log, which says what else has to be read. A turn that fails as a whole (the
    cloud is away, the key was revoked) is reported in words and tried again, ever more slowly up to two
    minutes; the store keeps what it has, with its age. Beside it cases and their alerts are kept in line, and
    what waits for cases is sent (`console.operations.caselinks`).

    Each turn also brings back the snoozed alerts whose time has come. With `tell` the changes of access that
    have a time are made beside it (`console.operations.deadlines`).

    Args:
        only: groups of subjects; with these every turn reads them, of every organization.
        interval: seconds between two turns, and between two looks at the noisiest organization.
        listing_every: seconds between two listings of the organizations.
        wake: set it to look at everything at once.
        tell: told in a sentence what became of a change that had a time; None where somebody else makes them.
    """
    beside = [asyncio.create_task(caselinks.keep(store, cloud))] if not only or "cases" in only else []
    if tell is not None:
        beside.append(asyncio.create_task(_keep_deadlines(store, cloud, tell)))
        beside.append(asyncio.create_task(_keep_runs(store, cloud, tell, redaction_key)))
    try:
        await _watch(
            store=store,
            cloud=cloud,
            redaction_key=redaction_key,
            since=since,
            only=only,
            report=report,
            interval=interval,
            listing_every=listing_every,
            wake=wake,
        )
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def _keep_deadlines(store: Store, cloud: Cloud, tell: Callable[[str], object]) -> None:
    """Make what has a time, and carry on with plans that were cut off, however long a turn takes."""
    while True:
        try:
            for made in await deadlines.due(store, cloud):
                tell(made.sentence)
            for carried in await accessplans.resume(store, cloud):
                if carried.state != "applying":
                    tell(carried.sentence)
        except Exception:
            # Whatever it is, the next look must come: what is overdue is not dropped.
            log.exception("what has a time could not be made")
        await asyncio.sleep(DEADLINES_EVERY)


async def _keep_runs(store: Store, cloud: Cloud, tell: Callable[[str], object], redaction_key: bytes) -> None:
    """Carry on with runs that were cut off; beside the deadlines, for it may take an hour."""
    while True:
        try:
            for result in await runs.resume(store, cloud, key=lambda: redaction_key):
                tell(result.sentence)
        except Exception:
            log.exception("a run could not be carried on")
        await asyncio.sleep(DEADLINES_EVERY)


async def _watch(
    *,
    store: Store,
    cloud: Cloud,
    redaction_key: bytes,
    since: int,
    only: Sequence[str],
    report: Report,
    interval: float,
    listing_every: float,
    wake: asyncio.Event | None,
) -> None:
    schedule = Schedule(shortest=interval)
    names: dict[str, str] = {}
    failed: set[str] = set()
    listed: float | None = None
    failures = 0
    while True:
        now = time.monotonic()
        lists = listed is None or bool(only) or now - listed >= listing_every
        first = listed is None
        # A listing may name organizations that are not known yet: those are read in the next turn.
        due = None if first or only else schedule.due(now, _most(cloud, interval))
        if due is None or due or lists:
            turn = Sync(
                store=store,
                cloud=cloud,
                redaction_key=redaction_key,
                since=since,
                only=only,
                oids=due,
                names=None if lists else names,
                # A look for new detections every few seconds is not news; the age of the data says it.
                report=report if due is None and not only else _silent,
            )
            try:
                outcome = await turn.run()
            except LimaCharlieError as error:
                failures += 1
                report(Progress(0, 0, f"offline: {error}"))
            else:
                failures = 0
                now = time.monotonic()
                if lists:
                    listed = now
                    names = dict(turn.listed)
                    important = await asyncio.to_thread(_important, store)
                    longest = UNHURRIED * _sweep(cloud, len(names))
                    schedule.keep(names, important=important, now=now, longest=max(longest, 2 * interval))
                _settle(schedule, outcome, now)
                failed -= set(outcome.names)
                failed |= {each.oid for each in outcome.failed}
                failed &= set(names)
                report(Progress(len(names) - len(failed), len(names), "idle"))
        await asyncio.to_thread(wake_due, store)
        await _pause(_until(schedule, interval, failures), wake)
        if wake is not None and wake.is_set():
            wake.clear()
            listed = None


def _silent(progress: Progress) -> None:
    """Say nothing."""


def _settle(schedule: Schedule, outcome: Outcome, now: float) -> None:
    """Decide when each organization of a turn is looked at next."""
    for oid in outcome.names:
        schedule.looked(oid, now, news=oid in outcome.found)


def _sweep(cloud: Cloud, organizations: int) -> float:
    """Seconds that a look at so many organizations takes within the share of the rate."""
    return organizations * PER_LOOK / (min(cloud.limits.rate, 10_000.0) * SHARE)


def _most(cloud: Cloud, interval: float) -> int:
    """How many organizations one turn may look at, so that the turns stay within their share of the rate."""
    return max(1, int(max(interval, 1.0) / _sweep(cloud, 1)))


def _until(schedule: Schedule, interval: float, failures: int) -> float:
    if failures:
        return float(min(interval * 2**failures, 120.0))
    return min(interval, max(schedule.wait(time.monotonic()), interval / 4))


def _important(store: Store) -> set[str]:
    with store.reader.reading() as connection:
        return importance.important(connection)


async def _pause(seconds: float, wake: asyncio.Event | None) -> None:
    if wake is None:
        await asyncio.sleep(seconds)
        return
    try:
        # Not `wait_for`, which on Python 3.11 can swallow that it was cancelled.
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
