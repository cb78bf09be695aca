"""How fast a credential may ask: one bucket for all who use it, whichever process they are in."""

import asyncio
import contextlib
import hashlib
import math
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import IntEnum
from pathlib import Path
from random import SystemRandom

from console.limacharlie.bucket import LONGEST_WAIT, Bucket, SharedFile, boot_id, tidy
from console.limacharlie.credentials import Credentials, UserKey

__all__ = ["LONGEST_WAIT", "Budget", "Limits", "Priority", "in_background", "retry_after", "server_time"]

_LONGEST_PERIOD = 3_600.0
_STUCK = 1.0
"""Seconds after which one who is stopped in the middle of a change is no longer waited for."""
_random = SystemRandom()


class Priority(IntEnum):
    """Who goes first."""

    INTERACTIVE = 0
    """A person waits."""
    BACKGROUND = 1
    """Nobody waits: leaves a few requests in the bucket, and steps back behind the others."""


_priority: ContextVar[Priority] = ContextVar("priority", default=Priority.INTERACTIVE)


@contextmanager
def in_background() -> Iterator[None]:
    """What is asked within, tasks begun within included, goes behind what a person waits for."""
    before = _priority.set(Priority.BACKGROUND)
    try:
        yield
    finally:
        _priority.reset(before)


@dataclass(frozen=True, slots=True)
class Budget:
    """A look at a bucket."""

    rate: float
    """Requests per second that may be sent; infinite when there is no limit of our own."""
    used: float
    """Requests per second that were sent lately, by all processes."""
    waiting: int
    """Requests that wait for their turn, in all processes."""
    paused_for: float
    """Seconds for which nobody may ask, by the cloud's word; 0 when nothing holds us back."""
    quota: float | None
    """What the cloud said last: requests in `period`; None before it said anything."""
    period: float
    """Seconds."""
    asked: int
    throttled: int
    """How many of `asked` were answered with 429."""
    alone: str
    """Why this bucket cannot be shared with other processes; "" when it is, or need not be."""

    def words(self) -> str:
        """For the operator: `3 of 20 requests/s, 4 waiting`, `paused 34 s by the cloud's rate limit`."""
        if self.paused_for > 0:
            return f"paused {math.ceil(self.paused_for)} s by the cloud's rate limit"
        if math.isinf(self.rate):
            return "no rate limit of our own"
        text = f"{_figure(self.rate)} requests/s"
        if self.used >= 0.05:
            text = f"{_figure(self.used)} of {text}"
        if self.waiting:
            text += f", {self.waiting:,} waiting"
        return f"{text} (this process alone: {self.alone})" if self.alone else text


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


class Limits:
    """A token bucket, first come first served.

    The cloud limits per credential over a window (`X-RateLimit-Quota` requests in
    `X-RateLimit-Period` seconds, 60 in the documentation of reliable tasking), so there is one
    bucket per credential, whatever the organization. A window's worth is never exceeded: what may
    come in a burst is taken off the steady rate.

    `Limits()` is the bucket of one process; `Limits.shared(...)` that of all processes on this machine.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[float, float], float] = _random.uniform,
        file: SharedFile | None = None,
        alone: str = "",
    ) -> None:
        """Prepare.

        Args:
            clock: seconds; with a `file` it must be one that all processes share.
            file: through which others share this bucket.
            alone: why there is no file, where there should be one.
        """
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._file = file
        self._alone = "" if file is not None else alone
        self._bucket = Bucket(filled=clock())
        """This process's own, or what the file said last."""
        self._free = False
        self._stuck_since: float | None = None
        self._lines = {priority: _Line(secrets.randbits(64)) for priority in Priority}

    @classmethod
    def shared(cls, directory: Path, credentials: Credentials, endpoint: str) -> "Limits":
        """The bucket that everybody on this machine who uses this credential shares.

        Args:
            directory: of this user alone. The file in it is named by a digest: neither the key nor whose
                it is can be read from it.
            endpoint: the base address that is asked.

        Returns:
            A process's own bucket where the directory cannot be used, which `describe` then says.
        """
        kind, name = (
            ("user", credentials.uid) if isinstance(credentials, UserKey) else ("key", credentials.oid)
        )
        whose = (boot_id(), endpoint, kind, name, credentials.secret.reveal())
        digest = hashlib.sha256("\0".join(whose).encode("utf-8", "surrogatepass")).hexdigest()[:32]
        try:
            new = not (path := directory / f"limits-{digest}").exists()
            file = SharedFile(path)
        except OSError as error:
            return cls(alone=_why(error))
        if new:
            tidy(directory, "limits-*")
        return cls(file=file)

    @classmethod
    def unlimited(cls) -> "Limits":
        """No budget of our own, only the pauses that a 429 demands: to measure something else on a sandbox.

        A transport takes it for the loopback only.
        """
        limits = cls()
        limits._free = True
        return limits

    @property
    def is_unlimited(self) -> bool:
        """Whether it holds nobody back by itself."""
        return self._free

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.now().rate

    @property
    def burst(self) -> float:
        """How many requests may be sent at once after a rest."""
        with self._held() as bucket:
            return bucket.burst

    @property
    def quota(self) -> float | None:
        """What the cloud said last: requests in `period`; None before it said anything."""
        return self.now().quota

    @property
    def period(self) -> float:
        """Seconds of the cloud's window."""
        return self.now().period

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return self.now().waiting

    @property
    def throttled(self) -> int:
        """How many 429 were met."""
        return self.now().throttled

    @property
    def paused_for(self) -> float:
        """Seconds for which nobody may ask; 0 when nothing holds us back."""
        return self.now().paused_for

    def now(self) -> Budget:
        """How it stands at this moment."""
        with self._held() as bucket:
            now = self._clock()
            mine = {line.number for line in self._lines.values()}
            return Budget(
                rate=math.inf if self._free else bucket.rate,
                used=bucket.using(now),
                waiting=sum(line.waiting for line in self._lines.values())
                + sum(
                    each.waiting
                    for number, each in bucket.waiters.items()
                    if number not in mine and now <= each.back_at + _STUCK
                ),
                paused_for=max(0.0, bucket.paused_until - now),
                quota=bucket.quota or None,
                period=bucket.period,
                asked=bucket.asked,
                throttled=bucket.throttled,
                alone=self._alone,
            )

    async def acquire(self, priority: Priority | None = None) -> None:
        """Wait for one's turn. Fair: who came first goes first; a cancelled waiter takes nothing.

        Args:
            priority: what `in_background` says when None.
        """
        line = self._lines[priority := _priority.get() if priority is None else priority]
        line.waiting += 1
        try:
            async with line.turn:
                since = self._clock()
                while (delay := self._take(priority, since)) > 0:
                    # Not one long sleep: the cloud may say more while we wait.
                    await self._sleep(min(delay, 1.0))
        finally:
            line.waiting -= 1
            if line.known and not line.waiting:
                with self._held() as bucket:
                    bucket.waiters.pop(line.number, None)
                line.known = False

    def _take(self, priority: Priority, since: float) -> float:
        """Take one request out of the bucket, or the seconds until it is worth to look again."""
        line = self._lines[priority]
        with self._held() as bucket:
            now = self._clock()
            if self._stuck_since is not None and now - self._stuck_since < _STUCK:
                return 0.005
            if self._free:
                delay = max(0.0, bucket.paused_until - now)
                if not delay:
                    bucket.count(now)
                return delay
            delay = bucket.take(line.number, priority, line.waiting, since, now)
            line.known = line.number in bucket.waiters
            return delay

    @contextmanager
    def _held(self) -> Iterator[Bucket]:
        """The bucket, for a moment in which nobody else has it."""
        file = self._file
        if file is None:
            yield self._bucket
            return
        try:
            bucket = file.lock(self._clock())
        except OSError as error:
            self._leave(error)
            yield self._bucket
            return
        if bucket is None:
            # Somebody was stopped while it had the file. What is changed now is known to us alone.
            self._stuck_since = self._clock() if self._stuck_since is None else self._stuck_since
            yield self._bucket
            return
        self._bucket, self._stuck_since = bucket, None
        try:
            yield bucket
        finally:
            try:
                file.unlock(bucket)
            except OSError as error:
                self._leave(error)

    def _leave(self, error: OSError) -> None:
        """Go on with what is known, alone."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        self._file, self._alone, self._stuck_since = None, _why(error), None

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take over what an answer says of the limit; what makes no sense is ignored.

        Args:
            headers: of any answer, also of a success; names in any case.
        """
        quota, period = _header(headers, "x-ratelimit-quota"), _header(headers, "x-ratelimit-period")
        requests, seconds = _number(quota), _number(period) or 60.0
        if requests is None or requests < 1 or not 1 <= seconds <= _LONGEST_PERIOD:
            return
        if (requests, seconds) != (self._bucket.quota, self._bucket.period):
            with self._held() as bucket:
                bucket.learn(requests, seconds)

    def ok(self) -> None:
        """An answer came that was not a 429."""
        if self._bucket.in_a_row:
            with self._held() as bucket:
                bucket.in_a_row = 0

    def throttle(self, headers: Mapping[str, str], *, sent_at: float) -> float:
        """A 429 came: nobody asks for a while.

        The wait is `Retry-After` (seconds or a date, at most 120 s), else `X-RateLimit-Period`,
        else 10 s doubled with every further 429, with jitter.

        Args:
            headers: of the 429.
            sent_at: when its request was sent, on this bucket's clock; several requests that were
                under way together count as one warning.

        Returns:
            Seconds until the next request.
        """
        self.learn(headers)
        with self._held() as bucket:
            now = self._clock()
            if sent_at >= bucket.paused_at:
                bucket.in_a_row += 1
            wait = retry_after(headers)
            if wait is None:
                period = _number(_header(headers, "x-ratelimit-period"))
                wait = period if period is not None and period > 0 else None
            if wait is None:
                wait = 10.0 * 2 ** min(bucket.in_a_row - 1, 5) * self._jitter(0.8, 1.2)
            bucket.pause(wait, now)
            return bucket.paused_until - now

    def describe(self) -> str:
        """What the bucket is doing, in a few words for the operator; see `Budget.words`."""
        return self.now().words()


class _Line:
    """Those of this process who wait with the same priority."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.turn = asyncio.Lock()
        self.waiting = 0
        self.known = False
        """Whether the bucket knows of this line."""


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """What `Retry-After` says, in seconds from now; None when it is absent, past or unreadable.

    A date is compared with the answer's own `Date`, so that our clock does not matter.
    """
    value = (_header(headers, "retry-after") or "").strip()
    seconds = _number(value)
    if seconds is not None:
        return seconds if seconds > 0 else None
    until = _moment(value)
    if until is None:
        return None
    now = _moment(_header(headers, "date") or "") or datetime.now(UTC)
    wait = (until - now).total_seconds()
    return wait if wait > 0 else None


def server_time(headers: Mapping[str, str]) -> float | None:
    """The answer's own clock, seconds since 1970; None when it does not say."""
    moment = _moment(_header(headers, "date") or "")
    return moment.timestamp() if moment is not None else None


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in headers.items() if key.lower() == name), None)


def _number(text: str | None) -> float | None:
    if text is None or not re.fullmatch(r"\s*\d{1,12}(?:\.\d{1,6})?\s*", text, re.ASCII):
        return None
    return float(text)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
