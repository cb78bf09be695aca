"""Search: what the query language means, the pages of an answer, and what is refused."""

import re
from typing import Any
from urllib.parse import quote

import pytest

from console.sandbox import search as searching
from console.sandbox.events import SLOT_MS
from console.sandbox.search import BadQuery, plan_of
from tests.console.sandbox.conftest import NOW_MS

NOW = NOW_MS // 1000
HOUR, DAY = 3600, 86_400


async def _begin(asker: Any, query: str, token: str = "", **more: Any) -> tuple[int, Any]:
    token = token or await asker.token(oid=asker.one.oid)
    body = {
        "oid": asker.one.oid,
        "query": query,
        "startTime": str(NOW - 6 * HOUR),
        "endTime": str(NOW),
        "paginated": True,
    } | more
    status, answer, _ = await asker.ask("POST", "/v1/search", token, json=body)
    return status, answer


async def _pages(asker: Any, query: str, **more: Any) -> list[Any]:
    """Every page of an answer."""
    token = await asker.token(oid=asker.one.oid)
    status, begun = await _begin(asker, query, token, **more)
    assert status == 200, begun
    found, following = [], ""
    while True:
        path = f"/v1/search/{begun['queryId']}" + (f"?token={quote(following)}" if following else "")
        said = await asker.get(path, token)
        assert said["completed"] is True
        assert said["error"] is None
        (page,) = said["results"]
        assert page["type"] == "events"
        found.append(page)
        following = page["nextToken"]
        if not following:
            return found


async def _rows(asker: Any, query: str, **more: Any) -> list[Any]:
    return [row for page in await _pages(asker, query, **more) for row in page["rows"]]


def _events(asker: Any, *, start: int = NOW - 6 * HOUR, end: int = NOW) -> list[Any]:
    """What the search should have gone through, newest first."""
    found = [
        event
        for sensor in asker.world.sensors_of(asker.one)
        for event in asker.world.events.between(asker.one, sensor, start * 1000, end * 1000 + 1000)
    ]
    return sorted(found, key=lambda event: -event["routing"]["event_time"])


async def test_everything_of_a_range_is_found_newest_first_in_pages(asker: Any) -> None:
    expected = _events(asker)
    assert len(expected) > 2 * searching.ROWS
    pages = await _pages(asker, "* | * | *")
    assert [len(page["rows"]) for page in pages[:2]] == [searching.ROWS, searching.ROWS]
    rows = [row for page in pages for row in page["rows"]]
    assert [row["data"] for row in rows] == expected
    assert rows[0]["mtd"] == {"ts": expected[0]["routing"]["event_time"], "stream": "event"}
    total = pages[-1]["stats"]["cumulativeStats"]
    assert (total["eventsScanned"], total["eventsMatched"]) == (len(expected), len(expected))
    assert total["estimatedPrice"]["currency"]


async def test_a_page_looks_no_further_than_it_reaches(asker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    reported = asker.world.events.reported

    def told(one: Any, sensor: Any, start: int, end: int) -> Any:
        asked.append((start, end))
        return reported(one, sensor, start, end)

    token = await asker.token(oid=asker.one.oid)
    _, begun = await _begin(asker, "* | * | *", token, startTime=str(NOW - 30 * DAY))
    monkeypatch.setattr(asker.world.events, "reported", told)
    following, pages = "", []
    for _ in range(3):
        asked.clear()
        said = await asker.get(f"/v1/search/{begun['queryId']}?token={quote(following)}", token)
        pages.append([row["mtd"]["ts"] for row in said["results"][0]["rows"]])
        following = said["results"][0]["nextToken"]
        # Its own rows are between the first and the last slot that were asked about, each once a sensor.
        assert min(asked)[0] <= pages[-1][-1] <= pages[-1][0] < max(asked)[1]
        assert max(asked)[1] - min(asked)[0] <= pages[-1][0] - pages[-1][-1] + 2 * SLOT_MS
        assert len(asked) == len(set(asked)) * len(list(asker.world.sensors_of(asker.one)))
    assert [len(page) for page in pages] == [searching.ROWS] * 3
    assert pages[1][-1] >= pages[2][0]


async def test_sensors_types_and_filter_narrow_what_is_found(asker: Any) -> None:
    rows = await _rows(
        asker,
        "plat == windows | NEW_PROCESS | event/FILE_PATH ends with 'chrome.exe' and not "
        "(routing/hostname contains \"-LT\" or routing/hostname is 'nobody')",
    )
    expected = [
        event
        for event in _events(asker)
        if event["routing"]["plat"] == 0x10000000
        and event["routing"]["event_type"] == "NEW_PROCESS"
        and event["event"]["FILE_PATH"].endswith("chrome.exe")
        and "-LT" not in event["routing"]["hostname"]
    ]
    assert [row["data"] for row in rows] == expected != []


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("event/PROCESS_ID > 20000", lambda event: event["event"].get("PROCESS_ID", 0) > 20_000),
        ("event/PROCESS_ID < 9000", lambda event: event["event"].get("PROCESS_ID", 9999) < 9000),
        ("event/DNS_TYPE == 1", lambda event: event["event"].get("DNS_TYPE") == 1),
        ("event/DNS_TYPE == '1'", lambda event: False),
        ("event/DNS_TYPE != 1", lambda event: event["event"].get("DNS_TYPE") != 1),
        ("event/DNS_TYPE is not 1", lambda event: event["event"].get("DNS_TYPE") != 1),
        ("event.DNS_TYPE exists", lambda event: "DNS_TYPE" in event["event"]),
        ("event/DNS_TYPE not exists", lambda event: "DNS_TYPE" not in event["event"]),
        (
            "event/DOMAIN_NAME matches '^(www|cdn)[.]'",
            lambda event: re.match(r"(www|cdn)\.", event["event"].get("DOMAIN_NAME", "")),
        ),
        (
            "event/DOMAIN_NAME starts with www",
            lambda event: event["event"].get("DOMAIN_NAME", "").startswith("www"),
        ),
        (
            "event/FILE_PATH not contains 'System32' AND event/FILE_PATH exists",
            lambda event: "FILE_PATH" in event["event"] and "System32" not in event["event"]["FILE_PATH"],
        ),
        (
            "event/IP_ADDRESS cidr 203.0.113.0/25",
            lambda event: int(event["event"].get("IP_ADDRESS", ".255").rpartition(".")[2]) < 128,
        ),
        ("event/* contains 'svchost'", lambda event: "svchost" in str(event["event"])),
        ("routing/tags/? == server", lambda event: "server" in event["routing"]["tags"]),
    ],
)
async def test_each_condition_means_what_it_says(asker: Any, condition: str, holds: Any) -> None:
    rows = await _rows(asker, condition, startTime=str(NOW - HOUR))
    expected = [event for event in _events(asker, start=NOW - HOUR) if holds(event)]
    assert [row["data"] for row in rows] == expected
    assert expected or "'1'" in condition


async def test_detections_and_audit_are_searched_as_well(asker: Any) -> None:
    world, index = asker.world, asker.one.index
    everything = [world.detections.detection(index, number) for number in range(asker.one.detections)]
    assert everything
    cat = everything[0]["cat"]
    for stream in ("detect", "detection"):
        rows = await _rows(
            asker, f"* | '{cat}' | priority exists", stream=stream, startTime=str(NOW - 31 * DAY)
        )
        assert [row["data"] for row in rows] == [one for one in everything[::-1] if one["cat"] == cat]
    log = [world.audit.entry(asker.one, number) for number in range(world.audit.count(asker.one))]
    rows = await _rows(
        asker, "* | send_task | mtd/task starts with 'os_'", stream="audit", startTime=str(NOW - 31 * DAY)
    )
    assert [row["data"] for row in rows] == [
        entry
        for entry in log[::-1]
        if entry["etype"] == "send_task" and entry["mtd"]["task"].startswith("os_")
    ]


async def test_a_projection_names_counts_groups_sorts_and_cuts(asker: Any) -> None:
    events = [event for event in _events(asker) if event["routing"]["event_type"] == "DNS_REQUEST"]
    plain = await _rows(
        asker, "* | DNS_REQUEST | * | event/DOMAIN_NAME as domain routing/hostname event/NOTHING LIMIT 3"
    )
    assert [row["data"] for row in plain] == [
        {
            "domain": event["event"]["DOMAIN_NAME"],
            "routing/hostname": event["routing"]["hostname"],
            "event/NOTHING": None,
        }
        for event in events[:3]
    ]
    counts: dict[str, int] = {}
    for event in events:
        counts[event["event"]["DOMAIN_NAME"]] = counts.get(event["event"]["DOMAIN_NAME"], 0) + 1
    grouped = await _rows(
        asker,
        "* | DNS_REQUEST | event/DOMAIN_NAME exists | event/DOMAIN_NAME as domain COUNT(event) as count "
        "COUNT_UNIQUE(routing/sid) as sensors GROUP BY(domain) ORDER BY(count desc)",
    )
    assert {row["data"]["domain"]: row["data"]["count"] for row in grouped} == counts
    assert [row["data"]["count"] for row in grouped] == sorted(counts.values(), reverse=True)
    of_one = grouped[0]["data"]
    assert of_one["sensors"] == len(
        {event["routing"]["sid"] for event in events if event["event"]["DOMAIN_NAME"] == of_one["domain"]}
    )
    (total,) = await _rows(asker, "* | DNS_REQUEST | * | COUNT(event) as n")
    assert total["data"] == {"n": len(events)}
    (none,) = await _rows(asker, "* | NO_SUCH_TYPE | * | COUNT(event) as n")
    assert none["data"] == {"n": 0}


async def test_a_limit_is_the_limit_of_the_whole_answer(asker: Any) -> None:
    count = searching.ROWS + 50
    rows = await _rows(asker, f"* | * | * | routing/event_type as kind LIMIT {count}")
    assert len(rows) == count


async def test_the_time_beside_the_query_goes_before_the_time_in_it(asker: Any) -> None:
    inside = await _rows(asker, "-30d | * | * | *", startTime=str(NOW - HOUR))
    assert [row["data"] for row in inside] == _events(asker, start=NOW - HOUR)
    assert plan_of("-24h | * | * | *", "", NOW).span == (NOW - DAY, NOW)
    assert plan_of("2026-11-19 to 2026-11-20T12:00:00Z | *", "", NOW).span == (NOW - DAY - 12 * HOUR, NOW)


@pytest.mark.parametrize(
    ("query", "about"),
    [
        ("", "empty"),
        ("* | * | event/A", "unknown operator"),
        ("* | * | event/A fnord 3", "unknown operator 'fnord'"),
        ("* | * | event/A >= 3", "unknown operator '>='"),
        ("* | * | event/A ==", "a value is missing"),
        ("* | * | (event/A == 1", "parenthesis"),
        ("* | * | event/A == 1 event/B == 2", "'event/B' was not expected"),
        ("* | * | event/A == 'x", "quote"),
        ("* | * | and", "condition|operator"),
        ("* | * | event/A matches '(?=x)'", "look-ahead"),
        ("plat = x | * | *", "bad selector"),
        ("* | (A) | *", "no list of event types"),
        ("* | * | * | event/A as", "a name is missing"),
        ("* | * | * | SUM(event/A)", "unknown aggregation SUM"),
        ("* | * | * | event/A COUNT(event) as n", "neither counted nor grouped"),
        ("* | * | * | COUNT(event) as n GROUP BY(x)", "no column"),
        ("* | * | * | event/A as a ORDER BY(b)", "no column"),
        ("* | * | * | event/A as a ORDER BY(a b)", "ORDER BY takes"),
        ("* | * | * | event/A LIMIT many", "LIMIT needs a number"),
        ("* | * | * | * | *", "too many parts"),
    ],
)
async def test_what_is_not_understood_is_refused_and_not_answered_with_nothing(
    asker: Any, query: str, about: str
) -> None:
    status, said = await _begin(asker, query)
    assert status == 400
    assert re.search(about, said["error"]), said
    token = await asker.token(oid=asker.one.oid)
    body = {"oid": asker.one.oid, "query": query, "startTime": str(NOW - 1), "endTime": str(NOW)}
    status, validated, _ = await asker.ask("POST", "/v1/search/validate", token, json=body)
    assert (status, validated) == (200, {"valid": False, "error": said["error"]})


async def test_a_condition_that_nobody_documents_fails_the_search(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    _, begun = await _begin(asker, "event/PROCESS_ID > '12'", token)
    said = await asker.get(f"/v1/search/{begun['queryId']}", token)
    assert said["results"] == []
    assert said["error"].startswith("not evaluated here: ")


@pytest.mark.parametrize(
    ("more", "about"),
    [
        ({"stream": "netflow"}, "unknown stream"),
        ({"startTime": "soon"}, "bad parameter startTime"),
        ({"startTime": ""}, "missing parameter startTime"),
        ({"endTime": "1"}, "endTime is before startTime"),
        ({"include_facets": True}, "include_facets is not served"),
        ({"oid": 7}, "missing parameter"),
    ],
)
async def test_a_bad_question_is_refused(asker: Any, more: dict[str, Any], about: str) -> None:
    status, said = await _begin(asker, "*", **more)
    assert status == 400
    assert about in said["error"]


async def test_the_estimate_is_the_number_of_events_in_scope(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    body = {"oid": asker.one.oid, "query": "* | * | *", "startTime": str(NOW - 3 * DAY), "endTime": str(NOW)}
    status, said, _ = await asker.ask("POST", "/v1/search/validate", token, json=body)
    expected = len(_events(asker, start=NOW - 3 * DAY))
    assert (status, said["valid"], said["error"]) == (200, True, "")
    assert said["stats"]["eventsInScope"] == expected
    assert said["estimatedPrice"] == searching.price(expected)
    assert said["batchesInScope"] == 1


async def test_open_searches_are_listed_until_they_are_cancelled(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    _, first = await _begin(asker, "* | * | *", token)
    _, second = await _begin(asker, "* | DNS_REQUEST | *", token)
    await asker.get(f"/v1/search/{first['queryId']}", token)
    said = await asker.get(f"/v1/search/{asker.one.oid}/queries", token)
    assert (said["oid"], said["limit"], said["slotsHeld"], said["count"]) == (asker.one.oid, 10, 0, 2)
    assert [row["queryId"] for row in said["queries"]] == [second["queryId"], first["queryId"]]
    begun = said["queries"][1]
    assert (begun["state"], begun["holdsSlot"], begun["pagesCompleted"]) == ("idle", False, 1)
    assert (begun["eventsScanned"], begun["hasMorePages"]) == (searching.ROWS, True)
    assert begun["submittedBy"] == asker.world.access.root
    assert begun["query"] == "* | * | *"
    assert (await asker.get(f"/v1/search/{asker.one.oid}/queries", token, state="executing"))["queries"] == []
    paged = await asker.get(f"/v1/search/{asker.one.oid}/queries", token, limit=1)
    assert (len(paged["queries"]), paged["truncated"]) == (1, True)
    assert (await asker.ask("DELETE", f"/v1/search/{first['queryId']}", token))[:2] == (200, {})
    for method in ("GET", "DELETE"):
        assert (await asker.ask(method, f"/v1/search/{first['queryId']}", token))[0] == 404
    assert (await asker.get(f"/v1/search/{asker.one.oid}/queries", token))["count"] == 1


async def test_too_many_searches_at_once_are_too_many(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    for _ in range(searching.CONCURRENT):
        _, begun = await _begin(asker, "*", token)
        asker.world.searches.find(begun["queryId"]).running = 1.0
    status, said = await _begin(asker, "*", token)
    assert status == 429
    assert "maximum concurrent queries reached" in said["error"]


async def test_the_limits_are_told(asker: Any) -> None:
    said = await asker.get(f"/v1/search/{asker.one.oid}/limits", await asker.token(oid=asker.one.oid))
    assert said["concurrency"] == {"maxConcurrentQueries": searching.CONCURRENT}
    assert said["pagination"]["resultsPerPage"] == searching.ROWS
    assert said["execution"]["maxQueryDurationSeconds"] is None


async def test_a_token_that_was_not_handed_out_is_refused(asker: Any) -> None:
    token = await asker.token(oid=asker.one.oid)
    _, begun = await _begin(asker, "*", token)
    for bad in ("nonsense", "cGxhY2U6eA==", "é"):
        status, said, _ = await asker.ask(
            "GET", f"/v1/search/{begun['queryId']}", token, params={"token": bad}
        )
        assert (status, said["error"]) == (400, "bad token")


@pytest.mark.parametrize(
    ("stream", "permission"),
    [("event", "insight.evt.get"), ("detect", "insight.det.get"), ("audit", "audit.get")],
)
async def test_each_stream_needs_its_permission(asker: Any, stream: str, permission: str) -> None:
    token = await asker.token(oid=asker.one.oid, perms="org.get")
    status, said = await _begin(asker, "*", token, stream=stream)
    assert (status, said) == (401, {"error": f"unauthorized: missing privilege named {permission}"})


def test_dots_are_the_other_notation_of_a_path() -> None:
    plan = plan_of("event.FILE_PATH ends with .exe", "event", NOW)
    assert plan.logic is not None
    with pytest.raises(BadQuery):
        plan_of("event.FILE_PATH ends with", "event", NOW)


async def test_a_range_without_end_is_gone_through_as_far_as_anything_is_kept(asker: Any) -> None:
    count = "* | * | * | COUNT(event) as n"
    rows = await _rows(asker, count, endTime="999999999999")
    assert rows[0]["data"] == {"n": len(_events(asker, end=NOW + DAY))}
    token = await asker.token(oid=asker.one.oid)
    path = f"/v1/insight/{asker.one.oid}/traffic/stats"
    said = await asker.get(path, token, start=0, end=999_999_999_999)
    assert sum(said["totals"].values()) == sum(
        asker.world.events.count(asker.one, sensor, 0, NOW_MS * 2)
        for sensor in asker.world.sensors_of(asker.one)
    )
