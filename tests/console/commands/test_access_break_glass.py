"""`access break-glass` against a sandbox, and what reminds of one that is overdue."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from store.database import Store
from tests.helpers.sandboxes import ROOT, as_user, limegrove, sandbox_process

WORLD = ("--seed", "3", "--orgs", "3", "--detections", "20")
GROUP = "Active Responders"


class Here:
    """A workspace whose store has read a sandbox."""

    def __init__(self, home: Path, stage: dict[str, Any]) -> None:
        self.home = home
        self.stage = stage
        self.env = as_user(home, stage)

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command."""
        return limegrove(*arguments, env=self.env)

    def glass(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `access break-glass ...`."""
        return self("access", "break-glass", *arguments)

    def listed(self) -> list[dict[str, Any]]:
        """What `list` prints."""
        found: list[dict[str, Any]] = json.loads(self.glass("list").stdout)
        return found

    def start(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`start` for somebody who is no member."""
        return self.glass(
            "start", "--principal", self.outsider, "--group", GROUP, "--reason", "it burns", "--ticket", "INC-1",
            "--for", "2h", *arguments,
        )  # fmt: skip

    @cached_property
    def outsider(self) -> str:
        """Somebody who is in other groups."""
        with closing(self.store()) as store, store.reader.reading() as connection:
            found = connection.exec_driver_sql(
                "SELECT min(email) FROM group_member WHERE NOT owner AND email NOT IN (SELECT email FROM"
                " group_member m JOIN organization_group g ON g.gid = m.gid WHERE g.name = ?)",
                (GROUP,),
            )
            return str(found.scalar_one())

    def store(self) -> Store:
        """The store, as another process sees it."""
        return Store(f"sqlite:///{self.home / 'limegrove' / 'default' / 'store.db'}")

    def make_overdue(self) -> None:
        """Let the time of all of them have passed ten minutes ago."""
        with closing(self.store()) as store, store.writing() as connection:
            connection.exec_driver_sql(
                "UPDATE access_deadline SET due_at = ?, next_at = 0", (time.time_ns() // 1_000_000 - 600_000,)
            )

    def changes(self) -> list[tuple[str, str]]:
        """The requests that changed a membership."""
        with urllib.request.urlopen(f"{self.stage['url']}/sandbox/log?newest=5000", timeout=10) as answer:
            entries = json.load(answer)["newest"]
        return [
            (each["method"], each["template"])
            for each in entries
            if each["template"] == "/v1/groups/{gid}/users" and each["effect"]
        ]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    home = tmp_path / "home"
    home.mkdir()
    with sandbox_process(tmp_path / "sandbox", *WORLD) as (stage, _):
        found = Here(home, stage)
        assert found("sync", "--since", "1d").returncode in (0, 3)
        yield found


def test_it_is_started_listed_reported_and_ended(here: Here) -> None:
    refused = here.start()
    assert refused.returncode == 5
    assert f"--confirm '{GROUP}'" in refused.stderr
    assert "Nothing was changed" in refused.stderr
    locked = here.start("--confirm", GROUP, "--read-only")
    assert locked.returncode == 5
    assert here.listed() == []
    started = here.start("--confirm", GROUP)
    assert started.returncode == 0, started.stderr
    given = json.loads(started.stdout)
    assert (given["outcome"], given["state"], given["group"], given["ticket"]) == (
        "given", "given", GROUP, "INC-1",
    )  # fmt: skip
    assert 7100 < given["left"] <= 7200
    assert given["organizations"]
    twice = here.start("--confirm", GROUP)
    assert twice.returncode == 5
    assert "has it already" in twice.stderr
    longer = here.glass("extend", "1", "--for", "30m", "--reason", "still burning", "--confirm", GROUP)
    assert longer.returncode == 0, longer.stderr
    assert 8900 < json.loads(longer.stdout)["left"] <= 9000
    assert here("doctor", "--offline").returncode == 0
    ended = here.glass("end", "1")
    assert ended.returncode == 0, ended.stderr
    assert (json.loads(ended.stdout)["end"], json.loads(ended.stdout)["state"]) == ("early", "ended")
    assert here.changes() == [("POST", "/v1/groups/{gid}/users"), ("DELETE", "/v1/groups/{gid}/users")]
    again = here.glass("end", "1")
    assert again.returncode == 5
    assert "over already" in again.stderr
    assert here("sync", "--since", "1d").returncode in (0, 3)
    report = json.loads(here.glass("report", "1").stdout)
    assert report["done"] == []
    assert {each["kind"] for each in report["group_log"]} >= {"add_member", "remove_member"}
    assert any("Reads are not audited" in note for note in report["notes"])


def test_what_is_overdue_is_complained_about_and_taken_back_by_any_command(here: Here) -> None:
    assert here.start("--confirm", GROUP).returncode == 0
    here.make_overdue()
    doctor = here("doctor", "--offline")
    assert doctor.returncode == 1
    (item,) = [each for each in json.loads(doctor.stdout)["items"] if each["item"] == "break-glass"]
    assert item["state"] == "bad"
    assert "OVERDUE for 10m" in item["sentence"]
    assert "`limegrove access break-glass end 1`" in item["sentence"]
    listed = here.glass("list")
    assert json.loads(listed.stdout)[0]["state"] == "overdue"
    assert "OVERDUE" in listed.stderr
    assert here("sync", "--since", "1d", "--read-only").returncode in (0, 3, 5)
    assert here.listed()[0]["state"] == "overdue", "a read-only command takes nothing back"
    offline = here.glass("end", "1", "--offline")
    assert offline.returncode == 1
    assert "OVERDUE" in offline.stderr
    other = here("sync", "--since", "1d")
    assert other.returncode in (0, 3)
    assert "Its time has passed" in other.stderr
    (glass,) = here.listed()
    assert (glass["state"], glass["end"], glass["tries"]) == ("ended", "expired", 0)
    assert [method for method, _ in here.changes()] == ["POST", "DELETE"]
    assert here("doctor", "--offline").returncode == 0


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"--for": "soon"}, "use a number and a unit"),
        ({"--for": "25h"}, "from 1m to 24h"),
        ({"--for": "10s"}, "from 1m to 24h"),
        ({"--reason": "  "}, "--reason: cannot be empty"),
        ({"--ticket": ""}, "--ticket: cannot be empty"),
        ({"--principal": "nobody"}, "is not an e-mail address"),
        ({"--group": "No such \x1b[2Jgroup"}, "There is no group"),
    ],
)
def test_what_is_not_understood_is_said_in_a_sentence(
    filled: Path, limegrove: Any, changed: dict[str, str], says: str
) -> None:
    words = {
        "--principal": "kim@acme.example", "--group": "Tier 1", "--reason": "r", "--ticket": "t", "--for": "1h",
    } | changed  # fmt: skip
    answer = limegrove("access", "break-glass", "start", *(word for pair in words.items() for word in pair))
    assert answer.code == 2
    assert says in answer.err
    assert "\x1b" not in answer.err
    assert "Traceback" not in answer.err


def test_an_unknown_number_is_said(filled: Path, limegrove: Any) -> None:
    for verb in (("end", "7", "--offline"), ("report", "7"), ("extend", "7", "--for", "1h", "--reason", "r")):
        answer = limegrove("access", "break-glass", *verb)
        assert (answer.code, "no break-glass 7" in answer.err) == (2, True), verb


def test_a_watcher_takes_back_what_a_killed_command_gave(here: Here) -> None:
    starting = subprocess.Popen(
        [sys.executable, "-m", "console", "access", "break-glass", "start", "--principal", here.outsider,
         "--group", GROUP, "--reason", "r", "--ticket", "t", "--for", "1h", "--confirm", GROUP],
        cwd=ROOT, env=here.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    while not here.changes():
        assert starting.poll() is None or here.changes()
        time.sleep(0.01)
    starting.send_signal(signal.SIGKILL)
    starting.wait()
    here.make_overdue()
    watcher = subprocess.Popen(
        [sys.executable, "-m", "console", "sync", "--watch", "--interval", "1", "--since", "1d"],
        cwd=ROOT, env=here.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while here.listed()[0]["state"] != "ended":
            assert time.monotonic() < deadline, here.listed()
            time.sleep(0.2)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(watcher.pid, signal.SIGTERM)
        watcher.wait(20)
    assert [method for method, _ in here.changes()] == ["POST", "DELETE"]
