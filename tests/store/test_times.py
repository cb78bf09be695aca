"""Clocks in words: what is left, or how late it is."""

import pytest

from store.times import clock_left, clock_words

NOW = 1_795_000_000_000
MINUTE = 60_000


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (14 * MINUTE, "0:14"),
        (-11 * MINUTE, "0:11 late"),
        (599 * MINUTE, "9:59"),
        (600 * MINUTE, "10h"),
        (-600 * MINUTE, "10h late"),
        (3 * 1440 * MINUTE, "3d"),
        (-9_999 * 1440 * MINUTE, "999d late"),
        (-1, "<1m late"),
        (0, "<1m"),
    ],
)
def test_a_clock_says_what_is_left_or_how_late_it_is_in_nine_cells(left, words):
    assert clock_words(NOW + left, NOW) == words
    assert len(words) <= 9
    assert "-" not in words


def test_in_a_sentence_it_says_that_it_is_left():
    assert clock_left(NOW + 14 * MINUTE, NOW) == "0:14 left"
    assert clock_left(NOW, NOW) == "<1m left"
    assert clock_left(NOW - 11 * MINUTE, NOW) == "0:11 late"


def test_no_clock_says_nothing():
    assert clock_words(None, NOW) == clock_left(None, NOW) == ""
