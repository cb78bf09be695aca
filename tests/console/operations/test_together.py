"""Tasks that run together: what ends them is one error that says it, not a group of errors."""

import ast
from pathlib import Path

import pytest

from console.limacharlie.errors import LimaCharlieError
from console.operations import together as module
from console.operations.together import together
from store.errors import StoreError, StoreUnavailable


async def fails(error):
    raise error


async def run(*errors):
    async with together() as group:
        for error in errors:
            group.create_task(fails(error))


async def test_what_the_store_says_is_raised_itself():
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        await run(LimaCharlieError("It is away."), StoreUnavailable("It cannot be used: the disk is full."))


async def test_so_it_is_from_a_group_within_a_group():
    async def inner():
        await run(StoreUnavailable("Full."), StoreUnavailable("Full."))

    with pytest.raises(StoreError, match="Full"):
        async with together() as group:
            group.create_task(inner())


async def test_what_nobody_foresaw_is_not_hidden_by_what_was_foreseen():
    with pytest.raises(ExceptionGroup):
        await run(ValueError("A defect."), StoreError("Full."))


def test_nothing_runs_tasks_together_in_another_way():
    console = Path(module.__file__).parents[1]
    others = [
        str(path.relative_to(console))
        for path in console.rglob("*.py")
        if path.parent.name != "sandbox"
        and any(
            isinstance(each, ast.Attribute) and each.attr == "TaskGroup" and isinstance(each.ctx, ast.Load)
            for each in ast.walk(ast.parse(path.read_text()))
        )
    ]
    assert others == ["operations/together.py"]
