"""What the console does with each request of a screen: one module a subject, imported after the first paint.

A module has HANDLERS: request class -> handler. A handler is a coroutine function of (host, request). It
holds the conversation (dialogs, what is said), and leaves the doing to `console.operations`. It runs in a
worker of the application, which outlives the screen that asked; what it raises is said once, in the last
line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from textual.screen import ModalScreen

    from console.limacharlie.client import Cloud
    from console.settings import Settings
    from screens.context import Context
    from screens.frame import Tone
    from screens.requests import Work
    from store.database import Store

Answer = TypeVar("Answer")

MODULES: tuple[str, ...] = (
    "access",
    "apikeys",
    "billing",
    "breakglass",
    "cases",
    "drift",
    "falsepositives",
    "offboarding",
    "onboarding",
    "pivot",
    "reports",
    "respond",
    "reviews",
    "rollouts",
    "runs",
    "shift",
    "triage",
)
"""Of this package, each with HANDLERS."""


class Host(Protocol):
    """What a handler may use of the application."""

    @property
    def context(self) -> Context:
        """The scope, the clock, the reader."""
        ...

    @property
    def operator(self) -> str:
        """The name that alerts and cases are assigned to."""
        ...

    @property
    def settings(self) -> Settings | None:
        """The settings in force, with the workspace; None where there is none."""
        ...

    def writing_store(self) -> Store:
        """The store, for writing.

        Raises:
            RefusedHere: the console is read-only.
        """
        ...

    def cloud(self) -> Cloud:
        """The cloud that the console is connected to.

        Raises:
            RefusedHere: it is offline, or not connected yet.
        """
        ...

    async def ask(self, dialog: ModalScreen[Answer]) -> Answer:
        """Show a dialog and wait for its answer."""
        ...

    def say(self, text: str, tone: Tone = "plain") -> None:
        """Say one sentence in the last line; strangers' text is made safe."""
        ...

    async def copy(self, text: str) -> None:
        """Put a text on the operator's clipboard, and say what became of that."""
        ...

    async def copy_secret(self, reveal: Callable[[], str]) -> str:
        """Put a secret on the operator's clipboard and nowhere else; answers what became of that."""
        ...

    def show_mode(self, name: str) -> Awaitable[Any]:
        """Go to a mode; answers its view."""
        ...


class RefusedHere(Exception):
    """This console does not do that; the text is the sentence for the operator."""


Handler = Callable[[Host, Any], Awaitable[None]]


async def read(host: Host, question: Callable[[Connection], Answer]) -> Answer:
    """Ask the store, in a thread."""

    def ask() -> Answer:
        with host.context.reader.reading() as connection:
            return question(connection)

    return await asyncio.to_thread(ask)


def handlers() -> dict[type[Work], Handler]:
    """Every handler there is."""
    found: dict[type[Work], Handler] = {}
    for name in MODULES:
        found |= import_module(f"console.requests.{name}").HANDLERS
    return found
