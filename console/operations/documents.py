"""What is known about customers: kept in the store, written to `org_notes` and read from there.

The record is named `limegrove`; its text is the document. It is written as every change in the cloud is:
read, compared, the intent in the journal, sent once under the etag, read back. What somebody else wrote there
since this store wrote or read it is not overwritten, unless that is asked for.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import select

from console.limacharlie.errors import Conflict, Denied, LimaCharlieError
from console.operations import records
from console.operations.ports import Progress, Report
from store import customers, journal, models
from store.customers import RECORD, CustomerError
from store.errors import StoreError
from store.queries.scopes import marked
from store.text import safe_text
from store.times import now_ms
from store.typednames import is_named

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from console.limacharlie.client import Cloud
    from console.operations.records import Current
    from store.database import Store

SECTION = "hive/org_notes"
AT_ONCE = 8
_TOGETHER = 10
"""Organizations in one transaction: a changed calendar sets all open alerts of each anew."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Done:
    """What became of one organization's document."""

    oid: str
    outcome: str
    """`done`, `already`; `nothing` (none is kept, or none is in the cloud); `conflict`, `denied`, `refused`,
    `failed`, `unknown`."""
    reason: str = ""
    """Why it was not done; a sentence in which a stranger's text is safe."""

    @property
    def well(self) -> bool:
        """Whether nothing is left to be done."""
        return self.outcome in ("done", "already", "nothing")


def keep(
    store: "Store", told: Mapping[str, Mapping[str, Any]], *, by: str, whole: bool = False,
    report: Report = lambda progress: None, now: int | None = None,
) -> list[str]:  # fmt: skip
    """Keep what is told of organizations; answers the oids of those for which it is news.

    Args:
        told: by oid, fields of `store.customers.Customer`.
        by: the operator.
        whole: what is not told is taken away; otherwise it stays.

    Raises:
        CustomerError: something cannot be; of the organizations before it, all is kept.
    """
    oids = list(told)
    news = []
    for at in range(0, len(oids), _TOGETHER):
        with store.writing() as connection:
            for oid in oids[at : at + _TOGETHER]:
                before = customers.EMPTY if whole else customers.customer(connection, oid)
                moment = now_ms() if now is None else now
                if customers.put(connection, oid, replace(before, **told[oid]), by=by, now=moment):
                    news.append(oid)
        report(Progress(min(at + _TOGETHER, len(oids)), len(oids), "organizations"))
    return news


async def push(
    oids: Iterable[str], *, store: "Store", cloud: "Cloud", by: str, replaced: bool = False,
    typed: Collection[str] = (), report: Report = lambda progress: None,
) -> list[Done]:  # fmt: skip
    """Write what is kept to each organization's `org_notes`, once.

    Args:
        by: the operator.
        replaced: also where somebody else wrote another document there.
        typed: names of protected organizations that were typed.
    """

    async def one(oid: str) -> Done:
        kept = await _read(store, lambda c: customers.kept(c, oid))
        if not kept.customer.said:
            return Done(oid, "nothing")
        if refusal := await _read(store, lambda c: _protected(c, oid, typed)):
            return Done(oid, "refused", refusal)
        wanted = customers.text_of(kept.customer)
        handle = cloud.organization(oid)
        current = await records.read(handle, SECTION, RECORD)
        held = _text(current)
        if current is not None and customers.document_hash(held) == kept.hash:
            await _write(store, lambda c: customers.pushed(c, oid, held, current.etag, now=now_ms()))
            return Done(oid, "already")
        if (
            current is not None
            and not replaced
            and (told := customers.document_hash(held)) != kept.pushed_hash
            and told not in await _read(store, lambda c: _sent(c, oid))
        ):
            who = safe_text(current.author, 80) or "somebody"
            return Done(
                oid,
                "conflict",
                f"{who} wrote another document there: `org document pull` reads it, "
                "`push --replace` overwrites it.",
            )
        intent = await _journal(store, by, oid, {"step": "intent", "hash": kept.hash})
        body = {
            "text": wanted,
            "description": "Contacts, escalation, maintenance, service hours and procedures",
        }
        metadata = {"enabled": True, "tags": ["limegrove"]} if current is None else None
        trouble = ""
        try:
            await records.write(handle, SECTION, RECORD, body, metadata, current)
        except LimaCharlieError as error:
            # Whatever was answered, the reading tells what came of it; a refusal does by itself.
            trouble = str(error)
            if isinstance(error, Denied | Conflict):
                outcome = "conflict" if isinstance(error, Conflict) else "denied"
                await _journal(store, by, oid, {"step": "result", "intent": intent, "outcome": outcome})
                return Done(oid, outcome, trouble)
        try:
            after = await records.read(handle, SECTION, RECORD)
        except LimaCharlieError as error:
            await _journal(store, by, oid, {"step": "result", "intent": intent, "outcome": "unknown"})
            return Done(oid, "unknown", f"It was sent, and cannot be read back: {error}")
        there = after is not None and _text(after) == wanted
        outcome = "done" if there else "failed"

        def settle(connection: "Connection") -> None:
            if after is not None and there:
                customers.pushed(connection, oid, wanted, after.etag, now=now_ms())
            journal.append(
                connection, by, "customer.push", oid, RECORD,
                {"step": "result", "intent": intent, "outcome": outcome},
            )  # fmt: skip

        try:
            await _write(store, settle)
        except StoreError as error:
            return Done(oid, "unknown", f"It was sent, and what became of it could not be kept: {error}")
        return Done(oid, outcome, "" if there else trouble or "It is not there when read back.")

    return await _each(list(oids), one, report)


async def pull(
    oids: Iterable[str], *, store: "Store", cloud: "Cloud", by: str, replaced: bool = False,
    report: Report = lambda progress: None,
) -> list[Done]:  # fmt: skip
    """Keep what each organization's `org_notes` say, where another console wrote it.

    Args:
        by: the operator.
        replaced: also where what is kept here was changed since and never written there.
    """

    async def one(oid: str) -> Done:
        current = await records.read(cloud.organization(oid), SECTION, RECORD)
        if current is None:
            return Done(oid, "nothing")
        held = _text(current)
        try:
            told = customers.read_document(held)
        except CustomerError as error:
            return Done(oid, "failed", f"The record is no documentation: {error}")

        def settle(connection: "Connection") -> Done:
            kept = customers.kept(connection, oid)
            if kept.customer == told:
                customers.pushed(connection, oid, held, current.etag, now=now_ms())
                return Done(oid, "already")
            if kept.customer.said and kept.hash != kept.pushed_hash and not replaced:
                return Done(
                    oid,
                    "conflict",
                    "What is kept here was changed and never pushed: `pull --replace` overwrites it.",
                )
            customers.put(connection, oid, told, by=by, now=now_ms())
            customers.pushed(connection, oid, held, current.etag, now=now_ms())
            return Done(oid, "done")

        return await _write(store, settle)

    return await _each(list(oids), one, report)


async def _each(oids: Sequence[str], one: Callable[[str], Any], report: Report) -> list[Done]:
    free = asyncio.Semaphore(AT_ONCE)
    finished = 0

    async def guarded(oid: str) -> Done:
        nonlocal finished
        async with free:
            try:
                done: Done = await one(oid)
            except Denied as error:
                done = Done(oid, "denied", str(error))
            except (LimaCharlieError, StoreError) as error:
                done = Done(oid, "failed", str(error))
        finished += 1
        report(Progress(finished, len(oids), "organizations"))
        return done

    return list(await asyncio.gather(*map(guarded, oids)))


def _text(current: "Current | None") -> str:
    body = None if current is None else current.body
    text = body.get("text") if isinstance(body, dict) else None
    return text if isinstance(text, str) else ""


def _protected(connection: "Connection", oid: str, typed: Collection[str]) -> str:
    """Why nothing may be written to a protected organization; "" when its name was typed, or it is none."""
    name = marked(connection, "protected", {oid}).get(oid)
    if name is None or any(is_named(each, name, oid) for each in typed):
        return ""
    return f"{safe_text(name, 80)} is protected: its name or its oid has to be typed (--confirm NAME)."


def _sent(connection: "Connection", oid: str) -> set[str]:
    """The documents that were to be written there: of the last a process may have died before it knew."""
    entry = models.Journal.__table__  # type: ignore[attr-defined]
    details = select(entry.c.detail).where(entry.c.action == "customer.push", entry.c.oid == oid)
    return {str(detail["hash"]) for detail in connection.execute(details).scalars() if "hash" in detail}


async def _journal(store: "Store", by: str, oid: str, detail: dict[str, Any]) -> int:
    return await _write(
        store, lambda connection: journal.append(connection, by, "customer.push", oid, RECORD, detail)
    )


async def _read(store: "Store", read: "Callable[[Connection], Result]") -> Result:
    def go() -> Result:
        with store.reader.reading() as connection:
            return read(connection)

    return await asyncio.to_thread(go)


async def _write(store: "Store", write: "Callable[[Connection], Result]") -> Result:
    def go() -> Result:
        with store.writing() as connection:
            return write(connection)

    return await asyncio.to_thread(go)
