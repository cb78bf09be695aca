"""A console that is killed between what it wrote down and what the cloud answered: nothing is lost or twice."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from store.cases import SENDING
from store.database import Store
from store.queries import cases as queries
from tests.helpers.sandboxes import ROOT, as_user, limegrove, sandbox_process

WORLD = ("--seed", "3", "--orgs", "3", "--detections", "150", "--now", "2026-11-20T12:00:00Z")


def _faults(url: str, *rules: dict[str, Any]) -> list[dict[str, Any]]:
    """Add faults, and answer how often each was applied."""
    request = urllib.request.Request(
        f"{url}/sandbox/faults",
        data=json.dumps(list(rules)).encode() if rules else None,
        method="POST" if rules else "GET",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)["faults"]
    return found


def _until(holds: Any) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.01)


COMMANDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "note": ("POST", "*/cases/{number}/notes", ("case", "note", "CASE", "--text", "Once.")),
    "time": ("POST", "*/cases/{number}/time-logs", ("case", "time", "CASE", "10m")),
    "entity": ("POST", "*/cases/{number}/entities", ("case", "entity", "CASE", "user", "svc-once")),
    "close": ("PATCH", "*/cases/{number}", ("case", "close", "CASE", "--conclusion", "Once.")),
    "create": ("POST", "*/extension/request/*",
               ("case", "create", "--organization", "OID", "--summary", "Once.")),
}  # fmt: skip


@pytest.mark.parametrize("effect", [True, False])
def test_what_was_on_its_way_when_the_console_was_killed_happens_once(tmp_path: Path, effect: bool) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with sandbox_process(tmp_path / "sandbox", *WORLD) as (stage, _):
        env = as_user(home, stage)
        assert limegrove("sync", "--since", "3650d", env=env).returncode in (0, 3)
        listed = json.loads(limegrove("case", "list", "--status", "in_progress", env=env).stdout)
        assert listed
        case = listed[0]
        oid = case["oid"]
        before = len(json.loads(limegrove("case", "list", "--status", "any", "--limit", "0", env=env).stdout))
        for what, (method, path, command) in COMMANDS.items():
            applied = len(_faults(stage["url"]))
            _faults(stage["url"], {"fault": "hang", "method": method, "path": path, "effect": effect})
            words = [{"CASE": f"{oid}/{case['number']}", "OID": oid}.get(word, word) for word in command]
            process = subprocess.Popen(
                [sys.executable, "-m", "console", *words],
                cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            _until(lambda at=applied: _faults(stage["url"])[at]["applied"] == 1)
            assert process.poll() is None, what
            process.send_signal(signal.SIGKILL)
            process.communicate()
            with _opened(home) as store, store.reader.reading() as connection:
                (edit,) = queries.edits(connection, states=(SENDING,))
            assert edit.found, what
        # Each command looked after what the one before it left; the last one is looked after here.
        sent = limegrove("case", "edits", "--send", env=env)
        assert sent.returncode == 0, sent.stderr
        # Time cannot be listed, so a person decides whether it is logged again.
        left = json.loads(sent.stdout)
        assert [row["state"] for row in left] == ["conflict"] * (not effect)
        for row in left:
            assert limegrove("case", "decide", str(row["id"]), "theirs", env=env).returncode == 0
        whole = json.loads(limegrove("case", "show", f"{oid}/{case['number']}", env=env).stdout)
        actions = [event["action"] for event in whole["events"]]
        notes = [
            event["metadata"]["content"] for event in whole["events"] if event["action"] == "case_note_added"
        ]
        assert notes.count("Once.") == 1
        assert actions.count("case_time_logged") == int(effect)
        assert [each["entity_value"] for each in whole["entities"]].count("svc-once") == 1
        assert (whole["status"], whole["conclusion"]) == ("closed", "Once.")
        assert actions.count("case_closed") == 1
        after = json.loads(limegrove("case", "list", "--status", "any", "--limit", "0", env=env).stdout)
        assert len(after) == before + 1
        assert [each["summary"] for each in after].count("Once.") == 1
        assert not [each for each in after if each["number"] < 0]


class _opened:
    """The store of a workspace, as another process sees it."""

    def __init__(self, home: Path) -> None:
        self._store = Store(f"sqlite:///{home / 'limegrove' / 'default' / 'store.db'}")

    def __enter__(self) -> Store:
        return self._store

    def __exit__(self, *_: object) -> None:
        self._store.close()
