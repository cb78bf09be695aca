"""What is said is read whole, and what was typed before it is not lost."""

import pytest
from textual.widgets import Input

from screens.frame import KeyLine
from tests.helpers.screens import Host, still, text_of, until
from tests.screens.test_frame import Names, last_line

LONG = "foo: is not a column; use sev, status, cat, host, rule, org, oid, since, until, who, sla, back, fold."


@pytest.mark.parametrize("size", [(80, 24), (60, 15)])
async def test_a_sentence_that_is_longer_than_the_line_is_read_whole_over_two(filled_store, size):
    host = Host(filled_store, Names)
    async with host.run_test(size=size) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        line = host.view.query_one(KeyLine)
        host.view.tell(LONG, "error")
        await still(pilot)
        assert line.size.height == 2
        assert line.text.strip() == LONG
        assert text_of(host).rstrip("\n").splitlines()[-1].rstrip().endswith("fold.")
        await pilot.press("x")
        await still(pilot)
        assert line.size.height == 1
        assert "x close" in last_line(host)


async def test_a_sentence_takes_three_lines_at_most(filled_store):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        host.view.tell("word " * 200)
        await still(pilot)
        assert host.view.query_one(KeyLine).size.height == 3
        assert text_of(host).rstrip("\n").splitlines()[-1].rstrip().endswith("~")


@pytest.mark.parametrize(
    ("mark", "typed", "said"),
    [
        ("slash", "bad", "bad is not a filter; use good."),
        ("colon", "scrach", "There is no command :scrach. Did you mean :search?"),
        ("colon", "xx", "There is no command :xx. :help lists them"),
        ("colon", "org Nobody", "There is no organization Nobody."),
        ("colon", "pivot", "value"),
    ],
)
async def test_what_was_typed_is_there_again_after_an_error(filled_store, mark, typed, said):
    host = Host(filled_store, Names)
    async with host.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: host.view.look == "full")
        await pilot.press(mark, *("space" if letter == " " else letter for letter in typed), "enter")
        field = host.view.query_one("#command-input", Input)
        await until(pilot, lambda: said in last_line(host) and field.value == typed and field.has_focus)
        await pilot.press("x")
        assert field.value == typed + "x"
        assert said in last_line(host)
        await pilot.press("escape")
        await until(pilot, lambda: not field.has_focus)
        assert host.asked == []
