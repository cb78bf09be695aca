"""How full a quota is, in whole percent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.quotas import percent_used


@pytest.mark.parametrize(
    ("used", "quota", "percent"),
    [
        (276.0, 248, 111),
        (247.9, 248, 99),
        (248.0, 248, 100),
        (248.1, 248, 101),
        (0.1, 248, 1),
        (0.0, 248, 0),
        (62.0, 248, 25),
        (None, 248, None),
        (3.0, 0, None),
        (3.0, None, None),
    ],
)
def test_a_hundred_percent_is_full_and_neither_less_nor_more(used, quota, percent):
    assert percent_used(used, quota) == percent


@given(st.floats(0, 1e7), st.integers(1, 10**6))
def test_it_is_never_a_percent_away_from_what_it_is_and_on_its_side_of_full(used, quota):
    percent = percent_used(used, quota)
    assert abs(percent - used * 100 / quota) <= 1
    assert (percent < 100, percent > 100) == (used < quota, used > quota)
