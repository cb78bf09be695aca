"""The search host: LCQL queries, their pages, what is open, and what the limits are."""

import math
import time
import uuid
from typing import Any

from console.sandbox.calls import Call, Refusal, not_found, table
from console.sandbox.organizations import Organization
from console.sandbox.search import (
    BATCH,
    BODY,
    CONCURRENT,
    CURSOR,
    RESUMABLE,
    ROWS,
    STREAMS,
    BadQuery,
    Page,
    Plan,
    Search,
    Source,
    page,
    place_of,
    plan_of,
    price,
    token_of,
)

OPEN_PAGE = 200
POLL_MS = 500


def _asked(call: Call) -> tuple[Organization, str, Plan, int, int]:
    """What a question asks: organization, query, plan, and from when to when (seconds, UTC).

    Raises:
        Refusal: 400 with a sentence, 401, 404, 413.
    """
    if len(call.body) > BODY:
        raise Refusal(413, f"the question is longer than {BODY} bytes")
    body = call.json()
    if not isinstance(body, dict):
        raise Refusal(400, "an object is wanted")
    oid, query = body.get("oid"), body.get("query")
    if not isinstance(oid, str) or not isinstance(query, str):
        raise Refusal(400, "missing parameter oid or query")
    for name in ("include_facets", "include_histogram"):
        if body.get(name):
            raise Refusal(400, f"{name} is not served by this sandbox")
    call.oid = oid
    one = call.reach(oid)
    try:
        plan = plan_of(query, str(body.get("stream") or ""), call.world.clock() // 1000)
    except BadQuery as problem:
        raise Refusal(400, f"bad query: {problem}") from None
    call.reach(oid, STREAMS[plan.stream])
    # What is asked for beside the query goes before the time that the query names.
    start, end = (_seconds(body, name) for name in ("startTime", "endTime"))
    if start is None or end is None:
        if plan.span is None:
            raise Refusal(400, "missing parameter startTime or endTime")
        start, end = plan.span
    if end < start:
        raise Refusal(400, "endTime is before startTime")
    return one, query, plan, start, end


def _seconds(body: dict[str, Any], name: str) -> int | None:
    """Seconds are text here (official client 5.10.1, sdk/search.py); numbers are taken as well."""
    value = body.get(name)
    if value in (None, ""):
        return None
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        raise Refusal(400, f"bad parameter {name}: seconds since 1970 are wanted") from None


def _source(call: Call, one: Organization, plan: Plan, start: int, end: int) -> Source:
    return Source(call.world, one, plan.stream, start * 1000, end * 1000 + 1000, plan.selector, plan.types)


@table.add("POST", "/v1/search/validate")
def validate(call: Call) -> object:
    """Whether a query can be understood, and what it would cost at most."""
    try:
        one, query, plan, start, end = _asked(call)
    except Refusal as refusal:
        if refusal.status != 400:
            raise
        # The answer to this question is what is wrong.
        return {"valid": False, "error": refusal.body["error"]}
    size = _source(call, one, plan, start, end).size()
    return {
        "valid": True,
        "error": "",
        "query": query,
        "stream": plan.stream,
        "startTime": str(start),
        "endTime": str(end),
        "estimatedPrice": price(size),
        "batchesInScope": math.ceil(size / BATCH),
        "stats": {"eventsInScope": size},
    }


def _room(call: Call, oid: str) -> None:
    if call.world.searches.executing(oid) >= CONCURRENT:
        raise Refusal(429, "maximum concurrent queries reached", retry_after=1)


@table.add("POST", "/v1/search")
def begin(call: Call) -> object:
    """Begin a search. Its pages are asked for one by one."""
    one, query, plan, start, end = _asked(call)
    _room(call, one.oid)
    now = time.time()
    search = Search(
        query_id=str(uuid.uuid4()),
        oid=one.oid,
        query=query,
        plan=plan,
        start=start,
        end=end,
        ident=call.token().ident,
        agent=call.request.headers.get("User-Agent", "") if call.request is not None else "",
        size=_source(call, one, plan, start, end).size(),
        submitted=now,
        active=now,
    )
    call.world.searches.add(search)
    return {"queryId": search.query_id}


def _found(call: Call) -> Search:
    search = call.world.searches.find(call.params["queryId"])
    if search is None:
        raise not_found()
    call.oid = search.oid
    call.reach(search.oid, STREAMS[search.plan.stream])
    return search


def _stats(scanned: int, matched: int, size: int, walltime: float) -> dict[str, Any]:
    cost = price(scanned)
    return {
        "eventsScanned": scanned,
        "eventsMatched": matched,
        "bytesScanned": size,
        "walltime": round(walltime, 3),
        "estimatedPrice": cost | {"amount": cost["value"] / 100},
    }


@table.add("GET", "/v1/search/{queryId}")
async def results(call: Call) -> object:
    """A page of what a search found; the token of the one before leads to the next."""
    search = _found(call)
    one = call.reach(search.oid)
    try:
        place = place_of(call.asked("token"))
    except BadQuery as problem:
        raise Refusal(400, str(problem)) from None
    _room(call, search.oid)
    source = _source(call, one, search.plan, search.start, search.end)
    began = time.perf_counter()
    search.running = time.time()
    answer = Page()
    error = None
    try:
        answer = await page(search.plan, source, place, call.world.clock() // 1000)
    except BadQuery as problem:
        if str(problem) == "bad token":
            raise Refusal(400, "bad token") from None
        error = str(problem)
    finally:
        search.running = 0.0
    took = time.perf_counter() - began
    search.active = time.time()
    search.pages += 1
    search.scanned += answer.scanned
    search.matched += answer.matched
    search.bytes += answer.bytes
    search.walltime += took
    search.more = bool(answer.following)
    following = token_of(answer.following) if answer.following else ""
    return {
        "completed": True,
        "error": error,
        "nextPollInMs": POLL_MS,
        "results": []
        if error
        else [
            {
                "type": "events",
                "searchResultId": f"{search.query_id}/{search.pages}",
                "rows": answer.rows,
                "nextToken": following,
                "stats": _stats(answer.scanned, answer.matched, answer.bytes, took)
                | {"cumulativeStats": _stats(search.scanned, search.matched, search.bytes, search.walltime)},
            }
        ],
    }


@table.add("DELETE", "/v1/search/{queryId}")
def cancel(call: Call) -> object:
    """End a search."""
    call.world.searches.drop(_found(call).query_id)
    return {}


@table.add("GET", "/v1/search/{oid}/queries")
def queries(call: Call) -> object:
    """The searches that are open, newest first, and how many of them count against the limit."""
    one = call.organization("insight.evt.get")
    state = call.asked("state", "all")
    if state not in ("all", "executing", "idle"):
        raise Refusal(400, "bad parameter state: all, executing or idle")
    limit = max(1, min(OPEN_PAGE, call.number("limit", 50)))
    offset = max(0, call.number("offset", 0))
    everything = call.world.searches.of(one.oid)
    rows = [search.shown() for search in everything[offset : offset + limit]]
    return {
        "oid": one.oid,
        "limit": CONCURRENT,
        "slotsHeld": call.world.searches.executing(one.oid),
        "count": len(everything),
        "truncated": offset + limit < len(everything),
        "queries": [row for row in rows if state in ("all", row["state"])],
    }


@table.add("GET", "/v1/search/{oid}/limits")
def limits(call: Call) -> object:
    """What a search may take; null is no limit."""
    one = call.organization("insight.evt.get")
    return {
        "oid": one.oid,
        "concurrency": {"maxConcurrentQueries": CONCURRENT},
        "pagination": {"resultsPerPage": ROWS, "maxPageDurationSeconds": 30, "maxCursorBytes": CURSOR},
        "retention": {"resumableForSeconds": RESUMABLE, "pageResultsForSeconds": RESUMABLE},
        "execution": {
            "maxQueryDurationSeconds": None,
            "maxAggregationDurationSeconds": None,
            "maxResponseBytes": None,
        },
        "request": {"maxRequestBodyBytes": BODY},
        "capabilities": {"openQueryListing": True},
    }
