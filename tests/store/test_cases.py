"""The words of cases: filters, steps, whom a text names; on no store at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.alerts import STATUSES, TRANSITIONS, FilterError
from store.cases import (
    CaseFilter,
    differing,
    names_others,
    not_a_step,
    overlaid,
    parse_case_filter,
    reference,
    steps,
    why_not_entity,
    with_tags,
)

ACME = "7e41aaaa-1a2b-4c3d-8e9f-001122334455"
OTHERS = {
    "11111111-1a2b-4c3d-8e9f-001122334455": "Borealis Foods Ltd",
    "22222222-1a2b-4c3d-8e9f-001122334455": "Église Saint-Roch",
    "33333333-1a2b-4c3d-8e9f-001122334455": "Lotus Clinic Pte Ltd",
    "44444444-1a2b-4c3d-8e9f-001122334455": "Elbtal Transit S.p.A.",
    "55555555-1a2b-4c3d-8e9f-001122334455": "Acme",
    "66666666-1a2b-4c3d-8e9f-001122334455": "AG",
}
BOREALIS, EGLISE, LOTUS, ELBTAL, SHORT, _ = OTHERS


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Nothing about anybody.", []),
        ("Same mail as at Borealis Foods Ltd.", [BOREALIS]),
        ("the same as at BOREALIS   FOODS's mail server", [BOREALIS]),
        ("borealis-foods-dc01 was hit first", [BOREALIS]),
        ("eglise saint roch has it too", [EGLISE]),
        ("E\u0301glise Saint\u2011Roch", [EGLISE]),
        ("Lotus Clinic saw it yesterday, and Elbtal Transit today", [LOTUS, ELBTAL]),
        ("organization 11111111-1a2b-4c3d-8e9f-001122334455", [BOREALIS]),
        ("see 22222222 for the same hash", [EGLISE]),
        ("Acme Dental has it", []),
        ("Acme has it", [SHORT]),
        ("At Acme Dental and at Acme", [SHORT]),
        ("the lotus clinics are many", []),
        ("Foods from Borealis", []),
    ],
)
def test_a_text_for_one_customer_names_no_other(text: str, named: list[str]) -> None:
    assert names_others(text, OTHERS, own="Acme Dental Ltd") == named


@given(st.text(max_size=400))
def test_whatever_is_written_can_be_looked_at(text: str) -> None:
    assert names_others(text, OTHERS, own=text) is not None


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_name_in_a_text_is_found_wherever_it_stands(before: str, after: str) -> None:
    assert BOREALIS in names_others(f"{before} Borealis Foods {after}", OTHERS)


def test_a_filter_line_says_which_cases() -> None:
    assert parse_case_filter("") == CaseFilter()
    assert parse_case_filter(
        'sev:high status:any class:fp who:"ann b" org:acme oid:x tag:vip is:conflict #12 phishing', scope="n"
    ) == CaseFilter(
        scope="n", severity=3, statuses=(0, 1, 2, 3), classification=2, assignee="ann b", organization="acme",
        oid="x", tag="vip", only="conflict", number=12, words=("phishing",),
    )  # fmt: skip
    assert parse_case_filter("status:new,closed").statuses == (0, 3)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("sev:worst", "is not a severity"),
        ("status:gone", "is not a status"),
        ("class:maybe", "is not a classification"),
        ("is:odd", "is not something to see alone"),
        ("host:x", "is not a column"),
        ("who:", "needs a value"),
        ('"open', "the quote is not closed"),
    ],
)
def test_a_filter_that_means_nothing_says_why(line: str, why: str) -> None:
    with pytest.raises(FilterError, match=why):
        parse_case_filter(line)


def test_a_way_from_one_status_to_another_takes_only_steps_that_cases_take() -> None:
    for one in STATUSES:
        for other in STATUSES:
            way = steps(one, other)
            if way is None:
                assert other == "new"
                continue
            here = one
            for step in way:
                assert step in TRANSITIONS[here]
                here = step
            assert here == other
    assert steps("new", "resolved") == ("in_progress", "resolved")
    assert steps("closed", "new") is None


def test_a_step_that_is_none_says_what_would_be() -> None:
    assert not_a_step("new", "closed") == ""
    assert not_a_step("new", "new") == ""
    assert not_a_step("resolved", "in_progress") == (
        "A case that is resolved can become closed, not in_progress."
    )


def test_tags_are_added_and_taken_away_without_regard_to_case() -> None:
    assert with_tags(["VIP", "mail"], ["vip", "new"], ["MAIL"]) == ["VIP", "new"]


def test_what_waits_is_laid_over_what_is_there() -> None:
    fields = {"status": "new", "tags": ["a"], "summary": "s"}
    edits = [
        ("update", {"status": "in_progress"}), ("note", {"content": "x"}), ("tags", {"add": ["b"], "remove": ["a"]}),
    ]  # fmt: skip
    assert overlaid(fields, edits) == {"status": "in_progress", "tags": ["b"], "summary": "s"}
    assert fields["tags"] == ["a"]


def test_the_same_in_another_order_is_no_difference() -> None:
    assert differing({"assignees": ["a", "b"]}, {"assignees": ["b", "a"]}) == {}
    assert differing({"summary": ""}, {"summary": None}) == {}
    assert differing({"status": "new"}, {"status": "closed"}) == {"status": ("new", "closed")}


def test_a_case_is_called_by_its_number() -> None:
    assert (reference("", 12), reference("Acme", 12), reference("", -3)) == ("#12", "Acme #12", "L3")


@pytest.mark.parametrize(
    ("kind", "value", "about"),
    [
        ("ip", "203.0.113.25", ""),
        ("ip", " 2001:db8::1 ", ""),
        ("ip", "bad ip", "no IP address"),
        ("ip", "203.0.113.256", "no IP address"),
        ("ip", "evil.example", "no IP address"),
        ("domain", "evil.example", ""),
        ("domain", "evil example", "without spaces"),
        ("hash", "9f86d081", ""),
        ("url", "https://evil.example/a b", "without spaces"),
        ("email", "dana@provider.example", ""),
        ("email", "dana", "has an @"),
        ("user", "ACME\\svc backup", ""),
        ("other", "bad ip", ""),
    ],
)
def test_a_value_is_of_its_type_or_one_sentence_says_why_not(kind, value, about):
    said = why_not_entity(kind, value)
    assert about in said if about else said == ""
