"""What no argument of any command takes: numbers that nothing holds, texts that are empty or no text."""

import re

import pytest

from console.__main__ import main
from console.commands.parser import LARGEST, number, whole
from tests.helpers.verbs import arguments, leaves, line, refused, takes_numbers

OID = "00000001-0000-4000-8000-000000000000"
EACH = [(path, parser, action) for path, parser in leaves() for action in arguments(parser)]
NUMBERS = [each for each in EACH if takes_numbers(each[2])]


def test_there_is_something_to_walk():
    assert len(NUMBERS) > 50
    assert len(EACH) > 400


def test_a_number_that_the_store_cannot_hold_is_refused_as_it_is_read():
    for each in NUMBERS:
        for word in ("9" * 40, "-" + "9" * 40):
            said = refused(line(*each, word))
            assert re.fullmatch(r"\S+: -?9{38,40}(\.\.)? is too (large|small); it takes .*", said), said


def test_a_number_that_is_none_is_refused():
    for each in NUMBERS:
        for word in ("nan", "inf", "9" * 5_000, "1e999", "four"):
            refused(line(*each, word))


@pytest.mark.parametrize("word", [str(LARGEST), str(-LARGEST - 1), "0"])
def test_the_largest_and_the_smallest_number_are_no_crash_anywhere(word, filled, limegrove):
    for path, parser, action in NUMBERS:
        if path[0] in ("demo", "sandbox"):
            continue
        argv = line(path, parser, action, word)
        answer = limegrove("--offline", *argv)
        assert "unforeseen" not in answer.err, argv


@pytest.mark.parametrize("word", ["", "  "])
def test_nothing_takes_an_empty_text(word):
    for path, parser, action in EACH:
        assert "cannot be empty" in refused(line(path, parser, action, word))


def test_bytes_that_are_no_text_are_refused_before_anything_is_done():
    for each in EACH:
        assert r"x\udcff` is no valid text: it is not UTF-8." in refused(line(*each, "x\udcff"))


def test_bytes_that_are_no_text_leave_nothing_behind(filled, limegrove):
    for words in (
        ("show", "\udcff"),
        ("tag", "detection-1", "--add", "\udcff"),
        ("note", "x\udcff", "--text", "a"),
    ):
        answer = limegrove("alert", *words)
        assert (answer.code, answer.out) == (2, "")
    assert limegrove("case", "create", "--organization", OID, "--summary", "\udcff").code == 2
    assert limegrove("--offline", "case", "list").json == []
    assert not (filled / "crashes").exists()


@pytest.mark.parametrize(
    "argv",
    [
        ["--scope", "", "org", "list"],
        ["--env=", "org", "list"],
        ["alert", "fold-key", "--fields", ""],
        ["alert", "close", "--all", "--as", "pending", "--filter", ""],
        ["case", "export", f"{OID}/1", "--markdown", ""],
        ["sync", "--only", ""],
    ],
)
def test_an_empty_option_is_not_taken_for_one_that_was_not_given(argv):
    assert "cannot be empty; give a value, or leave it out." in refused(argv)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["sync", "--watch", "--interval", "0"], "--interval: 0 is too small; it takes numbers above 0."),
        (["sync", "--watch", "--interval", "-5"], "--interval: -5 is too small; it takes numbers above 0."),
        (["demo", "--once", "--live-rate", "-1"], "--live-rate: -1 is too small; it takes whole numbers from 0 on."),
        (["demo", "--once", "--orgs", "0"], "--orgs: 0 is too small; it takes whole numbers from 1 on."),
        (["alert", "fp", "x", "--days", "4000"], "--days: 4000 is too large; it takes whole numbers up to 3650."),
    ],
)  # fmt: skip
def test_a_number_out_of_bounds_is_told_which_there_are(argv, said):
    assert refused(argv).startswith(said)


@pytest.mark.parametrize(
    "argv",
    [
        ("alert", "list", "--since", "-5d"),
        ("access", "matrix", "--org", OID, "--at", "-5d"),
        ("--offline", "case", "time", f"{OID}/L1", "-5m"),
        ("sync", "--since", "-7d"),
    ],
)
def test_a_time_below_nothing_cannot_be_negative(argv, filled, limegrove):
    limegrove("--offline", "case", "create", "--organization", OID, "--summary", "x")
    answer = limegrove(*argv)

    assert answer.code == 2
    assert "cannot be negative" in answer.err


def test_an_option_that_is_unknown_is_still_no_value(capsys):
    assert main(["alert", "list", "--since", "-x"]) == 2
    assert "expected one argument" in capsys.readouterr().err


def test_bounds_hold_what_they_name():
    assert [whole(1, 3)(each) for each in ("1", "3")] == [1, 3]
    assert number(0, 2)("1.5") == 1.5
