r"""Regular expressions of detection logic, which are RE2's (documentation: detection logic operators).

The engine is Google's own, so that `$`, `\d`, `\s`, `\pL`, `\z` and `\Q..\E` mean what they do there,
and an expression takes time in proportion to the text, whoever wrote it.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

_MEMORY = 64 * 1024 * 1024
"""Bytes for one compiled expression; the default of 8 MB refuses long alternations."""

_HAS_NOT = (
    ("(?=", "look-ahead"), ("(?!", "look-ahead"), ("(?<=", "look-behind"), ("(?<!", "look-behind"),
    ("(?>", "an atomic group"), ("(?#", "a comment"), ("(?P=", "a back-reference"), ("(?(", "a condition"),
)  # fmt: skip

Search = Callable[[str], bool]


class BadPattern(ValueError):
    """A text that is no regular expression of RE2; says which, and what RE2 has not."""


@lru_cache(maxsize=1024)
def searching(text: str, case_sensitive: bool) -> Search:
    """Whether a text holds a match of a regular expression, anywhere.

    Raises:
        BadPattern: RE2 cannot read it.
    """
    # Beneath `search`, which counts the letters before each group of a match that nobody asks for.
    matches = expression(text, case_sensitive)._regexp.Match
    import re2

    anywhere = re2._Anchor.UNANCHORED
    # This engine finds it between the bytes of one letter, too; Go's goes letter by letter.
    no_boundary = "\\B" in text

    def search(subject: str) -> bool:
        try:
            encoded = subject.encode()
        except UnicodeEncodeError:
            encoded = _whole(subject).encode()
        end = len(encoded)
        found = matches(anywhere, encoded, 0, end)[0]
        while no_boundary and 0 < found[0] < end and encoded[found[0]] & 0xC0 == 0x80:
            found = matches(anywhere, encoded, found[0] + 1, end)[0]
        return bool(found != (-1, -1))

    return search


@lru_cache(maxsize=1024)
def expression(text: str, case_sensitive: bool) -> Any:
    """A compiled regular expression, with `search`, `match` and named groups as in Python's `re`.

    Raises:
        BadPattern: RE2 cannot read it.
    """
    import re2

    _check_escapes(text)
    options = re2.Options()
    options.case_sensitive = case_sensitive
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(text, options)
    except (re2.error, UnicodeEncodeError) as problem:
        raise BadPattern(f"the regular expression {text!r} {_complaint(text, problem)}") from None


def _check_escapes(text: str) -> None:
    r"""Read escapes as pairs, since `\\policies` holds no `\p`; `\C` (one byte) is not in Go's dialect.

    Between `\Q` and `\E` every letter stands for itself.
    """
    place = 0
    while place < len(text):
        pair = text[place : place + 2]
        if pair == "\\Q":
            end = text.find("\\E", place + 2)
            if end < 0:
                return
            place = end + 2
        elif pair == "\\C":
            raise BadPattern(f"the regular expression {text!r} uses \\C, which Go's RE2 has not")
        else:
            place += 2 if text[place] == "\\" else 1


def _complaint(text: str, problem: Exception) -> str:
    place, inside = 0, False
    while place < len(text):
        letter = text[place]
        if letter == "\\":
            if not inside and text[place + 1 : place + 2] in tuple("123456789"):
                return "uses a back-reference, which RE2 has not"
            place += 2
            continue
        if letter == "[":
            inside = True
        elif letter == "]":
            inside = False
        elif not inside:
            for start, name in _HAS_NOT:
                if text.startswith(start, place):
                    return f"uses {name}, which RE2 has not"
        place += 1
    said = problem.args[0] if problem.args else problem
    said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return f"does not compile: {said}"


def _whole(text: str) -> str:
    """A text without lone surrogates, as a JSON decoder in Go reads it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
