"""Bytes and time per key at 120x40 over a million alerts, against a DataTable that holds ten thousand of them."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, median
from benchmarks.fixture import store_of
from benchmarks.terminal import Terminal

DOWN, PAGE_DOWN = b"\x1b[B", b"\x1b[6~"
OTHER_ROWS = 10_000
"""A DataTable of a million takes minutes to fill; with ten thousand its keys cost the same."""


def figures(runs: int) -> Iterator[Figure]:
    """Medians over a page of single moves and as many pages, the detail closed, then open."""
    store = store_of(1_000_000)
    program = str(Path(sys.executable).with_name("limegrove"))
    moves = max(10, runs * 2)
    with Terminal([program, "--offline"], environment={"LIMEGROVE_HOME": str(store.parents[1])}) as terminal:
        terminal.until("Customer 0")
        terminal.settle()
        ours = _keys(terminal, moves)
        terminal.press(b"\r", quiet=0.5)
        opened = [terminal.press(DOWN, quiet=0.5) for _ in range(10)]
    with Terminal([sys.executable, "-m", "benchmarks.bare", str(OTHER_ROWS), str(store)]) as terminal:
        terminal.until("Customer 0", 60)
        terminal.settle(1.0)
        other = _keys(terminal, moves)
    for name, key in (("cursor move", "down"), ("page", "page")):
        goal = 1_000 if key == "down" else 30_000
        yield Figure("keys", f"bytes per {name}", ours[key][0], other[key][0], goal, "B", absolute=True)
        yield Figure("keys", f"time per {name}", ours[key][1], other[key][1], 1.0, "ms")
    yield Figure(
        "keys", "bytes per rest, detail open", median([count for count, _ in opened]), other["down"][0], 8_000, "B",
        absolute=True,
    )  # fmt: skip


def _keys(terminal: Terminal, moves: int) -> dict[str, tuple[float, float]]:
    """Median bytes and milliseconds of a move and of a page."""
    answer = {}
    for name, key in (("down", DOWN), ("page", PAGE_DOWN)):
        measured = [terminal.press(key) for _ in range(moves)]
        answer[name] = (median([count for count, _ in measured]), median([spent for _, spent in measured]))
    return answer
