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
