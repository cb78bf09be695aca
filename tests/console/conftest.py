"""A store for the console as a whole."""

from contextlib import closing
from pathlib import Path

import pytest

from store.database import Store
from tests.helpers.screens import fill


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a store that is filled."""
    made = f"sqlite:///{tmp_path / 'store.db'}"
    with closing(Store(made)) as store:
        fill(store)
    return made
