"""What all models share."""

import subprocess
import sys

from sqlmodel import SQLModel

import store.models
from store.models.base import Model

CHECK = """
import store.models
from store.models.base import Model
print([each.__name__ for each in Model.__subclasses__() if each.__pydantic_complete__])
"""


def test_importing_the_tables_builds_no_validator() -> None:
    tables = {mapper.class_ for mapper in SQLModel._sa_registry.mappers}
    assert len(tables) >= len(store.models.__all__)
    assert tables == set(Model.__subclasses__())
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_who_asks_for_a_validator_gets_one() -> None:
    group = store.models.Group.model_validate({"gid": "g-1", "name": "Analysts", "first_seen": 5})
    assert group.gid == "g-1"
