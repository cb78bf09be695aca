"""What a stranger wrote is shown whole, and obeyed never."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from store.text import Untrusted, cell_width, fit, mixed_script, safe_block, safe_parts, safe_text
from tests.corpus.benign import BENIGN, BY_SCRIPT
from tests.corpus.strings import AT_LEAST, CORPUS, everything, mixes

anything = st.text(st.characters(codec=None, categories=None), max_size=60)
nasty = st.lists(st.sampled_from([t for t in everything() if len(t) < 80]) | anything, max_size=6).map(
    "".join
)


def code_points(shown: list[tuple[str, bool]]) -> str:
    """The original back from `safe_parts`: notations are read, the rest is as it was."""
    return "".join(
        "".join(chr(int(code[1:], 16)) for code in run.split("\\")[1:]) if notation else run
        for run, notation in shown
    )


def every_kind_of_character() -> list[str]:
    """All assigned characters, and some of those that are not."""
    return [
        chr(code)
        for code in range(0x110000)
        if unicodedata.category(chr(code)) not in {"Cn", "Co"} or code % 97 == 0
    ]


def assert_inert(text: str) -> None:
    for character in text:
        assert character == "\u3000" or character.isprintable(), ascii(text)
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}, ascii(text)


def test_the_corpus_has_all_its_categories_and_none_shrank():
    assert CORPUS.keys() == AT_LEAST.keys()
    assert len(AT_LEAST) == 27
    for category, texts in CORPUS.items():
        assert len(set(texts)) == len(texts) >= AT_LEAST[category], category
    assert len(everything()) >= 948


@pytest.mark.parametrize("category", CORPUS)
def test_nothing_in_the_corpus_reaches_a_terminal_raw(category: str):
    for text in CORPUS[category]:
        assert_inert(safe_text(text))


@pytest.mark.parametrize(
    "category", ["csi", "esc", "osc", "dcs-apc", "c1", "c0", "report", "bidi", "invisible", "surrogate"]
)
def test_every_string_of_an_active_category_is_changed(category: str):
    unchanged = [ascii(text) for text in CORPUS[category] if safe_text(text) == text]
    assert unchanged == []


def test_benign_text_in_many_scripts_passes_unchanged():
    assert len(BENIGN) >= 200
    assert len(BY_SCRIPT) >= 12
    assert [text for text in BENIGN if safe_text(text) != text] == []


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\x9b31m", "a\\x9b31m"),
        ("one\r\n\ttwo\x7f", "one\\x0d\\x0a\\x09two\\x7f"),
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("ad\u00admin", "ad\\xadmin"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("\ud800x", "\\ud800x"),
        ("\ue000\uffff\u0378", "\\ue000\\uffff\\u0378"),
        ("a\u00a0b\u202fc", "a\\xa0b\\u202fc"),
        ("\U0001f44d\U0001f3fd", "\U0001f44d\\U0001f3fd"),
        ("C:\\new\\x1b", "C:\\new\\x1b"),
        ("e\u0301\u0302\u0303\u0304\u0305", "e\u0301\u0302\u0303\\u0304\\u0305"),
        ("\u0301a", "\\u0301a"),
        ("\x1b\u0301", "\\x1b\\u0301"),
        ("\u1112\u1161\u11ab", "\u1112\u1161\u11ab"),
        ("\u6771\u4eac\u3000\u592a\u90ce", "\u6771\u4eac\u3000\u592a\u90ce"),
    ],
)
def test_what_cannot_be_shown_stands_in_hexadecimal(raw: str, shown: str):
    assert safe_text(raw) == shown


def test_fewer_marks_are_kept_on_request():
    assert safe_text("e\u0301\u0302", marks=1) == "e\u0301\\u0302"
    assert safe_text("e\u0301", marks=0) == "e\\u0301"


def test_a_notation_is_told_apart_from_the_same_letters():
    assert safe_parts("\\x1b and \x1b") == [("\\x1b and ", False), ("\\x1b", True)]
    assert safe_parts("") == []
    assert safe_parts("plain") == [("plain", False)]


def test_a_plain_str_comes_out_of_an_untrusted_one():
    assert type(safe_text(Untrusted("acme"))) is str
    assert type(safe_text(Untrusted("ac\x1bme"))) is str


def test_long_text_is_cut_in_the_middle_between_whole_characters():
    assert safe_text("abcdefghij", 7) == "abc~hij"
    assert safe_text("a\x1bbcdefgh\x1bi", 8) == "a\\x1bb~i"
    assert safe_text("a\x1bbcdefgh\x1bi", 6) == "a~i"
    assert safe_text("a\x1bbcdefgh\x1bi", 13) == "a\\x1bb~h\\x1bi"
    assert safe_text("e\u0301" * 9, 6) == "e\u0301~e\u0301"
    assert safe_text("abc", 1) == "~"
    assert safe_text("abc", 0) == ""
    assert len(safe_text("x" * 10_000)) == 4096


def test_a_megabyte_costs_what_is_shown_of_it():
    long = "e" + "\u0301" * 1_000_000
    began = time.perf_counter()
    shown = safe_text(long)
    assert time.perf_counter() - began < 0.1
    assert len(shown) <= 4096
    assert "~" in shown


@settings(max_examples=300)
@given(nasty)
def test_text_is_inert_and_a_second_pass_changes_nothing(text: str):
    shown = safe_text(text)
    assert_inert(shown)
    assert safe_text(shown) == shown


@settings(max_examples=300)
@given(nasty)
def test_every_character_is_shown_or_stands_in_notation(text: str):
    assert code_points(safe_parts(text, 10_000)) == text
    assert "".join(run for run, _ in safe_parts(text)) == safe_text(text)


@settings(max_examples=300)
@given(nasty, st.integers(0, 40), st.integers(0, 4))
def test_no_limit_is_exceeded_and_a_cut_is_seen(text: str, limit: int, marks: int):
    shown = safe_text(text, limit, marks=marks)
    assert_inert(shown)
    assert len(shown) <= limit
    whole = safe_text(text, 100_000, marks=marks)
    if len(whole) <= limit:
        assert shown == whole
    elif limit > 0:
        assert any(
            whole.startswith(shown[:at]) and whole.endswith(shown[at + 1 :])
            for at, character in enumerate(shown)
            if character == "~"
        )


@settings(max_examples=300)
@given(nasty, st.integers(0, 30), st.sampled_from(["end", "middle"]), st.sampled_from(["left", "right"]))
def test_fitted_text_takes_exactly_its_cells(text: str, width: int, cut: str, align: str):
    made = fit(text, width, cut=cut, align=align)
    assert cell_width(made) == cell_len(made) == width
    assert_inert(made)


@pytest.mark.parametrize(
    ("text", "width", "options", "made"),
    [
        ("acme", 6, {}, "acme  "),
        ("acme", 6, {"align": "right"}, "  acme"),
        ("Encoded PowerShell download", 12, {}, "Encoded Pow~"),
        ("9f86d081884c7d65", 9, {"cut": "middle"}, "9f86~7d65"),
        ("株式会社山田", 6, {}, "株式~ "),
        ("株式会社山田", 7, {"cut": "middle"}, "株式~田"),
        ("ab\x1bcd", 5, {}, "ab~  "),
        ("e\u0301" * 5, 3, {}, "e\u0301e\u0301~"),
        ("acme", 0, {}, ""),
        ("", 3, {}, "   "),
    ],
)
def test_fitted_text_is_padded_or_cut_where_said(text: str, width: int, options: dict[str, str], made: str):
    assert fit(text, width, **options) == made


def test_widths_agree_with_rich_for_every_character_that_is_shown():
    differing = []
    for character in every_kind_of_character():
        text = "a" + character
        if safe_text(text) == text and cell_width(text) != cell_len(text):
            differing.append(hex(ord(character)))
    assert differing == []


def test_the_quick_path_and_the_slow_one_agree_on_every_character():
    differing = []
    for character in every_kind_of_character():
        # A first control character forces the slow path; what follows it must look as it does alone.
        if safe_text("\x01a" + character)[4:] != safe_text("a" + character):
            differing.append(hex(ord(character)))
    assert differing == []


def test_a_block_keeps_its_lines():
    assert safe_block('{\n  "a": "\x1b[2J",\r\n  "b": "x\ry"\n}') == [
        "{",
        '  "a": "\\x1b[2J",',
        '  "b": "x\\x0dy"',
        "}",
    ]
    assert safe_block("") == [""]
    assert safe_block("a\u2028b\x0b\x85") == ["a\\u2028b\\x0b\\x85"]


def test_a_long_block_loses_its_middle_visibly():
    lines = safe_block("\n".join(f"line {number}" for number in range(100_000)), 2_000)
    assert sum(map(len, lines)) + len(lines) - 1 <= 2_000
    assert lines[0] == "line 0"
    assert lines[-1] == "line 99999"
    assert sum("~" in line for line in lines) == 1


@settings(max_examples=200)
@given(nasty, st.integers(0, 60))
def test_a_block_holds_no_active_character_either(text: str, limit: int):
    lines = safe_block(text, limit)
    assert sum(map(len, lines)) + len(lines) - 1 <= limit
    for line in lines:
        assert_inert(line)


def test_every_look_alike_is_badged_and_none_equals_its_original():
    originals = {"Acme Dental", "Acme", "paypal", "google", "microsoft", "apple", "root", "admin", "system"}
    assert [ascii(name) for name in CORPUS["lookalike"] if mixed_script(name) is None] == []
    assert originals.isdisjoint(CORPUS["lookalike"])


def test_honest_names_carry_no_badge():
    names = [name for names in BY_SCRIPT.values() for name in names]
    assert [(name, mixed_script(name)) for name in names if mixed_script(name)] == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Acm\u0435", "mixes Cyrillic and Latin: U+0435"),
        ("\uff21cme", "disguised: U+FF21"),
        ("ad\u200bmin", "invisible: U+200B"),
        ("acme\u2024example", "look-alike sign: U+2024"),
        ("\u0440\u043e\u0441\u0430", "poses as Latin: U+0440, U+043E, U+0441 and more"),
        ("Cafe\u0301", "decomposed: U+0301"),
        ("Acme", None),
        ("Café", None),
        ("ООО Ромашка LLC", None),
        ("10 µs", None),
    ],
)
def test_a_badge_says_why_with_code_points(name: str, reason: str | None):
    assert mixed_script(name) == reason


def test_a_thousand_mixes_are_shown_whole():
    for text in mixes(seed=7, count=1000):
        shown = safe_text(text)
        assert_inert(shown)
        assert code_points(safe_parts(text, 100_000)) == text


def test_a_typical_name_costs_little():
    # Against the least that any check of each character costs, so that a slow machine does not fail.
    def best(work) -> float:
        times = []
        for _ in range(20):
            began = time.perf_counter()
            for _ in range(200):
                work("acme-fs01.corp.example.com")
            times.append(time.perf_counter() - began)
        return min(times)

    assert best(safe_text) < 3 * best(lambda name: [ord(character) for character in name])
