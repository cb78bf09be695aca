"""Every kind of change that limegrove's client can make to LimaCharlie, for tests that make many at random."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from console.limacharlie.cases import CasePage
from console.limacharlie.client import Cloud, OrganizationHandle
from console.limacharlie.hive import ABSENT, HiveMetadata

Change = Callable[["Hand"], Awaitable[bool]]
"""Makes one change; False when there was nothing that it could be made to."""

CHANGES: dict[str, Change] = {}
"""By name."""

EXTENSIONS = ("ext-lookup-manager", "ext-reliable-tasking", "ext-sensor-cull", "ext-usage-alerts")
HIVES = ("dr-general", "dr-managed", "fp", "lookup", "secret", "query", "yara", "sop", "org_notes")


FIRST = {
    "dismiss_error": "create_failing_output",
    "delete_organization": "create_organization",
    "delete_group": "create_group",
    "rejoin_sensor": "isolate_sensor",
    "take_case": "create_case",
    "close_case": "take_case",
    "note_case": "create_case",
    "grant": "add_user",
    "set_role": "add_user",
    "remove_user": "add_user",
    "add_group_owner": "add_user",
    "revoke": "set_role",
    "delete_key": "create_key",
    "delete_output": "create_output",
    "delete_installation_key": "create_installation_key",
    "update_installation_key": "create_installation_key",
    "remove_service_rule": "add_service_rule",
    "unsubscribe_extension": "subscribe_extension",
    "subscribe_extension": "unsubscribe_extension",
    "remove_resource": "add_resource",
    "add_resource": "remove_resource",
    "untag_sensor": "tag_sensor",
    "remove_group_owner": "add_group_owner",
    "remove_group_member": "add_group_member",
    "add_group_organization": "remove_group_organization",
    "remove_group_organization": "add_group_organization",
}
"""What makes something for a change to be made to."""


@dataclass
class Hand:
    """Who makes changes, and to what."""

    cloud: Cloud
    oid: str
    chance: Random
    number: int
    """Of the change: names are made of it."""

    @property
    def one(self) -> OrganizationHandle:
        """The organization that is changed."""
        return self.cloud.organization(self.oid)

    @property
    def name(self) -> str:
        """One that nothing has yet."""
        return f"made {self.number}"

    def pick(self, some: Any) -> Any:
        """One of several, whatever order they come in."""
        return self.chance.choice(sorted(some))


def change(of: Change) -> Change:
    """Declare a kind of change under its function's name."""
    CHANGES[of.__name__] = of
    return of


def _data(hive: str, chance: Random) -> dict[str, Any]:
    word = f"w{chance.randrange(10**6)}"
    return {
        "fp": {"op": "is", "path": "cat", "value": word},
        "lookup": {"newline_content": f"{word}.example"},
        "secret": {"secret": f"token-{word}"},
        "query": {"query": f"-24h | * | * | event/FILE_PATH contains '{word}'", "stream": "event"},
        "yara": {"rule": f"rule {word} {{ condition: true }}"},
        "sop": {"text": word, "description": word},
        "org_notes": {"text": word, "description": word},
    }.get(
        hive,
        {
            "detect": {"event": "NEW_PROCESS", "op": "contains", "path": "event/COMMAND_LINE", "value": word},
            "respond": [{"action": "report", "name": word}],
        },
    )


def _metadata(hand: Hand, tag: str) -> HiveMetadata:
    enabled = hand.chance.random() < 0.5
    return HiveMetadata(enabled=enabled, expiry=0, tags=(tag,), comment=f"change {hand.number}", others={})


@change
async def create_record(hand: Hand) -> bool:
    """A record of a hive."""
    hive = hand.chance.choice(HIVES)
    metadata = _metadata(hand, "made")
    await hand.one.set_hive_record(hive, hand.name, _data(hive, hand.chance), metadata, ABSENT)
    return True


async def _record(hand: Hand) -> tuple[str, str, str] | None:
    hive = hand.chance.choice(HIVES)
    listed = await hand.one.hive(hive, mtd_only=True)
    if not listed:
        return None
    key = hand.pick(listed)
    return hive, key, listed[key].etag


@change
async def change_record(hand: Hand) -> bool:
    """A record's content."""
    found = await _record(hand)
    if found is None:
        return False
    hive, key, etag = found
    metadata = _metadata(hand, "changed")
    await hand.one.set_hive_record(hive, key, _data(hive, hand.chance), metadata, etag)
    return True


@change
async def change_metadata(hand: Hand) -> bool:
    """Whether a record is enabled, and its tags."""
    found = await _record(hand)
    if found is None:
        return False
    hive, key, etag = found
    metadata = _metadata(hand, f"tag-{hand.number}")
    await hand.one.set_hive_metadata(hive, key, metadata, etag)
    return True


@change
async def rename_record(hand: Hand) -> bool:
    """A record's key."""
    found = await _record(hand)
    if found is None:
        return False
    await hand.one.rename_hive_record(found[0], found[1], hand.name, found[2])
    return True


@change
async def delete_record(hand: Hand) -> bool:
    """A record goes."""
    found = await _record(hand)
    if found is None:
        return False
    await hand.one.delete_hive_record(*found)
    return True


@change
async def create_output(hand: Hand) -> bool:
    """An output."""
    options: dict[str, str | bool | int] = {"dest_host": "log.example:6514", "is_tls": True}
    await hand.one.create_output(hand.name, "syslog", "detect", options)
    return True


@change
async def create_failing_output(hand: Hand) -> bool:
    """An output that cannot reach its host, which makes an error."""
    await hand.one.create_output(f"lost {hand.number}", "syslog", "detect", {"dest_host": "log.invalid:514"})
    return True


@change
async def delete_output(hand: Hand) -> bool:
    """An output goes."""
    listed = await hand.one.outputs()
    if not listed:
        return False
    await hand.one.delete_output(hand.pick(listed))
    return True


@change
async def create_installation_key(hand: Hand) -> bool:
    """An installation key."""
    await hand.one.create_installation_key(hand.name, ["made", "test"])
    return True


@change
async def update_installation_key(hand: Hand) -> bool:
    """An installation key's description and tags."""
    listed = await hand.one.installation_keys()
    if not listed:
        return False
    iid = hand.pick(listed)
    await hand.one.update_installation_key(iid, hand.name, ["changed"], public_root_ca=False)
    return True


@change
async def delete_installation_key(hand: Hand) -> bool:
    """An installation key goes."""
    listed = await hand.one.installation_keys()
    if not listed:
        return False
    await hand.one.delete_installation_key(hand.pick(listed))
    return True


@change
async def subscribe_extension(hand: Hand) -> bool:
    """An extension."""
    wanted = set(EXTENSIONS) - set(await hand.one.subscriptions())
    if not wanted:
        return False
    await hand.one.subscribe_extension(hand.pick(wanted))
    return True


@change
async def unsubscribe_extension(hand: Hand) -> bool:
    """An extension goes."""
    there = set(EXTENSIONS) & set(await hand.one.subscriptions())
    if not there:
        return False
    await hand.one.unsubscribe_extension(hand.pick(there))
    return True


@change
async def add_resource(hand: Hand) -> bool:
    """An add-on."""
    wanted = {"vt", "otx", "greynoise"} - set((await hand.one.resources()).get("api", ()))
    if not wanted:
        return False
    await hand.one.add_resource("api", hand.pick(wanted))
    return True


@change
async def remove_resource(hand: Hand) -> bool:
    """An add-on goes."""
    there = set((await hand.one.resources()).get("api", ()))
    if not there:
        return False
    await hand.one.remove_resource("api", hand.pick(there))
    return True


@change
async def add_service_rule(hand: Hand) -> bool:
    """A rule of an older service."""
    rule = {"patterns": [f"/var/log/{hand.number}"], "filters": {"platforms": ["linux"], "tags": []}}
    await hand.one.add_service_rule("integrity", hand.name, rule)
    return True


@change
async def remove_service_rule(hand: Hand) -> bool:
    """A rule of an older service goes."""
    rules = await hand.one.service_rules("integrity")
    if not rules:
        return False
    await hand.one.remove_service_rule("integrity", hand.pick(rules))
    return True


@change
async def set_value(hand: Hand) -> bool:
    """An integration's key."""
    await hand.one.set_value(hand.chance.choice(["otx", "shodan", "greynoise"]), f"key-{hand.number}")
    return True


@change
async def set_quota(hand: Hand) -> bool:
    """How many sensors there may be."""
    await hand.one.set_quota(100 + hand.number)
    return True


@change
async def rename_organization(hand: Hand) -> bool:
    """The organization's name."""
    await hand.one.rename(f"Renamed {hand.number}")
    return True


@change
async def describe_organization(hand: Hand) -> bool:
    """The organization's description."""
    await hand.one.describe(f"Described {hand.number}")
    return True


@change
async def dismiss_error(hand: Hand) -> bool:
    """A standing error."""
    listed = await hand.one.errors()
    if not listed:
        return False
    await hand.one.dismiss_error(hand.pick(each["component"] for each in listed))
    return True


@change
async def create_organization(hand: Hand) -> bool:
    """An organization, empty."""
    await hand.cloud.create_organization(f"Made {hand.number}", "europe")
    return True


@change
async def delete_organization(hand: Hand) -> bool:
    """An organization that was made goes."""
    made = []
    async for page in hand.cloud.organizations():
        made += [row.oid for row in page if row.name.startswith("Made ")]
    if not made:
        return False
    one = hand.cloud.organization(hand.pick(made))
    await one.delete(await one.deletion_confirmation())
    return True


async def _people(hand: Hand) -> list[str]:
    """Whom an organization can do without."""
    return [email for email in await hand.one.users() if not email.startswith("root@")]


@change
async def add_user(hand: Hand) -> bool:
    """A user without any permission."""
    await hand.one.add_user(f"user{hand.number}@made.example", invite=True)
    return True


@change
async def remove_user(hand: Hand) -> bool:
    """A user goes."""
    people = await _people(hand)
    if not people:
        return False
    await hand.one.remove_user(hand.pick(people))
    return True


@change
async def grant(hand: Hand) -> bool:
    """A permission."""
    people = await _people(hand)
    if not people:
        return False
    email = hand.pick(people)
    held = set((await hand.one.permissions())["user_permissions"].get(email, ()))
    wanted = {"dr.list", "dr.set", "sensor.task", "insight.evt.get", "output.list"} - held
    if not wanted:
        return False
    await hand.one.grant(email, hand.pick(wanted))
    return True


@change
async def revoke(hand: Hand) -> bool:
    """A permission goes."""
    people = await _people(hand)
    held = (await hand.one.permissions())["user_permissions"]
    able = [email for email in people if held.get(email)]
    if not able:
        return False
    email = hand.pick(able)
    await hand.one.revoke(email, hand.pick(held[email]))
    return True


@change
async def set_role(hand: Hand) -> bool:
    """A role in place of all direct permissions."""
    people = await _people(hand)
    if not people:
        return False
    await hand.one.set_role(hand.pick(people), hand.chance.choice(["Viewer", "Operator", "Basic"]))
    return True


@change
async def create_key(hand: Hand) -> bool:
    """An API key."""
    await hand.one.create_key(hand.name, ["org.get", "dr.list"])
    return True


@change
async def delete_key(hand: Hand) -> bool:
    """An API key goes."""
    keys = await hand.one.keys()
    if not keys:
        return False
    await hand.one.delete_key(hand.pick(keys))
    return True


@change
async def create_group(hand: Hand) -> bool:
    """A group."""
    gid = await hand.cloud.create_group(hand.name)
    await hand.cloud.add_group_organization(gid, hand.oid)
    return True


async def _group(hand: Hand) -> str:
    return str(hand.pick(await hand.cloud.group_names()))


@change
async def delete_group(hand: Hand) -> bool:
    """A group that was made goes."""
    made = {gid for gid, name in (await hand.cloud.group_names()).items() if name.startswith("made ")}
    if not made:
        return False
    await hand.cloud.delete_group(hand.pick(made))
    return True


@change
async def add_group_member(hand: Hand) -> bool:
    """A member of a group."""
    await hand.cloud.add_group_member(await _group(hand), f"member{hand.number}@made.example", invite=True)
    return True


@change
async def remove_group_member(hand: Hand) -> bool:
    """A member of a group goes."""
    gid = await _group(hand)
    members = (await hand.cloud.group(gid))["members"]
    if not members:
        return False
    await hand.cloud.remove_group_member(gid, hand.pick(members))
    return True


@change
async def add_group_owner(hand: Hand) -> bool:
    """An owner of a group."""
    members = await _people(hand)
    if not members:
        return False
    await hand.cloud.add_group_owner(await _group(hand), hand.pick(members))
    return True


@change
async def remove_group_owner(hand: Hand) -> bool:
    """An owner of a group goes."""
    gid = await _group(hand)
    owners = [email for email in (await hand.cloud.group(gid))["owners"] if not email.startswith("root@")]
    if not owners:
        return False
    await hand.cloud.remove_group_owner(gid, hand.pick(owners))
    return True


@change
async def set_group_permissions(hand: Hand) -> bool:
    """All permissions of a group."""
    wanted = hand.chance.sample(["dr.list", "sensor.list", "insight.det.get", "org.get", "output.list"], 3)
    await hand.cloud.set_group_permissions(await _group(hand), wanted)
    return True


@change
async def add_group_organization(hand: Hand) -> bool:
    """An organization of a group."""
    gid = await _group(hand)
    if hand.oid in {each["org_id"] for each in (await hand.cloud.group(gid))["orgs"]}:
        return False
    await hand.cloud.add_group_organization(gid, hand.oid)
    return True


@change
async def remove_group_organization(hand: Hand) -> bool:
    """An organization of a group goes."""
    gid = await _group(hand)
    held = [each["org_id"] for each in (await hand.cloud.group(gid))["orgs"]]
    if hand.oid not in held:
        return False
    await hand.cloud.remove_group_organization(gid, hand.oid)
    return True


async def _sid(hand: Hand) -> str | None:
    async for page in hand.one.sensors():
        if page:
            return str(hand.pick(row["sid"] for row in page))
    return None


@change
async def tag_sensor(hand: Hand) -> bool:
    """A tag of a sensor."""
    sid = await _sid(hand)
    if sid is None:
        return False
    await hand.one.tag_sensor(sid, f"made-{hand.number}")
    return True


@change
async def untag_sensor(hand: Hand) -> bool:
    """A tag of a sensor goes."""
    sid = await _sid(hand)
    tags = await hand.one.sensor_tags(sid) if sid is not None else {}
    if sid is None or not tags:
        return False
    await hand.one.untag_sensor(sid, hand.pick(tags))
    return True


@change
async def isolate_sensor(hand: Hand) -> bool:
    """A sensor off the network."""
    sid = await _sid(hand)
    if sid is None:
        return False
    await hand.one.isolate_sensor(sid)
    return True


@change
async def rejoin_sensor(hand: Hand) -> bool:
    """A sensor back on the network."""
    async for page in hand.one.sensors():
        isolated = [row["sid"] for row in page if row.get("isolated")]
        if isolated:
            await hand.one.rejoin_sensor(hand.pick(isolated))
            return True
    return False


@change
async def delete_sensor(hand: Hand) -> bool:
    """A sensor goes."""
    sid = await _sid(hand)
    if sid is None:
        return False
    await hand.one.delete_sensor(sid)
    return True


@change
async def create_case(hand: Hand) -> bool:
    """A case, without a detection."""
    if "ext-cases" not in await hand.one.subscriptions():
        return False
    await hand.one.create_case(severity="high", summary=f"Case {hand.number}")
    return True


async def _case(hand: Hand, status: str) -> int | None:
    if "ext-cases" not in await hand.one.subscriptions():
        return None
    async for answer in hand.cloud.cases([hand.oid], {"status": status}):
        if isinstance(answer, CasePage) and answer.cases:
            return int(hand.pick(row["case_number"] for row in answer.cases))
    return None


@change
async def take_case(hand: Hand) -> bool:
    """A new case in somebody's hands."""
    number = await _case(hand, "new")
    if number is None:
        return False
    await hand.one.update_case(
        number, {"status": "in_progress", "assignees": ["analyst@made.example"], "tags": ["made"]}
    )
    return True


@change
async def close_case(hand: Hand) -> bool:
    """A case is closed."""
    number = await _case(hand, "in_progress,resolved")
    if number is None:
        return False
    await hand.one.update_case(number, {"status": "closed", "classification": "false_positive"})
    return True


@change
async def note_case(hand: Hand) -> bool:
    """A note on a case."""
    number = await _case(hand, "new,in_progress")
    if number is None:
        return False
    await hand.one.add_note(number, f"note {hand.number}", "general")
    return True


async def make(cloud: Cloud, oids: Any, chance: Random, count: int, *, each: int = 1) -> Counter[str]:
    """Make changes at random, every kind at least so often; how many of each were made.

    Args:
        oids: of organizations that may be changed.
        count: changes in all.
        each: of every kind at least.
    """
    kinds = [name for name in CHANGES for _ in range(each)]
    kinds += chance.choices(sorted(CHANGES), k=max(0, count - len(kinds)))
    chance.shuffle(kinds)
    made: Counter[str] = Counter()
    number = 0

    async def some(kind: str) -> bool:
        nonlocal number
        for oid in chance.sample(list(oids), len(oids)):
            number += 1
            if await CHANGES[kind](Hand(cloud, oid, chance, number)):
                made[kind] += 1
                return True
        return False

    async def certainly(kind: str) -> None:
        if not await some(kind):
            assert kind in FIRST, f"nothing was found to {kind}"
            await certainly(FIRST[kind])
            assert await some(kind), f"nothing was found to {kind}"

    for kind in kinds:
        await certainly(kind)
    return made
