"""Bytes and time per key at 120x40 over a million alerts, against a bare virtual table on the same file, and a
DataTable that holds ten thousand of them; and per move in the matrix of access over ten thousand organizations,
however it is turned, with what follows the cursor once it rests."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import accessfixture, fixture
from benchmarks.figure import Figure, median, percentile
from benchmarks.start import FIRST_ROW
from benchmarks.terminal import Terminal

DOWN, PAGE_DOWN = b"\x1b[B", b"\x1b[6~"
UP, RIGHT, LEFT = b"\x1b[A", b"\x1b[C", b"\x1b[D"
SIDES = ("organization", "principal", "permission")
"""What the matrix is about, in the order in which `v` turns it."""
OTHER_ROWS = 10_000
"""A DataTable of a million takes minutes to fill; with ten thousand its keys cost the same."""

Measured = dict[str, list[tuple[int, float]]]


def figures(runs: int) -> Iterator[Figure]:
    """Single moves and pages, the detail closed, then open; the same keys on both sides, one after the other."""
    store = fixture.held(fixture.alerts()).path
    program = str(Path(sys.executable).with_name("limegrove"))
    moves = max(40, runs * 6)
    with Terminal([program, "--offline"], environment={"LIMEGROVE_HOME": str(store.parents[1])}) as terminal:
        terminal.until(FIRST_ROW)
        # The sums over all organizations come behind the first rows; what opening costs, `start` measures.
        terminal.until(" fresh", 60)
        terminal.settle(1.0)
        ours = _keys(terminal, moves)
        terminal.press(b"F", quiet=1.0)  # one row an alert, so that `enter` opens the detail and no fold
        terminal.press(b"\r", quiet=1.0)
        opened = [terminal.press(DOWN, quiet=0.5) for _ in range(10)]
    with Terminal([sys.executable, "-m", "benchmarks.virtual", str(store)]) as terminal:
        terminal.until("Customer 0", 60)
        terminal.settle(1.0)
        virtual = _keys(terminal, moves)
    with Terminal([sys.executable, "-m", "benchmarks.bare", str(OTHER_ROWS), str(store)]) as terminal:
        terminal.until("Customer 0", 60)
        terminal.settle(1.0)
        table = _keys(terminal, moves)
    for name, key in (("cursor move", "down"), ("page", "page")):
        goal = 1_000 if key == "down" else 30_000
        mine, bare = ([count for count, _ in side[key]] for side in (ours, table))
        yield Figure("keys", f"bytes per {name}", median(mine), median(bare), goal, "B", absolute=True)
        mine, bare, thin = ([spent for _, spent in side[key]] for side in (ours, table, virtual))
        yield Figure("keys", f"time per {name} / DataTable", median(mine), median(bare), 1.0, "ms")
        yield Figure(
            "keys",
            f"p95 per {name} / bare virtual table",
            percentile(mine, 95),
            percentile(thin, 95),
            1.5,
            "ms",
        )
    yield Figure(
        "keys", "bytes per rest, detail open", median([count for count, _ in opened]),
        median([count for count, _ in table["down"]]), 8_000, "B", absolute=True,
    )  # fmt: skip

    yield from _matrix(program, median([count for count, _ in table["down"]]))


def _matrix(program: str, other: float) -> Iterator[Figure]:
    """Against a move in the DataTable of alerts at 120x40."""
    store = accessfixture.held().path
    for columns, rows in ((80, 24), (200, 50)):
        with Terminal(
            [program, "--offline"], columns=columns, rows=rows,
            environment={"LIMEGROVE_HOME": str(store.parents[1])},
        ) as terminal:  # fmt: skip
            terminal.until("of 10,000 fresh", 60)
            terminal.settle()
            terminal.press(b"4", quiet=1.5)
            terminal.press(b"n", quiet=3.0)
            for side in SIDES:
                keys = (DOWN, DOWN, RIGHT, RIGHT, UP, LEFT, UP, LEFT)
                moves = [terminal.press(key, quiet=0.5)[0] for key in keys]
                yield Figure(
                    "keys", f"bytes per move, matrix by {side}, {columns}x{rows}", median(moves), other, 1_000,
                    "B", absolute=True,
                )  # fmt: skip
                terminal.press(b"v", quiet=2.0)


def _keys(terminal: Terminal, moves: int) -> Measured:
    """Bytes and milliseconds of so many moves and pages."""
    return {
        name: [terminal.press(key) for _ in range(moves)]
        for name, key in (("down", DOWN), ("page", PAGE_DOWN))
    }
