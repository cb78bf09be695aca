"""Every public method of the client, found by looking, and for each an example of its use on the sandbox."""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import console.limacharlie.client  # noqa: F401  (so that every part of the client is there)
from console.limacharlie.client import Cloud, HiveMetadata
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
    """It is asked without a token."""


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
    """The answer of a row; the pages of a listing all together."""
    answer = row.ask(stage)
    if inspect.isasyncgen(answer):
        return [item async for page in answer for item in page]
    return await answer


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
    import json

    stage.kept["detect_id"] = json.loads(page.records[0])["detect_id"]


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
    stage.kept["handle"] = stage.cloud.organization(oid)
    stage.kept["confirmation"] = await stage.kept["handle"].deletion_confirmation()


async def _event_type(stage):
    stage.kept["type"] = (await stage.handle.event_types())[0]


def _changes(method, ask, prepare=None, *, lenient=()):
    return Row(ask, prepare, method, frozenset(lenient))


BARE = ("object", "strange object")
"""What is answered by `{}`, to which members may be added at any time."""
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
        lambda s: s.kept["handle"].delete(s.kept["confirmation"]),
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
        lenient=frozenset(("object", "strange object", "error")),
        empty=True,
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
}
"""By `Part.method`; a method without a row here fails the tests that go through them all."""
