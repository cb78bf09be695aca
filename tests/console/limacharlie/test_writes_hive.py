"""Hive records are written under the etag that was read, whole, and once."""

import json

import msgspec
import pytest

from console.limacharlie.client import ABSENT, HiveMetadata
from console.limacharlie.errors import Ambiguous, Conflict, Denied, Gone, Invalid, Protocol
from tests.helpers.raw_server import OID, Cut, reply

RULE = {
    "detect": {"event": "NEW_PROCESS", "op": "is", "path": "event/FILE_PATH", "value": "x"},
    "respond": [{"action": "report", "name": "found"}],
}
ON = HiveMetadata(enabled=True, expiry=0, tags=("a", "b"), comment="from here", others={})
SUCCESS = {"guid": "g", "hive": {"name": "dr-general", "partition": OID}, "name": "key"}


async def any_rule(handle):
    return next(iter((await handle.hive("dr-general")).items()))


async def test_a_new_record_is_written_and_read_back(handle):
    written = await handle.set_hive_record("dr-general", "a/new one", RULE, ON, ABSENT)
    assert (written.hive, written.key) == ("dr-general", "a/new one")
    record = await handle.hive_record("dr-general", "a/new one")
    assert record.body == RULE
    assert HiveMetadata.of(record) == ON
    assert record.system["guid"] == written.guid


async def test_a_record_is_not_new_where_there_is_one(handle, sandbox):
    key, record = await any_rule(handle)
    with pytest.raises(Conflict, match="already"):
        await handle.set_hive_record("dr-general", key, RULE, ON, ABSENT)
    assert (await handle.hive_record("dr-general", key)) == record


async def test_a_change_under_the_etag_that_was_read_is_made(handle):
    key, record = await any_rule(handle)
    metadata = msgspec.structs.replace(HiveMetadata.of(record), comment="seen")
    await handle.set_hive_record("dr-general", key, record.body, metadata, record.etag)
    after = await handle.hive_record("dr-general", key)
    assert after.body == record.body
    assert after.metadata == record.metadata | {"comment": "seen"}
    assert after.etag != record.etag


async def test_a_change_under_an_old_etag_is_a_conflict_and_changes_nothing(handle):
    key, record = await any_rule(handle)
    await handle.set_hive_metadata("dr-general", key, ON, record.etag)
    between = await handle.hive_record("dr-general", key)
    for change in (
        lambda: handle.set_hive_record("dr-general", key, RULE, ON, record.etag),
        lambda: handle.set_hive_metadata("dr-general", key, ON, record.etag),
        lambda: handle.delete_hive_record("dr-general", key, record.etag),
        lambda: handle.rename_hive_record("dr-general", key, "other", record.etag),
    ):
        with pytest.raises(Conflict):
            await change()
    assert await handle.hive_record("dr-general", key) == between


async def test_metadata_alone_leaves_the_content(handle):
    key, record = await any_rule(handle)
    off = msgspec.structs.replace(HiveMetadata.of(record), enabled=False)
    await handle.set_hive_metadata("dr-general", key, off, record.etag)
    after = await handle.hive_record("dr-general", key)
    assert after.body == record.body
    assert after.metadata == record.metadata | {"enabled": False}


async def test_without_an_etag_nothing_is_sent(handle, sandbox):
    for change in (
        lambda: handle.set_hive_record("fp", "key", {}, ON, ""),
        lambda: handle.set_hive_metadata("fp", "key", ON, ""),
    ):
        with pytest.raises(Invalid, match="etag"):
            await change()
    assert not any(name.startswith(("POST hive", "DELETE")) for name in handle._transport.stats.endpoints)


async def test_a_deleted_record_is_gone(handle):
    key, record = await any_rule(handle)
    await handle.delete_hive_record("dr-general", key, record.etag)
    for read in (
        handle.hive_record("dr-general", key),
        handle.hive_metadata("dr-general", key),
        handle.delete_hive_record("dr-general", key, record.etag),
        handle.rename_hive_record("dr-general", key, "other", record.etag),
    ):
        with pytest.raises(Gone):
            await read
    # Whether a record that is gone is one that changed is the cloud's choice.
    for write in (
        handle.set_hive_record("dr-general", key, RULE, ON, record.etag),
        handle.set_hive_metadata("dr-general", key, ON, record.etag),
    ):
        with pytest.raises((Gone, Conflict)):
            await write
    assert key not in await handle.hive("dr-general")


async def test_a_record_gets_another_key_that_is_free(handle):
    rules = await handle.hive("dr-general")
    (key, record), (taken, _) = list(rules.items())[:2]
    with pytest.raises(Conflict, match="already"):
        await handle.rename_hive_record("dr-general", key, taken, record.etag)
    await handle.rename_hive_record("dr-general", key, "another/name & more", record.etag)
    after = await handle.hive("dr-general")
    assert after.keys() == (rules.keys() - {key}) | {"another/name & more"}
    assert after["another/name & more"].body == record.body


async def test_a_record_is_validated_without_being_stored(handle):
    assert await handle.validate_hive_record("dr-general", "tried", RULE, ON) == ""
    assert "detect" in await handle.validate_hive_record("dr-general", "tried", {"respond": []})
    assert "tried" not in await handle.hive("dr-general")


async def test_the_name_of_a_scope_is_written_in_lower_case(handle):
    written = await handle.set_hive_record("acl", "Tier-Two", {"members": []}, ON, ABSENT)
    assert written.key == "tier-two"
    assert (await handle.hive_record("acl", "tier-two")).body == {"members": []}


async def test_metadata_is_read_without_the_content(handle):
    key, record = await any_rule(handle)
    read = await handle.hive_metadata("dr-general", key)
    assert read == msgspec.structs.replace(record, body=None)


async def test_what_is_not_json_is_not_sent(handle):
    for data in ({"a": float("nan")}, {"a": {1, 2}}, {1: "a"}):
        with pytest.raises(Invalid, match="not JSON"):
            await handle.set_hive_record("lookup", "key", data, ON, ABSENT)


async def test_content_that_is_closed_to_this_key_is_never_written_back(handle):
    with pytest.raises(Invalid, match="closed"):
        await handle.set_hive_record("lookup", "key", {"acl_restricted": True}, ON, "etag")


async def test_a_schema_is_an_object(handle):
    assert (await handle.hive_schema("secret"))["required"] == ["secret"]


async def test_another_organization_is_out_of_reach(cloud, sandbox):
    closed = sandbox.world.unauthorized
    if closed is not None:
        with pytest.raises(Denied):
            await cloud.organization(closed.oid).set_hive_record("fp", "key", {}, ON, ABSENT)


class TestFromAnswersThatAreNotQuiteRight:
    @pytest.mark.parametrize(
        "answer",
        [
            reply(200, b""),
            reply(200, b"null"),
            reply(200, b"<html>login</html>"),
            reply(200, {}),
            reply(200, []),
            reply(200, SUCCESS | {"name": "another"}),
            reply(200, SUCCESS | {"hive": {"name": "dr-general", "partition": "another"}}),
            reply(200, SUCCESS | {"error": "half of it failed"}),
            reply(500, {"error": "no"}),
            reply(503, {"error": "no"}),
            reply(302, b"", [("Location", "https://elsewhere.example/")]),
            Cut(reply(200, SUCCESS)[:-3]),
            Cut(),
        ],
    )
    async def test_an_unclear_answer_leaves_the_outcome_unknown_and_is_not_repeated(self, against, answer):
        async with against(lambda request: answer) as (server, cloud):
            with pytest.raises(Ambiguous):
                await cloud.organization(OID).set_hive_record("dr-general", "key", RULE, ON, "etag")
        assert len(server.calls) == 1

    async def test_the_whole_metadata_and_the_etag_are_sent(self, against):
        async with against(lambda request: reply(200, SUCCESS)) as (server, cloud):
            metadata = HiveMetadata(enabled=False, expiry=1, tags=(), comment="", others={"ui_actions": [1]})
            await cloud.organization(OID).set_hive_record("dr-general", "key", RULE, metadata, "the-etag")
        sent = server.calls[0].form
        assert json.loads(sent["usr_mtd"]) == {
            "ui_actions": [1],
            "enabled": False,
            "expiry": 1,
            "tags": [],
            "comment": "",
        }
        assert sent["etag"] == "the-etag"
        assert json.loads(sent["data"]) == RULE

    async def test_a_strangers_half_characters_go_back_as_they_were_read(self, against):
        data = {"lookup_data": {"\ud800": {}}}
        async with against(lambda request: reply(200, SUCCESS)) as (server, cloud):
            await cloud.organization(OID).set_hive_record("dr-general", "key", data, ON, "etag")
        assert json.loads(server.calls[0].form["data"]) == data

    async def test_a_record_is_not_taken_for_absent_because_its_organization_is(self, against):
        async with against(lambda request: reply(404, {"error": "not found"})) as (server, cloud):
            with pytest.raises(Gone):
                await cloud.organization(OID).set_hive_record("dr-general", "key", RULE, ON, ABSENT)
        assert [each.method for each in server.calls] == ["GET"]

    async def test_a_record_without_an_etag_is_refused(self, against):
        async with against(lambda request: reply(200, {"data": {}, "usr_mtd": {}, "sys_mtd": {}})) as (
            _,
            cloud,
        ):
            with pytest.raises(Protocol, match="etag"):
                await cloud.organization(OID).hive_record("dr-general", "key")
