"""What the benchmarks measure on is what limegrove itself would have written."""

from pathlib import Path

import pytest

from benchmarks import agreement, fixture
from store import maintenance
from store.alerts import parse_filter
from store.database import Store
from store.queries import alerts


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fixture.Held:
    """A fixture of 3,000 alerts of 40 organizations."""
    monkeypatch.setattr(fixture, "ORGANIZATIONS", 40)
    monkeypatch.setattr(fixture, "GOLD", 10)
    monkeypatch.setattr(fixture, "_OIDS", [])
    fixture._owner.cache_clear()
    path = tmp_path / "store.db"
    return fixture.Held(path, 3_000, fixture.build(path, 3_000))


def test_the_fixture_holds_what_ingest_writes(small: fixture.Held) -> None:
    assert agreement.differing(small, sorted(fixture.sample(400, 3_000))) == []
    assert agreement.miscounted(small) == []
    wrong = [(each.name, each.text) for each in maintenance.check(small.url) if not each.ok]
    assert wrong == []
    store = Store(small.url)
    try:
        with store.reader.reading() as connection:
            assert alerts.count(connection, parse_filter("status:any")).value == 3_000
            gold = alerts.count(connection, parse_filter("status:any", scope="gold")).value
            assert 0 < gold < 3_000
    finally:
        store.close()


def test_a_row_that_is_otherwise_is_noticed(small: fixture.Held) -> None:
    store = Store(small.url)
    with store.writing() as c:
        c.exec_driver_sql("UPDATE detection SET hostname = 'x' WHERE id = 7")
        c.exec_driver_sql("UPDATE detection SET fold_id = 0 WHERE id = 8")
    store.close()
    found = agreement.differing(small, list(range(12)))
    assert any(line.startswith("alert 6: hostname is 'x'") for line in found)
    assert "alert 7 is in another fold" in found
