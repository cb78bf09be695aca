"""`limegrove access plan|stage|apply`: on a real store, and against a sandbox in a process of its own."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.sandboxes import ROOT, as_user, limegrove, sandbox_process

OIDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (1, 2, 3)]
GID = "99999999-0000-4000-8000-000000000000"
JOIN = "join Kim@Acme.example 'Tier 1'"


# Planning


def test_a_plan_keeps_what_was_there_and_says_how_it_is_applied(filled, limegrove):
    answer = limegrove("access", "plan", "--change", JOIN, "--change", "give dr.list 'Tier 1'")

    assert answer.code == 0
    shown = answer.json
    assert (shown["plan"], shown["state"], shown["confirm"]) == (1, "draft", None)
    assert [(step["kind"], step["words"]) for step in shown["steps"]] == [
        ("add_group_permission", "give dr.list to group Tier 1"),
        ("add_member", "add kim@acme.example to group Tier 1"),
    ]
    assert shown["steps"][0]["before"] == {"permissions": ["org.get", "sensor.get"]}
    assert shown["steps"][1]["line"] == f"join kim@acme.example {GID}"
    assert "`limegrove access apply 1`" in answer.err
    assert "nothing was changed yet" in answer.err
    assert limegrove("access", "plan", "--show", "1").json == shown
    (row,) = limegrove("access", "plan", "--list").json
    assert (row["plan"], row["state"], row["changes"], row["as_wanted"]) == (1, "draft", 2, 0)


def test_check_writes_nothing_and_tells_by_its_exit_code(filled, limegrove):
    answer = limegrove("access", "plan", "--check", "--change", JOIN, "--read-only")
    assert answer.code == 4
    assert [step["kind"] for step in answer.json["steps"]] == ["add_member"]
    assert [each["oid"] for each in answer.json["organizations"]] == [OIDS[0]]
    same = limegrove("access", "plan", "--check", "--change", "give org.get 'Tier 1'")
    assert (same.code, same.json["steps"]) == (0, [])
    assert limegrove("access", "plan", "--list").json == []


def test_what_is_so_already_is_no_plan(filled, limegrove):
    answer = limegrove("access", "plan", "--change", "give org.get 'Tier 1'")
    assert (answer.code, answer.json["plan"]) == (0, None)
    assert "so already" in answer.err
    assert limegrove("access", "plan", "--list").json == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "empty"),
        ("promote ann@example.com", "there is no `promote`"),
        ("join ann@example.com", "it should be `join EMAIL GROUP`"),
        ("join ann 'Tier 1'", "no e-mail address"),
        ("join ann@example.com Nobody", "there is no group Nobody"),
        ("grant ann@example.com no.such.thing 'Acme Corp'", "there is no permission no.such.thing"),
        ("grant ann@example.com dr.set Nowhere", "there is no organization Nowhere"),
        ("join ann@example.com 'Tier 1", "a quotation is not closed"),
        ("delete-key 1234 'Acme Corp'", "has no key with this hash"),
        ("join ann@example.com new:Nightshift", "which no change makes"),
        ("join \x1b[2J@example.com 'Tier 1'", "no e-mail address"),
        ("new-group 'Tier 1'", "a group of this name already"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_one_sentence_and_changes_nothing(filled, limegrove, line, said):
    answer = limegrove("access", "plan", "--change", line)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert "\x1b" not in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert limegrove("access", "plan", "--list").json == []


def test_a_plan_of_nothing_a_contradiction_and_an_unknown_number_are_refused(filled, limegrove):
    for arguments in (
        ("plan",),
        ("plan", "--staged"),
        ("plan", "--undo", "7"),
        ("plan", "--show", "7"),
        ("plan", "--list", "--change", JOIN),
        ("plan", "--change", "grant bob@example.com dr.set 'Acme Corp'",
         "--change", "revoke bob@example.com dr.set 'Acme Corp'"),
        ("apply", "7"),
    ):  # fmt: skip
        answer = limegrove("access", *arguments)
        assert answer.code == 2, arguments
        assert len(answer.err.strip().splitlines()) == 1


def test_a_draft_is_put_away_once(filled, limegrove):
    limegrove("access", "plan", "--change", JOIN)
    assert limegrove("access", "plan", "--drop", "1", "--read-only").code == 5
    assert limegrove("access", "plan", "--drop", "1").code == 0
    assert limegrove("access", "plan", "--drop", "1").code == 5
    assert limegrove("access", "plan", "--show", "1").json["state"] == "dropped"


def test_doctor_names_a_plan_that_was_cut_off(filled, limegrove):
    from contextlib import closing

    from store import planwork
    from store.database import Store

    limegrove("access", "plan", "--change", JOIN)
    with closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store, store.writing() as c:
        planwork.take(c, 1, "gone", operator="ada", now=1, is_live=lambda _: False)
        planwork.release(c, 1, "gone")
    (said,) = [each for each in limegrove("doctor", "--offline").json["items"] if each["item"] == "plan"]
    assert said["state"] == "bad"
    assert "with 0 of 1 changes made; `limegrove access apply 1` carries on with it" in said["sentence"]


def test_every_line_that_is_shown_is_understood_again(filled, limegrove):
    lines = [
        "grant ann@example.com dr.list 'Acme Corp'", "revoke ann@example.com dr.set 'Acme Corp'",
        "remove-user ann@example.com 'Böhm & Söhne'", "leave ann@example.com 'Tier 1'",
        "own ann@example.com 'Tier 1'", f"hold {OIDS[1]} 'Tier 1'", "take org.get 'Tier 1'",
        "new-group 'Night shift'", "join ann@example.com 'new:Night shift'", "delete-key c0ffee 'Acme Corp'",
    ]  # fmt: skip
    limegrove("access", "stage", "add", *lines)
    first = limegrove("access", "stage", "list").json
    limegrove("access", "stage", "drop", "--all")
    assert limegrove("access", "stage", "list").json == []
    limegrove("access", "stage", "add", *(row["line"] for row in first))
    assert limegrove("access", "stage", "list").json == first
    assert len(first) == len(lines)


def test_staging_the_opposite_takes_the_place_of_what_was_staged(filled, limegrove):
    limegrove("access", "stage", "add", JOIN)
    answer = limegrove("access", "stage", "add", JOIN.replace("join", "leave"))
    assert [row["kind"] for row in map(lambda row: {"kind": row["line"].split()[0]}, answer.json)] == [
        "leave"
    ]
    assert limegrove("access", "stage", "drop", JOIN).code == 2
    assert limegrove("access", "stage", "add", JOIN, "--read-only").code == 5


# Applying


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A home whose store has read the access of a sandbox's four organizations."""
    home = tmp_path_factory.mktemp("home")
    with sandbox_process(home / "sandbox", "--seed", "3", "--orgs", "4", "--detections", "10") as (stage, _):
        env = as_user(home, stage)
        done = limegrove("sync", "--only", "orgs,access", env=env)
        assert done.returncode in (0, 3), done.stderr
        yield home, env


def _run(provider: Any, *arguments: str) -> tuple[int, Any, str]:
    done = limegrove("access", *arguments, env=provider[1])
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None, done.stderr


def test_a_plan_is_applied_seen_in_the_matrix_and_taken_back(provider):
    orgs = json.loads(limegrove("org", "list", env=provider[1]).stdout)
    oid = next(org["oid"] for org in orgs if not _run(provider, "matrix", "--org", org["oid"])[1]["failure"])
    principals = _run(provider, "matrix", "--org", oid)[1]["principals"]
    who = next(
        each["principal"]
        for each in principals
        if each["kind"] == "user" and "direct" in str(each["via"]) and "payload.ctrl" not in each["via"]
    )
    asked = ("explain", "--principal", who, "--permission", "payload.ctrl", "--org", oid)
    assert _run(provider, *asked)[1]["granted"] is False
    assert _run(provider, "stage", "add", f"grant {who} payload.ctrl {oid}")[0] == 0
    code, plan, _ = _run(provider, "plan", "--staged")
    assert code == 0
    number = str(plan["plan"])
    code, _, said = _run(provider, "apply", number)
    assert code == 5
    assert "--yes" in said
    code, _, said = _run(provider, "apply", number, "--yes", "--read-only")
    assert code == 5
    code, told, said = _run(provider, "apply", number, "--yes")
    assert (code, told["state"], told["counts"]) == (0, "applied", {"done": 1})
    assert f"Plan {number}: 1 change made." in said
    assert _run(provider, *asked)[1]["granted"] is True
    assert _run(provider, "stage", "list")[1] == []
    assert _run(provider, "apply", number, "--yes")[0] == 5
    code, undo, _ = _run(provider, "plan", "--undo", number)
    assert (undo["source"], undo["title"]) == (f"undo:{number}", f"undo of plan {number}")
    assert _run(provider, "apply", str(undo["plan"]), "--yes")[0] == 0
    assert _run(provider, *asked)[1]["granted"] is False


@pytest.mark.parametrize("effect", [True, False])
def test_a_plan_that_was_killed_while_it_was_sent_is_carried_on_by_its_number(provider, effect):
    orgs = json.loads(limegrove("org", "list", env=provider[1]).stdout)
    oids = [org["oid"] for org in orgs if not _run(provider, "matrix", "--org", org["oid"])[1]["failure"]]
    name = {True: "replicant.get", False: "replicant.ctrl"}[effect]
    lines = [f"revoke root@northlight.example {name} {oid}" for oid in oids]
    code, plan, said = _run(provider, "plan", *(word for line in lines for word in ("--change", line)))
    assert code == 0, said
    number = str(plan["plan"])
    url = provider[1]["LIMEGROVE_ENDPOINT"]
    rule = {"fault": "hang", "method": "DELETE", "path": "*/users/permissions", "effect": effect, "nth": 2}
    before = len(_faults(url, rule)) - 1
    process = subprocess.Popen(
        [sys.executable, "-m", "console", "access", "apply", number, "--yes"],
        cwd=ROOT, env=provider[1], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not _faults(url)[before]["applied"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    shown = _run(provider, "plan", "--show", number)[1]
    assert shown["state"] == "applying"
    code, told, said = _run(provider, "apply", number, "--yes")
    assert (code, told["state"], told["counts"]) == (0, "applied", {"done": len(lines)}), said
    for oid in oids:
        asked = ("explain", "--principal", "root@northlight.example", "--permission", name, "--org", oid)
        assert "direct" not in str(_run(provider, *asked)[1]["paths"])


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


def test_a_protected_organization_has_to_be_typed(provider):
    orgs = json.loads(limegrove("org", "list", env=provider[1]).stdout)
    oid, name = orgs[0]["oid"], orgs[0]["name"]
    for arguments in (("add", name, "--oid", oid, "--id", "one"), ("mark", "one", "protected")):
        done = limegrove("tree", *arguments, env=provider[1])
        assert done.returncode == 0, done.stderr
    code, plan, said = _run(provider, "plan", "--change", f"revoke root@northlight.example dr.set {oid}")
    assert (code, plan["confirm"]) == (0, name), said
    number = str(plan["plan"])
    assert _run(provider, "apply", number, "--yes")[0] == 5
    code, _, said = _run(provider, "apply", number, "--yes", "--confirm", "yes")
    assert code == 5
    assert name in said
    assert _run(provider, "plan", "--show", number)[1]["state"] == "draft"
