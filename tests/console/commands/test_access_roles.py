"""`limegrove access lint|drift|export|timeline`: what they say, and with which exit codes."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import ingest
from store.database import Store
from store.permissions import roles
from store.times import now_ms
from store.tree import TreeNode, replace_tree
from tests.console.commands.conftest import NAMES, OIDS, Answer

KIM = "kim@p.example"
ROOT = "root@p.example"
GIDS = ("a1", "a2")


@pytest.fixture
def provider(filled: Path) -> Store:
    """A tree, two groups of which one is not ours, and what their logs tell."""
    now = now_ms()
    with closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store, store.writing() as c:
        nodes = [TreeNode("root", None, "Provider"), TreeNode("eu", "root", "Europe")]
        replace_tree(
            c, [*nodes, *(TreeNode(f"c{at}", "eu", f"C{at}", oid) for at, oid in enumerate(OIDS[:2]))]
        )
        group = {
            "group_id": GIDS[0], "name": "SOC L1", "perms": list(roles()["Viewer"]), "members": [KIM],
            "owners": [ROOT], "orgs": [{"org_id": oid} for oid in OIDS[:2]],
        }  # fmt: skip
        ingest.put_groups(c, [group], now=now)
        ingest.put_access(
            c,
            OIDS[2],
            {"user_permissions": {}, "group_info": {GIDS[1]: {"name": "Of others", "perms": ["org.get"]}}},
        )
        ingest.put_sync_state(c, "", "groups", checked_at=now, attempted_at=now)
        ingest.put_group_log(
            c,
            GIDS[0],
            [
                {"action": "create_group", "actor": ROOT, "ts": now // 1000 - 7200},
                {
                    "action": "add_member",
                    "actor": "eve\x1b[31m@p.example",
                    "member_email": KIM,
                    "ts": now // 1000 - 60,
                },
                {"action": "odd", "actor": ROOT, "ts": now // 1000 - 30, "api_key": "canary"},
            ],
        )
    return store


Run = Callable[..., Answer]


def _file(home: Path, text: str) -> str:
    path = home / "access.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


GOOD = f"groups:\n  - name: SOC L1\n    role: Viewer\n    nodes: [Europe]\n    members: [{KIM}]\n    owners: [{ROOT}]\n"


def test_a_good_file_can_be_applied_and_has_no_drift(limegrove: Run, provider: Store, tmp_path: Path) -> None:
    name = _file(tmp_path, GOOD)
    done = limegrove("access", "lint", name, "--output", "table")
    assert (done.code, done.err) == (0, f"{name} can be applied.\n")
    done = limegrove("access", "drift", name)
    assert done.code == 0
    assert done.json["drift"] is False
    assert done.json["not_in_the_file"] == 2


def test_a_bad_file_is_told_by_file_and_line_and_refused_by_all_that_would_use_it(
    limegrove: Run, provider: Store, tmp_path: Path
) -> None:
    name = _file(tmp_path, "groups:\n  - name: SOC L1\n    role: Veiwer\n    nodes: [Asia]\n")
    done = limegrove("access", "lint", name)
    assert done.code == 1
    first = done.json[0]
    assert (first["line"], first["severity"], first["remedy"]) == (3, "error", "Did you mean Viewer?")
    for command in (("drift", name), ("what-if", "--file", name), ("export", "--roles", name)):
        done = limegrove("access", *command)
        assert done.code == 1, command
        assert f"{name}:3: There is no role 'Veiwer'. Did you mean Viewer?" in done.err
        assert done.err.endswith(f"{name} has 2 mistakes; nothing was changed.\n")
        assert not done.out


def test_a_file_that_is_not_there_is_one_sentence(limegrove: Run, provider: Store) -> None:
    done = limegrove("access", "lint", "no-such.yaml")
    assert done.code == 1
    assert (
        done.err
        == "limegrove: `no-such.yaml` cannot be read: No such file or directory; nothing was changed.\n"
    )


def test_drift_has_exit_code_4_and_says_since_when_and_by_whom(
    limegrove: Run, provider: Store, tmp_path: Path
) -> None:
    name = _file(tmp_path, GOOD.replace(f"[{KIM}]", "[]"))
    done = limegrove("access", "drift", name)
    assert done.code == 4
    (each,) = done.json["groups"][0]["differences"]
    assert (each["what"], each["section"], each["value"], each["told_by"]) == (
        "extra",
        "member",
        KIM,
        "group",
    )
    assert each["since"] is not None
    done = limegrove("access", "drift", name, "--output", "table")
    assert "eve" in done.out
    assert "\x1b" not in done.out
    assert "1 of 1 groups differ from the file" in done.err


def test_a_group_of_others_cannot_be_told_and_has_exit_code_3(
    limegrove: Run, provider: Store, tmp_path: Path
) -> None:
    done = limegrove("access", "drift", _file(tmp_path, GOOD + "  - name: Of others\n    role: Basic\n"))
    assert done.code == 3
    assert "does not own the group" in done.json["groups"][1]["unknown"]


def test_what_if_takes_the_changes_of_a_file(limegrove: Run, provider: Store, tmp_path: Path) -> None:
    done = limegrove("access", "what-if", "--file", _file(tmp_path, GOOD.replace(f"[{KIM}]", "[]")))
    assert done.code == 4
    assert [each["change"] for each in done.json["changes"]] == ["remove_member"]
    assert done.json["lost"]["count"] == 2 * len(roles()["Viewer"])
    done = limegrove("access", "what-if", "--file", _file(tmp_path, GOOD))
    assert (done.code, done.json["changes"]) == (0, [])


def test_what_is_written_can_be_read_and_says_what_is_left_out(
    limegrove: Run, provider: Store, tmp_path: Path
) -> None:
    target = str(tmp_path / "out.yaml")
    done = limegrove("access", "export", target)
    assert done.code == 0
    assert f"1 group written to {target}." in done.err
    assert "Left out: 2 that this credential does not own" in done.err
    assert "role: Viewer" in Path(target).read_text()
    assert limegrove("access", "drift", target).code == 0


def test_roles_of_a_file_are_found_again_in_the_groups(
    limegrove: Run, provider: Store, tmp_path: Path
) -> None:
    own = "roles:\n  Reader: {extends: Viewer}\n  Other: {permissions: [org.get]}\n" + GOOD
    done = limegrove("access", "export", "--output", "json", "--roles", _file(tmp_path, own))
    assert done.json["groups"][0]["role"] == "Viewer"  # LimaCharlie's before one's own
    own = own.replace("{extends: Viewer}", "{extends: Viewer, permissions: [dr.set]}")
    with provider.writing() as c:
        ingest.put_groups(
            c,
            [{"group_id": GIDS[0], "name": "SOC L1", "perms": [*roles()["Viewer"], "dr.set"]}],
            now=now_ms(),
        )
    done = limegrove("access", "export", "--output", "json", "--roles", _file(tmp_path, own))
    assert done.json["groups"][0]["role"] == "Reader"
    assert set(done.json["roles"]) == {"Reader"}


def test_before_any_sync_nothing_is_told_of_groups(limegrove: Run, home: Path, tmp_path: Path) -> None:
    name = _file(tmp_path, GOOD)
    assert "The groups were never read" in limegrove("access", "lint", name).err
    for command in (("drift", name.replace("access", "a")), ("export",)):
        assert limegrove("access", *command).code == 1
    name = _file(tmp_path, "groups:\n  - name: SOC L1\n    role: Viewer\n")
    done = limegrove("access", "drift", name)
    assert done.code == 1
    assert "run `limegrove sync`" in done.err


# The timeline


def test_the_timeline_has_known_words_and_shows_unknown_actions_as_received(
    limegrove: Run, provider: Store
) -> None:
    found = limegrove("access", "timeline").json
    assert [(each["action"], each["known"]) for each in found] == [
        ("odd", False), ("add_member", True), ("create_group", True),
    ]  # fmt: skip
    assert found[1]["what"] == f"made {KIM} a member of the group SOC L1"
    assert found[0]["what"] == "odd of the group SOC L1"
    assert "canary" not in json.dumps(found)
    table = limegrove("access", "timeline", "--output", "table")
    assert "\x1b" not in table.out
    assert table.err.splitlines()[0] == "3 of 3 events"
    assert "Audit logs of 0 of 3 organizations; it lacks that of Acme Corp" in table.err


@pytest.mark.parametrize(
    ("options", "actions"),
    [
        (["--principal", KIM.upper()], ["add_member"]),
        (["--by", ROOT], ["odd", "create_group"]),
        (["--group", "SOC L1", "--kind", "group"], ["create_group"]),
        (["--since", "1h"], ["odd", "add_member"]),
        (["--limit", "1"], ["odd"]),
        (["--scope", "eu"], ["odd", "add_member", "create_group"]),
        (["--scope", OIDS[2]], []),
        (["kim@"], ["add_member"]),
    ],
)
def test_the_timeline_is_limited(
    limegrove: Run, provider: Store, options: list[str], actions: list[str]
) -> None:
    assert [each["action"] for each in limegrove("access", "timeline", *options).json] == actions


def test_the_timeline_goes_on_behind_a_cursor(limegrove: Run, provider: Store) -> None:
    seen: list[Any] = []
    options: list[str] = []
    while page := limegrove("access", "timeline", "--limit", "1", *options).json:
        seen += page
        options = ["--after", page[-1]["cursor"]]
    assert seen == limegrove("access", "timeline").json


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--group", "Nobody"], "There is no group `Nobody` in the store, by gid or by name."),
        (["--since", "soon"], "--since: use a number and a unit"),
        (["--after", "x"], "--after: `x` is no cursor"),
        (["--limit", "-1"], "--limit takes a number from 0 on."),
        (["--kind", "x"], "--kind cannot be 'x'"),
    ],
)
def test_what_the_timeline_does_not_understand_is_one_sentence(
    limegrove: Run, provider: Store, options: list[str], said: str
) -> None:
    done = limegrove("access", "timeline", *options)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_a_name_of_a_customer_is_a_word_of_the_timeline(limegrove: Run, provider: Store) -> None:
    with provider.writing() as c:
        ingest.put_audit(
            c, OIDS[0],
            [{"time": now_ms(), "etype": "config_change", "ident": ROOT, "entity": {"type": "user", "name": KIM},
              "mtd": {"action": "add", "permission": "dr.set"}}],
        )  # fmt: skip
    found = limegrove("access", "timeline", NAMES[0].lower()).json
    assert [each["what"] for each in found] == [f"granted dr.set to {KIM} on {NAMES[0]}"]
