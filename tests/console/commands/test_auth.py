"""`limegrove auth`, each time a real process against a real sandbox."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from console.operations.connecting import RUN
from store.database import Store
from store.queries.activity import journal
from tests.helpers.sandboxes import ROOT, environment, limegrove, sandbox_process

PASSPHRASE = "correct horse battery"
WRONG = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with sandbox_process(tmp_path_factory.mktemp("stage"), "--orgs", "3", "--detections", "10") as (line, _):
        yield line


@dataclass
class Ran:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, stage: dict[str, Any]) -> Run:
    """`limegrove` with a passphrase on a descriptor; nothing it writes or says may hold a key or the passphrase."""

    def call(*arguments: str, stdin: str = "", passphrase: str = PASSPHRASE, **environ: str) -> Ran:
        reader, writer = os.pipe()
        os.write(writer, passphrase.encode() + b"\n")
        os.close(writer)
        try:
            ran = limegrove(
                *arguments,
                env=environment(tmp_path, LIMEGROVE_PASSPHRASE_FD=str(reader), **environ),
                stdin=stdin,
                pass_fds=(reader,),
                timeout=60,
            )
        finally:
            os.close(reader)
        secrets = {stage["api_key"], WRONG, passphrase, *stage["org_api_keys"].values()}
        for secret in secrets:
            assert secret not in ran.stdout
            assert secret not in ran.stderr
            for path in (tmp_path / "limegrove").rglob("*"):
                assert not path.is_file() or secret.encode() not in path.read_bytes(), path
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    return call


@pytest.fixture
def login(run: Run, stage: dict[str, Any]) -> Callable[..., Ran]:
    def call(name: str = "prod", *options: str, key: str | None = None) -> Ran:
        return run(
            *("auth", "login", "--env", name, "--uid", stage["uid"], "--endpoint", stage["url"]),
            *options,
            stdin=key or stage["api_key"],
        )

    return call


def test_a_users_key_is_verified_kept_listed_used_and_forgotten(
    run: Run, login: Callable[..., Ran], stage: dict[str, Any]
) -> None:
    answer = login()
    assert answer.code == 0, answer.err
    assert answer.json == {
        "environment": "prod",
        "kind": "user",
        "uid": stage["uid"],
        "oid": "",
        "endpoint": stage["url"],
        "backend": "passphrase-file",
        "verified": True,
        "ident": "root@northlight.example",
    }

    (listed,) = run("auth", "list").json
    assert (listed["environment"], listed["kind"], listed["backend"]) == ("prod", "user", "passphrase-file")
    assert listed["endpoint"] == stage["url"]

    who = run("auth", "whoami", "--env", "prod").json
    assert (who["ident"], who["organizations"]) == ("root@northlight.example", 3)
    assert who["permissions"] > 100

    assert run("auth", "logout", "--env", "prod").code == 0
    assert run("auth", "list").json == []
    again = run("auth", "whoami", "--env", "prod")
    assert (again.code, again.out) == (1, "")
    assert "limegrove auth login --env prod" in again.err


def test_an_organizations_key_sees_its_organization_alone(run: Run, stage: dict[str, Any]) -> None:
    oid = stage["oids"][1]
    answer = run(
        *("auth", "login", "--env", "one", "--oid", oid, "--endpoint", stage["url"]),
        stdin=stage["org_api_keys"][oid],
    )
    assert (answer.code, answer.json["kind"], answer.json["oid"]) == (0, "organization", oid)
    who = run("auth", "whoami", "--env", "one").json
    assert (who["kind"], who["oid"], who["organizations"]) == ("organization", oid, 1)


def test_a_wrong_key_is_one_sentence_and_nothing_is_stored(
    run: Run, login: Callable[..., Ran], tmp_path: Path
) -> None:
    answer = login(key=WRONG)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert "refuses this key" in answer.err
    assert "nothing was stored" in answer.err
    # The rate that the key was asked at is remembered, under a name that tells nobody the key.
    assert [path.name for path in (tmp_path / "limegrove").iterdir()] == [RUN]
    for path in (tmp_path / "limegrove" / RUN).iterdir():
        assert WRONG.encode() not in path.name.encode() + path.read_bytes()
    assert run("auth", "list").json == []


def test_a_wrong_key_does_not_replace_a_good_one(run: Run, login: Callable[..., Ran]) -> None:
    assert login().code == 0
    assert login(key=WRONG).code == 1
    assert run("auth", "whoami", "--env", "prod").json["ident"] == "root@northlight.example"


def test_a_dead_endpoint_is_one_sentence_unless_offline(run: Run, stage: dict[str, Any]) -> None:
    dead = ("auth", "login", "--env", "prod", "--uid", stage["uid"], "--endpoint", "http://127.0.0.1:9")
    answer = run(*dead, stdin=stage["api_key"])
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert "nothing was stored" in answer.err
    offline = run(*dead, "--offline", stdin=stage["api_key"])
    assert (offline.code, offline.json["verified"], offline.json["ident"]) == (0, False, "")


def test_a_stored_key_is_not_sent_to_another_endpoint(
    run: Run, login: Callable[..., Ran], stage: dict[str, Any]
) -> None:
    assert login().code == 0
    answer = run("auth", "whoami", "--env", "prod", LIMEGROVE_ENDPOINT="http://127.0.0.1:9")
    assert (answer.code, answer.out) == (1, "")
    assert f"is for {stage['url']} and is not sent to http://127.0.0.1:9" in answer.err


def test_a_wrong_passphrase_is_one_sentence(run: Run, login: Callable[..., Ran]) -> None:
    assert login().code == 0
    answer = run("auth", "whoami", "--env", "prod", passphrase="another passphrase")
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert "does not open" in answer.err


@pytest.mark.parametrize(
    ("arguments", "stdin", "sentence"),
    [
        (("--uid", "x"), "", "1 to 512 characters"),
        (("--uid", "x y"), "key", "printable ASCII"),
        (("--oid", "not-an-oid"), "key", "must be a UUID"),
        (("--oid", "x", "--uid", "y", "--kind", "organization"), "key", "no uid"),
        ((), "key", "needs --uid"),
        (("--kind", "organization"), "key", "needs --oid"),
        (("--uid", "x", "--api-key", "secret"), "", "means nothing here"),
        (("--uid", "x", "--key-fd", "abc"), "", "a file descriptor is a number"),
        (("--uid", "x", "--env", "../x"), "key", "an environment's name"),
    ],
)
def test_a_login_that_cannot_be_is_one_sentence(
    run: Run, arguments: tuple[str, ...], stdin: str, sentence: str
) -> None:
    answer = run("auth", "login", "--endpoint", "http://127.0.0.1:9", *arguments, stdin=stdin)
    assert answer.code in (1, 2)
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    assert sentence in answer.err


def test_a_key_on_a_descriptor_is_taken(tmp_path: Path, stage: dict[str, Any]) -> None:
    key, passphrase = os.pipe(), os.pipe()
    for (_, writer), text in ((key, stage["api_key"]), (passphrase, PASSPHRASE)):
        os.write(writer, text.encode())
        os.close(writer)
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "console", "auth", "login", "--uid", stage["uid"]),
            *("--key-fd", str(key[0]), "--passphrase-fd", str(passphrase[0]), "--endpoint", stage["url"]),
        ],
        cwd=ROOT,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        pass_fds=(key[0], passphrase[0]),
        timeout=60,
        check=False,
    )
    os.close(key[0])
    os.close(passphrase[0])
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["ident"] == "root@northlight.example"


def test_a_machines_variables_are_used_without_storing_anything(
    run: Run, stage: dict[str, Any], tmp_path: Path
) -> None:
    handed = {"LC_UID": stage["uid"], "LC_API_KEY": stage["api_key"], "LIMEGROVE_ENDPOINT": stage["url"]}
    who = run("auth", "whoami", **handed)
    assert (who.code, who.json["ident"]) == (0, "root@northlight.example")
    (listed,) = run("auth", "list", **handed).json
    assert (listed["environment"], listed["backend"], listed["saved_at"]) == ("default", "LC_API_KEY", None)
    assert not (tmp_path / "limegrove/credentials.sealed").exists()


def test_read_only_and_offline_refuse(run: Run) -> None:
    for verb in ("login", "logout", "import"):
        answer = run("auth", verb, "--read-only")
        assert (answer.code, answer.out) == (5, "")
        assert "read-only" in answer.err
    assert run("auth", "whoami", "--offline").code == 5


def test_a_login_is_in_the_journal_of_a_store_that_exists(
    run: Run, login: Callable[..., Ran], tmp_path: Path
) -> None:
    path = tmp_path / "limegrove/prod/store.db"
    assert login().code == 0
    assert not path.exists()
    Store(f"sqlite:///{path}").close()
    assert login().code == 0
    assert run("auth", "logout", "--env", "prod").code == 0
    store = Store(f"sqlite:///{path}")
    with store.reader.reading() as connection:
        entries = journal(connection)
    store.close()
    assert sorted(entry.action for entry in entries) == ["auth.login", "auth.logout"]


@pytest.fixture
def official(tmp_path: Path, stage: dict[str, Any]) -> Path:
    """A file as the official client writes it, with what it may hold beside keys."""
    oid = stage["oids"][0]
    path = tmp_path / ".limacharlie.d/config.yaml"
    path.parent.mkdir()
    document = {
        "oid": oid,
        "api_key": stage["org_api_keys"][oid],
        "current_env": "My_Prod",
        "env": {
            "My_Prod": {"uid": stage["uid"], "api_key": stage["api_key"], "oid": oid},
            "broken": {"uid": "nobody", "api_key": WRONG},
            "browser": {"oauth": {"id_token": "x"}},
        },
    }
    path.write_text(yaml.safe_dump(document, default_flow_style=False))
    path.with_name("jwt_cache.json").write_text('{"x": "token"}')
    return path


def test_the_official_clients_keys_are_taken_over_and_only_those_taken_out(
    run: Run, official: Path, stage: dict[str, Any]
) -> None:
    before = yaml.safe_load(official.read_text())
    with official.open("rb") as held:
        answer = run("auth", "import", "--yes", LIMEGROVE_ENDPOINT=stage["url"])
        assert held.read().strip(b"\0") == b"", "the old file still holds the keys"
    assert answer.code == 3, answer.err
    assert answer.json["plaintext_removed"] == 2
    assert {row["name"]: (row["environment"], row["imported"]) for row in answer.json["environments"]} == {
        "default": ("default", True),
        "My_Prod": ("my-prod", True),
        "broken": ("broken", False),
        "browser": ("", False),
    }
    del before["api_key"], before["env"]["My_Prod"]["api_key"]
    assert yaml.safe_load(official.read_text()) == before
    assert official.stat().st_mode & 0o777 == 0o600
    assert not official.with_name("jwt_cache.json").exists()
    assert run("auth", "whoami", "--env", "my-prod").json["ident"] == "root@northlight.example"


def test_without_a_yes_nothing_is_taken_out(run: Run, official: Path, stage: dict[str, Any]) -> None:
    before = official.read_bytes()
    kept = run("auth", "import", "--keep", LIMEGROVE_ENDPOINT=stage["url"])
    assert (kept.code, kept.json["plaintext_removed"]) == (3, 0)
    assert official.read_bytes() == before
    asked = run("auth", "import", LIMEGROVE_ENDPOINT=stage["url"])
    assert asked.code == 5
    assert "--yes" in asked.err
    assert official.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "There is no file"),
        ("a: 1\nenv: [1, }\n", "line 2 is not YAML"),
        ("- a\n", "does not hold a mapping"),
        ("a: &x 1\nb: *x\n", "YAML aliases"),
        ("env: 3\n", "must hold one mapping"),
        ("", "holds no credentials"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_a_file_that_is_not_the_official_clients_is_one_sentence(
    run: Run, tmp_path: Path, content: str | None, sentence: str
) -> None:
    path = tmp_path / "file.yaml"
    if content is not None:
        path.write_text(content)
    answer = run("auth", "import", "--file", str(path), "--offline")
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert sentence in answer.err


def test_what_is_typed_at_a_terminal_is_not_shown(tmp_path: Path, stage: dict[str, Any]) -> None:
    main, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "console", "auth", "login", "--uid", stage["uid"], "--endpoint", stage["url"]],
        cwd=ROOT,
        env=environment(tmp_path),
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    seen = b""
    for prompt, typed in (
        (b"API key (not shown): ", stage["api_key"]),
        (b"New passphrase for the passphrase file: ", PASSPHRASE),
        (b"The same again: ", PASSPHRASE),
    ):
        while prompt not in seen:
            seen += os.read(main, 4096)
        os.write(main, typed.encode() + b"\n")
    while True:
        try:
            more = os.read(main, 4096)
        except OSError:
            break
        if not more:
            break
        seen += more
    os.close(main)
    assert process.wait(30) == 0, seen
    assert b"root@northlight.example" in seen
    assert stage["api_key"].encode() not in seen
    assert PASSPHRASE.encode() not in seen
