"""A file of customers is onboarded while five calls in a hundred fail and the process is killed three times."""

import contextlib
import json
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.forks import Fork
from tests.helpers.official import needs_official
from tests.helpers.onboarding import FAULTS, TEMPLATES, TREE, Customer, Told, faults, file_of
from tests.helpers.sandboxes import as_user, limegrove, sandbox_process
from tests.helpers.soak import minutes

WORLD = ("--seed", "3", "--orgs", "2", "--detections", "0", "--now", "2026-11-20T12:00:00Z")
KILLS = 3


def _ready(home: Path, stage: dict[str, Any], customers: list[Customer]) -> dict[str, str]:
    """A provider with a tree, templates, and the file `customers.csv`."""
    home.mkdir()
    env = as_user(home, stage)
    (home / "templates").mkdir()
    for name, text in TEMPLATES.items():
        (home / "templates" / name).write_text(text)
    (home / "tree.yaml").write_text(TREE)
    (home / "customers.csv").write_bytes(file_of(customers))
    for words in (
        ("sync",),
        ("tree", "import", str(home / "tree.yaml")),
        ("template", "import", str(home / "templates")),
        ("template", "assign", "base", "root"),
    ):
        done = limegrove(*words, env=env)
        assert done.returncode in (0, 3), (words, done.stderr)
    return env


def _made(home: Path) -> int:
    """How many organizations the run has made."""
    with contextlib.closing(sqlite3.connect(home / "limegrove" / "default" / "store.db", timeout=30)) as c:
        return int(c.execute("SELECT count(*) FROM run_item WHERE oid <> ''").fetchone()[0])


def _start(home: Path, env: dict[str, str], *words: str) -> Fork:
    with open(home / "out", "ab") as out, open(os.devnull, "rb") as nothing:
        return Fork(list(words), env, (nothing.fileno(), out.fileno(), out.fileno()))


def _kill_at(home: Path, process: Fork, made: int) -> None:
    """Kill it as soon as so many are made."""
    deadline = time.monotonic() + 600
    while _made(home) < made:
        assert process.poll() is None, (home / "out").read_text()[-3000:]
        assert time.monotonic() < deadline, (home / "out").read_text()[-3000:]
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL


@needs_official
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_customers_are_onboarded_though_calls_fail_and_the_process_is_killed(tmp_path: Path) -> None:
    """Twelve customers in `make test`, two hundred by `make soak`."""
    count = 200 if minutes() > 0 else 12
    home = tmp_path / "home"
    with sandbox_process(tmp_path / "sandbox", *WORLD) as (stage, _):
        shared = list(stage["users"])[1]
        customers = [Customer(number, shared) for number in range(1, count + 1)]
        env = _ready(home, stage, customers)
        faults(stage["url"], *FAULT_RULES)
        words: tuple[str, ...] = ("org", "onboard", str(home / "customers.csv"), "--yes")
        for kill in range(1, KILLS + 1):
            _kill_at(home, _start(home, env, *words), count * kill // (KILLS + 1))
            words = ("org", "resume", "1", "--yes")
        # What ended with failures is tried again, as an operator would.
        for _ in range(8):
            ended = _start(home, env, *words).wait(1200)
            if ended == 0:
                break
        said = (home / "out").read_text()[-3000:]
        assert ended == 0, said
        applied = faults(stage["url"], method="GET")
        faults(stage["url"], method="DELETE")
        share = sum(each["applied"] for each in applied) / max(each["matched"] for each in applied)
        assert 0.03 < share < 0.07, share
        _check(stage, home, env, customers)


FAULT_RULES = tuple(
    {"count": None, "seed": number, "path": "*", **rule} for number, rule in enumerate(FAULTS, 1)
)


def _check(stage: dict[str, Any], home: Path, env: dict[str, str], customers: list[Customer]) -> None:
    told = Told(stage, home)
    try:
        listed = told.organizations()
        assert max(listed.values()) == 1
        names = [name for name, _ in listed]
        assert len(set(names)) == len(names) == len(customers) + len(stage["oids"]), "one is there twice"
        oids = dict(listed.keys())
        groups = told.groups()
        root = told.sdk("client.request('GET', 'who')")["ident"]
        for customer in customers:
            found = told.organization(oids[customer.name], groups, root)
            assert found == customer.wanted, customer.name
    finally:
        told.close()
    tree = {row["oid"]: row for row in json.loads(limegrove("tree", "show", env=env).stdout) if row["oid"]}
    for customer in customers:
        row = tree[oids[customer.name]]
        assert row["parent"] == ("europe", "americas")[customer.number % 2]
        assert row["labels"] == {"tier": ("gold", "silver")[customer.number % 2]}
        assert row["marks"] == (["canary"] if customer.number % 20 == 0 else [])
    assert len(tree) == len(customers) + len(stage["oids"]), "an organization has two nodes"
    checked = limegrove("store", "check", env=env)
    assert checked.returncode == 0, checked.stdout + checked.stderr
