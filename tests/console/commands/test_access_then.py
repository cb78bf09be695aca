"""`--at`: who might do what at an earlier time, by the commands of access."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import SQLModel

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from store import accesshistory, ingest
from store.database import Store
from store.secret import Secret
from store.times import now_ms, rfc3339
from tests.console.commands.conftest import ACCESS, GID, OIDS
from tests.helpers.sandboxes import as_user, sandbox_process
from tests.helpers.sandboxes import limegrove as run

Run = Callable[..., Any]
DAY = 86_400_000
TABLES = SQLModel.metadata.tables


@pytest.fixture
def changed(filled: Path) -> Path:
    """What the store has of Acme was read ten days ago; an hour ago much of it had become otherwise."""
    now = now_ms()
    with closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store, store.writing() as c:
        for name in accesshistory.WATCHED:
            c.execute(update(TABLES[name]).values(valid_from=now - 10 * DAY))
        c.execute(update(TABLES["organization"]).values(first_seen=now - 20 * DAY))
        ingest.put_sync_state(c, OIDS[0], "keys", checked_at=now - 3_600_000)
        c.execute(update(TABLES["sync_state"]).values(first_at=now - 10 * DAY))
        after = ACCESS | {
            "user_permissions": {"ann@example.com": ["org.get"], "eve@example.com": ["dr.set"]},
            "direct_users": [], "from_groups": {}, "group_info": {},
        }  # fmt: skip
        ingest.put_access(c, OIDS[0], after, now=now - 3_600_000)
        ingest.put_keys(c, OIDS[0], {}, now=now - 3_600_000)
    return filled


def _held(matrix: Any) -> dict[str, list[str]]:
    return {each["principal"]: each["permissions"] for each in matrix["principals"]}


def test_the_matrix_of_then_is_what_it_was(changed: Path, limegrove: Run) -> None:
    now = limegrove("access", "matrix", "--org", OIDS[0])
    assert _held(now.json) == {"ann@example.com": ["org.get"], "eve@example.com": ["dr.set"]}
    assert (now.json["at"], now.json["gaps"]) == (None, [])
    then = limegrove("access", "matrix", "--org", OIDS[0], "--at", "7d")
    assert then.code == 0
    assert _held(then.json) == {
        "ann@example.com": ["dr.set", "org.get", "sensor.get"], "bob@example.com": ["org.get", "sensor.get"],
        GID: ["org.get", "sensor.get"], "c0ffee": ["org.get"],
    }  # fmt: skip
    assert then.json["at"] is not None
    assert then.json["groups"] == {GID: "Tier 1"}
    assert (then.json["gaps"], then.json["lacking"], then.json["acl_scopes"]) == ([], [], None)
    table = limegrove("access", "matrix", "--org", OIDS[0], "--at", "7d", "--output", "table")
    assert "bob@example.com" in table.out
    assert "As it was on 20" in table.err


def test_before_it_was_read_it_is_not_known_and_nobody_is_said_to_have_nothing(
    changed: Path, limegrove: Run
) -> None:
    answer = limegrove("access", "matrix", "--org", OIDS[0], "--at", "12d")
    assert answer.code == 3
    assert answer.json["principals"] == []
    [gap] = answer.json["gaps"]
    assert gap.startswith("Who might do what on Acme Corp then is not known: it is known only since ")
    assert gap in answer.err
    who = limegrove("access", "who", "--permission", "dr.set", "--org", OIDS[0], "--at", "12d")
    assert (who.code, who.json) == (3, [])
    assert "is not known: only since" in who.err
    asked = ("--principal", "ann@example.com", "--permission", "dr.set", "--org", OIDS[0])
    explained = limegrove("access", "explain", *asked, "--at", "12d")
    assert (explained.code, explained.json["granted"]) == (3, None)
    assert "is not known: only since" in explained.err


def test_keys_that_were_read_only_later_are_said_to_be_unknown(changed: Path, limegrove: Run) -> None:
    with closing(Store(f"sqlite:///{changed / 'default' / 'store.db'}")) as store, store.writing() as c:
        state = TABLES["sync_state"]
        c.execute(update(state).where(state.c.subject == "keys").values(first_at=now_ms() - DAY))
    asked = ("access", "matrix", "--org", OIDS[0], "--at")
    answer = limegrove(*asked, "7d")
    assert (answer.code, answer.json["gaps"]) == (
        0, ["Which keys Acme Corp had then is not known: they were not read yet."],
    )  # fmt: skip
    assert limegrove(*asked, "3h").json["gaps"] == []
    who = limegrove("access", "who", "--permission", "org.get", "--org", OIDS[0], "--at", "7d")
    assert "Which keys there were on Acme Corp" in who.err


def test_who_had_it_and_why_is_answered_as_of_then(changed: Path, limegrove: Run) -> None:
    asked = ("--permission", "dr.set", "--org", OIDS[0])
    assert [each["principal"] for each in limegrove("access", "who", *asked).json] == ["eve@example.com"]
    then = limegrove("access", "who", *asked, "--at", "7d").json
    assert [each["principal"] for each in then] == ["ann@example.com"]
    assert then[0]["at"]
    ann = ("--principal", "ann@example.com", *asked)
    assert limegrove("access", "explain", *ann).json["granted"] is False
    answer = limegrove("access", "explain", *ann, "--at", "7d").json
    assert (answer["granted"], [path["via"] for path in answer["paths"]]) == (True, ["direct"])
    eve = ("--principal", "eve@example.com", *asked)
    assert limegrove("access", "explain", *eve, "--at", "7d").json["granted"] is False
    key = ("--principal", "c0ffee", "--permission", "org.get", "--org", OIDS[0])
    assert limegrove("access", "explain", *key).code == 2
    assert limegrove("access", "explain", *key, "--at", "7d").json["granted"] is True


def test_the_other_pivots_are_as_of_then_and_name_who_was_not_read_yet(changed: Path, limegrove: Run) -> None:
    bob = limegrove("access", "matrix", "--principal", "bob@example.com", "--at", "7d")
    assert [each["oid"] for each in bob.json["organizations"]] == [OIDS[0]]
    assert [each["oid"] for each in bob.json["lacking"]] == OIDS[1:]
    assert len(bob.json["gaps"]) == 2
    assert limegrove("access", "matrix", "--principal", "bob@example.com").json["organizations"] == []
    dr = limegrove("access", "matrix", "--permission", "dr.set", "--at", "7d")
    assert [each["principal"] for each in dr.json["principals"]] == ["ann@example.com"]
    assert "of the others access was not read yet then" in dr.err
    assert limegrove("access", "matrix", "--principal", "c0ffee", "--at", "12d").code == 2


def test_a_comparison_with_then_compares_access_and_says_by_whom_after_it(
    changed: Path, limegrove: Run
) -> None:
    found = limegrove("org", "compare", OIDS[0], "--at", "7d").json
    assert [(each["what"], each["name"], each["where"], each["parts"]) for each in found["differences"]] == [
        ("group", "Tier 1", "only left", []),
        ("user", "ann@example.com", "differs", ["- dr.set sensor.get"]),
        ("user", "bob@example.com", "only left", []),
        ("user", "eve@example.com", "only right", []),
        ("key", "=backup", "only left", []),
    ]


@pytest.mark.parametrize("when", ["2999-01-01", "soon", "", "-3d", "1900-01-01"])
@pytest.mark.parametrize(
    "verb",
    [
        ("matrix", "--org", OIDS[0]),
        ("who", "--permission", "dr.set", "--org", OIDS[0]),
        ("explain", "--principal", "ann@example.com", "--permission", "dr.set", "--org", OIDS[0]),
        ("export",),
    ],
)
def test_what_is_no_time_or_lies_ahead_is_one_sentence(
    changed: Path, limegrove: Run, verb: tuple[str, ...], when: str
) -> None:
    answer = limegrove("access", *verb, f"--at={when}")
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert "--at" in answer.err


def test_roles_are_exported_as_they_were(changed: Path, limegrove: Run) -> None:
    now = now_ms()
    group = {"group_id": "g1", "name": "SOC", "owners": [], "members": ["a@p.example"], "perms": ["dr.set"], "orgs": []}  # fmt: skip
    with closing(Store(f"sqlite:///{changed / 'default' / 'store.db'}")) as store:
        for days, perms in ((5, ["dr.set"]), (1, ["dr.list"])):
            with store.writing() as c:
                ingest.put_groups(c, [group | {"perms": perms}], now=now - days * DAY)
                ingest.put_sync_state(c, "", "groups", checked_at=now - days * DAY)
    assert "dr.list" in limegrove("access", "export").out
    then = limegrove("access", "export", "--at", "3d")
    assert "dr.set" in then.out
    assert "dr.list" not in then.out
    early = limegrove("access", "export", "--at", "8d")
    assert (early.code, early.out) == (3, "")
    assert "not read yet" in early.err


def test_what_somebody_changed_in_the_cloud_is_seen_as_it_was_before(tmp_path: Path) -> None:
    with sandbox_process(tmp_path / "stage", "--orgs", "4", "--detections", "10") as (stage, _):
        env = as_user(tmp_path, stage)

        def told(*words: str) -> Any:
            done = run(*words, env=env)
            assert done.returncode in (0, 3), done.stderr
            return json.loads(done.stdout) if done.stdout.strip() else None

        def in_the_cloud(do: Callable[[Cloud], Coroutine[Any, Any, object]]) -> None:
            async def go() -> None:
                key = UserKey(stage["uid"], Secret(stage["api_key"]))
                async with Cloud(key, Endpoint.single(stage["url"])) as cloud:
                    await do(cloud)

            asyncio.run(go())

        told("sync", "--only", "orgs,access")
        oid, before = next(
            (each["oid"], matrix)
            for each in told("org", "list")
            for matrix in (told("access", "matrix", "--org", each["oid"]),)
            if not matrix["failure"] and {"user", "key", "group"} <= {p["kind"] for p in matrix["principals"]}
        )
        read = now_ms()
        users = [each for each in before["principals"] if each["kind"] == "user"]
        who, what = next(
            (each["principal"], name)
            for each in users
            for name, via in each["via"].items()
            if via == ["direct"]
        )
        key = next(each["principal"] for each in before["principals"] if each["kind"] == "key")
        gid = next(iter(before["groups"]))

        async def change(cloud: Cloud) -> None:
            here = cloud.organization(oid)
            await here.revoke(who, what)
            await here.delete_key(key)
            await cloud.add_group_member(gid, "new@provider.example", invite=True)

        in_the_cloud(change)
        told("sync", "--only", "orgs,access,audit")
        after = told("access", "matrix", "--org", oid)
        now = {each["principal"]: each for each in after["principals"]}
        assert what not in now[who]["permissions"]
        assert key not in now
        assert "new@provider.example" in now
        then = told("access", "matrix", "--org", oid, "--at", str(rfc3339(read)))
        assert then["principals"] == [each | {"acl_scopes": None} for each in before["principals"]]
        compared = told("org", "compare", oid, "--at", str(rfc3339(read)))["differences"]
        lines = {(each["what"], each["name"]): (each["where"], each["parts"]) for each in compared}
        assert lines["user", who] == ("differs", [f"- {what}"])
        assert lines["user", "new@provider.example"][0] == "only right"
        assert [where for (kind, _), (where, _) in lines.items() if kind == "key"] == ["only left"]
