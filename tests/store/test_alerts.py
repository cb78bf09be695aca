"""What a filter line means."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from store.alerts import AlertFilter, FilterError, parse_filter, pivot_line, pivots
from store.bodies import storable
from store.observables import KINDS, folded

NOW = 1_790_000_000_000


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", AlertFilter()),
        ("   ", AlertFilter()),
        ("sev:high", AlertFilter(severity=3)),
        ("SEV:crit", AlertFilter(severity=4)),
        ("severity:medium+", AlertFilter(severity=2)),
        ("host:web cat:powershell rule:x org:acme", AlertFilter(hostname="web", cat="powershell", rule="x", organization="acme")),
        ("status:any", AlertFilter(statuses=(0, 1, 2, 3))),
        ("status:closed,new", AlertFilter(statuses=(0, 3))),
        ("status:in-progress", AlertFilter(statuses=(1,))),
        ("status:open", AlertFilter(statuses=(0, 1))),
        ("since:2h until:30m", AlertFilter(since=NOW - 7_200_000, until=NOW - 1_800_000)),
        ("since:2026-01-31", AlertFilter(since=1_769_817_600_000)),
        ("since:2026-01-31T12:00+02:00", AlertFilter(since=1_769_853_600_000)),
        ("encoded powershell", AlertFilter(words=("encoded", "powershell"))),
        ('"two words" cat:"a b"', AlertFilter(words=("two words",), cat="a b")),
        ("'C:\\x' \"http://x\"", AlertFilter(words=("C:\\x", "http://x"))),
        ("oid:abc", AlertFilter(oid="abc")),
        ("host:a:b", AlertFilter(hostname="a:b")),
        ("tag:benign", AlertFilter(tag="benign")),
        ("who:dana", AlertFilter(who="dana")),
        ("who:none", AlertFilter(who="")),
        ('who:""', AlertFilter(who="")),
        ("assignee:Me", AlertFilter(who="ann")),
        ("snoozed:yes", AlertFilter(snoozed="yes")),
        ("snoozed:ANY", AlertFilter(snoozed="any")),
        ("due:30m order:due", AlertFilter(due=NOW + 1_800_000, order="due")),
        ("due:over", AlertFilter(due=NOW)),
        ("due:2026-01-31", AlertFilter(due=1_769_817_600_000)),
    ],
)  # fmt: skip
def test_a_line_is_read(line: str, expected: AlertFilter) -> None:
    assert parse_filter(line, now=NOW, me="ann") == expected


def test_the_scope_is_passed_through() -> None:
    assert parse_filter("sev:low", scope="eu") == AlertFilter(scope="eu", severity=1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("foo:x", "foo: is not a column"),
        ("C:\\x", "in quotes"),
        ("sev:bad", "info, low, medium, high, critical"),
        ("status:maybe", "in_progress"),
        ("since:yesterday", "is no time"),
        ('"open', "not closed"),
        ("cat:'open", "not closed"),
        ("host:", "right behind the colon"),
        ("who:me", "nobody is at the console"),
        ("snoozed:perhaps", "no, yes, any"),
        ("order:age", "rank, due"),
        ("due:soon", "is no time"),
    ],
)
def test_what_means_nothing_is_said_with_what_is_allowed(line: str, said: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(line)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a" * 64, ("hash",)),
        ("10.0.0.1", ("address",)),
        ("web-1", ("host", "user")),
        ("web-1.acme.example", ("domain", "host", "path", "user")),
        ("ACME\\svc", ("user", "path")),
        ("https://a.test/x?hash=1", ("url",)),
        ("hash=" + "b" * 32, ("hash",)),
        ("User=svc backup", ("user",)),
    ],
)
def test_a_value_without_a_kind_counts_as_whatever_it_may_be(value: str, expected: tuple[str, ...]) -> None:
    found = pivots(value)
    assert tuple(kind for kind, _ in found) == expected
    assert len({text for _, text in found}) == 1


@pytest.mark.parametrize(
    "value", ["", " ", "hash=web-1", "address=300.1.1.1", "user=", "hash=" + "0" * 64, "-"]
)
def test_a_value_that_no_alert_can_have_is_refused(value: str) -> None:
    with pytest.raises(FilterError):
        pivot_line(value)


@given(st.sampled_from(KINDS), st.text(max_size=60).map(storable))
def test_every_value_of_an_alert_makes_a_line_that_asks_for_it(kind: str, value: str) -> None:
    assume(folded(kind, value))
    wanted = parse_filter(pivot_line(value, kind))
    assert wanted.pivot == ((kind, value.strip()),)
    assert wanted.statuses == (0, 1, 2, 3)
    assert wanted.snoozed == "any"
    assert wanted.words == ()
