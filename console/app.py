"""The console: it paints first, opens the store behind that, and carries out what the screens ask.

Only Textual and the light half of `screens` are imported here. The store, and the views with their queries,
are imported in a thread after the first paint (`_open`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, tzinfo
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events, on, work
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.screen import Screen
from textual.signal import Signal
from textual.timer import Timer
from textual.worker import Worker, WorkerState

from console.process import settle_memory
from console.typeahead import Looked, TypeAhead, Typed
from screens.context import ALL, ASCII, GLYPHS, Context, Glyphs, Scope
from screens.dialogs.confirm import Confirm
from screens.guard import Guard
from screens.keys import ASIDE, MODES, use_keymap
from screens.opening import Opening
from screens.requests import (
    Back,
    LastView,
    Quit,
    Remember,
    SetScope,
    ShowAccess,
    ShowAlerts,
    ShowOrganization,
    ShowView,
    SyncNow,
    TypeAgain,
    Work,
)
from screens.view import View
from store.times import now_ms

if TYPE_CHECKING:
    from textual.screen import ModalScreen

    from console.limacharlie.client import Cloud
    from console.limacharlie.limits import Budget
    from console.operations.ports import Link, Progress, Report
    from console.requests import Handler
    from console.settings import Settings
    from store.breakglass import Running
    from store.database import Change, Reader, Store

log = logging.getLogger(__name__)

FIRST_MODE = "alerts"
TOLD_EVERY = 0.1
"""Seconds between two notices of change to the views, however often is committed."""
STATUS_EVERY = 1.0
"""Seconds between two readings of how fresh the scope is."""
STATUS_TABLES = frozenset(
    {
        "sync_state",
        "organization",
        "node",
        "detection",
        "access_deadline",
        "break_glass",
        "staged_change",
    }
)
DEADLINES_EVERY = 5.0
"""Seconds between two looks for changes of access whose time has come."""
WAKE_EVERY = 15.0
"""Seconds between two looks for snoozed alerts whose time has come."""
LEAVE_WITHIN = 5.0
"""Seconds that background work has to end in when the console is left."""

BEHIND = 0.5
"""Seconds that the first view has for its rows before anything else is imported."""
REPAINT_AFTER = 0.2
"""Seconds without another size after which everything is painted."""

VIEWS = {name: (f"screens.{name}", name.capitalize()) for name, _ in MODES} | {
    each.name: (f"screens.{each.name}", each.kind) for each in ASIDE
}
"""Name for `ShowView` -> module and class of its view. Imported after the first paint."""


class NotOpen:
    """Stands for the reader until the store is open."""

    def reading(self) -> contextlib.AbstractContextManager[Any]:
        """Nothing can be read yet."""
        raise RuntimeError("the store is not open yet")


class Console(App[int], inherit_bindings=False):
    """One operator's console."""

    CSS_PATH = Path(__file__).parents[1] / "screens" / "styles" / "console.tcss"
    ENABLE_COMMAND_PALETTE = False
    TITLE = "limegrove"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "ask_quit", "quit", show=False, id="app.quit", tooltip="Leave, after asking"),
    ]

    def __init__(
        self,
        *,
        open_store: Callable[[], Store],
        environment: str = "default",
        writable: bool = True,
        offline: bool = False,
        zone: tzinfo = UTC,
        zone_name: str = "UTC",
        glyphs: Glyphs = ASCII,
        clock: Callable[[], int] = now_ms,
        background: Callable[[Store, Report], Coroutine[Any, Any, None]] | None = None,
        sync_now: Callable[[], object] | None = None,
        budget: Callable[[], Budget | None] = lambda: None,
        link: Link | None = None,
        operator: str = "",
        copies: Path | None = None,
        view: str = FIRST_MODE,
        settings: Settings | None = None,
        redaction_key: Callable[[], bytes | None] = lambda: None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            open_store: called in a thread after the first paint; what it raises ends the console with that
                error.
            clock: milliseconds, UTC.
            background: runs as long as the console does, once the store is open; its failure is said in
                line 1 and ends nothing else.
            sync_now: wakes the background work.
            budget: how fast the cloud may be asked at this moment; None while it is not asked.
            link: where the background work offers its connection, for what the operator asks of the cloud.
            operator: the name that alerts and cases are assigned to; that of the system's user when empty.
            copies: the file that keeps what was copied last; none when None.
            view: the mode to begin with.
            settings: the settings in force, the keys among them; None where there is no workspace.
            redaction_key: under which secrets are replaced before they reach the store; None when it is not
                at hand. Called in a thread.
        """
        # Said now, for NO_COLOR is looked at before there is a theme: without the terminal's own colours
        # Textual would paint shades of grey, of which its black on black is one.
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self.guard = Guard()
        self.failure: BaseException | None = None
        """Why the console ended, if it did not end by itself."""
        self.store: Store | None = None
        self._open_store = open_store
        self._background = background
        self._sync_now = sync_now
        self._budget = budget
        self._link = link
        self._operator = operator
        self._copies = copies
        self.settings = settings
        use_keymap({})
        self._handlers: dict[type[Work], Handler] = {}
        self._first = view if view in VIEWS else FIRST_MODE
        self._history: list[str] = []
        self._noted: set[str] | None = None
        self._telling = False
        """What was noted is on its way to the views."""
        self._note_lock = threading.Lock()
        self._stop_listening: Callable[[], None] = lambda: None
        self._looking = False
        self._making = False
        self._carrying_on = False
        self._status_due = False
        self._reported = 0.0
        self._repaint: Timer | None = None
        self.typed = TypeAhead(self, self._look_at_key, lambda: self._noted is not None or self._telling)
        self.changes: Signal[Change] = Signal(self, "store-changed")
        self.context = Context(
            reader=cast("Reader", NotOpen()),
            changes=self.changes,
            scope_changed=Signal(self, "scope-changed"),
            status_changed=Signal(self, "status-changed"),
            clock=clock,
            environment=environment,
            writable=writable,
            offline=offline or background is None,
            zone=zone,
            zone_name=zone_name,
            glyphs=glyphs,
            brand_zone=partial(_brand_zone, settings),
            redaction_key=redaction_key,
            told=self.typed.said,
            keys_wait=self.typed.waiting,
        )

    # -- opening ----------------------------------------------------------------------------------------

    def get_default_screen(self) -> Screen[Any]:
        """What is painted first."""
        return Opening(self.context)

    def on_mount(self) -> None:
        """Paint, then open the store."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._ended_by, number)
        self.call_after_refresh(self._open)

    @work(exit_on_error=False, group="open")
    async def _open(self) -> None:
        try:
            store = await asyncio.to_thread(self._open_first)
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self._fail(error)
            raise
        self.store = store
        self.context.operator = self.operator
        self.context.reader = store.reader
        self._stop_listening = store.on_change(self._note)
        for name in VIEWS:
            self.add_mode(name, partial(self._view, name))
        self.set_interval(1.0, self._look_outside)
        self.set_interval(1.0, self._look_at_budget)
        self.set_interval(30.0, self.refresh_status)
        self.set_interval(WAKE_EVERY, self._wake_alerts)
        self.set_interval(DEADLINES_EVERY, self._make_deadlines)
        self.set_interval(DEADLINES_EVERY, self._carry_on_runs)
        await self._go(self._first)
        # Summing all organizations up would hold the first rows up.
        self.set_timer(BEHIND, self.refresh_status)
        self._go_on(store)
        if self._background is not None:
            self._run_background(store)

    @work(thread=True, exit_on_error=False, group="go-on")
    def _go_on(self, store: Store) -> None:
        """Behind the first view: import what the next key may need, and finish what an earlier console was
        interrupted in."""
        time.sleep(BEHIND)
        for module, _ in VIEWS.values():
            import_module(module)
        self._known_handlers()
        settle_memory()
        if self.context.writable:
            from console.operations import caselinks, folding

            caselinks.resume(store)
            folding.go_on(store)
        from console.operations import rollouts, runs

        now = self.context.clock()
        for sentence in (*rollouts.left_off(store, now), *runs.left_off(store, now)):
            self.call_from_thread(self.say, sentence, "warning")

    def _known_handlers(self) -> dict[type[Work], Handler]:
        if not self._handlers:
            from console.requests import handlers

            self._handlers = handlers()
        return self._handlers

    @work(exclusive=True, exit_on_error=False, group="wake")
    async def _wake_alerts(self) -> None:
        """Bring back the snoozed alerts for which what they waited for has come."""
        from console.operations import triage

        if self.store is not None and self.context.writable:
            await asyncio.to_thread(triage.wake_due, self.store, self.context.clock())

    @work(exit_on_error=False, group="deadlines")
    async def _make_deadlines(self) -> None:
        """Make the changes of access whose time has come, as long as the cloud is there."""
        cloud = self._link.cloud if self._link is not None else None
        if self.store is None or cloud is None or not self.context.writable or self._making:
            return
        from console.operations import accessplans, deadlines

        self._making = True
        try:
            for made in await deadlines.due(self.store, cloud, self.context.clock(), operator=self.operator):
                self.say(made.sentence, "error" if made.outcome == "failed" else "plain")
            for carried in await accessplans.resume(self.store, cloud, now=self.context.clock()):
                if carried.state != "applying":
                    self.say(carried.sentence, "plain" if carried.whole else "warning")
        finally:
            self._making = False

    @work(exit_on_error=False, group="runs")
    async def _carry_on_runs(self) -> None:
        """Carry on with runs that were cut off. It may take an hour, and holds no deadline up."""
        cloud = self._link.cloud if self._link is not None else None
        if self.store is None or cloud is None or not self.context.writable or self._carrying_on:
            return
        from console.operations import runs

        self._carrying_on = True
        try:
            for result in await runs.resume(self.store, cloud, key=self.context.redaction_key):
                self.say(result.sentence, "plain" if result.whole else "warning")
        finally:
            self._carrying_on = False

    def _open_first(self) -> Store:
        """The store, with no more imported than the first view needs: alerts are to be on screen at once.

        Raises:
            SettingsError: the keys of the settings cannot be; no store was opened.
        """
        if self.settings is not None and self.settings.keys:
            use_keymap(_judged(self.settings))
        import_module(VIEWS[self._first][0])
        return self._open_store()

    def _view(self, name: str) -> View[Any]:
        module, kind = VIEWS[name]
        view: View[Any] = getattr(import_module(module), kind)(self.context)
        return view

    # -- the store speaks -------------------------------------------------------------------------------

    def _note(self, change: Change) -> None:
        """In the thread that committed: gather, and wake the loop once."""
        with self._note_lock:
            first = self._noted is None
            if first:
                self._noted = set()
            assert self._noted is not None  # noqa: S101  (set two lines above)
            self._noted |= change.tables or {""}
        if first:
            self.call_later(self.set_timer, TOLD_EVERY, self._publish)

    def _publish(self) -> None:
        from store.database import Change

        with self._note_lock:
            noted, self._noted = self._noted or set(), None
        change = Change(frozenset() if "" in noted else frozenset(noted))
        self._telling = True
        self.changes.publish(change)
        # Behind what tells it to the view that is shown.
        self._telling = bool(self.screen_stack) and self.screen.call_later(self._all_told)
        if change.touches(STATUS_TABLES) and not self._status_due:
            self._status_due = True
            self.set_timer(STATUS_EVERY, self.refresh_status)

    def _all_told(self) -> None:
        self._telling = False

    async def _look_outside(self) -> None:
        if self.store is None or self._looking:
            return
        self._looking = True
        try:
            await asyncio.to_thread(self.store.look_outside)
        finally:
            self._looking = False

    @work(exclusive=True, group="status", exit_on_error=False)
    async def refresh_status(self) -> None:
        """Read how much of the scope is fresh, for line 1."""
        self._status_due = False
        scope = self.context.scope.node_id
        whole, need, glass, staged = await asyncio.to_thread(self._read_status, scope)
        organizations, fresh, failed, oldest = whole
        if scope == self.context.scope.node_id:
            self._set_status(
                organizations=organizations,
                fresh=fresh,
                oldest=oldest,
                failed=failed,
                need=need,
                staged=staged,
                known=True,
                glasses=glass.open,
                glass_due=glass.due_at,
                glass=glass.title,
                glass_trouble=glass.trouble,
            )

    def _read_status(self, scope: str) -> tuple[tuple[int, int, int, int | None], int, Running, int]:
        from screens.figures import rollup
        from store.accessplans import staged
        from store.breakglass import running
        from store.queries.queue import needing

        now = self.context.clock()
        with self.context.reader.reading() as connection:
            need = needing(connection, self.context.operator, scope=scope, now=now)
            waiting = len(staged(connection, self.context.operator))
            whole = rollup(self.context).whole(connection, scope=scope, now=now)
            return whole, need, running(connection), waiting

    def _look_at_budget(self) -> None:
        budget = self._budget()
        if budget is None:
            self._set_status(budget="", paused=0)
        else:
            self._set_status(budget=budget.words(), paused=math.ceil(budget.paused_for))

    def _set_status(self, **values: Any) -> None:
        from dataclasses import replace

        status = replace(self.context.status, **values)
        if status != self.context.status:
            self.context.status = status
            self.context.status_changed.publish(status)

    # -- background work --------------------------------------------------------------------------------

    @work(exit_on_error=False, group="background")
    async def _run_background(self, store: Store) -> None:
        assert self._background is not None  # noqa: S101  (asked by the caller)
        self._set_status(trouble="")
        try:
            await self._background(store, self._report)
        except Exception as error:
            from console.redaction import redact

            sentence = redact(str(error)) or type(error).__name__
            log.exception("background work failed")
            self._set_status(running="", trouble=sentence)
            self.say(sentence, "error")

    def _report(self, progress: Progress) -> None:
        """Told by the sync, in whichever thread; line 1 says it, four times a second at most."""
        now = time.monotonic()
        if progress.done < progress.total and progress.total and now - self._reported < 0.25:
            return
        self._reported = now
        self.call_later(self._show_progress, progress)

    def _show_progress(self, progress: Progress) -> None:
        note = progress.note
        if note.startswith("offline"):
            self._set_status(running="", trouble=note.partition(":")[2].strip() or note)
        elif note == "idle" or (progress.total and progress.done >= progress.total):
            self._set_status(running="", trouble="")
        elif progress.total:
            left = "" if progress.seconds_left is None else f", {_left(progress.seconds_left)} left"
            self._set_status(running=f"sync {progress.done}/{progress.total}{left}", trouble="")
        else:
            self._set_status(running=note, trouble="")

    # -- what handlers of requests use (console.requests.Host) --------------------------------------------

    @property
    def operator(self) -> str:
        """The name that alerts and cases are assigned to."""
        if not self._operator:
            from console.operations.actor import actor

            self._operator = actor().partition("@")[0]
        return self._operator

    def writing_store(self) -> Store:
        """The store, for writing; a read-only console refuses."""
        from console.requests import RefusedHere

        if not self.context.writable:
            raise RefusedHere("This console is read-only; nothing was changed.")
        if self.store is None:
            raise RefusedHere("The store is not open yet.")
        return self.store

    def cloud(self) -> Cloud:
        """The cloud that background work is connected to; offline there is none."""
        from console.requests import RefusedHere

        if self._link is None or self._link.cloud is None:
            why = "Offline" if self.context.offline else "Not connected to the cloud yet"
            raise RefusedHere(f"{why}: this needs the cloud, and nothing was changed.")
        return self._link.cloud

    async def ask(self, dialog: ModalScreen[Any]) -> Any:
        """Show a dialog and wait for its answer."""
        return await self.push_screen_wait(dialog)

    def push_screen(self, screen: Any, *positional: Any, **named: Any) -> Any:
        """Show a dialog; what is typed from here on is for it."""
        self.typed.opening(screen)
        return super().push_screen(screen, *positional, **named)

    def pop_screen(self) -> AwaitComplete:
        """Take a dialog away."""
        self.typed.closed(self.screen)
        return super().pop_screen()

    async def on_event(self, event: events.Event) -> None:
        """Keys go through `typed`, one after the other; the rest is Textual's."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self.typed.take(event)
        else:
            await super().on_event(event)

    async def _look_at_key(self, event: Typed) -> None:
        await super().on_event(event)

    @on(Looked)
    async def _looked_at_key(self, message: Looked) -> None:
        await self.typed.looked(message)

    @on(TypeAgain)
    def type_again(self, request: TypeAgain) -> None:
        """A key that was meant for the view that is on its way."""
        self.typed.put_back(events.Key(request.key, request.character))

    async def copy(self, text: str) -> None:
        """Put a text on the clipboard, and say what became of that; strangers' text is made safe."""
        from console import clipboard

        driver = self._driver
        write = driver.write if driver is not None else lambda _sequence: None
        self.say(await asyncio.to_thread(clipboard.copy, clipboard.clean(text), write, self._copies))

    async def copy_secret(self, reveal: Callable[[], str]) -> str:
        """Put a secret on the clipboard, into no file; answers what became of that."""
        from console import clipboard

        driver = self._driver
        write = driver.write if driver is not None else lambda _sequence: None
        return await asyncio.to_thread(lambda: clipboard.copy(reveal(), write, None))

    async def show_mode(self, name: str) -> Any:
        """Go to a mode; answers its view, whatever dialog lies on it."""
        await self._go(name)
        return self._view_of(name)

    def _view_of(self, name: str) -> View[Any]:
        """The view of a mode that was gone to. After an await `screen` may be a dialog, or another mode's."""
        return cast("View[Any]", self.get_screen_stack(name)[0])

    @on(Work)
    def _carry_out(self, request: Work) -> None:
        self._carrying(request)

    @work(exit_on_error=False, group="work")
    async def _carrying(self, request: Work) -> None:
        from console.requests import RefusedHere

        try:
            with self.typed.waiting(request.KEYS, decides=True):
                handlers = self._handlers or await asyncio.to_thread(self._known_handlers)
                if (handler := handlers.get(type(request))) is not None:
                    await handler(self, request)
        except RefusedHere as error:
            self.say(str(error), "warning")

    # -- requests ---------------------------------------------------------------------------------------

    @on(ShowView)
    @work(group="go", exit_on_error=False)
    async def show_view(self, request: ShowView) -> None:
        """Go to a view, and filter it when that is asked."""
        await self._go(request.name)
        if request.filter is not None and request.name in self._modes:
            view = self._view_of(request.name)
            if request.filter != view.filter_line:
                view.filter_by(request.filter)

    @on(ShowAlerts)
    @work(group="go", exit_on_error=False)
    async def show_alerts(self, request: ShowAlerts) -> None:
        """Go to the queue, filtered."""
        await self._go("alerts")
        self._view_of("alerts").filter_by(request.filter)

    @on(ShowAccess)
    @work(group="go", exit_on_error=False)
    async def show_access(self, request: ShowAccess) -> None:
        """Go to the matrix of an organization, or of what else it is asked to be about."""
        await self._go("access")
        cast("Any", self._view_of("access")).show_asked(request)

    @on(ShowOrganization)
    @work(group="go", exit_on_error=False)
    async def show_organization(self, request: ShowOrganization) -> None:
        """Go to an organization in the tree."""
        await self._go("organizations")
        cast("Any", self._view_of("organizations")).show_organization(request.oid)

    @on(Back)
    @work(group="go", exit_on_error=False)
    async def go_back(self) -> None:
        """The view before; at the first one say how to leave."""
        if self._history:
            await self._go(self._history.pop(), remember=False)
        else:
            self.say("There is no view before this one. :quit leaves the console.")

    @on(LastView)
    @work(group="go", exit_on_error=False)
    async def last_view(self) -> None:
        """The view before, so that the same key comes back here."""
        if self._history:
            await self._go(self._history[-1])
        else:
            self.say("There is no view before this one.")

    async def _go(self, name: str, *, remember: bool = True) -> None:
        here = self.current_mode
        if name == here:
            return
        if name not in self._modes:
            self.say(f"There is no view {name}.", "error")
            return
        if remember and here in self._modes and here in VIEWS:
            self._history = [*self._history[-30:], here]
        with self.typed.waiting("either"):
            await self.switch_mode(name)
            self.typed.arrived(self._view_of(name))

    @on(SetScope)
    @work(exclusive=True, group="scope", exit_on_error=False)
    async def set_scope(self, request: SetScope) -> None:
        """Limit everything to a node."""
        with self.typed.waiting("either"):
            scope = ALL if not request.node_id else await asyncio.to_thread(self._read_scope, request.node_id)
            if scope is None:
                self.say("This node is no longer in the tree.", "error")
                return
            if scope != self.context.scope:
                self.context.scope = scope
                self.context.scope_changed.publish(scope)
                self.refresh_status()

    def _read_scope(self, node_id: str) -> Scope | None:
        from screens.figures import rollup

        with self.context.reader.reading() as connection:
            row = rollup(self.context).node(connection, node_id, now=self.context.clock())
        if row is None or row.parent_id is None:
            return None if row is None else ALL
        return Scope(row.id, row.path or row.name, row.oid or "")

    @on(SyncNow)
    def wake_sync(self) -> None:
        """Read the cloud at once, or say why that cannot be."""
        if self._background is None or self._sync_now is None or self.store is None:
            self.say("Offline: nothing is read from the cloud. Start without --offline for that.", "warning")
            return
        running = any(worker.group == "background" and not worker.is_finished for worker in self.workers)
        self._sync_now()
        if not running:
            self._run_background(self.store)
        self.say("Reading the cloud.")

    @on(Remember)
    @work(exit_on_error=False, group="remember")
    async def remember(self, request: Remember) -> None:
        """Keep a small choice over restarts; a console that may not write forgets it."""
        if self.store is not None and self.context.writable:
            await asyncio.to_thread(self._keep, self.store, request.key, request.value)

    @staticmethod
    def _keep(store: Store, key: str, value: object) -> None:
        from store import preferences

        with store.writing() as connection:
            preferences.put(connection, key, value)

    @on(Quit)
    @work(exclusive=True, group="quit", exit_on_error=False)
    async def quit_after_asking(self) -> None:
        """Leave, if that is what was meant."""
        if self.store is None:
            self.exit(0)
            return
        if any(isinstance(screen, Confirm) for screen in self.screen_stack):
            return
        status = self.context.status
        question = "Leave limegrove?"
        if status.running:
            question += "\n\nThe sync stops where it is, and goes on there the next time."
        with self.typed.waiting("dialog"):
            leave = await self.push_screen_wait(Confirm(question, yes="leave", no="stay"))
        if leave:
            self.exit(0)

    def action_ask_quit(self) -> None:
        """Ctrl+q on any screen."""
        self.post_message(Quit())

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        """Off: a picture of customers' data is not to be had by one key."""

    def say(self, text: str, tone: Any = "plain") -> None:
        """Say one sentence on the view that is shown."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, View):
                screen.tell(text, tone)
                return

    # -- what goes wrong, and the end -------------------------------------------------------------------

    def on_resize(self) -> None:
        """Paint everything once the size rests.

        While a window is dragged small and large again, the terminal forgets what it cut off, and
        Textual, which may see only the last size and find it unchanged, would paint nothing.
        """
        if self._repaint is not None:
            self._repaint.stop()
        self._repaint = self.set_timer(REPAINT_AFTER, self._paint_everything)

    def _paint_everything(self) -> None:
        if self.screen_stack:  # none while the console ends
            self.screen.refresh(layout=True)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """The guard looks last at every line."""
        return [*super().get_line_filters(), self.guard]

    @on(Worker.StateChanged)
    def _worker_failed(self, event: Worker.StateChanged) -> None:
        if event.state is not WorkerState.ERROR or event.worker.group == "open":
            return
        error = event.worker.error
        log.error("a worker failed", exc_info=error)
        from console.redaction import redact

        self.say(f"That did not work: {redact(str(error)) or type(error).__name__}", "error")

    def _fail(self, error: BaseException) -> None:
        """End the console with an error that the caller is to say."""
        self.failure = error
        self.exit(1, return_code=1)

    def _handle_exception(self, error: Exception) -> None:
        """A defect: end, restore the terminal, and leave the telling to `run_console`.

        Textual would print every frame with its local variables, credentials among them, and exit with 0.
        """
        if self.failure is None:
            self.failure = error
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()

    def _fatal_error(self) -> None:
        """Nothing is printed from here: see `_handle_exception`."""
        self._close_messages_no_wait()

    def _ended_by(self, number: signal.Signals) -> None:
        """SIGTERM, or SIGHUP when the connection dropped: end in order, with the shell's exit code."""
        self._leaving = asyncio.ensure_future(self._end_in_order(number))

    async def _end_in_order(self, number: signal.Signals) -> None:
        """Let a rollout finish the step at hand, as long as the cloud is still there, and exit."""
        rollouts = sys.modules.get("console.operations.rollouts")
        if rollouts is not None:
            await rollouts.stop_all()
        self.exit(128 + number, return_code=128 + number)

    async def on_unmount(self) -> None:
        """Give background work its time to end, then close the store."""
        self._stop_listening()
        going = [worker for worker in self.workers if worker.group == "background" and not worker.is_finished]
        for worker in going:
            worker.cancel()
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN):
                for worker in going:
                    with contextlib.suppress(BaseException):
                        await worker.wait()
        if self.store is not None:
            await asyncio.to_thread(self.store.close)


def _judged(settings: Settings) -> Mapping[str, tuple[str, ...]]:
    """The keymap of the settings.

    Raises:
        SettingsError: it cannot be.
    """
    from console.settings import SettingsError
    from screens.keymap import KeymapError, judge

    try:
        return judge(settings.keys)
    except KeymapError as error:
        raise SettingsError(f"{settings.file or 'settings'}, [keys]: {error}") from None


def _brand_zone(settings: Settings | None, name: str) -> str:
    from console.reports.brand import time_zone_of

    return time_zone_of(settings.brands, name) if settings is not None else ""


def _left(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def run_console(
    *,
    open_store: Callable[[], Store],
    environment: str,
    settings: Settings,
    background: Callable[[Store, Report], Coroutine[Any, Any, None]] | None = None,
    sync_now: Callable[[], object] | None = None,
    budget: Callable[[], Budget | None] = lambda: None,
    link: Link | None = None,
    copies: Path | None = None,
    view: str = FIRST_MODE,
    redaction_key: Callable[[], bytes | None] = lambda: None,
) -> int:
    """Run the console until it is left.

    Args:
        open_store: opens the store; called in a thread after the first paint.
        environment: the name in line 1.
        settings: time zone, signs, read-only and offline.
        background: what goes on as long as the console is open (the sync); None when offline.
        sync_now: wakes it.
        budget: how fast it may ask at this moment; None while it does not.
        link: where the background work offers its connection.
        copies: the file that keeps what was copied last; in the workspace when None.
        view: the mode to begin with.
        redaction_key: under which secrets are replaced before they reach the store, called in a thread.

    Returns:
        0 when the operator left, 143 after SIGTERM, 129 after SIGHUP.

    Raises:
        StoreError: the store cannot be opened.
        Exception: a defect ended the console; the terminal is restored by then.
    """
    import gc
    from zoneinfo import ZoneInfo

    os.environ.pop("TEXTUAL_LOG", None)
    app = Console(
        open_store=open_store,
        environment=environment,
        writable=not settings.read_only,
        offline=settings.offline,
        zone=UTC if settings.time_zone == "UTC" else ZoneInfo(settings.time_zone),
        zone_name=settings.time_zone,
        glyphs=GLYPHS["unicode" if settings.glyphs == "rich" else "ascii"],
        background=background,
        sync_now=sync_now,
        budget=budget,
        link=link,
        operator=settings.operator,
        copies=copies or settings.home / "copied.txt",
        view=view,
        settings=settings,
        redaction_key=redaction_key,
    )
    gc.disable()  # until everything is imported: see `settle_memory`
    try:
        app.run(mouse=False)
    finally:
        gc.enable()
    if app.guard.hits:
        print(
            f"limegrove: the output guard cleaned {app.guard.hits} pieces of text that a screen had not made "
            f"safe. Nothing reached the terminal; please report the first: {app.guard.samples[0]}",
            file=sys.stderr,
        )
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0
