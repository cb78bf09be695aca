"""`limegrove org create|onboard|install` as an operator types it, on a sandbox."""

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store.runs import ITEM_STATES, OUTCOMES
from tests.helpers.forks import Fork
from tests.helpers.onboarding import faults
from tests.helpers.sandboxes import as_user, limegrove, sandbox_process

WORLD = ("--seed", "3", "--orgs", "2", "--detections", "0", "--now", "2026-11-20T12:00:00Z")
FILE = """\
name,region,node,users,installation_keys
Acme Dental,europe,Europe,kim@acme.example:Viewer,windows;linux
Borealis Foods,usa,Europe,,
"""


class Shell:
    """A workspace that has read a sandbox, with a tree of one region."""

    def __init__(self, home: Path, stage: dict[str, Any]) -> None:
        self.home = home
        self.url = stage["url"]
        home.mkdir()
        self.env = as_user(home, stage)
        (home / "tree.yaml").write_text(
            "- {id: root, parent: null, name: All}\n- {id: eu, parent: root, name: Europe}\n"
        )
        assert self("sync").returncode in (0, 3)
        assert self("tree", "import", str(home / "tree.yaml")).returncode == 0

    def __call__(self, *words: str, stdin: str = "") -> Any:
        return limegrove(*words, env=self.env, stdin=stdin)

    def file(self, text: str) -> str:
        path = self.home / "customers.csv"
        path.write_text(text)
        return str(path)

    def names(self) -> list[str]:
        return [row["name"] for row in json.loads(self("org", "list").stdout)]

    def ways(self, after: int, verb: str) -> set[str]:
        """How far the steps of this verb are in runs behind that one, and their organizations, as the store
        has it at the moment: no command starts as fast as a step is over."""
        with closing(sqlite3.connect(self.home / "limegrove" / "default" / "store.db", timeout=30)) as c:
            rows = c.execute(
                "SELECT s.outcome, i.state FROM run_step s JOIN run_item i USING (run_id, item) "
                "WHERE run_id > ? AND s.verb = ?",
                (after, verb),
            ).fetchall()
        return {word for outcome, state in rows for word in (OUTCOMES[outcome], ITEM_STATES[state])}


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    base = tmp_path_factory.mktemp("onboard")
    with sandbox_process(base / "sandbox", *WORLD) as (stage, _):
        yield Shell(base / "home", stage)


def test_a_dry_run_shows_every_step_and_makes_nothing(shell: Shell) -> None:
    before = shell.names()

    done = shell("org", "onboard", shell.file(FILE), "--dry-run", "--read-only")

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [each["name"] for each in said["organizations"]] == ["Acme Dental", "Borealis Foods"]
    assert said["steps"] == {
        "organization.create": 2, "node.place": 2, "user.add": 1, "installation-key.make": 2,
    }  # fmt: skip
    assert [step["words"] for step in said["organizations"][0]["steps"]][:3] == [
        "make the organization in europe", "place it in the tree below Europe", "add kim@acme.example Viewer",
    ]  # fmt: skip
    assert shell.names() == before
    assert json.loads(shell("org", "runs").stdout) == []


def test_a_dry_run_offline_says_what_it_could_not_ask(shell: Shell) -> None:
    done = shell("org", "onboard", shell.file(FILE), "--dry-run", "--offline", "--output", "table")

    assert done.returncode == 0
    assert "Whether the names are still free was not asked" in done.stderr
    assert "2 organizations: 2 x make an organization" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("org", "onboard"), 2, "Onboard whom? Give a CSV file, or --name NAME."),
        (("org", "onboard", "FILE", "--name", "Acme"), 2, "not both"),
        (("org", "onboard", "/no/such.csv"), 2, "cannot be read: No such file or directory."),
        (("org", "onboard", "FILE", "--offline"), 5, "the session is offline"),
        (("org", "onboard", "FILE", "--read-only"), 5, "this console is read-only; nothing was changed."),
        (("org", "onboard", "FILE"), 5, "Nobody is here to answer; --yes answers yes."),
        (("org", "create", "Acme", "--region", "mars", "--yes"), 2, "region: 'mars' is no region"),
        (("org", "create", "=cmd", "--yes"), 2, "name: '=cmd' begins as a formula does"),
        (("org", "create", "Acme", "--extensions", "ext-casess", "--yes"), 2, "is 'ext-cases' meant?"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_made(
    shell: Shell, words: tuple[str, ...], code: int, text: str
) -> None:
    before = shell.names()
    file = shell.file(FILE)

    done = shell(*(file if word == "FILE" else word for word in words))

    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
    assert shell.names() == before


def test_one_wrong_line_stops_all_of_them_and_each_is_told(shell: Shell) -> None:
    before = shell.names()

    done = shell(
        "org",
        "onboard",
        "-",
        "--yes",
        stdin="name,users\nGood,\nBad,kim@acme:Viewer\nWorse,x@y.example:Boss\nGood,\n",
    )

    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines()] == [
        "Line 3, users: 'kim@acme' is no e-mail address.",
        "Line 4, users: 'Boss' is no role; there are 'Administrator', 'Basic', 'Operator', 'Owner', 'Viewer'.",
        "Line 5, name: 'Good' is the name of line 2, too.",
        "limegrove: 3 things are wrong on 3 lines; nothing was done.",
    ]
    assert shell.names() == before


def test_a_file_is_onboarded_and_its_sensors_get_their_commands(shell: Shell) -> None:
    done = shell("org", "onboard", shell.file(FILE), "--yes")

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["state"], [each["state"] for each in said["organizations"]]) == ("done", ["done", "done"])
    assert {"Acme Dental", "Borealis Foods"} <= set(shell.names())
    rows = json.loads(shell("org", "install", "Acme Dental").stdout)
    assert [row["platform"] for row in rows] == ["linux", "windows"]
    assert rows[0]["command"].startswith("curl -fsSL https://downloads.limacharlie.io/sensor/linux/64 -o ")
    again = shell("org", "onboard", shell.file(FILE), "--yes")
    assert again.returncode == 2
    assert "'Acme Dental' is taken: there is an organization of this name already." in again.stderr
    none = shell("org", "install", "Borealis Foods")
    assert (none.returncode, none.stdout.strip()) == (0, "[]")
    assert "The organization has no installation key." in none.stderr


def test_one_customer_is_made_by_the_same_words_as_a_line(shell: Shell) -> None:
    done = shell(
        "org", "create", "Cedar Clinic", "--node", "eu", "--id", "cedar", "--tier", "gold", "--quota", "9",
        "--sla", "high=1h/1d", "--time-zone", "Europe/Berlin", "--yes",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    (row,) = [row for row in json.loads(shell("tree", "show").stdout) if row["id"] == "cedar"]
    assert (row["name"], row["parent"], row["labels"]) == ("Cedar Clinic", "eu", {"tier": "gold"})
    shown = json.loads(shell("org", "show", "Cedar Clinic").stdout)
    assert (shown["sensor_quota"], shown["parameters"]) == (9, {"sla_high": "1h/1d"})


def test_what_fails_is_named_and_tried_again_by_resuming(shell: Shell) -> None:
    faults(shell.url, {"fault": "status", "status": 403, "path": "/v1/orgs/{oid}/quota", "count": None})
    try:
        done = shell("org", "create", "Delta Ltd", "--quota", "9", "--installation-keys", "macos", "--yes")
    finally:
        faults(shell.url, method="DELETE")

    assert done.returncode == 3
    said = json.loads(done.stdout)
    assert [(each["organization"], each["step"]) for each in said["failed"]] == [
        ("Delta Ltd", "set the sensor quota to 9")
    ]
    assert f"`limegrove org resume {said['run']}` goes on with what is left." in done.stderr
    assert [row["key"] for row in json.loads(shell("org", "install", "Delta Ltd").stdout)] == ["macos"]
    assert shell("org", "resume", str(said["run"]), "--yes").returncode == 0
    assert shell("sync", "--only", "orgs").returncode in (0, 3)
    assert json.loads(shell("org", "show", "Delta Ltd").stdout)["sensor_quota"] == 9


def test_a_smoke_test_asks_by_name_and_one_that_only_reads_asks_nothing(shell: Shell) -> None:
    names = shell.names()[:2]

    asked = shell("org", "smoke", *names)
    read = shell("org", "smoke", names[0], "--reading")

    assert asked.returncode == 5
    assert f"Test 2 organizations ({names[0]}, {names[1]}), each with a rule" in asked.stderr
    assert read.returncode in (0, 3)
    assert {row["organization"] for row in json.loads(read.stdout)["checks"]} == {names[0]}
    assert "Test" not in read.stderr


STOPPED = {
    "create": (
        ("create", "Echo GmbH", "--installation-keys", "windows;linux"), "POST", "/v1/installationkeys/{oid}",
        ("organization.create", "node.place", "installation-key.make"),
    ),
    "onboard": (
        ("onboard", "--name", "Foxtrot AG", "--quota", "9", "--installation-keys", "linux"), "POST",
        "/v1/orgs/{oid}/quota",
        ("organization.create", "node.place", "quota.set"),
    ),
    "smoke": (("smoke", "NAME", "--reading"), "GET", "/v1/online/{oid}", ("smoke.sensor",)),
}  # fmt: skip
"""Command -> (its words, the method and the path that it is stopped in, what came to its end then)."""


@pytest.mark.parametrize("command", STOPPED)
def test_ctrl_c_lets_the_step_at_hand_end_and_says_how_it_goes_on(
    shell: Shell, command: str, tmp_path: Path
) -> None:
    words, method, path, ended = STOPPED[command]
    arguments = [shell.names()[0] if word == "NAME" else word for word in words]
    rule = {"fault": "hang", "seconds": 1.5, "method": method, "path": path, "count": None}
    known = {row["run"] for row in json.loads(shell("org", "runs").stdout)}
    last = max(known, default=0)

    def steps() -> list[dict[str, Any]]:
        (run,) = {row["run"] for row in json.loads(shell("org", "runs").stdout)} - known
        (one,) = json.loads(shell("org", "runs", str(run)).stdout)["organizations"]
        return [step | {"run": run} for step in one["steps"]]

    def at_hand() -> bool:
        # What is read alone is never told to be on its way, only its organization is.
        on_its_way = "doing" if command == "smoke" else "sending"
        (fault,) = faults(shell.url, method="GET")
        return fault["applied"] > 0 and on_its_way in shell.ways(last, ended[-1])

    faults(shell.url, rule)
    try:
        with open(os.devnull) as nothing, open(tmp_path / "said", "w") as said:
            streams = (nothing.fileno(), said.fileno(), said.fileno())
            process = Fork(["org", *arguments, "--yes"], shell.env, streams)
            ends = time.monotonic() + 30
            while not at_hand() and time.monotonic() < ends:
                time.sleep(0.01)
            assert at_hand()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
    finally:
        faults(shell.url, method="DELETE")

    left = steps()
    number = left[0]["run"]
    text = f"Stopped, 0 of 1 organizations done. `limegrove org resume {number}` carries on, and nothing else"
    assert text in (tmp_path / "said").read_text()
    assert tuple(step["verb"] for step in left if step["outcome"] not in ("waiting", "sending")) == ended
    assert command == "smoke" or {step["outcome"] for step in left[: len(ended)]} == {"done"}
    assert {step["outcome"] for step in left[len(ended) :]} == {"waiting"}
    assert f"`limegrove org resume {number}` goes on" in shell("sync", "--only", "orgs").stderr
    assert {step["outcome"] for step in steps()[len(ended) :]} == {"waiting"}, "somebody else went on with it"
    assert command == "smoke" or shell("org", "resume", str(number)).returncode == 0
    assert command != "smoke" or shell("org", "resume", str(number)).returncode in (0, 1, 3)
    assert all(step["outcome"] != "waiting" for step in steps())
