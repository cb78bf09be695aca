"""Detections, audit, and what is kept of events."""

import base64
from typing import Any

from console.sandbox.calls import Call, Refusal, not_found, packed, table
from console.sandbox.organizations import Organization
from console.sandbox.sensors import Sensor

PAGE = 5000


def _range(call: Call) -> tuple[int, int]:
    """The wanted time in milliseconds: from the start of one second to the end of another."""
    start, end = call.number("start"), call.number("end")
    if end < start:
        raise Refusal(400, "end is before start")
    return start * 1000, end * 1000 + 1000


def _cursor(text: str, kind: str) -> int | None:
    """Where a page begins; None for the first."""
    if text in ("", "-"):
        return None
    try:
        found, _, place = base64.urlsafe_b64decode(text.encode("ascii")).decode().partition(":")
        if found == kind:
            return int(place)
    except ValueError:
        pass
    raise Refusal(400, "bad cursor")


def _made(kind: str, place: int) -> str:
    return base64.urlsafe_b64encode(f"{kind}:{place}".encode()).decode()


@table.add("GET", "/v1/insight/{oid}/detections")
def detections(call: Call) -> object:
    """Detections of a range of time, newest first, in pages."""
    one = call.organization("insight.det.get")
    start, end = _range(call)
    all_of_them = call.world.detections
    all_of_them.advance(call.world.clock())
    first = all_of_them.first_at(one.index, start)
    at = _cursor(call.asked("cursor"), "detect")
    last = all_of_them.first_at(one.index, end) if at is None else min(at, all_of_them.count(one.index))
    limit = max(1, min(PAGE, call.number("limit", PAGE)))
    numbers, stop = all_of_them.page(
        one.index, first, last, limit, cat=call.asked("cat"), sid=call.asked("sid")
    )
    found = [all_of_them.detection(one.index, number) for number in numbers]
    return {
        "detects": packed(found) if call.flag("is_compressed") else found,
        "next_cursor": _made("detect", stop) if stop > first else "",
    }


@table.add("GET", "/v1/insight/{oid}/detections/stats")
def detection_stats(call: Call) -> object:
    """How many of each category in a range of time."""
    one = call.organization("insight.stat", "insight.det.get")
    start, end = _range(call)
    found = call.world.detections
    found.advance(call.world.clock())
    totals: dict[str, int] = {}
    for number in range(found.first_at(one.index, start), found.first_at(one.index, end)):
        cat = found.rule(one.index, number).cat
        totals[cat] = totals.get(cat, 0) + 1
    return {"totals": totals}


@table.add("GET", "/v1/insight/{oid}/detections/{detect_id}")
def detection(call: Call) -> object:
    """One detection."""
    one = call.organization("insight.det.get")
    found = call.world.detections
    found.advance(call.world.clock())
    number = found.find(one.index, call.params["detect_id"])
    if number is None:
        raise not_found()
    return found.detection(one.index, number)


def _entries(call: Call, one: Organization, start: int, end: int) -> list[dict[str, Any]]:
    log = call.world.audit
    past = range(log.first_at(one, start), log.first_at(one, end))
    found = [log.entry(one, number) for number in past]
    return found + [entry for entry in call.world.noted(one) if start <= entry["time"] < end]


@table.add("GET", "/v1/insight/{oid}/audit")
def audit(call: Call) -> object:
    """The audit log of a range of time, oldest first, in pages."""
    one = call.organization("audit.get")
    found = _entries(call, one, *_range(call))
    kind, sid = call.asked("event_type"), call.asked("sid")
    if kind:
        found = [entry for entry in found if entry["etype"] == kind]
    if sid:
        found = [entry for entry in found if entry["entity"].get("name") == sid]
    start = _cursor(call.asked("cursor"), "audit") or 0
    limit = max(1, min(1000, call.number("limit", 1000)))
    page = found[start : start + limit]
    return {
        "events": packed(page) if call.flag("is_compressed") else page,
        "next_cursor": _made("audit", start + limit) if start + limit < len(found) else "",
    }


@table.add("GET", "/v1/insight/{oid}")
def bucket(call: Call) -> object:
    """Where the organization's telemetry is kept; empty when it is not."""
    one = call.organization("insight.list", "insight.evt.get")
    return {"insight_bucket": f"insight-{one.site}"}


def _its_sensor(call: Call, *permissions: str) -> tuple[Organization, Sensor]:
    one = call.organization(*permissions)
    found = call.world.sensor_by_sid(call.params["sid"])
    if found is None or found[0] is not one:
        raise not_found()
    return found


@table.add("GET", "/v1/insight/{oid}/{sid}")
def events(call: Call) -> object:
    """Telemetry of one sensor, oldest first (newest first with is_forward=false), in pages."""
    one, sensor = _its_sensor(call, "insight.evt.get")
    start, end = _range(call)
    slots = call.world.events.slots(one, sensor, start, end)
    if call.asked("is_forward", "true").lower() == "false":
        slots.reverse()
    found = [call.world.events.event(one, sensor, slot) for slot in slots]
    kind = call.asked("event_type")
    if kind:
        found = [event for event in found if event["routing"]["event_type"] == kind]
    first = _cursor(call.asked("cursor"), "event") or 0
    limit = max(1, min(1000, call.number("limit", 1000)))
    page = found[first : first + limit]
    return {
        "events": packed(page) if call.flag("is_compressed") else page,
        "next_cursor": _made("event", first + limit) if first + limit < len(found) else "",
    }


@table.add("GET", "/v1/insight/{oid}/{sid}/overview")
def overview(call: Call) -> object:
    """The hours in which a sensor sent anything (seconds, UTC), of less than 30 days."""
    one, sensor = _its_sensor(call, "insight.evt.get", "insight.evt.get.simple")
    start, end = _range(call)
    if end - start > 30 * 86_400_000:
        raise Refusal(400, "the range is longer than 30 days")
    slots = call.world.events.slots(one, sensor, start, end)
    return {
        "overview": sorted({call.world.events.time(one, sensor, slot) // 3_600_000 * 3600 for slot in slots})
    }


@table.add("GET", "/v1/insight/{oid}/{sid}/{atom}")
def event(call: Call) -> object:
    """One event by its atom."""
    one, sensor = _its_sensor(call, "insight.evt.get")
    found = call.world.events.by_atom(one, sensor, call.params["atom"])
    if found is None:
        raise not_found()
    return {"event": found}
