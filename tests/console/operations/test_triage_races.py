"""Decisions of several processes at once, and of processes that are killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from console.operations import triage as operations
from store import ingest, triage
from store.database import Store
from tests.helpers.sandboxes import ROOT
from tests.helpers.soak import rounds

NOW = 1_790_000_000_000


def fill(store: Store, alerts: int) -> None:
    """So many alerts over five organizations, of 40 folds."""
    for part in range(0, alerts, 200):
        with store.writing() as c:
            for oid in range(5):
                ingest.put_detections(
                    c,
                    f"o{oid}",
                    [_record(number) for number in range(part, min(part + 200, alerts)) if number % 5 == oid],
                )


def _record(number: int) -> ingest.NewDetection:
    raw = {
        "detect_id": f"d{number}", "cat": f"Rule {number % 8}", "gen_time": NOW - number,
        "routing": {"hostname": f"h{number % 50}", "sid": f"s{number % 50}"},
        "detect_mtd": {"level": ("low", "medium", "high")[number % 3]},
    }  # fmt: skip
    return ingest.detection_from(json.dumps(raw).encode(), "o", received=NOW)


def process(*words: str, home: Path) -> "subprocess.Popen[str]":
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LIMEGROVE_", "LC_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.triaging", *words],
        cwd=ROOT, env=env | {"LIMEGROVE_HOME": str(home), "XDG_CONFIG_HOME": str(home)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def exact(store: Store) -> None:
    """The counters and the folds are what counting says."""
    with store.reader.reading() as c:
        for kept, counted in (
            (
                "SELECT oid, severity, status, count FROM detection_count WHERE count <> 0",
                "SELECT oid, severity, status, count(*) FROM detection GROUP BY oid, severity, status",
            ),
            (
                "SELECT id, total, open, false_positives FROM fold",
                "SELECT fold_id, count(*),"
                " sum(CASE WHEN status < 2 AND snoozed_until IS NULL THEN 1 ELSE 0 END),"
                " sum(CASE WHEN classification = 2 THEN 1 ELSE 0 END) FROM detection GROUP BY fold_id",
            ),
            (
                "SELECT key, total, open FROM storm",
                "SELECT storm, sum(total), sum(open) FROM fold GROUP BY storm",
            ),
        ):
            assert sorted(map(tuple, c.execute(text(kept)))) == sorted(map(tuple, c.execute(text(counted))))


def test_two_consoles_and_a_command_line_race_for_a_thousand_alerts(
    store: Store, store_url: str, tmp_path: Path
) -> None:
    """No alert is claimed twice, whoever lost one was told who has it, and no tag is lost."""
    fill(store, 1000)
    start = tmp_path / "start"
    roles = {"ann": "console", "bob": "console", "cy": "command-line"}
    racers = [
        process(role, store_url, name, str(start), str(len(roles)), home=tmp_path / name)
        for name, role in roles.items()
    ]
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("start.*"))) < len(roles) and time.monotonic() < deadline:
        assert all(racer.poll() is None for racer in racers), [racer.communicate() for racer in racers]
        time.sleep(0.01)
    start.touch()
    told = []
    for racer in racers:
        out, err = racer.communicate(timeout=200)
        assert racer.returncode == 0, err
        told.append(json.loads(out))

    claims = Counter(alert for each in told for alert in each["won"])
    with store.reader.reading() as c:
        rows = {row.id: row for row in c.execute(text("SELECT * FROM detection"))}
        done = Counter(
            row[0] for row in c.execute(text("SELECT detection_id FROM triage_change WHERE outcome = 1"))
        )
    assert len(rows) == 1000
    assert claims.keys() == rows.keys()
    assert set(claims.values()) == {1}
    assert all(each["won"] for each in told), "one of them never won, so there was no race"
    for each in told:
        assert all(rows[alert].assignee == each["name"] for alert in each["won"])
        assert set(each["lost"]) <= {other["name"] for other in told} - {each["name"]}
        assert all(each["name"] in rows[alert].tags.split() for alert in each["tagged"])
    for alert, row in rows.items():
        taggers = {each["name"] for each in told if alert in set(each["tagged"])}
        assert set(row.tags.split()) == taggers
        assert row.version == done[alert] == 1 + len(taggers)
        assert row.status == 1
    exact(store)


def check(store: Store, alerts: int) -> None:
    """Every alert was closed exactly once, by one decision with one entry of the journal."""
    with store.reader.reading() as c:
        states = c.execute(
            text("SELECT status, classification, version, count(*) FROM detection GROUP BY 1, 2, 3")
        )
        assert [tuple(row) for row in states] == [(3, 2, 1, alerts)]
        changes = c.execute(text("SELECT outcome, version, count(*) FROM triage_change GROUP BY 1, 2"))
        assert [tuple(row) for row in changes] == [(1, 1, alerts)]
        actions = c.execute(
            text("SELECT planned, changed, refused, finished_at IS NULL FROM triage_action")
        ).all()
        assert [(a, b, d, bool(e)) for a, b, d, e in actions] == [(alerts, alerts, 0, False)]
        assert c.execute(text("SELECT count(*) FROM journal")).scalar_one() == 1
    exact(store)


def killed_at(url: str, after: int, home: Path, *, role: str = "close") -> dict[str, Any] | None:
    """Run until killed before statement number `after`; what it came to when it ended before that."""
    running = process(role, url, str(after), home=home)
    out, err = running.communicate(timeout=200)
    if running.returncode == -signal.SIGKILL:
        return None
    assert running.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


ALERTS = 1_200


@pytest.fixture
def closing_of_many(tmp_path: Path) -> tuple[Path, int]:
    """A store with ALERTS alerts, and how many statements it takes to close them."""
    path = tmp_path / "full.db"
    with closing(Store(f"sqlite:///{path}")) as store:
        fill(store, ALERTS)
    shutil.copy(path, tmp_path / "whole.db")
    whole = killed_at(f"sqlite:///{tmp_path / 'whole.db'}", 10**9, tmp_path)
    assert whole is not None
    assert whole["changed"] == ALERTS
    return path, whole["statements"]


def kill_and_resume(path: Path, points: list[int], tmp_path: Path) -> None:
    """Kill at each of these statements in turn, the first while closing, the others while resuming."""
    torn = tmp_path / "torn.db"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{torn}{suffix}").unlink(missing_ok=True)
    shutil.copy(path, torn)
    url = f"sqlite:///{torn}"
    for number, point in enumerate(points):
        ended = killed_at(url, point, tmp_path, role="close" if number == 0 else "resume")
        assert ended is None or number > 0
    with closing(Store(url)) as store:
        operations.resume(store)
        with store.reader.reading() as c:
            begun = c.execute(text("SELECT count(*) FROM triage_action")).scalar_one()
        if not begun:
            # Killed before the plan was there: nothing has happened, and whoever asked has to ask again.
            exact(store)
            return
        check(store, ALERTS)
        assert operations.resume(store) == []


def test_a_bulk_decision_that_is_killed_is_resumed_and_reaches_each_alert_once(
    closing_of_many: tuple[Path, int], tmp_path: Path
) -> None:
    path, statements = closing_of_many
    assert statements > 60
    for share in (0.02, 0.15, 0.4, 0.65, 0.99):
        kill_and_resume(path, [max(1, int(statements * share))], tmp_path)
    kill_and_resume(path, [statements // 2, statements // 5], tmp_path)


@pytest.mark.soak
def test_a_bulk_decision_survives_being_killed_anywhere_and_again(
    closing_of_many: tuple[Path, int], tmp_path: Path
) -> None:
    path, statements = closing_of_many
    for seed in rounds(0.2):
        chance = random.Random(seed)
        points = [chance.randint(1, statements)]
        points += [chance.randint(1, statements) for _ in range(chance.randrange(3))]
        try:
            kill_and_resume(path, points, tmp_path)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, killed at {points} of {statements}") from error


@pytest.mark.postgres
def test_a_killed_decision_is_resumed_on_postgresql_too(postgres_url: str, tmp_path: Path) -> None:
    with closing(Store(postgres_url)) as store:
        fill(store, ALERTS)
        assert killed_at(postgres_url, 60, tmp_path) is None
        with store.reader.reading() as c:
            [action] = triage.unfinished(c)
            assert not triage.outcome(c, action).finished
        exact(store)
        [done] = operations.resume(store)
        assert done.changed == ALERTS
        check(store, ALERTS)


def test_two_processes_resume_the_same_decision_and_each_alert_is_reached_once(
    closing_of_many: tuple[Path, int], tmp_path: Path
) -> None:
    path, statements = closing_of_many
    url = f"sqlite:///{path}"
    assert killed_at(url, statements // 4, tmp_path) is None
    both = [process("resume", url, str(10**9), home=tmp_path) for _ in range(2)]
    for each in both:
        _, err = each.communicate(timeout=200)
        assert each.returncode == 0, err
    with closing(Store(url)) as store:
        check(store, ALERTS)
