"""Views whose detail takes a while to read: one reading at a time, and seldom for what merely changes."""

from __future__ import annotations

from collections.abc import Hashable
from time import monotonic
from typing import ClassVar

from textual import work
from textual.timer import Timer

from screens.context import Context
from screens.view import Found, View


class ReadsDetail(View[Found]):
    """Reads the detail of what is under the cursor beside what the view itself reads.

    A reading that is under way cannot be stopped, so that another begins only after it; and while the store
    changes all the time the detail of the same is read at most every `DETAIL_EVERY`.
    """

    DETAIL_EVERY: ClassVar[float] = 3.0
    """Seconds between two readings of the same detail that changes of the store cause."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._detail_about: Hashable = None
        """What was asked for last; None when nothing was, or its answer came to nothing."""
        self._detail_wanted = self._detail_reading = False
        self._detail_at = 0.0
        """By the monotonic clock: when it had been read last."""
        self._detail_due: Timer | None = None

    async def read_detail(self) -> bool:
        """Read what is wanted by now, and show it; False when something else was wanted by then."""
        raise NotImplementedError

    def detail_due(self) -> None:
        """It is time to read it again: `want_detail` with `again`."""
        raise NotImplementedError

    def want_detail(self, about: Hashable, *, again: bool = False) -> None:
        """Have `read_detail` called.

        Args:
            about: what it is of.
            again: nobody asked for it, what it rests on may be otherwise: if it is of the same as before, at
                most every `DETAIL_EVERY`.
        """
        wait = (
            self.DETAIL_EVERY if self._detail_reading else self._detail_at + self.DETAIL_EVERY - monotonic()
        )
        if again and about == self._detail_about and wait > 0:
            if self._detail_due is None:
                self._detail_due = self.set_timer(wait, self._detail_is_due)
            return
        self._detail_about = about
        self._detail_wanted = True
        if not self._detail_reading:
            self._detail_reading = True
            self._read_details()

    def _detail_is_due(self) -> None:
        self._detail_due = None
        self.detail_due()

    @work(group="detail", exit_on_error=False)
    async def _read_details(self) -> None:
        try:
            while self._detail_wanted:
                self._detail_wanted = False
                if await self.read_detail():
                    self._detail_at = monotonic()
                elif not self._detail_wanted:
                    # It was not shown: whoever comes back to it does not have it.
                    self._detail_about = None
        finally:
            self._detail_reading = False
