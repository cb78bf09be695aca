"""Sensors and their tags."""

import base64
from typing import Any

from console.sandbox.calls import Call, Refusal, hive_error, missing, packed, table
from console.sandbox.firing import fire
from console.sandbox.organizations import Organization
from console.sandbox.selectors import BadSelector, Selector, parse
from console.sandbox.sensors import Sensor, stamp

PAGE = 1000
ENDLESS = 1 << 62
"""Milliseconds: later than anything."""

TASKS = 100
"""Most tasks of one request."""


def selected(text: str) -> Selector | None:
    """A selector that somebody sent; None for every sensor.

    Raises:
        Refusal: 400.
    """
    try:
        return parse(text)
    except BadSelector as problem:
        raise Refusal(400, str(problem)) from None


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
    selector = selected(call.asked("selector"))
    prefix, address = call.asked("with_hostname_prefix"), call.asked("with_ip")
    only_online = call.flag("is_online_only")
    removed = call.world.fleet.removed(one)
    found: list[dict[str, Any]] = []
    number = start
    while number < one.sensors and len(found) < limit:
        sensor = call.world.sensor(one, number)
        number += 1
        if sensor.index in removed or (only_online and sensor.silent):
            continue
        if prefix and not sensor.hostname.lower().startswith(prefix.lower()):
            continue
        if address and address not in (sensor.internal_ip, sensor.external_ip):
            continue
        record = call.world.sensor_record(one, sensor)
        if selector is None or selector(record):
            found.append(record)
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


def _sent_tags(call: Call) -> list[str]:
    """The tags of a request: clients write `tag` or `tags`, repeated or joined by commas."""
    sent = [value for name in ("tag", "tags") for value in call.form.get(name, call.query.get(name, []))]
    tags = [tag.strip() for value in sent for tag in value.split(",") if tag.strip()]
    if not tags:
        raise Refusal(400, "missing parameter tags")
    return tags


def _note_tags(call: Call, one: Organization, found: Sensor, tags: list[str], etype: str, done: str) -> None:
    for tag in tags:
        call.record(one, etype, f"tag {done}", entity={"type": "sensor", "name": found.sid}, mtd={"tag": tag})


@table.add("POST", "/v1/{sid}/tags")
def tag(call: Call) -> object:
    """Add tags to a sensor, for good or for `ttl` seconds. Who set one first stays its author."""
    one, found = call.sensor()
    tags = _sent_tags(call)
    _may_tag(call, one, tags)
    try:
        ttl = int(call.either("ttl") or "0")
    except ValueError:
        raise Refusal(400, "bad parameter ttl") from None
    if ttl < 0:
        raise Refusal(400, "bad parameter ttl")
    if ttl and any(name.startswith("acl:") for name in tags):
        # A tag that guards a record must not end unseen (docs: resource-acls.md).
        raise hive_error("ACL_TAG_TTL_NOT_ALLOWED", "acl tags have no ttl")
    now = call.world.clock()
    held = dict(call.world.tags(one, found))
    changes = call.world.fleet.to(one, found.index)
    for name in tags:
        standing = name in held and name not in changes.ends
        held.setdefault(name, (call.token().ident, now // 1000))
        if not ttl:
            changes.ends.pop(name, None)
        elif not standing:
            changes.ends[name] = now + ttl * 1000
    call.world.set_tags(one, found, held)
    _note_tags(call, one, found, tags, "add_tag", "added")
    return {}


@table.add("DELETE", "/v1/{sid}/tags")
def untag(call: Call) -> object:
    """Remove tags from a sensor."""
    one, found = call.sensor()
    tags = _sent_tags(call)
    _may_tag(call, one, tags)
    held = {name: set_by for name, set_by in call.world.tags(one, found).items() if name not in tags}
    changes = call.world.fleet.to(one, found.index)
    for name in tags:
        changes.ends.pop(name, None)
    call.world.set_tags(one, found, held)
    _note_tags(call, one, found, tags, "remove_tag", "removed")
    return {}


@table.add("POST", "/v1/{sid}")
def task(call: Call) -> object:
    """Send tasks to a sensor. One that is online answers with events of the same investigation.

    A key in `x-idempotent-key` (the Go client) makes a repeated request one.
    """
    one, found = call.sensor("sensor.task")
    tasks = [text.strip() for text in call.form.get("tasks", call.query.get("tasks", [])) if text.strip()]
    if not tasks:
        raise Refusal(400, "missing parameter tasks")
    if len(tasks) > TASKS:
        raise Refusal(400, f"more than {TASKS} tasks in one request")
    key = call.request.headers.get("x-idempotent-key", "") if call.request is not None else ""
    changes = call.world.fleet.to(one, found.index)
    if key and key in changes.done:
        return {"success": True}
    if key:
        changes.done.add(key)
    investigation = call.either("investigation_id") or ""
    for text in tasks:
        call.record(
            one,
            "send_task",
            f"task sent: {text}",
            entity={"type": "sensor", "name": found.sid},
            mtd={"task": text} | ({"investigation_id": investigation} if investigation else {}),
        )
        if not found.silent:
            events = call.world.events
            before = len(events.answers(one, found, 0, ENDLESS))
            events.answer(one, found, text, investigation, call.world.clock())
            fire(call.world, one, found, events.answers(one, found, 0, ENDLESS)[before:])
    return {"success": True}


@table.add("DELETE", "/v1/{sid}")
def remove(call: Call) -> object:
    """Delete a sensor: it is in no listing and no count any more."""
    one, found = call.sensor("sensor.del")
    call.world.fleet.remove(one, found.index, call.world.clock())
    call.record(
        one,
        "remove_sensor",
        "sensor removed",
        entity={"type": "sensor", "name": found.sid},
        mtd={"hostname": found.hostname},
    )
    return {}


def _ordered(call: Call, what: str, done: str, *, wanted: bool) -> object:
    """Order a state. A sensor that is offline takes it up when it comes back, which here it never does."""
    one, found = call.sensor("sensor.task")
    changes = call.world.fleet.to(one, found.index)
    if what == "isolation":
        changes.should_isolate = wanted
        changes.isolated = changes.isolated if found.silent else wanted
    else:
        changes.should_seal = wanted
        changes.sealed = changes.sealed if found.silent else wanted
    call.record(
        one,
        "config_change",
        f"sensor {done}",
        entity={"type": "sensor", "name": found.sid},
        mtd={"action": what, "value": wanted},
    )
    return {}


@table.add("POST", "/v1/{sid}/isolation")
def isolate(call: Call) -> object:
    """Cut a sensor off the network."""
    return _ordered(call, "isolation", "isolated from the network", wanted=True)


@table.add("DELETE", "/v1/{sid}/isolation")
def rejoin(call: Call) -> object:
    """Let a sensor back into the network."""
    return _ordered(call, "isolation", "rejoined to the network", wanted=False)


@table.add("POST", "/v1/{sid}/seal")
def seal(call: Call) -> object:
    """Let nobody uninstall a sensor."""
    return _ordered(call, "seal", "sealed", wanted=True)


@table.add("DELETE", "/v1/{sid}/seal")
def unseal(call: Call) -> object:
    """Let a sensor be uninstalled."""
    return _ordered(call, "seal", "unsealed", wanted=False)


@table.add("POST", "/v1/export/{oid}/sensors")
def export(call: Call) -> object:
    """Every sensor at once."""
    one = call.organization("sensor.list")
    return {"sensors": [call.world.sensor_record(one, found) for found in call.world.sensors_of(one)]}


@table.add("GET", "/v1/tags/{oid}")
def all_tags(call: Call) -> object:
    """Every tag in use."""
    one = call.organization("sensor.list")
    return {
        "tags": sorted({tag for found in call.world.sensors_of(one) for tag in call.world.tags(one, found)})
    }


@table.add("GET", "/v1/tags/{oid}/{tag}")
def with_tag(call: Call) -> object:
    """The sensors that have a tag, with all their tags."""
    one = call.organization("sensor.list")
    answer = {}
    for found in call.world.sensors_of(one):
        tags = call.world.tags(one, found)
        if call.params["tag"] in tags:
            answer[found.sid] = list(tags)
    return answer


@table.add("GET", "/v1/hostnames/{oid}")
def hostnames(call: Call) -> object:
    """Sensors whose host name begins so."""
    one = call.organization("sensor.list")
    prefix = call.asked("hostname").lower()
    return {
        "sid": [
            {"sid": found.sid, "hostname": found.hostname}
            for found in call.world.sensors_of(one)
            if found.hostname.lower().startswith(prefix)
        ]
    }
