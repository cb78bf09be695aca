"""`limegrove bundle`: what a reviewer is handed, and what he is told when it is not that."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.commands import bundle
from store.bundles import PROFILES
from tests.console.commands.conftest import NAMES, OIDS, Answer

Run = Callable[..., Answer]


def export(limegrove: Run, path: Path, *more: str) -> dict[str, Any]:
    answer = limegrove("bundle", "export", str(path), *more)
    assert answer.code == 0, answer.err
    shown: dict[str, Any] = answer.json
    return shown


def test_a_bundle_says_what_is_in_it_and_what_is_not(sealed: Path, limegrove: Run, tmp_path: Path) -> None:
    made = export(limegrove, tmp_path / "b")
    assert (made["organizations"], made["by"], made["scope"], made["profile"]) == (
        3,
        "kim",
        "everything",
        "full",
    )
    assert (made["rows"]["detection"], made["rows"]["sensor"]) == (4, 4)
    assert {each["what"] for each in made["not_whole"] if each["oid"] == OIDS[0]} == {"configuration"}
    assert {each["why"] for each in made["not_whole"] if each["oid"] == OIDS[1]} >= {"The key was revoked."}
    assert any("journal" in each for each in made["left_out"])
    assert made["bytes"] == (tmp_path / "b").stat().st_size
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    shown = limegrove("bundle", "verify", str(tmp_path / "b"))
    assert shown.code == 0
    assert shown.json == {
        "valid": True,
        **{key: value for key, value in made.items() if key not in ("file", "bytes")},
    }


def test_how_its_reader_opens_it_is_said_with_the_fingerprint(
    sealed: Path, limegrove: Run, tmp_path: Path
) -> None:
    answer = limegrove("bundle", "export", str(tmp_path / "b"), "--profile", "no-events", "--since", "1d")
    assert f"bundle open b --fingerprint {answer.json['fingerprint']}" in answer.err
    assert "Not whole, and said so in it: Acme Corp, Böhm & Söhne" in answer.err
    assert "\x1b" not in answer.err
    assert answer.json["rows"].get("sensor") is None


def test_a_key_that_nobody_here_knows_is_not_believed(
    sealed: Path, limegrove: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = export(limegrove, tmp_path / "b")["fingerprint"]
    monkeypatch.setenv("LIMEGROVE_HOME", str(tmp_path / "reviewer"))
    for verb in ("verify", "open"):
        answer = limegrove("bundle", verb, str(tmp_path / "b"))
        assert (answer.code, answer.out) == (1, "")
        assert f"nobody here knows whose key {fingerprint} is" in answer.err
        assert limegrove("bundle", verb, str(tmp_path / "b"), "--fingerprint", fingerprint).code == 0
        wrong = limegrove("bundle", verb, str(tmp_path / "b"), "--fingerprint", "SHA256:other")
        assert wrong.code == 1
        assert "not with SHA256:other" in wrong.err


def test_a_workspace_of_it_takes_every_command(
    sealed: Path, limegrove: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(limegrove, tmp_path / "b")
    there = tmp_path / "review"
    answer = limegrove("bundle", "open", str(tmp_path / "b"), "--into", str(there))
    assert answer.code == 0, answer.err
    assert answer.json["workspace"] == str(there)
    assert f"LIMEGROVE_HOME={there} limegrove --offline --read-only" in answer.err
    assert stat.S_IMODE(there.stat().st_mode) == 0o700
    again = limegrove("bundle", "open", str(tmp_path / "b"), "--into", str(there))
    assert (again.code, "already there" in again.err) == (1, True)

    monkeypatch.setenv("LIMEGROVE_HOME", str(there))
    ours = {row["detect_id"] for row in limegrove("alert", "list", "--offline").json}
    assert ours == {f"detection-{number}" for number in range(4)}
    assert {row["oid"] for row in limegrove("org", "list", "--offline").json} == set(OIDS)
    assert limegrove("store", "check").code == 0
    assert (
        "Tier 1"
        in limegrove("access", "who", "--permission", "sensor.get", "--org", OIDS[0], "--offline").out
    )


def test_without_a_terminal_it_is_taken_in_told_and_removed(
    sealed: Path, limegrove: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = export(limegrove, tmp_path / "b")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    before = (sealed / "default" / "store.db").read_bytes()
    answer = limegrove("bundle", "open", str(tmp_path / "b"))
    assert answer.code == 0, answer.err
    assert answer.json["rows"] == made["rows"]
    assert list(temporary.iterdir()) == []
    assert (sealed / "default" / "store.db").read_bytes() == before


def test_an_edited_one_leaves_nothing(sealed: Path, limegrove: Run, tmp_path: Path) -> None:
    export(limegrove, tmp_path / "b")
    data = (tmp_path / "b").read_bytes()
    (tmp_path / "b").write_bytes(data[:-9] + b"\0" + data[-8:])
    before = sorted(os.listdir(tmp_path))
    answer = limegrove("bundle", "open", str(tmp_path / "b"), "--into", str(tmp_path / "review"))
    assert (answer.code, answer.out) == (1, "")
    assert "is not what was signed" in answer.err
    assert sorted(os.listdir(tmp_path)) == before


def test_a_lie_under_a_known_key_leaves_nothing_either(
    sealed: Path, limegrove: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from console.operations import bundles
    from store.bundles import BadBundle

    def lies(*_: Any) -> None:
        raise BadBundle("sensor, row 7: it is of an organization that the bundle does not name.")

    export(limegrove, tmp_path / "b")
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(bundles, "take", lies)
    answer = limegrove("bundle", "open", str(tmp_path / "b"), "--into", str(tmp_path / "review"))
    assert (answer.code, "sensor, row 7" in answer.err) == (1, True)
    assert sorted(os.listdir(tmp_path)) == before


def test_an_older_one_is_opened_only_when_it_is_meant(sealed: Path, limegrove: Run, tmp_path: Path) -> None:
    export(limegrove, tmp_path / "old")
    export(limegrove, tmp_path / "new")
    assert limegrove("bundle", "open", str(tmp_path / "new")).code == 0
    answer = limegrove("bundle", "open", str(tmp_path / "old"))
    assert (answer.code, "--older" in answer.err) == (1, True)
    assert limegrove("bundle", "open", str(tmp_path / "old"), "--older").code == 0


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (("--expires", "12h"), 2, "--expires takes from 1d"), (("--expires", "never"), 2, "--expires"),
        (("--since", "soon"), 2, "--since"), (("--scope", "nowhere"), 2, "no node"), (("--profile", "all"), 2, "--profile"),
        (("--read-only",), 5, "read-only"),
    ],
)  # fmt: skip
def test_what_makes_no_bundle_says_why(
    sealed: Path, limegrove: Run, tmp_path: Path, more: tuple[str, ...], code: int, told: str
) -> None:
    answer = limegrove("bundle", "export", str(tmp_path / "b"), *more)
    assert (answer.code, answer.out) == (code, "")
    assert told in answer.err
    assert not (tmp_path / "b").exists()


def test_files_that_are_there_or_not_there_are_named(sealed: Path, limegrove: Run, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("precious")
    answer = limegrove("bundle", "export", str(tmp_path / "b"))
    assert (answer.code, "already there" in answer.err) == (1, True)
    assert (tmp_path / "b").read_text() == "precious"
    for name, told in (
        ("nowhere", "cannot be read: No such file"),
        ("b", "no bundle"),
        (".", "Is a directory"),
    ):
        answer = limegrove("bundle", "verify", str(tmp_path / name))
        assert (answer.code, answer.out) == (1, "")
        assert told in answer.err


def test_a_name_that_no_file_can_have_is_one_sentence(sealed: Path, limegrove: Run, tmp_path: Path) -> None:
    export(limegrove, tmp_path / "b")
    long = str(tmp_path / ("x" * 300))
    for words in (
        ("export", long),
        ("verify", long),
        ("open", str(tmp_path / "b"), "--into", long),
        ("open", str(tmp_path / "b"), "--into", "."),
    ):
        answer = limegrove("bundle", *words)
        assert (answer.code, answer.out) == (1, "")
        assert "File name too long" in answer.err or ". is already there" in answer.err
    assert sorted(each.name for each in tmp_path.iterdir() if "x" in each.name) == []


def test_a_scope_is_one_organization_and_says_nothing_of_others(
    sealed: Path, limegrove: Run, tmp_path: Path
) -> None:
    made = export(limegrove, tmp_path / "b", "--scope", OIDS[2])
    assert (made["organizations"], made["rows"]["detection"]) == (1, 1)
    limegrove("bundle", "open", str(tmp_path / "b"), "--into", str(tmp_path / "review"))
    held = (tmp_path / "review" / "default" / "store.db").read_bytes()
    for oid, name in zip(OIDS[:2], NAMES[:2], strict=True):
        assert oid.encode() not in held
        assert name.encode() not in held


def test_the_command_knows_the_profiles_of_the_store() -> None:
    assert set(PROFILES) == set(bundle.PROFILES)
