"""Search, replay, and live streams."""

import json
from typing import Any

from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import END, NOW_MS, START, Stage

BEGIN, PAGE, VALIDATE = "POST /v1/search", "GET /v1/search/{queryId}", "POST /v1/search/validate"
REPLAY = "POST /"
NOW = NOW_MS // 1000
DAY = ("--start", str(NOW - 86_400), "--end", str(NOW))
DETECT = {"event": "NEW_PROCESS", "op": "exists", "path": "event/FILE_PATH"}
RESPOND = [{"action": "report", "name": "probe"}]


def sent(it: Stage, kind: str) -> dict[str, dict[str, Any]]:
    """The events of one type in the last day of `one`, by atom."""
    sensors = [it.world.sensor(it.one, number) for number in range(it.one.sensors)]
    return {
        event["routing"]["this"]: event
        for sensor in sensors
        for event in it.world.events.between(it.one, sensor, NOW_MS - 86_400_000, NOW_MS + 1000)
        if event["routing"]["event_type"] == kind
    }


@probe(
    {
        BEGIN: "queryId",
        PAGE: "results results.*.type results.*.rows results.*.rows.*.data results.*.nextToken",
    }
)
def a_search_finds_every_event_over_pages(it: Stage) -> None:
    expected = sent(it, "NEW_PROCESS")
    pages = it.json("search", "run", "--query", "* | NEW_PROCESS | *", *DAY, "--stream", "event")
    assert {page["type"] for page in pages} == {"events"}
    assert len(pages) == -(-len(expected) // 200) > 1
    found = {row["data"]["routing"]["this"]: row["data"] for page in pages for row in page["rows"]}
    assert found == expected


@probe({PAGE: "results.*.rows.*.data"})
def a_search_filters(it: Stage) -> None:
    path = next(iter(sent(it, "NEW_PROCESS").values()))["event"]["FILE_PATH"].rpartition("\\")[2]
    expected = {
        atom for atom, event in sent(it, "NEW_PROCESS").items() if event["event"]["FILE_PATH"].endswith(path)
    }
    query = f'* | NEW_PROCESS | event/FILE_PATH ends with "{path}"'
    pages = it.json("search", "run", "--query", query, *DAY, "--stream", "event")
    assert {row["data"]["routing"]["this"] for page in pages for row in page["rows"]} == expected != set()


@probe({PAGE: "results.*.rows.*.data.detect_id"})
def detections_are_searched(it: Stage) -> None:
    pages = it.json(
        "search", "run", "--query", "* | * | *", "--start", START, "--end", END, "--stream", "detect"
    )
    found = {row["data"]["detect_id"] for page in pages for row in page["rows"]}
    assert found == {
        it.world.detections.detect_id(it.one.index, number) for number in range(it.one.detections)
    }


@probe({PAGE: "results.*.rows.*.data"})
def the_audit_log_is_searched(it: Stage) -> None:
    pages = it.json(
        "search", "run", "--query", "* | * | *", "--start", START, "--end", END, "--stream", "audit"
    )
    assert sum(len(page["rows"]) for page in pages) == len(it.audit(it.one.oid))
    assert {row["data"]["oid"] for page in pages for row in page["rows"]} == {it.one.oid}


@probe({VALIDATE: "estimatedPrice.value estimatedPrice.currency error"})
def a_query_is_validated_and_priced(it: Stage) -> None:
    said = it.json("search", "estimate", "--query", "* | NEW_PROCESS | *", *DAY)
    assert said["estimatedPrice"]["value"] > 0
    assert said["estimatedPrice"]["currency"]
    assert not said["error"]
    wrong = it.run("search", "validate", "--query", '* | NEW_PROCESS | event/FILE_PATH smells "x"')
    assert wrong.code == 1
    assert "unknown operator 'smells'" in wrong.out


@probe({BEGIN: "error"})
def a_query_that_means_nothing_cannot_be_run(it: Stage) -> None:
    said = it.run("search", "run", "--query", '* | NEW_PROCESS | event/FILE_PATH smells "x"', *DAY)
    assert said.code == 1
    assert "unknown operator" in said.everything


@probe({"GET /v1/search/{oid}/limits": "pagination.resultsPerPage concurrency.maxConcurrentQueries"})
def the_limits_of_searches_are_told(it: Stage) -> None:
    said = it.json("search", "limits")
    assert said["pagination"]["resultsPerPage"] == 200
    assert said["concurrency"]["maxConcurrentQueries"] >= 10


@probe(
    {
        "GET /v1/search/{oid}/queries": "queries queries.*.query count",
        "DELETE /v1/search/{queryId}": "(the effect)",
        BEGIN: "queryId",
    }
)
def an_open_search_is_listed_until_it_is_cancelled(it: Stage) -> None:
    oid, query = it.spare(42).oid, f'* | NEW_PROCESS | event/FILE_PATH contains "{it.name("x")}"'
    begun = it.sdk(
        "client.request('POST', 'search', raw_body=body.encode(), content_type='application/json', "
        "alt_root=Search(org)._get_search_url())",
        oid,
        body=json.dumps({"oid": oid, "query": query, "startTime": str(NOW - 60), "endTime": str(NOW)}),
    )
    said = it.json("search", "queries", LC_OID=oid)
    assert query in {row["query"] for row in said["queries"]}
    assert said["count"] == len(said["queries"])
    it.sdk("Search(org)._cancel_query(number, Search(org)._get_search_url())", oid, number=begun["queryId"])
    said = it.json("search", "queries", LC_OID=oid)
    assert query not in {row["query"] for row in said["queries"]}


@probe(
    {
        "POST /v1/hive/{hive}/{oid}/{key}/data": "(the effect)",
        "GET /v1/hive/{hive}/{oid}/{key}/data": "data.query",
    }
)
def a_search_is_saved_and_got(it: Stage) -> None:
    oid, name = it.spare(42).oid, it.name("query")
    it.text(
        "search",
        "saved-create",
        "--name",
        name,
        "--query",
        "* | DNS_REQUEST | *",
        "--stream",
        "event",
        LC_OID=oid,
    )
    said = it.json("search", "saved-get", "--name", name, LC_OID=oid)
    assert "* | DNS_REQUEST | *" in str(said)
    it.text("search", "saved-delete", "--name", name, LC_OID=oid)
    assert name not in it.text("search", "saved-list", LC_OID=oid)


@probe({REPLAY: "did_match results results.*.action stats.n_proc"})
def a_rule_is_tested_on_an_event(it: Stage) -> None:
    event = {"event": {"FILE_PATH": "/bin/x"}, "routing": {"event_type": "NEW_PROCESS"}}
    rule = it.file({"detect": DETECT, "respond": RESPOND})
    said = it.json("dr", "test", "--input-file", rule, "--events", it.file([event]))
    assert said["did_match"] is True
    assert [action["action"] for action in said["results"]] == ["report"]
    assert said["stats"]["n_proc"] == 1
    event["routing"]["event_type"] = "DNS_REQUEST"
    said = it.json("dr", "test", "--input-file", rule, "--events", it.file([event]))
    assert said["did_match"] is False
    assert said["results"] == []


@probe({REPLAY: "stats.n_proc results results.*.data did_match"})
def a_rule_is_replayed_over_what_was_sent(it: Stage) -> None:
    expected = sent(it, "NEW_PROCESS")
    files = ("--detect-file", it.file(DETECT), "--respond-file", it.file(RESPOND))
    said = it.json("replay", "run", *files, *DAY)
    assert said["did_match"] is True
    assert said["stats"]["n_proc"] > len(expected)
    assert {row["data"]["routing"]["this"] for row in said["results"]} <= set(expected)
    assert said["results"]


@probe({REPLAY: "is_dry_run stats.estimated_price results"})
def a_dry_run_of_a_replay_has_a_price_and_no_results(it: Stage) -> None:
    key = min(it.world.records(it.one, "dr-general"))
    said = it.json("dr", "replay", "--name", key, *DAY, "--dry-run")
    assert said["is_dry_run"] is True
    assert said["results"] == []
    assert said["stats"]["estimated_price"]["value"] > 0


@probe({REPLAY: "error"})
def a_rule_that_is_none_is_told_so(it: Stage) -> None:
    said = it.text("dr", "validate", "--detect", it.file({"op": "smells"}), "--respond", it.file(RESPOND))
    assert "unknown operator 'smells'" in said


STREAM = "POST /{oid}"
HEAR = (
    "(lambda spout: (spout.wait_connected(0.5), Sensor(org, sid).add_tag(tag), spout.get(timeout=1), "
    "setattr(spout, '_is_stop', True), Sensor(org, sid).remove_tag(tag)))(Spout(org, 'audit'))"
)
"""The last change is a line more, at which the client's thread sees that it is over: its own `shutdown`
waits for the next sign of life where the connection is plain."""


@probe({STREAM: "(the effect)", "POST /v1/{sid}/tags": "(the effect)"})
def a_stream_of_the_audit_log_tells_a_change(it: Stage) -> None:
    one, tag = it.spare(43), it.name("tag")
    sensor = it.world.sensor(one, 0)
    connected, _, entry, *_ = it.sdk(HEAR, one.oid, sid=sensor.sid, tag=tag)
    assert connected is True
    assert (entry["etype"], entry["ident"]) == ("add_tag", it.world.access.root)
    assert (entry["entity"]["name"], entry["mtd"]["tag"]) == (sensor.sid, tag)
    with_token = f"(client.refresh_jwt(), {HEAR})[1]"
    connected, _, entry, *_ = it.sdk(with_token, one.oid, sid=sensor.sid, tag=f"{tag}-2")
    assert connected is True
    assert entry["mtd"]["tag"] == f"{tag}-2"
