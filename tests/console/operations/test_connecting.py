"""One rate budget per credential, whoever asks: real processes against a sandbox with a narrow window."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.limits import Limits
from console.operations.connecting import shared_limits
from console.settings import load
from store.secret import Secret
from tests.helpers.sandboxes import ROOT, as_user, limegrove, sandbox_process

QUOTA, PERIOD = 80, 2
"""What the sandbox grants: 40 requests a second, which one process alone would use up."""
EACH = 70
"""Requests that every process sends."""

ASK = """
import asyncio, json, sys
from console import process, settings
process.harden()
from console.limacharlie.limits import Limits, in_background
from console.operations.connecting import connect

looks = 0
take = Limits._take
def counted(self, *arguments):
    global looks
    looks += 1
    return take(self, *arguments)
Limits._take = counted

async def main(each):
    async with connect(settings.load()) as cloud:
        await cloud.who()
        oids = [row.oid async for page in cloud.organizations() for row in page if row.name != "x"]
        print("ready", flush=True)
        sys.stdin.readline()
        left = each
        async def work():
            nonlocal left
            while left > 0:
                left -= 1
                await cloud.who()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(work())
        print(json.dumps({"looks": looks, "requests": cloud.stats.requests, "alone": cloud.limits.now().alone}))

asyncio.run(main(int(sys.argv[1])))
"""


@contextmanager
def asking(env: dict[str, str], each: int) -> Iterator["subprocess.Popen[str]"]:
    """A process that waits for a line on its standard input, and then sends so many requests."""
    process = subprocess.Popen(
        [sys.executable, "-c", ASK, str(each)],
        cwd=ROOT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def refused(stage: dict[str, Any]) -> tuple[int, int]:
    """(requests that the sandbox answered with 429, all of them)"""
    with urllib.request.urlopen(stage["url"] + "/sandbox/log") as answer:
        log = json.load(answer)
    return log["statuses"].get("429", 0), log["total"]


def test_three_processes_stay_under_the_rate_that_one_of_them_learned(tmp_path: Path) -> None:
    window = ("--rate-quota", str(QUOTA), "--rate-period", str(PERIOD))
    with sandbox_process(tmp_path / "sandbox", "--orgs", "3", "--detections", "10", *window) as (stage, _):
        env = as_user(tmp_path, stage)
        with asking(env, EACH) as one, asking(env, EACH) as two, asking(env, EACH) as three:
            with asking(env, 10 * EACH) as killed:
                processes = (one, two, three)
                for process in (*processes, killed):
                    assert process.stdout.readline() == "ready\n"
                warm, before = refused(stage)
                for process in (killed, *processes):
                    process.stdin.write("\n")
                    process.stdin.flush()
                while refused(stage)[1] < before + 100:
                    pass
                killed.send_signal(signal.SIGKILL)
            told = [json.loads(process.stdout.readline()) for process in processes]
        late, total = refused(stage)
        assert total - before >= 3 * EACH
        assert late - warm <= (total - before) / 100
        for each in told:
            assert each["alone"] == ""
            # It looks when it comes, and when its turn should be; neither the pause nor the wait is a loop.
            assert each["looks"] <= 4 * each["requests"]


def limits_of(home: Path) -> Limits:
    settings = load(environ={"LIMEGROVE_HOME": str(home)})
    return shared_limits(settings, UserKey("user", Secret("secret")), Endpoint.limacharlie())


def test_the_budget_lies_in_the_workspace_for_this_user_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        assert limits_of(tmp_path / "home").now().alone == ""
    finally:
        os.umask(before)
    for path in (tmp_path / "home").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("obstacle", ["open", "file"])
def test_a_workspace_that_cannot_be_used_leaves_the_process_a_budget_that_says_so(
    tmp_path: Path, obstacle: str
) -> None:
    home = tmp_path / "home"
    if obstacle == "open":
        home.mkdir()
        home.chmod(0o755)
    else:
        home.touch()
    assert str(home) in limits_of(home).describe()


def test_a_sync_says_what_became_of_its_budget(tmp_path: Path) -> None:
    with sandbox_process(tmp_path / "sandbox", "--orgs", "2", "--detections", "10") as (stage, _):
        done = limegrove("sync", "--only", "orgs", "--output", "json", env=as_user(tmp_path, stage))
    budget = json.loads(done.stdout)["budget"]
    assert budget["quota"] == 600_000
    assert budget["throttled"] == 0
    assert budget["asked"] > 0
    assert budget["shared"] is True
    assert budget["words"].endswith("requests/s")
