"""`limegrove access review`, on a store alone: nothing of it needs the cloud but carrying a plan out."""

import csv
import io
import json
import os
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import accessplans, ingest
from store.configuration import content_hash
from store.database import Store
from store.queries.activity import journal
from store.times import now_ms
from tests.console.commands.conftest import ACCESS, OIDS, Answer

Run = Callable[..., Answer]


@pytest.fixture
def begun(sealed: Path, limegrove: Run) -> Path:
    answer = limegrove("access", "review", "start", "--title", "=Q4", "--offline")
    assert answer.code == 0, answer.err
    return sealed


def lines_of(limegrove: Run, *filters: str) -> list[dict[str, Any]]:
    answer = limegrove("access", "review", "show", "1", *filters)
    assert answer.code == 0, answer.err
    shown: list[dict[str, Any]] = answer.json["shown"]
    return shown


def change_access(home: Path, **changed: Any) -> None:
    with closing(Store(f"sqlite:///{home / 'default' / 'store.db'}")) as store, store.writing() as c:
        ingest.put_access(c, OIDS[0], ACCESS | changed, now=now_ms())


def test_a_review_lists_what_there_is_and_how_far_it_has_come(begun: Path, limegrove: Run) -> None:
    told = [
        (each["kind"], each["principal"], each["group"], each["standing"]) for each in lines_of(limegrove)
    ]
    assert told == [
        ("key", "=backup", "", "open"),
        ("member", "ann@example.com", "Tier 1", "open"),
        ("direct", "ann@example.com", "", "open"),
        ("member", "bob@example.com", "Tier 1", "open"),
    ]
    progress = limegrove("access", "review", "progress", "1").json
    assert (progress["lines"], progress["left"], progress["by"], progress["state"]) == (4, 4, "kim", "open")
    assert [each["title"] for each in limegrove("access", "review", "list").json] == ["=Q4"]


def test_lines_are_attested_and_the_second_reviewer_is_told_who_did(
    begun: Path, limegrove: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *_ = [str(each["line"]) for each in lines_of(limegrove)]
    assert limegrove("access", "review", "attest", "1", first, "--reason", "backup runs").json == {
        "decided": [int(first)], "unchanged": [], "refused": [],
    }  # fmt: skip
    monkeypatch.setenv("LIMEGROVE_OPERATOR", "lee")
    answer = limegrove("access", "review", "revoke", "1", first, second, "--reason", "no", "--later")
    assert answer.code == 3
    assert answer.json["decided"] == [int(second)]
    assert answer.json["refused"][0]["why"].startswith("kim attested it at ")
    answer = limegrove("access", "review", "attest", "1", first, "--reason", "mine")
    assert (answer.code, answer.json["decided"]) == (5, [])


def test_all_of_a_line_tells_what_it_covers_and_every_decision(begun: Path, limegrove: Run) -> None:
    line = next(each for each in lines_of(limegrove) if each["kind"] == "direct")
    number = str(line["line"])
    limegrove("access", "review", "attest", "1", number, "--reason", "owner of the account")
    limegrove("access", "review", "undecide", "1", number)
    told = limegrove("access", "review", "show", "1", number).json
    assert told["permission_names"] == ["dr.set", "org.get"]
    assert told["organization_names"] == {OIDS[0]: "Acme Corp"}
    assert [(each["verdict"], each["by"], each["reason"]) for each in told["decisions"]] == [
        ("attested", "kim", "owner of the account"), ("open", "kim", ""),
    ]  # fmt: skip
    assert told["decisions"][0]["digest"] == told["digest"]


def test_what_is_revoked_is_planned_and_nothing_is_sent(begun: Path, limegrove: Run) -> None:
    number = next(str(each["line"]) for each in lines_of(limegrove) if each["principal"] == "bob@example.com")
    answer = limegrove("access", "review", "revoke", "1", number, "--reason", "left in May", "--offline")
    assert answer.code == 0
    assert answer.json["plan"] == {"plan": 1, "lines": 1, "changes": 1, "organizations": 1}
    shown = next(each for each in lines_of(limegrove) if str(each["line"]) == number)
    assert (shown["standing"], shown["plan"], shown["came_of_it"]) == (
        "revoked", 1, "plan 1 is not applied yet",
    )  # fmt: skip
    key = next(str(each["line"]) for each in lines_of(limegrove) if each["kind"] == "key")
    more = limegrove("access", "review", "revoke", "1", key, "--reason", "unused").json["plan"]
    assert more == {"plan": 2, "lines": 2, "changes": 2, "organizations": 1}
    with closing(Store(f"sqlite:///{begun / 'default' / 'store.db'}")) as store, store.reader.reading() as c:
        assert accessplans.load(c, 1).state == "dropped"
        assert sorted(step.change.kind for step in accessplans.load(c, 2).steps) == [
            "delete_key", "remove_member",
        ]  # fmt: skip


def test_access_that_changed_meanwhile_is_to_be_decided_again(begun: Path, limegrove: Run) -> None:
    direct = next(str(each["line"]) for each in lines_of(limegrove) if each["kind"] == "direct")
    limegrove("access", "review", "attest", "1", direct, "--reason", "fine")
    change_access(begun, user_permissions={"ann@example.com": ["org.get", "dr.set", "user.ctrl"]})
    changed = lines_of(limegrove, "--filter", "is:changed")
    assert [str(each["line"]) for each in changed] == [direct]
    told = limegrove("access", "review", "show", "1", direct).json
    assert told["difference"]["permissions_added"] == ["user.ctrl"]
    assert limegrove("access", "review", "attest", "1", "--filter", "is:changed", "--reason", "yes").code == 0
    assert lines_of(limegrove, "--filter", "is:changed") == []


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["show", "77"], 2, "There is no review 77"),
        (["show", "1", "99"], 2, "has no line 99"),
        (["attest", "1", "99", "--reason", "x"], 2, "has no line 99"),
        (["attest", "1", "--reason", "x"], 2, "Which lines?"),
        (["attest", "1", "1", "--reason", " "], 2, "--reason: cannot be empty"),
        (["attest", "1", "1", "--filter", "dana", "--reason", "x"], 2, "not both"),
        (["attest", "1", "--filter", "is:wizard", "--reason", "x"], 2, "is: takes open"),
        (["attest", "1", "--filter", "nobody-at-all", "--reason", "x"], 2, "No line of review 1"),
        (["attest", "1", "1"], 2, "--reason"),
        (["plan", "1"], 5, "Nothing that was revoked"),
        (["close", "1"], 5, "4 of 4 lines"),
        (["start", "--title", " "], 2, "--title: cannot be empty"),
        (["start", "--title", "x", "--principal", "nobody@*"], 2, "nothing to review"),
        (["export", "77", "--to", "x"], 2, "There is no review 77"),
        (["verify", "no-such-file"], 1, "cannot be read"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_changes_nothing(
    begun: Path, limegrove: Run, words: list[str], code: int, why: str
) -> None:
    before = lines_of(limegrove)
    answer = limegrove("access", "review", *words)
    assert answer.code == code
    assert why in answer.err
    assert answer.err.count("\n") == 1
    assert lines_of(limegrove) == before
    assert len(limegrove("access", "review", "list").json) == 1
    assert not (begun / "signing.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["start", "--title", "x"], ["attest", "1", "1", "--reason", "x"], ["revoke", "1", "1", "--reason", "x"],
        ["undecide", "1", "1"], ["plan", "1"], ["close", "1", "--incomplete"],
    ],
)  # fmt: skip
def test_a_read_only_session_decides_nothing(begun: Path, limegrove: Run, words: list[str]) -> None:
    answer = limegrove("--read-only", "access", "review", *words)
    assert (answer.code, answer.out) == (5, "")
    assert [each["standing"] for each in lines_of(limegrove)] == ["open"] * 4


def exported(limegrove: Run, to: Path) -> tuple[Path, dict[str, Any]]:
    answer = limegrove("access", "review", "export", "1", "--to", str(to), "--offline")
    assert answer.code == 0, answer.err
    directory = Path(answer.json["directory"])
    return directory, json.loads((directory / "evidence.json").read_bytes())


def test_the_evidence_says_who_decided_what_exactly_its_source_its_age_and_its_gaps(
    begun: Path, limegrove: Run, tmp_path: Path
) -> None:
    for line in lines_of(limegrove):
        limegrove("access", "review", "attest", "1", str(line["line"]), "--reason", "checked with the owner")
    limegrove("access", "review", "close", "1")
    directory, whole = exported(limegrove, tmp_path / "out")
    payload = whole["payload"]
    assert payload["about"]["closed_by"] == "kim"
    assert "LimaCharlie's API" in payload["source"]["of"]
    for line in payload["lines"]:
        assert (line["standing"], line["decided_by"], line["reason"]) == (
            "attested",
            "kim",
            "checked with the owner",
        )
        assert line["decided_digest"] == content_hash(
            [line["kind"], line["principal"], line["gid"], line["permissions"], line["organizations"]]
        )
        for digest in (line["permissions"], line["organizations"]):
            assert content_hash(payload["lists"][digest]) == digest
    readings = {each["oid"]: each for each in payload["readings"]}
    assert readings[OIDS[0]]["access_read"]
    assert readings[OIDS[2]]["access_read"] is None
    lacking = {each["organization"]: each["why"] for each in payload["not_readable"]}
    assert lacking["Böhm & Söhne"] == "users and groups and API keys never read"
    assert lacking["(group Tier 1)"].startswith("the members of")
    assert payload["complete"] is False
    assert len(payload["decisions"]) == 4
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert sorted(path.name for path in directory.parent.iterdir()) == [directory.name]


def test_the_tables_are_read_back_equal_and_no_cell_is_a_formula(
    begun: Path, limegrove: Run, tmp_path: Path
) -> None:
    for line in lines_of(limegrove):
        reason = '=cmd|"/c calc"!A1' if line["kind"] == "key" else '+1 from me\u202e, said "ann";\r\n\tand so'
        limegrove("access", "review", "attest", "1", str(line["line"]), "--reason", reason)
    directory, whole = exported(limegrove, tmp_path)
    rows = list(csv.DictReader(io.StringIO((directory / "lines.csv").read_bytes().decode(), newline="")))
    assert len(rows) == 4
    for row, line in zip(rows, whole["payload"]["lines"], strict=True):
        for name in ("principal", "reason", "standing", "digest"):
            assert row[name].removeprefix("'") == line[name]
            assert row[name][:1] not in ("=", "+", "-", "@", "\t", "\r")
        assert row["permission_names"].split() == whole["payload"]["lists"][line["permissions"]]
    held = list(
        csv.DictReader(io.StringIO((directory / "organizations.csv").read_bytes().decode(), newline=""))
    )
    assert {(each["oid"], each["key"], each["organization"]) for each in held} == {
        (OIDS[0], "", "Acme Corp"), (OIDS[0], "c0ffee", "Acme Corp"),
    }  # fmt: skip


def test_evidence_is_verified_with_the_tables_beside_it(begun: Path, limegrove: Run, tmp_path: Path) -> None:
    directory, whole = exported(limegrove, tmp_path)
    answer = limegrove("access", "review", "verify", str(directory))
    assert answer.code == 0
    assert answer.json["fingerprint"] == whole["signature"]["fingerprint"]
    assert answer.json["tables"] == ["decisions.csv", "lines.csv", "organizations.csv", "readings.csv"]
    (directory / "readings.csv").unlink()
    answer = limegrove("access", "review", "verify", str(directory / "evidence.json"))
    assert (answer.code, answer.json["missing"]) == (0, ["readings.csv"])
    assert "readings.csv" in answer.err
    (directory / "lines.csv").write_bytes((directory / "lines.csv").read_bytes().replace(b"open", b"done"))
    answer = limegrove("access", "review", "verify", str(directory))
    assert (answer.code, answer.out) == (1, "")
    assert "lines.csv is not the table that was signed" in answer.err


def test_an_edited_document_another_key_and_an_unknown_key_are_each_said(
    begun: Path, limegrove: Run, tmp_path: Path
) -> None:
    directory, whole = exported(limegrove, tmp_path)
    file = directory / "evidence.json"
    signed = file.read_bytes()
    file.write_bytes(signed.replace(b'"open"', b'"attested"', 1))
    assert "does not fit" in limegrove("access", "review", "verify", str(file)).err
    file.write_bytes(signed)
    ours = whole["signature"]["fingerprint"]
    other = "SHA256:" + "A" * 43
    answer = limegrove("access", "review", "verify", str(file), "--fingerprint", other)
    assert answer.code == 1
    assert f"signed with the key {ours}, and not with {other}" in answer.err
    (begun / "signing.json").rename(tmp_path / "away")
    answer = limegrove("access", "review", "verify", str(file))
    assert (answer.code, answer.out) == (1, "")
    assert f"nobody here knows whose key {ours} is" in answer.err
    assert limegrove("access", "review", "verify", str(file), "--fingerprint", ours).code == 0


def test_evidence_that_cannot_be_written_is_not_written_in_part(
    begun: Path, limegrove: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    answer = limegrove("access", "review", "export", "1", "--to", str(tmp_path / "file"))
    assert answer.code == 1
    assert "cannot be written" in answer.err
    from console.operations import reviews
    from store.reviews import ReviewError

    made: list[str] = []
    real = os.fsync

    def full(descriptor: int) -> None:
        made.append("x")
        if len(made) == 2:
            raise OSError(28, "No space left on device")
        real(descriptor)

    os.fsync = full
    try:
        with pytest.raises(ReviewError, match="no space left"):
            reviews._written(tmp_path / "out", "review-1", {"a.csv": b"a", "b.csv": b"b"})
    finally:
        os.fsync = real
    assert list((tmp_path / "out").iterdir()) == []


def test_evidence_never_replaces_older_evidence(begun: Path, tmp_path: Path) -> None:
    from console.operations.reviews import _written

    first = _written(tmp_path, "review-1", {"a.csv": b"a"})
    second = _written(tmp_path, "review-1", {"a.csv": b"b"})
    assert (first.name, second.name) == ("review-1", "review-1-2")
    assert (first / "a.csv").read_bytes() == b"a"


def test_a_read_only_session_exports_with_a_key_that_is_there_and_makes_none(
    begun: Path, limegrove: Run, tmp_path: Path
) -> None:
    answer = limegrove("--read-only", "access", "review", "export", "1", "--to", str(tmp_path / "a"))
    assert (answer.code, (begun / "signing.json").exists()) == (5, False)
    exported(limegrove, tmp_path / "b")
    assert limegrove("--read-only", "access", "review", "export", "1", "--to", str(tmp_path / "c")).code == 0


def test_doctor_prints_the_public_key_and_its_fingerprint(
    begun: Path, limegrove: Run, tmp_path: Path
) -> None:
    def said() -> str:
        items = limegrove("doctor", "--offline").json["items"]
        return str(next(each["sentence"] for each in items if each["item"] == "signing"))

    assert said() == "no key yet; it is made when it is needed"
    _, whole = exported(limegrove, tmp_path)
    assert whole["signature"]["fingerprint"] in said()
    assert whole["signature"]["public_key"] in said()
    assert "passphrase-file" in said()


def test_the_journal_tells_what_was_decided(begun: Path, limegrove: Run) -> None:
    number = next(str(each["line"]) for each in lines_of(limegrove) if each["principal"] == "bob@example.com")
    limegrove("access", "review", "attest", "1", number, "--reason", "fine")
    limegrove("access", "review", "undecide", "1", number)
    limegrove("access", "review", "revoke", "1", number, "--reason", "left")
    limegrove("access", "review", "close", "1", "--incomplete")
    with closing(Store(f"sqlite:///{begun / 'default' / 'store.db'}")) as store, store.reader.reading() as c:
        told = [(each.action, each.detail.get("operator")) for each in journal(c)]
    assert told[::-1] == [
        (f"review.{what}", "kim") for what in ("start", "attest", "undecide", "revoke", "plan", "close")
    ]
