"""The whole console in a real terminal, over a store that strangers filled.

The terminal is tmux with its clipboard open to programs: what it would obey shows in its paste buffers, its title, the
bytes it was sent, and the keys that it answers to questions.
"""

import re
import sys
from pathlib import Path

import pytest

from screens.guard import forbidden
from store.database import Store
from store.times import now_ms
from tests.helpers.hostile import fill_with_hostility
from tests.helpers.sandboxes import ROOT, environment
from tests.helpers.tmux import MISSING, Tmux

pytestmark = [pytest.mark.tmux, pytest.mark.skipif(MISSING, reason="tmux is not installed")]

# What Textual itself sends beside text: colours, places, modes, the keyboard protocol, the shape of the pointer, and
# two questions about synchronized output and resizing. Nothing with a free text in it.
OWN = re.compile(
    r"\x1b\[[0-9;:]*m|\x1b\[[0-9]*(?:;[0-9]+)?H|\x1b\[\?[0-9]+[hl]|\x1b\[\?20[24][68]\$p|\x1b\[[<>][0-9]*u|"
    r"\x1b\]22;default\x07|[\r\n]"
)


def console(home: Path) -> Tmux:
    env = environment(home, LANG="C.UTF-8")
    command = f"cd {ROOT} && printf ready && read _ && exec {sys.executable} -m console --offline"
    return Tmux(["sh", "-c", command], env, columns=100, rows=30)


def test_hostile_names_steer_no_terminal(tmp_path: Path) -> None:
    home = tmp_path / "limegrove" / "default"
    home.mkdir(parents=True, mode=0o700)
    home.parent.chmod(0o700)
    store = Store(f"sqlite:///{home / 'store.db'}")
    fill_with_hostility(store, now_ms())
    store.close()
    written = tmp_path / "written"

    with console(tmp_path) as terminal:
        terminal.wait("ready")
        title = terminal.title()
        terminal._tmux("pipe-pane", "-O", "-t", "main", f"cat > {written}")
        terminal.press("Enter")
        terminal.wait("Alerts")
        for view in ("1", "2", "3", "4", "5"):
            terminal.press(view)
            terminal.wait(lambda screen: "ALL ORGANIZATIONS" in screen.splitlines()[0])
        terminal.press("3")
        first = terminal.wait(lambda screen: "Alerts" in screen.splitlines()[1] and "CRIT" in screen)
        terminal.press("Enter")
        terminal.wait(lambda screen: screen != first)
        for _ in range(30):
            before = terminal.screen()
            terminal.press("PageDown")
            terminal.wait(lambda screen, before=before: screen != before or "no more" in screen, 10)
        terminal.press("J")
        terminal.wait('"cat"')
        terminal.press("q")
        last = terminal.wait(lambda screen: "Alerts" in screen.splitlines()[1])

        assert "ENDED" not in last
        # An answer to a hostile question would have arrived as keys: a filter, a command, another view.
        assert not last.splitlines()[-1].startswith((":", "/"))
        assert terminal.buffers() == ""
        assert terminal.title() == title
        terminal._tmux("pipe-pane", "-t", "main")
    sent = written.read_bytes()
    assert len(sent) > 20_000
    assert b"\\x1b" in sent
    left = [ascii(part) for part in OWN.split(sent.decode("utf-8")) if forbidden(part)]
    assert left == []


def test_the_terminal_would_obey_what_is_sent_raw(tmp_path: Path) -> None:
    attack = r"\033]52;c;ZXZpbA==\007\033]2;pwned\007\033[c"
    # tmux opens its clipboard only after the start; a line from the keyboard says that it has.
    command = [
        "sh",
        "-c",
        f"printf ready; read _; stty -echo; printf '{attack}'; printf sent; dd bs=1 count=4 2>/dev/null | od -c",
    ]
    with Tmux(command, environment(tmp_path, LANG="C.UTF-8")) as terminal:
        terminal.wait("ready")
        terminal.press("Enter")
        terminal.wait("sent")
        assert terminal.title() == "pwned"
        assert "evil" in terminal.buffers()
        terminal.press("Enter")
        terminal.wait(lambda screen: "033   [   ?" in screen)
