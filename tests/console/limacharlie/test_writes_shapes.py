"""An answer that could be read as "nothing there", or as "all is well", and does not say so, is refused."""

import pytest

from console.limacharlie.errors import Ambiguous, Protocol
from tests.helpers.raw_server import OID, OTHER, reply

SID = "11111111-2222-4333-8444-555555555555"


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        (lambda handle: handle.extension_definitions(), {}),
        (lambda handle: handle.extension_definition("ext-a"), {}),
        (lambda handle: handle.extension_definition("ext-a"), {"name": "ext-b"}),
        (lambda handle: handle.extension_schema("ext-a"), {}),
        (lambda handle: handle.event(SID, "a" * 32), {"event": {}}),
        (lambda handle: handle.object_seen("ip", "x"), {}),
        (lambda handle: handle.objects_seen({"ip": ["x"]}), {}),
        (lambda handle: handle.online_of([SID]), {}),
        (lambda handle: handle.online_of([SID]), {OTHER: True}),
        (lambda handle: handle.online_of([SID]), {SID: "true"}),
        (lambda handle: handle.sensors_with_tag("x"), {"error_count": []}),
        (lambda handle: handle.sensor(SID), {"info": {"sid": OTHER}, "is_online": True}),
        (lambda handle: handle.sensor(SID), {"info": {"sid": SID, "oid": OTHER}, "is_online": True}),
        (lambda handle: handle.case(7), {"case": {"case_number": 8}, "events": []}),
        (lambda handle: handle.case(7), {"case": {"case_number": 7, "oid": OTHER}, "events": []}),
        (lambda handle: handle.case_configuration(), {}),
        (lambda handle: handle.case_configuration(), {"something": "else"}),
        (lambda handle: handle.case_entities(7), {"entities": [{}]}),
        (lambda handle: handle.case_entities(7), {}),
        (lambda handle: handle.billing_status(), {"is_past_due": None}),
        (lambda handle: handle.installation_key(SID), {"iid": OTHER}),
        (lambda handle: handle.validate_hive_record("fp", "x", {}), {"vaild": False}),
        (lambda handle: handle.deletion_confirmation(), {"confirmation": ""}),
        (lambda handle: handle.preview_infrastructure("x"), {"data": {}, "error": ""}),
        (lambda handle: handle.resolve_arl("x"), None),
    ],
)
async def test_of_what_is_read(against, read, answer):
    async with against(lambda request: reply(200, answer)) as (_, cloud):
        with pytest.raises(Protocol):
            await read(cloud.organization(OID))


@pytest.mark.parametrize(
    ("write", "answer"),
    [
        (lambda handle: handle.bulk_update_cases([1, 2], {"status": "closed"}), {"updated": 3}),
        (lambda handle: handle.bulk_update_cases([1, 2], {"status": "closed"}), {"updated": True}),
        (lambda handle: handle.update_case(7, {"status": "closed"}), {"case": {"case_number": 8}}),
        (lambda handle: handle.add_note(7, "x"), {"event_id": ""}),
        (lambda handle: handle.add_case_entity(7, "ip", "x"), {}),
        (lambda handle: handle.create_output("a", "syslog", "detect", {}), {"name": "b"}),
        (lambda handle: handle.create_ingestion_key("a"), {"name": "b", "key": "x"}),
        (lambda handle: handle.set_role("a@b.example", "Viewer"), {"success": True, "role": "Owner"}),
        (lambda handle: handle.add_resource("api", "vt"), {}),
        (lambda handle: handle.add_infrastructure("x"), {"data": {}, "error": ""}),
        (lambda handle: handle.isolate_sensor(SID), {"error": "half of it failed"}),
        (lambda handle: handle.isolate_sensor(SID), {"success": False}),
        (lambda handle: handle.isolate_sensor(SID), None),
        (lambda handle: handle.delete_sensor(SID), []),
    ],
)
async def test_of_what_is_written_and_the_write_is_sent_once(against, write, answer):
    async with against(lambda request: reply(200, answer)) as (server, cloud):
        with pytest.raises(Ambiguous):
            await write(cloud.organization(OID))
    assert len(server.calls) == 1
