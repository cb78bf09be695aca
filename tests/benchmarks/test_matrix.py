"""What the benchmark of the matrix measures is the same answer both ways."""

from itertools import islice
from pathlib import Path

import pytest

from benchmarks import accessfixture, matrix
from store import maintenance


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> accessfixture.Held:
    """A fixture of 60 organizations and 20 people."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, value in (("ORGANIZATIONS", 60), ("PRINCIPALS", 20), ("GROUPS", 6), ("MEMBERS", 8)):
        monkeypatch.setattr(accessfixture, name, value)
    monkeypatch.setattr(matrix, "SAMPLE", 25)
    monkeypatch.setattr(matrix, "settle_memory", lambda: None)
    return accessfixture.held()


def test_every_step_answers_what_the_joins_answer(small: accessfixture.Held) -> None:
    # Those of memory measure the whole fixture in another process.
    found = list(islice(matrix.figures(1), 8))
    assert [each.figure.partition(",")[0] for each in found] == [
        "one organization opened", "turned to one principal", "turned to one permission", "what if", "what if",
        "everything read", "everything read as of 200 days ago / now", "whole closure",
    ]  # fmt: skip
    assert all(each.ours > 0 and each.other > 0 for each in found)


def test_an_answer_that_is_otherwise_ends_the_benchmark(
    small: accessfixture.Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "EVERYWHERE", matrix.EVERYWHERE.replace("UNION", "UNION ALL"))
    with pytest.raises(AssertionError, match="turned to one principal"):
        list(islice(matrix.figures(1), 2))


def test_the_fixture_is_a_store_that_nothing_is_wrong_with(small: accessfixture.Held) -> None:
    assert [(each.name, each.text) for each in maintenance.check(small.url) if not each.ok] == []
