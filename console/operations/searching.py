"""LCQL over several organizations at once: what it would cost, then the answers as they come.

A search may be billed by the events that it looks at, so its price is estimated first and nothing runs
before somebody agreed. Each organization is asked on its own, several at a time within the credential's rate;
one that fails is named and keeps none of the others.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from console.limacharlie.errors import LimaCharlieError
from console.limacharlie.handle import all_of
from console.operations.actor import actor
from console.operations.ports import Progress, Report
from store import searches
from store.journal import append
from store.lcql import ANSWERS, MOST_OF_ALL, Estimate, Question, Quote
from store.times import now_ms

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sqlalchemy import Connection

    from console.limacharlie.client import Cloud
    from console.limacharlie.search import SearchResults
    from store.database import Store

AT_ONCE = 8
"""Organizations that are asked at the same time: the client sends at most 16 requests at once."""
ALIVE_EVERY = 2.0
"""Seconds between two signs of life of a search that runs, and two looks whether somebody ended it."""


def _silent(progress: Progress) -> None:
    """Say nothing."""


async def estimate(
    cloud: "Cloud", question: Question, organizations: Mapping[str, str], *, report: Report = _silent
) -> Estimate:
    """What a question would cost each organization; nothing is run, and nothing is billed.

    Args:
        organizations: oid -> name.
        report: told after each organization.

    Returns:
        A quote for each, in the order given. One that cannot be asked has an error instead of a price.
    """
    gate, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(oid: str, name: str) -> Quote:
        nonlocal done
        async with gate:
            quote = await _quote(cloud, question, oid, name)
        done += 1
        report(Progress(done, len(organizations), "estimating"))
        return quote

    return Estimate(
        question, tuple(await asyncio.gather(*(one(oid, name) for oid, name in organizations.items())))
    )


async def _quote(cloud: "Cloud", question: Question, oid: str, name: str) -> Quote:
    try:
        check = await cloud.organization(oid).validate_search(
            question.query, question.start, question.end, question.stream
        )
    except LimaCharlieError as error:
        return Quote(oid, name, error=str(error), kind=error.kind)
    if check.error:
        return Quote(oid, name, error=check.error, kind="invalid")
    stats = check.details.get("stats")
    events = stats.get("eventsInScope") if isinstance(stats, Mapping) else None
    return Quote(
        oid,
        name,
        check.price,
        check.currency,
        events if isinstance(events, int) and not isinstance(events, bool) else None,
    )


class Sink(Protocol):
    """Where the answers go."""

    async def rows(self, oid: str, rows: Sequence[Any]) -> None:
        """Some rows of an organization, as the cloud answered them."""

    async def mark(
        self, oid: str, state: str, *, error: str = "", scanned: int = 0, cut: bool = False
    ) -> None:
        """How far an organization has come: of `store.lcql.ANSWERS`."""


@dataclass
class Answered:
    """What became of one organization's part."""

    oid: str
    name: str
    state: str = "waiting"
    error: str = ""
    kind: str = ""
    """The short word for the error."""
    rows: int = 0
    scanned: int = 0
    cut: bool = False


@dataclass
class Gathered:
    """A sink that keeps everything in memory, for a command that prints it."""

    found: dict[str, list[Any]] = field(default_factory=dict)

    async def rows(self, oid: str, rows: Sequence[Any]) -> None:
        """Keep them."""
        self.found.setdefault(oid, []).extend(rows)

    async def mark(
        self, oid: str, state: str, *, error: str = "", scanned: int = 0, cut: bool = False
    ) -> None:
        """Nothing to keep."""


async def run(
    cloud: "Cloud", agreed: Estimate, sink: Sink, *, report: Report = _silent, most_of_all: int = MOST_OF_ALL
) -> list[Answered]:
    """Ask every organization that can be asked, as estimated and agreed to.

    Cancelling it ends what runs, in the cloud too.

    Args:
        report: told after each organization.
        most_of_all: rows that are kept of all organizations together.

    Returns:
        What became of each organization, those included that could not even be estimated.
    """
    answers = {quote.oid: Answered(quote.oid, quote.name) for quote in agreed.quotes}
    for quote in agreed.failed:
        answer = answers[quote.oid]
        answer.state, answer.error, answer.kind = "failed", quote.error, quote.kind
    gate = asyncio.Semaphore(AT_ONCE)
    room = _Room(most_of_all)
    done, able = 0, agreed.able

    async def one(answer: Answered) -> None:
        nonlocal done
        async with gate:
            answer.state = "running"
            await sink.mark(answer.oid, "running")
            try:
                await _ask(cloud, agreed.question, answer, sink, room)
            except LimaCharlieError as error:
                answer.state, answer.error, answer.kind = "failed", str(error), error.kind
            except asyncio.CancelledError:
                answer.state = "cancelled"
                raise
            else:
                answer.state = "done"
            await sink.mark(
                answer.oid, answer.state, error=answer.error, scanned=answer.scanned, cut=answer.cut
            )
        done += 1
        report(Progress(done, len(able), "searching"))

    await all_of([one(answers[quote.oid]) for quote in able])
    return list(answers.values())


class _Room:
    """How many rows may still be kept."""

    def __init__(self, rows: int) -> None:
        self.left = rows


async def _ask(cloud: "Cloud", question: Question, answer: Answered, sink: Sink, room: _Room) -> None:
    handle = cloud.organization(answer.oid)
    pages = cast(
        "AsyncGenerator[SearchResults, None]",
        handle.search(question.query, question.start, question.end, question.stream),
    )
    # Closed at once: what is not read to its end has to be ended in the cloud before the slot is given on.
    async with contextlib.aclosing(pages) as batches:
        async for batch in batches:
            answer.scanned = _scanned(batch.stats, answer.scanned)
            kept = batch.rows[: max(0, min(question.most - answer.rows, room.left))]
            if kept:
                await sink.rows(answer.oid, kept)
            answer.rows += len(kept)
            room.left -= len(kept)
            if len(kept) < len(batch.rows):
                answer.cut = True
                return
            if answer.rows >= question.most or room.left <= 0:
                # Whether there is one more is not worth another page, which would be billed.
                answer.cut = True
                return


def _scanned(stats: Mapping[str, Any], before: int) -> int:
    """Events looked at so far: pages tell a sum of their own, or what they looked at themselves."""
    total = stats.get("cumulativeStats")
    if isinstance(total, Mapping) and isinstance(total.get("eventsScanned"), int):
        return int(total["eventsScanned"])
    here = stats.get("eventsScanned")
    return before + here if isinstance(here, int) else before


class _Stored:
    """A sink that writes into the store."""

    def __init__(self, store: "Store", search_id: int) -> None:
        self._store = store
        self._id = search_id

    async def rows(self, oid: str, rows: Sequence[Any]) -> None:
        def write() -> None:
            with self._store.writing() as connection:
                searches.put_rows(connection, self._id, oid, rows)

        await asyncio.to_thread(write)

    async def mark(
        self, oid: str, state: str, *, error: str = "", scanned: int = 0, cut: bool = False
    ) -> None:
        def write() -> None:
            with self._store.writing() as connection:
                searches.mark(
                    connection, self._id, oid, ANSWERS.index(state), error=error, scanned=scanned, cut=cut
                )

        await asyncio.to_thread(write)


def record(store: "Store", agreed: Estimate, *, operator: str) -> int:
    """Write down a search that was agreed to, with its entry in the journal; answers its number."""
    with store.writing() as connection:
        search_id = searches.begin(connection, agreed.question, agreed.quotes, by=operator, now=now_ms())
        _journal(connection, agreed)
    return search_id


def journalled(store: "Store", agreed: Estimate) -> None:
    """Only the entry in the journal, of a search whose answers are not kept."""
    with store.writing() as connection:
        _journal(connection, agreed)


def _journal(connection: "Connection", agreed: Estimate) -> None:
    question = agreed.question
    append(
        connection,
        actor(),
        "search.run",
        agreed.able[0].oid if len(agreed.able) == 1 else "",
        question.scope,
        {
            "query": question.query,
            "stream": question.stream,
            "start": question.start,
            "end": question.end,
            "organizations": [quote.oid for quote in agreed.able],
            "estimated": agreed.totals,
        },
    )


async def run_stored(
    cloud: "Cloud", agreed: Estimate, search_id: int, *, store: "Store", report: Report = _silent
) -> list[Answered]:
    """As `run`, into the store, where every view sees it; ended when somebody asks for that there.

    Returns:
        What became of each organization; [] when it was ended.
    """
    task = asyncio.ensure_future(run(cloud, agreed, _Stored(store, search_id), report=report))
    ended = asyncio.Event()
    watch = asyncio.ensure_future(_watch(store, search_id, task, ended))
    answers: list[Answered] | None = None
    try:
        answers = await task
    except asyncio.CancelledError:
        if not ended.is_set():
            raise
    finally:
        watch.cancel()
        await asyncio.shield(asyncio.to_thread(_finish, store, search_id, answers is None))
    return answers or []


def _finish(store: "Store", search_id: int, cancelled: bool) -> None:
    with store.writing() as connection:
        searches.finish(connection, search_id, cancelled=cancelled, now=now_ms())


async def _watch(store: "Store", search_id: int, task: "asyncio.Future[Any]", ended: asyncio.Event) -> None:
    """Give signs of life, and end the search when somebody asks for it."""
    beats = 0
    while not task.done():
        await asyncio.sleep(ALIVE_EVERY / 8)
        beats += 1
        if await asyncio.to_thread(_look, store, search_id, beats % 8 == 0):
            ended.set()
            task.cancel()
            return


def _look(store: "Store", search_id: int, sign: bool) -> bool:
    if sign:
        with store.writing() as connection:
            searches.alive(connection, search_id, now_ms())
            return searches.asked_to_stop(connection, search_id)
    with store.reader.reading() as connection:
        return searches.asked_to_stop(connection, search_id)


def end(store: "Store", search_id: int) -> bool:
    """Ask for the end of a search, whichever process runs it; False when it has ended already."""
    with store.writing() as connection:
        return searches.stop(connection, search_id)
