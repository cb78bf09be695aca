"""Paths of detection logic: which values of an event a condition looks at.

The documentation describes `?` beneath a list in two ways (the reference: it is the list's index; rules that
LimaCharlie ships: it is the next key), and says nothing of a trailing `*` over something empty or of a path
that ends at a list. Each such path has several readings, and a condition holds only where they agree.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_NOTHING: list[Any] = []


class Path:
    """One path, read once: keys between `/`, `?` for one level, `*` for any number, `[N]` for an index."""

    __slots__ = ("_index", "_starred", "_stars", "parts", "text", "wild")

    def __init__(self, text: str) -> None:
        self.text = text
        parts: list[str] = []
        for part in text.split("/"):
            # Two `*` in a row say what one says.
            if part and not (part == "*" and parts and parts[-1] == "*"):
                parts.append(part)
        self.parts = tuple(parts)
        self.wild = "?" in self.parts or "*" in self.parts
        self._stars = self.parts.count("*")
        self._starred = self.parts[-1:] == ("*",)
        self._index = any(map(_index_of, self.parts))

    def values(self, subject: Any) -> list[Any]:
        """What is there under the first reading: `?` is a list's index, `*` may be no level at all."""
        if self.wild or self._index:
            return self._walk(subject, transparent=False)
        found = subject
        for place, key in enumerate(self.parts):
            if isinstance(found, dict):
                if key not in found:
                    return _NOTHING
                found = found[key]
            elif isinstance(found, list):
                return self._walk_from([found], self.parts[place:], transparent=False)
            else:
                return _NOTHING
        return [found]

    def readings(self, subject: Any) -> list[list[Any]]:
        """What is there, once for each reading that could differ; the first is that of `values`."""
        found = [self.values(subject)]
        if not self.wild:
            return found
        if "?" in self.parts:
            found.append(self._walk(subject, transparent=True))
        if self._starred:
            # Whether a trailing `*` also stands for the empty thing that it is put to is not said.
            for transparent in (False, True)[: len(found)]:
                bases = self._walk_from([subject], self.parts[:-1], transparent)
                full = [base for base in bases if not _is_empty(base)]
                if len(full) < len(bases):
                    found.append(_star(full, distinct=self._stars > 1))
        return found

    def _walk(self, subject: Any, transparent: bool) -> list[Any]:
        return self._walk_from([subject], self.parts, transparent)

    def _walk_from(self, found: list[Any], parts: tuple[str, ...], transparent: bool) -> list[Any]:
        for part in parts:
            if part == "*":
                found = _star(found, distinct=self._stars > 1)
            elif part == "?":
                found = [child for value in found for child in _level(value, transparent)]
            elif self._index and (index := _index_of(part)) is not None:
                found = [inner for value in found for inner in _at(value, part, index[0])]
            else:
                found = [inner for value in found for inner in _keyed(value, part)]
            if not found:
                break
        return found


@lru_cache(maxsize=4096)
def path_of(text: str) -> Path:
    """The path that a text says."""
    return Path(text)


def values_at(subject: Any, path: str) -> list[Any]:
    """The values at a path under the first reading, none when it is not there."""
    return path_of(path).values(subject)


def flat(values: list[Any]) -> list[Any]:
    """The values with each list replaced by its elements, however deep."""
    if not any(isinstance(value, list) for value in values):
        return values
    return list(_plain(values))


def _plain(values: list[Any]) -> Iterator[Any]:
    waiting = list(reversed(values))
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(reversed(value))
        else:
            yield value


def _index_of(part: str) -> tuple[int] | None:
    digits = part[1:-1]
    if part[:1] == "[" and part[-1:] == "]" and digits.isascii() and digits.isdigit() and len(digits) < 10:
        return (int(digits),)
    return None


def _is_empty(value: Any) -> bool:
    return isinstance(value, dict | list) and not value


def _keyed(value: Any, key: str) -> Iterator[Any]:
    if isinstance(value, dict):
        if key in value:
            yield value[key]
    elif isinstance(value, list):
        # A list is transparent: every element is searched.
        for element in _plain(value):
            if isinstance(element, dict) and key in element:
                yield element[key]


def _at(value: Any, part: str, index: int) -> Iterator[Any]:
    if isinstance(value, list):
        if index < len(value):
            yield value[index]
    elif isinstance(value, dict) and part in value:
        yield value[part]


def _level(value: Any, transparent: bool) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        if not transparent:
            yield from value
            return
        for element in _plain(value):
            if isinstance(element, dict):
                yield from element.values()
            else:
                # Plain elements are reached by both readings.
                yield element


def _star(found: list[Any], *, distinct: bool) -> list[Any]:
    below: list[Any] = []
    seen: set[int] = set()
    waiting = list(reversed(found))
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            # With two `*` in a path the same value is reached in many ways.
            if distinct:
                if id(value) in seen:
                    continue
                seen.add(id(value))
            below.append(value)
            waiting.extend(reversed(list(value.values()) if isinstance(value, dict) else value))
        else:
            below.append(value)
    return below
