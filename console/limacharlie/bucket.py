"""A bucket of requests: what it holds, and the small file through which a machine's processes share it."""

import fcntl
import math
import os
import stat
import struct
import time
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

RATE = 20.0
"""Requests per second before the cloud has said anything."""
BURST = 50.0
"""The only published figures (Cases: 20 a second, bursts of 50); used for the whole API until then."""
LONGEST_WAIT = 120.0
"""Seconds; a longer Retry-After is cut to this."""

_KEPT_BACK = 0.1
"""The part of a learned quota that is left alone: other programs use the same key."""
_RESERVE = 5.0
"""Requests that background work leaves in the bucket, so that a person need not wait for it."""
_USED_OVER = 10.0
"""Seconds over which the rate in use is averaged."""
_LATE = 0.25
"""Seconds after its time that a waiter may come back without losing its turn to those behind it."""
_TRIES = 5
_BETWEEN = 0.0002
"""Seconds: a lock is held for some microseconds, so who finds it taken need not wait for long."""
_MOST_WAITERS = 64
_OLD: Final = 7 * 86_400.0
"""Seconds after which a file that nobody has written is taken away."""

_MAGIC: Final = b"lgrate1\n"
_HEAD: Final = struct.Struct("<8sII")
_FIELDS: Final = struct.Struct("<10dQQQI")
_WAITER: Final = struct.Struct("<QIIdd")


@dataclass(slots=True)
class Waiter:
    """The first in a process's own line; those behind it are counted."""

    priority: int
    waiting: int
    since: float
    back_at: float
    """When it looks again. Who does not come back is passed over: it may have been killed."""


@dataclass(slots=True)
class Bucket:
    """A token bucket for one credential. Times are seconds of the machine's monotonic clock."""

    rate: float = RATE
    """Requests per second."""
    burst: float = BURST
    level: float = BURST
    """What may be asked at once; never above `burst`."""
    filled: float = -math.inf
    """When `level` was right."""
    quota: float = 0.0
    """What the cloud said last: requests in `period`; 0 before it said anything."""
    period: float = 60.0
    paused_until: float = -math.inf
    paused_at: float = -math.inf
    used: float = 0.0
    """Requests per second, averaged, at `used_at`."""
    used_at: float = -math.inf
    in_a_row: int = 0
    """Warnings since the last answer that was none."""
    asked: int = 0
    throttled: int = 0
    waiters: dict[int, Waiter] = field(default_factory=dict)

    def take(self, me: int, priority: int, waiting: int, since: float, now: float) -> float:
        """Take one request out, or say for how many seconds there is none.

        First come, first served within a priority, over all processes; a smaller priority goes first.

        Args:
            me: a number that no other line has.
            waiting: how many stand in this line, the asker included.
            since: when the asker came to its head.
        """
        self._fill(now)
        ahead = self._ahead(me, priority, since, now)
        if now < self.paused_until:
            delay = self.paused_until - now
        else:
            reserve = min(_RESERVE, (self.burst - 1) * 0.2) if priority else 0.0
            # No more than the bucket can ever hold, or nobody would go first.
            short = min(1 + reserve + ahead, self.burst) - self.level
            if short <= 0:
                self.level -= 1
                self.count(now)
                if waiting > 1:
                    # To the end of the heads of the lines: processes take turns.
                    self.waiters[me] = Waiter(priority, waiting - 1, now, now)
                else:
                    self.waiters.pop(me, None)
                return 0.0
            delay = max(short / self.rate, 0.001)
        if me in self.waiters or len(self.waiters) < _MOST_WAITERS:
            self.waiters[me] = Waiter(priority, waiting, since, now + min(delay, 1.0))
        return delay

    def _fill(self, now: float) -> None:
        if now < self.paused_until:
            self.filled = now
        elif now > self.filled:
            if self.filled > -math.inf:
                self.level = min(self.burst, self.level + (now - self.filled) * self.rate)
            self.filled = now

    def _ahead(self, me: int, priority: int, since: float, now: float) -> int:
        ahead = 0
        if self.waiters:
            mine = (priority, since, me)
            for number, other in list(self.waiters.items()):
                if number == me:
                    continue
                if now > other.back_at + 4 * _LATE:
                    del self.waiters[number]
                elif now <= other.back_at + _LATE and (other.priority, other.since, number) < mine:
                    ahead += 1
        return ahead

    def count(self, now: float) -> None:
        """Note that a request was let through."""
        self.used, self.used_at = self.using(now) + 1 / _USED_OVER, now
        self.asked += 1

    def using(self, now: float) -> float:
        """Requests per second, averaged over the last ten seconds or so."""
        return self.used * math.exp(-max(0.0, now - self.used_at) / _USED_OVER) if self.used else 0.0

    def learn(self, quota: float, period: float) -> None:
        """Take over what the cloud said: a window's worth is never exceeded, bursts included."""
        if (quota, period) == (self.quota, self.period):
            return
        self.quota, self.period = quota, period
        self.burst = min(BURST, max(1.0, quota * _KEPT_BACK))
        steady = quota - self.burst - quota * _KEPT_BACK
        self.rate = max(steady, quota * 0.4, 0.5) / period
        self.level = min(self.level, self.burst)

    def pause(self, seconds: float, now: float) -> None:
        """Nobody asks for so long, at most LONGEST_WAIT; a longer pause that holds already goes on."""
        self._fill(now)
        self.throttled += 1
        self.paused_at = now
        self.paused_until = max(self.paused_until, now + min(seconds, LONGEST_WAIT))
        self.level = min(self.level, 1.0)

    def encoded(self) -> bytes:
        """As it stands in the file."""
        waiters = list(self.waiters.items())[:_MOST_WAITERS]
        payload = _FIELDS.pack(
            self.rate, self.burst, self.level, self.filled, self.quota, self.period, self.paused_until,
            self.paused_at, self.used, self.used_at, self.in_a_row, self.asked, self.throttled, len(waiters),
        ) + b"".join(
            _WAITER.pack(number, each.priority, each.waiting, each.since, each.back_at)
            for number, each in waiters
        )  # fmt: skip
        return _HEAD.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload


_LONGEST: Final = _HEAD.size + _FIELDS.size + _MOST_WAITERS * _WAITER.size


def decoded(content: bytes, now: float) -> Bucket | None:
    """What a file says; None when it was torn, or cannot be of this machine's present run."""
    if len(content) < _HEAD.size + _FIELDS.size:
        return None
    magic, length, checksum = _HEAD.unpack_from(content)
    payload = content[_HEAD.size : _HEAD.size + length]
    if magic != _MAGIC or len(payload) != length or zlib.crc32(payload) != checksum:
        return None
    *fields, waiting = _FIELDS.unpack_from(payload)
    if length != _FIELDS.size + waiting * _WAITER.size:
        return None
    bucket = Bucket(*fields)
    if not (bucket.rate > 0 and 1 <= bucket.burst <= BURST and bucket.level >= -BURST):
        return None
    if bucket.filled > now + 1 or bucket.paused_until > now + LONGEST_WAIT + 1:
        return None  # the clock began anew
    for number, *rest in _WAITER.iter_unpack(payload[_FIELDS.size :]):
        bucket.waiters[number] = Waiter(*rest)
    return bucket


class SharedFile:
    """A bucket in a file, for all processes of one user on this machine.

    Every use is: lock, read, change, write, unlock, some 20 us. The kernel frees the lock of a process that
    is killed, and a checksum tells what it had written by half. Read and written with system calls, not as
    mapped memory: a file that somebody cuts short, or a full disk, would else end the process.
    """

    def __init__(self, path: Path) -> None:
        """Open it, made (0600) if there is none.

        Raises:
            OSError: it cannot be opened, or is not a file of this user alone.
        """
        self.path = path
        self._last = Bucket()
        self._file = self._open()

    def _open(self) -> int:
        opened = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            found = os.fstat(opened)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise PermissionError(0, "it is not a file of this user alone")
        except BaseException:
            os.close(opened)
            raise
        return opened

    def lock(self, now: float) -> Bucket | None:
        """The bucket, which nobody else changes until `unlock`; None when it is held for unusually long.

        Raises:
            OSError: the file cannot be read.
        """
        for left in range(_TRIES, -1, -1):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not left:
                    return None
                time.sleep(_BETWEEN)
        if not os.fstat(self._file).st_nlink:
            # Somebody tidied up: meet the others in the file that is there now.
            os.close(self._file)
            self._file = -1
            self._file = self._open()
            return self.lock(now)
        content = os.pread(self._file, _LONGEST, 0)
        if not content:
            self._last = Bucket(filled=now)
        else:
            # What was written by half is taken for empty: a burst too many would be refused by the cloud.
            self._last = decoded(content, now) or replace(self._last, level=0.0, filled=now, waiters={})
        return self._last

    def unlock(self, bucket: Bucket) -> None:
        """Write it, and let the others have it.

        Raises:
            OSError: the file cannot be written.
        """
        try:
            os.pwrite(self._file, bucket.encoded(), 0)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file; what it holds stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def boot_id() -> str:
    """What names this machine's present run; "" where the system has no such name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def tidy(directory: Path, pattern: str) -> None:
    """Take away the files that nobody has written for a week, such as those of earlier boots."""
    before = time.time() - _OLD
    for path in directory.glob(pattern):
        try:
            if path.lstat().st_mtime < before:
                path.unlink()
        except OSError:
            continue
