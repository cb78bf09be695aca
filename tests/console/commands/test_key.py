"""`limegrove key`, each a real process against a real sandbox."""

import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from store.database import Store
from store.deadlines import waiting
from store.queries.activity import journal
from store.tree import TreeNode, replace_tree
from tests.helpers.sandboxes import ROOT, as_user, environment, limegrove, sandbox_process

Run = Callable[..., "subprocess.CompletedProcess[str]"]
RANGE = "203.0.113.0/28"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
OFFICIAL = ROOT / ".venv-official" / "bin" / "limacharlie"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A sandbox, and a workspace that has read its organizations and keys; the last but one is protected."""
    home = tmp_path_factory.mktemp("stage")
    with sandbox_process(home / "sandbox", "--seed", "4", "--orgs", "6", "--detections", "10") as (line, _):
        env = as_user(home, line)
        limegrove("sync", "--only", "orgs,access", env=env)
        listed = json.loads(limegrove("org", "list", "--output", "json", env=env).stdout)
        whole = [row for row in listed if row["state"] != "failed"]
        found = {**line, "home": home, "env": env, "orgs": whole, "oid": whole[0]["oid"]}
        with opened(found) as store, store.writing() as connection:
            nodes = [TreeNode("root", None, "Provider"), TreeNode("some", "root", "Some")]
            for number, row in enumerate(whole):
                marks = ("protected",) if number == 3 else ()
                parent = "some" if number in (1, 2) else "root"
                nodes.append(TreeNode(f"c{number}", parent, row["name"], oid=row["oid"], marks=marks))
            replace_tree(connection, nodes)
        yield found


@pytest.fixture
def run(stage: dict[str, Any]) -> Run:
    def call(*words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return limegrove(*words, env=stage["env"] | more)

    return call


def opened(stage: dict[str, Any]) -> Any:
    path = stage["home"] / "limegrove" / "default" / "store.db"
    return closing(Store(f"sqlite:///{path}"))


def told(stage: dict[str, Any], action: str, name: str) -> list[str]:
    with opened(stage) as store, store.reader.reading() as connection:
        entries = [each for each in journal(connection, limit=500) if each.action == action]
    return [str(json.loads(json.dumps(each.detail))["step"]) for each in entries if each.target == name][::-1]


def official(stage: dict[str, Any], oid: str, *words: str) -> Any:
    """What the official client prints, as JSON."""
    home = tempfile.mkdtemp(prefix="official-")
    env = {
        "PATH": os.environ["PATH"], "HOME": home, "LC_CONFIG_DIR": home, "LC_API_URL": stage["url"],
        "LC_JWT_URL": stage["url"], "LC_NO_JWT_CACHE": "1", "LC_NO_MIGRATION_WARNING": "1",
        "LC_UID": stage["uid"], "LC_API_KEY": stage["api_key"], "LC_OID": oid,
    }  # fmt: skip
    done = subprocess.run(
        [str(OFFICIAL), "--output", "json", *words], env=env, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_keys_are_listed_over_every_organization_and_filtered(run: Run, stage: dict[str, Any]) -> None:
    rows = json.loads(run("key", "list").stdout)
    assert len({row["oid"] for row in rows}) > 3
    assert {"permissions", "privileged", "allowed_ip_range", "created_by", "last_used", "first_seen"} <= rows[
        0
    ].keys()
    masters = json.loads(run("key", "list", "--filter", "privileged:yes").stdout)
    assert masters == [row for row in rows if row["privileged"]]
    one = json.loads(run("key", "list", "--org", stage["oid"]).stdout)
    assert one == [row for row in rows if row["oid"] == stage["oid"]]
    some = json.loads(run("key", "list", "--scope", "some").stdout)
    assert {row["oid"] for row in some} <= {each["oid"] for each in stage["orgs"][1:3]}
    wrong = run("key", "list", "--filter", "colour:red")
    assert (wrong.returncode, "not a column" in wrong.stderr) == (2, True)
    table = run("key", "list", "--output", "table", "--offline").stdout
    assert "EVERYWHERE" in table


@pytest.mark.official
@pytest.mark.skipif(not OFFICIAL.exists(), reason="the official client is not installed: run `make test`")
def test_the_official_client_sees_the_key_with_its_range_and_its_secret_in_the_hive(
    run: Run, stage: dict[str, Any]
) -> None:
    made = run(
        "key", "create", "ticket-bot", "--org", stage["oid"], "--recipe", "reader", "--range", RANGE,
        "--to-hive", "ticket-bot",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    answer = json.loads(made.stdout)
    assert (answer["outcome"], answer["hive"], "secret" in answer) == ("stored", "ticket-bot", False)
    keys = official(stage, stage["oid"], "api-key", "list")
    (key,) = [each for each in _values(keys) if each.get("name") == "ticket-bot"]
    assert key["allowed_ip_range"] == RANGE
    assert set(key["priv"]) == set(answer["permissions"])
    secret = official(stage, stage["oid"], "hive", "get", "--hive-name", "secret", "--key", "ticket-bot")
    assert re.fullmatch(UUID, secret["data"]["secret"])
    assert told(stage, "key.create", "ticket-bot") == ["intent", "result", "delivered"]


def _values(listing: Any) -> list[dict[str, Any]]:
    held = listing.get("api_keys", listing) if isinstance(listing, dict) else listing
    return list(held.values()) if isinstance(held, dict) else held


def test_a_secret_is_printed_only_when_that_is_asked_for(run: Run, stage: dict[str, Any]) -> None:
    refused = run("key", "create", "cli", "--org", stage["oid"], "--recipe", "output", "--range", RANGE)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--show-secret" in refused.stderr
    made = run(
        "key", "create", "cli", "--org", stage["oid"], "--recipe", "output", "--range", "127.0.0.0/8", "--show-secret"
    )  # fmt: skip
    answer = json.loads(made.stdout)
    assert made.returncode == 0
    assert re.fullmatch(UUID, answer["secret"])
    assert answer["secret"] not in made.stderr
    # The key is one: with it the token service answers.
    env = environment(stage["home"] / "other", LC_OID=stage["oid"], LC_API_KEY=answer["secret"])
    who = limegrove("auth", "whoami", env=env | {"LIMEGROVE_ENDPOINT": stage["url"]})
    assert who.returncode == 0, who.stderr
    (row,) = json.loads(run("key", "list", "--filter", "name:cli").stdout)
    assert (row["held"], row["allowed_ip_range"]) == (True, "127.0.0.0/8")
    again = run(
        "key", "create", "cli", "--org", stage["oid"], "--recipe", "output", "--range", RANGE, "--show-secret"
    )  # fmt: skip
    assert (again.returncode, again.stdout) == (5, "")
    assert "already" in again.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--recipe", "reader"], "needs an address range"),
        (["--recipe", "reader", "--range", "10.0.0.1/8"], "10.0.0.0/8"),
        (["--recipe", "nobody", "--range", RANGE], "there are reader"),
        (["--range", RANGE], "a recipe, or permissions"),
        (
            ["--permission", "user.ctrl", "--range", RANGE],
            "asked for by itself, with `limegrove key create --privileged`",
        ),
        (["--permission", "dr.sat", "--range", RANGE], "Did you mean dr.set?"),
        (["--recipe", "reader", "--range", RANGE, "--anywhere"], "not allowed with"),
    ],
)
def test_a_key_that_is_not_made_like_this_is_refused_in_a_sentence(
    run: Run, stage: dict[str, Any], words: list[str], says: str
) -> None:
    done = run("key", "create", "wrong", "--org", stage["oid"], "--show-secret", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert told(stage, "key.create", "wrong") == []


def test_a_key_for_everywhere_is_said_loudly(run: Run, stage: dict[str, Any]) -> None:
    made = run(
        "key", "create", "wide[blk]", "--org", stage["oid"], "--recipe", "reader", "--anywhere", "--to-hive", "wide"
    )  # fmt: skip
    assert made.returncode == 0
    assert "WORKS FROM EVERYWHERE" in made.stderr
    assert "[blk] is no flair" in made.stderr


def test_a_read_only_session_makes_rotates_and_revokes_nothing(run: Run, stage: dict[str, Any]) -> None:
    for words in (
        ("create", "ro", "--org", stage["oid"], "--recipe", "reader", "--range", RANGE, "--show-secret"),
        ("rotate", "cli", "--org", stage["oid"], "--show-secret"),
        ("revoke", "cli", "--org", stage["oid"]),
    ):
        done = run("key", *words, "--read-only", "--yes")
        assert (done.returncode, "read-only" in done.stderr) == (5, True)
    assert told(stage, "key.create", "ro") == []


def test_a_protected_organization_wants_its_name(run: Run, stage: dict[str, Any]) -> None:
    one = stage["orgs"][3]
    words = ["key", "create", "guarded", "--org", one["oid"], "--recipe", "reader", "--range", RANGE]
    words += ["--to-hive", "guarded"]
    for confirm in ([], ["--confirm", "Somebody Else"]):
        done = run(*words, *confirm)
        assert done.returncode == 5, done.stderr
        assert "rotected" in done.stderr
    assert told(stage, "key.create", "guarded") == []
    assert run(*words, "--confirm", one["name"]).returncode == 0
    done = run("key", "revoke", "guarded", "--org", one["oid"], "--yes")
    assert (done.returncode, "rotected" in done.stderr) == (5, True)
    assert (
        run("key", "revoke", "guarded", "--org", one["oid"], "--yes", "--confirm", one["name"]).returncode
        == 0
    )
    assert json.loads(run("key", "list", "--filter", "name:guarded").stdout) == []


def test_over_a_scope_every_organization_gets_a_secret_of_its_own_and_all_are_revoked_by_a_filter(
    run: Run, stage: dict[str, Any]
) -> None:
    words = ("key", "create", "soc-agent", "--scope", "some", "--recipe", "investigator", "--range", RANGE)
    assert "needs --to-hive" in run(*words).stderr
    unasked = run(*words, "--to-hive", "soc-agent")
    assert (unasked.returncode, "--yes" in unasked.stderr) == (5, True)
    made = run(*words, "--to-hive", "soc-agent", "--yes")
    rows = json.loads(made.stdout)
    assert made.returncode == 0, made.stderr
    assert {(row["oid"], row["outcome"]) for row in rows} == {
        (each["oid"], "stored") for each in stage["orgs"][1:3]
    }
    dry = run("key", "revoke", "--filter", "name:soc-agent", "--dry-run")
    assert (dry.returncode, len(json.loads(dry.stdout))) == (4, 2)
    gone = run("key", "revoke", "--filter", "name:soc-agent", "--yes", "--reason", "the contract ended")
    assert gone.returncode == 0, gone.stderr
    answer = json.loads(gone.stdout)
    assert answer["state"] == "applied"
    assert {key["outcome"] for key in answer["keys"]} == {"done"}
    assert json.loads(run("key", "list", "--filter", "name:soc-agent").stdout) == []
    none = run("key", "revoke", "--filter", "name:soc-agent", "--yes")
    assert (none.returncode, "No key" in none.stderr) == (2, True)


def test_a_rotation_leaves_both_for_a_while_and_the_old_one_goes_when_its_time_has_come(
    run: Run, stage: dict[str, Any]
) -> None:
    oid = stage["oid"]
    first = run(
        "key", "create", "deploy[bulk]", "--org", oid, "--recipe", "infrastructure", "--range", RANGE,
        "--to-hive", "deploy",
    )  # fmt: skip
    old = json.loads(first.stdout)["key_hash"]
    assert "[bulk]: its limit of calls is raised" in first.stderr
    done = run("key", "rotate", "deploy[bulk]", "--org", oid, "--to-hive", "deploy", "--overlap", "1s")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["outcome"], answer["old_key_hash"]) == (0, "stored", old)
    assert answer["old_ends_at"]
    with opened(stage) as store, store.reader.reading() as connection:
        mine = [each for each in waiting(connection, kind="rotation") if each.changes[0].principal == old]
        assert len(mine) == 1
    deadline = time.monotonic() + 60
    # Any command that connects makes what is due.
    while old in (row["key_hash"] for row in json.loads(run("key", "list", "--org", oid).stdout)):
        assert time.monotonic() < deadline
        run("sync", "--only", "orgs")
    (row,) = json.loads(run("key", "list", "--org", oid, "--filter", "name:deploy").stdout)
    assert (row["key_hash"], row["allowed_ip_range"]) == (answer["key_hash"], RANGE)


def test_a_rotation_without_overlap_deletes_the_old_one_at_once(run: Run, stage: dict[str, Any]) -> None:
    oid = stage["oid"]
    made = run(
        "key", "create", "now", "--org", oid, "--recipe", "output", "--range", RANGE, "--to-hive", "now"
    )
    old = json.loads(made.stdout)["key_hash"]
    done = run("key", "rotate", old, "--org", oid, "--show-secret", "--overlap", "0")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(run("key", "list", "--org", oid, "--filter", "name:now").stdout)
    assert row["key_hash"] == json.loads(done.stdout)["key_hash"] != old


def test_own_recipes_are_read_from_the_workspace_and_linted(run: Run, stage: dict[str, Any]) -> None:
    file = stage["home"] / "limegrove" / "key-recipes.yaml"
    file.write_text(
        "- name: cases\n  extends: reader\n  permissions: [investigation.set]\n  allowed_ip_range: 192.0.2.0/24\n"
        "- name: root\n  permissions: [user.ctrl]\n"
    )
    done = run("key", "recipes")
    names = [row["name"] for row in json.loads(done.stdout)]
    assert (done.returncode, names[-1], "root" in names) == (1, "cases", False)
    assert "Line 6: user.ctrl" in done.stderr
    made = run(
        "key", "create", "cases-bot", "--org", stage["oid"], "--recipe", "cases", "--to-hive", "cases-bot"
    )
    assert json.loads(made.stdout)["allowed_ip_range"] == "192.0.2.0/24"
    file.unlink()


def test_the_setting_and_the_tree_say_from_where_keys_are_used(run: Run, stage: dict[str, Any]) -> None:
    words = ("--org", stage["oid"], "--recipe", "output", "--to-hive")
    made = run("key", "create", "by-setting", *words, "s", LIMEGROVE_KEY_RANGE="198.51.100.0/24")
    assert json.loads(made.stdout)["allowed_ip_range"] == "198.51.100.0/24"
    wrong = run("key", "list", LIMEGROVE_KEY_RANGE="everywhere")
    assert (wrong.returncode, "LIMEGROVE_KEY_RANGE" in wrong.stderr) == (1, True)


def on_a_terminal(stage: dict[str, Any], *words: str, answers: dict[bytes, bytes]) -> tuple[bytes, int]:
    """Run a command whose terminal this is, and answer what it asks; everything it wrote, and its exit code."""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover  (another process)
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, "-m", "console", *words], stage["env"])
    written, left = b"", dict(answers)
    while True:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:
            break
        if not piece:
            break
        written += piece
        for question in [each for each in left if each in written]:
            os.write(terminal, left.pop(question))
    os.close(terminal)
    return written, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_on_a_terminal_the_secret_is_shown_once_on_a_screen_that_leaves_nothing(
    stage: dict[str, Any],
) -> None:
    written, code = on_a_terminal(
        stage, "key", "create", "shown", "--org", stage["oid"], "--recipe", "output", "--range", RANGE,
        "--output", "json", answers={b"when you have it": b"yes\n"},
    )  # fmt: skip
    assert code == 0
    assert (
        len(re.findall(UUID.encode(), written.partition(b"\x1b[?1049h")[2].partition(b"\x1b[?1049l")[0])) == 1
    )
    after = written.partition(b"\x1b[?1049l")[2]
    secret = re.findall(UUID.encode(), written.partition(b"\x1b[?1049h")[2])[0]
    assert secret not in after
    assert b"\x1b[2J" in written.partition(secret)[2], "the screen is wiped before it is left"
    assert told(stage, "key.create", "shown") == ["intent", "result", "delivered"]


def test_a_secret_that_nobody_took_leaves_a_key_that_is_offered_for_deletion(
    stage: dict[str, Any], run: Run
) -> None:
    words = ("key", "create", "untaken", "--org", stage["oid"], "--recipe", "output", "--range", RANGE)
    written, code = on_a_terminal(
        stage, *words, answers={b"when you have it": b"no\n", b"Delete the key?": b"n\n"}
    )  # fmt: skip
    assert code == 1
    assert b"limegrove key revoke" in written
    (row,) = json.loads(run("key", "list", "--filter", "held:no name:untaken").stdout)
    assert row["held"] is False
    again, code = on_a_terminal(stage, *words, answers={})
    assert (code, b"revoke that one first" in again) == (5, True)
    assert run("key", "revoke", row["key_hash"], "--org", stage["oid"], "--yes").returncode == 0
    written, code = on_a_terminal(
        stage, *words, answers={b"when you have it": b"no\n", b"Delete the key?": b"y\n"}
    )  # fmt: skip
    assert code == 1
    assert json.loads(run("key", "list", "--filter", "name:untaken").stdout) == []


def test_doctor_names_what_is_wrong_with_the_recipes_and_how_many_keys_nobody_holds(
    stage: dict[str, Any], run: Run
) -> None:
    file = stage["home"] / "limegrove" / "key-recipes.yaml"
    file.write_text("- name: wide\n  permissions: [org.get]\n  allowed_ip_range: 0.0.0.0/0\n")
    words = ("key", "create", "forgotten", "--org", stage["oid"], "--recipe", "output", "--range", RANGE)
    on_a_terminal(stage, *words, answers={b"when you have it": b"no\n", b"Delete the key?": b"n\n"})
    items = json.loads(run("doctor").stdout)["items"]
    said = [each["sentence"] for each in items if each["item"] == "keys"]
    assert any("Line 3" in each and "every address" in each for each in said)
    assert any("held:no" in each for each in said)
    file.unlink()
