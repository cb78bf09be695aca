"""The cases host (`/api/v1/`), and what `ext-cases` does when it is asked as an extension."""

import asyncio
import base64
import statistics
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import orjson
from aiohttp import WSMessage, WSMsgType, web

from console.sandbox.calls import Call, Handler, Refusal, table
from console.sandbox.caserules import ENTITY_TYPES, EXTENSION, Case, CaseRefused, normal, stamp
from console.sandbox.extensions import Action, action
from console.sandbox.organizations import Organization
from console.sandbox.rules import Value
from store.alerts import CLASSIFICATIONS, SEVERITIES, STATUSES

READ, WRITE = "investigation.get", "investigation.set"
PAGE, LARGEST_PAGE = 50, 200


def _noted(call: Call, act: Callable[[], object]) -> object:
    """Carry a request out; what it did stands in the audit log, and what Cases refuse is the answer."""
    cases = call.world.cases
    cases.acted.clear()
    try:
        answer = act()
    except CaseRefused as refused:
        raise Refusal(refused.status, str(refused)) from None
    for case, event in cases.acted:
        call.record(
            call.world.by_oid[case.oid],
            "user_action",
            f"case {case.number}: {event['action'].removeprefix('case_').replace('_', ' ')}",
            entity={"type": "case", "name": str(case.number)},
            mtd={"action": event["action"], "event_id": event["event_id"], **event["metadata"]},
        )
    return answer


def _serves(method: str, path: str) -> Callable[[Handler], Handler]:
    """Declare an endpoint of the cases host."""

    def declare(handler: Handler) -> Handler:
        @wraps(handler)
        def served(call: Call) -> object:
            def act() -> object:
                call.world.cases.admit(call.token().credential)
                return handler(call)

            return _noted(call, act)

        return table.add(method, f"/api/v1/{path}")(served)

    return declare


def _organization(call: Call, oid: str, permission: str) -> Organization:
    organization = call.reach(oid, permission)
    call.oid = oid
    if not call.world.cases.subscribed(organization):
        raise Refusal(400, f"organization {oid} is not subscribed to {EXTENSION}")
    return organization


def _organizations(call: Call) -> list[Organization]:
    """Those of `oids`, in each of which cases may be read."""
    oids = list(dict.fromkeys(oid for text in call.query.get("oids", ()) for oid in text.split(",") if oid))
    if not oids:
        raise Refusal(400, "missing parameter oids")
    found = [_organization(call, oid, READ) for oid in oids]
    call.oid = oids[0] if len(oids) == 1 else ""
    return found


def _number(text: object) -> int:
    if isinstance(text, bool) or not isinstance(text, int | str) or not str(text).isdecimal():
        raise Refusal(400, "bad case number")
    return int(text)


def _case(call: Call, permission: str) -> tuple[Organization, Case]:
    """The case of the path, in the organization of the query."""
    oid = call.asked("oid")
    if not oid:
        raise Refusal(400, "missing parameter oid")
    organization = _organization(call, oid, permission)
    return organization, call.world.cases.find(organization, _number(call.params["number"]))


def _sent(call: Call) -> Value:
    loaded = call.json()
    if not isinstance(loaded, dict):
        raise Refusal(400, "the body must be a JSON object")
    return loaded


def _whom(call: Call) -> str:
    return call.token().ident


# Cases


def _words(call: Call, name: str, allowed: Sequence[str] = ()) -> list[str]:
    found = [word.strip() for text in call.query.get(name, ()) for word in text.split(",") if word.strip()]
    for word in found:
        if allowed and word not in allowed:
            raise Refusal(400, f"{name} must be of {', '.join(allowed)}")
    return found


def _wanted(call: Call) -> Callable[[Case], bool]:
    """Whether a case passes every filter of the query."""
    statuses, severities = _words(call, "status", STATUSES), _words(call, "severity", SEVERITIES)
    classifications = _words(call, "classification", CLASSIFICATIONS)
    tags = {tag.casefold() for tag in _words(call, "tag")}
    assignee, needle, sid = (
        call.asked("assignee").casefold(),
        call.asked("search").casefold(),
        call.asked("sid"),
    )

    def passes(case: Case) -> bool:
        return (
            (not statuses or case.status in statuses)
            and (not severities or case.severity in severities)
            and (not classifications or case.classification in classifications)
            and (not tags or tags <= {tag.casefold() for tag in case.tags})
            and (not assignee or assignee in (each.casefold() for each in case.assignees))
            and (not sid or any(each["sid"] == sid for each in case.detections))
            and (
                not needle
                or any(
                    needle in each["detection_cat"].casefold() or needle in each["hostname"].casefold()
                    for each in case.detections
                )
            )
        )

    return passes


_SORTS: dict[str, Callable[[Case], tuple[Any, ...]]] = {
    "created_at": lambda case: (case.created_at, case.oid, case.number),
    "severity": lambda case: (SEVERITIES.index(case.severity), case.created_at, case.oid, case.number),
    "case_number": lambda case: (case.number, case.oid),
}


def _after(token: str, by: str, order: str) -> tuple[Any, ...] | None:
    """Where the page before ended; None for the first."""
    if not token:
        return None
    try:
        found = orjson.loads(base64.urlsafe_b64decode(token.encode("ascii")))
        if found[:2] == [by, order] and isinstance(found[2], list):
            return tuple(found[2])
    except (ValueError, LookupError, TypeError):
        pass
    raise Refusal(400, "bad page_token")


@_serves("GET", "cases")
def listing(call: Call) -> object:
    """Cases of many organizations, filtered and sorted, in pages, and how many of each status pass."""
    organizations = _organizations(call)
    passes = _wanted(call)
    by, order = call.asked("sort") or "created_at", (call.asked("order") or "desc").lower()
    if by not in _SORTS:
        raise Refusal(400, f"sort must be one of {', '.join(_SORTS)}")
    if order not in ("asc", "desc"):
        raise Refusal(400, "order must be asc or desc")
    size = call.number("page_size", PAGE)
    if not 1 <= size <= LARGEST_PAGE:
        raise Refusal(400, f"page_size must be from 1 to {LARGEST_PAGE}")
    after = _after(call.asked("page_token"), by, order)
    key = _SORTS[by]
    found = [case for one in organizations for case in call.world.cases.all_of(one) if passes(case)]
    counts = dict.fromkeys(STATUSES, 0)
    for case in found:
        counts[case.status] += 1
    if after is not None:
        try:
            found = [case for case in found if (key(case) > after if order == "asc" else key(case) < after)]
        except TypeError:
            raise Refusal(400, "bad page_token") from None
    found.sort(key=key, reverse=order == "desc")
    page = found[:size]
    token = orjson.dumps([by, order, list(key(page[-1]))]) if len(found) > size else b""
    return {
        "cases": [case.row() for case in page],
        "next_page_token": base64.urlsafe_b64encode(token).decode(),
        "total_counts": counts,
    }


@_serves("GET", "cases/{number}")
def one(call: Call) -> object:
    """One case and everything that happened to it."""
    _, case = _case(call, READ)
    return {"case": case.shown(), "events": case.events}


@_serves("PATCH", "cases/{number}")
def update(call: Call) -> object:
    """Change a case."""
    organization, case = _case(call, WRITE)
    return {"case": call.world.cases.update(organization, case.number, _whom(call), _sent(call)).shown()}


def _numbers(sent: Value, name: str) -> list[int]:
    if not isinstance(sent.get(name), list):
        raise Refusal(400, f"{name} must be a list of case numbers")
    return [_number(each) for each in sent[name]]


@_serves("POST", "cases/bulk-update")
def bulk_update(call: Call) -> object:
    """Change status or classification of up to 200 cases."""
    sent = _sent(call)
    organization = _organization(call, str(sent.get("oid") or ""), WRITE)
    fields = sent.get("update")
    if not isinstance(fields, dict):
        raise Refusal(400, "update must be an object")
    return call.world.cases.bulk(organization, _numbers(sent, "case_numbers"), _whom(call), fields)


@_serves("POST", "cases/merge")
def merge(call: Call) -> object:
    """Merge up to 20 cases into one."""
    sent = _sent(call)
    organization = _organization(call, str(sent.get("oid") or ""), WRITE)
    target, sources = _number(sent.get("target_case_number")), _numbers(sent, "source_case_numbers")
    merged = call.world.cases.merge(organization, target, sources, _whom(call))
    return {"case": merged.shown(), "merged_case_numbers": sources}


# What is attached to a case


@_serves("POST", "cases/{number}/notes")
def add_note(call: Call) -> object:
    """Add a note."""
    organization, case = _case(call, WRITE)
    return {"event_id": call.world.cases.add_note(organization, case, _whom(call), _sent(call))}


@_serves("PATCH", "cases/{number}/notes/{event_id}")
def show_note(call: Call) -> object:
    """Change who sees a note."""
    organization, case = _case(call, WRITE)
    event_id = call.params["event_id"]
    event = call.world.cases.show_note(organization, case, _whom(call), event_id, _sent(call))
    return {"event_id": event_id, "is_public": event["is_public"]}


@_serves("POST", "cases/{number}/time-logs")
def log_time(call: Call) -> object:
    """Log billable time."""
    organization, case = _case(call, WRITE)
    return call.world.cases.log_time(organization, case, _whom(call), _sent(call))


@_serves("GET", "cases/{number}/detections")
def detections(call: Call) -> object:
    """The linked detections."""
    return {"detections": _case(call, READ)[1].detections}


@_serves("POST", "cases/{number}/detections")
def link_detection(call: Call) -> object:
    """Link a detection."""
    organization, case = _case(call, WRITE)
    detection = _object(_sent(call).get("detection"), "detection")
    call.world.cases.count_ingested(organization)
    record = call.world.cases.link(organization, case, _whom(call), detection)
    return {"detection": record, "detections": case.detections}


@_serves("DELETE", "cases/{number}/detections/{detect_id}")
def unlink_detection(call: Call) -> object:
    """Take a detection out."""
    organization, case = _case(call, WRITE)
    call.world.cases.unlink(organization, case, _whom(call), call.params["detect_id"])
    return {}


@_serves("GET", "cases/{number}/entities")
def entities(call: Call) -> object:
    """The attached indicators."""
    return {"entities": _case(call, READ)[1].entities}


@_serves("POST", "cases/{number}/entities")
def add_entity(call: Call) -> object:
    """Attach an indicator."""
    organization, case = _case(call, WRITE)
    return call.world.cases.add_entity(organization, case, _whom(call), _sent(call))


@_serves("GET", "cases/{number}/telemetry")
def telemetry(call: Call) -> object:
    """The events referred to."""
    return {"telemetry": _case(call, READ)[1].telemetry}


@_serves("POST", "cases/{number}/telemetry")
def add_telemetry(call: Call) -> object:
    """Refer to an event."""
    organization, case = _case(call, WRITE)
    return call.world.cases.add_telemetry(organization, case, _whom(call), _sent(call))


@_serves("GET", "cases/{number}/artifacts")
def artifacts(call: Call) -> object:
    """The artifacts referred to."""
    return {"artifacts": _case(call, READ)[1].artifacts}


@_serves("POST", "cases/{number}/artifacts")
def add_artifact(call: Call) -> object:
    """Refer to an artifact."""
    organization, case = _case(call, WRITE)
    return call.world.cases.add_artifact(organization, case, _whom(call), _sent(call))


def _declare(what: str, path: str, *, assessed: bool) -> None:
    """How entities, telemetry and artifacts are changed and taken away: alike."""

    def assess(call: Call) -> object:
        organization, case = _case(call, WRITE)
        row_id = call.params["row_id"]
        return call.world.cases.assess(organization, case, _whom(call), what, row_id, _sent(call))

    def remove(call: Call) -> object:
        organization, case = _case(call, WRITE)
        call.world.cases.remove(organization, case, _whom(call), what, call.params["row_id"])
        return {}

    if assessed:
        _serves("PATCH", f"cases/{{number}}/{path}/{{row_id}}")(assess)
    _serves("DELETE", f"cases/{{number}}/{path}/{{row_id}}")(remove)


_declare("entity", "entities", assessed=True)
_declare("telemetry", "telemetry", assessed=True)
_declare("artifact", "artifacts", assessed=False)


@_serves("GET", "entities/search")
def search_entities(call: Call) -> object:
    """The cases that an indicator is attached to."""
    organizations = _organizations(call)
    kind = call.asked("entity_type")
    if kind not in ENTITY_TYPES:
        raise Refusal(400, f"entity_type must be one of {', '.join(ENTITY_TYPES)}")
    value = normal(kind, call.asked("entity_value"))
    if not value:
        raise Refusal(400, "missing parameter entity_value")
    cases = call.world.cases
    return {
        "results": [
            {
                "case_id": case.case_id, "case_number": case.number, "oid": case.oid, "status": case.status,
                "severity": case.severity, **entity,
            }
            for organization in organizations
            for case in map(cases.told, cases.all_of(organization))
            for entity in case.entities
            if (entity["entity_type"], entity["entity_value"]) == (kind, value)
        ]
    }  # fmt: skip


# Over many cases


@_serves("GET", "dashboard/counts")
def counts(call: Call) -> object:
    """How many cases are in each status and of each severity, and how many open ones are late."""
    now = call.world.clock()
    statuses, severities = dict.fromkeys(STATUSES, 0), dict.fromkeys(SEVERITIES, 0)
    late = {"mtta": 0, "mttr": 0}
    for organization in _organizations(call):
        targets = call.world.cases.config(organization)["sla_config"]
        for case in call.world.cases.all_of(organization):
            statuses[case.status] += 1
            severities[case.severity] += 1
            minutes = (now - case.created_at) / 60_000
            target = targets[case.severity]
            late["mtta"] += case.status == "new" and minutes > target["mtta_minutes"]
            late["mttr"] += case.status in ("new", "in_progress") and minutes > target["mttr_minutes"]
    return {"counts": statuses, "by_status": statuses, "by_severity": severities, "sla_breaches": late}


def _moment(call: Call, name: str) -> int:
    try:
        moment = datetime.fromisoformat(call.asked(name))
    except ValueError:
        raise Refusal(400, f"{name} must be an RFC 3339 time") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _measured(spans: Sequence[tuple[float, float]]) -> Value:
    """Of (minutes taken, minutes allowed): average and median in seconds, and the share that was in time."""
    taken = [each for each, _ in spans]
    return {
        "count": len(spans),
        "average_seconds": round(statistics.fmean(taken) * 60) if taken else None,
        "median_seconds": round(statistics.median(taken) * 60) if taken else None,
        "sla_compliance": sum(each <= allowed for each, allowed in spans) / len(spans) if spans else None,
    }


def _report(call: Call, cases: Iterable[Case]) -> Value:
    acknowledged, resolved = [], []
    classes, categories = dict.fromkeys(CLASSIFICATIONS, 0), dict[str, int]()
    total = 0
    for case in cases:
        total += 1
        classes[case.classification] += 1
        for detection in case.detections:
            cat = detection["detection_cat"]
            categories[cat] = categories.get(cat, 0) + 1
        organization = call.world.by_oid[case.oid]
        target = call.world.cases.config(organization)["sla_config"][case.severity]
        if case.acknowledged_at is not None:
            minutes = (case.acknowledged_at - case.created_at) / 60_000
            acknowledged.append((minutes, target["mtta_minutes"]))
        if case.resolved_at is not None:
            resolved.append(((case.resolved_at - case.created_at) / 60_000, target["mttr_minutes"]))
    told = classes["true_positive"] + classes["false_positive"]
    return {
        "volume": {"total": total, **classes},
        "mtta": _measured(acknowledged),
        "mttr": _measured(resolved),
        "classification_rates": {
            name: classes[name] / told if told else None for name in ("true_positive", "false_positive")
        },
        "top_categories": [
            {"category": cat, "count": count}
            for cat, count in sorted(categories.items(), key=lambda each: (-each[1], each[0]))[:10]
        ],
    }


@_serves("GET", "reports/summary")
def report(call: Call) -> object:
    """Times to acknowledge and resolve, volume and classification of the cases made in a range of time."""
    organizations = _organizations(call)
    start, end = _moment(call, "from"), _moment(call, "to")
    if end < start:
        raise Refusal(400, "to is before from")
    groups: dict[str, Callable[[Case], str]] = {
        "severity": lambda case: case.severity,
        "status": lambda case: case.status,
        "classification": lambda case: case.classification,
        "region": lambda case: call.world.by_oid[case.oid].site,
    }
    by = call.asked("group_by")
    if by and by not in groups:
        raise Refusal(400, f"group_by must be one of {', '.join(groups)}")
    made = {
        one.oid: [case for case in call.world.cases.all_of(one) if start <= case.created_at < end]
        for one in organizations
    }
    every = [case for cases in made.values() for case in cases]
    found: Value = {
        "from": stamp(start),
        "to": stamp(end),
        "organizations": [{"oid": oid, **_report(call, cases)} for oid, cases in made.items()],
        "total": _report(call, every),
    }
    if by:
        parts: dict[str, list[Case]] = {}
        for case in every:
            parts.setdefault(groups[by](case), []).append(case)
        found["groups"] = {name: _report(call, cases) for name, cases in sorted(parts.items())}
    return {"report": found}


@_serves("GET", "assignees")
def assignees(call: Call) -> object:
    """Everybody who has a case."""
    return {
        "assignees": sorted(
            {
                each
                for organization in _organizations(call)
                for case in call.world.cases.all_of(organization)
                for each in case.assignees
            }
        )
    }


@_serves("GET", "orgs")
def with_cases(call: Call) -> object:
    """The organizations of the token that have the cases extension."""
    world = call.world
    return {
        "oids": [
            oid
            for oid in call.token().permissions
            if oid in world.by_oid
            and world.by_oid[oid] is not world.unauthorized
            and call.allows(oid, READ)
            and world.cases.subscribed(world.by_oid[oid])
        ]
    }


@_serves("GET", "config/{oid}")
def config(call: Call) -> object:
    """The organization's configuration of cases."""
    return call.world.cases.config(_organization(call, call.params["oid"], "org.conf.get"))


@_serves("PUT", "config/{oid}")
def set_config(call: Call) -> object:
    """Change the configuration; what is not sent stays."""
    organization = _organization(call, call.params["oid"], "org.conf.set")
    before = call.world.cases.config(organization)
    after = call.world.cases.set_config(organization, _sent(call))
    if after != before:
        call.record(
            organization,
            "user_action",
            "cases: config updated",
            entity={"type": "extension", "name": EXTENSION},
            mtd={
                "action": "case_config_updated",
                "old": {name: value for name, value in before.items() if after[name] != value},
                "new": {name: value for name, value in after.items() if before[name] != value},
            },
        )
    return after


# As it happens


@table.add("GET", "/api/v1/ws", open=True)
async def stream(call: Call) -> object:
    """Events of cases as they happen: the first message authenticates, others subscribe."""
    socket = web.WebSocketResponse(heartbeat=30)
    if call.request is None or not socket.can_prepare(call.request):
        raise Refusal(400, "this is a WebSocket")
    await socket.prepare(call.request)
    cases = call.world.cases
    heard: asyncio.Queue[Value] = asyncio.Queue()
    subscribed: set[str] = set()

    async def push() -> None:
        while True:
            event = await heard.get()
            await socket.send_json({"type": "case_event", **event, "event": event})

    pushing = asyncio.create_task(push())
    try:
        async for message in socket:
            sent = _message(message)
            if sent.get("type") == "auth":
                call.claims = call.sandbox.tokens.read(str(sent.get("token") or ""))
                answer: Value = {"type": "authenticated"}
            else:
                answer = _subscribe(call, sent, heard.put_nowait, subscribed)
            if call.claims is None:
                await socket.send_json({"type": "error", "error": "unauthorized: invalid or expired token"})
                await socket.close(code=1008)
                break
            await socket.send_json(answer or {"type": "error", "error": "bad message"})
    finally:
        pushing.cancel()
        for case_id in subscribed:
            cases.ignore(case_id, heard.put_nowait)
    return socket


def _message(message: WSMessage) -> Value:
    try:
        sent = orjson.loads(message.data) if message.type is WSMsgType.TEXT else None
    except ValueError:
        sent = None
    return sent if isinstance(sent, dict) else {}


def _subscribe(call: Call, sent: Value, hear: Callable[[Value], None], subscribed: set[str]) -> Value:
    if call.claims is None or sent.get("type") not in ("subscribe", "unsubscribe"):
        return {}
    case_id = str(sent.get("case_id") or "")
    if sent["type"] == "unsubscribe":
        subscribed.discard(case_id)
        call.world.cases.ignore(case_id, hear)
        return {"type": "unsubscribed", "case_id": case_id}
    found = call.world.cases.by_id(case_id)
    if found is None or not call.allows(found[0].oid, READ) or found[0] is call.world.unauthorized:
        return {"type": "error", "error": "case not found", "case_id": case_id}
    subscribed.add(case_id)
    call.world.cases.listen(case_id, hear)
    return {"type": "subscribed", "case_id": case_id}


# As an extension


def _object(value: object, name: str) -> Value:
    """An object, or its JSON text: the official client sends one since 5.10, and an object before."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, dict):
        raise Refusal(400, f"{name} must be a JSON object")
    return value


def _asked(name: str) -> Callable[[Action], Action]:
    """Declare what the extension does for a request."""

    def declare(handler: Action) -> Action:
        @wraps(handler)
        def act(call: Call, organization: Organization, data: dict[str, Any]) -> object:
            return _noted(call, lambda: handler(call, organization, data))

        return action(EXTENSION, name)(act)

    return declare


@_asked("create_case")
def create_case(call: Call, organization: Organization, data: dict[str, Any]) -> object:
    """Make a case, of a detection or of none; a detection that some case holds already makes none."""
    cases = call.world.cases
    severity, summary = data.get("severity") or None, data.get("summary") or ""
    if data.get("detection") in (None, ""):
        made = cases.create(organization, _whom(call), severity=severity, summary=summary)
        return {"created": 1, "case_number": made.number}
    detection = _object(data["detection"], "detection")
    cases.count_ingested(organization)
    held = cases.holding(organization, str(detection.get("detect_id")))
    if held is not None:
        return {"created": 0, "case_number": held.number}
    made = cases.create(organization, _whom(call), detection=detection, severity=severity, summary=summary)
    return {"created": 1, "case_number": made.number}


@_asked("ingest_detection")
def ingest_detection(call: Call, organization: Organization, data: dict[str, Any]) -> object:
    """Let a detection become a case, or a part of one."""
    detection = _object(data["detection"], "detection") if "detection" in data else dict(data)
    for name in ("routing", "detect", "detect_mtd"):
        if isinstance(detection.get(name), str):
            detection[name] = _object(detection[name], name)
    call.world.cases.count_ingested(organization)
    made, number = call.world.cases.ingest(organization, detection, _whom(call))
    return {"created": int(made), "case_number": number}


@_asked("get_case_count")
def get_case_count(call: Call, organization: Organization, data: dict[str, Any]) -> object:
    """How many cases are in each status."""
    found = call.world.cases.counts(organization)
    return {**found, "total": sum(found.values())}
