"""`limegrove demo`: what it says of itself."""

from typing import Any

import pytest


def test_help_says_where_it_keeps_everything_and_how_commands_are_tried(capsys: Any) -> None:
    from console.__main__ import main

    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "directory of its own, which is removed at its end: nothing in LIMEGROVE_HOME" in said
    for word in ("sandbox serve", "LIMEGROVE_ENDPOINT=", "LC_UID=", "LC_API_KEY=", "LIMEGROVE_HOME"):
        assert word in said


def test_without_a_terminal_it_reads_once_and_names_what_could_not_be_read(limegrove: Any) -> None:
    answer = limegrove("demo", "--once", "--orgs", "12", "--detections", "60")

    assert answer.code == 0, answer.err
    assert answer.json["organizations"] == 12
    (failed,) = answer.json["failed"]
    assert failed["name"]
    assert failed["name"] != failed["oid"]
    assert failed["reason"].startswith("detections: ")
