"""Bare `limegrove`: the console on the environment's store."""

import argparse
import sys
from typing import TYPE_CHECKING

from console.commands.session import Problem, Session

if TYPE_CHECKING:
    from console.limacharlie.limits import Limits
    from console.operations.ports import Report
    from store.database import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """It has no options of its own."""


def run(session: Session) -> int:
    """Open the console; unless it is offline, read the cloud in the background as long as it is open."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Problem(
            "The console needs a terminal; `limegrove --help` lists the commands that do not.", code=2
        )
    import asyncio

    from console.credentials import prepare

    session.refuse_unknown_environment()
    prepare(session.settings)  # a passphrase is typed before the terminal belongs to the screens

    from console.app import run_console
    from console.operations.ports import Link

    wake = asyncio.Event()
    link = Link()
    limits: Limits | None = None

    async def background(store: "Store", report: "Report") -> None:
        nonlocal limits
        from console.limacharlie.limits import in_background
        from console.operations.watching import watch

        async with session.cloud(deadlines=False) as cloud:
            key = await asyncio.to_thread(session.redaction_key)
            limits = cloud.limits
            try:
                with link.holding(cloud), in_background():
                    await watch(store=store, cloud=cloud, redaction_key=key, report=report, wake=wake)
            finally:
                limits = None

    return run_console(
        redaction_key=session.known_redaction_key,
        open_store=session.store,
        environment=session.settings.environment,
        settings=session.settings,
        background=None if session.settings.offline else background,
        sync_now=wake.set,
        budget=lambda: limits.now() if limits is not None else None,
        link=link,
    )
