"""Outputs, keys, add-ons, rules of older services, extensions and documents are changed."""

import json

import pytest

from console.limacharlie.errors import Ambiguous, Denied, Gone, Invalid
from tests.helpers.raw_server import OID, reply


async def test_an_output_comes_and_goes(handle):
    before = await handle.outputs()
    options = {"dest_host": "log.example:6514", "is_tls": True, "sec_per_file": 60}
    await handle.create_output("siem/2 & more", "syslog", "detect", options)
    after = await handle.outputs()
    assert after.keys() == before.keys() | {"siem/2 & more"}
    made = after["siem/2 & more"]
    assert (made["module"], made["for"], made["is_tls"], made["sec_per_file"]) == (
        "syslog",
        "detect",
        "true",
        "60",
    )
    await handle.delete_output("siem/2 & more")
    assert await handle.outputs() == before
    with pytest.raises(Gone):
        await handle.delete_output("siem/2 & more")


async def test_an_output_that_is_none_is_not_made(handle):
    before = await handle.outputs()
    for module, stream, options in (
        ("pigeon", "detect", {}),
        ("syslog", "gossip", {}),
        ("syslog", "detect", {"name": "other"}),
    ):
        with pytest.raises(Invalid):
            await handle.create_output("x", module, stream, options)
    assert await handle.outputs() == before


async def test_an_installation_key_is_made_changed_and_deleted(handle):
    before = await handle.installation_keys()
    iid = await handle.create_installation_key("Servers", ["server", "prod"], public_root_ca=True)
    key = await handle.installation_key(iid)
    assert (key["desc"], key["tags"], key["use_public_root_ca"]) == ("Servers", "server,prod", True)
    assert await handle.update_installation_key(iid, "All servers", ["x"], public_root_ca=False) == iid
    key = await handle.installation_key(iid)
    assert (key["desc"], key["tags"], key["use_public_root_ca"]) == ("All servers", "x", False)
    await handle.delete_installation_key(iid)
    assert await handle.installation_keys() == before
    with pytest.raises(Gone):
        await handle.installation_key(iid)
    with pytest.raises(Invalid):
        await handle.create_installation_key("x", ["a,b"])


async def test_an_ingestion_key_comes_and_goes(handle):
    key = await handle.create_ingestion_key("collector")
    assert (await handle.ingestion_keys())["collector"] == key
    assert key.reveal() not in repr(key)
    await handle.delete_ingestion_key("collector")
    assert "collector" not in await handle.ingestion_keys()


async def test_an_add_on_comes_and_goes(handle):
    await handle.add_resource("lookup", "tor-ips")
    assert "tor-ips" in (await handle.resources())["lookup"]
    await handle.remove_resource("lookup", "tor-ips")
    assert "tor-ips" not in (await handle.resources()).get("lookup", [])


RULES = {
    "integrity": {"patterns": ["/root/.ssh/*"], "filters": {"tags": ["t"], "platforms": ["linux"]}},
    "logging": {
        "patterns": ["/var/log/syslog:tail"],
        "days_retention": 30,
        "is_delete_after": False,
        "is_ignore_cert": False,
        "filters": {"tags": [], "platforms": ["linux"]},
    },
    "list": {"events": ["NEW_PROCESS"], "filters": {"tags": [], "platforms": ["windows"]}},
    "watch": {
        "event": "MODULE_LOAD",
        "operator": "ends with",
        "value": "wininet.dll",
        "path": ["FILE_PATH"],
        "filters": {"tags": ["server"], "platforms": ["windows"]},
    },
}


@pytest.mark.parametrize("service", ["integrity", "logging"])
async def test_a_rule_of_an_older_service_is_written_as_it_is_read(handle, service):
    before = await handle.service_rules(service)
    await handle.add_service_rule(service, "mine", RULES[service])
    rule = (await handle.service_rules(service))["mine"]
    assert {name: rule[name] for name in RULES[service]} == RULES[service]
    # What is read can be written again.
    await handle.add_service_rule(service, "mine", rule)
    again = (await handle.service_rules(service))["mine"]
    assert {name: again[name] for name in RULES[service]} == RULES[service]
    await handle.remove_service_rule(service, "mine")
    assert (await handle.service_rules(service)).keys() == before.keys()


@pytest.mark.parametrize("kind", ["list", "watch"])
async def test_a_rule_of_exfil_is_written_as_it_is_read(handle, kind):
    await handle.add_service_rule("exfil", "mine", RULES[kind])
    rule = (await handle.service_rules("exfil"))[kind]["mine"]
    assert {name: rule[name] for name in RULES[kind]} == RULES[kind]
    await handle.remove_service_rule("exfil", "mine", kind)
    assert "mine" not in (await handle.service_rules("exfil"))[kind]


async def test_yara_rules_and_sources_come_and_go(handle):
    await handle.add_service_rule("yara", "packers", {"source": "rule a { condition: true }"})
    assert "packers" in await handle.service_rules("yara", "list_sources")
    rule = {"sources": ["packers"], "filters": {"tags": ["t"], "platforms": ["windows"]}}
    await handle.add_service_rule("yara", "scan", rule)
    read = (await handle.service_rules("yara"))["scan"]
    assert {name: read[name] for name in rule} == rule
    await handle.remove_service_rule("yara", "scan")
    await handle.remove_service_rule("yara", "packers", "source")
    assert "packers" not in await handle.service_rules("yara", "list_sources")
    with pytest.raises(Invalid):
        await handle.remove_service_rule("yara", "scan", "watch")


async def test_an_extension_is_subscribed_rekeyed_and_unsubscribed(handle):
    names = {each["name"] for each in await handle.extension_definitions()}
    free = sorted(names - (await handle.subscriptions()).keys())[0]
    assert (await handle.extension_definition(free))["name"] == free
    assert "config_schema" in await handle.extension_schema(free)
    await handle.subscribe_extension(free)
    assert free in await handle.subscriptions()
    await handle.rekey_extension(free)
    await handle.unsubscribe_extension(free)
    assert free not in await handle.subscriptions()
    with pytest.raises(Gone):
        await handle.subscribe_extension("ext-of-nobody")


async def test_an_extension_is_asked(handle):
    answer = await handle.request_extension("ext-integrity", "list_rules", {})
    assert answer == await handle.service_rules("integrity")
    with pytest.raises(Invalid):
        await handle.request_extension("ext-of-nobody", "list_rules", {})


DOCUMENT = """
version: 3
hives:
  fp:
    from-a-document: {data: {op: is, path: cat, value: noise}, usr_mtd: {enabled: true}}
outputs:
  from-a-document: {module: syslog, for: detect, dest_host: log.example}
"""


async def test_a_document_is_previewed_without_a_change_and_then_added(handle):
    before = (await handle.hive("fp"), await handle.outputs(), await handle.subscriptions())
    options = {"sync_outputs": True, "sync_extensions": True}
    preview = await handle.preview_infrastructure(DOCUMENT, options, ["fp"])
    added = {each.name for each in preview.operations if each.added}
    assert added == {"fp/from-a-document", "from-a-document"}
    assert (await handle.hive("fp"), await handle.outputs(), await handle.subscriptions()) == before

    pushed = await handle.add_infrastructure(DOCUMENT, options, ["fp"])
    assert {each.name for each in pushed.operations if each.added} == added
    assert not any(each.removed for each in pushed.operations)
    assert pushed.errors == ()
    assert (await handle.hive("fp")).keys() == before[0].keys() | {"from-a-document"}
    assert (await handle.outputs()).keys() == before[1].keys() | {"from-a-document"}
    assert await handle.subscriptions() == before[2]


async def test_nothing_can_be_removed_by_a_document(handle, against):
    with pytest.raises(Invalid, match="is_force"):
        await handle.add_infrastructure(DOCUMENT, {"is_force": True})
    asked = []

    def answer(request):
        asked.append(request.form)
        ops = [{"type": "extension", "name": "ext-cases", "is_removed": True}]
        return reply(200, {"data": {"ops": ops, "errors": []}, "error": ""})

    async with against(answer) as (server, cloud):
        with pytest.raises(Ambiguous, match="removed"):
            await cloud.organization(OID).add_infrastructure(DOCUMENT)
        preview = await cloud.organization(OID).preview_infrastructure(DOCUMENT)
    assert preview.operations[0].removed
    assert len(server.calls) == 2
    assert all("force" not in json.dumps(form) for form in asked)


async def test_a_document_that_is_none_is_refused(handle):
    with pytest.raises(Invalid):
        await handle.preview_infrastructure("version: 99", {}, ["fp"])


async def test_what_is_elsewhere_is_resolved(handle):
    key = next(iter(await handle.hive("lookup")))
    assert await handle.resolve_arl(f"hive://lookup/{key}")
    with pytest.raises((Gone, Denied, Invalid)):
        await handle.resolve_arl("hive://lookup/nothing-like-it")


@pytest.mark.parametrize("answer", [{}, {"oid": OID}, {"oid": OID, "iid": ""}, {"oid": OID, "iid": 3}, []])
async def test_a_key_without_an_id_is_not_taken_for_made(against, answer):
    async with against(lambda request: reply(200, answer)) as (server, cloud):
        with pytest.raises(Ambiguous):
            await cloud.organization(OID).create_installation_key("x")
    assert len(server.calls) == 1
