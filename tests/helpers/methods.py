"""Every public method of the client, found by looking, and for each an example of its use on the sandbox."""

import inspect
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import console.limacharlie.client  # noqa: F401  (so that every part of the client is there)
from console.limacharlie.client import CasesRefused, Cloud, HiveMetadata
from console.limacharlie.credentials import Secret, UserKey
from console.limacharlie.endpoint import Endpoint
from console.limacharlie.handle import Asker
from console.limacharlie.hive import ABSENT
from console.sandbox.server import Sandbox
from console.sandbox.world import World

NOW = 1_790_000_000
"""Seconds: the end of the worlds' past."""
DAY = 86_400
RULE = {"detect": {"event": "NEW_PROCESS", "op": "exists", "path": "event"}, "respond": []}
EVENT = {
    "event": {"COMMAND_LINE": "x", "FILE_PATH": "C:\\\\x.exe", "PROCESS_ID": 4},
    "routing": {
        "sid": "03d89bbb-32f6-4a3e-9276-4b18fff7edd2",
        "event_type": "NEW_PROCESS",
        "this": "0123456789abcdef0123456789abcdef",
        "event_time": NOW * 1000,
    },
}
QUERY = "-24h | * | * | *"
DOCUMENT = """version: 3
hives:
  dr-general:
    pushed:
      data: {detect: {event: NEW_PROCESS, op: exists, path: event}, respond: []}
      usr_mtd: {enabled: true}
"""
METADATA = HiveMetadata(enabled=True, expiry=0, tags=("matrix",), comment="by a test", others={})


@dataclass
class Stage:
    """A world of its own, served, and a client of its administrator."""

    sandbox: Sandbox
    cloud: Cloud
    kept: dict[str, Any] = field(default_factory=dict)
    """What the preparation of a change put there."""

    @property
    def organization(self):
        return self.sandbox.world.organizations[1]

    @property
    def handle(self):
        return self.cloud.organization(self.organization.oid)

    @property
    def sid(self):
        return self.kept["sid"]


def a_world():
    """A small one."""
    return World(seed=3, orgs=3, detections=60, now_ms=NOW * 1000)


@asynccontextmanager
async def a_stage(*, world=None, **options):
    """A stage; the options are of Cloud."""
    sandbox = Sandbox(world or a_world())
    await sandbox.start()
    try:
        root = sandbox.world.access.users[sandbox.world.access.root]
        key = UserKey(root.uid, Secret(root.api_key))
        async with Cloud(key, Endpoint.single(sandbox.url), **options) as cloud:
            yield Stage(sandbox, cloud)
    finally:
        await sandbox.stop()


@dataclass(frozen=True)
class Row:
    """An example of the use of one method."""

    ask: Callable[[Stage], Any]
    """What is proven: an awaitable, or pages."""
    prepare: Callable[[Stage], Awaitable[None]] | None = None
    """What must be there before."""
    changes: str = ""
    """The HTTP method of its change; "" when it changes nothing."""
    lenient: frozenset[str] = frozenset()
    """Broken bodies that are right answers of this method: no client could tell."""
    empty: bool = False
    """The right answer is empty or a plain False."""
    fresh: bool = False
    """The answer is another one each time."""
    tokenless: bool = False
    """It begins with a request without a token."""
    closed: bool = False
    """Its answer has no room for unknown members: they would be ids, or words of another answer."""
    goes_on: bool = False
    """After the change it reads on, and what it reads may be broken."""


def public_methods():
    """`Part.method` of everything that asks LimaCharlie, whatever class it stands in."""
    found, left = set(), [Asker]
    while left:
        each = left.pop()
        left += each.__subclasses__()
        found |= {
            f"{each.__name__}.{name}"
            for name, member in vars(each).items()
            if not name.startswith("_")
            and (inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member))
        }
    return sorted(found)


async def asked(row, stage):
    """The answer of a row; the pages of a listing all together.

    Raises:
        LimaCharlieError: also one that a listing over many organizations hands out for one of them.
    """
    answer = row.ask(stage)
    if not inspect.isasyncgen(answer):
        return await answer
    found = []
    async for page in answer:
        if isinstance(page, CasesRefused):
            raise page.error
        found += page if isinstance(page, list) else [page]
    return found


# What changes need


async def _sensor(stage):
    async for page in stage.handle.sensors():
        stage.kept["sid"] = page[0]["sid"]
        break


async def _tagged(stage):
    await _sensor(stage)
    await stage.handle.tag_sensor(stage.sid, "here-before")


async def _record(stage):
    await stage.handle.set_hive_record("dr-general", "before", RULE, METADATA, ABSENT)
    stage.kept["record"] = await stage.handle.hive_record("dr-general", "before")


async def _detection(stage):
    page = await stage.handle.detections(NOW - 40 * DAY, NOW)
    stage.kept["detection"] = json.loads(page.records[0])
    stage.kept["detect_id"] = stage.kept["detection"]["detect_id"]


async def _group(stage):
    gid = stage.kept["gid"] = await stage.cloud.create_group("by the matrix")
    user = (await stage.handle.users())[0]
    stage.kept["email"] = user
    await stage.cloud.add_group_organization(gid, stage.organization.oid)


async def _group_with_people(stage):
    await _group(stage)
    await stage.cloud.add_group_member(stage.kept["gid"], stage.kept["email"])
    await stage.cloud.add_group_owner(stage.kept["gid"], stage.kept["email"])


async def _groups_own(stage):
    stage.kept["gid"] = (await stage.cloud.groups())[0]["group_id"]


async def _user(stage):
    stage.kept["email"] = next(
        email for email in await stage.handle.users() if email != stage.sandbox.world.access.root
    )
    await stage.handle.grant(stage.kept["email"], "dr.del")


async def _somebody_else(stage):
    here = set(await stage.handle.users())
    stage.kept["email"] = next(email for email in stage.sandbox.world.access.users if email not in here)


async def _key(stage):
    stage.kept["key"] = await stage.handle.create_key("by the matrix", ["org.get"])


async def _error(stage):
    (error, *_) = await stage.handle.errors()
    stage.kept["component"] = error["component"]


async def _own_organization(stage):
    oid = await stage.cloud.create_organization("To be deleted", "usa")
    stage.kept["oid"] = oid
    stage.kept["confirmation"] = await stage.cloud.organization(oid).deletion_confirmation()


async def _event_type(stage):
    stage.kept["type"] = (await stage.handle.event_types())[0]


async def _case(stage):
    stage.kept["case"] = await stage.handle.create_case(severity="high", summary="Something")


async def _two_cases(stage):
    await _case(stage)
    stage.kept["other case"] = await stage.handle.create_case(severity="low", summary="Something else")


async def _entity(stage):
    await _case(stage)
    stage.kept["entity"] = await stage.handle.add_case_entity(stage.kept["case"], "ip", "192.0.2.7")


async def _artifact(stage):
    await _case(stage)
    stage.kept["artifact"] = await stage.handle.add_case_artifact(stage.kept["case"], "/tmp/x", "a test")


async def _telemetry(stage):
    await _case(stage)
    stage.kept["telemetry"] = await stage.handle.add_case_telemetry(stage.kept["case"], EVENT)


async def _note(stage):
    await _case(stage)
    stage.kept["note"] = await stage.handle.add_note(stage.kept["case"], "Seen")


async def _full_case(stage):
    await _detection(stage)
    await _case(stage)
    number, kept, handle = stage.kept["case"], stage.kept, stage.handle
    await handle.link_detection(number, kept["detection"])
    kept["note"] = await handle.add_note(number, "Seen")
    kept["entity"] = await handle.add_case_entity(number, "ip", "192.0.2.7")
    kept["artifact"] = await handle.add_case_artifact(number, "/tmp/x", "a test")
    kept["telemetry"] = await handle.add_case_telemetry(number, EVENT)


async def _case_and_detection(stage):
    await _detection(stage)
    await _case(stage)


async def _event(stage):
    async for page in stage.handle.sensors():
        for sensor in page:
            events = await stage.handle.events(sensor["sid"], NOW - DAY, NOW)
            if events.records:
                stage.kept["sid"] = sensor["sid"]
                stage.kept["atom"] = events.records[0]["routing"]["this"]
                return


async def _tag(stage):
    stage.kept["tag"] = (await stage.handle.tags())[0]


async def _output(stage):
    stage.kept["output"] = next(iter(await stage.handle.outputs()))


async def _installation_key(stage):
    stage.kept["iid"] = next(iter(await stage.handle.installation_keys()))


async def _ingestion_key(stage):
    await stage.handle.create_ingestion_key("before")


async def _service_rule(stage):
    stage.kept["rule"] = next(iter(await stage.handle.service_rules("integrity")))


async def _isolated(stage):
    await _sensor(stage)
    await stage.handle.isolate_sensor(stage.sid)


async def _sealed(stage):
    await _sensor(stage)
    await stage.handle.seal_sensor(stage.sid)


async def _hosts(stage):
    await stage.handle.search_limits()


async def _search(stage):
    found = [each async for each in stage.handle.search(QUERY, NOW - 3_600, NOW)]
    stage.kept["query"] = found[0].query_id


def _changes(method, ask, prepare=None, *, lenient=()):
    return Row(ask, prepare, method, frozenset(lenient))


BARE = ("object", "strange object")
"""What is answered by `{}`, to which members may be added at any time."""
_ANY_OBJECT = frozenset(("object", "strange object", "error"))
"""The keys of the answer are not published."""


def _smallest(stage):
    """The sandbox looks for an indicator at every sensor."""
    organizations = stage.sandbox.world.organizations
    return stage.cloud.organization(min(organizations, key=lambda each: each.sensors).oid)


def _oids(stage):
    return [each.oid for each in stage.sandbox.world.organizations[1:]]


ROWS: dict[str, Row] = {
    "CloudOrganizations.who": Row(lambda s: s.cloud.who(everywhere=True)),
    "CloudOrganizations.organizations": Row(lambda s: s.cloud.organizations()),
    "CloudOrganizations.name_available": Row(lambda s: s.cloud.name_available("Nobody Ltd")),
    "CloudOrganizations.create_organization": _changes(
        "POST", lambda s: s.cloud.create_organization("New", "usa")
    ),
    "CloudOrganizations.plans": Row(lambda s: s.cloud.plans()),
    "CloudGroups.groups": Row(lambda s: s.cloud.groups()),
    "CloudGroups.group": Row(lambda s: s.cloud.group(s.kept["gid"]), _groups_own),
    "CloudGroups.group_logs": Row(lambda s: s.cloud.group_logs(s.kept["gid"]), _groups_own),
    "CloudGroups.create_group": _changes("POST", lambda s: s.cloud.create_group("New")),
    "CloudGroups.delete_group": _changes("DELETE", lambda s: s.cloud.delete_group(s.kept["gid"]), _group),
    "CloudGroups.add_group_member": _changes(
        "POST", lambda s: s.cloud.add_group_member(s.kept["gid"], s.kept["email"]), _group
    ),
    "CloudGroups.remove_group_member": _changes(
        "DELETE", lambda s: s.cloud.remove_group_member(s.kept["gid"], s.kept["email"]), _group_with_people
    ),
    "CloudGroups.add_group_owner": _changes(
        "POST", lambda s: s.cloud.add_group_owner(s.kept["gid"], s.kept["email"]), _group
    ),
    "CloudGroups.remove_group_owner": _changes(
        "DELETE", lambda s: s.cloud.remove_group_owner(s.kept["gid"], s.kept["email"]), _group_with_people
    ),
    "CloudGroups.add_group_organization": _changes(
        "POST",
        lambda s: s.cloud.add_group_organization(s.kept["gid"], s.sandbox.world.organizations[2].oid),
        _group,
    ),
    "CloudGroups.remove_group_organization": _changes(
        "DELETE", lambda s: s.cloud.remove_group_organization(s.kept["gid"], s.organization.oid), _group
    ),
    "CloudGroups.set_group_permissions": _changes(
        "POST", lambda s: s.cloud.set_group_permissions(s.kept["gid"], ["org.get", "dr.list"]), _group
    ),
    "Organization.record": Row(lambda s: s.handle.record()),
    "Organization.urls": Row(lambda s: s.handle.urls(), tokenless=True),
    "Organization.org_value": Row(lambda s: s.handle.org_value("vt")),
    "Organization.usage": Row(lambda s: s.handle.usage()),
    "Organization.errors": Row(lambda s: s.handle.errors()),
    "Organization.quota_usage": Row(lambda s: s.handle.quota_usage()),
    "Organization.online": Row(lambda s: s.handle.online()),
    "Organization.mitre": Row(lambda s: s.handle.mitre()),
    "Organization.event_types": Row(lambda s: s.handle.event_types()),
    "Organization.event_schema": Row(lambda s: s.handle.event_schema(s.kept["type"]), _event_type),
    "Organization.resolve_arl": Row(
        lambda s: s.handle.resolve_arl("hive://dr-general/before"),
        _record,
        lenient=frozenset(
            ("null", "true", "number", "text", "list", "list of nulls", "object", "strange object", "error")
        ),
    ),
    "Organization.rename": _changes("POST", lambda s: s.handle.rename("Another name")),
    "Organization.describe": _changes("POST", lambda s: s.handle.describe("What it is")),
    "Organization.set_quota": _changes("POST", lambda s: s.handle.set_quota(77)),
    "Organization.set_value": _changes("POST", lambda s: s.handle.set_value("vt", "x" * 20), lenient=BARE),
    "Organization.dismiss_error": _changes(
        "DELETE", lambda s: s.handle.dismiss_error(s.kept["component"]), _error, lenient=BARE
    ),
    "Organization.deletion_confirmation": Row(lambda s: s.handle.deletion_confirmation(), fresh=True),
    "Organization.delete": _changes(
        "DELETE",
        lambda s: s.cloud.organization(s.kept["oid"]).delete(s.kept["confirmation"]),
        _own_organization,
        lenient=BARE,
    ),
    "Access.users": Row(lambda s: s.handle.users()),
    "Access.permissions": Row(lambda s: s.handle.permissions()),
    "Access.keys": Row(lambda s: s.handle.keys()),
    "Access.add_user": _changes("POST", lambda s: s.handle.add_user(s.kept["email"]), _somebody_else),
    "Access.remove_user": _changes("DELETE", lambda s: s.handle.remove_user(s.kept["email"]), _user),
    "Access.grant": _changes("POST", lambda s: s.handle.grant(s.kept["email"], "dr.set"), _user),
    "Access.revoke": _changes("DELETE", lambda s: s.handle.revoke(s.kept["email"], "dr.del"), _user),
    "Access.set_role": _changes("PUT", lambda s: s.handle.set_role(s.kept["email"], "Viewer"), _user),
    "Access.create_key": _changes("POST", lambda s: s.handle.create_key("new", ["org.get"])),
    "Access.delete_key": _changes("DELETE", lambda s: s.handle.delete_key(s.kept["key"].key_hash), _key),
    "Hive.hive": Row(lambda s: s.handle.hive("dr-general")),
    "Hive.hive_record": Row(lambda s: s.handle.hive_record("dr-general", "before"), _record),
    "Hive.hive_metadata": Row(lambda s: s.handle.hive_metadata("dr-general", "before"), _record),
    "Hive.set_hive_record": _changes(
        "POST", lambda s: s.handle.set_hive_record("dr-general", "new", RULE, METADATA, ABSENT)
    ),
    "Hive.set_hive_metadata": _changes(
        "POST",
        lambda s: s.handle.set_hive_metadata("dr-general", "before", METADATA, s.kept["record"].etag),
        _record,
    ),
    "Hive.delete_hive_record": _changes(
        "DELETE",
        lambda s: s.handle.delete_hive_record("dr-general", "before", s.kept["record"].etag),
        _record,
        lenient=BARE,
    ),
    "Hive.rename_hive_record": _changes(
        "POST",
        lambda s: s.handle.rename_hive_record("dr-general", "before", "after", s.kept["record"].etag),
        _record,
        lenient=BARE,
    ),
    "Hive.validate_hive_record": Row(
        lambda s: s.handle.validate_hive_record("dr-general", "x", RULE),
        lenient=frozenset(("object", "error")),
        empty=True,
        closed=True,
    ),
    "Hive.hive_schema": Row(lambda s: s.handle.hive_schema("dr-general")),
    "Configuration.outputs": Row(lambda s: s.handle.outputs()),
    "Configuration.installation_keys": Row(lambda s: s.handle.installation_keys()),
    "Configuration.resources": Row(lambda s: s.handle.resources()),
    "Configuration.service_rules": Row(
        lambda s: s.handle.service_rules("integrity"), lenient=frozenset(("object",))
    ),
    "Configuration.fetch_infrastructure": Row(lambda s: s.handle.fetch_infrastructure(hives=["dr-general"])),
    "Extensions.subscriptions": Row(lambda s: s.handle.subscriptions(), lenient=frozenset(("object",))),
    "Insight.detections": Row(lambda s: s.handle.detections(NOW - 40 * DAY, NOW)),
    "Insight.detection": Row(lambda s: s.handle.detection(s.kept["detect_id"]), _detection),
    "Insight.audit": Row(lambda s: s.handle.audit(NOW - 40 * DAY, NOW)),
    "Sensors.sensors": Row(lambda s: s.handle.sensors()),
    "Sensors.sensor_tags": Row(lambda s: s.handle.sensor_tags(s.sid), _tagged),
    "Sensors.tag_sensor": _changes(
        "POST", lambda s: s.handle.tag_sensor(s.sid, "new"), _sensor, lenient=BARE
    ),
    "Sensors.untag_sensor": _changes(
        "DELETE", lambda s: s.handle.untag_sensor(s.sid, "here-before"), _tagged, lenient=BARE
    ),
    "CloudGroups.group_names": Row(lambda s: s.cloud.group_names()),
    "Organization.set_sensor_version": _changes(
        "POST", lambda s: s.handle.set_sensor_version("stable"), lenient=BARE
    ),
    "Billing.billing_details": Row(lambda s: s.handle.billing_details()),
    "Billing.billing_status": Row(lambda s: s.handle.billing_status(), empty=True),
    "Billing.invoice": Row(lambda s: s.handle.invoice(2026, 8)),
    "Billing.skus": Row(lambda s: s.handle.skus()),
    "CloudCases.cases": Row(lambda s: s.cloud.cases(_oids(s))),
    "CloudCases.case_counts": Row(lambda s: s.cloud.case_counts(_oids(s)), lenient=_ANY_OBJECT),
    "CloudCases.case_report": Row(
        lambda s: s.cloud.case_report(_oids(s), "2026-08-01T00:00:00Z", "2026-10-01T00:00:00Z"),
        lenient=_ANY_OBJECT,
    ),
    "CloudCases.case_assignees": Row(lambda s: s.cloud.case_assignees(_oids(s))),
    "CloudCases.case_organizations": Row(lambda s: s.cloud.case_organizations()),
    "CloudCases.find_entities": Row(lambda s: s.cloud.find_entities(_oids(s), "ip", "192.0.2.7"), _full_case),
    "Cases.case": Row(lambda s: s.handle.case(s.kept["case"]), _full_case),
    "Cases.case_detections": Row(lambda s: s.handle.case_detections(s.kept["case"]), _full_case),
    "Cases.case_entities": Row(lambda s: s.handle.case_entities(s.kept["case"]), _full_case),
    "Cases.case_artifacts": Row(lambda s: s.handle.case_artifacts(s.kept["case"]), _full_case),
    "Cases.case_telemetry": Row(lambda s: s.handle.case_telemetry(s.kept["case"]), _full_case),
    "Cases.case_configuration": Row(lambda s: s.handle.case_configuration(), lenient=_ANY_OBJECT),
    "Cases.create_case": _changes("POST", lambda s: s.handle.create_case(severity="low", summary="New")),
    "Cases.update_case": _changes(
        "PATCH", lambda s: s.handle.update_case(s.kept["case"], {"summary": "Other"}), _case
    ),
    "Cases.bulk_update_cases": _changes(
        "POST", lambda s: s.handle.bulk_update_cases([s.kept["case"]], {"status": "in_progress"}), _case
    ),
    "Cases.merge_cases": _changes(
        "POST",
        lambda s: s.handle.merge_cases(s.kept["case"], [s.kept["other case"]]),
        _two_cases,
        lenient=BARE,
    ),
    "Cases.add_note": _changes("POST", lambda s: s.handle.add_note(s.kept["case"], "Seen"), _case),
    "Cases.set_note_visibility": _changes(
        "PATCH",
        lambda s: s.handle.set_note_visibility(s.kept["case"], s.kept["note"], True),
        _note,
        lenient=BARE,
    ),
    "Cases.log_time": _changes("POST", lambda s: s.handle.log_time(s.kept["case"], 60), _case, lenient=BARE),
    "Cases.link_detection": _changes(
        "POST",
        lambda s: s.handle.link_detection(s.kept["case"], s.kept["detection"]),
        _case_and_detection,
        lenient=BARE,
    ),
    "Cases.unlink_detection": _changes(
        "DELETE",
        lambda s: s.handle.unlink_detection(s.kept["case"], s.kept["detect_id"]),
        _full_case,
        lenient=BARE,
    ),
    "Cases.add_case_entity": _changes(
        "POST", lambda s: s.handle.add_case_entity(s.kept["case"], "ip", "192.0.2.8"), _case
    ),
    "Cases.update_case_entity": _changes(
        "PATCH",
        lambda s: s.handle.update_case_entity(s.kept["case"], s.kept["entity"], note="x"),
        _entity,
        lenient=BARE,
    ),
    "Cases.remove_case_entity": _changes(
        "DELETE",
        lambda s: s.handle.remove_case_entity(s.kept["case"], s.kept["entity"]),
        _entity,
        lenient=BARE,
    ),
    "Cases.add_case_telemetry": _changes(
        "POST", lambda s: s.handle.add_case_telemetry(s.kept["case"], EVENT), _case
    ),
    "Cases.update_case_telemetry": _changes(
        "PATCH",
        lambda s: s.handle.update_case_telemetry(s.kept["case"], s.kept["telemetry"], note="x"),
        _telemetry,
        lenient=BARE,
    ),
    "Cases.remove_case_telemetry": _changes(
        "DELETE",
        lambda s: s.handle.remove_case_telemetry(s.kept["case"], s.kept["telemetry"]),
        _telemetry,
        lenient=BARE,
    ),
    "Cases.add_case_artifact": _changes(
        "POST", lambda s: s.handle.add_case_artifact(s.kept["case"], "/tmp/y", "a test"), _case
    ),
    "Cases.remove_case_artifact": _changes(
        "DELETE",
        lambda s: s.handle.remove_case_artifact(s.kept["case"], s.kept["artifact"]),
        _artifact,
        lenient=BARE,
    ),
    "Cases.set_case_configuration": _changes(
        "PUT", lambda s: s.handle.set_case_configuration({"retention_days": 30}), lenient=BARE
    ),
    "Configuration.preview_infrastructure": Row(
        lambda s: s.handle.preview_infrastructure(DOCUMENT, hives=["dr-general"])
    ),
    "Configuration.add_infrastructure": _changes(
        "POST", lambda s: s.handle.add_infrastructure(DOCUMENT, {}, hives=["dr-general"])
    ),
    "Configuration.create_output": _changes(
        "POST",
        lambda s: s.handle.create_output("new", "syslog", "detect", {"dest_host": "log.example:514"}),
        lenient=BARE,
    ),
    "Configuration.delete_output": _changes(
        "DELETE", lambda s: s.handle.delete_output(s.kept["output"]), _output, lenient=BARE
    ),
    "Configuration.installation_key": Row(
        lambda s: s.handle.installation_key(s.kept["iid"]), _installation_key
    ),
    "Configuration.create_installation_key": _changes(
        "POST", lambda s: s.handle.create_installation_key("new", ["a"])
    ),
    "Configuration.update_installation_key": _changes(
        "POST",
        lambda s: s.handle.update_installation_key(s.kept["iid"], "other", ["b"], public_root_ca=False),
        _installation_key,
    ),
    "Configuration.delete_installation_key": _changes(
        "DELETE", lambda s: s.handle.delete_installation_key(s.kept["iid"]), _installation_key, lenient=BARE
    ),
    "Configuration.ingestion_keys": Row(lambda s: s.handle.ingestion_keys(), _ingestion_key, fresh=True),
    "Configuration.create_ingestion_key": _changes("POST", lambda s: s.handle.create_ingestion_key("new")),
    "Configuration.delete_ingestion_key": _changes(
        "DELETE", lambda s: s.handle.delete_ingestion_key("before"), _ingestion_key, lenient=BARE
    ),
    "Configuration.add_resource": _changes(
        "POST", lambda s: s.handle.add_resource("api", "greynoise"), lenient=BARE
    ),
    "Configuration.remove_resource": _changes(
        "DELETE", lambda s: s.handle.remove_resource("api", "ip-geo"), lenient=BARE
    ),
    "Configuration.add_service_rule": _changes(
        "POST",
        lambda s: s.handle.add_service_rule("integrity", "new", {"patterns": ["/etc/passwd"]}),
        lenient=BARE,
    ),
    "Configuration.remove_service_rule": _changes(
        "POST",
        lambda s: s.handle.remove_service_rule("integrity", s.kept["rule"]),
        _service_rule,
        lenient=BARE,
    ),
    "Extensions.extension_definition": Row(
        lambda s: s.handle.extension_definition("ext-cases"), lenient=_ANY_OBJECT
    ),
    "Extensions.extension_definitions": Row(
        lambda s: s.handle.extension_definitions(), lenient=frozenset(("list", "object"))
    ),
    "Extensions.extension_schema": Row(lambda s: s.handle.extension_schema("ext-cases"), lenient=_ANY_OBJECT),
    "Extensions.subscribe_extension": _changes(
        "POST", lambda s: s.handle.subscribe_extension("ext-git-sync"), lenient=BARE
    ),
    "Extensions.unsubscribe_extension": _changes(
        "DELETE", lambda s: s.handle.unsubscribe_extension("ext-yara"), lenient=BARE
    ),
    "Extensions.rekey_extension": _changes(
        "PATCH", lambda s: s.handle.rekey_extension("ext-yara"), lenient=BARE
    ),
    "Extensions.request_extension": _changes(
        "POST", lambda s: s.handle.request_extension("ext-cases", "create_case", {"summary": "x"})
    ),
    "Insight.events": Row(lambda s: s.handle.events(s.sid, NOW - DAY, NOW), _event),
    "Insight.events_overview": Row(lambda s: s.handle.events_overview(s.sid, NOW - DAY, NOW), _event),
    "Insight.event": Row(lambda s: s.handle.event(s.sid, s.kept["atom"]), _event),
    "Insight.event_children": Row(
        lambda s: s.handle.event_children(s.sid, s.kept["atom"]), _event, empty=True
    ),
    "Insight.object_seen": Row(
        lambda s: _smallest(s).object_seen("domain", "example.com"), lenient=_ANY_OBJECT
    ),
    "Insight.objects_seen": Row(
        lambda s: _smallest(s).objects_seen({"domain": ["example.com"]}), lenient=_ANY_OBJECT
    ),
    "Search.search": Row(
        lambda s: s.handle.search(QUERY, NOW - 600, NOW), _hosts, "POST", frozenset(("error",)), goes_on=True
    ),
    "Search.validate_search": Row(
        lambda s: s.handle.validate_search(QUERY, NOW - DAY, NOW), lenient=_ANY_OBJECT, tokenless=True
    ),
    "Search.open_searches": Row(lambda s: s.handle.open_searches(), tokenless=True),
    "Search.search_limits": Row(lambda s: s.handle.search_limits(), lenient=_ANY_OBJECT, tokenless=True),
    "Search.cancel_search": _changes(
        "DELETE", lambda s: s.handle.cancel_search(s.kept["query"]), _search, lenient=BARE
    ),
    "Search.replay": _changes("POST", lambda s: s.handle.replay(RULE, NOW - 3_600, NOW), lenient=("error",)),
    "Search.replay_events": Row(lambda s: s.handle.replay_events(RULE, [EVENT]), tokenless=True, fresh=True),
    "Sensors.sensor": Row(lambda s: s.handle.sensor(s.sid), _sensor),
    "Sensors.online_of": Row(
        lambda s: s.handle.online_of([s.sid]), _sensor, lenient=frozenset(("object",)), closed=True
    ),
    "Sensors.tags": Row(lambda s: s.handle.tags()),
    "Sensors.sensors_with_tag": Row(
        lambda s: s.handle.sensors_with_tag(s.kept["tag"]), _tag, lenient=frozenset(("object",)), closed=True
    ),
    "Sensors.sensors_named": Row(lambda s: s.handle.sensors_named("")),
    "Sensors.task_sensor": _changes(
        "POST", lambda s: s.handle.task_sensor(s.sid, ["os_version"]), _sensor, lenient=BARE
    ),
    "Sensors.delete_sensor": _changes(
        "DELETE", lambda s: s.handle.delete_sensor(s.sid), _sensor, lenient=BARE
    ),
    "Sensors.isolate_sensor": _changes(
        "POST", lambda s: s.handle.isolate_sensor(s.sid), _sensor, lenient=BARE
    ),
    "Sensors.rejoin_sensor": _changes(
        "DELETE", lambda s: s.handle.rejoin_sensor(s.sid), _isolated, lenient=BARE
    ),
    "Sensors.seal_sensor": _changes("POST", lambda s: s.handle.seal_sensor(s.sid), _sensor, lenient=BARE),
    "Sensors.unseal_sensor": _changes(
        "DELETE", lambda s: s.handle.unseal_sensor(s.sid), _sealed, lenient=BARE
    ),
}
"""By `Part.method`; a method without a row here fails the tests that go through them all."""
