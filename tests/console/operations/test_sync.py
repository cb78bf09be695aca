"""Sync over a real socket, against the sandbox in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import func, select

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import OrganizationKey, UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import Auth
from console.operations.ports import Progress
from console.operations.sync import OVERLAP, Outcome, Progressing, Range, Sync, _plan, fingerprint
from console.operations.watching import watch
from store.database import Change, Store
from store.models import ConfigurationBody, ConfigurationRecord, Detection, SyncRun, SyncState
from store.months import day_of
from store.queries import activity, organizations
from store.queries.sensordays import sensor_days
from store.secret import Secret
from store.times import now_ms
from tests.helpers.dump import content
from tests.helpers.sandboxes import sandbox

YEARS = 10 * 365 * 86_400


def _root(served: Any) -> UserKey:
    user = served.world.access.users[served.world.access.root]
    return UserKey(user.uid, Secret(user.api_key))


@asynccontextmanager
async def _cloud(served: Any, credentials: Any = None) -> AsyncIterator[Cloud]:
    async with Cloud(credentials or _root(served), Endpoint.single(served.url)) as cloud:
        yield cloud


async def _sync(served: Any, store: Store, **options: Any) -> Outcome:
    async with _cloud(served, options.pop("credentials", None)) as cloud:
        return await Sync(
            store=store, cloud=cloud, redaction_key=b"k" * 32, **{"since": YEARS, **options}
        ).run()


def _count(store: Store, model: Any) -> int:
    with store.reader.reading() as c:
        return int(c.execute(select(func.count()).select_from(model)).scalar_one())


async def test_a_first_sync_holds_every_organization_and_every_detection_of_the_world(store: Store) -> None:
    async with sandbox(orgs=7, detections=900) as served:
        outcome = await _sync(served, store)
        world = served.world
    refusing = world.unauthorized
    there = sum(each.detections for each in world.organizations if each is not refusing)
    assert outcome.organizations == 7
    assert outcome.detections_new == there == _count(store, Detection)
    with store.reader.reading() as c:
        rows = organizations.organizations(c, now=now_ms())
    assert {row.oid: row.name for row in rows} == {each.oid: each.name for each in world.organizations}


async def test_an_organization_that_refuses_is_named_and_the_others_are_whole(store: Store) -> None:
    async with sandbox(orgs=7, detections=300) as served:
        outcome = await _sync(served, store)
        refusing = served.world.unauthorized
    assert [each.oid for each in outcome.failed] == [refusing.oid]
    assert outcome.failed[0].name == refusing.name
    assert outcome.failed[0].reason
    with store.reader.reading() as c:
        whole = organizations.completeness(c, now=now_ms())
        failures = activity.failures(c)
    assert (whole.organizations, whole.fresh) == (7, 6)
    assert [(oid, state) for oid, _, state, _ in whole.missing] == [(refusing.oid, "failed")]
    assert {each.oid for each in failures} == {refusing.oid}


async def test_a_second_sync_without_changes_writes_nothing_but_how_fresh_everything_is(store: Store) -> None:
    async with sandbox(orgs=7, detections=400) as served:
        await _sync(served, store)
        before = content(store)
        heard: set[str] = set()
        store.on_change(lambda change: heard.update(change.tables))
        outcome = await _sync(served, store)
    assert (outcome.detections_new, outcome.rows_changed) == (0, 0)
    assert heard == {"sync_state", "sync_run"}
    assert content(store) == before


async def test_bodies_that_many_organizations_share_are_stored_once(store: Store) -> None:
    async with sandbox(orgs=8, detections=10) as served:
        await _sync(served, store, only=["config"])
    records, bodies = _count(store, ConfigurationRecord), _count(store, ConfigurationBody)
    assert records > 200
    assert bodies < records / 2


async def test_no_secret_of_the_world_reaches_the_store(store: Store) -> None:
    async with sandbox(orgs=4, detections=10) as served:
        world = served.world
        secrets = [user.api_key for user in world.access.users.values()]
        secrets += [key.secret for each in world.organizations for key in world.access.keys(each)]
        async with _cloud(served) as cloud:
            oid = world.organizations[0].oid
            outputs = await cloud.organization(oid).outputs()
            secrets += [
                str(value)
                for output in outputs.values()
                for name, value in output.items()
                if ("secret" in name or "password" in name or "token" in name) and value
            ]
            keys = await cloud.organization(oid).installation_keys()
            secrets += [str(key["key"]) for key in keys.values()]
        await _sync(served, store)
    assert len(secrets) > 20
    held = repr(content(store))
    from store.bodies import unpack

    with store.reader.reading() as c:
        held += repr([unpack(body) for (body,) in c.execute(select(ConfigurationBody.body))])
    assert [secret for secret in secrets if secret in held] == []


async def test_only_what_was_asked_for_is_read(store: Store) -> None:
    async with sandbox(orgs=7, detections=100) as served:
        target = served.world.organizations[0].oid
        outcome = await _sync(served, store, only=["detections", "access"], oids=[target])
        asked = set(served.endpoints())
    assert outcome.organizations == 1
    assert not [each for each in asked if "hive" in each or "sensors" in each or "audit" in each]
    with store.reader.reading() as c:
        read = {
            subject for oid, subject in c.execute(select(SyncState.oid, SyncState.subject)) if oid == target
        }
    assert read == {"detections", "access", "keys"}


async def test_new_detections_arrive_without_reading_the_old_ones_again(store: Store) -> None:
    async with sandbox(orgs=5, detections=3000) as served:
        await _sync(served, store, only=["detections"])
        pages = served.endpoints()["GET /v1/insight/{oid}/detections"]
        held = _count(store, Detection)
    async with sandbox(orgs=5, detections=3000, live_rate=100_000) as served:
        outcome = await _sync(served, store, only=["detections"])
        again = served.endpoints()["GET /v1/insight/{oid}/detections"]
    assert outcome.detections_new == _count(store, Detection) - held
    assert outcome.detections_new > 0
    assert again <= pages


async def test_a_sync_stopped_in_the_middle_goes_on_where_it_was_with_what_is_newest_first(
    store: Store,
) -> None:
    async with sandbox(orgs=2, detections=6000, latency=5) as served:

        async def stop_early() -> None:
            running = asyncio.create_task(_sync(served, store, only=["detections"]))
            while _count(store, Detection) < 1500:
                await asyncio.sleep(0.01)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

        await stop_early()
        stopped = _count(store, Detection)
        outcome = await _sync(served, store, only=["detections"])
        total = sum(each.detections for each in served.world.organizations)
    assert stopped < total
    assert outcome.detections_new == total - stopped
    assert _count(store, Detection) == total
    with store.reader.reading() as c:
        notes = [note for (note,) in c.execute(select(SyncRun.note).order_by(SyncRun.id))]
    assert notes == ["stopped", "done"]


async def test_an_organizations_key_reads_its_one_organization(store: Store) -> None:
    async with sandbox(orgs=3, detections=200) as served:
        one = served.world.organizations[0]
        secret = next(key.secret for key in served.world.access.keys(one))
        outcome = await _sync(served, store, credentials=OrganizationKey(one.oid, Secret(secret)))
    assert outcome.organizations == 1
    with store.reader.reading() as c:
        assert [row.oid for row in organizations.organizations(c, now=now_ms())] == [one.oid]


async def test_sensors_are_unknown_from_the_day_on_which_a_key_may_not_list_them(store: Store) -> None:
    day, now = 86_400_000, now_ms()
    async with sandbox(orgs=3, detections=20) as served:
        one, access = served.world.organizations[0], served.world.access
        whole = next(key for key in access.keys(one) if "sensor.list" in key.permissions)
        may = tuple(each for each in whole.permissions if each != "sensor.list")
        less = access.make_key(one, "less", may, "dana", "")
        for key, days in ((less, 4), (whole, 3), (less, 2), (whole, 0)):
            await _sync(
                served, store, credentials=OrganizationKey(one.oid, Secret(key.secret)),
                full=True, clock=lambda days=days: now - days * day,
            )  # fmt: skip
        there = sum(part["count"] for part in served.world.quota(one)["breakdown"].values())
    with store.reader.reading() as c:
        found = sensor_days(c, one.oid, day_of(now - 4 * day), day_of(now))
    assert [each.sensors for each in found.days] == [None, there, None, None, there]
    assert there > 0


async def test_a_sensor_that_was_removed_while_it_was_offline_is_counted_no_more(store: Store) -> None:
    today = day_of(now_ms())
    async with sandbox(orgs=3, detections=20) as served:
        one = served.world.organizations[0]
        await _sync(served, store)
        async with _cloud(served) as cloud:
            handle = cloud.organization(one.oid)
            rows = [row async for page in handle.sensors() for row in page]
            online = await handle.online_of([row["sid"] for row in rows])
            await handle.delete_sensor(next(sid for sid, there in online.items() if not there))
        with store.reader.reading() as c:
            before = sensor_days(c, one.oid, today, day_of(now_ms())).last
        await _sync(served, store)
        with store.reader.reading() as c:
            after = sensor_days(c, one.oid, today, day_of(now_ms())).last
    assert before is not None
    assert after is not None
    assert before.sensors == len(rows)
    assert after.sensors == len(rows) - 1


async def test_a_wrong_key_is_refused_as_a_whole_and_changes_nothing(store: Store) -> None:
    async with sandbox(orgs=3, detections=50) as served:
        good = _root(served)
        with pytest.raises(Auth) as refused:
            await _sync(served, store, credentials=UserKey(good.uid, Secret("not-the-key")))
    assert "not-the-key" not in str(refused.value)
    assert _count(store, Detection) == 0
    with store.reader.reading() as c:
        assert organizations.organizations(c, now=now_ms()) == []


async def test_progress_names_the_subject_how_many_organizations_have_it_and_the_time_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.operations.sync.TOLD_EVERY", 0.0)
    told: list[Progress] = []
    async with sandbox(orgs=6, detections=200, latency=15) as served:
        await _sync(served, store, report=told.append)
    assert told[0].total in (0, 6)
    assert told[-1].total == 6
    for subject in {each.note for each in told}:
        done = [each.done for each in told if each.note == subject]
        assert done == sorted(done)
    assert any(each.seconds_left is not None for each in told)


async def test_a_watch_survives_a_cloud_that_goes_away_and_recovers(a_store: Any) -> None:
    store: Store = a_store()
    told: list[Progress] = []
    wake = asyncio.Event()
    async with sandbox(orgs=3, detections=100) as served:
        port = int(served.url.rsplit(":", 1)[1])
        cloud = await Cloud(_root(served), Endpoint.single(served.url)).__aenter__()
        watching = asyncio.create_task(
            watch(
                store=store,
                cloud=cloud,
                redaction_key=b"k" * 32,
                since=YEARS,
                interval=0.05,
                report=told.append,
                wake=wake,
            )
        )
        await _until(lambda: any(each.note == "idle" for each in told))
        held = _count(store, Detection)
    try:
        await _until(lambda: told[-1].note.startswith("offline: "))
        assert _count(store, Detection) == held
        with store.reader.reading() as c:
            assert organizations.completeness(c, now=now_ms()).fresh == 3
        async with sandbox(orgs=3, detections=100, port=port):
            wake.set()
            await _until(lambda: told[-1].note == "idle", seconds=60)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await cloud.__aexit__(None, None, None)


async def _until(holds: Any, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


def test_a_plan_reads_the_newest_day_first_and_then_what_was_left() -> None:
    first = _plan(None, now=1_000_000, since=200_000)
    assert first.pending == [Range(1_000_001 - 86_400, 1_000_001), Range(800_000, 1_000_001 - 86_400)]
    left = Progressing(800_000, 1_000_001, [Range(800_000, 913_601, "c7")])
    again = _plan(left, now=1_000_500, since=200_000)
    assert again.pending == [Range(1_000_001 - OVERLAP, 1_000_501), Range(800_000, 913_601, "c7")]
    assert (again.start, again.end) == (800_000, 1_000_501)
    deeper = _plan(Progressing(800_000, 1_000_001), now=1_000_500, since=500_000)
    assert deeper.pending[-1] == Range(500_500, 800_000, past=True)


def test_another_process_hears_of_a_sync(a_store: Any) -> None:
    one: Store = a_store("shared")
    two: Store = a_store("shared")
    heard: list[Change] = []
    two.on_change(heard.append)
    from store import ingest

    with one.writing() as c:
        ingest.begin_run(c, now=1)
    two.look_outside()
    assert [change.touches(frozenset({"sync_run"})) for change in heard] == [True]
    two.look_outside()
    assert len(heard) == 1


def test_an_answer_that_only_the_standard_library_can_write_has_a_fingerprint_too() -> None:
    surrogate = {"hostname": "a\ud800b", "large": 2**70}
    assert fingerprint(surrogate) == fingerprint({"large": 2**70, "hostname": "a\ud800b"})
    assert fingerprint(surrogate) != fingerprint({"hostname": "a\ud801b", "large": 2**70})
