"""What is done to a machine, over a real socket, against the sandbox in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select, update

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import OrganizationKey, UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import Gone, LimaCharlieError
from console.operations import respond
from console.sandbox.faults import Rule
from store import ingest
from store.database import Store
from store.models import Journal, Sensor
from store.queries.scopes import ORGANIZATION
from store.queries.sensors import card as stored_card
from store.queries.sensors import find_sensors
from store.secret import Secret
from store.times import now_ms
from store.tree import TreeNode, replace_tree
from tests.helpers.sandboxes import sandbox


def _root(served: Any) -> UserKey:
    user = served.world.access.users[served.world.access.root]
    return UserKey(user.uid, Secret(user.api_key))


@asynccontextmanager
async def provider(store: Store, **options: Any) -> AsyncIterator[tuple[Any, Cloud]]:
    async with sandbox(orgs=3, detections=60, **options) as served:
        with store.writing() as connection:
            ingest.put_organizations(
                connection,
                [{"oid": one.oid, "name": one.name} for one in served.world.organizations],
                complete=True,
                now=now_ms(),
            )
        async with Cloud(_root(served), Endpoint.single(served.url)) as cloud:
            yield served, cloud


def somebody(served: Any, *, online: bool = True, organization: int = 1) -> tuple[str, Any]:
    one = served.world.organizations[organization]
    for sensor in served.world.sensors_of(one):
        if (sensor.silent == 0) is online and not sensor.isolated and sensor.platform == 0x10000000:
            return one.oid, sensor
    raise AssertionError("no such sensor")


def journal(store: Store) -> list[Any]:
    table = Journal.__table__  # type: ignore[attr-defined]
    with store.reader.reading() as connection:
        return list(connection.execute(select(table).order_by(table.c.seq)))


async def no_pause(_seconds: float) -> None:
    """Look again at once."""


async def test_the_card_says_what_the_cloud_says_and_keeps_it(store: Store) -> None:
    async with provider(store) as (served, cloud):
        oid, sensor = somebody(served)
        found = await respond.card(oid, sensor.sid, reader=store.reader, cloud=cloud, store=store)
    assert (found.hostname, found.online, found.live, found.trouble) == (sensor.hostname, True, True, "")
    assert (found.platform, found.wanted, found.isolated) == ("windows", False, False)
    assert {str(tag.name) for tag in found.tags} == set(sensor.tags)
    assert found.alive is not None
    assert found.as_of is not None
    with store.reader.reading() as connection:
        kept = stored_card(connection, oid, sensor.sid)
    assert kept.hostname == sensor.hostname
    assert kept.online is None, "the store cannot know who is online now"


async def test_without_the_cloud_the_card_is_as_old_as_the_store(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid, sensor = somebody(served)
        await respond.card(oid, sensor.sid, reader=one_store.reader, cloud=cloud, store=one_store)
    offline = await respond.card(oid, sensor.sid, reader=one_store.reader, cloud=None)
    assert (offline.live, offline.hostname, offline.isolated) == (False, sensor.hostname, False)
    with pytest.raises(Gone):
        await respond.card(oid, "00000000-0000-4000-8000-000000000000", reader=one_store.reader, cloud=None)


async def test_an_isolation_is_read_back_confirmed_and_journalled(store: Store) -> None:
    async with provider(store) as (served, cloud):
        oid, sensor = somebody(served)
        done = await respond.isolate(
            oid, sensor.sid, store=store, cloud=cloud, typed=f" {sensor.hostname} ", reason="ransomware"
        )
        assert served.world.fleet.of(served.world.organizations[1], sensor.index).isolated is True
        again = await respond.isolate(oid, sensor.sid, store=store, cloud=cloud, typed=sensor.hostname)
        back = await respond.isolate(
            oid, sensor.sid, store=store, cloud=cloud, typed=sensor.sid, isolate=False
        )
    assert (done.outcome, done.card.wanted, done.card.isolated) == ("confirmed", True, True)
    assert again.outcome == "already"
    assert (back.outcome, back.card.isolated) == ("confirmed", False)
    entries = [(each.action, each.detail["step"], each.oid, each.target) for each in journal(store)]
    assert entries == [
        (action, step, oid, sensor.hostname)
        for action in ("sensor.isolate", "sensor.rejoin")
        for step in ("intent", "result")
    ]
    first, second = journal(store)[:2]
    assert first.detail["before"] == {"wanted": False, "isolated": False, "reason": "ransomware"}
    assert second.detail["intent"] == first.seq
    assert second.detail["outcome"] == "confirmed"
    with store.reader.reading() as connection:
        table = Sensor.__table__  # type: ignore[attr-defined]
        kept = connection.execute(select(table.c.isolated).where(table.c.sid == sensor.sid)).scalar_one()
    assert kept is False


async def test_a_machine_that_is_offline_was_asked_and_has_not_confirmed(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid, sensor = somebody(served, online=False)
        done = await respond.isolate(
            oid, sensor.sid, store=one_store, cloud=cloud, typed=sensor.hostname, pause=no_pause
        )
    assert (done.outcome, done.card.wanted, done.card.isolated) == ("asked", True, False)
    assert "offline" in done.sentence


@pytest.mark.parametrize("typed", ["", "  ", "some-other-host"])
async def test_another_name_sends_nothing(one_store: Store, typed: str) -> None:
    async with provider(one_store) as (served, cloud):
        oid, sensor = somebody(served)
        with pytest.raises(respond.WrongName, match="Nothing was sent"):
            await respond.isolate(oid, sensor.sid, store=one_store, cloud=cloud, typed=typed)
        assert served.world.fleet.of(served.world.organizations[1], sensor.index) is None
    assert journal(one_store) == []


async def test_a_protected_organization_is_named_as_well(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid, sensor = somebody(served)
        name = served.world.organizations[1].name
        with one_store.writing() as connection:
            replace_tree(
                connection,
                [
                    TreeNode("root", None, "All", marks=("protected",)),
                    TreeNode("one", "root", name, oid),
                ],
            )
        with pytest.raises(respond.WrongName, match="protected"):
            await respond.isolate(oid, sensor.sid, store=one_store, cloud=cloud, typed=sensor.hostname)
        done = await respond.isolate(
            oid, sensor.sid, store=one_store, cloud=cloud, typed=sensor.hostname, organization=name
        )
    assert done.outcome == "confirmed"


async def test_a_protected_organization_without_a_name_is_named_by_its_id(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid, sensor = somebody(served)
        with one_store.writing() as connection:
            replace_tree(connection, [TreeNode("one", None, "One", oid, marks=("protected",))])
            connection.execute(update(ORGANIZATION).where(ORGANIZATION.c.oid == oid).values(name=" "))
        with pytest.raises(respond.WrongName, match="protected"):
            await respond.isolate(oid, sensor.sid, store=one_store, cloud=cloud, typed=sensor.hostname)
        done = await respond.isolate(
            oid, sensor.sid, store=one_store, cloud=cloud, typed=sensor.hostname, organization=oid
        )
    assert done.outcome == "confirmed"


async def test_a_key_without_the_permission_is_told_which_one_and_the_refusal_is_journalled(
    one_store: Store,
) -> None:
    async with provider(one_store) as (served, _root_cloud):
        oid, sensor = somebody(served)
        key = served.world.access.make_key(
            served.world.organizations[1], "reader", ("sensor.get", "sensor.list"), "root", ""
        )
        async with Cloud(OrganizationKey(oid, Secret(key.secret)), Endpoint.single(served.url)) as cloud:
            with pytest.raises(respond.NotAllowed, match=r"sensor\.task"):
                await respond.isolate(oid, sensor.sid, store=one_store, cloud=cloud, typed=sensor.hostname)
            with pytest.raises(respond.NotAllowed, match=r"sensor\.tag"):
                await respond.tag(oid, sensor.sid, "seen", store=one_store, cloud=cloud)
    assert [entry.detail.get("outcome") for entry in journal(one_store)] == [None, "denied", None, "denied"]


async def test_an_order_whose_answer_is_lost_is_sent_once_and_read_back(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid, sensor = somebody(served)
        served.faults.add(Rule("drop", method="POST", path="*/isolation", effect=True))
        done = await respond.isolate(
            oid, sensor.sid, store=one_store, cloud=cloud, typed=sensor.hostname, pause=no_pause
        )
        sent = [each for each in served.log.entries if each.template.endswith("/isolation")]
    assert done.outcome == "confirmed", "what was read back decides, not the lost answer"
    assert len(sent) == 1


async def test_tags_are_set_taken_and_not_sent_twice(store: Store) -> None:
    async with provider(store) as (served, cloud):
        oid, sensor = somebody(served)
        done = await respond.tag(oid, sensor.sid, " under-watch ", store=store, cloud=cloud)
        again = await respond.tag(oid, sensor.sid, "under-watch", store=store, cloud=cloud)
        gone = await respond.tag(oid, sensor.sid, "under-watch", store=store, cloud=cloud, remove=True)
        absent = await respond.tag(oid, sensor.sid, "under-watch", store=store, cloud=cloud, remove=True)
        with pytest.raises(respond.Refused, match="comma"):
            await respond.tag(oid, sensor.sid, "a,b", store=store, cloud=cloud)
    assert [each.outcome for each in (done, again, gone, absent)] == ["done", "already", "done", "already"]
    assert "under-watch" in {str(each.name) for each in done.card.tags}
    assert [entry.action for entry in journal(store)] == ["sensor.tag"] * 2 + ["sensor.untag"] * 2


async def test_a_cloud_that_is_away_gives_the_stored_card_with_its_reason(one_store: Store) -> None:
    async with provider(one_store) as (served, cloud):
        oid, sensor = somebody(served)
        await respond.card(oid, sensor.sid, reader=one_store.reader, cloud=cloud, store=one_store)
        await served.stop()
        found = await respond.card(oid, sensor.sid, reader=one_store.reader, cloud=cloud, store=one_store)
        assert (found.live, found.hostname) == (False, sensor.hostname)
        assert found.trouble
        with pytest.raises(LimaCharlieError):
            await respond.isolate(oid, sensor.sid, store=one_store, cloud=cloud, typed=sensor.hostname)
    assert journal(one_store) == []


def test_a_host_of_terminal_codes_is_named_as_it_is_shown(one_store: Store) -> None:
    with one_store.writing() as connection:
        ingest.put_organizations(connection, [{"oid": "o", "name": "Acme"}], complete=True, now=now_ms())
        ingest.put_sensors(connection, "o", [{"sid": "s-1", "hostname": "WS-\x1b[31mX\u202e"}])
    with one_store.reader.reading() as connection:
        found = stored_card(connection, "o", "s-1")
    assert respond.names_it(found, "WS-\\x1b[31mX\\u202e")
    assert respond.names_it(found, "s-1")
    assert not respond.names_it(found, "WS-")


def test_a_sensor_is_found_by_its_id_and_by_its_name_case_aside(store: Store) -> None:
    with store.writing() as connection:
        ingest.put_organizations(
            connection,
            [{"oid": "o", "name": "Acme"}, {"oid": "p", "name": "Bor"}],
            complete=True,
            now=now_ms(),
        )
        for oid in ("o", "p"):
            ingest.put_sensors(
                connection,
                oid,
                [{"sid": f"{oid}-1", "hostname": "Web"}, {"sid": f"{oid}-2", "hostname": "db"}],
            )
    with store.reader.reading() as connection:
        assert [row.sid for row in find_sensors(connection, "Web")] == ["o-1", "p-1"]
        assert [row.sid for row in find_sensors(connection, "WEB", oids=["p"])] == ["p-1"]
        assert [row.sid for row in find_sensors(connection, "P-2")] == ["p-2"]
        assert find_sensors(connection, "nothing") == []
        assert find_sensors(connection, "  ") == []


def test_the_card_names_the_newest_alerts_of_its_sensor_closed_ones_too(store: Store) -> None:
    from console.operations import triage
    from store.triage import Selection
    from tests.helpers.screens import NOW, detection, fill, oid_of

    own = "7c1f9a2e-0b3c-4d5e-8f60-000000000777"

    def of(number: int, sid: str) -> bytes:
        routing = {"oid": oid_of(0), "sid": sid, "hostname": "shared-name", "event_type": "NEW_PROCESS"}
        return detection(number, oid_of(0), at=NOW - number * 1000, routing=routing)

    fill(store, extra=[(oid_of(0), of(700 + n, own if n % 2 else "another")) for n in range(20)])
    with store.writing() as connection:
        ingest.put_sensors(connection, oid_of(0), [{"sid": own, "hostname": "shared-name"}])
    with store.reader.reading() as connection:
        before = stored_card(connection, oid_of(0), own)
    assert before.open_alerts == 10
    assert {str(row.sid) for row in before.alerts} == {own}
    assert [row.time for row in before.alerts] == sorted((row.time for row in before.alerts), reverse=True)
    triage.close(store, "mk", Selection(ids=(before.alerts[0].id,)), 2, now=NOW)
    with store.reader.reading() as connection:
        after = stored_card(connection, oid_of(0), own)
    assert after.open_alerts == 9
    assert (after.alerts[0].id, after.alerts[0].status) == (before.alerts[0].id, 3)
