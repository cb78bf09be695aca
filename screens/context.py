"""What every view is given: the store, the clock, where the operator is, and how to hear of changes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.signal import Signal

    from screens.frame import Tone
    from screens.requests import Keys
    from store.database import Change, Reader


@dataclass(frozen=True)
class Glyphs:
    """The signs that carry a state beside its word. Each is one cell wide, severities two."""

    severity: tuple[str, ...]
    """Indexed like `store.alerts.SEVERITIES`."""
    health: dict[str, str]
    """By the words of `store.queries.organizations.HEALTH`."""
    cursor: str
    open: str
    """Before a node whose children are shown."""
    closed: str
    rule: str
    """Drawn across, between a list and its detail."""
    bar: str
    """One cell of a full bar; `empty` is one of what is left."""
    empty: str


ASCII = Glyphs(
    severity=("  ", ". ", "- ", "! ", "!!"),
    health={"well": "o", "partly": "~", "unknown": ".", "failed": "x"},
    cursor=">",
    open="v",
    closed=">",
    rule="-",
    bar="#",
    empty=".",
)

UNICODE = Glyphs(
    severity=("  ", "· ", "- ", "! ", "!!"),
    health={"well": "✓", "partly": "~", "unknown": "·", "failed": "✗"},
    cursor="▌",
    open="▾",
    closed="▸",
    rule="─",
    bar="█",
    empty="░",
)

GLYPHS = {"ascii": ASCII, "unicode": UNICODE}

SEVERITY_WORDS: tuple[str, ...] = ("INFO", "LOW", "MED", "HIGH", "CRIT")
"""At most four letters, indexed like `store.alerts.SEVERITIES`."""

SEVERITY_STYLES: tuple[str, ...] = ("dim", "", "ansi_cyan", "ansi_yellow", "bold ansi_red")
"""Colour only repeats what sign and word say."""

HEALTH_STYLES: dict[str, str] = {
    "well": "ansi_green",
    "partly": "ansi_yellow",
    "unknown": "dim",
    "failed": "bold ansi_red",
}


@dataclass(frozen=True)
class Scope:
    """The tree node that everything on screen is limited to."""

    node_id: str = ""
    """"" is the root: all organizations."""
    name: str = "ALL ORGANIZATIONS"
    """Its path in the tree: a stranger's text."""
    oid: str = ""
    """Set when the node is an organization."""


ALL = Scope()


@dataclass(frozen=True)
class Status:
    """What line 1 says about the data and what runs."""

    organizations: int = 0
    fresh: int = 0
    failed: int = 0
    oldest: int | None = None
    """The oldest successful reading among the fresh ones (ms); None when there is none."""
    running: str = ""
    """What runs, in a few words: `sync 34/216, 2 min left`. "" when nothing does."""
    trouble: str = ""
    """One sentence about background work that failed; "" when none did."""
    budget: str = ""
    """How fast the cloud is asked, in words: `3 of 20 requests/s, 4 waiting`. "" when it is not asked."""
    paused: int = 0
    """Seconds for which the cloud's rate limit lets nobody ask; 0 when it holds nobody back."""
    need: int = 0
    """Alerts of the scope that need this operator: theirs, and nobody's whose clock has run out."""
    staged: int = 0
    """Changes of access that the operator has staged and not planned yet."""
    known: bool = False
    """Whether the figures were read at all."""
    glasses: int = 0
    """Break-glass memberships that go on."""
    glass_due: int = 0
    """When the next of them ends, or should have ended (ms)."""
    glass: str = ""
    """Which one that is, `kim@acme.example in Responders`: strangers' text."""
    glass_trouble: str = ""
    """Why it could not be ended; "" when that was not tried."""


@dataclass
class Context:
    """Everything a view may use. One instance serves all views of a console.

    `scope` and `status` are changed by the app alone, which then publishes the signal beside it: a view never
    assigns them, it posts `SetScope` and subscribes.
    """

    reader: Reader
    """Its connections refuse to write."""
    changes: Signal[Change]
    """Published on the event loop after every commit, here or in another process."""
    scope_changed: Signal[Scope]
    status_changed: Signal[Status]
    clock: Callable[[], int]
    """Milliseconds since 1970, UTC."""
    environment: str = "default"
    writable: bool = False
    offline: bool = False
    operator: str = ""
    """The name that alerts are assigned to."""
    zone: tzinfo = UTC
    """In which times are shown; every shown time says which."""
    zone_name: str = "UTC"
    glyphs: Glyphs = ASCII
    scope: Scope = ALL
    status: Status = Status()
    kept: dict[str, Any] = field(default_factory=dict)
    """What the views keep in memory together, by whose it is: see `screens.figures`."""
    brand_zone: Callable[[str], str] = lambda _name: ""
    """The time zone that a brand says, by its name ("" is the default one); "" where it says none. It reads a
    file: never on the event loop."""
    redaction_key: Callable[[], bytes | None] = lambda: None
    """Under which secrets were replaced before they reached the store; None where it is not at hand. It may
    ask the keyring: never on the event loop."""
    told: Callable[[Tone], None] = lambda _tone: None
    """A sentence was said: a warning says that what keys wait for came to nothing."""
    keys_wait: Callable[[Keys], AbstractContextManager[object]] = lambda _kind: nullcontext()
    """Around what a view does on a key that ends in a dialog, or in a request, but not at once: keys wait for
    that meanwhile. Entered before anything is awaited."""

    def when(self, milliseconds: int | None, *, seconds: bool = True) -> str:
        """A moment in the declared zone, `2026-11-24 13:05:09 UTC`; `never` for None."""
        if milliseconds is None:
            return "never"
        try:
            moment = datetime.fromtimestamp(milliseconds / 1000, self.zone)
        except (OverflowError, ValueError, OSError):
            return "out of range"
        return f"{moment:%Y-%m-%d %H:%M:%S}"[: 19 if seconds else 16] + f" {self.zone_name}"
