"""The demo in a real terminal of 80x24, by keyboard alone, as a newcomer would walk through it."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.sandboxes import ROOT, environment
from tests.helpers.tmux import MISSING, Tmux

pytestmark = [pytest.mark.tmux, pytest.mark.skipif(MISSING, reason="tmux is not installed")]

DEMO = [
    sys.executable,
    "-m",
    "console",
    "demo",
    "--orgs",
    "24",
    "--detections",
    "2500",
    "--live-rate",
    "0",
    "--untouched",
]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Tmux]:
    command = ["sh", "-c", f"cd {ROOT} && exec {' '.join(DEMO)}"]
    with Tmux(command, environment(tmp_path, LANG="C.UTF-8")) as terminal:
        terminal.wait(lambda screen: "23 of 24 fresh" in screen, 120)
        yield terminal


def _counts(screen: str) -> tuple[int, int]:
    """(matching, open) of line 2."""
    found = re.search(r"([\d,]+)(?: of ([\d,]+))? open", screen.splitlines()[1])
    if not found:
        return (0, 0)
    first = int(found[1].replace(",", ""))
    return first, int(found[2].replace(",", "")) if found[2] else first


def test_from_the_demo_to_a_region_an_alert_its_json_its_matrix_and_back(demo: Tmux) -> None:
    everywhere = demo.wait(lambda screen: "Alerts" in screen.splitlines()[1] and "!! CRIT" in screen)
    assert "ALL ORGANIZATIONS" in everywhere.splitlines()[0]
    assert "demo" in everywhere.splitlines()[0]
    assert "WRITE" in everywhere.splitlines()[0]
    total = _counts(everywhere)[0]

    demo.press("2")
    tree = demo.wait("Northligh")
    assert "Europe" in tree
    demo.press("j")
    demo.wait(lambda screen: re.search(r"^>.*Europe", screen, re.MULTILINE) is not None)
    demo.press("s")
    demo.wait(lambda screen: screen.splitlines()[0].startswith(" Europe"))

    demo.press("3")
    region = demo.wait(lambda screen: "Alerts" in screen.splitlines()[1] and 0 < _counts(screen)[0] < total)

    demo.press("/")
    demo.type("sev:high cat:powershell")
    demo.press("Enter")
    filtered = demo.wait(lambda screen: "/sev:high and above cat:powershell" in screen.splitlines()[1])
    assert 0 < _counts(filtered)[0] < _counts(region)[0]
    rows = [line for line in filtered.splitlines()[3:-1] if line.strip()]
    assert rows
    assert all("Encoded Pow" in line for line in rows), filtered

    demo.press("Enter")
    detail = demo.wait("powershell.exe")
    assert "command " in detail
    assert "rule " in detail
    demo.press("J")
    demo.wait('"detect_id"' if '"detect_id"' in demo.screen() else '"cat"')
    demo.press("q")
    demo.wait("enter open")

    demo.press("m")
    matrix = demo.wait("principals")
    assert "Access" in matrix.splitlines()[1]
    assert "@northl" in matrix
    demo.press("q")
    back = demo.wait(lambda screen: "Alerts" in screen.splitlines()[1])
    assert "/sev:high and above cat:powershell" in back


def test_nothing_quits_by_accident_and_quit_asks(demo: Tmux) -> None:
    for _ in range(6):
        demo.press("q")
    demo.press("Escape")
    demo.wait("ALL ORGANIZATIONS")
    demo.press(":")
    demo.wait(lambda screen: screen.splitlines()[-2].startswith(":"))
    demo.type("quit")
    demo.wait(":quit")
    demo.press("Enter")
    demo.wait("Leave")
    demo.press("y")
    demo.wait("ENDED-0")


def test_a_window_of_any_size_breaks_nothing(demo: Tmux) -> None:
    for columns, rows in ((1, 1), (200, 50), (5, 3), (80, 2), (30, 60), (80, 24)):
        demo.resize(columns, rows)
    demo.wait(lambda screen: "ALL ORGANIZATIONS" in screen and "!! CRIT" in screen)
