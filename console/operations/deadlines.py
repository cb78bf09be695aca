"""What has a time is made when that has come: by the console, the watcher, or any command that connects.

A deadline is taken in the store before anything is sent (`store.deadlines`), so that of many consoles one
makes it. What it wants is looked up in the cloud first: where that is so already nothing is sent; otherwise
it is a plan like any other, approved when the deadline was made. A process that dies in the middle leaves a
deadline that the next one finds, and looks up before it sends.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, select, update

from console.limacharlie.client import Cloud
from console.limacharlie.errors import Gone, LimaCharlieError
from console.operations.actor import actor
from store import deadlines, ingest, models
from store.accesschanges import AccessChange
from store.accessplans import APPLYING, DRAFT, DROPPED, PlanError
from store.database import Store
from store.deadlines import TAKEN, Deadline
from store.deadlines import put as put
from store.journal import append
from store.processes import alive, holder
from store.text import safe_text
from store.times import now_ms

Result = TypeVar("Result")
log = logging.getLogger(__name__)

LEASE = 300_000
"""Milliseconds after which a deadline that another machine was making is looked at: far beyond any call's."""

HOOKS: dict[str, str] = {"break-glass": "store.breakglass"}
"""By the kind of a deadline the module that wants to know. Any of these may be missing:
`deadline_made(connection, deadline, outcome, *, by, now)` runs in the transaction that closes the deadline;
`sources(connection, deadline)` names the plans (`AccessPlan.source`) that give what the deadline takes away,
so that none gives it afterwards; `void(connection, deadline)` says whether that was never given."""

_GROUP: Table = models.Group.__table__  # type: ignore[attr-defined]
_PLAN: Table = models.AccessPlan.__table__  # type: ignore[attr-defined]

_LIVE: set[tuple[str, int]] = set()
"""Deadlines that this process is making at the moment, with their store."""
_LATEST: dict[str, int] = {}
"""By store the latest time that this process saw."""


@dataclass(frozen=True)
class Made:
    """What became of a deadline."""

    deadline: Deadline
    outcome: str
    """`done`, `already` (it was so), or `failed`: it stays overdue, and is tried again."""
    reason: str = ""
    """Why it failed."""

    @property
    def sentence(self) -> str:
        """For the operator; a stranger's text in it is safe."""
        title = safe_text(self.deadline.title, 160)
        match self.outcome:
            case "done":
                return f"Its time has passed, and it is done: {title}."
            case "already":
                return f"Its time has passed, and it was so already: {title}."
            case _:
                return f"OVERDUE, and tried again: {title}. {safe_text(self.reason, 300)}"


class NotNow(Exception):
    """This try came to nothing; the text is the reason."""


async def due(
    store: Store,
    cloud: Cloud,
    now: int | None = None,
    *,
    operator: str = "",
    ids: Collection[int] | None = None,
) -> list[Made]:
    """Make what is due, each once; a look at the store when nothing is.

    Nothing that the cloud says is raised: a deadline that cannot be made is `failed`, and tried again. Of a
    console that may not change anything nothing is made.

    Args:
        now: ms, UTC; the clock when None.
        operator: under whom it is made; the system's user when empty.
        ids: these alone, as far as they are due, whatever pause a failed try has left.

    Raises:
        StoreError: the store cannot be read or written.
    """
    if cloud.read_only:
        return []
    now = now_ms() if now is None else now
    found = await asyncio.to_thread(look, store, now)
    if ids is not None:
        found = await asyncio.to_thread(_named, store, ids, now)
    made = []
    for deadline in found:
        done = await _one(store, cloud, deadline, now, operator or actor())
        if done is not None:
            made.append(done)
    return made


def look(store: Store, now: int) -> list[Deadline]:
    """What may be made now, after noting the time; writes at most once a minute.

    Raises:
        StoreError: the store cannot be read or written.
    """
    machine = deadlines.host()
    latest = _LATEST.get(store.url, 0)
    _LATEST[store.url] = now
    with store.reader.reading() as connection:
        if not deadlines.waiting(connection):
            return []
        seen = max(latest, deadlines.seen_time(connection, machine))
        stored = deadlines.seen_time(connection, machine)
    if now < seen - deadlines.JITTER or now >= stored + deadlines.NOTED_EVERY:
        with store.writing() as connection:
            back = deadlines.note_time(connection, machine, now, latest)
        if back:
            log.warning("the clock was set back by %d s: deadlines end so much earlier", back // 1000)
    with store.reader.reading() as connection:
        return [each for each in deadlines.possible(connection, now) if _is_free(store, each, now)]


def _is_free(store: Store, deadline: Deadline, now: int) -> bool:
    """Whether nobody makes it at the moment."""
    if deadline.state != TAKEN:
        return True
    if deadline.holder == holder():
        return (store.url, deadline.id) not in _LIVE
    there = alive(deadline.holder)
    return not there if there is not None else (deadline.taken_at or 0) + LEASE < now


def _named(store: Store, ids: Collection[int], now: int) -> list[Deadline]:
    with store.reader.reading() as connection:
        found = [deadlines.get(connection, each) for each in sorted(ids)]
    return [each for each in found if each is not None and each.open and each.due_at <= now]


async def _one(store: Store, cloud: Cloud, deadline: Deadline, now: int, operator: str) -> Made | None:
    """Take it, make it, and note what came of it; None when somebody else has it."""
    mine = (store.url, deadline.id)
    if mine in _LIVE or not _is_free(store, deadline, now):
        return None
    _LIVE.add(mine)
    try:
        me = holder()
        if not await _write(store, lambda c: deadlines.take(c, deadline, me, now=now)):
            return None
        try:
            outcome = await _make(store, cloud, deadline, operator)
        except (LimaCharlieError, NotNow) as error:
            reason = str(error) or type(error).__name__
            await _write(store, lambda c: deadlines.failed(c, deadline.id, me, reason, now=now))
            return Made(deadline, "failed", reason)

        def close(connection: Connection) -> bool:
            if not deadlines.finished(connection, deadline.id, me, outcome, by=operator, now=now):
                return False
            append(
                connection,
                operator,
                "deadline.made",
                target=deadline.title,
                detail={
                    "deadline": deadline.id, "kind": deadline.kind, "due_at": deadline.due_at,
                    "outcome": outcome, "tries": deadline.tries + 1,
                },
                now=now,
            )  # fmt: skip
            _hook(deadline.kind, "deadline_made", connection, deadline, outcome, by=operator, now=now)
            return True

        await _write(store, close)
        return Made(deadline, outcome)
    finally:
        _LIVE.discard(mine)


async def _make(store: Store, cloud: Cloud, deadline: Deadline, operator: str) -> str:
    """See to it that it is so; answers `done` or `already`.

    Raises:
        LimaCharlieError: the cloud cannot be asked.
        NotNow: it cannot be made now.
    """
    from console.operations import accessplans

    own = f"deadline:{deadline.id}"

    def prepare(connection: Connection) -> tuple[bool, bool]:
        sources = _hook(deadline.kind, "sources", connection, deadline) or []
        close_plans(connection, sources, "what it takes away is being given just now")
        # A plan of an earlier try, whose process is gone: what it had sent is read below.
        tried = close_plans(connection, [own], "it is being made just now")
        return bool(_hook(deadline.kind, "void", connection, deadline)), bool(tried)

    void, tried = await _write(store, prepare)
    if void:
        return "already"
    left = await _left(store, cloud, deadline.changes)
    if not left:
        return "done" if tried else "already"
    try:
        outcome = await accessplans.carry_out(
            left,
            title=deadline.title,
            store=store,
            cloud=cloud,
            operator=operator,
            confirm=accessplans.CONFIRMED,
            source=own,
        )
    except (accessplans.Refused, PlanError) as error:
        raise NotNow(str(error)) from error
    if await _left(store, cloud, deadline.changes):
        raise NotNow(outcome.sentence)
    return "done"


async def _left(store: Store, cloud: Cloud, changes: Sequence[AccessChange]) -> list[AccessChange]:
    """The changes that are not so yet, as the cloud says; what it says is stored."""
    left = []
    groups: dict[str, dict[str, object] | None] = {}
    for change in changes:
        match change.kind:
            case "remove_member":
                if change.gid not in groups:
                    groups[change.gid] = await _group(store, cloud, change.gid)
                group = groups[change.gid]
                members = group["members"] if group else []
                assert isinstance(members, list)  # noqa: S101  (`CloudGroups.group`)
                if any(_email(each) == change.principal for each in members):
                    left.append(change)
            case "delete_key":
                keys = await cloud.organization(change.oid).keys()
                await _write(store, lambda c, oid=change.oid, k=keys: ingest.put_keys(c, oid, k))  # type: ignore[misc]
                if change.principal in keys:
                    left.append(change)
            case _:
                left.append(change)
    return left


def _email(member: object) -> str:
    return str(member.get("email", "") if isinstance(member, dict) else member).casefold()


async def _group(store: Store, cloud: Cloud, gid: str) -> dict[str, object] | None:
    """A group as it is now; None when it is gone, which two answers have to say.

    Raises:
        LimaCharlieError: the cloud cannot be asked, or the group is another owner's.
        NotNow: the two answers disagree.
    """
    try:
        group = await cloud.group(gid)
    except Gone:
        if gid in await cloud.group_names():
            raise NotNow("The cloud lists the group, and says that there is none.") from None
        return None

    def write(connection: Connection) -> int:
        same = connection.execute(select(_GROUP.c.gid).where(_GROUP.c.complete)).scalars().all()
        return ingest.put_groups(connection, [group], same=same)

    await _write(store, write)
    return group


def close_plans(connection: Connection, sources: Sequence[str], busy: str) -> int:
    """Let no plan from these sources go on; answers how many there were.

    Args:
        busy: what is said where one is being applied.

    Raises:
        NotNow: a process that is there applies one at the moment.
    """
    rows = connection.execute(
        select(_PLAN.c.id, _PLAN.c.holder, _PLAN.c.beat_at, _PLAN.c.state).where(_PLAN.c.source.in_(sources))
    ).all()
    for row in rows:
        if row.state == APPLYING and row.holder:
            # In this very process a task that ends gives its plan back.
            there = None if row.holder == holder() else alive(row.holder)
            if there or (there is None and (row.beat_at or 0) + LEASE > now_ms()):
                raise NotNow(f"{busy[0].upper()}{busy[1:]}, by another console.")
    going = [row.id for row in rows if row.state in (DRAFT, APPLYING)]
    if going:
        connection.execute(
            update(_PLAN).where(_PLAN.c.id.in_(going)).values(state=DROPPED, holder="", finished_at=now_ms())
        )
    return len(rows)


def _hook(kind: str, name: str, *values: object, **named: object) -> Any:
    module = HOOKS.get(kind)
    call = getattr(import_module(module), name, None) if module else None
    return None if call is None else call(*values, **named)


async def _write(store: Store, write: Callable[[Connection], Result]) -> Result:
    def go() -> Result:
        with store.writing() as connection:
            return write(connection)

    return await asyncio.to_thread(go)
