"""`limegrove search`: LCQL over the organizations of a scope, its price first."""

import argparse
from typing import TYPE_CHECKING, Any

from console.commands.session import Problem, Session, shown

if TYPE_CHECKING:
    from console.operations.ports import Progress
    from console.operations.searching import Answered, Gathered
    from store.lcql import Estimate, Question


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `search`."""
    parser.add_argument("query", metavar="QUERY", help="LCQL: `plat == windows | NEW_PROCESS | event/... `")
    parser.add_argument("--since", metavar="DURATION", default="24h", help="how far back it goes (24h)")
    parser.add_argument("--until", metavar="DURATION", help="it ends so long ago (now)")
    parser.add_argument("--stream", default="event", help="event, detection or audit (event)")
    parser.add_argument(
        "--limit", type=int, default=None, metavar="N", help="rows that are kept of each organization (1000)"
    )
    parser.add_argument("--estimate", action="store_true", help="say what it would cost, and run nothing")


def run(session: Session) -> int:
    """Say what it costs, ask, and search."""
    question = asked(session)
    organizations = _organizations(session)
    if not session.arguments.estimate:
        session.refuse_read_only("search")
    estimated, answers, kept = session.run(_search(session, question, organizations))
    if answers is None:
        return _show_estimate(session, estimated)
    return _show(session, estimated, answers, kept)


def asked(session: Session) -> "Question":
    """The question that the options put.

    Raises:
        Problem: one of them means nothing; exit code 2.
    """
    import time

    from store.lcql import MOST, STREAMS, Question
    from store.times import parse_duration

    given = session.arguments
    if not given.query.strip():
        raise Problem("There is nothing to search for: QUERY is empty.", code=2)
    if given.stream not in STREAMS:
        raise Problem(f"--stream cannot be {shown(given.stream)}; it takes {', '.join(STREAMS)}.", code=2)
    most = MOST if given.limit is None else given.limit
    if most < 1:
        raise Problem("--limit takes a number from 1 on.", code=2)
    ends = {"since": given.since, "until": given.until}
    back = {}
    for name, text in ends.items():
        try:
            back[name] = 0 if text is None else parse_duration(text)
        except ValueError as error:
            raise Problem(f"--{name} {shown(text)}: {error}", code=2) from error
    if back["until"] >= back["since"]:
        raise Problem("--until has to be less long ago than --since.", code=2)
    now = int(time.time())
    scope = session.arguments.scope or "all organizations"
    return Question(given.query, now - back["since"], now - back["until"], given.stream, most, scope)


def _organizations(session: Session) -> dict[str, str]:
    from store.queries.organizations import organizations
    from store.times import now_ms

    with session.reader.reading() as connection:
        rows = organizations(connection, scope=session.scope(), now=now_ms())
    found = {row.oid: str(row.name) for row in rows if not row.gone}
    if not found:
        raise Problem("There is no organization in this scope; `limegrove sync` reads them.", code=2)
    return found


async def _search(
    session: Session, question: "Question", organizations: dict[str, str]
) -> "tuple[Estimate, list[Answered] | None, Gathered]":
    import asyncio

    from console.operations import searching

    def report(progress: "Progress") -> None:
        session.progress(f"{progress.note} {progress.done} of {progress.total}")

    kept = searching.Gathered()
    async with session.cloud() as cloud:
        estimated = await searching.estimate(cloud, question, organizations, report=report)
        if estimated.mistake:
            raise Problem(f"The query cannot be run: {estimated.mistake}", code=2)
        if session.arguments.estimate or not estimated.able:
            return estimated, None, kept
        session.clear_progress()
        session.say_each(f"{quote.name} cannot be asked: {quote.error}" for quote in estimated.failed)
        if not await session.asking(f"This search costs {estimated.words()}. Run it?"):
            raise Problem("Nothing was searched.", code=5)
        await asyncio.to_thread(searching.journalled, session.store(), estimated)
        answers = await searching.run(cloud, estimated, kept, report=report)
    return estimated, answers, kept


def _quoted(estimated: "Estimate") -> list[dict[str, Any]]:
    return [
        {
            "oid": quote.oid,
            "organization": quote.name,
            "price": quote.price,
            "currency": quote.currency,
            "events": quote.events,
            "error": quote.error,
        }
        for quote in estimated.quotes
    ]


def _asked(estimated: "Estimate") -> dict[str, Any]:
    from store.times import rfc3339

    question = estimated.question
    return {
        "query": question.query,
        "stream": question.stream,
        "start": rfc3339(question.start * 1000),
        "end": rfc3339(question.end * 1000),
        "estimated": [
            {"price": value, "currency": currency} for currency, value in sorted(estimated.totals.items())
        ],
    }


def _show_estimate(session: Session, estimated: "Estimate") -> int:
    rows = _quoted(estimated)
    session.show_object(
        {**_asked(estimated), "organizations": rows},
        rows=rows,
        columns=("organization", "price", "currency", "events", "error"),
    )
    session.clear_progress()
    session.say(f"This search would cost {estimated.words()}. Nothing was run.")
    session.say_each(f"{quote.name} cannot be asked: {quote.error}" for quote in estimated.failed)
    return _code([quote.kind for quote in estimated.failed], len(estimated.quotes))


def _show(session: Session, estimated: "Estimate", answers: "list[Answered]", kept: "Gathered") -> int:
    from store.lcql import shown_row, time_of, words_of
    from store.times import rfc3339

    found = sorted(
        ((time_of(row) or 0, answer, row) for answer in answers for row in kept.found.get(answer.oid, ())),
        key=lambda each: each[0],
        reverse=True,
    )
    session.clear_progress()
    if session.output in ("table", "csv"):
        named = list(dict.fromkeys(name for _, _, row in found for name in words_of(row).cells))[:12]
        lines = []
        for when, answer, row in found:
            words = words_of(row)
            line: dict[str, Any] = {"organization": answer.name, "time": rfc3339(when or None)}
            if named:
                line |= {name: words.cells.get(name, "") for name in named}
            else:
                line |= {"host": words.host, "type": words.kind, "what": words.what}
            lines.append(line | ({"oid": answer.oid} if session.output == "csv" else {}))
        session.show_rows(lines)
    elif session.output == "jsonl":
        session.show_rows([shown_row(answer.oid, answer.name, row) for _, answer, row in found])
    else:
        session.show_object(
            {
                **_asked(estimated),
                "organizations": [
                    {
                        "oid": each.oid,
                        "organization": each.name,
                        "state": each.state,
                        "rows": each.rows,
                        "events": each.scanned,
                        "cut": each.cut,
                        "error": each.error,
                    }
                    for each in answers
                ],
                "rows": [shown_row(answer.oid, answer.name, row) for _, answer, row in found],
            }
        )
    failed = [answer for answer in answers if answer.state == "failed"]
    cut = [answer for answer in answers if answer.cut]
    session.say(
        f"{len(found):,} rows of {len(answers) - len(failed):,} of {len(answers):,} organizations"
        + (f"; {len(cut):,} had more than were kept" if cut else "")
        + "."
    )
    session.say_each(f"{answer.name} failed: {answer.error}" for answer in failed)
    return _code([answer.kind for answer in failed], len(answers))


def _code(failed: list[str], of: int) -> int:
    """0 when all went well, 3 when some failed, 5 when all did for want of a permission, else 1."""
    if not failed:
        return 0
    if len(failed) < of:
        return 3
    return 5 if set(failed) == {"denied"} else 1
