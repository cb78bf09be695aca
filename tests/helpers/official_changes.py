"""Changes at random by LimaCharlie's own SDK: each kind is an expression of it, or several."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

Sdk = Callable[[str, str], Any]
Kind = Callable[[Sdk, str, Random, int], bool]
"""Makes one change of an organization by the SDK; False when there was nothing to make it to."""

HIVES = ("dr-general", "dr-managed", "fp", "lookup", "query", "yara", "sop", "org_notes", "secret")
EXTENSIONS = ("ext-lookup-manager", "ext-reliable-tasking", "ext-sensor-cull", "ext-usage-alerts")
KINDS: dict[str, Kind] = {}


def kind(of: Kind) -> Kind:
    """Declare a kind under its function's name."""
    KINDS[of.__name__] = of
    return of


def _one(chance: Random, some: Iterable[Any]) -> Any:
    found = sorted(some)
    return chance.choice(found) if found else None


def _data(hive: str, word: str) -> dict[str, Any]:
    return {
        "fp": {"op": "is", "path": "cat", "value": word},
        "lookup": {"lookup_data": {f"{word}.example": {"word": word}}},
        "query": {"query": f"-24h | * | * | event/FILE_PATH contains '{word}'", "stream": "event"},
        "yara": {"rule": f"rule {word} {{ condition: true }}"},
        "sop": {"text": word, "description": word},
        "org_notes": {"text": word, "description": word},
        "secret": {"secret": word},
    }.get(
        hive,
        {
            "detect": {"event": "NEW_PROCESS", "op": "is", "path": "event/FILE_PATH", "value": word},
            "respond": [{"action": "report", "name": word}],
        },
    )


def _set(sdk: Sdk, oid: str, hive: str, key: str, word: str, more: str) -> None:
    sdk(f"Hive(org, {hive!r}).set(HiveRecord({key!r}, data={_data(hive, word)!r}, {more}))", oid)


@kind
def record(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A new record of a hive."""
    _set(sdk, oid, chance.choice(HIVES), f"by sdk {number}", f"w{number}", "enabled=True, tags=['sdk']")
    return True


@kind
def record_again(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A record with other data and metadata."""
    hive = chance.choice(HIVES)
    key = _one(chance, sdk(f"Hive(org, {hive!r}).list_mtd()", oid))
    if key is None:
        return False
    _set(sdk, oid, hive, key, f"w{number}", f"enabled={chance.random() < 0.5}, comment='again'")
    return True


@kind
def record_renamed(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A record under another key."""
    hive = chance.choice(HIVES)
    key = _one(chance, sdk(f"Hive(org, {hive!r}).list_mtd()", oid))
    if key is None:
        return False
    sdk(f"Hive(org, {hive!r}).rename({key!r}, 'renamed {number}')", oid)
    return True


@kind
def record_gone(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A record goes."""
    hive = chance.choice(HIVES)
    key = _one(chance, sdk(f"Hive(org, {hive!r}).list_mtd()", oid))
    if key is None:
        return False
    sdk(f"Hive(org, {hive!r}).delete({key!r})", oid)
    return True


@kind
def output(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """An output, one in four of which fails."""
    host = "log.invalid:514" if chance.random() < 0.25 else "log.example:514"
    sdk(f"org.add_output('by sdk {number}', 'syslog', 'detect', dest_host={host!r}, is_tls=True)", oid)
    return True


@kind
def output_gone(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """An output goes."""
    name = _one(chance, sdk("org.get_outputs()", oid))
    if name is not None:
        sdk(f"org.delete_output({name!r})", oid)
    return name is not None


@kind
def installation_key(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """An installation key."""
    sdk(f"org.create_installation_key('by sdk {number}', tags=['a', 'b'])", oid)
    return True


@kind
def installation_key_gone(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """An installation key goes."""
    iid = _one(chance, sdk("org.get_installation_keys()", oid))
    if iid is not None:
        sdk(f"org.delete_installation_key({iid!r})", oid)
    return iid is not None


@kind
def extension(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """An extension comes or goes."""
    name = chance.choice(EXTENSIONS)
    act = "unsubscribe" if name in sdk("Extensions(org).list_subscribed()", oid) else "subscribe"
    sdk(f"Extensions(org).{act}({name!r})", oid)
    return True


@kind
def integrity_rule(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A rule of an older service."""
    if not sdk("Integrity(org).list()", oid):
        return False
    sdk(f"Integrity(org).create('by sdk {number}', ['/etc/{number}'], platforms=['linux'])", oid)
    return True


@kind
def value(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """An integration's key."""
    sdk(f"org.set_config('otx', 'key-{number}')", oid)
    return True


@kind
def quota(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """How many sensors there may be."""
    sdk(f"org.set_quota({200 + number})", oid)
    return True


@kind
def rename(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """The organization's name."""
    sdk(f"org.rename('Renamed by sdk {number}')", oid)
    return True


@kind
def error_dismissed(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A standing error goes."""
    component = _one(chance, [each["component"] for each in sdk("org.get_errors()", oid)])
    if component is not None:
        sdk(f"org.dismiss_error({component!r})", oid)
    return component is not None


@kind
def organization(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """An organization, empty."""
    sdk(f"Organization.create_org(client, 'Sdk {number}', 'europe')", oid)
    return True


@kind
def user(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A user with a role."""
    sdk(f"org.add_user('sdk{number}@made.example')", oid)
    sdk(f"org.set_user_role('sdk{number}@made.example', {chance.choice(['Viewer', 'Operator'])!r})", oid)
    return True


@kind
def user_gone(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A user goes."""
    email = _one(chance, [each for each in sdk("org.get_users()", oid) if not each.startswith("root@")])
    if email is not None:
        sdk(f"org.remove_user({email!r})", oid)
    return email is not None


@kind
def permission(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A permission granted or revoked."""
    email = _one(chance, [each for each in sdk("org.get_users()", oid) if not each.startswith("root@")])
    if email is None:
        return False
    act = chance.choice(["add", "remove"])
    sdk(f"org.{act}_user_permission({email!r}, {chance.choice(['dr.set', 'sensor.task'])!r})", oid)
    return True


@kind
def key(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """An API key."""
    sdk(f"org.add_api_key('by sdk {number}', ['org.get', 'dr.list'], ip_range='192.0.2.0/24')", oid)
    return True


@kind
def key_gone(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """An API key goes."""
    key_hash = _one(chance, sdk("org.get_api_keys()", oid))
    if key_hash is not None:
        sdk(f"org.remove_api_key({key_hash!r})", oid)
    return key_hash is not None


@kind
def group(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A group with a member, permissions and an organization."""
    gid = sdk(f"org.create_group('by sdk {number}')", oid)["data"]["gid"]
    sdk(f"org.add_group_member({gid!r}, 'sdk{number}@made.example')", oid)
    sdk(f"org.set_group_permissions({gid!r}, ['org.get', 'sensor.list'])", oid)
    sdk(f"org.add_group_org({gid!r}, {oid!r})", oid)
    return True


@kind
def group_changed(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A member of a group comes, or another goes."""
    gid = _one(chance, [each["gid"] for each in sdk("org.get_groups()", oid)])
    member = _one(chance, sdk(f"org.get_group({gid!r})", oid)["group"]["members"])
    if member is None or chance.random() < 0.5:
        sdk(f"org.add_group_member({gid!r}, 'more{number}@made.example')", oid)
    else:
        sdk(f"org.remove_group_member({gid!r}, {member!r})", oid)
    return True


@kind
def sensor_tag(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A tag of a sensor."""
    sid = _one(chance, [each["sid"] for each in sdk("org.list_sensors()", oid)])
    if sid is not None:
        sdk(f"Sensor(org, {sid!r}).add_tag('sdk-{number}')", oid)
    return sid is not None


@kind
def sensor_isolated(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A sensor off the network, or back on it."""
    sensors = {each["sid"]: each.get("isolated") for each in sdk("org.list_sensors()", oid)}
    sid = _one(chance, sensors)
    if sid is not None:
        sdk(f"Sensor(org, {sid!r}).{'rejoin' if sensors[sid] else 'isolate'}()", oid)
    return sid is not None


@kind
def sensor_gone(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A sensor goes."""
    sid = _one(chance, [each["sid"] for each in sdk("org.list_sensors()", oid)])
    if sid is not None:
        sdk(f"Sensor(org, {sid!r}).delete()", oid)
    return sid is not None


@kind
def case(sdk: Sdk, oid: str, chance: Random, number: int) -> bool:
    """A case, taken and noted."""
    if "ext-cases" not in sdk("Extensions(org).list_subscribed()", oid):
        return False
    made = sdk(f"Cases(org).create_case(severity='high', summary='sdk {number}')", oid)
    case_number = made["data"]["case_number"]
    sdk(f"Cases(org).update_case({case_number}, status='in_progress', tags=['sdk'])", oid)
    sdk(f"Cases(org).add_note({case_number}, 'seen')", oid)
    if chance.random() < 0.5:
        sdk(f"Cases(org).bulk_update([{case_number}], status='closed')", oid)
    return True


def make(sdk: Sdk, oids: Sequence[str], chance: Random, count: int) -> Counter[str]:
    """Make so many changes, every kind about as often; how many of each were made."""
    kinds = sorted(KINDS)
    made: Counter[str] = Counter()
    number = 0
    while sum(made.values()) < count:
        number += 1
        assert number < 10 * count, f"too few changes could be made: {made}"
        name = kinds[number % len(kinds)]
        if KINDS[name](sdk, chance.choice(oids), chance, number):
            made[name] += 1
    return made
