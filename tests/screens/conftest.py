"""What every test of a screen stands on."""

import asyncio
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store import ingest
from store.database import Store
from tests.helpers.screens import NOW, fill, oid_of


@pytest.fixture
def empty_store(tmp_path: Path) -> Iterator[Store]:
    """A store in which nothing was ever put."""
    made = Store(f"sqlite:///{tmp_path / 'store.db'}")
    yield made
    made.close()


@pytest.fixture(scope="session")
def filled_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store that was filled, to be copied."""
    path = tmp_path_factory.mktemp("filled") / "store.db"
    made = Store(f"sqlite:///{path}")
    fill(made)
    made.close()
    return path


@pytest.fixture
def filled_store(tmp_path: Path, filled_made: Path) -> Iterator[Store]:
    """Five customers in a tree of two tiers, one of which failed, and sixty alerts."""
    shutil.copy(filled_made, tmp_path / "store.db")
    made = Store(f"sqlite:///{tmp_path / 'store.db'}")
    yield made
    made.close()


@pytest.fixture
def snap_compare(snap_compare: Any) -> Any:
    """The plugin's, after closing the loop that an asynchronous test before it left set: a picture is taken
    by `asyncio.run`, which would drop that loop unclosed, and its warning is an error here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            left = asyncio.get_event_loop()
        except RuntimeError:
            return snap_compare
    left.close()
    return snap_compare


@pytest.fixture
def sensors_read(filled_store: Store) -> None:
    """The sensors of the five customers were read: there are none."""
    with filled_store.writing() as connection:
        for number in range(5):
            ingest.put_sync_state(connection, oid_of(number), "sensors", checked_at=NOW, attempted_at=NOW)
