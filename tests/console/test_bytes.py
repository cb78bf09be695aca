"""What a key costs on the line: an operator may sit behind a slow one."""

import sys
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.terminal import Terminal
from console.operations.billing import import_prices
from store.database import Store
from store.examplebook import TEXT
from store.times import now_ms
from tests.helpers.sandboxes import ROOT
from tests.helpers.screens import fill

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


@pytest.mark.parametrize(("columns", "rows", "most"), [(80, 24, 4_000), (120, 40, 8_000)])
def test_a_move_and_a_rest_with_the_detail_open_stay_small(
    home: Path, columns: int, rows: int, most: int
) -> None:
    command = [sys.executable, "-m", "console", "--offline"]
    environment = {"LIMEGROVE_HOME": str(home), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    with Terminal(command, columns=columns, rows=rows, environment=environment) as terminal:
        terminal.until("CRIT", 60)
        terminal.settle()
        closed = [terminal.press(DOWN, quiet=0.5)[0] for _ in range(5)]
        terminal.press(b"\r", quiet=1.0)
        rests = [terminal.press(DOWN, quiet=1.0)[0] for _ in range(5)]
        burst = terminal.press(DOWN * 5, quiet=1.0)[0]
    assert max(closed) <= 1_000, closed
    assert max(rests) <= most, rests
    assert min(rests) > max(closed), "the detail was not painted"
    assert burst <= most + 5 * max(closed), "the detail was painted while a key repeated"


@pytest.mark.parametrize(("columns", "rows", "most"), [(80, 24, 4_000), (120, 40, 8_000)])
def test_the_panes_of_the_other_views_are_painted_once(
    home: Path, columns: int, rows: int, most: int
) -> None:
    """From a folder to a customer and back, with tabs; customers whose figures are read; amounts."""
    command = [sys.executable, "-m", "console", "--offline"]
    environment = {"LIMEGROVE_HOME": str(home), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    with Terminal(command, columns=columns, rows=rows, environment=environment) as terminal:
        terminal.until("CRIT", 60)
        terminal.settle()
        terminal.press(b":organizations\r", quiet=1.0)
        assert max(terminal.press(DOWN, quiet=0.5)[0] for _ in range(3)) <= 1_000
        terminal.press(b"\r", quiet=1.0)
        rests = [terminal.press(key, quiet=1.0)[0] for key in (DOWN, UP, DOWN)]
        terminal.press(b"]", quiet=1.0)
        rests += [terminal.press(key, quiet=1.0)[0] for key in (UP, DOWN)]
        for view in (b":reports\r", b":billing\r"):
            terminal.press(view, quiet=1.0)
            rests += [terminal.press(DOWN, quiet=1.0)[0] for _ in range(2)]
    assert min(rests) > 0, rests
    assert max(rests) <= most, rests
