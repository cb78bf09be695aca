"""Offboarding on a sandbox: the official client says before and after what there is of the organization and of its
neighbours."""

import asyncio
import copy
import json
import os
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from console.operations import offboardexport
from console.sandbox import catalogue
from console.sandbox.faults import Rule
from console.sandbox.server import Sandbox
from console.sandbox.world import World
from store.database import Store
from store.queries.organizations import find_organization
from tests.console.sandbox.conformance.stage import PYTHON, Failed, Official
from tests.helpers.agreement import groups_told, told
from tests.helpers.forks import Fork
from tests.helpers.sandboxes import as_user, limegrove

pytestmark = [
    pytest.mark.official,
    pytest.mark.skipif(not PYTHON.exists(), reason="the official client is not installed: run `make test`"),
]

NOW_MS = 1_795_176_000_000
START, END = NOW_MS // 1000 - 60 * 86_400, NOW_MS // 1000 + 60 * 86_400
ALONE = "Only this customer"


class Stage:
    """A sandbox, the official client, and a workspace that has read it."""

    def __init__(self, sandbox: Sandbox, official: Official, home: Path) -> None:
        self.sandbox, self._official, self.home = sandbox, official, home
        self.root = sandbox.world.access.users[sandbox.world.access.root]
        self.stage = {"uid": self.root.uid, "api_key": self.root.api_key, "url": sandbox.url}
        refusing = sandbox.world.unauthorized
        named = {one.oid: one.name for one in sandbox.world.by_oid.values() if one is not refusing}
        self.oids = sorted(named)
        self.names = named
        self.shared = ""
        """Somebody who is a user of two organizations."""

    def sdk(self, expression: str, oid: str) -> Any:
        """What the official SDK answers."""
        variables = {"LC_UID": self.root.uid, "LC_API_KEY": self.root.api_key, "LC_OID": oid}
        answer = self._official.ask(env=variables, expression=expression, names={})
        if "org not registered to service" in str(answer.get("message")):
            return {}
        if "error" in answer:
            raise Failed(f"{expression}: {answer}")
        return answer["value"]

    def seen_by(self, user: Any) -> "Stage":
        """The same, as somebody else's official client sees it."""
        other = copy.copy(self)
        other.root = user
        return other

    def run(self, *arguments: str, code: int = 0) -> "CompletedProcess[str]":
        """A command; it has to end with that code."""
        done = limegrove(*arguments, env=as_user(self.home, self.stage))
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def neighbours(self, oid: str) -> dict[str, Any]:
        """All that the official client says of the others."""
        others = [each for each in self.oids if each != oid and each in self.sandbox.world.by_oid]
        found: dict[str, Any] = {each: told(self.sdk, each, START, END) for each in others}
        groups = groups_told(self.sdk, others[0])
        found["groups"] = {
            gid: {**group, "organizations": [each for each in group["organizations"] if each != oid]}
            for gid, group in groups.items()
            if set(group["organizations"]) - {oid}
        }
        return found

    def store(self) -> Store:
        """The workspace's store."""
        return Store(f"sqlite:///{self.home / 'limegrove' / 'default' / 'store.db'}")

    def tree(self) -> str:
        """A tree with every organization in it; the id of the node of the first one."""
        lines = ["- {id: root, parent: null, name: Provider}"]
        lines += [
            json.dumps({"id": f"c{at}", "parent": "root", "name": self.names[oid], "oid": oid})
            for at, oid in enumerate(self.oids)
        ]
        lines[1:] = [f"- {line}" for line in lines[1:]]
        (self.home / "tree.yaml").write_text("\n".join(lines) + "\n", "utf-8")
        self.run("tree", "import", str(self.home / "tree.yaml"))
        return "c0"


@contextmanager
def _staged(orgs: int, seed: int = 5) -> Iterator[Stage]:
    sandbox = Sandbox(World(seed=seed, orgs=orgs, detections=60, now_ms=NOW_MS))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(sandbox.start(), loop).result(20)
    with tempfile.TemporaryDirectory(prefix="lg-off-") as name:
        official = Official(sandbox.url, Path(name))
        try:
            yield Stage(sandbox, official, Path(name))
        finally:
            official.close()
            asyncio.run_coroutine_threadsafe(sandbox.stop(), loop).result(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(20)
            loop.close()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Five organizations; the first has everything that a checklist may name, and shares people and groups."""
    with _staged(6) as made:
        mine, other = made.oids[0], made.oids[1]
        sdk = made.sdk
        sdk("org.add_output('leaving siem', 'syslog', 'detect', dest_host='log.example:514')", mine)
        sdk("org.create_installation_key('leaving', tags=['a'])", mine)
        sdk("org.add_api_key('leaving key', ['dr.list'])", mine)
        sdk("org.create_ingestion_key('leaving logs')", mine)
        made.shared = next(each for each in sdk("org.get_users()", other) if each != made.root.email)
        sdk(f"org.add_user({made.shared!r})", mine)
        gid = sdk(f"org.create_group({ALONE!r})", mine)["data"]["gid"]
        sdk(f"org.add_group_org({gid!r}, {mine!r})", mine)
        sdk(f"org.add_group_member({gid!r}, {made.shared!r})", mine)
        made.run("sync", code=3)
        made.tree()
        yield made


def _of(stage: Stage, oid: str) -> dict[str, Any]:
    """What the checklist names, as the official client has it."""
    sdk = stage.sdk
    groups = groups_told(sdk, oid)
    own = stage.root.email
    return {
        "outputs": sorted(sdk("org.get_outputs()", oid)),
        "keys": sorted(key["name"] for key in sdk("org.get_api_keys()", oid).values()),
        "users": sorted(sdk("org.get_users()", oid)),
        "installation keys": sorted(sdk("org.get_installation_keys()", oid)),
        "ingestion keys": sorted(sdk("org.get_ingestion_keys()", oid)),
        "extensions": sorted(sdk("Extensions(org).list_subscribed()", oid)),
        "sensors": sorted(row["sid"] for row in sdk("org.list_sensors()", oid)),
        "groups": sorted(
            group["name"]
            for group in groups.values()
            if oid in group["organizations"] and own not in group["members"]
        ),
    }


def test_everything_that_the_checklist_names_goes_and_nothing_of_a_neighbour(stage: Stage) -> None:
    oid, name = stage.oids[0], stage.names[stage.oids[0]]
    stage.run("tree", "mark", "c0", "hold")
    there, neighbours = _of(stage, oid), stage.neighbours(oid)
    assert all(there.values()), "the checklist names something that there is none of"
    out = stage.home / "export"

    dry = json.loads(stage.run("org", "offboard", oid, "--out", str(out), "--dry-run").stdout)
    assert _of(stage, oid) == there
    assert not out.exists()
    listed = {line["part"]: line for line in dry["checklist"]}
    assert listed["organization"] == {"part": "organization", "there": "stays", "steps": 0, "note": "it carries the mark hold"}  # fmt: skip
    assert any("mark hold" in note for note in dry["notes"])

    # A legal hold: everything but what data are lost with.
    stage.run("org", "offboard", oid, "--out", str(out), "--yes", "--confirm", name)
    left = _of(stage, oid)
    assert left.pop("users") == [stage.root.email], "the credential cuts itself off before the end"
    assert {part: left.pop(part) for part in ("extensions", "sensors")} == {
        part: there[part] for part in ("extensions", "sensors")
    }
    assert left == {part: [] for part in left}
    assert stage.neighbours(oid) == neighbours
    assert ALONE not in {group["name"] for group in groups_told(stage.sdk, oid).values()}
    assert stage.shared in stage.sdk("org.get_users()", stage.oids[1])
    nodes = {node["id"]: node for node in json.loads(stage.run("tree", "show").stdout)}
    assert nodes["c0"]["marks"] == ["leaving", "hold"]

    # Without the hold: the organization, and with it what was left.
    stage.run("tree", "mark", "c0", "no-hold")
    stage.run(
        "org",
        "offboard",
        oid,
        "--out",
        str(stage.home / "again"),
        "--without-report",
        "--yes",
        "--confirm",
        name,
    )
    listing = {row["oid"] for row in stage.sdk("client.request('GET', 'user/orgs')['orgs']", stage.oids[1])}
    assert oid not in listing
    assert listing >= set(stage.oids[1:])
    assert stage.neighbours(oid) == neighbours
    assert all(oid not in group["organizations"] for group in groups_told(stage.sdk, stage.oids[1]).values())
    _exported(out, there, oid, stage)

    # And then the store.
    stage.run("sync", code=3)
    with closing(stage.store()) as store, store.reader.reading() as connection:
        assert find_organization(connection, oid)
    assert stage.run("org", "forget", oid, "--yes", code=5).stderr.count("--confirm")
    forgotten = json.loads(stage.run("org", "forget", oid, "--yes", "--confirm", name).stdout)
    assert (forgotten["oid"], forgotten["left"]) == (oid, [])
    directory = stage.home / "limegrove" / "default"
    for path in directory.glob("store.db*"):
        held = path.read_bytes()
        assert oid.encode() not in held
        assert name.encode() not in held
    assert all(row["ok"] for row in json.loads(stage.run("store", "check").stdout))
    assert json.loads(stage.run("sync", code=3).stdout)["organizations"] == len(stage.oids)
    assert "nothing of" in stage.run("org", "forget", oid, code=2).stderr


def _exported(out: Path, there: dict[str, Any], oid: str, stage: Stage) -> None:
    """The export is whole, private, and the organization's alone."""
    assert offboardexport.problem(out, oid, 1) == ""
    assert {path.stat().st_mode & 0o777 for path in out.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (out, *out.rglob("*")) if path.is_dir()} == {0o700}
    read = lambda path: [json.loads(line) for line in (out / path).read_text("utf-8").splitlines()]  # noqa: E731
    assert sorted(row["sid"] for row in read("sensors.jsonl")) == there["sensors"]
    assert sorted(row["name"] for row in read("access/keys.jsonl")) == there["keys"]
    groups = {row["name"]: row for row in read("access/groups.jsonl")}
    assert groups.pop(ALONE)["members"] == [stage.shared]
    assert all(set(row["members"]) <= set(there["users"]) for row in groups.values()), (
        "somebody else's people"
    )
    assert any(row["people"] for row in groups.values())
    records = read("configuration/records.jsonl")
    assert sorted(row["name"] for row in records if row["section"] == "output") == there["outputs"]
    assert sorted(row["name"] for row in records if row["section"] == "extension") == there["extensions"]
    lint = json.loads(stage.run("template", "lint", str(out / "configuration" / "index.yaml")).stdout)
    assert [finding for finding in lint if finding["severity"] == "error"] == []
    everything = "\n".join(path.read_text("utf-8", "replace") for path in out.rglob("*") if path.is_file())
    assert oid in everything
    for other in stage.oids[1:]:
        assert other not in everything
        assert stage.names[other] not in everything
    assert {path.suffix for path in (out / "report").iterdir()} == {".html", ".pdf", ".md"}
    (out / "audit.jsonl").write_text("", "utf-8")
    assert offboardexport.problem(out, oid, 1) == "audit.jsonl is not what was exported."


def test_nothing_is_taken_before_everything_is_kept(stage: Stage) -> None:
    oid, name = stage.oids[2], stage.names[stage.oids[2]]
    before = told(stage.sdk, oid, START, END)
    (stage.home / "file").write_text("")

    # The export cannot be written, then not be read whole.
    said = stage.run(
        "org", "offboard", oid, "--out", str(stage.home / "file" / "x"), "--yes", "--confirm", name, code=3
    ).stderr  # fmt: skip
    assert "The export cannot be written" in said
    stage.sandbox.faults.add(Rule("status", status=500, oid=oid, path="/v1/usage/{oid}", count=None))
    try:
        said = stage.run("org", "offboard", oid, "--out", str(stage.home / "x"), "--yes", "--confirm", name, code=3).stderr  # fmt: skip
    finally:
        stage.sandbox.faults.clear()
    assert "nothing is taken before it is kept: usage.jsonl" in said
    assert not (stage.home / "x" / "manifest.json").exists()

    # What must not be begun.
    for arguments, code, text in (
        (("--yes", "--confirm", "somebody else"), 5, "--confirm"),
        (("--yes",), 5, "--confirm"),
        (("--keep", "everything", "--yes"), 2, "There is no part"),
        (("--read-only", "--yes", "--confirm", name), 5, "read-only"),
        (("--offline", "--yes", "--confirm", name), 5, "offline"),
    ):
        assert text in stage.run("org", "offboard", oid, *arguments, code=code).stderr
    assert told(stage.sdk, oid, START, END) == before
    assert "still lists" in stage.run("org", "forget", oid, "--yes", "--confirm", name, code=5).stderr


def test_a_deletion_whose_answer_is_lost_is_made_once(stage: Stage) -> None:
    oid, name = stage.oids[3], stage.names[stage.oids[3]]
    neighbours = stage.neighbours(oid)
    rule = Rule("drop", effect=True, method="DELETE", path="/v1/orgs/{oid}/delete")
    stage.sandbox.faults.add(rule)
    try:
        done = json.loads(
            stage.run(
                "org", "offboard", oid, "--keep", "sensors,extensions", "--without-report", "--yes", "--confirm", name,
                "--out", str(stage.home / "third"),
            ).stdout
        )  # fmt: skip
    finally:
        stage.sandbox.faults.clear()
    steps = done["organizations"][0]["steps"]
    assert [step["outcome"] for step in steps if step["verb"] == "organization.delete"] == ["done"]
    assert not any(step["verb"] in ("sensor.delete", "extension.unsubscribe") for step in steps)
    assert stage.neighbours(oid) == neighbours


def test_an_organization_that_is_kept_loses_everything_and_the_provider_last(stage: Stage) -> None:
    oid, name = stage.oids[4], stage.names[stage.oids[4]]
    neighbours = stage.neighbours(oid)
    one, access = stage.sandbox.world.by_oid[oid], stage.sandbox.world.access
    users = {email for email in access.direct(one) if email != stage.root.email}
    owner = access.person(sorted(users)[0])
    access.grant(one, owner.email, catalogue.ALL)

    stage.run(
        "org", "offboard", oid, "--keep", "organization,users", "--without-report", "--yes", "--confirm", name,
        "--out", str(stage.home / "fourth"),
    )  # fmt: skip

    assert stage.neighbours(oid) == neighbours
    assert stage.root.email in access.direct(one), "users were to be kept, the provider's own among them"
    assert not any(one.index in group.holds for group in access.groups)
    left = _of(stage.seen_by(owner), oid)
    assert set(left.pop("users")) >= users
    assert left == {part: [] for part in left}


def test_the_provider_goes_last_of_all(stage: Stage) -> None:
    """Its own grant and the group that it works by are taken by the steps behind all others."""
    oid = stage.oids[1]
    own = stage.sdk("org.create_group('Ours')", oid)["data"]["gid"]
    stage.sdk(f"org.add_group_org({own!r}, {oid!r})", oid)
    stage.sdk(f"org.add_group_member({own!r}, {stage.root.email!r})", oid)
    dry = json.loads(stage.run("org", "offboard", oid, "--keep", "organization", "--dry-run").stdout)
    steps = [(step["verb"], step["target"]) for step in dry["organizations"][0]["steps"]]
    behind = steps[steps.index(("offboard.cleared", "")) + 1 :]
    assert ("group.remove-organization", own) in behind
    assert ("group.delete", own) in behind
    assert behind[-1] == ("user.remove", stage.root.email)
    deleting = json.loads(stage.run("org", "offboard", oid, "--dry-run").stdout)
    steps = [(step["verb"], step["target"]) for step in deleting["organizations"][0]["steps"]]
    assert ("user.remove", stage.root.email) not in steps, "it goes with the organization"
    assert steps.index(("organization.delete", oid)) < steps.index(("group.delete", own))


def test_calls_that_fail_and_three_kills_lose_and_repeat_nothing(stage: Stage) -> None:
    oid, name = stage.oids[2], stage.names[stage.oids[2]]
    neighbours = stage.neighbours(oid)
    out = stage.home / "killed"
    rules = [
        Rule("status", status=503, path="/v1/*", count=None, probability=0.02, seed=1),
        Rule("drop", path="/v1/*", count=None, probability=0.02, seed=2, effect=True),
        Rule("drop", path="/v1/*", count=None, probability=0.01, seed=3),
    ]
    env = as_user(stage.home, stage.stage)
    said = stage.home / "said"
    begun = _count(stage, "SELECT count(*) FROM run")
    words: tuple[str, ...] = (
        "org",
        "offboard",
        oid,
        "--out",
        str(out),
        "--without-report",
        "--yes",
        "--confirm",
        name,
    )
    stage.sandbox.faults.add(*rules)
    try:
        for kill in (1, 12, 30):
            process = _started(words, env, said)
            while _count(stage, ENDED.format(begun)) < kill:
                assert process.poll() is None, said.read_text()[-2000:]
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            assert process.wait(30) == -signal.SIGKILL
            number = _count(stage, "SELECT max(id) FROM run")
            assert number == begun + 1
            words = ("org", "resume", str(number), "--yes", "--confirm", name)
        for _ in range(6):
            code = _started(words, env, said).wait(300)
            if not code:
                break
        assert code == 0, said.read_text()[-2000:]
    finally:
        stage.sandbox.faults.clear()
    assert oid not in stage.sandbox.world.by_oid
    assert stage.neighbours(oid) == neighbours
    assert offboardexport.problem(out, oid, begun + 1) == ""
    assert all(row["ok"] for row in json.loads(stage.run("store", "check").stdout))


ENDED = "SELECT count(*) FROM run_step WHERE run_id > {} AND outcome > 1"


def _count(stage: Stage, query: str) -> int:
    path = stage.home / "limegrove" / "default" / "store.db"
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        return int(connection.execute(query).fetchone()[0])


def _started(words: tuple[str, ...], env: dict[str, str], said: Path) -> Fork:
    with said.open("ab") as out, open(os.devnull, "rb") as nothing:
        return Fork(list(words), env, (nothing.fileno(), out.fileno(), out.fileno()))
