"""Detections, audit, and what is kept of events."""

import base64
from typing import Any

from console.sandbox.calls import Call, Refusal, not_found, packed, table
from console.sandbox.organizations import Organization

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
