"""What every command that writes a file for people does where something else than a file is in its place."""

import os
import socket
import stat
from contextlib import closing

import pytest

from store import ingest
from store.database import Store
from store.times import now_ms

OID = "00000001-0000-4000-8000-000000000000"

WRITERS = {
    "case export --json": ("case", "export", f"{OID}/12", "--json"),
    "case export --markdown": ("case", "export", f"{OID}/12", "--markdown"),
    "tree export": ("tree", "export"),
    "org document export": ("org", "document", "export"),
    "access export": ("access", "export"),
    "report coverage --layer": ("report", "coverage", "--layer"),
    "billing statement --out": ("billing", "statement", "--format", "csv", "--out"),
}
"""Each command that is given the file it writes, as the last word."""


@pytest.fixture(autouse=True)
def _something_to_write(filled, limegrove, tmp_path):
    row = {
        "oid": OID, "case_number": 12, "case_id": "case-12", "status": "new", "severity": "high",
        "summary": "Case 12", "created_at": "2026-11-24T10:00:00Z", "assignees": [], "tags": [],
        "classification": "pending", "conclusion": "", "detection_count": 0, "acknowledged_at": None,
        "resolved_at": None, "closed_at": None, "merged_into_case_id": None,
    }  # fmt: skip
    with (
        closing(Store(f"sqlite:///{filled / 'default' / 'store.db'}")) as store,
        store.writing() as connection,
    ):
        ingest.put_cases(connection, [row], oids=[OID])
        ingest.put_groups(connection, [{"group_id": "a1", "name": "SOC", "perms": ["org.get"]}], now=now_ms())
        ingest.put_sync_state(connection, "", "groups", checked_at=now_ms(), attempted_at=now_ms())
    limegrove("tree", "add", "Acme", "--oid", OID, "--id", "acme")
    prices = limegrove("billing", "prices", "example").out
    (tmp_path / "prices.yaml").write_text(prices)
    assert limegrove("billing", "prices", "import", str(tmp_path / "prices.yaml")).code == 0


def wrote(limegrove, command, path):
    return limegrove("--offline", *WRITERS[command], str(path))


@pytest.mark.parametrize("command", WRITERS)
def test_a_pipe_is_left_alone_and_named_in_one_sentence(command, limegrove, tmp_path):
    os.mkfifo(tmp_path / "pipe")

    answer = wrote(limegrove, command, tmp_path / "pipe")

    assert answer.code == 1
    assert f"{tmp_path / 'pipe'} is a pipe; give a file. Nothing was written." in answer.err
    assert "unforeseen" not in answer.err
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)


@pytest.mark.parametrize("command", WRITERS)
def test_so_is_a_socket_even_behind_a_link(command, limegrove, tmp_path):
    with closing(socket.socket(socket.AF_UNIX)) as bound:
        bound.bind(str(tmp_path / "socket"))
        (tmp_path / "link").symlink_to(tmp_path / "socket")

        answer = wrote(limegrove, command, tmp_path / "link")

    assert answer.code == 1
    assert "is a socket; give a file." in answer.err
    assert (tmp_path / "link").is_symlink()
    assert stat.S_ISSOCK((tmp_path / "socket").lstat().st_mode)


@pytest.mark.parametrize("place", ["/", "."])
@pytest.mark.parametrize("command", WRITERS)
def test_a_directory_is_told_as_one(command, place, limegrove):
    answer = wrote(limegrove, command, place)

    assert answer.code == 1
    assert f"{place} is a directory; give a file. Nothing was written." in answer.err


@pytest.mark.parametrize("command", WRITERS)
def test_what_a_link_points_to_is_written_and_the_link_stays(command, limegrove, tmp_path):
    target = tmp_path / "there" / "target"
    target.parent.mkdir()
    target.write_text("before")
    (tmp_path / "link").symlink_to("there/target")

    answer = wrote(limegrove, command, tmp_path / "link")

    assert answer.code in (0, 3), answer.err
    assert (tmp_path / "link").is_symlink()
    assert target.read_text() != "before"
    assert [each.name for each in target.parent.iterdir()] == ["target"]


@pytest.mark.parametrize("command", WRITERS)
def test_a_file_is_written_for_this_user_alone(command, limegrove, tmp_path):
    answer = wrote(limegrove, command, tmp_path / "new")

    assert answer.code in (0, 3), answer.err
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_of_two_files_none_is_written_where_one_cannot_be(limegrove, tmp_path):
    answer = limegrove(
        "--offline", "case", "export", f"{OID}/12", "--json", str(tmp_path / "a"), "--markdown", str(tmp_path)
    )

    assert answer.code == 1
    assert not (tmp_path / "a").exists()


def test_a_link_in_a_circle_is_one_sentence(limegrove, tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    answer = wrote(limegrove, "tree export", tmp_path / "a")

    assert answer.code == 1
    assert "cannot be written: Too many levels of symbolic links; nothing was changed." in answer.err


def test_templates_fill_the_empty_directory_that_a_link_points_to(limegrove, tmp_path):
    (tmp_path / "one.yaml").write_text(
        "version: 3\nfps:\n  quiet:\n    data:\n      op: is\n      path: cat\n      value: x\n"
    )
    limegrove("template", "import", str(tmp_path / "one.yaml"))
    assert limegrove("template", "assign", "one", "acme").code == 0
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")

    answer = limegrove("template", "export", str(tmp_path / "link"))

    assert answer.code == 0, answer.err
    assert (tmp_path / "link").is_symlink()
    assert list((tmp_path / "there").iterdir())
