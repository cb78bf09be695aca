"""Payloads with their signed addresses, jobs, and the validation of adapters."""

from typing import Any

import orjson
from aiohttp import web

from console.sandbox.calls import Call, Refusal, not_found, packed, table
from console.sandbox.detection_logic import PLATFORMS, BadRule, expression, values_at
from console.sandbox.payloads import Payload


@table.add("GET", "/v1/payload/{oid}")
def payloads(call: Call) -> object:
    """What there is, without the content."""
    one = call.organization("payload.ctrl", "payload.use")
    return {
        "payloads": {
            name: {
                "name": name,
                "oid": one.oid,
                "size": len(payload.content),
                "by": payload.by,
                "created": payload.created,
            }
            for name, payload in sorted(call.world.payloads.of(one).items())
        }
    }


@table.add("POST", "/v1/payload/{oid}/{name}")
def upload_address(call: Call) -> object:
    """Where a payload can be put; it is there as soon as that is done."""
    one = call.organization("payload.ctrl")
    key = call.world.payloads.ticket(
        one, call.params["name"], call.token().ident, call.world.clock(), upload=True
    )
    return {"put_url": f"{call.sandbox.url}/payloads/{key}"}


@table.add("GET", "/v1/payload/{oid}/{name}")
def download_address(call: Call) -> object:
    """Where a payload can be got."""
    one = call.organization("payload.ctrl", "payload.use")
    name = call.params["name"]
    if name not in call.world.payloads.of(one):
        raise not_found()
    key = call.world.payloads.ticket(one, name, call.token().ident, call.world.clock(), upload=False)
    return {"get_url": f"{call.sandbox.url}/payloads/{key}"}


@table.add("DELETE", "/v1/payload/{oid}/{name}")
def remove(call: Call) -> object:
    """Remove a payload."""
    one = call.organization("payload.ctrl")
    name = call.params["name"]
    if not call.world.payloads.remove(one, name):
        raise not_found()
    call.record(one, "config_change", f"payload {name} removed", entity={"type": "payload", "name": name})
    return {}


def _expired() -> Refusal:
    return Refusal(403, "this address is not valid any more")


@table.add("PUT", "/payloads/{key}", open=True)
def put(call: Call) -> object:
    """Put a payload to the address that was handed out; whoever has it may."""
    world = call.world
    ticket = world.payloads.allowed(call.params["key"], world.clock(), upload=True)
    if ticket is None or ticket.organization.oid not in world.by_oid:
        raise _expired()
    world.payloads.put(ticket.organization, Payload(ticket.name, call.body, ticket.by, world.clock() // 1000))
    world.note(
        ticket.organization,
        "config_change",
        ticket.by,
        f"payload {ticket.name} set",
        entity={"type": "payload", "name": ticket.name},
        mtd={"size": len(call.body)},
    )
    # It is a store's address and no API: the official client prints whatever comes back.
    return web.Response()


@table.add("GET", "/payloads/{key}", open=True)
def get(call: Call) -> object:
    """Get a payload from the address that was handed out."""
    world = call.world
    ticket = world.payloads.allowed(call.params["key"], world.clock(), upload=False)
    found = None if ticket is None else world.payloads.of(ticket.organization).get(ticket.name)
    if found is None:
        raise _expired()
    return web.Response(body=found.content, content_type="application/octet-stream")


@table.add("GET", "/v1/job/{oid}")
def jobs(call: Call) -> object:
    """The jobs of a range of time, by id; `with_data=false` leaves their history out."""
    one = call.organization("job.get")
    start, end = call.number("start", 0), call.number("end", call.world.clock() // 1000 + 1)
    if end < start:
        raise Refusal(400, "end is before start")
    sid = call.asked("sid")
    found = [
        job
        for job in call.world.jobs.of(one).values()
        if start <= job["ts"] <= end and sid in ("", job["sid"])
    ]
    if call.asked("with_data", "true").lower() == "false":
        found = [{name: value for name, value in job.items() if name != "hist"} for job in found]
    limit = max(0, call.number("limit", len(found)))
    page = {job["job_id"]: job for job in found[::-1][:limit]}
    return {"jobs": packed(page) if call.flag("is_compressed") else page, "next_cursor": ""}


@table.add("GET", "/v1/job/{oid}/{job}")
def job(call: Call) -> object:
    """One job."""
    one = call.organization("job.get")
    found = call.world.jobs.of(one).get(call.params["job"])
    if found is None:
        raise not_found()
    return found


@table.add("DELETE", "/v1/job/{oid}/{job}")
def remove_job(call: Call) -> object:
    """Remove a job's record."""
    one = call.organization("job.ctrl")
    if not call.world.jobs.remove(one, call.params["job"]):
        raise not_found()
    call.record(one, "config_change", "job removed", entity={"type": "job", "name": call.params["job"]})
    return {}


_PATHS = {
    "event_type_path": "event_type",
    "event_time_path": "event_time",
    "sensor_hostname_path": "hostname",
    "sensor_key_path": "sensor_key",
}
"""What a mapping takes out of an event, and where the event says it then."""


def _lines(body: dict[str, Any]) -> list[Any]:
    text, given = body.get("text_input"), body.get("json_input")
    if (text is None) == (given is None):
        raise Refusal(400, "either text_input or json_input is wanted")
    if text is not None:
        if not isinstance(text, str):
            raise Refusal(400, "bad parameter text_input")
        return [line for line in text.splitlines() if line.strip()]
    return given if isinstance(given, list) else [given]


def _mapped(mapping: dict[str, Any], platform: str, hostname: str, line: Any) -> dict[str, Any]:
    """One line as the adapter would send it.

    Raises:
        BadRule: the mapping does not fit it.
    """
    event: Any = line
    if isinstance(line, str):
        if "parsing_re" in mapping:
            match = expression(str(mapping["parsing_re"]), True).search(line)
            if match is None:
                raise BadRule(f"parsing_re does not match {line[:60]!r}")
            event = match.groupdict() or {str(place): text for place, text in enumerate(match.groups(), 1)}
        elif platform == "text":
            event = {"text": line}
        else:
            try:
                event = orjson.loads(line)
            except ValueError:
                raise BadRule(f"not JSON: {line[:60]!r}") from None
    if not isinstance(event, dict):
        raise BadRule("an event has to be an object")
    routing: dict[str, Any] = {
        "hostname": hostname,
        "event_type": "unknown_event",
        "plat": PLATFORMS[platform],
    }
    for name, into in _PATHS.items():
        if name not in mapping:
            continue
        path = str(mapping[name])
        if "{{" in path:
            raise BadRule(f"{name}: templates are not served by this sandbox")
        found = values_at(event, path)
        if found:
            routing[into] = found[0]
    dropped = mapping.get("drop_fields") or []
    if not isinstance(dropped, list):
        raise BadRule("drop_fields has to be a list")
    event = {name: value for name, value in event.items() if name not in dropped}
    return {"event": event, "routing": routing}


@table.add("POST", "/v1/usp/validate/{oid}")
def validate_adapter(call: Call) -> object:
    """What an adapter would make of some lines: {results, errors}."""
    call.organization("org.get")
    body = call.json()
    if not isinstance(body, dict):
        raise Refusal(400, "an object is wanted")
    # What syslog brings are lines of text.
    platform = "text" if body.get("platform") == "syslog" else body.get("platform")
    if not isinstance(platform, str) or platform not in PLATFORMS:
        raise Refusal(400, f"unknown platform {platform!r}")
    mappings = body.get("mappings") or [body.get("mapping") or {}]
    if not isinstance(mappings, list) or not all(isinstance(mapping, dict) for mapping in mappings):
        raise Refusal(400, "bad parameter mapping")
    unknown = sorted(
        {name for mapping in mappings for name in mapping} - {*_PATHS, "parsing_re", "drop_fields"}
    )
    if unknown:
        return {"results": [], "errors": [f"mapping: {unknown[0]} is not served by this sandbox"]}
    if body.get("indexing"):
        return {"results": [], "errors": ["indexing is not served by this sandbox"]}
    results, errors = [], []
    hostname = str(body.get("hostname") or "validation-test")
    for number, line in enumerate(_lines(body), 1):
        said = ""
        for mapping in mappings:
            # The first mapping that fits is taken.
            try:
                results.append(_mapped(mapping, platform, hostname, line))
                break
            except BadRule as problem:
                said = said or str(problem)
        else:
            errors.append(f"line {number}: {said}")
    return {"results": results, "errors": errors}
