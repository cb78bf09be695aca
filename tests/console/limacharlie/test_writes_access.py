"""Users, permissions, groups and API keys are changed."""

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import OrganizationKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import Ambiguous, Denied, Gone, Invalid
from tests.helpers.raw_server import OID, reply


@pytest.fixture
def stranger(sandbox):
    """Somebody whom LimaCharlie knows, and the first organization does not."""
    access = sandbox.world.access
    inside = access.direct(sandbox.world.organizations[0])
    return next(email for email in access.users if email not in inside)


async def granted(handle):
    return (await handle.permissions())["user_permissions"]


async def test_a_user_comes_with_nothing_is_granted_and_revoked_and_goes(handle, stranger):
    added = await handle.add_user(stranger)
    assert (added.email, added.invited) == (stranger, False)
    assert (await granted(handle))[stranger] == []
    await handle.grant(stranger, "dr.list")
    await handle.grant(stranger, "org.get")
    assert set((await granted(handle))[stranger]) == {"dr.list", "org.get"}
    await handle.revoke(stranger, "dr.list")
    assert (await granted(handle))[stranger] == ["org.get"]
    await handle.remove_user(stranger)
    assert stranger not in await handle.users()


async def test_a_role_replaces_what_was_granted(handle, stranger):
    await handle.add_user(stranger)
    await handle.grant(stranger, "billing.ctrl")
    result = await handle.set_role(stranger, "Viewer")
    assert result.role == "Viewer"
    assert set(result.permissions) == set((await granted(handle))[stranger])
    assert "billing.ctrl" not in result.permissions
    assert result.permissions


async def test_a_stranger_is_invited_only_when_asked_for(handle):
    nobody = "nobody-yet@elsewhere.example"
    with pytest.raises((Invalid, Gone)):
        await handle.add_user(nobody)
    assert (await handle.add_user(nobody, invite=True)).invited


async def test_a_role_or_an_address_that_is_none_is_not_sent(handle):
    before = handle._transport.stats.requests
    for ask in (
        handle.set_role("a@b.example", "King"),
        handle.add_user("nobody"),
        handle.grant(" a@b.example", "org.get"),
    ):
        with pytest.raises(Invalid):
            await ask
    assert handle._transport.stats.requests == before


async def test_a_key_is_made_works_and_is_deleted(handle, sandbox):
    made = await handle.create_key("from here", ["org.get", "dr.list"], "10.0.0.0/8")
    assert made.api_key.reveal() not in repr(made)
    key = (await handle.keys())[made.key_hash]
    assert (key["name"], key["priv"], key["allowed_ip_range"]) == (
        "from here",
        ["org.get", "dr.list"],
        "10.0.0.0/8",
    )
    await handle.delete_key(made.key_hash)
    assert made.key_hash not in await handle.keys()
    made = await handle.create_key("anywhere", ["org.get"])
    endpoint = Endpoint.single(sandbox.url)
    async with Cloud(OrganizationKey(handle.oid, made.api_key), endpoint) as cloud:
        assert await cloud.organization(handle.oid).record()
        with pytest.raises(Denied):
            await cloud.organization(handle.oid).keys()


async def test_a_group_is_made_filled_emptied_and_deleted(cloud, handle, stranger):
    gid = await cloud.create_group("Night shift")
    await cloud.add_group_member(gid, stranger)
    await cloud.add_group_owner(gid, stranger)
    await cloud.add_group_organization(gid, handle.oid)
    await cloud.set_group_permissions(gid, ["org.get", "sensor.list", "org.get"])
    group = await cloud.group(gid)
    assert group["name"] == "Night shift"
    assert group["members"] == [stranger]
    assert stranger in group["owners"]
    assert [each["org_id"] for each in group["orgs"]] == [handle.oid]
    assert set(group["perms"]) == {"org.get", "sensor.list"}
    assert await cloud.group_logs(gid)

    await cloud.remove_group_member(gid, stranger)
    await cloud.remove_group_owner(gid, stranger)
    await cloud.remove_group_organization(gid, handle.oid)
    await cloud.set_group_permissions(gid, [])
    group = await cloud.group(gid)
    assert (group["members"], group["orgs"], group["perms"]) == ([], [], [])
    assert stranger not in group["owners"]

    await cloud.delete_group(gid)
    with pytest.raises(Gone):
        await cloud.group(gid)


async def test_what_is_no_groups_id_never_becomes_a_path(cloud):
    for wrong in ("concurrent", "..", "", "a/b"):
        with pytest.raises(Invalid):
            await cloud.delete_group(wrong)
    assert cloud.stats.requests == 0


async def test_a_key_whose_secret_did_not_come_is_not_taken_for_made(against):
    for answer in (
        {"success": True},
        {"success": True, "api_key": "", "key_hash": "h"},
        {"success": True, "api_key": "a", "key_hash": None},
        {"api_key": "a", "key_hash": "h"},
    ):
        async with against(lambda request, answer=answer: reply(200, answer)) as (server, cloud):
            with pytest.raises(Ambiguous):
                await cloud.organization(OID).create_key("x", ["org.get"])
        assert len(server.calls) == 1


async def test_a_new_keys_secret_is_not_repeated_by_an_error(against):
    secret = "0f9e8d7c-6b5a-4b3c-9d2e-1f0a9b8c7d6e"
    cut = reply(200, b'{"success": true, "api_key": "' + secret.encode() + b'", "key_ha')
    async with against(lambda request: cut) as (_, cloud):
        with pytest.raises(Ambiguous) as caught:
            await cloud.organization(OID).create_key("x", ["org.get"])
    assert secret not in str(caught.value)
