"""Cases are read over many organizations, and changed one by one."""

import asyncio
import json

import pytest

from console.limacharlie.client import CasePage, CasesRefused, Cloud
from console.limacharlie.credentials import OrganizationKey, Secret, UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.errors import Ambiguous, Conflict, Denied, Gone, Invalid, Protocol
from console.sandbox.server import Sandbox
from console.sandbox.world import World
from tests.helpers.raw_server import OID, OTHER, reply


@pytest.fixture
async def oids(cloud):
    return await cloud.case_organizations()


@pytest.fixture
async def desk(cloud, oids):
    """An organization with cases."""
    return cloud.organization(oids[0])


@pytest.fixture
async def number(desk):
    made = await desk.create_case(severity="high", summary="Something")
    assert made is not None
    return made


async def everything(pages):
    return [case async for page in pages for case in page.cases]


async def test_cases_of_many_organizations_come_in_one_call(cloud, oids):
    assert len(oids) > 1
    cases = await everything(cloud.cases(oids))
    assert {case["oid"] for case in cases} == set(oids)
    assert len({(case["oid"], case["case_number"]) for case in cases}) == len(cases)
    assert cloud.stats.endpoints["GET cases"] < len(oids) + len(cases) / 200


async def test_cases_are_filtered(cloud, oids):
    cases = await everything(cloud.cases(oids, {"status": "new,in_progress", "sort": "case_number"}))
    assert {case["status"] for case in cases} <= {"new", "in_progress"}
    for wrong in ({"colour": "red"}, {"status": "open"}, {"order": "up"}):
        with pytest.raises(Invalid):
            await everything(cloud.cases(oids, wrong))


async def test_one_that_cannot_be_read_is_named_and_hides_no_other(cloud, oids, sandbox):
    unsubscribed = next(each.oid for each in sandbox.world.organizations if each.oid not in oids)
    found = [page async for page in cloud.cases([*oids, unsubscribed, OTHER])]
    refused = {page.oid: type(page.error) for page in found if isinstance(page, CasesRefused)}
    assert refused.keys() == {unsubscribed, OTHER}
    read = {oid for page in found if isinstance(page, CasePage) for oid in page.oids}
    assert read == set(oids)


async def test_an_organizations_key_sees_its_own_cases(sandbox, oids):
    one = sandbox.world.by_oid[oids[0]]
    key = next(each for each in sandbox.world.access.keys(one) if not each.allowed_ip_range)
    async with Cloud(OrganizationKey(one.oid, Secret(key.secret)), Endpoint.single(sandbox.url)) as cloud:
        pages = [page async for page in cloud.cases([one.oid])]
        assert {page.oid if isinstance(page, CasesRefused) else page.oids[0] for page in pages} == {one.oid}


@pytest.fixture
async def large_cloud():
    """A cloud whose token for all organizations is too large for its gateway, and the sandbox."""
    sandbox = Sandbox(World(seed=5, orgs=400, detections=4000))
    await sandbox.start()
    root = sandbox.world.access.users[sandbox.world.access.root]
    async with Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(sandbox.url)) as cloud:
        yield cloud, sandbox
    await sandbox.stop()


async def test_where_the_token_for_all_is_too_large_each_is_asked_alone(large_cloud):
    cloud, sandbox = large_cloud
    wanted = [each.oid for each in sandbox.world.organizations][:12]
    found = [page async for page in cloud.cases(wanted)]
    assert {page.oid if isinstance(page, CasesRefused) else page.oids[0] for page in found} == set(wanted)
    assert any(isinstance(page, CasePage) and page.cases for page in found)
    assert all(isinstance(page, CasesRefused) or len(page.oids) == 1 for page in found)
    # It is learned once.
    asked = cloud.stats.endpoints["GET cases"]
    assert asked > len(wanted)
    assert len([page async for page in cloud.cases(wanted)]) == len(found)
    assert cloud.stats.endpoints["GET cases"] - asked < asked
    # As is what has cases at all.
    with_cases = {page.oids[0] for page in found if isinstance(page, CasePage)}
    assert set(await cloud.case_organizations(wanted)) == with_cases


async def test_figures_over_organizations_are_read(cloud, oids):
    [counts] = await cloud.case_counts(oids)
    assert counts.oids == tuple(oids)
    assert sum(counts.figures["by_status"].values()) == len(await everything(cloud.cases(oids)))
    [report] = await cloud.case_report(oids, "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "severity")
    assert report.figures
    assert await cloud.case_assignees(oids)
    with pytest.raises((Denied, Gone)):
        await cloud.case_counts([*oids, OTHER])


async def test_a_case_is_made_from_a_detection(desk, sandbox):
    now = sandbox.world.now
    page = await desk.detections(now - 30 * 86_400, now + 1)
    detection = json.loads(page.records[0]) | {"detect_id": "11111111-2222-4333-8444-555555555555"}
    made = await desk.create_case(detection)
    assert [each["detect_id"] for each in await desk.case_detections(made)] == [detection["detect_id"]]


async def test_a_case_is_changed_and_tells_what_happened(desk, number):
    changed = await desk.update_case(
        number, {"status": "in_progress", "assignees": ["a@b.example"], "tags": ["x", "y"]}
    )
    assert (changed["status"], changed["assignees"], changed["tags"]) == (
        "in_progress",
        ["a@b.example"],
        ["x", "y"],
    )
    file = await desk.case(number)
    assert file.case["summary"] == "Something"
    assert {"case_created", "case_assigned"} <= {event["action"] for event in file.events}


async def test_changes_that_are_none_are_not_sent(desk, number):
    for changes in ({}, {"colour": "red"}, {"status": "open"}, {"severity": "worst"}):
        with pytest.raises(Invalid):
            await desk.update_case(number, changes)
    for wrong in (0, -1, True, "1"):
        with pytest.raises(Invalid):
            await desk.case(wrong)


async def test_a_step_that_is_not_allowed_changes_nothing(desk, number):
    with pytest.raises((Invalid, Conflict)):
        await desk.update_case(number, {"status": "resolved"})
    assert (await desk.case(number)).case["status"] == "new"


async def test_several_cases_are_changed_at_once_and_merged(desk, number):
    others = [await desk.create_case(summary="another") for _ in range(3)]
    assert await desk.bulk_update_cases(others, {"classification": "false_positive"}) == 3
    assert (await desk.case(others[0])).case["classification"] == "false_positive"
    await desk.merge_cases(number, others[:2])
    merged = (await desk.case(others[0])).case
    assert (merged["status"], merged["merged_into_case_id"]) == (
        "closed",
        (await desk.case(number)).case["case_id"],
    )
    for wrong in ((number, []), (number, [number]), (number, range(1, 22))):
        with pytest.raises(Invalid):
            await desk.merge_cases(*wrong)
    with pytest.raises(Invalid):
        await desk.bulk_update_cases(range(1, 202), {"status": "closed"})


async def test_notes_are_written_and_shown(desk, number):
    event_id = await desk.add_note(number, "What we saw", "analysis")
    await desk.set_note_visibility(number, event_id, True)
    event = next(each for each in (await desk.case(number)).events if each["event_id"] == event_id)
    assert event["is_public"] is True
    with pytest.raises(Invalid):
        await desk.add_note(number, "x", "gossip")


async def test_time_is_logged(desk, number):
    await desk.log_time(number, 900, "a quarter of an hour")
    with pytest.raises(Invalid):
        await desk.log_time(number, 0)


async def test_detections_come_and_go(desk, number, sandbox):
    detection = {"detect_id": "11111111-2222-4333-8444-555555555555", "cat": "x", "routing": {}, "detect": {}}
    await desk.link_detection(number, detection)
    assert detection["detect_id"] in {each["detect_id"] for each in await desk.case_detections(number)}
    await desk.unlink_detection(number, detection["detect_id"])
    assert await desk.case_detections(number) == []
    with pytest.raises(Gone):
        await desk.unlink_detection(number, detection["detect_id"])


async def test_entities_telemetry_and_artifacts_come_change_and_go(cloud, desk, number):
    entity = await desk.add_case_entity(number, "ip", "203.0.113.9", verdict="suspicious")
    with pytest.raises(Conflict):
        await desk.add_case_entity(number, "ip", "203.0.113.9")
    await desk.update_case_entity(number, entity, note="seen twice", verdict="malicious")
    [row] = await desk.case_entities(number)
    assert (row["entity_id"], row["note"], row["verdict"]) == (entity, "seen twice", "malicious")
    hits = await cloud.find_entities([desk.oid], "ip", "203.0.113.9")
    assert [each["case_number"] for each in hits] == [number]
    await desk.remove_case_entity(number, entity)
    assert await desk.case_entities(number) == []

    routing = {"this": "a" * 32, "sid": "11111111-2222-4333-8444-555555555555", "event_type": "NEW_PROCESS"}
    telemetry = await desk.add_case_telemetry(number, {"routing": routing, "event": {}})
    await desk.update_case_telemetry(number, telemetry, verdict="benign")
    assert [each["verdict"] for each in await desk.case_telemetry(number)] == ["benign"]
    await desk.remove_case_telemetry(number, telemetry)
    assert await desk.case_telemetry(number) == []

    artifact = await desk.add_case_artifact(number, "/var/log/x", "host", artifact_type="log")
    assert [each["artifact_id"] for each in await desk.case_artifacts(number)] == [artifact]
    await desk.remove_case_artifact(number, artifact)
    assert await desk.case_artifacts(number) == []


async def test_the_configuration_is_replaced_as_a_whole(desk):
    configuration = await desk.case_configuration()
    await desk.set_case_configuration(configuration | {"retention_days": 30})
    assert await desk.case_configuration() == configuration | {"retention_days": 30}
    with pytest.raises(Invalid):
        await desk.set_case_configuration({})


async def test_many_at_once_are_each_there_once(desk):
    made = await asyncio.gather(*(desk.create_case(summary=f"number {place}") for place in range(5)))
    assert len(set(made)) == 5


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b""),
        reply(200, b"null"),
        reply(200, {"data": {"created": 1}, "error": "", "retry": False}),
        reply(200, {"data": {"created": 1, "case_number": "7"}, "error": ""}),
        reply(200, {"data": None, "error": "later", "retry": True}),
        reply(502, {"error": "no"}),
    ],
)
async def test_when_it_is_unclear_whether_a_case_was_made_it_is_not_tried_again(against, answer):
    async with against(lambda request: answer) as (server, cloud):
        with pytest.raises(Ambiguous):
            await cloud.organization(OID).create_case(summary="x")
    assert len(server.calls) == 1


async def test_what_an_extension_refuses_is_said_in_its_words(against):
    answer = reply(200, {"data": None, "error": "summary is too long", "retry": False})
    async with against(lambda request: answer) as (_, cloud):
        with pytest.raises(Invalid, match="summary is too long"):
            await cloud.organization(OID).create_case(summary="x")


async def test_cases_of_an_organization_that_was_not_asked_for_are_refused(against):
    answer = reply(200, {"cases": [{"case_number": 1, "oid": OTHER}], "next_page_token": ""})
    async with against(lambda request: answer) as (_, cloud):
        with pytest.raises(Protocol):
            await everything(cloud.cases([OID]))


async def test_a_listing_that_repeats_itself_ends(against):
    answer = reply(200, {"cases": [], "next_page_token": "again"})
    async with against(lambda request: answer) as (_, cloud):
        with pytest.raises(Protocol, match="repeats"):
            await everything(cloud.cases([OID]))
