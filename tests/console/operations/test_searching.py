"""LCQL over several organizations, over a real socket, against the sandbox in this process."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations import searching
from console.sandbox.faults import Rule
from store import searches as written
from store.database import Store
from store.lcql import Question
from store.models import Journal, LcqlRow
from store.queries.searches import answers, results, searches
from store.secret import Secret
from store.times import now_ms
from tests.helpers.sandboxes import sandbox

QUERY = "plat == windows | NEW_PROCESS | event/FILE_PATH contains 'exe'"


def question(query: str = QUERY, hours: float = 1, **more: Any) -> Question:
    now = int(time.time())
    return Question(query, now - int(hours * 3600), now, scope="Europe/Gold", **more)


@asynccontextmanager
async def provider(orgs: int = 4, **options: Any) -> AsyncIterator[tuple[Any, Cloud, dict[str, str]]]:
    async with sandbox(orgs=orgs, detections=40, **options) as served:
        world = served.world
        names = {one.oid: one.name for one in world.organizations if one is not world.unauthorized}
        user = world.access.users[world.access.root]
        key = UserKey(user.uid, Secret(user.api_key))
        async with Cloud(key, Endpoint.single(served.url)) as cloud:
            yield served, cloud, names


async def test_the_price_is_known_before_anything_runs_and_whoever_cannot_be_asked_is_named() -> None:
    async with provider(orgs=7) as (served, cloud, names):
        refusing = served.world.unauthorized
        told = []
        found = await searching.estimate(
            cloud, question(), names | {refusing.oid: refusing.name}, report=told.append
        )
        assert not any("GET /v1/search/{queryId}" in each for each in served.log.endpoints())
        assert served.log.endpoints().get("POST /v1/search", 0) == 0, "an estimate runs nothing"
    assert [quote.oid for quote in found.able] == list(names)
    assert [(quote.oid, bool(quote.error)) for quote in found.failed] == [(refusing.oid, True)]
    assert found.totals["USD cents"] == pytest.approx(sum(quote.price or 0 for quote in found.able))
    assert found.totals["USD cents"] > 0
    assert found.mistake == ""
    assert f"over {len(names)} of {len(names) + 1} organizations" in found.words()
    assert (told[-1].done, told[-1].total) == (len(names) + 1, len(names) + 1)


async def test_a_query_that_is_none_is_a_mistake_and_no_failure_of_organizations() -> None:
    async with provider() as (_served, cloud, names):
        found = await searching.estimate(
            cloud, question("* | NEW_PROCESS | event/FILE_PATH contains 'a"), names
        )
    assert "bad query" in found.mistake
    assert found.able == ()


async def test_every_organization_answers_and_each_row_is_its_own(store: Store) -> None:
    async with provider() as (_served, cloud, names):
        agreed = await searching.estimate(cloud, question(most=30), names)
        search_id = searching.record(store, agreed, operator="mk")
        ended = await searching.run_stored(cloud, agreed, search_id, store=store)
    assert {answer.oid: answer.state for answer in ended} == dict.fromkeys(names, "done")
    assert all(0 < answer.rows <= 30 for answer in ended)
    assert all(answer.scanned > 0 for answer in ended)
    with store.reader.reading() as connection:
        (search,) = searches(connection, now=now_ms())
        found = answers(connection, search_id)
        rows = results(connection, search_id, limit=1000)
    assert (search.state, search.rows, search.by) == ("done", sum(answer.rows for answer in ended), "mk")
    assert {each.oid: each.rows for each in found} == {each.oid: each.rows for each in ended}
    assert all(each.price for each in found)
    assert len(rows) == search.rows
    assert [row.time for row in rows] == sorted((row.time for row in rows), reverse=True)
    for row in rows:
        record = json.loads(row.body)
        assert record["data"]["routing"]["oid"] == row.oid
        assert names[row.oid] == row.organization
        assert row.words.kind == "NEW_PROCESS"
        assert row.words.host == record["data"]["routing"]["hostname"]
    entry = _journal(store)[0]
    assert (entry.action, entry.target) == ("search.run", "Europe/Gold")
    assert entry.detail["query"] == QUERY
    assert sorted(entry.detail["organizations"]) == sorted(names)


async def test_pages_of_results_go_on_where_the_last_one_ended(store: Store) -> None:
    async with provider() as (_served, cloud, names):
        agreed = await searching.estimate(cloud, question(most=40), names)
        search_id = searching.record(store, agreed, operator="mk")
        await searching.run_stored(cloud, agreed, search_id, store=store)
    with store.reader.reading() as connection:
        everything = [row.id for row in results(connection, search_id, limit=1000)]
        paged: list[int] = []
        last = None
        while page := results(connection, search_id, after=last, limit=7):
            paged += [row.id for row in page]
            last = (page[-1].time, page[-1].id)
        assert paged == everything
        middle = results(connection, search_id, limit=20)[-1]
        key = (middle.time, middle.id)
        assert [row.id for row in results(connection, search_id, before=key, limit=5)] == everything[14:19]
        assert results(connection, search_id, starting=key, limit=1)[0].id == middle.id
        assert [row.id for row in results(connection, search_id, backwards=True, limit=3)] == everything[-3:]
        one = next(iter(names))
        assert {row.oid for row in results(connection, search_id, oid=one, limit=1000)} == {one}


async def test_one_that_fails_in_the_middle_is_named_and_the_others_are_whole(a_store: Any) -> None:
    store = a_store()
    async with provider() as (served, cloud, names):
        agreed = await searching.estimate(cloud, question(most=20), names)
        broken = next(iter(names))
        served.faults.add(
            Rule("status", status=400, path="/v1/search", method="POST", count=1, body="no \x1b[2J")
        )
        search_id = searching.record(store, agreed, operator="mk")
        ended = await searching.run_stored(cloud, agreed, search_id, store=store)
    failed = [answer for answer in ended if answer.state == "failed"]
    assert len(failed) == 1
    assert failed[0].error
    assert broken in names
    assert all(answer.rows for answer in ended if answer.state == "done")
    with store.reader.reading() as connection:
        first = answers(connection, search_id)[0]
    assert (first.oid, first.state, first.error) == (failed[0].oid, "failed", failed[0].error)


async def test_a_search_is_ended_through_the_store_and_in_the_cloud_too(store: Store) -> None:
    async with provider() as (served, cloud, names):
        agreed = await searching.estimate(cloud, question(hours=24, most=100_000), names)
        served.faults.add(Rule("hang", path="/v1/search/{queryId}", method="GET", count=None))
        search_id = searching.record(store, agreed, operator="mk")
        running = asyncio.ensure_future(searching.run_stored(cloud, agreed, search_id, store=store))
        while len(served.world.searches._open) < len(names):
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(searching.end, store, search_id)
        assert await running == []
        served.faults.clear()
        assert served.world.searches._open == {}, "what nobody waits for any more is not billed on"
        assert not await asyncio.to_thread(searching.end, store, search_id)
    with store.reader.reading() as connection:
        assert [each.state for each in searches(connection, now=now_ms())] == ["cancelled"]
        assert {each.state for each in answers(connection, search_id)} == {"cancelled"}


async def test_one_whose_console_is_gone_is_called_interrupted(store: Store) -> None:
    async with provider() as (_served, cloud, names):
        agreed = await searching.estimate(cloud, question(), names)
    searching.record(store, agreed, operator="mk")
    with store.reader.reading() as connection:
        assert searches(connection, now=now_ms())[0].state == "running"
        assert searches(connection, now=now_ms() + 120_000)[0].state == "interrupted"


async def test_no_more_rows_are_kept_than_were_asked_for() -> None:
    async with provider() as (_served, cloud, names):
        agreed = await searching.estimate(cloud, question(most=5), names)
        kept = searching.Gathered()
        ended = await searching.run(cloud, agreed, kept, most_of_all=12)
    assert all(answer.rows <= 5 for answer in ended)
    assert sum(map(len, kept.found.values())) <= 12
    assert any(answer.cut for answer in ended)


async def test_what_was_counted_has_the_columns_that_the_query_named(a_store: Any) -> None:
    store = a_store()
    query = "plat == windows | NEW_PROCESS | / exists | event/FILE_PATH as path COUNT(event) as times GROUP BY(path)"
    async with provider() as (_served, cloud, names):
        agreed = await searching.estimate(cloud, question(query), names)
        if agreed.mistake:
            pytest.fail(agreed.mistake)
        search_id = searching.record(store, agreed, operator="mk")
        await searching.run_stored(cloud, agreed, search_id, store=store)
    with store.reader.reading() as connection:
        (search,) = searches(connection, now=now_ms())
        rows = results(connection, search_id, limit=5)
    assert search.columns == ("path", "times")
    assert set(rows[0].words.cells) == {"path", "times"}


async def test_only_the_newest_searches_are_kept_with_their_rows(store: Store) -> None:
    async with provider() as (_served, cloud, names):
        agreed = await searching.estimate(cloud, question(), names)
    for _ in range(written.KEPT + 3):
        search_id = searching.record(store, agreed, operator="mk")
        with store.writing() as connection:
            written.put_rows(connection, search_id, next(iter(names)), [{"data": {"a": 1}, "mtd": {}}])
            written.finish(connection, search_id, cancelled=False, now=now_ms())
    with store.reader.reading() as connection:
        assert len(searches(connection, now=now_ms(), limit=100)) == written.KEPT
        table = LcqlRow.__table__  # type: ignore[attr-defined]
        assert len(connection.execute(select(table.c.id)).all()) == written.KEPT


async def test_a_store_that_cannot_be_written_ends_the_search_and_says_so(a_store: Any) -> None:
    store = a_store()
    async with provider() as (_served, cloud, names):
        agreed = await searching.estimate(cloud, question(most=5), names)

        class Broken(searching.Gathered):
            async def rows(self, oid: str, rows: Any) -> None:
                raise OSError("the disk is full")

        with pytest.raises(OSError, match="full"):
            await searching.run(cloud, agreed, Broken())
    assert store.dialect == "sqlite"


def _journal(store: Store) -> list[Any]:
    table = Journal.__table__  # type: ignore[attr-defined]
    with store.reader.reading() as connection:
        return list(connection.execute(select(table).order_by(table.c.seq)))
