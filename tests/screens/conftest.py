"""What every test of a screen stands on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.database import Store
from tests.helpers.screens import fill


@pytest.fixture
def empty_store(tmp_path: Path) -> Iterator[Store]:
    """A store in which nothing was ever put."""
    made = Store(f"sqlite:///{tmp_path / 'store.db'}")
    yield made
    made.close()


@pytest.fixture
def filled_store(empty_store: Store) -> Store:
    """Five customers in a tree of two tiers, one of which failed, and sixty alerts."""
    fill(empty_store)
    return empty_store
