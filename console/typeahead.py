"""Keys that are there before what they are meant for.

Over a slow link `x`, `f` and the comment come in one piece, and an analyst types faster than a dialog opens.
So a key is looked at only when the one before it has done what it does, and while a dialog, another view or
other rows are on their way, keys wait and are given to those, in the order in which they were typed. A key is
never for what only happened to be on the screen when it came.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import App
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from screens.view import View

if TYPE_CHECKING:
    from screens.requests import Keys

Typed = events.Key | events.Paste

PATIENCE = 10.0
"""Seconds that a dialog may take to come before keys are the view's again."""
NEXT_WITHIN = 1.0
"""Seconds after an answer in which the next question is waited for, and in which a view may show what was
asked of it."""
READ_WITHIN = 0.5
"""Seconds in which a view may read what a decision changed, so that the next key is not for what is gone."""
FREES_AFTER = 1.0
"""Seconds of waiting after which escape no longer waits for the dialog, but gives it up."""
HELD_DOWN = 0.1
"""Seconds between two of the same key that say that it is held down."""
TURNS = 3
"""How often it is waited for that everything has gone its way: a line that is given posts to its view, which
posts to the application."""
LOST_AFTER = 0.5
"""Seconds after which a key is taken for done: what it went to was taken away meanwhile."""
LOOK_EVERY = 0.01
"""Seconds between two looks whether the keys that wait can go on."""


class Looked(Message):
    """Follows a key on its way through the widgets: when it has come to the application, so has the key. Then
    it goes the way again, behind what the key made the widgets post, and what that made them post."""

    def __init__(self, number: int, turn: int = 1) -> None:
        """`number` is the key's, `turn` how often it goes the way."""
        super().__init__()
        self.number, self.turn = number, turn


@dataclass(eq=False)
class Wait:
    """Why keys wait."""

    kind: Keys
    until: float
    """By the monotonic clock."""
    since: float
    decides: bool = False
    """It may change what the view shows."""
    asked: bool = False
    """A dialog came."""
    refused: bool = False
    """It came to nothing, so that what was typed for it must not press keys here."""


_here: ContextVar[Wait | None] = ContextVar("wait", default=None)


class TypeAhead:
    """The keys of one application, one after the other."""

    def __init__(
        self, app: App[Any], look_at: Callable[[Typed], Awaitable[None]], news: Callable[[], bool]
    ) -> None:
        """Nothing was typed yet.

        Args:
            look_at: does with a key what Textual does with one that just came.
            news: whether the store has changed, and views were not told yet.
        """
        self._app = app
        self._look_at = look_at
        self._news = news
        self._typed: deque[Typed] = deque()
        self._waits: list[Wait] = []
        self._opening: dict[Screen[Any], float] = {}
        """Dialogs that are not there yet, and since when they are awaited."""
        self._arriving: tuple[Screen[Any], float] | None = None
        self._number = 0
        self._target: Widget | None = None
        """Where the key went that is looked at."""
        self._busy_since: float | None = None
        self._followed = True
        """Something is on its way behind the key that is looked at."""
        self._started = 0.0
        """When a key was looked at last."""
        self._watching = False
        self._read_until = 0.0
        """Until then the view may still show what was decided about."""
        self._answer = ""
        """The key that answered the dialog before."""
        self._answered_at = 0.0
        self._last = ""
        self._last_at = 0.0

    @property
    def idle(self) -> bool:
        """Whether no key waits, and none is being looked at."""
        busy = self._busy_since is not None and monotonic() - self._busy_since < LOST_AFTER
        return not self._typed and not busy

    # -- what the application tells ---------------------------------------------------------------------

    async def take(self, event: Typed) -> None:
        """A key was typed, or a text pasted."""
        if isinstance(event, events.Key) and not self._may_go() and self._frees(event.key):
            self._forget()
        self._typed.append(event)
        if self._busy_since is not None and not self._followed:
            self._follow()
        await self.go_on()

    def put_back(self, event: events.Key) -> None:
        """A key that was looked at is for what comes now: it is the next one."""
        self._typed.appendleft(event)
        self._watch()

    async def looked(self, message: Looked) -> None:
        """A key, or what it posted, has come through the widgets."""
        if message.number != self._number or self._busy_since is None:
            return
        # What was begun begins now, before anything else is typed.
        await asyncio.sleep(0)
        if message.turn < TURNS and self._follow(message.turn + 1):
            return
        self._busy_since = None
        await self.go_on()

    def _follow(self, turn: int = 1) -> bool:
        """Send something behind the key; False when there is nothing to send it through."""
        self._followed = True
        for node in (self._target, self._app.screen if self._app.screen_stack else None):
            if node is not None and node.is_attached and node.post_message(Looked(self._number, turn)):
                return True
        return False

    async def go_on(self) -> None:
        """Look at the next key, if it can be."""
        while self._typed and self._may_go():
            event = self._typed.popleft()
            if self._held_down(event):
                continue
            await self._start(event)
        if self._typed:
            self._watch()

    def opening(self, dialog: Screen[Any]) -> None:
        """A dialog was pushed; keys are for it once it has been painted and has given the focus."""
        self._opening[dialog] = monotonic()
        for wait in self._waits:
            wait.asked = True
        dialog.call_after_refresh(dialog.call_after_refresh, self._app.call_later, self._opened, dialog)

    async def _opened(self, dialog: Screen[Any]) -> None:
        self._opening.pop(dialog, None)
        await self.go_on()

    def closed(self, dialog: Screen[Any]) -> None:
        """A dialog was answered, by the last key that was looked at."""
        self._opening.pop(dialog, None)
        self._answer, self._answered_at = self._last, self._last_at
        now = monotonic()
        for wait in self._waits:
            if wait.asked:
                wait.since, wait.until = now, now + NEXT_WITHIN
        if self._busy_since is not None:
            # What follows the key may have been taken away with the dialog.
            self._app.post_message(Looked(self._number))

    def arrived(self, screen: Screen[Any]) -> None:
        """A view is shown now; keys are for it once its rows are there."""
        self._arriving = (screen, monotonic())

    @contextmanager
    def waiting(self, kind: Keys, *, decides: bool = False) -> Iterator[Wait]:
        """Let keys wait for what is done within.

        Args:
            decides: it may change what the view shows, which is read again before a key is for it.
            kind: `dialog`: if none comes, or it comes to nothing, what was typed for it is forgotten.
                `either`: then it is for the view. `here`: keys do not wait.
        """
        now = monotonic()
        wait = Wait(kind, now + PATIENCE, now, decides)
        if kind == "here":
            yield wait
            return
        self._waits.append(wait)
        token = _here.set(wait)
        try:
            yield wait
        except BaseException:
            wait.refused = True
            raise
        finally:
            _here.reset(token)
            self._over(wait)

    def said(self, tone: str) -> None:
        """Within `waiting`: something was said. That ends the waiting, unless a dialog is still to come; a
        warning says that it came to nothing."""
        wait = _here.get()
        if wait is None or wait not in self._waits:
            return
        wait.refused = wait.refused or tone != "plain"
        if wait.asked or wait.refused or wait.kind == "either":
            self._over(wait)

    # -- whether a key can go on ------------------------------------------------------------------------

    def _over(self, wait: Wait) -> None:
        if wait not in self._waits:
            return
        self._waits.remove(wait)
        if wait.refused or (wait.kind == "dialog" and not wait.asked):
            self._typed.clear()
        if wait.decides:
            self._read_until = monotonic() + READ_WITHIN
        # What was posted in it is on its way.
        self._number += 1
        self._busy_since, self._target = monotonic(), None
        self._follow()

    def _forget(self) -> None:
        self._waits.clear()
        self._typed.clear()
        self._busy_since = None

    def _frees(self, key: str) -> bool:
        """Whether a key ends the waiting: the one that leaves the console, and escape after a while."""
        screen = self._app.screen if self._app.screen_stack else None
        if not self._waits or not isinstance(screen, View):
            return False
        now = monotonic()
        return screen.leaves(key) or (
            key == "escape" and all(now - wait.since > FREES_AFTER for wait in self._waits)
        )

    def _may_go(self) -> bool:
        """Whether the next key can be looked at now."""
        now = monotonic()
        if self._busy_since is not None:
            if now - self._busy_since < LOST_AFTER:
                return False
            self._busy_since = None
        if not self._app.screen_stack:
            return False
        if not isinstance(screen := self._app.screen, View):
            since = self._opening.get(screen)
            return not getattr(screen, "_over", False) and (since is None or now - since > PATIENCE)
        for wait in [each for each in self._waits if each.until < now]:
            self._over(wait)
        if self._waits:
            return False
        view: View[Any] = screen
        if self._arriving is not None and self._arriving[0] is view:
            if not view.settled and now - self._arriving[1] < NEXT_WITHIN:
                return False
            self._arriving = None
        if now < self._read_until and (self._news() or view.reading):
            return False
        self._read_until = 0.0
        if getattr(view.focused, "on_its_way", False) and now - self._started < NEXT_WITHIN:
            return False
        return not view.unsettled_for or view.unsettled_for > NEXT_WITHIN

    def _held_down(self, event: Typed) -> bool:
        """Whether this key is the answer to the dialog before, which is held down: it is for nobody."""
        if not self._answer:
            return False
        repeated = (
            isinstance(event, events.Key)
            and event.key == self._answer
            and event.time - self._answered_at < HELD_DOWN
            and not (event.is_printable and isinstance(self._app.focused, Input))
        )
        if repeated:
            self._answered_at = event.time
        else:
            self._answer = ""
        return repeated

    async def _start(self, event: Typed) -> None:
        self._number += 1
        self._busy_since = self._started = monotonic()
        if isinstance(event, events.Key):
            self._last, self._last_at = event.key, event.time
        self._target = self._app.focused or self._app.screen
        self._followed = False
        await self._look_at(event)
        # What the key changes is painted before anything is sent behind it, unless another key waits.
        later = not self._typed and self._target.call_after_refresh(self._painted, self._number)
        if not later and not self._follow():
            self._busy_since = None

    def _painted(self, number: int) -> None:
        """What a key changed is on the screen."""
        if number == self._number and self._busy_since is not None and not self._followed:
            self._follow()

    def _watch(self) -> None:
        """Look again soon: what is waited for is not told by anybody."""
        if not self._watching:
            self._watching = True
            self._app.set_timer(LOOK_EVERY, self._look_again)

    async def _look_again(self) -> None:
        self._watching = False
        await self.go_on()
