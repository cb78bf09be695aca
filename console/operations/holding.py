"""What this process makes and another one may take over: it says that it is there while it works."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

from store.errors import StoreError
from store.holding import LEASE, Held, Lost, is_there
from store.processes import holder

if TYPE_CHECKING:
    from store.database import Store

Result = TypeVar("Result")

BEAT = 30.0
"""Seconds after which a process says that it is still there."""


def is_live(now: int, *, mine: Callable[[int], bool]) -> Callable[[Held], bool]:
    """Whether the holder of something is there.

    Args:
        now: milliseconds, UTC.
        mine: whether this process is making the one of a number at the moment.
    """
    me = holder()

    def asked(held: Held) -> bool:
        if held.holder == me:
            return mine(held.id)
        return is_there(held.holder, held.beat_at, now)

    return asked


class Keeper:
    """Writes to the store as long as what is made is this process's."""

    def __init__(self, store: "Store", beat: Callable[[Connection], None]) -> None:
        """Args:
        beat: says that this process is there; raises `Lost` when it does not hold it any more.
        """
        self._store, self._beat = store, beat
        self._beaten = time.monotonic()

    async def write(self, write: Callable[[Connection], Result]) -> Result:
        """Write to the store, and say that this process is there.

        Raises:
            Lost: another process holds it.
        """

        def held() -> Result:
            with self._store.writing() as c:
                self._beat(c)
                return write(c)

        result = await asyncio.to_thread(held)
        self._beaten = time.monotonic()
        return result

    async def still_ours(self) -> None:
        """After a long pause, such as a stopped process's, see whether it was taken over.

        Raises:
            Lost: it was.
        """
        if time.monotonic() - self._beaten > LEASE / 3000:
            await self.write(lambda _: None)

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Say every `BEAT` seconds that this process is there."""
        task = asyncio.create_task(self._beat_on())
        try:
            yield
        finally:
            task.cancel()

    async def _beat_on(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            # Whoever sends next meets the same failure, and says it.
            with contextlib.suppress(Lost, StoreError):
                await self.write(lambda _: None)
