"""Fold keys carried through: journalled, a part at a time, and taken up again where they stopped."""

import json

import pytest
from sqlalchemy import delete, func, select, text, update

from console.operations import folding
from console.operations.ports import Progress
from store import folds, ingest, journal, models
from store.database import Store

NOW = 1_790_000_000_000
D = models.Detection.__table__  # type: ignore[attr-defined]
FOLD = models.Fold.__table__  # type: ignore[attr-defined]


@pytest.fixture
def queue(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Twelve alerts on four hosts in one fold; a part of a folding takes five."""
    monkeypatch.setattr(folds, "WINDOW", 5)
    raws = [
        {
            "detect_id": f"d{n}", "cat": "Scan", "source_rule": "general.scan", "gen_time": NOW + n,
            "routing": {"hostname": f"host{n % 4}"}, "detect": {"event": {"HASH": "a" * 64}},
        }
        for n in range(12)
    ]  # fmt: skip
    with store.writing() as c:
        ingest.put_detections(
            c, "o1", [ingest.detection_from(json.dumps(raw).encode(), "o1") for raw in raws]
        )
    return store


def held(store: Store) -> list[int]:
    """How many alerts each fold has, by its own count, which has to be right."""
    with store.reader.reading() as c:
        assert folds.miscounted(c) == []
        return sorted(c.execute(select(FOLD.c.total)).scalars())


def entries(store: Store) -> list[tuple[str, str, object]]:
    with store.reader.reading() as c:
        assert journal.verify(c) is None
        rows = c.execute(select(models.Journal.__table__).order_by(text("seq")))  # type: ignore[attr-defined]
        return [(row.action, row.target, row.detail) for row in rows]


def test_a_key_is_journalled_and_carried_through_with_progress(queue: Store) -> None:
    seen: list[Progress] = []
    assert folding.set_key(queue, "general.scan", ["host"], by="ann", now=NOW, report=seen.append)
    assert held(queue) == [3, 3, 3, 3]
    assert [step.done for step in seen] == [5, 10, 0]
    assert entries(queue) == [("fold.key", "general.scan", {"before": None, "after": ["host"]})]
    assert folding.set_key(queue, "general.scan", None, by="ann", now=NOW, report=seen.append)
    assert held(queue) == [12]
    assert entries(queue)[1:] == [("fold.key", "general.scan", {"before": ["host"], "after": None})]


def test_what_changes_nothing_is_not_journalled(queue: Store) -> None:
    assert not folding.set_key(queue, "general.scan", None, by="ann", now=NOW, report=folding._silent)
    assert entries(queue) == []


def test_what_was_interrupted_goes_on_where_it_stopped(queue: Store) -> None:
    class KilledError(Exception):
        """The process ended here."""

    def die(_step: Progress) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        folding.set_key(queue, "*", ["host"], by="ann", now=NOW, report=die)
    assert held(queue) == [1, 1, 1, 2, 7]
    with queue.reader.reading() as c:
        assert folds.rebuilding(c) == folds.Rebuilding(("*",), 5, 12)
    folding.go_on(queue)
    assert held(queue) == [3, 3, 3, 3]
    with queue.reader.reading() as c:
        assert folds.rebuilding(c).rules == ()


def test_counts_that_somebody_spoilt_are_made_right_again(queue: Store) -> None:
    with queue.writing() as c:
        c.execute(update(FOLD).values(total=99, spent=5))
        c.execute(update(D).where(D.c.id > 6).values(fold_id=0))
        c.execute(delete(models.Storm.__table__))  # type: ignore[attr-defined]
        assert folds.miscounted(c)
    folding.recount(queue, now=NOW, report=folding._silent)
    assert held(queue) == [12]
    with queue.reader.reading() as c:
        assert c.execute(select(func.count()).select_from(models.Storm.__table__)).scalar_one() == 1  # type: ignore[attr-defined]
    assert entries(queue) == [("fold.recount", "", {})]
