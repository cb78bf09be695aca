"""What a test of a screen needs: a filled store, a host for one view, and waiting for facts.

    async def test_a_view(filled_store):
        host = Host(filled_store, Alerts)
        async with host.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: host.view.look == "full")
            await pilot.press("o")
            assert host.asked == [ShowOrganization("...")]

For a picture: `snap_compare(host, terminal_size=(80, 24), run_before=ready)` with `ready` awaiting `still(pilot)`.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from textual import on
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen
from textual.signal import Signal
from textual.widgets import Input

from screens.context import ASCII, Context, Glyphs, Scope, Status
from screens.guard import Guard
from screens.requests import Request
from screens.view import View
from store import ingest
from store.database import Store
from store.tree import TreeNode, replace_tree

NOW = 1_795_528_800_000
"""2026-11-24 14:00:00 UTC, the clock of every picture."""

CUSTOMERS = (
    ("Acme Dental", "gold"),
    ("Borealis Foods", "gold"),
    ("Cedar Clinic", "silver"),
    ("Delta Ltd", "silver"),
    ("Église Saint-Roch", "silver"),
)
RULES = (
    ("Encoded PowerShell download", "general.encoded-powershell-download", "critical"),
    ("Scanner touched LSASS", "general.lsass-access", "high"),
    ("Impossible travel sign-in", "general.impossible-travel", "medium"),
    ("SSH authorized_keys changed", "managed.fim-authorized-keys", "medium"),
    ("New local administrator", "general.new-admin", "high"),
    ("Rare parent of cmd.exe", "general.rare-parent", "low"),
)


def oid_of(number: int) -> str:
    """The oid of the customer of that number, from 0."""
    return f"{number:08x}-1a2b-4c3d-8e9f-001122334455"


def detection(number: int, oid: str, *, at: int, **changed: Any) -> bytes:
    """One detection as LimaCharlie sends it; `number` chooses rule, host and user."""
    cat, rule, level = RULES[number % len(RULES)]
    record: dict[str, Any] = {
        "cat": cat,
        "source": f"{oid}.0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9",
        "routing": {
            "oid": oid,
            "sid": f"7c1f9a2e-0b3c-4d5e-8f60-{number:012d}",
            "hostname": f"host-{number % 17:02d}",
            "event_type": "NEW_PROCESS",
            "event_time": at - 800,
            "int_ip": f"10.8.4.{number % 250}",
            "ext_ip": "203.0.113.25",
            "plat": 0x10000000,
        },
        "detect": {
            "event": {
                "FILE_PATH": "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
                "COMMAND_LINE": f"powershell.exe -nop -w hidden -EncodedCommand SQBFAFgA{number:06d}",
                "PROCESS_ID": 6812,
                "PARENT": {"FILE_PATH": "C:\\Program Files\\Office\\outlook.exe", "PROCESS_ID": 4024},
                "USER_NAME": "ACME\\svc-backup",
                "HASH": f"{number:064x}",
            }
        },
        "detect_id": f"1f2e3d4c-5b6a-4788-9990-{number:012d}",
        "detect_mtd": {
            "level": level,
            "description": "PowerShell started with an encoded command from a service account.",
            "falsepositives": ["Backup vendor installer"],
        },
        "author": "analyst@mssp.example",
        "source_rule": rule,
        "rule_tags": ["attack.t1059.001"],
        "gen_time": at,
        "ts": at,
    }
    return json.dumps({**record, **changed}).encode()


def fill(
    store: Store, *, detections: int = 60, now: int = NOW, extra: Sequence[tuple[str, bytes]] = ()
) -> None:
    """A small provider: a tree of two tiers, five customers, one that failed, and its detections.

    Args:
        detections: how many, spread over the customers, one every three minutes back from `now`.
        extra: (oid, record) pairs to add.
    """
    with store.writing() as connection:
        ingest.put_organizations(
            connection,
            [
                {"oid": oid_of(number), "name": name, "region": "usa", "sensor_quota": 100}
                for number, (name, _) in enumerate(CUSTOMERS)
            ],
            complete=True,
            now=now - 86_400_000,
        )
        nodes = [
            TreeNode(id="root", parent=None, name="Provider"),
            TreeNode(id="europe", parent="root", name="Europe"),
            TreeNode(id="gold", parent="europe", name="Gold"),
            TreeNode(id="silver", parent="europe", name="Silver"),
        ]
        nodes += [
            TreeNode(id=f"customer-{number}", parent=tier, name=name, oid=oid_of(number))
            for number, (name, tier) in enumerate(CUSTOMERS)
        ]
        replace_tree(connection, nodes)
        records: dict[str, list[bytes]] = {oid_of(number): [] for number in range(len(CUSTOMERS))}
        for number in range(detections):
            oid = oid_of(number % len(CUSTOMERS))
            records[oid].append(detection(number, oid, at=now - 60_000 - number * 180_000))
        for oid, raw in extra:
            records[oid].append(raw)
        for number, (oid, found) in enumerate(records.items()):
            ingest.put_detections(
                connection, oid, [ingest.detection_from(raw, oid, received=now) for raw in found]
            )
            failed = number == 3
            ingest.put_sync_state(
                connection,
                oid,
                "detections",
                checked_at=now - 42_000 - number * 1000,
                attempted_at=now - 40_000,
                failure="auth" if failed else "",
                reason="The key was refused (401)." if failed else "",
            )


class Host(App[None], inherit_bindings=False):
    """Shows one view, and writes down what it asks for."""

    CSS_PATH = Path(__file__).parents[2] / "screens" / "styles" / "console.tcss"
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        store: Store | None,
        view: Callable[[Context], View[Any]],
        *,
        now: int = NOW,
        scope: Scope | None = None,
        glyphs: Glyphs = ASCII,
        reader: Any = None,
    ) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self.guard = Guard()
        self.asked: list[Request] = []
        self.store = store
        self.now = now
        self.context = Context(
            reader=reader if reader is not None else store.reader,
            changes=Signal(self, "changes"),
            scope_changed=Signal(self, "scope"),
            status_changed=Signal(self, "status"),
            clock=lambda: self.now,
            environment="prod",
            writable=True,
            scope=scope or Scope(),
            glyphs=glyphs,
            status=Status(organizations=5, fresh=4, failed=1, oldest=now - 42_000, known=True),
        )
        self.view = view(self.context)
        if store is not None:
            store.on_change(lambda change: self.call_later(self.context.changes.publish, change))

    def on_mount(self) -> None:
        """Show the view."""
        self.push_screen(self.view)

    def get_line_filters(self) -> Any:
        """With the guard, as the console has it."""
        return [*super().get_line_filters(), self.guard]

    @on(Request)
    def written_down(self, request: Request) -> None:
        """Keep what was asked."""
        self.asked.append(request)

    def go(self, scope: Scope) -> None:
        """Change the scope as the console does."""
        self.context.scope = scope
        self.context.scope_changed.publish(scope)


class Asking(App[None]):
    """Shows one dialog, and keeps its answer."""

    CSS_PATH = Host.CSS_PATH
    ENABLE_COMMAND_PALETTE = False
    NOTHING: Any = object()
    """The answer before there is one: None is an answer too."""

    def __init__(self, dialog: Screen[Any]) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self.guard = Guard()
        self.dialog = dialog
        self.answer: Any = self.NOTHING

    def get_line_filters(self) -> Any:
        """With the guard, as the console has it."""
        return [*super().get_line_filters(), self.guard]

    def on_mount(self) -> None:
        """Ask."""
        self.push_screen(self.dialog, self.answered)

    def answered(self, answer: Any) -> None:
        """Keep what was answered."""
        self.answer = answer


async def until(pilot: Pilot[Any], holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until a fact holds; fail when it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"never held: {holds}\n{text_of(pilot.app)}")
        await pilot.pause()
        await asyncio.sleep(0.01)


async def still(pilot: Pilot[Any]) -> None:
    """Wait until nothing moves any more: views read, cursors solid, the queue of messages empty."""
    app = pilot.app
    for line in app.screen.query(Input):
        line.cursor_blink = False
    groups = {"reload", "detail", "page", "candidates", "status", "command", "marks", "why", "looks"}

    def reads() -> bool:
        view = app.screen
        # A reading that a change caused may still wait for its turn.
        waits = isinstance(view, View) and (view._pending is not None or view._reading)
        typed = getattr(app, "typed", None)
        waits = waits or (typed is not None and not typed.idle)
        return waits or any(worker.group in groups and not worker.is_finished for worker in app.workers)

    await until(pilot, lambda: not reads())
    await pilot.pause()
    await pilot.pause()


async def press_at_once(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys one behind the other, none of them waiting until the one before has come to rest."""

    async def no_rest(*_: Any) -> None:
        pass

    with patch("textual.app.wait_for_idle", no_rest):
        await pilot.press(*keys)


def text_of(app: App[Any]) -> str:
    """What stands on the screen, line by line, without styles."""
    height = app.size.height
    strips = app.screen._compositor.render_strips()
    lines = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
    return "\n".join(lines[:height])
