"""What is done to sensors."""

import pytest

from console.limacharlie.errors import Gone, Invalid


@pytest.fixture
async def sid(handle):
    async for page in handle.sensors():
        return page[0]["sid"]


async def test_a_tag_comes_and_goes(handle, sid):
    await handle.tag_sensor(sid, "seen-by-us")
    assert "seen-by-us" in await handle.sensor_tags(sid)
    await handle.untag_sensor(sid, "seen-by-us")
    assert "seen-by-us" not in await handle.sensor_tags(sid)


async def test_a_tag_may_end_by_itself(handle, sid):
    await handle.tag_sensor(sid, "for-an-hour", ttl=3600)
    assert sid in await handle.sensors_with_tag("for-an-hour")
    assert "for-an-hour" in await handle.tags()


async def test_a_sensor_says_whether_it_is_online(handle):
    sids = [row["sid"] async for page in handle.sensors() for row in page][:20]
    online = await handle.online_of(sids)
    assert online.keys() == set(sids)
    for sid in sids[:5]:
        sensor = await handle.sensor(sid)
        assert (sensor.info["sid"], sensor.online) == (sid, online[sid])
    assert await handle.online_of([]) == {}


async def test_sensors_are_selected_and_found_by_name(handle):
    everything = [row async for page in handle.sensors() for row in page]
    windows = {row["sid"] for row in everything if row["plat"] == 268435456}
    selected = {row["sid"] async for page in handle.sensors("plat == windows") for row in page}
    assert selected == windows
    hostname = everything[0]["hostname"]
    assert (await handle.sensors_named(hostname))[everything[0]["sid"]] == hostname


@pytest.fixture
async def online_sid(handle):
    sids = [row["sid"] async for page in handle.sensors() for row in page]
    return next(sid for sid, online in (await handle.online_of(sids)).items() if online)


async def test_a_machine_is_isolated_and_let_back(handle, online_sid):
    await handle.isolate_sensor(online_sid)
    assert (await handle.sensor(online_sid)).info["should_isolate"] is True
    await handle.rejoin_sensor(online_sid)
    assert (await handle.sensor(online_sid)).info["should_isolate"] is False


async def test_a_sensor_is_sealed_and_unsealed(handle, online_sid):
    await handle.seal_sensor(online_sid)
    assert (await handle.sensor(online_sid)).info["should_seal"] is True
    await handle.unseal_sensor(online_sid)
    assert (await handle.sensor(online_sid)).info["should_seal"] is False


async def test_a_task_is_sent_once_and_told_by_the_audit_log(handle, online_sid, sandbox):
    await handle.task_sensor(online_sid, ["os_version", "history_dump"], "inv-1")
    now = sandbox.world.clock() // 1000
    entries = (await handle.audit(now - 60, now + 60)).records
    tasks = [entry["mtd"]["task"] for entry in entries if entry["etype"] == "send_task"]
    assert sorted(tasks) == ["history_dump", "os_version"]
    with pytest.raises(Invalid):
        await handle.task_sensor(online_sid, [])


async def test_a_deleted_sensor_is_gone(handle, sid):
    await handle.delete_sensor(sid)
    assert sid not in {row["sid"] async for page in handle.sensors() for row in page}
    for ask in (handle.sensor(sid), handle.delete_sensor(sid)):
        with pytest.raises(Gone):
            await ask


async def test_events_of_a_sensor_are_read_page_by_page(handle, online_sid, sandbox):
    now = sandbox.world.clock() // 1000
    cursor, events = "-", []
    while cursor:
        page = await handle.events(online_sid, now - 3600, now, cursor, limit=50)
        events += page.records
        cursor = page.next_cursor
    assert len(events) > 1
    assert {event["routing"]["sid"] for event in events} == {online_sid}
    atom = events[0]["routing"]["this"]
    assert len({event["routing"]["this"] for event in events}) == len(events)
    assert (await handle.event(online_sid, atom))["routing"]["this"] == atom
    assert isinstance(await handle.event_children(online_sid, atom), list)
    assert await handle.events_overview(online_sid, now - 3600, now)
    kind = events[0]["routing"]["event_type"]
    some = (await handle.events(online_sid, now - 3600, now, event_type=kind)).records
    assert {event["routing"]["event_type"] for event in some} == {kind}
    for wrong in ("overview", "..", ""):
        with pytest.raises(Invalid):
            await handle.event(online_sid, wrong)


async def test_where_an_indicator_was_seen(handle):
    row = await anext(aiter(handle.sensors()))
    hostname = row[0]["hostname"]
    seen = await handle.object_seen("hostname", hostname, "locations")
    assert row[0]["sid"] in seen
    counted = await handle.objects_seen({"hostname": [hostname], "domain": ["nowhere.example"]})
    assert counted["last_365_days"]["hostname"][hostname] >= 1
    assert counted["last_365_days"]["domain"]["nowhere.example"] == 0
    with pytest.raises(Invalid):
        await handle.object_seen("hostname", hostname, "everything")


async def test_what_is_no_sensors_id_never_becomes_a_path(handle):
    for wrong in ("who", "..", "", "orgs"):
        with pytest.raises(Invalid):
            await handle.tag_sensor(wrong, "tag")


async def test_a_sensor_that_is_not_there_is_gone(handle):
    with pytest.raises(Gone):
        await handle.tag_sensor("00000000-0000-4000-8000-000000000000", "tag")


async def test_a_tag_that_would_be_several_is_refused(handle, sid):
    for wrong in ("", " ", "a,b"):
        with pytest.raises(Invalid):
            await handle.tag_sensor(sid, wrong)
