"""`limegrove doctor`, on installations that are well and on some that are not."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.process import workspace
from store.database import Store
from store.schema import REVISIONS
from tests.helpers.sandboxes import environment, limegrove, sandbox_process


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with sandbox_process(tmp_path_factory.mktemp("stage"), "--orgs", "2", "--detections", "1") as (line, _):
        yield line


def doctor(home: Path, *options: str, **environ: str) -> tuple[int, dict[str, tuple[str, str]], str]:
    """(exit code, item -> (state, sentence), the worst state)."""
    ran = limegrove("doctor", *options, env=environment(home, **environ))
    assert ran.stderr == ""
    answer = json.loads(ran.stdout)
    return ran.returncode, {i["item"]: (i["state"], i["sentence"]) for i in answer["items"]}, answer["state"]


def test_a_good_installation_is_told_item_by_item(tmp_path: Path, stage: dict[str, Any]) -> None:
    Store(f"sqlite:///{workspace(tmp_path / 'limegrove')}/default/store.db").close()
    handed = {"LC_UID": stage["uid"], "LC_API_KEY": stage["api_key"], "LIMEGROVE_ENDPOINT": stage["url"]}
    code, items, worst = doctor(tmp_path, **handed)
    assert {item: state for item, (state, _) in items.items()} == {
        "python": "ok",
        "packages": "ok",
        "settings": "ok",
        "umask": "ok",
        "core": "ok",
        "dumpable": "ok",
        "home": "ok",
        "backend": "ok",
        "credential": "ok",
        "store": "ok",
        "signing": "ok",
        "endpoint": "ok",
        "clock": "ok",
    }
    assert (code, worst) == (0, "ok")
    assert items["packages"][1].startswith("textual 8.2.8 and ")
    assert f"schema {REVISIONS[-1]}" in items["store"][1]
    assert items["backend"][1].startswith(
        "passphrase-file (store.credentials.passphrase_file.PassphraseFile)"
    )
    assert "endpoint (environment), home (environment)" in items["settings"][1]
    assert stage["api_key"] not in json.dumps(items)


def test_what_is_not_there_yet_is_a_warning_and_nothing_is_made(tmp_path: Path) -> None:
    code, items, worst = doctor(tmp_path, "--offline")
    assert (code, worst) == (0, "warn")
    assert items["credential"] == ("warn", "none for default; run `limegrove auth login --env default`")
    assert items["store"][0] == "warn"
    assert items["endpoint"] == ("ok", "not asked, since the session is offline")
    assert "clock" not in items
    assert not (tmp_path / "limegrove").exists()


def test_a_workspace_open_to_others_is_bad(tmp_path: Path) -> None:
    home = tmp_path / "limegrove"
    Store(f"sqlite:///{home}/default/store.db").close()
    home.chmod(0o755)
    code, items, worst = doctor(tmp_path, "--offline")
    assert (code, worst, items["home"][0]) == (1, "bad", "bad")
    assert "chmod 700" in items["home"][1]


def test_a_plaintext_backend_in_the_environment_is_bad(tmp_path: Path) -> None:
    code, items, _ = doctor(
        tmp_path, "--offline", PYTHON_KEYRING_BACKEND="keyrings.alt.file.PlaintextKeyring"
    )
    assert (code, items["backend"][0]) == (1, "bad")
    assert "keyrings.alt.file.PlaintextKeyring" in items["backend"][1]


def test_a_dead_endpoint_is_bad(tmp_path: Path) -> None:
    code, items, _ = doctor(tmp_path, LIMEGROVE_ENDPOINT="http://127.0.0.1:9")
    assert code == 1
    assert items["endpoint"] == ("bad", "http://127.0.0.1:9 cannot be reached (ClientConnectorError)")


def test_a_store_from_a_newer_limegrove_is_bad_and_unchanged(tmp_path: Path) -> None:
    path = workspace(tmp_path / "limegrove") / "default/store.db"
    Store(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    code, items, _ = doctor(tmp_path, "--offline")
    assert (code, items["store"][0]) == (1, "bad")
    assert "newer limegrove" in items["store"][1]


def test_a_server_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql+psycopg://team:hunter2@127.0.0.1:9/prod"
    code, items, _ = doctor(tmp_path, "--offline", LIMEGROVE_STORE=url)
    assert (code, items["store"][0]) == (1, "bad")
    assert "hunter2" not in json.dumps(items)


def test_malformed_credentials_are_bad_and_not_repeated(tmp_path: Path) -> None:
    code, items, _ = doctor(tmp_path, "--offline", LC_API_KEY="canary-key")
    assert (code, items["credential"][0]) == (1, "bad")
    assert "canary-key" not in json.dumps(items)
