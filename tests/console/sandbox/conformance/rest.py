"""What else the client can ask for: payloads, jobs, adapters, and the calls that hives took the place of."""

import json
from typing import Any

from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import END, NOW_MS, START, Stage

RULE = {
    "detect": {"event": "NEW_PROCESS", "op": "exists", "path": "event/FILE_PATH"},
    "respond": [{"action": "report", "name": "probe"}],
}
DAYS = {"start": str(NOW_MS // 1000 - 3 * 86_400), "end": str(NOW_MS // 1000)}


@probe(
    {
        "POST /v1/payload/{oid}/{name}": "put_url",
        "PUT /payloads/{key}": "(the effect)",
        "GET /payloads/{key}": "(the effect)",
        "GET /v1/payload/{oid}": "payloads payloads.*.size",
        "GET /v1/payload/{oid}/{name}": "get_url error",
        "DELETE /v1/payload/{oid}/{name}": "(the effect)",
    }
)
def a_payload_is_put_got_and_removed(it: Stage) -> None:
    oid, name, content = it.spare(35).oid, it.name("payload"), "#!/bin/sh\nid\n"
    # Nothing but the sentence: what the store answers is empty.
    assert (
        it.text("payload", "upload", "--name", name, "--file", it.file(content), LC_OID=oid).count("\n") == 1
    )
    assert it.json("payload", "list", LC_OID=oid)[name]["size"] == len(content)
    assert it.sdk("Payloads(org).download(name)", oid, name=name) == content
    it.text("payload", "delete", "--name", name, "--confirm", LC_OID=oid)
    assert name not in it.json("payload", "list", LC_OID=oid)
    said = it.run("payload", "download", "--name", name, "--output-path", str(it.home / name), LC_OID=oid)
    assert said.code == 3
    assert "{'error': 'not found'}" in said.everything


@probe(
    {
        "POST /v1/service/{oid}/{service}": "(the effect)",
        "GET /v1/job/{oid}": "jobs jobs.*.sid jobs.*.job_id",
        "GET /v1/job/{oid}/{job}": "sid job_id",
        "DELETE /v1/job/{oid}/{job}": "(the effect)",
    }
)
def a_scan_is_a_job(it: Stage) -> None:
    one = it.spare(36)
    it.text("extension", "subscribe", "--name", "ext-yara", LC_OID=one.oid)
    sid = it.world.sensor(one, 0).sid

    def listed() -> list[dict[str, Any]]:
        # The command line asks for the last day by this machine's clock, not by the sandbox's.
        jobs: list[dict[str, Any]] = it.sdk(
            "Jobs(org).list(start, end)", one.oid, start=int(START), end=int(END)
        )
        return jobs

    before = {job["job_id"] for job in listed()}
    it.json(
        "yara", "scan", "--sid", sid, "--rule-file", it.file("rule a { condition: true }"), LC_OID=one.oid
    )
    made = [job for job in listed() if job["job_id"] not in before]
    assert [job["sid"] for job in made] == [sid]
    got = it.json("job", "get", "--id", made[0]["job_id"], LC_OID=one.oid)
    assert (got["job_id"], got["sid"]) == (made[0]["job_id"], sid)
    it.text("job", "delete", "--id", made[0]["job_id"], "--confirm", LC_OID=one.oid)
    assert {job["job_id"] for job in listed()} == before


@probe({"POST /v1/usp/validate/{oid}": "results results.*.event results.*.routing.event_type errors"})
def an_adapter_is_tried_on_lines(it: Stage) -> None:
    asked = {"json_input": {"kind": "login", "who": "a"}, "mapping": {"event_type_path": "kind"}}
    said = it.json("usp", "validate", "--platform", "json", "--input-file", it.file(asked))
    assert [row["event"] for row in said["results"]] == [asked["json_input"]]
    assert said["results"][0]["routing"]["event_type"] == "login"
    assert said["errors"] == []
    asked = {"text_input": "no match", "mapping": {"parsing_re": "^(?P<a>\\d+)$"}}
    said = it.json("usp", "validate", "--platform", "text", "--input-file", it.file(asked))
    assert "parsing_re" in said["errors"][0]


ARTIFACTS = "/v1/insight/{oid}/artifacts/rules"


@probe(
    {
        f"GET {ARTIFACTS}": "*.patterns *.days_retention",
        f"POST {ARTIFACTS}": "(the effect)",
        f"DELETE {ARTIFACTS}": "(the effect)",
    }
)
def a_rule_that_collects_files_is_made_and_removed(it: Stage) -> None:
    oid, name = it.spare(35).oid, it.name("collect")
    it.sdk("Artifacts(org).set_rule(name, ['linux'], ['/var/log/x'], retention_days=9)", oid, name=name)
    row = it.sdk("Artifacts(org).get_rules()", oid)[name]
    assert (row["patterns"], row["days_retention"]) == (["/var/log/x"], 9)
    it.sdk("Artifacts(org).delete_rule(name)", oid, name=name)
    assert name not in it.sdk("Artifacts(org).get_rules()", oid)


@probe({"GET /v1/insight/{oid}/artifacts": "artifacts"})
def no_files_were_collected(it: Stage) -> None:
    said = it.sdk("client.request('GET', f'insight/{org.oid}/artifacts', query_params=days)", days=DAYS)
    assert said["artifacts"] == []
    assert it.json("artifact", "list", "--start", DAYS["start"], "--end", DAYS["end"]) == []


@probe({"POST /v1/insight/{oid}/artifacts/originals/{artifact}": "error"})
def a_file_that_was_not_collected_ends_with_3(it: Stage) -> None:
    said = it.run("artifact", "download", "--id", "no-such-file")
    assert said.code == 3
    assert "{'error': 'not found'}" in said.everything


@probe({"GET /v1/arl/{oid}": "data"})
def an_address_of_a_record_is_followed(it: Stage) -> None:
    key, record = next(iter(it.world.records(it.one, "lookup").items()))
    assert it.json("arl", "get", "--url", f"hive://lookup/{key}")["data"] == record["data"]


@probe({"GET /v1/runtime_mtd/{oid}": "outputs outputs.customer-syslog"})
def what_runs_tells_its_last_error(it: Stage) -> None:
    said = it.json("org", "runtime-metadata")
    assert f"log.{it.one.domain}" in said["outputs"]["customer-syslog"]["last_error"]
    said = it.json("org", "runtime-metadata", "--entity-type", "outputs", "--entity-name", "customer-syslog")
    assert "customer-syslog" in json.dumps(said)


@probe({"DELETE /v1/orgs/{oid}/schema": "success"})
def schemas_are_rebuilt(it: Stage) -> None:
    assert it.sdk("org.reset_schemas()", it.spare(35).oid)["success"] is True
    assert "they will rebuild" in it.text("schema", "reset", "--confirm", LC_OID=it.spare(35).oid)


@probe({"GET /v1/user/self/auth": "requirements"})
def how_to_sign_in_is_told_to_persons_only(it: Stage) -> None:
    assert isinstance(it.json("api", "user/self/auth")["requirements"], dict)
    key = it.world.access.keys(it.spare(34))[0]
    said = it.sdk_whatever(
        "client.request('GET', 'user/self/auth')", it.spare(34).oid, LC_UID="", LC_API_KEY=key.secret
    )
    assert (said["error"], said["status"]) == ("AuthenticationError", 401)


@probe({"GET /v1/online/{oid}": "count"})
def those_online_are_counted(it: Stage) -> None:
    assert it.json("api", f"online/{it.one.oid}")["count"] == it.world.online(it.one)


STATS = "client.request('GET', f'insight/{org.oid}/%s/stats', query_params=days)"


@probe({"GET /v1/insight/{oid}/online/stats": "totals", "GET /v1/insight/{oid}/traffic/stats": "totals"})
def days_are_summed_up(it: Stage) -> None:
    online = it.sdk(STATS % "online", days=DAYS)["totals"]
    assert len(online) == 4
    assert set(online.values()) <= set(range(it.one.sensors + 1))
    traffic = it.sdk(STATS % "traffic", days=DAYS)["totals"]
    sensors = [it.world.sensor(it.one, number) for number in range(it.one.sensors)]
    start, end = int(DAYS["start"]) * 1000, int(DAYS["end"]) * 1000 + 1000
    assert sum(traffic.values()) == sum(it.world.events.count(it.one, one, start, end) for one in sensors)


@probe(
    {
        f"{method} /v1/rules/{{oid}}": paths
        for method, paths in (
            ("GET", "* *.detect *.respond *.is_enabled"),
            ("POST", "(the effect)"),
            ("DELETE", "(the effect)"),
        )
    }
)
def rules_are_read_and_written_as_before_there_were_hives(it: Stage) -> None:
    oid, name = it.spare(37).oid, it.name("rule")
    form = {
        "name": name,
        "detection": json.dumps(RULE["detect"]),
        "response": json.dumps(RULE["respond"]),
        "is_enabled": True,
    }
    it.sdk("client.request('POST', f'rules/{org.oid}', params=form)", oid, form=form)
    row = it.sdk("client.request('GET', f'rules/{org.oid}')", oid)[name]
    assert (row["detect"], row["respond"], row["is_enabled"]) == (RULE["detect"], RULE["respond"], True)
    assert it.json("dr", "get", "--key", name, LC_OID=oid)["data"] == RULE
    it.sdk("client.request('DELETE', f'rules/{org.oid}', params={'name': name})", oid, name=name)
    assert name not in it.json("dr", "list", LC_OID=oid)


@probe(
    {
        f"{method} /v1/fp/{{oid}}": paths
        for method, paths in (("GET", "* *.data"), ("POST", "(the effect)"), ("DELETE", "(the effect)"))
    }
)
def false_positives_are_read_and_written_as_before_there_were_hives(it: Stage) -> None:
    oid, name, rule = it.spare(37).oid, it.name("fp"), {"op": "is", "path": "cat", "value": "x"}
    form = {"name": name, "rule": json.dumps(rule)}
    it.sdk("client.request('POST', f'fp/{org.oid}', params=form)", oid, form=form)
    assert it.sdk("client.request('GET', f'fp/{org.oid}')", oid)[name]["data"] == rule
    assert it.json("fp", "get", "--key", name, LC_OID=oid)["data"] == rule
    it.sdk("client.request('DELETE', f'fp/{org.oid}', params={'name': name})", oid, name=name)
    assert name not in it.json("fp", "list", LC_OID=oid)


@probe({"POST /v1/hive": "responses responses.*.data responses.*.error (the effect)"})
def many_requests_to_hives_go_in_one(it: Stage) -> None:
    oid, name = it.spare(37).oid, it.name("lookup")
    record_id = {"hive": {"name": "lookup", "partition": oid}, "name": name}
    record = {"data": {"newline_content": "x"}, "usr_mtd": {"enabled": True, "tags": ["t"]}}
    requests = [{"set_record": {"record_id": record_id, "record": record}}]
    ask = "client.request('POST', 'hive', params={'request': requests})"
    answers = it.sdk(ask, oid, requests=[json.dumps(each) for each in requests])["responses"]
    assert [answer["error"] for answer in answers] == [""]
    missing = record_id | {"name": f"{name}-not"}
    requests = [{"get_record": {"record_id": record_id}}, {"get_record": {"record_id": missing}}]
    answers = it.sdk(ask, oid, requests=[json.dumps(each) for each in requests])["responses"]
    assert answers[0]["data"]["data"] == record["data"]
    assert answers[0]["data"]["usr_mtd"]["enabled"] is True
    assert "RECORD_NOT_FOUND" in answers[1]["error"]
    requests = [{"delete_record": {"record_id": record_id}}]
    it.sdk(ask, oid, requests=[json.dumps(each) for each in requests])
    assert name not in it.json("lookup", "list", LC_OID=oid)


@probe({"POST /v1/hive-public/{hive}/{oid}": "data sys_mtd.etag"})
def a_record_is_found_by_its_guid(it: Stage) -> None:
    record = next(iter(it.world.records(it.one, "lookup").values()))
    ask = "client.request('POST', f'hive-public/lookup/{org.oid}', params=form)"
    said = it.sdk(ask, form={"guid": record["sys_mtd"]["guid"]})
    assert said["data"] == record["data"]
    known = {"guid": record["sys_mtd"]["guid"], "etag": said["sys_mtd"]["etag"]}
    assert not it.sdk(ask, form=known)["data"]


@probe({"PATCH /v1/orgs/{oid}/subscription/extension/{name}": "(the effect) error"})
def the_key_of_an_extension_is_exchanged(it: Stage) -> None:
    oid = it.spare(37).oid
    assert "rekeyed" in it.text("extension", "rekey", "--name", "ext-infrastructure", LC_OID=oid)
    assert "key rotated" in it.audit(oid)[-1]["msg"]
    said = it.run("extension", "rekey", "--name", "ext-no-such-thing", LC_OID=oid)
    assert said.code
    assert "{'error': " in said.everything


@probe(
    {
        "POST /v1/extension/definition": "(the effect)",
        "PUT /v1/extension/definition": "(the effect)",
        "DELETE /v1/extension/definition/{name}": "(the effect)",
        "GET /v1/extension/definition/{name}": "label",
    }
)
def an_extension_is_published_changed_and_withdrawn(it: Stage) -> None:
    name = it.name("ext-probe")
    it.sdk("Extensions(org).create(made)", made={"name": name, "label": "one", "owner_oid": it.one.oid})
    assert it.sdk("Extensions(org).get(name)", name=name)["label"] == "one"
    it.sdk("Extensions(org).update(made)", made={"name": name, "label": "two"})
    assert it.sdk("Extensions(org).get(name)", name=name)["label"] == "two"
    it.sdk("Extensions(org).delete(name)", name=name)
    assert it.sdk_whatever("Extensions(org).get(name)", name=name)["status"] == 404


@probe({"GET /v1/hive/{hive}/{oid}": "*.data", "POST /v1/hive/{hive}/{oid}/{key}/data": "(the effect)"})
def rules_are_exported_and_imported(it: Stage) -> None:
    oid, name = it.spare(37).oid, it.name("rule")
    document = it.file({name: {"data": RULE, "usr_mtd": {"enabled": True}}})
    it.text("dr", "import", "--input-file", document, LC_OID=oid)
    listed = it.json("dr", "list", LC_OID=oid)
    assert listed[name]["data"] == RULE
    assert name in it.text("dr", "export", LC_OID=oid)
    it.text("dr", "delete", "--key", name, "--confirm", LC_OID=oid)
