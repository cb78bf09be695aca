"""What a key costs on the line: an operator may sit behind a slow one."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from benchmarks.terminal import Terminal
from console.operations.billing import import_prices
from store.database import Store
from store.examplebook import TEXT
from store.times import now_ms
from tests.helpers.sandboxes import ROOT
from tests.helpers.screens import CUSTOMERS, fill

DOWN = b"\x1b[B"
UP = b"\x1b[A"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace with four hundred alerts, no two of one fold."""
    (tmp_path / "default").mkdir(mode=0o700)
    with closing(Store(f"sqlite:///{tmp_path / 'default' / 'store.db'}")) as store:
        fill(store, detections=400, now=now_ms())
        import_prices(store, TEXT.encode(), file="example", by="dana")
    tmp_path.chmod(0o700)
    return tmp_path


@contextmanager
def console(home: Path, columns: int, rows: int) -> Iterator[Terminal]:
    """The console on a terminal of that size, once its alerts are there."""
    command = [sys.executable, "-m", "console", "--offline"]
    environment = {"LIMEGROVE_HOME": str(home), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    with Terminal(command, columns=columns, rows=rows, environment=environment) as terminal:
        terminal.until("CRIT", 60)
        terminal.settle()
        yield terminal


def in_row(number: int) -> str:
    """What the row of a critical alert says that the ones beside it do not: its customer."""
    return CUSTOMERS[number % len(CUSTOMERS)][0][:10]


def in_detail(number: int) -> str:
    """What only the detail of a critical alert says: the end of its command. Every sixth one is critical."""
    return f"SQBFAFgA{6 * number:06}"


@pytest.mark.parametrize(("columns", "rows", "most"), [(80, 24, 4_000), (120, 40, 8_000)])
def test_a_move_and_a_rest_with_the_detail_open_stay_small(
    home: Path, columns: int, rows: int, most: int
) -> None:
    with console(home, columns, rows) as terminal:
        closed = [terminal.answer(DOWN, in_row(number)) for number in range(1, 6)]
        terminal.answer(b"\r", in_detail(5))
        rests = [terminal.answer(DOWN, in_detail(number)) for number in range(6, 11)]
        burst = terminal.answer(DOWN * 5, in_detail(15))
    assert max(closed) <= 1_000, closed
    assert max(rests) <= most, rests
    assert min(rests) > max(closed), "the detail was not painted"
    assert burst <= most + 5 * max(closed), "the detail was painted while a key repeated"


FOLDER, SUMMARY, ANALYTICS, REPORT, AMOUNTS = "made of", "top rules", "30 days to", "brand default", "margin:"
"""What only the pane says: of a folder, of a customer in two tabs, of a report, of what is billed."""


@pytest.mark.parametrize(("columns", "rows", "most"), [(80, 24, 4_000), (120, 40, 8_000)])
def test_the_panes_of_the_other_views_are_painted_once(
    home: Path, columns: int, rows: int, most: int
) -> None:
    """From a folder to a customer and back, with tabs; customers whose figures are read; amounts."""
    with console(home, columns, rows) as terminal:
        terminal.answer(b":organizations\r", "HEALTH")
        tree = [terminal.answer(DOWN, name) for name in ("Europe", "Gold")]
        terminal.answer(b"\r", FOLDER)
        rests = [terminal.answer(*move) for move in ((DOWN, SUMMARY), (UP, FOLDER), (DOWN, SUMMARY))]
        terminal.answer(b"]", ANALYTICS)
        rests += [terminal.answer(*move) for move in ((UP, FOLDER), (DOWN, ANALYTICS))]
        for view, said in ((b":reports\r", REPORT), (b":billing\r", AMOUNTS)):
            terminal.answer(view, said)
            rests += [terminal.answer(DOWN, said) for _ in range(2)]
    assert max(tree) <= 1_000, tree
    assert max(rests) <= most, rests
