"""Answers taken apart."""

import base64
import contextlib
import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.limacharlie import answers
from console.limacharlie.errors import Protocol

GOOD = [b'{"detect_id":"a","x":[1,{"y":"}]"}]}', b'{"detect_id":"b", "z" : "\\"" }']
LONE = b'{"detect_id":"c","routing":{"hostname":"evil\\ud800"}}'


def page(*records, cursor=b'"next"'):
    return b'{"detects": [' + b" , ".join(records) + b'], "next_cursor": ' + cursor + b"}"


def packed(body):
    return base64.b64encode(gzip.compress(body, mtime=0)).decode()


def compressed(*records, cursor="next"):
    body = b"[" + b",".join(records) + b"]"
    return json.dumps({"detects": packed(body), "next_cursor": cursor}).encode()


@pytest.mark.parametrize("make", [page, compressed])
def test_detections_are_the_bytes_that_came(make):
    read = answers.decode_page(make(*GOOD))
    assert read == answers.DetectionPage(GOOD, "next", piecewise=False)


@pytest.mark.parametrize("make", [page, compressed])
@pytest.mark.parametrize(
    "bad", [LONE, b'{"a": "\x01"}', b'{"a": "\\q"}', b'{"a": NaN}', b'{"a": 01}', b"nonsense"]
)
def test_one_bad_record_hides_no_other_and_the_cursor_moves_on(make, bad):
    read = answers.decode_page(make(GOOD[0], bad, GOOD[1]))
    assert read.records == [GOOD[0], bad, GOOD[1]]
    assert read.next_cursor == "next"
    assert read.piecewise


def test_bytes_that_are_no_utf_8_stay_in_their_record():
    bad = b'{"hostname":"\xff\xfe"}'
    assert answers.decode_page(page(bad, GOOD[0])).records == [bad, GOOD[0]]


@pytest.mark.parametrize("cursor", [b'""', b"null"])
def test_an_empty_or_null_cursor_is_the_end(cursor):
    assert answers.decode_page(page(*GOOD, cursor=cursor)).next_cursor == ""
    assert answers.decode_page(page(LONE, cursor=cursor)).next_cursor == ""


def test_a_page_without_detections_is_empty_and_one_without_the_field_is_damaged():
    assert answers.decode_page(page()).records == []
    assert answers.decode_page(compressed()).records == []
    for body in (
        b"", b"{}", b"[]", b"null", b'{"detects": null}', b'{"detects": {}}', b'{"detects": 7}', b'{"next_cursor": ""}',
        b"<html>", b'{"detects": ""}', b'{"detects": "!!"}', b'{"detects": [], "next_cursor": 7}',
        json.dumps({"detects": packed(b"null")}).encode(), json.dumps({"detects": packed(b"{}")}).encode(),
        json.dumps({"detects": packed(b"")}).encode(), page(LONE) + b"x",
    ):  # fmt: skip
        with pytest.raises(Protocol):
            answers.decode_page(body)


@pytest.mark.parametrize("whole", [page(*GOOD), page(LONE, *GOOD), compressed(*GOOD), compressed(LONE)])
def test_a_page_cut_anywhere_is_refused(whole):
    for length in range(len(whole)):
        with pytest.raises(Protocol):
            answers.decode_page(whole[:length])


def test_a_compressed_part_cut_anywhere_is_refused():
    raw = gzip.compress(b"[" + b",".join(GOOD * 5) + b"]")
    for length in range(len(raw)):
        body = json.dumps({"detects": base64.b64encode(raw[:length]).decode()}).encode()
        with pytest.raises(Protocol):
            answers.decode_page(body)


def test_a_compressed_bomb_is_not_unpacked():
    bomb = base64.b64encode(gzip.compress(b" " * (answers.UNPACKED + 1_000_000))).decode()
    with pytest.raises(Protocol, match="64 MiB"):
        answers.unpack(bomb, "x")


json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.text(), json_data), max_size=4), st.booleans(), st.text())
def test_cutting_by_brackets_finds_the_same_records_as_reading(records, spoilt, cursor):
    raw = [json.dumps(each).encode() for each in records] + [LONE] * spoilt
    read = answers.decode_page(page(*raw, cursor=json.dumps(cursor).encode() if cursor.isascii() else b'"c"'))
    assert read.records == raw
    assert read.piecewise == spoilt


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\ detects', max_size=60).map(str.encode))
def test_no_bytes_make_the_reader_fail_otherwise_than_by_saying_so(body):
    for read in (
        lambda: answers.decode(body, "x"),
        lambda: answers.decode_page(body, "x"),
        lambda: answers.decode_page(b'{"detects": [' + body + b'], "next_cursor": ""}', "x"),
        lambda: answers.one_detection(body, "c", "x"),
    ):
        with contextlib.suppress(Protocol):
            read()


def test_a_lone_surrogate_does_not_cost_a_whole_answer():
    assert answers.decode(b'[{"hostname": "evil\\ud800"}, {"hostname": "good"}]', "x") == [
        {"hostname": "evil\ud800"},
        {"hostname": "good"},
    ]
    with pytest.raises(Protocol):
        answers.decode(b'["\\ud800", NaN]', "x")


def test_large_numbers_keep_every_digit():
    assert answers.decode(b"123456789012345678901234567890", "x") == 123456789012345678901234567890


def test_one_detection_is_the_bytes_that_came():
    assert answers.one_detection(b" " + LONE + b"\n", "c", "x") == LONE
    for body in (b"", b"{}", b"[]", b"null", LONE[:-1], LONE + LONE, b"<html>", b'{"error": ""}', GOOD[0]):
        with pytest.raises(Protocol):
            answers.one_detection(body, "c", "x")


def test_the_time_of_a_hive_record_is_milliseconds_whatever_its_unit_was():
    def record(last_mod):
        return answers.hive_record(
            {"data": {}, "sys_mtd": {"last_mod": last_mod, "etag": "e", "last_author": "a"}}, "x"
        )

    assert record(1_767_225_601).modified == 1_767_225_601_000
    assert record(1_767_225_601_234).modified == 1_767_225_601_234
    assert [record(wrong).modified for wrong in (0, None, "x", True, -1)] == [None] * 5
    assert (record(1).etag, record(1).author) == ("e", "a")


@pytest.mark.parametrize(
    "answer",
    [{}, [], None, {"k": None}, {"k": []}, {"k": {}}, {"records": []}, {"records": None, "next_cursor": ""}],
)
def test_what_is_no_page_of_a_hive_is_never_an_empty_hive(answer):
    with pytest.raises(Protocol):
        answers.hive_page(answer, "x")


def test_permissions_come_by_organization_from_either_layout():
    assert answers.who({"ident": "i", "orgs": ["a", "b"], "perms": ["p"]}, "x").permissions == {
        "a": ("p",),
        "b": ("p",),
    }
    both = answers.who({"ident": "i", "orgs": ["a"], "perms": ["p"], "user_perms": {"b": ["q"]}}, "x")
    assert both.permissions == {"b": ("q",)}
    assert both.organizations == ("a", "b")
    for wrong in ({}, [], None, {"orgs": 7}, {"orgs": [7]}, {"user_perms": ["a"]}):
        with pytest.raises(Protocol):
            answers.who(wrong, "x")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 2}', b'{"a":{"b":1,"b":1}}', b'[{"a" : 1, "a" : 2}]', b'{"a\\\\":1,"a\\\\":2}',
        b'{"text":"q\\":1","y":{"a":1,"a":1}}', b'{"a": "\\ud800", "a": 1}',
        b'{"detects": [{"cat": "x"}], "detects": []}',
    ],
)  # fmt: skip
def test_an_answer_that_names_a_member_twice_is_refused(body):
    with pytest.raises(Protocol, match="names a member twice"):
        answers.decode(body, "GET x")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "\\":1", "b": "\\\\"}',
        b'{"a" : "b" , "c":"\\u0022: x"}',
        b'{"a\\\\":{"a\\\\":1}}',
        b'[{"a":1},{"a":1}]',
    ],
)
def test_what_only_looks_like_a_name_in_a_text_is_none(body):
    assert answers.decode(body, "GET x") == json.loads(body)


def test_a_page_that_says_twice_what_it_holds_is_refused():
    body = b'{"detects": [{"cat": "x"}], "next_cursor": "", "detects": []}'
    with pytest.raises(Protocol, match="twice"):
        answers.decode_page(body)


def test_a_detection_in_another_encoding_is_refused():
    with pytest.raises(Protocol):
        answers.one_detection('{"detect_id": "d", "cat": "x"}'.encode("utf-16"), "d", "GET x")
