"""Directories that last as long as their process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from console.throwaway import LOCK, directory

PREFIX = "limegrove-test-"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's directory for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def another(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    """One of a process of its own."""
    says = "from console.throwaway import directory\nwith directory('limegrove-test-') as home: print(home, flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", says], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_one_is_removed_at_its_end_and_so_is_what_a_killed_process_left(temporary: Path) -> None:
    process, left = another(temporary)
    with process:
        with directory(PREFIX) as home:
            assert (home.is_dir(), left.is_dir()) == (True, True)  # one that runs is left alone
        assert (home.exists(), left.is_dir()) == (False, True)
        process.send_signal(signal.SIGKILL)
    assert left.is_dir()
    with directory(PREFIX):
        assert not left.exists()
    assert list(temporary.iterdir()) == []


def test_what_is_none_of_them_stays(temporary: Path) -> None:
    target = temporary / "precious"
    target.mkdir()
    (target / LOCK).touch()
    (temporary / f"{PREFIX}link").symlink_to(target)
    (temporary / f"{PREFIX}file").touch()
    (temporary / f"{PREFIX}unlocked").mkdir()
    before = sorted(temporary.iterdir())
    with directory(PREFIX):
        pass
    assert sorted(temporary.iterdir()) == before
    assert target.is_dir()
