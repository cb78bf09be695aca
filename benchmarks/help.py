"""`limegrove --help` against `python -c pass`: what a command line costs before it does anything."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, median


def figures(runs: int) -> Iterator[Figure]:
    """Whole processes, in turn, after one of each that does not count."""
    program = str(Path(sys.executable).with_name("limegrove"))
    ours, other = [], []
    for run in range(runs + 1):
        mine, theirs = _wall([program, "--help"]), _wall([sys.executable, "-c", "pass"])
        if run:
            ours.append(mine)
            other.append(theirs)
    yield Figure("help", "limegrove --help / python -c pass", median(ours), median(other), 3.0, "ms")


def _wall(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1000
