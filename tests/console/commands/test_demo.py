"""`limegrove demo`: what it says of itself."""

from typing import Any

import pytest


def test_help_says_where_it_keeps_everything_and_how_commands_are_tried(capsys: Any) -> None:
    from console.__main__ import main

    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    said = capsys.readouterr().out
    assert "directory of its own, which is removed at its end:\nnothing in LIMEGROVE_HOME" in said
    for word in ("sandbox serve", "LIMEGROVE_ENDPOINT=", "LC_UID=", "LC_API_KEY=", "LIMEGROVE_HOME"):
        assert word in said
