"""`limegrove template test`: vectors answered in order, and rule files with their own tests."""

import io
import json
import sys

import pytest

VECTORS = [
    {
        "id": "a",
        "kind": "dr",
        "rule": {"detect": {"op": "is", "path": "event/A", "value": 1}},
        "event": {"event": {"A": 1}},
    },
    {"id": 2, "kind": "dr", "rule": {"detect": {"op": "nope"}}, "event": {}},
    {
        "id": "c",
        "kind": "fp",
        "rule": {"detect": {"op": "is", "path": "cat", "value": "x"}},
        "event": {"cat": "y"},
    },
    {
        "id": "d",
        "kind": "fp",
        "rule": {"op": "lookup", "path": "cat", "resource": "hive://lookup/x"},
        "event": {"cat": "y"},
    },
]


def lines(vectors) -> str:
    return "".join(json.dumps(vector) + "\n" for vector in vectors)


def test_vectors_are_answered_one_a_line_in_order(limegrove, tmp_path):
    file = tmp_path / "vectors.jsonl"
    file.write_text(lines(VECTORS) + "\n")
    answer = limegrove("template", "test", "--vectors", str(file))
    assert (answer.code, answer.err) == (0, "")
    said = [json.loads(line) for line in answer.out.splitlines()]
    assert [(one["id"], one["result"]) for one in said] == [
        ("a", True),
        (2, "not_evaluated"),
        ("c", False),
        ("d", "not_evaluated"),
    ]
    assert said[1]["why"].startswith("invalid rule: detect: unknown operator 'nope'")
    assert "lookup" in said[3]["why"]
    assert set(said[0]) == {"id", "result", "why"}


def test_vectors_come_from_standard_input_too(limegrove, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines(VECTORS).encode())))
    assert len(limegrove("template", "test", "--vectors", "-").out.splitlines()) == 4


@pytest.mark.parametrize(
    ("line", "name", "about"),
    [
        (b"{", None, "line 2 is not JSON"),
        (b"[" * 100_000, None, "line 2 is not JSON"),
        (b'{"id": 1, "rule": {}, "event": ' + b"9" * 5000 + b"}", None, "line 2 is not JSON"),
        (b'{"id": "\xe9"}', None, "line 2 is not JSON"),
        (b"[]", None, "line 2 has to be an object"),
        (b'{"id": 1, "rule": {}}', 1, "line 2 has to be an object"),
        (b'{"id": 1, "rule": {}, "event": {}, "kind": "x"}', 1, "line 2 has to have dr or fp"),
        (b'{"id": 1, "rule": {}, "event": {}, "kind": ["dr"]}', 1, "line 2 has to have dr or fp"),
    ],
)
def test_a_line_that_cannot_be_read_is_answered_in_its_place_and_named(
    limegrove, tmp_path, line, name, about
):
    file = tmp_path / "vectors.jsonl"
    file.write_bytes(lines(VECTORS[:1]).encode() + line + b"\n" + lines(VECTORS[2:3]).encode())
    answer = limegrove("template", "test", "--vectors", str(file))
    said = [json.loads(one) for one in answer.out.splitlines()]
    assert [(one["id"], one["result"]) for one in said] == [
        ("a", True), (name, "not_evaluated"), ("c", False)
    ]  # fmt: skip
    assert said[1]["why"].startswith(about)
    assert answer.code == 2
    assert "Lines that cannot be read (2)" in answer.err


def test_ends_of_lines_and_a_mark_of_the_byte_order_change_nothing(limegrove, tmp_path):
    file = tmp_path / "vectors.jsonl"
    plain = lines(VECTORS).encode()
    answers = []
    for content in (plain, plain.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + plain, plain.rstrip(b"\n")):
        file.write_bytes(content)
        answers.append(limegrove("template", "test", "--vectors", str(file)))
    assert [answer.code for answer in answers] == [0] * 4
    assert len({answer.out for answer in answers}) == 1
    file.write_bytes(b"")
    assert limegrove("template", "test", "--vectors", str(file)).out == ""


def test_a_file_that_is_not_there_is_a_mistake(limegrove, tmp_path):
    for arguments in (("--vectors", "nowhere.jsonl"), ("nowhere.yaml",)):
        answer = limegrove("template", "test", *arguments)
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert "nowhere" in answer.err
    assert limegrove("template", "test").code == 2


RULES = """\
version: 3
hives:
  dr-general:
    passes: {data: &rule {detect: {op: is, path: event/A, value: x}, respond: [], tests: {match: [[{event: {A: x}}]]}}}
    untested: {data: {detect: {op: is, path: event/A, value: x}, respond: []}}
"""


def test_rule_files_run_their_own_tests(limegrove, tmp_path):
    (tmp_path / "good.yaml").write_text(RULES)
    answer = limegrove("template", "test", str(tmp_path))
    assert answer.code == 0, answer.err
    assert [(row["rule"], row["outcome"]) for row in answer.json] == [
        ("passes", "pass"),
        ("untested", "0 tests"),
    ]
    (tmp_path / "bad.yaml").write_text(
        "detect: {op: is, path: event/A, value: x}\ntests: {match: [[{event: {}}]]}\n"
    )
    (tmp_path / "worse.yaml").write_text("detect: [\n")
    answer = limegrove("template", "test", str(tmp_path))
    assert answer.code == 1
    assert [row["outcome"] for row in answer.json] == ["fail", "pass", "0 tests", "refused"]
    assert answer.json[0]["why"] == "match test 1: no event matched"
    assert "Line" in answer.json[3]["why"]


def test_a_table_says_no_test_is_no_pass(limegrove, tmp_path):
    (tmp_path / "good.yaml").write_text(RULES)
    answer = limegrove("template", "test", str(tmp_path), "--output", "table")
    assert "0 tests  untested" in answer.out
    assert "1 of 1" in answer.out
    assert "0 of 2 rules failed or are refused, 1 tests" in answer.err


RULE = """\
version: 3
hives:
  dr-general:
    NAME:
      data:
        detect: {op: is, event: NEW_PROCESS, path: event/A, value: x}
        respond: [{action: report, name: a}]
        tests:
          match: [[{routing: {event_type: NEW_PROCESS}, event: {A: VALUE}}]]
      usr_mtd: {enabled: true}
"""


def test_of_a_document_what_it_includes_is_tested_too_each_file_once(limegrove, tmp_path):
    (tmp_path / "main.yaml").write_text("version: 3\ninclude: [parts/a.yaml, parts/b.yaml]\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.yaml").write_text(RULE.replace("NAME", "good").replace("VALUE", "x"))
    (tmp_path / "parts" / "b.yaml").write_text(
        RULE.replace("NAME", "bad").replace("VALUE", "y") + "include: a.yaml\n"
    )
    for given in (tmp_path / "main.yaml", tmp_path):
        answer = limegrove("template", "test", str(given), "--root", str(tmp_path), "--output", "json")
        assert answer.code == 1
        assert sorted((row["rule"], row["outcome"]) for row in answer.json) == [
            ("bad", "fail"), ("good", "pass"),
        ]  # fmt: skip


def test_an_include_that_is_not_there_is_refused_by_its_line(limegrove, tmp_path):
    (tmp_path / "main.yaml").write_text("version: 3\ninclude: [gone.yaml]\n")
    path = str(tmp_path / "main.yaml")
    answer = limegrove("template", "test", path, "--root", str(tmp_path), "--output", "json")
    assert answer.code == 1
    assert [(row["outcome"], row["why"]) for row in answer.json] == [
        ("refused", "Line 2: There is no file 'gone.yaml'.")
    ]


@pytest.mark.parametrize("words", [("--online",), ("--org", "acme")])
def test_asking_the_cloud_takes_an_organization(limegrove, tmp_path, words):
    answer = limegrove("template", "test", str(tmp_path), *words)
    assert answer.code == 2
    assert "--online goes with --org" in answer.err
