"""What the program does where it cannot print, or where a standard stream was closed before it began."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

LIMEGROVE = shlex.join([sys.executable, "-m", "console"])

PRINTING = (
    "--help",
    "alert --help",
    "alert list",
    "alert list --output table",
    "case list --output csv",
    "tree export",
    "billing prices example",
    "doctor",
)


@pytest.fixture
def run(filled: Path, tmp_path: Path):
    """Runs a line of a shell in which `limegrove` is the program."""

    def go(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", line.replace("limegrove", LIMEGROVE)],
            capture_output=True, text=True, check=False, env=os.environ | {"LIMEGROVE_HOME": str(filled)},
        )  # fmt: skip

    return go


@pytest.mark.parametrize("words", PRINTING)
def test_output_that_cannot_be_written_is_one_sentence_and_a_failure(words, run, filled, tmp_path):
    # A file that is open for reading only refuses what is written as a full disk does.
    (tmp_path / "out").touch()
    done = run(f"limegrove {words} 1< {tmp_path / 'out'}")

    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert last == "limegrove: What was to be printed cannot be written: Bad file descriptor."
    assert "Traceback" not in done.stderr
    assert "unforeseen" not in done.stderr
    assert not (filled / "crashes").exists()


def test_more_than_a_buffer_holds_is_told_the_same_way(tmp_path):
    # What is larger than the buffer is written past it, and nothing is left that a flush could fail of.
    (tmp_path / "out").touch()
    script = (
        "import sys; from console import streams; streams.prepare()\n"
        "try: sys.stdout.write('x' * 1_000_000)\n"
        "except streams.NotPrinted as error: print(error, file=sys.stderr); streams.print_nowhere()"
    )
    with (tmp_path / "out").open() as out:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=out, stderr=subprocess.PIPE, text=True, check=False
        )

    assert (done.returncode, done.stderr) == (
        0, "What was to be printed cannot be written: Bad file descriptor.\n",
    )  # fmt: skip


def test_a_closed_output_is_told_before_anything_is_done(run, filled):
    done = run("limegrove tree add Europe >&-")

    assert done.returncode == 1
    assert done.stderr == (
        "limegrove: Standard output is closed, so there is nowhere to print to; nothing was done.\n"
    )
    assert "Europe" not in run("limegrove tree show --output json").stdout


def test_a_closed_input_is_nobody_to_ask(run):
    done = run("limegrove alert close --all --as pending <&-")

    assert done.returncode == 5
    assert "Nobody is here to answer; --yes answers yes." in done.stderr


def test_what_is_said_goes_nowhere_where_standard_error_is_closed(run):
    done = run("limegrove alert show nonesuch 2>&-")

    assert (done.returncode, done.stdout) == (2, "")


def test_a_reader_that_has_gone_is_no_failure(run):
    done = run("limegrove --help | true; limegrove alert list | head -c 1")

    assert (done.returncode, done.stdout, done.stderr) == (0, "[", "")
