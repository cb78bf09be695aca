"""`limegrove demo`: where it keeps what it has, and what becomes of that."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from console.commands import demo


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's directory for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def another(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    """A demo in a process of its own, and its directory."""
    says = "from console.commands.demo import _directory\nwith _directory() as home: print(home, flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", says], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_demo_removes_its_directory_and_what_a_killed_one_left(temporary: Path) -> None:
    process, left = another(temporary)
    with process:
        with demo._directory() as home:
            assert (home.is_dir(), left.is_dir()) == (True, True)  # one that runs is left alone
        assert (home.exists(), left.is_dir()) == (False, True)
        process.send_signal(signal.SIGKILL)
    assert left.is_dir()
    with demo._directory():
        assert not left.exists()
    assert list(temporary.iterdir()) == []


def test_what_is_no_demos_stays(temporary: Path) -> None:
    target = temporary / "precious"
    target.mkdir()
    (target / demo.LOCK).touch()
    (temporary / f"{demo.PREFIX}link").symlink_to(target)
    (temporary / f"{demo.PREFIX}file").touch()
    (temporary / f"{demo.PREFIX}unlocked").mkdir()
    before = sorted(temporary.iterdir())
    with demo._directory():
        pass
    assert sorted(temporary.iterdir()) == before
    assert target.is_dir()


def test_help_says_where_it_keeps_everything_and_how_commands_are_tried(capsys: Any) -> None:
    from console.__main__ import main

    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    said = capsys.readouterr().out
    assert "directory of its own, which is removed at its end:\nnothing in LIMEGROVE_HOME" in said
    for word in ("sandbox serve", "LIMEGROVE_ENDPOINT=", "LC_UID=", "LC_API_KEY=", "LIMEGROVE_HOME"):
        assert word in said
