"""Status, check, backup, restore, upgrade."""

import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from store import ingest, journal, maintenance, preferences, tree
from store.configuration import Record
from store.database import Store
from store.errors import StoreDamaged, StoreError, StoreRefused, StoreTooNew, StoreTooOld, StoreUnavailable
from store.schema import REVISIONS

NOW = 1_790_000_000_000


def _fill(store: Store, detections: int = 30) -> None:
    with store.writing() as c:
        ingest.put_organizations(c, [{"oid": "o1", "name": "Acme"}], complete=True, now=NOW)
        records = [
            ingest.detection_from(
                b'{"detect_id": "d%d", "gen_time": %d, "priority": %d}' % (n, NOW + n, n % 10), "o1"
            )
            for n in range(detections)
        ]
        ingest.put_detections(c, "o1", records)
        ingest.put_configuration(c, "o1", "hive/fp", {"a": Record({"op": "is"})}, NOW)
        tree.replace_tree(
            c, [tree.TreeNode("root", None, "All"), tree.TreeNode("acme", "root", "Acme", "o1")]
        )
        journal.append(c, "mk@here", "tree.import", detail={"nodes": 2}, now=NOW)


def _findings(url: str) -> dict[str, str]:
    return {finding.name: finding.text for finding in maintenance.check(url) if not finding.ok}


def test_status_tells_what_a_store_is_and_holds(store: Store) -> None:
    _fill(store)
    found = maintenance.status(store.url)
    assert found.engine == store.dialect
    assert found.schema == found.newest_schema == REVISIONS[-1]
    assert found.rows["detection"] == 30
    assert found.rows["organization"] == 1
    assert (found.oldest, found.newest) == (NOW, NOW + 29)
    assert found.journal == 1
    assert found.size > 10_000


def test_there_is_no_status_of_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no store"):
        maintenance.status(f"sqlite:///{tmp_path / 'none.db'}")
    assert not (tmp_path / "none.db").exists()


def test_a_whole_store_has_nothing_wrong(store: Store) -> None:
    _fill(store)
    findings = maintenance.check(store.url)
    assert [finding.name for finding in findings] == [
        "file", "references", "counters", "folds", "detections", "text", "configuration", "tree", "journal",
    ]  # fmt: skip
    assert all(finding.ok for finding in findings), findings


@pytest.mark.parametrize(
    ("statement", "name", "said"),
    [
        ("UPDATE detection_count SET count = count + 1 WHERE severity = 4", "counters", "o1, severity 4"),
        ("DELETE FROM detection_count WHERE severity = 1", "counters", "0 instead of"),
        ("UPDATE fold SET spent = spent + 1 WHERE id = 1", "folds", "first fold 1 of organization o1"),
        ("UPDATE storm SET open = open - 1", "folds", "storms are not what their alerts add up to"),
        ("UPDATE detection SET fold_id = 0 WHERE id = 2", "folds", "alert 2, which is in none"),
        ("DELETE FROM detection_body WHERE detection_id = 3", "detections", "1 detections have no body"),
        (
            "UPDATE configuration_body SET body = (SELECT min(body) FROM detection_body)",
            "configuration",
            "hash",
        ),
        ("UPDATE node SET last = 7 WHERE id = 'acme'", "tree", "acme"),
        ("UPDATE journal SET actor = 'nobody'", "journal", "Entry 1"),
    ],
)
def test_what_was_tampered_with_is_found(store: Store, statement: str, name: str, said: str) -> None:
    _fill(store)
    if "min(body)" in statement and store.dialect == "postgresql":
        statement = "UPDATE configuration_body SET body = (SELECT body FROM detection_body LIMIT 1)"
    with store.writing() as connection:
        connection.execute(text(statement))
    wrong = _findings(store.url)
    assert set(wrong) == {name}
    assert said in wrong[name]


def test_a_bit_that_flipped_in_a_body_is_found(store: Store) -> None:
    _fill(store)
    with store.writing() as c:
        packed = c.execute(text("SELECT body FROM detection_body WHERE detection_id = 5")).scalar_one()
        flipped = bytes(packed[:-6]) + bytes([packed[-6] ^ 1]) + bytes(packed[-5:])
        c.execute(text("UPDATE detection_body SET body = :b WHERE detection_id = 5"), {"b": flipped})
    assert "1 bodies" in _findings(store.url)["detections"]


# Backup


def test_a_backup_is_a_whole_private_store_of_its_own(a_store: Callable[..., Store], tmp_path: Path) -> None:
    store = a_store()
    _fill(store)
    target = tmp_path / "backup.db"
    before = os.umask(0)
    try:
        size = maintenance.backup(store.url, target)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert size == target.stat().st_size > 0
    assert sorted(file.name for file in tmp_path.iterdir() if "backup" in file.name) == ["backup.db"]
    with closing(Store(f"sqlite:///{target}")) as copy:
        assert _findings(copy.url) == {}
        assert maintenance.status(copy.url).rows == maintenance.status(store.url).rows


def test_a_backup_replaces_nothing(a_store: Callable[..., Store], tmp_path: Path) -> None:
    target = tmp_path / "precious.txt"
    target.write_text("mine")
    with pytest.raises(StoreUnavailable, match="exists already"):
        maintenance.backup(a_store().url, target)
    assert target.read_text() == "mine"


def test_a_backup_into_nowhere_is_one_sentence(a_store: Callable[..., Store], tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no such file"):
        maintenance.backup(a_store().url, tmp_path / "no" / "where.db")


def test_a_backup_can_be_made_while_another_process_writes(
    a_store: Callable[..., Store], tmp_path: Path
) -> None:
    store = a_store()
    _fill(store)
    with store.writing() as connection:
        preferences.put(connection, "uncommitted", 1)
        maintenance.backup(store.url, tmp_path / "backup.db")
    with closing(Store(f"sqlite:///{tmp_path / 'backup.db'}")) as copy, copy.reader.reading() as connection:
        assert preferences.get(connection, "uncommitted") is None


def test_postgresql_is_backed_up_and_restored_by_its_own_tools(postgres_url: str, tmp_path: Path) -> None:
    Store(postgres_url).close()
    with pytest.raises(StoreRefused, match="pg_dump"):
        maintenance.backup(postgres_url, tmp_path / "b")
    with pytest.raises(StoreRefused, match="pg_restore"):
        maintenance.restore(postgres_url, tmp_path / "b")


# Restore


def test_what_was_backed_up_comes_back(a_store: Callable[..., Store], tmp_path: Path) -> None:
    store = a_store()
    _fill(store)
    rows = maintenance.status(store.url).rows
    maintenance.backup(store.url, tmp_path / "backup.db")
    with store.writing() as connection:
        tree.replace_tree(connection, [])
        ingest.put_organizations(connection, [{"oid": "o2", "name": "New"}], complete=False, now=NOW)
    assert maintenance.restore(store.url, tmp_path / "backup.db") == REVISIONS[-1]
    assert maintenance.status(store.url).rows == rows
    assert _findings(store.url) == {}


def test_a_console_that_has_the_store_open_goes_on_with_the_restored_one(
    a_store: Callable[..., Store], tmp_path: Path
) -> None:
    store = a_store()
    with store.writing() as connection:
        preferences.put(connection, "a", "old")
    maintenance.backup(store.url, tmp_path / "backup.db")
    with store.writing() as connection:
        preferences.put(connection, "a", "new")
    heard: list[Any] = []
    store.on_change(heard.append)
    maintenance.restore(store.url, tmp_path / "backup.db")
    store.look_outside()
    assert len(heard) == 1
    with store.reader.reading() as connection:
        assert preferences.get(connection, "a") == "old"
    with store.writing() as connection:
        preferences.put(connection, "b", 1)
    store.close()
    assert _findings(store.url) == {}


def test_a_backup_makes_a_store_where_there_is_none(a_store: Callable[..., Store], tmp_path: Path) -> None:
    _fill(a_store())
    maintenance.backup(a_store().url, tmp_path / "backup.db")
    url = f"sqlite:///{tmp_path / 'new' / 'store.db'}"
    maintenance.restore(url, tmp_path / "backup.db")
    assert maintenance.status(url).rows["detection"] == 30
    assert stat.S_IMODE((tmp_path / "new" / "store.db").stat().st_mode) == 0o600


def test_a_store_that_cannot_be_opened_is_kept_beside_the_restored_one(
    a_store: Callable[..., Store], tmp_path: Path
) -> None:
    _fill(a_store())
    maintenance.backup(a_store().url, tmp_path / "backup.db")
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database" * 1000)
    maintenance.restore(f"sqlite:///{broken}", tmp_path / "backup.db")
    assert maintenance.status(f"sqlite:///{broken}").rows["detection"] == 30
    kept = [file for file in tmp_path.iterdir() if ".damaged-" in file.name]
    assert [file.read_bytes() for file in kept] == [b"not a database" * 1000]


def _refused(url: str, source: Path, kind: type[StoreError]) -> str:
    with closing(Store(url)) as store:
        with store.writing() as connection:
            preferences.put(connection, "still", "here")
        with pytest.raises(kind) as caught:
            maintenance.restore(url, source)
        with store.reader.reading() as connection:
            assert preferences.get(connection, "still") == "here"
    return str(caught.value)


def test_a_backup_of_a_newer_limegrove_is_refused(a_store: Callable[..., Store], tmp_path: Path) -> None:
    maintenance.backup(a_store("other").url, tmp_path / "backup.db")
    with closing(sqlite3.connect(tmp_path / "backup.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    sentence = _refused(f"sqlite:///{tmp_path / 's.db'}", tmp_path / "backup.db", StoreTooNew)
    assert "9999" in sentence


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    (tmp_path / "text").write_text("hello")
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    assert "no store" in _refused(url, tmp_path / "text", StoreDamaged)
    assert "another program" in _refused(url, tmp_path / "other.db", StoreUnavailable)
    assert "no backup" in _refused(url, tmp_path / "none", StoreUnavailable)
    assert "the store itself" in _refused(url, tmp_path / "s.db", StoreUnavailable)


def test_a_backup_that_was_cut_or_overwritten_is_refused(
    a_store: Callable[..., Store], tmp_path: Path
) -> None:
    store = a_store("other")
    _fill(store, 300)
    maintenance.backup(store.url, tmp_path / "backup.db")
    whole = (tmp_path / "backup.db").read_bytes()
    url = f"sqlite:///{tmp_path / 's.db'}"
    chance = random.Random(4)
    for cut in (len(whole) - 1, len(whole) - 8192, len(whole) // 2, 8192, 100, 0):
        (tmp_path / "backup.db").write_bytes(whole[:cut])
        _refused(url, tmp_path / "backup.db", StoreDamaged)
    for _ in range(8):
        page = chance.randrange(1, len(whole) // 8192)
        damaged = bytearray(whole)
        damaged[page * 8192 : page * 8192 + 64] = chance.randbytes(64)
        (tmp_path / "backup.db").write_bytes(damaged)
        _refused(url, tmp_path / "backup.db", StoreDamaged)


def test_a_store_that_somebody_writes_to_is_not_restored_over(
    a_store: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.maintenance.PATIENCE", 0.3)
    store = a_store()
    maintenance.backup(store.url, tmp_path / "backup.db")
    with store.writing() as connection:
        preferences.put(connection, "a", 1)
        with pytest.raises(StoreUnavailable, match="held"):
            maintenance.restore(store.url, tmp_path / "backup.db")
    with store.reader.reading() as connection:
        assert preferences.get(connection, "a") == 1


# Upgrade


NEXT = "9998"
"""A schema that this limegrove does not have yet."""


@pytest.fixture
def next_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A limegrove one schema further; answers where its migration is."""
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / "next.py").write_text(
        "import sqlalchemy as sa\n"
        "from alembic import op\n"
        f"revision, down_revision = '{NEXT}', '{REVISIONS[-1]}'\n"
        "def upgrade() -> None:\n"
        "    op.add_column('organization', sa.Column('nickname', sa.String(), nullable=True))\n"
    )
    monkeypatch.setattr("store.maintenance.VERSIONS", [*maintenance.VERSIONS, versions])
    for name in ("store.maintenance.REVISIONS", "store.schema.REVISIONS"):
        monkeypatch.setattr(name, (*REVISIONS, NEXT))
    return versions / "next.py"


def _old_store(url: str) -> None:
    with closing(Store(url)) as store:
        _fill(store)
        with store.writing() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :old"), {"old": REVISIONS[-1]})


def test_an_upgrade_backs_up_first_and_keeps_everything(tmp_path: Path, next_schema: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    _old_store(url)
    with pytest.raises(StoreTooOld, match="store upgrade"):
        Store(url)
    done = maintenance.upgrade(url)
    assert (done.before, done.after) == (REVISIONS[-1], NEXT)
    assert done.backup is not None
    assert maintenance.status(f"sqlite:///{done.backup}").schema == REVISIONS[-1]
    with closing(Store(url)) as store, store.reader.reading() as connection:
        assert connection.execute(text("SELECT name, nickname FROM organization")).all() == [("Acme", None)]
    assert maintenance.upgrade(url) == maintenance.Upgraded(NEXT, NEXT, None)


def test_a_failed_upgrade_changes_nothing(empty_url: str, next_schema: Path) -> None:
    _old_store(empty_url)
    next_schema.write_text(next_schema.read_text() + "    raise RuntimeError('half way')\n")
    with pytest.raises(RuntimeError, match="half way"):
        maintenance.upgrade(empty_url, yes=True)
    found = maintenance.status(empty_url)
    assert found.schema == REVISIONS[-1]
    assert found.rows["detection"] == 30
    next_schema.write_text(next_schema.read_text().replace("    raise RuntimeError('half way')\n", ""))
    maintenance.upgrade(empty_url, yes=True)
    Store(empty_url).close()


def test_postgresql_is_upgraded_only_when_somebody_says_that_a_backup_was_made(
    postgres_url: str, next_schema: Path
) -> None:
    _old_store(postgres_url)
    with pytest.raises(StoreRefused, match="pg_dump"):
        maintenance.upgrade(postgres_url)
    assert maintenance.status(postgres_url).schema == REVISIONS[-1]
    assert maintenance.upgrade(postgres_url, yes=True).after == NEXT


def test_a_store_that_is_too_new_is_not_upgraded(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew, match="9999"):
        maintenance.upgrade(store.url)


def test_an_upgrade_of_nothing_makes_an_empty_store(empty_url: str) -> None:
    assert maintenance.upgrade(empty_url) == maintenance.Upgraded(None, REVISIONS[-1], None)
    Store(empty_url).close()


def test_a_restore_that_is_killed_leaves_the_old_or_the_new(
    a_store: Callable[..., Store], tmp_path: Path
) -> None:
    store = a_store()
    _fill(store)
    maintenance.backup(store.url, tmp_path / "backup.db")
    with store.writing() as connection:
        connection.execute(text("DELETE FROM journal"))
    store.close()
    program = (
        "import os, sys, threading, time\n"
        "from pathlib import Path\n"
        "from store import maintenance\n"
        "threading.Thread(target=lambda: (time.sleep(float(sys.argv[3])), os.kill(os.getpid(), 9)),"
        " daemon=True).start()\n"
        "maintenance.restore(sys.argv[1], Path(sys.argv[2]))\n"
        "time.sleep(5)\n"
    )
    for delay in ("0", "0.004", "0.02"):
        ended = subprocess.run(
            [sys.executable, "-c", program, store.url, str(tmp_path / "backup.db"), delay], check=False
        )
        assert ended.returncode == -9
        assert _findings(store.url) == {}
        assert maintenance.status(store.url).journal in (0, 1)
