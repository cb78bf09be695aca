"""Bulk changes, planned: what is looked up, what is left out, and that nothing is changed by it."""

import pytest
from sqlalchemy import update

from console.limacharlie.client import Deadlines
from console.limacharlie.errors import Network
from console.operations import bulk
from console.operations.runs import Refused
from console.sandbox.faults import Rule
from store import ingest, models, runs
from store.bulk import select, wish
from store.times import now_ms
from tests.helpers.bulk import Customers, client, customers


def chosen(found: Customers) -> object:
    with found.store.reader.reading() as c:
        return select(c, now=now_ms(), source="all")


async def test_sensors_are_looked_up_where_they_are_and_who_refuses_is_left_out(a_store) -> None:
    async with customers(a_store(), orgs=6) as found:
        closed = found.served.world.unauthorized
        told = []
        drafted = await bulk.draft(
            wish("tag", {"tag": "blue", "selector": "plat == linux"}),
            chosen(found),
            cloud=found.cloud,
            report=lambda progress: told.append(progress.done),
        )
        names = {one.oid: one for one in found.organizations}
        for item in drafted.planned.items:
            sids = {step.target for step in item.steps}
            linux = {
                s.sid for s in found.served.world.sensors_of(names[item.oid]) if s.platform == 0x20000000
            }
            assert sids == linux
            assert {step.arguments["tag"] for step in item.steps} == {"blue"}
            assert not any(step.needed for step in item.steps)
        assert [each.oid for each in drafted.left_out] == [closed.oid]
        assert "unauthorized" in drafted.left_out[0].reason
        assert drafted.planned.options["left_out"][0][:2] == [closed.oid, closed.name]
        assert len(drafted.planned.items) + len(drafted.nothing) + 1 == len(found.served.world.organizations)
        assert told[-1] == len(found.served.world.organizations)
        assert not found.effects()


async def test_keys_are_found_by_name_or_by_hash(a_store) -> None:
    async with customers(a_store(), orgs=3) as found:
        one = found.organizations[0]
        key = next(iter(found.served.world.access.keys(one)))
        for wanted in (key.name, key.key_hash):
            drafted = await bulk.draft(wish("revoke-key", {"key": wanted}), chosen(found), cloud=found.cloud)
            steps = [step for item in drafted.planned.items for step in item.steps]
            assert key.key_hash in {step.target for step in steps}
            assert {step.arguments["name"] for step in steps} == {key.name}


async def test_what_needs_no_look_is_planned_without_a_cloud_and_what_does_is_refused(a_store) -> None:
    async with customers(a_store(), orgs=3) as found:
        drafted = await bulk.draft(wish("quota", {"quota": "5"}), chosen(found), cloud=None)
        assert [len(item.steps) for item in drafted.planned.items] == [1, 1, 1]
        with pytest.raises(Refused, match="offline"):
            await bulk.draft(wish("tag", {"tag": "x", "selector": "*"}), chosen(found), cloud=None)


async def test_one_that_does_not_answer_in_time_is_left_out_and_stops_no_other(a_store) -> None:
    async with customers(a_store(), orgs=3) as found:
        oid = found.organizations[0].oid
        found.served.faults.add(Rule("drop", method="GET", path="/v1/sensors/{oid}", oid=oid, count=None))
        async with client(found.served, deadlines=Deadlines(retries=0)) as cloud:
            drafted = await bulk.draft(wish("tag", {"tag": "x", "selector": "*"}), chosen(found), cloud=cloud)
        assert [each.oid for each in drafted.left_out] == [oid]
        assert len(drafted.planned.items) + len(drafted.nothing) == 2


async def test_a_cloud_that_is_away_plans_nothing(a_store) -> None:
    async with customers(a_store(), orgs=3) as found:
        found.served.faults.add(Rule("drop", method="GET", path="/v1/sensors/{oid}", count=None))
        async with client(found.served, deadlines=Deadlines(retries=0)) as cloud:
            with pytest.raises(Network):
                await bulk.draft(wish("tag", {"tag": "x", "selector": "*"}), chosen(found), cloud=cloud)


async def test_a_quota_is_planned_with_what_the_store_knows_of_it(a_store) -> None:
    async with customers(a_store(), orgs=3) as found:
        first, second, third = [one.oid for one in found.organizations][:3]
        table = models.Organization.__table__
        with found.store.writing() as c:
            for oid, quota, used in ((first, 40, 12.5), (second, 500, 312.0), (third, None, None)):
                c.execute(update(table).where(table.c.oid == oid).values(sensor_quota=quota, quota_used=used))
            failed = {"failure": "denied", "reason": "This key may not."}
            ingest.put_sync_state(c, first, "detections", attempted_at=now_ms(), **failed)

        drafted = await bulk.draft(wish("quota", {"quota": "250"}), chosen(found), cloud=None)

        items = {item.oid: item for item in drafted.planned.items}
        said = {
            oid: str(runs.change_words(step.verb, step.target, step.arguments, item.options))
            for oid, item in items.items()
            for step in item.steps
        }
        assert said[first] == "quota 40 -> 250"
        assert said[second] == "quota 500 -> 250, 312 in use"
        assert said[third] == "quota unknown -> 250"
        assert [each.oid for each in drafted.above] == [second]
        assert {each.oid for each in drafted.unread} == {first, third}
        assert {oid for oid, item in items.items() if item.options[runs.HELD]["unread"]} == {first, third}
        # It is kept and begun as it was planned, on either database.
        result = await found.apply(found.keep(drafted.planned))
        assert result.whole
