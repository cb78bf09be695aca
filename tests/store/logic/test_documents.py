"""Rule files in each of the shapes that are met, and a rule's own tests."""

from typing import Any

import pytest

from store.logic.documents import Found, rules_of, run_tests

NODE = {"op": "is", "path": "event/A", "value": "x"}
RULE = {"detect": NODE, "respond": [{"action": "report", "name": "r"}]}


def event(value: str, kind: str = "NEW_PROCESS") -> dict[str, Any]:
    return {"event": {"A": value}, "routing": {"event_type": kind}}


@pytest.mark.parametrize(
    ("loaded", "names", "kinds"),
    [
        (RULE, [""], ["dr"]),
        (NODE, [""], ["dr"]),
        ({"data": RULE, "usr_mtd": {"enabled": True}}, [""], ["dr"]),
        ({"data": NODE, "usr_mtd": {"enabled": True}}, [""], ["fp"]),
        (
            {"version": 3, "hives": {"dr-general": {"a": {"data": RULE}}, "fp": {"b": {"data": NODE}}}},
            ["a", "b"],
            ["dr", "fp"],
        ),
        ({"rules": {"old": {"namespace": "general", **RULE}}}, ["old"], ["dr"]),
        ({"rules": [{"name": "listed", **RULE}]}, ["listed"], ["dr"]),
        ([{"name": "one", **RULE}, {"name": "two", **RULE}], ["one", "two"], ["dr", "dr"]),
        ({"fps": {"f": {"data": NODE}, "g": {"detect": NODE}}}, ["f", "g"], ["fp", "fp"]),
        ({"Rules": {"lost": RULE}, "also lost": RULE}, ["lost", "also lost"], ["dr", "dr"]),
        ({"version": 3, "outputs": {}}, [], []),
        ("text", [], []),
        (None, [], []),
    ],
)
def test_every_shape_gives_its_rules(loaded, names, kinds):
    found = rules_of(loaded)
    assert [one.name for one in found] == names
    assert [one.kind for one in found] == kinds
    assert all(run_tests(one).outcome == "0 tests" for one in found)


@pytest.mark.parametrize(
    ("loaded", "about"),
    [
        (NODE, "wrap it in a rule"),
        ({"rules": {"old": RULE}}, "legacy"),
        ({"Rules": {"lost": RULE}}, "no section"),
        ({"lost": RULE}, "stands at the top of the file"),
    ],
)
def test_what_is_odd_about_a_shape_is_said(loaded, about):
    [found] = rules_of(loaded)
    assert any(about in warning for warning in run_tests(found).warnings)


def report_of(tests: Any, **detect: Any) -> Any:
    return run_tests(Found("r", "dr", {"detect": NODE | {"event": "NEW_PROCESS"} | detect, "tests": tests}))


def test_a_test_passes_when_one_of_its_events_matches():
    report = report_of({"match": [[event("z"), event("x")]], "non_match": [[event("z")]]})
    assert report.outcome == "pass"
    assert [(test.list, test.number, test.outcome) for test in report.tests] == [
        ("match", 1, "pass"),
        ("non_match", 1, "pass"),
    ]


@pytest.mark.parametrize(
    ("tests", "outcome", "about"),
    [
        ({"match": [[event("x")], [event("z")]]}, "fail", "match test 2: no event matched"),
        ({"non_match": [[event("x")]]}, "fail", "non_match test 1: an event matched"),
        ({"match": [[event("x", "DNS_REQUEST")]]}, "error", "'DNS_REQUEST', expected NEW_PROCESS"),
        ({"non_match": [[event("x", "DNS_REQUEST")]]}, "pass", ""),
        ({"match": [], "non_match": []}, "0 tests", ""),
        ({"match": None}, "0 tests", ""),
        ({"match": [[event("x")]], "not_match": []}, "refused", "it is written `non_match`"),
        ({"match": [event("x")]}, "refused", "test 1 has to be a list of events"),
        ([], "refused", "has to be an object"),
        ({"match": {"0": []}}, "refused", "has to be a list of tests"),
    ],
)
def test_each_outcome(tests, outcome, about):
    report = report_of(tests)
    assert report.outcome == outcome
    assert about in report.why


def test_what_is_open_is_neither_passed_nor_failed():
    report = report_of({"match": [[event("x")]]}, value="[[known]]")
    assert report.outcome == "not evaluated"
    assert "variable" in report.why


def test_a_failed_test_outweighs_one_that_was_not_evaluated():
    rule = {
        "op": "and",
        "rules": [{"op": "is", "path": "event/A", "value": "x"}, {"op": "is tagged", "tag": "t"}],
    }
    report = run_tests(
        Found("r", "dr", {"detect": rule, "tests": {"match": [[event("x")], [event("other")]]}})
    )
    assert [test.outcome for test in report.tests] == ["not evaluated", "fail"]
    assert report.outcome == "fail"


def test_a_stateful_rule_with_tests_is_refused_and_without_them_is_not():
    child = {"with child": NODE}
    assert report_of({"match": [[event("x")]]}, **child).outcome == "refused"
    assert report_of({}, **child).outcome == "0 tests"


def test_asking_a_model_in_a_test_is_an_error_unless_something_decided_before():
    rule = {"op": "and", "rules": [NODE, {"op": "ask ai", "prompt": "?"}]}
    tests = {"match": [[event("x")]], "non_match": [[event("z")]]}
    report = run_tests(Found("r", "dr", {"detect": rule, "tests": tests}))
    assert [test.outcome for test in report.tests] == ["error", "pass"]


def test_an_invalid_rule_is_refused():
    assert report_of({"match": [[event("x")]]}, op="regex").why.startswith("invalid rule: detect: unknown")
    assert run_tests(Found("r", "dr", "text")).outcome == "refused"
