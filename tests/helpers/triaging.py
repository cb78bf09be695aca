"""Processes that decide over alerts: run as `python -m tests.helpers.triaging ROLE ...`, they race or are killed.

What one claims to have done is printed as one JSON object.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event

from console.operations import triage as operations
from store import triage
from store.alerts import AlertFilter
from store.database import Store
from store.queries import alerts
from store.triage import Selection

PAGE = 40


def console(url: str, name: str, start: Path, racers: int) -> dict[str, Any]:
    """Like a console: look at a page, claim some of it, look again; then tag all of it at once.

    Args:
        racers: how many race, this one among them.
    """
    store, chance = Store(url), random.Random(name)
    won: list[int] = []
    lost: list[str] = []
    _wait(start)
    while True:
        with store.reader.reading() as connection:
            page = alerts.page(connection, AlertFilter(who=""), limit=PAGE)
        if not page:
            break
        if won:
            _leave_some(start, name, len(page), racers)
        some = chance.sample(page, min(5, len(page)))
        seen = Selection(tuple(row.id for row in some), {row.id: row.version for row in some})
        done = operations.claim(store, name, seen)
        refused = {each.id: str(each.who) for each in done.refused}
        won += [row.id for row in some if row.id not in refused]
        lost += refused.values()
    tagged = _tag(store, name)
    store.close()
    return {"name": name, "won": won, "lost": lost, "tagged": tagged}


def command_line(url: str, name: str, start: Path, racers: int) -> dict[str, Any]:
    """Like somebody at a shell: one command a claim, by LimaCharlie's id.

    Args:
        racers: how many race, this one among them.
    """
    import contextlib
    import io

    from console.__main__ import main

    os.environ |= {"LIMEGROVE_STORE": url, "LIMEGROVE_OPERATOR": name}

    def command(*words: str) -> Any:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            code = main([*words, "--output", "json"])
        return code, json.loads(out.getvalue() or "null")

    won: list[str] = []
    lost: list[str] = []
    chance = random.Random(name)
    command("alert", "list", "--limit", "1")  # what has to be imported is
    _wait(start)
    while True:
        _, listed = command("alert", "list", "--filter", "who:none", "--limit", str(PAGE))
        if not listed:
            break
        if won:
            _leave_some(start, name, len(listed), racers)
        ids = [row["detect_id"] for row in chance.sample(listed, min(8, len(listed)))]
        _, done = command("alert", "claim", *ids)
        refused = {each["detect_id"]: each["who"] for each in done["refused"]}
        won += [each for each in ids if each not in refused]
        lost += refused.values()
    store = Store(url)
    with store.reader.reading() as connection:
        numbers = {row.detect_id: row.id for row in alerts.page(connection, AlertFilter(), limit=10_000)}
    tagged = _tag(store, name)
    store.close()
    return {"name": name, "won": [numbers[each] for each in won], "lost": lost, "tagged": tagged}


def _tag(store: Store, name: str) -> list[int]:
    """Add a tag to every alert, in a decision of several transactions; what was refused is not tried again."""
    with store.reader.reading() as connection:
        every = triage.resolve(connection, Selection(wanted=AlertFilter()))
    done = operations.tag(store, name, Selection(ids=every.ids), add=(name,))
    return sorted(set(every.ids) - {each.id for each in done.refused})


def close_and_die(url: str, after: int) -> dict[str, Any]:
    """Close every alert; end by SIGKILL before the statement (or commit) number `after`."""
    store = Store(url)
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == after:
            os.kill(os.getpid(), signal.SIGKILL)

    with store.reader.reading() as connection:
        every = triage.resolve(connection, Selection(wanted=AlertFilter()))
    event.listen(store._engine, "before_cursor_execute", count)
    event.listen(store._engine, "commit", count)
    done = operations.close(store, "ann", every, 2, comment="scanner")
    store.close()
    return {"statements": seen, "changed": done.changed}


def resume_and_die(url: str, after: int) -> dict[str, Any]:
    """Carry on with what was interrupted, and be interrupted again."""
    store = Store(url)
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == after:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(store._engine, "before_cursor_execute", count)
    event.listen(store._engine, "commit", count)
    done = operations.resume(store)
    store.close()
    return {"statements": seen, "resumed": len(done)}


def _wait(start: Path) -> None:
    Path(f"{start}.{os.getpid()}").touch()
    _until(start.exists)


def _leave_some(start: Path, name: str, left: int, racers: int) -> None:
    """Say that something was won, and leave the last page until every racer has won something too."""
    Path(f"{start}-won.{name}").touch()
    if left < PAGE:
        _until(lambda: len(list(start.parent.glob(f"{start.name}-won.*"))) >= racers)


def _until(held: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not held() and time.monotonic() < end:
        time.sleep(0.002)


if __name__ == "__main__":
    role, url, *rest = sys.argv[1:]
    if role in ("console", "command-line"):
        racer = console if role == "console" else command_line
        name, start, racers = rest
        print(json.dumps(racer(url, name, Path(start), int(racers))))
    else:
        killed = close_and_die if role == "close" else resume_and_die
        print(json.dumps(killed(url, int(rest[0]))))
