"""Organizations are made, changed and deleted in the sandbox."""

from typing import Any

import aiohttp
import pytest

from console.sandbox import catalogue
from console.sandbox.server import Sandbox
from console.sandbox.world import World
from tests.console.sandbox.conftest import NOW_MS, Asker

EVER = {"start": 0, "end": 4_000_000_000}


@pytest.fixture
async def root(asker: Any) -> str:
    """A token of the root administrator for every organization, small enough for a header."""
    permissions = (
        "org.get,org.del,org.set_quota,org.conf.get,org.conf.set,module.update,audit.get,sensor.list,"
        "sensor.get,insight.det.get"
    )
    token: str = await asker.token(perms=permissions)
    return token


async def made(asker: Asker, root: str, **form: str) -> tuple[str, str]:
    """The oid of a new organization, and a token for it."""
    status, body, _ = await asker.ask("POST", "/v1/orgs/new", root, data={"name": "Fresh Start", **form})
    assert status == 200, body
    oid: str = body["data"]["oid"]
    return oid, await asker.token(oid=oid)


async def audit(asker: Asker, oid: str, token: str, kind: str = "config_change") -> list[dict[str, Any]]:
    """What was changed, oldest first."""
    said = await asker.get(f"/v1/insight/{oid}/audit", token, event_type=kind, **EVER)
    events: list[dict[str, Any]] = said["events"]
    return events


async def test_a_new_organization_holds_nothing_and_belongs_to_its_creator(asker: Any, root: str) -> None:
    oid, token = await made(asker, root, loc="canada", template="starter")
    said = await asker.get(f"/v1/orgs/{oid}", token)
    assert (said["name"], said["creator"]) == ("Fresh Start", asker.world.access.root)
    assert said["n_outputs"] == said["n_installation_keys"] == said["n_rules"] == 0
    assert (await asker.get(f"/v1/orgs/{oid}/url", token))["site_name"] == "canada"
    assert await asker.get(f"/v1/orgs/{oid}/keys", token) == {"api_keys": {}}
    assert await asker.get(f"/v1/errors/{oid}", token) == {"errors": []}
    assert (await asker.get(f"/v1/usage/{oid}", token))["usage"] == {}
    assert await asker.get(f"/v1/online/{oid}", token) == {"count": 0}
    assert await asker.get(f"/v1/quota_usage/{oid}", token) == {"usage": 0, "quota": 2, "breakdown": {}}
    assert (await asker.get(f"/v1/sensors/{oid}", token))["sensors"] == []
    assert (await asker.get(f"/v1/insight/{oid}/detections", token, **EVER))["detects"] == []
    assert await asker.get(f"/v1/hive/dr-general/{oid}", token) == {}
    assert (await asker.get(f"/v1/mitre/{oid}", token))["techniques"] == []
    assert (await asker.get(f"/v1/orgs/{oid}/schema", token))["event_types"] == []
    people = await asker.get(f"/v1/orgs/{oid}/users/permissions", token)
    assert set(people["user_permissions"]) == {asker.world.access.root}
    assert set(people["user_permissions"][asker.world.access.root]) == set(catalogue.ALL)
    assert people["from_groups"] == people["group_info"] == {}
    (entry,) = await audit(asker, oid, token)
    assert (entry["msg"], entry["ident"]) == ("organization created", asker.world.access.root)


async def test_whoever_makes_an_organization_sees_it_and_nobody_else_does(asker: Any) -> None:
    access = asker.world.access
    maker, other = access.analysts[0], access.analysts[1]
    token = await asker.token(email=maker, oid="-")
    status, body, _ = await asker.ask("POST", "/v1/orgs/new", token, data={"name": "Fresh Start"})
    assert status == 200
    oid = body["data"]["oid"]
    user = access.users[access.root]
    assert await asker.exchange(uid=user.uid, secret=user.api_key, oid=oid) == (
        401,
        {"error": "unauthorized"},
    )
    token = await asker.token(email=maker, oid=oid)
    assert set((await asker.get("/v1/who", token))["perms"]) == set(catalogue.ALL)
    for email, sees in ((maker, True), (other, False), (access.root, False)):
        rows = (await asker.get("/v1/user/orgs", await asker.token(email=email, oid="-"), limit=1000))["orgs"]
        assert (oid in {row["oid"] for row in rows}) is sees


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "missing parameter name"),
        ({"name": "  "}, "missing parameter name"),
        ({"name": "A", "loc": "moon"}, "unknown location moon"),
    ],
)
async def test_an_organization_needs_a_name_and_a_known_place(
    asker: Any, root: str, form: dict[str, str], error: str
) -> None:
    before = len(asker.world.by_oid)
    status, body, _ = await asker.ask("POST", "/v1/orgs/new", root, data=form)
    assert (status, body) == (400, {"error": error})
    assert len(asker.world.by_oid) == before


async def test_names_are_taken_once_and_free_again_after_deletion(asker: Any, root: str) -> None:
    oid, token = await made(asker, root)
    for name in ("Fresh Start", asker.one.name):
        assert await asker.get("/v1/orgs/new", root, name=name) == {"is_available": False}
        status, body, _ = await asker.ask("POST", "/v1/orgs/new", root, data={"name": name})
        assert (status, body["error"]) == (400, "organization name is already taken")
    confirmation = (await asker.get(f"/v1/orgs/{oid}/delete", token))["confirmation"]
    await asker.ask("DELETE", f"/v1/orgs/{oid}/delete", token, data={"confirmation": confirmation})
    assert await asker.get("/v1/orgs/new", root, name="Fresh Start") == {"is_available": True}


async def test_keys_of_organizations_make_no_organizations(asker: Any) -> None:
    key = asker.world.access.keys(asker.one)[0]
    _, body = await asker.exchange(oid=asker.one.oid, secret=key.secret)
    status, body, _ = await asker.ask("POST", "/v1/orgs/new", body["jwt"], data={"name": "Mine"})
    assert (status, "only user-based" in body["error"]) == (401, True)


async def test_a_document_is_handed_on_and_the_name_of_a_template_is_not(asker: Any, root: str) -> None:
    applied = []
    asker.world.made_from_template = lambda call, one, text: applied.append((one.oid, text))
    await made(asker, root, template="starter")
    assert applied == []
    oid, _ = await made(asker, root, name="From Text", template="version: 3\nresources: {}\n")
    assert applied == [(oid, "version: 3\nresources: {}\n")]


async def test_a_document_is_applied_and_a_bad_one_leaves_no_organization(asker: Any, root: str) -> None:
    good = "version: 3\nhives:\n  lookup:\n    words:\n      data:\n        lookup_data: {a: {}}\n"
    oid, _ = await made(asker, root, template=good)
    assert list(asker.world.records(asker.world.by_oid[oid], "lookup")) == ["words"]
    for bad in ("version: 3\nhives: [", "- not\n- a document\n"):
        status, body, _ = await asker.ask("POST", "/v1/orgs/new", root, data={"name": "Bad", "template": bad})
        assert status == 400, body
        assert await asker.get("/v1/orgs/new", root, name="Bad") == {"is_available": True}


@pytest.mark.parametrize("where", ["data", "params"])
async def test_deletion_takes_the_newest_confirmation_in_body_or_query(
    asker: Any, root: str, where: str
) -> None:
    oid, token = await made(asker, root)
    path = f"/v1/orgs/{oid}/delete"
    stale = (await asker.get(path, token))["confirmation"]
    confirmation = (await asker.get(path, token))["confirmation"]
    for wrong in ({}, {"confirmation": ""}, {"confirmation": "no"}, {"confirmation": stale}):
        status, body, _ = await asker.ask("DELETE", path, token, **{where: wrong})
        assert (status, body) == (400, {"error": "bad confirmation"})
    assert oid in asker.world.by_oid
    status, body, _ = await asker.ask("DELETE", path, token, **{where: {"confirmation": confirmation}})
    assert (status, body) == (200, {"success": True})
    assert (await asker.ask("GET", f"/v1/orgs/{oid}", token))[0] == 404


async def test_a_deleted_organization_is_gone_from_every_listing_and_group(asker: Any, root: str) -> None:
    one, last = asker.one, asker.world.organizations[-1]
    held = [group for group in asker.world.access.groups if one.index in group.organizations]
    assert held
    sid = asker.world.sensor(one, 0).sid
    token = await asker.token(oid=one.oid)
    confirmation = (await asker.get(f"/v1/orgs/{one.oid}/delete", token))["confirmation"]
    assert (
        await asker.ask("DELETE", f"/v1/orgs/{one.oid}/delete", token, data={"confirmation": confirmation})
    )[0] == 200
    listed = await asker.get("/v1/user/orgs", root, limit=1000)
    assert listed["total"] == len(asker.world.organizations) - 1
    assert one.oid not in {row["oid"] for row in listed["orgs"]}
    assert not [group for group in asker.world.access.groups if one.index in group.organizations]
    assert one.oid not in str(await asker.get("/v1/groups/concurrent", root))
    assert one.oid not in {node.get("oid") for node in asker.world.tree()}
    assert (await asker.ask("GET", f"/v1/{sid}", root))[0] == 404
    assert (await asker.ask("GET", f"/v1/insight/{one.oid}/detections?start=0&end=1", root))[0] == 404
    status, body = await asker.exchange(oid=one.oid, secret=asker.world.access.keys(asker.one)[0].secret)
    assert (status, body["error"]) == (401, "unauthorized")
    # Numbers stay with their organizations.
    assert (await asker.get(f"/v1/orgs/{last.oid}", root))["name"] == last.name
    other = asker.world.sensor(last, 0)
    assert asker.world.sensor_by_sid(other.sid) == (last, other)


async def test_deletion_needs_its_own_permission(asker: Any, root: str) -> None:
    contact = next(
        email
        for email, held in asker.world.access.direct(asker.one).items()
        if "org.del" not in held and "org.get" in held
    )
    token = await asker.token(email=contact, oid=asker.one.oid)
    for method in ("GET", "DELETE"):
        status, body, _ = await asker.ask(method, f"/v1/orgs/{asker.one.oid}/delete", token)
        assert (status, "org.del" in body["error"]) == (401, True)


@pytest.mark.parametrize("where", ["data", "params"])
async def test_an_organization_is_renamed_and_described_in_body_or_query(
    asker: Any, root: str, where: str
) -> None:
    one = asker.one
    note = asker.world.records(one, "org_notes")
    fields = {"name": "Another Name", "description": "moved"}
    status, body, _ = await asker.ask("POST", f"/v1/orgs/{one.oid}/name", root, **{where: fields})
    assert (status, body) == (200, {"success": True})
    row = (await asker.get("/v1/user/orgs", root, filter="another n"))["orgs"][0]
    assert (row["oid"], row["name"], row["description"]) == (one.oid, "Another Name", "moved")
    assert (await asker.get(f"/v1/orgs/{one.oid}", root))["name"] == "Another Name"
    asker.world.configuration.hives.cache_clear()
    assert asker.world.records(one, "org_notes") == note
    entry = (await audit(asker, one.oid, root))[-1]
    assert (entry["ident"], entry["mtd"]) == (asker.world.access.root, fields)


async def test_the_description_alone_changes_with_the_present_name_and_names_of_others_are_refused(
    asker: Any, root: str
) -> None:
    one, other = asker.world.organizations[:2]
    path = f"/v1/orgs/{one.oid}/name"
    name = one.name
    assert (await asker.ask("POST", path, root, params={"name": name, "description": "d"}))[0] == 200
    assert (one.name, one.description) == (name, "d")
    assert (await asker.ask("POST", path, root, params={"name": other.name}))[0] == 400
    assert (await asker.ask("POST", path, root, params={"description": "e"}))[0] == 400
    assert (one.name, one.description) == (name, "d")


async def test_listings_are_sorted_anew_after_a_change(asker: Any, root: str) -> None:
    one = asker.world.organizations[0]

    async def names() -> list[str]:
        return [row["name"] for row in (await asker.get("/v1/user/orgs", root, limit=1000))["orgs"]]

    before = await names()
    assert before == sorted(before, key=str.casefold)
    await asker.ask("POST", f"/v1/orgs/{one.oid}/name", root, data={"name": "ZZZ last"})
    assert (await names())[-1] == "ZZZ last"
    await made(asker, root, name="AAA first")
    assert (await names())[0] == "AAA first"
    by_quota = {"sort_by": "sensor_quota", "sort_order": "desc"}
    assert (await asker.get("/v1/user/orgs", root, **by_quota))["orgs"][0]["oid"] != one.oid
    await asker.ask("POST", f"/v1/orgs/{one.oid}/quota", root, data={"quota": "99999"})
    rows = (await asker.get("/v1/user/orgs", root, **by_quota))["orgs"]
    assert (rows[0]["oid"], rows[0]["sensor_quota"]) == (one.oid, 99999)


@pytest.mark.parametrize("where", ["data", "params"])
async def test_the_quota_is_what_somebody_set(asker: Any, root: str, where: str) -> None:
    one = asker.world.over_quota
    before = await asker.get(f"/v1/quota_usage/{one.oid}", root)
    status, _, _ = await asker.ask("POST", f"/v1/orgs/{one.oid}/quota", root, **{where: {"quota": "3"}})
    assert status == 200
    assert await asker.get(f"/v1/quota_usage/{one.oid}", root) == before | {"quota": 3}
    assert (await asker.get(f"/v1/orgs/{one.oid}", root))["sensor_quota"] == 3
    for bad in ("-1", "many", "", "1.5", "²"):
        status, _, _ = await asker.ask("POST", f"/v1/orgs/{one.oid}/quota", root, data={"quota": bad})
        assert status == 400
    assert (await asker.get(f"/v1/orgs/{one.oid}", root))["sensor_quota"] == 3


async def test_a_setting_is_changed_taken_away_and_kept_out_of_the_log(asker: Any, root: str) -> None:
    one = asker.one
    path = f"/v1/configs/{one.oid}/otx"
    assert (await asker.ask("POST", path, root, data={"value": "s3cret"}))[0] == 200
    assert await asker.get(path, root) == {"config": "otx", "value": "s3cret"}
    entries = await audit(asker, one.oid, root)
    assert entries[-1]["entity"] == {"type": "org_value", "name": "otx"}
    assert "s3cret" not in str(entries)
    assert (await asker.ask("POST", path, root, data={"value": ""}))[0] == 200
    assert (await asker.get(path, root))["value"] == ""
    assert (await asker.ask("POST", path, root))[0] == 400
    assert (await asker.ask("POST", f"/v1/configs/{one.oid}/nonsense", root, data={"value": "1"}))[0] == 404


async def test_a_dismissed_error_stays_away(asker: Any, root: str) -> None:
    one = asker.world.failing
    path = f"/v1/errors/{one.oid}"
    (error,) = (
        each
        for each in (await asker.get(path, root))["errors"]
        if each["component"] == "outputs/customer-syslog"
    )
    said = await asker.get(f"/v1/runtime_mtd/{one.oid}", root, entity_type="outputs")
    assert said["outputs"]["customer-syslog"]["last_error"] == error["error"]
    for _ in range(2):
        status, body, _ = await asker.ask("DELETE", f"{path}/outputs%2Fcustomer-syslog", root)
        assert (status, body) == (200, {})
    listed = (await asker.get(path, root))["errors"]
    assert error["component"] not in {each["component"] for each in listed}
    assert await asker.get(f"/v1/runtime_mtd/{one.oid}", root, entity_type="outputs") == {}
    dismissed = [each for each in await audit(asker, one.oid, root) if each["msg"] == "error dismissed"]
    assert [each["entity"]["name"] for each in dismissed] == ["outputs/customer-syslog"]
    row = (await asker.get("/v1/user/orgs", root, filter=one.oid, fields="errors"))["orgs"][0]
    assert error["component"] not in row["errors"]


async def test_an_error_ends_with_what_it_is_about(asker: Any, root: str) -> None:
    one = asker.world.failing
    asker.world.configuration.set_output(one, "customer-syslog", None)
    assert "customer-syslog" not in str(await asker.get(f"/v1/errors/{one.oid}", root))


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ({"specific_version": "4.34.0"}, "4.34.0"),
        ({"is_fallback": "true"}, "fallback"),
        ({"is_sleep": "True"}, "sleep"),
    ],
)
async def test_the_version_of_the_sensors_is_set(
    asker: Any, root: str, query: dict[str, str], version: str
) -> None:
    oid = asker.one.oid
    stable = (await asker.get(f"/v1/orgs/{oid}", root))["sensor_version"]
    assert await asker.ask("POST", f"/v1/modules/{oid}", root, params=query)
    assert (await asker.get(f"/v1/orgs/{oid}", root))["sensor_version"] == version
    await asker.ask("POST", f"/v1/modules/{oid}", root)
    assert (await asker.get(f"/v1/orgs/{oid}", root))["sensor_version"] == stable


async def test_schemas_start_over_when_they_are_reset(asker: Any, root: str) -> None:
    oid = asker.one.oid
    types = (await asker.get(f"/v1/orgs/{oid}/schema", root))["event_types"]
    assert "evt:NEW_PROCESS" in types
    status, body, _ = await asker.ask("DELETE", f"/v1/orgs/{oid}/schema", root)
    assert (status, body) == (200, {"success": True})
    assert (await asker.get(f"/v1/orgs/{oid}/schema", root))["event_types"] == []
    assert (await asker.ask("GET", f"/v1/orgs/{oid}/schema/evt:NEW_PROCESS", root))[0] == 404


def test_nothing_happens_live_where_there_are_no_machines() -> None:
    world = World(seed=31, orgs=3, detections=0, now_ms=NOW_MS)
    early = world.create_organization("Early", "", "a@b.example")
    gone = world.organizations[1]
    world.delete_organization(gone)
    world.detections.go_live(60_000, 0.0)
    late = world.create_organization("Late", "", "a@b.example")
    world.detections.advance(NOW_MS + 120_000)
    counts = [world.detections.count(one.index) for one in world.organizations]
    assert sum(counts) > 50_000
    assert counts[early.index] == counts[late.index] == counts[gone.index] == 0


def test_organizations_of_the_same_name_in_letters_have_nodes_of_their_own() -> None:
    world = World(seed=31, orgs=3, detections=0, now_ms=NOW_MS)
    first = world.create_organization("Fresh Start", "uk", "a@b.example")
    second = world.create_organization("fresh start!", "india", "a@b.example")
    tree = world.tree()
    ids = [node["id"] for node in tree]
    assert len(ids) == len(set(ids))
    assert {first.oid, second.oid} <= {node.get("oid") for node in tree}
    assert (first.region, second.region) == ("europe", "apac")
    assert all(node["parent"] is None or node["parent"] in ids for node in tree)


def test_children_of_a_deleted_organization_stay_in_the_tree() -> None:
    world = World(seed=31, orgs=20, detections=0, now_ms=NOW_MS)
    child = next(one for one in world.organizations if one.parent is not None)
    assert child.parent is not None
    world.delete_organization(world.organizations[child.parent])
    ids = {node["id"] for node in world.tree()}
    node = next(node for node in world.tree() if node.get("oid") == child.oid)
    assert node["parent"] in ids


async def test_organizations_made_in_two_worlds_of_one_seed_are_the_same() -> None:
    oids = []
    for _ in range(2):
        sandbox = Sandbox(World(seed=31, orgs=2, detections=0, now_ms=NOW_MS))
        await sandbox.start()
        async with aiohttp.ClientSession() as session:
            asker = Asker(sandbox, session)
            oids.append((await made(asker, await asker.token(oid="-")))[0])
        await sandbox.stop()
    assert oids[0] == oids[1]
