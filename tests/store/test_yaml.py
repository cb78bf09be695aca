"""YAML from strangers."""

import time

import pytest

from store.yaml import YamlError, load


def _refused(text: str | bytes) -> tuple[int, str]:
    with pytest.raises(YamlError) as caught:
        load(text)
    return caught.value.problem.line, caught.value.problem.text


def test_a_document_knows_the_line_of_each_part() -> None:
    document = load("a:\n  - x\n  - b:\n      c: 1\n")
    assert document.value == {"a": ["x", {"b": {"c": 1}}]}
    assert document.line("a", 1, "b", "c") == 4
    assert document.line("a", 0) == 2
    assert document.line("a", 9) == 2


def test_small_aliases_and_merges_are_allowed() -> None:
    assert load("base: &b {a: 1}\nx: {<<: *b, c: 2}\ny: *b\n").value["x"] == {"a": 1, "c": 2}


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    started = time.monotonic()
    line, said = _refused("\n".join(lines))
    assert time.monotonic() - started < 1
    assert line > 1
    assert "multiply" in said


def test_a_bomb_of_merges_is_refused() -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(20)) + "}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 7)]
    assert "multiply" in _refused("\n".join(lines))[1]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: &a [*a]", 1, "stands for nothing"),
        ("a: 1\nb: *nothing", 2, "stands for nothing"),
        ("a: 1\nb: 2\na: 3", 3, "it is on line 1"),
        ("x: !!python/object/apply:os.system [ls]", 1, "tag"),
        ("x: !mine y", 1, "tag"),
        ("x: !!binary aGk=", 1, "tag"),
        ("\n" + "[" * 65, 2, "More than 64 levels"),
        ("---\na: 1\n---\nb: 1", 3, "another document"),
        ("a: 1\nb: \x07", 2, "control character"),
        ("? [a]\n: 1", 1, "single word"),
        ("a: 1\nb: 2026-13-45", 2, "does not exist"),
        ("a: 1\nb: " + "9" * 5000, 2, "does not exist"),
        ("x" * 5_000_001, 1, "5 MB"),
        ("- a\n" * 200_001, 200_000, "200000"),
    ],
)
def test_what_is_not_safe_is_refused_with_its_line(text: str, line: int, said: str) -> None:
    at, words = _refused(text)
    assert said in words
    assert at == line


def test_words_that_yaml_takes_for_something_else_are_named() -> None:
    text = (
        'a: no\nb: 010\nc: 12:30:45\nd: 1.5\ne: 7\nf: true\ng: 1_000\nh: 2026-01-01\ni: "no"\nj: -3\nk: 0\n'
    )
    assert sorted(problem.line for problem in load(text).surprises) == [1, 2, 3, 7, 8]
