"""Organizations are made, changed and deleted."""

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import OrganizationKey, Secret
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import Ambiguous, Conflict, Denied, Gone, Invalid
from tests.helpers.raw_server import OID, Cut, reply


async def listed(cloud):
    return {row.oid: row.name for page in [page async for page in cloud.organizations()] for row in page}


async def test_an_organization_is_made_once_and_listed(cloud):
    assert await cloud.name_available("Brand New")
    oid = await cloud.create_organization("Brand New", "europe")
    assert (await listed(cloud))[oid] == "Brand New"
    assert not await cloud.name_available("Brand New")
    assert (await cloud.organization(oid).record())["name"] == "Brand New"


async def test_a_name_that_is_taken_makes_no_second_one(cloud):
    await cloud.create_organization("Brand New", "usa")
    before = await listed(cloud)
    with pytest.raises((Invalid, Conflict)):
        await cloud.create_organization("Brand New", "usa")
    assert await listed(cloud) == before


async def test_a_deletion_takes_two_steps(cloud):
    oid = await cloud.create_organization("Short Lived", "usa")
    handle = cloud.organization(oid)
    with pytest.raises(Invalid):
        await handle.delete("")
    with pytest.raises(Invalid):
        await handle.delete("guessed")
    assert oid in await listed(cloud)
    await handle.delete(await handle.deletion_confirmation())
    assert oid not in await listed(cloud)
    with pytest.raises((Gone, Denied)):
        await cloud.organization(oid).record()


async def test_a_new_name_leaves_the_description_and_the_other_way_round(cloud, handle):
    async def row():
        return next(
            row.details
            for page in [page async for page in cloud.organizations()]
            for row in page
            if row.oid == handle.oid
        )

    await handle.describe("What it is for: 100 % & more?")
    await handle.rename("Another/Name")
    after = await row()
    assert (after["name"], after["description"]) == ("Another/Name", "What it is for: 100 % & more?")
    await handle.describe("")
    assert (await row())["name"] == "Another/Name"


async def test_a_quota_is_set(handle):
    await handle.set_quota(4321)
    assert (await handle.record())["sensor_quota"] == 4321
    with pytest.raises(Invalid):
        await handle.set_quota(-1)


async def test_a_value_is_set_and_unset(handle):
    await handle.set_value("vt", "a key & more")
    assert await handle.org_value("vt") == "a key & more"
    await handle.set_value("vt", "")
    assert await handle.org_value("vt") == ""


async def test_a_sensor_version_is_chosen(handle):
    latest = (await handle.record())["latest_versions"]
    await handle.set_sensor_version(latest["experimental"])
    assert (await handle.record())["sensor_version"] == latest["experimental"]


async def test_a_standing_error_is_dismissed(cloud, sandbox):
    for organization in sandbox.world.organizations:
        handle = cloud.organization(organization.oid)
        errors = await handle.errors()
        if errors:
            component = errors[0]["component"]
            await handle.dismiss_error(component)
            assert component not in {each["component"] for each in await handle.errors()}
            return
    pytest.fail("no organization has an error")


async def test_event_types_and_their_fields_are_read(handle):
    types = await handle.event_types()
    assert any(name.startswith("evt:") for name in types)
    assert (await handle.event_schema(types[0]))["elements"]


async def test_an_organizations_key_makes_no_organizations(sandbox):
    organization = sandbox.world.organizations[0]
    key = sandbox.world.access.keys(organization)[0]
    endpoint = Endpoint.single(sandbox.url)
    async with Cloud(OrganizationKey(organization.oid, Secret(key.secret)), endpoint) as cloud:
        for ask in (cloud.name_available("x"), cloud.create_organization("x", "usa"), cloud.plans()):
            with pytest.raises(Denied):
                await ask
        assert cloud.stats.requests == 0


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b""),
        reply(200, {}),
        reply(200, {"success": True}),
        reply(200, {"success": True, "data": {"oid": "../who"}}),
        reply(200, {"success": False, "data": {"oid": OID}}),
        reply(200, {"success": True, "data": "no JSON"}),
        reply(504, {"error": "gateway"}),
        Cut(),
    ],
)
async def test_when_it_is_unclear_whether_one_was_made_it_is_not_tried_again(against, answer):
    async with against(lambda request: answer) as (server, cloud):
        with pytest.raises(Ambiguous):
            await cloud.create_organization("x", "usa")
    assert len(server.calls) == 1


async def test_the_new_oid_is_read_from_json_text_as_well(against):
    answer = reply(200, {"success": True, "data": f'{{"oid":"{OID}"}}'})
    async with against(lambda request: answer) as (_, cloud):
        assert await cloud.create_organization("x", "usa") == OID


async def test_a_change_that_says_it_failed_is_not_taken_for_made(against):
    for answer in ({}, {"success": False}, {"success": "true"}, {"success": True, "error": "no"}, None, []):
        async with against(lambda request, answer=answer: reply(200, answer)) as (server, cloud):
            with pytest.raises(Ambiguous):
                await cloud.organization(OID).rename("x")
        assert len(server.calls) == 1
