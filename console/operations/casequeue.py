"""Edits of cases on their way: written down before, sent once, read back.

An edit is a row of the store (`CaseEdit`) before anything is sent. One process takes it, reads what the case
is now, and keeps that with the edit. Only what is as it was seen is overwritten; anything else is a conflict
for a person. The change is then sent exactly once. Where its outcome is unknown, and where a process was
killed in between, the case is read again and compared: it was made, or it was not and waits again, or nobody
can tell and a person decides. Nothing is repeated on suspicion.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, select

from console.limacharlie.cases import CasePage
from console.limacharlie.client import Cloud, OrganizationHandle
from console.limacharlie.errors import (
    Ambiguous,
    Auth,
    Conflict,
    Denied,
    Gone,
    Invalid,
    LimaCharlieError,
    Network,
    Protocol,
    Throttled,
    Unavailable,
)
from console.operations.actor import actor
from store import casework, ingest, journal, models
from store.bodies import unpack
from store.cases import (
    BULK,
    CONFLICT,
    DONE,
    DROPPED,
    EDIT_STATES,
    PENDING,
    REFUSED,
    SENDING,
    differing,
    reference,
    with_tags,
)
from store.database import Store
from store.processes import alive, holder
from store.queries import cases as queries
from store.queries.cases import EditRow
from store.times import now_ms

Result = TypeVar("Result")

AT_ONCE = 8
"""Cases worked on at once."""
PAGES = 5
"""Pages of a listing that are read to see many cases at once; what is not among them is asked for alone."""
LEASE = 300_000
"""Milliseconds after which an edit that another machine was sending is looked at: far beyond any deadline."""
TRIES = 2
"""How often a drain sends an edit of which it was found that it had not been made."""

_D: Table = models.Detection.__table__  # type: ignore[attr-defined]
_BODY: Table = models.DetectionBody.__table__  # type: ignore[attr-defined]

_DEFINITE = (Invalid, Conflict, Denied, Gone)
"""The cloud said no: nothing was done, and asking again would say no again."""
_LATER = (Network, Unavailable, Throttled, Auth, Protocol)
"""The cloud could not be asked, or did not answer a question: what was not sent yet waits."""
_AWAY = (Network, Auth)
"""Of these: nobody can be asked, so everything waits."""

_LIVE: set[int] = set()
"""Edits that this process is sending at the moment."""


class _Later(Exception):
    """The cloud is away: everything else waits."""

    def __init__(self, error: LimaCharlieError) -> None:
        super().__init__(str(error))
        self.error = error


class _Settled(Exception):
    """The edit needs no sending: what is wanted is there, or it cannot be."""

    def __init__(self, state: int, reason: str = "", found: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason
        self.found = found


@dataclass
class Drained:
    """What a drain came to, in edits."""

    done: int = 0
    conflicts: int = 0
    refused: int = 0
    waiting: int = 0
    """Sent by nobody yet: the cloud was away, or another process has them."""
    trouble: str = ""
    """Why it ended early; "" when it did not."""
    cases: set[tuple[str, int]] = field(default_factory=set)
    """Whose edits were settled: (oid, number)."""


class CaseQueue:
    """Sends what waits."""

    def __init__(self, store: Store, cloud: Cloud, *, clock: Callable[[], int] = now_ms) -> None:
        self.store = store
        self.cloud = cloud
        self.clock = clock
        self.holder = holder()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tries: dict[int, int] = {}
        self._drained = Drained()

    async def drain(self, ids: Collection[int] | None = None) -> Drained:
        """Send edits, in the order in which they were wanted of each case.

        Args:
            ids: these, and what waits before them for the same cases; everything that waits when None.

        Returns:
            What came of them. The cloud's being away is no error: they wait, and the reason is named.
        """
        self._drained = drained = Drained()
        try:
            await self._recover()
            handled: set[int] = set()
            while chains := await self._chains(ids, handled):
                heads = [chain[0] for chain in chains]
                handled.update(edit.id for edit in heads)
                alone, together = _grouped(heads)
                # One failure ends the round, but not in the middle of what is under way.
                results = await asyncio.gather(
                    *(self._one(edit) for edit in alone),
                    *(self._bulk(group) for group in together),
                    return_exceptions=True,
                )
                for result in results:
                    if isinstance(result, BaseException) and not isinstance(result, _Later):
                        raise result
                for result in results:
                    if isinstance(result, _Later):
                        raise result
        except _Later as later:
            drained.trouble = str(later.error)
        waiting = await self.read(
            lambda c: queries.edits(c, states=(PENDING, SENDING), ids=ids or (), limit=100_000)
        )
        drained.waiting = len(waiting)
        return drained

    # -- what waits ---------------------------------------------------------------------------------------

    async def _chains(self, ids: Collection[int] | None, handled: set[int]) -> list[list[EditRow]]:
        """What waits, by case; a case whose first edit was handled in vain waits as a whole."""
        waiting = await self.read(lambda c: queries.edits(c, states=(PENDING, SENDING), limit=100_000))
        wanted = {(edit.oid, edit.number) for edit in waiting if ids is None or edit.id in ids}
        last = {
            key: max(edit.id for edit in waiting if (edit.oid, edit.number) == key
                     and (ids is None or edit.id in ids))
            for key in wanted
        }  # fmt: skip
        chains: dict[tuple[str, int], list[EditRow]] = {}
        for edit in waiting:
            key = (edit.oid, edit.number)
            if key in wanted and edit.id <= last[key]:
                chains.setdefault(key, []).append(edit)
        return [
            chain
            for chain in chains.values()
            if chain[0].state == PENDING
            # What is wanted of a case that is not made yet waits for that.
            and (chain[0].number > 0 or chain[0].what == "create")
            and (chain[0].id not in handled or 0 < self._tries.get(chain[0].id, 0) < TRIES)
        ]

    async def _recover(self) -> None:
        """See what became of what a process was sending that is not there any more."""
        for edit in await self.read(lambda c: queries.edits(c, states=(SENDING,), limit=100_000)):
            if edit.holder == self.holder:
                gone = edit.id not in _LIVE
            else:
                there = alive(edit.holder)
                gone = not there if there is not None else (edit.sent_at or 0) + LEASE < self.clock()
            if not gone:
                continue
            mine = await self.write(
                partial(
                    casework.take_over,
                    edit_id=edit.id,
                    before=edit.holder,
                    holder=self.holder,
                    now=self.clock(),
                )
            )
            if mine:
                _LIVE.add(edit.id)
                try:
                    await self._look_again(edit)
                finally:
                    _LIVE.discard(edit.id)

    # -- one edit -----------------------------------------------------------------------------------------

    async def _one(self, edit: EditRow) -> None:
        async with self._slots:
            taken = await self.write(lambda c: casework.take(c, [edit.id], self.holder, now=self.clock()))
            if not taken:
                return
            _LIVE.add(edit.id)
            try:
                await self._carry_out(edit)
            finally:
                _LIVE.discard(edit.id)

    async def _carry_out(self, edit: EditRow) -> None:
        self._tries[edit.id] = self._tries.get(edit.id, 0) + 1
        kind = _KINDS[edit.what](self, edit)
        try:
            before = await kind.before()
        except _Settled as settled:
            await self._settle(edit, settled.state, settled.reason, settled.found)
            return
        except _DEFINITE as error:
            await self._settle(edit, REFUSED, str(error))
            return
        except _LATER as error:
            await self._wait([edit], error)
            return
        ours = await self.write(lambda c: casework.note_before(c, edit.id, self.holder, before))
        if not ours:
            return
        try:
            found = await kind.send(before)
        except Ambiguous:
            await self._look_again(edit, before)
        except _DEFINITE as error:
            await self._settle(edit, REFUSED, str(error))
        except _LATER as error:
            # Known not to have been sent, or not to have been taken.
            await self._wait([edit], error)
        else:
            await self._settle(edit, DONE, "", found)
            # It is made, whether or not it can be looked at now.
            with contextlib.suppress(LimaCharlieError):
                await kind.after(found)

    async def _wait(self, edits: Sequence[EditRow], error: LimaCharlieError) -> None:
        """Put edits back: they were not sent.

        Raises:
            _Later: the cloud is away.
        """
        for edit in edits:
            self._tries[edit.id] = TRIES
        await self._settle_all(edits, PENDING, str(error), {})
        self._drained.trouble = self._drained.trouble or str(error)
        if isinstance(error, _AWAY):
            raise _Later(error) from None

    async def _look_again(self, edit: EditRow, before: Mapping[str, Any] | None = None) -> None:
        """Read the case again, and tell from it whether the edit was made."""
        before = edit.found if before is None else before
        kind = _KINDS[edit.what](self, edit)
        if not before:
            # Taken, and not even compared yet: nothing was sent.
            await self._settle(edit, PENDING, "")
            return
        try:
            made = await kind.made(before)
        except _Settled as settled:
            await self._settle(edit, settled.state, settled.reason, settled.found)
        except _DEFINITE as error:
            await self._settle(edit, REFUSED, str(error))
        except _LATER as error:
            # It stays as it is: the next drain looks again, and nothing is sent before.
            self._drained.trouble = self._drained.trouble or str(error)
            if isinstance(error, _AWAY):
                raise _Later(error) from None
        else:
            if made is None:
                await self._settle(edit, PENDING, "The cloud did not make it; it is sent again.", {})
            else:
                await self._settle(edit, DONE, "", made)

    async def _settle(
        self, edit: EditRow, state: int, reason: str, found: Mapping[str, Any] | None = None
    ) -> None:
        await self._settle_all([edit], state, reason, found)

    async def _settle_all(
        self, edits: Sequence[EditRow], state: int, reason: str, found: Mapping[str, Any] | None = None
    ) -> None:
        now = self.clock()

        def write(c: Connection) -> None:
            for edit in edits:
                casework.settle(c, edit.id, state, now=now, reason=reason, found=found)
            if state != PENDING:
                first = edits[0]
                journal.append(
                    c,
                    actor(),
                    f"case.{first.what}.{EDIT_STATES[state]}",
                    first.oid,
                    _called(edits),
                    {"edits": [edit.id for edit in edits], "by": str(first.by), "reason": reason},
                    now=now,
                )

        await self.write(write)
        if state == PENDING:
            return
        self._drained.done += len(edits) * (state == DONE)
        self._drained.conflicts += len(edits) * (state == CONFLICT)
        self._drained.refused += len(edits) * (state == REFUSED)
        for edit in edits:
            number = (found or {}).get("case_number", edit.number) if edit.what == "create" else edit.number
            self._drained.cases.add((edit.oid, number))

    # -- many alike ---------------------------------------------------------------------------------------

    async def _bulk(self, edits: list[EditRow]) -> None:
        """Change many cases of one organization alike: at most BULK a call."""
        async with self._slots:
            for at in range(0, len(edits), BULK):
                await self._bulk_of(edits[at : at + BULK])

    async def _bulk_of(self, edits: list[EditRow]) -> None:
        taken = set(
            await self.write(
                lambda c: casework.take(c, [edit.id for edit in edits], self.holder, now=self.clock())
            )
        )
        mine = [edit for edit in edits if edit.id in taken]
        if not mine:
            return
        _LIVE.update(taken)
        try:
            await self._bulk_taken(mine)
        finally:
            _LIVE.difference_update(taken)

    async def _bulk_taken(self, edits: list[EditRow]) -> None:
        for edit in edits:
            self._tries[edit.id] = self._tries.get(edit.id, 0) + 1
        oid, wanted = edits[0].oid, edits[0].wanted
        numbers = [edit.number for edit in edits]
        try:
            before = await self.states(oid, numbers, _statuses(edits, "seen"))
        except _DEFINITE as error:
            await self._settle_all(edits, REFUSED, str(error))
            return
        except _LATER as error:
            await self._wait(edits, error)
            return
        going = []
        for edit in edits:
            try:
                _compare(edit, before.get(edit.number))
            except _Settled as settled:
                await self._settle(edit, settled.state, settled.reason, settled.found)
            else:
                going.append(edit)
        if not going:
            return

        def note(c: Connection) -> list[bool]:
            return [
                casework.note_before(c, edit.id, self.holder, {"case": before[edit.number]}) for edit in going
            ]

        ours = await self.write(note)
        going = [edit for edit, still in zip(going, ours, strict=True) if still]
        if not going:
            return
        refused = ""
        try:
            await self.cloud.organization(oid).bulk_update_cases([edit.number for edit in going], wanted)
        except Ambiguous:
            pass
        except _DEFINITE as error:
            refused = str(error)
        except _LATER as error:
            await self._wait(going, error)
            return
        if refused:
            await self._settle_all(going, REFUSED, refused)
            return
        # The answer counts only: which of them were changed is read.
        try:
            after = await self.states(oid, [edit.number for edit in going], _statuses(going, "wanted"))
        except LimaCharlieError as error:
            # They stay as they are: the next drain looks at each of them.
            self._drained.trouble = self._drained.trouble or str(error)
            return
        made = [edit for edit in going if _is(edit, after.get(edit.number))]
        if made:
            await self._settle_all(made, DONE, "", {})
        for edit in going:
            now = after.get(edit.number)
            if edit not in made:
                status = (now or {}).get("status", "gone")
                reason = f"Cases did not take this step: the case is {status}."
                await self._settle(edit, REFUSED, reason, {"case": now or {}})

    async def states(
        self, oid: str, numbers: Sequence[int], statuses: Collection[str] = ()
    ) -> dict[int, dict[str, Any]]:
        """The fields of cases as they are now; one that is gone is not among them. All of it is stored.

        Many are read from listings, as far as a few pages reach, and the others by number.

        Args:
            statuses: which ones they are likely to be in; any when empty.
        """
        found: dict[int, dict[str, Any]] = {}
        if len(numbers) > 2:
            filters = {"sort": "created_at", "order": "desc"}
            if statuses:
                filters["status"] = ",".join(sorted(statuses))
            pages = 0
            async for answer in self.cloud.cases([oid], filters):
                if not isinstance(answer, CasePage):
                    raise answer.error
                await self.put_rows(oid, answer.cases)
                found |= {row["case_number"]: _fields(row) for row in answer.cases}
                pages += 1
                if pages >= PAGES or found.keys() >= set(numbers):
                    break
        for number in numbers:
            if number not in found:
                try:
                    found[number] = _fields(await self.case(oid, number))
                except Gone:
                    await self.write(partial(ingest.delete_case, oid=oid, number=number))
        return {number: found[number] for number in numbers if number in found}

    # -- reading a case -----------------------------------------------------------------------------------

    async def whole(self, oid: str, number: int) -> None:
        """Read a case with all that it holds and went through; stored."""
        row = await self.case(oid, number)
        fingerprint = await self.read(lambda c: ingest.case_fingerprint(c, oid, number))
        await asyncio.gather(
            self.links(oid, number, row.get("detection_count")),
            *(self.items(oid, number, kind) for kind in casework.ATTACHED),
        )
        await self.write(lambda c: ingest.put_case_read(c, oid, number, fingerprint))

    async def case(self, oid: str, number: int, *, read: Collection[str] = ()) -> dict[str, Any]:
        """A case as it is now; stored, with what happened to it.

        What it holds is not read, so it counts as read whole only if it was so before, and nothing that
        happened since tells of other entities, events and artifacts.

        Args:
            read: of `casework.ATTACHED`, those that were read a moment ago.
        """
        file = await self.cloud.organization(oid).case(number)
        before = await self.read(lambda c: queries.row(c, oid, number))
        # A listing says more of a case (its sensors, its categories) than the case itself.
        row = {**before, "oid": oid, **file.case}
        now = self.clock()

        def write(c: Connection) -> None:
            known = casework.read_whole(c, oid, number)
            ingest.put_cases(c, [row], oids=[oid], now=now)
            ingest.put_case_events(c, oid, number, file.events, now=now)
            new = casework.touched(c, oid, number, besides=known or ())
            whole = known is not None and new <= set(read)
            ingest.put_case_reading(c, oid, number, read_at=now, stale=not whole)

        await self.write(write)
        return row | {"events": file.events}

    async def links(self, oid: str, number: int, count: int | None = None) -> list[dict[str, Any]]:
        """The alerts that a case holds now; stored."""
        rows = await self.cloud.organization(oid).case_detections(number)
        await self.write(lambda c: ingest.put_case_links(c, oid, number, rows, count=count))
        return rows

    async def items(self, oid: str, number: int, kind: str) -> list[dict[str, Any]]:
        """The entities, events or artifacts of a case as they are now; stored."""
        handle = self.cloud.organization(oid)
        ask = {
            "entity": handle.case_entities,
            "telemetry": handle.case_telemetry,
            "artifact": handle.case_artifacts,
        }[kind]
        rows = await ask(number)
        await self.write(lambda c: ingest.put_case_items(c, oid, number, kind, rows))
        return rows

    async def put_rows(self, oid: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Store rows of a listing."""
        listed = list(rows)
        await self.write(lambda c: ingest.put_cases(c, listed, oids=[oid], now=self.clock()))

    async def holding(self, oid: str, detection: Mapping[str, Any], *, most: int = 20) -> int | None:
        """The number of the case that holds an alert; None when none of those that may do does.

        Args:
            detection: `detect_id`, `sid` and `cat` of it.
            most: cases whose alerts are read at most.
        """
        detect_id, sid, cat = (str(detection.get(name) or "") for name in ("detect_id", "sid", "cat"))
        known = await self.read(lambda c: queries.holding(c, oid, [detect_id]))
        if known:
            return known[detect_id][0]
        filters = {"sort": "created_at", "order": "desc"} | ({"sid": sid} if sid else {})
        looked = 0
        async for answer in self.cloud.cases([oid], filters):
            if not isinstance(answer, CasePage):
                raise answer.error
            await self.put_rows(oid, answer.cases)
            for row in answer.cases:
                cats = row.get("detection_cats")
                if cat and isinstance(cats, list) and cats and cat not in cats:
                    continue
                if looked >= most:
                    return None
                looked += 1
                held = await self.links(oid, row["case_number"], row.get("detection_count"))
                if any(each.get("detect_id") == detect_id for each in held):
                    return int(row["case_number"])
        return None

    async def read(self, read: Callable[[Connection], Result]) -> Result:
        """Ask the store, in a thread."""

        def go() -> Result:
            with self.store.reader.reading() as connection:
                return read(connection)

        return await asyncio.to_thread(go)

    async def write(self, write: Callable[[Connection], Result]) -> Result:
        """Write the store, in a thread."""

        def go() -> Result:
            with self.store.writing() as connection:
                return write(connection)

        return await asyncio.to_thread(go)


def _called(edits: Sequence[EditRow]) -> str:
    names = ", ".join(reference("", edit.number) for edit in edits[:10])
    return names if len(edits) <= 10 else f"{names} and {len(edits) - 10} more"


def _grouped(heads: Sequence[EditRow]) -> tuple[list[EditRow], list[list[EditRow]]]:
    """Those that go alone, and those of one organization that get the same status and classification."""
    groups: dict[tuple[str, str], list[EditRow]] = {}
    alone: list[EditRow] = []
    for edit in heads:
        if edit.what == "update" and edit.number > 0 and edit.wanted.keys() <= {"status", "classification"}:
            groups.setdefault((edit.oid, json.dumps(edit.wanted, sort_keys=True)), []).append(edit)
        else:
            alone.append(edit)
    alone += [group[0] for group in groups.values() if len(group) == 1]
    return alone, [group for group in groups.values() if len(group) > 1]


def _statuses(edits: Sequence[EditRow], which: str) -> set[str]:
    said = {getattr(edit, which).get("status") for edit in edits}
    return set() if None in said else {str(each) for each in said}


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """What of a case an edit may be about, as it was received."""
    names = ("status", "severity", "classification", "assignees", "summary", "conclusion", "tags")
    return {name: row.get(name) for name in names} | {
        "case_id": row.get("case_id"),
        "merged_into_case_id": row.get("merged_into_case_id"),
    }


def _is(edit: EditRow, now: Mapping[str, Any] | None) -> bool:
    return now is not None and not differing(edit.wanted, now)


def _compare(edit: EditRow, now: Mapping[str, Any] | None) -> None:
    """Whether an update may go: the case is as it was seen.

    Raises:
        _Settled: it is as it is wanted already, is something else, or is gone.
    """
    if now is None:
        raise _Settled(REFUSED, f"There is no case {reference('', edit.number)} any more.")
    if _is(edit, now):
        raise _Settled(DONE, "It was so already.", {})
    if changed := differing(edit.seen, now):
        said = "; ".join(
            f"{name} was {_said(seen)} and is {_said(there)}" for name, (seen, there) in changed.items()
        )
        raise _Settled(CONFLICT, f"Somebody changed the case meanwhile: {said}.", {"case": dict(now)})


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nobody"
    text = str(value or "empty")
    return text if len(text) <= 60 else text[:57] + "..."


# What each kind of edit reads before, sends, and looks for afterwards


class _Kind:
    """One edit. `before` answers what is kept with it, never empty; `made` answers None when it was not."""

    def __init__(self, queue: CaseQueue, edit: EditRow) -> None:
        self.queue = queue
        self.edit = edit
        self.wanted = edit.wanted
        self.oid = edit.oid
        self.number = edit.number

    @property
    def handle(self) -> OrganizationHandle:
        return self.queue.cloud.organization(self.oid)

    async def before(self) -> dict[str, Any]:
        raise NotImplementedError

    async def send(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        raise NotImplementedError

    async def made(self, before: Mapping[str, Any]) -> Mapping[str, Any] | None:
        raise NotImplementedError

    async def after(self, found: Mapping[str, Any]) -> None:
        """Read what the case is now."""
        await self.queue.case(self.oid, self.number)


class _Update(_Kind):
    async def before(self) -> dict[str, Any]:
        now = _fields(await self.queue.case(self.oid, self.number))
        _compare(self.edit, now)
        return {"case": now}

    async def send(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await self.handle.update_case(self.number, self.wanted)
        if not _is(self.edit, answer):
            raise Ambiguous("The cloud answered with another case than was asked for.")
        return {}

    async def made(self, before: Mapping[str, Any]) -> Mapping[str, Any] | None:
        now = _fields(await self.queue.case(self.oid, self.number))
        if _is(self.edit, now):
            return {}
        _compare(self.edit, now)
        return None


class _Tags(_Kind):
    def _with(self, tags: Sequence[str]) -> list[str]:
        return with_tags(tags, self.wanted.get("add", ()), self.wanted.get("remove", ()))

    async def before(self) -> dict[str, Any]:
        now = _fields(await self.queue.case(self.oid, self.number))
        tags = [str(each) for each in now.get("tags") or []]
        if self._with(tags) == tags:
            raise _Settled(DONE, "It was so already.", {})
        return {"case": now}

    async def send(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        tags = [str(each) for each in before["case"].get("tags") or []]
        await self.handle.update_case(self.number, {"tags": self._with(tags)})
        return {}

    async def made(self, before: Mapping[str, Any]) -> Mapping[str, Any] | None:
        now = _fields(await self.queue.case(self.oid, self.number))
        tags = [str(each) for each in now.get("tags") or []]
        return {} if self._with(tags) == tags else None


class _Note(_Kind):
    def _same(self, case: Mapping[str, Any]) -> list[str]:
        """The notes that are like this one."""
        found = []
        for event in case["events"]:
            details = event.get("metadata") if isinstance(event.get("metadata"), dict) else {}
            said = {**details, **{name: event[name] for name in ("content", "note_type") if name in event}}
            content = said.get("content")
            if (
                isinstance(content, str)
                and content.strip() == self.wanted["content"].strip()
                and said.get("note_type") == self.wanted["note_type"]
            ):
                found.append(str(event.get("event_id")))
        return found

    async def before(self) -> dict[str, Any]:
        return {"notes": self._same(await self.queue.case(self.oid, self.number))}

    async def send(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        event_id = await self.handle.add_note(
            self.number, self.wanted["content"], self.wanted["note_type"], public=self.wanted["is_public"]
        )
        return {"event_id": event_id}

    async def made(self, before: Mapping[str, Any]) -> Mapping[str, Any] | None:
        new = set(self._same(await self.queue.case(self.oid, self.number))) - set(before["notes"])
        return {"event_id": min(new)} if new else None


class _Visibility(_Kind):
    async def _public(self) -> bool:
        for event in (await self.queue.case(self.oid, self.number))["events"]:
            if event.get("event_id") == self.wanted["event_id"]:
                details = event.get("metadata") if isinstance(event.get("metadata"), dict) else {}
                return event.get("is_public", details.get("is_public")) is True
        raise _Settled(REFUSED, "This note is not there any more.")

    async def before(self) -> dict[str, Any]:
        now = await self._public()
        if now == self.wanted["is_public"]:
            raise _Settled(DONE, "It was so already.", {})
        return {"is_public": now}

    async def send(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        await self.handle.set_note_visibility(self.number, self.wanted["event_id"], self.wanted["is_public"])
        return {}

    async def made(self, before: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return {} if await self._public() == self.wanted["is_public"] else None


class _Attached(_Kind):
    """An entity, or an event."""

    kind = ""

    def is_it(self, row: Mapping[str, Any]) -> bool:
        raise NotImplementedError

    async def add(self) -> str:
        raise NotImplementedError

    async def _there(self) -> str | None:
        for row in await self.queue.items(self.oid, self.number, self.kind):
            if self.is_it(row):
                return str(row[f"{self.kind}_id"])
        return None

    async def before(self) -> dict[str, Any]:
        if (there := await self._there()) is not None:
            raise _Settled(DONE, "The case had it already.", {"item_id": there})
        return {"absent": True}

    async def send(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            item_id = await self.add()
        except Conflict:
            there = await self._there()
            if there is None:
                raise
            return {"item_id": there}
        return {"item_id": item_id}

    async def after(self, found: Mapping[str, Any]) -> None:
        await self.queue.items(self.oid, self.number, self.kind)
        await self.queue.case(self.oid, self.number, read=[self.kind])

    async def made(self, before: Mapping[str, Any]) -> Mapping[str, Any] | None:
        there = await self._there()
        return None if there is None else {"item_id": there}


class _Entity(_Attached):
    kind = "entity"

    def is_it(self, row: Mapping[str, Any]) -> bool:
        # Cases write some kinds in small letters.
        return (row.get("entity_type"), str(row.get("entity_value")).casefold()) == (
            self.wanted["entity_type"],
            self.wanted["entity_value"].casefold(),
        )

    async def add(self) -> str:
        return await self.handle.add_case_entity(
            self.number,
            self.wanted["entity_type"],
            self.wanted["entity_value"],
            self.wanted.get("note", ""),
            self.wanted.get("verdict", ""),
        )


class _Telemetry(_Attached):
    kind = "telemetry"

    def is_it(self, row: Mapping[str, Any]) -> bool:
        return (row.get("atom"), row.get("sid")) == (self.wanted["atom"], self.wanted["sid"])

    async def add(self) -> str:
        event = {
            "routing": {
                "this": self.wanted["atom"],
                "sid": self.wanted["sid"],
                "event_type": self.wanted["event_type"],
            }
        }
        return await self.handle.add_case_telemetry(
            self.number, event, self.wanted.get("note", ""), self.wanted.get("verdict", "")
        )


class _Link(_Kind):
    async def _missing(self) -> list[str]:
        held = {each.get("detect_id") for each in await self.queue.links(self.oid, self.number)}
        return [each for each in self.wanted["detect_ids"] if each not in held]

    async def before(self) -> dict[str, Any]:
        missing = await self._missing()
        if not missing:
            raise _Settled(DONE, "The case held them already.", {})
        return {"missing": missing}

    async def send(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        left = []
        for detect_id in before["missing"]:
            record = await self.queue.read(partial(detection, oid=self.oid, detect_id=detect_id))
            if record is None:
                left.append(detect_id)
                continue
            await self.handle.link_detection(self.number, record)
        if left:
            raise Invalid(
                f"{len(left)} of {len(before['missing'])} alerts are not stored as LimaCharlie sent them."
            )
        return {}

    async def made(self, before: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return None if await self._missing() else {}

    async def after(self, found: Mapping[str, Any]) -> None:
        await self._missing()
        await super().after(found)


class _Unlink(_Kind):
    async def _held(self) -> bool:
        rows = await self.queue.links(self.oid, self.number)
        return any(each.get("detect_id") == self.wanted["detect_id"] for each in rows)

    async def before(self) -> dict[str, Any]:
        if not await self._held():
            raise _Settled(DONE, "The case did not hold it.", {})
        return {"held": True}

    async def send(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        await self.handle.unlink_detection(self.number, self.wanted["detect_id"])
        return {}

    async def made(self, before: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return None if await self._held() else {}

    async def after(self, found: Mapping[str, Any]) -> None:
        await self._held()
        await super().after(found)


class _Merge(_Kind):
    async def _now(self) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
        into = await self.queue.case(self.oid, self.number)
        return into, await self.queue.states(self.oid, self.wanted["sources"])

    def _merged(self, into: Mapping[str, Any], sources: Mapping[int, Mapping[str, Any]]) -> bool:
        return len(sources) == len(self.wanted["sources"]) and all(
            each.get("merged_into_case_id") == into.get("case_id") for each in sources.values()
        )

    async def before(self) -> dict[str, Any]:
        into, sources = await self._now()
        if self._merged(into, sources):
            raise _Settled(DONE, "They were merged already.", {})
        for number in self.wanted["sources"]:
            now = sources.get(number)
            if now is None:
                raise _Settled(REFUSED, f"There is no case {reference('', number)} any more.")
            seen = self.edit.seen.get(str(number))
            if seen is not None and seen != now.get("status"):
                raise _Settled(
                    CONFLICT,
                    f"{reference('', number)} was {seen} and is {now.get('status')}.",
                    {"sources": {str(each): found.get("status") for each, found in sources.items()}},
                )
        return {"case_id": into.get("case_id")}

    async def send(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        await self.handle.merge_cases(self.number, self.wanted["sources"])
        return {}

    async def after(self, found: Mapping[str, Any]) -> None:
        await self._read_all()

    async def _read_all(self) -> bool:
        into, sources = await self._now()
        for number in (self.number, *self.wanted["sources"]):
            await self.queue.links(self.oid, number)
        return self._merged(into, sources)

    async def made(self, before: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return {} if await self._read_all() else None


class _Time(_Kind):
    def _same(self, case: Mapping[str, Any]) -> list[str]:
        # The name of this event is not published; what it holds is.
        return [
            str(event.get("event_id"))
            for event in case["events"]
            if isinstance(event.get("metadata"), dict)
            and event["metadata"].get("billable_seconds") == self.wanted["billable_seconds"]
        ]

    async def before(self) -> dict[str, Any]:
        return {"logs": self._same(await self.queue.case(self.oid, self.number))}

    async def send(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        await self.handle.log_time(
            self.number,
            self.wanted["billable_seconds"],
            self.wanted.get("note", ""),
            self.wanted.get("assignee", ""),
        )
        return {}

    async def made(self, before: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if set(self._same(await self.queue.case(self.oid, self.number))) - set(before["logs"]):
            return {}
        # Time logs cannot be listed: that none is seen does not mean that none was made.
        raise _Settled(
            CONFLICT,
            "Whether this time was logged is unknown, and it might be billed twice: look at the case first.",
            {"logs": before["logs"]},
        )


class _Create(_Kind):
    """A case in the cloud for one that was only here until now."""

    async def _newest(self, down_to: int) -> list[dict[str, Any]]:
        """The cases above a number."""
        found: list[dict[str, Any]] = []
        async for answer in self.queue.cloud.cases([self.oid], {"sort": "case_number", "order": "desc"}):
            if not isinstance(answer, CasePage):
                raise answer.error
            await self.queue.put_rows(self.oid, answer.cases)
            found += [row for row in answer.cases if row["case_number"] > down_to]
            if down_to < 0 or any(row["case_number"] <= down_to for row in answer.cases):
                break
        return found

    async def before(self) -> dict[str, Any]:
        try:
            newest = await self._newest(-1)
        except Invalid as error:
            if error.status != 400:
                raise
            await self._stays_here()
            raise _Settled(
                DROPPED, f"This organization has no cases, so it stays here. {error}", {}
            ) from None
        return {"highest": max((row["case_number"] for row in newest), default=0)}

    async def send(self, before: Mapping[str, Any]) -> Mapping[str, Any]:
        record = None
        if self.wanted.get("detect_id"):
            record = await self.queue.read(lambda c: detection(c, self.oid, self.wanted["detect_id"]))
            if record is None:
                raise Invalid("The alert is not in the store as LimaCharlie sent it.")
        number = await self.handle.create_case(
            record, self.wanted.get("severity", ""), self.wanted.get("summary", "")
        )
        if number is None:
            number = await self.queue.holding(self.oid, self.wanted)
            if number is None:
                raise Invalid("Cases say that the alert is in a case already, but not in which.")
            return await self._is_now(number, existing=True)
        return await self._is_now(number)

    async def made(self, before: Mapping[str, Any]) -> Mapping[str, Any] | None:
        for row in await self._newest(before["highest"]):
            number = row["case_number"]
            if detect_id := self.wanted.get("detect_id"):
                held = await self.queue.links(self.oid, number, row.get("detection_count"))
                if any(each.get("detect_id") == detect_id for each in held):
                    return await self._is_now(number)
            elif row.get("summary") == self.wanted.get("summary", ""):
                return await self._is_now(number)
        return None

    async def _is_now(self, number: int, *, existing: bool = False) -> dict[str, Any]:
        found = {"case_number": number, "existing": existing, "was": self.number}
        now = self.queue.clock()

        def write(c: Connection) -> None:
            # Together: a case that is there has no double here, whenever this process ends.
            casework.settle(c, self.edit.id, DONE, now=now, found=found)
            casework.renumber(c, self.oid, self.number, number, now=now)

        await self.queue.write(write)
        return found

    async def after(self, found: Mapping[str, Any]) -> None:
        await self.queue.case(self.oid, found["case_number"])
        await self.queue.links(self.oid, found["case_number"])

    async def _stays_here(self) -> None:
        now = self.queue.clock()
        await self.queue.write(lambda c: casework.keep_here(c, self.oid, self.number, now=now))


_KINDS: dict[str, type[_Kind]] = {
    "update": _Update,
    "tags": _Tags,
    "note": _Note,
    "visibility": _Visibility,
    "entity": _Entity,
    "telemetry": _Telemetry,
    "link": _Link,
    "unlink": _Unlink,
    "merge": _Merge,
    "time": _Time,
    "create": _Create,
}


def detection(c: Connection, oid: str, detect_id: str) -> dict[str, Any] | None:
    """A detection as LimaCharlie sent it; None when the store has not got it, or not as JSON."""
    packed = c.execute(
        select(_BODY.c.body)
        .select_from(_D.join(_BODY, _BODY.c.detection_id == _D.c.id))
        .where(_D.c.oid == oid, _D.c.detect_id == detect_id)
    ).scalar_one_or_none()
    if packed is None:
        return None
    try:
        record = json.loads(unpack(packed))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
