"""An access file against a real sandbox: applied twice it changes nothing the second time, and what the
official client edits behind its back is told, since when and by whom, and taken back."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations import accessfile, accessplans
from console.sandbox.access import identity
from store import accessroles
from store.accessplans import NothingToDo
from store.database import Store
from store.permissions import roles
from store.secret import Secret
from store.times import now_ms
from tests.console.test_official_agrees import OFFICIAL, Official
from tests.helpers.sandboxes import as_user, limegrove, sandbox_process

pytestmark = [
    pytest.mark.official,
    pytest.mark.skipif(not OFFICIAL.exists(), reason="the official client is not installed: run `make test`"),
]

ROOT_EMAIL = "root@northlight.example"
SEED = 7


@dataclass
class Stage:
    """A sandbox in a process of its own, a workspace that has read it, and the official client."""

    home: Path
    stage: dict[str, Any]
    official: Official

    def run(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Any:
        """What a command prints as JSON."""
        done = limegrove(*arguments, env=as_user(self.home, self.stage))
        assert done.returncode in codes, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout) if done.stdout else done.stderr

    def file(self, text: str) -> str:
        """A file of this text; its path."""
        path = self.home / "access.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    def store(self) -> Store:
        """The workspace's store."""
        return Store(f"sqlite:///{self.home / 'limegrove' / 'default' / 'store.db'}")

    def apply(self, text: str) -> accessplans.Outcome:
        """Plan what a file wants, and apply the plan.

        Raises:
            NothingToDo: all of it is so.
        """
        store = self.store()

        async def once() -> accessplans.Outcome:
            found = accessfile.wanted(text.encode(), reader=store.reader)
            accessfile.remember(found, store=store, now=now_ms())
            key = UserKey(self.stage["uid"], Secret(self.stage["api_key"]))
            async with Cloud(key, Endpoint.single(self.stage["url"])) as cloud:
                return await accessplans.carry_out(
                    found.changes,
                    title="access.yaml",
                    store=store,
                    cloud=cloud,
                    operator="ada",
                    source=found.source,
                )

        try:
            return asyncio.run(once())
        finally:
            store.close()

    def drift(self, file: str, *, code: int) -> dict[str, Any]:
        """How each group differs, by name."""
        said = self.run("access", "drift", file, "--output", "json", codes=(code,))
        return {group["name"]: group for group in said["groups"]}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with sandbox_process(tmp_path / "sandbox", "--orgs", "6", "--detections", "20", "--seed", str(SEED)) as (
        served,
        _,
    ):
        made = Stage(tmp_path, served, Official(served, served["oids"][0]))
        made.run("sync", "--output", "json", codes=(0, 3))
        tree = "- {id: root, parent: null, name: Provider}\n- {id: europe, parent: root, name: Europe}\n"
        tree += "".join(
            f"- {{id: c{at}, parent: {'europe' if at < 2 else 'root'}, name: C{at}, oid: {oid}}}\n"
            for at, oid in enumerate(served["oids"])
        )
        (tmp_path / "tree.yaml").write_text(tree)
        made.run("tree", "import", str(tmp_path / "tree.yaml"))
        yield made


FILE = """\
roles:
  Customer analyst:
    extends: Basic
    permissions: [dr.list, insight.det.get]
groups:
  - name: Customer readers
    role: Customer analyst
    nodes: [Europe]
    members: [KIM]
    owners: [root@northlight.example, ADMIN]
  - name: SOC L2
    role: Viewer
"""


def test_what_is_written_from_what_is_there_changes_nothing(stage: Stage) -> None:
    text = limegrove("access", "export", env=as_user(stage.home, stage.stage)).stdout
    assert "SOC L1" in text
    groups = stage.drift(stage.file(text), code=0)
    assert len(groups) >= 7
    assert all(group["differences"] == [] for group in groups.values())
    with pytest.raises(NothingToDo):
        stage.apply(text)


def test_applied_twice_it_changes_nothing_and_what_the_official_client_edits_is_told_and_taken_back(
    stage: Stage,
) -> None:
    official, oids = stage.official, stage.stage["oids"]
    l1 = next(row["gid"] for row in official.json("group", "list") if row["name"] == "SOC L1")
    whole = official.json("group", "get", "--id", l1)["group"]
    kim, (admin,) = whole["members"][0], set(whole["owners"]) - {ROOT_EMAIL}
    text = FILE.replace("KIM", kim).replace("ADMIN", admin)
    file = stage.file(text)
    began = stage.drift(file, code=4)
    assert [each["what"] for each in began["Customer readers"]["differences"]][:1] == ["missing"]
    outcome = stage.apply(text)
    assert outcome.state == "applied", outcome.sentence
    by_name = {row["name"]: row["gid"] for row in official.json("group", "list")}
    gid, l2 = by_name["Customer readers"], by_name["SOC L2"]
    held = [*roles()["Basic"], "dr.list", "insight.det.get"]
    made = official.json("group", "get", "--id", gid)["group"]
    assert sorted(made["perms"]) == sorted(held)
    assert sorted(each["org_id"] for each in made["orgs"]) == sorted(oids[:2])
    assert (made["members"], set(made["owners"])) == ([kim], {ROOT_EMAIL, admin})
    assert sorted(official.json("group", "get", "--id", l2)["group"]["perms"]) == sorted(roles()["Viewer"])

    # The second time: neither by what the store knows, nor after it was read again, nor in the cloud.
    logs = {each: official.json("group", "logs", "--gid", each) for each in (gid, l2)}
    with pytest.raises(NothingToDo):
        stage.apply(text)
    stage.run("sync", "--output", "json", codes=(0, 3))
    assert all(group["differences"] == [] for group in stage.drift(file, code=0).values())
    with pytest.raises(NothingToDo):
        stage.apply(text)
    assert {each: official.json("group", "logs", "--gid", each) for each in (gid, l2)} == logs

    # The roles that it gave are kept.
    store = stage.store()
    with store.reader.reading() as c:
        given = accessroles.given(c)
    store.close()
    assert {each: (given[each].role, given[each].permissions) for each in (gid, l2)} == {
        gid: ("Customer analyst", frozenset(held)), l2: ("Viewer", frozenset(roles()["Viewer"])),
    }  # fmt: skip

    # Edited in the cloud behind its back, by another administrator.
    user = identity(SEED, admin)
    theirs = Official(stage.stage | {"uid": user.uid, "api_key": user.api_key}, oids[0])
    before = now_ms() - 60_000  # the stage's clock is behind ours by what it took to start
    theirs.text("group", "member-add", "--gid", gid, "--email", "eve@else.example")
    theirs.text("group", "member-remove", "--gid", gid, "--email", kim)
    theirs.text("group", "org-remove", "--gid", gid, "--oid", oids[1])
    theirs.text("group", "org-add", "--gid", gid, "--oid", oids[2])
    theirs.text("group", "owner-add", "--gid", gid, "--email", "eve@else.example")
    theirs.text(
        "group", "permissions-set", "--gid", gid, "--permissions", ",".join([*held[:-1], "sensor.task"])
    )
    stage.run("sync", "--output", "json", codes=(0, 3))
    drifted = stage.drift(file, code=4)
    assert drifted["SOC L2"]["differences"] == []
    told = drifted["Customer readers"]["differences"]
    assert {(each["what"], each["section"], each["value"]) for each in told} == {
        ("extra", "member", "eve@else.example"),
        ("missing", "member", kim),
        ("missing", "organization", oids[1]),
        ("extra", "organization", oids[2]),
        ("extra", "owner", "eve@else.example"),
        ("missing", "permission", held[-1]),
        ("extra", "permission", "sensor.task"),
    }
    for each in told:
        assert (each["by"], each["told_by"]) == (admin, "group"), each
        assert before <= _milliseconds(each["since"]) <= now_ms(), each

    # And in the timeline, in the order in which it was done.
    events = stage.run(
        "access", "timeline", "--group", "Customer readers", "--limit", "6", "--output", "json"
    )
    assert [event["action"] for event in events] == [
        "set_permissions", "add_owner", "add_org", "remove_org", "remove_member", "add_member",
    ]  # fmt: skip
    assert events[5]["what"] == "made eve@else.example a member of the group Customer readers"

    # Taken back by the same file, by the command line alone.
    assert stage.run("access", "plan", "--check", "--file", file, codes=(4,))
    drafted = stage.run("access", "plan", "--file", file)
    applied = stage.run("access", "apply", str(drafted["plan"]), "--yes")
    assert applied["state"] == "applied", applied
    stage.run("access", "plan", "--check", "--file", file)
    again = official.json("group", "get", "--id", gid)["group"]
    assert {name: sorted(map(str, again[name])) for name in ("members", "owners", "perms")} == {
        name: sorted(map(str, made[name])) for name in ("members", "owners", "perms")
    }
    assert sorted(each["org_id"] for each in again["orgs"]) == sorted(oids[:2])


def _milliseconds(text: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(text).timestamp() * 1000)
