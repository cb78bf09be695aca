"""`limegrove sensor` and `limegrove search`, each a real process against a real sandbox."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store.database import Store
from store.queries.activity import journal
from tests.helpers.sandboxes import ROOT, as_user, environment, limegrove, sandbox_process

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A sandbox, and a workspace that has read it."""
    home = tmp_path_factory.mktemp("stage")
    with sandbox_process(home / "sandbox", "--seed", "4", "--orgs", "7", "--detections", "60") as (line, _):
        env = as_user(home, line)
        limegrove("sync", "--only", "orgs", env=env)
        listed = json.loads(limegrove("org", "list", "--output", "json", env=env).stdout)
        whole = [row for row in listed if row["state"] != "failed"]
        yield {**line, "home": home, "env": env, "oid": whole[1]["oid"], "listed": listed}


@pytest.fixture
def run(stage: dict[str, Any]) -> Run:
    def call(*words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return limegrove(*words, env=stage["env"] | more)

    return call


@pytest.fixture(scope="module")
def sensors(stage: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(
        limegrove("sensor", "list", stage["oid"], "--output", "json", env=stage["env"]).stdout
    )
    return [row for row in rows if row["platform"] == "windows" and not row["isolated"]]


def entries(stage: dict[str, Any]) -> list[Any]:
    path = stage["home"] / "limegrove" / "default" / "store.db"
    with closing(Store(f"sqlite:///{path}")) as store, store.reader.reading() as connection:
        return journal(connection, limit=200)


def test_a_card_is_asked_of_the_cloud_and_offline_of_the_store(
    run: Run, stage: dict[str, Any], sensors: list[dict[str, Any]]
) -> None:
    sensor = sensors[0]
    live = json.loads(run("sensor", "show", sensor["sid"], "--output", "json").stdout)
    assert (live["hostname"], live["live"], live["oid"]) == (sensor["hostname"], True, stage["oid"])
    assert live["online"] in (True, False)
    assert live["isolation"] == {"wanted": False, "confirmed": False}
    named = run("sensor", "show", sensor["hostname"], "--organization", stage["oid"], "--offline")
    kept = json.loads(named.stdout)
    assert (kept["sid"], kept["live"], kept["online"]) == (sensor["sid"], False, None)
    assert kept["as_of"]


def test_a_sensor_that_is_not_there_is_named_with_what_to_do(run: Run, stage: dict[str, Any]) -> None:
    missing = run("sensor", "show", "no-such-host")
    assert (missing.returncode, "sensor list" in missing.stderr) == (2, True)
    gone = run("sensor", "show", "00000000-0000-4000-8000-000000000000", "--organization", stage["oid"])
    assert (gone.returncode, gone.stdout) == (2, "")
    assert "no such sensor" in gone.stderr


def test_an_isolation_wants_the_name_and_is_read_back(
    run: Run, stage: dict[str, Any], sensors: list[dict[str, Any]]
) -> None:
    sensor = sensors[1]
    before = len(entries(stage))
    nobody = run("sensor", "isolate", sensor["sid"], "--yes")
    wrong = run("sensor", "isolate", sensor["sid"], "--confirm", "another-host")
    locked = run("sensor", "isolate", sensor["sid"], "--confirm", sensor["hostname"], "--read-only")
    offline = run("sensor", "isolate", sensor["sid"], "--confirm", sensor["hostname"], "--offline")
    assert [each.returncode for each in (nobody, wrong, locked, offline)] == [5, 5, 5, 5]
    assert "--confirm NAME" in nobody.stderr
    assert "Nothing was sent" in wrong.stderr
    assert len(entries(stage)) == before
    done = run("sensor", "isolate", sensor["sid"], "--confirm", sensor["hostname"], "--reason", "beacon")
    answer = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert answer["outcome"] in ("confirmed", "asked")
    assert answer["isolation"]["wanted"] is True
    back = run("sensor", "rejoin", sensor["sid"], "--confirm", sensor["hostname"])
    assert json.loads(back.stdout)["isolation"]["wanted"] is False
    assert [each.action for each in entries(stage)][:4][::-1] == [
        "sensor.isolate", "sensor.isolate", "sensor.rejoin", "sensor.rejoin",
    ]  # fmt: skip


def test_a_tag_is_set_and_taken(run: Run, sensors: list[dict[str, Any]]) -> None:
    sid = sensors[2]["sid"]
    done = json.loads(run("sensor", "tag", sid, "watched", "--ttl", "12h").stdout)
    assert (done["outcome"], "watched" in [tag["tag"] for tag in done["tags"]]) == ("done", True)
    again = json.loads(run("sensor", "tag", sid, "watched").stdout)
    assert again["outcome"] == "already"
    gone = json.loads(run("sensor", "untag", sid, "watched").stdout)
    assert "watched" not in [tag["tag"] for tag in gone["tags"]]
    assert run("sensor", "tag", sid, "watched", "--ttl", "soon").returncode == 2
    assert run("sensor", "tag", sid, "a,b").returncode == 5


def test_a_key_that_may_not_is_refused_with_the_permission_named(
    run: Run, stage: dict[str, Any], sensors: list[dict[str, Any]], tmp_path: Path
) -> None:
    made = _reader_key(stage)
    env = environment(tmp_path, LC_OID=stage["oid"], LC_API_KEY=made, LIMEGROVE_ENDPOINT=stage["url"])
    env["LIMEGROVE_HOME"] = str(stage["home"] / "limegrove")
    sensor = sensors[0]
    refused = limegrove("sensor", "isolate", sensor["sid"], "--confirm", sensor["hostname"], env=env)
    assert refused.returncode == 5, refused.stderr
    assert "sensor.task" in refused.stderr
    assert limegrove("sensor", "tag", sensor["sid"], "x", env=env).returncode == 5


def _reader_key(stage: dict[str, Any]) -> str:
    import asyncio

    from console.limacharlie.client import Cloud
    from console.limacharlie.credentials import UserKey
    from console.limacharlie.endpoint import Endpoint
    from store.secret import Secret

    async def make() -> str:
        key = UserKey(stage["uid"], Secret(stage["api_key"]))
        async with Cloud(key, Endpoint.single(stage["url"])) as cloud:
            made = await cloud.organization(stage["oid"]).create_key(
                "reader", ["org.get", "sensor.get", "sensor.list"]
            )
            return str(made.api_key.reveal())

    return asyncio.run(make())


QUERY = "plat == windows | NEW_PROCESS | event/FILE_PATH contains 'exe'"


def test_a_search_says_its_price_first_and_runs_nothing_unasked(run: Run, stage: dict[str, Any]) -> None:
    estimate = run("search", QUERY, "--since", "1h", "--estimate")
    answer = json.loads(estimate.stdout)
    assert estimate.returncode == 3, "one organization refuses"
    assert answer["estimated"][0]["price"] > 0
    assert len(answer["organizations"]) == len(stage["listed"])
    (refused,) = [each for each in answer["organizations"] if each["error"]]
    assert f"{refused['organization']} cannot be asked: {refused['error']}" in estimate.stderr
    nobody = run("search", QUERY, "--since", "1h")
    assert (nobody.returncode, nobody.stdout) == (5, "")
    assert "costs about" in nobody.stderr
    assert run("search", QUERY, "--read-only", "--yes").returncode == 5
    assert run("search", QUERY, "--offline", "--yes").returncode == 5


def test_a_search_prints_every_row_with_its_organization_and_names_who_failed(
    run: Run, stage: dict[str, Any]
) -> None:
    done = run("search", QUERY, "--since", "1h", "--limit", "5", "--yes")
    answer = json.loads(done.stdout)
    assert done.returncode == 3, done.stderr
    by_state = {each["state"] for each in answer["organizations"]}
    assert by_state == {"done", "failed"}
    rows = answer["rows"]
    assert rows
    assert all(row["row"]["data"]["routing"]["oid"] == row["oid"] for row in rows)
    assert [row["time"] for row in rows] == sorted((row["time"] for row in rows), reverse=True)
    failed = next(each for each in answer["organizations"] if each["state"] == "failed")
    assert failed["organization"][:8] in done.stderr
    assert entries(stage)[0].action == "search.run"
    table = run("search", QUERY, "--since", "1h", "--limit", "2", "--yes", "--output", "table").stdout
    assert table.splitlines()[0].split() == ["ORGANIZATION", "TIME", "HOST", "TYPE", "WHAT"]
    lines = run("search", QUERY, "--since", "1h", "--limit", "1", "--yes", "--output", "jsonl").stdout
    assert all(json.loads(line)["oid"] for line in lines.splitlines())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("",), "QUERY: cannot be empty"),
        ((QUERY, "--since", "soon"), "--since"),
        ((QUERY, "--since", "1h", "--until", "2h"), "--until"),
        ((QUERY, "--stream", "pcap"), "event, detection, audit"),
        ((QUERY, "--limit", "0"), "--limit"),
        (("* | NEW_PROCESS | event/FILE_PATH contains 'a", "--since", "1h"), "quote is not closed"),
    ],
)
def test_a_bad_question_is_one_sentence(run: Run, words: tuple[str, ...], says: str) -> None:
    answer = run("search", *words, "--yes")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert says in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_on_a_terminal_the_name_is_typed(stage: dict[str, Any], sensors: list[dict[str, Any]]) -> None:
    sensor = sensors[3]
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "console", "sensor", "isolate", sensor["sid"], "--output", "json"],
        cwd=ROOT, env=stage["env"], stdin=terminal, stderr=terminal, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(terminal)
    said = b""
    while b"Type the host's name" not in said:
        said += os.read(controller, 1000)
    os.write(controller, sensor["hostname"].encode() + b"\n")
    out, _ = process.communicate(timeout=60)
    os.close(controller)
    assert process.returncode == 0
    assert json.loads(out)["isolation"]["wanted"] is True
