"""`limegrove template backtest`: what a template's rules would have alerted in the last days."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, safe, shown
from console.commands.template_lint import document_root

if TYPE_CHECKING:
    from console.operations.backtest import Job, Outlier, Predicted, Quoted
    from console.operations.ports import Progress
    from store.templates.documents import Template

LONGEST = 90
"""Days."""


def configure(verbs: Any) -> None:
    """Add the verb.

    Args:
        verbs: what argparse gave for the verbs of `template`.
    """
    parser: argparse.ArgumentParser = verbs.add_parser(
        "backtest",
        help="the rules over each organization's last days, through replay; its price first",
        description="Runs the enabled rules of a template of the store, or of a file, over the last days of "
        "each organization of the scope, through LimaCharlie's replay, which bills by the event. Suppression "
        "and false positive rules are no part of a replay: what is predicted is the most that there would "
        "have been. Exit codes: 0 done, 1 none could be asked, 3 some could not or are outliers (named), "
        "5 not agreed to.",
    )
    parser.add_argument("template", metavar="TEMPLATE|PATH")
    parser.add_argument(
        "--rule", metavar="NAME", action="append", default=[], help="only this one; again for more"
    )
    add_options(parser)
    parser.add_argument("--root", metavar="DIR", help="nothing outside it is read; as in `template lint`")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what every backtest can be asked."""
    parser.add_argument("--days", metavar="N", type=int, default=7, help=f"how far back, up to {LONGEST} (7)")
    parser.add_argument(
        "--most", metavar="N", type=float, default=None, help="alerts a day that are always too many (50)"
    )
    parser.add_argument(
        "--few",
        metavar="N",
        type=float,
        default=None,
        help="alerts a day that are never odd, however quiet the others are (10)",
    )
    parser.add_argument("--estimate", action="store_true", help="say what it would cost, and run nothing")


def check(session: Session) -> None:
    """Refuse what cannot be asked."""
    given = session.arguments
    if not 1 <= given.days <= LONGEST:
        raise Problem(f"--days takes a number from 1 to {LONGEST}.", code=2)
    for option in ("most", "few"):
        value = getattr(given, option)
        if value is not None and not value > 0:
            raise Problem(f"--{option} takes a number above 0.", code=2)
    if not given.estimate:
        session.refuse_read_only(f"{given.noun} backtest")


def run(session: Session) -> int:
    """Say what it costs, ask, run it, and name the outliers."""
    given = session.arguments
    check(session)
    jobs, unable, blocked = _jobs(session, _template(session))
    for name in unable:
        session.say(f"{safe(name)} is left out: replay keeps nothing of what it looks at.")
    for reason in blocked:
        session.say(f"Left out: {safe(reason)}")
    quotes, found = session.run(ask(session, jobs, given.template))
    odd = outliers(session, found)
    return show(session, {"template": given.template}, quotes, found, odd) or (3 if blocked else 0)


def _template(session: Session) -> "Template":
    from console.operations.templates import Refused, read_one
    from store.templates.library import UnknownTemplate, template

    given = session.arguments
    path = Path(given.template)
    if path.is_file():
        root = document_root(path, given.root)
        if not path.resolve().is_relative_to(root):
            raise Problem(
                f"{shown(given.template)} is not below {shown(str(root))}; give another --root.", code=2
            )
        made = read_one(path, root)
        if made is None:
            raise Problem(f"{shown(given.template)} is no infrastructure document and no rule.", code=2)
        if isinstance(made, Refused):
            raise Problem(f"{safe(made.file)}:{made.line}: {safe(made.reason)}", code=2)
        return made
    try:
        with session.reader.reading() as connection:
            return template(connection, given.template)
    except UnknownTemplate:
        raise Problem(
            f"There is no template and no file {shown(given.template)}; `limegrove template list` names "
            "templates.",
            code=2,
        ) from None


def _jobs(session: Session, template: "Template") -> tuple[list["Job"], list[str], list[str]]:
    from console.operations.backtest import Job, rules_of
    from store.queries.organizations import organizations
    from store.templates.effective import Layer, effective
    from store.templates.library import values_of
    from store.times import now_ms

    only = session.arguments.rule
    jobs: list[Job] = []
    unable: list[str] = []
    blocked: list[str] = []
    with session.reader.reading() as connection:
        rows = organizations(connection, scope=session.scope(), now=now_ms())
        for row in rows:
            if row.gone:
                continue
            filled = effective([Layer("", "", template.main, template)], values_of(connection, row.oid))
            if filled.missing:
                blocked.append(f"{row.name}: {filled.blocked[0]}")
                continue
            rules, odd = rules_of((each.record for each in filled.records.values()), only)
            unable += [each for each in odd if each not in unable]
            if rules:
                jobs.append(Job(row.oid, str(row.name), tuple(rules)))
    if not rows:
        raise Problem("There is no organization in this scope; `limegrove sync` reads them.", code=2)
    if not jobs and not blocked:
        which = f"no rule called {', '.join(map(shown, only))}" if only else "no enabled rule"
        raise Problem(f"{shown(session.arguments.template)} has {which} that replay can run.", code=2)
    return jobs, unable, blocked


def outliers(session: Session, found: list["Predicted"]) -> list["Outlier"]:
    """What is odd, by the bounds that were given."""
    from console.operations import backtest

    given = session.arguments
    return backtest.outliers(
        found,
        many=backtest.MANY if given.most is None else given.most,
        few=backtest.FEW if given.few is None else given.few,
    )


async def ask(session: Session, jobs: list["Job"], what: str) -> tuple[list["Quoted"], list["Predicted"]]:
    """Say what it costs, and run it once somebody agreed; nothing is predicted where it was not run.

    Args:
        what: whose rules these are, for the journal.

    Raises:
        Problem: nobody agreed.
    """
    import asyncio
    import time

    from console.operations import backtest
    from store.lcql import money

    given = session.arguments

    def report(progress: "Progress") -> None:
        session.progress(f"{progress.note} {progress.done} of {progress.total}")

    end = int(time.time())
    start = end - given.days * backtest.DAY
    async with session.cloud() as cloud:
        quotes = await backtest.estimate(cloud, jobs, start, end, report=report)
        session.clear_progress()
        able = {each.oid for each in quotes if not each.error}
        totals: dict[str, float] = {}
        for each in quotes:
            if each.price is not None:
                totals[each.currency] = totals.get(each.currency, 0.0) + each.price
        price = " and ".join(money(value, currency) for currency, value in sorted(totals.items()))
        events = sum(each.events for each in quotes)
        words = f"{price or 'a price that nobody names'} for {events:,} events of {len(able):,} organizations"
        if given.estimate or not able:
            session.say(f"The backtest would cost {words}. Nothing was run.")
            return quotes, []
        if not await session.asking(f"This backtest costs about {words}. Run it?"):
            raise Problem("Nothing was run.", code=5)
        todo = [job for job in jobs if job.oid in able]
        await asyncio.to_thread(backtest.journalled, session.store(), what, todo, given.days, totals)
        found = await backtest.run(cloud, todo, start, given.days, report=report)
    session.clear_progress()
    return quotes, found


def show(
    session: Session,
    of: dict[str, Any],
    quotes: list["Quoted"],
    found: list["Predicted"],
    odd: list["Outlier"],
) -> int:
    """Print what came of it; answers the exit code.

    Args:
        of: what the rules are of, at the head of the object.
    """
    why = {(each.oid, each.rule): each.why for each in odd}
    rules: dict[str, list[dict[str, Any]]] = {}
    for each in found:
        rules.setdefault(each.oid, []).append(
            {
                "rule": each.rule,
                "days": list(each.days),
                "alerts": sum(each.days),
                "per_day": round(each.per_day, 2),
                "outlier": why.get((each.oid, each.rule)),
                "error": each.error or None,
            }
        )
    organizations = [
        {
            "oid": quote.oid,
            "organization": quote.name,
            "events": quote.events,
            "price": quote.price,
            "currency": quote.currency,
            "error": quote.error or None,
            "alerts": sum(row["alerts"] for row in rules.get(quote.oid, [])),
            "per_day": round(sum(row["per_day"] for row in rules.get(quote.oid, [])), 2),
            "rules": rules.get(quote.oid, []),
        }
        for quote in quotes
    ]
    session.show_object(
        {
            **of,
            "days": session.arguments.days,
            "organizations": organizations,
            "outliers": [
                {
                    "oid": each.oid, "organization": each.name, "rule": each.rule,
                    "per_day": round(each.per_day, 2), "why": each.why,
                }
                for each in odd
            ],
        },
        rows=[
            {
                "organization": each.name,
                "rule": each.rule,
                "alerts": sum(each.days),
                "per day": f"{each.per_day:.1f}",
                "days": " ".join(map(str, each.days)),
                "said": each.error or why.get((each.oid, each.rule), ""),
            }
            for each in found
        ],
        columns=("organization", "rule", "alerts", "per day", "days", "said"),
    )  # fmt: skip
    for quote in quotes:
        if quote.error:
            session.say(f"{safe(quote.name)} cannot be asked: {safe(quote.error)}")
    for one in odd:
        session.say(f"{safe(one.rule)} in {safe(one.name)}: {one.per_day:.1f} alerts a day; {one.why}.")
    session.say_each(f"{one.rule} in {one.name}: {one.error}" for one in found if one.error)
    if quotes and all(each.error for each in quotes):
        return 1
    failed = any(each.error for each in quotes) or any(each.error for each in found)
    return 3 if failed or odd else 0
