"""False positive rules drafted from detections, and what is dangerous about one."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.logic import compile_rule
from store.logic.drafts import draft, name_of, required_name, warnings_of
from tests.helpers.screens import NOW, detection, oid_of


def record(**changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(detection(3, oid_of(0), at=NOW))
    return found | changed


def paths(rule: Any) -> list[str]:
    return [one["path"] for one in rule.get("rules", [rule])]


def test_a_draft_names_the_rule_the_host_and_what_stays_the_same():
    rule = draft(record())
    assert rule is not None
    assert paths(rule) == [
        "cat",
        "detect/event/FILE_PATH",
        "detect/event/PARENT/FILE_PATH",
        "detect/event/USER_NAME",
        "routing/hostname",
    ]
    assert rule["rules"][0] == {"op": "is", "path": "cat", "value": "SSH authorized_keys changed"}
    assert compile_rule(rule, kind="fp").evaluate(record()).value is True
    assert compile_rule(rule, kind="fp").evaluate(record(cat="Other")).value is False
    assert warnings_of(rule) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("FILE_PATH", "C:\\Users\\x\\AppData\\Local\\Temp\\abc.exe"),
        ("FILE_PATH", "/tmp/build/run.sh"),
        ("COMMAND_LINE", "app --id 3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
        ("COMMAND_LINE", "job started 2026-11-24"),
        ("COMMAND_LINE", "powershell -enc " + "QUJD" * 20),
        ("COMMAND_LINE", "x <<event/FILE_PATH>>"),
        ("USER_NAME", "[[admins]]"),
        ("USER_NAME", "{{ .routing.hostname }}"),
        ("USER_NAME", "bob\x1b[2J"),
        ("USER_NAME", "x" * 1000),
    ],
)
def test_what_changes_every_time_or_means_more_than_text_is_left_out(path, value):
    found = record()
    found["detect"]["event"] |= {path: value}
    assert value not in json.dumps(draft(found), ensure_ascii=False)


def test_a_hash_is_taken_only_where_there_is_nothing_better():
    bare = record(detect={"event": {"HASH": "ab" * 32}})
    assert "detect/event/HASH" in paths(draft(bare))
    assert "detect/event/HASH" not in paths(draft(record()))


def test_a_bare_payload_and_an_artifact_are_drafted_from_their_own_root():
    bare = record(detect={"FILE_PATH": "/usr/bin/curl"})
    assert "detect/FILE_PATH" in paths(draft(bare))
    log = record(detect={"Event": {"System": {"Channel": "Security"}}})
    assert "detect/Event/System/Channel" in paths(draft(log))


def test_without_a_name_there_is_no_draft():
    assert draft(record(cat=None)) is None
    assert draft(record(cat="{{ .x }}")) is None
    assert draft({}) is None


def test_names_of_records_are_plain():
    assert name_of({"cat": "Odd \x1b shell/../", "routing": {"hostname": "b-3"}}) == "fp-odd-shell-..-b-3"
    assert name_of({}) == "fp"
    assert len(name_of({"cat": "x" * 500})) <= 80


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["event", "FILE_PATH", "PARENT", "routing", "hostname", "a/b", "*"]), inner
        )
    ),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(cat=st.text(max_size=10), detect=ANY, routing=ANY)
def test_a_draft_always_hides_the_detection_it_was_made_from(cat, detect, routing):
    found = {"cat": cat, "detect": detect, "routing": routing}
    rule = draft(found)
    if rule is not None:
        assert compile_rule(rule, kind="fp").evaluate(found).value is True
        assert required_name(rule) == cat
    assert name_of(found)


@pytest.mark.parametrize(
    ("rule", "about"),
    [
        ({"op": "exists", "path": "/"}, "nearly everything"),
        ({"op": "exists", "path": "detect"}, "nearly everything"),
        ({"op": "is", "not": True, "path": "cat", "value": "x"}, "nearly everything"),
        (
            {"op": "or", "rules": [{"op": "is", "path": "cat", "value": "x"}, {"op": "exists", "path": "/"}]},
            "nearly everything",
        ),
        ({"op": "matches", "path": "cat", "re": ".*"}, "nearly everything"),
        ({"op": "is", "path": "routing/hostname", "value": "x"}, "no condition on `cat`"),
        (
            {
                "op": "and",
                "rules": [
                    {"op": "is", "path": "cat", "value": "x"},
                    {"op": "is", "path": "detect_id", "value": "y"},
                ],
            },
            "another one with every detection",
        ),
        ({"op": "is", "path": "event/A", "value": "x"}, "detect/event"),
    ],
)
def test_what_is_dangerous_about_a_rule_is_said(rule, about):
    assert any(about in warning for warning in warnings_of(rule))


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ({"op": "is", "path": "cat", "value": "x"}, "x"),
        ({"op": "is", "path": "/cat/", "value": "x"}, "x"),
        ({"op": "is", "path": "cat", "value": "x", "not": True}, None),
        ({"op": "is", "path": "cat", "value": "x", "case sensitive": False}, None),
        ({"op": "is", "path": "cat", "value": "<<detect/cat>>"}, None),
        ({"op": "contains", "path": "cat", "value": "x"}, None),
        (
            {
                "op": "and",
                "rules": [{"op": "exists", "path": "detect"}, {"op": "is", "path": "cat", "value": "x"}],
            },
            "x",
        ),
        ({"op": "and", "not": True, "rules": [{"op": "is", "path": "cat", "value": "x"}]}, None),
        ({"op": "or", "rules": [{"op": "is", "path": "cat", "value": "x"}]}, None),
        ("text", None),
    ],
)
def test_the_name_that_a_rule_demands(rule, name):
    assert required_name(rule) == name
