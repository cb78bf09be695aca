"""How fast a credential may ask: one bucket shared by all who use it."""

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import SystemRandom

RATE = 20.0
"""Requests per second before the cloud has said anything."""
BURST = 50.0
"""The only published figures (Cases: 20 a second, bursts of 50); used for the whole API until then."""
LONGEST_WAIT = 120.0
"""Seconds; a longer Retry-After is cut to this."""

_KEPT_BACK = 0.1
"""The part of a learned quota that is left alone: other programs use the same key."""
_LONGEST_PERIOD = 3_600.0
_random = SystemRandom()


class Limits:
    """A token bucket, first come first served.

    The cloud limits per credential over a window (`X-RateLimit-Quota` requests in
    `X-RateLimit-Period` seconds, 60 in the documentation of reliable tasking), so there is one
    bucket per credential, whatever the organization. A window's worth is never exceeded: what may
    come in a burst is taken off the steady rate.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[float, float], float] = _random.uniform,
    ) -> None:
        self.rate = RATE
        """Requests per second."""
        self.burst = BURST
        self.quota: float | None = None
        """What the cloud said last: requests in `period`; None before it said anything."""
        self.period = 60.0
        self.waiting = 0
        """How many requests wait for their turn."""
        self.throttled = 0
        """How many 429 were met."""
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._level = BURST
        self._filled = clock()
        self._paused_until = -math.inf
        self._paused_at = -math.inf
        self._in_a_row = 0
        self._turn = asyncio.Lock()

    @property
    def paused_for(self) -> float:
        """Seconds for which nobody may ask; 0 when nothing holds us back."""
        return max(0.0, self._paused_until - self._clock())

    async def acquire(self) -> None:
        """Wait for one's turn. Fair: who came first goes first; a cancelled waiter takes nothing."""
        self.waiting += 1
        try:
            async with self._turn:
                delay = self._delay()
                while delay > 0:
                    # Not one long sleep: the cloud may say more while we wait.
                    await self._sleep(min(delay, 1.0))
                    delay = self._delay()
                self._level -= 1
        finally:
            self.waiting -= 1

    def _delay(self) -> float:
        now = self._clock()
        if now < self._paused_until:
            self._filled = now
            return self._paused_until - now
        self._level = min(self.burst, self._level + max(0.0, now - self._filled) * self.rate)
        self._filled = now
        return 0.0 if self._level >= 1 else (1 - self._level) / self.rate

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take over what an answer says of the limit; what makes no sense is ignored.

        Args:
            headers: of any answer, also of a success; names in any case.
        """
        quota, period = _header(headers, "x-ratelimit-quota"), _header(headers, "x-ratelimit-period")
        requests, seconds = _number(quota), _number(period) or 60.0
        if requests is None or requests < 1 or not 1 <= seconds <= _LONGEST_PERIOD:
            return
        if (requests, seconds) == (self.quota, self.period):
            return
        self.quota, self.period = requests, seconds
        self.burst = min(BURST, max(1.0, requests * _KEPT_BACK))
        steady = requests - self.burst - requests * _KEPT_BACK
        self.rate = max(steady, requests * 0.4, 0.5) / seconds
        self._level = min(self._level, self.burst)

    def ok(self) -> None:
        """An answer came that was not a 429."""
        self._in_a_row = 0

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
        self.throttled += 1
        self.learn(headers)
        now = self._clock()
        if sent_at >= self._paused_at:
            self._in_a_row += 1
        wait = retry_after(headers)
        if wait is None:
            period = _number(_header(headers, "x-ratelimit-period"))
            wait = period if period is not None and period > 0 else None
        if wait is None:
            wait = 10.0 * 2 ** min(self._in_a_row - 1, 5) * self._jitter(0.8, 1.2)
        wait = min(wait, LONGEST_WAIT)
        self._paused_at = now
        self._paused_until = max(self._paused_until, now + wait)
        self._level = min(self._level, 1.0)
        return self._paused_until - now

    def describe(self) -> str:
        """What the bucket is doing, in a few words for the operator: `20 requests/s`, `paused 34 s`."""
        pause = self.paused_for
        if pause > 0:
            return f"paused {math.ceil(pause)} s by the cloud's rate limit"
        rate = f"{self.rate:.0f} requests/s" if self.rate >= 10 else f"{self.rate:.2g} requests/s"
        return f"{rate}, {self.waiting} waiting" if self.waiting else rate


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
