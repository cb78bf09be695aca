"""Sensor selectors: `plat == windows and "vip" in tags`, over sensors as the API shows them.

The language is that of tasking, outputs and searches (docs: reference, sensor selector expressions):
`==`, `!=`, `in`, `not in`, `contains`, `not contains`, `matches`, `not matches`, `is empty`, joined by
`and`, `or`, `not` and parentheses. Text may be bare, quoted, or in back quotes.
"""

import re
from collections.abc import Callable
from typing import Any

from console.sandbox.sensors import PLATFORM_NAMES

Selector = Callable[[dict[str, Any]], bool]
"""Takes the sensor's record."""

FIELDS = frozenset(
    {
        *("sid", "oid", "iid", "did", "plat", "ext_plat", "arch", "enroll", "alive", "hostname", "mac_addr"),
        *("ext_ip", "int_ip", "isolated", "should_isolate", "sealed", "should_seal", "kernel", "tags"),
    }
)
_NAMES = {code: name for name, code in PLATFORM_NAMES.items()}
_ARCHITECTURES = {1: "x86", 2: "x64", 3: "arm", 4: "arm64", 5: "alpine64", 6: "chromium", 9: "usp_adapter"}
"""By their codes (docs: reference, id schema); selectors name them (official client 5.10.1, sensor.py)."""
_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|(?P<sign>==|!=|&&|\|\||[()!])"""
    r"""|(?P<word>[^\s()"'`!=&|]+))"""
)


class BadSelector(ValueError):
    """One sentence about what is wrong with it."""


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise BadSelector(f"bad selector: nothing can be made of {text[place : place + 20]!r}")
        if match["quoted"] is not None:
            inner = match["quoted"][1:-1]
            found.append(("text", inner if match["quoted"][0] == "`" else re.sub(r"\\(.)", r"\1", inner)))
        elif match["sign"] is not None:
            found.append(("sign", {"&&": "and", "||": "or", "!": "not"}.get(match["sign"], match["sign"])))
        else:
            word = match["word"]
            joins = word.lower() in ("and", "or", "not", "in", "contains", "matches", "is", "empty")
            found.append(("sign", word.lower()) if joins else ("word", word))
        place = match.end()
    return found


def _values(record: dict[str, Any], name: str) -> list[str]:
    value = record.get(name)
    if name in ("plat", "ext_plat"):
        # A platform is compared by its name or by its code.
        return [_NAMES.get(value or 0, ""), str(value)]
    if name == "arch":
        return [_ARCHITECTURES.get(value or 0, ""), str(value)]
    if isinstance(value, list):
        return value
    return [str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)]


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.place = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")

    def take(self) -> tuple[str, str]:
        found = self.peek()
        self.place += 1
        return found

    def sign(self, name: str) -> bool:
        if self.peek() == ("sign", name):
            self.place += 1
            return True
        return False

    def either(self) -> Selector:
        parts = [self.both()]
        while self.sign("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else lambda record: any(part(record) for part in parts)

    def both(self) -> Selector:
        parts = [self.one()]
        while self.sign("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else lambda record: all(part(record) for part in parts)

    def one(self) -> Selector:
        if self.sign("not"):
            inner = self.one()
            return lambda record: not inner(record)
        if self.sign("("):
            inside = self.either()
            if not self.sign(")"):
                raise BadSelector("bad selector: a parenthesis is not closed")
            return inside
        return self.comparison()

    def value(self) -> str:
        kind, text = self.take()
        if kind not in ("word", "text"):
            raise BadSelector(f"bad selector: a value is missing before {text!r}")
        return text

    def comparison(self) -> Selector:
        kind, left = self.take()
        if kind not in ("word", "text"):
            raise BadSelector(f"bad selector: a condition is missing before {left!r}")
        negated = self.sign("not")
        if self.sign("in"):
            name = self.field(self.value())
            return lambda record: (left in _values(record, name)) != negated
        name = self.field(left)
        if not negated and self.sign("is"):
            negated = self.sign("not")
            if not self.sign("empty"):
                raise BadSelector("bad selector: after `is` comes `empty` or `not empty`")
            return lambda record: any(_values(record, name)) == negated
        _, operator = self.take()
        if operator == "contains":
            wanted = self.value()
            if name == "tags":
                return lambda record: (wanted in _values(record, name)) != negated
            return lambda record: any(wanted in each for each in _values(record, name)) != negated
        if operator == "matches":
            try:
                pattern = re.compile(self.value())
            except re.error:
                raise BadSelector("bad selector: not a regular expression") from None
            return lambda record: any(pattern.search(each) for each in _values(record, name)) != negated
        if negated or operator not in ("==", "!="):
            raise BadSelector(f"bad selector: unknown operator {operator!r} after {name}")
        wanted = self.value()
        return lambda record: (wanted in _values(record, name)) == (operator == "==")

    def field(self, name: str) -> str:
        if name not in FIELDS:
            raise BadSelector(f"bad selector: unknown field {name!r}")
        return name


def parse(text: str) -> Selector | None:
    """A selector ready to be asked; None when it selects every sensor.

    Raises:
        BadSelector: it is none.
    """
    if text.strip() in ("", "*"):
        return None
    parser = _Parser(text)
    found = parser.either()
    if parser.place != len(parser.tokens):
        raise BadSelector(f"bad selector: {parser.peek()[1]!r} was not expected")
    return found
