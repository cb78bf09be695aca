"""A case as Markdown: what a stranger wrote means nothing but itself."""

import pytest

from store.casefile import escaped, plain, quoted


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("host-1.example", "host-1.example"),
        ("[click](http://evil.test)", r"\[click\]\(http\://evil.test\)"),
        ("<script>alert(1)</script>", r"&lt;script&gt;alert\(1\)&lt;/script&gt;"),
        ("a_b *c* `d`", r"a\_b \*c\* \`d\`"),
        ("# Not a title", r"\# Not a title"),
        ("- not a list", r"\- not a list"),
        ("12. nor this", r"12\. nor this"),
        ("www.evil.test and a@b.test", r"www\.evil.test and a\@b.test"),
        ("C:\\[/x]", "C\\:\\\\\\[/x\\]"),
        ("\x1b[2Jgone", r"\\x1b\[2Jgone"),
        ("&amp; stays", "&amp;amp; stays"),
    ],
)
def test_a_strangers_text_is_text(text: str, written: str) -> None:
    assert plain(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Acknowledged: Target (4 d before), 13:59", "Acknowledged: Target (4 d before), 13:59"),
        ("[click](http://evil.test)", r"\[click\](http\://evil.test)"),
        (": no definition", r"\: no definition"),
        ("1) no list", r"1\) no list"),
        (":tada: 5:100: mailto:a", r"\:tada: 5\:100: mailto\:a"),
    ],
)
def test_of_our_own_words_no_more_is_escaped_than_a_strangers_among_them_need(text, written):
    assert escaped(text) == written


def test_every_line_of_a_quotation_is_one() -> None:
    assert list(quoted("one\n\n> two")) == ["> one", ">", "> &gt; two"]
    assert all(line.startswith(">") for line in quoted("a\nb\u2028c\rd"))
