"""What the process closes before it does anything, asked of a real process."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from console import process, redaction
from console.process import WorkspaceError, private_directory, start_log, workspace
from console.redaction import RedactingFormatter, redact, remember
from store.secret import Secret
from tests.helpers.sandboxes import ROOT

KEY = "canary-5b0f9a52-4c1d-4e4e"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJlbWFpbCI6ImNhbmFyeSJ9.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", set())


def run(code: str, home: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    """A fresh interpreter that hardens itself and runs `code`."""
    return subprocess.run(
        [sys.executable, "-c", f"from console.process import *\nimport json, os, sys\nharden()\n{code}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LIMEGROVE_HOME": str(home / "lg"), **environ},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_files_are_private_no_core_is_dumped_and_nobody_attaches(tmp_path: Path) -> None:
    ran = run("print(json.dumps(posture()))", tmp_path)
    assert json.loads(ran.stdout) == {"umask": 0o077, "core_limit": 0, "dumpable": 0}


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_whatever_the_umask_was_every_file_and_directory_is_private(tmp_path: Path, mask: int) -> None:
    code = (
        "from pathlib import Path; import logging\n"
        "home = workspace(Path(os.environ['LIMEGROVE_HOME']))\n"
        "start_log(home); logging.warning('x'); report_crash(ValueError('x'))\n"
    )
    old = os.umask(mask)
    try:
        assert run(code, tmp_path).returncode == 0
    finally:
        os.umask(old)
    found = {str(p.relative_to(tmp_path)): p.stat().st_mode & 0o777 for p in (tmp_path / "lg").rglob("*")}
    assert found.pop("lg/log") == found.pop("lg/crashes") == 0o700
    assert found.pop("lg/log/limegrove.log") == 0o600
    assert list(found.values()) == [0o600]
    assert (tmp_path / "lg").stat().st_mode & 0o777 == 0o700


def test_children_inherit_neither_keys_nor_textuals_variables_but_the_locale(tmp_path: Path) -> None:
    code = (
        "import subprocess\n"
        "print(subprocess.run(['env'], capture_output=True, text=True).stdout)\n"
        "assert take_environment_credentials().uid == 'Zx9kQ2'\n"
        "assert take_environment_credentials().secret.reveal().startswith('canary-')\n"
        "assert official_files() == {'LC_CONFIG_DIR': '/somewhere'}\n"
    )
    ran = run(
        code,
        tmp_path,
        LC_UID="Zx9kQ2",
        LC_API_KEY=KEY,
        LC_OID="",
        LC_CONFIG_DIR="/somewhere",
        LC_ALL="C.UTF-8",
        LC_CTYPE="C.UTF-8",
        TEXTUAL_LOG=str(tmp_path / "textual.log"),
        TEXTUAL="devtools",
    )
    assert ran.returncode == 0, ran.stderr
    names = {line.partition("=")[0] for line in ran.stdout.splitlines()}
    assert {name for name in names if name.startswith(("LC_", "TEXTUAL"))} == {"LC_ALL", "LC_CTYPE"}
    assert KEY not in ran.stdout


def test_malformed_variables_are_told_when_they_are_needed_and_not_before(tmp_path: Path) -> None:
    code = (
        "print('started')\n"
        "try: take_environment_credentials()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    ran = run(code, tmp_path, LC_API_KEY=KEY)
    assert ran.stdout.splitlines()[0] == "started"
    assert ran.stdout.splitlines()[1].startswith("CredentialError LC_API_KEY needs LC_UID")
    assert KEY not in ran.stdout


CRASHES = {
    "in the main thread": "def f(local):\n    raise ValueError(f'boom {key} {jwt}')\n",
    "with a cause": (
        "def f(local):\n    try:\n        raise KeyError(key)\n"
        "    except KeyError as e:\n        raise RuntimeError('boom') from e\n"
    ),
    "in a group": "def f(local):\n    raise ExceptionGroup('boom', [ValueError(jwt), KeyError(key)])\n",
}


@pytest.mark.parametrize("body", CRASHES.values(), ids=CRASHES)
def test_a_crash_is_one_sentence_exit_1_and_a_file_without_secrets_or_locals(
    tmp_path: Path, body: str
) -> None:
    code = (
        "from console.redaction import remember\n"
        "key, jwt = sys.stdin.read().split(); remember(key)\n"
        f"{body}f('local-' + 'value')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", f"from console.process import *\nimport sys\nharden()\n{code}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LIMEGROVE_HOME": str(tmp_path / "lg")},
        input=f"{KEY} {JWT}",
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    (crash,) = (tmp_path / "lg/crashes").iterdir()
    assert crash.stat().st_mode & 0o777 == 0o600
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith("limegrove: limegrove met an unforeseen error (")
    assert str(crash) in ran.stderr
    written = crash.read_text()
    assert "boom" in written
    assert "Python 3." in written
    for text in (written, ran.stderr, ran.stdout):
        assert KEY not in text
        assert JWT not in text
        assert "local-value" not in text


def test_a_crash_in_a_thread_leaves_a_file_too(tmp_path: Path) -> None:
    code = (
        "import threading\n"
        "def f(): raise ValueError('boom')\n"
        "t = threading.Thread(target=f); t.start(); t.join()\n"
    )
    ran = run(code, tmp_path)
    (crash,) = (tmp_path / "lg/crashes").iterdir()
    assert "boom" in crash.read_text()
    assert ran.stderr.count("\n") == 1


def test_a_crash_that_cannot_be_written_down_is_still_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "lg").write_text("in the way")
    ran = run("raise ValueError('boom')", tmp_path)
    assert ran.returncode == 1
    assert (
        ran.stderr
        == "limegrove: limegrove met an unforeseen error (ValueError), and could not write a crash file.\n"
    )


def test_a_workspace_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    for mode in (0o755, 0o750, 0o701, 0o720):
        path = tmp_path / f"{mode:o}"
        path.mkdir()
        path.chmod(mode)
        with pytest.raises(WorkspaceError, match=rf"open to other users; run `chmod 700 {path}`\.$"):
            workspace(path)
        assert path.stat().st_mode & 0o777 == mode


def test_a_link_a_file_and_a_strangers_directory_are_no_workspace(tmp_path: Path) -> None:
    real = private_directory(tmp_path / "real")
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    for name, sentence in (("link", "is a link"), ("dangling", "is a link"), ("file", "is not a directory")):
        with pytest.raises(WorkspaceError, match=sentence):
            workspace(tmp_path / name)
    if os.geteuid() == 0:
        stranger = private_directory(tmp_path / "stranger")
        os.chown(stranger, 65534, 65534)
        with pytest.raises(WorkspaceError, match="belongs to another user"):
            workspace(stranger)


def test_a_workspace_below_a_directory_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o777)
    with pytest.raises(WorkspaceError, match="which everybody may write"):
        workspace(public / "home")
    public.chmod(0o1777)
    assert workspace(public / "home") == public / "home"


def test_the_log_holds_no_secret_and_no_strangers_line(tmp_path: Path) -> None:
    remember(Secret(KEY))
    root = logging.getLogger()
    level = root.level
    handler = start_log(tmp_path)
    try:
        logging.getLogger("x").warning("key %s\nFORGED line \x1b[2J", KEY)
        try:
            raise ValueError(f"with {JWT}")
        except ValueError:
            logging.getLogger("x").exception("it failed")
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
    path = tmp_path / "log/limegrove.log"
    text = path.read_text()
    assert KEY not in text
    assert JWT not in text
    assert "\x1b" not in text
    assert "ValueError: with [hidden]" in text
    starts = [line for line in text.splitlines() if not line.startswith("    ")]
    assert len(starts) == 2
    assert all(" x: " in line for line in starts)


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {KEY}",
        f"authorization: bearer {JWT}",
        f'{{"secret": "{KEY}", "uid": "x"}}',
        f"{{'api_key': '{KEY}'}}",
        f"uid=x&secret={KEY}&oid=-",
        f"LC_API_KEY={KEY}",
        f"postgresql://team:{KEY}@db/prod",
        f"password: {KEY}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n-----END RSA PRIVATE KEY-----",
        f"x{JWT}y",
    ],
)
def test_what_looks_like_a_secret_is_taken_out_though_nobody_knew_it(text: str) -> None:
    assert KEY not in redact(text)
    assert JWT not in redact(text)
    assert "[hidden]" in redact(text)


def test_a_known_secret_is_taken_out_wherever_it_stands_and_however_it_is_written() -> None:
    remember(Secret("pa ss/wörd+1"))
    text = "a pa ss/wörd+1 b pa%20ss%2Fw%C3%B6rd%2B1 c pa+ss%2Fw%C3%B6rd%2B1 d pa ss/w\\xf6rd+1"
    assert redact(text) == "a [hidden] b [hidden] c [hidden] d [hidden]"


@pytest.mark.parametrize(
    "text",
    [
        "GET orgs/7e41aa10-0000-4000-8000-00000000789d/users answered 200",
        "permission secret.get is missing",
        "https://api.limacharlie.io/v1/who",
        "sqlite:////home/x/.local/share/limegrove/default/store.db",
        "",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_a_record_keeps_its_place_and_time() -> None:
    record = logging.LogRecord("sync", logging.INFO, "f", 1, "%d of %d", (2, 3), None)
    record.created = 1_764_000_000.25
    assert RedactingFormatter().format(record) == "2025-11-24T16:00:00.250Z INFO sync: 2 of 3"


LOOP = """
import asyncio
async def main():
    stop = asyncio.Event()
    with ending_on_signals(asyncio.get_running_loop(), {stop}, grace={grace}) as ending:
        print("ready", flush=True)
        await stop.wait()
        print("step finished", flush=True)
    return ending.exit_code
sys.exit(asyncio.run(main()))
"""


def signalled(number: int, home: Path, code: str) -> tuple[int, str]:
    # Whoever runs the tests may have had hang-ups ignored, which what is started inherits.
    heard = "import signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{heard}from console.process import *\nharden()\n{code}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LIMEGROVE_HOME": str(home / "lg")},
        text=True,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    return process.returncode, out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_lets_the_current_step_finish_and_sets_the_exit_code(
    tmp_path: Path, number: int, code: int
) -> None:
    assert signalled(number, tmp_path, LOOP.format(stop="stop.set", grace=20)) == (code, "step finished\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_step_that_does_not_end_is_ended(tmp_path: Path, number: int, code: int) -> None:
    assert signalled(number, tmp_path, LOOP.format(stop="(lambda: None)", grace=0.1)) == (code, "")


def test_a_thread_that_writes_to_a_lost_terminal_is_no_crash(monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(process, "report_crash", lambda error: told.append(error) or "")
    for error in (OSError(errno.EIO, "lost"), OSError(errno.ENOSPC, "full")):
        process._on_thread_crash(threading.ExceptHookArgs((type(error), error, None, None)))
    assert [error.errno for error in told] == [errno.ENOSPC]
