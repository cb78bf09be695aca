"""Cases: the queue, one case, and everything that can be done to it."""

import json
from pathlib import Path
from typing import Any

from console.sandbox.caserules import Case
from console.sandbox.organizations import Organization
from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import Stage

LISTED, ONE, CHANGE = "GET /api/v1/cases", "GET /api/v1/cases/{number}", "PATCH /api/v1/cases/{number}"
CREATE = "POST /v1/extension/request/{name}"
DETECTIONS, ENTITIES = "/api/v1/cases/{number}/detections", "/api/v1/cases/{number}/entities"
TELEMETRY, ARTIFACTS = "/api/v1/cases/{number}/telemetry", "/api/v1/cases/{number}/artifacts"
NOTES = "/api/v1/cases/{number}/notes"


def subscribed(it: Stage) -> list[Organization]:
    """Organizations with cases, the busiest first. The first is only read; probes that write take others."""
    # The one is what probes of other areas read, the other refuses everything.
    others = (it.one, it.world.unauthorized)
    found = [one for one in it.world.organizations if one not in others and it.world.cases.subscribed(one)]
    return sorted(found, key=lambda one: (-one.detections, one.index))


def expected(it: Stage, one: Organization) -> list[Case]:
    """Its cases, newest first, as the listing sorts them."""
    return sorted(it.world.cases.all_of(one), key=lambda case: (case.created_at, case.number), reverse=True)


def created(it: Stage, oid: str, **more: str) -> int:
    """The number of a new case."""
    options = [word for name, value in more.items() for word in (f"--{name}", value)]
    said = it.json("case", "create", "--summary", it.name("probe"), *options, LC_OID=oid)
    number: int = said["data"]["case_number"]
    return number


def case(it: Stage, oid: str, number: int) -> dict[str, Any]:
    """The case as it is now."""
    found: dict[str, Any] = it.json("case", "get", "--case-number", str(number), LC_OID=oid)
    return found


@probe(
    {
        LISTED: "cases cases.* cases.*.case_number cases.*.status cases.*.severity cases.*.detection_cats "
        "cases.*.sids cases.*.created_at cases.*.oid cases.*.assignees cases.*.tags cases.*.case_id"
    }
)
def cases_are_listed_newest_first(it: Stage) -> None:
    one = subscribed(it)[0]
    said = it.json("case", "list", "--limit", "200", LC_OID=one.oid)
    assert said["cases"] == [case.row() for case in expected(it, one)]
    assert said["cases"]


@probe({LISTED: "total_counts total_counts.closed total_counts.new next_page_token"})
def cases_arrive_in_pages_and_are_counted_by_status(it: Stage) -> None:
    one = subscribed(it)[0]
    everything = expected(it, one)
    numbers, token, pages = [], "", 0
    while True:
        more = ("--cursor", token) if token else ()
        page = it.json("case", "list", "--limit", "7", *more, LC_OID=one.oid)
        assert page["total_counts"]["new"] == sum(case.status == "new" for case in everything)
        assert page["total_counts"]["closed"] == sum(case.status == "closed" for case in everything)
        numbers += [row["case_number"] for row in page["cases"]]
        token, pages = page["next_page_token"], pages + 1
        if not token:
            break
    assert pages == -(-len(everything) // 7) > 1
    assert numbers == [case.number for case in everything]


@probe({LISTED: "cases.*.case_number"})
def cases_are_filtered_and_sorted(it: Stage) -> None:
    one = subscribed(it)[0]
    everything = expected(it, one)

    def numbers(*arguments: str) -> list[int]:
        said = it.json("case", "list", "--limit", "200", *arguments, LC_OID=one.oid)
        return [row["case_number"] for row in said["cases"]]

    closed = [case.number for case in everything if case.status == "closed"]
    assert numbers("--status", "closed") == closed != []
    loud = {case.number for case in everything if case.severity in ("critical", "high")}
    assert set(numbers("--severity", "critical", "--severity", "high")) == loud
    true = {case.number for case in everything if case.classification == "true_positive"}
    assert set(numbers("--classification", "true_positive")) == true
    assert numbers("--sort", "case_number", "--order", "asc") == sorted(case.number for case in everything)
    sensor = everything[0].detections[0]["sid"]
    expect = {case.number for case in everything if sensor in {row["sid"] for row in case.detections}}
    assert set(numbers("--sid", sensor)) == expect
    cat = everything[0].detections[0]["cat"]
    expect = {case.number for case in everything if cat in {row["cat"] for row in case.detections}}
    assert set(numbers("--search", cat)) == expect
    owner = next(case.assignees[0] for case in everything if case.assignees)
    assert set(numbers("--assignee", owner)) == {
        case.number for case in everything if owner in case.assignees
    }
    tag = next(case.tags[0] for case in everything if case.tags)
    assert set(numbers("--tag", tag)) == {case.number for case in everything if tag in case.tags}


@probe({ONE: "case case.status case.summary case.severity case.detection_count events events.*.event_id"})
def one_case_is_got_with_what_happened(it: Stage) -> None:
    one = subscribed(it)[0]
    meant = it.world.cases.find(one, expected(it, one)[-1].number)
    said = case(it, one.oid, meant.number)
    assert said["case"] == meant.shown()
    assert said["events"] == meant.events
    assert said["events"]
    assert all(event["event_id"] for event in said["events"])


@probe({ONE: "error"})
def a_case_that_is_not_there_ends_with_3(it: Stage) -> None:
    said = it.run("case", "get", "--case-number", "999999", LC_OID=subscribed(it)[0].oid)
    assert said.code == 3
    assert "case 999999" in said.everything


@probe(
    {
        f"GET {DETECTIONS}": "detections detections.*.detect_id detections.*.cat detections.*.sid detections.*.hostname"
    }
)
def the_detections_of_a_case_are_listed(it: Stage) -> None:
    one = subscribed(it)[0]
    meant = it.world.cases.find(one, expected(it, one)[0].number)
    said = it.json("case", "detection", "list", "--case", str(meant.number), LC_OID=one.oid)
    assert said["detections"] == meant.detections
    first = it.json("detection", "get", "--id", said["detections"][0]["detect_id"], LC_OID=one.oid)
    assert first["cat"] == said["detections"][0]["cat"]
    assert first["routing"]["sid"] == said["detections"][0]["sid"]


@probe({"GET /api/v1/dashboard/counts": "counts counts.new"})
def the_dashboard_counts_cases(it: Stage) -> None:
    one = subscribed(it)[0]
    counts = it.json("case", "dashboard", LC_OID=one.oid)["counts"]
    assert counts["new"] == sum(case.status == "new" for case in expected(it, one))


@probe({"GET /api/v1/reports/summary": "report"})
def a_report_sums_up_a_time(it: Stage) -> None:
    one = subscribed(it)[0]
    said = it.json(
        "case", "report", "--from", "2026-10-20T00:00:00Z", "--to", "2026-11-21T00:00:00Z", LC_OID=one.oid
    )
    assert said["report"]
    assert one.oid in json.dumps(said["report"])


@probe(
    {
        "GET /api/v1/config/{oid}": "sla_config sla_config.high.mtta_minutes severity_mapping retention_days",
        "PUT /api/v1/config/{oid}": "(the effect)",
    }
)
def the_configuration_of_cases_is_read_and_changed(it: Stage) -> None:
    oid = subscribed(it)[1].oid
    said = it.json("case", "config-get", LC_OID=oid)
    assert said["sla_config"]["critical"] == {"mtta_minutes": 15, "mttr_minutes": 240}
    assert said["severity_mapping"] == {"critical_min": 8, "high_min": 5, "medium_min": 3}
    changed = said["sla_config"]["high"]["mtta_minutes"] + 1
    said["sla_config"]["high"]["mtta_minutes"] = changed
    it.text("case", "config-set", "--input-file", it.file(said), LC_OID=oid)
    again = it.json("case", "config-get", LC_OID=oid)
    assert again["sla_config"]["high"]["mtta_minutes"] == changed
    assert again["retention_days"] == 90


@probe({"GET /api/v1/assignees": "assignees assignees.*"})
def those_who_could_be_given_a_case_are_listed(it: Stage) -> None:
    one = subscribed(it)[0]
    said = it.json("case", "assignees", LC_OID=one.oid)["assignees"]
    assert {email for case in expected(it, one) for email in case.assignees} <= set(said)
    assert it.world.access.analysts[0] in said


@probe({"GET /api/v1/orgs": "oids oids.*"})
def organizations_with_cases_are_listed(it: Stage) -> None:
    assert subscribed(it)[0].oid in it.json("case", "orgs", LC_OID=subscribed(it)[0].oid)["oids"]


@probe(
    {CREATE: "data data.case_number data.created (the effect)", ONE: "case.summary case.severity case.status"}
)
def a_case_is_created_empty(it: Stage) -> None:
    oid, summary = subscribed(it)[2].oid, it.name("what happened")
    said = it.json("case", "create", "--summary", summary, "--severity", "high", LC_OID=oid)
    assert said["data"]["created"] == 1
    found = case(it, oid, said["data"]["case_number"])["case"]
    assert (found["summary"], found["severity"], found["status"]) == (summary, "high", "new")
    assert found["detection_count"] == 0


@probe(
    {
        CREATE: "data.case_number",
        f"GET {DETECTIONS}": "detections.*.detect_id detections.*.hostname",
        ONE: "case.detection_count",
    }
)
def a_case_is_created_from_a_detection(it: Stage) -> None:
    one = subscribed(it)[2]
    detection = it.world.detections.detection(one.index, one.detections - 1) | {
        "detect_id": it.name("detection")
    }
    number = created(it, one.oid, detection=json.dumps(detection))
    assert case(it, one.oid, number)["case"]["detection_count"] == 1
    row = it.json("case", "detection", "list", "--case", str(number), LC_OID=one.oid)["detections"][0]
    assert (row["detect_id"], row["hostname"]) == (detection["detect_id"], detection["routing"]["hostname"])


@probe(
    {
        CHANGE: "(the effect) case",
        ONE: "case.status case.classification case.assignees case.tags case.conclusion case.acknowledged_at case.resolved_at case.closed_at events events.*.action",
    }
)
def a_case_is_worked_on_until_it_is_closed(it: Stage) -> None:
    oid, analyst = subscribed(it)[3].oid, it.world.access.analysts[0]
    number = created(it, oid)
    change = ("case", "update", "--case-number", str(number))
    said = it.json(*change, "--status", "in_progress", "--assignees", analyst, LC_OID=oid)
    assert said["case"]["status"] == "in_progress"
    it.json(
        *change,
        "--classification",
        "true_positive",
        "--tag",
        "phishing",
        "--conclusion",
        "they did",
        LC_OID=oid,
    )
    it.json(*change, "--status", "resolved", LC_OID=oid)
    it.json(*change, "--status", "closed", LC_OID=oid)
    now = case(it, oid, number)
    found = now["case"]
    assert (found["status"], found["classification"]) == ("closed", "true_positive")
    assert (found["assignees"], found["tags"], found["conclusion"]) == ([analyst], ["phishing"], "they did")
    assert found["created_at"] <= found["acknowledged_at"] <= found["resolved_at"] <= found["closed_at"]
    actions = {event["action"] for event in now["events"]}
    assert {"case_created", "case_acknowledged", "case_resolved", "case_closed", "case_classified"} <= actions


@probe({CHANGE: "error"})
def a_case_takes_no_step_that_there_is_not(it: Stage) -> None:
    oid = subscribed(it)[3].oid
    number = created(it, oid)
    said = it.run("case", "update", "--case-number", str(number), "--status", "resolved", LC_OID=oid)
    assert said.code in (1, 4)
    assert "resolved" in said.everything.replace("--status resolved", "")
    assert case(it, oid, number)["case"]["status"] == "new"


@probe({CHANGE: "(the effect)", ONE: "case.tags"})
def tags_of_a_case_are_added_and_removed(it: Stage) -> None:
    oid = subscribed(it)[3].oid
    number = str(created(it, oid))
    for act, tag in (("set", "a"), ("add", "b"), ("add", "B"), ("remove", "a")):
        it.json("case", "tag", act, "--case-number", number, "--tag", tag, LC_OID=oid)
    assert case(it, oid, int(number))["case"]["tags"] == ["b"]


@probe(
    {
        f"POST {NOTES}": "event_id (the effect)",
        f"PATCH {NOTES}/{{event_id}}": "(the effect)",
        ONE: "events.*.event_id events.*.action",
    }
)
def a_note_is_added_and_shown_to_the_customer(it: Stage) -> None:
    oid, text = subscribed(it)[4].oid, it.name("we looked")
    number = created(it, oid)
    note = ("--case-number", str(number), "--content", text, "--type", "analysis")
    event_id = it.json("case", "add-note", *note, LC_OID=oid)["event_id"]
    events = {event["event_id"]: event for event in case(it, oid, number)["events"]}
    assert events[event_id]["action"] == "case_note_added"
    assert text in json.dumps(events[event_id])
    assert '"is_public": false' in json.dumps(events[event_id])
    it.json(
        "case", "update-note", "--case-number", str(number), "--event-id", event_id, "--is-public", LC_OID=oid
    )
    events = {event["event_id"]: event for event in case(it, oid, number)["events"]}
    assert '"is_public": true' in json.dumps(events[event_id])


@probe({"POST /api/v1/cases/{number}/time-logs": "(the effect)", ONE: "events"})
def time_is_logged(it: Stage) -> None:
    oid, note = subscribed(it)[4].oid, it.name("reading")
    number = created(it, oid)
    it.json("case", "log-time", "--case-number", str(number), "--seconds", "600", "--note", note, LC_OID=oid)
    assert '"billable_seconds": 600' in json.dumps(case(it, oid, number)["events"])


@probe({"POST /api/v1/cases/bulk-update": "updated (the effect)", ONE: "case.status case.classification"})
def many_cases_are_closed_at_once(it: Stage) -> None:
    oid = subscribed(it)[5].oid
    numbers = [created(it, oid) for _ in range(3)]
    arguments = (
        "--numbers",
        ",".join(map(str, numbers)),
        "--status",
        "closed",
        "--classification",
        "false_positive",
    )
    assert it.json("case", "bulk-update", *arguments, LC_OID=oid)["updated"] == 3
    for number in numbers:
        found = case(it, oid, number)["case"]
        assert (found["status"], found["classification"]) == ("closed", "false_positive")


@probe({"POST /api/v1/cases/merge": "(the effect)", ONE: "case.status case.merged_into_case_id case.case_id"})
def cases_are_merged(it: Stage) -> None:
    oid = subscribed(it)[5].oid
    target, source = created(it, oid), created(it, oid)
    it.json("case", "merge", "--target", str(target), "--sources", str(source), LC_OID=oid)
    found = case(it, oid, source)["case"]
    assert found["status"] == "closed"
    assert found["merged_into_case_id"] == case(it, oid, target)["case"]["case_id"]


@probe(
    {
        f"POST {DETECTIONS}": "(the effect)",
        f"DELETE {DETECTIONS}/{{detect_id}}": "(the effect)",
        f"GET {DETECTIONS}": "detections.*.detect_id",
    }
)
def a_detection_is_linked_and_taken_out(it: Stage) -> None:
    one = subscribed(it)[6]
    number, detect_id = str(created(it, one.oid)), it.name("detection")
    detection = it.world.detections.detection(one.index, 0) | {"detect_id": detect_id}
    link = ("case", "detection")
    it.json(*link, "add", "--case", number, "--detection", json.dumps(detection), LC_OID=one.oid)
    rows = it.json(*link, "list", "--case", number, LC_OID=one.oid)["detections"]
    assert [row["detect_id"] for row in rows] == [detect_id]
    it.json(*link, "remove", "--case", number, "--detection-id", detect_id, LC_OID=one.oid)
    assert it.json(*link, "list", "--case", number, LC_OID=one.oid)["detections"] == []


@probe(
    {
        f"POST {ENTITIES}": "entity_id (the effect) error",
        f"PATCH {ENTITIES}/{{row_id}}": "(the effect)",
        f"DELETE {ENTITIES}/{{row_id}}": "(the effect)",
        f"GET {ENTITIES}": "entities.*.entity_id entities.*.verdict entities.*.entity_value",
    }
)
def an_indicator_is_attached_assessed_and_removed(it: Stage) -> None:
    oid = subscribed(it)[7].oid
    number, value = str(created(it, oid)), f"{it.name('evil')}.example"
    entity = ("case", "entity")
    add = (*entity, "add", "--case", number, "--type", "domain", "--value", value)
    entity_id = it.json(*add, "--note", "seen", LC_OID=oid)["entity_id"]
    again = it.run(*add, LC_OID=oid)
    assert again.code == 1
    assert "409" in again.everything
    assert value in again.everything or "already" in again.everything
    it.json(
        *entity, "update", "--case", number, "--entity-id", entity_id, "--verdict", "malicious", LC_OID=oid
    )
    rows = it.json(*entity, "list", "--case", number, LC_OID=oid)["entities"]
    assert [(row["entity_id"], row["entity_value"], row["verdict"]) for row in rows] == [
        (entity_id, value, "malicious")
    ]
    it.json(*entity, "remove", "--case", number, "--entity-id", entity_id, LC_OID=oid)
    assert it.json(*entity, "list", "--case", number, LC_OID=oid)["entities"] == []


@probe({"GET /api/v1/entities/search": "results", f"POST {ENTITIES}": "(the effect)"})
def an_indicator_is_found_in_all_cases(it: Stage) -> None:
    oid = subscribed(it)[7].oid
    number, value = created(it, oid), f"{it.name('evil')}.example"
    it.json("case", "entity", "add", "--case", str(number), "--type", "domain", "--value", value, LC_OID=oid)
    said = it.json("case", "entity", "search", "--type", "domain", "--value", value, LC_OID=oid)
    assert len(said["results"]) == 1
    assert str(number) in json.dumps(said["results"])


@probe(
    {
        f"POST {TELEMETRY}": "telemetry_id (the effect)",
        f"PATCH {TELEMETRY}/{{row_id}}": "(the effect)",
        f"DELETE {TELEMETRY}/{{row_id}}": "(the effect)",
        f"GET {TELEMETRY}": "telemetry.*.telemetry_id telemetry.*.atom telemetry.*.sid telemetry.*.verdict",
    }
)
def an_event_is_referred_to_assessed_and_removed(it: Stage) -> None:
    one = subscribed(it)[8]
    number, sensor = str(created(it, one.oid)), it.world.sensor(one, 0)
    routing = {"this": "5f2d1c7a9b3e48d0a6c1f28e7b904d63", "sid": sensor.sid, "event_type": "NEW_PROCESS"}
    event = json.dumps({"event": {"FILE_PATH": "x"}, "routing": routing})
    telemetry = ("case", "telemetry")
    found = it.json(*telemetry, "add", "--case", number, "--event", event, LC_OID=one.oid)["telemetry_id"]
    change = ("--case", number, "--telemetry-id", found)
    it.json(*telemetry, "update", *change, "--verdict", "suspicious", LC_OID=one.oid)
    rows = it.json(*telemetry, "list", "--case", number, LC_OID=one.oid)["telemetry"]
    assert [(row["telemetry_id"], row["atom"], row["sid"], row["verdict"]) for row in rows] == [
        (found, routing["this"], sensor.sid, "suspicious")
    ]
    it.json(*telemetry, "remove", *change, LC_OID=one.oid)
    assert it.json(*telemetry, "list", "--case", number, LC_OID=one.oid)["telemetry"] == []


@probe(
    {
        f"POST {ARTIFACTS}": "artifact_id (the effect)",
        f"DELETE {ARTIFACTS}/{{row_id}}": "(the effect)",
        f"GET {ARTIFACTS}": "artifacts.*.artifact_id artifacts.*.path",
    }
)
def an_artifact_is_referred_to_and_removed(it: Stage) -> None:
    oid = subscribed(it)[8].oid
    number = str(created(it, oid))
    artifact = ("case", "artifact")
    add = ("--case", number, "--path", "/tmp/dump", "--source", "host-1", "--type", "pcap")
    found = it.json(*artifact, "add", *add, LC_OID=oid)["artifact_id"]
    rows = it.json(*artifact, "list", "--case", number, LC_OID=oid)["artifacts"]
    assert [(row["artifact_id"], row["path"]) for row in rows] == [(found, "/tmp/dump")]
    it.json(*artifact, "remove", "--case", number, "--artifact-id", found, LC_OID=oid)
    assert it.json(*artifact, "list", "--case", number, LC_OID=oid)["artifacts"] == []


@probe(
    {
        ONE: "case.case_number events",
        f"GET {DETECTIONS}": "detections.*.detect_id",
        "GET /v1/insight/{oid}/detections/{detect_id}": "cat",
    }
)
def a_case_is_exported_with_its_detections(it: Stage) -> None:
    one = subscribed(it)[0]
    meant = expected(it, one)[0]
    folder = it.home / it.name("export")
    it.text("case", "export", "--case-number", str(meant.number), "--with-data", str(folder), LC_OID=one.oid)
    whole = json.loads(Path(folder / "case.json").read_text())
    assert whole["case"]["case_number"] == meant.number
    assert str(meant.case_id) in json.dumps(whole)
    assert whole["events"]
    files = {file.stem: json.loads(file.read_text()) for file in (folder / "detections").iterdir()}
    assert {name: found["cat"] for name, found in files.items()} == {
        row["detect_id"]: row["cat"] for row in meant.detections
    }


@probe({CREATE: "data.case_number", "GET /v1/insight/{oid}/audit": "events.*.ident"})
def what_is_done_to_cases_is_done_by_somebody(it: Stage) -> None:
    oid = subscribed(it)[9].oid
    number = created(it, oid)
    it.json("case", "update", "--case-number", str(number), "--status", "in_progress", LC_OID=oid)
    assert {event["by"] for event in case(it, oid, number)["events"]} == {it.world.access.root}
    assert it.audit(oid)[-1]["ident"] == it.world.access.root
