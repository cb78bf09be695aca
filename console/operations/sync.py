"""Reading LimaCharlie into the store: incremental, resumable, fair between organizations.

Every subject of every organization is a job of its own. A job reads one answer (or one page), writes
it in short transactions together with where to go on, and a subject of many pages goes back to the
end of its queue after each, so that a noisy organization delays nobody. A failed organization is
data: it is recorded with its reason, named in the outcome, and the others go on.
"""

import asyncio
import hashlib
import itertools
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import msgspec
import orjson
from sqlalchemy import Connection

from console.limacharlie.client import Cloud, OrganizationHandle
from console.limacharlie.errors import Auth, Denied, Gone, Invalid, LimaCharlieError, Network, Protocol
from console.operations.ports import Progress, Report
from store import ingest
from store.configuration import HIVES, Record, canonical, redact
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
}
"""What `--only` takes, and the subjects that it stands for."""

PHASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("detections", ("detections",)),
    (
        "people, keys, sensors, logs",
        ("organization", "access", "keys", "sensors", "errors", "usage", "audit"),
    ),
    ("configuration", ("configuration",)),
)
"""In the order in which they are read, each for all organizations: what an analyst waits for first, what
takes most requests last."""

DAY = 86_400
OVERLAP = 600
"""Seconds read again before the last mark: a detection may be filed late."""
PAGE = 1_000
BATCH = 200
"""Rows in one transaction: with more, a claim in another console would wait for the lock."""
SERVICES = {"exfil": "exfil", "integrity": "integrity", "logging": "artifact", "yara": "yara"}
"""Legacy service -> the section its rules stand in, named as in the infrastructure document."""
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


class Range(msgspec.Struct, array_like=True):
    """A stretch of time still to be read."""

    start: int
    """Seconds, UTC; inclusive."""
    end: int
    cursor: str = "-"


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
    handle: OrganizationHandle
    subject: str


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
        workers: int = 12,
        report: Report = lambda progress: None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        """Prepare a run.

        Args:
            redaction_key: under which secrets in configuration are replaced before they are stored (HMAC).
            since: how far back detections and audit are wanted, in seconds; what is known is not read again.
            only: of GROUPS_OF_SUBJECTS; all when empty.
            oids: limits the run to these organizations; all that the listing names when None.
            workers: how many answers are awaited at once.
            clock: milliseconds, UTC.
        """
        groups = only or tuple(GROUPS_OF_SUBJECTS)
        self._subjects = {subject for group in groups for subject in GROUPS_OF_SUBJECTS[group]}
        self._store = store
        self._cloud = cloud
        self._key = redaction_key
        self._since = since
        self._oids = None if oids is None else set(oids)
        self._workers = workers
        self._report = report
        self._clock = clock
        self._names: dict[str, str] = {}
        self._failures = _Failures()
        self._refused: dict[str, LimaCharlieError] = {}
        self._new = 0
        self._changed = 0
        self._done = 0
        self._jobs = 0
        self._left: list[Counter[str]] = [Counter() for _ in PHASES]
        self._started = time.monotonic()
        self._told = 0.0
        self._run = 0
        self._before = 0
        self._order = itertools.count()
        self._ranges: dict[tuple[str, str], Progressing] = {}
        self._unreachable = 0
        self._away: LimaCharlieError | None = None
        self._queue: asyncio.PriorityQueue[tuple[int, int, _Job]] = asyncio.PriorityQueue()

    async def run(self) -> Outcome:
        """Read everything that was asked for, and answer what came of it.

        Raises:
            LimaCharlieError: the listing of organizations could not be read, or the cloud went away in
                the middle. What was read until then is kept, and no organization is blamed.
        """
        self._before = self._cloud.stats.requests
        self._run = await self._write(lambda c: ingest.begin_run(c, now=self._clock()))
        try:
            await self._list()
            await self._tell(force=True)
            for oid in self._names:
                handle = self._cloud.organization(oid)
                for phase, subject in self._wanted():
                    self._queue.put_nowait((phase, next(self._order), _Job(handle, subject)))
                    self._left[phase][oid] += 1
            self._jobs = self._queue.qsize()
            async with asyncio.TaskGroup() as group:
                if "groups" in self._subjects:
                    group.create_task(self._groups())
                workers = [
                    group.create_task(self._work()) for _ in range(min(self._workers, max(1, self._jobs)))
                ]
                await self._queue.join()
                for worker in workers:
                    worker.cancel()
            if self._away is not None:
                raise self._away
        except BaseException as error:
            note = "stopped" if isinstance(error, asyncio.CancelledError) else str(error)
            await self._finish(note)
            raise
        return await self._finish("done")

    async def _finish(self, note: str) -> Outcome:
        failed = self._failures.listed(self._names)
        outcome = Outcome(
            organizations=len(self._names),
            failed=failed,
            detections_new=self._new,
            rows_changed=self._changed,
            requests=self._cloud.stats.requests - self._before,
            seconds=round(time.monotonic() - self._started, 3),
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
        """Learn which organizations there are."""
        rows: list[dict[str, Any]] = []
        async for page in self._cloud.organizations():
            rows.extend(
                {
                    "oid": each.oid,
                    "name": each.name,
                    "region": each.region,
                    "status": each.status,
                    "sensor_quota": each.sensor_quota,
                    "details": each.details,
                }
                for each in page
            )
            await self._tell(f"listing organizations: {len(rows)}")
        now = self._clock()

        def write(connection: Connection) -> int:
            changed = ingest.put_organizations(connection, rows, complete=True, now=now)
            ingest.put_sync_state(connection, "", "organizations", checked_at=now, attempted_at=now)
            return changed

        self._changed += await self._write(write)
        self._names = {
            row["oid"]: row["name"] for row in rows if self._oids is None or row["oid"] in self._oids
        }

    async def _groups(self) -> None:
        """Read the groups of the credential; an organization's key has none, which fails nobody."""
        try:
            groups = await self._cloud.groups()
        except LimaCharlieError as error:
            await self._note_failure("", "groups", error)
            if not isinstance(error, Denied):
                log.warning("groups: %s", error)
            return
        self._changed += await self._put(
            "", "groups", groups, lambda c: ingest.put_groups(c, groups, now=self._clock())
        )

    async def _work(self) -> None:
        while True:
            phase, _, job = await self._queue.get()
            again = False
            try:
                again = await self._step(job)
            finally:
                if again:
                    self._queue.put_nowait((phase, next(self._order), job))
                else:
                    self._done += 1
                    self._left[phase][job.handle.oid] -= 1
                self._queue.task_done()
            await self._tell()

    async def _step(self, job: _Job) -> bool:
        """Read one answer; whether there is more of the same. A failure is noted, never raised."""
        oid = job.handle.oid
        if self._away is not None:
            return False
        try:
            if oid in self._refused:
                raise self._refused[oid]
            more: bool = await getattr(self, f"_read_{job.subject}")(job.handle)
            self._unreachable = 0
            return more
        except LimaCharlieError as error:
            if isinstance(error, Network):
                self._unreachable += 1
                if self._unreachable >= AWAY_AFTER:
                    self._away = error
                return False
            if isinstance(error, Auth | Gone):
                self._refused[oid] = error
            self._failures.add(oid, job.subject, error)
            await self._note_failure(oid, job.subject, error)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # An answer that passed the client's checks and still cannot be stored: that
            # organization's subject is missing, and no other has to suffer for it.
            log.exception("%s of %s cannot be stored", job.subject, oid)
            broken = Protocol(
                f"The answer cannot be stored ({type(error).__name__}); --debug logs the details."
            )
            self._failures.add(oid, job.subject, broken)
            await self._note_failure(oid, job.subject, broken)
        return False

    async def _read_organization(self, handle: OrganizationHandle) -> bool:
        record = await handle.record()
        quota = await self._optional(handle.quota_usage())
        online = await self._optional(handle.online())
        answer = [record, quota and [quota.quota, quota.usage], online]
        self._changed += await self._put(
            handle.oid,
            "organization",
            answer,
            lambda c: ingest.put_organization_facts(
                c,
                handle.oid,
                details=record,
                quota=quota.quota if quota else None,
                quota_used=quota.usage if quota else None,
                sensors_online=online,
            ),
        )
        return False

    async def _optional(self, reading: Awaitable[Written]) -> Written | None:
        """The answer, or None where this credential may not have it."""
        try:
            return await reading
        except Denied:
            return None

    async def _read_sensors(self, handle: OrganizationHandle) -> bool:
        rows: list[dict[str, Any]] = []
        async for page in handle.sensors():
            rows.extend(page)
        rows.sort(key=lambda row: str(row.get("sid")))
        self._changed += await self._put(
            handle.oid, "sensors", rows, lambda c: ingest.put_sensors(c, handle.oid, rows)
        )
        return False

    async def _read_access(self, handle: OrganizationHandle) -> bool:
        answer = await handle.permissions()
        self._changed += await self._put(
            handle.oid,
            "access",
            answer,
            lambda c: ingest.put_access(c, handle.oid, answer, now=self._clock()),
        )
        return False

    async def _read_keys(self, handle: OrganizationHandle) -> bool:
        keys = await handle.keys()
        self._changed += await self._put(
            handle.oid, "keys", keys, lambda c: ingest.put_keys(c, handle.oid, keys, now=self._clock())
        )
        return False

    async def _read_usage(self, handle: OrganizationHandle) -> bool:
        usage = await handle.usage()
        self._changed += await self._put(
            handle.oid, "usage", usage, lambda c: ingest.put_usage(c, handle.oid, usage)
        )
        return False

    async def _read_errors(self, handle: OrganizationHandle) -> bool:
        errors = await handle.errors()
        self._changed += await self._put(
            handle.oid, "errors", errors, lambda c: ingest.put_errors(c, handle.oid, errors)
        )
        return False

    async def _read_configuration(self, handle: OrganizationHandle) -> bool:
        """Every section. One that this credential may not read keeps what is known of it, and is named: a
        key without `ai_memory.get` is no reason to call an organization failed."""
        sections: dict[str, dict[str, Record]] = {}
        missing: dict[str, LimaCharlieError] = {}
        for section, reading in _sections(handle):
            try:
                sections[section] = {
                    name: replace(record, body=redact(section, record.body, self._key))
                    for name, record in (await reading()).items()
                }
            except (Denied, Invalid) as error:
                missing[section] = error
        answer = {
            section: {name: [record.body, record.metadata, record.etag] for name, record in records.items()}
            for section, records in sections.items()
        }
        now = self._clock()

        def write(connection: Connection) -> int:
            return sum(
                ingest.put_configuration(connection, handle.oid, section, records, now=now)
                for section, records in sections.items()
            )

        if not sections:
            raise next(iter(missing.values()))
        not_permitted = f"Not permitted: {', '.join(sorted(missing))}." if missing else ""
        self._changed += await self._put(handle.oid, "configuration", answer, write, reason=not_permitted)
        return False

    async def _read_detections(self, handle: OrganizationHandle) -> bool:
        return await self._read_range(handle, "detections", self._page_of_detections)

    async def _read_audit(self, handle: OrganizationHandle) -> bool:
        return await self._read_range(handle, "audit", self._page_of_audit)

    async def _page_of_detections(self, handle: OrganizationHandle, wanted: Range, end: _End) -> None:
        page = await handle.detections(wanted.start, wanted.end, cursor=wanted.cursor, limit=PAGE)
        records = await asyncio.to_thread(
            lambda: [ingest.detection_from(raw, handle.oid) for raw in page.records]
        )
        batches = [records[at : at + BATCH] for at in range(0, len(records), BATCH)]
        for batch in batches[:-1]:
            self._count_new(await self._write(partial(ingest.put_detections, oid=handle.oid, records=batch)))

        def last(connection: Connection) -> int:
            new = ingest.put_detections(connection, handle.oid, batches[-1]) if batches else 0
            end(connection, page.next_cursor)
            return new

        self._count_new(await self._write(last))

    def _count_new(self, new: int) -> None:
        self._new += new
        self._changed += new

    async def _page_of_audit(self, handle: OrganizationHandle, wanted: Range, end: _End) -> None:
        page = await handle.audit(wanted.start, wanted.end, cursor=wanted.cursor, limit=PAGE)

        def write(connection: Connection) -> int:
            changed = ingest.put_audit(connection, handle.oid, page.records)
            end(connection, page.next_cursor)
            return changed

        self._changed += await self._write(write)

    async def _read_range(self, handle: OrganizationHandle, subject: str, read: _ReadPage) -> bool:
        """Read one page of what is still to be read; whether more is left.

        Where to go on is committed with the page, so a run that is killed loses one page at most,
        and the next run reads what is newest first and then goes on where this one stopped.
        """
        oid = handle.oid
        known = self._ranges.get((oid, subject))
        if known is None:
            stored = await asyncio.to_thread(self._known, oid, subject)
            known = _plan(stored, now=self._clock() // 1000, since=self._since)
        wanted, *rest = known.pending
        after = known

        def end(connection: Connection, cursor: str) -> None:
            nonlocal after
            if cursor and cursor == wanted.cursor:
                raise Protocol(
                    "The cloud answered with the cursor it was asked for: the listing would never end."
                )
            going_on = [Range(wanted.start, wanted.end, cursor)] if cursor else []
            after = Progressing(known.start, known.end, going_on + rest)
            stamp = self._clock()
            ingest.put_sync_state(
                connection,
                oid,
                subject,
                cursor=msgspec.json.encode(after).decode(),
                mark=after.end * 1000,
                attempted_at=stamp,
                checked_at=None if after.pending else stamp,
            )

        try:
            await read(handle, wanted, end)
        except Invalid:
            if wanted.cursor == "-":
                raise
            # A cursor of an earlier run has expired: the stretch is read from its start again, and
            # what is known of it is recognized by its id.
            await read(handle, Range(wanted.start, wanted.end), end)
        self._ranges[oid, subject] = after
        return bool(after.pending)

    def _known(self, oid: str, subject: str) -> Progressing | None:
        with self._store.reader.reading() as connection:
            state = ingest.sync_state(connection, oid, subject)
        if state is None or not state.cursor:
            return None
        try:
            return msgspec.json.decode(state.cursor, type=Progressing)
        except msgspec.DecodeError:
            return None

    async def _put(
        self, oid: str, subject: str, answer: object, write: Callable[[Connection], int], *, reason: str = ""
    ) -> int:
        """Write an answer unless it equals the last one; how many rows changed.

        `reason` says what the answer lacks.
        """
        fingerprint = await asyncio.to_thread(_fingerprint, answer)
        now = self._clock()

        def put(connection: Connection) -> int:
            state = ingest.sync_state(connection, oid, subject)
            same = state is not None and state.fingerprint == fingerprint
            changed = 0 if same else write(connection)
            ingest.put_sync_state(
                connection,
                oid,
                subject,
                fingerprint=fingerprint,
                checked_at=now,
                attempted_at=now,
                reason=reason,
            )
            return changed

        return await self._write(put)

    async def _note_failure(self, oid: str, subject: str, error: LimaCharlieError) -> None:
        now = self._clock()
        await self._write(
            lambda c: ingest.put_sync_state(
                c, oid, subject, attempted_at=now, failure=error.kind, reason=str(error)
            )
        )

    async def _write(self, write: Callable[[Connection], Written]) -> Written:
        def commit() -> Written:
            with self._store.writing() as connection:
                return write(connection)

        return await asyncio.to_thread(commit)

    def _wanted(self) -> Iterator[tuple[int, str]]:
        """(phase, subject) of what is to be read of each organization."""
        for phase, (_, subjects) in enumerate(PHASES):
            for subject in subjects:
                if subject in self._subjects:
                    yield phase, subject

    def _organizations_done(self) -> int:
        """How many have every subject read, or failed."""
        return sum(1 for oid in self._names if not any(left[oid] for left in self._left)) if self._jobs else 0

    def _phase(self) -> tuple[str, int]:
        """What is being read, and how many organizations have it."""
        for phase, left in enumerate(self._left):
            lacking = sum(1 for count in left.values() if count)
            if lacking:
                return PHASES[phase][0], len(self._names) - lacking
        return "", len(self._names)

    async def _tell(self, note: str = "", *, force: bool = False) -> None:
        """Report, and leave a sign of life in the store, at most twice a second."""
        now = time.monotonic()
        if not force and now - self._told < 0.5:
            return
        self._told = now
        elapsed = now - self._started
        left = elapsed / self._done * (self._jobs - self._done) if self._done else None
        phase, done = self._phase()
        total = len(self._names)
        self._report(Progress(done, total, note or phase, left))
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


def _sections(
    handle: OrganizationHandle,
) -> Iterator[tuple[str, Callable[[], Awaitable[dict[str, Record]]]]]:
    """(section, how to read it) of everything that configures an organization, secrets still in place."""
    for hive in HIVES:
        yield f"hive/{hive}", partial(_hive, handle, hive)
    yield "output", partial(_keyed, handle.outputs)
    yield "installation_key", partial(_keyed, handle.installation_keys)
    yield "extension", partial(_keyed, handle.subscriptions)
    yield "resource", partial(_resources, handle)
    for service, section in SERVICES.items():
        yield section, partial(_service, handle, service)


async def _hive(handle: OrganizationHandle, hive: str) -> dict[str, Record]:
    # The secret hive is mirrored as metadata: its content is never asked for.
    found = await handle.hive(hive, mtd_only=hive == "secret")
    return {
        name: Record(
            body=record.body,
            metadata=record.metadata,
            etag=record.etag,
            author=record.author,
            modified=record.modified,
        )
        for name, record in found.items()
    }


async def _keyed(read: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Record]:
    return {name: Record(body=body) for name, body in (await read()).items()}


async def _resources(handle: OrganizationHandle) -> dict[str, Record]:
    return {category: Record(body=sorted(names)) for category, names in (await handle.resources()).items()}


async def _service(handle: OrganizationHandle, service: str) -> dict[str, Record]:
    rules = await handle.service_rules(service)
    if service == "exfil":  # {perf, list: {name: rule}, watch: {name: rule}}
        rules = {
            f"{kind}/{name}": rule
            for kind in ("list", "watch")
            for name, rule in (rules.get(kind) or {}).items()
        }
    return {name: Record(body=rule) for name, rule in rules.items()}


def _plan(known: Progressing | None, *, now: int, since: int) -> Progressing:
    """What is to be read so that everything from `now - since` to now is known: the newest day first.

    Args:
        known: what an earlier run left behind.
        now: seconds, UTC.
        since: seconds.
    """
    end, wanted = now + 1, now - since
    if known is None:
        return Progressing(wanted, end, _newest_first(wanted, end))
    pending = _newest_first(known.end - OVERLAP, end) + known.pending
    if wanted < known.start:
        pending.append(Range(wanted, known.start))
    return Progressing(min(wanted, known.start), end, pending)


def _newest_first(start: int, end: int) -> list[Range]:
    recent = max(start, end - DAY)
    return [Range(recent, end)] + ([Range(start, recent)] if start < recent else [])


def _fingerprint(answer: object) -> str:
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


async def watch(
    *,
    store: Store,
    cloud: Cloud,
    redaction_key: bytes,
    since: int = 7 * DAY,
    only: Sequence[str] = (),
    report: Report = lambda progress: None,
    interval: float = 20.0,
    everything_every: float = 600.0,
    wake: asyncio.Event | None = None,
) -> None:
    """Go on reading until cancelled: detections at every turn, everything else now and then.

    A turn that fails as a whole (the cloud is away, the key was revoked) is reported in words and
    tried again, ever more slowly up to two minutes; the store keeps what it has, with its age.

    Args:
        interval: seconds between the end of a turn and the next.
        everything_every: seconds between turns that read every subject.
        wake: set it to begin a full turn at once.
    """
    last_full: float | None = None
    failures = 0
    while True:
        full = last_full is None or time.monotonic() - last_full >= everything_every
        turn = Sync(
            store=store,
            cloud=cloud,
            redaction_key=redaction_key,
            since=since,
            only=only if full else _often(only),
            # A look for new detections every few seconds is not news; the age of the data says it.
            report=report if full else lambda progress: None,
        )
        try:
            outcome = await turn.run()
        except LimaCharlieError as error:
            failures += 1
            report(Progress(0, 0, f"offline: {error}"))
        else:
            failures = 0
            if full:
                last_full = time.monotonic()
            done = outcome.organizations - len(outcome.failed)
            report(Progress(done, outcome.organizations, "idle"))
        await _pause(min(interval * 2**failures, 120.0) if failures else interval, wake)
        if wake is not None and wake.is_set():
            wake.clear()
            last_full = None


def _often(only: Sequence[str]) -> Sequence[str]:
    """What of the wanted groups of subjects is read at every turn."""
    return ["detections"] if not only or "detections" in only else only


async def _pause(seconds: float, wake: asyncio.Event | None) -> None:
    if wake is None:
        await asyncio.sleep(seconds)
        return
    try:
        await asyncio.wait_for(wake.wait(), seconds)
    except TimeoutError:
        return
