"""Taking in what the cloud answers: exact, lenient, and idle when nothing changed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from store import ingest, models
from store.bodies import storable, unpack
from store.configuration import Record
from store.database import Change, Store

NOW = 1_790_000_000_000
OID = "f0e1d2c3-1a2b-4c3d-8e9f-001122334455"


def _detection(number: int = 0, **fields: Any) -> bytes:
    record = {
        "detect_id": f"d{number}",
        "cat": f"Cat {number % 7}",
        "source_rule": "general.rule",
        "priority": number % 10,
        "gen_time": NOW + number,
        "routing": {"hostname": f"host{number % 5}", "sid": "s1", "event_type": "NEW_PROCESS"},
        "detect": {"event": {"FILE_PATH": "x"}},
        "detect_mtd": {"level": None},
    }
    return json.dumps(record | fields).encode()


def _read(raw: bytes) -> ingest.NewDetection:
    return ingest.detection_from(raw, OID, received=NOW)


def _twice(store: Store, put: Callable[[Connection], int], expected: int) -> None:
    """The first time so many rows change; the second time none, and nobody is told."""
    with store.writing() as connection:
        assert put(connection) == expected
    heard: list[Change] = []
    stop = store.on_change(heard.append)
    with store.writing() as connection:
        assert put(connection) == 0
    stop()
    assert heard == []


def _rows(store: Store, model: Any) -> list[dict[str, Any]]:
    with store.reader.reading() as connection:
        return [dict(row) for row in connection.execute(select(model.__table__)).mappings()]


# One detection


def test_a_detection_is_read_with_what_the_queue_needs() -> None:
    raw = _detection(3, detect_mtd={"level": "critical", "author": "x"})
    assert _read(raw) == ingest.NewDetection(
        "d3", 4, NOW + 3, "Cat 3", "general.rule", "host3", "s1", "NEW_PROCESS", 3, False, raw
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"gen_time": 1_767_225_602_047}, 1_767_225_602_047),
        ({"gen_time": None, "ts": 1_767_225_602}, 1_767_225_602_000),
        ({"gen_time": None, "ts": 1_767_312_001_999}, 1_767_312_001_999),
        ({"gen_time": 0, "ts": "1767225602"}, 1_767_225_602_000),
        ({"gen_time": None, "ts": None, "routing": {"event_time": 1_767_225_601_234}}, 1_767_225_601_234),
        ({"gen_time": None, "ts": 1_767_225_602.5}, 1_767_225_602_500),
        ({"gen_time": None, "ts": 1_767_225_602_047_123}, 1_767_225_602_047),
        ({"gen_time": "soon", "ts": [1], "routing": {}}, NOW),
        ({"gen_time": 10**30, "ts": -5, "routing": None}, NOW),
        ({"gen_time": True, "ts": False, "routing": {}}, NOW),
    ],
)
def test_the_time_is_found_in_seconds_and_milliseconds(fields: dict[str, Any], expected: int) -> None:
    assert _read(_detection(**fields)).time == expected


def test_host_and_type_are_found_in_the_inner_event_too() -> None:
    inner = {"event": {}, "routing": {"hostname": "inner", "event_type": "FIM_HIT", "sid": "s9"}}
    read = _read(_detection(routing={"oid": OID}, detect=inner))
    assert (read.hostname, read.event_type, read.sid) == ("inner", "FIM_HIT", "s9")
    assert _read(_detection(routing={"hostname": "outer"}, detect={"FILE_PATH": "bare"})).hostname == "outer"


@pytest.mark.parametrize(
    ("level", "priority", "severity"),
    [
        ("critical", 0, 4), ("High", 0, 3), ("informational", 9, 0), ("nonsense", 9, 4), (None, 8, 4),
        (None, 7, 3), (None, 3, 2), (None, 2, 1), (None, None, 2), (7, True, 2), (["high"], "9", 2),
    ],
)  # fmt: skip
def test_the_level_counts_before_the_priority(level: Any, priority: Any, severity: int) -> None:
    assert _read(_detection(detect_mtd={"level": level}, priority=priority)).severity == severity


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b'{"routing": 5, "detect": [], "detect_mtd": "x", "cat": {"a": 1}, "priority": {}}',
        b'{"cat": null}',
    ],
)
def test_a_detection_that_lacks_everything_is_kept_under_an_id_made_of_it(raw: bytes) -> None:
    read = _read(raw)
    assert read.detect_id.startswith("unnamed-")
    assert (read.damaged, read.time, read.body) == (False, NOW, raw)
    assert read.detect_id == _read(raw).detect_id


@pytest.mark.parametrize(
    "raw", [b"", b"garbage", b"[1]", b"null", b'{"cat": "x"', b"\xff\xfe\x00", b"[" * 5000]
)
def test_what_is_no_json_object_is_kept_as_it_came_and_marked(raw: bytes) -> None:
    read = _read(raw)
    assert read.damaged
    assert read.detect_id.startswith("damaged-")
    assert len(read.detect_id) == len("damaged-") + 24
    assert read.body == raw


def test_surrogates_and_nul_are_shown_in_columns_and_kept_in_the_body(store: Store) -> None:
    raw = b'{"detect_id": "d\\u0000\\ud800", "cat": "a\\ud800b", "routing": {"hostname": "h\\u0000"}, "gen_time": 1790000000000}'
    with store.writing() as connection:
        assert ingest.put_detections(connection, OID, [_read(raw)]) == 1
    [row] = _rows(store, models.Detection)
    assert (row["detect_id"], row["cat"], row["hostname"]) == ("d\\x00\\ud800", "a\\ud800b", "h\\x00")
    [body] = _rows(store, models.DetectionBody)
    assert unpack(body["body"]) == raw


def test_a_name_that_is_too_long_for_an_index_is_cut_and_stays_distinct(store: Store) -> None:
    long = "\N{GRINNING FACE}" * 4000
    reads = [
        _read(_detection(n, cat=long + str(n), routing={"hostname": long}, detect_id=long + str(n)))
        for n in range(2)
    ]
    with store.writing() as connection:
        assert ingest.put_detections(connection, OID, reads) == 2
    assert len({row["cat"] for row in _rows(store, models.Detection)}) == 2
    assert all(len(row["cat"]) == ingest.LONGEST for row in _rows(store, models.Detection))


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = ("detect_id", "cat", "source_rule", "priority", "gen_time", "ts", "routing", "detect", "detect_mtd")


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON))
def test_whatever_shape_the_fields_have_a_storable_detection_comes_of_it(record: dict[str, Any]) -> None:
    read = _read(json.dumps(record).encode())
    for value in (read.detect_id, read.cat, read.rule, read.hostname, read.sid, read.event_type):
        assert "\0" not in value
        value.encode()
    assert 0 <= read.severity <= 4
    assert 0 < read.time < 2**53
    assert read.priority is None or abs(read.priority) < 2**31


# Many detections


def test_detections_are_stored_once_and_counted_exactly(store: Store) -> None:
    records = [_read(_detection(n)) for n in range(120)]
    _twice(store, lambda c: ingest.put_detections(c, OID, records), 120)
    with store.writing() as connection:
        assert ingest.put_detections(connection, OID, [*records[100:], _read(_detection(500))]) == 1
        assert ingest.put_detections(connection, "another", records[:10]) == 10
    counted = {
        (row["oid"], row["severity"], row["status"]): row["count"]
        for row in _rows(store, models.DetectionCount)
    }
    with store.reader.reading() as connection:
        table = models.Detection.__table__
        columns = (table.c.oid, table.c.severity, table.c.status)
        actual = {
            tuple(row[:3]): row[3]
            for row in connection.execute(select(*columns, func.count()).group_by(*columns))
        }
        assert ingest.detections_held(connection, OID) == 121
    assert counted == actual
    assert sum(counted.values()) == 131


def test_the_same_detection_twice_in_one_page_is_one_and_the_first_counts(store: Store) -> None:
    first, second = _read(_detection(1, cat="first")), _read(_detection(1, cat="second"))
    with store.writing() as connection:
        assert ingest.put_detections(connection, OID, [first, second]) == 1
    assert [row["cat"] for row in _rows(store, models.Detection)] == ["first"]
    assert [unpack(row["body"]) for row in _rows(store, models.DetectionBody)] == [first.body]


# Organizations


def _listing(*oids: str, **fields: Any) -> list[dict[str, Any]]:
    return [
        {
            "oid": oid,
            "name": f"Org {oid}",
            "region": "eu",
            "status": "ok",
            "sensor_quota": 5,
            "details": {"a": 1},
        }
        | fields
        for oid in oids
    ]


def test_a_listing_is_stored_and_the_same_listing_writes_nothing(store: Store) -> None:
    _twice(store, lambda c: ingest.put_organizations(c, _listing("a", "b", "c"), complete=True, now=NOW), 3)


def test_a_complete_listing_marks_who_is_gone_and_takes_back_who_returns(store: Store) -> None:
    def put(*oids: str, complete: bool = True, now: int = NOW) -> int:
        with store.writing() as connection:
            return ingest.put_organizations(connection, _listing(*oids), complete=complete, now=now)

    def gone() -> dict[str, int | None]:
        return {row["oid"]: row["gone_at"] for row in _rows(store, models.Organization)}

    put("a", "b")
    assert put("a", complete=False) == 0
    assert gone() == {"a": None, "b": None}
    assert put("a", now=NOW + 1) == 1
    assert gone() == {"a": None, "b": NOW + 1}
    assert put("a", now=NOW + 2) == 0
    assert put("a", "b", now=NOW + 3) == 1
    assert gone() == {"a": None, "b": None}


def test_listing_and_record_do_not_overwrite_each_other_at_every_sync(store: Store) -> None:
    def put(connection: Connection) -> int:
        return ingest.put_organizations(
            connection, _listing("a", sensor_quota=5), complete=True, now=NOW
        ) + ingest.put_organization_facts(
            connection,
            "a",
            details={"oid": "a", "sensor_version": "4"},
            quota=7,
            quota_used=6.5,
            sensors_online=3,
        )

    _twice(store, put, 2)
    [row] = _rows(store, models.Organization)
    assert (row["sensor_quota"], row["quota_used"], row["sensors_online"]) == (7, 6.5, 3)
    assert row["details"]["sensor_version"] == "4"
    with store.writing() as connection:
        ingest.put_organizations(connection, _listing("a", sensor_quota=9), complete=True, now=NOW)
    assert _rows(store, models.Organization)[0]["sensor_quota"] == 9


def test_facts_of_an_unknown_organization_are_nobody_s(store: Store) -> None:
    with store.writing() as connection:
        assert ingest.put_organization_facts(connection, "nobody", quota=1) == 0


# Sensors


def test_sensors_are_mirrored(store: Store) -> None:
    rows = [
        {"sid": f"s{n}", "hostname": f"h{n}", "plat": 2147483648, "arch": 2, "alive": "2026-01-01 00:00:00",
         "enroll": 1_767_225_600, "tags": "a,b" if n else ["x"], "isolated": n == 1}
        for n in range(3)
    ]  # fmt: skip
    _twice(store, lambda c: ingest.put_sensors(c, OID, rows), 3)
    with store.writing() as connection:
        ingest.put_sensors(connection, "other", rows[:1])
        assert ingest.put_sensors(connection, OID, [rows[0], rows[1] | {"hostname": "new"}]) == 2
    found = {row["sid"]: row for row in _rows(store, models.Sensor) if row["oid"] == OID}
    assert set(found) == {"s0", "s1"}
    assert found["s1"]["hostname"] == "new"
    assert found["s1"]["isolated"] is True
    assert found["s1"]["tags"] == ["a", "b"]
    assert found["s0"]["platform"] == 2147483648
    assert found["s0"]["alive"] == found["s0"]["enrolled"] == 1_767_225_600_000
    assert len([row for row in _rows(store, models.Sensor) if row["oid"] == "other"]) == 1


# Access


ANSWER = {
    "user_permissions": {"kim@acme.example": ["org.get", "dr.list"]},
    "direct_users": [
        {"email": "kim@acme.example", "uid": "u1", "perms": ["org.get", "dr.list"], "MFA_enabled": True, "MFA_types": ["totp"]}
    ],
    "from_groups": {"u2": {"email": "dana@provider.example", "groups": {"g1": True, "g2": False}, "MFA_enabled": False}},
    "group_info": {"g1": {"name": "Responders", "perms": ["sensor.task"], "owners": ["root@provider.example"]}},
}  # fmt: skip


def _members(store: Store) -> set[tuple[str, str, bool]]:
    return {(row["gid"], row["email"], row["owner"]) for row in _rows(store, models.GroupMember)}


def test_access_is_stored_and_the_same_answer_writes_nothing(store: Store) -> None:
    _twice(store, lambda c: ingest.put_access(c, OID, ANSWER, now=NOW), 7)
    assert {
        row["email"]: (row["uid"], row["mfa"], row["mfa_types"]) for row in _rows(store, models.User)
    } == {
        "kim@acme.example": ("u1", True, ["totp"]),
        "dana@provider.example": ("", False, []),
    }
    assert [row["permissions"] for row in _rows(store, models.DirectPermission)] == [["dr.list", "org.get"]]
    assert _members(store) == {("g1", "dana@provider.example", False), ("g1", "root@provider.example", True)}
    assert [(row["name"], row["complete"]) for row in _rows(store, models.Group)] == [("Responders", False)]


def test_what_a_group_s_own_listing_knows_is_not_taken_from_an_organization_s(store: Store) -> None:
    whole = [
        {"group_id": "g1", "name": "Responders", "perms": ["sensor.task"], "owners": [],
         "members": ["dana@provider.example", "lee@provider.example"],
         "orgs": [{"org_id": OID, "org_name": "Acme"}, {"org_id": "other", "org_name": "B"}]}
    ]  # fmt: skip
    with store.writing() as connection:
        ingest.put_access(connection, OID, ANSWER, now=NOW)
        ingest.put_groups(connection, whole, now=NOW)
        assert ingest.put_access(connection, OID, ANSWER, now=NOW) == 0
        assert ingest.put_groups(connection, whole, now=NOW) == 0
    assert _members(store) == {("g1", "dana@provider.example", False), ("g1", "lee@provider.example", False)}
    assert {row["oid"] for row in _rows(store, models.GroupOrganization)} == {OID, "other"}


def test_a_group_that_is_listed_no_more_is_asked_about_again_and_goes_when_nobody_names_it(
    store: Store,
) -> None:
    whole = [
        {
            "group_id": "g1",
            "name": "R",
            "perms": [],
            "owners": [],
            "members": ["a@b"],
            "orgs": [{"org_id": OID}],
        }
    ]
    with store.writing() as connection:
        ingest.put_groups(connection, whole, now=NOW)
        ingest.put_sync_state(connection, OID, "access", fingerprint="same as ever")
        ingest.put_groups(connection, [], now=NOW)
        state = ingest.sync_state(connection, OID, "access")
        assert state is not None
        assert state.fingerprint == ""
        ingest.put_access(connection, OID, {}, now=NOW)
    assert _rows(store, models.Group) == []
    assert _members(store) == set()


def test_a_revoked_grant_is_gone(store: Store) -> None:
    with store.writing() as connection:
        ingest.put_access(connection, OID, ANSWER, now=NOW)
        ingest.put_access(connection, OID, ANSWER | {"user_permissions": {}, "direct_users": []}, now=NOW)
    assert _rows(store, models.DirectPermission) == []


def test_keys_are_mirrored_and_keep_when_they_were_first_seen(store: Store) -> None:
    keys = {
        "h1": {"name": "ci[bulk]", "priv": ["dr.set", "dr.list"], "by": "dana", "last_used": 1_767_225_600},
        "h2": {"name": "old", "priv": [], "allowed_ip_range": "10.0.0.0/8"},
    }
    _twice(store, lambda c: ingest.put_keys(c, OID, keys, now=NOW), 2)
    with store.writing() as connection:
        assert ingest.put_keys(connection, OID, {"h1": keys["h1"] | {"name": "ci2"}}, now=NOW + 5) == 2
    [row] = _rows(store, models.ApiKey)
    assert (row["name"], row["permissions"], row["last_used"], row["first_seen"]) == (
        "ci2", ["dr.list", "dr.set"], 1_767_225_600_000, NOW,
    )  # fmt: skip


# Configuration


def test_the_same_rule_in_many_organizations_is_stored_once(store: Store) -> None:
    with store.writing() as connection:
        for number in range(20):
            records = {f"r{n}": Record({"detect": {"n": n}}, {"enabled": True}) for n in range(5)}
            assert ingest.put_configuration(connection, f"o{number}", "hive/dr-general", records, NOW) == 5
    assert len(_rows(store, models.ConfigurationBody)) == 5
    assert len(_rows(store, models.ConfigurationRecord)) == 100


def test_a_changed_record_ends_and_begins_anew_and_a_vanished_one_ends(store: Store) -> None:
    first = {"a": Record({"v": 1}, {"enabled": True}), "b": Record({"v": 1}), "c": Record({"v": 1})}
    second = {"a": Record({"v": 2}, {"enabled": True}), "b": Record({"v": 1}, {"enabled": False})}
    _twice(store, lambda c: ingest.put_configuration(c, OID, "hive/fp", first, NOW), 3)
    with store.writing() as connection:
        ingest.put_configuration(connection, OID, "hive/query", {"a": Record({"q": 1})}, NOW)
        assert ingest.put_configuration(connection, OID, "hive/fp", second, NOW + 10) == 5
        assert ingest.put_configuration(connection, OID, "hive/fp", second, NOW + 20) == 0

    def at(time: int) -> dict[str, bool | None]:
        return {
            row["name"]: row["enabled"]
            for row in _rows(store, models.ConfigurationRecord)
            if row["section"] == "hive/fp"
            and row["valid_from"] <= time
            and (row["valid_to"] is None or time < row["valid_to"])
        }

    assert at(NOW + 5) == {"a": True, "b": None, "c": None}
    assert at(NOW + 15) == {"a": True, "b": False}


def test_a_record_with_odd_letters_and_numbers_is_stored(store: Store) -> None:
    records = {
        "n\ud800\0": Record({"v": float("nan"), "t": "\ud800\0"}, {"comment": "\0\udfff", "x": float("inf")})
    }
    _twice(store, lambda c: ingest.put_configuration(c, OID, "hive/fp", records, NOW), 1)


# Usage, errors, audit, state


def test_usage_grows_and_corrects_itself(store: Store) -> None:
    days = {"2026-01-01": {"sensor_events": 5, "peak_sensors": 2, "odd": None}, "not a day": {"x": 1}}
    _twice(store, lambda c: ingest.put_usage(c, OID, {"from_cache": True, "usage": days}), 2)
    with store.writing() as connection:
        assert (
            ingest.put_usage(connection, OID, {"2026-01-01": {"sensor_events": 6}, "2026-01-02": {"x": 1}})
            == 2
        )
    found = {(row["day"], row["metric"]): row["value"] for row in _rows(store, models.Usage)}
    assert found == {
        ("2026-01-01", "sensor_events"): 6.0, ("2026-01-01", "peak_sensors"): 2.0, ("2026-01-02", "x"): 1.0
    }  # fmt: skip


def test_errors_that_ended_are_gone(store: Store) -> None:
    errors = [
        {"component": "outputs/siem", "error": "refused", "ts": 1_767_225_600},
        {"component": "x", "error": "y"},
    ]
    _twice(store, lambda c: ingest.put_errors(c, OID, errors), 2)
    with store.writing() as connection:
        assert ingest.put_errors(connection, OID, errors[:1]) == 1
    assert [row["component"] for row in _rows(store, models.OrganizationError)] == ["outputs/siem"]


def test_an_audit_entry_is_known_by_its_content(store: Store) -> None:
    entries = [
        {
            "ts": "2026-01-01 00:00:00",
            "etype": "hive_set",
            "ident": "dana",
            "msg": "m",
            "mtd": {"a": "\ud800"},
        },
        {"time": 1_767_225_600_123, "etype": "api_call", "origin": "cli"},
        {"time": 1_767_225_600, "etype": "odd"},
    ]
    _twice(store, lambda c: len(ingest.put_audit(c, OID, [*entries, entries[0]])), 3)
    found = {row["kind"]: (row["time"], row["actor"]) for row in _rows(store, models.AuditEntry)}
    assert found == {
        "hive_set": (1_767_225_600_000, "dana"),
        "api_call": (1_767_225_600_123, "cli"),
        "odd": (1_767_225_600_000, ""),
    }


def test_the_state_of_a_subject_keeps_what_it_is_not_told(store: Store) -> None:
    with store.writing() as connection:
        assert ingest.sync_state(connection, OID, "detections") is None
        ingest.put_sync_state(connection, OID, "detections", cursor="c", mark=5, attempted_at=NOW)
        ingest.put_sync_state(
            connection, OID, "detections", attempted_at=NOW + 1, failure="auth", reason="no"
        )
        failed = ingest.sync_state(connection, OID, "detections")
        ingest.put_sync_state(connection, OID, "detections", cursor="", checked_at=NOW + 2)
        done = ingest.sync_state(connection, OID, "detections")
        ingest.put_sync_state(connection, OID, "detections", cursor="")
        assert ingest.sync_states(connection, "detections") == {OID: done}
    assert failed == ingest.State(OID, "detections", "c", 5, "", None, NOW + 1, "auth", "no")
    assert done == ingest.State(OID, "detections", "", 5, "", NOW + 2, NOW + 1, "", "", first_at=NOW + 2)


def test_a_run_leaves_signs_of_life_and_an_end(store: Store) -> None:
    with store.writing() as connection:
        run = ingest.begin_run(connection, now=NOW)
        ingest.touch_run(connection, run, now=NOW + 1, done=1, organizations=2, note="reading")
        ingest.end_run(
            connection, run, now=NOW + 2, failed=[{"oid": "a", "reason": "r"}], done=2, note="done"
        )
    [row] = _rows(store, models.SyncRun)
    assert (row["started_at"], row["seen_at"], row["finished_at"]) == (NOW, NOW + 2, NOW + 2)
    assert (row["organizations"], row["done"], row["failed"]) == (2, 2, [{"oid": "a", "reason": "r"}])


# Text


@given(st.text(st.characters()))
def test_every_text_is_storable_and_good_text_is_left_alone(text: str) -> None:
    kept = storable(text)
    assert "\0" not in kept
    kept.encode()
    if "\0" not in text and not any(0xD800 <= ord(letter) < 0xE000 for letter in text):
        assert kept == text
