"""Time as the client sees it, in one place, so that nobody has to wait for it to prove something."""

import asyncio
import time


class Clock:
    """The machine's own time. Pauses, deadlines, backoff and the life of tokens go by it."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since 1970, UTC; may jump."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """A context that raises TimeoutError when what is in it takes longer."""
        return asyncio.timeout(seconds)
