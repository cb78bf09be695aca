"""What the first screen reads again after a change, among ten thousand organizations and among a thousand.

Ten thousand have a million alerts, a thousand a hundred thousand. What is measured is what the screen does on
a change notice: its own `read`, with what the views keep in memory. The changes are real ones, written by what
sync writes with: a detection that came in, and an organization whose reading failed; of organizations as they
have alerts, so that the largest, with a third of all, is among them. What was kept up to date must in the end
equal what is counted from scratch.
"""

import asyncio
import gc
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from textual.app import App
from textual.signal import Signal

from benchmarks import overviewfixture
from benchmarks.figure import Figure, median
from console.process import settle_memory
from screens.context import Context
from screens.overview import Overview
from store import ingest
from store.database import Store
from store.queries.rollup import Rollup

MANY, FEW = 10_000, 1_000
TIMES = 1.5
OPENED = 3_000.0
"""Milliseconds that the screen may take to open on ten thousand organizations."""
SHOWN = 100.0
"""Milliseconds from a committed change until ten thousand organizations are shown as they are then."""
OPERATOR = "dana"


class Provider:
    """A store that may be written to, and the screen over it."""

    def __init__(self, directory: Path, organizations: int) -> None:
        held = overviewfixture.held(organizations)
        path = directory / f"{organizations}.db"
        shutil.copyfile(held.path, path)
        path.chmod(0o600)
        self.organizations, self.now = organizations, held.now
        self.store = Store(f"sqlite:///{path}")
        self.chance = random.Random(organizations)
        self.host = _Host(self.store, lambda: self.now)
        self.view = self.host.view
        self.written = 0

    def oid(self) -> str:
        """An organization, as often as it has alerts."""
        number = (int(self.chance.paretovariate(0.6)) - 1) % self.organizations
        return overviewfixture.oid_of(number)

    def detection(self) -> None:
        """One comes in."""
        self.written += 1
        self.now += 1_000
        oid = self.oid()
        record = {
            "detect_id": f"bench-{self.written}", "cat": "Encoded PowerShell", "gen_time": self.now,
            "source_rule": "general.encoded-powershell", "detect_mtd": {"level": self.chance.choice(("low", "high"))},
            "routing": {"hostname": "ws1", "event_type": "NEW_PROCESS"},
        }  # fmt: skip
        with self.store.writing() as c:
            new = [ingest.detection_from(json.dumps(record).encode(), oid)]
            if ingest.put_detections(c, oid, new) != 1:
                raise AssertionError("nothing was written")

    def failure(self) -> None:
        """An organization cannot be read, or can be again."""
        self.written += 1
        self.now += 1_000
        failed = self.chance.random() < 0.7
        with self.store.writing() as c:
            ingest.put_sync_state(
                c, self.oid(), "detections", attempted_at=self.now, checked_at=None if failed else self.now,
                failure="denied" if failed else "", reason=f"The key may not ({self.written})." if failed else "",
            )  # fmt: skip

    def read(self) -> tuple[Any, float]:
        """What the screen reads, and the milliseconds that took."""
        start = time.perf_counter()
        with self.store.reader.reading() as connection:
            found = self.view.read(connection)
        return found, (time.perf_counter() - start) * 1000


class _Host(App[None]):
    """Shows the one screen."""

    CSS_PATH = Path(__file__).parents[1] / "screens" / "styles" / "console.tcss"

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        super().__init__()
        self.context = Context(
            reader=store.reader, changes=Signal(self, "changes"), scope_changed=Signal(self, "scope"),
            status_changed=Signal(self, "status"), clock=clock, operator=OPERATOR,
        )  # fmt: skip
        self.view = Overview(self.context)

    def on_mount(self) -> None:
        """Show it."""
        self.push_screen(self.view)


def figures(runs: int) -> Iterator[Figure]:
    """Both sizes in turn, each change once before it counts."""
    times = max(20, runs * 10)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        large, small = (Provider(directory, each) for each in (MANY, FEW))
        for each in (large, small):
            stack.enter_context(closing(each.store))
        opened = [each.read()[1] for each in (large, small)]
        yield Figure(
            "overview", "opened, nothing in memory", opened[0], opened[1], OPENED, "ms", absolute=True
        )
        gc.collect()
        settle_memory()  # as the console does
        for name in ("detection", "failure"):
            ours: list[float] = []
            other: list[float] = []
            for number in range(times):
                for each, spent in ((large, ours), (small, other)):
                    getattr(each, name)()
                    took = each.read()[1]
                    if number:
                        spent.append(took)
            said = "a detection came in" if name == "detection" else "an organization failed"
            yield Figure(
                "overview", f"{said}, {MANY:,} / {FEW:,}", median(ours), median(other), TIMES, "ms"
            )  # fmt: skip
        for each in (large, small):
            _agree(each)
        shown = asyncio.run(_shown(large, max(10, runs)))
        yield Figure(
            "overview", "from the commit until it is shown", shown, shown, SHOWN, "ms", absolute=True
        )


def _agree(provider: Provider) -> None:
    """What was kept up to date is what is counted from scratch."""
    found = provider.read()[0].whole
    with provider.store.reader.reading() as connection:
        again = Rollup().overview(connection, now=provider.now, operator=OPERATOR)
    if found != again:
        raise AssertionError(f"{found}\nis not what is counted from scratch:\n{again}")


async def _shown(provider: Provider, times: int) -> float:
    """The median of milliseconds for reading and showing, without what waits for the next of four a second."""
    spent = []
    async with provider.host.run_test(size=(80, 24)) as pilot:
        while provider.view.look != "full":
            await pilot.pause(0.02)
        for _ in range(times):
            await asyncio.to_thread(provider.detection)
            wanted = sum((await asyncio.to_thread(provider.read))[0].whole.by_severity)
            await asyncio.to_thread(provider.detection)
            start = time.perf_counter()
            found = await asyncio.to_thread(provider.view._read)
            provider.view.show(found)
            await pilot.pause()
            spent.append((time.perf_counter() - start) * 1000)
            if sum(found.whole.by_severity) != wanted + 1:
                raise AssertionError("the detection that came in is not shown")
    return median(spent)
