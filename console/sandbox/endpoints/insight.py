"""Detections, audit, what is kept of events, and where an indicator was seen."""

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from console.sandbox.calls import Call, Refusal, not_found, packed, table
from console.sandbox.organizations import Organization
from console.sandbox.sensors import Sensor

PAGE = 5000
DAY_MS = 86_400_000


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
    call.world.detections.advance(call.world.clock())
    return found


@table.add("GET", "/v1/insight/{oid}/{sid}")
def events(call: Call) -> object:
    """Telemetry of one sensor, oldest first (newest first with is_forward=false), in pages."""
    one, sensor = _its_sensor(call, "insight.evt.get")
    found = call.world.events.between(one, sensor, *_range(call))
    if call.asked("is_forward", "true").lower() == "false":
        found.reverse()
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
    kept = call.world.events
    times = [kept.time(one, sensor, slot) for slot in kept.slots(one, sensor, start, end)]
    times += [moment for moment, _ in kept.reported(one, sensor, start, end)]
    return {"overview": sorted({moment // 3_600_000 * 3600 for moment in times})}


@table.add("GET", "/v1/insight/{oid}/{sid}/{atom}")
def event(call: Call) -> object:
    """One event by its atom."""
    one, sensor = _its_sensor(call, "insight.evt.get")
    found = call.world.events.by_atom(one, sensor, call.params["atom"])
    if found is None:
        raise not_found()
    return {"event": found}


@table.add("GET", "/v1/insight/{oid}/{sid}/{atom}/children")
def children(call: Call) -> object:
    """The events that an event brought forth."""
    one, sensor = _its_sensor(call, "insight.evt.get")
    if call.world.events.by_atom(one, sensor, call.params["atom"]) is None:
        raise not_found()
    found = call.world.events.children(one, sensor, call.params["atom"])
    return {"events": packed(found) if call.flag("is_compressed") else found}


@table.add("GET", "/v1/insight/event_count/{oid}/{sid}")
def event_count(call: Call) -> object:
    """How many events of a sensor are kept; with is_detailed=true of each type."""
    one, sensor = _its_sensor(call, "insight.stat", "insight.evt.get")
    found = call.world.events.between(one, sensor, *_range(call))
    if not call.flag("is_detailed"):
        return {"count": len(found)}
    counts: dict[str, int] = {}
    for event in found:
        kind = event["routing"]["event_type"]
        counts[kind] = counts.get(kind, 0) + 1
    return {"count": len(found), "event_types": counts}


def _days(call: Call) -> Iterator[tuple[int, int]]:
    """The days of the wanted time (ms), each cut to it; none of which nothing can be known."""
    start, end = _range(call)
    now = call.world.clock()
    start, end = max(start, now - 400 * DAY_MS), min(end, now + 1)
    while start < end:
        following = min(end, (start // DAY_MS + 1) * DAY_MS)
        yield start, following
        start = following


@table.add("GET", "/v1/insight/{oid}/online/stats")
def online_stats(call: Call) -> object:
    """How many sensors were online on each day (seconds, UTC, of its beginning)."""
    one = call.organization("insight.stat", "sensor.list")
    now = call.world.clock()
    totals: dict[str, int] = {}
    for start, end in _days(call):
        totals[str(start // DAY_MS * DAY_MS // 1000)] = sum(
            sensor.enrolled * 1000 < end and (not sensor.silent or now - sensor.silent * 1000 >= start)
            for sensor in call.world.sensors_of(one)
        )
    return {"totals": totals}


@table.add("GET", "/v1/insight/{oid}/traffic/stats")
def traffic_stats(call: Call) -> object:
    """How many events came in on each day (seconds, UTC, of its beginning)."""
    one = call.organization("insight.stat", "insight.evt.get")
    call.world.detections.advance(call.world.clock())
    totals: dict[str, int] = {}
    for start, end in _days(call):
        count = sum(call.world.events.count(one, sensor, start, end) for sensor in call.world.sensors_of(one))
        if count:
            totals[str(start // DAY_MS * DAY_MS // 1000)] = count
    return {"totals": totals}


@table.add("GET", "/v1/insight/{oid}/artifacts")
def artifacts(call: Call) -> object:
    """Collected files. No rule of this sandbox collects any, so there are none."""
    call.organization("insight.evt.get", "insight.list")
    if not call.asked("cursor"):
        _range(call)
    return {"artifacts": [], "logs": [], "next_cursor": ""}


@table.add("POST", "/v1/insight/{oid}/artifacts/originals/{artifact}")
def artifact(call: Call) -> object:
    """One collected file."""
    call.organization("insight.evt.get", "insight.list")
    raise not_found()


_FIELDS = {
    "domain": ("DOMAIN_NAME",),
    "ip": ("IP_ADDRESS", "ClientIP", "remote_addr", "NETWORK_ACTIVITY/IP_ADDRESS"),
    "file_hash": ("HASH",),
    "file_path": ("FILE_PATH", "PARENT/FILE_PATH"),
    "file_name": ("FILE_PATH", "PARENT/FILE_PATH"),
    "user": ("USER_NAME", "UserId", "UserName"),
    "email": ("UserId",),
    "service_name": ("SVC_NAME",),
    "package_name": ("PACKAGE_NAME",),
    "hostname": (),
}
"""Where the objects of each type stand in an event."""

_SPANS = {"last_1_days": 1, "last_7_days": 7, "last_30_days": 30, "last_365_days": 365}

Sighting = tuple[str, str, int]
"""What was seen, on which sensor, when (ms)."""


def _objects(event: dict[str, Any], kind: str) -> Iterator[str]:
    for path in _FIELDS[kind]:
        values: list[Any] = [event]
        for part in path.split("/"):
            values = [
                inner
                for value in values
                for each in (value if isinstance(value, list) else [value])
                if isinstance(each, dict) and (inner := each.get(part)) is not None
            ]
        for value in values:
            if isinstance(value, str):
                yield value.replace("\\", "/").rsplit("/", 1)[-1] if kind == "file_name" else value


def _sightings(call: Call, one: Organization, kinds: set[str]) -> dict[str, list[Sighting]]:
    """Every object of the wanted types in the organization's last 30 days: in the events that fired a
    detection, and in a sample of the others, the last day's of each sensor."""
    found: dict[str, list[Sighting]] = {kind: [] for kind in kinds}
    world = call.world
    now = world.clock()

    def look(event: dict[str, Any], sid: str, moment: int) -> None:
        for kind in kinds:
            found[kind] += [(value, sid, moment) for value in set(_objects(event, kind))]

    detections = world.detections
    detections.advance(now)
    for number in range(detections.count(one.index)):
        detection = detections.detection(one.index, number)
        look(detection["detect"]["event"], detection["routing"]["sid"], detection["routing"]["event_time"])
    for sensor in world.sensors_of(one):
        for event in world.events.between(one, sensor, now - DAY_MS, now + 1):
            look(event["event"], sensor.sid, event["routing"]["event_time"])
        if "hostname" in kinds:
            found["hostname"].append((sensor.hostname, sensor.sid, now - sensor.silent * 1000))
    return found


def _test(name: str, *, case_sensitive: bool, wildcards: bool) -> Callable[[str], bool]:
    wanted = name if case_sensitive else name.lower()
    if not wildcards:
        return lambda value: (value if case_sensitive else value.lower()) == wanted
    pattern = re.compile(".*".join(map(re.escape, wanted.split("%"))), re.DOTALL)
    return lambda value: pattern.fullmatch(value if case_sensitive else value.lower()) is not None


def _kind(name: str) -> str:
    if name not in _FIELDS:
        raise Refusal(400, f"unknown object type {name}: one of {', '.join(_FIELDS)}")
    return name


def _locations(call: Call, one: Organization, seen: list[Sighting], limit: int) -> dict[str, Any]:
    places: dict[str, dict[str, Any]] = {}
    for _, sid, moment in seen:
        sensor = call.world.sensor_by_sid(sid)
        place = places.setdefault(
            sid,
            {
                "sid": sid,
                "hostname": sensor[1].hostname if sensor else "",
                "first_ts": moment // 1000,
                "last_ts": moment // 1000,
            },
        )
        place["first_ts"] = min(place["first_ts"], moment // 1000)
        place["last_ts"] = max(place["last_ts"], moment // 1000)
    newest = sorted(places.values(), key=lambda place: (-place["last_ts"], place["sid"]))
    return {place["sid"]: place for place in newest[:limit]}


@table.add("GET", "/v1/insight/{oid}/objects/{type}")
def objects(call: Call) -> object:
    """On how many sensors an object was seen (`summary`), or on which (`locations`)."""
    one = call.organization("insight.evt.get", "insight.obj.get")
    kind, name = _kind(call.params["type"]), call.asked("name")
    if not name:
        raise Refusal(400, "missing parameter name")
    info = call.asked("info", "summary")
    if info not in ("summary", "locations"):
        raise Refusal(400, "bad parameter info: summary or locations")
    wildcards = call.flag("with_wildcards")
    matches = _test(
        name, case_sensitive=call.asked("case_sensitive", "true").lower() != "false", wildcards=wildcards
    )
    seen = [one_of for one_of in _sightings(call, one, {kind})[kind] if matches(one_of[0])]
    answer: dict[str, Any] = {"type": kind, "name": name, "from_cache": False}
    if info == "locations":
        return answer | _locations(call, one, seen, max(1, min(1000, call.number("limit", 100))))
    now = call.world.clock()
    for span, days in _SPANS.items():
        recent = [one_of for one_of in seen if one_of[2] >= now - days * DAY_MS]
        if call.flag("per_object"):
            names = sorted({value for value, _, _ in recent})
            answer[span] = {
                value: len({sid for other, sid, _ in recent if other == value}) for value in names
            }
        else:
            answer[span] = len({sid for _, sid, _ in recent})
    return answer


@table.add("POST", "/v1/insight/{oid}/objects")
def objects_at_once(call: Call) -> object:
    """The same for many objects: {span: {type: {name: how many sensors}}}."""
    one = call.organization("insight.evt.get", "insight.obj.get")
    try:
        asked = orjson.loads(call.sent("objects"))
    except ValueError:
        raise Refusal(400, "bad parameter objects: not JSON") from None
    if not isinstance(asked, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in asked.values()
    ):
        raise Refusal(400, "bad parameter objects: {type: [name]} is wanted")
    case_sensitive = call.sent("case_sensitive", "true").lower() != "false"
    info = call.sent("info", "summary")
    if info not in ("summary", "locations"):
        raise Refusal(400, "bad parameter info: summary or locations")
    try:
        limit = max(1, min(1000, int(call.sent("limit", "100"))))
    except ValueError:
        raise Refusal(400, "bad parameter limit") from None
    found = _sightings(call, one, {_kind(kind) for kind in asked})
    now = call.world.clock()
    answer: dict[str, Any] = {"from_cache": False, **{span: {} for span in _SPANS}}
    if info == "locations":
        answer["locations"] = {}
    for kind, names in asked.items():
        for name in names:
            matches = _test(name, case_sensitive=case_sensitive, wildcards=False)
            seen = [one_of for one_of in found[kind] if matches(one_of[0])]
            for span, days in _SPANS.items():
                sids = {sid for _, sid, moment in seen if moment >= now - days * DAY_MS}
                answer[span].setdefault(kind, {})[name] = len(sids)
            if info == "locations":
                answer["locations"].setdefault(kind, {})[name] = list(_locations(call, one, seen, limit))
    return answer
