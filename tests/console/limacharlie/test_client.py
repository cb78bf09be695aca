"""What is read of LimaCharlie, from the sandbox and from answers that are not quite right."""

import asyncio
import json
import subprocess
import sys

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import OrganizationKey, Secret, UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import Auth, Denied, Gone, Invalid, LimaCharlieError, Protocol
from console.sandbox.server import Sandbox
from console.sandbox.world import World
from store.configuration import HIVES
from tests.helpers.raw_server import KEY, OID, OTHER, reply

NOW = 1_790_000_000
WORLD = {"seed": 11, "orgs": 7, "detections": 900, "now_ms": NOW * 1000}


@pytest.fixture
async def sandbox():
    sandbox = Sandbox(World(**WORLD))
    await sandbox.start()
    yield sandbox
    await sandbox.stop()


@pytest.fixture
async def cloud(sandbox):
    root = sandbox.world.access.users[sandbox.world.access.root]
    async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(sandbox.url)) as cloud:
        yield cloud


async def listed(cloud):
    return [row async for page in cloud.organizations() for row in page]


async def test_organizations_of_a_user_are_all_there_and_named(sandbox, cloud):
    rows = await listed(cloud)
    assert {row.oid: row.name for row in rows} == {
        each.oid: each.name for each in sandbox.world.organizations
    }
    assert {row.sensor_quota for row in rows} != {None}


async def test_more_organizations_than_a_page_are_all_there():
    sandbox = Sandbox(World(**WORLD | {"orgs": 120, "detections": 0}))
    await sandbox.start()
    root = sandbox.world.access.users[sandbox.world.access.root]
    async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(sandbox.url)) as cloud:
        pages = [len(page) async for page in cloud.organizations()]
    await sandbox.stop()
    assert pages == [50, 50, 20]


async def test_everything_of_an_organization_is_read(sandbox, cloud):
    organization = sandbox.world.organizations[0]
    handle = cloud.organization(organization.oid)
    assert (await handle.record())["name"] == organization.name
    assert "search" in await handle.urls()
    assert set(await handle.users()) == set((await handle.permissions())["user_permissions"])
    assert all(key["priv"] for key in (await handle.keys()).values())
    assert all(output["module"] for output in (await handle.outputs()).values())
    assert all(key["iid"] == iid for iid, key in (await handle.installation_keys()).items())
    assert "ext-cases" in await handle.subscriptions()
    assert "ip-geo" in (await handle.resources())["api"]
    assert len(await handle.usage()) > 80
    assert (await handle.quota_usage()).quota == organization.quota
    sensors = [row["sid"] async for page in handle.sensors() for row in page]
    assert len(set(sensors)) == len(sensors) == organization.sensors
    assert 0 < await handle.online() <= len(sensors)
    assert (await handle.mitre())["techniques"]
    assert (await handle.fetch_infrastructure(hives=["dr-general"]))["hives"]["dr-general"]
    assert await handle.service_rules("integrity")
    assert (await handle.audit(NOW - 40 * 86_400, NOW + 1)).records


async def test_the_secret_hive_is_read_without_its_secrets(cloud, sandbox):
    found = 0
    for organization in sandbox.world.organizations[:3]:
        records = await cloud.organization(organization.oid).hive("secret", mtd_only=True)
        found += len(records)
        assert all(record.body is None for record in records.values())
    assert found > 0


async def test_every_hive_can_be_read(cloud, sandbox):
    handle = cloud.organization(sandbox.world.organizations[0].oid)
    hives = dict(zip(HIVES, await asyncio.gather(*map(handle.hive, HIVES)), strict=True))
    assert len(hives["dr-general"]) > 5
    rule = next(iter(hives["dr-general"].values()))
    assert rule.body["detect"]
    assert rule.etag
    assert rule.metadata["enabled"] in (True, False)


async def test_detections_page_by_page_are_each_there_once_and_byte_for_byte(cloud, sandbox):
    organization = max(sandbox.world.organizations, key=lambda each: each.detections)
    handle = cloud.organization(organization.oid)
    records, cursor, pages = [], "-", 0
    while cursor:
        page = await handle.detections(NOW - 31 * 86_400, NOW + 1, cursor, limit=37)
        assert len(page.records) <= 37
        records += page.records
        cursor = page.next_cursor
        pages += 1
    ids = [json.loads(record)["detect_id"] for record in records]
    assert len(ids) == len(set(ids)) == organization.detections
    assert pages >= organization.detections / 37
    assert await handle.detection(ids[5]) == records[5]
    with pytest.raises(Gone):
        await handle.detection("00000000-0000-4000-8000-000000000000")


async def test_groups_are_whole(cloud, sandbox):
    groups = await cloud.groups()
    owned = {each.gid: each for each in sandbox.world.access.groups}
    assert {group["group_id"] for group in groups} == set(owned)
    assert all(set(group["members"]) == set(owned[group["group_id"]].members) for group in groups)
    first = groups[0]
    assert await cloud.group(first["group_id"]) == first
    assert first["members"]
    assert first["orgs"][0]["org_id"]


async def test_an_organization_that_refuses_everything_is_denied_and_the_others_go_on(sandbox, cloud):
    async def named(row):
        return (await cloud.organization(row.oid).record())["name"]

    results = await asyncio.gather(*map(named, await listed(cloud)), return_exceptions=True)
    refused = [each for each in results if isinstance(each, LimaCharlieError)]
    assert [each.kind for each in refused] == ["denied"]
    assert len(results) - len(refused) == 6


async def test_a_wrong_key_is_auth(sandbox):
    async with Cloud(UserKey("nobody", Secret("wrong")), Endpoint.single(sandbox.url)) as cloud:
        with pytest.raises(Auth):
            await cloud.who()


async def test_an_organizations_key_sees_its_own_organization_and_nothing_else(sandbox):
    own, other = sandbox.world.organizations[:2]
    key = OrganizationKey(own.oid, Secret(sandbox.world.access.keys(own)[0].secret))
    async with Cloud(key, Endpoint.single(sandbox.url)) as cloud:
        assert [(row.oid, row.name) for row in await listed(cloud)] == [(own.oid, own.name)]
        assert (await cloud.who()).organizations == (own.oid,)
        before = cloud.stats.requests
        with pytest.raises(Denied, match="user's API key"):
            await cloud.groups()
        with pytest.raises(Denied, match=own.oid):
            await cloud.organization(other.oid).record()
        assert cloud.stats.requests == before


async def test_the_rate_of_the_cloud_is_kept():
    sandbox = Sandbox(World(**WORLD), rate_quota=40, rate_period=2)
    await sandbox.start()
    root = sandbox.world.access.users[sandbox.world.access.root]
    async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(sandbox.url)) as cloud:
        await cloud.who()
        handle = cloud.organization(sandbox.world.organizations[0].oid)
        await asyncio.gather(*(handle.online() for _ in range(90)))
        assert cloud.limits.throttled == 0
    await sandbox.stop()


# Answers that are not quite right


def orgs(count, total, start=0):
    rows = [
        {"oid": f"{n:08x}-0000-4000-8000-000000000000", "name": f"org {n}"}
        for n in range(start, start + count)
    ]
    return reply(200, {"orgs": rows, "total": total})


@pytest.mark.parametrize(
    "pages",
    [
        [orgs(50, 60), orgs(0, 60)],
        [orgs(50, 60), orgs(10, 60, start=45)],
        [orgs(3, 2)],
        [orgs(0, 1)],
        [reply(200, {"orgs": []})],
        [reply(200, {"orgs": None, "total": 0})],
        [reply(200, {"total": 0})],
        [reply(200, {"orgs": [{"oid": "../x", "name": "n"}], "total": 1})],
        [reply(200, {"orgs": [{"name": "n"}], "total": 1})],
        [reply(200, {"orgs": ["n"], "total": 1})],
    ],
    ids=range(10),
)
async def test_a_listing_that_does_not_add_up_is_incomplete(against, pages):
    left = list(pages)
    async with against(lambda request: left.pop(0)) as (_, cloud):
        with pytest.raises(Protocol):
            await listed(cloud)


async def test_no_organizations_at_all_is_an_answer(against):
    async with against(lambda request: orgs(0, 0)) as (server, cloud):
        assert await listed(cloud) == []
    assert server.exchanges[0].form["oid"] == "-"


READS = (
    "record", "urls", "usage", "errors", "quota_usage", "online", "mitre", "users", "permissions", "keys", "outputs",
    "installation_keys", "resources", "fetch_infrastructure",
)  # fmt: skip


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"null", b"7", b'"x"', b"<html>", b"", b'{"error": ""}', b"[[]]", b'{"a":']
)
async def test_no_read_takes_a_damaged_answer_for_nothing_there(against, body):
    async with against(lambda request: reply(200, body)) as (_, cloud):
        handle = cloud.organization(OID)
        for name in READS:
            with pytest.raises(Protocol):
                await getattr(handle, name)()
        for read in (
            handle.hive("dr-general"),
            handle.detections(1, 2),
            handle.audit(1, 2),
            handle.detection("d"),
        ):
            with pytest.raises(Protocol):
                await read
        with pytest.raises(Protocol):
            [page async for page in handle.sensors()]
        with pytest.raises(Protocol):
            await listed(cloud)
        with pytest.raises(Protocol):
            await cloud.groups()
        with pytest.raises(Protocol):
            await cloud.who()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("record", {"oid": OTHER, "name": "x"}),
        ("outputs", {OTHER: {}}),
        ("installation_keys", {OTHER: {}}),
        ("errors", {"errors": [{"component": "c", "error": "e", "oid": OTHER}]}),
        ("keys", {"api_keys": {"h": {"name": "n", "priv": [], "oid": OTHER}}}),
    ],
)
async def test_what_belongs_to_another_organization_is_refused(against, name, body):
    async with against(lambda request: reply(200, body)) as (_, cloud):
        with pytest.raises(Protocol):
            await getattr(cloud.organization(OID), name)()


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (lambda h: h.hive("x"), {"records": {}, "next_cursor": "again"}),
        (lambda h: all_pages(h.sensors()), {"sensors": [], "continuation_token": "again"}),
    ],
)
async def test_a_listing_that_repeats_itself_is_given_up(against, read, body):
    async with against(lambda request: reply(200, body)) as (server, cloud):
        with pytest.raises(Protocol, match="never end"):
            await read(cloud.organization(OID))
    assert len(server.calls) == 2


async def all_pages(pages):
    return [page async for page in pages]


async def test_a_hive_is_read_page_by_page_and_from_a_cloud_that_cannot_page(against):
    record = {"data": {"x": 1}, "usr_mtd": {"enabled": True, "tags": None}, "sys_mtd": {}}

    def script(request):
        if "old-hive" in request.target:
            return reply(200, {"records": record, "b": record})
        if "cursor=two" in request.target:
            return reply(200, {"records": {"b": record}, "next_cursor": ""})
        return reply(200, {"records": {"a": record}, "next_cursor": "two"})

    async with against(script) as (server, cloud):
        handle = cloud.organization(OID)
        assert list(await handle.hive("new-hive")) == ["a", "b"]
        assert [each.target.partition("?")[2] for each in server.calls] == [
            "limit=500",
            "limit=500&cursor=two",
        ]
        with pytest.raises(Protocol):
            await handle.hive("old-hive")


async def test_groups_are_read_one_by_one_where_the_cloud_cannot_do_it_at_once(against):
    def script(request):
        if request.target == "/v1/groups/concurrent":
            return reply(404, {"error": "not found"})
        if request.target == "/v1/groups":
            return reply(200, {"groups": [{"gid": "g1", "name": "n1"}, {"gid": "g2", "name": "n2"}]})
        gid = request.target.rpartition("/")[2]
        group = {"group_id": gid, "name": "n", "owners": [], "members": ["a@b"], "orgs": None, "perms": ["p"]}
        return reply(200, {"group": group})

    async with against(script) as (_, cloud):
        groups = await cloud.groups()
    assert [group["group_id"] for group in groups] == ["g1", "g2"]
    assert groups[0]["orgs"] == []


async def test_a_service_says_what_is_wrong_and_only_listings_are_sent(against):
    async with against(lambda request: reply(200, {"error": "org not registered to service"})) as (
        server,
        cloud,
    ):
        handle = cloud.organization(OID)
        with pytest.raises(Invalid, match="not registered"):
            await handle.service_rules("exfil")
        for service, action in (("exfil", "remove_rule"), ("../x", "list_rules")):
            with pytest.raises(Invalid):
                await handle.service_rules(service, action)
    assert len(server.calls) == 1


async def test_a_detection_that_no_reader_takes_arrives_with_the_others(against):
    body = b'{"detects": [{"detect_id": "a"}, {"host": "\\ud800"}, {"detect_id": "b"}], "next_cursor": "n"}'
    async with against(lambda request: reply(200, body)) as (server, cloud):
        page = await cloud.organization(OID).detections(10, 20, cat="a b")
    assert page.records == [b'{"detect_id": "a"}', b'{"host": "\\ud800"}', b'{"detect_id": "b"}']
    assert page.next_cursor == "n"
    assert server.calls[0].target == (
        f"/v1/insight/{OID}/detections?start=10&end=20&cursor=-&limit=1000&cat=a+b&is_compressed=true"
    )


async def test_two_organizations_never_share_a_token(against):
    async with against(lambda request: reply(200, {"name": "n"})) as (server, cloud):
        await asyncio.gather(*(cloud.organization(oid).record() for oid in (OID, OTHER) * 5))
    assert sorted(each.form["oid"] for each in server.exchanges) == sorted((OID, OTHER))
    bearers = {each.target: set() for each in server.calls}
    for each in server.calls:
        bearers[each.target].add(each.headers["authorization"])
    assert [len(held) for held in bearers.values()] == [1, 1]


# Hosts and imports


@pytest.mark.parametrize(
    "url",
    ["http://sandbox.example", "http://10.0.0.1:9090", "ftp://127.0.0.1", "127.0.0.1:9090", "", "https://u:p@h", "http://127.0.0.1.evil.example"],
)  # fmt: skip
def test_an_endpoint_that_would_see_a_key_in_the_clear_is_refused(url):
    with pytest.raises(Invalid):
        Endpoint.single(url)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://api.limacharlie.io/v1/x", True), ("https://9157798c50af372c.cases.limacharlie.io", True),
        ("http://api.limacharlie.io", False), ("https://api.limacharlie.io:8443", False), ("https://limacharlie.io.evil.example", False),
        ("https://evillimacharlie.io", False), ("https://api.limacharlie.io@evil.example", False), ("https://u@api.limacharlie.io", False),
        ("https://127.0.0.1", False), ("https://[", False),
    ],
)  # fmt: skip
def test_a_token_of_limacharlie_goes_nowhere_else(url, allowed):
    assert Endpoint.limacharlie().allows(url) is allowed


def test_a_token_of_a_sandbox_goes_to_that_sandbox_only():
    endpoint = Endpoint.single("http://127.0.0.1:9090/")
    assert endpoint.api == "http://127.0.0.1:9090"
    assert endpoint.allows("http://127.0.0.1:9090/api/v1/cases")
    assert not endpoint.allows("http://127.0.0.1:9091/")
    assert not endpoint.allows("https://api.limacharlie.io")


def test_errors_and_credentials_cost_no_http_library():
    code = (
        "import sys, console.limacharlie, console.limacharlie.errors, console.limacharlie.credentials,"
        " console.limacharlie.endpoint; print('aiohttp' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


async def test_credentials_and_tokens_cannot_be_printed(against):
    async with against(lambda request: reply(200, {"name": "n"})) as (server, cloud):
        await cloud.organization(OID).record()
        bearer = server.calls[0].headers["authorization"].split()[1]
        shown = repr(cloud.credentials) + repr(cloud._transport.tokens) + repr(cloud._transport.tokens._slots)
    assert KEY not in shown
    assert bearer not in shown


async def test_after_leaving_no_token_is_held(against):
    async with against(lambda request: reply(200, {"name": "n"})) as (_, cloud):
        await cloud.organization(OID).record()
        tokens = cloud._transport.tokens
        assert len(tokens.secrets()) == 2
    assert len(tokens.secrets()) == 1
