"""The base of every screen that shows the store.

How to write a view
-------------------
A view lives as long as the console, shows what the store holds, and posts requests. It never writes, never
waits for the network, and keeps no state that matters.

    class Things(View[list[Thing]]):
        "Every thing."

        MODE = "things"                       # its name for `ShowView`
        TITLE = "Things"                      # line 2
        READS = frozenset({"thing"})          # tables: after a commit that touched one, it is read again
        EMPTY = "No things yet. :sync reads the cloud."
        BINDINGS = [Binding("o", "open", "open", id="things.open", tooltip="Show the whole thing")]

        def compose_body(self) -> ComposeResult:      # between line 2 and the last line
            yield RowTable(...)

        def read(self, connection: Connection) -> list[Thing]:   # in a THREAD: touch no widget here
            return things(connection, scope=self.context.scope.node_id)

        def has_nothing(self, found) -> bool:            # shows EMPTY instead of the body
            return not found

        def show(self, found) -> None:                # on the event loop
            self.table.replace(found)
            self.say(counts=f"{len(found):,}")

        def why_not(self, action: str) -> str:        # dims the key, and is said when it is pressed
            return "No thing is selected." if action == "open" and self.table.current is None else ""

        def apply_filter(self, line: str) -> None:    # what follows `/`; a ValueError keeps the old one
            ...

        def close_inner(self) -> bool:                # q and esc: close a pane first; True when there was one
            ...

A module of a view is imported after the first paint, in a thread, so it may import `store.queries` at its
top. This module, `context`, `frame`, `keys`, `opening` and the widgets are imported before it, and must not.

Every binding has an `id` ("area.verb") and a tooltip (a sentence for `?`). Operators may give it other keys:
a sentence names its key by `screens.keys.press`, a constant by `{ID=KEY}`; where it leads to a dialog
that one key answers, its id stands in `screens.keymap.ASKING`. Style sheets: one `NAME.tcss` beside the
module, named by CSS_PATH, every rule beginning with the view's class name. A widget that moves
takes `screens.keys.MOVES` and multiplies by `screens.keys.count_for(self)`. `AUTO_FOCUS` names the widget
that gets the keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingsMap, BindingType
from textual.containers import Container
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from screens.context import Context, Scope, Status
from screens.frame import KeyLine, TitleLine, Tone, WhereLine
from screens.keys import (
    ASIDE,
    MODES,
    key_name,
    press,
    reason_against,
    rebound,
    takes_count,
    with_keys,
)
from screens.requests import (
    Back,
    BeginCampaign,
    LastView,
    OpenQueue,
    Quit,
    SetScope,
    ShowAccess,
    ShowAlerts,
    ShowBreakGlass,
    ShowCampaigns,
    ShowOrganization,
    ShowQueues,
    ShowView,
    SyncNow,
    TypeAgain,
)
from screens.widgets.command_line import CommandError, CommandLine, understand
from store.alerts import FilterError, pivot_line
from store.text import safe_text

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from screens.requests import Chosen
    from store.database import Change

Found = TypeVar("Found")

REST = 0.15
"""Seconds without a key after which a detail follows the cursor: while one repeats nothing is painted."""

RELOAD_EVERY = 0.25
"""Seconds between two readings that changes of the store cause."""

MODE_AFTER = 0.25
"""Seconds after which a lone digit is a view, no more the beginning of a count; a key that takes no count
decides at once."""

COUNTLESS = frozenset({"app.back", "app.help", "app.interrupt", "app.quit"})
"""Bindings that do what they do whatever number stands before them."""

READING = "Reading the store."
"""What is said while nobody knows yet what the store has."""

SMALLEST = (60, 15)
"""Columns and lines below which a view shows one sentence instead."""


class View(Screen[None], Generic[Found], inherit_bindings=False):
    """A screen that reads in a thread, shows on the event loop, and reads again when its tables change."""

    MODE: ClassVar[str] = ""
    """Its name for `ShowView`."""
    READS: ClassVar[frozenset[str]] = frozenset()
    """The tables it reads."""
    EMPTY: ClassVar[str] = "Nothing here."
    """What is said when there is nothing to show: why, and what to do."""
    AUTO_FOCUS = ""
    """Selects the widget that gets the keys; "" when there is none."""
    SCOPED: ClassVar[bool] = True
    """Whether another scope means reading again."""
    FILTERS: ClassVar[str] = ""
    """What may follow `/`, in two lines at most: said below an empty line."""
    EVERY: ClassVar[float] = RELOAD_EVERY
    """Seconds between two readings that changes cause: more where a reading is much work."""

    DEFAULT_CSS = """
    View { layout: vertical; }
    View > #body { height: 1fr; }
    View > #notice { height: 1fr; padding: 1 2; }
    View > .-hidden { display: none; }
    View > #small { display: none; height: 1fr; }
    View.-small > #small { display: block; }
    View.-small > #body, View.-small > #notice { display: none; }
    """
    BINDING_GROUP_TITLE = "Everywhere"
    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority the line has the focus before the next key is looked at: over a slow link `/`
        # and the word behind it come in one piece, and that word must not press keys of the view.
        Binding(
            "colon",
            "command",
            "command",
            show=False,
            priority=True,
            id="app.command",
            tooltip="Type a command",
        ),
        Binding(
            "slash",
            "filter",
            "filter",
            show=False,
            priority=True,
            id="view.filter",
            tooltip="Filter what is shown",
        ),
        Binding(
            "question_mark,f1", "help", "keys", show=False, id="app.help", tooltip="The keys that work here"
        ),
        Binding(
            "q,escape", "back", "back", show=False, id="app.back", tooltip="Close, or go back; never quits"
        ),
        Binding(
            "minus", "last_view", "last view", show=False, id="app.last", tooltip="The view before, and back"
        ),
        Binding(
            "tab",
            "mode(1)",
            "next view",
            show=False,
            id="app.next",
            tooltip="The next view; a digit chooses one",
        ),
        Binding(
            "shift+tab", "mode(-1)", "previous", show=False, id="app.previous", tooltip="The previous view"
        ),
        Binding("r", "sync", "sync", show=False, id="app.sync", tooltip="Read the cloud again"),
        Binding(
            "ctrl+l", "repaint", "repaint", show=False, id="app.repaint", tooltip="Paint the screen anew"
        ),
        Binding(
            "ctrl+q", "quit", "quit", show=False, id="app.quit", tooltip="Leave the console, after asking"
        ),
        Binding("ctrl+c", "hint_quit", "", show=False, id="app.interrupt", tooltip="Says how to leave"),
    ]

    def __init__(self, context: Context) -> None:
        super().__init__(id=self.MODE or None)
        self.context = context
        self.filter_line = ""
        """What was last accepted after `/`; "" when nothing filters."""
        self.look = "loading"
        """loading, empty, failed or full."""
        self._stale = True
        self._reading = False
        self._read_at = 0.0
        self._pending: Timer | None = None
        self._resting: Timer | None = None
        self._digits = ""
        self._digit_timer: Timer | None = None
        self._awaited = 0.0
        self._candidates: dict[str, list[str]] | None = None

    # -- to override ------------------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """The view's own widgets, between line 2 and the last line."""
        raise NotImplementedError

    def prepare(self) -> None:
        """On the event loop, just before `read`: note there what `read` may not ask a widget for."""

    def read(self, connection: Connection) -> Found:
        """Ask the store. Runs in a thread: touch no widget here."""
        raise NotImplementedError

    def show(self, found: Found) -> None:
        """Put what was read on the screen. On the event loop."""
        raise NotImplementedError

    def has_nothing(self, found: Found) -> bool:
        """Whether EMPTY is to be shown instead of the body."""
        return False

    def empty_text(self) -> str:
        """What is said when there is nothing."""
        status = self.context.status
        if not status.known:
            return READING
        if status.organizations:
            return with_keys(self.EMPTY)
        if status.running:
            return f"The store is empty so far. {status.running[:1].upper()}{status.running[1:]}."
        return "The store is empty. :sync reads the cloud; `limegrove auth login` gives it a key."

    def why_not(self, action: str) -> str:
        """One sentence why this action cannot work now; "" when it can."""
        return ""

    def apply_filter(self, line: str) -> None:
        """Check and keep what was typed after `/`; "" shows everything. The view is read again afterwards.

        Raises:
            ValueError: it means nothing; the text is said, and the old filter stays.
        """
        raise ValueError(f"{self.TITLE or 'This view'} has no filter.")

    def close_inner(self) -> bool:
        """Close what is open inside the view, a pane first; True when there was something. With no more than
        that it is the filter, which is forgotten."""
        if self.filter_line:
            self.filter_by("")
            return True
        return False

    def chosen_here(self) -> Chosen | None:
        """The alerts that are marked here, or under the cursor; None where there are none."""
        return None

    # -- for subclasses ---------------------------------------------------------------------------------

    def say(self, *, filter: str | None = None, counts: str | None = None, title: str | None = None) -> None:  # noqa: A002
        """Change what line 2 says; what is not given stays."""
        self.query_one("#title", TitleLine).write(filter=filter, counts=counts, title=title)

    def tell(self, text: str, tone: Tone = "plain") -> None:
        """Say one sentence in the last line, until the next key; "" takes back what was said, because it is
        over. Strangers' text is made safe."""
        if text:
            self.context.told(tone)
        if not self.is_mounted:
            return
        line = self.query_one("#keys", KeyLine)
        if text:
            line.tell(text, tone)
        else:
            line.forget()

    def reload(self, *, keys_wait: bool = False) -> None:
        """Read again now; an older reading that is under way is dropped.

        Args:
            keys_wait: other things are shown then, and the next key is for those.
        """
        if keys_wait:
            self._awaited = time.monotonic()
        if self._pending is not None:
            self._pending.stop()
            self._pending = None
        if not self.is_current:
            self._stale = True
            return
        self._load()

    @property
    def unsettled_for(self) -> float:
        """Seconds since other things were asked for that are not shown yet; 0 when nothing is on its way."""
        return time.monotonic() - self._awaited if self._awaited else 0.0

    @property
    def reading(self) -> bool:
        """Whether it is going to show something newer."""
        return self._stale or self._reading or self._pending is not None

    @property
    def settled(self) -> bool:
        """Whether keys can be given to it: it was read, and what has the keys in it has them."""
        if self.look == "full" and self.AUTO_FOCUS and self.focused is None:
            return False
        return self.look != "loading"

    def at_rest(self, then: Callable[[], object] | None, after: float = REST) -> None:
        """Do this once the cursor has rested, in place of what was to be done before; None is nothing.

        Args:
            after: seconds.
        """
        if self._resting is not None:
            self._resting.stop()
        self._resting = None if then is None else self.set_timer(after, then)

    def keys_changed(self) -> None:
        """Ask `why_not` again for every key in the last line; beneath a dialog nothing is said."""
        if self.is_mounted:
            stack = self.app.screen_stack
            beneath = self in stack and stack[-1] is not self
            self.query_one("#keys", KeyLine).keys(None if beneath else self.shown_keys())

    def nothing_said(self, *, read: bool = True) -> Content:
        """What a pane says of a table that has no line.

        Args:
            read: whether what stands in the table has been read.
        """
        if not read or (self.reading and not self.filter_line):
            return Content(f" {READING}")
        if not self.filter_line:
            return Content(" There is none.")
        return Content(f" Nothing matches the filter; {press('app.back', 'esc')} forgets it.")

    # -- the frame --------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """The frame around `compose_body`."""
        yield WhereLine(self.context)
        yield TitleLine(self.TITLE or "")
        with Container(id="body"):
            yield from self.compose_body()
        yield Static(READING, id="notice", markup=False)
        yield Static("", id="small", markup=False)
        yield CommandLine(self._candidates_for)
        yield KeyLine()

    def on_mount(self) -> None:
        """Listen to the store and to the scope."""
        self._look("loading", READING)
        self.context.changes.subscribe(self, self._store_changed)
        self.context.scope_changed.subscribe(self, self._scope_changed)
        self.context.status_changed.subscribe(self, self._status_changed)
        self.bindings_updated_signal.subscribe(self, self._bindings_updated)

    def on_resize(self, event: events.Resize) -> None:
        """Too small a terminal gets a sentence."""
        small = event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1]
        self.set_class(small, "-small")
        self.set_class(event.size.width >= 120, "-wide")
        if small:
            width, height = event.size
            self.query_one("#small", Static).update("\n".join(too_small(width, height)))

    def on_screen_resume(self) -> None:
        """Shown again: read what changed meanwhile."""
        self._bindings_updated(self)
        if self._stale:
            self.reload()

    def on_screen_suspend(self) -> None:
        """Another view, or a dialog."""
        self.keys_changed()

    def _bindings_updated(self, _screen: Screen[Any]) -> None:
        self.keys_changed()

    def _look(self, look: str, text: str = "") -> None:
        self.look = look
        full = look == "full"
        body, notice = self.query_one("#body"), self.query_one("#notice", Static)
        if not full:
            notice.update(Content.styled(text, "bold ansi_red" if look == "failed" else ""))
        body.set_class(not full, "-hidden")
        notice.set_class(full, "-hidden")
        if full:
            # What was hidden has lost the keys.
            self.call_after_refresh(self._take_keys)

    def _take_keys(self) -> None:
        if self.focused is None and self.is_current and self.AUTO_FOCUS:
            for widget in self.query(self.AUTO_FOCUS)[:1]:
                widget.focus()

    # -- reading ----------------------------------------------------------------------------------------

    def _store_changed(self, change: Change) -> None:
        if change.touches(frozenset({"organization", "node", "saved_queue"})):
            self._candidates = None
        if not change.touches(self.READS):
            return
        self._refresh_soon()

    def _scope_changed(self, _scope: Scope) -> None:
        if self.SCOPED:
            self.reload(keys_wait=True)

    def _status_changed(self, _status: Status) -> None:
        if self.look == "empty" and self.is_current:
            self._look("empty", self.empty_text())

    def _refresh_soon(self) -> None:
        self._stale = True
        if not self.is_current or self._pending is not None or self._reading:
            return
        wait = max(0.0, self._read_at + self.EVERY - time.monotonic())
        self._pending = self.set_timer(max(wait, 0.01), self._refresh_now)

    def _refresh_now(self) -> None:
        self._pending = None
        if not self.is_current or self._reading:
            return
        self._load()

    @work(exclusive=True, group="reload", exit_on_error=False)
    async def _load(self) -> None:
        self._stale, self._reading, self._read_at = False, True, time.monotonic()
        self.prepare()
        try:
            found = await asyncio.to_thread(self._read)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._awaited = 0.0
            raise
        finally:
            self._reading = False
        self._awaited = 0.0
        if not self.is_mounted:
            return
        if self.has_nothing(found):
            self.show_empty(found)
            self._look("empty", self.empty_text())
        else:
            self._look("full")
            self.show(found)
        self.query_one("#title", TitleLine).write(problem="")
        self.keys_changed()
        if self._stale:
            self._refresh_soon()

    def show_empty(self, found: Found) -> None:
        """Called instead of `show` when there is nothing; line 2 should then not keep old counts."""
        self.say(counts="")

    def _read(self) -> Found:
        with self.context.reader.reading() as connection:
            return self.read(connection)

    @on(Worker.StateChanged)
    def _reload_failed(self, event: Worker.StateChanged) -> None:
        if event.worker.group != "reload":
            return
        if event.state is WorkerState.ERROR:
            event.stop()
            self.read_failed(event.worker.error)

    def read_failed(self, error: BaseException | None) -> None:
        """Say that the store could not be read; what is on the screen stays, marked as old."""
        text = safe_text(str(error) or type(error).__name__, 200)
        self.log.error("reading the store failed", error=text)
        if self.look == "full":
            self.query_one("#title", TitleLine).write(problem=f"not read again: {text}")
        else:
            self._look(
                "failed",
                f"The store could not be read: {text}\n\n:activity says more.",
            )

    @property
    def _binding_chain(self) -> list[tuple[DOMNode, BindingsMap]]:
        """With the operator's keys; dialogs, which are screens of their own, keep theirs."""
        return [(node, rebound(bindings)) for node, bindings in super()._binding_chain]

    # -- keys -------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim what cannot work now; in the command line `:` and `/` are letters."""
        if action in ("command", "filter") and self.is_mounted:
            # Behind a digit `on_key` says which view it is for.
            line = self.query_one(CommandLine)
            if line.is_open or self._digits:
                return False
        return None if self.is_mounted and self.why_not(action) else True

    @property
    def offers_all(self) -> bool:
        """Whether the last line has, dimmed, what cannot work now; a view of several looks leaves it out,
        where much of it is for another look."""
        return True

    def shown_keys(self) -> list[tuple[str, str, bool]]:
        """(key, what it does, whether it can work now) for the last line, the view's own keys first."""
        every, keys = self.offers_all, self._bound_keys()
        return [each for each in keys if every or each[2]]

    def _bound_keys(self) -> list[tuple[str, str, bool]]:
        keys: list[tuple[str, str, bool]] = []
        seen: set[str] = set()
        for active in self.active_bindings.values():
            binding = active.binding
            if binding.show and binding.action not in seen and binding.description:
                seen.add(binding.action)
                keys.append((key_name(binding.key), binding.description, active.enabled))
        keys += [
            (press("view.filter", "/"), "filter", True),
            (press("app.command", ":"), "command", True),
            (press("app.next", "tab"), "view", True),
        ]
        return keys

    def on_key(self, event: events.Key) -> None:
        """Digits before a movement are a count, a lone one is a mode; a key that cannot work says why."""
        line = self.query_one("#keys", KeyLine)
        digits, self_digits = self._digits, event.character or ""
        if isinstance(self.focused, Widget) and self.focused.id == "command-input":
            return
        if self_digits.isascii() and self_digits.isdigit() and (digits or self_digits != "0"):
            event.stop()
            event.prevent_default()
            self._digit(self_digits)
            return
        line.forget()
        if digits and self._not_counted(digits, event):
            event.stop()
            event.prevent_default()
            return
        if event.is_printable and self._bound(event.key) is None:
            self.tell(f"{key_name(event.key)} does nothing here; {press('app.help', '?')} says what does.")
            return
        for namespace, bindings in self._modal_binding_chain:
            for bound in bindings.key_to_bindings.get(event.key, ()):
                if reason := reason_against(namespace, bound.action.partition("(")[0]):
                    event.stop()
                    event.prevent_default()
                    self.tell(reason, "warning")
                    return
                return

    def _not_counted(self, digits: str, event: events.Key) -> bool:
        """Digits are no count of this key: then a lone one is a view, and the key is for that. A key that was
        typed behind another number does nothing: it was not meant for what is under the cursor."""
        binding = self._bound(event.key)
        if binding is not None and takes_count(binding):
            return False
        self._forget_count()
        if binding is not None and binding.action == "back":
            return False
        if digits in _MODE_KEYS:
            if _MODE_KEYS[digits] != self.MODE:
                self.post_message(ShowView(_MODE_KEYS[digits]))
            self.post_message(TypeAgain(event.key, event.character))
            return True
        if binding is None or binding.id in COUNTLESS:
            return False
        self.tell(
            f"{digits} is no view, and {key_name(event.key)} takes no number: nothing was done.", "warning"
        )
        return True

    def leaves(self, key: str) -> bool:
        """Whether a key is the one that leaves the console."""
        bound = self._bound(key)
        return bound is not None and bound.id == "app.quit"

    def _bound(self, key: str) -> Binding | None:
        for _namespace, bindings in self._modal_binding_chain:
            for bound in bindings.key_to_bindings.get(key, ()):
                return bound
        return None

    def _digit(self, digit: str) -> None:
        self._digits = (self._digits + digit)[:6]
        if self._digit_timer is not None:
            self._digit_timer.stop()
            self._digit_timer = None
        if self._digits in _MODE_KEYS:
            self._digit_timer = self.set_timer(MODE_AFTER, self._lone_digit)
        self.query_one("#keys", KeyLine).count(self._digits)

    def _lone_digit(self) -> None:
        digits = self._digits
        self._forget_count()
        self.query_one("#keys", KeyLine).forget()
        if digits in _MODE_KEYS and _MODE_KEYS[digits] != self.MODE:
            self.post_message(ShowView(_MODE_KEYS[digits]))

    def _forget_count(self) -> None:
        self._digits = ""
        if self._digit_timer is not None:
            self._digit_timer.stop()
            self._digit_timer = None

    def take_count(self) -> int:
        """The count typed before this key, and forget it; 1 when there is none."""
        digits = self._digits
        self._forget_count()
        return int(digits) if digits else 1

    def has_count(self) -> bool:
        """Whether a count was typed before this key."""
        return bool(self._digits)

    # -- the command line -------------------------------------------------------------------------------

    def action_command(self) -> None:
        """Open the `:` line."""
        self._forget_count()
        self.query_one(CommandLine).open(":")
        if self._candidates is None:
            self._gather()

    def action_filter(self) -> None:
        """Open the `/` line, with the filter in force."""
        self._forget_count()
        self.query_one(CommandLine).open("/", self.filter_line, hint=self.FILTERS)

    def _candidates_for(self, kind: str) -> list[str]:
        return (self._candidates or {}).get(kind, [])

    @work(exclusive=True, group="candidates", exit_on_error=False)
    async def _gather(self) -> None:
        self._candidates = await asyncio.to_thread(self._read_candidates)
        self.query_one(CommandLine).candidates_came()

    def _read_candidates(self) -> dict[str, list[str]]:
        from screens.figures import rollup
        from store.queues import names

        with self.context.reader.reading() as connection:
            rows = rollup(self.context).rows(connection, now=self.context.clock())
            queues = names(connection)
        return {
            "queue": queues,
            "organization": sorted(row.name for row in rows if row.oid),
            "node": [row.path or row.name for row in rows[1:]],
        }

    @on(CommandLine.Closed)
    def _command_closed(self) -> None:
        found = self.query(self.AUTO_FOCUS) if isinstance(self.AUTO_FOCUS, str) and self.AUTO_FOCUS else ()
        # Now: `focus` would do it later, and take the keys from a line that was opened again meanwhile.
        self.set_focus(next(iter(found), None))

    @on(CommandLine.Submitted)
    def _command_given(self, event: CommandLine.Submitted) -> None:
        event.stop()
        if event.mark == "/":
            if not self.filter_by(event.text):
                self.query_one(CommandLine).open("/", event.text)
        else:
            self.run_command(event.text)

    def filter_by(self, line: str) -> bool:
        """Apply a filter line; a bad one is explained, and the old one stays. True when it was accepted."""
        try:
            self.apply_filter(line.strip())
        except ValueError as error:
            self.tell(str(error), "error")
            return False
        self.filter_line = line.strip()
        self.reload(keys_wait=True)
        return True

    @work(group="command", exit_on_error=False)
    async def run_command(self, text: str) -> None:
        """Carry out what was typed after `:`; what it means nothing is said."""
        with self.context.keys_wait("either"):
            await self._carry_out(text)

    async def _carry_out(self, text: str) -> None:
        try:
            command, rest = understand(text)
        except CommandError as error:
            self._not_understood(text, error)
            return
        match command:
            case "":
                return
            case "alerts":
                self.post_message(ShowAlerts(rest))
            case "pivot":
                try:
                    self.post_message(ShowAlerts(pivot_line(rest)))
                except FilterError as error:
                    self._not_understood(text, error)
            case "access" if "--at" in rest.split():
                await self._access_then(rest, text)
            case "org" | "access":
                found = await asyncio.to_thread(self._find, "organization", rest) if rest else []
                if not rest:
                    self.post_message(ShowView("organizations" if command == "org" else "access"))
                elif oid := self._the_one(found, rest, "organization", text):
                    self.post_message(ShowOrganization(oid) if command == "org" else ShowAccess(oid))
            case "scope":
                if rest in ("", "/", "all", "*"):
                    self.post_message(SetScope(""))
                else:
                    found = await asyncio.to_thread(self._find, "node", rest)
                    if node_id := self._the_one(found, rest, "node", text):
                        self.post_message(SetScope(node_id))
            case "queue" if rest:
                self.post_message(OpenQueue(rest))
            case "queue" | "queues":
                self.post_message(ShowQueues())
            case "campaign":
                chosen = self.chosen_here()
                self.post_message(ShowCampaigns() if chosen is None else BeginCampaign(chosen))
            case "campaigns":
                self.post_message(ShowCampaigns())
            case "glass":
                self.post_message(ShowBreakGlass())
            case "sync":
                self.post_message(SyncNow())
            case "back":
                self.action_back()
            case "help":
                self.action_help()
            case "quit":
                self.post_message(Quit())
            case name if name in _ASIDE:
                # Alone it shows all: what it was filtered by the last time is long forgotten.
                self.post_message(ShowView(_ASIDE[name], ""))
            case name:
                self.post_message(ShowView(name))

    async def _access_then(self, rest: str, typed: str) -> None:
        """`:access NAME --at 7d`: without a name what the matrix was about."""
        from store.times import past_moment

        name, _, said = rest.partition("--at")
        try:
            at = past_moment(said, self.context.clock())
        except ValueError as error:
            self._not_understood(typed, ValueError(f"--at {error}"))
            return
        name = name.strip()
        found = await asyncio.to_thread(self._find, "organization", name) if name else []
        if not name:
            self.post_message(ShowAccess(at=at))
        elif oid := self._the_one(found, name, "organization", typed):
            self.post_message(ShowAccess(oid, at=at))

    def _not_understood(self, text: str, error: ValueError) -> None:
        """Say what is wrong with a command, and give it back to be mended."""
        self.tell(str(error), "error")
        if text and self.is_current:
            self.query_one(CommandLine).open(":", text)

    def _find(self, kind: str, text: str) -> list[tuple[str, str]]:
        from store.queries.organizations import find_organization, find_scope

        with self.context.reader.reading() as connection:
            return (
                find_organization(connection, text)
                if kind == "organization"
                else find_scope(connection, text)
            )

    def _the_one(self, found: list[tuple[str, str]], text: str, what: str, line: str = "") -> str:
        """The id of the only one there is; "" when there is none or are several, which is said.

        Args:
            line: the command it was given with, which is given back.
        """
        if len(found) == 1:
            return found[0][0]
        shown = safe_text(text, 40)
        if not found:
            why = f"There is no {what} {shown}. Tab completes names."
        else:
            ids = ", ".join(safe_text(one, 40) for one, _ in found[:4])
            why = f"{len(found)} of this name: {shown}. Give the id instead: {ids}."
        self._not_understood(line, ValueError(why))
        return ""

    # -- actions ----------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Close what is open, else go to the view before; never quits."""
        if self._digits:
            self._forget_count()
        elif not self.close_inner():
            self.post_message(Back())

    def action_last_view(self) -> None:
        """The view before this one, and back."""
        self.post_message(LastView())

    def action_mode(self, step: int) -> None:
        """The next or previous view."""
        names = [name for name, _ in MODES]
        here = names.index(self.MODE) if self.MODE in names else 0
        self.post_message(ShowView(names[(here + step) % len(names)]))

    def action_sync(self) -> None:
        """Read the cloud again."""
        self.post_message(SyncNow())

    def action_quit(self) -> None:
        """Ask whether to leave."""
        self.post_message(Quit())

    def action_hint_quit(self) -> None:
        """Ctrl+C copies nothing and stops nothing here: say how to leave."""
        self.tell(f"To leave: :quit or {press('app.quit', 'ctrl+q')}. Nothing was stopped.")

    def action_repaint(self) -> None:
        """Paint everything anew, after something else wrote on the terminal."""
        self.refresh(layout=True)

    def action_help(self) -> None:
        """Every key that works here, with what it does."""
        from screens.help import Help

        self.app.push_screen(Help(self, self._from_help))

    def _from_help(self, meant: str) -> None:
        """Do what closed the help: the id of a binding, or the number of a view."""
        if meant == "app.command":
            self.action_command()
        elif meant == "view.filter":
            self.action_filter()
        elif _MODE_KEYS[meant] != self.MODE:
            self.post_message(ShowView(_MODE_KEYS[meant]))


def too_small(
    width: int, height: int, *, leaves: str = "", also: str = " or :quit", frame: int = 3
) -> list[str]:
    """What a terminal that is too small is told, as many lines of it as there is room for: first that it is
    and how to leave, then how large it has to be.

    Args:
        leaves: the key that leaves; that of the console where it is not given.
        also: what else leaves, in our own words.
        frame: lines around it that stay.
    """
    room = max(1, height - frame)
    leaves = leaves or press("app.quit", "ctrl+q")
    short = ["too small", f"{leaves} leaves", f"{SMALLEST[0]}x{SMALLEST[1]} needed"]
    whole = [
        f"The terminal is too small: {leaves}{also} leaves.",
        f"limegrove needs {SMALLEST[0]} columns and {SMALLEST[1]} lines;",
        f"this terminal has {width} and {height}.",
    ]
    if width >= max(map(len, whole)) and room >= len(whole):
        return whole
    if room == 1:
        return [
            max(
                (each for each in (f"too small, {leaves} leaves", leaves) if len(each) <= width),
                key=len,
                default=leaves,
            )
        ]
    return short[:room]


_ASIDE = {each.command: each.name for each in ASIDE}
_MODE_KEYS = {str(number): name for number, (name, _) in enumerate(MODES, start=1)}
