"""New customers: judged against the store and the cloud, and then made by a run."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from console.limacharlie.credentials import OrganizationKey
from console.limacharlie.errors import Denied, Gone, Protocol, Unavailable
from console.limacharlie.handle import all_of
from console.operations.ports import Progress, Report
from store.onboarding import Judged, Known, Row, Wrong, judged, same
from store.queries.onboarding import known

if TYPE_CHECKING:
    from console.limacharlie.client import Cloud
    from store.database import Reader

Result = TypeVar("Result")

LOOKS = 4
"""How often the cloud is asked for what it could not say."""
PAUSE = 0.5
"""Seconds between the first two."""
ASKED_WITH = 5
"""With how many organizations it is tried what every one of them can answer."""
AT_ONCE = 12
"""Names asked for at once; the credential's rate budget is kept below this."""


async def judge(
    rows: Sequence[Row],
    *,
    reader: "Reader",
    cloud: "Cloud | None",
    wrong: Sequence[Wrong] = (),
    report: Report | None = None,
) -> tuple[Judged, Known]:
    """Every line, against the others, the store, and the cloud where it can be asked. Nothing is changed.

    The cloud says which extensions there are, and whether each name is still free.

    Args:
        wrong: what was found in the file before.

    Raises:
        LimaCharlieError: the cloud does not answer.
    """
    if cloud is not None and isinstance(cloud.credentials, OrganizationKey):
        more = Wrong(0, "", "Organizations are made with a user's API key only; this is an organization's.")
        return Judged((), (*wrong, more)), Known()
    extensions = taken = None
    me = ""
    found = await asyncio.to_thread(_known, reader)
    if cloud is not None:
        if any(row.get("owners") for _, row in rows):
            me = (await _answered(cloud.who)).ident
        if any(row.get("extensions") for _, row in rows):
            extensions = await _extensions(cloud, found)
        # Only of what could be made: a file of nonsense is not worth two hundred questions.
        if not (await asyncio.to_thread(judged, rows, found, wrong)).stopped:
            there = {same(name) for name in found.organizations.values()}
            names = [row["name"] for _, row in rows if same(row["name"]) not in there]
            taken = await _taken(cloud, names, report)
    found = await asyncio.to_thread(_known, reader, me, extensions, taken)
    return await asyncio.to_thread(judged, rows, found, wrong), found


def _known(
    reader: "Reader",
    me: str = "",
    extensions: frozenset[str] | None = None,
    taken: frozenset[str] | None = None,
) -> Known:
    with reader.reading() as connection:
        return known(connection, me=me, extensions=extensions, taken=taken)


async def _extensions(cloud: "Cloud", found: Known) -> frozenset[str] | None:
    """Those that exist; None when there is no organization to ask with, or none that lets us."""
    for oid in list(found.organizations)[:ASKED_WITH]:
        try:
            listed = await _answered(cloud.organization(oid).extension_definitions)
        except (Denied, Gone):
            continue
        return frozenset(str(each["name"]) for each in listed)
    return None


async def _answered(read: Callable[[], Awaitable[Result]]) -> Result:
    """What a reading says; an answer that cannot be read is asked for again."""
    for look in range(LOOKS - 1):
        try:
            return await read()
        except (Protocol, Unavailable) as error:
            await asyncio.sleep(error.retry_after or PAUSE * 2**look)
    return await read()


async def _taken(cloud: "Cloud", names: Sequence[str], report: Report | None) -> frozenset[str]:
    limit = asyncio.Semaphore(AT_ONCE)
    found: set[str] = set()
    asked = 0

    async def ask(name: str) -> None:
        nonlocal asked
        async with limit:
            if not await _answered(partial(cloud.name_available, name)):
                found.add(name)
        asked += 1
        if report is not None:
            report(Progress(asked, len(names), "names"))

    await all_of([ask(name) for name in names])
    return frozenset(found)
