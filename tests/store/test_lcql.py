"""What a row of a search says, and what a question costs, whatever shape they come in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.lcql import Estimate, Question, Quote, columns_of, money, time_of, words_of

EVENT = {
    "mtd": {"ts": 1_790_000_000_123, "stream": "event"},
    "data": {
        "routing": {"hostname": "web-1", "event_type": "NEW_PROCESS", "event_time": 1},
        "event": {"PROCESS_ID": 4, "COMMAND_LINE": "cmd /c x", "PARENT": {"FILE_PATH": "a.exe"}},
    },
}


def test_an_event_says_its_host_its_type_and_first_its_command_line() -> None:
    words = words_of(EVENT)
    assert (words.host, words.kind, words.time) == ("web-1", "NEW_PROCESS", 1_790_000_000_123)
    assert words.what.startswith("cmd /c x  PROCESS_ID=4")
    assert '"FILE_PATH": "a.exe"' in words.what
    assert columns_of(EVENT) == []


def test_what_a_projection_named_are_columns() -> None:
    row = {"mtd": {"ts": 5_000_000_000}, "data": {"host": "a", "n": 3, "none": None}}
    assert columns_of(row) == ["host", "n", "none"]
    assert words_of(row).cells == {"host": "a", "n": "3", "none": ""}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["data", "mtd", "ts", "routing", "event", "hostname", "COMMAND_LINE", "time", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_no_shape_is_too_odd_to_be_shown(row: Any) -> None:
    words = words_of(row)
    assert isinstance(words.what, str)
    assert time_of(row) is None or isinstance(time_of(row), int)
    assert all(isinstance(name, str) for name in columns_of(row))


@pytest.mark.parametrize(
    ("value", "currency", "shown"),
    [
        (None, "x", "-"),
        (0.0, "USD cents", "0.00 USD cents"),
        (0.0123, "USD", "0.0123 USD"),
        (12.5, "", "12.50"),
    ],
)
def test_a_price_is_said_in_the_clouds_own_currency(value: float | None, currency: str, shown: str) -> None:
    assert money(value, currency) == shown


def test_a_total_names_what_it_lacks_and_does_not_mix_currencies() -> None:
    question = Question("q", 0, 1)
    quotes = (
        Quote("a", "A", 1.5, "USD cents"),
        Quote("b", "B", 2.0, "EUR"),
        Quote("c", "C"),
        Quote("d", "D", error="denied", kind="denied"),
    )
    words = Estimate(question, quotes).words()
    assert words == "about 2.00 EUR and 1.50 USD cents over 2 of 4 organizations, 1 without a price"
    assert Estimate(question, quotes[2:]).words() == "no price is known for any of 1 organizations"
    assert Estimate(question, quotes).mistake == ""
    wrong = (Quote("a", "A", error="bad", kind="invalid"), Quote("d", "D", error="denied", kind="denied"))
    assert Estimate(question, wrong).mistake == "bad"
