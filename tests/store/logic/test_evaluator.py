"""Detection logic: the vectors of this project, and what holds for every rule and every event."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.logic import InvalidRule, compile_rule
from store.logic.evaluator import OPERATORS, Run
from store.logic.paths import values_at
from store.logic.patterns import BadPattern, expression, searching

VECTORS = [
    json.loads(line) for line in Path(__file__).with_name("vectors.jsonl").read_text("utf-8").splitlines()
]


def answer(vector: dict[str, Any]) -> tuple[Any, str]:
    try:
        result = compile_rule(vector["rule"]["detect"], kind=vector["kind"]).evaluate(vector["event"])
    except InvalidRule as problem:
        return "not_evaluated", f"invalid rule: {problem}"
    return ("not_evaluated" if result.value is None else result.value), result.why


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_each_vector_is_answered_as_documented(vector):
    value, why = answer(vector)
    assert value is vector["result"] or (value == vector["result"] == "not_evaluated"), why
    assert why or value != "not_evaluated"
    assert why.startswith("invalid rule: ") is vector.get("invalid", False)


def test_the_vectors_cover_every_operator_with_both_answers_and_every_target():
    def nodes(node):
        if isinstance(node, dict):
            yield node
            for value in node.values():
                yield from nodes(value)
        elif isinstance(node, list):
            for value in node:
                yield from nodes(value)

    seen: dict[str, set[Any]] = {}
    parameters: set[str] = set()
    for vector in VECTORS:
        for node in nodes(vector["rule"]):
            if isinstance(node.get("op"), str):
                seen.setdefault(node["op"], set()).add(vector["result"])
                parameters |= set(node)
    only_in_the_cloud = {"external", "yara", "ask ai", "is net"}
    for name in OPERATORS:
        wanted = {"not_evaluated"} if name in only_in_the_cloud else {True, False}
        assert wanted <= seen[name], name
    assert {
        "not", "case sensitive", "file name", "sub domain", "length of", "truthy", "count", "within",
        "report latest event", "is stateless", "times", "metadata_rules", "event", "events", "target",
        "with child", "with descendant", "with events", "max", "tag", "seconds", "cidr", "re", "rule",
    } <= parameters  # fmt: skip
    assert len(VECTORS) >= 200


# What holds for everything

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
EVENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
KEYS = st.sampled_from(["A", "B", "L", "routing", "event", "cat", "?", "*", "[0]", ""])
PATHS = st.lists(KEYS, max_size=4).map("/".join)
WORDS = st.sampled_from(
    ["x", "X", "", "10.0.0.1", "<<event/B>>", "[[v]]", "{{ .a }}", "\u017f", "7", "(", "a+", "-1", ":", "0:2"]
)
ANYTHING = WORDS | SCALARS | st.lists(WORDS, max_size=2)


@st.composite
def shaped_events(draw):
    inner = st.recursive(
        SCALARS | WORDS,
        lambda below: (
            st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("ABL"), below, max_size=3)
        ),
        max_leaves=12,
    )
    routing = st.fixed_dictionaries(
        {},
        optional={
            "event_type": WORDS, "plat": st.sampled_from([0x10000000, 1, "x"]), "arch": st.integers(0, 5),
            "tags": st.lists(WORDS, max_size=2), "ext_plat": st.just(0x20000000),
        },
    )  # fmt: skip
    return {"event": draw(inner), "routing": draw(routing), "cat": draw(WORDS)}


def leaves():
    return st.fixed_dictionaries(
        {"op": st.sampled_from([name for name in OPERATORS if name not in ("and", "or", "scope", "lookup")])},
        optional={
            "path": PATHS, "value": ANYTHING, "re": WORDS, "cidr": st.just("10.0.0.0/8"), "tag": WORDS,
            "name": st.sampled_from(["windows", "linux"]), "max": st.integers(0, 3), "count": st.integers(0, 3),
            "seconds": st.integers(0, 100), "not": st.booleans(), "case sensitive": st.booleans(),
            "file name": st.booleans(), "sub domain": WORDS, "length of": st.booleans(),
            "truthy": st.booleans(), "event": WORDS, "times": st.just([]), "resource": WORDS,
        },
    )  # fmt: skip


RULES = st.recursive(
    leaves(),
    lambda inner: (
        st.fixed_dictionaries(
            {"op": st.sampled_from(["and", "or"]), "rules": st.lists(inner, max_size=3)},
            optional={"not": st.booleans()},
        )
        | st.fixed_dictionaries({"op": st.just("scope"), "path": PATHS, "rule": inner})
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(
    rule=EVENTS | RULES,
    event=EVENTS | shaped_events(),
    kind=st.sampled_from(["dr", "fp"]),
    wary=st.booleans(),
)
def test_no_rule_and_no_event_makes_it_raise_anything_else(rule, event, kind, wary):
    try:
        compiled = compile_rule(rule, kind=kind, wary=wary)
    except InvalidRule:
        return
    result = compiled.evaluate(event, now=0)
    assert result.value in (True, False, None)
    assert result.why or result.value is not None


def compiled_or_none(rule):
    try:
        return compile_rule(rule)
    except InvalidRule:
        return None


@settings(max_examples=400, deadline=None)
@given(rule=RULES, event=shaped_events())
def test_not_inverts_what_is_known_and_keeps_what_is_open(rule, event):
    rule = {key: value for key, value in rule.items() if key not in ("event", "times")} | {"not": False}
    plain, inverted = compiled_or_none(rule), compiled_or_none(rule | {"not": True})
    assert (plain is None) is (inverted is None)
    if plain is not None and inverted is not None:
        before, after = plain.evaluate(event, now=0).value, inverted.evaluate(event, now=0).value
        assert after is (None if before is None else not before)


@settings(max_examples=300, deadline=None)
@given(
    rules=st.lists(leaves(), min_size=2, max_size=4),
    event=shaped_events(),
    data=st.data(),
    op=st.sampled_from(["and", "or"]),
)
def test_the_order_of_conditions_does_not_matter(rules, event, data, op):
    rules = [rule for rule in rules if compiled_or_none(rule) is not None]
    shuffled = data.draw(st.permutations(rules))
    first, second = (compile_rule({"op": op, "rules": one}) for one in (rules, shuffled))
    assert first.evaluate(event, now=0).value is second.evaluate(event, now=0).value


@settings(max_examples=300, deadline=None)
@given(rule=RULES, event=shaped_events())
def test_what_a_wary_rule_answers_is_what_the_rule_answers(rule, event):
    plain = compiled_or_none(rule)
    if plain is not None:
        value = compile_rule(rule, wary=True).evaluate(event, now=0).value
        assert value is None or value is plain.evaluate(event, now=0).value


@settings(max_examples=200, deadline=None)
@given(rule=RULES, event=shaped_events())
def test_counting_changes_no_answer(rule, event):
    plain = compiled_or_none(rule)
    if plain is not None:
        run = Run(event, 0, trace=[])
        assert compile_rule(rule, observed=True).run(run) is plain.evaluate(event, now=0).value
        assert run.evaluations == len(run.trace or [])


# What is said


@pytest.mark.parametrize(
    ("rule", "kind", "about"),
    [
        ({"op": "and", "rules": [{"op": "exists", "path": "/"}, {"op": "regex"}]}, "dr", "detect/rules/1"),
        ({"op": "regex"}, "dr", "it is `matches`"),
        ({"op": "contain", "path": "a", "value": "x"}, "dr", "did you mean 'contains'?"),
        ({"op": "not", "rules": []}, "dr", "`not: true` beside any operator"),
        ({"op": "cidr", "path": "a", "value": "10.0.0.0/8"}, "dr", "needs 'cidr', not 'value'"),
        ({"detection": {"op": "is"}}, "fp", "the condition itself, without 'detection' around it"),
        ({"detect": {"op": "is"}}, "dr", "the condition is inside of 'detect'"),
        ({"target": "adapter", "op": "exists", "path": "/"}, "dr", "unknown target 'adapter'"),
        ({"op": "exists", "path": 7}, "dr", "'path' has to be text"),
        ({"op": "is greater than", "path": "a", "value": "much"}, "dr", "'value' has to be a number"),
    ],
)
def test_an_invalid_rule_says_where_and_what_to_do(rule, kind, about):
    with pytest.raises(InvalidRule) as refused:
        compile_rule(rule, kind=kind)
    assert about in str(refused.value)


@pytest.mark.parametrize(
    ("rule", "kind", "about"),
    [
        ({"op": "is", "path": "event/A", "value": "x", "case_sensitive": False}, "dr", "'case sensitive'"),
        ({"op": "is", "path": "event/A", "value": "x*"}, "dr", "ordinary letter"),
        ({"op": "is", "path": "event/EVENT/System/EventID", "value": 1}, "dr", "quote 1"),
        ({"op": "is", "path": "event/A", "value": "x"}, "fp", "detect/event"),
        ({"op": "is", "path": "cat", "value": "x", "event": "x"}, "fp", "a selector of events"),
        ({"op": "is platform", "name": "Windows"}, "dr", "lower case: 'windows'"),
    ],
)
def test_what_was_probably_meant_otherwise_is_a_warning(rule, kind, about):
    assert any(about in warning for warning in compile_rule(rule, kind=kind).warnings)


def test_the_clock_and_the_age_of_tags_are_named_beside_a_definite_answer():
    older = compile_rule({"op": "is older than", "path": "event/t", "seconds": 10})
    assert older.evaluate({"event": {"t": 0}}, now=1_700_000_000).why == (
        "compared with the clock 2023-11-14T22:13:20Z"
    )
    tagged = compile_rule({"op": "is tagged", "tag": "x"})
    assert tagged.evaluate({"routing": {"tags": ["x"]}}).why == "tags are as of the event"


def test_a_reason_that_did_not_matter_is_not_told():
    rule = {"op": "or", "rules": [{"op": "is net"}, {"op": "is", "path": "event/A", "value": "x"}]}
    assert compile_rule(rule).evaluate({"event": {"A": "x"}}).why == ""
    assert compile_rule(rule).evaluate({"event": {"A": "y"}}).why.startswith("detect/rules/0: 'is net'")


def test_lookups_that_are_given_are_asked():
    rule = {
        "op": "lookup", "path": "event/D", "resource": "hive://lookup/bad", "case sensitive": False,
        "metadata_rules": {"op": "is", "path": "kind", "value": "c2"},
    }  # fmt: skip
    held = compile_rule(rule, lookups={"bad": {"evil.test": {"kind": "c2"}, "mild.test": {"kind": "ad"}}})
    assert held.evaluate({"event": {"D": "EVIL.test"}}).value is True
    assert held.evaluate({"event": {"D": "mild.test"}}).value is False
    assert held.evaluate({"event": {"D": "good.test"}}).value is False
    assert compile_rule(rule).lookups == ("bad",)


def test_an_event_of_any_depth_is_walked():
    deep: Any = "leaf"
    for _ in range(5000):
        deep = {"a": [deep]}
    assert (
        compile_rule({"op": "is", "path": "event/*", "value": "leaf"}).evaluate({"event": deep}).value is True
    )


def test_two_stars_take_time_in_proportion():
    wide: Any = "leaf"
    for _ in range(200):
        wide = {"a": wide, "b": {"a": 1}}
    assert len(values_at({"event": wide}, "event/*/a/*/b/*/a")) > 0


def test_rules_nested_beyond_reason_are_refused():
    rule: Any = {"op": "exists", "path": "/"}
    for _ in range(300):
        rule = {"op": "and", "rules": [rule]}
    with pytest.raises(InvalidRule, match="nested"):
        compile_rule(rule)


def test_an_expression_that_would_hang_another_engine_is_searched_at_once():
    assert searching("(a+)+$", False)("a" * 50_000 + "b") is False


def test_a_lone_surrogate_is_searched_like_any_letter():
    assert searching("^.x$", True)("\ud800x") is True


def test_what_is_quoted_in_an_expression_stands_for_itself():
    assert searching(r"\QC:\Common\E.*\.exe", True)("C:\\Common\\x.exe") is True
    assert searching(r"\QC:\Common", True)("C:\\Common") is True
    with pytest.raises(BadPattern, match=r"\\C"):
        searching(r"\Qa\E\C", True)


def test_groups_of_an_expression_are_reached():
    assert expression(r"(?P<user>\w+)@", True).search("bob@x")["user"] == "bob"
    with pytest.raises(BadPattern, match="look-ahead"):
        expression("a(?=b)", True)


def test_evaluating_is_fast_enough_for_previews():
    import time

    raw = orjson.dumps(
        {"cat": "Odd shell", "routing": {"hostname": "b-3"}, "detect": {"event": {"CMD": "x" * 1500}}}
    )
    rule = compile_rule(
        {
            "op": "and",
            "rules": [
                {"op": "is", "path": "cat", "value": "odd shell", "case sensitive": False},
                {"op": "matches", "path": "detect/event/CMD", "re": "x{3}"},
            ],
        },
        kind="fp",
    )
    began, done = time.process_time(), 5_000
    for _ in range(done):
        assert rule.evaluate(orjson.loads(raw)).value is True
    assert done / (time.process_time() - began) > 20_000
