"""Replay: a D&R rule over given events, or over those that are kept. `POST /` with JSON."""

import time
from typing import Any

import orjson

from console.sandbox.calls import Call, Refusal, missing, not_found
from console.sandbox.detection_logic import BadRule, Logic, Run, actions, checked_response
from console.sandbox.organizations import Organization
from console.sandbox.search import (
    STREAMS,
    BadQuery,
    Page,
    Source,
    page,
    place_of,
    plan_of,
    price,
    token_of,
    unhurried,
)
from console.sandbox.selectors import BadSelector, parse

NAMESPACES = {"": "dr-general", "general": "dr-general", "managed": "dr-managed", "service": "dr-service"}
LOOKUPS, INDICATORS, LOOKUP_BYTES = 32, 20_000, 64 * 1024
"""Most of each that a request may carry (docs: services, replay)."""


def _object(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refusal(400, f"bad parameter {name}: an object is wanted")
    return value


def _text(sent: dict[str, Any], name: str) -> str:
    value = sent.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal(400, f"bad parameter {name}: text is wanted")
    return value


def _count(body: dict[str, Any], name: str) -> int:
    value = body.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Refusal(400, f"bad parameter {name}")
    return value


def _lookups(body: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
    sent = body.get("lookups")
    if sent is None:
        return None
    if not isinstance(sent, dict) or not all(isinstance(entries, dict) for entries in sent.values()):
        raise Refusal(400, "invalid lookups: an object of objects is wanted")
    if len(sent) > LOOKUPS:
        raise Refusal(400, f"invalid lookups: too many lookups: {len(sent)} (max {LOOKUPS})")
    indicators = sum(map(len, sent.values()))
    if indicators > INDICATORS:
        raise Refusal(400, f"invalid lookups: too many indicators: {indicators} (max {INDICATORS})")
    if len(orjson.dumps(sent)) > LOOKUP_BYTES:
        raise Refusal(400, f"invalid lookups: more than {LOOKUP_BYTES} bytes")
    return sent


def _rule(call: Call, one: Organization, source: dict[str, Any]) -> tuple[dict[str, Any], str, str]:
    """The rule of a request, its name, and its namespace."""
    name, namespace = _text(source, "rule_name") or call.asked("rule_name"), _text(source, "namespace")
    given = source.get("rule")
    if given:
        return _object(given, "rule"), name, namespace or "general"
    if not name:
        raise Refusal(400, "missing parameter rule_source: a rule_name or a rule is wanted")
    if namespace not in NAMESPACES:
        raise Refusal(400, f"unknown namespace {namespace!r}")
    needed = {"dr-general": "dr.list", "dr-managed": "dr.list.managed", "dr-service": "dr.list.service"}
    hive = NAMESPACES[namespace]
    if not call.allows(one.oid, needed[hive]):
        raise missing(needed[hive])
    record = call.world.records(one, hive).get(name)
    if record is None:
        raise Refusal(404, f"rule not found: {name}")
    return record["data"], name, namespace or "general"


def _stored(call: Call, one: Organization, stream: str, sent: dict[str, Any]) -> Source:
    """What is kept of a range of time."""
    if "start_time" not in sent or "end_time" not in sent:
        raise Refusal(400, "missing parameter start_time or end_time of sensor_events")
    start, end = _count(sent, "start_time"), _count(sent, "end_time")
    if end < start:
        raise Refusal(400, "end_time is before start_time")
    sid = _text(sent, "sid")
    if sid and stream != "audit":
        found = call.world.sensor_by_sid(sid)
        if found is None or found[0] is not one:
            raise not_found()
    try:
        selector = parse(_text(sent, "selector"))
    except BadSelector as problem:
        raise Refusal(400, str(problem)) from None
    if selector is not None and stream == "audit":
        raise Refusal(400, "audit entries come from no sensor: leave the selector out")
    return Source(call.world, one, stream, start * 1000, end * 1000 + 1000, selector, sid=sid)


def _stats(
    scanned: int, matched: int, evaluated: int, size: int, billed: int, began: float
) -> dict[str, Any]:
    return {
        "n_scan": scanned,
        "n_bytes_scan": size,
        "n_proc": scanned,
        "n_matched": matched,
        "n_shard": 1 if scanned else 0,
        "n_eval": evaluated,
        "n_batch_access": 1 if scanned else 0,
        "n_billed": billed,
        "n_free": scanned - billed if scanned > billed else 0,
        "wall_time": round(time.perf_counter() - began, 6),
        "estimated_price": price(billed),
    }


async def replay(call: Call) -> object:
    """Carry a replay out.

    A rule that is wrong, or that needs what is not here, is told in the answer's `error`, as clients that
    validate rules this way expect it.
    """
    began = time.perf_counter()
    scheme, _, token = call.authorization.partition(" ")
    call.claims = call.sandbox.tokens.read(token.strip()) if scheme.lower() == "bearer" else None
    if call.claims is None:
        raise Refusal(401, "unauthorized: invalid or expired token")
    body = call.json()
    if not isinstance(body, dict):
        raise Refusal(400, "an object is wanted")
    oid = body.get("oid")
    if not isinstance(oid, str) or not oid:
        raise Refusal(400, "missing parameter oid")
    call.oid = oid
    one = call.reach(oid, "insight.evt.get")
    events = _object(body.get("event_source"), "event_source")
    stream = _text(events, "stream")
    stream = {"": "event", "detection": "detect"}.get(stream, stream)
    if stream not in STREAMS:
        raise Refusal(400, f"unknown stream {stream!r}: one of {', '.join(STREAMS)}")
    call.reach(oid, STREAMS[stream])
    sent = _object(events.get("sensor_events"), "sensor_events")
    if body.get("query"):
        return await _query(call, one, body, stream, _text(sent, "cursor"), began)
    lookups = _lookups(body)
    rule, name, namespace = _rule(call, one, _object(body.get("rule_source"), "rule_source"))
    given = events.get("events")
    if given is not None and not (isinstance(given, list) and all(isinstance(one, dict) for one in given)):
        raise Refusal(400, "bad parameter events: a list of objects is wanted")
    most, evaluations = _count(body, "limit_event"), _count(body, "limit_eval")
    dry = bool(body.get("is_dry_run"))
    # An empty list beside a range of time is what clients write that leave nothing out.
    source = None if given or (given is not None and not sent) else _stored(call, one, stream, sent)
    answer: dict[str, Any] = {
        "error": "",
        "stats": _stats(0, 0, 0, 0, 0, began),
        "did_match": False,
        "results": [],
        "traces": [],
        "is_dry_run": dry,
    }
    try:
        logic = Logic(rule.get("detect"), lookups=lookups)
        respond = checked_response(rule.get("respond"))
    except BadRule as problem:
        return answer | {"error": str(problem)}
    if dry:
        size = len(given) if given else source.size() if source is not None else 0
        billed = min(size, most) if most else size
        return answer | {"stats": _stats(0, 0, 0, 0, billed, began) | {"n_shard": 1 if billed else 0}}
    now = call.world.clock() // 1000
    scanned = matched = evaluated = size = 0
    undecided = ""

    def look(event: dict[str, Any]) -> bool:
        """Evaluate one; whether to go on."""
        nonlocal scanned, matched, evaluated, size, undecided
        scanned += 1
        size += len(orjson.dumps(event))
        run = Run(event, now, trace=[] if body.get("trace") else None)
        verdict = logic.evaluate(run)
        evaluated += run.evaluations
        if run.trace is not None:
            answer["traces"].append(run.trace)
        if verdict:
            matched += 1
            answer["results"] += actions(respond, event, run, rule=name, namespace=namespace)
        elif verdict is None:
            undecided = undecided or run.open[0]
        if most and scanned >= most:
            answer["limit_event_reached"] = True
        if evaluations and evaluated >= evaluations:
            answer["limit_eval_reached"] = True
        return not (answer.get("limit_event_reached") or answer.get("limit_eval_reached"))

    if source is None:
        for event in given or []:
            if not look(event):
                break
    else:
        async for _, _, stored in unhurried(source.read()):
            if stored is not None and not look(stored):
                break
    answer["did_match"] = matched > 0
    answer["error"] = f"not evaluated here: {undecided}" if undecided else ""
    answer["stats"] = _stats(scanned, matched, evaluated, size, scanned, began)
    return answer


async def _query(
    call: Call, one: Organization, body: dict[str, Any], stream: str, cursor: str, began: float
) -> object:
    """An LCQL query, as the Go client sends it here: all at once, or in pages from the cursor `-` on."""
    now = call.world.clock() // 1000
    empty = {"results": [], "cursor": "", "stats": _stats(0, 0, 0, 0, 0, began)}
    try:
        plan = plan_of(_text(body, "query"), stream, now)
        place = place_of(cursor)
    except BadQuery as problem:
        if body.get("is_validation"):
            return empty | {"error": f"bad query: {problem}"}
        raise Refusal(400, f"bad query: {problem}") from None
    if plan.span is None:
        raise Refusal(400, "bad query: it has to begin with a range of time, like -24h")
    start, end = plan.span
    source = Source(call.world, one, plan.stream, start * 1000, end * 1000 + 1000, plan.selector, plan.types)
    if body.get("is_validation") or body.get("is_dry_run"):
        size = source.size()
        return empty | {"error": "", "stats": _stats(0, 0, 0, 0, size, began)}
    total = Page()
    try:
        while True:
            answer = await page(plan, source, place, now)
            total.rows += answer.rows
            total.scanned += answer.scanned
            total.matched += answer.matched
            total.bytes += answer.bytes
            place = answer.following
            if cursor or not place:
                break
    except BadQuery as problem:
        raise Refusal(400, f"bad query: {problem}") from None
    return {
        "error": "",
        "results": total.rows,
        "cursor": token_of(place) if place else "",
        "stats": _stats(total.scanned, total.matched, total.scanned, total.bytes, total.scanned, began),
    }
