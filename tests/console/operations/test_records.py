"""Every section's records: written, read back as wanted, changed, taken away."""

import pytest

from console.limacharlie.client import Cloud
from console.limacharlie.credentials import UserKey
from console.limacharlie.endpoint import Endpoint
from console.operations.records import read, remove, write
from store.rollouts.compare import normalised_metadata, wanted_hash
from store.secret import Secret
from tests.helpers.sandboxes import sandbox

KEY = b"k" * 32
ON = {"enabled": True, "expiry": 0, "tags": ["b", "a"], "comment": "why"}

RECORDS = [
    ("hive/fp", "one", {"op": "is", "path": "cat", "value": "a"}, {"op": "is", "path": "cat", "value": "b"}),
    (
        "hive/dr-general",
        "rule",
        {"detect": {"op": "exists", "event": "NEW_PROCESS", "path": "event/A"}, "respond": []},
        {"detect": {"op": "exists", "event": "NEW_PROCESS", "path": "event/B"}, "respond": []},
    ),
    ("hive/lookup", "bad", {"lookup_data": {"1.1.1.1": {}}}, {"lookup_data": {"2.2.2.2": {}}}),
    (
        "output",
        "siem",
        {"module": "syslog", "for": "detect", "dest_host": "a:1", "is_tls": True},
        {"module": "syslog", "for": "detect", "dest_host": "b:1"},
    ),
    ("installation_key", "servers", {"tags": ["x"]}, {"tags": ["x", "y"], "use_public_root_ca": True}),
    ("extension", "ext-reliable-tasking", {}, {}),
    ("resource", "api", ["ip-geo"], ["ip-geo", "vt"]),
    ("org_value", "otx", "AAAA", "BBBB"),
    ("integrity", "keys", {"patterns": ["/a"], "platforms": ["linux"]}, {"patterns": ["/b"], "platforms": ["linux"]}),
    (
        "artifact",
        "logs",
        {"patterns": ["/var/log/a"], "platforms": ["linux"], "days_retention": 3},
        {"patterns": ["/var/log/a"], "platforms": ["linux"], "days_retention": 4},
    ),
    ("exfil", "list/chosen", {"events": ["NEW_PROCESS"], "platforms": ["linux"]}, {"events": ["DNS_REQUEST"], "platforms": ["linux"]}),
    (
        "exfil",
        "watch/dll",
        {"event": "MODULE_LOAD", "operator": "is", "value": "a", "path": ["FILE_PATH"], "platforms": ["windows"]},
        {"event": "MODULE_LOAD", "operator": "is", "value": "b", "path": ["FILE_PATH"], "platforms": ["windows"]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("section", "name", "first", "second"), RECORDS, ids=[f"{each[0]}/{each[1]}" for each in RECORDS]
)
async def test_a_record_is_written_changed_and_taken_away(section, name, first, second):
    async with sandbox(orgs=1, detections=0) as serving:
        root = serving.world.access.users[serving.world.access.root]
        cloud = Cloud(UserKey(root.uid, Secret(root.api_key)), Endpoint.single(serving.url))
        async with cloud:
            (oid,) = [each.oid async for page in cloud.organizations() for each in page]
            handle = cloud.organization(oid)
            there = await read(handle, section, name)
            if there is not None:
                await remove(handle, section, name, there)
            metadata = ON if section.startswith("hive/") else None
            for body in (first, second):
                await write(handle, section, name, body, metadata, await read(handle, section, name))
                found = await read(handle, section, name)
                assert found is not None
                if section == "resource":
                    assert set(body) <= set(found.body)
                else:
                    assert found.hash(section, name, KEY) == wanted_hash(section, name, body, KEY)
                if metadata is not None:
                    assert found.metadata == normalised_metadata(ON)
            await remove(handle, section, name, found)
            assert await read(handle, section, name) is None
