"""Reading LimaCharlie into the store: incremental, resumable, fair between organizations.

What an organization holds is read once; after that, its audit log, the listing of organizations and the
listings of metadata say what has to be read again, and nothing else is. An audit entry and the mark that
it makes (`SyncState.stale`) are written in one transaction, so no change is forgotten however a run ends.

A step reads one answer (or one page), writes it in short transactions together with where to go on, and
an organization with more to read goes back to the end of the queue after each, so that a noisy one delays
nobody. A failed organization is data: it is recorded with its reason, named in the outcome, and the others
go on.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import msgspec
import orjson
from sqlalchemy import Connection

from console.limacharlie.client import Cloud, OrganizationHandle
from console.limacharlie.errors import (
    Auth,
    Closed,
    Denied,
    Gone,
    Invalid,
    LimaCharlieError,
    Network,
    Protocol,
)
from console.operations import sections, stale
from console.operations.caseclocks import read_case_clocks
from console.operations.casesync import CaseSync
from console.operations.ports import Progress, Report
from console.operations.together import together
from console.operations.triage import wake_due
from store import billingwork, ingest
from store.configuration import NOT_PERMITTED, Record, canonical, not_permitted, redact
from store.database import Store
from store.times import now_ms

log = logging.getLogger(__name__)

Written = TypeVar("Written")

GROUPS_OF_SUBJECTS: dict[str, tuple[str, ...]] = {
    "detections": ("detections",),
    "orgs": ("organization", "sensors", "errors"),
    "access": ("groups", "access", "keys"),
    "config": ("configuration",),
    "usage": ("usage",),
    "audit": ("audit",),
    "cases": ("cases",),
}
"""What `--only` takes, and the subjects that it stands for."""

PHASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("detections", ("detections",)),
    (
        "people, keys, sensors, logs",
        ("audit", "organization", "access", "keys", "sensors", "errors", "usage"),
    ),
    ("configuration", ("configuration",)),
)
"""In the order in which they are read, each for all organizations: what an analyst waits for first, what
takes most requests last. The audit log goes before what it decides on."""

DAY = 86_400
OVERLAP = 600
"""Seconds read again before the last mark: a detection may be filed late."""
PAGE = 1_000
BATCH = 200
"""Rows in one transaction: with more, a claim in another console would wait for the lock."""
TOGETHER = 0.02
"""Seconds after which a transaction takes no further write: another console may be waiting to claim."""
TOLD_EVERY = 0.5
"""Seconds between two reports of progress."""
AWAY_AFTER = 6
"""So many answers in a row that never came mean that the cloud is away, not that organizations failed."""


@dataclass(frozen=True)
class Failed:
    """An organization of which something could not be read."""

    oid: str
    name: str
    subjects: tuple[str, ...]
    reason: str
    """One sentence."""


@dataclass(frozen=True)
class Outcome:
    """What one run of sync came to."""

    organizations: int
    """How many were asked for; of these `len(failed)` failed in part or whole."""
    failed: tuple[Failed, ...]
    detections_new: int
    rows_changed: int
    """Rows of content written, whatever the table; stamps of freshness do not count."""
    requests: int
    seconds: float
    names: Mapping[str, str] = field(default_factory=dict)
    """Of the organizations, by oid."""
    found: Mapping[str, int] = field(default_factory=dict)
    """How many new detections each organization had; without those that had none."""


class Range(msgspec.Struct, array_like=True):
    """A stretch of time still to be read."""

    start: int
    """Seconds, UTC; inclusive."""
    end: int
    cursor: str = "-"
    past: bool = False
    """It lies before the time of the first sync: what changed then was known when everything was read."""


class Progressing(msgspec.Struct):
    """How far a subject with a time axis was read; kept as JSON in `SyncState.cursor`."""

    start: int
    """From when on it is known, or will be once `pending` is read (seconds, UTC)."""
    end: int
    pending: list[Range] = []


_End = Callable[[Connection, str], None]
_ReadPage = Callable[[OrganizationHandle, Range, _End], Awaitable[None]]


@dataclass(slots=True)
class _Job:
    """What is still to be read of one organization in one phase."""

    oid: str
    subjects: list[str]
    states: dict[str, ingest.State] | None = None
    """As they were when the job was made; None when it was not looked."""


class _Backlog:
    """All jobs: phase by phase, each organization once before any a second time.

    Jobs are made when their turn comes, so that ten thousand organizations wait as ten thousand ids.
    """

    def __init__(self, oids: Sequence[str], first: list[list[str]]) -> None:
        """`first` are the subjects that every organization has, for each phase."""
        self._fresh = [iter(oids if subjects else ()) for subjects in first]
        self._first = first
        self._again: list[deque[_Job]] = [deque() for _ in first]
        self.lacking = [len(oids) if subjects else 0 for subjects in first]
        """How many organizations have something left, by phase."""

    def take(self) -> tuple[int, _Job] | None:
        """The next job and its phase; None when there is none at the moment."""
        for phase, fresh in enumerate(self._fresh):
            oid = next(fresh, None)
            if oid is not None:
                return phase, _Job(oid, list(self._first[phase]))
            if self._again[phase]:
                return phase, self._again[phase].popleft()
        return None

    def put(self, phase: int, job: _Job) -> None:
        """Put a job at the end of its phase."""
        self._again[phase].append(job)


@dataclass(slots=True)
class _Failures:
    """What failed, by organization."""

    found: dict[str, dict[str, LimaCharlieError]] = field(default_factory=dict)

    def add(self, oid: str, subject: str, error: LimaCharlieError) -> None:
        self.found.setdefault(oid, {})[subject] = error

    def listed(self, names: dict[str, str]) -> tuple[Failed, ...]:
        listed = []
        for oid, subjects in sorted(self.found.items(), key=lambda item: names.get(item[0], "")):
            reasons = {str(error) for error in subjects.values()}
            first = next(iter(subjects))
            reason = (
                reasons.pop()
                if len(reasons) == 1
                else f"{first}: {subjects[first]} ({len(subjects)} subjects failed)"
            )
            listed.append(Failed(oid, names.get(oid, ""), tuple(subjects), reason))
        return tuple(listed)


class _Writer:
    """Gives small writes that wait together one transaction: committing costs more than most of them do."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[tuple[Callable[[Connection], Any], asyncio.Future[Any]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def write(self, write: Callable[[Connection], Written]) -> Written:
        """What `write` answers, once it is committed. It may be run a second time, when another write of
        the same transaction failed."""
        future: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self._waiting.append((write, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                for future, answer, error in await asyncio.to_thread(self._commit):
                    if future.done():
                        continue
                    if error is not None:
                        future.set_exception(error)
                    else:
                        future.set_result(answer)
        finally:
            self._working = None

    def _commit(self) -> list[tuple[asyncio.Future[Any], Any, Exception | None]]:
        taken: list[tuple[Callable[[Connection], Any], asyncio.Future[Any]]] = []
        answers: list[Any] = []
        began = time.monotonic()
        try:
            with self._store.writing() as connection:
                while self._waiting and (not taken or time.monotonic() - began < TOGETHER):
                    taken.append(self._waiting.popleft())
                    answers.append(taken[-1][0](connection))
        except Exception:
            # Whose fault it was shows when each has a transaction of its own.
            return [(future, *self._alone(write)) for write, future in taken]
        return [(future, answer, None) for (_, future), answer in zip(taken, answers, strict=True)]

    def _alone(self, write: Callable[[Connection], Any]) -> tuple[Any, Exception | None]:
        try:
            with self._store.writing() as connection:
                return write(connection), None
        except Exception as error:
            return None, error


class Sync:
    """One run over the organizations of a credential."""

    def __init__(
        self,
        *,
        store: Store,
        cloud: Cloud,
        redaction_key: bytes,
        since: int = 7 * DAY,
        only: Sequence[str] = (),
        oids: Iterable[str] | None = None,
        names: Mapping[str, str] | None = None,
        full: bool = False,
        workers: int = 12,
        report: Report = lambda progress: None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """Prepare a run.

        Args:
            redaction_key: under which secrets in configuration are replaced before they are stored (HMAC).
            since: how far back detections and audit are wanted, in seconds; what is known is not read again.
            only: of GROUPS_OF_SUBJECTS: these are read whole, whatever the audit log says; all when empty.
            oids: limits the run to these organizations; all that the listing names when None.
            names: of the organizations, from a listing just read: it is not read again.
            full: read everything again, not only what is known to have changed.
            workers: how many answers are awaited at once.
            clock: milliseconds, UTC.
        """
        groups = only or tuple(GROUPS_OF_SUBJECTS)
        self._subjects = {subject for group in groups for subject in GROUPS_OF_SUBJECTS[group]}
        self._decides = not full and set(GROUPS_OF_SUBJECTS) == set(groups)
        """The audit log decides what is read."""
        self._store = store
        self._writer = _Writer(store)
        self._cloud = cloud
        self._key = redaction_key
        self._since = since
        self._oids = None if oids is None else set(oids)
        self._listed = names is None
        """This run reads the listing of organizations."""
        self.listed: Mapping[str, str] = names or {}
        """The names of all organizations that the listing named, by oid."""
        self._names: dict[str, str] = {} if names is None else self._limited(names)
        self._workers = workers
        self._report = report
        self._clock = clock
        self._failures = _Failures()
        self._refused: dict[str, LimaCharlieError] = {}
        self._found: dict[str, int] = {}
        self._new = 0
        self._changed = 0
        self._started = time.monotonic()
        self._told = 0.0
        self._run = 0
        self._before = 0
        self._ranges: dict[tuple[str, str], Progressing] = {}
        self._asked: dict[tuple[str, str], int] = {}
        self._unreachable = 0
        self._away: LimaCharlieError | None = None
        self._backlog = _Backlog((), [[] for _ in PHASES])
        self._begun: set[str] = set()
        """Organizations of which anything was read before this run."""
        self._phases_left: dict[str, int] = {}
        self._steps_done = 0
        self._steps_known = 0
        self._undecided = 0
        self._active = 0
        self._more = asyncio.Event()

    async def run(self) -> Outcome:
        """Read everything that was asked for, and answer what came of it.

        Raises:
            LimaCharlieError: the listing of organizations could not be read, or the cloud went away in
                the middle. What was read until then is kept, and no organization is blamed.
        """
        self._before = self._cloud.stats.requests
        self._run = await self._write(lambda c: ingest.begin_run(c, now=self._clock()))
        try:
            if self._listed:
                await self._list()
            await self._tell(force=True)
            self._begun = await asyncio.to_thread(self._known)
            self._begin()
            async with together() as group:
                if "groups" in self._subjects and self._listed:
                    group.create_task(self._groups())
                for _ in range(self._workers):
                    group.create_task(self._work())
            if self._away is not None:
                raise self._away
            if "cases" in self._subjects:
                await self._cases()
            await asyncio.to_thread(wake_due, self._store, self._clock())
        except BaseException as error:
            note = "stopped" if isinstance(error, asyncio.CancelledError) else str(error)
            await self._finish(note)
            raise
        return await self._finish("done")

    def _begin(self) -> None:
        oids = list(self._names)
        first = [[each for each in subjects if each in self._subjects] for _, subjects in PHASES]
        if self._decides:
            first[1:] = [["audit"], []]
            self._undecided = len(oids)
        self._backlog = _Backlog(oids, first)
        begun = sum(1 for subjects in first if subjects)
        self._phases_left = dict.fromkeys(oids, begun)
        self._steps_known = len(oids) * sum(_steps(subject) for subjects in first for subject in subjects)

    def _limited(self, names: Mapping[str, str]) -> dict[str, str]:
        return {oid: name for oid, name in names.items() if self._oids is None or oid in self._oids}

    async def _finish(self, note: str) -> Outcome:
        failed = self._failures.listed(self._names)
        outcome = Outcome(
            organizations=len(self._names),
            failed=failed,
            detections_new=self._new,
            rows_changed=self._changed,
            requests=self._cloud.stats.requests - self._before,
            seconds=round(time.monotonic() - self._started, 3),
            names=self._names,
            found=self._found,
        )
        await self._write(
            lambda c: ingest.end_run(
                c,
                self._run,
                now=self._clock(),
                organizations=outcome.organizations,
                done=self._organizations_done(),
                failed=[{"oid": each.oid, "reason": each.reason} for each in failed],
                detections_new=outcome.detections_new,
                requests=outcome.requests,
                note=note,
            )
        )
        return outcome

    async def _list(self) -> None:
        """Learn which organizations there are; each page is written as it comes."""
        names: dict[str, str] = {}
        now = self._clock()
        async for page in self._cloud.organizations():
            rows = [
                {
                    "oid": each.oid,
                    "name": each.name,
                    "region": each.region,
                    "status": each.status,
                    "sensor_quota": each.sensor_quota,
                    "details": each.details,
                }
                for each in page
            ]
            await self._change(partial(ingest.put_organizations, rows=rows, complete=False, now=now))
            names.update((each.oid, each.name) for each in page)
            await self._tell(f"listing organizations: {len(names)}")

        def write(connection: Connection) -> int:
            ingest.put_sync_state(connection, "", "organizations", checked_at=now, attempted_at=now)
            return ingest.mark_gone(connection, names, now=now)

        await self._change(write)
        self.listed = names
        self._names = self._limited(names)

    async def _groups(self) -> None:
        """Read the groups whose logs tell of a change; an organization's key has none, which fails nobody."""
        now = self._clock()
        state = (await asyncio.to_thread(self._states, "")).get("groups")
        known = _logs_known(state) if state is not None and not state.failure else {}
        try:
            names = await self._cloud.group_names()
            # The logs before the groups: what happens in between is in the next run's logs.
            entries = dict(zip(names, await asyncio.gather(*map(self._group_log, names)), strict=True))
            logs = {gid: "" if log is None else fingerprint(log) for gid, log in entries.items()}
            again = self._decides and bool(known) and (state is not None and not state.stale)
            changed = [gid for gid in names if not again or not logs[gid] or known.get(gid) != logs[gid]]
            if len(changed) == len(names):
                groups = await self._cloud.groups()
            else:
                groups = [await self._cloud.group(gid) for gid in changed]
        except LimaCharlieError as error:
            await self._note_failure("", "groups", error)
            if not isinstance(error, Denied):
                log.warning("groups: %s", error)
            return
        same = set(names).difference(changed)

        def write(connection: Connection) -> int:
            kept = ingest.group_logs_kept(connection)
            written = sum(
                ingest.put_group_log(connection, gid, log)
                for gid, log in entries.items()
                if log and (gid not in kept or known.get(gid) != logs[gid])
            )
            written += ingest.put_groups(connection, groups, same=same, now=now)
            ingest.put_sync_state(
                connection,
                "",
                "groups",
                cursor=msgspec.json.encode(logs).decode(),
                checked_at=now,
                attempted_at=now,
                stale="",
            )
            return written

        await self._change(write)

    async def _cases(self) -> None:
        """Read cases: everywhere after a listing, else where something tells of a change."""
        reading = CaseSync(
            store=self._store,
            cloud=self._cloud,
            write=self._write,
            failed=partial(self._failed, "cases"),
            clock=self._clock,
        )
        oids = [oid for oid in self._names if oid not in self._refused]
        try:
            await reading.run(oids, active=self._found, everywhere=self._listed)
        except LimaCharlieError as error:
            # The cases host is one of its own: that it is away says nothing of the organizations.
            await self._note_failure("", "cases", error)
            log.warning("cases: %s", error)
        else:
            now = self._clock()
            await self._write(
                lambda c: ingest.put_sync_state(c, "", "cases", checked_at=now, attempted_at=now)
            )
            if self._listed:
                self._changed += await read_case_clocks(
                    self._store, self._cloud, oids, write=self._write, now=now
                )
        self._changed += reading.changed

    async def _failed(self, subject: str, oid: str, error: LimaCharlieError) -> None:
        self._failures.add(oid, subject, error)
        await self._note_failure(oid, subject, error)

    async def _group_log(self, gid: str) -> list[dict[str, Any]] | None:
        """What was done to a group, which tells whether it has to be read; None where the log is closed."""
        try:
            return await self._cloud.group_logs(gid)
        except (Denied, Gone, Invalid):
            return None

    async def _work(self) -> None:
        """Take steps until nothing is left, and nobody is at work who might find more."""
        while self._away is None:
            taken = self._backlog.take()
            if taken is None:
                if not self._active:
                    break
                self._more.clear()
                await self._more.wait()
                continue
            self._active += 1
            try:
                await self._advance(*taken)
            finally:
                self._active -= 1
                self._more.set()
            await self._tell()
        self._more.set()

    async def _advance(self, phase: int, job: _Job) -> None:
        """One step of a job; what is left of it goes to the end of its phase."""
        if job.states is None:
            known = job.oid in self._begun
            job.states = await asyncio.to_thread(self._states, job.oid) if known else {}
        subject = job.subjects[0]
        if await self._step(job, subject):
            self._backlog.put(phase, job)
            return
        self._steps_done += _steps(subject)
        job.subjects.pop(0)
        if subject == "audit" and self._decides:
            await self._decide(phase, job)
        if job.subjects:
            self._backlog.put(phase, job)
            return
        self._backlog.lacking[phase] -= 1
        self._phases_left[job.oid] -= 1
        if not self._phases_left[job.oid]:
            del self._phases_left[job.oid]

    async def _decide(self, phase: int, job: _Job) -> None:
        """What of an organization has to be read, now that its audit log was."""
        states = await asyncio.to_thread(self._states, job.oid)
        audit = states.get("audit")
        knows = audit is not None and not audit.failure and audit.checked_at is not None
        denied = audit is not None and audit.failure == Denied.kind
        today = self._clock() // 1000 // DAY
        wanted, verified = [], []
        for subject in (subject for _, subjects in PHASES for subject in subjects):
            if subject in ("detections", "audit"):
                continue
            state = states.get(subject)
            if state is None or state.checked_at is None or state.failure or state.stale or denied:
                wanted.append(subject)
            elif subject == "usage":
                # A new day has figures of its own.
                if state.checked_at // 1000 // DAY != today:
                    wanted.append(subject)
            elif self._listed or subject not in _NEED_LISTING:
                verified.append(subject)
        if knows and verified and audit is not None and audit.checked_at is not None:
            at = audit.checked_at
            await self._write(lambda c: ingest.put_verified(c, job.oid, verified, at=at))
        job.states = states
        later = [subject for subject in wanted if subject in PHASES[-1][1]]
        job.subjects.extend(subject for subject in wanted if subject not in later)
        if later:
            last = len(PHASES) - 1
            self._backlog.put(last, _Job(job.oid, later, states))
            self._backlog.lacking[last] += 1
            self._phases_left[job.oid] += 1
        self._undecided -= 1
        self._steps_known += sum(map(_steps, wanted))

    def _known(self) -> set[str]:
        with self._store.reader.reading() as connection:
            return ingest.begun(connection)

    def _states(self, oid: str) -> dict[str, ingest.State]:
        with self._store.reader.reading() as connection:
            return ingest.states_of(connection, [oid])[oid]

    async def _step(self, job: _Job, subject: str) -> bool:
        """Read one answer; whether there is more of the same. A failure is noted, never raised."""
        oid = job.oid
        try:
            if oid in self._refused:
                raise self._refused[oid]
            handle = self._cloud.organization(oid)
            state = (job.states or {}).get(subject)
            more: bool = await getattr(self, f"_read_{subject}")(handle, state)
            self._unreachable = 0
            return more
        except LimaCharlieError as error:
            if isinstance(error, Network):
                self._unreachable += 1
                if self._unreachable >= AWAY_AFTER:
                    self._away = error
                return False
            if isinstance(error, Auth | Closed | Gone):
                self._refused[oid] = error
            await self._failed(subject, oid, error)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # An answer that passed the client's checks and still cannot be stored: that
            # organization's subject is missing, and no other has to suffer for it.
            log.exception("%s of %s cannot be stored", subject, oid)
            broken = Protocol(
                f"The answer cannot be stored ({type(error).__name__}); --debug logs the details."
            )
            await self._failed(subject, oid, broken)
        return False

    async def _read_organization(self, handle: OrganizationHandle, state: ingest.State | None) -> bool:
        began = self._clock()
        record = await handle.record()
        quota = await self._optional(handle.quota_usage())
        online = await self._optional(handle.online())
        answer = [record, quota and [quota.quota, quota.usage, quota.breakdown], online]
        await self._put(
            handle.oid,
            "organization",
            answer,
            lambda c: (
                ingest.put_organization_facts(
                    c,
                    handle.oid,
                    details=record,
                    quota=quota.quota if quota else None,
                    quota_used=quota.usage if quota else None,
                    sensors_online=online,
                )
                + billingwork.put_quota(
                    c,
                    handle.oid,
                    *((quota.quota, quota.usage, quota.breakdown) if quota else (None, None, {})),
                    now=began,
                )
            ),
            began=began,
            state=state,
        )
        return False

    async def _optional(self, reading: Awaitable[Written]) -> Written | None:
        """The answer, or None where this credential may not have it."""
        try:
            return await reading
        except Denied as error:
            if not _lasting(error):
                raise
            return None

    async def _read_sensors(self, handle: OrganizationHandle, state: ingest.State | None) -> bool:
        began = self._clock()
        rows: list[dict[str, Any]] = []
        async for page in handle.sensors():
            rows.extend(page)
        rows.sort(key=lambda row: str(row.get("sid")))
        await self._put(
            handle.oid,
            "sensors",
            rows,
            lambda c: ingest.put_sensors(c, handle.oid, rows),
            began=began,
            state=state,
        )
        return False

    async def _read_access(self, handle: OrganizationHandle, state: ingest.State | None) -> bool:
        began = self._clock()
        answer = await handle.permissions()
        await self._put(
            handle.oid,
            "access",
            answer,
            lambda c: ingest.put_access(c, handle.oid, answer, now=began),
            began=began,
            state=state,
        )
        return False

    async def _read_keys(self, handle: OrganizationHandle, state: ingest.State | None) -> bool:
        began = self._clock()
        keys = await handle.keys()
        await self._put(
            handle.oid,
            "keys",
            keys,
            lambda c: ingest.put_keys(c, handle.oid, keys, now=began),
            began=began,
            state=state,
        )
        return False

    async def _read_usage(self, handle: OrganizationHandle, state: ingest.State | None) -> bool:
        began = self._clock()
        usage = await handle.usage()
        await self._put(
            handle.oid,
            "usage",
            usage,
            lambda c: ingest.put_usage(c, handle.oid, usage),
            began=began,
            state=state,
        )
        return False

    async def _read_errors(self, handle: OrganizationHandle, state: ingest.State | None) -> bool:
        began = self._clock()
        errors = await handle.errors()
        await self._put(
            handle.oid,
            "errors",
            errors,
            lambda c: ingest.put_errors(c, handle.oid, errors),
            began=began,
            state=state,
        )
        return False

    async def _read_configuration(self, handle: OrganizationHandle, state: ingest.State | None) -> bool:
        """The sections that are stale, or all. One that this credential may not read keeps what is known
        of it, and is named: a key without `ai_memory.get` is no reason to call an organization failed."""
        began = self._clock()
        known = state is not None and state.checked_at is not None and not state.failure
        some = state.stale.split() if state is not None and known and self._decides else []
        names = list(sections.READINGS) if not some or stale.EVERYTHING in some else some
        found: dict[str, dict[str, Record]] = {}
        same: dict[str, set[str]] = {}
        missing: dict[str, LimaCharlieError] = {}

        async def read(name: str) -> None:
            try:
                records, unchanged = await self._section(handle, name, again=known)
            except (Denied, Invalid) as error:
                missing[name] = error
            else:
                same[name] = unchanged
                found[name] = {
                    key: replace(record, body=redact(name, record.body, self._key))
                    for key, record in records.items()
                }

        # Many organizations keep all workers busy; of a few, several sections are asked for at once.
        width = max(1, self._workers // max(1, len(self._names)))
        for at in range(0, len(names), width):
            await asyncio.gather(*map(read, names[at : at + width]))
        if not found and len(names) == len(sections.READINGS):
            raise next(iter(missing.values()))
        before = not_permitted(state.reason) if state is not None and known else set()
        lacking = sorted((before - set(names)) | set(missing))
        # A refusal that may pass leaves no line in the audit log when it has.
        doubtful = {name for name, error in missing.items() if not _lasting(error)}

        def write(connection: Connection) -> int:
            changed = ingest.put_sections(connection, handle.oid, found, began, same=same)
            marked = _still_stale(ingest.sync_state(connection, handle.oid, "configuration"), state)
            ingest.put_sync_state(
                connection,
                handle.oid,
                "configuration",
                checked_at=began,
                attempted_at=began,
                reason=f"{NOT_PERMITTED}{', '.join(lacking)}." if lacking else "",
                stale=" ".join(sorted({*marked.split(), *doubtful})),
            )
            return changed

        await self._change(write)
        return False

    async def _section(
        self, handle: OrganizationHandle, name: str, *, again: bool
    ) -> tuple[Mapping[str, Record], set[str]]:
        """The records of a section, and the names of those that are there and did not change.

        A hive that was read before is compared by its listing of metadata; only records with another etag
        are read.
        """
        hive = name.removeprefix("hive/")
        if not again or hive == name or hive == "secret":
            return await sections.READINGS[name](handle), set()
        with self._store.reader.reading() as connection:
            stored = ingest.etags(connection, handle.oid, name)
        listed = await handle.hive(hive, mtd_only=True)
        other = [key for key, record in listed.items() if stored.get(key) != record.etag or not record.etag]
        if len(other) > sections.SINGLY:
            return await sections.READINGS[name](handle), set()
        records: dict[str, Record] = {}
        for key in other:
            with contextlib.suppress(Gone):
                records[key] = await sections.record(handle, hive, key)
        return records, set(listed).difference(other)

    async def _read_detections(self, handle: OrganizationHandle, state: ingest.State | None) -> bool:
        return await self._read_range(handle, "detections", state, self._page_of_detections)

    async def _read_audit(self, handle: OrganizationHandle, state: ingest.State | None) -> bool:
        return await self._read_range(handle, "audit", state, self._page_of_audit)

    async def _page_of_detections(self, handle: OrganizationHandle, wanted: Range, end: _End) -> None:
        page = await handle.detections(wanted.start, wanted.end, cursor=wanted.cursor, limit=PAGE)
        records = await asyncio.to_thread(
            lambda: [ingest.detection_from(raw, handle.oid) for raw in page.records]
        )
        batches = [records[at : at + BATCH] for at in range(0, len(records), BATCH)]
        for batch in batches[:-1]:
            new = await self._write(partial(ingest.put_detections, oid=handle.oid, records=batch))
            self._count_new(handle.oid, new)

        def last(connection: Connection) -> int:
            new = ingest.put_detections(connection, handle.oid, batches[-1]) if batches else 0
            end(connection, page.next_cursor)
            return new

        self._count_new(handle.oid, await self._write(last))

    def _count_new(self, oid: str, new: int) -> None:
        self._new += new
        self._changed += new
        if new:
            self._found[oid] = self._found.get(oid, 0) + new

    async def _page_of_audit(self, handle: OrganizationHandle, wanted: Range, end: _End) -> None:
        page = await handle.audit(wanted.start, wanted.end, cursor=wanted.cursor, limit=PAGE)

        def write(connection: Connection) -> int:
            new = ingest.put_audit(connection, handle.oid, page.records)
            if new and not wanted.past:
                ingest.mark_stale(connection, handle.oid, stale.union(new))
            end(connection, page.next_cursor)
            return len(new)

        await self._change(write)

    async def _read_range(
        self, handle: OrganizationHandle, subject: str, state: ingest.State | None, read: _ReadPage
    ) -> bool:
        """Read one page of what is still to be read; whether more is left.

        Where to go on is committed with the page, so a run that is killed loses one page at most,
        and the next run reads what is newest first and then goes on where this one stopped.
        """
        oid = handle.oid
        known = self._ranges.pop((oid, subject), None)
        if known is None:
            sure, latest = self._times()
            known = _plan(_progress(state), now=sure, latest=latest, since=self._since)
            self._asked[oid, subject] = self._clock()
        wanted, *rest = known.pending
        after = known

        def end(connection: Connection, cursor: str) -> None:
            nonlocal after
            if cursor and cursor == wanted.cursor:
                raise Protocol(
                    "The cloud answered with the cursor it was asked for: the listing would never end."
                )
            going_on = [Range(wanted.start, wanted.end, cursor, wanted.past)] if cursor else []
            after = Progressing(known.start, known.end, going_on + rest)
            ingest.put_sync_state(
                connection,
                oid,
                subject,
                cursor=msgspec.json.encode(after).decode(),
                mark=after.end * 1000,
                attempted_at=self._clock(),
                checked_at=None if after.pending else self._asked[oid, subject],
            )

        try:
            await read(handle, wanted, end)
        except Invalid:
            if wanted.cursor == "-":
                raise
            # A cursor of an earlier run has expired: the stretch is read from its start again, and
            # what is known of it is recognized by its id.
            await read(handle, Range(wanted.start, wanted.end, past=wanted.past), end)
        if after.pending:
            self._ranges[oid, subject] = after
        else:
            del self._asked[oid, subject]
        return bool(after.pending)

    def _times(self) -> tuple[int, int]:
        """Up to when everything is sure to have been filed, and when the newest may say it was (s, UTC).

        The two differ by as much as our clock and the cloud's do: what is read may not end before the
        cloud's now, and what counts as known may not end after it. A clock that is a day off is no clock.
        """
        ours = self._clock() // 1000
        told = self._cloud.cloud_time()
        if told is None or abs(told - ours) > DAY:
            return ours, ours
        return min(ours, int(told)), max(ours, int(told))

    async def _put(
        self,
        oid: str,
        subject: str,
        answer: object,
        write: Callable[[Connection], int],
        *,
        began: int,
        state: ingest.State | None = None,
    ) -> None:
        """Write an answer unless it equals the last one.

        Args:
            began: when it was asked for (ms).
            state: of the subject before it was asked for.
        """
        seal = await asyncio.to_thread(fingerprint, answer)

        def put(connection: Connection) -> int:
            now = ingest.sync_state(connection, oid, subject)
            same = now is not None and now.fingerprint == seal
            changed = 0 if same else write(connection)
            ingest.put_sync_state(
                connection,
                oid,
                subject,
                fingerprint=seal,
                checked_at=began,
                attempted_at=began,
                stale=_still_stale(now, state),
            )
            return changed

        await self._change(put)

    async def _note_failure(self, oid: str, subject: str, error: LimaCharlieError) -> None:
        now = self._clock()
        await self._write(
            lambda c: ingest.put_sync_state(
                c, oid, subject, attempted_at=now, failure=error.kind, reason=str(error)
            )
        )

    async def _change(self, write: Callable[[Connection], int]) -> None:
        """Write, and count the rows that it says it changed."""
        changed = await self._write(write)
        self._changed += changed

    async def _write(self, write: Callable[[Connection], Written]) -> Written:
        return await self._writer.write(write)

    def _organizations_done(self) -> int:
        """How many have every subject read, or failed."""
        return len(self._names) - len(self._phases_left)

    def _phase(self) -> tuple[str, int]:
        """What is being read, and how many organizations have it."""
        for phase, lacking in enumerate(self._backlog.lacking):
            if lacking:
                return PHASES[phase][0], len(self._names) - lacking
        return "", len(self._names)

    def _seconds_left(self, elapsed: float) -> float | None:
        if not self._steps_done:
            return None
        decided = len(self._names) - self._undecided
        # Organizations that were not decided on are taken to be like those that were.
        each = self._steps_known / decided if decided else _ALL_STEPS
        left = self._steps_known + self._undecided * each - self._steps_done
        return elapsed / self._steps_done * max(0.0, left)

    async def _tell(self, note: str = "", *, force: bool = False) -> None:
        """Report, and leave a sign of life in the store, every TOLD_EVERY seconds at most."""
        now = time.monotonic()
        if not force and now - self._told < TOLD_EVERY:
            return
        self._told = now
        phase, done = self._phase()
        total = len(self._names)
        self._report(Progress(done, total, note or phase, self._seconds_left(now - self._started)))
        words = note or f"{phase}: {done} of {total}"
        await self._write(
            lambda c: ingest.touch_run(
                c,
                self._run,
                now=self._clock(),
                organizations=total,
                done=self._organizations_done(),
                detections_new=self._new,
                requests=self._cloud.stats.requests - self._before,
                note=words,
            )
        )


def _steps(subject: str) -> int:
    """About how many requests a subject takes."""
    return {"configuration": len(sections.READINGS), "organization": 3}.get(subject, 1)


_ALL_STEPS = sum(_steps(subject) for _, subjects in PHASES for subject in subjects)
_NEED_LISTING = frozenset(("organization", "sensors", "errors"))
"""Subjects whose changes may show in the listing of organizations only."""


def _still_stale(now: ingest.State | None, before: ingest.State | None) -> str:
    """What is stale of a subject that was just read: what was marked while it was."""
    stale_now = now.stale if now is not None else ""
    return "" if stale_now == (before.stale if before is not None else "") else stale_now


def _logs_known(state: ingest.State) -> dict[str, str]:
    """The fingerprints of the groups' logs, by gid, when the groups were read last."""
    try:
        return msgspec.json.decode(state.cursor or "{}", type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def _lasting(error: LimaCharlieError) -> bool:
    """Whether a refusal names its reason: a privilege that is missing, a listing that is restricted, an
    extension that is not subscribed to. Any other may be the moment's."""
    if isinstance(error, Invalid):
        return error.status in (None, 400)
    return error.status is None or bool(error.code) or "privilege" in str(error)


def _progress(state: ingest.State | None) -> Progressing | None:
    """How far an earlier run came; None when nothing is known, or it cannot be read."""
    if state is None or not state.cursor:
        return None
    try:
        return msgspec.json.decode(state.cursor, type=Progressing)
    except msgspec.DecodeError:
        return None


def _plan(known: Progressing | None, *, now: int, since: int, latest: int | None = None) -> Progressing:
    """What is to be read so that everything from `now - since` to now is known: the newest day first.

    Args:
        known: what an earlier run left behind.
        now: seconds, UTC: up to when it will be known.
        since: seconds.
        latest: seconds, UTC: up to when it is read; `now` when None.
    """
    end, wanted = now + 1, now - since
    upto = end if latest is None else latest + 1
    if known is None:
        return Progressing(wanted, end, _newest_first(wanted, upto))
    pending = _newest_first(min(known.end, end) - OVERLAP, upto) + known.pending
    if wanted < known.start:
        pending.append(Range(wanted, known.start, past=True))
    return Progressing(min(wanted, known.start), end, pending)


def _newest_first(start: int, end: int) -> list[Range]:
    recent = max(start, end - DAY)
    return [Range(recent, end)] + ([Range(start, recent)] if start < recent else [])


def fingerprint(answer: object) -> str:
    """SHA-256 of an answer, whatever the order of its keys."""
    try:
        text = orjson.dumps(
            answer,
            default=_plain,
            option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS,
        )
    except TypeError:
        # A lone surrogate in a host name, an integer beyond 64 bits: valid JSON from the cloud, and
        # no reason to lose the answer.
        text = canonical(answer)
    return hashlib.sha256(text).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    return repr(value)
