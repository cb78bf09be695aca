"""A record put into a file that people write, and nothing else changed."""

import pytest
import yaml

from store.templatefile import TemplateError, dumped, with_record
from store.yaml import load

RECORD = {
    "data": {"op": "is", "path": "cat", "value": "Odd: shell # one"},
    "usr_mtd": {"enabled": True, "expiry": 5, "tags": ["x"], "comment": "Review by 2026-12-01."},
}

FILES = [
    "",
    "version: 3\n",
    "version: 3",
    "# mine\nversion: 3\noutputs: # kept\n  siem: {module: syslog}\n",
    "version: 3\nhives:\n  # rules of ours\n  dr-general:\n    a: {data: {}}   # first\n# the end\n",
    "version: 3\nhives:\n    fp:\n        old: # since 2024\n            data: {op: exists, path: cat}\nextensions: [ext-a]\n",
    "hives:\n  fp:\n    'quoted name':\n      data:\n        op: exists\nversion: 3 # last\n",
    'version: 3\nhives:\n  fp:\n    "a b": {data: {op: is, path: cat, value: x}}\n',
]


@pytest.mark.parametrize("text", FILES)
def test_everything_else_stays_as_it_was_comments_too(text):
    written = with_record(text, "fp", "new one", RECORD)
    before = yaml.safe_load(text) or {"version": 3}
    after = load(written.text).value
    assert after["hives"]["fp"].pop("new one") == RECORD
    if not after["hives"]["fp"]:
        del after["hives"]["fp"]
    if not after["hives"]:
        del after["hives"]
    assert after == before
    assert (written.changed, written.comments_kept, written.replaced) == (True, True, False)
    for line in text.splitlines():
        assert line in written.text.splitlines()


def test_the_same_again_changes_nothing():
    once = with_record(FILES[3], "fp", "new", RECORD)
    assert with_record(once.text, "fp", "new", RECORD) == type(once)(once.text, True, False, False)


def test_another_record_of_that_name_is_replaced_only_when_asked_for():
    text = with_record("version: 3\n", "fp", "new", RECORD).text
    other = RECORD | {"data": {"op": "exists", "path": "detect/event/A"}}
    with pytest.raises(TemplateError, match="already"):
        with_record(text, "fp", "new", other)
    written = with_record(text, "fp", "new", other, replace=True)
    assert load(written.text).value["hives"]["fp"]["new"] == other
    assert (written.replaced, written.comments_kept) == (True, True)


@pytest.mark.parametrize(
    "text",
    ["version: 3 # x\nhives: {fp: {a: {data: {}}}}\n", "version: 3 # x\nhives:\n", "{version: 3} # x\n"],
)
def test_comments_are_lost_only_when_that_is_allowed(text):
    with pytest.raises(TemplateError, match="comments would be lost"):
        with_record(text, "fp", "new", RECORD)
    written = with_record(text, "fp", "new", RECORD, rewrite=True)
    assert not written.comments_kept
    assert load(written.text).value["hives"]["fp"]["new"] == RECORD


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("[", "not read as YAML"),
        ("- a\n", "no infrastructure document"),
        ("detect: {}\n", "no `version:`"),
        ("version: 4\n", "version 4"),
        ("version: 3\nhives: []\n", "has to be a mapping"),
        ("version: 3\nhives: {fp: [1]}\n", "has to be a mapping"),
    ],
)
def test_what_is_no_document_is_refused(text, about):
    with pytest.raises(TemplateError, match=about):
        with_record(text, "fp", "new", RECORD)


@pytest.mark.parametrize(
    "value", ["no", "010", "12:30:45", "é", "\x1b[2J", "a\nb", "\u202eabc", "", " x ", "*a", "@b"]
)
def test_texts_read_back_as_they_were(value):
    assert (
        yaml.safe_load(dumped({"value": value, value: 1})) == {"value": value, value: 1} or value == "value"
    )
    assert "\x1b" not in dumped({"v": value})
    assert "\u202e" not in dumped({"v": value})
