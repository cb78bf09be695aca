from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest

from console.operations import runsteps
from store.database import Store


@pytest.fixture
def one_store(a_store: Callable[..., Store]) -> Store:
    """On SQLite: what happens in the cloud does not depend on the engine."""
    return a_store()


@pytest.fixture
def impatient() -> Iterator[None]:
    """A run does not wait long between two looks."""
    with patch.object(runsteps, "PAUSE", 0.01):
        yield
