"""Sync while everything goes wrong: nothing is lost or invented, and afterwards the store is as if nothing was."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlmodel import SQLModel

from console.limacharlie.client import Cloud, Deadlines
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import LimaCharlieError
from console.operations.sync import Outcome, Sync
from console.sandbox.faults import BODIES, Rule
from console.sandbox.server import Sandbox
from console.sandbox.world import World
from store.database import Store
from store.errors import StoreUnavailable
from store.secret import Secret
from tests.helpers.clocks import FastClock
from tests.helpers.dump import content
from tests.helpers.soak import rounds

NOW = 1_790_000_000
YEARS = 10 * 365 * 86_400
HASTY = Deadlines(connect=5.0, read=0.2, total=20.0)
BROKEN = sorted(
    # Of these a right answer is made, or an empty object is one.
    BODIES.keys() - {"surrogate", "infinity", "object", "strange object"}
)
PATHS = ("*", "*", "/?*", "/", "/v1/user/orgs", "/v1/insight/*", "/v1/hive/*", "/v1/orgs/*", "/v1/sensors/*")


def script(chance: Random, oids: list[str]) -> list[Rule]:
    """A few faults that come again and again."""

    def rule() -> Rule:
        where: dict[str, Any] = {
            "path": chance.choice(PATHS),
            "oid": chance.choice(["", "", *oids]),
            "count": chance.choice([1, 3, 20, None]),
            "nth": chance.randint(1, 12),
            "probability": chance.choice([0.1, 0.3, 0.6, 1.0]),
            "seed": chance.randrange(1 << 30),
        }
        match chance.choice(
            ["status", "status", "throttle", "drop", "truncate", "body", "redirect", "hang", "skew"]
        ):
            case "status":
                status = chance.choice([401, 403, 404, 409, 413, 500, 502, 503, 504])
                return Rule("status", status=status, effect=chance.random() < 0.5, **where)
            case "throttle":
                return Rule("throttle", seconds=chance.choice([None, 1, 30, 9_999]), **where)
            case "drop":
                return Rule("drop", effect=chance.random() < 0.5, **where)
            case "truncate":
                framing = chance.choice(["length", "chunked", "close"])
                kept = chance.choice([0, 1, -1, chance.randrange(2, 4_000), -chance.randrange(2, 200)])
                return Rule("truncate", bytes=kept, framing=framing, **where)
            case "body":
                return Rule("body", body=chance.choice(BROKEN), **where)
            case "redirect":
                return Rule("redirect", status=chance.choice([301, 302, 307, 308]), **where)
            case "hang":
                return Rule("hang", **where | {"count": 1})
            case _:
                return Rule("skew", seconds=chance.choice([-1e7, -3_600, 3_600, 1e7]), **where)

    # The last one makes sure that there is trouble.
    often = Rule(
        "status", status=503, path="/?*", count=None, probability=0.2, seed=chance.randrange(1 << 30)
    )
    return [*(rule() for _ in range(chance.randint(2, 6))), often]


def taken_for_gone(store: Store) -> int:
    """How many rows say that something is there no more, or was another thing before.

    A group of which only an organization's listing told, until it was read itself, was known in part.
    """
    tables = SQLModel.metadata.tables
    former = tables["access_former"].c
    in_part = select(func.count()).where(former.kind == "group", former.complete.is_(False))
    with store.reader.reading() as connection:
        gone = sum(
            connection.execute(select(func.count()).where(table.c[name].is_not(None))).scalar_one()
            for table in tables.values()
            for name in ("gone_at", "valid_to")
            if name in table.columns
        )
        return gone - int(connection.execute(in_part).scalar_one())


async def sync(served: Sandbox, store: Store, *, full: bool = False) -> Outcome | LimaCharlieError:
    """One run; what it came to, or the error that ended it."""
    root = served.world.access.users[served.world.access.root]
    key = UserKey(root.uid, Secret(root.api_key))
    async with Cloud(key, Endpoint.single(served.url), deadlines=HASTY, clock=FastClock()) as cloud:
        try:
            return await Sync(store=store, cloud=cloud, redaction_key=b"k" * 32, since=YEARS, full=full).run()
        except LimaCharlieError as error:
            return error


async def survived(seed: int, store: Store, calm: Store) -> None:
    """Fill one store in peace and another one among faults; they must become the same."""
    chance = Random(seed)
    served = Sandbox(World(seed=5, orgs=4, detections=160, now_ms=NOW * 1000))
    await served.start()
    try:
        await sync(served, calm)
        expected = content(calm)
        assert len(expected["detection"]) > 50
        assert len(expected["configuration_record"]) > 30
        oids = [each.oid for each in served.world.organizations]
        applied = 0
        for _ in range(2):
            served.faults.add(*script(chance, oids))
            await sync(served, store)
            applied += sum(each["applied"] for each in served.faults.listed())
            served.faults.clear()
            assert taken_for_gone(store) == taken_for_gone(calm), seed
        assert applied, seed
        await sync(served, store)
        found = content(store)
        for table, rows in expected.items():
            assert found[table] == rows, (seed, table)
    finally:
        await served.stop()


@pytest.mark.parametrize("seed", range(3))
async def test_after_the_faults_the_store_is_as_if_there_had_been_none(
    seed: int, a_store: Callable[..., Store]
) -> None:
    await survived(seed, a_store("rough"), a_store("calm"))


@pytest.mark.soak
async def test_after_any_faults_the_store_is_as_if_there_had_been_none(a_store: Callable[..., Store]) -> None:
    for seed in rounds(0.1):
        await survived(seed, a_store(f"rough-{seed}"), a_store(f"calm-{seed}"))


async def test_what_a_store_holds_outlives_every_fault_that_never_ends(a_store: Callable[..., Store]) -> None:
    store = a_store()
    served = Sandbox(World(seed=5, orgs=3, detections=60, now_ms=NOW * 1000))
    await served.start()
    try:
        await sync(served, store)
        before = content(store)
        for rule in (
            *(
                Rule("status", status=status, count=None, path="/?*")
                for status in (401, 403, 404, 409, 413, 500)
            ),
            *(
                Rule("body", body=body, count=None, path="/?*")
                for body in ("html", "empty", "null", "list", "half")
            ),
            Rule("truncate", bytes=-1, framing="close", count=None, path="/?*"),
            Rule("drop", count=None, path="/?*"),
            Rule("status", status=401, count=None, path="/"),
        ):
            served.faults.add(rule)
            ended = await sync(served, store, full=True)
            served.faults.clear()
            assert isinstance(ended, LimaCharlieError) or ended.failed, rule.name
            after = content(store)
            for table in before.keys() - {"sync_state", "job"}:
                assert after[table] == before[table], (rule.name, table)
    finally:
        await served.stop()


async def test_a_disk_that_is_full_is_told_as_that(tmp_path: Path) -> None:
    served = Sandbox(World(seed=5, orgs=4, detections=160, now_ms=NOW * 1000))
    await served.start()
    try:
        with closing(Store(f"sqlite:///{tmp_path / 'store.db'}")) as store:
            # What one more page is refused with is what SQLite says where the disk has none.
            raw = store._engine.raw_connection()
            used = raw.cursor().execute("PRAGMA page_count").fetchone()[0]
            raw.cursor().execute(f"PRAGMA max_page_count = {used + 2}")
            raw.close()

            with pytest.raises(StoreUnavailable, match="cannot be used: the disk is full"):
                await sync(served, store)
    finally:
        await served.stop()
