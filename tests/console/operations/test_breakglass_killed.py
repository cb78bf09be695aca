"""Consoles that are killed at every point while they give or take break-glass: it ends on time, and once."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from console.operations import accessplans, breakglass, deadlines
from store import breakglass as glasses
from store.database import Store
from store.times import now_ms
from tests.helpers.accessplans import Provider, provider, root_key
from tests.helpers.sandboxes import ROOT

HOUR = 3_600_000
MEMBERS = "/v1/groups/{gid}/users"

Kill = Callable[..., Awaitable[dict[str, Any]]]


@asynccontextmanager
async def killed(there: Provider) -> AsyncIterator[Kill]:
    """A process that does what it is asked in forks that die."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.helpers.glasses",
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    key = root_key(there.served)
    where = {
        "store": there.store.url,
        "url": there.served.url,
        "uid": key.uid,
        "api_key": key.secret.reveal(),
    }

    async def run(**asked: Any) -> dict[str, Any]:
        process.stdin.write(json.dumps(where | asked).encode() + b"\n")  # type: ignore[union-attr]
        answer: dict[str, Any] = json.loads(await process.stdout.readline())  # type: ignore[union-attr]
        assert not answer["failed"], asked
        return answer

    try:
        yield run
    finally:
        process.stdin.close()
        await process.wait()


def sent(there: Provider, method: str) -> int:
    """How often a membership was changed."""
    entries = there.served.log.entries
    return sum(1 for each in entries if (each.method, each.template, each.effect) == (method, MEMBERS, True))


def going_on(store: Store) -> list[glasses.Glass]:
    with store.reader.reading() as connection:
        return glasses.listed(connection, only_open=True)


async def settle(there: Provider, now: int) -> None:
    """What the next console does, as often as it would."""
    for turn in range(5):
        await deadlines.due(there.store, there.cloud, now + turn * 400_000)
        if not going_on(there.store):
            return


@pytest.mark.parametrize("resumed", [False, True], ids=["at its end", "meanwhile as well"])
async def test_whatever_kills_the_giving_it_is_taken_back_once(a_store: Any, resumed: bool) -> None:
    store: Store = a_store()
    async with provider(store) as there, killed(there) as run:
        group = next(each for each in there.groups if each.name == "Active Responders")
        who = next(email for email in there.served.world.access.users if email not in group.members)
        now, after, given = now_ms(), 0, 0
        while True:
            after += 1
            now += 3 * HOUR
            adds, removes = sent(there, "POST"), sent(there, "DELETE")
            done = await run(
                role="start", after=after, gid=group.gid, group=group.name, principal=who, lasts=HOUR, now=now
            )
            if who in group.members:
                (glass,) = going_on(store)
                assert glass.due_at == now + HOUR, "what is given has its end written down"
            if resumed:
                await accessplans.resume(store, there.cloud)
            await settle(there, now + HOUR)
            assert who not in group.members, f"killed at point {after}"
            assert not going_on(store)
            assert sent(there, "DELETE") - removes == sent(there, "POST") - adds <= 1, f"point {after}"
            given += sent(there, "POST") - adds
            if not done["killed"]:
                break
        assert after > 20, "it was killed at many points"
        assert given > 5


async def test_whatever_kills_the_taking_it_is_taken_back_once(a_store: Any) -> None:
    store: Store = a_store()
    async with provider(store) as there, killed(there) as run:
        group = next(each for each in there.groups if each.name == "Active Responders")
        who = next(email for email in there.served.world.access.users if email not in group.members)
        now, after = now_ms(), 0
        while True:
            after += 1
            now += 3 * HOUR
            removes = sent(there, "DELETE")
            await breakglass.start(
                group.gid, who, reason="r", ticket="t", lasts=HOUR, store=store, cloud=there.cloud,
                operator="ada", confirm=(group.name,), clock=lambda at=now: at,
            )  # fmt: skip
            assert who in group.members
            done = await run(role="due", after=after, now=now + HOUR)
            if after % 2:
                await accessplans.resume(store, there.cloud)
            await settle(there, now + HOUR + 1)
            assert who not in group.members, f"killed at point {after}"
            assert not going_on(store)
            assert sent(there, "DELETE") - removes == 1, f"killed at point {after}"
            if not done["killed"]:
                break
        assert after > 20


async def test_of_two_processes_that_find_it_due_at_once_one_takes_it_back(store: Store) -> None:
    async with provider(store) as there, killed(there) as one, killed(there) as other:
        group = next(each for each in there.groups if each.name == "Active Responders")
        who = next(email for email in there.served.world.access.users if email not in group.members)
        now = now_ms()
        for _ in range(8):
            now += 3 * HOUR
            removes = sent(there, "DELETE")
            await breakglass.start(
                group.gid, who, reason="r", ticket="t", lasts=HOUR, store=store, cloud=there.cloud,
                operator="ada", confirm=(group.name,), clock=lambda at=now: at,
            )  # fmt: skip
            await asyncio.gather(*(run(role="due", after=0, now=now + HOUR) for run in (one, other)))
            assert not going_on(store)
            assert who not in group.members
            assert sent(there, "DELETE") - removes == 1
