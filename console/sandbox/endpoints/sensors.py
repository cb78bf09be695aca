"""Sensors and their tags."""

import base64
import re
from typing import Any

from console.sandbox.calls import Call, Refusal, missing, packed, table
from console.sandbox.organizations import Organization
from console.sandbox.sensors import PLATFORM_NAMES, Sensor, stamp

PAGE = 1000

_WORD = re.compile(
    r"""\s*(?:(?P<name>plat|hostname|tags|isolated|arch|sid|int_ip|ext_ip|iid)\s*
    (?P<op>==|!=|contains|matches)\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|`(?P<back>[^`]*)`|(?P<bare>[^\s"'`]+))\s*)$""",
    re.VERBOSE,
)


def _matches(call: Call, one: Organization, sensor: Sensor, selector: str) -> bool:
    """Whether a sensor is selected. The conditions of a selector are joined by `and`.

    Raises:
        Refusal: 400 for anything beyond `NAME ==|!=|contains|matches VALUE` and `VALUE in tags`.
    """
    tags = call.world.tags(one, sensor)
    for part in re.split(r"\s+(?:and|&&)\s+", selector.strip()):
        inside = re.fullmatch(r"""\s*["'`]?([^"'`\s]+)["'`]?\s+(not\s+)?in\s+tags\s*""", part)
        if inside:
            if (inside[1] in tags) == bool(inside[2]):
                return False
            continue
        found = _WORD.match(part)
        if found is None:
            raise Refusal(400, f"bad selector: {part}")
        name, operator = found["name"], found["op"]
        value = next(text for text in found.group("double", "single", "back", "bare") if text is not None)
        actual: Any = {
            "plat": next((name for name, code in PLATFORM_NAMES.items() if code == sensor.platform), ""),
            "hostname": sensor.hostname,
            "tags": list(tags),
            "isolated": str(sensor.isolated).lower(),
            "arch": str(sensor.architecture),
            "sid": sensor.sid,
            "int_ip": sensor.internal_ip,
            "ext_ip": sensor.external_ip,
            "iid": sensor.iid,
        }[name]
        if name == "plat" and value.isdecimal():
            actual = str(sensor.platform)
        if operator == "==":
            holds = actual == value
        elif operator == "!=":
            holds = actual != value
        elif operator == "contains":
            holds = value in actual
        else:
            try:
                holds = isinstance(actual, str) and re.search(value, actual) is not None
            except re.error:
                raise Refusal(400, "bad selector: not a regular expression") from None
        if not holds:
            return False
    return True


@table.add("GET", "/v1/sensors/{oid}")
def sensors(call: Call) -> object:
    """The sensors of an organization, in pages."""
    one = call.organization("sensor.list")
    limit = max(1, min(10_000, call.number("limit", PAGE)))
    token = call.asked("continuation_token")
    try:
        start = int(base64.urlsafe_b64decode(token.encode("ascii"))) if token else 0
    except ValueError:
        raise Refusal(400, "bad continuation_token") from None
    selector, prefix, address = (
        call.asked("selector"),
        call.asked("with_hostname_prefix"),
        call.asked("with_ip"),
    )
    only_online = call.flag("is_online_only")
    found: list[dict[str, Any]] = []
    number = start
    while number < one.sensors and len(found) < limit:
        sensor = call.world.sensor(one, number)
        number += 1
        if only_online and sensor.silent:
            continue
        if prefix and not sensor.hostname.lower().startswith(prefix.lower()):
            continue
        if address and address not in (sensor.internal_ip, sensor.external_ip):
            continue
        if selector.strip() not in ("", "*") and not _matches(call, one, sensor, selector):
            continue
        found.append(call.world.sensor_record(one, sensor))
    following = base64.urlsafe_b64encode(str(number).encode()).decode() if number < one.sensors else ""
    return {
        "sensors": packed(found) if call.flag("is_compressed") else found,
        "continuation_token": following,
    }


@table.add("GET", "/v1/{sid}")
def sensor(call: Call) -> object:
    """One sensor, and whether it is online: as an object for one client, as a boolean for another."""
    one, found = call.sensor("sensor.get")
    online = not found.silent
    return {
        "info": call.world.sensor_record(one, found),
        "online": {found.sid: True} if online else {"error": "sensor is offline"},
        "is_online": online,
    }


def _tag_rows(call: Call, one: Organization, found: Sensor) -> dict[str, list[str]]:
    return {tag: [found.sid, tag, by, stamp(when)] for tag, (by, when) in call.world.tags(one, found).items()}


@table.add("GET", "/v1/{sid}/tags")
def sensor_tags(call: Call) -> object:
    """Tags of one sensor: who set them, and when."""
    one, found = call.sensor("sensor.get")
    return {"tags": {found.sid: _tag_rows(call, one, found)}}


def _may_tag(call: Call, one: Organization, tags: list[str]) -> None:
    if any(tag.startswith("acl:") for tag in tags) and not call.allows(one.oid, "acl.set"):
        raise Refusal(401, "unauthorized: acl tags need acl.set", error_code="UNAUTHORIZED_ACL_TAG")
    if not call.allows(one.oid, "sensor.tag"):
        raise missing("sensor.tag")


@table.add("POST", "/v1/{sid}/tags")
def tag(call: Call) -> object:
    """Add tags to a sensor."""
    one, found = call.sensor()
    tags = [name.strip() for value in call.form.get("tags", []) for name in value.split(",") if name.strip()]
    _may_tag(call, one, tags)
    if not tags:
        raise Refusal(400, "missing parameter tags")
    if call.sent("ttl", "0") not in ("", "0"):
        raise Refusal(501, "tags that end by themselves are not served by this sandbox")
    ident = call.token().ident
    held = dict(call.world.tags(one, found))
    for name in tags:
        held.setdefault(name, (ident, call.world.clock() // 1000))
    call.world.set_tags(one, found, held)
    for name in tags:
        call.world.note(
            one,
            "add_tag",
            ident,
            "tag added",
            entity={"type": "sensor", "name": found.sid},
            mtd={"tag": name},
        )
    return {}


@table.add("DELETE", "/v1/{sid}/tags")
def untag(call: Call) -> object:
    """Remove tags from a sensor."""
    one, found = call.sensor()
    tags = [*call.form.get("tag", []), *call.form.get("tags", []), *call.query.get("tag", [])]
    _may_tag(call, one, tags)
    if not tags:
        raise Refusal(400, "missing parameter tag")
    ident = call.token().ident
    held = {name: set_by for name, set_by in call.world.tags(one, found).items() if name not in tags}
    call.world.set_tags(one, found, held)
    for name in tags:
        call.world.note(
            one,
            "remove_tag",
            ident,
            "tag removed",
            entity={"type": "sensor", "name": found.sid},
            mtd={"tag": name},
        )
    return {}


@table.add("GET", "/v1/tags/{oid}")
def all_tags(call: Call) -> object:
    """Every tag in use."""
    one = call.organization("sensor.list")
    return {
        "tags": sorted(
            {
                tag
                for number in range(one.sensors)
                for tag in call.world.tags(one, call.world.sensor(one, number))
            }
        )
    }


@table.add("GET", "/v1/tags/{oid}/{tag}")
def with_tag(call: Call) -> object:
    """The sensors that have a tag, with all their tags."""
    one = call.organization("sensor.list")
    answer = {}
    for number in range(one.sensors):
        found = call.world.sensor(one, number)
        tags = call.world.tags(one, found)
        if call.params["tag"] in tags:
            answer[found.sid] = list(tags)
    return answer


@table.add("GET", "/v1/hostnames/{oid}")
def hostnames(call: Call) -> object:
    """Sensors whose host name begins so."""
    one = call.organization("sensor.list")
    prefix = call.asked("hostname").lower()
    every = (call.world.sensor(one, number) for number in range(one.sensors))
    return {
        "sid": [
            {"sid": found.sid, "hostname": found.hostname}
            for found in every
            if found.hostname.lower().startswith(prefix)
        ]
    }
