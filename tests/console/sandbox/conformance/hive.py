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
