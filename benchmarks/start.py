"""From exec to the first paint, and to the first alerts on screen, against a bare Textual application."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import fixture
from benchmarks.figure import Figure, median
from benchmarks.terminal import Terminal

FIRST_PAINT = "ALL ORGANIZATIONS"
"""Stands in the first frame, before anything heavy is imported."""


FIRST_ROW = "CRIT"
"""Stands in the worst alerts, which come first, folded or not."""


def figures(runs: int) -> Iterator[Figure]:
    """Whole processes on a 120x40 terminal, in turn, after one of each that does not count."""
    held = fixture.held(fixture.alerts())
    store = held.path
    program = str(Path(sys.executable).with_name("limegrove"))
    environment = {"LIMEGROVE_HOME": str(store.parents[1])}
    paints, alerts, bare = [], [], []
    for run in range(runs + 1):
        with Terminal([program, "--offline"], environment=environment) as terminal:
            paint = terminal.until(FIRST_PAINT)
            filled = terminal.until(FIRST_ROW)
        with Terminal([sys.executable, "-m", "benchmarks.bare", "50"]) as terminal:
            other = terminal.until("BARE-MARKER")
        if run:
            paints.append(paint)
            alerts.append(filled)
            bare.append(other)
    yield Figure("start", "first paint / bare Textual table", median(paints), median(bare), 1.5, "ms")
    yield Figure(
        "start",
        f"first alerts of {held.alerts:,} / bare Textual table",
        median(alerts),
        median(bare),
        4.0,
        "ms",
    )
