"""A sync that is killed, and a cloud that goes away in the middle."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store.database import Store
from tests.helpers.dump import content
from tests.helpers.sandboxes import ROOT, as_user, limegrove, sandbox_process
from tests.helpers.soak import rounds

WORLD = ("--seed", "5", "--orgs", "6", "--detections", "2500", "--now", "2026-11-20T12:00:00Z")


def _content(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(Store(f"sqlite:///{home / 'limegrove' / 'default' / 'store.db'}")) as store:
        return content(store)


@pytest.mark.soak
def test_a_sync_killed_again_and_again_ends_in_the_same_store_as_an_undisturbed_one(tmp_path: Path) -> None:
    with sandbox_process(tmp_path / "sandbox", *WORLD, "--latency", "4") as (stage, _):
        calm = tmp_path / "calm"
        calm.mkdir()
        done = limegrove("sync", "--since", "3650d", env=as_user(calm, stage))
        assert done.returncode == 3, done.stderr  # one organization answers 401, by the world's making
        expected = _content(calm)
        assert len(expected["detection"]) > 2000
        assert len(expected["configuration_record"]) > 50

        for seed in rounds(0.4):
            whole = sum(len(expected[table]) for table in COUNTED)
            chance = random.Random(seed)
            killed = 0
            for attempt in range(4):
                # A page is many rows: one may be through before it is looked at again, and then it is no case.
                rough = tmp_path / f"rough-{seed}-{attempt}"
                rough.mkdir()
                killed = _killed_syncs(rough, as_user(rough, stage), chance, whole)
                if killed == 4:
                    break
            assert killed == 4, seed
            again = limegrove("sync", "--since", "3650d", env=as_user(rough, stage))
            assert again.returncode == 3, (seed, again.stderr)
            found = _content(rough)
            for table in expected:
                assert found[table] == expected[table], (seed, table)


def _killed_syncs(home: Path, env: dict[str, str], chance: random.Random, rows: int) -> int:
    """Begin a sync four times, and end it by SIGKILL when a random number of rows was written.

    Args:
        rows: how many a whole sync writes.

    Returns:
        How often it was still running.
    """
    killed = 0
    for _ in range(4):
        enough = _rows(home) + rows * chance.uniform(0.01, 0.2)
        process = subprocess.Popen(
            [sys.executable, "-m", "console", "sync", "--since", "3650d"],
            cwd=ROOT,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and _rows(home) < enough:
            time.sleep(0.002)
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    return killed


COUNTED = ("detection", "configuration_record", "sensor", "usage", "audit_entry")


def _rows(home: Path) -> int:
    """How much of the store's content is there."""
    path = home / "limegrove" / "default" / "store.db"
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return sum(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in COUNTED)
    except sqlite3.OperationalError:
        return 0  # the tables are being made
    finally:
        connection.close()


def test_a_cloud_that_goes_away_in_the_middle_is_one_sentence_and_a_later_sync_completes(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    options = (*WORLD, "--latency", "20")
    with sandbox_process(tmp_path / "first", *options) as (stage, server):
        port = stage["url"].rsplit(":", 1)[1]
        env = as_user(home, stage)
        process = subprocess.Popen(
            [sys.executable, "-m", "console", "sync", "--since", "3650d", "--output", "json"],
            cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        _wait_for_detections(home)
        server.terminate()
        server.wait(20)
        said, complained = process.communicate(timeout=120)
        assert process.returncode == 1
        assert said == ""
        assert complained.strip().count("\n") == 0 or complained.splitlines()[-1].startswith("limegrove: ")
        assert "Traceback" not in complained
    with sandbox_process(tmp_path / "second", *options, "--port", port):
        done = limegrove("sync", "--since", "3650d", "--output", "json", env=env)
        assert done.returncode == 3, done.stderr
        answer = json.loads(done.stdout)
        assert answer["organizations"] == 6
        assert len(answer["failed"]) == 1


def _wait_for_detections(home: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if _rows(home):
            return
        time.sleep(0.01)
    pytest.fail("nothing arrived within a minute")
