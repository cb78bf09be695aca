"""Hives: records, metadata, pages, etags."""

from tests.console.sandbox.conformance.probes import probe
from tests.console.sandbox.conformance.stage import Stage

LISTED = "GET /v1/hive/{hive}/{oid}"
DATA, MTD = "GET /v1/hive/{hive}/{oid}/{key}/data", "GET /v1/hive/{hive}/{oid}/{key}/mtd"


@probe({LISTED: "* *.data *.usr_mtd *.usr_mtd.enabled *.usr_mtd.tags *.sys_mtd.etag"})
def rules_are_listed_whole(it: Stage) -> None:
    records = it.world.records(it.one, "dr-general")
    assert len(records) > 20
    said = it.json("dr", "list")
    assert set(said) == set(records)
    for key, record in records.items():
        assert said[key]["data"] == record["data"]
        assert said[key]["usr_mtd"] == record["usr_mtd"]
        assert said[key]["sys_mtd"]["etag"] == record["sys_mtd"]["etag"]


@probe({LISTED: "records records.* next_cursor"})
def rules_are_listed_in_pages(it: Stage) -> None:
    records = it.world.records(it.one, "dr-general")
    page = it.json("dr", "list", "--limit", "1")
    assert list(page["records"]) == [min(records)]
    rest = it.json("dr", "list", "--limit", "500", "--cursor", page["next_cursor"])
    assert set(rest["records"]) == set(records) - {min(records)}
    assert not rest["next_cursor"]


@probe({LISTED: "error"})
def a_cursor_that_nobody_gave_is_refused(it: Stage) -> None:
    said = it.run("dr", "list", "--limit", "5", "--cursor", "nonsense")
    assert said.code == 1
    assert "INVALID_CURSOR" in said.everything


@probe({LISTED: "*.usr_mtd *.sys_mtd.etag *.usr_mtd.tags"})
def metadata_is_listed_without_data(it: Stage) -> None:
    said = it.json("hive", "list", "--hive-name", "secret", "--metadata-only")
    records = it.world.records(it.one, "secret")
    assert records
    assert set(said) == set(records)
    for key, record in records.items():
        assert said[key]["data"] is None
        assert said[key]["usr_mtd"] == record["usr_mtd"]
        assert said[key]["sys_mtd"]["etag"] == record["sys_mtd"]["etag"]


@probe({DATA: "data usr_mtd usr_mtd.comment sys_mtd.etag sys_mtd.last_mod sys_mtd.last_author sys_mtd.guid"})
def one_record_is_read_with_all_it_has(it: Stage) -> None:
    key, record = next(iter(it.world.records(it.one, "dr-general").items()))
    said = it.sdk("Hive(org, 'dr-general').get(key)", key=key)
    for name in ("etag", "last_author", "guid", "created_by", "created_at"):
        assert said[name] == record["sys_mtd"][name]
    assert said["last_modified"] == record["sys_mtd"]["last_mod"]
    assert said["data"] == record["data"]
    assert (said["comment"], said["tags"], said["enabled"]) == tuple(
        record["usr_mtd"][name] for name in ("comment", "tags", "enabled")
    )


@probe({MTD: "usr_mtd usr_mtd.enabled sys_mtd.etag"})
def the_metadata_of_one_record_is_read(it: Stage) -> None:
    key, record = next(iter(it.world.records(it.one, "secret").items()))
    said = it.sdk("Hive(org, 'secret').get_metadata(key)", key=key)
    assert not said["data"]
    assert said["etag"] == record["sys_mtd"]["etag"]
    assert said["enabled"] is record["usr_mtd"]["enabled"]


@probe({DATA: "error"})
def a_record_that_is_not_there_is_missing_and_not_an_accident(it: Stage) -> None:
    said = it.run("dr", "get", "--key", "no-such-rule")
    assert said.code == 1
    assert "lc_error_code:RECORD_NOT_FOUND" in said.everything


SET, MARK = "POST /v1/hive/{hive}/{oid}/{key}/data", "POST /v1/hive/{hive}/{oid}/{key}/mtd"
DELETE = "DELETE /v1/hive/{hive}/{oid}/{key}"
RULE = {
    "detect": {"event": "NEW_PROCESS", "op": "exists", "path": "event/FILE_PATH"},
    "respond": [{"action": "report", "name": "probe"}],
}
PROBE_RECORD = "Hive(org, hive).set(HiveRecord(key, **record))"


def last_change(it: Stage, oid: str) -> tuple[str, str]:
    """Who did what last, as the audit log tells it."""
    entry = it.audit(oid)[-1]
    return entry["ident"], entry["etype"]


@probe(
    {
        SET: "(the effect) hive name",
        DATA: "data usr_mtd.enabled",
        "GET /v1/insight/{oid}/audit": "events.*.ident events.*.etype events.*.entity",
    }
)
def a_rule_is_set_read_back_and_noted_under_who_did_it(it: Stage) -> None:
    oid, key = it.spare(10).oid, it.name("probe/rule one")
    said = it.json("dr", "set", "--key", key, "--input-file", it.file(RULE), "--enabled", LC_OID=oid)
    assert said["hive"] == {"name": "dr-general", "partition": oid}
    assert said["name"] == key
    read = it.json("dr", "get", "--key", key, LC_OID=oid)
    assert read["data"] == RULE
    assert read["usr_mtd"]["enabled"] is True
    entry = it.audit(oid)[-1]
    assert (entry["ident"], entry["etype"]) == (it.world.access.root, "hive_set")
    assert key in entry["entity"]["name"]


@probe({DELETE: "(the effect)", "GET /v1/insight/{oid}/audit": "events.*.etype", DATA: "error"})
def a_rule_is_deleted_and_missing_then(it: Stage) -> None:
    oid, key = it.spare(10).oid, it.name("rule")
    it.json("dr", "set", "--key", key, "--input-file", it.file(RULE), LC_OID=oid)
    it.text("dr", "delete", "--key", key, "--confirm", LC_OID=oid)
    said = it.run("dr", "get", "--key", key, LC_OID=oid)
    assert said.code == 1
    assert "RECORD_NOT_FOUND" in said.everything
    assert last_change(it, oid) == (it.world.access.root, "hive_del")


@probe({SET: "(the effect)", DATA: "usr_mtd.enabled", MTD: "error"})
def a_new_rule_is_disabled_unless_enabled(it: Stage) -> None:
    oid, key = it.spare(11).oid, it.name("rule")
    it.json("dr", "set", "--key", key, "--input-file", it.file(RULE), LC_OID=oid)
    assert it.json("dr", "get", "--key", key, LC_OID=oid)["usr_mtd"]["enabled"] is False
    it.json("dr", "set", "--key", f"{key}-2", "--input-file", it.file(RULE), "--tag", "a", LC_OID=oid)
    read = it.json("dr", "get", "--key", f"{key}-2", LC_OID=oid)["usr_mtd"]
    assert (read["enabled"], read["tags"]) == (False, ["a"])


@probe({MARK: "(the effect)", MTD: "usr_mtd usr_mtd.comment", DATA: "usr_mtd.enabled usr_mtd.comment data"})
def metadata_is_replaced_wholesale_and_data_stays(it: Stage) -> None:
    oid, key = it.spare(11).oid, it.name("rule")
    record = {"data": RULE, "enabled": True, "tags": ["a", "b"], "comment": "first"}
    it.sdk(PROBE_RECORD, oid, hive="dr-general", key=key, record=record)
    it.json("hive", "set", "--hive-name", "dr-general", "--key", key, "--tag-add", "c", LC_OID=oid)
    read = it.json("dr", "get", "--key", key, LC_OID=oid)
    assert read["usr_mtd"] == {"enabled": True, "tags": ["a", "b", "c"], "comment": "first", "expiry": 0}
    it.sdk(PROBE_RECORD, oid, hive="dr-general", key=key, record={"comment": "second"})
    read = it.json("dr", "get", "--key", key, LC_OID=oid)
    assert read["usr_mtd"]["enabled"] is False
    assert (read["usr_mtd"].get("tags") or [], read["usr_mtd"]["comment"]) == ([], "second")
    assert read["data"] == RULE


@probe({SET: "(the effect)", DATA: "usr_mtd.enabled usr_mtd.tags"})
def data_alone_leaves_the_metadata_as_it_was(it: Stage) -> None:
    oid, key = it.spare(11).oid, it.name("lookup")
    first = {"data": {"newline_content": "one"}, "enabled": True, "tags": ["kept"]}
    it.sdk(PROBE_RECORD, oid, hive="lookup", key=key, record=first)
    it.sdk(PROBE_RECORD, oid, hive="lookup", key=key, record={"data": {"newline_content": "two"}})
    read = it.json("lookup", "get", "--key", key, LC_OID=oid)
    assert read["data"] == {"newline_content": "two"}
    assert (read["usr_mtd"]["enabled"], read["usr_mtd"]["tags"]) == (True, ["kept"])


@probe({MTD: "usr_mtd.tags", DATA: "usr_mtd.enabled usr_mtd.tags", MARK: "(the effect)"})
def a_record_is_disabled_and_enabled_and_keeps_its_tags(it: Stage) -> None:
    oid, key = it.spare(12).oid, it.name("rule")
    it.json(
        "dr", "set", "--key", key, "--input-file", it.file(RULE), "--enabled", "--tag", "kept", LC_OID=oid
    )
    it.json("dr", "disable", "--key", key, LC_OID=oid)
    read = it.json("dr", "get", "--key", key, LC_OID=oid)["usr_mtd"]
    assert (read["enabled"], read["tags"]) == (False, ["kept"])
    it.json("dr", "enable", "--key", key, LC_OID=oid)
    assert it.json("dr", "get", "--key", key, LC_OID=oid)["usr_mtd"]["enabled"] is True


@probe({DATA: "sys_mtd.etag", SET: "error"})
def a_change_under_an_old_etag_is_refused(it: Stage) -> None:
    oid, key = it.spare(12).oid, it.name("rule")
    it.sdk(PROBE_RECORD, oid, hive="dr-general", key=key, record={"data": RULE})
    first = it.sdk("Hive(org, 'dr-general').get(key)", oid, key=key)["etag"]
    assert first
    it.sdk(
        PROBE_RECORD, oid, hive="dr-general", key=key, record={"data": RULE, "etag": first, "comment": "1"}
    )
    second = it.sdk("Hive(org, 'dr-general').get(key)", oid, key=key)["etag"]
    assert second != first
    said = it.sdk_whatever(
        PROBE_RECORD, oid, hive="dr-general", key=key, record={"data": RULE, "etag": first}
    )
    assert (said["error"], said["status"]) == ("ApiError", 400)
    assert "lc_error_code:ETAG_MISMATCH" in said["message"]


@probe({DATA: "sys_mtd.etag data", SET: "(the effect)"})
def a_transaction_reads_changes_and_writes_under_the_etag(it: Stage) -> None:
    oid, key = it.spare(12).oid, it.name("lookup")
    it.sdk(PROBE_RECORD, oid, hive="lookup", key=key, record={"data": {"newline_content": "one"}})
    before = it.sdk("Hive(org, 'lookup').get(key)", oid, key=key)
    # Somebody else writes between the first reading and the first writing; the second attempt holds.
    said = it.sdk(
        "Hive(org, 'lookup').update_tx(key, lambda record: (tries.append(record.etag), "
        "Hive(org, 'lookup').set(HiveRecord(key, data={'newline_content': 'other'})) if len(tries) == 1 else None, "
        "record.data.update(newline_content=record.data['newline_content'] + ' more')))",
        oid,
        key=key,
        tries=[],
    )
    assert said["name"] == key
    after = it.sdk("Hive(org, 'lookup').get(key)", oid, key=key)
    assert after["data"] == {"newline_content": "other more"}
    assert after["etag"] != before["etag"]


@probe({DATA: "usr_mtd.expiry", MARK: "(the effect) error"})
def an_expiry_is_milliseconds_and_not_in_the_past(it: Stage) -> None:
    oid, key, later = it.spare(13).oid, it.name("secret"), 1_900_000_000
    it.json("secret", "set", "--key", key, "--value", "x", "--enabled", LC_OID=oid)
    it.json("hive", "set", "--hive-name", "secret", "--key", key, "--expiry", str(later), LC_OID=oid)
    assert it.json("secret", "get", "--key", key, LC_OID=oid)["usr_mtd"]["expiry"] == later * 1000
    said = it.run("hive", "set", "--hive-name", "secret", "--key", key, "--expiry", "1500000000", LC_OID=oid)
    assert said.code == 1
    assert "INVALID_EXPIRY_TIME" in said.everything


VALIDATE, RENAME = "POST /v1/hive/{hive}/{oid}/{key}/validate", "POST /v1/hive/{hive}/{oid}/{key}/rename"


@probe({VALIDATE: "error"})
def a_rule_is_validated_and_not_stored(it: Stage) -> None:
    oid, key = it.spare(13).oid, it.name("rule")
    arguments = ("hive", "validate", "--hive-name", "dr-general", "--key", key, "--input-file")
    assert it.json(*arguments, it.file(RULE), LC_OID=oid)["valid"] is True
    broken = {"detect": {"op": "no such operator", "path": "event/X"}, "respond": []}
    said = it.run(*arguments, it.file(broken), LC_OID=oid)
    assert said.code
    assert "no such operator" in said.everything or "INVALID" in said.everything
    assert key not in it.json("dr", "list", LC_OID=oid)


@probe({RENAME: "(the effect)", LISTED: "*.data"})
def a_record_is_renamed(it: Stage) -> None:
    oid, key = it.spare(13).oid, it.name("rule")
    it.json("dr", "set", "--key", key, "--input-file", it.file(RULE), "--enabled", LC_OID=oid)
    arguments = ("hive", "rename", "--hive-name", "dr-general", "--key", key, "--new-name", f"{key} / new")
    it.json(*arguments, LC_OID=oid)
    records = it.json("dr", "list", LC_OID=oid)
    assert key not in records
    assert records[f"{key} / new"]["data"] == RULE
    assert records[f"{key} / new"]["usr_mtd"]["enabled"] is True
    assert it.run(*arguments, LC_OID=oid).code == 1


@probe({LISTED: "records.*.usr_mtd.tags records"})
def records_are_filtered_by_the_beginning_of_a_tag(it: Stage) -> None:
    oid, tag = it.spare(14).oid, it.name("tag")
    for number, tags in enumerate(([f"{tag}-a"], [f"{tag}-b", "x"], ["x"])):
        record = {"data": {"newline_content": "x"}, "tags": tags, "enabled": True}
        it.sdk(PROBE_RECORD, oid, hive="lookup", key=f"{tag}-{number}", record=record)
    said = it.json("lookup", "list", "--tag-prefix", tag, LC_OID=oid)
    records = said.get("records", said)
    assert set(records) == {f"{tag}-0", f"{tag}-1"}
    assert records[f"{tag}-0"]["usr_mtd"]["tags"] == [f"{tag}-a"]
    bare = it.json("lookup", "list", "--tag-prefix", tag, "--metadata-only", LC_OID=oid)
    assert set(bare.get("records", bare)) == {f"{tag}-0", f"{tag}-1"}


@probe({LISTED: "records records.* next_cursor"})
def every_record_comes_once_over_pages(it: Stage) -> None:
    records = it.world.records(it.one, "dr-general")
    pages = it.sdk("[list(page) for page in Hive(org, 'dr-general').iter_pages(limit=7)]")
    assert [len(page) for page in pages[:-1]] == [7] * (len(records) // 7)
    assert [key for page in pages for key in page] == sorted(records)
    small = it.sdk("[list(page) for page in Hive(org, 'dr-general').iter_pages(limit=500, max_bytes=4000)]")
    assert len(small) > 1
    assert [key for page in small for key in page] == sorted(records)


@probe({LISTED: "records next_cursor"})
def a_hive_that_is_too_large_is_read_in_pages_by_the_client_itself(it: Stage) -> None:
    oid = it.spare(15).oid
    big = "x" * 700_000
    keys = [f"probe-big-{number}" for number in range(HUGE)]
    before = it.sandbox.endpoints().get(f"{LISTED}", 0)
    for key in keys:
        it.sdk(PROBE_RECORD, oid, hive="lookup", key=key, record={"data": {"newline_content": big}})
    try:
        refused = it.sdk_whatever("client.request('GET', f'hive/lookup/{org.oid}')", oid)
        assert refused["status"] == 413
        assert "HIVE_LISTING_TOO_LARGE" in refused["message"]
        said = it.sdk("list(Hive(org, 'lookup').list())", oid)
        assert set(keys) <= set(said)
        assert it.sandbox.endpoints()[LISTED] - before > 3
    finally:
        for key in keys:
            it.sdk("Hive(org, 'lookup').delete(key)", oid, key=key)


HUGE = 14
"""Records of 0.7 MB; more than one answer of the sandbox carries."""


@probe({"GET /v1/hive/{hive}/schema": "schema schema.properties"})
def a_hive_tells_the_schema_of_its_records(it: Stage) -> None:
    said = it.json("hive", "schema", "--hive-name", "dr-general")
    assert {"detect", "respond"} <= set(said["schema"]["properties"])


@probe({DATA: "error"})
def a_key_without_the_permission_is_refused_with_a_hive_error(it: Stage) -> None:
    connector = next(key for key in it.world.access.keys(it.one) if key.name == "old-soar-connector")
    key = next(iter(it.world.records(it.one, "dr-general")))
    said = it.run("dr", "get", "--key", key, LC_UID="", LC_API_KEY=connector.secret)
    assert said.code == 1
    assert "lc_error_code:UNAUTHORIZED" in said.everything


@probe({DATA: "data.secret", SET: "(the effect)", DELETE: "(the effect)"})
def a_secret_is_set_read_and_deleted(it: Stage) -> None:
    oid, key = it.spare(14).oid, it.name("secret")
    it.json(
        "secret", "set", "--key", key, "--value", "hunter 2", "--tag", "probe", "--comment", "why", LC_OID=oid
    )
    read = it.json("secret", "get", "--key", key, LC_OID=oid)
    assert read["data"] == {"secret": "hunter 2"}
    assert (read["usr_mtd"]["tags"], read["usr_mtd"]["comment"]) == (["probe"], "why")
    it.text("secret", "delete", "--key", key, "--confirm", LC_OID=oid)
    assert key not in it.json("secret", "list", "--metadata-only", LC_OID=oid)


@probe({SET: "(the effect)", DATA: "data usr_mtd.enabled"})
def a_false_positive_rule_is_set(it: Stage) -> None:
    oid, key = it.spare(14).oid, it.name("fp")
    rule = {"op": "is", "path": "cat", "value": "Encoded PowerShell"}
    it.json("fp", "set", "--key", key, "--input-file", it.file({"data": rule}), "--enabled", LC_OID=oid)
    read = it.json("fp", "get", "--key", key, LC_OID=oid)
    assert (read["data"], read["usr_mtd"]["enabled"]) == (rule, True)


@probe({SET: "(the effect)", DATA: "data"})
def every_kind_of_record_is_kept_as_it_was_written(it: Stage) -> None:
    oid, key = it.spare(16).oid, it.name("kept")
    for hive, data in {
        "yara": {"rule": "rule a { condition: true }"},
        "query": {"query": "-1h | * | NEW_PROCESS | *", "stream": "event"},
        "playbook": {"python": "def playbook(sdk, data):\n    return {}\n"},
        "sop": {"text": "What to do", "description": "steps"},
        "org_notes": {"text": "Grüße, \u2028 and \U0001f600", "description": ""},
        "dr-managed": RULE,
        "extension_config": {"exfil_rules": {"watch": {}}},
        "external_adapter": {"sensor_type": "webhook", "webhook": {"secret": "s"}},
        "cloud_sensor": {"sensor_type": "s3", "s3": {"bucket_name": "b"}},
        "ai_agent": {"name": "a", "prompt": "p"},
        "app": {"display_name": "App", "html": "<p>"},
    }.items():
        it.sdk(PROBE_RECORD, oid, hive=hive, key=key, record={"data": data})
        assert it.sdk("Hive(org, hive).get(key)", oid, hive=hive, key=key)["data"] == data
        it.sdk("Hive(org, hive).delete(key)", oid, hive=hive, key=key)


@probe({SET: "error"})
def a_record_that_is_no_object_or_no_rule_is_refused(it: Stage) -> None:
    oid, key = it.spare(16).oid, it.name("bad")
    said = it.sdk_whatever(PROBE_RECORD, oid, hive="dr-general", key=key, record={"data": {"detect": {}}})
    assert said["status"] == 400
    assert "lc_error_code:INVALID" in said["message"]
    assert key not in it.json("dr", "list", LC_OID=oid)


@probe({MARK: "error"})
def metadata_of_nothing_cannot_be_set(it: Stage) -> None:
    oid, key = it.spare(16).oid, it.name("nothing")
    said = it.sdk_whatever(PROBE_RECORD, oid, hive="dr-general", key=key, record={"enabled": True})
    assert said["status"] == 400
    assert "lc_error_code:RECORD_NOT_FOUND" in said["message"]


@probe({SET: "(the effect)", DATA: "data usr_mtd.enabled"})
def a_file_of_rules_is_exported_and_imported(it: Stage) -> None:
    oid, key = it.spare(17).oid, it.name("rule")
    document = {key: {"data": RULE, "usr_mtd": {"enabled": True, "tags": ["t"], "comment": "", "expiry": 0}}}
    it.text(
        "hive",
        "import",
        "--hive-name",
        "dr-general",
        "--input-file",
        it.file(document),
        "--dry-run",
        LC_OID=oid,
    )
    assert key not in it.json("dr", "list", LC_OID=oid)
    it.text("hive", "import", "--hive-name", "dr-general", "--input-file", it.file(document), LC_OID=oid)
    said = it.json("hive", "export", "--hive-name", "dr-general", LC_OID=oid)
    assert said[key]["data"] == RULE
    assert said[key]["usr_mtd"]["enabled"] is True
    it.text("dr", "delete", "--key", key, "--confirm", LC_OID=oid)


@probe({DATA: "data data.acl_restricted", "POST /v1/hive/{hive}/{oid}/{key}/data": "(the effect) error"})
def what_is_shown_of_closed_data_is_not_taken_for_data(it: Stage) -> None:
    oid, scope, key = it.spare(26).oid, it.name("scope").lower(), it.name("query")
    member = it.file({"data": {"members": [{"type": "user", "id": "somebody@else.example"}]}})
    it.json("hive", "set", "--hive-name", "acl", "--key", scope, "--input-file", member, LC_OID=oid)
    closed = it.file(
        {"data": {"query": "-1h | * | *"}, "usr_mtd": {"enabled": True, "tags": [f"acl:{scope}"]}}
    )
    it.json("hive", "set", "--hive-name", "query", "--key", key, "--input-file", closed, LC_OID=oid)
    shown = it.json("hive", "get", "--hive-name", "query", "--key", key, LC_OID=oid)["data"]
    assert shown == {"acl_restricted": True}
    back = it.file({"data": shown})
    said = it.run("hive", "set", "--hive-name", "query", "--key", key, "--input-file", back, LC_OID=oid)
    assert said.code == 1
    assert "lc_error_code:INVALID" in said.everything
