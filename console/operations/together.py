"""Tasks that run together, and one error that says what ended them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from console.limacharlie.errors import LimaCharlieError
from store.errors import StoreError


@asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """A group of tasks; the first that fails ends the others.

    Raises:
        StoreError, LimaCharlieError: one of the tasks raised it, and none anything that nobody foresaw. Where
            several failed, they say the same (a full disk, a cloud that is away), so one of them is said.
        ExceptionGroup: something that nobody foresaw.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as failed:
        said = list(_alone(failed))
        if not all(isinstance(each, StoreError | LimaCharlieError) for each in said):
            raise
        raise next((each for each in said if isinstance(each, StoreError)), said[0]) from failed


def _alone(failed: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for each in failed.exceptions:
        if isinstance(each, ExceptionGroup):
            yield from _alone(each)
        else:
            yield each
