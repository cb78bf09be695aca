"""Copying: safe to paste, in tmux into its buffer, elsewhere by asking the terminal, and always into a file."""

import base64
import os
import stat
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.clipboard import MOST, clean, copy
from tests.corpus.strings import everything
from tests.helpers.tmux import MISSING


def copied(text: str, tmp_path: Path, **environ: str) -> tuple[str, list[str], Path]:
    written: list[str] = []
    file = tmp_path / "home" / "copied.txt"
    return copy(text, written.append, file, environ=environ), written, file


def test_the_terminal_is_asked_and_a_file_keeps_it_for_its_owner_alone(tmp_path: Path) -> None:
    said, written, file = copied("Größe", tmp_path)
    assert written == [f"\x1b]52;c;{base64.b64encode('Größe'.encode()).decode()}\a"]
    assert file.read_text("utf-8") == "Größe\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "clipboard, 5 characters" in said
    assert str(file) in said
    copied("b", tmp_path)
    assert file.read_text("utf-8") == "b\n"
    assert os.listdir(file.parent) == ["copied.txt"]


def test_what_is_too_long_is_only_in_the_file(tmp_path: Path) -> None:
    text = "x" * MOST
    said, written, file = copied(text, tmp_path)
    assert written == []
    assert said.startswith("Too long for a clipboard")
    assert file.read_text("utf-8") == text + "\n"


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    said, written, _ = copied("x", tmp_path)
    assert len(written) == 1
    assert "could not be kept in a file" in said


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "home" / "copied.txt").symlink_to(tmp_path / "victim")
    copied("x", tmp_path)
    assert (tmp_path / "victim").read_text() == "mine"
    assert (tmp_path / "home" / "copied.txt").read_text() == "x\n"


def test_nothing_that_a_shell_obeys_when_it_is_pasted_is_copied() -> None:
    for text in (*everything(), "id\nrm -rf /\r\n"):
        assert clean(text).isprintable()
    assert clean("a\nb") == "a\\x0ab"
    assert clean("C:\\x y") == "C:\\x y"


def test_without_a_tmux_that_answers_the_terminal_is_asked(tmp_path: Path) -> None:
    for environ in ({"TMUX": "/nowhere,1,0"}, {"TMUX": "x", "PATH": str(tmp_path)}):
        said, written, _ = copied("x", tmp_path, **({"PATH": os.environ["PATH"]} | environ))
        assert len(written) == 1
        assert said.startswith("Sent to the terminal")


@pytest.fixture
def tmux() -> Iterator[tuple[str, str]]:
    """A server of our own: its name, and what it puts into TMUX."""
    name = f"limegrove-{uuid.uuid4().hex[:12]}"

    def run(*arguments: str) -> str:
        done = subprocess.run(["tmux", "-L", name, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    run("-f", "/dev/null", "new-session", "-d", "sleep 600")
    yield name, run("display-message", "-p", "#{socket_path},#{pid},0")
    run("kill-server")


@pytest.mark.tmux
@pytest.mark.skipif(MISSING, reason="tmux is not installed")
def test_in_tmux_its_buffer_has_it_whatever_its_options_are(tmux: tuple[str, str], tmp_path: Path) -> None:
    name, address = tmux
    said, written, _ = copied("ACME\\svc $(id) 'x'", tmp_path, TMUX=address, PATH=os.environ["PATH"])
    assert written == []
    assert said.startswith("Copied into tmux, 18 characters")
    shown = subprocess.run(["tmux", "-L", name, "show-buffer"], capture_output=True, text=True, check=True)
    assert shown.stdout == "ACME\\svc $(id) 'x'"
