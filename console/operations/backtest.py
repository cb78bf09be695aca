"""A template's rules over the past of organizations, through LimaCharlie's replay: what they would have said.

Replay is billed by the event that it looks at, so a dry run says first what it costs. Then each day is asked
on its own: a day is a bounded answer, and a noisy rule is seen by its days. Neither suppression nor false
positive rules are part of a replay, so what is predicted is the most that there would have been.
"""

import asyncio
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from console.limacharlie.errors import LimaCharlieError
from console.operations.actor import actor
from console.operations.ports import Progress, Report
from store.journal import append
from store.rollouts import backtests, keeping
from store.rollouts.wanted import body_of, wanted
from store.templates.documents import Place, Record

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from console.limacharlie.client import Cloud
    from store.database import Store

AT_ONCE: Final = 8
"""Requests under way; the client sends at most 16."""
DAY: Final = 86_400
SECTIONS: Final = backtests.RULES
STREAMS: Final[Mapping[str, str]] = {"edr": "event", "detection": "detect", "audit": "audit"}
"""Target of a rule -> the stream that replay has of it; others are not kept."""
TIMES, FEW, MANY = 5.0, 10.0, 50.0
"""Alerts a day: so many times the median of the others, and more than a few, is odd; many always are."""


@dataclass(frozen=True)
class Backtested:
    """A rule as one organization would have it."""

    name: str
    """`dr-general/NAME`."""
    body: Mapping[str, Any]
    stream: str


@dataclass(frozen=True)
class Job:
    """What is asked of an organization."""

    oid: str
    name: str
    rules: tuple[Backtested, ...]


@dataclass(frozen=True)
class Quoted:
    """What it would cost."""

    oid: str
    name: str
    events: int = 0
    price: float | None = None
    currency: str = ""
    error: str = ""
    """Why the organization cannot be asked; "" when it can."""


@dataclass(frozen=True)
class Predicted:
    """What one rule would have done in one organization."""

    oid: str
    name: str
    rule: str
    days: tuple[int, ...] = ()
    """Alerts of each day, the oldest first; shorter when it failed."""
    error: str = ""

    @property
    def per_day(self) -> float:
        """Mean."""
        return sum(self.days) / len(self.days) if self.days else 0.0


@dataclass(frozen=True)
class Outlier:
    """A rule that would be far noisier in an organization than it is elsewhere, or than anybody reads."""

    oid: str
    name: str
    rule: str
    per_day: float
    why: str


def rules_of(records: Iterable[Record], only: Sequence[str] = ()) -> tuple[list[Backtested], list[str]]:
    """The rules that replay can run, and the names of those that it cannot.

    Args:
        only: names; those are taken even where they are disabled. Else what is not enabled is left out.
    """
    found: list[Backtested] = []
    unable: list[str] = []
    for record in records:
        if record.section not in SECTIONS or not isinstance(record.body, Mapping):
            continue
        if record.name not in only if only else (record.metadata or {}).get("enabled") is not True:
            continue
        name = f"{record.section[5:]}/{record.name}"
        detect = record.body.get("detect")
        target = detect.get("target", "edr") if isinstance(detect, Mapping) else ""
        stream = STREAMS.get(target) if isinstance(target, str) else None
        if stream is None:
            unable.append(name)
        else:
            body = {each: record.body[each] for each in ("detect", "respond") if each in record.body}
            found.append(Backtested(name, body, stream))
    return found, unable


class Stale(Exception):
    """A plan is not what the templates want any more; the text is the sentence for the operator."""


def jobs_of_plan(c: "Connection", plan_id: int, *, key: bytes, now: int) -> tuple[list[Job], list[str]]:
    """What is asked of each organization that a plan brings rules to, and the rules that replay cannot run.

    Args:
        key: the installation's redaction key.
        now: milliseconds, UTC.

    Raises:
        PlanError: there is no such plan.
        Stale: it would be refused.
    """
    plan = keeping.load(c, plan_id)
    if plan.undo_of is not None:
        raise Stale(f"Plan {plan_id} brings back what was there: nothing of it is new.")
    why = keeping.stale(c, plan, key=key, now=now) if plan.state == "draft" else ""
    if why:
        raise Stale(why)
    placed = {each.oid: each for each in wanted(c, plan.scope, key)}
    records: dict[str, list[Record]] = {}
    for step in keeping.steps(c, plan_id):
        change = step.change
        if change.section not in SECTIONS or change.after is None:
            continue
        here = placed.get(change.oid)
        if here is None or change.key not in here.wanted.effective.records:
            raise Stale(f"The templates changed since plan {plan_id} was made; plan again.")
        if change.after.metadata is None or change.after.metadata["enabled"]:
            body, metadata = body_of(here, change.key)
            enabled = {**(metadata or {}), "enabled": True}
            records.setdefault(change.oid, []).append(
                Record(change.section, change.name, body, enabled, Place(plan.title, 0))
            )
    jobs: list[Job] = []
    unable: list[str] = []
    for oid, held in records.items():
        rules, odd = rules_of(held)
        unable += [each for each in odd if each not in unable]
        if rules:
            jobs.append(Job(oid, placed[oid].name, tuple(rules)))
    return jobs, unable


def kept(
    quotes: Iterable[Quoted],
    found: Iterable[Predicted],
    odd: Iterable[Outlier],
    *,
    jobs: Sequence[Job],
    days: int,
    now: int,
) -> backtests.Kept:
    """What is kept with a plan of what came of its backtest.

    Args:
        now: milliseconds, UTC.
    """
    unasked = {each.oid: each.error for each in quotes if each.error}
    failed = [
        backtests.Found(job.oid, job.name, rule.name, unasked[job.oid])
        for job in jobs
        if job.oid in unasked
        for rule in job.rules
    ]
    failed += [backtests.Found(each.oid, each.name, each.rule, each.error) for each in found if each.error]
    outliers = (backtests.Found(each.oid, each.name, each.rule, each.why, each.per_day) for each in odd)
    return backtests.Kept(now, days, len(jobs), tuple(outliers), tuple(failed))


def _silent(progress: Progress) -> None:
    """Say nothing."""


async def estimate(
    cloud: "Cloud", jobs: Sequence[Job], start: int, end: int, *, report: Report = _silent
) -> list[Quoted]:
    """What each organization's replay would look at and cost; nothing is run, and nothing is billed.

    Args:
        start, end: seconds, UTC.
    """
    gate, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(job: Job) -> Quoted:
        nonlocal done
        events, price, currency = 0, None, ""
        handle = cloud.organization(job.oid)
        for rule in job.rules:
            try:
                async with gate:
                    found = await handle.replay(rule.body, start, end, stream=rule.stream, dry_run=True)
            except LimaCharlieError as error:
                return Quoted(job.oid, job.name, error=f"{rule.name}: {error}")
            billed = found.stats.get("n_billed")
            events += billed if isinstance(billed, int) and not isinstance(billed, bool) else 0
            priced = found.stats.get("estimated_price")
            value = priced.get("value") if isinstance(priced, Mapping) else None
            if isinstance(priced, Mapping) and isinstance(value, int | float):
                price = (price or 0.0) + value
                currency = str(priced.get("currency") or "")[:20]
        done += 1
        report(Progress(done, len(jobs), "estimating"))
        return Quoted(job.oid, job.name, events, price, currency)

    return list(await asyncio.gather(*(one(job) for job in jobs)))


async def run(
    cloud: "Cloud", jobs: Sequence[Job], start: int, days: int, *, report: Report = _silent
) -> list[Predicted]:
    """Run every rule over every day, each request once.

    A day that fails ends its rule in its organization, and is named; the others go on.

    Args:
        start: seconds, UTC: the begin of the first day.
    """
    gate, done = asyncio.Semaphore(AT_ONCE), 0
    total = sum(len(job.rules) for job in jobs)

    async def one(job: Job, rule: Backtested) -> Predicted:
        nonlocal done
        counts: list[int] = []
        error = ""
        for day in range(days):
            begins = start + day * DAY
            try:
                async with gate:
                    found = await cloud.organization(job.oid).replay(
                        rule.body, begins, begins + DAY - 1, stream=rule.stream
                    )
            except LimaCharlieError as problem:
                error = str(problem)
                break
            counts.append(sum(each.get("action", "report") == "report" for each in found.results))
        done += 1
        report(Progress(done, total, "replaying"))
        return Predicted(job.oid, job.name, rule.name, tuple(counts), error)

    return list(await asyncio.gather(*(one(job, rule) for job in jobs for rule in job.rules)))


def outliers(found: Iterable[Predicted], *, many: float = MANY, few: float = FEW) -> list[Outlier]:
    """The organizations in which a rule would be too noisy, the noisiest first.

    Args:
        many: alerts a day of one rule that are always too many.
        few: so many are never odd, however quiet the others are.
    """
    by_rule: dict[str, list[Predicted]] = {}
    for each in found:
        if each.days:
            by_rule.setdefault(each.rule, []).append(each)
    odd = []
    for rule, rows in by_rule.items():
        for row in rows:
            others = [each.per_day for each in rows if each is not row]
            median = statistics.median(others) if others else None
            if row.per_day > many:
                why = f"more than {many:g} alerts a day"
            elif median is not None and row.per_day > max(few, TIMES * median):
                why = f"{median:.1f} a day is the median of the other organizations"
            else:
                continue
            odd.append(Outlier(row.oid, row.name, rule, row.per_day, why))
    return sorted(odd, key=lambda each: -each.per_day)


def journalled(
    store: "Store", what: str, jobs: Sequence[Job], days: int, estimated: Mapping[str, float]
) -> None:
    """Write down that it is run, and what it is to cost: before it is."""
    with store.writing() as connection:
        append(
            connection,
            actor(),
            "template.backtest",
            jobs[0].oid if len(jobs) == 1 else "",
            what,
            {
                "days": days,
                "organizations": [job.oid for job in jobs],
                "rules": sorted({rule.name for job in jobs for rule in job.rules}),
                "estimated": dict(estimated),
            },
        )
