"""A store in another database: the same rows, the same answers, and all of it or nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from store import copying, ingest, maintenance, textindex
from store.alerts import AlertFilter
from store.copying import copy
from store.database import Store, sqlite_path
from store.errors import StoreDamaged, StoreRefused, StoreUnavailable
from store.queries import alerts
from tests.helpers.canaries import NOW, SHARED, TABLES, X, Y, canary, detection_of, fill


def everything(store: Store) -> dict[str, list[str]]:
    """Every row of every table but what only says what was written since when."""
    answer = {}
    with store.reader.reading() as c:
        for name, table in TABLES.items():
            if name != "organization_change":
                answer[name] = sorted(map(repr, c.execute(select(table)).all()))
        for word in (canary("command", X), canary("host", Y)):
            answer[word] = list(
                map(str, textindex.newest(c, textindex.words_query(store.dialect, word), limit=50))
            )
            assert answer[word]
    return answer


@pytest.fixture
def emptied(postgres_kept: Any) -> Iterator[str]:
    """An empty database of PostgreSQL."""
    yield postgres_kept.url
    postgres_kept.empty()


def test_a_copy_answers_what_the_first_one_does(store: Store, tmp_path: Path) -> None:
    fill(store)
    before = everything(store)
    target = f"sqlite:///{tmp_path / 'copy.db'}"
    told: list[str] = []
    found = copy(store.url, target, told.append)
    other = Store(target)
    assert everything(other) == before == everything(store)
    assert found.rows["detection"] == 8
    assert "organization_change" not in found.rows
    assert told[-1] == "the text index, 8 of 8 alerts"
    with store.reader.reading() as c:
        assert found.last == c.execute(text("SELECT hash FROM journal ORDER BY seq DESC LIMIT 1")).scalar()
    assert [each for each in maintenance.check(target) if not each.ok and each.name != "references"] == []
    with store.reader.reading() as one, other.reader.reading() as two:
        for wanted in (
            AlertFilter(),
            AlertFilter(words=(canary("command", X),)),
            AlertFilter(hostname=canary("host", Y)),
        ):
            assert alerts.page(one, wanted) == alerts.page(two, wanted) != []
        assert textindex.sightings(one, SHARED) == textindex.sightings(two, SHARED) != []
    with other.writing() as c:  # numbers go on behind those that are there
        ingest.put_detections(c, X, [detection_of(X, 9)])
        assert c.execute(text("SELECT max(id) FROM detection")).scalar() == 9
    other.close()


@pytest.mark.postgres
def test_a_team_moves_to_a_server_and_goes_on_there(a_store: Callable[[], Store], emptied: str) -> None:
    store = a_store()
    fill(store)
    before = everything(store)
    copy(store.url, emptied)
    other = Store(emptied)
    after = everything(other)
    same = {name for name in before if before[name] == after[name]}
    # Bodies are packed anew, and may be other bytes.
    assert set(before) - same <= {"detection_body"}
    assert [each for each in maintenance.check(emptied) if not each.ok and each.name != "references"] == []
    with other.writing() as c:
        ingest.put_detections(c, X, [detection_of(X, 9)])
        assert c.execute(text("SELECT max(id) FROM detection")).scalar() == 9
    other.close()


def test_nothing_and_the_null_of_json_stay_two(a_store: Callable[..., Store], tmp_path: Path) -> None:
    store = a_store()
    fill(store)
    step = TABLES["rollout_step"]
    with store.writing() as c:
        c.execute(text("UPDATE rollout_step SET before_metadata = NULL, after_metadata = 'null'"))
        store.touched("rollout_step")
    copy(store.url, f"sqlite:///{tmp_path / 'copy.db'}")
    other = Store(f"sqlite:///{tmp_path / 'copy.db'}")
    with other.reader.reading() as c:
        found = c.execute(text("SELECT DISTINCT before_metadata, after_metadata FROM rollout_step")).all()
        assert c.execute(select(step.c.after_metadata)).scalars().all()[0] is None
    assert list(map(tuple, found)) == [(None, "null")]
    other.close()


def test_what_has_rows_is_not_copied_over(a_store: Callable[..., Store]) -> None:
    store, other = a_store(), a_store("other")
    fill(store)
    with other.writing() as c:
        ingest.put_organizations(c, [{"oid": "o1", "name": "Acme"}], complete=True, now=NOW)
    before = everything_of(other)
    with pytest.raises(
        StoreRefused, match=r"other\.db already, with rows in organization; nothing was copied"
    ):
        copy(store.url, other.url)
    assert everything_of(other) == before
    with pytest.raises(StoreRefused, match="already"):
        copy(store.url, store.url)


def everything_of(store: Store) -> list[str]:
    with store.reader.reading() as c:
        return [repr(c.execute(select(table)).all()) for table in TABLES.values()]


def test_what_fails_half_way_leaves_an_empty_store(
    a_store: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = a_store()
    fill(store)
    target = f"sqlite:///{tmp_path / 'copy.db'}"

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(copying, "_index", fail)
        with pytest.raises(ZeroDivisionError):
            copy(store.url, target)
    assert maintenance.status(target).rows.get("organization", 0) == 0
    assert copy(store.url, target).rows["organization"] == 2


def test_a_journal_that_was_edited_is_not_handed_on(a_store: Callable[..., Store], tmp_path: Path) -> None:
    store = a_store()
    fill(store)
    entry = TABLES["journal"]
    with store.writing() as c:
        c.execute(update(entry).where(entry.c.seq == 1).values(actor="somebody else"))
    target = f"sqlite:///{tmp_path / 'copy.db'}"
    with pytest.raises(StoreDamaged, match="Entry 1 of the journal"):
        copy(store.url, target)
    assert maintenance.status(target).rows.get("journal", 0) == 0


def test_there_is_no_copy_of_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no store"):
        copy(f"sqlite:///{tmp_path / 'nowhere.db'}", f"sqlite:///{tmp_path / 'copy.db'}")
    assert sqlite_path(f"sqlite:///{tmp_path / 'copy.db'}") is not None
    assert list(tmp_path.iterdir()) == []
