"""`limegrove org bulk|runs|resume|undo`: on a sandbox in a process of its own, and without one."""

import argparse
import json
import os
import signal
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from console.commands import org_runs
from console.commands.session import Session
from console.operations import runs as operations
from store import runs
from store.runs import Planned, PlannedItem, PlannedStep
from store.times import now_ms
from tests.helpers.forks import Fork
from tests.helpers.official import needs_official, official
from tests.helpers.sandboxes import as_user, limegrove, sandbox_process


class Box:
    """A sandbox, and an operator's machine that knows its organizations."""

    def __init__(self, stage: dict[str, Any], home: Path) -> None:
        self.stage = stage
        self.env = as_user(home, stage)
        home.mkdir(exist_ok=True)
        assert limegrove("sync", "--only", "orgs", env=self.env).returncode in (0, 3)
        self.rows: list[dict[str, Any]] = json.loads(limegrove("org", "list", env=self.env).stdout)

    def go(self, *arguments: str, **options: Any) -> Any:
        """`limegrove org ...`"""
        return limegrove("org", *arguments, env=self.env, **options)

    def names(self) -> list[str]:
        """Of the organizations."""
        return [row["name"] for row in self.rows]

    def faults(self, *rules: dict[str, Any]) -> None:
        """Let the cloud behave so from now on; nothing ends all."""
        method = "POST" if rules else "DELETE"
        request = urllib.request.Request(
            f"{self.stage['url']}/sandbox/faults",
            json.dumps(list(rules)).encode() if rules else None,
            {"Content-Type": "application/json"},
            method=method,
        )
        urllib.request.urlopen(request, timeout=10).read()

    def sent(self, endpoint: str) -> int:
        """How often the cloud was asked so."""
        with urllib.request.urlopen(f"{self.stage['url']}/sandbox/log", timeout=10) as told:
            return int(json.loads(told.read())["endpoints"].get(endpoint, 0))


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    home = tmp_path_factory.mktemp("bulk")
    with sandbox_process(home / "box", "--orgs", "4", "--detections", "0") as (stage, _):
        yield Box(stage, home / "me")


def shown(answer: Any) -> dict[str, Any]:
    """What a command printed."""
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_a_dry_run_says_what_would_be_done_and_keeps_nothing(box: Box) -> None:
    before = len(json.loads(box.go("runs").stdout))
    answer = box.go("bulk", "quota", "321", "--all", "--dry-run")
    assert answer.returncode == 0
    assert [each["name"] for each in shown(answer)["organizations"]] == box.names()
    (step,) = shown(answer)["organizations"][0]["steps"]
    was = step.pop("before")
    assert step == {
        "verb": "quota.set", "words": "set the sensor quota to 321", "target": "", "arguments": {"quota": 321},
    }  # fmt: skip
    assert was == {
        name: box.rows[0][row] for name, row in (("quota", "sensor_quota"), ("used", "quota_used"))
    }
    assert "4 steps on 4 organizations. Nothing was sent." in answer.stderr
    assert len(json.loads(box.go("runs").stdout)) == before
    assert box.go("bulk", "quota", "321", "--all", "--dry-run", "--read-only").returncode == 0


def test_a_change_is_asked_for_made_shown_listed_and_taken_back(box: Box) -> None:
    unanswered = box.go("bulk", "quota", "555", "--all")
    assert (unanswered.returncode, "--yes answers yes" in unanswered.stderr) == (5, True)
    made = box.go("bulk", "quota", "555", "--all", "--yes")
    assert made.returncode == 0, made.stderr
    run = shown(made)
    assert (run["state"], run["counts"], run["confirm"]) == ("done", {"done": 4}, None)
    assert all(each["steps"][0]["before"]["quota"] != 555 for each in run["organizations"])
    (row,) = [each for each in json.loads(box.go("runs").stdout) if each["run"] == run["run"]]
    assert (row["organizations"], row["done"], row["failed"]) == (4, 4, 0)
    same = box.go("bulk", "quota", "555", "--all", "--yes")
    assert (same.returncode, shown(same)["counts"]) == (0, {"already": 4})
    assert box.go("undo", str(shown(same)["run"]), "--yes").returncode == 5  # it did nothing
    back = box.go("undo", str(run["run"]), "--yes")
    assert (back.returncode, shown(back)["undo_of"]) == (0, run["run"])
    again = box.go("undo", str(run["run"]), "--yes")
    assert (again.returncode, "was taken back by run" in again.stderr) == (5, True)


def test_a_plan_says_what_quotas_are_and_who_would_be_turned_away(box: Box) -> None:
    first = box.rows[0]
    was = f"{first['sensor_quota']:,}"
    kept = box.go("bulk", "quota", "1", "--filter", first["name"], "--plan", "--output", "table")
    assert f"quota {was} -> 1, " in kept.stdout
    assert "1 uses more than 1, sensors would be turned away: " + first["name"] in kept.stderr
    number = max(each["run"] for each in json.loads(box.go("runs").stdout))
    (step,) = shown(box.go("runs", str(number)))["organizations"][0]["steps"]
    assert step["before"] == {"quota": first["sensor_quota"], "used": first["quota_used"]}
    asked = box.go("resume", str(number))
    assert (asked.returncode, f"{first['name']}: quota {was} -> 1, " in asked.stderr) == (5, True)


@pytest.mark.parametrize(
    "arguments",
    [("bulk", "quota", "1", "--all"), ("smoke", "NAME")],
    ids=lambda value: value[0],
)
def test_what_was_agreed_to_and_refused_at_once_leaves_no_draft(box: Box, arguments: tuple[str, ...]) -> None:
    words = [box.names()[1] if word == "NAME" else word for word in arguments]
    before = box.go("runs").stdout
    limegrove("tree", "add", "Guarded", "--id", "guarded", "--oid", box.rows[1]["oid"], env=box.env)
    assert limegrove("tree", "mark", "guarded", "protected", env=box.env).returncode == 0
    try:
        refused = box.go(*words, "--yes")
        assert (refused.returncode, "nothing was sent" in refused.stderr.casefold()) == (5, True)
        assert box.go("runs").stdout == before
    finally:
        assert limegrove("tree", "mark", "guarded", "no-protected", env=box.env).returncode == 0


def test_a_kept_run_is_begun_later_or_put_away(box: Box) -> None:
    kept = box.go("bulk", "quota", "444", "--filter", box.names()[0], "--plan")
    assert (kept.returncode, shown(kept)["state"]) == (0, "draft")
    number = str(shown(kept)["run"])
    assert box.go("resume", number).returncode == 5
    begun = box.go("resume", number, "--yes")
    assert (begun.returncode, shown(begun)["state"]) == (0, "done")
    other = str(shown(box.go("bulk", "quota", "1", "--all", "--plan"))["run"])
    assert shown(box.go("runs", other, "--drop"))["state"] == "dropped"
    assert box.go("resume", other, "--yes").returncode == 5
    assert box.go("runs", number, "--drop").returncode == 5


@pytest.mark.parametrize("limit", ["-1", "0"])
def test_a_list_of_no_runs_is_no_list(box: Box, limit: str) -> None:
    answer = box.go("runs", "--limit", limit)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert f"--limit is a whole number, 1 or more; {limit} is none." in answer.stderr


def test_what_cannot_be_brought_back_has_to_be_typed(box: Box) -> None:
    ask = ("bulk", "remove-output", "nothing-is-called-so", "--all", "--yes")
    refused = box.go(*ask)
    assert refused.returncode == 5
    assert "Give --confirm '4 organizations'" in refused.stderr
    assert box.go(*ask, "--confirm", "3 organizations").returncode == 5
    done = box.go(*ask, "--confirm", "4 organizations")
    assert (done.returncode, shown(done)["counts"]) == (0, {"already": 4})


def test_an_organization_that_fails_is_named_and_tried_again_by_resume(box: Box) -> None:
    oid = box.rows[1]["oid"]
    box.faults(
        {"fault": "status", "status": 403, "method": "POST", "path": "/v1/orgs/{oid}/quota", "oid": oid,
         "count": None},
    )  # fmt: skip
    try:
        answer = box.go("bulk", "quota", "222", "--all", "--yes")
    finally:
        box.faults()
    assert answer.returncode == 3
    run = shown(answer)
    assert (run["state"], run["counts"]) == ("partly", {"done": 3, "denied": 1})
    assert f"{box.rows[1]['name']}: set the sensor quota to 222: This key may not use" in answer.stderr
    resumed = box.go("resume", str(run["run"]))
    assert (resumed.returncode, shown(resumed)["state"]) == (0, "done")
    assert shown(resumed)["counts"] == {"done": 4}


def test_two_processes_do_not_make_one_run_at_once(box: Box) -> None:
    number = str(shown(box.go("bulk", "quota", "333", "--all", "--plan"))["run"])
    box.faults(
        {"fault": "hang", "seconds": 1.5, "method": "POST", "path": "/v1/orgs/{oid}/quota", "count": None}
    )
    before, answers = box.sent("POST /v1/orgs/{oid}/quota"), list[Any]()
    try:
        threads = [
            threading.Thread(target=lambda: answers.append(box.go("resume", number, "--yes")))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        box.faults()
    codes = sorted(answer.returncode for answer in answers)
    assert codes == [0, 5], [answer.stderr for answer in answers]
    (busy,) = [answer for answer in answers if answer.returncode == 5]
    assert "is being made by process " in busy.stderr or "is done; nothing was sent" in busy.stderr
    assert box.sent("POST /v1/orgs/{oid}/quota") == before + 4


def test_ctrl_c_stops_a_run_until_somebody_resumes_it(box: Box, tmp_path: Path) -> None:
    number = str(shown(box.go("bulk", "quota", "666", "--all", "--plan"))["run"])
    before = box.sent("POST /v1/orgs/{oid}/quota")
    box.faults({"fault": "hang", "method": "POST", "path": "/v1/orgs/{oid}/quota", "count": None})
    try:
        with open(os.devnull) as nothing, open(tmp_path / "said", "w") as said:
            process = Fork(
                ["org", "resume", number, "--yes"], box.env, (nothing.fileno(), said.fileno(), said.fileno())
            )
            deadline = time.monotonic() + 30
            while (
                not all(
                    one["steps"][0]["outcome"] == "sending"
                    for one in shown(box.go("runs", number))["organizations"]
                )
                and time.monotonic() < deadline
            ):
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
    finally:
        box.faults()
    assert f"`limegrove org resume {number}` carries on" in (tmp_path / "said").read_text()
    waits = f"Run {number} (set the sensor quota to 666) was cut off, 0 of 4 organizations done"
    sid = "0" * 8 + "-0000-4000-8000-000000000000"
    for other in (("sync", "--only", "orgs"), ("sensor", "show", sid, "--organization", box.names()[0])):
        assert waits in limegrove(*other, env=box.env).stderr  # and is not carried on by it
    (row,) = [each for each in json.loads(box.go("runs").stdout) if str(each["run"]) == number]
    assert (row["state"], shown(box.go("runs", number))["state"]) == ("cut off", "cut off")
    resumed = box.go("resume", number)
    assert (resumed.returncode, shown(resumed)["counts"]) == (0, {"done": 4})
    assert box.sent("POST /v1/orgs/{oid}/quota") <= before + 8


def test_of_a_stopped_run_that_is_still_held_nothing_is_promised(
    a_store: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(argparse.Namespace())
    session._store = store = a_store()
    item = PlannedItem("0" * 8, "Acme", steps=(PlannedStep("quota.set", arguments={"quota": 1}),))
    number = operations.keep(store, Planned("bulk", "Quota", (item,)), operator="ann")
    with store.writing() as c:
        run = runs.load(c, number)
        runs.take(c, run, "soc-2:4711:1:1", operator="ann", now=now_ms(), is_live=lambda _: True)

    org_runs._say_stopped(session, number)

    said = capsys.readouterr().err
    assert "nothing else does" not in said
    assert said == (
        "Stopped, 0 of 1 organizations done. It is still held by process 4711 on soc-2, which may go on with "
        f"it: `limegrove org runs {number}` shows how far it comes.\n"
    )


def _set_run(box: Box, number: int, **values: int) -> None:
    """As no command would leave it."""
    path = Path(box.env["LIMEGROVE_HOME"]) / "default" / "store.db"
    names = ", ".join(f"{name} = ?" for name in values)
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        connection.execute(f"UPDATE run SET {names} WHERE id = ?", (*values.values(), number))


@pytest.mark.parametrize(
    "arguments",
    [
        ("bulk", "quota", "99", "--all"), ("bulk", "tag", "told", "--selector", "*", "--all"),
        (
            "offboard", "NAME", "--keep",
            "keys,users,outputs,installation-keys,ingestion-keys,extensions,sensors,organization",
            "--without-report",
        ),
    ],
    ids=lambda value: value[1],
)  # fmt: skip
def test_a_run_that_waits_is_told_of_once_by_a_command_that_connects_twice(
    box: Box, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    number = shown(box.go("bulk", "quota", "778", "--all", "--plan"))["run"]
    _set_run(box, number, state=1, expires_at=1)
    name = box.names()[-1]
    more = ["--out", str(tmp_path / "out"), "--confirm", name] if arguments[0] == "offboard" else []
    try:
        words = [name if word == "NAME" else word for word in arguments]
        made = box.go(*words, *more, "--yes")
        assert made.returncode in (0, 3), made.stderr
        assert made.stderr.count(f"`limegrove org resume {number}` goes on.") == 1
    finally:
        _set_run(box, number, state=5)


@pytest.mark.parametrize(
    "arguments",
    [
        ("bulk", "tag", "x", "--selector", "*", "--all"), ("bulk", "untag", "x", "--selector", "*", "--all"),
        ("bulk", "revoke-key", "none", "--all"), ("offboard", "NAME"),
    ],
    ids=lambda value: value[1],
)  # fmt: skip
def test_a_dry_run_carries_on_with_nothing_that_was_cut_off(box: Box, arguments: tuple[str, ...]) -> None:
    number = shown(box.go("bulk", "quota", "888", "--all", "--plan"))["run"]
    _set_run(box, number, state=1, expires_at=int(time.time() * 1000) + 3_600_000)
    before = box.sent("POST /v1/orgs/{oid}/quota")
    try:
        words = [box.names()[0] if word == "NAME" else word for word in arguments]
        assert box.go(*words, "--dry-run").returncode == 0
        assert box.sent("POST /v1/orgs/{oid}/quota") == before
        assert shown(box.go("runs", str(number)))["counts"] == {"waiting": 4}
    finally:
        _set_run(box, number, state=5)


def test_what_is_tried_again_asks_for_the_name_again(box: Box) -> None:
    name = box.names()[0]
    box.faults({"fault": "status", "status": 403, "method": "DELETE", "path": "/v1/outputs/{oid}", "count": None})  # fmt: skip
    try:
        made = box.go("bulk", "set-output", "gone", "--module", "syslog", "--stream", "audit", "--option", "dest_host=a.example:1", "--filter", name, "--yes")  # fmt: skip
        assert made.returncode == 0, made.stderr
        failed = box.go("bulk", "remove-output", "gone", "--filter", name, "--yes", "--confirm", name)
        assert (failed.returncode, shown(failed)["confirm"]) == (5, name)
    finally:
        box.faults()
    number, before = str(shown(failed)["run"]), box.sent("DELETE /v1/outputs/{oid}")
    for typed in ((), ("--confirm", "another")):
        again = box.go("resume", number, "--yes", *typed)
        assert (again.returncode, f"Give --confirm '{name}'" in again.stderr) == (5, True), again.stderr
    assert box.sent("DELETE /v1/outputs/{oid}") == before
    assert box.go("resume", number, "--confirm", name).returncode == 0


def test_sensors_are_tagged_by_a_selector_and_the_official_client_sees_it(box: Box) -> None:
    name = box.names()[0]
    answer = box.go("bulk", "tag", "bulked", "--selector", "plat == linux", "--filter", name, "--yes")
    assert answer.returncode == 0, answer.stderr
    (one,) = shown(answer)["organizations"]
    assert {step["outcome"] for step in one["steps"]} == {"done"}
    nothing = box.go("bulk", "tag", "bulked", "--selector", 'hostname == "none"', "--all", "--yes")
    assert (nothing.returncode, "4 organizations have no such sensor" in nothing.stderr) == (0, True)
    wrong = box.go("bulk", "tag", "bulked", "--selector", "plat ===", "--all", "--yes")
    assert wrong.returncode == 5
    assert "left out" in wrong.stderr


@needs_official
def test_the_official_client_finds_the_tags_that_a_run_put_there(box: Box) -> None:
    oid, name = box.rows[0]["oid"], box.names()[0]
    made = shown(box.go("bulk", "tag", "seen", "--selector", "plat == linux", "--filter", name, "--yes"))
    sids = {step["target"] for step in made["organizations"][0]["steps"]}
    assert sids
    found = json.loads(official(box.stage, oid, "--output", "json", "tag", "find", "--tag", "seen"))
    assert set(found if isinstance(found, dict) else [each["sid"] for each in found]) == sids


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("bulk", "quota", "1"), 2, "On which organizations?"),
        (("bulk", "quota", "many", "--all"), 2, "whole number"),
        (("bulk", "frobnicate", "--all"), 2, "verb"),
        (("bulk", "quota", "1", "--marked", "golden"), 2, "no mark"),
        (("bulk", "quota", "1", "--filter", "no such name"), 2, "No organization is chosen"),
        (("bulk", "quota", "1", "--file", "/nowhere/oids"), 2, "cannot be read"),
        (("bulk", "quota", "1", "--all", "--read-only", "--yes"), 5, "read-only"),
        (("bulk", "quota", "1", "--all", "--offline", "--yes"), 5, "offline"),
        (("bulk", "tag", "x", "--selector", "*", "--all", "--offline"), 5, "offline"),
        (("bulk", "set-output", "x", "--module", "s3", "--stream", "event", "--option", "secret_key=AKIA1234", "--all"),
         2, "hive://secret/NAME"),
        (("resume", "999"), 2, "There is no run 999"),
        (("undo", "999"), 2, "There is no run 999"),
        (("runs", "--drop"), 2, "needs the number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence_and_nothing_is_sent(
    box: Box, arguments: tuple[str, ...], code: int, says: str
) -> None:
    answer = box.go(*arguments)
    assert (answer.returncode, answer.stdout) == (code, ""), answer.stderr
    assert says in answer.stderr
    assert "AKIA" not in answer.stderr


def test_a_file_names_organizations_and_every_line_is_judged(box: Box, tmp_path: Path) -> None:
    path = tmp_path / "oids"
    path.write_text(f"# ours\n{box.rows[2]['oid']}\n{box.rows[0]['name']}\n")
    answer = box.go("bulk", "quota", "99", "--file", str(path), "--dry-run")
    assert {each["name"] for each in shown(answer)["organizations"]} == {box.names()[0], box.names()[2]}
    again = box.go("bulk", "quota", "99", "--file", "-", "--dry-run", stdin="Nobody\nNo one\n")
    assert again.returncode == 2
    assert "line 1: there is no organization 'Nobody'" in again.stderr
    assert "line 2" in again.stderr


def test_protected_organizations_are_typed_and_frozen_ones_left_out(filled, limegrove) -> None:
    from tests.console.commands.conftest import OIDS

    for number, mark in ((0, "protected"), (1, "frozen")):
        limegrove("tree", "add", f"Node {number}", "--oid", OIDS[number], "--id", f"n{number}")
        limegrove("tree", "mark", f"n{number}", mark)
    kept = limegrove("org", "bulk", "quota", "5", "--all", "--plan")
    assert kept.json["confirm"] == "Acme Corp"
    assert [each["oid"] for each in kept.json["organizations"]] == [OIDS[0], OIDS[2]]
    assert [each["oid"] for each in kept.json["left_out"]] == [OIDS[1]]
    assert "left out: Böhm & Söhne: It is frozen" in kept.err
    begun = limegrove("org", "resume", "1", "--yes")
    assert (begun.code, "Give --confirm 'Acme Corp'" in begun.err) == (5, True)
    assert "\x1b" not in kept.err + begun.err
