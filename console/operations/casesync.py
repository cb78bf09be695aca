"""Cases into the store: of as many organizations in one call as the token allows.

The audit log is not known to tell of cases, and a listing cannot be asked for what changed since. So the
newest cases are listed until a known one comes, then all that are open, and what is open in the store and
in neither listing is asked for by its number.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection

from console.limacharlie.cases import TOGETHER, CasePage, CasesRefused
from console.limacharlie.client import Cloud
from console.limacharlie.errors import Denied, Gone, LimaCharlieError
from store import ingest
from store.database import Store
from store.queries import cases as stored

Write = Callable[[Callable[[Connection], Any]], Awaitable[Any]]
Failure = Callable[[str, LimaCharlieError], Awaitable[None]]

NEWEST = {"sort": "created_at", "order": "desc"}
UNFINISHED = {"status": "new,in_progress,resolved"}
OVERLAP = 600_000
"""Milliseconds listed again before the last time: the cloud's clock may differ from ours."""
AT_ONCE = 40
"""Organizations asked about at once where each is asked alone."""
CALLS = 20
"""Calls about many organizations under way at once: each is read page by page, one after the other."""
FEWEST = 10
"""Organizations of a call, where there are so many."""


@dataclass
class CaseSync:
    """Reads the cases of some organizations once."""

    store: Store
    cloud: Cloud
    write: Write
    """Runs a write in a transaction."""
    failed: Failure
    """Takes an organization's id and why its cases could not be read."""
    clock: Callable[[], int]
    changed: int = 0
    """Rows written, once it has run."""
    _states: Mapping[str, ingest.State] = field(default_factory=dict)
    _open: Mapping[str, Collection[int]] = field(default_factory=dict)

    async def run(self, oids: Collection[str], *, active: Mapping[str, int], everywhere: bool) -> None:
        """Read.

        Args:
            oids: whom to ask, if they have cases.
            active: how many new detections each has had.
            everywhere: also ask where nothing tells of a change. Where each organization has to be asked
                alone, that is left to those with open cases or new detections.
        """
        self._states, self._open, subscribed = await asyncio.to_thread(self._known)
        wanted = [oid for oid in oids if oid in subscribed or oid in self._open]
        new = [oid for oid in wanted if not self._read_before(oid)]
        stale = {oid for oid in wanted if oid in self._states and self._states[oid].stale}
        again = [
            oid
            for oid in wanted
            if self._read_before(oid) and (everywhere or oid in stale or (active.get(oid) and oid in oids))
        ]
        order = partial(self._rank, active)
        for group, read in ((sorted(new, key=order), self._first), (sorted(again, key=order), self._again)):
            place = 0
            while place < len(group):
                if self.cloud.cases_one_by_one:
                    some = group[place : place + AT_ONCE]
                    place += AT_ONCE
                    some = some if read == self._first else [oid for oid in some if self._worth(oid, active)]
                    await asyncio.gather(*(read([oid]) for oid in some))
                else:
                    size = TOGETHER
                    if read == self._first:
                        # Pages decide how many requests that takes, and they come one after the other: fewer
                        # organizations a call, and more calls side by side.
                        size = min(TOGETHER, max(FEWEST, math.ceil(len(group) / CALLS)))
                    some = group[place : place + CALLS * size]
                    place += len(some)
                    together = (some[at : at + size] for at in range(0, len(some), size))
                    await asyncio.gather(*map(read, together))

    def _rank(self, active: Mapping[str, int], oid: str) -> tuple[int, int, str]:
        return -active.get(oid, 0), -len(self._open.get(oid, ())), oid

    def _worth(self, oid: str, active: Mapping[str, int]) -> bool:
        state = self._states.get(oid)
        return bool(active.get(oid) or self._open.get(oid) or (state is not None and state.stale))

    def _known(self) -> tuple[dict[str, ingest.State], dict[str, set[int]], set[str]]:
        with self.store.reader.reading() as connection:
            return (
                ingest.sync_states(connection, "cases"),
                stored.unfinished(connection),
                stored.subscribed(connection),
            )

    def _read_before(self, oid: str) -> bool:
        state = self._states.get(oid)
        return state is not None and state.checked_at is not None and not state.failure

    async def _first(self, oids: Sequence[str]) -> None:
        """Every case, page by page."""
        began = self.clock()
        refused: set[str] = set()
        async for answer in self.cloud.cases(oids, NEWEST):
            if isinstance(answer, CasesRefused):
                refused.add(answer.oid)
                await self._refused(answer)
            else:
                await self._put(answer.cases, answer.oids)
        await self._checked([oid for oid in oids if oid not in refused], began)

    async def _again(self, oids: Sequence[str]) -> None:
        """What is new, and what is or was open."""
        began = self.clock()
        known = min((self._states[oid].mark or 0) for oid in oids) - OVERLAP
        rows: list[dict[str, Any]] = []
        answered: list[str] = []
        partly: list[str] = []
        async for answer in self.cloud.cases(oids, NEWEST):
            if isinstance(answer, CasesRefused):
                await self._refused(answer)
                continue
            if answer.oids[0] not in answered:
                answered += answer.oids
            rows += answer.cases
            if _oldest(answer) < known:
                # What follows was known before; a call about many organizations ends here.
                partly = list(answered)
                break
        missed = [oid for oid in oids if oid not in answered] if partly else []
        await self._put(rows, answered, complete=not partly)
        if partly:
            await self._unfinished(partly, {(row["oid"], row["case_number"]) for row in rows})
        await self._checked(answered, began)
        if missed:
            # The call had to be split, and ended before it came to these.
            await self._again(missed)

    async def _unfinished(self, oids: Sequence[str], seen: set[tuple[str, int]]) -> None:
        async for answer in self.cloud.cases(oids, UNFINISHED):
            if isinstance(answer, CasePage):
                await self._put(answer.cases, answer.oids)
                seen.update((row["oid"], row["case_number"]) for row in answer.cases)
        for oid in oids:
            for number in sorted(set(self._open.get(oid, ())) - {each for of, each in seen if of == oid}):
                try:
                    case = (await self.cloud.organization(oid).case(number)).case
                except Gone:
                    await self._count(partial(ingest.delete_case, oid=oid, number=number))
                else:
                    # A listing says more of a case (its sensors, its categories) than the case itself.
                    before = await asyncio.to_thread(self._row, oid, number)
                    await self._put([{**before, "oid": oid, **case}], [oid])

    def _row(self, oid: str, number: int) -> dict[str, Any]:
        with self.store.reader.reading() as connection:
            return stored.row(connection, oid, number)

    async def _refused(self, refused: CasesRefused) -> None:
        if isinstance(refused.error, Denied):
            await self.failed(refused.oid, refused.error)
            return
        # No extension, no cases: unsubscribing deletes them all.
        await self._put([], [refused.oid], complete=True)
        await self._checked([refused.oid], self.clock())

    async def _put(
        self, rows: Sequence[Mapping[str, Any]], oids: Collection[str], *, complete: bool = False
    ) -> None:
        await self._count(
            partial(ingest.put_cases, rows=rows, oids=oids, complete=complete, now=self.clock())
        )

    async def _count(self, write: Callable[[Connection], int]) -> None:
        changed = await self.write(write)
        self.changed += changed

    async def _checked(self, oids: Sequence[str], began: int) -> None:
        def write(connection: Connection) -> None:
            for oid in oids:
                ingest.put_sync_state(
                    connection, oid, "cases", mark=began, checked_at=began, attempted_at=began, stale=""
                )

        await self.write(write)


def _oldest(page: CasePage) -> int:
    """The time of the oldest case of a page (ms)."""
    times = [ingest.milliseconds(row.get("created_at")) for row in page.cases]
    return min((moment for moment in times if moment is not None), default=0)
